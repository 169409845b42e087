/* SPDX-License-Identifier: Apache-2.0 */
/* Names and how often they came: see counts.h. */
#include "logs/counts.h"

void hf_logs_counts_init(struct hf_logs_counts *c, const struct hf_allocator *alloc,
                         const uint8_t key[16])
{
    *c = (struct hf_logs_counts){.alloc = alloc};
    hf_table_init(&c->table, alloc, key);
}

void hf_logs_counts_fini(struct hf_logs_counts *c)
{
    for (size_t i = 0; i < c->count; i++) {
        hf_release(c->alloc, c->all[i]);
    }
    hf_release(c->alloc, c->all);
    hf_table_fini(&c->table);
    c->count = 0;
    c->all = NULL;
}

static struct hf_logs_count *find(const struct hf_logs_counts *c, struct hf_slice name,
                                  uint64_t hash)
{
    struct hf_table_node *n = NULL;
    while ((n = hf_table_find(&c->table, hash, n)) != NULL) {
        struct hf_logs_count *found = (struct hf_logs_count *)(void *)n;
        if (hf_slice_eq(hf_slice_of(found->name), name)) {
            return found;
        }
    }
    return NULL;
}

const struct hf_logs_count *hf_logs_counts_find(const struct hf_logs_counts *c,
                                                struct hf_slice name)
{
    name = hf_slice_first(name, sizeof(((struct hf_logs_count *)0)->name) - 1);
    return find(c, name, hf_table_hash(&c->table, name));
}

static bool make_room(struct hf_logs_counts *c)
{
    if (c->count < c->cap) {
        return true;
    }
    size_t cap = c->cap == 0 ? 16 : 2 * c->cap;
    struct hf_logs_count **all = c->alloc->resize(c->alloc->context, c->all, cap * sizeof(*all));
    if (all == NULL) {
        return false;
    }
    c->all = all;
    c->cap = cap;
    return true;
}

uint32_t hf_logs_counts_add(struct hf_logs_counts *c, struct hf_slice name, uint64_t times)
{
    name = hf_slice_first(name, sizeof(((struct hf_logs_count *)0)->name) - 1);
    uint64_t hash = hf_table_hash(&c->table, name);
    struct hf_logs_count *found = find(c, name, hash);
    if (found == NULL && c->count < HF_LOGS_NAMES_MAX && make_room(c)) {
        found = hf_alloc_zero(c->alloc, sizeof(*found));
        if (found != NULL && hf_table_insert(&c->table, &found->node, hash) != HF_OK) {
            hf_release(c->alloc, found);
            found = NULL;
        }
        if (found != NULL) {
            if (name.len > 0) {
                memcpy(found->name, name.ptr, name.len);
            }
            found->index = (uint32_t)c->count;
            c->all[c->count++] = found;
        }
    }
    if (found == NULL) {
        c->others += times;
        return UINT32_MAX;
    }
    found->count += times;
    return found->index;
}

size_t hf_logs_counts_top(const struct hf_logs_counts *c, const struct hf_logs_count **top,
                          size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < c->count; i++) {
        size_t at = n < max ? n : max;
        while (at > 0 && top[at - 1]->count < c->all[i]->count) {
            if (at < max) {
                top[at] = top[at - 1];
            }
            at--;
        }
        if (at < max) {
            top[at] = c->all[i];
            n += n < max;
        }
    }
    return n;
}
