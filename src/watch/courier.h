/* SPDX-License-Identifier: Apache-2.0 */
/* The courier carries alerts to their channels, on a thread of its own: a slow webhook or a command
 * that hangs never holds up the watch, nor another channel. Each channel has its own queue, in
 * order, one attempt at a time, with a time limit, retries with backoff, and an end to them. */
#ifndef HF_WATCH_COURIER_H
#define HF_WATCH_COURIER_H

#include "watch/alert.h"
#include "watch/settings.h"

#define HF_COURIER_WAITING_MAX 1000 /* alerts of one channel; beyond them the oldest are lost */

struct hf_courier;

struct hf_courier_state { /* of one channel */
    uint64_t delivered;
    uint64_t failed; /* attempts */
    uint64_t lost;   /* alerts that were given up, or found no room */
    size_t waiting;  /* also the one that is on its way */
    char error[200]; /* of the newest attempt; "" when it went well */
};

/* The channels outlive the courier. NULL: no memory or no thread. */
struct hf_courier *hf_courier_new(const struct hf_watch_channel_settings *channels, size_t count);
/* Takes it to the channels that want its kind and notice, of those that are named (NULL-terminated;
 * NULL or empty: all). Copies what it needs and returns at once. */
void hf_courier_send(struct hf_courier *c, const struct hf_alert *a, char *const *names);
/* The same for Alertmanagers alone, which forget what is not said again. */
void hf_courier_refresh(struct hf_courier *c, const struct hf_alert *a, char *const *names);
void hf_courier_look(struct hf_courier *c, size_t channel, struct hf_courier_state *state);
/* Takes nothing more and ends by itself once all queues are empty, at the latest after `within`. */
void hf_courier_retire(struct hf_courier *c, hf_time within);
bool hf_courier_is_done(struct hf_courier *c);
/* Waits until it is done (call hf_courier_retire before). NULL is accepted. */
void hf_courier_free(struct hf_courier *c);

#endif
