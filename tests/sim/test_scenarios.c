/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of single sessions, told by the world and compared with what should be told. */
#include "world.h"

#include "../support/test_unit.h"

#include "gateway/relay.h"

#include <stdlib.h>

/* ---- telling --------------------------------------------------------------------------------- */

#define DOOR "listen: 10.0.0.1:80\nupstream: http://10.1.0.1:9000\n"
#define TWO_BACKENDS                                                                               \
    "listen: 10.0.0.1:80\nupstream: [http://10.1.0.1:9000, \"http://10.1.0.2:9000\"]\n"
#define QUIET "heartbeat: {interval: 0}\n"

static struct world *begin(const char *yaml, size_t backends)
{
    struct world_options options = {.seed = 1, .yaml = yaml, .backends = backends, .trace = true};
    struct world *w = world_new(&options);
    assert_non_null(w);
    return w;
}

static void show(const struct world *w)
{
    print_error("%.*s", HF_SLICE_ARG(hf_buffer_slice(&w->trace)));
}

static void finish(struct world *w)
{
    if (!world_finish(w)) {
        show(w);
        fail_msg("%s", w->broken);
    }
    world_free(w);
}

static void run(struct world *w, hf_time duration)
{
    if (!world_run(w, duration)) {
        show(w);
        fail_msg("%s", w->broken);
    }
}

#define UNTIL(w, condition, patience)                                                              \
    do {                                                                                           \
        hf_time until_end = sim_now((w)->sim) + (patience);                                        \
        while (!(condition)) {                                                                     \
            if (sim_now((w)->sim) >= until_end) {                                                  \
                show(w);                                                                           \
                fail_msg("never: %s", #condition);                                                 \
            }                                                                                      \
            run(w, HF_MS(1));                                                                      \
        }                                                                                          \
    } while (0)

/* Each line stands in the story, in this order; other lines may stand between. NULL at the end. */
static void expect_story(const struct world *w, ...)
{
    struct hf_slice rest = hf_buffer_slice(&w->trace);
    va_list args;
    const char *wanted;
    va_start(args, w);
    while ((wanted = va_arg(args, const char *)) != NULL) {
        struct hf_slice line;
        bool found = false;
        while (!found && hf_slice_next(&rest, '\n', &line)) {
            found = hf_slice_eq(line, hf_slice_of(wanted));
        }
        if (!found) {
            show(w);
            fail_msg("the story does not say, here or at all: %s", wanted);
        }
    }
    va_end(args);
}

static bool is_told(const struct world *w, const char *wanted)
{
    struct hf_slice rest = hf_buffer_slice(&w->trace);
    struct hf_slice line;
    while (hf_slice_next(&rest, '\n', &line)) {
        if (hf_slice_eq(line, hf_slice_of(wanted))) {
            return true;
        }
    }
    return false;
}

static struct session *come(struct world *w, const char *source)
{
    struct session_options options = {.source = source};
    struct session *s = session_open(w, &options);
    UNTIL(w, peer_is_open(s->client) && peer_is_open(s->backend) && world_relay(w, s) != NULL,
          HF_SECONDS(2));
    return s;
}

/* A line so narrow that a big frame takes its time. */
static void narrow_client(struct world *w, uint64_t bytes_a_second)
{
    w->client_path.bandwidth = bytes_a_second;
    w->client_path.send_buffer = 16384;
    w->client_path.receive_buffer = 16384;
    w->client_path.segment_min = w->client_path.segment_max = 1460;
}

static bool frame_is_open(struct world *w, const struct session *s)
{
    const struct hf_relay *r = world_relay(w, s);
    return r != NULL && !hf_leg_at_boundary(&r->backend);
}

/* ---- closing --------------------------------------------------------------------------------- */

static void a_close_of_the_client_waits_for_the_end_of_the_frame_it_is_being_sent(void **state)
{
    struct world *w = begin(DOOR QUIET, 1);
    narrow_client(w, 400000);
    struct session *s = come(w, NULL);
    peer_send(s->backend, HF_OP_BINARY, 200000, 1);
    UNTIL(w, frame_is_open(w, s), HF_SECONDS(1));
    peer_close(s->client, 4001, "enough");
    UNTIL(w, s->client->ended, HF_SECONDS(3));
    expect_story(w, "client 1 sends Close 4001 \"enough\"",
                 "the ending of 1 is client_close, code 4001",
                 "client 1 gets message 1 of 200000 bytes", "client 1 gets Close 4001 \"enough\"",
                 "client 1's stream ends: the peer ended its direction", NULL);
    expect_story(w, "the ending of 1 is client_close, code 4001",
                 "backend 1 gets Close 4001 \"enough\"", NULL);
    finish(w);
}

static void when_both_close_at_once_each_is_answered_and_one_ending_is_recorded(void **state)
{
    struct world *w = begin(DOOR QUIET, 1);
    struct session *s = come(w, NULL);
    peer_close(s->client, 4001, "mine");
    peer_close(s->backend, 3001, "mine too");
    UNTIL(w, s->client->close_got != 0 && s->backend->close_got != 0, HF_SECONDS(1));
    UNTIL(w, hf_gateway_is_idle(w->gateway), HF_SECONDS(1));
    finish(w);
}

static void a_close_without_a_code_is_carried_as_an_empty_one(void **state)
{
    struct world *w = begin(DOOR QUIET, 1);
    struct session *s = come(w, NULL);
    peer_close(s->backend, HF_CLOSE_NO_CODE, "");
    UNTIL(w, s->client->ended, HF_SECONDS(1));
    expect_story(w, "client 1 gets Close 1005 \"\"", NULL);
    assert_int_equal(s->backend->close_got, HF_CLOSE_NO_CODE);
    finish(w);
}

static void a_peer_that_never_answers_a_close_is_waited_for_2_seconds(void **state)
{
    struct world *w = begin(DOOR QUIET, 1);
    struct session *s = come(w, NULL);
    peer_pause(s->client, HF_NEVER);
    peer_close(s->backend, 3001, "bye");
    UNTIL(w, world_relay(w, s) == NULL, HF_SECONDS(1));
    hf_time ended = sim_now(w->sim);
    UNTIL(w, hf_gateway_is_idle(w->gateway), HF_SECONDS(5));
    hf_time waited = sim_now(w->sim) - ended;
    assert_true(waited > HF_MS(1900) && waited < HF_MS(2100));
    finish(w);
}

static void a_slow_client_still_gets_what_was_sent_to_it_before_a_close(void **state)
{
    struct world *w = begin(DOOR QUIET, 1);
    narrow_client(w, 10000);
    w->client_path.send_buffer = 200000;
    struct session *s = come(w, NULL);
    for (int i = 0; i < 5; i++) {
        peer_send(s->backend, HF_OP_BINARY, 10000, 1);
    }
    peer_close(s->backend, 3001, "done");
    UNTIL(w, hf_gateway_is_idle(w->gateway), HF_MS(2500)); /* it does not wait */
    assert_true(s->client->got < 5);
    UNTIL(w, s->client->close_got == 3001, HF_SECONDS(10));
    assert_int_equal(s->client->got, 5);
    finish(w);
}

/* ---- ends without a Close -------------------------------------------------------------------- */

static void a_backend_that_dies_loses_nothing_that_it_has_sent_whole_to_a_slow_client(void **state)
{
    struct world *w = begin(DOOR QUIET, 1);
    narrow_client(w, 150000);
    struct session *s = come(w, NULL);
    for (int i = 0; i < 10; i++) {
        peer_send(s->backend, HF_OP_TEXT, 10000, 3);
    }
    peer_fin(s->backend);
    UNTIL(w, s->client->ended, HF_SECONDS(5));
    expect_story(w, "backend 1 ends its direction without a Close",
                 "client 1 gets message 10 of 10000 bytes",
                 "client 1 gets Close 1012 \"backend lost\"", NULL);
    finish(w);
}

static void a_frame_that_can_never_be_whole_ends_with_the_stream_and_no_close(void **state)
{
    struct world *w = begin(DOOR QUIET, 1);
    narrow_client(w, 400000);
    struct session *s = come(w, NULL);
    peer_send(s->backend, HF_OP_BINARY, 600000, 1);
    UNTIL(w, frame_is_open(w, s), HF_SECONDS(1));
    peer_abort(s->backend);
    UNTIL(w, s->client->ended, HF_SECONDS(5));
    assert_int_equal(s->client->close_got, 0);
    assert_int_equal(s->client->got, 0);
    finish(w);
}

static void a_client_that_is_reset_is_told_to_the_backend_as_1001(void **state)
{
    struct world *w = begin(DOOR QUIET, 1);
    struct session *s = come(w, NULL);
    peer_send(s->client, HF_OP_TEXT, 5, 1);
    run(w, HF_MS(10));
    peer_abort(s->client);
    UNTIL(w, s->backend->state == PEER_GONE, HF_SECONDS(3));
    expect_story(w, "backend 1 gets message 1 of 5 bytes", "client 1 resets its stream",
                 "the ending of 1 is client_reset, code 1006",
                 "backend 1 gets Close 1001 \"client lost\"", NULL);
    finish(w);
}

/* ---- control frames -------------------------------------------------------------------------- */

static void a_ping_while_a_long_frame_is_open_is_answered_behind_the_frame(void **state)
{
    struct world *w = begin(DOOR QUIET, 1);
    narrow_client(w, 400000);
    struct session *s = come(w, NULL);
    peer_send(s->backend, HF_OP_BINARY, 200000, 1);
    UNTIL(w, frame_is_open(w, s), HF_SECONDS(1));
    peer_ping(s->client);
    peer_ping(s->client);
    UNTIL(w, s->client->pongs_got == 2, HF_SECONDS(2));
    expect_story(w, "client 1 sends ping 1", "client 1 gets message 1 of 200000 bytes",
                 "client 1 gets pong 1", "client 1 gets pong 2", NULL);
    finish(w);
}

static void pings_of_a_client_that_reads_nothing_hold_it_back_and_lose_nothing(void **state)
{
    struct world *w = begin(DOOR QUIET, 1);
    w->client_path.send_buffer = w->client_path.receive_buffer = 8192;
    struct session *s = come(w, NULL);
    peer_pause(s->client, HF_NEVER);
    for (int i = 0; i < 2000; i++) {
        peer_ping(s->client);
    }
    run(w, HF_SECONDS(2));
    const struct hf_relay *r = world_relay(w, s);
    assert_non_null(r);
    assert_non_null(r->client.pending);
    assert_true(r->client.pending->len <= HF_PENDING_MAX);
    assert_true(r->client.hold & HF_HOLD_OWN);
    peer_resume(s->client);
    UNTIL(w, s->client->pongs_got == 2000, HF_SECONDS(10));
    finish(w);
}

static void an_application_heartbeat_is_answered_between_two_messages_of_the_backend(void **state)
{
    struct world *w = begin(
        DOOR QUIET "app_heartbeat: {match: '{\"type\":\"ping\"}', answer: '{\"type\":\"pong\"}'}\n",
        1);
    struct session *s = come(w, NULL);
    peer_beat(s->client);
    UNTIL(w, s->client->beat_answers == 1, HF_SECONDS(1));
    peer_stream(s->backend, 100, false);
    run(w, HF_MS(10));
    peer_beat(s->client);
    run(w, HF_MS(200));
    assert_int_equal(s->client->beat_answers, 1);
    peer_stream(s->backend, 50, true);
    UNTIL(w, s->client->beat_answers == 2, HF_SECONDS(1));
    expect_story(w, "client 1 gets the heartbeat's answer", "client 1 gets message 1 of 150 bytes",
                 "client 1 gets the heartbeat's answer", NULL);
    assert_int_equal(s->backend->got, 0);
    finish(w);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void a_client_that_takes_nothing_is_ended_after_send_timeout(void **state)
{
    struct world *w = begin(DOOR QUIET "send_timeout: 5s\n", 1);
    struct session *s = come(w, NULL);
    peer_pause(s->client, HF_NEVER);
    peer_send(s->backend, HF_OP_BINARY, 4000000, 1);
    hf_time since = sim_now(w->sim);
    UNTIL(w, world_relay(w, s) == NULL, HF_SECONDS(20));
    hf_time held = sim_now(w->sim) - since;
    assert_true(held >= HF_MS(4900) && held <= HF_MS(8000));
    assert_true(is_told(w, "the ending of 1 is client_stuck, code 1006"));
    finish(w);
}

static void a_slow_client_that_takes_a_little_now_and_then_is_not_stuck(void **state)
{
    struct world *w = begin(DOOR QUIET "send_timeout: 2s\n", 1);
    narrow_client(w, 20000);
    struct session *s = come(w, NULL);
    peer_send(s->backend, HF_OP_BINARY, 400000, 1);
    UNTIL(w, s->client->got == 1, HF_SECONDS(30));
    finish(w);
}

static void a_dark_client_is_given_up_in_time_and_a_silent_live_one_never(void **state)
{
    struct world *w = begin(DOOR "heartbeat: {interval: 2s, timeout: 1s, jitter: 0}\n", 1);
    struct session *dark = come(w, NULL);
    struct session *live = come(w, NULL);
    peer_darken(dark->client);
    hf_time since = sim_now(w->sim);
    UNTIL(w, world_relay(w, dark) == NULL, HF_SECONDS(10));
    hf_time held = sim_now(w->sim) - since;
    assert_true(held >= HF_SECONDS(1) && held <= HF_MS(3100));
    assert_true(is_told(w, "the ending of 1 is client_heartbeat, code 1006"));
    run(w, HF_SECONDS(120));
    assert_non_null(world_relay(w, live));
    assert_true(live->client->pings_got >= 55 && live->client->pings_got <= 65);
    assert_true(live->backend->pings_got >= 55 && live->backend->pings_got <= 65);
    finish(w);
}

static void an_outage_that_is_shorter_than_the_heartbeat_loses_nothing(void **state)
{
    struct world *w = begin(DOOR "heartbeat: {interval: 5s, timeout: 5s, jitter: 0}\n", 1);
    struct session *s = come(w, NULL);
    peer_darken(s->client);
    peer_send(s->client, HF_OP_TEXT, 3000, 1);
    peer_send(s->backend, HF_OP_TEXT, 3000, 1);
    run(w, HF_SECONDS(4));
    assert_int_equal(s->client->got + s->backend->got, 0);
    peer_lighten(s->client);
    UNTIL(w, s->client->got == 1 && s->backend->got == 1, HF_SECONDS(1));
    run(w, HF_SECONDS(30));
    assert_non_null(world_relay(w, s));
    finish(w);
}

static void a_machine_that_slept_ends_nobody_who_lives(void **state)
{
    struct world *w = begin(DOOR "heartbeat: {interval: 2s, timeout: 1s, jitter: 0}\n", 1);
    struct session *s = come(w, NULL);
    for (int i = 0; i < 20; i++) {
        run(w, HF_MS(777 + 137 * i));
        sim_loop_freeze(w->loops[0], sim_now(w->sim) + HF_MS(500 + 900 * i));
        run(w, HF_MS(501 + 900 * i));
    }
    run(w, HF_SECONDS(10));
    assert_non_null(world_relay(w, s));
    finish(w);
}

static void an_expired_token_is_told_with_4401(void **state)
{
    struct world *w = begin(DOOR QUIET, 1);
    struct session *s = come(w, NULL);
    struct hf_relay *r = world_relay(w, s);
    r->identity->expires = w->loops[0]->wall + 3000; /* as a token's exp */
    hf_relay_schedule(r);
    w->always |= (uint64_t)1 << HF_CAUSE_TOKEN_EXPIRED;
    run(w, HF_MS(2900));
    assert_non_null(world_relay(w, s));
    UNTIL(w, s->client->close_got != 0, HF_MS(300));
    expect_story(w, "the ending of 1 is token_expired, code 4401",
                 "client 1 gets Close 4401 \"token expired\"", NULL);
    UNTIL(w, s->backend->close_got == HF_CLOSE_GOING_AWAY, HF_MS(300));
    finish(w);
}

static void a_wall_clock_that_jumps_over_a_tokens_end_is_noticed_within_a_minute(void **state)
{
    struct world *w = begin(DOOR QUIET, 1);
    struct session *s = come(w, NULL);
    struct hf_relay *r = world_relay(w, s);
    r->identity->expires = w->loops[0]->wall + 3600000;
    hf_relay_schedule(r);
    w->always |= (uint64_t)1 << HF_CAUSE_TOKEN_EXPIRED;
    run(w, HF_SECONDS(2));
    sim_wall_jump(w->sim, 3700000);
    UNTIL(w, s->client->close_got == HF_CLOSE_TOKEN_EXPIRED, HF_SECONDS(61));
    finish(w);
}

static void a_client_that_stops_within_a_frames_head_and_answers_nothing_is_given_up(void **state)
{
    struct world *w = begin(DOOR "heartbeat: {interval: 2s, timeout: 1s, jitter: 0}\n", 1);
    struct session *s = come(w, NULL);
    peer_half_frame(s->client);
    run(w, HF_MS(100));
    peer_pause(s->client, HF_NEVER);
    UNTIL(w, world_relay(w, s) == NULL, HF_SECONDS(5));
    assert_true(is_told(w, "the ending of 1 is client_heartbeat, code 1006"));
    finish(w);
}

static void
a_pong_that_crosses_the_gateways_close_does_not_cost_the_client_what_is_in_front_of_it(void **state)
{
    struct world *w = begin(DOOR "heartbeat: {interval: 2s, timeout: 5s, jitter: 0}\n", 1);
    narrow_client(w, 100000);
    w->client_path.send_buffer = 200000;
    struct session *s = come(w, NULL);
    run(w, HF_MS(1900));
    sim_loop_freeze(w->loops[0], sim_now(w->sim) + HF_MS(500));
    peer_send(s->backend, HF_OP_BINARY, 60000, 1);
    run(w, HF_MS(300));
    peer_close(s->client, 4001, "done");
    UNTIL(w, s->client->ended, HF_SECONDS(5));
    expect_story(w, "client 1 sends Close 4001 \"done\"", "client 1 gets a ping",
                 "client 1 gets message 1 of 60000 bytes", "client 1 gets Close 4001 \"done\"",
                 NULL);
    finish(w);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void a_delaying_limit_holds_messages_and_releases_them_in_time(void **state)
{
    struct world *w = begin(DOOR QUIET "limits: {messages_per_minute: 60, messages_burst: 5}\n", 1);
    struct session *s = come(w, NULL);
    hf_time at[25];
    for (unsigned i = 0; i < 25; i++) {
        peer_send(s->client, HF_OP_TEXT, 100 + i * 1000, 1 + i % 4);
    }
    for (unsigned i = 0; i < 25; i++) {
        UNTIL(w, s->backend->got > i, HF_SECONDS(3));
        at[i] = sim_now(w->sim);
    }
    /* In no window of the length that n messages ask for do more than burst + n come. */
    for (unsigned i = 0; i < 25; i++) {
        for (unsigned k = i + 6; k < 25; k++) {
            assert_true(at[k] - at[i] >= HF_SECONDS(k - i - 5) - HF_MS(20));
        }
    }
    assert_true(at[24] - at[0] <= HF_SECONDS(20) + HF_MS(100)); /* and not later than it must */
    finish(w);
}

static void a_limit_never_counts_what_the_backend_streams_nor_fragments(void **state)
{
    struct world *w = begin(
        DOOR QUIET "limits: {messages_per_minute: 10, messages_burst: 2, excess_messages: close}\n",
        1);
    struct session *s = come(w, NULL);
    peer_send(s->client, HF_OP_TEXT, 5000, 500);
    for (int i = 0; i < 1000; i++) {
        peer_send(s->backend, HF_OP_TEXT, 20, 1);
    }
    UNTIL(w, s->client->got == 1000 && s->backend->got == 1, HF_SECONDS(2));
    peer_send(s->client, HF_OP_TEXT, 1, 1);
    UNTIL(w, s->backend->got == 2, HF_SECONDS(2));
    finish(w);
}

static void a_message_too_many_is_told_with_1008_when_the_limit_closes(void **state)
{
    struct world *w = begin(
        DOOR QUIET "limits: {messages_per_minute: 10, messages_burst: 2, excess_messages: close}\n",
        1);
    struct session *s = come(w, NULL);
    s->may |= (uint64_t)1 << HF_CAUSE_MESSAGE_RATE;
    for (int i = 0; i < 3; i++) {
        peer_send(s->client, HF_OP_TEXT, 20, 1);
    }
    UNTIL(w, s->client->close_got == HF_CLOSE_POLICY, HF_SECONDS(1));
    assert_int_equal(s->backend->got, 2);
    finish(w);
}

static void a_connection_beyond_the_limit_of_an_address_is_refused_with_429(void **state)
{
    struct world *w = begin(DOOR QUIET "limits: {address_connections: 2}\n", 1);
    struct session_options same = {.source = "10.9.0.7"};
    struct session *first = come(w, "10.9.0.7");
    (void)come(w, "10.9.0.7");
    struct session *third = session_open(w, &same);
    third->may |= (uint64_t)1 << HF_CAUSE_CONNECTION_LIMIT;
    UNTIL(w, third->status != 0, HF_SECONDS(1));
    assert_int_equal(third->status, 429);
    (void)come(w, "10.9.0.8");
    peer_close(first->client, 1000, "");
    UNTIL(w, world_relay(w, first) == NULL, HF_SECONDS(1));
    (void)come(w, "10.9.0.7");
    finish(w);
}

/* ---- backends -------------------------------------------------------------------------------- */

static void a_refusal_of_the_backend_reaches_the_client_as_it_is(void **state)
{
    struct world *w = begin(DOOR, 1);
    struct session_options options = {0};
    w->backends[0].mode = BACKEND_REFUSES;
    struct session *s = session_open(w, &options);
    UNTIL(w, s->status != 0, HF_SECONDS(1));
    assert_int_equal(s->status, 403);
    finish(w);
}

static void a_backend_that_is_down_costs_no_client_its_connection(void **state)
{
    struct world *w = begin(TWO_BACKENDS, 2);
    backend_crash(&w->backends[0]);
    for (int i = 0; i < 6; i++) {
        (void)come(w, NULL);
    }
    backend_start(&w->backends[0]);
    finish(w);
}

static void a_backend_that_never_answers_is_given_up_with_504(void **state)
{
    struct world *w = begin(DOOR "upstream_timeout: 3s\n", 1);
    struct session_options options = {0};
    w->backends[0].mode = BACKEND_SILENT;
    struct session *s = session_open(w, &options);
    UNTIL(w, s->status != 0, HF_SECONDS(4));
    assert_int_equal(s->status, 504);
    finish(w);
}

static void
a_backend_with_a_name_is_looked_up_for_each_connect_and_follows_its_address(void **state)
{
    struct world *w = begin("listen: 10.0.0.1:80\nupstream: http://app.test:9000\n", 2);
    sim_name(w->sim, "app.test", HF_OK, &w->backends[0].address, 1, HF_MS(30));
    assert_ptr_equal(come(w, NULL)->backend->backend, &w->backends[0]);
    sim_name(w->sim, "app.test", HF_OK, &w->backends[1].address, 1, HF_MS(30));
    assert_ptr_equal(come(w, NULL)->backend->backend, &w->backends[1]);
    sim_name(w->sim, "app.test", HF_IO, NULL, 0, HF_MS(30));
    struct session_options options = {0};
    struct session *s = session_open(w, &options);
    s->may |= (uint64_t)1 << HF_CAUSE_BACKEND_UNREACHABLE;
    UNTIL(w, s->status != 0, HF_SECONDS(2));
    assert_int_equal(s->status, 502);
    finish(w);
}

/* ---- holding --------------------------------------------------------------------------------- */

/* A backend's line so narrow that the backlog takes its time. */
static void narrow_backend(struct world *w, uint64_t bytes_a_second)
{
    w->backend_path.bandwidth = bytes_a_second;
    w->backend_path.send_buffer = 16384;
    w->backend_path.receive_buffer = 16384;
    w->backend_path.segment_min = w->backend_path.segment_max = 1460;
}

#define HOLD DOOR QUIET "on_backend_loss: hold\n"

static bool is_held(const struct session *s)
{
    const struct hf_relay *r = world_relay(s->world, s);
    return r != NULL && r->backend.stream == NULL;
}

/* The backend dies and the gateway has noticed. */
static void lose_backend(struct world *w, const struct session *s)
{
    backend_crash(&w->backends[0]);
    UNTIL(w, is_held(s), HF_SECONDS(1));
}

static void get_backend_again(struct world *w, const struct session *s)
{
    backend_start(&w->backends[0]);
    UNTIL(w, !is_held(s) && peer_is_open(s->backend), HF_SECONDS(5));
}

static void a_held_client_sees_no_close_and_what_it_sent_meanwhile_arrives_in_order(void **state)
{
    struct world *w = begin(HOLD, 1);
    struct session *s = come(w, NULL);
    peer_send(s->client, HF_OP_TEXT, 10, 1);
    peer_send(s->backend, HF_OP_TEXT, 11, 1);
    UNTIL(w, s->backend->got == 1 && s->client->got == 1, HF_SECONDS(1));
    lose_backend(w, s);
    for (unsigned i = 0; i < 5; i++) {
        peer_send(s->client, i % 2 == 0 ? HF_OP_TEXT : HF_OP_BINARY, 100 * i, i + 1);
        peer_ping(s->client);
    }
    run(w, HF_SECONDS(3));
    assert_true(s->client->pongs_got >= 5); /* its pings are answered while it waits */
    get_backend_again(w, s);
    peer_send(s->backend, HF_OP_TEXT, 12, 1);
    UNTIL(w, s->backend->got == 6 && s->client->got == 2, HF_SECONDS(1));
    assert_int_equal(s->client->close_got, 0);
    expect_story(w, "client 1 is held", "client 1 gets pong 5", "backend 1 has the request",
                 "backend 1 gets message 2 of 0 bytes", "backend 1 gets message 6 of 400 bytes",
                 NULL);
    assert_false(is_told(w, "backend 1 misses messages 1 to 1"));
    finish(w);
}

static void a_redial_starts_within_100_ms(void **state)
{
    struct world *w = begin(HOLD, 1);
    struct session *s = come(w, NULL);
    peer_reset(s->backend);
    UNTIL(w, is_held(s), HF_SECONDS(1));
    hf_time lost = sim_now(w->sim);
    UNTIL(w, !is_held(s), HF_SECONDS(1));
    assert_true(sim_now(w->sim) - lost < HF_MS(110));
    assert_int_equal(s->losses, 1);
    finish(w);
}

static void a_close_of_a_backend_that_restarts_is_no_close_for_its_client(void **state)
{
    static const uint16_t codes[] = {1001, 1011, 1012, 1013};
    struct world *w = begin(HOLD, 1);
    struct session *s = come(w, NULL);
    for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct peer *lost = s->backend;
        peer_close(lost, codes[i], "restart");
        UNTIL(w, s->backend != lost && peer_is_open(s->backend), HF_SECONDS(1));
        assert_int_equal(lost->close_got, codes[i]);
        peer_send(s->client, HF_OP_TEXT, 10, 1);
        UNTIL(w, s->backend->got == i + 1, HF_SECONDS(1));
        run(w, HF_SECONDS(6));
    }
    assert_int_equal(s->losses, 4);
    finish(w);
}

static void any_other_close_of_a_backend_is_its_clients_too(void **state)
{
    static const uint16_t codes[] = {1000, 1005, 1008, 3001, 4001};
    struct world *w = begin(HOLD, 1);
    for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct session *s = come(w, NULL);
        peer_close(s->backend, codes[i], "");
        UNTIL(w, s->client->ended, HF_SECONDS(1));
        assert_int_equal(s->client->close_got, codes[i]);
        assert_int_equal(s->losses, 0);
    }
    finish(w);
}

static void of_a_message_that_a_lost_backend_had_in_part_the_rest_is_swallowed(void **state)
{
    struct world *w = begin(HOLD, 1);
    struct session *s = come(w, NULL);
    peer_stream(s->client, 1000, false);
    run(w, HF_MS(100));
    lose_backend(w, s);
    peer_stream(s->client, 500, false);
    get_backend_again(w, s);
    run(w, HF_MS(100));
    peer_stream(s->client, 300, true);
    peer_send(s->client, HF_OP_TEXT, 20, 1);
    UNTIL(w, s->backend->got == 2, HF_SECONDS(1));
    expect_story(w, "client 1 is held", "backend 1 misses messages 1 to 1",
                 "backend 1 gets message 2 of 20 bytes", NULL);
    finish(w);
}

static void a_client_in_the_middle_of_a_backends_message_cannot_be_held(void **state)
{
    struct world *w = begin(HOLD, 1);
    struct session *s = come(w, NULL);
    peer_stream(s->backend, 1000, false);
    run(w, HF_MS(100));
    backend_crash(&w->backends[0]);
    UNTIL(w, s->client->ended, HF_SECONDS(1));
    assert_int_equal(s->client->close_got, HF_CLOSE_RESTART);
    assert_int_equal(s->losses, 0);
    finish(w);
}

static void a_backend_that_comes_back_and_refuses_the_client_ends_it(void **state)
{
    struct world *w = begin(HOLD, 1);
    struct session *s = come(w, NULL);
    lose_backend(w, s);
    w->backends[0].mode = BACKEND_REFUSES;
    backend_start(&w->backends[0]);
    UNTIL(w, s->client->ended, HF_SECONDS(5));
    expect_story(w, "client 1 is held", "backend 1 refuses with 403",
                 "the ending of 1 is backend_gone, code 1012",
                 "client 1 gets Close 1012 \"backend lost\"", NULL);
    finish(w);
}

static void a_hold_ends_when_its_time_is_over(void **state)
{
    struct world *w = begin(HOLD "hold: {time: 7s}\n", 1);
    struct session *s = come(w, NULL);
    lose_backend(w, s);
    hf_time lost = sim_now(w->sim);
    UNTIL(w, s->client->ended, HF_SECONDS(8));
    hf_time held = sim_now(w->sim) - lost;
    assert_true(held > HF_MS(6990) && held < HF_MS(7100));
    expect_story(w, "the ending of 1 is hold_expired, code 1012", NULL);
    finish(w);
}

static void a_backend_that_is_lost_again_and_again_uses_up_the_time_of_the_hold(void **state)
{
    struct world *w = begin(HOLD "hold: {time: 20s, backoff_max: 500ms}\n", 1);
    struct session *s = come(w, NULL);
    hf_time first = sim_now(w->sim);
    for (unsigned i = 0; !s->client->ended; i++) {
        assert_true(i < 200);
        struct peer *lost = s->backend;
        peer_reset(lost);
        UNTIL(w, s->client->ended || (s->backend != lost && peer_is_open(s->backend)),
              HF_SECONDS(5));
    }
    assert_true(sim_now(w->sim) - first < HF_SECONDS(21));
    assert_true(s->losses < 120); /* the waits went on growing */
    expect_story(w, "the ending of 1 is hold_expired, code 1012", NULL);
    finish(w);
}

static void beyond_the_bytes_of_a_hold_the_client_is_not_read_and_loses_nothing(void **state)
{
    struct world *w = begin(HOLD "hold: {bytes: 16KiB}\n", 1);
    w->client_path.send_buffer = w->client_path.receive_buffer = 16384;
    struct session *s = come(w, NULL);
    lose_backend(w, s);
    for (unsigned i = 0; i < 40; i++) {
        peer_send(s->client, HF_OP_BINARY, 5000, 2);
    }
    run(w, HF_SECONDS(2));
    assert_true((world_relay(w, s)->client.hold & HF_HOLD_OTHER) != 0);
    assert_true(world_relay(w, s)->client.messages < 8);
    get_backend_again(w, s);
    UNTIL(w, s->backend->got == 40, HF_SECONDS(2));
    assert_int_equal(s->client->close_got, 0);
    finish(w);
}

static void a_held_client_that_goes_dark_is_given_up(void **state)
{
    struct world *w =
        begin(DOOR "on_backend_loss: hold\nheartbeat: {interval: 5s, timeout: 3s}\n", 1);
    struct session *s = come(w, NULL);
    lose_backend(w, s);
    peer_darken(s->client);
    UNTIL(w, is_told(w, "the ending of 1 is client_heartbeat, code 1006"), HF_SECONDS(12));
    finish(w);
}

static void a_client_that_closes_while_it_is_held_gets_its_answer_at_once(void **state)
{
    struct world *w = begin(HOLD, 1);
    struct session *s = come(w, NULL);
    lose_backend(w, s);
    peer_send(s->client, HF_OP_TEXT, 10, 1);
    peer_close(s->client, 4001, "enough");
    UNTIL(w, s->client->close_got == 4001, HF_SECONDS(1));
    expect_story(w, "the ending of 1 is client_close, code 4001", NULL);
    finish(w);
}

static void a_drain_says_goodbye_to_a_held_client_too(void **state)
{
    struct world *w = begin(HOLD, 1);
    struct session *s = come(w, NULL);
    lose_backend(w, s);
    world_drain(w, HF_SECONDS(1));
    UNTIL(w, s->client->close_got == HF_CLOSE_RESTART, HF_SECONDS(2));
    expect_story(w, "the ending of 1 is drain, code 1012", NULL);
    finish(w);
}

/* Every text of the models begins with one of these; two of them are kept. */
#define PROLOGUE                                                                                   \
    DOOR QUIET                                                                                     \
        "on_backend_loss: prologue\nprologue:\n  match: ['@', A, B, C, D, E, F, G, H, I, J, "      \
        "K, L, M, 'N', O, P, Q, R, S, T, U, V, W, X, 'Y', Z, '[', '\\', ']', '^', _]\n"            \
        "  max: 2\n"

static void a_prologue_is_sent_first_and_its_answers_are_for_nobody(void **state)
{
    struct world *w = begin(PROLOGUE "  drop_replies: 2\n  wait: 3s\n", 1);
    struct session *s = come(w, NULL);
    peer_send(s->client, HF_OP_BINARY, 10, 1);
    peer_send(s->client, HF_OP_TEXT, 20, 3);
    peer_send(s->client, HF_OP_TEXT, 30, 1);
    peer_send(s->client, HF_OP_TEXT, 40, 1);
    UNTIL(w, s->backend->got == 4, HF_SECONDS(1));
    lose_backend(w, s);
    peer_send(s->client, HF_OP_TEXT, 50, 1);
    get_backend_again(w, s);
    UNTIL(w, s->backend->replayed == 3, HF_SECONDS(1));
    peer_send(s->backend, HF_OP_TEXT, 7, 1);
    run(w, HF_SECONDS(1));
    assert_int_equal(s->backend->got, 4); /* the queue waits for the second answer */
    peer_send(s->backend, HF_OP_TEXT, 8, 1);
    UNTIL(w, s->backend->got == 5, HF_MS(200));
    peer_send(s->backend, HF_OP_TEXT, 9, 1);
    UNTIL(w, is_told(w, "client 1 gets message 3 of 9 bytes"), HF_SECONDS(1));
    expect_story(w, "client 1 is held", "backend 1 gets message 2 again",
                 "backend 1 gets message 3 again", "backend 1 gets message 5 of 50 bytes",
                 "client 1 misses messages 1 to 2", "client 1 gets message 3 of 9 bytes", NULL);
    assert_false(is_told(w, "backend 1 gets message 4 again"));
    finish(w);
}

static void answers_to_a_prologue_are_not_waited_for_for_ever(void **state)
{
    struct world *w = begin(PROLOGUE "  drop_replies: 1\n  wait: 2s\n", 1);
    struct session *s = come(w, NULL);
    peer_send(s->client, HF_OP_TEXT, 20, 1);
    UNTIL(w, s->backend->got == 1, HF_SECONDS(1));
    lose_backend(w, s);
    peer_send(s->client, HF_OP_BINARY, 50, 1);
    get_backend_again(w, s);
    hf_time back = sim_now(w->sim);
    UNTIL(w, s->backend->got == 2, HF_SECONDS(3));
    assert_true(sim_now(w->sim) - back > HF_MS(1900));
    peer_send(s->backend, HF_OP_TEXT, 9, 1);
    UNTIL(w, s->client->got == 1, HF_SECONDS(1)); /* it came too late to be one */
    finish(w);
}

static void a_message_of_the_prologue_that_waits_is_sent_once(void **state)
{
    struct world *w = begin(PROLOGUE, 1);
    struct session *s = come(w, NULL);
    lose_backend(w, s);
    peer_send(s->client, HF_OP_TEXT, 20, 1);
    get_backend_again(w, s);
    UNTIL(w, s->backend->got == 1, HF_SECONDS(1));
    assert_int_equal(s->backend->replayed, 0);
    lose_backend(w, s);
    get_backend_again(w, s);
    UNTIL(w, s->backend->replayed == 1, HF_SECONDS(1));
    finish(w);
}

static void a_close_behind_a_prologue_goes_behind_what_waits(void **state)
{
    struct world *w = begin(PROLOGUE "  drop_replies: 1\n", 1);
    narrow_backend(w, 200000);
    struct session *s = come(w, NULL);
    peer_send(s->client, HF_OP_TEXT, 20, 1);
    UNTIL(w, s->backend->got == 1, HF_SECONDS(1));
    lose_backend(w, s);
    peer_send(s->client, HF_OP_BINARY, 50, 1);
    get_backend_again(w, s);
    run(w, HF_MS(100));
    for (unsigned i = 0; i < 20; i++) {
        peer_send(s->client, HF_OP_BINARY, 10000, 1);
    }
    peer_close(s->client, 4001, "enough");
    UNTIL(w, s->backend->close_got == 4001, HF_SECONDS(5));
    assert_int_equal(s->backend->got, 22);
    finish(w);
}

/* A held client has sent 20 messages, and its new backend has some of them. */
static struct session *come_to_a_backlog(struct world *w)
{
    narrow_backend(w, 200000);
    struct session *s = come(w, NULL);
    lose_backend(w, s);
    for (unsigned i = 0; i < 20; i++) {
        peer_send(s->client, HF_OP_BINARY, 10000, 1);
    }
    run(w, HF_SECONDS(1));
    get_backend_again(w, s);
    UNTIL(w, s->backend->got >= 2, HF_SECONDS(2));
    assert_true(hf_held_is_active(world_relay(w, s)));
    return s;
}

static void a_backlog_whose_backend_is_lost_too_goes_on_at_the_next_whole_message(void **state)
{
    struct world *w = begin(HOLD, 1);
    struct session *s = come_to_a_backlog(w);
    uint32_t had = s->backend->got;
    peer_reset(s->backend);
    UNTIL(w, s->losses == 2 && !is_held(s) && peer_is_open(s->backend), HF_SECONDS(5));
    UNTIL(w, s->backend->got == 20, HF_SECONDS(5));
    assert_true(had < 18);
    assert_int_equal(s->client->close_got, 0);
    finish(w);
}

static void a_close_behind_a_backlog_waits_until_it_has_gone(void **state)
{
    struct world *w = begin(HOLD, 1);
    struct session *s = come_to_a_backlog(w);
    peer_close(s->client, 4001, "enough");
    UNTIL(w, s->backend->close_got == 4001, HF_SECONDS(5));
    assert_int_equal(s->backend->got, 20);
    finish(w);
}

static void a_goodbye_within_a_backlog_never_stands_within_a_frame(void **state)
{
    struct world *w = begin(HOLD, 1);
    struct session *s = come_to_a_backlog(w);
    world_drain(w, 0);
    UNTIL(w, s->client->close_got == HF_CLOSE_RESTART && s->backend->ended, HF_SECONDS(5));
    assert_int_equal(s->backend->close_got, 0);
    assert_int_equal(s->backend->end, HF_END_RST);
    finish(w);
}

static void no_frame_is_parted_in_its_head_where_the_queue_is_full(void **state)
{
    for (uint32_t size = 1000; size < 1024; size++) {
        struct world *w = begin(HOLD "hold: {bytes: 1KiB}\n", 1);
        struct session *s = come(w, NULL);
        lose_backend(w, s);
        peer_send(s->client, HF_OP_BINARY, size, 1);
        peer_send(s->client, HF_OP_BINARY, 300, 1);
        run(w, HF_MS(100));
        get_backend_again(w, s);
        UNTIL(w, s->backend->got == 2, HF_SECONDS(1));
        finish(w);
    }
}

static void what_held_clients_wait_with_is_bounded_for_all_of_them_together(void **state)
{
    struct world *w = begin(HOLD "session: {memory: 1MiB}\n", 1);
    struct session *s[4];
    for (int i = 0; i < 4; i++) {
        s[i] = come(w, NULL);
    }
    lose_backend(w, s[3]);
    for (int k = 0; k < 4 * 60; k++) {
        peer_send(s[k % 4]->client, HF_OP_BINARY, 10000, 1);
    }
    run(w, HF_SECONDS(2));
    assert_int_equal(w->gateway->session_bytes, 1 << 20);
    get_backend_again(w, s[3]);
    for (int i = 0; i < 4; i++) {
        UNTIL(w, s[i]->backend->got == 60, HF_SECONDS(5));
    }
    assert_int_equal(w->gateway->session_bytes, 0);
    finish(w);
}

static void a_goodbye_while_the_rest_of_a_message_is_swallowed_brings_none_of_it(void **state)
{
    struct world *w = begin(HOLD, 1);
    narrow_client(w, 200000);
    struct session *s = come(w, NULL);
    peer_send(s->client, HF_OP_BINARY, 100000, 1);
    run(w, HF_MS(100));
    lose_backend(w, s);
    get_backend_again(w, s);
    world_drain(w, 0);
    UNTIL(w, s->backend->close_got == HF_CLOSE_GOING_AWAY && s->client->ended, HF_SECONDS(3));
    finish(w);
}

/* ---- operation ------------------------------------------------------------------------------- */

static void a_drain_says_goodbye_to_everybody_within_its_spread(void **state)
{
    struct world *w = begin(DOOR, 1);
    struct session *s[8];
    for (int i = 0; i < 8; i++) {
        s[i] = come(w, NULL);
    }
    world_drain(w, HF_SECONDS(4));
    run(w, HF_MS(2000));
    int gone = 0;
    for (int i = 0; i < 8; i++) {
        gone += s[i]->client->close_got != 0;
    }
    assert_true(gone > 0 && gone < 8); /* spread */
    UNTIL(w, hf_gateway_is_idle(w->gateway), HF_MS(4100));
    for (int i = 0; i < 8; i++) {
        assert_int_equal(s[i]->client->close_got, HF_CLOSE_RESTART);
        assert_int_equal(s[i]->backend->close_got, HF_CLOSE_GOING_AWAY);
    }
    struct session_options options = {0};
    struct session *late = session_open(w, &options);
    UNTIL(w, late->client->ended, HF_SECONDS(1));
    assert_int_equal(late->client->end, HF_END_REFUSED);
    finish(w);
}

static void a_reload_drops_nobody_and_the_next_client_gets_the_new_rules(void **state)
{
    struct world *w = begin(DOOR "heartbeat: {interval: 1s, timeout: 1s}\n", 1);
    struct session *s = come(w, NULL);
    peer_stream(s->client, 100, false);
    world_reload(w, DOOR "message_max: 1KiB\n");
    run(w, HF_SECONDS(10));
    peer_stream(s->client, 5000, true);
    UNTIL(w, s->backend->got == 1, HF_SECONDS(1));
    struct session *next = come(w, NULL);
    next->may |= (uint64_t)1 << HF_CAUSE_MESSAGE_TOO_BIG;
    peer_violate(next->client, 1025);
    UNTIL(w, next->client->close_got == HF_CLOSE_TOO_BIG, HF_SECONDS(1));
    assert_non_null(world_relay(w, s));
    finish(w);
}

static void
without_descriptors_clients_wait_or_get_503_and_come_in_when_there_are_some(void **state)
{
    struct world *w = begin(DOOR QUIET, 1);
    struct session_options options = {0};
    struct session *first = come(w, NULL);
    sim_descriptors(w->sim, sim_count(w->sim).streams + sim_count(w->sim).listeners + 2);
    struct session *second = session_open(
        w, &options); /* its two sides take the last ones: none is left for a backend */
    second->may |= (uint64_t)1 << HF_CAUSE_OUT_OF_RESOURCES;
    UNTIL(w, second->status != 0, HF_SECONDS(2));
    assert_int_equal(second->status, 503);
    sim_descriptors(w->sim, 0);
    (void)come(w, NULL);
    assert_non_null(world_relay(w, first));
    finish(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_close_of_the_client_waits_for_the_end_of_the_frame_it_is_being_sent),
        cmocka_unit_test(when_both_close_at_once_each_is_answered_and_one_ending_is_recorded),
        cmocka_unit_test(a_close_without_a_code_is_carried_as_an_empty_one),
        cmocka_unit_test(a_peer_that_never_answers_a_close_is_waited_for_2_seconds),
        cmocka_unit_test(a_slow_client_still_gets_what_was_sent_to_it_before_a_close),
        cmocka_unit_test(a_backend_that_dies_loses_nothing_that_it_has_sent_whole_to_a_slow_client),
        cmocka_unit_test(a_frame_that_can_never_be_whole_ends_with_the_stream_and_no_close),
        cmocka_unit_test(a_client_that_is_reset_is_told_to_the_backend_as_1001),
        cmocka_unit_test(a_ping_while_a_long_frame_is_open_is_answered_behind_the_frame),
        cmocka_unit_test(pings_of_a_client_that_reads_nothing_hold_it_back_and_lose_nothing),
        cmocka_unit_test(an_application_heartbeat_is_answered_between_two_messages_of_the_backend),
        cmocka_unit_test(a_client_that_takes_nothing_is_ended_after_send_timeout),
        cmocka_unit_test(a_slow_client_that_takes_a_little_now_and_then_is_not_stuck),
        cmocka_unit_test(a_dark_client_is_given_up_in_time_and_a_silent_live_one_never),
        cmocka_unit_test(an_outage_that_is_shorter_than_the_heartbeat_loses_nothing),
        cmocka_unit_test(a_machine_that_slept_ends_nobody_who_lives),
        cmocka_unit_test(a_client_that_stops_within_a_frames_head_and_answers_nothing_is_given_up),
        cmocka_unit_test(
            a_pong_that_crosses_the_gateways_close_does_not_cost_the_client_what_is_in_front_of_it),
        cmocka_unit_test(an_expired_token_is_told_with_4401),
        cmocka_unit_test(a_wall_clock_that_jumps_over_a_tokens_end_is_noticed_within_a_minute),
        cmocka_unit_test(a_delaying_limit_holds_messages_and_releases_them_in_time),
        cmocka_unit_test(a_limit_never_counts_what_the_backend_streams_nor_fragments),
        cmocka_unit_test(a_message_too_many_is_told_with_1008_when_the_limit_closes),
        cmocka_unit_test(a_connection_beyond_the_limit_of_an_address_is_refused_with_429),
        cmocka_unit_test(a_refusal_of_the_backend_reaches_the_client_as_it_is),
        cmocka_unit_test(a_backend_that_is_down_costs_no_client_its_connection),
        cmocka_unit_test(a_backend_that_never_answers_is_given_up_with_504),
        cmocka_unit_test(
            a_backend_with_a_name_is_looked_up_for_each_connect_and_follows_its_address),
        cmocka_unit_test(a_held_client_sees_no_close_and_what_it_sent_meanwhile_arrives_in_order),
        cmocka_unit_test(a_redial_starts_within_100_ms),
        cmocka_unit_test(a_close_of_a_backend_that_restarts_is_no_close_for_its_client),
        cmocka_unit_test(any_other_close_of_a_backend_is_its_clients_too),
        cmocka_unit_test(of_a_message_that_a_lost_backend_had_in_part_the_rest_is_swallowed),
        cmocka_unit_test(a_client_in_the_middle_of_a_backends_message_cannot_be_held),
        cmocka_unit_test(a_backend_that_comes_back_and_refuses_the_client_ends_it),
        cmocka_unit_test(a_hold_ends_when_its_time_is_over),
        cmocka_unit_test(a_backend_that_is_lost_again_and_again_uses_up_the_time_of_the_hold),
        cmocka_unit_test(beyond_the_bytes_of_a_hold_the_client_is_not_read_and_loses_nothing),
        cmocka_unit_test(a_held_client_that_goes_dark_is_given_up),
        cmocka_unit_test(a_client_that_closes_while_it_is_held_gets_its_answer_at_once),
        cmocka_unit_test(a_drain_says_goodbye_to_a_held_client_too),
        cmocka_unit_test(a_prologue_is_sent_first_and_its_answers_are_for_nobody),
        cmocka_unit_test(answers_to_a_prologue_are_not_waited_for_for_ever),
        cmocka_unit_test(a_message_of_the_prologue_that_waits_is_sent_once),
        cmocka_unit_test(a_close_behind_a_prologue_goes_behind_what_waits),
        cmocka_unit_test(a_backlog_whose_backend_is_lost_too_goes_on_at_the_next_whole_message),
        cmocka_unit_test(a_close_behind_a_backlog_waits_until_it_has_gone),
        cmocka_unit_test(a_goodbye_within_a_backlog_never_stands_within_a_frame),
        cmocka_unit_test(no_frame_is_parted_in_its_head_where_the_queue_is_full),
        cmocka_unit_test(what_held_clients_wait_with_is_bounded_for_all_of_them_together),
        cmocka_unit_test(a_goodbye_while_the_rest_of_a_message_is_swallowed_brings_none_of_it),
        cmocka_unit_test(a_drain_says_goodbye_to_everybody_within_its_spread),
        cmocka_unit_test(a_reload_drops_nobody_and_the_next_client_gets_the_new_rules),
        cmocka_unit_test(
            without_descriptors_clients_wait_or_get_503_and_come_in_when_there_are_some),
    };
    return cmocka_run_group_tests_name("sim scenarios", tests, NULL, NULL);
}
