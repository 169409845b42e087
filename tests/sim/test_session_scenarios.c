/* SPDX-License-Identifier: Apache-2.0 */
/* Stories of sessions, told by the scene and compared with what should be told: each of what
 * docs/protocol.md promises that a seed meets by chance is met here on purpose. */
#include "scene_core.h"

#include "../support/test_unit.h"

#define BASE                                                                                       \
    "listen: 10.0.0.1:80\nupstream: http://10.1.0.1:9000\nmessage_max: 256KiB\n"                   \
    "connect_timeout: 2s\nupstream_timeout: 4s\n"
#define PLAIN BASE "session: {window: 20s, buffer: 64KiB}\n"
#define TOKENS "auth: jwt\njwt: {keys: [{alg: HS256, env: " SCENE_SECRET "}], leeway: 0}\n"

/* ---- telling --------------------------------------------------------------------------------- */

static struct scene *begin(const char *yaml)
{
    struct scene_options options = {.seed = 1, .yaml = yaml, .trace = true};
    struct scene *s = scene_new(&options);
    assert_non_null(s);
    return s;
}

static void show(const struct scene *s)
{
    fprintf(stderr, "%.*s", HF_SLICE_ARG(hf_buffer_slice(&s->trace)));
}

static void finish(struct scene *s)
{
    if (!scene_finish(s)) {
        show(s);
        fail_msg("%s", s->broken);
    }
    scene_free(s);
}

static void run(struct scene *s, hf_time duration)
{
    if (!scene_run(s, duration)) {
        show(s);
        fail_msg("%s", s->broken);
    }
}

#define UNTIL(s, condition, patience)                                                              \
    do {                                                                                           \
        hf_time until_end = sim_now((s)->sim) + (patience);                                        \
        while (!(condition)) {                                                                     \
            if (sim_now((s)->sim) >= until_end) {                                                  \
                show(s);                                                                           \
                fail_msg("never: %s", #condition);                                                 \
            }                                                                                      \
            run(s, HF_MS(1));                                                                      \
        }                                                                                          \
    } while (0)

/* Each line stands in the story, in this order; other lines may stand between. NULL at the end. */
static void expect_story(const struct scene *s, ...)
{
    struct hf_slice rest = hf_buffer_slice(&s->trace);
    va_list args;
    const char *wanted;
    va_start(args, s);
    while ((wanted = va_arg(args, const char *)) != NULL) {
        struct hf_slice line;
        bool found = false;
        while (!found && hf_slice_next(&rest, '\n', &line)) {
            found = hf_slice_eq(hf_slice_first(line, strlen(wanted)), hf_slice_of(wanted));
        }
        if (!found) {
            show(s);
            fail_msg("the story does not say, here or at all: %s", wanted);
        }
    }
    va_end(args);
}

static void expect_untold(const struct scene *s, const char *unwanted)
{
    struct hf_slice rest = hf_buffer_slice(&s->trace);
    struct hf_slice line;
    while (hf_slice_next(&rest, '\n', &line)) {
        if (hf_slice_eq(hf_slice_first(line, strlen(unwanted)), hf_slice_of(unwanted))) {
            show(s);
            fail_msg("the story says: %s", unwanted);
        }
    }
}

/* A line of 20 ms, of so many bytes a second (0: endless). */
static struct sim_path far_path(uint64_t bytes_a_second)
{
    struct sim_path p = sim_calm_path;
    p.latency = HF_MS(20);
    p.bandwidth = bytes_a_second;
    if (bytes_a_second > 0) {
        p.send_buffer = p.receive_buffer = 16384;
        p.segment_min = p.segment_max = 1460;
    }
    return p;
}

static struct app *come_with(struct scene *s, const struct app_options *options)
{
    struct app *a = app_new(s, options);
    UNTIL(s, app_is_open(a) && gate_has_heard(s, a), HF_SECONDS(5));
    return a;
}

static struct app *come(struct scene *s)
{
    struct sim_path path = far_path(0);
    struct app_options options = {.path = &path, .backoff_base_ms = 200, .backoff_cap_ms = 1000};
    return come_with(s, &options);
}

#define SETTLES(s, a) UNTIL(s, app_is_settled(a), HF_SECONDS(60))

static void say_both_ways(struct app *a, unsigned count, uint32_t size)
{
    for (unsigned i = 0; i < count; i++) {
        assert_true(app_send(a, HF_OP_TEXT, size));
        served_send(app_served(a), i % 2 == 0 ? HF_OP_TEXT : HF_OP_BINARY, size, 1);
    }
}

static struct raw *offer(struct scene *s, struct app *a, const char *token, uint64_t epoch,
                         uint64_t attempt)
{
    char text[200];
    struct raw *r = raw_new(s, "10.9.9.2", NULL);
    (void)snprintf(text, sizeof(text), "hf1, hf1.r.%s.%llu.0.%llu", token,
                   (unsigned long long)epoch, (unsigned long long)attempt);
    raw_offer(r, a, text);
    run(s, HF_MS(200));
    return r;
}

/* ---- openings -------------------------------------------------------------------------------- */

static void openings_that_lose_their_hello_twice_make_one_backend_connection(void **state)
{
    struct scene *s = begin(PLAIN);
    struct sim_path path = far_path(0);
    struct app_options options = {.path = &path, .backoff_base_ms = 50};
    struct app *a = app_new(s, &options);
    UNTIL(s, app_served(a) != NULL, HF_SECONDS(1));
    served_send(app_served(a), HF_OP_TEXT, 40, 1);
    app_cut(a); /* the hello is under way */
    UNTIL(s, a->attempts == 2, HF_SECONDS(2));
    run(s, HF_MS(65));
    app_cut(a); /* the second one too */
    UNTIL(s, app_is_open(a), HF_SECONDS(5));
    SETTLES(s, a);
    expect_story(s, "app 1 makes attempt 1", "backend 1 is open for app 1",
                 "a box on the way resets app 1", "app 1 makes attempt 2",
                 "a box on the way resets app 1", "app 1 makes attempt 3", "app 1 opens session 1",
                 "app 1 gets message 1 of 40 bytes", NULL);
    assert_int_equal(s->served_count, 1);
    finish(s);
}

static void an_opening_that_the_path_delivers_late_does_not_close_the_newer_one(void **state)
{
    struct scene *s = begin(PLAIN);
    struct sim_path path = far_path(0);
    struct app_options options = {.path = &path, .backoff_base_ms = 1, .connect_timeout_ms = 300};
    s->upstream_delay = HF_SECONDS(1); /* nobody gets a hello before */
    struct app *a = app_new(s, &options);
    UNTIL(s, a->attempts == 1, HF_SECONDS(1));
    run(s, HF_MS(50));
    app_roam(a); /* the request is under way */
    UNTIL(s, a->attempts == 3, HF_SECONDS(2));
    run(s, HF_MS(90));
    sim_host_lighten(s->sim, &a->host);
    UNTIL(s, app_is_open(a), HF_SECONDS(5));
    SETTLES(s, a);
    expect_untold(s, "app 1 is closed");
    assert_int_equal(s->served_count, 1);
    finish(s);
}

static void who_was_displaced_by_his_own_late_opening_behind_hello_resumes(void **state)
{
    struct scene *s = begin(PLAIN);
    struct sim_path path = far_path(0);
    struct app_options options = {.path = &path, .backoff_base_ms = 1, .connect_timeout_ms = 300};
    struct app *a = app_new(s, &options);
    UNTIL(s, a->attempts == 1, HF_SECONDS(1));
    run(s, HF_MS(50));
    app_roam(a); /* the request is under way */
    UNTIL(s, a->attempts == 2, HF_SECONDS(2));
    run(s, HF_MS(52));
    sim_host_lighten(s->sim, &a->host); /* it arrives between the second's hello and its ack */
    UNTIL(s, a->resumed == 1, HF_SECONDS(5));
    say_both_ways(a, 2, 40);
    SETTLES(s, a);
    expect_story(s, "app 1 makes attempt 2", "app 1 opens session 1",
                 "app 1 has no connection: connection_reset", "app 1 makes attempt 3",
                 "app 1 resumes session 1", NULL);
    assert_int_equal(s->served_count, 1);
    assert_int_equal(a->lost, 0);
    finish(s);
}

/* ---- resuming -------------------------------------------------------------------------------- */

static void a_drop_in_the_middle_of_hello_is_resumed(void **state)
{
    struct scene *s = begin(PLAIN);
    struct app *a = come(s);
    say_both_ways(a, 3, 100);
    SETTLES(s, a);
    a->path = far_path(4000);
    a->path.segment_min = a->path.segment_max = 40;
    app_cut(a);
    UNTIL(s, a->attempts == 2, HF_SECONDS(1));
    /* Request 80 ms after 60; the answer of some 600 bytes takes 150. */
    run(s, HF_MS(60 + 80 + 20 + 60));
    assert_false(app_is_open(a));
    say_both_ways(a, 3, 100);
    app_cut(a);
    UNTIL(s, a->resumed == 1, HF_SECONDS(5));
    SETTLES(s, a);
    expect_story(s, "app 1 makes attempt 2", "a box on the way resets app 1",
                 "app 1 makes attempt 3", "app 1 resumes session 1",
                 "app 1 gets message 4 of 100 bytes", NULL);
    assert_int_equal(s->served_count, 1);
    finish(s);
}

static void a_drop_in_the_middle_of_the_replay_goes_on_where_it_was(void **state)
{
    struct scene *s = begin(PLAIN);
    struct app *a = come(s);
    app_cut(a);
    UNTIL(s, gate_has(s, a, "parked"), HF_SECONDS(1));
    a->path = far_path(40000);
    for (int i = 0; i < 12; i++) {
        served_send(app_served(a), HF_OP_BINARY, 4000, 1);
    }
    UNTIL(s, app_life(a)->got == 5, HF_SECONDS(5));
    app_cut(a);
    SETTLES(s, a);
    expect_story(s, "app 1 resumes session 1", "app 1 gets message 5 of 4000 bytes",
                 "a box on the way resets app 1", "app 1 resumes session 1",
                 "app 1 gets message 6 of 4000 bytes", "app 1 gets message 12 of 4000 bytes", NULL);
    finish(s);
}

static void two_drops_in_fifty_milliseconds_are_one_absence(void **state)
{
    struct scene *s = begin(PLAIN);
    struct app *a = come(s);
    a->path.latency = HF_MS(2);
    say_both_ways(a, 5, 1000);
    app_cut(a);
    UNTIL(s, !a->connected, HF_MS(10));
    app_hurry(a);
    hf_time first = sim_now(s->sim);
    UNTIL(s, a->resumed == 1, HF_MS(40));
    app_cut(a);
    assert_true(sim_now(s->sim) - first < HF_MS(50));
    UNTIL(s, !a->connected, HF_MS(10));
    app_hurry(a);
    SETTLES(s, a);
    assert_int_equal(a->resumed, 2);
    assert_int_equal(a->lost, 0);
    finish(s);
}

static void a_resume_that_arrives_after_its_successor_is_stale_and_touches_nothing(void **state)
{
    struct scene *s = begin(PLAIN);
    struct sim_path path = far_path(0);
    struct app_options options = {.path = &path, .backoff_base_ms = 1, .connect_timeout_ms = 400};
    struct app *a = come_with(s, &options);
    app_cut(a);
    UNTIL(s, a->attempts == 2, HF_SECONDS(1));
    run(s, HF_MS(50));
    app_roam(a); /* the request of attempt 2 is under way */
    UNTIL(s, a->resumed == 1, HF_SECONDS(2));
    sim_host_lighten(s->sim, &a->host);
    run(s, HF_SECONDS(1));
    say_both_ways(a, 5, 300);
    SETTLES(s, a);
    expect_story(s, "app 1 makes attempt 2", "app 1 is in another network", "app 1 makes attempt 3",
                 "app 1 resumes session 1", "app 1 gets message 5 of 300 bytes", NULL);
    assert_int_equal(gate_ending(s, "session_stale"), 1);
    assert_int_equal(a->resumed, 1);
    finish(s);
}

static void after_a_lost_hello_the_accepted_token_is_still_good(void **state)
{
    struct scene *s = begin(PLAIN);
    struct sim_path path = far_path(0);
    struct app_options options = {.path = &path, .backoff_base_ms = 1, .connect_timeout_ms = 400};
    struct app *a = come_with(s, &options);
    app_cut(a);
    UNTIL(s, gate_has(s, a, "parked"), HF_SECONDS(1));
    UNTIL(s, gate_has(s, a, "attached"), HF_SECONDS(1));
    app_roam(a); /* hello is under way, and lost */
    say_both_ways(a, 3, 200);
    UNTIL(s, a->resumed == 1, HF_SECONDS(2));
    SETTLES(s, a);
    expect_story(s, "app 1 makes attempt 2", "app 1 is in another network",
                 "app 1 has no connection: connect_timeout", "app 1 makes attempt 3",
                 "app 1 resumes session 1", NULL);
    assert_int_equal(a->lost, 0);
    finish(s);
}

static void a_duplicate_takes_the_session_over_and_the_first_does_not_come_back(void **state)
{
    struct scene *s = begin(PLAIN);
    struct app *a = come(s);
    char token[64];
    char offer[200];
    uint64_t epoch, received, attempt;
    served_send(app_served(a), HF_OP_TEXT, 30, 1);
    SETTLES(s, a);
    assert_true(app_token(a, token, &epoch, &received, &attempt));
    a->rivaled = true;
    struct raw *r = raw_new(s, "10.9.9.1", NULL);
    (void)snprintf(offer, sizeof(offer), "hf1, hf1.r.%s.%llu.%llu.%llu", token,
                   (unsigned long long)epoch, (unsigned long long)received,
                   (unsigned long long)attempt + 1);
    r->acks = true;
    r->received = received;
    raw_offer(r, a, offer);
    UNTIL(s, a->closed, HF_SECONDS(1));
    served_send(app_served(a), HF_OP_TEXT, 31, 1);
    run(s, HF_SECONDS(60));
    expect_story(s, "stranger 1 is told: hello resumed=1 received=0 sent=1",
                 "app 1 is closed: superseded 1008", "stranger 1 is told: message 2 of 31 bytes",
                 NULL);
    assert_int_equal(a->attempts, 1);
    assert_int_equal(s->served_count, 1);
    finish(s);
}

static void a_resume_at_the_end_of_the_window_is_in_time_and_one_behind_it_is_not(void **state)
{
    struct scene *s = begin(BASE "session: {window: 5s}\n");
    struct app *a = come(s);
    app_cut(a);
    app_offline(a, true);
    run(s, HF_MS(4800));
    app_offline(a, false);
    app_hurry(a);
    UNTIL(s, a->resumed == 1, HF_MS(190));
    app_cut(a);
    app_offline(a, true);
    run(s, HF_MS(5050));
    app_offline(a, false);
    app_hurry(a);
    UNTIL(s, a->lost == 1, HF_SECONDS(2));
    expect_story(s, "app 1 resumes session 1", "the network of app 1 is back",
                 "app 1 lost session 1: expired, received 0, acked 0, sent 0, counted 0",
                 "app 1 opens session 2", NULL);
    finish(s);
}

static void a_resume_while_the_gateway_drains_gets_hello_and_then_goaway(void **state)
{
    struct scene *s = begin(PLAIN);
    struct app *a = come(s);
    a->path = far_path(4000);
    app_cut(a);
    UNTIL(s, a->attempts == 2, HF_SECONDS(1));
    run(s, HF_MS(100)); /* connected; the request is under way */
    gate_drain(s, HF_SECONDS(30));
    UNTIL(s, a->resumed == 1, HF_SECONDS(1));
    UNTIL(s, !a->connected, HF_SECONDS(30));
    expect_story(s, "the gateway is told to drain", "app 1 resumes session 1",
                 "app 1 has no connection: goaway", NULL);
    finish(s);
}

static void an_idle_session_without_a_message_resumes(void **state)
{
    struct scene *s = begin(PLAIN);
    struct app *a = come(s);
    for (unsigned i = 1; i <= 3; i++) {
        app_cut(a);
        UNTIL(s, a->resumed == i, HF_SECONDS(3));
    }
    say_both_ways(a, 1, 10);
    SETTLES(s, a);
    expect_story(s, "app 1 resumes session 1", "app 1 resumes session 1", "app 1 resumes session 1",
                 "app 1 gets message 1 of 10 bytes", NULL);
    assert_int_equal(s->served_count, 1);
    finish(s);
}

/* What the library of the application would say in a POST, and says again behind an attach. */
static void a_post_that_is_slow_across_an_attach_takes_nothing(void **state)
{
    struct scene *s = begin(PLAIN);
    struct app *a = come(s);
    struct raw *r = raw_new(s, "10.9.9.3", NULL);
    struct note note = {30, HF_OP_TEXT};
    uint8_t *bytes = scene_content(app_key(a), 0, note);
    raw_post(r, a, 1, hf_slice(bytes, note.size));
    run(s, HF_MS(50));
    app_cut(a);
    assert_true(app_send(a, HF_OP_TEXT, 30));
    UNTIL(s, a->resumed == 1, HF_SECONDS(3));
    SETTLES(s, a);
    raw_post_end(r);
    run(s, HF_MS(50));
    free(bytes);
    expect_story(s, "stranger 1 begins a POST of message 1", "app 1 resumes session 1",
                 "backend 1 gets message 1 of 30 bytes", "stranger 1 is told: status 409", NULL);
    assert_int_equal(app_served(a)->got, 1);
    finish(s);
}

/* ---- messages -------------------------------------------------------------------------------- */

static void messages_larger_than_the_buffer_pass_and_survive_a_drop(void **state)
{
    struct scene *s = begin(BASE "session: {window: 20s, buffer: 4KiB, park_bytes: 8KiB}\n");
    struct app *a = come(s);
    a->path = far_path(400000);
    app_cut(a);
    UNTIL(s, a->resumed == 1, HF_SECONDS(2));
    say_both_ways(a, 3, 100000);
    run(s, HF_MS(150));
    app_cut(a);
    SETTLES(s, a);
    assert_int_equal(app_life(a)->got, 3);
    assert_int_equal(app_served(a)->got, 3);
    assert_int_equal(a->lost, 0);
    finish(s);
}

static void a_half_received_message_either_way_arrives_once(void **state)
{
    struct scene *s = begin(PLAIN);
    struct app *a = come(s);
    a->path = far_path(50000);
    app_cut(a);
    UNTIL(s, a->resumed == 1, HF_SECONDS(2));
    assert_true(app_send(a, HF_OP_BINARY, 40000));
    run(s, HF_MS(300));
    app_cut(a);
    UNTIL(s, a->resumed == 2, HF_SECONDS(2));
    served_send(app_served(a), HF_OP_BINARY, 40000, 3);
    run(s, HF_MS(300));
    app_cut(a);
    SETTLES(s, a);
    expect_story(s, "app 1 sends message 1 of 40000 bytes", "a box on the way resets app 1",
                 "app 1 resumes session 1", "backend 1 gets message 1 of 40000 bytes", NULL);
    expect_story(s, "backend 1 sends message 1 of 40000 bytes", "a box on the way resets app 1",
                 "app 1 resumes session 1", "app 1 gets message 1 of 40000 bytes", NULL);
    finish(s);
}

static void a_slow_backend_and_a_busy_client_do_not_wait_for_each_other(void **state)
{
    struct scene *s = begin(BASE "send_timeout: 1m\nsession: {window: 20s, buffer: 16KiB}\n");
    s->backend_path.send_buffer = s->backend_path.receive_buffer = 8192;
    struct app *a = come(s);
    served_pause(app_served(a), HF_NEVER);
    for (int i = 0; i < 200; i++) {
        assert_true(app_send(a, HF_OP_BINARY, 1000));
        served_send(app_served(a), HF_OP_BINARY, 1000, 1);
    }
    UNTIL(s, app_life(a)->got == 200, HF_SECONDS(5)); /* its acks pass, though nothing is taken */
    assert_int_equal(app_served(a)->got, 0);
    app_cut(a);
    UNTIL(s, a->resumed == 1, HF_SECONDS(3));
    served_resume(app_served(a));
    SETTLES(s, a);
    assert_int_equal(app_served(a)->got, 200);
    finish(s);
}

static void
a_chatty_backend_fills_what_a_parked_session_holds_and_its_pings_are_answered(void **state)
{
    struct scene *s = begin(BASE "heartbeat: {interval: 0}\n"
                                 "session: {window: 60s, park_bytes: 64KiB}\n");
    struct app *a = come(s);
    app_cut(a);
    app_offline(a, true);
    UNTIL(s, gate_has(s, a, "parked"), HF_SECONDS(1));
    struct served *b = app_served(a);
    for (int i = 0; i < 66; i++) {
        served_send(b, HF_OP_BINARY, 1000, 1);
    }
    for (int i = 0; i < 8; i++) {
        run(s, HF_SECONDS(1));
        served_ping(b);
        UNTIL(s, b->pings == 0, HF_SECONDS(11));
    }
    app_offline(a, false);
    app_hurry(a);
    SETTLES(s, a);
    assert_int_equal(app_life(a)->got, 66);
    assert_int_equal(a->lost, 0);
    finish(s);
}

static void
a_backends_close_comes_behind_all_its_messages_also_when_the_client_drops_there(void **state)
{
    struct scene *s = begin(PLAIN);
    struct app *a = come(s);
    app_cut(a);
    UNTIL(s, gate_has(s, a, "parked"), HF_SECONDS(1));
    a->path = far_path(40000);
    for (int i = 0; i < 10; i++) {
        served_send(app_served(a), HF_OP_BINARY, 4000, 1);
    }
    served_close(app_served(a), 4000, "done");
    UNTIL(s, app_life(a)->got == 3, HF_SECONDS(5));
    app_cut(a);
    UNTIL(s, a->closed, HF_SECONDS(5));
    expect_story(s, "backend 1 sends Close 4000", "app 1 gets message 3 of 4000 bytes",
                 "app 1 resumes session 1", "app 1 gets message 10 of 4000 bytes",
                 "app 1 is closed: backend_close 4000", NULL);
    finish(s);
}

static void a_close_that_crosses_the_backends_is_no_answer_to_it(void **state)
{
    struct scene *s = begin(PLAIN);
    struct sim_path path = far_path(0);
    struct app_options options = {.path = &path,
                                  .backoff_base_ms = 50,
                                  .backoff_cap_ms = 1000,
                                  .heartbeat_ms = 1000,
                                  .answer_ms = 1500};
    struct app *a = come_with(s, &options);
    app_roam(a); /* what both say is lost for now */
    served_send(app_served(a), HF_OP_TEXT, 100, 1);
    app_offline(a, true);
    UNTIL(s, !a->connected, HF_SECONDS(10)); /* it gives the connection up with 4499 */
    served_close(app_served(a), 4001, "");
    run(s, HF_MS(100));
    app_offline(a, false); /* both Closes arrive */
    app_hurry(a);
    UNTIL(s, a->closed, HF_SECONDS(10));
    expect_story(s, "backend 1 sends message 1 of 100 bytes", "app 1 has no connection: heartbeat",
                 "backend 1 sends Close 4001", "app 1 gets message 1 of 100 bytes",
                 "app 1 is closed: backend_close 4001", NULL);
    finish(s);
}

static void texts_that_begin_with_0x01_pass_both_ways_whole_in_fragments_and_replayed(void **state)
{
    struct scene *s = begin(PLAIN);
    struct app *a = come(s);
    for (uint32_t i = 0; i < 120; i++) {
        if (i == 60) {
            app_cut(a);
            run(s, HF_MS(30));
        }
        assert_true(app_send(a, HF_OP_TEXT, i % 4 == 3 ? 20 : i % 4));
        served_send(app_served(a), HF_OP_TEXT, i % 4 == 3 ? 20 : i % 4, 1 + i % 3);
    }
    SETTLES(s, a);
    assert_int_equal(app_life(a)->got, 120);
    assert_int_equal(app_served(a)->got, 120);
    finish(s);
}

static void the_applications_own_close_codes_pass_both_ways(void **state)
{
    struct scene *s = begin(PLAIN);
    for (int code = 4400; code <= 4409; code++) {
        struct app *a = come(s);
        struct app *b = come(s);
        say_both_ways(a, 1, 10);
        app_close(a, code, "hers");
        served_send(app_served(b), HF_OP_TEXT, 10, 1);
        served_close(app_served(b), (uint16_t)code, "his");
        UNTIL(s, a->closed && b->closed, HF_SECONDS(5));
        UNTIL(s, app_served(a)->close_got == code, HF_SECONDS(1));
        assert_int_equal(b->end_code, code);
        assert_int_equal(app_life(b)->got, 1);
        assert_int_equal(app_served(a)->got, 1);
    }
    finish(s);
}

static void
a_message_in_whose_midst_every_connection_is_lost_ends_the_session_as_poison(void **state)
{
    struct scene *s = begin(PLAIN);
    struct app *a = come(s);
    char token[64];
    uint64_t epoch, received, attempt;
    a->path.bandwidth = 400000;
    app_cut(a);
    UNTIL(s, a->resumed == 1, HF_SECONDS(2));
    a->cursed = 20;
    a->curse_after = HF_MS(250); /* the hello was answered, and the message is under way */
    served_send(app_served(a), HF_OP_BINARY, 200000, 1);
    run(s, HF_MS(50));
    app_cut(a);
    UNTIL(s, gate_ending(s, "session_poison") == 1, HF_SECONDS(60));
    assert_true(app_token(a, token, &epoch, &received, &attempt));
    UNTIL(s, a->lost == 1, HF_SECONDS(1));
    a->cursed = 0;
    expect_story(s, "backend 1 sends message 1 of 200000 bytes", "app 1 resumes session 1",
                 "app 1 lost session 1: poison, received 0, acked 0, sent 0, counted 0",
                 "app 1 opens session 2", NULL);
    assert_int_equal(gate_ending(s, "session_poison"), 1);
    run(s, HF_SECONDS(1));
    assert_true(raw_was_told(offer(s, a, token, epoch, attempt), "hello resumed=0 reason=poison"));
    finish(s);
}

static void no_ack_comes_before_hello_when_the_backend_takes_longer_than_a_beat(void **state)
{
    struct scene *s = begin(BASE "session: {beat: 200ms}\n");
    struct sim_path path = far_path(0);
    struct app_options options = {.path = &path};
    s->upstream_delay = HF_SECONDS(2);
    struct app *a = come_with(s, &options);
    assert_int_equal(a->attempts, 1);
    finish(s);
}

static void a_goodbye_that_the_backend_does_not_take_says_what_is_lost(void **state)
{
    struct scene *s = begin(BASE "send_timeout: 1m\nsession: {buffer: 64KiB}\n");
    s->backend_path.send_buffer = s->backend_path.receive_buffer = 8192;
    struct app *a = come(s);
    served_pause(app_served(a), HF_SECONDS(5));
    for (int i = 0; i < 40; i++) {
        assert_true(app_send(a, HF_OP_BINARY, 1000));
    }
    app_close(a, 4000, "bye");
    UNTIL(s, a->closed, HF_SECONDS(4));
    assert_int_equal(a->lost, 1);
    assert_int_equal(a->end_code, 1013);
    finish(s);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void clocks_that_jump_and_a_laptop_that_sleeps_lose_nothing(void **state)
{
    struct scene *s = begin(BASE "session: {window: 2m}\n");
    struct app *a = come(s);
    say_both_ways(a, 2, 50);
    sim_wall_jump(s->sim, 3600000);
    run(s, HF_SECONDS(30));
    sim_wall_jump(s->sim, -7200000);
    run(s, HF_SECONDS(30));
    assert_true(app_is_open(a) && a->resumed == 0);
    app_sleep(a, HF_SECONDS(90));
    for (int i = 0; i < 5; i++) {
        served_send(app_served(a), HF_OP_TEXT, 50, 1);
    }
    run(s, HF_SECONDS(91));
    SETTLES(s, a);
    assert_int_equal(app_life(a)->got, 7);
    assert_int_equal(a->lost, 0);
    assert_int_equal(s->served_count, 1);
    finish(s);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static void forged_stale_and_foreign_tokens_never_touch_the_session(void **state)
{
    struct scene *s = begin(PLAIN);
    struct app *a = come(s);
    char token[64];
    char forged[64];
    char foreign[64];
    uint64_t epoch, received, attempt;
    assert_true(app_token(a, foreign, &epoch, &received, &attempt));
    gate_crash(s);
    (void)gate_start(s);
    UNTIL(s, a->lost == 1 && app_is_open(a), HF_SECONDS(20));
    app_cut(a);
    UNTIL(s, a->resumed == 1 && gate_has_heard(s, a), HF_SECONDS(3));
    assert_true(app_token(a, token, &epoch, &received, &attempt));
    memcpy(forged, token, sizeof(forged));
    forged[40] = forged[40] == 'A' ? 'B' : 'A';
    struct raw *of_forged = offer(s, a, forged, epoch, attempt + 10);
    struct raw *of_foreign = offer(s, a, foreign, epoch, attempt + 10);
    struct raw *of_old = offer(s, a, a->token_before, epoch, attempt + 10);
    struct raw *of_late = offer(s, a, token, epoch, attempt);
    assert_true(raw_was_told(of_forged, "hello resumed=0 reason=unknown"));
    assert_true(raw_was_told(of_foreign, "hello resumed=0 reason=unknown"));
    assert_true(raw_was_told(of_old, "end who=gateway reason=stale"));
    assert_true(raw_was_told(of_late, "end who=gateway reason=stale"));
    say_both_ways(a, 3, 60);
    SETTLES(s, a);
    assert_int_equal(a->resumed, 1);
    finish(s);
}

static void a_token_of_the_session_with_another_principal_is_refused(void **state)
{
    struct scene *s = begin(PLAIN TOKENS);
    struct sim_path path = far_path(0);
    struct app_options options = {.path = &path, .subject = "alice"};
    char token[64];
    uint64_t epoch, received, attempt;
    struct app *a = come_with(s, &options);
    assert_true(app_token(a, token, &epoch, &received, &attempt));
    memcpy(a->subject, "mallory", sizeof("mallory")); /* who made the offer below */
    struct raw *r = offer(s, a, token, epoch, attempt + 5);
    memcpy(a->subject, "alice", sizeof("alice"));
    assert_true(raw_was_told(r, "hello resumed=0 reason=auth"));
    say_both_ways(a, 3, 60);
    SETTLES(s, a);
    assert_int_equal(a->resumed, 0);
    finish(s);
}

static void a_session_ends_with_its_credential_and_lives_on_with_a_fresh_one(void **state)
{
    struct scene *s = begin(PLAIN TOKENS);
    struct sim_path path = far_path(0);
    struct app_options options = {.path = &path, .subject = "alice", .token_ms = 10000};
    struct app *a = come_with(s, &options);
    struct app *b = come_with(s, &options);
    for (int i = 0; i < 4; i++) {
        run(s, HF_SECONDS(6));
        app_authorize(a);
    }
    assert_true(app_is_open(a) && a->lost == 0);
    say_both_ways(a, 2, 20);
    SETTLES(s, a);
    UNTIL(s, b->closed || b->lost > 0, HF_SECONDS(1));
    assert_int_equal(gate_ending(s, "token_expired"), 1);
    expect_story(s, "app 1 is authorized anew", "app 1 is authorized anew",
                 "app 1 is authorized anew", NULL);
    a->token_ms = b->token_ms = 0;
    app_authorize(a);
    finish(s);
}

static void a_hold_asks_the_backend_with_the_newest_token(void **state)
{
    struct scene *s = begin(PLAIN TOKENS "on_backend_loss: hold\n");
    struct sim_path path = far_path(0);
    struct app_options options = {.path = &path, .subject = "alice", .token_ms = 10000};
    struct app *a = come_with(s, &options);
    run(s, HF_SECONDS(6));
    app_authorize(a);
    run(s, HF_SECONDS(6)); /* the first token has expired */
    for (int i = 0; i < 3; i++) {
        assert_true(app_send(a, HF_OP_TEXT, 40));
    }
    SETTLES(s, a);
    hf_wall now = sim_wall(s->sim);
    upstream_crash(s);
    run(s, HF_MS(500));
    assert_true(app_send(a, HF_OP_TEXT, 41));
    upstream_start(s);
    UNTIL(s, app_served(a) != NULL && served_is_open(app_served(a)), HF_SECONDS(5));
    assert_true(app_served(a)->token_exp * 1000 > now);
    a->token_ms = 0;
    app_authorize(a);
    SETTLES(s, a);
    expect_story(s, "app 1 is authorized anew", "the backend crashes",
                 "app 1 sends message 4 of 41 bytes", "backend 2 takes the place of backend 1",
                 "backend 2 gets message 4 of 41 bytes", NULL);
    expect_story(s, "app 1 is told of another backend connection: ", NULL);
    assert_int_equal(a->lost, 0);
    finish(s);
}

/* ---- processes that die ---------------------------------------------------------------------- */

static void after_a_crash_of_the_gateway_the_counts_say_what_is_uncertain(void **state)
{
    struct scene *s = begin(PLAIN);
    struct app *a = come(s);
    for (int i = 0; i < 4; i++) {
        assert_true(app_send(a, HF_OP_TEXT, 100));
    }
    run(s, HF_SECONDS(3)); /* acknowledged */
    for (int i = 0; i < 3; i++) {
        assert_true(app_send(a, HF_OP_TEXT, 100));
    }
    run(s, HF_MS(30)); /* written to the backend, and not acknowledged */
    gate_crash(s);
    assert_true(app_send(a, HF_OP_TEXT, 100));
    run(s, HF_SECONDS(1));
    (void)gate_start(s);
    UNTIL(s, a->lost == 1, HF_SECONDS(20));
    expect_story(s, "backend 1 gets message 7 of 100 bytes", "the gateway starts again",
                 "app 1 lost session 1: unknown, received 0, acked 4, sent 8, counted -1, handed "
                 "back 4",
                 "app 1 opens session 2", NULL);
    assert_true(app_send(a, HF_OP_TEXT, 10));
    SETTLES(s, a);
    finish(s);
}

static void a_backend_that_restarts_is_hidden_by_a_hold_and_twice_is_told_as_one(void **state)
{
    struct scene *s = begin(BASE "session: {window: 60s}\non_backend_loss: hold\n");
    struct app *a = come(s);
    assert_true(app_send(a, HF_OP_TEXT, 20));
    SETTLES(s, a);
    app_cut(a);
    app_offline(a, true);
    for (int i = 0; i < 2; i++) {
        upstream_crash(s);
        run(s, HF_SECONDS(1));
        upstream_start(s);
        UNTIL(s, served_is_open(app_served(a)), HF_SECONDS(5));
        run(s, HF_MS(50));
    }
    app_offline(a, false);
    app_hurry(a);
    SETTLES(s, a);
    say_both_ways(a, 2, 30);
    SETTLES(s, a);
    expect_story(s, "app 1 resumes session 1",
                 "app 1 is told of another backend connection: 0 to 1",
                 "backend 3 gets message 2 of 30 bytes", NULL);
    assert_int_equal(a->lost, 0);
    finish(s);
}

static void a_prologue_is_said_again_to_the_backend_that_comes(void **state)
{
    struct scene *s = begin(PLAIN "on_backend_loss: prologue\n"
                                  "prologue: {match: ['" SCENE_SUBSCRIBES "']}\n");
    struct app *a = come(s);
    for (int i = 0; i < 24; i++) {
        assert_true(app_send(a, HF_OP_TEXT, 20));
    }
    SETTLES(s, a);
    upstream_crash(s);
    for (int i = 0; i < 3; i++) {
        assert_true(app_send(a, HF_OP_TEXT, 21));
    }
    run(s, HF_MS(300));
    upstream_start(s);
    SETTLES(s, a);
    assert_in_range(s->counts.prologues, 1, 16);
    expect_story(s, "the backend crashes", "backend 2 takes the place of backend 1",
                 "backend 2 gets message", "backend 2 gets message 27 of 21 bytes", NULL);
    assert_int_equal(a->lost, 0);
    finish(s);
}

static void without_a_hold_a_lost_backend_ends_the_session(void **state)
{
    struct scene *s = begin(PLAIN);
    struct app *a = come(s);
    upstream_crash(s);
    UNTIL(s, a->lost == 1, HF_SECONDS(1));
    upstream_start(s);
    UNTIL(s, app_is_open(a) && app_life(a)->attempt > 0, HF_SECONDS(20));
    expect_story(s, "the backend crashes", "app 1 lost session 1: backend_lost",
                 "app 1 opens session 2", NULL);
    finish(s);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void clients_that_fill_and_drop_end_at_the_memory_cap_and_the_others_go_on(void **state)
{
    struct scene *s = begin(BASE "session: {window: 60s, park_bytes: 1MiB, memory: 1MiB}\n");
    struct app *apps[6];
    for (int i = 0; i < 6; i++) {
        apps[i] = come(s);
    }
    for (int i = 0; i < 6; i++) {
        app_cut(apps[i]);
        app_offline(apps[i], true);
        run(s, HF_MS(100));
        for (int k = 0; k < 30; k++) {
            served_send(app_served(apps[i]), HF_OP_BINARY, 10000, 1);
        }
        run(s, HF_MS(500));
    }
    uint64_t ended = gate_ending(s, "session_overflow");
    assert_in_range(ended, 2, 4);
    for (int i = 0; i < 6; i++) {
        app_offline(apps[i], false);
        app_hurry(apps[i]);
    }
    uint64_t lost = 0;
    for (int i = 0; i < 6; i++) {
        SETTLES(s, apps[i]);
        lost += apps[i]->lost;
        assert_true(apps[i]->lost == 1 || app_life(apps[i])->got == 30);
    }
    assert_int_equal(lost, ended);
    finish(s);
}

static void a_crowd_that_is_dropped_at_one_instant_resumes(void **state)
{
    struct scene *s = begin(BASE "session: {window: 60s}\n");
    struct app *apps[150];
    for (size_t i = 0; i < 150; i++) {
        struct app_options options = {.host = "10.9.200.1"};
        apps[i] = app_new(s, &options);
    }
    UNTIL(s, gate_sessions(s, "attached") == 150, HF_SECONDS(5));
    run(s, HF_MS(100));
    for (size_t i = 0; i < 150; i++) {
        assert_true(app_send(apps[i], HF_OP_TEXT, 100));
        served_send(app_served(apps[i]), HF_OP_TEXT, 100, 1);
    }
    app_cut(apps[0]); /* they share an address */
    UNTIL(s, gate_sessions(s, "parked") > 100, HF_MS(50));
    UNTIL(s, gate_sessions(s, "attached") == 150, HF_MS(400));
    for (size_t i = 0; i < 150; i++) {
        SETTLES(s, apps[i]);
        assert_int_equal(apps[i]->lost, 0);
    }
    assert_int_equal(s->served_count, 150);
    finish(s);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openings_that_lose_their_hello_twice_make_one_backend_connection),
        cmocka_unit_test(an_opening_that_the_path_delivers_late_does_not_close_the_newer_one),
        cmocka_unit_test(who_was_displaced_by_his_own_late_opening_behind_hello_resumes),
        cmocka_unit_test(a_drop_in_the_middle_of_hello_is_resumed),
        cmocka_unit_test(a_drop_in_the_middle_of_the_replay_goes_on_where_it_was),
        cmocka_unit_test(two_drops_in_fifty_milliseconds_are_one_absence),
        cmocka_unit_test(a_resume_that_arrives_after_its_successor_is_stale_and_touches_nothing),
        cmocka_unit_test(after_a_lost_hello_the_accepted_token_is_still_good),
        cmocka_unit_test(a_duplicate_takes_the_session_over_and_the_first_does_not_come_back),
        cmocka_unit_test(a_resume_at_the_end_of_the_window_is_in_time_and_one_behind_it_is_not),
        cmocka_unit_test(a_resume_while_the_gateway_drains_gets_hello_and_then_goaway),
        cmocka_unit_test(an_idle_session_without_a_message_resumes),
        cmocka_unit_test(a_post_that_is_slow_across_an_attach_takes_nothing),
        cmocka_unit_test(messages_larger_than_the_buffer_pass_and_survive_a_drop),
        cmocka_unit_test(a_half_received_message_either_way_arrives_once),
        cmocka_unit_test(a_slow_backend_and_a_busy_client_do_not_wait_for_each_other),
        cmocka_unit_test(
            a_chatty_backend_fills_what_a_parked_session_holds_and_its_pings_are_answered),
        cmocka_unit_test(
            a_backends_close_comes_behind_all_its_messages_also_when_the_client_drops_there),
        cmocka_unit_test(a_close_that_crosses_the_backends_is_no_answer_to_it),
        cmocka_unit_test(texts_that_begin_with_0x01_pass_both_ways_whole_in_fragments_and_replayed),
        cmocka_unit_test(the_applications_own_close_codes_pass_both_ways),
        cmocka_unit_test(
            a_message_in_whose_midst_every_connection_is_lost_ends_the_session_as_poison),
        cmocka_unit_test(no_ack_comes_before_hello_when_the_backend_takes_longer_than_a_beat),
        cmocka_unit_test(a_goodbye_that_the_backend_does_not_take_says_what_is_lost),
        cmocka_unit_test(clocks_that_jump_and_a_laptop_that_sleeps_lose_nothing),
        cmocka_unit_test(forged_stale_and_foreign_tokens_never_touch_the_session),
        cmocka_unit_test(a_token_of_the_session_with_another_principal_is_refused),
        cmocka_unit_test(a_session_ends_with_its_credential_and_lives_on_with_a_fresh_one),
        cmocka_unit_test(a_hold_asks_the_backend_with_the_newest_token),
        cmocka_unit_test(after_a_crash_of_the_gateway_the_counts_say_what_is_uncertain),
        cmocka_unit_test(a_backend_that_restarts_is_hidden_by_a_hold_and_twice_is_told_as_one),
        cmocka_unit_test(a_prologue_is_said_again_to_the_backend_that_comes),
        cmocka_unit_test(without_a_hold_a_lost_backend_ends_the_session),
        cmocka_unit_test(clients_that_fill_and_drop_end_at_the_memory_cap_and_the_others_go_on),
        cmocka_unit_test(a_crowd_that_is_dropped_at_one_instant_resumes),
    };
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    setenv(SCENE_SECRET, "a secret of the simulated application", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
