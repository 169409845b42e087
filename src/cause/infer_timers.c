/* SPDX-License-Identifier: Apache-2.0 */
/* Models that are timers: what is idle, what is old, and a server that waits for its pongs. One
 * fit serves them all; they differ in which gaps they see. */
#include "cause/infer_models.h"

#include <math.h>

#define LOG_RANGE 9.6 /* ln of longest to shortest: a timer may lie anywhere between */
#define CANDIDATES 28

void fits_add(struct fits *fits, const struct fit *fit)
{
    if (fits->count < FITS_MAX && isfinite(fit->score)) {
        fits->list[fits->count++] = *fit;
    }
}

/* ---- when a timer of a length ends a connection ------------------------------------------------
 */

static const struct {
    double sigma, late;
} spreads[SPREADS] = {{0.04, 0.08}, {0.08, 0.25}, {0.16, 0.5}};

double spread_density(unsigned spread, double x)
{
    double sigma = spreads[spread].sigma, late = spreads[spread].late, z = x / sigma;
    double core = exp(-0.5 * z * z) / (2.5066 * sigma);

    return fmin(0.82 * core + (x > 0 ? 0.18 * exp(-x / late) / late : 0), DENSITY_MOST);
}

double spread_by(unsigned spread, double x)
{
    double sigma = spreads[spread].sigma, late = spreads[spread].late;

    return 0.82 * 0.5 * erfc(-x / (1.41421356 * sigma)) + (x > 0 ? 0.18 * (1 - exp(-x / late)) : 0);
}

enum shape {
    SHAPE_EXACT = 0,       /* up to SPREADS: as above */
    SHAPE_LOOSE = SPREADS, /* four parts of a hundred */
    SHAPE_WIDE,            /* twelve: jitter that is wanted */
    SHAPE_SCAN,            /* it is looked at every two seconds */
    SHAPES,
};
static const double shape_prior[SHAPES] = {-1.2, -1.2, -1.4, -2.2, -2.8, -2.4};

static double spread_of(enum shape shape, double timer)
{
    if (shape < SHAPE_LOOSE) {
        return spreads[shape].sigma;
    }
    return shape == SHAPE_LOOSE  ? fmax(0.1, 0.04 * timer)
           : shape == SHAPE_WIDE ? fmax(0.2, 0.12 * timer)
                                 : 0.85;
}

/* Density of the end at gap x. */
static double density(enum shape shape, double x, double timer)
{
    double sigma = spread_of(shape, timer), z = (x - timer) / sigma, core, late = 0.5;

    if (shape == SHAPE_SCAN) {
        return x > timer - 0.06 && x < timer + 2.2 ? 1 / 2.26 : 0;
    }
    if (shape < SHAPE_LOOSE) {
        return spread_density(shape, x - timer);
    }
    core = exp(-0.5 * z * z) / (2.5066 * sigma);
    late = x > timer ? exp((timer - x) / late) / late : 0;
    return fmin(0.9 * core + 0.1 * late, DENSITY_MOST);
}

double timer_density(double x, double timer)
{
    return spread_density(1, x - timer);
}

/* Likelihood that it has ended by gap x. */
static double ended_by(enum shape shape, double x, double timer)
{
    double part;

    if (shape == SHAPE_SCAN) {
        part = (x - timer + 0.06) / 2.26;
        return part < 0 ? 0 : part > 1 ? 1 : part;
    }
    if (shape < SHAPE_LOOSE) {
        return spread_by(shape, x - timer);
    }
    part = 0.5 * erfc((timer - x) / (1.41421356 * spread_of(shape, timer)));
    return 0.9 * part + 0.1 * (x > timer ? 1 - exp((timer - x) / 0.5) : 0);
}

/* Likelihood that a pause of this length was survived: who was ended would be dead, however late.
 */
static double passed(enum shape shape, double gap, double timer)
{
    if (shape == SHAPE_SCAN) {
        return 1 - ended_by(shape, gap, timer);
    }
    return 0.5 * erfc((gap - timer) / (1.41421356 * spread_of(shape, timer)));
}

/* ---- the fit -----------------------------------------------------------------------------------
 */

struct timer {
    enum shape shape;
    double length;
    double score;
};

/* What one trial says; *explained: it died as the timer foretold. */
static double says(const struct fact *f, const struct reach *r, double floor, const struct timer *t,
                   bool *explained)
{
    double lives = passed(t->shape, r->most, t->length), dies;
    double unsure = fmax(f->unsure, r->unsure);

    *explained = false;
    if (r->last < 0) {
        return f->dead ? log(floor) : 0;
    }
    if (!f->dead) {
        return log((1 - NOISE_LIFE) * fmin(lives, 1 - ended_by(t->shape, r->last, t->length)) +
                   NOISE_LIFE);
    }
    if (unsure > 0.3) {
        dies = (ended_by(t->shape, r->last, t->length) -
                ended_by(t->shape, r->last - unsure, t->length)) /
               unsure;
        if (r->unsure > 0) { /* it ended as soon as it asked, if it was forgotten by then */
            dies *= 0.8 * unsure * DENSITY_MOST;
        }
    } else {
        dies = density(t->shape, r->last, t->length);
    }
    dies *= (1 - NOISE_DEATH) * lives;
    floor *= fmin(lives, 1 - ended_by(t->shape, r->last - unsure, t->length)) + NOISE_LIFE;
    *explained = dies > floor;
    return log(fmax(dies, floor));
}

static double price_of(enum shape shape, double length)
{
    double price = log(LOG_RANGE * length / (2.5 * fmax(spread_of(shape, length), 0.02 * length)));

    return price < 1.5 ? 1.5 : price;
}

static double score_timer(const struct evidence *e, const struct timer *t, size_t *explained)
{
    double score = shape_prior[t->shape] - price_of(t->shape, t->length);

    *explained = 0;
    for (size_t i = 0; i < e->count; i++) {
        bool foretold;
        score += says(&e->facts[i], &e->reach[i], e->floor[i], t, &foretold);
        *explained += foretold ? 1 : 0;
    }
    return score;
}

/* Gaps at which trials died, each with a smaller one that was survived: the timer lies between. */
static size_t gather(struct evidence *e, double least, double *gaps)
{
    size_t count = 0;

    for (size_t i = 0; i < e->count; i++) {
        double gap = e->reach[i].last;
        if (!e->facts[i].dead || gap < least) {
            continue;
        }
        if (fmax(e->facts[i].unsure, e->reach[i].unsure) > 0.3) {
            double low = gap - fmax(e->facts[i].unsure, e->reach[i].unsure);
            for (size_t k = 0; k < e->count; k++) {
                double lived =
                    e->facts[k].dead ? e->reach[k].most : fmax(e->reach[k].most, e->reach[k].last);
                low = lived > low && lived < gap ? lived : low;
            }
            gap = (fmax(low, 0) + gap) / 2;
        }
        gaps[count++] = gap;
    }
    sort_numbers(gaps, count);
    return count;
}

/* The middles of the most crowded places, and the middle of all. */
static size_t candidates_of(const double *gaps, size_t count, double *lengths, size_t max)
{
    size_t crowd[CANDIDATES] = {0};
    size_t found = 0;

    for (size_t from = 0; from < count;) {
        size_t to = from + 1, at;
        while (to < count && gaps[to] - gaps[from] < 0.02 * gaps[from] + 0.04) {
            to++;
        }
        if (found == max && crowd[max - 1] >= to - from) {
            from = to;
            continue;
        }
        for (at = found < max ? found++ : max - 1; at > 0 && crowd[at - 1] < to - from; at--) {
            crowd[at] = crowd[at - 1];
            lengths[at] = lengths[at - 1];
        }
        crowd[at] = to - from;
        lengths[at] = gaps[from + (to - from - 1) / 2];
        from = to;
    }
    return found;
}

/* The length and spread that fit best of many close by, so that two models are compared at their
 * best and not at what was tried first. */
static void settle(struct evidence *e, struct timer *t, const double *gaps, size_t count)
{
    struct timer best = *t;
    bool exact = t->shape < SHAPE_LOOSE;

    for (unsigned part = 0; part < 8 && t->shape != SHAPE_SCAN; part++) {
        for (unsigned shape = exact ? 0 : t->shape; shape <= (exact ? SPREADS - 1 : t->shape);
             shape++) {
            struct timer again = {(enum shape)shape, part_of(gaps, count, 0.02 + 0.09 * part), 0};
            size_t explained;
            if (shape > 0 && exact && spread_of(again.shape, 0) > 0.2 * again.length) {
                continue;
            }
            again.score = score_timer(e, &again, &explained);
            best = again.score > best.score ? again : best;
        }
    }
    if (t->shape == SHAPE_SCAN) {
        best.length = gaps[0] - 0.02;
        best.score = score_timer(e, &best, &(size_t){0});
        best = best.score > t->score ? best : *t;
    }
    *t = best;
}

/* The length again, from the deaths that it foretells; delays only ever add. */
static void refine(struct evidence *e, struct timer *t, struct fit *fit)
{
    double *gaps = e->scratch + e->count;
    size_t count = 0;

    for (size_t i = 0; i < e->count; i++) {
        bool foretold;
        (void)says(&e->facts[i], &e->reach[i], e->floor[i], t, &foretold);
        if (foretold && fmax(e->facts[i].unsure, e->reach[i].unsure) <= 0.3) {
            gaps[count++] = e->reach[i].last;
        }
    }
    if (count > 0) {
        sort_numbers(gaps, count);
        fit->value = part_of(gaps, count, t->shape < SHAPE_LOOSE ? 0.4 : 0.5);
        fit->low = gaps[0];
        fit->high = gaps[count - 1];
        settle(e, t, gaps, count);
        return;
    }
    fit->value = t->length;
    fit->low = 0;
    fit->high = INFINITY;
    for (size_t i = 0; i < e->count; i++) {
        const struct fact *f = &e->facts[i];
        double lived = f->dead ? e->reach[i].most : fmax(e->reach[i].most, e->reach[i].last);
        if (lived < t->length && lived > fit->low) {
            fit->low = lived;
        }
        if (f->dead && e->reach[i].last > t->length && e->reach[i].last < fit->high) {
            fit->high = e->reach[i].last;
        }
    }
    fit->high = isfinite(fit->high) ? fit->high : t->length;
}

bool fit_timer(struct evidence *e, bool scans, double least, struct fit *fit)
{
    double lengths[CANDIDATES + 2];
    double *gaps = e->scratch;
    size_t count = gather(e, least, gaps), tried, explained = 0;
    struct timer best = {SHAPE_EXACT, 0, -INFINITY};

    if (count == 0) {
        return false;
    }
    tried = candidates_of(gaps, count, lengths, CANDIDATES);
    lengths[tried++] = part_of(gaps, count, 0.5);
    for (size_t i = 0; i < tried; i++) {
        for (unsigned shape = 0; shape < (scans ? SHAPES : SHAPE_SCAN); shape++) {
            struct timer t = {(enum shape)shape, lengths[i], 0};
            t.length -= shape == SHAPE_SCAN ? 0.02 : 0;
            if (t.length < least ||
                (shape < SHAPE_LOOSE && shape > 0 && spread_of(t.shape, 0) > 0.2 * t.length)) {
                continue; /* too blunt for so short a timer */
            }
            t.score = score_timer(e, &t, &explained);
            best = t.score > best.score ? t : best;
        }
    }
    if (best.length <= 0) {
        return false;
    }
    refine(e, &best, fit);
    fit->score = score_timer(e, &best, &fit->explained);
    fit->unexplained = e->dead - fit->explained;
    fit->waits = fit->value;
    fit->lived = 0;
    for (size_t i = 0; i < e->count; i++) {
        const struct reach *r = &e->reach[i];
        bool beyond = e->facts[i].age > 1.3 * best.length + 0.3;
        fit->lived += beyond && r->last >= 0 && !(e->facts[i].dead && r->last > best.length * 0.9);
    }
    return fit->explained > 0;
}

/* ---- idle, lifetime ----------------------------------------------------------------------------
 */

static bool any_keepalive(const struct evidence *e)
{
    for (size_t i = 0; i < e->count; i++) {
        if (e->facts[i].t->plan.keepalive > 0) {
            return true;
        }
    }
    return false;
}

static bool any_stopper(const struct evidence *e)
{
    for (size_t i = 0; i < e->count; i++) {
        if (e->facts[i].stopper) {
            return true;
        }
    }
    return false;
}

static const struct {
    uint16_t resets;
    double prior;
} sets[] = {
    {HF_RESETS_ANY_BYTE, 0.34},
    {HF_RESETS_UP, 0.16},
    {HF_RESETS_DOWN, 0.12},
    {HF_RESETS_SENT, 0.14},
    {HF_RESETS_SENT | HF_RESETS_GOT, 0.08},
    {HF_RESETS_GOT, 0.04},
    {HF_RESETS_SENT | HF_RESETS_PING_C, 0.02},
    {HF_RESETS_BOTH | HF_RESETS_ANY_BYTE, 0.1},
    {HF_RESETS_PACKET | HF_RESETS_ANY_BYTE, 0.03},
    {HF_RESETS_READING, 0.02},
};

static bool is_any(uint16_t resets)
{
    return (resets & HF_RESETS_ANY_BYTE) == HF_RESETS_ANY_BYTE && (resets & HF_RESETS_BOTH) == 0;
}

/* A path that forgets says nothing: of one that is held for alive only what was heard is known, and
 * one that died was forgotten at some time of the pause before it asked. */
static struct reach heard_reach(const struct fact *f, uint16_t resets)
{
    struct fact known = *f;
    struct reach r;

    if (f->dead && f->refused) { /* up to what it sent last */
        known.age = seconds_of(f->t->moments[f->t->moment_count - 1].at) - 0.0001;
        r = reach_of(&known, resets);
        r.unsure = r.last;
        return r;
    }
    if (f->dead) {
        r = reach_of(f, resets);
        r.last = f->silent ? r.last : -1;
        return r;
    }
    known.age = f->life;
    r = reach_of(&known, resets);
    r.last = fmin(r.last, 0);
    return r;
}

void fit_idle(struct evidence *e, struct fits *fits)
{
    bool anything = false; /* any byte was seen to go by, at all */
    size_t refused = 0;

    for (size_t i = 0; i < e->count; i++) {
        refused += e->facts[i].refused ? 1 : 0;
    }

    for (size_t s = 0; s < 2 * sizeof(sets) / sizeof(sets[0]); s++) {
        struct fit fit = {.model = MODEL_IDLE, .class = HF_CLASS_IDLE_TIMER};
        bool forgets = s % 2 == 1;
        bool seen = false;
        fit.resets = sets[s / 2].resets;
        if (((fit.resets & HF_RESETS_PACKET) && !any_keepalive(e)) ||
            ((fit.resets & HF_RESETS_READING) && !any_stopper(e)) ||
            (forgets && (e->died_silent + refused == 0 || !is_any(fit.resets)))) {
            continue;
        }
        for (size_t i = 0; i < e->count; i++) {
            e->reach[i] = forgets ? heard_reach(&e->facts[i], fit.resets)
                                  : reach_of(&e->facts[i], fit.resets);
            seen = seen || e->reach[i].most > 0;
        }
        anything = anything || seen;
        if (fit_timer(e, false, TIMER_LEAST, &fit)) {
            /* What nobody sent cannot be told from a lifetime, which is simpler. */
            fit.score += log(sets[s / 2].prior) - (seen || !anything ? 0 : 3) - 0.7;
            fits_add(fits, &fit);
        }
    }
}

static double distance(double a, double b, double beat)
{
    double d = fabs(a - b);

    return d > beat / 2 ? beat - d : d;
}

/* Some servers look at ages at every beat of one clock: everybody old enough ends together there.
 * The phase of the beat is where most ends lie. */
static double phase_of(const struct evidence *e, double beat)
{
    double best = 0;
    size_t most = 0, step = e->dead / 24 + 1, seen = 0;

    for (size_t i = 0; i < e->count; i++) {
        double phase = e->facts[i].ended - floor(e->facts[i].ended / beat) * beat;
        size_t near = 0;
        if (!e->facts[i].dead || e->facts[i].silent || seen++ % step != 0) {
            continue;
        }
        for (size_t k = 0; k < e->count; k++) {
            double other = e->facts[k].ended - floor(e->facts[k].ended / beat) * beat;
            near += e->facts[k].dead && distance(phase, other, beat) < 0.05 ? 1 : 0;
        }
        if (near > most) {
            most = near;
            best = phase;
        }
    }
    return best;
}

/* The age at the first beat from which this one is old enough. */
static double at_beat(const struct fact *f, double age, double beat, double phase)
{
    return ceil((f->opened + age - phase) / beat - 1e-9) * beat + phase - f->opened;
}

static double score_beats(const struct evidence *e, double age, double beat, double phase,
                          unsigned spread, struct fit *fit)
{
    double score = 0;

    fit->explained = fit->lived = 0;
    for (size_t i = 0; i < e->count; i++) {
        const struct fact *f = &e->facts[i];
        struct reach r = {0, f->age - at_beat(f, age, beat, phase) + 3, 0}; /* a timer of three */
        struct timer t = {(enum shape)spread, 3, 0};
        bool foretold;
        score += says(f, &r, e->floor[i], &t, &foretold);
        fit->explained += foretold ? 1 : 0;
    }
    fit->unexplained = e->dead - fit->explained;
    return score;
}

static void fit_beats(struct evidence *e, double beat, struct fits *fits)
{
    struct fit best = {.model = MODEL_LIFETIME, .class = HF_CLASS_LIFETIME, .score = -INFINITY};
    double *ages = e->scratch, phase = phase_of(e, beat);
    size_t count = 0;

    for (size_t i = 0; i < e->count; i++) {
        if (e->facts[i].dead && !e->facts[i].silent) {
            ages[count++] = e->facts[i].age;
        }
    }
    sort_numbers(ages, count);
    for (unsigned part = 0; part < 40 * SPREADS && count >= 4; part++) {
        struct fit fit = best;
        unsigned step = part / SPREADS;
        double age = part_of(ages, count, step / 80.0) - 0.02 - 0.06 * beat * (step % 8);
        if (age < beat / 2) {
            continue;
        }
        fit.score = score_beats(e, age, beat, phase, part % SPREADS, &fit) -
                    log(LOG_RANGE * age / (0.3 * beat)) - 5;
        fit.value = age;
        best = fit.score > best.score ? fit : best;
    }
    if (best.explained >= 4) {
        best.low = best.value;
        best.high = best.value + beat;
        best.value += 0.25 * beat;
        best.window = beat;
        fits_add(fits, &best);
    }
}

/* A path that goes dead at an age and says nothing is no lifetime that anybody set. */
static void fit_dead_path(struct evidence *e, struct fits *fits)
{
    struct fit fit = {.model = MODEL_OUTAGE, .class = HF_CLASS_NETWORK};

    for (size_t i = 0; i < e->count; i++) {
        const struct fact *f = &e->facts[i];
        e->reach[i] = f->dead ? (struct reach){.last = f->silent ? f->age : -1}
                              : (struct reach){.most = f->life};
    }
    if (fit_timer(e, false, TIMER_LEAST, &fit)) {
        fit.waits = fit.value;
        fit.value = fit.low = fit.high = 0;
        fits_add(fits, &fit);
    }
}

void fit_lifetime(struct evidence *e, struct fits *fits)
{
    struct fit fit = {.model = MODEL_LIFETIME, .class = HF_CLASS_LIFETIME};

    for (size_t i = 0; i < e->count; i++) {
        e->reach[i] = reach_of(&e->facts[i], 0);
    }
    if (fit_timer(e, true, 0.02, &fit)) {
        fits_add(fits, &fit);
    }
    fit_beats(e, 1, fits);
    fit_beats(e, 2, fits);
    if (e->died_silent > 0) {
        fit_dead_path(e, fits);
    }
}

/* ---- a server's watchdog -----------------------------------------------------------------------
 */

/* Between the server's pings: as seen, or as the longest wait for a first one lets one think. */
static double ping_interval(const struct evidence *e, double *first)
{
    double longest = 0;

    *first = 0;
    for (size_t i = 0; i < e->count; i++) {
        const struct hf_trial *t = e->facts[i].t;
        for (size_t k = 0; k < t->moment_count; k++) {
            if (t->moments[k].kind == HF_MOMENT_PING_GOT) {
                longest = fmax(longest, seconds_of(t->moments[k].at));
                break;
            }
        }
    }
    *first = longest;
    return e->ping_gap > 0 ? e->ping_gap : longest;
}

/* Those that send messages see no pings, while others do: the server pings only who is quiet. */
static bool messages_spare_pings(const struct evidence *e, double first)
{
    size_t spared = 0, pinged = 0;

    for (size_t i = 0; i < e->count; i++) {
        const struct hf_trial *t = e->facts[i].t;
        double every = seconds_of(t->plan.message_every);
        if (every <= 0 || every > 0.7 * first || e->facts[i].age < 1.6 * first) {
            continue;
        }
        if (t->count[HF_MOMENT_PING_GOT] == 0) {
            spared++;
        } else {
            pinged++;
        }
    }
    return spared >= 1 && pinged == 0;
}

/* From the last answer that counted (or the open) to the end. */
static void value_of_watchdog(struct evidence *e, struct fit *fit)
{
    double *ages = e->scratch;
    size_t count = 0;

    for (size_t i = 0; i < e->count; i++) {
        double base = 0;
        struct reach r = reach_of_watchdog(&e->facts[i], &fit->watchdog, &base);
        if (e->facts[i].dead && r.last > 0 && r.last >= 0.9 * fit->low - 0.05 &&
            r.last <= 1.1 * fit->high + 0.05) {
            ages[count++] = e->facts[i].age - base;
        }
    }
    if (count > 0) {
        sort_numbers(ages, count);
        fit->low = ages[0];
        fit->high = ages[count - 1];
        fit->value = part_of(ages, count, 0.5);
    }
}

/* Where no answer arrives all end alike, as of a lifetime. Most servers send one ping and wait; and
 * many wait for just another interval. A lifetime that does either would be chance. */
static double of_its_grid(struct evidence *e, struct fit *fit, double interval)
{
    double *pings = e->scratch, turns = interval > 0 ? fit->waits / interval : 0;
    size_t count = 0;
    double one;

    for (size_t i = 0; i < e->count; i++) {
        if (e->facts[i].dead && e->facts[i].t->count[HF_MOMENT_PING_GOT] > 0) {
            pings[count++] = (double)e->facts[i].t->count[HF_MOMENT_PING_GOT];
        }
    }
    if (fit->waits < 0.7) { /* hardly anybody waits so short; a hop may kill so soon */
        return -12 * (0.7 - fit->waits);
    }
    sort_numbers(pings, count);
    one = part_of(pings, count, 0.5) < 1.5 ? 3.2 : fit->watchdog.helps & HF_RESETS_SENT ? 0 : -6;
    if (turns > 0.5 && turns < 3.5 &&
        fabs(turns - floor(turns + 0.5)) * interval < 0.04 * interval + 0.03) {
        fit->tight = true;
        return one + (turns < 1.5 ? 4.2 : 2);
    }
    return one;
}

static void fit_one_watchdog(struct evidence *e, const struct watchdog *w, double prior,
                             double interval, double first, struct fits *fits)
{
    struct fit fit = {.model = MODEL_WATCHDOG, .class = HF_CLASS_PONG_TIMEOUT, .watchdog = *w};
    size_t withheld = 0, answering = 0;

    for (size_t i = 0; i < e->count; i++) {
        e->reach[i] = reach_of_watchdog(&e->facts[i], w, NULL);
        if (e->facts[i].dead && e->reach[i].last > 0) {
            withheld += e->facts[i].withheld ? 1 : 0;
            answering += e->facts[i].withheld ? 0 : 1;
        }
    }
    if (!fit_timer(e, true, TIMER_LEAST, &fit)) {
        return;
    }
    fit.score += log(prior);
    if (!w->arrives) {
        fit.score += of_its_grid(e, &fit, interval);
    }
    if ((w->helps & HF_RESETS_SENT) && messages_spare_pings(e, first)) {
        fit.score += 3.5;
        fit.tight = true;
    }
    fit.score += withheld > 0 && answering == 0 ? 2.5 : 0;
    value_of_watchdog(e, &fit);
    fits_add(fits, &fit);
}

void fit_watchdog(struct evidence *e, struct fits *fits)
{
    static const uint16_t helps[] = {0, HF_RESETS_SENT, HF_RESETS_SENT | HF_RESETS_PING_C};
    static const double prior[] = {0.5, 0.3, 0.2};
    double first, interval = ping_interval(e, &first);

    if (e->pings_got == 0) {
        return;
    }
    for (unsigned h = 0; h < 3; h++) {
        fit_one_watchdog(e, &(struct watchdog){true, false, helps[h]}, 0.3 * prior[h], interval,
                         first, fits);
        fit_one_watchdog(e, &(struct watchdog){true, true, helps[h]}, 0.15 * prior[h], interval,
                         first, fits);
        fit_one_watchdog(e, &(struct watchdog){false, false, helps[h]}, 0.55 * prior[h], interval,
                         first, fits);
    }
}

static bool was_too_big(const struct fact *f)
{
    return f->dead && f->big && (f->t->end.code == 1009 || f->t->count[HF_MOMENT_SENT] <= 1);
}

bool raise_floors(struct evidence *e, const struct fits *fits)
{
    const struct fit *best = NULL;
    size_t others = 0;
    bool raised = false;

    for (size_t i = 0; i < fits->count; i++) {
        const struct fit *f = &fits->list[i];
        if (f->model == MODEL_WATCHDOG && f->watchdog.arrives &&
            (best == NULL || f->score > best->score)) {
            best = f;
        }
    }
    for (size_t i = 0; i < e->count; i++) {
        others += e->facts[i].dead && !e->facts[i].withheld && !e->facts[i].big ? 1 : 0;
    }
    if (others < 2) {
        return false;
    }
    for (size_t i = 0; i < e->count; i++) {
        if (was_too_big(&e->facts[i])) {
            e->floor[i] = 2;
            raised = true;
        }
        if (best != NULL && e->facts[i].withheld && e->facts[i].dead) {
            struct reach r = reach_of_watchdog(&e->facts[i], &best->watchdog, NULL);
            double likely = r.last > 0 ? 0.5 * timer_density(r.last, best->waits) : 0;
            raised = raised || likely > e->floor[i];
            e->floor[i] = fmax(e->floor[i], likely);
        }
    }
    return raised;
}
