/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of keys of the watch's configuration. */
#ifndef HF_WATCH_KEYS_H
#define HF_WATCH_KEYS_H

#include "watch/settings.h"

enum hf_watch_type {
    HF_WATCH_BOOL,     /* bool */
    HF_WATCH_COUNT,    /* uint32_t */
    HF_WATCH_DURATION, /* hf_time; with `never`, also the word never: HF_NEVER */
    HF_WATCH_TEXT,     /* char *; NULL when empty */
    HF_WATCH_VARIABLE, /* char *: the name of an environment variable whose value is taken */
    HF_WATCH_TEXTS,    /* struct hf_watch_texts */
    HF_WATCH_CODES,    /* struct hf_watch_codes */
    HF_WATCH_RATE,     /* struct hf_incident_rate */
    HF_WATCH_WINDOWS,  /* struct hf_watch_windows */
    HF_WATCH_ADDRESS,  /* struct hf_address */
    HF_WATCH_WORD,     /* int or enum: one of `words` */
    HF_WATCH_KINDS,    /* uint32_t: a set of `words` */
    HF_WATCH_OPTION, /* an option of the target: a text, a list where it may repeat, or yes or no */
    HF_WATCH_LIST,   /* targets and channels */
};

enum hf_watch_scope {
    HF_WATCH_TOP,       /* the offset is into struct hf_watch_settings */
    HF_WATCH_INHERITED, /* top level and targets; into struct hf_watch_target_settings */
    HF_WATCH_TARGET,
    HF_WATCH_CHANNEL, /* into struct hf_watch_channel_settings */
    HF_WATCH_SCOPES,
};

struct hf_watch_choice {
    const char *word; /* NULL at the end */
    int value;
};

struct hf_watch_key {
    const char *name;
    enum hf_watch_type type;
    enum hf_watch_scope scope;
    size_t offset;
    const char *fallback; /* the default as text, lists with commas; NULL: none */
    const char *sentence; /* no full stop at its end */
    uint64_t min, max;    /* of numbers, and of durations in microseconds; max 0: any */
    bool zero;            /* 0 is allowed too */
    bool never;
    bool secret;        /* never shown */
    bool is_flag;       /* --name-with-dashes too */
    const char *option; /* of HF_WATCH_OPTION: the long option */
    bool is_switch;     /* the option has no value: the key is yes or no */
    const struct hf_watch_choice *words;
};

extern const struct hf_watch_key hf_watch_keys[];
extern const size_t hf_watch_key_count;
#define HF_WATCH_KEYS_MAX 80

/* The row, NULL when there is none. A channel's keys are names of their own. */
const struct hf_watch_key *hf_watch_key_find(struct hf_slice name, bool channel);
/* "a duration such as 250ms, 5m or 2h, 1s to 1d" */
void hf_watch_key_allowed(const struct hf_watch_key *key, char text[256]);

#endif
