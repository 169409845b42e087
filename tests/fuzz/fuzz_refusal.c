/* SPDX-License-Identifier: Apache-2.0 */
/* Refused handshakes: whatever a stranger answers, it is explained with a whole sentence, and its
 * body is cut to what was asked for. */
#include "fuzz.h"
#include "probe/refusal.h"

#include <stdio.h>

#define MAX 300

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_head head;
    struct hf_buffer out;
    const char *why;
    const struct hf_slice all = hf_slice(data, size);
    struct hf_target target = {.text = NULL};
    (void)hf_url_parse(HF_LITERAL("wss://host.test/ws"), &target.url, &why);
    hf_buffer_init(&out, &hf_heap, 1 << 20);
    if (hf_response_read(all, 65536, &head, &why) == HF_HEAD_READ) {
        const struct hf_slice body = hf_slice_from(all, head.size);
        hf_refusal_explain(&target, &head, body, &out);
        HF_ASSERT(out.len > 20 && out.data[out.len - 1] == '.');
        for (size_t i = 0; i < head.count; i++) {
            (void)hf_refusal_header_matters(head.headers[i].name);
        }
    }
    struct hf_trial trial = {.end = {.how = HF_HOW_TLS, .phase = HF_PHASE_TLS}};
    (void)snprintf(trial.end.reason, sizeof(trial.end.reason), "%.*s",
                   (int)(size < 100 ? size : 100), (const char *)data);
    hf_failure_explain(&target, &trial, &out);
    hf_buffer_clear(&out);
    hf_refusal_body_text(all, MAX, &out);
    HF_ASSERT(out.len <= MAX + 1);
    hf_buffer_reset(&out);
    return 0;
}
