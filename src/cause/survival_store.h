/* SPDX-License-Identifier: Apache-2.0 */
/* What survival.c and peaks.c share: the lifetimes that are kept. */
#ifndef HF_CAUSE_SURVIVAL_STORE_H
#define HF_CAUSE_SURVIVAL_STORE_H

#include "base/random.h"
#include "cause/survival.h"

struct hf_survival {
    const struct hf_allocator *alloc;
    struct hf_random random;
    struct hf_lifetime *kept; /* all, or an even draw of HF_SURVIVAL_MAX */
    size_t count, cap;
    uint64_t total, ended; /* exact */
    bool sorted;           /* kept is in order of age */
    bool has_from;
    hf_time from; /* endings before could not be seen */
};

/* Puts kept in order of age, endings before censored ones of the same age. */
void hf_survival_sort(struct hf_survival *s);

#endif
