/* SPDX-License-Identifier: Apache-2.0 */
/* The incident machine, quiet windows and the judgement of endings: pure, with time as an argument.
 */
#include "watch/incident.h"

#include "test_unit.h"
#include "watch/judge.h"
#include "watch/quiet.h"

#define T(seconds) HF_SECONDS(1000000 + (seconds))

static const struct hf_incident_rule at_once = {.rate = {1, HF_SECONDS(1)},
                                                .settle = HF_SECONDS(60),
                                                .repeat = HF_SECONDS(3600),
                                                .is_moment = true};
static const struct hf_incident_rule state = {.rate = {2, HF_SECONDS(300)},
                                              .repeat = HF_SECONDS(3600)};

static void what_goes_on_being_wrong_is_told_once(void **unused)
{
    struct hf_incident i = {0};
    assert_int_equal(hf_incident_bad(&i, &at_once, T(0), false), HF_NOTICE_ALERT);
    for (int n = 1; n < 100; n++) {
        assert_int_equal(hf_incident_bad(&i, &at_once, T(n), false), HF_NOTICE_NONE);
        assert_int_equal(hf_incident_tick(&i, &at_once, T(n), false), HF_NOTICE_NONE);
    }
    assert_int_equal(i.bad, 100);
    assert_int_equal(i.opened, T(0));
}

static void a_reminder_comes_each_repeat_and_not_before(void **unused)
{
    struct hf_incident i = {0};
    assert_int_equal(hf_incident_bad(&i, &at_once, T(0), false), HF_NOTICE_ALERT);
    assert_int_equal(hf_incident_tick(&i, &at_once, T(3599), false), HF_NOTICE_NONE);
    assert_int_equal(hf_incident_tick(&i, &at_once, T(3600), false), HF_NOTICE_REMINDER);
    assert_int_equal(hf_incident_tick(&i, &at_once, T(3601), false), HF_NOTICE_NONE);
    assert_int_equal(hf_incident_bad(&i, &at_once, T(7200), false), HF_NOTICE_REMINDER);
    struct hf_incident_rule never = at_once;
    never.repeat = 0;
    assert_int_equal(hf_incident_tick(&i, &never, T(999999), false), HF_NOTICE_NONE);
}

static void it_is_over_when_all_was_good_for_long_enough(void **unused)
{
    struct hf_incident i = {0};
    (void)hf_incident_bad(&i, &at_once, T(0), false);
    assert_int_equal(hf_incident_tick(&i, &at_once, T(100), false), HF_NOTICE_NONE); /* not good */
    assert_int_equal(hf_incident_good(&i, &at_once, T(101)), HF_NOTICE_NONE);
    assert_int_equal(hf_incident_tick(&i, &at_once, T(101), false), HF_NOTICE_RECOVERY);
    assert_false(i.open);
    assert_int_equal(hf_incident_tick(&i, &at_once, T(200), false), HF_NOTICE_NONE);
    assert_int_equal(hf_incident_bad(&i, &at_once, T(201), false), HF_NOTICE_ALERT);
    (void)hf_incident_good(&i, &at_once, T(202));
    (void)hf_incident_bad(&i, &at_once, T(240), false);
    (void)hf_incident_good(&i, &at_once, T(241));
    assert_int_equal(hf_incident_tick(&i, &at_once, T(299), false), HF_NOTICE_NONE);
    assert_int_equal(hf_incident_tick(&i, &at_once, T(300), false), HF_NOTICE_RECOVERY);
}

static void a_state_is_over_with_the_first_good_observation(void **unused)
{
    struct hf_incident i = {0};
    assert_int_equal(hf_incident_bad(&i, &state, T(0), false), HF_NOTICE_NONE);
    assert_int_equal(hf_incident_bad(&i, &state, T(1), false), HF_NOTICE_ALERT);
    assert_int_equal(hf_incident_good(&i, &state, T(2)), HF_NOTICE_RECOVERY);
}

static void so_many_within_the_window_open_it_and_older_ones_do_not_count(void **unused)
{
    struct hf_incident i = {0};
    assert_int_equal(hf_incident_bad(&i, &state, T(0), false), HF_NOTICE_NONE);
    assert_int_equal(hf_incident_bad(&i, &state, T(300), false), HF_NOTICE_NONE);
    assert_int_equal(hf_incident_bad(&i, &state, T(599), false), HF_NOTICE_ALERT);
    assert_int_equal(i.opened, T(300));
    assert_int_equal(i.bad, 2);
}

static void the_largest_count_is_kept_whole(void **unused)
{
    struct hf_incident i = {0};
    struct hf_incident_rule rule = state;
    rule.rate.count = HF_INCIDENT_COUNT_MAX;
    for (int n = 1; n < HF_INCIDENT_COUNT_MAX; n++) {
        assert_int_equal(hf_incident_bad(&i, &rule, T(n), false), HF_NOTICE_NONE);
    }
    assert_int_equal(hf_incident_bad(&i, &rule, T(40), false), HF_NOTICE_ALERT);
    assert_int_equal(i.opened, T(1));
}

static void a_quiet_time_excuses_a_moment_for_good(void **unused)
{
    struct hf_incident i = {0};
    assert_int_equal(hf_incident_bad(&i, &at_once, T(0), true), HF_NOTICE_NONE);
    assert_false(i.open);
    assert_int_equal(hf_incident_tick(&i, &at_once, T(1), false), HF_NOTICE_NONE);
}

static void a_quiet_time_holds_a_state_back_and_it_is_told_behind_it(void **unused)
{
    struct hf_incident i = {0};
    (void)hf_incident_bad(&i, &state, T(0), true);
    assert_int_equal(hf_incident_bad(&i, &state, T(1), true), HF_NOTICE_NONE);
    assert_true(i.open);
    assert_false(i.told);
    assert_int_equal(hf_incident_tick(&i, &state, T(50), true), HF_NOTICE_NONE);
    assert_int_equal(hf_incident_tick(&i, &state, T(51), false), HF_NOTICE_ALERT);
}

static void what_is_over_before_the_quiet_ends_is_never_told(void **unused)
{
    struct hf_incident i = {0};
    (void)hf_incident_bad(&i, &state, T(0), true);
    (void)hf_incident_bad(&i, &state, T(1), true);
    assert_int_equal(hf_incident_good(&i, &state, T(2)), HF_NOTICE_NONE);
    assert_int_equal(hf_incident_tick(&i, &state, T(99), false), HF_NOTICE_NONE);
}

static void a_recovery_of_what_was_told_is_told_in_a_quiet_time_too(void **unused)
{
    struct hf_incident i = {0};
    (void)hf_incident_bad(&i, &at_once, T(0), false);
    (void)hf_incident_good(&i, &at_once, T(1));
    assert_int_equal(hf_incident_tick(&i, &at_once, T(60), true), HF_NOTICE_RECOVERY);
}

static void a_restored_incident_is_not_told_again_but_its_recovery_is(void **unused)
{
    struct hf_incident i = {0};
    hf_incident_restore(&i, T(0), T(50), T(0), true, 7);
    assert_int_equal(hf_incident_bad(&i, &at_once, T(60), false), HF_NOTICE_NONE);
    assert_int_equal(i.bad, 8);
    (void)hf_incident_good(&i, &at_once, T(61));
    assert_int_equal(hf_incident_tick(&i, &at_once, T(120), false), HF_NOTICE_RECOVERY);
}

static void rates_are_read_and_what_is_none_is_refused(void **unused)
{
    static const char *const bad[] = {
        "",      "0",        "2",     "0 in 5m", "3 in 0",  "33 in 5m",  "3 in 5",     "3 in",
        "in 5m", "-1 in 5m", "3in5m", "1 in",    "x in 5m", "3 in 5m x", "3 in in 5m", NULL};
    struct hf_incident_rate rate = {0};
    assert_true(hf_incident_rate_parse(HF_LITERAL("3 in 10m"), &rate));
    assert_int_equal(rate.count, 3);
    assert_int_equal(rate.window, HF_SECONDS(600));
    assert_true(hf_incident_rate_parse(HF_LITERAL("1"), &rate));
    assert_int_equal(rate.count, 1);
    for (size_t n = 0; bad[n] != NULL; n++) {
        if (hf_incident_rate_parse(hf_slice_of(bad[n]), &rate)) {
            fail_msg("\"%s\" was read as a rate", bad[n]);
        }
    }
}

/* ---- quiet windows ---------------------------------------------------------------------- */

enum { MON, TUE, WED, THU, FRI, SAT, SUN };

static struct hf_quiet_window window(const char *text)
{
    struct hf_quiet_window w = {0};
    const char *why = "";
    if (!hf_quiet_parse(hf_slice_of(text), &w, &why)) {
        fail_msg("\"%s\" %s", text, why);
    }
    return w;
}

static void a_window_covers_its_minutes_on_its_days(void **unused)
{
    struct hf_quiet_window w = window("mon-fri 12:00-12:30");
    assert_true(hf_quiet_covers(&w, MON, 720));
    assert_true(hf_quiet_covers(&w, FRI, 749));
    assert_false(hf_quiet_covers(&w, FRI, 750));
    assert_false(hf_quiet_covers(&w, FRI, 719));
    assert_false(hf_quiet_covers(&w, SAT, 720));
    w = window("daily 00:00-24:00");
    assert_true(hf_quiet_covers(&w, SUN, 0));
    assert_true(hf_quiet_covers(&w, WED, 1439));
}

static void a_window_over_midnight_ends_on_the_next_day(void **unused)
{
    struct hf_quiet_window w = window("sat,sun 22:00-06:00");
    assert_true(hf_quiet_covers(&w, SAT, 1320));
    assert_false(hf_quiet_covers(&w, SAT, 359)); /* Friday's night is not in it */
    assert_true(hf_quiet_covers(&w, SUN, 359));
    assert_true(hf_quiet_covers(&w, MON, 359));
    assert_false(hf_quiet_covers(&w, MON, 360));
    assert_false(hf_quiet_covers(&w, MON, 1320));
    w = window("sat-mon 01:00-02:00"); /* over the week's end */
    assert_true(hf_quiet_covers(&w, SUN, 60) && hf_quiet_covers(&w, MON, 60));
    assert_false(hf_quiet_covers(&w, TUE, 60));
}

static void a_window_that_is_none_is_refused_with_a_reason(void **unused)
{
    static const char *const bad[] = {"",
                                      "daily",
                                      "02:00-04:00",
                                      "dayly 02:00-04:00",
                                      "mon- 02:00-04:00",
                                      "mon 2:00-4:00",
                                      "mon 02:00-02:00",
                                      "mon 24:00-02:00",
                                      "mon 02:00-24:01",
                                      "mon 02:60-03:00",
                                      "mon 02:00",
                                      "mon,, 02:00-03:00",
                                      "mon 02:00-00:00",
                                      NULL};
    for (size_t n = 0; bad[n] != NULL; n++) {
        struct hf_quiet_window w;
        const char *why = "";
        if (hf_quiet_parse(hf_slice_of(bad[n]), &w, &why) || why[0] == '\0') {
            fail_msg("\"%s\" was read as a window", bad[n]);
        }
    }
}

/* ---- judgement -------------------------------------------------------------------------- */

static enum hf_judgement judge(enum hf_trial_how how, uint16_t code, hf_time age, hf_time min_hold)
{
    struct hf_watch_target_settings s = {.min_hold = min_hold};
    s.expected_codes = (struct hf_watch_codes){{4001}, 1};
    s.deploy_codes = (struct hf_watch_codes){{1001, 1012}, 2};
    const struct hf_trial t = {
        .end = {.how = how, .code = code, .age = age, .phase = HF_PHASE_OPEN}};
    return hf_judge(&s, &t);
}

static void a_drop_is_premature_until_it_was_held_long_enough(void **unused)
{
    hf_time hour = HF_SECONDS(3600);
    assert_int_equal(judge(HF_HOW_FIN, 1006, hour - 1, hour), HF_JUDGED_PREMATURE);
    assert_int_equal(judge(HF_HOW_FIN, 1006, hour, hour), HF_JUDGED_OLD);
    assert_int_equal(judge(HF_HOW_FIN, 1006, hour * 9999, HF_NEVER), HF_JUDGED_PREMATURE);
    assert_int_equal(judge(HF_HOW_SILENCE, 1006, 0, 0), HF_JUDGED_OLD);
    assert_int_equal(judge(HF_HOW_ENDED_BY_US, 1000, 5, hour), HF_JUDGED_OURS);
    assert_int_equal(judge(HF_HOW_ALIVE, 0, 5, hour), HF_JUDGED_OURS);
}

static void close_codes_excuse_a_drop_only_when_a_close_came(void **unused)
{
    hf_time hour = HF_SECONDS(3600);
    assert_int_equal(judge(HF_HOW_CLOSE, 4001, 5, hour), HF_JUDGED_EXPECTED);
    assert_int_equal(judge(HF_HOW_CLOSE, 1012, 5, hour), HF_JUDGED_RESTART);
    assert_int_equal(judge(HF_HOW_CLOSE, 1011, 5, hour), HF_JUDGED_PREMATURE);
    assert_int_equal(judge(HF_HOW_FAULT, 1012, 5, hour), HF_JUDGED_PREMATURE);
}

static void what_never_opened_has_failed(void **unused)
{
    struct hf_watch_target_settings s = {.min_hold = 0};
    const struct hf_trial t = {
        .end = {.how = HF_HOW_STATUS, .http = 503, .phase = HF_PHASE_UPGRADE}};
    assert_int_equal(hf_judge(&s, &t), HF_JUDGED_FAILED);
}

static void every_word_is_read_back(void **unused)
{
    for (int k = 0; k < HF_INCIDENT_KINDS; k++) {
        assert_int_equal(hf_incident_kind_from(hf_slice_of(hf_incident_kind_text(k))), k);
    }
    for (int j = 0; j < HF_JUDGEMENTS; j++) {
        assert_int_equal(hf_judgement_from(hf_slice_of(hf_judgement_text(j))), j);
    }
    assert_int_equal(hf_incident_kind_from(HF_LITERAL("x")), HF_INCIDENT_KINDS);
    assert_int_equal(hf_judgement_from(HF_LITERAL("x")), HF_JUDGEMENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_on_being_wrong_is_told_once),
        cmocka_unit_test(a_reminder_comes_each_repeat_and_not_before),
        cmocka_unit_test(it_is_over_when_all_was_good_for_long_enough),
        cmocka_unit_test(a_state_is_over_with_the_first_good_observation),
        cmocka_unit_test(so_many_within_the_window_open_it_and_older_ones_do_not_count),
        cmocka_unit_test(the_largest_count_is_kept_whole),
        cmocka_unit_test(a_quiet_time_excuses_a_moment_for_good),
        cmocka_unit_test(a_quiet_time_holds_a_state_back_and_it_is_told_behind_it),
        cmocka_unit_test(what_is_over_before_the_quiet_ends_is_never_told),
        cmocka_unit_test(a_recovery_of_what_was_told_is_told_in_a_quiet_time_too),
        cmocka_unit_test(a_restored_incident_is_not_told_again_but_its_recovery_is),
        cmocka_unit_test(rates_are_read_and_what_is_none_is_refused),
        cmocka_unit_test(a_window_covers_its_minutes_on_its_days),
        cmocka_unit_test(a_window_over_midnight_ends_on_the_next_day),
        cmocka_unit_test(a_window_that_is_none_is_refused_with_a_reason),
        cmocka_unit_test(a_drop_is_premature_until_it_was_held_long_enough),
        cmocka_unit_test(close_codes_excuse_a_drop_only_when_a_close_came),
        cmocka_unit_test(what_never_opened_has_failed),
        cmocka_unit_test(every_word_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
