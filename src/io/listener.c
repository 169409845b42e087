/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets: their options, and the listeners that accept them.
 *
 * The options of an accepted socket are set once, on the listener: Linux gives a new connection a
 * copy of the listening socket's (keepalive, user timeout, TCP_NODELAY, notsent_lowat). */
#include "io/loop.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACCEPTS_A_TURN 64
#define REST HF_MS(100)

enum hf_status hf_status_of_errno(int error)
{
    switch (error) {
    case 0:
        return HF_OK;
    case ENOMEM:
    case ENOBUFS:
    case ENOSPC: /* epoll's maximum of watches */
        return HF_NO_MEMORY;
    case EMFILE:
    case ENFILE:
        return HF_NO_DESCRIPTORS;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return HF_NO_ADDRESS;
    case EADDRINUSE:
        return HF_IN_USE;
    case EACCES:
    case EPERM:
        return HF_DENIED;
    case ENOENT:
    case ENOTDIR:
        return HF_NOT_FOUND;
    case EINVAL:
    case ENAMETOOLONG:
        return HF_INVALID;
    default:
        return HF_IO;
    }
}

static void set_number(int fd, int level, int option, int value)
{
    /* An option the kernel does not know is no reason to refuse the connection. */
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

static int in_units(hf_time value, hf_time unit)
{
    hf_time units = (value + unit - 1) / unit;
    return units < 1 ? 1 : units > INT_MAX ? INT_MAX : (int)units;
}

static void set_options(int fd, const struct hf_socket_options *options)
{
    set_number(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (options->keepalive_idle > 0) {
        set_number(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        set_number(fd, IPPROTO_TCP, TCP_KEEPIDLE, in_units(options->keepalive_idle, HF_SECONDS(1)));
        if (options->keepalive_interval > 0) {
            set_number(fd, IPPROTO_TCP, TCP_KEEPINTVL,
                       in_units(options->keepalive_interval, HF_SECONDS(1)));
        }
        if (options->keepalive_count > 0) {
            set_number(fd, IPPROTO_TCP, TCP_KEEPCNT, options->keepalive_count);
        }
    }
    if (options->user_timeout > 0) {
        set_number(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, in_units(options->user_timeout, HF_MS(1)));
    }
    if (options->receive_buffer > 0) {
        set_number(fd, SOL_SOCKET, SO_RCVBUF,
                   options->receive_buffer > INT_MAX ? INT_MAX : (int)options->receive_buffer);
    }
    if (options->notsent_lowat > 0) {
        set_number(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT,
                   options->notsent_lowat > INT_MAX ? INT_MAX : (int)options->notsent_lowat);
    }
}

enum hf_status hf_socket_open(const struct hf_address *address,
                              const struct hf_socket_options *options, int *fd)
{
    int family = address->u.any.sa_family;
    *fd = address->len == 0 ? -1 : socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0) {
        return address->len == 0 ? HF_INVALID : hf_status_of_errno(errno);
    }
    if (family != AF_UNIX) {
        set_options(*fd, options);
    }
    return HF_OK;
}

/* ---- binding ------------------------------------------------------------------------------------
 */

/* Whether a Unix socket's file has nobody behind it (connect is refused). Other files are never
 * stale. */
static bool is_stale(const struct hf_address *address)
{
    struct stat file;
    if (lstat(address->u.un.sun_path, &file) != 0 || !S_ISSOCK(file.st_mode)) {
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    bool refused = connect(fd, &address->u.any, address->len) != 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int bind_unix(struct hf_listener *l, const struct hf_listen *how)
{
    const char *path = how->address.u.un.sun_path;
    int result = bind(l->fd, &how->address.u.any, how->address.len);
    if (result != 0 && errno == EADDRINUSE && is_stale(&how->address)) {
        unlink(path);
        result = bind(l->fd, &how->address.u.any, how->address.len);
    }
    if (result != 0) {
        return errno;
    }
    struct stat file;
    if (lstat(path, &file) != 0) {
        return errno;
    }
    l->file_device = file.st_dev;
    l->file_inode = file.st_ino;
    /* Before listen nobody can connect, so the permissions are never wider than asked for. */
    return chmod(path, how->unix_mode == 0 ? 0600 : how->unix_mode) == 0 ? 0 : errno;
}

static int bind_inet(struct hf_listener *l, const struct hf_listen *how)
{
    set_number(l->fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (how->address.u.any.sa_family == AF_INET6) {
        set_number(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    }
    if (how->reuse_port) {
        set_number(l->fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    return bind(l->fd, &how->address.u.any, how->address.len) == 0 ? 0 : errno;
}

static int bind_and_listen(struct hf_listener *l, const struct hf_listen *how)
{
    bool local = how->address.u.any.sa_family == AF_UNIX;
    int error = local ? bind_unix(l, how) : bind_inet(l, how);
    if (error == 0 && listen(l->fd, how->backlog <= 0 ? INT_MAX : how->backlog) != 0) {
        error = errno;
    }
    l->address = how->address;
    if (error == 0 && !local) {
        l->address.len = sizeof(l->address.u);
        if (getsockname(l->fd, &l->address.u.any, &l->address.len) != 0) {
            error = errno;
        }
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLET,
                                .data.u64 = (uintptr_t)l | WATCH_LISTENER};
    if (error == 0 && epoll_ctl(l->loop->epoll, EPOLL_CTL_ADD, l->fd, &event) != 0) {
        error = errno;
    }
    return error;
}

/* ---- the listener -------------------------------------------------------------------------------
 */

static void make_ready(struct hf_listener *l)
{
    if (!l->ready && !l->dead) {
        l->ready = true;
        hf_list_remove(&l->node);
        hf_list_append(&l->loop->ready_listeners, &l->node);
    }
}

static void rested(struct hf_timer *timer, hf_time now)
{
    make_ready(HF_CONTAINER(timer, struct hf_listener, rest));
}

enum hf_status hf_listener_open(struct hf_loop *head, const struct hf_listen *how,
                                const struct hf_listener_handler *handler, void *owner,
                                struct hf_listener **listener)
{
    *listener = NULL;
    struct hf_listener *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return HF_NO_MEMORY;
    }
    l->loop = HF_CONTAINER(head, struct loop, head);
    l->handler = handler;
    l->owner = owner;
    hf_timer_init(&l->rest, rested);
    hf_list_init(&l->node);
    hf_list_append(&l->loop->listeners, &l->node);
    enum hf_status status = hf_socket_open(&how->address, &how->options, &l->fd);
    if (status == HF_OK) {
        status = hf_status_of_errno(bind_and_listen(l, how));
    }
    if (status != HF_OK) {
        hf_listener_kill(l);
        return status;
    }
    *listener = l;
    return HF_OK;
}

void hf_listener_kill(struct hf_listener *l)
{
    struct stat file;
    const char *path = l->address.u.un.sun_path;
    if (l->file_inode != 0 && lstat(path, &file) == 0 && file.st_ino == l->file_inode &&
        file.st_dev == l->file_device) {
        unlink(path);
    }
    if (l->fd >= 0) {
        close(l->fd);
        l->fd = -1;
    }
    l->dead = true;
    hf_timer_stop(&l->loop->head, &l->rest);
    hf_list_remove(&l->node);
    hf_list_append(&l->loop->dead_listeners, &l->node);
}

void hf_listener_tell_address(struct hf_listener *l, struct hf_address *address)
{
    *address = l->address;
}

void hf_listener_set_paused(struct hf_listener *l, bool paused)
{
    if (l->paused && !paused) {
        make_ready(l);
    }
    l->paused = paused;
}

/* Takes one connection off the queue. 0, or the errno of what went wrong. */
static int accept_one(struct hf_listener *l)
{
    struct hf_address peer = {.len = sizeof(peer.u)};
    int fd = accept4(l->fd, &peer.u.any, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    struct stream *s = hf_stream_make(l->loop, fd);
    if (s == NULL) {
        close(fd);
        return ENOMEM;
    }
    hf_stream_become(s, STREAM_OPENING);
    hf_stream_become(s, STREAM_OPEN);
    s->paused = true;
    s->told_open = true;
    s->local = l->address.u.any.sa_family == AF_UNIX;
    if (!hf_stream_watch(s)) {
        hf_stream_kill(s);
        return ENOMEM;
    }
    l->handler->on_accept(l->owner, &s->head, &peer);
    return 0;
}

static void exhausted(struct hf_listener *l, int error)
{
    hf_timer_set(&l->loop->head, &l->rest, l->loop->head.now + REST);
    if (l->handler->on_exhausted != NULL) {
        l->handler->on_exhausted(l->owner, hf_status_of_errno(error));
    }
}

void hf_listener_accept(struct hf_listener *l)
{
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        if (l->dead || l->paused || hf_timer_is_set(&l->rest)) {
            return;
        }
        int error = accept_one(l);
        switch (error) {
        case EAGAIN:
            return;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            exhausted(l, error);
            return;
        default:
            /* The connection that was waiting is gone or unfit (accept(2)); the next may be well.
             */
            break;
        }
    }
    make_ready(l);
}
