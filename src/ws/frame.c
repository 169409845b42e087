/* SPDX-License-Identifier: Apache-2.0 */
/* Writing frame heads, and what may stand in a Close frame: RFC 6455 5.2, 5.5.1 and 7.4. */
#include "ws/frame.h"

size_t hf_frame_write_head(uint8_t out[HF_FRAME_HEAD_MAX], bool fin, uint8_t rsv, uint8_t opcode,
                           uint64_t length, const uint8_t mask[4])
{
    const uint8_t mask_bit = mask == NULL ? 0 : 0x80;
    size_t at = 2;
    out[0] = (uint8_t)((fin ? 0x80 : 0) | (rsv & 0x7) << 4 | (opcode & 0xF));
    if (length < 126) {
        out[1] = (uint8_t)(mask_bit | length);
    } else {
        /* RFC 6455 5.2: the minimal number of bytes must be used, in network order. */
        const size_t extra = length <= UINT16_MAX ? 2 : 8;
        out[1] = (uint8_t)(mask_bit | (extra == 2 ? 126 : 127));
        for (size_t i = 0; i < extra; i++) {
            out[at++] = (uint8_t)(length >> (8 * (extra - 1 - i)));
        }
    }
    if (mask != NULL) {
        memcpy(out + at, mask, 4);
        at += 4;
    }
    return at;
}

bool hf_opcode_is_known(uint8_t opcode)
{
    /* RFC 6455 5.2: 3 to 7 and B to F are reserved. */
    return opcode <= HF_OP_BINARY || (opcode >= HF_OP_CLOSE && opcode <= HF_OP_PONG);
}

bool hf_close_code_is_valid(uint32_t code)
{
    /* RFC 6455 7.4.1: 1004 is reserved, 1005, 1006 and 1015 must never be sent; 7.4.2: 3000 to 4999
     * belong to libraries and applications. 1012 to 1014 are in the IANA registry. */
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

bool hf_close_read(struct hf_slice payload, uint16_t *code, struct hf_slice *reason,
                   uint16_t *fault)
{
    *code = HF_CLOSE_NO_CODE;
    *reason = (struct hf_slice){NULL, 0};
    if (payload.len == 0) {
        return true; /* RFC 6455 7.1.5 */
    }
    /* RFC 6455 5.5.1: if there is a body, its first two bytes must be a code. */
    if (payload.len == 1 || payload.len > HF_CONTROL_PAYLOAD_MAX) {
        *fault = HF_CLOSE_PROTOCOL;
        return false;
    }
    const uint16_t found = (uint16_t)(payload.ptr[0] << 8 | payload.ptr[1]);
    if (!hf_close_code_is_valid(found)) {
        *fault = HF_CLOSE_PROTOCOL;
        return false;
    }
    /* RFC 6455 5.5.1 and 8.1: the reason is UTF-8. */
    const struct hf_slice text = hf_slice_from(payload, 2);
    uint32_t state = 0;
    if (!hf_utf8_feed(&state, text) || state != 0) {
        *fault = HF_CLOSE_BAD_DATA;
        return false;
    }
    *code = found;
    *reason = text;
    return true;
}

/* Length of the longest beginning of at most HF_CLOSE_REASON_MAX bytes that is whole characters. */
static size_t reason_fits(struct hf_slice reason)
{
    const size_t most = reason.len < HF_CLOSE_REASON_MAX ? reason.len : HF_CLOSE_REASON_MAX;
    uint32_t state = 0;
    size_t whole = 0;
    for (size_t i = 0; i < most && hf_utf8_feed(&state, hf_slice(reason.ptr + i, 1)); i++) {
        if (state == 0) {
            whole = i + 1;
        }
    }
    return whole;
}

size_t hf_close_write(uint8_t out[HF_CONTROL_PAYLOAD_MAX], uint16_t code, struct hf_slice reason)
{
    if (!hf_close_code_is_valid(code)) {
        return 0; /* RFC 6455 7.4.1: 1005, 1006 and 1015 must not be set in a Close frame. */
    }
    out[0] = (uint8_t)(code >> 8);
    out[1] = (uint8_t)code;
    const size_t len = reason_fits(reason);
    if (len > 0) {
        memcpy(out + 2, reason.ptr, len);
    }
    return 2 + len;
}
