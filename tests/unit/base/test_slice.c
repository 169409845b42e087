/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed bytes. */
#include "test_unit.h"

#include <stdlib.h>

static struct hf_slice of(const char *text)
{
    return hf_slice_of(text);
}

static void an_empty_slice_equals_an_empty_slice_whatever_it_points_to(void **state)
{
    assert_true(hf_slice_eq(hf_slice(NULL, 0), of("")));
    assert_true(hf_slice_eq_nocase(of(""), hf_slice(NULL, 0)));
    assert_true(hf_slice_starts(of("a"), hf_slice(NULL, 0)));
    assert_true(hf_slice_ends(hf_slice(NULL, 0), of("")));
    assert_int_equal(hf_slice_of(NULL).len, 0);
}

static void equality_looks_at_every_byte_and_the_length(void **state)
{
    assert_true(hf_slice_eq(of("abc"), of("abc")));
    assert_false(hf_slice_eq(of("abc"), of("abd")));
    assert_false(hf_slice_eq(of("abc"), of("abcd")));
    assert_false(hf_slice_eq(of("abc"), of("ABC")));
    assert_true(hf_slice_eq(hf_slice("a\0b", 3), hf_slice("a\0b", 3)));
    assert_false(hf_slice_eq(hf_slice("a\0b", 3), hf_slice("a\0c", 3)));
}

static void case_folding_folds_the_letters_of_ascii_and_nothing_else(void **state)
{
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            uint8_t x = (uint8_t)a, y = (uint8_t)b;
            bool upper = a >= 'A' && a <= 'Z' && b == a + 32;
            bool lower = b >= 'A' && b <= 'Z' && a == b + 32;
            assert_int_equal(hf_slice_eq_nocase(hf_slice(&x, 1), hf_slice(&y, 1)),
                             a == b || upper || lower);
        }
    }
    assert_false(hf_slice_eq_nocase(of("ab"), of("a")));
}

static void a_prefix_or_suffix_longer_than_the_text_does_not_match(void **state)
{
    assert_true(hf_slice_starts(of("upgrade"), of("up")));
    assert_false(hf_slice_starts(of("up"), of("upgrade")));
    assert_false(hf_slice_starts(of("upgrade"), of("Up")));
    assert_true(hf_slice_ends(of("upgrade"), of("grade")));
    assert_false(hf_slice_ends(of("grade"), of("upgrade")));
    assert_false(hf_slice_ends(of("upgrade"), of("grad")));
}

static void cutting_beyond_the_end_gives_what_there_is(void **state)
{
    assert_slice(hf_slice_from(of("abc"), 1), "bc");
    assert_slice(hf_slice_from(of("abc"), 3), "");
    assert_slice(hf_slice_from(of("abc"), 4), "");
    assert_slice(hf_slice_first(of("abc"), 2), "ab");
    assert_slice(hf_slice_first(of("abc"), 9), "abc");
}

static void find_and_search_give_the_first_place_or_the_length(void **state)
{
    assert_int_equal(hf_slice_find(of("a.b.c"), '.'), 1);
    assert_int_equal(hf_slice_find(of("abc"), '.'), 3);
    assert_int_equal(hf_slice_find(hf_slice(NULL, 0), '.'), 0);
    assert_int_equal(hf_slice_search(of("aaab"), of("ab")), 2);
    assert_int_equal(hf_slice_search(of("abcabc"), of("cab")), 2);
    assert_int_equal(hf_slice_search(of("abcab"), of("abd")), 5);
    assert_int_equal(hf_slice_search(of("ab"), of("abc")), 2);
    assert_int_equal(hf_slice_search(of("xxab"), of("ab")), 2);
    assert_int_equal(hf_slice_search(of("xxa"), of("ab")), 3);
    assert_int_equal(hf_slice_search(of("abc"), of("")), 0);
    assert_int_equal(hf_slice_search(hf_slice(NULL, 0), of("a")), 0);
}

static void a_part_is_found_in_upper_and_lower_case(void **state)
{
    assert_true(hf_slice_contains_nocase(of("CloudFront"), of("front")));
    assert_true(hf_slice_contains_nocase(of("aab"), of("AB")));
    assert_true(hf_slice_contains_nocase(of("abc"), of("")));
    assert_true(hf_slice_contains_nocase(hf_slice(NULL, 0), of("")));
    assert_false(hf_slice_contains_nocase(of("ab"), of("abc")));
    assert_false(hf_slice_contains_nocase(of("abd"), of("BC")));
    assert_false(hf_slice_contains_nocase(hf_slice(NULL, 0), of("a")));
}

/* The text ends where its memory ends, so that one byte too far is seen by the sanitizer. */
static void a_search_does_not_read_beyond_the_text(void **state)
{
    uint8_t *text = malloc(3);
    assert_non_null(text);
    memcpy(text, "xxa", 3);
    assert_int_equal(hf_slice_search(hf_slice(text, 3), of("ab")), 3);
    assert_int_equal(hf_slice_search(hf_slice(text, 3), of("xxab")), 3);
    assert_int_equal(hf_slice_search(hf_slice(text, 3), of("xa")), 1);
    free(text);
}

static void trimming_takes_spaces_and_tabs_and_no_other_byte(void **state)
{
    assert_slice(hf_slice_trim(of(" \t a b\t ")), "a b");
    assert_slice(hf_slice_trim(of(" \t ")), "");
    assert_slice(hf_slice_trim(of("\r\na\n")), "\r\na\n");
    assert_slice(hf_slice_trim(hf_slice(NULL, 0)), "");
}

static void pieces_come_in_order_and_empty_ones_between_separators_count(void **state)
{
    struct hf_slice rest = of("a,,bc");
    struct hf_slice piece;
    assert_true(hf_slice_next(&rest, ',', &piece));
    assert_slice(piece, "a");
    assert_true(hf_slice_next(&rest, ',', &piece));
    assert_slice(piece, "");
    assert_true(hf_slice_next(&rest, ',', &piece));
    assert_slice(piece, "bc");
    assert_false(hf_slice_next(&rest, ',', &piece));
    rest = of("");
    assert_false(hf_slice_next(&rest, ',', &piece));
    rest = of("a,");
    assert_true(hf_slice_next(&rest, ',', &piece));
    assert_slice(piece, "a");
    assert_false(hf_slice_next(&rest, ',', &piece));
}

static void a_number_is_digits_only_and_at_most_the_maximum(void **state)
{
    uint64_t value = 7;
    static const char *const bad[] = {"",    "+1", "-1",  " 1",   "1 ",  "0x1",
                                      "1.0", "a",  "256", "1000", "2560"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(hf_slice_number(of(bad[i]), 255, &value));
        assert_int_equal(value, 7);
    }
    assert_true(hf_slice_number(of("255"), 255, &value));
    assert_int_equal(value, 255);
    assert_true(hf_slice_number(of("0000"), 0, &value));
    assert_int_equal(value, 0);
    assert_true(hf_slice_number(of("18446744073709551615"), UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
    assert_false(hf_slice_number(of("18446744073709551616"), UINT64_MAX, &value));
    assert_false(hf_slice_number(of("99999999999999999999"), UINT64_MAX, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_slice_equals_an_empty_slice_whatever_it_points_to),
        cmocka_unit_test(equality_looks_at_every_byte_and_the_length),
        cmocka_unit_test(case_folding_folds_the_letters_of_ascii_and_nothing_else),
        cmocka_unit_test(a_prefix_or_suffix_longer_than_the_text_does_not_match),
        cmocka_unit_test(cutting_beyond_the_end_gives_what_there_is),
        cmocka_unit_test(find_and_search_give_the_first_place_or_the_length),
        cmocka_unit_test(a_part_is_found_in_upper_and_lower_case),
        cmocka_unit_test(a_search_does_not_read_beyond_the_text),
        cmocka_unit_test(trimming_takes_spaces_and_tabs_and_no_other_byte),
        cmocka_unit_test(pieces_come_in_order_and_empty_ones_between_separators_count),
        cmocka_unit_test(a_number_is_digits_only_and_at_most_the_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
