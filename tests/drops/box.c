/* SPDX-License-Identifier: Apache-2.0 */
/* A middlebox that cuts: a TCP proxy on loopback that passes bytes on as they come and ends every
 * connection at a random age, from the first handshake on.
 *
 *   drops-box --target PORT [--listen PORT] [--mode rst|fin|blackhole|half|mix] [--min-age MS]
 *             [--max-age MS] [--early PERCENT] [--seed N] [--stop-after S] [--hold MS]
 *
 * rst resets both sides. fin ends both in order, dropping what still comes. blackhole stops passing
 * bytes while both TCP connections stand. half resets one side and leaves the other standing,
 * silent. mix draws one of the four for each connection, rst half of the time.
 * --early is the share of the connections that are cut by a count of bytes instead, within the
 * first 1,200 of one direction, or at once: before, inside and just behind the handshake. --max-age
 * 0: no cut but those that are asked for. What is silent is reset after --hold ms.
 *
 * The first line of its output is {"port":N}. Commands come on standard input, one a line: `cut`
 * cuts every connection that stands now (and from then on counts how many come in each 100 ms),
 * `quiet` ends all further cutting, `stats` prints the counts; each is answered by a line of JSON.
 * At the end of the input it prints the counts and ends. It shares no code with src/: what tests
 * must not lean on what it tests. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    SLOTS = 1 << 16, /* of the timer wheel, 1 ms each: no time is longer */
    RECEIVE = 64 * 1024,
    EARLY_BYTES = 1200,
    DRAIN_MS = 1000, /* for what ends by FIN */
    EVENTS = 512,
    CROWD_MAX = 600, /* tenths of a second behind a `cut` that are counted */
};

enum mode { RST, FIN, BLACKHOLE, HALF, MODES, MIX = MODES };
static const char *const mode_names[] = {"rst", "fin", "blackhole", "half", "mix"};

enum state { RELAYING, SILENT, DRAINING };

struct link;

struct side {
    struct link *link;
    int fd;          /* -1: closed */
    bool connected;  /* a connect under way is not */
    bool ended;      /* its peer has sent FIN */
    bool shut;       /* we have */
    uint32_t wanted; /* what epoll was asked for */
    uint8_t *held;   /* bytes for its peer that the socket did not take */
    size_t held_at, held_size;
    uint64_t came; /* bytes from its peer */
};

struct link {
    struct side sides[2]; /* 0: the client's; 1: the target's */
    struct link *next, *prev;
    struct link **slot; /* on the wheel, in the list that begins there; NULL: not on it */
    struct link *slot_next, *slot_prev;
    int64_t due; /* ms */
    enum state state;
    enum mode mode;
    int early; /* the side whose bytes decide; -1: the age does */
    uint64_t early_bytes;
    bool dead;
};

static struct {
    uint64_t accepted, open, cuts, cut_before_answer, cut_at_once, by_mode[MODES], bytes[2];
} counts;
static struct {
    uint16_t target;
    enum mode mode;
    int64_t min_age, max_age, hold;
    unsigned early;
    bool cutting;
} how = {.mode = RST, .max_age = 3000, .early = 10, .hold = 60000, .cutting = true};

static int64_t cut_at; /* the last `cut`; 0: none */
static uint64_t crowd[CROWD_MAX];
static struct link links = {.next = &links, .prev = &links}, *dead;
static struct link *wheel[SLOTS];
static int64_t turned; /* the wheel has been turned up to this ms */
static uint64_t random_state = 1;
static uint8_t received[RECEIVE];
static int epoll;

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static uint64_t draw(uint64_t below)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return below == 0 ? 0 : (z ^ (z >> 31)) % below;
}

static void print_counts(void)
{
    printf("{\"accepted\":%lu,\"open\":%lu,\"cuts\":%lu,\"cut_at_once\":%lu,\"cut_before_answer\":%"
           "lu,",
           counts.accepted, counts.open, counts.cuts, counts.cut_at_once, counts.cut_before_answer);
    for (int i = 0; i < MODES; i++) {
        printf("\"%s\":%lu,", mode_names[i], counts.by_mode[i]);
    }
    uint64_t worst = 0;
    for (int i = 0; i < CROWD_MAX; i++) {
        worst = crowd[i] > worst ? crowd[i] : worst;
    }
    printf("\"worst_100ms\":%lu,", worst);
    printf("\"bytes_from_clients\":%lu,\"bytes_from_target\":%lu}\n", counts.bytes[0],
           counts.bytes[1]);
    fflush(stdout);
}

/* ---- the wheel ----------------------------------------------------------- */

static void timer_stop(struct link *link)
{
    if (link->slot == NULL) {
        return;
    }
    if (link->slot_prev != NULL) {
        link->slot_prev->slot_next = link->slot_next;
    } else {
        *link->slot = link->slot_next;
    }
    if (link->slot_next != NULL) {
        link->slot_next->slot_prev = link->slot_prev;
    }
    link->slot = NULL;
}

static void timer_set(struct link *link, int64_t after)
{
    timer_stop(link);
    link->due = now_ms() + (after < 1 ? 1 : after >= SLOTS ? SLOTS - 1 : after);
    if (link->due <= turned) {
        link->due = turned + 1;
    }
    link->slot = &wheel[link->due % SLOTS];
    link->slot_prev = NULL;
    link->slot_next = *link->slot;
    if (link->slot_next != NULL) {
        link->slot_next->slot_prev = link;
    }
    *link->slot = link;
}

/* ---- ends ---------------------------------------------------------------- */

static void drop_held(struct side *side)
{
    free(side->held);
    side->held = NULL;
    side->held_size = side->held_at = 0;
}

static void close_side(struct side *side, bool reset)
{
    if (side->fd < 0) {
        return;
    }
    if (reset) {
        struct linger linger = {.l_onoff = 1};
        setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    close(side->fd);
    side->fd = -1;
    drop_held(side);
}

/* Both sides are closed; the memory goes when the turn is over. */
static void end_link(struct link *link, bool reset)
{
    close_side(&link->sides[0], reset);
    close_side(&link->sides[1], reset);
    if (!link->dead) {
        link->dead = true;
        timer_stop(link);
        link->prev->next = link->next;
        link->next->prev = link->prev;
        link->next = dead;
        dead = link;
        counts.open--;
    }
}

static struct side *other(struct side *side)
{
    return side == &side->link->sides[0] ? &side->link->sides[1] : &side->link->sides[0];
}

/* Asks epoll for what this side is to be woken for now. */
static void update(struct side *side)
{
    uint32_t events = 0;
    if (!side->connected || side->held_size > 0) {
        events |= EPOLLOUT;
    }
    if (side->connected && !side->ended && other(side)->connected && other(side)->held_size == 0) {
        events |= EPOLLIN;
    }
    if (side->fd >= 0 && side->wanted != events) {
        struct epoll_event event = {.events = events, .data.ptr = side};
        epoll_ctl(epoll, EPOLL_CTL_MOD, side->fd, &event);
        side->wanted = events;
    }
}

/* From now on what comes is read and thrown away. */
static void gag(struct link *link, enum state state, int64_t until)
{
    link->state = state;
    timer_set(link, until);
    drop_held(&link->sides[0]);
    drop_held(&link->sides[1]);
    update(&link->sides[0]);
    update(&link->sides[1]);
}

static void cut(struct link *link)
{
    if (link->dead || link->state != RELAYING) {
        return;
    }
    counts.cuts++;
    counts.by_mode[link->mode]++;
    counts.cut_before_answer += link->sides[1].came == 0;
    if (link->mode == RST || !link->sides[1].connected) {
        end_link(link, true);
        return;
    }
    if (link->mode == BLACKHOLE) {
        gag(link, SILENT, how.hold);
        return;
    }
    if (link->mode == HALF) {
        int side = (int)draw(2);
        gag(link, SILENT, how.hold);
        close_side(&link->sides[side], true);
        return;
    }
    for (int i = 0; i < 2; i++) {
        shutdown(link->sides[i].fd, SHUT_WR);
        link->sides[i].shut = true;
    }
    if (link->sides[0].ended && link->sides[1].ended) {
        end_link(link, false);
    } else {
        gag(link, DRAINING, DRAIN_MS);
    }
}

/* ---- bytes --------------------------------------------------------------- */

/* Sends what is held, and ends what is over. False when the link is gone. */
static bool flush(struct side *side)
{
    struct side *from = other(side);
    while (side->held_at < side->held_size) {
        ssize_t n = send(side->fd, side->held + side->held_at, side->held_size - side->held_at,
                         MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            update(side);
            update(from);
            return true;
        }
        if (n < 0) {
            end_link(side->link, true);
            return false;
        }
        side->held_at += (size_t)n;
    }
    drop_held(side);
    if (from->ended && !side->shut) {
        shutdown(side->fd, SHUT_WR);
        side->shut = true;
    }
    if (from->shut && side->shut) {
        end_link(side->link, false);
        return false;
    }
    update(side);
    update(from);
    return true;
}

static void pass_on(struct side *from, size_t size)
{
    struct side *to = other(from);
    ssize_t n = send(to->fd, received, size, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        end_link(from->link, true);
        return;
    }
    size_t sent = n < 0 ? 0 : (size_t)n;
    if (sent == size) {
        return;
    }
    to->held = malloc(size - sent);
    if (to->held == NULL) {
        abort();
    }
    to->held_at = 0;
    to->held_size = size - sent;
    memcpy(to->held, received + sent, to->held_size);
    update(from);
    update(to);
}

static void on_end(struct side *side)
{
    struct link *link = side->link;
    side->ended = true;
    if (link->state == RELAYING) {
        flush(other(side));
        return;
    }
    /* A silent link tells nobody that this side has gone. */
    close_side(side, false);
    if (other(side)->fd < 0) {
        end_link(link, false);
    }
}

static void readable(struct side *side)
{
    struct link *link = side->link;
    size_t room = sizeof received;
    bool early = link->state == RELAYING && how.cutting && link->early >= 0 &&
                 side == &link->sides[link->early];
    if (early) {
        room = link->early_bytes > side->came ? link->early_bytes - side->came : 1;
    }
    ssize_t n = recv(side->fd, received, room, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n < 0) { /* reset by its peer */
        if (link->state == SILENT) {
            on_end(side);
        } else {
            end_link(link, true);
        }
        return;
    }
    if (n == 0) {
        on_end(side);
        return;
    }
    side->came += (uint64_t)n;
    if (link->state != RELAYING) {
        return;
    }
    counts.bytes[side == &link->sides[1]] += (uint64_t)n;
    pass_on(side, (size_t)n);
    if (early && !link->dead && side->came >= link->early_bytes) {
        cut(link);
    }
}

static void on_event(struct side *side, uint32_t events)
{
    struct link *link = side->link;
    if (link->dead || side->fd < 0) {
        return;
    }
    if (!side->connected) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(side->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) {
            end_link(link, true);
            return;
        }
        side->connected = true;
        update(side);
        update(other(side));
        return;
    }
    if ((events & EPOLLOUT) && side->held_size > 0 && !flush(side)) {
        return;
    }
    if (events & EPOLLIN) {
        readable(side);
    } else if (events & (EPOLLERR | EPOLLHUP)) {
        if (link->state == RELAYING) {
            end_link(link, true);
        } else {
            on_end(side);
        }
    }
}

/* ---- connections --------------------------------------------------------- */

static int to_target(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(how.target),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void add_side(struct link *link, int which, int fd, bool connected)
{
    struct side *side = &link->sides[which];
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *side = (struct side){
        .link = link, .fd = fd, .connected = connected, .wanted = connected ? 0 : EPOLLOUT};
    struct epoll_event event = {.events = side->wanted, .data.ptr = side};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* When, and how, it will be cut. */
static void plan(struct link *link)
{
    link->mode = how.mode != MIX ? how.mode : draw(2) ? RST : (enum mode)(1 + draw(MODES - 1));
    link->early = -1;
    if (!how.cutting || how.max_age == 0) {
        return;
    }
    timer_set(link, how.min_age + (int64_t)draw((uint64_t)(how.max_age - how.min_age)));
    if (draw(100) < how.early) {
        link->early = (int)draw(2);
        link->early_bytes = draw(EARLY_BYTES);
        if (link->early_bytes < EARLY_BYTES / 20) {
            counts.cuts++;
            counts.cut_at_once++;
            counts.cut_before_answer++;
            counts.by_mode[RST]++;
            end_link(link, true);
        }
    }
}

static void accept_all(int listener)
{
    for (int turn = 0; turn < 256; turn++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        int out = to_target();
        struct link *link = calloc(1, sizeof *link);
        if (out < 0 || link == NULL) {
            perror("drops-box: connect");
            close(fd);
            free(link);
            continue;
        }
        counts.accepted++;
        counts.open++;
        if (cut_at != 0 && (now_ms() - cut_at) / 100 < CROWD_MAX) {
            crowd[(now_ms() - cut_at) / 100]++;
        }
        link->next = links.next;
        link->prev = &links;
        links.next->prev = link;
        links.next = link;
        add_side(link, 0, fd, true);
        add_side(link, 1, out, false);
        plan(link);
    }
}

static void turn_wheel(void)
{
    for (int64_t now = now_ms(); turned < now;) {
        turned++;
        struct link *link = wheel[turned % SLOTS];
        while (link != NULL) {
            struct link *next = link->slot_next;
            if (link->due <= turned) {
                timer_stop(link);
                if (link->state != RELAYING) {
                    end_link(link, link->state == SILENT);
                } else if (how.cutting) {
                    cut(link);
                }
            }
            link = next;
        }
    }
}

/* ---- commands and the loop ----------------------------------------------- */

static void obey(const char *word)
{
    if (strcmp(word, "cut") == 0) {
        cut_at = now_ms();
        memset(crowd, 0, sizeof crowd);
        for (struct link *link = links.next, *next; link != &links; link = next) {
            next = link->next;
            cut(link);
        }
    } else if (strcmp(word, "quiet") == 0) {
        how.cutting = false;
    }
    print_counts();
}

/* False at the end of the input. */
static bool commands(void)
{
    static char line[64];
    static size_t size;
    char c;
    for (ssize_t n; (n = read(STDIN_FILENO, &c, 1)) != -1;) {
        if (n == 0) {
            return false;
        }
        if (c == '\n') {
            line[size] = 0;
            size = 0;
            obey(line);
            return true; /* the next line, when there is one, is the next event */
        }
        if (size + 1 < sizeof line) {
            line[size++] = c;
        }
    }
    return true;
}

static int listen_on(uint16_t port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 16384) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) < 0) {
        perror("drops-box: listen");
        exit(2);
    }
    printf("{\"port\":%u}\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

static void run(int listener, int64_t quiet_at)
{
    struct epoll_event events[EVENTS];
    for (bool going = true; going;) {
        int count = epoll_wait(epoll, events, EVENTS, 1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL) {
                accept_all(listener);
            } else if (events[i].data.ptr == &how) {
                going = commands();
            } else {
                on_event(events[i].data.ptr, events[i].events);
            }
        }
        if (quiet_at != 0 && now_ms() >= quiet_at) {
            how.cutting = false;
        }
        turn_wheel();
        while (dead != NULL) {
            struct link *link = dead;
            dead = link->next;
            free(link);
        }
    }
    print_counts();
}

static uint64_t number(const char *text, uint64_t most)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != 0 || value > most) {
        fprintf(stderr, "drops-box: %s is no number up to %lu\n", text, most);
        exit(2);
    }
    return value;
}

static enum mode mode_of(const char *text)
{
    for (int i = 0; i <= MIX; i++) {
        if (strcmp(text, mode_names[i]) == 0) {
            return (enum mode)i;
        }
    }
    fprintf(stderr, "drops-box: no mode %s\n", text);
    exit(2);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"target", 1, 0, 't'},  {"listen", 1, 0, 'l'},
                                            {"mode", 1, 0, 'm'},    {"min-age", 1, 0, 'a'},
                                            {"max-age", 1, 0, 'A'}, {"early", 1, 0, 'e'},
                                            {"seed", 1, 0, 's'},    {"stop-after", 1, 0, 'q'},
                                            {"hold", 1, 0, 'h'},    {0}};
    uint16_t port = 0;
    int64_t quiet_at = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 't':
            how.target = (uint16_t)number(optarg, 65535);
            break;
        case 'l':
            port = (uint16_t)number(optarg, 65535);
            break;
        case 'm':
            how.mode = mode_of(optarg);
            break;
        case 'a':
            how.min_age = (int64_t)number(optarg, SLOTS - 1);
            break;
        case 'A':
            how.max_age = (int64_t)number(optarg, SLOTS - 1);
            break;
        case 'e':
            how.early = (unsigned)number(optarg, 100);
            break;
        case 's':
            random_state = number(optarg, UINT64_MAX);
            break;
        case 'q':
            quiet_at = now_ms() + 1000 * (int64_t)number(optarg, 1000000);
            break;
        case 'h':
            how.hold = (int64_t)number(optarg, SLOTS - 1);
            break;
        default:
            return 2;
        }
    }
    if (how.target == 0 || optind != argc || (how.max_age != 0 && how.max_age <= how.min_age)) {
        fprintf(
            stderr,
            "drops-box: needs --target PORT, no other words, and a max-age above the min-age\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, 15); /* SIGTERM */
    turned = now_ms();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on(port);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    event.data.ptr = &how;
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO,
              &event); /* refused for a file: then nobody commands */
    run(listener, quiet_at);
    return 0;
}
