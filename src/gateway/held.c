/* SPDX-License-Identifier: Apache-2.0 */
/* Holding a plain client while its backend is away: see held.h. */
#include "gateway/held.h"

#include "gateway/redial.h"
#include "gateway/relay.h"

#include <stdlib.h>

#define LEASE 65536 /* bytes of the gateway's session memory */

enum phase { LIVE, AWAY, PROLOGUE, BACKLOG };

/* A place in the client's stream of data frames. */
struct cut {
    uint64_t rest;     /* bytes of the open frame behind it, those of its head included */
    uint64_t messages; /* that ended before it */
    bool fin;          /* the open frame is its message's last */
    bool open;         /* it lies within a message */
};

/* A recorded message; its payload follows. */
struct record {
    uint64_t number; /* of the client's messages */
    uint64_t len;
};

struct hf_held {
    struct hf_petition *petition;
    struct hf_redial *redial; /* while AWAY */
    struct hf_redial_pace pace;
    enum phase phase;
    bool swallow;    /* the rest of the message at `sent` goes nowhere; the queue is empty */
    bool begun;      /* some of `front` was sent */
    bool dropping;   /* the backend's open message is an answer to the prologue */
    bool collecting; /* the client's open message may belong to the prologue */
    struct cut sent; /* behind the last byte that was given to a backend */
    struct cut tail; /* behind the last byte in the queue; as `sent` while LIVE */
    struct hf_buffer queue;
    size_t leased;          /* of the session memory, for the queue */
    struct hf_buffer front; /* frames of the prologue that are not sent yet */
    /* the prologue */
    struct hf_buffer records;
    struct hf_buffer open; /* payload of the message that is collected */
    uint64_t seen;         /* messages that were collected or not, up to now */
    uint64_t mask_at;      /* bytes of the open frame's payload that were collected */
    uint64_t record_bytes;
    uint32_t record_count;
    uint32_t to_drop; /* answers that are still to be dropped */
    hf_time until;    /* no longer than this are they waited for */
    uint16_t protocol_len;
    char protocol[];
};

struct hf_held *hf_held_new(const struct hf_petition *petition, struct hf_slice protocol)
{
    struct hf_held *h = calloc(1, sizeof(*h) + protocol.len);
    if (h == NULL) {
        return NULL;
    }
    hf_buffer_init(&h->queue, &hf_heap, 0);
    hf_buffer_init(&h->front, &hf_heap, SIZE_MAX / 2);
    hf_buffer_init(&h->records, &hf_heap, SIZE_MAX / 2);
    hf_buffer_init(&h->open, &hf_heap, SIZE_MAX / 2);
    h->petition = hf_petition_new(petition);
    if (h->petition == NULL) {
        free(h);
        return NULL;
    }
    h->protocol_len = (uint16_t)protocol.len; /* a part of a head */
    if (protocol.len > 0) {
        memcpy(h->protocol, protocol.ptr, protocol.len);
    }
    return h;
}

void hf_held_free(struct hf_held *h)
{
    if (h == NULL) {
        return;
    }
    HF_ASSERT(h->redial == NULL && h->queue.len == 0 && h->leased == 0);
    hf_petition_free(h->petition);
    hf_buffer_reset(&h->front);
    hf_buffer_reset(&h->records);
    hf_buffer_reset(&h->open);
    free(h);
}

static const struct hf_route_config *config_of(const struct hf_relay *r)
{
    return r->route->config;
}

bool hf_held_is_active(const struct hf_relay *r)
{
    return r->held != NULL && r->held->phase != LIVE;
}

/* Tells the legs where frames of our own may go: see hf_leg_at_boundary. */
static void set_phase(struct hf_relay *r, enum phase phase)
{
    struct hf_held *h = r->held;
    h->phase = phase;
    r->client.parted = phase == AWAY || (h->front.len == 0 && (phase == PROLOGUE || h->swallow));
    r->client.backlog =
        (phase == PROLOGUE && h->front.len > 0) || (phase == BACKLOG && h->queue.len > 0);
}

/* ---- places in the client's stream -------------------------------------------------------------
 */

/* Moves the place over at most n of the bytes, not beyond the frame's end; returns how many. The
 * bytes hold whole heads. */
static size_t cut_step(struct cut *c, struct hf_slice bytes, size_t n)
{
    if (c->rest == 0) {
        struct hf_frame_head head;
        HF_ASSERT(hf_frame_read_head(bytes, &head) == HF_FRAME_READ);
        c->rest = head.size + head.length;
        c->fin = head.fin;
        c->open = true;
    }
    n = c->rest < n ? (size_t)c->rest : n;
    c->rest -= n;
    if (c->rest == 0 && c->fin) {
        c->open = false;
        c->messages++;
    }
    return n;
}

static void cut_walk(struct cut *c, struct hf_slice bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        at += cut_step(c, hf_slice_from(bytes, at), n - at);
    }
}

/* ---- the queue ---------------------------------------------------------------------------------
 */

/* Bytes for the queue that go in as a piece: to the frame's end, to the bytes' end, or what there
 * is room for, but no part of a head. */
static size_t piece_of(const struct hf_held *h, struct hf_slice bytes)
{
    struct hf_frame_head head;
    size_t room = h->queue.max - h->queue.len;
    size_t n = bytes.len < room ? bytes.len : room;
    if (h->tail.rest > 0) {
        return h->tail.rest < n ? (size_t)h->tail.rest : n;
    }
    HF_ASSERT(hf_frame_read_head(bytes, &head) == HF_FRAME_READ);
    uint64_t frame = head.size + head.length;
    return n < head.size ? 0 : frame < n ? (size_t)frame : n;
}

/* Returns how many of the bytes went nowhere. */
static size_t swallow(struct hf_held *h, struct hf_slice bytes)
{
    size_t done = 0;
    while (h->swallow && done < bytes.len) {
        struct hf_slice rest = hf_slice_from(bytes, done);
        done += cut_step(&h->sent, rest, rest.len);
        h->swallow = h->sent.open;
    }
    h->tail = h->sent;
    return done;
}

/* All who wait share the gateway's session memory. */
static bool lease(struct hf_relay *r, size_t bytes)
{
    struct hf_held *h = r->held;
    _Atomic uint64_t *all = &r->worker->gateway->session_bytes;
    while (h->leased < h->queue.len + bytes) {
        uint64_t before = atomic_fetch_add_explicit(all, LEASE, memory_order_relaxed);
        if (before + LEASE > r->identity->runtime->config->session_memory) {
            atomic_fetch_sub_explicit(all, LEASE, memory_order_relaxed);
            return false;
        }
        h->leased += LEASE;
    }
    return true;
}

static void empty_queue(struct hf_relay *r)
{
    struct hf_held *h = r->held;
    hf_buffer_reset(&h->queue);
    atomic_fetch_sub_explicit(&r->worker->gateway->session_bytes, h->leased, memory_order_relaxed);
    h->leased = 0;
}

static size_t put(struct hf_relay *r, struct hf_slice bytes)
{
    struct hf_held *h = r->held;
    size_t done = 0;
    while (done < bytes.len) {
        struct hf_slice rest = hf_slice_from(bytes, done);
        if (h->swallow) {
            done += swallow(h, rest);
            continue;
        }
        size_t n = piece_of(h, rest);
        if (n == 0 || !lease(r, n) || hf_buffer_reserve(&h->queue, n) != HF_OK) {
            break;
        }
        hf_buffer_add(&h->queue, hf_slice_first(rest, n));
        cut_walk(&h->tail, rest, n);
        done += n;
    }
    return done;
}

size_t hf_held_forward(struct hf_relay *r, struct hf_slice bytes)
{
    struct hf_held *h = r->held;
    if (h->phase != LIVE) {
        return put(r, bytes);
    }
    size_t swallowed = 0;
    if (h->swallow) {
        swallowed = swallow(h, bytes);
        set_phase(r, LIVE);
        bytes = hf_slice_from(bytes, swallowed);
    }
    size_t sent = bytes.len == 0 ? 0 : hf_leg_send(r, &r->backend, bytes);
    cut_walk(&h->sent, bytes, sent);
    return swallowed + sent;
}

/* ---- the prologue ------------------------------------------------------------------------------
 */

/* What was collected may still become (whole: is) a message that matches. */
static bool matches(const struct hf_relay *r, struct hf_slice text, bool whole)
{
    const struct hf_string_list *list = &config_of(r)->prologue.match;
    for (size_t i = 0; i < list->count; i++) {
        struct hf_slice start = hf_slice_of(list->items[i]);
        if (text.len >= start.len ? hf_slice_starts(text, start)
                                  : !whole && hf_slice_starts(start, text)) {
            return true;
        }
    }
    return false;
}

static void begin_collecting(struct hf_relay *r, uint8_t opcode)
{
    struct hf_held *h = r->held;
    hf_buffer_clear(&h->open);
    h->collecting = opcode == HF_OP_TEXT && config_of(r)->on_backend_loss == HF_LOSS_PROLOGUE &&
                    h->record_count < config_of(r)->prologue.max;
}

static bool collect(struct hf_relay *r, struct hf_slice payload)
{
    struct hf_held *h = r->held;
    size_t before = h->open.len;
    if (h->record_bytes + before + payload.len > config_of(r)->prologue.bytes ||
        hf_buffer_add(&h->open, payload) != HF_OK) {
        return false;
    }
    if (payload.len > 0) {
        hf_mask_apply(h->open.data + before, payload.len, r->client.in.mask, h->mask_at);
        h->mask_at += payload.len;
    }
    return matches(r, hf_buffer_slice(&h->open), false);
}

static void record_message(struct hf_held *h)
{
    const struct record record = {.number = h->seen, .len = h->open.len};
    if (hf_buffer_reserve(&h->records, sizeof(record) + h->open.len) != HF_OK) {
        return;
    }
    hf_buffer_add(&h->records, hf_slice(&record, sizeof(record)));
    hf_buffer_add(&h->records, hf_buffer_slice(&h->open));
    h->record_bytes += h->open.len;
    h->record_count++;
}

void hf_held_collect(struct hf_relay *r, const struct hf_flow_step *step, struct hf_slice bytes,
                     bool starts)
{
    struct hf_held *h = r->held;
    if (step->begins) {
        begin_collecting(r, step->head.opcode);
    }
    if (h->collecting) {
        h->mask_at = starts ? 0 : h->mask_at;
        h->collecting = collect(r, hf_slice_from(bytes, starts ? step->head.size : 0));
    }
    if (step->ends) {
        h->seen++;
        if (h->collecting && matches(r, hf_buffer_slice(&h->open), true)) {
            record_message(h);
        }
        h->collecting = false;
        hf_buffer_reset(&h->open);
    }
}

/* The frames of the recorded messages that a backend was given before; what waits in the queue is
 * not among them. */
static enum hf_status build_front(struct hf_relay *r)
{
    struct hf_held *h = r->held;
    struct hf_slice rest = hf_buffer_slice(&h->records);
    hf_buffer_reset(&h->front);
    h->begun = false;
    while (rest.len > 0) {
        struct record record;
        memcpy(&record, rest.ptr, sizeof(record));
        struct hf_slice payload =
            hf_slice_first(hf_slice_from(rest, sizeof(record)), (size_t)record.len);
        rest = hf_slice_from(rest, sizeof(record) + payload.len);
        if (record.number > h->sent.messages) {
            break;
        }
        if (hf_buffer_reserve(&h->front, HF_FRAME_HEAD_MAX + payload.len) != HF_OK) {
            return HF_NO_MEMORY;
        }
        h->front.len +=
            hf_leg_build_frame(r, &r->backend, HF_OP_TEXT, payload, h->front.data + h->front.len);
    }
    return HF_OK;
}

bool hf_held_drops(const struct hf_relay *r, const struct hf_flow_step *step)
{
    const struct hf_held *h = r->held;
    return h->dropping || (h->phase == PROLOGUE && step->begins && h->to_drop > 0);
}

void hf_held_dropped(struct hf_relay *r, const struct hf_flow_step *step)
{
    struct hf_held *h = r->held;
    h->dropping = !step->ends;
    r->backend.parted = h->dropping;
    if (step->ends && h->to_drop > 0) {
        h->to_drop--;
        hf_held_flush(r);
    }
}

/* ---- sending what waits ------------------------------------------------------------------------
 */

static bool send_front(struct hf_relay *r)
{
    struct hf_held *h = r->held;
    if (h->front.len > 0) {
        size_t sent = hf_leg_send(r, &r->backend, hf_buffer_slice(&h->front));
        h->begun = h->begun || sent > 0;
        hf_buffer_drop(&h->front, sent);
    }
    if (h->front.len > 0) {
        hf_relay_blocked(r, &r->backend);
        return false;
    }
    hf_buffer_reset(&h->front);
    return true;
}

static bool send_queue(struct hf_relay *r)
{
    struct hf_held *h = r->held;
    if (h->queue.len > 0) {
        size_t sent = hf_leg_send(r, &r->backend, hf_buffer_slice(&h->queue));
        cut_walk(&h->sent, hf_buffer_slice(&h->queue), sent);
        hf_buffer_drop(&h->queue, sent);
    }
    if (h->queue.len > 0) {
        hf_relay_blocked(r, &r->backend);
        return false;
    }
    empty_queue(r);
    return true;
}

void hf_held_flush(struct hf_relay *r)
{
    struct hf_held *h = r->held;
    const struct hf_pending *pending = r->backend.pending;
    if (!r->open || h->phase == LIVE || h->phase == AWAY || r->backend.blocked ||
        (pending != NULL && pending->off > 0)) {
        return;
    }
    bool sent = send_front(r);
    set_phase(r, h->phase);
    if (!sent || (h->phase == PROLOGUE && h->to_drop > 0)) {
        return;
    }
    sent = send_queue(r);
    set_phase(r, sent ? LIVE : BACKLOG);
    (void)hf_leg_flush(r, &r->backend);
    if (sent && !r->backend.blocked) {
        hf_leg_unhold(r, &r->client, HF_HOLD_OTHER);
    } else {
        hf_leg_hold(r, &r->client, HF_HOLD_OTHER);
    }
}

bool hf_held_may_close(struct hf_relay *r)
{
    struct hf_held *h = r->held;
    if (h->phase == PROLOGUE) {
        h->to_drop = 0;
        hf_held_flush(r);
    }
    if (h->phase == LIVE || h->phase == AWAY) {
        return true;
    }
    hf_leg_hold(r, &r->client, HF_HOLD_OTHER);
    return false;
}

hf_time hf_held_deadline(const struct hf_relay *r)
{
    const struct hf_held *h = r->held;
    return h->phase == PROLOGUE && h->to_drop > 0 ? h->until : HF_NEVER;
}

void hf_held_tick(struct hf_relay *r)
{
    if (hf_held_deadline(r) <= hf_relay_now(r)) {
        r->held->to_drop = 0;
        hf_held_flush(r);
    }
}

/* ---- away and back -----------------------------------------------------------------------------
 */

static void come_back(struct hf_relay *r, struct hf_stream *stream)
{
    struct hf_held *h = r->held;
    hf_relay_attach_backend(r, stream);
    if (build_front(r) != HF_OK) {
        hf_relay_end(r, HF_CAUSE_OUT_OF_RESOURCES);
        return;
    }
    bool prologue = h->front.len > 0;
    h->to_drop = prologue ? config_of(r)->prologue.drop_replies : 0;
    h->until = hf_relay_now(r) + config_of(r)->prologue.wait;
    set_phase(r, prologue ? PROLOGUE : BACKLOG);
    hf_held_flush(r);
    hf_relay_schedule(r);
}

static void redialed(void *owner, const struct hf_redial_result *result)
{
    struct hf_relay *r = owner;
    r->held->redial = NULL;
    if (result->stream != NULL) {
        come_back(r, result->stream);
    } else {
        hf_relay_not_replaced(r, result->cause, result->why);
    }
}

/* Of a message that the backend was given in part, what waits is thrown away. */
static void cut_open_message(struct hf_held *h)
{
    if (h->phase == LIVE) {
        h->tail = h->sent;
    }
    while (h->sent.open && h->queue.len > 0) {
        hf_buffer_drop(&h->queue, cut_step(&h->sent, hf_buffer_slice(&h->queue), h->queue.len));
    }
    h->swallow = h->sent.open;
    if (h->swallow) {
        h->collecting = false; /* it never came whole to anybody */
    }
}

/* The client has all that came from the backend, up to a message's end. */
static bool can_hold(const struct hf_relay *r)
{
    const struct hf_leg *b = &r->backend;
    return b->stream != NULL && b->hold == 0 && b->ahead == 0 &&
           (r->held->dropping || hf_flow_between_messages(&b->in));
}

static void let_go(struct hf_relay *r, enum hf_cause cause, uint16_t code)
{
    struct hf_leg *b = &r->backend;
    if (cause == HF_CAUSE_BACKEND_CLOSE) { /* RFC 6455 5.5.1 */
        uint8_t payload[HF_CONTROL_PAYLOAD_MAX];
        size_t len = hf_close_write(payload, code, hf_slice(NULL, 0));
        (void)hf_leg_control(r, b, HF_OP_CLOSE, hf_slice(payload, len));
        hf_stream_shut(b->stream);
        hf_stream_close(b->stream);
    } else {
        hf_stream_abort(b->stream);
    }
    hf_relay_detach_backend(r);
}

bool hf_held_begin(struct hf_relay *r, enum hf_cause cause, uint16_t code)
{
    struct hf_held *h = r->held;
    if (h == NULL || !r->open || !can_hold(r)) {
        return false;
    }
    const struct hf_redial_how how = {
        .identity = r->identity,
        .petition = h->petition,
        .pace = &h->pace,
        .protocol = hf_slice(h->protocol, h->protocol_len),
        .deflate = r->deflate,
        .lost = cause,
    };
    if (hf_redial_start(r->worker, &how, redialed, r, &h->redial) != HF_OK) {
        h->redial = NULL;
        return false;
    }
    let_go(r, cause, code);
    h->queue.max = (size_t)config_of(r)->hold.bytes;
    cut_open_message(h);
    hf_buffer_reset(&h->front);
    h->dropping = false;
    r->backend.parted = false;
    set_phase(r, AWAY);
    hf_leg_unhold(r, &r->client, HF_HOLD_OTHER);
    hf_relay_schedule(r);
    return true;
}

bool hf_held_stop(struct hf_relay *r)
{
    struct hf_held *h = r->held;
    bool within = (h->phase == PROLOGUE && h->begun && h->front.len > 0) ||
                  (h->phase == BACKLOG && h->sent.rest > 0);
    hf_redial_cancel(h->redial);
    h->redial = NULL;
    if (h->phase != LIVE || h->swallow) {
        r->client.skipping = true; /* what it sent after the queue goes nowhere either */
    }
    if (h->dropping) {
        r->backend.skipping = true;
    }
    empty_queue(r);
    h->phase = LIVE;
    r->client.parted = r->client.backlog = r->backend.parted = false;
    return within;
}
