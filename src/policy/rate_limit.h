/* SPDX-License-Identifier: Apache-2.0 */
/* Token bucket. Counts whole client messages, handshakes, control frames: whatever the caller charges.
 * Pure. One bucket is 8 bytes: the theoretical arrival time of the generic cell rate algorithm. */
#ifndef HF_POLICY_RATE_LIMIT_H
#define HF_POLICY_RATE_LIMIT_H

#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

struct hf_rate_rules {
    uint32_t count;  /* so many ... 0: no limit */
    hf_time period;  /* ... in this time, evenly refilled */
    uint32_t burst;  /* so many at once, 1 or more */
};

struct hf_rate {
    _Atomic int64_t arrival; /* microseconds; shared between threads where the caller shares the bucket */
};

void hf_rate_init(struct hf_rate *rate);
/* Takes n tokens if they are there: returns 0. Else takes none and returns how long until they are there
 * (microseconds, > 0). Thread-safe. */
hf_time hf_rate_charge(struct hf_rate *rate, const struct hf_rate_rules *rules, uint32_t n, hf_time now);
/* Takes n tokens even into debt (for dry runs and for delays already served). */
void hf_rate_force(struct hf_rate *rate, const struct hf_rate_rules *rules, uint32_t n, hf_time now);
/* True when the bucket is full again: an idle entry can be forgotten. */
bool hf_rate_is_full(const struct hf_rate *rate, hf_time now);

#endif
