/* SPDX-License-Identifier: Apache-2.0 */
/* The loop over Linux epoll: turns, clocks, tasks of other threads, and the lists of the ready and
 * the dead (see loop.h). */
#include "io/epoll.h"

#include "io/loop.h"
#include "io/resolve.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const struct hf_loop_ops epoll_ops;

static struct loop *loop_from(struct hf_loop *loop)
{
    return HF_CONTAINER(loop, struct loop, head);
}

static void read_clocks(struct loop *loop)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    loop->head.now = (hf_time)t.tv_sec * 1000000 + t.tv_nsec / 1000;
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    loop->head.wall = (hf_wall)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct hf_loop *hf_epoll_new(void)
{
    struct loop *loop = aligned_alloc(_Alignof(struct loop), sizeof(*loop));
    if (loop == NULL) {
        return NULL;
    }
    /* The big arrays stay untouched until they are used. */
    memset(loop, 0, offsetof(struct loop, events));
    loop->head.ops = &epoll_ops;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    atomic_init(&loop->posted, NULL);
    atomic_init(&loop->stopped, false);
    struct hf_list *lists[] = {&loop->idle,      &loop->ready,           &loop->dead,
                               &loop->listeners, &loop->ready_listeners, &loop->dead_listeners};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        hf_list_init(lists[i]);
    }
    read_clocks(loop);
    hf_wheel_init(&loop->head.wheel, loop->head.now);
    /* Edge-triggered: every write to it is told once, so it need not be read. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = WATCH_WAKE};
    if (loop->epoll < 0 || loop->wake < 0 ||
        epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->wake, &event) != 0) {
        hf_loop_free(&loop->head);
        return NULL;
    }
    return &loop->head;
}

/* ---- other threads ------------------------------------------------------------------------------
 */

static void wake(struct loop *loop)
{
    uint64_t one = 1;
    ssize_t n;
    do {
        n = write(loop->wake, &one, sizeof(one));
    } while (n < 0 && errno == EINTR);
}

static void epoll_post(struct hf_loop *head, struct hf_task *task)
{
    struct loop *loop = loop_from(head);
    struct hf_task *newest = atomic_load_explicit(&loop->posted, memory_order_relaxed);
    do {
        task->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&loop->posted, &newest, task,
                                                    memory_order_release, memory_order_relaxed));
    if (newest == NULL) {
        wake(loop);
    }
}

static void epoll_stop(struct hf_loop *head)
{
    struct loop *loop = loop_from(head);
    atomic_store(&loop->stopped, true);
    wake(loop);
}

static void run_tasks(struct loop *loop)
{
    struct hf_task *newest = atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire);
    struct hf_task *oldest = NULL;
    while (newest != NULL) {
        struct hf_task *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct hf_task *task = oldest;
        oldest = task->next;
        task->next = NULL;
        task->run(task, &loop->head);
    }
}

/* ---- a turn -------------------------------------------------------------------------------------
 */

static void serve_event(struct loop *loop, const struct epoll_event *event)
{
    uint64_t data = event->data.u64;
    switch ((enum watch)(data & WATCH_MASK)) {
    case WATCH_STREAM:
        hf_stream_event((struct stream *)(uintptr_t)data, event->events);
        break;
    case WATCH_LISTENER:
        hf_listener_accept((struct hf_listener *)(uintptr_t)(data & ~(uint64_t)WATCH_MASK));
        break;
    case WATCH_WAKE:
        run_tasks(loop);
        break;
    case WATCH_NAMES:
        hf_resolver_event(loop, (int)(data >> 3), event->events);
        break;
    case WATCH_MASK:
        break;
    }
}

static void serve_events(struct loop *loop, int count)
{
    for (int i = 0; i < count; i++) {
        if (i + 2 < count) {
            __builtin_prefetch((void *)(uintptr_t)loop->events[i + 2].data.u64);
        }
        serve_event(loop, &loop->events[i]);
    }
}

static void serve_ready(struct loop *loop, struct hf_list *listeners, struct hf_list *streams)
{
    while (!hf_list_empty(listeners)) {
        struct hf_listener *l = HF_CONTAINER(listeners->next, struct hf_listener, node);
        hf_list_remove(&l->node);
        hf_list_append(&loop->listeners, &l->node);
        l->ready = false;
        hf_listener_accept(l);
    }
    while (!hf_list_empty(streams)) {
        struct stream *s = HF_CONTAINER(streams->next, struct stream, node);
        hf_list_remove(&s->node);
        hf_list_append(&loop->idle, &s->node);
        s->ready = false;
        hf_stream_work(s);
    }
}

static void reap(struct loop *loop)
{
    while (!hf_list_empty(&loop->dead)) {
        struct stream *s = HF_CONTAINER(loop->dead.next, struct stream, node);
        hf_list_remove(&s->node);
        hf_stream_free(s);
    }
    while (!hf_list_empty(&loop->dead_listeners)) {
        struct hf_listener *l = HF_CONTAINER(loop->dead_listeners.next, struct hf_listener, node);
        hf_list_remove(&l->node);
        free(l);
    }
}

static bool has_ready(const struct loop *loop)
{
    return !hf_list_empty(&loop->ready) || !hf_list_empty(&loop->ready_listeners);
}

/* Milliseconds for epoll_wait, rounded up; -1 for ever. */
static int wait_ms(const struct loop *loop, hf_time max_wait)
{
    if (max_wait <= 0 || has_ready(loop)) {
        return 0;
    }
    hf_time next = hf_wheel_next(&loop->head.wheel);
    hf_time wait = next == HF_NEVER ? HF_NEVER : next - loop->head.now;
    wait = wait < max_wait ? wait : max_wait;
    if (wait == HF_NEVER) {
        return -1;
    }
    return wait <= 0 ? 0 : wait > HF_SECONDS(3600) ? 3600000 : (int)((wait + 999) / 1000);
}

bool hf_epoll_turn(struct hf_loop *head, hf_time max_wait)
{
    struct loop *loop = loop_from(head);
    struct hf_list streams;
    struct hf_list listeners;
    int count = epoll_wait(loop->epoll, loop->events, EVENTS_MAX, wait_ms(loop, max_wait));
    HF_ASSERT(count >= 0 || errno == EINTR);
    loop->turn++;
    read_clocks(loop);
    hf_list_init(&streams);
    hf_list_init(&listeners);
    hf_list_splice(&streams, &loop->ready);
    hf_list_splice(&listeners, &loop->ready_listeners);
    hf_wheel_advance(&head->wheel, head->now);
    serve_events(loop, count);
    serve_ready(loop, &listeners, &streams);
    reap(loop);
    return !atomic_load_explicit(&loop->stopped, memory_order_relaxed);
}

void hf_epoll_run(struct hf_loop *loop)
{
    while (hf_epoll_turn(loop, HF_NEVER)) {
    }
}

int hf_epoll_descriptor(struct hf_loop *loop)
{
    return loop_from(loop)->epoll;
}

hf_time hf_epoll_deadline(struct hf_loop *loop)
{
    return has_ready(loop_from(loop)) ? loop->now : hf_wheel_next(&loop->wheel);
}

/* ---- the end ------------------------------------------------------------------------------------
 */

static void free_streams(struct hf_list *list)
{
    while (!hf_list_empty(list)) {
        hf_stream_kill(HF_CONTAINER(list->next, struct stream, node));
    }
}

static void epoll_free(struct hf_loop *head)
{
    struct loop *loop = loop_from(head);
    hf_resolver_free(loop->resolver);
    free_streams(&loop->idle);
    free_streams(&loop->ready);
    struct hf_list *lists[] = {&loop->listeners, &loop->ready_listeners};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        while (!hf_list_empty(lists[i])) {
            hf_listener_kill(HF_CONTAINER(lists[i]->next, struct hf_listener, node));
        }
    }
    reap(loop);
    free(loop->tls);
    if (loop->wake >= 0) {
        close(loop->wake);
    }
    if (loop->epoll >= 0) {
        close(loop->epoll);
    }
    free(loop);
}

uint64_t hf_descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        rlim_t before = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            return before;
        }
    }
    return limit.rlim_cur;
}

static const struct hf_loop_ops epoll_ops = {
    .listen = hf_listener_open,
    .listener_address = hf_listener_tell_address,
    .listener_pause = hf_listener_set_paused,
    .listener_close = hf_listener_kill,
    .connect = hf_stream_connect,
    .resolve = hf_resolver_start,
    .resolve_cancel = hf_resolver_cancel,
    .resolve_alias = hf_resolver_alias,
    .adopt = hf_stream_adopt,
    .post = epoll_post,
    .stop = epoll_stop,
    .free = epoll_free,
};
