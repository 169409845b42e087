/* SPDX-License-Identifier: Apache-2.0 */
/* Frame heads, masks, UTF-8 and Close payloads. The input is a frame head and then a payload. A
 * head that is read is written again byte for byte; masking twice is nothing; UTF-8 in pieces,
 * masked or not, is judged as a plain decoder judges the whole; a Close payload that is read is
 * written again byte for byte. */
#include "fuzz.h"
#include "ws/frame.h"

static void check_head(struct hf_slice bytes)
{
    struct hf_frame_head head;
    struct hf_frame_head part;
    uint8_t out[HF_FRAME_HEAD_MAX];
    enum hf_frame_read read = hf_frame_read_head(bytes, &head);

    for (size_t len = 0; len < bytes.len && len <= HF_FRAME_HEAD_MAX; len++) {
        struct hf_slice prefix = exact(hf_slice_first(bytes, len));
        enum hf_frame_read verdict = hf_frame_read_head(prefix, &part);

        HF_ASSERT(verdict == HF_FRAME_MORE || verdict == read);
        HF_ASSERT(read != HF_FRAME_READ || (verdict == HF_FRAME_READ) == (len >= head.size));
        exact_free(prefix);
    }
    HF_ASSERT(read != HF_FRAME_MORE || bytes.len < HF_FRAME_HEAD_MAX);
    if (read == HF_FRAME_READ) {
        size_t size = hf_frame_write_head(out, head.fin, head.rsv, head.opcode, head.length,
                                          head.masked ? head.mask : NULL);

        HF_ASSERT(size == head.size && size <= bytes.len && memcmp(out, bytes.ptr, size) == 0);
        HF_ASSERT(head.length <= INT64_MAX);
    }
}

/* Bytes that follow the first one of a character; SIZE_MAX when none begins with it (RFC 3629). */
static size_t following(uint8_t first)
{
    if (first < 0x80) {
        return 0;
    }
    if (first < 0xc2 || first > 0xf4) {
        return SIZE_MAX;
    }
    return first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
}

/* UTF-8 judged the long way: each character is decoded and must need as many bytes as it has. */
static bool is_utf8(struct hf_slice s)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};

    for (size_t i = 0; i < s.len;) {
        size_t more = following(s.ptr[i]);
        uint32_t code = more == 0 ? s.ptr[i] : s.ptr[i] & (0x3fu >> (more & 3));

        if (more >= s.len - i) {
            return false;
        }
        for (size_t j = 1; j <= more; j++) {
            if ((s.ptr[i + j] & 0xc0) != 0x80) {
                return false;
            }
            code = code << 6 | (s.ptr[i + j] & 0x3f);
        }
        if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
            return false;
        }
        i += 1 + more;
    }
    return true;
}

static void check_utf8(struct hf_slice text, const uint8_t mask[4], size_t step)
{
    struct hf_slice masked = exact(text);
    uint32_t whole = 0;
    uint32_t state = 0;
    uint32_t masked_state = 0;
    bool whole_ok = hf_utf8_feed(&whole, text);
    bool ok = true;
    bool masked_ok = true;

    hf_mask_apply((uint8_t *)(uintptr_t)masked.ptr, masked.len, mask, 0);
    for (size_t at = 0; at < text.len && ok; at += step) {
        struct hf_slice piece = hf_slice_first(hf_slice_from(text, at), step);
        struct hf_slice masked_piece = hf_slice_first(hf_slice_from(masked, at), step);

        ok = hf_utf8_feed(&state, piece);
        masked_ok = hf_utf8_feed_masked(&masked_state, masked_piece, mask, at);
        HF_ASSERT(ok == masked_ok && (!ok || state == masked_state));
    }
    HF_ASSERT(ok == whole_ok && (!ok || state == whole));
    HF_ASSERT((whole_ok && whole == 0) == is_utf8(text));
    exact_free(masked);
}

static void check_mask(struct hf_slice payload, const uint8_t mask[4], uint64_t offset)
{
    struct hf_slice copy = exact(payload);
    uint8_t *bytes = (uint8_t *)(uintptr_t)copy.ptr;
    size_t half = payload.len / 3;

    hf_mask_apply(bytes, payload.len, mask, offset);
    for (size_t i = 0; i < payload.len; i++) {
        HF_ASSERT(bytes[i] == (payload.ptr[i] ^ mask[(offset + i) % 4]));
    }
    hf_mask_apply(bytes, half, mask, offset);
    hf_mask_apply(bytes + half, payload.len - half, mask, offset + half);
    HF_ASSERT(hf_slice_eq(copy, payload));
    exact_free(copy);
}

static void check_close(struct hf_slice payload)
{
    uint8_t out[HF_CONTROL_PAYLOAD_MAX];
    struct hf_slice reason;
    uint16_t code;
    uint16_t fault = 0;
    size_t len;

    if (!hf_close_read(payload, &code, &reason, &fault)) {
        HF_ASSERT(fault == HF_CLOSE_PROTOCOL || fault == HF_CLOSE_BAD_DATA);
        return;
    }
    HF_ASSERT(payload.len == 0 ? code == HF_CLOSE_NO_CODE : hf_close_code_is_valid(code));
    len = hf_close_write(out, code, reason);
    HF_ASSERT(hf_slice_eq(hf_slice(out, len), payload));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_slice bytes = hf_slice(data, size);
    struct hf_slice payload = hf_slice_from(bytes, 8);
    uint8_t mask[4] = {0};

    if (size >= 8) {
        memcpy(mask, data + 4, 4);
    }
    check_head(bytes);
    check_mask(payload, mask, size == 0 ? 0 : data[0]);
    check_utf8(payload, mask, 1);
    check_utf8(payload, mask, 7);
    check_close(payload);
    check_close(bytes);
    return 0;
}
