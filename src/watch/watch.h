/* SPDX-License-Identifier: Apache-2.0 */
/* The watch: holds connections to targets day and night, judges how they end, remembers it, tells
 * of what is wrong, and shows it all on a page. Every call on the loop's thread. */
#ifndef HF_WATCH_WATCH_H
#define HF_WATCH_WATCH_H

#include "watch/settings.h"

struct hf_watch;

struct hf_watch_how {
    struct hf_loop *loop;
    struct hf_log *log;
    struct hf_watch_settings *settings; /* taken over */
    uint64_t seed;
    /* A line of JSON for each ending, alert and check; without newline. May be NULL. */
    void (*line)(void *owner, struct hf_slice line);
    void *owner;
};

/* Opens everything and starts to connect. On failure *watch is NULL, the settings are freed, and
 * why says what could not be. */
HF_MUST_USE enum hf_status hf_watch_new(const struct hf_watch_how *how, struct hf_watch **watch,
                                        struct hf_buffer *why);
/* Where the pages are served; len 0: nowhere. */
void hf_watch_address(const struct hf_watch *watch, struct hf_address *address);
/* Takes the settings over: targets that are the same go on undisturbed, others end or begin. What
 * changes with a restart only (listen, token, hosts, database) is said in the log. */
void hf_watch_reload(struct hf_watch *watch, struct hf_watch_settings *settings);
/* Holds alerts back, of one target (NULL: of all), from now on for so long; 0 ends it. False: there
 * is no such target. */
bool hf_watch_quiet(struct hf_watch *watch, const char *target, hf_time time);
/* The same of all, for `quiet_signal`. */
void hf_watch_quiet_by_signal(struct hf_watch *watch);
/* Ends all connections politely; hf_watch_is_idle is true when they are over. */
void hf_watch_stop(struct hf_watch *watch);
bool hf_watch_is_idle(const struct hf_watch *watch);
/* Delivers what waits (at most 5 s) and writes the history. NULL is accepted. */
void hf_watch_free(struct hf_watch *watch);

#endif
