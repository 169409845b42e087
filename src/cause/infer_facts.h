/* SPDX-License-Identifier: Apache-2.0 */
/* What the models of infer look at: the trials in seconds, with what can be said of each alone, and
 * the gaps that a timer would have seen. */
#ifndef HF_CAUSE_INFER_FACTS_H
#define HF_CAUSE_INFER_FACTS_H

#include "cause/infer.h"

/* A death that no model explains: so many of a hundred connections die by themselves at some age.
 */
#define NOISE_DEATH 0.06
/* A connection that a model kills, and that lives: nearly never. */
#define NOISE_LIFE 0.0005

#define LATE_MAX 6

/* One trial. All times in seconds; ages from the open. */
struct fact {
    const struct hf_trial *t;
    double age, unsure;   /* of the end, or of the last look */
    double opened, ended; /* on the watch's clock */
    bool dead;
    bool silent;   /* ended by silence: when is unsure, and who is open */
    bool refused;  /* reset as soon as something was sent: it may have been dead for long */
    bool withheld; /* it keeps pongs back, and was asked for one */
    bool stopper;  /* it stops reading */
    bool big;      /* it sends large messages, which was allowed */
    double life;   /* age of the server's last sign of life */
    double asked;  /* age of the first question behind it; -1: none */
    double sent;   /* age of the first thing at all that was sent behind it; -1: none */
    struct {
        double wait, at; /* how long an answer took, and the age at which it came */
    } late[LATE_MAX];    /* those that took unusually long */
    size_t late_count;
    bool stalled; /* it died while questions had been open for long */
    bool asks;    /* it asks often enough that a stall would be seen */
};

/* Of one trial under one timer: the longest gap that it survived, and the gap at its end. */
struct reach {
    double most;
    double last;   /* below 0: the timer says nothing of this trial */
    double unsure; /* how much shorter that last gap may truly have been */
};

struct evidence {
    const struct hf_allocator *alloc;
    const struct hf_infer_context *context;
    const struct hf_trial *trials;
    size_t trial_count;
    struct fact *facts; /* those that opened, path 0 */
    size_t count;
    struct reach *reach; /* scratch for one model */
    double *floor;       /* per fact: density of a death that the model does not explain */
    double *scratch;     /* 2 * count + 8 */
    double *times;       /* scratch for ages of one kind of moment, over all facts */
    size_t *first;       /* count + 1: where those of a fact begin in times */
    size_t dead, died_silent, stalls;
    size_t never_opened, answered_no; /* failed handshakes; of them by a status or a fault */
    double noise;                     /* density of an unexplained death, per second */
    double age;                       /* median of ages, at least half a second */
    double longest;                   /* of all ages */
    double span;                      /* of the watch's clock */
    double rtt;                       /* a typical one */
    double ping_gap;                  /* between the server's pings; 0: none seen */
    size_t pings_got;
    uint64_t sent_segments, retransmits;
    size_t lossy; /* trials with two or more retransmissions */
};

static inline double seconds_of(hf_time t)
{
    return (double)t / 1e6;
}

/* False: no memory. Free with evidence_drop in either case. */
bool evidence_take(struct evidence *e, const struct hf_trial *trials, size_t count,
                   const struct hf_infer_context *context, const struct hf_allocator *alloc);
void evidence_drop(struct evidence *e);

/* HF_RESETS_ bit of a kind of moment. */
uint16_t resets_of(uint8_t kind);
/* The gaps between moments of these kinds (HF_RESETS_ bits; 0: a lifetime; HF_RESETS_BOTH: the
 * longer of both directions; HF_RESETS_PACKET: a TCP keepalive counts too; HF_RESETS_READING: only
 * those that stop reading). */
struct reach reach_of(const struct fact *f, uint16_t resets);

/* How a server's watchdog takes answers. */
struct watchdog {
    bool arrives;      /* pongs arrive at all */
    bool empty_counts; /* a pong without the ping's payload is one */
    uint16_t helps; /* HF_RESETS_SENT, HF_RESETS_PING_C (any unsolicited frame): counts as a pong */
};
/* The waiting time of the server's first unanswered ping. base: age from which it waits for the
 * next answer (the open, or the last answer that counted); may be NULL. */
struct reach reach_of_watchdog(const struct fact *f, const struct watchdog *w, double *base);

/* Sorts numbers, upwards. */
void sort_numbers(double *numbers, size_t count);
/* Of a sorted list; part 0 to 1. 0 when it is empty. */
double part_of(const double *sorted, size_t count, double part);

#endif
