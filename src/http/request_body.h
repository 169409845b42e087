/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a request, up to a limit, as it comes in pieces (RFC 9112 6.3). Pure.
 *
 * Read as strictly as the heads: a request whose body two readers could bound differently is
 * refused, for what one takes for its end the other would take for the next request. */
#ifndef HF_HTTP_REQUEST_BODY_H
#define HF_HTTP_REQUEST_BODY_H

#include "http/head.h"

struct hf_request_body {
    enum hf_body_kind kind; /* NONE, LENGTH or CHUNKED */
    uint64_t left;          /* LENGTH: bytes that have not come */
    struct hf_chunked chunked;
};

/* NULL and *b ready, or a sentence for 400. BAD are: Transfer-Encoding that is not just "chunked",
 * or stands beside Content-Length, or in HTTP/1.0; Content-Length twice or no number; Trailer. */
const char *hf_request_body_start(struct hf_request_body *b, const struct hf_head *head);

enum hf_request_body_read {
    HF_REQUEST_BODY_MORE, /* all bytes were taken */
    HF_REQUEST_BODY_WHOLE,
    HF_REQUEST_BODY_BAD,     /* chunks that are none: 400 */
    HF_REQUEST_BODY_TOO_BIG, /* it does not fit into->max, or memory ran out: 413 */
};
/* Appends to *into. *taken bytes belonged to the body; those behind them are the next request's. */
enum hf_request_body_read hf_request_body_read(struct hf_request_body *b, struct hf_slice bytes,
                                               size_t *taken, struct hf_buffer *into);

#endif
