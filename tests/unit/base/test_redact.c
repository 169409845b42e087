/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets do not get out. */
#include "test_alloc.h"
#include "test_unit.h"

#include "base/redact.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_redacted(const char *target, const char *wanted)
{
    struct test_alloc ta;
    struct hf_buffer out;
    test_alloc_init(&ta);
    hf_buffer_init(&out, &ta.alloc, 1000);
    hf_redact_target(hf_slice_of(target), &out);
    assert_false(out.failed);
    assert_slice(hf_buffer_slice(&out), wanted);
    hf_buffer_reset(&out);
    assert_int_equal(ta.live_blocks, 0);
}

static void each_secret_parameter_is_hidden_whatever_its_case_and_place(void **state)
{
    static const char *const names[] = {"token",        "access_token", "id_token",     "jwt",
                                        "auth",         "key",          "api_key",      "secret",
                                        "password",     "ticket",       "sig",          "TOKEN",
                                        "Access_Token", "apiKey",       "access-token", "token[]"};
    for (size_t i = 0; i < COUNT(names); i++) {
        char target[200], wanted[200];
        for (int place = 0; place < 3; place++) {
            const char *before = place == 0 ? "" : "a=1&";
            const char *behind = place == 2 ? "" : "&b=2";
            (void)snprintf(target, sizeof(target), "/ws/?%s%s=eyJhbGciOi.J9%s", before, names[i],
                           behind);
            (void)snprintf(wanted, sizeof(wanted), "/ws/?%s%s=***%s", before, names[i], behind);
            assert_redacted(target, wanted);
        }
    }
}

static void a_percent_encoded_name_hides_nothing(void **state)
{
    assert_redacted("/ws?%74oken=abc", "/ws?%74oken=***");
    assert_redacted("/ws?%74%6F%6b%65%6E=abc&x=1", "/ws?%74%6F%6b%65%6E=***&x=1");
    assert_redacted("/ws?access%5Ftoken=abc", "/ws?access%5Ftoken=***");
    assert_redacted("/ws?%7token=abc", "/ws?%7token=abc");
    assert_redacted("/ws?token%=abc", "/ws?token%=abc");
}

static void semicolons_separate_pairs_as_well(void **state)
{
    assert_redacted("/ws?a=1;token=abc;b=2", "/ws?a=1;token=***;b=2");
    assert_redacted("/ws?flag;token=abc", "/ws?flag;token=***");
    assert_redacted("/ws?;token=abc", "/ws?;token=***");
    assert_redacted("/ws?a=1&amp;token=abc", "/ws?a=1&amp;token=***");
    assert_redacted("/ws?token=abc;key=def&sig=x", "/ws?token=***;key=***&sig=***");
}

static void a_secret_that_holds_a_semicolon_is_hidden_whole(void **state)
{
    assert_redacted("/ws?token=abc;def", "/ws?token=***");
    assert_redacted("/ws?token=abc;def&b=2", "/ws?token=***&b=2");
    assert_redacted("/ws?token=abc;def==&b=2", "/ws?token=***&b=2");
    assert_redacted("/ws?token=abc;;b=2", "/ws?token=***;b=2");
    assert_redacted("/ws?token=a=b==&b=2", "/ws?token=***&b=2");
    assert_redacted("/ws?token=a?b#c/d&b=2", "/ws?token=***&b=2");
}

static void everything_else_is_copied_byte_for_byte(void **state)
{
    static const char *const same[] = {
        "",
        "/",
        "/ws",
        "/token=abc",
        "/ws?",
        "/ws?token",
        "/ws?a=1&&b",
        "/ws?tokens=1",
        "/ws?mytoken=1",
        "/ws?keys=1&user=a%20b",
        "/ws?=abc",
        "/ws?a=token=abc",
        "/ws?token=",
        "/ws?token=&b=2",
        "/ws?monkey=1",
        "/ws?averyveryverylongnametoken=1",
        "?a",
        "/ws?;;&=&",
    };
    for (size_t i = 0; i < COUNT(same); i++) {
        assert_redacted(same[i], same[i]);
    }
    assert_redacted("/ws?token=a&token=b&token=&x", "/ws?token=***&token=***&token=&x");
}

static void a_buffer_that_is_full_says_so(void **state)
{
    struct test_alloc ta;
    struct hf_buffer out;
    test_alloc_init(&ta);
    hf_buffer_init(&out, &ta.alloc, 8);
    hf_redact_target(HF_LITERAL("/ws?token=abc"), &out);
    assert_true(out.failed);
    hf_buffer_reset(&out);
}

static void the_header_fields_that_carry_secrets_are_known(void **state)
{
    assert_true(hf_redact_header(HF_LITERAL("Authorization")));
    assert_true(hf_redact_header(HF_LITERAL("COOKIE")));
    assert_true(hf_redact_header(HF_LITERAL("set-cookie")));
    assert_true(hf_redact_header(HF_LITERAL("Proxy-Authorization")));
    assert_false(hf_redact_header(HF_LITERAL("Host")));
    assert_false(hf_redact_header(HF_LITERAL("Cookie2")));
    assert_false(hf_redact_header(HF_LITERAL("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_secret_parameter_is_hidden_whatever_its_case_and_place),
        cmocka_unit_test(a_percent_encoded_name_hides_nothing),
        cmocka_unit_test(semicolons_separate_pairs_as_well),
        cmocka_unit_test(a_secret_that_holds_a_semicolon_is_hidden_whole),
        cmocka_unit_test(everything_else_is_copied_byte_for_byte),
        cmocka_unit_test(a_buffer_that_is_full_says_so),
        cmocka_unit_test(the_header_fields_that_carry_secrets_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
