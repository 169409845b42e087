/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as text. */
#include "io/io.h"
#include "test_unit.h"

static void round_trip(const char *text, const char *again, const char *host)
{
    struct hf_address address;
    char out[128];
    assert_true(hf_address_parse(hf_slice_of(text), &address));
    hf_address_text(&address, out);
    assert_string_equal(out, again);
    char host_text[64];
    hf_address_host_text(&address, host_text);
    assert_string_equal(host_text, host);
}

static void addresses_are_read_and_written_alike(void **state)
{
    round_trip("127.0.0.1:80", "127.0.0.1:80", "127.0.0.1");
    round_trip("0.0.0.0:0", "0.0.0.0:0", "0.0.0.0");
    round_trip("[::1]:65535", "[::1]:65535", "::1");
    round_trip("[2001:DB8:0::1]:8080", "[2001:db8::1]:8080", "2001:db8::1");
    round_trip("unix:/run/app.sock", "unix:/run/app.sock", "unix");
    round_trip("unix:relative path", "unix:relative path", "unix");
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",         "localhost:80", "127.0.0.1",    "127.0.0.1:",    "127.0.0.1:65536",
        "1.2.3:80", "127.0.0.1:8a", "127.0.0.1:-1", "127.0.0.1:+1",  "127.0.0.1:80 ",
        "::1:80",   "[::1]",        "[::1]80",      "[::1:80",       "[127.0.0.1]:80",
        "[]:80",    ":80",          "unix:",        "[::1%lo]:80",   "1.2.3.4.5:80",
        "[::1]::1", "256.0.0.1:1",  "127.0.0.1:",   "127.0.0.1:1:2",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct hf_address address;
        if (hf_address_parse(hf_slice_of(wrong[i]), &address)) {
            fail_msg("\"%s\" was taken", wrong[i]);
        }
        assert_int_equal(address.len, 0);
    }
}

static void a_path_that_does_not_fit_is_refused_and_the_longest_fits(void **state)
{
    char text[200] = "unix:";
    char out[128];
    struct hf_address address;
    memset(text + 5, 'p', 107);
    assert_true(hf_address_parse(hf_slice(text, 5 + 107), &address));
    hf_address_text(&address, out);
    assert_slice(hf_slice(text, 5 + 107), out);
    text[112] = 'p';
    assert_false(hf_address_parse(hf_slice(text, 5 + 108), &address));
    assert_false(hf_address_parse(hf_slice("unix:/a\0b", 9), &address));
}

static void no_address_has_no_text(void **state)
{
    struct hf_address none = {0};
    char out[128] = "x";
    hf_address_text(&none, out);
    assert_string_equal(out, "");
    hf_address_host_text(&none, out);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_written_alike),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(a_path_that_does_not_fit_is_refused_and_the_longest_fits),
        cmocka_unit_test(no_address_has_no_text),
    };
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
