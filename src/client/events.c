/* SPDX-License-Identifier: Apache-2.0 */
/* What a client tells its application, in the one vocabulary, and what the session's events mean
 * for attempts and connections. */
#include "client/client.h"

#include "ws/frame.h"

#include <stdio.h>
#include <stdlib.h>

#define SETTLED HF_SECONDS(5) /* of uptime start the backoff anew */
#define SOON HF_MS(250)

/* ---- the words ----------------------------------------------------------------------------------
 */

#define WORD_OF(words, index)                                                                      \
    ((size_t)(index) < sizeof(words) / sizeof((words)[0]) && (words)[index] != NULL                \
         ? (words)[index]                                                                          \
         : "unknown")

const char *holdfast_status_text(enum holdfast_status status)
{
    static const char *const words[] = {"ok", "out of memory", "an argument is wrong",
                                        "the system refused"};
    return WORD_OF(words, status);
}

const char *holdfast_state_text(enum holdfast_state state)
{
    static const char *const words[] = {"connecting", "open", "reconnecting", "closing", "closed"};
    return WORD_OF(words, state);
}

const char *holdfast_event_text(enum holdfast_event_kind kind)
{
    static const char *const words[] = {NULL,   "open",  "message", "reconnecting", "resumed",
                                        "lost", "close", "state",   "rebound",      "authorized"};
    return WORD_OF(words, kind);
}

const char *holdfast_send_text(enum holdfast_send result)
{
    static const char *const words[] = {"sent",     "queued",   "full",         "too_big",
                                        "not_utf8", "not_open", "out_of_memory"};
    return WORD_OF(words, result);
}

/* ---- telling ------------------------------------------------------------------------------------
 */

static void tell(struct holdfast_client *c, struct holdfast_event *event)
{
    event->state = c->state;
    if (c->settings->handler != NULL && !c->dead) {
        c->settings->handler(c->settings->handler_context, c, event);
    }
}

void hf_client_set_state(struct holdfast_client *c, enum holdfast_state state)
{
    struct holdfast_event event = {.kind = HOLDFAST_EVENT_STATE};
    if (c->state == state) {
        return;
    }
    pthread_mutex_lock(&c->lock);
    c->state = state;
    pthread_mutex_unlock(&c->lock);
    tell(c, &event);
}

/* The state while there is no connection, or while there is one, unless the application closed. */
static void move_to(struct holdfast_client *c, enum holdfast_state state)
{
    if (c->state != HOLDFAST_CLOSING) {
        hf_client_set_state(c, state);
    }
}

/* ---- how it ended -------------------------------------------------------------------------------
 */

void hf_client_say_loss(struct holdfast_client *c, enum hf_loss loss, const char *why)
{
    c->loss = loss;
    (void)snprintf(c->why, sizeof(c->why), "%s", why);
}

static int64_t ms_since(const struct holdfast_client *c, hf_time then)
{
    return then == 0 ? -1 : (hf_loop_now(c->loop->io) - then) / 1000;
}

/* The words of what ended last. */
static const struct holdfast_record *record_of(struct holdfast_client *c)
{
    struct holdfast_record *r = &c->record;
    const bool told = c->end.told;
    const uint64_t told_code = c->end.code == HF_NO_COUNT ? 0 : c->end.code;
    *r = (struct holdfast_record){
        .cause = told ? c->end.reason : hf_loss_id(c->loss),
        .who = told ? c->end.who : hf_loss_who(c->loss),
        .http = told && c->end.http != HF_NO_COUNT ? (int)c->end.http : c->http,
        .reason = c->why,
        .held_ms = ms_since(c, c->began),
        .silent_rx_ms = ms_since(c, c->heard),
        .silent_tx_ms = ms_since(c, c->said),
        .rtt_ms = c->stats.rtt_ms,
        .unacked = hf_client_unacked(&c->session),
    };
    if (c->close_code != 0) {
        r->code = c->close_code;
    } else if (c->opened_at != HF_NEVER) {
        r->code = told_code != 0 ? (int)told_code : HF_CLOSE_ABNORMAL;
    }
    return r;
}

static const char *url_of(const struct holdfast_client *c)
{
    return c->display == NULL ? "" : c->display;
}

/* ---- events of the session ----------------------------------------------------------------------
 */

/* The session's texts as the application takes them: NUL stands behind. "" when there is no memory.
 */
static const char *text_of(struct holdfast_client *c, struct hf_buffer *text)
{
    if (text->len == 0 || hf_buffer_reserve(text, 1) != HF_OK) {
        return "";
    }
    text->data[text->len] = '\0';
    return (const char *)text->data;
}

static void tell_open(struct holdfast_client *c)
{
    const bool gateway = c->session.link == HF_CLIENT_ATTACHED;
    struct holdfast_event event = {
        .kind = HOLDFAST_EVENT_OPEN,
        .protocol = text_of(c, &c->session.protocol),
        .session = gateway ? text_of(c, &c->session.name) : "",
        .gateway = gateway,
        .url = url_of(c),
    };
    c->settled_at = hf_loop_now(c->loop->io) + SETTLED;
    c->away_from = HF_NEVER;
    pthread_mutex_lock(&c->lock);
    c->stats.connections++;
    c->stats.next_attempt_ms = -1;
    pthread_mutex_unlock(&c->lock);
    struct hf_place *place = hf_client_place(c);
    if (place != NULL) {
        place->failures = 0;
        place->hello = place->hello || gateway;
        if (c->downgraded && !gateway) {
            place->plain_till = hf_loop_now(c->loop->io) + HF_PLACE_PLAIN;
        }
    }
    c->downgraded = false;
    move_to(c, HOLDFAST_OPEN);
    tell(c, &event);
}

static void tell_resumed(struct holdfast_client *c)
{
    struct holdfast_event event = {
        .kind = HOLDFAST_EVENT_RESUMED,
        .protocol = text_of(c, &c->session.protocol),
        .session = text_of(c, &c->session.name),
        .gateway = true,
        .url = url_of(c),
        .attempts = c->attempts,
        .away_ms = c->away_from == HF_NEVER ? 0 : ms_since(c, c->away_from),
    };
    hf_backoff_reset(&c->backoff);
    c->attempts = 0;
    c->away_from = HF_NEVER;
    pthread_mutex_lock(&c->lock);
    c->stats.connections++;
    c->stats.resumes++;
    c->stats.next_attempt_ms = -1;
    pthread_mutex_unlock(&c->lock);
    struct hf_place *place = hf_client_place(c);
    if (place != NULL) {
        place->failures = 0;
        place->hello = true;
    }
    move_to(c, HOLDFAST_OPEN);
    tell(c, &event);
}

static void tell_message(struct holdfast_client *c, const struct hf_client_event *from)
{
    struct holdfast_event event = {
        .kind = HOLDFAST_EVENT_MESSAGE,
        .type = from->opcode == HF_OP_TEXT ? HOLDFAST_TEXT : HOLDFAST_BINARY,
        .data = from->data.len > 0 ? (const void *)from->data.ptr : "",
        .size = from->data.len,
        .number = from->number,
    };
    tell(c, &event);
}

/* The records that are handed back, as an array; NULL when there are none, or no memory. */
static struct holdfast_message *records_of(struct holdfast_client *c, uint64_t sent, size_t *count)
{
    struct hf_record record;
    struct holdfast_message *messages;
    *count = (size_t)(c->session.lost.end - c->session.lost.base);
    messages = *count == 0 ? NULL : calloc(*count, sizeof(*messages));
    *count = messages == NULL ? 0 : *count; /* the counts of the event say how many there were */
    for (size_t i = 0; messages != NULL && hf_client_lost_next(&c->session, &record); i++) {
        messages[i] = (struct holdfast_message){
            .type = record.opcode == HF_OP_TEXT ? HOLDFAST_TEXT : HOLDFAST_BINARY,
            .data = record.payload.ptr,
            .size = record.payload.len,
            .number = record.number,
            .sent = record.number <= sent,
        };
    }
    return messages;
}

static void tell_lost(struct holdfast_client *c, const struct hf_client_event *from)
{
    char reason[65];
    struct holdfast_lost lost = {
        .reason = reason,
        .received = from->received,
        .acked = from->acked,
        .sent = from->sent,
        .old_received = from->old_received == HF_NO_COUNT ? -1 : (int64_t)from->old_received,
    };
    struct holdfast_event event = {.kind = HOLDFAST_EVENT_LOST, .lost = &lost};
    struct holdfast_message *messages = records_of(c, from->sent, &lost.message_count);
    (void)snprintf(reason, sizeof(reason), "%.*s", HF_SLICE_ARG(from->reason));
    lost.messages = messages;
    pthread_mutex_lock(&c->lock);
    c->stats.losses++;
    pthread_mutex_unlock(&c->lock);
    tell(c, &event);
    free(messages);
}

/* Where goaway points to is as safe as what is in use, or it is not gone to: a gateway has no word
 * in sockets of this machine, nor in whether the credentials go out in the clear. */
static bool may_go(const struct holdfast_client *c, struct hf_slice to)
{
    struct hf_url from, next;
    const char *why;
    return hf_url_parse(to, &next, &why) && hf_url_parse(hf_slice_of(url_of(c)), &from, &why) &&
           next.port != 0 && (next.tls || !from.tls);
}

static void take_goaway(struct holdfast_client *c, const struct hf_client_event *event)
{
    const hf_time now = hf_loop_now(c->loop->io);
    const uint64_t most = 24 * 60 * 60 * 1000;
    const hf_time in = HF_MS((hf_time)(event->in_ms < most ? event->in_ms : most));
    free(c->next_url);
    c->next_url = may_go(c, event->url) ? hf_alloc_text(&hf_heap, event->url) : NULL;
    c->leave_by = now + in / 10 * 9;
    c->leave_at = now + (hf_time)hf_random_below(&c->loop->random, (uint64_t)in / 10 * 8 + 1);
}

/* ---- what follows an end ------------------------------------------------------------------------
 */

static hf_time wait_of(struct holdfast_client *c, const struct hf_client_event *event)
{
    const struct hf_backoff_rules rules = {
        .base = c->settings->backoff_base, .factor_percent = 200, .cap = c->settings->backoff_cap};
    hf_time least = HF_MS((hf_time)event->retry_ms);
    least = least > HF_MS(c->retry_ms) ? least : HF_MS(c->retry_ms);
    if (c->loss == HF_LOSS_GOAWAY) {
        return 0; /* its time was drawn already */
    }
    if (event->soon) {
        return least + (hf_time)hf_random_below(&c->loop->random, (uint64_t)SOON + 1);
    }
    return least + hf_backoff_next(&c->backoff, &rules, &c->loop->random);
}

static void take_retry(struct holdfast_client *c, const struct hf_client_event *from)
{
    const hf_time wait = wait_of(c, from);
    struct holdfast_event event = {
        .kind = HOLDFAST_EVENT_RECONNECTING,
        .record = record_of(c),
        .attempts = ++c->attempts,
        .delay_ms = wait / 1000,
        .url = url_of(c),
    };
    c->retry_at = hf_loop_now(c->loop->io) + wait;
    pthread_mutex_lock(&c->lock);
    c->stats.next_attempt_ms = wait / 1000;
    pthread_mutex_unlock(&c->lock);
    if (c->state == HOLDFAST_OPEN) {
        move_to(c, HOLDFAST_RECONNECTING);
    }
    tell(c, &event);
}

static void take_done(struct holdfast_client *c)
{
    struct holdfast_event event = {.kind = HOLDFAST_EVENT_CLOSE, .record = record_of(c)};
    c->retry_at = HF_NEVER;
    hf_client_drop(c);
    hf_client_set_state(c, HOLDFAST_CLOSED);
    hf_timer_stop(c->loop->io, &c->timer);
    pthread_mutex_lock(&c->lock);
    c->stats.next_attempt_ms = -1;
    pthread_mutex_unlock(&c->lock);
    tell(c, &event);
}

static void take_event(struct holdfast_client *c, const struct hf_client_event *event)
{
    switch (event->kind) {
    case HF_CLIENT_EVENT_NONE:
        break;
    case HF_CLIENT_EVENT_OPEN:
        tell_open(c);
        break;
    case HF_CLIENT_EVENT_RESUMED:
        tell_resumed(c);
        break;
    case HF_CLIENT_EVENT_MESSAGE:
        tell_message(c, event);
        break;
    case HF_CLIENT_EVENT_LOST:
        tell_lost(c, event);
        break;
    case HF_CLIENT_EVENT_REBOUND:
        tell(c, &(struct holdfast_event){.kind = HOLDFAST_EVENT_REBOUND,
                                         .from = event->from,
                                         .to = event->to,
                                         .attempts = event->attempt});
        break;
    case HF_CLIENT_EVENT_GOAWAY:
        take_goaway(c, event);
        break;
    case HF_CLIENT_EVENT_AUTH_OK:
        tell(c, &(struct holdfast_event){.kind = HOLDFAST_EVENT_AUTHORIZED,
                                         .expires = (int64_t)event->number});
        break;
    case HF_CLIENT_EVENT_ABANDON:
        hf_client_give_up(c, hf_loss_from_id((const char *)event->data.ptr), event->why);
        break;
    case HF_CLIENT_EVENT_RETRY:
        take_retry(c, event);
        break;
    case HF_CLIENT_EVENT_DONE:
        take_done(c);
        break;
    }
}

void hf_client_tell_all(struct holdfast_client *c)
{
    struct hf_client_event event;
    while (!c->dead) {
        pthread_mutex_lock(&c->lock);
        const enum hf_client_event_kind kind = hf_client_next(&c->session, &event);
        pthread_mutex_unlock(&c->lock);
        if (kind == HF_CLIENT_EVENT_NONE) {
            break;
        }
        take_event(c, &event);
    }
}
