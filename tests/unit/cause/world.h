/* SPDX-License-Identifier: Apache-2.0 */
/* Synthetic worlds for the tests of infer: a server, a path and a killer with random parameters,
 * and the connections that a diagnosis would hold there, event by event, in simulated time. What is
 * true is known; what infer is shown is what a client would have seen. */
#ifndef TESTS_UNIT_CAUSE_WORLD_H
#define TESTS_UNIT_CAUSE_WORLD_H

#include "base/random.h"
#include "cause/infer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WORLD_TRIALS 600
#define WORLD_MOMENTS 3000
#define NEVER 1e18

struct world {
    struct hf_random random;
    enum hf_verdict_class class; /* what is true */
    double value;                /* and its value; 0: none */
    double slack;                /* by which a value may be larger */
    double budget, rtt, late;    /* late: the mean of a machine's delays */
    double noise;                /* share of connections that are cut at random */
    bool echo;
    int chunks; /* messages of the server for each of the client; 0 with echo: one */
    /* what kills; 0: it does not */
    double idle, lifetime, lifetime_jitter, scan;
    uint16_t resets;
    double ping_every, ping_timeout; /* the server's watchdog */
    bool pongs_lost, messages_spare, pongs_checked, shared_beat;
    int limit, limit_kind; /* messages; 0: the client's, 1: the server's, 2: both */
    double window;         /* of the limit; 0: the life */
    double size;
    double period, first, grace; /* restarts */
    double block_after, block_for;
    bool block_kills;
    double hazard;         /* of a path, per second */
    double outage;         /* at this instant of the watch's clock */
    double loss;           /* share of frames that are sent again */
    double forgets;        /* a path that forgets the silent, and says nothing */
    bool refuses;          /* handshakes */
    enum hf_trial_how how; /* how the killer ends connections */
    uint16_t code;
    const char *reason;
    /* what was held */
    struct hf_trial trials[WORLD_TRIALS];
    size_t count;
    struct hf_infer_context context;
};

static inline double even(struct world *w)
{
    return (double)(hf_random_next(&w->random) >> 11) * 0x1p-53;
}
static inline double between(struct world *w, double low, double high)
{
    return low + (high - low) * even(w);
}
static inline double exponential(struct world *w, double mean)
{
    return -mean * log(1 - even(w));
}

/* One connection on its way. */
struct line {
    struct world *w;
    struct hf_trial *t;
    double begun, hold;
    double up, down, both_up, both_down; /* last bytes as the killer counts them */
    double ping_waits;                   /* since when the server waits for a pong; -1: not */
    double server_ping;                  /* when it pings next */
    double answers[64];                  /* ages at which answers of the server arrive */
    uint8_t kinds[64];
    size_t answer_count;
    double sent_at[64]; /* of the newest messages, for a window */
    long sent, got;
    double cut; /* by noise or by the path */
    bool cut_rst;
    double end; /* decided by a message: age, or NEVER */
    struct hf_moment *moments;
    size_t moment_count;
};

static inline void note(struct line *l, double at, uint8_t kind, uint32_t size)
{
    l->t->count[kind]++;
    if (l->moment_count < WORLD_MOMENTS) {
        l->moments[l->moment_count++] = (struct hf_moment){(hf_time)(at * 1e6), size, kind};
    }
}

static inline bool path_is_dead(const struct line *l, double age)
{
    const struct world *w = l->w;
    return w->outage > 0 && l->begun + age > w->outage && l->begun < w->outage;
}

static inline bool server_is_blocked(const struct line *l, double age, double *until)
{
    const struct world *w = l->w;
    double at = l->begun + age, turn;
    if (w->block_after <= 0) {
        return false;
    }
    turn = fmod(at, w->block_after + w->block_for);
    *until = at - turn + w->block_after + w->block_for - l->begun;
    return turn >= w->block_after;
}

/* The server will answer something that was sent at this age. */
static inline void will_answer(struct line *l, double age, uint8_t kind, double after)
{
    double until = 0, at = age + l->w->rtt * (0.9 + 0.4 * even(l->w)) + after;
    if (path_is_dead(l, age) || l->answer_count == 64) {
        return;
    }
    if (server_is_blocked(l, age, &until)) {
        if (l->w->block_kills) {
            return;
        }
        at = until + l->w->rtt;
    }
    l->answers[l->answer_count] = at;
    l->kinds[l->answer_count++] = kind;
}

static inline void on_up(struct line *l, double age, uint16_t bit)
{
    const struct world *w = l->w;
    l->both_up = age;
    if (w->resets & bit) {
        l->up = age;
    }
}

static inline void on_down(struct line *l, double age, uint16_t bit)
{
    l->both_down = age;
    if (l->w->resets & bit) {
        l->down = age;
    }
}

static inline bool limit_is_reached(struct line *l, double age, bool client)
{
    const struct world *w = l->w;
    long counted = w->limit_kind == 0 ? l->sent : w->limit_kind == 1 ? l->got : l->sent + l->got;
    if (w->limit == 0 || (w->limit_kind == 0 && !client) || (w->limit_kind == 1 && client)) {
        return false;
    }
    if (w->window <= 0) {
        return counted >= w->limit;
    }
    if (w->limit > 64 || counted < w->limit) {
        return false;
    }
    return age - l->sent_at[(counted - w->limit) % 64] <= w->window;
}

static inline void say_message(struct line *l, double age, uint32_t size)
{
    struct world *w = l->w;
    int answers = w->chunks > 0 ? w->chunks : w->echo ? 1 : 0;
    note(l, age, HF_MOMENT_SENT, size);
    l->sent_at[l->sent++ % 64] = age;
    l->t->bytes_sent += size;
    on_up(l, age, HF_RESETS_SENT);
    if (w->messages_spare) {
        l->ping_waits = -1;
        l->server_ping = age + w->ping_every;
    }
    if (limit_is_reached(l, age, true) || (w->size > 0 && size > w->size)) {
        l->end = fmin(l->end, age + w->rtt / 2 + exponential(w, w->late));
        return;
    }
    for (int i = 0; i < answers; i++) {
        will_answer(l, age, HF_MOMENT_GOT, 0.02 * i);
    }
}

static inline void on_answer(struct line *l, size_t which)
{
    struct world *w = l->w;
    double age = l->answers[which];
    uint8_t kind = l->kinds[which];
    note(l, age, kind, kind == HF_MOMENT_PONG_GOT ? (uint32_t)(w->rtt * 1e6) : 20);
    on_down(l, age, kind == HF_MOMENT_PONG_GOT ? HF_RESETS_PONG_S : HF_RESETS_GOT);
    l->answers[which] = l->answers[--l->answer_count];
    l->kinds[which] = l->kinds[l->answer_count];
    if (kind == HF_MOMENT_GOT) {
        l->got++;
        if (limit_is_reached(l, age, false)) {
            l->end = fmin(l->end, age + exponential(w, w->late));
        }
    }
}

static inline void on_server_ping(struct line *l, double age)
{
    struct world *w = l->w;
    const struct hf_trial_plan *p = &l->t->plan;
    bool counts;
    note(l, age, HF_MOMENT_PING_GOT, w->pongs_checked ? 4 : 0);
    on_down(l, age, HF_RESETS_PING_S);
    l->ping_waits = l->ping_waits < 0 ? age : l->ping_waits;
    l->server_ping = age + w->ping_every;
    if (p->pong == HF_PONG_IGNORE) {
        return;
    }
    note(l, age + 0.0005, HF_MOMENT_PONG_SENT, 0);
    on_up(l, age, HF_RESETS_PONG_C);
    counts = !w->pongs_lost && !(p->pong == HF_PONG_EMPTY && w->pongs_checked);
    if (counts) {
        l->ping_waits = -1;
    }
}

/* The age at which the killer ends it if nothing more goes by. */
static inline double killed_at(struct line *l, double lifetime)
{
    struct world *w = l->w;
    double at = l->end, until = NEVER, restart;
    if (w->idle > 0) {
        double last =
            w->resets & HF_RESETS_BOTH ? fmin(l->both_up, l->both_down) : fmax(l->up, l->down);
        at = fmin(at, last + w->idle);
    }
    at = fmin(at, lifetime);
    if (w->ping_timeout > 0 && l->ping_waits >= 0) {
        at = fmin(at, l->ping_waits + w->ping_timeout);
    }
    if (w->period > 0) {
        restart = w->first + (floor((l->begun - w->first) / w->period) + 1) * w->period;
        restart = l->begun < w->first ? w->first : restart;
        at = fmin(at, restart - l->begun + w->grace);
    }
    if (w->block_kills) {
        (void)server_is_blocked(l, 0, &until);
        at = fmin(at, until);
    }
    return at;
}

static inline void finish(struct line *l, double age, enum hf_trial_how how)
{
    struct hf_trial *t = l->t;
    t->end.how = how;
    t->end.phase = HF_PHASE_OPEN;
    t->end.age = (hf_time)(age * 1e6);
    t->end.code = how == HF_HOW_CLOSE ? l->w->code : 1006;
    t->end.silent_rx = (hf_time)((age - l->both_down) * 1e6);
    t->end.silent_tx = (hf_time)((age - l->both_up) * 1e6);
    if (how == HF_HOW_CLOSE && l->w->reason != NULL) {
        strcpy(t->end.reason, l->w->reason);
    }
    while (l->moment_count > 0 && l->moments[l->moment_count - 1].at > t->end.age) {
        t->count[l->moments[--l->moment_count].kind]--;
    }
    t->moments = realloc(l->moments, (l->moment_count + 1) * sizeof(*l->moments));
    t->moment_count = l->moment_count;
}

/* Nothing of what was asked comes back: noticed after the time for an answer. */
static inline void finish_silent(struct line *l, double dead_since, double asked)
{
    double age = asked + 2, life = fmin(l->both_down, dead_since);
    finish(l, age, HF_HOW_SILENCE);
    l->t->end.unsure = (hf_time)((age - life) * 1e6);
    l->t->end.unacked = 40;
    l->t->end.retransmits = 3;
}

/* It reached the end of its hold; check: by a ping. */
static inline double live_on(struct line *l, bool check)
{
    struct world *w = l->w;
    double quiet = l->hold - fmax(l->both_up, l->both_down);
    bool dead = path_is_dead(l, l->hold) || (w->forgets > 0 && quiet > w->forgets);
    double until;
    if (check && !server_is_blocked(l, l->hold, &until)) {
        note(l, l->hold, HF_MOMENT_PING_SENT, 0);
        if (dead) {
            finish_silent(l, fmax(l->both_up, l->both_down), l->hold);
            return l->hold + 2;
        }
        note(l, l->hold + w->rtt, HF_MOMENT_PONG_GOT, (uint32_t)(w->rtt * 1e6));
    }
    finish(l, l->hold + w->rtt, check ? HF_HOW_ENDED_BY_US : HF_HOW_ALIVE);
    return l->hold;
}

/* Runs one connection until it ends or its hold is over; returns its age. */
static inline double run_line(struct line *l, bool check)
{
    struct world *w = l->w;
    const struct hf_trial_plan *p = &l->t->plan;
    double every_ping = (double)p->ping_every / 1e6, every_beat = (double)p->beat_every / 1e6;
    double every_message = (double)p->message_every / 1e6;
    double ping = every_ping > 0 ? every_ping : NEVER, beat = every_beat > 0 ? every_beat : NEVER;
    double message = every_message > 0 ? every_message : NEVER, lifetime = NEVER;
    uint32_t size = p->message_size > 0 ? p->message_size : 15;
    if (w->lifetime > 0) {
        lifetime = w->lifetime * (1 + w->lifetime_jitter * (2 * even(w) - 1));
        if (w->scan > 0) { /* at the next beat of the server's clock */
            lifetime = ceil((l->begun + lifetime) / w->scan) * w->scan - l->begun;
        }
    }
    for (;;) {
        double killed = killed_at(l, lifetime), next = fmin(fmin(ping, beat), message);
        size_t answer = 0;
        for (size_t i = 1; i < l->answer_count; i++) {
            answer = l->answers[i] < l->answers[answer] ? i : answer;
        }
        next = fmin(next, l->server_ping);
        next = l->answer_count > 0 ? fmin(next, l->answers[answer]) : next;
        if (l->cut < fmin(fmin(killed, next), l->hold)) {
            finish(l, l->cut, l->cut_rst ? HF_HOW_RST : HF_HOW_FIN);
            return l->cut;
        }
        if (killed <= next + 1e-9 && killed < l->hold) { /* who ends it pings no more */
            killed += w->rtt / 2 + exponential(w, w->late);
            finish(l, fmax(killed, 0.001), w->how);
            return killed;
        }
        if (next >= l->hold) {
            return live_on(l, check);
        }
        if (next != l->server_ping && (l->answer_count == 0 || next != l->answers[answer]) &&
            (path_is_dead(l, next) ||
             (w->forgets > 0 && next - fmax(l->both_up, l->both_down) > w->forgets))) {
            if (next == message) {
                note(l, next, HF_MOMENT_SENT, size);
            } else {
                note(l, next, next == ping ? HF_MOMENT_PING_SENT : HF_MOMENT_BEAT_SENT, 0);
            }
            finish_silent(l, l->both_down, next);
            return next + 2;
        }
        if (l->answer_count > 0 && next == l->answers[answer]) {
            on_answer(l, answer);
        } else if (next == l->server_ping) {
            double until;
            if (server_is_blocked(l, next, &until) || path_is_dead(l, next)) {
                l->server_ping += w->ping_every;
            } else {
                on_server_ping(l, next);
            }
        } else if (next == ping) {
            note(l, next, HF_MOMENT_PING_SENT, 0);
            on_up(l, next, HF_RESETS_PING_C);
            will_answer(l, next, HF_MOMENT_PONG_GOT, 0);
            ping += every_ping * (1 + 0.02 * even(w));
        } else if (next == beat) {
            note(l, next, HF_MOMENT_BEAT_SENT, 0);
            on_up(l, next, HF_RESETS_PING_C);
            beat += every_beat * (1 + 0.02 * even(w));
        } else {
            say_message(l, next, size);
            message += every_message * (1 + 0.02 * even(w));
        }
    }
}

/* One connection that begins at an instant; returns when it ended, on the watch's clock. */
static inline double hold(struct world *w, const char *arm, const struct hf_trial_plan *plan,
                          double begun, double until, bool check)
{
    struct line l = {.w = w, .begun = begun, .hold = until - begun, .ping_waits = -1, .end = NEVER};
    double age;
    if (w->count == WORLD_TRIALS || until - begun < 0.3) {
        return until;
    }
    l.t = &w->trials[w->count++];
    *l.t = (struct hf_trial){.arm = arm, .plan = *plan};
    l.t->begun = (hf_time)((begun - 0.01) * 1e6);
    l.t->opened = (hf_time)(begun * 1e6);
    if (w->refuses) {
        l.t->opened = 0;
        l.t->end.how = HF_HOW_STATUS;
        l.t->end.phase = HF_PHASE_UPGRADE;
        l.t->end.http = 403;
        return begun + 0.1;
    }
    l.moments = malloc(WORLD_MOMENTS * sizeof(*l.moments));
    l.cut = even(w) < w->noise ? exponential(w, between(w, 3, 12)) : NEVER;
    l.cut_rst = even(w) < 0.5;
    if (w->hazard > 0) {
        l.cut = fmin(l.cut, exponential(w, 1 / w->hazard));
    }
    l.server_ping = w->ping_every > 0 ? w->ping_every : NEVER;
    if (w->shared_beat) {
        l.server_ping = (floor(begun / w->ping_every) + 1) * w->ping_every - begun;
    }
    age = run_line(&l, check);
    if (w->loss > 0) {
        for (uint64_t i = 0; i < l.t->count[HF_MOMENT_SENT] + l.t->count[HF_MOMENT_PING_SENT];
             i++) {
            l.t->end.retransmits += even(w) < w->loss ? 1 : 0;
        }
    }
    return begun + age;
}

/* A slot: the next connection follows the one that died. */
static inline void slot(struct world *w, const char *arm, struct hf_trial_plan plan, double start)
{
    double at = start;
    int young = 0;
    while (at < w->budget - 0.5 && w->count < WORLD_TRIALS) {
        double ended = hold(w, arm, &plan, at, w->budget, false);
        young = ended - at < 1 ? young + 1 : 0;
        at = ended + between(w, 0.25, 0.9) + 0.5 * fmin(young, 8);
    }
}

static inline struct hf_trial_plan plan_of(double ping, double beat, double message)
{
    return (struct hf_trial_plan){.ping_every = (hf_time)(ping * 1e6),
                                  .beat_every = (hf_time)(beat * 1e6),
                                  .message_every = (hf_time)(message * 1e6)};
}

/* The arms of docs/diagnosis.md, and those that a diagnosis adds around a timer that it suspects.
 */
static inline void hold_arms(struct world *w, double suspected, double every)
{
    double b = w->budget, short_ = fmax(0.4, b / 120), middle = fmax(1.2, b / 36),
           long_ = fmax(3, b / 12);
    struct hf_trial_plan quiet = {0}, ignore = {.pong = HF_PONG_IGNORE},
                         empty = {.pong = HF_PONG_EMPTY};
    for (int i = 0; i < 3; i++) {
        slot(w, "silence", quiet, 0.05 + 0.6 * i);
    }
    slot(w, "ping", plan_of(short_, 0, 0), 0.1);
    slot(w, "ping", plan_of(middle, 0, 0), 0.15);
    slot(w, "ping", plan_of(long_, 0, 0), 0.2);
    slot(w, "beat", plan_of(0, short_, 0), 0.25);
    slot(w, "message", plan_of(0, 0, every), 0.3);
    slot(w, "message", plan_of(0, 0, every), 1.1);
    slot(w, "message", plan_of(0, 0, every / 2), 0.35);
    slot(w, "message", plan_of(0, 0, every * 2), 0.4);
    slot(w, "busy", plan_of(short_, short_, every), 0.45);
    slot(w, "round trips", plan_of(0.25, 0, 0), 0.5);
    slot(w, "ignores pings", ignore, 0.55);
    slot(w, "empty pongs", empty, 0.6);
    for (int i = 0; i < 3; i++) {
        static const double parts[] = {1 / 12.0, 0.3, 0.7};
        (void)hold(w, "quiet", &quiet, 0.65 + 0.06 * i, 0.65 + parts[i] * b, true);
    }
    slot(w, "stagger", plan_of(short_, 0, 0), b / 9);
    slot(w, "stagger", plan_of(short_, 0, 0), b / 9 + b / 7);
    if (suspected > 0 && suspected * 1.5 < b) {
        double from = suspected * 1.2;
        slot(w, "ping", plan_of(0.45 * suspected, 0, 0), from);
        slot(w, "ping", plan_of(0.45 * suspected, 0, 0), from + 0.4);
        slot(w, "ping", plan_of(0.8 * suspected, 0, 0), from + 0.1);
        slot(w, "beat", plan_of(0, 0.45 * suspected, 0), from + 0.2);
        slot(w, "message", plan_of(0, 0, 0.45 * suspected), from + 0.3);
        slot(w, "busy", plan_of(0.3 * suspected, 0.3 * suspected, 0.3 * suspected), from + 0.35);
        for (int i = 0; i < 8 && w->forgets > 0; i++) {
            (void)hold(w, "quiet", &quiet, from + 0.1 * i,
                       from + 0.1 * i + suspected * (0.8 + 0.05 * i), true);
        }
    }
}

/* Sizes, doubled until one ends it, then bisected. */
static inline void hold_sizes(struct world *w)
{
    double low = 500, high = 0, at = 5;
    for (int i = 0; i < 24 && (high == 0 || high > 1.01 * low); i++) {
        double size = floor(high == 0 ? low * 2 : sqrt(low * high));
        struct hf_trial_plan plan = {
            .message_every = HF_MS(100), .message_size = (uint32_t)size, .load = true};
        size_t mine = w->count;
        at = hold(w, "size", &plan, at, at + 0.9, true) + 0.05;
        if (hf_trial_is_dead(&w->trials[mine])) {
            high = size;
        } else {
            low = size;
        }
        if (size > 4e6) {
            break;
        }
    }
}

static inline void world_free(struct world *w)
{
    for (size_t i = 0; i < w->count; i++) {
        free((void *)(uintptr_t)w->trials[i].moments);
    }
    free(w);
}

#endif
