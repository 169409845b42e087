/* SPDX-License-Identifier: Apache-2.0 */
/* A world around the real gateway: model clients and model backends on the simulated io, in one
 * thread, from one seed.
 *
 * Messages are numbered: the n-th message of one side of a session has a content that only it has,
 * so whoever receives checks at once that it is the next one, whole and unchanged. What must hold
 * always is checked after every step; the first thing that does not hold is kept in `broken`, and
 * the world stands still from then on. */
#ifndef HF_TESTS_SIM_WORLD_H
#define HF_TESTS_SIM_WORLD_H

#include "sim_io.h"

#include "cause/ending.h"
#include "gateway/gateway.h"
#include "ws/endpoint.h"

#define WORLD_BACKENDS_MAX 2

struct world;
struct session;

/* ---- peers: what speaks WebSocket at either end ---------------------------------------------- */

enum peer_state {
    PEER_NONE,      /* not there yet */
    PEER_HANDSHAKE, /* connecting, or heads go by */
    PEER_OPEN,
    PEER_GONE, /* its stream is closed */
};

struct message {
    uint32_t size;
    uint8_t opcode;
};

struct peer {
    struct session *session; /* of a backend's side: NULL until the request names it */
    struct world *world;
    struct hf_list node; /* of the world */
    bool is_client;
    enum peer_state state;
    struct hf_stream *stream;
    struct hf_endpoint *endpoint;
    struct hf_buffer head;   /* that came */
    struct hf_buffer answer; /* or request, that is not sent yet */
    struct hf_timer timer;   /* for an answer that comes late, or a close that nobody answers */
    struct hf_timer resume;
    struct message *sent; /* messages that the endpoint has taken */
    uint32_t sent_count, sent_cap;
    uint32_t got;       /* that came and were right; the number of the next one that is due */
    uint32_t lost_to;   /* those from `got` up to this number may have gone with a lost backend */
    uint32_t replayed;  /* behind the last message of a prologue that came again */
    bool is_heir;       /* it follows a lost backend */
    bool fresh;         /* ... and no more of them may come */
    char key[25];       /* of a backend's request */
    uint32_t streaming; /* bytes of the next message that are out as fragments */
    bool is_streaming;
    uint32_t beats_sent, beat_answers;
    uint32_t pings_sent, pongs_got, pings_got;
    uint16_t close_sent, close_got, fault; /* 0: none */
    char close_reason[124];
    uint32_t sent_at_close, pings_at_close;
    bool ended; /* on_end came */
    enum hf_end_kind end;
    bool cut;       /* it ended its stream without Close, or a box in the middle did */
    bool fin;       /* ... behind all it had to send */
    bool disturbed; /* it may miss what the gateway says to it: dark, not reading, gone */
    bool shut_when_flushed, close_when_flushed;
    bool dark;
    hf_time darkened; /* or when the gateway last had a reason not to judge it */
    hf_time paused;   /* since when it does not read; 0: it reads */
    hf_time opened;
    struct backend *backend; /* of a backend's side */
};

struct session {
    struct hf_list node;
    unsigned id;
    struct world *world;
    struct hf_address source;
    char subject[16]; /* "": none */
    struct peer *client;
    struct peer *backend; /* NULL until its request came */
    uint64_t may;         /* bits by enum hf_cause: endings that what happened explains */
    bool slow; /* a path of it is so slow that what is under way may miss the 2 s of an ending */
    uint16_t status; /* of the answer to the handshake; 0: none yet */
    uint32_t losses; /* of its backend, while the client was held */
    bool away;       /* it has no backend now */
    uint32_t given;  /* at least so many of the client's messages may be lost with its backend */
    uint32_t records;
    enum hf_cause cause; /* of its record */
    int64_t code, code_in, code_out, messages_client, messages_backend;
};

enum backend_mode {
    BACKEND_ACCEPTS,
    BACKEND_REFUSES,  /* 403 with a body */
    BACKEND_BABBLES,  /* no HTTP */
    BACKEND_SILENT,   /* reads and answers nothing */
    BACKEND_HANGS_UP, /* in place of an answer */
};

struct backend {
    struct world *world;
    struct hf_listener *listener; /* NULL: down */
    struct hf_address address;
    enum backend_mode mode;
    hf_time delay; /* of its answers */
};

/* ---- the world ------------------------------------------------------------------------------- */

struct world_options {
    uint64_t seed;
    const char
        *yaml; /* of the gateway; upstreams are http://10.1.0.1:9000 and http://10.1.0.2:9000 */
    size_t workers;
    size_t backends;
    bool trace; /* keep the story */
    bool print; /* and print it with times */
};

/* What the configuration promises, for the checks. 0: not promised. */
struct world_rules {
    uint32_t messages_per_minute;
    uint32_t messages_burst;
    uint32_t address_connections;
    uint32_t principal_per_minute;
    uint32_t principal_connections;
    const char *beat, *beat_answer; /* application heartbeat, answered at the edge */
    bool holds;                     /* clients outlive their backends */
    bool prologue;
    uint32_t drop_replies; /* of backends that were given a prologue */
    hf_time client_interval, client_timeout, backend_interval, backend_timeout, send_timeout;
};

struct world {
    struct sim *sim;
    struct hf_loop *outside;
    struct hf_gateway *gateway;
    struct hf_loop *loops[4];
    struct hf_config *config;
    struct hf_log *log;
    struct world_options options;
    struct world_rules rules;
    struct hf_address door;
    struct hf_random random;
    struct hf_list sessions;
    struct hf_list peers;
    struct backend backends[WORLD_BACKENDS_MAX];
    struct sim_path client_path, backend_path; /* of connections made next */
    enum sim_fate backend_fate;                /* of the gateway's connects */
    unsigned session_count;
    uint64_t records_seen;
    hf_time began;
    hf_time next_check;
    bool draining;
    uint64_t newcomers; /* causes that whoever comes may meet in its handshake */
    uint64_t always;    /* causes that anything may have now, such as a drain */
    struct hf_buffer trace;
    uint64_t endings[HF_CAUSE_COUNT]; /* of sessions, at the end */
    uint64_t holds, replaced; /* losses of backends that clients were held over, and those that
                                 ended well */
    uint64_t farewells, deliveries; /* Closes and completenesses that could be demanded */
    char broken[400];               /* "": all holds */
};

/* NULL with a text on standard error when the configuration is wrong. */
struct world *world_new(const struct world_options *options);
void world_free(struct world *w);
/* Lets the time go by. False when something broke. */
bool world_run(struct world *w, hf_time duration);
/* Runs until the condition holds, at most `patience`; false when it never did, or something broke.
 */
bool world_until(struct world *w, bool (*holds)(void *context), void *context, hf_time patience);
/* Everything the models hold is closed, the gateway comes to rest, and the books are looked
 * through: every ending recorded once and explained, nothing left. False when something broke. */
bool world_finish(struct world *w);
void world_say(struct world *w, const char *format, ...) HF_PRINTF(2, 3);
void world_break(struct world *w, const char *format, ...) HF_PRINTF(2, 3);
/* The gateway's relay of a session, NULL when there is none that is open. */
struct hf_relay;
struct hf_relay *world_relay(struct world *w, const struct session *s);

/* ---- deeds ----------------------------------------------------------------------------------- */

/* The environment variable that holds the secret of the tokens, for jwt.keys. */
#define WORLD_SECRET "SIM_TOKEN_SECRET"

/* How a client comes. */
struct session_options {
    const char *source;  /* address; NULL: 10.9.0.1 */
    const char *subject; /* comes with a token of this principal; NULL: with none */
    int64_t token_ms;    /* for so long the token is good; 0: for ever */
    bool silent;         /* connects and sends nothing */
    bool half;           /* sends half of its request */
    bool garbage;        /* sends no HTTP */
};
struct session *session_open(struct world *w, const struct session_options *options);
bool peer_is_open(const struct peer *p);
/* The next numbered message, in so many fragments, some of them empty, pings between them. */
void peer_send(struct peer *p, uint8_t opcode, uint32_t size, unsigned fragments);
/* A piece of the next message goes out; the last one when `end`. */
void peer_stream(struct peer *p, uint32_t size, bool end);
void peer_ping(struct peer *p);
/* The application's own heartbeat. */
void peer_beat(struct peer *p);
void peer_close(struct peer *p, uint16_t code, const char *reason);
/* Does not read for so long; HF_NEVER: until peer_resume. */
void peer_pause(struct peer *p, hf_time duration);
void peer_resume(struct peer *p);
void peer_fin(struct peer *p);    /* ends its direction, reads on */
void peer_vanish(struct peer *p); /* closes its stream at once */
void peer_abort(struct peer *p);  /* RST */
void peer_reset(struct peer *p);  /* a box in the middle resets both sides */
void peer_darken(struct peer *p);
void peer_lighten(struct peer *p);
/* Bytes that break the protocol; `size` 0: a reserved opcode, else a message of that size. */
void peer_violate(struct peer *p, uint64_t size);
/* The first byte of a frame whose rest never comes. */
void peer_half_frame(struct peer *p);
void backend_crash(struct backend *b);
void backend_start(struct backend *b);
/* The gateway's connects fare so from now on. */
void world_backend_fate(struct world *w, enum sim_fate fate);
/* So many streams and listeners can still be opened, by the gateway and the models together. */
void world_descriptors(struct world *w, size_t more);
void world_drain(struct world *w, hf_time spread);
void world_reload(struct world *w, const char *yaml);

#endif
