/* SPDX-License-Identifier: Apache-2.0 */
/* The time of bytes: see shape.h. */
#include "chaos/shape.h"

void hf_pieces_init(struct hf_pieces *q, const struct hf_allocator *alloc)
{
    q->alloc = alloc;
    q->bytes = 0;
    q->weight = 0;
    hf_list_init(&q->list);
}

static struct hf_piece *head_of(const struct hf_pieces *q)
{
    return HF_CONTAINER(q->list.next, struct hf_piece, node);
}

void hf_pieces_fini(struct hf_pieces *q)
{
    while (!hf_list_empty(&q->list)) {
        struct hf_piece *piece = head_of(q);
        hf_list_remove(&piece->node);
        hf_release(q->alloc, piece);
    }
    q->bytes = 0;
    q->weight = 0;
}

enum hf_status hf_pieces_add(struct hf_pieces *q, struct hf_slice bytes, hf_time due)
{
    if (bytes.len == 0) {
        return HF_OK;
    }
    struct hf_piece *piece = hf_alloc(q->alloc, sizeof(*piece) + bytes.len);
    if (piece == NULL) {
        return HF_NO_MEMORY;
    }
    piece->due = due;
    piece->at = 0;
    piece->len = bytes.len;
    memcpy(piece->bytes, bytes.ptr, bytes.len);
    hf_list_init(&piece->node);
    hf_list_append(&q->list, &piece->node);
    q->bytes += bytes.len;
    q->weight += sizeof(*piece) + bytes.len;
    return HF_OK;
}

struct hf_slice hf_pieces_ready(const struct hf_pieces *q, hf_time now)
{
    if (hf_list_empty(&q->list) || head_of(q)->due > now) {
        return hf_slice(NULL, 0);
    }
    const struct hf_piece *piece = head_of(q);
    return hf_slice(piece->bytes + piece->at, piece->len - piece->at);
}

void hf_pieces_left(struct hf_pieces *q, size_t n)
{
    struct hf_piece *piece = head_of(q);
    HF_ASSERT(!hf_list_empty(&q->list) && n <= piece->len - piece->at);
    piece->at += n;
    q->bytes -= n;
    if (piece->at == piece->len) {
        q->weight -= sizeof(*piece) + piece->len;
        hf_list_remove(&piece->node);
        hf_release(q->alloc, piece);
    }
}

void hf_pieces_hurry(struct hf_pieces *q, hf_time now)
{
    for (struct hf_list *node = q->list.next; node != &q->list; node = node->next) {
        struct hf_piece *piece = HF_CONTAINER(node, struct hf_piece, node);
        piece->due = piece->due < now ? piece->due : now;
    }
}

hf_time hf_pieces_due(const struct hf_pieces *q)
{
    return hf_list_empty(&q->list) ? HF_NEVER : head_of(q)->due;
}

/* ---- stages -----------------------------------------------------------------------------------
 */

static double unit(struct hf_random *random)
{
    return (double)(hf_random_next(random) >> 11) / (double)(UINT64_C(1) << 53);
}

/* Lost again and again, each time with a doubled wait, at most eight times. */
static hf_time loss_delay(const struct hf_toxic *t, struct hf_random *random)
{
    hf_time delay = 0;
    hf_time step = t->u.loss.delay;
    for (int i = 0; i < 8 && unit(random) < t->u.loss.rate; i++) {
        delay += step;
        step *= 2;
    }
    return delay;
}

hf_time hf_shape_pass(struct hf_shaper *s, const struct hf_toxic *t, struct hf_random *random,
                      size_t len, hf_time at)
{
    hf_time leaves = at > s->last ? at : s->last;
    if (hf_shape_is_one(t) && leaves == HF_NEVER) {
        return HF_NEVER; /* it stands behind one that never leaves */
    }
    if (t->kind == HF_TOXIC_LATENCY) {
        hf_time jitter = t->u.latency.jitter;
        hf_time delay = t->u.latency.latency;
        if (jitter > 0) {
            delay += (hf_time)((unit(random) * 2 - 1) * (double)jitter);
        }
        at += delay > 0 ? delay : 0;
        leaves = at > s->last ? at : s->last;
    } else if (t->kind == HF_TOXIC_BANDWIDTH) {
        /* Kilobytes a second are bytes a millisecond. */
        leaves = t->u.bandwidth.rate == 0
                     ? HF_NEVER
                     : leaves + (hf_time)((double)len * 1000 / (double)t->u.bandwidth.rate);
    } else if (t->kind == HF_TOXIC_SLICER) {
        if (s->bytes > 0 && s->last + t->u.slicer.delay > leaves) {
            leaves = s->last + t->u.slicer.delay;
        }
    } else if (t->kind == HF_TOXIC_LOSS) {
        leaves += loss_delay(t, random);
    } else {
        return at;
    }
    s->last = leaves;
    s->bytes += len;
    return leaves;
}

size_t hf_shape_size(const struct hf_toxic *t, struct hf_random *random)
{
    double size = HF_SHAPE_PIECE_MAX;
    if (t->kind == HF_TOXIC_SLICER && t->u.slicer.average_size > 0) {
        size = (double)t->u.slicer.average_size +
               (unit(random) * 2 - 1) * (double)t->u.slicer.size_variation;
    } else if (t->kind == HF_TOXIC_BANDWIDTH && t->u.bandwidth.rate > 0) {
        size = (double)t->u.bandwidth.rate * 100; /* what goes in 100 ms */
    }
    return size < 1 ? 1 : size > HF_SHAPE_PIECE_MAX ? HF_SHAPE_PIECE_MAX : (size_t)size;
}

bool hf_shape_is_one(const struct hf_toxic *t)
{
    return t->kind == HF_TOXIC_LATENCY || t->kind == HF_TOXIC_BANDWIDTH ||
           t->kind == HF_TOXIC_SLICER || t->kind == HF_TOXIC_LOSS;
}
