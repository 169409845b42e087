/* SPDX-License-Identifier: Apache-2.0 */
/* The tally: what peaks point to, what they must not be taken for, and the drawing. */
#include "test_unit.h"

#include "logs/tally.h"

#define T0 INT64_C(1795656000000000)
#define S INT64_C(1000000)

static const uint8_t key[16] = "a key for tests";

static void begin(struct hf_logs_tally *t, enum hf_logs_by by)
{
    assert_int_equal(hf_logs_tally_init(t, &hf_heap, by, key, 1), HF_OK);
}

/* An ending about which the log knows its age and its time. */
static struct hf_logs_ending ending(hf_time age, int64_t at)
{
    struct hf_logs_ending e = {
        .fate = HF_LOGS_ENDED,
        .format = HF_LOGS_NGINX_ACCESS,
        .at = at,
        .age = age,
        .silent_rx = -1,
        .silent_tx = -1,
        .messages_up = -1,
        .messages_down = -1,
        .bytes_up = -1,
        .bytes_down = -1,
        .http = 101,
    };
    (void)snprintf(e.path, sizeof(e.path), "/ws");
    return e;
}

static void add(struct hf_logs_tally *t, const struct hf_logs_ending *e)
{
    assert_int_equal(hf_logs_tally_ending(t, e), HF_OK);
}

/* Users that leave at all ages, one every 37 s. */
static void add_users(struct hf_logs_tally *t, size_t count, double longest)
{
    for (size_t i = 0; i < count; i++) {
        double age = longest * (0.05 + 0.95 * (double)((i * 37) % count) / (double)count);
        struct hf_logs_ending e = ending((hf_time)(age * 1e6), T0 + (int64_t)i * 37 * S);
        add(t, &e);
    }
}

static const struct hf_logs_finding *find(const struct hf_logs_finding *f, size_t n,
                                          enum hf_peak_kind kind)
{
    for (size_t i = 0; i < n; i++) {
        if (f[i].peak.kind == kind) {
            return &f[i];
        }
    }
    return NULL;
}

static void a_timer_in_an_access_log_is_told_as_what_it_may_be(void **state)
{
    struct hf_logs_tally t;
    struct hf_logs_finding f[HF_LOGS_FINDINGS_MAX];
    (void)state;
    begin(&t, HF_LOGS_BY_CAUSE);
    add_users(&t, 200, 200);
    for (int i = 0; i < 200; i++) {
        struct hf_logs_ending e = ending(60 * S + i * 100, T0 + (int64_t)i * 41 * S);
        add(&t, &e);
    }
    size_t n = hf_logs_tally_findings(&t, f, HF_LOGS_FINDINGS_MAX);
    const struct hf_logs_finding *peak = find(f, n, HF_PEAK_AGE);
    assert_non_null(peak);
    assert_true(peak->peak.at > 59.9 && peak->peak.at < 60.1);
    assert_int_equal(peak->class, HF_CLASS_INCONCLUSIVE);
    assert_int_equal(peak->told_count, 0);
    bool nginx = false;
    for (size_t i = 0; i < peak->named_count; i++) {
        nginx = nginx || strcmp(peak->named[i].row->id, "nginx-proxy-read-60s") == 0;
        assert_true(peak->named[i].row->standing != HF_STANDING_HYPOTHESIS || i > 0);
    }
    assert_true(nginx);
    assert_null(find(f, n, HF_PEAK_CLOCK));
    assert_true(hf_logs_tally_is_early(&t, n));
    hf_logs_tally_fini(&t);
}

static void what_the_log_tells_of_most_endings_in_a_peak_is_its_class(void **state)
{
    struct hf_logs_tally t;
    struct hf_logs_finding f[HF_LOGS_FINDINGS_MAX];
    (void)state;
    begin(&t, HF_LOGS_BY_CAUSE);
    add_users(&t, 200, 200);
    for (int i = 0; i < 100; i++) {
        struct hf_logs_ending e = ending(24 * S + i * 100, T0 + (int64_t)i * 41 * S);
        (void)snprintf(e.cause, sizeof(e.cause), "nginx-proxy-read-60s");
        add(&t, &e);
    }
    size_t n = hf_logs_tally_findings(&t, f, HF_LOGS_FINDINGS_MAX);
    const struct hf_logs_finding *peak = find(f, n, HF_PEAK_AGE);
    assert_non_null(peak);
    assert_int_equal(peak->class, HF_CLASS_IDLE_TIMER);
    assert_string_equal(peak->told[0].cause, "nginx-proxy-read-60s");
    assert_true(peak->told[0].share > 0.9);
    hf_logs_tally_fini(&t);
}

static void silence_of_one_length_at_all_ages_is_an_idle_timer(void **state)
{
    struct hf_logs_tally t;
    struct hf_logs_finding f[HF_LOGS_FINDINGS_MAX];
    (void)state;
    begin(&t, HF_LOGS_BY_CAUSE);
    for (int i = 0; i < 120; i++) {
        struct hf_logs_ending e =
            ending((hf_time)(70 + (i * 53) % 600) * S + i, T0 + (int64_t)i * 41 * S);
        e.format = HF_LOGS_HOLDFAST;
        e.silent_rx = e.silent_tx = 60 * S + i * 100;
        add(&t, &e);
    }
    for (int i = 0; i < 120; i++) {
        struct hf_logs_ending e = ending((hf_time)(5 + (i * 29) % 600) * S, T0 + i * 37 * S + 5);
        e.silent_rx = e.silent_tx = (hf_time)(i % 50) * S / 2;
        add(&t, &e);
    }
    size_t n = hf_logs_tally_findings(&t, f, HF_LOGS_FINDINGS_MAX);
    const struct hf_logs_finding *peak = NULL;
    for (size_t i = 0; i < n; i++) {
        peak = f[i].is_silence ? &f[i] : peak;
    }
    assert_non_null(peak);
    assert_int_equal(peak->class, HF_CLASS_IDLE_TIMER);
    assert_true(peak->peak.at > 59.9 && peak->peak.at < 60.1);
    hf_logs_tally_fini(&t);
}

static void sockets_that_were_silent_all_their_life_are_one_peak_and_not_two(void **state)
{
    struct hf_logs_tally t;
    struct hf_logs_finding f[HF_LOGS_FINDINGS_MAX];
    (void)state;
    begin(&t, HF_LOGS_BY_CAUSE);
    add_users(&t, 200, 200);
    for (int i = 0; i < 100; i++) {
        struct hf_logs_ending e = ending(60 * S + i * 100, T0 + (int64_t)i * 41 * S);
        e.silent_rx = e.silent_tx = e.age;
        add(&t, &e);
    }
    size_t n = hf_logs_tally_findings(&t, f, HF_LOGS_FINDINGS_MAX);
    assert_int_equal(n, 1);
    assert_false(f[0].is_silence);
    assert_int_equal(f[0].class, HF_CLASS_INCONCLUSIVE); /* a lifetime would look the same */
    hf_logs_tally_fini(&t);
}

static void endings_of_all_ages_at_one_instant_are_a_restart_even_without_ages(void **state)
{
    struct hf_logs_tally t;
    struct hf_logs_finding f[HF_LOGS_FINDINGS_MAX];
    (void)state;
    begin(&t, HF_LOGS_BY_CAUSE);
    for (int i = 0; i < 100; i++) {
        struct hf_logs_ending e = ending(-1, T0 + (int64_t)i * 37 * S);
        add(&t, &e);
    }
    for (int i = 0; i < 50; i++) {
        struct hf_logs_ending e = ending(-1, T0 + 1800 * S);
        add(&t, &e);
    }
    size_t n = hf_logs_tally_findings(&t, f, HF_LOGS_FINDINGS_MAX);
    const struct hf_logs_finding *peak = find(f, n, HF_PEAK_CLOCK);
    assert_non_null(peak);
    assert_int_equal(peak->class, HF_CLASS_RESTART);
    assert_true(peak->peak.at > (double)T0 / 1e6 + 1799 && peak->peak.at < (double)T0 / 1e6 + 1801);
    assert_null(find(f, n, HF_PEAK_AGE));
    hf_logs_tally_fini(&t);
}

static void a_log_that_is_short_beside_the_ages_in_it_is_no_restart(void **state)
{
    struct hf_logs_tally t;
    struct hf_logs_finding f[HF_LOGS_FINDINGS_MAX];
    (void)state;
    begin(&t, HF_LOGS_BY_CAUSE);
    for (int i = 0; i < 60; i++) { /* eight seconds of a log, with ages of minutes */
        struct hf_logs_ending e =
            ending(i % 2 == 0 ? 24 * S : (hf_time)(7 + 3 * i) * S, T0 + (int64_t)i * S / 8 / S * S);
        add(&t, &e);
    }
    size_t n = hf_logs_tally_findings(&t, f, HF_LOGS_FINDINGS_MAX);
    assert_null(find(f, n, HF_PEAK_CLOCK));
    assert_non_null(find(f, n, HF_PEAK_AGE));
    assert_true(find(f, n, HF_PEAK_AGE)->peak.at == 24);
    hf_logs_tally_fini(&t);
}

static void users_alone_are_nothing_that_stands_out(void **state)
{
    struct hf_logs_tally t;
    struct hf_logs_finding f[HF_LOGS_FINDINGS_MAX];
    (void)state;
    begin(&t, HF_LOGS_BY_CAUSE);
    add_users(&t, 400, 900);
    assert_int_equal(hf_logs_tally_findings(&t, f, HF_LOGS_FINDINGS_MAX), 0);
    assert_false(hf_logs_tally_is_early(&t, 0));
    hf_logs_tally_fini(&t);
}

static void a_restart_has_the_endings_around_it_and_its_lines_are_one(void **state)
{
    struct hf_logs_tally t;
    struct hf_logs_event restart;
    (void)state;
    begin(&t, HF_LOGS_BY_CAUSE);
    hf_logs_event_init(&restart);
    restart.kind = HF_LOGS_RESTART;
    restart.what = HF_LITERAL("HAProxy stopped or was reloaded");
    struct hf_logs_ending e = ending(5 * S, T0 - S / 2);
    add(&t, &e);
    restart.at = T0;
    hf_logs_tally_event(&t, &restart);
    hf_logs_tally_event(&t, &restart);
    e.at = T0 + S;
    add(&t, &e);
    e.at = T0 + 10 * S;
    add(&t, &e);
    assert_int_equal(t.notice_count, 1);
    assert_int_equal(t.notices[0].lines, 2);
    assert_int_equal(t.notices[0].endings, 2);
    hf_logs_tally_fini(&t);
}

static void an_answer_on_a_path_that_was_also_upgraded_is_a_refused_handshake(void **state)
{
    struct hf_logs_tally t;
    struct hf_logs_event http;
    const struct hf_logs_count *top[4];
    uint64_t total;
    (void)state;
    begin(&t, HF_LOGS_BY_CAUSE);
    hf_logs_event_init(&http);
    http.kind = HF_LOGS_HTTP;
    http.http = 403;
    http.path = HF_LITERAL("/ws?token=secret");
    hf_logs_tally_event(&t, &http);
    http.http = 404;
    http.path = HF_LITERAL("/picture.png");
    hf_logs_tally_event(&t, &http);
    assert_int_equal(hf_logs_tally_refused(&t, top, 4, &total), 0);
    struct hf_logs_ending e = ending(5 * S, T0);
    add(&t, &e);
    assert_int_equal(hf_logs_tally_refused(&t, top, 4, &total), 1);
    assert_int_equal(total, 1);
    assert_string_equal(top[0]->name, "403 /ws");
    hf_logs_tally_fini(&t);
}

static void names_beyond_the_maximum_are_counted_together(void **state)
{
    struct hf_logs_counts c;
    const struct hf_logs_count *top[3];
    char name[32];
    (void)state;
    hf_logs_counts_init(&c, &hf_heap, key);
    for (unsigned i = 0; i < HF_LOGS_NAMES_MAX + 100; i++) {
        (void)snprintf(name, sizeof(name), "name %u", i);
        (void)hf_logs_counts_add(&c, hf_slice_of(name), 1 + (i == 7 ? 5 : i == 9 ? 3 : 0));
    }
    assert_int_equal(c.count, HF_LOGS_NAMES_MAX);
    assert_int_equal(c.others, 100);
    assert_int_equal(hf_logs_counts_top(&c, top, 3), 3);
    assert_string_equal(top[0]->name, "name 7");
    assert_string_equal(top[1]->name, "name 9");
    assert_string_equal(top[2]->name, "name 0");
    hf_logs_counts_fini(&c);
}

static void the_curve_falls_where_they_died_and_its_peak_is_marked(void **state)
{
    struct hf_logs_tally t;
    struct hf_logs_finding f[HF_LOGS_FINDINGS_MAX];
    struct hf_buffer text;
    (void)state;
    begin(&t, HF_LOGS_BY_CAUSE);
    add_users(&t, 100, 100);
    for (int i = 0; i < 300; i++) {
        struct hf_logs_ending e = ending(50 * S, T0 + (int64_t)i * 41 * S);
        add(&t, &e);
    }
    size_t n = hf_logs_tally_findings(&t, f, HF_LOGS_FINDINGS_MAX);
    hf_buffer_init(&text, &hf_heap, 1 << 16);
    hf_logs_curve_draw(&t, f, n, 80, 9, true, &text);
    (void)hf_buffer_add_byte(&text, 0);
    const char *drawn = (const char *)text.data;
    assert_non_null(strstr(drawn, "100 %|"));
    assert_non_null(strstr(drawn, "   0 %|"));
    assert_non_null(strstr(drawn, "^ 50.0 s"));
    /* The row at 50 %: a vertical stroke half way, nothing left of it, the rest below. */
    const char *row = strstr(drawn, "  50 %|");
    assert_non_null(row);
    size_t blank = strspn(row + 7, " ");
    assert_true(blank > 30 && blank < 40);
    for (const char *line = drawn; *line != '\0'; line += strcspn(line, "\n") + 1) {
        assert_true(strcspn(line, "\n") <= 80);
    }
    hf_buffer_reset(&text);
    hf_logs_tally_fini(&t);
}

static void there_is_no_curve_without_ages(void **state)
{
    struct hf_logs_tally t;
    struct hf_buffer text;
    (void)state;
    begin(&t, HF_LOGS_BY_CAUSE);
    struct hf_logs_ending e = ending(-1, T0);
    add(&t, &e);
    hf_buffer_init(&text, &hf_heap, 1 << 16);
    hf_logs_curve_draw(&t, NULL, 0, 80, 8, false, &text);
    assert_int_equal(text.len, 0);
    hf_buffer_reset(&text);
    hf_logs_tally_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_in_an_access_log_is_told_as_what_it_may_be),
        cmocka_unit_test(what_the_log_tells_of_most_endings_in_a_peak_is_its_class),
        cmocka_unit_test(silence_of_one_length_at_all_ages_is_an_idle_timer),
        cmocka_unit_test(sockets_that_were_silent_all_their_life_are_one_peak_and_not_two),
        cmocka_unit_test(endings_of_all_ages_at_one_instant_are_a_restart_even_without_ages),
        cmocka_unit_test(a_log_that_is_short_beside_the_ages_in_it_is_no_restart),
        cmocka_unit_test(users_alone_are_nothing_that_stands_out),
        cmocka_unit_test(a_restart_has_the_endings_around_it_and_its_lines_are_one),
        cmocka_unit_test(an_answer_on_a_path_that_was_also_upgraded_is_a_refused_handshake),
        cmocka_unit_test(names_beyond_the_maximum_are_counted_together),
        cmocka_unit_test(the_curve_falls_where_they_died_and_its_peak_is_marked),
        cmocka_unit_test(there_is_no_curve_without_ages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
