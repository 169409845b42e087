/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a handshake's request that follow from a URL, for the library and the tools. */
#ifndef HF_CLIENT_REQUEST_H
#define HF_CLIENT_REQUEST_H

#include "base/buffer.h"
#include "http/url.h"

/* Path and query; name and token, where both are given, as a further parameter. */
void hf_request_add_target(const struct hf_url *url, const char *name, const char *token,
                           struct hf_buffer *out);
/* The value of Host: a port that is not the scheme's own stands behind it; "localhost" for a Unix
 * socket. */
void hf_request_add_host(const struct hf_url *url, struct hf_buffer *out);

#endif
