/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the simulated io share: sim_net.c (connections and events), sim_stream.c
 * (streams, listeners, names) and sim_io.c (loops and time). Nothing else includes it. */
#ifndef HF_TESTS_SIM_CORE_H
#define HF_TESTS_SIM_CORE_H

#include "sim_io.h"

/* ---- bytes in a queue ------------------------------------------------------------------------ */

struct bytes {
    uint8_t *data;
    size_t off;
    size_t len;
    size_t cap;
};

void sim_bytes_add(struct bytes *b, const uint8_t *ptr, size_t len);
void sim_bytes_drop(struct bytes *b, size_t len);
void sim_bytes_free(struct bytes *b);
static inline const uint8_t *sim_bytes_at(const struct bytes *b, size_t offset)
{
    return b->data + b->off + offset;
}

/* ---- the network ----------------------------------------------------------------------------- */

struct stream;
struct loop;

enum event_kind {
    EVENT_SYN,
    EVENT_SYN_ACK,
    EVENT_ESTABLISHED,    /* the listener's side may be accepted */
    EVENT_CONNECT_FAILED, /* n: enum hf_end_kind */
    EVENT_SEGMENT,        /* n: bytes */
    EVENT_ACK,            /* n: bytes that arrived; edge: how far the window reaches */
    EVENT_FIN,
    EVENT_RST,
    EVENT_TLS_OPEN,
    EVENT_GIVE_UP, /* look whether TCP gives the peer up */
    EVENT_NAME,    /* n: id of the look-up */
    EVENT_REST,    /* n: id of the listener that goes on */
};

/* Comes to `side` of the link. */
struct event {
    hf_time when;
    uint64_t order; /* of two at one time the one that was made first comes first */
    uint64_t n;
    uint64_t edge;
    struct link *link; /* NULL: of none */
    uint32_t epoch;    /* of the link's path */
    uint8_t kind;
    uint8_t side;
};

/* One side of a connection, in the kernel of its host, and the direction that it sends. Offsets
 * count bytes from the first. */
struct side {
    struct stream *stream; /* NULL: not accepted yet, or closed */
    struct hf_address address;
    struct hf_socket_options options;
    struct bytes out; /* from `acked` on */
    uint64_t acked;
    uint64_t sent;
    uint64_t arrived; /* at the other side */
    uint64_t edge;    /* the other side's window reaches so far, as far as this one knows */
    hf_time busy_until;
    hf_time last_arrival;
    hf_time unacked_since;
    hf_time heard;
    struct bytes in;    /* that arrived and were not read */
    uint64_t told_edge; /* of our window, in the last acknowledgement that left */
    enum hf_end_kind
        fault;   /* HF_END_KINDS: none; else RST, TIMEOUT, ...: the connection is dead here */
    bool fin;    /* sending ends behind out */
    bool notify; /* ... with a close_notify */
    bool fin_sent;
    bool got_fin; /* and everything in front of it */
    bool got_notify;
    bool rst;    /* we sent RST */
    bool closed; /* the owner has given it up */
    bool tls;    /* TLS was started here */
    bool tls_open;
    bool watched; /* EVENT_GIVE_UP is on its way */
};

enum link_state { LINK_SYN, LINK_SYN_ACK, LINK_OPEN, LINK_FAILED };

/* A connection. side[0] connected, side[1] listened. Freed when both sides are closed and no event
 * names it. */
struct link {
    struct sim *sim;
    struct hf_list node;
    struct sim_path path;
    struct side side[2];
    enum link_state state;
    uint32_t events;
    uint32_t epoch;
    bool dark;
    bool silent;               /* nobody is there at all */
    bool established;          /* at the listener's side too */
    struct hf_listener *queue; /* it waits there to be accepted */
    struct hf_list waiting;
};

struct link *sim_link_new(struct sim *sim, const struct sim_path *path);
/* The owner of the side has closed it: orderly, or with RST. */
void sim_side_close(struct link *link, unsigned side, bool abort);
/* Sends what the window lets out. */
void sim_side_pump(struct link *link, unsigned side);
/* The side has read: tells the other that its window reaches further. */
void sim_side_read(struct link *link, unsigned side);
void sim_side_start_tls(struct link *link, unsigned side);
void sim_link_connect(struct link *link, enum sim_fate fate);
void sim_link_accepted(struct link *link);
void sim_link_refuse_waiting(struct link *link);
void sim_link_release(struct link *link);
static inline size_t sim_side_unsent(const struct side *s)
{
    return s->out.len - (size_t)(s->sent - s->acked);
}

/* ---- streams and listeners ------------------------------------------------------------------- */

enum stream_state {
    STREAM_CONNECTING,
    STREAM_OPENING, /* on_open is due */
    STREAM_HANDSHAKE,
    STREAM_OPEN,
    STREAM_ENDED,
    STREAM_DEAD,
};

/* On one list of its loop: idle, ready or dead; on none in a parcel. */
struct stream {
    struct hf_stream head;
    struct hf_list node;
    struct link *link;
    unsigned side;
    enum stream_state state;
    struct bytes unread; /* that a handler left */
    uint64_t short_turn;
    bool paused;
    bool again;
    bool want_write;
    bool shut;
    bool told_open;
    bool ready;
};

struct hf_parcel {
    struct stream stream;
};

struct hf_listener {
    struct loop *loop;
    struct hf_list node;    /* of the loop */
    struct hf_list all;     /* of the simulator */
    struct hf_list waiting; /* links */
    const struct hf_listener_handler *handler;
    void *owner;
    struct hf_address address;
    struct hf_socket_options options;
    uint64_t id;
    bool reuse_port;
    bool paused;
    bool resting;
    bool dead;
};

struct loop {
    struct hf_loop head;
    struct sim *sim;
    struct hf_list node; /* of the simulator */
    struct hf_list idle, ready, dead;
    struct hf_list listeners, dead_listeners;
    struct hf_list answers; /* look-ups that are answered on the next turn */
    struct hf_task *first, *last;
    uint64_t turn;
    hf_time frozen;
    struct hf_address source; /* len 0: the simulator's */
    struct stream *lender;
    struct hf_slice lent;
    bool stopped;
};

struct sim {
    hf_time now;
    hf_wall wall; /* at time 0 */
    struct hf_random random;
    struct sim_shaper shaper;
    struct event *heap;
    size_t heap_len, heap_cap;
    uint64_t next_order, next_id, digest;
    uint16_t next_port;
    struct hf_address source;
    struct hf_list loops, links, listeners, names, lookups;
    size_t descriptors, descriptors_max;
    size_t streams;
};

static inline struct loop *loop_of(struct hf_loop *head)
{
    return HF_CONTAINER(head, struct loop, head);
}

/* Something happened at the side: its stream is served on its loop's next turn. */
void sim_stream_wake(struct link *link, unsigned side);
void sim_stream_ready(struct stream *s);
void sim_stream_serve(struct stream *s);
void sim_stream_kill(struct stream *s, bool abort);
/* The kernel closes it; its owner has a stream that is reset. */
void sim_stream_orphan(struct stream *s);
void sim_stream_free(struct stream *s);
void sim_listener_serve(struct hf_listener *l);
bool sim_listener_has_work(const struct hf_listener *l);
void sim_listener_kill(struct hf_listener *l);
struct hf_listener *sim_listener_find(struct sim *sim, const struct hf_address *address);
void sim_listener_rested(struct sim *sim, uint64_t id);
void sim_lookup_answer(struct sim *sim, uint64_t id);
void sim_lookups_serve(struct loop *loop);
void sim_lookups_forget(struct loop *loop);
void sim_names_free(struct sim *sim);
extern const struct hf_stream_ops sim_stream_ops;
enum hf_status sim_listen(struct hf_loop *head, const struct hf_listen *how,
                          const struct hf_listener_handler *handler, void *owner,
                          struct hf_listener **listener);
void sim_listener_address(struct hf_listener *l, struct hf_address *address);
void sim_listener_pause(struct hf_listener *l, bool paused);
enum hf_status sim_connect(struct hf_loop *head, const struct hf_connect *how,
                           const struct hf_stream_handler *handler, void *owner,
                           struct hf_stream **stream);
enum hf_status sim_adopt(struct hf_loop *head, struct hf_parcel *parcel,
                         const struct hf_stream_handler *handler, void *owner,
                         struct hf_stream **stream);
enum hf_status sim_resolve(struct hf_loop *head, const char *name, hf_resolved *done, void *owner,
                           uint64_t *id);
void sim_resolve_cancel(struct hf_loop *head, uint64_t id);

/* ---- events ---------------------------------------------------------------------------------- */

/* After so much time, to a side of the link. */
struct event *sim_event(struct sim *sim, hf_time when, enum event_kind kind, struct link *link,
                        unsigned side);
/* The earliest is due at; HF_NEVER when there is none. */
hf_time sim_event_next(const struct sim *sim);
void sim_events_deliver(struct sim *sim);
void sim_digest_add(struct sim *sim, uint64_t n);

#endif
