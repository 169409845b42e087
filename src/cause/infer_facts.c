/* SPDX-License-Identifier: Apache-2.0 */
/* Trials in seconds, and the gaps that a timer would have seen. */
#include "cause/infer_facts.h"

#include <math.h>

static void sink(double *heap, size_t at, size_t count)
{
    double moved = heap[at];

    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1] > heap[child]) {
            child++;
        }
        if (!(heap[child] > moved)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

void sort_numbers(double *numbers, size_t count)
{
    for (size_t i = count / 2; i-- > 0;) {
        sink(numbers, i, count);
    }
    for (size_t end = count; end-- > 1;) {
        double first = numbers[0];
        numbers[0] = numbers[end];
        numbers[end] = first;
        sink(numbers, 0, end);
    }
}

double part_of(const double *sorted, size_t count, double part)
{
    size_t at = (size_t)(part * (double)count);

    return count == 0 ? 0 : sorted[at >= count ? count - 1 : at];
}

uint16_t resets_of(uint8_t kind)
{
    static const uint16_t bits[HF_MOMENT_KINDS] = {
        [HF_MOMENT_SENT] = HF_RESETS_SENT,        [HF_MOMENT_GOT] = HF_RESETS_GOT,
        [HF_MOMENT_PING_SENT] = HF_RESETS_PING_C, [HF_MOMENT_PONG_GOT] = HF_RESETS_PONG_S,
        [HF_MOMENT_PING_GOT] = HF_RESETS_PING_S,  [HF_MOMENT_PONG_SENT] = HF_RESETS_PONG_C,
        [HF_MOMENT_BEAT_SENT] = HF_RESETS_PING_C, [HF_MOMENT_PONG_ODD] = HF_RESETS_PONG_S,
    };
    return kind < HF_MOMENT_KINDS ? bits[kind] : 0;
}

/* A bounded list of moments has lost its middle: the gap there is none. */
static bool is_cut(const struct hf_trial *t, size_t index)
{
    uint64_t all = 0;

    for (size_t i = 0; i < HF_MOMENT_KINDS; i++) {
        all += t->count[i];
    }
    return all > t->moment_count &&
           (index == t->moment_count / 2 || index == t->moment_count / 2 + 1);
}

static struct reach gaps_of(const struct fact *f, uint16_t bits)
{
    const struct hf_trial *t = f->t;
    struct reach r = {0};
    double last = 0;

    for (size_t i = 0; i < t->moment_count; i++) {
        double at = seconds_of(t->moments[i].at);
        if (at > f->age) {
            break;
        }
        if (at < last || (bits & resets_of(t->moments[i].kind)) == 0) {
            continue;
        }
        if (at - last > r.most && !is_cut(t, i)) {
            r.most = at - last;
        }
        last = at;
    }
    r.last = f->age - last;
    return r;
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}
static double smaller(double a, double b)
{
    return a < b ? a : b;
}

struct reach reach_of(const struct fact *f, uint16_t resets)
{
    struct reach r;

    if (resets & HF_RESETS_READING) {
        r = f->stopper ? gaps_of(f, HF_RESETS_DOWN) : (struct reach){0};
        r.most = 0;
        return r;
    }
    if (f->stopper && (resets & (HF_RESETS_DOWN | HF_RESETS_BOTH)) != 0) {
        return (struct reach){.last = -1};
    }
    if (resets & HF_RESETS_BOTH) {
        struct reach up = gaps_of(f, HF_RESETS_UP), down = gaps_of(f, HF_RESETS_DOWN);
        return (struct reach){larger(up.most, down.most), larger(up.last, down.last), 0};
    }
    r = gaps_of(f, resets & HF_RESETS_ANY_BYTE);
    if ((resets & HF_RESETS_PACKET) && f->t->plan.keepalive > 0) {
        double every = seconds_of(f->t->plan.keepalive);
        r = (struct reach){smaller(r.most, every), smaller(r.last, every), 0};
    }
    return r;
}

struct reach reach_of_watchdog(const struct fact *f, const struct watchdog *w, double *base)
{
    const struct hf_trial *t = f->t;
    bool is_empty = t->plan.pong == HF_PONG_EMPTY;
    double waits = -1, answered = 0;
    struct reach r = {0};
    uint32_t size = 0;

    for (size_t i = 0; i < t->moment_count; i++) {
        const struct hf_moment *m = &t->moments[i];
        double at = seconds_of(m->at);
        bool counts = false;
        if (at > f->age) {
            break;
        }
        if (m->kind == HF_MOMENT_PING_GOT) {
            size = m->size;
            waits = waits < 0 ? at : waits;
            continue;
        }
        if (m->kind == HF_MOMENT_PONG_SENT) {
            counts = w->arrives && (!is_empty || w->empty_counts || size == 0);
        } else if (m->kind == HF_MOMENT_SENT) {
            counts = (w->helps & HF_RESETS_SENT) != 0;
        } else if (m->kind == HF_MOMENT_BEAT_SENT || m->kind == HF_MOMENT_PING_SENT) {
            counts = (w->helps & HF_RESETS_PING_C) != 0;
        }
        if (counts) {
            if (waits >= 0 && at - waits > r.most && !is_cut(t, i)) {
                r.most = at - waits;
            }
            waits = -1;
            answered = at;
        }
    }
    r.last = waits < 0 ? 0 : f->age - waits;
    if (base != NULL) {
        *base = answered;
    }
    return r;
}

/* It sent into a silence, and a reset came back at once: who forgot it may have done so long
 * before. */
static bool was_refused(const struct fact *f)
{
    const struct hf_trial *t = f->t;
    double sent;

    if (t->end.how != HF_HOW_RST || t->moment_count == 0 ||
        !(resets_of(t->moments[t->moment_count - 1].kind) & HF_RESETS_UP)) {
        return false;
    }
    sent = seconds_of(t->moments[t->moment_count - 1].at);
    return f->age - sent < 0.3 && (t->end.unacked > 0 || t->end.unsure > 0);
}

/* ---- facts ------------------------------------------------------------------------------------
 */

/* The longest wait for an answer, and whether it died with questions open. */
static void look_for_stalls(struct fact *f, double rtt, bool echoes, bool pongs)
{
    const struct hf_trial *t = f->t;
    double asked = -1, life = 0, sent = -1;
    unsigned questions = 0, asked_since = 0;

    for (size_t i = 0; i < t->moment_count; i++) {
        const struct hf_moment *m = &t->moments[i];
        double at = seconds_of(m->at);
        if (at > f->age) {
            break;
        }
        if (sent < 0 && (resets_of(m->kind) & HF_RESETS_UP)) {
            sent = at;
        }
        if (resets_of(m->kind) & HF_RESETS_DOWN) {
            sent = -1;
            if (asked >= 0 && at - asked > larger(0.5, 10 * rtt) && !is_cut(t, i) &&
                f->late_count < LATE_MAX) {
                f->late[f->late_count].wait = at - asked;
                f->late[f->late_count++].at = at;
            }
            life = at;
            asked = -1;
            asked_since = 0;
        } else if ((m->kind == HF_MOMENT_PING_SENT && pongs) ||
                   (m->kind == HF_MOMENT_SENT && echoes)) {
            asked = asked < 0 ? at : asked;
            questions++;
            asked_since++;
        }
    }
    f->life = life;
    f->asked = asked;
    f->sent = sent;
    if (f->dead && f->silent &&
        asked > 0) { /* it was dead when this was asked, and not before `life` */
        f->age = asked - 0.0001;
        f->unsure = f->age > life ? f->age - life : 0;
        f->ended = f->opened + f->age;
    }
    f->asks = questions >= 3 && questions * 1.5 > f->age;
    f->stalled = f->dead && asked >= 0 && f->age - asked > 1.3 && f->age - asked > 8 * rtt &&
                 (asked_since >= 2 || f->age - asked > 2);
}

static bool is_stopper(const struct hf_trial *t)
{
    return t->plan.stops_reading;
}

static void fact_take(struct fact *f, const struct hf_trial *t)
{
    *f = (struct fact){.t = t};
    f->age = seconds_of(t->end.age < 0 ? 0 : t->end.age);
    f->unsure = seconds_of(t->end.unsure < 0 ? 0 : t->end.unsure);
    f->unsure = f->unsure > f->age ? f->age : f->unsure;
    f->opened = seconds_of(t->opened);
    f->dead = hf_trial_is_dead(t);
    if (!f->dead && f->unsure > 0.5) { /* it lived for so long that anybody knows */
        f->age -= f->unsure;
        f->unsure = 0;
    }
    f->ended = f->opened + f->age;
    f->silent = t->end.how == HF_HOW_SILENCE || t->end.how == HF_HOW_TIMEOUT;
    f->withheld = t->plan.pong != HF_PONG_ANSWER && t->count[HF_MOMENT_PING_GOT] > 0;
    f->stopper = is_stopper(t);
    f->big = t->plan.load && t->plan.message_size > 0;
    f->refused = was_refused(f);
    f->unsure = f->silent ? f->unsure : smaller(f->unsure, 0.3);
}

/* A typical round trip of a ping, and the server's own pings. */
static void look_at_pings(struct evidence *e, size_t room)
{
    size_t trips = 0, gaps = 0;

    for (size_t i = 0; i < e->count; i++) {
        const struct hf_trial *t = e->facts[i].t;
        double last = -1, least = INFINITY;
        unsigned pings = 0;
        for (size_t k = 0; k < t->moment_count; k++) {
            if (t->moments[k].kind == HF_MOMENT_PONG_GOT) {
                least = smaller(least, (double)t->moments[k].size / 1e6);
            } else if (t->moments[k].kind == HF_MOMENT_PING_GOT) {
                double at = seconds_of(t->moments[k].at);
                if (last >= 0 && gaps < room && pings < 8 && !is_cut(t, k)) {
                    e->scratch[room + gaps++] = at - last;
                    pings = 8; /* one for each trial */
                }
                last = at;
            }
        }
        if (isfinite(least) && trips < room) {
            e->scratch[trips++] = least;
        }
        e->pings_got += t->count[HF_MOMENT_PING_GOT] > 0 ? 1 : 0;
    }
    sort_numbers(e->scratch, trips);
    sort_numbers(e->scratch + room, gaps);
    e->rtt = trips > 0 ? part_of(e->scratch, trips, 0.5) : e->context->rtt_s;
    e->rtt = e->rtt > 0 && e->rtt < 5 ? e->rtt : 0.02;
    e->ping_gap = part_of(e->scratch + room, gaps, 0.5);
}

/* Messages are answered by messages: most of those sent early on. Not where the server talks by
 * itself, beyond a greeting, to those that say nothing: what comes is then no answer. */
static bool has_echoes(const struct evidence *e)
{
    uint64_t sent = 0, got = 0;

    for (size_t i = 0; i < e->count; i++) {
        const struct hf_trial *t = e->facts[i].t;
        if (t->count[HF_MOMENT_SENT] == 0 && t->count[HF_MOMENT_GOT] > 1) {
            return false;
        }
        if (t->count[HF_MOMENT_SENT] > 0) {
            sent += t->count[HF_MOMENT_SENT] < 4 ? t->count[HF_MOMENT_SENT] : 4;
            got += t->count[HF_MOMENT_GOT] < 4 ? t->count[HF_MOMENT_GOT] : 4;
        }
    }
    return sent > 0 && (double)got > 0.6 * (double)sent;
}

/* A ping is a question when any was ever answered. Where none was, it still is one when all that
 * pinged have died: but not when some live on without answers, longer than those that died. */
static bool pings_ask(const struct evidence *e)
{
    double died = 0, lived = 0;

    for (size_t i = 0; i < e->count; i++) {
        const struct hf_trial *t = e->facts[i].t;
        if (t->count[HF_MOMENT_PONG_GOT] + t->count[HF_MOMENT_PONG_ODD] > 0) {
            return true;
        }
        if (t->count[HF_MOMENT_PING_SENT] < 2) {
            continue;
        }
        if (e->facts[i].dead) {
            died = larger(died, e->facts[i].age);
        } else {
            lived = larger(lived, e->facts[i].age);
        }
    }
    return lived < 1.2 * died;
}

static void sum_up(struct evidence *e)
{
    double last = 0, first = INFINITY;

    for (size_t i = 0; i < e->count; i++) {
        struct fact *f = &e->facts[i];
        const struct hf_trial *t = f->t;
        e->scratch[i] = f->age;
        e->dead += f->dead ? 1 : 0;
        e->died_silent += f->dead && f->silent ? 1 : 0;
        e->longest = larger(e->longest, f->age);
        last = larger(last, f->ended);
        first = smaller(first, f->opened);
        if (!(f->dead && f->silent)) { /* what nobody answers any more is sent again, of course */
            e->retransmits += t->end.retransmits;
            e->lossy += t->end.retransmits >= 2 ? 1 : 0;
        }
        e->sent_segments += t->count[HF_MOMENT_SENT] + t->count[HF_MOMENT_PING_SENT] +
                            t->count[HF_MOMENT_PONG_SENT] + t->count[HF_MOMENT_BEAT_SENT] + 2 +
                            t->bytes_sent / 1400;
    }
    sort_numbers(e->scratch, e->count);
    e->age = larger(0.5, part_of(e->scratch, e->count, 0.5));
    e->span = larger(1, last - (e->count > 0 ? first : 0));
    e->noise = NOISE_DEATH / e->age;
}

static size_t count_opened(struct evidence *e)
{
    size_t opened = 0;

    for (size_t i = 0; i < e->trial_count; i++) {
        const struct hf_trial *t = &e->trials[i];
        if (t->path != 0) {
            continue;
        }
        if (hf_trial_was_open(t)) {
            opened++;
        } else if (hf_trial_is_dead(t)) {
            e->never_opened++;
            e->answered_no += t->end.how == HF_HOW_STATUS || t->end.how == HF_HOW_TLS ||
                                      t->end.how == HF_HOW_FAULT
                                  ? 1
                                  : 0;
        }
    }
    return opened;
}

bool evidence_take(struct evidence *e, const struct hf_trial *trials, size_t count,
                   const struct hf_infer_context *context, const struct hf_allocator *alloc)
{
    size_t opened, moments = 0;
    bool echoes;

    *e = (struct evidence){
        .alloc = alloc, .context = context, .trials = trials, .trial_count = count};
    opened = count_opened(e);
    e->facts = hf_alloc_zero(alloc, (opened + 1) * sizeof(*e->facts));
    e->reach = hf_alloc_zero(alloc, (opened + 1) * sizeof(*e->reach));
    e->floor = hf_alloc_zero(alloc, (opened + 1) * sizeof(*e->floor));
    e->scratch = hf_alloc_zero(alloc, (2 * opened + 8) * sizeof(*e->scratch));
    e->first = hf_alloc_zero(alloc, (opened + 2) * sizeof(*e->first));
    if (e->facts == NULL || e->reach == NULL || e->floor == NULL || e->scratch == NULL ||
        e->first == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (trials[i].path == 0 && hf_trial_was_open(&trials[i])) {
            fact_take(&e->facts[e->count++], &trials[i]);
            moments += trials[i].moment_count;
        }
    }
    e->times = hf_alloc_zero(alloc, (moments + 1) * sizeof(*e->times));
    if (e->times == NULL) {
        return false;
    }
    look_at_pings(e, opened + 4);
    echoes = has_echoes(e);
    for (size_t i = 0; i < e->count; i++) {
        look_for_stalls(&e->facts[i], e->rtt, echoes, pings_ask(e));
        e->stalls += e->facts[i].stalled ? 1 : 0;
    }
    sum_up(e);
    for (size_t i = 0; i < e->count; i++) { /* silence is nobody's whim */
        e->floor[i] = e->facts[i].silent ? 0.1 * e->noise : e->noise;
    }
    return true;
}

void evidence_drop(struct evidence *e)
{
    hf_release(e->alloc, e->facts);
    hf_release(e->alloc, e->reach);
    hf_release(e->alloc, e->floor);
    hf_release(e->alloc, e->scratch);
    hf_release(e->alloc, e->times);
    hf_release(e->alloc, e->first);
}
