/* SPDX-License-Identifier: Apache-2.0 */
/* Hash table with chains. A table that cannot grow keeps working with longer chains; only the very
 * first slots are needed. */
#include "base/table.h"

#include "base/hash.h"

#define FIRST_SLOTS 16

void hf_table_init(struct hf_table *t, const struct hf_allocator *alloc, const uint8_t key[16])
{
    *t = (struct hf_table){.alloc = alloc};
    memcpy(t->key, key, sizeof(t->key));
}

void hf_table_fini(struct hf_table *t)
{
    hf_release(t->alloc, t->slots);
    t->slots = NULL;
    t->slot_count = 0;
    t->count = 0;
}

uint64_t hf_table_hash(const struct hf_table *t, struct hf_slice key)
{
    return hf_siphash(t->key, key);
}

static struct hf_table_node **slot_of(const struct hf_table *t, uint64_t hash)
{
    return &t->slots[hash & (t->slot_count - 1)];
}

struct hf_table_node *hf_table_find(const struct hf_table *t, uint64_t hash,
                                    const struct hf_table_node *after)
{
    if (t->slot_count == 0) {
        return NULL;
    }
    struct hf_table_node *n = after != NULL ? after->next : *slot_of(t, hash);
    while (n != NULL && n->hash != hash) {
        n = n->next;
    }
    return n;
}

static void push(struct hf_table *t, struct hf_table_node *n)
{
    struct hf_table_node **slot = slot_of(t, n->hash);
    n->next = *slot;
    *slot = n;
}

static enum hf_status grow(struct hf_table *t)
{
    struct hf_table_node **old = t->slots;
    size_t old_count = t->slot_count;
    size_t count = old_count == 0 ? FIRST_SLOTS : old_count * 2;
    struct hf_table_node **slots = hf_alloc_zero(t->alloc, count * sizeof(*slots));
    if (slots == NULL) {
        return HF_NO_MEMORY;
    }
    t->slots = slots;
    t->slot_count = count;
    for (size_t i = 0; i < old_count; i++) {
        struct hf_table_node *n = old[i];
        while (n != NULL) {
            struct hf_table_node *next = n->next;
            push(t, n);
            n = next;
        }
    }
    hf_release(t->alloc, old);
    return HF_OK;
}

enum hf_status hf_table_insert(struct hf_table *t, struct hf_table_node *n, uint64_t hash)
{
    if (t->count >= t->slot_count && grow(t) != HF_OK && t->slot_count == 0) {
        return HF_NO_MEMORY;
    }
    n->hash = hash;
    push(t, n);
    t->count++;
    return HF_OK;
}

void hf_table_remove(struct hf_table *t, struct hf_table_node *n)
{
    HF_ASSERT(t->slot_count > 0);
    struct hf_table_node **at = slot_of(t, n->hash);
    while (*at != n) {
        HF_ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = n->next;
    n->next = NULL;
    t->count--;
}

struct hf_table_node *hf_table_next(const struct hf_table *t, const struct hf_table_node *n)
{
    if (t->slot_count == 0) {
        return NULL;
    }
    size_t slot = 0;
    if (n != NULL) {
        if (n->next != NULL) {
            return n->next;
        }
        slot = (n->hash & (t->slot_count - 1)) + 1;
    }
    while (slot < t->slot_count && t->slots[slot] == NULL) {
        slot++;
    }
    return slot < t->slot_count ? t->slots[slot] : NULL;
}
