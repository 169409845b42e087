/* SPDX-License-Identifier: Apache-2.0 */
/* The factors by which rows of the catalogue are weighed against each other. */
#include "cause/rank.h"

#include "cause/hosting.h"

#include <math.h>

/* A timer that is not at its default may have any length: per unit of ln(seconds), spread evenly
 * over three decades and a half, and less below a few seconds, where nobody sets one. */
#define BROAD_DENSITY 0.12
#define BROAD_FROM_S 3.0
#define SQRT_2_PI 2.50662827463100050

void hf_rank_facts_of(const struct hf_trial *t, struct hf_rank_facts *facts)
{
    const struct hf_trial_end *e = &t->end;
    *facts = (struct hf_rank_facts){
        .hows = 1u << e->how,
        .code = e->how == HF_HOW_CLOSE ? e->code : 0,
        .reason = e->reason,
        .http = e->http,
        .unsure = (double)e->unsure / 1e6,
    };
}

/* Does one of the prefixes, with spaces between, begin this id? */
static bool has_prefix(const char *prefixes, const char *id)
{
    struct hf_slice rest = hf_slice_of(prefixes), prefix;
    while (hf_slice_next(&rest, ' ', &prefix)) {
        if (prefix.len > 0 && hf_slice_starts(hf_slice_of(id), prefix)) {
            return true;
        }
    }
    return false;
}

static bool is_recognised(const struct hf_catalog_row *row, const struct hf_infer_context *context)
{
    for (size_t i = 0; context != NULL && i < context->hosting_count; i++) {
        const struct hf_hosting *h = hf_hosting_find(hf_slice_of(context->hosting[i]));
        if (h != NULL && has_prefix(h->causes, row->id)) {
            return true;
        }
    }
    return false;
}

static double place_of(const struct hf_catalog_row *row, const struct hf_infer_context *context)
{
    if (is_recognised(row, context)) {
        return 6;
    }
    switch (row->layer) {
    case HF_LAYER_CDN: /* it is recognised by its addresses, nearly always */
        return context == NULL ? 0.08 : 0.004;
    case HF_LAYER_BALANCER: /* it may hide behind a name or a CDN */
        return context == NULL ? 0.2 : 0.08;
    case HF_LAYER_CLIENT: /* the watcher is no browser and no phone */
        return 0.1;
    case HF_LAYER_PROXY:
    case HF_LAYER_SERVER:
    case HF_LAYER_NETWORK:
    case HF_LAYER_OPERATION:
    case HF_LAYERS:
        break;
    }
    return 1;
}

double hf_rank_prior(const struct hf_catalog_row *row, const struct hf_infer_context *context)
{
    static const double standing[] = {
        [HF_STANDING_MEASURED] = 1, [HF_STANDING_SOURCED] = 0.5, [HF_STANDING_HYPOTHESIS] = 0.15};
    double weight = row->weight > 0 ? row->weight : 1;
    return standing[row->standing] * weight * place_of(row, context);
}

/* Normal density of ln(value) about [ln(min), ln(max)], flat between them. */
static double density_about(double value, double min, double max, double sigma)
{
    double width = log(max / min) + sigma * SQRT_2_PI;
    double off = value < min ? log(min / value) : value > max ? log(value / max) : 0;
    double z = off / sigma;
    return exp(-z * z / 2) / width;
}

/* People set timers to round numbers. */
static double density_of_setting(double seconds, double sigma)
{
    static const double rounds[] = {5,   10,  15,  20,  24,   25,   30,  40,  45,
                                    50,  60,  75,  90,  100,  120,  150, 180, 240,
                                    300, 350, 600, 900, 1800, 3600, 7200};
    const size_t count = sizeof(rounds) / sizeof(rounds[0]);
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += density_about(seconds, rounds[i], rounds[i], sigma) / (double)count;
    }
    double broad = seconds < BROAD_FROM_S ? BROAD_DENSITY / 20 : BROAD_DENSITY;
    return 0.5 * broad + 0.5 * sum;
}

double hf_rank_near(const struct hf_catalog_row *row, double value, double unsure,
                    const struct hf_infer_context *context)
{
    bool is_time = row->class != HF_CLASS_MESSAGE_LIMIT && row->class != HF_CLASS_SIZE_LIMIT;
    if (value <= 0) {
        return BROAD_DENSITY / 20;
    }
    double slack = 1; /* absolute */
    if (is_time) {
        double scale = context != NULL && context->scale > 0 ? context->scale : 1;
        value /= scale;
        unsure /= scale;
        slack = 0.25 / scale;
    }
    /* Known only to lie within (value - unsure, value]: aim at the middle, and blur by the half. */
    unsure = fmin(unsure, value * 0.9);
    value -= unsure / 2;
    slack = (slack + unsure / 2) / value;
    /* A timer is looked at late, hardly ever early. */
    double late = value > row->value_max ? 0.008 : 0.004;
    double sigma = sqrt(late * late + slack * slack);
    double other = is_time ? density_of_setting(value, sigma) : BROAD_DENSITY;
    if (row->value_max <= 0) {
        return other;
    }
    double share = row->fixed ? 0.95 : 0.6;
    return share * density_about(value, row->value_min, row->value_max, sigma) +
           (1 - share) * other;
}

/* One manner of ending, given what the row can end in. */
static double how_of(const struct hf_catalog_row *row, enum hf_trial_how how)
{
    if (row->how == 0) {
        return 0.12;
    }
    uint32_t set = row->how;
    if (set & 1u << how) {
        return 0.9 / (double)__builtin_popcount(set);
    }
    /* The nearest hop rewrites: a reset behind it is a FIN in front, and within TLS a bare FIN is a
     * truncated stream. */
    bool is_end = (set & (1u << HF_HOW_FIN | 1u << HF_HOW_RST | 1u << HF_HOW_CLOSE)) != 0;
    if ((how == HF_HOW_TLS || how == HF_HOW_FIN) && is_end) {
        return how == HF_HOW_TLS && (set & 1u << HF_HOW_FIN) ? 0.3 : 0.06;
    }
    if (how == HF_HOW_TIMEOUT && (set & 1u << HF_HOW_SILENCE)) {
        return 0.4;
    }
    /* What ends TCP is not silent, unless its end is lost on the way too. */
    return how == HF_HOW_SILENCE || how == HF_HOW_TIMEOUT ? 0.001 : 0.006;
}

static double code_of(const struct hf_catalog_row *row, uint16_t code)
{
    if (row->code == code || (row->code_also != 0 && row->code_also == code)) {
        return 0.8;
    }
    if (row->code != 0) {
        return 0.002;
    }
    switch (code) { /* of a row that ends with any code, or where no source tells which */
    case 1000:
        return 0.3;
    case 1001:
    case 1005:
        return 0.1;
    case 1008:
        return 0.05;
    default: /* these say something else than that a time was over */
        return 0.01;
    }
}

static double reason_of(const struct hf_catalog_row *row, const struct hf_rank_facts *facts)
{
    const char *reason = facts->reason;
    if (reason == NULL || reason[0] == '\0') { /* a Close without the reason it should have */
        return facts->code != 0 && row->reason != NULL && row->code != 0 ? 0.3 : 1;
    }
    if (row->reason == NULL) {
        return 0.5;
    }
    return hf_slice_contains_nocase(hf_slice_of(reason), hf_slice_of(row->reason)) ? 20 : 0.2;
}

static double status_of(const struct hf_catalog_row *row, uint16_t http)
{
    if (row->http == http || (row->http_also != 0 && row->http_also == http)) {
        return 0.8;
    }
    return row->http != 0 ? 0.002 : 0.05;
}

double hf_rank_ending(const struct hf_catalog_row *row, const struct hf_rank_facts *facts)
{
    double p = 1;
    if (facts->hows != 0) {
        double sum = 0;
        for (unsigned how = 0; how < HF_HOW_KINDS; how++) {
            if (facts->hows & 1u << how) {
                sum += how_of(row, (enum hf_trial_how)how);
            }
        }
        p *= sum / (double)__builtin_popcount(facts->hows);
    }
    if (facts->code != 0) {
        p *= code_of(row, facts->code);
    }
    if (facts->http != 0) {
        p *= status_of(row, facts->http);
    }
    return p * reason_of(row, facts);
}

double hf_rank_unknown(const struct hf_rank_facts *facts)
{
    /* These have a hundred reasons of which the catalogue tells but few. */
    const uint32_t plain = 1u << HF_HOW_REFUSED | 1u << HF_HOW_UNREACHABLE | 1u << HF_HOW_NO_NAME |
                           1u << HF_HOW_SLOW | 1u << HF_HOW_ERRNO;
    double p = facts->hows & plain ? 0.5 : 0.5 * 0.12;
    if (facts->code != 0) { /* codes of applications are their own, 1000 is everybody's */
        p *= facts->code >= 3000 ? 0.5 : facts->code == 1000 ? 1 : 0.1;
    }
    if (facts->http != 0) { /* a status that says why, and one that says only that */
        static const uint16_t telling[] = {301, 403, 426, 429, 520, 522, 524};
        bool tells = false;
        for (size_t i = 0; i < sizeof(telling) / sizeof(telling[0]); i++) {
            tells = tells || facts->http == telling[i];
        }
        p = tells ? 0.1 * p : 8 * p;
    }
    return p;
}

void hf_rank_insert(struct hf_named_cause *out, size_t *count, size_t max,
                    struct hf_named_cause cause)
{
    size_t at = *count;
    while (at > 0 && out[at - 1].likelihood < cause.likelihood) {
        at--;
    }
    if (at >= max) {
        return;
    }
    if (*count < max) {
        (*count)++;
    }
    memmove(&out[at + 1], &out[at], (*count - 1 - at) * sizeof(out[0]));
    out[at] = cause;
}

size_t hf_rank_finish(struct hf_named_cause *out, size_t count, double total)
{
    size_t first = 0, kept = 0;
    while (first < count && out[first].row->standing == HF_STANDING_HYPOTHESIS) {
        first++;
    }
    if (first == count || total <= 0) {
        return 0;
    }
    struct hf_named_cause top = out[first];
    memmove(&out[1], &out[0], first * sizeof(out[0])); /* the hypotheses, one place down */
    out[0] = top;
    for (size_t i = 0; i < count; i++) {
        double likelihood = fmin(out[i].likelihood, top.likelihood) / total;
        if (likelihood >= 0.005) {
            out[kept] = out[i];
            out[kept++].likelihood = likelihood;
        }
    }
    return kept;
}

/* How well a row of its own class fits a verdict of another. */
static double kinship(const struct hf_catalog_row *row, enum hf_verdict_class class,
                      uint16_t resets)
{
    uint32_t silent = 1u << HF_HOW_SILENCE | 1u << HF_HOW_TIMEOUT;
    if (row->class == class) {
        return class == HF_CLASS_NONE ? 0 : 1; /* what ends nothing is no cause */
    }
    if (class == HF_CLASS_NETWORK && row->class == HF_CLASS_IDLE_TIMER && (row->how & silent)) {
        return 0.4; /* a path that forgets is a silent path too */
    }
    if (class == HF_CLASS_IDLE_TIMER && row->class == HF_CLASS_PONG_TIMEOUT && resets != 0 &&
        (resets & ~HF_RESETS_PONG_C) == 0) {
        return 0.5;
    }
    return 0;
}

/* What was seen to set the timer back, and what was seen not to, against what the row says. */
static double resets_fit(const struct hf_catalog_row *row, uint16_t resets, uint16_t resets_not)
{
    const uint16_t bytes = HF_RESETS_ANY_BYTE;
    uint16_t known = row->resets & HF_RESETS_PACKET ? bytes : row->resets & bytes;
    if (known == 0) { /* the row tells of other things than bytes */
        return resets & bytes ? 0.02 : 0.3;
    }
    unsigned wrong = (unsigned)__builtin_popcount(resets & bytes & ~known) +
                     (unsigned)__builtin_popcount(resets_not & bytes & known);
    double fit = pow(0.12, wrong);
    if ((row->resets & HF_RESETS_BOTH) != (resets & HF_RESETS_BOTH)) {
        fit *= resets & HF_RESETS_BOTH ? 0.01 : 0.4;
    }
    return fit;
}

size_t hf_rank_causes(enum hf_verdict_class class, double value, uint16_t resets,
                      const struct hf_rank_facts *facts, const struct hf_infer_context *context,
                      struct hf_named_cause *out, size_t max)
{
    static const struct hf_rank_facts nothing;
    const struct hf_rank_facts *f = facts != NULL ? facts : &nothing;
    bool has_value = hf_verdict_unit(class)[0] != '\0' && class != HF_CLASS_RESTART && value > 0;
    size_t count = 0;
    double total = hf_rank_unknown(f) * (has_value ? BROAD_DENSITY : 1);
    for (size_t i = 0; i < hf_catalog_count(); i++) {
        const struct hf_catalog_row *row = hf_catalog_at(i);
        double weight = kinship(row, class, resets);
        if (weight <= 0) {
            continue;
        }
        weight *= hf_rank_prior(row, context) * hf_rank_ending(row, f);
        if (has_value && row->class == class) {
            weight *= hf_rank_near(row, value, f->unsure, context);
        }
        if (f->counts_down && row->value_max > 0) {
            weight *= 0.01; /* its number is one of client messages */
        }
        if ((class == HF_CLASS_IDLE_TIMER || class == HF_CLASS_PONG_TIMEOUT) &&
            (resets | f->resets_not) != 0) {
            weight *= resets_fit(row, resets, f->resets_not);
        }
        total += weight;
        hf_rank_insert(out, &count, max, (struct hf_named_cause){row, weight});
    }
    return hf_rank_finish(out, count, total);
}
