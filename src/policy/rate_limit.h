/* SPDX-License-Identifier: Apache-2.0 */
/* Token bucket. Counts whole client messages, handshakes, control frames: whatever the caller
 * charges. Pure. One bucket is 8 bytes: the theoretical arrival time of the generic cell rate
 * algorithm.
 *
 * A bucket that is full admits exactly `burst` charges at once, then one each period / count. The
 * long-run rate is exact: the arrival time is only ever a whole number of equal steps of the
 * period, each step at least one unit of time and a power of two of them one token, so that no
 * rounding adds up. The unit is 1/1024 microsecond, good for 285 years of clock; a rate above 1024
 * tokens a microsecond counts as that.
 *
 * Rules are the caller's and may change between two calls: a debt in time stays what it was. */
#ifndef HF_POLICY_RATE_LIMIT_H
#define HF_POLICY_RATE_LIMIT_H

#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

struct hf_rate_rules {
    uint32_t count; /* so many ... 0: no limit */
    hf_time period; /* ... in this time, evenly refilled; at most 10 years; 0: no limit */
    uint32_t burst; /* so many at once, 1 or more (0 counts as 1) */
};

struct hf_rate {
    _Atomic int64_t
        arrival; /* 1/1024 microseconds of the caller's clock: when the bucket is full again. Zeroed
                  * memory is a full bucket. Shared between threads where the caller shares it. */
};

void hf_rate_init(struct hf_rate *rate);
/* Takes n tokens if they are there: returns 0. Else takes none and returns how long until they are
 * there (microseconds, > 0; a charge at exactly now + that succeeds when nobody came between). n
 * above the burst is taken by a full bucket, which it leaves in debt. Thread-safe. */
hf_time hf_rate_charge(struct hf_rate *rate, const struct hf_rate_rules *rules, uint32_t n,
                       hf_time now);
/* Takes n tokens even into debt (for dry runs and for delays already served). Thread-safe. */
void hf_rate_force(struct hf_rate *rate, const struct hf_rate_rules *rules, uint32_t n,
                   hf_time now);
/* True when the bucket is full again: an idle entry can be forgotten. */
bool hf_rate_is_full(const struct hf_rate *rate, hf_time now);

#endif
