/* SPDX-License-Identifier: Apache-2.0 */
/* A diagnosis that runs: the plan's arms over probes, each connection's trial kept, the verdict
 * asked again after each change, until it is firm or the budget is spent. Every call on the loop's
 * thread. */
#ifndef HF_DIAGNOSE_RUN_H
#define HF_DIAGNOSE_RUN_H

#include "cause/hosting.h"
#include "cause/infer.h"
#include "diagnose/plan.h"
#include "probe/probe.h"

#define HF_DIAGNOSIS_TRIALS 4096 /* ended ones that are kept; the arms rest when it is full */
#define HF_DIAGNOSIS_OPEN 28     /* connections at once */
#define HF_DIAGNOSIS_HOSTING 8

struct hf_diagnosis;

enum hf_diagnosis_event_kind {
    HF_DIAGNOSIS_ARM,     /* an arm was added: `arm` */
    HF_DIAGNOSIS_OPEN_UP, /* a connection opened: `arm`, `trial` */
    HF_DIAGNOSIS_ENDED,   /* a connection ended: `arm`, `trial` */
    HF_DIAGNOSIS_INFERRED,
    HF_DIAGNOSIS_NOTE, /* `text` */
    HF_DIAGNOSIS_DONE, /* the verdict stands; nothing follows */
};

struct hf_diagnosis_event {
    enum hf_diagnosis_event_kind kind;
    const struct hf_arm *arm;     /* NULL: none */
    const struct hf_trial *trial; /* dies with the call */
    const char *text;             /* a whole sentence */
};
typedef void hf_diagnosis_handler(void *owner, struct hf_diagnosis *d,
                                  const struct hf_diagnosis_event *event);

struct hf_diagnosis_how {
    const struct hf_target *target;  /* outlives the diagnosis */
    const struct hf_target *compare; /* NULL: none */
    struct hf_slice text;            /* of --send; empty: none; outlives the diagnosis */
    struct hf_plan_how plan;
    hf_time begun; /* the loop's time when the command began: the budget counts from it */
    double scale;  /* of the timers, for naming products; 0: real time */
    uint64_t seed;
};

/* NULL: no memory. */
struct hf_diagnosis *hf_diagnosis_new(struct hf_loop *loop, const struct hf_diagnosis_how *how,
                                      hf_diagnosis_handler *handler, void *owner);
/* Not inside its handler. NULL is accepted. */
void hf_diagnosis_free(struct hf_diagnosis *d);
/* Ends it now with what is known: DONE follows on a later turn, within half a second. */
void hf_diagnosis_stop(struct hf_diagnosis *d);

/* All trials, the ones that live behind the ended ones; valid until the loop turns. */
const struct hf_trial *hf_diagnosis_trials(struct hf_diagnosis *d, size_t *count);
/* Of a trial of hf_diagnosis_trials: its arm, or NULL (an attempt at the handshake). */
const struct hf_arm *hf_diagnosis_arm_of(const struct hf_diagnosis *d, const struct hf_trial *t);
const struct hf_verdict *hf_diagnosis_verdict(const struct hf_diagnosis *d);
const struct hf_plan *hf_diagnosis_plan(const struct hf_diagnosis *d);
/* The watch's clock. */
hf_time hf_diagnosis_now(const struct hf_diagnosis *d);
/* It opened at least once. */
bool hf_diagnosis_was_open(const struct hf_diagnosis *d);
bool hf_diagnosis_is_done(const struct hf_diagnosis *d);
size_t hf_diagnosis_hosting(const struct hf_diagnosis *d, const struct hf_hosting **hosting);
/* Sentences about what was noticed beside the verdict; index below the count. */
size_t hf_diagnosis_note_count(const struct hf_diagnosis *d);
const char *hf_diagnosis_note(const struct hf_diagnosis *d, size_t index);

#endif
