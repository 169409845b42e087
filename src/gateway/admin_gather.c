/* SPDX-License-Identifier: Apache-2.0 */
/* Gathering what only the workers' threads may read: see admin_gather.h. */
#include "gateway/admin_gather.h"

#include "gateway/admin_pages.h"

#include <stdlib.h>

/* Owned by nobody alone: by the workers that have not answered, then by the task that is posted.
 * The last worker frees it when it was abandoned, else the task does. */
struct hf_gather {
    struct hf_task task;
    struct hf_gateway *gateway;
    struct hf_loop *loop; /* not touched once abandoned */
    struct hf_list node;  /* of the admin's; on its thread */
    hf_gathered *done;
    void *owner;
    uint64_t ticket;
    uint32_t limit;
    pthread_mutex_t
        lock; /* of abandoned, and of posting: the loop may go as soon as it was abandoned */
    bool abandoned;
    _Atomic size_t left; /* workers that have not answered */
    size_t count;
    struct hf_buffer parts[]; /* by worker; each written by its own */
};

static void free_gather(struct hf_gather *g)
{
    for (size_t i = 0; i < g->count; i++) {
        hf_buffer_reset(&g->parts[i]);
    }
    pthread_mutex_destroy(&g->lock);
    free(g);
}

/* ---- joining -------------------------------------------------------------------------- */

/* Takes the next JSON object off the rest of a worker's list. */
static bool next_object(struct hf_slice *rest, struct hf_slice *object)
{
    size_t start = hf_slice_find(*rest, '{');
    bool quoted = false;
    size_t depth = 0;
    for (size_t i = start; i < rest->len; i++) {
        uint8_t byte = rest->ptr[i];
        if (quoted) {
            i += byte == '\\';
            quoted = byte != '"';
        } else if (byte == '"') {
            quoted = true;
        } else if (byte == '{') {
            depth++;
        } else if (byte == '}' && --depth == 0) {
            *object = hf_slice(rest->ptr + start, i + 1 - start);
            *rest = hf_slice_from(*rest, i + 1);
            return true;
        }
    }
    return false;
}

/* Ids count up, so the higher one is the newer; each object begins with its own. */
static uint64_t id_of(struct hf_slice object)
{
    uint64_t id = 0;
    for (size_t i = sizeof("{\"id\":") - 1;
         i < object.len && object.ptr[i] >= '0' && object.ptr[i] <= '9'; i++) {
        id = id * 10 + (uint64_t)(object.ptr[i] - '0');
    }
    return id;
}

/* How far a worker's list was read. */
struct cursor {
    struct hf_slice rest;
    struct hf_slice object; /* empty: no more */
};

static void advance(struct cursor *c)
{
    if (!next_object(&c->rest, &c->object)) {
        c->object = (struct hf_slice){NULL, 0};
    }
}

static struct cursor *newest(struct cursor *cursors, size_t count)
{
    struct cursor *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (cursors[i].object.len > 0 &&
            (best == NULL || id_of(cursors[i].object) > id_of(best->object))) {
            best = &cursors[i];
        }
    }
    return best;
}

static enum hf_status join(struct hf_gather *g, struct hf_buffer *out)
{
    struct cursor *cursors = calloc(g->count, sizeof(*cursors));
    uint64_t open = 0;
    bool whole = cursors != NULL;
    for (size_t i = 0; i < g->count && whole; i++) {
        whole = !g->parts[i].failed;
        cursors[i].rest = hf_buffer_slice(&g->parts[i]);
        advance(&cursors[i]);
        open += atomic_load_explicit(&g->gateway->workers[i]->open_now, memory_order_relaxed);
    }
    hf_buffer_add_text(out, "{\"sessions\":[");
    for (uint32_t told = 0; whole && told < g->limit; told++) {
        struct cursor *next = newest(cursors, g->count);
        if (next == NULL) {
            break;
        }
        hf_buffer_add_text(out, told == 0 ? "\n" : ",\n");
        hf_buffer_add(out, next->object);
        advance(next);
    }
    hf_buffer_addf(out, "\n],\"open\":%llu}\n", (unsigned long long)open);
    free(cursors);
    return whole && !out->failed ? HF_OK : HF_NO_MEMORY;
}

/* On the admin's loop, when the last worker has answered. */
static void finish(struct hf_task *task, struct hf_loop *loop)
{
    struct hf_gather *g = HF_CONTAINER(task, struct hf_gather, task);
    pthread_mutex_lock(&g->lock); /* the worker that posted has let go of it */
    bool abandoned = g->abandoned;
    pthread_mutex_unlock(&g->lock);
    if (!abandoned) {
        struct hf_buffer body;
        hf_buffer_init(&body, &hf_heap, HF_PAGE_BYTES_MAX);
        enum hf_status status = join(g, &body);
        hf_list_remove(&g->node);
        g->done(g->owner, g->ticket, status, &body);
        hf_buffer_reset(&body);
    }
    free_gather(g);
}

/* ---- asking --------------------------------------------------------------------------- */

/* On each worker's thread. */
static void answer(struct hf_worker *worker, void *context)
{
    struct hf_gather *g = context;
    hf_worker_print_sessions(worker, g->limit, &g->parts[worker->index]);
    if (atomic_fetch_sub_explicit(&g->left, 1, memory_order_acq_rel) > 1) {
        return;
    }
    pthread_mutex_lock(&g->lock);
    bool abandoned = g->abandoned;
    if (!abandoned) {
        hf_loop_post(g->loop, &g->task);
    }
    pthread_mutex_unlock(&g->lock);
    if (abandoned) {
        free_gather(g);
    }
}

enum hf_status hf_gather_start(struct hf_gateway *gateway, struct hf_loop *loop, uint32_t limit,
                               hf_gathered *done, void *owner, uint64_t ticket,
                               struct hf_list *list)
{
    struct hf_gather *g = calloc(1, sizeof(*g) + gateway->worker_count * sizeof(g->parts[0]));
    if (g == NULL) {
        return HF_NO_MEMORY;
    }
    g->task.run = finish;
    g->gateway = gateway;
    g->loop = loop;
    g->done = done;
    g->owner = owner;
    g->ticket = ticket;
    g->limit = limit;
    g->left = g->count = gateway->worker_count;
    pthread_mutex_init(&g->lock, NULL);
    for (size_t i = 0; i < g->count; i++) {
        hf_buffer_init(&g->parts[i], &hf_heap, HF_PAGE_BYTES_MAX);
    }
    hf_list_init(&g->node);
    hf_list_append(list, &g->node);
    if (!hf_gateway_broadcast(gateway, answer, g)) {
        hf_list_remove(&g->node);
        free_gather(g);
        return HF_NO_MEMORY;
    }
    return HF_OK;
}

void hf_gather_abandon_all(struct hf_list *list)
{
    while (!hf_list_empty(list)) {
        struct hf_gather *g = HF_CONTAINER(list->next, struct hf_gather, node);
        hf_list_remove(&g->node);
        pthread_mutex_lock(&g->lock);
        g->abandoned = true;
        pthread_mutex_unlock(&g->lock);
    }
}
