/* SPDX-License-Identifier: Apache-2.0 */
/* How a keep ends: the record, what is said to either side, and what is left of it. See keeper.h.
 */
#include "gateway/keeper.h"

#include "gateway/keep_hold.h"
#include "gateway/ledger.h"
#include "gateway/tomb.h"

#include <stdlib.h>

void hf_keep_moved(struct hf_keep *k, enum hf_session_state before)
{
    struct hf_keeper *keeper = hf_keep_keeper(k);
    bool parked = !k->session.connected && k->session.state != HF_SESSION_OPENING &&
                  k->session.state != HF_SESSION_ENDED;
    if (before != (enum hf_session_state)k->session.state) {
        keeper->worker->sessions.states[before]--;
        keeper->worker->sessions.states[k->session.state]++;
    }
    if (k->parking != NULL && !parked) {
        keeper->worker->sessions.parked_ms +=
            (uint64_t)((hf_keep_now(k) - k->parking->since) / 1000);
        hf_keep_leave_parked(k);
        free(k->parking);
        k->parking = NULL;
    } else if (k->parking == NULL && parked) {
        k->parking = calloc(1, sizeof(*k->parking)); /* without memory no cap counts it */
        if (k->parking != NULL) {
            k->parking->since = hf_keep_now(k);
        }
    }
    hf_list_remove(&k->node);
    hf_list_append(k->session.state == HF_SESSION_ENDED ? &keeper->ended
                   : parked                             ? &keeper->parked
                                                        : &keeper->live,
                   &k->node);
}

void hf_keep_let_go(struct hf_keep *k, const char *who, const char *reason, uint16_t http,
                    uint32_t retry_ms, uint16_t code, struct hf_slice text)
{
    struct hf_attachment *a = k->client;
    if (a == NULL) {
        return;
    }
    k->client = NULL;
    a->keep = NULL;
    if (k->close_sent) {
        return; /* the backend's Close has gone out: the transport finishes by itself */
    }
    if (reason != NULL) {
        hf_attachment_say_end(hf_keep_keeper(k), a, who, reason, http, retry_ms);
    }
    a->ops->end(a, code, text, false);
}

/* ---- the record --------------------------------------------------------------------------------
 */

static bool is_backends(enum hf_cause cause)
{
    return strcmp(hf_cause_who(cause), "backend") == 0 || cause == HF_CAUSE_BACKEND_TIMEOUT;
}

static void record(struct hf_keep *k, const struct hf_farewell *f)
{
    struct hf_ending e = {.cause = f->cause,
                          .open = k->session.state != HF_SESSION_OPENING,
                          .code = f->client_code,
                          .http = f->http,
                          .error = f->error,
                          .rtt_us = UINT32_MAX};
    struct hf_slice text = hf_slice_first(
        f->backend_reason.len > 0 ? f->backend_reason : f->client_reason, sizeof(e.reason) - 1);
    uint32_t now = hf_heartbeat_ms(hf_keep_now(k));
    memcpy(e.reason, text.ptr == NULL ? (const uint8_t *)"" : text.ptr, text.len);
    if (!e.open) {
        e.code = 0;
    }
    e.code_in = f->code_in;
    e.code_out =
        e.open ? (f->client_code != HF_CLOSE_ABNORMAL ? f->client_code : f->backend_code) : 0;
    e.held = hf_keep_now(k) - k->opened;
    if (hf_wire_is_open(&k->backend) && is_backends(f->cause)) {
        e.silent_rx = HF_MS((uint32_t)(now - k->backend.beat.heard_ms));
        e.silent_tx = HF_MS((uint32_t)(now - k->backend.beat.sent_ms));
        e.rtt_us = k->backend.beat.rtt_us;
        e.unacked = hf_stream_unacked(k->backend.stream);
    }
    e.messages_client = k->session.counted;
    e.messages_backend = k->session.journal.end;
    e.bytes_client = k->session.cost_in;
    e.bytes_backend = k->backend.bytes_in;
    hf_ledger_record(k->backend.worker, k->identity, &e);
}

/* ---- ending ------------------------------------------------------------------------------------
 */

static void free_soon(struct hf_keep *k)
{
    hf_timer_set(k->backend.worker->loop, &k->timer,
                 hf_keep_now(k)); /* a callback may be on the stack */
}

static void forget_secrets(struct hf_keep *k)
{
    hf_keep_met(k);
    hf_table_remove(&hf_keep_keeper(k)->by_id, &k->by_id);
}

void hf_keep_end(struct hf_keep *k, const struct hf_farewell *f)
{
    enum hf_session_state before = (enum hf_session_state)k->session.state;
    bool was_open = before != HF_SESSION_OPENING;
    if (before == HF_SESSION_ENDED) {
        return;
    }
    record(k, f);
    if (was_open) {
        hf_tomb_raise(hf_keep_keeper(k), &k->session, f->verdict, f->cause == HF_CAUSE_CLIENT_CLOSE,
                      hf_keep_rules(k)->window);
    }
    hf_session_end(&k->session);
    k->session.connected = false;
    hf_keep_moved(k, before);
    if (k->birth != NULL) {
        hf_dial_cancel(k->birth->dial);
        k->birth->dial = NULL;
    }
    forget_secrets(k);
    atomic_fetch_sub_explicit(&k->backend.worker->open_now, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&k->backend.route->state->open, 1, memory_order_relaxed);
    hf_keep_hold_free(k);
    hf_keep_auth_free(k);
    hf_keep_forget_full(k);
    hf_identity_leave(k->identity, k->backend.worker);
    hf_keep_let_go(k, f->who, f->reason, f->http, f->retry, f->client_code, f->client_reason);
    hf_session_fini(&k->session, &hf_heap);
    hf_keep_charge(k);
    hf_timer_stop(k->backend.worker->loop, &k->timer);
    if (f->cause == HF_CAUSE_BACKEND_STUCK) {
        hf_wire_abort(&k->backend);
    } else {
        hf_wire_close(&k->backend, f->backend_code, f->backend_reason);
    }
    if (k->backend.stream == NULL) {
        free_soon(k);
    }
}

void hf_keep_free(struct hf_keep *k)
{
    struct hf_keeper *keeper = hf_keep_keeper(k);
    HF_ASSERT(k->session.state == HF_SESSION_ENDED && k->client == NULL);
    hf_timer_stop(k->backend.worker->loop, &k->timer);
    hf_wire_fini(&k->backend);
    hf_list_remove(&k->node);
    keeper->worker->sessions.states[HF_SESSION_ENDED]--;
    keeper->keep_count--;
    hf_identity_free(k->identity, k->backend.worker);
    free(k->protocol);
    free(k->bye);
    hf_pool_put(&keeper->keep_pool, k);
}

void hf_keep_give_up(struct hf_keep *k, enum hf_cause cause)
{
    static const struct {
        enum hf_cause cause;
        enum hf_resume_verdict verdict;
        const char *who;
        const char *reason;
        const char *text;
    } ways[] = {
        {HF_CAUSE_DRAIN, HF_RESUME_UNKNOWN, "gateway", "drain", "server restarting"},
        {HF_CAUSE_STOP, HF_RESUME_UNKNOWN, "gateway", "stop", "server restarting"},
        {HF_CAUSE_TOKEN_EXPIRED, HF_RESUME_AUTH, "client", "auth", "token expired"},
        {HF_CAUSE_SESSION_EXPIRED, HF_RESUME_EXPIRED, "gateway", "expired", "client lost"},
        {HF_CAUSE_SESSION_OVERFLOW, HF_RESUME_OVERFLOW, "gateway", "overflow", "client too slow"},
        {HF_CAUSE_SESSION_LIMIT, HF_RESUME_EXPIRED, "gateway", "expired", "too many wait"},
        {HF_CAUSE_SESSION_POISON, HF_RESUME_POISON, "gateway", "poison", "client lost"},
        {HF_CAUSE_CLIENT_GONE, HF_RESUME_CLOSED, "client", "closed", "client lost"},
        {HF_CAUSE_OUT_OF_RESOURCES, HF_RESUME_OVERFLOW, "gateway", "unavailable",
         "out of resources"},
    };
    size_t last = sizeof(ways) / sizeof(ways[0]) - 1;
    size_t i = 0;
    while (i < last && ways[i].cause != cause) {
        i++;
    }
    struct hf_farewell f = {.cause = cause,
                            .verdict = ways[i].verdict,
                            .who = ways[i].who,
                            .reason = ways[i].reason,
                            .client_code = cause == HF_CAUSE_TOKEN_EXPIRED
                                               ? HF_CLOSE_TOKEN_EXPIRED
                                               : hf_end_code(ways[i].reason),
                            .client_reason = hf_slice_of(ways[i].text),
                            .backend_code = HF_CLOSE_GOING_AWAY,
                            .backend_reason = hf_slice_of(ways[i].text)};
    if (k->client == NULL) {
        f.client_code = HF_CLOSE_ABNORMAL;
    }
    hf_keep_end(k, &f);
}
