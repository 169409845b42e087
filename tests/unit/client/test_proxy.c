/* SPDX-License-Identifier: Apache-2.0 */
/* Which proxy a connection takes: the environment's variables, and proxies that are named. */
#include "client/proxy.h"

#include "test_unit.h"

#include <stdlib.h>

static char http_text[] = "http://web.proxy:3128";
static char https_text[] = "http://user:p%40ss@tls.proxy:8080/";
static char all_text[] = "http://[2001:db8::1]:81";

static bool choose(const struct hf_proxy_environment *e, const char *named, const char *url_text,
                   struct hf_proxy *proxy, const char **why)
{
    struct hf_url url;
    assert_true(hf_url_parse(hf_slice_of(url_text), &url, why));
    return hf_proxy_choose(e, named, &url, proxy, why);
}

static void ws_takes_http_proxy_and_wss_takes_https_proxy(void **state)
{
    const struct hf_proxy_environment e = {.http = http_text, .https = https_text};
    struct hf_proxy proxy;
    const char *why;
    assert_true(choose(&e, NULL, "ws://app.example/x", &proxy, &why));
    assert_true(proxy.used);
    assert_slice(proxy.host, "web.proxy");
    assert_int_equal(proxy.port, 3128);
    assert_int_equal(proxy.credentials.len, 0);
    assert_true(choose(&e, NULL, "wss://app.example/x", &proxy, &why));
    assert_slice(proxy.host, "tls.proxy");
    assert_int_equal(proxy.port, 8080);
    assert_slice(proxy.credentials, "user:p%40ss");
}

static void all_proxy_is_taken_when_there_is_none_for_the_scheme(void **state)
{
    const struct hf_proxy_environment e = {.http = http_text, .all = all_text};
    struct hf_proxy proxy;
    const char *why;
    assert_true(choose(&e, NULL, "wss://app.example/", &proxy, &why));
    assert_slice(proxy.host, "2001:db8::1");
    assert_int_equal(proxy.port, 81);
    assert_true(choose(&e, NULL, "ws://app.example/", &proxy, &why));
    assert_slice(proxy.host, "web.proxy");
}

static void a_named_proxy_or_none_goes_before_the_environment(void **state)
{
    const struct hf_proxy_environment e = {.all = all_text};
    struct hf_proxy proxy;
    const char *why;
    assert_true(choose(&e, "", "ws://app.example/", &proxy, &why));
    assert_false(proxy.used);
    assert_true(choose(&e, "http://other", "ws://127.0.0.1/", &proxy, &why));
    assert_true(proxy.used);
    assert_slice(proxy.host, "other");
    assert_int_equal(proxy.port, 80);
}

static void the_machine_itself_and_unix_sockets_take_no_proxy_of_the_environment(void **state)
{
    static char nothing[] = "example.org";
    struct hf_proxy_environment e = {.all = all_text};
    static const char *const own[] = {"ws://localhost/", "ws://127.8.0.1:81/", "ws://[::1]/",
                                      "unix:/run/app.sock:/x"};
    struct hf_proxy proxy;
    const char *why;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        assert_true(choose(&e, NULL, own[i], &proxy, &why));
        assert_false(proxy.used);
    }
    e.no = nothing;
    assert_true(choose(&e, NULL, "ws://127.0.0.1/", &proxy, &why));
    assert_true(proxy.used);
}

static void no_proxy_names_hosts_domains_addresses_and_blocks(void **state)
{
    static const struct {
        const char *no, *host;
        bool excepted;
        uint16_t port;
    } cases[] = {
        {"example.com", "example.com", true, 80},
        {"example.com", "a.b.Example.com", true, 80},
        {"example.com", "badexample.com", false, 80},
        {".example.com", "a.example.com", true, 80},
        {"*.example.com", "a.example.com", true, 80},
        {"other, example.com", "example.com", true, 80},
        {"other example.com", "example.com", true, 80},
        {"example.com:8443", "example.com", false, 443},
        {"example.com:443", "example.com", true, 443},
        {"*", "anything", true, 80},
        {"10.0.0.0/8", "10.1.2.3", true, 80},
        {"10.0.0.0/8", "11.1.2.3", false, 80},
        {"192.0.2.1", "192.0.2.1", true, 80},
        {"2001:db8::/32", "2001:db8::7", true, 80},
        {"2001:db8::7", "2001:db8::7", true, 80},
        {"10.0.0.0/8", "ten.example", false, 80},
        {"", "example.com", false, 80},
        {",,", "example.com", false, 80},
        {".", "example.com", false, 80},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const bool got = hf_proxy_is_excepted(hf_slice_of(cases[i].no), hf_slice_of(cases[i].host),
                                              cases[i].port);
        if (got != cases[i].excepted) {
            fail_msg("no_proxy=%s, %s:%u: %d", cases[i].no, cases[i].host, cases[i].port, got);
        }
    }
}

static void a_proxy_that_cannot_be_read_is_told(void **state)
{
    static const char *const bad[] = {"https://p",  "socks5://p:1080", "http://",
                                      "http://p:0", "http://p:x",      "http://p:70000",
                                      "http://u@",  "http://[::1]x"};
    const struct hf_proxy_environment e = {.http = NULL};
    struct hf_proxy proxy;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *why = NULL;
        if (choose(&e, bad[i], "ws://app.example/", &proxy, &why)) {
            fail_msg("%s was taken", bad[i]);
        }
        assert_non_null(why);
    }
}

static void the_environment_is_read_as_everybody_reads_it(void **state)
{
    struct hf_proxy_environment e;
    unsetenv("http_proxy");
    setenv("HTTP_PROXY", "http://evil", 1); /* in a CGI program: a header of the request */
    unsetenv("https_proxy");
    setenv("HTTPS_PROXY", "http://upper", 1);
    setenv("all_proxy", "", 1);
    setenv("ALL_PROXY", "http://all", 1);
    setenv("no_proxy", "lower", 1);
    setenv("NO_PROXY", "upper", 1);
    hf_proxy_environment_read(&e);
    assert_null(e.http);
    assert_string_equal(e.https, "http://upper");
    assert_string_equal(e.all, "http://all");
    assert_string_equal(e.no, "lower");
    hf_proxy_environment_fini(&e);
    assert_null(e.no);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ws_takes_http_proxy_and_wss_takes_https_proxy),
        cmocka_unit_test(all_proxy_is_taken_when_there_is_none_for_the_scheme),
        cmocka_unit_test(a_named_proxy_or_none_goes_before_the_environment),
        cmocka_unit_test(the_machine_itself_and_unix_sockets_take_no_proxy_of_the_environment),
        cmocka_unit_test(no_proxy_names_hosts_domains_addresses_and_blocks),
        cmocka_unit_test(a_proxy_that_cannot_be_read_is_told),
        cmocka_unit_test(the_environment_is_read_as_everybody_reads_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
