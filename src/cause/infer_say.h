/* SPDX-License-Identifier: Apache-2.0 */
/* What infer.c and infer_say.c share: the models weighed, and the verdict put into words. */
#ifndef HF_CAUSE_INFER_SAY_H
#define HF_CAUSE_INFER_SAY_H

#include "cause/infer_models.h"

struct weighed {
    const struct evidence *e;
    const struct fits *fits;
    const struct fit *best[HF_CLASSES]; /* of each class; NULL: no model of it fits at all */
    double weight[HF_CLASSES];          /* log, with priors and what the endings looked like */
    double posterior[HF_CLASSES];
    enum hf_verdict_class first, second;
    double margin;         /* log of first against second */
    bool watchdog_default; /* only a server's ordinary watchdog was seen, by keeping pongs back */
};

/* Of the idle timers that explain the trials alike, the one to name. NULL: none. */
const struct fit *idle_fit_named(const struct weighed *w);
/* Lines, sentence, advice, and the interval that is safe. v's best, candidates and confidence are
 * filled in; texts is empty. */
void say_verdict(struct hf_verdict *v, const struct weighed *w);
/* The rows of the catalogue that fit: v's causes. v->best is filled in. */
void name_causes(struct hf_verdict *v, const struct weighed *w);
/* The experiment that would tell these two classes apart, by its name in docs/diagnosis.md. */
const char *deciding_experiment(enum hf_verdict_class a, enum hf_verdict_class b);

#endif
