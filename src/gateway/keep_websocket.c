/* SPDX-License-Identifier: Apache-2.0 */
/* The WebSocket attachment: a client's connection that a session has at the moment. The 101 goes
 * out with the first control message, hello or end. See attachment.h and keep_websocket.h. */
#include "gateway/keep_websocket.h"

#include "gateway/keeper.h"
#include "ws/handshake.h"

#include <stdlib.h>

/* Bytes of a control message's frame with the 101 in front. */
#define ANSWER_MAX 2048

struct socket {
    struct hf_attachment a;
    struct hf_wire wire;        /* opened with the 101; before it, it has the stream alone */
    struct hf_runtime *runtime; /* a reference: the route is part of it */
    struct hf_list node;        /* keeper->sockets */
    char *accept;               /* HF_WS_ACCEPT_CHARS; owned; NULL: the 101 is out */
};

size_t hf_keep_websocket_size(void)
{
    return sizeof(struct socket);
}

static struct socket *socket_of_wire(struct hf_wire *w)
{
    return HF_CONTAINER(w, struct socket, wire);
}

static struct socket *socket_of(struct hf_attachment *a)
{
    return HF_CONTAINER(a, struct socket, a);
}

static void socket_free(struct socket *s)
{
    struct hf_keeper *keeper = s->wire.worker->keeper;
    HF_ASSERT(s->a.keep == NULL);
    if (s->accept != NULL) {
        hf_stream_abort(s->wire.stream);
        s->wire.stream = NULL;
        free(s->accept);
    }
    hf_wire_fini(&s->wire);
    hf_runtime_unref(s->runtime);
    hf_list_remove(&s->node);
    keeper->socket_count--;
    hf_pool_put(&keeper->socket_pool, s);
}

void hf_keep_websocket_kill_all(struct hf_keeper *keeper)
{
    while (!hf_list_empty(&keeper->sockets)) {
        struct socket *s = HF_CONTAINER(keeper->sockets.next, struct socket, node);
        if (s->a.keep != NULL) {
            hf_keep_lost(&s->a, HF_CAUSE_STOP, 0);
        }
        socket_free(s);
    }
}

/* ---- from the client ---------------------------------------------------------------------------
 */

static void fault(struct socket *s, uint16_t code, enum hf_cause cause, const char *why)
{
    if (s->a.keep != NULL) {
        hf_keep_fault(&s->a, cause, code, why);
    } else {
        hf_wire_close(&s->wire, code, hf_slice_of(why));
    }
}

/* A whole message, unmasked, as it stands on an hf1 connection. */
static void take(struct socket *s, uint8_t opcode, struct hf_slice payload)
{
    enum hf_text_kind kind = opcode == HF_OP_TEXT ? hf_text_kind(payload) : HF_TEXT_PLAIN;
    switch (kind) {
    case HF_TEXT_PLAIN:
        (void)hf_keep_message(&s->a, opcode, payload);
        break;
    case HF_TEXT_ESCAPED:
        (void)hf_keep_message(&s->a, opcode, hf_slice_from(payload, 1));
        break;
    case HF_TEXT_CONTROL:
        if (!hf_wire_spend(&s->wire)) {
            fault(s, HF_CLOSE_PROTOCOL, HF_CAUSE_CLIENT_PROTOCOL, "too many control messages");
            break;
        }
        (void)hf_keep_control(&s->a, hf_slice_from(payload, 1));
        break;
    case HF_TEXT_BAD:
    default:
        fault(s, HF_CLOSE_PROTOCOL, HF_CAUSE_CLIENT_PROTOCOL, "a text that is 0x01 alone");
        break;
    }
}

static void client_frame(struct hf_wire *w, const struct hf_frame_head *head, struct hf_slice frame)
{
    struct socket *s = socket_of_wire(w);
    size_t len = (size_t)head->length;
    if (s->a.keep == NULL) {
        return; /* it is not the session's any more */
    }
    bool marked = head->opcode == HF_OP_TEXT && len > 0 &&
                  (frame.ptr[head->size] ^ head->mask[0]) == HF_CONTROL_MARK;
    if (!marked && hf_keep_pass(&s->a, head->opcode, len, frame)) {
        return;
    }
    struct hf_slice payload = hf_wire_unmask(w, head, frame);
    if (payload.ptr == NULL) {
        fault(s, HF_CLOSE_INTERNAL, HF_CAUSE_OUT_OF_RESOURCES, "out of memory");
        return;
    }
    take(s, head->opcode, payload);
}

static void client_message(struct hf_wire *w, uint8_t opcode, struct hf_slice payload)
{
    struct socket *s = socket_of_wire(w);
    if (s->a.keep != NULL) {
        take(s, opcode, payload);
    }
}

static void client_closed(struct hf_wire *w, uint16_t code, struct hf_slice reason)
{
    struct socket *s = socket_of_wire(w);
    if (s->a.keep == NULL || hf_keep_closed(&s->a, code, reason)) {
        hf_wire_close(w, code, reason);
    }
}

static void client_lost(struct hf_wire *w, enum hf_cause cause, int error)
{
    struct socket *s = socket_of_wire(w);
    if (s->a.keep != NULL) {
        hf_keep_lost(&s->a, cause, error);
    }
    socket_free(s);
}

static void client_gone(struct hf_wire *w, uint16_t code)
{
    struct socket *s = socket_of_wire(w);
    if (s->a.keep != NULL && code != 0) {
        (void)hf_keep_closed(&s->a, code, hf_slice(NULL, 0));
    }
    if (s->a.keep != NULL) {
        hf_keep_lost(&s->a, HF_CAUSE_CLIENT_TIMEOUT, 0);
    }
    socket_free(s);
}

static void client_fault(struct hf_wire *w, enum hf_cause cause, uint16_t code, const char *why)
{
    fault(socket_of_wire(w), code, cause, why);
}

static void client_drained(struct hf_wire *w)
{
    struct socket *s = socket_of_wire(w);
    if (s->a.keep != NULL) {
        hf_keep_writable(&s->a);
    }
}

static const struct hf_wire_ops wire_ops = {.frame = client_frame,
                                            .message = client_message,
                                            .closed = client_closed,
                                            .lost = client_lost,
                                            .fault = client_fault,
                                            .drained = client_drained,
                                            .gone = client_gone};

/* ---- to the client -----------------------------------------------------------------------------
 */

static bool send_message(struct hf_attachment *a, uint64_t number, uint8_t opcode,
                         struct hf_slice payload)
{
    struct socket *s = socket_of(a);
    if (!hf_wire_is_clear(&s->wire)) {
        return false;
    }
    hf_wire_message(&s->wire, opcode, payload,
                    opcode == HF_OP_TEXT && hf_text_needs_escape(payload));
    return true;
}

static bool send_frame(struct hf_attachment *a, uint64_t number, struct hf_slice frame)
{
    struct socket *s = socket_of(a);
    if (!hf_wire_is_clear(&s->wire)) {
        return false;
    }
    hf_wire_frame(&s->wire, frame);
    return true;
}

/* The 101 and the first control message, in one send. */
static void answer(struct socket *s, struct hf_slice text)
{
    struct hf_buffer out;
    uint8_t head[HF_FRAME_HEAD_MAX];
    hf_buffer_init(&out, &hf_heap, ANSWER_MAX);
    hf_buffer_add_text(&out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                             "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
    hf_buffer_add(&out, hf_slice(s->accept, HF_WS_ACCEPT_CHARS));
    hf_buffer_add_text(&out, "\r\nSec-WebSocket-Protocol: hf1\r\n\r\n");
    size_t len = hf_frame_write_head(head, true, 0, HF_OP_TEXT, text.len + 1, NULL);
    hf_buffer_add(&out, hf_slice(head, len));
    hf_buffer_add_byte(&out, HF_CONTROL_MARK);
    hf_buffer_add(&out, text);
    free(s->accept);
    s->accept = NULL;
    hf_wire_open(&s->wire, s->wire.stream, &wire_ops, true, s->wire.tls);
    hf_wire_frame(&s->wire, hf_buffer_slice(&out));
    if (out.failed) {
        hf_wire_abort(&s->wire);
    }
    hf_buffer_reset(&out);
}

static void send_control(struct hf_attachment *a, struct hf_slice text)
{
    struct socket *s = socket_of(a);
    if (s->accept != NULL) {
        answer(s, text);
    } else {
        hf_wire_message(&s->wire, HF_OP_TEXT, text, true); /* the mark is an escape's byte */
    }
}

static void end_socket(struct hf_attachment *a, uint16_t code, struct hf_slice reason,
                       bool backends)
{
    struct socket *s = socket_of(a);
    if (s->accept != NULL) {
        socket_free(s); /* it never was answered: its client has left */
        return;
    }
    if (code == HF_CLOSE_ABNORMAL) {
        hf_wire_abort(&s->wire);
        return;
    }
    hf_wire_close(&s->wire, code, reason);
}

static const struct hf_attachment_ops attachment_ops = {.name = "websocket",
                                                        .message = send_message,
                                                        .frame = send_frame,
                                                        .control = send_control,
                                                        .end = end_socket};

/* ---- before the 101 ----------------------------------------------------------------------------
 */

static size_t early_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    return 0; /* RFC 6455 4.1: a client waits; what comes early is read behind the 101 */
}

static void early_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct socket *s = owner;
    hf_stream_close(s->wire.stream);
    s->wire.stream = NULL;
    if (s->a.keep != NULL) {
        hf_keep_lost(&s->a, HF_CAUSE_CLIENT_GONE, end->error);
    }
    socket_free(s);
}

static const struct hf_stream_handler early_handler = {.on_bytes = early_bytes,
                                                       .on_end = early_end};

/* ---- from the opening --------------------------------------------------------------------------
 */

/* Where no route takes the request, the first one's rules are good enough to say so. */
static const struct hf_route *route_of(const struct hf_opening *o)
{
    return o->identity != NULL                   ? o->identity->route
           : o->runtime->config->route_count > 0 ? &o->runtime->routes[0]
                                                 : NULL;
}

bool hf_opening_keeps(const struct hf_opening *o)
{
    const struct hf_route *route = route_of(o);
    return o->offer.kind != HF_OFFER_NONE && o->offer.kind != HF_OFFER_BAD && route != NULL &&
           route->config->session.enabled && !o->ended && o->client != NULL &&
           o->fallback.kind == HF_FALLBACK_NONE;
}

/* Takes the opening's stream. NULL on no memory. */
static struct socket *socket_new(struct hf_opening *o)
{
    struct hf_keeper *keeper = o->worker->keeper;
    struct socket *s = hf_pool_take(&keeper->socket_pool);
    if (s == NULL) {
        return NULL;
    }
    s->accept = malloc(HF_WS_ACCEPT_CHARS);
    if (s->accept == NULL) {
        hf_pool_put(&keeper->socket_pool, s);
        return NULL;
    }
    s->a.ops = &attachment_ops;
    s->wire.worker = o->worker;
    s->wire.route = route_of(o);
    s->wire.tls = o->listener_tls != NULL;
    s->wire.stream = o->client;
    s->runtime = hf_runtime_ref(o->runtime);
    o->client = NULL;
    hf_ws_accept(*hf_head_find(o->head, "Sec-WebSocket-Key"), s->accept);
    hf_list_init(&s->node);
    hf_list_append(&keeper->sockets, &s->node);
    keeper->socket_count++;
    hf_stream_handle(s->wire.stream, &early_handler, s);
    return s;
}

static void no_memory(struct hf_opening *o)
{
    hf_opening_abandon(o, HF_CAUSE_OUT_OF_RESOURCES, "out of memory", 0);
}

void hf_opening_arrive(struct hf_opening *o)
{
    struct socket *s = socket_new(o);
    if (s == NULL) {
        no_memory(o);
        return;
    }
    struct hf_worker *worker = o->worker;
    struct hf_arrival arrival = {.offer = &o->offer,
                                 .identity = o->identity,
                                 .petition = hf_opening_petition(o),
                                 .over_limit = o->over_limit,
                                 .attachment = &s->a};
    if (hf_keep_arrive(worker, &arrival) != HF_OK) {
        hf_opening_record(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "out of memory", 0);
        hf_attachment_refuse(worker->keeper, &s->a, "gateway", "unavailable", 503, 1000);
    } else {
        o->identity = NULL;
    }
    hf_opening_free(o);
}

void hf_opening_refuse_inside(struct hf_opening *o, const char *who, const char *reason,
                              uint16_t http, uint32_t retry_ms)
{
    struct hf_keeper *keeper = o->worker->keeper;
    struct socket *s = socket_new(o);
    if (s == NULL) {
        no_memory(o);
        return;
    }
    hf_opening_free(o);
    hf_attachment_refuse(keeper, &s->a, who, reason, http, retry_ms);
}
