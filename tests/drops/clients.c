/* SPDX-License-Identifier: Apache-2.0 */
/* Thousands of clients of libholdfast on one loop, which send and check numbered messages.
 *
 *   drops-clients --port PORT [--path PATH] [--count N] [--every MS] [--open-over MS] [--kind
 * hf1|plain|formula]
 *                 [--beat MS] [--patience MS] [--ca FILE] [--restarts] [--seed N]
 *
 * PATH may hold `{n}`, the client's number. Each client sends message 1, 2, 3, … one each --every
 * ms from its open on, and expects the other side's messages 1, 2, 3, … (an echo does as well as a
 * backend that counts for itself): the rule that makes message n is that of
 * tests/integration/backends/numbered.py.
 *
 * hf1 and plain are the library with and without sessions. formula is a plain connection that is
 * made anew when it ends, after reconnecting-websocket's documented waits: minReconnectionDelay
 * (1000 + random * 4000, drawn once for each client, as for each page) times
 * reconnectionDelayGrowFactor (1.3) for each attempt that failed, at most maxReconnectionDelay
 * (10000).
 * --beat: interval and timeout of the library's pings; --patience: its time for a handshake.
 * --ca: TLS, and the authority to trust.
 * --restarts: the other side may begin again at 1 (a backend that was started anew) and that is
 * counted, not called a fault.
 *
 * Commands come on standard input, one a line, each answered by a line of JSON: `stats`; `mark`
 * (times of `since_mark` begin here); `end` (every client says `end N` with its count, hears `end
 * M`, and closes). The end of the input ends the program. */
#include <holdfast.h>

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    TAIL = 7200, /* of what the tails of messages are cut */
    MESSAGE_MAX = 8000,
    REASONS = 32,
    MARKED_MAX = 32768,
    RISKS = 256,
};

enum kind { HF1, PLAIN, FORMULA, KINDS };
static const char *const kind_names[] = {"hf1", "plain", "formula"};

struct drops_client {
    struct holdfast_client *client;
    uint32_t number;
    bool open;             /* an OPEN came, and no LOST or CLOSE since */
    bool ending;           /* it has sent `end` */
    bool finished;         /* `end` came and the client closes */
    bool closed;           /* CLOSE came */
    uint64_t sent, last;   /* the newest number of each direction */
    uint64_t missing;      /* numbers below `last` that did not come */
    uint64_t event_number; /* of the newest message, as the library counts */
    double min_delay;      /* of the formula, ms */
    uint32_t failed;       /* attempts in a row, of the formula */
    int64_t again_at;      /* when the formula tries again; 0: it does not wait */
    int64_t opened_at;
};

static struct {
    enum kind kind;
    uint16_t port;
    const char *path;
    const char *ca; /* NULL: no TLS */
    uint32_t count;
    int64_t every, open_over, beat, patience;
    bool restarts;
} how = {.path = "/", .count = 1, .every = 1000};

/* What all clients saw. */
static struct {
    uint64_t sent, received, full, refused;           /* messages */
    uint64_t lost, doubled, reordered, changed;       /* of what came */
    uint64_t opens, resumed, reconnecting, rebounds;  /* events */
    uint64_t sessions_lost, closes, closes_early;     /* events that tests look at */
    uint64_t handed_back, at_risk, restarts, endings; /* messages; endings: `end` that came */
    uint64_t end_mismatch;
    int64_t away_max, away_sum;
} seen;

struct reason {
    char text[48];
    uint64_t count;
};
static struct reason reasons[REASONS]; /* of sessions lost and of CLOSE before its time */

static struct {
    uint32_t client;
    uint64_t from, to;
} risks[RISKS]; /* the first rebounds, one by one */

static struct holdfast_loop *loop;
static struct holdfast_options *options;
static struct drops_client *clients;
static char tail[TAIL + 1];
static uint64_t random_state = 1;
static int64_t begun, marked;
static uint32_t marked_ms[MARKED_MAX]; /* when each came back since the mark */
static uint32_t marked_count;
static uint32_t started; /* clients */
static uint64_t ticks;   /* turns of sending that were done */
static bool ending;

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static double draw(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) / (double)(1ull << 53);
}

/* ---- messages ------------------------------------------------------------ */

static size_t message_make(uint64_t n, char *out, enum holdfast_type *type)
{
    size_t size = 0, length = n % 64 == 33 ? 4000 + n % 13 : n * 37 % 97;
    if (n % 16 == 7) {
        out[size++] = '\x01';
    }
    size += (size_t)sprintf(out + size, "%lu ", n);
    memcpy(out + size, tail, length);
    *type = n % 16 != 7 && n % 10 == 3 ? HOLDFAST_BINARY : HOLDFAST_TEXT;
    return size + length;
}

static void reason_add(const char *text)
{
    for (int i = 0; i < REASONS; i++) {
        if (reasons[i].count == 0) {
            snprintf(reasons[i].text, sizeof reasons[i].text, "%s", text);
        }
        if (i == REASONS - 1 || strcmp(reasons[i].text, text) == 0) {
            reasons[i].count++;
            return;
        }
    }
}

/* The other side begins to count anew. What it counted before and did not come stays lost. */
static void begin_anew(struct drops_client *c)
{
    c->last = 0;
    c->missing = 0;
}

static void finish(struct drops_client *c, uint64_t count)
{
    seen.endings++;
    if (c->last < count) {
        seen.lost += count - c->last;
    } else if (c->last > count) {
        seen.end_mismatch++;
    }
    c->finished = true;
    (void)holdfast_client_close(c->client, 1000, "done");
}

static void take(struct drops_client *c, const struct holdfast_event *event)
{
    char expected[MESSAGE_MAX], head[32];
    size_t at = event->size > 0 && *(const char *)event->data == '\x01';
    size_t head_size = event->size - at < sizeof head - 1 ? event->size - at : sizeof head - 1;
    memcpy(head, (const char *)event->data + at, head_size);
    head[head_size] = 0;
    if (strncmp(head, "end ", 4) == 0) {
        finish(c, strtoull(head + 4, NULL, 10));
        return;
    }
    enum holdfast_type type;
    uint64_t n = strtoull(head, NULL, 10);
    size_t size = message_make(n, expected, &type);
    seen.received++;
    if (n == 0 || event->size != size || event->type != type ||
        memcmp(event->data, expected, size) != 0) {
        seen.changed++;
        return;
    }
    if (n == 1 && c->last > 0 && how.restarts) {
        seen.restarts++;
        begin_anew(c);
    }
    if (n > c->last) {
        seen.lost += n - c->last - 1;
        c->missing += n - c->last - 1;
        c->last = n;
    } else if (c->missing > 0) { /* which ones are missing is not kept: late, or twice */
        seen.lost--;
        c->missing--;
        seen.reordered++;
    } else {
        seen.doubled++;
    }
}

static void send_next(struct drops_client *c)
{
    char text[MESSAGE_MAX];
    enum holdfast_type type;
    if (!c->open || c->ending || how.every == 0) {
        return;
    }
    size_t size = message_make(c->sent + 1, text, &type);
    enum holdfast_send result = holdfast_client_send(c->client, type, text, size);
    if (result == HOLDFAST_SENT || result == HOLDFAST_QUEUED) {
        c->sent++;
        seen.sent++;
    } else if (result == HOLDFAST_FULL) {
        seen.full++;
    } else {
        seen.refused++;
    }
}

static void send_end(struct drops_client *c)
{
    char text[32];
    int size = snprintf(text, sizeof text, "end %lu", c->sent);
    enum holdfast_send result = holdfast_client_send(c->client, HOLDFAST_TEXT, text, (size_t)size);
    c->ending = result == HOLDFAST_SENT || result == HOLDFAST_QUEUED;
}

/* ---- events -------------------------------------------------------------- */

static void came_back(void)
{
    if (marked != 0 && marked_count < MARKED_MAX) {
        marked_ms[marked_count++] = (uint32_t)(now_ms() - marked);
    }
}

/* reconnecting-websocket's _getNextDelay: no wait before the first attempt, then min * 1.3^(n - 1).
 */
static void formula_wait(struct drops_client *c)
{
    if (c->opened_at != 0 && now_ms() - c->opened_at >= 5000) { /* minUptime */
        c->failed = 0;
    }
    c->failed++;
    double delay = c->min_delay * pow(1.3, c->failed - 1);
    c->again_at = now_ms() + (int64_t)(delay > 10000 ? 10000 : delay);
    c->opened_at = 0;
}

static void on_lost(struct drops_client *c, const struct holdfast_lost *lost)
{
    if (c->finished) {
        return;
    }
    seen.sessions_lost++;
    seen.handed_back += lost->message_count;
    reason_add(lost->reason);
    c->open = false;
}

static void on_close(struct drops_client *c, const struct holdfast_event *event)
{
    char text[48];
    c->open = false;
    c->closed = true;
    seen.closes++;
    if (c->finished) {
        return;
    }
    seen.closes_early++;
    snprintf(text, sizeof text, "close %d %s", event->record->code, event->record->cause);
    reason_add(text);
    if (how.kind == FORMULA && !ending) {
        formula_wait(c);
    }
}

static void on_event(void *context, struct holdfast_client *client,
                     const struct holdfast_event *event)
{
    struct drops_client *c = context;
    switch (event->kind) {
    case HOLDFAST_EVENT_OPEN:
        seen.opens++;
        c->open = true;
        c->opened_at = now_ms();
        c->sent = 0;
        c->ending = false;
        c->event_number = 0;
        begin_anew(c);
        came_back();
        break;
    case HOLDFAST_EVENT_MESSAGE:
        if (how.kind == HF1 && event->number != ++c->event_number) {
            seen.end_mismatch++;
        }
        take(c, event);
        break;
    case HOLDFAST_EVENT_RECONNECTING:
        seen.reconnecting++;
        break;
    case HOLDFAST_EVENT_RESUMED:
        seen.resumed++;
        seen.away_sum += event->away_ms;
        seen.away_max = event->away_ms > seen.away_max ? event->away_ms : seen.away_max;
        came_back();
        break;
    case HOLDFAST_EVENT_LOST:
        on_lost(c, event->lost);
        break;
    case HOLDFAST_EVENT_CLOSE:
        on_close(c, event);
        break;
    case HOLDFAST_EVENT_REBOUND:
        if (seen.rebounds < RISKS) {
            risks[seen.rebounds].client = c->number;
            risks[seen.rebounds].from = event->from;
            risks[seen.rebounds].to = event->to;
        }
        seen.rebounds++;
        seen.at_risk += event->to - event->from;
        begin_anew(c);
        break;
    case HOLDFAST_EVENT_STATE:
    case HOLDFAST_EVENT_AUTHORIZED:
        break;
    }
}

/* ---- clients ------------------------------------------------------------- */

static void die(const char *what)
{
    fprintf(stderr, "drops-clients: %s\n", what);
    exit(2);
}

static void must(enum holdfast_status status)
{
    if (status != HOLDFAST_OK) {
        die(holdfast_options_error(options));
    }
}

static void start(struct drops_client *c)
{
    char url[512];
    const char *mark = strstr(how.path, "{n}");
    int before = mark == NULL ? (int)strlen(how.path) : (int)(mark - how.path);
    snprintf(url, sizeof url, "%s://127.0.0.1:%u%.*s", how.ca == NULL ? "ws" : "wss", how.port,
             before, how.path);
    if (mark != NULL) {
        snprintf(url + strlen(url), sizeof url - strlen(url), "%u%s", c->number, mark + 3);
    }
    options = holdfast_options_new();
    if (options == NULL) {
        die("no memory");
    }
    must(holdfast_options_add_url(options, url));
    must(holdfast_options_set_proxy(options, ""));
    holdfast_options_set_hf1(options, how.kind == HF1);
    holdfast_options_set_reconnect(options, how.kind != FORMULA);
    holdfast_options_set_deflate(options, false);
    if (how.ca != NULL) {
        must(holdfast_options_set_ca(options, how.ca));
    }
    if (how.beat != 0) {
        must(holdfast_options_set_heartbeat(options, how.beat, how.beat));
    }
    if (how.patience != 0) {
        must(holdfast_options_set_connect_timeout(options, how.patience));
    }
    holdfast_options_set_handler(options, on_event, c);
    enum holdfast_status why;
    c->client = holdfast_client_new(loop, options, &why);
    if (c->client == NULL) {
        die(holdfast_status_text(why));
    }
    holdfast_options_free(options);
}

/* What time brings: new clients, messages, the formula's attempts. */
static void work(void)
{
    int64_t now = now_ms();
    uint64_t due = how.open_over == 0
                       ? how.count
                       : (uint64_t)(now - begun) * how.count / (uint64_t)how.open_over;
    while (started < how.count && started < due) {
        struct drops_client *c = &clients[started];
        c->number = started++;
        c->min_delay = 1000 + draw() * 4000;
        start(c);
    }
    /* Client i sends at its own phase of each `every`. */
    uint64_t tick = how.every == 0 ? 0 : (uint64_t)(now - begun) * how.count / (uint64_t)how.every;
    for (; ticks < tick; ticks++) {
        if (!ending) {
            send_next(&clients[ticks % how.count]);
        }
    }
    for (uint32_t i = 0; how.kind == FORMULA && i < started; i++) {
        struct drops_client *c = &clients[i];
        if (c->again_at != 0 && c->again_at <= now && !ending) {
            holdfast_client_free(c->client);
            c->again_at = 0;
            c->closed = false;
            start(c);
        }
    }
    for (uint32_t i = 0; ending && i < started; i++) {
        if (clients[i].open && !clients[i].ending) {
            send_end(&clients[i]);
        }
    }
}

/* ---- what is said -------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    return *(const uint32_t *)a < *(const uint32_t *)b
               ? -1
               : *(const uint32_t *)a > *(const uint32_t *)b;
}

static void print_seen(void)
{
    uint32_t open = 0, done = 0;
    for (uint32_t i = 0; i < started; i++) {
        open += clients[i].open && holdfast_client_state(clients[i].client) == HOLDFAST_OPEN;
        done += clients[i].finished && clients[i].closed;
    }
    printf("{\"started\":%u,\"open\":%u,\"done\":%u,\"sent\":%lu,\"received\":%lu,\"full\":%lu,"
           "\"refused\":%lu,\"lost\":%lu,"
           "\"doubled\":%lu,\"reordered\":%lu,\"changed\":%lu,",
           started, open, done, seen.sent, seen.received, seen.full, seen.refused, seen.lost,
           seen.doubled, seen.reordered, seen.changed);
    printf("\"opens\":%lu,\"resumed\":%lu,\"reconnecting\":%lu,\"rebounds\":%lu,\"sessions_lost\":%"
           "lu,\"closes\":%lu,"
           "\"closes_early\":%lu,\"handed_back\":%lu,\"at_risk\":%lu,\"restarts\":%lu,\"endings\":%"
           "lu,\"end_mismatch\":%lu,",
           seen.opens, seen.resumed, seen.reconnecting, seen.rebounds, seen.sessions_lost,
           seen.closes, seen.closes_early, seen.handed_back, seen.at_risk, seen.restarts,
           seen.endings, seen.end_mismatch);
    printf("\"away_max_ms\":%ld,\"away_mean_ms\":%ld,\"reasons\":{", seen.away_max,
           seen.resumed == 0 ? 0 : seen.away_sum / (int64_t)seen.resumed);
    for (int i = 0; i < REASONS && reasons[i].count > 0; i++) {
        printf("%s\"%s\":%lu", i == 0 ? "" : ",", reasons[i].text, reasons[i].count);
    }
    printf("},\"risks\":[");
    for (uint64_t i = 0; i < seen.rebounds && i < RISKS; i++) {
        printf("%s[%u,%lu,%lu]", i == 0 ? "" : ",", risks[i].client, risks[i].from, risks[i].to);
    }
    qsort(marked_ms, marked_count, sizeof *marked_ms, ascending);
    printf("],\"since_mark\":{\"back\":%u,\"p50_ms\":%u,\"p99_ms\":%u,\"last_ms\":%u}}\n",
           marked_count, marked_count == 0 ? 0 : marked_ms[marked_count / 2],
           marked_count == 0 ? 0 : marked_ms[marked_count * 99 / 100],
           marked_count == 0 ? 0 : marked_ms[marked_count - 1]);
    fflush(stdout);
}

static void obey(const char *word)
{
    if (strcmp(word, "end") == 0) {
        ending = true;
    } else if (strcmp(word, "mark") == 0) {
        marked = now_ms();
        marked_count = 0;
    }
    print_seen();
}

/* False at the end of the input. */
static bool commands(void)
{
    static char line[64];
    static size_t size;
    char bytes[64];
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] == '\n') {
            line[size] = 0;
            size = 0;
            obey(line);
        } else if (size + 1 < sizeof line) {
            line[size++] = bytes[i];
        }
    }
    return n > 0 || (n < 0 && errno == EINTR);
}

static void run(void)
{
    begun = now_ms();
    for (bool going = true; going;) {
        int wait = holdfast_loop_timeout(loop);
        struct pollfd polled[2] = {
            {.fd = STDIN_FILENO, .events = POLLIN},
            {.fd = holdfast_loop_fd(loop), .events = holdfast_loop_events(loop)}};
        poll(polled, 2, wait < 0 || wait > 5 ? 5 : wait);
        holdfast_loop_process(loop);
        if (polled[0].revents != 0) {
            going = commands();
        }
        work();
    }
}

static int64_t number(const char *text, int64_t most)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != 0 || value < 0 || value > most) {
        die("an option has no such number");
    }
    return value;
}

static enum kind kind_of(const char *text)
{
    for (int i = 0; i < KINDS; i++) {
        if (strcmp(text, kind_names[i]) == 0) {
            return (enum kind)i;
        }
    }
    die("--kind is hf1, plain or formula");
    return HF1;
}

int main(int argc, char **argv)
{
    static const struct option words[] = {
        {"port", 1, 0, 'p'},     {"path", 1, 0, 'P'},     {"count", 1, 0, 'c'},
        {"every", 1, 0, 'e'},    {"kind", 1, 0, 'k'},     {"open-over", 1, 0, 'o'},
        {"restarts", 0, 0, 'r'}, {"beat", 1, 0, 'b'},     {"seed", 1, 0, 's'},
        {"ca", 1, 0, 'C'},       {"patience", 1, 0, 't'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", words, NULL)) != -1;) {
        switch (c) {
        case 'p':
            how.port = (uint16_t)number(optarg, 65535);
            break;
        case 'P':
            how.path = optarg;
            break;
        case 'c':
            how.count = (uint32_t)number(optarg, 20000);
            break;
        case 'e':
            how.every = number(optarg, 3600000);
            break;
        case 'k':
            how.kind = kind_of(optarg);
            break;
        case 'o':
            how.open_over = number(optarg, 3600000);
            break;
        case 'r':
            how.restarts = true;
            break;
        case 'b':
            how.beat = number(optarg, 3600000);
            break;
        case 't':
            how.patience = number(optarg, 3600000);
            break;
        case 'C':
            how.ca = optarg;
            break;
        case 's':
            random_state = (uint64_t)number(optarg, INT64_MAX);
            break;
        default:
            return 2;
        }
    }
    if (how.port == 0 || optind != argc || how.count == 0) {
        die("needs --port, at least one client, and no other words");
    }
    prctl(PR_SET_PDEATHSIG, 15); /* SIGTERM */
    for (size_t i = 0; i < TAIL; i++) {
        tail[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[i % 36];
    }
    clients = calloc(how.count, sizeof *clients);
    loop = holdfast_loop_new();
    if (clients == NULL || loop == NULL) {
        die("no memory");
    }
    run();
    for (uint32_t i = 0; i < started; i++) {
        holdfast_client_free(clients[i].client);
    }
    holdfast_loop_free(loop);
    free(clients);
    return 0;
}
