/* SPDX-License-Identifier: Apache-2.0 */
/* A link from the inside, for the files of the box: box.c (proxies), link.c (streams, queues,
 * ends), link_frames.c (handshake and frames), effects.c (what toxics do). */
#ifndef HF_CHAOS_LINK_H
#define HF_CHAOS_LINK_H

#include "base/random.h"
#include "chaos/activity.h"
#include "chaos/box.h"
#include "chaos/shape.h"
#include "ws/flow.h"

#define HF_LINK_QUEUE_MAX ((size_t)1 << 20)  /* what waits in one direction before it rests */
#define HF_LINK_ADDRESSES_MAX 4              /* of a name that are tried */
#define HF_LINK_LINGER HF_SECONDS(2)         /* for a peer's FIN, or its Close */
#define HF_LINK_FORGOTTEN_MAX HF_SECONDS(60) /* for the other end, when one was told */

struct hf_chaos {
    struct hf_chaos_options options;
    struct hf_list proxies;
    size_t proxy_count;
    struct hf_list ended; /* links and proxies to be freed when the loop has turned */
    struct hf_timer reap;
    size_t link_count;
    uint64_t link_next;
    struct hf_random random;
};

struct hf_chaos_proxy {
    struct hf_list node;
    struct hf_chaos *chaos;
    char *name, *listen, *upstream;
    bool enabled;
    struct hf_listener *listener; /* NULL while it is off or down */
    struct hf_address address;    /* where it listens, with the real port */
    hf_time epoch;                /* when it was enabled */
    struct hf_timer timer;        /* of a restart's listener */
    hf_time down_until;           /* 0: it is up */
    hf_time restarted;            /* the last restart that was seen to */
    struct hf_list links;
    size_t link_count;
    struct hf_list toxics;
    size_t toxic_count;
};

enum hf_link_state {
    HF_LINK_OPENING,   /* the handshake has not gone by */
    HF_LINK_OPEN,      /* messages, or bytes that are none */
    HF_LINK_CLOSING,   /* the client has our Close; its own is awaited */
    HF_LINK_LINGERING, /* both have our FIN */
    HF_LINK_SILENT,    /* a black hole for good */
    HF_LINK_FORGOTTEN, /* a black hole; who sends gets a reset */
    HF_LINK_GONE,      /* no streams; waits to be freed */
    HF_LINK_STATES,
};

enum hf_lane_reads {
    HF_LANE_HEAD,   /* the head of a request or of its answer */
    HF_LANE_FRAMES, /* WebSocket */
    HF_LANE_RAW,    /* anything */
};

/* One end of a link. */
struct hf_link_side {
    struct hf_link *link;
    struct hf_stream *stream; /* NULL: not yet, or closed */
    bool open;                /* it can be written to */
    bool ended;               /* its peer has sent FIN */
    bool shut;                /* it has our FIN */
};

/* One direction of a link. */
struct hf_lane {
    enum hf_lane_reads reads;
    struct hf_pieces queue;
    struct hf_flow flow;
    struct hf_buffer injected; /* frames of ours that wait for the end of a frame */
    uint64_t bytes, messages;
    bool paused;        /* the source is not read */
    bool early;         /* more came behind the request before its answer */
    bool torn;          /* bytes were thrown away: what would come behind them is garbage */
    bool dropping;      /* the rest of this message does not pass */
    bool fin;           /* the source has ended; FIN follows the queue */
    hf_time fin_due;    /* not earlier than this */
    hf_time hold_until; /* the source rests; 0: it does not */
    hf_time waiting;    /* since when bytes wait for a blocked server; 0: none do */
    hf_time held;       /* since when a buffering proxy holds bytes */
    bool released;      /* the buffer is being emptied */
};

/* What one toxic does to one link. */
struct hf_effect {
    struct hf_toxic *toxic;
    bool on;       /* the dice (toxicity) said so */
    bool fired;    /* it has done what it does once */
    double draw;   /* -1 to 1: of jitter */
    hf_time begun; /* its time counts from here */
    hf_time armed; /* reset_peer, kill_on_ping, refuse: when it acts; 0: not armed */
    struct hf_shaper shaper;
    struct hf_idle idle;
    struct hf_quota quota;
    struct hf_watch watch;
    uint64_t pings; /* of the watchdog: sent so far */
};

struct hf_link {
    struct hf_list node;
    struct hf_chaos_proxy *proxy;
    struct hf_chaos *chaos;
    uint64_t id;
    char peer[64];
    enum hf_link_state state;
    bool websocket; /* the 101 went by */
    bool upgrading; /* the request asks for it */
    hf_time accepted, opened;
    struct hf_link_side sides[2]; /* by the way on which they are the source: client, server */
    struct hf_lane lanes[HF_WAYS];
    struct hf_timer timer;
    hf_time linger_until;  /* 0: not */
    uint64_t resolving;    /* 0: not */
    uint16_t port;         /* of the name that is looked up */
    uint8_t address_count; /* of the name */
    uint8_t address_next;  /* that is tried when this one fails */
    struct hf_address addresses[HF_LINK_ADDRESSES_MAX];
    struct hf_random random;
    struct hf_effect *effects;
    size_t effect_count;
    const char *ended_by; /* NULL: it has not ended */
};

/* ---- link.c -----------------------------------------------------------------------------------
 */
void hf_link_accept(struct hf_chaos_proxy *p, struct hf_stream *stream,
                    const struct hf_address *peer);
/* The toxics of its proxy have changed: effects of new ones begin, those of removed ones end.
 * False: no memory, and nothing has changed. */
bool hf_link_refit(struct hf_link *l);
void hf_link_free(struct hf_link *l);
/* Closes both streams and forgets everything but the memory. */
void hf_link_drop(struct hf_link *l, bool reset);
/* Begins to connect to the upstream, once. */
void hf_link_dial(struct hf_link *l);
/* Bytes that pass the frames' toxics go on to shaping, queue and the other side. */
void hf_link_emit(struct hf_link *l, enum hf_way way, struct hf_slice bytes);
/* A whole frame of ours, masked when it goes up, as soon as no frame is open in that direction. */
void hf_link_inject(struct hf_link *l, enum hf_way way, uint8_t opcode, struct hf_slice payload);
/* The end of a link by a toxic. way: who is reset by FORGET first is whoever sends. */
void hf_link_end(struct hf_link *l, const struct hf_toxic *t, const struct hf_chaos_ending *ending,
                 const char *why);
void hf_link_fin(struct hf_link *l);
void hf_link_tell(struct hf_link *l, enum hf_chaos_news news, const struct hf_toxic *t,
                  const char *what);
/* Flushes, reads on or rests, sets the timer. Called at the end of whatever happened. */
void hf_link_settle(struct hf_link *l);
hf_time hf_link_now(const struct hf_link *l);
bool hf_link_is_live(const struct hf_link *l); /* OPENING or OPEN */

/* ---- link_frames.c ----------------------------------------------------------------------------
 */
/* Reads what came; returns the bytes taken. */
size_t hf_link_read(struct hf_link *l, enum hf_way way, struct hf_slice bytes);
/* The open handshake is over: the clocks of the toxics begin. */
void hf_link_opened(struct hf_link *l, bool websocket);

/* ---- effects.c --------------------------------------------------------------------------------
 */
void hf_effect_init(struct hf_effect *e, struct hf_link *l, struct hf_toxic *t);
/* Its toxic was changed; toxicity: before that. */
void hf_effect_redraw(struct hf_effect *e, struct hf_link *l, double toxicity);
void hf_effect_fini(struct hf_effect *e);
void hf_effect_begin(struct hf_effect *e, struct hf_link *l);
/* When it has something to do; HF_NEVER: not by time. */
hf_time hf_effect_deadline(const struct hf_effect *e, const struct hf_link *l);
/* The deadline has come. */
void hf_effect_tick(struct hf_effect *e, struct hf_link *l);

/* What went by. */
struct hf_sight {
    enum hf_way way;
    int64_t kinds;     /* HF_COUNTS_ */
    bool frame;        /* a frame begins here */
    bool begins, ends; /* a message */
    uint8_t opcode;    /* of the frame */
    uint64_t size;     /* bytes of the message so far, the open frame counted whole */
    size_t len;        /* bytes on the wire */
    const struct hf_frame_head *head; /* with `frame` */
    struct hf_slice payload;          /* of a control frame, unmasked */
};
enum hf_pass {
    HF_PASS,      /* it goes on */
    HF_PASS_DROP, /* it does not */
    HF_PASS_HOLD, /* the source rests until lane.hold_until; nothing was counted */
    HF_PASS_ENDED /* the link has ended, or has begun to */
};
enum hf_pass hf_effects_see(struct hf_link *l, const struct hf_sight *sight);
/* How many bytes of this run may go on (limit_data, timeout, reset_peer); may end the link. */
size_t hf_effects_allow(struct hf_link *l, enum hf_way way, size_t len);
/* The server neither reads nor answers now. */
bool hf_effects_blocked(const struct hf_link *l);
/* An effect of this kind, in this direction when the kind has one; NULL: none. */
struct hf_effect *hf_effect_of(const struct hf_link *l, enum hf_toxic_kind kind, enum hf_way way);
/* Bytes of this direction wait: the server is blocked, or a black hole will end. */
bool hf_effects_held(const struct hf_link *l, enum hf_way way);
/* They are thrown away. */
bool hf_effects_swallow(const struct hf_link *l, enum hf_way way);
/* Of a restart, a handover or a periodic block. */
struct hf_beat hf_effect_beat(const struct hf_chaos_proxy *p, const struct hf_toxic *t);

#endif
