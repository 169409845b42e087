/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a command that has a target: its options and those of the target in one table, one
 * URL, and one way to say what is wrong with them. */
#ifndef HF_TOOLS_WORDS_H
#define HF_TOOLS_WORDS_H

#include "probe/target.h"

struct hf_words {
    const char *command;      /* "probe" */
    struct hf_target *target; /* its options are taken, its URL is not */
    const struct option *own; /* up to a row of zeros */
    const char *letters;      /* those of own, for getopt */
    void (*help)(void);       /* prints --help, which is `h` */
    /* NULL: fine; "": getopt has said it; else what is wrong with the value */
    const char *(*take)(void *owner, int option, const char *value);
    void *owner;
};

/* -1: *url is the one URL; else the exit code, and all was said. */
int hf_words_take(const struct hf_words *w, int argc, char **argv, const char **url);
/* Makes the target ready. -1, or the exit code. */
int hf_words_ready(const struct hf_words *w, const char *url);
/* Says what is wrong with which word (may be ""), and where the options are listed. Returns 2. */
int hf_words_mistake(const struct hf_words *w, const char *word, const char *why);

/* Values. NULL, or what is wrong. */
const char *hf_words_time(const char *value, hf_time *time); /* more than nothing */
const char *hf_words_time_or_zero(const char *value, hf_time *time);
/* To a list that ends with NULL at place max at the latest. */
const char *hf_words_add(const char **texts, size_t *count, size_t max, const char *value);

#endif
