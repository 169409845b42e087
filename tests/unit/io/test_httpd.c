/* SPDX-License-Identifier: Apache-2.0 */
/* The small HTTP server, asked through real sockets by a client in the same thread. */
#include "io/httpd.h"

#include "io/epoll.h"
#include "test_unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct scene {
    struct hf_loop *loop;
    struct hf_httpd *httpd;
    struct hf_address address;
    unsigned asked;
    char body[256];
};

static void answer(void *owner, const struct hf_httpd_request *request, struct hf_httpd_answer *a)
{
    struct scene *s = owner;
    s->asked++;
    snprintf(s->body, sizeof(s->body), "%.*s", HF_SLICE_ARG(request->body));
    if (hf_slice_eq(request->path, HF_LITERAL("/large"))) {
        for (int i = 0; i < 300000; i++) {
            hf_buffer_add_text(a->body, "0123456789");
        }
        return;
    }
    hf_buffer_addf(a->body, "%.*s %.*s?%.*s", HF_SLICE_ARG(request->head->method),
                   HF_SLICE_ARG(request->path), HF_SLICE_ARG(request->query));
}

static void open_scene(struct scene *s, struct hf_httpd_how how)
{
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, 4096);
    *s = (struct scene){.loop = hf_epoll_new()};
    assert_true(hf_address_parse(HF_LITERAL("127.0.0.1:0"), &how.address));
    how.handler = answer;
    how.owner = s;
    assert_int_equal(hf_httpd_new(s->loop, &how, &s->httpd, &why), HF_OK);
    hf_httpd_address(s->httpd, &s->address);
    hf_buffer_reset(&why);
}

static void close_scene(struct scene *s)
{
    hf_httpd_free(s->httpd);
    hf_loop_free(s->loop);
}

static int dial(struct scene *s)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &s->address.u.any, s->address.len), 0);
    assert_true(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
}

/* Reads until the server ends the connection; the answer, which the caller frees. */
static char *read_all(struct scene *s, int fd, size_t *total)
{
    size_t len = 0;
    size_t cap = 4 << 20;
    char *text = malloc(cap);
    assert_non_null(text);
    for (int turns = 0; turns < 20000; turns++) {
        (void)hf_epoll_turn(s->loop, HF_MS(1));
        ssize_t n = read(fd, text + len, cap - len - 1);
        if (n > 0) {
            len += (size_t)n;
        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            text[len] = '\0';
            close(fd);
            if (total != NULL) {
                *total = len;
            }
            return text;
        }
    }
    fail_msg("the connection was not ended");
    return NULL;
}

static char *ask(struct scene *s, const char *text)
{
    int fd = dial(s);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return read_all(s, fd, NULL);
}

static void assert_answer(struct scene *s, const char *request, const char *status,
                          const char *part)
{
    char *got = ask(s, request);
    if (strncmp(got, status, strlen(status)) != 0 || strstr(got, part) == NULL) {
        fail_msg("wanted %s with \"%s\", got: %s", status, part, got);
    }
    free(got);
}

#define CLOSE "Connection: close\r\n\r\n"

static void a_request_is_answered_and_a_head_gets_no_body(void **state)
{
    struct scene s;
    open_scene(&s, (struct hf_httpd_how){0});
    assert_answer(&s, "GET /a/b?c=d HTTP/1.1\r\nHost: x\r\n" CLOSE, "HTTP/1.1 200", "GET /a/b?c=d");
    char *got = ask(&s, "HEAD /a HTTP/1.1\r\nHost: x\r\n" CLOSE);
    assert_non_null(strstr(got, "Content-Length: 8\r\n"));
    assert_string_equal(strstr(got, "\r\n\r\n"), "\r\n\r\n");
    free(got);
    close_scene(&s);
}

static void pipelined_requests_are_answered_in_their_order(void **state)
{
    struct scene s;
    open_scene(&s, (struct hf_httpd_how){.body_max = 100});
    char *got = ask(&s, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
                        "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                        "GET /3 HTTP/1.1\r\nHost: x\r\n" CLOSE);
    char *first = strstr(got, "GET /1");
    char *second = strstr(got, "POST /2");
    char *third = strstr(got, "GET /3");
    assert_true(first != NULL && second > first && third > second);
    free(got);
    close_scene(&s);
}

static void a_body_comes_byte_by_byte_with_a_length_or_in_chunks(void **state)
{
    static const char *const requests[] = {
        "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n" CLOSE "hello world",
        "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" CLOSE
        "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"};
    struct scene s;
    open_scene(&s, (struct hf_httpd_how){.body_max = 100});
    for (size_t r = 0; r < 2; r++) {
        int fd = dial(&s);
        for (const char *at = requests[r]; *at != '\0'; at++) {
            assert_int_equal(write(fd, at, 1), 1);
            (void)hf_epoll_turn(s.loop, HF_MS(1));
        }
        free(read_all(&s, fd, NULL));
        assert_string_equal(s.body, "hello world");
        assert_int_equal(s.asked, r + 1);
    }
    close_scene(&s);
}

static void a_body_beyond_the_limit_is_refused(void **state)
{
    struct scene s;
    open_scene(&s, (struct hf_httpd_how){.body_max = 4});
    assert_answer(&s, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
                  "HTTP/1.1 413", "larger");
    assert_answer(&s,
                  "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "5\r\nhello\r\n0\r\n\r\n",
                  "HTTP/1.1 413", "larger");
    assert_int_equal(s.asked, 0);
    close_scene(&s);
}

static void a_request_that_two_readers_could_bound_differently_is_refused(void **state)
{
    struct scene s;
    open_scene(&s, (struct hf_httpd_how){.body_max = 100});
    assert_answer(&s,
                  "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                  "HTTP/1.1 400", "");
    assert_answer(&s, "GET /x HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "HTTP/1.1 400", "Host");
    assert_answer(&s, "GET /x HTTP/1.1\r\n\r\n", "HTTP/1.1 400", "Host");
    assert_int_equal(s.asked, 0);
    close_scene(&s);
}

static void a_host_that_is_neither_an_address_nor_named_is_refused(void **state)
{
    static const char *const hosts[] = {"status.example", NULL};
    static const char *const good[] = {"127.0.0.1:9900", "[::1]:9900",        "localhost",
                                       "LocalHost:1",    "Status.Example:80", NULL};
    static const char *const bad[] = {"evil.example", "127.0.0.1.evil.example", "[evil]", "",
                                      "::1",          "status.example.evil",    NULL};
    struct scene s;
    char text[256];
    open_scene(&s, (struct hf_httpd_how){.check_host = true, .hosts = hosts});
    for (size_t i = 0; good[i] != NULL; i++) {
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n" CLOSE, good[i]);
        assert_answer(&s, text, "HTTP/1.1 200", "GET /");
    }
    for (size_t i = 0; bad[i] != NULL; i++) {
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n" CLOSE, bad[i]);
        assert_answer(&s, text, "HTTP/1.1 403", "Host");
    }
    close_scene(&s);
}

static void a_token_is_demanded_everywhere_but_at_the_open_path(void **state)
{
    struct scene s;
    open_scene(&s, (struct hf_httpd_how){.token = "secret", .open = "/healthz"});
    assert_answer(&s, "GET / HTTP/1.1\r\nHost: x\r\n" CLOSE, "HTTP/1.1 401", "WWW-Authenticate");
    assert_answer(&s, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secre\r\n" CLOSE,
                  "HTTP/1.1 401", "bearer");
    assert_answer(&s, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: bearer secret\r\n" CLOSE,
                  "HTTP/1.1 200", "GET /");
    assert_answer(&s, "GET /healthz HTTP/1.1\r\nHost: x\r\n" CLOSE, "HTTP/1.1 200", "GET /healthz");
    close_scene(&s);
}

static void an_answer_larger_than_the_socket_takes_arrives_whole(void **state)
{
    struct scene s;
    size_t len = 0;
    open_scene(&s, (struct hf_httpd_how){0});
    int fd = dial(&s);
    const char *text = "GET /large HTTP/1.1\r\nHost: x\r\n" CLOSE;
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    char *got = read_all(&s, fd, &len);
    assert_int_equal(len - (size_t)(strstr(got, "\r\n\r\n") + 4 - got), 3000000);
    free(got);
    close_scene(&s);
}

static void silent_strangers_do_not_keep_a_request_out(void **state)
{
    struct scene s;
    int silent[80];
    open_scene(&s, (struct hf_httpd_how){0});
    for (size_t i = 0; i < 80; i++) {
        silent[i] = dial(&s);
        (void)hf_epoll_turn(s.loop, HF_MS(1));
    }
    assert_answer(&s, "GET /ok HTTP/1.1\r\nHost: x\r\n" CLOSE, "HTTP/1.1 200", "GET /ok");
    for (size_t i = 0; i < 80; i++) {
        close(silent[i]);
    }
    close_scene(&s);
}

static void an_address_that_is_taken_is_said(void **state)
{
    struct scene s;
    struct hf_httpd *second = NULL;
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, 4096);
    open_scene(&s, (struct hf_httpd_how){0});
    struct hf_httpd_how how = {.address = s.address, .handler = answer, .owner = &s};
    assert_int_equal(hf_httpd_new(s.loop, &how, &second, &why), HF_IN_USE);
    assert_null(second);
    assert_true(hf_slice_starts(hf_buffer_slice(&why), HF_LITERAL("cannot listen on 127.0.0.1:")));
    hf_buffer_reset(&why);
    close_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered_and_a_head_gets_no_body),
        cmocka_unit_test(pipelined_requests_are_answered_in_their_order),
        cmocka_unit_test(a_body_comes_byte_by_byte_with_a_length_or_in_chunks),
        cmocka_unit_test(a_body_beyond_the_limit_is_refused),
        cmocka_unit_test(a_request_that_two_readers_could_bound_differently_is_refused),
        cmocka_unit_test(a_host_that_is_neither_an_address_nor_named_is_refused),
        cmocka_unit_test(a_token_is_demanded_everywhere_but_at_the_open_path),
        cmocka_unit_test(an_answer_larger_than_the_socket_takes_arrives_whole),
        cmocka_unit_test(silent_strangers_do_not_keep_a_request_out),
        cmocka_unit_test(an_address_that_is_taken_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
