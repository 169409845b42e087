/* SPDX-License-Identifier: Apache-2.0 */
/* The open relay's way of bytes: see relay.h. Every byte of a message passes here, so what is
 * seldom needed (ends, timers) stands in relay_end.c and relay_time.c. */
#include "gateway/relay.h"

#include "base/hash.h"

#include <stdlib.h>

/* ---- holding back ------------------------------------------------------------------------------
 */

void hf_leg_hold(struct hf_relay *r, struct hf_leg *leg, enum hf_hold why)
{
    if (leg->hold == 0 && leg->stream != NULL) {
        hf_stream_pause(leg->stream);
        hf_heartbeat_reading(&leg->beat, false, hf_relay_now(r));
    }
    leg->hold |= (uint8_t)why;
}

void hf_leg_unhold(struct hf_relay *r, struct hf_leg *leg, enum hf_hold why)
{
    if ((leg->hold & why) == 0) {
        return;
    }
    leg->hold &= (uint8_t)~why;
    if (leg->hold == 0 && leg->stream != NULL) {
        hf_heartbeat_reading(&leg->beat, true, hf_relay_now(r));
        hf_stream_resume(leg->stream);
    }
}

static void mark_blocked(struct hf_relay *r, struct hf_leg *leg)
{
    if (!leg->blocked) {
        hf_relay_blocked(r, leg);
    }
}

/* ---- our own frames ----------------------------------------------------------------------------
 */

static bool queue_pending(struct hf_leg *to, const uint8_t *bytes, size_t len)
{
    struct hf_pending *p = to->pending;
    size_t have = p == NULL ? 0 : p->len;
    if (have + len > HF_PENDING_MAX) {
        return false;
    }
    if (p == NULL || have + len > p->cap) {
        size_t cap = have + len < 144 ? 144 : have + len + 256;
        p = realloc(p, sizeof(*p) + cap);
        if (p == NULL) {
            return false;
        }
        if (to->pending == NULL) {
            p->len = 0;
            p->off = 0;
        }
        p->cap = (uint16_t)cap;
        to->pending = p;
    }
    memcpy(p->bytes + p->len, bytes, len);
    p->len = (uint16_t)(p->len + len);
    return true;
}

/* Sends a frame of ours, or keeps what does not fit. */
static bool put_frame(struct hf_relay *r, struct hf_leg *to, const uint8_t *frame, size_t len)
{
    size_t sent = 0;
    if (to->pending == NULL && !to->blocked && hf_leg_at_boundary(hf_leg_other(r, to))) {
        sent = hf_leg_send(r, to, hf_slice(frame, len));
        if (sent < len) {
            mark_blocked(r, to);
        }
    }
    if (sent == len) {
        return true;
    }
    bool kept = queue_pending(to, frame + sent, len - sent);
    if (to->pending != NULL && to->pending->len - to->pending->off > HF_PENDING_HOLD) {
        hf_leg_hold(r, to, HF_HOLD_OWN);
    }
    return kept;
}

size_t hf_leg_build_frame(struct hf_relay *r, const struct hf_leg *to, uint8_t opcode,
                          struct hf_slice payload, uint8_t *frame)
{
    uint8_t mask[4];
    if (!to->is_client) {
        hf_worker_next_mask(r->worker, mask);
    }
    /* RFC 6455 5.1: towards the backend the gateway is a client and masks. */
    size_t head =
        hf_frame_write_head(frame, true, 0, opcode, payload.len, to->is_client ? NULL : mask);
    memcpy(frame + head, payload.ptr, payload.len);
    if (!to->is_client) {
        hf_mask_apply(frame + head, payload.len, mask, 0);
    }
    return head + payload.len;
}

bool hf_leg_control(struct hf_relay *r, struct hf_leg *to, uint8_t opcode, struct hf_slice payload)
{
    uint8_t frame[HF_FRAME_HEAD_MAX + HF_CONTROL_PAYLOAD_MAX];
    return put_frame(r, to, frame, hf_leg_build_frame(r, to, opcode, payload, frame));
}

/* Answers of application heartbeats go between messages, not only between frames. */
static void send_answers(struct hf_relay *r)
{
    struct hf_slice text = hf_slice_of(r->route->config->app_heartbeat.answer);
    while (r->answers_due > 0 && r->client.pending == NULL && !r->client.blocked &&
           r->client.out_state == HF_OUT_OPEN && r->backend.ahead == 0 &&
           hf_flow_between_messages(&r->backend.in)) {
        uint8_t frame[HF_FRAME_HEAD_MAX + 1024];
        HF_ASSERT(text.len <= 1024);
        r->answers_due--;
        size_t len = hf_leg_build_frame(r, &r->client, HF_OP_TEXT, text, frame);
        if (!put_frame(r, &r->client, frame, len)) {
            hf_relay_end(r, HF_CAUSE_OUT_OF_RESOURCES);
            return;
        }
    }
    if (r->answers_due == 0) {
        hf_leg_unhold(r, &r->client, HF_HOLD_OWN);
    }
}

bool hf_leg_flush(struct hf_relay *r, struct hf_leg *to)
{
    struct hf_leg *from = hf_leg_other(r, to);
    struct hf_pending *p = to->pending;
    if (p != NULL) {
        if (to->blocked || to->stream == NULL || (p->off == 0 && !hf_leg_at_boundary(from))) {
            return false;
        }
        size_t rest = (size_t)(p->len - p->off);
        size_t sent = hf_leg_send(r, to, hf_slice(p->bytes + p->off, rest));
        p->off = (uint16_t)(p->off + sent);
        if (sent < rest) {
            mark_blocked(r, to);
            return false;
        }
        free(p);
        to->pending = NULL;
        if (to->pinging) {
            hf_relay_pinged(r, to);
        }
        if (to->out_state == HF_OUT_QUEUED) {
            hf_leg_unhold(r, to, HF_HOLD_OWN);
            hf_relay_closing_flushed(r, to);
            return true;
        }
        if (!to->is_client || r->answers_due == 0) {
            hf_leg_unhold(r, to, HF_HOLD_OWN);
        }
    }
    if (to->is_client && r->answers_due > 0) {
        send_answers(r);
    }
    return to->pending == NULL;
}

/* ---- control frames of a peer -------------------------------------------------------------------
 */

static void take_pong(struct hf_relay *r, struct hf_leg *leg, struct hf_slice payload)
{
    hf_time sent;
    hf_time now = hf_relay_now(r);
    if (payload.len != sizeof(sent)) {
        return; /* unsolicited: RFC 6455 5.5.3 asks for no answer */
    }
    memcpy(&sent, payload.ptr, sizeof(sent));
    if (sent <= now && now - sent < HF_SECONDS(300)) {
        hf_heartbeat_ponged(&leg->beat, now - sent);
    }
}

static void take_close(struct hf_relay *r, struct hf_leg *leg, struct hf_slice payload)
{
    uint16_t code;
    uint16_t fault;
    struct hf_slice reason;
    if (!hf_close_read(payload, &code, &reason, &fault)) {
        enum hf_cause cause = !leg->is_client              ? HF_CAUSE_BACKEND_PROTOCOL
                              : fault == HF_CLOSE_BAD_DATA ? HF_CAUSE_BAD_UTF8
                                                           : HF_CAUSE_CLIENT_PROTOCOL;
        hf_relay_fault(r, leg, cause, fault, "a Close that is not allowed");
        return;
    }
    hf_relay_peer_closed(r, leg, code, reason);
}

/* The control frame at bytes: it ends here. */
static void take_control(struct hf_relay *r, struct hf_leg *leg, struct hf_slice bytes,
                         const struct hf_flow_step *step)
{
    uint8_t payload[HF_CONTROL_PAYLOAD_MAX];
    size_t len = (size_t)step->head.length;
    memcpy(payload, bytes.ptr + step->head.size, len);
    hf_mask_apply(payload, len, step->head.mask, 0);
    switch (step->head.opcode) {
    case HF_OP_PING:
        hf_count(r->worker,
                 leg->is_client ? HF_COUNT_pings_answered_client : HF_COUNT_pings_answered_backend,
                 1);
        if (!hf_leg_control(r, leg, HF_OP_PONG, hf_slice(payload, len))) {
            hf_relay_end(r, HF_CAUSE_OUT_OF_RESOURCES);
        }
        break;
    case HF_OP_PONG:
        take_pong(r, leg, hf_slice(payload, len));
        break;
    default:
        take_close(r, leg, hf_slice(payload, len));
        break;
    }
}

/* ---- limits
 * -------------------------------------------------------------------------------------- */

static const struct hf_rate_rules control_rules = {
    .count = HF_CONTROL_RATE, .period = HF_SECONDS(1), .burst = HF_CONTROL_RATE};

/* The leg is not read for so long. */
static void delay(struct hf_relay *r, struct hf_leg *leg, hf_time wait)
{
    leg->wake_ms = hf_heartbeat_ms(hf_relay_now(r) + wait) + 1;
    hf_leg_hold(r, leg, HF_HOLD_RATE);
    hf_relay_schedule(r);
}

/* Once for each connection: what floods a limit must not flood the log. */
static void say_dry_run(struct hf_relay *r)
{
    hf_count(r->worker, HF_COUNT_limit_dry_run, 1);
    if (!r->dry_said) {
        r->dry_said = true;
        hf_worker_say_dry_run(r->worker, r->identity->id,
                              "too many messages a minute; said once for this connection");
    }
}

/* Charges one message to a bucket. 0: it may pass; else the time until it may. */
static hf_time charge(struct hf_relay *r, struct hf_rate *rate, const struct hf_rate_rules *rules)
{
    hf_time now = hf_relay_now(r);
    hf_time wait = hf_rate_charge(rate, rules, 1, now);
    if (wait > 0 && r->route->config->limits.dry_run) {
        hf_rate_force(rate, rules, 1, now);
        say_dry_run(r);
        wait = 0;
    }
    return wait;
}

enum gate { GATE_OPEN, GATE_WAIT, GATE_SHUT };

/* A client's message is about to begin: may it? Counts whole messages, never frames. */
static enum gate check_rate(struct hf_relay *r)
{
    const struct hf_membership *member = r->identity->membership;
    struct hf_limit_entry *principal = member != NULL ? member->entries[HF_LIMIT_PRINCIPAL] : NULL;
    hf_time wait = 0;
    if (r->route->message_rate.count > 0 && !r->paid) {
        wait = charge(r, &r->messages, &r->route->message_rate);
    }
    if (wait == 0) {
        r->paid = true;
        if (r->route->principal_rate.count > 0 && principal != NULL) {
            wait = charge(r, &principal->messages, &r->route->principal_rate);
        }
    }
    if (wait == 0) {
        r->paid = false;
        r->held_message = false;
        return GATE_OPEN;
    }
    if (r->route->config->limits.excess_messages == HF_EXCESS_CLOSE) {
        return GATE_SHUT;
    }
    if (!r->held_message) {
        r->held_message = true;
        hf_count(r->worker, HF_COUNT_messages_delayed, 1);
    }
    delay(r, &r->client, wait);
    return GATE_WAIT;
}

/* The frame at bytes is the application's heartbeat, answered here. Its payload is compared under
 * its mask. */
static bool is_app_heartbeat(const struct hf_relay *r, struct hf_slice bytes,
                             const struct hf_flow_step *step)
{
    struct hf_slice match = hf_slice_of(r->route->config->app_heartbeat.match);
    const uint8_t *payload = bytes.ptr + step->head.size;
    for (size_t i = 0; i < match.len; i++) {
        if ((payload[i] ^ step->head.mask[i & 3]) != match.ptr[i]) {
            return false;
        }
    }
    return true;
}

static bool may_be_app_heartbeat(const struct hf_relay *r, const struct hf_flow_step *step)
{
    const struct hf_route_config *config = r->route->config;
    return config->app_heartbeat.match != NULL && config->app_heartbeat.mode == HF_BEAT_EDGE &&
           step->head.fin && step->head.rsv == 0 && step->head.opcode == HF_OP_TEXT &&
           step->head.length == strlen(config->app_heartbeat.match);
}

/* ---- bytes
 * --------------------------------------------------------------------------------------- */

/* A pass over one chunk of a leg's input: [done, pos) is checked and to be sent. */
struct pass {
    struct hf_relay *r;
    struct hf_leg *from;
    struct hf_leg *to;
    struct hf_slice in;
    size_t done;
    size_t pos;
    bool full;  /* the other leg took no more */
    bool holds; /* from the client, on a route that holds */
};

/* Sends what is checked. True when the other leg took all of it. */
static bool forward(struct pass *p)
{
    if (p->done == p->pos) {
        p->from->ahead = 0;
        return true;
    }
    size_t want = p->pos - p->done;
    struct hf_slice bytes = hf_slice(p->in.ptr + p->done, want);
    size_t sent = p->holds ? hf_held_forward(p->r, bytes) : hf_leg_send(p->r, p->to, bytes);
    p->done += sent;
    if (sent == want) {
        p->from->ahead = 0;
        return true;
    }
    p->full = true;
    hf_leg_hold(p->r, p->from, HF_HOLD_OTHER); /* first: it is looked after by the same timer */
    if (!p->holds || !hf_held_is_active(p->r)) {
        mark_blocked(p->r, p->to);
    }
    return false;
}

/* What our own frames wait for has come: the end of a frame. False when the pass must stop. */
static bool pass_boundary(struct pass *p)
{
    if (!forward(p)) {
        return false;
    }
    if (hf_leg_flush(p->r, p->to) || !p->r->open) {
        return p->r->open;
    }
    hf_leg_hold(p->r, p->from, HF_HOLD_OTHER);
    return false;
}

/* The last bytes of a frame may have left without a step of their own. */
static void flush_at_boundary(struct pass *p)
{
    if (hf_leg_at_boundary(p->from) &&
        (p->to->pending != NULL || (p->to->is_client && p->r->answers_due > 0))) {
        (void)hf_leg_flush(p->r, p->to);
    }
}

/* A control frame, an application heartbeat or an empty fragment costs a token of the leg's safety
 * budget. */
static bool within_budget(struct pass *p)
{
    hf_time wait = hf_rate_charge(&p->from->budget, &control_rules, 1, hf_relay_now(p->r));
    if (wait == 0) {
        return true;
    }
    delay(p->r, p->from, wait);
    return false;
}

static void count_message(struct pass *p)
{
    p->from->messages++;
    hf_count(p->r->worker,
             p->from->is_client ? HF_COUNT_messages_client : HF_COUNT_messages_backend, 1);
}

/* The first frame of a client's message: limits, and heartbeats that are answered here. The flow is
 * set back by the caller unless it says OPEN. GATE_OPEN with *swallowed: the message ended here. */
static enum gate begin_message(struct pass *p, const struct hf_flow_step *step, bool *swallowed)
{
    struct hf_relay *r = p->r;
    struct hf_slice rest = hf_slice_from(p->in, p->pos);
    bool beat = may_be_app_heartbeat(r, step);
    *swallowed = false;
    if (beat && !step->ends) {
        return GATE_WAIT; /* wait for the whole frame: it is short */
    }
    beat = beat && is_app_heartbeat(r, rest, step);
    if (beat && !within_budget(p)) {
        return GATE_WAIT;
    }
    if (beat && !forward(p)) {
        return GATE_WAIT; /* what stands in front of it goes first, and before it is charged */
    }
    if (r->route->message_rate.count > 0 || r->route->principal_rate.count > 0) {
        enum gate gate = check_rate(r);
        if (gate != GATE_OPEN) {
            return gate;
        }
    }
    if (beat) {
        *swallowed = true;
    }
    return GATE_OPEN;
}

/* Swallows the heartbeat at pos and owes its answer. False when the pass must stop. */
static bool answer_beat(struct pass *p, size_t size)
{
    struct hf_relay *r = p->r;
    count_message(p);
    hf_count(r->worker, HF_COUNT_beats_answered, 1);
    p->done += size;
    p->pos += size;
    r->answers_due++;
    send_answers(r);
    if (r->answers_due >= 100) {
        hf_leg_hold(r, p->from, HF_HOLD_OWN);
        return false;
    }
    return r->open;
}

static enum hf_cause fault_cause(const struct hf_leg *leg, const struct hf_flow_step *step)
{
    switch (step->code) {
    case HF_CLOSE_TOO_BIG:
        return step->frame_too_big ? HF_CAUSE_FRAME_TOO_BIG : HF_CAUSE_MESSAGE_TOO_BIG;
    case HF_CLOSE_BAD_DATA:
        return HF_CAUSE_BAD_UTF8;
    default:
        return leg->is_client ? HF_CAUSE_CLIENT_PROTOCOL : HF_CAUSE_BACKEND_PROTOCOL;
    }
}

/* An answer to a prologue is not for the client. False when the pass must stop. */
static bool drop_answer(struct pass *p, const struct hf_flow_step *step,
                        const struct hf_flow *before)
{
    if (!forward(p)) {
        p->from->in = *before;
        return false;
    }
    p->pos += step->size;
    p->done = p->pos;
    hf_held_dropped(p->r, step);
    return p->r->open;
}

/* One step of the pass; false when it must stop (no more bytes, no more room, or the relay has
 * ended). */
static bool pass_step(struct pass *p, const struct hf_flow_rules *rules)
{
    struct hf_relay *r = p->r;
    struct hf_leg *from = p->from;
    struct hf_flow before = from->in;
    struct hf_slice rest = hf_slice_from(p->in, p->pos);
    struct hf_flow_step step;
    bool swallowed;
    switch (hf_flow_next(&from->in, rules, rest, &step)) {
    case HF_FLOW_DATA:
        if (step.empty && !within_budget(p)) {
            from->in = before;
            return false;
        }
        if (step.begins && from->is_client) {
            enum gate gate = begin_message(p, &step, &swallowed);
            if (gate != GATE_OPEN) {
                from->in = before;
                if (gate == GATE_SHUT && forward(p)) {
                    hf_relay_fault(r, from, HF_CAUSE_MESSAGE_RATE, HF_CLOSE_POLICY,
                                   "too many messages");
                }
                return false;
            }
            if (swallowed) {
                return answer_beat(p, step.size);
            }
        }
        if (__builtin_expect(r->held != NULL, 0)) {
            if (p->holds) {
                hf_held_collect(r, &step, hf_slice_first(rest, step.size), before.left == 0);
            } else if (hf_held_drops(r, &step)) {
                return drop_answer(p, &step, &before);
            }
        }
        p->pos += step.size;
        if (step.ends) {
            count_message(p);
        }
        /* Our own frames wait for this boundary. */
        if (__builtin_expect((p->to->pending != NULL || (!from->is_client && r->answers_due > 0)) &&
                                 from->in.left == 0,
                             0)) {
            return pass_boundary(p);
        }
        return true;
    case HF_FLOW_MORE:
        return false;
    case HF_FLOW_CONTROL:
        if (!within_budget(p) || !forward(p)) {
            return false;
        }
        /* What has waited for this place goes before what the frame brings about. */
        flush_at_boundary(p);
        if (p->holds && step.head.opcode == HF_OP_CLOSE && !hf_held_may_close(r)) {
            return false;
        }
        p->pos += step.size;
        p->done = p->pos;
        take_control(r, from, rest, &step);
        return r->open && from->hold == 0 && from->stream != NULL;
    case HF_FLOW_FAULT:
    default:
        from->in = before; /* nothing of what is at fault goes out */
        if (forward(p)) {
            hf_relay_fault(r, from, fault_cause(from, &step), step.code, step.why);
        }
        return false;
    }
}

static size_t take(struct hf_relay *r, struct hf_leg *from, struct hf_leg *to,
                   const struct hf_flow_rules *rules, struct hf_slice in)
{
    struct pass p = {.r = r,
                     .from = from,
                     .to = to,
                     .in = in,
                     .done = 0,
                     .pos = from->ahead,
                     .holds = from->is_client && r->held != NULL};
    hf_heartbeat_heard(&from->beat, hf_relay_now(r));
    if (__builtin_expect(!r->open, 0)) {
        return hf_relay_closing_bytes(r, from, in);
    }
    HF_ASSERT(from->ahead <= in.len);
    if (to->pending != NULL && hf_leg_at_boundary(from) && !hf_leg_flush(r, to)) {
        hf_leg_hold(r, from, HF_HOLD_OTHER);
        from->left = (uint32_t)in.len;
        return 0;
    }
    while (pass_step(&p, rules)) {
    }
    if (r->open && !p.full) {
        (void)forward(&p);
    }
    if (from->stream == NULL && r->open) {
        return in.len; /* the backend closed, and the client is held */
    }
    from->ahead = (uint32_t)(p.pos - p.done);
    from->left = (uint32_t)(in.len - p.done);
    from->bytes += p.done;
    hf_count(r->worker, from->is_client ? HF_COUNT_bytes_client : HF_COUNT_bytes_backend, p.done);
    if (r->open) {
        flush_at_boundary(&p);
        return p.done;
    }
    if (from->stream == NULL) {
        return in.len;
    }
    /* It ended within this call: what is left of the input is for the closing. */
    return p.done + hf_relay_closing_bytes(r, from, hf_slice_from(in, p.done));
}

/* ---- stream callbacks
 * ---------------------------------------------------------------------------- */

static size_t client_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct hf_relay *r = owner;
    return take(r, &r->client, &r->backend, &r->route->client_rules[r->deflate], bytes);
}

static size_t backend_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct hf_relay *r = owner;
    return take(r, &r->backend, &r->client, &r->route->backend_rules[r->deflate], bytes);
}

static void writable(struct hf_relay *r, struct hf_leg *leg)
{
    leg->blocked = false;
    if (leg->pending != NULL || (leg->is_client && r->answers_due > 0)) {
        (void)hf_leg_flush(r, leg);
    }
    if (!leg->is_client && hf_held_is_active(r)) {
        hf_held_flush(r);
    } else if (!leg->blocked) {
        hf_leg_unhold(r, hf_leg_other(r, leg), HF_HOLD_OTHER);
    }
}

static void client_writable(void *owner, struct hf_stream *stream)
{
    struct hf_relay *r = owner;
    writable(r, &r->client);
}

static void backend_writable(void *owner, struct hf_stream *stream)
{
    struct hf_relay *r = owner;
    writable(r, &r->backend);
}

static void ended(struct hf_relay *r, struct hf_leg *leg, const struct hf_end *end)
{
    if (r->open) {
        hf_relay_peer_gone(r, leg, end);
    } else {
        hf_relay_closing_end(r, leg);
    }
}

static void client_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct hf_relay *r = owner;
    ended(r, &r->client, end);
}

static void backend_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct hf_relay *r = owner;
    ended(r, &r->backend, end);
}

static const struct hf_stream_handler client_handler = {
    .on_bytes = client_bytes, .on_writable = client_writable, .on_end = client_end};
static const struct hf_stream_handler backend_handler = {
    .on_bytes = backend_bytes, .on_writable = backend_writable, .on_end = backend_end};

/* ---- opening
 * ------------------------------------------------------------------------------------- */

static void init_leg(struct hf_leg *leg, struct hf_stream *stream, bool is_client,
                     const struct hf_heartbeat_rules *beat, struct hf_worker *worker)
{
    leg->stream = stream;
    leg->is_client = is_client;
    hf_rate_init(&leg->budget);
    hf_heartbeat_init(&leg->beat, beat, &worker->random, worker->loop->now);
}

void hf_relay_attach_backend(struct hf_relay *r, struct hf_stream *stream)
{
    init_leg(&r->backend, stream, false, &r->route->backend_beat, r->worker);
    hf_stream_handle(stream, &backend_handler, r);
    /* What it has already sent is offered again, to the relay. */
    hf_stream_pause(stream);
    hf_stream_resume(stream);
}

void hf_relay_detach_backend(struct hf_relay *r)
{
    struct hf_leg *b = &r->backend;
    struct hf_leg as_new = {.messages = b->messages, .bytes = b->bytes, .beat = b->beat};
    free(b->pending);
    *b = as_new;
}

enum hf_status hf_relay_open(struct hf_worker *worker, struct hf_stream *client,
                             struct hf_stream *backend, struct hf_identity *identity,
                             const struct hf_deflate *deflate, struct hf_held *held)
{
    struct hf_relay *r = hf_pool_take(&worker->relay_pool);
    if (r == NULL) {
        return HF_NO_MEMORY;
    }
    r->worker = worker;
    r->route = identity->route;
    r->identity = identity;
    r->held = held;
    r->opened = worker->loop->now;
    r->open = true;
    r->deflate = deflate->agreed;
    init_leg(&r->client, client, true, &r->route->client_beat, worker);
    hf_relay_attach_backend(r, backend);
    hf_rate_init(&r->messages);
    hf_timer_init(&r->timer, hf_relay_fire);
    hf_list_init(&r->node);
    hf_list_append(&worker->relays, &r->node);
    worker->relay_count++;
    atomic_fetch_add_explicit(&worker->open_now, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&r->route->state->open, 1, memory_order_relaxed);
    hf_stream_handle(client, &client_handler, r);
    hf_stream_pause(client);
    hf_stream_resume(client);
    if (worker->draining) {
        hf_relay_drain(r, worker->loop->now);
    }
    hf_relay_schedule(r);
    return HF_OK;
}
