/* SPDX-License-Identifier: Apache-2.0 */
/* The seam between an hf1 session and the client's connection it has at the moment. A WebSocket, an
 * SSE stream and long polls each implement it; the session (keep.h) knows nothing of transports.
 *
 * The session calls the operations; the transport calls hf_keep_* of keep.h. All on the worker that
 * owns the session. After `end` or hf_keep_lost the two do not know each other any more. */
#ifndef HF_GATEWAY_ATTACHMENT_H
#define HF_GATEWAY_ATTACHMENT_H

#include "base/slice.h"
#include "session/control.h"

#include <stdbool.h>
#include <stdint.h>

struct hf_attachment;
struct hf_keep;

struct hf_attachment_ops {
    const char *name; /* "websocket", "sse", "poll": in records, metrics and /api/sessions */
    /* Message `number` of S goes to the client. The transport takes it whole (what the socket does
     * not take it keeps) or answers false: no more now; hf_keep_writable is called when it can. */
    bool (*message)(struct hf_attachment *a, uint64_t number, uint8_t opcode,
                    struct hf_slice payload);
    /* Message `number` of S as the unmasked frame it came in from the backend, which needs no
     * escape: sent as it is. As `message`. NULL: `message` is used. */
    bool (*frame)(struct hf_attachment *a, uint64_t number, struct hf_slice frame);
    /* A control message, the text behind the 0x01. Always taken, within HF_CONTROL_MAX. */
    void (*control)(struct hf_attachment *a, struct hf_slice text);
    /* The connection ends: a Close with the code (1005: an empty one) behind everything that was
     * sent. The transport finishes by itself and frees itself. `backends`: it is the backend's
     * Close, no `end` went before (SSE and polls: the event `close`); then the two still know each
     * other until the transport says hf_keep_closed (the client answered) or hf_keep_lost. */
    void (*end)(struct hf_attachment *a, uint16_t code, struct hf_slice reason, bool backends);
    /* Asked when the credit is used up, for a client that does not acknowledge by itself: up to
     * which number the messages count as taken. NULL: only what its `ack` says. */
    uint64_t (*taken)(struct hf_attachment *a);
};

struct hf_attachment {
    const struct hf_attachment_ops *ops;
    struct hf_keep *keep; /* NULL: detached */
};

#endif
