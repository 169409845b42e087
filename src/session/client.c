/* SPDX-License-Identifier: Apache-2.0 */
/* The library's side of a session: what client.h tells, but for what control messages do, which is
 * client_control.c. */
#include "session/client.h"

#include "session/client_inside.h"
#include "ws/frame.h"

#define AUTH_VALUE_MAX 8000
#define SHUT_WAIT HF_SECONDS(5)
#define QUIET_BEATS 2
#define SILENCES 1          /* without a hello that are taken for a path that died */
#define SILENCES_EXPECTED 3 /* the same where a gateway has answered before */
#define PLAIN_ROOM 65536    /* bytes that may wait for a socket before a message counts as queued */

void hf_client_init(struct hf_client *c, const struct hf_allocator *alloc,
                    const struct hf_client_rules *rules)
{
    *c = (struct hf_client){.alloc = alloc,
                            .rules = *rules,
                            .parted = HF_NEVER,
                            .ack_due = HF_NEVER,
                            .close_by = HF_NEVER,
                            .hello_by = HF_NEVER};
    struct hf_buffer *buffers[] = {&c->name, &c->token, &c->protocol, &c->auth, &c->room};
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
        hf_buffer_init(buffers[i], alloc, 4 * (size_t)HF_CONTROL_AUTH_MAX);
    }
    hf_journal_init(&c->journal, 0);
    hf_journal_init(&c->lost, 0);
}

void hf_client_fini(struct hf_client *c)
{
    struct hf_buffer *buffers[] = {&c->name, &c->token, &c->protocol, &c->auth, &c->room};
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
        hf_buffer_reset(buffers[i]);
    }
    hf_journal_fini(&c->journal, c->alloc);
    hf_journal_fini(&c->lost, c->alloc);
}

/* ---- what is told -------------------------------------------------------------------------------
 */

struct hf_client_event *hf_client_tell(struct hf_client *c, enum hf_client_event_kind kind)
{
    HF_ASSERT(c->pending_count < sizeof(c->pending) / sizeof(c->pending[0]));
    struct hf_client_event *event = &c->pending[c->pending_count++];
    *event = (struct hf_client_event){.kind = kind};
    return event;
}

enum hf_client_event_kind hf_client_next(struct hf_client *c, struct hf_client_event *event)
{
    *event = (struct hf_client_event){.kind = HF_CLIENT_EVENT_NONE};
    if (c->pending_count > 0) {
        *event = c->pending[0];
        c->pending_count--;
        memmove(c->pending, c->pending + 1, c->pending_count * sizeof(c->pending[0]));
    }
    if (event->kind == HF_CLIENT_EVENT_LOST) {
        hf_journal_seek(&c->lost, &c->lost_at, c->lost.base);
    } else if (c->lost.bytes > 0) {
        hf_journal_fini(&c->lost, c->alloc);
    }
    return event->kind;
}

bool hf_client_lost_next(struct hf_client *c, struct hf_record *record)
{
    return hf_journal_next(&c->lost, &c->lost_at, record);
}

/* The connection is of no use any more. word: one for a record; why: a sentence. */
void hf_client_abandon(struct hf_client *c, const char *word, const char *why)
{
    struct hf_client_event *event = hf_client_tell(c, HF_CLIENT_EVENT_ABANDON);
    event->data = hf_slice_of(word);
    event->why = why;
    c->link = HF_CLIENT_SHUT;
    c->hello_by = HF_NEVER;
    c->ack_due = HF_NEVER;
}

/* ---- sessions that end --------------------------------------------------------------------------
 */

/* The next session, or connection without a gateway, counts from 0; what lies in the journal waits
 * for it. */
static void forget_session(struct hf_client *c)
{
    c->known = false;
    c->has_secret = false;
    hf_buffer_clear(&c->name);
    hf_buffer_clear(&c->token);
    c->has_auth = false;
    c->attempt = 0;
    c->rebound = 0;
    c->received = 0;
    c->acked = 0;
    c->unacked = 0;
    c->ack_due = HF_NEVER;
    c->ack_now = false;
    c->parted = HF_NEVER;
    c->sent = 0;
    c->out_cost = 0;
    c->bye_out = false;
    c->close_out = false;
    c->journal.end -= c->journal.base; /* records do not know their numbers */
    c->journal.base = 0;
    hf_journal_seek(&c->journal, &c->at, 0);
}

/* Tells LOST with the counts as they are. */
static void tell_lost(struct hf_client *c, struct hf_slice reason, uint64_t old_received)
{
    struct hf_client_event *event = hf_client_tell(c, HF_CLIENT_EVENT_LOST);
    const size_t len = reason.len < sizeof(c->lost_reason) ? reason.len : sizeof(c->lost_reason);
    memcpy(c->lost_reason, len > 0 ? reason.ptr : (const uint8_t *)"", len);
    event->reason = hf_slice(c->lost_reason, len);
    event->received = c->received;
    event->acked = c->known ? c->journal.base : 0;
    event->sent = c->sent;
    event->old_received = old_received;
}

void hf_client_lose(struct hf_client *c, struct hf_slice reason, uint64_t old_received)
{
    const bool any = c->journal.end > c->journal.base;
    if (c->aim != HF_CLIENT_GOODBYE || any) {
        tell_lost(c, reason, old_received);
    }
    hf_journal_fini(&c->lost, c->alloc);
    c->lost = c->journal;
    hf_journal_init(&c->journal, 0);
    forget_session(c);
}

/* ---- connections that come ----------------------------------------------------------------------
 */

void hf_client_offer(struct hf_client *c, const uint8_t fresh[HF_CLIENT_SECRET],
                     struct hf_buffer *out)
{
    if (c->known) {
        c->attempt++;
        hf_offer_write_resume(out, hf_buffer_slice(&c->token), c->epoch, c->received, c->attempt);
    } else {
        if (!c->has_secret) {
            memcpy(c->secret, fresh, HF_CLIENT_SECRET);
            c->has_secret = true;
        }
        hf_offer_write_open(out, hf_slice(c->secret, HF_CLIENT_SECRET));
    }
    (void)hf_buffer_add_text(out, ", hf1");
}

bool hf_client_replace(struct hf_buffer *b, struct hf_slice text)
{
    if (text.len > b->cap && hf_buffer_reserve(b, text.len) != HF_OK) {
        return false;
    }
    hf_buffer_clear(b);
    return hf_buffer_add(b, text) == HF_OK;
}

/* No gateway is in the path: an ordinary WebSocket. */
void hf_client_go_plain(struct hf_client *c)
{
    c->link = HF_CLIENT_PLAIN;
    c->plain = true;
    c->hello_by = HF_NEVER;
    if (c->aim == HF_CLIENT_GO) {
        (void)hf_client_tell(c, HF_CLIENT_EVENT_OPEN);
    }
}

/* The window of a session that was parted from is over: the gateway does not keep it any more. */
static bool window_is_over(const struct hf_client *c, hf_time now)
{
    return c->parted != HF_NEVER && now - c->parted > HF_MS((hf_time)c->window);
}

void hf_client_connected(struct hf_client *c, bool hf1, struct hf_slice protocol, hf_time now)
{
    HF_ASSERT(c->link == HF_CLIENT_APART);
    c->end = (struct hf_client_end){.told = false};
    c->hello_came = false;
    c->heard = now;
    c->patient = now;
    c->graced = false;
    c->bye_out = false;
    c->close_out = false;
    c->link = HF_CLIENT_WAITING;
    c->hello_by = now + HF_CLIENT_HELLO_WAIT;
    if (hf1) {
        return;
    }
    if (c->known && !window_is_over(c, now)) {
        hf_client_abandon(c, "no_gateway", "no gateway answered where the session's is expected");
        return;
    }
    if (c->known) {
        hf_client_lose(c, HF_LITERAL("no_gateway"), HF_NO_COUNT);
    }
    if (!hf_client_replace(&c->protocol, protocol)) {
        hf_client_abandon(c, "out_of_memory", "out of memory");
        return;
    }
    hf_client_go_plain(c);
}

/* ---- messages that come -------------------------------------------------------------------------
 */

static void tell_message(struct hf_client *c, uint8_t opcode, struct hf_slice payload)
{
    struct hf_client_event *event = hf_client_tell(c, HF_CLIENT_EVENT_MESSAGE);
    event->opcode = opcode;
    event->data = payload;
    event->number = ++c->received;
}

static void count_message(struct hf_client *c, uint8_t opcode, struct hf_slice payload, hf_time now)
{
    const uint64_t cost = hf_record_cost(payload.len);
    if (c->unacked > 0 && c->unacked + cost > c->buffer) { /* docs/protocol.md 5 */
        hf_client_abandon(c, "protocol", "the gateway sent more than its credit");
        return;
    }
    if (c->unacked == 0) {
        c->ack_due = now + HF_CLIENT_ACK_WAIT;
    }
    if (c->aim == HF_CLIENT_GO) {
        tell_message(c, opcode, payload);
    } else {
        c->received++; /* docs/protocol.md 8: the application has closed */
    }
    c->unacked += cost;
    c->ack_now = c->ack_now || c->unacked >= c->ack;
}

/* The first message is no hello. */
static void take_stranger(struct hf_client *c, uint8_t opcode, struct hf_slice payload)
{
    if (c->known) {
        hf_client_abandon(c, "protocol", "the first message is no hello");
        return;
    }
    hf_client_go_plain(c);
    tell_message(c, opcode, payload);
}

enum hf_status hf_client_feed(struct hf_client *c, uint8_t opcode, struct hf_slice payload,
                              hf_time now)
{
    const enum hf_text_kind kind = opcode == HF_OP_TEXT ? hf_text_kind(payload) : HF_TEXT_PLAIN;
    HF_ASSERT(c->link != HF_CLIENT_APART);
    c->heard = now;
    c->graced = false;
    switch (c->link) {
    case HF_CLIENT_APART:
        return HF_OK;
    case HF_CLIENT_PLAIN:
        tell_message(c, opcode, payload);
        return HF_OK;
    case HF_CLIENT_WAITING:
    case HF_CLIENT_ATTACHED:
    case HF_CLIENT_SHUT:
        break;
    }
    if (kind == HF_TEXT_CONTROL) {
        return hf_client_control(c, hf_slice_from(payload, 1), now);
    }
    if (c->link == HF_CLIENT_WAITING) {
        take_stranger(c, opcode, payload);
    } else if (c->link == HF_CLIENT_ATTACHED) {
        if (kind == HF_TEXT_BAD) {
            hf_client_abandon(c, "protocol", "a text that is 0x01 alone");
            return HF_OK;
        }
        count_message(c, opcode, kind == HF_TEXT_ESCAPED ? hf_slice_from(payload, 1) : payload,
                      now);
    }
    return HF_OK;
}

/* ---- time ---------------------------------------------------------------------------------------
 */

static hf_time earlier(hf_time a, hf_time b)
{
    return a < b ? a : b;
}

/* When silence is too long. */
static hf_time silence_ends(const struct hf_client *c)
{
    const hf_time quiet = c->heard + QUIET_BEATS * HF_MS((hf_time)c->beat);
    return quiet > c->patient ? quiet : c->patient;
}

hf_time hf_client_deadline(const struct hf_client *c)
{
    hf_time when = c->close_by;
    if (c->aim == HF_CLIENT_OVER) {
        return HF_NEVER;
    }
    if (c->link == HF_CLIENT_WAITING || c->link == HF_CLIENT_SHUT) {
        when = earlier(when, c->hello_by);
    }
    if (c->link == HF_CLIENT_ATTACHED) {
        when = earlier(when, earlier(c->ack_due, silence_ends(c)));
        when = c->has_auth ? earlier(when, c->auth_next) : when;
    }
    return when;
}

static void tick_silence(struct hf_client *c, hf_time now)
{
    const hf_time beat = HF_MS((hf_time)c->beat);
    const hf_time end = silence_ends(c);
    if (now < end) {
        return;
    }
    if (now - end > beat && !c->graced) {
        c->graced = true; /* this machine slept or was busy: its silence proves nothing */
        c->patient = now + beat;
        return;
    }
    hf_client_abandon(c, "heartbeat", "nothing came from the gateway for two beats");
}

/* hf1 was agreed to, and nothing came. A path that died says no more than a server that agrees to
 * whatever it is offered, so this is believed only when it happens again. */
static void tick_no_hello(struct hf_client *c)
{
    if (c->known || c->silences < (c->expected ? SILENCES_EXPECTED : SILENCES)) {
        c->silences++;
        hf_client_abandon(c, "hello_timeout", "no hello came in time");
    } else {
        hf_client_go_plain(c);
    }
}

void hf_client_tick(struct hf_client *c, hf_time now)
{
    if (c->aim == HF_CLIENT_GOODBYE && now >= c->close_by) {
        if (c->link == HF_CLIENT_APART) {
            hf_client_disconnected(c, 0, now);
        } else {
            hf_client_abandon(c, "close_timeout", "the goodbye took too long");
        }
    } else if (c->link == HF_CLIENT_WAITING && now >= c->hello_by) {
        tick_no_hello(c);
    } else if (c->link == HF_CLIENT_SHUT && now >= c->hello_by) {
        hf_client_abandon(c, "close_timeout", "no Close came in time");
    } else if (c->link == HF_CLIENT_ATTACHED) {
        if (now >= c->ack_due) {
            c->ack_now = true;
            c->ack_due = HF_NEVER;
        }
        tick_silence(c, now);
    }
}

/* ---- connections that go ------------------------------------------------------------------------
 */

/* After which the library does not come back by itself: docs/protocol.md section 7. */
static bool end_is_final(struct hf_slice reason)
{
    static const char *const final[] = {"superseded", "auth",    "origin", "host",
                                        "not_found",  "refused", "closed"};
    for (size_t i = 0; i < sizeof(final) / sizeof(final[0]); i++) {
        if (hf_slice_eq(reason, hf_slice_of(final[i]))) {
            return true;
        }
    }
    return false;
}

/* A backend's own Close after which the application is done: docs/protocol.md section 8. */
static bool close_is_final(uint16_t code)
{
    return code == HF_CLOSE_NORMAL || code == HF_CLOSE_POLICY || (code >= 3000 && code <= 4999);
}

/* What was taken on a connection without a gateway is gone; the rest waits for the next. */
static void leave_plain(struct hf_client *c)
{
    hf_journal_drop(&c->journal, c->alloc, c->at.number);
    c->sent = c->at.number;
}

/* The gateway answered our goodbye with the same Close: everything was taken. */
static bool is_answered(const struct hf_client *c, uint16_t code)
{
    const uint16_t said = c->close_code == 0 ? HF_CLOSE_NO_CODE : c->close_code;
    return c->aim == HF_CLIENT_GOODBYE && c->close_out && !c->end.told && code == said;
}

/* Whether nothing follows, when the application has closed. */
static bool goodbye_is_done(const struct hf_client *c, uint16_t code, hf_time now)
{
    const bool empty = c->journal.base == c->journal.end;
    return empty || (c->close_out && (code != 0 || !c->known)) || now >= c->close_by ||
           (c->end.told && end_is_final(hf_slice_of(c->end.reason)));
}

static bool is_done(const struct hf_client *c, uint16_t code, hf_time now)
{
    if (c->aim != HF_CLIENT_GO) {
        return c->aim == HF_CLIENT_OVER || goodbye_is_done(c, code, now);
    }
    if (c->rules.once) {
        return true;
    }
    if (c->end.told) {
        return end_is_final(hf_slice_of(c->end.reason));
    }
    return (c->hello_came || c->plain) && close_is_final(code);
}

/* Whether the gateway has no session any more: it said so, or the backend's own Close came. An end
 * in place of a hello says nothing of the session, unless it is `stale`: docs/protocol.md 4. */
static bool is_gone(const struct hf_client *c, uint16_t code)
{
    if (!c->known) {
        return false;
    }
    if (c->end.told) {
        return c->hello_came || strcmp(c->end.reason, "stale") == 0;
    }
    return c->hello_came && code != 0;
}

static void tell_retry(struct hf_client *c, uint16_t code)
{
    struct hf_client_event *event = hf_client_tell(c, HF_CLIENT_EVENT_RETRY);
    event->soon = c->hello_came && !c->end.told && code == 0;
    event->retry_ms = c->end.told ? c->end.retry : 0;
}

/* It is over; what is still there is handed back. */
static void finish(struct hf_client *c, struct hf_slice reason)
{
    if (c->journal.base != c->journal.end) {
        hf_client_lose(c, reason, HF_NO_COUNT);
    }
    c->aim = HF_CLIENT_OVER;
    (void)hf_client_tell(c, HF_CLIENT_EVENT_DONE);
}

void hf_client_disconnected(struct hf_client *c, uint16_t code, hf_time now)
{
    const struct hf_slice reason = hf_slice_of(c->end.told ? c->end.reason : "closed");
    c->link = HF_CLIENT_APART;
    c->hello_by = HF_NEVER;
    c->ack_due = HF_NEVER;
    if (c->known && c->parted == HF_NEVER) {
        c->parted = now;
    }
    if (c->plain) {
        leave_plain(c);
    } else if (is_answered(c, code)) {
        hf_journal_drop(&c->journal, c->alloc, c->journal.end);
    }
    if (is_done(c, code, now)) {
        finish(c, reason);
    } else {
        if (is_gone(c, code)) {
            hf_client_lose(c, reason, HF_NO_COUNT);
        } else if (c->plain) {
            tell_lost(c, HF_LITERAL("no_gateway"), HF_NO_COUNT);
            forget_session(c);
        }
        tell_retry(c, code);
    }
    c->plain = false;
    c->end = (struct hf_client_end){.told = false};
    c->hello_came = false;
}

/* ---- messages that go ---------------------------------------------------------------------------
 */

static void write_control(struct hf_client *c, const struct hf_control *control,
                          struct hf_client_out *out)
{
    hf_buffer_clear(&c->room);
    (void)hf_buffer_add_byte(&c->room, HF_CONTROL_MARK);
    hf_control_write(control, &c->room);
    out->opcode = HF_OP_TEXT;
    out->payload = hf_buffer_slice(&c->room);
}

static bool take_control(struct hf_client *c, const struct hf_control *control,
                         struct hf_client_out *out)
{
    write_control(c, control, out);
    if (!c->room.failed) {
        return true;
    }
    hf_buffer_reset(&c->room);
    hf_client_abandon(c, "out_of_memory", "out of memory");
    return false;
}

static enum hf_client_take take_ack(struct hf_client *c, struct hf_client_out *out)
{
    struct hf_control control;
    hf_control_init(&control, HF_VERB_ACK);
    control.n = c->received;
    if (!take_control(c, &control, out)) {
        return HF_CLIENT_TAKE_NONE;
    }
    c->acked = c->received;
    c->unacked = 0;
    c->ack_due = HF_NEVER;
    c->ack_now = false;
    return HF_CLIENT_TAKE_CONTROL;
}

static enum hf_client_take take_auth(struct hf_client *c, struct hf_client_out *out, hf_time now)
{
    struct hf_control control;
    hf_control_init(&control, HF_VERB_AUTH);
    control.value = c->auth.len > 0 ? hf_buffer_slice(&c->auth) : HF_LITERAL("");
    c->has_auth = false;
    c->auth_next = now + HF_SECONDS(1);
    return take_control(c, &control, out) ? HF_CLIENT_TAKE_CONTROL : HF_CLIENT_TAKE_NONE;
}

/* The bye, then the Close. */
static enum hf_client_take take_goodbye(struct hf_client *c, struct hf_client_out *out, hf_time now)
{
    struct hf_control control;
    const struct hf_slice reason = hf_slice(c->close_reason, c->close_reason_len);
    if (!c->plain && !c->bye_out) {
        hf_control_init(&control, HF_VERB_BYE);
        control.code = c->close_code;
        control.reason = reason.len > 0 ? reason : (struct hf_slice){NULL, 0};
        c->bye_out = take_control(c, &control, out);
        return c->bye_out ? HF_CLIENT_TAKE_CONTROL : HF_CLIENT_TAKE_NONE;
    }
    c->close_out = true;
    c->link = HF_CLIENT_SHUT;
    c->hello_by = now + SHUT_WAIT;
    out->code = c->close_code == 0 ? HF_CLOSE_NO_CODE : c->close_code;
    out->payload = reason;
    return HF_CLIENT_TAKE_CLOSE;
}

static enum hf_client_take take_record(struct hf_client *c, struct hf_client_out *out)
{
    struct hf_journal_cursor at = c->at;
    struct hf_record record;
    if (!hf_journal_next(&c->journal, &at, &record)) {
        return HF_CLIENT_TAKE_NONE;
    }
    const uint64_t cost = hf_record_cost(record.payload.len);
    if (!c->plain) {
        if (c->out_cost > 0 && c->out_cost + cost > c->buffer) {
            return HF_CLIENT_TAKE_NONE; /* docs/protocol.md 5: no credit */
        }
        c->out_cost += cost;
        out->escape = record.opcode == HF_OP_TEXT && hf_text_needs_escape(record.payload);
    }
    c->at = at;
    c->sent = c->sent > record.number ? c->sent : record.number;
    out->opcode = record.opcode;
    out->payload = record.payload;
    out->number = record.number;
    return HF_CLIENT_TAKE_MESSAGE;
}

enum hf_client_take hf_client_take(struct hf_client *c, struct hf_client_out *out, hf_time now)
{
    *out = (struct hf_client_out){.opcode = 0};
    if (c->link != HF_CLIENT_ATTACHED && c->link != HF_CLIENT_PLAIN) {
        return HF_CLIENT_TAKE_NONE;
    }
    if (c->plain) {
        hf_journal_drop(&c->journal, c->alloc, c->at.number);
    } else if (c->ack_now) {
        return take_ack(c, out);
    } else if (c->has_auth && now >= c->auth_next) {
        return take_auth(c, out, now);
    }
    const enum hf_client_take take = take_record(c, out);
    if (take == HF_CLIENT_TAKE_NONE && c->aim == HF_CLIENT_GOODBYE &&
        c->at.number == c->journal.end) {
        return take_goodbye(c, out, now);
    }
    return take;
}

/* ---- the application ----------------------------------------------------------------------------
 */

static bool is_full(const struct hf_client *c, uint64_t cost)
{
    const uint64_t count = c->journal.end - c->journal.base;
    return count > 0 &&
           (count >= c->rules.queue_messages || c->journal.cost + cost > c->rules.queue_cost);
}

enum hf_client_send hf_client_send(struct hf_client *c, uint8_t opcode, struct hf_slice payload)
{
    const uint64_t cost = hf_record_cost(payload.len);
    const uint64_t room = c->plain ? PLAIN_ROOM : c->buffer;
    const uint64_t waits = c->journal.cost;
    if (c->aim != HF_CLIENT_GO) {
        return HF_CLIENT_NOT_OPEN;
    }
    if (c->known && payload.len > c->message_max) {
        return HF_CLIENT_TOO_BIG;
    }
    if (is_full(c, cost)) {
        return HF_CLIENT_FULL;
    }
    if (hf_journal_add(&c->journal, c->alloc, opcode, &payload, 1) != HF_OK) {
        return HF_CLIENT_NO_MEMORY;
    }
    const bool flows = c->link == HF_CLIENT_PLAIN || c->link == HF_CLIENT_ATTACHED;
    return flows && (waits == 0 || waits + cost <= room) ? HF_CLIENT_SENT : HF_CLIENT_QUEUED;
}

bool hf_client_close(struct hf_client *c, uint16_t code, struct hf_slice reason, hf_time now)
{
    if (c->aim != HF_CLIENT_GO) {
        return false;
    }
    HF_ASSERT(reason.len <= sizeof(c->close_reason));
    c->aim = HF_CLIENT_GOODBYE;
    c->close_code = code;
    c->close_reason_len = (uint8_t)reason.len;
    memcpy(c->close_reason, reason.len > 0 ? reason.ptr : (const uint8_t *)"", reason.len);
    c->close_by = now + HF_CLIENT_CLOSE_WAIT;
    if (c->link == HF_CLIENT_APART && c->journal.base == c->journal.end) {
        c->aim = HF_CLIENT_OVER;
    }
    return c->aim == HF_CLIENT_OVER;
}

bool hf_client_auth(struct hf_client *c, struct hf_slice value)
{
    if (!c->known || value.len > AUTH_VALUE_MAX || !hf_client_replace(&c->auth, value)) {
        return false;
    }
    c->has_auth = true;
    return true;
}
