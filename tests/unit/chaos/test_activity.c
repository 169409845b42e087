/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks and counters of toxics. */
#include "test_unit.h"

#include "chaos/activity.h"

#define S HF_SECONDS(1)

/* ---- idle timers ------------------------------------------------------------------------------
 */

static void what_does_not_count_does_not_set_an_idle_timer_back(void **state)
{
    struct hf_idle idle;
    hf_idle_start(&idle, 0);
    hf_idle_note(&idle, HF_COUNTS_MESSAGES, HF_WAY_UP, HF_COUNTS_BYTES | HF_COUNTS_PINGS, 5 * S);
    assert_int_equal(hf_idle_deadline(&idle, HF_DIRECTION_BOTH, 10 * S), 10 * S);
    hf_idle_note(&idle, HF_COUNTS_MESSAGES, HF_WAY_UP,
                 HF_COUNTS_BYTES | HF_COUNTS_DATA | HF_COUNTS_MESSAGES, 6 * S);
    assert_int_equal(hf_idle_deadline(&idle, HF_DIRECTION_BOTH, 10 * S), 16 * S);
}

static void each_direction_can_have_its_own_idle_timer(void **state)
{
    struct hf_idle idle;
    hf_idle_start(&idle, 0);
    hf_idle_note(&idle, HF_COUNTS_BYTES, HF_WAY_UP, HF_COUNTS_BYTES, 8 * S);
    hf_idle_note(&idle, HF_COUNTS_BYTES, HF_WAY_DOWN, HF_COUNTS_BYTES, 3 * S);
    assert_int_equal(hf_idle_deadline(&idle, HF_DIRECTION_BOTH, 10 * S), 18 * S);
    assert_int_equal(hf_idle_deadline(&idle, HF_DIRECTION_UP, 10 * S), 18 * S);
    assert_int_equal(hf_idle_deadline(&idle, HF_DIRECTION_DOWN, 10 * S), 13 * S);
    assert_int_equal(hf_idle_deadline(&idle, HF_DIRECTION_EACH, 10 * S), 13 * S);
    assert_int_equal(hf_idle_deadline(&idle, HF_DIRECTION_BOTH, 0), HF_NEVER);
}

static void jitter_goes_both_ways_and_never_below_nothing(void **state)
{
    assert_int_equal(hf_chaos_jitter(10 * S, 4 * S, 1), 14 * S);
    assert_int_equal(hf_chaos_jitter(10 * S, 4 * S, -0.5), 8 * S);
    assert_int_equal(hf_chaos_jitter(1 * S, 4 * S, -1), 0);
}

/* ---- message counters -------------------------------------------------------------------------
 */

static void a_fixed_window_begins_with_the_first_message(void **state)
{
    struct hf_quota q;
    const struct hf_quota_rules rules = {2, 10 * S, HF_WINDOW_FIXED};
    hf_quota_init(&q, &hf_heap);
    assert_int_equal(hf_quota_take(&q, &rules, 7 * S), 0);
    assert_int_equal(hf_quota_take(&q, &rules, 16 * S), 0);
    assert_int_equal(hf_quota_take(&q, &rules, 16 * S), 1 * S);
    assert_int_equal(hf_quota_take(&q, &rules, 17 * S), 0); /* the window from 17 to 27 */
    assert_int_equal(hf_quota_take(&q, &rules, 26 * S), 0);
    assert_int_equal(hf_quota_take(&q, &rules, 26 * S), 1 * S);
    assert_int_equal(hf_quota_take(&q, &rules, 48 * S), 0); /* two windows later */
    assert_int_equal(hf_quota_take(&q, &rules, 48 * S), 0);
    assert_int_equal(hf_quota_take(&q, &rules, 48 * S), 9 * S);
    hf_quota_fini(&q);
}

static void a_sliding_window_forgets_each_message_by_itself(void **state)
{
    struct hf_quota q;
    const struct hf_quota_rules rules = {2, 10 * S, HF_WINDOW_SLIDING};
    hf_quota_init(&q, &hf_heap);
    assert_int_equal(hf_quota_take(&q, &rules, 0), 0);
    assert_int_equal(hf_quota_take(&q, &rules, 9 * S), 0);
    assert_int_equal(hf_quota_take(&q, &rules, 9 * S), 1 * S);
    assert_int_equal(hf_quota_take(&q, &rules, 10 * S), 0);
    assert_int_equal(hf_quota_take(&q, &rules, 10 * S), 9 * S);
    hf_quota_fini(&q);
}

static void a_bucket_refills_evenly(void **state)
{
    struct hf_quota q;
    const struct hf_quota_rules rules = {2, 10 * S, HF_WINDOW_BUCKET};
    hf_quota_init(&q, &hf_heap);
    assert_int_equal(hf_quota_take(&q, &rules, 100 * S), 0);
    assert_int_equal(hf_quota_take(&q, &rules, 100 * S), 0);
    assert_int_equal(hf_quota_take(&q, &rules, 100 * S), 5 * S);
    assert_int_equal(hf_quota_take(&q, &rules, 105 * S), 0);
    hf_quota_fini(&q);
}

static void a_quota_of_the_whole_life_never_comes_back(void **state)
{
    struct hf_quota q;
    for (enum hf_window kind = HF_WINDOW_FIXED; kind <= HF_WINDOW_BUCKET; kind++) {
        const struct hf_quota_rules rules = {1, 0, kind};
        hf_quota_init(&q, &hf_heap);
        assert_int_equal(hf_quota_take(&q, &rules, 0), 0);
        assert_int_equal(hf_quota_take(&q, &rules, 1000000 * S), HF_NEVER);
        assert_int_equal(q.total, 2);
        hf_quota_fini(&q);
    }
}

static void a_limit_of_nothing_limits_nothing(void **state)
{
    struct hf_quota q;
    const struct hf_quota_rules rules = {0, 10 * S, HF_WINDOW_SLIDING};
    hf_quota_init(&q, &hf_heap);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(hf_quota_take(&q, &rules, 0), 0);
    }
    hf_quota_fini(&q);
}

/* ---- a server's watchdog ----------------------------------------------------------------------
 */

static void an_unanswered_ping_is_lost_after_interval_and_timeout(void **state)
{
    struct hf_watch w;
    const struct hf_watch_rules rules = {20 * S, 30 * S, HF_WATCH_MATCHING, HF_SUPPRESS_NOTHING};
    hf_watch_start(&w, 20 * S);
    assert_int_equal(hf_watch_deadline(&w), 20 * S);
    assert_int_equal(hf_watch_tick(&w, &rules, 19 * S), HF_WATCH_WAIT);
    assert_int_equal(hf_watch_tick(&w, &rules, 20 * S), HF_WATCH_SEND);
    assert_int_equal(hf_watch_tick(&w, &rules, 20 * S), HF_WATCH_WAIT);
    assert_int_equal(hf_watch_tick(&w, &rules, 40 * S), HF_WATCH_SEND); /* a second one, in vain */
    assert_int_equal(hf_watch_deadline(&w), 50 * S);
    assert_int_equal(hf_watch_tick(&w, &rules, 50 * S), HF_WATCH_LOST);
}

static void only_what_counts_as_an_answer_is_one(void **state)
{
    static const struct {
        enum hf_watch_answer wanted;
        enum hf_watch_heard heard;
        bool answers;
    } rows[] = {
        {HF_WATCH_MATCHING, HF_HEARD_PONG, false},
        {HF_WATCH_MATCHING, HF_HEARD_MESSAGE, false},
        {HF_WATCH_MATCHING, HF_HEARD_MATCHING_PONG, true},
        {HF_WATCH_PONG, HF_HEARD_PONG, true},
        {HF_WATCH_PONG, HF_HEARD_MATCHING_PONG, true},
        {HF_WATCH_PONG, HF_HEARD_MESSAGE, false},
        {HF_WATCH_MESSAGE, HF_HEARD_MESSAGE, true},
        {HF_WATCH_MESSAGE, HF_HEARD_MATCHING_PONG, false},
        {HF_WATCH_ANY, HF_HEARD_BYTES, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_watch w;
        const struct hf_watch_rules rules = {20 * S, 15 * S, rows[i].wanted, HF_SUPPRESS_NOTHING};
        hf_watch_start(&w, 20 * S);
        assert_int_equal(hf_watch_tick(&w, &rules, 20 * S), HF_WATCH_SEND);
        hf_watch_hear(&w, &rules, rows[i].heard, 21 * S);
        assert_int_equal(hf_watch_tick(&w, &rules, 36 * S),
                         rows[i].answers ? HF_WATCH_WAIT : HF_WATCH_LOST);
    }
}

static void what_suppresses_pings_postpones_the_next_one(void **state)
{
    struct hf_watch w;
    const struct hf_watch_rules rules = {20 * S, 30 * S, HF_WATCH_MATCHING, HF_SUPPRESS_MESSAGES};
    hf_watch_start(&w, 20 * S);
    hf_watch_hear(&w, &rules, HF_HEARD_BYTES, 10 * S); /* no message */
    assert_int_equal(hf_watch_deadline(&w), 20 * S);
    hf_watch_hear(&w, &rules, HF_HEARD_MESSAGE, 15 * S);
    assert_int_equal(hf_watch_tick(&w, &rules, 34 * S), HF_WATCH_WAIT);
    assert_int_equal(hf_watch_tick(&w, &rules, 35 * S), HF_WATCH_SEND);
    hf_watch_hear(&w, &rules, HF_HEARD_MESSAGE, 40 * S); /* it is an answer too */
    assert_int_equal(hf_watch_deadline(&w), 60 * S);
    assert_int_equal(w.lost_at, HF_NEVER);
}

static void a_late_watchdog_sends_one_ping_and_not_all_it_missed(void **state)
{
    struct hf_watch w;
    const struct hf_watch_rules rules = {1 * S, 100 * S, HF_WATCH_PONG, HF_SUPPRESS_NOTHING};
    hf_watch_start(&w, 1 * S);
    assert_int_equal(hf_watch_tick(&w, &rules, 10 * S), HF_WATCH_SEND);
    assert_int_equal(hf_watch_tick(&w, &rules, 10 * S), HF_WATCH_WAIT);
    assert_int_equal(w.next_ping, 11 * S);
}

/* ---- the box's clock --------------------------------------------------------------------------
 */

static void instants_come_at_every_period_after_the_offset(void **state)
{
    const struct hf_beat b = {.epoch = 100 * S, .offset = 5 * S, .period = 60 * S};
    assert_int_equal(hf_beat_next(&b, 0), 105 * S);
    assert_int_equal(hf_beat_next(&b, 105 * S), 165 * S);
    assert_int_equal(hf_beat_next(&b, 164 * S), 165 * S);
    assert_int_equal(hf_beat_last(&b, 104 * S), HF_NEVER);
    assert_int_equal(hf_beat_last(&b, 105 * S), 105 * S);
    assert_int_equal(hf_beat_last(&b, 400 * S), 345 * S);
    const struct hf_beat whole = {.epoch = 0, .period = 60 * S};
    assert_int_equal(hf_beat_next(&whole, 0), 60 * S);
}

static void jittered_instants_are_the_same_whoever_asks_and_when(void **state)
{
    const struct hf_beat b = {.epoch = 7 * S, .period = 10 * S, .jitter = 25 * S, .seed = 3};
    hf_time at = hf_beat_next(&b, 0);
    for (int i = 0; i < 100; i++) {
        hf_time next = hf_beat_next(&b, at);
        assert_true(next > at && next - at <= 60 * S);
        assert_int_equal(hf_beat_next(&b, next - 1), next);
        at = next;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_count_does_not_set_an_idle_timer_back),
        cmocka_unit_test(each_direction_can_have_its_own_idle_timer),
        cmocka_unit_test(jitter_goes_both_ways_and_never_below_nothing),
        cmocka_unit_test(a_fixed_window_begins_with_the_first_message),
        cmocka_unit_test(a_sliding_window_forgets_each_message_by_itself),
        cmocka_unit_test(a_bucket_refills_evenly),
        cmocka_unit_test(a_quota_of_the_whole_life_never_comes_back),
        cmocka_unit_test(a_limit_of_nothing_limits_nothing),
        cmocka_unit_test(an_unanswered_ping_is_lost_after_interval_and_timeout),
        cmocka_unit_test(only_what_counts_as_an_answer_is_one),
        cmocka_unit_test(what_suppresses_pings_postpones_the_next_one),
        cmocka_unit_test(a_late_watchdog_sends_one_ping_and_not_all_it_missed),
        cmocka_unit_test(instants_come_at_every_period_after_the_offset),
        cmocka_unit_test(jittered_instants_are_the_same_whoever_asks_and_when),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
