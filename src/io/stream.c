/* SPDX-License-Identifier: Apache-2.0 */
/* Streams over sockets: the plain ones, and what TLS shares with them.
 *
 * Reading. An event sets `readable`; a receive that was short clears it, because the kernel will
 * tell when more comes (epoll(7)). After a full read the stream goes on the ready list, so that one
 * loud peer cannot keep the loop for itself. All streams receive into the loop's one buffer; what a
 * handler leaves is copied to memory of its own, and to the front of that buffer before the next
 * receive. */
#include "io/loop.h"
#include "io/tls_stream.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#define PARTS_MAX 8
/* Of one stream in one go: 1 MiB, about 0.3 ms. More is unfair to the others; less costs a loud
 * stream more, because what the kernel holds of it has left the cache when its turn comes again. */
#define FULL_READS 8
#define BIT(state) (1U << (state))

/* ---- state --------------------------------------------------------------------------------------
 */

static const unsigned may_become[] = {
    [STREAM_CONNECTING] =
        BIT(STREAM_OPENING) | BIT(STREAM_HANDSHAKE) | BIT(STREAM_ENDED) | BIT(STREAM_DEAD),
    [STREAM_OPENING] =
        BIT(STREAM_HANDSHAKE) | BIT(STREAM_OPEN) | BIT(STREAM_ENDED) | BIT(STREAM_DEAD),
    [STREAM_HANDSHAKE] =
        BIT(STREAM_OPEN) | BIT(STREAM_ENDED) | BIT(STREAM_LINGERING) | BIT(STREAM_DEAD),
    [STREAM_OPEN] =
        BIT(STREAM_HANDSHAKE) | BIT(STREAM_ENDED) | BIT(STREAM_LINGERING) | BIT(STREAM_DEAD),
    [STREAM_ENDED] = BIT(STREAM_LINGERING) | BIT(STREAM_DEAD),
    [STREAM_LINGERING] = BIT(STREAM_DEAD),
    [STREAM_DEAD] = 0,
};

void hf_stream_become(struct stream *s, enum stream_state state)
{
    HF_ASSERT((may_become[s->state] & BIT(state)) != 0);
    s->state = (uint8_t)state;
}

static void move_to(struct stream *s, struct hf_list *list)
{
    hf_list_remove(&s->node);
    hf_list_append(list, &s->node);
}

void hf_stream_ready(struct stream *s)
{
    if (!s->ready && s->state < STREAM_LINGERING) {
        s->ready = true;
        move_to(s, &loop_of(s)->ready);
    }
}

struct stream *hf_stream_make(struct loop *loop, int fd)
{
    struct stream *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->head.ops = &hf_plain_ops;
    s->head.loop = &loop->head;
    s->fd = fd;
    s->end = HF_END_KINDS;
    hf_list_init(&s->node);
    hf_list_append(&loop->idle, &s->node);
    return s;
}

bool hf_stream_watch(struct stream *s)
{
    struct epoll_event event = {.events = STREAM_EVENTS, .data.u64 = (uintptr_t)s};
    return epoll_ctl(loop_of(s)->epoll, EPOLL_CTL_ADD, s->fd, &event) == 0;
}

void hf_stream_free(struct stream *s)
{
    if (s->fd >= 0) {
        close(s->fd);
    }
    hf_tls_free(s->tls);
    free(s->unread);
    free(s);
}

void hf_stream_kill(struct stream *s)
{
    hf_stream_become(s, STREAM_DEAD);
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    if (s->tls != NULL) {
        hf_timer_stop(s->head.loop, &s->tls->linger);
    }
    free(s->unread);
    s->unread = NULL;
    move_to(s, &loop_of(s)->dead);
}

/* ---- ends ---------------------------------------------------------------------------------------
 */

enum hf_end_kind hf_end_of_errno(int error, bool connecting)
{
    switch (error) {
    case ECONNRESET:
    case EPIPE:
        return HF_END_RST;
    case ECONNREFUSED:
        return HF_END_REFUSED;
    case ENOENT: /* no such Unix socket */
    case EAGAIN: /* a Unix socket whose listener's queue is full (unix(7)) */
        return connecting ? HF_END_REFUSED : HF_END_ERRNO;
    case ETIMEDOUT:
    case EHOSTUNREACH: /* on an open connection: why its retransmissions failed until it was given
                          up */
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
        return connecting ? HF_END_UNREACHABLE : HF_END_TIMEOUT;
    default:
        return HF_END_ERRNO;
    }
}

void hf_stream_fail(struct stream *s, enum hf_end_kind kind, int error)
{
    if (s->end == HF_END_KINDS) {
        s->end = (uint8_t)kind;
        s->error = error;
        s->readable = false;
        s->broken = s->broken || (kind != HF_END_FIN && kind != HF_END_TLS_NOTIFY);
    }
}

void hf_stream_break(struct stream *s, int error)
{
    if (s->broken) {
        return;
    }
    s->broken = true;
    s->want_write = false;
    if (s->end == HF_END_KINDS) {
        s->error = error;
        s->readable = true;
        s->hangup = true;
        hf_stream_ready(s);
    }
}

static const char *detail_of(const struct stream *s)
{
    switch ((enum hf_end_kind)s->end) {
    case HF_END_FIN:
        return "the peer ended its direction";
    case HF_END_TLS_NOTIFY:
        return "the peer sent close_notify";
    case HF_END_TLS_TRUNCATED:
        return "the peer ended TCP without close_notify";
    case HF_END_TLS_FAILED:
        return hf_tls_detail(s->tls);
    case HF_END_RST:
    case HF_END_TIMEOUT:
    case HF_END_REFUSED:
    case HF_END_UNREACHABLE:
    case HF_END_ERRNO:
    case HF_END_KINDS:
        break;
    }
    return strerror(s->error);
}

void hf_stream_report_end(struct stream *s)
{
    hf_stream_become(s, STREAM_ENDED);
    free(s->unread);
    s->unread = NULL;
    s->readable = false;
    struct hf_end end = {(enum hf_end_kind)s->end, s->error, detail_of(s)};
    if (s->head.handler != NULL && s->head.handler->on_end != NULL) {
        s->head.handler->on_end(s->head.owner, &s->head, &end);
    }
}

void hf_stream_end_if_taken(struct stream *s)
{
    if (s->paused) {
        return;
    }
    if (s->again && s->unread != NULL) {
        hf_stream_ready(s);
        return;
    }
    hf_stream_report_end(s);
}

bool hf_stream_report_open(struct stream *s)
{
    hf_stream_become(s, STREAM_OPEN);
    if (!s->told_open) {
        s->told_open = true;
        if (s->head.handler != NULL && s->head.handler->on_open != NULL) {
            s->head.handler->on_open(s->head.owner, &s->head);
        }
    }
    return s->state == STREAM_OPEN;
}

/* ---- reading ------------------------------------------------------------------------------------
 */

size_t hf_stream_receive(struct stream *s, uint8_t *into, size_t room)
{
    ssize_t n;
    do {
        n = recv(s->fd, into, room, 0);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        s->readable = (size_t)n == room || s->hangup;
        return (size_t)n;
    }
    int error = n < 0 ? errno : 0;
    s->readable = false;
    if (error == EAGAIN && !s->broken) {
        s->hangup = false;
    } else if (s->broken) {
        hf_stream_fail(s, hf_end_of_errno(s->error, false), s->error);
    } else if (n == 0) {
        hf_stream_fail(s, HF_END_FIN, 0);
    } else {
        hf_stream_fail(s, hf_end_of_errno(error, false), error);
    }
    return 0;
}

/* Reads and offers what a plain stream has, up to one full buffer, and tells the end when it came.
 */
static void work_plain(struct stream *s)
{
    struct loop *loop = loop_of(s);
    size_t room;
    size_t n;
    int full = 0;
    if (may_offer_again(s) && !hf_stream_offer_again(s)) {
        return;
    }
    do {
        if (s->paused || s->state != STREAM_OPEN) {
            return;
        }
        size_t had = unread_slice(s->unread).len;
        room = HF_STREAM_UNREAD_MAX - had;
        n = 0;
        if (s->readable && room > 0) {
            n = hf_stream_receive(s, loop->buffer + had, room);
        }
        bool last = s->end != HF_END_KINDS;
        if (n > 0 || (had > 0 && (s->again || last))) {
            hf_stream_gather(s);
            if (!hf_stream_offer(s, had, had + n)) {
                return;
            }
        }
        if (s->end != HF_END_KINDS && (last || s->end == HF_END_ERRNO)) {
            hf_stream_end_if_taken(s);
            return;
        }
    } while (s->readable && (n < room || ++full < FULL_READS));
    if (s->readable && !s->paused) {
        hf_stream_ready(s);
    }
}

/* TCP stands. */
static void connected(struct stream *s)
{
    if (s->tls != NULL) {
        hf_stream_become(s, STREAM_HANDSHAKE);
        return;
    }
    if (hf_stream_report_open(s) && s->shut) {
        shutdown(s->fd, SHUT_WR);
    }
}

void hf_stream_work(struct stream *s)
{
    if (s->state == STREAM_CONNECTING) {
        if (s->end != HF_END_KINDS) {
            hf_stream_report_end(s);
        }
        return;
    }
    if (s->state == STREAM_OPENING) {
        connected(s);
    }
    if (s->state >= STREAM_LINGERING) {
        return;
    }
    if (s->tls != NULL) {
        hf_tls_work(s);
    } else {
        work_plain(s);
    }
}

/* ---- events -------------------------------------------------------------------------------------
 */

/* What became of a connect(2) that was on its way. */
static void connect_event(struct stream *s, uint32_t events)
{
    if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0 || s->ready) {
        return;
    }
    int error = 0;
    socklen_t len = sizeof(error);
    /* Without ERR and HUP there is no error to ask for. */
    if ((events & (EPOLLERR | EPOLLHUP)) != 0 &&
        getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    if (error == 0) {
        hf_stream_become(s, STREAM_OPENING);
    } else {
        hf_stream_fail(s, hf_end_of_errno(error, true), error);
    }
    hf_stream_work(s);
}

static void writable_event(struct stream *s)
{
    if (s->short_turn == loop_of(s)->turn) {
        return;
    }
    if (s->flush && !hf_tls_flush(s)) {
        return;
    }
    if (s->want_write && !s->broken) {
        s->want_write = false;
        if (s->head.handler->on_writable != NULL) {
            s->head.handler->on_writable(s->head.owner, &s->head);
        }
    }
}

void hf_stream_event(struct stream *s, uint32_t events)
{
    if (s->state >= STREAM_LINGERING) {
        if (s->state == STREAM_LINGERING) {
            hf_tls_linger_event(s, events);
        }
        return;
    }
    bool came = (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (came && s->end == HF_END_KINDS) {
        s->readable = true;
        if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
            s->hangup = true;
        }
    }
    if (s->state == STREAM_CONNECTING) {
        connect_event(s, events);
    } else if (came && s->readable && !s->ready) {
        /* A stream that is ready is served with the ready ones, on their turn. */
        hf_stream_work(s);
    }
    if ((events & EPOLLOUT) != 0 && (s->want_write || s->flush) && s->state < STREAM_LINGERING) {
        writable_event(s);
    }
}

/* ---- operations ---------------------------------------------------------------------------------
 */

bool hf_stream_can_send(const struct stream *s)
{
    return (s->state == STREAM_OPEN || s->state == STREAM_ENDED) && !s->shut && !s->broken;
}

void hf_stream_want_write(struct stream *s)
{
    s->want_write = true;
    s->short_turn = loop_of(s)->turn;
}

static ssize_t send_parts(int fd, const struct hf_slice *parts, size_t count)
{
    if (count == 1) {
        return send(fd, parts[0].ptr, parts[0].len, MSG_NOSIGNAL);
    }
    struct iovec vector[PARTS_MAX];
    for (size_t i = 0; i < count; i++) {
        vector[i].iov_base = (void *)(uintptr_t)parts[i].ptr;
        vector[i].iov_len = parts[i].len;
    }
    struct msghdr message = {.msg_iov = vector, .msg_iovlen = count};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static size_t plain_send(struct hf_stream *stream, const struct hf_slice *parts, size_t count)
{
    struct stream *s = (struct stream *)stream;
    HF_ASSERT(count >= 1 && count <= PARTS_MAX);
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += parts[i].len;
    }
    if (total == 0 || !hf_stream_can_send(s)) {
        return 0;
    }
    ssize_t n;
    do {
        n = send_parts(s->fd, parts, count);
    } while (n < 0 && errno == EINTR);
    if (n == (ssize_t)total) {
        return total;
    }
    if (n < 0) {
        if (errno != EAGAIN) {
            hf_stream_break(s, errno);
            return 0;
        }
        n = 0;
    }
    hf_stream_want_write(s);
    return (size_t)n;
}

void hf_socket_pause(struct hf_stream *stream)
{
    ((struct stream *)stream)->paused = true;
}

void hf_socket_resume(struct hf_stream *stream)
{
    struct stream *s = (struct stream *)stream;
    if (!s->paused) {
        return;
    }
    s->paused = false;
    s->again = s->unread != NULL || loop_of(s)->lender == s;
    if (s->state == STREAM_OPEN && (s->again || s->readable || s->end != HF_END_KINDS ||
                                    (s->tls != NULL && hf_tls_has_more(s->tls)))) {
        hf_stream_ready(s);
    }
}

static void plain_shut(struct hf_stream *stream)
{
    struct stream *s = (struct stream *)stream;
    if (!s->shut) {
        s->shut = true;
        s->want_write = false;
        if (s->state == STREAM_OPEN || s->state == STREAM_ENDED) {
            shutdown(s->fd, SHUT_WR);
        }
    }
}

void hf_socket_close(struct hf_stream *stream)
{
    struct stream *s = (struct stream *)stream;
    if (s->tls == NULL || !hf_tls_lingers(s)) {
        hf_stream_kill(s);
    }
}

void hf_socket_abort(struct hf_stream *stream)
{
    struct stream *s = (struct stream *)stream;
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    hf_stream_kill(s);
}

static uint64_t plain_unacked(struct hf_stream *stream)
{
    const struct stream *s = (const struct stream *)stream;
    int queued = 0;
    if (ioctl(s->fd, SIOCOUTQ, &queued) != 0 || queued <= 0) {
        return 0;
    }
    return (uint64_t)queued - (s->shut && !s->local ? 1 : 0); /* our FIN counts as one */
}

void hf_socket_progress(struct hf_stream *stream, struct hf_progress *progress)
{
    struct stream *s = (struct stream *)stream;
    memset(progress, 0, sizeof(*progress));
    progress->unacked = plain_unacked(stream);
    int unsent = 0;
    struct tcp_info info;
    socklen_t len = sizeof(info);
    if (!s->local && ioctl(s->fd, SIOCOUTQNSD, &unsent) == 0 && unsent > 0) {
        progress->unsent =
            (uint64_t)unsent < progress->unacked ? (uint64_t)unsent : progress->unacked;
    }
    if (!s->local && getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0) {
        progress->rtt_us = info.tcpi_rtt;
        progress->dead = info.tcpi_state == TCP_CLOSE;
        progress->retransmits = info.tcpi_total_retrans;
        progress->peer_ended = info.tcpi_state == TCP_CLOSE_WAIT || info.tcpi_state == TCP_LAST_ACK;
    }
    int waiting = 0;
    if (ioctl(s->fd, SIOCINQ, &waiting) == 0 && waiting > 0) {
        progress->unread = (uint64_t)waiting;
    }
    if (loop_of(s)->lender == s) {
        progress->unread += loop_of(s)->lent.len;
    } else if (s->unread != NULL) {
        progress->unread += unread_slice(s->unread).len;
    }
    if (s->tls != NULL) {
        hf_tls_progress(s, progress);
    }
}

const struct hf_stream_ops hf_plain_ops = {
    .send = plain_send,
    .unacked = plain_unacked,
    .pause = hf_socket_pause,
    .resume = hf_socket_resume,
    .shut = plain_shut,
    .close = hf_socket_close,
    .abort = hf_socket_abort,
    .progress = hf_socket_progress,
    .start_tls = hf_tls_start,
    .release = hf_socket_release,
};
