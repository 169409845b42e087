/* SPDX-License-Identifier: Apache-2.0 */
/* The allocator that is handed in. Pure folders own no heap: every one of their allocations goes
 * through one of these, so a test can count bytes and let the n-th allocation fail. */
#ifndef HF_BASE_ALLOC_H
#define HF_BASE_ALLOC_H

#include "base/slice.h"

#include <stddef.h>

struct hf_allocator {
    /* Like realloc: ptr NULL allocates, size 0 frees and returns NULL. NULL for size > 0 means no
     * memory, and ptr is still valid then. */
    void *(*resize)(void *context, void *ptr, size_t size);
    void *context;
};

/* The C library's heap. Thread-safe. */
extern const struct hf_allocator hf_heap;

static inline void *hf_alloc(const struct hf_allocator *a, size_t size)
{
    return a->resize(a->context, NULL, size);
}
static inline void hf_release(const struct hf_allocator *a, void *ptr)
{
    if (ptr != NULL) {
        (void)a->resize(a->context, ptr, 0);
    }
}
/* Zeroed memory, or NULL. */
void *hf_alloc_zero(const struct hf_allocator *a, size_t size);
/* A copy that ends with NUL, or NULL. (strndup may look at the byte behind the slice.) */
char *hf_alloc_text(const struct hf_allocator *a, struct hf_slice s);

#endif
