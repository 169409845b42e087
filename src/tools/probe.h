/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast probe: what its files share. probe.c is the command, probe_words.c its options,
 * probe_say.c what it prints. */
#ifndef HF_TOOLS_PROBE_H
#define HF_TOOLS_PROBE_H

#include "base/histogram.h"
#include "io/epoll.h"
#include "probe/probe.h"
#include "tools/say.h"

#define PROBE_SAY_MAX 32

struct probe_run;

/* One connection of the command, and those that follow it with --forever. */
struct probe_connection {
    struct probe_run *run;
    struct hf_probe *probe; /* NULL: not begun, or over and counted */
    unsigned number;        /* 1 ... */
    unsigned life;          /* 1: the first; with --forever it grows */
    hf_time start_at;       /* HF_NEVER: not any more */
    hf_time rtt_last, rtt_min, rtt_max;
    hf_time stalled; /* it does not answer since; 0: it does */
    bool open, over;
};

struct probe_run {
    struct hf_say say;
    struct hf_target target;
    struct hf_probe_how how;
    unsigned connections;
    hf_time stagger;
    hf_time every; /* 0: not named */
    const char *texts[PROBE_SAY_MAX + 1];
    size_t text_count;
    const char *message;
    bool until_drop, forever, print, quiet, stopping, allow_load;

    struct hf_loop *loop;
    struct probe_connection *all;
    hf_time begun, drawn_at;
    hf_time next_start; /* of a connection that waits for it */
    bool changed;       /* one ended, or all are to: the connections are looked through */
    struct hf_histogram rtt;
    /* counts of connections that are over */
    unsigned opened, died, failed, held;
    hf_time shortest, longest;
};

/* ---- probe_words.c ---- */
/* -1: go on; else the exit code. */
int probe_take_words(struct probe_run *run, int argc, char **argv);

/* ---- probe_say.c ---- */
void probe_say_start(struct probe_run *run);
void probe_say_open(struct probe_connection *c, const struct hf_head *head);
void probe_say_message(struct probe_connection *c, const struct hf_probe_event *event);
void probe_say_stalled(struct probe_connection *c, hf_time since);
void probe_say_end(struct probe_connection *c, const struct hf_probe_event *event);
void probe_say_progress(struct probe_run *run);
void probe_say_summary(struct probe_run *run);

#endif
