/* SPDX-License-Identifier: Apache-2.0 */
/* An event stream as a session's attachment.
 *
 * Until the session's hello the opening waits at the seat, so that a refusal can be an ordinary
 * answer; then the stream is the seat's. What the socket does not take waits in `out`, and beyond
 * OUT_MAX of it no further message is taken. */
#include "gateway/fallback.h"

#include "gateway/ledger.h"
#include "http/sse.h"
#include "ws/frame.h"

#include <stdio.h>
#include <stdlib.h>

#define OUT_MAX 65536
#define CLOSE_WAIT HF_SECONDS(2)
#define ACK_WAIT HF_SECONDS(10) /* for a library's last acknowledgement, on another connection */
#define EVENT_MAX ((size_t)1 << 31)

struct sse {
    struct hf_seat seat;
    struct hf_stream *stream; /* NULL before hello */
    struct hf_buffer out;
    uint64_t epoch;
    uint64_t acked;  /* by POST */
    hf_time stuck;   /* since when it takes nothing; HF_NEVER: it takes */
    hf_time expires; /* when nothing is waited for any more; HF_NEVER: our direction is open */
    uint16_t code;   /* of the backend's Close */
    bool by_hand;
    bool hello;    /* it came */
    bool over;     /* the session has called `end` */
    bool backends; /* ... with the backend's Close, which is not acknowledged yet */
    bool shut;
    bool failed; /* no memory for what it should send */
    uint8_t token_len;
    char token[HF_TOKEN_CHARS];
};

static struct sse *sse_of(struct hf_seat *seat)
{
    return HF_CONTAINER(seat, struct sse, seat);
}

static void sse_free(struct sse *s)
{
    hf_stream_close(s->stream);
    hf_seat_fini(&s->seat);
    hf_buffer_reset(&s->out);
    free(s);
}

static void schedule(struct sse *s)
{
    hf_time when = s->expires;
    if (s->failed) {
        when = s->seat.worker->loop->now;
    } else if (s->stuck != HF_NEVER && s->stuck + s->seat.route->config->send_timeout < when) {
        when = s->stuck + s->seat.route->config->send_timeout;
    }
    if (when == HF_NEVER) {
        hf_timer_stop(s->seat.worker->loop, &s->seat.timer);
    } else {
        hf_timer_set(s->seat.worker->loop, &s->seat.timer, when);
    }
}

/* It is lost, with the cause; the session, if it is still its own, parks. */
static void lose(struct sse *s, enum hf_cause cause, int error)
{
    struct hf_opening *o = hf_seat_take(&s->seat);
    if (s->seat.attachment.keep != NULL) {
        hf_keep_lost(&s->seat.attachment, cause, error);
    }
    sse_free(s);
    if (o != NULL) {
        hf_opening_free(o);
    }
}

/* ---- sending ----------------------------------------------------------------------------------
 */

static void flush(struct sse *s)
{
    hf_time now = s->seat.worker->loop->now;
    s->failed = s->failed || s->out.failed;
    if (s->stream == NULL || s->shut) {
        return;
    }
    size_t sent = s->out.len > 0 ? hf_stream_send(s->stream, hf_buffer_slice(&s->out)) : 0;
    hf_buffer_drop(&s->out, sent);
    if (s->out.len == 0) {
        s->stuck = HF_NEVER;
        hf_buffer_reset(&s->out); /* an idle stream owns no buffer */
        if (s->over) {            /* a slow client has had the time that it needed until now */
            s->shut = true;
            s->expires = now + (s->backends ? ACK_WAIT : CLOSE_WAIT);
            hf_stream_shut(s->stream);
        }
    } else if (sent > 0 || s->stuck == HF_NEVER) {
        s->stuck = now;
    }
    schedule(s);
}

static struct hf_slice id_of(const struct sse *s, uint64_t number, char text[HF_TOKEN_CHARS + 44])
{
    memcpy(text, s->token, s->token_len);
    int more = snprintf(text + s->token_len, 44, ".%llu.%llu", (unsigned long long)s->epoch,
                        (unsigned long long)number);
    return hf_slice(text, s->token_len + (size_t)more);
}

static bool sse_message(struct hf_attachment *a, uint64_t number, uint8_t opcode,
                        struct hf_slice payload)
{
    struct sse *s = sse_of(hf_seat_of(a));
    char text[HF_TOKEN_CHARS + 44];
    if (s->out.len > OUT_MAX) {
        return false;
    }
    struct hf_slice id = id_of(s, number, text);
    if (opcode == HF_OP_BINARY) {
        hf_sse_event_base64(&s->out, "binary", id, payload);
    } else if (hf_sse_carries(payload)) {
        hf_sse_event(&s->out, NULL, id, payload);
    } else {
        hf_sse_event_base64(&s->out, "text64", id, payload);
    }
    if (s->seat.sent == 0) {
        s->acked = number - 1; /* what went before it came elsewhere */
    }
    s->seat.sent = number;
    flush(s);
    return true;
}

/* ---- hello, and what may come in place of it --------------------------------------------------
 */

static size_t take_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    return bytes.len; /* nobody has anything to say on a stream of events */
}

static void writable(void *owner, struct hf_stream *stream)
{
    struct sse *s = owner;
    s->stuck = HF_NEVER;
    flush(s);
    if (s->out.len == 0 && !s->over && s->seat.attachment.keep != NULL) {
        hf_keep_writable(&s->seat.attachment);
    }
}

/* The client has read everything and ends in order: by hand that is all the acknowledging there is;
 * a library says by POST what it has taken. */
static void finish_close(struct sse *s)
{
    struct hf_attachment *a = &s->seat.attachment;
    s->backends = false;
    if (a->keep != NULL) {
        (void)hf_keep_closed(a, s->code, hf_slice(NULL, 0));
        if (a->keep != NULL) {
            hf_keep_lost(a, HF_CAUSE_CLIENT_FIN, 0);
        }
    }
}

static void ended(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct sse *s = owner;
    enum hf_cause cause = hf_ledger_cause(end, true);
    bool orderly = s->shut && cause == HF_CAUSE_CLIENT_FIN;
    if (s->backends && orderly && (s->by_hand || s->acked >= s->seat.sent)) {
        finish_close(s);
    } else if (s->backends && orderly) {
        /* Its last acknowledgement is on its way, on another connection. */
        hf_stream_close(s->stream);
        s->stream = NULL;
        return;
    }
    lose(s, cause, end->error);
}

static const struct hf_stream_handler stream_handler = {
    .on_bytes = take_bytes, .on_writable = writable, .on_end = ended};

/* The opening's stream becomes the seat's; the answer's head and padding go in front of what waits.
 */
static void begin(struct sse *s)
{
    struct hf_opening *o = hf_seat_take(&s->seat);
    struct hf_buffer head;
    hf_buffer_init(&head, &hf_heap, EVENT_MAX);
    hf_fallback_head(o, 200, &head);
    hf_buffer_add_text(&head, "Content-Type: text/event-stream\r\nX-Accel-Buffering: no\r\n"
                              "Connection: close\r\n\r\n");
    if (s->seat.route->config->fallback.padding > 0) {
        hf_sse_padding(&head, s->seat.route->config->fallback.padding);
    }
    hf_buffer_add(&head, hf_buffer_slice(&s->out));
    s->failed = s->failed || s->out.failed || head.failed;
    hf_buffer_reset(&s->out);
    s->out = head;
    s->stream = o->client;
    o->client = NULL;
    hf_stream_handle(s->stream, &stream_handler, s);
    hf_opening_free(o);
    hf_stream_resume(s->stream);
}

/* Does what has become possible. The seat may be gone behind it. */
static void settle(struct sse *s)
{
    if (s->seat.arriving) {
        return;
    }
    if (s->seat.waiting != NULL && s->hello) {
        begin(s);
    } else if (s->seat.waiting != NULL && s->over) {
        hf_seat_refuse(&s->seat, "unavailable");
        sse_free(s);
        return;
    }
    flush(s);
}

static void learn_hello(struct sse *s, struct hf_slice text)
{
    struct hf_control hello;
    struct hf_buffer room;
    hf_buffer_init(&room, &hf_heap, HF_CONTROL_MAX);
    if (hf_control_read(text, &room, &hello) == NULL && hello.verb == HF_VERB_HELLO) {
        s->hello = true;
        s->epoch = hello.epoch;
        s->token_len =
            (uint8_t)(hello.token.len < sizeof(s->token) ? hello.token.len : sizeof(s->token));
        memcpy(s->token, hello.token.ptr, s->token_len);
        s->failed = s->failed || hf_seat_name(&s->seat, hello.key) != HF_OK;
    }
    hf_buffer_reset(&room);
}

static void sse_control(struct hf_attachment *a, struct hf_slice text)
{
    struct sse *s = sse_of(hf_seat_of(a));
    struct hf_slice data = text;
    struct hf_slice verb = {NULL, 0};
    char name[32];
    if (!s->hello) {
        if (hf_seat_refused(&s->seat, text)) {
            return;
        }
        learn_hello(s, text);
    }
    (void)hf_slice_next(&data, ' ', &verb);
    (void)snprintf(name, sizeof(name), "%.*s",
                   HF_SLICE_ARG(hf_slice_first(verb, sizeof(name) - 1)));
    hf_sse_event(&s->out, name, hf_slice(NULL, 0), data);
    settle(s);
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static void add_close(struct sse *s, uint16_t code, struct hf_slice reason)
{
    struct hf_buffer text;
    hf_seat_close_text(code, reason, &text);
    hf_sse_event(&s->out, "close", hf_slice(NULL, 0),
                 hf_slice_from(hf_buffer_slice(&text), strlen("close ")));
    hf_buffer_reset(&text);
}

static void sse_end(struct hf_attachment *a, uint16_t code, struct hf_slice reason, bool backends)
{
    struct sse *s = sse_of(hf_seat_of(a));
    if (s->over) {
        return;
    }
    s->over = true;
    s->code = code;
    s->backends = backends && a->keep != NULL;
    if (backends) {
        add_close(s, code, reason);
    }
    settle(s);
}

/* Half of what is out is enough to go on, and leaves the newest half for an EventSource that comes
 * back. */
static uint64_t sse_taken(struct hf_attachment *a)
{
    struct sse *s = sse_of(hf_seat_of(a));
    s->acked += (s->seat.sent - s->acked + 1) / 2;
    return s->acked;
}

static void fire(struct hf_timer *timer, hf_time now)
{
    struct sse *s = sse_of(HF_CONTAINER(timer, struct hf_seat, timer));
    if (s->failed) {
        lose(s, HF_CAUSE_OUT_OF_RESOURCES, 0);
    } else if (s->stuck != HF_NEVER && now >= s->stuck + s->seat.route->config->send_timeout) {
        hf_stream_abort(s->stream);
        s->stream = NULL;
        lose(s, HF_CAUSE_CLIENT_STUCK, 0);
    } else if (now >= s->expires) {
        if (s->backends && s->stream != NULL && s->shut && s->by_hand &&
            hf_stream_unacked(s->stream) == 0) {
            finish_close(s);
        }
        lose(s, HF_CAUSE_CLIENT_FIN, 0);
    } else {
        schedule(s);
    }
}

static void left(struct hf_seat *seat)
{
    lose(sse_of(seat), HF_CAUSE_CLIENT_GONE, 0);
}

static void displaced(struct hf_seat *seat)
{
    /* Its session has another attachment; the stream ends by itself. */
}

static void acknowledged(struct hf_seat *seat, uint64_t n)
{
    struct sse *s = sse_of(seat);
    s->acked = n > s->acked ? n : s->acked;
    if (s->backends && s->shut && s->acked >= seat->sent) {
        finish_close(s);
        if (s->stream == NULL) {
            sse_free(s);
        }
    }
}

static void kill_seat(struct hf_seat *seat)
{
    struct sse *s = sse_of(seat);
    if (seat->attachment.keep != NULL) {
        hf_keep_lost(&seat->attachment, HF_CAUSE_STOP, 0);
    }
    struct hf_opening *o = hf_seat_take(seat);
    sse_free(s);
    if (o != NULL) {
        hf_opening_free(o);
    }
}

static const struct hf_attachment_ops ops = {
    .name = "sse", .message = sse_message, .control = sse_control, .end = sse_end};
static const struct hf_attachment_ops ops_by_hand = {.name = "sse",
                                                     .message = sse_message,
                                                     .control = sse_control,
                                                     .end = sse_end,
                                                     .taken = sse_taken};
static const struct hf_seat_ops seat_ops = {
    .left = left, .displaced = displaced, .acknowledged = acknowledged, .kill = kill_seat};

struct hf_seat *hf_sse_new(struct hf_opening *o)
{
    struct sse *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->by_hand = o->fallback.by_hand;
    s->stuck = s->expires = HF_NEVER;
    s->seat.attachment.ops = s->by_hand ? &ops_by_hand : &ops;
    s->seat.seat_ops = &seat_ops;
    hf_buffer_init(&s->out, &hf_heap, EVENT_MAX);
    hf_seat_init(&s->seat, o, fire);
    return &s->seat;
}

void hf_sse_arrived(struct hf_seat *seat)
{
    settle(sse_of(seat));
}
