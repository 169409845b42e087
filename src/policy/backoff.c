/* SPDX-License-Identifier: Apache-2.0 */
/* Exponential backoff with full jitter. */
#include "policy/backoff.h"

#include "base/status.h"

void hf_backoff_init(struct hf_backoff *b)
{
    hf_backoff_reset(b);
}

static hf_time grown(hf_time ceiling, const struct hf_backoff_rules *rules)
{
    if (rules->factor_percent <= 100) {
        return ceiling;
    }
    hf_time product;
    if (__builtin_mul_overflow(ceiling, (hf_time)rules->factor_percent, &product)) {
        return rules->cap;
    }
    hf_time next = product / 100;
    return next > ceiling ? next : ceiling + 1; /* a base of few microseconds must grow too */
}

hf_time hf_backoff_next(struct hf_backoff *b, const struct hf_backoff_rules *rules,
                        struct hf_random *random)
{
    HF_ASSERT(rules->base > 0 && rules->cap > 0 && rules->cap < HF_NEVER);
    hf_time ceiling = b->ceiling == 0 ? rules->base : grown(b->ceiling, rules);
    b->ceiling = ceiling < rules->cap ? ceiling : rules->cap;
    return (hf_time)hf_random_below(random, (uint64_t)b->ceiling + 1);
}

void hf_backoff_reset(struct hf_backoff *b)
{
    b->ceiling = 0;
}
