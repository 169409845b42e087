/* SPDX-License-Identifier: Apache-2.0 */
/* The opening handshake of RFC 6455 section 4, both roles. Pure. */
#ifndef HF_WS_HANDSHAKE_H
#define HF_WS_HANDSHAKE_H

#include "base/buffer.h"
#include "http/head.h"

#define HF_WS_KEY_CHARS 24
#define HF_WS_ACCEPT_CHARS 28
#define HF_WS_PROTOCOLS_MAX 64 /* subprotocols in one request */

/* Sec-WebSocket-Accept for a key of HF_WS_KEY_CHARS; no NUL. */
void hf_ws_accept(struct hf_slice key, char accept[HF_WS_ACCEPT_CHARS]);
/* A key from 16 random bytes; no NUL. */
void hf_ws_key(const uint8_t nonce[16], char key[HF_WS_KEY_CHARS]);

/* What is wrong with a request as an upgrade to WebSocket. status 0: nothing. */
struct hf_ws_refusal {
    uint16_t status;    /* 400, 405, 426 (with Sec-WebSocket-Version: 13 when the version is the
                           fault), 505 */
    bool not_websocket; /* an ordinary HTTP request: it never asked for an upgrade */
    bool version;       /* the answer must carry Sec-WebSocket-Version: 13 */
    const char *why;    /* a sentence */
};
/* Checks RFC 6455 4.2.1: GET, HTTP/1.1, exactly one Host, Upgrade holds websocket, Connection holds
 * upgrade, exactly one Sec-WebSocket-Key of 16 bytes in base64, exactly one Version that is 13, at
 * most one Origin, well-formed subprotocol tokens without repeats; and against smuggling: no
 * Content-Length other than 0, no Transfer-Encoding, no Expect, no Trailer. */
struct hf_ws_refusal hf_ws_check_request(const struct hf_head *head);

/* Checks a 101 against what was sent (RFC 6455 4.1): Upgrade, Connection, Accept for key, at most
 * one subprotocol and one of those offered (offered: the header value sent; ptr NULL when none), at
 * most... Extensions are checked by extension.h. NULL when it is right, else a sentence. */
const char *hf_ws_check_response(const struct hf_head *head, struct hf_slice key,
                                 struct hf_slice offered_protocols);

#endif
