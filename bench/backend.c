/* SPDX-License-Identifier: Apache-2.0
 * The bench's backend: a WebSocket server that costs little, so that what is measured is the proxy.
 * backend PORT (0 takes a free one; the port is printed). One process, one thread, loopback only.
 *
 * The path of the handshake picks what a connection does:
 *   /echo                          sends every message back
 *   /hold                          takes messages and says nothing
 *   /stream?rate=R&size=S&count=C  after the first message: C chunks of S bytes, R a second
 *   /flood?size=S&count=C          after the first message: C chunks of S bytes, as fast as TCP
 * takes Pings are answered everywhere. GET /stats answers counters as JSON. Chunk k of a connection
 * carries the payload of wire_payload_put(…, 0, k). */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    FLOOD_TURN = 16,        /* sends of a flooding connection before the next one's turn */
    FLOOD_SIZE = 64 * 1024, /* bytes a flood puts into one send, in whole chunks */
    HEAD_MAX = 16 * 1024,
};

enum mode { MODE_HEAD, MODE_ECHO, MODE_HOLD, MODE_STREAM, MODE_FLOOD };

/* While `out` holds bytes the connection is neither read nor given chunks. */
struct conn {
    int fd;
    enum mode mode;
    bool started;      /* the first message has come: chunks flow */
    bool ending;       /* close the TCP connection when `out` is empty */
    bool dead;         /* on the dead list */
    bool queued;       /* on the flood list */
    size_t chunk_size; /* bytes of payload */
    uint64_t chunks_left, chunk;
    int64_t interval_ns, due_ns;
    struct wire_rest in, out;
    struct conn *next_dead, *next_flood;
};

static struct {
    uint64_t connections, messages, pings, pongs, chunks, faults;
} stats;
static uint8_t received[WIRE_BUFFER_SIZE];
static uint8_t chunk_frames[FLOOD_SIZE + WIRE_HEAD_MAX + WIRE_PAYLOAD_MAX];
static struct conn *dead, *flood;
static struct conn *heap[65536]; /* streams by due time, the earliest first */
static size_t heap_size;
static uint64_t streams_started;
static int epoll;

static void heap_down(size_t i)
{
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < heap_size; child++) {
            if (heap[child]->due_ns < heap[least]->due_ns) {
                least = child;
            }
        }
        if (least == i) {
            return;
        }
        struct conn *swap = heap[i];
        heap[i] = heap[least];
        heap[least] = swap;
        i = least;
    }
}

static void heap_add(struct conn *conn)
{
    if (heap_size == sizeof heap / sizeof *heap) {
        wire_die("backend: too many streams");
    }
    size_t i = heap_size++;
    while (i > 0 && heap[(i - 1) / 2]->due_ns > conn->due_ns) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = conn;
}

static void heap_remove(const struct conn *conn)
{
    for (size_t i = 0; i < heap_size; i++) {
        if (heap[i] == conn) {
            heap[i] = heap[--heap_size];
            for (size_t k = heap_size / 2 + 1; k-- > 0;) {
                heap_down(k);
            }
            return;
        }
    }
}

static void conn_close(struct conn *conn)
{
    if (!conn->dead) {
        close(conn->fd);
        heap_remove(conn);
        conn->dead = true;
        conn->next_dead = dead;
        dead = conn;
        stats.connections--;
    }
}

static void conn_send(struct conn *conn, const uint8_t *data, size_t size)
{
    if (conn->dead) {
        return;
    }
    ssize_t n = conn->out.size ? 0 : send(conn->fd, data, size, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        conn_close(conn);
        return;
    }
    n = n < 0 ? 0 : n;
    if ((size_t)n < size) {
        wire_rest_append(&conn->out, data + n, size - (size_t)n);
    }
}

/* Sends one chunk, or as many as fit `budget` bytes: a flood must not be as slow as one send for
 * each chunk makes it, or it measures the backend. */
static void chunks_send(struct conn *conn, size_t budget)
{
    size_t size = 0;
    do {
        size += wire_head_put(chunk_frames + size, WIRE_BINARY, conn->chunk_size, NULL);
        wire_payload_put(chunk_frames + size, conn->chunk_size, 0, conn->chunk++);
        size += conn->chunk_size;
        conn->chunks_left--;
        stats.chunks++;
    } while (conn->chunks_left > 0 && size < budget);
    conn_send(conn, chunk_frames, size);
}

/* Starts spread evenly over one interval (multiples of the golden ratio), so that a thousand
 * streams do not all fall due at once. */
static void chunks_start(struct conn *conn)
{
    if (conn->started || conn->chunks_left == 0) {
        return;
    }
    conn->started = true;
    if (conn->mode == MODE_FLOOD) {
        conn->queued = true;
        conn->next_flood = flood;
        flood = conn;
    } else if (conn->mode == MODE_STREAM) {
        double phase = (double)(streams_started++ % 65536) * 0.6180339887498949;
        phase -= (double)(uint64_t)phase;
        conn->due_ns = wire_now_ns() + (int64_t)(phase * (double)conn->interval_ns);
        heap_add(conn);
    }
}

/* The answer head is four bytes shorter than the client's, so the echo is built where it was
 * received. */
static void on_frame(struct conn *conn, const struct wire_head *head, uint8_t *payload)
{
    size_t size = (size_t)head->payload_size;
    unsigned answer = 0;
    wire_mask(payload, size, head->key);
    if (head->first == WIRE_PING) {
        stats.pings++;
        answer = WIRE_PONG;
    } else if (head->first == WIRE_PONG) {
        stats.pongs++;
    } else if (head->first == WIRE_CLOSE) {
        answer = WIRE_CLOSE;
        conn->ending = true;
    } else {
        stats.messages++;
        chunks_start(conn);
        answer = conn->mode == MODE_ECHO ? head->first : 0;
    }
    if (answer) {
        uint8_t *frame = payload - (head->head_size - 4);
        wire_head_put(frame, answer, size, NULL);
        conn_send(conn, frame, head->head_size - 4 + size);
    }
}

static double query_get(const char *path, const char *name)
{
    const char *at = strchr(path, '?');
    size_t size = strlen(name);
    for (; at; at = strchr(at + 1, '&')) {
        if (strncmp(at + 1, name, size) == 0 && at[1 + size] == '=') {
            return strtod(at + 2 + size, NULL);
        }
    }
    return 0;
}

static bool path_is(const char *path, const char *prefix)
{
    size_t size = strlen(prefix);
    return strncmp(path, prefix, size) == 0 && (path[size] == 0 || path[size] == '?');
}

/* A path that is none of the backend's echoes. */
static void mode_choose(struct conn *conn, const char *path)
{
    double rate = query_get(path, "rate");
    conn->chunk_size = (size_t)query_get(path, "size");
    conn->chunks_left = (uint64_t)query_get(path, "count");
    conn->interval_ns = rate > 0 ? (int64_t)(1e9 / rate) : 1000000000;
    conn->chunk_size = conn->chunk_size < WIRE_PAYLOAD_MAX ? conn->chunk_size : WIRE_PAYLOAD_MAX;
    conn->mode = path_is(path, "/hold")     ? MODE_HOLD
                 : path_is(path, "/stream") ? MODE_STREAM
                 : path_is(path, "/flood")  ? MODE_FLOOD
                                            : MODE_ECHO;
}

static void plain_answer(struct conn *conn, bool found)
{
    char body[256], answer[512];
    snprintf(body, sizeof body,
             "{\"connections\":%lu,\"messages\":%lu,\"pings\":%lu,\"pongs\":%lu,\"chunks\":%lu,"
             "\"faults\":%lu}\n",
             stats.connections, stats.messages, stats.pings, stats.pongs, stats.chunks,
             stats.faults);
    int n = snprintf(answer, sizeof answer,
                     "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                     "Connection: close\r\n\r\n%s",
                     found ? "200 OK" : "400 Bad Request", strlen(body), body);
    conn->ending = true;
    conn_send(conn, (const uint8_t *)answer, (size_t)n);
}

/* Takes a whole request head (NUL-terminated here) and answers it. */
static void on_head(struct conn *conn, char *head)
{
    char *path = strchr(head, ' '), *end = path ? strchr(path + 1, ' ') : NULL, *key = NULL;
    for (char *line = strstr(head, "\r\n"); line && !key; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, "Sec-WebSocket-Key:", 18) == 0) {
            key = line + 20 + strspn(line + 20, " ");
        }
    }
    if (!end || !key || strcspn(key, " \r") != WIRE_KEY_SIZE - 1) {
        plain_answer(conn, strncmp(head, "GET /stats ", 11) == 0);
        return;
    }
    char accept[WIRE_ACCEPT_SIZE], answer[256];
    *end = 0;
    mode_choose(conn, path + 1);
    wire_accept(accept, key);
    int n = snprintf(answer, sizeof answer,
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                     accept);
    conn_send(conn, (const uint8_t *)answer, (size_t)n);
}

/* Takes what is whole of `data` and returns how much that was. */
static size_t on_bytes(struct conn *conn, uint8_t *data, size_t size)
{
    size_t at = 0;
    if (conn->mode == MODE_HEAD) {
        uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
        if (!end) {
            if (size > HEAD_MAX) {
                conn_close(conn);
            }
            return 0;
        }
        at = (size_t)(end - data) + 4;
        end[2] = 0;
        on_head(conn, (char *)data);
    }
    while (!conn->dead && !conn->ending) {
        struct wire_head head;
        if (!wire_head_get(&head, data + at, size - at)) {
            break;
        }
        if (!head.masked || head.payload_size > WIRE_PAYLOAD_MAX) {
            stats.faults++;
            conn_close(conn);
            break;
        }
        if (size - at - head.head_size < head.payload_size) {
            break;
        }
        on_frame(conn, &head, data + at + head.head_size);
        at += head.head_size + (size_t)head.payload_size;
    }
    return at;
}

/* A short receive ends the turn, unless the peer's end was signalled with it: no edge will follow.
 */
static void on_readable(struct conn *conn, bool ending)
{
    while (!conn->dead && conn->out.size == 0) {
        size_t kept = wire_rest_take(&conn->in, received);
        ssize_t n = recv(conn->fd, received + kept, WIRE_RECV_SIZE, 0);
        if (n <= 0) {
            wire_rest_set(&conn->in, received, kept);
            if (n == 0 || errno != EAGAIN) {
                conn_close(conn);
            }
            return;
        }
        size_t took = on_bytes(conn, received, kept + (size_t)n);
        wire_rest_set(&conn->in, received + took, kept + (size_t)n - took);
        if (conn->ending && conn->out.size == 0) {
            conn_close(conn);
        }
        if (n < WIRE_RECV_SIZE && !ending) {
            return;
        }
    }
}

static void on_event(struct conn *conn, uint32_t events)
{
    bool ending = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    bool readable = events & EPOLLIN || ending;
    if (!conn->dead && conn->out.size > 0 && (events & EPOLLOUT || ending)) {
        struct wire_rest rest = conn->out;
        conn->out = (struct wire_rest){0};
        conn_send(conn, rest.data, rest.size);
        free(rest.data);
        if (!conn->dead && conn->out.size == 0) {
            readable = true;
            if (conn->ending) {
                conn_close(conn);
            } else if (conn->mode == MODE_FLOOD && conn->chunks_left && !conn->queued) {
                conn->queued = true;
                conn->next_flood = flood;
                flood = conn;
            }
        }
    }
    if (!conn->dead && readable) {
        on_readable(conn, ending);
    }
}

/* Every flooding connection in turn makes up to FLOOD_TURN sends; one that is blocked leaves the
 * list and comes back when its bytes are out. */
static void flood_turn(void)
{
    struct conn *list = flood;
    flood = NULL;
    while (list) {
        struct conn *conn = list;
        list = conn->next_flood;
        conn->queued = false;
        for (int i = 0; i < FLOOD_TURN && !conn->dead && conn->chunks_left && !conn->out.size;
             i++) {
            chunks_send(conn, FLOOD_SIZE);
        }
        if (!conn->dead && conn->chunks_left && !conn->out.size) {
            conn->queued = true;
            conn->next_flood = flood;
            flood = conn;
        }
    }
}

static void streams_turn(void)
{
    while (heap_size > 0 && heap[0]->due_ns <= wire_now_ns()) {
        struct conn *conn = heap[0];
        if (conn->out.size == 0) {
            chunks_send(conn, 0); /* may close it, which takes it out of the heap */
        }
        if (!conn->dead) {
            conn->due_ns += conn->interval_ns;
            if (conn->chunks_left == 0) {
                heap[0] = heap[--heap_size];
            }
            heap_down(0);
        }
    }
}

static void accept_all(int listener)
{
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct conn *conn = calloc(1, sizeof *conn);
        if (!conn) {
            wire_die("out of memory");
        }
        conn->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.ptr = conn}};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        stats.connections++;
    }
}

static int listener_open(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                               .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof here;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&here, size) || listen(fd, 4096) ||
        getsockname(fd, (struct sockaddr *)&here, &size)) {
        wire_die("backend: cannot listen on port %d: %s", port, strerror(errno));
    }
    struct epoll_event event = {EPOLLIN, {.ptr = NULL}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        wire_die("usage: backend PORT (0 for a free one)");
    }
    epoll = epoll_create1(0);
    int listener = listener_open(atoi(argv[1]));
    prctl(PR_SET_TIMERSLACK, 1);
    for (;;) {
        struct epoll_event events[256];
        int64_t wait_ns = flood ? 0 : heap_size ? heap[0]->due_ns - wire_now_ns() : INT64_MAX;
        wait_ns = wait_ns < 0 ? 0 : wait_ns;
        struct timespec wait = {wait_ns / 1000000000, wait_ns % 1000000000};
        int n = epoll_pwait2(epoll, events, 256, wait_ns == INT64_MAX ? NULL : &wait, NULL);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) {
                on_event(events[i].data.ptr, events[i].events);
            } else {
                accept_all(listener);
            }
        }
        flood_turn();
        streams_turn();
        /* A dead connection leaves the flood list in flood_turn(), which ran just above, unless it
         * died in streams_turn(); a stream is never on that list. */
        while (dead) {
            struct conn *conn = dead;
            dead = conn->next_dead;
            free(conn->in.data);
            free(conn->out.data);
            free(conn);
        }
    }
}
