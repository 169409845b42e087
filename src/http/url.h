/* SPDX-License-Identifier: Apache-2.0 */
/* URLs and request targets (RFC 3986), query strings, cookies. Pure: slices point into the caller's
 * bytes. */
#ifndef HF_HTTP_URL_H
#define HF_HTTP_URL_H

#include "base/buffer.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct hf_url {
    struct hf_slice scheme; /* http https ws wss unix, lower case required */
    bool tls;
    struct hf_slice host; /* without brackets; for unix: the socket's path */
    bool host_is_ipv6;
    uint16_t port;         /* default filled in; 0 for unix */
    struct hf_slice path;  /* with its leading slash; "/" when empty */
    struct hf_slice query; /* without the question mark; ptr NULL when there is none */
};
/* "http://h:1/p?q", "wss://[::1]/", "unix:/run/app.sock" or "unix:/run/app.sock:/path". User info
 * and fragments are refused. *why says what is wrong. */
bool hf_url_parse(struct hf_slice text, struct hf_url *url, const char **why);

/* Parts a request target; query.ptr NULL when there is no question mark. */
void hf_target_split(struct hf_slice target, struct hf_slice *path, struct hf_slice *query);
/* Path for comparing with a route: percent-decoded where the decoded byte is unreserved, dot
 * segments refused. False when the path has %00, a dot segment (also percent-coded), an encoded
 * slash or backslash, or a bad escape. */
bool hf_path_normal(struct hf_slice path, struct hf_buffer *out);
/* The first value of the named parameter, still percent-encoded ('+' not yet decoded). Names are
 * compared decoded. */
bool hf_query_find(struct hf_slice query, struct hf_slice name, struct hf_slice *value);
/* The target without any parameter of that name; everything else byte for byte. */
enum hf_status hf_query_remove(struct hf_slice target, struct hf_slice name, struct hf_buffer *out);
/* The target with each parameter of that name given the value, which is percent-encoded here;
 * everything else byte for byte. */
enum hf_status hf_query_replace(struct hf_slice target, struct hf_slice name, struct hf_slice value,
                                struct hf_buffer *out);
/* Decodes %XX and '+' into out. False on a bad escape or NUL. */
bool hf_percent_decode(struct hf_slice text, struct hf_buffer *out);
/* The value of a cookie in a Cookie header's value; quotes around it are taken off. */
bool hf_cookie_find(struct hf_slice cookies, struct hf_slice name, struct hf_slice *value);

#endif
