/* SPDX-License-Identifier: Apache-2.0 */
/* The library's side of a session: the traces of tests/vectors/sessions.json, played with the waits
 * that the library draws; and what happens when memory runs out. */
#include "session/client.h"

#include "base/hash.h"
#include "policy/backoff.h"
#include "ws/frame.h"

#include "test_alloc.h"
#include "test_unit.h"
#include "vectors.h"

#include <stdlib.h>

#define QUEUE_MAX 32
#define NAMES_MAX 8

/* One thing that the library did. */
struct did {
    char what[16]; /* connect, send, close; open, message, ... */
    bool control;  /* a send */
    uint8_t opcode;
    uint64_t code;
    uint64_t from, to, attempt, acked, sent, old_received, http;
    struct hf_buffer bytes; /* payload, protocols, reason */
    struct hf_buffer extra; /* the reason of an end */
    json_t *messages;       /* of lost, as the vectors write them */
};

struct queue {
    struct did did[QUEUE_MAX];
    size_t first, count;
};

struct name {
    char name[32];
    char text[64];
};

struct runner {
    struct hf_client c;
    struct hf_random random;
    struct hf_backoff backoff;
    hf_time now, retry_at, leave_at, settled_at;
    const char *protocols; /* the application's, ", " between */
    bool dialing, open, over;
    struct queue wire, app;
    struct name names[NAMES_MAX];
    size_t name_count;
    uint16_t close_code;
    struct hf_buffer close_reason;
    struct hf_client_end end; /* of the connection that is gone */
};

static const char *trace; /* its name, for failures */

/* ---- what it did --------------------------------------------------------------------------------
 */

static struct did *push(struct queue *q, const char *what)
{
    assert_true(q->count < QUEUE_MAX);
    struct did *did = &q->did[(q->first + q->count++) % QUEUE_MAX];
    *did = (struct did){.code = HF_NO_COUNT, .old_received = HF_NO_COUNT};
    (void)snprintf(did->what, sizeof(did->what), "%s", what);
    hf_buffer_init(&did->bytes, &hf_heap, SIZE_MAX);
    hf_buffer_init(&did->extra, &hf_heap, SIZE_MAX);
    return did;
}

static void pop(struct queue *q)
{
    struct did *did = &q->did[q->first];
    hf_buffer_reset(&did->bytes);
    hf_buffer_reset(&did->extra);
    json_decref(did->messages);
    q->first = (q->first + 1) % QUEUE_MAX;
    q->count--;
}

static void push_close(struct runner *r, uint16_t code, struct hf_slice reason)
{
    struct did *did = push(&r->wire, "close");
    did->code = code;
    hf_buffer_add(&did->bytes, reason);
}

static json_t *message_of(uint8_t opcode, struct hf_slice payload)
{
    char *text = malloc(HF_BASE64_LEN(payload.len) + 1);
    text[hf_base64_encode(payload, text)] = '\0';
    json_t *bytes = json_pack("{s:s}", "base64", text);
    free(text);
    return json_pack("{s:o}", opcode == HF_OP_TEXT ? "text" : "binary", bytes);
}

static void push_lost(struct runner *r, const struct hf_client_event *event)
{
    struct did *did = push(&r->app, "lost");
    struct hf_record record;
    hf_buffer_add(&did->bytes, event->reason);
    did->acked = event->acked;
    did->sent = event->sent;
    did->old_received = event->old_received;
    did->messages = json_array();
    while (hf_client_lost_next(&r->c, &record)) {
        json_array_append_new(did->messages, message_of(record.opcode, record.payload));
    }
}

/* ---- the library around the machine
 * ---------------------------------------------------------------
 */

static void pump(struct runner *r);

static void gone(struct runner *r, uint16_t code, struct hf_slice reason)
{
    r->open = false;
    r->leave_at = HF_NEVER;
    r->settled_at = HF_NEVER;
    r->close_code = code;
    hf_buffer_clear(&r->close_reason);
    hf_buffer_add(&r->close_reason, reason);
    r->end = r->c.end;
    hf_client_disconnected(&r->c, code, r->now);
}

static void attempt(struct runner *r)
{
    uint8_t fresh[HF_CLIENT_SECRET];
    struct did *did = push(&r->wire, "connect");
    for (size_t i = 0; i < sizeof(fresh); i++) {
        fresh[i] = (uint8_t)hf_random_next(&r->random);
    }
    hf_client_offer(&r->c, fresh, &did->bytes);
    if (r->protocols[0] != '\0') {
        hf_buffer_addf(&did->bytes, ", %s", r->protocols);
    }
    r->retry_at = HF_NEVER;
    r->dialing = true;
}

static void retry(struct runner *r, const struct hf_client_event *event)
{
    static const struct hf_backoff_rules rules = {
        .base = HF_SECONDS(1), .factor_percent = 200, .cap = HF_SECONDS(30)};
    const hf_time wait = event->soon ? (hf_time)hf_random_below(&r->random, 250001)
                                     : hf_backoff_next(&r->backoff, &rules, &r->random);
    r->retry_at = r->now + HF_MS((hf_time)event->retry_ms) + wait;
    if (r->c.aim == HF_CLIENT_GO) {
        push(&r->app, "reconnecting");
    }
}

static void done(struct runner *r)
{
    struct did *did = push(&r->app, "close");
    did->code = r->close_code;
    did->http = r->end.http;
    hf_buffer_add(&did->bytes, hf_buffer_slice(&r->close_reason));
    hf_buffer_add_text(&did->extra, r->end.told ? r->end.reason : "");
    r->over = true;
    r->retry_at = HF_NEVER;
    if (r->dialing) {
        push_close(r, HF_CLOSE_ABANDON, hf_slice(NULL, 0));
    }
    r->dialing = false;
}

static void take_event(struct runner *r, const struct hf_client_event *event)
{
    struct did *did;
    switch (event->kind) {
    case HF_CLIENT_EVENT_OPEN:
        r->settled_at = r->now + HF_SECONDS(5);
        did = push(&r->app, "open");
        hf_buffer_add(&did->bytes, hf_buffer_slice(&r->c.protocol));
        break;
    case HF_CLIENT_EVENT_RESUMED:
        hf_backoff_reset(&r->backoff);
        push(&r->app, "resumed");
        break;
    case HF_CLIENT_EVENT_MESSAGE:
        did = push(&r->app, "message");
        did->opcode = event->opcode;
        hf_buffer_add(&did->bytes, event->data);
        break;
    case HF_CLIENT_EVENT_LOST:
        push_lost(r, event);
        break;
    case HF_CLIENT_EVENT_REBOUND:
        did = push(&r->app, "rebound");
        did->from = event->from;
        did->to = event->to;
        did->attempt = event->attempt;
        break;
    case HF_CLIENT_EVENT_GOAWAY:
        r->leave_at = r->now + (hf_time)hf_random_below(&r->random, event->in_ms * 800 + 1);
        break;
    case HF_CLIENT_EVENT_ABANDON:
        push_close(r, HF_CLOSE_ABANDON, hf_slice(NULL, 0));
        gone(r, 0, hf_slice(NULL, 0));
        break;
    case HF_CLIENT_EVENT_RETRY:
        retry(r, event);
        break;
    case HF_CLIENT_EVENT_DONE:
        done(r);
        break;
    case HF_CLIENT_EVENT_AUTH_OK:
    case HF_CLIENT_EVENT_NONE:
        break;
    }
}

static void push_out(struct runner *r, enum hf_client_take take, const struct hf_client_out *out)
{
    if (take == HF_CLIENT_TAKE_CLOSE) {
        push_close(r, out->code, out->payload);
        return;
    }
    struct did *did = push(&r->wire, "send");
    did->opcode = out->opcode;
    did->control = take == HF_CLIENT_TAKE_CONTROL;
    if (out->escape) {
        hf_buffer_add_byte(&did->bytes, HF_CONTROL_MARK);
    }
    hf_buffer_add(&did->bytes, did->control ? hf_slice_from(out->payload, 1) : out->payload);
}

static void tell(struct runner *r)
{
    struct hf_client_event event;
    while (hf_client_next(&r->c, &event) != HF_CLIENT_EVENT_NONE) {
        take_event(r, &event);
    }
}

static void pump(struct runner *r)
{
    struct hf_client_out out;
    enum hf_client_take take;
    tell(r);
    while (r->open && (take = hf_client_take(&r->c, &out, r->now)) != HF_CLIENT_TAKE_NONE) {
        push_out(r, take, &out);
    }
    tell(r);
}

/* ---- time ---------------------------------------------------------------------------------------
 */

static hf_time earlier(hf_time a, hf_time b)
{
    return a < b ? a : b;
}

static hf_time next_time(const struct runner *r)
{
    const hf_time machine = r->over ? HF_NEVER : hf_client_deadline(&r->c);
    return earlier(earlier(machine, r->retry_at), earlier(r->leave_at, r->settled_at));
}

static void fire(struct runner *r)
{
    if (r->now >= r->settled_at) {
        r->settled_at = HF_NEVER;
        hf_backoff_reset(&r->backoff);
    }
    if (!r->over) {
        hf_client_tick(&r->c, r->now);
    }
    pump(r);
    if (r->open && r->now >= r->leave_at) {
        push_close(r, HF_CLOSE_ABANDON, hf_slice(NULL, 0));
        gone(r, 0, hf_slice(NULL, 0));
        pump(r);
    }
    if (r->now >= r->retry_at) {
        attempt(r);
    }
}

/* Runs to `until`, or to when the queue has something. */
static void run(struct runner *r, hf_time until, const struct queue *q)
{
    while (q == NULL || q->count == 0) {
        const hf_time next = next_time(r);
        if (next > until) {
            break;
        }
        r->now = next > r->now ? next : r->now;
        fire(r);
    }
    if (q == NULL || q->count == 0) {
        r->now = until;
    }
}

/* ---- steps that do ------------------------------------------------------------------------------
 */

static void do_receive(struct runner *r, const json_t *what)
{
    const json_t *close = json_object_get(what, "close");
    const json_t *control = json_object_get(what, "control");
    const json_t *text = json_object_get(what, "text");
    const json_t *bytes = control != NULL ? control
                          : text != NULL  ? text
                                          : json_object_get(what, "binary");
    if (!r->open) {
        return;
    }
    if (close != NULL) {
        gone(r, (uint16_t)vector_number(close, "code"), hf_slice_of(vector_text(close, "reason")));
        return;
    }
    struct hf_slice payload = vector_bytes(bytes);
    uint8_t *copy = malloc(payload.len + 1);
    copy[0] = HF_CONTROL_MARK;
    memcpy(copy + 1, payload.len > 0 ? payload.ptr : (const uint8_t *)"", payload.len);
    const struct hf_slice wire =
        control != NULL ? hf_slice(copy, payload.len + 1) : hf_slice(copy + 1, payload.len);
    const uint8_t opcode = control != NULL || text != NULL ? HF_OP_TEXT : HF_OP_BINARY;
    assert_int_equal(hf_client_feed(&r->c, opcode, wire, r->now), HF_OK);
    pump(r);
    free(copy);
    vector_free(payload);
}

static void do_app(struct runner *r, const json_t *what)
{
    const json_t *send = json_object_get(what, "send");
    const json_t *close = json_object_get(what, "close");
    if (send != NULL) {
        const json_t *text = json_object_get(send, "text");
        struct hf_slice payload =
            vector_bytes(text != NULL ? text : json_object_get(send, "binary"));
        const enum hf_client_send result =
            hf_client_send(&r->c, text != NULL ? HF_OP_TEXT : HF_OP_BINARY, payload);
        const bool taken = result == HF_CLIENT_SENT || result == HF_CLIENT_QUEUED;
        assert_int_equal(taken, !json_is_true(json_object_get(what, "refused")));
        vector_free(payload);
        return;
    }
    const json_t *code = json_object_get(close, "code");
    const char *reason = json_string_value(json_object_get(close, "reason"));
    if (hf_client_close(&r->c, code == NULL ? 0 : (uint16_t)json_integer_value(code),
                        hf_slice_of(reason), r->now)) {
        gone(r, 0, hf_slice(NULL, 0));
    }
}

static void do_open(struct runner *r, const json_t *what)
{
    const char *protocol = vector_text(what, "protocol");
    assert_true(r->dialing);
    r->dialing = false;
    r->open = true;
    hf_client_connected(&r->c, strcmp(protocol, "hf1") == 0, hf_slice_of(protocol), r->now);
}

static void do_step(struct runner *r, const json_t *step)
{
    const json_t *what;
    if (r->wire.count + r->app.count > 0) {
        const struct queue *q = r->wire.count > 0 ? &r->wire : &r->app;
        fail_msg("%s: nobody expected: %s %.*s", trace, q->did[q->first].what,
                 HF_SLICE_ARG(hf_buffer_slice(&q->did[q->first].bytes)));
    }
    if ((what = json_object_get(step, "open")) != NULL) {
        do_open(r, what);
    } else if (json_object_get(step, "fail") != NULL) {
        assert_true(r->dialing);
        r->dialing = false;
        gone(r, 0, hf_slice(NULL, 0));
    } else if ((what = json_object_get(step, "receive")) != NULL) {
        do_receive(r, what);
    } else if (json_object_get(step, "lost") != NULL) {
        assert_true(r->open);
        gone(r, 0, hf_slice(NULL, 0));
    } else if ((what = json_object_get(step, "app")) != NULL) {
        do_app(r, what);
    } else if (json_object_get(step, "wait") != NULL) {
        run(r, r->now + HF_MS((hf_time)vector_number(step, "wait")), NULL);
    } else {
        r->now += HF_MS((hf_time)vector_number(step, "sleep"));
        run(r, r->now, NULL);
    }
    pump(r);
}

/* ---- steps that expect --------------------------------------------------------------------------
 */

/* {name} stands for the same text everywhere; a new one for another than all. */
static bool name_fits(struct runner *r, struct hf_slice name, struct hf_slice text)
{
    struct name *known = NULL;
    bool seen = false;
    for (size_t i = 0; i < r->name_count; i++) {
        seen = seen || hf_slice_eq(hf_slice_of(r->names[i].text), text);
        if (hf_slice_eq(hf_slice_of(r->names[i].name), name)) {
            known = &r->names[i];
        }
    }
    if (known != NULL) {
        return hf_slice_eq(hf_slice_of(known->text), text);
    }
    assert_true(r->name_count < NAMES_MAX);
    known = &r->names[r->name_count++];
    (void)snprintf(known->name, sizeof(known->name), "%.*s", HF_SLICE_ARG(name));
    (void)snprintf(known->text, sizeof(known->text), "%.*s", HF_SLICE_ARG(text));
    return text.len > 0 && !(seen && hf_slice_starts(name, HF_LITERAL("new")));
}

static bool member_fits(struct runner *r, const char *wanted, struct hf_slice got)
{
    const struct hf_slice all = hf_slice_of(wanted);
    const size_t open = hf_slice_find(all, '{');
    if (open == all.len) {
        return hf_slice_eq(all, got);
    }
    const size_t close = hf_slice_find(all, '}');
    const struct hf_slice before = hf_slice_first(all, open);
    const struct hf_slice behind = hf_slice_from(all, close + 1);
    const struct hf_slice name = hf_slice(all.ptr + open + 1, close - open - 1);
    if (!hf_slice_starts(got, before) || !hf_slice_ends(got, behind)) {
        return false;
    }
    return name_fits(r, name, hf_slice(got.ptr + before.len, got.len - before.len - behind.len));
}

static bool connect_fits(struct runner *r, const json_t *wanted, const struct did *did)
{
    const json_t *members = vector_get(wanted, "protocols");
    struct hf_slice rest = hf_buffer_slice(&did->bytes);
    struct hf_slice piece;
    size_t i = 0;
    for (; hf_slice_next(&rest, ',', &piece); i++) {
        const char *member = json_string_value(json_array_get(members, i));
        if (member == NULL || !member_fits(r, member, hf_slice_trim(piece))) {
            return false;
        }
    }
    return i == json_array_size(members);
}

static bool send_fits(const json_t *wanted, const struct did *did)
{
    const char *kind = did->control ? "control" : did->opcode == HF_OP_TEXT ? "text" : "binary";
    const json_t *bytes = json_object_get(wanted, kind);
    return bytes != NULL && vector_equals(bytes, hf_buffer_slice(&did->bytes));
}

static bool number_fits(const json_t *wanted, const char *key, uint64_t got)
{
    const json_t *number = json_object_get(wanted, key);
    return number == NULL || (uint64_t)json_integer_value(number) == got;
}

static bool text_fits(const json_t *wanted, const char *key, const struct hf_buffer *got)
{
    const json_t *text = json_object_get(wanted, key);
    return text == NULL || vector_equals(text, hf_buffer_slice(got));
}

static bool messages_fit(const json_t *wanted, const json_t *got)
{
    if (wanted == NULL) {
        return true;
    }
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const json_t *message = json_array_get(wanted, i);
        const json_t *other = json_array_get(got, i);
        const char *kind = json_object_get(message, "text") != NULL ? "text" : "binary";
        const json_t *bytes = json_object_get(other, kind);
        if (bytes == NULL) {
            return false;
        }
        struct hf_slice payload = vector_bytes(bytes);
        const bool fits = vector_equals(json_object_get(message, kind), payload);
        vector_free(payload);
        if (!fits) {
            return false;
        }
    }
    return json_array_size(wanted) == json_array_size(got);
}

static bool app_fits(const char *kind, const json_t *wanted, const struct did *did)
{
    if (strcmp(kind, did->what) != 0) {
        return false;
    }
    if (strcmp(kind, "message") == 0) {
        return send_fits(wanted, did);
    }
    if (strcmp(kind, "lost") == 0) {
        return text_fits(wanted, "reason", &did->bytes) &&
               number_fits(wanted, "acked", did->acked) && number_fits(wanted, "sent", did->sent) &&
               number_fits(wanted, "old_received", did->old_received) &&
               messages_fit(json_object_get(wanted, "messages"), did->messages);
    }
    if (strcmp(kind, "rebound") == 0) {
        return number_fits(wanted, "from", did->from) && number_fits(wanted, "to", did->to) &&
               number_fits(wanted, "attempt", did->attempt);
    }
    if (strcmp(kind, "open") == 0) {
        return text_fits(wanted, "protocol", &did->bytes);
    }
    return number_fits(wanted, "code", did->code) && text_fits(wanted, "reason", &did->bytes) &&
           text_fits(wanted, "end", &did->extra) && number_fits(wanted, "http", did->http);
}

static bool fits(struct runner *r, const json_t *expect, const struct did *did)
{
    const char *key = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)expect));
    json_t *what = json_object_get(expect, key);
    if (strcmp(key, "app") == 0) {
        const char *kind = json_object_iter_key(json_object_iter(what));
        return app_fits(kind, json_object_get(what, kind), did);
    }
    if (strcmp(key, did->what) != 0) {
        return false;
    }
    if (strcmp(key, "connect") == 0) {
        return connect_fits(r, what, did);
    }
    if (strcmp(key, "send") == 0) {
        return send_fits(what, did);
    }
    return number_fits(what, "code", did->code) && text_fits(what, "reason", &did->bytes);
}

static void expect_step(struct runner *r, const json_t *step)
{
    const json_t *expect = json_object_get(step, "expect");
    const json_t *after = json_object_get(step, "after");
    struct queue *q = json_object_get(expect, "app") != NULL ? &r->app : &r->wire;
    const hf_time start = r->now;
    char *text = json_dumps(expect, 0);
    if (after != NULL) {
        run(r, start + HF_MS((hf_time)json_integer_value(json_array_get(after, 1))), q);
        if (r->now - start < HF_MS((hf_time)json_integer_value(json_array_get(after, 0)))) {
            fail_msg("%s: too early: %s after %lld us", trace, text, (long long)(r->now - start));
        }
    }
    if (q->count == 0) {
        fail_msg("%s: missing: %s", trace, text);
    }
    const struct did *did = &q->did[q->first];
    if (!fits(r, expect, did)) {
        fail_msg("%s: wanted %s, got %s %.*s code %lld", trace, text, did->what,
                 HF_SLICE_ARG(hf_buffer_slice(&did->bytes)), (long long)did->code);
    }
    free(text);
    pop(q);
}

/* ---- the traces ---------------------------------------------------------------------------------
 */

static const struct hf_client_rules rules = {.queue_messages = 1000, .queue_cost = 1 << 20};

static void play(const json_t *test, uint64_t seed)
{
    struct runner *r = calloc(1, sizeof(*r));
    const json_t *protocols = vector_get(vector_get(test, "options"), "protocols");
    const json_t *steps = vector_get(test, "steps");
    char list[256] = "";
    for (size_t i = 0; i < json_array_size(protocols); i++) {
        (void)snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i > 0 ? ", " : "",
                       json_string_value(json_array_get(protocols, i)));
    }
    trace = vector_text(test, "name");
    r->protocols = list;
    r->now = HF_SECONDS(100);
    r->leave_at = HF_NEVER;
    r->settled_at = HF_NEVER;
    hf_random_init(&r->random, seed);
    hf_backoff_init(&r->backoff);
    hf_buffer_init(&r->close_reason, &hf_heap, 1024);
    hf_client_init(&r->c, &hf_heap, &rules);
    attempt(r);
    for (size_t i = 0; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i);
        vector_knows(step, "open fail receive lost app wait sleep expect after");
        if (json_object_get(step, "expect") != NULL) {
            expect_step(r, step);
        } else {
            do_step(r, step);
        }
    }
    if (r->wire.count + r->app.count > 0) {
        fail_msg("%s: something is left at the end", trace);
    }
    hf_client_fini(&r->c);
    hf_buffer_reset(&r->close_reason);
    free(r);
}

static void the_library_does_as_every_trace_says(void **state)
{
    json_t *file = vectors_load("sessions.json");
    json_t *list = vectors_list(file, "cases");
    for (size_t i = 0; i < json_array_size(list); i++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            play(json_array_get(list, i), seed);
        }
    }
    json_decref(file);
}

/* ---- memory that runs out -----------------------------------------------------------------------
 */

/* A gateway in few words: it counts what comes and checks the order. */
struct model {
    bool has_session;
    unsigned hellos;
    uint64_t received;
    unsigned wanted; /* the number that comes next */
};

static void model_hello(struct model *m, struct hf_client *c, enum hf_status *status)
{
    char text[256];
    const int len = snprintf(text, sizeof(text),
                             "\001hello session=s token=T%u key=K epoch=7 window=60000 buffer=200 "
                             "message_max=1000 beat=25000 ack=100 received=%llu sent=0 resumed=%d",
                             ++m->hellos, (unsigned long long)m->received, m->has_session);
    m->has_session = true;
    *status = hf_client_feed(c, HF_OP_TEXT, hf_slice(text, (size_t)len), 0);
}

/* False: the connection is to be given up. */
static bool no_event_gives_up(struct hf_client *c)
{
    struct hf_client_event event;
    struct hf_record record;
    bool fine = true;
    while (hf_client_next(c, &event) != HF_CLIENT_EVENT_NONE) {
        fine = fine && event.kind != HF_CLIENT_EVENT_ABANDON;
        if (event.kind == HF_CLIENT_EVENT_LOST) {
            assert_false(hf_client_lost_next(c, &record)); /* nothing is lost here */
        }
    }
    return fine;
}

/* Takes all that goes out; each acknowledged at once. False as above. */
static bool model_takes(struct model *m, struct hf_client *c)
{
    struct hf_client_out out;
    enum hf_client_take take;
    char text[32];
    while ((take = hf_client_take(c, &out, 0)) != HF_CLIENT_TAKE_NONE) {
        if (take != HF_CLIENT_TAKE_MESSAGE) {
            continue;
        }
        (void)snprintf(text, sizeof(text), "%u", m->wanted++);
        assert_slice(out.payload, text);
        m->received++;
        const int len =
            snprintf(text, sizeof(text), "\001ack n=%llu", (unsigned long long)m->received);
        if (hf_client_feed(c, HF_OP_TEXT, hf_slice(text, (size_t)len), 0) != HF_OK) {
            return false;
        }
    }
    return no_event_gives_up(c);
}

/* One connection, from its offer to its end. */
static void connect_once(struct model *m, struct hf_client *c)
{
    static const uint8_t fresh[HF_CLIENT_SECRET] = {1};
    struct hf_buffer offer;
    enum hf_status status = HF_OK;
    hf_buffer_init(&offer, &hf_heap, 4096);
    hf_client_offer(c, fresh, &offer);
    hf_buffer_reset(&offer);
    hf_client_connected(c, true, hf_slice(NULL, 0), 0);
    model_hello(m, c, &status);
    if (no_event_gives_up(c) && status == HF_OK) {
        (void)model_takes(m, c);
    }
    hf_client_disconnected(c, 0, 0);
    (void)no_event_gives_up(c);
}

static void a_session_outlives_memory_that_runs_out(void **state)
{
    struct test_alloc ta;
    test_alloc_init(&ta);
    for (size_t n = 1;; n++) {
        struct model model = {.wanted = 1};
        struct hf_client c;
        unsigned taken = 0;
        char text[32];
        test_alloc_fail_at(&ta, n);
        hf_client_init(&c, &ta.alloc, &rules);
        for (int round = 0; round < 6; round++) {
            for (int i = 0; i < 4; i++) {
                const int len = snprintf(text, sizeof(text), "%u", taken + 1);
                taken += hf_client_send(&c, HF_OP_TEXT, hf_slice(text, (size_t)len)) !=
                         HF_CLIENT_NO_MEMORY;
            }
            connect_once(&model, &c);
        }
        connect_once(&model, &c);
        assert_int_equal(model.wanted, taken + 1);
        assert_true(taken >= 23); /* one failure refuses one message at most */
        hf_client_fini(&c);
        assert_int_equal(ta.live_blocks, 0);
        if (!ta.fired) {
            assert_true(n > 5);
            break;
        }
    }
}

static void the_queue_is_bounded_in_messages_and_in_bytes_and_takes_one_of_any_size(void **state)
{
    static const struct hf_client_rules small = {.queue_messages = 3, .queue_cost = 100};
    static const uint8_t bytes[500];
    struct hf_client c;
    hf_client_init(&c, &hf_heap, &small);
    assert_int_equal(hf_client_send(&c, HF_OP_BINARY, hf_slice(bytes, 500)), HF_CLIENT_QUEUED);
    assert_int_equal(hf_client_send(&c, HF_OP_BINARY, hf_slice(bytes, 0)), HF_CLIENT_FULL);
    hf_client_fini(&c);
    hf_client_init(&c, &hf_heap, &small);
    assert_int_equal(hf_client_send(&c, HF_OP_BINARY, hf_slice(bytes, 34)), HF_CLIENT_QUEUED);
    assert_int_equal(hf_client_send(&c, HF_OP_BINARY, hf_slice(bytes, 35)), HF_CLIENT_FULL);
    assert_int_equal(hf_client_send(&c, HF_OP_BINARY, hf_slice(bytes, 34)), HF_CLIENT_QUEUED);
    hf_client_fini(&c);
    hf_client_init(&c, &hf_heap, &small);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(hf_client_send(&c, HF_OP_BINARY, hf_slice(bytes, 1)), HF_CLIENT_QUEUED);
    }
    assert_int_equal(hf_client_send(&c, HF_OP_BINARY, hf_slice(bytes, 1)), HF_CLIENT_FULL);
    hf_client_fini(&c);
}

static void what_was_queued_before_the_limit_was_known_and_is_too_big_is_handed_back(void **state)
{
    static const uint8_t fresh[HF_CLIENT_SECRET] = {1};
    static const uint8_t bytes[2000];
    struct model model = {.wanted = 1};
    struct hf_client c;
    struct hf_client_event event;
    struct hf_record record;
    struct hf_buffer offer;
    enum hf_status status;
    hf_client_init(&c, &hf_heap, &rules);
    hf_client_send(&c, HF_OP_TEXT, HF_LITERAL("1"));
    hf_client_send(&c, HF_OP_BINARY, hf_slice(bytes, 2000));
    hf_client_send(&c, HF_OP_TEXT, HF_LITERAL("2"));
    hf_buffer_init(&offer, &hf_heap, 4096);
    hf_client_offer(&c, fresh, &offer);
    hf_client_connected(&c, true, hf_slice(NULL, 0), 0);
    model_hello(&model, &c, &status);
    assert_int_equal(hf_client_next(&c, &event), HF_CLIENT_EVENT_LOST);
    assert_slice(event.reason, "too_big");
    assert_true(hf_client_lost_next(&c, &record));
    assert_int_equal(record.payload.len, 2000);
    assert_false(hf_client_lost_next(&c, &record));
    assert_int_equal(hf_client_next(&c, &event), HF_CLIENT_EVENT_OPEN);
    assert_true(model_takes(&model, &c));
    assert_int_equal(model.wanted, 3);
    hf_buffer_reset(&offer);
    hf_client_fini(&c);
}

static void a_gateway_whose_beat_is_beyond_reason_is_waited_for_within_reason(void **state)
{
    static const char *const beats[] = {"0", "9007199254740991"};
    static const uint8_t fresh[HF_CLIENT_SECRET] = {1};
    for (size_t i = 0; i < 2; i++) {
        struct hf_client c;
        struct hf_client_out out;
        struct hf_buffer offer, hello;
        hf_client_init(&c, &hf_heap, &rules);
        hf_buffer_init(&offer, &hf_heap, 4096);
        hf_buffer_init(&hello, &hf_heap, 4096);
        hf_client_offer(&c, fresh, &offer);
        hf_client_connected(&c, true, hf_slice(NULL, 0), 0);
        hf_buffer_addf(&hello,
                       "\x01hello session=s token=t key=k epoch=1 window=9007199254740991 "
                       "buffer=65536 message_max=1000 beat=%s ack=16384 received=0 sent=0 "
                       "resumed=0",
                       beats[i]);
        assert_int_equal(hf_client_feed(&c, HF_OP_TEXT, hf_buffer_slice(&hello), 0), HF_OK);
        while (hf_client_take(&c, &out, 0) != HF_CLIENT_TAKE_NONE) {
        }
        assert_in_range(hf_client_deadline(&c), HF_MS(200), 2 * HF_SECONDS(24 * 60 * 60));
        hf_buffer_reset(&offer);
        hf_buffer_reset(&hello);
        hf_client_fini(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_library_does_as_every_trace_says),
        cmocka_unit_test(a_session_outlives_memory_that_runs_out),
        cmocka_unit_test(the_queue_is_bounded_in_messages_and_in_bytes_and_takes_one_of_any_size),
        cmocka_unit_test(what_was_queued_before_the_limit_was_known_and_is_too_big_is_handed_back),
        cmocka_unit_test(a_gateway_whose_beat_is_beyond_reason_is_waited_for_within_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
