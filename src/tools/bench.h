/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast bench: what its files share. bench.c is the command, bench_words.c its options,
 * bench_thread.c a thread with its connections, bench_ledger.c what ended, bench_say.c what is
 * printed.
 *
 * Threads share nothing but the ledger, a few flags, and their totals, which each hands out in
 * whole copies. Times are those of CLOCK_MONOTONIC in microseconds, asked for at each message. */
#ifndef HF_TOOLS_BENCH_H
#define HF_TOOLS_BENCH_H

#include "base/histogram.h"
#include "cause/survival.h"
#include "io/epoll.h"
#include "probe/probe.h"
#include "tools/say.h"

#include <pthread.h>
#include <stdatomic.h>

#define BENCH_SAY_MAX 32
#define BENCH_DROPS 24
#define BENCH_THREADS 64

enum bench_mode { BENCH_ECHO, BENCH_RATE, BENCH_STORM, BENCH_STREAM, BENCH_HOLD, BENCH_MODES };
extern const char *const bench_mode_names[BENCH_MODES];

struct bench_counts {
    uint64_t opened, failed, dropped;
    uint64_t open_now;
    uint64_t sent, answered, unanswered; /* messages of ours */
    uint64_t unsent;                     /* due, but there was no connection for them */
    uint64_t got, extra;                 /* messages of the server's; those that answer nothing */
    uint64_t bytes_sent, bytes_got;
};

/* What one thread measured, or all of them. Microseconds. */
struct bench_totals {
    struct bench_counts counts;
    struct hf_histogram handshake; /* from the start of the connection to the 101 */
    struct hf_histogram direct;    /* from the send to the answer; of pings in hold */
    struct hf_histogram corrected; /* from when it was due to the answer, or to the 101 (storm) */
    struct hf_histogram late;      /* from when it was due to the send */
    struct hf_histogram gap;       /* between two messages of the server's on one connection */
};

/* One kind of ending, and the ages at it. */
struct bench_drop {
    enum hf_trial_how how;
    enum hf_trial_phase phase;
    uint16_t code, http;
    int error;
    char reason[64];
    const char *who, *cause; /* static */
    uint64_t count;
    struct hf_histogram *ages; /* of those that were open */
};

struct bench_ledger {
    pthread_mutex_t lock;
    struct bench_drop drops[BENCH_DROPS];
    size_t count;
    uint64_t others; /* of kinds beyond these */
    uint64_t untold; /* ages that there was no memory for */
    struct hf_survival *survival;
};

enum bench_stage { BENCH_OPENING, BENCH_RUNNING, BENCH_STOPPING };

struct bench_run {
    struct hf_say say;
    struct hf_target target;
    enum bench_mode mode;
    unsigned connections, threads, pipeline;
    hf_time duration, ping, answer_timeout;
    double rate;      /* messages (rate) or handshakes (storm) a second; 0: as they come */
    double open_rate; /* connections a second; 0: as they come */
    uint32_t size;
    const char *message;
    const char *texts[BENCH_SAY_MAX + 1];
    size_t text_count;
    bool allow_load, reconnect, sized;

    atomic_int stage;
    atomic_uint ready; /* threads whose connections are open, or have failed */
    atomic_llong go;   /* when the measured time begins; 0: not yet */
    atomic_llong end;  /* when it ends */
    struct bench_ledger ledger;
    struct bench_thread *all; /* threads */
    hf_time begun;
    double opening_s, measured_s;
};

struct bench_thread;
struct bench_request {
    hf_time due, sent;
    uint64_t number;
};

struct bench_connection {
    struct bench_thread *thread;
    struct hf_probe *probe;
    unsigned index; /* over all threads */
    bool open, finished;
    hf_time begun, due, again_at; /* due: storm; again_at: HF_NEVER: it runs */
    hf_time last_got;
    uint64_t turn; /* of the schedule: the next message is due at go + (index + turn * N) / rate */
    uint64_t owed; /* messages that are due and not sent */
    struct bench_request *ring;
    size_t head, count, room;
};

struct bench_thread {
    struct bench_run *run;
    unsigned number;
    pthread_t id;
    bool started;
    struct hf_loop *loop;
    struct bench_connection *all;
    unsigned count, opening, settled; /* settled: open, or failed once */
    unsigned next_open;
    struct hf_probe_how how;
    char *payload;
    size_t payload_len, number_at; /* where its number stands; 0: it has none */
    uint64_t next_number;
    uint64_t cursor; /* of the schedule, over this thread's connections */
    uint64_t started_storm;
    uint64_t blocked; /* connections with owed > 0 */
    hf_time opened_last, looked, published;
    struct bench_totals totals;
    pthread_mutex_t lock;
    struct bench_totals shown; /* a copy, under the lock */
};

/* ---- bench_words.c ---- */
/* -1: go on; else the exit code. */
int bench_take_words(struct bench_run *run, int argc, char **argv);

/* ---- bench_thread.c ---- */
hf_time bench_now(void);
/* False: no memory. first: index of its first connection. */
bool bench_thread_init(struct bench_thread *t, struct bench_run *run, unsigned number,
                       unsigned first, unsigned count);
void bench_thread_fini(struct bench_thread *t);
/* The thread's function. */
void *bench_thread_run(void *thread);

/* ---- bench_ledger.c ---- */
bool bench_ledger_init(struct bench_ledger *l);
void bench_ledger_fini(struct bench_ledger *l);
/* From any thread. context may be NULL. */
void bench_ledger_add(struct bench_ledger *l, const struct hf_trial *t,
                      const struct hf_infer_context *context);

/* ---- bench_say.c ---- */
void bench_gather(struct bench_run *run, struct bench_totals *all);
void bench_say_start(struct bench_run *run);
/* A line of JSON, or one that is drawn over. */
void bench_say_progress(struct bench_run *run, const struct bench_totals *before,
                        const struct bench_totals *now, double seconds);
void bench_say_result(struct bench_run *run, const struct bench_totals *all);
/* The exit code. */
int bench_verdict(struct bench_run *run, const struct bench_totals *all);

#endif
