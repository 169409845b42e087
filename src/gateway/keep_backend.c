/* SPDX-License-Identifier: Apache-2.0 */
/* The backend's side of a keep: its messages go into the journal and to the client, the client's
 * messages go to it or wait in the queue, and it is not read while there is no room. See keeper.h.
 */
#include "gateway/keep_hold.h"
#include "gateway/redial.h"

#include <stdlib.h>

/* How often a backend that is not read is looked at, and how much is taken then. */
#define LOOK_EVERY HF_SECONDS(5)
#define LOOK_BYTES 4096
/* What answers to heartbeats may cost beyond the credit, of a client that takes none of them. */
#define ANSWERS_MAX 32768

static struct hf_keep *keep_of(struct hf_wire *w)
{
    return HF_CONTAINER(w, struct hf_keep, backend);
}

/* ---- from the backend --------------------------------------------------------------------------
 */

/* It goes to the client at once when nothing waits in front of it. True: it went. */
static bool send_now(struct hf_keep *k, uint8_t opcode, struct hf_slice payload,
                     struct hf_slice frame)
{
    const struct hf_attachment_ops *ops = k->client->ops;
    uint64_t number = k->session.journal.end;
    if (frame.ptr != NULL && ops->frame != NULL &&
        (opcode != HF_OP_TEXT || !hf_text_needs_escape(payload))) {
        return ops->frame(k->client, number, frame);
    }
    return ops->message(k->client, number, opcode, payload);
}

/* A whole message; `frame` as it came, or ptr NULL. */
static void take(struct hf_keep *k, uint8_t opcode, struct hf_slice payload, struct hf_slice frame)
{
    struct hf_session *s = &k->session;
    if (s->state != HF_SESSION_ATTACHED && s->state != HF_SESSION_PARKED) {
        return;
    }
    if (hf_keep_hold_drops(k)) {
        return;
    }
    bool live = k->client != NULL && k->replay_until == HF_NO_COUNT &&
                hf_session_is_live(s, hf_keep_rules(k), payload.len) && payload.len < 65536;
    if (hf_session_add(s, &hf_heap, opcode, payload) != HF_OK) {
        hf_keep_give_up(k, HF_CAUSE_OUT_OF_RESOURCES);
        return;
    }
    if (!live) {
        hf_keep_pump_client(k);
    } else if (send_now(k, opcode, payload, frame)) {
        hf_session_sent(s);
    }
    if (k->look != NULL && k->look->looking) {
        k->look->now += (uint32_t)hf_record_cost(payload.len);
    }
    hf_keep_charge(k);
    if (s->state != HF_SESSION_ENDED) {
        hf_keep_check_room(k);
    }
}

static void backend_frame(struct hf_wire *w, const struct hf_frame_head *head,
                          struct hf_slice frame)
{
    take(keep_of(w), head->opcode, hf_slice_from(frame, head->size), frame);
}

static void backend_message(struct hf_wire *w, uint8_t opcode, struct hf_slice payload)
{
    take(keep_of(w), opcode, payload, hf_slice(NULL, 0));
}

static void backend_closed(struct hf_wire *w, uint16_t code, struct hf_slice reason)
{
    struct hf_keep *k = keep_of(w);
    enum hf_session_state before = (enum hf_session_state)k->session.state;
    if (before == HF_SESSION_ENDED || before == HF_SESSION_CLOSING) {
        hf_wire_close(w, code, reason);
        return;
    }
    if (hf_close_is_loss(code) && hf_keep_hold_begin(k, HF_CAUSE_BACKEND_CLOSE, code)) {
        return;
    }
    if (hf_session_closed(&k->session, &hf_heap, code, reason) != HF_OK) {
        hf_keep_give_up(k, HF_CAUSE_OUT_OF_RESOURCES);
        return;
    }
    hf_wire_close(w, code, reason); /* RFC 6455 5.5.1 */
    hf_keep_moved(k, before);
    hf_keep_finish_bye(k, true);
    if (k->session.state == HF_SESSION_CLOSING) {
        hf_keep_pump_client(k);
        hf_keep_set_timer(k);
    }
}

/* The gateway did not read it: what it made of that is no fault of its own. */
static bool was_kept_waiting(const struct hf_keep *k)
{
    return k->look != NULL && k->look->reserve >= HF_PARK_RESERVE;
}

static void lost(struct hf_keep *k, enum hf_cause cause, int error, uint16_t backend_code,
                 const char *why)
{
    struct hf_farewell f = {.cause = cause,
                            .verdict = HF_RESUME_BACKEND_GONE,
                            .who = "backend",
                            .reason = "backend_lost",
                            .client_code = HF_CLOSE_RESTART,
                            .client_reason = hf_slice_of(why),
                            .backend_code = backend_code,
                            .error = error};
    if (was_kept_waiting(k) || cause == HF_CAUSE_OUT_OF_RESOURCES) {
        f.cause = HF_CAUSE_SESSION_OVERFLOW;
        f.verdict = HF_RESUME_OVERFLOW;
        f.who = "gateway";
        f.reason = "overflow";
    }
    hf_keep_end(k, &f);
}

static void backend_lost(struct hf_wire *w, enum hf_cause cause, int error)
{
    struct hf_keep *k = keep_of(w);
    if (was_kept_waiting(k) || cause == HF_CAUSE_OUT_OF_RESOURCES ||
        !hf_keep_hold_begin(k, cause, 0)) {
        lost(k, cause, error, HF_CLOSE_GOING_AWAY, "backend lost");
    }
}

static void backend_fault(struct hf_wire *w, enum hf_cause cause, uint16_t code, const char *why)
{
    lost(keep_of(w), cause, 0, code, why);
}

static void backend_gone(struct hf_wire *w, uint16_t code)
{
    struct hf_keep *k = keep_of(w);
    if (k->session.state == HF_SESSION_ENDED) {
        hf_timer_set(k->backend.worker->loop, &k->timer, hf_keep_now(k));
    }
}

static void backend_drained(struct hf_wire *w)
{
    struct hf_keep *k = keep_of(w);
    if (k->session.state != HF_SESSION_ENDED) {
        hf_session_taken(&k->session);
        hf_keep_pump_backend(k);
    }
}

static void backend_beat(struct hf_wire *w, bool pong)
{
    if (pong) {
        hf_keep_hold_ponged(keep_of(w));
    } else {
        hf_keep_hold_pinged(keep_of(w));
    }
}

static void backend_probed(struct hf_wire *w, uint64_t mark)
{
    hf_keep_hold_probed(keep_of(w), mark);
}

static void hold(struct hf_keep *k)
{
    hf_wire_hold(&k->backend, HF_WIRE_HOLD_OWNER);
    hf_keep_set_timer(k);
}

static void end_look(struct hf_keep *k)
{
    struct hf_keep_look *look = k->look;
    look->looking = false;
    look->reserve += look->now;
    look->at = look->reserve < HF_PARK_RESERVE ? hf_keep_now(k) + LOOK_EVERY : HF_NEVER;
    hold(k);
}

/* In a look only small messages are taken: the reserve is for finding pings and the Close. */
static bool backend_begins(struct hf_wire *w, uint64_t bytes)
{
    struct hf_keep *k = keep_of(w);
    if (k->look == NULL || !k->look->looking || hf_record_cost(bytes) <= LOOK_BYTES) {
        return true;
    }
    k->look->now += LOOK_BYTES; /* what stands in its way is used up by looking at it */
    end_look(k);
    return false;
}

static const struct hf_wire_ops backend_ops = {.frame = backend_frame,
                                               .message = backend_message,
                                               .closed = backend_closed,
                                               .lost = backend_lost,
                                               .fault = backend_fault,
                                               .drained = backend_drained,
                                               .probed = backend_probed,
                                               .beat = backend_beat,
                                               .begins = backend_begins,
                                               .gone = backend_gone};

void hf_keep_backend_open(struct hf_keep *k, struct hf_stream *stream)
{
    struct hf_wire *w = &k->backend;
    struct hf_worker *worker = w->worker;
    const struct hf_route *route = w->route;
    uint64_t bytes = w->bytes_in;
    memset(w, 0, sizeof(*w));
    w->worker = worker;
    w->route = route;
    w->bytes_in = bytes;
    hf_wire_open(w, stream, &backend_ops, false, route->tls != NULL);
}

/* ---- room --------------------------------------------------------------------------------------
 */

void hf_keep_forget_full(struct hf_keep *k)
{
    k->full = false;
    free(k->look);
    k->look = NULL;
}

void hf_keep_check_room(struct hf_keep *k)
{
    bool room = hf_session_has_room(&k->session, hf_keep_rules(k), hf_keep_now(k));
    struct hf_keep_look *look = k->look;
    if (room && k->full) {
        hf_keep_forget_full(k);
        hf_wire_gate(&k->backend, false);
        hf_wire_unhold(&k->backend, HF_WIRE_HOLD_OWNER);
    } else if (!room && !k->full) {
        k->full = true;
        k->look = calloc(1, sizeof(*k->look)); /* without memory it is not looked at */
        if (k->look != NULL) {
            k->look->at = hf_keep_now(k) + LOOK_EVERY;
        }
        hold(k);
    } else if (look != NULL && look->looking && look->now >= LOOK_BYTES) {
        end_look(k);
    }
}

void hf_keep_look(struct hf_keep *k)
{
    struct hf_keep_look *look = k->look;
    look->at = HF_NEVER;
    look->now = 0;
    look->looking = true;
    hf_wire_gate(&k->backend, true);
    hf_wire_unhold(&k->backend, HF_WIRE_HOLD_OWNER);
}

/* ---- to the backend ----------------------------------------------------------------------------
 */

static hf_time charge(struct hf_keep *k, struct hf_rate *rate, const struct hf_rate_rules *rules)
{
    hf_time now = hf_keep_now(k);
    hf_time wait = hf_rate_charge(rate, rules, 1, now);
    if (wait > 0 && k->backend.route->config->limits.dry_run) {
        hf_rate_force(rate, rules, 1, now);
        hf_count(k->backend.worker, HF_COUNT_limit_dry_run, 1);
        if (!k->dry_said) {
            k->dry_said = true;
            hf_worker_say_dry_run(k->backend.worker, k->identity->id,
                                  "too many messages a minute; said once for this session");
        }
        wait = 0;
    }
    return wait;
}

/* The next message may go: 0, or how long it must wait. Whole messages are charged, once. */
static hf_time rate_wait(struct hf_keep *k)
{
    const struct hf_membership *m = k->identity->membership;
    struct hf_limit_entry *principal = m != NULL ? m->entries[HF_LIMIT_PRINCIPAL] : NULL;
    hf_time wait = 0;
    if (k->backend.route->message_rate.count > 0 && !k->paid) {
        wait = charge(k, &k->messages, &k->backend.route->message_rate);
    }
    if (wait == 0) {
        k->paid = true;
        if (k->backend.route->principal_rate.count > 0 && principal != NULL) {
            wait = charge(k, &principal->messages, &k->backend.route->principal_rate);
        }
    }
    if (wait == 0) {
        k->paid = false;
        k->delayed = false;
    } else if (!k->delayed) {
        k->delayed = true;
        hf_count(k->backend.worker, HF_COUNT_messages_delayed, 1);
    }
    return wait;
}

/* False when it has to wait; the timer is set then. */
static bool may_go(struct hf_keep *k)
{
    if (k->wake != HF_NEVER && k->wake > hf_keep_now(k)) {
        return false;
    }
    hf_time wait = rate_wait(k);
    k->wake = wait > 0 ? hf_keep_now(k) + wait : HF_NEVER;
    return wait == 0;
}

/* After something was written. */
static void wrote(struct hf_keep *k)
{
    if (hf_wire_is_clear(&k->backend)) {
        hf_session_taken(&k->session);
    }
    hf_keep_hold_wrote(k);
}

void hf_keep_pump_backend(struct hf_keep *k)
{
    struct hf_session *s = &k->session;
    struct hf_record record;
    while (hf_wire_is_clear(&k->backend) && !hf_keep_hold_waits(k) &&
           hf_session_waiting(s, &record) && may_go(k)) {
        if (record.opcode != 0) {
            hf_keep_hold_record(k, record.opcode, record.payload);
            hf_wire_message(&k->backend, record.opcode, record.payload, false);
        }
        hf_session_written(s, &hf_heap);
        wrote(k);
    }
    hf_keep_charge(k);
    hf_keep_finish_bye(k, false);
    if (s->state != HF_SESSION_ENDED) {
        hf_keep_tell(k);
    }
}

/* ---- from the client ---------------------------------------------------------------------------
 */

bool hf_keep_may_post(const struct hf_keep *k, size_t payload)
{
    return payload <= hf_keep_rules(k)->message_max &&
           hf_session_may_receive(&k->session, hf_keep_rules(k), payload);
}

/* Nothing waits in front of it, and the backend takes it now. */
static bool goes_at_once(struct hf_keep *k)
{
    return (k->session.state == HF_SESSION_ATTACHED || k->session.state == HF_SESSION_PARKED) &&
           hf_wire_is_clear(&k->backend) && !hf_keep_hold_waits(k) &&
           k->session.written == k->session.counted && may_go(k);
}

static bool is_beat(const struct hf_keep *k, uint8_t opcode, size_t payload)
{
    const struct hf_route_config *config = k->backend.route->config;
    return opcode == HF_OP_TEXT && config->app_heartbeat.match != NULL &&
           config->app_heartbeat.mode == HF_BEAT_EDGE &&
           payload == strlen(config->app_heartbeat.match);
}

/* False: the keep has ended. */
static bool check_message(struct hf_keep *k, size_t payload)
{
    struct hf_attachment none = {.keep = k};
    if (payload > hf_keep_rules(k)->message_max) {
        hf_keep_fault(&none, HF_CAUSE_MESSAGE_TOO_BIG, HF_CLOSE_TOO_BIG,
                      "message is larger than message_max");
        return false;
    }
    if (!hf_session_may_receive(&k->session, hf_keep_rules(k), payload)) {
        hf_keep_fault(&none, HF_CAUSE_CLIENT_PROTOCOL, HF_CLOSE_PROTOCOL,
                      "more than the credit is not acknowledged");
        return false;
    }
    if (k->backend.route->config->limits.excess_messages == HF_EXCESS_CLOSE &&
        k->wake != HF_NEVER && k->wake > hf_keep_now(k)) {
        hf_keep_fault(&none, HF_CAUSE_MESSAGE_RATE, HF_CLOSE_POLICY, "too many messages");
        return false;
    }
    hf_keep_met(k);
    return true;
}

/* Messages that nobody waits for: the backend has closed, or the client has said goodbye. */
static bool is_deaf(const struct hf_keep *k)
{
    return k->session.state == HF_SESSION_CLOSING || k->bye != NULL;
}

bool hf_keep_pass(struct hf_attachment *a, uint8_t opcode, size_t payload, struct hf_slice frame)
{
    struct hf_keep *k = a->keep;
    if (is_deaf(k) || is_beat(k, opcode, payload) || hf_keep_hold_listens(k) ||
        !hf_keep_may_post(k, payload) || !goes_at_once(k)) {
        return false;
    }
    hf_keep_met(k);
    hf_wire_frame(&k->backend, frame);
    hf_session_passed(&k->session, payload, hf_keep_now(k));
    wrote(k);
    hf_keep_tell(k);
    return true;
}

/* An application heartbeat: counted both ways and answered here, in order. */
static void answer_beat(struct hf_keep *k, struct hf_slice payload)
{
    struct hf_session *s = &k->session;
    struct hf_slice answer = hf_slice_of(k->backend.route->config->app_heartbeat.answer);
    hf_count(k->backend.worker, HF_COUNT_beats_answered, 1);
    if (s->written == s->counted) {
        hf_session_passed(s, payload.len, hf_keep_now(k));
        wrote(k);
    } else if (hf_session_queue(s, &hf_heap, 0, hf_slice(NULL, 0), hf_keep_now(k)) != HF_OK) {
        hf_keep_give_up(k, HF_CAUSE_OUT_OF_RESOURCES);
        return;
    }
    if (hf_session_add(s, &hf_heap, HF_OP_TEXT, answer) != HF_OK) {
        hf_keep_give_up(k, HF_CAUSE_OUT_OF_RESOURCES);
        return;
    }
    if (s->journal.cost > (uint64_t)hf_keep_rules(k)->buffer + ANSWERS_MAX) {
        hf_keep_give_up(k, HF_CAUSE_SESSION_OVERFLOW); /* nothing else bounds what it asks for */
        return;
    }
    hf_keep_charge(k);
    hf_keep_pump_client(k);
    hf_keep_tell(k);
}

bool hf_keep_post_message(struct hf_keep *k, uint8_t opcode, struct hf_slice payload)
{
    struct hf_session *s = &k->session;
    if (s->state == HF_SESSION_ENDED) {
        return false;
    }
    if (is_deaf(k)) {
        return true;
    }
    if (!check_message(k, payload.len)) {
        return false;
    }
    if (is_beat(k, opcode, payload.len) &&
        (hf_wire_is_open(&k->backend) || hf_keep_hold_is_away(k)) &&
        hf_slice_eq(payload, hf_slice_of(k->backend.route->config->app_heartbeat.match))) {
        answer_beat(k, payload);
    } else if (goes_at_once(k)) {
        hf_keep_hold_record(k, opcode, payload);
        hf_wire_message(&k->backend, opcode, payload, false);
        hf_session_passed(s, payload.len, hf_keep_now(k));
        wrote(k);
        hf_keep_tell(k);
    } else if (hf_session_queue(s, &hf_heap, opcode, payload, hf_keep_now(k)) != HF_OK) {
        hf_keep_give_up(k, HF_CAUSE_OUT_OF_RESOURCES);
    } else {
        hf_keep_charge(k);
        hf_keep_set_timer(k);
    }
    return s->state != HF_SESSION_ENDED;
}

bool hf_keep_message(struct hf_attachment *a, uint8_t opcode, struct hf_slice payload)
{
    struct hf_keep *k = a->keep;
    return hf_keep_post_message(k, opcode, payload) && a->keep == k;
}
