/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive hash table with chains; the object embeds the node and owns its key. Grows by doubling.
 */
#ifndef HF_BASE_TABLE_H
#define HF_BASE_TABLE_H

#include "base/alloc.h"
#include "base/slice.h"
#include "base/status.h"

struct hf_table_node {
    struct hf_table_node *next;
    uint64_t hash;
};

struct hf_table {
    const struct hf_allocator *alloc;
    struct hf_table_node **slots;
    size_t slot_count; /* a power of two, or 0 */
    size_t count;
    uint8_t key[16]; /* of SipHash: random for tables that hold strangers' keys */
};

void hf_table_init(struct hf_table *t, const struct hf_allocator *alloc, const uint8_t key[16]);
/* Frees the slots; the nodes belong to the caller. */
void hf_table_fini(struct hf_table *t);
uint64_t hf_table_hash(const struct hf_table *t, struct hf_slice key);
/* The first node with this hash behind `after` (NULL: from the start); the caller compares keys,
 * and passes a node whose key differs as `after` to go on. */
struct hf_table_node *hf_table_find(const struct hf_table *t, uint64_t hash,
                                    const struct hf_table_node *after);
HF_MUST_USE enum hf_status hf_table_insert(struct hf_table *t, struct hf_table_node *n,
                                           uint64_t hash);
/* The node must be in the table. */
void hf_table_remove(struct hf_table *t, struct hf_table_node *n);
/* All nodes in no order: pass NULL first. The node returned may be removed before the next call
 * only through `next` having been taken first. */
struct hf_table_node *hf_table_next(const struct hf_table *t, const struct hf_table_node *n);

#endif
