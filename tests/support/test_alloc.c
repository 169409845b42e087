/* SPDX-License-Identifier: Apache-2.0 */
/* The size of each block stands in front of it. Every change of size moves the block, so that a
 * pointer kept too long is found by the sanitizer. */
#include "test_alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define HEAD 16 /* bytes: keeps the alignment of malloc */

static size_t size_of(const void *ptr)
{
    size_t size;
    memcpy(&size, (const uint8_t *)ptr - HEAD, sizeof(size));
    return size;
}

static void release(struct test_alloc *ta, void *ptr)
{
    if (ptr != NULL) {
        ta->live_bytes -= size_of(ptr);
        ta->live_blocks--;
        free((uint8_t *)ptr - HEAD);
    }
}

static void *test_resize(void *context, void *ptr, size_t size)
{
    struct test_alloc *ta = context;
    if (size == 0) {
        release(ta, ptr);
        return NULL;
    }
    ta->calls++;
    if (ta->countdown > 0 && --ta->countdown == 0) {
        ta->fired = true;
        return NULL;
    }
    uint8_t *block = size > SIZE_MAX - HEAD ? NULL : malloc(HEAD + size);
    if (block == NULL) {
        return NULL;
    }
    memcpy(block, &size, sizeof(size));
    memset(block + HEAD, 0xa5, size);
    if (ptr != NULL) {
        size_t old = size_of(ptr);
        memcpy(block + HEAD, ptr, old < size ? old : size);
        release(ta, ptr);
    }
    ta->live_bytes += size;
    ta->live_blocks++;
    if (ta->live_bytes > ta->peak_bytes) {
        ta->peak_bytes = ta->live_bytes;
    }
    return block + HEAD;
}

void test_alloc_init(struct test_alloc *ta)
{
    *ta = (struct test_alloc){.alloc = {test_resize, ta}};
}

void test_alloc_fail_at(struct test_alloc *ta, size_t n)
{
    ta->countdown = n;
    ta->fired = false;
}
