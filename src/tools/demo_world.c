/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's world: see demo_world.h. */
#include "tools/demo_world.h"

#include "io/epoll.h"

#include <stdio.h>
#include <stdlib.h>

#define TICK HF_MS(20)
#define OPEN_STEP HF_MS(120)   /* between two clients of a side ... */
#define OPEN_WITHIN HF_MS(600) /* ... but all within this */
#define CHUNK_STEP HF_MS(120)
#define BURSTS_FROM HF_MS(4600) /* the direct connections are dead by then */
#define ASK_BEFORE HF_MS(700)   /* the end of the run */
#define BURSTS_BEFORE HF_MS(1600)
/* By the true clock the run may be late so much, and the goodbyes may take so long. */
#define LATE_MAX HF_MS(2500)
#define LEAVE_MAX HF_MS(2000)

/* A connection as the backend sees it. */
struct talk {
    struct hf_list node;
    struct demo_world *world;
    struct demo_peer peer;
    struct demo_client *client; /* whose it is, once it said hello */
};

/* ---- the clients --------------------------------------------------------- */

hf_time demo_client_life(const struct demo_client *c)
{
    switch (c->state) {
    case DEMO_OPEN:
        return demo_world_now(c->world) - c->opened;
    case DEMO_LEFT:
    case DEMO_CUT:
        return c->ended - c->opened;
    case DEMO_WAITING:
    case DEMO_OPENING:
    case DEMO_FAILED:
        break;
    }
    return 0;
}

bool demo_client_is_alive(const struct demo_client *c)
{
    return c->state == DEMO_OPEN || c->state == DEMO_LEFT;
}

bool demo_client_is_right(const struct demo_client *c)
{
    hf_time life = demo_client_life(c);
    if (c->side == DEMO_DIRECT) {
        return c->state == DEMO_CUT && life >= DEMO_CUT_MIN && life <= DEMO_CUT_MAX;
    }
    return c->state == DEMO_LEFT && c->code == 1000 && c->chunks == c->world->chunks &&
           c->chunks > 0 && c->disorder == 0 && c->questions == 2 && c->answers == c->questions;
}

static void mark(struct demo_client *c, enum demo_mark mark)
{
    size_t i = (size_t)(demo_world_now(c->world) / HF_MS(DEMO_MARK_MS));
    c->marks[i < DEMO_MARKS ? i : DEMO_MARKS - 1] |= (uint8_t)mark;
}

static void tell(struct demo_world *w, enum demo_news news, const struct demo_client *client)
{
    w->options.news(w->options.owner, news, client);
}

static struct demo_client *client_of(struct demo_peer *peer)
{
    return HF_CONTAINER(peer, struct demo_client, peer);
}

static void client_opened(struct demo_peer *peer)
{
    struct demo_client *c = client_of(peer);
    c->state = DEMO_OPEN;
    c->opened = demo_world_now(c->world);
    c->questions++;
    demo_peer_say(peer, "hello %s %u", demo_side_text(c->side), c->number);
    tell(c->world, DEMO_NEWS_OPENED, c);
}

static void client_message(struct demo_peer *peer, struct hf_slice text)
{
    struct demo_client *c = client_of(peer);
    struct hf_slice chunk = HF_LITERAL("chunk ");
    uint64_t number = 0;
    mark(c, DEMO_MARK_MESSAGE);
    if (!hf_slice_starts(text, chunk)) {
        c->answers++;
    } else if (hf_slice_number(hf_slice_from(text, chunk.len), UINT32_MAX, &number) &&
               number == c->chunks + 1) {
        c->chunks++;
    } else {
        c->disorder++;
    }
}

static void client_pinged(struct demo_peer *peer)
{
    struct demo_client *c = client_of(peer);
    c->pings++;
    mark(c, DEMO_MARK_PING);
}

static void client_ended(struct demo_peer *peer, uint16_t code, const char *how)
{
    struct demo_client *c = client_of(peer);
    c->code = code;
    c->how = how;
    if (c->state == DEMO_LEFT) {
        return; /* its life ended with its goodbye */
    }
    c->state = c->state == DEMO_OPEN ? DEMO_CUT : DEMO_FAILED;
    c->ended = demo_world_now(c->world);
    tell(c->world, DEMO_NEWS_ENDED, c);
}

static const struct demo_peer_handler client_handler = {.opened = client_opened,
                                                        .message = client_message,
                                                        .pinged = client_pinged,
                                                        .ended = client_ended};

static void open_client(struct demo_client *c)
{
    struct demo_world *w = c->world;
    const struct demo_box *box = c->side == DEMO_DIRECT ? &w->direct_box : &w->front_box;
    c->state = DEMO_OPENING;
    if (demo_peer_connect(&c->peer, w->loop, &box->address, hf_random_next(&w->random),
                          &client_handler) != HF_OK) {
        c->state = DEMO_FAILED;
        c->how = "out of memory or descriptors";
        tell(w, DEMO_NEWS_ENDED, c);
    }
}

static void open_clients(struct demo_world *w, hf_time now)
{
    unsigned count = w->options.clients;
    hf_time step = count * OPEN_STEP > OPEN_WITHIN ? OPEN_WITHIN / count : OPEN_STEP;
    for (unsigned i = 0; i < DEMO_SIDES * count; i++) {
        struct demo_client *c = &w->clients[i];
        if (c->state == DEMO_WAITING && now >= (c->number - 1) * step) {
            open_client(c);
        }
    }
}

/* ---- the backend --------------------------------------------------------- */

static struct talk *talk_of(struct demo_peer *peer)
{
    return HF_CONTAINER(peer, struct talk, peer);
}

/* "hello held 3": NULL when it is none of ours. */
static struct demo_client *who_says_hello(struct demo_world *w, struct hf_slice text)
{
    for (unsigned i = 0; i < DEMO_SIDES * w->options.clients; i++) {
        struct demo_client *c = &w->clients[i];
        char hello[32];
        (void)snprintf(hello, sizeof(hello), "hello %s %u", demo_side_text(c->side), c->number);
        if (hf_slice_eq(text, hf_slice_of(hello))) {
            return c;
        }
    }
    return NULL;
}

static void talk_opened(struct demo_peer *peer) {}

static void talk_message(struct demo_peer *peer, struct hf_slice text)
{
    struct talk *talk = talk_of(peer);
    if (talk->client == NULL) {
        talk->client = who_says_hello(talk->world, text);
    }
    demo_peer_say(peer, "answer to %.*s", HF_SLICE_ARG(hf_slice_first(text, 80)));
}

static void talk_pinged(struct demo_peer *peer)
{
    struct talk *talk = talk_of(peer);
    if (talk->client != NULL) {
        talk->client->pings_back++;
    }
}

static void talk_ended(struct demo_peer *peer, uint16_t code, const char *how) {}

static const struct demo_peer_handler talk_handler = {
    .opened = talk_opened, .message = talk_message, .pinged = talk_pinged, .ended = talk_ended};

static void on_accept(void *owner, struct hf_stream *stream, const struct hf_address *peer)
{
    struct demo_world *w = owner;
    struct talk *talk = calloc(1, sizeof(*talk));
    if (talk == NULL) {
        hf_stream_abort(stream);
        return;
    }
    talk->world = w;
    hf_list_append(&w->talks, &talk->node);
    enum hf_status status =
        demo_peer_accept(&talk->peer, stream, hf_random_next(&w->random), &talk_handler);
    (void)status; /* without memory the stream is reset, and the talk stays silent */
}

static const struct hf_listener_handler backend_handler = {.on_accept = on_accept};

/* How many chunks are due by now. */
static unsigned chunks_due(const struct demo_world *w, hf_time now)
{
    unsigned due = 0;
    for (unsigned i = 0; i < w->burst_count; i++) {
        for (unsigned k = 0; k < DEMO_BURST_CHUNKS; k++) {
            due += now >= w->bursts[i] + k * CHUNK_STEP;
        }
    }
    return due;
}

static void stream_chunks(struct demo_world *w, hf_time now)
{
    unsigned due = chunks_due(w, now);
    while (w->chunks < due) {
        w->chunks++;
        for (struct hf_list *node = w->talks.next; node != &w->talks; node = node->next) {
            demo_peer_say(&HF_CONTAINER(node, struct talk, node)->peer, "chunk %u", w->chunks);
        }
        if (w->chunks % DEMO_BURST_CHUNKS == 0) {
            tell(w, DEMO_NEWS_STREAMED, NULL);
        }
    }
}

/* Each at a random moment of its own part of the time that there is for them. */
static void plan_bursts(struct demo_world *w)
{
    hf_time from = BURSTS_FROM;
    hf_time parts = 1 + (w->options.seconds - DEMO_SECONDS_MIN) / 8;
    w->burst_count = (unsigned)(parts < DEMO_BURSTS_MAX ? parts : DEMO_BURSTS_MAX);
    hf_time part = (w->length - BURSTS_BEFORE - from) / w->burst_count;
    for (unsigned i = 0; i < w->burst_count; i++) {
        hf_time room = part - DEMO_BURST_CHUNKS * CHUNK_STEP;
        w->bursts[i] = from + i * part + (hf_time)hf_random_below(&w->random, (uint64_t)room);
    }
}

/* ---- the run ------------------------------------------------------------- */

static void ask_all(struct demo_world *w)
{
    for (unsigned i = 0; i < DEMO_SIDES * w->options.clients; i++) {
        struct demo_client *c = &w->clients[i];
        if (c->state == DEMO_OPEN) {
            c->questions++;
            demo_peer_say(&c->peer, "are you still there?");
        }
    }
}

static void leave_all(struct demo_world *w)
{
    for (unsigned i = 0; i < DEMO_SIDES * w->options.clients; i++) {
        struct demo_client *c = &w->clients[i];
        if (c->state == DEMO_OPEN) {
            c->state = DEMO_LEFT;
            c->ended = demo_world_now(w);
            demo_peer_goodbye(&c->peer);
        }
    }
}

static bool is_all_answered(const struct demo_world *w)
{
    for (unsigned i = 0; i < DEMO_SIDES * w->options.clients; i++) {
        const struct demo_client *c = &w->clients[i];
        if (c->state == DEMO_OPEN && c->answers < c->questions) {
            return false;
        }
    }
    return true;
}

static bool is_all_ended(const struct demo_world *w)
{
    for (unsigned i = 0; i < DEMO_SIDES * w->options.clients; i++) {
        if (w->clients[i].peer.state == DEMO_PEER_OPEN) {
            return false;
        }
    }
    return hf_gateway_is_idle(w->gateway.gateway);
}

/* The run is as long as it was promised by the demo's clock, and hardly longer by the true one. */
static void advance(struct demo_world *w, hf_time now, hf_time true_now)
{
    hf_time late = w->length + LATE_MAX;
    switch (w->phase) {
    case DEMO_RUNNING:
        if (now >= w->length - ASK_BEFORE || true_now >= late - ASK_BEFORE) {
            ask_all(w);
            w->phase = DEMO_ASKING;
        }
        break;
    case DEMO_ASKING:
        if ((now >= w->length && is_all_answered(w)) || true_now >= late) {
            leave_all(w);
            w->phase = DEMO_LEAVING;
        }
        break;
    case DEMO_LEAVING:
        if (is_all_ended(w) || true_now >= late + LEAVE_MAX) {
            w->phase = DEMO_OVER;
        }
        break;
    case DEMO_OVER:
        break;
    }
}

static void tick(struct hf_timer *timer, hf_time loop_now)
{
    struct demo_world *w = HF_CONTAINER(timer, struct demo_world, timer);
    hf_time now = demo_world_now(w);
    open_clients(w, now);
    stream_chunks(w, now);
    demo_box_tick(&w->direct_box);
    demo_box_tick(&w->front_box);
    demo_box_tick(&w->back_box);
    advance(w, now, loop_now - w->started);
    hf_timer_set(w->loop, &w->timer, loop_now + TICK);
}

bool demo_world_turn(struct demo_world *w, hf_time max_wait)
{
    return hf_epoll_turn(w->loop, max_wait) && w->phase != DEMO_OVER;
}

/* ---- life ---------------------------------------------------------------- */

static enum hf_status make_clients(struct demo_world *w)
{
    unsigned count = w->options.clients;
    w->clients = calloc((size_t)DEMO_SIDES * count, sizeof(*w->clients));
    if (w->clients == NULL) {
        return HF_NO_MEMORY;
    }
    for (unsigned i = 0; i < DEMO_SIDES * count; i++) {
        w->clients[i].world = w;
        w->clients[i].side = i < count ? DEMO_DIRECT : DEMO_HELD;
        w->clients[i].number = 1 + i % count;
    }
    return HF_OK;
}

static enum hf_status make_backend(struct demo_world *w)
{
    struct hf_listen how = {0};
    HF_ASSERT(hf_address_parse(HF_LITERAL("127.0.0.1:0"), &how.address));
    return hf_loop_listen(w->loop, &how, &backend_handler, w, &w->backend);
}

/* From the far end to the near one: each must know where the next listens. */
static enum hf_status make_path(struct demo_world *w, struct hf_buffer *why)
{
    struct demo_box *boxes[] = {&w->direct_box, &w->front_box, &w->back_box};
    enum hf_status status = make_backend(w);
    for (size_t i = 0; i < 3 && status == HF_OK; i++) {
        status = demo_box_init(boxes[i], &w->clock, DEMO_SILENCE_MAX);
    }
    if (status != HF_OK) {
        return status;
    }
    hf_listener_address(w->loop, w->backend, &w->direct_box.target);
    w->back_box.target = w->direct_box.target;
    status = demo_gateway_init(&w->gateway, &w->back_box.address, hf_random_next(&w->random), why);
    w->front_box.target = w->gateway.address;
    return status;
}

enum hf_status demo_world_init(struct demo_world *w, const struct demo_options *options,
                               struct hf_buffer *why)
{
    *w = (struct demo_world){.options = *options, .length = HF_SECONDS(options->seconds)};
    hf_list_init(&w->talks);
    hf_random_init(&w->random, options->seed);
    w->loop = hf_epoll_new();
    if (w->loop == NULL) {
        return HF_NO_DESCRIPTORS;
    }
    demo_clock_start(&w->clock, w->loop);
    plan_bursts(w);
    enum hf_status status = make_clients(w);
    if (status == HF_OK) {
        status = make_path(w, why);
    }
    /* The run begins now, not before everything stood. */
    (void)hf_epoll_turn(w->loop, 0);
    demo_clock_start(&w->clock, w->loop);
    w->started = hf_loop_now(w->loop);
    hf_timer_init(&w->timer, tick);
    hf_timer_set(w->loop, &w->timer, w->started);
    return status;
}

void demo_world_fini(struct demo_world *w)
{
    demo_gateway_fini(&w->gateway);
    for (unsigned i = 0; w->clients != NULL && i < DEMO_SIDES * w->options.clients; i++) {
        demo_peer_fini(&w->clients[i].peer);
    }
    while (!hf_list_empty(&w->talks)) {
        struct talk *talk = HF_CONTAINER(w->talks.next, struct talk, node);
        hf_list_remove(&talk->node);
        demo_peer_fini(&talk->peer);
        free(talk);
    }
    demo_box_fini(&w->direct_box);
    demo_box_fini(&w->front_box);
    demo_box_fini(&w->back_box);
    hf_loop_free(w->loop);
    free(w->clients);
    *w = (struct demo_world){0};
}
