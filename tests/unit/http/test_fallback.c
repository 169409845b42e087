/* SPDX-License-Identifier: Apache-2.0 */
/* Requests without WebSockets: which are which, what is wrong with some, and the handshake that an
 * attaching one stands for. */
#include "http/fallback.h"

#include "exact.h"

#define HOST "Host: h\r\n"
#define SSE "GET /ws?a=b HTTP/1.1\r\n" HOST "Accept: text/event-stream\r\n"
#define POLL "GET /ws HTTP/1.1\r\n" HOST "Accept: application/x-hf1\r\n"
#define POST "POST /ws HTTP/1.1\r\n" HOST "HF-Key: k\r\n"

static struct hf_head head;

static struct hf_fallback read_request(const char *text)
{
    struct hf_fallback f;
    const char *why;
    assert_int_equal(hf_request_read(hf_slice_of(text), 8192, &head, &why), HF_HEAD_READ);
    hf_fallback_read(&head, &f);
    return f;
}

static void each_kind_of_request_is_known(void **state)
{
    static const struct {
        enum hf_fallback_kind kind;
        const char *text;
    } cases[] = {
        {HF_FALLBACK_SSE, SSE "\r\n"},
        {HF_FALLBACK_SSE,
         "GET / HTTP/1.0\r\n" HOST "Accept: */*;q=0.1, Text/Event-Stream;q=1\r\n\r\n"},
        {HF_FALLBACK_POLL_OPEN, POLL "\r\n"},
        {HF_FALLBACK_POLL, POLL "HF-Key: k\r\nHF-Received: 0\r\n\r\n"},
        {HF_FALLBACK_POST, POST "Content-Type: text/plain\r\n\r\n"},
        {HF_FALLBACK_PREFLIGHT, "OPTIONS / HTTP/1.1\r\n" HOST "Origin: https://a.example\r\n"
                                "Access-Control-Request-Method: POST\r\n\r\n"},
        {HF_FALLBACK_NONE, "GET / HTTP/1.1\r\n" HOST "\r\n"},
        {HF_FALLBACK_NONE, "GET / HTTP/1.1\r\n" HOST "Accept: text/html, */*\r\n\r\n"},
        {HF_FALLBACK_NONE, "HEAD / HTTP/1.1\r\n" HOST "Accept: text/event-stream\r\n\r\n"},
        {HF_FALLBACK_NONE, "POST / HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\n\r\n"},
        {HF_FALLBACK_NONE, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n"},
        {HF_FALLBACK_NONE, SSE "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
        {HF_FALLBACK_NONE, SSE "Sec-WebSocket-Key: x\r\n\r\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct hf_fallback f = read_request(cases[i].text);
        assert_int_equal(f.kind, cases[i].kind);
        assert_int_equal(f.status, 0);
    }
}

static void what_the_headers_say_is_read(void **state)
{
    struct hf_fallback f = read_request(
        POST "Content-Type: application/x-hf1 ; v=1\r\nHF-Seq: 7\r\nExpect: 100-Continue\r\n\r\n");
    assert_int_equal(f.content, HF_CONTENT_LIST);
    assert_int_equal(f.seq, 7);
    assert_true(f.received == HF_FALLBACK_ABSENT && f.expects && f.keep_alive);
    assert_slice(f.key, "k");
    f = read_request(POLL "HF-Key: k\r\nHF-Received: 9\r\nConnection: close\r\n\r\n");
    assert_true(f.received == 9 && !f.keep_alive);
    f = read_request(SSE "HF-Open: hf1.o.abc\r\n\r\n");
    assert_slice(f.open, "hf1.o.abc");
    assert_false(f.by_hand);
    f = read_request(SSE "Last-Event-ID: t.1.2\r\n\r\n");
    assert_slice(f.last_event, "t.1.2");
    assert_true(f.by_hand);
    f = read_request("GET / HTTP/1.0\r\n" HOST "Accept: text/event-stream\r\n\r\n");
    assert_false(f.keep_alive);
}

static void a_request_that_is_wrong_is_told_so(void **state)
{
    static const struct {
        uint16_t status;
        const char *text;
    } cases[] = {
        {400, "GET / HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n"},
        {400, SSE "Host: i\r\n\r\n"},
        {400, "GET http://i/ HTTP/1.1\r\n" HOST "Accept: text/event-stream\r\n\r\n"},
        {400, SSE "Origin: http://a\r\nOrigin: http://b\r\n\r\n"},
        {400, SSE "HF-Open: a\r\nHF-Open: b\r\n\r\n"},
        {400, SSE "Content-Length: 1\r\n\r\n"},
        {400, SSE "Content-Length: 0\r\nContent-Length: 0\r\n\r\n"},
        {400, SSE "Transfer-Encoding: chunked\r\n\r\n"},
        {417, SSE "Expect: 100-continue\r\n\r\n"},
        {417, POST "Content-Type: text/plain\r\nExpect: more\r\n\r\n"},
        {400, POLL "HF-Key: k\r\n\r\n"},
        {400, POLL "HF-Key: k\r\nHF-Received: x\r\n\r\n"},
        {400, POLL "HF-Key: k\r\nHF-Received: 9007199254740992\r\n\r\n"},
        {400, POLL "HF-Key: k\r\nHF-Key: l\r\nHF-Received: 1\r\n\r\n"},
        {400, POST "Content-Type: text/plain\r\nHF-Seq: 0\r\n\r\n"},
        {400, POST "Content-Type: text/plain\r\nHF-Seq: 1\r\nHF-Seq: 2\r\n\r\n"},
        {415, POST "\r\n"},
        {415, POST "Content-Type: application/x-www-form-urlencoded\r\n\r\n"},
        {415, POST "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n\r\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct hf_fallback f = read_request(cases[i].text);
        if (f.status != cases[i].status || f.why == NULL) {
            fail_msg("%u and not %u for: %s", f.status, cases[i].status, cases[i].text);
        }
    }
}

static void assert_handshake(const char *request, struct hf_slice resume, struct hf_slice origin,
                             const char *wanted)
{
    struct hf_fallback f = read_request(request);
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 65536);
    hf_fallback_handshake(&head, &f, HF_LITERAL("KEY"), resume, origin, &out);
    assert_slice(hf_buffer_slice(&out), wanted);
    hf_buffer_reset(&out);
}

#define OFFERED "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: KEY\r\nSec-WebSocket-Protocol: hf1"
#define NONE hf_slice(NULL, 0)

static void a_request_stands_for_the_handshake_that_a_browser_would_have_sent(void **state)
{
    assert_handshake(SSE "HF-Protocol: chat, json\r\nHF-Open: hf1.o.abc\r\nCookie: c=d\r\n"
                         "Accept-Language: de\r\nCache-Control: no-cache\r\nhf_key: x\r\n"
                         "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nSec-Fetch-Mode: cors\r\n"
                         "Sec-WebSocket-Protocol: z\r\n\r\n",
                     NONE, NONE,
                     "GET /ws?a=b HTTP/1.1\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade, keep-alive, X-Hop\r\n" OFFERED
                     ", hf1.o.abc, chat, json\r\n"
                     "Host: h\r\nCookie: c=d\r\nAccept-Language: de\r\nCache-Control: no-cache\r\n"
                     "X-Hop: 1\r\n\r\n");
    assert_handshake(SSE "\r\n", NONE, NONE,
                     "GET /ws?a=b HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" OFFERED
                     "\r\nHost: h\r\n\r\n");
}

static void a_last_event_id_becomes_an_offer_and_a_missing_origin_is_filled_in(void **state)
{
    assert_handshake(SSE "Last-Event-ID: t.1.2\r\n\r\n", HF_LITERAL("hf1.r.t.1.2.3"),
                     HF_LITERAL("https://h"),
                     "GET /ws?a=b HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" OFFERED
                     ", hf1.r.t.1.2.3\r\nOrigin: https://h\r\nHost: h\r\n\r\n");
    assert_handshake(SSE "Origin: https://i\r\nHF-Resume: hf1.r.x\r\n\r\n", NONE,
                     HF_LITERAL("https://h"),
                     "GET /ws?a=b HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" OFFERED
                     ", hf1.r.x\r\nHost: h\r\nOrigin: https://i\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_request_is_known),
        cmocka_unit_test(what_the_headers_say_is_read),
        cmocka_unit_test(a_request_that_is_wrong_is_told_so),
        cmocka_unit_test(a_request_stands_for_the_handshake_that_a_browser_would_have_sent),
        cmocka_unit_test(a_last_event_id_becomes_an_offer_and_a_missing_origin_is_filled_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
