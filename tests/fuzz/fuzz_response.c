/* SPDX-License-Identifier: Apache-2.0 */
/* Response heads as in fuzz_request, and chunked bodies: taken apart whole and in pieces they give
 * the same, and what came out and is chunked again comes out again. Bytes that begin no response
 * are a chunked body themselves. */
#include "heads.h"
#include "ws/handshake.h"

#define MAX 1024

static void check_round_trip(const struct hf_head *head)
{
    struct hf_head again;
    struct hf_buffer out;
    const char *why;

    hf_buffer_init(&out, &hf_heap, 1 << 20);
    (void)hf_buffer_addf(&out, "HTTP/1.%u %u ", head->minor, head->status);
    (void)hf_buffer_add(&out, head->reason);
    (void)hf_buffer_add_text(&out, "\r\n");
    write_headers(&out, head);
    HF_ASSERT(!out.failed);
    HF_ASSERT(hf_response_read(hf_buffer_slice(&out), 1 << 20, &again, &why) == HF_HEAD_READ);
    HF_ASSERT(again.size == out.len && again.status == head->status);
    HF_ASSERT(hf_slice_eq(again.reason, head->reason));
    check_same_headers(head, &again);
    hf_buffer_reset(&out);
}

struct unchunked {
    bool ok;
    bool done;
    size_t taken;
    struct hf_buffer body;
};

/* Offers text in pieces of at most `step` bytes. Reset .body. */
static struct unchunked unchunk(struct hf_slice text, size_t step)
{
    struct unchunked u = {.ok = true};
    struct hf_chunked c = {0};

    hf_buffer_init(&u.body, &hf_heap, 1 << 20);
    while (u.ok && !c.done && u.taken < text.len) {
        struct hf_slice piece = exact(hf_slice_first(hf_slice_from(text, u.taken), step));
        size_t offered = 0;

        while (u.ok && !c.done && offered < piece.len) {
            size_t taken;
            struct hf_slice data;

            u.ok = hf_chunked_read(&c, hf_slice_from(piece, offered), &taken, &data);
            HF_ASSERT(taken > 0 && taken <= piece.len - offered);
            HF_ASSERT(lies_in(data, piece));
            (void)hf_buffer_add(&u.body, data);
            offered += taken;
        }
        u.taken += offered;
        exact_free(piece);
    }
    u.done = c.done;
    HF_ASSERT(!u.body.failed && !(u.done && !u.ok));
    return u;
}

static void check_rechunked(struct hf_slice body)
{
    struct hf_buffer out;
    struct unchunked again;

    hf_buffer_init(&out, &hf_heap, 1 << 20);
    while (body.len > 0) {
        struct hf_slice chunk = hf_slice_first(body, 1 + body.ptr[0] % 20);

        (void)hf_buffer_addf(&out, "%zX\r\n", chunk.len);
        (void)hf_buffer_add(&out, chunk);
        (void)hf_buffer_add_text(&out, "\r\n");
        body = hf_slice_from(body, chunk.len);
    }
    (void)hf_buffer_add_text(&out, "0\r\n\r\n");
    again = unchunk(hf_buffer_slice(&out), 7);
    HF_ASSERT(again.ok && again.done && again.taken == out.len);
    hf_buffer_reset(&again.body);
    hf_buffer_reset(&out);
}

static void check_chunked(struct hf_slice text)
{
    struct unchunked whole = unchunk(text, SIZE_MAX);

    for (size_t step = 1; step <= 5; step += 2) {
        struct unchunked split = unchunk(text, step);

        HF_ASSERT(split.ok == whole.ok && split.done == whole.done);
        HF_ASSERT(split.taken == whole.taken);
        HF_ASSERT(hf_slice_eq(hf_buffer_slice(&split.body), hf_buffer_slice(&whole.body)));
        hf_buffer_reset(&split.body);
    }
    check_rechunked(hf_buffer_slice(&whole.body));
    hf_buffer_reset(&whole.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_slice bytes = hf_slice(data, size);
    struct hf_head head;
    const char *why;
    uint64_t length;
    enum hf_head_read read = hf_response_read(bytes, MAX, &head, &why);

    HF_ASSERT((why == NULL) == (read == HF_HEAD_READ || read == HF_HEAD_MORE));
    check_prefixes(hf_response_read, bytes, MAX, read, &head);
    if (read == HF_HEAD_READ) {
        HF_ASSERT(head.size <= size && head.size <= MAX);
        HF_ASSERT(head.status >= 100 && head.status <= 999);
        check_headers(&head, bytes);
        check_round_trip(&head);
        (void)hf_ws_check_response(&head, HF_LITERAL("dGhlIHNhbXBsZSBub25jZQ=="),
                                   HF_LITERAL("chat, superchat"));
        if (hf_response_body(&head, &length) == HF_BODY_CHUNKED) {
            check_chunked(hf_slice_from(bytes, head.size));
        }
    } else if (read == HF_HEAD_NOT_HTTP) {
        check_chunked(bytes);
    }
    return 0;
}
