/* SPDX-License-Identifier: Apache-2.0 */
/* Time is an argument. hf_time counts microseconds of a monotonic clock from a point without
 * meaning; hf_wall counts milliseconds since 1970 UTC and is only for logs and tokens. */
#ifndef HF_BASE_TIME_H
#define HF_BASE_TIME_H

#include "base/slice.h"

#include <stdint.h>

typedef int64_t hf_time;
typedef int64_t hf_wall;

#define HF_MS(n) ((hf_time)(n)*1000)
#define HF_SECONDS(n) ((hf_time)(n)*1000000)
#define HF_NEVER INT64_MAX

/* Whole s is a number with a unit, ms s m h d ("250ms", "1.5s", "2h"); a bare number is refused,
 * except that "0" is zero. Result in whole microseconds (a finer fraction is refused), 0 to 10
 * years of 365 days. */
bool hf_duration_parse(struct hf_slice s, hf_time *value);
/* The shortest exact form that hf_duration_parse reads, never a fraction below one of a unit that
 * has a smaller one: "250ms", "90s", "1.5s", "2h". HF_NEVER is "never". At most 24 bytes with the
 * NUL. */
void hf_duration_text(hf_time value, char text[24]);
/* Whole s is a number with a unit, B KiB MiB GiB ("64KiB"); a bare number is refused, except "0".
 */
bool hf_size_parse(struct hf_slice s, uint64_t *bytes);
void hf_size_text(uint64_t bytes, char text[24]);
/* RFC 3339 in UTC with milliseconds: "2026-01-31T12:00:00.000Z" (24 characters and the NUL). */
void hf_wall_text(hf_wall wall, char text[25]);

#endif
