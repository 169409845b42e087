/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions without WebSockets (docs/protocol.md section 9): what the files for it share.
 *
 *   fallback.c       requests: which session, bodies of POSTs, answers
 *   seat.c           seats by their session's key
 *   seat_sse.c       an event stream
 *   seat_poll.c      long polls
 *
 * A seat is a session's attachment without WebSocket: an event stream, or the lists between one
 * poll and the next. It is found by the session's key and lives on the session's worker; requests
 * for it that arrive elsewhere go there, with their connection (hf_opening_move). */
#ifndef HF_GATEWAY_FALLBACK_H
#define HF_GATEWAY_FALLBACK_H

#include "gateway/keep.h"
#include "gateway/opening.h"

/* ---- requests (fallback.c) --------------------------------------------------------------------
 */

/* What a request without WebSockets says of a session: true and its token or key, or members that
 * go to the offer. */
bool hf_fallback_names(const struct hf_head *head, struct hf_offer *offer, struct hf_token *token);
/* The head is read, its route and origin are right. True: it attaches, has become the handshake it
 * stands for, and admission goes on. False: it is answered, waits, has moved, or is gone. */
bool hf_fallback_begin(struct hf_opening *o);
/* Admitted: the session decides. */
void hf_fallback_attach(struct hf_opening *o);
/* What opening.c hands on: bytes, room, time. */
size_t hf_fallback_bytes(struct hf_opening *o, struct hf_slice bytes);
void hf_fallback_send(struct hf_opening *o);
void hf_fallback_late(struct hf_opening *o);
/* The opening leaves the seat it waits at. */
void hf_fallback_leave(struct hf_opening *o);

struct hf_answer {
    uint16_t status;
    const char *type; /* Content-Type; NULL: text */
    struct hf_slice body;
    const char *reason; /* HF-Reason; NULL: none */
    uint64_t received;  /* HF-Received, or HF_NO_COUNT */
    uint64_t seq;       /* HF-Seq, or HF_NO_COUNT */
    uint64_t retry_ms;  /* Retry-After, or HF_NO_COUNT */
};
/* Answers; the connection goes on to its next request when it can. */
void hf_fallback_answer(struct hf_opening *o, const struct hf_answer *answer);
/* The lines of an answer's head that all of them have, status line first. */
void hf_fallback_head(const struct hf_opening *o, uint16_t status, struct hf_buffer *out);
/* A session that says `end` before hello: the refusal as an answer. */
void hf_fallback_refuse(struct hf_opening *o, const struct hf_control *end);

/* ---- seats ------------------------------------------------------------------------------------
 */

struct hf_seat_ops {
    /* The opening waits here and is gone. */
    void (*left)(struct hf_seat *seat);
    /* Another seat has the key now. */
    void (*displaced)(struct hf_seat *seat);
    /* The client has acknowledged all up to n by a POST. */
    void (*acknowledged)(struct hf_seat *seat, uint64_t n);
    /* At once: the worker ends. */
    void (*kill)(struct hf_seat *seat);
};

/* `end` that came before hello. */
struct hf_seat_refusal {
    struct hf_control end;
    struct hf_buffer room; /* of its texts */
};

struct hf_seat {
    struct hf_attachment attachment;
    const struct hf_seat_ops *seat_ops;
    struct hf_worker *worker;
    struct hf_runtime *runtime; /* a reference */
    struct hf_route *route;
    struct hf_opening *waiting; /* NULL: nobody waits */
    struct hf_list node;        /* worker->seats */
    struct hf_table_node by_key;
    struct hf_timer timer;
    struct hf_seat_refusal *refusal; /* owned; NULL: none */
    uint64_t serial;                 /* tells it from any other of this process */
    uint64_t sent;                   /* the number of the newest message that it was given */
    bool polls;
    bool keyed;    /* it stands in worker->seats_by_key */
    bool arriving; /* the session decides; nothing is done before it has */
    char key[HF_KEY_CHARS];
};
static inline struct hf_seat *hf_seat_of(struct hf_attachment *a)
{
    return HF_CONTAINER(a, struct hf_seat, attachment);
}
void hf_seat_init(struct hf_seat *seat, struct hf_opening *o,
                  void (*fire)(struct hf_timer *timer, hf_time now));
void hf_seat_fini(struct hf_seat *seat);
/* From now on it is found by its session's key, and no older one. */
HF_MUST_USE enum hf_status hf_seat_name(struct hf_seat *seat, struct hf_slice key);
struct hf_seat *hf_seat_find(struct hf_worker *worker, struct hf_slice key);
/* Of control messages before hello: true when it was an `end`, which is kept. */
bool hf_seat_refused(struct hf_seat *seat, struct hf_slice text);
/* The backend's Close as the control `close`, whole; text is initialised here, the caller resets
 * it. */
void hf_seat_close_text(uint16_t code, struct hf_slice reason, struct hf_buffer *text);
/* The opening that waits is answered with the `end`, or with this reason when there was none. */
void hf_seat_refuse(struct hf_seat *seat, const char *reason);
/* The opening waits at the seat. */
void hf_seat_wait(struct hf_seat *seat, struct hf_opening *o);
/* It does not any more, and is the caller's. */
struct hf_opening *hf_seat_take(struct hf_seat *seat);

/* A seat for an opening that waits there from now on. NULL on no memory. */
struct hf_seat *hf_sse_new(struct hf_opening *o);
/* hf_keep_arrive is over. The seat may be gone behind it. */
void hf_sse_arrived(struct hf_seat *seat);
struct hf_seat *hf_poll_new(struct hf_opening *o);
void hf_poll_arrived(struct hf_seat *seat);
/* Another poll: it acknowledges up to `received` and waits. */
void hf_poll_again(struct hf_seat *seat, struct hf_opening *o, uint64_t received);

#endif
