/* SPDX-License-Identifier: Apache-2.0 */
/* Requests without WebSockets: the handshake that one stands for is a request again and, unless
 * something is said to be wrong with it, one that is taken as such or is refused with a reason; a
 * body in pieces is the body as a whole. */
#include "fuzz.h"
#include "http/fallback.h"
#include "http/request_body.h"
#include "policy/cors.h"
#include "ws/handshake.h"

#define MAX 2048
#define BODY_MAX 200

static void check_handshake(const struct hf_head *head, const struct hf_fallback *f)
{
    static const char *const own[] = {"Sec-WebSocket-Key", "Sec-WebSocket-Version", "Upgrade"};
    struct hf_head again;
    struct hf_buffer out;
    const char *why;
    hf_buffer_init(&out, &hf_heap, 1 << 16);
    hf_fallback_handshake(head, f, HF_LITERAL("AAAAAAAAAAAAAAAAAAAAAA=="), hf_slice(NULL, 0),
                          HF_LITERAL("https://h"), &out);
    enum hf_head_read read = hf_request_read(hf_buffer_slice(&out), 1 << 16, &again, &why);
    HF_ASSERT(read == HF_HEAD_READ || read == HF_HEAD_TOO_BIG); /* a hundred headers and ours */
    if (read == HF_HEAD_READ) {
        HF_ASSERT(again.size == out.len && hf_slice_eq(again.target, head->target));
        for (size_t i = 0; i < 3; i++) {
            HF_ASSERT(hf_head_count(&again, own[i]) == 1);
        }
        HF_ASSERT(hf_head_count(&again, "HF-Key") == 0);
        HF_ASSERT(hf_head_count(&again, "Content-Length") == 0);
        HF_ASSERT(hf_head_count(&again, "Transfer-Encoding") == 0);
        HF_ASSERT(hf_head_count(&again, "Expect") == 0);
        struct hf_ws_refusal refusal = hf_ws_check_request(&again);
        HF_ASSERT(!refusal.not_websocket && !refusal.version);
    }
    hf_buffer_reset(&out);
}

static enum hf_request_body_read read_body(const struct hf_head *head, struct hf_slice text,
                                           size_t step, struct hf_buffer *into, size_t *at)
{
    struct hf_request_body body;
    enum hf_request_body_read read = HF_REQUEST_BODY_MORE;
    HF_ASSERT(hf_request_body_start(&body, head) == NULL);
    for (*at = 0; *at < text.len && read == HF_REQUEST_BODY_MORE;) {
        struct hf_slice piece = exact(hf_slice_first(hf_slice_from(text, *at), step));
        size_t taken;
        read = hf_request_body_read(&body, piece, &taken, into);
        HF_ASSERT(taken <= piece.len);
        HF_ASSERT(read != HF_REQUEST_BODY_MORE || taken == piece.len);
        *at += taken;
        exact_free(piece);
    }
    HF_ASSERT(into->len <= BODY_MAX);
    return read;
}

static void check_body(const struct hf_head *head, struct hf_slice text)
{
    struct hf_request_body body;
    struct hf_buffer whole;
    size_t whole_at;
    if (hf_request_body_start(&body, head) != NULL) {
        return;
    }
    hf_buffer_init(&whole, &hf_heap, BODY_MAX);
    enum hf_request_body_read verdict = read_body(head, text, SIZE_MAX, &whole, &whole_at);
    for (size_t step = 1; step < 8; step += 3) {
        struct hf_buffer parts;
        size_t at;
        hf_buffer_init(&parts, &hf_heap, BODY_MAX);
        HF_ASSERT(read_body(head, text, step, &parts, &at) == verdict);
        if (verdict == HF_REQUEST_BODY_WHOLE || verdict == HF_REQUEST_BODY_MORE) {
            HF_ASSERT(at == whole_at);
            HF_ASSERT(hf_slice_eq(hf_buffer_slice(&whole), hf_buffer_slice(&parts)));
        }
        hf_buffer_reset(&parts);
    }
    hf_buffer_reset(&whole);
}

static void check_cors(const struct hf_head *head)
{
    static const char *const patterns[] = {"https://a.example", "https://*", "null"};
    const struct hf_slice *origin = hf_head_find(head, "Origin");
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 1 << 16);
    enum hf_cors cors = hf_cors_judge(patterns, 3, origin);
    hf_cors_write(cors, origin, &out);
    HF_ASSERT(!out.failed && (cors == HF_CORS_NONE) == (origin == NULL));
    hf_buffer_reset(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_slice bytes = hf_slice(data, size);
    struct hf_head head;
    struct hf_fallback f;
    const char *why;
    if (hf_request_read(bytes, MAX, &head, &why) != HF_HEAD_READ) {
        return 0;
    }
    hf_fallback_read(&head, &f);
    HF_ASSERT((f.status == 0) == (f.why == NULL));
    HF_ASSERT(f.kind != HF_FALLBACK_NONE || f.status == 0);
    HF_ASSERT(lies_in(f.key, bytes) && lies_in(f.open, bytes) && lies_in(f.resume, bytes) &&
              lies_in(f.last_event, bytes));
    check_handshake(&head, &f);
    check_body(&head, hf_slice_from(bytes, head.size));
    check_cors(&head);
    return 0;
}
