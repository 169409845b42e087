/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 heads, read strictly (RFC 9112): what two readers could understand differently is
 * refused, so a request can never mean one thing to the gateway and another to the backend behind
 * it. Pure: slices point into the caller's bytes. */
#ifndef HF_HTTP_HEAD_H
#define HF_HTTP_HEAD_H

#include "base/buffer.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define HF_HEADERS_MAX 100
#define HF_HEAD_BYTES_MAX (16u << 20) /* whatever max a caller names */

struct hf_header {
    struct hf_slice name;  /* a token */
    struct hf_slice value; /* trimmed; no CR, LF or NUL */
};

struct hf_head {
    struct hf_slice method; /* request only */
    struct hf_slice target; /* request only, as it came: origin-form, or "*" */
    struct hf_slice
        authority;          /* request only: stood before the target in absolute-form; else empty */
    uint16_t status;        /* response only, 100 to 999 */
    struct hf_slice reason; /* response only, may be empty */
    uint8_t minor;          /* HTTP/1.x: 0 or 1 */
    uint16_t count;
    uint32_t size; /* bytes of the whole head with the empty line */
    struct hf_header headers[HF_HEADERS_MAX];
};

enum hf_head_read {
    HF_HEAD_READ,
    HF_HEAD_MORE,     /* the empty line has not come yet, and nothing is wrong so far */
    HF_HEAD_BAD,      /* 400 */
    HF_HEAD_TOO_BIG,  /* more than max bytes, or more than HF_HEADERS_MAX headers: 431 */
    HF_HEAD_NOT_HTTP, /* the first bytes are no HTTP/1 (a TLS hello, HTTP/2's preface, noise) */
};
/* *why is a sentence for the refusal's body and the log: "a line ends with LF alone". A fault is
 * told as soon as its bytes are there, not only at the end of the head. Refused: bare CR or LF, NUL
 * and other controls, folded lines, space before the colon, an empty or non-token name, more than
 * one space in the request line, a target that is not origin-form, HTTP/0.9, HTTP/2 preface,
 * leading empty lines. */
enum hf_head_read hf_request_read(struct hf_slice bytes, size_t max, struct hf_head *head,
                                  const char **why);
/* Interim 1xx responses other than 101 are read like any other; the caller skips them. */
enum hf_head_read hf_response_read(struct hf_slice bytes, size_t max, struct hf_head *head,
                                   const char **why);

/* The value of the first header of that name (ASCII case folded), or NULL. */
const struct hf_slice *hf_head_find(const struct hf_head *head, const char *name);
/* How often the header is there. */
size_t hf_head_count(const struct hf_head *head, const char *name);
/* True when a comma-separated list header (all its lines) holds the token, case folded. */
bool hf_head_has_member(const struct hf_head *head, const char *name, struct hf_slice wanted);
bool hf_head_has_token(const struct hf_head *head, const char *name, const char *token);
/* True when there is exactly one Authorization and it is this bearer token; compared in constant
 * time. */
bool hf_head_has_bearer(const struct hf_head *head, const char *token);
/* Walks over the members of a comma-separated list header, over all its lines; commas in quoted
 * strings do not part, empty members are skipped. *cursor starts at 0. */
bool hf_head_next_member(const struct hf_head *head, const char *name, uint32_t *cursor,
                         struct hf_slice *member);

/* How the body behind a response head is bounded (RFC 9112 section 6). The answer to a HEAD request
 * has none, which only the caller knows. BAD: Transfer-Encoding that is not just "chunked", or with
 * Content-Length, or in HTTP/1.0; Content-Length twice or no number. */
enum hf_body_kind {
    HF_BODY_NONE,
    HF_BODY_LENGTH,
    HF_BODY_CHUNKED,
    HF_BODY_UNTIL_CLOSE,
    HF_BODY_BAD
};
enum hf_body_kind hf_response_body(const struct hf_head *head, uint64_t *length);

/* Bytes of extensions and trailers in one body; more is malformed. */
#define HF_CHUNKED_BALLAST_MAX 16384

/* Takes chunked coding apart piece by piece. Zero the struct to start. */
struct hf_chunked {
    uint64_t left;    /* bytes of this chunk's data that have not come */
    uint32_t ballast; /* bytes of extensions and trailers so far */
    uint8_t state;
    bool done;
};
/* Reads from bytes; sets *taken to what was understood and *data to a run of body bytes in it (may
 * be empty). Call again with the rest until done or taken == 0. False when it is malformed, and
 * ever after. */
bool hf_chunked_read(struct hf_chunked *c, struct hf_slice bytes, size_t *taken,
                     struct hf_slice *data);

const char *hf_http_reason(uint16_t status);

#endif
