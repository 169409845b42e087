/* SPDX-License-Identifier: Apache-2.0 */
/* The opening handshake of both roles: RFC 6455 section 4. */
#include "ws/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="        /* RFC 6455 1.2 */
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" /* RFC 6455 1.2 */
#define HOST "Host: server.example.com\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define WITH_KEY "Sec-WebSocket-Key: " KEY "\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define GOOD HOST UPGRADE CONNECTION WITH_KEY VERSION

static struct hf_head head;

static void read_request(const char *line, const char *headers)
{
    static char text[16384];
    const char *why = NULL;
    const int len = snprintf(text, sizeof(text), "%s\r\n%s\r\n", line, headers);
    if (hf_request_read(hf_slice(text, (size_t)len), sizeof(text), &head, &why) != HF_HEAD_READ) {
        fail_msg("the head itself is refused: %s", why);
    }
}

static struct hf_ws_refusal check(const char *headers)
{
    read_request("GET /chat HTTP/1.1", headers);
    return hf_ws_check_request(&head);
}

static void expect_status(const char *headers, uint16_t status)
{
    const struct hf_ws_refusal refusal = check(headers);
    if (refusal.status != status) {
        fail_msg("%u instead of %u (%s) for:\n%s", refusal.status, status,
                 refusal.why == NULL ? "no reason" : refusal.why, headers);
    }
    assert_false(refusal.not_websocket);
    assert_int_equal(status == 0, refusal.why == NULL);
}

/* RFC 6455 1.3, 4.2.2 point 5.4 */
static void the_accept_of_the_rfcs_example_key_is_the_rfcs(void **unused)
{
    char accept[HF_WS_ACCEPT_CHARS];
    hf_ws_accept(hf_slice_of(KEY), accept);
    assert_memory_equal(accept, ACCEPT, sizeof(accept));
}

/* RFC 6455 4.1 point 7 */
static void a_key_is_16_bytes_in_base64(void **unused)
{
    char key[HF_WS_KEY_CHARS];
    hf_ws_key((const uint8_t *)"the sample nonce", key);
    assert_memory_equal(key, KEY, sizeof(key));
}

/* RFC 6455 1.2 */
static void the_rfcs_example_request_is_right(void **unused)
{
    expect_status(GOOD "Origin: http://example.com\r\nSec-WebSocket-Protocol: chat, superchat\r\n",
                  0);
}

static void names_and_tokens_are_compared_without_case(void **unused)
{
    expect_status("host: a\r\nupgrade: WebSocket\r\nCONNECTION: keep-alive, UPGRADE\r\n"
                  "sec-websocket-KEY: " KEY "\r\nsec-websocket-version: 13\r\n",
                  0);
    expect_status(HOST "Upgrade: h2c, websocket\r\n" CONNECTION WITH_KEY VERSION, 0);
    expect_status(HOST UPGRADE "Connection: keep-alive\r\n" CONNECTION WITH_KEY VERSION, 0);
}

/* RFC 6455 4.2.1 point 1 */
static void a_method_other_than_get_is_405(void **unused)
{
    read_request("POST /chat HTTP/1.1", GOOD);
    assert_int_equal(hf_ws_check_request(&head).status, 405);
    read_request("get /chat HTTP/1.1", GOOD);
    assert_int_equal(hf_ws_check_request(&head).status, 405);
}

/* RFC 6455 4.2.1 point 1 */
static void http_1_0_is_505(void **unused)
{
    read_request("GET /chat HTTP/1.0", GOOD);
    assert_int_equal(hf_ws_check_request(&head).status, 505);
}

/* RFC 6455 4.2.1 point 2 */
static void exactly_one_host_is_wanted(void **unused)
{
    expect_status(UPGRADE CONNECTION WITH_KEY VERSION, 400);
    expect_status(HOST GOOD, 400);
    expect_status("Host:\r\n" UPGRADE CONNECTION WITH_KEY VERSION, 400);
}

/* RFC 6455 4.2.1 point 3 */
static void a_key_without_upgrade_tells_that_a_proxy_took_it(void **unused)
{
    expect_status(HOST WITH_KEY VERSION, 426);
    expect_status(HOST "Upgrade: h2c\r\n" CONNECTION WITH_KEY VERSION, 426);
    expect_status(HOST "Upgrade: websockets\r\n" CONNECTION WITH_KEY VERSION, 426);
    assert_non_null(strstr(check(HOST WITH_KEY VERSION).why, "proxy"));
}

static void a_request_that_never_asked_is_told_apart(void **unused)
{
    const struct hf_ws_refusal refusal = check(HOST "Connection: keep-alive\r\n");
    assert_int_equal(refusal.status, 426);
    assert_true(refusal.not_websocket);
    assert_false(refusal.version);
    read_request("POST /chat HTTP/1.0", HOST);
    assert_true(hf_ws_check_request(&head).not_websocket);
}

/* RFC 6455 4.2.1 point 4 */
static void connection_must_hold_upgrade(void **unused)
{
    expect_status(HOST UPGRADE WITH_KEY VERSION, 400);
    expect_status(HOST UPGRADE "Connection: close\r\n" WITH_KEY VERSION, 400);
    expect_status(HOST UPGRADE "Connection: upgraded\r\n" WITH_KEY VERSION, 400);
}

/* RFC 6455 4.2.1 point 5, 11.3.1 */
static void exactly_one_key_of_16_bytes_is_wanted(void **unused)
{
#define REST HOST UPGRADE CONNECTION VERSION
    expect_status(REST, 400);
    expect_status(REST WITH_KEY WITH_KEY, 400);
    expect_status(REST "Sec-WebSocket-Key:\r\n", 400);
    expect_status(REST "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n", 400);     /* 15 bytes */
    expect_status(REST "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWU=\r\n", 400); /* 17 bytes */
    expect_status(REST "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n", 400);   /* no padding */
    expect_status(REST "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==x\r\n", 400);
    expect_status(REST "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!Q==\r\n", 400);
    expect_status(REST "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n", 400); /* spare bits */
#undef REST
}

/* RFC 6455 4.2.1 point 6, 4.2.2, 4.4 */
static void another_version_gets_426_and_ours(void **unused)
{
#define REST HOST UPGRADE CONNECTION WITH_KEY
    static const char *const others[] = {"8", "14", "013", "13, 8", "\"13\"", "x"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        char text[512];
        (void)snprintf(text, sizeof(text), REST "Sec-WebSocket-Version: %s\r\n", others[i]);
        expect_status(text, 426);
        assert_true(check(text).version);
    }
#undef REST
}

/* RFC 6455 4.2.1 point 6, 11.3.5 */
static void no_version_and_two_versions_are_400(void **unused)
{
    expect_status(HOST UPGRADE CONNECTION WITH_KEY, 400);
    expect_status(GOOD VERSION, 400);
    assert_true(check(GOOD VERSION).version);
}

/* RFC 6454 7.3 */
static void two_origins_are_refused(void **unused)
{
    expect_status(GOOD "Origin: http://a\r\n", 0);
    expect_status(GOOD "Origin: http://a\r\nOrigin: http://b\r\n", 400);
}

/* RFC 6455 4.1 point 10, 11.3.4 */
static void subprotocols_are_tokens_and_unique_over_all_lines(void **unused)
{
    expect_status(GOOD "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b,c\r\n", 0);
    expect_status(GOOD "Sec-WebSocket-Protocol: a, A\r\n", 0);
    expect_status(GOOD "Sec-WebSocket-Protocol: a, b, a\r\n", 400);
    expect_status(GOOD "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n", 400);
    expect_status(GOOD "Sec-WebSocket-Protocol: a b\r\n", 400);
    expect_status(GOOD "Sec-WebSocket-Protocol: a/b\r\n", 400);
    expect_status(GOOD "Sec-WebSocket-Protocol: \"a\"\r\n", 400);
    expect_status(GOOD "Sec-WebSocket-Protocol: \xC3\xA9\r\n", 400);
    expect_status(GOOD "Sec-WebSocket-Protocol:\r\n", 400);
    expect_status(GOOD "Sec-WebSocket-Protocol: ,\r\n", 400);
}

static void the_number_of_subprotocols_has_a_limit(void **unused)
{
    char text[2048] = GOOD "Sec-WebSocket-Protocol: p0";
    size_t len = strlen(text);
    for (int i = 1; i < HF_WS_PROTOCOLS_MAX; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, ",p%d", i);
    }
    (void)snprintf(text + len, sizeof(text) - len, "\r\n");
    expect_status(text, 0);
    (void)snprintf(text + len, sizeof(text) - len, ",one-more\r\n");
    expect_status(text, 400);
}

/* RFC 9112 6.1, 6.3, 11.2: bytes behind this head can mean only one thing */
static void whatever_could_smuggle_a_body_is_refused(void **unused)
{
    expect_status(GOOD "Content-Length: 0\r\n", 0);
    expect_status(GOOD "Content-Length: 1\r\n", 400);
    expect_status(GOOD "Content-Length: 00\r\n", 400);
    expect_status(GOOD "Content-Length: 0\r\nContent-Length: 0\r\n", 400);
    expect_status(GOOD "Transfer-Encoding: chunked\r\n", 400);
    expect_status(GOOD "Transfer-Encoding: identity\r\n", 400);
    expect_status(GOOD "Expect: 100-continue\r\n", 400);
    expect_status(GOOD "Trailer: X\r\n", 400);
}

/* --- The client's side --- */

#define R_ACCEPT "Sec-WebSocket-Accept: " ACCEPT "\r\n"
#define R_GOOD UPGRADE CONNECTION R_ACCEPT

static const char *check_answer(const char *line, const char *headers, const char *offered)
{
    static char text[2048];
    const char *why = NULL;
    const int len = snprintf(text, sizeof(text), "%s\r\n%s\r\n", line, headers);
    if (hf_response_read(hf_slice(text, (size_t)len), sizeof(text), &head, &why) != HF_HEAD_READ) {
        fail_msg("the head itself is refused: %s", why);
    }
    return hf_ws_check_response(&head, hf_slice_of(KEY), hf_slice_of(offered));
}

#define LINE_101 "HTTP/1.1 101 Switching Protocols"

static void expect_right(const char *headers, const char *offered)
{
    const char *why = check_answer(LINE_101, headers, offered);
    if (why != NULL) {
        fail_msg("%s\n%s", why, headers);
    }
}

static void expect_wrong(const char *headers, const char *offered, const char *word)
{
    const char *why = check_answer(LINE_101, headers, offered);
    if (why == NULL || strstr(why, word) == NULL) {
        fail_msg("\"%s\" does not speak of %s\n%s", why == NULL ? "" : why, word, headers);
    }
}

/* RFC 6455 1.2 */
static void the_rfcs_example_answer_is_right(void **unused)
{
    expect_right(R_GOOD, NULL);
    expect_right(R_GOOD "Sec-WebSocket-Protocol: chat\r\n", "chat, superchat");
    expect_right(R_GOOD "Sec-WebSocket-Protocol: superchat\r\n", "chat,superchat");
    expect_right("Upgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n" R_ACCEPT, NULL);
}

/* RFC 6455 4.1, the answer's point 1 */
static void an_answer_that_is_not_101_is_wrong(void **unused)
{
    assert_non_null(check_answer("HTTP/1.1 200 OK", R_GOOD, NULL));
    assert_non_null(check_answer("HTTP/1.1 302 Found", R_GOOD "Location: /\r\n", NULL));
    assert_non_null(check_answer("HTTP/1.0 101 Switching Protocols", R_GOOD, NULL));
}

/* RFC 6455 4.1, the answer's point 2 */
static void an_answer_without_upgrade_websocket_alone_is_wrong(void **unused)
{
    expect_wrong(CONNECTION R_ACCEPT, NULL, "Upgrade: websocket");
    expect_wrong("Upgrade: h2c\r\n" CONNECTION R_ACCEPT, NULL, "Upgrade: websocket");
    expect_wrong("Upgrade: websocket, h2c\r\n" CONNECTION R_ACCEPT, NULL, "Upgrade: websocket");
    expect_wrong(UPGRADE UPGRADE CONNECTION R_ACCEPT, NULL, "Upgrade: websocket");
}

/* RFC 6455 4.1, the answer's point 3 */
static void an_answer_without_connection_upgrade_is_wrong(void **unused)
{
    expect_wrong(UPGRADE R_ACCEPT, NULL, "Connection");
    expect_wrong(UPGRADE "Connection: close\r\n" R_ACCEPT, NULL, "Connection");
}

/* RFC 6455 4.1, the answer's point 4; 11.3.3 */
static void an_answer_whose_accept_does_not_fit_is_wrong(void **unused)
{
    expect_wrong(UPGRADE CONNECTION, NULL, "Accept");
    expect_wrong(R_GOOD R_ACCEPT, NULL, "Accept");
    expect_wrong(UPGRADE CONNECTION "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", NULL,
                 "Accept");
    expect_wrong(UPGRADE CONNECTION "Sec-WebSocket-Accept: " KEY "\r\n", NULL, "Accept");
}

/* RFC 6455 4.1, the answer's point 6; 11.3.4 */
static void an_answer_with_a_subprotocol_that_was_not_offered_is_wrong(void **unused)
{
    expect_wrong(R_GOOD "Sec-WebSocket-Protocol: chat\r\n", NULL, "not offered");
    expect_wrong(R_GOOD "Sec-WebSocket-Protocol: chat\r\n", "superchat", "not offered");
    expect_wrong(R_GOOD "Sec-WebSocket-Protocol: CHAT\r\n", "chat", "not offered");
    expect_wrong(R_GOOD "Sec-WebSocket-Protocol:\r\n", "chat,,x", "not offered");
    expect_wrong(R_GOOD "Sec-WebSocket-Protocol: chat, x\r\n", "chat, x", "not offered");
    expect_wrong(R_GOOD "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n", "a, b",
                 "more than one");
}

/* RFC 6455 4.1: the server need not choose */
static void an_answer_may_choose_no_subprotocol(void **unused)
{
    expect_right(R_GOOD, "chat");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_accept_of_the_rfcs_example_key_is_the_rfcs),
        cmocka_unit_test(a_key_is_16_bytes_in_base64),
        cmocka_unit_test(the_rfcs_example_request_is_right),
        cmocka_unit_test(names_and_tokens_are_compared_without_case),
        cmocka_unit_test(a_method_other_than_get_is_405),
        cmocka_unit_test(http_1_0_is_505),
        cmocka_unit_test(exactly_one_host_is_wanted),
        cmocka_unit_test(a_key_without_upgrade_tells_that_a_proxy_took_it),
        cmocka_unit_test(a_request_that_never_asked_is_told_apart),
        cmocka_unit_test(connection_must_hold_upgrade),
        cmocka_unit_test(exactly_one_key_of_16_bytes_is_wanted),
        cmocka_unit_test(another_version_gets_426_and_ours),
        cmocka_unit_test(no_version_and_two_versions_are_400),
        cmocka_unit_test(two_origins_are_refused),
        cmocka_unit_test(subprotocols_are_tokens_and_unique_over_all_lines),
        cmocka_unit_test(the_number_of_subprotocols_has_a_limit),
        cmocka_unit_test(whatever_could_smuggle_a_body_is_refused),
        cmocka_unit_test(the_rfcs_example_answer_is_right),
        cmocka_unit_test(an_answer_that_is_not_101_is_wrong),
        cmocka_unit_test(an_answer_without_upgrade_websocket_alone_is_wrong),
        cmocka_unit_test(an_answer_without_connection_upgrade_is_wrong),
        cmocka_unit_test(an_answer_whose_accept_does_not_fit_is_wrong),
        cmocka_unit_test(an_answer_with_a_subprotocol_that_was_not_offered_is_wrong),
        cmocka_unit_test(an_answer_may_choose_no_subprotocol),
    };
    return cmocka_run_group_tests_name("ws handshake", tests, NULL, NULL);
}
