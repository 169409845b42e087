/* SPDX-License-Identifier: Apache-2.0 */
/* A log-linear histogram: see histogram.h. */
#include "base/histogram.h"

#include "base/status.h"

#define STEPS (1U << HF_HISTOGRAM_BITS)

/* Below 2 * STEPS a value is its own step; above, its octave and its first bits name it. */
static unsigned step_of(uint64_t value)
{
    if (value < 2 * STEPS) {
        return (unsigned)value;
    }
    const unsigned top = 63U - (unsigned)__builtin_clzll(value);
    const unsigned shift = top - HF_HISTOGRAM_BITS;
    return (shift << HF_HISTOGRAM_BITS) + (unsigned)(value >> shift);
}

/* The largest value of a step. */
static int64_t end_of(unsigned step)
{
    if (step < 2 * STEPS) {
        return step;
    }
    const unsigned shift = (step >> HF_HISTOGRAM_BITS) - 1;
    const uint64_t first = (uint64_t)(step - (shift << HF_HISTOGRAM_BITS)) << shift;
    return (int64_t)(first + (UINT64_C(1) << shift) - 1);
}

void hf_histogram_add_many(struct hf_histogram *h, int64_t value, uint64_t n)
{
    value = value < 0 ? 0 : value < HF_HISTOGRAM_MAX ? value : HF_HISTOGRAM_MAX - 1;
    if (n == 0) {
        return;
    }
    h->min = h->count == 0 || value < h->min ? value : h->min;
    h->max = h->count == 0 || value > h->max ? value : h->max;
    h->count += n;
    h->sum += (double)value * (double)n;
    const unsigned step = step_of((uint64_t)value);
    HF_ASSERT(step < HF_HISTOGRAM_STEPS);
    h->steps[step] += n;
}

void hf_histogram_add(struct hf_histogram *h, int64_t value)
{
    hf_histogram_add_many(h, value, 1);
}

void hf_histogram_merge(struct hf_histogram *into, const struct hf_histogram *from)
{
    if (from->count == 0) {
        return;
    }
    into->min = into->count == 0 || from->min < into->min ? from->min : into->min;
    into->max = into->count == 0 || from->max > into->max ? from->max : into->max;
    into->count += from->count;
    into->sum += from->sum;
    for (unsigned i = 0; i < HF_HISTOGRAM_STEPS; i++) {
        into->steps[i] += from->steps[i];
    }
}

int64_t hf_histogram_quantile(const struct hf_histogram *h, double share)
{
    const double wanted = share * (double)h->count;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HF_HISTOGRAM_STEPS && h->count > 0; i++) {
        seen += h->steps[i];
        if (h->steps[i] > 0 && (double)seen >= wanted) {
            const int64_t end = end_of(i);
            return end < h->max ? (end > h->min ? end : h->min) : h->max;
        }
    }
    return h->max;
}

double hf_histogram_mean(const struct hf_histogram *h)
{
    return h->count == 0 ? 0 : h->sum / (double)h->count;
}
