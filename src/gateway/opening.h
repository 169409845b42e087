/* SPDX-License-Identifier: Apache-2.0 */
/* The opening of a connection: from accept to 101, or to a refusal. Phases follow each other in
 * this order, some are left out:
 *
 *   PROXY -> TLS -> HEAD -> (DELAY) -> (CALLOUT) -> DIAL -> relay
 *                                                       \-> REPLY   a backend's refusal
 *   any of them -> REPLY                                            a refusal of the gateway
 *
 * One ending record is made when it is refused or given up; when it becomes a relay the record is
 * the relay's.
 *
 * A request without WebSockets (docs/protocol.md section 9) that attaches goes the same way, turned
 * into the handshake it stands for; others are answered by fallback.c, and the connection may bring
 * another request afterwards, which begins again at HEAD. */
#ifndef HF_GATEWAY_OPENING_H
#define HF_GATEWAY_OPENING_H

#include "gateway/callout.h"
#include "gateway/dial.h"
#include "gateway/petition.h"
#include "gateway/worker.h"
#include "http/fallback.h"
#include "http/request_body.h"
#include "policy/cors.h"
#include "session/offer.h"

#define HF_DELAY_MAX HF_SECONDS(10)
/* A connection may wait so long for its next request: longer than proxies in front keep theirs when
 * the last one was for a session, else no longer than a browser needs behind a preflight. */
#define HF_KEEP_ALIVE HF_SECONDS(75)
#define HF_KEEP_STRANGER HF_SECONDS(5)

struct hf_seat;

enum hf_opening_phase {
    HF_OPENING_PROXY,
    HF_OPENING_START_TLS,
    HF_OPENING_TLS,
    HF_OPENING_HEAD,
    HF_OPENING_DELAY,
    HF_OPENING_CALLOUT,
    HF_OPENING_DIAL,
    HF_OPENING_REPLY,
    /* without WebSockets */
    HF_OPENING_BODY,   /* of a POST */
    HF_OPENING_POLL,   /* waits for messages */
    HF_OPENING_ANSWER, /* goes out, and the next request may follow */
};

struct hf_opening {
    struct hf_worker *worker;
    struct hf_runtime *runtime; /* a reference; NULL once the identity has it */
    struct hf_list node;        /* worker->openings */
    struct hf_timer timer;
    hf_time deadline; /* of the present phase */
    hf_time accepted;
    enum hf_opening_phase phase;
    bool ended;                  /* its record is made */
    uint8_t charged;             /* bits by enum hf_limit_kind: the handshake was charged there */
    bool admitted;               /* the limits by address, route and total were passed */
    bool tell_version;           /* the refusal carries Sec-WebSocket-Version */
    bool over_limit;             /* it may only come in as the next connection of a session */
    bool moved;                  /* it came from another worker */
    bool early_bytes;            /* the client sent bytes behind its head */
    struct hf_tls *listener_tls; /* borrowed from the runtime; NULL: plain */
    struct hf_stream *client;
    uint8_t peer[16];    /* as believed */
    uint8_t front[16];   /* the trusted proxy that named the client, when behind_proxy */
    bool unix_peer;      /* it came over a Unix socket */
    bool behind_proxy;   /* ... and did name it */
    bool front_trusted;  /* the connection itself comes from a trusted address */
    bool known;          /* its request is for a session that is there */
    bool again;          /* the connection has brought a request before this one */
    uint8_t nearest[16]; /* who the connection itself comes from */
    uint16_t nearest_port;
    uint16_t peer_port;
    uint64_t id;
    size_t head_seen; /* bytes of the head that were looked at */
    /* from HEAD on */
    struct hf_head *head; /* slices into head_bytes */
    struct hf_buffer head_bytes;
    struct hf_buffer path;      /* normalised */
    struct hf_buffer protocols; /* what is offered to the backend; empty: none */
    struct hf_buffer offers;    /* extensions that are offered */
    struct hf_buffer extra;     /* header lines from the call-out */
    struct hf_identity *identity;
    struct hf_slice token; /* into head_bytes or token_bytes; never logged */
    struct hf_buffer token_bytes;
    struct hf_callout *callout;
    struct hf_petition petition; /* borrows from the above */
    struct hf_offer offer;       /* what it says of a session; borrows from head_bytes */
    struct hf_dial *dial;
    struct hf_buffer reply;      /* that is not sent yet */
    struct hf_fallback fallback; /* kind NONE: a WebSocket. Borrows from the head */
    enum hf_cors cors;           /* with NONE in fallback: NONE */
    struct hf_seat *seat;        /* POLL: where it waits; gateway/fallback.h */
    uint64_t seat_serial;        /* BODY: of the seat that the POST is for */
    bool body_counted;           /* BODY: with the session of its key */
    struct hf_request_body body;
    struct hf_buffer body_bytes;
};

/* Takes the accepted stream. */
void hf_opening_accept(struct hf_worker *worker, const struct hf_worker_listener *listener,
                       struct hf_stream *stream, const struct hf_address *peer);
/* Ends it at once: record, both streams closed, freed. For drain and the end of the process. */
void hf_opening_kill(struct hf_opening *o, enum hf_cause cause);

/* The request is answered and the connection waits for the next. */
void hf_opening_again(struct hf_opening *o);
/* The gateway drains: a connection that waits for a request waits in vain. May free it. */
void hf_opening_drain(struct hf_opening *o);

/* ---- between opening.c, admission.c, upstream.c and reply.c
 * ---------------------------------------------- */

/* Hands it over to another worker, which reads the head again: inside of the stream's on_bytes.
 * False: no memory, and it is as before; else it is gone. */
bool hf_opening_move(struct hf_opening *o, struct hf_worker *to);
/* Those that no worker has taken: when the loops do not run any more. */
void hf_moves_drop(struct hf_gateway *gateway);
/* The head is read: decides, and goes on to the backend or refuses. */
void hf_opening_admit(struct hf_opening *o);
/* The address is one of trusted_proxies. */
bool hf_opening_trusts(const struct hf_opening *o, const uint8_t address[16]);
bool hf_opening_trusts_peer(const struct hf_opening *o);
/* The host that the client asked for, as a trusted proxy in front says or as Host does. NULL: none.
 */
const struct hf_slice *hf_opening_host(const struct hf_opening *o);
/* Sets the peer to the client that trusted proxies name. */
void hf_opening_believe_proxies(struct hf_opening *o);
/* What the request to a backend is made from, borrowed from the opening; from admission on. */
const struct hf_petition *hf_opening_petition(struct hf_opening *o);
/* Admitted: dials a backend. */
void hf_opening_connect(struct hf_opening *o);
/* The client left, or the gateway stops, while the call-out is asked: its line in the log. */
void hf_opening_auth_abandoned(struct hf_opening *o);
/* Makes the record (once). http is the status of the answer, 0 for none. */
void hf_opening_record(struct hf_opening *o, enum hf_cause cause, uint16_t http, const char *reason,
                       int error);
/* Refuses: record, an HTTP answer that says why, end. `retry_after` in seconds, 0: none. */
void hf_opening_refuse(struct hf_opening *o, enum hf_cause cause, uint16_t status, const char *why,
                       uint32_t retry_after);
/* Sends `reply` to the client and ends. */
void hf_opening_reply(struct hf_opening *o);
/* Without an answer: the client is gone, or speaks no HTTP. */
void hf_opening_abandon(struct hf_opening *o, enum hf_cause cause, const char *reason, int error);
void hf_opening_phase(struct hf_opening *o, enum hf_opening_phase phase, hf_time timeout);
/* Gives up all that belongs to the request: head, identity, buffers. */
void hf_opening_forget(struct hf_opening *o);
/* Frees it; both streams were handed on or are closed here. */
void hf_opening_free(struct hf_opening *o);

#endif
