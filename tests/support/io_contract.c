/* SPDX-License-Identifier: Apache-2.0 */
/* The world of a contract test is one loop with a listener, and two sides of one connection on it.
 * Every callback checks what must hold always: none comes inside another call of the same loop,
 * none after the owner closed, none after the end, and bytes never before the connection is open.
 */
#include "io_contract.h"

#include "test_unit.h"

#include <stdlib.h>

#define MEGABYTE ((size_t)1 << 20)

enum when { NEVER, ON_OPEN, ON_BYTES, ON_WRITABLE, ON_END };
enum deed {
    NOTHING,
    CLOSE,
    ABORT,
    PAUSE,
    RESUME,
    PAUSE_AND_RESUME,
    RELEASE,
    START_TLS,
    CLOSE_OTHER
};

struct world;

struct side {
    struct world *world;
    struct side *other;
    struct hf_stream *stream;
    int opens;
    int ends;
    int writables;
    int offers;
    size_t last_offer; /* bytes */
    uint64_t turn_of_last_call;
    struct hf_end end;
    char detail[256];
    uint8_t *got;
    size_t got_len;
    size_t got_cap;
    size_t take_max;       /* of one offer */
    bool pause_when_short; /* pauses when it takes less than all */
    bool pause_when_most;  /* pauses when the most is offered */
    uint64_t random;       /* not 0: takes, pauses and resumes at random */
    struct hf_timer resume_timer;
    const uint8_t *to_send;
    size_t to_send_len;
    size_t sent;
    bool shut_when_sent;
    enum when when;
    enum deed deed;
    struct hf_parcel *parcel;
    bool gone; /* closed: no callback may come */
};

struct world {
    const struct io_fixture *fixture;
    void (*run)(struct world *w);
    struct hf_loop *loop;
    struct hf_listener *listener;
    struct hf_address address;
    struct side client;
    struct side server;
    int accepts;
    bool reject;       /* on_accept closes */
    bool plain;        /* no TLS, although the fixture has it */
    bool leave_paused; /* the server side stays paused */
    uint64_t turns;
    int depth; /* of callbacks */
    int fired;
    hf_time fired_at;
    size_t open_before;
};

/* ---- turning ------------------------------------------------------------------------------------
 */

static bool turn(struct world *w, hf_time max_wait)
{
    w->turns++;
    return w->fixture->turn(w->fixture->context, w->loop, max_wait);
}

/* Of the loop's clock: far longer than anything takes. */
#define PATIENCE HF_SECONDS(10)

#define UNTIL(w, condition)                                                                        \
    do {                                                                                           \
        hf_time until = hf_loop_now((w)->loop) + PATIENCE;                                         \
        while (!(condition)) {                                                                     \
            if (hf_loop_now((w)->loop) > until) {                                                  \
                fail_msg("never: %s", #condition);                                                 \
            }                                                                                      \
            (void)turn(w, HF_MS(10));                                                              \
        }                                                                                          \
    } while (0)

/* Long enough for whatever is under way to arrive; for the tests that say what must not come. */
static void settle(struct world *w)
{
    hf_time end = hf_loop_now(w->loop) + HF_MS(15);
    while (hf_loop_now(w->loop) < end) {
        (void)turn(w, HF_MS(5));
    }
}

/* ---- callbacks ----------------------------------------------------------------------------------
 */

static void enter(struct side *s)
{
    assert_int_equal(s->world->depth, 0);
    assert_false(s->gone);
    s->world->depth++;
    s->turn_of_last_call = s->world->turns;
}

static void leave(struct side *s)
{
    s->world->depth--;
}

static void close_side(struct side *s)
{
    if (s->stream != NULL) {
        hf_stream_close(s->stream);
        s->stream = NULL;
        s->gone = true;
    }
}

static void start_tls(struct side *s, const struct hf_tls_how *how)
{
    assert_int_equal(hf_stream_start_tls(s->stream, how), HF_OK);
}

static void do_deed(struct side *s, enum when when)
{
    if (s->when != when) {
        return;
    }
    s->when = NEVER;
    switch (s->deed) {
    case NOTHING:
        break;
    case CLOSE:
        close_side(s);
        break;
    case ABORT:
        hf_stream_abort(s->stream);
        s->stream = NULL;
        s->gone = true;
        break;
    case PAUSE:
        hf_stream_pause(s->stream);
        break;
    case RESUME:
        hf_stream_resume(s->stream);
        break;
    case PAUSE_AND_RESUME:
        hf_stream_pause(s->stream);
        hf_stream_resume(s->stream);
        break;
    case RELEASE:
        s->parcel = hf_stream_release(s->stream);
        assert_non_null(s->parcel);
        s->stream = NULL;
        s->gone = true;
        break;
    case START_TLS:
        start_tls(s,
                  s == &s->world->server ? &s->world->fixture->server : &s->world->fixture->client);
        break;
    case CLOSE_OTHER:
        close_side(s->other);
        close_side(s);
        break;
    }
}

static uint64_t draw(struct side *s, uint64_t below)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return (s->random >> 11) % below;
}

/* Sends on as far as it goes. */
static void send_on(struct side *s)
{
    while (s->stream != NULL && s->sent < s->to_send_len) {
        size_t len = s->to_send_len - s->sent;
        if (s->random != 0) {
            size_t some = 1 + (size_t)draw(s, 200000);
            len = some < len ? some : len;
        }
        size_t n = hf_stream_send(s->stream, hf_slice(s->to_send + s->sent, len));
        assert_true(n <= len);
        s->sent += n;
        if (n < len) {
            return;
        }
    }
    if (s->stream != NULL && s->shut_when_sent) {
        s->shut_when_sent = false;
        hf_stream_shut(s->stream);
    }
}

static void on_open(void *owner, struct hf_stream *stream)
{
    struct side *s = owner;
    enter(s);
    s->stream = stream;
    s->opens++;
    assert_int_equal(s->ends, 0);
    do_deed(s, ON_OPEN);
    leave(s);
}

static void keep_bytes(struct side *s, struct hf_slice bytes)
{
    if (s->got_len + bytes.len > s->got_cap) {
        s->got_cap = 2 * (s->got_len + bytes.len);
        s->got = realloc(s->got, s->got_cap);
        assert_non_null(s->got);
    }
    if (bytes.len > 0) {
        memcpy(s->got + s->got_len, bytes.ptr, bytes.len);
    }
    s->got_len += bytes.len;
}

static void resume_later(struct hf_timer *timer, hf_time now)
{
    struct side *s = HF_CONTAINER(timer, struct side, resume_timer);
    if (s->stream != NULL) {
        hf_stream_resume(s->stream);
    }
}

static size_t take_at_random(struct side *s, size_t len)
{
    switch (draw(s, 6)) {
    case 0:
        hf_stream_pause(s->stream);
        hf_timer_set(s->stream->loop, &s->resume_timer,
                     hf_loop_now(s->stream->loop) + (hf_time)draw(s, 3000));
        return (size_t)draw(s, len + 1);
    case 1:
        hf_stream_pause(s->stream);
        hf_stream_resume(s->stream);
        return 1 + (size_t)draw(s, len);
    case 2:
        /* What is left unpaused when the end comes would be given up. */
        return s->got_len + len == s->other->to_send_len ? len : 1 + (size_t)draw(s, len);
    default:
        return len;
    }
}

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct side *s = owner;
    enter(s);
    assert_int_equal(s->ends, 0);
    assert_true(bytes.len > 0 && bytes.len <= HF_STREAM_UNREAD_MAX);
    s->offers++;
    s->last_offer = bytes.len;
    size_t n = bytes.len < s->take_max ? bytes.len : s->take_max;
    if (s->random != 0) {
        n = take_at_random(s, bytes.len);
    } else if ((n < bytes.len && s->pause_when_short) ||
               (bytes.len == HF_STREAM_UNREAD_MAX && s->pause_when_most)) {
        hf_stream_pause(stream);
    }
    do_deed(s, ON_BYTES);
    keep_bytes(s, hf_slice_first(bytes, s->parcel != NULL ? 0 : n));
    leave(s);
    return n;
}

static void on_writable(void *owner, struct hf_stream *stream)
{
    struct side *s = owner;
    enter(s);
    s->writables++;
    do_deed(s, ON_WRITABLE);
    send_on(s);
    leave(s);
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct side *s = owner;
    enter(s);
    assert_int_equal(s->ends, 0);
    assert_non_null(end->detail);
    s->ends++;
    s->end = *end;
    snprintf(s->detail, sizeof(s->detail), "%s", end->detail);
    s->end.detail = s->detail;
    do_deed(s, ON_END);
    leave(s);
}

static const struct hf_stream_handler side_handler = {on_open, on_bytes, on_writable, on_end};

static void on_accept(void *owner, struct hf_stream *stream, const struct hf_address *peer)
{
    struct world *w = owner;
    assert_int_equal(w->depth, 0);
    assert_true(peer->len > 0);
    w->accepts++;
    if (w->reject || w->server.stream != NULL) {
        hf_stream_close(stream);
        return;
    }
    w->server.stream = stream;
    hf_stream_handle(stream, &side_handler, &w->server);
    if (w->fixture->server.tls != NULL && !w->plain) {
        start_tls(&w->server, &w->fixture->server);
    } else {
        w->server.opens = 1;
    }
    if (!w->leave_paused) {
        hf_stream_resume(stream);
    }
}

static const struct hf_listener_handler listener_handler = {on_accept, NULL};

/* ---- the world ----------------------------------------------------------------------------------
 */

static void side_init(struct side *s, struct world *w, struct side *other)
{
    s->world = w;
    s->other = other;
    s->take_max = SIZE_MAX;
    hf_timer_init(&s->resume_timer, resume_later);
}

static void listen_at(struct world *w)
{
    struct hf_listen how = {0};
    w->fixture->address(w->fixture->context, &how.address);
    assert_int_equal(hf_loop_listen(w->loop, &how, &listener_handler, w, &w->listener), HF_OK);
    hf_listener_address(w->loop, w->listener, &w->address);
}

static void connect_client(struct world *w)
{
    struct hf_connect how = {.address = w->address};
    if (!w->plain) {
        how.tls = w->fixture->client;
    }
    enum hf_status status =
        hf_loop_connect(w->loop, &how, &side_handler, &w->client, &w->client.stream);
    assert_int_equal(status, HF_OK);
    assert_int_equal(w->client.opens + w->client.ends, 0);
}

static void connect_both(struct world *w)
{
    connect_client(w);
    UNTIL(w, w->client.opens == 1 && w->server.opens == 1);
}

/* What a row of the table hands to cmocka. */
struct start {
    const struct io_fixture *fixture;
    void (*run)(struct world *w);
};

static int world_new(void **state)
{
    const struct start *start = *state;
    const struct io_fixture *fixture = start->fixture;
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->fixture = fixture;
    w->run = start->run;
    w->open_before = fixture->open_things == NULL ? 0 : fixture->open_things(fixture->context);
    w->loop = fixture->loop_new(fixture->context);
    assert_non_null(w->loop);
    side_init(&w->client, w, &w->server);
    side_init(&w->server, w, &w->client);
    listen_at(w);
    *state = w;
    return 0;
}

static void run_row(void **state)
{
    struct world *w = *state;
    w->run(w);
}

static int world_free(void **state)
{
    struct world *w = *state;
    const struct io_fixture *fixture = w->fixture;
    hf_loop_free(w->loop);
    size_t open_after = fixture->open_things == NULL ? 0 : fixture->open_things(fixture->context);
    bool leaks = open_after != w->open_before;
    free(w->client.got);
    free(w->server.got);
    free(w);
    return leaks ? -1 : 0;
}

static enum hf_end_kind orderly(const struct world *w)
{
    return w->fixture->server.tls != NULL && !w->plain ? HF_END_TLS_NOTIFY : HF_END_FIN;
}

static void send_text(struct side *s, const char *text)
{
    assert_int_equal(hf_stream_send(s->stream, hf_slice_of(text)), strlen(text));
}

static bool has(const struct side *s, const char *text)
{
    return s->got_len == strlen(text) && memcmp(s->got, text, s->got_len) == 0;
}

static uint8_t *make_bytes(size_t len, uint64_t seed)
{
    struct side source = {.random = seed};
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)draw(&source, 256);
    }
    return bytes;
}

/* Fills the way to the other side until a send is short; returns what it took. */
static size_t fill(struct side *s, const uint8_t *bytes, size_t len)
{
    size_t sent = 0;
    while (sent < len) {
        size_t some = len - sent < 50000 ? len - sent : 50000;
        size_t n = hf_stream_send(s->stream, hf_slice(bytes + sent, some));
        sent += n;
        if (n < some) {
            return sent;
        }
    }
    fail_msg("%zu bytes fit", len);
    return sent;
}

#define TEST(name) static void name(struct world *w)

/* ---- opening ------------------------------------------------------------------------------------
 */

TEST(a_connection_opens_once_on_a_later_turn_and_carries_bytes_both_ways)
{
    connect_both(w);
    send_text(&w->client, "question");
    UNTIL(w, has(&w->server, "question"));
    send_text(&w->server, "answer");
    UNTIL(w, has(&w->client, "answer"));
    settle(w);
    assert_int_equal(w->client.opens, 1);
    assert_int_equal(w->accepts, 1);
    assert_int_equal(w->client.ends + w->server.ends, 0);
}

TEST(a_send_before_the_connection_is_open_takes_nothing)
{
    connect_client(w);
    assert_int_equal(hf_stream_send(w->client.stream, HF_LITERAL("early")), 0);
    UNTIL(w, w->client.opens == 1 && w->server.opens == 1);
    send_text(&w->client, "right");
    UNTIL(w, w->server.got_len > 0);
    assert_true(has(&w->server, "right"));
}

TEST(a_connect_to_nobody_ends_refused_on_a_later_turn)
{
    struct hf_connect how = {.tls = w->fixture->client};
    w->fixture->nobody(w->fixture->context, &how.address);
    struct side *s = &w->client;
    assert_int_equal(hf_loop_connect(w->loop, &how, &side_handler, s, &s->stream), HF_OK);
    assert_int_equal(s->ends, 0);
    UNTIL(w, s->ends == 1);
    assert_int_equal(s->end.kind, HF_END_REFUSED);
    assert_int_equal(s->opens, 0);
    assert_int_equal(hf_stream_send(s->stream, HF_LITERAL("x")), 0);
    close_side(s);
}

TEST(a_stream_that_is_closed_while_it_connects_is_silent)
{
    connect_client(w);
    close_side(&w->client);
    settle(w);
    assert_int_equal(w->client.opens + w->client.ends, 0);
}

TEST(a_stream_that_is_shut_while_it_connects_ends_its_direction_once_open)
{
    connect_client(w);
    hf_stream_shut(w->client.stream);
    UNTIL(w, w->server.ends == 1);
    assert_int_equal(w->server.end.kind, orderly(w));
    assert_int_equal(w->client.opens, 1);
    send_text(&w->server, "still here");
    UNTIL(w, has(&w->client, "still here"));
}

/* ---- reading ------------------------------------------------------------------------------------
 */

TEST(bytes_sent_one_at_a_time_arrive_in_order)
{
    connect_both(w);
    uint8_t *bytes = make_bytes(500, 7);
    for (size_t i = 0; i < 500; i++) {
        assert_int_equal(hf_stream_send(w->client.stream, hf_slice(bytes + i, 1)), 1);
        (void)turn(w, 0);
    }
    UNTIL(w, w->server.got_len == 500);
    assert_memory_equal(w->server.got, bytes, 500);
    free(bytes);
}

TEST(bytes_taken_one_at_a_time_arrive_in_order)
{
    connect_both(w);
    uint8_t *bytes = make_bytes(500, 9);
    w->server.take_max = 1;
    w->server.pause_when_short = true;
    assert_int_equal(hf_stream_send(w->client.stream, hf_slice(bytes, 500)), 500);
    for (size_t i = 1; i <= 500; i++) {
        UNTIL(w, w->server.got_len == i);
        hf_stream_resume(w->server.stream);
    }
    assert_memory_equal(w->server.got, bytes, 500);
    free(bytes);
}

TEST(what_a_handler_leaves_comes_again_in_one_piece_with_what_follows)
{
    connect_both(w);
    w->server.take_max = 2;
    send_text(&w->client, "abcdef");
    UNTIL(w, w->server.offers == 1);
    settle(w);
    assert_int_equal(w->server.offers, 1); /* not before more came */
    w->server.take_max = 0;
    send_text(&w->client, "gh");
    UNTIL(w, w->server.offers == 2);
    assert_int_equal(w->server.last_offer, 6);
    w->server.take_max = SIZE_MAX;
    send_text(&w->client, "ij");
    UNTIL(w, has(&w->server, "abcdefghij"));
    assert_int_equal(w->server.last_offer, 8);
}

TEST(a_paused_stream_is_offered_nothing_and_everything_after_resume)
{
    connect_both(w);
    hf_stream_pause(w->server.stream);
    hf_stream_pause(w->server.stream);
    send_text(&w->client, "later");
    settle(w);
    assert_int_equal(w->server.offers, 0);
    w->depth = 1; /* resume calls nobody */
    hf_stream_resume(w->server.stream);
    hf_stream_resume(w->server.stream);
    w->depth = 0;
    UNTIL(w, has(&w->server, "later"));
}

TEST(pausing_inside_on_bytes_holds_the_rest_until_resume)
{
    connect_both(w);
    w->server.take_max = 3;
    w->server.pause_when_short = true;
    send_text(&w->client, "onetwo");
    UNTIL(w, has(&w->server, "one"));
    send_text(&w->client, "three");
    settle(w);
    assert_int_equal(w->server.offers, 1);
    w->server.take_max = SIZE_MAX;
    hf_stream_resume(w->server.stream);
    UNTIL(w, has(&w->server, "onetwothree"));
}

TEST(what_is_left_comes_at_once_after_resume_although_nothing_new_came)
{
    connect_both(w);
    w->server.take_max = 0;
    w->server.when = ON_BYTES;
    w->server.deed = PAUSE_AND_RESUME;
    send_text(&w->client, "again");
    UNTIL(w, w->server.offers == 2);
    w->server.take_max = SIZE_MAX;
    hf_stream_pause(w->server.stream);
    hf_stream_resume(w->server.stream);
    UNTIL(w, has(&w->server, "again"));
    assert_int_equal(w->server.offers, 3);
}

TEST(a_paused_stream_pushes_back_and_loses_nothing)
{
    size_t len = 16 * MEGABYTE;
    uint8_t *bytes = make_bytes(len, 11);
    w->leave_paused = true;
    connect_both(w);
    size_t sent = fill(&w->client, bytes, len);
    settle(w);
    assert_int_equal(w->server.offers, 0);
    hf_stream_resume(w->server.stream);
    UNTIL(w, w->server.got_len >= sent);
    assert_int_equal(w->server.got_len, sent);
    assert_memory_equal(w->server.got, bytes, sent);
    free(bytes);
}

TEST(an_offer_of_the_most_unread_bytes_can_be_left_when_paused)
{
    uint8_t *bytes = make_bytes(4 * HF_STREAM_UNREAD_MAX, 13);
    w->leave_paused = true;
    connect_both(w);
    w->client.to_send = bytes;
    w->client.to_send_len = 4 * HF_STREAM_UNREAD_MAX;
    send_on(&w->client);
    w->server.take_max = 0;
    w->server.pause_when_most = true;
    hf_stream_resume(w->server.stream);
    UNTIL(w, w->server.last_offer == HF_STREAM_UNREAD_MAX);
    settle(w);
    w->server.pause_when_most = false;
    w->server.take_max = SIZE_MAX;
    hf_stream_resume(w->server.stream);
    UNTIL(w, w->server.got_len == 4 * HF_STREAM_UNREAD_MAX);
    assert_memory_equal(w->server.got, bytes, w->server.got_len);
    free(bytes);
}

TEST(the_handler_can_be_exchanged_between_two_offers)
{
    connect_both(w);
    struct side second = {0};
    side_init(&second, w, NULL);
    second.stream = w->server.stream;
    send_text(&w->client, "first");
    UNTIL(w, has(&w->server, "first"));
    hf_stream_handle(w->server.stream, &side_handler, &second);
    send_text(&w->client, "second");
    UNTIL(w, has(&second, "second"));
    assert_true(has(&w->server, "first"));
    hf_stream_handle(w->server.stream, &side_handler, &w->server);
    free(second.got);
}

/* ---- writing ------------------------------------------------------------------------------------
 */

TEST(after_a_short_send_on_writable_comes_once_on_a_later_turn)
{
    size_t len = 32 * MEGABYTE;
    uint8_t *bytes = make_bytes(len, 17);
    w->leave_paused = true;
    connect_both(w);
    size_t sent = fill(&w->client, bytes, len);
    uint64_t turns = w->turns;
    settle(w);
    assert_int_equal(w->client.writables, 0);
    hf_stream_resume(w->server.stream);
    UNTIL(w, w->client.writables == 1);
    assert_true(w->client.turn_of_last_call > turns);
    UNTIL(w, w->server.got_len == sent);
    settle(w);
    assert_int_equal(w->client.writables, 1);
    sent += hf_stream_send(w->client.stream, hf_slice(bytes + sent, 1000));
    UNTIL(w, w->server.got_len == sent);
    assert_memory_equal(w->server.got, bytes, sent);
    free(bytes);
}

TEST(parts_of_one_send_arrive_in_order)
{
    static uint8_t big[40000];
    memset(big, 'x', sizeof(big));
    connect_both(w);
    struct hf_slice parts[8] = {
        HF_LITERAL("a"),      {NULL, 0}, HF_LITERAL("bc"), hf_slice(big, 40000), HF_LITERAL("d"),
        hf_slice(big, 20000), {NULL, 0}, HF_LITERAL("e")};
    assert_int_equal(hf_stream_sendv(w->client.stream, parts, 8), 60005);
    UNTIL(w, w->server.got_len == 60005);
    assert_memory_equal(w->server.got, "abcx", 4);
    assert_memory_equal(w->server.got + 40002, "xdx", 3);
    assert_memory_equal(w->server.got + 60003, "xe", 2);
    struct hf_slice none[2] = {{NULL, 0}, {NULL, 0}};
    assert_int_equal(hf_stream_sendv(w->client.stream, none, 2), 0);
    send_text(&w->client, "!");
    UNTIL(w, w->server.got_len == 60006);
    assert_int_equal(w->client.writables, 0);
}

static void cross(struct world *w, size_t len, uint64_t seed)
{
    uint8_t *east = make_bytes(len, seed);
    uint8_t *west = make_bytes(len, seed + 1);
    connect_both(w);
    w->client.random = seed * 3 + 1;
    w->server.random = seed * 5 + 2;
    w->client.to_send = east;
    w->server.to_send = west;
    w->client.to_send_len = w->server.to_send_len = len;
    w->client.shut_when_sent = w->server.shut_when_sent = true;
    send_on(&w->client);
    send_on(&w->server);
    UNTIL(w, w->client.ends == 1 && w->server.ends == 1);
    assert_int_equal(w->server.end.kind, orderly(w));
    assert_int_equal(w->client.end.kind, orderly(w));
    assert_int_equal(w->server.got_len, len);
    assert_int_equal(w->client.got_len, len);
    assert_memory_equal(w->server.got, east, len);
    assert_memory_equal(w->client.got, west, len);
    hf_timer_stop(w->loop, &w->client.resume_timer);
    hf_timer_stop(w->loop, &w->server.resume_timer);
    free(east);
    free(west);
}

TEST(megabytes_cross_both_ways_through_random_pauses_and_short_takes)
{
    cross(w, 8 * MEGABYTE, 41);
}

TEST(they_cross_with_other_choices_too)
{
    cross(w, 3 * MEGABYTE + 77, 4242);
}

static uint64_t unacked(struct side *s)
{
    struct hf_progress p;
    hf_stream_progress(s->stream, &p);
    return p.unacked;
}

TEST(progress_counts_what_is_unread_and_sees_the_peer_acknowledge)
{
    struct hf_progress p;
    connect_both(w);
    hf_stream_pause(w->server.stream);
    send_text(&w->client, "0123456789");
    settle(w);
    hf_stream_progress(w->server.stream, &p);
    assert_true(p.unread >= 10);
    hf_stream_progress(w->client.stream, &p);
    assert_true(p.unsent <= p.unacked);
    if (w->fixture->counts) {
        UNTIL(w, unacked(&w->client) == 0);
    }
    hf_stream_resume(w->server.stream);
    UNTIL(w, w->server.got_len == 10);
    hf_stream_progress(w->server.stream, &p);
    assert_int_equal(p.unread, 0);
}

TEST(progress_counts_what_a_full_way_holds)
{
    struct hf_progress p;
    size_t len = 32 * MEGABYTE;
    uint8_t *bytes = make_bytes(len, 19);
    w->leave_paused = true;
    connect_both(w);
    (void)fill(&w->client, bytes, len);
    hf_stream_progress(w->client.stream, &p);
    assert_true(p.unacked > 0);
    assert_true(p.unsent <= p.unacked);
    free(bytes);
}

/* ---- ends ---------------------------------------------------------------------------------------
 */

TEST(the_end_comes_after_all_bytes_and_once)
{
    connect_both(w);
    send_text(&w->client, "last words");
    hf_stream_shut(w->client.stream);
    hf_stream_shut(w->client.stream);
    UNTIL(w, w->server.ends == 1);
    assert_true(has(&w->server, "last words"));
    assert_int_equal(w->server.end.kind, orderly(w));
    settle(w);
    assert_int_equal(w->server.ends, 1);
}

TEST(a_paused_stream_reports_its_end_only_after_resume_and_taking_all)
{
    connect_both(w);
    w->server.take_max = 4;
    w->server.pause_when_short = true;
    send_text(&w->client, "rest to take");
    hf_stream_shut(w->client.stream);
    UNTIL(w, w->server.offers == 1);
    for (int i = 2; i <= 3; i++) {
        settle(w);
        assert_int_equal(w->server.ends, 0);
        hf_stream_resume(w->server.stream);
        UNTIL(w, w->server.offers == i);
    }
    UNTIL(w, w->server.ends == 1);
    assert_true(has(&w->server, "rest to take"));
}

TEST(what_was_left_unpaused_is_offered_one_last_time_before_the_end)
{
    connect_both(w);
    w->server.take_max = 2;
    send_text(&w->client, "abcdef");
    UNTIL(w, w->server.offers == 1);
    hf_stream_shut(w->client.stream);
    UNTIL(w, w->server.ends == 1);
    assert_int_equal(w->server.offers, 2);
    assert_int_equal(w->server.last_offer, 4);
    assert_true(has(&w->server, "abcd"));
}

TEST(after_an_orderly_end_a_stream_still_sends_with_back_pressure)
{
    size_t len = 24 * MEGABYTE;
    uint8_t *bytes = make_bytes(len, 23);
    connect_both(w);
    hf_stream_pause(w->client.stream);
    hf_stream_shut(w->client.stream);
    UNTIL(w, w->server.ends == 1);
    w->server.to_send = bytes;
    w->server.to_send_len = len;
    w->server.shut_when_sent = true;
    send_on(&w->server);
    assert_true(w->server.sent < len);
    hf_stream_resume(w->client.stream);
    UNTIL(w, w->client.ends == 1);
    assert_int_equal(w->client.got_len, len);
    assert_memory_equal(w->client.got, bytes, len);
    assert_int_equal(w->client.end.kind, orderly(w));
    free(bytes);
}

TEST(after_shut_sends_take_nothing_and_reading_goes_on)
{
    connect_both(w);
    hf_stream_shut(w->client.stream);
    assert_int_equal(hf_stream_send(w->client.stream, HF_LITERAL("x")), 0);
    UNTIL(w, w->server.ends == 1);
    send_text(&w->server, "read on");
    UNTIL(w, has(&w->client, "read on"));
    settle(w);
    assert_int_equal(w->client.writables, 0);
}

TEST(close_still_delivers_what_send_took)
{
    uint8_t *bytes = make_bytes(20000, 29);
    connect_both(w);
    assert_int_equal(hf_stream_send(w->client.stream, hf_slice(bytes, 20000)), 20000);
    close_side(&w->client);
    UNTIL(w, w->server.ends == 1);
    assert_int_equal(w->server.end.kind, orderly(w));
    assert_int_equal(w->server.got_len, 20000);
    assert_memory_equal(w->server.got, bytes, 20000);
    free(bytes);
}

TEST(close_delivers_even_what_filled_the_way)
{
    size_t len = 32 * MEGABYTE;
    uint8_t *bytes = make_bytes(len, 31);
    w->leave_paused = true;
    connect_both(w);
    size_t sent = fill(&w->client, bytes, len);
    close_side(&w->client);
    settle(w);
    hf_stream_resume(w->server.stream);
    UNTIL(w, w->server.ends == 1);
    assert_int_equal(w->server.end.kind, orderly(w));
    assert_int_equal(w->server.got_len, sent);
    assert_memory_equal(w->server.got, bytes, sent);
    free(bytes);
}

TEST(abort_ends_the_other_side_with_a_reset_and_it_cannot_send)
{
    connect_both(w);
    hf_stream_abort(w->client.stream);
    w->client.gone = true;
    w->client.stream = NULL;
    UNTIL(w, w->server.ends == 1);
    if (w->fixture->resets) {
        assert_int_equal(w->server.end.kind, HF_END_RST);
        assert_int_equal(hf_stream_send(w->server.stream, HF_LITERAL("x")), 0);
    }
    settle(w);
    assert_int_equal(w->server.ends, 1);
}

TEST(a_send_to_a_dead_peer_fails_by_on_end_and_never_inside_the_call)
{
    connect_both(w);
    hf_stream_pause(w->server.stream);
    hf_stream_abort(w->client.stream);
    w->client.gone = true;
    w->client.stream = NULL;
    settle(w);
    w->depth = 1;
    (void)hf_stream_send(w->server.stream, HF_LITERAL("one"));
    (void)hf_stream_send(w->server.stream, HF_LITERAL("two"));
    w->depth = 0;
    settle(w);
    assert_int_equal(w->server.ends, 0); /* it is paused */
    hf_stream_resume(w->server.stream);
    UNTIL(w, w->server.ends == 1);
    settle(w);
    assert_int_equal(w->server.ends, 1);
    assert_int_equal(w->server.writables, 0);
}

TEST(bytes_that_came_before_a_reset_met_a_send_are_still_offered)
{
    connect_both(w);
    hf_stream_pause(w->server.stream);
    send_text(&w->client, "before");
    settle(w);
    hf_stream_shut(w->client.stream);
    settle(w);
    close_side(&w->client);
    settle(w);
    (void)hf_stream_send(w->server.stream, HF_LITERAL("one"));
    settle(w);
    (void)hf_stream_send(w->server.stream, HF_LITERAL("two"));
    hf_stream_resume(w->server.stream);
    UNTIL(w, w->server.ends == 1);
    assert_true(has(&w->server, "before"));
}

/* ---- closing inside callbacks -------------------------------------------------------------------
 */

static void deed_in(struct world *w, enum when when, enum deed deed)
{
    static uint8_t bytes[100000];
    w->client.when = when;
    w->client.deed = deed;
    connect_client(w);
    if (when != ON_OPEN) {
        UNTIL(w, w->client.opens == 1 && w->server.opens == 1);
        (void)hf_stream_send(w->server.stream, hf_slice(bytes, sizeof(bytes)));
    }
    if (when == ON_WRITABLE) {
        hf_stream_pause(w->client.stream);
        hf_stream_pause(w->server.stream);
        while (hf_stream_send(w->client.stream, hf_slice(bytes, sizeof(bytes))) > 0) {
        }
        hf_stream_resume(w->server.stream);
    }
    if (when == ON_END) {
        hf_stream_shut(w->server.stream);
    }
    UNTIL(w, w->client.gone);
    if (w->server.stream != NULL && deed != RELEASE) {
        UNTIL(w, w->server.ends == 1 || w->server.stream == NULL);
    }
    settle(w);
}

TEST(a_stream_can_be_closed_inside_on_open)
{
    deed_in(w, ON_OPEN, CLOSE);
}
TEST(a_stream_can_be_closed_inside_on_bytes)
{
    deed_in(w, ON_BYTES, CLOSE);
}
TEST(a_stream_can_be_closed_inside_on_writable)
{
    deed_in(w, ON_WRITABLE, CLOSE);
}
TEST(a_stream_can_be_closed_inside_on_end)
{
    deed_in(w, ON_END, CLOSE);
}
TEST(a_stream_can_be_aborted_inside_on_open)
{
    deed_in(w, ON_OPEN, ABORT);
}
TEST(a_stream_can_be_aborted_inside_on_bytes)
{
    deed_in(w, ON_BYTES, ABORT);
}
TEST(a_stream_can_be_aborted_inside_on_writable)
{
    deed_in(w, ON_WRITABLE, ABORT);
}
TEST(a_stream_can_be_aborted_inside_on_end)
{
    deed_in(w, ON_END, ABORT);
}

TEST(a_stream_can_be_closed_inside_on_accept)
{
    w->reject = true;
    connect_client(w);
    UNTIL(w, w->accepts == 1);
    UNTIL(w, w->client.ends == 1);
}

TEST(closing_both_streams_in_one_callback_silences_the_events_of_the_other)
{
    connect_both(w);
    w->client.when = w->server.when = ON_BYTES;
    w->client.deed = w->server.deed = CLOSE_OTHER;
    hf_stream_pause(w->client.stream);
    hf_stream_pause(w->server.stream);
    send_text(&w->client, "x");
    send_text(&w->server, "y");
    settle(w);
    hf_stream_resume(w->client.stream);
    hf_stream_resume(w->server.stream);
    UNTIL(w, w->client.gone && w->server.gone);
    settle(w);
    assert_int_equal(w->client.offers + w->server.offers, 1);
}

TEST(a_loop_closes_what_is_open_without_callbacks)
{
    connect_both(w);
    send_text(&w->client, "unread");
    hf_stream_shut(w->client.stream);
    w->client.gone = true;
    w->server.gone = true; /* world_free frees the loop */
}

/* ---- listeners ----------------------------------------------------------------------------------
 */

TEST(an_address_that_is_listened_at_is_in_use)
{
    struct hf_listen how = {.address = w->address};
    struct hf_listener *second = w->listener;
    assert_int_equal(hf_loop_listen(w->loop, &how, &listener_handler, w, &second), HF_IN_USE);
    assert_null(second);
    connect_both(w);
}

TEST(a_paused_listener_accepts_nothing_until_it_goes_on)
{
    hf_listener_pause(w->loop, w->listener, true);
    connect_client(w);
    settle(w);
    assert_int_equal(w->accepts, 0);
    hf_listener_pause(w->loop, w->listener, false);
    UNTIL(w, w->accepts == 1);
}

TEST(a_closed_listener_refuses)
{
    hf_listener_close(w->loop, w->listener);
    settle(w);
    connect_client(w);
    UNTIL(w, w->client.ends == 1);
    assert_int_equal(w->client.end.kind, HF_END_REFUSED);
}

TEST(many_connections_at_once_are_all_accepted)
{
    struct side *sides = calloc(200, sizeof(*sides));
    assert_non_null(sides);
    w->reject = true;
    struct hf_connect how = {.address = w->address};
    for (int i = 0; i < 200; i++) {
        side_init(&sides[i], w, NULL);
        assert_int_equal(hf_loop_connect(w->loop, &how, &side_handler, &sides[i], &sides[i].stream),
                         HF_OK);
    }
    UNTIL(w, w->accepts == 200);
    for (int i = 0; i < 200; i++) {
        UNTIL(w, sides[i].ends == 1);
        close_side(&sides[i]);
    }
    free(sides);
}

/* ---- timers and tasks ---------------------------------------------------------------------------
 */

struct alarm {
    struct hf_timer timer;
    struct world *world;
    int order;
    int fired;
    hf_time at;
    struct alarm *moves;
};

static void ring(struct hf_timer *timer, hf_time now)
{
    struct alarm *a = HF_CONTAINER(timer, struct alarm, timer);
    assert_int_equal(a->world->depth, 0);
    assert_false(hf_timer_is_set(timer));
    assert_true(now >= timer->when);
    a->fired++;
    a->order = ++a->world->fired;
    a->at = now;
    if (a->moves != NULL) {
        hf_timer_set(a->world->loop, &a->moves->timer, now);
    }
}

static void alarm_init(struct alarm *a, struct world *w)
{
    memset(a, 0, sizeof(*a));
    a->world = w;
    hf_timer_init(&a->timer, ring);
}

TEST(timers_fire_once_in_their_order_and_never_early)
{
    struct alarm a[3];
    hf_time now = hf_loop_now(w->loop);
    for (int i = 0; i < 3; i++) {
        alarm_init(&a[i], w);
        hf_timer_set(w->loop, &a[i].timer, now + HF_MS(30 - 10 * i));
    }
    UNTIL(w, w->fired == 3);
    settle(w);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(a[i].fired, 1);
        assert_int_equal(a[i].order, 3 - i);
        assert_true(a[i].at >= now + HF_MS(30 - 10 * i));
    }
}

TEST(a_timer_can_be_moved_and_stopped)
{
    struct alarm moved, stopped;
    hf_time now = hf_loop_now(w->loop);
    alarm_init(&moved, w);
    alarm_init(&stopped, w);
    hf_timer_set(w->loop, &moved.timer, now + HF_SECONDS(1000));
    hf_timer_set(w->loop, &moved.timer, now + HF_MS(5));
    hf_timer_set(w->loop, &stopped.timer, now + HF_MS(2));
    hf_timer_stop(w->loop, &stopped.timer);
    hf_timer_stop(w->loop, &stopped.timer);
    UNTIL(w, moved.fired == 1);
    assert_int_equal(stopped.fired, 0);
}

TEST(a_timer_set_to_the_past_fires_on_a_later_turn)
{
    struct alarm first, second;
    alarm_init(&first, w);
    alarm_init(&second, w);
    first.moves = &second;
    w->depth = 1;
    hf_timer_set(w->loop, &first.timer, hf_loop_now(w->loop) - HF_SECONDS(1));
    w->depth = 0;
    (void)turn(w, HF_SECONDS(1));
    assert_int_equal(first.fired, 1);
    assert_int_equal(second.fired, 0); /* set inside the first, for now */
    UNTIL(w, second.fired == 1);
}

struct job {
    struct hf_task task;
    struct world *world;
    int order;
    int again;
};

static void run_job(struct hf_task *task, struct hf_loop *loop)
{
    struct job *j = HF_CONTAINER(task, struct job, task);
    assert_int_equal(j->world->depth, 0);
    assert_ptr_equal(loop, j->world->loop);
    j->order = ++j->world->fired;
    if (j->again-- > 0) {
        hf_loop_post(loop, task);
    }
}

TEST(tasks_run_in_the_order_they_were_posted_and_can_be_posted_again)
{
    struct job jobs[3] = {0};
    w->depth = 1;
    for (int i = 0; i < 3; i++) {
        jobs[i].world = w;
        jobs[i].task.run = run_job;
        hf_loop_post(w->loop, &jobs[i].task);
    }
    w->depth = 0;
    UNTIL(w, w->fired == 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(jobs[i].order, i + 1);
    }
    jobs[1].again = 2;
    hf_loop_post(w->loop, &jobs[1].task);
    UNTIL(w, w->fired == 6);
}

TEST(a_stopped_loop_says_so_after_its_turn)
{
    assert_true(turn(w, 0));
    hf_loop_stop(w->loop);
    assert_false(turn(w, HF_SECONDS(10)));
}

/* ---- moving between loops -----------------------------------------------------------------------
 */

/* Adopts the server's side to a second loop, and makes that the world's for both: the client's loop
 * is turned too. */
static struct hf_loop *move_server(struct world *w)
{
    struct hf_loop *far = w->fixture->loop_new(w->fixture->context);
    assert_non_null(far);
    if (w->server.parcel == NULL) {
        w->server.parcel = hf_stream_release(w->server.stream);
        assert_non_null(w->server.parcel);
    }
    w->server.stream = NULL;
    w->server.gone = true;
    settle(w);
    w->server.gone = false;
    enum hf_status status =
        hf_loop_adopt(far, w->server.parcel, &side_handler, &w->server, &w->server.stream);
    assert_int_equal(status, HF_OK);
    w->server.parcel = NULL;
    return far;
}

#define UNTIL_BOTH(w, far, condition)                                                              \
    do {                                                                                           \
        hf_time until = hf_loop_now((w)->loop) + PATIENCE;                                         \
        while (!(condition)) {                                                                     \
            if (hf_loop_now((w)->loop) > until) {                                                  \
                fail_msg("never: %s", #condition);                                                 \
            }                                                                                      \
            (void)turn(w, HF_MS(1));                                                               \
            (void)(w)->fixture->turn((w)->fixture->context, far, HF_MS(1));                        \
        }                                                                                          \
    } while (0)

TEST(a_stream_moves_to_another_loop_with_its_unread_bytes_and_is_paused_there)
{
    connect_both(w);
    w->server.take_max = 3;
    send_text(&w->client, "onetwo");
    UNTIL(w, has(&w->server, "one"));
    struct hf_loop *far = move_server(w);
    assert_ptr_equal(w->server.stream->loop, far);
    w->server.take_max = SIZE_MAX;
    send_text(&w->client, "three");
    for (int i = 0; i < 10; i++) {
        (void)w->fixture->turn(w->fixture->context, far, HF_MS(1));
    }
    assert_int_equal(w->server.offers, 1);
    hf_stream_resume(w->server.stream);
    UNTIL_BOTH(w, far, has(&w->server, "onetwothree"));
    send_text(&w->server, "from afar");
    UNTIL_BOTH(w, far, has(&w->client, "from afar"));
    close_side(&w->server);
    UNTIL_BOTH(w, far, w->client.ends == 1);
    hf_loop_free(far);
}

TEST(a_stream_released_inside_on_bytes_takes_all_that_was_lent_along)
{
    connect_both(w);
    w->server.when = ON_BYTES;
    w->server.deed = RELEASE;
    send_text(&w->client, "travels");
    UNTIL(w, w->server.parcel != NULL);
    struct hf_loop *far = move_server(w);
    hf_stream_resume(w->server.stream);
    UNTIL_BOTH(w, far, has(&w->server, "travels"));
    hf_loop_free(far);
}

TEST(a_released_stream_that_ended_meanwhile_reports_its_end_at_the_other_loop)
{
    connect_both(w);
    hf_stream_pause(w->server.stream);
    send_text(&w->client, "then the end");
    hf_stream_shut(w->client.stream);
    settle(w);
    struct hf_loop *far = move_server(w);
    hf_stream_resume(w->server.stream);
    UNTIL_BOTH(w, far, w->server.ends == 1);
    assert_true(has(&w->server, "then the end"));
    hf_loop_free(far);
}

TEST(a_stream_moves_with_megabytes_under_way)
{
    size_t len = 6 * MEGABYTE;
    uint8_t *bytes = make_bytes(len, 37);
    connect_both(w);
    w->client.to_send = bytes;
    w->client.to_send_len = len;
    w->client.shut_when_sent = true;
    w->server.take_max = 1000;
    send_on(&w->client);
    UNTIL(w, w->server.got_len > 0);
    struct hf_loop *far = move_server(w);
    w->server.take_max = SIZE_MAX;
    hf_stream_resume(w->server.stream);
    UNTIL_BOTH(w, far, w->server.ends == 1);
    assert_int_equal(w->server.got_len, len);
    assert_memory_equal(w->server.got, bytes, len);
    hf_loop_free(far);
    free(bytes);
}

TEST(a_dropped_parcel_closes_its_stream)
{
    connect_both(w);
    struct hf_parcel *parcel = hf_stream_release(w->server.stream);
    assert_non_null(parcel);
    w->server.gone = true;
    w->server.stream = NULL;
    w->fixture->parcel_drop(parcel);
    UNTIL(w, w->client.ends == 1);
}

/* ---- names --------------------------------------------------------------------------------------
 */

struct question {
    struct world *world;
    int answers;
    enum hf_status status;
    char first[64];
    uint64_t cancel; /* in the answer */
};

static void answered(void *owner, enum hf_status status, const struct hf_address *addresses,
                     size_t count)
{
    struct question *q = owner;
    assert_int_equal(q->world->depth, 0);
    q->answers++;
    q->status = status;
    if (status == HF_OK) {
        assert_true(count >= 1);
        hf_address_host_text(&addresses[0], q->first);
    }
    hf_loop_resolve_cancel(q->world->loop, q->cancel);
}

static uint64_t ask(struct world *w, struct question *q, const char *name)
{
    uint64_t id = 0;
    q->world = w;
    w->depth = 1;
    assert_int_equal(hf_loop_resolve(w->loop, name, answered, q, &id), HF_OK);
    w->depth = 0;
    assert_true(id != 0);
    assert_int_equal(q->answers, 0);
    return id;
}

TEST(localhost_and_numeric_hosts_are_answered_without_a_server_on_a_later_turn)
{
    struct question local = {0}, four = {0}, six = {0};
    ask(w, &local, "localhost");
    ask(w, &four, "192.0.2.7");
    ask(w, &six, "2001:db8::7");
    UNTIL(w, local.answers == 1 && four.answers == 1 && six.answers == 1);
    assert_string_equal(local.first, "127.0.0.1");
    assert_string_equal(four.first, "192.0.2.7");
    assert_string_equal(six.first, "2001:db8::7");
    settle(w);
    assert_int_equal(local.answers, 1);
}

TEST(a_cancelled_name_is_not_answered)
{
    struct question first = {0}, second = {0}, third = {0};
    uint64_t id = ask(w, &first, "localhost");
    ask(w, &second, "localhost");
    second.cancel = ask(w, &third, "localhost"); /* from inside the answer before it */
    hf_loop_resolve_cancel(w->loop, id);
    hf_loop_resolve_cancel(w->loop, id);
    hf_loop_resolve_cancel(w->loop, 0);
    UNTIL(w, second.answers == 1);
    settle(w);
    assert_int_equal(first.answers, 0);
    assert_int_equal(third.answers, 0);
    hf_loop_resolve_cancel(w->loop, second.cancel);
}

/* ---- starting TLS -------------------------------------------------------------------------------
 */

TEST(bytes_behind_a_plain_preface_are_the_first_records)
{
    if (w->fixture->server.tls == NULL) {
        return; /* nothing to start */
    }
    w->plain = true;
    connect_both(w);
    w->server.take_max = 8;
    w->server.when = ON_BYTES;
    w->server.deed = START_TLS;
    hf_stream_pause(w->server.stream);
    send_text(&w->client, "preface\n");
    w->client.opens = w->server.opens = 0;
    start_tls(&w->client, &w->fixture->client);
    settle(w); /* preface and hello wait in one piece */
    hf_stream_resume(w->server.stream);
    UNTIL(w, w->client.opens == 1 && w->server.opens == 1);
    assert_true(has(&w->server, "preface\n"));
    w->server.take_max = SIZE_MAX;
    send_text(&w->client, "sealed");
    UNTIL(w, has(&w->server, "preface\nsealed"));
}

/* ---- the table ----------------------------------------------------------------------------------
 */

#define ROW(name)                                                                                  \
    {                                                                                              \
#name, name                                                                                \
    }

static const struct {
    const char *name;
    void (*run)(struct world *w);
} table[] = {
    ROW(a_connection_opens_once_on_a_later_turn_and_carries_bytes_both_ways),
    ROW(a_send_before_the_connection_is_open_takes_nothing),
    ROW(a_connect_to_nobody_ends_refused_on_a_later_turn),
    ROW(a_stream_that_is_closed_while_it_connects_is_silent),
    ROW(a_stream_that_is_shut_while_it_connects_ends_its_direction_once_open),
    ROW(bytes_sent_one_at_a_time_arrive_in_order),
    ROW(bytes_taken_one_at_a_time_arrive_in_order),
    ROW(what_a_handler_leaves_comes_again_in_one_piece_with_what_follows),
    ROW(a_paused_stream_is_offered_nothing_and_everything_after_resume),
    ROW(pausing_inside_on_bytes_holds_the_rest_until_resume),
    ROW(what_is_left_comes_at_once_after_resume_although_nothing_new_came),
    ROW(a_paused_stream_pushes_back_and_loses_nothing),
    ROW(an_offer_of_the_most_unread_bytes_can_be_left_when_paused),
    ROW(the_handler_can_be_exchanged_between_two_offers),
    ROW(after_a_short_send_on_writable_comes_once_on_a_later_turn),
    ROW(parts_of_one_send_arrive_in_order),
    ROW(megabytes_cross_both_ways_through_random_pauses_and_short_takes),
    ROW(they_cross_with_other_choices_too),
    ROW(progress_counts_what_is_unread_and_sees_the_peer_acknowledge),
    ROW(progress_counts_what_a_full_way_holds),
    ROW(the_end_comes_after_all_bytes_and_once),
    ROW(a_paused_stream_reports_its_end_only_after_resume_and_taking_all),
    ROW(what_was_left_unpaused_is_offered_one_last_time_before_the_end),
    ROW(after_an_orderly_end_a_stream_still_sends_with_back_pressure),
    ROW(after_shut_sends_take_nothing_and_reading_goes_on),
    ROW(close_still_delivers_what_send_took),
    ROW(close_delivers_even_what_filled_the_way),
    ROW(abort_ends_the_other_side_with_a_reset_and_it_cannot_send),
    ROW(a_send_to_a_dead_peer_fails_by_on_end_and_never_inside_the_call),
    ROW(bytes_that_came_before_a_reset_met_a_send_are_still_offered),
    ROW(a_stream_can_be_closed_inside_on_open),
    ROW(a_stream_can_be_closed_inside_on_bytes),
    ROW(a_stream_can_be_closed_inside_on_writable),
    ROW(a_stream_can_be_closed_inside_on_end),
    ROW(a_stream_can_be_aborted_inside_on_open),
    ROW(a_stream_can_be_aborted_inside_on_bytes),
    ROW(a_stream_can_be_aborted_inside_on_writable),
    ROW(a_stream_can_be_aborted_inside_on_end),
    ROW(a_stream_can_be_closed_inside_on_accept),
    ROW(closing_both_streams_in_one_callback_silences_the_events_of_the_other),
    ROW(a_loop_closes_what_is_open_without_callbacks),
    ROW(an_address_that_is_listened_at_is_in_use),
    ROW(a_paused_listener_accepts_nothing_until_it_goes_on),
    ROW(a_closed_listener_refuses),
    ROW(many_connections_at_once_are_all_accepted),
    ROW(timers_fire_once_in_their_order_and_never_early),
    ROW(a_timer_can_be_moved_and_stopped),
    ROW(a_timer_set_to_the_past_fires_on_a_later_turn),
    ROW(tasks_run_in_the_order_they_were_posted_and_can_be_posted_again),
    ROW(a_stopped_loop_says_so_after_its_turn),
    ROW(a_stream_moves_to_another_loop_with_its_unread_bytes_and_is_paused_there),
    ROW(a_stream_released_inside_on_bytes_takes_all_that_was_lent_along),
    ROW(a_released_stream_that_ended_meanwhile_reports_its_end_at_the_other_loop),
    ROW(a_stream_moves_with_megabytes_under_way),
    ROW(a_dropped_parcel_closes_its_stream),
    ROW(localhost_and_numeric_hosts_are_answered_without_a_server_on_a_later_turn),
    ROW(a_cancelled_name_is_not_answered),
    ROW(bytes_behind_a_plain_preface_are_the_first_records),
};

#define TESTS (sizeof(table) / sizeof(table[0]))

int io_contract_run(const struct io_fixture *fixture)
{
    struct start starts[TESTS];
    struct CMUnitTest tests[TESTS];
    for (size_t i = 0; i < TESTS; i++) {
        starts[i] = (struct start){fixture, table[i].run};
        tests[i] = (struct CMUnitTest){table[i].name, run_row, world_new, world_free, &starts[i]};
    }
    return _cmocka_run_group_tests(fixture->name, tests, TESTS, NULL, NULL);
}
