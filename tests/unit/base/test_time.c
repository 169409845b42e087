/* SPDX-License-Identifier: Apache-2.0 */
/* Durations, sizes and dates as text. */
#include "test_unit.h"

#include "base/random.h"
#include "base/time.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void a_duration_is_a_number_with_a_unit(void **state)
{
    static const struct {
        const char *text;
        hf_time value;
    } good[] = {
        {"0", 0},
        {"0s", 0},
        {"0.000000s", 0},
        {"250ms", HF_MS(250)},
        {"1.5s", HF_MS(1500)},
        {"0.001ms", 1},
        {"0.000001s", 1},
        {"2h", HF_SECONDS(7200)},
        {"1.25h", HF_SECONDS(4500)},
        {"90s", HF_SECONDS(90)},
        {"10m", HF_SECONDS(600)},
        {"1d", HF_SECONDS(86400)},
        {"0.5d", HF_SECONDS(43200)},
        {"007s", HF_SECONDS(7)},
        {"3650d", HF_SECONDS(INT64_C(3650) * 86400)},
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        hf_time value = -1;
        assert_true(hf_duration_parse(hf_slice_of(good[i].text), &value));
        assert_int_equal(value, good[i].value);
    }
}

static void a_duration_without_a_unit_or_with_anything_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "",      "5",     "00",    "0.0",  "s",        "1 s",   "1s ",     " 1s",
        "-1s",   "+1s",   "1.s",   ".5s",  "1.5",      "1S",    "1sec",    "1us",
        "1m30s", "1..5s", "1.5.s", "1e3s", "0.0001ms", "3651d", "3650.1d", "99999999999999999999s",
        "0x1s",  "1,5s",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        hf_time value = 42;
        assert_false(hf_duration_parse(hf_slice_of(bad[i]), &value));
        assert_int_equal(value, 42);
    }
}

static void a_duration_is_written_in_its_shortest_exact_form(void **state)
{
    static const struct {
        hf_time value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {1, "0.001ms"},
        {HF_MS(100), "100ms"},
        {HF_MS(250), "250ms"},
        {HF_MS(1500), "1.5s"},
        {1234567, "1.234567s"},
        {HF_SECONDS(90), "90s"},
        {HF_SECONDS(60), "1m"},
        {HF_SECONDS(600), "10m"},
        {HF_SECONDS(7200), "2h"},
        {HF_SECONDS(86400), "1d"},
        {HF_SECONDS(86400) * 3650, "3650d"},
        {-HF_MS(20), "-20ms"},
        {HF_NEVER, "never"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[24];
        hf_duration_text(cases[i].value, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void every_duration_that_is_written_is_read_back(void **state)
{
    struct hf_random r;
    hf_random_init(&r, 1);
    hf_time top = HF_SECONDS(86400) * 3650;
    for (int i = 0; i < 20000; i++) {
        hf_time value = (hf_time)hf_random_below(&r, (uint64_t)top) >> hf_random_below(&r, 50);
        value -= i % 2 == 0 ? value % 1000000 : 0;
        char text[24];
        hf_time back = -1;
        hf_duration_text(value, text);
        assert_true(hf_duration_parse(hf_slice_of(text), &back));
        assert_int_equal(back, value);
    }
}

static void the_longest_texts_fit_their_room(void **state)
{
    char text[25] = "";
    text[24] = '#';
    hf_duration_text(INT64_MIN, text);
    hf_duration_text(INT64_MIN + 1, text);
    hf_duration_text(HF_NEVER - 1, text);
    assert_int_equal(text[24], '#');
    assert_string_equal(text, "9223372036854.775806s");
    hf_size_text(UINT64_MAX, text);
    assert_string_equal(text, "18446744073709551615B");
}

static void a_size_is_a_whole_number_with_a_binary_unit(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"0B", 0},
        {"1B", 1},
        {"64KiB", 65536},
        {"16MiB", 16 << 20},
        {"3GiB", UINT64_C(3) << 30},
        {"17179869183GiB", UINT64_C(17179869183) << 30},
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        uint64_t bytes = 42;
        assert_true(hf_size_parse(hf_slice_of(good[i].text), &bytes));
        assert_true(bytes == good[i].bytes);
    }
    static const char *const bad[] = {"",       "1",    "64",
                                      "64K",    "64KB", "64kib",
                                      "1.5MiB", "-1B",  " 1B",
                                      "1 B",    "B",    "17179869184GiB",
                                      "00",     "1TiB", "18446744073709551616B"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint64_t bytes = 42;
        assert_false(hf_size_parse(hf_slice_of(bad[i]), &bytes));
        assert_int_equal(bytes, 42);
    }
}

static void a_size_is_written_in_the_largest_unit_that_divides_it(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0"},
                 {1, "1B"},
                 {1000, "1000B"},
                 {1024, "1KiB"},
                 {65536, "64KiB"},
                 {1 << 20, "1MiB"},
                 {UINT64_C(1) << 40, "1024GiB"},
                 {1025, "1025B"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[24];
        hf_size_text(cases[i].bytes, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void a_date_is_right_on_leap_days_before_1970_and_at_the_ends(void **state)
{
    static const struct {
        hf_wall wall;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {INT64_C(1769860800000), "2026-01-31T12:00:00.000Z"},
        {INT64_C(1709251199007), "2024-02-29T23:59:59.007Z"},
        {INT64_C(951782400000), "2000-02-29T00:00:00.000Z"},
        {INT64_C(4107542400000), "2100-03-01T00:00:00.000Z"},
        {INT64_C(4133980799999), "2100-12-31T23:59:59.999Z"},
        {INT64_C(13574563200000), "2400-02-29T00:00:00.000Z"},
        {INT64_C(4107542400000) - 1, "2100-02-28T23:59:59.999Z"},
        {INT64_C(-2203891201000), "1900-02-28T23:59:59.000Z"},
        {INT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
        {INT64_C(253402300800000), "9999-12-31T23:59:59.999Z"},
        {INT64_C(-62135596800000), "0001-01-01T00:00:00.000Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {INT64_MIN, "0001-01-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[25];
        hf_wall_text(cases[i].wall, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_duration_is_a_number_with_a_unit),
        cmocka_unit_test(a_duration_without_a_unit_or_with_anything_else_is_refused),
        cmocka_unit_test(a_duration_is_written_in_its_shortest_exact_form),
        cmocka_unit_test(every_duration_that_is_written_is_read_back),
        cmocka_unit_test(the_longest_texts_fit_their_room),
        cmocka_unit_test(a_size_is_a_whole_number_with_a_binary_unit),
        cmocka_unit_test(a_size_is_written_in_the_largest_unit_that_divides_it),
        cmocka_unit_test(a_date_is_right_on_leap_days_before_1970_and_at_the_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
