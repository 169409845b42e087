/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of RFC 6455 section 5.2: reading and writing heads, masking, close codes.
 *
 *   byte 0:  FIN RSV1 RSV2 RSV3 opcode(4)
 *   byte 1:  MASK length(7)      126: 2 more length bytes, 127: 8 more
 *   then 4 bytes of mask key when MASK is set, then the payload
 */
#ifndef HF_WS_FRAME_H
#define HF_WS_FRAME_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum hf_opcode {
    HF_OP_CONTINUATION = 0x0,
    HF_OP_TEXT = 0x1,
    HF_OP_BINARY = 0x2,
    HF_OP_CLOSE = 0x8,
    HF_OP_PING = 0x9,
    HF_OP_PONG = 0xA,
};

#define HF_FRAME_HEAD_MAX 14
#define HF_CONTROL_PAYLOAD_MAX 125
#define HF_CLOSE_REASON_MAX 123

/* Close codes, RFC 6455 7.4.1 and the IANA registry. */
enum hf_close_code {
    HF_CLOSE_NORMAL = 1000,
    HF_CLOSE_GOING_AWAY = 1001,
    HF_CLOSE_PROTOCOL = 1002,
    HF_CLOSE_NO_CODE = 1005,  /* never on the wire: an empty Close */
    HF_CLOSE_ABNORMAL = 1006, /* never on the wire: no Close came */
    HF_CLOSE_BAD_DATA = 1007,
    HF_CLOSE_POLICY = 1008,
    HF_CLOSE_TOO_BIG = 1009,
    HF_CLOSE_INTERNAL = 1011,
    HF_CLOSE_RESTART = 1012,
    HF_CLOSE_TRY_AGAIN = 1013,
    HF_CLOSE_TOKEN_EXPIRED = 4401,
    HF_CLOSE_ABANDON = 4499, /* the library gives the connection up, not the session */
};

struct hf_frame_head {
    bool fin;
    uint8_t rsv;    /* RSV1 4, RSV2 2, RSV3 1 */
    uint8_t opcode; /* 0 to 15, also reserved ones */
    bool masked;
    uint8_t mask[4]; /* in wire order; zero when not masked */
    uint8_t size;    /* bytes of the head, 2 to 14 */
    uint64_t length; /* bytes of payload */
};

enum hf_frame_read {
    HF_FRAME_READ,      /* *head is filled */
    HF_FRAME_MORE,      /* not enough bytes yet */
    HF_FRAME_BAD_LENGTH /* not the shortest form, or bit 63 set: RFC 6455 5.2 */
};
/* Reads the head at the start of bytes; says nothing about roles, opcodes and order (that is
 * flow.h). *head is touched only with HF_FRAME_READ. A bad length is told as soon as the length is
 * there. Inline: it is on the relay's hot path. */
static inline enum hf_frame_read hf_frame_read_head(struct hf_slice bytes,
                                                    struct hf_frame_head *head)
{
    const uint8_t *p = bytes.ptr;
    if (bytes.len < 2) {
        return HF_FRAME_MORE;
    }
    uint64_t length = p[1] & 0x7F;
    const bool masked = (p[1] & 0x80) != 0;
    size_t at = 2;
    if (length >= 126) {
        at = length == 126 ? 4 : 10;
        const uint64_t least = length == 126 ? 126 : 0x10000;
        if (bytes.len < at) {
            return HF_FRAME_MORE;
        }
        length = 0;
        for (size_t i = 2; i < at; i++) {
            length = length << 8 | p[i];
        }
        /* RFC 6455 5.2: the shortest form must be used, and the most significant bit must be 0. */
        if (length < least || length > INT64_MAX) {
            return HF_FRAME_BAD_LENGTH;
        }
    }
    const size_t size = at + (masked ? 4 : 0);
    if (bytes.len < size) {
        return HF_FRAME_MORE;
    }
    head->fin = (p[0] & 0x80) != 0;
    head->rsv = p[0] >> 4 & 0x7;
    head->opcode = p[0] & 0xF;
    head->masked = masked;
    head->size = (uint8_t)size;
    head->length = length;
    memset(head->mask, 0, 4);
    if (masked) {
        memcpy(head->mask, p + at, 4);
    }
    return HF_FRAME_READ;
}
/* Writes the shortest head; returns its size. mask NULL: not masked. */
size_t hf_frame_write_head(uint8_t out[HF_FRAME_HEAD_MAX], bool fin, uint8_t rsv, uint8_t opcode,
                           uint64_t length, const uint8_t mask[4]);
static inline bool hf_opcode_is_control(uint8_t opcode)
{
    return (opcode & 0x8) != 0;
}
bool hf_opcode_is_known(uint8_t opcode);
/* May stand in a Close frame: 1000-1003, 1007-1014, 3000-4999. */
bool hf_close_code_is_valid(uint32_t code);

/* XORs in place; offset is the position of data[0] in the payload (RFC 6455 5.3). */
void hf_mask_apply(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset);

/* Incremental UTF-8 (RFC 3629). *state starts at 0; returns false at the first byte that cannot be.
 * The text may end where *state is 0. */
bool hf_utf8_feed(uint32_t *state, struct hf_slice bytes);
/* The same over masked bytes, without touching them. */
bool hf_utf8_feed_masked(uint32_t *state, struct hf_slice bytes, const uint8_t mask[4],
                         uint64_t offset);

/* A Close payload: false with *fault set (1002, or 1007 for the reason's UTF-8) when it is not
 * allowed. An empty one gives code 1005. reason lies in payload. */
bool hf_close_read(struct hf_slice payload, uint16_t *code, struct hf_slice *reason,
                   uint16_t *fault);
/* Payload for a Close; returns its length. A code that may not stand in one (1005, 1006 and the
 * like) gives an empty payload. Of the reason goes the longest beginning of at most 123 bytes that
 * is whole UTF-8. */
size_t hf_close_write(uint8_t out[HF_CONTROL_PAYLOAD_MAX], uint16_t code, struct hf_slice reason);

#endif
