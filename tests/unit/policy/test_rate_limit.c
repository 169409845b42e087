/* SPDX-License-Identifier: Apache-2.0 */
/* The token bucket: bursts, refill, exactness, threads. */
#include "base/random.h"
#include "policy/rate_limit.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the four above. */
#include <cmocka.h>

static const hf_time start = HF_SECONDS(5000000);

static struct hf_rate full(void)
{
    struct hf_rate rate;
    hf_rate_init(&rate);
    return rate;
}

static void an_idle_bucket_admits_exactly_its_burst_and_then_one_each_interval(void **state)
{
    struct hf_rate_rules rules = {20, HF_SECONDS(60), 5}; /* one each 3 s */
    struct hf_rate rate = full();
    for (int i = 0; i < 5; i++) {
        assert_int_equal(hf_rate_charge(&rate, &rules, 1, start), 0);
    }
    assert_int_equal(hf_rate_charge(&rate, &rules, 1, start), HF_SECONDS(3));
    assert_int_equal(hf_rate_charge(&rate, &rules, 1, start + HF_SECONDS(3) - 1), 1);
    for (int i = 1; i <= 100; i++) {
        hf_time due = start + HF_SECONDS(3) * i;
        assert_int_equal(hf_rate_charge(&rate, &rules, 1, due - 1), 1);
        assert_int_equal(hf_rate_charge(&rate, &rules, 1, due), 0);
        assert_int_equal(hf_rate_charge(&rate, &rules, 1, due), HF_SECONDS(3));
    }
}

static void a_bucket_left_alone_holds_its_burst_again_and_not_more(void **state)
{
    struct hf_rate_rules rules = {20, HF_SECONDS(60), 5};
    struct hf_rate rate = full();
    assert_int_equal(hf_rate_charge(&rate, &rules, 5, start), 0);
    assert_int_equal(hf_rate_charge(&rate, &rules, 5, start + HF_SECONDS(3600)), 0);
    assert_int_equal(hf_rate_charge(&rate, &rules, 1, start + HF_SECONDS(3600)), HF_SECONDS(3));
}

static void a_refused_charge_takes_nothing(void **state)
{
    struct hf_rate_rules rules = {1, HF_SECONDS(1), 3};
    struct hf_rate rate = full();
    assert_int_equal(hf_rate_charge(&rate, &rules, 2, start), 0);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(hf_rate_charge(&rate, &rules, 3, start), HF_SECONDS(2));
    }
    assert_int_equal(hf_rate_charge(&rate, &rules, 1, start), 0);
}

static void the_wait_it_names_is_the_shortest_that_succeeds(void **state)
{
    struct hf_random random;
    hf_random_init(&random, 11);
    for (int i = 0; i < 3000; i++) {
        struct hf_rate_rules rules = {1 + (uint32_t)hf_random_below(&random, 1000000),
                                      1 + (hf_time)hf_random_below(&random, HF_SECONDS(3600)),
                                      1 + (uint32_t)hf_random_below(&random, 50)};
        struct hf_rate rate = full();
        hf_time now = (hf_time)hf_random_below(&random, (uint64_t)1 << 50);
        assert_int_equal(hf_rate_charge(&rate, &rules, rules.burst, now), 0);
        now += (hf_time)hf_random_below(&random, (uint64_t)rules.period);
        uint32_t n = 1 + (uint32_t)hf_random_below(&random, rules.burst);
        hf_time wait = hf_rate_charge(&rate, &rules, n, now);
        if (wait > 0) {
            assert_true(hf_rate_charge(&rate, &rules, n, now + wait - 1) > 0);
            assert_int_equal(hf_rate_charge(&rate, &rules, n, now + wait), 0);
        }
    }
}

/* Charges one by one at the times that the bucket names, for so many tokens; returns how long it
 * took. */
static hf_time time_for(const struct hf_rate_rules *rules, uint32_t n, int charges)
{
    struct hf_rate rate = full();
    hf_time now = start;
    for (int i = 0; i < charges;) {
        hf_time wait = hf_rate_charge(&rate, rules, n, now);
        now += wait;
        i += wait == 0;
    }
    return now - start;
}

static void no_part_of_a_microsecond_is_lost_or_won_over_many_charges(void **state)
{
    /* A bucket with room for one more loses nothing to the clock's whole microseconds.
     * 7 a second, one each 142857.142857... microseconds: 2 at once and 210,000 in 30,000 s. */
    struct hf_rate_rules seventh = {7, HF_SECONDS(1), 2};
    assert_int_equal(time_for(&seventh, 1, 210002), HF_SECONDS(30000));
    /* 3,000,010 a minute by tens: 20 at once, the others in 60 s. */
    struct hf_rate_rules odd = {3000010, HF_SECONDS(60), 20};
    assert_int_equal(time_for(&odd, 10, 300003), HF_SECONDS(60));
}

static void the_highest_count_a_minute_is_exact(void **state)
{
    struct hf_rate_rules rules = {2147483647, HF_SECONDS(60), 1};
    struct hf_rate rate = full();
    /* The tokens of seven minutes and one more: a debt of as long, to the microsecond. */
    hf_rate_force(&rate, &rules, 1, start);
    for (int i = 0; i < 7; i++) {
        hf_rate_force(&rate, &rules, 2147483647, start);
    }
    assert_int_equal(hf_rate_charge(&rate, &rules, 1, start), HF_SECONDS(7 * 60) + 1);
    /* One by one: 1,000,000 after the burst take 27,939.677... microseconds. */
    rules.burst = 100;
    assert_int_equal(time_for(&rules, 1, 1000100), 27940);
}

static void the_slowest_and_the_fastest_rules_work(void **state)
{
    struct hf_rate_rules slow = {1, HF_SECONDS((hf_time)10 * 365 * 24 * 3600), 1};
    struct hf_rate rate = full();
    assert_int_equal(hf_rate_charge(&rate, &slow, 1, start), 0);
    assert_int_equal(hf_rate_charge(&rate, &slow, 1, start), slow.period);
    struct hf_rate_rules fast = {UINT32_MAX, 1, UINT32_MAX};
    rate = full();
    assert_int_equal(hf_rate_charge(&rate, &fast, UINT32_MAX, start), 0);
    assert_int_equal(hf_rate_charge(&rate, &fast, 1024, start), 1);
    assert_int_equal(hf_rate_charge(&rate, &fast, 1024, start + 1), 0);
}

static void a_charge_above_the_burst_passes_a_full_bucket_and_leaves_a_debt(void **state)
{
    struct hf_rate_rules rules = {1, HF_SECONDS(1), 4};
    struct hf_rate rate = full();
    assert_int_equal(hf_rate_charge(&rate, &rules, 10, start), 0);
    assert_int_equal(hf_rate_charge(&rate, &rules, 1, start), HF_SECONDS(7));
    assert_int_equal(hf_rate_charge(&rate, &rules, 10, start + HF_SECONDS(9)), HF_SECONDS(1));
    assert_int_equal(hf_rate_charge(&rate, &rules, 10, start + HF_SECONDS(10)), 0);
}

static void force_takes_into_debt_that_is_paid_in_time(void **state)
{
    struct hf_rate_rules rules = {2, HF_SECONDS(1), 1};
    struct hf_rate rate = full();
    for (int i = 0; i < 5; i++) {
        hf_rate_force(&rate, &rules, 1, start);
    }
    assert_int_equal(hf_rate_charge(&rate, &rules, 1, start), HF_MS(2500));
    assert_int_equal(hf_rate_charge(&rate, &rules, 1, start + HF_MS(2500)), 0);
}

static void a_debt_beyond_the_end_of_time_does_not_wrap(void **state)
{
    struct hf_rate_rules rules = {1, HF_SECONDS((hf_time)10 * 365 * 24 * 3600), UINT32_MAX};
    struct hf_rate rate = full();
    for (int i = 0; i < 100; i++) {
        hf_rate_force(&rate, &rules, UINT32_MAX, start);
        assert_true(rate.arrival == INT64_MAX);
    }
    rules.burst = 1;
    assert_true(hf_rate_charge(&rate, &rules, 1, start) > HF_SECONDS(1000000000));
}

static void a_bucket_is_full_when_its_debt_and_its_burst_are_paid(void **state)
{
    struct hf_rate_rules rules = {1, HF_SECONDS(1), 3};
    struct hf_rate rate = full();
    assert_true(hf_rate_is_full(&rate, 0));
    assert_int_equal(hf_rate_charge(&rate, &rules, 2, start), 0);
    assert_false(hf_rate_is_full(&rate, start));
    assert_false(hf_rate_is_full(&rate, start + HF_SECONDS(2) - 1));
    assert_true(hf_rate_is_full(&rate, start + HF_SECONDS(2)));
}

static void a_count_or_a_period_of_zero_is_no_limit(void **state)
{
    struct hf_rate_rules none[] = {{0, HF_SECONDS(60), 1}, {5, 0, 1}};
    for (int r = 0; r < 2; r++) {
        struct hf_rate rate = full();
        for (int i = 0; i < 1000; i++) {
            assert_int_equal(hf_rate_charge(&rate, &none[r], 1000, start), 0);
        }
        hf_rate_force(&rate, &none[r], 1000, start);
        assert_true(hf_rate_is_full(&rate, start));
    }
}

static void a_burst_of_zero_counts_as_one(void **state)
{
    struct hf_rate_rules rules = {1, HF_SECONDS(1), 0};
    struct hf_rate rate = full();
    assert_int_equal(hf_rate_charge(&rate, &rules, 1, start), 0);
    assert_int_equal(hf_rate_charge(&rate, &rules, 1, start), HF_SECONDS(1));
}

static void new_rules_keep_a_debt_as_long_as_it_was(void **state)
{
    struct hf_rate_rules fast = {100, HF_SECONDS(1), 1};
    struct hf_rate_rules slow = {1, HF_SECONDS(60), 1};
    struct hf_rate rate = full();
    assert_int_equal(hf_rate_charge(&rate, &fast, 1, start), 0);
    assert_int_equal(hf_rate_charge(&rate, &slow, 1, start), HF_MS(10));
    assert_int_equal(hf_rate_charge(&rate, &slow, 1, start + HF_MS(10)), 0);
    assert_int_equal(hf_rate_charge(&rate, &fast, 1, start + HF_MS(10)), HF_SECONDS(60));
}

static void over_any_span_no_more_than_burst_and_refill_pass(void **state)
{
    struct hf_random random;
    for (uint64_t seed = 0; seed < 100; seed++) {
        hf_random_init(&random, seed);
        struct hf_rate_rules rules = {1 + (uint32_t)hf_random_below(&random, 5000),
                                      1 + (hf_time)hf_random_below(&random, HF_SECONDS(100)),
                                      1 + (uint32_t)hf_random_below(&random, 20)};
        struct hf_rate rate = full();
        hf_time now = start;
        double passed = 0;
        double offered_late = 0; /* tokens missed because nobody asked */
        double each = (double)rules.period / rules.count;
        for (int i = 0; i < 1000; i++) {
            uint32_t n = 1 + (uint32_t)hf_random_below(&random, rules.burst);
            hf_time wait = hf_rate_charge(&rate, &rules, n, now);
            if (wait == 0) {
                passed += n;
            }
            double most = rules.burst + (double)(now - start) / each;
            assert_true(passed <= most + 1e-6 * most);
            if (wait > 0) { /* greedy: less than what would make it pass is missing */
                assert_true(passed + n > most - 1e-6 * most - offered_late - 1e-3);
            }
            hf_time step = wait > 0 ? wait : (hf_time)hf_random_below(&random, 3);
            now += step;
            /* What overflows a full bucket is not owed to anyone. */
            double level = rules.burst + (double)(now - start) / each - passed - offered_late;
            offered_late += level > rules.burst ? level - rules.burst : 0;
        }
    }
}

struct crowd {
    struct hf_rate rate;
    struct hf_rate_rules rules;
    _Atomic int passed;
};

static void *charge_often(void *arg)
{
    struct crowd *crowd = arg;
    int passed = 0;
    for (int i = 0; i < 20000; i++) {
        passed += hf_rate_charge(&crowd->rate, &crowd->rules, 1, start) == 0;
    }
    crowd->passed += passed;
    return NULL;
}

static void threads_that_share_a_bucket_get_its_burst_once(void **state)
{
    struct crowd crowd = {.rules = {7, HF_SECONDS(1), 50001}};
    pthread_t threads[4];
    hf_rate_init(&crowd.rate);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, charge_often, &crowd), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(crowd.passed, 50001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_bucket_admits_exactly_its_burst_and_then_one_each_interval),
        cmocka_unit_test(a_bucket_left_alone_holds_its_burst_again_and_not_more),
        cmocka_unit_test(a_refused_charge_takes_nothing),
        cmocka_unit_test(the_wait_it_names_is_the_shortest_that_succeeds),
        cmocka_unit_test(no_part_of_a_microsecond_is_lost_or_won_over_many_charges),
        cmocka_unit_test(the_highest_count_a_minute_is_exact),
        cmocka_unit_test(the_slowest_and_the_fastest_rules_work),
        cmocka_unit_test(a_charge_above_the_burst_passes_a_full_bucket_and_leaves_a_debt),
        cmocka_unit_test(force_takes_into_debt_that_is_paid_in_time),
        cmocka_unit_test(a_debt_beyond_the_end_of_time_does_not_wrap),
        cmocka_unit_test(a_bucket_is_full_when_its_debt_and_its_burst_are_paid),
        cmocka_unit_test(a_count_or_a_period_of_zero_is_no_limit),
        cmocka_unit_test(a_burst_of_zero_counts_as_one),
        cmocka_unit_test(new_rules_keep_a_debt_as_long_as_it_was),
        cmocka_unit_test(over_any_span_no_more_than_burst_and_refill_pass),
        cmocka_unit_test(threads_that_share_a_bucket_get_its_burst_once),
    };
    return cmocka_run_group_tests_name("rate_limit", tests, NULL, NULL);
}
