/* SPDX-License-Identifier: Apache-2.0 */
/* Response heads, where their bodies end, and chunked coding. */
#include "http/head.h"

#include "exact.h"

#define MAX 8192

static enum hf_head_read read_bytewise(struct hf_slice text, struct hf_head *head)
{
    enum hf_head_read read = HF_HEAD_MORE;
    const char *why;

    for (size_t len = 0; len <= text.len && read == HF_HEAD_MORE; len++) {
        struct hf_slice copy = exact(hf_slice_first(text, len));

        read = hf_response_read(copy, MAX, head, &why);
        exact_free(copy);
    }
    assert_int_equal(hf_response_read(text, MAX, head, &why), read);
    assert_true((why == NULL) == (read == HF_HEAD_READ || read == HF_HEAD_MORE));
    return read;
}

static void a_switch_of_protocols_is_read_in_its_parts(void **state)
{
    struct hf_slice text = HF_LITERAL("HTTP/1.1 101 Switching Protocols\r\n"
                                      "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x00");
    struct hf_head head;

    assert_int_equal(read_bytewise(text, &head), HF_HEAD_READ);
    assert_int_equal(head.status, 101);
    assert_slice(head.reason, "Switching Protocols");
    assert_int_equal(head.minor, 1);
    assert_int_equal(head.count, 2);
    assert_int_equal(head.size, text.len - 2);
    assert_int_equal(head.method.len, 0);
    assert_int_equal(head.target.len, 0);
}

static void a_reason_may_be_empty_or_missing_with_its_space(void **state)
{
    struct hf_head head;

    assert_int_equal(read_bytewise(HF_LITERAL("HTTP/1.1 200 \r\n\r\n"), &head), HF_HEAD_READ);
    assert_int_equal(head.reason.len, 0);
    assert_int_equal(read_bytewise(HF_LITERAL("HTTP/1.0 999\r\n\r\n"), &head), HF_HEAD_READ);
    assert_int_equal(head.reason.len, 0);
    assert_int_equal(head.status, 999);
    assert_int_equal(head.minor, 0);
}

static void malformed_responses_are_refused(void **state)
{
    static const struct hf_slice bad[] = {
        HF_LITERAL("HTTP/1.1 099 No\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 20 OK\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 2000 OK\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 2x0 OK\r\n\r\n"),
        HF_LITERAL("HTTP/1.1  200 OK\r\n\r\n"),
        HF_LITERAL("HTTP/1.1\t200 OK\r\n\r\n"),
        HF_LITERAL("HTTP/2.0 200 OK\r\n\r\n"),
        HF_LITERAL("HTTP/1.2 200 OK\r\n\r\n"),
        HF_LITERAL("HTTP/1.1\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 200 OK\n\r\n"),
        HF_LITERAL("HTTP/1.1 200 O\0K\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 200 OK\rA: b\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 200\n"),
        HF_LITERAL("HTTP/1.1 200 OK\r\nA : b\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 200 OK\r\n A: b\r"),
    };
    static const struct hf_slice noise[] = {
        HF_LITERAL("\x15\x03\x01\x00\x02\x02\x46"), HF_LITERAL("http/1.1 200 OK\r\n\r\n"),
        HF_LITERAL("ICY 200 OK\r\n\r\n"),           HF_LITERAL("\r\nHTTP/1.1 200 OK\r\n\r\n"),
        HF_LITERAL("GET / HTTP/1.1\r\n\r\n"),
    };
    struct hf_head head;

    for (size_t i = 0; i < COUNT(bad); i++) {
        if (read_bytewise(bad[i], &head) != HF_HEAD_BAD) {
            fail_msg("not refused: %.*s", HF_SLICE_ARG(bad[i]));
        }
    }
    for (size_t i = 0; i < COUNT(noise); i++) {
        if (read_bytewise(noise[i], &head) != HF_HEAD_NOT_HTTP) {
            fail_msg("not told apart: %.*s", HF_SLICE_ARG(noise[i]));
        }
    }
}

static void the_body_of_a_response_is_bounded_by_its_head(void **state)
{
    static const struct {
        struct hf_slice text;
        enum hf_body_kind kind;
        uint64_t length;
    } cases[] = {
#define OK "HTTP/1.1 200 OK\r\n"
        {HF_LITERAL(OK "\r\n"), HF_BODY_UNTIL_CLOSE, 0},
        {HF_LITERAL(OK "Content-Length: 0\r\n\r\n"), HF_BODY_LENGTH, 0},
        {HF_LITERAL(OK "content-length: 123\r\n\r\n"), HF_BODY_LENGTH, 123},
        {HF_LITERAL(OK "Content-Length: 9223372036854775807\r\n\r\n"), HF_BODY_LENGTH, INT64_MAX},
        {HF_LITERAL(OK "Content-Length: 9223372036854775808\r\n\r\n"), HF_BODY_BAD, 0},
        {HF_LITERAL(OK "Content-Length: +1\r\n\r\n"), HF_BODY_BAD, 0},
        {HF_LITERAL(OK "Content-Length: -1\r\n\r\n"), HF_BODY_BAD, 0},
        {HF_LITERAL(OK "Content-Length: 0x1\r\n\r\n"), HF_BODY_BAD, 0},
        {HF_LITERAL(OK "Content-Length: 1 2\r\n\r\n"), HF_BODY_BAD, 0},
        {HF_LITERAL(OK "Content-Length:\r\n\r\n"), HF_BODY_BAD, 0},
        {HF_LITERAL(OK "Content-Length: 1, 1\r\n\r\n"), HF_BODY_BAD, 0},
        {HF_LITERAL(OK "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"), HF_BODY_BAD, 0},
        {HF_LITERAL(OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), HF_BODY_BAD, 0},
        {HF_LITERAL(OK "Transfer-Encoding: chunked\r\n\r\n"), HF_BODY_CHUNKED, 0},
        {HF_LITERAL(OK "transfer-encoding: Chunked\r\n\r\n"), HF_BODY_CHUNKED, 0},
        {HF_LITERAL(OK "Transfer-Encoding: xchunked\r\n\r\n"), HF_BODY_BAD, 0},
        {HF_LITERAL(OK "Transfer-Encoding: gzip, chunked\r\n\r\n"), HF_BODY_BAD, 0},
        {HF_LITERAL(OK "Transfer-Encoding: chunked, identity\r\n\r\n"), HF_BODY_BAD, 0},
        {HF_LITERAL(OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
         HF_BODY_BAD, 0},
        {HF_LITERAL(OK "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), HF_BODY_BAD, 0},
        {HF_LITERAL("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), HF_BODY_BAD, 0},
        {HF_LITERAL("HTTP/1.1 101 Up\r\nContent-Length: 5\r\n\r\n"), HF_BODY_NONE, 0},
        {HF_LITERAL("HTTP/1.1 100 Go\r\n\r\n"), HF_BODY_NONE, 0},
        {HF_LITERAL("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n"), HF_BODY_NONE, 0},
        {HF_LITERAL("HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n"), HF_BODY_NONE, 0},
        {HF_LITERAL("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n"), HF_BODY_LENGTH, 5},
#undef OK
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct hf_head head;
        uint64_t length = 77;

        assert_int_equal(read_bytewise(cases[i].text, &head), HF_HEAD_READ);
        if (hf_response_body(&head, &length) != cases[i].kind || length != cases[i].length) {
            fail_msg("wrong: %.*s", HF_SLICE_ARG(cases[i].text));
        }
    }
}

struct unchunked {
    bool ok;
    bool done;
    size_t taken;
    char body[256];
};

/* Takes text apart, offering it in pieces of at most `step` bytes. */
static struct unchunked unchunk(struct hf_slice text, size_t step)
{
    struct unchunked u = {.ok = true};
    struct hf_chunked c = {0};
    size_t body = 0;

    while (u.ok && !c.done && u.taken < text.len) {
        size_t offered = 0;
        struct hf_slice piece = exact(hf_slice_first(hf_slice_from(text, u.taken), step));

        while (u.ok && !c.done && offered < piece.len) {
            size_t taken = 0;
            struct hf_slice data;

            u.ok = hf_chunked_read(&c, hf_slice_from(piece, offered), &taken, &data);
            assert_true(taken > 0 && taken <= piece.len - offered);
            assert_true(body + data.len < sizeof(u.body));
            if (data.len > 0) {
                memcpy(u.body + body, data.ptr, data.len);
            }
            body += data.len;
            offered += taken;
        }
        u.taken += offered;
        exact_free(piece);
    }
    u.done = c.done;
    return u;
}

static struct unchunked unchunk_all_ways(struct hf_slice text)
{
    struct unchunked whole = unchunk(text, SIZE_MAX);

    for (size_t step = 1; step < 6; step++) {
        struct unchunked split = unchunk(text, step);

        assert_int_equal(split.ok, whole.ok);
        assert_int_equal(split.done, whole.done);
        assert_int_equal(split.taken, whole.taken);
        assert_string_equal(split.body, whole.body);
    }
    return whole;
}

static void chunks_with_extensions_and_trailers_give_the_body_alone(void **state)
{
    static const char text[] = "5\r\nhello\r\n"
                               "7;name=value;q=\"a;b\"\r\n, world\r\n"
                               "00000000000000a\r\n0123456789\r\n"
                               "0;last\r\nExpires: never\r\nX:\r\n\r\n";
    struct unchunked u = unchunk_all_ways(hf_slice_of(text));

    assert_true(u.ok);
    assert_true(u.done);
    assert_string_equal(u.body, "hello, world0123456789");
    assert_int_equal(u.taken, sizeof(text) - 1);
}

static void nothing_is_taken_behind_the_last_chunk(void **state)
{
    struct unchunked u = unchunk_all_ways(HF_LITERAL("1\r\nx\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"));
    struct hf_chunked c = {0};
    struct hf_slice data;
    size_t taken;

    assert_true(u.done);
    assert_int_equal(u.taken, 11);
    assert_string_equal(u.body, "x");
    assert_true(hf_chunked_read(&c, HF_LITERAL("0\r\n\r\n"), &taken, &data));
    assert_true(c.done);
    assert_true(hf_chunked_read(&c, HF_LITERAL("1\r\n"), &taken, &data));
    assert_int_equal(taken, 0);
}

static void malformed_chunks_are_refused(void **state)
{
    static const struct hf_slice texts[] = {
        HF_LITERAL("\r\n"),
        HF_LITERAL(" 5\r\nhello\r\n"),
        HF_LITERAL("5 \r\nhello\r\n"),
        HF_LITERAL("5\t;x\r\nhello\r\n"),
        HF_LITERAL("5\nhello\r\n"),
        HF_LITERAL("5\rhello\r\n"),
        HF_LITERAL("-1\r\n"),
        HF_LITERAL("+5\r\nhello\r\n"),
        HF_LITERAL("0x5\r\nhello\r\n"),
        HF_LITERAL("g\r\n"),
        HF_LITERAL(";x\r\n"),
        HF_LITERAL("5;a\nhello\r\n"),
        HF_LITERAL("5;a\0b\r\nhello\r\n"),
        HF_LITERAL("5\r\nhelloX\r\n"),
        HF_LITERAL("5\r\nhello\n"),
        HF_LITERAL("5\r\nhello\rX"),
        HF_LITERAL("10000000000000000\r\n"), /* 2^64 */
        HF_LITERAL("00000000000000005\r\nhello\r\n"),
        HF_LITERAL("0\r\n X: folded\r\n\r\n"),
        HF_LITERAL("0\r\nX : y\r\n\r\n"),
        HF_LITERAL("0\r\nnocolon\r\n\r\n"),
        HF_LITERAL("0\r\n: y\r\n\r\n"),
        HF_LITERAL("0\r\nX: y\n\r\n"),
        HF_LITERAL("0\r\n\rX"),
    };

    for (size_t i = 0; i < COUNT(texts); i++) {
        if (unchunk_all_ways(texts[i]).ok) {
            fail_msg("not refused: %.*s", HF_SLICE_ARG(texts[i]));
        }
    }
}

static void a_malformed_body_stays_malformed(void **state)
{
    struct hf_chunked c = {0};
    struct hf_slice data;
    size_t taken;

    assert_false(hf_chunked_read(&c, HF_LITERAL("x"), &taken, &data));
    assert_false(hf_chunked_read(&c, HF_LITERAL("0\r\n\r\n"), &taken, &data));
    assert_false(c.done);
}

static void the_largest_chunk_is_counted_without_overflow(void **state)
{
    struct hf_chunked c = {0};
    struct hf_slice data;
    size_t taken;

    assert_true(hf_chunked_read(&c, HF_LITERAL("ffffffffffffffff\r\nabc"), &taken, &data));
    assert_int_equal(taken, 21);
    assert_slice(data, "abc");
    assert_true(c.left == UINT64_MAX - 3);
    assert_false(c.done);
}

static void extensions_and_trailers_have_a_limit_together(void **state)
{
    static const char *const starts[] = {"0;", "0\r\nX", "0\r\nX: "};

    for (size_t i = 0; i < COUNT(starts); i++) {
        struct hf_chunked c = {0};
        struct hf_slice data;
        size_t taken;
        size_t fed = 0;

        assert_true(hf_chunked_read(&c, hf_slice_of(starts[i]), &taken, &data));
        while (fed <= HF_CHUNKED_BALLAST_MAX &&
               hf_chunked_read(&c, HF_LITERAL("x"), &taken, &data)) {
            fed++;
        }
        assert_in_range(fed, HF_CHUNKED_BALLAST_MAX - 8, HF_CHUNKED_BALLAST_MAX);
    }
}

static void known_statuses_have_their_reason_and_others_one_too(void **state)
{
    assert_string_equal(hf_http_reason(101), "Switching Protocols");
    assert_string_equal(hf_http_reason(431), "Request Header Fields Too Large");
    assert_string_equal(hf_http_reason(599), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_switch_of_protocols_is_read_in_its_parts),
        cmocka_unit_test(a_reason_may_be_empty_or_missing_with_its_space),
        cmocka_unit_test(malformed_responses_are_refused),
        cmocka_unit_test(the_body_of_a_response_is_bounded_by_its_head),
        cmocka_unit_test(chunks_with_extensions_and_trailers_give_the_body_alone),
        cmocka_unit_test(nothing_is_taken_behind_the_last_chunk),
        cmocka_unit_test(malformed_chunks_are_refused),
        cmocka_unit_test(a_malformed_body_stays_malformed),
        cmocka_unit_test(the_largest_chunk_is_counted_without_overflow),
        cmocka_unit_test(extensions_and_trailers_have_a_limit_together),
        cmocka_unit_test(known_statuses_have_their_reason_and_others_one_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
