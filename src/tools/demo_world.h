/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's world, all in one process on loopback: a backend, middleboxes that cut what is silent,
 * the gateway, and two groups of clients that behave alike.
 *
 *   direct   client -> middlebox -> backend
 *   held     client -> middlebox -> holdfast -> middlebox -> backend
 *
 * A client says hello once and is silent from then on; it answers pings as every WebSocket does and
 * never pings. The backend streams a few numbered chunks at random moments to everyone who is
 * there. At the end whoever is left asks a last question and says goodbye when it is answered. */
#ifndef HF_TOOLS_DEMO_WORLD_H
#define HF_TOOLS_DEMO_WORLD_H

#include "tools/demo_box.h"
#include "tools/demo_gateway.h"
#include "tools/demo_peer.h"

#define DEMO_SECONDS_MIN 8
#define DEMO_SECONDS_MAX 60
#define DEMO_CLIENTS_MAX 50            /* on a side */
#define DEMO_SILENCE_MAX HF_SECONDS(3) /* of the middleboxes */
#define DEMO_CUT_MIN HF_MS(2500)       /* a direct connection must be cut between these ages */
#define DEMO_CUT_MAX HF_MS(4500)
#define DEMO_BURSTS_MAX 5
#define DEMO_BURST_CHUNKS 5
#define DEMO_MARK_MS 100 /* of a client's life on one mark */
#define DEMO_MARKS ((DEMO_SECONDS_MAX + 5) * 1000 / DEMO_MARK_MS)

enum demo_side { DEMO_DIRECT, DEMO_HELD, DEMO_SIDES };

enum demo_state {
    DEMO_WAITING, /* its turn to connect has not come */
    DEMO_OPENING,
    DEMO_OPEN,
    DEMO_LEFT,   /* it lived for the whole run and has said goodbye */
    DEMO_CUT,    /* the connection ended before the run did */
    DEMO_FAILED, /* it never opened */
};

enum demo_mark { DEMO_MARK_PING = 1, DEMO_MARK_MESSAGE = 2 };

struct demo_world;

struct demo_client {
    struct demo_peer peer;
    struct demo_world *world;
    enum demo_side side;
    unsigned number; /* from 1, on its side */
    enum demo_state state;
    hf_time opened;
    hf_time ended;       /* when it was cut or has left */
    uint16_t code;       /* at the end: of the Close, or 1006 */
    const char *how;     /* at the end: static */
    unsigned pings;      /* of the gateway, answered by the client */
    unsigned pings_back; /* ... and by the backend, on the other leg */
    unsigned chunks;     /* that came in their order */
    unsigned disorder;   /* that came twice, or not in their order */
    unsigned questions;  /* hello is one */
    unsigned answers;
    uint8_t marks[DEMO_MARKS]; /* bits of enum demo_mark, by the time of the run */
};

enum demo_phase {
    DEMO_RUNNING,
    DEMO_ASKING,  /* the last question is out */
    DEMO_LEAVING, /* the goodbyes are out */
    DEMO_OVER,
};

enum demo_news { DEMO_NEWS_OPENED, DEMO_NEWS_ENDED, DEMO_NEWS_STREAMED };

struct demo_options {
    unsigned seconds;
    unsigned clients; /* on a side */
    uint64_t seed;
    /* Told when something happened; client is NULL for STREAMED. */
    void (*news)(void *owner, enum demo_news news, const struct demo_client *client);
    void *owner;
};

struct demo_world {
    struct demo_options options;
    struct hf_loop *loop;
    struct demo_clock clock;
    hf_time started; /* of the loop's time */
    hf_time length;
    enum demo_phase phase;
    struct hf_random random;
    struct demo_client *clients; /* direct ones first; options.clients of each side */
    struct demo_gateway gateway;
    struct demo_box direct_box; /* client -> backend */
    struct demo_box front_box;  /* client -> gateway */
    struct demo_box back_box;   /* gateway -> backend */
    struct hf_listener *backend;
    struct hf_list talks; /* the backend's connections, all there ever were */
    hf_time bursts[DEMO_BURSTS_MAX];
    unsigned burst_count;
    unsigned chunks; /* the backend has streamed */
    struct hf_timer timer;
};

/* Everything listens and the gateway runs. On failure why says what is wrong; fini is due in any
 * case. */
HF_MUST_USE enum hf_status demo_world_init(struct demo_world *w, const struct demo_options *options,
                                           struct hf_buffer *why);
/* One turn of the loop, of at most max_wait. False when the run is over. */
bool demo_world_turn(struct demo_world *w, hf_time max_wait);
void demo_world_fini(struct demo_world *w);

static inline hf_time demo_world_now(struct demo_world *w)
{
    return demo_clock_now(&w->clock);
}
static inline struct demo_client *demo_world_client(struct demo_world *w, enum demo_side side,
                                                    unsigned index)
{
    return &w->clients[side * w->options.clients + index];
}
static inline const char *demo_side_text(enum demo_side side)
{
    return side == DEMO_DIRECT ? "direct" : "held";
}
/* How long its connection has lived, or did. */
hf_time demo_client_life(const struct demo_client *c);
/* It is open, or left after the whole run. */
bool demo_client_is_alive(const struct demo_client *c);
/* What the demo promises of it has come true. After the run. */
bool demo_client_is_right(const struct demo_client *c);

#endif
