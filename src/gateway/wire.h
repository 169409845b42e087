/* SPDX-License-Identifier: Apache-2.0 */
/* One WebSocket of the gateway's whose messages are whole on our side: the backend's of an hf1
 * session, or the client's that is attached to it. It reads frames, puts messages together, answers
 * pings, keeps heartbeats, sends whole frames, and closes by the rules of RFC 6455 section 7.
 *
 * A message that lies whole in the receive buffer as one frame is lent as it came, so that it can
 * be sent on from there. An idle wire owns no buffer.
 *
 * It is open, then closing (hf_wire_close), then its stream is gone. The owner may close it in
 * every callback, and finish it (hf_wire_fini) in `closed`, `lost` and `gone`, or outside of
 * callbacks; its memory must outlive `closed`.
 */
#ifndef HF_GATEWAY_WIRE_H
#define HF_GATEWAY_WIRE_H

#include "gateway/worker.h"

#define HF_WIRE_CLOSE_WAIT HF_SECONDS(2)

struct hf_wire;
struct hf_wire_ops {
    /* A whole message as one frame; its payload may be under a mask (hf_wire_unmask). */
    void (*frame)(struct hf_wire *w, const struct hf_frame_head *head, struct hf_slice frame);
    /* A whole message, put together and unmasked. */
    void (*message)(struct hf_wire *w, uint8_t opcode, struct hf_slice payload);
    /* The peer's Close came (code 1005: an empty one). The owner answers it with hf_wire_close, now
     * or soon. */
    void (*closed)(struct hf_wire *w, uint16_t code, struct hf_slice reason);
    /* The connection ended without a Close while the wire was open; the stream is gone. */
    void (*lost)(struct hf_wire *w, enum hf_cause cause, int error);
    /* The peer broke a rule. The owner closes the wire with the code. */
    void (*fault)(struct hf_wire *w, enum hf_cause cause, uint16_t code, const char *why);
    /* The socket has accepted all that it was given, after it had not. */
    void (*drained)(struct hf_wire *w);
    /* A message of at least so many bytes begins, while the wire is gated (hf_wire_gate). False: it
     * stays with io, and the owner holds the wire. May be NULL. */
    bool (*begins)(struct hf_wire *w, uint64_t bytes);
    /* A ping has gone out, or its pong came. May be NULL. */
    void (*beat)(struct hf_wire *w, bool pong);
    /* The pong of a probe (hf_wire_probe) came, with its mark. May be NULL. */
    void (*probed)(struct hf_wire *w, uint64_t mark);
    /* A wire that was closed has no stream any more. code: of the peer's Close (1005: an empty
     * one); 0: none came. */
    void (*gone)(struct hf_wire *w, uint16_t code);
};

/* Why it is not read. */
enum hf_wire_hold {
    HF_WIRE_HOLD_OWNER = 1,
    HF_WIRE_HOLD_BUDGET = 2, /* more control frames than a peer may send a second */
};

enum hf_wire_state {
    HF_WIRE_NONE, /* zeroed, or its stream is gone */
    HF_WIRE_OPEN,
    HF_WIRE_CLOSING, /* our Close is out, or waits behind what the socket has not taken */
};

struct hf_wire_bytes; /* a growing run of bytes */

struct hf_wire {
    const struct hf_wire_ops *ops;
    struct hf_worker *worker;
    const struct hf_route *route;
    struct hf_stream *stream; /* NULL: gone */
    struct hf_flow in;
    struct hf_heartbeat beat;
    struct hf_rate budget;
    struct hf_wire_bytes *part; /* of a message that is not whole yet; NULL mostly */
    struct hf_wire_bytes *out;  /* that the socket has not taken; NULL mostly */
    struct hf_timer timer;
    uint64_t bytes_in;
    uint32_t wake_ms;   /* when HF_WIRE_HOLD_BUDGET ends */
    uint32_t stuck_ms;  /* since when it takes nothing, while `out` waits */
    uint32_t left;      /* bytes of its input that were seen and not taken */
    uint32_t given;     /* bytes ever sent to it, modulo 2^32 */
    uint32_t acked;     /* of those its TCP had acknowledged at the last look */
    uint32_t ping_at;   /* `given` when the ping that is out joined a long queue; else as acked */
    uint16_t peer_code; /* of the peer's Close; 0: none came */
    uint8_t state;      /* enum hf_wire_state */
    uint8_t hold;       /* enum hf_wire_hold, or-ed */
    uint8_t pongs;      /* that wait in `out` */
    bool is_client : 1;
    bool tls : 1;
    bool pinging : 1;    /* a ping waits in `out` */
    bool looked : 1;     /* `acked` was looked at since it takes nothing */
    bool peer_done : 1;  /* its Close came, it broke a rule, or its stream ended: nothing more is
                            read */
    bool shut : 1;       /* our direction has ended */
    bool gated : 1;      /* `begins` is asked */
    bool failed : 1;     /* no memory for what it should send: it is lost on the next turn */
    bool close_sent : 1; /* our Close has left */
};

/* Takes an open stream over; what it holds unread is offered on a later turn. Worker and route of
 * the wire are set already, its other fields are zero. */
void hf_wire_open(struct hf_wire *w, struct hf_stream *stream, const struct hf_wire_ops *ops,
                  bool is_client, bool tls);
static inline bool hf_wire_is_open(const struct hf_wire *w)
{
    return w->state == HF_WIRE_OPEN;
}
/* It is open and the socket has accepted all that it was given. */
static inline bool hf_wire_is_clear(const struct hf_wire *w)
{
    return w->state == HF_WIRE_OPEN && w->out == NULL && !w->failed;
}

/* Not read, or read again; what was not taken stays with io. */
void hf_wire_hold(struct hf_wire *w, enum hf_wire_hold why);
void hf_wire_unhold(struct hf_wire *w, enum hf_wire_hold why);
static inline void hf_wire_gate(struct hf_wire *w, bool gated)
{
    w->gated = gated;
}
/* Charges the safety budget of its control frames. False: it is used up. */
bool hf_wire_spend(struct hf_wire *w);
/* The payload of a frame that was lent, unmasked: as it lies there, or in the worker's scratch
 * memory, where it lives until the next call. ptr NULL: no memory. */
struct hf_slice hf_wire_unmask(struct hf_wire *w, const struct hf_frame_head *head,
                               struct hf_slice frame);

/* Whole frames, in order. Nothing is sent when it is not open. What the socket does not take is
 * kept; want of memory loses the connection, which is told later. */
void hf_wire_frame(struct hf_wire *w, struct hf_slice frame);
/* A message; `escape` puts one more 0x01 in front (docs/protocol.md section 2). */
void hf_wire_message(struct hf_wire *w, uint8_t opcode, struct hf_slice payload, bool escape);
/* Closes: behind all that was given. code 1005: an empty Close. Twice is once. */
void hf_wire_close(struct hf_wire *w, uint16_t code, struct hf_slice reason);
/* Closes a wire whose peer takes nothing, with RST; `gone` follows. */
void hf_wire_abort(struct hf_wire *w);
/* Gives up what is left; what was sent is left to the kernel. No callback comes any more. */
void hf_wire_fini(struct hf_wire *w);

/* ---- between wire.c and wire_time.c ------------------------------------------------------------
 */

void hf_wire_fire(struct hf_timer *timer, hf_time now);
/* NULL is accepted. */
void hf_wire_release(struct hf_wire *w, struct hf_wire_bytes *bytes);
void hf_wire_schedule(struct hf_wire *w);
void hf_wire_control(struct hf_wire *w, uint8_t opcode, struct hf_slice payload);
/* Bytes of its payload: when it went, and the mark. */
#define HF_WIRE_PROBE 16
/* A ping behind everything that was sent, which nobody is judged by: its pong says that the peer
 * has read up to here. */
void hf_wire_probe(struct hf_wire *w, uint64_t mark);
/* A ping to the peer is out. */
void hf_wire_pinged(struct hf_wire *w);
/* The stream ends here; the state follows. */
void hf_wire_drop_stream(struct hf_wire *w, bool abort);
/* While it closes: our Close has left, or the peer's has come. */
void hf_wire_closing(struct hf_wire *w);
static inline const struct hf_flow_rules *hf_wire_rules(const struct hf_wire *w)
{
    return w->is_client ? &w->route->session_client_rules : &w->route->session_backend_rules;
}
static inline const struct hf_heartbeat_rules *hf_wire_beat_rules(const struct hf_wire *w)
{
    return w->is_client ? &w->route->client_beat : &w->route->backend_beat;
}
static inline hf_time hf_wire_now(const struct hf_wire *w)
{
    return w->worker->loop->now;
}

#endif
