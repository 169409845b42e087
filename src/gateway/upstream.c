/* SPDX-License-Identifier: Apache-2.0 */
/* The backend's side of an opening: which backend, the connection, the request, its answer.
 *
 * The request is made anew from the client's: hop-by-hop headers end here, and those that say who
 * the client is are ours. The answer's 101 is checked before anything of it reaches the client. */
#include "gateway/opening.h"
#include "gateway/relay.h"

#include "base/hash.h"
#include "http/url.h"
#include "ws/handshake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- which backend
 * ----------------------------------------------------------------------------------------- */

static bool is_up(const struct hf_backend *b, hf_time now)
{
    return atomic_load_explicit(&b->state->down_until, memory_order_relaxed) <= now;
}

/* What the choice is consistent by; empty: nothing, and the least loaded is taken. */
static struct hf_slice choice_key(const struct hf_opening *o)
{
    const struct hf_route_config *config = o->identity->route->config;
    struct hf_slice path;
    struct hf_slice query;
    struct hf_slice value = {NULL, 0};
    switch (config->balance) {
    case HF_BALANCE_ADDRESS:
        return hf_slice(o->peer, sizeof(o->peer));
    case HF_BALANCE_QUERY:
        hf_target_split(o->head->target, &path, &query);
        (void)hf_query_find(query, hf_slice_of(config->balance_key), &value);
        return value;
    case HF_BALANCE_COOKIE: {
        const struct hf_slice *cookies = hf_head_find(o->head, "Cookie");
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
static struct hf_backend *choose(struct hf_opening *o, bool only_up)
{
    struct hf_route *route = o->identity->route;
    struct hf_slice key = choice_key(o);
    struct hf_backend *best = NULL;
    uint64_t best_score = 0;
    for (size_t i = 0; i < route->backend_count; i++) {
        struct hf_backend *b = &route->backends[i];
        if ((i < 64 && (o->tried & (1ULL << i)) != 0) ||
            (only_up && !is_up(b, o->worker->loop->now))) {
            continue;
        }
        uint64_t s = score(b, key, &o->worker->random);
        if (best == NULL || s > best_score) {
            best = b;
            best_score = s;
        }
    }
    return best;
}

static struct hf_backend *next_backend(struct hf_opening *o)
{
    struct hf_backend *b = choose(o, true);
    if (b == NULL) {
        b = choose(o, false);
    }
    if (b == NULL) { /* all were tried: once more from the start */
        o->tried = 0;
        b = choose(o, false);
    }
    size_t index = (size_t)(b - o->identity->route->backends);
    if (index < 64) {
        o->tried |= 1ULL << index;
    }
    return b;
}

static void set_backend(struct hf_opening *o, struct hf_backend *b)
{
    if (o->identity->backend != NULL) {
        atomic_fetch_sub_explicit(&o->identity->backend->state->active, 1, memory_order_relaxed);
    }
    o->identity->backend = b;
    atomic_fetch_add_explicit(&b->state->active, 1, memory_order_relaxed);
}

static void mark_failed(struct hf_opening *o)
{
    const struct hf_route_config *config = o->identity->route->config;
    struct hf_backend *b = o->identity->backend;
    uint32_t fails = atomic_fetch_add_explicit(&b->state->fails, 1, memory_order_relaxed) + 1;
    hf_count(o->worker, HF_COUNT_upstream_connect_failures, 1);
    if (config->health_fails > 0 && fails >= config->health_fails) {
        atomic_store_explicit(&b->state->down_until, o->worker->loop->now + config->health_down,
                              memory_order_relaxed);
        if (fails == config->health_fails) {
            hf_log_say(o->worker->gateway->log, HF_LOG_WARNING, o->worker->loop->wall,
                       "upstream down", "%s failed %u times in a row: %s", b->config->url, fails,
                       o->connect_why);
        }
    }
}

static void mark_good(struct hf_opening *o)
{
    struct hf_backend *b = o->identity->backend;
    if (atomic_load_explicit(&b->state->fails, memory_order_relaxed) != 0) {
        atomic_store_explicit(&b->state->fails, 0, memory_order_relaxed);
        atomic_store_explicit(&b->state->down_until, 0, memory_order_relaxed);
    }
}

/* ---- the request
 * ---------------------------------------------------------------------------------------------- */

/* X_Forwarded_For is the same header as X-Forwarded-For to a WSGI or CGI application. prefix: name
 * may go on behind text. */
static bool is_header(struct hf_slice name, const char *text, bool prefix)
{
    size_t k = 0;
    while (k < name.len && text[k] != '\0' &&
           ((name.ptr[k] | 0x20) == (text[k] | 0x20) || (name.ptr[k] == '_' && text[k] == '-'))) {
        k++;
    }
    return text[k] == '\0' && (prefix || k == name.len);
}

static bool is_one_of(struct hf_slice name, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (is_header(name, names[i], false)) {
            return true;
        }
    }
    return false;
}

/* Headers that end at the gateway, or that it writes itself. */
static bool is_ours(struct hf_slice name)
{
    static const char *const ours[] = {
        "Connection",
        "Upgrade",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authorization",
        "Proxy-Authenticate",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Content-Length",
        "Host",
        "Expect",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Real-IP",
        "Forwarded",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Key",
        NULL,
    };
    return is_one_of(name, ours);
}

/* What only a proxy in front may say of a client, by whatever name. */
static bool is_proxys(struct hf_slice name)
{
    static const char *const names[] = {
        "CF-Connecting-IP",
        "CF-Connecting-IPv6",
        "CF-IPCountry",
        "True-Client-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "Fastly-Client-IP",
        "Client-IP",
        "Forwarded-For",
        "Front-End-Https",
        "X-Original-URL",
        "X-Rewrite-URL",
        NULL,
    };
    return is_header(name, "X-Forwarded", true) || is_header(name, "X-Original-Forwarded", true) ||
           is_one_of(name, names);
}

/* What the call-out says of the client is never the client's to say, whether the call-out said it
 * this time or not. */
static bool is_callouts(const struct hf_route_config *config, struct hf_slice name)
{
    if (config->auth.kind != HF_AUTH_CALLOUT) {
        return false;
    }
    for (size_t i = 0; i < config->callout.copy.count; i++) {
        if (is_header(name, config->callout.copy.items[i], false)) {
            return true;
        }
    }
    return config->callout.subject != NULL && is_header(name, config->callout.subject, false);
}

static void add_line(struct hf_buffer *b, const char *name, struct hf_slice value)
{
    hf_buffer_add_text(b, name);
    hf_buffer_add_text(b, ": ");
    hf_buffer_add(b, value);
    hf_buffer_add_text(b, "\r\n");
}

static void add_header(struct hf_buffer *b, const struct hf_header *h)
{
    hf_buffer_add(b, h->name);
    hf_buffer_add_text(b, ": ");
    hf_buffer_add(b, h->value);
    hf_buffer_add_text(b, "\r\n");
}

static void add_target(struct hf_opening *o, struct hf_buffer *b)
{
    const struct hf_route_config *config = o->identity->route->config;
    struct hf_slice target = o->head->target;
    struct hf_slice path;
    struct hf_slice query;
    struct hf_buffer stripped;
    hf_buffer_init(&stripped, &hf_heap, o->head_bytes.max);
    if (config->auth.kind == HF_AUTH_JWT && config->jwt.strip &&
        (config->jwt.from & HF_TOKEN_QUERY) != 0 &&
        hf_query_remove(target, hf_slice_of(config->jwt.query), &stripped) == HF_OK) {
        target = hf_buffer_slice(&stripped);
    }
    hf_target_split(target, &path, &query);
    hf_buffer_add_text(b, o->identity->backend->config->path);
    if (config->rewrite != NULL) {
        hf_buffer_add_text(b, config->rewrite);
        hf_buffer_add(b, hf_slice_from(hf_buffer_slice(&o->path), strlen(config->path)));
    } else {
        hf_buffer_add(b, path);
    }
    if (query.ptr != NULL) {
        hf_buffer_add_byte(b, '?');
        hf_buffer_add(b, query); /* byte for byte */
    }
    hf_buffer_reset(&stripped);
}

static void add_host(struct hf_opening *o, struct hf_buffer *b)
{
    const struct hf_upstream_config *u = o->identity->backend->config;
    const struct hf_slice *host = hf_head_find(o->head, "Host");
    bool usual = u->port == (u->tls ? 443 : 80);
    if (o->identity->route->config->preserve_host && host != NULL) {
        add_line(b, "Host", *host);
    } else if (u->is_unix) {
        hf_buffer_add_text(b, "Host: localhost\r\n");
    } else {
        const char *format = strchr(u->host, ':') != NULL ? "Host: [%s]" : "Host: %s";
        hf_buffer_addf(b, format, u->host);
        if (!usual) {
            hf_buffer_addf(b, ":%u", (unsigned)u->port);
        }
        hf_buffer_add_text(b, "\r\n");
    }
}

/* The hops that X-Forwarded-For names already; when the client was named by another header, the
 * client. */
static void add_chain(const struct hf_opening *o, struct hf_buffer *b)
{
    bool any = false;
    for (size_t i = 0; i < o->head->count; i++) {
        const struct hf_header *h = &o->head->headers[i];
        if (h->value.len > 0 && is_header(h->name, "X-Forwarded-For", false)) {
            hf_buffer_add(b, h->value);
            hf_buffer_add_text(b, ", ");
            any = true;
        }
    }
    if (!any) {
        char client[46];
        hf_peer_text(o->peer, client);
        hf_buffer_add_text(b, client);
        hf_buffer_add_text(b, ", ");
    }
}

/* What a trusted proxy in front has said goes on; from anybody else it is replaced. */
static void add_forwarded(struct hf_opening *o, struct hf_buffer *b)
{
    char peer[46];
    const struct hf_slice *host = hf_head_find(o->head, "Host");
    const struct hf_slice *proto = NULL;
    const struct hf_slice *front_host = NULL;
    const char *scheme = o->listener_tls != NULL ? "https" : "http";
    hf_buffer_add_text(b, "X-Forwarded-For: ");
    if (o->front_trusted) {
        proto = hf_head_find(o->head, "X-Forwarded-Proto");
        front_host = hf_head_find(o->head, "X-Forwarded-Host");
    }
    if (o->behind_proxy) {
        add_chain(o, b);
    }
    const uint8_t *nearest = o->behind_proxy ? o->front : o->peer;
    hf_peer_text(nearest, peer);
    hf_buffer_add_text(b, hf_peer_is_unix(nearest) ? "unknown" : peer); /* RFC 7239 6.2 */
    hf_buffer_add_text(b, "\r\n");
    hf_peer_text(o->peer, peer);
    if (hf_peer_is_unix(o->peer)) {
        memcpy(peer, "unknown", sizeof("unknown"));
    } else {
        add_line(b, "X-Real-IP", hf_slice_of(peer));
    }
    add_line(b, "X-Forwarded-Proto", proto != NULL ? *proto : hf_slice_of(scheme));
    if (front_host != NULL || host != NULL) {
        add_line(b, "X-Forwarded-Host", front_host != NULL ? *front_host : *host);
    }
    bool v6 = strchr(peer, ':') != NULL; /* RFC 7239 6: quoted and in brackets */
    bool https = proto != NULL ? hf_slice_eq_nocase(*proto, HF_LITERAL("https")) ||
                                     hf_slice_eq_nocase(*proto, HF_LITERAL("wss"))
                               : o->listener_tls != NULL;
    hf_buffer_add_text(b, v6 ? "Forwarded: for=\"[" : "Forwarded: for=");
    hf_buffer_add_text(b, peer);
    hf_buffer_add_text(b, v6 ? "]\"" : "");
    hf_buffer_add_text(b, https ? ";proto=https\r\n" : ";proto=http\r\n");
}

/* RFC 9110 7.6.1: what Connection names is for this hop; but a client cannot take away what it was
 * judged by. */
static bool ends_here(const struct hf_head *head, struct hf_slice name)
{
    static const char *const kept[] = {"Authorization", "Cookie", "Origin", NULL};
    return !is_one_of(name, kept) && hf_head_has_member(head, "Connection", name);
}

static bool passes(const struct hf_opening *o, const struct hf_header *h)
{
    const struct hf_route_config *config = o->identity->route->config;
    if (is_ours(h->name) || is_callouts(config, h->name) ||
        (is_proxys(h->name) && !o->front_trusted)) {
        return false;
    }
    if (config->auth.kind == HF_AUTH_JWT && config->jwt.strip &&
        (config->jwt.from & HF_TOKEN_HEADER) != 0 && is_header(h->name, "Authorization", false)) {
        return false;
    }
    return !ends_here(o->head, h->name);
}

static void build_request(struct hf_opening *o)
{
    struct hf_buffer *b = &o->out;
    const struct hf_slice *key = hf_head_find(o->head, "Sec-WebSocket-Key");
    hf_buffer_clear(b);
    hf_buffer_add_text(b, "GET ");
    add_target(o, b);
    hf_buffer_add_text(b, " HTTP/1.1\r\n");
    add_host(o, b);
    hf_buffer_add_text(
        b, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n");
    add_line(b, "Sec-WebSocket-Key", *key);
    if (o->protocols.len > 0) {
        add_line(b, "Sec-WebSocket-Protocol", hf_buffer_slice(&o->protocols));
    }
    if (o->offers.len > 0) {
        add_line(b, "Sec-WebSocket-Extensions", hf_buffer_slice(&o->offers));
    }
    for (size_t i = 0; i < o->head->count; i++) {
        const struct hf_header *h = &o->head->headers[i];
        if (passes(o, h)) {
            add_header(b, h);
        }
    }
    add_forwarded(o, b);
    hf_buffer_add(b, hf_buffer_slice(&o->extra));
    hf_buffer_add_text(b, "\r\n");
}

static void send_request(struct hf_opening *o)
{
    size_t sent = hf_stream_send(o->backend, hf_buffer_slice(&o->out));
    hf_buffer_drop(&o->out, sent);
}

/* ---- the answer
 * ------------------------------------------------------------------------------------------------
 */

static void bad_answer(struct hf_opening *o, const char *why)
{
    o->connect_why = why;
    mark_failed(o);
    hf_opening_refuse(o, HF_CAUSE_BACKEND_HANDSHAKE, 502, why, 0);
}

/* The client gets the backend's headers, but those of the hop are ours. */
static void build_101(struct hf_opening *o, const struct hf_head *answer)
{
    struct hf_buffer *b = &o->reply;
    hf_buffer_clear(b);
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

static void log_open(struct hf_opening *o)
{
    struct hf_log *log = o->worker->gateway->log;
    if (!hf_log_wants(log, HF_LOG_DEBUG)) {
        return;
    }
    struct hf_log_line line;
    char peer[46];
    hf_peer_text(o->peer, peer);
    hf_log_begin(&line, log, HF_LOG_DEBUG, o->worker->loop->wall, "ws open");
    hf_log_number(&line, "id", (int64_t)o->id);
    hf_log_cstr(&line, "address", peer);
    hf_log_cstr(&line, "route", o->identity->route->config->name);
    hf_log_cstr(&line, "path", hf_identity_target(o->identity));
    hf_log_cstr(&line, "upstream", o->identity->backend->config->url);
    hf_log_end(&line);
}

static void open_relay(struct hf_opening *o, const struct hf_deflate *deflate)
{
    size_t sent = hf_stream_send(o->client, hf_buffer_slice(&o->reply));
    if (sent < o->reply.len) {
        /* A new socket takes a head; one that does not is a dead one. */
        hf_opening_abandon(o, HF_CAUSE_CLIENT_GONE, "the client takes no bytes", 0);
        return;
    }
    if (hf_relay_open(o->worker, o->client, o->backend, o->identity, deflate) != HF_OK) {
        hf_opening_abandon(o, HF_CAUSE_OUT_OF_RESOURCES, "out of memory", 0);
        return;
    }
    hf_count(o->worker, HF_COUNT_handshakes_ok, 1);
    log_open(o);
    o->client = NULL;
    o->backend = NULL;
    o->identity = NULL;
    hf_opening_free(o);
}

static size_t take_101(struct hf_opening *o, const struct hf_head *answer)
{
    const struct hf_slice *key = hf_head_find(o->head, "Sec-WebSocket-Key");
    struct hf_deflate deflate = {0};
    size_t size = answer->size;
    struct hf_slice offered = hf_buffer_slice(&o->protocols);
    const char *why = hf_ws_check_response(answer, *key, offered);
    if (why != NULL) {
        bad_answer(o, why);
        return SIZE_MAX;
    }
    enum hf_extension_check check =
        hf_extension_answer(answer, hf_buffer_slice(&o->offers), &deflate);
    if (check == HF_EXTENSION_SYNTAX || check == HF_EXTENSION_REFUSED) {
        bad_answer(o, "the backend's Sec-WebSocket-Extensions fits no offer");
        return SIZE_MAX;
    }
    mark_good(o);
    build_101(o, answer);
    if (o->reply.failed) {
        hf_opening_refuse(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "out of memory", 1);
        return SIZE_MAX;
    }
    open_relay(o, &deflate);
    return size;
}

/* A refusal goes to the client as it is, but for the headers of the hop; its length is known once
 * it is whole. */
static void keep_refusal(struct hf_opening *o, const struct hf_head *answer)
{
    struct hf_buffer *b = &o->reply;
    hf_buffer_clear(b);
    hf_buffer_clear(&o->body);
    o->status = answer->status;
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

static void finish_refusal(struct hf_opening *o)
{
    char reason[64];
    (void)snprintf(reason, sizeof(reason), "the backend answered %u", o->status);
    mark_good(o);
    hf_opening_record(o, HF_CAUSE_BACKEND_REFUSED, o->status, reason, 0);
    hf_buffer_addf(&o->reply, "Content-Length: %zu\r\n\r\n", o->body.len);
    hf_buffer_add(&o->reply, hf_buffer_slice(&o->body));
    hf_opening_reply(o);
}

/* More of the refusal's body. What is beyond 64 KiB is left out. Returns the bytes taken. */
static size_t take_body(struct hf_opening *o, struct hf_slice bytes)
{
    size_t taken = 0;
    struct hf_slice data = bytes;
    switch (o->body_kind) {
    case HF_BODY_CHUNKED:
        while (!o->chunked.done) {
            size_t step = 0;
            if (!hf_chunked_read(&o->chunked, hf_slice_from(bytes, taken), &step, &data)) {
                bad_answer(o, "the backend's answer has a malformed chunked body");
                return bytes.len;
            }
            taken += step;
            size_t room = HF_REFUSAL_BODY_MAX - o->body.len;
            hf_buffer_add(&o->body, hf_slice_first(data, room));
            if (step == 0) {
                return taken;
            }
        }
        finish_refusal(o);
        return bytes.len;
    case HF_BODY_LENGTH:
        data = hf_slice_first(bytes, o->body_left < bytes.len ? (size_t)o->body_left : bytes.len);
        o->body_left -= data.len;
        hf_buffer_add(&o->body, hf_slice_first(data, HF_REFUSAL_BODY_MAX - o->body.len));
        if (o->body_left == 0 || o->body.len == HF_REFUSAL_BODY_MAX) {
            finish_refusal(o);
        }
        return bytes.len;
    case HF_BODY_UNTIL_CLOSE:
        hf_buffer_add(&o->body, hf_slice_first(data, HF_REFUSAL_BODY_MAX - o->body.len));
        if (o->body.len == HF_REFUSAL_BODY_MAX) {
            finish_refusal(o);
        }
        return bytes.len;
    case HF_BODY_NONE:
    case HF_BODY_BAD:
    default:
        return bytes.len;
    }
}

static size_t take_refusal(struct hf_opening *o, const struct hf_head *answer,
                           struct hf_slice bytes)
{
    size_t size = answer->size;
    keep_refusal(o, answer);
    o->body_kind = hf_response_body(answer, &o->body_left);
    if (o->body_kind == HF_BODY_BAD) {
        bad_answer(o, "the backend's answer has no clear length");
        return bytes.len;
    }
    if (o->body_kind == HF_BODY_NONE || (o->body_kind == HF_BODY_LENGTH && o->body_left == 0)) {
        finish_refusal(o);
        return bytes.len;
    }
    o->phase = HF_OPENING_BODY; /* within the same time */
    struct hf_slice rest = hf_slice_from(bytes, size);
    return rest.len == 0 ? size : size + take_body(o, rest);
}

static size_t take_answer(struct hf_opening *o, struct hf_slice bytes)
{
    struct hf_head answer;
    const char *why = "";
    size_t past = 0;
    for (;;) {
        switch (hf_response_read(hf_slice_from(bytes, past), o->runtime->config->head_max, &answer,
                                 &why)) {
        case HF_HEAD_MORE:
            return past;
        case HF_HEAD_READ:
            break;
        case HF_HEAD_BAD:
        case HF_HEAD_TOO_BIG:
        case HF_HEAD_NOT_HTTP:
        default:
            bad_answer(o, why);
            return bytes.len;
        }
        if (answer.status >= 200 || answer.status == 101) {
            break;
        }
        past += answer.size; /* an interim answer: RFC 9110 15.2 */
    }
    struct hf_slice rest = hf_slice_from(bytes, past);
    if (answer.status == 101) {
        size_t taken = take_101(o, &answer);
        return taken == SIZE_MAX ? bytes.len : past + taken;
    }
    return past + take_refusal(o, &answer, rest);
}

void hf_opening_connect_failed(struct hf_opening *o, const char *why)
{
    hf_opening_backend_failed(o, why);
    hf_opening_connect(o);
}

void hf_opening_backend_failed(struct hf_opening *o, const char *why)
{
    o->connect_why = why;
    mark_failed(o);
}

/* ---- the backend's stream
 * ---------------------------------------------------------------------------------------- */

static void backend_open(void *owner, struct hf_stream *stream)
{
    struct hf_opening *o = owner;
    hf_count(o->worker, HF_COUNT_upstream_connects, 1);
    hf_opening_phase(o, HF_OPENING_ANSWER, o->identity->route->config->upstream_timeout);
    build_request(o);
    if (o->out.failed) {
        hf_opening_refuse(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "out of memory", 1);
        return;
    }
    send_request(o);
}

static size_t backend_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct hf_opening *o = owner;
    switch (o->phase) {
    case HF_OPENING_ANSWER:
        return take_answer(o, bytes);
    case HF_OPENING_BODY:
        return take_body(o, bytes);
    case HF_OPENING_PROXY:
    case HF_OPENING_START_TLS:
    case HF_OPENING_TLS:
    case HF_OPENING_HEAD:
    case HF_OPENING_DELAY:
    case HF_OPENING_CALLOUT:
    case HF_OPENING_CONNECT:
    case HF_OPENING_REPLY:
    default:
        return bytes.len;
    }
}

static void backend_writable(void *owner, struct hf_stream *stream)
{
    struct hf_opening *o = owner;
    if (o->out.len > 0) {
        send_request(o);
    }
}

static void backend_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct hf_opening *o = owner;
    hf_stream_close(o->backend);
    o->backend = NULL;
    if (o->phase == HF_OPENING_CONNECT) {
        (void)snprintf(o->connect_text, sizeof(o->connect_text), "%s", end->detail);
        hf_opening_connect_failed(o, o->connect_text);
    } else if (o->phase == HF_OPENING_BODY && o->body_kind == HF_BODY_UNTIL_CLOSE) {
        finish_refusal(o);
    } else {
        bad_answer(o, "the backend ended the connection before its answer was whole");
    }
}

static const struct hf_stream_handler backend_handler = {.on_open = backend_open,
                                                         .on_bytes = backend_bytes,
                                                         .on_writable = backend_writable,
                                                         .on_end = backend_end};

/* ---- connecting
 * -------------------------------------------------------------------------------------------------------
 */

static void try_address(struct hf_opening *o)
{
    const struct hf_route *route = o->identity->route;
    const struct hf_upstream_config *u = o->identity->backend->config;
    struct hf_connect how = {.address = o->address, .options = o->runtime->sockets};
    if (how.options.user_timeout > 0) {
        how.options.keepalive_count =
            0; /* the kernel then gives up by time and counts no probes (tcp(7)): a call less */
    }
    if (u->tls) {
        how.tls.tls = route->tls;
        how.tls.name =
            route->config->upstream_tls.name != NULL ? route->config->upstream_tls.name : u->host;
    }
    enum hf_status status =
        hf_loop_connect(o->worker->loop, &how, &backend_handler, o, &o->backend);
    if (status == HF_NO_DESCRIPTORS || status == HF_NO_MEMORY) {
        hf_opening_refuse(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "the gateway is out of resources", 1);
    } else if (status != HF_OK) {
        o->backend = NULL;
        hf_opening_connect_failed(o, hf_status_text(status));
    }
}

static void resolved(void *owner, enum hf_status status, const struct hf_address *addresses,
                     size_t count)
{
    struct hf_opening *o = owner;
    o->resolving = 0;
    if (status != HF_OK || count == 0) {
        hf_opening_connect_failed(o, status == HF_NOT_FOUND ? "its name has no address"
                                                            : "its name could not be looked up");
        return;
    }
    o->address = addresses[(o->tries - 1) % count]; /* another one each try */
    if (o->address.u.any.sa_family == AF_INET6) {
        o->address.u.v6.sin6_port = htons(o->identity->backend->config->port);
    } else {
        o->address.u.v4.sin_port = htons(o->identity->backend->config->port);
    }
    try_address(o);
}

static void give_up(struct hf_opening *o)
{
    char why[256];
    (void)snprintf(why, sizeof(why), "no backend could be reached: %s",
                   o->connect_why != NULL ? o->connect_why : "unknown");
    hf_opening_refuse(o, HF_CAUSE_BACKEND_UNREACHABLE, 502, why, 1);
}

void hf_opening_connect(struct hf_opening *o)
{
    const struct hf_route_config *config = o->identity->route->config;
    hf_opening_drop_backend(o);
    if (o->tries >= config->connect_tries) {
        give_up(o);
        return;
    }
    o->tries++;
    set_backend(o, next_backend(o));
    hf_opening_phase(o, HF_OPENING_CONNECT, config->connect_timeout);
    if (o->identity->backend->address.len > 0) {
        o->address = o->identity->backend->address;
        try_address(o);
    } else if (hf_loop_resolve(o->worker->loop, o->identity->backend->config->host, resolved, o,
                               &o->resolving) != HF_OK) {
        o->connect_why = "out of memory";
        give_up(o);
    }
}
