/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast bench: one thread, its loop and its connections. */
#include "tools/bench.h"
#include "ws/frame.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#define OPENING_MAX 64 /* handshakes under way at a time, of one thread */
#define AGAIN HF_SECONDS(1)
#define LOOK HF_MS(20)
#define PUBLISH HF_MS(100)
#define NUMBER_DIGITS 12

hf_time bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (hf_time)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static bool is_running(const struct bench_thread *t, hf_time now)
{
    const hf_time go = atomic_load(&t->run->go);
    return go != 0 && now >= go && now < atomic_load(&t->run->end) &&
           atomic_load(&t->run->stage) == BENCH_RUNNING;
}

/* ---- messages under way -------------------------------------------------------------------------
 */

static bool push(struct bench_connection *c, hf_time due, hf_time sent, uint64_t number)
{
    if (c->count == c->room) {
        const size_t room = c->room == 0 ? 4 : 2 * c->room;
        struct bench_request *ring = malloc(room * sizeof(*ring));
        if (ring == NULL) {
            return false;
        }
        for (size_t i = 0; i < c->count; i++) {
            ring[i] = c->ring[(c->head + i) % c->room];
        }
        free(c->ring);
        c->ring = ring;
        c->room = room;
        c->head = 0;
    }
    c->ring[(c->head + c->count++) % c->room] =
        (struct bench_request){.due = due, .sent = sent, .number = number};
    return true;
}

static struct bench_request pop(struct bench_connection *c)
{
    const struct bench_request r = c->ring[c->head];
    c->head = (c->head + 1) % c->room;
    c->count--;
    return r;
}

/* The number in an answer that is our own message; UINT64_MAX: it is something else. */
static uint64_t number_of(const struct bench_thread *t, struct hf_slice data)
{
    uint64_t number;
    if (t->number_at == 0 || data.len != t->payload_len ||
        memcmp(data.ptr, t->payload, t->number_at) != 0 ||
        !hf_slice_number(hf_slice(data.ptr + t->number_at, NUMBER_DIGITS), UINT64_MAX - 1,
                         &number)) {
        return UINT64_MAX;
    }
    return number;
}

/* An answer came: the one with its number, else the oldest. */
static bool take_answer(struct bench_connection *c, struct hf_slice data, struct bench_request *r)
{
    const uint64_t number = number_of(c->thread, data);
    bool there = number == UINT64_MAX && c->count > 0;
    for (size_t i = 0; i < c->count && !there; i++) {
        there = c->ring[(c->head + i) % c->room].number == number;
    }
    while (there) {
        *r = pop(c);
        if (number == UINT64_MAX || r->number == number) {
            return true;
        }
        c->thread->totals.counts.unanswered++; /* it was passed by */
    }
    return false;
}

static hf_time due_of(const struct bench_connection *c)
{
    const struct bench_run *run = c->thread->run;
    const double n = (double)c->index + (double)c->turn * run->connections;
    return atomic_load(&run->go) + (hf_time)(n * 1e6 / run->rate);
}

/* Sends what is owed, as far as it goes. */
static void send_owed(struct bench_connection *c)
{
    struct bench_thread *t = c->thread;
    const bool was_blocked = c->owed > 0;
    while (c->owed > 0 && c->open) {
        const uint64_t number = ++t->next_number;
        if (t->number_at > 0) {
            char digits[24];
            (void)snprintf(digits, sizeof(digits), "%012llu",
                           (unsigned long long)(number % 1000000000000U));
            memcpy(t->payload + t->number_at, digits, NUMBER_DIGITS);
        }
        const hf_time now = bench_now();
        const hf_time due = t->run->mode == BENCH_RATE ? due_of(c) : now;
        if (!hf_probe_send(c->probe, HF_OP_TEXT, hf_slice(t->payload, t->payload_len)) ||
            !push(c, due, now, number)) {
            break;
        }
        c->owed--;
        c->turn++;
        t->totals.counts.sent++;
        t->totals.counts.bytes_sent += t->payload_len;
        hf_histogram_add(&t->totals.late, now - due);
    }
    t->blocked += (c->owed > 0) - was_blocked;
}

static void owe(struct bench_connection *c, uint64_t count)
{
    c->thread->blocked += c->owed == 0 && count > 0;
    c->owed += count;
    send_owed(c);
}

/* ---- events -------------------------------------------------------------------------------------
 */

static void got_message(struct bench_connection *c, const struct hf_probe_event *event)
{
    struct bench_thread *t = c->thread;
    const hf_time now = bench_now(), go = atomic_load(&t->run->go);
    struct bench_request r;
    if (go == 0 || now < go || (t->run->mode == BENCH_STREAM && !is_running(t, now))) {
        c->last_got = now;
        return;
    }
    t->totals.counts.got++;
    t->totals.counts.bytes_got += event->data.len;
    if (t->run->mode == BENCH_STREAM) {
        if (c->last_got > 0) {
            hf_histogram_add(&t->totals.gap, now - c->last_got);
        }
        c->last_got = now;
        return;
    }
    if (!take_answer(c, event->data, &r)) {
        t->totals.counts.extra++;
        return;
    }
    t->totals.counts.answered++;
    hf_histogram_add(&t->totals.direct, now - r.sent);
    if (t->run->mode == BENCH_RATE) {
        hf_histogram_add(&t->totals.corrected, now - r.due);
    } else if (t->run->mode == BENCH_ECHO && is_running(t, now)) {
        owe(c, 1);
    }
}

static void settle(struct bench_connection *c)
{
    struct bench_thread *t = c->thread;
    if (!c->finished) {
        c->finished = true;
        if (++t->settled == t->count) {
            atomic_fetch_add(&t->run->ready, 1);
        }
    }
}

static void on_open(struct bench_connection *c)
{
    struct bench_thread *t = c->thread;
    const hf_time now = bench_now();
    c->open = true;
    t->opening--;
    t->totals.counts.opened++;
    t->totals.counts.open_now++;
    hf_histogram_add(&t->totals.handshake, now - c->begun);
    settle(c);
    if (t->run->mode == BENCH_STORM) {
        if (t->run->rate > 0) {
            hf_histogram_add(&t->totals.corrected, now - c->due);
        }
        hf_probe_stop(c->probe);
    } else if (t->run->mode == BENCH_ECHO && is_running(t, now)) {
        owe(c, t->run->pipeline);
    }
}

/* What was under way on it is lost. */
static void lose(struct bench_connection *c)
{
    struct bench_counts *counts = &c->thread->totals.counts;
    counts->unanswered += c->count;
    c->count = 0;
    if (c->owed > 0) {
        c->thread->blocked--;
        if (c->thread->run->mode == BENCH_RATE) {
            counts->unsent += c->owed;
            c->turn += c->owed;
        }
        c->owed = 0;
    }
}

static void on_end(struct bench_connection *c)
{
    struct bench_thread *t = c->thread;
    const struct hf_trial *trial = hf_probe_trial(c->probe);
    const char *ids[HF_PROBE_HOSTING];
    const struct hf_infer_context context = hf_probe_context(c->probe, ids);
    const bool storm = t->run->mode == BENCH_STORM, dead = hf_trial_is_dead(trial);
    if (c->open) {
        t->totals.counts.open_now--;
        t->totals.counts.dropped += dead;
    } else {
        t->opening--;
        t->totals.counts.failed += dead;
    }
    if (dead || !storm) {
        bench_ledger_add(&t->run->ledger, trial, &context);
    }
    lose(c);
    settle(c);
    c->open = false;
    c->last_got = 0;
    hf_probe_free(c->probe);
    c->probe = NULL;
    c->again_at = storm && !dead ? 0 : t->run->reconnect || storm ? bench_now() + AGAIN : HF_NEVER;
}

static void on_event(void *owner, struct hf_probe *probe, const struct hf_probe_event *event)
{
    struct bench_connection *c = owner;
    (void)probe;
    switch (event->kind) {
    case HF_PROBE_OPEN:
        on_open(c);
        break;
    case HF_PROBE_MESSAGE:
        got_message(c, event);
        break;
    case HF_PROBE_PONG:
        if (is_running(c->thread, bench_now())) {
            hf_histogram_add(&c->thread->totals.direct, event->rtt);
        }
        break;
    case HF_PROBE_END:
        on_end(c);
        break;
    case HF_PROBE_PHASE:
    case HF_PROBE_PING:
    case HF_PROBE_STALLED:
        break;
    }
}

/* ---- work that is due ---------------------------------------------------------------------------
 */

static void start(struct bench_connection *c, hf_time now)
{
    struct bench_thread *t = c->thread;
    t->how.seed++;
    c->again_at = HF_NEVER;
    c->begun = now;
    c->probe = hf_probe_start(t->loop, &t->how, on_event, c);
    if (c->probe == NULL) {
        t->totals.counts.failed++;
        settle(c);
        c->again_at = now + AGAIN;
        return;
    }
    t->opening++;
}

/* When the next handshake of this thread is due in a paced storm. */
static hf_time storm_due(const struct bench_thread *t)
{
    const struct bench_run *run = t->run;
    const double n = (double)t->started_storm * run->threads + t->number;
    return atomic_load(&run->go) + (hf_time)(n * 1e6 / run->rate);
}

/* Starts connections that wait; returns when there is something to start again. */
static hf_time start_due(struct bench_thread *t, hf_time now)
{
    const struct bench_run *run = t->run;
    const bool storm = run->mode == BENCH_STORM;
    const hf_time pace =
        !storm && run->open_rate > 0 ? (hf_time)(1e6 * run->threads / run->open_rate) : 0;
    if (storm && !is_running(t, now)) {
        return HF_NEVER;
    }
    hf_time next = HF_NEVER;
    for (unsigned i = 0; i < t->count && (storm || t->opening < OPENING_MAX); i++) {
        struct bench_connection *c = &t->all[(t->next_open + i) % t->count];
        if (c->probe != NULL || c->again_at > now) {
            next = c->probe == NULL && c->again_at < next ? c->again_at : next;
            continue;
        }
        if (pace > 0 && now < t->opened_last + pace) {
            return t->opened_last + pace;
        }
        if (storm && run->rate > 0) {
            c->due = storm_due(t);
            if (now < c->due) {
                return c->due;
            }
            t->started_storm++;
        }
        /* Without drift, but what could not be kept up with is not made good in a burst. */
        t->opened_last = now - t->opened_last < 2 * pace ? t->opened_last + pace : now;
        t->next_open = (unsigned)(c - t->all) + 1;
        start(c, now);
        i = UINT32_MAX; /* from the one behind it */
    }
    return next;
}

/* Goes on with the schedule of the open loop; returns when the next message is due. */
static hf_time follow_schedule(struct bench_thread *t, hf_time now)
{
    const struct bench_run *run = t->run;
    while (run->mode == BENCH_RATE && is_running(t, now)) {
        struct bench_connection *c = &t->all[t->cursor % t->count];
        const double n =
            (double)c->index + (double)(t->cursor / t->count) * (double)run->connections;
        const hf_time due = atomic_load(&run->go) + (hf_time)(n * 1e6 / run->rate);
        if (due > now || due >= atomic_load(&run->end)) {
            return due;
        }
        t->cursor++;
        if (c->open) {
            owe(c, 1);
        } else {
            c->turn++;
            t->totals.counts.unsent++;
        }
    }
    return HF_NEVER;
}

/* What is looked at now and then: connections that wait to send, and answers that do not come. */
static void look(struct bench_thread *t, hf_time now)
{
    const struct bench_run *run = t->run;
    for (unsigned i = 0; i < t->count; i++) {
        struct bench_connection *c = &t->all[i];
        if (c->owed > 0) {
            send_owed(c);
        }
        if (run->mode == BENCH_ECHO && c->count > 0 &&
            now - c->ring[c->head].sent > run->answer_timeout) {
            t->totals.counts.unanswered++;
            (void)pop(c);
            if (is_running(t, now) && c->open) {
                owe(c, 1);
            }
        }
    }
}

static void begin_echo(struct bench_thread *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        if (t->all[i].open) {
            owe(&t->all[i], t->run->pipeline);
        }
    }
}

static void publish(struct bench_thread *t)
{
    pthread_mutex_lock(&t->lock);
    t->shown = t->totals;
    pthread_mutex_unlock(&t->lock);
}

/* ---- the thread ---------------------------------------------------------------------------------
 */

/* Waits to the microsecond, which the loop's own wait does not, and turns the loop. */
static void wait_and_turn(struct bench_thread *t, hf_time until)
{
    struct pollfd fd = {.fd = hf_epoll_descriptor(t->loop), .events = POLLIN};
    const hf_time deadline = hf_epoll_deadline(t->loop), now = bench_now();
    until = deadline < until ? deadline : until;
    const hf_time wait = until > now ? until - now : 0;
    const struct timespec time = {.tv_sec = wait / 1000000, .tv_nsec = wait % 1000000 * 1000};
    (void)ppoll(&fd, 1, &time, NULL);
    (void)hf_epoll_turn(t->loop, 0);
}

static bool all_are_over(const struct bench_thread *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        if (t->all[i].probe != NULL) {
            return false;
        }
    }
    return true;
}

static bool has_answers_to_come(const struct bench_thread *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        if (t->all[i].count > 0) {
            return true;
        }
    }
    return false;
}

static void stop_all(struct bench_thread *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        if (t->all[i].probe != NULL) {
            lose(&t->all[i]);
            hf_probe_stop(t->all[i].probe);
        }
    }
}

/* The measured time is over: answers that are under way are waited for, then all is closed. */
static void wind_up(struct bench_thread *t)
{
    hf_time end = bench_now() + t->run->answer_timeout;
    while (has_answers_to_come(t) && bench_now() < end && hf_interrupts() == 0) {
        wait_and_turn(t, bench_now() + LOOK);
    }
    stop_all(t);
    end = bench_now() + HF_SECONDS(4);
    while (!all_are_over(t) && bench_now() < end && hf_interrupts() < 2) {
        wait_and_turn(t, bench_now() + LOOK);
    }
}

void *bench_thread_run(void *thread)
{
    struct bench_thread *t = thread;
    const struct bench_run *run = t->run;
    bool begun = false;
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    if (run->mode == BENCH_STORM) {
        atomic_fetch_add(&t->run->ready, 1);
    }
    while (atomic_load(&run->stage) != BENCH_STOPPING) {
        hf_time now = bench_now(), until = now + LOOK;
        if (run->mode == BENCH_ECHO && !begun && is_running(t, now)) {
            begun = true;
            begin_echo(t);
        }
        const hf_time start_at = start_due(t, now), send_at = follow_schedule(t, now);
        const hf_time go = atomic_load(&run->go);
        until = start_at < until ? start_at : until;
        until = send_at < until ? send_at : until;
        until = go > now && go < until ? go : until;
        if (now - t->looked >= (t->blocked > 0 ? HF_MS(1) : LOOK)) {
            t->looked = now;
            look(t, now);
        }
        until = t->blocked > 0 && now + HF_MS(1) < until ? now + HF_MS(1) : until;
        if (now - t->published >= PUBLISH) {
            t->published = now;
            publish(t);
        }
        wait_and_turn(t, until);
    }
    wind_up(t);
    publish(t);
    return NULL;
}

/* ---- memory -------------------------------------------------------------------------------------
 */

/* {"bench":000000000001,"pad":"xxxx"} of the size that is wanted, or the user's text. */
static bool make_payload(struct bench_thread *t)
{
    static const char head[] = "{\"bench\":\"", middle[] = "\",\"pad\":\"", tail[] = "\"}";
    const struct bench_run *run = t->run;
    const size_t least = sizeof(head) + NUMBER_DIGITS + sizeof(middle) + sizeof(tail) - 3;
    if (run->message != NULL) {
        t->payload_len = strlen(run->message);
        t->payload = strdup(run->message);
        return t->payload != NULL;
    }
    t->payload_len = run->size;
    t->payload = malloc(t->payload_len + least + 1);
    if (t->payload == NULL) {
        return false;
    }
    memset(t->payload, 'x', t->payload_len);
    if (t->payload_len >= least) {
        char *p = t->payload;
        memcpy(p, head, sizeof(head) - 1);
        t->number_at = sizeof(head) - 1;
        memcpy(p + t->number_at + NUMBER_DIGITS, middle, sizeof(middle) - 1);
        memcpy(p + t->payload_len - (sizeof(tail) - 1), tail, sizeof(tail) - 1);
    }
    return true;
}

bool bench_thread_init(struct bench_thread *t, struct bench_run *run, unsigned number,
                       unsigned first, unsigned count)
{
    t->run = run;
    t->number = number;
    t->count = count;
    pthread_mutex_init(&t->lock, NULL);
    t->loop = hf_epoll_new();
    t->all = calloc(count, sizeof(*t->all));
    t->how = (struct hf_probe_how){.target = &run->target,
                                   .plan = {.ping_every = run->ping},
                                   .arm = "bench",
                                   .say = run->texts,
                                   .hold = HF_NEVER,
                                   .answer_timeout = run->answer_timeout,
                                   .light = true,
                                   .seed = (uint64_t)number << 32,
                                   .epoch = run->begun};
    if (t->loop == NULL || t->all == NULL || !make_payload(t)) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        t->all[i].thread = t;
        t->all[i].index = first + i;
    }
    return true;
}

void bench_thread_fini(struct bench_thread *t)
{
    for (unsigned i = 0; t->all != NULL && i < t->count; i++) {
        hf_probe_free(t->all[i].probe);
        free(t->all[i].ring);
    }
    hf_loop_free(t->loop);
    free(t->all);
    free(t->payload);
    pthread_mutex_destroy(&t->lock);
}
