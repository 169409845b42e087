/* SPDX-License-Identifier: Apache-2.0 */
/* One direction of a WebSocket as frames that pass by: checks RFC 6455 section 5 on bytes that are
 * forwarded as they come, without collecting, copying or unmasking them. Pure.
 *
 * The caller asks for one step after another over the bytes it has. A step covers the head and what
 * is there of the payload of a data frame, more of an open payload, or one whole control frame.
 * Nothing of a frame whose head is not whole, or is at fault, is ever covered, so it is never
 * forwarded. */
#ifndef HF_WS_FLOW_H
#define HF_WS_FLOW_H

#include "ws/frame.h"

struct hf_flow_rules {
    bool masked;        /* frames must be masked (they come from a client), else they must not be */
    bool deflate;       /* RSV1 may be set on the first frame of a message */
    bool utf8;          /* text that is not compressed must be UTF-8 */
    uint64_t frame_max; /* payload bytes on the wire, inclusive; UINT64_MAX: none */
    uint64_t message_max;
};

/* Zeroed to start. Invariant: left > 0 only inside a data frame. */
struct hf_flow {
    uint64_t left;    /* payload bytes of the open frame that are still to come */
    uint64_t message; /* payload bytes of the open message, the open frame counted whole */
    uint32_t utf8;    /* state of the check */
    uint8_t mask[4];  /* of the open frame; kept for the check alone */
    uint8_t opcode;   /* of the open message: text or binary; 0 between messages */
    uint8_t phase;    /* position in the mask key, 0 to 3 */
    bool last;        /* the open frame has FIN */
    bool compressed;  /* the open message has RSV1 */
};

enum hf_flow_kind {
    HF_FLOW_MORE,    /* the bytes end within a head or a control frame: come again with more */
    HF_FLOW_DATA,    /* size bytes may be forwarded */
    HF_FLOW_CONTROL, /* one whole control frame of size bytes: it ends here, at this leg */
    HF_FLOW_FAULT,   /* the peer broke a rule: code and why */
};

struct hf_flow_step {
    size_t size;               /* bytes of this step from the start of the slice */
    bool begins;               /* DATA: the first frame of a message begins here */
    bool ends;                 /* DATA: the last byte of a message is here */
    bool empty;                /* DATA: an empty fragment, which a flood can be made of */
    struct hf_frame_head head; /* DATA that starts a frame, CONTROL */
    uint16_t code;             /* FAULT: 1002, 1007 or 1009 */
    bool frame_too_big;        /* FAULT 1009: by frame_max, not by message_max */
    const char *why;           /* FAULT */
};

enum hf_flow_kind hf_flow_next(struct hf_flow *flow, const struct hf_flow_rules *rules,
                               struct hf_slice bytes, struct hf_flow_step *step);
/* Between two messages: a message of our own may be put in here. */
static inline bool hf_flow_between_messages(const struct hf_flow *flow)
{
    return flow->left == 0 && flow->opcode == 0;
}

#endif
