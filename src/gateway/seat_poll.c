/* SPDX-License-Identifier: Apache-2.0 */
/* Long polls as a session's attachment.
 *
 *   list:   | answered: repeated until the client says that it has it | not sent yet |
 *
 * A list that was answered stays until the next poll says up to which message it came; a poll that
 * says less than was answered gets the rest again. A `rebound` that stood in a list without
 * messages is repeated once, for nothing tells whether such a list came; the library knows one by
 * its attempt. */
#include "gateway/fallback.h"

#include "session/framed.h"
#include "ws/frame.h"

#include <stdio.h>
#include <stdlib.h>

#define LIST_MAX 262144      /* bytes of a list beyond which no further message is taken */
#define GRAVE HF_SECONDS(30) /* a session that has ended keeps its last list for so long */
#define BYTES_MAX ((size_t)1 << 31)

struct poll {
    struct hf_seat seat;
    struct hf_buffer list;
    size_t answered; /* bytes of the list that a poll was answered with */
    uint64_t first;  /* the number of the first message that is, or will be, in the list */
    uint64_t last;   /* ... of the last one in the answered part; first - 1: there is none */
    uint64_t acked;
    hf_time flush_at;   /* HF_NEVER: nothing is to be sent */
    hf_time wait_until; /* when the waiting poll is answered with nothing */
    hf_time gone_at;    /* when nobody has polled for too long */
    uint16_t code;      /* of the backend's Close */
    bool hello;
    bool met;      /* a poll with the key has come */
    bool rebound;  /* the answered part has one, and no message behind it */
    bool over;     /* the session has called `end` */
    bool backends; /* ... with the backend's Close, which is not acknowledged yet */
};

static struct poll *poll_of(struct hf_seat *seat)
{
    return HF_CONTAINER(seat, struct poll, seat);
}

static hf_time now_of(const struct poll *p)
{
    return p->seat.worker->loop->now;
}

static hf_time interval_of(const struct poll *p)
{
    return p->seat.route->config->fallback.poll;
}

static void poll_free(struct poll *p)
{
    hf_seat_fini(&p->seat);
    hf_buffer_reset(&p->list);
    free(p);
}

static void schedule(struct poll *p)
{
    hf_time when = p->flush_at;
    if (p->seat.waiting != NULL) {
        when = p->wait_until < when ? p->wait_until : when;
    } else {
        when = p->gone_at < when ? p->gone_at : when;
    }
    if (when == HF_NEVER) {
        hf_timer_stop(p->seat.worker->loop, &p->seat.timer);
    } else {
        hf_timer_set(p->seat.worker->loop, &p->seat.timer, when);
    }
}

/* What a turn brings goes out together, at its end. */
static void flush_soon(struct poll *p)
{
    if (p->seat.waiting != NULL) {
        p->flush_at = now_of(p);
    }
    schedule(p);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static void answer(struct poll *p, struct hf_slice list, uint64_t seq)
{
    struct hf_opening *o = hf_seat_take(&p->seat);
    p->flush_at = HF_NEVER;
    p->gone_at = now_of(p) + 2 * interval_of(p);
    schedule(p);
    hf_fallback_answer(o, &(struct hf_answer){.status = 200,
                                              .type = "application/x-hf1",
                                              .body = list,
                                              .received = HF_NO_COUNT,
                                              .seq = seq,
                                              .retry_ms = HF_NO_COUNT});
}

static void answer_list(struct poll *p)
{
    p->answered = p->list.len;
    p->last = p->seat.sent >= p->first ? p->seat.sent : p->first - 1;
    answer(p, hf_buffer_slice(&p->list), p->first);
}

static void answer_refusal(struct poll *p)
{
    hf_seat_refuse(&p->seat, p->hello ? "closed" : "unavailable");
    if (p->seat.attachment.keep != NULL) {
        hf_keep_lost(&p->seat.attachment, HF_CAUSE_CLIENT_CLOSE, 0);
    }
    poll_free(p);
}

/* The session, if it is still its own, parks; whoever waits is let go. */
static void lose(struct poll *p, enum hf_cause cause)
{
    struct hf_opening *o = hf_seat_take(&p->seat);
    if (p->seat.attachment.keep != NULL) {
        hf_keep_lost(&p->seat.attachment, cause, 0);
    }
    poll_free(p);
    if (o != NULL) {
        hf_opening_free(o);
    }
}

static void fire(struct hf_timer *timer, hf_time now)
{
    struct poll *p = poll_of(HF_CONTAINER(timer, struct hf_seat, timer));
    if (p->list.failed) {
        lose(p, HF_CAUSE_OUT_OF_RESOURCES);
    } else if (p->seat.waiting == NULL && now >= p->gone_at) {
        lose(p, HF_CAUSE_CLIENT_SILENT);
    } else if (p->seat.waiting != NULL && p->over && (!p->hello || p->list.len == 0)) {
        answer_refusal(p);
    } else if (p->seat.waiting != NULL && now >= p->flush_at && p->list.len > 0) {
        answer_list(p);
    } else if (p->seat.waiting != NULL && now >= p->wait_until) {
        answer(p, hf_slice(NULL, 0), p->first);
    } else {
        p->flush_at = HF_NEVER;
        schedule(p);
    }
}

/* ---- the session's calls ----------------------------------------------------------------------
 */

static bool poll_message(struct hf_attachment *a, uint64_t number, uint8_t opcode,
                         struct hf_slice payload)
{
    struct poll *p = poll_of(hf_seat_of(a));
    if (p->list.len > LIST_MAX) {
        return false;
    }
    if (p->seat.sent == 0) {
        p->first = number; /* what went before it came elsewhere */
        p->acked = number - 1;
    }
    hf_framed_write(&p->list, opcode == HF_OP_TEXT ? HF_FRAMED_TEXT : HF_FRAMED_BINARY, payload);
    p->seat.sent = number;
    flush_soon(p);
    return true;
}

static void learn(struct poll *p, struct hf_slice text)
{
    struct hf_control hello;
    struct hf_buffer room;
    hf_buffer_init(&room, &hf_heap, HF_CONTROL_MAX);
    if (hf_control_read(text, &room, &hello) == NULL && hello.verb == HF_VERB_HELLO) {
        p->hello = true;
        if (hf_seat_name(&p->seat, hello.key) != HF_OK) {
            p->list.failed = true;
        }
    }
    hf_buffer_reset(&room);
}

static void poll_control(struct hf_attachment *a, struct hf_slice text)
{
    struct poll *p = poll_of(hf_seat_of(a));
    if (!p->hello) {
        if (hf_seat_refused(&p->seat, text)) {
            return;
        }
        learn(p, text);
    }
    hf_framed_write(&p->list, HF_FRAMED_CONTROL, text);
    flush_soon(p);
}

static void poll_end(struct hf_attachment *a, uint16_t code, struct hf_slice reason, bool backends)
{
    struct poll *p = poll_of(hf_seat_of(a));
    if (p->over) {
        return;
    }
    p->over = true;
    p->code = code;
    p->backends = backends && a->keep != NULL;
    if (backends) {
        struct hf_buffer text;
        hf_seat_close_text(code, reason, &text);
        hf_framed_write(&p->list, HF_FRAMED_CONTROL, hf_buffer_slice(&text));
        hf_buffer_reset(&text);
    }
    if (p->seat.waiting == NULL && now_of(p) + GRAVE < p->gone_at) {
        p->gone_at = now_of(p) + GRAVE;
    }
    flush_soon(p);
    if (p->seat.waiting != NULL) { /* a refusal has no list */
        p->flush_at = now_of(p);
        hf_timer_set(p->seat.worker->loop, &p->seat.timer, p->flush_at);
    }
}

/* ---- polls ------------------------------------------------------------------------------------
 */

static bool is_rebound(struct hf_slice payload)
{
    return hf_slice_starts(payload, HF_LITERAL("rebound "));
}

/* Takes the items that the client has off the front: messages up to `received`, and what stands
 * between and before them; all of the answered part when it has its last message. */
static void drop(struct poll *p, uint64_t received)
{
    struct hf_slice rest = hf_buffer_slice(&p->list);
    uint64_t next = p->first;
    size_t done = 0;
    size_t at = 0;
    bool all = received >= p->last && received + 1 >= p->first;
    bool repeat = all && p->last < p->first && !p->rebound; /* only controls: told once more */
    p->rebound = false;
    while (at < p->answered) {
        enum hf_framed_type type;
        struct hf_slice payload;
        size_t size;
        enum hf_framed_read read = hf_framed_read(hf_slice_from(rest, at), &type, &payload, &size);
        HF_ASSERT(read == HF_FRAMED_READ);
        at += size;
        if (type == HF_FRAMED_CONTROL) {
            if (repeat && is_rebound(payload)) {
                p->rebound = true;
                break;
            }
            done = all ? at : done;
        } else if (next <= received) {
            next++;
            done = at;
        } else {
            break;
        }
    }
    hf_buffer_drop(&p->list, done);
    p->first = next;
    p->answered = 0;
    p->last = p->first - 1;
    if (p->list.len == 0) {
        hf_buffer_reset(&p->list); /* an idle session owns no buffer */
    }
}

/* The client has everything, and the backend's Close with it. */
static void finish_close(struct poll *p)
{
    struct hf_attachment *a = &p->seat.attachment;
    p->backends = false;
    if (a->keep != NULL) {
        (void)hf_keep_closed(a, p->code, hf_slice(NULL, 0));
        if (a->keep != NULL) {
            hf_keep_lost(a, HF_CAUSE_CLIENT_CLOSE, 0);
        }
    }
}

/* False: it is not the session's any more. */
static bool acknowledge(struct poll *p, uint64_t received)
{
    char text[48];
    if (p->seat.attachment.keep == NULL || (received <= p->acked && p->met)) {
        return true;
    }
    p->met = true; /* the first says that hello has come, whatever its number */
    p->acked = received > p->acked ? received : p->acked;
    int len = snprintf(text, sizeof(text), "ack n=%llu", (unsigned long long)p->acked);
    return hf_keep_control(&p->seat.attachment, hf_slice(text, (size_t)len));
}

void hf_poll_again(struct hf_seat *seat, struct hf_opening *o, uint64_t received)
{
    struct poll *p = poll_of(seat);
    bool had_close = p->over && p->answered == p->list.len;
    if (seat->waiting != NULL) { /* only one waits */
        answer(p, hf_slice(NULL, 0), p->first);
    }
    p->wait_until = now_of(p) + interval_of(p);
    if (received <= seat->sent || seat->sent == 0) { /* 0: none came since it was resumed */
        drop(p, received);
    }
    hf_seat_wait(seat, o);
    seat->arriving = true;
    bool known = acknowledge(p, received);
    seat->arriving = false;
    if (known && p->backends && had_close && received >= seat->sent) {
        finish_close(p);
    }
    if (p->over && p->list.len == 0) { /* the last list came */
        answer_refusal(p);
        return;
    }
    if (p->list.len > 0) {
        p->flush_at = now_of(p);
    }
    schedule(p);
    if (!p->over && seat->attachment.keep != NULL) {
        hf_keep_writable(&seat->attachment);
    }
}

static void left(struct hf_seat *seat)
{
    struct poll *p = poll_of(seat);
    p->flush_at = HF_NEVER;
    p->gone_at = now_of(p) + 2 * interval_of(p);
    schedule(p);
}

/* Its session has another attachment, under the same key: nobody finds it any more. */
static void displaced(struct hf_seat *seat)
{
    struct poll *p = poll_of(seat);
    if (seat->waiting == NULL) {
        p->gone_at = now_of(p);
    }
    schedule(p);
}

static void acknowledged(struct hf_seat *seat, uint64_t n)
{
    struct poll *p = poll_of(seat);
    p->acked = n > p->acked ? n : p->acked;
    if (p->backends && p->answered == p->list.len && p->acked >= seat->sent) {
        finish_close(p);
    }
}

static void kill_seat(struct hf_seat *seat)
{
    lose(poll_of(seat), HF_CAUSE_STOP);
}

static const struct hf_attachment_ops ops = {
    .name = "poll", .message = poll_message, .control = poll_control, .end = poll_end};
static const struct hf_seat_ops seat_ops = {
    .left = left, .displaced = displaced, .acknowledged = acknowledged, .kill = kill_seat};

struct hf_seat *hf_poll_new(struct hf_opening *o)
{
    struct poll *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return NULL;
    }
    p->first = 1;
    p->flush_at = p->wait_until = p->gone_at = HF_NEVER; /* the opening one waits for hello */
    p->seat.attachment.ops = &ops;
    p->seat.seat_ops = &seat_ops;
    p->seat.polls = true;
    hf_buffer_init(&p->list, &hf_heap, BYTES_MAX);
    hf_seat_init(&p->seat, o, fire);
    return &p->seat;
}

void hf_poll_arrived(struct hf_seat *seat)
{
    schedule(poll_of(seat));
}
