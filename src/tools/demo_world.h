/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's world, all in one process on loopback: a backend, middleboxes that cut every
 * connection, the gateway, and two groups of clients that behave alike.
 *
 *   plain   client -> middlebox -> backend
 *   held    client -> middlebox -> holdfast -> backend
 *
 * A plain client is a WebSocket with the loop that everybody writes by hand: connect again a second
 * after a close. A held one is libholdfast. The backend streams numbered chunks to everyone who is
 * there; each client sends numbered notes; whoever receives counts the gaps. */
#ifndef HF_TOOLS_DEMO_WORLD_H
#define HF_TOOLS_DEMO_WORLD_H

#include "tools/demo_box.h"
#include "tools/demo_gateway.h"
#include "tools/demo_peer.h"

#include <holdfast.h>

#define DEMO_SECONDS_MIN 8
#define DEMO_SECONDS_MAX 60
#define DEMO_CLIENTS_MAX 50      /* on a side */
#define DEMO_AGE_MIN HF_MS(2000) /* a connection is cut between these ages */
#define DEMO_AGE_MAX HF_MS(4000)
#define DEMO_AGAIN HF_MS(1000) /* a plain client connects again after so long */
#define DEMO_MARK_MS 100       /* of a client's life on one mark */
#define DEMO_MARKS ((DEMO_SECONDS_MAX + 5) * 1000 / DEMO_MARK_MS)

enum demo_side { DEMO_PLAIN_SIDE, DEMO_HELD_SIDE, DEMO_SIDES };

enum demo_state {
    DEMO_WAITING,    /* its turn to connect has not come */
    DEMO_CONNECTING, /* the first time */
    DEMO_CONNECTED,
    DEMO_AWAY, /* the connection was cut; the next attempt comes, or runs */
    DEMO_LEFT, /* it said goodbye at the end */
    DEMO_FAILED,
};

enum demo_mark { DEMO_MARK_CUT = 1, DEMO_MARK_HERE = 2 };

/* Numbers that must come one behind the other. */
struct demo_count {
    unsigned last; /* the highest number that came */
    unsigned got;
    unsigned gaps;     /* numbers that were left out */
    unsigned disorder; /* that came twice, or behind a higher one */
};

struct demo_world;

struct demo_client {
    struct demo_world *world;
    enum demo_side side;
    unsigned number; /* from 1, on its side */
    enum demo_state state;
    struct demo_peer peer;          /* of a plain client */
    struct holdfast_client *client; /* of a held one */
    hf_time again;                  /* when a plain client connects again */
    hf_time opened;                 /* first */
    hf_time lost_at;                /* when its connection was cut, while AWAY */
    hf_time away_max;               /* the longest time without a connection */
    unsigned cuts;                  /* connections that ended under it */
    unsigned closes;                /* that its application saw */
    unsigned resumes;
    unsigned since;            /* chunks streamed before it was there */
    struct demo_count chunks;  /* that came to it */
    unsigned sent;             /* its notes */
    struct demo_count notes;   /* of them, that came to the backend */
    unsigned backend_opens;    /* connections that the backend saw of it */
    unsigned backend_closes;   /* of those, that ended before the goodbye */
    const char *how;           /* the last cut: static */
    uint8_t marks[DEMO_MARKS]; /* bits of enum demo_mark, by the time of the run */
};

enum demo_phase {
    DEMO_RUNNING,
    DEMO_SETTLING, /* nothing new is sent; what is under way arrives */
    DEMO_LEAVING,  /* the goodbyes are out, and nothing is cut any more */
    DEMO_OVER,
};

enum demo_news {
    DEMO_NEWS_OPENED,
    DEMO_NEWS_CUT,
    DEMO_NEWS_RESUMED, /* its session goes on */
    DEMO_NEWS_AGAIN,   /* connected anew */
    DEMO_NEWS_FAILED,
};

struct demo_options {
    unsigned seconds;
    unsigned clients; /* on a side */
    uint64_t seed;
    /* Told when something happened to a client. */
    void (*news)(void *owner, enum demo_news news, const struct demo_client *client);
    void *owner;
};

struct demo_world {
    struct demo_options options;
    struct hf_loop *loop;
    struct holdfast_loop *library; /* libholdfast on the same loop */
    struct demo_clock clock;
    hf_time started; /* of the loop's time */
    hf_time length;
    enum demo_phase phase;
    struct hf_random random;
    struct demo_client *clients; /* plain ones first; options.clients of each side */
    struct demo_gateway gateway;
    struct demo_box plain_box; /* client -> backend */
    struct demo_box held_box;  /* client -> gateway */
    struct hf_listener *backend;
    struct hf_list talks; /* the backend's connections, all there ever were */
    unsigned chunks;      /* the backend has streamed */
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
    return side == DEMO_PLAIN_SIDE ? "plain" : "held";
}
/* Chunks that were for it and have not come, and its notes that have not come to the backend. While
 * the run goes on: only those that will not come any more, as far as can be seen. */
unsigned demo_client_lost(const struct demo_client *c);
/* The demo's promise for a held client has come true: it was cut, and nobody noticed. After the
 * run. */
bool demo_client_is_right(const struct demo_client *c);

#endif
