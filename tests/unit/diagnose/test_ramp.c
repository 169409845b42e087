/* SPDX-License-Identifier: Apache-2.0 */
/* The search for the largest message that passes, against limits that are known. */
#include "diagnose/ramp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the four above. */
#include <cmocka.h>

/* Runs the search against a limit; returns how many sizes were tried. */
static unsigned search(struct hf_ramp *r, uint64_t limit)
{
    unsigned tries = 0;
    while (r->size != 0) {
        assert_true(++tries < 200);
        if (r->size <= limit) {
            hf_ramp_passed(r);
        } else {
            hf_ramp_died(r);
        }
    }
    return tries;
}

static void a_limit_is_found_to_within_a_hundredth_and_never_too_high(void **state)
{
    for (uint64_t limit = 20; limit < HF_RAMP_LAST; limit += limit / 7 + 1) {
        struct hf_ramp r;
        hf_ramp_init(&r, 15, HF_RAMP_LAST);
        assert_true(search(&r, limit) < 70);
        assert_true(r.low <= limit);
        assert_true(r.high > limit);
        assert_true(r.high - r.low <= 1 || (r.high - r.low) * 100 <= r.low);
    }
}

static void without_a_limit_the_largest_size_is_reached_and_nothing_is_said_to_kill(void **state)
{
    struct hf_ramp r;
    hf_ramp_init(&r, 15, HF_RAMP_LAST);
    assert_true(search(&r, UINT64_MAX) < 25);
    assert_int_equal(r.low, HF_RAMP_LAST);
    assert_int_equal(r.high, 0);
}

static void one_accident_is_tried_again_and_changes_nothing(void **state)
{
    struct hf_ramp r;
    hf_ramp_init(&r, 15, HF_RAMP_LAST);
    while (r.size < 4000) {
        hf_ramp_passed(&r);
    }
    const uint64_t size = r.size;
    hf_ramp_died(&r); /* by chance */
    assert_int_equal(r.size, size);
    (void)search(&r, 100000);
    assert_in_range(r.low, 99000, 100000);
}

static void a_server_that_ends_on_the_shortest_text_has_no_limit_of_size(void **state)
{
    struct hf_ramp r;
    hf_ramp_init(&r, 15, HF_RAMP_LAST);
    hf_ramp_died(&r);
    hf_ramp_died(&r);
    assert_int_equal(r.size, 0);
    assert_int_equal(r.low, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_is_found_to_within_a_hundredth_and_never_too_high),
        cmocka_unit_test(without_a_limit_the_largest_size_is_reached_and_nothing_is_said_to_kill),
        cmocka_unit_test(one_accident_is_tried_again_and_changes_nothing),
        cmocka_unit_test(a_server_that_ends_on_the_shortest_text_has_no_limit_of_size),
    };
    return cmocka_run_group_tests_name("ramp", tests, NULL, NULL);
}
