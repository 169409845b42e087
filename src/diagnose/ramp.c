/* SPDX-License-Identifier: Apache-2.0 */
/* The search for the largest message that passes. */
#include "diagnose/ramp.h"

void hf_ramp_init(struct hf_ramp *r, uint64_t least, uint64_t last)
{
    *r = (struct hf_ramp){.last = last, .size = least > 0 ? least : 1};
}

static void choose(struct hf_ramp *r)
{
    r->deaths = 0;
    if (r->high == 0) {
        const uint64_t doubled = r->low < HF_RAMP_FIRST ? HF_RAMP_FIRST : r->low * 2;
        r->size = r->low >= r->last ? 0 : doubled < r->last ? doubled : r->last;
    } else if (r->low == 0 || r->high - r->low <= 1 || (r->high - r->low) * 100 <= r->low) {
        r->size = 0; /* without anything that passes it is not the size that kills */
    } else {
        r->size = r->low + (r->high - r->low) / 2;
    }
}

void hf_ramp_passed(struct hf_ramp *r)
{
    if (r->size > r->low) {
        r->low = r->size;
    }
    choose(r);
}

void hf_ramp_died(struct hf_ramp *r)
{
    if (++r->deaths < 2) {
        return; /* once more, on another connection */
    }
    r->high = r->size;
    choose(r);
}
