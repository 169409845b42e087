/* SPDX-License-Identifier: Apache-2.0 */
/* Models in which a message ends the connection: the n-th one, one too many in a while, one that is
 * too large, or the first frame of a kind. What they share: the end comes right behind the moment.
 */
#include "cause/infer_models.h"

#include <math.h>

#define COUNT_MAX 1000000.0
#define TRIED 48
#define FRAME_SHIFT 1.0

/* ---- right behind ------------------------------------------------------------------------------
 */

/* Density of the end so long after the moment that caused it. A server may look once a second. */
static double behind(double lag, double rtt)
{
    double soon = 0.04 + rtt;

    if (lag < -0.05) {
        return 0;
    }
    lag = lag < 0 ? 0 : lag;
    return fmin(DENSITY_MOST, 0.62 * exp(-lag / soon) / soon + 0.23 * exp(-lag / 0.25) / 0.25 +
                                  (lag < 1.3 ? 0.15 / 1.3 : 0));
}

static double behind_by(double lag, double rtt)
{
    double soon = 0.04 + rtt;

    if (lag <= 0) {
        return 0;
    }
    return 0.62 * (1 - exp(-lag / soon)) + 0.23 * (1 - exp(-lag / 0.25)) +
           0.15 * (lag < 1.3 ? lag / 1.3 : 1);
}

/* What one trial says when the fatal moment was at an age; below 0: there was none. */
static double says_moment(const struct evidence *e, size_t i, double moment, bool *explained)
{
    const struct fact *f = &e->facts[i];
    double dies, floor = e->floor[i];

    *explained = false;
    if (moment < 0) {
        return f->dead ? log(floor) : 0;
    }
    if (!f->dead) {
        return log((1 - NOISE_LIFE) * (1 - behind_by(f->age - moment, e->rtt)) + NOISE_LIFE);
    }
    dies = f->silent ? 0 : (1 - NOISE_DEATH) * behind(f->age - moment, e->rtt);
    floor *= 1 - behind_by(f->age - moment, e->rtt) + NOISE_LIFE;
    *explained = dies > floor;
    return log(fmax(dies, floor));
}

/* ---- counting ----------------------------------------------------------------------------------
 */

/* Ages of all moments of these kinds, one fact behind the other. */
static void gather(struct evidence *e, uint16_t kinds)
{
    size_t count = 0;

    for (size_t i = 0; i < e->count; i++) {
        const struct hf_trial *t = e->facts[i].t;
        e->first[i] = count;
        for (size_t k = 0; k < t->moment_count; k++) {
            double at = seconds_of(t->moments[k].at);
            if ((kinds & resets_of(t->moments[k].kind)) && at <= e->facts[i].age + 0.001) {
                e->times[count++] = at;
            }
        }
    }
    e->first[e->count] = count;
}

static double total_of(const struct evidence *e, size_t i, uint16_t kinds)
{
    double total = 0;

    for (uint8_t kind = 0; kind < HF_MOMENT_KINDS; kind++) {
        total += kinds & resets_of(kind) ? (double)e->facts[i].t->count[kind] : 0;
    }
    return fmax(total, (double)(e->first[i + 1] - e->first[i]));
}

/* Age of the n-th; -1: it never came. A bounded list has lost its middle: then about. */
static double nth(const struct evidence *e, size_t i, double n, double total)
{
    size_t listed = e->first[i + 1] - e->first[i];
    const double *times = &e->times[e->first[i]];
    double lost = total - (double)listed;

    if (n < 1 || n > total || listed == 0) {
        return -1;
    }
    if (n <= (double)(listed / 2) || lost < 0.5) {
        return times[(size_t)fmin(n, (double)listed) - 1];
    }
    return times[(size_t)fmax(n - lost, (double)(listed / 2)) - 1 + (n - lost < 1 ? 1 : 0)];
}

/* The n-th within a while: the first age at which n have come in `window` seconds; 0: ever. */
static double nth_within(const struct evidence *e, size_t i, double n, double window)
{
    size_t listed = e->first[i + 1] - e->first[i], step = (size_t)n - 1;
    const double *times = &e->times[e->first[i]];

    for (size_t k = step; k < listed; k++) {
        if (times[k] - times[k - step] <= window) {
            return times[k];
        }
    }
    return -1;
}

/* A bucket of n that fills again at per_second: the age at which it was empty. */
static double emptied(const struct evidence *e, size_t i, double n, double per_second)
{
    size_t listed = e->first[i + 1] - e->first[i];
    const double *times = &e->times[e->first[i]];
    double level = n, last = 0;

    for (size_t k = 0; k < listed; k++) {
        level = fmin(n, level + (times[k] - last) * per_second) - 1;
        last = times[k];
        if (level < 0.5) {
            return times[k];
        }
    }
    return -1;
}

static double fatal(const struct evidence *e, size_t i, const struct fit *fit)
{
    if (fit->model == MODEL_RATE) {
        return nth_within(e, i, fit->value, fit->window);
    }
    if (fit->model == MODEL_BUCKET) {
        return emptied(e, i, fit->value, fit->per_second);
    }
    return nth(e, i, fit->value, total_of(e, i, fit->resets));
}

static void score_count(const struct evidence *e, struct fit *fit)
{
    fit->score = -log(fit->value) - 1.5 - (fit->model == MODEL_COUNT ? 0 : 3);
    fit->explained = fit->lived = 0;
    for (size_t i = 0; i < e->count; i++) {
        double moment = fatal(e, i, fit);
        bool foretold;
        fit->score += says_moment(e, i, moment, &foretold);
        fit->explained += foretold ? 1 : 0;
        fit->lived += moment < 0 && !e->facts[i].dead ? 1 : 0;
    }
    fit->unexplained = e->dead - fit->explained;
}

/* How many had come when trials died, up to a second before: what a counter may have stood at. */
static size_t counts_tried(const struct evidence *e, uint16_t kinds, double *tried)
{
    size_t found = 0;

    for (size_t i = 0; i < e->count && found < TRIED; i++) {
        double total = total_of(e, i, kinds);
        for (double n = total; n >= 1 && n > total - 12 && e->facts[i].dead; n--) {
            bool known = false;
            double at = nth(e, i, n, total);
            if (e->facts[i].silent || e->facts[i].age - at > 1.3) {
                break;
            }
            for (size_t k = 0; k < found; k++) {
                known = known || tried[k] == n;
            }
            if (!known && found < TRIED) {
                tried[found++] = n;
            }
        }
    }
    return found;
}

static double got_before(const struct hf_trial *t, uint8_t kind, double moment)
{
    double count = 0;

    for (size_t k = 0; k < t->moment_count; k++) {
        count +=
            t->moments[k].kind == kind && seconds_of(t->moments[k].at) <= moment + 1e-6 ? 1 : 0;
    }
    return count;
}

/* Each message of the client has one answer, as far as those show that are not flooded: the n-th
 * answer is then as good as its question. */
static bool answers_are_paired(const struct evidence *e)
{
    size_t talking = 0, paired = 0;

    for (size_t i = 0; i < e->count; i++) {
        double sent = (double)e->facts[i].t->count[HF_MOMENT_SENT];
        double got = (double)e->facts[i].t->count[HF_MOMENT_GOT];
        talking += sent >= 2 ? 1 : 0;
        paired +=
            sent >= 2 && got <= sent && got >= 1 && (sent - got <= 2 || got >= 0.75 * sent) ? 1 : 0;
    }
    return talking > 0 && paired * 10 >= talking * 6;
}

/* Where each message is answered by one, the fatal one is the first that is not: what was sent
 * meanwhile was under way. 0: the answers do not tell. */
static double first_unanswered(struct evidence *e, const struct fit *fit)
{
    double *got = e->scratch;
    size_t count = 0;

    for (size_t i = 0; i < e->count; i++) {
        bool foretold;
        (void)says_moment(e, i, fatal(e, i, fit), &foretold);
        if (foretold) {
            got[count++] = (double)e->facts[i].t->count[HF_MOMENT_GOT];
        }
    }
    sort_numbers(got, count);
    if (count < 2 || part_of(got, count, 0.2) < part_of(got, count, 0.8) || got[0] < 1 ||
        !answers_are_paired(e)) {
        return 0;
    }
    return part_of(got, count, 0.5) + 1;
}

/* A count of answers, told as the message that had none. */
static void tell_by_question(struct evidence *e, struct fit *fit)
{
    double *ours = e->scratch;
    size_t count = 0;

    for (size_t i = 0; i < e->count; i++) {
        const struct hf_trial *t = e->facts[i].t;
        bool foretold;
        (void)says_moment(e, i, fatal(e, i, fit), &foretold);
        if (foretold) {
            ours[count++] =
                fmin((double)t->count[HF_MOMENT_SENT], (double)t->count[HF_MOMENT_GOT] + 1);
        }
    }
    sort_numbers(ours, count);
    fit->value = part_of(ours, count, 0.5);
    fit->low = part_of(ours, count, 0);
    fit->high = part_of(ours, count, 1);
    fit->resets = HF_RESETS_SENT;
}

/* At the deaths that it foretells: the client's messages, and the server's. */
static void messages_at_death(struct evidence *e, struct fit *fit, double *client)
{
    double *theirs = e->scratch, *ours = e->scratch + e->count, answers;
    size_t count = 0;

    for (size_t i = 0; i < e->count; i++) {
        const struct hf_trial *t = e->facts[i].t;
        double moment = fatal(e, i, fit);
        bool foretold;
        (void)says_moment(e, i, moment, &foretold);
        if (foretold) {
            ours[count] = got_before(t, HF_MOMENT_SENT, moment);
            theirs[count++] = (double)t->count[HF_MOMENT_GOT];
        }
    }
    sort_numbers(ours, count);
    sort_numbers(theirs, count);
    *client = fit->resets == HF_RESETS_UP ? fit->value : part_of(ours, count, 0.5);
    fit->low = part_of(ours, count, 0);
    fit->high = part_of(ours, count, 1);
    fit->server_messages = part_of(theirs, count, 0.5);
    answers = fit->resets == HF_RESETS_SENT ? first_unanswered(e, fit) : 0;
    if (answers > 0 && answers < *client) {
        *client = answers;
    }
}

/* Between the spans in which n came where it died, and where it did not. */
static void fit_window(struct evidence *e, const struct fit *whole, double prior, struct fits *fits)
{
    struct fit fit = *whole;
    double died = 0, lived = INFINITY, client;
    size_t step = (size_t)whole->value - 1;
    bool told_by_questions;

    for (size_t i = 0; i < e->count && whole->value >= 2; i++) {
        size_t listed = e->first[i + 1] - e->first[i];
        const double *times = &e->times[e->first[i]];
        double at = nth(e, i, whole->value, total_of(e, i, whole->resets));
        if (at < 0) {
            continue;
        }
        if (e->facts[i].dead && e->facts[i].age - at < 1.3 && listed > step) {
            died = fmax(died, times[step] - times[0]);
            continue;
        }
        for (size_t k = step; k < listed; k++) {
            if (e->facts[i].age - times[k] > 1.5) {
                lived = fmin(lived, times[k] - times[k - step]);
            }
        }
    }
    if (died <= 0 || !isfinite(lived) || lived <= died) {
        return;
    }
    fit.model = MODEL_RATE;
    fit.window = sqrt(died * lived);
    score_count(e, &fit);
    fit.score += log(prior);
    told_by_questions = (whole->resets & HF_RESETS_GOT) != 0 && answers_are_paired(e);
    messages_at_death(e, &fit, &client);
    if (told_by_questions) {
        tell_by_question(e, &fit);
    } else {
        fit.value = client;
    }
    if (fit.explained >= 2) {
        fits_add(fits, &fit);
    }
}

/* Of a bucket the fastest empty it at its size: the count that came most among those that died, or
 * one of the least. */
static double count_of_the_fastest(struct evidence *e, const struct fit *fit, double otherwise)
{
    double *counts = e->scratch, best = otherwise;
    size_t count = 0, most = 0;

    for (size_t i = 0; i < e->count; i++) {
        double total = total_of(e, i, fit->resets);
        double at = e->facts[i].dead && !e->facts[i].silent ? nth(e, i, total, total) : -1;
        if (at >= 0 && e->facts[i].age - at < 1) {
            counts[count++] = got_before(e->facts[i].t, HF_MOMENT_SENT, e->facts[i].age);
        }
    }
    sort_numbers(counts, count);
    for (size_t from = 0; from < count;) {
        size_t to = from + 1;
        while (to < count && counts[to] <= counts[from]) {
            to++;
        }
        if (to - from > most) {
            most = to - from;
            best = counts[from];
        }
        from = to;
    }
    return most >= 3 ? best : count > 0 ? part_of(counts, count, 0.15) : otherwise;
}

/* Two rates, or more: what was sent until it ended is the bucket and what filled it meanwhile. */
static void fit_bucket(struct evidence *e, uint16_t kinds, double prior, struct fits *fits)
{
    struct fit fit = {.model = MODEL_BUCKET, .class = HF_CLASS_MESSAGE_LIMIT, .resets = kinds};
    double n = 0, st = 0, sc = 0, stt = 0, stc = 0, slope, client, least = INFINITY, most = 0;

    for (size_t i = 0; i < e->count; i++) {
        double total = total_of(e, i, kinds);
        double at = e->facts[i].dead && !e->facts[i].silent ? nth(e, i, total, total) : -1;
        if (at < 0 || total < 3 || e->facts[i].age - at > 1) {
            continue;
        }
        n++;
        st += at;
        sc += total;
        stt += at * at;
        stc += at * total;
        least = fmin(least, at);
        most = fmax(most, at);
    }
    if (n < 3 || most < 1.5 * least || n * stt - st * st <= 0) {
        return;
    }
    slope = (n * stc - st * sc) / (n * stt - st * st);
    fit.per_second = slope;
    fit.value = floor((sc - slope * st) / n + 0.5);
    if (slope <= 0 || fit.value < 2 || fit.value > COUNT_MAX) {
        return;
    }
    score_count(e, &fit);
    fit.score += log(prior);
    messages_at_death(e, &fit, &client);
    if ((kinds & HF_RESETS_GOT) != 0 && answers_are_paired(e)) {
        tell_by_question(e, &fit);
    } else {
        fit.value = count_of_the_fastest(e, &fit, client);
    }
    fits_add(fits, &fit);
}

static void fit_kinds(struct evidence *e, uint16_t kinds, double prior, struct fits *fits)
{
    double tried[TRIED];
    struct fit best = {.model = MODEL_COUNT, .score = -INFINITY}, whole;
    size_t count;

    gather(e, kinds);
    count = counts_tried(e, kinds, tried);
    for (size_t i = 0; i < count; i++) {
        struct fit fit = {.model = MODEL_COUNT,
                          .class = HF_CLASS_MESSAGE_LIMIT,
                          .resets = kinds,
                          .value = tried[i]};
        score_count(e, &fit);
        fit_window(e, &fit, prior * 0.4, fits);
        best = fit.score > best.score ? fit : best;
    }
    if (count > 0) {
        double client;
        whole = best;
        messages_at_death(e, &best, &client);
        best.value = kinds == HF_RESETS_GOT ? best.low : client; /* faster ones ask ahead */
        best.score = whole.score + log(prior);
        if ((kinds & HF_RESETS_GOT) != 0 && answers_are_paired(e)) {
            messages_at_death(e, &whole, &client);
            whole.score = best.score;
            tell_by_question(e, &whole);
            best = whole;
        }
        if (best.explained > 0) {
            fits_add(fits, &best);
        }
        fit_bucket(e, kinds, prior * 0.2, fits);
    }
}

void fit_counts(struct evidence *e, struct fits *fits)
{
    fit_kinds(e, HF_RESETS_SENT, 0.6, fits);
    fit_kinds(e, HF_RESETS_GOT, 0.22, fits);
    fit_kinds(e, HF_RESETS_SENT | HF_RESETS_GOT, 0.13, fits);
    fit_kinds(e, HF_RESETS_UP, 0.05, fits);
}

/* ---- a kind of frame ---------------------------------------------------------------------------
 */

/* The end comes a certain short time behind the first frame of the kind; what kills at once is
 * likelier than what takes half a second. */
static bool fit_frame(struct evidence *e, uint8_t kind, struct fit *fit)
{
    for (size_t i = 0; i < e->count; i++) {
        const struct hf_trial *t = e->facts[i].t;
        double moment = -1;
        for (size_t m = 0; m < t->moment_count && moment < 0; m++) {
            moment = t->moments[m].kind == kind ? seconds_of(t->moments[m].at) : -1;
        }
        /* The fit looks for timers above a certain length. */
        e->reach[i] = (struct reach){0};
        if (moment >= 0 && !e->facts[i].silent) {
            e->reach[i].last = e->facts[i].age - moment + FRAME_SHIFT;
        }
    }
    return fit_timer(e, false, TIMER_LEAST, fit);
}

void fit_frames(struct evidence *e, struct fits *fits)
{
    static const struct {
        uint8_t kind;
        double prior;
    } kinds[] = {{HF_MOMENT_PING_GOT, 0.7}, {HF_MOMENT_PING_SENT, 0.2}, {HF_MOMENT_BEAT_SENT, 0.1}};

    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        struct fit fit = {.model = MODEL_FRAME, .class = HF_CLASS_NETWORK};
        fit.resets = resets_of(kinds[k].kind);
        if (!fit_frame(e, kinds[k].kind, &fit) || fit.value - FRAME_SHIFT > 1) {
            continue;
        }
        fit.waits = fmax(0, fit.value - FRAME_SHIFT);
        fit.value = fit.low = fit.high = 0;
        /* That a timer's ends all lie so close behind one would be chance; and few servers ping. */
        fit.score += log(kinds[k].prior) - 4 * fit.waits + log(e->age / (fit.waits + 0.05)) +
                     (kinds[k].kind == HF_MOMENT_PING_GOT ? 5 : 1.5);
        fits_add(fits, &fit);
    }
}

/* ---- size --------------------------------------------------------------------------------------
 */

/* The age of the first message larger than this; one that was meant and never done counts as at
 * once. -1: none. */
static double first_larger(const struct fact *f, double size)
{
    const struct hf_trial *t = f->t;

    for (size_t k = 0; k < t->moment_count; k++) {
        if (t->moments[k].kind == HF_MOMENT_SENT && t->moments[k].size > size) {
            return seconds_of(t->moments[k].at);
        }
    }
    if (f->dead && f->big && t->count[HF_MOMENT_SENT] == 0 && t->plan.message_size > size) {
        return fmax(0, f->age - 0.05);
    }
    return -1;
}

/* A message passed when something was asked behind it and answered, when an answer like it came,
 * or when nothing happened for long. */
static bool has_passed(const struct fact *f, size_t index)
{
    const struct hf_trial *t = f->t;
    double since = f->age - seconds_of(t->moments[index].at);
    bool asked = false, sent = false;

    for (size_t k = index + 1; k < t->moment_count; k++) {
        const struct hf_moment *m = &t->moments[k];
        asked = asked || m->kind == HF_MOMENT_PING_SENT;
        sent = sent || m->kind == HF_MOMENT_SENT;
        if ((m->kind == HF_MOMENT_PONG_GOT && asked) ||
            (m->kind == HF_MOMENT_GOT && (!sent || m->size >= t->moments[index].size))) {
            return true;
        }
    }
    return since > 1.6 || (!f->dead && since > 0.4);
}

/* The largest below this that passed. */
static double largest_below(const struct evidence *e, double limit)
{
    double best = 0;

    for (size_t i = 0; i < e->count; i++) {
        const struct hf_trial *t = e->facts[i].t;
        for (size_t k = 0; k < t->moment_count; k++) {
            const struct hf_moment *m = &t->moments[k];
            if (m->kind == HF_MOMENT_SENT && m->size < limit && m->size > best &&
                has_passed(&e->facts[i], k)) {
                best = m->size;
            }
        }
    }
    return best;
}

/* The size that a trial seems to have died of; 0: none. */
static double died_of(const struct fact *f)
{
    const struct hf_trial *t = f->t;

    if (!f->dead) {
        return 0;
    }
    for (size_t k = t->moment_count; k-- > 0;) {
        if (t->moments[k].kind == HF_MOMENT_SENT) {
            return f->age - seconds_of(t->moments[k].at) < 1.5 ? t->moments[k].size : 0;
        }
    }
    return f->big ? t->plan.message_size : 0;
}

void fit_size(struct evidence *e, struct fits *fits)
{
    struct fit best = {.score = -INFINITY};
    double last = 0;

    for (unsigned round = 0; round < 16; round++) { /* the smallest fatal sizes, one by one */
        struct fit fit = {.model = MODEL_SIZE, .class = HF_CLASS_SIZE_LIMIT, .high = INFINITY};
        for (size_t i = 0; i < e->count; i++) {
            double size = died_of(&e->facts[i]);
            fit.high = size > last && size < fit.high ? size : fit.high;
        }
        if (!isfinite(fit.high)) {
            break;
        }
        last = fit.high;
        fit.low = fit.value = largest_below(e, fit.high);
        fit.score = -3.5;
        for (size_t i = 0; i < e->count; i++) {
            bool foretold;
            double moment = first_larger(&e->facts[i], fit.value);
            fit.score += says_moment(e, i, moment, &foretold);
            fit.explained += foretold ? 1 : 0;
            fit.lived += moment < 0 && !e->facts[i].dead ? 1 : 0;
        }
        fit.unexplained = e->dead - fit.explained;
        best = fit.explained > 0 && fit.score > best.score ? fit : best;
    }
    fits_add(fits, &best);
}
