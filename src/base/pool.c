/* SPDX-License-Identifier: Apache-2.0 */
/* Pools: see pool.h. */
#include "base/pool.h"

#include "base/status.h"

#include <string.h>

/* In front of each object. */
struct slot {
    union {
        struct chunk *chunk; /* while the object is out */
        struct slot *next;   /* while it is free */
    } u;
};

struct chunk {
    struct hf_list node; /* pool->room or pool->full */
    struct slot *free;
    uint32_t out;
    uint32_t untouched; /* objects at the end that were never taken */
    uint64_t bytes[];
};

#if defined(__SANITIZE_ADDRESS__)
#define POOLING 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOLING 0
#endif
#endif
#ifndef POOLING
#define POOLING 1
#endif

void hf_pool_init(struct hf_pool *p, const struct hf_allocator *alloc, size_t size,
                  uint32_t per_chunk)
{
    p->alloc = alloc;
    p->size = (size + 7) & ~(size_t)7;
    p->per_chunk = per_chunk;
    p->count = 0;
    p->empty = 0;
    hf_list_init(&p->room);
    hf_list_init(&p->full);
}

void hf_pool_fini(struct hf_pool *p)
{
    HF_ASSERT(p->count == 0);
    while (!hf_list_empty(&p->room)) {
        struct chunk *c = HF_CONTAINER(p->room.next, struct chunk, node);
        hf_list_remove(&c->node);
        hf_release(p->alloc, c);
    }
}

static size_t slot_bytes(const struct hf_pool *p)
{
    return sizeof(struct slot) + p->size;
}

static struct chunk *new_chunk(struct hf_pool *p)
{
    struct chunk *c = hf_alloc(p->alloc, sizeof(*c) + slot_bytes(p) * p->per_chunk);
    if (c != NULL) {
        c->free = NULL;
        c->out = 0;
        c->untouched = p->per_chunk;
        hf_list_init(&c->node);
        hf_list_append(&p->room, &c->node);
        p->empty++;
    }
    return c;
}

static struct slot *take_slot(struct hf_pool *p, struct chunk *c)
{
    struct slot *s = c->free;
    if (s != NULL) {
        c->free = s->u.next;
    } else {
        uint32_t index = p->per_chunk - c->untouched--;
        s = (struct slot *)(void *)((char *)c->bytes + slot_bytes(p) * index);
    }
    if (c->out++ == 0) {
        p->empty--;
    }
    if (c->free == NULL && c->untouched == 0) {
        hf_list_remove(&c->node);
        hf_list_append(&p->full, &c->node);
    }
    s->u.chunk = c;
    return s;
}

void *hf_pool_take(struct hf_pool *p)
{
    if (!POOLING) {
        void *object = hf_alloc_zero(p->alloc, p->size);
        p->count += object != NULL;
        return object;
    }
    struct chunk *c =
        hf_list_empty(&p->room) ? new_chunk(p) : HF_CONTAINER(p->room.next, struct chunk, node);
    if (c == NULL) {
        return NULL;
    }
    struct slot *s = take_slot(p, c);
    p->count++;
    return memset(s + 1, 0, p->size);
}

static void put_slot(struct hf_pool *p, struct slot *s)
{
    struct chunk *c = s->u.chunk;
    bool was_full = c->free == NULL && c->untouched == 0;
    s->u.next = c->free;
    c->free = s;
    c->out--;
    if (was_full) {
        hf_list_remove(&c->node);
        hf_list_append(&p->room, &c->node);
    }
    if (c->out > 0) {
        return;
    }
    if (p->empty > 0) {
        hf_list_remove(&c->node);
        hf_release(p->alloc, c);
    } else {
        p->empty++;
    }
}

void hf_pool_put(struct hf_pool *p, void *object)
{
    if (object == NULL) {
        return;
    }
    HF_ASSERT(p->count > 0);
    p->count--;
    if (!POOLING) {
        hf_release(p->alloc, object);
        return;
    }
    put_slot(p, (struct slot *)object - 1);
}
