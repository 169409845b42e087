/* SPDX-License-Identifier: Apache-2.0 */
/* Finding headers, and walking over lists. */
#include "http/head.h"

#include "exact.h"

static struct hf_head read_head(const char *text)
{
    struct hf_head head;
    const char *why;

    assert_int_equal(hf_request_read(hf_slice_of(text), 8192, &head, &why), HF_HEAD_READ);
    return head;
}

#define GET "GET / HTTP/1.1\r\n"

static void the_first_header_of_a_name_is_found_in_any_case(void **state)
{
    struct hf_head head = read_head(GET "Host: a\r\nhOST: b\r\nHosts: c\r\nHos: d\r\n\r\n");

    assert_slice(*hf_head_find(&head, "HOST"), "a");
    assert_slice(*hf_head_find(&head, "hosts"), "c");
    assert_null(hf_head_find(&head, "ho"));
    assert_null(hf_head_find(&head, ""));
}

static void duplicates_are_counted(void **state)
{
    struct hf_head head = read_head(GET "Host: a\r\nX: 1\r\nhost: b\r\n\r\n");

    assert_int_equal(hf_head_count(&head, "Host"), 2);
    assert_int_equal(hf_head_count(&head, "x"), 1);
    assert_int_equal(hf_head_count(&head, "y"), 0);
}

static void a_token_is_found_in_any_line_and_any_case_but_only_whole(void **state)
{
    struct hf_head head = read_head(GET "Connection: keep-alive\r\nX: close\r\n"
                                        "connection: ,\tUPGRADE ,\r\n\r\n");

    assert_true(hf_head_has_token(&head, "Connection", "upgrade"));
    assert_true(hf_head_has_token(&head, "Connection", "Keep-Alive"));
    assert_false(hf_head_has_token(&head, "Connection", "keep"));
    assert_false(hf_head_has_token(&head, "Connection", "close"));
    assert_false(hf_head_has_token(&head, "Connection", ""));
}

static void a_list_is_walked_over_all_its_lines(void **state)
{
    struct hf_head head =
        read_head(GET "P: a, b\r\nQ: x\r\nP:\r\nP: ,\r\np: c;d=\"e,f\\\",g\" , ,h,\r\n\r\n");
    static const char *const members[] = {"a", "b", "c;d=\"e,f\\\",g\"", "h"};
    struct hf_slice member;
    uint32_t cursor = 0;

    for (size_t i = 0; i < COUNT(members); i++) {
        assert_true(hf_head_next_member(&head, "p", &cursor, &member));
        assert_slice(member, members[i]);
    }
    assert_false(hf_head_next_member(&head, "p", &cursor, &member));
    assert_false(hf_head_next_member(&head, "p", &cursor, &member));
}

static void a_quoted_string_without_end_reaches_to_the_end_of_its_line(void **state)
{
    struct hf_head head = read_head(GET "P: a=\"b, c\r\nP: d=\"\\\r\nP: e\r\n\r\n");
    struct hf_slice member;
    uint32_t cursor = 0;

    assert_true(hf_head_next_member(&head, "P", &cursor, &member));
    assert_slice(member, "a=\"b, c");
    assert_true(hf_head_next_member(&head, "P", &cursor, &member));
    assert_slice(member, "d=\"\\");
    assert_true(hf_head_next_member(&head, "P", &cursor, &member));
    assert_slice(member, "e");
    assert_false(hf_head_next_member(&head, "P", &cursor, &member));
}

static void a_list_that_is_not_there_has_no_members(void **state)
{
    struct hf_head head = read_head(GET "\r\n");
    struct hf_slice member;
    uint32_t cursor = 0;

    assert_false(hf_head_next_member(&head, "P", &cursor, &member));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_header_of_a_name_is_found_in_any_case),
        cmocka_unit_test(duplicates_are_counted),
        cmocka_unit_test(a_token_is_found_in_any_line_and_any_case_but_only_whole),
        cmocka_unit_test(a_list_is_walked_over_all_its_lines),
        cmocka_unit_test(a_quoted_string_without_end_reaches_to_the_end_of_its_line),
        cmocka_unit_test(a_list_that_is_not_there_has_no_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
