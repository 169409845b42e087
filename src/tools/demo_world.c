/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's world: see demo_world.h. */
#include "tools/demo_world.h"

#include "client/loop.h"
#include "io/epoll.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK HF_MS(20)
#define OPEN_STEP HF_MS(120)   /* between two clients of a side ... */
#define OPEN_WITHIN HF_MS(600) /* ... but all within this */
#define CHUNK_STEP HF_MS(200)
#define NOTE_STEP HF_MS(400)
#define SETTLE_BEFORE HF_MS(1200) /* the end of the run */
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

/* ---- counting ------------------------------------------------------------ */

static void count(struct demo_count *c, unsigned number)
{
    if (number <= c->last) {
        c->disorder++;
        return;
    }
    c->gaps += number - c->last - 1;
    c->last = number;
    c->got++;
}

/* "word 17": false when it is not of that kind. */
static bool read_numbered(struct hf_slice text, const char *word, unsigned *number)
{
    uint64_t value = 0;
    if (!hf_slice_starts(text, hf_slice_of(word)) ||
        !hf_slice_number(hf_slice_from(text, strlen(word)), UINT32_MAX, &value)) {
        return false;
    }
    *number = (unsigned)value;
    return true;
}

unsigned demo_client_lost(const struct demo_client *c)
{
    unsigned lost = c->chunks.gaps + c->notes.gaps;
    if (c->world->phase >= DEMO_LEAVING && c->opened > 0) {
        unsigned chunk = c->chunks.last > c->since ? c->chunks.last : c->since;
        lost += c->world->chunks - chunk + c->sent - c->notes.last;
    }
    return lost;
}

bool demo_client_is_right(const struct demo_client *c)
{
    return c->state == DEMO_LEFT && c->cuts > 0 && c->closes == 0 && demo_client_lost(c) == 0 &&
           c->chunks.disorder == 0 && c->notes.disorder == 0 && c->chunks.got > 0 &&
           c->notes.got == c->sent && c->sent > 0 && c->backend_opens == 1 &&
           c->backend_closes == 0;
}

static void mark(struct demo_client *c, enum demo_mark mark)
{
    size_t i = (size_t)(demo_world_now(c->world) / HF_MS(DEMO_MARK_MS));
    c->marks[i < DEMO_MARKS ? i : DEMO_MARKS - 1] |= (uint8_t)mark;
}

static void tell(enum demo_news news, const struct demo_client *c)
{
    c->world->options.news(c->world->options.owner, news, c);
}

/* ---- what happens to a client, of either side ---------------------------- */

static void client_here(struct demo_client *c, enum demo_news news)
{
    hf_time now = demo_world_now(c->world);
    bool first = c->opened == 0;
    if (first) {
        c->opened = now;
        c->since = c->world->chunks;
        c->chunks.last = c->world->chunks;
    } else if (c->state == DEMO_AWAY && now - c->lost_at > c->away_max) {
        c->away_max = now - c->lost_at;
    }
    c->state = DEMO_CONNECTED;
    tell(first ? DEMO_NEWS_OPENED : news, c);
}

static void client_cut(struct demo_client *c, const char *how)
{
    if (c->state != DEMO_CONNECTED) {
        return; /* an attempt that failed, or the end after the goodbye */
    }
    c->state = DEMO_AWAY;
    c->cuts++;
    c->how = how;
    c->lost_at = demo_world_now(c->world);
    mark(c, DEMO_MARK_CUT);
    tell(DEMO_NEWS_CUT, c);
}

static void client_text(struct demo_client *c, struct hf_slice text)
{
    unsigned number;
    if (read_numbered(text, "chunk ", &number)) {
        count(&c->chunks, number);
    }
}

static void client_failed(struct demo_client *c, const char *how)
{
    c->state = DEMO_FAILED;
    c->how = how;
    tell(DEMO_NEWS_FAILED, c);
}

/* ---- a plain client ------------------------------------------------------ */

static struct demo_client *client_of(struct demo_peer *peer)
{
    return HF_CONTAINER(peer, struct demo_client, peer);
}

static void plain_opened(struct demo_peer *peer)
{
    struct demo_client *c = client_of(peer);
    demo_peer_say(peer, "hello %s %u", demo_side_text(c->side), c->number);
    client_here(c, DEMO_NEWS_AGAIN);
}

static void plain_message(struct demo_peer *peer, struct hf_slice text)
{
    client_text(client_of(peer), text);
}

static void plain_pinged(struct demo_peer *peer) {}

static void plain_ended(struct demo_peer *peer, uint16_t code, const char *how)
{
    struct demo_client *c = client_of(peer);
    if (c->state == DEMO_LEFT) {
        return;
    }
    c->closes++; /* its application sees every end, also of an attempt */
    c->again = demo_world_now(c->world) + DEMO_AGAIN;
    client_cut(c, how);
    c->state = DEMO_AWAY;
}

static const struct demo_peer_handler plain_handler = {
    .opened = plain_opened, .message = plain_message, .pinged = plain_pinged, .ended = plain_ended};

static void connect_plain(struct demo_client *c)
{
    struct demo_world *w = c->world;
    demo_peer_fini(&c->peer);
    c->again = HF_NEVER;
    if (demo_peer_connect(&c->peer, w->loop, &w->plain_box.address, hf_random_next(&w->random),
                          &plain_handler) != HF_OK) {
        client_failed(c, "out of memory or descriptors");
    }
}

/* ---- a held client ------------------------------------------------------- */

static const char *static_cause(const struct holdfast_record *record)
{
    return record == NULL ? "unknown" : record->cause; /* the library's words live for ever */
}

static void held_event(void *context, struct holdfast_client *client,
                       const struct holdfast_event *event)
{
    struct demo_client *c = context;
    char hello[40];
    switch (event->kind) {
    case HOLDFAST_EVENT_OPEN:
        (void)snprintf(hello, sizeof(hello), "hello %s %u", demo_side_text(c->side), c->number);
        (void)holdfast_client_send(client, HOLDFAST_TEXT, hello, strlen(hello));
        client_here(c, DEMO_NEWS_AGAIN);
        break;
    case HOLDFAST_EVENT_MESSAGE:
        client_text(c, hf_slice(event->data, event->size));
        break;
    case HOLDFAST_EVENT_RECONNECTING:
        client_cut(c, static_cause(event->record));
        break;
    case HOLDFAST_EVENT_RESUMED:
        c->resumes++;
        client_here(c, DEMO_NEWS_RESUMED);
        break;
    case HOLDFAST_EVENT_LOST:
        c->closes++;
        break;
    case HOLDFAST_EVENT_CLOSE:
        if (c->state != DEMO_LEFT) {
            c->closes++;
            client_failed(c, static_cause(event->record));
        }
        break;
    case HOLDFAST_EVENT_STATE:
    case HOLDFAST_EVENT_REBOUND:
    case HOLDFAST_EVENT_AUTHORIZED:
        break;
    }
}

static void connect_held(struct demo_client *c)
{
    char where[128];
    char url[160];
    struct holdfast_options *options = holdfast_options_new();
    hf_address_text(&c->world->held_box.address, where);
    (void)snprintf(url, sizeof(url), "ws://%s/", where);
    if (options == NULL || holdfast_options_add_url(options, url) != HOLDFAST_OK) {
        holdfast_options_free(options);
        client_failed(c, "out of memory");
        return;
    }
    holdfast_options_set_handler(options, held_event, c);
    c->client = holdfast_client_new(c->world->library, options, NULL);
    holdfast_options_free(options);
    if (c->client == NULL) {
        client_failed(c, "out of memory or descriptors");
    }
}

/* ---- both ---------------------------------------------------------------- */

static void open_client(struct demo_client *c)
{
    c->state = DEMO_CONNECTING;
    if (c->side == DEMO_PLAIN_SIDE) {
        connect_plain(c);
    } else {
        connect_held(c);
    }
}

static void open_clients(struct demo_world *w, hf_time now)
{
    unsigned clients = w->options.clients;
    hf_time step = clients * OPEN_STEP > OPEN_WITHIN ? OPEN_WITHIN / clients : OPEN_STEP;
    for (unsigned i = 0; i < DEMO_SIDES * clients; i++) {
        struct demo_client *c = &w->clients[i];
        if (c->state == DEMO_WAITING && now >= (c->number - 1) * step) {
            open_client(c);
        } else if (c->state == DEMO_AWAY && c->side == DEMO_PLAIN_SIDE && now >= c->again) {
            connect_plain(c);
        }
    }
}

/* Its application writes a note, whether there is a connection or not. */
static void send_note(struct demo_client *c)
{
    char text[32];
    c->sent++;
    (void)snprintf(text, sizeof(text), "note %u", c->sent);
    if (c->side == DEMO_PLAIN_SIDE) {
        demo_peer_say(&c->peer, "%s", text);
    } else {
        (void)holdfast_client_send(c->client, HOLDFAST_TEXT, text, strlen(text));
    }
}

static void send_notes(struct demo_world *w, hf_time now)
{
    for (unsigned i = 0; i < DEMO_SIDES * w->options.clients; i++) {
        struct demo_client *c = &w->clients[i];
        bool writes = c->opened > 0 && (c->state == DEMO_CONNECTED || c->state == DEMO_AWAY);
        if (writes && now >= c->opened + c->sent * NOTE_STEP) {
            send_note(c);
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
    unsigned number;
    if (talk->client == NULL) {
        talk->client = who_says_hello(talk->world, text);
        if (talk->client != NULL) {
            talk->client->backend_opens++;
        }
    } else if (read_numbered(text, "note ", &number)) {
        count(&talk->client->notes, number);
    }
}

static void talk_pinged(struct demo_peer *peer) {}

static void talk_ended(struct demo_peer *peer, uint16_t code, const char *how)
{
    struct talk *talk = talk_of(peer);
    if (talk->client != NULL && talk->world->phase < DEMO_LEAVING) {
        talk->client->backend_closes++;
    }
}

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

/* To everyone who is there and has said hello. */
static void stream_chunks(struct demo_world *w, hf_time now)
{
    while (w->chunks < (unsigned)(now / CHUNK_STEP)) {
        w->chunks++;
        for (struct hf_list *node = w->talks.next; node != &w->talks; node = node->next) {
            struct talk *talk = HF_CONTAINER(node, struct talk, node);
            if (talk->client != NULL) {
                demo_peer_say(&talk->peer, "chunk %u", w->chunks);
            }
        }
    }
}

/* ---- the run ------------------------------------------------------------- */

static void leave_all(struct demo_world *w)
{
    for (unsigned i = 0; i < DEMO_SIDES * w->options.clients; i++) {
        struct demo_client *c = &w->clients[i];
        if (c->state != DEMO_CONNECTED) {
            continue;
        }
        c->state = DEMO_LEFT;
        if (c->side == DEMO_PLAIN_SIDE) {
            demo_peer_goodbye(&c->peer);
        } else {
            (void)holdfast_client_close(c->client, 1000, "");
        }
    }
}

/* Every held client is there and has what is due to it, and so has the backend. */
static bool is_settled(const struct demo_world *w)
{
    for (unsigned i = 0; i < w->options.clients; i++) {
        const struct demo_client *c = &w->clients[w->options.clients + i];
        if (c->state != DEMO_CONNECTED || c->chunks.last < w->chunks || c->notes.last < c->sent) {
            return false;
        }
    }
    return true;
}

static bool is_all_ended(const struct demo_world *w)
{
    for (unsigned i = 0; i < DEMO_SIDES * w->options.clients; i++) {
        const struct demo_client *c = &w->clients[i];
        if (c->peer.state == DEMO_PEER_OPEN ||
            (c->client != NULL && holdfast_client_state(c->client) != HOLDFAST_CLOSED)) {
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
        open_clients(w, now);
        stream_chunks(w, now);
        send_notes(w, now);
        if (now >= w->length - SETTLE_BEFORE || true_now >= late - SETTLE_BEFORE) {
            w->phase = DEMO_SETTLING;
        }
        break;
    case DEMO_SETTLING:
        if ((now >= w->length && is_settled(w)) || true_now >= late) {
            w->phase = DEMO_LEAVING;
            leave_all(w);
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
    if (w->phase < DEMO_LEAVING) {
        demo_box_tick(&w->plain_box);
        demo_box_tick(&w->held_box);
    }
}

static void mark_here(struct demo_world *w)
{
    for (unsigned i = 0; i < DEMO_SIDES * w->options.clients; i++) {
        if (w->clients[i].state == DEMO_CONNECTED) {
            mark(&w->clients[i], DEMO_MARK_HERE);
        }
    }
}

static void tick(struct hf_timer *timer, hf_time loop_now)
{
    struct demo_world *w = HF_CONTAINER(timer, struct demo_world, timer);
    mark_here(w);
    advance(w, demo_world_now(w), loop_now - w->started);
    hf_timer_set(w->loop, &w->timer, loop_now + TICK);
}

bool demo_world_turn(struct demo_world *w, hf_time max_wait)
{
    return hf_epoll_turn(w->loop, max_wait) && w->phase != DEMO_OVER;
}

/* ---- life ---------------------------------------------------------------- */

static void entropy(void *context, void *bytes, size_t size)
{
    int got = RAND_bytes(bytes, (int)size);
    HF_ASSERT(got == 1); /* the demo's seed came from there a moment ago */
}

static enum hf_status make_clients(struct demo_world *w)
{
    unsigned clients = w->options.clients;
    w->library = hf_client_loop_over(w->loop, entropy, NULL);
    w->clients = calloc((size_t)DEMO_SIDES * clients, sizeof(*w->clients));
    if (w->clients == NULL || w->library == NULL) {
        return HF_NO_MEMORY;
    }
    for (unsigned i = 0; i < DEMO_SIDES * clients; i++) {
        w->clients[i].world = w;
        w->clients[i].side = i < clients ? DEMO_PLAIN_SIDE : DEMO_HELD_SIDE;
        w->clients[i].number = 1 + i % clients;
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
    struct demo_box *boxes[] = {&w->plain_box, &w->held_box};
    enum hf_status status = make_backend(w);
    for (size_t i = 0; i < 2 && status == HF_OK; i++) {
        status = demo_box_init(boxes[i], &w->clock, &w->random, DEMO_AGE_MIN, DEMO_AGE_MAX);
    }
    if (status != HF_OK) {
        return status;
    }
    hf_listener_address(w->loop, w->backend, &w->plain_box.target);
    status = demo_gateway_init(&w->gateway, &w->plain_box.target, hf_random_next(&w->random), why);
    w->held_box.target = w->gateway.address;
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
    for (unsigned i = 0; w->clients != NULL && i < DEMO_SIDES * w->options.clients; i++) {
        demo_peer_fini(&w->clients[i].peer);
        holdfast_client_free(w->clients[i].client);
    }
    holdfast_loop_free(w->library);
    demo_gateway_fini(&w->gateway);
    while (!hf_list_empty(&w->talks)) {
        struct talk *talk = HF_CONTAINER(w->talks.next, struct talk, node);
        hf_list_remove(&talk->node);
        demo_peer_fini(&talk->peer);
        free(talk);
    }
    demo_box_fini(&w->plain_box);
    demo_box_fini(&w->held_box);
    hf_loop_free(w->loop);
    free(w->clients);
    *w = (struct demo_world){0};
}
