/* SPDX-License-Identifier: Apache-2.0 */
/* Survival: the curve against a worked example, censoring, the reservoir, and the peaks of seeded
 * worlds: timers, restarts, limiters, mixtures, and nothing at all. */
#include "base/random.h"
#include "cause/survival.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the four above. */
#include <cmocka.h>

#define SEEDS 30

struct world {
    struct hf_random random;
    struct hf_survival *s;
};

static struct world world_new(uint64_t seed)
{
    struct world w;
    hf_random_init(&w.random, seed);
    w.s = hf_survival_new(&hf_heap, seed);
    assert_non_null(w.s);
    return w;
}

static double even(struct world *w)
{
    return (double)(hf_random_next(&w->random) >> 11) * 0x1p-53;
}

static double normal(struct world *w)
{
    return sqrt(-2 * log(1 - even(w))) * cos(6.283185307179586 * even(w));
}

static void add(struct world *w, double begun, double age, int64_t up, bool censored)
{
    struct hf_lifetime l = {.age = (hf_time)(age * 1e6),
                            .ended = (hf_time)((begun + age) * 1e6),
                            .messages_up = up,
                            .messages_down = -1,
                            .bytes_up = -1,
                            .bytes_down = -1,
                            .censored = censored};
    assert_int_equal(hf_survival_add(w->s, &l), HF_OK);
}

static void the_curve_is_that_of_kaplan_and_meier(void **state)
{
    /* Endings at 6 (three), 7, 10, 13, 16, 22, 23 and + censored: the trial of 6-mercaptopurine. */
    static const int ages[] = {6,  6,  6,  6,  7,  9,  10, 10, 11, 13, 16,
                               17, 19, 20, 22, 23, 25, 32, 32, 34, 35};
    static const bool censored[] = {0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1};
    static const double alive[] = {1,      0.8571, 0.8067, 0.7529, 0.6902,
                                   0.6275, 0.5378, 0.4482, 0.4482};
    static const double low[] = {1, 0.6197, 0.5631, 0.5032, 0.4316, 0.3675, 0.2678, 0.1881, 0.1881};
    struct world w = world_new(1);
    struct hf_survival_point points[16];
    for (size_t i = 21; i-- > 0;) {
        add(&w, 0, ages[i], -1, censored[i]);
    }
    assert_int_equal(hf_survival_total(w.s), 21);
    assert_int_equal(hf_survival_ended(w.s), 9);
    assert_int_equal(hf_survival_curve(w.s, points, 16), 9);
    for (size_t i = 0; i < 9; i++) {
        assert_true(fabs(points[i].alive - alive[i]) < 1e-4);
        assert_true(fabs(points[i].low - low[i]) < 1e-3);
    }
    assert_int_equal(points[8].age, HF_SECONDS(35));
    assert_int_equal(points[1].at_risk, 21);
    assert_int_equal(hf_survival_quantile(w.s, 0.5), HF_SECONDS(23));
    assert_int_equal(hf_survival_quantile(w.s, 0.1), HF_NEVER);
    assert_true(fabs(hf_survival_hazard(w.s, 0, HF_SECONDS(100)) - 9.0 / 359) < 1e-9);
    hf_survival_free(w.s);
}

static void a_thinned_curve_keeps_its_ends_and_its_steps(void **state)
{
    struct world w = world_new(2);
    struct hf_survival_point points[50];
    size_t count;
    for (int i = 0; i < 5000; i++) {
        add(&w, 0, i < 2500 ? 60 + 0.01 * normal(&w) : -100 * log(1 - even(&w)), -1, i % 7 == 0);
    }
    count = hf_survival_curve(w.s, points, 50);
    assert_true(count > 20 && count <= 50);
    assert_int_equal(points[0].age, 0);
    for (size_t i = 1; i < count; i++) {
        assert_true(points[i].age > points[i - 1].age && points[i].alive <= points[i - 1].alive);
        assert_true(points[i].low <= points[i].alive && points[i].alive <= points[i].high);
    }
    assert_int_equal(hf_survival_curve(w.s, points, 1), 0);
    hf_survival_free(w.s);
}

static void beyond_the_maximum_an_even_draw_is_kept_and_the_counts_stay_exact(void **state)
{
    struct world w = world_new(3);
    for (int i = 0; i < 200000; i++) {
        add(&w, 0, 100 * even(&w), -1, i % 4 == 0);
    }
    assert_int_equal(hf_survival_total(w.s), 200000);
    assert_int_equal(hf_survival_ended(w.s), 150000);
    assert_true(fabs((double)hf_survival_quantile(w.s, 0.5) / 1e6 - 60) < 2);
    hf_survival_free(w.s);
}

static bool near(double a, double b, double part)
{
    return fabs(a - b) <= part * b;
}

static void a_timer_among_noise_is_a_peak_at_its_age(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world w = world_new(seed);
        struct hf_peak peaks[HF_SURVIVAL_PEAKS];
        double timer = 2 + 300 * even(&w);
        for (int i = 0; i < 60; i++) {
            bool noise = i % 3 == 0;
            double age = noise ? -timer * log(1 - even(&w)) : timer * (1 + 0.005 * normal(&w));
            add(&w, 1000 * even(&w), age, (int64_t)(20 * even(&w)), false);
        }
        assert_true(hf_survival_peaks(w.s, peaks, HF_SURVIVAL_PEAKS) >= 1);
        assert_int_equal(peaks[0].kind, HF_PEAK_AGE);
        assert_true(near(peaks[0].at, timer, 0.01));
        assert_true(peaks[0].share > 0.6 && peaks[0].share < 0.85);
        assert_true(peaks[0].strength > 10);
        hf_survival_free(w.s);
    }
}

static void several_timers_are_several_peaks(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        static const double timers[] = {60, 100, 350};
        struct world w = world_new(seed);
        struct hf_peak peaks[HF_SURVIVAL_PEAKS];
        size_t count, found = 0;
        for (int i = 0; i < 600; i++) {
            double age =
                i % 4 == 3 ? -200 * log(1 - even(&w)) : timers[i % 4] * (1 + 0.003 * normal(&w));
            add(&w, 10000 * even(&w), age, -1, false);
        }
        count = hf_survival_peaks(w.s, peaks, HF_SURVIVAL_PEAKS);
        for (size_t i = 0; i < count; i++) {
            for (size_t t = 0; t < 3; t++) {
                found += peaks[i].kind == HF_PEAK_AGE && near(peaks[i].at, timers[t], 0.01);
            }
        }
        assert_int_equal(found, 3);
        assert_int_equal(count, 3);
        hf_survival_free(w.s);
    }
}

static void restarts_are_peaks_of_the_clock_and_have_a_period(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world w = world_new(seed);
        struct hf_peak peaks[HF_SURVIVAL_PEAKS];
        double period = 120 + 600 * even(&w);
        size_t count;
        for (int i = 0; i < 400; i++) { /* each lives to the next restart, some leave before */
            double begun = 4 * period * even(&w);
            double age = (floor(begun / period) + 1) * period - begun;
            double left = -1.5 * period * log(1 - even(&w));
            add(&w, begun, left < age ? left : age + 0.1 * even(&w), -1, false);
        }
        count = hf_survival_peaks(w.s, peaks, HF_SURVIVAL_PEAKS);
        assert_int_equal(count, 4);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(peaks[i].kind, HF_PEAK_CLOCK);
        }
        assert_true(near(hf_survival_period(peaks, count), period, 0.01));
        assert_true(hf_survival_period(peaks, 2) == 0);
        hf_survival_free(w.s);
    }
}

static void those_that_come_back_after_a_restart_do_not_make_it_a_timer(void **state)
{
    struct world w = world_new(7);
    struct hf_peak peaks[HF_SURVIVAL_PEAKS];
    size_t count;
    for (int i = 0; i < 40; i++) {
        double begun = 100 * even(&w);
        add(&w, begun, 300 - begun + 0.05 * even(&w), -1, false);
        for (int again = 1; again < 4; again++) {
            double late = 2 * even(&w);
            add(&w, again * 300 + late, 300 - late + 0.05 * even(&w), -1, false);
        }
    }
    count = hf_survival_peaks(w.s, peaks, HF_SURVIVAL_PEAKS);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(peaks[i].kind, HF_PEAK_CLOCK);
    }
    assert_true(near(hf_survival_period(peaks, count), 300, 0.01));
    hf_survival_free(w.s);
}

static void a_limiter_is_a_peak_of_counts_and_a_steady_beat_is_not(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world limited = world_new(seed), beating = world_new(seed + 100);
        struct hf_peak peaks[HF_SURVIVAL_PEAKS];
        int64_t limit = 5 + (int64_t)(60 * even(&limited));
        for (int i = 0; i < 60; i++) {
            double every = 0.5 + 10 * even(&limited);
            bool left = i % 4 == 0;
            int64_t sent = left ? (int64_t)((double)limit * even(&limited)) : limit;
            add(&limited, 1000 * even(&limited), (double)sent * every + 0.01, sent, false);
            add(&beating, 1000 * even(&beating), 60 + 0.1 * even(&beating), 6, false);
        }
        assert_true(hf_survival_peaks(limited.s, peaks, HF_SURVIVAL_PEAKS) >= 1);
        assert_int_equal(peaks[0].kind, HF_PEAK_UP);
        assert_true(peaks[0].at == (double)limit);
        assert_int_equal(hf_survival_peaks(beating.s, peaks, HF_SURVIVAL_PEAKS), 1);
        assert_int_equal(peaks[0].kind, HF_PEAK_AGE);
        hf_survival_free(limited.s);
        hf_survival_free(beating.s);
    }
}

static void a_timer_that_everybody_began_together_is_no_restart(void **state)
{
    struct world w = world_new(5);
    struct hf_peak peaks[HF_SURVIVAL_PEAKS];
    for (int i = 0; i < 20; i++) {
        add(&w, 0.1 * even(&w), 30 + 0.1 * even(&w), -1, false);
    }
    assert_int_equal(hf_survival_peaks(w.s, peaks, HF_SURVIVAL_PEAKS), 1);
    assert_int_equal(peaks[0].kind, HF_PEAK_AGE);
    assert_true(near(peaks[0].at, 30, 0.01));
    hf_survival_free(w.s);
}

static void flat_endings_have_no_peak(void **state)
{
    unsigned wrong = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct world w = world_new(seed);
        struct hf_peak peaks[HF_SURVIVAL_PEAKS];
        int count = 20 + (int)(400 * even(&w));
        bool whole_seconds = seed % 2 == 0;
        for (int i = 0; i < count; i++) {
            double age = seed % 3 == 0 ? 500 * even(&w) : -120 * log(1 - even(&w));
            double begun = 3600 * even(&w);
            age = whole_seconds ? floor(age) : age;
            add(&w, whole_seconds ? floor(begun) : begun, age, (int64_t)(age / 7), i % 5 == 0);
        }
        wrong += hf_survival_peaks(w.s, peaks, HF_SURVIVAL_PEAKS) > 0;
        hf_survival_free(w.s);
    }
    assert_true(wrong <= 4);
}

static void a_timer_is_found_in_whole_seconds(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world w = world_new(seed);
        struct hf_peak peaks[HF_SURVIVAL_PEAKS];
        for (int i = 0; i < 300; i++) {
            double age = i % 3 == 0 ? 60 + 0.3 * even(&w) : -90 * log(1 - even(&w));
            add(&w, floor(50000 * even(&w)), floor(age), -1, false);
        }
        assert_int_equal(hf_survival_peaks(w.s, peaks, HF_SURVIVAL_PEAKS), 1);
        assert_int_equal(peaks[0].kind, HF_PEAK_AGE);
        assert_true(peaks[0].at == 60);
        hf_survival_free(w.s);
    }
}

static void nothing_gives_nothing(void **state)
{
    struct world w = world_new(9);
    struct hf_peak peaks[4];
    struct hf_survival_point points[4];
    assert_int_equal(hf_survival_curve(w.s, points, 4), 0);
    assert_int_equal(hf_survival_peaks(w.s, peaks, 4), 0);
    assert_int_equal(hf_survival_quantile(w.s, 0.5), HF_NEVER);
    assert_true(hf_survival_hazard(w.s, 0, HF_SECONDS(1)) == 0);
    add(&w, 0, 10, 5, true);
    assert_int_equal(hf_survival_curve(w.s, points, 4), 2);
    assert_true(points[1].alive == 1);
    assert_int_equal(hf_survival_peaks(w.s, peaks, 4), 0);
    hf_survival_free(w.s);
}

static size_t allocations_left;
static void *scarce(void *context, void *ptr, size_t size)
{
    if (size == 0) {
        return hf_heap.resize(hf_heap.context, ptr, 0);
    }
    if (allocations_left == 0) {
        return NULL;
    }
    allocations_left--;
    return hf_heap.resize(hf_heap.context, ptr, size);
}

static void without_memory_it_says_so_and_keeps_what_it_has(void **state)
{
    const struct hf_allocator alloc = {scarce, NULL};
    struct hf_lifetime l = {.age = HF_SECONDS(5)};
    for (size_t limit = 0; limit < 20; limit++) {
        struct hf_survival *s;
        struct hf_peak peaks[4];
        allocations_left = limit;
        s = hf_survival_new(&alloc, 0);
        for (int i = 0; s != NULL && i < 100; i++) {
            if (hf_survival_add(s, &l) != HF_OK) {
                assert_int_equal(hf_survival_total(s), i);
                break;
            }
        }
        if (s != NULL) {
            assert_true(hf_survival_peaks(s, peaks, 4) <= 1);
        }
        hf_survival_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_curve_is_that_of_kaplan_and_meier),
        cmocka_unit_test(a_thinned_curve_keeps_its_ends_and_its_steps),
        cmocka_unit_test(beyond_the_maximum_an_even_draw_is_kept_and_the_counts_stay_exact),
        cmocka_unit_test(a_timer_among_noise_is_a_peak_at_its_age),
        cmocka_unit_test(several_timers_are_several_peaks),
        cmocka_unit_test(restarts_are_peaks_of_the_clock_and_have_a_period),
        cmocka_unit_test(those_that_come_back_after_a_restart_do_not_make_it_a_timer),
        cmocka_unit_test(a_limiter_is_a_peak_of_counts_and_a_steady_beat_is_not),
        cmocka_unit_test(a_timer_that_everybody_began_together_is_no_restart),
        cmocka_unit_test(flat_endings_have_no_peak),
        cmocka_unit_test(a_timer_is_found_in_whole_seconds),
        cmocka_unit_test(nothing_gives_nothing),
        cmocka_unit_test(without_memory_it_says_so_and_keeps_what_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
