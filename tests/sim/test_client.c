/* SPDX-License-Identifier: Apache-2.0 */
/* The library's attempts on the virtual clock: waits and what resets them, addresses tried beside
 * each other, the choice among endpoints, what is remembered of a place, goaway, advice to wait,
 * and heartbeats. The other side is a gateway, or none, in few words. */
#include "client/loop.h"
#include "http/head.h"
#include "session/control.h"
#include "sim_io.h"
#include "ws/endpoint.h"
#include "ws/handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TOLD_MAX 4000
#define PLACES 3

enum mode { GATEWAY, PLAIN, REFUSES, MUTE };

struct stage;

/* A place that is connected to: 10.0.0.1:80, 10.0.0.2:80, ... */
struct place {
    struct stage *stage;
    struct hf_listener *listener;
    enum mode mode;
    uint16_t status;     /* of a refusal */
    const char *more;    /* headers of it */
    bool refuses_offers; /* a plain one: 400 to who offers hf1 */
    struct hf_list peers;
    struct peer *newest; /* NULL: it is gone */
    unsigned requests;   /* that came */
    bool offered_hf1;    /* by the last one */
    char target[64];     /* of the last one */
    bool dark;           /* nothing answers: connects hang */
};

struct peer {
    struct hf_list node; /* of its place's peers */
    struct place *place;
    struct hf_stream *stream;
    struct hf_endpoint *endpoint; /* NULL: no handshake yet */
    bool pongs;
};

struct told {
    enum holdfast_event_kind kind;
    hf_time at;
    char cause[32];
    int64_t delay_ms, away_ms;
    char url[64];
};

struct stage {
    struct sim *sim;
    struct hf_loop *io, *there;
    struct holdfast_loop *loop;
    struct holdfast_client *client;
    struct hf_random entropy;
    struct place places[PLACES];
    unsigned tokens;
    struct told *told;
    size_t count;
    size_t looked; /* of told */
};

/* ---- the other side -----------------------------------------------------------------------------
 */

static void peer_free(struct peer *p)
{
    if (p->place->newest == p) {
        p->place->newest = NULL;
    }
    hf_list_remove(&p->node);
    hf_stream_close(p->stream);
    hf_endpoint_free(p->endpoint);
    free(p);
}

static void peer_flush(struct peer *p)
{
    struct hf_buffer *out = hf_endpoint_out(p->endpoint);
    hf_buffer_drop(out, hf_stream_send(p->stream, hf_buffer_slice(out)));
}

static void peer_say(struct peer *p, const char *text)
{
    assert_non_null(p);
    assert_int_equal(hf_endpoint_send(p->endpoint, HF_OP_TEXT, hf_slice_of(text)), HF_OK);
    peer_flush(p);
}

static void answer(struct peer *p, const char *head)
{
    assert_int_equal(hf_stream_send(p->stream, hf_slice_of(head)), strlen(head));
}

static void say_hello(struct peer *p, bool resumes)
{
    char text[256];
    (void)snprintf(text, sizeof(text),
                   "\001hello session=s token=T%u key=K epoch=1 window=60000 buffer=65536 "
                   "message_max=65536 beat=15000 ack=16384 received=0 sent=0 resumed=%d",
                   ++p->place->stage->tokens, resumes);
    peer_say(p, text);
}

static void accept_peer(struct peer *p, const struct hf_head *head, bool hf1, bool resumes)
{
    struct hf_endpoint_options options = {.message_max = 65536, .alloc = &hf_heap, .seed = 1};
    char accept[HF_WS_ACCEPT_CHARS];
    char text[400];
    hf_ws_accept(*hf_head_find(head, "Sec-WebSocket-Key"), accept);
    (void)snprintf(text, sizeof(text),
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                   "Upgrade\r\nSec-WebSocket-Accept: %.*s\r\n%s\r\n",
                   HF_WS_ACCEPT_CHARS, accept, hf1 ? "Sec-WebSocket-Protocol: hf1\r\n" : "");
    answer(p, text);
    p->endpoint = hf_endpoint_new(&options);
    if (hf1) {
        say_hello(p, resumes);
    }
}

static void refuse_peer(struct peer *p, unsigned status, const char *more)
{
    char text[200];
    (void)snprintf(text, sizeof(text), "HTTP/1.1 %u No\r\nContent-Length: 0\r\n%s\r\n", status,
                   more == NULL ? "" : more);
    answer(p, text);
    hf_stream_shut(p->stream);
}

static void take_request(struct peer *p, const struct hf_head *head)
{
    struct place *place = p->place;
    const struct hf_slice *offers = hf_head_find(head, "Sec-WebSocket-Protocol");
    place->requests++;
    place->offered_hf1 = offers != NULL && hf_slice_starts(*offers, HF_LITERAL("hf1"));
    (void)snprintf(place->target, sizeof(place->target), "%.*s", HF_SLICE_ARG(head->target));
    switch (place->mode) {
    case GATEWAY:
        accept_peer(p, head, true, hf_slice_search(*offers, HF_LITERAL("hf1.r.")) < offers->len);
        break;
    case PLAIN:
        if (place->refuses_offers && place->offered_hf1) {
            refuse_peer(p, 400, NULL);
        } else {
            accept_peer(p, head, false, false);
        }
        break;
    case REFUSES:
        refuse_peer(p, place->status, place->more);
        break;
    case MUTE:
        break;
    }
}

static size_t peer_on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct peer *p = owner;
    struct hf_endpoint_event event;
    struct hf_head head;
    const char *why;
    if (p->endpoint == NULL) {
        if (hf_request_read(bytes, 8192, &head, &why) != HF_HEAD_READ) {
            return 0;
        }
        take_request(p, &head);
        return head.size;
    }
    assert_int_equal(hf_endpoint_feed(p->endpoint, bytes), HF_OK);
    while (hf_endpoint_next(p->endpoint, &event) != HF_ENDPOINT_NONE) {
        if (event.kind == HF_ENDPOINT_PING && !p->pongs) {
            hf_buffer_clear(hf_endpoint_out(p->endpoint));
        }
    }
    peer_flush(p);
    if (hf_endpoint_is_closed(p->endpoint)) {
        peer_free(p);
    }
    return bytes.len;
}

static void peer_on_writable(void *owner, struct hf_stream *stream)
{
    struct peer *p = owner;
    if (p->endpoint != NULL) {
        peer_flush(p);
    }
}

static void peer_on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    peer_free(owner);
}

static const struct hf_stream_handler peer_handler = {
    .on_bytes = peer_on_bytes, .on_writable = peer_on_writable, .on_end = peer_on_end};

static void on_accept(void *owner, struct hf_stream *stream, const struct hf_address *from)
{
    struct place *place = owner;
    struct peer *p = calloc(1, sizeof(*p));
    p->place = place;
    hf_list_init(&p->node);
    hf_list_append(&place->peers, &p->node);
    p->stream = stream;
    p->pongs = true;
    place->newest = p;
    hf_stream_handle(stream, &peer_handler, p);
    hf_stream_resume(stream);
}

static const struct hf_listener_handler listener_handler = {.on_accept = on_accept};

static struct hf_address address_of(unsigned index)
{
    struct hf_address address;
    char text[32];
    (void)snprintf(text, sizeof(text), "10.0.0.%u:80", index + 1);
    assert_true(hf_address_parse(hf_slice_of(text), &address));
    return address;
}

static void open_place(struct stage *s, unsigned index, enum mode mode)
{
    struct hf_listen how = {.address = address_of(index)};
    struct place *place = &s->places[index];
    place->mode = mode;
    assert_int_equal(hf_loop_listen(s->there, &how, &listener_handler, place, &place->listener),
                     HF_OK);
}

static enum sim_fate shape(void *context, const struct hf_address *from,
                           const struct hf_address *to, struct sim_path *path)
{
    struct stage *s = context;
    for (unsigned i = 0; i < PLACES; i++) {
        const struct hf_address address = address_of(i);
        if (memcmp(&address.u.v4.sin_addr, &to->u.v4.sin_addr, 4) == 0 && s->places[i].dark) {
            return SIM_FATE_SILENT;
        }
    }
    return SIM_FATE_LISTENERS;
}

/* ---- the stage ----------------------------------------------------------------------------------
 */

static void on_event(void *context, struct holdfast_client *client,
                     const struct holdfast_event *event)
{
    struct stage *s = context;
    if (event->kind == HOLDFAST_EVENT_STATE) {
        return;
    }
    assert_true(s->count < TOLD_MAX);
    struct told *told = &s->told[s->count++];
    *told = (struct told){.kind = event->kind,
                          .at = sim_now(s->sim),
                          .delay_ms = event->delay_ms,
                          .away_ms = event->away_ms};
    if (event->record != NULL) {
        (void)snprintf(told->cause, sizeof(told->cause), "%s", event->record->cause);
    }
    (void)snprintf(told->url, sizeof(told->url), "%s", event->url == NULL ? "" : event->url);
}

static void entropy(void *context, void *bytes, size_t size)
{
    struct stage *s = context;
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)bytes)[i] = (uint8_t)hf_random_next(&s->entropy);
    }
}

static struct stage *stage_new(uint64_t seed)
{
    struct stage *s = calloc(1, sizeof(*s));
    s->told = calloc(TOLD_MAX, sizeof(*s->told));
    s->sim = sim_new(seed);
    const struct sim_shaper shaper = {.context = s, .connect = shape};
    sim_shape(s->sim, &shaper);
    s->io = sim_loop_new(s->sim);
    s->there = sim_loop_new(s->sim);
    hf_random_init(&s->entropy, seed);
    s->loop = hf_client_loop_over(s->io, entropy, s);
    for (unsigned i = 0; i < PLACES; i++) {
        s->places[i].stage = s;
        hf_list_init(&s->places[i].peers);
    }
    return s;
}

/* urls: ended by NULL. more may be NULL. */
static void begin(struct stage *s, const char *const *urls,
                  void (*more)(struct holdfast_options *options))
{
    struct holdfast_options *options = holdfast_options_new();
    for (size_t i = 0; urls[i] != NULL; i++) {
        assert_int_equal(holdfast_options_add_url(options, urls[i]), HOLDFAST_OK);
    }
    holdfast_options_set_handler(options, on_event, s);
    if (more != NULL) {
        more(options);
    }
    s->client = holdfast_client_new(s->loop, options, NULL);
    holdfast_options_free(options);
    assert_non_null(s->client);
}

static void run(struct stage *s, hf_time time)
{
    const hf_time until = sim_now(s->sim) + time;
    while (sim_step(s->sim, until)) {
    }
}

static void stage_free(struct stage *s)
{
    holdfast_client_free(s->client);
    run(s, HF_SECONDS(1));
    holdfast_loop_free(s->loop);
    for (unsigned i = 0; i < PLACES; i++) {
        if (s->places[i].listener != NULL) {
            hf_listener_close(s->there, s->places[i].listener);
        }
        while (!hf_list_empty(&s->places[i].peers)) {
            peer_free(HF_CONTAINER(s->places[i].peers.next, struct peer, node));
        }
    }
    run(s, HF_SECONDS(1));
    hf_loop_free(s->io);
    hf_loop_free(s->there);
    sim_free(s->sim);
    free(s->told);
    free(s);
}

/* The next event that was told, of this kind, within the time. */
static const struct told *await(struct stage *s, enum holdfast_event_kind kind, hf_time within)
{
    const hf_time until = sim_now(s->sim) + within;
    for (;;) {
        while (s->looked < s->count) {
            const struct told *told = &s->told[s->looked++];
            if (told->kind == kind) {
                return told;
            }
        }
        if (!sim_step(s->sim, until)) {
            fail_msg("no %s within %lld ms", holdfast_event_text(kind), (long long)within / 1000);
        }
    }
}

static const char *const one_url[] = {"ws://10.0.0.1/a", NULL};

/* ---- waits --------------------------------------------------------------------------------------
 */

static void waits_are_drawn_from_a_bound_that_doubles_to_the_cap_and_never_end(void **state)
{
    static const int64_t bounds[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000};
    int64_t most[8] = {0};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct stage *s = stage_new(seed);
        begin(s, one_url, NULL); /* nobody listens */
        for (size_t i = 0; i < 8; i++) {
            const struct told *told = await(s, HOLDFAST_EVENT_RECONNECTING, HF_SECONDS(60));
            assert_string_equal(told->cause, "connection_refused");
            assert_in_range(told->delay_ms, 0, bounds[i]);
            most[i] = told->delay_ms > most[i] ? told->delay_ms : most[i];
        }
        stage_free(s);
    }
    for (size_t i = 0; i < 8; i++) {
        assert_true(most[i] > bounds[i] * 8 / 10); /* the whole span is drawn from */
    }
}

static void a_connection_that_had_a_hello_is_followed_within_a_quarter_of_a_second(void **state)
{
    int64_t most = 0;
    struct stage *s = stage_new(3);
    open_place(s, 0, GATEWAY);
    begin(s, one_url, NULL);
    (void)await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(5));
    for (int i = 0; i < 60; i++) {
        sim_reset(s->places[0].newest->stream);
        const struct told *told = await(s, HOLDFAST_EVENT_RECONNECTING, HF_SECONDS(5));
        assert_string_equal(told->cause, "connection_reset");
        assert_in_range(told->delay_ms, 0, 250);
        most = told->delay_ms > most ? told->delay_ms : most;
        told = await(s, HOLDFAST_EVENT_RESUMED, HF_SECONDS(5));
        assert_in_range(told->away_ms, 0, 400);
    }
    assert_true(most > 200);
    stage_free(s);
}

/* Fails a few times; returns the delay after the last failure. */
static void fail_often(struct stage *s, int times)
{
    hf_listener_close(s->there, s->places[0].listener);
    s->places[0].listener = NULL;
    sim_reset(s->places[0].newest->stream);
    for (int i = 0; i < times; i++) {
        (void)await(s, HOLDFAST_EVENT_RECONNECTING, HF_SECONDS(60));
    }
}

static void a_resume_that_succeeds_resets_the_waits(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct stage *s = stage_new(seed);
        open_place(s, 0, GATEWAY);
        begin(s, one_url, NULL);
        (void)await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(5));
        fail_often(s, 7);
        open_place(s, 0, GATEWAY);
        (void)await(s, HOLDFAST_EVENT_RESUMED, HF_SECONDS(60));
        fail_often(s, 1); /* the first comes soon, the second is drawn from the base */
        assert_in_range(await(s, HOLDFAST_EVENT_RECONNECTING, HF_SECONDS(5))->delay_ms, 0, 1000);
        stage_free(s);
    }
}

static void five_seconds_of_uptime_reset_the_waits_and_less_does_not(void **state)
{
    int64_t most_short = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct stage *s = stage_new(seed);
        open_place(s, 0, PLAIN);
        begin(s, one_url, NULL);
        (void)await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(5));
        fail_often(s, 6);
        open_place(s, 0, PLAIN);
        (void)await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(60));
        run(s, HF_SECONDS(4));
        sim_reset(s->places[0].newest->stream);
        const struct told *told = await(s, HOLDFAST_EVENT_RECONNECTING, HF_SECONDS(5));
        most_short = told->delay_ms > most_short ? told->delay_ms : most_short;
        (void)await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(60));
        run(s, HF_SECONDS(6));
        sim_reset(s->places[0].newest->stream);
        told = await(s, HOLDFAST_EVENT_RECONNECTING, HF_SECONDS(5));
        assert_in_range(told->delay_ms, 0, 1000);
        stage_free(s);
    }
    assert_true(most_short > 10000);
}

static void retry_after_and_the_gateways_retry_are_waited_for(void **state)
{
    struct stage *s = stage_new(5);
    open_place(s, 0, REFUSES);
    s->places[0].status = 503;
    s->places[0].more = "Retry-After: 20\r\n";
    begin(s, one_url, NULL);
    const struct told *told = await(s, HOLDFAST_EVENT_RECONNECTING, HF_SECONDS(5));
    assert_string_equal(told->cause, "handshake_refused");
    assert_in_range(told->delay_ms, 20000, 21000);
    s->places[0].mode = GATEWAY;
    (void)await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(60));
    peer_say(s->places[0].newest, "\001end who=gateway reason=limit retry=9000");
    told = await(s, HOLDFAST_EVENT_RECONNECTING, HF_SECONDS(20));
    assert_string_equal(told->cause, "limit");
    assert_true(told->delay_ms >= 9000);
    stage_free(s);
}

/* ---- where to -----------------------------------------------------------------------------------
 */

static void
an_address_that_does_not_answer_is_joined_by_the_next_after_a_quarter_of_a_second(void **state)
{
    static const char *const urls[] = {"ws://many.example/", NULL};
    const struct hf_address addresses[] = {address_of(0), address_of(1), address_of(2)};
    struct stage *s = stage_new(6);
    sim_name(s->sim, "many.example", HF_OK, addresses, 3, HF_MS(5));
    s->places[0].dark = true;
    s->places[1].dark = true;
    open_place(s, 2, GATEWAY);
    begin(s, urls, NULL);
    const hf_time start = sim_now(s->sim);
    const struct told *told = await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(5));
    assert_in_range(told->at - start, HF_MS(500), HF_MS(700));
    stage_free(s);
}

static void an_address_that_refuses_is_followed_at_once(void **state)
{
    static const char *const urls[] = {"ws://many.example/", NULL};
    const struct hf_address addresses[] = {address_of(0), address_of(1)};
    struct stage *s = stage_new(7);
    sim_name(s->sim, "many.example", HF_OK, addresses, 2, HF_MS(5));
    open_place(s, 1, GATEWAY);
    begin(s, urls, NULL);
    const hf_time start = sim_now(s->sim);
    assert_in_range(await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(5))->at - start, 0, HF_MS(150));
    stage_free(s);
}

static void an_attempt_that_nobody_answers_ends_with_its_time(void **state)
{
    struct stage *s = stage_new(8);
    open_place(s, 0, MUTE);
    begin(s, one_url, NULL);
    const hf_time start = sim_now(s->sim);
    const struct told *told = await(s, HOLDFAST_EVENT_RECONNECTING, HF_SECONDS(60));
    assert_string_equal(told->cause, "connect_timeout");
    assert_in_range(told->at - start, HF_SECONDS(20), HF_SECONDS(20) + HF_MS(10));
    stage_free(s);
}

static void of_two_endpoints_the_one_that_lives_longer_is_preferred_and_remembered(void **state)
{
    static const char *const urls[] = {"ws://10.0.0.1/proxied", "ws://10.0.0.2/direct", NULL};
    struct stage *s = stage_new(9);
    open_place(s, 0, GATEWAY);
    open_place(s, 1, GATEWAY);
    begin(s, urls, NULL);
    assert_string_equal(await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(5))->url, "ws://10.0.0.1/proxied");
    run(s, HF_SECONDS(24)); /* something on the first path cuts it then */
    peer_say(s->places[0].newest, "\001ack n=0");
    sim_reset(s->places[0].newest->stream);
    assert_string_equal(await(s, HOLDFAST_EVENT_RESUMED, HF_SECONDS(5))->url,
                        "ws://10.0.0.2/direct");
    for (int i = 0; i < 30; i++) { /* ten minutes */
        run(s, HF_SECONDS(20));
        peer_say(s->places[1].newest, "\001ack n=0");
    }
    sim_reset(s->places[1].newest->stream);
    assert_string_equal(await(s, HOLDFAST_EVENT_RESUMED, HF_SECONDS(5))->url,
                        "ws://10.0.0.2/direct");
    /* Another client of the loop knows it from the start. */
    struct holdfast_client *first = s->client;
    begin(s, urls, NULL);
    assert_string_equal(await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(5))->url, "ws://10.0.0.2/direct");
    holdfast_client_free(first);
    stage_free(s);
}

static void an_endpoint_that_fails_gives_way_to_the_other(void **state)
{
    static const char *const urls[] = {"ws://10.0.0.1/a", "ws://10.0.0.2/b", NULL};
    struct stage *s = stage_new(10);
    open_place(s, 0, GATEWAY);
    open_place(s, 1, GATEWAY);
    begin(s, urls, NULL);
    (void)await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(5));
    for (int i = 0; i < 30; i++) {
        run(s, HF_SECONDS(20));
        peer_say(s->places[0].newest, "\001ack n=0");
    }
    hf_listener_close(s->there, s->places[0].listener);
    s->places[0].listener = NULL;
    sim_reset(s->places[0].newest->stream);
    assert_string_equal(await(s, HOLDFAST_EVENT_RESUMED, HF_SECONDS(10))->url, "ws://10.0.0.2/b");
    stage_free(s);
}

static void offers_that_a_place_refuses_are_left_out_for_ten_minutes(void **state)
{
    struct stage *s = stage_new(11);
    open_place(s, 0, PLAIN);
    s->places[0].refuses_offers = true;
    begin(s, one_url, NULL);
    const hf_time start = sim_now(s->sim);
    assert_in_range(await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(5))->at - start, 0, HF_MS(500));
    assert_int_equal(s->places[0].requests, 2);
    run(s, HF_SECONDS(590));
    sim_reset(s->places[0].newest->stream);
    (void)await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(5));
    assert_int_equal(s->places[0].requests, 3); /* without offers from the start */
    run(s, HF_SECONDS(60));
    sim_reset(s->places[0].newest->stream);
    (void)await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(5));
    assert_int_equal(s->places[0].requests, 5); /* with offers, refused, without */
    stage_free(s);
}

static void a_place_that_once_said_hello_is_always_offered_hf1(void **state)
{
    struct stage *s = stage_new(12);
    open_place(s, 0, GATEWAY);
    begin(s, one_url, NULL);
    (void)await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(5));
    peer_say(s->places[0].newest, "\001end who=gateway reason=stop"); /* the session is gone */
    s->places[0].mode = PLAIN;
    s->places[0].refuses_offers = true;
    for (int i = 0; i < 5; i++) {
        (void)await(s, HOLDFAST_EVENT_RECONNECTING, HF_SECONDS(60));
        assert_true(s->places[0].offered_hf1);
    }
    stage_free(s);
}

static void goaway_moves_within_its_time_to_where_it_says(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct stage *s = stage_new(seed);
        open_place(s, 0, GATEWAY);
        open_place(s, 1, GATEWAY);
        begin(s, one_url, NULL);
        (void)await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(5));
        const hf_time start = sim_now(s->sim);
        peer_say(s->places[0].newest, "\001goaway in=8000 url=ws://10.0.0.2/new");
        const struct told *told = await(s, HOLDFAST_EVENT_RECONNECTING, HF_SECONDS(9));
        assert_string_equal(told->cause, "goaway");
        assert_int_equal(told->delay_ms, 0);
        told = await(s, HOLDFAST_EVENT_RESUMED, HF_SECONDS(1));
        assert_string_equal(told->url, "ws://10.0.0.2/new");
        assert_true(told->at - start <= HF_SECONDS(8));
        assert_int_equal(s->places[1].requests, 1);
        stage_free(s);
    }
}

/* ---- heartbeats ---------------------------------------------------------------------------------
 */

static void short_heartbeats(struct holdfast_options *options)
{
    assert_int_equal(holdfast_options_set_heartbeat(options, 5000, 2000), HOLDFAST_OK);
}

static void a_peer_that_answers_no_ping_is_given_up_in_time(void **state)
{
    struct stage *s = stage_new(13);
    open_place(s, 0, PLAIN);
    begin(s, one_url, short_heartbeats);
    (void)await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(5));
    run(s, HF_SECONDS(60)); /* pongs come */
    assert_int_equal(s->places[0].requests, 1);
    s->places[0].newest->pongs = false;
    const hf_time start = sim_now(s->sim);
    const struct told *told = await(s, HOLDFAST_EVENT_RECONNECTING, HF_SECONDS(9));
    assert_string_equal(told->cause, "heartbeat");
    assert_in_range(told->at - start, HF_SECONDS(2), HF_SECONDS(7) + HF_MS(300));
    stage_free(s);
}

static void a_machine_that_slept_pings_before_it_judges(void **state)
{
    struct stage *s = stage_new(14);
    open_place(s, 0, GATEWAY);
    begin(s, one_url, NULL);
    (void)await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(5));
    sim_loop_freeze(s->io, sim_now(s->sim) + HF_SECONDS(3600));
    run(s, HF_SECONDS(3601));
    run(s, HF_SECONDS(10));
    assert_int_equal(s->places[0].requests, 1); /* the connection stands */
    stage_free(s);
}

static void a_path_that_goes_dark_is_left_within_two_beats(void **state)
{
    struct stage *s = stage_new(15);
    open_place(s, 0, GATEWAY);
    begin(s, one_url, NULL);
    (void)await(s, HOLDFAST_EVENT_OPEN, HF_SECONDS(5));
    sim_darken(s->places[0].newest->stream);
    const hf_time start = sim_now(s->sim);
    const struct told *told = await(s, HOLDFAST_EVENT_RESUMED, HF_SECONDS(40));
    assert_in_range(told->at - start, HF_SECONDS(25), HF_SECONDS(31));
    stage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_are_drawn_from_a_bound_that_doubles_to_the_cap_and_never_end),
        cmocka_unit_test(a_connection_that_had_a_hello_is_followed_within_a_quarter_of_a_second),
        cmocka_unit_test(a_resume_that_succeeds_resets_the_waits),
        cmocka_unit_test(five_seconds_of_uptime_reset_the_waits_and_less_does_not),
        cmocka_unit_test(retry_after_and_the_gateways_retry_are_waited_for),
        cmocka_unit_test(
            an_address_that_does_not_answer_is_joined_by_the_next_after_a_quarter_of_a_second),
        cmocka_unit_test(an_address_that_refuses_is_followed_at_once),
        cmocka_unit_test(an_attempt_that_nobody_answers_ends_with_its_time),
        cmocka_unit_test(of_two_endpoints_the_one_that_lives_longer_is_preferred_and_remembered),
        cmocka_unit_test(an_endpoint_that_fails_gives_way_to_the_other),
        cmocka_unit_test(offers_that_a_place_refuses_are_left_out_for_ten_minutes),
        cmocka_unit_test(a_place_that_once_said_hello_is_always_offered_hf1),
        cmocka_unit_test(goaway_moves_within_its_time_to_where_it_says),
        cmocka_unit_test(a_peer_that_answers_no_ping_is_given_up_in_time),
        cmocka_unit_test(a_machine_that_slept_pings_before_it_judges),
        cmocka_unit_test(a_path_that_goes_dark_is_left_within_two_beats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
