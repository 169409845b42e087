/* SPDX-License-Identifier: Apache-2.0 */
/* A client of libholdfast: its session (session/client.h), its attempts, its connection, and what
 * it tells the application.
 *
 * Everything but `lock` and what it guards belongs to the loop's thread. The handler is called
 * without the lock; what a handler may do to its own client (free, close, send) is why `depth`
 * counts how deep we are in calls that will still look at it. */
#ifndef HF_CLIENT_CLIENT_H
#define HF_CLIENT_CLIENT_H

#include "base/random.h"
#include "client/cause.h"
#include "client/dialer.h"
#include "client/loop.h"
#include "client/options.h"
#include "policy/backoff.h"
#include "policy/heartbeat.h"
#include "session/client.h"
#include "ws/endpoint.h"
#include "ws/handshake.h"

struct holdfast_client {
    struct holdfast_loop *loop;
    bool own_loop;
    struct hf_settings *settings;

    pthread_mutex_t lock; /* guards from here ... */
    struct hf_client session;
    struct hf_task task; /* work for the loop's thread */
    bool task_posted;
    bool close_asked, close_applied, hurry_asked;
    uint16_t asked_code;
    char asked_reason[HF_CLOSE_REASON_MAX + 1];
    enum holdfast_state state;
    struct holdfast_stats stats; /* the counters of connections, resumes and losses; rtt; next */
    /* ... to here */

    unsigned depth;
    bool started, dead;
    bool stuck;           /* there was no memory for what goes out: the connection is given up */
    pthread_cond_t *gone; /* who waits until it is freed */
    bool *gone_flag;
    pthread_mutex_t *gone_lock;

    struct hf_timer timer; /* the earliest of all that follows */
    hf_time retry_at;      /* the next attempt; HF_NEVER: none waits */
    hf_time settled_at;    /* the backoff starts anew; HF_NEVER */
    hf_time leave_at;      /* goaway: the connection is given up, at a quiet moment; HF_NEVER */
    hf_time leave_by;      /* ... or not quiet */
    struct hf_backoff backoff;
    uint64_t attempts; /* in a row that failed */

    /* The attempt, or the connection that came of it. */
    struct hf_dialer *dialer;
    char *url;      /* of the attempt or connection; owned */
    char *next_url; /* that a goaway named; owned */
    char *display;  /* the url without its query */
    bool offered_hf1;
    bool downgraded; /* this attempt leaves hf1 out because the last was refused */
    struct hf_buffer protocols, extensions;
    char key[HF_WS_KEY_CHARS];
    hf_time began;     /* the attempt */
    hf_time opened_at; /* the WebSocket stands; HF_NEVER: it does not */
    hf_time away_from; /* when the session's connection was lost; HF_NEVER: it was not */

    struct hf_stream *stream;
    struct hf_endpoint *endpoint;
    struct hf_heartbeat heartbeat;
    hf_time heard, said; /* last bytes */
    hf_time pinged;
    uint64_t unsent;          /* bytes that TCP had not acknowledged when it was last looked at */
    struct hf_buffer scratch; /* an escaped text */

    /* How the last connection or attempt ended. */
    enum hf_loss loss;
    uint16_t close_code;
    uint16_t http;
    int64_t retry_ms;
    struct hf_client_end end; /* what the gateway said */
    char why[256];
    struct holdfast_record record;
};

/* ---- client.c ---- */
/* Has the loop's thread look at it, from any thread. */
void hf_client_post(struct holdfast_client *c);
/* The timer to the earliest of all that waits. */
void hf_client_reschedule(struct holdfast_client *c);
/* Around every piece of work that may call the handler; leave frees a client that is dead. */
void hf_client_enter(struct holdfast_client *c);
/* False: it is gone. */
bool hf_client_leave(struct holdfast_client *c);

/* ---- attempt.c ---- */
/* Begins an attempt now. */
void hf_client_attempt(struct holdfast_client *c);
/* What the loop remembers of where the attempt or connection goes; dies at the next call for
 * another one. NULL: nothing, or no memory. */
struct hf_place *hf_client_place(struct holdfast_client *c);

/* ---- connection.c ---- */
/* A WebSocket stands: takes the stream over. */
void hf_client_adopt(struct holdfast_client *c, struct hf_stream *stream,
                     const struct hf_head *head);
/* Sends what there is. */
void hf_client_flush(struct holdfast_client *c);
/* Closes what stands or is under way, without telling anybody. */
void hf_client_drop(struct holdfast_client *c);
/* The connection is given up by us: with Close 4499 where that parks the session. */
void hf_client_give_up(struct holdfast_client *c, enum hf_loss loss, const char *why);
/* The connection or attempt is gone; loss and why are set. code: of the Close that came, or 0. */
void hf_client_gone(struct holdfast_client *c, uint16_t code);
/* Time passed. */
void hf_client_heartbeat(struct holdfast_client *c, hf_time now);
hf_time hf_client_heartbeat_due(const struct holdfast_client *c);

/* ---- events.c ---- */
/* Tells the application what the session has to tell. */
void hf_client_tell_all(struct holdfast_client *c);
void hf_client_set_state(struct holdfast_client *c, enum holdfast_state state);
void hf_client_say_loss(struct holdfast_client *c, enum hf_loss loss, const char *why);

#endif
