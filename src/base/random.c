/* SPDX-License-Identifier: Apache-2.0 */
/* xoshiro256** (Blackman and Vigna), its state filled by splitmix64 so that a poor seed does no
 * harm. */
#include "base/random.h"

#include "base/status.h"

static uint64_t splitmix(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

void hf_random_init(struct hf_random *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        r->state[i] = splitmix(&seed);
    }
}

uint64_t hf_random_next(struct hf_random *r)
{
    uint64_t *s = r->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

/* The first 2^64 mod below numbers would make the small results likelier; they are thrown away. */
uint64_t hf_random_below(struct hf_random *r, uint64_t below)
{
    HF_ASSERT(below > 0);
    uint64_t unfair = (0 - below) % below;
    uint64_t x = hf_random_next(r);
    while (x < unfair) {
        x = hf_random_next(r);
    }
    return x % below;
}
