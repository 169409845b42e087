/* SPDX-License-Identifier: Apache-2.0 */
/* Requests for a session without WebSockets (docs/protocol.md section 9): which of them a head is,
 * and the WebSocket handshake that one stands for. Pure: slices point into the head's bytes. */
#ifndef HF_HTTP_FALLBACK_H
#define HF_HTTP_FALLBACK_H

#include "http/head.h"

enum hf_fallback_kind {
    HF_FALLBACK_NONE,      /* a WebSocket handshake, or a request that is no affair of ours */
    HF_FALLBACK_SSE,       /* GET that accepts text/event-stream: attaches */
    HF_FALLBACK_POLL_OPEN, /* GET that accepts application/x-hf1, without a key: attaches */
    HF_FALLBACK_POLL,      /* ... with a key: waits */
    HF_FALLBACK_POST,      /* with a key */
    HF_FALLBACK_PREFLIGHT, /* OPTIONS by which a browser asks first */
};

enum hf_fallback_content { HF_CONTENT_LIST, HF_CONTENT_TEXT, HF_CONTENT_BINARY };

#define HF_FALLBACK_ABSENT UINT64_MAX
struct hf_fallback {
    enum hf_fallback_kind kind;
    uint16_t status; /* 0, or what is wrong with it: 400, 415, 417 */
    const char *why; /* a sentence */
    bool by_hand;    /* neither HF-Open nor HF-Resume: an EventSource, curl */
    bool keep_alive; /* the connection can take another request behind the answer */
    bool expects;    /* Expect: 100-continue */
    enum hf_fallback_content content;
    struct hf_slice key;
    struct hf_slice open;
    struct hf_slice resume;
    struct hf_slice last_event; /* empty: none */
    uint64_t seq;               /* HF-Seq, or HF_FALLBACK_ABSENT; likewise the next */
    uint64_t received;
};
void hf_fallback_read(const struct hf_head *head, struct hf_fallback *f);

/* Appends the WebSocket handshake that an attaching GET stands for, as a browser would have sent
 * it: the offers of the session first among the subprotocols, `key` as Sec-WebSocket-Key, what
 * belongs to this kind of request left out. resume: empty, or an offer in place of HF-Resume.
 * origin: empty, or the Origin that is added when the request has none. */
void hf_fallback_handshake(const struct hf_head *head, const struct hf_fallback *f,
                           struct hf_slice key, struct hf_slice resume, struct hf_slice origin,
                           struct hf_buffer *out);

#endif
