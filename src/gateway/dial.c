/* SPDX-License-Identifier: Apache-2.0 */
/* A dial: see dial.h. It tries backends until one is connected or the route's tries are used up,
 * sends the petition's request there, and checks the answer's 101 before anybody gets it. */
#include "gateway/dial.h"

#include "base/hash.h"
#include "http/url.h"
#include "ws/handshake.h"

#include <stdio.h>

enum dial_phase {
    DIAL_CONNECT,
    DIAL_ANSWER,
    DIAL_BODY,
    DIAL_DONE, /* the result stands, and waits for a turn of its own or is being reported */
};

struct hf_dial {
    struct hf_worker *worker;
    struct hf_identity *identity;
    const struct hf_petition *petition;
    hf_dialed *done;
    void *owner;
    struct hf_timer timer; /* the time of the phase */
    enum dial_phase phase;
    bool starting; /* hf_dial_start is on the stack: no report yet */
    bool own_key;
    char key[HF_WS_KEY_CHARS];
    uint64_t resolving; /* id, 0: none */
    struct hf_stream *stream;
    uint32_t tries;
    uint32_t tries_max;
    uint64_t tried;            /* bits by index of backend */
    struct hf_address address; /* of this attempt */
    const char *why;           /* of the last failure */
    char text[256];            /* room for a `why` */
    char last[160];            /* what the last connect's end said */
    struct hf_buffer request;  /* that is not sent yet */
    struct hf_buffer answer;   /* head for the client */
    struct hf_buffer body;     /* of a refusal */
    struct hf_chunked chunked;
    enum hf_body_kind body_kind;
    uint64_t body_left;
    struct hf_dial_result result;
};

size_t hf_dial_size(void)
{
    return sizeof(struct hf_dial);
}

static void attempt(struct hf_dial *d);

/* ---- which backend -----------------------------------------------------------------------------
 */

static bool is_up(const struct hf_backend *b, hf_time now)
{
    return atomic_load_explicit(&b->state->down_until, memory_order_relaxed) <= now;
}

/* What the choice is consistent by; empty: nothing, and the least loaded is taken. */
static struct hf_slice choice_key(const struct hf_dial *d)
{
    const struct hf_route_config *config = d->identity->route->config;
    struct hf_slice path;
    struct hf_slice query;
    struct hf_slice value = {NULL, 0};
    switch (config->balance) {
    case HF_BALANCE_ADDRESS:
        return hf_slice(d->petition->peer, sizeof(d->petition->peer));
    case HF_BALANCE_QUERY:
        hf_target_split(d->petition->head->target, &path, &query);
        (void)hf_query_find(query, hf_slice_of(config->balance_key), &value);
        return value;
    case HF_BALANCE_COOKIE: {
        const struct hf_slice *cookies = hf_head_find(d->petition->head, "Cookie");
        if (cookies != NULL) {
            (void)hf_cookie_find(*cookies, hf_slice_of(config->balance_key), &value);
        }
        return value;
    }
    case HF_BALANCE_LEAST:
    default:
        return value;
    }
}

/* Rendezvous hashing: when a backend goes, only its own clients move. Higher is better. */
static uint64_t score(const struct hf_backend *b, struct hf_slice key, struct hf_random *random)
{
    if (key.len > 0) {
        uint8_t sip[16] = {0};
        memcpy(sip, &b->hash, sizeof(b->hash));
        return hf_siphash(sip, key);
    }
    uint64_t active = atomic_load_explicit(&b->state->active, memory_order_relaxed);
    return ((UINT32_MAX - active) << 32) | (hf_random_next(random) >> 32);
}

/* The best that was not tried: one that is up, else any: passive health must not make an outage of
 * its own. */
static struct hf_backend *choose(struct hf_dial *d, bool only_up)
{
    struct hf_route *route = d->identity->route;
    struct hf_slice key = choice_key(d);
    struct hf_backend *best = NULL;
    uint64_t best_score = 0;
    for (size_t i = 0; i < route->backend_count; i++) {
        struct hf_backend *b = &route->backends[i];
        if ((i < 64 && (d->tried & (1ULL << i)) != 0) ||
            (only_up && !is_up(b, d->worker->loop->now))) {
            continue;
        }
        uint64_t s = score(b, key, &d->worker->random);
        if (best == NULL || s > best_score) {
            best = b;
            best_score = s;
        }
    }
    return best;
}

static struct hf_backend *next_backend(struct hf_dial *d)
{
    struct hf_backend *b = choose(d, true);
    if (b == NULL) {
        b = choose(d, false);
    }
    if (b == NULL) { /* all were tried: once more from the start */
        d->tried = 0;
        b = choose(d, false);
    }
    size_t index = (size_t)(b - d->identity->route->backends);
    if (index < 64) {
        d->tried |= 1ULL << index;
    }
    return b;
}

static void set_backend(struct hf_dial *d, struct hf_backend *b)
{
    if (d->identity->backend != NULL) {
        atomic_fetch_sub_explicit(&d->identity->backend->state->active, 1, memory_order_relaxed);
    }
    d->identity->backend = b;
    atomic_fetch_add_explicit(&b->state->active, 1, memory_order_relaxed);
}

static void mark_failed(struct hf_dial *d, const char *why)
{
    const struct hf_route_config *config = d->identity->route->config;
    struct hf_backend *b = d->identity->backend;
    d->why = why;
    uint32_t fails = atomic_fetch_add_explicit(&b->state->fails, 1, memory_order_relaxed) + 1;
    hf_count(d->worker, HF_COUNT_upstream_connect_failures, 1);
    if (config->health_fails > 0 && fails >= config->health_fails) {
        atomic_store_explicit(&b->state->down_until, d->worker->loop->now + config->health_down,
                              memory_order_relaxed);
        if (fails == config->health_fails) {
            hf_log_say(d->worker->gateway->log, HF_LOG_WARNING, d->worker->loop->wall,
                       "upstream down", "%s failed %u times in a row: %s", b->config->url, fails,
                       why);
        }
    }
}

static void mark_good(const struct hf_dial *d)
{
    struct hf_backend *b = d->identity->backend;
    if (atomic_load_explicit(&b->state->fails, memory_order_relaxed) != 0) {
        atomic_store_explicit(&b->state->fails, 0, memory_order_relaxed);
        atomic_store_explicit(&b->state->down_until, 0, memory_order_relaxed);
    }
}

/* ---- the report --------------------------------------------------------------------------------
 */

static void drop_stream(struct hf_dial *d)
{
    if (d->resolving != 0) {
        hf_loop_resolve_cancel(d->worker->loop, d->resolving);
        d->resolving = 0;
    }
    hf_stream_abort(d->stream);
    d->stream = NULL;
}

static void free_dial(struct hf_dial *d)
{
    drop_stream(d);
    hf_timer_stop(d->worker->loop, &d->timer);
    hf_buffer_reset(&d->request);
    hf_buffer_reset(&d->answer);
    hf_buffer_reset(&d->body);
    hf_pool_put(&d->worker->dial_pool, d);
}

static void report(struct hf_dial *d)
{
    d->done(d->owner, &d->result);
    free_dial(d);
}

/* The result stands; the dial is gone when this returns, unless it is starting. */
static void finish(struct hf_dial *d)
{
    d->phase = DIAL_DONE;
    if (d->starting) {
        hf_timer_set(d->worker->loop, &d->timer, d->worker->loop->now);
        return;
    }
    hf_timer_stop(d->worker->loop, &d->timer);
    report(d);
}

static void fail(struct hf_dial *d, enum hf_cause cause, uint16_t status, const char *why)
{
    drop_stream(d);
    d->result = (struct hf_dial_result){
        .outcome = HF_DIAL_FAILED, .cause = cause, .status = status, .why = why};
    finish(d);
}

static void out_of_resources(struct hf_dial *d, const char *why)
{
    fail(d, HF_CAUSE_OUT_OF_RESOURCES, 503, why);
}

static void bad_answer(struct hf_dial *d, const char *why)
{
    mark_failed(d, why);
    fail(d, HF_CAUSE_BACKEND_HANDSHAKE, 502, why);
}

static void enter_phase(struct hf_dial *d, enum dial_phase phase, hf_time timeout)
{
    d->phase = phase;
    hf_timer_set(d->worker->loop, &d->timer, d->worker->loop->now + timeout);
}

/* ---- the answer --------------------------------------------------------------------------------
 */

static void add_header(struct hf_buffer *b, const struct hf_header *h)
{
    hf_buffer_add(b, h->name);
    hf_buffer_add_text(b, ": ");
    hf_buffer_add(b, h->value);
    hf_buffer_add_text(b, "\r\n");
}

static struct hf_slice key_of(const struct hf_dial *d)
{
    return d->own_key ? hf_slice(d->key, sizeof(d->key))
                      : *hf_head_find(d->petition->head, "Sec-WebSocket-Key");
}

/* The client gets the backend's headers, but those of the hop are ours. */
static void build_101(struct hf_dial *d, const struct hf_head *answer)
{
    struct hf_buffer *b = &d->answer;
    hf_buffer_add_text(
        b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    for (size_t i = 0; i < answer->count; i++) {
        const struct hf_header *h = &answer->headers[i];
        if (hf_slice_eq_nocase(h->name, HF_LITERAL("Upgrade")) ||
            hf_slice_eq_nocase(h->name, HF_LITERAL("Connection")) ||
            hf_slice_eq_nocase(h->name, HF_LITERAL("Content-Length")) ||
            hf_slice_eq_nocase(h->name, HF_LITERAL("Transfer-Encoding"))) {
            continue;
        }
        add_header(b, h);
    }
    hf_buffer_add_text(b, "\r\n");
}

static void take_101(struct hf_dial *d, const struct hf_head *answer)
{
    struct hf_deflate deflate = {0};
    const struct hf_slice *protocol;
    const char *why = hf_ws_check_response(answer, key_of(d), d->petition->protocols);
    if (why != NULL) {
        bad_answer(d, why);
        return;
    }
    enum hf_extension_check check = hf_extension_answer(answer, d->petition->offers, &deflate);
    if (check == HF_EXTENSION_SYNTAX || check == HF_EXTENSION_REFUSED) {
        bad_answer(d, "the backend's Sec-WebSocket-Extensions fits no offer");
        return;
    }
    mark_good(d);
    if (!d->own_key) {
        build_101(d, answer);
        if (d->answer.failed) {
            out_of_resources(d, "out of memory");
            return;
        }
    }
    protocol = hf_head_find(answer, "Sec-WebSocket-Protocol");
    d->result = (struct hf_dial_result){.outcome = HF_DIAL_OPEN,
                                        .stream = d->stream,
                                        .deflate = deflate,
                                        .status = 101,
                                        .answer_head = hf_buffer_slice(&d->answer)};
    if (protocol != NULL) {
        d->result.protocol = *protocol;
    }
    d->stream = NULL; /* the taker's */
    finish(d);
}

/* A refusal goes to the client as it is, but for the headers of the hop; its length is known once
 * it is whole. */
static void keep_refusal(struct hf_dial *d, const struct hf_head *answer)
{
    struct hf_buffer *b = &d->answer;
    d->result.status = answer->status;
    hf_buffer_addf(b, "HTTP/1.1 %u %.*s\r\n", answer->status, HF_SLICE_ARG(answer->reason));
    for (size_t i = 0; i < answer->count; i++) {
        const struct hf_header *h = &answer->headers[i];
        if (hf_slice_eq_nocase(h->name, HF_LITERAL("Connection")) ||
            hf_slice_eq_nocase(h->name, HF_LITERAL("Keep-Alive")) ||
            hf_slice_eq_nocase(h->name, HF_LITERAL("Transfer-Encoding")) ||
            hf_slice_eq_nocase(h->name, HF_LITERAL("Trailer")) ||
            hf_slice_eq_nocase(h->name, HF_LITERAL("Content-Length")) ||
            hf_head_has_member(answer, "Connection", h->name)) {
            continue;
        }
        add_header(b, h);
    }
    hf_buffer_add_text(b, "Connection: close\r\n");
}

static void finish_refusal(struct hf_dial *d)
{
    (void)snprintf(d->text, sizeof(d->text), "the backend answered %u", d->result.status);
    mark_good(d);
    if (d->answer.failed || d->body.failed) {
        out_of_resources(d, "out of memory");
        return;
    }
    drop_stream(d);
    d->result.outcome = HF_DIAL_REFUSED;
    d->result.cause = HF_CAUSE_BACKEND_REFUSED;
    d->result.why = d->text;
    d->result.answer_head = hf_buffer_slice(&d->answer);
    d->result.body = hf_buffer_slice(&d->body);
    finish(d);
}

/* More of the refusal's body. What is beyond HF_REFUSAL_BODY_MAX is left out. Returns the bytes
 * taken. */
static size_t take_body(struct hf_dial *d, struct hf_slice bytes)
{
    size_t taken = 0;
    struct hf_slice data = bytes;
    switch (d->body_kind) {
    case HF_BODY_CHUNKED:
        while (!d->chunked.done) {
            size_t step = 0;
            if (!hf_chunked_read(&d->chunked, hf_slice_from(bytes, taken), &step, &data)) {
                bad_answer(d, "the backend's answer has a malformed chunked body");
                return bytes.len;
            }
            taken += step;
            size_t room = HF_REFUSAL_BODY_MAX - d->body.len;
            hf_buffer_add(&d->body, hf_slice_first(data, room));
            if (step == 0) {
                return taken;
            }
        }
        finish_refusal(d);
        return bytes.len;
    case HF_BODY_LENGTH:
        data = hf_slice_first(bytes, d->body_left < bytes.len ? (size_t)d->body_left : bytes.len);
        d->body_left -= data.len;
        hf_buffer_add(&d->body, hf_slice_first(data, HF_REFUSAL_BODY_MAX - d->body.len));
        if (d->body_left == 0 || d->body.len == HF_REFUSAL_BODY_MAX) {
            finish_refusal(d);
        }
        return bytes.len;
    case HF_BODY_UNTIL_CLOSE:
        hf_buffer_add(&d->body, hf_slice_first(data, HF_REFUSAL_BODY_MAX - d->body.len));
        if (d->body.len == HF_REFUSAL_BODY_MAX) {
            finish_refusal(d);
        }
        return bytes.len;
    case HF_BODY_NONE:
    case HF_BODY_BAD:
    default:
        return bytes.len;
    }
}

static size_t take_refusal(struct hf_dial *d, const struct hf_head *answer, struct hf_slice bytes)
{
    size_t size = answer->size;
    keep_refusal(d, answer);
    d->body_kind = hf_response_body(answer, &d->body_left);
    if (d->body_kind == HF_BODY_BAD) {
        bad_answer(d, "the backend's answer has no clear length");
        return bytes.len;
    }
    if (d->body_kind == HF_BODY_NONE || (d->body_kind == HF_BODY_LENGTH && d->body_left == 0)) {
        finish_refusal(d);
        return bytes.len;
    }
    d->phase = DIAL_BODY; /* within the same time */
    struct hf_slice rest = hf_slice_from(bytes, size);
    return rest.len == 0 ? size : size + take_body(d, rest);
}

static size_t take_answer(struct hf_dial *d, struct hf_slice bytes)
{
    struct hf_head answer;
    const char *why = "";
    size_t past = 0;
    for (;;) {
        switch (hf_response_read(hf_slice_from(bytes, past), d->identity->runtime->config->head_max,
                                 &answer, &why)) {
        case HF_HEAD_MORE:
            return past;
        case HF_HEAD_READ:
            break;
        case HF_HEAD_BAD:
        case HF_HEAD_TOO_BIG:
        case HF_HEAD_NOT_HTTP:
        default:
            bad_answer(d, why);
            return bytes.len;
        }
        if (answer.status >= 200 || answer.status == 101) {
            break;
        }
        past += answer.size; /* an interim answer: RFC 9110 15.2 */
    }
    if (answer.status == 101) {
        take_101(d, &answer);
        return past + answer.size; /* what is behind it is for the taker */
    }
    return past + take_refusal(d, &answer, hf_slice_from(bytes, past));
}

/* ---- the backend's stream ----------------------------------------------------------------------
 */

static void send_request(struct hf_dial *d)
{
    size_t sent = hf_stream_send(d->stream, hf_buffer_slice(&d->request));
    hf_buffer_drop(&d->request, sent);
}

static void backend_open(void *owner, struct hf_stream *stream)
{
    struct hf_dial *d = owner;
    hf_count(d->worker, HF_COUNT_upstream_connects, 1);
    enter_phase(d, DIAL_ANSWER, d->identity->route->config->upstream_timeout);
    hf_petition_write(d->petition, d->identity, key_of(d), &d->request);
    if (d->request.failed) {
        out_of_resources(d, "out of memory");
        return;
    }
    send_request(d);
}

static size_t backend_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct hf_dial *d = owner;
    switch (d->phase) {
    case DIAL_ANSWER:
        return take_answer(d, bytes);
    case DIAL_BODY:
        return take_body(d, bytes);
    case DIAL_CONNECT:
    case DIAL_DONE:
    default:
        return bytes.len;
    }
}

static void backend_writable(void *owner, struct hf_stream *stream)
{
    struct hf_dial *d = owner;
    if (d->request.len > 0) {
        send_request(d);
    }
}

/* This attempt failed: the next one. */
static void connect_failed(struct hf_dial *d, const char *why)
{
    mark_failed(d, why);
    attempt(d);
}

static void backend_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct hf_dial *d = owner;
    hf_stream_close(d->stream);
    d->stream = NULL;
    if (d->phase == DIAL_CONNECT) {
        (void)snprintf(d->last, sizeof(d->last), "%s", end->detail);
        connect_failed(d, d->last);
    } else if (d->phase == DIAL_BODY && d->body_kind == HF_BODY_UNTIL_CLOSE) {
        finish_refusal(d);
    } else {
        bad_answer(d, "the backend ended the connection before its answer was whole");
    }
}

static const struct hf_stream_handler backend_handler = {.on_open = backend_open,
                                                         .on_bytes = backend_bytes,
                                                         .on_writable = backend_writable,
                                                         .on_end = backend_end};

/* ---- connecting --------------------------------------------------------------------------------
 */

static void try_address(struct hf_dial *d)
{
    const struct hf_route *route = d->identity->route;
    const struct hf_upstream_config *u = d->identity->backend->config;
    struct hf_connect how = {.address = d->address, .options = d->identity->runtime->sockets};
    if (how.options.user_timeout > 0) {
        how.options.keepalive_count =
            0; /* the kernel then gives up by time and counts no probes (tcp(7)): a call less */
    }
    if (u->tls) {
        how.tls.tls = route->tls;
        how.tls.name =
            route->config->upstream_tls.name != NULL ? route->config->upstream_tls.name : u->host;
    }
    enum hf_status status = hf_loop_connect(d->worker->loop, &how, &backend_handler, d, &d->stream);
    if (status == HF_NO_DESCRIPTORS || status == HF_NO_MEMORY) {
        d->stream = NULL;
        out_of_resources(d, "the gateway is out of resources");
    } else if (status != HF_OK) {
        d->stream = NULL;
        connect_failed(d, hf_status_text(status));
    }
}

static void resolved(void *owner, enum hf_status status, const struct hf_address *addresses,
                     size_t count)
{
    struct hf_dial *d = owner;
    d->resolving = 0;
    if (status != HF_OK || count == 0) {
        connect_failed(d, status == HF_NOT_FOUND ? "its name has no address"
                                                 : "its name could not be looked up");
        return;
    }
    d->address = addresses[(d->tries - 1) % count]; /* another one each try */
    if (d->address.u.any.sa_family == AF_INET6) {
        d->address.u.v6.sin6_port = htons(d->identity->backend->config->port);
    } else {
        d->address.u.v4.sin_port = htons(d->identity->backend->config->port);
    }
    try_address(d);
}

static void give_up(struct hf_dial *d)
{
    (void)snprintf(d->text, sizeof(d->text), "no backend could be reached: %s",
                   d->why != NULL ? d->why : "unknown");
    fail(d, HF_CAUSE_BACKEND_UNREACHABLE, 502, d->text);
}

static void attempt(struct hf_dial *d)
{
    const struct hf_route_config *config = d->identity->route->config;
    drop_stream(d);
    if (d->tries >= d->tries_max) {
        give_up(d);
        return;
    }
    d->tries++;
    set_backend(d, next_backend(d));
    enter_phase(d, DIAL_CONNECT, config->connect_timeout);
    if (d->identity->backend->address.len > 0) {
        d->address = d->identity->backend->address;
        try_address(d);
    } else if (hf_loop_resolve(d->worker->loop, d->identity->backend->config->host, resolved, d,
                               &d->resolving) != HF_OK) {
        d->why = "out of memory";
        give_up(d);
    }
}

static void fire(struct hf_timer *timer, hf_time now)
{
    struct hf_dial *d = HF_CONTAINER(timer, struct hf_dial, timer);
    switch (d->phase) {
    case DIAL_CONNECT:
        connect_failed(d, "no connection in time");
        break;
    case DIAL_ANSWER:
    case DIAL_BODY:
        mark_failed(d, "no answer to the handshake in time");
        fail(d, HF_CAUSE_BACKEND_SLOW, 504, "the backend did not answer the handshake in time");
        break;
    case DIAL_DONE:
    default:
        report(d);
        break;
    }
}

/* ---- start and cancel --------------------------------------------------------------------------
 */

static void choose_key(struct hf_dial *d)
{
    uint64_t nonce[2] = {hf_random_next(&d->worker->random), hf_random_next(&d->worker->random)};
    hf_ws_key((const uint8_t *)nonce, d->key);
}

enum hf_status hf_dial_start(struct hf_worker *worker, struct hf_identity *identity,
                             const struct hf_petition *petition, bool own_key, hf_dialed *done,
                             void *owner, struct hf_dial **dial)
{
    struct hf_dial *d = hf_pool_take(&worker->dial_pool);
    size_t head_max = identity->runtime->config->head_max;
    if (d == NULL) {
        return HF_NO_MEMORY;
    }
    d->worker = worker;
    d->identity = identity;
    d->petition = petition;
    d->done = done;
    d->owner = owner;
    d->own_key = own_key;
    d->tries_max = identity->route->config->connect_tries;
    hf_timer_init(&d->timer, fire);
    hf_buffer_init(&d->request, &hf_heap, 8 * head_max + HF_REFUSAL_BODY_MAX);
    hf_buffer_init(&d->answer, &hf_heap, 4 * head_max);
    hf_buffer_init(&d->body, &hf_heap, HF_REFUSAL_BODY_MAX);
    if (own_key) {
        choose_key(d);
    }
    *dial = d;
    d->starting = true;
    attempt(d);
    d->starting = false;
    return HF_OK;
}

void hf_dial_each_once(struct hf_dial *d)
{
    size_t backends = d->identity->route->backend_count;
    d->tries_max = backends < d->tries_max ? (uint32_t)backends : d->tries_max;
}

void hf_dial_cancel(struct hf_dial *d)
{
    if (d != NULL) {
        free_dial(d);
    }
}
