/* SPDX-License-Identifier: Apache-2.0
 * The bench's load generator: many WebSocket clients in one thread, plain or TLS 1.3, loopback
 * only. Every handshake's accept value and every byte that comes back is checked; the first fault
 * ends the run.
 *
 * It talks to the script that measures in four steps: it prints "ready" when every connection is
 * open, waits for a line on standard input, does its work, prints one line of JSON, and keeps the
 * connections open until standard input ends. So the proxy's CPU time and memory can be read
 * between the steps.
 *
 * Modes (--mode):
 *   echo       messages that must come back; closed loop, one under way for each connection, or
 * with --rate an open loop: message k is due at k/rate seconds and its latency counts from then,
 * whether it could be sent then or not (no coordinated omission) ping       the same with WebSocket
 * pings and their pongs stream     asks for --count chunks on each connection, --rate a second over
 * all, and takes them flood      the same as fast as they come hold       one echo on each
 * connection, then silence for --seconds; pings are answered and counted handshake  --messages
 * times: connect, upgrade, one echo, closing handshake, TCP end
 *
 * With --hf1 each connection is a session of docs/protocol.md: the hello is awaited before the
 * connection counts as open, and what comes is acknowledged by the rules of its section 5. */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OPENING_MAX = 128 }; /* handshakes under way at a time while connections are opened */

enum mode { MODE_ECHO, MODE_PING, MODE_STREAM, MODE_FLOOD, MODE_HOLD, MODE_HANDSHAKE };
static const char *const mode_names[] = {"echo", "ping", "stream", "flood", "hold", "handshake"};

enum phase {
    PHASE_OPENING, /* connections are being opened */
    PHASE_READY,   /* all open: waiting for the line that starts the work */
    PHASE_WORK,
    PHASE_DONE, /* the result is printed: waiting for the end of standard input */
};

enum state { STATE_CLOSED, STATE_CONNECT, STATE_TLS, STATE_UPGRADE, STATE_OPEN, STATE_CLOSING };

struct conn {
    int fd;
    uint32_t id;
    enum state state;
    bool close_got; /* the peer's Close has come: the TCP end is next */
    SSL *ssl;
    uint64_t sent, got; /* messages, pings or chunks: the sequence numbers of the payloads */
    bool greeted;       /* hf1: the hello has come */
    uint32_t ack_cost;  /* hf1: at which an ack is due */
    uint32_t cost;      /* hf1: of what came since the last ack */
    uint64_t counted;   /* hf1: messages that came */
    int64_t first_ns;   /* hf1: when the first unacknowledged one came; 0: none */
    char accept[WIRE_ACCEPT_SIZE];
    struct wire_rest in, out;
};

static struct {
    enum mode mode;
    int port;
    size_t connections;
    uint64_t messages; /* in all; for streams, chunks of each connection */
    size_t size;       /* bytes of payload */
    double rate;       /* a second, over all connections; 0 is a closed loop */
    double seconds;    /* hold: how long the work lasts */
    double timeout;    /* seconds after which the run counts as failed */
    bool tls;
    bool hf1;
} options = {.connections = 1, .messages = 1000, .size = 64, .timeout = 120};

static struct conn *conns;
static SSL_CTX *tls_context;
static enum phase phase = PHASE_OPENING;
static size_t opened;    /* connections begun in the opening phase */
static size_t ready;     /* connections that are open (and have echoed, in hold mode) */
static uint64_t begun;   /* messages or handshakes begun in the work phase */
static uint64_t ended;   /* and ended */
static uint64_t bytes;   /* of payload received in the work phase */
static uint64_t pings;   /* of the gateway, answered in the work phase */
static uint32_t *micros; /* open loop: the latency of each message */
static int64_t work_start_ns, work_end_ns, limit_ns;
static uint64_t random_state;
static uint8_t received[WIRE_BUFFER_SIZE], frame[WIRE_HEAD_MAX + WIRE_PAYLOAD_MAX];
static int epoll;

static void conn_open(struct conn *conn);

__attribute__((noreturn, format(printf, 2, 3))) static void fail(const struct conn *conn,
                                                                 const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    printf("{\"mode\":\"%s\",\"errors\":1,\"error\":\"connection %u: %s\",\"messages\":%lu}\n",
           mode_names[options.mode], conn ? conn->id : 0, text, ended);
    fflush(stdout);
    exit(1);
}

/* One receive or decryption. 0 is the peer's end, -1 nothing now. */
static ssize_t conn_recv(struct conn *conn, uint8_t *data, size_t size)
{
    if (!conn->ssl) {
        ssize_t n = recv(conn->fd, data, size, 0);
        if (n < 0 && errno != EAGAIN) {
            if (conn->close_got && errno == ECONNRESET) {
                return 0;
            }
            fail(conn, "receive: %s", strerror(errno));
        }
        return n;
    }
    int n = SSL_read(conn->ssl, data, (int)size);
    if (n > 0) {
        return n;
    }
    int why = SSL_get_error(conn->ssl, n);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
        return -1;
    }
    ERR_clear_error();
    if (why == SSL_ERROR_ZERO_RETURN || conn->close_got) {
        return 0;
    }
    fail(conn, "TLS receive: error %d, %s", why, strerror(errno));
}

/* Sends now what goes and keeps the rest. */
static void conn_send(struct conn *conn, const uint8_t *data, size_t size)
{
    size_t sent = 0;
    while (conn->out.size == 0 && sent < size) {
        ssize_t n;
        if (conn->ssl) {
            n = SSL_write(conn->ssl, data + sent, (int)(size - sent));
            if (n <= 0) {
                int why = SSL_get_error(conn->ssl, (int)n);
                if (why != SSL_ERROR_WANT_WRITE && why != SSL_ERROR_WANT_READ) {
                    fail(conn, "TLS send: error %d", why);
                }
            }
        } else {
            n = send(conn->fd, data + sent, size - sent, MSG_NOSIGNAL);
            if (n < 0 && errno != EAGAIN) {
                fail(conn, "send: %s", strerror(errno));
            }
        }
        if (n <= 0) {
            break;
        }
        sent += (size_t)n;
    }
    if (sent < size) {
        wire_rest_append(&conn->out, data + sent, size - sent);
    }
}

static void frame_send(struct conn *conn, unsigned first, const uint8_t *payload, size_t size)
{
    uint32_t key = (uint32_t)(wire_random(&random_state) >> 16);
    size_t head = wire_head_put(frame, first, size, (const uint8_t *)&key);
    memcpy(frame + head, payload, size);
    wire_mask(frame + head, size, (const uint8_t *)&key);
    conn_send(conn, frame, head + size);
}

static void message_send(struct conn *conn)
{
    static uint8_t payload[WIRE_PAYLOAD_MAX];
    wire_payload_put(payload, options.size, conn->id, conn->sent++);
    frame_send(conn, options.mode == MODE_PING ? WIRE_PING : WIRE_BINARY, payload, options.size);
}

static void conn_close(struct conn *conn)
{
    SSL_free(conn->ssl);
    conn->ssl = NULL;
    close(conn->fd);
    wire_rest_set(&conn->in, NULL, 0);
    wire_rest_set(&conn->out, NULL, 0);
    conn->state = STATE_CLOSED;
}

static int compare_micros(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void work_finish(void)
{
    work_end_ns = wire_now_ns();
    phase = PHASE_DONE;
    printf("{\"mode\":\"%s\",\"errors\":0,\"connections\":%zu,\"messages\":%lu,\"bytes\":%lu,"
           "\"pings\":%lu,\"seconds\":%.6f",
           mode_names[options.mode], options.connections, ended, bytes, pings,
           (double)(work_end_ns - work_start_ns) / 1e9);
    if (micros && ended > 0) {
        static const struct {
            const char *name;
            double share;
        } ranks[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99_9", 0.999}, {"max", 1}};
        qsort(micros, ended, sizeof *micros, compare_micros);
        for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
            uint64_t rank = (uint64_t)(ranks[i].share * (double)ended);
            printf(",\"%s_us\":%u", ranks[i].name, micros[rank < ended ? rank : ended - 1]);
        }
    }
    printf("}\n");
    fflush(stdout);
}

/* Open loop: message k goes out on connection k % connections. */
static int64_t due_ns(uint64_t k)
{
    return work_start_ns + (int64_t)((double)k * 1e9 / options.rate);
}

static void work_start(void)
{
    phase = PHASE_WORK;
    work_start_ns = wire_now_ns();
    limit_ns = work_start_ns + (int64_t)(options.timeout * 1e9);
    for (size_t i = 0; i < options.connections; i++) {
        switch (options.mode) {
        case MODE_ECHO:
        case MODE_PING:
            if (options.rate <= 0 && begun < options.messages) {
                begun++;
                message_send(&conns[i]);
            }
            break;
        case MODE_STREAM:
        case MODE_FLOOD:
            frame_send(&conns[i], WIRE_BINARY, (const uint8_t *)"go", 2);
            break;
        case MODE_HANDSHAKE:
            if (begun < options.messages) {
                begun++;
                conn_open(&conns[i]);
            }
            break;
        case MODE_HOLD:
            break;
        }
    }
    if (options.mode == MODE_HOLD) {
        limit_ns = INT64_MAX;
    }
}

static void conn_is_ready(struct conn *conn)
{
    if (++ready == options.connections) {
        phase = PHASE_READY;
        limit_ns = INT64_MAX;
        printf("ready\n");
        fflush(stdout);
    } else if (opened < options.connections) {
        conn_open(&conns[opened++]);
    }
}

/* ---- hf1: written from docs/protocol.md, sharing nothing with src/ ---- */

enum { HF1_COST = 16, HF1_SCAN_NS = 100000000 };

static void hf1_ack(struct conn *conn)
{
    char text[32];
    int n = snprintf(text, sizeof text, "\001ack n=%lu", conn->counted);
    frame_send(conn, WIRE_TEXT, (const uint8_t *)text, (size_t)n);
    conn->cost = 0;
    conn->first_ns = 0;
}

static void hf1_count(struct conn *conn, size_t size)
{
    conn->counted++;
    conn->cost += (uint32_t)size + HF1_COST;
    if (conn->cost >= conn->ack_cost) {
        hf1_ack(conn);
    } else if (conn->first_ns == 0) {
        conn->first_ns = wire_now_ns();
    }
}

/* At the latest 1 s after the first message that is not acknowledged. Returns when to look again.
 */
static int64_t hf1_acks(int64_t now)
{
    static int64_t scanned;
    if (now - scanned >= HF1_SCAN_NS) {
        scanned = now;
        for (size_t i = 0; i < options.connections; i++) {
            if (conns[i].first_ns != 0 && now - conns[i].first_ns >= 900000000) {
                hf1_ack(&conns[i]);
            }
        }
    }
    return scanned + HF1_SCAN_NS;
}

static void on_open(struct conn *conn);

/* A control message. The first must be the hello. */
static void hf1_control(struct conn *conn, const uint8_t *payload, size_t size)
{
    char text[1100];
    if (size < 2 || size >= sizeof text || payload[0] != 1) {
        fail(conn, "a text came that is no control message");
    }
    memcpy(text, payload + 1, size - 1);
    text[size - 1] = 0;
    if (strncmp(text, "hello ", 6) == 0) {
        const char *at = strstr(text, " ack=");
        if (conn->greeted || !at || !strstr(text, " resumed=0")) {
            fail(conn, "a hello that is out of place");
        }
        conn->ack_cost = (uint32_t)strtoul(at + 5, NULL, 10);
        conn->greeted = true;
        hf1_ack(conn);
        on_open(conn);
    } else if (!conn->greeted || strncmp(text, "end ", 4) == 0) {
        fail(conn, "the gateway says %.120s", text);
    }
}

static void on_open(struct conn *conn)
{
    conn->state = STATE_OPEN;
    if (options.mode == MODE_HOLD || options.mode == MODE_HANDSHAKE) {
        message_send(conn);
    } else {
        conn_is_ready(conn);
    }
}

/* A message, pong or chunk has come back whole and right. */
static void on_echo(struct conn *conn)
{
    ended++;
    if (options.mode == MODE_HANDSHAKE) {
        ended--; /* a handshake has ended when its TCP connection has */
        conn->state = STATE_CLOSING;
        frame_send(conn, WIRE_CLOSE, (const uint8_t *)"\x03\xe8", 2);
    } else if (options.mode == MODE_HOLD) {
        conn_is_ready(conn);
        ended = 0;
    } else if (micros) {
        uint64_t k = (conn->got - 1) * options.connections + conn->id;
        micros[ended - 1] = (uint32_t)((wire_now_ns() - due_ns(k)) / 1000);
    } else if (options.mode <= MODE_PING && begun < options.messages) {
        begun++;
        message_send(conn);
    }
    uint64_t all = options.messages;
    if (options.mode == MODE_STREAM || options.mode == MODE_FLOOD) {
        all *= options.connections;
    }
    if (phase == PHASE_WORK && ended == all && options.mode != MODE_HOLD) {
        work_finish();
    }
}

static void on_frame(struct conn *conn, const struct wire_head *head, const uint8_t *payload)
{
    size_t size = (size_t)head->payload_size;
    unsigned wanted = options.mode == MODE_PING ? WIRE_PONG : WIRE_BINARY;
    if (options.hf1 && head->first == WIRE_TEXT) {
        hf1_control(conn, payload, size);
        return;
    }
    if (options.hf1 && head->first == WIRE_BINARY) {
        hf1_count(conn, size);
    }
    if (head->first == WIRE_PING) {
        pings += phase == PHASE_WORK;
        frame_send(conn, WIRE_PONG, payload, size);
    } else if (head->first == WIRE_CLOSE) {
        if (conn->state != STATE_CLOSING) {
            fail(conn, "Close %d came uncalled for",
                 size < 2 ? 1005 : payload[0] << 8 | payload[1]);
        }
        if (size != 2 || memcmp(payload, "\x03\xe8", 2) != 0) {
            fail(conn, "the Close came back with another code");
        }
        conn->close_got = true;
    } else if (head->first == wanted) {
        bool chunk = options.mode == MODE_STREAM || options.mode == MODE_FLOOD;
        if (!chunk && conn->got == conn->sent) {
            fail(conn, "an answer came to no message");
        }
        if (size != options.size ||
            !wire_payload_is(payload, size, chunk ? 0 : conn->id, conn->got)) {
            fail(conn, "payload %lu came back changed", conn->got);
        }
        conn->got++;
        bytes += size;
        on_echo(conn);
    } else {
        fail(conn, "a frame 0x%02x came that nothing asked for", head->first);
    }
}

/* RFC 6455 4.1: status 101, both upgrade headers, the accept value of this key. */
static void check_answer(const struct conn *conn, const char *head)
{
    bool accepted = false, upgraded = false, connection = false;
    if (strncmp(head, "HTTP/1.1 101", 12) != 0) {
        fail(conn, "the handshake was answered with %.12s", head);
    }
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        line += 2;
        size_t name = strcspn(line, ":\r");
        if (line[name] != ':') {
            continue;
        }
        const char *value = line + name + 1 + strspn(line + name + 1, " ");
        size_t size = strcspn(value, "\r");
        if (name == 20 && strncasecmp(line, "Sec-WebSocket-Accept", name) == 0) {
            accepted = size == 28 && memcmp(value, conn->accept, 28) == 0;
        } else if (name == 7 && strncasecmp(line, "Upgrade", name) == 0) {
            upgraded = size == 9 && strncasecmp(value, "websocket", 9) == 0;
        } else if (name == 10 && strncasecmp(line, "Connection", name) == 0) {
            connection = size == 7 && strncasecmp(value, "upgrade", 7) == 0;
        }
        line -= 2;
    }
    if (!accepted || !upgraded || !connection) {
        fail(conn, "the handshake's answer is wrong (accept %d, upgrade %d, connection %d)",
             accepted, upgraded, connection);
    }
}

static size_t on_bytes(struct conn *conn, uint8_t *data, size_t size)
{
    size_t at = 0;
    if (conn->state == STATE_UPGRADE) {
        uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
        if (!end) {
            return 0;
        }
        at = (size_t)(end - data) + 4;
        end[2] = 0;
        check_answer(conn, (char *)data);
        if (options.hf1) {
            conn->state = STATE_OPEN; /* ready once the hello has come */
        } else {
            on_open(conn);
        }
    }
    for (;;) {
        struct wire_head head;
        if (!wire_head_get(&head, data + at, size - at)) {
            return at;
        }
        if (head.masked || head.payload_size > WIRE_PAYLOAD_MAX) {
            fail(conn, "a frame head that no server may send");
        }
        if (size - at - head.head_size < head.payload_size) {
            return at;
        }
        on_frame(conn, &head, data + at + head.head_size);
        at += head.head_size + (size_t)head.payload_size;
    }
}

static void on_peer_end(struct conn *conn)
{
    if (!conn->close_got) {
        fail(conn, "the TCP connection ended in phase %d, state %d", phase, conn->state);
    }
    conn_close(conn);
    ended++;
    if (begun < options.messages) {
        begun++;
        conn_open(conn);
    } else if (ended == options.messages) {
        work_finish();
    }
}

static void on_readable(struct conn *conn, bool ending)
{
    for (;;) {
        size_t kept = wire_rest_take(&conn->in, received);
        ssize_t n = conn_recv(conn, received + kept, WIRE_RECV_SIZE);
        if (n < 0) {
            wire_rest_set(&conn->in, received, kept);
            return;
        }
        if (n == 0) {
            on_peer_end(conn);
            return;
        }
        size_t took = on_bytes(conn, received, kept + (size_t)n);
        wire_rest_set(&conn->in, received + took, kept + (size_t)n - took);
        if (!conn->ssl && n < WIRE_RECV_SIZE && !ending) {
            return;
        }
    }
}

static void upgrade_send(struct conn *conn)
{
    uint64_t nonce[2] = {wire_random(&random_state), wire_random(&random_state)};
    char key[WIRE_KEY_SIZE], path[128] = "/echo", request[512];
    EVP_EncodeBlock((uint8_t *)key, (const uint8_t *)nonce, sizeof nonce);
    wire_accept(conn->accept, key);
    if (options.mode == MODE_STREAM || options.mode == MODE_FLOOD) {
        snprintf(path, sizeof path, "/%s?rate=%.6f&size=%zu&count=%lu", mode_names[options.mode],
                 options.rate / (double)options.connections, options.size, options.messages);
    }
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                     "Sec-WebSocket-Version: 13\r\n%s\r\n",
                     path, options.port, key, options.hf1 ? "Sec-WebSocket-Protocol: hf1\r\n" : "");
    conn->state = STATE_UPGRADE;
    conn_send(conn, (const uint8_t *)request, (size_t)n);
}

/* Begins a connection on a slot that has none; everything of the former one is forgotten. */
static void conn_open(struct conn *conn)
{
    struct sockaddr_in there = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                .sin_port = htons((uint16_t)options.port)};
    int on = 1;
    *conn = (struct conn){.id = (uint32_t)(conn - conns), .state = STATE_CONNECT};
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (conn->fd < 0 ||
        (connect(conn->fd, (struct sockaddr *)&there, sizeof there) && errno != EINPROGRESS)) {
        fail(conn, "connect: %s", strerror(errno));
    }
    if (options.tls) {
        conn->ssl = SSL_new(tls_context);
        if (!conn->ssl || !SSL_set_fd(conn->ssl, conn->fd)) {
            fail(conn, "no TLS state");
        }
        SSL_set_connect_state(conn->ssl);
    }
    struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.ptr = conn}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, conn->fd, &event);
}

static void on_connecting(struct conn *conn)
{
    if (conn->state == STATE_CONNECT) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) {
            fail(conn, "connect: %s", strerror(error));
        }
        conn->state = STATE_TLS;
    }
    if (conn->ssl) {
        int n = SSL_do_handshake(conn->ssl);
        if (n != 1) {
            int why = SSL_get_error(conn->ssl, n);
            if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
                fail(conn, "TLS handshake: error %d", why);
            }
            return;
        }
    }
    upgrade_send(conn);
}

static void on_event(struct conn *conn, uint32_t events)
{
    bool ending = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    if (conn->state == STATE_CONNECT || conn->state == STATE_TLS) {
        if (conn->state == STATE_TLS || events & (EPOLLOUT | EPOLLERR)) {
            on_connecting(conn);
        }
        if (conn->state != STATE_UPGRADE || !conn->ssl) {
            return;
        }
    }
    if (conn->out.size > 0) {
        struct wire_rest rest = conn->out;
        conn->out = (struct wire_rest){0};
        conn_send(conn, rest.data, rest.size);
        free(rest.data);
    }
    if (conn->state != STATE_CLOSED && (events & EPOLLIN || ending)) {
        on_readable(conn, ending);
    }
}

/* A line starts the work; the end of standard input ends the program. */
static bool on_input(void)
{
    char line[64];
    ssize_t n = read(STDIN_FILENO, line, sizeof line);
    if (n <= 0) {
        return false;
    }
    if (phase == PHASE_READY) {
        work_start();
    }
    return true;
}

/* Sends what is due and says how long there is nothing to do. */
static int64_t on_time(void)
{
    int64_t now = wire_now_ns(), next = limit_ns;
    if (now >= limit_ns) {
        fail(NULL, "not done after %.0f s (%lu of %lu)", options.timeout, ended, options.messages);
    }
    if (phase == PHASE_WORK && micros) {
        while (begun < options.messages && due_ns(begun) <= now) {
            message_send(&conns[begun++ % options.connections]);
            now = wire_now_ns();
        }
        next = begun < options.messages ? due_ns(begun) : next;
    } else if (phase == PHASE_WORK && options.mode == MODE_HOLD) {
        next = work_start_ns + (int64_t)(options.seconds * 1e9);
        if (now >= next) {
            work_finish();
            next = INT64_MAX;
        }
    }
    if (options.hf1) {
        int64_t scan = hf1_acks(now);
        next = scan < next ? scan : next;
    }
    return next == INT64_MAX ? next : next > now ? next - now : 0;
}

static void options_read(int argc, char **argv)
{
    static const struct option names[] = {
        {"mode", 1, NULL, 'm'},     {"port", 1, NULL, 'p'},    {"connections", 1, NULL, 'c'},
        {"messages", 1, NULL, 'n'}, {"count", 1, NULL, 'n'},   {"size", 1, NULL, 's'},
        {"rate", 1, NULL, 'r'},     {"seconds", 1, NULL, 'S'}, {"tls", 0, NULL, 't'},
        {"timeout", 1, NULL, 'T'},  {"hf1", 0, NULL, 'h'},     {NULL, 0, NULL, 0},
    };
    bool known = true;
    for (int c; known && (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (c) {
        case 'm':
            known = false;
            for (size_t i = 0; i < sizeof mode_names / sizeof *mode_names; i++) {
                if (strcmp(optarg, mode_names[i]) == 0) {
                    options.mode = (enum mode)i;
                    known = true;
                }
            }
            break;
        case 'p':
            options.port = atoi(optarg);
            break;
        case 'c':
            options.connections = strtoul(optarg, NULL, 10);
            break;
        case 'n':
            options.messages = strtoul(optarg, NULL, 10);
            break;
        case 's':
            options.size = strtoul(optarg, NULL, 10);
            break;
        case 'r':
            options.rate = strtod(optarg, NULL);
            break;
        case 'S':
            options.seconds = strtod(optarg, NULL);
            break;
        case 't':
            options.tls = true;
            break;
        case 'h':
            options.hf1 = true;
            break;
        case 'T':
            options.timeout = strtod(optarg, NULL);
            break;
        default:
            known = false;
        }
    }
    size_t size_max = options.mode == MODE_PING ? 125 : WIRE_PAYLOAD_MAX;
    if (!known || optind != argc || !options.port || !options.connections || !options.messages ||
        options.size > size_max) {
        wire_die(
            "usage: load --mode echo|ping|stream|flood|hold|handshake --port P [--connections N]\n"
            "  [--messages N | --count N] [--size BYTES] [--rate PER_SECOND] [--seconds S]\n"
            "  [--tls] [--hf1] [--timeout S]");
    }
}

static void setup(void)
{
    epoll = epoll_create1(0);
    prctl(PR_SET_TIMERSLACK, 1);
    if (getrandom(&random_state, sizeof random_state, 0) < 0 || random_state == 0) {
        random_state = 1;
    }
    limit_ns = wire_now_ns() + (int64_t)(options.timeout * 1e9);
    conns = calloc(options.connections, sizeof *conns);
    if (options.mode <= MODE_PING && options.rate > 0) {
        micros = calloc(options.messages, sizeof *micros);
    }
    if (!conns || (options.rate > 0 && options.mode <= MODE_PING && !micros)) {
        wire_die("out of memory");
    }
    if (options.tls) {
        tls_context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_min_proto_version(tls_context, TLS1_3_VERSION);
        SSL_CTX_set_session_cache_mode(tls_context, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                          SSL_MODE_RELEASE_BUFFERS);
    }
    struct epoll_event input = {EPOLLIN, {.ptr = NULL}};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input)) {
        wire_die("standard input must be a pipe or a terminal");
    }
    if (options.mode == MODE_HANDSHAKE) {
        ready = options.connections - 1;
        conn_is_ready(NULL);
    }
    while (options.mode != MODE_HANDSHAKE && opened < options.connections && opened < OPENING_MAX) {
        conn_open(&conns[opened++]);
    }
}

int main(int argc, char **argv)
{
    options_read(argc, argv);
    setup();
    for (bool more = true; more;) {
        struct epoll_event events[256];
        int64_t wait_ns = on_time();
        struct timespec wait = {wait_ns / 1000000000, wait_ns % 1000000000};
        int n = epoll_pwait2(epoll, events, 256, wait_ns == INT64_MAX ? NULL : &wait, NULL);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr) {
                on_event(events[i].data.ptr, events[i].events);
            } else {
                more = on_input();
            }
        }
    }
    /* Reset instead of FIN: thousands of connections in TIME_WAIT would be in the next round's way.
     */
    for (size_t i = 0; i < options.connections; i++) {
        if (conns[i].state != STATE_CLOSED) {
            setsockopt(conns[i].fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
                       sizeof(struct linger));
            conn_close(&conns[i]);
        }
    }
    return 0;
}
