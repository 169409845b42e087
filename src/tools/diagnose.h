/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast diagnose: what its files share. diagnose.c is the command, diagnose_say.c what it
 * prints, diagnose_draw.c the timeline in a terminal. */
#ifndef HF_TOOLS_DIAGNOSE_H
#define HF_TOOLS_DIAGNOSE_H

#include "diagnose/run.h"
#include "tools/say.h"

struct diagnose {
    struct hf_say say;
    struct hf_target target, compare;
    struct hf_diagnosis_how how;
    const char *report; /* NULL: none */
    const char *compare_url;
    bool json;
    bool quiet;    /* no progress */
    bool no_color; /* whatever the terminal can */
    bool is_utf8;  /* the terminal shows more than ASCII */
    bool interrupted;
    int argc;
    char **argv;
    struct hf_loop *loop;
    struct hf_diagnosis *diagnosis;
    struct hf_timer redraw;
    hf_wall begun_wall;
};

/* One event: a line of JSON, or of progress. */
void diagnose_say(struct diagnose *d, const struct hf_diagnosis_event *event);
/* The verdict: the last line of JSON, or everything for people. */
void diagnose_conclude(struct diagnose *d);
/* Writes the HTML file. False: it said why. */
bool diagnose_write_report(struct diagnose *d);
/* The words of the run again, quoted for a shell, without what is secret in them. */
void diagnose_add_command(struct diagnose *d, struct hf_buffer *out);
/* The timeline as it is now. Nothing where there is no terminal. */
void diagnose_draw(struct diagnose *d);

#endif
