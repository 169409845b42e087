/* SPDX-License-Identifier: Apache-2.0 */
/* A hierarchical timer wheel: setting, moving and stopping a timer cost the same whether there are
 * ten or a million. Pure: time is an argument. Resolution 1 ms. */
#ifndef HF_IO_WHEEL_H
#define HF_IO_WHEEL_H

#include "base/list.h"
#include "base/time.h"

#define HF_WHEEL_LEVELS 5
#define HF_WHEEL_SLOTS 64

/* Embedded in its owner; fire gets the timer and finds the owner with HF_CONTAINER. */
struct hf_timer {
    struct hf_list node; /* on a slot while set, on nothing otherwise */
    hf_time when;
    void (*fire)(struct hf_timer *timer, hf_time now);
};

struct hf_wheel {
    int64_t tick;                       /* milliseconds: everything up to it has fired */
    hf_time now;                        /* of the last advance */
    size_t count;                       /* timers that are set */
    uint64_t occupied[HF_WHEEL_LEVELS]; /* a bit for each slot that is not empty */
    struct hf_list due;                 /* set for a time that was past already */
    struct hf_list slots[HF_WHEEL_LEVELS][HF_WHEEL_SLOTS];
};

void hf_timer_init(struct hf_timer *t, void (*fire)(struct hf_timer *timer, hf_time now));
static inline bool hf_timer_is_set(const struct hf_timer *t)
{
    return !hf_list_empty(&t->node);
}

void hf_wheel_init(struct hf_wheel *w, hf_time now);
/* A time that is past fires on the next advance, not inside this call. */
void hf_wheel_set(struct hf_wheel *w, struct hf_timer *t, hf_time when);
void hf_wheel_stop(struct hf_wheel *w, struct hf_timer *t);
/* Fires what is due: first what was past when it was set, then the rest in the order of the ticks.
 * Timers may be set and stopped while it runs; one set for the present tick or before fires on the
 * next call. */
void hf_wheel_advance(struct hf_wheel *w, hf_time now);
/* No timer fires before it (it may be early, never late); HF_NEVER when none is set. */
hf_time hf_wheel_next(const struct hf_wheel *w);

#endif
