/* SPDX-License-Identifier: Apache-2.0 */
/* libholdfast: a WebSocket (RFC 6455) that outlives its connections.
 *
 * Behind a holdfast gateway a client of this library may lose its connection any number of times,
 * in any way: it comes back by itself and no message is lost, doubled or reordered in either
 * direction (docs/protocol.md). Without a gateway it is an ordinary WebSocket that reconnects.
 *
 * Whole program:
 *
 *     static void on_event(void *context, struct holdfast_client *client,
 *                          const struct holdfast_event *event)
 *     {
 *         if (event->kind == HOLDFAST_EVENT_MESSAGE) {
 *             printf("%.*s\n", (int)event->size, (const char *)event->data);
 *         }
 *     }
 *
 *     struct holdfast_options *options = holdfast_options_new();
 *     holdfast_options_add_url(options, "wss://app.example.com/ws/");
 *     holdfast_options_set_handler(options, on_event, NULL);
 *     struct holdfast_client *client = holdfast_client_new(NULL, options, NULL);
 *     holdfast_options_free(options);
 *     holdfast_client_send(client, HOLDFAST_TEXT, "hello", 5);
 *     ...
 *     holdfast_client_close(client, 1000, "");
 *     holdfast_client_free(client);
 *
 * Threads. Options belong to one thread at a time. Of a client, send, close, authorize, state and
 * stats may be called from any thread at any time, also inside the handler; what else is said
 * stands at the function. The handler runs on the loop's thread, never two at once for one loop,
 * never inside a call of another thread, and never inside holdfast_client_new or
 * holdfast_client_send.
 *
 * Texts are UTF-8 and end with NUL. What the library is given it copies; what it lends dies when
 * the handler returns. All times are milliseconds. SIGPIPE is never raised by the library. */
#ifndef HOLDFAST_H
#define HOLDFAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HOLDFAST_API __attribute__((visibility("default")))
#else
#define HOLDFAST_API
#endif

struct holdfast_options;
struct holdfast_loop;
struct holdfast_client;
struct holdfast_answer;

enum holdfast_status {
    HOLDFAST_OK = 0,
    HOLDFAST_NO_MEMORY = 1,
    HOLDFAST_INVALID = 2, /* an argument is wrong: holdfast_options_error says how */
    HOLDFAST_SYSTEM = 3,  /* no descriptor, no thread, a file that cannot be read */
};

/* "0.1.0". */
HOLDFAST_API const char *holdfast_version(void);
/* A short phrase for a status. Never NULL. */
HOLDFAST_API const char *holdfast_status_text(enum holdfast_status status);

/* ---- events -----------------------------------------------------------------------------------
 */

enum holdfast_type { HOLDFAST_TEXT = 1, HOLDFAST_BINARY = 2 };

enum holdfast_state {
    HOLDFAST_CONNECTING = 0,   /* never open yet: attempts go on */
    HOLDFAST_OPEN = 1,         /* messages flow */
    HOLDFAST_RECONNECTING = 2, /* the connection is lost; attempts go on */
    HOLDFAST_CLOSING = 3, /* holdfast_client_close was called; what was sent is still delivered */
    HOLDFAST_CLOSED = 4,  /* for good */
};
/* "connecting", "open", "reconnecting", "closing", "closed". */
HOLDFAST_API const char *holdfast_state_text(enum holdfast_state state);

enum holdfast_event_kind {
    /* A session, or without a gateway a connection, stands: the first, or a new one behind LOST.
     * `protocol`, `session`, `gateway`. */
    HOLDFAST_EVENT_OPEN = 1,
    /* A message came: `type`, `data`, `size`, and its `number` in the session. */
    HOLDFAST_EVENT_MESSAGE = 2,
    /* A connection or an attempt ended, `record` says how, and the next attempt comes in
     * `delay_ms`. `attempts` failed in a row. With a gateway this is not a loss. */
    HOLDFAST_EVENT_RECONNECTING = 3,
    /* The session goes on as if nothing had happened: `away_ms`, `attempts`. */
    HOLDFAST_EVENT_RESUMED = 4,
    /* The session could not go on (or, without a gateway, the connection ended): `lost` has the
     * counts and hands back what is not acknowledged. A new session opens next, or CLOSE follows.
     */
    HOLDFAST_EVENT_LOST = 5,
    /* The end: no attempt comes any more. `record`. The last event but a STATE. */
    HOLDFAST_EVENT_CLOSE = 6,
    /* `state` changed. Comes in front of the event that tells why. */
    HOLDFAST_EVENT_STATE = 7,
    /* The backend's connection was replaced behind the gateway; the messages `from` + 1 to `to`
     * that this client sent may not have been processed (equal: none). */
    HOLDFAST_EVENT_REBOUND = 8,
    /* Fresh credentials hold until `expires` (seconds since 1970; 0: for ever). */
    HOLDFAST_EVENT_AUTHORIZED = 9,
};
/* "open", "message", "reconnecting", "resumed", "lost", "close", "state", "rebound",
 * "authorized". */
HOLDFAST_API const char *holdfast_event_text(enum holdfast_event_kind kind);

/* How a connection ended; the same words as in the gateway's log. -1 in a number: not known. */
struct holdfast_record {
    const char *cause;    /* one word: "connection_reset", "backend_lost"; docs: holdfast(3) */
    const char *who;      /* "client", "gateway", "backend" or "network" */
    int code;             /* close code (RFC 6455 7.4); 1006: no Close came; 0: it never was open */
    int http;             /* status of a refused handshake; 0: none */
    const char *reason;   /* for people; may be a stranger's text; "" for none */
    int64_t held_ms;      /* from the start of the connection to its end */
    int64_t silent_rx_ms; /* at the end: since the last byte from the other side */
    int64_t silent_tx_ms; /* ... and to it */
    int64_t rtt_ms;       /* last round trip of a ping (RFC 6455 5.5.2) */
    uint64_t unacked;     /* messages sent and not acknowledged (with a gateway only) */
};

struct holdfast_message {
    enum holdfast_type type;
    const void *data;
    size_t size;
    uint64_t number; /* of the messages that the client sent in the session, from 1 */
    bool sent;       /* it went out at least once: it may have arrived */
};

/* The counts of a session that cannot go on. The messages `acked` + 1 to `old_received` arrived at
 * the gateway; those up to `sent` that are beyond are uncertain when old_received is not known. */
struct holdfast_lost {
    const char *reason; /* docs/protocol.md section 4; "no_gateway": an ordinary WebSocket ended */
    uint64_t received;  /* messages that came to the client */
    uint64_t acked;     /* the client's messages that the backend has taken for sure */
    uint64_t sent;      /* the client's messages that went out */
    int64_t old_received; /* the client's messages that the gateway counted; -1: not known */
    const struct holdfast_message *messages; /* not acknowledged, in their order; never sent again
                                                by the library; they die with the event */
    size_t message_count;
};

/* Fields that the kind does not name are zero or NULL. More may come behind in later versions. */
struct holdfast_event {
    enum holdfast_event_kind kind;
    enum holdfast_state state; /* always */
    enum holdfast_type type;
    const void *data;
    size_t size;
    uint64_t number;
    const char *protocol; /* subprotocol that the backend chose (RFC 6455 1.9); "": none */
    const char *session;  /* its name in the gateway's log; "" without a gateway */
    bool gateway;         /* a holdfast gateway answers */
    const struct holdfast_record *record;
    const struct holdfast_lost *lost;
    uint64_t attempts;
    int64_t delay_ms;
    int64_t away_ms;
    uint64_t from, to;
    int64_t expires;
    const char *url; /* of the endpoint, without its query; OPEN, RESUMED, RECONNECTING */
};

typedef void holdfast_handler(void *context, struct holdfast_client *client,
                              const struct holdfast_event *event);

/* ---- options ----------------------------------------------------------------------------------
 *
 * Setters return HOLDFAST_INVALID (and change nothing) for a value out of range, HOLDFAST_NO_MEMORY
 * (and change nothing), or HOLDFAST_OK. Options are copied by holdfast_client_new. */

/* NULL: no memory. */
HOLDFAST_API struct holdfast_options *holdfast_options_new(void);
/* NULL is accepted. */
HOLDFAST_API void holdfast_options_free(struct holdfast_options *options);
/* What was wrong with the last argument that was refused; "" for nothing. Lives until the next
 * setter. */
HOLDFAST_API const char *holdfast_options_error(const struct holdfast_options *options);

/* An endpoint: ws:, wss:, http:, https: or unix:/path/of.sock:/target (RFC 6455 3). At least one,
 * at most 16, say a direct host and a proxied one: the one whose connections live longest is
 * preferred, which the loop remembers for all its clients. */
HOLDFAST_API enum holdfast_status holdfast_options_add_url(struct holdfast_options *options,
                                                           const char *url);

/* Asked before every attempt, on the loop's thread, which waits meanwhile. Gives its answer with
 * holdfast_answer_set; without one the attempt fails and the next follows with backoff. */
typedef void holdfast_ask(void *context, struct holdfast_answer *answer);
/* Copies the text. Only inside a holdfast_ask. */
HOLDFAST_API void holdfast_answer_set(struct holdfast_answer *answer, const char *text);
/* In place of the urls. */
HOLDFAST_API enum holdfast_status holdfast_options_ask_url(struct holdfast_options *options,
                                                           holdfast_ask *ask, void *context);
/* Credentials. They go as Authorization: Bearer (RFC 6750 2.1), or as the query parameter named by
 * holdfast_options_set_token_query. NULL or "": none. */
HOLDFAST_API enum holdfast_status holdfast_options_set_token(struct holdfast_options *options,
                                                             const char *token);
HOLDFAST_API enum holdfast_status holdfast_options_ask_token(struct holdfast_options *options,
                                                             holdfast_ask *ask, void *context);
/* Sends the token as ?name=token in place of the header. NULL: the header. */
HOLDFAST_API enum holdfast_status holdfast_options_set_token_query(struct holdfast_options *options,
                                                                   const char *name);

/* A subprotocol to offer, in order of preference; at most 32 (RFC 6455 1.9). Names that begin with
 * "hf1" are refused. */
HOLDFAST_API enum holdfast_status holdfast_options_add_protocol(struct holdfast_options *options,
                                                                const char *protocol);
/* A header field of the handshake; at most 32. Those of the handshake itself are refused. */
HOLDFAST_API enum holdfast_status holdfast_options_add_header(struct holdfast_options *options,
                                                              const char *name, const char *value);
/* The Origin header (RFC 6454 7); NULL: none. */
HOLDFAST_API enum holdfast_status holdfast_options_set_origin(struct holdfast_options *options,
                                                              const char *origin);

/* A PEM file or directory of certificates to trust; NULL: the system's. */
HOLDFAST_API enum holdfast_status holdfast_options_set_ca(struct holdfast_options *options,
                                                          const char *path);
/* true: any certificate is accepted. The connection is then secret from no one who stands between.
 */
HOLDFAST_API void holdfast_options_set_insecure(struct holdfast_options *options, bool insecure);
/* A proxy for CONNECT (RFC 9110 9.3.6), "http://[user:password@]host[:port]"; "": none; NULL (the
 * default): from http_proxy, https_proxy, all_proxy and no_proxy as they stand when the client is
 * made (upper case too, but for HTTP_PROXY). Loopback addresses and "localhost" take a proxy from
 * the environment only if no_proxy is set and does not name them. */
HOLDFAST_API enum holdfast_status holdfast_options_set_proxy(struct holdfast_options *options,
                                                             const char *proxy);

/* false: hf1 is not offered; an ordinary WebSocket that reconnects. Default true. */
HOLDFAST_API void holdfast_options_set_hf1(struct holdfast_options *options, bool hf1);
/* false: one connection and no other attempt; CLOSE comes when it fails or ends. Default true. */
HOLDFAST_API void holdfast_options_set_reconnect(struct holdfast_options *options, bool reconnect);
/* Offers permessage-deflate (RFC 7692), which a gateway never agrees to with hf1. Default true. */
HOLDFAST_API void holdfast_options_set_deflate(struct holdfast_options *options, bool deflate);
/* Messages that wait or are not acknowledged, 1 to 2^31 (16384), and their bytes with 16 for each
 * (8 MiB); one message fits an empty queue whatever its size. */
HOLDFAST_API enum holdfast_status holdfast_options_set_queue(struct holdfast_options *options,
                                                             uint64_t messages, uint64_t bytes);
/* The largest message that may come, bytes (64 MiB); a larger one ends the connection with 1009. */
HOLDFAST_API enum holdfast_status holdfast_options_set_message_max(struct holdfast_options *options,
                                                                   uint64_t bytes);
/* Pings (RFC 6455 5.5.2): one after interval_ms without traffic (25000; 0: none); the connection is
 * given up when nothing comes for timeout_ms (10000). Up to one day each. */
HOLDFAST_API enum holdfast_status holdfast_options_set_heartbeat(struct holdfast_options *options,
                                                                 int64_t interval_ms,
                                                                 int64_t timeout_ms);
/* Waits are drawn from 0 to min(cap_ms, base_ms * 2^n): base 1 to cap (1000), cap to one day
 * (30000). */
HOLDFAST_API enum holdfast_status holdfast_options_set_backoff(struct holdfast_options *options,
                                                               int64_t base_ms, int64_t cap_ms);
/* For name, connection, TLS and handshake together: 100 to one day (20000). */
HOLDFAST_API enum holdfast_status
holdfast_options_set_connect_timeout(struct holdfast_options *options, int64_t timeout_ms);
/* Called for every event. */
HOLDFAST_API void holdfast_options_set_handler(struct holdfast_options *options,
                                               holdfast_handler *handler, void *context);

/* ---- loops ------------------------------------------------------------------------------------
 *
 * A loop carries any number of clients (thousands) on one thread: a thread of its own, or the
 * caller's. */

/* A loop that the caller turns. NULL: no memory or no descriptor. */
HOLDFAST_API struct holdfast_loop *holdfast_loop_new(void);
/* A loop with its own thread. NULL as above, or no thread. */
HOLDFAST_API struct holdfast_loop *holdfast_loop_start(void);
/* Its clients must have been freed. Stops the thread; not inside a handler. NULL is accepted. */
HOLDFAST_API void holdfast_loop_free(struct holdfast_loop *loop);

/* For the caller's own poll(2), select(2) or epoll(7): the descriptor, the events to wait for
 * (POLLIN always, so far), and for how many milliseconds at most (-1: for ever). After either,
 * holdfast_loop_process. Ask anew before each wait. All on the one thread that processes. */
HOLDFAST_API int holdfast_loop_fd(const struct holdfast_loop *loop);
HOLDFAST_API short holdfast_loop_events(const struct holdfast_loop *loop);
HOLDFAST_API int holdfast_loop_timeout(struct holdfast_loop *loop);
/* Does what is due and returns; never waits. Handlers run inside. Not for a loop with a thread, and
 * not inside a handler. */
HOLDFAST_API void holdfast_loop_process(struct holdfast_loop *loop);
/* Waits for at most timeout_ms (-1: for ever) and processes, for a program without other events. */
HOLDFAST_API void holdfast_loop_turn(struct holdfast_loop *loop, int timeout_ms);

/* ---- clients ----------------------------------------------------------------------------------
 */

/* Begins to connect. loop NULL: a loop with a thread of the client's own. A caller's loop: on its
 * thread. NULL on failure, and *why (which may be NULL) says it. */
HOLDFAST_API struct holdfast_client *holdfast_client_new(struct holdfast_loop *loop,
                                                         const struct holdfast_options *options,
                                                         enum holdfast_status *why);
/* Gives the client up without a goodbye: what is not delivered is lost, and with a gateway the
 * session waits out its window. After it no handler runs, unless it is called inside one. A
 * caller's loop: on its thread. NULL is accepted. */
HOLDFAST_API void holdfast_client_free(struct holdfast_client *client);

enum holdfast_send {
    HOLDFAST_SENT = 0,          /* goes out at once */
    HOLDFAST_QUEUED = 1,        /* goes out when there is a connection, or credit again */
    HOLDFAST_FULL = 2,          /* the queue is full: not taken */
    HOLDFAST_TOO_BIG = 3,       /* larger than the gateway permits: not taken */
    HOLDFAST_NOT_UTF8 = 4,      /* a text that is not UTF-8 (RFC 6455 5.6): not taken */
    HOLDFAST_NOT_OPEN = 5,      /* closing or closed: not taken */
    HOLDFAST_OUT_OF_MEMORY = 6, /* not taken */
};
/* "sent", "queued", "full", "too_big", "not_utf8", "not_open", "out_of_memory". */
HOLDFAST_API const char *holdfast_send_text(enum holdfast_send result);
/* Sends a whole message, copied. Messages of one thread keep their order. Never blocks. */
HOLDFAST_API enum holdfast_send holdfast_client_send(struct holdfast_client *client,
                                                     enum holdfast_type type, const void *data,
                                                     size_t size);
/* The application closes: code 1000 or 3000 to 4999, or 0 for none (else HOLDFAST_INVALID), reason
 * at most 123 bytes (RFC 6455 5.5; longer is cut; NULL: none). What was sent before is delivered
 * first, for 10 s at most; CLOSE comes when all is done. A second call does nothing. */
HOLDFAST_API enum holdfast_status holdfast_client_close(struct holdfast_client *client, int code,
                                                        const char *reason);
/* Fresh credentials for the session that runs (with a gateway; without one nothing happens):
 * AUTHORIZED answers, or the session ends. At most 8000 bytes. */
HOLDFAST_API enum holdfast_status holdfast_client_authorize(struct holdfast_client *client,
                                                            const char *token);
/* A waiting attempt is made now: say, when the network came back. */
HOLDFAST_API void holdfast_client_hurry(struct holdfast_client *client);
HOLDFAST_API enum holdfast_state holdfast_client_state(struct holdfast_client *client);

struct holdfast_stats {
    uint64_t received;       /* messages of the session */
    uint64_t sent;           /* that went out in the session */
    uint64_t acked;          /* that the backend has taken (with a gateway) */
    uint64_t queued;         /* that have not gone out */
    uint64_t queued_bytes;   /* of what waits or is not acknowledged, 16 for each counted */
    uint64_t connections;    /* that were open */
    uint64_t resumes;        /* that succeeded */
    uint64_t losses;         /* LOST events */
    int64_t rtt_ms;          /* -1: not known */
    int64_t next_attempt_ms; /* from now; -1: none waits */
};
/* size is sizeof(struct holdfast_stats) of the caller; what it is shorter is left out. */
HOLDFAST_API void holdfast_client_stats(struct holdfast_client *client,
                                        struct holdfast_stats *stats, size_t size);

#ifdef __cplusplus
}
#endif

#endif
