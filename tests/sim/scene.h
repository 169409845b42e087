/* SPDX-License-Identifier: Apache-2.0 */
/* A world of sessions: applications on the real client library, the real gateway, and a model
 * backend, on the simulated io, in one thread, from one seed.
 *
 * What is known of every message that an application or the backend sent is compared with every
 * message that the other one gets, at once: the next one of this session, whole, unchanged, once.
 * What an application is told of a loss (counts, messages handed back, the reason) is compared with
 * what happened. The first thing that does not hold is kept in `broken`, and the world stands still
 * from then on.
 *
 * How histories are told apart: each attempt of an application has a number in its URL, which the
 * backend sees. When the backend is asked for a connection, the gateway is looked into for the
 * session that asks; an application is told the name of the session that it opens.
 */
#ifndef HF_TESTS_SIM_SCENE_H
#define HF_TESTS_SIM_SCENE_H

#include "sim_io.h"

#include "base/buffer.h"
#include "base/random.h"

#include <holdfast.h>

struct scene;
struct app;
struct served;

/* ---- histories ------------------------------------------------------------------------------- */

struct note {
    uint32_t size;
    uint8_t opcode;
};
struct notes {
    struct note *at;
    uint32_t count, cap;
};

/* One session as its application sees it: from an open, or the loss before it, to its loss. */
struct life {
    struct hf_list node; /* of the application, the newest last */
    struct app *app;
    unsigned number;
    uint32_t first;        /* messages that the application sent before it */
    uint32_t last;         /* ... and before its end; UINT32_MAX: it lives */
    unsigned attempt;      /* that opened it; 0: not open yet */
    struct served *served; /* whose messages are due */
    uint32_t got;          /* messages of the backend */
    uint64_t sent;         /* at its loss: that went out */
    uint64_t acked;
    int64_t old_received;  /* -1: not known */
    uint64_t uncertain_to; /* of the last rebound */
    uint64_t attempt_seen; /* the highest number that a resume of it had; 0: none succeeded */
    unsigned boot;         /* of the gateway that it was opened at */
    char reason[32];
    uint64_t session;      /* its number at that gateway */
    hf_time last_attached; /* when the gateway last had a connection for it, or it began */
    bool told;             /* its end was told */
};

/* An application and its machine. */
struct app {
    struct hf_list node;
    struct scene *scene;
    unsigned id;
    struct hf_loop *loop;
    struct holdfast_loop *library;
    struct holdfast_client *client; /* NULL: given up */
    struct hf_address host;
    struct sim_path path; /* of its connections made next */
    hf_time detour;       /* one in three of them takes up to so much longer */
    struct hf_random random;
    char subject[16]; /* "": comes without a token */
    int64_t token_ms; /* for so long a token is good; 0: for ever */
    struct notes sent;
    struct hf_list lives;
    unsigned attempts;
    hf_time attempted; /* the last one began */
    bool connected;
    hf_time asleep; /* its machine sleeps until then */
    bool offline;   /* its network is gone */
    bool swallowed; /* ... and says nothing of it */
    bool closed;    /* the library said CLOSE */
    int asked;      /* code of the application's own close; 0: none */
    bool clean;     /* ... after which nothing was reported lost */
    bool rivaled;   /* somebody else may have taken its session over */
    bool barred;    /* its credentials may be refused */
    bool ghosts;    /* what it offers is offered again by somebody else */
    struct raw *ghost;
    char token[64], token_before[64]; /* of the newest hello, and of the one before it; "": none */
    unsigned cursed;                  /* so many resumes are cut soon */
    hf_time curse_after;              /* ... so long after they succeeded */
    struct hf_timer curse;
    uint32_t resumed, lost;
    char end_cause[64]; /* of CLOSE */
    int end_code;
};

/* A connection of the backend, and which session's it is. */
struct served {
    struct hf_list node; /* of the scene */
    struct scene *scene;
    unsigned id;
    struct app *app;
    unsigned attempt;
    unsigned boot;       /* of the gateway that asked for it */
    uint32_t boot_id;    /* ... in the names of its sessions */
    uint64_t session;    /* its number there; 0: not known */
    struct life *life;   /* NULL: its application has not opened it */
    struct served *next; /* that took its place */
    struct served *before;
    struct hf_stream *stream; /* NULL: gone */
    struct hf_endpoint *endpoint;
    struct hf_buffer head, answer;
    struct hf_timer timer;
    struct hf_timer resume;
    struct notes sent;
    uint32_t delivered; /* of them, to the application */
    uint32_t first;     /* number in the session of the first message that is due here */
    uint32_t got;
    uint32_t repeated; /* the last message of before that was sent here again: the prologue */
    uint16_t close_sent, close_got;
    uint32_t sent_at_close;
    bool open;
    bool was_open;
    bool cut;   /* it may miss what was sent to it: reset, crashed, vanished */
    bool dark;  /* its path is */
    bool ended; /* by the other side */
    bool close_when_flushed;
    hf_time paused; /* since when it does not read; 0: it reads */
    bool was_paused;
    uint32_t pings;    /* that nobody answered yet */
    int64_t token_exp; /* of the credentials that it was asked with; 0: none, or for ever */
};

enum upstream_mode {
    UPSTREAM_ACCEPTS,
    UPSTREAM_FORBIDS,     /* 403 */
    UPSTREAM_UNAVAILABLE, /* 503 */
    UPSTREAM_SILENT,
    UPSTREAM_HANGS_UP,
};

/* A client of hf1 by hand: what it gets is kept as lines, and nothing is done by itself. */
struct raw {
    struct hf_list node;
    struct scene *scene;
    struct hf_stream *stream;
    struct hf_endpoint *endpoint;
    struct hf_buffer head, out;
    struct hf_buffer
        told; /* a line for each message: "hello resumed=0 …", "text 5", "Close 1000" */
    struct hf_loop *loop;
    unsigned status;
    bool connected, ended, open;
    char token[64];
    uint64_t epoch, received, old_received;
    bool acks; /* answers hello with ack */
    char name[24];
    unsigned number;
    uint8_t kept; /* the byte that waits */
};

/* What the seeds met. */
#define SCENE_COUNTS(row)                                                                          \
    row(opens) row(messages_up) row(messages_down) row(resumes) row(replays_up) row(replays_down)  \
        row(parks) row(takeovers) row(rivals) row(ghosts_refused) row(joins) row(rebounds)         \
            row(uncertain) row(losses) row(expired) row(overflow) row(unknown) row(closed)         \
                row(backend_gone) row(auth) row(poison) row(handed_back) row(backend_closes)       \
                    row(goodbyes) row(goodbyes_lost) row(crashes) row(drains) row(expiries)        \
                        row(refusals) row(full) row(slept) row(prologues) row(late_goodbyes)       \
                            row(authorized)

struct scene_counts {
#define SCENE_COUNT(name) uint64_t name;
    SCENE_COUNTS(SCENE_COUNT)
#undef SCENE_COUNT
};

/* ---- the world ------------------------------------------------------------------------------- */

struct scene_options {
    uint64_t seed;
    const char
        *yaml; /* the gateway's; listens at 10.0.0.1:80, the upstream is http://10.1.0.1:9000 */
    size_t workers;
    bool trace; /* keep the story */
    bool print; /* and print it with times */
};

struct scene {
    struct sim *sim;
    struct hf_loop *outside; /* the backend's, and that of clients by hand */
    struct gate *gate;       /* the gateway and what is known of it: scene_gate.c */
    struct hf_log *log;
    struct scene_options options;
    struct hf_random random;
    struct hf_list apps, served, raws;
    struct hf_listener *upstream; /* NULL: down */
    enum upstream_mode mode;
    hf_time upstream_delay; /* of its answers */
    struct sim_path backend_path;
    const struct sim_path *raw_path; /* of the connection of a client by hand that is made now */
    enum sim_fate upstream_fate;
    unsigned boot; /* of gateways so far */
    bool holds;    /* on_backend_loss is not close */
    bool prologue;
    hf_time window; /* of parked sessions */
    uint64_t park_bytes, buffer;
    uint64_t parked_max, memory; /* 0: no limit that is to be expected */
    bool tokens;
    bool limited; /* connections or handshakes may be refused */
    bool draining;
    bool strangers_break; /* clients by hand break rules */
    hf_time frozen_until; /* a worker stands still */
    unsigned app_count, served_count, raw_count;
    hf_time began, next_check;
    struct scene_counts counts;
    struct hf_buffer trace;
    char broken[400];
};

/* NULL with a text on standard error when the configuration is wrong. */
struct scene *scene_new(const struct scene_options *options);
void scene_free(struct scene *s);
/* Lets the time go by. False when something broke. */
bool scene_run(struct scene *s, hf_time duration);
bool scene_until(struct scene *s, bool (*holds)(void *context), void *context, hf_time patience);
/* Everything is healed; all messages arrive; applications close or leave; the gateway comes to rest
 * and nothing is left. False when something broke. */
bool scene_finish(struct scene *s);
void scene_say(struct scene *s, const char *format, ...) HF_PRINTF(2, 3);
void scene_break(struct scene *s, const char *format, ...) HF_PRINTF(2, 3);

/* ---- the gateway ----------------------------------------------------------------------------- */

/* The process ends, as kill -9 does; gate_start boots the next one. */
void gate_crash(struct scene *s);
bool gate_start(struct scene *s);
bool gate_is_up(const struct scene *s);
void gate_drain(struct scene *s, hf_time spread);
void gate_freeze(struct scene *s, size_t worker, hf_time duration);
/* Sessions that it has, by state; NULL counts all. */
size_t gate_sessions(const struct scene *s, const char *state);
/* A control message of the application came on its present connection. */
bool gate_has_heard(const struct scene *s, const struct app *a);
/* How often a session was parked. */
uint64_t gate_parked(const struct scene *s);
uint64_t gate_ending(const struct scene *s, const char *cause);
/* The application's session is there, in this state. */
bool gate_has(const struct scene *s, const struct app *a, const char *state);

/* ---- applications ---------------------------------------------------------------------------- */

struct app_options {
    const char *host;    /* its address; NULL: 10.9.0.<id> */
    const char *subject; /* comes with tokens of this principal; NULL: without */
    int64_t token_ms;
    int64_t backoff_base_ms, backoff_cap_ms, connect_timeout_ms, heartbeat_ms,
        answer_ms; /* 0: usual */
    uint64_t queue_messages;
    const struct sim_path *path; /* NULL: calm */
};
struct app *app_new(struct scene *s, const struct app_options *options);
bool app_is_open(const struct app *a);
struct life *app_life(const struct app *a);
/* The next message. False: the library did not take it. */
bool app_send(struct app *a, uint8_t opcode, uint32_t size);
void app_close(struct app *a, int code, const char *reason);
/* Given up without a goodbye. */
void app_leave(struct app *a);
/* A box on the way resets its connections. */
void app_cut(struct app *a);
/* Its present connections go dark for good; new ones work. */
void app_roam(struct app *a);
/* Its network is gone, or comes back. */
void app_offline(struct app *a, bool offline);
void app_sleep(struct app *a, hf_time duration);
void app_hurry(struct app *a);
void app_authorize(struct app *a);
/* What it offered last. */
void app_offer(const struct app *a, struct hf_buffer *out);
/* The newest token of its session, and how far it has come; false when it has none. */
bool app_token(const struct app *a, char token[64], uint64_t *epoch, uint64_t *received,
               uint64_t *attempt);
/* All that it sent has arrived, and all that was sent to it. */
bool app_is_settled(const struct app *a);

/* ---- the backend ----------------------------------------------------------------------------- */

/* The newest connection of the application, NULL: none. */
struct served *app_served(const struct app *a);
bool served_is_open(const struct served *b);
void served_send(struct served *b, uint8_t opcode, uint32_t size, unsigned fragments);
void served_ping(struct served *b);
void served_close(struct served *b, uint16_t code, const char *reason);
void served_pause(struct served *b, hf_time duration); /* does not read; HF_NEVER: until resumed */
void served_resume(struct served *b);
void served_abort(struct served *b);
void served_darken(struct served *b);
void served_lighten(struct served *b);
void upstream_start(struct scene *s);
void upstream_crash(struct scene *s);

/* ---- by hand --------------------------------------------------------------------------------- */

/* Connects; what it offers goes out with raw_offer, once it is connected. */
struct raw *raw_new(struct scene *s, const char *host, const struct sim_path *path);
void raw_offer(struct raw *r, struct app *a, const char *protocols);
/* A POST of one text as message `seq` of the application's session, with the session's key; of its
 * body the last byte waits for raw_post_end. */
void raw_post(struct raw *r, struct app *a, unsigned seq, struct hf_slice text);
void raw_post_end(struct raw *r);
/* As an application's text message, a control message, a Close. */
void raw_text(struct raw *r, const char *text);
void raw_control(struct raw *r, const char *text);
void raw_close(struct raw *r, uint16_t code);
void raw_cut(struct raw *r);
bool raw_was_told(const struct raw *r, const char *start);

#endif
