/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages of hf1 (docs/protocol.md section 2): texts between library and gateway that are
 * not the application's. One that is on the wire is 0x01, a verb, and key=value pairs. Pure.
 *
 * The functions here read and write the text behind the 0x01, as it stands in an SSE event or a
 * framed list too; hf_text_kind tells the three kinds of text messages apart. */
#ifndef HF_SESSION_CONTROL_H
#define HF_SESSION_CONTROL_H

#include "base/buffer.h"

#define HF_CONTROL_MARK 0x01
/* Bytes of a control message, its 0x01 counted. */
#define HF_CONTROL_MAX 1024
#define HF_CONTROL_AUTH_MAX 16384
/* Counts are below this: 2^53, what a JavaScript number holds. */
#define HF_COUNT_MAX ((uint64_t)1 << 53)
#define HF_NO_COUNT UINT64_MAX

enum hf_text_kind {
    HF_TEXT_PLAIN,   /* the application's, as it is */
    HF_TEXT_ESCAPED, /* the application's, behind one extra 0x01 */
    HF_TEXT_CONTROL,
    HF_TEXT_BAD, /* 0x01 alone */
};
/* Of the payload of a whole text message that came over an hf1 connection. */
enum hf_text_kind hf_text_kind(struct hf_slice payload);
/* An application's text that needs the escape when it is sent over an hf1 connection. */
static inline bool hf_text_needs_escape(struct hf_slice payload)
{
    return payload.len > 0 && payload.ptr[0] == HF_CONTROL_MARK;
}

enum hf_verb {
    HF_VERB_UNKNOWN, /* to be ignored */
    HF_VERB_HELLO,
    HF_VERB_ACK,
    HF_VERB_LIVE,
    HF_VERB_COMING,
    HF_VERB_REBOUND,
    HF_VERB_GOAWAY,
    HF_VERB_AUTH,
    HF_VERB_AUTH_OK,
    HF_VERB_BYE,
    HF_VERB_END,
    HF_VERB_CLOSE, /* in lists and events only: the backend's Close */
    HF_VERB_GAP,   /* in events only */
    HF_VERB_COUNT,
};
const char *hf_verb_text(enum hf_verb verb);

/* Every key of every verb; what a verb does not have is zero, an absent number HF_NO_COUNT, an
 * absent text has ptr NULL (an empty one has not). Texts are decoded. */
struct hf_control {
    enum hf_verb verb;
    struct hf_slice session, token, key, protocol, reason, who, url, value;
    uint64_t epoch;
    uint64_t window, beat; /* ms */
    uint64_t buffer, message_max, ack;
    uint64_t received, sent, old_received;
    uint64_t resumed; /* 0 or 1 */
    uint64_t n;
    uint64_t bytes;
    uint64_t from, to, attempt;
    uint64_t in; /* ms */
    uint64_t exp;
    uint64_t code, http;
    uint64_t retry; /* ms */
};
/* All texts NULL, all numbers HF_NO_COUNT. */
void hf_control_init(struct hf_control *c, enum hf_verb verb);

/* Reads the text behind the 0x01. NULL and *c filled when it is right (also for an unknown verb),
 * else a sentence that says what is wrong: a protocol error, or no memory when room->failed is set.
 * Decoded texts lie in `room`, which is cleared first and must outlive *c; a message of numbers
 * alone does not touch it. Its max must be HF_CONTROL_AUTH_MAX or more. */
const char *hf_control_read(struct hf_slice text, struct hf_buffer *room, struct hf_control *c);
/* Appends the text behind the 0x01: the verb and every key of it that is present. Asserts that the
 * verb is a known one and the needed keys are there. That it stays within HF_CONTROL_MAX is the
 * caller's care. */
void hf_control_write(const struct hf_control *c, struct hf_buffer *out);
/* Percent-encodes as encodeURIComponent does. */
void hf_control_encode_value(struct hf_slice value, struct hf_buffer *out);

#endif
