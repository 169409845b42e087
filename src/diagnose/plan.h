/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a diagnosis: which connections are held, how, and what is tried next after what was
 * seen. An arm is one way to treat connections; it has a few slots, each of which holds one
 * connection at a time and begins another one when that has ended. Pure: time and trials come in,
 * arms come out; run.c does what they say. */
#ifndef HF_DIAGNOSE_PLAN_H
#define HF_DIAGNOSE_PLAN_H

#include "cause/infer.h"
#include "cause/trial.h"

/* docs/diagnosis.md, Experiments. */
enum hf_experiment {
    HF_EXPERIMENT_SILENCE,
    HF_EXPERIMENT_PING,
    HF_EXPERIMENT_BEAT,
    HF_EXPERIMENT_MESSAGE,
    HF_EXPERIMENT_BUSY,
    HF_EXPERIMENT_STAGGER,
    HF_EXPERIMENT_PONG,
    HF_EXPERIMENT_STALL,
    HF_EXPERIMENT_QUIET_SEND,
    HF_EXPERIMENT_RATE,
    HF_EXPERIMENT_SIZE,
    HF_EXPERIMENT_PATH,
    HF_EXPERIMENT_HANDSHAKE,
    HF_EXPERIMENTS,
};
/* silence ping beat message busy stagger pong stall quiet-send rate size path handshake */
const char *hf_experiment_text(enum hf_experiment experiment);
/* HF_EXPERIMENTS when it is none of them. */
enum hf_experiment hf_experiment_from(struct hf_slice text);

#define HF_PLAN_ARMS 64
#define HF_PLAN_SLOTS 4      /* at most, of one arm */
#define HF_PLAN_RATE_MAX 300 /* messages that a rate arm sends on one connection */

struct hf_arm {
    char name[40]; /* for people: "ping 2s" */
    enum hf_experiment experiment;
    struct hf_trial_plan plan;
    uint8_t path;
    uint8_t slots;
    bool retired;    /* no connection is begun on it any more */
    bool once;       /* a connection that lived to its hold is not begun again */
    bool adapted;    /* it was added after something was seen */
    bool check;      /* a ping at the end of its hold (quiet-send) */
    bool on_stall;   /* begun only when answers stay out elsewhere: does a new connection open? */
    hf_time start;   /* on the watch's clock: slot 0's first connection */
    hf_time stagger; /* each further slot begins so much later */
    hf_time hold;    /* from the open; HF_NEVER: as long as it goes */
    hf_time pong_delay;
    hf_time reading_until;
    hf_time answer_timeout; /* 0: as hf_plan_answer_timeout says */
};

struct hf_plan_how {
    hf_time budget; /* of the whole run */
    hf_time every;  /* of the user's text, 0: not said */
    uint32_t only;  /* set of 1 << enum hf_experiment; 0: all */
    bool has_text;  /* the user gave the text that the application understands */
    bool load;      /* ramps are allowed */
    bool compare;   /* there is a second path */
};

struct hf_plan {
    struct hf_plan_how how;
    struct hf_arm arms[HF_PLAN_ARMS]; /* never move: trials point at their names */
    size_t count;
    hf_time timer;         /* the suspected timer that arms were added for; 0: none yet */
    hf_time watchdog;      /* what the server's watchdog seems to need; 0: none yet */
    hf_time quiet_low;     /* a silent path lives so long ... */
    hf_time quiet_high;    /* ... and is dead after so long; 0: none seen */
    unsigned quiet_rounds; /* how often that was narrowed */
    bool narrowing;        /* silences are under way whose ends will tell it more closely */
    unsigned limit;        /* the suspected count of messages; 0: none yet */
    bool pings_seen;
    bool streams; /* the server sends by itself, or much */
};

/* The arms to begin with. */
void hf_plan_begin(struct hf_plan *plan, const struct hf_plan_how *how);
/* Adds arms for what the trials show, and retires what has become useless. verdict may be NULL.
 * Returns how many arms were added; they stand at the end of plan->arms. now: the watch's clock. */
size_t hf_plan_adapt(struct hf_plan *plan, hf_time now, const struct hf_trial *trials, size_t count,
                     const struct hf_verdict *verdict);

/* What one slot has been through. */
struct hf_slot_past {
    unsigned trials; /* that ended */
    unsigned deaths; /* of them, not by us */
    unsigned early;  /* in a row up to the last: never open, or dead within their first instants */
    hf_time age;     /* of the last */
};
/* How long the slot rests before its next connection; HF_NEVER: it has done its work. serial: the
 * slot's number among all slots, which spreads them, so that connections that died at one instant
 * do not begin at one again. Never below 250 ms, and growing while connections die young. */
hf_time hf_plan_rest(const struct hf_plan *plan, const struct hf_arm *arm,
                     const struct hf_slot_past *past, unsigned serial);
/* Within this a death counts as young. */
hf_time hf_plan_young(const struct hf_plan *plan);
/* How long an answer to a ping may take before the connection is held for lost. */
hf_time hf_plan_answer_timeout(const struct hf_plan *plan);

#endif
