/* SPDX-License-Identifier: Apache-2.0 */
/* From a class to products: what the endings looked like and what kept connections alive is handed
 * to the catalogue, which names the rows that fit. When two classes are undecided it names those of
 * both, each by how likely its class is. */
#include "cause/infer_say.h"

#include "cause/rank.h"

#include <math.h>
#include <string.h>

/* The kinds of moments that all sets which explain the trials alike have in common: these were
 * shown to set the timer back. */
static uint16_t shown_resets(const struct weighed *w, const struct fit *named)
{
    uint16_t shown = named->resets;

    for (size_t i = 0; i < w->fits->count; i++) {
        const struct fit *f = &w->fits->list[i];
        if (f->model == MODEL_IDLE && f->score > named->score - 3.5 &&
            (f->resets & HF_RESETS_READING) == 0) {
            shown = (uint16_t)(shown & f->resets);
        }
    }
    return shown;
}

/* Kinds that went by shortly before connections died all the same. */
static uint16_t useless_resets(const struct weighed *w, double timer, uint16_t named)
{
    uint16_t useless = 0;

    if (named & HF_RESETS_BOTH) {
        return 0; /* each direction is needed and none is enough */
    }
    for (unsigned bit = 0; bit < 6; bit++) {
        size_t died = 0;
        for (size_t i = 0; i < w->e->count; i++) {
            struct reach r = reach_of(&w->e->facts[i], (uint16_t)(1u << bit));
            died += w->e->facts[i].dead && r.last >= 0 && r.last < 0.6 * timer &&
                            w->e->facts[i].age > 0.9 * timer
                        ? 1
                        : 0;
        }
        if (died >= 2 && (named & 1u << bit) == 0) {
            useless = (uint16_t)(useless | 1u << bit);
        }
    }
    return useless;
}

/* The manner in which most ended, and the code and reason that came most. */
static void look_at_ends(const struct evidence *e, struct hf_rank_facts *facts)
{
    size_t hows[HF_HOW_KINDS] = {0}, most = 0;
    const struct hf_trial *typical = NULL;

    for (size_t i = 0; i < e->count; i++) {
        hows[e->facts[i].t->end.how] += e->facts[i].dead ? 1 : 0;
    }
    for (unsigned how = 0; how < HF_HOW_KINDS; how++) {
        if (hows[how] > 0 && 4 * hows[how] >= e->dead) {
            facts->hows |= 1u << how;
        }
    }
    for (size_t i = 0; i < e->count; i++) {
        const struct hf_trial *t = e->facts[i].t;
        size_t same = 0;
        if (t->end.how != HF_HOW_CLOSE) {
            continue;
        }
        for (size_t k = 0; k < e->count; k++) {
            same += e->facts[k].t->end.how == HF_HOW_CLOSE && e->facts[k].t->end.code == t->end.code
                        ? 1
                        : 0;
        }
        if (same > most) {
            most = same;
            typical = t;
        }
    }
    if (typical != NULL && 3 * most >= e->dead) {
        facts->code = typical->end.code;
        facts->reason = typical->end.reason;
    }
}

static void look_at_refusals(const struct evidence *e, struct hf_rank_facts *facts)
{
    for (size_t i = 0; i < e->trial_count; i++) {
        const struct hf_trial *t = &e->trials[i];
        if (t->path == 0 && !hf_trial_was_open(t) && hf_trial_is_dead(t)) {
            facts->hows |= 1u << t->end.how;
            facts->http = t->end.http != 0 ? t->end.http : facts->http;
        }
    }
}

static size_t name_class(const struct weighed *w, enum hf_verdict_class class,
                         struct hf_named_cause *out, size_t max)
{
    const struct fit *f = w->best[class];
    struct hf_rank_facts facts = {0};
    uint16_t resets = 0;

    if (f == NULL || class == HF_CLASS_NONE) {
        return 0;
    }
    if (class == HF_CLASS_HANDSHAKE) {
        look_at_refusals(w->e, &facts);
    } else {
        look_at_ends(w->e, &facts);
    }
    if (class == HF_CLASS_IDLE_TIMER) {
        f = idle_fit_named(w);
        resets = shown_resets(w, f);
        facts.resets_not = useless_resets(w, f->value, f->resets);
        facts.unsure = w->e->died_silent * 2 > w->e->dead ? fmax(0, f->high - f->low) : 0;
    } else if (class == HF_CLASS_PONG_TIMEOUT) {
        resets = HF_RESETS_PONG_C | f->watchdog.helps;
    } else if (class == HF_CLASS_MESSAGE_LIMIT) {
        facts.counts_down = (f->resets & HF_RESETS_SENT) == 0;
    }
    return hf_rank_causes(class, f->value, resets, &facts, w->e->context, out, max);
}

void name_causes(struct hf_verdict *v, const struct weighed *w)
{
    struct hf_named_cause other[HF_INFER_CAUSES];
    size_t count;

    v->cause_count = name_class(w, w->first, v->causes, HF_INFER_CAUSES);
    if (v->best.class != HF_CLASS_INCONCLUSIVE) {
        return;
    }
    for (size_t i = 0; i < v->cause_count; i++) {
        v->causes[i].likelihood *= w->posterior[w->first];
    }
    count = name_class(w, w->second, other, HF_INFER_CAUSES);
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        other[i].likelihood *= w->posterior[w->second];
        for (size_t k = 0; k < v->cause_count; k++) {
            known = known || v->causes[k].row == other[i].row;
        }
        if (known) {
            continue;
        }
        hf_rank_insert(v->causes, &v->cause_count, HF_INFER_CAUSES, other[i]);
    }
    v->cause_count = hf_rank_finish(v->causes, v->cause_count, 1);
}
