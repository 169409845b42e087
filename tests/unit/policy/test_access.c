/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts, origins and addresses, and the tricks that strangers try on them. */
#include "base/random.h"
#include "policy/access.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
/* cmocka needs the four above. */
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool host(const char *pattern, const char *value)
{
    return hf_host_matches(hf_slice_of(pattern), hf_slice_of(value));
}

static bool origin(const char *pattern, const char *value)
{
    return hf_origin_matches(hf_slice_of(pattern), hf_slice_of(value));
}

static void an_exact_host_matches_itself_in_any_case_with_any_port_or_a_trailing_dot(void **state)
{
    assert_true(host("app.example.com", "app.example.com"));
    assert_true(host("app.example.com", "APP.Example.COM"));
    assert_true(host("App.Example.Com", "app.example.com"));
    assert_true(host("app.example.com", "app.example.com:8443"));
    assert_true(host("app.example.com", "app.example.com."));
    assert_true(host("app.example.com.", "app.example.com"));
    assert_true(host("app.example.com", "app.example.com.:443"));
    assert_true(host("127.0.0.1", "127.0.0.1:8000"));
    assert_true(host("localhost", "localhost:3000"));
    assert_true(host("my_service", "my_service:8000"));
}

static void a_name_around_or_beside_the_allowed_one_does_not_match(void **state)
{
    static const char *const tricks[] = {
        "example.com.evil.com",
        "evil-example.com",
        "evilexample.com",
        "app.example.com",
        "example.co",
        "example.comm",
        "example.com-evil",
        "example.com:80.evil.com",
        "example.com@evil.com",
        "evil.com@example.com",
        "evil.com#example.com",
        "evil.com/example.com",
        "example.com/",
        "example.com\\",
        " example.com",
        "example.com ",
        "example.com\t",
        "example%2ecom",
        "example.com:",
        "example.com:0",
        "example.com:65536",
        "example.com:080",
        "example.com:+80",
        "example.com:80:80",
        "example.com..",
        ".example.com",
        "exam..ple.com",
        "example.com, example.com",
        "*",
        "*.example.com",
        "[example.com]",
        "-example.com",
        "",
        ".",
        ":80",
        "\xc3\xa9xample.com",
    };
    for (size_t i = 0; i < COUNT(tricks); i++) {
        assert_false(host("example.com", tricks[i]));
    }
}

static void a_star_takes_every_well_formed_host_and_nothing_else(void **state)
{
    assert_true(host("*", "example.com"));
    assert_true(host("*", "localhost:8000"));
    assert_true(host("*", "[::1]:8000"));
    assert_false(host("*", ""));
    assert_false(host("*", "a b"));
    assert_false(host("*", "a-.example.com"));
    assert_false(host("*", "-a.example.com"));
    assert_false(host("*", "user@example.com"));
    assert_true(host("*:8443", "example.com:8443"));
    assert_false(host("*:8443", "example.com"));
}

static void a_wildcard_takes_every_name_below_and_not_the_name_itself(void **state)
{
    assert_true(host("*.example.com", "app.example.com"));
    assert_true(host("*.example.com", "a.b.example.com:8443"));
    assert_true(host("*.EXAMPLE.com", "x.example.COM."));
    assert_false(host("*.example.com", "example.com"));
    assert_false(host("*.example.com", ".example.com"));
    assert_false(host("*.example.com", "evil-example.com"));
    assert_false(host("*.example.com", "app.example.com.evil.com"));
    assert_false(host("*.example.com", "app.example.org"));
    assert_false(host("*.example.com", "*.example.com"));
    assert_false(host("*.0.1", "[::1]"));
}

static void a_port_in_the_pattern_must_be_there(void **state)
{
    assert_true(host("example.com:8443", "example.com:8443"));
    assert_false(host("example.com:8443", "example.com:844"));
    assert_false(host("example.com:8443", "example.com"));
    assert_true(host("*.example.com:8443", "a.example.com:8443"));
    assert_false(host("*.example.com:8443", "a.example.com:8444"));
}

static void ipv6_hosts_are_compared_as_addresses(void **state)
{
    assert_true(host("[::1]", "[::1]"));
    assert_true(host("[::1]", "[0:0:0:0:0:0:0:1]:8000"));
    assert_true(host("[2001:DB8::1]:443", "[2001:db8:0::1]:443"));
    assert_false(host("[::1]", "[::2]"));
    assert_false(host("[::1]", "::1"));
    assert_false(host("[::1]", "[::1"));
    assert_false(host("[::1]", "[::1]x"));
    assert_false(host("[::1]", "[::1]."));
    assert_false(host("[::1]", "[::1%lo]"));
    assert_false(host("[::1]", "[]"));
}

static void a_nul_inside_ends_nothing(void **state)
{
    assert_false(hf_host_matches(HF_LITERAL("example.com"), HF_LITERAL("example.com\0.evil.com")));
    assert_false(hf_host_matches(HF_LITERAL("example.com"), HF_LITERAL("example.com\0")));
    assert_false(hf_host_matches(HF_LITERAL("*"), HF_LITERAL("\0")));
    assert_false(hf_origin_matches(HF_LITERAL("https://example.com"),
                                   HF_LITERAL("https://example.com\0.evil.com")));
    assert_false(hf_origin_matches(HF_LITERAL("null"), HF_LITERAL("null\0")));
    uint8_t address[16];
    assert_false(hf_ip_parse(HF_LITERAL("192.0.2.1\0"), address));
}

static void names_keep_the_limits_of_the_dns(void **state)
{
    char label[65];
    memset(label, 'a', 64);
    label[64] = '\0';
    assert_false(host("*", label));
    assert_true(host("*", label + 1));
    char name[256];
    for (size_t i = 0; i < 254; i++) {
        name[i] = i % 50 == 49 ? '.' : 'b';
    }
    assert_true(hf_host_matches(HF_LITERAL("*"), hf_slice(name, 253)));
    assert_false(hf_host_matches(HF_LITERAL("*"), hf_slice(name, 254)));
}

static void host_patterns_that_could_never_match_are_invalid(void **state)
{
    static const char *const good[] = {
        "example.com",       "*.example.com", "*",        "*:80",     "*.com",
        "example.com:65535", "[::1]",         "[::1]:80", "10.0.0.1", "a."};
    static const char *const bad[] = {"",
                                      "*.",
                                      "**",
                                      "*example.com",
                                      "a.*.com",
                                      "*.*.com",
                                      "example.com:",
                                      "example.com:65536",
                                      "[::1",
                                      "*.[::1]",
                                      "https://a",
                                      "a/b",
                                      "a b",
                                      "a..b",
                                      ":80",
                                      "user@a",
                                      "a:b",
                                      "*..com",
                                      "."};
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(hf_host_pattern_is_valid(hf_slice_of(good[i])));
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(hf_host_pattern_is_valid(hf_slice_of(bad[i])));
        assert_false(host(bad[i], bad[i]));
    }
}

static void an_origin_is_scheme_host_and_port_with_defaults_filled_in(void **state)
{
    assert_true(origin("https://app.example.com", "https://app.example.com"));
    assert_true(origin("https://app.example.com", "HTTPS://App.example.com"));
    assert_true(origin("https://app.example.com", "https://app.example.com:443"));
    assert_true(origin("https://app.example.com:443", "https://app.example.com"));
    assert_true(origin("http://app.example.com:80", "http://app.example.com"));
    assert_true(origin("http://localhost:3000", "http://localhost:3000"));
    assert_true(origin("https://[::1]:8443", "https://[0::1]:8443"));
    assert_false(origin("https://app.example.com", "http://app.example.com"));
    assert_false(origin("https://app.example.com", "https://app.example.com:8443"));
    assert_false(origin("https://app.example.com", "https://app.example.com:80"));
    assert_false(origin("https://app.example.com:8443", "https://app.example.com"));
    assert_false(origin("https://app.example.com", "wss://app.example.com"));
}

static void an_origin_around_or_beside_the_allowed_one_does_not_match(void **state)
{
    static const char *const tricks[] = {
        "https://example.com.evil.com",
        "https://evil-example.com",
        "https://evilexample.com",
        "https://app.example.com",
        "https://user@example.com",
        "https://user:pass@example.com",
        "https://example.com@evil.com",
        "https://example.com:443@evil.com",
        "https://example.com/",
        "https://example.com/path",
        "https://example.com?x",
        "https://example.com#x",
        "https://example.com:",
        "https://example.com:0443",
        "https://example.com https://evil.com",
        "https://evil.com https://example.com",
        "https://example.com,https://evil.com",
        "https:/example.com",
        "https:example.com",
        "https:///example.com",
        "https:\\\\example.com",
        "//example.com",
        "://example.com",
        "1https://example.com",
        "ht tps://example.com",
        "evil://https://example.com",
        "https://https://example.com",
        "javascript:https://example.com",
        "https://*",
        "https://",
        "example.com",
        "null",
        "*",
        "",
    };
    for (size_t i = 0; i < COUNT(tricks); i++) {
        assert_false(origin("https://example.com", tricks[i]));
        assert_false(origin("example.com", tricks[i]));
    }
}

static void a_wildcard_origin_takes_names_below_of_its_scheme(void **state)
{
    assert_true(origin("https://*.example.com", "https://app.example.com"));
    assert_false(origin("https://*.example.com", "https://example.com"));
    assert_false(origin("https://*.example.com", "http://app.example.com"));
    assert_false(origin("https://*.example.com", "https://app.example.com:8443"));
    assert_false(origin("https://*.example.com", "https://app.example.com.evil.com"));
    assert_true(origin("https://*", "https://anything.test"));
    assert_false(origin("https://*", "http://anything.test"));
}

static void a_pattern_without_scheme_takes_http_and_https_at_their_ports(void **state)
{
    assert_true(origin("app.example.com", "http://app.example.com"));
    assert_true(origin("app.example.com", "https://app.example.com"));
    assert_false(origin("app.example.com", "https://app.example.com:8443"));
    assert_false(origin("app.example.com", "ftp://app.example.com"));
    assert_true(origin("localhost:3000", "http://localhost:3000"));
    assert_true(origin("localhost:3000", "https://localhost:3000"));
    assert_true(origin("*.example.com", "https://a.example.com"));
}

static void null_is_matched_only_by_name_or_by_a_star(void **state)
{
    assert_true(origin("null", "null"));
    assert_false(origin("null", "https://null"));
    assert_false(origin("https://*", "null"));
    assert_false(origin("NULL", "null"));
    assert_true(origin("*", "null"));
}

static void a_star_takes_every_well_formed_origin(void **state)
{
    assert_true(origin("*", "https://example.com:8443"));
    assert_true(origin("*", "file://"));
    assert_true(origin("*", "capacitor://localhost"));
    assert_true(origin("*", "chrome-extension://abcdefghijklmnop"));
    assert_false(origin("*", ""));
    assert_false(origin("*", "https://user@example.com"));
    assert_false(origin("*", "garbage"));
}

static void app_schemes_match_without_port_and_even_without_host(void **state)
{
    assert_true(origin("capacitor://localhost", "capacitor://localhost"));
    assert_false(origin("capacitor://localhost", "ionic://localhost"));
    assert_false(origin("capacitor://localhost", "capacitor://localhost:80"));
    assert_true(origin("file://", "file://"));
    assert_false(origin("file://", "file://host"));
    assert_false(origin("app://*", "app://"));
}

static void origin_patterns_that_could_never_match_are_invalid(void **state)
{
    static const char *const good[] = {
        "https://a.example",     "*",       "null",   "a.example",    "https://*.a.b", "*.a.b",
        "http://localhost:3000", "file://", "*:3000", "https://[::1]"};
    static const char *const bad[] = {
        "",          "https://",    "https://a/", "https://a:0",     "https:/a", "://a",
        "ht_tp://a", "https://u@a", "https://*.", "https://a.*.com", "**",       "*://a"};
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(hf_origin_pattern_is_valid(hf_slice_of(good[i])));
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(hf_origin_pattern_is_valid(hf_slice_of(bad[i])));
        assert_false(origin(bad[i], "https://a"));
    }
}

static bool ip(const char *text, uint8_t address[16])
{
    return hf_ip_parse(hf_slice_of(text), address);
}

static void addresses_are_read_as_forwarded_headers_write_them(void **state)
{
    static const struct {
        const char *text;
        const char *shown;
    } all[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"192.0.2.1:1234", "192.0.2.1"},
        {"255.255.255.255", "255.255.255.255"},
        {"0.0.0.0", "0.0.0.0"},
        {"2001:db8::1", "2001:db8::1"},
        {"2001:DB8:0:0::1", "2001:db8::1"},
        {"[2001:db8::1]", "2001:db8::1"},
        {"[2001:db8::1]:443", "2001:db8::1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::ffff:c000:201", "192.0.2.1"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"1:2:3:4:5:6:192.0.2.33", "1:2:3:4:5:6:c000:221"},
        {"::", "::"},
        {"1::", "1::"},
        {"::7:8", "::7:8"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
    };
    for (size_t i = 0; i < COUNT(all); i++) {
        uint8_t address[16];
        char text[46];
        assert_true(ip(all[i].text, address));
        hf_ip_text(address, text);
        assert_string_equal(text, all[i].shown);
    }
}

static void what_is_not_quite_an_address_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "1.2.3.04",
        "1.2.3.4.",
        ".1.2.3.4",
        "1..2.3",
        "0x7f.0.0.1",
        "1.2.3.4:",
        "1.2.3.4:0",
        "1.2.3.4:x",
        "1.2.3.4:70000",
        "1.2.3.4 ",
        " 1.2.3.4",
        "+1.2.3.4",
        "[1.2.3.4]",
        ":",
        ":::",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::",
        "::1::",
        "1:::2",
        "12345::",
        "g::",
        "::1%eth0",
        "::1:",
        ":1::2",
        "[::1",
        "::1]",
        "[::1]:",
        "[::1]443",
        "[]",
        "::1.2.3",
        "1.2.3.4::",
        "::1.2.3.4:5",
        "1:2:3:4:5:6:7:1.2.3.4",
        "unknown",
        "_hidden",
        "localhost",
        "1.2.3.4/8",
        "fe80::1/64",
        "1:2:3:4:5:6:7:8:",
        "::-1",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        uint8_t address[16];
        assert_false(ip(bad[i], address));
    }
}

static void texts_follow_rfc_5952(void **state)
{
    static const char *const all[] = {
        "2001:db8::1:0:0:1",    /* 4.2.3: the first of two equal runs */
        "2001:0:0:1::1",        /* the longer run */
        "2001:db8:0:1:1:1:1:1", /* 4.2.2: one group is not shortened */
        "abcd:ef01:2345:6789:abcd:ef01:2345:6789",
    };
    for (size_t i = 0; i < COUNT(all); i++) {
        uint8_t address[16];
        char text[46];
        assert_true(ip(all[i], address));
        hf_ip_text(address, text);
        assert_string_equal(text, all[i]);
    }
}

static void every_address_survives_text_and_back_as_the_c_library_reads_it(void **state)
{
    struct hf_random random;
    hf_random_init(&random, 21);
    for (int i = 0; i < 20000; i++) {
        uint8_t address[16];
        for (int k = 0; k < 8; k++) {
            uint64_t zero = hf_random_below(&random, 2);
            uint64_t group =
                zero ? 0 : hf_random_below(&random, 65536) >> hf_random_below(&random, 16);
            address[2 * k] = (uint8_t)(group >> 8);
            address[2 * k + 1] = (uint8_t)group;
        }
        if (i % 4 == 0) {
            memset(address, 0, 10);
            memset(address + 10, 0xff, 2);
        }
        char text[46];
        uint8_t mine[16];
        uint8_t theirs[16];
        hf_ip_text(address, text);
        assert_true(ip(text, mine));
        assert_memory_equal(mine, address, 16);
        if (strchr(text, ':') != NULL) {
            assert_int_equal(inet_pton(AF_INET6, text, theirs), 1);
            assert_memory_equal(theirs, address, 16);
        }
    }
}

static void random_bytes_are_read_as_the_c_library_reads_them(void **state)
{
    static const char letters[] = "0123456789abcF:::::....";
    struct hf_random random;
    hf_random_init(&random, 22);
    int accepted = 0;
    for (int i = 0; i < 300000; i++) {
        char text[24];
        size_t len = 2 + hf_random_below(&random, i % 2 == 0 ? 6 : 20);
        for (size_t k = 0; k < len; k++) {
            text[k] = letters[hf_random_below(&random, sizeof(letters) - 1)];
        }
        text[len] = '\0';
        uint8_t mine[16];
        uint8_t theirs[16];
        char bracketed[32];
        (void)snprintf(bracketed, sizeof(bracketed), "[%s]", text);
        bool ours = ip(bracketed, mine);
        assert_int_equal(ours, inet_pton(AF_INET6, text, theirs) == 1);
        if (ours) {
            assert_memory_equal(mine, theirs, 16);
            accepted++;
        }
    }
    assert_true(accepted > 100);
}

static bool in_block(const char *block, const char *address)
{
    struct hf_block b;
    uint8_t a[16];
    assert_true(hf_block_parse(hf_slice_of(block), &b));
    assert_true(ip(address, a));
    return hf_block_contains(&b, a);
}

static void a_block_contains_what_shares_its_prefix(void **state)
{
    assert_true(in_block("10.0.0.0/8", "10.255.1.2"));
    assert_false(in_block("10.0.0.0/8", "11.0.0.0"));
    assert_true(in_block("192.168.4.0/22", "192.168.7.255"));
    assert_false(in_block("192.168.4.0/22", "192.168.8.0"));
    assert_true(in_block("192.0.2.1", "192.0.2.1"));
    assert_false(in_block("192.0.2.1", "192.0.2.0"));
    assert_true(in_block("2001:db8::/32", "2001:db8:ffff::1"));
    assert_false(in_block("2001:db8::/32", "2001:db9::"));
    assert_true(in_block("2001:db8::1", "2001:db8::1"));
    assert_true(in_block("10.0.0.0/8", "::ffff:10.1.2.3"));
    assert_true(in_block("::ffff:10.0.0.0/104", "10.1.2.3"));
    assert_true(in_block("0.0.0.0/0", "8.8.8.8"));
    assert_false(in_block("0.0.0.0/0", "2001:db8::1"));
    assert_true(in_block("::/0", "2001:db8::1"));
    assert_true(in_block("::/0", "8.8.8.8"));
    assert_true(in_block("192.0.2.1/32", "192.0.2.1"));
    assert_true(in_block("::1/128", "::1"));
}

static void a_block_that_says_two_things_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/08",
        "10.0.0.0/-1",
        "10.0.0.1/8",
        "/8",
        "10.0.0.0/8/8",
        "::/129",
        "2001:db8::1/32",
        "10.0.0/8",
        "10.0.0.0:80/8",
        "[::1]/128",
        "10.0.0.0/ 8",
        "example.com",
        "10.0.0.0/8 ",
        "::ffff:10.0.0.0/8",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct hf_block block;
        assert_false(hf_block_parse(hf_slice_of(bad[i]), &block));
    }
}

static void a_block_agrees_with_a_comparison_bit_by_bit(void **state)
{
    struct hf_random random;
    hf_random_init(&random, 23);
    for (int i = 0; i < 20000; i++) {
        struct hf_block block = {.bits = (uint8_t)hf_random_below(&random, 129)};
        uint8_t address[16];
        for (int k = 0; k < 16; k++) {
            block.address[k] = (uint8_t)hf_random_next(&random);
            address[k] = block.address[k];
        }
        unsigned flipped = (unsigned)hf_random_below(&random, 128);
        address[flipped / 8] ^= (uint8_t)(0x80 >> flipped % 8);
        assert_int_equal(hf_block_contains(&block, address), flipped >= block.bits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exact_host_matches_itself_in_any_case_with_any_port_or_a_trailing_dot),
        cmocka_unit_test(a_name_around_or_beside_the_allowed_one_does_not_match),
        cmocka_unit_test(a_star_takes_every_well_formed_host_and_nothing_else),
        cmocka_unit_test(a_wildcard_takes_every_name_below_and_not_the_name_itself),
        cmocka_unit_test(a_port_in_the_pattern_must_be_there),
        cmocka_unit_test(ipv6_hosts_are_compared_as_addresses),
        cmocka_unit_test(a_nul_inside_ends_nothing),
        cmocka_unit_test(names_keep_the_limits_of_the_dns),
        cmocka_unit_test(host_patterns_that_could_never_match_are_invalid),
        cmocka_unit_test(an_origin_is_scheme_host_and_port_with_defaults_filled_in),
        cmocka_unit_test(an_origin_around_or_beside_the_allowed_one_does_not_match),
        cmocka_unit_test(a_wildcard_origin_takes_names_below_of_its_scheme),
        cmocka_unit_test(a_pattern_without_scheme_takes_http_and_https_at_their_ports),
        cmocka_unit_test(null_is_matched_only_by_name_or_by_a_star),
        cmocka_unit_test(a_star_takes_every_well_formed_origin),
        cmocka_unit_test(app_schemes_match_without_port_and_even_without_host),
        cmocka_unit_test(origin_patterns_that_could_never_match_are_invalid),
        cmocka_unit_test(addresses_are_read_as_forwarded_headers_write_them),
        cmocka_unit_test(what_is_not_quite_an_address_is_refused),
        cmocka_unit_test(texts_follow_rfc_5952),
        cmocka_unit_test(every_address_survives_text_and_back_as_the_c_library_reads_it),
        cmocka_unit_test(random_bytes_are_read_as_the_c_library_reads_them),
        cmocka_unit_test(a_block_contains_what_shares_its_prefix),
        cmocka_unit_test(a_block_that_says_two_things_is_refused),
        cmocka_unit_test(a_block_agrees_with_a_comparison_bit_by_bit),
    };
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
