/* SPDX-License-Identifier: Apache-2.0 */
/* Paths for comparing, queries, percent coding and cookies. */
#include "http/url.h"

#include "exact.h"

#include <stdio.h>

static const char refused[] = "refused";

/* Runs f on text in memory of its own and gives the result as a string, or `refused`. */
static const char *through(bool (*f)(struct hf_slice, struct hf_buffer *), struct hf_slice text)
{
    static char result[256];
    struct hf_slice copy = exact(text);
    struct hf_buffer out;
    bool ok;

    hf_buffer_init(&out, &hf_heap, sizeof(result) - 1);
    ok = f(copy, &out);
    if (ok && out.len > 0) {
        memcpy(result, out.data, out.len);
    }
    result[out.len] = '\0';
    hf_buffer_reset(&out);
    exact_free(copy);
    return ok ? result : refused;
}

static void paths_have_one_normal_form(void **state)
{
    static const char *const rows[][2] = {
        {"/", "/"},
        {"/ws/inbox/", "/ws/inbox/"},
        {"/%77s/%49nbox%2d%2E%5F%7e", "/ws/Inbox-._~"},
        {"/a%20b%c3%b6%3fx", "/a%20b%C3%B6%3Fx"},
        {"/%252e%252e/", "/%252e%252e/"},
        {"//a", "//a"},
        {"/...", "/..."},
        {"/.a/a./..a", "/.a/a./..a"},
        {"/a;b=c/@:,+&=$!*'()", "/a;b=c/@:,+&=$!*'()"},
        {"/%25", "/%25"},
        {"/a\"b<c>{}|^`", "/a\"b<c>{}|^`"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_string_equal(through(hf_path_normal, hf_slice_of(rows[i][0])), rows[i][1]);
    }
}

static void paths_that_could_lead_elsewhere_are_refused(void **state)
{
    static const char *const paths[] = {
        "",        "a",     "*",         "%2f",    "/..",       "/.",       "/../",
        "/./",     "/a/..", "/a/../b",   "/a/./b", "/%2e",      "/%2E%2e/", "/.%2e",
        "/a/%2e.", "/..;/", "/..;x=y/",  "/.;",    "/a%2fb",    "/a%2Fb",   "/a%5cb",
        "/a%5Cb",  "/a\\b", "/a\\..\\b", "/%00",   "/a%00.png", "/%",       "/%2",
        "/%zz",    "/%2z",  "/a b",      "/a\tb",  "/a\r\n",    "/\x7f",    "/\xc3\xb6",
        "/a?b",    "/a#b",  "/a%",
    };

    for (size_t i = 0; i < COUNT(paths); i++) {
        if (through(hf_path_normal, hf_slice_of(paths[i])) != refused) {
            fail_msg("not refused: %s", paths[i]);
        }
    }
    assert_string_equal(through(hf_path_normal, HF_LITERAL("/a\0b")), refused);
}

static void a_normal_path_is_its_own_normal_form(void **state)
{
    char once[64];

    (void)snprintf(once, sizeof(once), "%s",
                   through(hf_path_normal, HF_LITERAL("/%41%3f/%e2%82%ac//x")));
    assert_string_equal(once, "/A%3F/%E2%82%AC//x");
    assert_string_equal(through(hf_path_normal, hf_slice_of(once)), once);
}

static void percent_coding_is_taken_off(void **state)
{
    assert_string_equal(through(hf_percent_decode, HF_LITERAL("")), "");
    assert_string_equal(through(hf_percent_decode, HF_LITERAL("a+b%20c%2B%2b")), "a b c++");
    assert_string_equal(through(hf_percent_decode, HF_LITERAL("%e2%82%AC")), "\xe2\x82\xac");
    assert_string_equal(through(hf_percent_decode, HF_LITERAL("%2541")), "%41");
    assert_string_equal(through(hf_percent_decode, HF_LITERAL("%")), refused);
    assert_string_equal(through(hf_percent_decode, HF_LITERAL("a%4")), refused);
    assert_string_equal(through(hf_percent_decode, HF_LITERAL("%g1")), refused);
    assert_string_equal(through(hf_percent_decode, HF_LITERAL("% 1")), refused);
    assert_string_equal(through(hf_percent_decode, HF_LITERAL("a%00")), refused);
    assert_string_equal(through(hf_percent_decode, HF_LITERAL("a\0b")), refused);
}

static void a_full_buffer_refuses(void **state)
{
    struct hf_buffer out;

    hf_buffer_init(&out, &hf_heap, 3);
    assert_false(hf_percent_decode(HF_LITERAL("abcd"), &out));
    hf_buffer_reset(&out);
    assert_false(hf_path_normal(HF_LITERAL("/%3f"), &out));
    hf_buffer_reset(&out);
    assert_int_equal(hf_query_remove(HF_LITERAL("/?ab"), HF_LITERAL("t"), &out), HF_NO_MEMORY);
    hf_buffer_reset(&out);
}

static void parameters_are_found_by_their_decoded_name(void **state)
{
    static const struct {
        const char *query;
        const char *name;
        const char *value; /* NULL: not there */
    } rows[] = {
        {"token=a", "token", "a"},
        {"x=1&token=a.b%2Bc+d&y", "token", "a.b%2Bc+d"},
        {"token=a&token=b", "token", "a"},
        {"token", "token", ""},
        {"token=", "token", ""},
        {"token==", "token", "="},
        {"t%6Fken=a", "token", "a"},
        {"my+name=a", "my name", "a"},
        {"my%20name=a", "my name", "a"},
        {"tokens=a", "token", NULL},
        {"toke=a", "token", NULL},
        {"Token=a", "token", NULL},
        {"atoken=a", "token", NULL},
        {"x=token=a", "token", NULL},
        {"t%6=a", "t%6", NULL},
        {"t%6", "t", NULL},
        {"%zz&token=a", "token", "a"},
        {"", "token", NULL},
        {"&&token=a", "token", "a"},
        {"", "", NULL},
        {"&", "", NULL},
        {"=a", "", "a"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_slice query = exact(hf_slice_of(rows[i].query));
        struct hf_slice value = {NULL, 99};
        bool found = hf_query_find(query, hf_slice_of(rows[i].name), &value);

        if (found != (rows[i].value != NULL)) {
            fail_msg("%s in %s: %d", rows[i].name, rows[i].query, found);
        }
        if (found) {
            assert_slice(value, rows[i].value);
        }
        exact_free(query);
    }
}

static void a_target_without_a_query_has_no_parameters(void **state)
{
    struct hf_slice value;

    assert_false(hf_query_find(hf_slice(NULL, 0), HF_LITERAL("token"), &value));
}

static void removing_a_parameter_leaves_everything_else_byte_for_byte(void **state)
{
    static const char *const rows[][2] = {
        {"/ws?token=a", "/ws"},
        {"/ws?token=a&x=1", "/ws?x=1"},
        {"/ws?x=1&token=a", "/ws?x=1"},
        {"/ws?x=1&token=a&y=%zz+%20", "/ws?x=1&y=%zz+%20"},
        {"/ws?token=a&x&t%6fken=b&y&token", "/ws?x&y"},
        {"/ws?token=a&", "/ws?"},
        {"/ws?&token=a", "/ws?"},
        {"/ws?x&&token=a&&y", "/ws?x&&&y"},
        {"/ws", "/ws"},
        {"/ws?", "/ws?"},
        {"/ws?&", "/ws?&"},
        {"/ws?x=token", "/ws?x=token"},
        {"/token=a", "/token=a"},
        {"/ws?a?token=b", "/ws?a?token=b"},
        {"*", "*"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_slice target = exact(hf_slice_of(rows[i][0]));
        struct hf_buffer out;

        hf_buffer_init(&out, &hf_heap, 256);
        assert_int_equal(hf_query_remove(target, HF_LITERAL("token"), &out), HF_OK);
        assert_slice(hf_buffer_slice(&out), rows[i][1]);
        hf_buffer_reset(&out);
        exact_free(target);
    }
}

static void a_replaced_parameter_is_encoded_and_everything_else_stays_byte_for_byte(void **state)
{
    static const char *const rows[][2] = {
        {"/ws?token=old", "/ws?token=n.e-w%2B%3D"},
        {"/ws?x=%41&token=old&&y", "/ws?x=%41&token=n.e-w%2B%3D&&y"},
        {"/ws?t%6Fken=old&tokens=1", "/ws?t%6Fken=n.e-w%2B%3D&tokens=1"},
        {"/ws?token", "/ws?token=n.e-w%2B%3D"},
        {"/ws?token=a&token=b", "/ws?token=n.e-w%2B%3D&token=n.e-w%2B%3D"},
        {"/ws?", "/ws?"},
        {"/ws", "/ws"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_slice target = exact(hf_slice_of(rows[i][0]));
        struct hf_buffer out;

        hf_buffer_init(&out, &hf_heap, 256);
        assert_int_equal(hf_query_replace(target, HF_LITERAL("token"), HF_LITERAL("n.e-w+="), &out),
                         HF_OK);
        assert_slice(hf_buffer_slice(&out), rows[i][1]);
        hf_buffer_reset(&out);
        exact_free(target);
    }
}

static void cookies_are_found_by_their_exact_name(void **state)
{
    static const struct {
        const char *cookies;
        const char *value; /* of "sid"; NULL: not there */
    } rows[] = {
        {"sid=a", "a"},         {"x=1; sid=a; y=2", "a"},
        {"x=1;sid=a;y=2", "a"}, {"sid=a; sid=b", "a"},
        {"sid=\"a b\"", "a b"}, {"sid=\"", "\""},
        {"sid=\"\"", ""},       {"sid=", ""},
        {"sid=a=b==", "a=b=="}, {" sid = a ", "a"},
        {"SID=a", NULL},        {"xsid=a", NULL},
        {"sids=a", NULL},       {"sid", NULL},
        {"x=sid=a", NULL},      {"", NULL},
        {";;", NULL},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_slice cookies = exact(hf_slice_of(rows[i].cookies));
        struct hf_slice value = {NULL, 99};
        bool found = hf_cookie_find(cookies, HF_LITERAL("sid"), &value);

        if (found != (rows[i].value != NULL)) {
            fail_msg("%s: %d", rows[i].cookies, found);
        }
        if (found) {
            assert_slice(value, rows[i].value);
        }
        exact_free(cookies);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_have_one_normal_form),
        cmocka_unit_test(paths_that_could_lead_elsewhere_are_refused),
        cmocka_unit_test(a_normal_path_is_its_own_normal_form),
        cmocka_unit_test(percent_coding_is_taken_off),
        cmocka_unit_test(a_full_buffer_refuses),
        cmocka_unit_test(parameters_are_found_by_their_decoded_name),
        cmocka_unit_test(a_target_without_a_query_has_no_parameters),
        cmocka_unit_test(removing_a_parameter_leaves_everything_else_byte_for_byte),
        cmocka_unit_test(a_replaced_parameter_is_encoded_and_everything_else_stays_byte_for_byte),
        cmocka_unit_test(cookies_are_found_by_their_exact_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
