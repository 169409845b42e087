/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: their options, their URL, and what is printed of it. */
#include "probe/target.h"

#include "test_unit.h"

#include <stdlib.h>

static struct hf_target target;
static struct hf_buffer why;

static int setup(void **state)
{
    hf_target_init(&target);
    hf_buffer_init(&why, &hf_heap, 4096);
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY",
                                        "all_proxy",  "ALL_PROXY",   "no_proxy"};
    for (size_t i = 0; i < 6; i++) {
        unsetenv(names[i]);
    }
    return 0;
}

static int teardown(void **state)
{
    hf_target_fini(&target);
    hf_buffer_reset(&why);
    return 0;
}

static int value_of(const char *name)
{
    for (size_t i = 0; i < hf_target_option_count(); i++) {
        if (strcmp(hf_target_options[i].name, name) == 0) {
            return hf_target_options[i].val;
        }
    }
    fail_msg("no option %s", name);
    return 0;
}

static void take(const char *name, const char *value)
{
    const char *fault;
    assert_true(hf_target_take(&target, value_of(name), value, &fault));
    if (fault != NULL) {
        fail_msg("%s", fault);
    }
}

static void refuse(const char *name, const char *value)
{
    const char *fault;
    assert_true(hf_target_take(&target, value_of(name), value, &fault));
    assert_non_null(fault);
}

static void prints_as(const char *wanted)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 4096);
    hf_target_print(&target, &out);
    assert_slice(hf_buffer_slice(&out), wanted);
    hf_buffer_reset(&out);
}

static void a_url_without_a_scheme_is_ws_and_a_default_port_is_filled_in(void **state)
{
    assert_true(hf_target_ready(&target, "example.test/chat", &why));
    assert_string_equal(target.text, "ws://example.test/chat");
    assert_int_equal(target.url.port, 80);
    assert_null(target.tls);
    assert_true(hf_target_ready(&target, "wss://example.test", &why));
    assert_int_equal(target.url.port, 443);
    assert_non_null(target.tls);
    assert_true(hf_target_ready(&target, "unix:/run/app.sock:/ws", &why));
    assert_int_equal(target.url.port, 0);
}

static void secrets_in_the_query_are_not_printed(void **state)
{
    assert_true(hf_target_ready(&target, "ws://h/p?token=abc&a=1", &why));
    prints_as("ws://h/p?token=***&a=1");
    take("token", "abc");
    take("token-query", "who");
    assert_true(hf_target_ready(&target, "ws://h?who=me&b=2", &why));
    prints_as("ws://h?who=***&b=2");
    assert_true(hf_target_ready(&target, "wss://h:8443", &why));
    prints_as("wss://h:8443");
}

static void headers_are_checked_and_at_most_64(void **state)
{
    take("header", "X-A: 1");
    take("header", "X-B:");
    refuse("header", "no colon");
    refuse("header", ": no name");
    refuse("header", "a b: c");
    refuse("header", "X: a\r\nY: b");
    refuse("header", "X: \x7f");
    assert_int_equal(target.header_count, 2);
    while (target.header_count < HF_TARGET_HEADERS) {
        take("header", "X: y");
    }
    refuse("header", "X: y");
}

static void subprotocols_gather_and_are_tokens(void **state)
{
    take("subprotocol", "a");
    take("subprotocol", "b, c");
    assert_string_equal(target.protocols, "a, b, c");
    refuse("subprotocol", "");
    refuse("subprotocol", "a b");
    refuse("subprotocol", "a,,b");
    assert_string_equal(target.protocols, "a, b, c");
}

static void addresses_may_leave_their_port_out(void **state)
{
    take("connect-to", "192.0.2.7");
    assert_int_equal(target.connect_to.u.v4.sin_port, 0);
    take("connect-to", "192.0.2.7:81");
    assert_int_equal(ntohs(target.connect_to.u.v4.sin_port), 81);
    take("connect-to", "2001:db8::1");
    assert_int_equal(target.connect_to.u.any.sa_family, AF_INET6);
    take("connect-to", "[2001:db8::1]:82");
    assert_int_equal(ntohs(target.connect_to.u.v6.sin6_port), 82);
    refuse("connect-to", "name.test");
    refuse("connect-to", "");
    take("resolve", "a.test:443:192.0.2.1");
    take("resolve", "b.test:80:2001:db8::2");
    assert_int_equal(target.resolve_count, 2);
    assert_string_equal(target.resolves[1].host, "b.test");
    assert_int_equal(target.resolves[1].port, 80);
    refuse("resolve", "a.test:192.0.2.1");
    refuse("resolve", "a.test:0:192.0.2.1");
    refuse("resolve", ":80:192.0.2.1");
    refuse("resolve", "a.test:80:unix:/x");
}

static void what_contradicts_itself_is_refused_with_a_reason(void **state)
{
    take("token-query", "t");
    assert_false(hf_target_ready(&target, "ws://h/", &why));
    assert_true(why.len > 0);
    hf_target_fini(&target);
    hf_buffer_clear(&why);
    take("token", "x");
    take("user", "me:pw");
    assert_false(hf_target_ready(&target, "ws://h/", &why));
    assert_true(why.len > 0);
    refuse("user", "no colon");
    refuse("connect-timeout", "5");
    refuse("connect-timeout", "0");
    refuse("message-max", "0");
    take("message-max", "1MiB");
    assert_int_equal(target.message_max, 1 << 20);
}

static void a_bad_url_is_named(void **state)
{
    static const struct {
        const char *url, *printed;
    } bad[] = {{"ftp://h/", "ftp://h/"},
               {"ws://", "ws://"},
               {"ws://h:99999/", "ws://h:99999/"},
               {"ws://h/#f", "ws://h/#f"},
               {"ws://user:secret@h/", "ws://"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        hf_buffer_clear(&why);
        assert_false(hf_target_ready(&target, bad[i].url, &why));
        assert_true(hf_slice_starts(hf_buffer_slice(&why), hf_slice_of(bad[i].printed)));
        assert_int_equal(hf_slice_search(hf_buffer_slice(&why), HF_LITERAL("secret")), why.len);
    }
}

static void the_proxy_of_the_environment_is_taken_unless_one_is_named(void **state)
{
    setenv("http_proxy", "http://proxy.test:3128", 1);
    assert_true(hf_target_ready(&target, "ws://h.test/", &why));
    assert_true(target.way.used);
    assert_slice(target.way.host, "proxy.test");
    assert_true(hf_target_ready(&target, "ws://127.0.0.1/", &why));
    assert_false(target.way.used);
    take("proxy", "");
    assert_true(hf_target_ready(&target, "ws://h.test/", &why));
    assert_false(target.way.used);
    take("proxy", "socks5://x");
    assert_false(hf_target_ready(&target, "ws://h.test/", &why));
}

static void this_machine_is_known_by_the_words_alone(void **state)
{
    static const struct {
        const char *url;
        bool own;
    } rows[] = {{"ws://localhost/", true},      {"ws://127.8.9.1:80/", true},
                {"ws://[::1]/", true},          {"unix:/run/a.sock", true},
                {"ws://192.0.2.1/", false},     {"ws://[2001:db8::1]/", false},
                {"ws://localhost.test/", false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(hf_target_ready(&target, rows[i].url, &why));
        assert_int_equal(hf_target_is_own(&target), rows[i].own);
    }
    take("connect-to", "127.0.0.1");
    assert_true(hf_target_ready(&target, "ws://name.test/", &why));
    assert_true(hf_target_is_own(&target));
    take("connect-to", "192.0.2.1");
    assert_true(hf_target_ready(&target, "ws://localhost/", &why));
    assert_false(hf_target_is_own(&target));
    target.connect_to.len = 0;
    take("proxy", "http://proxy.test");
    assert_true(hf_target_ready(&target, "ws://localhost/", &why));
    assert_false(hf_target_is_own(&target));
}

static void a_commands_options_stand_behind_those_of_the_target(void **state)
{
    static const struct option own[] = {{"own", no_argument, NULL, HF_TARGET_OPTION_END},
                                        {NULL, 0, NULL, 0}};
    struct option all[64];
    const char *fault;
    hf_target_options_join(own, all, 64);
    const size_t count = hf_target_option_count();
    assert_string_equal(all[count].name, "own");
    assert_null(all[count + 1].name);
    assert_false(hf_target_take(&target, HF_TARGET_OPTION_END, NULL, &fault));
    for (size_t i = 0; i < count; i++) {
        char quoted[64];
        (void)snprintf(quoted, sizeof(quoted), "--%s", all[i].name);
        assert_non_null(strstr(hf_target_help(), quoted));
        assert_true(all[i].val < HF_TARGET_OPTION_END);
    }
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(a_url_without_a_scheme_is_ws_and_a_default_port_is_filled_in),
        ROW(secrets_in_the_query_are_not_printed),
        ROW(headers_are_checked_and_at_most_64),
        ROW(subprotocols_gather_and_are_tokens),
        ROW(addresses_may_leave_their_port_out),
        ROW(what_contradicts_itself_is_refused_with_a_reason),
        ROW(a_bad_url_is_named),
        ROW(the_proxy_of_the_environment_is_taken_unless_one_is_named),
        ROW(this_machine_is_known_by_the_words_alone),
        ROW(a_commands_options_stand_behind_those_of_the_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
