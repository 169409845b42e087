/* SPDX-License-Identifier: Apache-2.0 */
/* The connection of a client: a WebSocket on a stream, between io and the session. */
#include "client/client.h"

#include "ws/extension.h"

#include <stdio.h>
#include <stdlib.h>

#define OUT_MARK                                                                                   \
    65536 /* bytes that wait for the socket; no more is taken from the session then                \
           */

static hf_time now_of(const struct holdfast_client *c)
{
    return hf_loop_now(c->loop->io);
}

/* ---- the end ------------------------------------------------------------------------------------
 */

void hf_client_drop(struct holdfast_client *c)
{
    hf_dialer_cancel(c->dialer);
    c->dialer = NULL;
    hf_stream_close(c->stream);
    c->stream = NULL;
    hf_endpoint_free(c->endpoint);
    c->endpoint = NULL;
    hf_buffer_reset(&c->scratch);
}

/* A connection that stood has lived; an attempt has failed. Ends of our own count for nothing. */
static void judge_place(struct holdfast_client *c)
{
    struct hf_place *place = hf_client_place(c);
    if (place == NULL || c->loss == HF_LOSS_CLOSED || c->loss == HF_LOSS_GOAWAY) {
        return;
    }
    if (c->opened_at != HF_NEVER) {
        hf_place_lived(place, now_of(c) - c->opened_at);
    } else {
        place->failures++;
    }
}

void hf_client_gone(struct holdfast_client *c, uint16_t code)
{
    const hf_time now = now_of(c);
    judge_place(c);
    hf_client_drop(c);
    c->close_code = code;
    c->end = c->session.end;
    if (c->end.told && c->why[0] == '\0') {
        (void)snprintf(c->why, sizeof(c->why), "%s", c->end.reason);
    }
    if (c->opened_at != HF_NEVER && c->away_from == HF_NEVER) {
        c->away_from = now;
    }
    c->settled_at = HF_NEVER;
    c->leave_at = HF_NEVER;
    pthread_mutex_lock(&c->lock);
    hf_client_disconnected(&c->session, code, now);
    pthread_mutex_unlock(&c->lock);
    hf_client_tell_all(c);
    c->opened_at = HF_NEVER;
}

void hf_client_give_up(struct holdfast_client *c, enum hf_loss loss, const char *why)
{
    hf_client_say_loss(c, loss, why);
    if (c->stream != NULL && !c->session.plain &&
        hf_endpoint_close(c->endpoint, HF_CLOSE_ABANDON, HF_LITERAL("")) == HF_OK) {
        (void)hf_stream_send(c->stream, hf_buffer_slice(hf_endpoint_out(c->endpoint)));
    }
    hf_client_gone(c, 0);
}

/* ---- out ----------------------------------------------------------------------------------------
 */

/* Puts what the session gave into frames. */
static enum hf_status frame_out(struct holdfast_client *c, enum hf_client_take take,
                                const struct hf_client_out *out)
{
    static const uint8_t mark = HF_CONTROL_MARK;
    switch (take) {
    case HF_CLIENT_TAKE_NONE:
        return HF_OK;
    case HF_CLIENT_TAKE_CONTROL:
        return hf_endpoint_send(c->endpoint, HF_OP_TEXT, out->payload);
    case HF_CLIENT_TAKE_CLOSE:
        return hf_endpoint_close(c->endpoint, out->code, out->payload);
    case HF_CLIENT_TAKE_MESSAGE:
        break;
    }
    if (!out->escape) {
        return hf_endpoint_send(c->endpoint, out->opcode, out->payload);
    }
    hf_buffer_reset(&c->scratch);
    (void)hf_buffer_add(&c->scratch, hf_slice(&mark, 1));
    if (hf_buffer_add(&c->scratch, out->payload) != HF_OK) {
        return HF_NO_MEMORY;
    }
    const enum hf_status status =
        hf_endpoint_send(c->endpoint, HF_OP_TEXT, hf_buffer_slice(&c->scratch));
    hf_buffer_reset(&c->scratch);
    return status;
}

/* Fills the endpoint's buffer from the session. False: give the connection up. */
static bool fill(struct holdfast_client *c)
{
    struct hf_client_out out;
    enum hf_client_take take = HF_CLIENT_TAKE_CONTROL;
    enum hf_status status = HF_OK;
    pthread_mutex_lock(&c->lock);
    while (take != HF_CLIENT_TAKE_NONE && status == HF_OK &&
           hf_endpoint_out(c->endpoint)->len < OUT_MARK) {
        take = hf_client_take(&c->session, &out, now_of(c));
        status = frame_out(c, take, &out);
    }
    pthread_mutex_unlock(&c->lock);
    return status == HF_OK;
}

/* What is in the endpoint's buffer goes out. True when all went. */
static bool send_out(struct holdfast_client *c)
{
    struct hf_buffer *out = hf_endpoint_out(c->endpoint);
    if (out->len > 0) {
        const size_t sent = hf_stream_send(c->stream, hf_buffer_slice(out));
        if (sent > 0) {
            c->said = now_of(c);
            hf_heartbeat_sent(&c->heartbeat, c->said);
            hf_buffer_drop(out, sent);
        }
    }
    if (out->len == 0 && out->cap > 4096) {
        hf_buffer_reset(out);
    }
    return out->len == 0;
}

void hf_client_flush(struct holdfast_client *c)
{
    while (c->stream != NULL && !c->dead) {
        const size_t before = hf_endpoint_out(c->endpoint)->len;
        if (!fill(c)) {
            c->stuck = true; /* told on a turn of its own: the handler never runs inside a call */
            hf_client_post(c);
            return;
        }
        const bool grew = hf_endpoint_out(c->endpoint)->len > before;
        if (!send_out(c) || !grew) {
            return;
        }
    }
}

/* ---- in -----------------------------------------------------------------------------------------
 */

static void take_message(struct holdfast_client *c, const struct hf_endpoint_event *event)
{
    pthread_mutex_lock(&c->lock);
    const enum hf_status status =
        hf_client_feed(&c->session, event->opcode, event->data, now_of(c));
    pthread_mutex_unlock(&c->lock);
    if (status != HF_OK) {
        hf_client_give_up(c, HF_LOSS_OUT_OF_MEMORY, "no memory for a message that came");
        return;
    }
    hf_client_tell_all(c);
}

static void take_pong(struct holdfast_client *c)
{
    if (c->pinged == 0) {
        return;
    }
    const hf_time rtt = now_of(c) - c->pinged;
    hf_heartbeat_ponged(&c->heartbeat, rtt);
    c->pinged = 0;
    pthread_mutex_lock(&c->lock);
    c->stats.rtt_ms = rtt / 1000;
    pthread_mutex_unlock(&c->lock);
}

static void take_close(struct holdfast_client *c, const struct hf_endpoint_event *event)
{
    const bool ours = c->session.close_out;
    const enum hf_loss loss = ours                  ? HF_LOSS_CLOSED
                              : c->session.end.told ? HF_LOSS_PROTOCOL
                                                    : HF_LOSS_BACKEND_CLOSE;
    c->loss = loss;
    (void)snprintf(c->why, sizeof(c->why), "%.*s", HF_SLICE_ARG(event->data));
    (void)send_out(c);
    hf_client_gone(c, event->code);
}

/* The other side broke RFC 6455. Where there is a session it is not to end by our 1002: the
 * connection is given up without a Close, which parks it. */
static void take_fault(struct holdfast_client *c, const struct hf_endpoint_event *event)
{
    hf_client_say_loss(c, HF_LOSS_PROTOCOL, event->why);
    if (!c->session.known) {
        (void)send_out(c);
    }
    hf_client_gone(c, 0);
}

static void take_frame(struct holdfast_client *c, const struct hf_endpoint_event *event)
{
    switch (event->kind) {
    case HF_ENDPOINT_MESSAGE:
        take_message(c, event);
        break;
    case HF_ENDPOINT_PONG:
        take_pong(c);
        break;
    case HF_ENDPOINT_CLOSE:
        take_close(c, event);
        break;
    case HF_ENDPOINT_FAULT:
        take_fault(c, event);
        break;
    case HF_ENDPOINT_PING:
    case HF_ENDPOINT_NONE:
        break;
    }
}

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct holdfast_client *c = owner;
    struct hf_endpoint_event event;
    hf_client_enter(c);
    c->heard = now_of(c);
    hf_heartbeat_heard(&c->heartbeat, c->heard);
    pthread_mutex_lock(&c->lock);
    hf_client_heard(&c->session, c->heard);
    pthread_mutex_unlock(&c->lock);
    if (hf_endpoint_feed(c->endpoint, bytes) != HF_OK) {
        hf_client_give_up(c, HF_LOSS_OUT_OF_MEMORY, "no memory for bytes that came");
    }
    while (!c->dead && c->stream == stream &&
           hf_endpoint_next(c->endpoint, &event) != HF_ENDPOINT_NONE) {
        take_frame(c, &event);
    }
    if (!c->dead) {
        hf_client_flush(c);
        hf_client_tell_all(c);
        hf_client_reschedule(c);
    }
    (void)hf_client_leave(c);
    return bytes.len;
}

static void on_writable(void *owner, struct hf_stream *stream)
{
    struct holdfast_client *c = owner;
    hf_client_enter(c);
    if (send_out(c)) {
        hf_client_flush(c);
        hf_client_tell_all(c);
    }
    if (!c->dead) {
        hf_client_reschedule(c);
    }
    (void)hf_client_leave(c);
}

static enum hf_loss loss_of(enum hf_end_kind kind)
{
    switch (kind) {
    case HF_END_FIN:
    case HF_END_TLS_NOTIFY:
    case HF_END_TLS_TRUNCATED:
        return HF_LOSS_ENDED;
    case HF_END_RST:
        return HF_LOSS_RESET;
    case HF_END_TIMEOUT:
        return HF_LOSS_TIMEOUT;
    case HF_END_REFUSED:
    case HF_END_UNREACHABLE:
    case HF_END_TLS_FAILED:
    case HF_END_ERRNO:
    case HF_END_KINDS:
        break;
    }
    return HF_LOSS_BROKEN;
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct holdfast_client *c = owner;
    hf_client_enter(c);
    hf_client_say_loss(c, loss_of(end->kind), end->detail);
    hf_client_gone(c, 0);
    if (!c->dead) {
        hf_client_reschedule(c);
    }
    (void)hf_client_leave(c);
}

static const struct hf_stream_handler stream_handler = {
    .on_bytes = on_bytes, .on_writable = on_writable, .on_end = on_end};

/* ---- heartbeat ----------------------------------------------------------------------------------
 */

static struct hf_heartbeat_rules rules_of(const struct holdfast_client *c)
{
    return (struct hf_heartbeat_rules){.interval = c->settings->heartbeat_interval,
                                       .timeout = c->settings->heartbeat_timeout,
                                       .jitter_percent = 10};
}

hf_time hf_client_heartbeat_due(const struct holdfast_client *c)
{
    const struct hf_heartbeat_rules rules = rules_of(c);
    return hf_heartbeat_deadline(&c->heartbeat, &rules, now_of(c));
}

/* The ping waits behind much, and TCP still acknowledges more of it. */
static bool moves_on(struct holdfast_client *c)
{
    const uint64_t unsent = hf_stream_unacked(c->stream) + hf_endpoint_out(c->endpoint)->len;
    const bool moves = unsent < c->unsent;
    c->unsent = unsent;
    return moves;
}

void hf_client_heartbeat(struct holdfast_client *c, hf_time now)
{
    const struct hf_heartbeat_rules rules = rules_of(c);
    switch (hf_heartbeat_tick(&c->heartbeat, &rules, &c->loop->random, now)) {
    case HF_HEARTBEAT_WAIT:
        break;
    case HF_HEARTBEAT_PING:
        if (hf_endpoint_ping(c->endpoint, HF_LITERAL("hf")) == HF_OK) {
            (void)send_out(c);
            hf_heartbeat_pinged(&c->heartbeat, now);
            c->pinged = now;
            c->unsent = hf_stream_unacked(c->stream) + hf_endpoint_out(c->endpoint)->len;
        }
        break;
    case HF_HEARTBEAT_LOST:
        if (moves_on(c)) {
            hf_heartbeat_alive(&c->heartbeat, now);
            break;
        }
        hf_client_give_up(c, HF_LOSS_HEARTBEAT, "no pong came in time");
        break;
    }
}

/* ---- the start ----------------------------------------------------------------------------------
 */

void hf_client_adopt(struct holdfast_client *c, struct hf_stream *stream,
                     const struct hf_head *head)
{
    const struct hf_slice *protocol = hf_head_find(head, "Sec-WebSocket-Protocol");
    const struct hf_slice chosen = protocol == NULL ? hf_slice(NULL, 0) : *protocol;
    const bool hf1 = c->offered_hf1 && hf_slice_eq(chosen, HF_LITERAL("hf1"));
    const struct hf_heartbeat_rules rules = rules_of(c);
    struct hf_endpoint_options options = {
        .client = true, .message_max = c->settings->message_max, .alloc = &hf_heap};
    const hf_time now = now_of(c);
    c->stream = stream;
    hf_stream_handle(stream, &stream_handler, c);
    const enum hf_extension_check check =
        hf_extension_answer(head, hf_buffer_slice(&c->extensions), &options.deflate);
    if (check != HF_EXTENSION_OK && check != HF_EXTENSION_NONE) {
        hf_client_say_loss(c, HF_LOSS_HANDSHAKE_BAD, "an extension that was not offered");
        hf_client_gone(c, 0);
        return;
    }
    c->loop->entropy(c->loop->entropy_context, &options.seed, sizeof(options.seed));
    c->endpoint = hf_endpoint_new(&options);
    if (c->endpoint == NULL) {
        hf_client_say_loss(c, HF_LOSS_OUT_OF_MEMORY, "no memory for a connection");
        hf_client_gone(c, 0);
        return;
    }
    hf_heartbeat_init(&c->heartbeat, &rules, &c->loop->random, now);
    c->opened_at = now;
    c->heard = now;
    c->said = now;
    c->pinged = 0;
    const struct hf_place *place = hf_client_place(c);
    c->session.expected = place != NULL && place->hello;
    pthread_mutex_lock(&c->lock);
    /* A server that takes whatever comes first took the offer: the application has none. */
    const bool own = !c->offered_hf1 || !(hf1 || hf_slice_starts(chosen, HF_LITERAL("hf1.")));
    hf_client_connected(&c->session, hf1, own ? chosen : hf_slice(NULL, 0), now);
    pthread_mutex_unlock(&c->lock);
    hf_stream_resume(stream);
    hf_client_tell_all(c);
    if (!c->dead) {
        hf_client_flush(c);
    }
}
