/* SPDX-License-Identifier: Apache-2.0 */
/* Probes against a server that does what the test says, on the real loop. */
#include "peer.h"
#include "probe/probe.h"

#include <errno.h>
#include <time.h>

struct world {
    struct hf_loop *loop;
    struct peer peer;
    struct hf_target target;
    struct hf_probe_how how;
    struct hf_probe *probe;
    bool ended, stop_in_phase;
    unsigned opens, messages, pings, pongs, stalls, phases, ends;
    uint16_t head_status;
    char body[256];
    struct hf_trial trial; /* as it ended */
};

static void on_event(void *owner, struct hf_probe *probe, const struct hf_probe_event *e)
{
    struct world *w = owner;
    assert_false(w->ended);
    switch (e->kind) {
    case HF_PROBE_PHASE:
        w->phases++;
        assert_true(e->took >= 0);
        if (w->stop_in_phase) {
            hf_probe_stop(probe);
        }
        break;
    case HF_PROBE_OPEN:
        w->opens++;
        assert_int_equal(e->head->status, 101);
        break;
    case HF_PROBE_MESSAGE:
        w->messages++;
        break;
    case HF_PROBE_PING:
        w->pings++;
        break;
    case HF_PROBE_PONG:
        w->pongs++;
        break;
    case HF_PROBE_STALLED:
        w->stalls++;
        break;
    case HF_PROBE_END:
        w->ended = true;
        w->ends++;
        w->head_status = e->head == NULL ? 0 : e->head->status;
        (void)snprintf(w->body, sizeof(w->body), "%.*s", HF_SLICE_ARG(e->data));
        w->trial = *hf_probe_trial(probe);
        break;
    }
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct hf_buffer why;
    char url[64];
    w->loop = hf_epoll_new();
    const uint16_t port = peer_listen(&w->peer, w->loop);
    (void)snprintf(url, sizeof(url), "127.0.0.1:%u/chat", port);
    hf_target_init(&w->target);
    hf_buffer_init(&why, &hf_heap, 1024);
    assert_true(hf_target_ready(&w->target, url, &why));
    w->how = (struct hf_probe_how){.target = &w->target, .arm = "test", .hold = HF_SECONDS(60)};
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    hf_probe_free(w->probe);
    peer_close(&w->peer);
    hf_loop_free(w->loop);
    hf_target_fini(&w->target);
    free(w);
    return 0;
}

static void start(struct world *w)
{
    w->probe = hf_probe_start(w->loop, &w->how, on_event, w);
    assert_non_null(w->probe);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        const double end = now_s() + 20;                                                           \
        while (!(condition)) {                                                                     \
            assert_true(now_s() < end);                                                            \
            (void)hf_epoll_turn(w->loop, HF_MS(20));                                               \
        }                                                                                          \
    } while (0)

static void open_it(struct world *w)
{
    start(w);
    AWAIT(w->opens == 1 && w->peer.open);
}

static void sentence_is(struct world *w, const char *part)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 4096);
    hf_trial_sentence(&w->trial, &out);
    hf_buffer_add_byte(&out, 0);
    if (strstr((const char *)out.data, part) == NULL) {
        print_error("\"%s\" is not in \"%s\"\n", part, (const char *)out.data);
        fail();
    }
    hf_buffer_reset(&out);
}

/* ---- opening ------------------------------------------------------------------------------------
 */

static void it_opens_in_phases_and_asks_for_what_the_target_says(void **state)
{
    struct world *w = *state;
    const char *why;
    assert_true(hf_target_take(&w->target, 'H', "X-One: 1", &why) && why == NULL);
    assert_true(hf_target_take(&w->target, 'H', "Host: other.test", &why) && why == NULL);
    assert_true(hf_target_take(&w->target, 'o', "https://page.test", &why) && why == NULL);
    assert_true(hf_target_take(&w->target, 'u', "me:pw", &why) && why == NULL);
    open_it(w);
    w->peer.request[w->peer.request_len - 1] = '\0';
    assert_non_null(strstr(w->peer.request, "GET /chat HTTP/1.1\r\n"));
    assert_non_null(strstr(w->peer.request, "\r\nX-One: 1\r\n"));
    assert_non_null(strstr(w->peer.request, "\r\nHost: other.test\r\n"));
    assert_null(strstr(w->peer.request, "Host: 127"));
    assert_non_null(strstr(w->peer.request, "\r\nOrigin: https://page.test\r\n"));
    assert_non_null(strstr(w->peer.request, "\r\nAuthorization: Basic bWU6cHc=\r\n"));
    assert_int_equal(w->phases, 3); /* dns, tcp, upgrade */
    assert_true(hf_probe_phase(w->probe, HF_PHASE_TCP) >= 0);
    assert_int_equal(hf_probe_phase(w->probe, HF_PHASE_TLS), -1);
    assert_int_equal(hf_probe_phase(w->probe, HF_PHASE_OPEN), -1);
    peer_say(&w->peer, "first");
    AWAIT(w->messages == 1);
    assert_true(hf_probe_phase(w->probe, HF_PHASE_OPEN) >= 0);
}

static void a_refusal_keeps_status_headers_and_the_beginning_of_a_chunked_body(void **state)
{
    struct world *w = *state;
    w->peer.answer = "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\nServer: x\r\n\r\n"
                     "4\r\nno, \r\n7\r\nneither\r\n0\r\n\r\n";
    w->peer.hangs_up = true;
    start(w);
    AWAIT(w->ended);
    assert_int_equal(w->trial.end.how, HF_HOW_STATUS);
    assert_int_equal(w->trial.end.phase, HF_PHASE_UPGRADE);
    assert_int_equal(w->trial.end.http, 403);
    assert_int_equal(w->head_status, 403);
    assert_string_equal(w->body, "no, neither");
    assert_int_equal(w->trial.opened, 0);
    sentence_is(w, "answered with 403 Forbidden");
}

static void a_body_that_does_not_come_is_not_waited_for_long(void **state)
{
    struct world *w = *state;
    w->peer.answer = "HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nbegin";
    start(w);
    AWAIT(w->ended);
    assert_int_equal(w->trial.end.http, 500);
    assert_string_equal(w->body, "begin");
}

static void a_101_with_a_wrong_accept_is_a_status_and_no_open(void **state)
{
    struct world *w = *state;
    w->peer.answer =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n";
    start(w);
    AWAIT(w->ended);
    assert_int_equal(w->opens, 0);
    assert_int_equal(w->trial.end.how, HF_HOW_STATUS);
    assert_int_equal(w->trial.end.http, 101);
}

static void an_answer_that_never_comes_is_slow(void **state)
{
    struct world *w = *state;
    w->peer.answer = "";
    w->target.connect_timeout = HF_MS(150);
    start(w);
    AWAIT(w->ended);
    assert_int_equal(w->trial.end.how, HF_HOW_SLOW);
    assert_int_equal(w->trial.end.phase, HF_PHASE_UPGRADE);
}

static void nobody_who_listens_is_refused(void **state)
{
    struct world *w = *state;
    hf_listener_close(w->loop, w->peer.listener);
    w->peer.listener = NULL;
    start(w);
    AWAIT(w->ended);
    assert_int_equal(w->trial.end.how, HF_HOW_REFUSED);
    assert_int_equal(w->trial.end.phase, HF_PHASE_TCP);
}

static void it_may_be_stopped_inside_of_its_opening(void **state)
{
    struct world *w = *state;
    w->stop_in_phase = true;
    start(w);
    AWAIT(w->ended);
    assert_int_equal(w->trial.end.how, HF_HOW_ENDED_BY_US);
    assert_int_equal(w->opens, 0);
    assert_false(hf_trial_is_dead(&w->trial));
}

/* ---- ends ---------------------------------------------------------------------------------------
 */

static void a_close_is_answered_and_told_with_code_and_reason(void **state)
{
    struct world *w = *state;
    open_it(w);
    assert_int_equal(hf_endpoint_close(w->peer.endpoint, 4001, HF_LITERAL("bye")), HF_OK);
    peer_flush(&w->peer);
    AWAIT(w->ended && w->peer.ended);
    assert_int_equal(w->trial.end.how, HF_HOW_CLOSE);
    assert_int_equal(w->trial.end.code, 4001);
    assert_string_equal(w->trial.end.reason, "bye");
    assert_int_equal(w->peer.code, 4001);
    assert_int_equal(w->peer.end, HF_END_FIN);
    sentence_is(w, "closed by the server");
}

static void fin_and_reset_are_told_apart(void **state)
{
    struct world *w = *state;
    open_it(w);
    hf_stream_shut(w->peer.stream);
    AWAIT(w->ended);
    assert_int_equal(w->trial.end.how, HF_HOW_FIN);
    assert_int_equal(w->trial.end.code, 1006);
    hf_probe_free(w->probe);
    hf_stream_close(w->peer.stream);
    hf_endpoint_free(w->peer.endpoint);
    w->peer.endpoint = NULL;
    w->peer.stream = NULL;
    w->peer.open = false;
    w->peer.request_len = 0;
    w->ended = false;
    w->opens = 0;
    open_it(w);
    hf_stream_abort(w->peer.stream);
    w->peer.stream = NULL;
    AWAIT(w->ended);
    assert_int_equal(w->trial.end.how, HF_HOW_RST);
    assert_int_equal(w->trial.end.error, ECONNRESET);
    assert_int_equal(w->trial.end.unsure, 0);
}

static void a_broken_rule_is_a_fault_with_the_code_that_was_answered(void **state)
{
    struct world *w = *state;
    open_it(w);
    (void)hf_stream_send(w->peer.stream, HF_LITERAL("\x83\x00"));
    AWAIT(w->ended);
    assert_int_equal(w->trial.end.how, HF_HOW_FAULT);
    assert_int_equal(w->trial.end.code, 1002);
    AWAIT(w->peer.code == 1002);
}

static void a_hold_that_is_over_closes_with_1000(void **state)
{
    struct world *w = *state;
    w->how.hold = HF_MS(100);
    open_it(w);
    AWAIT(w->peer.code == 1000);
    hf_stream_shut(w->peer.stream);
    AWAIT(w->ended);
    assert_int_equal(w->trial.end.how, HF_HOW_ENDED_BY_US);
    assert_true(w->trial.end.age >= HF_MS(100) && w->trial.end.age < HF_SECONDS(15));
    assert_false(hf_trial_is_dead(&w->trial));
}

static void one_that_is_abandoned_is_alive_in_its_trial(void **state)
{
    struct world *w = *state;
    open_it(w);
    hf_probe_abandon(w->probe);
    AWAIT(w->ended && w->peer.ended);
    assert_int_equal(w->trial.end.how, HF_HOW_ALIVE);
    assert_int_equal(w->peer.end, HF_END_RST);
    assert_int_equal(w->peer.code, 0);
}

/* ---- silence ------------------------------------------------------------------------------------
 */

static void pings_that_nobody_answers_are_a_stall_and_then_silence(void **state)
{
    struct world *w = *state;
    w->how.plan.ping_every = HF_MS(50);
    w->how.answer_timeout = HF_MS(400);
    open_it(w);
    AWAIT(w->pongs >= 1);
    w->peer.deaf = true;
    AWAIT(w->ended);
    assert_int_equal(w->trial.end.how, HF_HOW_SILENCE);
    assert_int_equal(w->stalls, 1);
    assert_true(w->trial.end.unsure >= HF_MS(400));
    sentence_is(w, "no answer to a ping");
    sentence_is(w, "TCP acknowledged all");
    assert_true(w->trial.end.unsure <= w->trial.end.age);
    assert_int_equal(w->trial.count[HF_MOMENT_PONG_GOT], w->pongs);
}

static void other_bytes_than_a_pong_are_signs_of_life_too(void **state)
{
    struct world *w = *state;
    w->how.plan.ping_every = HF_MS(50);
    w->how.answer_timeout = HF_MS(2000);
    w->peer.deaf = true;
    open_it(w);
    const double end = now_s() + 3;
    while (now_s() < end && !w->ended) {
        (void)hf_epoll_turn(w->loop, HF_MS(50));
        peer_say(&w->peer, "tick");
    }
    assert_false(w->ended);
    assert_int_equal(w->trial.count[HF_MOMENT_PONG_GOT], 0);
}

static void a_silent_hold_is_checked_before_it_counts(void **state)
{
    struct world *w = *state;
    w->how.hold = HF_MS(1200);
    w->how.check_at_end = true;
    w->how.answer_timeout = HF_MS(300);
    w->peer.deaf = true;
    open_it(w);
    AWAIT(w->ended);
    assert_int_equal(w->peer.pings, 1);
    assert_int_equal(w->trial.end.how, HF_HOW_SILENCE);
}

static void a_silent_hold_that_answers_its_check_is_held(void **state)
{
    struct world *w = *state;
    w->how.hold = HF_MS(1200);
    w->how.check_at_end = true;
    open_it(w);
    AWAIT(w->peer.code == 1000);
    hf_stream_shut(w->peer.stream);
    AWAIT(w->ended);
    assert_int_equal(w->peer.pings, 1);
    assert_int_equal(w->trial.end.how, HF_HOW_ENDED_BY_US);
}

static void a_reader_who_stopped_sees_the_end_all_the_same(void **state)
{
    struct world *w = *state;
    w->how.plan.stops_reading = true;
    open_it(w);
    peer_say(&w->peer, "not read");
    for (int i = 0; i < 5; i++) {
        (void)hf_epoll_turn(w->loop, HF_MS(20));
    }
    assert_int_equal(w->messages, 0);
    assert_int_equal(hf_endpoint_close(w->peer.endpoint, 1001, HF_LITERAL("away")), HF_OK);
    peer_flush(&w->peer);
    hf_stream_shut(w->peer.stream);
    AWAIT(w->ended);
    assert_int_equal(w->trial.end.how, HF_HOW_CLOSE);
    assert_int_equal(w->trial.end.code, 1001);
    assert_int_equal(w->messages, 1);
}

/* ---- what it says -------------------------------------------------------------------------------
 */

static void messages_beats_and_pings_go_out_in_their_intervals_and_no_others(void **state)
{
    struct world *w = *state;
    static const char *const say[] = {"one", "two", NULL};
    w->how.say = say;
    w->how.plan.message_every = HF_MS(40);
    w->how.plan.beat_every = HF_MS(40);
    w->how.plan.message_size = 32;
    open_it(w);
    AWAIT(w->peer.messages >= 4 && w->peer.pongs >= 2);
    assert_string_equal(w->peer.message, "{\"type\":\"ping\"}                 ");
    assert_string_equal(w->peer.pong, "beat");
    assert_int_equal(w->peer.pings, 0);
    const struct hf_trial *t = hf_probe_trial(w->probe);
    assert_int_equal(t->count[HF_MOMENT_PING_SENT], 0);
    assert_true(t->count[HF_MOMENT_SENT] >= 4);
    assert_int_equal(t->bytes_sent, 6 + 32 * (t->count[HF_MOMENT_SENT] - 2));
    assert_int_equal(t->moment_count, t->count[HF_MOMENT_SENT] + t->count[HF_MOMENT_BEAT_SENT]);
}

static void the_servers_pings_are_answered_as_the_policy_says(void **state)
{
    struct world *w = *state;
    struct hf_trial_plan plan = {.pong = HF_PONG_ANSWER};
    open_it(w);
    peer_ping(&w->peer, "abc");
    AWAIT(w->peer.pongs == 1);
    assert_string_equal(w->peer.pong, "abc");
    plan.pong = HF_PONG_EMPTY;
    hf_probe_set_plan(w->probe, &plan);
    peer_ping(&w->peer, "def");
    AWAIT(w->peer.pongs == 2);
    assert_string_equal(w->peer.pong, "");
    plan.pong = HF_PONG_IGNORE;
    hf_probe_set_plan(w->probe, &plan);
    peer_ping(&w->peer, "ghi");
    AWAIT(w->pings == 3);
    assert_true(hf_probe_ping(w->probe)); /* what comes behind it shows that no pong came */
    AWAIT(w->pongs == 1);
    assert_int_equal(w->peer.pongs, 2);
    assert_int_equal(hf_probe_trial(w->probe)->count[HF_MOMENT_PONG_SENT], 2);
}

static void a_late_pong_comes_late_and_with_its_payload(void **state)
{
    struct world *w = *state;
    w->how.plan.pong = HF_PONG_LATE;
    w->how.pong_delay = HF_MS(200);
    open_it(w);
    const double sent = now_s();
    peer_ping(&w->peer, "abc");
    AWAIT(w->pings == 1);
    assert_int_equal(w->peer.pongs, 0);
    AWAIT(w->peer.pongs == 1);
    assert_true(now_s() - sent > 0.19);
    assert_string_equal(w->peer.pong, "abc");
}

static void a_pong_with_another_payload_is_odd(void **state)
{
    struct world *w = *state;
    w->peer.deaf = true;
    open_it(w);
    assert_true(hf_probe_ping(w->probe));
    AWAIT(w->peer.pings == 1);
    assert_int_equal(hf_endpoint_pong(w->peer.endpoint, HF_LITERAL("")), HF_OK);
    peer_flush(&w->peer);
    AWAIT(hf_probe_trial(w->probe)->count[HF_MOMENT_PONG_ODD] == 1);
    assert_int_equal(w->pongs, 0);
}

static void pings_that_are_answered_late_and_all_at_once_have_their_true_round_trips(void **state)
{
    struct world *w = *state;
    w->peer.deaf = true;
    open_it(w);
    const double begun = now_s();
    for (unsigned i = 1; i <= 40; i++) {
        assert_true(hf_probe_ping(w->probe));
        AWAIT(w->peer.pings == i);
        while (now_s() - begun < 0.01 * i) {
            (void)hf_epoll_turn(w->loop, HF_MS(2));
        }
    }
    const struct hf_moment *m = hf_probe_trial(w->probe)->moments;
    char payload[64];
    for (unsigned i = 0; i < 40; i++) {
        const int len =
            snprintf(payload, sizeof(payload), "holdfast %u %lld", i + 1, (long long)m[i].at);
        assert_int_equal(hf_endpoint_pong(w->peer.endpoint, hf_slice(payload, (size_t)len)), HF_OK);
    }
    peer_flush(&w->peer);
    AWAIT(w->pongs == 40);
    const struct hf_trial *t = hf_probe_trial(w->probe);
    assert_int_equal(t->count[HF_MOMENT_PONG_ODD], 0);
    assert_true(t->moments[40].size > 390000 && t->moments[40].size > t->moments[79].size + 350000);
    /* The same one again answers nothing. */
    assert_int_equal(hf_endpoint_pong(w->peer.endpoint, hf_slice_of(payload)), HF_OK);
    peer_flush(&w->peer);
    AWAIT(hf_probe_trial(w->probe)->count[HF_MOMENT_PONG_ODD] == 1);
}

static void moments_beyond_the_list_are_counted_and_the_first_ones_stay(void **state)
{
    struct world *w = *state;
    open_it(w);
    const hf_time first = hf_loop_now(w->loop);
    for (unsigned sent = 0; sent < HF_PROBE_MOMENTS + 2000;) {
        sent += hf_probe_send(w->probe, HF_OP_BINARY, HF_LITERAL("x"));
        if (sent % 64 == 0) {
            (void)hf_epoll_turn(w->loop, HF_MS(1));
        }
    }
    const struct hf_trial *t = hf_probe_trial(w->probe);
    assert_int_equal(t->count[HF_MOMENT_SENT], HF_PROBE_MOMENTS + 2000);
    assert_in_range(t->moment_count, HF_PROBE_MOMENTS / 4 * 3, HF_PROBE_MOMENTS);
    assert_true(t->moments[0].at <= first);
    for (size_t i = 1; i < t->moment_count; i++) {
        assert_true(t->moments[i - 1].at <= t->moments[i].at);
    }
    AWAIT(w->peer.messages == HF_PROBE_MOMENTS + 2000);
}

static void a_message_in_fragments_arrives_whole(void **state)
{
    struct world *w = *state;
    open_it(w);
    assert_true(hf_probe_send_fragments(w->probe, HF_OP_TEXT, HF_LITERAL("hello there"), 4));
    AWAIT(w->peer.messages == 1);
    assert_string_equal(w->peer.message, "hello there");
    assert_int_equal(hf_probe_trial(w->probe)->count[HF_MOMENT_SENT], 1);
}

static void the_record_has_every_key_of_the_vocabulary(void **state)
{
    struct world *w = *state;
    struct hf_buffer out;
    open_it(w);
    hf_stream_shut(w->peer.stream);
    AWAIT(w->ended);
    hf_buffer_init(&out, &hf_heap, 4096);
    hf_trial_json(&w->trial, &out);
    hf_buffer_add_byte(&out, 0);
    static const char *const keys[] = {
        "cause",     "who",        "how",         "phase",         "code",         "reason",
        "http",      "errno",      "held_ms",     "silent_rx_ms",  "silent_tx_ms", "unsure_ms",
        "rtt_ms",    "unacked",    "retransmits", "messages_sent", "messages_got", "bytes_sent",
        "bytes_got", "pings_sent", "pongs_got",   "pings_got",     "pongs_sent",
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char quoted[32];
        (void)snprintf(quoted, sizeof(quoted), "\"%s\":", keys[i]);
        assert_non_null(strstr((const char *)out.data, quoted));
    }
    assert_non_null(strstr((const char *)out.data, "\"how\":\"fin\""));
    hf_buffer_reset(&out);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(it_opens_in_phases_and_asks_for_what_the_target_says),
        ROW(a_refusal_keeps_status_headers_and_the_beginning_of_a_chunked_body),
        ROW(a_body_that_does_not_come_is_not_waited_for_long),
        ROW(a_101_with_a_wrong_accept_is_a_status_and_no_open),
        ROW(an_answer_that_never_comes_is_slow),
        ROW(nobody_who_listens_is_refused),
        ROW(it_may_be_stopped_inside_of_its_opening),
        ROW(a_close_is_answered_and_told_with_code_and_reason),
        ROW(fin_and_reset_are_told_apart),
        ROW(a_broken_rule_is_a_fault_with_the_code_that_was_answered),
        ROW(a_hold_that_is_over_closes_with_1000),
        ROW(one_that_is_abandoned_is_alive_in_its_trial),
        ROW(pings_that_nobody_answers_are_a_stall_and_then_silence),
        ROW(other_bytes_than_a_pong_are_signs_of_life_too),
        ROW(a_silent_hold_is_checked_before_it_counts),
        ROW(a_silent_hold_that_answers_its_check_is_held),
        ROW(a_reader_who_stopped_sees_the_end_all_the_same),
        ROW(messages_beats_and_pings_go_out_in_their_intervals_and_no_others),
        ROW(the_servers_pings_are_answered_as_the_policy_says),
        ROW(a_late_pong_comes_late_and_with_its_payload),
        ROW(a_pong_with_another_payload_is_odd),
        ROW(pings_that_are_answered_late_and_all_at_once_have_their_true_round_trips),
        ROW(moments_beyond_the_list_are_counted_and_the_first_ones_stay),
        ROW(a_message_in_fragments_arrives_whole),
        ROW(the_record_has_every_key_of_the_vocabulary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
