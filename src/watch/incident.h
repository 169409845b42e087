/* SPDX-License-Identifier: Apache-2.0 */
/* An incident: something that is wrong with a target, from when it is wrong often enough until it
 * is over. There is at most one open for each target and kind, so that what goes on being wrong is
 * told once, then reminded of, then recovered from, and never told a second time in between.
 *
 * Pure: time is an argument, of a monotonic clock. */
#ifndef HF_WATCH_INCIDENT_H
#define HF_WATCH_INCIDENT_H

#include "base/slice.h"
#include "base/time.h"

enum hf_incident_kind {
    HF_INCIDENT_DROP,        /* an open connection ended before its time */
    HF_INCIDENT_CONNECT,     /* no connection can be made, or only too slowly */
    HF_INCIDENT_SLOW,        /* round trips are longer than allowed */
    HF_INCIDENT_CERTIFICATE, /* the certificate runs out soon */
    HF_INCIDENT_KINDS,
};
/* drop connect slow certificate */
const char *hf_incident_kind_text(enum hf_incident_kind kind);
/* HF_INCIDENT_KINDS when it is none of them. */
enum hf_incident_kind hf_incident_kind_from(struct hf_slice text);

#define HF_INCIDENT_COUNT_MAX 32

/* "3 in 10m": so many within so long. */
struct hf_incident_rate {
    uint32_t count; /* 1 to HF_INCIDENT_COUNT_MAX */
    hf_time window; /* more than 0; of no meaning when count is 1 */
};
/* Whole text is "3 in 10m", or "1" alone. False when it is not. */
bool hf_incident_rate_parse(struct hf_slice text, struct hf_incident_rate *rate);

struct hf_incident_rule {
    struct hf_incident_rate rate; /* it opens with the count-th bad observation in the window */
    hf_time settle; /* it is over when all was good for so long; 0: with the first good one */
    hf_time repeat; /* a reminder so long after the last notice; 0: none */
    bool is_moment; /* what is bad is a moment (a drop), which a quiet time excuses for good; else
                     * it is a state, which a quiet time only holds back */
};

struct hf_incident {
    bool open;
    bool told;    /* an alert of it went out: its recovery will be told too */
    bool is_good; /* the newest observation */
    hf_time opened;
    hf_time last_bad;
    hf_time last_told;
    uint64_t bad; /* observations since the first of those that opened it */
    uint32_t recent_count;
    hf_time recent[HF_INCIDENT_COUNT_MAX]; /* the newest bad ones while it is not open */
};

enum hf_incident_notice {
    HF_NOTICE_NONE,
    HF_NOTICE_ALERT,
    HF_NOTICE_REMINDER,
    HF_NOTICE_RECOVERY,
};
/* none alert reminder recovery */
const char *hf_incident_notice_text(enum hf_incident_notice notice);

/* Zero the struct to start. Each returns what is to be told now. */
enum hf_incident_notice hf_incident_bad(struct hf_incident *i, const struct hf_incident_rule *rule,
                                        hf_time now, bool quiet);
enum hf_incident_notice hf_incident_good(struct hf_incident *i, const struct hf_incident_rule *rule,
                                         hf_time now);
/* Time has passed: what was held back by a quiet time, reminders, and what settled. */
enum hf_incident_notice hf_incident_tick(struct hf_incident *i, const struct hf_incident_rule *rule,
                                         hf_time now, bool quiet);
/* As it was before a restart. */
void hf_incident_restore(struct hf_incident *i, hf_time opened, hf_time last_bad, hf_time last_told,
                         bool told, uint64_t bad);

#endif
