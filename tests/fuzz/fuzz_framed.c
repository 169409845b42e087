/* SPDX-License-Identifier: Apache-2.0 */
/* Framed lists. What is read from the input is written again byte for byte; a record cut short is
 * not whole, wherever it is cut, and is never at fault. */
#include "fuzz.h"
#include "session/framed.h"

static void check_cut(struct hf_slice record, enum hf_framed_type wanted, size_t len)
{
    struct hf_slice part = exact(hf_slice_first(record, len));
    enum hf_framed_type type = HF_FRAMED_TEXT;
    struct hf_slice payload;
    size_t size;

    HF_ASSERT(hf_framed_read(part, &type, &payload, &size) == HF_FRAMED_MORE);
    HF_ASSERT(size == 0 && payload.ptr == NULL);
    if (len >= HF_FRAMED_HEAD) {
        HF_ASSERT(type == wanted && payload.len == record.len - HF_FRAMED_HEAD);
    }
    exact_free(part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_slice rest = exact(hf_slice(data, size));
    const struct hf_slice whole = rest;
    struct hf_buffer out;
    enum hf_framed_read outcome;

    hf_buffer_init(&out, &hf_heap, 1 << 24);
    do {
        enum hf_framed_type type;
        struct hf_slice payload;
        size_t taken;

        outcome = hf_framed_read(rest, &type, &payload, &taken);
        HF_ASSERT(taken <= rest.len && (taken > 0) == (outcome == HF_FRAMED_READ));
        if (outcome == HF_FRAMED_READ) {
            HF_ASSERT(payload.len == 0 || lies_in(payload, whole));
            hf_framed_write(&out, type, payload);
            for (size_t len = 0; len < taken; len += 1 + len / 8) {
                check_cut(hf_slice_first(rest, taken), type, len);
            }
            check_cut(hf_slice_first(rest, taken), type, taken - 1);
            rest = hf_slice_from(rest, taken);
        }
    } while (outcome == HF_FRAMED_READ);
    HF_ASSERT(outcome == HF_FRAMED_BAD || rest.len < HF_FRAMED_HEAD + (size_t)UINT32_MAX);
    HF_ASSERT(outcome != HF_FRAMED_BAD || (rest.len > 0 && (rest.ptr[0] < 1 || rest.ptr[0] > 3)));
    HF_ASSERT(hf_slice_eq(hf_slice_first(whole, out.len), hf_buffer_slice(&out)));
    hf_buffer_reset(&out);
    exact_free(whole);
    return 0;
}
