/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets do not reach a log, a metric, a page or a terminal: the two places where strangers carry
 * them. */
#ifndef HF_BASE_REDACT_H
#define HF_BASE_REDACT_H

#include "base/buffer.h"

/* Appends a request target (path?query) in which the value of every query parameter that carries a
 * secret is "***"; an empty value stays empty, and everything else is copied byte for byte.
 * Secret are token, access_token, id_token, jwt, auth, key, api_key, secret, password, ticket and
 * sig: whatever the case, percent-encoded or not, with or without - and _ ("apiKey"), with an index
 * behind it ("token[]"). Pairs are separated by & or by ; and where it is in doubt whether a ; ends
 * the secret, what follows it is taken as secret too. When out fails, `out->failed` is set. */
void hf_redact_target(struct hf_slice target, struct hf_buffer *out);
/* The same, and the parameters of these further names (NULL at the end; NULL: none), compared
 * percent-decoded and without case. */
void hf_redact_target_and(struct hf_slice target, const char *const *further,
                          struct hf_buffer *out);
/* The same for a whole URL, whose user info (up to an @ in front of the path) becomes "***" too. It
 * need not be a good URL: it may stand in a complaint. */
void hf_redact_url(struct hf_slice url, const char *const *further, struct hf_buffer *out);
/* True for header fields whose value is a secret: Authorization, Cookie, Set-Cookie,
 * Proxy-Authorization. */
bool hf_redact_header(struct hf_slice name);

#endif
