/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a running diagnosis share: run.c the arms, run_handshake.c the attempts when it
 * does not open, run_ramp.c the sizes, notes.c what was noticed. */
#ifndef HF_DIAGNOSE_RUN_INSIDE_H
#define HF_DIAGNOSE_RUN_INSIDE_H

#include "diagnose/ramp.h"
#include "diagnose/run.h"

#define HF_DIAGNOSIS_NOTES 24
#define HF_DIAGNOSIS_PAUSES 64

struct hf_slot {
    struct hf_diagnosis *d;
    struct hf_arm *arm;
    struct hf_probe *probe; /* NULL: rests */
    struct hf_timer timer;
    struct hf_slot_past past;
    unsigned serial;
    hf_time asked; /* an age: the question at the end of the watch; 0: none */
};

enum hf_diagnosis_stage {
    HF_STAGE_FIRST,     /* one connection, to see whether it opens at all */
    HF_STAGE_HANDSHAKE, /* it did not: variants, one after another */
    HF_STAGE_ARMS,
    HF_STAGE_CLOSING, /* the verdict stands */
    HF_STAGE_DONE,
};

struct hf_kept {
    struct hf_trial trial; /* moments are ours */
    const struct hf_arm *arm;
    bool aside; /* not evidence for the verdict: crowded out, or an attempt at something else */
};

struct hf_attempts; /* run_handshake.c */
struct hf_sizes;    /* run_ramp.c */

struct hf_diagnosis {
    struct hf_loop *loop;
    struct hf_diagnosis_how how;
    hf_diagnosis_handler *handler;
    void *owner;
    enum hf_diagnosis_stage stage;
    struct hf_plan plan;
    struct hf_slot slots[HF_PLAN_ARMS * HF_PLAN_SLOTS];
    size_t slot_count, live;
    size_t open_max;
    unsigned crowded, controls;
    /* These borrow the strings of how's, and have no more patience than the budget allows. */
    struct hf_target targets[2], control;
    struct hf_kept *kept;
    size_t kept_count, kept_room;
    struct hf_trial *view; /* for the inference and for callers */
    const struct hf_arm **view_arms;
    size_t view_count, view_room;
    struct hf_verdict verdict;
    struct hf_timer tick, deadline, beat, check; /* beat: notices that we stood still */
    hf_time beat_due;
    bool others_answered; /* a ping, since all that were silent were asked */
    struct hf_infer_pause pauses[HF_DIAGNOSIS_PAUSES]; /* the newest that fit */
    size_t pause_count;
    bool cut_short; /* somebody interrupted it */
    hf_time firm_since; /* HF_NEVER: it is not */
    enum hf_verdict_class firm_class;
    bool was_open, is_dirty, text_refused;
    bool was_ponged;    /* some ping was answered, sometime */
    bool is_concluding; /* the last inference: who owes an answer now is not waited for */
    bool is_settled;    /* the verdict was firm long enough, and stands */
    const struct hf_hosting *hosting[HF_DIAGNOSIS_HOSTING];
    size_t hosting_count;
    char *notes[HF_DIAGNOSIS_NOTES];
    size_t note_count;
    char refused_with[160];         /* "": the handshake was not refused */
    struct hf_buffer refused_means; /* whole sentences, behind them a NUL */
    struct hf_attempts *attempts;
    struct hf_sizes *sizes;
};

void hf_diagnosis_tell(struct hf_diagnosis *d, enum hf_diagnosis_event_kind kind,
                       const struct hf_arm *arm, const struct hf_trial *trial, const char *text);
/* Once each; a sentence that stands already is not added again. */
void hf_diagnosis_add_note(struct hf_diagnosis *d, const char *format, ...) HF_PRINTF(2, 3);
void hf_diagnosis_drop_notes(struct hf_diagnosis *d);
/* Copies the trial. */
void hf_diagnosis_keep(struct hf_diagnosis *d, const struct hf_trial *trial,
                       const struct hf_arm *arm, bool aside);
/* The trial opened: what stands in front of it is learned. */
void hf_diagnosis_learn(struct hf_diagnosis *d, const struct hf_probe *p);
/* What a probe of this diagnosis has in common with the others. */
struct hf_probe_how hf_diagnosis_probe_how(struct hf_diagnosis *d, const struct hf_target *target);
/* Begins the arms; the first connection opened. */
void hf_diagnosis_begin_arms(struct hf_diagnosis *d);
/* The verdict of what is known; then the end. */
void hf_diagnosis_conclude(struct hf_diagnosis *d);

/* The attempts at a handshake that is refused. They call begin_arms or conclude at their end. */
void hf_attempts_begin(struct hf_diagnosis *d);
void hf_attempts_free(struct hf_diagnosis *d);
/* The sizes, when they are allowed and wanted. */
void hf_sizes_begin(struct hf_diagnosis *d);
void hf_sizes_free(struct hf_diagnosis *d);
/* The largest size of a single frame is not known yet. */
bool hf_sizes_is_searching(const struct hf_diagnosis *d);

/* Looks at all trials and notes what is odd. */
void hf_diagnosis_notice(struct hf_diagnosis *d);

#endif
