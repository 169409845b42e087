/* SPDX-License-Identifier: Apache-2.0 */
/* A profile of chaos. It is taken or refused with at least one line that names the file; what is
 * taken is printed as a file that is taken too and is printed the same, also when it was scaled. */
#include "chaos/profile.h"
#include "fuzz.h"

#define BYTES_MAX (16 << 20)

static void check_printed(struct hf_chaos_profile *p)
{
    struct hf_buffer once;
    struct hf_buffer twice;
    struct hf_buffer truth;
    struct hf_buffer errors;
    struct hf_chaos_profile *again = NULL;

    hf_buffer_init(&once, &hf_heap, BYTES_MAX);
    hf_buffer_init(&twice, &hf_heap, BYTES_MAX);
    hf_buffer_init(&truth, &hf_heap, BYTES_MAX);
    hf_buffer_init(&errors, &hf_heap, BYTES_MAX);
    hf_chaos_profile_print(p, &once);
    hf_chaos_profile_truth(p, &truth);
    HF_ASSERT(hf_chaos_profile_read("f.yaml", hf_buffer_slice(&once), &again, &errors) == HF_OK);
    hf_chaos_profile_print(again, &twice);
    HF_ASSERT(!once.failed && hf_slice_eq(hf_buffer_slice(&once), hf_buffer_slice(&twice)));
    hf_chaos_profile_free(again);
    hf_buffer_reset(&once);
    hf_buffer_reset(&twice);
    hf_buffer_reset(&truth);
    hf_buffer_reset(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_chaos_profile *p = NULL;
    struct hf_buffer errors;

    hf_buffer_init(&errors, &hf_heap, BYTES_MAX);
    enum hf_status status = hf_chaos_profile_read("f.yaml", hf_slice(data, size), &p, &errors);
    HF_ASSERT((status == HF_OK) == (p != NULL));
    if (status == HF_OK) {
        HF_ASSERT(errors.len == 0);
        check_printed(p);
        hf_chaos_profile_scale(p, 0.1);
        check_printed(p);
    } else {
        HF_ASSERT(errors.len > 0 &&
                  hf_slice_starts(hf_buffer_slice(&errors), HF_LITERAL("f.yaml:")));
    }
    hf_chaos_profile_free(p);
    hf_buffer_reset(&errors);
    return 0;
}
