/* SPDX-License-Identifier: Apache-2.0 */
/* What `holdfast watch` was told: the file and the words of the command line, checked and merged.
 *
 * One table in keys.c holds each key once: its name, type, range, default and a sentence; the
 * parser, the flags, --check, docs/watch.md and the manual page are made from it. Keys that targets
 * inherit may stand at the top level (for all targets) and in a target (for it alone); the command
 * line wins over both. */
#ifndef HF_WATCH_SETTINGS_H
#define HF_WATCH_SETTINGS_H

#include "base/buffer.h"
#include "base/log.h"
#include "io/io.h"
#include "probe/target.h"
#include "watch/incident.h"
#include "watch/quiet.h"

#define HF_WATCH_TARGETS_MAX 256
#define HF_WATCH_CHANNELS_MAX 32
#define HF_WATCH_CODES_MAX 16

struct hf_watch_texts {
    char **items; /* NULL at the end */
    size_t count;
};

struct hf_watch_codes {
    uint16_t codes[HF_WATCH_CODES_MAX];
    size_t count;
};

struct hf_watch_windows {
    struct hf_quiet_window *items;
    size_t count;
};

/* One target. Immutable once loaded. Names of the keys are those of the fields. */
struct hf_watch_target_settings {
    char *name; /* unique; default: the URL without its query */
    char *url;
    char *print;             /* all its keys as text: two targets with the same are the same */
    struct hf_target target; /* where it connects to */

    uint32_t connections; /* held at once */
    hf_time ping_every, message_every;
    char *message;
    struct hf_watch_texts say;
    hf_time answer_timeout;
    hf_time renew; /* a held connection is ended by us after so long; 0: never */
    hf_time check_every;
    hf_time backoff_max;

    hf_time min_hold; /* HF_NEVER: every drop is premature */
    hf_time max_rtt, max_connect;
    uint32_t certificate_days;
    struct hf_watch_codes expected_codes, deploy_codes;
    hf_time deploy_hold;
    struct hf_incident_rate deploy_max, drop_for, connect_for, slow_for;
    hf_time recover, repeat;
    struct hf_watch_windows quiet;
    struct hf_watch_texts channels; /* names; empty: all */
};
/* NULL is accepted. */
void hf_watch_target_settings_free(struct hf_watch_target_settings *t);

enum hf_channel_type {
    HF_CHANNEL_JSON,
    HF_CHANNEL_SLACK,
    HF_CHANNEL_ALERTMANAGER,
    HF_CHANNEL_COMMAND,
};

struct hf_watch_channel_settings {
    char *name;
    enum hf_channel_type type;
    char *url;
    struct hf_watch_texts command; /* the program and its words */
    struct hf_watch_texts headers; /* "Name: value" */
    char *token;                   /* sent as Authorization: Bearer */
    char *cacert;
    hf_time timeout; /* for one attempt */
    uint32_t tries;
    hf_time retry_max; /* the longest wait between two */
    uint32_t kinds;    /* bits, 1 << enum hf_incident_kind */
    bool recovery, reminders;
    hf_time resend; /* Alertmanager: what is open is sent again so often */
};

struct hf_watch_settings {
    struct hf_address listen; /* len 0: none */
    char *token;
    struct hf_watch_texts hosts;
    char *database; /* NULL: no history */
    hf_time retention;
    hf_time quiet_signal;
    char *public_url; /* NULL: none */
    enum hf_log_level log_level;
    int log_format; /* enum hf_log_format, or -1: auto */
    char *log_file;
    struct hf_watch_target_settings *targets[HF_WATCH_TARGETS_MAX]; /* whoever takes one puts NULL
                                                                     * in its place */
    size_t target_count;
    struct hf_watch_channel_settings channels[HF_WATCH_CHANNELS_MAX];
    size_t channel_count;
};

struct hf_watch_word { /* of the command line */
    const char
        *name; /* the key's, or with is_target_option the long option's of hf_target_options */
    const char *value; /* NULL for an option without one */
    bool is_target_option;
};

struct hf_watch_input {
    const char *file; /* NULL: none */
    const char *const *urls;
    size_t url_count;
    const struct hf_watch_word *words;
    size_t word_count;
    const char *(*environment)(const char *name); /* getenv; for *_env keys */
};

/* On failure *settings is NULL and errors has a line for each mistake, `file:line:column: …`.
 * HF_INVALID: mistakes; HF_NOT_FOUND and HF_IO: the file cannot be read. */
HF_MUST_USE enum hf_status hf_watch_settings_load(const struct hf_watch_input *input,
                                                  struct hf_watch_settings **settings,
                                                  struct hf_buffer *errors);
/* The same from text; input->file is its name in messages. */
HF_MUST_USE enum hf_status hf_watch_settings_read(const struct hf_watch_input *input,
                                                  struct hf_slice text,
                                                  struct hf_watch_settings **settings,
                                                  struct hf_buffer *errors);
void hf_watch_settings_free(struct hf_watch_settings *settings);

/* docs/watch.md between its marks, from the table. */
void hf_watch_keys_document(struct hf_buffer *out);
/* The lines of --help for the keys that are flags too. */
void hf_watch_keys_help(struct hf_buffer *out);

#endif
