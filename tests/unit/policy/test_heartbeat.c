/* SPDX-License-Identifier: Apache-2.0 */
/* The heartbeat: when it pings, and when alone it may give a peer up. */
#include "policy/heartbeat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the four above. */
#include <cmocka.h>

static const struct hf_heartbeat_rules usual = {HF_SECONDS(25), HF_SECONDS(10), 0};
static const struct hf_heartbeat_rules patient = {HF_SECONDS(25), HF_SECONDS(60), 0};
static const hf_time start = HF_SECONDS(1000);

#define DAYS(n) HF_SECONDS((hf_time)(n)*24 * 60 * 60)
#define WRAP HF_MS(1LL << 32)

static struct hf_heartbeat begin(const struct hf_heartbeat_rules *rules, hf_time now)
{
    struct hf_heartbeat hb;
    hf_heartbeat_init(&hb, rules, NULL, now);
    return hb;
}

static enum hf_heartbeat_verdict tick(struct hf_heartbeat *hb,
                                      const struct hf_heartbeat_rules *rules, hf_time now)
{
    return hf_heartbeat_tick(hb, rules, NULL, now);
}

/* A heartbeat whose first ping left at start + 25 s. */
static struct hf_heartbeat begin_waiting(const struct hf_heartbeat_rules *rules, hf_time from)
{
    struct hf_heartbeat hb = begin(rules, from);
    assert_int_equal(tick(&hb, rules, from + HF_SECONDS(25)), HF_HEARTBEAT_PING);
    hf_heartbeat_pinged(&hb, from + HF_SECONDS(25));
    return hb;
}

static void one_leg_costs_at_most_20_bytes(void **state)
{
    assert_true(sizeof(struct hf_heartbeat) <= 20);
}

static void a_quiet_leg_is_pinged_after_the_interval_and_lost_after_the_timeout(void **state)
{
    struct hf_heartbeat hb = begin(&usual, start);
    assert_int_equal(hf_heartbeat_deadline(&hb, &usual, start), start + HF_SECONDS(25));
    assert_int_equal(tick(&hb, &usual, start + HF_SECONDS(25) - 1), HF_HEARTBEAT_WAIT);
    assert_int_equal(tick(&hb, &usual, start + HF_SECONDS(25)), HF_HEARTBEAT_PING);
    hf_time pinged = start + HF_SECONDS(25);
    hf_heartbeat_pinged(&hb, pinged);
    assert_int_equal(hf_heartbeat_deadline(&hb, &usual, pinged), pinged + HF_SECONDS(10));
    assert_int_equal(tick(&hb, &usual, pinged + HF_SECONDS(10) - 1), HF_HEARTBEAT_WAIT);
    assert_int_equal(tick(&hb, &usual, pinged + HF_SECONDS(10)), HF_HEARTBEAT_LOST);
    assert_int_equal(tick(&hb, &usual, pinged + HF_SECONDS(99)), HF_HEARTBEAT_LOST);
}

static void a_part_of_a_millisecond_is_not_taken_from_the_peer(void **state)
{
    struct hf_heartbeat hb = begin(&usual, start);
    hf_time pinged = start + HF_SECONDS(25) + 999;
    assert_int_equal(tick(&hb, &usual, pinged), HF_HEARTBEAT_PING);
    hf_heartbeat_pinged(&hb, pinged);
    assert_int_equal(tick(&hb, &usual, pinged + HF_SECONDS(10) - 1), HF_HEARTBEAT_WAIT);
    hf_time deadline = hf_heartbeat_deadline(&hb, &usual, pinged);
    assert_true(deadline >= pinged + HF_SECONDS(10) && deadline < pinged + HF_SECONDS(10) + 1000);
    assert_int_equal(tick(&hb, &usual, deadline), HF_HEARTBEAT_LOST);
}

static void a_ping_is_due_when_nothing_was_sent_though_much_was_heard(void **state)
{
    struct hf_heartbeat hb = begin(&usual, start);
    hf_heartbeat_heard(&hb, start + HF_SECONDS(24));
    assert_int_equal(tick(&hb, &usual, start + HF_SECONDS(25)), HF_HEARTBEAT_PING);
}

static void a_ping_is_due_when_nothing_was_heard_though_much_was_sent(void **state)
{
    struct hf_heartbeat hb = begin(&usual, start);
    hf_heartbeat_sent(&hb, start + HF_SECONDS(24));
    assert_int_equal(tick(&hb, &usual, start + HF_SECONDS(25)), HF_HEARTBEAT_PING);
}

static void traffic_both_ways_puts_the_ping_off(void **state)
{
    struct hf_heartbeat hb = begin(&usual, start);
    hf_heartbeat_heard(&hb, start + HF_SECONDS(20));
    hf_heartbeat_sent(&hb, start + HF_SECONDS(22));
    assert_int_equal(tick(&hb, &usual, start + HF_SECONDS(44)), HF_HEARTBEAT_WAIT);
    assert_int_equal(hf_heartbeat_deadline(&hb, &usual, start + HF_SECONDS(44)),
                     start + HF_SECONDS(45));
}

static void any_byte_heard_clears_the_wait(void **state)
{
    struct hf_heartbeat hb = begin_waiting(&usual, start);
    hf_heartbeat_heard(&hb, start + HF_SECONDS(34));
    assert_int_equal(tick(&hb, &usual, start + HF_SECONDS(36)), HF_HEARTBEAT_WAIT);
    assert_int_equal(hf_heartbeat_deadline(&hb, &usual, start + HF_SECONDS(36)),
                     start + HF_SECONDS(50));
}

static void a_timeout_longer_than_the_interval_sends_no_second_ping(void **state)
{
    struct hf_heartbeat hb = begin_waiting(&patient, start);
    for (int s = 26; s < 85; s++) {
        assert_int_equal(tick(&hb, &patient, start + HF_SECONDS(s)), HF_HEARTBEAT_WAIT);
    }
    assert_int_equal(tick(&hb, &patient, start + HF_SECONDS(85)), HF_HEARTBEAT_LOST);
}

static void a_late_tick_pings_once_and_leaves_the_peer_its_full_time(void **state)
{
    struct hf_heartbeat hb = begin(&usual, start);
    hf_time woke = start + HF_SECONDS(8 * 3600);
    assert_int_equal(tick(&hb, &usual, woke), HF_HEARTBEAT_PING);
    hf_heartbeat_pinged(&hb, woke);
    assert_int_equal(tick(&hb, &usual, woke), HF_HEARTBEAT_WAIT);
    assert_int_equal(hf_heartbeat_deadline(&hb, &usual, woke), woke + HF_SECONDS(10));
    assert_int_equal(tick(&hb, &usual, woke + HF_SECONDS(10) - 1), HF_HEARTBEAT_WAIT);
    assert_int_equal(tick(&hb, &usual, woke + HF_SECONDS(10)), HF_HEARTBEAT_LOST);
}

static void a_sleep_while_a_ping_is_out_is_forgiven_once(void **state)
{
    struct hf_heartbeat hb = begin_waiting(&usual, start);
    hf_time woke = start + HF_SECONDS(35) + HF_MS(HF_HEARTBEAT_LATE_MS + 1);
    assert_int_equal(tick(&hb, &usual, woke), HF_HEARTBEAT_PING);
    hf_heartbeat_pinged(&hb, woke);
    assert_int_equal(tick(&hb, &usual, woke + HF_SECONDS(10) - 1), HF_HEARTBEAT_WAIT);
    /* The second late tick in the same wait is not forgiven: a loop that is always late gives up.
     */
    assert_int_equal(tick(&hb, &usual, woke + HF_SECONDS(15)), HF_HEARTBEAT_LOST);
}

static void an_answer_after_the_sleep_earns_the_next_sleep_its_pardon(void **state)
{
    struct hf_heartbeat hb = begin_waiting(&usual, start);
    hf_time now = start;
    for (int night = 0; night < 3; night++) {
        now += HF_SECONDS(8 * 3600);
        assert_int_equal(tick(&hb, &usual, now), HF_HEARTBEAT_PING);
        hf_heartbeat_pinged(&hb, now);
        hf_heartbeat_heard(&hb, now + HF_SECONDS(1));
        now += HF_SECONDS(26);
        assert_int_equal(tick(&hb, &usual, now), HF_HEARTBEAT_PING);
        hf_heartbeat_pinged(&hb, now);
    }
}

static void a_tick_a_little_late_is_still_a_verdict(void **state)
{
    struct hf_heartbeat hb = begin_waiting(&usual, start);
    assert_int_equal(tick(&hb, &usual, start + HF_SECONDS(35) + HF_MS(HF_HEARTBEAT_LATE_MS)),
                     HF_HEARTBEAT_LOST);
}

static void a_leg_that_is_not_read_is_never_lost(void **state)
{
    struct hf_heartbeat hb = begin_waiting(&usual, start);
    hf_time now = start + HF_SECONDS(25);
    hf_heartbeat_reading(&hb, false, now);
    int pings = 0;
    for (int s = 0; s < 3600; s++) {
        now += HF_SECONDS(1);
        enum hf_heartbeat_verdict verdict = tick(&hb, &usual, now);
        assert_int_not_equal(verdict, HF_HEARTBEAT_LOST);
        if (verdict == HF_HEARTBEAT_PING) {
            hf_heartbeat_pinged(&hb, now);
            pings++;
        }
    }
    assert_int_equal(pings, 3600 / 25); /* the path stays open all the same */
}

static void an_unread_leg_that_sends_is_not_pinged(void **state)
{
    struct hf_heartbeat hb = begin(&usual, start);
    hf_heartbeat_reading(&hb, false, start);
    for (int s = 0; s < 200; s++) {
        hf_heartbeat_sent(&hb, start + HF_SECONDS(s));
        assert_int_equal(tick(&hb, &usual, start + HF_SECONDS(s)), HF_HEARTBEAT_WAIT);
    }
}

static void reading_again_gives_the_full_timeout(void **state)
{
    struct hf_heartbeat hb = begin_waiting(&usual, start);
    hf_heartbeat_reading(&hb, false, start + HF_SECONDS(26));
    hf_time again = start + HF_SECONDS(300);
    hf_heartbeat_reading(&hb, true, again);
    assert_int_equal(hf_heartbeat_deadline(&hb, &usual, again), again + HF_SECONDS(10));
    assert_int_equal(tick(&hb, &usual, again), HF_HEARTBEAT_WAIT);
    assert_int_equal(tick(&hb, &usual, again + HF_SECONDS(10) - 1), HF_HEARTBEAT_WAIT);
    assert_int_equal(tick(&hb, &usual, again + HF_SECONDS(10)), HF_HEARTBEAT_LOST);
}

static void saying_reading_twice_gives_no_more_time(void **state)
{
    struct hf_heartbeat hb = begin_waiting(&usual, start);
    hf_heartbeat_reading(&hb, true, start + HF_SECONDS(34));
    assert_int_equal(tick(&hb, &usual, start + HF_SECONDS(35)), HF_HEARTBEAT_LOST);
}

static void a_ping_that_cannot_leave_stays_due_without_spinning_or_losing(void **state)
{
    struct hf_heartbeat hb = begin(&usual, start);
    hf_time now = start + HF_SECONDS(25);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(tick(&hb, &usual, now), HF_HEARTBEAT_PING);
        hf_time deadline = hf_heartbeat_deadline(&hb, &usual, now);
        assert_int_equal(deadline, now + HF_MS(HF_HEARTBEAT_RETRY_MS));
        hf_heartbeat_sent(&hb, now); /* the long frame */
        now = deadline;
    }
    hf_heartbeat_pinged(&hb, now);
    assert_int_equal(tick(&hb, &usual, now + HF_SECONDS(10) - 1), HF_HEARTBEAT_WAIT);
    assert_int_equal(tick(&hb, &usual, now + HF_SECONDS(10)), HF_HEARTBEAT_LOST);
}

static void a_peer_said_to_be_alive_gets_its_timeout_again(void **state)
{
    struct hf_heartbeat hb = begin_waiting(&usual, start);
    hf_time now = start + HF_SECONDS(35);
    assert_int_equal(tick(&hb, &usual, now), HF_HEARTBEAT_LOST);
    hf_heartbeat_alive(&hb, now);
    assert_int_equal(tick(&hb, &usual, now), HF_HEARTBEAT_WAIT);
    assert_int_equal(tick(&hb, &usual, now + HF_SECONDS(10)), HF_HEARTBEAT_LOST);
}

static void the_wrap_after_49_days_changes_nothing(void **state)
{
    /* Each step of the story once falls on the wrap of the 32-bit millisecond. */
    for (int before = 0; before < 40; before++) {
        hf_time from = WRAP - HF_SECONDS(before);
        struct hf_heartbeat hb = begin(&usual, from);
        for (int s = 0; s < 25; s++) {
            assert_int_equal(tick(&hb, &usual, from + HF_SECONDS(s)), HF_HEARTBEAT_WAIT);
            assert_int_equal(hf_heartbeat_deadline(&hb, &usual, from + HF_SECONDS(s)),
                             from + HF_SECONDS(25));
        }
        assert_int_equal(tick(&hb, &usual, from + HF_SECONDS(25)), HF_HEARTBEAT_PING);
        hf_heartbeat_pinged(&hb, from + HF_SECONDS(25));
        for (int s = 25; s < 35; s++) {
            assert_int_equal(tick(&hb, &usual, from + HF_SECONDS(s)), HF_HEARTBEAT_WAIT);
            assert_int_equal(hf_heartbeat_deadline(&hb, &usual, from + HF_SECONDS(s)),
                             from + HF_SECONDS(35));
        }
        assert_int_equal(tick(&hb, &usual, from + HF_SECONDS(35)), HF_HEARTBEAT_LOST);
    }
}

static void a_tick_that_comes_weeks_late_delays_by_one_interval_at_most(void **state)
{
    for (int days = 1; days < 120; days++) {
        struct hf_heartbeat hb = begin(&usual, start);
        hf_time woke = start + DAYS(days);
        enum hf_heartbeat_verdict verdict = tick(&hb, &usual, woke);
        assert_int_not_equal(verdict, HF_HEARTBEAT_LOST);
        if (verdict == HF_HEARTBEAT_WAIT) {
            assert_int_equal(tick(&hb, &usual, woke + HF_SECONDS(25)), HF_HEARTBEAT_PING);
        }
    }
}

static void a_clock_set_back_neither_loses_the_peer_nor_silences_the_heartbeat(void **state)
{
    struct hf_heartbeat hb = begin_waiting(&usual, start);
    hf_time back = start - HF_SECONDS(900);
    assert_int_equal(tick(&hb, &usual, back), HF_HEARTBEAT_WAIT);
    assert_int_equal(tick(&hb, &usual, back + HF_SECONDS(10) - 1), HF_HEARTBEAT_WAIT);
    hf_heartbeat_heard(&hb, back + HF_SECONDS(10));
    assert_int_equal(tick(&hb, &usual, back + HF_SECONDS(35)), HF_HEARTBEAT_PING);
}

static void a_clock_a_moment_behind_the_last_byte_is_no_silence(void **state)
{
    struct hf_heartbeat hb = begin(&usual, start);
    hf_heartbeat_heard(&hb, start + HF_MS(5));
    hf_heartbeat_sent(&hb, start + HF_MS(5));
    assert_int_equal(tick(&hb, &usual, start), HF_HEARTBEAT_WAIT);
    hf_heartbeat_pinged(&hb, start + HF_MS(5));
    assert_int_equal(tick(&hb, &usual, start), HF_HEARTBEAT_WAIT);
}

static void without_interval_there_is_no_heartbeat(void **state)
{
    struct hf_heartbeat_rules none = {0, HF_SECONDS(10), 0};
    struct hf_heartbeat hb = begin(&none, start);
    assert_int_equal(hf_heartbeat_deadline(&hb, &none, start), HF_NEVER);
    assert_int_equal(tick(&hb, &none, start + DAYS(3)), HF_HEARTBEAT_WAIT);
    /* Rules that change under a waiting leg stop it too. */
    hb = begin_waiting(&usual, start);
    assert_int_equal(tick(&hb, &none, start + HF_SECONDS(100)), HF_HEARTBEAT_WAIT);
}

static void without_timeout_it_pings_each_interval_and_judges_nobody(void **state)
{
    struct hf_heartbeat_rules rules = {HF_SECONDS(25), 0, 0};
    struct hf_heartbeat hb = begin(&rules, start);
    hf_time now = start;
    for (int i = 0; i < 20; i++) {
        hf_time deadline = hf_heartbeat_deadline(&hb, &rules, now);
        assert_int_equal(deadline, now + HF_SECONDS(25));
        now = deadline;
        assert_int_equal(tick(&hb, &rules, now), HF_HEARTBEAT_PING);
        hf_heartbeat_pinged(&hb, now);
    }
}

static void jitter_shortens_each_round_by_its_own_share(void **state)
{
    struct hf_heartbeat_rules rules = {HF_SECONDS(25), HF_SECONDS(10), 20};
    struct hf_random random;
    hf_random_init(&random, 7);
    struct hf_heartbeat hb;
    hf_heartbeat_init(&hb, &rules, &random, start);
    hf_time now = start;
    hf_time shortest = HF_NEVER;
    hf_time longest = 0;
    for (int i = 0; i < 2000; i++) {
        hf_time deadline = hf_heartbeat_deadline(&hb, &rules, now);
        hf_time wait = deadline - now;
        shortest = wait < shortest ? wait : shortest;
        longest = wait > longest ? wait : longest;
        assert_int_equal(hf_heartbeat_tick(&hb, &rules, &random, deadline - 1), HF_HEARTBEAT_WAIT);
        assert_int_equal(hf_heartbeat_tick(&hb, &rules, &random, deadline), HF_HEARTBEAT_PING);
        now = deadline;
        hf_heartbeat_pinged(&hb, now);
        hf_heartbeat_heard(&hb, now);
    }
    assert_true(shortest >= HF_SECONDS(20) && shortest < HF_MS(20200));
    assert_true(longest <= HF_SECONDS(25) && longest > HF_MS(24800));
}

static void the_round_trip_is_remembered_and_bounded(void **state)
{
    struct hf_heartbeat hb = begin(&usual, start);
    assert_true(hb.rtt_us == UINT32_MAX);
    hf_heartbeat_ponged(&hb, 1234);
    assert_int_equal(hb.rtt_us, 1234);
    hf_heartbeat_ponged(&hb, DAYS(1));
    assert_true(hb.rtt_us == UINT32_MAX - 1);
    hf_heartbeat_ponged(&hb, -5);
    assert_int_equal(hb.rtt_us, 0);
}

/* A model that forgets nothing and never wraps. */
struct model {
    hf_time trial_since; /* the peer's time runs from here; HF_NEVER while it does not */
    bool waiting;
    bool reading;
    bool owed;
};

static void model_trial(struct model *m, hf_time now)
{
    m->trial_since = m->waiting && m->reading ? now : HF_NEVER;
}

static void random_step(struct hf_heartbeat *hb, struct model *m, hf_time now, uint64_t what)
{
    switch (what) {
    case 0:
    case 1:
        if (m->reading) {
            hf_heartbeat_heard(hb, now);
            m->waiting = false;
            model_trial(m, now);
        }
        break;
    case 2:
    case 3:
        hf_heartbeat_sent(hb, now);
        break;
    case 4:
        if (m->reading == (now % 3 == 0)) {
            m->reading = !m->reading;
            hf_heartbeat_reading(hb, m->reading, now);
            model_trial(m, now);
        }
        break;
    case 5:
    case 6:
    case 7:
        if (m->owed) {
            hf_heartbeat_pinged(hb, now);
            m->owed = false;
            m->waiting = true;
            model_trial(m, now);
        }
        break;
    default:
        break;
    }
}

static void over_random_histories_lost_comes_only_after_a_full_timeout_of_reading(void **state)
{
    struct hf_random random;
    int lost = 0;
    int pings = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        hf_random_init(&random, seed);
        struct hf_heartbeat_rules rules = {1 + (hf_time)hf_random_below(&random, HF_SECONDS(30)),
                                           1 + (hf_time)hf_random_below(&random, HF_SECONDS(40)),
                                           (uint32_t)hf_random_below(&random, 51)};
        hf_time now = WRAP * (hf_time)(1 + seed % 3) - HF_SECONDS(60);
        struct hf_heartbeat hb;
        struct model m = {HF_NEVER, false, true, false};
        hf_heartbeat_init(&hb, &rules, &random, now);
        for (int i = 0; i < 300; i++) {
            random_step(&hb, &m, now, hf_random_below(&random, 12));
            hf_time deadline = hf_heartbeat_deadline(&hb, &rules, now);
            assert_true(deadline >= now);
            enum hf_heartbeat_verdict verdict = hf_heartbeat_tick(&hb, &rules, &random, now);
            if (deadline > now) {
                /* Before its deadline it only repeats a ping that it is owed. */
                assert_int_equal(verdict, m.owed ? HF_HEARTBEAT_PING : HF_HEARTBEAT_WAIT);
            }
            if (verdict == HF_HEARTBEAT_LOST) {
                assert_false(m.owed);
                assert_true(m.trial_since != HF_NEVER && now - m.trial_since >= rules.timeout);
                lost++;
                break;
            }
            if (verdict == HF_HEARTBEAT_PING) {
                pings += !m.owed;
                m.owed = true;
            }
            hf_time jump = hf_random_below(&random, 20) == 0 ? HF_SECONDS(100) : HF_SECONDS(4);
            now += (hf_time)hf_random_below(&random, (uint64_t)jump);
        }
    }
    assert_true(lost > 20 && pings > 1000); /* the histories reach both */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_leg_costs_at_most_20_bytes),
        cmocka_unit_test(a_quiet_leg_is_pinged_after_the_interval_and_lost_after_the_timeout),
        cmocka_unit_test(a_part_of_a_millisecond_is_not_taken_from_the_peer),
        cmocka_unit_test(a_ping_is_due_when_nothing_was_sent_though_much_was_heard),
        cmocka_unit_test(a_ping_is_due_when_nothing_was_heard_though_much_was_sent),
        cmocka_unit_test(traffic_both_ways_puts_the_ping_off),
        cmocka_unit_test(any_byte_heard_clears_the_wait),
        cmocka_unit_test(a_timeout_longer_than_the_interval_sends_no_second_ping),
        cmocka_unit_test(a_late_tick_pings_once_and_leaves_the_peer_its_full_time),
        cmocka_unit_test(a_sleep_while_a_ping_is_out_is_forgiven_once),
        cmocka_unit_test(an_answer_after_the_sleep_earns_the_next_sleep_its_pardon),
        cmocka_unit_test(a_tick_a_little_late_is_still_a_verdict),
        cmocka_unit_test(a_leg_that_is_not_read_is_never_lost),
        cmocka_unit_test(an_unread_leg_that_sends_is_not_pinged),
        cmocka_unit_test(reading_again_gives_the_full_timeout),
        cmocka_unit_test(saying_reading_twice_gives_no_more_time),
        cmocka_unit_test(a_ping_that_cannot_leave_stays_due_without_spinning_or_losing),
        cmocka_unit_test(a_peer_said_to_be_alive_gets_its_timeout_again),
        cmocka_unit_test(the_wrap_after_49_days_changes_nothing),
        cmocka_unit_test(a_tick_that_comes_weeks_late_delays_by_one_interval_at_most),
        cmocka_unit_test(a_clock_set_back_neither_loses_the_peer_nor_silences_the_heartbeat),
        cmocka_unit_test(a_clock_a_moment_behind_the_last_byte_is_no_silence),
        cmocka_unit_test(without_interval_there_is_no_heartbeat),
        cmocka_unit_test(without_timeout_it_pings_each_interval_and_judges_nobody),
        cmocka_unit_test(jitter_shortens_each_round_by_its_own_share),
        cmocka_unit_test(the_round_trip_is_remembered_and_bounded),
        cmocka_unit_test(over_random_histories_lost_comes_only_after_a_full_timeout_of_reading),
    };
    return cmocka_run_group_tests_name("heartbeat", tests, NULL, NULL);
}
