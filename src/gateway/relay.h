/* SPDX-License-Identifier: Apache-2.0 */
/* An open WebSocket: a client leg and a backend leg, and frames that pass from one to the other as
 * they come.
 *
 * What a message touches stands first in one struct; what is seldom read stands in hf_identity. An
 * idle relay owns no buffer. Control frames end at each leg. Whoever first ends a leg decides the
 * ending record; then each leg is finished by the rules of RFC 6455 section 7 and at most 2 s later
 * everything is gone. */
#ifndef HF_GATEWAY_RELAY_H
#define HF_GATEWAY_RELAY_H

#include "gateway/held.h"
#include "gateway/worker.h"

#define HF_CLOSE_WAIT HF_SECONDS(2)
/* Control frames that wait for a leg: beyond the first number of bytes its own input is held back.
 */
#define HF_PENDING_HOLD 512
#define HF_PENDING_MAX 4096
/* Fixed safety budget of a leg: control frames and empty fragments a second, and at once. */
#define HF_CONTROL_RATE 4000

/* What came from the peer of a leg. */
enum hf_leg_in {
    HF_IN_OPEN, /* frames come and are forwarded, or while it closes are read for its Close alone */
    HF_IN_CLOSED, /* its Close came: whatever follows is thrown away (RFC 6455 5.5.1) */
    HF_IN_DEAD,   /* it broke a rule or its stream ended */
};

/* What we may send to the peer of a leg. */
enum hf_leg_out {
    HF_OUT_OPEN,
    HF_OUT_QUEUED, /* our Close waits for the end of a frame, or for room */
    HF_OUT_SENT,   /* our Close went out */
    HF_OUT_SHUT,   /* nothing more goes out */
};

/* Why a leg is not read; it is read when none holds. */
enum hf_hold {
    HF_HOLD_OTHER = 1, /* the other leg takes no more */
    HF_HOLD_OWN = 2,   /* its own control frames wait to be answered */
    HF_HOLD_RATE = 4,  /* a limit delays it */
};

/* Control frames of our own that wait for the end of an open frame, or for room. */
struct hf_pending {
    uint16_t len;
    uint16_t off; /* so many are sent already */
    uint16_t cap;
    uint8_t bytes[];
};

struct hf_leg {
    struct hf_stream *stream; /* NULL: gone */
    struct hf_flow in;
    struct hf_heartbeat beat;
    uint32_t
        ahead; /* bytes of its input that were checked and that the other leg has not taken yet */
    struct hf_rate budget;
    struct hf_pending *pending; /* for this leg; NULL mostly */
    uint64_t messages;          /* that came */
    uint64_t bytes;
    uint32_t wake_ms;  /* when HF_HOLD_RATE ends */
    uint32_t stuck_ms; /* since when it takes nothing, while blocked */
    uint32_t left;  /* bytes of its input that were seen and not taken: no sign of life any more */
    uint32_t given; /* bytes ever sent to it, modulo 2^32 */
    uint32_t acked; /* of those its TCP had acknowledged at the last look */
    uint32_t
        ping_at; /* `given` when the ping that is out joined a long queue; else as `acked` then */
    uint8_t in_state;  /* enum hf_leg_in */
    uint8_t out_state; /* enum hf_leg_out */
    uint8_t hold;      /* enum hf_hold, or-ed */
    bool blocked : 1;  /* a send was short: on_writable will come */
    bool pinging : 1;  /* a ping is in pending */
    bool looked : 1;   /* acked was looked at since it was blocked */
    bool clear : 1;    /* when its end was recorded, its TCP owed nothing, and only a Close was sent
                          since */
    bool skipping : 1; /* it ended: its frames are read for a Close alone and go nowhere */
    bool is_client : 1;
    bool parted : 1;  /* what comes from it does not go to the other leg now */
    bool backlog : 1; /* what came from it waits, and the other leg has perhaps a frame half */
};

struct hf_relay {
    struct hf_leg client;
    struct hf_leg backend;
    struct hf_worker *worker;
    struct hf_route *route;
    struct hf_identity *identity; /* owned */
    struct hf_held *held;         /* owned; NULL on a route that closes when the backend is lost */
    struct hf_list node;          /* worker->relays while open, worker->closing behind it */
    struct hf_timer timer;
    hf_time opened;
    struct hf_rate messages; /* of this connection */
    uint32_t drain_ms;       /* when to say goodbye, while draining */
    uint8_t answers_due;     /* application heartbeats to answer at the next message's end */
    bool open : 1;           /* no ending yet */
    bool deflate : 1;
    bool paid : 1;         /* the message at the front has paid the connection's rate, not yet the
                              principal's */
    bool held_message : 1; /* the message at the front was counted as delayed */
    bool draining : 1;
    bool one_sided : 1; /* a side ended without a Close */
    bool dry_said : 1;  /* the log says already that a dry run let a message pass */
};

/* Takes over both streams, which are open, the identity and what it holds with (NULL: it does not).
 * On HF_NO_MEMORY they are still the caller's, untouched, and so is the ending record. */
HF_MUST_USE enum hf_status hf_relay_open(struct hf_worker *worker, struct hf_stream *client,
                                         struct hf_stream *backend, struct hf_identity *identity,
                                         const struct hf_deflate *deflate, struct hf_held *held);
/* Ends it for a reason of the gateway: record, Close to both legs. Does nothing when it has ended.
 */
void hf_relay_end(struct hf_relay *relay, enum hf_cause cause);
/* Says goodbye at `when`. */
void hf_relay_drain(struct hf_relay *relay, hf_time when);
/* Ends and frees it at once; what was sent is left to the kernel. */
void hf_relay_kill(struct hf_relay *relay, enum hf_cause cause);

/* ---- between relay.c, relay_end.c, relay_time.c and held.c
 * ------------------------------------------------ */

static inline struct hf_leg *hf_leg_other(struct hf_relay *r, struct hf_leg *leg)
{
    return leg->is_client ? &r->backend : &r->client;
}
static inline hf_time hf_relay_now(const struct hf_relay *r)
{
    return r->worker->loop->now;
}
/* Our own frame may go to `to` now: no frame of the other leg is half sent to it. */
static inline bool hf_leg_at_boundary(const struct hf_leg *from)
{
    return from->skipping || from->parted ||
           (!from->backlog && from->ahead == 0 && from->in.left == 0);
}
/* Sends to an open stream and keeps the books; returns the bytes taken. */
static inline size_t hf_leg_send(struct hf_relay *r, struct hf_leg *to, struct hf_slice bytes)
{
    size_t sent = hf_stream_send(to->stream, bytes);
    to->given += (uint32_t)sent;
    hf_heartbeat_sent(&to->beat, hf_relay_now(r));
    return sent;
}

void hf_leg_hold(struct hf_relay *r, struct hf_leg *leg, enum hf_hold why);
void hf_leg_unhold(struct hf_relay *r, struct hf_leg *leg, enum hf_hold why);
/* Puts a control frame in: at once when it may and fits, else it waits. False on no memory. */
bool hf_leg_control(struct hf_relay *r, struct hf_leg *to, uint8_t opcode, struct hf_slice payload);
/* A frame of the gateway's for the leg, masked when it goes to the backend; returns its bytes. */
size_t hf_leg_build_frame(struct hf_relay *r, const struct hf_leg *to, uint8_t opcode,
                          struct hf_slice payload, uint8_t *frame);
/* The backend's leg has no stream any more (it was closed), and is as new. */
void hf_relay_detach_backend(struct hf_relay *r);
void hf_relay_attach_backend(struct hf_relay *r, struct hf_stream *stream);
/* The lost backend got no successor: record, and Close to the client. */
void hf_relay_not_replaced(struct hf_relay *r, enum hf_cause cause, const char *why);
/* Sends what waits, if it may. True when nothing waits any more. */
bool hf_leg_flush(struct hf_relay *r, struct hf_leg *to);
/* The other side of the hot path: input of a relay that has ended. Returns the bytes taken. */
size_t hf_relay_closing_bytes(struct hf_relay *r, struct hf_leg *from, struct hf_slice bytes);
void hf_relay_closing_end(struct hf_relay *r, struct hf_leg *leg);
void hf_relay_closing_flushed(struct hf_relay *r, struct hf_leg *leg);
/* An open leg's peer sent its Close. */
void hf_relay_peer_closed(struct hf_relay *r, struct hf_leg *from, uint16_t code,
                          struct hf_slice reason);
/* An open leg's stream ended without Close. */
void hf_relay_peer_gone(struct hf_relay *r, struct hf_leg *from, const struct hf_end *end);
/* A leg is at fault: it gets a Close with the code, the other is told that it was lost. */
void hf_relay_fault(struct hf_relay *r, struct hf_leg *at, enum hf_cause cause, uint16_t code,
                    const char *why);
void hf_relay_fire(struct hf_timer *timer, hf_time now);
/* A ping to the leg is out. */
void hf_relay_pinged(struct hf_relay *r, struct hf_leg *leg);
/* A leg took less than it was sent: from now on it is watched. */
void hf_relay_blocked(struct hf_relay *r, struct hf_leg *leg);
/* Sets the timer for the next thing that time brings. */
void hf_relay_schedule(struct hf_relay *r);
void hf_relay_free(struct hf_relay *r);

#endif
