/* SPDX-License-Identifier: Apache-2.0 */
/* How an open relay ends: the first event makes the record, then each leg is finished by RFC 6455
 * section 7.
 *
 *   what happened               that leg                          the other leg
 *   its Close came              Close with its code, done         Close with its code and reason
 *   its stream ended            closed                            Close 1012 (client) or 1001
 * (backend) it broke a rule             Close with the rule's code        the same the gateway
 * wants it        Close 1012, 4401 ...              Close 1001
 *
 * A Close never goes out within a frame: it waits for the frame's end as long as the rest can still
 * come, else the stream alone ends. After 2 s everything is closed. */
#include "gateway/ledger.h"
#include "gateway/redial.h"
#include "gateway/relay.h"

#include <stdlib.h>

/* What the gateway says to both sides when the reason is its own. */
struct goodbye {
    uint16_t client;
    uint16_t backend;
    const char *reason;
};

static struct goodbye goodbye_of(enum hf_cause cause)
{
    static const struct goodbye drain = {HF_CLOSE_RESTART, HF_CLOSE_GOING_AWAY, "server restarts"};
    static const struct goodbye expired = {HF_CLOSE_TOKEN_EXPIRED, HF_CLOSE_GOING_AWAY,
                                           "token expired"};
    static const struct goodbye silent_client = {HF_CLOSE_INTERNAL, HF_CLOSE_GOING_AWAY,
                                                 "no answer to ping"};
    static const struct goodbye stuck_client = {HF_CLOSE_INTERNAL, HF_CLOSE_GOING_AWAY,
                                                "client takes nothing"};
    static const struct goodbye stuck_backend = {HF_CLOSE_RESTART, HF_CLOSE_INTERNAL,
                                                 "backend takes nothing"};
    static const struct goodbye silent_backend = {HF_CLOSE_RESTART, HF_CLOSE_INTERNAL,
                                                  "backend lost"};
    static const struct goodbye internal = {HF_CLOSE_INTERNAL, HF_CLOSE_GOING_AWAY,
                                            "out of resources"};
    if (cause == HF_CAUSE_DRAIN || cause == HF_CAUSE_STOP) {
        return drain;
    }
    if (cause == HF_CAUSE_TOKEN_EXPIRED) {
        return expired;
    }
    if (cause == HF_CAUSE_CLIENT_STUCK || cause == HF_CAUSE_BACKEND_STUCK) {
        return cause == HF_CAUSE_CLIENT_STUCK ? stuck_client : stuck_backend;
    }
    if (cause == HF_CAUSE_CLIENT_HEARTBEAT || cause == HF_CAUSE_BACKEND_HEARTBEAT) {
        return cause == HF_CAUSE_CLIENT_HEARTBEAT ? silent_client : silent_backend;
    }
    return internal;
}

/* ---- the record
 * ---------------------------------------------------------------------------------- */

struct closing_codes {
    uint16_t code; /* that the client saw or sent; 1006: no Close passes there */
    uint16_t in;   /* of the first Close that came; 0: none */
    uint16_t out;  /* of the first Close that the gateway sends; 0: none */
};

static void fill_times(const struct hf_relay *r, const struct hf_leg *at, struct hf_ending *e)
{
    uint32_t now = hf_heartbeat_ms(hf_relay_now(r));
    e->held = hf_relay_now(r) - r->opened;
    e->silent_rx = HF_MS((uint32_t)(now - at->beat.heard_ms));
    e->silent_tx = HF_MS((uint32_t)(now - at->beat.sent_ms));
    e->rtt_us = at->beat.rtt_us;
}

static void record(struct hf_relay *r, struct hf_leg *at, enum hf_cause cause,
                   struct closing_codes codes, struct hf_slice reason, int error)
{
    struct hf_ending e = {.cause = cause,
                          .open = true,
                          .code = codes.code,
                          .code_in = codes.in,
                          .code_out = codes.out,
                          .error = error};
    struct hf_slice text = hf_slice_first(reason, sizeof(e.reason) - 1);
    memcpy(e.reason, text.ptr == NULL ? (const uint8_t *)"" : text.ptr, text.len);
    fill_times(r, at, &e);
    e.unacked = at->stream != NULL ? hf_stream_unacked(at->stream) : 0;
    at->clear = e.unacked == 0;
    e.messages_client = r->client.messages;
    e.messages_backend = r->backend.messages;
    e.bytes_client = r->client.bytes;
    e.bytes_backend = r->backend.bytes;
    hf_ledger_record(r->worker, r->identity, &e);
}

/* ---- finishing a leg
 * ------------------------------------------------------------------------------ */

static void free_when_done(struct hf_relay *r)
{
    if (r->client.stream == NULL && r->backend.stream == NULL) {
        hf_timer_set(r->worker->loop, &r->timer,
                     hf_relay_now(r)); /* not here: a callback may be on the stack */
    }
}

static void drop_pending(struct hf_leg *leg)
{
    free(leg->pending);
    leg->pending = NULL;
}

static bool leg_is_tls(const struct hf_relay *r, const struct hf_leg *leg)
{
    return leg->is_client ? r->identity->tls : r->route->tls != NULL;
}

static void finish_leg(struct hf_relay *r, struct hf_leg *leg)
{
    if (leg->stream == NULL) {
        return;
    }
    if (leg_is_tls(r, leg) && leg->in_state != HF_IN_DEAD) {
        hf_stream_shut(leg->stream); /* close_notify; a plain close is a FIN by itself */
    }
    hf_stream_close(leg->stream);
    leg->stream = NULL;
    leg->out_state = HF_OUT_SHUT;
    drop_pending(leg);
    free_when_done(r);
}

static void abort_leg(struct hf_relay *r, struct hf_leg *leg)
{
    hf_stream_abort(leg->stream);
    leg->stream = NULL;
    leg->in_state = HF_IN_DEAD;
    leg->out_state = HF_OUT_SHUT;
    drop_pending(leg);
    free_when_done(r);
}

/* The record is made: from here on the relay only finishes its legs. */
static void begin_closing(struct hf_relay *r)
{
    r->open = false;
    if (r->held != NULL && hf_held_stop(r)) {
        abort_leg(r, &r->backend); /* it has half a frame of the backlog: nothing can follow that */
    }
    hf_list_remove(&r->node);
    hf_list_append(&r->worker->closing, &r->node);
    atomic_fetch_sub_explicit(&r->worker->open_now, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&r->route->state->open, 1, memory_order_relaxed);
    hf_identity_leave(r->identity, r->worker);
    hf_timer_set(r->worker->loop, &r->timer, hf_relay_now(r) + HF_CLOSE_WAIT);
    /* Both are read again, for their Close; a leg that cannot be forwarded is held again at once.
     */
    hf_leg_unhold(r, &r->client, HF_HOLD_OTHER | HF_HOLD_OWN | HF_HOLD_RATE);
    hf_leg_unhold(r, &r->backend, HF_HOLD_OTHER | HF_HOLD_OWN | HF_HOLD_RATE);
}

/* RFC 6455 7.1.1: the server ends TCP first, at once. While more than our Close is under way to the
 * client, or its pong may be under way to us, the socket is kept and read until the client's end: a
 * close would answer the pong with a reset, which throws away what the client has not got yet. */
static void end_client(struct hf_relay *r, struct hf_leg *leg)
{
    if (!leg->beat.waiting && (leg->clear || hf_stream_unacked(leg->stream) <=
                                                 HF_FRAME_HEAD_MAX + HF_CONTROL_PAYLOAD_MAX)) {
        finish_leg(r, leg);
    } else if (leg->out_state != HF_OUT_SHUT) {
        hf_stream_shut(leg->stream);
        leg->out_state = HF_OUT_SHUT;
    }
}

/* Our Close is out, or nothing more can go out. */
static void after_close(struct hf_relay *r, struct hf_leg *leg)
{
    if (leg->stream == NULL) {
        return;
    }
    if (leg->in_state == HF_IN_OPEN) { /* its Close is awaited ... */
        if (r->one_sided && leg->out_state == HF_OUT_SENT) {
            hf_stream_shut(leg->stream); /* ... but the other side is gone: this one ends at once */
            leg->out_state = HF_OUT_SHUT;
        }
        return;
    }
    if (leg->in_state == HF_IN_CLOSED && leg->is_client) {
        end_client(r, leg);
        return;
    }
    if (leg->in_state == HF_IN_DEAD) {
        /* It broke a rule: our direction ends, and what it still sends is read away so that TCP
         * does not reset our Close. */
        hf_stream_shut(leg->stream);
        leg->out_state = HF_OUT_SHUT;
    }
}

void hf_relay_closing_flushed(struct hf_relay *r, struct hf_leg *leg)
{
    leg->out_state = HF_OUT_SENT;
    after_close(r, leg);
}

static void close_leg(struct hf_relay *r, struct hf_leg *leg, uint16_t code, struct hf_slice reason)
{
    struct hf_leg *other = hf_leg_other(r, leg);
    if (leg->stream == NULL || leg->out_state != HF_OUT_OPEN) {
        return;
    }
    if (other->in_state == HF_IN_DEAD && !hf_leg_at_boundary(other)) {
        /* The frame that is open will never be whole: only the stream can end. */
        hf_stream_shut(leg->stream);
        leg->out_state = HF_OUT_SHUT;
        if (leg->is_client || leg->in_state != HF_IN_OPEN) {
            finish_leg(r, leg);
        }
        return;
    }
    uint8_t payload[HF_CONTROL_PAYLOAD_MAX];
    size_t len = hf_close_write(payload, code, reason);
    leg->out_state = HF_OUT_QUEUED;
    if (!hf_leg_control(r, leg, HF_OP_CLOSE, hf_slice(payload, len))) {
        abort_leg(r, leg);
    } else if (leg->pending == NULL) {
        hf_relay_closing_flushed(r, leg);
    }
}

static void tell_other(struct hf_relay *r, struct hf_leg *lost, const char *why)
{
    struct hf_leg *other = hf_leg_other(r, lost);
    close_leg(r, other, other->is_client ? HF_CLOSE_RESTART : HF_CLOSE_GOING_AWAY,
              hf_slice_of(why));
}

/* ---- the first event
 * ------------------------------------------------------------------------------ */

void hf_relay_peer_closed(struct hf_relay *r, struct hf_leg *from, uint16_t code,
                          struct hf_slice reason)
{
    struct hf_leg *other = hf_leg_other(r, from);
    if (!from->is_client && hf_close_is_loss(code) &&
        hf_held_begin(r, HF_CAUSE_BACKEND_CLOSE, code)) {
        return;
    }
    from->in_state = HF_IN_CLOSED;
    record(r, from, from->is_client ? HF_CAUSE_CLIENT_CLOSE : HF_CAUSE_BACKEND_CLOSE,
           (struct closing_codes){code, code, code}, reason, 0);
    begin_closing(r);
    close_leg(r, other, code, reason);
    close_leg(r, from, code, reason); /* RFC 6455 5.5.1: the answer is what came */
}

void hf_relay_peer_gone(struct hf_relay *r, struct hf_leg *from, const struct hf_end *end)
{
    uint16_t out = from->is_client ? HF_CLOSE_GOING_AWAY : HF_CLOSE_RESTART;
    if (!from->is_client && hf_held_begin(r, hf_ledger_cause(end, from->is_client), 0)) {
        return;
    }
    from->in_state = HF_IN_DEAD;
    record(r, from, hf_ledger_cause(end, from->is_client),
           (struct closing_codes){from->is_client ? HF_CLOSE_ABNORMAL : out, 0, out},
           hf_slice_of(""), end->error);
    r->one_sided = true;
    begin_closing(r);
    tell_other(r, from, from->is_client ? "client lost" : "backend lost");
    finish_leg(r, from);
}

void hf_relay_not_replaced(struct hf_relay *r, enum hf_cause cause, const char *why)
{
    r->backend.in_state = HF_IN_DEAD;
    record(r, &r->backend, cause, (struct closing_codes){HF_CLOSE_RESTART, 0, HF_CLOSE_RESTART},
           hf_slice_of(why), 0);
    r->one_sided = true;
    begin_closing(r);
    tell_other(r, &r->backend, "backend lost");
}

void hf_relay_fault(struct hf_relay *r, struct hf_leg *at, enum hf_cause cause, uint16_t code,
                    const char *why)
{
    at->in_state = HF_IN_DEAD;
    record(r, at, cause, (struct closing_codes){at->is_client ? code : HF_CLOSE_RESTART, 0, code},
           hf_slice_of(why), 0);
    begin_closing(r);
    tell_other(r, at, at->is_client ? "client failed" : "backend failed");
    close_leg(r, at, code, hf_slice_of(why));
}

/* The leg that a cause of the gateway's gives up, or NULL. */
static struct hf_leg *lost_leg(struct hf_relay *r, enum hf_cause cause)
{
    if (cause == HF_CAUSE_CLIENT_HEARTBEAT || cause == HF_CAUSE_CLIENT_STUCK) {
        return &r->client;
    }
    if (cause == HF_CAUSE_BACKEND_HEARTBEAT || cause == HF_CAUSE_BACKEND_STUCK) {
        return &r->backend;
    }
    return NULL;
}

void hf_relay_end(struct hf_relay *r, enum hf_cause cause)
{
    if (!r->open) {
        return;
    }
    struct goodbye bye = goodbye_of(cause);
    struct hf_leg *lost = lost_leg(r, cause);
    bool stuck = cause == HF_CAUSE_CLIENT_STUCK || cause == HF_CAUSE_BACKEND_STUCK;
    if (lost == &r->backend && hf_held_begin(r, cause, 0)) {
        return;
    }
    uint16_t code = lost == &r->client ? HF_CLOSE_ABNORMAL : bye.client;
    if (lost != NULL) {
        lost->in_state = HF_IN_DEAD;
    }
    record(r, lost == NULL ? &r->client : lost, cause, (struct closing_codes){code, 0, bye.client},
           hf_slice_of(bye.reason), 0);
    begin_closing(r);
    close_leg(r, &r->client, bye.client, hf_slice_of(bye.reason));
    close_leg(r, &r->backend, bye.backend, hf_slice_of(bye.reason));
    if (lost != NULL && (stuck || lost->out_state != HF_OUT_SENT) && lost->stream != NULL) {
        abort_leg(r, lost); /* it takes nothing: not even a goodbye */
    }
}

void hf_relay_kill(struct hf_relay *r, enum hf_cause cause)
{
    hf_relay_end(r, cause);
    /* What the Close said is still delivered by the kernel. */
    finish_leg(r, &r->client);
    finish_leg(r, &r->backend);
    hf_relay_free(r);
}

/* ---- while it closes
 * ------------------------------------------------------------------------------- */

/* The rest of the frame that `to` has begun to get. Returns the bytes taken. */
static size_t finish_frame(struct hf_relay *r, struct hf_leg *from, struct hf_leg *to,
                           struct hf_slice in)
{
    uint64_t rest = from->ahead + from->in.left;
    struct hf_slice run = hf_slice_first(in, rest < in.len ? (size_t)rest : in.len);
    size_t sent = hf_leg_send(r, to, run);
    to->clear = false;
    size_t ahead = sent < from->ahead ? sent : from->ahead;
    from->ahead -= (uint32_t)ahead;
    from->in.left -= sent - ahead;
    if (sent < run.len) {
        to->blocked = true;
        hf_leg_hold(r, from, HF_HOLD_OTHER);
    } else if (hf_leg_at_boundary(from)) {
        (void)hf_leg_flush(r, to);
    }
    return sent;
}

/* Steps over frames that go nowhere, until the Close. False when the input is at its end. */
static bool skip_step(struct hf_relay *r, struct hf_leg *from, struct hf_slice in, size_t *pos)
{
    const struct hf_flow_rules *rules = from->is_client ? &r->route->client_rules[r->deflate]
                                                        : &r->route->backend_rules[r->deflate];
    struct hf_flow_step step;
    switch (hf_flow_next(&from->in, rules, hf_slice_from(in, *pos), &step)) {
    case HF_FLOW_DATA:
        *pos += step.size;
        return true;
    case HF_FLOW_CONTROL:
        *pos += step.size;
        if (step.head.opcode == HF_OP_CLOSE) {
            from->in_state = HF_IN_CLOSED;
            return false;
        }
        return true;
    case HF_FLOW_MORE:
        return false;
    case HF_FLOW_FAULT:
    default:
        from->in_state = HF_IN_DEAD;
        return false;
    }
}

size_t hf_relay_closing_bytes(struct hf_relay *r, struct hf_leg *from, struct hf_slice in)
{
    struct hf_leg *to = hf_leg_other(r, from);
    size_t pos = 0;
    if (from->in_state != HF_IN_OPEN) {
        return in.len;
    }
    if (!hf_leg_at_boundary(from) && to->stream != NULL && to->out_state == HF_OUT_QUEUED) {
        pos = finish_frame(r, from, to, in);
        if (!hf_leg_at_boundary(from) || from->stream == NULL) {
            return pos;
        }
    }
    from->skipping = true;
    pos += from->ahead; /* checked, but it goes nowhere now */
    from->ahead = 0;
    while (pos < in.len && skip_step(r, from, in, &pos)) {
    }
    if (from->in_state != HF_IN_OPEN) {
        if (from->out_state != HF_OUT_QUEUED) {
            after_close(r, from);
        }
        return in.len;
    }
    return pos < in.len ? pos : in.len;
}

void hf_relay_closing_end(struct hf_relay *r, struct hf_leg *leg)
{
    struct hf_leg *other = hf_leg_other(r, leg);
    leg->in_state = HF_IN_DEAD;
    finish_leg(r, leg);
    if (other->stream != NULL && other->out_state == HF_OUT_QUEUED && !hf_leg_at_boundary(leg)) {
        finish_leg(r, other); /* the rest of its frame can never come */
    }
}

/* Its time is over. What was sent to a peer that is slow, not lost, is left to the kernel to
 * deliver. */
static void let_go(struct hf_leg *leg)
{
    if (leg->out_state == HF_OUT_SENT || leg->out_state == HF_OUT_SHUT) {
        hf_stream_close(leg->stream);
    } else {
        hf_stream_abort(leg->stream);
    }
}

void hf_relay_free(struct hf_relay *r)
{
    HF_ASSERT(!r->open);
    hf_timer_stop(r->worker->loop, &r->timer);
    hf_list_remove(&r->node);
    r->worker->relay_count--;
    let_go(&r->client);
    let_go(&r->backend);
    drop_pending(&r->client);
    drop_pending(&r->backend);
    hf_held_free(r->held);
    hf_identity_free(r->identity, r->worker);
    hf_pool_put(&r->worker->relay_pool, r);
}
