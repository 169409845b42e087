/* SPDX-License-Identifier: Apache-2.0 */
/* The admin listener, over the real loop and real sockets. Admin, workers and clients take turns on
 * one thread, so the tests say when a worker answers; time passes by advancing the timers. */
#include "admin_stage.h"

#include "gateway/admin.h"
#include "io/epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE HF_SECONDS(10)
#define GET(path) "GET " path " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

struct world {
    struct stage stage;
    struct hf_loop *loop; /* the admin's */
    struct hf_admin *admin;
    struct hf_address address; /* where clients connect */
    bool workers_rest;         /* they do not turn */
};

static const char *const usual =
    "listen: 127.0.0.1:8800\nupstream: http://127.0.0.1:8000\nadmin: 127.0.0.1:0\n";

static void open_world(struct world *w, const char *yaml)
{
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, 4096);
    memset(w, 0, sizeof(*w));
    stage_open(&w->stage, yaml);
    for (size_t i = 0; i < STAGE_WORKERS; i++) {
        w->stage.workers[i].loop = hf_epoll_new();
        assert_non_null(w->stage.workers[i].loop);
        stage_sessions[i] = 0;
    }
    w->loop = hf_epoll_new();
    assert_non_null(w->loop);
    assert_int_equal(
        hf_admin_new(&w->stage.gateway, w->loop, w->stage.runtime.config, &w->admin, &why), HF_OK);
    hf_buffer_reset(&why);
    hf_admin_address(w->admin, &w->address);
}

static void turn_workers(struct world *w)
{
    for (size_t i = 0; i < STAGE_WORKERS; i++) {
        (void)hf_epoll_turn(w->stage.workers[i].loop, 0);
    }
}

static void turn(struct world *w)
{
    (void)hf_epoll_turn(w->loop, HF_MS(1));
    if (!w->workers_rest) {
        turn_workers(w);
    }
}

static void close_world(struct world *w)
{
    hf_admin_free(w->admin);
    turn_workers(w);
    hf_loop_free(w->loop);
    for (size_t i = 0; i < STAGE_WORKERS; i++) {
        hf_loop_free(w->stage.workers[i].loop);
    }
    stage_close(&w->stage);
}

/* ---- clients -------------------------------------------------------------------------- */

static hf_time clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return HF_SECONDS(t.tv_sec) + t.tv_nsec / 1000;
}

struct client {
    struct world *world;
    int fd;
    struct hf_buffer in; /* what came and was not taken */
    bool ended;
};

static void open_client(struct client *c, struct world *w)
{
    c->world = w;
    c->ended = false;
    hf_buffer_init(&c->in, &hf_heap, 256 << 20);
    c->fd = socket(w->address.u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(c->fd >= 0);
    assert_int_equal(connect(c->fd, &w->address.u.any, w->address.len), 0);
    assert_int_equal(fcntl(c->fd, F_SETFL, O_NONBLOCK), 0);
}

static void close_client(struct client *c)
{
    close(c->fd);
    hf_buffer_reset(&c->in);
}

static void say(struct client *c, const char *text)
{
    size_t len = strlen(text);
    assert_int_equal(send(c->fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Reads what is there. */
static void hear(struct client *c)
{
    static uint8_t room[65536];
    for (;;) {
        ssize_t n = recv(c->fd, room, sizeof(room), 0);
        if (n > 0) {
            assert_int_equal(hf_buffer_add(&c->in, hf_slice(room, (size_t)n)), HF_OK);
            continue;
        }
        c->ended = c->ended || n == 0 || errno == ECONNRESET;
        return;
    }
}

/* Without reading: the admin has reset the connection. */
static bool is_broken(const struct client *c)
{
    struct pollfd p = {.fd = c->fd};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP)) != 0;
}

static void await_end(struct client *c)
{
    hf_time until = clock_now() + PATIENCE;
    while (!c->ended) {
        assert_true(clock_now() < until);
        turn(c->world);
        hear(c);
    }
}

/* One answer, taken off what came. */
struct reply {
    uint16_t status;
    struct hf_buffer all; /* owns what head and body point into */
    struct hf_head head;
    struct hf_slice body;
};

static void drop(struct reply *r)
{
    hf_buffer_reset(&r->all);
}

static bool take_reply(struct client *c, bool body_comes, struct reply *r)
{
    const char *why;
    enum hf_head_read read = hf_response_read(hf_buffer_slice(&c->in), 65536, &r->head, &why);
    assert_true(read == HF_HEAD_READ || read == HF_HEAD_MORE);
    if (read == HF_HEAD_MORE) {
        return false;
    }
    uint64_t length = 0;
    assert_int_equal(hf_response_body(&r->head, &length), HF_BODY_LENGTH);
    size_t size = r->head.size + (body_comes ? (size_t)length : 0);
    if (c->in.len < size) {
        return false;
    }
    hf_buffer_init(&r->all, &hf_heap, 256 << 20);
    assert_int_equal(hf_buffer_add(&r->all, hf_slice_first(hf_buffer_slice(&c->in), size)), HF_OK);
    hf_buffer_drop(&c->in, size);
    assert_int_equal(hf_response_read(hf_buffer_slice(&r->all), 65536, &r->head, &why),
                     HF_HEAD_READ);
    r->status = r->head.status;
    r->body = hf_slice_from(hf_buffer_slice(&r->all), r->head.size);
    return true;
}

static void await_reply_to(struct client *c, bool body_comes, struct reply *r)
{
    hf_time until = clock_now() + PATIENCE;
    while (!take_reply(c, body_comes, r)) {
        assert_true(clock_now() < until);
        assert_false(c->ended);
        turn(c->world);
        hear(c);
    }
}

static void await_reply(struct client *c, struct reply *r)
{
    await_reply_to(c, true, r);
}

/* One request on a connection of its own. */
static void ask(struct world *w, const char *request, struct reply *r)
{
    struct client c;
    open_client(&c, w);
    say(&c, request);
    await_reply(&c, r);
    close_client(&c);
}

static uint16_t status_of(struct world *w, const char *request)
{
    struct reply r;
    ask(w, request, &r);
    drop(&r);
    return r.status;
}

static void assert_reply(struct world *w, const char *request, uint16_t status, const char *body)
{
    struct reply r;
    ask(w, request, &r);
    assert_slice(r.body, body);
    assert_int_equal(r.status, status);
    drop(&r);
}

static void assert_header(const struct reply *r, const char *name, const char *value)
{
    const struct hf_slice *got = hf_head_find(&r->head, name);
    assert_non_null(got);
    assert_slice(*got, value);
}

/* Lets the timers see that so much time has passed since the last turn. */
static void pass(struct world *w, hf_time time)
{
    turn(w);
    hf_wheel_advance(&w->loop->wheel, hf_loop_now(w->loop) + time);
}

/* ---- pages ---------------------------------------------------------------------------- */

static void healthz_is_always_ok_and_readyz_turns_503_while_the_gateway_drains(void **state)
{
    struct world w;
    open_world(&w, usual);
    assert_reply(&w, GET("/healthz"), 200, "ok\n");
    assert_reply(&w, GET("/readyz"), 200, "ready\n");
    w.stage.gateway.draining = true;
    assert_reply(&w, GET("/healthz"), 200, "ok\n");
    assert_reply(&w, GET("/readyz"), 503, "draining\n");
    close_world(&w);
}

static void the_index_names_every_page(void **state)
{
    static const char *const paths[] = {"/healthz", "/readyz", "/metrics", "/api/sessions",
                                        "/api/endings"};
    struct world w;
    struct reply r;
    open_world(&w, usual);
    ask(&w, GET("/"), &r);
    assert_int_equal(r.status, 200);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        char request[100];
        assert_true(hf_slice_search(r.body, hf_slice_of(paths[i])) < r.body.len);
        (void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
                       paths[i]);
        assert_int_equal(status_of(&w, request), 200);
    }
    drop(&r);
    close_world(&w);
}

static void metrics_come_with_the_content_type_of_their_format(void **state)
{
    struct world w;
    struct reply r;
    open_world(&w, usual);
    ask(&w, GET("/metrics"), &r);
    assert_int_equal(r.status, 200);
    assert_header(&r, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    assert_true(hf_slice_search(r.body, HF_LITERAL("\nholdfast_workers 2\n")) < r.body.len);
    drop(&r);
    close_world(&w);
}

static void record(struct stage *s, uint64_t id, enum hf_cause cause)
{
    /* Zeroed, with room for the strings at its end, all are empty. */
    struct hf_identity *identity = calloc(1, sizeof(*identity) + 8);
    struct hf_ending ending = {.cause = cause, .rtt_us = UINT32_MAX};
    assert_non_null(identity);
    identity->id = id;
    hf_ledger_record(&s->workers[0], identity, &ending);
    free(identity);
}

static void endings_come_newest_first_by_limit_and_by_cause(void **state)
{
    struct world w;
    struct reply r;
    open_world(&w, usual);
    assert_reply(&w, GET("/api/endings"), 200, "{\"endings\":[\n]}\n");
    record(&w.stage, 1, HF_CAUSE_CLIENT_FIN);
    record(&w.stage, 2, HF_CAUSE_DRAIN);
    record(&w.stage, 3, HF_CAUSE_CLIENT_FIN);
    ask(&w, GET("/api/endings"), &r);
    assert_header(&r, "Content-Type", "application/json");
    size_t first = hf_slice_search(r.body, HF_LITERAL("\"id\":3"));
    size_t second = hf_slice_search(r.body, HF_LITERAL("\"id\":2"));
    assert_true(first < second && second < hf_slice_search(r.body, HF_LITERAL("\"id\":1")));
    drop(&r);
    ask(&w, GET("/api/endings?limit=1&cause=client_fin"), &r);
    assert_true(hf_slice_search(r.body, HF_LITERAL("\"id\":3")) < r.body.len);
    assert_true(hf_slice_search(r.body, HF_LITERAL("\"id\":1")) == r.body.len);
    assert_true(hf_slice_search(r.body, HF_LITERAL("\"id\":2")) == r.body.len);
    drop(&r);
    ask(&w, GET("/api/endings?cause=drain"), &r);
    assert_true(hf_slice_search(r.body, HF_LITERAL("\"id\":2")) < r.body.len);
    assert_true(hf_slice_search(r.body, HF_LITERAL("\"id\":3")) == r.body.len);
    drop(&r);
    assert_int_equal(status_of(&w, GET("/api/endings?cause=no_such")), 400);
    close_world(&w);
}

static void limits_that_are_no_numbers_in_range_are_400(void **state)
{
    static const char *const queries[] = {"limit=0",  "limit=",       "limit=-1",
                                          "limit=1x", "limit=100001", "limit=99999999999999999999"};
    struct world w;
    open_world(&w, usual);
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        char request[200];
        (void)snprintf(request, sizeof(request),
                       "GET /api/sessions?%s HTTP/1.1\r\nHost: localhost\r\n\r\n", queries[i]);
        assert_reply(&w, request, 400, "limit is a number from 1 to 100000\n");
    }
    assert_int_equal(status_of(&w, GET("/api/sessions?limit=100000")), 200);
    close_world(&w);
}

/* ---- sessions ------------------------------------------------------------------------- */

#define SESSION(id) "{\"id\":" #id ",\"subject\":\"}\\\"{\\\\\",\"client\":{\"rtt_ms\":null}}"

static void sessions_of_all_workers_are_joined_newest_first(void **state)
{
    struct world w;
    open_world(&w, usual);
    assert_reply(&w, GET("/api/sessions"), 200, "{\"sessions\":[\n],\"open\":0}\n");
    stage_sessions[0] = 1;
    stage_sessions[1] = 3;
    w.stage.workers[0].open_now = 1;
    w.stage.workers[1].open_now = 3;
    assert_reply(&w, GET("/api/sessions"), 200,
                 "{\"sessions\":[\n" SESSION(6) ",\n" SESSION(4) ",\n" SESSION(2) ",\n" SESSION(
                     1) "\n],\"open\":4}\n");
    assert_reply(&w, GET("/api/sessions?limit=2"), 200,
                 "{\"sessions\":[\n" SESSION(6) ",\n" SESSION(4) "\n],\"open\":4}\n");
    stage_sessions[0] = 4;
    assert_reply(
        &w, GET("/api/sessions?limit=3"), 200,
        "{\"sessions\":[\n" SESSION(7) ",\n" SESSION(6) ",\n" SESSION(5) "\n],\"open\":4}\n");
    close_world(&w);
}

static size_t count_sessions(struct hf_slice body)
{
    size_t count = 0;
    for (size_t at = 0; (at = hf_slice_search(body, HF_LITERAL("\"id\":"))) < body.len; count++) {
        body = hf_slice_from(body, at + 5);
    }
    return count;
}

static void without_a_limit_a_thousand_sessions_are_told(void **state)
{
    struct world w;
    struct reply r;
    open_world(&w, usual);
    stage_sessions[0] = 900;
    stage_sessions[1] = 900;
    ask(&w, GET("/api/sessions"), &r);
    assert_int_equal(count_sessions(r.body), 1000);
    drop(&r);
    ask(&w, GET("/api/sessions?limit=5000"), &r);
    assert_int_equal(count_sessions(r.body), 1800);
    drop(&r);
    close_world(&w);
}

/* Turns only the admin until it has taken what the client sent, and a little longer. */
static void turn_admin(struct world *w)
{
    for (int i = 0; i < 10; i++) {
        (void)hf_epoll_turn(w->loop, HF_MS(1));
    }
}

static void a_client_that_leaves_while_workers_are_asked_harms_nobody(void **state)
{
    struct world w;
    struct client gone;
    struct client stays;
    struct reply r;
    open_world(&w, usual);
    w.workers_rest = true;
    stage_sessions[0] = 1;
    open_client(&gone, &w);
    open_client(&stays, &w);
    say(&gone, GET("/api/sessions"));
    say(&stays, GET("/api/sessions?limit=7"));
    turn_admin(&w);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(gone.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    close_client(&gone);
    turn_admin(&w);
    w.workers_rest = false;
    await_reply(&stays, &r);
    assert_int_equal(r.status, 200);
    assert_int_equal(count_sessions(r.body), 1);
    drop(&r);
    say(&stays, GET("/healthz"));
    await_reply(&stays, &r);
    assert_slice(r.body, "ok\n");
    drop(&r);
    close_client(&stays);
    close_world(&w);
}

static void a_worker_that_does_not_answer_is_503_and_its_late_answer_goes_to_nobody(void **state)
{
    struct world w;
    struct client c;
    struct client next;
    struct reply r;
    open_world(&w, usual);
    w.workers_rest = true;
    open_client(&c, &w);
    say(&c, GET("/api/sessions"));
    turn_admin(&w);
    pass(&w, HF_SECONDS(4));
    hear(&c);
    assert_int_equal(c.in.len, 0);
    pass(&w, HF_SECONDS(6));
    await_reply(&c, &r);
    assert_int_equal(r.status, 503);
    assert_slice(r.body, "a worker did not answer in time\n");
    drop(&r);
    await_end(&c);
    open_client(&next, &w); /* it has the same place in the table */
    say(&next, GET("/healthz"));
    await_reply(&next, &r);
    drop(&r);
    w.workers_rest = false;
    turn_workers(&w);
    turn_admin(&w);
    hear(&next);
    assert_int_equal(next.in.len, 0);
    say(&next, GET("/readyz"));
    await_reply(&next, &r);
    assert_slice(r.body, "ready\n");
    drop(&r);
    close_client(&next);
    close_client(&c);
    close_world(&w);
}

static void lists_of_sessions_under_way_are_bounded(void **state)
{
    struct world w;
    struct client clients[9];
    struct reply r;
    open_world(&w, usual);
    w.workers_rest = true;
    for (size_t i = 0; i < 9; i++) {
        open_client(&clients[i], &w);
        say(&clients[i], GET("/api/sessions"));
        turn_admin(&w);
    }
    await_reply(&clients[8], &r);
    assert_int_equal(r.status, 503);
    drop(&r);
    w.workers_rest = false;
    for (size_t i = 0; i < 8; i++) {
        await_reply(&clients[i], &r);
        assert_int_equal(r.status, 200);
        drop(&r);
    }
    for (size_t i = 0; i < 9; i++) {
        close_client(&clients[i]);
    }
    close_world(&w);
}

static void workers_that_cannot_be_told_are_503(void **state)
{
    struct world w;
    open_world(&w, usual);
    stage_broadcast_fails = true;
    assert_int_equal(status_of(&w, GET("/api/sessions")), 503);
    stage_broadcast_fails = false;
    assert_int_equal(status_of(&w, GET("/api/sessions")), 200);
    close_world(&w);
}

static void an_admin_that_goes_while_workers_are_asked_leaves_nothing_behind(void **state)
{
    struct world w;
    struct client c;
    for (int answered = 0; answered < 2; answered++) {
        open_world(&w, usual);
        w.workers_rest = true;
        open_client(&c, &w);
        say(&c, GET("/api/sessions"));
        turn_admin(&w);
        if (answered == 1) {
            turn_workers(&w); /* the task is posted, and runs without its admin */
        }
        hf_admin_free(w.admin);
        w.admin = NULL;
        turn_workers(&w);
        turn_admin(&w);
        hear(&c);
        assert_true(c.ended);
        close_client(&c);
        close_world(&w);
    }
}

static void *run_worker(void *loop)
{
    hf_epoll_run(loop);
    return NULL;
}

static void workers_on_threads_of_their_own_answer(void **state)
{
    struct world w;
    pthread_t threads[STAGE_WORKERS];
    open_world(&w, usual);
    w.workers_rest = true;
    stage_sessions[0] = 50;
    stage_sessions[1] = 60;
    for (size_t i = 0; i < STAGE_WORKERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_worker, w.stage.workers[i].loop), 0);
    }
    for (int i = 0; i < 100; i++) {
        struct reply r;
        ask(&w, GET("/api/sessions"), &r);
        assert_int_equal(count_sessions(r.body), 110);
        drop(&r);
    }
    for (size_t i = 0; i < STAGE_WORKERS; i++) {
        hf_loop_stop(w.stage.workers[i].loop);
        pthread_join(threads[i], NULL);
    }
    close_world(&w);
}

/* ---- HTTP ----------------------------------------------------------------------------- */

static void a_request_that_comes_byte_by_byte_is_answered_like_a_whole_one(void **state)
{
    static const char *const requests[] = {
        GET("/healthz"), GET("/nothing"),
        "POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        "GET /healthz HTTP/1.0\r\n\r\n",
        "GET /api/sessions?limit=2 HTTP/1.1\r\nHost: [::1]:1\r\nX: y\r\n\r\n"};
    struct world w;
    open_world(&w, usual);
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct reply whole;
        struct reply pieces;
        struct client c;
        ask(&w, requests[i], &whole);
        open_client(&c, &w);
        for (const char *p = requests[i]; *p != '\0'; p++) {
            assert_int_equal(send(c.fd, p, 1, 0), 1);
            turn(&w);
        }
        await_reply(&c, &pieces);
        assert_true(hf_slice_eq(hf_buffer_slice(&whole.all), hf_buffer_slice(&pieces.all)));
        close_client(&c);
        drop(&whole);
        drop(&pieces);
    }
    close_world(&w);
}

static void head_tells_the_length_of_get_and_sends_no_body(void **state)
{
    static const char *const paths[] = {"/healthz", "/api/sessions", "/nothing"};
    struct world w;
    open_world(&w, usual);
    for (size_t i = 0; i < 3; i++) {
        struct client c;
        struct reply get;
        struct reply head;
        char request[100];
        open_client(&c, &w);
        (void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
                       paths[i]);
        say(&c, request);
        await_reply(&c, &get);
        (void)snprintf(request, sizeof(request), "HEAD %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
                       paths[i]);
        say(&c, request);
        await_reply_to(&c, false, &head);
        assert_true(get.body.len > 0);
        assert_true(hf_slice_eq(hf_slice_first(hf_buffer_slice(&get.all), get.head.size),
                                hf_buffer_slice(&head.all)));
        say(&c, GET("/healthz")); /* a body would stand in front of this answer */
        drop(&head);
        await_reply(&c, &head);
        assert_slice(head.body, "ok\n");
        drop(&get);
        drop(&head);
        close_client(&c);
    }
    close_world(&w);
}

static void unknown_pages_are_404_and_other_methods_405(void **state)
{
    struct world w;
    struct reply r;
    open_world(&w, usual);
    assert_int_equal(status_of(&w, GET("/nothing")), 404);
    assert_int_equal(status_of(&w, GET("/healthz/")), 404);
    assert_int_equal(status_of(&w, GET("/%68ealthz")), 404);
    ask(&w, "DELETE /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", &r);
    assert_int_equal(r.status, 405);
    assert_header(&r, "Allow", "GET, HEAD");
    assert_header(&r, "Connection", "keep-alive");
    drop(&r);
    assert_int_equal(status_of(&w, "get /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"), 405);
    close_world(&w);
}

static void a_connection_carries_many_requests_until_one_says_close(void **state)
{
    struct world w;
    struct client c;
    struct reply r;
    open_world(&w, usual);
    open_client(&c, &w);
    for (int i = 0; i < 20; i++) {
        say(&c, i % 2 == 0 ? GET("/healthz") : GET("/api/sessions"));
        await_reply(&c, &r);
        assert_int_equal(r.status, 200);
        assert_header(&r, "Connection", "keep-alive");
        drop(&r);
    }
    say(&c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    await_reply(&c, &r);
    assert_header(&r, "Connection", "close");
    drop(&r);
    await_end(&c);
    close_client(&c);
    close_world(&w);
}

static void http_1_0_ends_unless_it_asks_to_be_kept(void **state)
{
    struct world w;
    struct client c;
    struct reply r;
    open_world(&w, usual);
    open_client(&c, &w);
    say(&c, "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    await_reply(&c, &r);
    assert_header(&r, "Connection", "keep-alive");
    drop(&r);
    say(&c, "GET /healthz HTTP/1.0\r\n\r\n");
    await_reply(&c, &r);
    assert_header(&r, "Connection", "close");
    drop(&r);
    await_end(&c);
    close_client(&c);
    close_world(&w);
}

static void pipelined_requests_are_answered_one_after_the_other(void **state)
{
    struct world w;
    struct client c;
    struct reply r;
    open_world(&w, usual);
    stage_sessions[1] = 1;
    open_client(&c, &w);
    say(&c, GET("/healthz") GET("/api/sessions") GET("/nothing") GET("/readyz") "GET /hea");
    static const char *const wanted[] = {"ok\n", "{\"sessions\":[\n" SESSION(2) "\n],\"open\":0}\n",
                                         "there is no such page; / lists them all\n", "ready\n"};
    for (size_t i = 0; i < 4; i++) {
        await_reply(&c, &r);
        assert_slice(r.body, wanted[i]);
        drop(&r);
    }
    say(&c, "lthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await_reply(&c, &r);
    assert_slice(r.body, "ok\n");
    drop(&r);
    close_client(&c);
    close_world(&w);
}

static void a_client_that_ends_its_direction_behind_the_request_is_answered(void **state)
{
    struct world w;
    struct client c;
    struct reply r;
    open_world(&w, usual);
    open_client(&c, &w);
    say(&c, GET("/api/sessions"));
    assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
    await_reply(&c, &r);
    assert_int_equal(r.status, 200);
    drop(&r);
    await_end(&c);
    close_client(&c);
    close_world(&w);
}

static void what_is_no_clean_request_is_refused_and_the_connection_ends(void **state)
{
    static const struct {
        const char *request;
        uint16_t status;
    } rows[] = {
        {"GET /healthz HTTP/1.1\r\n\r\n", 400},
        {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400},
        {"GET /healthz HTTP/1.0\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400},
        {"GET /healthz HTTP/1.1\nHost: localhost\n\n", 400},
        {"GET /healthz HTTP/1.1\r\nHost : localhost\r\n\r\n", 400},
        {"GET http://evil.test/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
        {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nGET /", 400},
        {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: "
         "0\r\n\r\n",
         400},
        {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: +0\r\n\r\n", 400},
        {"GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400},
        {"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nGET /", 405},
        {"\x16\x03\x01\x02\x01", 400},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
    };
    struct world w;
    open_world(&w, usual);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct client c;
        struct reply r;
        open_client(&c, &w);
        say(&c, rows[i].request);
        await_reply(&c, &r);
        assert_int_equal(r.status, rows[i].status);
        assert_header(&r, "Connection", "close");
        assert_true(r.body.len > 10);
        drop(&r);
        await_end(&c);
        assert_int_equal(c.in.len, 0); /* what stood behind is no request */
        close_client(&c);
    }
    close_world(&w);
}

static void a_head_that_is_too_big_is_431(void **state)
{
    struct world w;
    struct client c;
    struct reply r;
    char text[20000];
    open_world(&w, usual);
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET /", 5);
    text[sizeof(text) - 1] = '\0';
    open_client(&c, &w);
    say(&c, text);
    await_reply(&c, &r);
    assert_int_equal(r.status, 431);
    drop(&r);
    await_end(&c);
    close_client(&c);
    close_world(&w);
}

/* ---- who may ask ---------------------------------------------------------------------- */

static uint16_t status_for(struct world *w, const char *path, const char *host, const char *more)
{
    char request[400];
    (void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, host,
                   more);
    return status_of(w, request);
}

static void on_loopback_a_foreign_host_name_is_403(void **state)
{
    static const char *const good[] = {"127.0.0.1", "127.0.0.1:9090", "localhost", "LocalHost:9090",
                                       "[::1]",     "[::1]:9090",     "192.0.2.1"};
    static const char *const bad[] = {"evil.example",
                                      "evil.example:9090",
                                      "localhost.evil.example",
                                      "127.0.0.1.evil.example",
                                      "127.0.0.1@evil.example",
                                      "xlocalhost",
                                      ""};
    struct world w;
    open_world(&w, usual);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(status_for(&w, "/api/sessions", good[i], ""), 200);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(status_for(&w, "/api/sessions", bad[i], ""), 403);
        assert_int_equal(status_for(&w, "/nothing", bad[i], ""), 403);
    }
    close_world(&w);
}

static void off_loopback_the_token_is_demanded_but_for_health(void **state)
{
    struct world w;
    struct reply r;
    const char *right = "Authorization: Bearer secret-admin-token\r\n";
    open_world(&w, "listen: 127.0.0.1:8800\nupstream: http://127.0.0.1:8000\nadmin: 0.0.0.0:0\n"
                   "admin_token: secret-admin-token\n");
    w.address.u.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(status_for(&w, "/healthz", "lb.example", ""), 200);
    assert_int_equal(status_for(&w, "/readyz", "lb.example", ""), 200);
    static const char *const paths[] = {"/", "/metrics", "/api/sessions", "/api/endings",
                                        "/nothing"};
    static const char *const wrong[] = {
        "",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer secret-admin-toke\r\n",
        "Authorization: Bearer secret-admin-token2\r\n",
        "Authorization: Bearer Secret-Admin-Token\r\n",
        "Authorization: Basic secret-admin-token\r\n",
        "Authorization: secret-admin-token\r\n",
        "Authorization: Bearer secret-admin-token\r\nAuthorization: Bearer x\r\n"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        for (size_t j = 0; j < sizeof(wrong) / sizeof(wrong[0]); j++) {
            assert_int_equal(status_for(&w, paths[i], "gateway.example", wrong[j]), 401);
        }
        assert_int_equal(status_for(&w, paths[i], "gateway.example", right), i == 4 ? 404 : 200);
    }
    assert_int_equal(status_for(&w, "/metrics", "gateway.example",
                                "Authorization: bearer  secret-admin-token\r\n"),
                     200);
    ask(&w, GET("/metrics"), &r);
    assert_header(&r, "WWW-Authenticate", "Bearer");
    drop(&r);
    close_world(&w);
}

static void off_loopback_without_a_token_there_is_no_admin(void **state)
{
    struct stage s;
    struct hf_admin *admin;
    struct hf_buffer why;
    struct hf_loop *loop = hf_epoll_new();
    stage_open(&s, usual);
    assert_true(hf_address_parse(HF_LITERAL("0.0.0.0:0"), &s.runtime.config->admin));
    hf_buffer_init(&why, &hf_heap, 1000);
    assert_int_equal(hf_admin_new(&s.gateway, loop, s.runtime.config, &admin, &why), HF_INVALID);
    assert_null(admin);
    assert_slice(hf_buffer_slice(&why),
                 "admin: 0.0.0.0:0 is not a loopback address and there is no admin_token\n");
    hf_buffer_reset(&why);
    hf_loop_free(loop);
    stage_close(&s);
}

static void an_address_in_use_is_named(void **state)
{
    struct world w;
    struct hf_admin *admin;
    struct hf_buffer why;
    char text[128];
    open_world(&w, usual);
    w.stage.runtime.config->admin = w.address;
    hf_buffer_init(&why, &hf_heap, 1000);
    assert_int_equal(hf_admin_new(&w.stage.gateway, w.loop, w.stage.runtime.config, &admin, &why),
                     HF_IN_USE);
    assert_null(admin);
    hf_address_text(&w.address, text);
    assert_true(hf_slice_search(hf_buffer_slice(&why), hf_slice_of(text)) < why.len);
    hf_buffer_reset(&why);
    close_world(&w);
}

static void a_unix_socket_asks_neither_host_nor_token(void **state)
{
    struct world w;
    char folder[] = "/tmp/hf-admin-XXXXXX";
    char yaml[300];
    char path[100];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/admin.sock", folder);
    (void)snprintf(yaml, sizeof(yaml),
                   "listen: 127.0.0.1:8800\nupstream: http://127.0.0.1:8000\nadmin: "
                   "unix:%s\nadmin_token: x-y-z\n",
                   path);
    open_world(&w, yaml);
    assert_int_equal(status_for(&w, "/api/endings", "anything.example", ""), 200);
    close_world(&w);
    (void)unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

/* ---- slow and many -------------------------------------------------------------------- */

static void a_silent_client_is_ended_after_10_s(void **state)
{
    struct world w;
    struct client c;
    open_world(&w, usual);
    open_client(&c, &w);
    turn_admin(&w);
    pass(&w, HF_SECONDS(9));
    turn_admin(&w);
    hear(&c);
    assert_false(c.ended);
    pass(&w, HF_SECONDS(11));
    await_end(&c);
    assert_int_equal(c.in.len, 0);
    close_client(&c);
    close_world(&w);
}

static void half_a_head_is_408_after_10_s_and_dripping_buys_no_time(void **state)
{
    struct world w;
    struct client c;
    struct reply r;
    open_world(&w, usual);
    open_client(&c, &w);
    say(&c, "GET /healthz HTTP/1.1\r\nHost: loc");
    turn_admin(&w);
    hf_time begun = hf_loop_now(w.loop); /* or a little earlier */
    pass(&w, HF_SECONDS(9));
    while (hf_loop_now(w.loop) < begun + HF_MS(50)) {
        turn(&w);
    }
    say(&c, "al");
    turn_admin(&w);
    hear(&c);
    assert_int_equal(c.in.len, 0);
    assert_false(c.ended);
    hf_wheel_advance(&w.loop->wheel, begun + HF_SECONDS(10) + HF_MS(10));
    turn_admin(&w);
    hear(&c);
    assert_true(c.in.len > 0); /* now, not 10 s behind the last drop */
    await_reply(&c, &r);
    assert_int_equal(r.status, 408);
    drop(&r);
    await_end(&c);
    close_client(&c);
    close_world(&w);
}

static void an_idle_client_is_kept_for_60_s(void **state)
{
    struct world w;
    struct client c;
    struct reply r;
    open_world(&w, usual);
    open_client(&c, &w);
    say(&c, GET("/healthz"));
    await_reply(&c, &r);
    drop(&r);
    turn_admin(&w);
    pass(&w, HF_SECONDS(59));
    turn_admin(&w);
    hear(&c);
    assert_false(c.ended);
    pass(&w, HF_SECONDS(61));
    await_end(&c);
    close_client(&c);
    close_world(&w);
}

#define MANY 40000

static void a_large_answer_waits_for_a_slow_reader_and_comes_whole(void **state)
{
    struct world w;
    struct client c;
    struct reply r;
    open_world(&w, usual);
    stage_sessions[0] = MANY;
    stage_sessions[1] = MANY;
    open_client(&c, &w);
    say(&c, GET("/api/sessions?limit=100000") GET("/healthz"));
    for (int i = 0; i < 50; i++) {
        turn(&w); /* nothing is read meanwhile */
    }
    await_reply(&c, &r);
    assert_int_equal(r.status, 200);
    assert_true(r.body.len > 4000000);
    assert_int_equal(count_sessions(r.body), 2 * MANY);
    assert_true(hf_slice_ends(r.body, HF_LITERAL("\n],\"open\":0}\n")));
    drop(&r);
    await_reply(&c, &r);
    assert_slice(r.body, "ok\n");
    drop(&r);
    close_client(&c);
    close_world(&w);
}

static void a_reader_that_stands_still_is_ended_after_30_s(void **state)
{
    struct world w;
    struct client c;
    open_world(&w, usual);
    stage_sessions[0] = MANY;
    stage_sessions[1] = MANY;
    open_client(&c, &w);
    say(&c, GET("/api/sessions?limit=100000"));
    for (int i = 0; i < 50; i++) {
        turn(&w);
    }
    pass(&w, HF_SECONDS(29));
    turn_admin(&w);
    assert_false(is_broken(&c));
    pass(&w, HF_SECONDS(31));
    turn_admin(&w);
    assert_true(is_broken(&c));
    await_end(&c);
    assert_true(c.in.len < 4000000);
    close_client(&c);
    close_world(&w);
}

static void the_65th_client_takes_the_place_of_the_one_that_rests_longest(void **state)
{
    struct world w;
    static struct client clients[65];
    struct reply r;
    open_world(&w, usual);
    for (size_t i = 0; i < 64; i++) {
        open_client(&clients[i], &w);
        if (i < 2) {
            say(&clients[i], GET("/healthz"));
            await_reply(&clients[i], &r);
            drop(&r);
        }
        turn_admin(&w);
    }
    assert_int_equal(status_of(&w, GET("/healthz")), 200);
    await_end(&clients[0]);
    hear(&clients[1]);
    assert_false(clients[1].ended);
    for (size_t i = 0; i < 64; i++) {
        close_client(&clients[i]);
    }
    close_world(&w);
}

static void sixty_four_silent_strangers_keep_no_health_check_out(void **state)
{
    struct world w;
    static struct client clients[64];
    open_world(&w, usual);
    for (size_t i = 0; i < 64; i++) {
        open_client(&clients[i], &w);
        turn_admin(&w);
    }
    assert_int_equal(status_of(&w, GET("/healthz")), 200);
    await_end(&clients[0]);
    hear(&clients[1]);
    assert_false(clients[1].ended);
    for (size_t i = 0; i < 64; i++) {
        close_client(&clients[i]);
    }
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(healthz_is_always_ok_and_readyz_turns_503_while_the_gateway_drains),
        cmocka_unit_test(the_index_names_every_page),
        cmocka_unit_test(metrics_come_with_the_content_type_of_their_format),
        cmocka_unit_test(endings_come_newest_first_by_limit_and_by_cause),
        cmocka_unit_test(limits_that_are_no_numbers_in_range_are_400),
        cmocka_unit_test(sessions_of_all_workers_are_joined_newest_first),
        cmocka_unit_test(without_a_limit_a_thousand_sessions_are_told),
        cmocka_unit_test(a_client_that_leaves_while_workers_are_asked_harms_nobody),
        cmocka_unit_test(a_worker_that_does_not_answer_is_503_and_its_late_answer_goes_to_nobody),
        cmocka_unit_test(lists_of_sessions_under_way_are_bounded),
        cmocka_unit_test(workers_that_cannot_be_told_are_503),
        cmocka_unit_test(an_admin_that_goes_while_workers_are_asked_leaves_nothing_behind),
        cmocka_unit_test(workers_on_threads_of_their_own_answer),
        cmocka_unit_test(a_request_that_comes_byte_by_byte_is_answered_like_a_whole_one),
        cmocka_unit_test(head_tells_the_length_of_get_and_sends_no_body),
        cmocka_unit_test(unknown_pages_are_404_and_other_methods_405),
        cmocka_unit_test(a_connection_carries_many_requests_until_one_says_close),
        cmocka_unit_test(http_1_0_ends_unless_it_asks_to_be_kept),
        cmocka_unit_test(pipelined_requests_are_answered_one_after_the_other),
        cmocka_unit_test(a_client_that_ends_its_direction_behind_the_request_is_answered),
        cmocka_unit_test(what_is_no_clean_request_is_refused_and_the_connection_ends),
        cmocka_unit_test(a_head_that_is_too_big_is_431),
        cmocka_unit_test(on_loopback_a_foreign_host_name_is_403),
        cmocka_unit_test(off_loopback_the_token_is_demanded_but_for_health),
        cmocka_unit_test(off_loopback_without_a_token_there_is_no_admin),
        cmocka_unit_test(an_address_in_use_is_named),
        cmocka_unit_test(a_unix_socket_asks_neither_host_nor_token),
        cmocka_unit_test(a_silent_client_is_ended_after_10_s),
        cmocka_unit_test(half_a_head_is_408_after_10_s_and_dripping_buys_no_time),
        cmocka_unit_test(an_idle_client_is_kept_for_60_s),
        cmocka_unit_test(a_large_answer_waits_for_a_slow_reader_and_comes_whole),
        cmocka_unit_test(a_reader_that_stands_still_is_ended_after_30_s),
        cmocka_unit_test(the_65th_client_takes_the_place_of_the_one_that_rests_longest),
        cmocka_unit_test(sixty_four_silent_strangers_keep_no_health_check_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
