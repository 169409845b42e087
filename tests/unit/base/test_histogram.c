/* SPDX-License-Identifier: Apache-2.0 */
/* The log-linear histogram, against sorted numbers. */
#include "base/histogram.h"

#include "base/random.h"
#include "test_unit.h"

#include <stdlib.h>

#define COUNT 20000

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void a_quantile_is_never_too_small_and_at_most_a_sixtieth_too_large(void **state)
{
    static int64_t values[COUNT];
    static struct hf_histogram h;
    const double shares[] = {0, 0.01, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
    struct hf_random random;
    hf_random_init(&random, 7);
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = (int64_t)hf_random_below(&random, UINT64_C(1) << (1 + i % 41));
        hf_histogram_add(&h, values[i]);
    }
    qsort(values, COUNT, sizeof(values[0]), compare);
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        const double rank = shares[i] * COUNT;
        size_t at = rank <= 0 ? 0 : (size_t)rank - ((double)(size_t)rank == rank);
        at = at < COUNT ? at : COUNT - 1;
        const int64_t got = hf_histogram_quantile(&h, shares[i]);
        assert_true(got >= values[at]);
        assert_true((double)got <= (double)values[at] * (1 + 1.0 / 60) + 1);
    }
    assert_int_equal(h.count, COUNT);
    assert_int_equal(h.min, values[0]);
    assert_int_equal(h.max, values[COUNT - 1]);
}

static void small_numbers_are_exact_and_the_ends_are_kept(void **state)
{
    static struct hf_histogram h;
    for (int64_t i = 1; i <= 100; i++) {
        hf_histogram_add(&h, i);
    }
    assert_int_equal(hf_histogram_quantile(&h, 0.5), 50);
    assert_int_equal(hf_histogram_quantile(&h, 0.99), 99);
    assert_int_equal(hf_histogram_quantile(&h, 1), 100);
    assert_true(hf_histogram_mean(&h) == 50.5);
    hf_histogram_add(&h, -5);
    hf_histogram_add(&h, INT64_MAX);
    assert_int_equal(h.min, 0);
    assert_int_equal(h.max, HF_HISTOGRAM_MAX - 1);
    assert_int_equal(hf_histogram_quantile(&h, 1), HF_HISTOGRAM_MAX - 1);
}

static void merged_ones_are_as_one_that_got_all(void **state)
{
    static struct hf_histogram a, b, all;
    for (int64_t i = 0; i < 1000; i++) {
        hf_histogram_add(i % 3 == 0 ? &a : &b, i * i);
        hf_histogram_add(&all, i * i);
    }
    hf_histogram_merge(&a, &b);
    assert_memory_equal(&a, &all, sizeof(a));
    static struct hf_histogram empty;
    hf_histogram_merge(&a, &empty);
    assert_memory_equal(&a, &all, sizeof(a));
    hf_histogram_merge(&empty, &all);
    assert_memory_equal(&empty, &all, sizeof(a));
}

static void an_empty_one_has_no_quantile(void **state)
{
    static struct hf_histogram h;
    assert_int_equal(hf_histogram_quantile(&h, 0.5), 0);
    assert_true(hf_histogram_mean(&h) == 0);
    hf_histogram_add_many(&h, 9, 0);
    assert_int_equal(h.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quantile_is_never_too_small_and_at_most_a_sixtieth_too_large),
        cmocka_unit_test(small_numbers_are_exact_and_the_ends_are_kept),
        cmocka_unit_test(merged_ones_are_as_one_that_got_all),
        cmocka_unit_test(an_empty_one_has_no_quantile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
