/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the keep share: the keep itself, and the keeper, which is what a worker has for
 * all of its keeps. See keep.h for what they are for.
 *
 *   keep.c            arriving, beginning, ending
 *   keep_client.c     what comes from the client and goes to it
 *   keep_backend.c    what comes from the backend and goes to it
 *   keep_time.c       what time brings
 *   keep_websocket.c  the WebSocket attachment
 *
 * A keep is on the keeper's list `live` while a client or an opening needs it, on `parked` while it
 * waits for a client, on `ended` until its backend's connection is finished. */
#ifndef HF_GATEWAY_KEEPER_H
#define HF_GATEWAY_KEEPER_H

#include "gateway/keep.h"
#include "gateway/wire.h"
#include "session/session.h"

/* ---- the keep ---------------------------------------------------------------------------------
 */

struct hf_keep_bye {
    uint16_t code; /* 0: none */
    uint8_t reason_len;
    uint8_t reason[123];
    hf_time deadline; /* when it is not waited for the backend any more */
};

/* What a resume was refused with, for the new session's hello. */
struct hf_refused {
    const char *reason;    /* NULL: none was asked for, or it went well */
    uint64_t old_received; /* HF_NO_COUNT: not known */
    bool goodbye;          /* the client had ended the session itself */
};

struct hf_keep_auth; /* keep_auth.c */
struct hf_keep_hold; /* gateway/keep_hold.h */

/* What is needed until the first hello was answered. */
struct hf_keep_birth {
    struct hf_dial *dial;         /* NULL: none runs */
    struct hf_petition *petition; /* owned; NULL: handed on */
    struct hf_refused refused;
    struct hf_table_node by_secret; /* while joinable */
    uint8_t open_hash[HF_TOKEN_HASH];
    struct hf_keep *keep;
    bool joinable; /* it stands in by_secret */
};

/* While it is parked. */
struct hf_keep_parking {
    hf_time since;
    struct hf_limit_entry *with[2]; /* of its principal and address; NULL: no cap counts it there */
};

/* While the backend is not read for want of room. */
struct hf_keep_look {
    hf_time at;       /* when it is looked at; HF_NEVER: not any more */
    uint32_t reserve; /* bytes taken in looks */
    uint32_t now;     /* ... in the present one */
    bool looking;
};

#define HF_KEEP_RISK_MAX 0x7fff

struct hf_keep {
    struct hf_session session;
    struct hf_wire backend;       /* without a stream while it is dialed, and after it ended */
    struct hf_identity *identity; /* owned */
    struct hf_attachment *client; /* NULL: none */
    struct hf_keep_birth *birth;  /* owned; NULL: the client has been heard */
    char *protocol;               /* owned; NULL: the backend chose none */
    struct hf_keep_hold *hold;    /* owned; NULL: the route closes when its backend is lost */
    struct hf_keep_auth *auth;    /* owned; NULL: no fresh credentials came yet */
    struct hf_keep_bye *bye;      /* owned; NULL: the client has not said goodbye */
    struct hf_table_node by_id;
    struct hf_list node;
    struct hf_timer timer;
    hf_time opened;
    struct hf_rate messages;
    hf_time wake;                    /* when a rate limit lets the next message of the queue pass */
    uint64_t replay_until;           /* `live` is due when this was sent; HF_NO_COUNT: it is not */
    struct hf_keep_parking *parking; /* owned; while parked */
    struct hf_keep_look *look;       /* owned; while full */
    uint32_t charged;                /* bytes that the books of memory have for it */
    uint32_t risk : 15;              /* messages at risk that the gauge has for it, at most */
    bool paid : 1;                   /* the first of the queue has paid the connection's rate */
    bool delayed : 1;                /* ... and was counted as delayed */
    bool full : 1;                   /* the backend is not read for want of room */
    bool close_sent : 1;             /* the backend's Close is with the attachment */
    bool pumping : 1;                /* hf_keep_pump_client is on the stack */
    bool announced : 1;              /* `coming` was said of the next message */
    bool joined : 1;                 /* a second opening joined it before its first hello */
    bool goaway_said : 1;
    bool dry_said : 1;
    uint8_t bodies; /* of POSTs that are coming */
};

/* ---- the keeper --------------------------------------------------------------------------------
 */

struct hf_keeper {
    struct hf_worker *worker;
    struct hf_table by_id;
    struct hf_table by_secret;
    struct hf_table tombs; /* gateway/tomb.h */
    struct hf_list tomb_order;
    struct hf_list live;
    struct hf_list parked; /* the one that waits longest first */
    struct hf_list ended;
    struct hf_list sockets; /* WebSocket attachments, also those that only finish */
    struct hf_pool keep_pool;
    struct hf_pool socket_pool;
    struct hf_timer crowded; /* room is to be made when no session is in the middle of something */
    struct hf_buffer room;   /* where control messages are decoded */
    struct hf_buffer text;   /* where they are written */
    hf_time drain_from;      /* while the worker drains: goodbyes come from here ... */
    hf_time drain_spread;    /* ... within so long */
    uint64_t secrets;        /* that were made */
    uint64_t leased;         /* of the gateway's session memory */
    _Atomic size_t keep_count; /* on all lists */
    _Atomic size_t socket_count;
};

struct hf_keeper *hf_keeper_new(struct hf_worker *worker);
/* Ends everything at once. NULL is accepted. */
void hf_keeper_free(struct hf_keeper *keeper);
void hf_keeper_kill_all(struct hf_keeper *keeper);
/* The WebSocket attachments: keep_websocket.c. */
size_t hf_keep_websocket_size(void);
void hf_keep_websocket_kill_all(struct hf_keeper *keeper);
/* Goodbyes within `spread`. */
void hf_keeper_drain(struct hf_keeper *keeper, hf_time spread);
/* {"id":...} objects of at most *limit sessions, commas between; takes them off the limit. Returns
 * how many. */
size_t hf_keeper_print(struct hf_keeper *keeper, uint32_t *limit, struct hf_buffer *out);
bool hf_keeper_is_idle(const struct hf_keeper *keeper);

/* What wires hold meanwhile: messages that are not whole, and what sockets have not taken. False:
 * far too much is held by all; what makes room otherwise, waiting sessions that end, does so later.
 */
bool hf_keeper_hold(struct hf_keeper *keeper, uint64_t bytes);
void hf_keeper_unhold(struct hf_keeper *keeper, uint64_t bytes);
void hf_keeper_make_room(struct hf_timer *timer, hf_time now);

/* ---- between the files --------------------------------------------------------------------------
 */

static inline hf_time hf_keep_now(const struct hf_keep *k)
{
    return k->backend.worker->loop->now;
}
static inline struct hf_keeper *hf_keep_keeper(const struct hf_keep *k)
{
    return k->backend.worker->keeper;
}
static inline const struct hf_session_rules *hf_keep_rules(const struct hf_keep *k)
{
    return &k->backend.route->session_rules;
}

/* How a session ends, beside its cause. */
struct hf_farewell {
    enum hf_cause cause;
    enum hf_resume_verdict verdict; /* what a resume is told afterwards */
    const char *who;                /* of `end`; NULL: none is said */
    const char *reason;
    uint32_t retry; /* ms; 0: none */
    uint16_t http;  /* 0: none */
    uint16_t code_in;
    uint16_t client_code;
    struct hf_slice client_reason;
    uint16_t backend_code;
    struct hf_slice backend_reason;
    int error;
};
/* Records it, says it to both sides, and lets the keep go. Does nothing when it has ended. */
void hf_keep_end(struct hf_keep *k, const struct hf_farewell *farewell);
const char *hf_refusal_reason(uint16_t status);
/* For a cause of the gateway's own. */
void hf_keep_give_up(struct hf_keep *k, enum hf_cause cause);
/* Takes it out of the list and frees it: only when it has ended and nothing is left of its legs. */
void hf_keep_free(struct hf_keep *k);

/* A client's frame that is one whole message without an escape, as it came. True: it was counted
 * and went to the backend. False: give its payload to hf_keep_message. */
bool hf_keep_pass(struct hf_attachment *a, uint8_t opcode, size_t payload, struct hf_slice frame);

/* Gives an attachment that belongs to no session `end` and a Close. */
void hf_attachment_refuse(struct hf_keeper *keeper, struct hf_attachment *a, const char *who,
                          const char *reason, uint16_t http, uint32_t retry_ms);
/* The Close code that goes with the reason of an `end`. */
uint16_t hf_end_code(const char *reason);
/* Writes a control message to the attachment. */
void hf_attachment_say(struct hf_keeper *keeper, struct hf_attachment *a,
                       const struct hf_control *control);
void hf_attachment_say_end(struct hf_keeper *keeper, struct hf_attachment *a, const char *who,
                           const char *reason, uint16_t http, uint32_t retry_ms);

/* The attachment becomes the session's only one; token NULL: of an opening or a join. Takes the
 * identity over. */
uint64_t hf_keep_attach(struct hf_keep *k, struct hf_attachment *a, const struct hf_token *token,
                        uint64_t received, uint64_t attempt, struct hf_identity *identity);
/* The client has been heard: nobody joins any more. */
void hf_keep_met(struct hf_keep *k);
/* Tells the old attachment why it ends, and lets it go. */
void hf_keep_let_go(struct hf_keep *k, const char *who, const char *reason, uint16_t http,
                    uint32_t retry_ms, uint16_t code, struct hf_slice text);
/* The goodbyes of the worker: when this one is due (HF_NEVER: not), and that it is coming. */
hf_time hf_keep_drain_at(const struct hf_keep *k);
void hf_keep_drain(struct hf_keep *k);
/* The gauges and lists after its state changed. */
void hf_keep_moved(struct hf_keep *k, enum hf_session_state before);
/* Without a client from now on. */
void hf_keep_park(struct hf_keep *k, hf_time wait);
/* Sends what may be sent. */
void hf_keep_pump_client(struct hf_keep *k);
void hf_keep_pump_backend(struct hf_keep *k);
/* The backend's stream is there. */
void hf_keep_backend_open(struct hf_keep *k, struct hf_stream *stream);
/* Reads the backend when there is room, else not. */
void hf_keep_check_room(struct hf_keep *k);
/* Its backend is another one, or it ends. */
void hf_keep_forget_full(struct hf_keep *k);
/* A look at a backend that is not read. */
void hf_keep_look(struct hf_keep *k);
/* What came from the client and has been taken is acknowledged, if that is due. */
void hf_keep_tell(struct hf_keep *k);
void hf_keep_say_ack(struct hf_keep *k);
/* Fresh credentials came. */
void hf_keep_auth(struct hf_keep *k, struct hf_slice value);
/* Takes the petition over, for asking the application again. False on no memory. */
bool hf_keep_auth_keep(struct hf_keep *k, struct hf_petition *petition);
/* No answer is awaited any more. NULL is accepted. */
void hf_keep_auth_free(struct hf_keep *k);
/* It was parked, or is not any more: the caps on those of its principal and address hold. */
void hf_keep_enter_parked(struct hf_keep *k);
void hf_keep_leave_parked(struct hf_keep *k);
/* After bye: ends when everything is with the backend. */
void hf_keep_finish_bye(struct hf_keep *k, bool now);
void hf_keep_set_timer(struct hf_keep *k);
void hf_keep_fire(struct hf_timer *timer, hf_time now);
/* A copy, with the header that names the session when the route wants one. NULL on no memory. */
struct hf_petition *hf_keep_petition(const struct hf_keep *k, const struct hf_petition *from);
/* The secret half of a session's HF-Key. */
void hf_keep_key(struct hf_keeper *keeper, uint64_t id, uint8_t secret[HF_TOKEN_SECRET]);
bool hf_keep_is_key(struct hf_keeper *keeper, const struct hf_token *key);
/* The books of memory, after its journal or queue changed. */
void hf_keep_charge(struct hf_keep *k);

#endif
