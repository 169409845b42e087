/* SPDX-License-Identifier: Apache-2.0 */
/* What the watch remembers of one target in memory: the minutes of the last week, the newest
 * endings, incidents and round trips, and counters since the start. Pages and metrics are made from
 * it alone, so that they are there without a database too; the database only writes it down and
 * gives it back after a restart. Pure: time is an argument. */
#ifndef HF_WATCH_RECORD_H
#define HF_WATCH_RECORD_H

#include "base/buffer.h"
#include "cause/trial.h"
#include "watch/incident.h"
#include "watch/judge.h"

#define HF_RECORD_MINUTES 10080 /* 7 days */
#define HF_RECORD_ENDINGS 1000
#define HF_RECORD_INCIDENTS 200
#define HF_RECORD_SAMPLES 240 /* round trips */
#define HF_RECORD_DROP_KINDS 64
#define HF_RECORD_BUCKETS 14 /* the last is +Inf */

struct hf_record_minute {
    int64_t minute; /* since 1970; 0: nothing is known of it */
    uint32_t up_ms; /* of all connections together */
    uint32_t down_ms;
    uint64_t rtt_us; /* sum */
    uint32_t rtt_count;
    uint32_t rtt_max_us;
    uint16_t drops;   /* premature */
    uint16_t endings; /* others, of open connections */
    uint16_t fails;
    bool quiet;
};

/* A text is owned by the record. */
struct hf_record_ending {
    hf_wall time;
    enum hf_judgement judged;
    bool is_check; /* of a check, not of a held connection */
    uint8_t how;   /* enum hf_trial_how */
    uint8_t phase;
    uint16_t code;
    uint16_t http;
    hf_time held;
    char cause[48];
    char who[12];
    char *sentence; /* what happened; never NULL */
    char *advice;   /* what to do; never NULL */
    char *json;     /* the whole ending record, without braces; never NULL */
};

struct hf_record_incident {
    int64_t id; /* ms since 1970 when it opened, made unique */
    enum hf_incident_kind kind;
    hf_wall opened, last_bad, last_told;
    hf_wall closed; /* 0: it is open */
    bool told;
    uint64_t bad;
    char cause[48];
    char *summary; /* one sentence; never NULL */
    char *advice;
    char *evidence;
};

struct hf_record_drop { /* a series of drops_total */
    char cause[48];
    char who[12];
    uint16_t code;
    uint8_t judged;
    uint64_t count;
};

struct hf_record {
    struct hf_record_minute *minutes; /* HF_RECORD_MINUTES, by minute modulo their number */
    struct hf_record_ending *endings; /* a ring */
    size_t ending_count, ending_next;
    struct hf_record_incident *incidents; /* oldest first */
    size_t incident_count;
    uint32_t samples[HF_RECORD_SAMPLES]; /* round trips in microseconds, a ring */
    size_t sample_count, sample_next;
    /* counters since the start of the process */
    struct hf_record_drop drops[HF_RECORD_DROP_KINDS];
    size_t drop_kinds;
    uint64_t rtt_bucket[HF_RECORD_BUCKETS];
    uint64_t rtt_count, rtt_sum_us;
    uint64_t opened, failed;
    uint64_t held_us; /* of ended connections */
};

/* In microseconds; HF_NEVER in the last. */
extern const hf_time hf_record_bucket_limit[HF_RECORD_BUCKETS];

HF_MUST_USE enum hf_status hf_record_init(struct hf_record *r);
void hf_record_fini(struct hf_record *r);

/* The minute of the time, emptied when it was an older one's. */
struct hf_record_minute *hf_record_minute_at(struct hf_record *r, hf_wall time);
/* NULL: nothing is known of it. */
const struct hf_record_minute *hf_record_minute_find(const struct hf_record *r, int64_t minute);
/* A stretch of time in which one connection was up or down, split over its minutes. */
void hf_record_span(struct hf_record *r, hf_wall from, hf_wall to, bool up, bool quiet);
void hf_record_rtt(struct hf_record *r, hf_wall time, hf_time rtt);
/* Takes the texts over. Counts it for the metrics when `counted`. */
void hf_record_ending_add(struct hf_record *r, struct hf_record_ending *ending, bool counted);
/* Counts an attempt that failed as the one before it, which stands for it. */
void hf_record_failed_again(struct hf_record *r, hf_wall time);
/* 0 is the newest; NULL: there are not so many. */
const struct hf_record_ending *hf_record_ending_at(const struct hf_record *r, size_t back);
/* Takes the texts over; the place stays valid until the next add. */
struct hf_record_incident *hf_record_incident_add(struct hf_record *r,
                                                  struct hf_record_incident *incident);
/* The open one of the kind, or NULL. */
struct hf_record_incident *hf_record_incident_open(struct hf_record *r, enum hf_incident_kind kind);
void hf_record_ending_fini(struct hf_record_ending *e);
void hf_record_incident_fini(struct hf_record_incident *i);

/* Share of the time that was up over the minutes [from, to), 0 to 1; -1: nothing is known. */
double hf_record_share(const struct hf_record *r, int64_t from, int64_t to);

#endif
