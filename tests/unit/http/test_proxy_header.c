/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol's header in both versions. */
#include "http/proxy_header.h"

#include "exact.h"

#include <stdio.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define UNIX_PATH_BYTES 108

struct outcome {
    enum hf_proxy_read read;
    size_t at;
};

/* Feeds ever longer prefixes until the reader says something, which must also be what it says to
 * the whole. */
static struct outcome read_bytewise(struct hf_slice text, struct hf_proxy_header *header)
{
    struct outcome o = {HF_PROXY_MORE, 0};
    const char *why;

    for (size_t len = 0; len <= text.len && o.read == HF_PROXY_MORE; len++) {
        struct hf_slice copy = exact(hf_slice_first(text, len));

        o.read = hf_proxy_header_read(copy, header, &why);
        o.at = len;
        assert_true((why != NULL) == (o.read == HF_PROXY_BAD));
        exact_free(copy);
    }
    assert_int_equal(hf_proxy_header_read(text, header, &why), o.read);
    return o;
}

static void assert_read(struct hf_slice text, size_t size, struct hf_proxy_header *header)
{
    struct outcome o = read_bytewise(text, header);

    if (o.read != HF_PROXY_READ) {
        fail_msg("%d at %zu for: %.*s", o.read, o.at, HF_SLICE_ARG(text));
    }
    assert_int_equal(o.at, size);
    assert_int_equal(header->size, size);
}

static void assert_ipv4(const uint8_t address[16], uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    const uint8_t wanted[16] = {[10] = 0xff, 0xff, a, b, c, d};

    assert_memory_equal(address, wanted, 16);
}

static void a_text_header_gives_ipv4_addresses_and_ports(void **state)
{
    struct hf_slice text = HF_LITERAL("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET /");
    struct hf_proxy_header h;

    assert_read(text, text.len - 5, &h);
    assert_false(h.local);
    assert_ipv4(h.source, 192, 0, 2, 1);
    assert_ipv4(h.destination, 198, 51, 100, 7);
    assert_int_equal(h.source_port, 56324);
    assert_int_equal(h.destination_port, 443);
}

static void a_text_header_gives_ipv6_addresses(void **state)
{
    static const uint8_t source[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
    static const uint8_t destination[16] = {[15] = 1};
    struct hf_slice text = HF_LITERAL("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n");
    struct hf_proxy_header h;

    assert_read(text, text.len, &h);
    assert_memory_equal(h.source, source, 16);
    assert_memory_equal(h.destination, destination, 16);
    assert_int_equal(h.source_port, 0);
    assert_int_equal(h.destination_port, 65535);
}

static void an_unknown_text_header_is_local_whatever_follows(void **state)
{
    struct hf_proxy_header h;

    assert_read(HF_LITERAL("PROXY UNKNOWN\r\n"), 15, &h);
    assert_true(h.local);
    assert_read(HF_LITERAL("PROXY UNKNOWN ffff::1 nonsense 1\r\n"), 34, &h);
    assert_true(h.local);
    assert_int_equal(h.source_port, 0);
}

static void malformed_text_headers_are_refused(void **state)
{
    static const struct hf_slice texts[] = {
        HF_LITERAL("GET / HTTP/1.1\r\n\r\n"),
        HF_LITERAL("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n"),
        HF_LITERAL("PROXY\tTCP4 1.2.3.4 1.2.3.4 1 2\r\n"),
        HF_LITERAL("PROXY \r\n"),
        HF_LITERAL("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"),
        HF_LITERAL("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"),
        HF_LITERAL("PROXY TCP4\r\n"),
        HF_LITERAL("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"),
        HF_LITERAL("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"),
        HF_LITERAL("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3 4\r\n"),
        HF_LITERAL("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n"),
        HF_LITERAL("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n"),
        HF_LITERAL("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"),
        HF_LITERAL("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n"),
        HF_LITERAL("PROXY TCP4 ::1 ::1 1 2\r\n"),
        HF_LITERAL("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"),
        HF_LITERAL("PROXY TCP6 ::1%lo ::1 1 2\r\n"),
        HF_LITERAL("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n"),
        HF_LITERAL("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"),
        HF_LITERAL("PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n"),
        HF_LITERAL("PROXY TCP4 1.2.3.4 1.2.3.4 1 000002\r\n"),
        HF_LITERAL("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"),
        HF_LITERAL("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rX"),
        HF_LITERAL("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n"),
        HF_LITERAL("PROXY UNKNOWN \x80\r\n"),
    };
    struct hf_proxy_header h;

    for (size_t i = 0; i < COUNT(texts); i++) {
        if (read_bytewise(texts[i], &h).read != HF_PROXY_BAD) {
            fail_msg("not refused: %.*s", HF_SLICE_ARG(texts[i]));
        }
    }
}

static void a_text_header_has_at_most_107_bytes(void **state)
{
    char text[200] = "PROXY UNKNOWN ";
    struct hf_proxy_header h;

    memset(text + 14, 'x', sizeof(text) - 14);
    memcpy(text + 105, "\r\n", 2);
    assert_read(hf_slice(text, sizeof(text)), 107, &h);
    memcpy(text + 105, "x\r\n", 3);
    assert_int_equal(read_bytewise(hf_slice(text, sizeof(text)), &h).read, HF_PROXY_BAD);
    assert_int_equal(read_bytewise(hf_slice(text, sizeof(text)), &h).at, 107);
}

static void a_binary_header_gives_ipv4_addresses_and_skips_extra_fields(void **state)
{
    struct hf_slice text = HF_LITERAL(SIGNATURE "\x21\x11\x00\x17"
                                                "\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb"
                                                "\x01\x00\x02h2"
                                                "\x04\x00\x00"
                                                "\x05\x00\x00"
                                                "GET /");
    struct hf_proxy_header h;

    assert_read(text, text.len - 5, &h);
    assert_false(h.local);
    assert_ipv4(h.source, 192, 0, 2, 1);
    assert_ipv4(h.destination, 198, 51, 100, 7);
    assert_int_equal(h.source_port, 56324);
    assert_int_equal(h.destination_port, 443);
}

static void a_binary_header_gives_ipv6_addresses(void **state)
{
    uint8_t text[16 + 36] = SIGNATURE "\x21\x21\x00\x24";
    struct hf_proxy_header h;

    for (uint8_t i = 0; i < 32; i++) {
        text[16 + i] = i;
    }
    memcpy(text + 48, "\x12\x34\x00\x50", 4);
    assert_read(hf_slice(text, sizeof(text)), sizeof(text), &h);
    assert_memory_equal(h.source, text + 16, 16);
    assert_memory_equal(h.destination, text + 32, 16);
    assert_int_equal(h.source_port, 0x1234);
    assert_int_equal(h.destination_port, 80);
}

static void headers_without_an_ip_address_are_local(void **state)
{
    uint8_t unix_header[16 + 2 * UNIX_PATH_BYTES] = SIGNATURE "\x21\x31\x00\xd8";
    struct hf_proxy_header h;

    /* LOCAL, bare and with whatever a health check puts in. */
    assert_read(HF_LITERAL(SIGNATURE "\x20\x00\x00\x00"), 16, &h);
    assert_true(h.local);
    assert_read(HF_LITERAL(SIGNATURE "\x20\x11\x00\x03\xff\xff\xff"), 19, &h);
    assert_true(h.local);
    /* PROXY without a family. */
    assert_read(HF_LITERAL(SIGNATURE "\x21\x00\x00\x01\xff"), 17, &h);
    assert_true(h.local);
    /* A Unix socket. */
    assert_read(hf_slice(unix_header, sizeof(unix_header)), sizeof(unix_header), &h);
    assert_true(h.local);
    assert_int_equal(h.source[15], 0);
}

static void malformed_binary_headers_are_refused(void **state)
{
#define IPV4 "\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02"
    static const struct hf_slice texts[] = {
        HF_LITERAL("\r\n\r\n\0\r\nQUIT\r"),
        HF_LITERAL("\r\n\r\nGET / HTTP/1.1\r\n"),
        HF_LITERAL(SIGNATURE "\x11\x11\x00\x0c" IPV4), /* version 1 */
        HF_LITERAL(SIGNATURE "\x31\x11\x00\x0c" IPV4), /* version 3 */
        HF_LITERAL(SIGNATURE "\x22\x11\x00\x0c" IPV4), /* command 2 */
        HF_LITERAL(SIGNATURE "\x21\x41\x00\x0c" IPV4), /* family 4 */
        HF_LITERAL(SIGNATURE "\x21\x12\x00\x0c" IPV4), /* datagram */
        HF_LITERAL(SIGNATURE "\x21\x10\x00\x0c" IPV4), /* no transport */
        HF_LITERAL(SIGNATURE "\x21\x01\x00\x0c" IPV4), /* no family but a transport */
        HF_LITERAL(SIGNATURE "\x21\x11\x00\x00"),      /* no room for the addresses */
        HF_LITERAL(SIGNATURE "\x21\x11\x00\x0b" IPV4),
        HF_LITERAL(SIGNATURE "\x21\x21\x00\x0c" IPV4),
        HF_LITERAL(SIGNATURE "\x21\x31\x00\x0c" IPV4),
        HF_LITERAL(SIGNATURE "\x21\x11\x00\x0d" IPV4 "\x04"), /* half an extra field */
        HF_LITERAL(SIGNATURE "\x21\x11\x00\x0e" IPV4 "\x04\x00"),
        HF_LITERAL(SIGNATURE "\x21\x11\x00\x0f" IPV4 "\x04\x00\x01"),
        HF_LITERAL(SIGNATURE "\x21\x11\x00\x10" IPV4 "\x04\xff\xff\x00"),
    };
    struct hf_proxy_header h;

    for (size_t i = 0; i < COUNT(texts); i++) {
        if (read_bytewise(texts[i], &h).read != HF_PROXY_BAD) {
            fail_msg("not refused: row %zu", i);
        }
    }
#undef IPV4
}

static void an_overlong_binary_header_is_refused_before_it_has_come(void **state)
{
    uint8_t text[HF_PROXY_HEADER_MAX] = SIGNATURE "\x20\x00\x02\x08";
    struct hf_proxy_header h;
    struct outcome o;

    assert_read(hf_slice(text, sizeof(text)), HF_PROXY_HEADER_MAX, &h);
    text[15] = 9;
    o = read_bytewise(hf_slice(text, sizeof(text)), &h);
    assert_int_equal(o.read, HF_PROXY_BAD);
    assert_int_equal(o.at, 16);
    memcpy(text + 14, "\xff\xff", 2);
    assert_int_equal(read_bytewise(hf_slice(text, sizeof(text)), &h).at, 16);
}

static void a_truncated_header_wants_more(void **state)
{
    struct hf_proxy_header h;

    assert_int_equal(read_bytewise(HF_LITERAL("PROXY TCP4 192.0.2.1 198.51"), &h).read,
                     HF_PROXY_MORE);
    assert_int_equal(read_bytewise(HF_LITERAL("PROXY UNKNOWN\r"), &h).read, HF_PROXY_MORE);
    assert_int_equal(read_bytewise(HF_LITERAL(SIGNATURE "\x21\x11\x00\x0c\x01\x02"), &h).read,
                     HF_PROXY_MORE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_header_gives_ipv4_addresses_and_ports),
        cmocka_unit_test(a_text_header_gives_ipv6_addresses),
        cmocka_unit_test(an_unknown_text_header_is_local_whatever_follows),
        cmocka_unit_test(malformed_text_headers_are_refused),
        cmocka_unit_test(a_text_header_has_at_most_107_bytes),
        cmocka_unit_test(a_binary_header_gives_ipv4_addresses_and_skips_extra_fields),
        cmocka_unit_test(a_binary_header_gives_ipv6_addresses),
        cmocka_unit_test(headers_without_an_ip_address_are_local),
        cmocka_unit_test(malformed_binary_headers_are_refused),
        cmocka_unit_test(an_overlong_binary_header_is_refused_before_it_has_come),
        cmocka_unit_test(a_truncated_header_wants_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
