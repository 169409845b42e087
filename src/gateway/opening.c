/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of an opening: PROXY header, TLS, the request's head, and what time brings. */
#include "gateway/opening.h"

#include "http/proxy_header.h"
#include "io/tls.h"

#include <stdlib.h>

void hf_opening_phase(struct hf_opening *o, enum hf_opening_phase phase, hf_time timeout)
{
    o->phase = phase;
    o->deadline = o->worker->loop->now + timeout;
    hf_timer_set(o->worker->loop, &o->timer, o->deadline);
}

void hf_opening_free(struct hf_opening *o)
{
    struct hf_worker *worker = o->worker;
    hf_dial_cancel(o->dial);
    hf_callout_cancel(o->callout);
    hf_stream_close(o->client);
    hf_timer_stop(worker->loop, &o->timer);
    hf_list_remove(&o->node);
    worker->opening_count--;
    hf_identity_free(o->identity, worker);
    hf_runtime_unref(o->runtime);
    struct hf_buffer *buffers[] = {&o->head_bytes, &o->path,        &o->protocols, &o->offers,
                                   &o->extra,      &o->token_bytes, &o->reply};
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
        hf_buffer_reset(buffers[i]);
    }
    hf_pool_put(&worker->head_pool, o->head);
    hf_pool_put(&worker->opening_pool, o);
}

void hf_opening_abandon(struct hf_opening *o, enum hf_cause cause, const char *reason, int error)
{
    hf_opening_auth_abandoned(o);
    hf_opening_record(o, cause, 0, reason, error);
    hf_opening_free(o);
}

void hf_opening_kill(struct hf_opening *o, enum hf_cause cause)
{
    if (o->phase == HF_OPENING_REPLY || o->head == NULL) {
        hf_opening_abandon(o, cause, "the gateway stops", 0);
        return;
    }
    hf_opening_refuse(o, cause, 503, "the server is restarting", 1);
}

/* ---- reading the client
 * ---------------------------------------------------------------------------------- */

/* Keeps the head: its bytes are copied and the slices moved over. */
static enum hf_status keep_head(struct hf_opening *o, struct hf_slice bytes,
                                const struct hf_head *head)
{
    o->head = hf_pool_take(&o->worker->head_pool);
    if (o->head == NULL ||
        hf_buffer_add(&o->head_bytes, hf_slice_first(bytes, head->size)) != HF_OK) {
        return HF_NO_MEMORY;
    }
    size_t whole = offsetof(struct hf_head, headers) + head->count * sizeof(head->headers[0]);
    memcpy(o->head, head, whole);
    const uint8_t *to = o->head_bytes.data;
    struct hf_head *h = o->head;
    h->method.ptr = to + (h->method.ptr - bytes.ptr);
    h->target.ptr = to + (h->target.ptr - bytes.ptr);
    if (h->authority.len > 0) {
        h->authority.ptr = to + (h->authority.ptr - bytes.ptr);
    }
    for (size_t i = 0; i < h->count; i++) {
        h->headers[i].name.ptr = to + (h->headers[i].name.ptr - bytes.ptr);
        h->headers[i].value.ptr = to + (h->headers[i].value.ptr - bytes.ptr);
    }
    return HF_OK;
}

/* A head that comes in crumbs is not read from its start for each of them: only a line's end brings
 * something new. */
#define HEAD_FIRST 16 /* bytes that tell HTTP from other things */
static bool brings_a_line(struct hf_opening *o, struct hf_slice bytes)
{
    struct hf_slice crumbs = hf_slice_from(bytes, o->head_seen);
    bool brings = o->head_seen < HEAD_FIRST || hf_slice_find(crumbs, '\n') < crumbs.len ||
                  bytes.len >= o->runtime->config->head_max;
    o->head_seen = bytes.len;
    return brings;
}

static size_t take_head(struct hf_opening *o, struct hf_slice bytes)
{
    struct hf_head head;
    const char *why = "";
    if (!brings_a_line(o, bytes)) {
        return 0;
    }
    switch (hf_request_read(bytes, o->runtime->config->head_max, &head, &why)) {
    case HF_HEAD_MORE:
        return 0;
    case HF_HEAD_BAD:
        hf_opening_refuse(o, HF_CAUSE_HANDSHAKE_BAD, 400, why, 0);
        return bytes.len;
    case HF_HEAD_TOO_BIG:
        hf_opening_refuse(o, HF_CAUSE_HANDSHAKE_BAD, 431, why, 0);
        return bytes.len;
    case HF_HEAD_NOT_HTTP:
        hf_opening_refuse(o, HF_CAUSE_HANDSHAKE_BAD, 400, why, 0);
        return bytes.len;
    case HF_HEAD_READ:
    default:
        break;
    }
    if (keep_head(o, bytes, &head) != HF_OK) {
        hf_opening_refuse(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "out of memory", 1);
        return bytes.len;
    }
    o->early_bytes = bytes.len > head.size;
    hf_opening_admit(o);
    return o->early_bytes ? bytes.len : head.size; /* refused when there are any */
}

static size_t take_proxy_header(struct hf_opening *o, struct hf_slice bytes)
{
    struct hf_proxy_header header;
    const char *why = "";
    switch (hf_proxy_header_read(bytes, &header, &why)) {
    case HF_PROXY_MORE:
        return 0;
    case HF_PROXY_BAD:
        hf_opening_abandon(o, HF_CAUSE_PROXY_HEADER_BAD, why, 0);
        return bytes.len;
    case HF_PROXY_READ:
    default:
        break;
    }
    if (!header.local) {
        memcpy(o->peer, header.source, sizeof(o->peer));
        o->peer_port = header.source_port;
    }
    /* TLS begins with the bytes behind the header, which io has once this call is over. */
    o->phase = o->listener_tls != NULL ? HF_OPENING_START_TLS : HF_OPENING_HEAD;
    hf_stream_pause(o->client);
    if (o->listener_tls != NULL) {
        hf_timer_set(o->worker->loop, &o->timer, o->worker->loop->now);
    } else {
        hf_stream_resume(o->client);
    }
    return header.size;
}

static size_t client_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct hf_opening *o = owner;
    switch (o->phase) {
    case HF_OPENING_PROXY:
        return take_proxy_header(o, bytes);
    case HF_OPENING_HEAD:
        return take_head(o, bytes);
    case HF_OPENING_REPLY:
        return bytes.len; /* read away, so that TCP does not reset the answer */
    case HF_OPENING_START_TLS:
    case HF_OPENING_TLS:
        return 0;
    case HF_OPENING_DELAY:
    case HF_OPENING_CALLOUT:
    case HF_OPENING_DIAL:
    default:
        /* RFC 6455 4.1: a client waits for the answer before it sends anything. */
        hf_opening_refuse(o, HF_CAUSE_HANDSHAKE_BAD, 400,
                          "bytes came behind the request, before its answer", 0);
        return bytes.len;
    }
}

static void begin_head(struct hf_opening *o)
{
    o->phase = HF_OPENING_HEAD;
}

static void client_open(void *owner, struct hf_stream *stream)
{
    struct hf_opening *o = owner;
    begin_head(o); /* the handshake's time goes on: TLS and head share it */
}

static void client_writable(void *owner, struct hf_stream *stream)
{
    struct hf_opening *o = owner;
    if (o->phase == HF_OPENING_REPLY) {
        hf_opening_reply(o);
    }
}

static void client_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct hf_opening *o = owner;
    if (o->phase == HF_OPENING_REPLY) {
        hf_opening_free(o);
    } else if (end->kind == HF_END_TLS_FAILED) {
        hf_opening_abandon(o, HF_CAUSE_TLS_FAILED, end->detail, end->error);
    } else {
        hf_opening_abandon(o, HF_CAUSE_CLIENT_GONE, end->detail, end->error);
    }
}

static const struct hf_stream_handler client_handler = {.on_open = client_open,
                                                        .on_bytes = client_bytes,
                                                        .on_writable = client_writable,
                                                        .on_end = client_end};

/* ---- time
 * --------------------------------------------------------------------------------------------------
 */

static void start_tls(struct hf_opening *o)
{
    struct hf_tls_how how = {.tls = o->listener_tls, .server = true};
    hf_timer_set(o->worker->loop, &o->timer, o->deadline);
    o->phase = HF_OPENING_TLS;
    if (hf_stream_start_tls(o->client, &how) != HF_OK) {
        hf_opening_abandon(o, HF_CAUSE_OUT_OF_RESOURCES, "no memory for TLS", 0);
        return;
    }
    hf_stream_resume(o->client);
}

static void timed_out(struct hf_opening *o)
{
    switch (o->phase) {
    case HF_OPENING_PROXY:
    case HF_OPENING_START_TLS:
    case HF_OPENING_TLS:
        hf_opening_abandon(o, HF_CAUSE_HANDSHAKE_TIMEOUT, "no request in time", 0);
        break;
    case HF_OPENING_HEAD:
        hf_opening_refuse(o, HF_CAUSE_HANDSHAKE_TIMEOUT, 408,
                          "the request's head did not come in time", 0);
        break;
    case HF_OPENING_DELAY:
        hf_opening_admit(o);
        break;
    case HF_OPENING_CALLOUT:
        hf_opening_refuse(o, HF_CAUSE_AUTH_UNAVAILABLE, 504,
                          "the application was not asked in time", 1);
        break;
    case HF_OPENING_DIAL: /* keeps its own time */
    case HF_OPENING_REPLY:
    default:
        hf_opening_free(o);
        break;
    }
}

static void fire(struct hf_timer *timer, hf_time now)
{
    struct hf_opening *o = HF_CONTAINER(timer, struct hf_opening, timer);
    if (o->phase == HF_OPENING_START_TLS) {
        start_tls(o);
    } else {
        timed_out(o);
    }
}

/* ---- accepting
 * ------------------------------------------------------------------------------------------------
 */

static void set_peer(struct hf_opening *o, const struct hf_address *peer)
{
    if (peer->u.any.sa_family == AF_INET6) {
        memcpy(o->peer, &peer->u.v6.sin6_addr, 16);
        o->peer_port = ntohs(peer->u.v6.sin6_port);
    } else if (peer->u.any.sa_family == AF_INET) {
        o->peer[10] = o->peer[11] = 0xff;
        memcpy(o->peer + 12, &peer->u.v4.sin_addr, 4);
        o->peer_port = ntohs(peer->u.v4.sin_port);
    } else {
        o->unix_peer = true;
    }
}

static void init_buffers(struct hf_opening *o, size_t head_max)
{
    hf_buffer_init(&o->head_bytes, &hf_heap, head_max);
    hf_buffer_init(&o->path, &hf_heap, head_max);
    hf_buffer_init(&o->protocols, &hf_heap, head_max);
    hf_buffer_init(&o->offers, &hf_heap, head_max);
    hf_buffer_init(&o->extra, &hf_heap, HF_REFUSAL_BODY_MAX);
    hf_buffer_init(&o->token_bytes, &hf_heap, head_max);
    hf_buffer_init(&o->reply, &hf_heap, 4 * head_max + 2 * HF_REFUSAL_BODY_MAX);
}

void hf_opening_accept(struct hf_worker *worker, const struct hf_worker_listener *listener,
                       struct hf_stream *stream, const struct hf_address *peer)
{
    struct hf_opening *o = hf_pool_take(&worker->opening_pool);
    if (o == NULL) {
        hf_stream_abort(stream);
        return;
    }
    hf_count(worker, HF_COUNT_connections_accepted, 1);
    o->worker = worker;
    o->runtime = hf_runtime_ref(worker->runtime);
    o->client = stream;
    o->accepted = worker->loop->now;
    o->id = atomic_fetch_add_explicit(&worker->gateway->next_id, 1, memory_order_relaxed);
    o->listener_tls = listener->tls;
    init_buffers(o, worker->runtime->config->head_max);
    hf_timer_init(&o->timer, fire);
    hf_list_init(&o->node);
    hf_list_append(&worker->openings, &o->node);
    worker->opening_count++;
    set_peer(o, peer);
    hf_stream_handle(stream, &client_handler, o);
    hf_opening_phase(o, HF_OPENING_HEAD, worker->runtime->config->handshake_timeout);
    if (listener->proxy_protocol) {
        if (!hf_opening_trusts_peer(o)) {
            hf_opening_abandon(o, HF_CAUSE_PROXY_HEADER_BAD,
                               "a PROXY header is only taken from trusted_proxies", 0);
            return;
        }
        o->phase = HF_OPENING_PROXY;
    } else if (listener->tls != NULL) {
        start_tls(o);
        return;
    }
    hf_stream_resume(stream);
}
