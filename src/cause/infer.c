/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict: every model is fitted to all trials, each class takes the weight of its models, and
 * what the endings looked like speaks for or against a class. A class is named only when it is far
 * before the next one and enough independent endings carry it. */
#include "cause/infer.h"

#include "cause/infer_say.h"

#include <math.h>
#include <string.h>

#define TEXTS_MAX 65536
#define NAMED_FROM 0.93    /* posterior from which a class is named */
#define NAMED_AT_LEAST 0.6 /* and confidence */
#define FIRM_FROM 0.95
#define WATCHDOG_ORDINARY_S 35 /* no product's default is shorter; several are hardly longer */

static const double prior[HF_CLASSES] = {
    [HF_CLASS_NONE] = 0.2,          [HF_CLASS_IDLE_TIMER] = 0.2,      [HF_CLASS_LIFETIME] = 0.12,
    [HF_CLASS_MESSAGE_LIMIT] = 0.1, [HF_CLASS_SIZE_LIMIT] = 0.05,     [HF_CLASS_RESTART] = 0.1,
    [HF_CLASS_PONG_TIMEOUT] = 0.1,  [HF_CLASS_BLOCKED_SERVER] = 0.06, [HF_CLASS_NETWORK] = 0.1,
    [HF_CLASS_HANDSHAKE] = 0.05,    [HF_CLASS_INCONCLUSIVE] = 0,
};

void hf_verdict_init(struct hf_verdict *v, const struct hf_allocator *alloc)
{
    memset(v, 0, sizeof(*v));
    hf_buffer_init(&v->texts, alloc, TEXTS_MAX);
}

void hf_verdict_fini(struct hf_verdict *v)
{
    hf_buffer_reset(&v->texts);
}

const char *hf_verdict_text(const struct hf_verdict *v, size_t offset)
{
    return offset == 0 || offset >= v->texts.len ? "" : (const char *)v->texts.data + offset;
}

/* ---- what the endings looked like --------------------------------------------------------------
 */

enum look { LOOK_FIN, LOOK_RST, LOOK_CLOSE, LOOK_SILENT, LOOK_OTHER, LOOKS };

static enum look look_of(const struct hf_trial *t)
{
    switch (t->end.how) {
    case HF_HOW_FIN:
        return LOOK_FIN;
    case HF_HOW_RST:
        return LOOK_RST;
    case HF_HOW_CLOSE:
        return LOOK_CLOSE;
    case HF_HOW_SILENCE:
    case HF_HOW_TIMEOUT:
        return LOOK_SILENT;
    case HF_HOW_ALIVE:
    case HF_HOW_ENDED_BY_US:
    case HF_HOW_TLS:
    case HF_HOW_FAULT:
    case HF_HOW_STATUS:
    case HF_HOW_REFUSED:
    case HF_HOW_UNREACHABLE:
    case HF_HOW_NO_NAME:
    case HF_HOW_SLOW:
    case HF_HOW_ERRNO:
    case HF_HOW_KINDS:
        break;
    }
    return LOOK_OTHER;
}

static const double looks_like[HF_CLASSES][LOOKS] = {
    [HF_CLASS_NONE] = {.42, .42, .06, .07, .03},
    [HF_CLASS_IDLE_TIMER] = {.5, .15, .2, .12, .03},
    [HF_CLASS_LIFETIME] = {.5, .12, .33, .02, .03},
    [HF_CLASS_MESSAGE_LIMIT] = {.35, .15, .45, .02, .03},
    [HF_CLASS_SIZE_LIMIT] = {.25, .2, .45, .05, .05},
    [HF_CLASS_RESTART] = {.5, .2, .25, .02, .03},
    [HF_CLASS_PONG_TIMEOUT] = {.3, .3, .36, .02, .02},
    [HF_CLASS_BLOCKED_SERVER] = {.45, .3, .1, .12, .03},
    [HF_CLASS_NETWORK] = {.16, .26, .01, .54, .03},
    [HF_CLASS_HANDSHAKE] = {.3, .3, .2, .17, .03},
    [HF_CLASS_INCONCLUSIVE] = {.2, .2, .2, .2, .2},
};

/* The endings of one cause look alike, so they count as two at most. */
static double weight_of_looks(const struct evidence *e, enum hf_verdict_class class)
{
    double sum = 0;

    for (size_t i = 0; i < e->count; i++) {
        sum += e->facts[i].dead ? log(looks_like[class][look_of(e->facts[i].t)]) : 0;
    }
    return e->dead == 0 ? 0 : sum / (double)e->dead * fmin((double)e->dead, 2);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool says_word(const char *reason, const char *word)
{
    for (; *reason != '\0'; reason++) {
        size_t i = 0;
        while (word[i] != '\0' && lower(reason[i]) == word[i]) {
            i++;
        }
        if (word[i] == '\0') {
            return true;
        }
    }
    return false;
}

/* What a Close's code and words hint at, and how strongly. */
static double hint_of(const struct hf_trial_end *end, enum hf_verdict_class *class)
{
    static const struct {
        const char *word;
        enum hf_verdict_class class;
        double weight;
    } words[] = {
        {"keepalive ping", HF_CLASS_PONG_TIMEOUT, 10},
        {"ping timeout", HF_CLASS_PONG_TIMEOUT, 10},
        {"pong", HF_CLASS_PONG_TIMEOUT, 4},
        {"too big", HF_CLASS_SIZE_LIMIT, 4},
        {"too large", HF_CLASS_SIZE_LIMIT, 4},
        {"rate", HF_CLASS_MESSAGE_LIMIT, 3},
        {"limit", HF_CLASS_MESSAGE_LIMIT, 3},
        {"too many", HF_CLASS_MESSAGE_LIMIT, 3},
        {"quota", HF_CLASS_MESSAGE_LIMIT, 3},
        {"idle", HF_CLASS_IDLE_TIMER, 4},
        {"inactiv", HF_CLASS_IDLE_TIMER, 4},
        {"lifetime", HF_CLASS_LIFETIME, 4},
        {"expired", HF_CLASS_LIFETIME, 3},
        {"token", HF_CLASS_LIFETIME, 2},
        {"restart", HF_CLASS_RESTART, 4},
        {"shutdown", HF_CLASS_RESTART, 3},
        {"shutting", HF_CLASS_RESTART, 3},
    };

    if (end->how != HF_HOW_CLOSE) {
        return 0;
    }
    if (end->code == 1009) {
        *class = HF_CLASS_SIZE_LIMIT;
        return 5;
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (says_word(end->reason, words[i].word)) {
            *class = words[i].class;
            return words[i].weight;
        }
    }
    if (end->code == 1001 || end->code == 1012) {
        *class = HF_CLASS_RESTART;
        return 1.2;
    }
    if (end->code == 1008 || end->code == 4008 || end->code == 4429) {
        *class = HF_CLASS_MESSAGE_LIMIT;
        return 1.5;
    }
    return 0;
}

static double weight_of_hints(const struct evidence *e, enum hf_verdict_class class)
{
    double sum = 0;
    size_t hints = 0;

    for (size_t i = 0; i < e->count; i++) {
        enum hf_verdict_class hinted = HF_CLASSES;
        double weight = e->facts[i].dead ? hint_of(&e->facts[i].t->end, &hinted) : 0;
        if (weight > 0 && hinted == class) {
            sum += weight;
            hints++;
        }
    }
    return hints == 0
               ? 0
               : sum / (double)hints * fmin(1.5, (double)hints) * (double)hints / (double)e->dead;
}

/* A server that pings may be one that waits for pongs; the others rarely have one. */
static double weight_of_pings(const struct evidence *e, const struct weighed *w)
{
    const struct fit *f = w->best[HF_CLASS_PONG_TIMEOUT];

    return f != NULL && 2 * f->explained >= e->dead ? 1.9 : 0;
}

/* ---- weighing ----------------------------------------------------------------------------------
 */

static void fit_others(struct evidence *e, struct fits *fits)
{
    fit_idle(e, fits);
    fit_lifetime(e, fits);
    fit_counts(e, fits);
    fit_frames(e, fits);
    fit_restart(e, fits);
    fit_blocked(e, fits);
    fit_stalling(e, fits);
    fit_network(e, fits);
}

static void fit_all(struct evidence *e, struct fits *fits)
{
    size_t raised;

    fit_none(e, fits);
    fit_handshake(e, fits);
    if (e->dead == 0) {
        fit_network(e, fits);
        fit_stalling(e, fits);
        return;
    }
    fit_watchdog(e, fits);
    fit_size(e, fits);
    fit_others(e, fits);
    raised = fits->count;
    if (!raise_floors(e, fits)) {
        return;
    }
    fit_others(e, fits); /* once more, beside a second cause */
    for (size_t i = raised; i < fits->count; i++) {
        fits->list[i].score -= 7; /* the price of a second cause */
    }
}

static double add_logs(double a, double b)
{
    double high = fmax(a, b), low = fmin(a, b);

    return isinf(high) ? high : high + log1p(exp(low - high));
}

static void weigh(struct weighed *w)
{
    double all = -INFINITY;

    for (unsigned c = 0; c < HF_CLASSES; c++) {
        w->weight[c] = -INFINITY;
    }
    for (size_t i = 0; i < w->fits->count; i++) {
        const struct fit *f = &w->fits->list[i];
        w->weight[f->class] = add_logs(w->weight[f->class], f->score);
        if (w->best[f->class] == NULL || f->score > w->best[f->class]->score) {
            w->best[f->class] = f;
        }
    }
    for (unsigned c = 0; c < HF_CLASS_INCONCLUSIVE; c++) {
        enum hf_verdict_class class = (enum hf_verdict_class)c;
        w->weight[c] += log(prior[c]) + weight_of_looks(w->e, class) + weight_of_hints(w->e, class);
        w->weight[c] += class == HF_CLASS_PONG_TIMEOUT ? weight_of_pings(w->e, w) : 0;
        all = add_logs(all, w->weight[c]);
    }
    w->first = HF_CLASS_NONE;
    for (unsigned c = 0; c < HF_CLASS_INCONCLUSIVE; c++) {
        w->posterior[c] = exp(w->weight[c] - all);
        if (w->weight[c] > w->weight[w->first]) {
            w->first = (enum hf_verdict_class)c;
        }
    }
    w->second = w->first == HF_CLASS_NONE ? HF_CLASS_IDLE_TIMER : HF_CLASS_NONE;
    for (unsigned c = 0; c < HF_CLASS_INCONCLUSIVE; c++) {
        if (c != w->first && w->weight[c] > w->weight[w->second]) {
            w->second = (enum hf_verdict_class)c;
        }
    }
    w->margin = w->weight[w->first] - w->weight[w->second];
}

/* Which sets explain an idle timer alike, and the one to name: where one direction was shown to
 * suffice it is that direction, where nothing tells them apart it is any byte. */
const struct fit *idle_fit_named(const struct weighed *w)
{
    const struct fit *best = w->best[HF_CLASS_IDLE_TIMER], *any = NULL, *up = NULL, *down = NULL;

    if (best == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < w->fits->count; i++) {
        const struct fit *f = &w->fits->list[i];
        if (f->model != MODEL_IDLE || f->score < best->score - 3.5) {
            continue;
        }
        any = f->resets == HF_RESETS_ANY_BYTE ? f : any;
        up = f->resets == HF_RESETS_UP ? f : up;
        down = f->resets == HF_RESETS_DOWN ? f : down;
    }
    if (up != NULL && down == NULL) {
        return up;
    }
    if (down != NULL && up == NULL) {
        return down;
    }
    return any != NULL ? any : best;
}

/* ---- the verdict -------------------------------------------------------------------------------
 */

static void candidate_of(const struct weighed *w, enum hf_verdict_class class,
                         struct hf_candidate *c)
{
    const struct fit *f = w->best[class];

    *c = (struct hf_candidate){.class = class, .posterior = w->posterior[class]};
    if (f == NULL) {
        return;
    }
    if (class == HF_CLASS_IDLE_TIMER) {
        f = idle_fit_named(w);
        c->resets = f->resets;
    } else if (class == HF_CLASS_PONG_TIMEOUT) {
        c->resets = HF_RESETS_PONG_C | f->watchdog.helps;
    }
    c->value = f->value;
    c->low = f->low;
    c->high = f->high;
    if (class == HF_CLASS_MESSAGE_LIMIT) {
        c->counts_down = (f->resets & HF_RESETS_SENT) == 0;
        c->window = f->window;
        c->server_messages = f->server_messages;
    }
}

static void list_candidates(struct hf_verdict *v, const struct weighed *w)
{
    v->candidate_count = 0;
    for (unsigned c = 0; c < HF_CLASS_INCONCLUSIVE; c++) {
        struct hf_candidate moved;
        size_t at = v->candidate_count++;
        candidate_of(w, (enum hf_verdict_class)c, &moved);
        for (; at > 0 && v->candidates[at - 1].posterior < moved.posterior; at--) {
            v->candidates[at] = v->candidates[at - 1];
        }
        v->candidates[at] = moved;
    }
}

/* How far the number of what carries it lets one go. */
static double quality_of(const struct weighed *w)
{
    static const double by_deaths[] = {0.3, 0.62, 0.86, 0.93, 0.96, 0.97, 0.98};
    const struct fit *f = w->best[w->first];
    double quality;
    size_t n;

    if (f == NULL) {
        return 0.3;
    }
    if (w->first == HF_CLASS_NONE) {
        return 0.985 - 0.6 * pow(0.6, (double)f->lived) - (f->lived == 0 ? 0.3 : 0);
    }
    n = f->explained < 6 ? f->explained : 6;
    if (f->model == MODEL_FLAT && w->e->retransmits > 20) {
        n = 6;
    }
    quality = by_deaths[n];
    if (w->e->dead > 0 && w->first != HF_CLASS_HANDSHAKE && f->model != MODEL_STALLING) {
        double lost = (double)f->unexplained / (double)w->e->dead;
        quality *= 1 - 1.2 * fmax(0, lost - 0.25);
    }
    return quality < 0.05 ? 0.05 : quality;
}

/* Somebody waits for an answer right now: what comes of it is worth waiting for. */
static bool is_pending(const struct evidence *e)
{
    for (size_t i = 0; i < e->count; i++) {
        const struct fact *f = &e->facts[i];
        if (!f->dead && f->t->end.how == HF_HOW_ALIVE && f->asked >= 0 &&
            f->age - f->asked > 1 + 4 * e->rtt) {
            return true;
        }
    }
    return false;
}

/* Enough has been seen that more of the same would change nothing. */
static bool is_firm(const struct hf_verdict *v, const struct weighed *w)
{
    const struct fit *f = w->best[w->first];

    if (f == NULL || v->best.class == HF_CLASS_INCONCLUSIVE || v->confidence < FIRM_FROM ||
        w->margin < 5 || v->best.class == HF_CLASS_NONE || is_pending(w->e)) {
        return false;
    }
    switch (f->model) {
    case MODEL_IDLE:
    case MODEL_WATCHDOG:
        return f->lived >= 2 && w->e->longest >= 2 * f->value;
    case MODEL_RESTART:
        return f->instants >= 3 && f->tight;
    case MODEL_SIZE:
        return f->high <= 1.02 * f->low && w->e->longest >= 12;
    case MODEL_COUNT:
    case MODEL_RATE:
    case MODEL_BUCKET:
        return f->lived >= 2 && f->explained >= 5;
    case MODEL_STALLING:
        return f->explained >= 8 && f->instants >= 3;
    case MODEL_FLAT:
    case MODEL_FRAME:
        return f->explained >= 8;
    case MODEL_LIFETIME:
        return f->explained >= 6;
    case MODEL_NONE:
    case MODEL_BLOCKED:
    case MODEL_OUTAGE:
    case MODEL_HANDSHAKE:
        break;
    }
    return f->explained >= 5;
}

/* A server's own watchdog, at a usual length, that only meets who keeps pongs back on purpose. */
static void judge_watchdog(struct weighed *w)
{
    const struct fit *f = w->best[HF_CLASS_PONG_TIMEOUT];
    double scale = w->e->context->scale > 0 ? w->e->context->scale : 1;

    if (w->first != HF_CLASS_PONG_TIMEOUT || f == NULL || !f->watchdog.arrives ||
        f->value < WATCHDOG_ORDINARY_S * scale) {
        return;
    }
    for (size_t i = 0; i < w->e->count; i++) {
        const struct fact *fact = &w->e->facts[i];
        if (fact->dead && !fact->withheld && reach_of_watchdog(fact, &f->watchdog, NULL).last > 0) {
            return;
        }
    }
    w->watchdog_default = true;
    w->posterior[HF_CLASS_NONE] += w->posterior[HF_CLASS_PONG_TIMEOUT];
    w->posterior[HF_CLASS_PONG_TIMEOUT] = 0;
    w->second = w->first;
    w->first = HF_CLASS_NONE;
}

static void conclude(struct hf_verdict *v, struct weighed *w)
{
    judge_watchdog(w);
    list_candidates(v, w);
    v->confidence = w->posterior[w->first] * quality_of(w);
    candidate_of(w, w->first, &v->best);
    if (w->posterior[w->first] < NAMED_FROM || (w->e->count == 0 && w->e->never_opened == 0) ||
        (v->confidence < NAMED_AT_LEAST && w->first != HF_CLASS_NONE) ||
        (w->first == HF_CLASS_NONE && w->e->context->cut_short)) {
        v->best = (struct hf_candidate){.class = HF_CLASS_INCONCLUSIVE,
                                        .posterior = w->posterior[w->first]};
    }
    v->firm = is_firm(v, w);
}

enum hf_status hf_infer(struct hf_verdict *v, const struct hf_trial *trials, size_t count,
                        const struct hf_infer_context *context)
{
    static const struct hf_infer_context nothing;
    const struct hf_allocator *alloc = v->texts.alloc;
    struct evidence e;
    struct fits *fits = hf_alloc_zero(alloc, sizeof(*fits));
    struct weighed w = {.e = &e, .fits = fits};
    struct hf_buffer texts = v->texts;
    bool ready = evidence_take(&e, trials, count, context == NULL ? &nothing : context, alloc);

    memset(v, 0, sizeof(*v));
    v->texts = texts;
    hf_buffer_clear(&v->texts);
    if (ready && fits != NULL) {
        fit_all(&e, fits);
        weigh(&w);
        conclude(v, &w);
        name_causes(v, &w);
        say_verdict(v, &w);
    }
    evidence_drop(&e);
    hf_release(alloc, fits);
    return ready && fits != NULL && !v->texts.failed ? HF_OK : HF_NO_MEMORY;
}

/* ---- what a candidate foretells ----------------------------------------------------------------
 */

static hf_time time_of(double seconds)
{
    return seconds < 1e12 ? (hf_time)(seconds * 1e6) : HF_NEVER;
}

static hf_time count_reached(const struct hf_candidate *c, const struct hf_trial *t)
{
    uint8_t kind = c->counts_down ? HF_MOMENT_GOT : HF_MOMENT_SENT;
    double limit = c->counts_down ? c->server_messages : c->value, count = 0;

    for (size_t i = 0; i < t->moment_count; i++) {
        count += t->moments[i].kind == kind ? 1 : 0;
        if (count >= limit && limit > 0 && t->moments[i].kind == kind) {
            return t->moments[i].at + HF_SECONDS(1);
        }
    }
    return HF_NEVER;
}

hf_time hf_candidate_predicts(const struct hf_candidate *c, const struct hf_trial *t)
{
    struct fact f = {.t = t, .age = seconds_of(t->end.age < 0 ? 0 : t->end.age)};
    struct watchdog w = {true, false, (uint16_t)(c->resets & ~HF_RESETS_PONG_C)};
    struct reach r;
    double base;

    f.stopper = t->plan.stops_reading;
    switch (c->class) {
    case HF_CLASS_LIFETIME:
        return time_of(c->value);
    case HF_CLASS_IDLE_TIMER:
        r = reach_of(&f, c->resets);
        return r.last < 0 ? HF_NEVER : time_of(f.age - r.last + c->value);
    case HF_CLASS_MESSAGE_LIMIT:
        return count_reached(c, t);
    case HF_CLASS_PONG_TIMEOUT:
        r = reach_of_watchdog(&f, &w, &base);
        return r.last <= 0 && t->plan.pong == HF_PONG_ANSWER ? HF_NEVER : time_of(base + c->value);
    case HF_CLASS_NONE:
    case HF_CLASS_SIZE_LIMIT:
    case HF_CLASS_RESTART:
    case HF_CLASS_BLOCKED_SERVER:
    case HF_CLASS_NETWORK:
    case HF_CLASS_HANDSHAKE:
    case HF_CLASS_INCONCLUSIVE:
    case HF_CLASSES:
        break;
    }
    return HF_NEVER;
}
