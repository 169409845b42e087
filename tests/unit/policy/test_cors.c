/* SPDX-License-Identifier: Apache-2.0 */
/* Who may read an answer from another origin, and with which header lines. */
#include "policy/cors.h"

#include "test_unit.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static enum hf_cors judge(const char *pattern, const char *origin)
{
    const char *patterns[] = {"https://other.example", pattern};
    struct hf_slice o = hf_slice_of(origin);
    return hf_cors_judge(patterns, pattern == NULL ? 0 : 2, origin == NULL ? NULL : &o);
}

static void an_origin_that_somebody_has_named_is_listed(void **state)
{
    assert_int_equal(judge("https://a.example", "https://a.example"), HF_CORS_LISTED);
    assert_int_equal(judge("https://*.example", "https://a.example"), HF_CORS_LISTED);
    assert_int_equal(judge("a.example", "http://a.example"), HF_CORS_LISTED);
}

static void a_pattern_for_all_hosts_lists_nobody(void **state)
{
    assert_int_equal(judge("*", "https://a.example"), HF_CORS_ANY);
    assert_int_equal(judge("https://*", "https://a.example"), HF_CORS_ANY);
    assert_int_equal(judge("https://*:8443", "https://a.example:8443"), HF_CORS_ANY);
    assert_int_equal(judge("*", "https://other.example"), HF_CORS_LISTED);
    assert_int_equal(judge(NULL, "https://a.example"), HF_CORS_ANY);
    assert_int_equal(judge("null", "null"), HF_CORS_ANY); /* every sandboxed frame's */
}

static void an_origin_that_is_none_of_the_routes_is_refused(void **state)
{
    assert_int_equal(judge("https://a.example", "https://b.example"), HF_CORS_REFUSED);
    assert_int_equal(judge("https://a.example", "http://a.example"), HF_CORS_REFUSED);
    assert_int_equal(judge("https://a.example", "null"), HF_CORS_REFUSED);
    assert_int_equal(judge("https://*", "https://a.example\" x"), HF_CORS_REFUSED);
    assert_int_equal(judge("https://a.example", NULL), HF_CORS_NONE);
}

static void assert_lines(enum hf_cors cors, bool preflight, const char *wanted)
{
    struct hf_buffer out;
    struct hf_slice origin = HF_LITERAL("https://a.example");
    hf_buffer_init(&out, &hf_heap, 4096);
    if (preflight) {
        hf_cors_write_preflight(cors, &origin, HF_SECONDS(600), &out);
    } else {
        hf_cors_write(cors, &origin, &out);
    }
    assert_slice(hf_buffer_slice(&out), wanted);
    hf_buffer_reset(&out);
}

#define EXPOSED                                                                                    \
    "Access-Control-Expose-Headers: HF-Received, HF-Seq, HF-Reason, Retry-After, "                 \
    "Holdfast-Cause\r\n"
#define ALLOWED                                                                                    \
    "Access-Control-Allow-Methods: GET, POST\r\n"                                                  \
    "Access-Control-Allow-Headers: HF-Protocol, HF-Open, HF-Resume, HF-Key, HF-Seq, "              \
    "HF-Received, Content-Type, Authorization, Last-Event-ID, Cache-Control\r\n"                   \
    "Access-Control-Max-Age: 600\r\n"

static void only_a_listed_origin_may_use_credentials(void **state)
{
    assert_lines(HF_CORS_LISTED, false,
                 "Access-Control-Allow-Origin: https://a.example\r\n"
                 "Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n" EXPOSED);
    assert_lines(HF_CORS_ANY, false, "Access-Control-Allow-Origin: *\r\n" EXPOSED);
    assert_lines(HF_CORS_REFUSED, false, "Vary: Origin\r\n");
    assert_lines(HF_CORS_NONE, false, "");
}

static void a_preflight_is_told_methods_headers_and_how_long_it_holds(void **state)
{
    assert_lines(HF_CORS_ANY, true, "Access-Control-Allow-Origin: *\r\n" ALLOWED);
    assert_lines(HF_CORS_LISTED, true,
                 "Access-Control-Allow-Origin: https://a.example\r\n"
                 "Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n" ALLOWED);
    assert_lines(HF_CORS_REFUSED, true, "Vary: Origin\r\n");
}

static void a_page_of_the_same_origin_needs_its_host_among_the_patterns(void **state)
{
    const char *patterns[] = {"https://a.example", "http://b.example:8080"};
    assert_true(hf_cors_same_origin(patterns, 2, HF_LITERAL("a.example")));
    assert_true(hf_cors_same_origin(patterns, 2, HF_LITERAL("b.example:8080")));
    assert_false(hf_cors_same_origin(patterns, 2, HF_LITERAL("b.example")));
    assert_false(hf_cors_same_origin(patterns, 2, HF_LITERAL("c.example")));
    assert_false(hf_cors_same_origin(patterns, 2, HF_LITERAL("a.example/")));
    char host[400];
    memset(host, 'a', sizeof(host));
    assert_false(hf_cors_same_origin(patterns, 2, hf_slice(host, sizeof(host))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_origin_that_somebody_has_named_is_listed),
        cmocka_unit_test(a_pattern_for_all_hosts_lists_nobody),
        cmocka_unit_test(an_origin_that_is_none_of_the_routes_is_refused),
        cmocka_unit_test(only_a_listed_origin_may_use_credentials),
        cmocka_unit_test(a_preflight_is_told_methods_headers_and_how_long_it_holds),
        cmocka_unit_test(a_page_of_the_same_origin_needs_its_host_among_the_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
