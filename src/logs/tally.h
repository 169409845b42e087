/* SPDX-License-Identifier: Apache-2.0 */
/* The tally of a log: counts of its endings by cause, manner, code and one dimension that was asked
 * for; what happened to processes and limits; lifetimes for the survival curve and its peaks, and
 * what they point to. Bounded memory. Pure. */
#ifndef HF_LOGS_TALLY_H
#define HF_LOGS_TALLY_H

#include "base/random.h"
#include "cause/rank.h"
#include "cause/survival.h"
#include "logs/book.h"
#include "logs/counts.h"

#define HF_LOGS_NOTICES_MAX 256
#define HF_LOGS_SAMPLES_MAX 65536
#define HF_LOGS_FINDINGS_MAX (2 * HF_SURVIVAL_PEAKS)
#define HF_LOGS_TOLD_MAX 4
#define HF_LOGS_NAMED_MAX 5

enum hf_logs_by {
    HF_LOGS_BY_CAUSE,
    HF_LOGS_BY_PATH,
    HF_LOGS_BY_ADDRESS,
    HF_LOGS_BY_CODE,
    HF_LOGS_BY_UPSTREAM,
    HF_LOGS_BYS,
};
/* cause path address code upstream */
const char *hf_logs_by_text(enum hf_logs_by by);

/* A restart, a limit or a fault; the same ones in a row are one. */
struct hf_logs_notice {
    enum hf_logs_kind kind; /* RESTART (DEATH too), LIMITER, FAULT */
    int64_t first, last;    /* HF_LOGS_NO_TIME */
    uint64_t lines;
    uint64_t endings; /* within a second before and two behind */
    bool is_start;    /* nothing ends by it: only the second before counts */
    char what[120];
    char cause[40];
    char reason[80];
};

struct hf_logs_tally {
    const struct hf_allocator *alloc;
    enum hf_logs_by by;
    uint64_t ended, lived, refused, wished, adverse, aged;
    uint64_t formats[HF_LOGS_FORMATS];
    uint64_t hows[HF_LOGS_HOWS];
    uint64_t untold;  /* endings in access logs of nginx whose reason is not known */
    bool saw_reasons; /* lines of nginx's error log that are reasons */
    struct hf_logs_counts causes, codes, dimension, signatures;
    struct hf_logs_counts upgraded; /* paths of 101s */
    struct hf_logs_counts statuses; /* "403 /ws": requests that were not answered with 101 */
    struct hf_logs_counts turned;   /* the same, certainly handshakes */
    int64_t first, last;            /* times of endings; HF_LOGS_NO_TIME */
    struct hf_survival *ages;       /* with ages */
    struct hf_survival *silences;   /* silence at the end, where the log knows it */
    struct hf_survival *instants;   /* endings without ages, by the clock */
    struct hf_logs_sample {
        float age, silence; /* seconds; -1: unknown */
        double at;          /* seconds since 1970; 0: unknown */
        uint16_t cause;     /* index in causes; UINT16_MAX: others */
    } * samples;            /* all, or an even draw */
    size_t sample_count, sample_cap;
    struct hf_random random;
    uint64_t instants_seen;
    struct hf_logs_notice notices[HF_LOGS_NOTICES_MAX];
    size_t notice_count;
    uint64_t notices_lost;
    struct {
        int64_t second;
        uint64_t count;
    } recent[8]; /* endings by second */
};

/* key and seed: of tables and of draws. */
HF_MUST_USE enum hf_status hf_logs_tally_init(struct hf_logs_tally *t,
                                              const struct hf_allocator *alloc, enum hf_logs_by by,
                                              const uint8_t key[16], uint64_t seed);
void hf_logs_tally_fini(struct hf_logs_tally *t);
HF_MUST_USE enum hf_status hf_logs_tally_ending(struct hf_logs_tally *t,
                                                const struct hf_logs_ending *ending);
/* HTTP, RESTART, DEATH, LIMITER, FAULT; others do nothing. */
void hf_logs_tally_event(struct hf_logs_tally *t, const struct hf_logs_event *e);

/* Refused handshakes: the certain ones, and other answers on paths that were also upgraded. The
 * names are "403 /path". */
size_t hf_logs_tally_refused(const struct hf_logs_tally *t, const struct hf_logs_count **top,
                             size_t max, uint64_t *total);

/* A place where endings gather, and what it points to. */
struct hf_logs_finding {
    struct hf_peak peak;
    bool is_silence; /* the peak is over silence at the end and not over age */
    /* What is said of it: idle_timer, lifetime, restart, message_limit; inconclusive for an age
     * peak whose log does not separate idle timer and lifetime. */
    enum hf_verdict_class class;
    struct {
        char cause[40];
        double share;         /* of the endings in it */
    } told[HF_LOGS_TOLD_MAX]; /* causes that the log itself tells */
    size_t told_count;
    double told_share;                              /* of all that it tells */
    struct hf_named_cause named[HF_LOGS_NAMED_MAX]; /* candidates by the value alone */
    size_t named_count;
    double busy; /* share of its endings that had bytes within the last half of their age; -1 */
};
/* An age that no timer has: it ended right behind its open. */
#define HF_LOGS_SOON_S 0.5
bool hf_logs_is_soon(const struct hf_logs_finding *f);
/* Strongest first. */
size_t hf_logs_tally_findings(struct hf_logs_tally *t, struct hf_logs_finding *findings,
                              size_t max);
/* Anything that ended connections early: findings, adverse endings, restarts, limits, faults,
 * refused handshakes. */
bool hf_logs_tally_is_early(const struct hf_logs_tally *t, size_t findings);

/* The curve as lines of text, for a terminal: `columns` wide, `rows` high, in braille, or in ASCII.
 * Marks under the axis stand at the peaks of age. Nothing when there are no ages. */
void hf_logs_curve_draw(struct hf_logs_tally *t, const struct hf_logs_finding *findings,
                        size_t count, unsigned columns, unsigned rows, bool ascii,
                        struct hf_buffer *out);
/* "1.25 s", "60.0 s", "24 m", "5.0 h": an age for people; at most 24 bytes. */
void hf_logs_age_text(double seconds, char text[24]);

#endif
