/* SPDX-License-Identifier: Apache-2.0 */
/* Clients: making and freeing, calls from other threads, and time. */
#include "client/client.h"

#include "ws/frame.h"

#include <stdio.h>
#include <stdlib.h>

#define QUIET HF_MS(50) /* without traffic: a moment to move */

const char *holdfast_version(void)
{
    return HF_VERSION;
}

/* ---- freeing ------------------------------------------------------------------------------------
 */

static void client_destroy(struct holdfast_client *c)
{
    struct holdfast_loop *loop = c->own_loop ? c->loop : NULL;
    hf_client_fini(&c->session);
    hf_settings_unref(c->settings);
    hf_buffer_reset(&c->protocols);
    hf_buffer_reset(&c->extensions);
    hf_buffer_reset(&c->scratch);
    free(c->url);
    free(c->next_url);
    free(c->display);
    pthread_mutex_destroy(&c->lock);
    if (c->gone != NULL) {
        pthread_mutex_lock(c->gone_lock);
        *c->gone_flag = true;
        pthread_cond_signal(c->gone);
        pthread_mutex_unlock(c->gone_lock);
    } else if (loop != NULL) {
        hf_client_loop_leave(loop);
    }
    free(c);
}

void hf_client_enter(struct holdfast_client *c)
{
    c->depth++;
}

bool hf_client_leave(struct holdfast_client *c)
{
    c->depth--;
    if (!c->dead) {
        return true;
    }
    pthread_mutex_lock(&c->lock);
    const bool posted = c->task_posted;
    pthread_mutex_unlock(&c->lock);
    if (c->depth == 0 && !posted) {
        client_destroy(c);
    }
    return false;
}

/* On the loop's thread. */
static void kill_client(struct holdfast_client *c)
{
    hf_client_enter(c);
    c->dead = true;
    hf_timer_stop(c->loop->io, &c->timer);
    hf_client_drop(c);
    (void)hf_client_leave(c);
}

/* ---- work for the loop's thread -----------------------------------------------------------------
 */

/* With the lock: when the task runs, whoever posted it has let go of the loop, which may be freed
 * then. */
static void post_locked(struct holdfast_client *c)
{
    if (!c->task_posted) {
        c->task_posted = true;
        hf_loop_post(c->loop->io, &c->task);
    }
}

void hf_client_post(struct holdfast_client *c)
{
    pthread_mutex_lock(&c->lock);
    post_locked(c);
    pthread_mutex_unlock(&c->lock);
}

/* The application closed: STATE, and the end when there is nothing to deliver. */
static void apply_close(struct holdfast_client *c)
{
    if (c->state == HOLDFAST_CLOSED) {
        return;
    }
    pthread_mutex_lock(&c->lock);
    const bool over = hf_client_close(&c->session, c->asked_code, hf_slice_of(c->asked_reason),
                                      hf_loop_now(c->loop->io));
    pthread_mutex_unlock(&c->lock);
    hf_client_set_state(c, HOLDFAST_CLOSING);
    if (over && !c->dead) {
        hf_client_say_loss(c, HF_LOSS_CLOSED, "");
        hf_client_gone(c, 0);
    }
}

static void apply_hurry(struct holdfast_client *c)
{
    if (c->retry_at != HF_NEVER) {
        c->retry_at = hf_loop_now(c->loop->io);
    }
}

static void on_task(struct hf_task *task, struct hf_loop *io)
{
    struct holdfast_client *c = HF_CONTAINER(task, struct holdfast_client, task);
    hf_client_enter(c);
    pthread_mutex_lock(&c->lock);
    const bool close = c->close_asked && !c->close_applied;
    const bool hurry = c->hurry_asked;
    const bool gone = c->gone != NULL;
    c->task_posted = false;
    c->close_applied = c->close_asked;
    c->hurry_asked = false;
    pthread_mutex_unlock(&c->lock);
    if (gone && !c->dead) {
        kill_client(c);
    }
    if (!c->dead && !c->started) {
        c->started = true;
        c->retry_at = hf_loop_now(io);
    }
    if (!c->dead && close) {
        apply_close(c);
    }
    if (!c->dead && hurry) {
        apply_hurry(c);
    }
    if (!c->dead && c->stuck && c->stream != NULL) {
        hf_client_give_up(c, HF_LOSS_OUT_OF_MEMORY, "no memory for a message on its way out");
    }
    c->stuck = false;
    hf_client_tell_all(c);
    if (!c->dead) {
        hf_client_flush(c);
        hf_client_tell_all(c);
    }
    if (!c->dead) {
        hf_client_reschedule(c);
    }
    (void)hf_client_leave(c);
}

/* ---- time ---------------------------------------------------------------------------------------
 */

static hf_time earlier(hf_time a, hf_time b)
{
    return a < b ? a : b;
}

void hf_client_reschedule(struct holdfast_client *c)
{
    if (c->dead || c->state == HOLDFAST_CLOSED) {
        hf_timer_stop(c->loop->io, &c->timer);
        return;
    }
    pthread_mutex_lock(&c->lock);
    hf_time when = hf_client_deadline(&c->session);
    pthread_mutex_unlock(&c->lock);
    when = earlier(when, earlier(c->retry_at, earlier(c->settled_at, c->leave_at)));
    if (c->stream != NULL) {
        when = earlier(when, hf_client_heartbeat_due(c));
    }
    if (when == HF_NEVER) {
        hf_timer_stop(c->loop->io, &c->timer);
    } else {
        hf_timer_set(c->loop->io, &c->timer, when);
    }
}

/* goaway: moves at a quiet moment, or when its time is up. */
static void tick_leave(struct holdfast_client *c, hf_time now)
{
    const hf_time last = c->heard > c->said ? c->heard : c->said;
    if (now < c->leave_by && now - last < QUIET) {
        c->leave_at = earlier(last + QUIET, c->leave_by);
        return;
    }
    hf_client_give_up(c, HF_LOSS_GOAWAY, "the gateway asked to attach again");
}

static void on_timer(struct hf_timer *timer, hf_time now)
{
    struct holdfast_client *c = HF_CONTAINER(timer, struct holdfast_client, timer);
    hf_client_enter(c);
    pthread_mutex_lock(&c->lock);
    hf_client_tick(&c->session, now);
    pthread_mutex_unlock(&c->lock);
    if (now >= c->settled_at) {
        c->settled_at = HF_NEVER;
        hf_backoff_reset(&c->backoff);
        c->attempts = 0;
    }
    hf_client_tell_all(c);
    if (!c->dead && c->stream != NULL) {
        hf_client_heartbeat(c, now);
    }
    if (!c->dead && c->stream != NULL && now >= c->leave_at) {
        tick_leave(c, now);
    }
    if (!c->dead) {
        hf_client_flush(c);
        hf_client_tell_all(c);
    }
    if (!c->dead && now >= c->retry_at) {
        c->retry_at = HF_NEVER;
        hf_client_attempt(c);
    }
    if (!c->dead) {
        hf_client_reschedule(c);
    }
    (void)hf_client_leave(c);
}

/* ---- making -------------------------------------------------------------------------------------
 */

static void init(struct holdfast_client *c)
{
    const struct hf_client_rules rules = {.queue_messages = c->settings->queue_messages,
                                          .queue_cost = c->settings->queue_bytes,
                                          .once = !c->settings->reconnect};
    pthread_mutex_init(&c->lock, NULL);
    hf_client_init(&c->session, &hf_heap, &rules);
    c->task.run = on_task;
    hf_timer_init(&c->timer, on_timer);
    c->state = HOLDFAST_CONNECTING;
    c->stats.rtt_ms = -1;
    c->stats.next_attempt_ms = -1;
    c->retry_at = HF_NEVER;
    c->settled_at = HF_NEVER;
    c->leave_at = HF_NEVER;
    c->opened_at = HF_NEVER;
    c->away_from = HF_NEVER;
    hf_backoff_init(&c->backoff);
    hf_buffer_init(&c->protocols, &hf_heap, 65536);
    hf_buffer_init(&c->extensions, &hf_heap, 1024);
    hf_buffer_init(&c->scratch, &hf_heap, SIZE_MAX);
}

struct holdfast_client *holdfast_client_new(struct holdfast_loop *loop,
                                            const struct holdfast_options *options,
                                            enum holdfast_status *why)
{
    enum holdfast_status ignored;
    why = why == NULL ? &ignored : why;
    *why = HOLDFAST_OK;
    struct hf_settings *settings = hf_settings_of(options, why);
    if (settings == NULL) {
        return NULL;
    }
    struct holdfast_client *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        hf_settings_unref(settings);
        *why = HOLDFAST_NO_MEMORY;
        return NULL;
    }
    c->settings = settings;
    c->own_loop = loop == NULL;
    c->loop = loop == NULL ? holdfast_loop_start() : loop;
    if (c->loop == NULL) {
        hf_settings_unref(settings);
        free(c);
        *why = HOLDFAST_SYSTEM;
        return NULL;
    }
    init(c);
    hf_client_post(c);
    return c;
}

/* On another thread than the loop's: waits until it is gone. */
static void free_from_afar(struct holdfast_client *c)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    bool gone = false;
    struct holdfast_loop *own = c->own_loop ? c->loop : NULL;
    pthread_mutex_lock(&c->lock);
    c->gone_lock = &lock;
    c->gone_flag = &gone;
    c->gone = &cond;
    post_locked(c);
    pthread_mutex_unlock(&c->lock);
    pthread_mutex_lock(&lock);
    while (!gone) {
        pthread_cond_wait(&cond, &lock);
    }
    pthread_mutex_unlock(&lock);
    pthread_cond_destroy(&cond);
    pthread_mutex_destroy(&lock);
    holdfast_loop_free(own);
}

void holdfast_client_free(struct holdfast_client *c)
{
    if (c == NULL) {
        return;
    }
    if (c->loop->threaded && !hf_client_loop_here(c->loop)) {
        free_from_afar(c);
    } else {
        kill_client(c);
    }
}

/* ---- the application ----------------------------------------------------------------------------
 */

static bool is_utf8(struct hf_slice text)
{
    uint32_t state = 0;
    return hf_utf8_feed(&state, text) && state == 0;
}

static enum holdfast_send result_of(enum hf_client_send result)
{
    switch (result) {
    case HF_CLIENT_SENT:
        return HOLDFAST_SENT;
    case HF_CLIENT_QUEUED:
        return HOLDFAST_QUEUED;
    case HF_CLIENT_FULL:
        return HOLDFAST_FULL;
    case HF_CLIENT_TOO_BIG:
        return HOLDFAST_TOO_BIG;
    case HF_CLIENT_NOT_OPEN:
        return HOLDFAST_NOT_OPEN;
    case HF_CLIENT_NO_MEMORY:
        break;
    }
    return HOLDFAST_OUT_OF_MEMORY;
}

/* Something waits for the loop's thread: done at once when this is it. */
static void urge(struct holdfast_client *c)
{
    if (!hf_client_loop_here(c->loop)) {
        hf_client_post(c);
    } else if (c->depth == 0) {
        hf_client_enter(c);
        hf_client_flush(c);
        if (c->session.pending_count > 0) {
            hf_client_post(c); /* the handler never runs inside a call */
        }
        hf_client_reschedule(c);
        (void)hf_client_leave(c);
    }
}

enum holdfast_send holdfast_client_send(struct holdfast_client *c, enum holdfast_type type,
                                        const void *data, size_t size)
{
    const struct hf_slice payload = hf_slice(data, size);
    if (type == HOLDFAST_TEXT && !is_utf8(payload)) {
        return HOLDFAST_NOT_UTF8;
    }
    pthread_mutex_lock(&c->lock);
    const enum hf_client_send result =
        c->close_asked ? HF_CLIENT_NOT_OPEN
                       : hf_client_send(&c->session,
                                        type == HOLDFAST_TEXT ? HF_OP_TEXT : HF_OP_BINARY, payload);
    pthread_mutex_unlock(&c->lock);
    if (result == HF_CLIENT_SENT) {
        urge(c);
    }
    return result_of(result);
}

enum holdfast_status holdfast_client_close(struct holdfast_client *c, int code, const char *reason)
{
    const struct hf_slice text = hf_slice_of(reason);
    uint8_t payload[HF_CONTROL_PAYLOAD_MAX];
    if ((code != 0 && code != 1000 && (code < 3000 || code > 4999)) || !is_utf8(text)) {
        return HOLDFAST_INVALID;
    }
    /* Cuts whole characters. Without a code there is no reason. */
    const size_t len = hf_close_write(payload, 1000, code == 0 ? hf_slice(NULL, 0) : text);
    pthread_mutex_lock(&c->lock);
    if (!c->close_asked) {
        c->close_asked = true;
        c->asked_code = (uint16_t)code;
        memcpy(c->asked_reason, payload + 2, len - 2);
        c->asked_reason[len - 2] = '\0';
    }
    post_locked(c);
    pthread_mutex_unlock(&c->lock);
    return HOLDFAST_OK;
}

enum holdfast_status holdfast_client_authorize(struct holdfast_client *c, const char *token)
{
    if (token == NULL || strlen(token) > 8000 || !is_utf8(hf_slice_of(token))) {
        return HOLDFAST_INVALID;
    }
    pthread_mutex_lock(&c->lock);
    (void)hf_client_auth(&c->session, hf_slice_of(token));
    post_locked(c);
    pthread_mutex_unlock(&c->lock);
    return HOLDFAST_OK;
}

void holdfast_client_hurry(struct holdfast_client *c)
{
    pthread_mutex_lock(&c->lock);
    c->hurry_asked = true;
    post_locked(c);
    pthread_mutex_unlock(&c->lock);
}

enum holdfast_state holdfast_client_state(struct holdfast_client *c)
{
    pthread_mutex_lock(&c->lock);
    const enum holdfast_state state = c->state;
    pthread_mutex_unlock(&c->lock);
    return state;
}

void holdfast_client_stats(struct holdfast_client *c, struct holdfast_stats *stats, size_t size)
{
    pthread_mutex_lock(&c->lock);
    const struct hf_client *s = &c->session;
    struct holdfast_stats now = c->stats;
    now.received = s->received;
    now.sent = s->sent;
    now.acked = s->known ? s->journal.base : 0;
    now.queued = s->journal.end - s->at.number;
    now.queued_bytes = s->journal.cost;
    pthread_mutex_unlock(&c->lock);
    memset(stats, 0, size);
    memcpy(stats, &now, size < sizeof(now) ? size : sizeof(now));
}
