/* SPDX-License-Identifier: Apache-2.0 */
/* The tally of a log: see tally.h. What peaks point to is in finding.c, the drawing in curve.c. */
#include "logs/tally.h"

#include <stdio.h>

#define SECOND INT64_C(1000000)
/* Fewer bytes are a greeting, or the handshake that some proxies count: no limit lies there. */
#define BYTES_MIN 16384

const char *hf_logs_by_text(enum hf_logs_by by)
{
    static const char *const texts[HF_LOGS_BYS] = {"cause", "path", "address", "code", "upstream"};
    HF_ASSERT((unsigned)by < HF_LOGS_BYS);
    return texts[by];
}

static struct hf_logs_counts *tables(struct hf_logs_tally *t, size_t i)
{
    struct hf_logs_counts *const all[] = {&t->causes,   &t->codes,    &t->dimension, &t->signatures,
                                          &t->upgraded, &t->statuses, &t->turned};
    return i < sizeof(all) / sizeof(all[0]) ? all[i] : NULL;
}

enum hf_status hf_logs_tally_init(struct hf_logs_tally *t, const struct hf_allocator *alloc,
                                  enum hf_logs_by by, const uint8_t key[16], uint64_t seed)
{
    *t = (struct hf_logs_tally){
        .alloc = alloc, .by = by, .first = HF_LOGS_NO_TIME, .last = HF_LOGS_NO_TIME};
    for (size_t i = 0; tables(t, i) != NULL; i++) {
        hf_logs_counts_init(tables(t, i), alloc, key);
    }
    hf_random_init(&t->random, seed);
    t->ages = hf_survival_new(alloc, seed);
    t->silences = hf_survival_new(alloc, seed + 1);
    t->instants = hf_survival_new(alloc, seed + 2);
    return t->ages != NULL && t->silences != NULL && t->instants != NULL ? HF_OK : HF_NO_MEMORY;
}

void hf_logs_tally_fini(struct hf_logs_tally *t)
{
    for (size_t i = 0; tables(t, i) != NULL; i++) {
        hf_logs_counts_fini(tables(t, i));
    }
    hf_survival_free(t->ages);
    hf_survival_free(t->silences);
    hf_survival_free(t->instants);
    hf_release(t->alloc, t->samples);
}

/* ---- endings */

/* The cause for the counts: what the log tells, else how it ended in brackets. */
static const char *cause_words(const struct hf_logs_ending *e)
{
    if (e->cause[0] != '\0') {
        return e->cause;
    }
    switch (e->how) {
    case HF_LOGS_HOW_CLOSE:
        return "(a Close frame)";
    case HF_LOGS_HOW_FIN:
        return e->who == HF_LOGS_WHO_CLIENT   ? "(ended by the client's side)"
               : e->who == HF_LOGS_WHO_SERVER ? "(ended by the server's side)"
                                              : "(ended in order, by either side)";
    case HF_LOGS_HOW_RST:
        return e->who == HF_LOGS_WHO_CLIENT   ? "(reset by the client's side)"
               : e->who == HF_LOGS_WHO_SERVER ? "(reset by the server's side)"
                                              : "(reset)";
    case HF_LOGS_HOW_TIMER:
        return "(a timer)";
    case HF_LOGS_HOW_SILENCE:
        return "(no answer any more)";
    case HF_LOGS_HOW_KILLED:
        return "(ended with its process)";
    case HF_LOGS_HOW_FAULT:
        return "(a broken rule)";
    case HF_LOGS_HOW_OTHER:
        return "(something else)";
    case HF_LOGS_HOW_UNKNOWN:
    case HF_LOGS_HOWS:
    default:
        return "(the log does not tell)";
    }
}

static bool is_adverse(const struct hf_logs_ending *e)
{
    bool by_client = e->how == HF_LOGS_HOW_RST && e->who != HF_LOGS_WHO_SERVER;
    bool by_how = e->how == HF_LOGS_HOW_TIMER || e->how == HF_LOGS_HOW_RST ||
                  e->how == HF_LOGS_HOW_SILENCE || e->how == HF_LOGS_HOW_KILLED ||
                  e->how == HF_LOGS_HOW_FAULT;
    bool by_code = e->code != 0 && e->code != 1000 && e->code != 1001 && e->code != 1005 &&
                   e->code != 1006 && e->how == HF_LOGS_HOW_CLOSE;
    return !e->wished && ((by_how && !by_client) || by_code);
}

static void count_dimension(struct hf_logs_tally *t, const struct hf_logs_ending *e)
{
    char code[16];
    const char *name = "";
    switch (t->by) {
    case HF_LOGS_BY_PATH:
        name = e->path;
        break;
    case HF_LOGS_BY_ADDRESS:
        name = e->address;
        break;
    case HF_LOGS_BY_UPSTREAM:
        name = e->upstream;
        break;
    case HF_LOGS_BY_CODE:
        (void)snprintf(code, sizeof(code), "%u", e->code);
        name = e->code == 0 ? "" : code;
        break;
    case HF_LOGS_BY_CAUSE:
    case HF_LOGS_BYS:
    default:
        return;
    }
    (void)hf_logs_counts_add(&t->dimension, hf_slice_of(name[0] == '\0' ? "(not told)" : name), 1);
}

/* What a Close said, for naming by code and reason. */
static void count_signature(struct hf_logs_tally *t, const struct hf_logs_ending *e)
{
    char text[136];
    if (e->how != HF_LOGS_HOW_CLOSE || e->code == 0 || e->wished) {
        return;
    }
    (void)snprintf(text, sizeof(text), "%u %s", e->code, e->reason);
    (void)hf_logs_counts_add(&t->signatures, hf_slice_of(text), 1);
}

static float silence_of(const struct hf_logs_ending *e)
{
    hf_time least = e->silent_rx < e->silent_tx ? e->silent_rx : e->silent_tx;
    return least < 0 ? -1 : (float)((double)least / 1e6);
}

static enum hf_status sample(struct hf_logs_tally *t, const struct hf_logs_ending *e,
                             uint32_t cause)
{
    size_t at = t->sample_count;
    if (t->sample_count == t->sample_cap && t->sample_cap < HF_LOGS_SAMPLES_MAX) {
        size_t cap = t->sample_cap == 0 ? 256 : 2 * t->sample_cap;
        struct hf_logs_sample *more =
            t->alloc->resize(t->alloc->context, t->samples, cap * sizeof(*more));
        if (more == NULL) {
            return HF_NO_MEMORY;
        }
        t->samples = more;
        t->sample_cap = cap;
    }
    if (t->sample_count < t->sample_cap) {
        t->sample_count++;
    } else {
        at = (size_t)hf_random_below(&t->random, t->ended);
    }
    if (at < t->sample_count) {
        t->samples[at] = (struct hf_logs_sample){
            .age = e->age < 0 ? -1 : (float)((double)e->age / 1e6),
            .silence = silence_of(e),
            .at = e->at == HF_LOGS_NO_TIME ? 0 : (double)e->at / 1e6,
            .cause = cause < UINT16_MAX ? (uint16_t)cause : UINT16_MAX,
        };
    }
    return HF_OK;
}

/* Where the log has no time, an ending stands ten seconds behind the last one: no two of them are
 * at one instant. */
static hf_time instant_of(struct hf_logs_tally *t, const struct hf_logs_ending *e)
{
    t->instants_seen++;
    if (e->at != HF_LOGS_NO_TIME) {
        return e->at;
    }
    return (t->last == HF_LOGS_NO_TIME ? 0 : t->last) + (hf_time)t->instants_seen * 10 * SECOND;
}

static enum hf_status add_lifetime(struct hf_logs_tally *t, const struct hf_logs_ending *e)
{
    struct hf_lifetime l = {
        .age = e->age,
        .ended = instant_of(t, e),
        .messages_up = e->messages_up,
        .messages_down = e->messages_down,
        .bytes_up = e->bytes_up < BYTES_MIN ? -1 : e->bytes_up,
        .bytes_down = e->bytes_down < BYTES_MIN ? -1 : e->bytes_down,
        .censored = e->fate == HF_LOGS_LIVED || e->wished,
    };
    if (e->age < 0 && e->at == HF_LOGS_NO_TIME) {
        return HF_OK;
    }
    if (e->age < 0) {
        /* The clock alone speaks: each is given another age, and peaks of age are left out. */
        l.age = SECOND << (t->instants_seen % 12);
        return e->fate == HF_LOGS_LIVED ? HF_OK : hf_survival_add(t->instants, &l);
    }
    t->aged++;
    enum hf_status status = hf_survival_add(t->ages, &l);
    if (status == HF_OK && e->silent_rx >= 0 && e->silent_tx >= 0) {
        l.age = e->silent_rx < e->silent_tx ? e->silent_rx : e->silent_tx;
        l.messages_up = l.messages_down = l.bytes_up = l.bytes_down = -1;
        status = hf_survival_add(t->silences, &l);
    }
    return status;
}

/* ---- notices */

static void note_second(struct hf_logs_tally *t, int64_t at)
{
    int64_t second = at / SECOND;
    size_t slot = (size_t)(second & 7);
    if (t->recent[slot].second != second) {
        t->recent[slot].second = second;
        t->recent[slot].count = 0;
    }
    t->recent[slot].count++;
    for (size_t i = t->notice_count; i-- > 0 && i + 16 > t->notice_count;) {
        struct hf_logs_notice *n = &t->notices[i];
        if (!n->is_start && n->last != HF_LOGS_NO_TIME && at >= n->first - SECOND &&
            at <= n->last + 2 * SECOND) {
            n->endings++;
        }
    }
}

static bool is_same(const struct hf_logs_notice *n, const struct hf_logs_event *e,
                    enum hf_logs_kind kind)
{
    hf_time room = kind == HF_LOGS_RESTART ? 5 * SECOND : 60 * SECOND;
    bool near =
        (n->last == HF_LOGS_NO_TIME) == (e->at == HF_LOGS_NO_TIME) &&
        (e->at == HF_LOGS_NO_TIME || (e->at >= n->first - SECOND && e->at - n->last <= room));
    return n->kind == kind && near &&
           hf_slice_eq(hf_slice_of(n->what), hf_slice_first(e->what, sizeof(n->what) - 1));
}

static void note(struct hf_logs_tally *t, const struct hf_logs_event *e, enum hf_logs_kind kind)
{
    for (size_t i = t->notice_count; i-- > 0 && i + 16 > t->notice_count;) {
        struct hf_logs_notice *n = &t->notices[i];
        if (is_same(n, e, kind)) {
            n->lines++;
            n->last = e->at;
            return;
        }
    }
    if (t->notice_count == HF_LOGS_NOTICES_MAX) {
        t->notices_lost++;
        return;
    }
    struct hf_logs_notice *n = &t->notices[t->notice_count++];
    *n = (struct hf_logs_notice){.kind = kind, .first = e->at, .last = e->at, .lines = 1};
    n->is_start = hf_slice_ends(e->what, HF_LITERAL("was started"));
    hf_logs_copy_text(n->what, sizeof(n->what), e->what);
    hf_logs_copy_text(n->cause, sizeof(n->cause), e->cause);
    hf_logs_copy_text(n->reason, sizeof(n->reason), e->reason);
    for (int64_t back = 0; e->at != HF_LOGS_NO_TIME && back <= 1; back++) {
        int64_t second = e->at / SECOND - back;
        size_t slot = (size_t)(second & 7);
        n->endings += t->recent[slot].second == second ? t->recent[slot].count : 0;
    }
}

static void count_status(struct hf_logs_counts *c, uint16_t http, struct hf_slice path)
{
    char text[136];
    path = hf_slice_first(path, hf_slice_find(path, '?'));
    (void)snprintf(text, sizeof(text), "%u %.*s", http, HF_SLICE_ARG(hf_slice_first(path, 120)));
    (void)hf_logs_counts_add(c, hf_slice_of(text), 1);
}

void hf_logs_tally_event(struct hf_logs_tally *t, const struct hf_logs_event *e)
{
    switch (e->kind) {
    case HF_LOGS_HTTP:
        count_status(&t->statuses, e->http, e->path);
        break;
    case HF_LOGS_RESTART:
    case HF_LOGS_DEATH:
        note(t, e, HF_LOGS_RESTART);
        break;
    case HF_LOGS_LIMITER:
    case HF_LOGS_FAULT:
        note(t, e, e->kind);
        break;
    case HF_LOGS_HINT:
        t->saw_reasons = true;
        break;
    case HF_LOGS_NOTHING:
    case HF_LOGS_OPEN:
    case HF_LOGS_CLOSED:
    case HF_LOGS_END:
    case HF_LOGS_ALIVE:
    case HF_LOGS_REFUSED:
    default:
        break;
    }
}

enum hf_status hf_logs_tally_ending(struct hf_logs_tally *t, const struct hf_logs_ending *e)
{
    char code[16];
    t->formats[e->format < HF_LOGS_FORMATS ? e->format : HF_LOGS_APP]++;
    if (e->fate == HF_LOGS_TURNED_AWAY) {
        t->refused++;
        if (e->http != 0) {
            count_status(&t->turned, e->http, hf_slice_of(e->path));
        } else { /* it did not come to an answer */
            const char *why = e->reason[0] != '\0' ? e->reason : e->cause;
            (void)hf_logs_counts_add(&t->turned, hf_slice_of(why[0] != '\0' ? why : "no answer"),
                                     1);
        }
        return HF_OK;
    }
    if (e->path[0] != '\0') {
        (void)hf_logs_counts_add(&t->upgraded, hf_slice_of(e->path), 1);
    }
    enum hf_status status = add_lifetime(t, e);
    if (e->fate == HF_LOGS_LIVED) {
        t->lived++;
        return status;
    }
    t->ended++;
    t->wished += e->wished ? 1 : 0;
    t->adverse += is_adverse(e) ? 1 : 0;
    t->hows[e->how]++;
    t->untold += e->how == HF_LOGS_HOW_UNKNOWN && e->format == HF_LOGS_NGINX_ACCESS ? 1 : 0;
    uint32_t cause = hf_logs_counts_add(&t->causes, hf_slice_of(cause_words(e)), 1);
    if (e->code != 0) {
        (void)snprintf(code, sizeof(code), "%u", e->code);
        (void)hf_logs_counts_add(&t->codes, hf_slice_of(code), 1);
    }
    count_dimension(t, e);
    count_signature(t, e);
    if (e->at != HF_LOGS_NO_TIME) {
        t->first = t->first == HF_LOGS_NO_TIME || e->at < t->first ? e->at : t->first;
        t->last = e->at > t->last ? e->at : t->last;
        note_second(t, e->at);
    }
    return status == HF_OK ? sample(t, e, cause) : status;
}

size_t hf_logs_tally_refused(const struct hf_logs_tally *t, const struct hf_logs_count **top,
                             size_t max, uint64_t *total)
{
    *total = t->refused;
    size_t n = hf_logs_counts_top(&t->turned, top, max);
    for (size_t i = 0; i < t->statuses.count; i++) {
        const struct hf_logs_count *c = t->statuses.all[i];
        struct hf_slice path = hf_slice_from(hf_slice_of(c->name), 4);
        if (hf_logs_counts_find(&t->upgraded, path) == NULL) {
            continue;
        }
        *total += c->count;
        size_t at = n < max ? n : max;
        while (at > 0 && top[at - 1]->count < c->count) {
            if (at < max) {
                top[at] = top[at - 1];
            }
            at--;
        }
        if (at < max) {
            top[at] = c;
            n += n < max;
        }
    }
    return n;
}
