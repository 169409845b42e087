/* SPDX-License-Identifier: Apache-2.0 */
/* One end of a WebSocket after its handshake, server or client, as a pure machine: bytes in,
 * messages out, and the bytes to send. Used wherever holdfast itself speaks (demo, tools, the
 * client library); the relay does not use it, because it forwards frames as they come. RFC 6455
 * sections 5 to 7, RFC 7692.
 *
 * feed bytes, then call next until it says NONE; whatever must go to the peer (pongs, the Close
 * answer, sent messages) gathers in `out`, which the caller sends and drops. */
#ifndef HF_WS_ENDPOINT_H
#define HF_WS_ENDPOINT_H

#include "base/buffer.h"
#include "base/random.h"
#include "ws/extension.h"
#include "ws/frame.h"

enum hf_endpoint_event_kind {
    HF_ENDPOINT_NONE,
    HF_ENDPOINT_MESSAGE, /* data is whole, unmasked, inflated; text was UTF-8 checked */
    HF_ENDPOINT_PING,    /* already answered in out, unless the caller wanted to (silent_pings) */
    HF_ENDPOINT_PONG,
    HF_ENDPOINT_CLOSE, /* the peer's Close: code (1005 for none) and reason; already answered in out
                        */
    HF_ENDPOINT_FAULT, /* the peer broke a rule: code and why; a Close with the code is in out;
                          nothing more is read */
};

struct hf_endpoint_event {
    enum hf_endpoint_event_kind kind;
    uint8_t opcode;       /* text or binary */
    struct hf_slice data; /* lives until the next call */
    uint16_t code;
    const char *why;
};

struct hf_endpoint_options {
    bool client;               /* masks what it sends, wants unmasked */
    bool silent_pings;         /* pings are not answered here: the caller does it, or does not */
    uint64_t message_max;      /* bytes, inflated; larger: 1009 */
    struct hf_deflate deflate; /* agreed: every message sent is compressed, unless it is empty */
    const struct hf_allocator *alloc;
    uint64_t
        seed; /* of the mask keys; from a good source when a stranger's network is on the way */
};

struct hf_endpoint;
struct hf_endpoint *hf_endpoint_new(const struct hf_endpoint_options *options);
void hf_endpoint_free(struct hf_endpoint *e);
/* Takes bytes; what it takes it keeps until next() consumed it. HF_NO_MEMORY, here and below, fails
 * the endpoint: a Close with 1011 is in out if there was memory for that, and nothing more is read.
 * Bytes after the end are dropped. */
HF_MUST_USE enum hf_status hf_endpoint_feed(struct hf_endpoint *e, struct hf_slice bytes);
/* The next thing that happened; *event dies at the next call on e. */
enum hf_endpoint_event_kind hf_endpoint_next(struct hf_endpoint *e,
                                             struct hf_endpoint_event *event);
/* The bytes to send; drop what went out with hf_buffer_drop. */
struct hf_buffer *hf_endpoint_out(struct hf_endpoint *e);
/* opcode text or binary. HF_INVALID, and nothing happens: after a Close was sent or received or a
 * fault, for text that is not UTF-8, and in the middle of a fragmented message. */
HF_MUST_USE enum hf_status hf_endpoint_send(struct hf_endpoint *e, uint8_t opcode,
                                            struct hf_slice data);
/* One fragment of a message: begin (opcode) / middle (0) / end, for tests and streaming. */
HF_MUST_USE enum hf_status hf_endpoint_send_fragment(struct hf_endpoint *e, uint8_t opcode,
                                                     bool fin, struct hf_slice data);
/* At most 125 bytes, and before any Close, else HF_INVALID. */
HF_MUST_USE enum hf_status hf_endpoint_ping(struct hf_endpoint *e, struct hf_slice payload);
/* A pong that the caller wants to send: of its own (RFC 6455 5.5.3), or for silent_pings. Like
 * hf_endpoint_ping. */
HF_MUST_USE enum hf_status hf_endpoint_pong(struct hf_endpoint *e, struct hf_slice payload);
/* Sends a Close once; 1005 sends an empty one, other codes that may not be sent are HF_INVALID,
 * like a second Close. */
HF_MUST_USE enum hf_status hf_endpoint_close(struct hf_endpoint *e, uint16_t code,
                                             struct hf_slice reason);
/* Both Closes have gone by: the server ends TCP now, the client waits for the server's end. Never
 * true after a fault: then send what is in out and end TCP without waiting (RFC 6455 7.1.7). */
bool hf_endpoint_is_closed(const struct hf_endpoint *e);

#endif
