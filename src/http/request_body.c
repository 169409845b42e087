/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of requests: by length, or in chunks. */
#include "http/request_body.h"

const char *hf_request_body_start(struct hf_request_body *b, const struct hf_head *head)
{
    size_t codings = hf_head_count(head, "Transfer-Encoding");
    size_t lengths = hf_head_count(head, "Content-Length");

    *b = (struct hf_request_body){.kind = HF_BODY_NONE};
    if (hf_head_count(head, "Trailer") > 0) {
        return "Trailers are not taken.";
    }
    if (codings > 0) { /* RFC 9112 6.1 */
        if (lengths > 0) {
            return "There is a Transfer-Encoding beside a Content-Length.";
        }
        if (head->minor == 0) {
            return "HTTP/1.0 has no Transfer-Encoding.";
        }
        if (codings > 1 ||
            !hf_slice_eq_nocase(*hf_head_find(head, "Transfer-Encoding"), HF_LITERAL("chunked"))) {
            return "Of transfer codings only chunked is known, and only once.";
        }
        b->kind = HF_BODY_CHUNKED;
    } else if (lengths > 0) {
        if (lengths > 1 ||
            !hf_slice_number(*hf_head_find(head, "Content-Length"), INT64_MAX, &b->left)) {
            return "Content-Length is not one number.";
        }
        b->kind = b->left == 0 ? HF_BODY_NONE : HF_BODY_LENGTH;
    }
    return NULL;
}

static enum hf_request_body_read read_length(struct hf_request_body *b, struct hf_slice bytes,
                                             size_t *taken, struct hf_buffer *into)
{
    size_t run = b->left < bytes.len ? (size_t)b->left : bytes.len;
    if (b->left > into->max - into->len) { /* told before the whole of it has come */
        return HF_REQUEST_BODY_TOO_BIG;
    }
    if (hf_buffer_add(into, hf_slice_first(bytes, run)) != HF_OK) {
        return HF_REQUEST_BODY_TOO_BIG;
    }
    b->left -= run;
    *taken = run;
    return b->left == 0 ? HF_REQUEST_BODY_WHOLE : HF_REQUEST_BODY_MORE;
}

static enum hf_request_body_read read_chunks(struct hf_request_body *b, struct hf_slice bytes,
                                             size_t *taken, struct hf_buffer *into)
{
    while (*taken < bytes.len && !b->chunked.done) {
        size_t step;
        struct hf_slice data;
        if (!hf_chunked_read(&b->chunked, hf_slice_from(bytes, *taken), &step, &data)) {
            return HF_REQUEST_BODY_BAD;
        }
        *taken += step;
        /* A chunk that will not fit is told with its first byte. */
        if ((data.len > 0 && b->chunked.left + data.len > into->max - into->len) ||
            hf_buffer_add(into, data) != HF_OK) {
            return HF_REQUEST_BODY_TOO_BIG;
        }
    }
    return b->chunked.done ? HF_REQUEST_BODY_WHOLE : HF_REQUEST_BODY_MORE;
}

enum hf_request_body_read hf_request_body_read(struct hf_request_body *b, struct hf_slice bytes,
                                               size_t *taken, struct hf_buffer *into)
{
    *taken = 0;
    if (b->kind == HF_BODY_LENGTH) {
        return read_length(b, bytes, taken, into);
    }
    if (b->kind == HF_BODY_CHUNKED) {
        return read_chunks(b, bytes, taken, into);
    }
    return HF_REQUEST_BODY_WHOLE;
}
