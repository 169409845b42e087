/* SPDX-License-Identifier: Apache-2.0 */
/* The embedded backend: see backend.h. */
#include "chaos/backend.h"

#include "base/buffer.h"
#include "ws/endpoint.h"
#include "ws/handshake.h"

#include <stdio.h>

#define MESSAGE_MAX ((uint64_t)64 << 20)
#define HEAD_MAX 65536
#define CHUNK_EVERY HF_MS(50)
#define PUSH_EVERY HF_SECONDS(1)
#define STREAM_CHUNKS 25
#define CHUNKS_MAX 100000

struct hf_chaos_backend {
    struct hf_loop *loop;
    enum hf_chaos_backend_kind kind;
    struct hf_listener *listener;
    struct hf_address address;
    struct hf_list peers;
    struct hf_list ended;
    struct hf_timer reap;
};

struct peer {
    struct hf_list node;
    struct hf_chaos_backend *backend;
    struct hf_stream *stream;     /* NULL: it has ended */
    struct hf_endpoint *endpoint; /* NULL before the handshake */
    struct hf_timer timer;
    uint64_t chunks; /* still to be sent */
    uint64_t sent;
    bool shut;
};

enum hf_chaos_backend_kind hf_chaos_backend_from(struct hf_slice text)
{
    static const char *const names[] = {"echo", "push", "silent", "stream"};
    enum hf_chaos_backend_kind kind = HF_BACKEND_ECHO;
    while (kind < HF_BACKEND_KINDS && !hf_slice_eq(text, hf_slice_of(names[kind]))) {
        kind++;
    }
    return kind;
}

static void peer_end(struct peer *p, void (*end)(struct hf_stream *stream))
{
    if (p->stream == NULL) {
        return;
    }
    end(p->stream);
    p->stream = NULL;
    hf_timer_stop(p->backend->loop, &p->timer);
    hf_list_remove(&p->node);
    hf_list_append(&p->backend->ended, &p->node);
    hf_timer_set(p->backend->loop, &p->backend->reap, hf_loop_now(p->backend->loop));
}

static void reap(struct hf_timer *timer, hf_time now)
{
    struct hf_chaos_backend *b = HF_CONTAINER(timer, struct hf_chaos_backend, reap);
    while (!hf_list_empty(&b->ended)) {
        struct peer *p = HF_CONTAINER(b->ended.next, struct peer, node);
        hf_list_remove(&p->node);
        hf_endpoint_free(p->endpoint);
        hf_release(&hf_heap, p);
    }
}

/* Sends what there is; after both Closes TCP ends. While the client does not read, its messages are
 * not read either. */
static void push_out(struct peer *p)
{
    struct hf_buffer *out = hf_endpoint_out(p->endpoint);
    if (p->shut) {
        return;
    }
    hf_buffer_drop(out, hf_stream_send(p->stream, hf_buffer_slice(out)));
    if (out->len > 0) {
        hf_stream_pause(p->stream);
    } else {
        hf_stream_resume(p->stream);
        if (hf_endpoint_is_closed(p->endpoint)) {
            p->shut = true;
            hf_stream_shut(p->stream);
        }
    }
}

static bool say(struct peer *p, uint8_t opcode, struct hf_slice text)
{
    return hf_endpoint_send(p->endpoint, opcode, text) == HF_OK;
}

/* The N of a text that holds "stream":N; 0: none. */
static uint64_t stream_wanted(struct hf_slice text)
{
    size_t at = hf_slice_search(text, HF_LITERAL("\"stream\""));
    struct hf_slice rest = hf_slice_trim(hf_slice_from(text, at + 8));
    uint64_t n = 0;
    if (at == text.len || rest.len == 0 || rest.ptr[0] != ':') {
        return 0;
    }
    rest = hf_slice_trim(hf_slice_from(rest, 1));
    size_t digits = 0;
    while (digits < rest.len && rest.ptr[digits] >= '0' && rest.ptr[digits] <= '9') {
        digits++;
    }
    return hf_slice_number(hf_slice_first(rest, digits), CHUNKS_MAX, &n) ? n : 0;
}

static void take_message(struct peer *p, const struct hf_endpoint_event *event)
{
    hf_time now = hf_loop_now(p->backend->loop);
    uint64_t chunks = 0;
    if (p->backend->kind == HF_BACKEND_STREAM) {
        chunks = STREAM_CHUNKS;
    } else if (p->backend->kind == HF_BACKEND_ECHO && event->opcode == HF_OP_TEXT &&
               event->data.len <= 4096) {
        chunks = stream_wanted(event->data);
    }
    if (chunks > 0) {
        p->chunks += chunks;
        hf_timer_set(p->backend->loop, &p->timer, now);
    } else if (p->backend->kind == HF_BACKEND_ECHO) {
        (void)say(p, event->opcode, event->data);
    }
}

static void on_time(struct hf_timer *timer, hf_time now)
{
    struct peer *p = HF_CONTAINER(timer, struct peer, timer);
    char text[80];
    bool pushes = p->backend->kind == HF_BACKEND_PUSH;
    p->sent++;
    int len = snprintf(text, sizeof(text), "{\"%s\":%llu}", pushes ? "push" : "chunk",
                       (unsigned long long)p->sent);
    /* A client that does not read is not flooded. */
    bool room = hf_endpoint_out(p->endpoint)->len < 65536;
    if (room && !say(p, HF_OP_TEXT, hf_slice(text, (size_t)len))) {
        return; /* a Close went by */
    }
    if (!pushes) {
        p->chunks--;
    }
    if (pushes || p->chunks > 0) {
        hf_timer_set(p->backend->loop, &p->timer, now + (pushes ? PUSH_EVERY : CHUNK_EVERY));
    }
    push_out(p);
}

static size_t shake_hands(struct peer *p, struct hf_slice bytes)
{
    struct hf_head head;
    const char *why = "";
    char answer[512];
    char accept[HF_WS_ACCEPT_CHARS];
    enum hf_head_read read = hf_request_read(bytes, HEAD_MAX, &head, &why);
    if (read == HF_HEAD_MORE) {
        return 0;
    }
    if (read != HF_HEAD_READ || hf_ws_check_request(&head).status != 0) {
        int len =
            snprintf(answer, sizeof(answer),
                     "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: "
                     "Upgrade, close\r\nContent-Length: 25\r\n\r\nthis is a WebSocket only\n");
        (void)hf_stream_send(p->stream, hf_slice(answer, (size_t)len));
        p->shut = true;
        hf_stream_shut(p->stream);
        return bytes.len;
    }
    const struct hf_endpoint_options options = {
        .message_max = MESSAGE_MAX, .alloc = &hf_heap, .seed = 1};
    p->endpoint = hf_endpoint_new(&options);
    if (p->endpoint == NULL) {
        peer_end(p, hf_stream_abort);
        return bytes.len;
    }
    hf_ws_accept(*hf_head_find(&head, "Sec-WebSocket-Key"), accept);
    (void)hf_buffer_addf(hf_endpoint_out(p->endpoint),
                         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                         "Upgrade\r\nSec-WebSocket-Accept: %.*s\r\n",
                         HF_WS_ACCEPT_CHARS, accept);
    /* The first subprotocol that is offered is spoken, so that clients with one can connect. */
    uint32_t cursor = 0;
    struct hf_slice protocol;
    if (hf_head_next_member(&head, "Sec-WebSocket-Protocol", &cursor, &protocol)) {
        (void)hf_buffer_addf(hf_endpoint_out(p->endpoint), "Sec-WebSocket-Protocol: %.*s\r\n",
                             HF_SLICE_ARG(protocol));
    }
    (void)hf_buffer_add_text(hf_endpoint_out(p->endpoint), "\r\n");
    if (p->backend->kind == HF_BACKEND_PUSH) {
        hf_timer_set(p->backend->loop, &p->timer, hf_loop_now(p->backend->loop) + PUSH_EVERY);
    }
    return head.size;
}

static void read_messages(struct peer *p, struct hf_slice bytes)
{
    struct hf_endpoint_event event;
    bool ended = hf_endpoint_feed(p->endpoint, bytes) != HF_OK;
    for (enum hf_endpoint_event_kind kind = hf_endpoint_next(p->endpoint, &event);
         kind != HF_ENDPOINT_NONE && !ended; kind = hf_endpoint_next(p->endpoint, &event)) {
        if (kind == HF_ENDPOINT_MESSAGE) {
            take_message(p, &event);
        }
        ended = kind == HF_ENDPOINT_FAULT;
    }
    push_out(p);
    if (ended && !p->shut) {
        p->shut = true;
        hf_stream_shut(p->stream);
    }
}

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct peer *p = owner;
    size_t taken = 0;
    if (p->shut) {
        return bytes.len;
    }
    if (p->endpoint == NULL) {
        taken = shake_hands(p, bytes);
        if (p->endpoint == NULL || p->stream == NULL) {
            return taken;
        }
    }
    read_messages(p, hf_slice_from(bytes, taken));
    return bytes.len;
}

static void on_writable(void *owner, struct hf_stream *stream)
{
    struct peer *p = owner;
    if (p->endpoint != NULL) {
        push_out(p);
    }
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    peer_end(owner, hf_stream_close);
}

static const struct hf_stream_handler peer_handler = {
    .on_bytes = on_bytes, .on_writable = on_writable, .on_end = on_end};

static void on_accept(void *owner, struct hf_stream *stream, const struct hf_address *address)
{
    struct hf_chaos_backend *b = owner;
    struct peer *p = hf_alloc_zero(&hf_heap, sizeof(*p));
    if (p == NULL) {
        hf_stream_abort(stream);
        return;
    }
    p->backend = b;
    p->stream = stream;
    hf_timer_init(&p->timer, on_time);
    hf_list_init(&p->node);
    hf_list_append(&b->peers, &p->node);
    hf_stream_handle(stream, &peer_handler, p);
    hf_stream_resume(stream);
}

static const struct hf_listener_handler listener_handler = {.on_accept = on_accept};

enum hf_status hf_chaos_backend_open(struct hf_loop *loop, enum hf_chaos_backend_kind kind,
                                     struct hf_chaos_backend **backend)
{
    struct hf_chaos_backend *b = hf_alloc_zero(&hf_heap, sizeof(*b));
    struct hf_listen how = {0};
    *backend = NULL;
    if (b == NULL) {
        return HF_NO_MEMORY;
    }
    b->loop = loop;
    b->kind = kind;
    hf_list_init(&b->peers);
    hf_list_init(&b->ended);
    hf_timer_init(&b->reap, reap);
    HF_ASSERT(hf_address_parse(HF_LITERAL("127.0.0.1:0"), &how.address));
    enum hf_status status = hf_loop_listen(loop, &how, &listener_handler, b, &b->listener);
    if (status != HF_OK) {
        hf_release(&hf_heap, b);
        return status;
    }
    hf_listener_address(loop, b->listener, &b->address);
    *backend = b;
    return HF_OK;
}

void hf_chaos_backend_address(const struct hf_chaos_backend *b, struct hf_address *address)
{
    *address = b->address;
}

void hf_chaos_backend_close(struct hf_chaos_backend *b)
{
    if (b == NULL) {
        return;
    }
    while (!hf_list_empty(&b->peers)) {
        peer_end(HF_CONTAINER(b->peers.next, struct peer, node), hf_stream_close);
    }
    reap(&b->reap, 0);
    hf_timer_stop(b->loop, &b->reap);
    hf_listener_close(b->loop, b->listener);
    hf_release(&hf_heap, b);
}
