/* SPDX-License-Identifier: Apache-2.0 */
/* The report of a diagnosis: whole, escaped, without anything from elsewhere. */
#include "report/report.h"

#include "report/svg.h"
#include "test_alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the four above. */
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define TRIALS 40

struct scene {
    struct hf_verdict verdict;
    struct hf_trial trials[TRIALS];
    struct hf_moment moments[TRIALS][4];
    struct hf_report report;
    struct hf_buffer page; /* ends with NUL unless it failed */
};

static const char *const notes[] = {"A note with <b>marks</b> & \"quotes\"."};
static const char *const hosting[] = {"Cloudflare"};

static void write_page(struct scene *s, const struct hf_allocator *alloc)
{
    hf_buffer_init(&s->page, alloc, (size_t)8 << 20);
    hf_report_html(&s->report, alloc, &s->page);
    hf_buffer_add_byte(&s->page, 0);
}

static void add_trial(struct scene *s, size_t i)
{
    const bool silent = i % 2 == 0;
    const hf_time begun = HF_MS(150) * (hf_time)i;
    for (size_t k = 0; k < 4; k++) {
        s->moments[i][k] = (struct hf_moment){
            .at = HF_SECONDS(1) * (hf_time)k,
            .size = 900,
            .kind = k % 2 == 0 ? HF_MOMENT_PING_SENT : HF_MOMENT_PONG_GOT,
        };
    }
    s->trials[i] = (struct hf_trial){
        .arm = silent ? "silence" : "ping <1s>",
        .begun = begun,
        .opened = begun + 1000,
        .plan = {.ping_every = silent ? 0 : HF_SECONDS(1)},
        .end = {.phase = HF_PHASE_OPEN,
                .how = silent ? HF_HOW_CLOSE : HF_HOW_ALIVE,
                .code = silent ? 1006 : 0,
                .reason = "</td><script>alert('x')</script>",
                .age = silent ? HF_SECONDS(5) + (hf_time)i * 100 : HF_SECONDS(30) - begun,
                .silent_rx = HF_SECONDS(5),
                .silent_tx = HF_SECONDS(5)},
        .moments = silent ? NULL : s->moments[i],
        .moment_count = silent ? 0 : 4,
    };
    s->trials[i].count[HF_MOMENT_PING_SENT] = s->trials[i].count[HF_MOMENT_PONG_GOT] =
        silent ? 0 : 2;
}

/* Silent connections die of a timer of 5 s, others live; their reasons are hostile. */
static int set_up(void **state)
{
    static struct scene s;
    const struct hf_infer_context context = {.now = HF_SECONDS(30)};
    memset(&s, 0, sizeof(s));
    for (size_t i = 0; i < TRIALS; i++) {
        add_trial(&s, i);
    }
    hf_verdict_init(&s.verdict, &hf_heap);
    assert_int_equal(hf_infer(&s.verdict, s.trials, TRIALS, &context), HF_OK);
    s.report = (struct hf_report){
        .url = "wss://example.test/chat?a=1&b=<2>",
        .command = "holdfast diagnose 'wss://example.test/'",
        .begun = "2026-01-31T12:00:00.000Z",
        .version = "0.1.0",
        .lasted = HF_SECONDS(30),
        .budget = HF_SECONDS(60),
        .trials = s.trials,
        .count = TRIALS,
        .verdict = &s.verdict,
        .hosting = hosting,
        .hosting_count = 1,
        .notes = notes,
        .note_count = 1,
    };
    *state = &s;
    write_page(&s, &hf_heap);
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    hf_buffer_reset(&s->page);
    hf_verdict_fini(&s->verdict);
    return 0;
}

static unsigned occurrences(const struct scene *s, const char *what)
{
    unsigned n = 0;
    for (const char *p = (const char *)s->page.data; (p = strstr(p, what)) != NULL;
         p += strlen(what)) {
        n++;
    }
    return n;
}

static void the_page_is_whole_and_has_every_part(void **state)
{
    const struct scene *s = *state;
    assert_false(s->page.failed);
    assert_int_equal(strncmp((const char *)s->page.data, "<!doctype html>", 15), 0);
    assert_int_equal(occurrences(s, "</html>"), 1);
    assert_int_equal(occurrences(s, "<svg "), 5);
    assert_int_equal(occurrences(s, "</svg>"), 5);
    assert_true(occurrences(s, hf_verdict_class_text(s->verdict.best.class)) > 0);
    assert_int_equal(occurrences(s, "Cloudflare"), 1);
    assert_int_equal(occurrences(s, "prefers-color-scheme:dark"), 1);
    assert_int_equal(occurrences(s, "class=\"death\""), TRIALS); /* each in two pictures */
    assert_int_equal(occurrences(s, "<tr><td>silence</td>"), TRIALS / 2);
}

static void what_comes_from_strangers_is_text_and_never_a_mark(void **state)
{
    const struct scene *s = *state;
    assert_int_equal(occurrences(s, "<script"), 0);
    assert_int_equal(occurrences(s, "</td><s"), 0);
    assert_int_equal(occurrences(s, "<b>"), 0);
    assert_int_equal(occurrences(s, "ping <1s>"), 0);
    assert_true(occurrences(s, "&lt;script&gt;alert(&#39;x&#39;)") > 0);
    assert_true(occurrences(s, "a=1&amp;b=&lt;2&gt;") > 0);
}

static void the_page_asks_for_nothing_from_elsewhere(void **state)
{
    const struct scene *s = *state;
    assert_int_equal(occurrences(s, "src="), 0);
    assert_int_equal(occurrences(s, "href="), 0);
    assert_int_equal(occurrences(s, "url("), 0);
    assert_int_equal(occurrences(s, "@import"), 0);
}

static void each_picture_has_a_title_and_a_description_of_its_own(void **state)
{
    static const char *const ids[] = {"timeline", "ages", "gaps", "survival", "round-trips"};
    for (size_t i = 0; i < 5; i++) {
        char title[64], description[64];
        (void)snprintf(title, sizeof(title), "<title id=\"%s-t\">", ids[i]);
        (void)snprintf(description, sizeof(description), "<desc id=\"%s-d\">", ids[i]);
        assert_int_equal(occurrences(*state, title), 1);
        assert_int_equal(occurrences(*state, description), 1);
    }
}

static void without_trials_there_are_sentences_in_place_of_pictures(void **state)
{
    struct scene *s = *state;
    hf_buffer_reset(&s->page);
    s->report.count = 0;
    write_page(s, &hf_heap);
    assert_int_equal(occurrences(s, "No connection opened."), 1);
    assert_int_equal(occurrences(s, "No ping was answered."), 1);
    assert_int_equal(occurrences(s, "=\"nan"), 0);
    assert_int_equal(occurrences(s, "inf\""), 0);
}

static void when_memory_runs_out_the_page_is_marked_and_nothing_leaks(void **state)
{
    struct scene *s = *state;
    struct test_alloc ta;
    const size_t whole = s->page.len;
    hf_buffer_reset(&s->page);
    test_alloc_init(&ta);
    for (size_t n = 1;; n++) {
        test_alloc_fail_at(&ta, n);
        write_page(s, &ta.alloc);
        assert_true(s->page.failed || s->page.len == whole);
        assert_true(ta.fired || !s->page.failed);
        hf_buffer_reset(&s->page);
        assert_int_equal(ta.live_blocks, 0);
        if (!ta.fired) {
            break;
        }
    }
}

static void steps_of_an_axis_are_round_and_few(void **state)
{
    for (double range = 0.003; range < 1e6; range *= 1.7) {
        const double step = hf_svg_step(range, 10);
        assert_true(range / step <= 10.000001);
        assert_true(range / step >= 3.9);
    }
    assert_true(hf_svg_step(0, 10) > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_page_is_whole_and_has_every_part),
        TEST(what_comes_from_strangers_is_text_and_never_a_mark),
        TEST(the_page_asks_for_nothing_from_elsewhere),
        TEST(each_picture_has_a_title_and_a_description_of_its_own),
        TEST(without_trials_there_are_sentences_in_place_of_pictures),
        TEST(when_memory_runs_out_the_page_is_marked_and_nothing_leaks),
        TEST(steps_of_an_axis_are_round_and_few),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
