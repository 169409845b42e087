/* SPDX-License-Identifier: Apache-2.0 */
/* The times of logs. Each takes the text from its beginning and tells how many bytes the time took.
 * Times are microseconds since 1970; where the text has no zone, `zone` (seconds east of UTC) is
 * taken. Pure. */
#ifndef HF_LOGS_WHEN_H
#define HF_LOGS_WHEN_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* 26/Nov/2026:01:21:24, with .576 and with +0000 or without. */
bool hf_logs_when_clf(struct hf_slice s, int64_t zone, int64_t *at, size_t *len);
/* 2026-11-26T01:21:40.489534+00:00 and its kin: a space for T, slashes in the date, a comma before
 * the fraction, Z, +0000, a space before the zone, or none. */
bool hf_logs_when_iso(struct hf_slice s, int64_t zone, int64_t *at, size_t *len);
/* Nov 26 01:21:34: the year is the one that brings it closest before `now` (a day of grace). */
bool hf_logs_when_bsd(struct hf_slice s, int64_t zone, int64_t now, int64_t *at, size_t *len);
/* Seconds since 1970 with a fraction. */
bool hf_logs_when_unix(struct hf_slice s, int64_t *at);
/* Seconds with at most six decimals, as a duration in microseconds; not negative. */
bool hf_logs_seconds(struct hf_slice s, int64_t *us);

#endif
