/* SPDX-License-Identifier: Apache-2.0 */
/* The way of bytes over one WebSocket whose messages are whole: see wire.h. Heartbeats and closing
 * stand in wire_time.c. */
#include "gateway/keeper.h"

#include "gateway/ledger.h"

#include <stdlib.h>

#define PONGS_MAX 8          /* answers that wait behind what the socket has not taken */
#define PART_FIRST 512       /* bytes of a message that is put together, at first */
#define SCRATCH_KEPT 16384   /* bytes that a worker keeps for unmasking */
#define BUDGET_RATE 4000     /* control frames and empty fragments a second, and at once */
#define MASKED_AT_ONCE 16384 /* bytes of a message that are masked and sent together */

struct hf_wire_bytes {
    size_t len;
    size_t off; /* so many are done with */
    size_t cap;
    uint8_t opcode; /* of the message that is put together */
    uint8_t mask[4];
    uint64_t at; /* place in the open frame's payload */
    uint8_t data[];
};

/* Room for more bytes; false on no memory, and nothing changed. */
static bool grow(struct hf_wire_bytes **bytes, size_t more)
{
    struct hf_wire_bytes *b = *bytes;
    size_t len = b == NULL ? 0 : b->len;
    if (b != NULL && b->cap - b->len >= more) {
        return true;
    }
    if (more > SIZE_MAX / 4 - len) {
        return false;
    }
    size_t cap = len + more < PART_FIRST ? PART_FIRST : len + more;
    cap = b != NULL && cap < 2 * b->cap ? 2 * b->cap : cap;
    b = realloc(b, sizeof(*b) + cap);
    if (b == NULL) {
        return false;
    }
    if (*bytes == NULL) {
        memset(b, 0, sizeof(*b));
    }
    b->cap = cap;
    *bytes = b;
    return true;
}

/* The same, in the books of the sessions' memory. */
static bool reserve(struct hf_wire *w, struct hf_wire_bytes **bytes, size_t more)
{
    size_t before = *bytes == NULL ? 0 : (*bytes)->cap;
    if (!grow(bytes, more)) {
        return false;
    }
    return hf_keeper_hold(w->worker->keeper, (*bytes)->cap - before);
}

void hf_wire_release(struct hf_wire *w, struct hf_wire_bytes *bytes)
{
    if (bytes != NULL) {
        hf_keeper_unhold(w->worker->keeper, bytes->cap);
        free(bytes);
    }
}

/* ---- sending -----------------------------------------------------------------------------------
 */

/* It cannot be sent what it should: told on the next turn, because the caller is in the middle of
 * something. */
static void fail(struct hf_wire *w)
{
    w->failed = true;
    hf_timer_set(w->worker->loop, &w->timer, hf_wire_now(w));
    hf_wire_release(w, w->part);
    hf_wire_release(w, w->out);
    w->part = NULL;
    w->out = NULL;
}

static void keep_rest(struct hf_wire *w, const struct hf_slice *parts, size_t count, size_t sent)
{
    size_t rest = 0;
    for (size_t i = 0; i < count; i++) {
        rest += parts[i].len;
    }
    rest -= sent;
    if (!reserve(w, &w->out, rest)) {
        fail(w);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        size_t skip = sent < parts[i].len ? sent : parts[i].len;
        sent -= skip;
        if (parts[i].len > skip) {
            memcpy(w->out->data + w->out->len, parts[i].ptr + skip, parts[i].len - skip);
            w->out->len += parts[i].len - skip;
        }
    }
}

static size_t put(struct hf_wire *w, const struct hf_slice *parts, size_t count)
{
    size_t sent = hf_stream_sendv(w->stream, parts, count);
    w->given += (uint32_t)sent;
    hf_heartbeat_sent(&w->beat, hf_wire_now(w));
    return sent;
}

static void send_parts(struct hf_wire *w, const struct hf_slice *parts, size_t count)
{
    size_t all = 0;
    size_t sent = 0;
    if (w->stream == NULL || w->failed || w->shut) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        all += parts[i].len;
    }
    bool waited = w->out != NULL;
    if (!waited) {
        sent = put(w, parts, count);
    }
    if (sent < all) {
        keep_rest(w, parts, count, sent);
        if (!waited && !w->failed) {
            w->stuck_ms = hf_heartbeat_ms(hf_wire_now(w));
            w->looked = false;
            hf_wire_schedule(w);
        }
    }
}

void hf_wire_frame(struct hf_wire *w, struct hf_slice frame)
{
    if (w->state == HF_WIRE_OPEN) {
        send_parts(w, &frame, 1);
    }
}

/* RFC 6455 5.3: towards the backend the gateway is a client and masks. */
static void send_masked(struct hf_wire *w, uint8_t *head, size_t head_len, const uint8_t mask[4],
                        struct hf_slice payload)
{
    uint8_t block[HF_FRAME_HEAD_MAX + MASKED_AT_ONCE];
    size_t have = head_len;
    uint64_t at = 0;
    memcpy(block, head, head_len);
    do {
        size_t run = payload.len - (size_t)at < sizeof(block) - have ? payload.len - (size_t)at
                                                                     : sizeof(block) - have;
        if (run > 0) {
            memcpy(block + have, payload.ptr + at, run);
            hf_mask_apply(block + have, run, mask, at);
        }
        struct hf_slice part = hf_slice(block, have + run);
        send_parts(w, &part, 1);
        at += run;
        have = 0;
    } while (at < payload.len);
}

static void send_frame(struct hf_wire *w, uint8_t opcode, struct hf_slice payload, bool escape)
{
    static const uint8_t mark = 0x01;
    uint8_t head[HF_FRAME_HEAD_MAX];
    uint8_t mask[4];
    if (!w->is_client) {
        hf_worker_next_mask(w->worker, mask);
        size_t len = hf_frame_write_head(head, true, 0, opcode, payload.len, mask);
        send_masked(w, head, len, mask, payload);
        return;
    }
    size_t len = hf_frame_write_head(head, true, 0, opcode, payload.len + (escape ? 1 : 0), NULL);
    struct hf_slice parts[3] = {hf_slice(head, len)};
    size_t count = 1;
    if (escape) {
        parts[count++] = hf_slice(&mark, 1);
    }
    if (payload.len > 0) {
        parts[count++] = payload;
    }
    send_parts(w, parts, count);
}

void hf_wire_message(struct hf_wire *w, uint8_t opcode, struct hf_slice payload, bool escape)
{
    if (w->state == HF_WIRE_OPEN) {
        send_frame(w, opcode, payload, escape);
    }
}

void hf_wire_control(struct hf_wire *w, uint8_t opcode, struct hf_slice payload)
{
    send_frame(w, opcode, payload, false);
}

static void on_writable(void *owner, struct hf_stream *stream)
{
    struct hf_wire *w = owner;
    if (w->out != NULL && !w->failed && !w->shut) {
        struct hf_slice rest = hf_slice(w->out->data + w->out->off, w->out->len - w->out->off);
        w->out->off += put(w, &rest, 1);
        if (w->out->off < w->out->len) {
            return;
        }
    }
    hf_wire_release(w, w->out);
    w->out = NULL;
    w->pongs = 0;
    if (w->state == HF_WIRE_CLOSING) {
        hf_wire_closing(w);
        return;
    }
    if (w->pinging) {
        hf_wire_pinged(w);
    }
    if (hf_wire_is_clear(w)) {
        w->ops->drained(w);
    }
}

/* ---- holding back ------------------------------------------------------------------------------
 */

void hf_wire_hold(struct hf_wire *w, enum hf_wire_hold why)
{
    if (w->hold == 0 && w->stream != NULL) {
        hf_stream_pause(w->stream);
        hf_heartbeat_reading(&w->beat, false, hf_wire_now(w));
        w->hold |= (uint8_t)why;
        hf_wire_schedule(w);
    }
    w->hold |= (uint8_t)why;
}

void hf_wire_unhold(struct hf_wire *w, enum hf_wire_hold why)
{
    if ((w->hold & why) == 0) {
        return;
    }
    w->hold &= (uint8_t)~why;
    if (w->hold == 0 && w->stream != NULL) {
        hf_heartbeat_reading(&w->beat, true, hf_wire_now(w));
        hf_stream_resume(w->stream);
    }
}

static hf_time charge(struct hf_wire *w)
{
    static const struct hf_rate_rules rules = {
        .count = BUDGET_RATE, .period = HF_SECONDS(1), .burst = BUDGET_RATE};
    return hf_rate_charge(&w->budget, &rules, 1, hf_wire_now(w));
}

bool hf_wire_spend(struct hf_wire *w)
{
    return charge(w) == 0;
}

static bool within_budget(struct hf_wire *w)
{
    hf_time wait = charge(w);
    if (wait > 0) {
        w->wake_ms = hf_heartbeat_ms(hf_wire_now(w) + wait) + 1;
        hf_wire_hold(w, HF_WIRE_HOLD_BUDGET);
    }
    return wait == 0;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

struct hf_slice hf_wire_unmask(struct hf_wire *w, const struct hf_frame_head *head,
                               struct hf_slice frame)
{
    struct hf_buffer *scratch = &w->worker->scratch;
    struct hf_slice payload = {frame.ptr + head->size, (size_t)head->length};
    if (!head->masked) {
        return payload;
    }
    if (scratch->cap > SCRATCH_KEPT) {
        hf_buffer_reset(scratch);
    }
    hf_buffer_clear(scratch);
    if (hf_buffer_reserve(scratch, payload.len + 1) != HF_OK) {
        return hf_slice(NULL, 0);
    }
    hf_buffer_add(scratch, payload);
    hf_mask_apply(scratch->data, scratch->len, head->mask, 0);
    return hf_buffer_slice(scratch);
}

static void take_pong(struct hf_wire *w, struct hf_slice payload)
{
    hf_time sent;
    hf_time now = hf_wire_now(w);
    uint64_t mark;
    if (payload.len == HF_WIRE_PROBE && w->ops->probed != NULL) {
        memcpy(&mark, payload.ptr + sizeof(sent), sizeof(mark));
        w->ops->probed(w, mark);
    } else if (payload.len == sizeof(sent)) { /* RFC 6455 5.5.3: others are unsolicited */
        memcpy(&sent, payload.ptr, sizeof(sent));
        if (sent <= now && now - sent < HF_SECONDS(300)) {
            hf_heartbeat_ponged(&w->beat, now - sent);
            if (w->ops->beat != NULL) {
                w->ops->beat(w, true);
            }
        }
    }
}

static void broke_rule(struct hf_wire *w, uint16_t code, bool frame_too_big, const char *why)
{
    enum hf_cause cause = w->is_client ? HF_CAUSE_CLIENT_PROTOCOL : HF_CAUSE_BACKEND_PROTOCOL;
    if (w->is_client && code == HF_CLOSE_TOO_BIG) {
        cause = frame_too_big ? HF_CAUSE_FRAME_TOO_BIG : HF_CAUSE_MESSAGE_TOO_BIG;
    } else if (w->is_client && code == HF_CLOSE_BAD_DATA) {
        cause = HF_CAUSE_BAD_UTF8;
    }
    w->peer_done = true;
    w->ops->fault(w, cause, code, why);
}

static void take_close(struct hf_wire *w, struct hf_slice payload)
{
    uint16_t code;
    uint16_t fault;
    struct hf_slice reason;
    if (!hf_close_read(payload, &code, &reason, &fault)) {
        broke_rule(w, fault, false, "a Close that is not allowed");
        return;
    }
    w->peer_done = true;
    w->peer_code = code;
    w->ops->closed(w, code, reason);
}

/* The peer's Close, while it closes: the answer to ours, or one that crossed it. */
static void note_close(struct hf_wire *w, const struct hf_frame_head *head, struct hf_slice frame)
{
    uint8_t payload[HF_CONTROL_PAYLOAD_MAX];
    size_t len = (size_t)head->length;
    uint16_t code;
    uint16_t fault;
    struct hf_slice reason;
    memcpy(payload, frame.ptr + head->size, len);
    hf_mask_apply(payload, len, head->mask, 0);
    w->peer_done = true;
    w->peer_code = hf_close_read(hf_slice(payload, len), &code, &reason, &fault) ? code : fault;
}

static void take_control(struct hf_wire *w, const struct hf_frame_head *head, struct hf_slice frame)
{
    uint8_t payload[HF_CONTROL_PAYLOAD_MAX];
    size_t len = (size_t)head->length;
    memcpy(payload, frame.ptr + head->size, len);
    hf_mask_apply(payload, len, head->mask, 0);
    if (head->opcode == HF_OP_PONG) {
        take_pong(w, hf_slice(payload, len));
    } else if (head->opcode == HF_OP_CLOSE) {
        take_close(w, hf_slice(payload, len));
    } else if (w->out == NULL || w->pongs < PONGS_MAX) {
        /* RFC 6455 5.5.3: who is pinged again before he answered may answer the newest alone; here
         * the ones that come while much waits go without. */
        w->pongs = (uint8_t)(w->out == NULL ? 0 : w->pongs + 1);
        hf_count(w->worker,
                 w->is_client ? HF_COUNT_pings_answered_client : HF_COUNT_pings_answered_backend,
                 1);
        hf_wire_control(w, HF_OP_PONG, hf_slice(payload, len));
    }
}

/* More of a message that is not whole in one frame in one receive. */
static bool add_part(struct hf_wire *w, const struct hf_flow_step *step, uint8_t opcode,
                     bool new_frame, struct hf_slice bytes)
{
    struct hf_slice run = bytes;
    if (new_frame) {
        run = hf_slice_from(bytes, step->head.size);
    }
    if (!reserve(w, &w->part, run.len)) {
        fail(w);
        return false;
    }
    struct hf_wire_bytes *p = w->part;
    if (step->begins) {
        p->opcode = opcode;
    }
    if (new_frame) {
        memcpy(p->mask, step->head.mask, sizeof(p->mask));
        p->at = 0;
    }
    if (run.len > 0) {
        memcpy(p->data + p->len, run.ptr, run.len);
        hf_mask_apply(p->data + p->len, run.len, p->mask, p->at);
        p->len += run.len;
        p->at += run.len;
    }
    return true;
}

static void take_data(struct hf_wire *w, const struct hf_flow_step *step, bool new_frame,
                      struct hf_slice bytes)
{
    hf_count(w->worker, w->is_client ? HF_COUNT_messages_client : HF_COUNT_messages_backend,
             step->ends ? 1 : 0);
    if (step->begins && step->ends) {
        w->ops->frame(w, &step->head, bytes);
        return;
    }
    if (add_part(w, step, step->head.opcode, new_frame, bytes) && step->ends) {
        struct hf_wire_bytes *whole = w->part;
        w->part = NULL;
        w->ops->message(w, whole->opcode, hf_slice(whole->data, whole->len));
        hf_wire_release(w, whole);
    }
}

/* One step; false when it must stop: no more bytes, or something happened. */
static bool read_step(struct hf_wire *w, struct hf_slice rest, size_t *taken)
{
    struct hf_flow before = w->in;
    struct hf_flow_step step;
    *taken = 0;
    switch (hf_flow_next(&w->in, hf_wire_rules(w), rest, &step)) {
    case HF_FLOW_DATA:
        if (step.empty && !within_budget(w)) {
            w->in = before;
            return false;
        }
        if (w->gated && step.begins && w->state == HF_WIRE_OPEN &&
            !w->ops->begins(w, step.head.length)) {
            w->in = before;
            return false;
        }
        *taken = step.size;
        if (w->state == HF_WIRE_OPEN) {
            take_data(w, &step, before.left == 0, hf_slice_first(rest, step.size));
        }
        return true;
    case HF_FLOW_CONTROL:
        if (!within_budget(w)) {
            return false;
        }
        *taken = step.size;
        if (w->state == HF_WIRE_OPEN) {
            take_control(w, &step.head, rest);
        } else if (step.head.opcode == HF_OP_CLOSE) {
            note_close(w, &step.head, rest);
        }
        return true;
    case HF_FLOW_MORE:
        return false;
    case HF_FLOW_FAULT:
    default:
        if (w->state == HF_WIRE_OPEN) {
            broke_rule(w, step.code, step.frame_too_big, step.why);
        } else {
            w->peer_done = true;
        }
        return false;
    }
}

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice in)
{
    struct hf_wire *w = owner;
    size_t pos = 0;
    size_t taken;
    bool was_open = w->state == HF_WIRE_OPEN;
    hf_heartbeat_heard(&w->beat, hf_wire_now(w));
    while (!w->peer_done && !w->failed && w->hold == 0 && w->stream != NULL &&
           read_step(w, hf_slice_from(in, pos), &taken)) {
        pos += taken;
    }
    w->bytes_in += pos;
    hf_count(w->worker, w->is_client ? HF_COUNT_bytes_client : HF_COUNT_bytes_backend, pos);
    if (w->stream == NULL) {
        return in.len;
    }
    if (w->peer_done || w->failed) {
        pos = in.len; /* RFC 6455 5.5.1: what follows a Close is thrown away */
        if (w->state == HF_WIRE_CLOSING && !was_open) {
            hf_wire_closing(w);
        }
    }
    w->left = (uint32_t)(in.len - pos);
    return pos;
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct hf_wire *w = owner;
    uint16_t code = w->peer_code;
    bool was_open = w->state == HF_WIRE_OPEN && code == 0;
    enum hf_cause cause = hf_ledger_cause(end, w->is_client);
    int error = end->error;
    w->peer_done = true;
    hf_wire_drop_stream(w, false);
    if (was_open) {
        w->ops->lost(w, cause, error);
    } else {
        w->ops->gone(w, code);
    }
}

static const struct hf_stream_handler handler = {
    .on_bytes = on_bytes, .on_writable = on_writable, .on_end = on_end};

void hf_wire_open(struct hf_wire *w, struct hf_stream *stream, const struct hf_wire_ops *ops,
                  bool is_client, bool tls)
{
    struct hf_worker *worker = w->worker;
    w->ops = ops;
    w->is_client = is_client;
    w->tls = tls;
    w->stream = stream;
    w->state = HF_WIRE_OPEN;
    hf_rate_init(&w->budget);
    hf_heartbeat_init(&w->beat, hf_wire_beat_rules(w), &worker->random, worker->loop->now);
    hf_timer_init(&w->timer, hf_wire_fire);
    hf_stream_handle(stream, &handler, w);
    hf_stream_pause(stream);
    hf_stream_resume(stream);
    hf_wire_schedule(w);
}
