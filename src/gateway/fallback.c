/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of sessions without WebSockets: what they ask for, POSTs, and answers. */
#include "gateway/fallback.h"

#include "base/random.h"
#include "gateway/tomb.h"
#include "session/framed.h"
#include "ws/frame.h"
#include "ws/handshake.h"

#include <stdio.h>

#define ANSWER_WAIT HF_SECONDS(30) /* a client that takes nothing for so long is given up */
#define BODY_WAIT HF_SECONDS(60)   /* for the whole body of a POST */
/* Bytes of a list beside the messages that the credit permits: heads, and control messages. */
#define LIST_EXTRA (2 * HF_CONTROL_AUTH_MAX)
/* The body of a POST for no session of ours: read, so that its connection can go on. */
#define STRAY_MAX 65536
/* What a client may send ahead while it waits for an answer, before it is not read any more. */
#define AHEAD_MAX 65536

/* ---- answers ----------------------------------------------------------------------------------
 */

void hf_fallback_head(const struct hf_opening *o, uint16_t status, struct hf_buffer *out)
{
    hf_buffer_addf(out,
                   "HTTP/1.1 %u %s\r\nCache-Control: no-store, no-transform\r\n"
                   "X-Content-Type-Options: nosniff\r\n",
                   status, hf_http_reason(status));
    hf_cors_write(o->cors, hf_head_find(o->head, "Origin"), out);
}

static void add_count(struct hf_buffer *out, const char *name, uint64_t n)
{
    if (n != HF_NO_COUNT) {
        hf_buffer_addf(out, "%s: %llu\r\n", name, (unsigned long long)n);
    }
}

static bool goes_on(const struct hf_opening *o)
{
    return o->fallback.keep_alive && !o->worker->draining;
}

void hf_fallback_answer(struct hf_opening *o, const struct hf_answer *a)
{
    struct hf_buffer *b = &o->reply;
    bool text = a->type == NULL && a->body.len > 0;
    hf_buffer_clear(b);
    hf_fallback_head(o, a->status, b);
    if (a->body.len > 0 || a->type != NULL) {
        hf_buffer_addf(b, "Content-Type: %s\r\n", text ? "text/plain; charset=utf-8" : a->type);
    }
    if (a->status != 204) { /* RFC 9110 8.6 */
        hf_buffer_addf(b, "Content-Length: %zu\r\n", a->body.len + (text ? 1 : 0));
    }
    add_count(b, "HF-Received", a->received);
    add_count(b, "HF-Seq", a->seq);
    if (a->retry_ms != HF_NO_COUNT) {
        add_count(b, "Retry-After", (a->retry_ms + 999) / 1000);
    }
    if (a->reason != NULL) {
        hf_buffer_addf(b, "HF-Reason: %s\r\n", a->reason);
    }
    hf_buffer_add_text(b, goes_on(o) ? "\r\n" : "Connection: close\r\n\r\n");
    hf_buffer_add(b, a->body);
    hf_buffer_add_text(b, text ? "\n" : "");
    o->ended = true; /* an answer is no ending */
    if (b->failed) {
        hf_opening_free(o);
        return;
    }
    hf_opening_phase(o, HF_OPENING_ANSWER, ANSWER_WAIT);
    hf_fallback_send(o);
}

void hf_fallback_send(struct hf_opening *o)
{
    size_t sent = hf_stream_send(o->client, hf_buffer_slice(&o->reply));
    hf_buffer_drop(&o->reply, sent);
    if (o->reply.len > 0) {
        if (sent > 0) { /* it takes, if slowly */
            hf_opening_phase(o, HF_OPENING_ANSWER, ANSWER_WAIT);
        }
        return;
    }
    if (goes_on(o)) {
        hf_opening_again(o);
    } else {
        hf_opening_reply(o); /* nothing more to send: it ends in good order */
    }
}

static void say(struct hf_opening *o, uint16_t status, const char *reason, const char *why)
{
    hf_fallback_answer(o, &(struct hf_answer){.status = status,
                                              .body = hf_slice_of(why),
                                              .reason = reason,
                                              .received = HF_NO_COUNT,
                                              .seq = HF_NO_COUNT,
                                              .retry_ms = HF_NO_COUNT});
}

/* The same, and the connection ends: the rest of the request is not read. */
static void say_last(struct hf_opening *o, uint16_t status, const char *why)
{
    o->fallback.keep_alive = false;
    say(o, status, NULL, why);
}

/* The status of a refusal whose `end` names none. */
static uint16_t status_of_reason(struct hf_slice reason)
{
    static const struct {
        const char *reason;
        uint16_t status;
    } known[] = {{"auth", 403},  {"origin", 403}, {"host", 403},     {"not_found", 404},
                 {"limit", 429}, {"stale", 409},  {"protocol", 400}, {"closed", 410}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (hf_slice_eq(reason, hf_slice_of(known[i].reason))) {
            return known[i].status;
        }
    }
    return 503;
}

void hf_fallback_refuse(struct hf_opening *o, const struct hf_control *end)
{
    char reason[64];
    char why[160];
    bool told = end->http != HF_NO_COUNT && end->http >= 400 && end->http <= 599;
    struct hf_slice who = end->who.ptr == NULL ? HF_LITERAL("gateway") : end->who;
    (void)snprintf(reason, sizeof(reason), "%.*s",
                   HF_SLICE_ARG(hf_slice_first(end->reason, sizeof(reason) - 1)));
    (void)snprintf(why, sizeof(why), "The %.*s refuses the session: %s.",
                   HF_SLICE_ARG(hf_slice_first(who, 32)), reason);
    uint16_t status = told ? (uint16_t)end->http : status_of_reason(end->reason);
    if (o->fallback.kind == HF_FALLBACK_SSE && o->fallback.by_hand &&
        strcmp(reason, "closed") == 0) {
        status = 204; /* tells an EventSource not to come again */
    }
    o->known = false;
    hf_fallback_answer(
        o, &(struct hf_answer){.status = status,
                               .body = status == 204 ? hf_slice(NULL, 0) : hf_slice_of(why),
                               .reason = reason,
                               .received = HF_NO_COUNT,
                               .seq = HF_NO_COUNT,
                               .retry_ms = end->retry});
}

/* ---- attaching --------------------------------------------------------------------------------
 */

/* Last-Event-ID as it was given: <token>.<epoch>.<S>. False when it is something else, which opens
 * a new session. */
static bool read_event_id(struct hf_slice rest, struct hf_slice *token, uint64_t *epoch,
                          uint64_t *received)
{
    struct hf_slice text;
    return hf_slice_next(&rest, '.', token) && token->len == HF_TOKEN_CHARS &&
           hf_slice_next(&rest, '.', &text) && hf_slice_number(text, HF_COUNT_MAX - 1, epoch) &&
           hf_slice_number(rest, HF_COUNT_MAX - 1, received);
}

/* For one who counts no attempts the time is a number that grows with each. */
static void offer_of_event(const struct hf_opening *o, struct hf_buffer *out)
{
    struct hf_slice token;
    uint64_t epoch;
    uint64_t received;
    if (o->fallback.by_hand && read_event_id(o->fallback.last_event, &token, &epoch, &received)) {
        hf_offer_write_resume(out, token, epoch, received, (uint64_t)o->worker->loop->now);
    }
}

bool hf_fallback_names(const struct hf_head *head, struct hf_offer *offer, struct hf_token *token)
{
    struct hf_fallback f;
    struct hf_slice text;
    uint64_t number;
    hf_fallback_read(head, &f);
    if (f.kind == HF_FALLBACK_POLL || f.kind == HF_FALLBACK_POST) {
        return hf_key_read(f.key, token);
    }
    if (f.kind != HF_FALLBACK_SSE && f.kind != HF_FALLBACK_POLL_OPEN) {
        return false;
    }
    (void)hf_offer_member(offer, HF_LITERAL("hf1"));
    (void)hf_offer_member(offer, f.open);
    (void)hf_offer_member(offer, f.resume);
    return f.by_hand && read_event_id(f.last_event, &text, &number, &number) &&
           hf_token_read(text, token);
}

static bool is_same_origin(const struct hf_opening *o)
{
    const struct hf_slice *site = hf_head_find(o->head, "Sec-Fetch-Site");
    return hf_head_count(o->head, "Origin") == 0 && site != NULL &&
           hf_slice_eq(*site, HF_LITERAL("same-origin"));
}

/* A browser names no origin when it asks its own; a backend that checks origins wants one. */
static void origin_of_host(const struct hf_opening *o, struct hf_buffer *out)
{
    const struct hf_slice *proto =
        o->front_trusted ? hf_head_find(o->head, "X-Forwarded-Proto") : NULL;
    bool https =
        proto != NULL ? hf_slice_eq_nocase(*proto, HF_LITERAL("https")) : o->listener_tls != NULL;
    if (is_same_origin(o)) {
        hf_buffer_add_text(out, https ? "https://" : "http://");
        hf_buffer_add(out, *hf_opening_host(o));
    }
}

/* The head becomes that of the handshake. False: it does not fit. */
static bool become_handshake(struct hf_opening *o)
{
    uint8_t nonce[16];
    char key[HF_WS_KEY_CHARS];
    const char *why;
    size_t max = 2 * o->runtime->config->head_max + 1024;
    struct hf_buffer resume;
    struct hf_buffer origin;
    struct hf_buffer text;
    hf_buffer_init(&resume, &hf_heap, 256);
    hf_buffer_init(&origin, &hf_heap, o->head_bytes.max + 16);
    hf_buffer_init(&text, &hf_heap, max);
    for (size_t i = 0; i < 2; i++) {
        uint64_t random = hf_random_next(&o->worker->random);
        memcpy(nonce + 8 * i, &random, sizeof(random));
    }
    hf_ws_key(nonce, key);
    offer_of_event(o, &resume);
    origin_of_host(o, &origin);
    hf_fallback_handshake(o->head, &o->fallback, hf_slice(key, sizeof(key)),
                          hf_buffer_slice(&resume), hf_buffer_slice(&origin), &text);
    bool fits = !text.failed && !origin.failed &&
                hf_request_read(hf_buffer_slice(&text), max, o->head, &why) == HF_HEAD_READ;
    hf_buffer_reset(&resume);
    hf_buffer_reset(&origin);
    hf_buffer_reset(&o->head_bytes);
    o->head_bytes = text;
    o->fallback.open = o->fallback.resume = o->fallback.last_event = hf_slice(NULL, 0);
    return fits;
}

/* An EventSource comes again for ever; 204 tells it that this session is over for good. */
static bool is_over(const struct hf_opening *o)
{
    struct hf_slice text;
    struct hf_token token;
    uint64_t number;
    if (!o->fallback.by_hand || !read_event_id(o->fallback.last_event, &text, &number, &number) ||
        !hf_token_read(text, &token)) {
        return false;
    }
    const struct hf_tomb *tomb = hf_tomb_of_token(o->worker->keeper, &token);
    return tomb != NULL && tomb->verdict == HF_RESUME_CLOSED;
}

static bool begin_attaching(struct hf_opening *o)
{
    if (is_over(o)) {
        say(o, 204, "closed", "");
        return false;
    }
    if (!become_handshake(o)) {
        hf_opening_refuse(o, HF_CAUSE_HANDSHAKE_BAD, 431, "the request's head is too large", 0);
        return false;
    }
    return true;
}

void hf_fallback_attach(struct hf_opening *o)
{
    bool sse = o->fallback.kind == HF_FALLBACK_SSE;
    struct hf_seat *seat = sse ? hf_sse_new(o) : hf_poll_new(o);
    struct hf_arrival arrival = {.offer = &o->offer,
                                 .identity = o->identity,
                                 .petition = hf_opening_petition(o),
                                 .over_limit = o->over_limit,
                                 .gaps = sse && o->fallback.by_hand};
    if (seat == NULL) {
        hf_opening_refuse(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "out of memory", 1);
        return;
    }
    arrival.attachment = &seat->attachment;
    o->identity = NULL; /* the session's, unless it has no memory */
    seat->arriving = true;
    enum hf_status status = hf_keep_arrive(o->worker, &arrival);
    seat->arriving = false;
    if (status != HF_OK) {
        o->identity = arrival.identity;
        (void)hf_seat_take(seat);
        seat->seat_ops->kill(seat);
        hf_opening_refuse(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "out of memory", 1);
        return;
    }
    o->ended = true; /* how it ends is the session's to record */
    o->known = true;
    if (sse) {
        hf_count(o->worker, HF_COUNT_fallback_streams, 1);
        hf_sse_arrived(seat);
    } else {
        hf_count(o->worker, HF_COUNT_fallback_polls, 1);
        hf_poll_arrived(seat);
    }
}

/* ---- requests with a key ----------------------------------------------------------------------
 */

static void answer_no_seat(struct hf_opening *o, const struct hf_token *key)
{
    const char *reason = "unknown";
    if (hf_keep_find(o->worker, key, &reason) != NULL) {
        say(o, 409, "detached",
            "The session has no event stream and no polls at the moment: attach first (GET with "
            "HF-Resume), then send again what lies beyond `received`.");
    } else if (strcmp(reason, "unknown") == 0) {
        say(o, 404, reason, "No session has this key: open a new one (GET without HF-Key).");
    } else {
        say(o, 410, reason, "The session has ended: open a new one (GET without HF-Key).");
    }
}

/* The seat that the request is for, with its session, or NULL: it is answered. */
static struct hf_seat *seat_of_key(struct hf_opening *o, struct hf_token *key)
{
    if (!hf_key_read(o->fallback.key, key)) {
        say(o, 404, "unknown", "HF-Key is no session's key: it is `key` of the hello.");
        return NULL;
    }
    struct hf_seat *seat = hf_seat_find(o->worker, o->fallback.key);
    if (seat == NULL || (seat->attachment.keep == NULL && !seat->polls)) {
        answer_no_seat(o, key);
        return NULL;
    }
    if (strcmp(seat->route->config->path, o->identity->route->config->path) != 0) {
        say(o, 404, "unknown", "The session with this key is of another path.");
        return NULL;
    }
    o->known = true;
    return seat;
}

static void begin_poll(struct hf_opening *o)
{
    struct hf_token key;
    struct hf_seat *seat = seat_of_key(o, &key);
    if (seat == NULL) {
        return;
    }
    if (!seat->polls) {
        say(o, 409, "detached",
            "The session is attached by an event stream: to go over to polls, attach anew (GET "
            "with "
            "HF-Resume).");
        return;
    }
    hf_count(o->worker, HF_COUNT_fallback_polls, 1);
    hf_poll_again(seat, o, o->fallback.received);
}

/* Bytes of a body that could be taken at all. */
static uint64_t body_max(const struct hf_opening *o)
{
    const struct hf_route *route = o->identity->route;
    uint64_t message = route->config->message_max;
    if (o->fallback.content != HF_CONTENT_LIST) {
        return message;
    }
    uint64_t buffer = route->session_rules.buffer;
    return LIST_EXTRA + buffer + (message > buffer ? message - buffer : 0);
}

static void finish_post(struct hf_opening *o);

/* What a session lets come at once is bounded, for a body waits for its end in memory; one for
 * nobody is not kept. */
static bool count_body(struct hf_opening *o)
{
    struct hf_token key;
    struct hf_keep *keep =
        hf_key_read(o->fallback.key, &key) ? hf_keep_find(o->worker, &key, NULL) : NULL;
    o->body_counted = keep != NULL && hf_keep_begin_body(keep);
    return keep == NULL || o->body_counted;
}

static void uncount_body(struct hf_opening *o)
{
    struct hf_token key;
    if (!o->body_counted) {
        return;
    }
    o->body_counted = false;
    struct hf_keep *keep =
        hf_key_read(o->fallback.key, &key) ? hf_keep_find(o->worker, &key, NULL) : NULL;
    if (keep != NULL) {
        hf_keep_end_body(keep);
    }
}

static void begin_post(struct hf_opening *o)
{
    /* Who it is for is said when the body has come, so that the connection can go on. */
    struct hf_seat *seat = hf_seat_find(o->worker, o->fallback.key);
    hf_count(o->worker, HF_COUNT_fallback_posts, 1);
    o->seat_serial = seat == NULL ? 0 : seat->serial;
    o->body_bytes.max = (size_t)(seat == NULL ? STRAY_MAX : body_max(o));
    if (o->body.kind == HF_BODY_LENGTH && o->body.left > o->body_bytes.max) {
        say_last(o, 413, "The body is larger than `buffer` and `message_max` permit.");
        return;
    }
    if (o->body.kind == HF_BODY_NONE || (o->fallback.expects && seat == NULL)) {
        o->fallback.keep_alive = o->fallback.keep_alive && o->body.kind == HF_BODY_NONE;
        finish_post(o);
        return;
    }
    if (!count_body(o)) {
        o->fallback.keep_alive = false;
        hf_fallback_answer(
            o, &(struct hf_answer){
                   .status = 429,
                   .body = HF_LITERAL("Too many POSTs of this session are on their way already."),
                   .reason = "credit",
                   .received = HF_NO_COUNT,
                   .seq = HF_NO_COUNT,
                   .retry_ms = 1000});
        return;
    }
    hf_opening_phase(o, HF_OPENING_BODY, BODY_WAIT);
    if (o->fallback.expects && !o->early_bytes) { /* RFC 9110 10.1.1 */
        static const struct hf_slice go_on = HF_LITERAL("HTTP/1.1 100 Continue\r\n\r\n");
        if (hf_stream_send(o->client, go_on) < go_on.len) {
            hf_opening_free(o); /* an answer before this one was taken whole: it is a dead one */
            return;
        }
    }
    hf_stream_pause(o->client); /* what came of the body is offered again */
    hf_stream_resume(o->client);
}

/* ---- POST -------------------------------------------------------------------------------------
 */

/* What a POST came to. */
struct outcome {
    uint16_t status;
    const char *reason;
    const char *why;
    uint64_t retry_ms;
};

static bool stop(struct outcome *out, uint16_t status, const char *reason, const char *why)
{
    out->status = status;
    out->reason = reason;
    out->why = why;
    return false;
}

static bool is_text(struct hf_slice payload)
{
    uint32_t utf8 = 0;
    return hf_utf8_feed(&utf8, payload) && utf8 == 0;
}

static bool has_ended(struct outcome *out)
{
    return stop(out, 410, "closed", "The session has ended: open a new one.");
}

static bool take_message(struct hf_seat *seat, uint64_t number, uint8_t opcode,
                         struct hf_slice payload, struct outcome *out)
{
    const struct hf_keep *keep = seat->attachment.keep;
    uint64_t received = hf_keep_received(keep);
    if (number != HF_FALLBACK_ABSENT && number <= received) {
        return true; /* it was counted: answered as done */
    }
    if (number != HF_FALLBACK_ABSENT && number > received + 1) {
        return stop(out, 409, "gap",
                    "Messages before HF-Seq are missing: send from HF-Received + 1 on.");
    }
    if (payload.len > seat->route->config->message_max) {
        return stop(out, 413, "too_big", "A message is larger than `message_max`.");
    }
    if (!hf_keep_may_post(keep, payload.len)) {
        out->retry_ms = 1000;
        return stop(
            out, 429, "credit",
            "The backend has not taken what was sent before: wait for `ack`, then send from "
            "HF-Received + 1 on.");
    }
    return hf_keep_message(&seat->attachment, opcode, payload) || has_ended(out);
}

static bool take_control(struct hf_seat *seat, struct hf_slice text, struct outcome *out)
{
    struct hf_slice rest = text;
    struct hf_slice verb = {NULL, 0};
    if (text.len >= HF_CONTROL_AUTH_MAX) {
        return stop(out, 413, "protocol", "A control message is longer than is allowed.");
    }
    (void)hf_slice_next(&rest, ' ', &verb);
    bool goes_on = hf_keep_control(&seat->attachment, text);
    if (hf_slice_eq(verb, HF_LITERAL("bye"))) { /* behind it nothing is said, ended or not yet */
        return stop(out, 200, NULL, NULL);
    }
    if (!goes_on) {
        return has_ended(out);
    }
    if (hf_slice_eq(verb, HF_LITERAL("ack"))) {
        uint64_t n;
        if (hf_slice_starts(rest, HF_LITERAL("n=")) &&
            hf_slice_number(hf_slice_from(rest, 2), HF_COUNT_MAX - 1, &n)) {
            seat->seat_ops->acknowledged(seat, n);
        }
    }
    return true;
}

/* One of the list; `number` grows with each message. */
static bool take_item(struct hf_seat *seat, enum hf_framed_type type, struct hf_slice payload,
                      uint64_t *number, struct outcome *out)
{
    if (type == HF_FRAMED_CONTROL) {
        return take_control(seat, payload, out);
    }
    uint8_t opcode = type == HF_FRAMED_TEXT ? HF_OP_TEXT : HF_OP_BINARY;
    if (opcode == HF_OP_TEXT && !is_text(payload)) {
        return stop(out, 400, "protocol", "A text is not UTF-8.");
    }
    if (*number == HF_FALLBACK_ABSENT) {
        return stop(out, 400, "protocol", "A list with messages needs HF-Seq.");
    }
    return take_message(seat, (*number)++, opcode, payload, out);
}

static void take_list(struct hf_opening *o, struct outcome *out)
{
    struct hf_slice list = hf_buffer_slice(&o->body_bytes);
    uint64_t number = o->fallback.seq;
    while (list.len > 0) {
        enum hf_framed_type type;
        struct hf_slice payload;
        size_t size;
        /* Each step may have ended the session, and then the seat with it. */
        struct hf_seat *seat = hf_seat_find(o->worker, o->fallback.key);
        if (seat == NULL || seat->attachment.keep == NULL) {
            (void)has_ended(out);
            return;
        }
        if (hf_framed_read(list, &type, &payload, &size) != HF_FRAMED_READ) {
            (void)stop(out, 400, "protocol",
                       "The list cannot be read: type (1 byte), length (4 bytes, big-endian) and "
                       "payload are wanted, again and again.");
            return;
        }
        if (!take_item(seat, type, payload, &number, out)) {
            return;
        }
        list = hf_slice_from(list, size);
    }
}

static void finish_post(struct hf_opening *o)
{
    uncount_body(o);
    struct outcome out = {.status = 200, .retry_ms = HF_NO_COUNT};
    struct hf_token key;
    struct hf_seat *seat = seat_of_key(o, &key);
    if (seat == NULL) {
        return;
    }
    if (seat->attachment.keep == NULL) { /* polls that have their last list to bring */
        answer_no_seat(o, &key);
        return;
    }
    if (seat->serial != o->seat_serial) {
        /* Section 4: what arrives on another connection than the newest is ignored. */
        say(o, 409, "superseded",
            "The session was attached anew while the body came, and nothing of it was taken: send "
            "again what lies beyond `received`.");
        return;
    }
    struct hf_slice body = hf_buffer_slice(&o->body_bytes);
    if (o->fallback.content == HF_CONTENT_LIST) {
        take_list(o, &out);
    } else {
        uint8_t opcode = o->fallback.content == HF_CONTENT_TEXT ? HF_OP_TEXT : HF_OP_BINARY;
        if (opcode == HF_OP_TEXT && !is_text(body)) {
            (void)stop(&out, 400, "protocol", "A text is not UTF-8.");
        } else {
            (void)take_message(seat, o->fallback.seq, opcode, body, &out);
        }
    }
    const struct hf_keep *keep = hf_keep_find(o->worker, &key, NULL);
    hf_fallback_answer(
        o, &(struct hf_answer){.status = out.status,
                               .body = hf_slice_of(out.why),
                               .reason = out.reason,
                               .received = keep != NULL ? hf_keep_received(keep) : HF_NO_COUNT,
                               .seq = HF_NO_COUNT,
                               .retry_ms = out.retry_ms});
}

static size_t take_body(struct hf_opening *o, struct hf_slice bytes)
{
    size_t taken;
    enum hf_request_body_read read = hf_request_body_read(&o->body, bytes, &taken, &o->body_bytes);
    if (o->seat_serial == 0) {
        size_t left = o->body_bytes.max - o->body_bytes.len;
        hf_buffer_reset(&o->body_bytes);
        o->body_bytes.max = left;
    }
    switch (read) {
    case HF_REQUEST_BODY_MORE:
        break;
    case HF_REQUEST_BODY_WHOLE:
        finish_post(o);
        break;
    case HF_REQUEST_BODY_BAD:
        say_last(o, 400, "The body's chunks cannot be read.");
        break;
    case HF_REQUEST_BODY_TOO_BIG:
    default:
        say_last(o, 413, "The body is larger than `buffer` and `message_max` permit.");
        break;
    }
    return taken;
}

/* ---- the way of a request ---------------------------------------------------------------------
 */

size_t hf_fallback_bytes(struct hf_opening *o, struct hf_slice bytes)
{
    if (o->phase == HF_OPENING_BODY) {
        return take_body(o, bytes);
    }
    if (bytes.len >= AHEAD_MAX) {
        hf_stream_pause(o->client);
    }
    return 0; /* the next request, before its turn */
}

void hf_fallback_late(struct hf_opening *o)
{
    say_last(o, 408, "The body did not come in time.");
}

void hf_fallback_leave(struct hf_opening *o)
{
    struct hf_seat *seat = o->seat;
    uncount_body(o);
    if (seat != NULL) {
        (void)hf_seat_take(seat);
        seat->seat_ops->left(seat);
    }
}

static void answer_preflight(struct hf_opening *o)
{
    struct hf_buffer *b = &o->reply;
    hf_buffer_clear(b);
    hf_buffer_add_text(b, "HTTP/1.1 204 No Content\r\n");
    hf_cors_write_preflight(o->cors, hf_head_find(o->head, "Origin"),
                            o->identity->route->config->fallback.max_age, b);
    hf_buffer_add_text(b, goes_on(o) ? "\r\n" : "Connection: close\r\n\r\n");
    o->ended = true;
    hf_opening_phase(o, HF_OPENING_ANSWER, ANSWER_WAIT);
    hf_fallback_send(o);
}

bool hf_fallback_begin(struct hf_opening *o)
{
    const char *why = o->fallback.why;
    uint16_t status = o->fallback.status;
    if (status == 0 && (why = hf_request_body_start(&o->body, o->head)) != NULL) {
        status = 400;
    }
    if (status != 0) { /* where its body ends is not to be trusted */
        hf_opening_refuse(o, HF_CAUSE_HANDSHAKE_BAD, status, why, 0);
        return false;
    }
    switch (o->fallback.kind) {
    case HF_FALLBACK_SSE:
    case HF_FALLBACK_POLL_OPEN:
        return begin_attaching(o);
    case HF_FALLBACK_POLL:
        begin_poll(o);
        return false;
    case HF_FALLBACK_POST:
        begin_post(o);
        return false;
    case HF_FALLBACK_PREFLIGHT:
    case HF_FALLBACK_NONE:
    default:
        answer_preflight(o);
        return false;
    }
}
