/* SPDX-License-Identifier: Apache-2.0 */
/* Request heads: what is read, what is refused, and when. */
#include "http/head.h"

#include "exact.h"

#include <stdio.h>

#define MAX 8192

static const char handshake[] = "GET /ws/inbox/?token=a.b-c HTTP/1.1\r\n"
                                "Host: app.example.com\r\n"
                                "Upgrade: websocket\r\n"
                                "Connection: keep-alive, Upgrade\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                "Sec-WebSocket-Version: 13\r\n"
                                "Empty:\r\n"
                                "X-Tabs:\t a\tb \t\r\n"
                                "User-Agent: caf\xc3\xa9\r\n"
                                "\r\n";

struct outcome {
    enum hf_head_read read;
    size_t at; /* bytes that had come when it was told */
    const char *why;
};

/* Feeds ever longer prefixes, each in memory of its own, until the reader says something. A verdict
 * on a prefix must also be the one on the whole. */
static struct outcome read_bytewise(struct hf_slice text, size_t max, struct hf_head *head)
{
    struct outcome o = {HF_HEAD_MORE, 0, NULL};
    const char *why;

    for (size_t len = 0; len <= text.len && o.read == HF_HEAD_MORE; len++) {
        struct hf_slice copy = exact(hf_slice_first(text, len));

        o.read = hf_request_read(copy, max, head, &o.why);
        o.at = len;
        if (o.read == HF_HEAD_MORE) {
            assert_null(o.why);
        }
        exact_free(copy);
    }
    assert_int_equal(hf_request_read(text, max, head, &why), o.read);
    assert_ptr_equal(why, o.why);
    return o;
}

static void assert_refused(struct hf_slice text, enum hf_head_read wanted)
{
    struct hf_head head;
    struct outcome o = read_bytewise(text, MAX, &head);

    if (o.read != wanted || o.why == NULL) {
        fail_msg("%d (%s) for: %.*s", o.read, o.why == NULL ? "" : o.why, HF_SLICE_ARG(text));
    }
}

static void a_handshake_is_read_in_its_parts(void **state)
{
    struct hf_slice text = hf_slice_of(handshake);
    struct hf_head head;
    const char *why;

    assert_int_equal(hf_request_read(text, MAX, &head, &why), HF_HEAD_READ);
    assert_slice(head.method, "GET");
    assert_slice(head.target, "/ws/inbox/?token=a.b-c");
    assert_int_equal(head.minor, 1);
    assert_int_equal(head.status, 0);
    assert_int_equal(head.size, text.len);
    assert_int_equal(head.count, 8);
    assert_slice(head.headers[0].name, "Host");
    assert_slice(head.headers[0].value, "app.example.com");
    assert_slice(head.headers[5].name, "Empty");
    assert_slice(head.headers[5].value, "");
    assert_slice(head.headers[6].value, "a\tb");
    assert_slice(head.headers[7].value, "caf\xc3\xa9");
    assert_null(why);
}

/* RFC 9112 3.2.2 */
static void an_absolute_target_is_read_as_its_authority_and_its_path(void **state)
{
    static const char *const texts[] = {
        "GET http://app.example.com:81/ws?x=1 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET HTTPS://app.example.com:81/ws?x=1 HTTP/1.1\r\nHost: h\r\n\r\n",
    };
    for (size_t i = 0; i < 2; i++) {
        struct hf_head head;
        struct outcome o = read_bytewise(hf_slice_of(texts[i]), MAX, &head);
        assert_int_equal(o.read, HF_HEAD_READ);
        assert_true(hf_slice_eq(head.authority, HF_LITERAL("app.example.com:81")));
        assert_true(hf_slice_eq(head.target, HF_LITERAL("/ws?x=1")));
    }
}

static void every_prefix_of_a_valid_head_wants_more(void **state)
{
    struct hf_slice text = hf_slice_of(handshake);
    struct hf_head head;

    assert_int_equal(read_bytewise(text, MAX, &head).at, text.len);
    assert_int_equal(head.size, text.len);
}

static void what_stands_behind_the_head_is_left_alone(void **state)
{
    struct hf_slice text = HF_LITERAL("GET / HTTP/1.0\r\n\r\n\x81\x80\x00\n\r\n");
    struct hf_head head;
    const char *why;

    assert_int_equal(hf_request_read(text, MAX, &head, &why), HF_HEAD_READ);
    assert_int_equal(head.size, 18);
    assert_int_equal(head.minor, 0);
    assert_int_equal(head.count, 0);
}

static void any_byte_in_any_place_is_read_alike_whole_and_in_pieces(void **state)
{
    char text[sizeof(handshake)];
    struct hf_head head;
    size_t counts[HF_HEAD_NOT_HTTP + 1] = {0};

    /* Every place gets the bytes that mean something to a reader, and a neighbour of its own. */
    for (size_t i = 0; i < sizeof(handshake) - 1; i++) {
        static const uint8_t bytes[] = {0,   '\t', '\n', '\r', ' ',  ':',  '/',
                                        '#', '"',  'x',  0x16, 0x7f, 0x80, 0xff};

        for (size_t j = 0; j < sizeof(bytes); j++) {
            const char *why;
            enum hf_head_read read;

            memcpy(text, handshake, sizeof(handshake));
            text[i] = (char)bytes[j];
            read = hf_request_read(hf_slice(text, sizeof(text) - 1), MAX, &head, &why);
            counts[read]++;
            assert_true((why == NULL) == (read == HF_HEAD_READ || read == HF_HEAD_MORE));
            if (read == HF_HEAD_READ) {
                assert_in_range(head.size, 1, sizeof(text) - 1);
            }
            if (j == i % sizeof(bytes)) {
                (void)read_bytewise(hf_slice(text, sizeof(text) - 1), MAX, &head);
            }
        }
    }
    assert_true(counts[HF_HEAD_READ] > 100);
    assert_true(counts[HF_HEAD_BAD] > 100);
    assert_true(counts[HF_HEAD_NOT_HTTP] > 3);
}

static void heads_that_two_readers_could_read_differently_are_refused(void **state)
{
    static const struct hf_slice heads[] = {
        /* Line ends. */
        HF_LITERAL("GET / HTTP/1.1\nHost: a\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.1\r\nHost: a\n\r\n"),
        HF_LITERAL("GET / HTTP/1.1\r\nHost: a\r\n\n"),
        HF_LITERAL("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.1\r\nHost: a\r\n\rX"),
        HF_LITERAL("GET / HTTP/1.1\r\r\n\r\n"),
        HF_LITERAL("GET /\rHTTP/1.1\r\n\r\n"),
        HF_LITERAL("\r\nGET / HTTP/1.1\r\n\r\n"),
        HF_LITERAL("\nGET / HTTP/1.1\r\n\r\n"),
        /* Folded lines. */
        HF_LITERAL("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        /* Names. */
        HF_LITERAL("GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.1\r\n: a\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.1\r\nHost\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.1\r\nHo(st: a\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.1\r\nH\xc3\xb6st: a\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.1\r\nHo\0st: a\r\n\r\n"),
        /* Values. */
        HF_LITERAL("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.1\r\nHost: a\x0b\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.1\r\nHost: a\x7f\r\n\r\n"),
        /* Spaces in the request line. */
        HF_LITERAL(" GET / HTTP/1.1\r\n\r\n"),
        HF_LITERAL("GET  / HTTP/1.1\r\n\r\n"),
        HF_LITERAL("GET /  HTTP/1.1\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.1 \r\n\r\n"),
        HF_LITERAL("GET\t/ HTTP/1.1\r\n\r\n"),
        HF_LITERAL("GET /\tHTTP/1.1\r\n\r\n"),
        HF_LITERAL("GET /a b HTTP/1.1\r\n\r\n"),
        /* Targets. */
        HF_LITERAL("GET http://app.example.com HTTP/1.1\r\n\r\n"),
        HF_LITERAL("GET http:///ws HTTP/1.1\r\n\r\n"),
        HF_LITERAL("GET ftp://app.example.com/ws HTTP/1.1\r\n\r\n"),
        HF_LITERAL("CONNECT app.example.com:443 HTTP/1.1\r\n\r\n"),
        HF_LITERAL("GET * HTTP/1.1\r\n\r\n"),
        HF_LITERAL("OPTIONS *a HTTP/1.1\r\n\r\n"),
        HF_LITERAL("GET ?a HTTP/1.1\r\n\r\n"),
        HF_LITERAL("GET /#a HTTP/1.1\r\n\r\n"),
        HF_LITERAL("GET /\xc3\xb6 HTTP/1.1\r\n\r\n"),
        HF_LITERAL("GET /\0 HTTP/1.1\r\n\r\n"),
        /* Versions. */
        HF_LITERAL("GET /\r\n"),
        HF_LITERAL("GET /\n"),
        HF_LITERAL("GET / \r\n"),
        HF_LITERAL("GET / HTTP/0.9\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.2\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.10\r\n\r\n"),
        HF_LITERAL("GET / HTTP/2.0\r\n\r\n"),
        HF_LITERAL("GET / http/1.1\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.\r\n\r\n"),
        HF_LITERAL("GET / HTTPS/1.1\r\n\r\n"),
    };

    for (size_t i = 0; i < COUNT(heads); i++) {
        assert_refused(heads[i], HF_HEAD_BAD);
    }
}

static void what_never_was_http_is_told_apart_from_bad_requests(void **state)
{
    static const struct hf_slice streams[] = {
        HF_LITERAL("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        HF_LITERAL("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        HF_LITERAL("SSH-2.0-OpenSSH_9.2\r\n"),
        HF_LITERAL("QUIT\n"),
        HF_LITERAL("\0\0\0\0"),
        HF_LITERAL("\xff\xf4"),
        HF_LITERAL("\x81\x05hello"),
        HF_LITERAL("{\"type\":\"ping\"}"),
    };
    struct hf_head head;

    for (size_t i = 0; i < COUNT(streams); i++) {
        assert_refused(streams[i], HF_HEAD_NOT_HTTP);
    }
    assert_int_equal(read_bytewise(streams[0], MAX, &head).at, 1);
    assert_string_equal(read_bytewise(streams[0], MAX, &head).why,
                        "the first bytes are a TLS hello");
    assert_string_equal(read_bytewise(streams[1], MAX, &head).why,
                        "the first bytes are HTTP/2's preface");
}

static void a_fault_is_told_as_soon_as_its_byte_is_there(void **state)
{
    static const char line[] = "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n";
    struct hf_head head;
    struct outcome o = read_bytewise(hf_slice_of(line), MAX, &head);

    assert_int_equal(o.at, strchr(line + 16, '\n') - line + 1);
    assert_string_equal(o.why, "a line ends with LF alone");
}

static void options_for_the_whole_server_has_an_asterisk_as_target(void **state)
{
    struct hf_head head;

    assert_int_equal(
        read_bytewise(HF_LITERAL("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), MAX, &head).read,
        HF_HEAD_READ);
    assert_slice(head.target, "*");
}

static void a_head_of_exactly_the_limit_is_read_and_one_byte_more_is_too_big(void **state)
{
    struct hf_slice text = hf_slice_of(handshake);
    struct hf_head head;
    struct outcome o;

    assert_int_equal(read_bytewise(text, text.len, &head).read, HF_HEAD_READ);
    o = read_bytewise(text, text.len - 1, &head);
    assert_int_equal(o.read, HF_HEAD_TOO_BIG);
    assert_int_equal(o.at, text.len - 1);
    assert_non_null(o.why);
    assert_int_equal(read_bytewise(text, 0, &head).read, HF_HEAD_TOO_BIG);
}

static void endless_methods_targets_names_values_and_spaces_end_at_the_limit(void **state)
{
    static const char *const starts[] = {"", "GET /", "GET / HTTP/1.1\r\n",
                                         "GET / HTTP/1.1\r\nA:", "GET / HTTP/1.1\r\nA: "};
    static const char fills[] = {'a', '/', 'n', 'v', ' '};
    char text[MAX + 100];
    struct hf_head head;
    const char *why;

    for (size_t i = 0; i < COUNT(starts); i++) {
        memset(text, fills[i], sizeof(text));
        memcpy(text, starts[i], strlen(starts[i]));
        assert_int_equal(hf_request_read(hf_slice(text, MAX - 1), MAX, &head, &why), HF_HEAD_MORE);
        assert_int_equal(hf_request_read(hf_slice(text, MAX), MAX, &head, &why), HF_HEAD_TOO_BIG);
        assert_int_equal(hf_request_read(hf_slice(text, sizeof(text)), MAX, &head, &why),
                         HF_HEAD_TOO_BIG);
    }
}

/* Writes a request with count headers; returns its length. */
static size_t write_headers(char *text, size_t size, int count)
{
    int len = snprintf(text, size, "GET / HTTP/1.1\r\n");

    for (int i = 0; i < count; i++) {
        len += snprintf(text + len, size - (size_t)len, "X-%d: %d\r\n", i, i);
    }
    return (size_t)len + (size_t)snprintf(text + len, size - (size_t)len, "\r\n");
}

static void a_hundred_headers_are_read_and_the_next_is_one_too_many(void **state)
{
    char text[4096];
    struct hf_head head;
    size_t len = write_headers(text, sizeof(text), HF_HEADERS_MAX);

    assert_int_equal(read_bytewise(hf_slice(text, len), MAX, &head).read, HF_HEAD_READ);
    assert_int_equal(head.count, 100);
    assert_slice(head.headers[99].name, "X-99");
    assert_slice(head.headers[99].value, "99");
    len = write_headers(text, sizeof(text), HF_HEADERS_MAX + 1);
    assert_refused(hf_slice(text, len), HF_HEAD_TOO_BIG);
}

static void a_name_of_four_thousand_bytes_is_a_name(void **state)
{
    char text[5000];
    struct hf_head head;
    const char *why;
    char name[4001];

    memset(name, 'n', 4000);
    name[4000] = '\0';
    int len = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s: v\r\n\r\n", name);
    assert_int_equal(hf_request_read(hf_slice(text, (size_t)len), MAX, &head, &why), HF_HEAD_READ);
    assert_slice(head.headers[0].name, name);
    assert_slice(head.headers[0].value, "v");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handshake_is_read_in_its_parts),
        cmocka_unit_test(an_absolute_target_is_read_as_its_authority_and_its_path),
        cmocka_unit_test(every_prefix_of_a_valid_head_wants_more),
        cmocka_unit_test(what_stands_behind_the_head_is_left_alone),
        cmocka_unit_test(any_byte_in_any_place_is_read_alike_whole_and_in_pieces),
        cmocka_unit_test(heads_that_two_readers_could_read_differently_are_refused),
        cmocka_unit_test(what_never_was_http_is_told_apart_from_bad_requests),
        cmocka_unit_test(a_fault_is_told_as_soon_as_its_byte_is_there),
        cmocka_unit_test(options_for_the_whole_server_has_an_asterisk_as_target),
        cmocka_unit_test(a_head_of_exactly_the_limit_is_read_and_one_byte_more_is_too_big),
        cmocka_unit_test(endless_methods_targets_names_values_and_spaces_end_at_the_limit),
        cmocka_unit_test(a_hundred_headers_are_read_and_the_next_is_one_too_many),
        cmocka_unit_test(a_name_of_four_thousand_bytes_is_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
