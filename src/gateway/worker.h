/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the gateway share: the runtime made from a configuration, the worker (one loop
 * on one thread), the opening (a client from accept to 101) and the relay (an open WebSocket with
 * both its legs).
 *
 * An accepted connection is an opening until its handshake is done, then a relay; each ends with
 * exactly one ending record. All of a worker's objects live on its thread; the runtime, the limits
 * and the ledger are shared and guard themselves. */
#ifndef HF_GATEWAY_WORKER_H
#define HF_GATEWAY_WORKER_H

#include "base/list.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/table.h"
#include "cause/ending.h"
#include "config/config.h"
#include "gateway/jwt.h"
#include "gateway/limits.h"
#include "http/head.h"
#include "io/io.h"
#include "policy/access.h"
#include "policy/heartbeat.h"
#include "policy/rate_limit.h"
#include "session/session.h"
#include "ws/extension.h"
#include "ws/flow.h"

#include <pthread.h>
#include <stdatomic.h>

struct hf_identity;
struct hf_keeper;
struct hf_ledger;
struct hf_tls;
struct hf_worker;

/* ---- counters ---------------------------------------------------------------------------------
 */

/* One set a worker, written only by its thread with relaxed stores; read by the admin's. Rows:
 * name, help. */
#define HF_COUNTERS(row)                                                                           \
    row(fallback_streams, "Event streams that sessions without WebSockets asked for") row(         \
        fallback_polls,                                                                            \
        "Polls of sessions without WebSockets") row(fallback_posts,                                \
                                                    "POSTs of sessions without WebSockets")        \
        row(moves, "Connections that went to the worker of their session") row(                    \
            connections_accepted,                                                                  \
            "Connections that clients opened") row(handshakes_ok, "Handshakes answered with 101")  \
            row(handshakes_refused, "Handshakes refused by the gateway or the backend") row(       \
                messages_client,                                                                   \
                "Whole messages from clients") row(messages_backend,                               \
                                                   "Whole messages from backends")                 \
                row(bytes_client, "Bytes of frames from clients") row(                             \
                    bytes_backend,                                                                 \
                    "Bytes of frames from backends") row(pings_sent_client,                        \
                                                         "Pings the gateway sent to clients")      \
                    row(pings_sent_backend, "Pings the gateway sent to backends") row(             \
                        pings_answered_client, "Pings of clients the gateway answered")            \
                        row(pings_answered_backend, "Pings of backends the gateway answered") row( \
                            beats_answered, "Application heartbeats answered at the edge")         \
                            row(messages_delayed, "Messages held back by a rate limit") row(       \
                                limit_dry_run, "Times a limit would have acted but for dry_run")   \
                                row(upstream_connects, "Connections opened to backends") row(      \
                                    upstream_connect_failures,                                     \
                                    "Failed attempts to connect to a backend")                     \
                                    row(backend_holds,                                             \
                                        "Times a client was held because its backend "             \
                                        "was lost") row(backend_holds_replaced,                    \
                                                        "Holds that another backend "              \
                                                        "connection ended")                        \
                                        row(backend_holds_failed, "Holds that ended without one: " \
                                                                  "by time, or by a refusal")      \
                                            row(backend_holds_left,                                \
                                                "Holds that the client's leaving "                 \
                                                "or the gateway ended") row(backend_hold_ms,       \
                                                                            "Milliseconds that "   \
                                                                            "clients were "        \
                                                                            "held, over all "      \
                                                                            "holds that ended")    \
                                                row(sessions_opened, "Sessions (hf1) that "        \
                                                                     "were opened")                \
                                                    row(sessions_joined,                           \
                                                        "Openings that joined a session whose "    \
                                                        "first answer was lost")                   \
                                                        row(sessions_parked,                       \
                                                            "Times a session lost its connection " \
                                                            "and waited for another")              \
                                                            row(accept_exhausted,                  \
                                                                "Times accepting rested for want " \
                                                                "of descriptors")

enum hf_counter {
#define HF_COUNTER_ENUM(name, help) HF_COUNT_##name,
    HF_COUNTERS(HF_COUNTER_ENUM)
#undef HF_COUNTER_ENUM
        HF_COUNTER_COUNT
};

/* ---- runtime ----------------------------------------------------------------------------------
 */

/* How a backend fares. Shared by all workers and kept over reloads as long as its route and URL
 * stay the same. */
struct hf_backend_state {
    _Atomic uint32_t refs;   /* runtimes */
    _Atomic uint32_t active; /* openings that chose it and relays on it */
    _Atomic uint32_t fails;  /* in a row */
    _Atomic hf_time down_until;
};

/* One backend of a route. */
struct hf_backend {
    const struct hf_upstream_config *config;
    struct hf_backend_state *state;
    struct hf_address address; /* len 0: the host is a name and is looked up for each connect */
    uint64_t hash;             /* of its URL: for consistent choice */
};

/* What a route counts; kept over reloads as long as its name stays the same. */
struct hf_route_state {
    _Atomic uint32_t refs;                    /* runtimes */
    _Atomic uint64_t open;                    /* relays */
    _Atomic uint64_t endings[HF_CAUSE_COUNT]; /* for metrics */
};

struct hf_route {
    const struct hf_route_config *config;
    struct hf_backend *backends;
    size_t backend_count;
    struct hf_jwt_keys *jwt;              /* NULL unless auth is jwt */
    struct hf_tls *tls;                   /* towards backends; NULL when none is https */
    struct hf_flow_rules client_rules[2]; /* without and with permessage-deflate */
    struct hf_flow_rules backend_rules[2];
    struct hf_heartbeat_rules client_beat;
    struct hf_heartbeat_rules backend_beat;
    struct hf_rate_rules message_rate; /* count 0: none */
    struct hf_rate_rules principal_rate;
    struct hf_session_rules session_rules;
    struct hf_flow_rules session_client_rules; /* of hf1: whole messages, text is checked */
    struct hf_flow_rules session_backend_rules;
    struct hf_callout_target *callout; /* gateway/callout.h; NULL unless auth is callout */
    struct hf_route_state *state;
};

/* Made from a configuration and shared by reference; a relay keeps the runtime it was opened under.
 */
struct hf_runtime {
    _Atomic uint32_t refs;
    struct hf_config *config;
    struct hf_socket_options
        sockets; /* the configuration's; TCP gives nobody up before send_timeout has judged him */
    struct hf_tls **listener_tls; /* one for each listener, NULL for plain */
    struct hf_route *routes;      /* as config->routes */
};

/* Reads certificates and keys. Takes the counts over from `before` (NULL: none). why gets a
 * sentence on failure. */
HF_MUST_USE enum hf_status hf_runtime_new(struct hf_config *config, const struct hf_runtime *before,
                                          struct hf_runtime **runtime, struct hf_buffer *why);
struct hf_runtime *hf_runtime_ref(struct hf_runtime *runtime);
void hf_runtime_unref(struct hf_runtime *runtime);
/* NULL when no route takes the path. path is normalised. */
struct hf_route *hf_runtime_route(struct hf_runtime *runtime, struct hf_slice path);

/* ---- process-wide -----------------------------------------------------------------------------
 */

/* What all workers of a process share; see gateway.h for its life. */
struct hf_gateway {
    struct hf_log *log; /* borrowed */
    struct hf_ledger *ledger;
    struct hf_limits *limits;
    uint8_t secret[16];         /* random: keys of tables, mask keys */
    uint8_t session_secret[32]; /* random: what the secrets of sessions are made from */
    uint32_t boot;              /* names this process in tokens */
    _Atomic uint64_t next_id;   /* of connections */
    _Atomic uint64_t endings[HF_CAUSE_COUNT];
    _Atomic uint64_t session_bytes; /* leased to workers: gateway/keep_memory.c */
    bool running;                   /* the start is over */
    _Atomic bool draining;          /* /readyz says 503 */
    _Atomic uint64_t reloads;
    _Atomic uint64_t reload_failures;
    hf_wall started;
    struct hf_list moves; /* under the lock: openings between two workers */
    struct hf_worker **workers;
    size_t worker_count;
    /* Under the lock: the ports that the system chose for listeners of port 0, which all workers
     * share. */
    struct hf_bound {
        struct hf_address configured;
        struct hf_address bound;
    } bound[16];
    size_t bound_count;
    /* The newest runtime; changed by reload alone, under the lock. */
    pthread_mutex_t lock;
    struct hf_runtime *runtime;
};

/* The newest runtime with a reference. Thread-safe. */
struct hf_runtime *hf_gateway_runtime(struct hf_gateway *gateway);

/* ---- worker -----------------------------------------------------------------------------------
 */

struct hf_worker_listener {
    struct hf_worker *worker;
    struct hf_listener *listener;
    struct hf_address address; /* as configured */
    struct hf_address bound;   /* with the port the system chose */
    bool proxy_protocol;
    struct hf_tls *tls; /* NULL: plain; replaced on reload */
    struct hf_list node;
};

/* Of the sessions (hf1) of a worker; as the counters. */
struct hf_session_gauges {
    _Atomic uint64_t states[HF_SESSION_STATES];
    _Atomic uint64_t resumes[HF_RESUME_VERDICTS];
    _Atomic uint64_t lost[HF_CAUSE_COUNT]; /* connections of sessions, by cause */
    _Atomic uint64_t at_risk;              /* messages */
    _Atomic uint64_t held;                 /* bytes of journals and queues */
    _Atomic uint64_t passing;   /* bytes of wires: messages that are not whole, or not taken */
    _Atomic uint64_t parked_ms; /* of sessions that were parked and are not any more */
};

struct hf_worker {
    struct hf_gateway *gateway;
    struct hf_loop *loop;
    unsigned index;
    struct hf_random random;
    uint8_t mask_secret[16]; /* mask keys are its SipHash of a counter: not to be predicted, RFC
                                6455 5.3 */
    uint64_t mask_count;
    struct hf_runtime *runtime; /* for new connections */
    struct hf_list listeners;
    struct hf_list openings; /* struct hf_opening */
    struct hf_list seats;    /* struct hf_seat: sessions without WebSockets */
    struct hf_table seats_by_key;
    struct hf_list relays; /* struct hf_relay that are open */
    struct hf_list
        closing; /* struct hf_relay that have ended and wait for their legs, at most 2 s */
    _Atomic size_t
        opening_count; /* written by its thread, read by the one that waits for the drain's end */
    _Atomic size_t relay_count; /* on both lists */
    struct hf_list redials_waiting; /* struct hf_redial: for one of the dials to end */
    uint32_t redials;               /* dials of redials that are under way */
    bool draining;
    hf_time quiet_until;   /* want of descriptors is not logged again before */
    struct hf_timer flush; /* writes the log out */
    struct hf_pool relay_pool;
    struct hf_pool opening_pool;
    struct hf_pool head_pool; /* struct hf_head */
    struct hf_pool dial_pool;
    struct hf_buffer scratch; /* where payloads are unmasked */
    struct hf_keeper *keeper; /* the hf1 sessions: gateway/keeper.h */
    struct hf_buffer record;  /* of the ledger: kept between records */
    _Atomic uint64_t counters[HF_COUNTER_COUNT];
    struct hf_session_gauges sessions;
    _Atomic uint64_t open_now; /* relays that are open */
};

static inline void hf_count(struct hf_worker *worker, enum hf_counter counter, uint64_t n)
{
    /* One writer: a plain add with relaxed accesses is enough and costs no lock prefix. */
    uint64_t value = atomic_load_explicit(&worker->counters[counter], memory_order_relaxed);
    atomic_store_explicit(&worker->counters[counter], value + n, memory_order_relaxed);
}

static inline void hf_count_ending(struct hf_gateway *gateway, enum hf_cause cause)
{
    atomic_fetch_add_explicit(&gateway->endings[cause], 1, memory_order_relaxed);
}

/* RFC 6455 5.3: nobody can tell the next key from those he has seen. */
void hf_worker_next_mask(struct hf_worker *worker, uint8_t mask[4]);
/* A limit would have acted but for dry_run: the line in the log. */
void hf_worker_say_dry_run(struct hf_worker *worker, uint64_t id, const char *limit);
/* The loop is the caller's and must outlive the worker. */
struct hf_worker *hf_worker_new(struct hf_gateway *gateway, struct hf_loop *loop, unsigned index,
                                uint64_t seed);
/* Ends everything at once; the loop must not be running. */
void hf_worker_free(struct hf_worker *worker);
/* Opens, keeps and closes listeners so that they are those of the runtime, and gives new
 * connections the runtime. On failure the listeners that could not be opened are named in why, the
 * others work. Loop thread (or before it runs). */
enum hf_status hf_worker_apply(struct hf_worker *worker, struct hf_runtime *runtime,
                               struct hf_buffer *why);
/* The start of such an object: who it is, without the closing brace. */
void hf_worker_print_identity(const struct hf_worker *worker, const struct hf_identity *identity,
                              hf_time opened, bool deflate, struct hf_buffer *out);
/* {"id":...} objects of at most `limit` open relays, commas between, appended. Loop thread. */
void hf_worker_print_sessions(struct hf_worker *worker, uint32_t limit, struct hf_buffer *out);
/* Stops accepting and says goodbye to every connection at a random time within `spread`. Twice: at
 * once. */
void hf_worker_drain(struct hf_worker *worker, hf_time spread);
/* Nothing is open any more. */
bool hf_worker_is_idle(const struct hf_worker *worker);

/* ---- principal and identity of a connection -----------------------------------------------------
 */

/* What is known of a connection and seldom read: one block of memory, the strings at its end. */
struct hf_identity {
    uint64_t id;
    struct hf_runtime *runtime; /* a reference */
    struct hf_route *route;
    struct hf_backend *backend;       /* NULL until chosen, and after it was left */
    struct hf_membership *membership; /* owned; NULL when no limit counts it */
    hf_wall expires;                  /* of the credential; INT64_MAX: never */
    uint8_t peer[16]; /* the client's address as believed; IPv4 mapped; zero for Unix */
    uint16_t peer_port;
    uint16_t subject_len;
    bool tls;
    char text[]; /* subject, NUL, redacted path and query, NUL */
};

/* What a connection holds in the limits. */
struct hf_membership {
    struct hf_limit_entry
        *entries[4]; /* by enum hf_limit_kind: references; NULL when no limit asks for them */
    uint8_t entered; /* bits by kind: it stands in that entry's connections */
};

/* "" when unknown. */
static inline const char *hf_identity_subject(const struct hf_identity *i)
{
    return i->text;
}
static inline const char *hf_identity_target(const struct hf_identity *i)
{
    return i->text + i->subject_len + 1;
}

/* The peer of a Unix socket has no address: all zero. */
static inline bool hf_peer_is_unix(const uint8_t peer[16])
{
    static const uint8_t none[16];
    return memcmp(peer, none, sizeof(none)) == 0;
}
/* The client's address for people: "unix" for a Unix socket's peer. */
static inline void hf_peer_text(const uint8_t peer[16], char text[46])
{
    if (hf_peer_is_unix(peer)) {
        memcpy(text, "unix", sizeof("unix"));
    } else {
        hf_ip_text(peer, text);
    }
}
/* One block with both strings; takes over the runtime's reference. NULL on no memory. */
struct hf_identity *hf_identity_new(struct hf_runtime *runtime, struct hf_slice subject,
                                    struct hf_slice target);
/* Gives back what it holds in the limits and in its backend's and route's counts. Twice is once. */
void hf_identity_leave(struct hf_identity *identity, struct hf_worker *worker);
/* Leaves and frees. NULL is accepted. */
void hf_identity_free(struct hf_identity *identity, struct hf_worker *worker);

#endif
