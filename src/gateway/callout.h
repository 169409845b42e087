/* SPDX-License-Identifier: Apache-2.0 */
/* The call-out: the application itself is asked whether a client may come in, by one HTTP/1.1 GET
 * over io to a URL of its own. 2xx lets in and may add headers and name the principal; 401 and 403
 * pass through with their body; everything else, and silence, is the call-out's failure and is
 * named. Lives on one loop. */
#ifndef HF_GATEWAY_CALLOUT_H
#define HF_GATEWAY_CALLOUT_H

#include "base/buffer.h"
#include "config/config.h"
#include "http/head.h"
#include "io/io.h"
#include "io/tls.h"

/* Where to ask, made once for a route: the parsed URL and the TLS context. */
struct hf_callout_target;
/* The URL is http, https or unix; https is always verified, against upstream_tls.ca or the system's
 * authorities. Names in callout.copy that belong to one connection or to the WebSocket handshake
 * are refused, with why. */
HF_MUST_USE enum hf_status hf_callout_target_new(const struct hf_route_config *config,
                                                 struct hf_callout_target **target,
                                                 struct hf_buffer *why);
/* Call-outs that are still open keep what they need of it. NULL is accepted. */
void hf_callout_target_free(struct hf_callout_target *target);

enum hf_callout_kind {
    HF_CALLOUT_ALLOW,
    HF_CALLOUT_DENY,    /* status is 401 or 403; reply holds what the client gets */
    HF_CALLOUT_FAILED,  /* no connection, no HTTP, another status: 502 */
    HF_CALLOUT_TIMEOUT, /* 504 */
};

struct hf_callout_answer {
    enum hf_callout_kind kind;
    uint16_t status; /* of the application's answer, 0 when there was none */
    const char
        *why; /* for the log: "connect: connection refused", "no answer in 5s", "status 500" */
    struct hf_slice subject; /* ALLOW: value of the subject header; may be empty */
    struct hf_slice
        headers; /* ALLOW: "Name: value\r\n" lines of config->callout.copy, to add to the backend's
                    request (replacing headers of those names that the client sent) */
    struct hf_slice content_type; /* DENY */
    struct hf_slice challenge;    /* DENY: WWW-Authenticate, may be empty */
    struct hf_slice body;         /* DENY: up to 64 KiB */
};
/* Comes once, on a later turn; the slices die with the call; the callout is gone behind it. */
typedef void hf_callout_done(void *owner, const struct hf_callout_answer *answer);

struct hf_callout;
/* Asks with the client's Host, Origin, Cookie, Authorization, User-Agent and
 * Sec-WebSocket-Protocol, and X-Original-URI (the target), X-Original-Method, X-Forwarded-For,
 * X-Forwarded-Proto. All arguments are copied. */
HF_MUST_USE enum hf_status hf_callout_start(struct hf_loop *loop,
                                            const struct hf_callout_target *target,
                                            const struct hf_route_config *config,
                                            const struct hf_head *request, const char *peer,
                                            bool tls, hf_callout_done *done, void *owner,
                                            struct hf_callout **callout);
/* No answer comes. NULL is accepted. */
void hf_callout_cancel(struct hf_callout *callout);

#endif
