/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a command that has a target: see words.h. */
#include "tools/words.h"

#include <stdio.h>

#define USAGE_ERROR 2
#define OPTIONS_MAX 64
#define LETTERS_MAX 64

int hf_words_mistake(const struct hf_words *w, const char *word, const char *why)
{
    if (*why != '\0') {
        (void)fprintf(stderr, "holdfast %s: %s%s%s\n", w->command, word, *word == '\0' ? "" : ": ",
                      why);
    }
    (void)fprintf(stderr, "`holdfast %s --help` lists the options\n", w->command);
    return USAGE_ERROR;
}

int hf_words_take(const struct hf_words *w, int argc, char **argv, const char **url)
{
    struct option all[OPTIONS_MAX];
    char letters[LETTERS_MAX];
    int option, index = -1;
    hf_target_options_join(w->own, all, OPTIONS_MAX);
    (void)snprintf(letters, sizeof(letters), HF_TARGET_LETTERS "%s", w->letters);
    optind = 1;
    while ((option = getopt_long(argc, argv, letters, all, &index)) != -1) {
        const char *why;
        if (option == 'h') {
            w->help();
            return 0;
        }
        if (!hf_target_take(w->target, option, optarg, &why)) {
            why = w->take(w->owner, option, optarg);
        }
        if (why != NULL) {
            const char letter[3] = {'-', (char)option, '\0'};
            char word[256];
            (void)snprintf(word, sizeof(word), "%s%s %s", index >= 0 ? "--" : "",
                           index >= 0 ? all[index].name : letter, optarg == NULL ? "" : optarg);
            return hf_words_mistake(w, word, why);
        }
        index = -1;
    }
    if (optind + 1 != argc) {
        return hf_words_mistake(w, "", optind == argc ? "which URL?" : "one URL at a time");
    }
    *url = argv[optind];
    return -1;
}

int hf_words_ready(const struct hf_words *w, const char *url)
{
    struct hf_buffer why;
    int status = -1;
    hf_buffer_init(&why, &hf_heap, 65536);
    if (!hf_target_ready(w->target, url, &why)) {
        hf_buffer_add_byte(&why, 0);
        status = hf_words_mistake(w, "", why.failed ? "no memory" : (const char *)why.data);
    }
    hf_buffer_reset(&why);
    return status;
}

/* ---- values -------------------------------------------------------------------------------------
 */

const char *hf_words_time_or_zero(const char *value, hf_time *time)
{
    return hf_duration_parse(hf_slice_of(value), time)
               ? NULL
               : "a time has a unit, as in 500ms, 10s, 5m or 2h";
}

const char *hf_words_time(const char *value, hf_time *time)
{
    const char *why = hf_words_time_or_zero(value, time);
    return why == NULL && *time == 0 ? "a time that is not zero is meant" : why;
}

const char *hf_words_add(const char **texts, size_t *count, size_t max, const char *value)
{
    if (*count == max) {
        return "too many of them";
    }
    texts[(*count)++] = value;
    return NULL;
}
