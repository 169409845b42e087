/* SPDX-License-Identifier: Apache-2.0 */
/* Request heads: a prefix never promises what the whole does not hold, a head that is written again
 * reads the same, and the check for WebSocket says something about each. */
#include "heads.h"
#include "ws/handshake.h"

#define MAX 1024

static void check_round_trip(const struct hf_head *head)
{
    struct hf_head again;
    struct hf_buffer out;
    const char *why;

    hf_buffer_init(&out, &hf_heap, 1 << 20);
    (void)hf_buffer_add(&out, head->method);
    (void)hf_buffer_add_text(&out, " ");
    (void)hf_buffer_add(&out, head->target);
    (void)hf_buffer_addf(&out, " HTTP/1.%u\r\n", head->minor);
    write_headers(&out, head);
    HF_ASSERT(!out.failed);
    HF_ASSERT(hf_request_read(hf_buffer_slice(&out), 1 << 20, &again, &why) == HF_HEAD_READ);
    HF_ASSERT(again.size == out.len);
    HF_ASSERT(hf_slice_eq(head->method, again.method) && hf_slice_eq(head->target, again.target));
    check_same_headers(head, &again);
    hf_buffer_reset(&out);
}

static void check_handshake(const struct hf_head *head)
{
    struct hf_ws_refusal refusal = hf_ws_check_request(head);

    HF_ASSERT(refusal.status == 0 || (refusal.status >= 400 && refusal.status <= 505));
    HF_ASSERT((refusal.why == NULL) == (refusal.status == 0));
    if (refusal.status == 0) {
        HF_ASSERT(head->minor == 1 && hf_slice_eq(head->method, HF_LITERAL("GET")));
        HF_ASSERT(hf_head_count(head, "Host") == 1);
        HF_ASSERT(hf_head_count(head, "Sec-WebSocket-Key") == 1);
        HF_ASSERT(hf_head_find(head, "Sec-WebSocket-Key")->len == HF_WS_KEY_CHARS);
        HF_ASSERT(hf_head_count(head, "Transfer-Encoding") == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_slice bytes = hf_slice(data, size);
    struct hf_head head;
    const char *why;
    enum hf_head_read read = hf_request_read(bytes, MAX, &head, &why);

    HF_ASSERT((why == NULL) == (read == HF_HEAD_READ || read == HF_HEAD_MORE));
    HF_ASSERT(read != HF_HEAD_MORE || size < MAX);
    check_prefixes(hf_request_read, bytes, MAX, read, &head);
    if (read == HF_HEAD_READ) {
        HF_ASSERT(head.size <= size && head.size <= MAX);
        HF_ASSERT(hf_slice_ends(hf_slice_first(bytes, head.size), HF_LITERAL("\r\n\r\n")));
        HF_ASSERT(lies_in(head.method, bytes) && lies_in(head.target, bytes));
        HF_ASSERT(head.target.ptr[0] == '/' || hf_slice_eq(head.target, HF_LITERAL("*")));
        check_headers(&head, bytes);
        check_round_trip(&head);
        check_handshake(&head);
    }
    return 0;
}
