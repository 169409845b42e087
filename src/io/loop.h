/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the epoll loop share. Nothing outside src/io includes it.
 *
 * A turn: wait; read the clocks; take the ready lists aside; fire timers; serve the events; serve
 * what was ready before the turn; free the dead. So whatever is put on a ready list inside a
 * callback is served on the next turn, and memory outlives every event of its turn. */
#ifndef HF_IO_LOOP_H
#define HF_IO_LOOP_H

#include "io/epoll.h"
#include "io/io.h"

#include <stdatomic.h>
#include <sys/epoll.h>

#define EVENTS_MAX 512
/* Readers of a slice may load this many bytes behind it. */
#define BUFFER_SLACK 64
#define STREAM_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

/* The low bits of an event's data say what it is for. */
enum watch {
    WATCH_STREAM = 0,
    WATCH_LISTENER = 1,
    WATCH_WAKE = 2,
    WATCH_NAMES = 3, /* the rest is a descriptor of the resolver's */
    WATCH_MASK = 7,
};

struct resolver;
struct tls_room;

/* Bytes that came and were not taken. */
struct unread {
    uint32_t start; /* what is before it was taken */
    uint32_t end;   /* more than start */
    uint32_t cap;
    uint8_t bytes[];
};

static inline struct hf_slice unread_slice(const struct unread *u)
{
    return u == NULL ? (struct hf_slice){NULL, 0}
                     : hf_slice(u->bytes + u->start, u->end - u->start);
}

enum stream_state {
    STREAM_CONNECTING, /* TCP is on its way, or failed and on_end is due */
    STREAM_OPENING,    /* TCP stands; on_open is due */
    STREAM_HANDSHAKE,  /* TCP stands; TLS is on its way */
    STREAM_OPEN,
    STREAM_ENDED,     /* on_end came; after FIN and close_notify it can still send */
    STREAM_LINGERING, /* closed by its owner; what a send took still waits for the socket */
    STREAM_DEAD,      /* on the list of the dead */
};

/* A stream is on exactly one list of its loop: idle, ready (then `ready` is set) or dead. What
 * every message touches stands in the first 64 bytes. */
struct stream {
    struct hf_stream head;
    int fd;
    uint8_t state; /* enum stream_state */
    uint8_t end;   /* enum hf_end_kind that is due or was reported; HF_END_KINDS: none */
    bool paused : 1;
    bool readable : 1;   /* the kernel may hold more; edge-triggered epoll will not say so again */
    bool hangup : 1;     /* an event said so: read on until 0 or an error */
    bool again : 1;      /* unread bytes are offered without waiting for more */
    bool want_write : 1; /* a send was short: on_writable is due */
    bool flush : 1;      /* TLS records wait for room in the socket */
    bool shut : 1;       /* our direction was ended by its owner */
    bool broken : 1;     /* sends take nothing any more */
    bool ready : 1;
    bool told_open : 1;     /* on_open came */
    bool local : 1;         /* a Unix socket */
    struct unread *unread;  /* NULL when there is none */
    struct stream_tls *tls; /* NULL for plain */
    uint64_t short_turn;    /* in which the short send was made: its events are stale */
    struct hf_list node;
    int error; /* errno of `end`, or of the send that broke the stream */
};
_Static_assert(sizeof(struct stream) <= 96, "a plain stream is small");

struct hf_listener {
    struct loop *loop;
    const struct hf_listener_handler *handler;
    void *owner;
    int fd;
    bool paused;
    bool ready; /* on the list of ready listeners */
    bool dead;
    struct hf_timer rest;
    struct hf_list node; /* idle, ready or dead */
    struct hf_address address;
    uint64_t file_device; /* of a Unix socket's file, so that only it is removed */
    uint64_t file_inode;
};

struct loop {
    struct hf_loop head;
    int epoll;
    int wake; /* eventfd */
    uint64_t turn;
    struct stream *lender; /* its on_bytes runs ... */
    struct hf_slice lent;  /* ... with these bytes */
    struct hf_list idle, ready, dead;
    struct hf_list listeners, ready_listeners, dead_listeners;
    struct resolver *resolver;        /* NULL before the first name */
    struct tls_room *tls;             /* NULL before the first TLS stream */
    _Atomic(struct hf_task *) posted; /* the newest first */
    atomic_bool stopped;
    struct epoll_event events[EVENTS_MAX];
    /* On a page of its own: the kernel copies 64 KiB to an odd address at half the speed. */
    _Alignas(4096) uint8_t buffer[HF_STREAM_UNREAD_MAX + BUFFER_SLACK];
};

/* A stream on no loop and no list. */
struct hf_parcel {
    struct stream stream;
};

static inline struct loop *loop_of(struct stream *s)
{
    return HF_CONTAINER(s->head.loop, struct loop, head);
}

enum hf_status hf_status_of_errno(int error);

/* ---- listener.c ---- */
enum hf_status hf_socket_open(const struct hf_address *address,
                              const struct hf_socket_options *options, int *fd);
enum hf_status hf_listener_open(struct hf_loop *loop, const struct hf_listen *how,
                                const struct hf_listener_handler *handler, void *owner,
                                struct hf_listener **listener);
void hf_listener_tell_address(struct hf_listener *l, struct hf_address *address);
void hf_listener_set_paused(struct hf_listener *l, bool paused);
void hf_listener_kill(struct hf_listener *l);
void hf_listener_accept(struct hf_listener *l);

/* ---- stream.c: what plain and TLS streams share ---- */
/* NULL on no memory, and fd is still the caller's. On the idle list, connecting. */
struct stream *hf_stream_make(struct loop *loop, int fd);
/* An accepted or connected stream stands: watches it. False without memory for it. */
bool hf_stream_watch(struct stream *s);
void hf_stream_event(struct stream *s, uint32_t events);
/* Serves a stream that was taken off the ready list. */
void hf_stream_work(struct stream *s);
/* Has it served on the next turn. */
void hf_stream_ready(struct stream *s);
/* The owner gave it up: closes the descriptor, frees on the reap. */
void hf_stream_kill(struct stream *s);
void hf_stream_free(struct stream *s);
void hf_stream_fail(struct stream *s, enum hf_end_kind kind, int error);
/* The end of a stream whose socket reported an error. */
enum hf_end_kind hf_end_of_errno(int error, bool connecting);
/* A send met an error: nothing can be sent, what came is still read. */
void hf_stream_break(struct stream *s, int error);
void hf_stream_become(struct stream *s, enum stream_state state);
/* Copies unread bytes to the front of the loop's buffer; returns their number. */
size_t hf_stream_gather(struct stream *s);
/* Offers the first len bytes of the loop's buffer, of which `had` were unread before, and keeps
 * what is left. False when the stream is dead or turned into another kind, and must not be touched.
 */
bool hf_stream_offer(struct stream *s, size_t had, size_t len);
/* Offers the unread bytes themselves, for a stream that was resumed and has not ended. False as
 * above. */
bool hf_stream_offer_again(struct stream *s);
/* Keeps a copy behind what is kept in *unread already. False on no memory. */
bool hf_unread_add(struct unread **unread, struct hf_slice bytes);
/* The first n bytes are taken; frees it with the last. */
void hf_unread_take(struct unread **unread, size_t n);
void hf_stream_report_end(struct stream *s);
/* The same, unless the stream is paused or was resumed inside its last on_bytes: then the rest
 * comes first. */
void hf_stream_end_if_taken(struct stream *s);
/* Calls on_open, once. False when the owner closed it inside, or ended it. */
bool hf_stream_report_open(struct stream *s);
/* One receive into the room at `into`: the bytes, or 0 when there is nothing, with the flags and
 * the end set. */
size_t hf_stream_receive(struct stream *s, uint8_t *into, size_t room);
/* Whether unread bytes are offered before anything is received. Those of a stream that ended are
 * not: they are offered only once more. */
static inline bool may_offer_again(const struct stream *s)
{
    return s->again && s->unread != NULL && !s->paused && s->state == STREAM_OPEN &&
           s->end == HF_END_KINDS;
}
bool hf_stream_can_send(const struct stream *s);
void hf_stream_want_write(struct stream *s);

/* The operations that plain and TLS share. */
void hf_socket_pause(struct hf_stream *stream);
void hf_socket_resume(struct hf_stream *stream);
void hf_socket_close(struct hf_stream *stream);
void hf_socket_abort(struct hf_stream *stream);
void hf_socket_progress(struct hf_stream *stream, struct hf_progress *progress);
extern const struct hf_stream_ops hf_plain_ops;

/* ---- passage.c ---- */
enum hf_status hf_stream_connect(struct hf_loop *loop, const struct hf_connect *how,
                                 const struct hf_stream_handler *handler, void *owner,
                                 struct hf_stream **stream);
enum hf_status hf_stream_adopt(struct hf_loop *loop, struct hf_parcel *parcel,
                               const struct hf_stream_handler *handler, void *owner,
                               struct hf_stream **stream);
struct hf_parcel *hf_socket_release(struct hf_stream *stream);

#endif
