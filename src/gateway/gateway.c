/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a gateway: see gateway.h. */
#include "gateway/gateway.h"

#include "gateway/ledger.h"
#include "gateway/opening.h"
#include "io/epoll.h"

#include <openssl/rand.h>
#include <signal.h>
#include <stdlib.h>

/* What the owner alone needs: the threads. */
struct life {
    struct hf_gateway gateway;
    struct hf_loop **loops;
    size_t loop_count;
    pthread_t *threads;
    size_t running;
};

static struct life *life_of(struct hf_gateway *g)
{
    return HF_CONTAINER(g, struct life, gateway);
}

/* ---- telling the workers
 * ---------------------------------------------------------------------------------------- */

struct order {
    struct hf_task task;
    struct hf_worker *worker;
    void (*run)(struct hf_worker *worker, void *context);
    void *context;
};

static void run_order(struct hf_task *task, struct hf_loop *loop)
{
    struct order *order = HF_CONTAINER(task, struct order, task);
    order->run(order->worker, order->context);
    free(order);
}

bool hf_gateway_broadcast(struct hf_gateway *g,
                          void (*run)(struct hf_worker *worker, void *context), void *context)
{
    struct order **orders = calloc(g->worker_count, sizeof(struct order *));
    size_t made = 0;
    while (orders != NULL && made < g->worker_count &&
           (orders[made] = calloc(1, sizeof(**orders))) != NULL) {
        made++;
    }
    bool all = made == g->worker_count && orders != NULL;
    for (size_t i = 0; i < made; i++) {
        if (!all) {
            free(orders[i]);
            continue;
        }
        *orders[i] = (struct order){
            .task = {.run = run_order}, .worker = g->workers[i], .run = run, .context = context};
        hf_loop_post(g->workers[i]->loop, &orders[i]->task);
    }
    free(orders);
    return all;
}

/* ---- making and freeing
 * -------------------------------------------------------------------------------------------- */

static enum hf_status make_workers(struct life *life, size_t count, uint64_t seed,
                                   struct hf_buffer *why)
{
    struct hf_gateway *g = &life->gateway;
    enum hf_status status = HF_OK;
    g->workers = calloc(count, sizeof(struct hf_worker *));
    if (g->workers == NULL) {
        return HF_NO_MEMORY;
    }
    for (size_t i = 0; i < count && status == HF_OK; i++) {
        g->workers[i] =
            hf_worker_new(g, life->loops[i], (unsigned)i, seed + i * 0x9e3779b97f4a7c15ULL);
        if (g->workers[i] == NULL) {
            return HF_NO_MEMORY;
        }
        g->worker_count++;
        status = hf_worker_apply(g->workers[i], g->runtime, why);
    }
    return status;
}

enum hf_status hf_gateway_new(struct hf_config *config, struct hf_log *log, struct hf_loop **loops,
                              size_t count, uint64_t seed, struct hf_gateway **gateway,
                              struct hf_buffer *why)
{
    *gateway = NULL;
    struct life *life = calloc(1, sizeof(*life));
    if (life == NULL) {
        for (size_t i = 0; i < count; i++) {
            hf_loop_free(loops[i]);
        }
        return HF_NO_MEMORY;
    }
    struct hf_gateway *g = &life->gateway;
    pthread_mutex_init(&g->lock, NULL);
    hf_list_init(&g->moves);
    g->log = log;
    g->started = loops[0]->wall;
    g->next_id = 1;
    life->loops = calloc(count, sizeof(struct hf_loop *));
    for (size_t i = 0; i < count; i++) {
        if (life->loops == NULL) {
            hf_loop_free(loops[i]);
        } else {
            life->loops[life->loop_count++] = loops[i];
        }
    }
    g->boot = (uint32_t)(seed ^ seed >> 32);
    if (RAND_bytes(g->secret, sizeof(g->secret)) != 1 ||
        RAND_bytes(g->session_secret, sizeof(g->session_secret)) != 1) {
        hf_buffer_add_text(why, "no random numbers\n");
        hf_gateway_free(g);
        return HF_IO;
    }
    g->ledger = hf_ledger_new(config->endings_kept);
    g->limits = hf_limits_new(g->secret);
    enum hf_status status = HF_NO_MEMORY;
    if (life->loops != NULL && g->ledger != NULL && g->limits != NULL) {
        status = hf_runtime_new(config, NULL, &g->runtime, why);
    }
    if (status == HF_OK) {
        status = make_workers(life, count, seed, why);
    }
    if (status != HF_OK) {
        hf_gateway_free(g);
        return status;
    }
    g->running = true;
    *gateway = g;
    return HF_OK;
}

void hf_gateway_free(struct hf_gateway *g)
{
    if (g == NULL) {
        return;
    }
    struct life *life = life_of(g);
    hf_gateway_stop(g);
    for (size_t i = 0; i < g->worker_count; i++) {
        hf_worker_free(g->workers[i]);
    }
    hf_moves_drop(g);
    for (size_t i = 0; i < life->loop_count; i++) {
        hf_loop_free(life->loops[i]);
    }
    hf_runtime_unref(g->runtime);
    hf_limits_free(g->limits);
    hf_ledger_free(g->ledger);
    pthread_mutex_destroy(&g->lock);
    free(g->workers);
    free(life->loops);
    free(life->threads);
    free(life);
}

/* ---- threads
 * -----------------------------------------------------------------------------------------------------------
 */

static void *worker_thread(void *context)
{
    hf_epoll_run(context);
    return NULL;
}

enum hf_status hf_gateway_start(struct hf_gateway *g)
{
    struct life *life = life_of(g);
    sigset_t all;
    sigset_t before;
    life->threads = calloc(g->worker_count, sizeof(pthread_t));
    if (life->threads == NULL) {
        return HF_NO_MEMORY;
    }
    sigfillset(&all); /* signals are for the owner's thread */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (life->running < g->worker_count &&
           pthread_create(&life->threads[life->running], NULL, worker_thread,
                          life->loops[life->running]) == 0) {
        life->running++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (life->running < g->worker_count) {
        hf_gateway_stop(g);
        return HF_NO_MEMORY;
    }
    return HF_OK;
}

void hf_gateway_stop(struct hf_gateway *g)
{
    struct life *life = life_of(g);
    for (size_t i = 0; i < life->running; i++) {
        hf_loop_stop(life->loops[i]);
    }
    for (size_t i = 0; i < life->running; i++) {
        pthread_join(life->threads[i], NULL);
        (void)hf_epoll_turn(life->loops[i], 0); /* orders that were posted behind its last turn */
    }
    life->running = 0;
}

/* ---- reload and drain
 * ------------------------------------------------------------------------------------------------------
 */

/* Shared by the workers that apply it; the last one frees it. */
struct change {
    struct hf_runtime *runtime;
    _Atomic size_t left;
    atomic_bool failed; /* a listener could not be opened */
};

/* Every worker fails at the same listeners: the first one says so. */
static void say_failures(struct hf_worker *worker, struct hf_slice lines)
{
    struct hf_slice line;
    while (worker->index == 0 && hf_slice_next(&lines, '\n', &line)) {
        hf_log_say(worker->gateway->log, HF_LOG_ERROR, worker->loop->wall, "reload", "%.*s",
                   HF_SLICE_ARG(line));
    }
}

static void apply_change(struct hf_worker *worker, void *context)
{
    struct change *change = context;
    struct hf_gateway *g = worker->gateway;
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, 4096);
    if (hf_worker_apply(worker, change->runtime, &why) != HF_OK) {
        atomic_store(&change->failed, true);
        say_failures(worker, hf_buffer_slice(&why));
    }
    hf_buffer_reset(&why);
    if (atomic_fetch_sub(&change->left, 1) > 1) {
        return;
    }
    bool failed = atomic_load(&change->failed);
    atomic_fetch_add(failed ? &g->reload_failures : &g->reloads, 1);
    hf_log_say(g->log, failed ? HF_LOG_ERROR : HF_LOG_INFO, worker->loop->wall, "reload",
               failed ? "the new configuration is in force, but not every listener could be opened"
                      : "the new configuration is in force");
    hf_log_flush(g->log);
    hf_runtime_unref(change->runtime);
    free(change);
}

enum hf_status hf_gateway_reload(struct hf_gateway *g, struct hf_config *config,
                                 struct hf_buffer *why)
{
    struct hf_runtime *runtime = NULL;
    struct change *change = calloc(1, sizeof(*change));
    enum hf_status status =
        change == NULL ? HF_NO_MEMORY : hf_runtime_new(config, g->runtime, &runtime, why);
    if (status != HF_OK) {
        free(change);
        atomic_fetch_add(&g->reload_failures, 1);
        return status;
    }
    change->runtime = hf_runtime_ref(runtime);
    change->left = g->worker_count;
    pthread_mutex_lock(&g->lock);
    struct hf_runtime *old = g->runtime;
    g->runtime = runtime;
    pthread_mutex_unlock(&g->lock);
    hf_runtime_unref(old);
    if (!hf_gateway_broadcast(g, apply_change, change)) {
        hf_runtime_unref(change->runtime);
        free(change);
        atomic_fetch_add(&g->reload_failures, 1);
        return HF_NO_MEMORY;
    }
    return HF_OK;
}

static void drain_worker(struct hf_worker *worker, void *context)
{
    hf_worker_drain(worker, (hf_time)(intptr_t)context);
}

void hf_gateway_drain(struct hf_gateway *g, hf_time spread)
{
    atomic_store(&g->draining, true);
    (void)hf_gateway_broadcast(g, drain_worker, (void *)(intptr_t)spread);
}

bool hf_gateway_is_idle(const struct hf_gateway *g)
{
    for (size_t i = 0; i < g->worker_count; i++) {
        if (!hf_worker_is_idle(g->workers[i])) {
            return false;
        }
    }
    return true;
}

void hf_gateway_address(const struct hf_gateway *g, size_t index, struct hf_address *address)
{
    const struct hf_address *configured = &g->runtime->config->listens[index].address;
    struct hf_worker *first = g->workers[0];
    address->len = 0;
    for (struct hf_list *n = first->listeners.next; n != &first->listeners; n = n->next) {
        struct hf_worker_listener *l = HF_CONTAINER(n, struct hf_worker_listener, node);
        if (l->address.len == configured->len &&
            memcmp(&l->address.u, &configured->u, configured->len) == 0) {
            *address = l->bound;
        }
    }
}
