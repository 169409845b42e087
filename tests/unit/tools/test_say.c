/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands print: strangers' texts made clean, tables, lines of JSON. */
#include "tools/say.h"

#include "test_unit.h"

#include <stdlib.h>
#include <unistd.h>

static void clean_is(const char *text, size_t max, const char *wanted)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 4096);
    hf_say_clean(hf_slice_of(text), max, &out);
    assert_slice(hf_buffer_slice(&out), wanted);
    hf_buffer_reset(&out);
}

static void a_strangers_text_keeps_no_control_and_no_broken_character(void **state)
{
    clean_is("plain", 100, "plain");
    clean_is("  two\r\n\t lines ", 100, "two lines");
    clean_is("\033]0;title\007x", 100, "\xEF\xBF\xBD]0;title\xEF\xBF\xBDx");
    clean_is("caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80", 100,
             "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80");
    clean_is("\xC2\x9B"
             "31m",
             100,
             "\xEF\xBF\xBD\xEF\xBF\xBD"
             "31m"); /* CSI as a C1 control */
    clean_is("\xE2\x82", 100, "\xEF\xBF\xBD\xEF\xBF\xBD");
    clean_is("\xC0\x80\x7F", 100, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    clean_is("0123456789", 4, "0123\xE2\x80\xA6");
    clean_is("", 4, "");
}

static void a_table_is_set_in_columns_by_characters_and_not_by_bytes(void **state)
{
    char *text = NULL;
    size_t size = 0;
    struct hf_say say = {.text = open_memstream(&text, &size)};
    struct hf_say_table t;
    static const char *const cells[] = {"name", "time", "end", "a", "85 \xC2\xB5s",
                                        "x",    "long", "1 s", "yy"};
    hf_say_table_init(&t, 3, 1 << 1);
    for (size_t i = 0; i < 9; i++) {
        hf_say_table_add(&t, "%s", cells[i]);
    }
    hf_say_table_print(&say, &t);
    (void)fclose(say.text);
    assert_string_equal(text, "name   time  end\n"
                              "a     85 \xC2\xB5s  x\n"
                              "long    1 s  yy\n");
    free(text);
}

static void members_of_json_are_escaped_and_unknown_times_are_null(void **state)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 4096);
    hf_json_text(&out, "a", HF_LITERAL("x\"\n\xFF"));
    hf_json_number(&out, "b", -3);
    hf_json_ms(&out, "c", 1500);
    hf_json_ms(&out, "d", -1);
    hf_json_bool(&out, "e", true);
    assert_slice(hf_buffer_slice(&out),
                 ",\"a\":\"x\\\"\\n\xEF\xBF\xBD\",\"b\":-3,\"c\":1.500,\"d\":null,\"e\":true");
    hf_buffer_reset(&out);
}

static void bytes_are_told_in_the_unit_that_fits(void **state)
{
    char text[24];
    hf_bytes_text(0, text);
    assert_string_equal(text, "0 B");
    hf_bytes_text(1023, text);
    assert_string_equal(text, "1023 B");
    hf_bytes_text(1536, text);
    assert_string_equal(text, "1.5 KiB");
    hf_bytes_text(UINT64_MAX, text);
    assert_string_equal(text, "16777216.0 TiB");
}

static void without_a_terminal_nothing_is_drawn_and_nothing_is_coloured(void **state)
{
    struct hf_say say;
    const int keep = dup(STDERR_FILENO);
    assert_non_null(freopen("/dev/null", "w", stderr));
    hf_say_init(&say, "test", true, true);
    assert_false(say.live);
    assert_string_equal(hf_say_paint(&say, HF_PAINT_RED), "");
    hf_say_draw(&say, HF_LITERAL("line\n"));
    assert_int_equal(say.drawn, 0);
    hf_say_fini(&say);
    (void)dup2(keep, STDERR_FILENO);
    close(keep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_strangers_text_keeps_no_control_and_no_broken_character),
        cmocka_unit_test(a_table_is_set_in_columns_by_characters_and_not_by_bytes),
        cmocka_unit_test(members_of_json_are_escaped_and_unknown_times_are_null),
        cmocka_unit_test(bytes_are_told_in_the_unit_that_fits),
        cmocka_unit_test(without_a_terminal_nothing_is_drawn_and_nothing_is_coloured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
