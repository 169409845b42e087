/* SPDX-License-Identifier: Apache-2.0 */
/* A server of one connection on the test's own loop, which does what the test says: it answers the
 * handshake with a 101 or with a text, keeps what comes, and sends what it is told to. */
#ifndef HF_TEST_PROBE_PEER_H
#define HF_TEST_PROBE_PEER_H

#include "io/epoll.h"
#include "ws/endpoint.h"
#include "ws/handshake.h"

#include "test_unit.h"

#include <stdio.h>
#include <stdlib.h>

struct peer {
    struct hf_loop *loop;
    struct hf_listener *listener;
    struct hf_stream *stream;
    struct hf_endpoint *endpoint;
    const char *answer; /* instead of a 101; NULL: the 101 */
    bool deaf;          /* does not answer pings */
    bool hangs_up;      /* FIN behind the answer */
    bool open, ended;
    char request[4096];
    size_t request_len;
    unsigned pings, pongs, messages;
    char pong[128], message[256]; /* the last */
    uint16_t code;                /* of a Close that came */
    enum hf_end_kind end;
};

static inline void peer_flush(struct peer *p)
{
    struct hf_buffer *out = hf_endpoint_out(p->endpoint);
    hf_buffer_drop(out, hf_stream_send(p->stream, hf_buffer_slice(out)));
}

static inline void peer_answer(struct peer *p)
{
    struct hf_head head;
    const char *why;
    char accept[HF_WS_ACCEPT_CHARS], text[512];
    const struct hf_endpoint_options options = {
        .silent_pings = true, .message_max = 1 << 20, .alloc = &hf_heap};
    assert_int_equal(hf_request_read(hf_slice(p->request, p->request_len), 4096, &head, &why),
                     HF_HEAD_READ);
    if (p->answer != NULL) {
        (void)hf_stream_send(p->stream, hf_slice_of(p->answer));
    } else {
        assert_int_equal(hf_ws_check_request(&head).status, 0);
        hf_ws_accept(*hf_head_find(&head, "Sec-WebSocket-Key"), accept);
        const int len = snprintf(text, sizeof(text),
                                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                 "Connection: Upgrade\r\nSec-WebSocket-Accept: %.*s\r\n\r\n",
                                 HF_WS_ACCEPT_CHARS, accept);
        (void)hf_stream_send(p->stream, hf_slice(text, (size_t)len));
        p->endpoint = hf_endpoint_new(&options);
        p->open = true;
    }
    if (p->hangs_up) {
        hf_stream_shut(p->stream);
    }
}

static inline void peer_take(struct peer *p, const struct hf_endpoint_event *e)
{
    switch (e->kind) {
    case HF_ENDPOINT_PING:
        p->pings++;
        if (!p->deaf) {
            assert_int_equal(hf_endpoint_pong(p->endpoint, e->data), HF_OK);
        }
        break;
    case HF_ENDPOINT_PONG:
        p->pongs++;
        (void)snprintf(p->pong, sizeof(p->pong), "%.*s", HF_SLICE_ARG(e->data));
        break;
    case HF_ENDPOINT_MESSAGE:
        p->messages++;
        (void)snprintf(p->message, sizeof(p->message), "%.*s", HF_SLICE_ARG(e->data));
        break;
    case HF_ENDPOINT_CLOSE:
        p->code = e->code;
        break;
    case HF_ENDPOINT_FAULT:
    case HF_ENDPOINT_NONE:
        break;
    }
}

static inline size_t peer_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct peer *p = owner;
    struct hf_endpoint_event e;
    if (p->open) {
        assert_int_equal(hf_endpoint_feed(p->endpoint, bytes), HF_OK);
        while (hf_endpoint_next(p->endpoint, &e) != HF_ENDPOINT_NONE) {
            peer_take(p, &e);
        }
        peer_flush(p);
        return bytes.len;
    }
    const size_t len = bytes.len < sizeof(p->request) - p->request_len
                           ? bytes.len
                           : sizeof(p->request) - p->request_len;
    memcpy(p->request + p->request_len, bytes.ptr, len);
    p->request_len += len;
    if (hf_slice_ends(hf_slice(p->request, p->request_len), HF_LITERAL("\r\n\r\n"))) {
        peer_answer(p);
    }
    return bytes.len;
}

static inline void peer_ended(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct peer *p = owner;
    p->ended = true;
    p->end = end->kind;
}

static inline void peer_accept(void *owner, struct hf_stream *stream, const struct hf_address *from)
{
    static const struct hf_stream_handler handler = {.on_bytes = peer_bytes, .on_end = peer_ended};
    struct peer *p = owner;
    assert_null(p->stream);
    p->stream = stream;
    hf_stream_handle(stream, &handler, p);
    hf_stream_resume(stream);
}

/* Returns the port that it listens at. */
static inline uint16_t peer_listen(struct peer *p, struct hf_loop *loop)
{
    static const struct hf_listener_handler handler = {.on_accept = peer_accept};
    struct hf_listen how = {.backlog = 0};
    struct hf_address address;
    assert_true(hf_address_parse(HF_LITERAL("127.0.0.1:0"), &how.address));
    *p = (struct peer){.loop = loop};
    assert_int_equal(hf_loop_listen(loop, &how, &handler, p, &p->listener), HF_OK);
    hf_listener_address(loop, p->listener, &address);
    return ntohs(address.u.v4.sin_port);
}

static inline void peer_close(struct peer *p)
{
    hf_stream_close(p->stream);
    hf_endpoint_free(p->endpoint);
    hf_listener_close(p->loop, p->listener);
}

static inline void peer_ping(struct peer *p, const char *payload)
{
    assert_int_equal(hf_endpoint_ping(p->endpoint, hf_slice_of(payload)), HF_OK);
    peer_flush(p);
}

static inline void peer_say(struct peer *p, const char *text)
{
    assert_int_equal(hf_endpoint_send(p->endpoint, HF_OP_TEXT, hf_slice_of(text)), HF_OK);
    peer_flush(p);
}

#endif
