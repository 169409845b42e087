/* SPDX-License-Identifier: Apache-2.0 */
/* Token bucket by the generic cell rate algorithm, exact and lock-free.
 *
 * The period is cut into `per_period` equal steps; a token is 2^shift of them. A time is turned
 * into the step that it lies in, and a step into the first unit of time in it. Because a step is at
 * least one unit long, a step turned into a time and back is the same step: adding tokens in steps
 * never loses a part of a unit. */
#include "policy/rate_limit.h"

#include <stdatomic.h>

#define UNIT_BITS 10 /* 1/1024 microsecond */
#define TIME_MAX (INT64_MAX >> UNIT_BITS)
#define PERIOD_MAX HF_SECONDS((hf_time)10 * 366 * 24 * 60 * 60)

typedef unsigned __int128 uint128;

struct grid {
    uint64_t period;     /* units */
    uint64_t per_period; /* steps in a period, at most as many as it has units */
    unsigned shift;      /* a token is 2^shift steps */
};

static uint64_t to_units(hf_time time)
{
    return (uint64_t)(time < 0 ? 0 : time > TIME_MAX ? TIME_MAX : time) << UNIT_BITS;
}

/* The finest steps that are one unit or longer. */
static struct grid make_grid(const struct hf_rate_rules *rules)
{
    struct grid g = {.period = to_units(rules->period < PERIOD_MAX ? rules->period : PERIOD_MAX)};
    uint64_t count = rules->count < g.period ? rules->count : g.period;
    g.shift = (unsigned)(__builtin_clzll(count) - __builtin_clzll(g.period));
    if (count << g.shift > g.period) {
        g.shift--;
    }
    g.per_period = count << g.shift;
    return g;
}

static uint128 step_of(const struct grid *g, uint64_t units)
{
    return (uint128)units * g->per_period / g->period;
}

/* The first unit of the step; times beyond the clock's end are its end. */
static int64_t start_of(const struct grid *g, uint128 step)
{
    if (step > step_of(g, INT64_MAX)) {
        return INT64_MAX;
    }
    return (int64_t)((step * g->period + g->per_period - 1) / g->per_period);
}

/* From now to the first whole microsecond that is in the step or behind it. */
static hf_time wait_for(const struct grid *g, uint128 step, hf_time now)
{
    uint64_t units = (uint64_t)start_of(g, step);
    hf_time then = (hf_time)((units + (1U << UNIT_BITS) - 1) >> UNIT_BITS);
    return then > now ? then - now : 1;
}

/* Takes n tokens when the bucket holds `needed` of them. */
static hf_time take(struct hf_rate *rate, const struct hf_rate_rules *rules, uint32_t n,
                    uint32_t needed, hf_time now)
{
    if (rules->count == 0 || rules->period <= 0) {
        return 0;
    }
    struct grid g = make_grid(rules);
    uint64_t now_units = to_units(now);
    uint32_t burst = rules->burst == 0 ? 1 : rules->burst;
    uint128 room = step_of(&g, now_units) + ((uint128)burst << g.shift);
    int64_t arrival = atomic_load_explicit(&rate->arrival, memory_order_relaxed);
    int64_t taken;
    do {
        uint128 from = step_of(&g, (uint64_t)arrival > now_units ? (uint64_t)arrival : now_units);
        uint128 filled = from + ((uint128)needed << g.shift);
        if (needed > 0 && filled > room) {
            return wait_for(&g, filled - ((uint128)burst << g.shift), now);
        }
        taken = start_of(&g, from + ((uint128)n << g.shift));
    } while (!atomic_compare_exchange_weak_explicit(&rate->arrival, &arrival, taken,
                                                    memory_order_relaxed, memory_order_relaxed));
    return 0;
}

void hf_rate_init(struct hf_rate *rate)
{
    atomic_init(&rate->arrival, 0);
}

hf_time hf_rate_charge(struct hf_rate *rate, const struct hf_rate_rules *rules, uint32_t n,
                       hf_time now)
{
    uint32_t burst = rules->burst == 0 ? 1 : rules->burst;
    return take(rate, rules, n, n < burst ? n : burst, now);
}

void hf_rate_force(struct hf_rate *rate, const struct hf_rate_rules *rules, uint32_t n, hf_time now)
{
    (void)take(rate, rules, n, 0, now);
}

bool hf_rate_is_full(const struct hf_rate *rate, hf_time now)
{
    return (uint64_t)atomic_load_explicit(&rate->arrival, memory_order_relaxed) <= to_units(now);
}
