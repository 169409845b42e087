/* SPDX-License-Identifier: Apache-2.0 */
/* Naming causes: which rows of the catalogue explain a class with its value, or one ending, how
 * well against each other. Every factor is a likelihood or a prior of Bayes' rule. A row of a host
 * that was not recognised weighs little, a row without a source is never the first. Pure. */
#ifndef HF_CAUSE_RANK_H
#define HF_CAUSE_RANK_H

#include "cause/infer.h"

/* What the endings of a class looked like. Zeroed: nothing is known. */
struct hf_rank_facts {
    uint32_t hows;       /* set of 1 << enum hf_trial_how that were seen; 0: unknown */
    uint16_t code;       /* of the Close frame that came; 0: none came, or unknown */
    const char *reason;  /* of that Close, or a line of a log; NULL or "": none */
    uint16_t http;       /* status of a refused handshake; 0: none */
    uint16_t resets_not; /* HF_RESETS_ of what was sent, and did not keep it alive */
    bool counts_down;    /* message_limit: it is the server's messages that are counted */
    double unsure;       /* seconds that the value may be too large by */
};
/* Of one trial that ended. The reason is borrowed from it. */
void hf_rank_facts_of(const struct hf_trial *t, struct hf_rank_facts *facts);

/* Rows that a verdict of this class may name, likeliest first; their likelihoods add up to at most
 * 1, the rest is for what the catalogue does not know. value: in the class's unit, 0: unknown.
 * resets: of an idle timer, HF_RESETS_ of what kept it alive; 0: nothing was tried, or nothing did
 * (see facts->resets_not). facts and context may be NULL. Returns how many, at most max. */
size_t hf_rank_causes(enum hf_verdict_class class, double value, uint16_t resets,
                      const struct hf_rank_facts *facts, const struct hf_infer_context *context,
                      struct hf_named_cause *out, size_t max);

/* The factors, for hf_infer_one. */
/* Prior: how well it is known, how common it is, and whether its host was recognised. */
double hf_rank_prior(const struct hf_catalog_row *row, const struct hf_infer_context *context);
/* Density, per unit of ln(value), of this value under the row's default or another setting. */
double hf_rank_near(const struct hf_catalog_row *row, double value, double unsure,
                    const struct hf_infer_context *context);
/* How, code, reason and status. */
double hf_rank_ending(const struct hf_catalog_row *row, const struct hf_rank_facts *facts);
/* What the catalogue does not know: an ordinary cause without facts that fit it well. */
double hf_rank_unknown(const struct hf_rank_facts *facts);
/* Puts one in its place in out[0..*count), which is kept sorted and at most max long. */
void hf_rank_insert(struct hf_named_cause *out, size_t *count, size_t max,
                    struct hf_named_cause cause);
/* Divides by total, takes hypotheses from the front and drops what is below one in two hundred. */
size_t hf_rank_finish(struct hf_named_cause *out, size_t count, double total);

#endif
