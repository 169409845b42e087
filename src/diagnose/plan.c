/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a diagnosis. Intervals that are not known yet form a ladder that hangs on the
 * budget; once connections have died, they are chosen around the age at which they did. */
#include "diagnose/plan.h"

#include <stdio.h>

static const char *const names[HF_EXPERIMENTS] = {
    "silence", "ping",       "beat", "message", "busy", "stagger",  "pong",
    "stall",   "quiet-send", "rate", "size",    "path", "handshake"};

const char *hf_experiment_text(enum hf_experiment experiment)
{
    HF_ASSERT((unsigned)experiment < HF_EXPERIMENTS);
    return names[experiment];
}

enum hf_experiment hf_experiment_from(struct hf_slice text)
{
    unsigned i = 0;
    while (i < HF_EXPERIMENTS && !hf_slice_eq(text, hf_slice_of(names[i]))) {
        i++;
    }
    return (enum hf_experiment)i;
}

static hf_time between(hf_time low, hf_time value, hf_time high)
{
    return value < low ? low : value > high ? high : value;
}

/* Two digits are enough for people, and make names short. */
static hf_time rounded(hf_time value)
{
    hf_time unit = 1000;
    while (value / unit >= 100) {
        unit *= 10;
    }
    return (value + unit / 2) / unit * unit;
}

static bool wants(const struct hf_plan *plan, enum hf_experiment e)
{
    return plan->how.only == 0 || (plan->how.only >> e & 1) != 0;
}

/* ---- adding arms ------------------------------------------------------------------------------
 */

/* NULL when it is not wanted or there is no room. */
static struct hf_arm *add(struct hf_plan *plan, enum hf_experiment experiment, unsigned slots,
                          const struct hf_trial_plan *how)
{
    struct hf_arm *arm = &plan->arms[plan->count];
    if (plan->count == HF_PLAN_ARMS || !wants(plan, experiment)) {
        return NULL;
    }
    *arm = (struct hf_arm){
        .experiment = experiment,
        .plan = *how,
        .slots = (uint8_t)slots,
        .hold = HF_NEVER,
        .stagger = between(HF_MS(300), plan->how.budget / 40, HF_SECONDS(10)),
    };
    (void)snprintf(arm->name, sizeof(arm->name), "%s", names[experiment]);
    plan->count++;
    return arm;
}

static struct hf_arm *add_named(struct hf_plan *plan, enum hf_experiment experiment, unsigned slots,
                                const struct hf_trial_plan *how, const char *what, hf_time interval)
{
    struct hf_arm *arm = add(plan, experiment, slots, how);
    char text[24] = "";
    if (arm == NULL) {
        return NULL;
    }
    if (interval > 0) {
        hf_duration_text(interval, text);
    }
    (void)snprintf(arm->name, sizeof(arm->name), "%s%s%s", what, interval > 0 ? " " : "", text);
    return arm;
}

static struct hf_arm *add_ping(struct hf_plan *plan, unsigned slots, hf_time every)
{
    every = rounded(every);
    return add_named(plan, HF_EXPERIMENT_PING, slots, &(struct hf_trial_plan){.ping_every = every},
                     "ping", every);
}

static struct hf_arm *add_beat(struct hf_plan *plan, unsigned slots, hf_time every)
{
    every = rounded(every);
    return add_named(plan, HF_EXPERIMENT_BEAT, slots, &(struct hf_trial_plan){.beat_every = every},
                     "beat", every);
}

static struct hf_arm *add_message(struct hf_plan *plan, unsigned slots, hf_time every)
{
    every = rounded(every);
    return add_named(plan, HF_EXPERIMENT_MESSAGE, slots,
                     &(struct hf_trial_plan){.message_every = every}, "message", every);
}

static struct hf_arm *add_busy(struct hf_plan *plan, unsigned slots, hf_time ping, hf_time message)
{
    ping = rounded(ping);
    message = rounded(message);
    return add_named(
        plan, HF_EXPERIMENT_BUSY, slots,
        &(struct hf_trial_plan){.ping_every = ping, .beat_every = ping, .message_every = message},
        "busy", ping < message ? ping : message);
}

static struct hf_arm *add_quiet(struct hf_plan *plan, hf_time quiet)
{
    struct hf_arm *arm;
    quiet = rounded(quiet);
    arm = add_named(plan, HF_EXPERIMENT_QUIET_SEND, 1, &(struct hf_trial_plan){0}, "quiet", quiet);
    if (arm != NULL) {
        arm->hold = quiet;
        arm->check = true;
        arm->once = true;
        arm->answer_timeout = between(HF_MS(1500), plan->how.budget / 22, HF_SECONDS(10));
    }
    return arm;
}

static void add_pong(struct hf_plan *plan, enum hf_pong_policy policy, hf_time delay)
{
    static const char *const policies[] = {"answers pings", "ignores pings", "empty pongs",
                                           "pongs late"};
    struct hf_arm *arm =
        add_named(plan, HF_EXPERIMENT_PONG, 1, &(struct hf_trial_plan){.pong = policy},
                  policies[policy], delay);
    if (arm != NULL) {
        arm->pong_delay = delay;
    }
}

/* A server that is blocked accepts but does not answer a handshake; a path that lost its flows
 * passes new ones; a path that is down passes none. */
static void add_control(struct hf_plan *plan)
{
    struct hf_arm *arm = add_named(plan, HF_EXPERIMENT_STALL, 1,
                                   &(struct hf_trial_plan){.ping_every = HF_MS(200)}, "control", 0);
    if (arm != NULL) {
        arm->on_stall = true;
        arm->hold = HF_SECONDS(1);
    }
}

/* ---- the beginning ----------------------------------------------------------------------------
 */

struct ladder {
    hf_time short_, middle, long_;
};

/* Without any knowledge: a timer may lie anywhere between a second and a large part of the budget.
 */
static struct ladder ladder_of(hf_time budget)
{
    return (struct ladder){
        .short_ = between(HF_MS(400), budget / 120, HF_SECONDS(5)),
        .middle = between(HF_MS(1200), budget / 36, HF_SECONDS(20)),
        .long_ = between(HF_SECONDS(3), budget / 12, HF_SECONDS(60)),
    };
}

static void begin_messages(struct hf_plan *plan, const struct ladder *l)
{
    if (!plan->how.has_text) {
        (void)add_message(plan, 1, l->middle);
        (void)add_message(plan, 1, l->short_);
        (void)add_busy(plan, 1, l->short_, l->middle);
        return;
    }
    /* Counts end at an age that follows the interval, timers do not. */
    (void)add_message(plan, 2, plan->how.every);
    (void)add_message(plan, 1, between(HF_MS(100), plan->how.every / 2, HF_NEVER));
    (void)add_message(plan, 1, between(HF_MS(200), plan->how.every / 4, plan->how.every));
    (void)add_message(plan, 1, plan->how.every * 2);
    (void)add_busy(plan, 2, l->short_, plan->how.every);
}

static void begin_rates(struct hf_plan *plan)
{
    static const unsigned per_second[] = {5, 10, 20, 50};
    hf_time start = plan->how.budget / 50;
    for (size_t i = 0; plan->how.load && i < sizeof(per_second) / sizeof(per_second[0]); i++) {
        const hf_time every = HF_SECONDS(1) / per_second[i];
        struct hf_arm *arm = add(plan, HF_EXPERIMENT_RATE, 1,
                                 &(struct hf_trial_plan){.message_every = every, .load = true});
        if (arm == NULL) {
            return;
        }
        (void)snprintf(arm->name, sizeof(arm->name), "rate %u/s", per_second[i]);
        arm->start = start;
        arm->hold = every * HF_PLAN_RATE_MAX;
        arm->once = true;
        start += plan->how.budget / 40;
    }
}

static void begin_compared(struct hf_plan *plan, const struct ladder *l)
{
    const size_t from = plan->count;
    const uint32_t only = plan->how.only;
    if (!plan->how.compare || !wants(plan, HF_EXPERIMENT_PATH)) {
        return;
    }
    plan->how.only = 0;
    (void)add(plan, HF_EXPERIMENT_SILENCE, 2, &(struct hf_trial_plan){0});
    (void)add_ping(plan, 1, l->short_);
    (void)add_message(plan, 1, plan->how.every);
    (void)add_busy(plan, 1, l->short_, plan->how.every);
    plan->how.only = only;
    for (size_t i = from; i < plan->count; i++) {
        char name[sizeof(plan->arms[i].name)];
        (void)snprintf(name, sizeof(name), "%s", plan->arms[i].name);
        (void)snprintf(plan->arms[i].name, sizeof(name), "B: %.30s", name);
        plan->arms[i].path = 1;
    }
}

void hf_plan_begin(struct hf_plan *plan, const struct hf_plan_how *how)
{
    const struct ladder l = ladder_of(how->budget);
    struct hf_arm *arm;
    *plan = (struct hf_plan){.how = *how};
    if (plan->how.every == 0) {
        plan->how.every =
            how->has_text ? between(HF_MS(500), how->budget / 40, HF_SECONDS(10)) : l.middle;
    }
    (void)add(plan, HF_EXPERIMENT_SILENCE, 3, &(struct hf_trial_plan){0});
    (void)add_ping(plan, 1, l.short_);
    (void)add_ping(plan, 1, l.middle);
    (void)add_beat(plan, 1, l.short_);
    begin_messages(plan, &l);
    (void)add_ping(plan, 1, l.long_);
    arm = add_named(plan, HF_EXPERIMENT_STALL, 1,
                    &(struct hf_trial_plan){
                        .ping_every = between(HF_MS(200), how->budget / 240, HF_SECONDS(1))},
                    "round trips", 0);
    add_control(plan);
    add_pong(plan, HF_PONG_IGNORE, 0);
    add_pong(plan, HF_PONG_EMPTY, 0);
    for (int i = 1; i <= 5; i++) { /* 6, 12, 24, 43 and 70 % of the budget */
        static const unsigned percent[] = {6, 12, 24, 43, 70};
        (void)add_quiet(plan, how->budget * percent[i - 1] / 100);
    }
    for (size_t i = 0; i < plan->count; i++) { /* not all in one instant */
        plan->arms[i].start = HF_MS(60) * (hf_time)i;
    }
    arm = add(plan, HF_EXPERIMENT_STAGGER, 2, &(struct hf_trial_plan){0});
    if (arm != NULL) {
        arm->start = how->budget / 9;
        arm->stagger = how->budget / 7;
        arm->plan.ping_every = rounded(l.short_);
    }
    begin_compared(plan, &l);
    begin_rates(plan);
}

/* ---- what was seen ----------------------------------------------------------------------------
 */

static bool is_silent(const struct hf_trial_plan *p)
{
    return p->ping_every == 0 && p->message_every == 0 && p->beat_every == 0 && !p->stops_reading &&
           !p->load && p->pong == HF_PONG_ANSWER;
}

static bool was_lost(const struct hf_trial *t)
{
    return t->end.how == HF_HOW_SILENCE || t->end.how == HF_HOW_TIMEOUT;
}

/* The middle age of deaths that `is` picks out; 0: none. Ages are few; sorted by insertion. */
static hf_time middle_age(const struct hf_trial *trials, size_t count,
                          bool (*is)(const struct hf_trial *t), size_t *found)
{
    hf_time ages[64];
    size_t n = 0;
    for (size_t i = 0; i < count && n < 64; i++) {
        if (hf_trial_was_open(&trials[i]) && hf_trial_is_dead(&trials[i]) && is(&trials[i])) {
            const hf_time age = trials[i].end.age;
            size_t at = n++;
            for (; at > 0 && ages[at - 1] > age; at--) {
                ages[at] = ages[at - 1];
            }
            ages[at] = age;
        }
    }
    *found = n;
    return n == 0 ? 0 : ages[n / 2];
}

static bool dies_silent(const struct hf_trial *t)
{
    return is_silent(&t->plan) && t->path == 0 && !was_lost(t) &&
           t->count[HF_MOMENT_PING_SENT] == 0;
}

static bool dies_ignoring(const struct hf_trial *t)
{
    return t->plan.pong == HF_PONG_IGNORE && t->count[HF_MOMENT_PING_GOT] > 0 && !was_lost(t);
}

/* An arm of this kind with an interval between low and high, or NULL. */
static struct hf_arm *find(struct hf_plan *plan, enum hf_experiment e, hf_time low, hf_time high)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct hf_arm *arm = &plan->arms[i];
        const hf_time every = e == HF_EXPERIMENT_PING   ? arm->plan.ping_every
                              : e == HF_EXPERIMENT_BEAT ? arm->plan.beat_every
                                                        : arm->plan.message_every;
        if (arm->experiment == e && arm->path == 0 && !arm->retired && every >= low &&
            every <= high) {
            return arm;
        }
    }
    return NULL;
}

static void retire(struct hf_plan *plan, enum hf_experiment e)
{
    for (size_t i = 0; i < plan->count; i++) {
        plan->arms[i].retired |= plan->arms[i].experiment == e;
    }
}

/* Arms around a timer that silent connections seem to die of: what keeps them alive? */
static void suspect_timer(struct hf_plan *plan, hf_time t)
{
    const hf_time low = t / 8, high = t * 65 / 100, every = between(HF_MS(100), t * 45 / 100, t);
    if (plan->timer != 0 && t > plan->timer * 3 / 4 && t < plan->timer * 5 / 4) {
        return;
    }
    plan->timer = t;
    if (find(plan, HF_EXPERIMENT_PING, low, high) == NULL) {
        (void)add_ping(plan, 2, every);
    }
    (void)add_ping(plan, 1, t * 4 / 5);
    if (find(plan, HF_EXPERIMENT_BEAT, low, high) == NULL) {
        (void)add_beat(plan, 2, every);
    } else {
        (void)add_beat(plan, 1, t * 3 / 5);
    }
    if (find(plan, HF_EXPERIMENT_MESSAGE, low, high) == NULL) {
        (void)add_message(plan, 2, every);
    }
    if (find(plan, HF_EXPERIMENT_BUSY, 0, high) == NULL) {
        (void)add_busy(plan, 2, every, every);
    }
}

/* How many silent connections grew clearly older than that. */
static size_t older(const struct hf_trial *trials, size_t count, hf_time t)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        n += is_silent(&trials[i].plan) && trials[i].path == 0 && hf_trial_was_open(&trials[i]) &&
             !was_lost(&trials[i]) && trials[i].end.age > t * 6 / 5;
    }
    return n;
}

/* The server pings, and gives up who does not answer: how late may an answer be? */
static void suspect_watchdog(struct hf_plan *plan, const struct hf_trial *trials, size_t count)
{
    size_t found;
    const hf_time needs = middle_age(trials, count, dies_ignoring, &found);
    hf_time first = HF_NEVER;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < trials[i].moment_count; k++) {
            const struct hf_moment *m = &trials[i].moments[k];
            if (m->kind == HF_MOMENT_PING_GOT && trials[i].plan.pong == HF_PONG_IGNORE) {
                first = m->at < first ? m->at : first;
                break;
            }
        }
    }
    if (found == 0 || plan->watchdog != 0 || first >= needs) {
        return;
    }
    plan->watchdog = needs;
    add_pong(plan, HF_PONG_LATE, rounded(between(HF_MS(50), (needs - first) / 2, HF_NEVER)));
}

/* The silence before the first ping of a connection that was silent until then; 0: none. */
static hf_time silence_before_ping(const struct hf_trial *t)
{
    hf_time quiet = 0;
    if (!is_silent(&t->plan) || t->path != 0 || !hf_trial_was_open(t)) {
        return 0;
    }
    for (size_t k = 0; k < t->moment_count && quiet == 0; k++) {
        quiet = t->moments[k].kind == HF_MOMENT_PING_SENT ? t->moments[k].at : 0;
    }
    return quiet;
}

/* The path had forgotten it: no answer, or a reset as soon as something was sent. */
static bool was_forgotten(const struct hf_trial *t, hf_time quiet)
{
    return hf_trial_is_dead(t) && t->count[HF_MOMENT_PONG_GOT] == 0 &&
           (was_lost(t) || t->end.age - quiet < HF_SECONDS(1));
}

static bool has_ended(const struct hf_arm *arm, const struct hf_trial *trials, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (trials[i].arm == arm->name && trials[i].end.how != HF_HOW_ALIVE) {
            return true;
        }
    }
    return false;
}

/* A path that forgets silently: the age is only known to lie between two silences. Four more
 * between them, until they are close. */
static void narrow_quiet(struct hf_plan *plan, const struct hf_trial *trials, size_t count)
{
    hf_time low = 0, high = 0;
    uint64_t pongs = 0;
    plan->narrowing = false;
    for (size_t i = 0; i < count; i++) {
        pongs += trials[i].count[HF_MOMENT_PONG_GOT];
        const hf_time quiet = silence_before_ping(&trials[i]);
        if (quiet > 0 && was_forgotten(&trials[i], quiet)) {
            high = high == 0 || quiet < high ? quiet : high;
        } else if (trials[i].count[HF_MOMENT_PONG_GOT] > 0 && quiet > low) {
            low = quiet;
        }
    }
    if (pongs < 3 || high == 0 || low >= high || high - low < high / 40 ||
        plan->quiet_rounds >= 4) { /* where no pong ever comes its absence tells nothing */
        return;
    }
    for (size_t i = 0; i < plan->count; i++) {
        struct hf_arm *arm = &plan->arms[i];
        const bool between_ = arm->hold > low + HF_MS(20) && arm->hold < high - HF_MS(20);
        if (arm->experiment != HF_EXPERIMENT_QUIET_SEND || arm->retired) {
            continue;
        }
        if (!between_) { /* it can tell nothing new, and makes room */
            arm->retired = true;
        } else if (arm->adapted && !has_ended(arm, trials, count)) {
            plan->narrowing = true; /* one that will tell more is on its way */
        }
    }
    if (plan->narrowing) {
        return;
    }
    plan->narrowing = true;
    plan->quiet_low = low;
    plan->quiet_high = high;
    plan->quiet_rounds++;
    for (int i = 1; i <= 4; i++) {
        (void)add_quiet(plan, low + (high - low) * i / 5);
    }
}

/* Messages end it while silent connections grow older: the count is asked for at other intervals.
 */
static void suspect_limit(struct hf_plan *plan, hf_time now, const struct hf_trial *trials,
                          size_t count)
{
    hf_time alive = 0;
    uint64_t limit = 0;
    hf_time left = plan->how.budget - now;
    for (size_t i = 0; i < count; i++) {
        const struct hf_trial *t = &trials[i];
        if (t->path == 0 && t->plan.message_every == 0 && !hf_trial_is_dead(t) &&
            t->end.age > alive) {
            alive = t->end.age;
        }
        if (t->path == 0 && t->plan.message_every > 0 && hf_trial_is_dead(t) && !was_lost(t) &&
            t->count[HF_MOMENT_SENT] > 1 && (limit == 0 || t->count[HF_MOMENT_SENT] < limit)) {
            limit = t->count[HF_MOMENT_SENT];
        }
    }
    if (limit == 0 || plan->limit != 0 || plan->timer != 0 || limit > 100000) {
        return;
    }
    for (size_t i = 0; i < count; i++) { /* it must be younger than what lives without messages */
        if (trials[i].plan.message_every > 0 && hf_trial_is_dead(&trials[i]) &&
            trials[i].end.age > alive) {
            return;
        }
    }
    plan->limit = (unsigned)limit;
    const hf_time floor_ = plan->how.load ? HF_MS(20) : HF_MS(200);
    const hf_time fast = between(floor_, left / 4 / (hf_time)limit, plan->how.every * 4 / 3);
    (void)add_message(plan, 2, fast * 3 / 4 < floor_ ? floor_ : fast * 3 / 4);
    (void)add_message(plan, 1, fast);
}

static void look_for_pings(struct hf_plan *plan, const struct hf_trial *trials, size_t count)
{
    for (size_t i = 0; i < count && !plan->pings_seen; i++) {
        if (trials[i].count[HF_MOMENT_PING_GOT] > 0) {
            plan->pings_seen = true;
        }
    }
    for (size_t i = 0; i < count && !plan->streams; i++) {
        if (trials[i].count[HF_MOMENT_GOT] > 3 * trials[i].count[HF_MOMENT_SENT] + 20) {
            struct hf_arm *arm;
            plan->streams = true;
            arm = add_named(plan, HF_EXPERIMENT_STALL, 1,
                            &(struct hf_trial_plan){.stops_reading = true}, "stops reading", 0);
            if (arm != NULL) {
                arm->reading_until = HF_SECONDS(1);
            }
        }
    }
}

size_t hf_plan_adapt(struct hf_plan *plan, hf_time now, const struct hf_trial *trials, size_t count,
                     const struct hf_verdict *verdict)
{
    const size_t before = plan->count;
    size_t found;
    const hf_time t = middle_age(trials, count, dies_silent, &found);
    (void)verdict;
    look_for_pings(plan, trials, count);
    if (found > 0 && t >= hf_plan_young(plan) && older(trials, count, t) < found) {
        suspect_timer(plan, t);
        if (found > 2 && plan->quiet_rounds == 0) { /* one death alone may be an accident */
            retire(plan, HF_EXPERIMENT_QUIET_SEND);
        }
    }
    suspect_watchdog(plan, trials, count);
    narrow_quiet(plan, trials, count);
    suspect_limit(plan, now, trials, count);
    for (size_t i = before; i < plan->count; i++) {
        plan->arms[i].adapted = true;
        plan->arms[i].start = now + HF_MS(120) * (hf_time)(i - before);
        plan->arms[i].stagger = plan->timer > 0
                                    ? between(HF_MS(250), plan->timer / 3, HF_SECONDS(10))
                                    : plan->arms[i].stagger;
    }
    return plan->count - before;
}

/* ---- pace -------------------------------------------------------------------------------------
 */

hf_time hf_plan_young(const struct hf_plan *plan)
{
    return between(HF_MS(200), plan->how.budget / 100, HF_SECONDS(1));
}

hf_time hf_plan_answer_timeout(const struct hf_plan *plan)
{
    return between(HF_SECONDS(2), plan->how.budget * 2 / 5, HF_SECONDS(45));
}

hf_time hf_plan_rest(const struct hf_plan *plan, const struct hf_arm *arm,
                     const struct hf_slot_past *past, unsigned serial)
{
    hf_time rest = HF_MS(250);
    if (arm->retired || arm->on_stall || (arm->once && past->deaths < past->trials) ||
        (arm->once && past->deaths >= (arm->check ? 1 : 2))) {
        return HF_NEVER;
    }
    if (past->early > 0) {
        const unsigned doublings = past->early < 8 ? past->early : 8;
        rest <<= doublings;
        return between(HF_MS(250), rest, plan->how.budget / 4 + HF_MS(250));
    }
    /* By the golden section, evenly over a third of the last age whatever the number of slots. */
    rest += past->age / 3 * (hf_time)(serial * 618 % 1000) / 1000;
    if (past->deaths > 6) { /* seen often enough; it goes on only to notice a change */
        rest += past->age / 4 * (hf_time)(past->deaths - 6);
    }
    return rest;
}
