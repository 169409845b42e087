/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of chaos's API. A toxic comes of it, or a refusal with a status and words. What comes is
 * written as JSON that makes the same toxic again; the same bytes may also change one of each type.
 */
#include "chaos/api.h"
#include "fuzz.h"

#define BYTES_MAX (16 << 20)

static void check_refusal(const struct hf_chaos_refusal *refusal)
{
    HF_ASSERT(refusal->status >= 400 && refusal->status < 600 && refusal->why[0] != '\0');
}

static void check_written(const struct hf_toxic *t)
{
    struct hf_buffer once;
    struct hf_buffer twice;
    struct hf_chaos_refusal refusal = {0};

    HF_ASSERT(hf_toxic_fault(t) == NULL && t->toxicity >= 0 && t->toxicity <= 1);
    hf_buffer_init(&once, &hf_heap, BYTES_MAX);
    hf_buffer_init(&twice, &hf_heap, BYTES_MAX);
    hf_toxic_json(t, &once);
    struct hf_toxic *again = hf_toxic_from_json(hf_buffer_slice(&once), &refusal);
    HF_ASSERT(again != NULL);
    hf_toxic_json(again, &twice);
    HF_ASSERT(!once.failed && hf_slice_eq(hf_buffer_slice(&once), hf_buffer_slice(&twice)));
    hf_toxic_free(again);
    hf_buffer_reset(&once);
    hf_buffer_reset(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_chaos_refusal refusal = {0};
    struct hf_slice body = exact(hf_slice(data, size));
    struct hf_toxic *t = hf_toxic_from_json(body, &refusal);

    if (t == NULL) {
        check_refusal(&refusal);
    } else {
        check_written(t);
    }
    hf_toxic_free(t);
    for (size_t i = 0; i < HF_TOXIC_KINDS; i++) {
        struct hf_toxic *old = hf_toxic_new(&hf_toxic_types[i]);
        HF_ASSERT(old != NULL);
        struct hf_toxic *changed = hf_toxic_changed(old, body, &refusal);
        if (changed == NULL) {
            check_refusal(&refusal);
        } else {
            check_written(changed);
        }
        hf_toxic_free(changed);
        hf_toxic_free(old);
    }
    exact_free(body);
    return 0;
}
