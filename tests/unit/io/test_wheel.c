/* SPDX-License-Identifier: Apache-2.0 */
/* The timer wheel against a reference that looks at every timer at every step. */
#include "io/wheel.h"
#include "test_unit.h"

#include <stdlib.h>

#define TIMERS 300

struct alarm {
    struct hf_timer timer;
    bool set; /* as the reference sees it */
    int fired;
    hf_time when;
    void (*deed)(struct alarm *a, hf_time now);
};

static struct {
    struct hf_wheel wheel;
    struct alarm alarms[TIMERS];
    int fired;
    uint64_t random;
} t;

static uint64_t draw(uint64_t below)
{
    t.random ^= t.random << 13;
    t.random ^= t.random >> 7;
    t.random ^= t.random << 17;
    return (t.random >> 11) % below;
}

static void fire(struct hf_timer *timer, hf_time now)
{
    struct alarm *a = HF_CONTAINER(timer, struct alarm, timer);
    assert_true(a->set);
    assert_false(hf_timer_is_set(timer));
    assert_true(a->when <= now);
    a->set = false;
    a->fired++;
    t.fired++;
    if (a->deed != NULL) {
        a->deed(a, now);
    }
}

static void set(struct alarm *a, hf_time when)
{
    a->set = true;
    a->when = when;
    hf_wheel_set(&t.wheel, &a->timer, when);
    assert_true(hf_timer_is_set(&a->timer));
}

static void stop(struct alarm *a)
{
    a->set = false;
    hf_wheel_stop(&t.wheel, &a->timer);
    assert_false(hf_timer_is_set(&a->timer));
}

static int begin(void **state)
{
    memset(&t, 0, sizeof(t));
    t.random = 88172645463325252u;
    for (int i = 0; i < TIMERS; i++) {
        hf_timer_init(&t.alarms[i].timer, fire);
    }
    return 0;
}

/* Nothing that is due by a whole tick is still set; what is set is announced no later than it is
 * due. */
static void check_against_reference(hf_time now)
{
    size_t count = 0;
    hf_time first = HF_NEVER;
    for (int i = 0; i < TIMERS; i++) {
        const struct alarm *a = &t.alarms[i];
        assert_int_equal(a->set, hf_timer_is_set(&a->timer));
        if (a->set) {
            count++;
            first = a->when < first ? a->when : first;
            assert_true(a->when > now - HF_MS(1));
        }
    }
    assert_int_equal(t.wheel.count, count);
    hf_time next = hf_wheel_next(&t.wheel);
    if (count == 0) {
        assert_int_equal(next, HF_NEVER);
    } else {
        /* It may wake early, and a tick is a millisecond. */
        assert_true(next <= first + HF_MS(1));
    }
}

static hf_time some_span(void)
{
    static const hf_time spans[] = {HF_MS(3),        HF_MS(64),         HF_MS(4096),
                                    HF_SECONDS(300), HF_SECONDS(20000), HF_SECONDS(3000000)};
    return (hf_time)draw((uint64_t)spans[draw(6)]) + 1;
}

static void random_timers_fire_as_a_sorted_list_would(void **state)
{
    for (int round = 0; round < 30; round++) {
        begin(state);
        t.random += (uint64_t)round * 977;
        hf_time now = (hf_time)draw(1000000000);
        hf_wheel_init(&t.wheel, now);
        for (int step = 0; step < 2000; step++) {
            struct alarm *a = &t.alarms[draw(TIMERS)];
            switch (draw(4)) {
            case 0:
                stop(a);
                break;
            case 1:
                now += some_span() / (hf_time)(1 + draw(50));
                hf_wheel_advance(&t.wheel, now);
                break;
            default:
                set(a, now + some_span());
                break;
            }
            check_against_reference(now);
        }
        while (t.wheel.count > 0) {
            hf_time next = hf_wheel_next(&t.wheel);
            assert_true(next > now);
            now = next;
            hf_wheel_advance(&t.wheel, now);
            check_against_reference(now);
        }
    }
}

static hf_time order[3];
static int ordered;

static void note(struct alarm *a, hf_time now)
{
    order[ordered++] = a->when;
}

static void timers_of_one_advance_fire_in_the_order_of_their_ticks(void **state)
{
    hf_wheel_init(&t.wheel, 0);
    hf_time whens[] = {HF_SECONDS(500), HF_MS(2), HF_MS(100)};
    ordered = 0;
    for (int i = 0; i < 3; i++) {
        t.alarms[i].deed = note;
        set(&t.alarms[i], whens[i]);
    }
    hf_wheel_advance(&t.wheel, HF_SECONDS(1000));
    assert_int_equal(ordered, 3);
    assert_int_equal(order[0], HF_MS(2));
    assert_int_equal(order[1], HF_MS(100));
    assert_int_equal(order[2], HF_SECONDS(500));
}

static void a_timer_never_fires_before_its_microsecond(void **state)
{
    hf_wheel_init(&t.wheel, 0);
    set(&t.alarms[0], 1500);
    hf_wheel_advance(&t.wheel, 1499);
    assert_int_equal(t.fired, 0);
    hf_wheel_advance(&t.wheel, 1999);
    assert_int_equal(t.fired, 0); /* up to a tick late, so that ticks are whole */
    hf_wheel_advance(&t.wheel, 2000);
    assert_int_equal(t.fired, 1);
}

static void set_again(struct alarm *a, hf_time now)
{
    if (a->fired < 3) {
        set(a, now);
    }
}

static void a_timer_set_for_now_inside_an_advance_waits_for_the_next(void **state)
{
    hf_wheel_init(&t.wheel, 0);
    t.alarms[0].deed = set_again;
    set(&t.alarms[0], HF_MS(1));
    hf_wheel_advance(&t.wheel, HF_MS(10));
    assert_int_equal(t.fired, 1);
    assert_true(hf_wheel_next(&t.wheel) <= HF_MS(10));
    hf_wheel_advance(&t.wheel, HF_MS(10));
    assert_int_equal(t.fired, 2);
    hf_wheel_advance(&t.wheel, HF_MS(10));
    assert_int_equal(t.fired, 3);
    hf_wheel_advance(&t.wheel, HF_MS(10));
    assert_int_equal(t.fired, 3);
}

static void a_time_that_is_past_fires_on_the_next_advance(void **state)
{
    hf_wheel_init(&t.wheel, HF_SECONDS(5));
    set(&t.alarms[0], HF_SECONDS(1));
    set(&t.alarms[1], HF_SECONDS(5));
    assert_int_equal(t.fired, 0);
    assert_true(hf_wheel_next(&t.wheel) <= HF_SECONDS(5));
    hf_wheel_advance(&t.wheel, HF_SECONDS(5));
    assert_int_equal(t.fired, 2);
}

static void stop_the_rest(struct alarm *a, hf_time now)
{
    for (int i = 0; i < 10; i++) {
        if (t.alarms[i].set) {
            stop(&t.alarms[i]);
        }
    }
}

static void a_timer_may_stop_others_that_are_due_with_it(void **state)
{
    hf_wheel_init(&t.wheel, 0);
    for (int i = 0; i < 10; i++) {
        t.alarms[i].deed = stop_the_rest;
        set(&t.alarms[i], HF_MS(7));
    }
    hf_wheel_advance(&t.wheel, HF_MS(7));
    assert_int_equal(t.fired, 1);
    assert_int_equal(t.wheel.count, 0);
    assert_int_equal(hf_wheel_next(&t.wheel), HF_NEVER);
}

static void a_timer_beyond_the_top_level_still_fires_in_its_time(void **state)
{
    hf_wheel_init(&t.wheel, 0);
    hf_time year = HF_SECONDS(365 * 86400);
    set(&t.alarms[0], year);
    set(&t.alarms[1], HF_NEVER - 1);
    hf_wheel_advance(&t.wheel, year - HF_MS(1));
    assert_int_equal(t.fired, 0);
    hf_wheel_advance(&t.wheel, year);
    assert_int_equal(t.fired, 1);
    stop(&t.alarms[1]);
    stop(&t.alarms[1]);
}

static void moving_a_timer_leaves_one(void **state)
{
    hf_wheel_init(&t.wheel, 0);
    set(&t.alarms[0], HF_MS(5));
    set(&t.alarms[0], HF_SECONDS(50));
    hf_wheel_advance(&t.wheel, HF_SECONDS(49));
    assert_int_equal(t.fired, 0);
    set(&t.alarms[0], HF_SECONDS(49) + HF_MS(1));
    hf_wheel_advance(&t.wheel, HF_SECONDS(60));
    assert_int_equal(t.fired, 1);
}

static void a_wheel_whose_timers_were_stopped_wakes_nobody(void **state)
{
    hf_wheel_init(&t.wheel, 0);
    for (int i = 0; i < TIMERS; i++) {
        set(&t.alarms[i], some_span());
    }
    for (int i = 0; i < TIMERS; i++) {
        stop(&t.alarms[i]);
    }
    assert_int_equal(hf_wheel_next(&t.wheel), HF_NEVER);
}

static void a_clock_that_steps_back_fires_nothing(void **state)
{
    hf_wheel_init(&t.wheel, HF_SECONDS(10));
    set(&t.alarms[0], HF_SECONDS(11));
    hf_wheel_advance(&t.wheel, HF_SECONDS(2));
    assert_int_equal(t.fired, 0);
    hf_wheel_advance(&t.wheel, HF_SECONDS(11));
    assert_int_equal(t.fired, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(random_timers_fire_as_a_sorted_list_would, begin),
        cmocka_unit_test_setup(timers_of_one_advance_fire_in_the_order_of_their_ticks, begin),
        cmocka_unit_test_setup(a_timer_never_fires_before_its_microsecond, begin),
        cmocka_unit_test_setup(a_timer_set_for_now_inside_an_advance_waits_for_the_next, begin),
        cmocka_unit_test_setup(a_time_that_is_past_fires_on_the_next_advance, begin),
        cmocka_unit_test_setup(a_timer_may_stop_others_that_are_due_with_it, begin),
        cmocka_unit_test_setup(a_timer_beyond_the_top_level_still_fires_in_its_time, begin),
        cmocka_unit_test_setup(moving_a_timer_leaves_one, begin),
        cmocka_unit_test_setup(a_wheel_whose_timers_were_stopped_wakes_nobody, begin),
        cmocka_unit_test_setup(a_clock_that_steps_back_fires_nothing, begin),
    };
    return cmocka_run_group_tests_name("wheel", tests, NULL, NULL);
}
