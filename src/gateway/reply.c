/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are not 101, and the records of openings that end. */
#include "gateway/keep_websocket.h"
#include "gateway/keeper.h"
#include "gateway/ledger.h"
#include "gateway/opening.h"

#include "base/redact.h"

#include <stdio.h>
#include <stdlib.h>

#define LINGER HF_SECONDS(2)

/* For a connection that came to no route: its address, and the path when a head was read. NULL on
 * no memory. */
static struct hf_identity *make_nobody(const struct hf_opening *o)
{
    struct hf_buffer path;
    hf_buffer_init(&path, &hf_heap, o->head_bytes.max * 2);
    if (o->head != NULL) {
        hf_redact_target(o->head->target, &path);
    }
    struct hf_identity *nobody =
        hf_identity_new(o->runtime, hf_slice(NULL, 0), hf_slice_first(hf_buffer_slice(&path), 512));
    hf_buffer_reset(&path);
    if (nobody != NULL) {
        nobody->id = o->id;
        memcpy(nobody->peer, o->peer, sizeof(o->peer));
        nobody->peer_port = o->peer_port;
        nobody->tls = o->listener_tls != NULL;
    }
    return nobody;
}

void hf_opening_record(struct hf_opening *o, enum hf_cause cause, uint16_t http, const char *reason,
                       int error)
{
    struct hf_ending e = {.cause = cause, .http = http, .error = error};
    if (o->ended) {
        return;
    }
    o->ended = true;
    e.held = o->worker->loop->now - o->accepted;
    e.rtt_us = UINT32_MAX;
    (void)snprintf(e.reason, sizeof(e.reason), "%s", reason);
    hf_count(o->worker, HF_COUNT_handshakes_refused, 1);
    struct hf_identity *nobody = o->identity == NULL ? make_nobody(o) : NULL;
    if (o->identity != NULL || nobody != NULL) {
        hf_ledger_record(o->worker, o->identity != NULL ? o->identity : nobody, &e);
    }
    free(nobody); /* it holds nothing */
}

static void add_headers(struct hf_opening *o, enum hf_cause cause, uint16_t status,
                        uint32_t retry_after)
{
    struct hf_buffer *b = &o->reply;
    hf_buffer_addf(
        b,
        "HTTP/1.1 %u %s\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
        "Holdfast-Cause: %s\r\nContent-Type: text/plain; charset=utf-8\r\n",
        status, hf_http_reason(status), hf_cause_id(cause));
    if (o->head != NULL) {
        hf_cors_write(o->cors, hf_head_find(o->head, "Origin"), b); /* script may read why */
    }
    if (status == 426) {
        hf_buffer_add_text(
            b, "Upgrade: websocket\r\nConnection: upgrade, close\r\n"); /* RFC 9110 15.5.22, 7.8 */
    } else {
        hf_buffer_add_text(b, "Connection: close\r\n");
    }
    if (status == 426 || o->tell_version) {
        hf_buffer_add_text(b, "Sec-WebSocket-Version: 13\r\n"); /* RFC 6455 4.4 */
    }
    if (status == 401) {
        hf_buffer_add_text(b, "WWW-Authenticate: Bearer\r\n"); /* RFC 9110 15.5.2 */
    }
    if (status == 405) {
        hf_buffer_add_text(b, "Allow: GET\r\n");
    }
    if (retry_after > 0) {
        hf_buffer_addf(b, "Retry-After: %u\r\n", retry_after);
    }
}

/* The word of `end` for it. */
static const char *reason_of(enum hf_cause cause, uint16_t status)
{
    return cause == HF_CAUSE_HOST_REFUSED     ? "host"
           : cause == HF_CAUSE_ORIGIN_REFUSED ? "origin"
                                              : hf_refusal_reason(status);
}

void hf_opening_refuse(struct hf_opening *o, enum hf_cause cause, uint16_t status, const char *why,
                       uint32_t retry_after)
{
    bool head = o->head != NULL && hf_slice_eq(o->head->method, HF_LITERAL("HEAD"));
    bool inside = hf_opening_keeps(o);
    hf_opening_auth_abandoned(o);
    hf_opening_record(o, cause, status, why, 0);
    if (inside) {
        hf_opening_refuse_inside(o, "gateway", reason_of(cause, status), status,
                                 retry_after * 1000);
        return;
    }
    hf_buffer_clear(&o->reply);
    add_headers(o, cause, status, retry_after);
    hf_buffer_addf(&o->reply, "Content-Length: %zu\r\n\r\n", strlen(why) + 1);
    if (!head) {
        hf_buffer_addf(&o->reply, "%s\n", why);
    }
    hf_opening_reply(o);
}

void hf_opening_reply(struct hf_opening *o)
{
    if (o->phase != HF_OPENING_REPLY) {
        hf_dial_cancel(o->dial);
        o->dial = NULL;
        hf_callout_cancel(o->callout);
        o->callout = NULL;
        if (o->identity != NULL) {
            hf_identity_leave(o->identity, o->worker);
        }
        hf_opening_phase(o, HF_OPENING_REPLY, LINGER);
        hf_stream_resume(o->client);
    }
    if (o->reply.len > 0) {
        hf_buffer_drop(&o->reply, hf_stream_send(o->client, hf_buffer_slice(&o->reply)));
    }
    if (o->reply.len == 0) {
        /* What the client still sends is read away until it ends too, so that TCP does not reset
         * the answer. */
        hf_stream_shut(o->client);
    }
}
