/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast bench URL: a load generator that does not leave out what it had to wait for, with a
 * ledger of the connections that ended. */
#include "tools/bench.h"

#include "tools/tools.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define TICK_NS 10000000
#define REDRAW HF_MS(250)
#define RECORD HF_SECONDS(1)
/* Between the last open and the first message. */
#define BREATH HF_MS(50)
#define REACHED 0.95

static void nap(void)
{
    const struct timespec time = {.tv_nsec = TICK_NS};
    (void)nanosleep(&time, NULL);
}

/* ---- the run ------------------------------------------------------------------------------------
 */

/* The signals are the main thread's. */
static bool start_threads(struct bench_run *run)
{
    sigset_t all, before;
    unsigned first = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    bool fine = true;
    for (unsigned i = 0; i < run->threads && fine; i++) {
        struct bench_thread *t = &run->all[i];
        const unsigned count =
            run->connections / run->threads + (i < run->connections % run->threads);
        fine = bench_thread_init(t, run, i, first, count) &&
               pthread_create(&t->id, NULL, bench_thread_run, t) == 0;
        t->started = fine;
        first += count;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return fine;
}

static void join_threads(struct bench_run *run)
{
    atomic_store(&run->stage, BENCH_STOPPING);
    for (unsigned i = 0; i < run->threads; i++) {
        if (run->all[i].started) {
            pthread_join(run->all[i].id, NULL);
        }
    }
}

struct watch {
    struct bench_totals *before, *now;
    hf_time at;
};

static void progress(struct bench_run *run, struct watch *w)
{
    const hf_time now = bench_now();
    if (now - w->at < (run->say.json ? RECORD : REDRAW)) {
        return;
    }
    bench_gather(run, w->now);
    bench_say_progress(run, w->before, w->now, (double)(now - w->at) / 1e6);
    struct bench_totals *swap = w->before;
    w->before = w->now;
    w->now = swap;
    w->at = now;
}

/* False: it was interrupted, or nothing opened. */
static bool wait_for_open(struct bench_run *run, struct watch *w)
{
    while (atomic_load(&run->ready) < run->threads) {
        nap();
        progress(run, w);
        if (hf_interrupts() > 0) {
            return false;
        }
    }
    run->opening_s = (double)(bench_now() - run->begun) / 1e6;
    if (run->mode == BENCH_STORM) {
        return true;
    }
    /* Threads show their totals now and then. */
    const hf_time until = bench_now() + HF_MS(250);
    do {
        nap();
        bench_gather(run, w->now);
    } while (w->now->counts.opened + w->now->counts.failed < run->connections &&
             bench_now() < until);
    return w->now->counts.opened > 0;
}

static void measure(struct bench_run *run, struct watch *w)
{
    const hf_time go = bench_now() + BREATH;
    atomic_store(&run->end, go + run->duration);
    atomic_store(&run->go, go);
    atomic_store(&run->stage, BENCH_RUNNING);
    hf_time now = bench_now();
    while (now < go + run->duration && hf_interrupts() == 0) {
        nap();
        progress(run, w);
        now = bench_now();
    }
    const hf_time end = now < go + run->duration ? now : go + run->duration;
    atomic_store(&run->end, end);
    run->measured_s = end > go ? (double)(end - go) / 1e6 : 0;
}

static int run_all(struct bench_run *run, struct bench_totals *totals)
{
    struct watch w = {.before = &totals[0], .now = &totals[1]};
    int status = 1;
    run->begun = bench_now();
    w.at = run->begun;
    bench_say_start(run);
    if (!start_threads(run)) {
        join_threads(run);
        hf_say_complain(&run->say, "no memory or no thread for %u connections", run->connections);
        return 1;
    }
    if (wait_for_open(run, &w)) {
        measure(run, &w);
    }
    join_threads(run);
    bench_gather(run, &totals[2]);
    bench_say_result(run, &totals[2]);
    status = bench_verdict(run, &totals[2]);
    return status;
}

int bench_verdict(struct bench_run *run, const struct bench_totals *all)
{
    const struct bench_counts *c = &all->counts;
    const uint64_t done = run->mode == BENCH_STORM ? c->opened : c->sent;
    if (c->opened == 0) {
        return 3;
    }
    const bool slow = run->rate > 0 && (double)done < REACHED * run->rate * run->measured_s;
    const bool nothing = run->mode == BENCH_STREAM && c->got == 0;
    return c->failed + c->dropped + c->unanswered + c->unsent > 0 || slow || nothing;
}

static void free_all(struct bench_run *run)
{
    for (unsigned i = 0; i < run->threads && run->all != NULL; i++) {
        bench_thread_fini(&run->all[i]);
    }
    free(run->all);
}

int hf_tool_bench(int argc, char **argv)
{
    struct bench_run run = {.connections = 10,
                            .pipeline = 1,
                            .duration = HF_SECONDS(10),
                            .answer_timeout = HF_SECONDS(10),
                            .size = 64,
                            .reconnect = true};
    run.say = (struct hf_say){.command = "bench", .color = true};
    hf_target_init(&run.target);
    int status = bench_take_words(&run, argc, argv);
    if (status >= 0) {
        hf_target_fini(&run.target);
        return status;
    }
    struct bench_totals *totals = calloc(3, sizeof(*totals));
    run.all = calloc(run.threads, sizeof(*run.all));
    hf_say_init(&run.say, "bench", run.say.json, run.say.color);
    hf_interrupt_watch();
    if (hf_descriptors_raise() < run.connections + 16ULL * run.threads) {
        hf_say_complain(&run.say,
                        "this process may not open %u connections: raise the limit of open files "
                        "(ulimit -n)",
                        run.connections);
    }
    status = 1;
    if (totals == NULL || run.all == NULL || !bench_ledger_init(&run.ledger)) {
        hf_say_complain(&run.say, "no memory");
    } else {
        status = run_all(&run, totals);
        free_all(&run);
        run.all = NULL;
        bench_ledger_fini(&run.ledger);
    }
    free(run.all);
    free(totals);
    hf_say_fini(&run.say);
    hf_target_fini(&run.target);
    return status;
}
