/* SPDX-License-Identifier: Apache-2.0 */
/* Loops and time of the simulated io. A turn is that of the epoll loop: take the ready streams
 * aside, fire timers, run tasks and answers, accept, serve the ready, free the dead. */
#include "sim_core.h"

#include <stdlib.h>

#define START HF_SECONDS(1000)
#define TURN_COST_MAX 20 /* microseconds of virtual time */

/* ---- the simulator --------------------------------------------------------------------------- */

struct sim *sim_new(uint64_t seed)
{
    struct sim *sim = calloc(1, sizeof(*sim));
    HF_ASSERT(sim != NULL);
    sim->now = START;
    sim->wall = 1700000000000;
    sim->next_port = 32768;
    hf_random_init(&sim->random, seed);
    struct hf_list *lists[] = {&sim->loops, &sim->links, &sim->listeners, &sim->names,
                               &sim->lookups};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        hf_list_init(lists[i]);
    }
    return sim;
}

void sim_free(struct sim *sim)
{
    if (sim == NULL) {
        return;
    }
    HF_ASSERT(hf_list_empty(&sim->loops));
    while (!hf_list_empty(&sim->links)) {
        struct link *link = HF_CONTAINER(sim->links.next, struct link, node);
        link->events = 0;
        HF_ASSERT(link->queue == NULL);
        link->side[0].closed = link->side[1].closed = true;
        sim_link_release(link);
    }
    sim_names_free(sim);
    free(sim->heap);
    free(sim);
}

void sim_shape(struct sim *sim, const struct sim_shaper *shaper)
{
    sim->shaper = *shaper;
}

struct sim_counts sim_count(const struct sim *sim)
{
    struct sim_counts c = {.streams = sim->streams};
    for (struct hf_list *n = sim->loops.next; n != &sim->loops; n = n->next) {
        c.loops++;
        c.timers += HF_CONTAINER(n, struct loop, node)->head.wheel.count;
    }
    for (struct hf_list *n = sim->listeners.next; n != &sim->listeners; n = n->next) {
        c.listeners++;
    }
    for (struct hf_list *n = sim->lookups.next; n != &sim->lookups; n = n->next) {
        c.names++;
    }
    return c;
}

struct hf_random *sim_random(struct sim *sim)
{
    return &sim->random;
}
hf_time sim_now(const struct sim *sim)
{
    return sim->now;
}
hf_wall sim_wall(const struct sim *sim)
{
    return sim->wall + sim->now / 1000;
}
uint64_t sim_digest(const struct sim *sim)
{
    return sim->digest;
}
void sim_wall_jump(struct sim *sim, hf_wall by)
{
    sim->wall += by;
}
void sim_descriptors(struct sim *sim, size_t max)
{
    sim->descriptors_max = max;
}
void sim_source(struct sim *sim, const struct hf_address *address)
{
    sim->source = *address;
}
void sim_loop_source(struct hf_loop *loop, const struct hf_address *address)
{
    loop_of(loop)->source = *address;
}
void sim_loop_freeze(struct hf_loop *loop, hf_time until)
{
    loop_of(loop)->frozen = until;
}

/* ---- a turn ---------------------------------------------------------------------------------- */

static void read_clocks(struct loop *loop)
{
    loop->head.now = loop->sim->now;
    loop->head.wall = loop->sim->wall + loop->sim->now / 1000;
}

static void run_tasks(struct loop *loop)
{
    struct hf_task *task = loop->first;
    loop->first = loop->last = NULL;
    while (task != NULL) {
        struct hf_task *next = task->next;
        task->next = NULL;
        task->run(task, &loop->head);
        task = next;
    }
}

static void serve_listeners(struct loop *loop)
{
    struct hf_list all;
    hf_list_init(&all);
    hf_list_splice(&all, &loop->listeners);
    while (!hf_list_empty(&all)) {
        struct hf_listener *l = HF_CONTAINER(all.next, struct hf_listener, node);
        hf_list_remove(&l->node);
        hf_list_append(&loop->listeners, &l->node);
        sim_listener_serve(l);
    }
}

static void reap(struct loop *loop)
{
    while (!hf_list_empty(&loop->dead)) {
        struct stream *s = HF_CONTAINER(loop->dead.next, struct stream, node);
        hf_list_remove(&s->node);
        sim_stream_free(s);
    }
    while (!hf_list_empty(&loop->dead_listeners)) {
        struct hf_listener *l = HF_CONTAINER(loop->dead_listeners.next, struct hf_listener, node);
        hf_list_remove(&l->node);
        free(l);
    }
}

static void turn(struct loop *loop)
{
    struct sim *sim = loop->sim;
    struct hf_list ready;
    hf_list_init(&ready);
    hf_list_splice(&ready, &loop->ready);
    loop->turn++;
    read_clocks(loop);
    hf_wheel_advance(&loop->head.wheel, loop->head.now);
    run_tasks(loop);
    sim_lookups_serve(loop);
    serve_listeners(loop);
    while (!hf_list_empty(&ready)) {
        struct stream *s = HF_CONTAINER(ready.next, struct stream, node);
        hf_list_remove(&s->node);
        hf_list_append(&loop->idle, &s->node);
        s->ready = false;
        sim_stream_serve(s);
    }
    reap(loop);
    sim->now += 1 + (hf_time)hf_random_below(&sim->random, TURN_COST_MAX);
}

static bool has_work(const struct loop *loop)
{
    if (!hf_list_empty(&loop->ready) || loop->first != NULL || !hf_list_empty(&loop->answers) ||
        hf_wheel_next(&loop->head.wheel) <= loop->sim->now) {
        return true;
    }
    for (struct hf_list *n = loop->listeners.next; n != &loop->listeners; n = n->next) {
        if (sim_listener_has_work(HF_CONTAINER(n, struct hf_listener, node))) {
            return true;
        }
    }
    return false;
}

static void go_to(struct sim *sim, hf_time when)
{
    sim->now = when > sim->now ? when : sim->now;
    sim_events_deliver(sim);
}

static hf_time earlier(hf_time a, hf_time b)
{
    return a < b ? a : b;
}

bool sim_loop_turn(struct hf_loop *head, hf_time max_wait)
{
    struct loop *loop = loop_of(head);
    struct sim *sim = loop->sim;
    hf_time end = max_wait > HF_NEVER - sim->now ? HF_NEVER : sim->now + max_wait;
    go_to(sim, sim->now);
    while (!has_work(loop) && !loop->stopped && sim->now < end) {
        go_to(sim, earlier(earlier(sim_event_next(sim), hf_wheel_next(&head->wheel)), end));
    }
    turn(loop);
    return !loop->stopped;
}

/* One of the loops that have work, by lot. */
static struct loop *choose_loop(struct sim *sim, hf_time *wake)
{
    struct loop *chosen = NULL;
    uint64_t count = 0;
    for (struct hf_list *n = sim->loops.next; n != &sim->loops; n = n->next) {
        struct loop *loop = HF_CONTAINER(n, struct loop, node);
        if (loop->frozen > sim->now) {
            *wake = earlier(*wake, loop->frozen);
        } else if (has_work(loop)) {
            chosen = hf_random_below(&sim->random, ++count) == 0 ? loop : chosen;
        } else {
            *wake = earlier(*wake, hf_wheel_next(&loop->head.wheel));
        }
    }
    return chosen;
}

bool sim_step(struct sim *sim, hf_time until)
{
    hf_time next = sim_event_next(sim);
    struct loop *loop = choose_loop(sim, &next);
    if (loop != NULL && (next > sim->now || hf_random_below(&sim->random, 2) == 0)) {
        sim_digest_add(sim, (uint64_t)sim->now);
        turn(loop);
        return true;
    }
    if (next > until) {
        sim->now = until > sim->now ? until : sim->now;
        return false;
    }
    go_to(sim, next);
    return true;
}

/* ---- a loop ---------------------------------------------------------------------------------- */

static void loop_post(struct hf_loop *head, struct hf_task *task)
{
    struct loop *loop = loop_of(head);
    task->next = NULL;
    if (loop->last == NULL) {
        loop->first = task;
    } else {
        loop->last->next = task;
    }
    loop->last = task;
}

static void loop_stop(struct hf_loop *head)
{
    loop_of(head)->stopped = true;
}

static void close_all(struct hf_list *streams)
{
    while (!hf_list_empty(streams)) {
        sim_stream_kill(HF_CONTAINER(streams->next, struct stream, node), false);
    }
}

static void crash_streams(struct hf_list *streams)
{
    for (struct hf_list *n = streams->next; n != streams; n = n->next) {
        sim_stream_orphan(HF_CONTAINER(n, struct stream, node));
    }
}

void sim_loop_crash(struct hf_loop *head)
{
    struct loop *loop = loop_of(head);
    crash_streams(&loop->idle);
    crash_streams(&loop->ready);
}

static void loop_free(struct hf_loop *head)
{
    struct loop *loop = loop_of(head);
    close_all(&loop->idle);
    close_all(&loop->ready);
    while (!hf_list_empty(&loop->listeners)) {
        sim_listener_kill(HF_CONTAINER(loop->listeners.next, struct hf_listener, node));
    }
    sim_lookups_forget(loop);
    reap(loop);
    hf_list_remove(&loop->node);
    free(loop);
}

static const struct hf_loop_ops loop_ops = {
    .listen = sim_listen,
    .listener_address = sim_listener_address,
    .listener_pause = sim_listener_pause,
    .listener_close = sim_listener_kill,
    .connect = sim_connect,
    .resolve = sim_resolve,
    .resolve_cancel = sim_resolve_cancel,
    .adopt = sim_adopt,
    .post = loop_post,
    .stop = loop_stop,
    .free = loop_free,
};

struct hf_loop *sim_loop_new(struct sim *sim)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    HF_ASSERT(loop != NULL);
    loop->head.ops = &loop_ops;
    loop->sim = sim;
    struct hf_list *lists[] = {&loop->idle,      &loop->ready,          &loop->dead,
                               &loop->listeners, &loop->dead_listeners, &loop->answers};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        hf_list_init(lists[i]);
    }
    hf_list_init(&loop->node);
    hf_list_append(&sim->loops, &loop->node);
    read_clocks(loop);
    hf_wheel_init(&loop->head.wheel, loop->head.now);
    return &loop->head;
}
