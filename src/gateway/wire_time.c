/* SPDX-License-Identifier: Apache-2.0 */
/* What time brings to a wire, and how it ends: see wire.h.
 *
 * One timer. While it is open it stands for the earliest of heartbeat, a side that takes nothing
 * and a budget; while it closes, for the end of the wait. */
#include "gateway/wire.h"

#include <errno.h>
#include <stdlib.h>

/* A wire that is not read does not tell its end: it is looked for so often. */
#define HELD_LOOK HF_SECONDS(1)
/* Bytes: a ping behind more than that needs time before the peer can see it. */
#define LONG_QUEUE 4096

static uint32_t now_ms(const struct hf_wire *w)
{
    return hf_heartbeat_ms(hf_wire_now(w));
}

static int32_t until(const struct hf_wire *w, uint32_t when)
{
    return (int32_t)(when - now_ms(w));
}

/* At half its time a side that takes nothing is looked at, at the end it is judged. */
static int32_t stuck_limit(const struct hf_wire *w)
{
    int32_t limit = (int32_t)(w->route->config->send_timeout / 1000);
    return w->looked ? limit : limit / 2;
}

static hf_time earlier(hf_time a, hf_time b)
{
    return a < b ? a : b;
}

void hf_wire_schedule(struct hf_wire *w)
{
    hf_time now = hf_wire_now(w);
    if (w->state != HF_WIRE_OPEN || w->failed) {
        return; /* the timer is set already */
    }
    hf_time when = hf_heartbeat_deadline(&w->beat, hf_wire_beat_rules(w), now);
    if (w->hold != 0) {
        when = earlier(when, now + HELD_LOOK);
    }
    if ((w->hold & HF_WIRE_HOLD_BUDGET) != 0) {
        int32_t left = until(w, w->wake_ms);
        when = earlier(when, now + HF_MS(left < 0 ? 0 : left));
    }
    if (w->beat.waiting) {
        when = earlier(when, now + hf_wire_beat_rules(w)->interval *
                                       (100 - hf_wire_beat_rules(w)->jitter_percent) / 100);
    }
    if (w->out != NULL) {
        int32_t left = until(w, w->stuck_ms) + stuck_limit(w);
        when = earlier(when, now + HF_MS(left < 1 ? 1 : left));
    }
    if (when == HF_NEVER) {
        hf_timer_stop(w->worker->loop, &w->timer);
    } else {
        hf_timer_set(w->worker->loop, &w->timer, when);
    }
}

/* ---- heartbeats and stuck sides ----------------------------------------------------------------
 */

static bool took_bytes(struct hf_wire *w, uint64_t unacked)
{
    uint32_t acked = w->given - (uint32_t)unacked;
    bool grew = (int32_t)(acked - w->acked) > 0;
    w->acked = acked;
    w->looked = true;
    return grew;
}

void hf_wire_pinged(struct hf_wire *w)
{
    uint64_t unacked = hf_stream_unacked(w->stream);
    w->pinging = false;
    w->acked = w->given - (uint32_t)unacked;
    w->ping_at = unacked > LONG_QUEUE ? w->given : w->acked;
    hf_heartbeat_pinged(&w->beat, hf_wire_now(w));
    if (w->ops->beat != NULL) {
        w->ops->beat(w, false);
    }
}

/* Before it is judged lost: it lives when what it sent was not read yet, or when the ping stood
 * behind a long queue of which its TCP has taken more since the last look. */
static bool shows_life(struct hf_wire *w)
{
    struct hf_progress progress = {0};
    bool behind = (int32_t)(w->acked - w->ping_at) < 0;
    hf_stream_progress(w->stream, &progress);
    bool took = took_bytes(w, progress.unacked);
    return progress.unread > w->left || (behind && took);
}

static void send_ping(struct hf_wire *w)
{
    hf_time now = hf_wire_now(w);
    uint8_t payload[sizeof(now)];
    if (w->pinging) {
        return; /* one waits already */
    }
    memcpy(payload, &now, sizeof(now));
    hf_count(w->worker, w->is_client ? HF_COUNT_pings_sent_client : HF_COUNT_pings_sent_backend, 1);
    w->pinging = true;
    hf_wire_control(w, HF_OP_PING, hf_slice(payload, sizeof(payload)));
    if (w->out == NULL && !w->failed) {
        hf_wire_pinged(w);
    }
}

void hf_wire_probe(struct hf_wire *w, uint64_t mark)
{
    uint8_t payload[HF_WIRE_PROBE];
    hf_time now = hf_wire_now(w);
    memcpy(payload, &now, sizeof(now));
    memcpy(payload + sizeof(now), &mark, sizeof(mark));
    hf_count(w->worker, w->is_client ? HF_COUNT_pings_sent_client : HF_COUNT_pings_sent_backend, 1);
    hf_wire_control(w, HF_OP_PING, hf_slice(payload, sizeof(payload)));
}

static void lose(struct hf_wire *w, enum hf_cause cause, int error)
{
    hf_wire_drop_stream(w, true);
    w->ops->lost(w, cause, error);
}

/* True when it is lost. */
static bool tick_stuck(struct hf_wire *w)
{
    if (w->out == NULL || until(w, w->stuck_ms) + stuck_limit(w) > 0) {
        return false;
    }
    bool judged = w->looked;
    if (took_bytes(w, hf_stream_unacked(w->stream))) {
        w->stuck_ms = now_ms(w);
    } else if (judged) {
        lose(w, w->is_client ? HF_CAUSE_CLIENT_STUCK : HF_CAUSE_BACKEND_STUCK, 0);
        return true;
    }
    return false;
}

static bool tick_held(struct hf_wire *w)
{
    struct hf_progress progress = {0};
    if (w->hold == 0) {
        return false;
    }
    if ((w->hold & HF_WIRE_HOLD_BUDGET) != 0 && until(w, w->wake_ms) <= 0) {
        hf_wire_unhold(w, HF_WIRE_HOLD_BUDGET);
    }
    hf_stream_progress(w->stream, &progress);
    if (progress.dead) {
        lose(w, w->is_client ? HF_CAUSE_CLIENT_RESET : HF_CAUSE_BACKEND_RESET, ECONNRESET);
        return true;
    }
    return false;
}

static void tick_open(struct hf_wire *w)
{
    if (w->failed) {
        lose(w, HF_CAUSE_OUT_OF_RESOURCES, 0);
        return;
    }
    if (w->peer_code != 0 || tick_held(w) || tick_stuck(w)) {
        return;
    }
    switch (
        hf_heartbeat_tick(&w->beat, hf_wire_beat_rules(w), &w->worker->random, hf_wire_now(w))) {
    case HF_HEARTBEAT_PING:
        send_ping(w);
        break;
    case HF_HEARTBEAT_LOST:
        if (!shows_life(w)) {
            lose(w, w->is_client ? HF_CAUSE_CLIENT_HEARTBEAT : HF_CAUSE_BACKEND_HEARTBEAT, 0);
            return;
        }
        hf_heartbeat_alive(&w->beat, hf_wire_now(w));
        break;
    case HF_HEARTBEAT_WAIT:
    default:
        break;
    }
    hf_wire_schedule(w);
}

/* ---- closing -----------------------------------------------------------------------------------
 */

static void drop_bytes(struct hf_wire *w)
{
    hf_wire_release(w, w->out);
    hf_wire_release(w, w->part);
    w->out = NULL;
    w->part = NULL;
}

void hf_wire_drop_stream(struct hf_wire *w, bool abort)
{
    if (w->stream != NULL) {
        if (abort) {
            hf_stream_abort(w->stream);
        } else {
            if (w->tls && !w->peer_done) {
                hf_stream_shut(w->stream); /* close_notify; a plain close is a FIN by itself */
            }
            hf_stream_close(w->stream);
        }
        w->stream = NULL;
    }
    drop_bytes(w);
    w->state = HF_WIRE_NONE;
    hf_timer_stop(w->worker->loop, &w->timer);
}

/* Not here: a callback of the stream may be on the stack. */
static void finish_soon(struct hf_wire *w)
{
    hf_timer_set(w->worker->loop, &w->timer, hf_wire_now(w));
}

static void shut(struct hf_wire *w)
{
    if (!w->shut) {
        w->shut = true;
        hf_stream_shut(w->stream);
    }
}

/* RFC 6455 7.1.1: the server ends TCP first, at once. While more than our Close is under way to the
 * client, or its pong may be under way to us, the socket is read until the client's end, because a
 * close would answer what comes with a reset, which throws away what the client has not got yet. */
void hf_wire_closing(struct hf_wire *w)
{
    if (w->out != NULL || w->stream == NULL) {
        return; /* our Close waits */
    }
    w->close_sent = true;
    if (!w->peer_done) {
        return; /* its Close is awaited */
    }
    if (w->peer_code != 0 && w->is_client && !w->beat.waiting &&
        hf_stream_unacked(w->stream) <= HF_FRAME_HEAD_MAX + HF_CONTROL_PAYLOAD_MAX) {
        finish_soon(w);
    } else if (w->is_client || w->peer_code == 0) {
        shut(w); /* the peer's end is awaited */
    }
}

void hf_wire_close(struct hf_wire *w, uint16_t code, struct hf_slice reason)
{
    uint8_t payload[HF_CONTROL_PAYLOAD_MAX];
    if (w->state != HF_WIRE_OPEN) {
        return;
    }
    w->state = HF_WIRE_CLOSING;
    hf_timer_set(w->worker->loop, &w->timer, hf_wire_now(w) + HF_WIRE_CLOSE_WAIT);
    if (w->hold != 0) {
        hf_wire_unhold(w, (enum hf_wire_hold)w->hold); /* read again, for its Close */
    }
    hf_wire_control(w, HF_OP_CLOSE, hf_slice(payload, hf_close_write(payload, code, reason)));
    hf_wire_closing(w);
}

void hf_wire_abort(struct hf_wire *w)
{
    if (w->stream != NULL) {
        w->state = HF_WIRE_CLOSING;
        w->failed = true;
        finish_soon(w);
    }
}

void hf_wire_fini(struct hf_wire *w)
{
    if (w->ops != NULL) {
        hf_wire_drop_stream(w, w->state == HF_WIRE_CLOSING && w->out != NULL);
    }
}

void hf_wire_fire(struct hf_timer *timer, hf_time now)
{
    struct hf_wire *w = HF_CONTAINER(timer, struct hf_wire, timer);
    if (w->state == HF_WIRE_OPEN) {
        tick_open(w);
        return;
    }
    /* It is over, or its time is. What was sent to a peer that is slow, not lost, is left to the
     * kernel. */
    uint16_t code = w->peer_code;
    hf_wire_drop_stream(w, w->failed || w->out != NULL);
    w->ops->gone(w, code);
}
