/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of requests: bounded one way only, limited, whole and byte by byte. */
#include "http/request_body.h"

#include "exact.h"

#define POST "POST / HTTP/1.1\r\n"

static const char *start(const char *text, struct hf_request_body *body)
{
    struct hf_head head;
    const char *why;
    assert_int_equal(hf_request_read(hf_slice_of(text), 8192, &head, &why), HF_HEAD_READ);
    return hf_request_body_start(body, &head);
}

/* Offers text in pieces; what is behind the body is not taken. */
static enum hf_request_body_read feed(const char *head, struct hf_slice text, size_t step,
                                      size_t max, struct hf_buffer *into, size_t *taken)
{
    struct hf_request_body body;
    enum hf_request_body_read read = HF_REQUEST_BODY_MORE;
    assert_null(start(head, &body));
    hf_buffer_init(into, &hf_heap, max);
    *taken = 0;
    do {
        struct hf_slice piece = exact(hf_slice_first(hf_slice_from(text, *taken), step));
        size_t here;
        read = hf_request_body_read(&body, piece, &here, into);
        if (read == HF_REQUEST_BODY_MORE) {
            assert_int_equal(here, piece.len);
        }
        *taken += here;
        exact_free(piece);
    } while (read == HF_REQUEST_BODY_MORE && *taken < text.len);
    return read;
}

static void assert_body(const char *head, const char *text, const char *wanted, size_t taken)
{
    for (size_t step = 1; step < 100; step += step < 5 ? 1 : 95) {
        struct hf_buffer into;
        size_t got;
        assert_int_equal(feed(head, hf_slice_of(text), step, 100, &into, &got),
                         HF_REQUEST_BODY_WHOLE);
        assert_slice(hf_buffer_slice(&into), wanted);
        assert_int_equal(got, taken);
        hf_buffer_reset(&into);
    }
}

static void assert_verdict(const char *head, const char *text, size_t max,
                           enum hf_request_body_read wanted)
{
    for (size_t step = 1; step < 100; step += step < 5 ? 1 : 95) {
        struct hf_buffer into;
        size_t got;
        assert_int_equal(feed(head, hf_slice_of(text), step, max, &into, &got), wanted);
        hf_buffer_reset(&into);
    }
}

static void a_length_bounds_the_body_and_leaves_the_next_request(void **state)
{
    assert_body(POST "Content-Length: 5\r\n\r\n", "helloGET /", "hello", 5);
    assert_body(POST "Content-Length: 0\r\n\r\n", "GET /", "", 0);
    assert_body(POST "\r\n", "GET /", "", 0);
}

static void chunks_bound_the_body_and_leave_the_next_request(void **state)
{
    assert_body(POST "Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\nGET /", "hello",
                15);
    assert_body(POST "Transfer-Encoding: Chunked\r\n\r\n",
                "2;a=b\r\nhe\r\n003\r\nllo\r\n0\r\nX: y\r\n\r\n", "hello", 32);
}

static void a_body_that_could_be_bounded_in_two_ways_is_refused(void **state)
{
    static const char *const heads[] = {
        POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
        POST "Content-Length: 5, 5\r\n\r\n",
        POST "Content-Length: +5\r\n\r\n",
        POST "Content-Length: -1\r\n\r\n",
        POST "Content-Length: 0x5\r\n\r\n",
        POST "Content-Length: \r\n\r\n",
        POST "Content-Length: 99999999999999999999\r\n\r\n",
        POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        POST "Transfer-Encoding: gzip, chunked\r\n\r\n",
        POST "Transfer-Encoding: chunked, identity\r\n\r\n",
        POST "Transfer-Encoding: identity\r\n\r\n",
        POST "Transfer-Encoding: xchunked\r\n\r\n",
        POST "Transfer-Encoding: \"chunked\"\r\n\r\n",
        POST "Transfer-Encoding:\r\n\r\n",
        POST "Trailer: X\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT(heads); i++) {
        struct hf_request_body body;
        if (start(heads[i], &body) == NULL) {
            fail_msg("taken: %s", heads[i]);
        }
    }
}

static void chunks_that_are_none_are_refused(void **state)
{
    static const char *const bodies[] = {
        "5\nhello\n0\n\n",
        "x\r\n",
        "-1\r\n",
        " 5\r\nhello\r\n",
        "5\r\nhelloX\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n",
        "\r\n",
        "5\r\nhello0\r\n\r\n",
        "11111111111111111\r\n",
    };
    for (size_t i = 0; i < COUNT(bodies); i++) {
        assert_verdict(POST "Transfer-Encoding: chunked\r\n\r\n", bodies[i], 100,
                       HF_REQUEST_BODY_BAD);
    }
}

static void a_body_beyond_the_limit_is_told_before_it_has_come(void **state)
{
    assert_verdict(POST "Content-Length: 101\r\n\r\n", "x", 100, HF_REQUEST_BODY_TOO_BIG);
    assert_verdict(POST "Content-Length: 9223372036854775807\r\n\r\n", "x", 100,
                   HF_REQUEST_BODY_TOO_BIG);
    assert_verdict(POST "Transfer-Encoding: chunked\r\n\r\n", "66\r\nx", 100,
                   HF_REQUEST_BODY_TOO_BIG);
    assert_verdict(POST "Transfer-Encoding: chunked\r\n\r\n", "7fffffffffffffff\r\nx", 100,
                   HF_REQUEST_BODY_TOO_BIG);
    assert_verdict(POST "Transfer-Encoding: chunked\r\n\r\n", "2\r\nxx\r\n2\r\nxx\r\n", 3,
                   HF_REQUEST_BODY_TOO_BIG);
    assert_body(POST "Content-Length: 1\r\n\r\n", "x", "x", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_length_bounds_the_body_and_leaves_the_next_request),
        cmocka_unit_test(chunks_bound_the_body_and_leave_the_next_request),
        cmocka_unit_test(a_body_that_could_be_bounded_in_two_ways_is_refused),
        cmocka_unit_test(chunks_that_are_none_are_refused),
        cmocka_unit_test(a_body_beyond_the_limit_is_told_before_it_has_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
