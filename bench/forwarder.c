/* SPDX-License-Identifier: Apache-2.0
 * The limit for a userland proxy: copies bytes between a client and a backend and does nothing
 * else. forwarder LISTEN_PORT BACKEND_PORT, loopback only. Edge-triggered, each descriptor
 * registered once, one receive buffer for all, memory for a connection only while its receiver is
 * slower. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct leg {
    int fd;
    bool ended; /* its sender has finished; the pair closes when the rest is out */
    struct leg *other;
    uint8_t *rest; /* what this leg's socket has not taken yet; NULL when nothing is left */
    size_t rest_size;
    struct leg *next_dead;
};

static uint8_t buffer[64 * 1024];
static struct leg *dead; /* closed pairs, freed when no event of this turn can name them */
static int epoll;

static void pair_close(struct leg *leg)
{
    if (leg->fd >= 0) {
        close(leg->fd);
        close(leg->other->fd);
        leg->fd = leg->other->fd = -1;
        leg->next_dead = dead;
        dead = leg;
    }
}

/* Sends what is left for this leg; true when nothing is left. */
static bool rest_flush(struct leg *leg)
{
    if (leg->rest) {
        ssize_t n = send(leg->fd, leg->rest, leg->rest_size, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != ENOTCONN) {
            pair_close(leg);
            return false;
        }
        if (n > 0) {
            leg->rest_size -= (size_t)n;
            memmove(leg->rest, leg->rest + n, leg->rest_size);
        }
        if (leg->rest_size == 0) {
            free(leg->rest);
            leg->rest = NULL;
        }
    }
    return !leg->rest;
}

/* Moves what `from` has to its other leg until it has no more or the other takes no more. */
static void leg_copy(struct leg *from, bool ending)
{
    struct leg *to = from->other;
    while (from->fd >= 0 && !to->rest) {
        ssize_t got = recv(from->fd, buffer, sizeof buffer, 0);
        if (got <= 0) {
            if (got == 0 || errno != EAGAIN) {
                pair_close(from);
            }
            return;
        }
        ssize_t put = send(to->fd, buffer, (size_t)got, MSG_NOSIGNAL);
        if (put < 0 && errno != EAGAIN && errno != ENOTCONN) {
            pair_close(from);
            return;
        }
        if (put < got) {
            put = put < 0 ? 0 : put;
            to->rest_size = (size_t)(got - put);
            to->rest = malloc(to->rest_size);
            if (!to->rest) {
                pair_close(from);
                return;
            }
            memcpy(to->rest, buffer + put, to->rest_size);
            from->ended |= ending;
        } else if (got < (ssize_t)sizeof buffer && !ending) {
            return; /* a short read: the next bytes raise the next edge */
        }
    }
    from->ended |= ending;
}

static void accept_all(int listener, const struct sockaddr_in *backend)
{
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (client < 0) {
            return;
        }
        struct leg *pair = calloc(2, sizeof *pair);
        int upstream = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
        if (!pair || upstream < 0) {
            close(client);
            close(upstream);
            free(pair);
            continue;
        }
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(upstream, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        pair[0] = (struct leg){.fd = client, .other = &pair[1]};
        pair[1] = (struct leg){.fd = upstream, .other = &pair[0]};
        connect(upstream, (const struct sockaddr *)backend, sizeof *backend);
        for (int i = 0; i < 2; i++) {
            struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                        {.ptr = &pair[i]}};
            epoll_ctl(epoll, EPOLL_CTL_ADD, pair[i].fd, &event);
        }
    }
}

int main(int argc, char **argv)
{
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                               .sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0))};
    struct sockaddr_in backend = here;
    if (argc != 3) {
        fprintf(stderr, "usage: forwarder LISTEN_PORT BACKEND_PORT\n");
        return 2;
    }
    backend.sin_port = htons((uint16_t)atoi(argv[2]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 4096)) {
        perror("forwarder: listen");
        return 1;
    }
    epoll = epoll_create1(0);
    struct epoll_event events[256] = {{EPOLLIN | EPOLLET, {.ptr = NULL}}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &events[0]);
    for (;;) {
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct leg *leg = events[i].data.ptr;
            if (!leg) {
                accept_all(listener, &backend);
                continue;
            }
            bool ending = events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
            if (leg->fd >= 0 && leg->rest && rest_flush(leg)) {
                leg_copy(leg->other, leg->other->ended); /* what waited for this leg */
            }
            if (leg->fd >= 0 && (events[i].events & EPOLLIN || ending)) {
                leg_copy(leg, ending);
            }
        }
        while (dead) {
            struct leg *leg = dead, *pair = leg < leg->other ? leg : leg->other;
            dead = leg->next_dead;
            free(pair[0].rest);
            free(pair[1].rest);
            free(pair);
        }
    }
}
