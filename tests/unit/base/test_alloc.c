/* SPDX-License-Identifier: Apache-2.0 */
/* The heap, the statuses, and the counting allocator that the other tests trust. */
#include "test_alloc.h"
#include "test_unit.h"

#include "base/status.h"

#include <string.h>

static void zeroed_memory_is_zero_and_a_failure_is_null(void **state)
{
    struct test_alloc ta;
    test_alloc_init(&ta);
    uint8_t *p = hf_alloc_zero(&ta.alloc, 100);
    assert_non_null(p);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(p[i], 0);
    }
    hf_release(&ta.alloc, p);
    test_alloc_fail_at(&ta, 1);
    assert_null(hf_alloc_zero(&ta.alloc, 100));
}

static void a_text_of_a_slice_ends_with_it(void **state)
{
    struct test_alloc ta;
    test_alloc_init(&ta);
    char *text = hf_alloc_text(&ta.alloc, hf_slice("four", 3));
    assert_string_equal(text, "fou");
    hf_release(&ta.alloc, text);
    text = hf_alloc_text(&ta.alloc, hf_slice(NULL, 0));
    assert_string_equal(text, "");
    hf_release(&ta.alloc, text);
    test_alloc_fail_at(&ta, 1);
    assert_null(hf_alloc_text(&ta.alloc, HF_LITERAL("x")));
}

static void the_heap_grows_a_block_and_keeps_its_bytes(void **state)
{
    char *p = hf_alloc(&hf_heap, 4);
    assert_non_null(p);
    memcpy(p, "abc", 4);
    p = hf_heap.resize(hf_heap.context, p, 4096);
    assert_non_null(p);
    assert_string_equal(p, "abc");
    assert_null(hf_heap.resize(hf_heap.context, p, 0));
    hf_release(&hf_heap, NULL);
}

static void the_counting_allocator_counts_live_bytes_blocks_and_the_peak(void **state)
{
    struct test_alloc ta;
    test_alloc_init(&ta);
    void *a = hf_alloc(&ta.alloc, 10);
    void *b = hf_alloc(&ta.alloc, 20);
    assert_int_equal(ta.live_bytes, 30);
    assert_int_equal(ta.live_blocks, 2);
    a = ta.alloc.resize(ta.alloc.context, a, 5);
    assert_int_equal(ta.live_bytes, 25);
    assert_int_equal(ta.calls, 3);
    hf_release(&ta.alloc, a);
    hf_release(&ta.alloc, b);
    assert_int_equal(ta.live_bytes, 0);
    assert_int_equal(ta.live_blocks, 0);
    assert_int_equal(ta.peak_bytes, 30);
}

static void only_the_nth_allocation_fails_and_the_old_block_stays_valid(void **state)
{
    struct test_alloc ta;
    test_alloc_init(&ta);
    test_alloc_fail_at(&ta, 2);
    char *p = hf_alloc(&ta.alloc, 2);
    assert_non_null(p);
    memcpy(p, "x", 2);
    assert_false(ta.fired);
    assert_null(ta.alloc.resize(ta.alloc.context, p, 100));
    assert_true(ta.fired);
    assert_string_equal(p, "x");
    p = ta.alloc.resize(ta.alloc.context, p, 100);
    assert_non_null(p);
    assert_string_equal(p, "x");
    hf_release(&ta.alloc, p);
    assert_int_equal(ta.live_blocks, 0);
}

static void every_status_has_its_own_phrase(void **state)
{
    for (int a = HF_OK; a <= HF_IO; a++) {
        const char *text = hf_status_text((enum hf_status)a);
        assert_string_not_equal(text, "unknown status");
        for (int b = HF_OK; b < a; b++) {
            assert_string_not_equal(text, hf_status_text((enum hf_status)b));
        }
    }
    assert_string_equal(hf_status_text((enum hf_status)99), "unknown status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_memory_is_zero_and_a_failure_is_null),
        cmocka_unit_test(a_text_of_a_slice_ends_with_it),
        cmocka_unit_test(the_heap_grows_a_block_and_keeps_its_bytes),
        cmocka_unit_test(the_counting_allocator_counts_live_bytes_blocks_and_the_peak),
        cmocka_unit_test(only_the_nth_allocation_fails_and_the_old_block_stays_valid),
        cmocka_unit_test(every_status_has_its_own_phrase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
