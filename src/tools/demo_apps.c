/* SPDX-License-Identifier: Apache-2.0 */
/* The two applications behind the demo's pages: see demo_apps.h. */
#include "tools/demo_apps.h"

#include "http/url.h"
#include "tools/demo_peer.h"

#include <jansson.h>
#include <stdlib.h>

#define TICK HF_MS(20)
#define LETTER_EVERY HF_MS(1200)
#define CHUNKS_MAX 1000
#define CHUNK_EVERY_MAX 5000 /* ms */

enum app { APP_INBOX, APP_CHAT };

/* A connection of a visitor. */
struct talk {
    struct hf_list node;
    struct demo_apps *apps;
    struct demo_peer peer;
    enum app app;
    struct demo_visitor *visitor; /* NULL: there are too many */
    /* The answer that is streamed; asked 0: none. */
    unsigned asked, told;
    hf_time every, next;
};

static const char *const letters[][2] = {
    {"Ada", "The build is green again."},
    {"Grace", "Can somebody look at the queue in Frankfurt?"},
    {"Linus", "Merged. Thanks for the test."},
    {"Margaret", "Lunch at half past twelve, as ever."},
    {"Dennis", "The new phones arrived; yours is on the desk."},
    {"Barbara", "Your certificate ends in three weeks."},
    {"Ken", "I cut the network in the lab. Did anybody notice?"},
};
#define LETTERS (sizeof(letters) / sizeof(letters[0]))

static const char *const words[] = {
    "A ",         "connection ", "is ",     "a ",        "promise ", "that ",    "many ",
    "boxes ",     "on ",         "the ",    "way ",      "may ",     "break: ",  "a ",
    "timer ",     "that ",       "counts ", "silence, ", "a ",       "proxy ",   "that ",
    "restarts, ", "a ",          "phone ",  "that ",     "changes ", "its ",     "network. ",
    "A ",         "session ",    "counts ", "what ",     "came, ",   "keeps ",   "what ",
    "was ",       "not ",        "taken, ", "and ",      "goes ",    "on ",      "where ",
    "it ",        "was. ",       "So ",     "this ",     "answer ",  "arrives ", "whole, ",
    "however ",   "often ",      "you ",    "cut ",      "it. ",
};
#define WORDS (sizeof(words) / sizeof(words[0]))

static void send_json(struct talk *talk, json_t *message)
{
    char *text = message == NULL ? NULL : json_dumps(message, JSON_COMPACT);
    if (text != NULL) {
        demo_peer_send(&talk->peer, hf_slice_of(text));
    }
    free(text);
    json_decref(message);
}

/* ---- visitors ------------------------------------------------------------ */

static struct demo_visitor *visitor_of(struct demo_apps *a, struct hf_slice name)
{
    for (size_t i = 0; i < DEMO_VISITORS_MAX; i++) {
        struct demo_visitor *v = &a->visitors[i];
        if (v->name[0] == '\0' && name.len > 0 && name.len <= DEMO_VISITOR_NAME) {
            memcpy(v->name, name.ptr, name.len);
        }
        if (hf_slice_eq(hf_slice_of(v->name), name)) {
            return v;
        }
    }
    return NULL;
}

static void send_letter(struct demo_visitor *v, struct demo_apps *a, const char *from,
                        const char *text)
{
    v->messages++;
    for (struct hf_list *node = a->talks.next; node != &a->talks; node = node->next) {
        struct talk *talk = HF_CONTAINER(node, struct talk, node);
        if (talk->app == APP_INBOX && talk->visitor == v) {
            send_json(talk, json_pack("{ss si ss ss sI}", "type", "message", "n", v->messages,
                                      "from", from, "text", text, "at", (json_int_t)a->loop->wall));
        }
    }
}

static void send_letters(struct demo_apps *a)
{
    for (size_t i = 0; i < DEMO_VISITORS_MAX && a->visitors[i].name[0] != '\0'; i++) {
        struct demo_visitor *v = &a->visitors[i];
        const char *const *letter = letters[(v->messages + i) % LETTERS];
        send_letter(v, a, letter[0], letter[1]);
    }
}

/* ---- what a visitor says ------------------------------------------------- */

static void take_inbox(struct talk *talk, const json_t *message)
{
    const char *type = json_string_value(json_object_get(message, "type"));
    const char *text = json_string_value(json_object_get(message, "text"));
    if (type != NULL && strcmp(type, "ping") == 0) {
        send_json(talk, json_pack("{ss}", "type", "pong"));
    } else if (type != NULL && strcmp(type, "say") == 0 && text != NULL && talk->visitor != NULL) {
        send_letter(talk->visitor, talk->apps, "You", text);
    }
}

static void take_question(struct talk *talk, const json_t *message)
{
    json_int_t asked = json_integer_value(json_object_get(message, "ask"));
    json_int_t every = json_integer_value(json_object_get(message, "every_ms"));
    if (asked < 1 || asked > CHUNKS_MAX || every < 0 || every > CHUNK_EVERY_MAX) {
        send_json(talk, json_pack("{ss}", "error", "ask: 1 to 1000 pieces, every_ms: 0 to 5000"));
        return;
    }
    talk->asked = (unsigned)asked;
    talk->told = 0;
    talk->every = HF_MS(every);
    talk->next = talk->apps->loop->now;
}

static void stream_answer(struct talk *talk, hf_time now)
{
    while (talk->asked > 0 && talk->next <= now) {
        if (talk->told == talk->asked) {
            send_json(talk, json_pack("{si}", "done", talk->asked));
            talk->asked = 0;
            return;
        }
        send_json(talk, json_pack("{si ss}", "i", talk->told, "chunk", words[talk->told % WORDS]));
        talk->told++;
        talk->next += talk->every;
    }
}

/* ---- connections --------------------------------------------------------- */

static struct talk *talk_of(struct demo_peer *peer)
{
    return HF_CONTAINER(peer, struct talk, peer);
}

static void talk_opened(struct demo_peer *peer)
{
    struct talk *talk = talk_of(peer);
    struct hf_slice path;
    struct hf_slice query;
    struct hf_slice user;
    hf_target_split(hf_slice_of(peer->target), &path, &query);
    talk->app = hf_slice_starts(path, HF_LITERAL("/ws/chat")) ? APP_CHAT : APP_INBOX;
    if (hf_query_find(query, HF_LITERAL("user"), &user)) {
        talk->visitor = visitor_of(talk->apps, user);
    }
}

static void talk_message(struct demo_peer *peer, struct hf_slice text)
{
    struct talk *talk = talk_of(peer);
    json_t *message = json_loadb((const char *)text.ptr, text.len, 0, NULL);
    if (!json_is_object(message)) {
        send_json(talk, json_pack("{ss}", "error", "not a JSON object"));
    } else if (talk->app == APP_CHAT) {
        take_question(talk, message);
    } else {
        take_inbox(talk, message);
    }
    json_decref(message);
}

static void talk_pinged(struct demo_peer *peer) {}

static void talk_ended(struct demo_peer *peer, uint16_t code, const char *how) {}

static const struct demo_peer_handler talk_handler = {
    .opened = talk_opened, .message = talk_message, .pinged = talk_pinged, .ended = talk_ended};

static void on_accept(void *owner, struct hf_stream *stream, const struct hf_address *peer)
{
    struct demo_apps *a = owner;
    struct talk *talk = calloc(1, sizeof(*talk));
    if (talk == NULL) {
        hf_stream_abort(stream);
        return;
    }
    talk->apps = a;
    hf_list_append(&a->talks, &talk->node);
    enum hf_status status = demo_peer_accept(&talk->peer, stream, a->seeds++, &talk_handler);
    (void)status; /* without memory the stream is reset, and the talk stays silent */
}

static const struct hf_listener_handler listener_handler = {.on_accept = on_accept};

static void free_talk(struct talk *talk)
{
    hf_list_remove(&talk->node);
    demo_peer_fini(&talk->peer);
    free(talk);
}

static void tick(struct hf_timer *timer, hf_time now)
{
    struct demo_apps *a = HF_CONTAINER(timer, struct demo_apps, timer);
    struct hf_list *next;
    for (struct hf_list *node = a->talks.next; node != &a->talks; node = next) {
        struct talk *talk = HF_CONTAINER(node, struct talk, node);
        next = node->next;
        if (talk->peer.state == DEMO_PEER_ENDED) {
            free_talk(talk);
        } else {
            stream_answer(talk, now);
        }
    }
    if (now >= a->letter) {
        a->letter = now + LETTER_EVERY;
        send_letters(a);
    }
    hf_timer_set(a->loop, &a->timer, now + TICK);
}

enum hf_status demo_apps_init(struct demo_apps *a, struct hf_loop *loop)
{
    struct hf_listen how = {0};
    *a = (struct demo_apps){.loop = loop};
    hf_list_init(&a->talks);
    HF_ASSERT(hf_address_parse(HF_LITERAL("127.0.0.1:0"), &how.address));
    enum hf_status status = hf_loop_listen(loop, &how, &listener_handler, a, &a->listener);
    if (status == HF_OK) {
        hf_listener_address(loop, a->listener, &a->address);
        hf_timer_init(&a->timer, tick);
        hf_timer_set(loop, &a->timer, hf_loop_now(loop) + TICK);
    }
    return status;
}

void demo_apps_fini(struct demo_apps *a)
{
    if (a->loop == NULL) {
        return;
    }
    if (a->listener != NULL) {
        hf_timer_stop(a->loop, &a->timer);
    }
    while (!hf_list_empty(&a->talks)) {
        free_talk(HF_CONTAINER(a->talks.next, struct talk, node));
    }
    hf_listener_close(a->loop, a->listener);
    *a = (struct demo_apps){0};
}
