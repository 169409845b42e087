/* SPDX-License-Identifier: Apache-2.0 */
/* Heartbeat policy of one leg. The rules of the game are told in heartbeat.h. */
#include "policy/heartbeat.h"

#include "base/status.h"

/* Rounded up: a rule never gets shorter by its unit. */
static uint32_t rule_ms(hf_time rule)
{
    if (rule <= 0) {
        return 0;
    }
    if (rule > HF_HEARTBEAT_MAX) {
        rule = HF_HEARTBEAT_MAX;
    }
    return (uint32_t)((rule + 999) / 1000);
}

/* The peer's time is measured from this, so that less than a millisecond is never taken from it. */
static uint32_t ms_up(hf_time now)
{
    return (uint32_t)((now + 999) / 1000);
}

/* Milliseconds from mark to now; 0 when mark lies ahead. */
static uint32_t age_ms(uint32_t mark, hf_time now)
{
    uint32_t age = hf_heartbeat_ms(now) - mark;
    return age > INT32_MAX ? 0 : age;
}

static uint16_t draw_spread(const struct hf_heartbeat_rules *rules, struct hf_random *random)
{
    uint32_t percent = rules->jitter_percent > 50 ? 50 : rules->jitter_percent;
    if (percent == 0) {
        return 1000;
    }
    return (uint16_t)(1000 - hf_random_below(random, percent * 10 + 1));
}

/* This round's interval, 1 ms or more. */
static uint32_t round_ms(const struct hf_heartbeat *hb, const struct hf_heartbeat_rules *rules)
{
    uint32_t ms = (uint32_t)((uint64_t)rule_ms(rules->interval) * hb->spread_permille / 1000);
    return ms == 0 ? 1 : ms;
}

/* True while silence from the peer may end in LOST. */
static bool is_on_trial(const struct hf_heartbeat *hb, const struct hf_heartbeat_rules *rules)
{
    return hb->waiting && !hb->unread && rules->timeout > 0;
}

/* For how long the silence has lasted that makes a ping due. */
static uint32_t silence_ms(const struct hf_heartbeat *hb, hf_time now)
{
    uint32_t sent = age_ms(hb->sent_ms, now);
    if (hb->waiting || hb->unread) {
        return sent;
    }
    uint32_t heard = age_ms(hb->heard_ms, now);
    return heard > sent ? heard : sent;
}

void hf_heartbeat_init(struct hf_heartbeat *hb, const struct hf_heartbeat_rules *rules,
                       struct hf_random *random, hf_time now)
{
    *hb = (struct hf_heartbeat){
        .heard_ms = hf_heartbeat_ms(now),
        .sent_ms = hf_heartbeat_ms(now),
        .pinged_ms = ms_up(now),
        .rtt_us = UINT32_MAX,
        .spread_permille = draw_spread(rules, random),
    };
}

void hf_heartbeat_pinged(struct hf_heartbeat *hb, hf_time now)
{
    if (!hb->waiting) {
        hb->judged = false;
    }
    hb->waiting = true;
    hb->owed = false;
    hb->pinged_ms = ms_up(now);
    hb->sent_ms = hf_heartbeat_ms(now);
}

void hf_heartbeat_ponged(struct hf_heartbeat *hb, hf_time rtt)
{
    if (rtt < 0) {
        rtt = 0;
    }
    hb->rtt_us = rtt >= UINT32_MAX ? UINT32_MAX - 1 : (uint32_t)rtt;
}

void hf_heartbeat_reading(struct hf_heartbeat *hb, bool reading, hf_time now)
{
    if (reading && hb->unread) {
        hf_heartbeat_alive(hb, now);
    }
    hb->unread = !reading;
}

void hf_heartbeat_alive(struct hf_heartbeat *hb, hf_time now)
{
    hb->pinged_ms = ms_up(now);
    hb->judged = false;
}

hf_time hf_heartbeat_deadline(const struct hf_heartbeat *hb, const struct hf_heartbeat_rules *rules,
                              hf_time now)
{
    if (rules->interval <= 0) {
        return HF_NEVER;
    }
    if (hb->owed) {
        return now + HF_MS(HF_HEARTBEAT_RETRY_MS);
    }
    hf_time base = now - now % 1000; /* the start of the millisecond that the ages count from */
    uint32_t limit;
    uint32_t age;
    if (is_on_trial(hb, rules)) {
        limit = rule_ms(rules->timeout);
        /* The mark is rounded up and may be one ahead of this millisecond. */
        if (hb->pinged_ms == hf_heartbeat_ms(now) + 1) {
            limit++;
        }
        age = age_ms(hb->pinged_ms, now);
    } else {
        limit = round_ms(hb, rules);
        age = silence_ms(hb, now);
    }
    return age >= limit ? now : base + HF_MS(limit - age);
}

/* A mark ahead of now would silence the heartbeat for up to 25 days: it is moved to now. */
static void settle_marks(struct hf_heartbeat *hb, hf_time now)
{
    uint32_t now_ms = hf_heartbeat_ms(now);
    if (now_ms - hb->heard_ms > INT32_MAX) {
        hb->heard_ms = now_ms;
    }
    if (now_ms - hb->sent_ms > INT32_MAX) {
        hb->sent_ms = now_ms;
    }
    if (ms_up(now) - hb->pinged_ms > INT32_MAX) {
        hb->pinged_ms = ms_up(now);
    }
}

static enum hf_heartbeat_verdict
owe(struct hf_heartbeat *hb, const struct hf_heartbeat_rules *rules, struct hf_random *random)
{
    hb->owed = true;
    hb->spread_permille = draw_spread(rules, random);
    return HF_HEARTBEAT_PING;
}

enum hf_heartbeat_verdict hf_heartbeat_tick(struct hf_heartbeat *hb,
                                            const struct hf_heartbeat_rules *rules,
                                            struct hf_random *random, hf_time now)
{
    if (rules->interval <= 0) {
        hb->owed = false;
        return HF_HEARTBEAT_WAIT;
    }
    settle_marks(hb, now);
    if (hb->owed) {
        return HF_HEARTBEAT_PING;
    }
    if (!is_on_trial(hb, rules)) {
        return silence_ms(hb, now) >= round_ms(hb, rules) ? owe(hb, rules, random)
                                                          : HF_HEARTBEAT_WAIT;
    }
    uint32_t age = age_ms(hb->pinged_ms, now);
    uint32_t limit = rule_ms(rules->timeout);
    if (age < limit) {
        return HF_HEARTBEAT_WAIT;
    }
    bool late = age - limit > HF_HEARTBEAT_LATE_MS && !hb->judged;
    hb->judged = true;
    return late ? owe(hb, rules, random) : HF_HEARTBEAT_LOST;
}
