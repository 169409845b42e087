/* SPDX-License-Identifier: Apache-2.0 */
/* Exponential backoff with full jitter: how long to wait before the next try, for upstream re-dials
 * and for clients. Pure.
 *
 * The n-th wait after a success is drawn evenly from 0 to min(cap, base * factor^(n-1)), both
 * included: the whole span is random, so that a crowd that lost its server together does not come
 * back together. */
#ifndef HF_POLICY_BACKOFF_H
#define HF_POLICY_BACKOFF_H

#include "base/random.h"
#include "base/time.h"

struct hf_backoff_rules {
    hf_time base;            /* the longest first wait, more than 0 */
    uint32_t factor_percent; /* growth of the longest wait: 200 doubles it; 100 or less keeps it */
    hf_time cap;             /* no wait is longer than this, at most 10 years */
};

struct hf_backoff {
    hf_time
        ceiling; /* the longest wait of the last draw; 0: none was drawn since the last success */
};

void hf_backoff_init(struct hf_backoff *b);
/* The next wait in microseconds, 0 to cap; 0 is a fair draw. Rules may change between two calls. */
hf_time hf_backoff_next(struct hf_backoff *b, const struct hf_backoff_rules *rules,
                        struct hf_random *random);
/* A try succeeded: the next wait starts from base again. */
void hf_backoff_reset(struct hf_backoff *b);

#endif
