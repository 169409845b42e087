/* SPDX-License-Identifier: Apache-2.0 */
/* The timer wheel. Level l has slots of 64^l ticks; a timer lies on the lowest level whose 64 slots
 * reach it, and moves down when the wheel comes to its slot. A timer beyond the top level is parked
 * in the last slot the top level has and placed again from there.
 *
 * Invariant: a slot's bit is set exactly when its list is not empty; every timer on a slot lies
 * after `tick`. */
#include "io/wheel.h"

#include "base/status.h"

#define BITS 6
#define MASK (HF_WHEEL_SLOTS - 1)
#define HORIZON ((int64_t)1 << (BITS * HF_WHEEL_LEVELS))

static int64_t tick_at_or_after(hf_time when)
{
    return when / 1000 + (when % 1000 > 0 ? 1 : 0);
}

static int64_t tick_at_or_before(hf_time now)
{
    return now / 1000 - (now % 1000 < 0 ? 1 : 0);
}

void hf_timer_init(struct hf_timer *t, void (*fire)(struct hf_timer *timer, hf_time now))
{
    hf_list_init(&t->node);
    t->when = 0;
    t->fire = fire;
}

void hf_wheel_init(struct hf_wheel *w, hf_time now)
{
    w->tick = tick_at_or_before(now);
    w->now = now;
    w->count = 0;
    hf_list_init(&w->due);
    for (int level = 0; level < HF_WHEEL_LEVELS; level++) {
        w->occupied[level] = 0;
        for (int slot = 0; slot < HF_WHEEL_SLOTS; slot++) {
            hf_list_init(&w->slots[level][slot]);
        }
    }
}

/* Takes the node off its list and clears the slot's bit when it was the last one there. */
static void take_off(struct hf_wheel *w, struct hf_list *node)
{
    struct hf_list *head = node->next;
    uintptr_t first = (uintptr_t)&w->slots[0][0];
    if (head == node->prev && (uintptr_t)head >= first &&
        (uintptr_t)head < first + sizeof(w->slots)) {
        size_t index = (size_t)((uintptr_t)head - first) / sizeof(struct hf_list);
        w->occupied[index / HF_WHEEL_SLOTS] &= ~((uint64_t)1 << (index % HF_WHEEL_SLOTS));
    }
    hf_list_remove(node);
}

/* Puts a timer that is on no list on its slot. */
static void place(struct hf_wheel *w, struct hf_timer *t)
{
    int64_t tick = tick_at_or_after(t->when);
    int64_t delta = tick - w->tick;
    if (delta >= HORIZON) {
        tick = w->tick + HORIZON - 1;
        delta = HORIZON - 1;
    }
    int level = delta < HF_WHEEL_SLOTS ? 0 : (63 - __builtin_clzll((uint64_t)delta)) / BITS;
    size_t slot = (size_t)(tick >> (BITS * level)) & MASK;
    hf_list_append(&w->slots[level][slot], &t->node);
    w->occupied[level] |= (uint64_t)1 << slot;
}

void hf_wheel_set(struct hf_wheel *w, struct hf_timer *t, hf_time when)
{
    hf_wheel_stop(w, t);
    t->when = when;
    w->count++;
    if (when <= w->now) {
        hf_list_append(&w->due, &t->node);
    } else {
        place(w, t);
    }
}

void hf_wheel_stop(struct hf_wheel *w, struct hf_timer *t)
{
    if (hf_timer_is_set(t)) {
        take_off(w, &t->node);
        w->count--;
    }
}

/* The first tick at which a slot must be fired or moved down; INT64_MAX when all are empty. */
static int64_t next_tick(const struct hf_wheel *w)
{
    int64_t first = INT64_MAX;
    for (int level = 0; level < HF_WHEEL_LEVELS; level++) {
        uint64_t bits = w->occupied[level];
        if (bits == 0) {
            continue;
        }
        int64_t position = w->tick >> (BITS * level);
        unsigned turn = (unsigned)(position + 1) & MASK;
        uint64_t ahead = turn == 0 ? bits : (bits >> turn) | (bits << (HF_WHEEL_SLOTS - turn));
        int64_t tick = (position + 1 + __builtin_ctzll(ahead)) << (BITS * level);
        first = tick < first ? tick : first;
    }
    return first;
}

/* Fires what was on the list when it was called. A timer's callback may stop others of it. */
static void fire_all(struct hf_wheel *w, struct hf_list *list, hf_time now)
{
    struct hf_list firing;
    hf_list_init(&firing);
    hf_list_splice(&firing, list);
    while (!hf_list_empty(&firing)) {
        struct hf_timer *t = HF_CONTAINER(firing.next, struct hf_timer, node);
        hf_list_remove(&t->node);
        w->count--;
        t->fire(t, now);
    }
}

/* The wheel stands at the first tick of a slot of this level: its timers find their place again. */
static void move_down(struct hf_wheel *w, int level)
{
    size_t slot = (size_t)(w->tick >> (BITS * level)) & MASK;
    struct hf_list moving;
    hf_list_init(&moving);
    hf_list_splice(&moving, &w->slots[level][slot]);
    w->occupied[level] &= ~((uint64_t)1 << slot);
    while (!hf_list_empty(&moving)) {
        struct hf_timer *t = HF_CONTAINER(moving.next, struct hf_timer, node);
        hf_list_remove(&t->node);
        place(w, t);
    }
}

void hf_wheel_advance(struct hf_wheel *w, hf_time now)
{
    if (now > w->now) {
        w->now = now;
    }
    int64_t target = tick_at_or_before(w->now);
    fire_all(w, &w->due, w->now);
    for (;;) {
        int64_t tick = next_tick(w);
        if (tick > target) {
            break;
        }
        w->tick = tick;
        for (int level = HF_WHEEL_LEVELS - 1; level > 0; level--) {
            if ((tick & (((int64_t)1 << (BITS * level)) - 1)) == 0) {
                move_down(w, level);
            }
        }
        size_t slot = (size_t)tick & MASK;
        w->occupied[0] &= ~((uint64_t)1 << slot);
        fire_all(w, &w->slots[0][slot], w->now);
    }
    w->tick = target;
}

hf_time hf_wheel_next(const struct hf_wheel *w)
{
    if (!hf_list_empty(&w->due)) {
        return w->now;
    }
    int64_t tick = next_tick(w);
    return tick >= HF_NEVER / 1000 ? HF_NEVER : tick * 1000;
}
