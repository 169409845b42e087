/* SPDX-License-Identifier: Apache-2.0 */
/* A probe's life: its start, its time, its end, and its trial. See probe.h. */
#include "probe/inside.h"

#include <stdio.h>
#include <stdlib.h>

#define CLOSE_WAIT HF_SECONDS(2)
#define ANSWER_TIMEOUT HF_SECONDS(20)
#define STALL HF_SECONDS(2)
/* How often the kernel is asked about a connection that is not read. */
#define LOOK HF_MS(200)
#define DEFAULT_TEXT "{\"type\":\"ping\"}"

hf_time hf_probe_now(const struct hf_probe *p)
{
    return hf_loop_now(p->loop);
}

void hf_probe_tell(struct hf_probe *p, const struct hf_probe_event *event)
{
    p->handler(p->owner, p, event);
}

/* ---- the trial ----------------------------------------------------------------------------------
 */

/* Room for one moment more. A full list loses the older ones of its second half. */
static bool make_room(struct hf_probe *p)
{
    const size_t keep = HF_PROBE_MOMENTS / 2, drop = HF_PROBE_MOMENTS / 4;
    if (p->trial.moment_count < p->moment_room) {
        return true;
    }
    if (p->moment_room == HF_PROBE_MOMENTS) {
        memmove(p->moments + keep, p->moments + keep + drop,
                (HF_PROBE_MOMENTS - keep - drop) * sizeof(*p->moments));
        p->trial.moment_count -= drop;
        return true;
    }
    const size_t room = p->moment_room == 0 ? 16 : 2 * p->moment_room;
    struct hf_moment *more = realloc(p->moments, room * sizeof(*more));
    if (more == NULL) {
        return false;
    }
    p->moments = more;
    p->moment_room = room;
    p->trial.moments = more;
    return true;
}

void hf_probe_note(struct hf_probe *p, enum hf_moment_kind kind, size_t size)
{
    p->trial.count[kind]++;
    if (!p->how.light && make_room(p)) {
        p->moments[p->trial.moment_count++] =
            (struct hf_moment){.at = hf_probe_now(p) - p->opened,
                               .size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX,
                               .kind = (uint8_t)kind};
    }
}

/* What TCP knows of it. */
static void look_at_tcp(struct hf_probe *p, struct hf_progress *progress)
{
    memset(progress, 0, sizeof(*progress));
    if (p->stream != NULL) {
        hf_stream_progress(p->stream, progress);
        p->trial.end.unacked = progress->unacked;
        p->trial.end.tcp_rtt_us = progress->rtt_us;
        if (progress->retransmits > p->trial.end.retransmits) {
            p->trial.end.retransmits = progress->retransmits;
        }
    }
}

static void set_ages(struct hf_probe *p)
{
    struct hf_trial_end *end = &p->trial.end;
    const hf_time now = p->ended != 0 ? p->ended : hf_probe_now(p);
    end->age = now - (p->open ? p->opened : p->begun);
    end->silent_rx = p->open && p->last_rx < now ? now - p->last_rx : p->open ? 0 : end->age;
    end->silent_tx = p->open && p->last_tx < now ? now - p->last_tx : p->open ? 0 : end->age;
}

const struct hf_trial *hf_probe_trial(struct hf_probe *p)
{
    if (!p->finished) {
        struct hf_progress progress;
        set_ages(p);
        look_at_tcp(p, &progress);
    }
    return &p->trial;
}

size_t hf_probe_hosting(const struct hf_probe *p, const struct hf_hosting **hosting)
{
    for (size_t i = 0; i < p->hosting_count; i++) {
        hosting[i] = p->hosting[i];
    }
    return p->hosting_count;
}

struct hf_infer_context hf_probe_context(const struct hf_probe *p, const char **ids)
{
    for (size_t i = 0; i < p->hosting_count; i++) {
        ids[i] = p->hosting[i]->id;
    }
    return (struct hf_infer_context){
        .hosting = ids, .hosting_count = p->hosting_count, .is_secure = p->how.target->url.tls};
}

hf_time hf_probe_phase(const struct hf_probe *p, enum hf_trial_phase phase)
{
    return p->took[phase];
}

hf_time hf_probe_opening_took(const struct hf_probe *p)
{
    hf_time sum = 0;
    for (int phase = HF_PHASE_DNS; phase < HF_PHASE_OPEN; phase++) {
        sum += p->took[phase] > 0 ? p->took[phase] : 0;
    }
    return sum;
}

const struct hf_address *hf_probe_address(const struct hf_probe *p)
{
    return &p->address;
}

hf_wall hf_probe_certificate_expires(const struct hf_probe *p)
{
    return p->certificate_expires;
}

/* ---- the end ------------------------------------------------------------------------------------
 */

static void give_up_stream(struct hf_probe *p, enum hf_trial_how how)
{
    struct hf_stream *stream = p->stream;
    if (how == HF_HOW_CLOSE || how == HF_HOW_FAULT) {
        hf_probe_flush(p); /* the answer to a Close, or the Close for a fault */
    }
    p->stream = NULL;
    if (how == HF_HOW_ALIVE || how == HF_HOW_SILENCE) {
        hf_stream_abort(stream);
    } else if (stream != NULL) {
        hf_stream_shut(stream);
        hf_stream_close(stream);
    }
}

void hf_probe_finish(struct hf_probe *p, enum hf_trial_how how, const char *reason)
{
    struct hf_trial_end *end = &p->trial.end;
    struct hf_progress progress;
    if (p->finished) {
        return;
    }
    look_at_tcp(p, &progress);
    set_ages(p);
    p->finished = true;
    end->how = how;
    (void)snprintf(end->reason, sizeof(end->reason), "%s", reason);
    if (p->open && end->code == 0 && how != HF_HOW_ALIVE) {
        end->code = how == HF_HOW_ENDED_BY_US ? HF_CLOSE_NORMAL : HF_CLOSE_ABNORMAL;
    }
    if (how == HF_HOW_SILENCE) {
        /* An acknowledgement of TCP is no sign of the server; without one there is none of the
         * path either. */
        end->unsure = hf_probe_now(p) - (p->asked != HF_NEVER ? p->last_rx : p->proof);
    }
    end->unsure = end->unsure < end->age ? end->unsure : end->age;
    give_up_stream(p, how);
    hf_timer_set(p->loop, &p->timer, hf_probe_now(p));
}

/* The last thing that is done in a turn: the probe may be gone behind it. */
static void tell_end(struct hf_probe *p)
{
    struct hf_head head;
    const char *why;
    struct hf_probe_event event = {.kind = HF_PROBE_END, .phase = p->trial.end.phase};
    const struct hf_slice answer = hf_buffer_slice(&p->answer);
    if (p->answer_head > 0 && hf_response_read(hf_slice_first(answer, p->answer_head), 1 << 20,
                                               &head, &why) == HF_HEAD_READ) {
        event.head = &head;
        event.data = hf_slice_from(answer, p->answer_head);
    }
    hf_dialer_cancel(p->dialer); /* which may not be done in its own callbacks */
    p->dialer = NULL;
    p->told = true;
    hf_probe_tell(p, &event);
}

void hf_probe_stop(struct hf_probe *p)
{
    if (p->finished || p->closing) {
        return;
    }
    if (!p->open) {
        hf_probe_finish(p, HF_HOW_ENDED_BY_US, "");
        return;
    }
    p->ended = hf_probe_now(p);
    p->closing = true;
    p->close_by = p->ended + CLOSE_WAIT;
    set_ages(p);
    hf_probe_read_or_not(p, p->ended);
    if (hf_endpoint_close(p->endpoint, HF_CLOSE_NORMAL, hf_slice(NULL, 0)) != HF_OK) {
        hf_probe_finish(p, HF_HOW_ENDED_BY_US, "");
        return;
    }
    hf_probe_flush(p);
    hf_probe_reschedule(p);
}

void hf_probe_abandon(struct hf_probe *p)
{
    hf_probe_finish(p, HF_HOW_ALIVE, "");
}

/* ---- time ---------------------------------------------------------------------------------------
 */

static hf_time earlier(hf_time a, hf_time b)
{
    return a < b ? a : b;
}

static hf_time after(hf_time from, hf_time wait)
{
    return from == HF_NEVER || wait == HF_NEVER ? HF_NEVER : from + wait;
}

static hf_time stall_time(const struct hf_probe *p)
{
    return earlier(STALL, p->how.answer_timeout / 2);
}

void hf_probe_reschedule(struct hf_probe *p)
{
    hf_time when = HF_NEVER;
    if (p->finished) {
        return; /* finish has set it */
    }
    if (p->open && p->closing) {
        when = p->close_by;
    } else if (p->open) {
        when = earlier(earlier(p->next_ping, p->next_message), p->next_beat);
        when = earlier(when, earlier(p->hold_end, p->look_at));
        when = earlier(when, p->late_count > 0 ? p->late[0].due : HF_NEVER);
        when = earlier(when, after(p->owed, p->how.answer_timeout));
        when = earlier(when, after(p->asked, p->stalled ? p->how.answer_timeout : stall_time(p)));
        if (p->how.plan.stops_reading && !p->paused && !p->drains) {
            when = earlier(when, p->opened + p->how.reading_until);
        }
    }
    if (when == HF_NEVER) {
        hf_timer_stop(p->loop, &p->timer);
    } else {
        hf_timer_set(p->loop, &p->timer, when);
    }
}

/* True when it is due; then the next is set, an interval on, without drift. */
static bool is_due(hf_time *next, hf_time every, hf_time now)
{
    if (now < *next) {
        return false;
    }
    *next = *next + every > now ? *next + every : now + every;
    return true;
}

/* Nobody answers: is that silence? */
static void watch_answers(struct hf_probe *p, hf_time now)
{
    if (now >= after(p->asked, p->how.answer_timeout)) {
        hf_probe_finish(p, HF_HOW_SILENCE, "no answer to a ping");
        return;
    }
    if (now >= after(p->asked, stall_time(p)) && !p->stalled) {
        p->stalled = true;
        hf_probe_tell(p,
                      &(struct hf_probe_event){.kind = HF_PROBE_STALLED, .took = now - p->asked});
    }
    if (now >= after(p->owed, p->how.answer_timeout)) {
        p->owed = HF_NEVER;
        if (hf_stream_unacked(p->stream) > 0) {
            hf_probe_finish(p, HF_HOW_SILENCE, "TCP got no acknowledgement of what was sent");
        }
    }
}

/* A connection that is not read tells its end to the kernel alone. */
static void look(struct hf_probe *p, hf_time now)
{
    struct hf_progress progress;
    look_at_tcp(p, &progress);
    p->look_at = p->paused ? now + LOOK : HF_NEVER;
    if (progress.dead || progress.peer_ended) {
        p->drains = true; /* what it said last is read; the end is behind it */
        hf_probe_read_or_not(p, now);
    }
}

static void hold_is_over(struct hf_probe *p, hf_time now)
{
    p->hold_end = HF_NEVER;
    if (p->how.check_at_end && !p->how.plan.stops_reading && now - p->last_rx > HF_SECONDS(1) &&
        hf_probe_ping(p)) {
        p->checking = true;
    } else {
        hf_probe_stop(p);
    }
}

static void on_time(struct hf_probe *p, hf_time now)
{
    const struct hf_trial_plan *plan = &p->how.plan;
    hf_probe_read_or_not(p, now);
    watch_answers(p, now);
    if (p->finished) {
        return;
    }
    if (is_due(&p->next_message, plan->message_every, now)) {
        hf_probe_say_message(p);
    }
    if (is_due(&p->next_ping, plan->ping_every, now)) {
        (void)hf_probe_ping(p);
    }
    if (is_due(&p->next_beat, plan->beat_every, now)) {
        hf_probe_say_beat(p);
    }
    hf_probe_say_late(p, now);
    if (p->paused && (p->look_at == HF_NEVER || now >= p->look_at)) {
        look(p, now);
    }
    if (now >= p->hold_end) {
        hold_is_over(p, now);
    }
}

static void on_timer(struct hf_timer *timer, hf_time now)
{
    struct hf_probe *p = HF_CONTAINER(timer, struct hf_probe, timer);
    if (p->finished) {
        if (!p->told) {
            tell_end(p);
        }
        return;
    }
    if (!p->started) {
        p->started = true;
        if (!hf_probe_dial(p)) {
            hf_probe_finish(p, HF_HOW_ERRNO, "no memory for an attempt");
        }
    } else if (p->closing && now >= p->close_by) {
        hf_probe_finish(p, HF_HOW_ENDED_BY_US, "");
    } else if (p->open && !p->closing) {
        on_time(p, hf_probe_now(p));
    }
    hf_probe_reschedule(p);
}

void hf_probe_set_plan(struct hf_probe *p, const struct hf_trial_plan *plan)
{
    const hf_time now = hf_probe_now(p);
    p->how.plan = *plan;
    p->trial.plan = *plan;
    p->next_ping = plan->ping_every > 0 ? now + plan->ping_every : HF_NEVER;
    p->next_message = plan->message_every > 0 ? now + plan->message_every : HF_NEVER;
    p->next_beat = plan->beat_every > 0 ? now + plan->beat_every : HF_NEVER;
    if (p->open && !p->finished) {
        hf_probe_read_or_not(p, now);
        p->look_at = p->paused ? now + LOOK : HF_NEVER;
        hf_probe_reschedule(p);
    }
}

/* ---- the start ----------------------------------------------------------------------------------
 */

struct hf_probe *hf_probe_start(struct hf_loop *loop, const struct hf_probe_how *how,
                                hf_probe_handler *handler, void *owner)
{
    struct hf_probe *p = calloc(1, sizeof(*p));
    const struct hf_slice text =
        how->text.len == 0 && how->plan.message_every > 0 ? HF_LITERAL(DEFAULT_TEXT) : how->text;
    if (p == NULL) {
        return NULL;
    }
    p->text = hf_alloc_text(&hf_heap, text);
    p->text_len = text.len;
    if (p->text == NULL) {
        free(p);
        return NULL;
    }
    p->loop = loop;
    p->how = *how;
    p->how.answer_timeout = how->answer_timeout == 0 ? ANSWER_TIMEOUT : how->answer_timeout;
    p->handler = handler;
    p->owner = owner;
    hf_random_init(&p->random, how->seed ^ (uint64_t)(uintptr_t)p ^ (uint64_t)hf_loop_wall(loop));
    hf_timer_init(&p->timer, on_timer);
    hf_buffer_init(&p->request, &hf_heap, 1 << 20);
    hf_buffer_init(&p->answer, &hf_heap, 1 << 20);
    for (size_t i = 0; i <= HF_PHASE_OPEN; i++) {
        p->took[i] = -1;
    }
    p->asked = p->owed = p->look_at = p->hold_end = p->close_by = HF_NEVER;
    p->next_ping = p->next_message = p->next_beat = HF_NEVER;
    p->begun = hf_loop_now(loop);
    p->trial.arm = how->arm;
    p->trial.path = how->path;
    p->trial.begun = p->begun - how->epoch;
    p->trial.plan = how->plan;
    hf_timer_set(loop, &p->timer, p->begun);
    return p;
}

void hf_probe_free(struct hf_probe *p)
{
    if (p == NULL) {
        return;
    }
    hf_timer_stop(p->loop, &p->timer);
    hf_dialer_cancel(p->dialer);
    hf_stream_abort(p->stream);
    hf_endpoint_free(p->endpoint);
    hf_buffer_reset(&p->request);
    hf_buffer_reset(&p->answer);
    free(p->moments);
    free(p->text);
    free(p);
}
