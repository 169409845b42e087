/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks and counters of toxics: see activity.h. */
#include "chaos/activity.h"

#include "base/random.h"

hf_time hf_chaos_jitter(hf_time base, hf_time jitter, double draw)
{
    hf_time value = base + (hf_time)((double)jitter * draw);
    return value < 0 ? 0 : value;
}

/* ---- idle timers ------------------------------------------------------------------------------
 */

void hf_idle_start(struct hf_idle *idle, hf_time now)
{
    idle->heard[HF_WAY_UP] = now;
    idle->heard[HF_WAY_DOWN] = now;
}

void hf_idle_note(struct hf_idle *idle, int64_t counts, enum hf_way way, int64_t kinds, hf_time now)
{
    if ((kinds & counts) != 0) {
        idle->heard[way] = now;
    }
}

hf_time hf_idle_deadline(const struct hf_idle *idle, int64_t direction, hf_time timeout)
{
    hf_time up = idle->heard[HF_WAY_UP];
    hf_time down = idle->heard[HF_WAY_DOWN];
    if (timeout == 0) {
        return HF_NEVER;
    }
    switch ((enum hf_direction)direction) {
    case HF_DIRECTION_BOTH:
        return (up > down ? up : down) + timeout;
    case HF_DIRECTION_UP:
        return up + timeout;
    case HF_DIRECTION_DOWN:
        return down + timeout;
    case HF_DIRECTION_EACH:
        break;
    }
    return (up < down ? up : down) + timeout;
}

/* ---- message counters -------------------------------------------------------------------------
 */

void hf_quota_init(struct hf_quota *q, const struct hf_allocator *alloc)
{
    *q = (struct hf_quota){.alloc = alloc};
    hf_rate_init(&q->bucket);
}

void hf_quota_fini(struct hf_quota *q)
{
    hf_release(q->alloc, q->times);
    q->times = NULL;
    q->times_size = 0;
}

static hf_time take_fixed(struct hf_quota *q, const struct hf_quota_rules *rules, hf_time now)
{
    if (!q->started) {
        q->started = true;
        q->begun = now;
    } else if (rules->window > 0 && now - q->begun >= rules->window) {
        q->begun += (now - q->begun) / rules->window * rules->window;
        q->count = 0;
    }
    if (q->count < rules->messages) {
        q->count++;
        return 0;
    }
    return rules->window == 0 ? HF_NEVER : q->begun + rules->window - now;
}

static hf_time take_sliding(struct hf_quota *q, const struct hf_quota_rules *rules, hf_time now)
{
    if (q->times_size != rules->messages) { /* at first, or after the rules have changed */
        hf_time *times = hf_alloc_zero(q->alloc, rules->messages * sizeof(*times));
        if (times == NULL) {
            return 0;
        }
        hf_release(q->alloc, q->times);
        q->times = times;
        q->times_size = rules->messages;
        q->count = 0;
    }
    hf_time *oldest = &q->times[q->count % q->times_size];
    if (q->count >= q->times_size && now - *oldest < rules->window) {
        return *oldest + rules->window - now;
    }
    *oldest = now;
    q->count++;
    return 0;
}

hf_time hf_quota_take(struct hf_quota *q, const struct hf_quota_rules *rules, hf_time now)
{
    q->total++;
    if (rules->messages == 0) {
        return 0;
    }
    if (rules->window == 0 || rules->kind == HF_WINDOW_FIXED) {
        return take_fixed(q, rules, now);
    }
    if (rules->kind == HF_WINDOW_SLIDING) {
        return take_sliding(q, rules, now);
    }
    const struct hf_rate_rules bucket = {
        .count = rules->messages, .period = rules->window, .burst = rules->messages};
    return hf_rate_charge(&q->bucket, &bucket, 1, now);
}

/* ---- a server's watchdog ----------------------------------------------------------------------
 */

void hf_watch_start(struct hf_watch *w, hf_time first)
{
    *w = (struct hf_watch){.next_ping = first, .lost_at = HF_NEVER};
}

static bool is_answer(enum hf_watch_answer wanted, enum hf_watch_heard what)
{
    switch (wanted) {
    case HF_WATCH_MATCHING:
        return what == HF_HEARD_MATCHING_PONG;
    case HF_WATCH_PONG:
        return what == HF_HEARD_MATCHING_PONG || what == HF_HEARD_PONG;
    case HF_WATCH_MESSAGE:
        return what == HF_HEARD_MESSAGE;
    case HF_WATCH_ANY:
        break;
    }
    return true;
}

void hf_watch_hear(struct hf_watch *w, const struct hf_watch_rules *rules, enum hf_watch_heard what,
                   hf_time now)
{
    bool suppresses = rules->suppress == HF_SUPPRESS_BYTES ||
                      (rules->suppress == HF_SUPPRESS_MESSAGES && what == HF_HEARD_MESSAGE);
    if (suppresses) {
        w->next_ping = now + rules->interval;
    }
    if (suppresses || is_answer(rules->answer, what)) {
        w->lost_at = HF_NEVER;
    }
}

enum hf_watch_verdict hf_watch_tick(struct hf_watch *w, const struct hf_watch_rules *rules,
                                    hf_time now)
{
    if (now >= w->lost_at) {
        return HF_WATCH_LOST;
    }
    if (now < w->next_ping) {
        return HF_WATCH_WAIT;
    }
    if (w->lost_at == HF_NEVER) {
        w->lost_at = w->next_ping + rules->timeout;
    }
    w->next_ping += rules->interval;
    if (w->next_ping <= now) { /* a loop that was late does not send several at once */
        w->next_ping = now + rules->interval;
    }
    return HF_WATCH_SEND;
}

hf_time hf_watch_deadline(const struct hf_watch *w)
{
    return w->lost_at < w->next_ping ? w->lost_at : w->next_ping;
}

/* ---- things that happen by the box's clock ----------------------------------------------------
 */

/* The n-th instant, from 0. */
static hf_time instant(const struct hf_beat *b, int64_t n)
{
    hf_time late = 0;
    if (b->jitter > 0) {
        struct hf_random random;
        hf_random_init(&random, b->seed + (uint64_t)n);
        late = (hf_time)hf_random_below(&random, (uint64_t)b->jitter + 1);
    }
    return b->epoch + (b->offset > 0 ? b->offset : b->period) + n * b->period + late;
}

/* With a jitter above the period instants may change places; then some are passed over. */
static int64_t first_after(const struct hf_beat *b, hf_time now)
{
    hf_time first = b->epoch + (b->offset > 0 ? b->offset : b->period);
    int64_t n = now < first ? 0 : (now - first) / b->period - b->jitter / b->period - 1;
    for (n = n < 0 ? 0 : n; instant(b, n) <= now; n++) {
    }
    return n;
}

hf_time hf_beat_next(const struct hf_beat *b, hf_time now)
{
    return instant(b, first_after(b, now));
}

hf_time hf_beat_last(const struct hf_beat *b, hf_time now)
{
    int64_t n = first_after(b, now);
    return n == 0 ? HF_NEVER : instant(b, n - 1);
}
