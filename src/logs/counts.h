/* SPDX-License-Identifier: Apache-2.0 */
/* How often each of many names came, with bounded memory: names beyond the maximum are counted
 * together as others. Pure. */
#ifndef HF_LOGS_COUNTS_H
#define HF_LOGS_COUNTS_H

#include "base/alloc.h"
#include "base/table.h"

#define HF_LOGS_NAMES_MAX 4096

struct hf_logs_count {
    struct hf_table_node node;
    uint64_t count;
    uint32_t index; /* in order of appearance */
    char name[128];
};

struct hf_logs_counts {
    const struct hf_allocator *alloc;
    struct hf_table table;
    struct hf_logs_count **all; /* in order of appearance */
    size_t count, cap;
    uint64_t others;
};

void hf_logs_counts_init(struct hf_logs_counts *c, const struct hf_allocator *alloc,
                         const uint8_t key[16]);
void hf_logs_counts_fini(struct hf_logs_counts *c);
/* The name's index; UINT32_MAX when it is counted among the others. */
uint32_t hf_logs_counts_add(struct hf_logs_counts *c, struct hf_slice name, uint64_t times);
/* The most frequent first, at most max. */
size_t hf_logs_counts_top(const struct hf_logs_counts *c, const struct hf_logs_count **top,
                          size_t max);
const struct hf_logs_count *hf_logs_counts_find(const struct hf_logs_counts *c,
                                                struct hf_slice name);

#endif
