/* SPDX-License-Identifier: Apache-2.0 */
/* A pool of objects of one size, for what exists by the ten thousand: taken from chunks, so that
 * long-lived objects lie together and short-lived ones leave no holes between them. An empty chunk
 * is given back (one is kept). Not thread-safe: one for each worker. In a build with
 * AddressSanitizer every object is an allocation of its own, so that a use after free is seen. */
#ifndef HF_BASE_POOL_H
#define HF_BASE_POOL_H

#include "base/alloc.h"
#include "base/list.h"

#include <stdint.h>

struct hf_pool {
    const struct hf_allocator *alloc;
    size_t size; /* of an object, rounded up to 8 */
    uint32_t per_chunk;
    size_t count;        /* objects that are out */
    struct hf_list room; /* chunks with a free object */
    struct hf_list full;
    size_t empty; /* chunks in room of which nothing is out: 0 or 1 */
};

void hf_pool_init(struct hf_pool *p, const struct hf_allocator *alloc, size_t size,
                  uint32_t per_chunk);
/* Every object must have been put back. */
void hf_pool_fini(struct hf_pool *p);
/* Zeroed, aligned to 8; NULL on no memory. */
void *hf_pool_take(struct hf_pool *p);
/* NULL is accepted. */
void hf_pool_put(struct hf_pool *p, void *object);

#endif
