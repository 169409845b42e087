/* SPDX-License-Identifier: Apache-2.0 */
/* An allocator for tests: it counts what is alive and fails the n-th allocation on demand.
 *
 *     struct test_alloc ta;
 *     test_alloc_init(&ta);
 *     for (size_t n = 1; ; n++) {
 *         test_alloc_fail_at(&ta, n);
 *         ... run the thing with &ta.alloc, free it ...
 *         assert_int_equal(ta.live_blocks, 0);
 *         if (!ta.fired) {
 *             break; // it needs fewer than n allocations
 *         }
 *     }
 */
#ifndef TEST_ALLOC_H
#define TEST_ALLOC_H

#include "base/alloc.h"

#include <stdbool.h>

struct test_alloc {
    struct hf_allocator alloc; /* hand &ta.alloc to the thing under test */
    size_t live_bytes;
    size_t live_blocks;
    size_t peak_bytes; /* the most live_bytes ever was */
    size_t calls;      /* allocations asked for: new blocks and changes of size, not frees */
    size_t countdown;  /* allocations until one fails; 0: none will */
    bool fired;        /* the allocation asked for by test_alloc_fail_at has failed */
};

/* ta must not move afterwards: the allocator points to it. */
void test_alloc_init(struct test_alloc *ta);
/* The n-th allocation from now fails, once; 1 is the next one, 0 none. Forgets `fired`. */
void test_alloc_fail_at(struct test_alloc *ta, size_t n);

#endif
