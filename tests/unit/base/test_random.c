/* SPDX-License-Identifier: Apache-2.0 */
/* The seeded stream: it must be the same on every machine for ever, or a failing seed is worth
 * nothing. */
#include "test_unit.h"

#include "base/random.h"

static void a_seed_gives_the_stream_of_the_reference(void **state)
{
    struct hf_random r;
    hf_random_init(&r, 0);
    assert_true(r.state[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(hf_random_next(&r) == UINT64_C(0x99ec5f36cb75f2b4));
    assert_true(hf_random_next(&r) == UINT64_C(0xbf6e1f784956452a));
    assert_true(hf_random_next(&r) == UINT64_C(0x1a5f849d4933e6e0));
    hf_random_init(&r, 42);
    assert_true(hf_random_next(&r) == UINT64_C(0x15780b2e0c2ec716));
    assert_true(hf_random_next(&r) == UINT64_C(0x6104d9866d113a7e));
    assert_true(hf_random_next(&r) == UINT64_C(0xae17533239e499a1));
}

static void numbers_below_a_bound_are_even_and_reach_both_ends(void **state)
{
    struct hf_random r;
    hf_random_init(&r, 7);
    int seen[10] = {0};
    for (int i = 0; i < 100000; i++) {
        uint64_t x = hf_random_below(&r, 10);
        assert_true(x < 10);
        seen[x]++;
    }
    for (int i = 0; i < 10; i++) {
        assert_in_range(seen[i], 9500, 10500);
    }
    assert_true(hf_random_below(&r, 1) == 0);
}

/* With a bound of three quarters of the range, a plain remainder would fall into the first third of
 * it in one half of the cases. */
static void a_large_bound_is_even_too(void **state)
{
    struct hf_random r;
    hf_random_init(&r, 9);
    uint64_t below = UINT64_C(3) << 62;
    int low = 0;
    for (int i = 0; i < 30000; i++) {
        uint64_t x = hf_random_below(&r, below);
        assert_true(x < below);
        low += x < below / 3;
    }
    assert_in_range(low, 9500, 10500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_gives_the_stream_of_the_reference),
        cmocka_unit_test(numbers_below_a_bound_are_even_and_reach_both_ends),
        cmocka_unit_test(a_large_bound_is_even_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
