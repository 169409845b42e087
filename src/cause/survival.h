/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of many lifetimes: the Kaplan-Meier curve with censored ages, and the places where
 * endings gather. A timer is a peak at one age; a restart a peak at one time of the clock, with
 * mixed ages; a limiter a peak at one count of messages or bytes; loss and users are flat. Noise
 * and mixtures are expected. Bounded memory: beyond HF_SURVIVAL_MAX lifetimes a reservoir is kept
 * (evenly drawn, from a seed), and the counts stay exact. Pure. */
#ifndef HF_CAUSE_SURVIVAL_H
#define HF_CAUSE_SURVIVAL_H

#include "base/alloc.h"
#include "base/status.h"
#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HF_SURVIVAL_MAX 65536
#define HF_SURVIVAL_PEAKS 16

struct hf_lifetime {
    hf_time age;
    hf_time ended;       /* on one clock for all; may be a wall clock in microseconds */
    int64_t messages_up; /* from the client; -1: unknown */
    int64_t messages_down;
    int64_t bytes_up;
    int64_t bytes_down;
    bool censored;  /* it lived when it was looked at last, or its end was its user's wish */
    uint16_t group; /* a caller's own mark (a process, a path, a cause); 0: none */
};

struct hf_survival_point { /* the curve: S(age) from this age on */
    hf_time age;
    double alive;     /* 0 to 1 */
    double low, high; /* 95 % band (Greenwood, log-log) */
    uint64_t at_risk;
};

enum hf_peak_kind {
    HF_PEAK_AGE,      /* a timer */
    HF_PEAK_CLOCK,    /* one instant: a restart, a deploy, a worker's death */
    HF_PEAK_UP,       /* a count of client messages */
    HF_PEAK_DOWN,     /* a count of server messages: a limiter that counts chunks */
    HF_PEAK_BYTES_UP, /* a number of bytes */
    HF_PEAK_BYTES_DOWN,
};

struct hf_peak {
    enum hf_peak_kind kind;
    double at;        /* seconds, or a count, or bytes: the middle of it */
    double low, high; /* where it begins and ends */
    uint64_t count;   /* endings in it */
    double expected;  /* endings that the flat background would have put there */
    double share;     /* of all endings that are not censored, 0 to 1 */
    double strength; /* log10 of how unlikely the background alone is to do this; larger is surer */
};

struct hf_survival;
struct hf_survival *hf_survival_new(const struct hf_allocator *alloc, uint64_t seed);
void hf_survival_free(struct hf_survival *s);
HF_MUST_USE enum hf_status hf_survival_add(struct hf_survival *s, const struct hf_lifetime *l);
/* Endings before this time (on the clock of `ended`) could not be seen, although connections had
 * begun: a log begins there. Without it, endings may lie anywhere behind the first beginning. */
void hf_survival_seen_from(struct hf_survival *s, hf_time from);
uint64_t hf_survival_total(const struct hf_survival *s);
uint64_t hf_survival_ended(const struct hf_survival *s); /* without the censored */

/* At most max points, thinned where the curve is flat; the first is age 0, the last the largest
 * age. */
size_t hf_survival_curve(struct hf_survival *s, struct hf_survival_point *points, size_t max);
/* The age at which S falls to q (0.5: the median); HF_NEVER when it never does. */
hf_time hf_survival_quantile(struct hf_survival *s, double q);
/* Hazard per second in [from, to). */
double hf_survival_hazard(struct hf_survival *s, hf_time from, hf_time to);
/* The peaks that stand out, strongest first; an ending counts for the peak that explains it best,
 * so that a timer is not told again as a peak of bytes. */
size_t hf_survival_peaks(struct hf_survival *s, struct hf_peak *peaks, size_t max);
/* Between successive clock peaks, when three or more lie evenly; else 0. Seconds. */
double hf_survival_period(const struct hf_peak *peaks, size_t count);

#endif
