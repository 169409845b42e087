/* SPDX-License-Identifier: Apache-2.0 */
/* The search for the largest message that passes: doubling until one ends the connection, then
 * halving the gap until it is within a hundredth. Each size that kills is tried twice, so that one
 * accident does not move the result. Pure. */
#ifndef HF_DIAGNOSE_RAMP_H
#define HF_DIAGNOSE_RAMP_H

#include <stdbool.h>
#include <stdint.h>

#define HF_RAMP_FIRST 500
#define HF_RAMP_LAST ((uint64_t)17 << 20)

struct hf_ramp {
    uint64_t low;    /* the largest that passed; 0: none */
    uint64_t high;   /* the smallest that killed twice; 0: none */
    uint64_t last;   /* no size beyond it is tried */
    uint64_t size;   /* what is to be tried now; 0: done */
    unsigned deaths; /* at this size */
};

/* least: the shortest message that there is (the text itself); last: the largest to try. */
void hf_ramp_init(struct hf_ramp *r, uint64_t least, uint64_t last);
/* The message of r->size passed, or ended the connection. Sets the next size. */
void hf_ramp_passed(struct hf_ramp *r);
void hf_ramp_died(struct hf_ramp *r);

#endif
