/* SPDX-License-Identifier: Apache-2.0 */
/* The call-out on a real loop, against an application that is a listener on the same loop. */
#include "gateway/callout.h"

#include "io/epoll.h"
#include "test_unit.h"

#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* No test waits longer for anything. */
#define PATIENCE HF_SECONDS(20)
#define BIG (1 << 20)

/* ---- the stage: an application, a configuration and what the answer was
 * -------------------------- */

enum then { THEN_STAY, THEN_FIN, THEN_RESET };

struct stage {
    struct hf_loop *loop;
    struct hf_listener *listener;
    uint16_t port;
    size_t descriptors; /* before the test */

    /* The application's part. */
    struct hf_slice answer;
    enum then then;
    bool byte_at_a_time;
    bool silent;        /* accepts, and says nothing */
    struct hf_tls *tls; /* NULL: plain */
    struct hf_stream *peer;
    unsigned accepted;
    struct hf_buffer request;
    size_t sent;
    struct hf_timer pace;
    bool peer_ended;

    /* The gateway's part. */
    struct hf_route_config config;
    struct hf_callout_target *target;
    struct hf_callout *callout;
    char url[256];

    /* The answer, copied, for its slices die. */
    unsigned calls;
    bool cancel_inside;
    enum hf_callout_kind kind;
    uint16_t status;
    char why[256];
    char *subject, *headers, *type, *challenge;
    struct hf_buffer body;
};

static size_t count_descriptors(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

static void say(struct stage *s)
{
    while (s->peer != NULL && s->sent < s->answer.len) {
        struct hf_slice rest = hf_slice_from(s->answer, s->sent);
        size_t sent = hf_stream_send(s->peer, s->byte_at_a_time ? hf_slice_first(rest, 1) : rest);
        s->sent += sent;
        if (sent == 0) {
            return; /* on_writable comes */
        }
        if (s->byte_at_a_time) {
            hf_timer_set(s->loop, &s->pace, hf_loop_now(s->loop));
            return;
        }
    }
    if (s->peer != NULL && s->then == THEN_FIN) {
        hf_stream_shut(s->peer);
    } else if (s->peer != NULL && s->then == THEN_RESET) {
        hf_stream_abort(s->peer);
        s->peer = NULL;
    }
}

static void on_pace(struct hf_timer *timer, hf_time now)
{
    say(HF_CONTAINER(timer, struct stage, pace));
}

static size_t peer_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct stage *s = owner;
    bool was_whole = hf_slice_ends(hf_buffer_slice(&s->request), HF_LITERAL("\r\n\r\n"));
    assert_int_equal(hf_buffer_add(&s->request, bytes), HF_OK);
    if (!was_whole && !s->silent &&
        hf_slice_ends(hf_buffer_slice(&s->request), HF_LITERAL("\r\n\r\n"))) {
        say(s);
    }
    return bytes.len;
}

static void peer_writable(void *owner, struct hf_stream *stream)
{
    say(owner);
}

static void peer_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct stage *s = owner;
    s->peer_ended = true;
    hf_stream_close(s->peer);
    s->peer = NULL;
}

static void peer_accept(void *owner, struct hf_stream *stream, const struct hf_address *address)
{
    static const struct hf_stream_handler handler = {NULL, peer_bytes, peer_writable, peer_end};
    struct stage *s = owner;
    hf_stream_close(s->peer);
    s->peer = stream;
    s->peer_ended = false;
    s->accepted++;
    s->sent = 0;
    hf_buffer_clear(&s->request);
    hf_stream_handle(stream, &handler, s);
    hf_stream_resume(stream);
    if (s->tls != NULL) {
        struct hf_tls_how how = {.tls = s->tls, .server = true};
        assert_int_equal(hf_stream_start_tls(stream, &how), HF_OK);
    }
}

static void listen_at(struct stage *s, const char *address)
{
    static const struct hf_listener_handler handler = {peer_accept, NULL};
    struct hf_listen how = {.backlog = 8};
    struct hf_address bound;
    assert_true(hf_address_parse(hf_slice_of(address), &how.address));
    assert_int_equal(hf_loop_listen(s->loop, &how, &handler, s, &s->listener), HF_OK);
    hf_listener_address(s->loop, s->listener, &bound);
    s->port = bound.u.any.sa_family == AF_INET    ? ntohs(bound.u.v4.sin_port)
              : bound.u.any.sa_family == AF_INET6 ? ntohs(bound.u.v6.sin6_port)
                                                  : 0;
}

static int set_stage(void **state)
{
    struct stage *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->descriptors = count_descriptors();
    s->loop = hf_epoll_new();
    assert_non_null(s->loop);
    hf_timer_init(&s->pace, on_pace);
    hf_buffer_init(&s->request, &hf_heap, 16 * BIG);
    hf_buffer_init(&s->body, &hf_heap, BIG);
    listen_at(s, "127.0.0.1:0");
    s->config.callout.timeout = PATIENCE;
    s->config.callout.subject = "X-Auth-Subject";
    *state = s;
    return 0;
}

static void forget_answer(struct stage *s)
{
    free(s->subject);
    free(s->headers);
    free(s->type);
    free(s->challenge);
    s->subject = s->headers = s->type = s->challenge = NULL;
    hf_buffer_reset(&s->body);
}

static int strike_stage(void **state)
{
    struct stage *s = *state;
    forget_answer(s);
    hf_callout_target_free(s->target);
    hf_timer_stop(s->loop, &s->pace);
    hf_stream_close(s->peer);
    hf_listener_close(s->loop, s->listener);
    hf_loop_free(s->loop);
    hf_tls_unref(s->tls);
    hf_buffer_reset(&s->request);
    size_t descriptors = count_descriptors();
    size_t before = s->descriptors;
    free(s);
    return descriptors == before ? 0 : -1;
}

static char *keep(struct hf_slice text)
{
    char *copy = malloc(text.len + 1);
    assert_non_null(copy);
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    copy[text.len] = '\0';
    return copy;
}

static void on_done(void *owner, const struct hf_callout_answer *answer)
{
    struct stage *s = owner;
    forget_answer(s);
    s->calls++;
    s->kind = answer->kind;
    s->status = answer->status;
    (void)snprintf(s->why, sizeof(s->why), "%s", answer->why);
    s->subject = keep(answer->subject);
    s->headers = keep(answer->headers);
    s->type = keep(answer->content_type);
    s->challenge = keep(answer->challenge);
    assert_int_equal(hf_buffer_add(&s->body, answer->body), HF_OK);
    if (s->cancel_inside) {
        hf_callout_cancel(s->callout);
    }
    s->callout = NULL;
}

#define REQUEST                                                                                    \
    "GET /ws/inbox/?token=t HTTP/1.1\r\nHost: app.example\r\nUpgrade: websocket\r\n"               \
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                       \
    "Sec-WebSocket-Version: 13\r\nOrigin: https://app.example\r\nCookie: a=1\r\ncookie: b=2\r\n"   \
    "Authorization: Bearer x\r\nUser-Agent: unit\r\nSec-WebSocket-Protocol: chat\r\n"              \
    "X-Forwarded-For: 6.6.6.6\r\nX-Secret: no\r\n\r\n"

static enum hf_status try_start(struct stage *s, const char *request)
{
    static struct hf_head head;
    const char *wrong;
    assert_int_equal(hf_request_read(hf_slice_of(request), 8 * BIG, &head, &wrong), HF_HEAD_READ);
    enum hf_status status = hf_callout_start(s->loop, s->target, &s->config, &head, "192.0.2.7",
                                             true, on_done, s, &s->callout);
    /* Everything was copied. */
    memset(&head, 0xa5, sizeof(head));
    return status;
}

static void make_target(struct stage *s, const char *format)
{
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, 1024);
    (void)snprintf(s->url, sizeof(s->url), format, s->port);
    s->config.callout.url = s->url;
    hf_callout_target_free(s->target);
    assert_int_equal(hf_callout_target_new(&s->config, &s->target, &why), HF_OK);
    assert_int_equal(why.len, 0);
    hf_buffer_reset(&why);
}

static void start(struct stage *s)
{
    unsigned before = s->calls;
    if (s->target == NULL) {
        make_target(s, "http://127.0.0.1:%u/auth?x=1");
    }
    assert_int_equal(try_start(s, REQUEST), HF_OK);
    assert_non_null(s->callout);
    assert_int_equal(s->calls, before); /* never inside */
}

static void turn(struct stage *s, int turns)
{
    for (int i = 0; i < turns; i++) {
        (void)hf_epoll_turn(s->loop, HF_MS(2));
    }
}

static void wait_for_answer(struct stage *s)
{
    hf_time until = hf_loop_now(s->loop) + 2 * PATIENCE;
    while (s->callout != NULL && hf_loop_now(s->loop) < until) {
        turn(s, 1);
    }
    assert_null(s->callout);
    turn(s, 5);
    assert_int_equal(s->calls, 1);
}

/* Asks once and has the application answer with that text. */
static void ask(struct stage *s, struct hf_slice answer, enum then then)
{
    s->calls = 0;
    s->answer = answer;
    s->then = then;
    start(s);
    wait_for_answer(s);
}

static void assert_failed(struct stage *s, const char *words)
{
    if (s->kind != HF_CALLOUT_FAILED || strstr(s->why, words) == NULL) {
        fail_msg("kind %d, \"%s\" and not FAILED, \"%s\"", s->kind, s->why, words);
    }
    assert_string_equal(s->headers, "");
    assert_string_equal(s->subject, "");
    assert_int_equal(s->body.len, 0);
}

/* ---- the question ------------------------------------------------------------------------------
 */

static void the_application_is_asked_with_what_it_needs_to_decide(void **state)
{
    struct stage *s = *state;
    ask(s, HF_LITERAL("HTTP/1.1 204 No Content\r\n\r\n"), THEN_STAY);
    assert_slice(hf_buffer_slice(&s->request), "GET /auth?x=1 HTTP/1.1\r\n"
                                               "Host: app.example\r\n"
                                               "Origin: https://app.example\r\n"
                                               "Cookie: a=1\r\n"
                                               "Cookie: b=2\r\n"
                                               "Authorization: Bearer x\r\n"
                                               "User-Agent: unit\r\n"
                                               "Sec-WebSocket-Protocol: chat\r\n"
                                               "X-Original-URI: /ws/inbox/?token=t\r\n"
                                               "X-Original-Method: GET\r\n"
                                               "X-Forwarded-For: 192.0.2.7\r\n"
                                               "X-Forwarded-Proto: https\r\n"
                                               "Connection: close\r\n\r\n");
}

static void a_client_without_host_is_asked_about_under_the_name_of_the_url(void **state)
{
    struct stage *s = *state;
    s->answer = HF_LITERAL("HTTP/1.1 204 No Content\r\n\r\n");
    make_target(s, "http://127.0.0.1:%u");
    assert_int_equal(try_start(s, "GET /ws HTTP/1.0\r\nUser-Agent: unit\r\n\r\n"), HF_OK);
    wait_for_answer(s);
    char start_text[128];
    (void)snprintf(start_text, sizeof(start_text), "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n",
                   s->port);
    assert_slice(hf_slice_first(hf_buffer_slice(&s->request), strlen(start_text)), start_text);
}

static void a_head_larger_than_any_socket_buffer_goes_out_whole(void **state)
{
    struct stage *s = *state;
    char *request = malloc(7 * BIG);
    assert_non_null(request);
    int at = snprintf(request, 7 * BIG, "GET / HTTP/1.1\r\nHost: h\r\nCookie: c=");
    memset(request + at, 'c', 6 * BIG);
    (void)snprintf(request + at + 6 * BIG, 64, "\r\n\r\n");
    s->answer = HF_LITERAL("HTTP/1.1 200 OK\r\n\r\n");
    make_target(s, "http://127.0.0.1:%u/");
    assert_int_equal(try_start(s, request), HF_OK);
    free(request);
    wait_for_answer(s);
    assert_int_equal(s->kind, HF_CALLOUT_ALLOW);
    assert_true(s->request.len > 6 * BIG);
    assert_true(hf_slice_ends(hf_buffer_slice(&s->request), HF_LITERAL("close\r\n\r\n")));
}

/* ---- letting in --------------------------------------------------------------------------------
 */

static void status_200_lets_in_with_the_subject_and_the_chosen_headers(void **state)
{
    struct stage *s = *state;
    char *names[] = {"X-Role", "X-Tenant", "X-Absent"};
    s->config.callout.copy = (struct hf_string_list){names, 3};
    ask(s,
        HF_LITERAL("HTTP/1.1 200 OK\r\nx-auth-subject: mira\r\nX-ROLE: a\r\nX-Other: no\r\n"
                   "x-tenant:  acme \r\nX-Role: b\r\nContent-Length: 2\r\n\r\nok"),
        THEN_STAY);
    assert_int_equal(s->kind, HF_CALLOUT_ALLOW);
    assert_int_equal(s->status, 200);
    assert_string_equal(s->why, "status 200");
    assert_string_equal(s->subject, "mira");
    assert_string_equal(s->headers, "X-Role: a\r\nX-Role: b\r\nX-Tenant: acme\r\n");
    assert_int_equal(s->body.len, 0);
    turn(s, 5);
    assert_true(s->peer_ended); /* the connection is not kept */
}

static void every_2xx_lets_in_without_waiting_for_a_body(void **state)
{
    static const struct hf_slice answers[] = {
        HF_LITERAL("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 204 No Content\r\n\r\n"),
        HF_LITERAL("HTTP/1.0 200 OK\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 299 \r\nTransfer-Encoding: chunked\r\n\r\n"),
    };
    struct stage *s = *state;
    for (size_t i = 0; i < COUNT(answers); i++) {
        ask(s, answers[i], THEN_STAY);
        assert_int_equal(s->kind, HF_CALLOUT_ALLOW);
        assert_string_equal(s->subject, "");
        assert_string_equal(s->headers, "");
    }
}

static void an_answer_that_comes_a_byte_at_a_time_says_the_same(void **state)
{
    struct stage *s = *state;
    char *names[] = {"X-Role"};
    s->config.callout.copy = (struct hf_string_list){names, 1};
    s->byte_at_a_time = true;
    ask(s, HF_LITERAL("HTTP/1.1 200 OK\r\nX-Auth-Subject: mira\r\nX-Role: a\r\n\r\n"), THEN_STAY);
    assert_int_equal(s->kind, HF_CALLOUT_ALLOW);
    assert_string_equal(s->subject, "mira");
    assert_string_equal(s->headers, "X-Role: a\r\n");
    ask(s,
        HF_LITERAL(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n"
            "4\r\nwhat\r\n3;x=y\r\n no\r\n0\r\nT: t\r\n\r\n"),
        THEN_STAY);
    assert_int_equal(s->kind, HF_CALLOUT_DENY);
    assert_slice(hf_buffer_slice(&s->body), "what no");
    ask(s, HF_LITERAL("HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nno!"), THEN_STAY);
    assert_slice(hf_buffer_slice(&s->body), "no!");
}

static void interim_answers_are_skipped_up_to_a_limit(void **state)
{
    struct stage *s = *state;
    ask(s,
        HF_LITERAL("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-Auth-Subject: "
                   "eve\r\n\r\nHTTP/1.1 200 OK\r\nX-Auth-Subject: mira\r\n\r\n"),
        THEN_STAY);
    assert_int_equal(s->kind, HF_CALLOUT_ALLOW);
    assert_string_equal(s->subject, "mira");
    char text[9 * 32 + 1] = "";
    for (int i = 0; i < 9; i++) {
        strcat(text, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    ask(s, hf_slice_of(text), THEN_STAY);
    assert_failed(s, "too many interim answers");
}

/* ---- refusing ----------------------------------------------------------------------------------
 */

static void status_401_passes_through_with_its_body_and_challenge(void **state)
{
    struct stage *s = *state;
    ask(s,
        HF_LITERAL(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"a\"\r\n"
            "Content-Type: application/json\r\nwww-authenticate: Basic\r\nContent-Length: 9\r\n\r\n"
            "{\"no\":1}\n and more"),
        THEN_STAY);
    assert_int_equal(s->kind, HF_CALLOUT_DENY);
    assert_int_equal(s->status, 401);
    assert_string_equal(s->challenge, "Bearer realm=\"a\", Basic");
    assert_string_equal(s->type, "application/json");
    assert_slice(hf_buffer_slice(&s->body), "{\"no\":1}\n");
    assert_string_equal(s->headers, "");
}

static void status_403_passes_through_however_its_body_ends(void **state)
{
    static const struct {
        struct hf_slice answer;
        enum then then;
        const char *body;
    } cases[] = {
        {HF_LITERAL("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), THEN_STAY, ""},
        {HF_LITERAL("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope"), THEN_STAY, "nope"},
        {HF_LITERAL(
             "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nnope\r\n0\r\n\r\n"),
         THEN_STAY, "nope"},
        {HF_LITERAL("HTTP/1.1 403 Forbidden\r\n\r\nnope"), THEN_FIN, "nope"},
        {HF_LITERAL("HTTP/1.0 403 Forbidden\r\n\r\n"), THEN_FIN, ""},
    };
    struct stage *s = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        ask(s, cases[i].answer, cases[i].then);
        assert_int_equal(s->kind, HF_CALLOUT_DENY);
        assert_int_equal(s->status, 403);
        assert_string_equal(s->why, "status 403");
        assert_string_equal(s->challenge, "");
        assert_slice(hf_buffer_slice(&s->body), cases[i].body);
    }
}

static void of_a_longer_body_the_first_64_kib_pass(void **state)
{
    static const char *const heads[] = {"Content-Length: 100000\r\n\r\n",
                                        "Transfer-Encoding: chunked\r\n\r\n186A0\r\n", "\r\n"};
    struct stage *s = *state;
    for (size_t i = 0; i < COUNT(heads); i++) {
        char *text = malloc(100200);
        assert_non_null(text);
        int at = snprintf(text, 200, "HTTP/1.1 401 No\r\n%s", heads[i]);
        memset(text + at, 'b', 100000);
        ask(s, hf_slice(text, (size_t)at + 100000), THEN_STAY);
        assert_int_equal(s->kind, HF_CALLOUT_DENY);
        assert_int_equal(s->body.len, 65536);
        assert_int_equal(s->body.data[65535], 'b');
        free(text);
    }
}

/* ---- failing -----------------------------------------------------------------------------------
 */

static void every_other_status_is_a_failure_that_is_named(void **state)
{
    static const struct {
        struct hf_slice answer;
        const char *why;
    } cases[] = {
        {HF_LITERAL("HTTP/1.1 101 Switching Protocols\r\n\r\n"), "status 101"},
        {HF_LITERAL("HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n"), "status 302"},
        {HF_LITERAL("HTTP/1.1 400 Bad\r\n\r\n"), "status 400"},
        {HF_LITERAL("HTTP/1.1 404 Not Found\r\n\r\n"), "status 404"},
        {HF_LITERAL("HTTP/1.1 500 Oops\r\nX-Auth-Subject: eve\r\nContent-Length: 3\r\n\r\nabc"),
         "status 500"},
        {HF_LITERAL("HTTP/1.1 999 \r\n\r\n"), "status 999"},
    };
    struct stage *s = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        ask(s, cases[i].answer, THEN_STAY);
        assert_failed(s, cases[i].why);
        assert_string_equal(s->why, cases[i].why);
        assert_true(s->status >= 100);
    }
}

static void an_answer_that_is_not_sound_http_is_a_failure(void **state)
{
    static const struct hf_slice answers[] = {
        HF_LITERAL("SSH-2.0-OpenSSH_9.2\r\n"),
        HF_LITERAL("HTTP/2 200\r\n\r\n"),
        HF_LITERAL("\x15\x03\x01\x00\x02\x02\x46"),
        HF_LITERAL("HTTP/1.1 200 OK\nX-Auth-Subject: eve\n\n"),
        HF_LITERAL("HTTP/1.1 2x0 OK\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 200 OK\r\nX-Auth-Subject: a\r\nX-Auth-Subject: b\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 401 No\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        HF_LITERAL("HTTP/1.1 401 No\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"),
        HF_LITERAL("HTTP/1.1 401 No\r\nTransfer-Encoding: gzip\r\n\r\nabc"),
        HF_LITERAL("HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc"),
    };
    struct stage *s = *state;
    for (int pass = 0; pass < 2; pass++) {
        s->byte_at_a_time = pass == 1;
        for (size_t i = 0; i < COUNT(answers); i++) {
            ask(s, answers[i], THEN_STAY);
            assert_failed(s, "malformed answer: ");
        }
    }
}

/* What goes into the backend's request cannot bring a line of its own. */
static void copied_values_cannot_inject_lines(void **state)
{
    static const struct hf_slice answers[] = {
        HF_LITERAL("HTTP/1.1 200 OK\r\nX-Role: a\nX-Admin: 1\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 200 OK\r\nX-Role: a\rX-Admin: 1\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 200 OK\r\nX-Role: a\r\n X-Admin: 1\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 200 OK\r\nX-Role: a\0b\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 200 OK\r\nX-Auth-Subject: a\nX-Admin: 1\r\n\r\n"),
        HF_LITERAL("HTTP/1.1 200 OK\r\nX-Auth-Subject: a\x7f\r\n\r\n"),
    };
    struct stage *s = *state;
    char *names[] = {"X-Role"};
    s->config.callout.copy = (struct hf_string_list){names, 1};
    for (size_t i = 0; i < COUNT(answers); i++) {
        ask(s, answers[i], THEN_STAY);
        assert_failed(s, "malformed answer: ");
    }
}

static void an_answer_that_ends_early_is_a_failure(void **state)
{
    static const struct {
        struct hf_slice answer;
        enum then then;
        const char *why;
    } cases[] = {
        {HF_LITERAL(""), THEN_FIN, "closed without an answer"},
        {HF_LITERAL("HTTP/1.1 403 No\r\n\r\nnope"), THEN_RESET, "ended early"},
        {HF_LITERAL(""), THEN_RESET, "ended early"},
        {HF_LITERAL("HTTP/1.1 200 OK\r\nX-Auth-Subject: eve\r\n"), THEN_FIN, "ended early"},
        {HF_LITERAL("HTTP/1.1 401 No\r\nContent-Length: 10\r\n\r\nabc"), THEN_FIN, "ended early"},
        {HF_LITERAL("HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), THEN_FIN,
         "ended early"},
    };
    struct stage *s = *state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        ask(s, cases[i].answer, cases[i].then);
        assert_failed(s, cases[i].why);
    }
}

static void a_head_without_end_is_a_failure(void **state)
{
    struct stage *s = *state;
    char *text = malloc(200000);
    assert_non_null(text);
    int at = snprintf(text, 64, "HTTP/1.1 200 OK\r\nX-Long: ");
    memset(text + at, 'x', 200000 - (size_t)at);
    ask(s, hf_slice(text, 200000), THEN_STAY);
    assert_failed(s, "malformed answer: ");
    free(text);
}

static void a_refused_connection_is_named(void **state)
{
    struct stage *s = *state;
    make_target(s, "http://127.0.0.1:%u/auth");
    hf_listener_close(s->loop, s->listener);
    s->listener = NULL;
    start(s);
    wait_for_answer(s);
    assert_failed(s, "connect: Connection refused");
    assert_int_equal(s->status, 0);
    make_target(s, "unix:/nowhere/app.sock:/auth");
    s->calls = 0;
    start(s);
    wait_for_answer(s);
    assert_failed(s, "connect: ");
}

static void a_name_that_does_not_exist_is_named(void **state)
{
    struct stage *s = *state;
    /* Nobody answers there; numeric, so that no real server is asked. */
    assert_int_equal(hf_epoll_name_servers(s->loop, "127.0.0.1:1"), HF_OK);
    make_target(s, "http://app.invalid:%u/auth");
    start(s);
    wait_for_answer(s);
    assert_failed(s, "app.invalid: ");
}

static void without_descriptors_nothing_starts_and_nothing_comes(void **state)
{
    struct stage *s = *state;
    struct rlimit limit, none;
    make_target(s, "http://127.0.0.1:%u/auth");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    enum hf_status status = try_start(s, REQUEST);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(status, HF_NO_DESCRIPTORS);
    assert_null(s->callout);
    turn(s, 5);
    assert_int_equal(s->calls, 0);
}

/* ---- time --------------------------------------------------------------------------------------
 */

static void a_silent_application_is_given_up_in_time(void **state)
{
    static const struct {
        struct hf_slice answer;
        const char *why;
        uint16_t status;
    } cases[] = {
        {HF_LITERAL(""), "no answer in 60ms", 0},
        {HF_LITERAL("HTTP/1.1 200 OK\r\nX-Auth-Subject: eve\r\n"), "no answer in 60ms", 0},
        {HF_LITERAL("HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\nabc"), "no whole answer in 60ms",
         401},
    };
    struct stage *s = *state;
    s->config.callout.timeout = HF_MS(60);
    for (size_t i = 0; i < COUNT(cases); i++) {
        hf_time before = hf_loop_now(s->loop);
        ask(s, cases[i].answer, THEN_STAY);
        assert_int_equal(s->kind, HF_CALLOUT_TIMEOUT);
        assert_string_equal(s->why, cases[i].why);
        assert_int_equal(s->status, cases[i].status);
        assert_true(hf_loop_now(s->loop) - before >= HF_MS(60));
    }
}

/* Each byte is a sign of life, but the time is for the whole. */
static void a_trickling_application_is_given_up_in_time_too(void **state)
{
    static char text[400000];
    struct stage *s = *state;
    int at = snprintf(text, sizeof(text), "HTTP/1.1 401 No\r\n\r\n");
    memset(text + at, 'x', sizeof(text) - (size_t)at);
    s->config.callout.timeout = HF_MS(60);
    s->byte_at_a_time = true;
    ask(s, hf_slice(text, sizeof(text)), THEN_STAY);
    assert_int_equal(s->kind, HF_CALLOUT_TIMEOUT);
    assert_true(s->sent > 20);
}

/* ---- cancelling and reloading
 * -------------------------------------------------------------------- */

static void cancelled_at_any_turn_it_never_answers(void **state)
{
    static const char *const urls[] = {"http://127.0.0.1:%u/", "http://localhost:%u/",
                                       "http://127.0.0.1:1/", "http://app.invalid:%u/"};
    struct stage *s = *state;
    unsigned cancelled = 0, answered = 0;
    assert_int_equal(hf_epoll_name_servers(s->loop, "127.0.0.1:1"), HF_OK);
    s->answer = HF_LITERAL("HTTP/1.1 401 No\r\nContent-Length: 3\r\n\r\nabc");
    s->byte_at_a_time = true;
    for (size_t i = 0; i < COUNT(urls); i++) {
        make_target(s, urls[i]);
        for (int turns = 0; turns < (i == 0 ? 90 : 20); turns++) {
            s->calls = 0;
            start(s);
            turn(s, turns);
            if (s->callout != NULL) {
                unsigned before = s->calls;
                hf_callout_cancel(s->callout);
                s->callout = NULL;
                turn(s, 3);
                assert_int_equal(s->calls, before);
                cancelled++;
            } else {
                assert_int_equal(s->calls, 1);
                answered++;
            }
        }
    }
    assert_true(cancelled > 50 && answered > 10);
    hf_callout_cancel(NULL);
}

static void cancelled_inside_its_own_answer_it_is_only_gone(void **state)
{
    struct stage *s = *state;
    s->cancel_inside = true;
    ask(s, HF_LITERAL("HTTP/1.1 200 OK\r\n\r\n"), THEN_STAY);
    assert_int_equal(s->kind, HF_CALLOUT_ALLOW);
    ask(s, HF_LITERAL("HTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\nx"), THEN_STAY);
    assert_int_equal(s->kind, HF_CALLOUT_DENY);
}

static void a_reload_takes_nothing_from_a_question_under_way(void **state)
{
    struct stage *s = *state;
    char *names[] = {"X-Role"};
    s->config.callout.copy = (struct hf_string_list){names, 1};
    s->answer = HF_LITERAL("HTTP/1.1 200 OK\r\nX-Auth-Subject: mira\r\nX-Role: a\r\n\r\n");
    start(s);
    hf_callout_target_free(s->target);
    s->target = NULL;
    memset(&s->config, 0, sizeof(s->config));
    wait_for_answer(s);
    assert_string_equal(s->subject, "mira");
    assert_string_equal(s->headers, "X-Role: a\r\n");
}

/* ---- targets -----------------------------------------------------------------------------------
 */

static void a_name_is_looked_up_and_its_addresses_are_tried_in_turn(void **state)
{
    struct stage *s = *state;
    struct hf_slice answer = HF_LITERAL("HTTP/1.1 200 OK\r\nX-Auth-Subject: mira\r\n\r\n");
    /* "localhost" has two addresses, in whatever order; nobody listens on the other one. */
    static const char *const places[] = {"127.0.0.1:0", "[::1]:0"};
    for (size_t i = 0; i < COUNT(places); i++) {
        hf_listener_close(s->loop, s->listener);
        listen_at(s, places[i]);
        make_target(s, "http://localhost:%u/auth");
        ask(s, answer, THEN_STAY);
        assert_int_equal(s->kind, HF_CALLOUT_ALLOW);
        assert_string_equal(s->subject, "mira");
    }
}

static void a_unix_socket_is_asked_as_well(void **state)
{
    struct stage *s = *state;
    char path[] = "/tmp/hf-callout-XXXXXX", address[64];
    assert_non_null(mkdtemp(path));
    hf_listener_close(s->loop, s->listener);
    (void)snprintf(address, sizeof(address), "unix:%s/s", path);
    listen_at(s, address);
    (void)snprintf(s->url, sizeof(s->url), "unix:%s/s:/auth", path);
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, 1024);
    s->config.callout.url = s->url;
    assert_int_equal(hf_callout_target_new(&s->config, &s->target, &why), HF_OK);
    ask(s, HF_LITERAL("HTTP/1.1 204 No Content\r\n\r\n"), THEN_STAY);
    assert_int_equal(s->kind, HF_CALLOUT_ALLOW);
    assert_slice(hf_slice_first(hf_buffer_slice(&s->request), 9), "GET /auth");
    hf_listener_close(s->loop, s->listener);
    s->listener = NULL;
    turn(s, 1);
    assert_int_equal(rmdir(path), 0);
}

static const char *target_refusal(struct stage *s)
{
    static char text[512];
    struct hf_callout_target *target = NULL;
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, sizeof(text) - 1);
    assert_int_not_equal(hf_callout_target_new(&s->config, &target, &why), HF_OK);
    assert_null(target);
    (void)snprintf(text, sizeof(text), "%.*s", HF_SLICE_ARG(hf_buffer_slice(&why)));
    hf_buffer_reset(&why);
    return text;
}

static void targets_that_cannot_work_are_refused_with_a_reason(void **state)
{
    static char *const names[] = {
        "connection", "Content-Length",    "transfer-encoding",     "Upgrade",
        "Host",       "Sec-WebSocket-Key", "sec-websocket-protocol"};
    struct stage *s = *state;
    s->config.callout.url = "http://user@127.0.0.1/";
    assert_non_null(strstr(target_refusal(s), "callout.url: http://user@127.0.0.1/: "));
    s->config.callout.url = NULL;
    assert_non_null(strstr(target_refusal(s), "callout.url"));
    s->config.callout.url = "http://127.0.0.1/";
    for (size_t i = 0; i < COUNT(names); i++) {
        char *list[] = {"X-Role", names[i]};
        s->config.callout.copy = (struct hf_string_list){list, 2};
        assert_non_null(strstr(target_refusal(s), names[i]));
    }
    s->config.callout.copy.count = 0;
    s->config.callout.url = "https://127.0.0.1/";
    s->config.upstream_tls.ca = "/nowhere/ca.pem";
    assert_non_null(strstr(target_refusal(s), "/nowhere/ca.pem: No such file or directory"));
    hf_callout_target_free(NULL);
}

/* ---- TLS ---------------------------------------------------------------------------------------
 */

/* A key and a certificate of itself for "localhost", in PATH.key and PATH.crt. */
static void write_certificate(const char *path)
{
    char name[128];
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, pkey);
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)"app", -1, -1,
                               0);
    X509_set_issuer_name(certificate, subject);
    X509_EXTENSION *names =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    X509_add_ext(certificate, names, -1);
    X509_EXTENSION_free(names);
    assert_true(X509_sign(certificate, pkey, EVP_sha256()) > 0);
    (void)snprintf(name, sizeof(name), "%s.key", path);
    FILE *file = fopen(name, "w");
    assert_int_equal(PEM_write_PrivateKey(file, pkey, NULL, NULL, 0, NULL, NULL), 1);
    (void)fclose(file);
    (void)snprintf(name, sizeof(name), "%s.crt", path);
    file = fopen(name, "w");
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    (void)fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(pkey);
}

static void over_tls_only_a_verified_application_is_believed(void **state)
{
    struct stage *s = *state;
    char path[] = "/tmp/hf-callout-XXXXXX", base[64], cert[64], key[64];
    assert_non_null(mkdtemp(path));
    (void)snprintf(base, sizeof(base), "%s/app", path);
    (void)snprintf(cert, sizeof(cert), "%s/app.crt", path);
    (void)snprintf(key, sizeof(key), "%s/app.key", path);
    write_certificate(base);
    struct hf_tls_certificate certificate = {cert, key};
    struct hf_tls_server_options options = {.certificates = &certificate, .certificate_count = 1};
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, 1024);
    assert_int_equal(hf_tls_server_new(&options, &s->tls, &why), HF_OK);
    struct hf_slice answer = HF_LITERAL("HTTP/1.1 401 No\r\n\r\nno");
    static const char *const urls[] = {"https://localhost:%u/auth", "https://127.0.0.1:%u/auth"};
    s->config.upstream_tls.ca = cert;
    for (size_t i = 0; i < COUNT(urls); i++) {
        make_target(s, urls[i]);
        ask(s, answer, THEN_FIN);
        assert_int_equal(s->kind, HF_CALLOUT_DENY);
        assert_slice(hf_buffer_slice(&s->body), "no");
    }
    /* The system's authorities do not know it, and upstream_tls.verify does not speak for the
     * call-out. */
    s->config.upstream_tls.ca = NULL;
    s->config.upstream_tls.verify = false;
    make_target(s, urls[1]);
    ask(s, answer, THEN_FIN);
    assert_failed(s, "connect: certificate verify failed");
    assert_int_equal(unlink(cert), 0);
    assert_int_equal(unlink(key), 0);
    assert_int_equal(rmdir(path), 0);
}

#define STAGED(test) cmocka_unit_test_setup_teardown(test, set_stage, strike_stage)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(the_application_is_asked_with_what_it_needs_to_decide),
        STAGED(a_client_without_host_is_asked_about_under_the_name_of_the_url),
        STAGED(a_head_larger_than_any_socket_buffer_goes_out_whole),
        STAGED(status_200_lets_in_with_the_subject_and_the_chosen_headers),
        STAGED(every_2xx_lets_in_without_waiting_for_a_body),
        STAGED(an_answer_that_comes_a_byte_at_a_time_says_the_same),
        STAGED(interim_answers_are_skipped_up_to_a_limit),
        STAGED(status_401_passes_through_with_its_body_and_challenge),
        STAGED(status_403_passes_through_however_its_body_ends),
        STAGED(of_a_longer_body_the_first_64_kib_pass),
        STAGED(every_other_status_is_a_failure_that_is_named),
        STAGED(an_answer_that_is_not_sound_http_is_a_failure),
        STAGED(copied_values_cannot_inject_lines),
        STAGED(an_answer_that_ends_early_is_a_failure),
        STAGED(a_head_without_end_is_a_failure),
        STAGED(a_refused_connection_is_named),
        STAGED(a_name_that_does_not_exist_is_named),
        STAGED(without_descriptors_nothing_starts_and_nothing_comes),
        STAGED(a_silent_application_is_given_up_in_time),
        STAGED(a_trickling_application_is_given_up_in_time_too),
        STAGED(cancelled_at_any_turn_it_never_answers),
        STAGED(cancelled_inside_its_own_answer_it_is_only_gone),
        STAGED(a_reload_takes_nothing_from_a_question_under_way),
        STAGED(a_name_is_looked_up_and_its_addresses_are_tried_in_turn),
        STAGED(a_unix_socket_is_asked_as_well),
        STAGED(targets_that_cannot_work_are_refused_with_a_reason),
        STAGED(over_tls_only_a_verified_application_is_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
