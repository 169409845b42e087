/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast probe URL: holds connections with chosen heartbeats, and says how they ended. */
#include "tools/probe.h"

#include "tools/tools.h"

#include <stdlib.h>

#define NOT_CONNECTED 3
#define REDRAW HF_MS(250)
/* With --forever a place that refuses, or ends at once, is not asked more often. */
#define AGAIN HF_SECONDS(1)

/* ---- events -------------------------------------------------------------------------------------
 */

static void count_end(struct probe_connection *c, const struct hf_trial *t)
{
    struct probe_run *run = c->run;
    if (!hf_trial_was_open(t)) {
        run->failed += hf_trial_is_dead(t);
        return;
    }
    run->opened++;
    if (!hf_trial_is_dead(t)) {
        run->held++;
        return;
    }
    run->died++;
    run->shortest = run->died == 1 || t->end.age < run->shortest ? t->end.age : run->shortest;
    run->longest = t->end.age > run->longest ? t->end.age : run->longest;
}

static void on_end(struct probe_connection *c, const struct hf_probe_event *event)
{
    struct probe_run *run = c->run;
    const struct hf_trial *t = hf_probe_trial(c->probe);
    const bool lived = hf_trial_was_open(t) && t->end.age >= AGAIN;
    c->open = false;
    run->changed = true;
    count_end(c, t);
    probe_say_end(c, event);
    hf_probe_free(c->probe);
    c->probe = NULL;
    if (run->forever && !run->stopping) {
        c->start_at = hf_loop_now(run->loop) + (lived ? 0 : AGAIN);
    } else {
        c->over = true;
    }
}

static void on_event(void *owner, struct hf_probe *probe, const struct hf_probe_event *event)
{
    struct probe_connection *c = owner;
    (void)probe;
    switch (event->kind) {
    case HF_PROBE_PHASE:
    case HF_PROBE_PING:
        break;
    case HF_PROBE_OPEN:
        c->open = true;
        probe_say_open(c, event->head);
        break;
    case HF_PROBE_MESSAGE:
        c->stalled = 0;
        probe_say_message(c, event);
        break;
    case HF_PROBE_PONG:
        c->stalled = 0;
        c->rtt_last = event->rtt;
        c->rtt_min = c->rtt_min == 0 || event->rtt < c->rtt_min ? event->rtt : c->rtt_min;
        c->rtt_max = event->rtt > c->rtt_max ? event->rtt : c->rtt_max;
        hf_histogram_add(&c->run->rtt, event->rtt);
        break;
    case HF_PROBE_STALLED:
        c->stalled = hf_loop_now(c->run->loop) - event->took;
        probe_say_stalled(c, event->took);
        break;
    case HF_PROBE_END:
        on_end(c, event);
        break;
    }
}

/* ---- the run ------------------------------------------------------------------------------------
 */

static void start(struct probe_connection *c)
{
    struct probe_run *run = c->run;
    run->how.seed++;
    c->start_at = HF_NEVER;
    c->life++;
    c->rtt_last = c->rtt_min = c->rtt_max = c->stalled = 0;
    c->probe = hf_probe_start(run->loop, &run->how, on_event, c);
    if (c->probe == NULL) {
        hf_say_complain(&run->say, "no memory for connection %u", c->number);
        run->failed++;
        c->over = true;
    }
}

/* Starts what is due; returns when the next one is. *left: connections that are not over. */
static hf_time start_due(struct probe_run *run, unsigned *left)
{
    const hf_time now = hf_loop_now(run->loop);
    hf_time next = HF_NEVER;
    if (!run->changed && now < run->next_start) {
        return run->next_start;
    }
    run->changed = false;
    *left = 0;
    for (unsigned i = 0; i < run->connections; i++) {
        struct probe_connection *c = &run->all[i];
        if (!c->over && c->start_at <= now && !run->stopping) {
            start(c);
        }
        *left += !c->over;
        next = !c->over && c->start_at < next ? c->start_at : next;
    }
    run->next_start = next;
    return next;
}

static void stop_all(struct probe_run *run)
{
    run->stopping = true;
    run->changed = true;
    for (unsigned i = 0; i < run->connections; i++) {
        if (run->all[i].probe != NULL) {
            hf_probe_stop(run->all[i].probe);
        } else {
            run->all[i].over = true;
        }
    }
}

static void turn_until_over(struct probe_run *run)
{
    unsigned left = 0;
    hf_time next = start_due(run, &left);
    while (left > 0) {
        const hf_time now = hf_loop_now(run->loop);
        const hf_time until = next < now + REDRAW ? next : now + REDRAW;
        (void)hf_epoll_turn(run->loop, until > now ? until - now : 0);
        if (hf_interrupts() > 0 && !run->stopping) {
            stop_all(run);
        }
        if (hf_interrupts() > 1) {
            break;
        }
        next = start_due(run, &left);
        probe_say_progress(run);
    }
}

static int run_all(struct probe_run *run)
{
    run->loop = hf_epoll_new();
    run->all = calloc(run->connections, sizeof(*run->all));
    if (run->loop == NULL || run->all == NULL) {
        hf_say_complain(&run->say, "no memory for %u connections", run->connections);
        hf_loop_free(run->loop);
        free(run->all);
        return 1;
    }
    if (hf_descriptors_raise() < run->connections + 16ULL) {
        hf_say_complain(&run->say,
                        "this process may not open %u connections: raise the limit of "
                        "open files (ulimit -n)",
                        run->connections);
    }
    run->begun = hf_loop_now(run->loop);
    run->how.epoch = run->begun;
    for (unsigned i = 0; i < run->connections; i++) {
        run->all[i] = (struct probe_connection){
            .run = run, .number = i + 1, .start_at = run->begun + run->stagger * i};
    }
    run->changed = true;
    probe_say_start(run);
    turn_until_over(run);
    for (unsigned i = 0; i < run->connections; i++) {
        hf_probe_free(run->all[i].probe);
    }
    probe_say_summary(run);
    hf_loop_free(run->loop);
    free(run->all);
    return run->opened == 0 && run->failed > 0 ? NOT_CONNECTED : run->died + run->failed > 0;
}

int hf_tool_probe(int argc, char **argv)
{
    struct probe_run run = {.connections = 1,
                            .how = {.hold = HF_SECONDS(30), .check_at_end = true, .arm = "probe"}};
    run.say = (struct hf_say){.command = "probe", .color = true};
    hf_target_init(&run.target);
    run.how.target = &run.target;
    int status = probe_take_words(&run, argc, argv);
    if (status < 0) {
        hf_say_init(&run.say, "probe", run.say.json, run.say.color);
        hf_interrupt_watch();
        status = run_all(&run);
        hf_say_fini(&run.say);
    }
    hf_target_fini(&run.target);
    return status;
}
