/* SPDX-License-Identifier: Apache-2.0 */
/* A redial: see redial.h. */
#include "gateway/redial.h"

#include <stdio.h>
#include <stdlib.h>

#define FIRST_WAIT_MAX HF_MS(100)
/* Dials of a worker at once. A backend that has just started and is asked by everybody at the same
 * time answers nobody in time. */
#define AT_ONCE_MAX 128

struct hf_redial {
    struct hf_worker *worker;
    struct hf_redial_how how;
    hf_redialed *done;
    void *owner;
    struct hf_timer next; /* the next dial */
    struct hf_timer over; /* hold.time */
    struct hf_dial *dial; /* NULL between two */
    struct hf_list node;  /* among those that wait for a dial of another to end */
    hf_time started;
    uint32_t attempts;
    char why[200]; /* of the last failure */
};

/* ---- counts and lines of the log ---------------------------------------------------------------
 */

static void begin_line(const struct hf_redial *d, const char *event, struct hf_log_line *line)
{
    const struct hf_identity *i = d->how.identity;
    hf_log_begin(line, d->worker->gateway->log, HF_LOG_INFO, d->worker->loop->wall, event);
    hf_log_number(line, "id", (int64_t)i->id);
    hf_log_cstr(line, "route", i->route->config->name);
    hf_log_cstr(line, "upstream", i->backend != NULL ? i->backend->config->url : "");
}

static void log_begin(const struct hf_redial *d)
{
    struct hf_log_line line;
    begin_line(d, "hold begin", &line);
    hf_log_cstr(&line, "cause", hf_cause_id(d->how.lost));
    hf_log_end(&line);
}

static void log_end(const struct hf_redial *d, const char *result, const char *why)
{
    struct hf_log_line line;
    begin_line(d, "hold end", &line);
    hf_log_cstr(&line, "result", result);
    hf_log_number(&line, "held_ms", (d->worker->loop->now - d->started) / 1000);
    hf_log_number(&line, "attempts", d->attempts);
    hf_log_cstr(&line, "reason", why);
    hf_log_end(&line);
}

static void count_end(const struct hf_redial *d, enum hf_counter counter)
{
    hf_count(d->worker, counter, 1);
    hf_count(d->worker, HF_COUNT_backend_hold_ms,
             (uint64_t)(d->worker->loop->now - d->started) / 1000);
}

/* ---- the end -----------------------------------------------------------------------------------
 */

/* The next of those that wait takes the place. */
static void dial_ended(struct hf_redial *d)
{
    struct hf_worker *worker = d->worker;
    d->dial = NULL;
    worker->redials--;
    if (!hf_list_empty(&worker->redials_waiting)) {
        struct hf_redial *first =
            HF_CONTAINER(worker->redials_waiting.next, struct hf_redial, node);
        hf_list_remove(&first->node);
        hf_timer_set(worker->loop, &first->next, worker->loop->now);
    }
}

static void drop_dial(struct hf_redial *d)
{
    if (d->dial != NULL) {
        hf_dial_cancel(d->dial);
        dial_ended(d);
    }
}

static void free_redial(struct hf_redial *d)
{
    drop_dial(d);
    hf_list_remove(&d->node);
    hf_timer_stop(d->worker->loop, &d->next);
    hf_timer_stop(d->worker->loop, &d->over);
    free(d);
}

static void replaced(struct hf_redial *d, struct hf_stream *stream)
{
    const struct hf_redial_result result = {.stream = stream, .attempts = d->attempts, .why = ""};
    d->how.pace->replaced = d->worker->loop->now;
    count_end(d, HF_COUNT_backend_holds_replaced);
    log_end(d, "replaced", "");
    d->done(d->owner, &result);
    free_redial(d);
}

static void gone(struct hf_redial *d, enum hf_cause cause, uint16_t status, const char *why)
{
    const struct hf_redial_result result = {
        .attempts = d->attempts, .cause = cause, .status = status, .why = why};
    drop_dial(d);
    count_end(d, HF_COUNT_backend_holds_failed);
    log_end(d, hf_cause_id(cause), why);
    d->done(d->owner, &result);
    free_redial(d);
}

/* ---- one dial after the other ------------------------------------------------------------------
 */

static void wait_for_next(struct hf_redial *d)
{
    const struct hf_backoff_rules rules = {
        .base = FIRST_WAIT_MAX,
        .factor_percent = 200,
        .cap = d->how.identity->route->config->hold.backoff_max,
    };
    hf_time wait = hf_backoff_next(&d->how.pace->backoff, &rules, &d->worker->random);
    hf_timer_set(d->worker->loop, &d->next, d->worker->loop->now + wait);
}

static void failed(struct hf_redial *d, const char *why)
{
    (void)snprintf(d->why, sizeof(d->why), "%s", why);
    wait_for_next(d);
}

/* The lost one's successor must be one that the client cannot tell from it. */
static void take(struct hf_redial *d, const struct hf_dial_result *result)
{
    const char *why = NULL;
    if (!hf_slice_eq(result->protocol, d->how.protocol)) {
        why = "the new backend connection chose another subprotocol";
    } else if (result->deflate.agreed != d->how.deflate) {
        why = "the new backend connection chose other extensions";
    }
    if (why == NULL) {
        replaced(d, result->stream);
    } else {
        hf_stream_abort(result->stream);
        gone(d, HF_CAUSE_BACKEND_GONE, 0, why);
    }
}

static bool may_pass(uint16_t status)
{
    return status >= 500 || status == 408 || status == 425 || status == 429;
}

static void dialed(void *owner, const struct hf_dial_result *result)
{
    struct hf_redial *d = owner;
    dial_ended(d);
    switch (result->outcome) {
    case HF_DIAL_OPEN:
        take(d, result);
        break;
    case HF_DIAL_REFUSED:
        if (may_pass(result->status)) {
            failed(d, result->why);
        } else {
            gone(d, HF_CAUSE_BACKEND_GONE, result->status, result->why);
        }
        break;
    case HF_DIAL_FAILED:
    default:
        failed(d, result->why);
        break;
    }
}

static void fire_next(struct hf_timer *timer, hf_time now)
{
    struct hf_redial *d = HF_CONTAINER(timer, struct hf_redial, next);
    if (d->worker->redials >= AT_ONCE_MAX) {
        hf_list_append(&d->worker->redials_waiting, &d->node);
        return;
    }
    d->attempts++;
    if (hf_dial_start(d->worker, d->how.identity, d->how.petition, true, dialed, d, &d->dial) !=
        HF_OK) {
        d->dial = NULL;
        failed(d, "out of memory");
        return;
    }
    d->worker->redials++;
    hf_dial_each_once(d->dial); /* a crowd that is held must not hammer */
}

static void fire_over(struct hf_timer *timer, hf_time now)
{
    struct hf_redial *d = HF_CONTAINER(timer, struct hf_redial, over);
    char why[240];
    (void)snprintf(why, sizeof(why), "no backend in time: %s",
                   d->why[0] != '\0'            ? d->why
                   : d->how.pace->replaced != 0 ? "each new connection was lost again"
                                                : "it did not answer");
    gone(d, HF_CAUSE_HOLD_EXPIRED, 0, why);
}

/* ---- start and cancel --------------------------------------------------------------------------
 */

enum hf_status hf_redial_start(struct hf_worker *worker, const struct hf_redial_how *how,
                               hf_redialed *done, void *owner, struct hf_redial **redial)
{
    struct hf_redial *d = calloc(1, sizeof(*d));
    if (d == NULL) {
        return HF_NO_MEMORY;
    }
    d->worker = worker;
    d->how = *how;
    d->done = done;
    d->owner = owner;
    d->started = worker->loop->now;
    if (how->pace->replaced == 0 || d->started - how->pace->replaced >= HF_REDIAL_STABLE) {
        hf_backoff_init(&how->pace->backoff);
        how->pace->began = d->started;
    }
    hf_list_init(&d->node);
    hf_timer_init(&d->next, fire_next);
    hf_timer_init(&d->over, fire_over);
    hf_timer_set(worker->loop, &d->over,
                 how->pace->began + how->identity->route->config->hold.time);
    wait_for_next(d);
    hf_count(worker, HF_COUNT_backend_holds, 1);
    log_begin(d);
    *redial = d;
    return HF_OK;
}

void hf_redial_cancel(struct hf_redial *d)
{
    if (d != NULL) {
        count_end(d, HF_COUNT_backend_holds_left);
        log_end(d, "left", "");
        free_redial(d);
    }
}
