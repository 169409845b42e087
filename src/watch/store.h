/* SPDX-License-Identifier: Apache-2.0 */
/* The history in an SQLite file. A thread of its own writes it, so that a slow or full disk, or a
 * file that somebody locks, never holds up the watch: what cannot be written waits, bounded, and is
 * written when the file can be written again. A watch without history is still a watch. */
#ifndef HF_WATCH_STORE_H
#define HF_WATCH_STORE_H

#include "watch/record.h"

#define HF_STORE_WAITING_MAX 20000 /* rows; beyond them the oldest are lost */

struct hf_store;

struct hf_store_state {
    bool works;
    char message[256]; /* why not, and what to do; "" when it works */
    size_t waiting;    /* rows that are not written yet */
    uint64_t written;
    uint64_t lost;
};

/* Opens or makes the file. NULL: no memory or thread. When the file cannot be used the store is
 * there all the same, says why in its state, and tries again. */
struct hf_store *hf_store_open(const char *path, hf_time retention);
/* What the file knows of the target: minutes of the last week, newest endings, incidents. Before
 * hf_store_start only. */
void hf_store_load(struct hf_store *s, const char *target, hf_wall now, struct hf_record *r);
/* Starts the thread. False: it could not be started. */
bool hf_store_start(struct hf_store *s);

/* Each copies what it needs and returns at once. */
void hf_store_minute(struct hf_store *s, const char *target, const struct hf_record_minute *m);
void hf_store_ending(struct hf_store *s, const char *target, const struct hf_record_ending *e);
/* Written over what was written with the same id. */
void hf_store_incident(struct hf_store *s, const char *target, const struct hf_record_incident *i);

void hf_store_look(struct hf_store *s, struct hf_store_state *state);
/* Writes what waits, for at most 3 s, and frees. NULL is accepted. */
void hf_store_close(struct hf_store *s);

#endif
