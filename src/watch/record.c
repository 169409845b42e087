/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of one target: see record.h. */
#include "watch/record.h"

#include <stdio.h>
#include <stdlib.h>

#define MINUTE_MS 60000

const hf_time hf_record_bucket_limit[HF_RECORD_BUCKETS] = {
    HF_MS(1),   2500,       HF_MS(5),    HF_MS(10),   HF_MS(25),   HF_MS(50),    HF_MS(100),
    HF_MS(250), HF_MS(500), HF_MS(1000), HF_MS(2500), HF_MS(5000), HF_MS(10000), HF_NEVER};

enum hf_status hf_record_init(struct hf_record *r)
{
    *r = (struct hf_record){
        .minutes = calloc(HF_RECORD_MINUTES, sizeof(*r->minutes)),
        .endings = calloc(HF_RECORD_ENDINGS, sizeof(*r->endings)),
        .incidents = calloc(HF_RECORD_INCIDENTS, sizeof(*r->incidents)),
    };
    if (r->minutes == NULL || r->endings == NULL || r->incidents == NULL) {
        hf_record_fini(r);
        return HF_NO_MEMORY;
    }
    return HF_OK;
}

void hf_record_ending_fini(struct hf_record_ending *e)
{
    free(e->sentence);
    free(e->advice);
    free(e->json);
    *e = (struct hf_record_ending){0};
}

void hf_record_incident_fini(struct hf_record_incident *i)
{
    free(i->summary);
    free(i->advice);
    free(i->evidence);
    *i = (struct hf_record_incident){0};
}

void hf_record_fini(struct hf_record *r)
{
    for (size_t i = 0; i < r->ending_count; i++) {
        hf_record_ending_fini(&r->endings[i]);
    }
    for (size_t i = 0; i < r->incident_count; i++) {
        hf_record_incident_fini(&r->incidents[i]);
    }
    free(r->minutes);
    free(r->endings);
    free(r->incidents);
    *r = (struct hf_record){0};
}

/* ---- minutes ---------------------------------------------------------------------------- */

struct hf_record_minute *hf_record_minute_at(struct hf_record *r, hf_wall time)
{
    int64_t minute = time / MINUTE_MS;
    struct hf_record_minute *m = &r->minutes[(uint64_t)minute % HF_RECORD_MINUTES];
    if (m->minute != minute) {
        *m = (struct hf_record_minute){.minute = minute};
    }
    return m;
}

const struct hf_record_minute *hf_record_minute_find(const struct hf_record *r, int64_t minute)
{
    const struct hf_record_minute *m = &r->minutes[(uint64_t)minute % HF_RECORD_MINUTES];
    return m->minute == minute && minute != 0 ? m : NULL;
}

void hf_record_span(struct hf_record *r, hf_wall from, hf_wall to, bool up, bool quiet)
{
    if (to - from > (hf_wall)HF_RECORD_MINUTES * MINUTE_MS) { /* the clock was set */
        from = to;
    }
    while (from < to) {
        hf_wall next = (from / MINUTE_MS + 1) * MINUTE_MS;
        hf_wall until = next < to ? next : to;
        struct hf_record_minute *m = hf_record_minute_at(r, from);
        *(up ? &m->up_ms : &m->down_ms) += (uint32_t)(until - from);
        m->quiet = m->quiet || quiet;
        from = until;
    }
}

void hf_record_rtt(struct hf_record *r, hf_wall time, hf_time rtt)
{
    struct hf_record_minute *m = hf_record_minute_at(r, time);
    uint32_t us = rtt < 0 ? 0 : rtt > UINT32_MAX ? UINT32_MAX : (uint32_t)rtt;
    m->rtt_us += us;
    m->rtt_count++;
    m->rtt_max_us = us > m->rtt_max_us ? us : m->rtt_max_us;
    r->samples[r->sample_next] = us;
    r->sample_next = (r->sample_next + 1) % HF_RECORD_SAMPLES;
    r->sample_count += r->sample_count < HF_RECORD_SAMPLES;
    size_t b = 0;
    while (hf_record_bucket_limit[b] < (hf_time)us) {
        b++;
    }
    r->rtt_bucket[b]++;
    r->rtt_count++;
    r->rtt_sum_us += us;
}

double hf_record_share(const struct hf_record *r, int64_t from, int64_t to)
{
    uint64_t up = 0;
    uint64_t down = 0;
    for (int64_t minute = from; minute < to; minute++) {
        const struct hf_record_minute *m = hf_record_minute_find(r, minute);
        up += m == NULL ? 0 : m->up_ms;
        down += m == NULL ? 0 : m->down_ms;
    }
    return up + down == 0 ? -1 : (double)up / (double)(up + down);
}

/* ---- endings ----------------------------------------------------------------------------- */

/* Beyond HF_RECORD_DROP_KINDS series the last takes the rest: labels must not grow for ever. */
static void count_drop(struct hf_record *r, const struct hf_record_ending *e)
{
    size_t i = 0;
    while (i < r->drop_kinds &&
           (strcmp(r->drops[i].cause, e->cause) != 0 || strcmp(r->drops[i].who, e->who) != 0 ||
            r->drops[i].code != e->code || r->drops[i].judged != (uint8_t)e->judged)) {
        i++;
    }
    if (i == HF_RECORD_DROP_KINDS) {
        i--;
        (void)snprintf(r->drops[i].cause, sizeof(r->drops[i].cause), "other");
        (void)snprintf(r->drops[i].who, sizeof(r->drops[i].who), "unknown");
        r->drops[i].code = 0;
    } else if (i == r->drop_kinds) {
        struct hf_record_drop *d = &r->drops[r->drop_kinds++];
        *d = (struct hf_record_drop){.code = e->code, .judged = (uint8_t)e->judged};
        memcpy(d->cause, e->cause, sizeof(d->cause));
        memcpy(d->who, e->who, sizeof(d->who));
    }
    r->drops[i].count++;
}

void hf_record_ending_add(struct hf_record *r, struct hf_record_ending *ending, bool counted)
{
    bool open = ending->judged != HF_JUDGED_FAILED;
    if (counted) {
        struct hf_record_minute *m = hf_record_minute_at(r, ending->time);
        if (!open) {
            m->fails++;
        } else if (ending->judged == HF_JUDGED_PREMATURE) {
            m->drops++;
        } else {
            m->endings++;
        }
        r->failed += !open;
        r->held_us += open && ending->held > 0 ? (uint64_t)ending->held : 0;
        if (open && ending->judged != HF_JUDGED_OURS) {
            count_drop(r, ending);
        }
    }
    struct hf_record_ending *place = &r->endings[r->ending_next];
    hf_record_ending_fini(place);
    *place = *ending;
    *ending = (struct hf_record_ending){0};
    r->ending_next = (r->ending_next + 1) % HF_RECORD_ENDINGS;
    r->ending_count += r->ending_count < HF_RECORD_ENDINGS;
}

void hf_record_failed_again(struct hf_record *r, hf_wall time)
{
    hf_record_minute_at(r, time)->fails++;
    r->failed++;
}

const struct hf_record_ending *hf_record_ending_at(const struct hf_record *r, size_t back)
{
    return back >= r->ending_count
               ? NULL
               : &r->endings[(r->ending_next + HF_RECORD_ENDINGS - 1 - back) % HF_RECORD_ENDINGS];
}

/* ---- incidents --------------------------------------------------------------------------- */

struct hf_record_incident *hf_record_incident_add(struct hf_record *r,
                                                  struct hf_record_incident *incident)
{
    if (r->incident_count == HF_RECORD_INCIDENTS) { /* the oldest that is over goes */
        size_t old = 0;
        while (old < r->incident_count - 1 && r->incidents[old].closed == 0) {
            old++;
        }
        hf_record_incident_fini(&r->incidents[old]);
        memmove(&r->incidents[old], &r->incidents[old + 1],
                (r->incident_count - old - 1) * sizeof(r->incidents[0]));
        r->incident_count--;
    }
    struct hf_record_incident *place = &r->incidents[r->incident_count++];
    *place = *incident;
    *incident = (struct hf_record_incident){0};
    return place;
}

struct hf_record_incident *hf_record_incident_open(struct hf_record *r, enum hf_incident_kind kind)
{
    for (size_t i = r->incident_count; i > 0; i--) {
        struct hf_record_incident *incident = &r->incidents[i - 1];
        if (incident->kind == kind && incident->closed == 0) {
            return incident;
        }
    }
    return NULL;
}
