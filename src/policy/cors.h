/* SPDX-License-Identifier: Apache-2.0 */
/* What a page of another origin may read of the gateway's answers (Fetch, section 3.2). Pure.
 *
 * WebSockets know no such thing; requests without WebSockets do, and browsers ask first
 * (preflight) because of their headers. */
#ifndef HF_POLICY_CORS_H
#define HF_POLICY_CORS_H

#include "base/buffer.h"
#include "base/time.h"

enum hf_cors {
    HF_CORS_NONE,    /* the request names no origin: nothing is added */
    HF_CORS_REFUSED, /* the origin is not one of the route's: nothing is added, and script that
                        gets an answer cannot read it */
    HF_CORS_ANY,     /* every origin may, without credentials */
    HF_CORS_LISTED,  /* this origin may, with credentials */
};
/* patterns as for hf_origin_matches; none: every origin. A pattern that takes every host ("*",
 * "https://" and "*"), or "null", lists nobody: cookies are for origins that somebody has named.
 * origin NULL: the request has none. */
enum hf_cors hf_cors_judge(const char *const *patterns, size_t count,
                           const struct hf_slice *origin);
/* Header lines of an answer. */
void hf_cors_write(enum hf_cors cors, const struct hf_slice *origin, struct hf_buffer *out);
/* Header lines of the answer to a preflight; its status is 204. */
void hf_cors_write_preflight(enum hf_cors cors, const struct hf_slice *origin, hf_time max_age,
                             struct hf_buffer *out);

/* A browser says "same-origin" in Sec-Fetch-Site, which script cannot set, and then often no
 * Origin: whether one of the patterns takes the origin that host has. */
bool hf_cors_same_origin(const char *const *patterns, size_t count, struct hf_slice host);

#endif
