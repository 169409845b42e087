/* SPDX-License-Identifier: Apache-2.0 */
/* The incident machine: see incident.h. */
#include "watch/incident.h"

#include "base/status.h"

static const char *const kinds[HF_INCIDENT_KINDS] = {
    [HF_INCIDENT_DROP] = "drop",
    [HF_INCIDENT_CONNECT] = "connect",
    [HF_INCIDENT_SLOW] = "slow",
    [HF_INCIDENT_CERTIFICATE] = "certificate",
};

const char *hf_incident_kind_text(enum hf_incident_kind kind)
{
    HF_ASSERT(kind < HF_INCIDENT_KINDS);
    return kinds[kind];
}

enum hf_incident_kind hf_incident_kind_from(struct hf_slice text)
{
    for (size_t k = 0; k < HF_INCIDENT_KINDS; k++) {
        if (hf_slice_eq(text, hf_slice_of(kinds[k]))) {
            return (enum hf_incident_kind)k;
        }
    }
    return HF_INCIDENT_KINDS;
}

const char *hf_incident_notice_text(enum hf_incident_notice notice)
{
    static const char *const texts[] = {"none", "alert", "reminder", "recovery"};
    return texts[notice];
}

bool hf_incident_rate_parse(struct hf_slice text, struct hf_incident_rate *rate)
{
    size_t in = hf_slice_search(text, HF_LITERAL(" in "));
    uint64_t count = 0;
    hf_time window = HF_SECONDS(1);
    if (!hf_slice_number(hf_slice_trim(hf_slice_first(text, in)), HF_INCIDENT_COUNT_MAX, &count) ||
        count == 0) {
        return false;
    }
    bool bare = in == text.len;
    if (bare ? count != 1
             : !hf_duration_parse(hf_slice_trim(hf_slice_from(text, in + 4)), &window) ||
                   window == 0) {
        return false;
    }
    *rate = (struct hf_incident_rate){(uint32_t)count, window};
    return true;
}

/* Forgets what is too old to count, then takes the new one. */
static void remember(struct hf_incident *i, const struct hf_incident_rule *rule, hf_time now)
{
    uint32_t kept = 0;
    for (uint32_t n = 0; n < i->recent_count; n++) {
        if (now - i->recent[n] < rule->rate.window) {
            i->recent[kept++] = i->recent[n];
        }
    }
    if (kept == HF_INCIDENT_COUNT_MAX) {
        memmove(&i->recent[0], &i->recent[1], (kept - 1) * sizeof(i->recent[0]));
        kept--;
    }
    i->recent[kept++] = now;
    i->recent_count = kept;
}

static enum hf_incident_notice tell(struct hf_incident *i, hf_time now,
                                    enum hf_incident_notice notice)
{
    i->told = true;
    i->last_told = now;
    return notice;
}

static enum hf_incident_notice end(struct hf_incident *i)
{
    bool told = i->told;
    *i = (struct hf_incident){.is_good = true, .last_bad = i->last_bad};
    return told ? HF_NOTICE_RECOVERY : HF_NOTICE_NONE;
}

enum hf_incident_notice hf_incident_bad(struct hf_incident *i, const struct hf_incident_rule *rule,
                                        hf_time now, bool quiet)
{
    i->is_good = false;
    if (quiet && rule->is_moment) {
        return HF_NOTICE_NONE;
    }
    i->last_bad = now;
    if (i->open) {
        i->bad++;
        return hf_incident_tick(i, rule, now, quiet);
    }
    remember(i, rule, now);
    if (i->recent_count < rule->rate.count) {
        return HF_NOTICE_NONE;
    }
    i->open = true;
    i->opened = i->recent[i->recent_count - rule->rate.count];
    i->bad = i->recent_count;
    i->recent_count = 0;
    return quiet ? HF_NOTICE_NONE : tell(i, now, HF_NOTICE_ALERT);
}

enum hf_incident_notice hf_incident_good(struct hf_incident *i, const struct hf_incident_rule *rule,
                                         hf_time now)
{
    i->is_good = true;
    return i->open && rule->settle == 0 ? end(i) : HF_NOTICE_NONE;
}

enum hf_incident_notice hf_incident_tick(struct hf_incident *i, const struct hf_incident_rule *rule,
                                         hf_time now, bool quiet)
{
    if (!i->open) {
        return HF_NOTICE_NONE;
    }
    if (rule->settle > 0 && i->is_good && now - i->last_bad >= rule->settle) {
        return end(i);
    }
    if (quiet) {
        return HF_NOTICE_NONE;
    }
    if (!i->told) {
        return tell(i, now, HF_NOTICE_ALERT);
    }
    return rule->repeat > 0 && now - i->last_told >= rule->repeat ? tell(i, now, HF_NOTICE_REMINDER)
                                                                  : HF_NOTICE_NONE;
}

void hf_incident_restore(struct hf_incident *i, hf_time opened, hf_time last_bad, hf_time last_told,
                         bool told, uint64_t bad)
{
    *i = (struct hf_incident){.open = true,
                              .told = told,
                              .opened = opened,
                              .last_bad = last_bad,
                              .last_told = last_told,
                              .bad = bad};
}
