/* SPDX-License-Identifier: Apache-2.0 */
/* TLS contexts over OpenSSL: certificates by name for a listener, verification for a client. */
#ifndef HF_IO_TLS_H
#define HF_IO_TLS_H

#include "base/buffer.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reference-counted, immutable, shared between threads. */
struct hf_tls;

struct hf_tls_certificate {
    const char *cert; /* PEM file: certificate and chain */
    const char *key;  /* PEM file */
};

struct hf_tls_server_options {
    const struct hf_tls_certificate
        *certificates;        /* the first answers when no name matches (SNI) */
    size_t certificate_count; /* 1 or more */
    uint16_t version_min;     /* 0x0303 TLS 1.2 (default when 0) or 0x0304 TLS 1.3 */
};

struct hf_tls_client_options {
    const char *ca; /* PEM file or directory; NULL: the system's */
    bool no_verify;
};

/* On failure *tls is NULL and why says, for a person, which file and what is wrong with it. ALPN is
 * http/1.1 for both. */
HF_MUST_USE enum hf_status hf_tls_server_new(const struct hf_tls_server_options *options,
                                             struct hf_tls **tls, struct hf_buffer *why);
HF_MUST_USE enum hf_status hf_tls_client_new(const struct hf_tls_client_options *options,
                                             struct hf_tls **tls, struct hf_buffer *why);
struct hf_tls *hf_tls_ref(struct hf_tls *tls);
/* NULL is accepted. */
void hf_tls_unref(struct hf_tls *tls);
/* Of the certificate that is used when no name matches: not-after in ms since 1970; 0 for a client
 * context. */
int64_t hf_tls_expires(const struct hf_tls *tls);
struct hf_stream;
/* Not-after of the certificate that the peer showed on an open stream, in ms since 1970; 0: none
 * was shown, or the stream is plain. */
int64_t hf_tls_peer_expires(const struct hf_stream *stream);

#endif
