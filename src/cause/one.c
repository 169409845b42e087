/* SPDX-License-Identifier: Apache-2.0 */
/* One ending alone: every row of the catalogue is asked how likely it would have ended this
 * connection at this moment in this manner. Without an experiment much stays alike; then the
 * likelihoods are low, and nothing is named when the best is hardly better than not to know. */
#include "cause/rank.h"

#include <math.h>

/* Of a cause that comes at any age: per unit of ln(seconds), as a timer of unknown length. */
#define ANY_AGE 0.12
#define TOO_LITTLE 0.12 /* a likelihood below which a cause is not named first */
#define SOON_S 2.0

struct evidence {
    const struct hf_trial *trial;
    const struct hf_infer_context *context;
    struct hf_rank_facts facts;
    double age;    /* seconds, as all here */
    double soon;   /* what counts as at once, scaled */
    bool counted;  /* moments are known; a line of a log may have none */
    bool is_quiet; /* the silences are known */
};

static double seconds(hf_time t)
{
    return (double)t / 1e6;
}

/* Which HF_RESETS_ bit a moment is; an emptied pong is a byte, but no answer. */
static uint16_t bit_of(const struct hf_trial *t, const struct hf_moment *m, bool as_answer)
{
    switch ((enum hf_moment_kind)m->kind) {
    case HF_MOMENT_SENT:
        return HF_RESETS_SENT;
    case HF_MOMENT_GOT:
        return HF_RESETS_GOT;
    case HF_MOMENT_PING_SENT:
    case HF_MOMENT_BEAT_SENT:
        return HF_RESETS_PING_C;
    case HF_MOMENT_PONG_GOT:
    case HF_MOMENT_PONG_ODD:
        return HF_RESETS_PONG_S;
    case HF_MOMENT_PING_GOT:
        return HF_RESETS_PING_S;
    case HF_MOMENT_PONG_SENT:
        return as_answer && t->plan.pong == HF_PONG_EMPTY ? 0 : HF_RESETS_PONG_C;
    case HF_MOMENT_KINDS:
        break;
    }
    return 0;
}

/* From the last moment of one of these kinds, or from the open, to the end. */
static double since_last(const struct evidence *e, uint16_t resets)
{
    const struct hf_trial *t = e->trial;
    bool as_answer = (resets & HF_RESETS_ANY_BYTE) != HF_RESETS_ANY_BYTE;
    for (size_t i = t->moment_count; i > 0; i--) {
        const struct hf_moment *m = &t->moments[i - 1];
        if (bit_of(t, m, as_answer) & resets) {
            return fmax(0, e->age - seconds(m->at));
        }
    }
    return e->age;
}

/* How long it had been since anything that sets the row's timer back; -1: unknown. */
static double quiet_of(const struct evidence *e, uint16_t resets)
{
    double rx = fmin(seconds(e->trial->end.silent_rx), e->age);
    double tx = fmin(seconds(e->trial->end.silent_tx), e->age);
    if (resets & HF_RESETS_PACKET) {
        resets |= HF_RESETS_ANY_BYTE;
    }
    if (e->counted && e->trial->moment_count > 0) {
        if (resets & HF_RESETS_BOTH) {
            return fmax(since_last(e, HF_RESETS_UP), since_last(e, HF_RESETS_DOWN));
        }
        return since_last(e, resets);
    }
    if (e->counted) {
        return e->age; /* nothing ever went by */
    }
    if (!e->is_quiet) {
        return -1;
    }
    if (resets & HF_RESETS_BOTH) {
        return fmax(rx, tx);
    }
    bool up = (resets & HF_RESETS_UP) != 0, down = (resets & HF_RESETS_DOWN) != 0;
    return up && down ? fmin(rx, tx) : down ? rx : tx;
}

/* How long nothing had gone by when we first sent what was not answered any more: what goes into a
 * path that has forgotten sets nothing back. */
static double gap_before_silence(const struct evidence *e)
{
    const struct hf_trial *t = e->trial;
    double sent = e->age;
    if (!e->counted) {
        return fmax(0, quiet_of(e, HF_RESETS_ANY_BYTE));
    }
    for (size_t i = t->moment_count; i > 0; i--) {
        const struct hf_moment *m = &t->moments[i - 1];
        if (bit_of(t, m, false) & HF_RESETS_DOWN) {
            return fmax(0, sent - seconds(m->at));
        }
        sent = seconds(m->at);
    }
    return sent;
}

static double idle_fit(const struct evidence *e, const struct hf_catalog_row *row)
{
    uint16_t bytes = row->resets & (HF_RESETS_ANY_BYTE | HF_RESETS_PACKET);
    if (bytes == 0) { /* it waits for the other side to read */
        double near = hf_rank_near(row, e->age, e->facts.unsure, e->context);
        return e->trial->plan.stops_reading ? near : 0.02 * near;
    }
    double quiet = quiet_of(e, row->resets);
    if (quiet < 0) { /* the timer is at most the age */
        double near = hf_rank_near(row, e->age, e->facts.unsure, e->context);
        return 0.5 * near + (e->age > row->value_min ? 0.03 : 0);
    }
    uint32_t fades = 1u << HF_HOW_SILENCE | 1u << HF_HOW_TIMEOUT;
    if (e->facts.hows & fades) { /* noticed late: the timer is at most the gap */
        double scale = e->context != NULL && e->context->scale > 0 ? e->context->scale : 1;
        double gap = gap_before_silence(e) / scale;
        return gap >= fmax(row->value_min, 20) ? 1.5 * ANY_AGE : ANY_AGE / 10;
    }
    return hf_rank_near(row, quiet, e->facts.unsure, e->context);
}

/* The server's pings: answered, unanswered, or never seen. */
static double pong_fit(const struct evidence *e, const struct hf_catalog_row *row)
{
    const struct hf_trial *t = e->trial;
    bool on_the_way = row->layer == HF_LAYER_PROXY;
    if (!e->counted) {
        return hf_rank_near(row, e->age, e->facts.unsure, e->context);
    }
    uint64_t pings = t->count[HF_MOMENT_PING_GOT], pongs = t->count[HF_MOMENT_PONG_SENT];
    bool missed = pongs < pings || (pings > 0 && t->plan.pong == HF_PONG_EMPTY);
    if (on_the_way) { /* of a pong that is lost on the way the server knows nothing */
        double near = hf_rank_near(row, e->age, e->facts.unsure, e->context);
        return missed ? 0.05 * near : pings == 0 ? 0.2 * near : near;
    }
    double near = hf_rank_near(row, quiet_of(e, row->resets), e->facts.unsure, e->context);
    return pings == 0 ? 0.05 * near : missed ? near : 0.03 * near;
}

static double count_fit(const struct evidence *e, const struct hf_catalog_row *row)
{
    const struct hf_trial *t = e->trial;
    uint64_t sent = t->count[HF_MOMENT_SENT], got = t->count[HF_MOMENT_GOT];
    double fit =
        row->value_max > 0 && sent > 0 ? hf_rank_near(row, (double)sent, 0, e->context) : ANY_AGE;
    if (!e->counted) {
        return 0.3 * fit;
    }
    if (sent + got == 0) {
        return 0.01 * fit;
    }
    return since_last(e, HF_RESETS_SENT | HF_RESETS_GOT) <= e->soon ? fit : 0.15 * fit;
}

static double size_fit(const struct evidence *e, const struct hf_catalog_row *row)
{
    const struct hf_trial *t = e->trial;
    double largest = t->plan.message_size;
    for (size_t i = 0; i < t->moment_count; i++) {
        if (t->moments[i].kind == HF_MOMENT_SENT) {
            largest = fmax(largest, t->moments[i].size);
        }
    }
    if (!e->counted || largest <= 0) {
        return e->counted ? 0.02 * ANY_AGE : 0.3 * ANY_AGE;
    }
    if (row->value_max <= 0) {
        return 0.5 * ANY_AGE;
    }
    /* The largest that was sent is not the limit, but it is above it; a limit may also be set lower
     * than its default. */
    return largest >= 0.95 * row->value_min ? ANY_AGE : 0.2 * ANY_AGE;
}

static double blocked_fit(const struct evidence *e, const struct hf_catalog_row *row)
{
    const struct hf_trial *t = e->trial;
    if (!e->counted && !e->is_quiet) {
        return 0.1 * hf_rank_near(row, e->age, e->facts.unsure, e->context);
    }
    double silent = quiet_of(e, HF_RESETS_DOWN);
    if (e->facts.hows & 1u << HF_HOW_SILENCE) { /* it may still come to its end */
        return 0.5 * ANY_AGE;
    }
    double near = hf_rank_near(row, silent, e->facts.unsure, e->context);
    uint64_t asked = t->count[HF_MOMENT_PING_SENT] + t->count[HF_MOMENT_SENT];
    if (asked == 0) {
        return 0.1 * near; /* nobody looked whether it answers */
    }
    bool open_ping = t->count[HF_MOMENT_PING_SENT] > t->count[HF_MOMENT_PONG_GOT];
    return open_ping && silent > e->soon ? near : 0.05 * near;
}

/* How well the row explains that it ended now. */
static double moment_fit(const struct evidence *e, const struct hf_catalog_row *row)
{
    bool was_open = hf_trial_was_open(e->trial);
    if (row->class == HF_CLASS_NONE) {
        return 0;
    }
    if (was_open == (row->class == HF_CLASS_HANDSHAKE)) {
        return was_open ? 0 : 0.02 * ANY_AGE; /* a firewall may also refuse what is new */
    }
    switch (row->class) {
    case HF_CLASS_IDLE_TIMER:
        return idle_fit(e, row);
    case HF_CLASS_LIFETIME:
        return hf_rank_near(row, e->age, e->facts.unsure, e->context);
    case HF_CLASS_PONG_TIMEOUT:
        return pong_fit(e, row);
    case HF_CLASS_MESSAGE_LIMIT:
        return count_fit(e, row);
    case HF_CLASS_SIZE_LIMIT:
        return size_fit(e, row);
    case HF_CLASS_BLOCKED_SERVER:
        return blocked_fit(e, row);
    case HF_CLASS_NETWORK:
        if ((e->facts.hows & 1u << HF_HOW_TIMEOUT) && row->value_max > 0) {
            return hf_rank_near(row, quiet_of(e, HF_RESETS_DOWN), e->facts.unsure, e->context);
        }
        return ANY_AGE;
    case HF_CLASS_RESTART:
    case HF_CLASS_HANDSHAKE:
        return ANY_AGE;
    case HF_CLASS_NONE:
    case HF_CLASS_INCONCLUSIVE:
    case HF_CLASSES:
        break;
    }
    return 0;
}

size_t hf_infer_one(const struct hf_trial *t, const struct hf_infer_context *context,
                    struct hf_named_cause *causes, size_t max)
{
    if (!hf_trial_is_dead(t) || max == 0) {
        return 0;
    }
    struct evidence e = {.trial = t, .context = context, .age = seconds(t->end.age)};
    double scale = context != NULL && context->scale > 0 ? context->scale : 1;
    e.soon = SOON_S * scale;
    e.is_quiet = t->end.silent_rx > 0 || t->end.silent_tx > 0;
    /* Silent from the open on, both ways: that nothing is counted is then a count. */
    bool is_silent = e.is_quiet && t->end.silent_rx >= t->end.age && t->end.silent_tx >= t->end.age;
    e.counted =
        is_silent || t->moment_count > 0 || t->plan.ping_every > 0 || t->plan.message_every > 0;
    for (size_t i = 0; i < HF_MOMENT_KINDS; i++) {
        e.counted = e.counted || t->count[i] > 0;
    }
    hf_rank_facts_of(t, &e.facts);
    size_t count = 0;
    double total = hf_rank_unknown(&e.facts) * ANY_AGE * (hf_trial_was_open(t) ? 1 : 3);
    for (size_t i = 0; i < hf_catalog_count(); i++) {
        const struct hf_catalog_row *row = hf_catalog_at(i);
        double weight = moment_fit(&e, row);
        if (weight <= 0) {
            continue;
        }
        weight *= hf_rank_prior(row, context) * hf_rank_ending(row, &e.facts);
        total += weight;
        hf_rank_insert(causes, &count, max, (struct hf_named_cause){row, weight});
    }
    count = hf_rank_finish(causes, count, total);
    return count > 0 && causes[0].likelihood >= TOO_LITTLE ? count : 0;
}
