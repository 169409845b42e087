/* SPDX-License-Identifier: Apache-2.0 */
/* Exponential backoff with full jitter. */
#include "policy/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the four above. */
#include <cmocka.h>

static const struct hf_backoff_rules usual = {HF_MS(100), 200, HF_SECONDS(2)};

static void each_wait_is_drawn_from_zero_to_a_ceiling_that_doubles_up_to_the_cap(void **state)
{
    static const hf_time ceilings[] = {HF_MS(100),  HF_MS(200),    HF_MS(400),   HF_MS(800),
                                       HF_MS(1600), HF_SECONDS(2), HF_SECONDS(2)};
    struct hf_random random;
    hf_random_init(&random, 1);
    hf_time longest[7] = {0};
    hf_time shortest[7] = {HF_NEVER, HF_NEVER, HF_NEVER, HF_NEVER, HF_NEVER, HF_NEVER, HF_NEVER};
    for (int round = 0; round < 2000; round++) {
        struct hf_backoff b;
        hf_backoff_init(&b);
        for (int i = 0; i < 7; i++) {
            hf_time wait = hf_backoff_next(&b, &usual, &random);
            assert_in_range(wait, 0, ceilings[i]);
            longest[i] = wait > longest[i] ? wait : longest[i];
            shortest[i] = wait < shortest[i] ? wait : shortest[i];
        }
    }
    for (int i = 0; i < 7; i++) { /* full jitter: the draws fill the whole span */
        assert_true(longest[i] > ceilings[i] * 98 / 100);
        assert_true(shortest[i] < ceilings[i] * 2 / 100);
    }
}

static void a_success_starts_from_base_again(void **state)
{
    struct hf_random random;
    hf_random_init(&random, 2);
    struct hf_backoff b;
    hf_backoff_init(&b);
    for (int i = 0; i < 10; i++) {
        (void)hf_backoff_next(&b, &usual, &random);
    }
    assert_int_equal(b.ceiling, usual.cap);
    hf_backoff_reset(&b);
    assert_in_range(hf_backoff_next(&b, &usual, &random), 0, usual.base);
    assert_int_equal(b.ceiling, usual.base);
}

static void a_lower_cap_holds_at_once(void **state)
{
    struct hf_random random;
    hf_random_init(&random, 3);
    struct hf_backoff b;
    hf_backoff_init(&b);
    for (int i = 0; i < 10; i++) {
        (void)hf_backoff_next(&b, &usual, &random);
    }
    struct hf_backoff_rules lower = {HF_MS(100), 200, HF_MS(50)};
    assert_in_range(hf_backoff_next(&b, &lower, &random), 0, HF_MS(50));
}

static void no_rules_overflow_and_every_growth_reaches_its_cap(void **state)
{
    static const struct hf_backoff_rules all[] = {
        {1, 101, 1000},
        {1, UINT32_MAX, HF_NEVER - 1},
        {HF_NEVER - 1, UINT32_MAX, HF_NEVER - 1},
        {HF_NEVER - 1, 150, HF_SECONDS(1)},
    };
    struct hf_random random;
    hf_random_init(&random, 4);
    for (size_t r = 0; r < sizeof(all) / sizeof(all[0]); r++) {
        struct hf_backoff b;
        hf_backoff_init(&b);
        for (int i = 0; i < 2000; i++) {
            hf_time before = b.ceiling;
            hf_time wait = hf_backoff_next(&b, &all[r], &random);
            assert_true(wait >= 0 && wait <= b.ceiling && b.ceiling >= before);
        }
        assert_true(b.ceiling == all[r].cap);
    }
}

static void a_factor_of_100_percent_or_less_keeps_the_ceiling(void **state)
{
    struct hf_backoff_rules flat = {HF_MS(100), 50, HF_SECONDS(2)};
    struct hf_random random;
    hf_random_init(&random, 5);
    struct hf_backoff b;
    hf_backoff_init(&b);
    for (int i = 0; i < 20; i++) {
        (void)hf_backoff_next(&b, &flat, &random);
        assert_int_equal(b.ceiling, HF_MS(100));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_wait_is_drawn_from_zero_to_a_ceiling_that_doubles_up_to_the_cap),
        cmocka_unit_test(a_success_starts_from_base_again),
        cmocka_unit_test(a_lower_cap_holds_at_once),
        cmocka_unit_test(no_rules_overflow_and_every_growth_reaches_its_cap),
        cmocka_unit_test(a_factor_of_100_percent_or_less_keeps_the_ceiling),
    };
    return cmocka_run_group_tests_name("backoff", tests, NULL, NULL);
}
