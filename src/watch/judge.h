/* SPDX-License-Identifier: Apache-2.0 */
/* What the watch makes of an ended connection: whether it was to be expected, or is something to be
 * told. Pure. */
#ifndef HF_WATCH_JUDGE_H
#define HF_WATCH_JUDGE_H

#include "cause/trial.h"
#include "watch/settings.h"

enum hf_judgement {
    HF_JUDGED_OURS,      /* we ended it, or it lives */
    HF_JUDGED_EXPECTED,  /* with a close code that was allowed */
    HF_JUDGED_RESTART,   /* the server said that it goes down or restarts */
    HF_JUDGED_OLD,       /* it was held at least min_hold */
    HF_JUDGED_PREMATURE, /* a drop before its time */
    HF_JUDGED_FAILED,    /* it never opened */
    HF_JUDGEMENTS,
};
/* ours expected restart old premature failed */
const char *hf_judgement_text(enum hf_judgement judgement);
/* HF_JUDGEMENTS when it is none of them. */
enum hf_judgement hf_judgement_from(struct hf_slice text);

enum hf_judgement hf_judge(const struct hf_watch_target_settings *s, const struct hf_trial *t);

#endif
