/* SPDX-License-Identifier: Apache-2.0 */
/* Models of what happens to all at one instant, or at any: restarts, a server that is blocked, a
 * path that fails, connections that never open, and nothing at all. */
#include "cause/infer_models.h"

#include <math.h>
#include <string.h>

#define INSTANTS 48

/* ---- instants at which several ended -----------------------------------------------------------
 */

struct instant {
    double at, from, to; /* middle, first and last, on the watch's clock */
    size_t count;
};

/* Bunches of ends on the clock: each lies close to the next. */
static size_t find_instants(struct evidence *e, bool silent, double close, struct instant *instants)
{
    double *ends = e->scratch;
    size_t count = 0, found = 0;

    for (size_t i = 0; i < e->count; i++) {
        const struct fact *f = &e->facts[i];
        if (f->dead && f->silent == silent) {
            ends[count++] = f->ended - (silent ? f->unsure : 0);
        }
    }
    sort_numbers(ends, count);
    for (size_t from = 0; from < count && found < INSTANTS;) {
        size_t to = from + 1;
        while (to < count && ends[to] - ends[to - 1] < close && ends[to] - ends[from] < 5 * close) {
            to++;
        }
        if (to - from >= 2) {
            instants[found++] = (struct instant){.at = ends[from + (to - from - 1) / 2],
                                                 .from = ends[from],
                                                 .to = ends[to - 1],
                                                 .count = to - from};
        }
        from = to;
    }
    return found;
}

/* Likelihood of all trials when at each instant a part of those that are open end. */
static double score_instants(const struct evidence *e, const struct instant *instants, size_t count,
                             double part, unsigned spread, size_t *explained)
{
    double score = 0;

    *explained = 0;
    for (size_t i = 0; i < e->count; i++) {
        const struct fact *f = &e->facts[i];
        double says = 0, dies = 0;
        for (size_t k = 0; k < count; k++) {
            double from = instants[k].from - 0.3, to = instants[k].to + 0.3;
            if (f->opened > from || f->ended < from) {
                continue;
            }
            if (f->ended > to) {
                says += log(1 - part);
            } else if (f->dead && !f->silent) {
                dies = part * spread_density(spread, f->ended - instants[k].at);
            }
        }
        if (f->dead) {
            *explained += dies > e->floor[i] ? 1 : 0;
            says += log(fmax((1 - NOISE_DEATH) * dies, e->floor[i]));
        }
        score += says;
    }
    return score;
}

/* Evenly spaced instants, some of which nobody was there to see, have two parameters. */
static double period_of(const struct instant *instants, size_t count, bool *even)
{
    double gap = INFINITY, worst = 0;

    *even = false;
    if (count < 2) {
        return 0;
    }
    for (size_t k = 1; k < count; k++) {
        gap = fmin(gap, instants[k].at - instants[k - 1].at);
    }
    for (unsigned round = 0; round < 3; round++) { /* a better gap from all of them */
        double span = instants[count - 1].at - instants[0].at;
        gap = span / floor(span / gap + 0.5);
    }
    for (size_t k = 1; k < count; k++) {
        double parts = (instants[k].at - instants[0].at) / gap;
        worst = fmax(worst, fabs(parts - floor(parts + 0.5)) * gap);
    }
    *even = count >= 3 && worst < 0.3 + 0.04 * gap;
    return worst < 0.3 + 0.08 * gap ? gap : 0;
}

static double price_of_instants(const struct evidence *e, size_t count, double sigma, bool even)
{
    double each = log(fmax(1.5, e->span / (2.5 * sigma)));

    return even ? 2 * each + 1 + 0.3 * (double)count : each * (double)count;
}

/* Those instants that are no chance: two or more of mixed ages, or as many as there can be. */
static size_t keep_telling(const struct evidence *e, struct instant *instants, size_t count)
{
    size_t kept = 0;

    for (size_t k = 0; k < count; k++) {
        size_t lived = 0;
        for (size_t i = 0; i < e->count; i++) {
            const struct fact *f = &e->facts[i];
            lived += f->opened < instants[k].from - 0.3 && f->ended > instants[k].to + 0.3 ? 1 : 0;
        }
        if (lived <= instants[k].count) {
            instants[kept++] = instants[k];
        }
    }
    return kept;
}

static bool best_restart(struct evidence *e, struct fit *fit)
{
    static const double sigmas[SPREADS] = {0.05, 0.15, 0.4};
    struct instant instants[INSTANTS];
    double best = -INFINITY;

    for (unsigned s = 0; s < SPREADS; s++) {
        size_t count = find_instants(e, false, 1.2 * sigmas[s] + 0.1, instants), explained;
        double score, part, at_risk = 0, ended = 0;
        bool even;
        count = keep_telling(e, instants, count);
        if (count == 0) {
            continue;
        }
        for (size_t k = 0; k < count; k++) {
            ended += (double)instants[k].count;
            for (size_t i = 0; i < e->count; i++) {
                const struct fact *f = &e->facts[i];
                at_risk += f->opened < instants[k].from - 0.3 && f->ended > instants[k].to + 0.3;
            }
        }
        part = (ended + 0.5) / (ended + at_risk + 0.55);
        part = fmin(part, 0.997);
        score = score_instants(e, instants, count, part, s, &explained);
        fit->value = period_of(instants, count, &even);
        score -= price_of_instants(e, count, sigmas[s], even) + (part < 0.9 ? 2 : 0);
        if (score > best) {
            best = score;
            fit->score = score - 1;
            fit->explained = explained;
            fit->instants = count;
            fit->tight = even;
            fit->low = fit->high = fit->value;
        }
    }
    fit->unexplained = e->dead - (best > -INFINITY ? fit->explained : 0);
    return best > -INFINITY && fit->explained >= 2;
}

void fit_restart(struct evidence *e, struct fits *fits)
{
    struct fit fit = {.model = MODEL_RESTART, .class = HF_CLASS_RESTART};
    double value;

    if (best_restart(e, &fit)) {
        value = fit.value;
        fit.value = fit.instants >= 2 ? value : 0;
        fits_add(fits, &fit);
    }
}

/* ---- a blocked server --------------------------------------------------------------------------
 */

/* When the server was last heard, by anybody who ended together with this one; on the clock. */
static double last_heard(const struct evidence *e, const struct fact *f)
{
    double heard = -1;

    for (size_t i = 0; i < e->count; i++) {
        const struct fact *g = &e->facts[i];
        if (g->stalled && !g->silent && g->life > 0 && fabs(g->ended - f->ended) < 1.2 &&
            g->opened + g->life < f->ended - 1) {
            heard = fmax(heard, g->opened + g->life);
        }
    }
    return heard;
}

/* How the deaths speak for a server that stood still: who asked had no answer. */
static double stall_evidence(const struct evidence *e)
{
    double score = 0;
    size_t stalled = 0, answered = 0;

    for (size_t i = 0; i < e->count; i++) {
        const struct fact *f = &e->facts[i];
        stalled += f->stalled && !f->silent ? 1 : 0;
        answered +=
            f->dead && f->asks && !f->stalled && !f->withheld && !f->big && f->age - f->life < 1
                ? 1
                : 0;
    }
    if (stalled == 0) {
        return -6;
    }
    score = 3.5 * fmin((double)stalled, 4);
    return score - 2.3 * fmin((double)answered, 4);
}

/* The age at which it stood still: between the latest sign of life and the first question behind it
 * that has no answer, of all that have one open. */
static double usual_life(struct evidence *e)
{
    double life, asked = INFINITY;
    size_t count = 0;

    for (size_t i = 0; i < e->count; i++) {
        const struct fact *f = &e->facts[i];
        bool waits = !f->dead && f->asked >= 0 && f->age - f->asked > 0.15 + 4 * e->rtt;
        if ((f->stalled && !f->silent) || waits) {
            e->scratch[count++] = f->life;
        }
    }
    sort_numbers(e->scratch, count);
    life = part_of(e->scratch, count, 0.97);
    for (size_t i = 0; i < e->count; i++) {
        const struct fact *f = &e->facts[i];
        if (f->asked > life && (f->stalled || !f->dead) && f->age - f->asked > 0.15) {
            asked = fmin(asked, f->asked);
        }
    }
    return asked - life < 0.6 ? (asked + life) / 2 : life;
}

/* How long each had waited when it died: for a server that stood still for all at one instant, or
 * (alone) for each connection at its own age. */
enum standing { STANDS_FOR_ALL, STANDS_FOR_ONE, STANDS_SINCE_SENT };

static void lay_waits(struct evidence *e, enum standing how)
{
    double usual = usual_life(e);

    for (size_t i = 0; i < e->count; i++) {
        const struct fact *f = &e->facts[i];
        double waited = 0, heard;
        if (f->dead && !f->silent && how == STANDS_SINCE_SENT) {
            waited = f->sent < 0 ? 0 : f->age - f->sent;
        } else if (f->dead && !f->silent && how == STANDS_FOR_ONE) {
            waited = f->stalled || !f->asks ? fmax(0, f->age - fmax(usual, f->life)) : 0;
        } else if (f->dead && !f->silent) {
            heard = last_heard(e, f);
            waited = heard < 0 ? 0 : heard < f->opened ? -1 : f->ended - heard;
        }
        e->reach[i] = (struct reach){.last = waited};
    }
}

/* The value is from the last sign of life, also where the server's patience began later. */
static void from_last_life(struct evidence *e, struct fit *fit)
{
    size_t count = 0;

    for (size_t i = 0; i < e->count; i++) {
        if (e->facts[i].stalled && !e->facts[i].silent) {
            e->scratch[count++] = e->facts[i].age - e->facts[i].life;
        }
    }
    if (count > 0) {
        sort_numbers(e->scratch, count);
        fit->value = part_of(e->scratch, count, 0.5);
        fit->low = e->scratch[0];
        fit->high = e->scratch[count - 1];
    }
}

static void fit_standstill(struct evidence *e, double evidence, enum standing how,
                           struct fits *fits)
{
    struct fit fit = {.model = MODEL_BLOCKED, .class = HF_CLASS_BLOCKED_SERVER};

    lay_waits(e, how);
    if (fit_timer(e, true, TIMER_LEAST, &fit)) {
        fit.score += evidence - 1.1;
        if (how == STANDS_SINCE_SENT) {
            from_last_life(e, &fit);
        }
        fits_add(fits, &fit);
    }
}

/* Each ends after its own time of standing still: buffers fill as fast as they are fed. */
static void fit_uneven(struct evidence *e, double evidence, struct fits *fits)
{
    struct fit fit = {.model = MODEL_BLOCKED, .class = HF_CLASS_BLOCKED_SERVER};
    double *waits = e->scratch;
    size_t count = 0;

    for (size_t i = 0; i < e->count; i++) {
        if (e->facts[i].stalled && !e->facts[i].silent) {
            waits[count++] = e->facts[i].age - e->facts[i].life;
        }
    }
    if (count < 3) {
        return;
    }
    sort_numbers(waits, count);
    fit.low = waits[0];
    fit.high = waits[count - 1];
    fit.value = fit.waits = part_of(waits, count, 0.5);
    fit.score = evidence - 5;
    for (size_t i = 0; i < e->count; i++) {
        const struct fact *f = &e->facts[i];
        bool mine = f->stalled && !f->silent;
        fit.explained += mine ? 1 : 0;
        fit.score += mine      ? log(0.9 / (fit.high - fit.low + 1) + e->floor[i])
                     : f->dead ? log(e->floor[i])
                               : 0;
    }
    fit.unexplained = e->dead - fit.explained;
    fits_add(fits, &fit);
}

void fit_blocked(struct evidence *e, struct fits *fits)
{
    struct fit fit = {.model = MODEL_BLOCKED, .class = HF_CLASS_BLOCKED_SERVER};
    double *waits = e->scratch, evidence = stall_evidence(e);
    size_t count = 0;

    if (e->stalls == 0) {
        return;
    }
    fit_standstill(e, evidence, STANDS_FOR_ONE, fits);
    fit_standstill(e, evidence, STANDS_FOR_ALL, fits);
    fit_standstill(e, evidence, STANDS_SINCE_SENT, fits);
    fit_uneven(e, evidence, fits);
    if (!best_restart(e, &fit)) {
        return;
    }
    lay_waits(e, STANDS_FOR_ALL);
    for (size_t i = 0; i < e->count; i++) {
        if (e->reach[i].last > 0 && e->facts[i].dead) {
            waits[count++] = e->reach[i].last;
        }
    }
    sort_numbers(waits, count);
    if (count > 0) {
        fit.value = fit.waits = part_of(waits, count, 0.5);
        fit.low = waits[0];
        fit.high = waits[count - 1];
        fit.score += evidence;
        fits_add(fits, &fit);
    }
}

/* When anybody heard the server last before an instant, on the clock. */
static double heard_before(const struct evidence *e, double instant)
{
    double heard = -INFINITY;

    for (size_t i = 0; i < e->count; i++) {
        const struct fact *f = &e->facts[i];
        for (size_t k = f->t->moment_count; k-- > 0 && f->opened < instant;) {
            double at = f->opened + seconds_of(f->t->moments[k].at);
            if (at < instant && (resets_of(f->t->moments[k].kind) & HF_RESETS_DOWN)) {
                heard = fmax(heard, at);
                break;
            }
        }
    }
    return heard;
}

/* We ourselves were awake in the middle of that time: something was sent. */
static bool something_was_sent(const struct evidence *e, double from, double to)
{
    double margin = 0.15 * (to - from);

    for (size_t i = 0; i < e->count; i++) {
        const struct fact *f = &e->facts[i];
        for (size_t k = 0; k < f->t->moment_count; k++) {
            double at = f->opened + seconds_of(f->t->moments[k].at);
            if (at > from + margin && at < to - margin &&
                (resets_of(f->t->moments[k].kind) & HF_RESETS_UP)) {
                return true;
            }
        }
    }
    return false;
}

/* How much of this time the watcher itself stood still. */
static double own_pause(const struct evidence *e, double from, double to)
{
    double sum = 0;

    for (size_t i = 0; i < e->context->own_pause_count; i++) {
        double begin = fmax(from, seconds_of(e->context->own_pauses[i].from));
        double end = fmin(to, seconds_of(e->context->own_pauses[i].to));
        sum += end > begin ? end - begin : 0;
    }
    return sum;
}

/* Another one was answered late at the same instant. */
static bool with_others(const struct evidence *e, size_t i, double back)
{
    for (size_t k = 0; k < e->count; k++) {
        const struct fact *g = &e->facts[k];
        for (size_t n = 0; n < g->late_count && k != i; n++) {
            if (fabs(g->opened + g->late[n].at - back) < 0.25) {
                return true;
            }
        }
    }
    return false;
}

#define PAUSES_MAX 24

/* The pauses of those that were answered late together, and how many separate ones they are. */
static size_t late_pauses(struct evidence *e, double *pauses, size_t *episodes)
{
    double ends[PAUSES_MAX];
    size_t count = 0;

    *episodes = 0;
    for (size_t n = 0; n < LATE_MAX * e->count && count < PAUSES_MAX; n++) {
        const struct fact *f = &e->facts[n / LATE_MAX];
        double back, wait, heard;
        bool known = false;
        if (n % LATE_MAX >= f->late_count) {
            continue;
        }
        back = f->opened + f->late[n % LATE_MAX].at;
        wait = f->late[n % LATE_MAX].wait;
        if (!with_others(e, n / LATE_MAX, back)) {
            continue;
        }
        heard = heard_before(e, back - wait / 2);
        if (!something_was_sent(e, heard, back) ||
            own_pause(e, heard, back) > 0.3 * (back - heard)) {
            continue;
        }
        for (size_t k = 0; k < count; k++) {
            known = known || fabs(ends[k] - back) < 0.5 + 0.5 * wait;
        }
        *episodes += known ? 0 : 1;
        ends[count] = back;
        pauses[count++] = back - heard;
    }
    return count;
}

static void fit_waiting(struct evidence *e, bool first, struct fits *fits);

/* Answers that came late, for several at one time, and nobody died of it. Once is little: any
 * machine may be short of time. */
void fit_stalling(struct evidence *e, struct fits *fits)
{
    struct fit fit = {.model = MODEL_STALLING, .class = HF_CLASS_BLOCKED_SERVER};
    double pauses[PAUSES_MAX];
    size_t count = late_pauses(e, pauses, &fit.instants);

    fit_waiting(e, count < 2 && e->stalls == 0, fits);
    if (count < 2) {
        return;
    }
    sort_numbers(pauses, count);
    fit.value = fit.waits = part_of(pauses, count, 0.75);
    fit.low = pauses[0];
    fit.high = pauses[count - 1];
    fit.score = 3.2 * fmin((double)count, 4) - 3;
    if (fit.instants < 2) {
        fit.score = fmin(fit.score, 3.4) - (fit.value > 2.5 ? 0 : 4);
    } else if (fit.value < 1.5) {
        fit.score -= 3 * (1.5 - fit.value);
    }
    fit.score -= 0.7 * (double)(e->retransmits > 20 ? 20 : e->retransmits);
    for (size_t i = 0; i < e->count; i++) {
        fit.score += e->facts[i].dead ? log(e->floor[i]) : 0;
    }
    fit.explained = count;
    fit.unexplained = e->dead;
    fits_add(fits, &fit);
}

/* ---- a stand-still that goes on ----------------------------------------------------------------
 */

/* Connections that were tried meanwhile: TCP answered and the server did not (above 0), or nobody
 * did, or the server greeted the new ones as ever (below 0). */
static double tried_meanwhile(const struct evidence *e, double since)
{
    double says = 0;

    for (size_t i = 0; i < e->trial_count; i++) {
        const struct hf_trial *t = &e->trials[i];
        if (t->path != 0 || seconds_of(t->begun) < since) {
            continue;
        }
        if (hf_trial_was_open(t)) {
            says -= t->count[HF_MOMENT_PONG_GOT] > 0 ? 4 : 0;
        } else if (t->end.how == HF_HOW_SLOW && t->end.phase == HF_PHASE_UPGRADE) {
            says += 4;
        } else if (t->end.how == HF_HOW_UNREACHABLE || t->end.how == HF_HOW_SLOW) {
            says -= 4;
        }
    }
    return fmax(-8, fmin(8, says));
}

/* Of those that live nearly all wait for an answer, for long: whatever it is, it is not nothing. It
 * may be the server or the path. */
static void fit_waiting(struct evidence *e, bool first, struct fits *fits)
{
    struct fit server = {.model = MODEL_STALLING, .class = HF_CLASS_BLOCKED_SERVER, .instants = 1};
    struct fit path = {.model = MODEL_OUTAGE, .class = HF_CLASS_NETWORK, .instants = 1};
    size_t waiting = 0, asking = 0, resent = 0;
    double since = 0, base, tried, last = 0;

    for (size_t i = 0; i < e->count; i++) {
        const struct fact *f = &e->facts[i];
        bool waits = f->asked >= 0 && f->age - f->asked > fmax(2.5, 20 * e->rtt) &&
                     own_pause(e, f->opened + f->asked, f->ended) < 0.3 * (f->age - f->asked);
        if (f->dead || f->t->end.how != HF_HOW_ALIVE || (!f->asks && !waits)) {
            continue;
        }
        asking++;
        if (waits) {
            waiting++;
            resent += f->t->end.retransmits > 0 || f->t->end.unacked > 0 ? 1 : 0;
            since = fmax(since, f->opened + f->life);
            last = fmax(last, f->ended);
        }
    }
    if (waiting < 3 || waiting * 10 < asking * 7) {
        return;
    }
    base = 3.2 * fmin((double)waiting, 4) - 4;
    for (size_t i = 0; i < e->count; i++) {
        base += e->facts[i].dead ? log(e->floor[i]) : 0;
    }
    tried = tried_meanwhile(e, since);
    server.value = server.waits = server.low = server.high = last - since;
    server.score = base + fmax(0, tried);
    path.score = base - 1 + fmax(0, -tried) + (resent * 2 > waiting ? 4 : 0);
    server.explained = path.explained = waiting;
    server.unexplained = path.unexplained = e->dead;
    fits_add(fits, &server);
    if (first) { /* it has not come back before */
        fits_add(fits, &path);
    }
}

/* ---- the network -------------------------------------------------------------------------------
 */

/* What loss leaves behind even where nothing ends. */
static double loss_evidence(const struct evidence *e)
{
    double share = (double)e->retransmits / (double)(e->sent_segments + e->retransmits + 1);

    if (e->retransmits < 6 || e->lossy < 2 || share < 0.03) {
        return 0;
    }
    return fmin(12, 2 + 40 * share + 0.1 * (double)e->retransmits);
}

static void fit_flat(struct evidence *e, struct fits *fits)
{
    struct fit fit = {.model = MODEL_FLAT, .class = HF_CLASS_NETWORK};
    double spent = 0, hazard;

    for (size_t i = 0; i < e->count; i++) {
        spent += e->facts[i].age;
    }
    hazard = fmin(1, fmax((double)e->dead / fmax(spent, 0.1), 0.25 / e->age));
    fit.score = -2.5 - hazard * spent;
    for (size_t i = 0; i < e->count; i++) {
        fit.score += e->facts[i].dead ? log(hazard) : 0;
    }
    fit.score = fmax(fit.score, -INFINITY);
    fit.explained = e->dead;
    fits_add(fits, &fit);
}

/* Nothing ends by itself, but the path loses: its deaths are noise, its retransmissions are not. */
static void fit_loss(struct evidence *e, double evidence, struct fits *fits)
{
    struct fit fit = {.model = MODEL_FLAT, .class = HF_CLASS_NETWORK};

    for (size_t i = 0; i < e->count; i++) {
        fit.score += e->facts[i].dead ? log(fmax(e->floor[i], 0.3 / e->age)) : 0;
    }
    fit.score += evidence - 2;
    fit.explained = e->dead;
    fits_add(fits, &fit);
}

/* It fell silent between its last sign of life and its first question without an answer. */
static bool fell_silent_at(const struct fact *f, double at)
{
    return f->dead && f->silent && at > f->ended - f->unsure - 0.3 && at < f->ended + 0.1;
}

/* The instants that explain most silences, one after the other. */
static size_t find_outages(const struct evidence *e, double *instants, size_t max)
{
    size_t found = 0;

    while (found < max) {
        size_t most = 0;
        double best = 0;
        for (size_t i = 0; i < e->count; i++) {
            double at = e->facts[i].ended;
            size_t covered = 0;
            for (size_t k = 0; k < e->count && e->facts[i].dead && e->facts[i].silent; k++) {
                bool known = false;
                for (size_t n = 0; n < found; n++) {
                    known = known || fell_silent_at(&e->facts[k], instants[n]);
                }
                covered += !known && fell_silent_at(&e->facts[k], at) ? 1 : 0;
            }
            if (covered > most) {
                most = covered;
                best = at;
            }
        }
        if (most < 2) {
            break;
        }
        instants[found++] = best;
    }
    return found;
}

/* What one says of outages: silent behind one, or alive across it. */
static double says_outage(const struct evidence *e, size_t i, const double *instants, size_t count,
                          bool *explained)
{
    const struct fact *f = &e->facts[i];
    double says = 0;

    *explained = false;
    for (size_t k = 0; k < count; k++) {
        *explained = *explained || fell_silent_at(f, instants[k]);
        if (f->opened < instants[k] - 0.5 && f->opened + f->life > instants[k] + 1) {
            says += log(0.1);
        }
    }
    if (*explained) {
        says += log(0.8 / (f->unsure + 0.5) + e->floor[i]);
    } else if (f->dead) {
        says += log(e->floor[i]);
    }
    return says;
}

/* All that are open fall silent at one instant, or at some. */
static void fit_outage(struct evidence *e, struct fits *fits)
{
    double instants[8];
    size_t found = find_outages(e, instants, 8);

    for (size_t count = 1; count <= found; count++) {
        struct fit fit = {.model = MODEL_OUTAGE, .class = HF_CLASS_NETWORK, .instants = count};
        fit.score = -(log(fmax(1.5, e->span / 2)) + 0.5) * (double)count;
        for (size_t i = 0; i < e->count; i++) {
            bool explained;
            fit.score += says_outage(e, i, instants, count, &explained);
            fit.explained += explained ? 1 : 0;
        }
        fit.unexplained = e->dead - fit.explained;
        fits_add(fits, &fit);
        if (count == 1 && tried_meanwhile(e, instants[0] - 0.5) > 0) { /* TCP answers: the server */
            fit.class = HF_CLASS_BLOCKED_SERVER;
            fit.model = MODEL_BLOCKED;
            fit.score += tried_meanwhile(e, instants[0] - 0.5) - 2;
            fit.value = fit.waits = fit.low = fit.high = e->span;
            for (size_t i = 0; i < e->count; i++) {
                const struct fact *f = &e->facts[i];
                double waited = seconds_of(f->t->end.age) - f->life;
                fit.value = f->dead && f->silent && f->asks ? fmin(fit.value, waited) : fit.value;
            }
            fit.low = fit.high = fit.value;
            fits_add(fits, &fit);
        }
    }
}

void fit_network(struct evidence *e, struct fits *fits)
{
    double evidence = loss_evidence(e);
    size_t from = fits->count;

    if (e->dead > 0) {
        fit_flat(e, fits);
        fit_outage(e, fits);
    }
    for (size_t i = from; i < fits->count; i++) {
        fits->list[i].score += evidence;
    }
    if (evidence > 0) {
        fit_loss(e, evidence, fits);
    }
}

/* ---- nothing, and no handshake -----------------------------------------------------------------
 */

void fit_none(struct evidence *e, struct fits *fits)
{
    struct fit fit = {.model = MODEL_NONE, .class = HF_CLASS_NONE};

    for (size_t i = 0; i < e->count; i++) {
        fit.score += e->facts[i].dead ? log(e->facts[i].silent ? 0.1 * e->noise : e->noise) : 0;
        fit.lived += e->facts[i].dead ? 0 : 1;
    }
    fit.unexplained = e->dead;
    fits_add(fits, &fit);
}

void fit_handshake(struct evidence *e, struct fits *fits)
{
    struct fit fit = {.model = MODEL_HANDSHAKE, .class = HF_CLASS_HANDSHAKE};
    size_t failed = e->count == 0 ? e->never_opened : e->answered_no;

    if (failed == 0 || (e->count > 0 && (failed < 3 || failed * 7 < e->count))) {
        return;
    }
    fit.score = fmin(4.0 * (double)failed, 14);
    for (size_t i = 0; i < e->count; i++) {
        fit.score += e->facts[i].dead ? log(e->facts[i].silent ? 0.1 * e->noise : e->noise) : 0;
    }
    fit.explained = failed;
    fit.unexplained = e->dead;
    fits_add(fits, &fit);
}
