/* SPDX-License-Identifier: Apache-2.0 */
/* Threads against one libholdfast: what tests/threads runs under ThreadSanitizer, and what shows
 * that sends from many threads keep their order over any number of drops.
 *
 *     storm URL [CLIENTS [THREADS [MESSAGES]]]
 *
 * URL leads to an echo. On one loop with a thread of its own, CLIENTS (2) clients; to each, THREADS
 * (3) threads send "THREAD NUMBER" for the numbers 1 to MESSAGES (300) as fast as the queue takes
 * them, while another thread asks for state and stats, hurries, and makes and frees clients of its
 * own. Every number must come back once and in order for its thread. Exit status: 0 all as wished.
 */
#include <holdfast.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 16
#define CLIENTS_MAX 64

struct one {
    struct holdfast_client *client;
    int last[THREADS_MAX]; /* the loop's thread's */
    atomic_int came;
    atomic_int faults;
    atomic_bool closed;
};

struct sender {
    pthread_t thread;
    struct one *one;
    int index, messages;
    int refused;
};

static atomic_bool over;
static int resumes; /* the loop's thread's, read when it is gone */

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static void on_event(void *context, struct holdfast_client *client,
                     const struct holdfast_event *event)
{
    struct one *one = context;
    char text[64];
    int thread, number;
    (void)client;
    if (event->kind == HOLDFAST_EVENT_LOST) {
        atomic_fetch_add(&one->faults, 1);
    } else if (event->kind == HOLDFAST_EVENT_RESUMED) {
        resumes++;
    } else if (event->kind == HOLDFAST_EVENT_CLOSE) {
        atomic_store(&one->closed, true);
    } else if (event->kind == HOLDFAST_EVENT_MESSAGE) {
        (void)snprintf(text, sizeof(text), "%.*s", (int)event->size, (const char *)event->data);
        if (sscanf(text, "%d %d", &thread, &number) != 2 || thread < 0 || thread >= THREADS_MAX ||
            number != one->last[thread] + 1) {
            fprintf(stderr, "storm: \"%s\" came out of turn\n", text);
            atomic_fetch_add(&one->faults, 1);
            return;
        }
        one->last[thread] = number;
        atomic_fetch_add(&one->came, 1);
    }
}

static void *send_all(void *arg)
{
    struct sender *s = arg;
    char text[64];
    for (int n = 1; n <= s->messages; n++) {
        const int len = snprintf(text, sizeof(text), "%d %d", s->index, n);
        enum holdfast_send result;
        while ((result = holdfast_client_send(s->one->client, HOLDFAST_TEXT, text, (size_t)len)) ==
               HOLDFAST_FULL) {
            pause_ms(1);
        }
        s->refused += result != HOLDFAST_SENT && result != HOLDFAST_QUEUED;
    }
    return NULL;
}

/* Frees its own client inside the handler, at the first event. */
static void on_short_life(void *context, struct holdfast_client *client,
                          const struct holdfast_event *event)
{
    atomic_bool *gone = context;
    if (event->kind == HOLDFAST_EVENT_OPEN) {
        holdfast_client_free(client);
        atomic_store(gone, true);
    }
}

struct meddler {
    pthread_t thread;
    const char *url;
    struct holdfast_loop *loop;
    struct one *ones;
    int clients;
};

static void *meddle(void *arg)
{
    struct meddler *m = arg;
    struct holdfast_options *options = holdfast_options_new();
    (void)holdfast_options_add_url(options, m->url);
    for (int round = 0; !atomic_load(&over); round++) {
        struct holdfast_stats stats;
        for (int i = 0; i < m->clients; i++) {
            holdfast_client_stats(m->ones[i].client, &stats, sizeof(stats));
            (void)holdfast_client_state(m->ones[i].client);
            holdfast_client_hurry(m->ones[i].client);
        }
        /* One that this thread frees, whatever it is doing; on the shared loop and on its own. */
        holdfast_options_set_handler(options, NULL, NULL);
        struct holdfast_client *c =
            holdfast_client_new(round % 2 == 0 ? m->loop : NULL, options, NULL);
        (void)holdfast_client_send(c, HOLDFAST_BINARY, "x", 1);
        pause_ms(round % 7);
        holdfast_client_free(c);
        /* One that frees itself inside its handler. */
        atomic_bool gone;
        atomic_init(&gone, false);
        holdfast_options_set_handler(options, on_short_life, &gone);
        c = holdfast_client_new(round % 2 == 0 ? m->loop : NULL, options, NULL);
        while (!atomic_load(&gone)) {
            pause_ms(1);
        }
    }
    holdfast_options_free(options);
    return NULL;
}

static int wait_for_all(struct one *ones, int clients, int wanted)
{
    for (int i = 0; i < 60000; i++) {
        int missing = 0;
        for (int k = 0; k < clients; k++) {
            missing += wanted - atomic_load(&ones[k].came);
        }
        if (missing == 0) {
            return 0;
        }
        pause_ms(1);
    }
    return 1;
}

static int number(int argc, char **argv, int at, int otherwise)
{
    return argc > at ? atoi(argv[at]) : otherwise;
}

int main(int argc, char **argv)
{
    static struct one ones[CLIENTS_MAX];
    static struct sender senders[CLIENTS_MAX * THREADS_MAX];
    const int clients = number(argc, argv, 2, 2);
    const int threads = number(argc, argv, 3, 3);
    const int messages = number(argc, argv, 4, 300);
    struct holdfast_options *options = holdfast_options_new();
    struct holdfast_loop *loop = holdfast_loop_start();
    if (argc < 2 || clients > CLIENTS_MAX || threads > THREADS_MAX || loop == NULL ||
        holdfast_options_add_url(options, argv[1]) != HOLDFAST_OK ||
        holdfast_options_set_queue(options, 64, 4096) != HOLDFAST_OK) {
        fputs("usage: storm URL [CLIENTS [THREADS [MESSAGES]]]\n", stderr);
        return 2;
    }
    for (int i = 0; i < clients; i++) {
        holdfast_options_set_handler(options, on_event, &ones[i]);
        ones[i].client = holdfast_client_new(loop, options, NULL);
    }
    for (int i = 0; i < clients * threads; i++) {
        senders[i] =
            (struct sender){.one = &ones[i / threads], .index = i % threads, .messages = messages};
        pthread_create(&senders[i].thread, NULL, send_all, &senders[i]);
    }
    struct meddler meddler = {.url = argv[1], .loop = loop, .ones = ones, .clients = clients};
    pthread_create(&meddler.thread, NULL, meddle, &meddler);
    int faults = 0;
    for (int i = 0; i < clients * threads; i++) {
        pthread_join(senders[i].thread, NULL);
        faults += senders[i].refused;
    }
    faults += wait_for_all(ones, clients, threads * messages);
    atomic_store(&over, true);
    pthread_join(meddler.thread, NULL);
    for (int i = 0; i < clients; i++) {
        (void)holdfast_client_close(ones[i].client, 1000, "");
    }
    for (int i = 0; i < clients; i++) {
        for (int k = 0; k < 12000 && !atomic_load(&ones[i].closed); k++) {
            pause_ms(1);
        }
        faults += !atomic_load(&ones[i].closed) + atomic_load(&ones[i].faults);
        holdfast_client_free(ones[i].client);
    }
    holdfast_loop_free(loop);
    holdfast_options_free(options);
    printf("{\"came\":%d,\"resumes\":%d,\"faults\":%d}\n", clients * threads * messages, resumes,
           faults);
    return faults != 0;
}
