/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a diagnosis: what is held from the beginning, what is added after what was seen, and
 * how long a connection's place rests. */
#include "diagnose/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the four above. */
#include <cmocka.h>

#include <string.h>

static struct hf_plan begun(const struct hf_plan_how *how)
{
    struct hf_plan plan;
    hf_plan_begin(&plan, how);
    return plan;
}

static unsigned connections(const struct hf_plan *plan)
{
    unsigned n = 0;
    for (size_t i = 0; i < plan->count; i++) {
        n += plan->arms[i].slots;
    }
    return n;
}

static const struct hf_arm *arm_of(const struct hf_plan *plan, enum hf_experiment e, size_t from)
{
    for (size_t i = from; i < plan->count; i++) {
        if (plan->arms[i].experiment == e) {
            return &plan->arms[i];
        }
    }
    return NULL;
}

static struct hf_trial dead(hf_time age)
{
    return (struct hf_trial){
        .arm = "silence",
        .opened = 1,
        .end = {.how = HF_HOW_FIN, .phase = HF_PHASE_OPEN, .age = age},
    };
}

static void every_experiment_has_a_name_that_leads_back_to_it(void **state)
{
    for (unsigned i = 0; i < HF_EXPERIMENTS; i++) {
        const char *name = hf_experiment_text((enum hf_experiment)i);
        assert_int_equal(hf_experiment_from(hf_slice_of(name)), i);
    }
    assert_int_equal(hf_experiment_from(HF_LITERAL("silenc")), HF_EXPERIMENTS);
    assert_int_equal(hf_experiment_from(HF_LITERAL("")), HF_EXPERIMENTS);
}

static void a_run_begins_with_few_connections_and_no_load(void **state)
{
    static const hf_time budgets[] = {HF_SECONDS(5), HF_SECONDS(60), HF_SECONDS(900),
                                      HF_SECONDS(86400)};
    for (size_t i = 0; i < 4; i++) {
        const struct hf_plan plan = begun(&(struct hf_plan_how){.budget = budgets[i]});
        assert_in_range(connections(&plan), 10, 24);
        for (size_t k = 0; k < plan.count; k++) {
            const struct hf_trial_plan *p = &plan.arms[k].plan;
            assert_false(p->load);
            assert_true(p->message_every == 0 || p->message_every >= HF_MS(400));
            assert_true(plan.arms[k].start < budgets[i]);
        }
    }
}

static void the_users_text_is_sent_at_its_interval_at_half_and_at_double(void **state)
{
    const struct hf_plan plan = begun(
        &(struct hf_plan_how){.budget = HF_SECONDS(120), .every = HF_SECONDS(4), .has_text = true});
    bool seen[3] = {false, false, false};
    for (size_t k = 0; k < plan.count; k++) {
        const hf_time every = plan.arms[k].plan.message_every;
        if (plan.arms[k].experiment == HF_EXPERIMENT_MESSAGE) {
            seen[0] |= every == HF_SECONDS(4);
            seen[1] |= every == HF_SECONDS(2);
            seen[2] |= every == HF_SECONDS(8);
        }
    }
    assert_true(seen[0] && seen[1] && seen[2]);
}

static void only_what_is_asked_for_is_done(void **state)
{
    const struct hf_plan plan = begun(&(struct hf_plan_how){
        .budget = HF_SECONDS(60),
        .only = 1u << HF_EXPERIMENT_SILENCE | 1u << HF_EXPERIMENT_PONG,
        .load = true,
        .compare = true,
    });
    assert_true(plan.count >= 2);
    for (size_t k = 0; k < plan.count; k++) {
        assert_true(plan.arms[k].experiment == HF_EXPERIMENT_SILENCE ||
                    plan.arms[k].experiment == HF_EXPERIMENT_PONG);
    }
}

static void ramps_are_held_only_when_they_are_allowed_and_are_bounded(void **state)
{
    const struct hf_plan plan =
        begun(&(struct hf_plan_how){.budget = HF_SECONDS(60), .load = true});
    size_t rates = 0;
    for (size_t k = 0; k < plan.count; k++) {
        const struct hf_arm *arm = &plan.arms[k];
        if (arm->experiment == HF_EXPERIMENT_RATE) {
            rates++;
            assert_true(arm->plan.load && arm->once);
            assert_true(arm->hold / arm->plan.message_every <= HF_PLAN_RATE_MAX);
            assert_true(arm->plan.message_every >= HF_MS(20));
        }
    }
    assert_int_equal(rates, 4);
}

static void the_second_path_has_the_key_arms_under_its_own_name(void **state)
{
    const struct hf_plan plan =
        begun(&(struct hf_plan_how){.budget = HF_SECONDS(60), .compare = true});
    bool silent = false, ping = false;
    for (size_t k = 0; k < plan.count; k++) {
        if (plan.arms[k].path == 1) {
            assert_int_equal(strncmp(plan.arms[k].name, "B: ", 3), 0);
            silent |= plan.arms[k].experiment == HF_EXPERIMENT_SILENCE;
            ping |= plan.arms[k].experiment == HF_EXPERIMENT_PING;
        }
    }
    assert_true(silent && ping);
}

static void a_silent_death_brings_arms_below_the_suspected_timer_once(void **state)
{
    struct hf_plan plan = begun(&(struct hf_plan_how){.budget = HF_SECONDS(600)});
    const size_t before = plan.count;
    const struct hf_trial trials[] = {dead(HF_SECONDS(2)), dead(HF_MS(2010))};
    assert_true(hf_plan_adapt(&plan, HF_SECONDS(3), trials, 2, NULL) > 0);
    const struct hf_arm *ping = arm_of(&plan, HF_EXPERIMENT_PING, before);
    const struct hf_arm *beat = arm_of(&plan, HF_EXPERIMENT_BEAT, before);
    const struct hf_arm *message = arm_of(&plan, HF_EXPERIMENT_MESSAGE, before);
    assert_non_null(ping);
    assert_non_null(beat);
    assert_non_null(message);
    assert_in_range(ping->plan.ping_every, HF_MS(600), HF_MS(1200));
    assert_in_range(beat->plan.beat_every, HF_MS(600), HF_MS(1200));
    assert_in_range(message->plan.message_every, HF_MS(600), HF_MS(1200));
    assert_true(ping->adapted && ping->start >= HF_SECONDS(3));
    assert_int_equal(hf_plan_adapt(&plan, HF_SECONDS(4), trials, 2, NULL), 0);
}

static void a_ladder_that_fits_already_is_not_doubled(void **state)
{
    struct hf_plan plan = begun(&(struct hf_plan_how){.budget = HF_SECONDS(60)});
    const struct hf_trial trials[] = {dead(HF_SECONDS(3)), dead(HF_SECONDS(3))};
    const size_t before = plan.count;
    (void)hf_plan_adapt(&plan, HF_SECONDS(4), trials, 2, NULL);
    for (size_t i = before; i < plan.count;
         i++) { /* ping every 0.5 s is there: only near the timer */
        assert_true(plan.arms[i].experiment != HF_EXPERIMENT_PING ||
                    plan.arms[i].plan.ping_every > HF_SECONDS(2));
    }
    assert_true(connections(&plan) <= 32);
}

static void one_early_death_among_older_silent_connections_is_no_timer(void **state)
{
    struct hf_plan plan = begun(&(struct hf_plan_how){.budget = HF_SECONDS(60)});
    struct hf_trial trials[] = {dead(HF_SECONDS(2)), dead(HF_SECONDS(9)), dead(HF_SECONDS(9))};
    trials[1].end.how = trials[2].end.how = HF_HOW_ALIVE;
    assert_int_equal(hf_plan_adapt(&plan, HF_SECONDS(10), trials, 3, NULL), 0);
    assert_int_equal(plan.timer, 0);
    for (size_t i = 0; i < plan.count; i++) {
        assert_false(plan.arms[i].retired);
    }
}

static void deaths_in_the_first_instant_are_no_timer(void **state)
{
    struct hf_plan plan = begun(&(struct hf_plan_how){.budget = HF_SECONDS(60)});
    const struct hf_trial trials[] = {dead(HF_MS(20)), dead(HF_MS(30))};
    assert_int_equal(hf_plan_adapt(&plan, HF_SECONDS(1), trials, 2, NULL), 0);
    assert_int_equal(plan.timer, 0);
}

static void a_server_that_pings_brings_late_and_missing_pongs(void **state)
{
    struct hf_plan plan = begun(&(struct hf_plan_how){.budget = HF_SECONDS(60)});
    const struct hf_moment pinged[] = {{.at = HF_SECONDS(4), .kind = HF_MOMENT_PING_GOT}};
    struct hf_trial trial = dead(HF_SECONDS(10));
    const size_t before = plan.count;
    trial.plan.pong = HF_PONG_IGNORE;
    trial.count[HF_MOMENT_PING_GOT] = 1;
    trial.moments = pinged;
    trial.moment_count = 1;
    assert_true(hf_plan_adapt(&plan, HF_SECONDS(11), &trial, 1, NULL) > 0);
    bool late = false;
    for (size_t i = before; i < plan.count; i++) {
        if (plan.arms[i].plan.pong == HF_PONG_LATE) {
            late = true;
            assert_in_range(plan.arms[i].pong_delay, HF_SECONDS(2), HF_SECONDS(4));
        }
    }
    assert_true(late);
}

static void a_silent_path_is_narrowed_between_what_lived_and_what_did_not(void **state)
{
    struct hf_plan plan = begun(&(struct hf_plan_how){.budget = HF_SECONDS(60)});
    const struct hf_moment lived[] = {{.at = HF_SECONDS(5), .kind = HF_MOMENT_PING_SENT},
                                      {.at = HF_SECONDS(5), .kind = HF_MOMENT_PONG_GOT}};
    const struct hf_moment lost[] = {{.at = HF_SECONDS(18), .kind = HF_MOMENT_PING_SENT}};
    struct hf_trial trials[] = {dead(HF_SECONDS(5)), dead(HF_SECONDS(38))};
    const size_t before = plan.count;
    trials[0].end.how = HF_HOW_ENDED_BY_US;
    trials[0].moments = lived;
    trials[0].moment_count = 2;
    trials[0].count[HF_MOMENT_PONG_GOT] = 3;
    trials[1].end.how = HF_HOW_SILENCE;
    trials[1].moments = lost;
    trials[1].moment_count = 1;
    assert_int_equal(hf_plan_adapt(&plan, HF_SECONDS(40), trials, 2, NULL), 4);
    for (size_t i = before; i < plan.count; i++) {
        assert_in_range(plan.arms[i].hold, HF_SECONDS(6), HF_SECONDS(17));
    }
    assert_int_equal(hf_plan_adapt(&plan, HF_SECONDS(41), trials, 2, NULL), 0);
}

static void a_reset_right_behind_the_first_ping_is_a_path_that_forgot(void **state)
{
    struct hf_plan plan = begun(&(struct hf_plan_how){.budget = HF_SECONDS(60)});
    const struct hf_moment lived[] = {{.at = HF_SECONDS(5), .kind = HF_MOMENT_PING_SENT},
                                      {.at = HF_SECONDS(5), .kind = HF_MOMENT_PONG_GOT}};
    const struct hf_moment lost[] = {{.at = HF_SECONDS(18), .kind = HF_MOMENT_PING_SENT}};
    struct hf_trial trials[] = {dead(HF_SECONDS(5)), dead(HF_SECONDS(18) + 900)};
    const size_t before = plan.count;
    trials[0].end.how = HF_HOW_ENDED_BY_US;
    trials[0].moments = lived;
    trials[0].moment_count = 2;
    trials[0].count[HF_MOMENT_PING_SENT] = trials[0].count[HF_MOMENT_PONG_GOT] = 3;
    trials[1].end.how = HF_HOW_RST;
    trials[1].moments = lost;
    trials[1].moment_count = 1;
    trials[1].count[HF_MOMENT_PING_SENT] = 1;
    assert_int_equal(hf_plan_adapt(&plan, HF_SECONDS(19), trials, 2, NULL), 4);
    assert_int_equal(plan.timer, 0);
    assert_true(plan.narrowing);
    /* Three of the four have ended, and the bracket is smaller: a new round waits for the last. */
    const struct hf_moment closer[] = {
        {.at = plan.arms[before + 3].hold, .kind = HF_MOMENT_PING_SENT}};
    trials[1].arm = plan.arms[before + 3].name;
    trials[1].moments = closer;
    trials[1].end.age = plan.arms[before + 3].hold + 900;
    assert_int_equal(hf_plan_adapt(&plan, HF_SECONDS(30), trials, 2, NULL), 0);
    assert_true(plan.narrowing);
}

static void a_count_that_ends_messages_is_asked_for_at_other_intervals(void **state)
{
    struct hf_plan plan = begun(
        &(struct hf_plan_how){.budget = HF_SECONDS(120), .every = HF_SECONDS(1), .has_text = true});
    struct hf_trial trials[] = {dead(HF_SECONDS(20)), dead(HF_SECONDS(25))};
    const size_t before = plan.count;
    trials[0].plan.message_every = HF_SECONDS(1);
    trials[0].count[HF_MOMENT_SENT] = 20;
    trials[1].end.how = HF_HOW_ALIVE;
    assert_true(hf_plan_adapt(&plan, HF_SECONDS(26), trials, 2, NULL) > 0);
    for (size_t i = before; i < plan.count; i++) {
        assert_int_equal(plan.arms[i].experiment, HF_EXPERIMENT_MESSAGE);
        assert_true(plan.arms[i].plan.message_every >= HF_MS(200));
        assert_int_not_equal(plan.arms[i].plan.message_every, HF_SECONDS(1));
    }
}

static void a_place_rests_a_quarter_of_a_second_and_longer_while_connections_die_young(void **state)
{
    const struct hf_plan plan = begun(&(struct hf_plan_how){.budget = HF_SECONDS(600)});
    const struct hf_arm *arm = &plan.arms[0];
    hf_time last = 0;
    for (unsigned early = 1; early < 8; early++) {
        const struct hf_slot_past past = {.trials = early, .deaths = early, .early = early};
        const hf_time rest = hf_plan_rest(&plan, arm, &past, 3);
        assert_true(rest >= HF_MS(500) && rest > last);
        last = rest;
    }
    for (unsigned serial = 0; serial < 40; serial++) {
        const struct hf_slot_past past = {.trials = 1, .deaths = 1, .age = HF_SECONDS(9)};
        assert_in_range(hf_plan_rest(&plan, arm, &past, serial), HF_MS(250), HF_MS(3250));
    }
}

static void places_that_lost_their_connections_together_do_not_begin_together(void **state)
{
    const struct hf_plan plan = begun(&(struct hf_plan_how){.budget = HF_SECONDS(600)});
    const struct hf_slot_past past = {.trials = 1, .deaths = 1, .age = HF_SECONDS(30)};
    for (unsigned a = 0; a < 12; a++) {
        for (unsigned b = 0; b < a; b++) {
            const hf_time apart = hf_plan_rest(&plan, &plan.arms[0], &past, a) -
                                  hf_plan_rest(&plan, &plan.arms[0], &past, b);
            assert_true(apart > HF_MS(200) || apart < -HF_MS(200));
        }
    }
}

static void what_has_done_its_work_is_not_begun_again(void **state)
{
    struct hf_arm arm = {.once = true};
    const struct hf_plan plan = begun(&(struct hf_plan_how){.budget = HF_SECONDS(600)});
    const struct hf_slot_past lived = {.trials = 1}, died = {.trials = 1, .deaths = 1};
    assert_int_equal(hf_plan_rest(&plan, &arm, &lived, 0), HF_NEVER);
    assert_int_not_equal(hf_plan_rest(&plan, &arm, &died, 0), HF_NEVER);
    arm.once = false;
    arm.retired = true;
    assert_int_equal(hf_plan_rest(&plan, &arm, &died, 0), HF_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_experiment_has_a_name_that_leads_back_to_it),
        cmocka_unit_test(a_run_begins_with_few_connections_and_no_load),
        cmocka_unit_test(the_users_text_is_sent_at_its_interval_at_half_and_at_double),
        cmocka_unit_test(only_what_is_asked_for_is_done),
        cmocka_unit_test(ramps_are_held_only_when_they_are_allowed_and_are_bounded),
        cmocka_unit_test(the_second_path_has_the_key_arms_under_its_own_name),
        cmocka_unit_test(a_silent_death_brings_arms_below_the_suspected_timer_once),
        cmocka_unit_test(a_ladder_that_fits_already_is_not_doubled),
        cmocka_unit_test(one_early_death_among_older_silent_connections_is_no_timer),
        cmocka_unit_test(deaths_in_the_first_instant_are_no_timer),
        cmocka_unit_test(a_server_that_pings_brings_late_and_missing_pongs),
        cmocka_unit_test(a_silent_path_is_narrowed_between_what_lived_and_what_did_not),
        cmocka_unit_test(a_reset_right_behind_the_first_ping_is_a_path_that_forgot),
        cmocka_unit_test(a_count_that_ends_messages_is_asked_for_at_other_intervals),
        cmocka_unit_test(
            a_place_rests_a_quarter_of_a_second_and_longer_while_connections_die_young),
        cmocka_unit_test(places_that_lost_their_connections_together_do_not_begin_together),
        cmocka_unit_test(what_has_done_its_work_is_not_begun_again),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
