/* SPDX-License-Identifier: Apache-2.0 */
/* What a direction does to the time of bytes: a queue of pieces, each with the time at which it may
 * leave. Pure: time and chance are arguments. Pieces leave in the order in which they came. */
#ifndef HF_CHAOS_SHAPE_H
#define HF_CHAOS_SHAPE_H

#include "base/random.h"
#include "chaos/toxic.h"

#define HF_SHAPE_PIECE_MAX 32768

struct hf_piece {
    struct hf_list node;
    hf_time due;
    size_t at;  /* bytes that have left */
    size_t len; /* of all */
    uint8_t bytes[];
};

struct hf_pieces {
    const struct hf_allocator *alloc;
    struct hf_list list;
    size_t bytes;  /* that have not left */
    size_t weight; /* memory that they take: of many small pieces far more than their bytes */
};
void hf_pieces_init(struct hf_pieces *q, const struct hf_allocator *alloc);
void hf_pieces_fini(struct hf_pieces *q);
/* Copies the bytes. */
HF_MUST_USE enum hf_status hf_pieces_add(struct hf_pieces *q, struct hf_slice bytes, hf_time due);
/* The bytes at the head, if they may leave by now; else empty. */
struct hf_slice hf_pieces_ready(const struct hf_pieces *q, hf_time now);
/* So many of the bytes at the head have left. */
void hf_pieces_left(struct hf_pieces *q, size_t n);
/* Everything may leave at `now` at the latest: the toxics have changed. */
void hf_pieces_hurry(struct hf_pieces *q, hf_time now);
/* HF_NEVER: nothing waits. */
hf_time hf_pieces_due(const struct hf_pieces *q);

/* What one toxic remembers about one direction. Zeroed to start. */
struct hf_shaper {
    hf_time last;   /* when the newest piece leaves this stage */
    uint64_t bytes; /* that went through */
};
/* When a piece that reaches the stage at `at` leaves it. `len` is at most HF_SHAPE_PIECE_MAX.
 * Toxics that do not shape give back `at`. */
hf_time hf_shape_pass(struct hf_shaper *s, const struct hf_toxic *t, struct hf_random *random,
                      size_t len, hf_time at);
/* The largest piece that the toxic lets through whole. */
size_t hf_shape_size(const struct hf_toxic *t, struct hf_random *random);
bool hf_shape_is_one(const struct hf_toxic *t);

#endif
