/* SPDX-License-Identifier: Apache-2.0 */
/* URLs as tables: what they mean, and what is no URL for us. */
#include "http/url.h"

#include "exact.h"

static void urls_are_taken_apart(void **state)
{
    static const struct {
        const char *text;
        const char *scheme;
        const char *host;
        const char *path;
        const char *query; /* NULL: none */
        uint16_t port;
        bool tls;
        bool ipv6;
    } rows[] = {
        {"http://h", "http", "h", "/", NULL, 80, false, false},
        {"https://h", "https", "h", "/", NULL, 443, true, false},
        {"ws://h/", "ws", "h", "/", NULL, 80, false, false},
        {"wss://h/ws/inbox/?token=a", "wss", "h", "/ws/inbox/", "token=a", 443, true, false},
        {"http://h:1/p?q", "http", "h", "/p", "q", 1, false, false},
        {"http://h:65535?q", "http", "h", "/", "q", 65535, false, false},
        {"http://h?", "http", "h", "/", "", 80, false, false},
        {"http://h/?", "http", "h", "/", "", 80, false, false},
        {"http://h/?a?b", "http", "h", "/", "a?b", 80, false, false},
        {"http://h//a:b/@c", "http", "h", "//a:b/@c", NULL, 80, false, false},
        {"http://App.Example.com.:8080/", "http", "App.Example.com.", "/", NULL, 8080, false,
         false},
        {"http://my_app-1:8000", "http", "my_app-1", "/", NULL, 8000, false, false},
        {"http://127.0.0.1:8000", "http", "127.0.0.1", "/", NULL, 8000, false, false},
        {"wss://[::1]/", "wss", "::1", "/", NULL, 443, true, true},
        {"ws://[2001:db8::1]:81?x", "ws", "2001:db8::1", "/", "x", 81, false, true},
        {"ws://[::ffff:192.0.2.1]", "ws", "::ffff:192.0.2.1", "/", NULL, 80, false, true},
        {"unix:/run/app.sock", "unix", "/run/app.sock", "/", NULL, 0, false, false},
        {"unix:/run/app.sock:/ws?q", "unix", "/run/app.sock", "/ws", "q", 0, false, false},
        {"unix:/run/app.sock:/a:b", "unix", "/run/app.sock", "/a:b", NULL, 0, false, false},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct hf_slice text = exact(hf_slice_of(rows[i].text));
        struct hf_url url;
        const char *why;

        if (!hf_url_parse(text, &url, &why)) {
            fail_msg("%s: %s", rows[i].text, why);
        }
        assert_null(why);
        assert_slice(url.scheme, rows[i].scheme);
        assert_slice(url.host, rows[i].host);
        assert_slice(url.path, rows[i].path);
        assert_int_equal(url.port, rows[i].port);
        assert_int_equal(url.tls, rows[i].tls);
        assert_int_equal(url.host_is_ipv6, rows[i].ipv6);
        assert_true((url.query.ptr == NULL) == (rows[i].query == NULL));
        assert_slice(url.query, rows[i].query == NULL ? "" : rows[i].query);
        exact_free(text);
    }
}

static void what_is_no_url_is_refused_with_a_reason(void **state)
{
    static const char *const texts[] = {
        "",
        "h",
        "/",
        "//h/",
        "http",
        "http:",
        "http:/",
        "http:/h",
        "http://",
        "http:///p",
        "HTTP://h/",
        "Wss://h/",
        "ftp://h/",
        "http+unix://h/",
        "unix",
        "unix:",
        "unix:/",
        "unix:run/app.sock",
        "unix://",
        "unix:///run/app.sock",
        "unix:/run/app.sock:",
        "unix:/run/app.sock:p",
        "http://user@h/",
        "http://user:pass@h/",
        "http://good.example@evil.example/",
        "http://h/#f",
        "http://h#f",
        "http://h\\@evil.example/",
        "http://h/a b",
        " http://h/",
        "http://h/\t",
        "http://h/\n",
        "http://h/\x7f",
        "http://\xc3\xb6.example/",
        "http://h:",
        "http://h:/",
        "http://h:0/",
        "http://h:65536/",
        "http://h:999999/",
        "http://h:000080/",
        "http://h:+1/",
        "http://h:1:2/",
        "http://h:http/",
        "http://::1/",
        "http://[::1/",
        "http://[]/",
        "http://[::1]x/",
        "http://[::1]x80/",
        "http://[::1]1/",
        "http://[h]/",
        "http://[1.2.3.4]/",
        "http://[::1%25eth0]/",
        "http://[::g]/",
        "http://.h/",
        "http://h..h/",
        "http://./",
        "http://h%41/",
        "http://h,h/",
        "http://h;x/",
        "http://*/",
        "http://?q",
    };

    for (size_t i = 0; i < COUNT(texts); i++) {
        struct hf_slice text = exact(hf_slice_of(texts[i]));
        struct hf_url url;
        const char *why = NULL;

        if (hf_url_parse(text, &url, &why)) {
            fail_msg("not refused: %s", texts[i]);
        }
        assert_non_null(why);
        exact_free(text);
    }
}

static void a_nul_inside_is_refused(void **state)
{
    struct hf_url url;
    const char *why;

    assert_false(hf_url_parse(HF_LITERAL("http://h/\0"), &url, &why));
    assert_false(hf_url_parse(HF_LITERAL("http://h\0evil/"), &url, &why));
}

static void every_prefix_of_a_url_is_refused_or_read_without_going_too_far(void **state)
{
    static const char *const texts[] = {"wss://[2001:db8::1]:8443/a/b?c=d&e",
                                        "http://app.example.com:80/x?y",
                                        "unix:/run/app.sock:/ws/chat?token=t"};
    size_t accepted = 0;

    for (size_t i = 0; i < COUNT(texts); i++) {
        for (size_t len = 0; len <= strlen(texts[i]); len++) {
            struct hf_slice text = exact(hf_slice(texts[i], len));
            struct hf_url url;
            const char *why;
            bool ok = hf_url_parse(text, &url, &why);

            assert_true(ok == (why == NULL));
            accepted += ok ? 1 : 0;
            exact_free(text);
        }
    }
    assert_in_range(accepted, 60, 90);
}

static void hosts_labels_and_sockets_have_their_longest(void **state)
{
    char text[400] = "http://";
    struct hf_url url;
    const char *why;

    memset(text + 7, 'a', 64);
    text[70] = '\0'; /* 63 characters */
    assert_true(hf_url_parse(hf_slice_of(text), &url, &why));
    text[70] = 'a';
    assert_false(hf_url_parse(hf_slice_of(text), &url, &why));
    for (size_t i = 7; i < 7 + 253; i++) {
        text[i] = i % 2 == 0 ? '.' : 'a';
    }
    text[7 + 253] = '\0';
    assert_true(hf_url_parse(hf_slice_of(text), &url, &why));
    memcpy(text + 7 + 253, ".", 2);
    assert_false(hf_url_parse(hf_slice_of(text), &url, &why));

    memcpy(text, "unix:/", 6);
    memset(text + 6, 's', 107);
    text[5 + 107] = '\0';
    assert_true(hf_url_parse(hf_slice_of(text), &url, &why));
    text[5 + 107] = 's';
    text[5 + 108] = '\0';
    assert_false(hf_url_parse(hf_slice_of(text), &url, &why));
}

static void a_target_is_split_at_its_first_question_mark(void **state)
{
    struct hf_slice path;
    struct hf_slice query;

    hf_target_split(HF_LITERAL("/a?b?c"), &path, &query);
    assert_slice(path, "/a");
    assert_slice(query, "b?c");
    hf_target_split(HF_LITERAL("/a?"), &path, &query);
    assert_slice(path, "/a");
    assert_slice(query, "");
    assert_non_null(query.ptr);
    hf_target_split(HF_LITERAL("*"), &path, &query);
    assert_slice(path, "*");
    assert_null(query.ptr);
    hf_target_split(hf_slice(NULL, 0), &path, &query);
    assert_int_equal(path.len, 0);
    assert_null(query.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(what_is_no_url_is_refused_with_a_reason),
        cmocka_unit_test(a_nul_inside_is_refused),
        cmocka_unit_test(every_prefix_of_a_url_is_refused_or_read_without_going_too_far),
        cmocka_unit_test(hosts_labels_and_sockets_have_their_longest),
        cmocka_unit_test(a_target_is_split_at_its_first_question_mark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
