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
    HF_CLOSE_TOKEN_EXPIRED = 4401,
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
/* Reads the head at the start of bytes; says nothing about roles, opcodes and order (that is flow.h). */
enum hf_frame_read hf_frame_read_head(struct hf_slice bytes, struct hf_frame_head *head);
/* Writes the shortest head; returns its size. mask NULL: not masked. */
size_t hf_frame_write_head(uint8_t out[HF_FRAME_HEAD_MAX], bool fin, uint8_t rsv, uint8_t opcode, uint64_t length,
                           const uint8_t mask[4]);
static inline bool hf_opcode_is_control(uint8_t opcode) { return (opcode & 0x8) != 0; }
bool hf_opcode_is_known(uint8_t opcode);
/* May stand in a Close frame: 1000-1003, 1007-1014, 3000-4999. */
bool hf_close_code_is_valid(uint32_t code);

/* XORs in place; offset is the position of data[0] in the payload (RFC 6455 5.3). */
void hf_mask_apply(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset);

/* Incremental UTF-8 (RFC 3629). *state starts at 0; returns false at the first byte that cannot be. The text
 * may end where *state is 0. */
bool hf_utf8_feed(uint32_t *state, struct hf_slice bytes);
/* The same over masked bytes, without touching them. */
bool hf_utf8_feed_masked(uint32_t *state, struct hf_slice bytes, const uint8_t mask[4], uint64_t offset);

/* A Close payload: false with *fault set (1002, or 1007 for the reason's UTF-8) when it is not allowed. An empty
 * one gives code 1005. reason lies in payload. */
bool hf_close_read(struct hf_slice payload, uint16_t *code, struct hf_slice *reason, uint16_t *fault);
/* Payload for a Close: 1005 gives none; a reason over 123 bytes is cut at a character. Returns the length. */
size_t hf_close_write(uint8_t out[HF_CONTROL_PAYLOAD_MAX], uint16_t code, struct hf_slice reason);

#endif
