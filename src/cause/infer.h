/* SPDX-License-Identifier: Apache-2.0 */
/* From trials to a verdict. Each class is a model that says when each trial should have ended; the
 * models, with the parameters that fit each best, are compared by how likely they make all trials
 * at once, the ones that lived as much as the ones that died. What two models explain alike stays
 * undecided: the verdict is then `inconclusive`, and names the experiment that would separate them.
 * Pure: no clock, no heap but the allocator. */
#ifndef HF_CAUSE_INFER_H
#define HF_CAUSE_INFER_H

#include "base/alloc.h"
#include "base/buffer.h"
#include "cause/catalog.h"
#include "cause/trial.h"
#include "cause/verdict.h"

#define HF_INFER_CAUSES 8
#define HF_INFER_LINES 24

/* The watcher itself stood still: it was starved, or the machine slept. What seems late then is no
 * evidence. On the watch's clock. */
struct hf_infer_pause {
    hf_time from, to;
};

/* What is known beside the trials. */
struct hf_infer_context {
    const char *const *hosting; /* ids of the products that were recognised (cause/hosting.h) */
    size_t hosting_count;
    bool text_is_default; /* the text of the messages was our guess, not the user's */
    bool load_allowed;
    bool is_secure; /* wss */
    double rtt_s;   /* a typical round trip of the open connection; 0: unknown */
    hf_time now;    /* on the watch's clock: lives so far */
    double scale;   /* 0 or 1: real time; 0.1: timers run at a tenth (chaos --scale), for
                     * naming products by their defaults alone */
    bool cut_short; /* the watch was interrupted: that nothing ended yet proves nothing */
    const struct hf_infer_pause *own_pauses; /* in order of time */
    size_t own_pause_count;
    const char *refused_with;  /* what the handshake was answered with: "HTTP 403"; NULL: unknown */
    const char *refused_means; /* whole sentences: what that means, what to do; NULL: unknown */
};

struct hf_candidate { /* one class with its best parameters */
    enum hf_verdict_class class;
    double value;           /* in the class's unit; 0: none */
    double posterior;       /* 0 to 1, over all classes */
    uint16_t resets;        /* idle_timer: the smallest set that explains all, HF_RESETS_ */
    double low, high;       /* between these the value lies */
    bool counts_down;       /* message_limit: it is the server's messages that are counted */
    double window;          /* message_limit: seconds of the window; 0: over the whole life */
    double server_messages; /* message_limit: how many of the server's at the end */
};

struct hf_named_cause {
    const struct hf_catalog_row *row;
    double likelihood; /* 0 to 1: that this product is it, given the class */
};

/* A line of evidence. Texts lie in the verdict's buffer as offsets, see hf_verdict_line_text. */
struct hf_verdict_line {
    enum { HF_LINE_FOR, HF_LINE_AGAINST, HF_LINE_RULED_OUT, HF_LINE_NEXT } kind;
    enum hf_verdict_class about;
    size_t text; /* offset in `texts`, ends with NUL there */
};

struct hf_verdict {
    struct hf_candidate best; /* class is what is said: inconclusive when it is */
    double confidence;        /* that it is right, 0 to 1 */
    bool firm;                /* more trials of the same kind would change nothing: stop early */
    struct hf_candidate candidates[HF_CLASSES]; /* every class but inconclusive, likeliest first */
    size_t candidate_count;
    struct hf_named_cause causes[HF_INFER_CAUSES]; /* likeliest first; never a hypothesis first */
    size_t cause_count;
    struct hf_verdict_line lines[HF_INFER_LINES];
    size_t line_count;
    double safe_ping_s;    /* an interval that keeps it alive, with margin; 0: none does */
    uint16_t safe_ping_by; /* HF_RESETS_ of what must be sent for that */
    size_t fix;            /* offset in texts: what to do, with the configuration line */
    size_t sentence;       /* offset in texts: the verdict in one sentence for people */
    struct hf_buffer texts;
};

/* Zeroed memory on the allocator. */
void hf_verdict_init(struct hf_verdict *v, const struct hf_allocator *alloc);
void hf_verdict_fini(struct hf_verdict *v);
/* May be called as often as trials change; v is overwritten. Trials may be alive. */
HF_MUST_USE enum hf_status hf_infer(struct hf_verdict *v, const struct hf_trial *trials,
                                    size_t count, const struct hf_infer_context *context);
/* "" for offset 0. */
const char *hf_verdict_text(const struct hf_verdict *v, size_t offset);
/* When this trial would end at the latest (age) if the candidate were true, given what has happened
 * on it so far; HF_NEVER when the candidate does not end it. For planning: how long to wait. */
hf_time hf_candidate_predicts(const struct hf_candidate *c, const struct hf_trial *t);

/* One ending alone, without experiments (probe, watch, a line of a log): ranked causes of the
 * catalogue. Returns how many, at most max. context may be NULL. */
size_t hf_infer_one(const struct hf_trial *t, const struct hf_infer_context *context,
                    struct hf_named_cause *causes, size_t max);

/* The verdict as the inside of the one JSON record of docs/diagnosis.md, from "class" on, without
 * braces; for a line that begins with v, type and time. */
void hf_verdict_json_members(const struct hf_verdict *v, struct hf_buffer *out);
/* The whole record, without newline and without `time`, which nobody here knows. */
void hf_verdict_json(const struct hf_verdict *v, struct hf_buffer *out);

#endif
