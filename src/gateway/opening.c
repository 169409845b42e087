/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of an opening: PROXY header, TLS, the request's head, and what time brings. */
#include "gateway/opening.h"

#include "gateway/fallback.h"
#include "gateway/keep.h"
#include "http/proxy_header.h"
#include "io/epoll.h"
#include "io/tls.h"

#include <stdlib.h>

void hf_opening_phase(struct hf_opening *o, enum hf_opening_phase phase, hf_time timeout)
{
    o->phase = phase;
    o->deadline = o->worker->loop->now + timeout;
    hf_timer_set(o->worker->loop, &o->timer, o->deadline);
}

void hf_opening_forget(struct hf_opening *o)
{
    struct hf_buffer *buffers[] = {&o->head_bytes, &o->path,        &o->protocols, &o->offers,
                                   &o->extra,      &o->token_bytes, &o->body_bytes};
    hf_fallback_leave(o);
    hf_identity_free(o->identity, o->worker);
    o->identity = NULL;
    hf_pool_put(&o->worker->head_pool, o->head);
    o->head = NULL;
    for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
        hf_buffer_reset(buffers[i]);
    }
}

/* A connection that has had its answers and waits for another request. */
static bool is_between(const struct hf_opening *o)
{
    return o->again && o->phase == HF_OPENING_HEAD && o->head_seen == 0;
}

/* It answers requests without WebSockets: its end is no ending of a session. */
static bool is_fallback(const struct hf_opening *o)
{
    return o->phase >= HF_OPENING_BODY;
}

void hf_opening_drain(struct hf_opening *o)
{
    if (is_between(o)) {
        hf_opening_free(o);
    }
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
    hf_opening_forget(o);
    hf_runtime_unref(o->runtime);
    hf_buffer_reset(&o->reply);
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
    if (is_between(o) || is_fallback(o)) {
        hf_opening_free(o);
        return;
    }
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

/* The worker of the session that the client wants to resume, or that its opening secret falls to.
 * NULL: any. */
static struct hf_worker *owner_of(const struct hf_opening *o, const struct hf_head *head)
{
    struct hf_gateway *gateway = o->worker->gateway;
    struct hf_offer offer = {0};
    struct hf_token token;
    struct hf_slice member;
    uint32_t cursor = 0;
    if (gateway->worker_count == 1) {
        return NULL;
    }
    if (hf_fallback_names(head, &offer, &token) && hf_keep_owner(gateway, &token) != NULL) {
        return hf_keep_owner(gateway, &token);
    }
    while (hf_head_next_member(head, "Sec-WebSocket-Protocol", &cursor, &member)) {
        (void)hf_offer_member(&offer, member);
    }
    hf_offer_finish(&offer);
    if (offer.kind == HF_OFFER_OPEN) {
        return hf_keep_owner_of_secret(gateway, hf_slice(offer.open_secret, offer.open_secret_len));
    }
    struct hf_worker *owner = offer.kind == HF_OFFER_RESUME && hf_token_read(offer.token, &token)
                                  ? hf_keep_owner(gateway, &token)
                                  : NULL;
    return owner == NULL && offer.kind != HF_OFFER_NONE && o->worker->index >= HF_KEEP_WORKERS
               ? gateway->workers[o->worker->index % HF_KEEP_WORKERS]
               : owner;
}

static size_t take_head(struct hf_opening *o, struct hf_slice bytes)
{
    struct hf_head head;
    const char *why = "";
    if (is_between(o)) { /* a request that begins now is of today's configuration */
        struct hf_runtime *before = o->runtime;
        o->runtime = hf_runtime_ref(o->worker->runtime);
        hf_runtime_unref(before);
        hf_opening_phase(o, HF_OPENING_HEAD, o->runtime->config->handshake_timeout);
    }
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
    struct hf_worker *owner = o->moved ? NULL : owner_of(o, &head);
    if (owner != NULL && owner != o->worker && hf_opening_move(o, owner)) {
        return bytes.len;
    }
    if (keep_head(o, bytes, &head) != HF_OK) {
        hf_opening_refuse(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "out of memory", 1);
        return bytes.len;
    }
    o->early_bytes = bytes.len > head.size;
    /* It may be gone behind this. What follows a WebSocket's head is never looked at: it is
     * refused; elsewhere it is a body, or the next request. */
    hf_opening_admit(o);
    return head.size;
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
    case HF_OPENING_BODY:
    case HF_OPENING_POLL:
    case HF_OPENING_ANSWER:
        return hf_fallback_bytes(o, bytes);
    case HF_OPENING_START_TLS:
    case HF_OPENING_TLS:
        return 0;
    case HF_OPENING_DELAY:
    case HF_OPENING_CALLOUT:
    case HF_OPENING_DIAL:
    default:
        if (o->fallback.kind != HF_FALLBACK_NONE) {
            hf_stream_pause(o->client); /* the next request, before its turn */
            return 0;
        }
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
    } else if (o->phase == HF_OPENING_ANSWER) {
        hf_fallback_send(o);
    }
}

static void client_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct hf_opening *o = owner;
    if (o->phase == HF_OPENING_REPLY || is_between(o) || is_fallback(o)) {
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
    case HF_OPENING_BODY:
        hf_fallback_late(o);
        break;
    case HF_OPENING_HEAD:
        if (is_between(o)) {
            hf_opening_free(o);
            break;
        }
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
    case HF_OPENING_POLL: /* its seat keeps the time */
    case HF_OPENING_ANSWER:
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
    hf_buffer_init(&o->reply, &hf_heap, SIZE_MAX); /* each writer has its own limit */
    hf_buffer_init(&o->body_bytes, &hf_heap, 0);
}

static struct hf_opening *opening_new(struct hf_worker *worker, struct hf_stream *stream)
{
    struct hf_opening *o = hf_pool_take(&worker->opening_pool);
    if (o == NULL) {
        return NULL;
    }
    o->worker = worker;
    o->client = stream;
    hf_timer_init(&o->timer, fire);
    hf_list_init(&o->node);
    hf_list_append(&worker->openings, &o->node);
    worker->opening_count++;
    return o;
}

void hf_opening_accept(struct hf_worker *worker, const struct hf_worker_listener *listener,
                       struct hf_stream *stream, const struct hf_address *peer)
{
    struct hf_opening *o = opening_new(worker, stream);
    if (o == NULL) {
        hf_stream_abort(stream);
        return;
    }
    hf_count(worker, HF_COUNT_connections_accepted, 1);
    o->runtime = hf_runtime_ref(worker->runtime);
    o->accepted = worker->loop->now;
    o->id = atomic_fetch_add_explicit(&worker->gateway->next_id, 1, memory_order_relaxed);
    o->listener_tls = listener->tls;
    init_buffers(o, worker->runtime->config->head_max);
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

/* ---- the next request
 * ------------------------------------------------------------------------------------------------
 */

void hf_opening_again(struct hf_opening *o)
{
    struct hf_worker *worker = o->worker;
    hf_opening_forget(o);
    hf_buffer_reset(&o->reply); /* an idle connection owns no buffer */
    o->again = true;
    o->moved = o->ended = o->admitted = o->tell_version = o->early_bytes = o->over_limit = false;
    o->behind_proxy = o->front_trusted = false;
    o->charged = 0;
    o->head_seen = 0;
    o->token = (struct hf_slice){NULL, 0};
    o->offer = (struct hf_offer){0};
    o->fallback = (struct hf_fallback){0};
    o->petition = (struct hf_petition){0};
    o->cors = HF_CORS_NONE;
    o->seat_serial = 0;
    memcpy(o->peer, o->nearest, sizeof(o->peer));
    o->peer_port = o->nearest_port;
    o->accepted = worker->loop->now;
    o->id = atomic_fetch_add_explicit(&worker->gateway->next_id, 1, memory_order_relaxed);
    hf_opening_phase(o, HF_OPENING_HEAD, o->known ? HF_KEEP_ALIVE : HF_KEEP_STRANGER);
    o->known = false;
    /* A next request that came already is offered again on a later turn. */
    hf_stream_pause(o->client);
    hf_stream_resume(o->client);
}

/* ---- moving to another worker
 * ------------------------------------------------------------------------------------------------
 */

/* What goes with the stream; the head is read again where it arrives. */
struct hf_move {
    struct hf_task task;
    struct hf_list node; /* gateway->moves */
    struct hf_parcel *parcel;
    struct hf_worker *to;
    struct hf_runtime *runtime; /* a reference */
    struct hf_tls *listener_tls;
    hf_time accepted;
    uint64_t id;
    uint8_t peer[16];
    uint16_t peer_port;
    bool unix_peer;
    bool again;
};

static void move_free(struct hf_move *move)
{
    pthread_mutex_lock(&move->to->gateway->lock);
    hf_list_remove(&move->node);
    pthread_mutex_unlock(&move->to->gateway->lock);
    hf_parcel_drop(move->parcel);
    hf_runtime_unref(move->runtime);
    free(move);
}

static void arrive(struct hf_task *task, struct hf_loop *loop)
{
    struct hf_move *move = HF_CONTAINER(task, struct hf_move, task);
    struct hf_opening *o = opening_new(move->to, NULL);
    if (o != NULL) {
        o->runtime = hf_runtime_ref(move->runtime);
        o->listener_tls = move->listener_tls;
        o->accepted = move->accepted;
        o->id = move->id;
        o->moved = true;
        o->again = move->again;
        o->peer_port = move->peer_port;
        o->unix_peer = move->unix_peer;
        memcpy(o->peer, move->peer, sizeof(o->peer));
        init_buffers(o, o->runtime->config->head_max);
        if (hf_loop_adopt(loop, move->parcel, &client_handler, o, &o->client) == HF_OK) {
            move->parcel = NULL;
            hf_opening_phase(o, HF_OPENING_HEAD, o->runtime->config->handshake_timeout);
            hf_stream_resume(o->client);
        } else {
            hf_opening_abandon(o, HF_CAUSE_OUT_OF_RESOURCES, "no memory for a move", 0);
        }
    }
    move_free(move);
}

bool hf_opening_move(struct hf_opening *o, struct hf_worker *to)
{
    struct hf_move *move = calloc(1, sizeof(*move));
    if (move == NULL || (move->parcel = hf_stream_release(o->client)) == NULL) {
        free(move);
        return false;
    }
    o->client = NULL;
    move->task.run = arrive;
    move->to = to;
    move->runtime = hf_runtime_ref(o->runtime);
    move->listener_tls = o->listener_tls;
    move->accepted = o->accepted;
    move->id = o->id;
    move->peer_port = o->peer_port;
    move->unix_peer = o->unix_peer;
    move->again = o->again;
    memcpy(move->peer, o->peer, sizeof(o->peer));
    hf_list_init(&move->node);
    pthread_mutex_lock(&to->gateway->lock);
    hf_list_append(&to->gateway->moves, &move->node);
    pthread_mutex_unlock(&to->gateway->lock);
    hf_loop_post(to->loop, &move->task);
    hf_count(o->worker, HF_COUNT_moves, 1);
    hf_opening_free(o);
    return true;
}

void hf_moves_drop(struct hf_gateway *gateway)
{
    while (!hf_list_empty(&gateway->moves)) {
        move_free(HF_CONTAINER(gateway->moves.next, struct hf_move, node));
    }
}
