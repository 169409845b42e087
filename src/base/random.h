/* SPDX-License-Identifier: Apache-2.0 */
/* A seeded stream of random numbers: jitter, mask keys, simulation. Not for secrets. */
#ifndef HF_BASE_RANDOM_H
#define HF_BASE_RANDOM_H

#include <stdint.h>

struct hf_random {
    uint64_t state[4];
};

/* Any seed, also 0, gives a good stream; equal seeds give equal streams on every machine. */
void hf_random_init(struct hf_random *r, uint64_t seed);
uint64_t hf_random_next(struct hf_random *r);
/* Even over 0 .. below - 1; below > 0. */
uint64_t hf_random_below(struct hf_random *r, uint64_t below);

#endif
