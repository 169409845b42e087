/* SPDX-License-Identifier: Apache-2.0 */
/* Many sessions of libholdfast at once, on one loop and one thread, that check what they get.
 *
 *     drive --url URL [--clients N] [--rate PER_SECOND] [--seconds S] [--size BYTES] [--ramp
 * SECONDS]
 *           [--drain SECONDS] [--no-hf1] [--no-echo] [--ca FILE] [--protocol NAME] [--quiet]
 *
 * Each client sends the texts "c <client> <n> <padding>", n = 1, 2, ... at its rate, and wants from
 * the backend every one of them back, once and in order (an echo; --no-echo: none). Texts "s <n>
 * ..." are the backend's own and must be numbered 1, 2, ... for each client. Anything else is a
 * fault.
 *
 * On standard output, JSON lines:
 *   {"event":"ready",...}   all are open: ms since the start
 *   {"event":"whole",...}   all are open again after some were not: ms from the first that was cut,
 *                           how many were cut, the most that came back within 100 ms, and the wait
 *                           of the median and the 99th of a hundred
 *   {"event":"done",...}    at the end: all counts
 * Exit status: 0 nothing lost, doubled or reordered, and no session lost; 1 otherwise; 2 usage.
 * SIGTERM and SIGINT end the sending early. */
#include <holdfast.h>

#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define BUCKET_MS 100

struct driver;

struct one {
    struct driver *driver;
    struct holdfast_client *client;
    unsigned index;
    uint64_t sent;     /* our numbers that were taken */
    uint64_t echoed;   /* that came back in order */
    uint64_t streamed; /* the backend's numbers */
    double next_send;
    double cut_at; /* 0: it stands */
    bool open, closed;
};

struct driver {
    /* what is wanted */
    unsigned clients;
    double rate, seconds, ramp, drain;
    size_t size;
    bool echo, quiet, hf1;
    /* what is there */
    struct one *ones;
    unsigned made, open, closed;
    double begin;
    bool ready;
    /* what came */
    uint64_t lost, doubled, reordered, strange, full, handed_back;
    uint64_t opens, reconnects, resumes, losses, rebounds;
    /* since the first cut */
    double cut_at;
    uint64_t cuts;
    double *waits;
    size_t wait_count, wait_room;
    unsigned bucket_count;
    unsigned *buckets;
    char *padding;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- what is checked ----------------------------------------------------------------------------
 */

/* got must be *last + 1. */
static void check_number(struct driver *d, const char *what, unsigned index, uint64_t *last,
                         uint64_t got)
{
    if (got == *last + 1) {
        *last = got;
        return;
    }
    if (got <= *last) {
        d->doubled++;
    } else {
        d->lost += got - *last - 1;
        *last = got;
    }
    fprintf(stderr, "drive: client %u: %s %llu after %llu\n", index, what, (unsigned long long)got,
            (unsigned long long)*last);
}

static void take_message(struct one *one, const struct holdfast_event *event)
{
    struct driver *d = one->driver;
    char text[64];
    unsigned index;
    unsigned long long n;
    const size_t len = event->size < sizeof(text) - 1 ? event->size : sizeof(text) - 1;
    memcpy(text, event->data, len);
    text[len] = '\0';
    if (sscanf(text, "c %u %llu", &index, &n) == 2 && index == one->index) {
        if (n > one->sent) {
            d->reordered++;
        }
        check_number(d, "echo", one->index, &one->echoed, n);
    } else if (sscanf(text, "s %llu", &n) == 1) {
        check_number(d, "the backend's", one->index, &one->streamed, n);
    } else {
        d->strange++;
        fprintf(stderr, "drive: client %u: strange message: %s\n", one->index, text);
    }
}

/* ---- how connections come and go ----------------------------------------------------------------
 */

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void tell_whole(struct driver *d, double now)
{
    unsigned worst = 0;
    for (unsigned i = 0; i < d->bucket_count; i++) {
        worst = d->buckets[i] > worst ? d->buckets[i] : worst;
    }
    qsort(d->waits, d->wait_count, sizeof(*d->waits), compare);
    printf("{\"event\":\"whole\",\"ms\":%.0f,\"cut\":%llu,\"worst_100ms\":%u,\"median_ms\":%.0f,"
           "\"p99_ms\":%.0f}\n",
           now - d->cut_at, (unsigned long long)d->cuts, worst,
           d->wait_count == 0 ? 0 : d->waits[d->wait_count / 2],
           d->wait_count == 0 ? 0 : d->waits[d->wait_count * 99 / 100]);
    fflush(stdout);
    d->cut_at = 0;
    d->cuts = 0;
    d->wait_count = 0;
    memset(d->buckets, 0, d->bucket_count * sizeof(*d->buckets));
    d->bucket_count = 0;
}

static void note_wait(struct driver *d, double wait, double since)
{
    const unsigned bucket = (unsigned)(since / BUCKET_MS);
    if (d->wait_count == d->wait_room) {
        d->wait_room = d->wait_room == 0 ? 1024 : 2 * d->wait_room;
        d->waits = realloc(d->waits, d->wait_room * sizeof(*d->waits));
    }
    d->waits[d->wait_count++] = wait;
    if (bucket >= d->bucket_count) {
        d->buckets = realloc(d->buckets, (bucket + 1) * sizeof(*d->buckets));
        memset(d->buckets + d->bucket_count, 0,
               (bucket + 1 - d->bucket_count) * sizeof(*d->buckets));
        d->bucket_count = bucket + 1;
    }
    d->buckets[bucket]++;
}

static void came(struct one *one)
{
    struct driver *d = one->driver;
    const double now = now_ms();
    if (one->open) {
        return;
    }
    one->open = true;
    d->open++;
    if (one->cut_at != 0 && d->ready && d->cut_at != 0) {
        note_wait(d, now - one->cut_at, now - d->cut_at);
    }
    one->cut_at = 0;
    if (d->open < d->clients) {
        return;
    }
    if (!d->ready) {
        d->ready = true;
        printf("{\"event\":\"ready\",\"clients\":%u,\"ms\":%.0f}\n", d->clients, now - d->begin);
        fflush(stdout);
        d->cut_at = 0;
        d->cuts = 0;
        for (unsigned i = 0; i < d->clients; i++) {
            d->ones[i].next_send = d->rate > 0 ? now + (double)(random() % 1000) / d->rate : 0;
        }
    } else if (!d->quiet && d->cut_at != 0) {
        tell_whole(d, now);
    }
}

static void went(struct one *one)
{
    struct driver *d = one->driver;
    if (!one->open) {
        return;
    }
    one->open = false;
    d->open--;
    one->cut_at = now_ms();
    d->cuts++;
    if (d->cut_at == 0) {
        d->cut_at = one->cut_at;
    }
}

static void on_event(void *context, struct holdfast_client *client,
                     const struct holdfast_event *event)
{
    struct one *one = context;
    struct driver *d = one->driver;
    (void)client;
    switch (event->kind) {
    case HOLDFAST_EVENT_OPEN:
        d->opens++;
        came(one);
        break;
    case HOLDFAST_EVENT_RESUMED:
        d->resumes++;
        came(one);
        break;
    case HOLDFAST_EVENT_MESSAGE:
        take_message(one, event);
        break;
    case HOLDFAST_EVENT_RECONNECTING:
        d->reconnects++;
        went(one);
        break;
    case HOLDFAST_EVENT_LOST:
        d->losses++;
        d->handed_back += event->lost->message_count;
        fprintf(stderr, "drive: client %u: session lost: %s\n", one->index, event->lost->reason);
        break;
    case HOLDFAST_EVENT_CLOSE:
        went(one);
        one->closed = true;
        d->closed++;
        if (event->record->code != 1000) {
            fprintf(stderr, "drive: client %u: closed: %s %d %s\n", one->index,
                    event->record->cause, event->record->code, event->record->reason);
        }
        break;
    case HOLDFAST_EVENT_REBOUND:
        d->rebounds++;
        break;
    case HOLDFAST_EVENT_STATE:
    case HOLDFAST_EVENT_AUTHORIZED:
        break;
    }
}

/* ---- what is sent -------------------------------------------------------------------------------
 */

static void send_due(struct driver *d, double now)
{
    char head[64];
    for (unsigned i = 0; i < d->clients; i++) {
        struct one *one = &d->ones[i];
        while (one->next_send != 0 && now >= one->next_send && !one->closed) {
            const int len = snprintf(head, sizeof(head), "c %u %llu ", one->index,
                                     (unsigned long long)one->sent + 1);
            memcpy(d->padding, head, (size_t)len);
            const size_t size = (size_t)len > d->size ? (size_t)len : d->size;
            const enum holdfast_send result =
                holdfast_client_send(one->client, HOLDFAST_TEXT, d->padding, size);
            memset(d->padding, 'x', (size_t)len);
            one->next_send += 1000 / d->rate;
            if (result == HOLDFAST_SENT || result == HOLDFAST_QUEUED) {
                one->sent++;
            } else if (result == HOLDFAST_FULL) {
                d->full++;
            }
        }
    }
}

static bool is_drained(const struct driver *d)
{
    for (unsigned i = 0; i < d->clients; i++) {
        if (d->echo && d->ones[i].echoed < d->ones[i].sent) {
            return false;
        }
    }
    return d->open == d->clients;
}

/* ---- the run ------------------------------------------------------------------------------------
 */

static void run_until(struct driver *d, struct holdfast_loop *loop, double end, bool sending)
{
    while (now_ms() < end && !(sending && stopping)) {
        const double now = now_ms();
        if (sending && d->ready && d->rate > 0) {
            send_due(d, now);
        }
        if (!sending && is_drained(d)) {
            return;
        }
        struct pollfd fd = {.fd = holdfast_loop_fd(loop), .events = holdfast_loop_events(loop)};
        const int timeout = holdfast_loop_timeout(loop);
        const int most = sending && d->rate > 0 ? 5 : 50;
        (void)poll(&fd, 1, timeout < 0 || timeout > most ? most : timeout);
        holdfast_loop_process(loop);
    }
}

static void make_clients(struct driver *d, struct holdfast_loop *loop,
                         struct holdfast_options *options)
{
    for (unsigned i = 0; i < d->clients && !stopping; i++) {
        struct one *one = &d->ones[i];
        enum holdfast_status why;
        *one = (struct one){.driver = d, .index = i};
        holdfast_options_set_handler(options, on_event, one);
        one->client = holdfast_client_new(loop, options, &why);
        if (one->client == NULL) {
            fprintf(stderr, "drive: client %u: %s\n", i, holdfast_status_text(why));
            exit(1);
        }
        const double due = d->begin + d->ramp * 1e3 * (i + 1) / d->clients;
        do {
            holdfast_loop_turn(loop, due > now_ms() ? 1 : 0);
        } while (now_ms() < due);
    }
}

static int report(struct driver *d)
{
    struct rusage usage;
    uint64_t sent = 0, echoed = 0, streamed = 0, missing = 0;
    getrusage(RUSAGE_SELF, &usage);
    for (unsigned i = 0; i < d->clients; i++) {
        const struct one *one = &d->ones[i];
        sent += one->sent;
        echoed += one->echoed;
        streamed += one->streamed;
        missing += d->echo && one->sent > one->echoed ? one->sent - one->echoed : 0;
    }
    printf("{\"event\":\"done\",\"clients\":%u,\"seconds\":%.1f,\"sent\":%llu,\"echoed\":%llu,"
           "\"streamed\":%llu,\"lost\":%llu,\"doubled\":%llu,\"reordered\":%llu,\"strange\":%llu,"
           "\"opens\":%llu,\"reconnecting\":%llu,\"resumed\":%llu,\"sessions_lost\":%llu,"
           "\"handed_back\":%llu,\"rebounds\":%llu,\"queue_full\":%llu,\"peak_rss_kib\":%ld}\n",
           d->clients, (now_ms() - d->begin) / 1e3, (unsigned long long)sent,
           (unsigned long long)echoed, (unsigned long long)streamed,
           (unsigned long long)(d->lost + missing), (unsigned long long)d->doubled,
           (unsigned long long)d->reordered, (unsigned long long)d->strange,
           (unsigned long long)d->opens, (unsigned long long)d->reconnects,
           (unsigned long long)d->resumes, (unsigned long long)d->losses,
           (unsigned long long)d->handed_back, (unsigned long long)d->rebounds,
           (unsigned long long)d->full, usage.ru_maxrss);
    fflush(stdout);
    return d->ready && d->lost + missing + d->doubled + d->reordered + d->strange + d->losses == 0
               ? 0
               : 1;
}

static int drive(struct driver *d, struct holdfast_options *options)
{
    struct holdfast_loop *loop = holdfast_loop_new();
    d->ones = calloc(d->clients, sizeof(*d->ones));
    d->padding = malloc(d->size + 64);
    if (loop == NULL || d->ones == NULL || d->padding == NULL) {
        fputs("drive: no memory\n", stderr);
        return 1;
    }
    memset(d->padding, 'x', d->size + 64);
    d->begin = now_ms();
    make_clients(d, loop, options);
    run_until(d, loop, d->begin + d->seconds * 1e3, true);
    run_until(d, loop, now_ms() + d->drain * 1e3, false);
    for (unsigned i = 0; i < d->clients; i++) {
        if (d->ones[i].client != NULL) {
            (void)holdfast_client_close(d->ones[i].client, 1000, "done");
        }
    }
    const double end = now_ms() + 12e3;
    while (d->closed < d->clients && now_ms() < end) {
        holdfast_loop_turn(loop, 50);
    }
    const int status = report(d);
    for (unsigned i = 0; i < d->clients; i++) {
        holdfast_client_free(d->ones[i].client);
    }
    holdfast_loop_free(loop);
    free(d->ones);
    free(d->padding);
    free(d->waits);
    free(d->buckets);
    return status;
}

static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool take_option(struct driver *d, struct holdfast_options *options, int option)
{
    switch (option) {
    case 'u':
        return holdfast_options_add_url(options, optarg) == HOLDFAST_OK;
    case 'c':
        d->clients = (unsigned)atoi(optarg);
        return d->clients > 0;
    case 'r':
        d->rate = atof(optarg);
        return d->rate >= 0;
    case 's':
        d->seconds = atof(optarg);
        return d->seconds >= 0;
    case 'b':
        d->size = (size_t)atol(optarg);
        return d->size <= (size_t)1 << 24;
    case 'p':
        d->ramp = atof(optarg);
        return d->ramp >= 0;
    case 'd':
        d->drain = atof(optarg);
        return d->drain >= 0;
    case 'n':
        holdfast_options_set_hf1(options, false);
        return true;
    case 'e':
        d->echo = false;
        return true;
    case 'q':
        d->quiet = true;
        return true;
    case 'a':
        return holdfast_options_set_ca(options, optarg) == HOLDFAST_OK;
    case 'o':
        return holdfast_options_add_protocol(options, optarg) == HOLDFAST_OK;
    case 't':
        return holdfast_options_set_token(options, optarg) == HOLDFAST_OK;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option words[] = {
        {"url", required_argument, NULL, 'u'},   {"clients", required_argument, NULL, 'c'},
        {"rate", required_argument, NULL, 'r'},  {"seconds", required_argument, NULL, 's'},
        {"size", required_argument, NULL, 'b'},  {"ramp", required_argument, NULL, 'p'},
        {"drain", required_argument, NULL, 'd'}, {"no-hf1", no_argument, NULL, 'n'},
        {"no-echo", no_argument, NULL, 'e'},     {"quiet", no_argument, NULL, 'q'},
        {"ca", required_argument, NULL, 'a'},    {"protocol", required_argument, NULL, 'o'},
        {"token", required_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
    struct driver d = {
        .clients = 1, .rate = 10, .seconds = 5, .size = 32, .drain = 30, .echo = true};
    struct holdfast_options *options = holdfast_options_new();
    int option;
    while ((option = getopt_long(argc, argv, "", words, NULL)) != -1) {
        if (!take_option(&d, options, option)) {
            fprintf(stderr, "drive: a mistake in the words: %s\n", holdfast_options_error(options));
            return 2;
        }
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    raise_descriptors();
    const int status = drive(&d, options);
    holdfast_options_free(options);
    return status;
}
