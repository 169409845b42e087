/* SPDX-License-Identifier: Apache-2.0 */
/* Loops: the caller's and those with a thread of their own. */
#include "client/loop.h"

#include "io/epoll.h"
#include "io/tls.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>

struct context {
    struct hf_list node;
    char *ca; /* NULL: the system's */
    bool insecure;
    struct hf_tls *tls;
};

static void system_entropy(void *context, void *bytes, size_t size)
{
    uint8_t *at = bytes;
    (void)context;
    while (size > 0) {
        const ssize_t n = getrandom(at, size, 0);
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        }
    }
}

static struct holdfast_loop *loop_make(struct hf_loop *io, hf_entropy *entropy, void *context)
{
    struct holdfast_loop *loop = calloc(1, sizeof(*loop));
    uint64_t seed;
    if (loop == NULL) {
        return NULL;
    }
    loop->io = io;
    loop->entropy = entropy;
    loop->entropy_context = context;
    entropy(context, &seed, sizeof(seed));
    hf_random_init(&loop->random, seed);
    hf_list_init(&loop->tls);
    hf_places_init(&loop->places);
    atomic_init(&loop->thread, 0);
    return loop;
}

static void loop_destroy(struct holdfast_loop *loop)
{
    while (!hf_list_empty(&loop->tls)) {
        struct context *c = HF_CONTAINER(loop->tls.next, struct context, node);
        hf_list_remove(&c->node);
        hf_tls_unref(c->tls);
        free(c->ca);
        free(c);
    }
    hf_proxy_environment_fini(&loop->proxies);
    hf_places_fini(&loop->places);
    if (!loop->borrowed) {
        hf_loop_free(loop->io);
    }
    free(loop);
}

struct holdfast_loop *hf_client_loop_over(struct hf_loop *io, hf_entropy *entropy, void *context)
{
    struct holdfast_loop *loop = loop_make(io, entropy, context);
    if (loop != NULL) {
        loop->borrowed = true;
        atomic_store(&loop->thread, (unsigned long)pthread_self());
    }
    return loop;
}

struct holdfast_loop *holdfast_loop_new(void)
{
    struct hf_loop *io = hf_epoll_new();
    struct holdfast_loop *loop = io == NULL ? NULL : loop_make(io, system_entropy, NULL);
    if (loop == NULL) {
        hf_loop_free(io);
        return NULL;
    }
    hf_proxy_environment_read(&loop->proxies);
    return loop;
}

static void *thread_main(void *arg)
{
    struct holdfast_loop *loop = arg;
    atomic_store(&loop->thread, (unsigned long)pthread_self());
    hf_epoll_run(loop->io);
    if (loop->free_itself) {
        loop_destroy(loop);
    }
    return NULL;
}

struct holdfast_loop *holdfast_loop_start(void)
{
    struct holdfast_loop *loop = holdfast_loop_new();
    sigset_t all, before;
    if (loop == NULL) {
        return NULL;
    }
    loop->threaded = true;
    /* Signals are the application's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&loop->runner, NULL, thread_main, loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        loop_destroy(loop);
        return NULL;
    }
    return loop;
}

void holdfast_loop_free(struct holdfast_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    if (loop->threaded) {
        hf_loop_stop(loop->io);
        pthread_join(loop->runner, NULL);
    }
    if (!loop->borrowed) {
        (void)hf_epoll_turn(loop->io, 0); /* tasks that were posted hold memory */
    }
    loop_destroy(loop);
}

void hf_client_loop_leave(struct holdfast_loop *loop)
{
    loop->free_itself = true;
    pthread_detach(loop->runner);
    hf_loop_stop(loop->io);
}

bool hf_client_loop_here(const struct holdfast_loop *loop)
{
    return atomic_load_explicit(&loop->thread, memory_order_relaxed) ==
           (unsigned long)pthread_self();
}

int holdfast_loop_fd(const struct holdfast_loop *loop)
{
    return hf_epoll_descriptor(loop->io);
}

short holdfast_loop_events(const struct holdfast_loop *loop)
{
    (void)loop;
    return POLLIN;
}

int holdfast_loop_timeout(struct holdfast_loop *loop)
{
    const hf_time deadline = hf_epoll_deadline(loop->io);
    struct timespec t;
    if (deadline == HF_NEVER) {
        return -1;
    }
    clock_gettime(CLOCK_MONOTONIC, &t);
    const hf_time now = HF_SECONDS((hf_time)t.tv_sec) + t.tv_nsec / 1000;
    const hf_time wait = deadline - now;
    return wait <= 0 ? 0 : wait > HF_SECONDS(3600) ? 3600000 : (int)((wait + 999) / 1000);
}

void holdfast_loop_process(struct holdfast_loop *loop)
{
    atomic_store_explicit(&loop->thread, (unsigned long)pthread_self(), memory_order_relaxed);
    (void)hf_epoll_turn(loop->io, 0);
}

void holdfast_loop_turn(struct holdfast_loop *loop, int timeout_ms)
{
    atomic_store_explicit(&loop->thread, (unsigned long)pthread_self(), memory_order_relaxed);
    (void)hf_epoll_turn(loop->io, timeout_ms < 0 ? HF_NEVER : HF_MS(timeout_ms));
}

struct hf_tls *hf_client_loop_tls(struct holdfast_loop *loop, const char *ca, bool insecure,
                                  struct hf_buffer *why)
{
    for (struct hf_list *node = loop->tls.next; node != &loop->tls; node = node->next) {
        struct context *c = HF_CONTAINER(node, struct context, node);
        const bool same = ca == NULL ? c->ca == NULL : c->ca != NULL && strcmp(c->ca, ca) == 0;
        if (same && c->insecure == insecure) {
            return c->tls;
        }
    }
    struct context *c = calloc(1, sizeof(*c));
    char *copy = ca == NULL ? NULL : strdup(ca);
    struct hf_tls_client_options options = {.ca = ca, .no_verify = insecure};
    if (c == NULL || (ca != NULL && copy == NULL) ||
        hf_tls_client_new(&options, &c->tls, why) != HF_OK) {
        free(copy);
        free(c);
        return NULL;
    }
    c->ca = copy;
    c->insecure = insecure;
    hf_list_append(&loop->tls, &c->node);
    return c->tls;
}
