/* SPDX-License-Identifier: Apache-2.0 */
/* Cross-origin answers: whether, and with which header lines. */
#include "policy/cors.h"

#include "policy/access.h"

#define ORIGIN_MAX 300 /* bytes: a scheme, a name of 253 and a port */

/* The host part, behind the scheme when there is one, is a star alone; or it is the opaque origin,
 * which every sandboxed frame has. */
static bool takes_every_host(struct hf_slice pattern)
{
    size_t at = hf_slice_search(pattern, HF_LITERAL("://"));
    struct hf_slice host = at < pattern.len ? hf_slice_from(pattern, at + 3) : pattern;
    return hf_slice_eq(hf_slice_first(host, hf_slice_find(host, ':')), HF_LITERAL("*")) ||
           hf_slice_eq_nocase(pattern, HF_LITERAL("null"));
}

enum hf_cors hf_cors_judge(const char *const *patterns, size_t count, const struct hf_slice *origin)
{
    enum hf_cors verdict = count == 0 ? HF_CORS_ANY : HF_CORS_REFUSED;
    if (origin == NULL) {
        return HF_CORS_NONE;
    }
    for (size_t i = 0; i < count; i++) {
        struct hf_slice pattern = hf_slice_of(patterns[i]);
        if (hf_origin_matches(pattern, *origin)) {
            if (!takes_every_host(pattern)) {
                return HF_CORS_LISTED;
            }
            verdict = HF_CORS_ANY;
        }
    }
    return verdict;
}

/* Vary is for caches between (Fetch 3.2.6): the answer to one origin is not that to another. */
static bool write_origin(enum hf_cors cors, const struct hf_slice *origin, struct hf_buffer *out)
{
    switch (cors) {
    case HF_CORS_ANY:
        hf_buffer_add_text(out, "Access-Control-Allow-Origin: *\r\n");
        return true;
    case HF_CORS_LISTED:
        hf_buffer_add_text(out, "Access-Control-Allow-Origin: ");
        hf_buffer_add(out, *origin);
        hf_buffer_add_text(out, "\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n");
        return true;
    case HF_CORS_REFUSED:
        hf_buffer_add_text(out, "Vary: Origin\r\n");
        return false;
    case HF_CORS_NONE:
    default:
        return false;
    }
}

void hf_cors_write(enum hf_cors cors, const struct hf_slice *origin, struct hf_buffer *out)
{
    if (write_origin(cors, origin, out)) {
        hf_buffer_add_text(out, "Access-Control-Expose-Headers: HF-Received, HF-Seq, HF-Reason, "
                                "Retry-After, Holdfast-Cause\r\n");
    }
}

void hf_cors_write_preflight(enum hf_cors cors, const struct hf_slice *origin, hf_time max_age,
                             struct hf_buffer *out)
{
    if (write_origin(cors, origin, out)) {
        hf_buffer_add_text(
            out, "Access-Control-Allow-Methods: GET, POST\r\n"
                 "Access-Control-Allow-Headers: HF-Protocol, HF-Open, HF-Resume, HF-Key, HF-Seq, "
                 "HF-Received, Content-Type, Authorization, Last-Event-ID, Cache-Control\r\n");
        hf_buffer_addf(out, "Access-Control-Max-Age: %lld\r\n", (long long)(max_age / 1000000));
    }
}

bool hf_cors_same_origin(const char *const *patterns, size_t count, struct hf_slice host)
{
    static const struct hf_slice schemes[] = {HF_LITERAL("https://"), HF_LITERAL("http://")};
    uint8_t text[ORIGIN_MAX];
    if (host.len > sizeof(text) - schemes[0].len) {
        return false;
    }
    for (size_t i = 0; i < 2; i++) {
        memcpy(text, schemes[i].ptr, schemes[i].len);
        memcpy(text + schemes[i].len, host.ptr, host.len);
        struct hf_slice origin = hf_slice(text, schemes[i].len + host.len);
        for (size_t k = 0; k < count; k++) {
            if (hf_origin_matches(hf_slice_of(patterns[k]), origin)) {
                return true;
            }
        }
    }
    return false;
}
