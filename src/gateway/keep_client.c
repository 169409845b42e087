/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of a keep: its connections come and go, its messages and control messages come,
 * and what the journal holds goes to it. See keeper.h. */
#include "gateway/keep_hold.h"

#include <stdio.h>
#include <stdlib.h>

/* Bytes of a message that is announced by `coming`. */
#define COMING_FROM 65536
/* POSTs of one session whose bodies may come side by side: they stand in no other book. */
#define BODIES_MAX 4

/* ---- attaching and parking ---------------------------------------------------------------------
 */

/* The new connection's credentials and address are the session's from now on; what it holds in the
 * limits goes over too. Runtime, route and backend stay those the session was opened with. */
static void renew_identity(struct hf_keep *k, struct hf_identity *fresh)
{
    struct hf_identity *mine = k->identity;
    struct hf_membership *membership = mine->membership;
    mine->membership = fresh->membership;
    fresh->membership = membership;
    mine->expires = fresh->expires;
    memcpy(mine->peer, fresh->peer, sizeof(mine->peer));
    mine->peer_port = fresh->peer_port;
    mine->tls = fresh->tls;
    hf_identity_free(fresh, k->backend.worker);
}

uint64_t hf_keep_attach(struct hf_keep *k, struct hf_attachment *a, const struct hf_token *token,
                        uint64_t received, uint64_t attempt, struct hf_identity *identity)
{
    enum hf_session_state before = (enum hf_session_state)k->session.state;
    if (k->close_sent && k->client != NULL) {
        k->client->keep = NULL; /* it closes already */
        k->client = NULL;
    }
    k->close_sent = false;
    if (token == NULL) { /* openings have no order: the displaced one may be the newer */
        hf_keep_let_go(k, NULL, NULL, 0, 0, HF_CLOSE_ABNORMAL, hf_slice(NULL, 0));
    } else {
        hf_keep_let_go(k, "gateway", "superseded", 0, 0, hf_end_code("superseded"),
                       HF_LITERAL("superseded"));
    }
    uint64_t missing =
        hf_session_attach(&k->session, &hf_heap, token, received, attempt, hf_keep_now(k));
    renew_identity(k, identity);
    k->client = a;
    a->keep = k;
    k->goaway_said = false;
    k->announced = false;
    hf_keep_moved(k, before);
    hf_keep_charge(k);
    if (k->session.state != HF_SESSION_OPENING) {
        hf_keep_check_room(k);
    }
    return missing;
}

void hf_keep_park(struct hf_keep *k, hf_time wait)
{
    enum hf_session_state before = (enum hf_session_state)k->session.state;
    hf_count(k->backend.worker, HF_COUNT_sessions_parked, 1);
    k->close_sent = false;
    k->replay_until = HF_NO_COUNT;
    hf_session_detach(&k->session, wait, hf_keep_now(k));
    if (before == HF_SESSION_OPENING && !k->birth->joinable) {
        hf_keep_give_up(k, HF_CAUSE_CLIENT_GONE); /* nobody could come back to it */
        return;
    }
    hf_keep_moved(k, before);
    if (k->session.state != HF_SESSION_OPENING) {
        hf_keep_check_room(k);
    }
    hf_keep_set_timer(k);
    if (k->session.state != HF_SESSION_OPENING) {
        hf_keep_enter_parked(k);
    }
}

static struct hf_keep *detach(struct hf_attachment *a)
{
    struct hf_keep *k = a->keep;
    a->keep = NULL;
    k->client = NULL;
    return k;
}

void hf_keep_lost(struct hf_attachment *a, enum hf_cause cause, int error)
{
    struct hf_keep *k = detach(a);
    struct hf_log *log = k->backend.worker->gateway->log;
    k->backend.worker->sessions.lost[cause]++;
    if (hf_log_wants(log, HF_LOG_DEBUG)) {
        struct hf_log_line line;
        hf_log_begin(&line, log, HF_LOG_DEBUG, k->backend.worker->loop->wall, "session");
        hf_log_number(&line, "id", (int64_t)k->session.id);
        hf_log_cstr(&line, "what", "lost");
        hf_log_cstr(&line, "cause", hf_cause_id(cause));
        hf_log_number(&line, "errno", error);
        hf_log_end(&line);
    }
    hf_keep_park(k, hf_keep_rules(k)->window);
}

/* ---- goodbyes ----------------------------------------------------------------------------------
 */

static void say_bye(struct hf_keep *k, uint16_t code, struct hf_slice reason)
{
    struct hf_keep_bye *bye = k->bye;
    if (bye != NULL) {
        return; /* the first one holds */
    }
    bye = calloc(1, sizeof(*bye));
    if (bye == NULL) {
        hf_keep_give_up(k, HF_CAUSE_OUT_OF_RESOURCES);
        return;
    }
    reason = hf_slice_first(reason, sizeof(bye->reason));
    bye->code = code;
    bye->reason_len = (uint8_t)reason.len;
    bye->deadline = hf_keep_now(k) + HF_WIRE_CLOSE_WAIT;
    if (reason.len > 0) {
        memcpy(bye->reason, reason.ptr, reason.len);
    }
    k->bye = bye;
    hf_keep_finish_bye(k, false);
}

void hf_keep_finish_bye(struct hf_keep *k, bool now)
{
    struct hf_session *s = &k->session;
    if (k->bye == NULL || s->state == HF_SESSION_ENDED ||
        (!now && (s->written != s->counted || s->taken != s->counted) &&
         (s->state == HF_SESSION_ATTACHED || s->state == HF_SESSION_PARKED))) {
        return;
    }
    struct hf_keep_bye bye = *k->bye;
    struct hf_slice reason = {bye.reason, bye.reason_len};
    uint16_t code = bye.code == 0 ? HF_CLOSE_NO_CODE : bye.code;
    /* What the client's code says, section 8. A backend that has closed takes nothing more. */
    bool all = s->taken == s->counted && s->state != HF_SESSION_CLOSING;
    if (k->client != NULL && s->told != s->counted && s->state != HF_SESSION_OPENING) {
        hf_keep_say_ack(k);
    }
    struct hf_farewell f = {.cause = HF_CAUSE_CLIENT_CLOSE,
                            .verdict = HF_RESUME_CLOSED,
                            .code_in = code,
                            .client_code = all ? code : HF_CLOSE_TRY_AGAIN,
                            .client_reason = reason,
                            .backend_code = code,
                            .backend_reason = reason};
    hf_keep_end(k, &f);
}

static bool parks(uint16_t code)
{
    return code == HF_CLOSE_NO_CODE || code == HF_CLOSE_GOING_AWAY || code == HF_CLOSE_RESTART ||
           code == HF_CLOSE_TRY_AGAIN || code == HF_CLOSE_ABANDON;
}

static void end_with(struct hf_keep *k, uint16_t code, struct hf_slice reason)
{
    struct hf_farewell f = {.cause = HF_CAUSE_CLIENT_CLOSE,
                            .verdict = HF_RESUME_CLOSED,
                            .code_in = code,
                            .client_code = code,
                            .client_reason = reason,
                            .backend_code = code,
                            .backend_reason = reason};
    hf_keep_end(k, &f);
}

/* The backend's Close was taken: the end of a session as it should be. */
static void end_closing(struct hf_keep *k)
{
    struct hf_session_close close = *k->session.close;
    struct hf_slice reason = {close.reason, close.reason_len};
    struct hf_farewell f = {.cause = HF_CAUSE_BACKEND_CLOSE,
                            .verdict = HF_RESUME_CLOSED,
                            .code_in = close.code,
                            .client_code = close.code,
                            .client_reason = reason,
                            .backend_code = close.code,
                            .backend_reason = reason};
    hf_keep_end(k, &f);
}

bool hf_keep_closed(struct hf_attachment *a, uint16_t code, struct hf_slice reason)
{
    struct hf_keep *k = a->keep;
    /* Not one that crossed ours: a library that gave the connection up meanwhile has not got it. */
    if (k->close_sent && (code == k->session.close->code || !parks(code))) {
        detach(a);
        end_closing(k);
        return true;
    }
    if (k->bye != NULL) {
        return false;
    }
    if (parks(code)) {
        detach(a);
        hf_keep_park(k, code == HF_CLOSE_GOING_AWAY ? hf_keep_rules(k)->leave
                                                    : hf_keep_rules(k)->window);
        return true;
    }
    if (code == HF_CLOSE_NORMAL || (code >= 3000 && code <= 4999)) {
        say_bye(k, code, reason);
        return false; /* `end` was called, or will be */
    }
    detach(a);
    end_with(k, code, reason);
    return true;
}

void hf_keep_fault(struct hf_attachment *a, enum hf_cause cause, uint16_t code, const char *why)
{
    struct hf_keep *k = a->keep;
    struct hf_farewell f = {.cause = cause,
                            .verdict = HF_RESUME_CLOSED,
                            .who = "client",
                            .reason = code == HF_CLOSE_TOO_BIG             ? "too_big"
                                      : cause == HF_CAUSE_MESSAGE_RATE     ? "limit"
                                      : cause == HF_CAUSE_OUT_OF_RESOURCES ? "unavailable"
                                                                           : "protocol",
                            .client_code = code,
                            .client_reason = hf_slice_of(why),
                            .backend_code = HF_CLOSE_GOING_AWAY,
                            .backend_reason = HF_LITERAL("client failed")};
    hf_keep_end(k, &f);
}

static void fault(struct hf_keep *k, enum hf_cause cause, uint16_t code, const char *why)
{
    struct hf_attachment none = {.keep = k};
    hf_keep_fault(&none, cause, code, why);
}

/* ---- control messages --------------------------------------------------------------------------
 */

static void take_ack(struct hf_keep *k, uint64_t n)
{
    const char *why = hf_session_acked(&k->session, &hf_heap, n);
    if (why != NULL) {
        fault(k, HF_CAUSE_CLIENT_PROTOCOL, HF_CLOSE_PROTOCOL, why);
        return;
    }
    hf_keep_charge(k);
    if (k->session.state == HF_SESSION_CLOSING && k->client == NULL &&
        k->session.journal.base == k->session.journal.end) {
        end_closing(k);
        return;
    }
    hf_keep_check_room(k);
    hf_keep_pump_client(k);
}

static uint16_t bye_code(uint64_t code)
{
    return code == HF_CLOSE_NORMAL || (code >= 3000 && code <= 4999) ? (uint16_t)code : 0;
}

bool hf_keep_post_control(struct hf_keep *k, struct hf_slice text)
{
    struct hf_keeper *keeper = hf_keep_keeper(k);
    struct hf_control c;
    if (k->session.state == HF_SESSION_ENDED) {
        return false;
    }
    const char *why = hf_control_read(text, &keeper->room, &c);
    if (why != NULL) {
        fault(k, keeper->room.failed ? HF_CAUSE_OUT_OF_RESOURCES : HF_CAUSE_CLIENT_PROTOCOL,
              keeper->room.failed ? HF_CLOSE_INTERNAL : HF_CLOSE_PROTOCOL, why);
        return false;
    }
    hf_keep_met(k);
    if (c.verb == HF_VERB_ACK) {
        take_ack(k, c.n);
    } else if (c.verb == HF_VERB_BYE) {
        say_bye(k, bye_code(c.code), c.reason);
    } else if (c.verb == HF_VERB_AUTH) {
        hf_keep_auth(k, c.value);
    }
    return k->session.state != HF_SESSION_ENDED;
}

bool hf_keep_begin_body(struct hf_keep *k)
{
    if (k->bodies >= BODIES_MAX) {
        return false;
    }
    k->bodies++;
    return true;
}

void hf_keep_end_body(struct hf_keep *k)
{
    HF_ASSERT(k->bodies > 0);
    k->bodies--;
}

bool hf_keep_control(struct hf_attachment *a, struct hf_slice text)
{
    struct hf_keep *k = a->keep;
    hf_session_heard(&k->session);
    return hf_keep_post_control(k, text) && a->keep == k;
}

/* ---- messages to the client --------------------------------------------------------------------
 */

static void say_coming(struct hf_keep *k, uint64_t bytes)
{
    struct hf_control coming;
    if (bytes < COMING_FROM || k->announced) {
        return;
    }
    k->announced = true;
    hf_control_init(&coming, HF_VERB_COMING);
    coming.bytes = bytes;
    hf_attachment_say(hf_keep_keeper(k), k->client, &coming);
}

static void say_live(struct hf_keep *k)
{
    struct hf_control live;
    if (k->replay_until == HF_NO_COUNT || k->session.sent.number < k->replay_until) {
        return;
    }
    k->replay_until = HF_NO_COUNT;
    hf_control_init(&live, HF_VERB_LIVE);
    live.sent = k->session.sent.number;
    hf_attachment_say(hf_keep_keeper(k), k->client, &live);
    hf_keep_say_ack(k); /* the one before may have been lost with the connection */
}

/* Behind the last message goes the backend's Close. */
static void send_close(struct hf_keep *k)
{
    struct hf_session *s = &k->session;
    if (s->state != HF_SESSION_CLOSING || k->close_sent || s->sent.number < s->journal.end ||
        k->replay_until != HF_NO_COUNT) {
        return;
    }
    k->close_sent = true;
    if (s->taken > s->told) {
        hf_keep_say_ack(k);
    }
    k->client->ops->end(k->client, s->close->code, hf_slice(s->close->reason, s->close->reason_len),
                        true);
}

/* A client that does not acknowledge by itself. */
static bool ask_taken(struct hf_keep *k)
{
    uint64_t before = k->session.journal.base;
    if (k->client->ops->taken != NULL) {
        uint64_t n = k->client->ops->taken(k->client);
        n = n > k->session.sent.number ? k->session.sent.number : n;
        if (n > before) {
            (void)hf_session_acked(&k->session, &hf_heap, n);
        }
    }
    return k->session.journal.base > before;
}

void hf_keep_pump_client(struct hf_keep *k)
{
    struct hf_session *s = &k->session;
    struct hf_record record;
    if (k->client == NULL || k->pumping || s->state == HF_SESSION_OPENING || k->close_sent) {
        return;
    }
    k->pumping = true;
    hf_keep_hold_tell(k);
    do {
        while (hf_session_next(s, hf_keep_rules(k), &record)) {
            say_coming(k, record.payload.len);
            if (!k->client->ops->message(k->client, record.number, record.opcode, record.payload)) {
                k->pumping = false;
                return; /* hf_keep_writable goes on */
            }
            hf_session_sent(s);
            k->announced = false;
            hf_keep_hold_tell(k);
            say_live(k);
        }
    } while (s->sent.number < s->journal.end && ask_taken(k));
    k->pumping = false;
    say_live(k);
    send_close(k);
}

void hf_keep_writable(struct hf_attachment *a)
{
    struct hf_keep *k = a->keep;
    hf_keep_pump_client(k);
    hf_keep_check_room(k);
}

/* ---- acknowledging -----------------------------------------------------------------------------
 */

void hf_keep_say_ack(struct hf_keep *k)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "ack n=%llu", (unsigned long long)k->session.taken);
    hf_session_told(&k->session, hf_keep_now(k));
    k->client->ops->control(k->client, hf_slice(text, (size_t)len));
}

void hf_keep_tell(struct hf_keep *k)
{
    if (k->client != NULL && !k->close_sent &&
        hf_session_owes_ack(&k->session, hf_keep_rules(k), hf_keep_now(k))) {
        hf_keep_say_ack(k);
    }
    hf_keep_set_timer(k);
}
