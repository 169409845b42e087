/* SPDX-License-Identifier: Apache-2.0 */
/* What is in force where, as each server inherits it, and what comments take away. */
#include "lint/lint.h"
#include "test_unit.h"
#include <stdio.h>
#include <stdlib.h>

static const char *text_now;

static bool read_it(void *context, const char *path, struct hf_slice *text, const char **why)
{
    *text = hf_slice_of(text_now);
    *why = "there is no such file";
    return strcmp(path, "main") == 0;
}

static size_t find_none(void *context, const char *pattern, const char *const **paths)
{
    return 0;
}

static struct hf_lint *lint(enum hf_lint_kind kind, const char *text)
{
    const struct hf_lint_loader loader = {NULL, read_it, find_none};
    const struct hf_lint_options options = {.kind = kind};
    text_now = text;
    struct hf_lint *l = hf_lint_new(&hf_heap, &loader, &options);
    assert_non_null(l);
    assert_int_equal(hf_lint_file(l, "main"), HF_OK);
    return l;
}

/* How often a rule was found, and where last. */
static size_t count(const struct hf_lint *l, enum hf_lint_rule rule, uint32_t *line)
{
    size_t n = 0;
    for (size_t i = 0; i < hf_lint_count(l); i++) {
        if (hf_lint_at(l, i)->rule == rule) {
            n++;
            *line = hf_lint_at(l, i)->line;
        }
    }
    return n;
}

static size_t found(enum hf_lint_kind kind, const char *text, enum hf_lint_rule rule)
{
    uint32_t line;
    struct hf_lint *l = lint(kind, text);
    const size_t n = count(l, rule, &line);
    hf_lint_free(l);
    return n;
}

static void a_timeout_of_an_outer_block_is_in_force_inside(void **state)
{
    const char *outer =
        "http { proxy_read_timeout 1h; server { location /ws { proxy_pass http://a; } } }";
    const char *inner = "http { proxy_read_timeout 1h; server { location /ws { proxy_pass "
                        "http://a; proxy_read_timeout 30; } } }";
    const char *beside = "http { server { location /x { proxy_read_timeout 1h; } location /ws { "
                         "proxy_pass http://a; } } }";
    assert_int_equal(found(HF_LINT_NGINX, outer, HF_LINT_NGINX_READ_TIMEOUT), 0);
    assert_int_equal(found(HF_LINT_NGINX, inner, HF_LINT_NGINX_READ_TIMEOUT), 1);
    assert_int_equal(found(HF_LINT_NGINX, beside, HF_LINT_NGINX_READ_TIMEOUT), 1);
}

static void times_are_read_with_their_units(void **state)
{
    static const struct {
        const char *time;
        size_t found;
    } cases[] = {{"60", 1},   {"60s", 1},     {"61s", 0}, {"1m", 1},
                 {"1m1s", 0}, {"60000ms", 1}, {"1h", 0},  {"1d", 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), "location /ws { proxy_pass http://a; proxy_read_timeout %s; }",
                 cases[i].time);
        assert_int_equal(found(HF_LINT_NGINX, text, HF_LINT_NGINX_READ_TIMEOUT), cases[i].found);
    }
}

static void a_place_of_plain_http_is_left_alone(void **state)
{
    struct hf_lint *l =
        lint(HF_LINT_NGINX, "http { server { location /api/ { proxy_pass http://a; } } }");
    assert_int_equal(hf_lint_count(l), 0);
    assert_int_equal(hf_lint_websocket_places(l), 0);
    hf_lint_free(l);
}

static void a_proxy_inherits_from_the_defaults_above_it(void **state)
{
    const char *above = "defaults\n mode http\n timeout tunnel 1h\nbackend a\n server s 1:1\n";
    const char *below =
        "backend a\n mode http\n server s 1:1\ndefaults\n mode http\n timeout tunnel 1h\n";
    const char *named = "defaults x\n mode http\n timeout tunnel 1h\ndefaults y\n mode "
                        "http\nbackend a from x\n server s 1:1\n";
    assert_int_equal(found(HF_LINT_HAPROXY, above, HF_LINT_HAPROXY_TUNNEL_MISSING), 0);
    assert_int_equal(found(HF_LINT_HAPROXY, below, HF_LINT_HAPROXY_TUNNEL_MISSING), 1);
    assert_int_equal(found(HF_LINT_HAPROXY, named, HF_LINT_HAPROXY_TUNNEL_MISSING), 0);
}

static void a_proxy_of_mode_tcp_is_no_place(void **state)
{
    assert_int_equal(found(HF_LINT_HAPROXY, "backend a\n mode tcp\n server s 1:1\n",
                           HF_LINT_HAPROXY_TUNNEL_MISSING),
                     0);
}

static void a_comment_at_the_end_of_a_line_is_for_that_line(void **state)
{
    uint32_t line = 0;
    struct hf_lint *l = lint(
        HF_LINT_HAPROXY,
        "defaults\n timeout client 30 # holdfast-lint: ignore haproxy-unit\n timeout server 30\n");
    assert_int_equal(count(l, HF_LINT_HAPROXY_UNIT, &line), 1);
    assert_int_equal(line, 3);
    assert_int_equal(hf_lint_suppressed(l), 1);
    hf_lint_free(l);
}

static void a_caddy_matcher_by_name_says_what_a_proxy_is_for(void **state)
{
    const char *named = ":80 {\n@live path /ws/*\nreverse_proxy @live a:1\n}\n";
    const char *other = ":80 {\n@live path /pages/*\nreverse_proxy @live a:1\n}\n";
    assert_int_equal(found(HF_LINT_CADDY, named, HF_LINT_CADDY_STREAM_CLOSE), 1);
    assert_int_equal(found(HF_LINT_CADDY, other, HF_LINT_CADDY_STREAM_CLOSE), 0);
}

static void every_prefix_of_a_configuration_is_read_without_harm(void **state)
{
    static const char text[] =
        "a { b 'c\\'d' \"e\" ${f} \\; # holdfast-lint: ignore unreadable\n x_by_lua_block { { } } "
        "}\nmap $http_upgrade $c { default upgrade; }";
    for (size_t n = 0; n < sizeof(text); n++) {
        char *cut = malloc(n + 1);
        memcpy(cut, text, n);
        cut[n] = '\0';
        for (unsigned kind = HF_LINT_NGINX; kind < HF_LINT_KINDS; kind++) {
            hf_lint_free(lint((enum hf_lint_kind)kind, cut));
        }
        free(cut);
    }
}

static void the_kind_is_seen_by_name_and_content(void **state)
{
    assert_int_equal(hf_lint_guess(HF_LITERAL("/etc/caddy/Caddyfile"), HF_LITERAL("")),
                     HF_LINT_CADDY);
    assert_int_equal(hf_lint_guess(HF_LITERAL("x"), HF_LITERAL("global\n maxconn 1\n")),
                     HF_LINT_HAPROXY);
    assert_int_equal(hf_lint_guess(HF_LITERAL("x"), HF_LITERAL("globals\n")), HF_LINT_NGINX);
    assert_int_equal(hf_lint_guess(HF_LITERAL("x"), HF_LITERAL(":80 {\n reverse_proxy a\n}")),
                     HF_LINT_CADDY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timeout_of_an_outer_block_is_in_force_inside),
        cmocka_unit_test(times_are_read_with_their_units),
        cmocka_unit_test(a_place_of_plain_http_is_left_alone),
        cmocka_unit_test(a_proxy_inherits_from_the_defaults_above_it),
        cmocka_unit_test(a_proxy_of_mode_tcp_is_no_place),
        cmocka_unit_test(a_comment_at_the_end_of_a_line_is_for_that_line),
        cmocka_unit_test(a_caddy_matcher_by_name_says_what_a_proxy_is_for),
        cmocka_unit_test(every_prefix_of_a_configuration_is_read_without_harm),
        cmocka_unit_test(the_kind_is_seen_by_name_and_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
