/* SPDX-License-Identifier: Apache-2.0 */
/* Fresh credentials of a session, in-band (docs/protocol.md section 2, `auth`): a token is checked
 * as at a handshake, or the application is asked again with the value as Authorization Bearer. They
 * must name the same principal. At most one a second counts; who sends more is not listened to. */
#include "gateway/keep_hold.h"

#include "gateway/callout.h"

#include <stdio.h>
#include <stdlib.h>

struct hf_keep_auth {
    struct hf_rate rate;
    struct hf_callout *callout;   /* NULL: nobody is being asked */
    struct hf_buffer value;       /* that is being asked about */
    struct hf_petition *petition; /* owned; NULL: the hold has it */
    bool ignored;                 /* the log says already that too many come */
};

static bool auth_new(struct hf_keep *k)
{
    if (k->auth == NULL && (k->auth = calloc(1, sizeof(*k->auth))) != NULL) {
        hf_rate_init(&k->auth->rate);
        hf_buffer_init(&k->auth->value, &hf_heap, HF_CONTROL_AUTH_MAX);
    }
    return k->auth != NULL;
}

bool hf_keep_auth_keep(struct hf_keep *k, struct hf_petition *petition)
{
    if (!auth_new(k)) {
        return false;
    }
    k->auth->petition = petition;
    return true;
}

void hf_keep_auth_free(struct hf_keep *k)
{
    if (k->auth != NULL) {
        hf_callout_cancel(k->auth->callout);
        hf_buffer_reset(&k->auth->value);
        hf_petition_free(k->auth->petition);
        free(k->auth);
        k->auth = NULL;
    }
}

static void log_auth(const struct hf_keep *k, const char *result, const char *reason)
{
    struct hf_log_line line;
    char peer[46];
    hf_peer_text(k->identity->peer, peer);
    hf_log_begin(&line, k->backend.worker->gateway->log, HF_LOG_INFO, k->backend.worker->loop->wall,
                 "ws auth");
    hf_log_number(&line, "id", (int64_t)k->session.id);
    hf_log_cstr(&line, "result", result);
    hf_log_cstr(&line, "subject", hf_identity_subject(k->identity));
    hf_log_cstr(&line, "reason", reason);
    hf_log_cstr(&line, "address", peer);
    hf_log_cstr(&line, "route", k->backend.route->config->name);
    hf_log_end(&line);
}

static void refuse(struct hf_keep *k, enum hf_cause cause, const char *why)
{
    struct hf_farewell f = {.cause = cause,
                            .verdict = HF_RESUME_AUTH,
                            .who = "gateway",
                            .reason = "auth",
                            .client_code = hf_end_code("auth"),
                            .client_reason = hf_slice_of(why),
                            .backend_code = HF_CLOSE_GOING_AWAY,
                            .backend_reason = HF_LITERAL("credentials refused")};
    log_auth(k, "refused", why);
    hf_keep_end(k, &f);
}

/* answer: header lines of the call-out. */
static void renew(struct hf_keep *k, struct hf_slice value, struct hf_slice answer, hf_wall expires)
{
    struct hf_control ok;
    log_auth(k, "ok", "renewed in-band");
    k->identity->expires = expires;
    if (k->backend.route->config->auth.kind != HF_AUTH_NONE) {
        hf_keep_hold_token(k, value, answer);
        if (k->session.state == HF_SESSION_ENDED) {
            return; /* for want of memory */
        }
    }
    if (k->client == NULL || k->session.state == HF_SESSION_OPENING || k->close_sent) {
        return;
    }
    hf_control_init(&ok, HF_VERB_AUTH_OK);
    ok.exp = expires == INT64_MAX ? 0 : (uint64_t)(expires / 1000);
    hf_attachment_say(hf_keep_keeper(k), k->client, &ok);
    hf_keep_set_timer(k);
}

static bool same_subject(const struct hf_keep *k, struct hf_slice subject)
{
    char text[HF_SUBJECT_MAX];
    hf_subject_write(subject, text);
    return strcmp(text, hf_identity_subject(k->identity)) == 0;
}

static void check_jwt(struct hf_keep *k, struct hf_slice value)
{
    const struct hf_jwt_config *config = &k->backend.route->config->jwt;
    struct hf_jwt_claims claims = {.expires = INT64_MAX};
    enum hf_jwt_verdict verdict =
        hf_jwt_check(k->backend.route->jwt, config, value, k->backend.worker->loop->wall, &claims);
    if (verdict != HF_JWT_OK) {
        refuse(k, HF_CAUSE_AUTH_INVALID, hf_jwt_verdict_text(verdict));
    } else if (!same_subject(k, hf_slice_of(claims.subject))) {
        refuse(k, HF_CAUSE_AUTH_REFUSED, "the token is another principal's");
    } else {
        renew(k, value, hf_slice(NULL, 0), config->expiry ? claims.expires : INT64_MAX);
    }
}

static void called_out(void *owner, const struct hf_callout_answer *answer)
{
    struct hf_keep *k = owner;
    k->auth->callout = NULL;
    switch (answer->kind) {
    case HF_CALLOUT_ALLOW:
        if (same_subject(k, answer->subject)) {
            renew(k, hf_buffer_slice(&k->auth->value), answer->headers, INT64_MAX);
        } else {
            refuse(k, HF_CAUSE_AUTH_REFUSED, "the application names another principal");
        }
        break;
    case HF_CALLOUT_DENY:
        refuse(k, answer->status == 401 ? HF_CAUSE_AUTH_INVALID : HF_CAUSE_AUTH_REFUSED,
               answer->why);
        break;
    case HF_CALLOUT_FAILED:
    case HF_CALLOUT_TIMEOUT:
    default:
        log_auth(k, "failed", answer->why); /* the credentials before it still hold */
        break;
    }
}

/* The request of the opening with another Authorization. */
static bool ask(struct hf_keep *k, const struct hf_petition *petition, struct hf_slice value)
{
    struct hf_head *head = hf_pool_take(&k->backend.worker->head_pool);
    struct hf_buffer bearer;
    char peer[46];
    size_t count = 0;
    hf_buffer_init(&bearer, &hf_heap, HF_CONTROL_AUTH_MAX + 16);
    hf_buffer_add_text(&bearer, "Bearer ");
    hf_buffer_add(&bearer, value);
    bool ok = head != NULL && !bearer.failed;
    if (ok) {
        size_t whole = offsetof(struct hf_head, headers) +
                       petition->head->count * sizeof(petition->head->headers[0]);
        memcpy(head, petition->head, whole);
        for (size_t i = 0; i < petition->head->count; i++) {
            if (!hf_slice_eq_nocase(head->headers[i].name, HF_LITERAL("Authorization"))) {
                head->headers[count++] = head->headers[i];
            }
        }
        ok = count < sizeof(head->headers) / sizeof(head->headers[0]);
    }
    if (ok) {
        head->headers[count++] =
            (struct hf_header){HF_LITERAL("Authorization"), hf_buffer_slice(&bearer)};
        head->count = (uint16_t)count;
        hf_peer_text(k->identity->peer, peer);
        ok = hf_callout_start(k->backend.worker->loop, k->backend.route->callout,
                              k->backend.route->config, head, peer, k->identity->tls, called_out, k,
                              &k->auth->callout) == HF_OK;
    }
    hf_buffer_reset(&bearer);
    hf_pool_put(&k->backend.worker->head_pool, head);
    return ok;
}

static bool is_visible(struct hf_slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] <= ' ' || value.ptr[i] >= 0x7f) {
            return false;
        }
    }
    return value.len > 0;
}

static void check_callout(struct hf_keep *k, struct hf_slice value)
{
    struct hf_keep_auth *auth = k->auth;
    const struct hf_petition *petition =
        auth->petition != NULL ? auth->petition : hf_keep_hold_petition(k);
    if (!is_visible(value)) {
        refuse(k, HF_CAUSE_AUTH_INVALID, "the credentials are no visible ASCII characters");
        return;
    }
    hf_callout_cancel(auth->callout);
    auth->callout = NULL;
    hf_buffer_clear(&auth->value);
    hf_buffer_add(&auth->value, value);
    if (petition == NULL || auth->value.failed || !ask(k, petition, value)) {
        log_auth(k, "failed", "out of memory");
    }
}

void hf_keep_auth(struct hf_keep *k, struct hf_slice value)
{
    static const struct hf_rate_rules rules = {.count = 1, .period = HF_SECONDS(1), .burst = 3};
    if (!auth_new(k)) {
        log_auth(k, "failed", "out of memory");
        return;
    }
    if (hf_rate_charge(&k->auth->rate, &rules, 1, hf_keep_now(k)) > 0) {
        if (!k->auth->ignored) { /* once: who sends thousands does not fill the log */
            k->auth->ignored = true;
            log_auth(k, "ignored", "more than one a second");
        }
        return;
    }
    switch (k->backend.route->config->auth.kind) {
    case HF_AUTH_JWT:
        check_jwt(k, value);
        break;
    case HF_AUTH_CALLOUT:
        check_callout(k, value);
        break;
    case HF_AUTH_NONE:
    default:
        renew(k, value, hf_slice(NULL, 0), INT64_MAX);
        break;
    }
}
