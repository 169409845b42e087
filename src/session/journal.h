/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in order that somebody has not acknowledged yet, as records {type, payload} without
 * frame heads and without the escape: the gateway's journal towards the client, its queue towards
 * the backend, and the library's copies of what it sent. Pure.
 *
 * Record number n is the n-th message of its direction, from 1; `base` is the count of those that
 * are gone. An empty journal owns no memory. Payloads lie whole and contiguous. */
#ifndef HF_SESSION_JOURNAL_H
#define HF_SESSION_JOURNAL_H

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/slice.h"
#include "base/status.h"

/* What a message costs against a credit beside its payload: docs/protocol.md section 5. */
#define HF_RECORD_COST 16
static inline uint64_t hf_record_cost(uint64_t payload)
{
    return payload + HF_RECORD_COST;
}

struct hf_journal_block; /* records lie in blocks, a list of them; large records have their own */

struct hf_journal {
    uint64_t base;  /* messages that were dropped from the front */
    uint64_t end;   /* base + records held */
    uint64_t cost;  /* of the records held: sum of hf_record_cost */
    uint64_t bytes; /* of memory that it owns */
    struct hf_journal_block *first, *last;
};

struct hf_record {
    uint64_t number;
    uint8_t opcode; /* text or binary: ws/frame.h */
    struct hf_slice payload;
};

/* Starts at a count: base = end = count. */
void hf_journal_init(struct hf_journal *j, uint64_t count);
void hf_journal_fini(struct hf_journal *j, const struct hf_allocator *alloc);
/* A record made of parts (1 to 4) put behind each other. HF_NO_MEMORY: nothing changed. */
HF_MUST_USE enum hf_status hf_journal_add(struct hf_journal *j, const struct hf_allocator *alloc,
                                          uint8_t opcode, const struct hf_slice *parts,
                                          size_t count);
/* Drops the records up to and including number n (base <= n <= end, asserted). */
void hf_journal_drop(struct hf_journal *j, const struct hf_allocator *alloc, uint64_t n);

/* A place in a journal, for reading on from where one was. Dropping records before it and adding
 * behind it keep it valid; dropping beyond it moves it to the new base. */
struct hf_journal_cursor {
    uint64_t number; /* of the last record that was read; the next is number + 1 */
    struct hf_journal_block *block;
    uint32_t offset;
};
/* Before record n + 1 (base <= n <= end, asserted). Costs a walk; reading on does not. */
void hf_journal_seek(const struct hf_journal *j, struct hf_journal_cursor *at, uint64_t n);
/* The next record, or false at the end; the payload lives until the record is dropped. */
bool hf_journal_next(const struct hf_journal *j, struct hf_journal_cursor *at,
                     struct hf_record *record);

#endif
