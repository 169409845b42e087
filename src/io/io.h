/* SPDX-License-Identifier: Apache-2.0 */
/* io.h is the only door to the outside: one loop a thread, with streams, listeners, timers, names
 * and messages between loops. Two loops stand behind it: epoll (with TLS) and the simulator of
 * tests/sim.
 *
 * The contract, which one test suite runs against epoll, TLS and the simulator:
 *  - Every call on a loop, stream, listener or timer is made on the loop's own thread; only
 *    hf_loop_post and hf_loop_stop may be called from anywhere.
 *  - on_bytes lends bytes and returns how many it took, 0 to len. What it left stays with io, is
 * never lost, and comes again in front of what follows: at once after hf_stream_resume if the
 * stream was paused, else when more bytes (or the end) came. At most HF_STREAM_UNREAD_MAX bytes are
 * offered at a time; a handler that takes nothing of that many without pausing breaks the contract.
 *  - hf_stream_send copies nothing the kernel (or the TLS record) did not take: it says at once how
 * much it took, and what it did not take is the caller's. After a short send on_writable comes
 * once, on a later turn, when there is room again.
 *  - Failure and end arrive by on_end on a later turn, never inside a call. Before it, all bytes
 * that came were offered and taken (a paused stream reports its end only after resume and taking
 * all; bytes that were left untaken and not paused are offered one last time, then on_end follows).
 *  - on_end comes at most once for each stream, and nothing after it but on_writable: after FIN or
 *    close_notify the stream can still send. After any other end it cannot (sends take nothing); so
 * it is when the connection is lost after FIN, which is not told: who sends on after FIN sets a
 * timer.
 *  - A connect or a handshake that failed is told by on_end even while the stream is paused.
 *  - hf_stream_close and hf_stream_abort may be called at any time, also inside a callback of the
 * same stream. After them no callback comes; the memory goes when the loop turns (the reap list),
 * and the pointer must not be used again.
 *  - A descriptor is registered once; a steady relay costs one receive and one send a message and
 * no further system call.
 */
#ifndef HF_IO_IO_H
#define HF_IO_IO_H

#include "base/list.h"
#include "base/slice.h"
#include "base/status.h"
#include "base/time.h"
#include "io/wheel.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct hf_loop;
struct hf_stream;
struct hf_listener;
struct hf_tls; /* a TLS context: io/tls.h */

#define HF_STREAM_UNREAD_MAX 131072

/* ---- addresses --------------------------------------------------------------------------------
 */

/* IPv4, IPv6 or Unix. A Unix path longer than the field is refused at parsing. */
struct hf_address {
    socklen_t len; /* 0: no address */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un;
    } u;
};

/* "127.0.0.1:80", "[::1]:80", "unix:/run/app.sock". No names. False when it is none of these. */
bool hf_address_parse(struct hf_slice text, struct hf_address *address);
/* Same forms; at most 128 bytes with the NUL. */
void hf_address_text(const struct hf_address *address, char text[128]);
/* Only the host part, without brackets; "unix" for a Unix address. */
void hf_address_host_text(const struct hf_address *address, char text[64]);

/* ---- ends -------------------------------------------------------------------------------------
 */

enum hf_end_kind {
    HF_END_FIN,           /* the peer ended its direction of plain TCP */
    HF_END_TLS_NOTIFY,    /* the peer sent close_notify */
    HF_END_TLS_TRUNCATED, /* FIN on a TLS stream without close_notify */
    HF_END_RST,           /* the peer reset the connection, or a send met a dead peer (EPIPE) */
    HF_END_TIMEOUT,       /* ETIMEDOUT: keepalive or TCP_USER_TIMEOUT gave the peer up */
    HF_END_REFUSED,       /* connect: ECONNREFUSED, or no such Unix socket */
    HF_END_UNREACHABLE,   /* connect: no route, no host, or its own time ran out */
    HF_END_TLS_FAILED,    /* handshake, certificate or record failure; `detail` says what */
    HF_END_ERRNO,         /* any other error; see error */
    HF_END_KINDS,
};

struct hf_end {
    enum hf_end_kind kind;
    int error;          /* errno, or 0 */
    const char *detail; /* for a person; dies with the callback; never NULL */
};

/* ---- streams ----------------------------------------------------------------------------------
 */

struct hf_stream_handler {
    /* The connection stands: TCP for a plain one, TCP and TLS for one that was asked to speak TLS.
     * Comes once for connected streams and for hf_stream_start_tls; accepted plain streams are open
     * from the start. May be NULL. */
    void (*on_open)(void *owner, struct hf_stream *stream);
    size_t (*on_bytes)(void *owner, struct hf_stream *stream, struct hf_slice bytes);
    void (*on_writable)(void *owner, struct hf_stream *stream);
    void (*on_end)(void *owner, struct hf_stream *stream, const struct hf_end *end);
};

struct hf_progress {
    uint64_t unsent; /* bytes taken by send that have not left the socket (or the TLS record) */
    uint64_t
        unacked; /* bytes taken by send that the peer's TCP has not acknowledged, unsent included */
    uint32_t rtt_us; /* smoothed by TCP; 0 when unknown */
    bool dead; /* TCP knows that the peer is gone (reset, timed out), though bytes may still be
                  unread */
    uint64_t unread; /* bytes received that on_bytes has not taken: with io and in the kernel */
    uint32_t retransmits; /* TCP segments sent again over the whole life; 0 when unknown */
    bool peer_ended; /* the peer's FIN is here, though bytes in front of it may still be unread */
};

/* How a TLS side is set up. */
struct hf_tls_how {
    struct hf_tls *tls; /* its reference is held by the stream while it needs it */
    bool server;
    const char *name; /* client: the name for SNI and verification; NULL for none; copied */
};
struct hf_parcel;

struct hf_stream_ops {
    size_t (*send)(struct hf_stream *stream, const struct hf_slice *parts, size_t count);
    void (*pause)(struct hf_stream *stream);
    void (*resume)(struct hf_stream *stream);
    void (*shut)(struct hf_stream *stream);
    void (*close)(struct hf_stream *stream);
    void (*abort)(struct hf_stream *stream);
    void (*progress)(struct hf_stream *stream, struct hf_progress *progress);
    uint64_t (*unacked)(struct hf_stream *stream); /* NULL: progress tells it */
    enum hf_status (*start_tls)(struct hf_stream *stream, const struct hf_tls_how *how);
    struct hf_parcel *(*release)(struct hf_stream *stream);
};

/* The public head; implementations embed it first. */
struct hf_stream {
    const struct hf_stream_ops *ops;
    struct hf_loop *loop;
    const struct hf_stream_handler *handler;
    void *owner;
};

/* Sends the parts in order; returns the bytes taken, 0 to their sum. count is 1 to 8. */
static inline size_t hf_stream_sendv(struct hf_stream *s, const struct hf_slice *parts,
                                     size_t count)
{
    return s->ops->send(s, parts, count);
}
static inline size_t hf_stream_send(struct hf_stream *s, struct hf_slice bytes)
{
    return s->ops->send(s, &bytes, 1);
}
/* No on_bytes until resume. May be called inside on_bytes. Twice is once. */
static inline void hf_stream_pause(struct hf_stream *s)
{
    s->ops->pause(s);
}
/* What was left is offered on a later turn (never inside this call), and reading goes on. */
static inline void hf_stream_resume(struct hf_stream *s)
{
    s->ops->resume(s);
}
/* Ends our direction behind what send took (FIN; close_notify first on TLS). Reading goes on. Twice
 * is once. */
static inline void hf_stream_shut(struct hf_stream *s)
{
    s->ops->shut(s);
}
/* Gives the stream up. What send took is still delivered by the kernel, unless unread bytes wait,
 * in which case TCP resets; a caller that cares shuts first and reads to the end. NULL is accepted.
 */
static inline void hf_stream_close(struct hf_stream *s)
{
    if (s != NULL) {
        s->ops->close(s);
    }
}
/* Gives the stream up with RST; what was not sent is thrown away. NULL is accepted. */
static inline void hf_stream_abort(struct hf_stream *s)
{
    if (s != NULL) {
        s->ops->abort(s);
    }
}
static inline void hf_stream_progress(struct hf_stream *s, struct hf_progress *progress)
{
    s->ops->progress(s, progress);
}
/* progress's `unacked` alone, which costs one system call. */
static inline uint64_t hf_stream_unacked(struct hf_stream *s)
{
    struct hf_progress progress;
    if (s->ops->unacked != NULL) {
        return s->ops->unacked(s);
    }
    s->ops->progress(s, &progress);
    return progress.unacked;
}
static inline void hf_stream_handle(struct hf_stream *s, const struct hf_stream_handler *handler,
                                    void *owner)
{
    s->handler = handler;
    s->owner = owner;
}

/* Turns an open plain stream into TLS; bytes not yet taken are its first records. on_open or on_end
 * follow. */
HF_MUST_USE static inline enum hf_status hf_stream_start_tls(struct hf_stream *s,
                                                             const struct hf_tls_how *how)
{
    return s->ops->start_tls(s, how);
}

/* A stream between two loops: descriptor, TLS state and unread bytes. release forgets the stream on
 * its loop (no callback comes again; the pointer is dead); adopt makes it a paused stream of
 * another loop. Inside the stream's own on_bytes all bytes of that call travel along, whatever it
 * returns. A parcel that is not adopted must be dropped (hf_parcel_drop). NULL on no memory: the
 * stream is as before. */
static inline struct hf_parcel *hf_stream_release(struct hf_stream *s)
{
    return s->ops->release(s);
}

/* ---- listeners and connecting -----------------------------------------------------------------
 */

struct hf_socket_options {
    hf_time keepalive_idle; /* 0: TCP keepalive off */
    hf_time keepalive_interval;
    int keepalive_count;
    hf_time user_timeout;    /* TCP_USER_TIMEOUT; 0: the system's */
    uint32_t notsent_lowat;  /* bytes; 0: the system's */
    uint32_t receive_buffer; /* of connecting sockets: SO_RCVBUF in bytes, set before the connect;
                                0: the system's */
};

struct hf_listener_handler {
    /* A plain stream, open, paused: the handler sets its own callbacks and resumes it, or closes
     * it. peer dies with the call. */
    void (*on_accept)(void *owner, struct hf_stream *stream, const struct hf_address *peer);
    /* Accepting failed for want of descriptors or memory; the listener rests 100 ms and goes on by
     * itself. May be NULL. */
    void (*on_exhausted)(void *owner, enum hf_status why);
};

struct hf_listen {
    struct hf_address address; /* port 0: the system chooses, see hf_listener_address */
    bool reuse_port;           /* one listener for each worker on one port */
    int backlog;               /* 0: the system's maximum */
    uint32_t
        unix_mode; /* permissions of a Unix socket's file; 0: 0600. A stale file is replaced. */
    struct hf_socket_options options;
};

struct hf_connect {
    struct hf_address address;
    struct hf_socket_options options;
    struct hf_tls_how tls; /* tls.tls NULL: plain */
};

/* A name was looked up. status HF_OK: count >= 1 addresses with port 0, the resolver's order;
 * HF_NOT_FOUND: the name has none; HF_IO: the servers did not answer. */
typedef void hf_resolved(void *owner, enum hf_status status, const struct hf_address *addresses,
                         size_t count);

/* Work for another loop's thread. The caller owns the memory until run is called, on the loop's
 * thread. */
struct hf_task {
    struct hf_task *next;
    void (*run)(struct hf_task *task, struct hf_loop *loop);
};

/* ---- the loop ---------------------------------------------------------------------------------
 */

struct hf_loop_ops {
    enum hf_status (*listen)(struct hf_loop *, const struct hf_listen *,
                             const struct hf_listener_handler *, void *owner,
                             struct hf_listener **);
    void (*listener_address)(struct hf_listener *, struct hf_address *);
    void (*listener_pause)(struct hf_listener *, bool paused);
    void (*listener_close)(struct hf_listener *);
    enum hf_status (*connect)(struct hf_loop *, const struct hf_connect *,
                              const struct hf_stream_handler *, void *owner, struct hf_stream **);
    enum hf_status (*resolve)(struct hf_loop *, const char *name, hf_resolved *, void *owner,
                              uint64_t *id);
    void (*resolve_cancel)(struct hf_loop *, uint64_t id);
    const char *(*resolve_alias)(struct hf_loop *, size_t index); /* NULL: it knows of none */
    enum hf_status (*adopt)(struct hf_loop *, struct hf_parcel *, const struct hf_stream_handler *,
                            void *owner, struct hf_stream **);
    void (*post)(struct hf_loop *, struct hf_task *);
    void (*stop)(struct hf_loop *);
    void (*free)(struct hf_loop *);
};

/* The public head; implementations embed it first. */
struct hf_loop {
    const struct hf_loop_ops *ops;
    hf_time now;           /* of this turn */
    hf_wall wall;          /* of this turn */
    struct hf_wheel wheel; /* the timers */
    void *user;            /* the owner's own pointer: a worker */
};

static inline hf_time hf_loop_now(const struct hf_loop *loop)
{
    return loop->now;
}
static inline hf_wall hf_loop_wall(const struct hf_loop *loop)
{
    return loop->wall;
}

/* Timers: embedded in their owner, `struct hf_timer` of io/wheel.h. A timer fires once, on a turn
 * at or after `when` (at most 2 ms late by design, more on a busy loop); setting a set timer moves
 * it. */
static inline void hf_timer_set(struct hf_loop *loop, struct hf_timer *t, hf_time when)
{
    hf_wheel_set(&loop->wheel, t, when);
}
static inline void hf_timer_stop(struct hf_loop *loop, struct hf_timer *t)
{
    hf_wheel_stop(&loop->wheel, t);
}

HF_MUST_USE static inline enum hf_status hf_loop_listen(struct hf_loop *loop,
                                                        const struct hf_listen *how,
                                                        const struct hf_listener_handler *handler,
                                                        void *owner, struct hf_listener **listener)
{
    return loop->ops->listen(loop, how, handler, owner, listener);
}
/* on_open or on_end follow on a later turn. Bytes cannot be sent before on_open. */
HF_MUST_USE static inline enum hf_status hf_loop_connect(struct hf_loop *loop,
                                                         const struct hf_connect *how,
                                                         const struct hf_stream_handler *handler,
                                                         void *owner, struct hf_stream **stream)
{
    return loop->ops->connect(loop, how, handler, owner, stream);
}
/* The answer comes on a later turn, once, unless cancelled. *id is never 0. "localhost" and numeric
 * hosts are answered without a server. */
HF_MUST_USE static inline enum hf_status hf_loop_resolve(struct hf_loop *loop, const char *name,
                                                         hf_resolved *done, void *owner,
                                                         uint64_t *id)
{
    return loop->ops->resolve(loop, name, done, owner, id);
}
/* An id that was answered or cancelled is ignored. */
static inline void hf_loop_resolve_cancel(struct hf_loop *loop, uint64_t id)
{
    loop->ops->resolve_cancel(loop, id);
}
/* Inside of an hf_resolved alone: the names that the one asked for led to (its chain of CNAMEs), in
 * their order from index 0 on; NULL behind the last. Dies with the callback. */
static inline const char *hf_loop_resolve_alias(struct hf_loop *loop, size_t index)
{
    return loop->ops->resolve_alias == NULL ? NULL : loop->ops->resolve_alias(loop, index);
}
HF_MUST_USE static inline enum hf_status hf_loop_adopt(struct hf_loop *loop,
                                                       struct hf_parcel *parcel,
                                                       const struct hf_stream_handler *handler,
                                                       void *owner, struct hf_stream **stream)
{
    return loop->ops->adopt(loop, parcel, handler, owner, stream);
}
/* From any thread. Tasks of one thread run in their order. A task may be posted again after it ran.
 */
static inline void hf_loop_post(struct hf_loop *loop, struct hf_task *task)
{
    loop->ops->post(loop, task);
}
/* From any thread: hf_epoll_run returns after the turn. */
static inline void hf_loop_stop(struct hf_loop *loop)
{
    loop->ops->stop(loop);
}
/* Closes what is still open, without callbacks. NULL is accepted. */
static inline void hf_loop_free(struct hf_loop *loop)
{
    if (loop != NULL) {
        loop->ops->free(loop);
    }
}
static inline void hf_listener_address(struct hf_loop *loop, struct hf_listener *l,
                                       struct hf_address *address)
{
    loop->ops->listener_address(l, address);
}
static inline void hf_listener_pause(struct hf_loop *loop, struct hf_listener *l, bool paused)
{
    loop->ops->listener_pause(l, paused);
}
static inline void hf_listener_close(struct hf_loop *loop, struct hf_listener *l)
{
    if (l != NULL) {
        loop->ops->listener_close(l);
    }
}

#endif
