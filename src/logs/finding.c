/* SPDX-License-Identifier: Apache-2.0 */
/* What the peaks of a tally point to. A peak of ages alone does not separate an idle timer from a
 * lifetime: that is only said where the log itself tells the cause, or knows the silence. */
#include "logs/tally.h"

#include <math.h>
#include <stdio.h>

void hf_logs_age_text(double s, char text[24])
{
    if (s < 9.995) {
        (void)snprintf(text, 24, "%.2f s", s);
    } else if (s < 119.95) {
        (void)snprintf(text, 24, "%.1f s", s);
    } else if (s < 7200) {
        (void)snprintf(text, 24, "%.0f s", s);
    } else if (s < 172800) {
        (void)snprintf(text, 24, "%.1f h", s / 3600);
    } else {
        (void)snprintf(text, 24, "%.1f d", s / 86400);
    }
}

/* Is this sample of the peak? Counts are not kept with the samples. */
static bool lies_in_peak(const struct hf_logs_finding *f, const struct hf_logs_sample *s)
{
    const struct hf_peak *p = &f->peak;
    double room = p->kind == HF_PEAK_CLOCK ? 1e-6 : 1e-3 + 1e-6 * fabs(p->at); /* of a float */
    double value = p->kind == HF_PEAK_CLOCK ? s->at : f->is_silence ? s->silence : s->age;
    if ((p->kind != HF_PEAK_AGE && p->kind != HF_PEAK_CLOCK) || value < 0 ||
        (p->kind == HF_PEAK_CLOCK && s->at <= 0)) {
        return false;
    }
    return value >= p->low - room && value <= p->high + room;
}

/* The causes that the log tells of the endings in the peak, the most frequent ones. */
static void find_told(struct hf_logs_tally *t, struct hf_logs_finding *f)
{
    struct hf_logs_counts told;
    static const uint8_t key[16] = {0};
    const struct hf_logs_count *top[HF_LOGS_TOLD_MAX];
    uint64_t in_peak = 0;
    uint64_t busy = 0;
    uint64_t known = 0;
    hf_logs_counts_init(&told, t->alloc, key);
    for (size_t i = 0; i < t->sample_count; i++) {
        const struct hf_logs_sample *s = &t->samples[i];
        if (!lies_in_peak(f, s)) {
            continue;
        }
        in_peak++;
        known += s->silence >= 0 ? 1 : 0;
        busy += s->silence >= 0 && s->silence < s->age / 2 ? 1 : 0;
        const char *name = s->cause < t->causes.count ? t->causes.all[s->cause]->name : "(";
        if (name[0] != '(') {
            (void)hf_logs_counts_add(&told, hf_slice_of(name), 1);
        }
    }
    f->busy = known == 0 ? -1 : (double)busy / (double)known;
    f->told_count = hf_logs_counts_top(&told, top, HF_LOGS_TOLD_MAX);
    for (size_t i = 0; i < f->told_count; i++) {
        (void)snprintf(f->told[i].cause, sizeof(f->told[i].cause), "%.39s", top[i]->name);
        f->told[i].share = (double)top[i]->count / (double)in_peak;
        f->told_share += f->told[i].share;
    }
    hf_logs_counts_fini(&told);
}

/* Candidates of a class by the value alone, weighed into those that are there. Only rows whose
 * default it is, or that have none: what may be set to anything says nothing. */
static void add_named(struct hf_logs_finding *f, enum hf_verdict_class class, double weight)
{
    struct hf_named_cause named[4 * HF_LOGS_NAMED_MAX];
    double value = f->peak.at;
    size_t n = hf_rank_causes(class, value, 0, NULL, NULL, named, 4 * HF_LOGS_NAMED_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct hf_catalog_row *row = named[i].row;
        if (row->value_max > 0 && (value < 0.9 * row->value_min || value > 1.1 * row->value_max)) {
            continue;
        }
        named[i].likelihood *= weight * (row->value_max > 0 ? 1 : 0.3);
        hf_rank_insert(f->named, &f->named_count, HF_LOGS_NAMED_MAX, named[i]);
    }
}

/* What the catalogue calls the cause that the log tells of most endings in the peak. */
static enum hf_verdict_class told_class(const struct hf_logs_finding *f)
{
    if (f->told_count == 0 || f->told[0].share < 0.8) {
        return HF_CLASS_INCONCLUSIVE;
    }
    const struct hf_catalog_row *row = hf_catalog_find(hf_slice_of(f->told[0].cause));
    return row == NULL ? HF_CLASS_INCONCLUSIVE : row->class;
}

bool hf_logs_is_soon(const struct hf_logs_finding *f)
{
    return f->peak.kind == HF_PEAK_AGE && f->peak.at < HF_LOGS_SOON_S;
}

static void judge(struct hf_logs_tally *t, struct hf_logs_finding *f)
{
    find_told(t, f);
    switch (f->peak.kind) {
    case HF_PEAK_AGE:
        f->class = told_class(f);
        if (f->is_silence) {
            f->class = HF_CLASS_IDLE_TIMER;
            add_named(f, HF_CLASS_IDLE_TIMER, 1);
        } else if (f->class == HF_CLASS_INCONCLUSIVE && !hf_logs_is_soon(f)) {
            add_named(f, HF_CLASS_IDLE_TIMER, 0.45);
            add_named(f, HF_CLASS_LIFETIME, 0.35);
            add_named(f, HF_CLASS_PONG_TIMEOUT, 0.2);
        }
        break;
    case HF_PEAK_CLOCK:
        f->class = HF_CLASS_RESTART;
        break;
    case HF_PEAK_UP:
    case HF_PEAK_DOWN:
        f->class = HF_CLASS_MESSAGE_LIMIT;
        add_named(f, HF_CLASS_MESSAGE_LIMIT, 1);
        break;
    case HF_PEAK_BYTES_UP:
    case HF_PEAK_BYTES_DOWN:
        f->class = HF_CLASS_INCONCLUSIVE;
        break;
    }
}

/* A peak of silence is its own when the ages in it are mixed: else it is the same as that of age.
 */
static bool is_own_silence(const struct hf_logs_tally *t, const struct hf_logs_finding *f)
{
    uint64_t all = 0;
    uint64_t older = 0;
    for (size_t i = 0; i < t->sample_count; i++) {
        const struct hf_logs_sample *s = &t->samples[i];
        if (lies_in_peak(f, s)) {
            all++;
            older += s->age > s->silence * 1.1f + 0.1f ? 1 : 0;
        }
    }
    return all > 0 && (double)older >= 0.4 * (double)all;
}

static size_t add_peaks(struct hf_logs_tally *t, struct hf_survival *s, bool is_silence,
                        bool clock_alone, struct hf_logs_finding *out, size_t count, size_t max)
{
    struct hf_peak peaks[HF_SURVIVAL_PEAKS];
    size_t n = hf_survival_peaks(s, peaks, HF_SURVIVAL_PEAKS);
    for (size_t i = 0; i < n && count < max; i++) {
        struct hf_logs_finding f = {.peak = peaks[i], .is_silence = is_silence, .busy = -1};
        if ((clock_alone && peaks[i].kind != HF_PEAK_CLOCK) ||
            (is_silence && (peaks[i].kind != HF_PEAK_AGE || !is_own_silence(t, &f)))) {
            continue;
        }
        judge(t, &f);
        out[count++] = f;
    }
    return count;
}

size_t hf_logs_tally_findings(struct hf_logs_tally *t, struct hf_logs_finding *findings, size_t max)
{
    if (t->first != HF_LOGS_NO_TIME) {
        hf_survival_seen_from(t->ages, t->first);
        hf_survival_seen_from(t->silences, t->first);
        hf_survival_seen_from(t->instants, t->first);
    }
    size_t count = add_peaks(t, t->silences, true, false, findings, 0, max);
    count = add_peaks(t, t->ages, false, false, findings, count, max);
    count = add_peaks(t, t->instants, false, true, findings, count, max);
    for (size_t i = 1; i < count; i++) { /* strongest first */
        struct hf_logs_finding moved = findings[i];
        size_t at = i;
        for (; at > 0 && findings[at - 1].peak.strength < moved.peak.strength; at--) {
            findings[at] = findings[at - 1];
        }
        findings[at] = moved;
    }
    return count;
}

bool hf_logs_tally_is_early(const struct hf_logs_tally *t, size_t findings)
{
    const struct hf_logs_count *top[1];
    uint64_t refused;
    (void)hf_logs_tally_refused(t, top, 1, &refused);
    bool noticed = false;
    for (size_t i = 0; i < t->notice_count; i++) {
        const struct hf_logs_notice *n = &t->notices[i];
        noticed = noticed || n->kind != HF_LOGS_RESTART || n->endings > 0;
    }
    return findings > 0 || t->adverse > 0 || refused > 0 || noticed;
}
