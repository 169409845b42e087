/* SPDX-License-Identifier: Apache-2.0 */
/* One end of a WebSocket over a plain stream: see demo_peer.h. */
#include "tools/demo_peer.h"

#include <stdarg.h>
#include <stdio.h>

#define HEAD_MAX 8192
#define MESSAGE_MAX 65536

static void end_peer(struct demo_peer *peer, const char *how)
{
    if (peer->state == DEMO_PEER_ENDED) {
        return;
    }
    peer->state = DEMO_PEER_ENDED;
    hf_stream_close(peer->stream);
    peer->stream = NULL;
    peer->handler->ended(peer, peer->code != 0 ? peer->code : 1006, how);
}

/* ---- out ----------------------------------------------------------------- */

static void flush(struct demo_peer *peer)
{
    struct hf_buffer *buffers[] = {&peer->head, hf_endpoint_out(peer->endpoint)};
    for (int i = 0; i < 2 && peer->stream != NULL; i++) {
        struct hf_buffer *out = buffers[i];
        if (out->len > 0) {
            hf_buffer_drop(out, hf_stream_send(peer->stream, hf_buffer_slice(out)));
        }
        if (out->len > 0) {
            return; /* on_writable goes on */
        }
    }
}

void demo_peer_send(struct demo_peer *peer, struct hf_slice text)
{
    if (peer->state == DEMO_PEER_OPEN &&
        hf_endpoint_send(peer->endpoint, HF_OP_TEXT, text) == HF_OK) {
        flush(peer);
    }
}

void demo_peer_say(struct demo_peer *peer, const char *format, ...)
{
    char text[121];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    demo_peer_send(peer, hf_slice_of(text));
}

void demo_peer_goodbye(struct demo_peer *peer)
{
    if (peer->state == DEMO_PEER_OPEN &&
        hf_endpoint_close(peer->endpoint, 1000, HF_LITERAL("the demo is over")) == HF_OK) {
        flush(peer);
    }
}

/* ---- the handshake ------------------------------------------------------- */

static void on_open(void *owner, struct hf_stream *stream)
{
    struct demo_peer *peer = owner;
    hf_buffer_addf(&peer->head,
                   "GET /app HTTP/1.1\r\nHost: demo.example\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: %.*s\r\n\r\n",
                   HF_WS_KEY_CHARS, peer->key);
    flush(peer);
}

/* NULL when it is right. */
static const char *check_head(struct demo_peer *peer, const struct hf_head *head)
{
    if (peer->client) {
        return hf_ws_check_response(head, hf_slice(peer->key, HF_WS_KEY_CHARS), hf_slice(NULL, 0));
    }
    struct hf_ws_refusal refusal = hf_ws_check_request(head);
    return refusal.status == 0 ? NULL : refusal.why;
}

static void answer_request(struct demo_peer *peer, const struct hf_head *head)
{
    char accept[HF_WS_ACCEPT_CHARS];
    hf_ws_accept(*hf_head_find(head, "Sec-WebSocket-Key"), accept);
    (void)snprintf(peer->target, sizeof(peer->target), "%.*s", HF_SLICE_ARG(head->target));
    hf_buffer_addf(&peer->head,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %.*s\r\n\r\n",
                   HF_WS_ACCEPT_CHARS, accept);
    flush(peer);
}

/* Takes the head once it is whole; until then its bytes stay with the stream. */
static size_t read_head(struct demo_peer *peer, struct hf_slice bytes)
{
    struct hf_head head;
    const char *why = NULL;
    enum hf_head_read read = peer->client ? hf_response_read(bytes, HEAD_MAX, &head, &why)
                                          : hf_request_read(bytes, HEAD_MAX, &head, &why);
    if (read == HF_HEAD_MORE) {
        return 0;
    }
    if (read != HF_HEAD_READ || (why = check_head(peer, &head)) != NULL) {
        end_peer(peer, why);
        return bytes.len;
    }
    if (!peer->client) {
        answer_request(peer, &head);
    }
    peer->state = DEMO_PEER_OPEN;
    peer->handler->opened(peer);
    return head.size;
}

/* ---- in ------------------------------------------------------------------ */

static void take_event(struct demo_peer *peer, const struct hf_endpoint_event *event)
{
    switch (event->kind) {
    case HF_ENDPOINT_MESSAGE:
        peer->handler->message(peer, event->data);
        break;
    case HF_ENDPOINT_PING:
        peer->handler->pinged(peer);
        break;
    case HF_ENDPOINT_CLOSE:
        peer->code = event->code;
        break;
    case HF_ENDPOINT_FAULT:
        flush(peer);
        end_peer(peer, event->why);
        break;
    case HF_ENDPOINT_PONG:
    case HF_ENDPOINT_NONE:
        break;
    }
}

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct demo_peer *peer = owner;
    struct hf_endpoint_event event;
    size_t head = peer->state == DEMO_PEER_SHAKING ? read_head(peer, bytes) : 0;
    if (peer->state != DEMO_PEER_OPEN) {
        return head;
    }
    if (hf_endpoint_feed(peer->endpoint, hf_slice_from(bytes, head)) != HF_OK) {
        end_peer(peer, "out of memory");
    }
    while (peer->state == DEMO_PEER_OPEN &&
           hf_endpoint_next(peer->endpoint, &event) != HF_ENDPOINT_NONE) {
        take_event(peer, &event);
    }
    flush(peer);
    /* RFC 6455 7.1.1: the server ends TCP, the client waits for it. */
    if (!peer->client && hf_endpoint_is_closed(peer->endpoint)) {
        end_peer(peer, "closed");
    }
    return bytes.len;
}

static void on_writable(void *owner, struct hf_stream *stream)
{
    flush(owner);
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    switch (end->kind) {
    case HF_END_FIN:
        end_peer(owner, "the connection ended");
        break;
    case HF_END_RST:
        end_peer(owner, "connection reset");
        break;
    case HF_END_REFUSED:
    case HF_END_UNREACHABLE:
        end_peer(owner, "not connected");
        break;
    case HF_END_TLS_NOTIFY:
    case HF_END_TLS_TRUNCATED:
    case HF_END_TLS_FAILED:
    case HF_END_TIMEOUT:
    case HF_END_ERRNO:
    case HF_END_KINDS:
        end_peer(owner, "connection lost");
        break;
    }
}

static const struct hf_stream_handler stream_handler = {
    .on_open = on_open, .on_bytes = on_bytes, .on_writable = on_writable, .on_end = on_end};

/* ---- life ---------------------------------------------------------------- */

static enum hf_status init(struct demo_peer *peer, bool client, uint64_t seed,
                           const struct demo_peer_handler *handler)
{
    struct hf_endpoint_options options = {
        .client = client, .message_max = MESSAGE_MAX, .alloc = &hf_heap, .seed = seed};
    *peer = (struct demo_peer){.handler = handler, .client = client, .state = DEMO_PEER_SHAKING};
    hf_buffer_init(&peer->head, &hf_heap, HEAD_MAX);
    peer->endpoint = hf_endpoint_new(&options);
    return peer->endpoint == NULL ? HF_NO_MEMORY : HF_OK;
}

enum hf_status demo_peer_connect(struct demo_peer *peer, struct hf_loop *loop,
                                 const struct hf_address *address, uint64_t seed,
                                 const struct demo_peer_handler *handler)
{
    struct hf_connect how = {.address = *address};
    struct hf_random random;
    uint64_t nonce[2];
    hf_random_init(&random, seed);
    nonce[0] = hf_random_next(&random);
    nonce[1] = hf_random_next(&random);
    enum hf_status status = init(peer, true, hf_random_next(&random), handler);
    hf_ws_key((const uint8_t *)nonce, peer->key);
    if (status == HF_OK) {
        status = hf_loop_connect(loop, &how, &stream_handler, peer, &peer->stream);
    }
    return status;
}

enum hf_status demo_peer_accept(struct demo_peer *peer, struct hf_stream *stream, uint64_t seed,
                                const struct demo_peer_handler *handler)
{
    enum hf_status status = init(peer, false, seed, handler);
    if (status != HF_OK) {
        hf_stream_abort(stream);
        return status;
    }
    peer->stream = stream;
    hf_stream_handle(stream, &stream_handler, peer);
    hf_stream_resume(stream);
    return HF_OK;
}

void demo_peer_fini(struct demo_peer *peer)
{
    if (peer->state == DEMO_PEER_IDLE) {
        return;
    }
    hf_stream_close(peer->stream);
    hf_endpoint_free(peer->endpoint);
    hf_buffer_reset(&peer->head);
    *peer = (struct demo_peer){0};
}
