/* SPDX-License-Identifier: Apache-2.0 */
/* A histogram of whole numbers (microseconds) with steps that grow with the number: below 128 each
 * has its own, above that a step is never wider than 1/64 of its number, so that a percentile is at
 * most 1.6 % too large. Fixed memory, about 19 KB. */
#ifndef HF_BASE_HISTOGRAM_H
#define HF_BASE_HISTOGRAM_H

#include <stdint.h>

#define HF_HISTOGRAM_BITS 6                 /* steps in an octave: 64 */
#define HF_HISTOGRAM_MAX (INT64_C(1) << 42) /* larger ones count as this; about 51 days of us */
#define HF_HISTOGRAM_STEPS ((42 - 6 + 1) << 6)

/* Zeroed to start. */
struct hf_histogram {
    uint64_t count;
    int64_t min, max; /* exact */
    double sum;
    uint64_t steps[HF_HISTOGRAM_STEPS];
};

/* Negative values count as 0. */
void hf_histogram_add(struct hf_histogram *h, int64_t value);
/* The same, n times. */
void hf_histogram_add_many(struct hf_histogram *h, int64_t value, uint64_t n);
void hf_histogram_merge(struct hf_histogram *into, const struct hf_histogram *from);
/* The smallest value that at least this share (0 to 1) of all is not above, rounded up to the end
 * of its step, never above max. 0 when it is empty. */
int64_t hf_histogram_quantile(const struct hf_histogram *h, double share);
/* 0 when it is empty. */
double hf_histogram_mean(const struct hf_histogram *h);

#endif
