/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks and counters of toxics, as pure machines: time is an argument, nothing acts here. */
#ifndef HF_CHAOS_ACTIVITY_H
#define HF_CHAOS_ACTIVITY_H

#include "base/alloc.h"
#include "base/status.h"
#include "chaos/toxic.h"
#include "policy/rate_limit.h"

/* base, more or less by at most jitter: draw, from -1 to 1, says where. Never below 0. */
hf_time hf_chaos_jitter(hf_time base, hf_time jitter, double draw);

/* ---- idle timers ------------------------------------------------------------------------------
 */

struct hf_idle {
    hf_time heard[HF_WAYS]; /* when something that counts last went by */
};
void hf_idle_start(struct hf_idle *idle, hf_time now);
/* kinds: bits of enum hf_counts that this is an instance of; counts: those that the timer takes. */
void hf_idle_note(struct hf_idle *idle, int64_t counts, enum hf_way way, int64_t kinds,
                  hf_time now);
/* HF_NEVER for a timeout of 0. */
hf_time hf_idle_deadline(const struct hf_idle *idle, int64_t direction, hf_time timeout);

/* ---- message counters -------------------------------------------------------------------------
 */

struct hf_quota_rules {
    uint32_t messages; /* 0: no limit */
    hf_time window;    /* 0: over the whole life */
    enum hf_window kind;
};
/* Zeroed to start. */
struct hf_quota {
    uint64_t total; /* that were asked for, whatever the answer */
    uint64_t count; /* in the fixed window */
    hf_time begun;  /* the fixed window */
    bool started;
    struct hf_rate bucket;
    const struct hf_allocator *alloc; /* of `times` */
    hf_time *times;                   /* sliding: of the last `messages`, a ring */
    size_t times_size;
};
void hf_quota_init(struct hf_quota *q, const struct hf_allocator *alloc);
void hf_quota_fini(struct hf_quota *q);
/* 0: this one passes. Else it is beyond, and was not counted into the window; the answer is how
 * long until one passes, HF_NEVER for a quota of the whole life. Without memory for a sliding
 * window everything passes. */
hf_time hf_quota_take(struct hf_quota *q, const struct hf_quota_rules *rules, hf_time now);

/* ---- a server's watchdog ----------------------------------------------------------------------
 */

struct hf_watch_rules {
    hf_time interval, timeout;
    enum hf_watch_answer answer;
    enum hf_watch_suppress suppress;
};
enum hf_watch_verdict { HF_WATCH_WAIT, HF_WATCH_SEND, HF_WATCH_LOST };
/* What came from the client. */
enum hf_watch_heard {
    HF_HEARD_BYTES,
    HF_HEARD_MESSAGE,
    HF_HEARD_PONG,          /* one that matches no ping of ours */
    HF_HEARD_MATCHING_PONG, /* one with the payload of a ping of ours that waits for an answer */
};
struct hf_watch {
    hf_time next_ping;
    hf_time lost_at; /* of the oldest ping that waits for an answer; HF_NEVER: none waits */
};
/* The first ping is due at first. */
void hf_watch_start(struct hf_watch *w, hf_time first);
void hf_watch_hear(struct hf_watch *w, const struct hf_watch_rules *rules, enum hf_watch_heard what,
                   hf_time now);
/* SEND: one ping now, which waits for its answer from now on. LOST: the answer did not come. Call
 * until it says WAIT. */
enum hf_watch_verdict hf_watch_tick(struct hf_watch *w, const struct hf_watch_rules *rules,
                                    hf_time now);
hf_time hf_watch_deadline(const struct hf_watch *w);

/* ---- things that happen by the box's clock ----------------------------------------------------
 */

struct hf_beat {
    hf_time epoch;  /* when the box began */
    hf_time offset; /* of the first instant; 0: a period */
    hf_time period;
    hf_time jitter; /* each instant is at most so much later */
    uint64_t seed;  /* of the jitter: equal seeds give equal instants */
};
/* The first instant that is later than now. */
hf_time hf_beat_next(const struct hf_beat *b, hf_time now);
/* The last instant that is not later than now; HF_NEVER when none was yet. */
hf_time hf_beat_last(const struct hf_beat *b, hf_time now);

#endif
