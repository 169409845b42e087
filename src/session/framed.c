/* SPDX-License-Identifier: Apache-2.0 */
/* Framed lists: a type, a length, a payload. */
#include "session/framed.h"

enum hf_framed_read hf_framed_read(struct hf_slice bytes, enum hf_framed_type *type,
                                   struct hf_slice *payload, size_t *size)
{
    const uint8_t *p = bytes.ptr;
    *payload = (struct hf_slice){NULL, 0};
    *size = 0;
    if (bytes.len == 0) {
        return HF_FRAMED_MORE;
    }
    if (p[0] < HF_FRAMED_TEXT || p[0] > HF_FRAMED_CONTROL) {
        return HF_FRAMED_BAD;
    }
    *type = (enum hf_framed_type)p[0];
    if (bytes.len < HF_FRAMED_HEAD) {
        return HF_FRAMED_MORE;
    }
    payload->len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    if (bytes.len - HF_FRAMED_HEAD < payload->len) {
        return HF_FRAMED_MORE;
    }
    payload->ptr = p + HF_FRAMED_HEAD;
    *size = HF_FRAMED_HEAD + payload->len;
    return HF_FRAMED_READ;
}

void hf_framed_write(struct hf_buffer *out, enum hf_framed_type type, struct hf_slice payload)
{
    HF_ASSERT(payload.len <= UINT32_MAX);
    const uint8_t head[HF_FRAMED_HEAD] = {(uint8_t)type, (uint8_t)(payload.len >> 24),
                                          (uint8_t)(payload.len >> 16), (uint8_t)(payload.len >> 8),
                                          (uint8_t)payload.len};
    (void)hf_buffer_add(out, hf_slice(head, sizeof(head)));
    (void)hf_buffer_add(out, payload);
}
