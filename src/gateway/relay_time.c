/* SPDX-License-Identifier: Apache-2.0 */
/* What time brings to a relay: heartbeats, sides that take nothing, delayed messages, expiry,
 * goodbyes.
 *
 * One timer for each relay. It is set for the earliest thing that can happen and is not moved by
 * messages: when it fires too early it is set again, so a busy connection pays for time about once
 * a heartbeat. */
#include "gateway/relay.h"

#include <errno.h>

/* A leg that is not read does not tell its end: it is looked for so often. */
#define HELD_LOOK HF_SECONDS(1)

static uint32_t now_ms(const struct hf_relay *r)
{
    return hf_heartbeat_ms(hf_relay_now(r));
}
/* Milliseconds from now until `when`, negative when it is past; 32-bit times wrap. */
static int32_t until(const struct hf_relay *r, uint32_t when)
{
    return (int32_t)(when - now_ms(r));
}

static const struct hf_heartbeat_rules *beat_rules(const struct hf_relay *r,
                                                   const struct hf_leg *leg)
{
    return leg->is_client ? &r->route->client_beat : &r->route->backend_beat;
}

/* How long a leg may take nothing: at half the time its progress is looked at, at the end it is
 * judged by it. */
static int32_t stuck_limit(const struct hf_relay *r, const struct hf_leg *leg)
{
    int32_t limit = (int32_t)(r->route->config->send_timeout / 1000);
    return leg->looked ? limit : limit / 2;
}

static hf_time earlier(hf_time a, hf_time b)
{
    return a < b ? a : b;
}

static hf_time leg_deadline(const struct hf_relay *r, const struct hf_leg *leg)
{
    hf_time now = hf_relay_now(r);
    if (leg->stream == NULL) {
        return HF_NEVER; /* the backend of a client that is held */
    }
    hf_time when = hf_heartbeat_deadline(&leg->beat, beat_rules(r, leg), now);
    if (leg->hold != 0) {
        when = earlier(when, now + HELD_LOOK);
    }
    if ((leg->hold & HF_HOLD_RATE) != 0) {
        int32_t left = until(r, leg->wake_ms);
        when = earlier(when, now + HF_MS(left < 0 ? 0 : left));
    }
    if (leg->beat.waiting) {
        /* A ping is out. Its answer ends the wait but does not move the timer, so the next round is
         * looked for too: the timeout may be longer than the interval. */
        const struct hf_heartbeat_rules *rules = beat_rules(r, leg);
        when = earlier(when, now + rules->interval * (100 - rules->jitter_percent) / 100);
    }
    if (leg->blocked) {
        int32_t left = until(r, leg->stuck_ms) + stuck_limit(r, leg);
        when = earlier(when, now + HF_MS(left < 1 ? 1 : left));
    }
    return when;
}

void hf_relay_schedule(struct hf_relay *r)
{
    if (!r->open) {
        return; /* the timer already says when closing ends */
    }
    hf_time now = hf_relay_now(r);
    hf_time when = earlier(leg_deadline(r, &r->client), leg_deadline(r, &r->backend));
    if (r->held != NULL) {
        when = earlier(when, hf_held_deadline(r));
    }
    if (r->draining) {
        int32_t left = until(r, r->drain_ms);
        when = earlier(when, now + HF_MS(left < 0 ? 0 : left));
    }
    if (r->identity->expires != INT64_MAX) {
        /* The wall clock may jump: looked at again at least once a minute. */
        hf_wall left = r->identity->expires - r->worker->loop->wall;
        hf_wall ms = left < 1 ? 1 : left > 60000 ? 60000 : left;
        when = earlier(when, now + HF_MS(ms));
    }
    if (when == HF_NEVER) {
        hf_timer_stop(r->worker->loop, &r->timer);
    } else {
        hf_timer_set(r->worker->loop, &r->timer, when);
    }
}

void hf_relay_drain(struct hf_relay *r, hf_time when)
{
    r->draining = true;
    r->drain_ms = hf_heartbeat_ms(when);
    hf_relay_schedule(r);
}

void hf_relay_blocked(struct hf_relay *r, struct hf_leg *leg)
{
    leg->blocked = true;
    leg->stuck_ms = now_ms(r);
    leg->looked = false;
    /* A flood blocks often: the timer is moved only when it would come too late. */
    if (!hf_timer_is_set(&r->timer) || r->timer.when > hf_relay_now(r) + HELD_LOOK) {
        hf_relay_schedule(r);
    }
}

/* Looks how much the peer's TCP has acknowledged; true when that grew since the last look. */
static bool took_bytes(struct hf_leg *leg, uint64_t unacked)
{
    uint32_t acked = leg->given - (uint32_t)unacked;
    bool grew = (int32_t)(acked - leg->acked) > 0;
    leg->acked = acked;
    leg->looked = true;
    return grew;
}

/* Bytes: a ping behind more than that needs time before the peer can see it. */
#define LONG_QUEUE 4096

void hf_relay_pinged(struct hf_relay *r, struct hf_leg *leg)
{
    uint64_t unacked = hf_stream_unacked(leg->stream);
    leg->pinging = false;
    leg->acked = leg->given - (uint32_t)unacked;
    leg->ping_at = unacked > LONG_QUEUE ? leg->given : leg->acked;
    hf_heartbeat_pinged(&leg->beat, hf_relay_now(r));
    hf_relay_schedule(r);
}

/* Before a leg is judged lost: it lives when what it sent was not read yet, or when the ping stood
 * behind a long queue and its TCP has taken more of that queue since the last look (the look that
 * sees the ping taken grants a full time too). */
static bool shows_life(struct hf_leg *leg)
{
    struct hf_progress progress = {0};
    bool behind = (int32_t)(leg->acked - leg->ping_at) < 0;
    hf_stream_progress(leg->stream, &progress);
    bool took = took_bytes(leg, progress.unacked);
    return progress.unread > leg->left || (behind && took);
}

static void send_ping(struct hf_relay *r, struct hf_leg *leg)
{
    hf_time now = hf_relay_now(r);
    uint8_t payload[sizeof(now)];
    if (leg->pinging) {
        return; /* one waits already */
    }
    memcpy(payload, &now, sizeof(now));
    hf_count(r->worker, leg->is_client ? HF_COUNT_pings_sent_client : HF_COUNT_pings_sent_backend,
             1);
    leg->pinging = true;
    if (!hf_leg_control(r, leg, HF_OP_PING, hf_slice(payload, sizeof(payload)))) {
        leg->pinging = false; /* no memory now: the next tick asks again */
    } else if (leg->pending == NULL) {
        hf_relay_pinged(r, leg);
    }
}

static void tick_heartbeat(struct hf_relay *r, struct hf_leg *leg)
{
    hf_time now = hf_relay_now(r);
    if (leg->stream == NULL) {
        return;
    }
    switch (hf_heartbeat_tick(&leg->beat, beat_rules(r, leg), &r->worker->random, now)) {
    case HF_HEARTBEAT_PING:
        send_ping(r, leg);
        break;
    case HF_HEARTBEAT_LOST:
        if (shows_life(leg)) {
            hf_heartbeat_alive(&leg->beat, now);
        } else {
            hf_relay_end(r,
                         leg->is_client ? HF_CAUSE_CLIENT_HEARTBEAT : HF_CAUSE_BACKEND_HEARTBEAT);
        }
        break;
    case HF_HEARTBEAT_WAIT:
    default:
        break;
    }
}

static void tick_stuck(struct hf_relay *r, struct hf_leg *leg)
{
    if (!r->open || !leg->blocked || until(r, leg->stuck_ms) + stuck_limit(r, leg) > 0) {
        return;
    }
    bool judged = leg->looked;
    if (took_bytes(leg, hf_stream_unacked(leg->stream))) {
        leg->stuck_ms = now_ms(r);
    } else if (judged) {
        hf_relay_end(r, leg->is_client ? HF_CAUSE_CLIENT_STUCK : HF_CAUSE_BACKEND_STUCK);
    }
}

static void look_at_held(struct hf_relay *r, struct hf_leg *leg)
{
    struct hf_progress progress = {0};
    if (!r->open || leg->hold == 0) {
        return;
    }
    hf_stream_progress(leg->stream, &progress);
    if (progress.dead) {
        hf_relay_peer_gone(
            r, leg, &(struct hf_end){.kind = HF_END_RST, .error = ECONNRESET, .detail = "reset"});
    }
}

static void tick_hold(struct hf_relay *r, struct hf_leg *leg)
{
    if ((leg->hold & HF_HOLD_RATE) != 0 && until(r, leg->wake_ms) <= 0) {
        hf_leg_unhold(r, leg, HF_HOLD_RATE);
    }
}

static void tick_open(struct hf_relay *r)
{
    if (r->draining && until(r, r->drain_ms) <= 0) {
        hf_relay_end(r, HF_CAUSE_DRAIN);
        return;
    }
    if (r->worker->loop->wall >= r->identity->expires) {
        hf_relay_end(r, HF_CAUSE_TOKEN_EXPIRED);
        return;
    }
    tick_hold(r, &r->client);
    tick_hold(r, &r->backend);
    look_at_held(r, &r->client);
    look_at_held(r, &r->backend);
    if (r->open && r->held != NULL) {
        hf_held_tick(r);
    }
    tick_stuck(r, &r->client);
    tick_stuck(r, &r->backend);
    if (r->open) {
        tick_heartbeat(r, &r->client);
    }
    if (r->open) {
        tick_heartbeat(r, &r->backend);
    }
    hf_relay_schedule(r);
}

void hf_relay_fire(struct hf_timer *timer, hf_time now)
{
    struct hf_relay *r = HF_CONTAINER(timer, struct hf_relay, timer);
    if (r->open) {
        tick_open(r);
    } else {
        hf_relay_free(r); /* its 2 s are over, or both legs are gone */
    }
}
