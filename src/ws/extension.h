/* SPDX-License-Identifier: Apache-2.0 */
/* Sec-WebSocket-Extensions: parsing (RFC 6455 9.1) and the rules of permessage-deflate (RFC 7692 7.1). Pure. */
#ifndef HF_WS_EXTENSION_H
#define HF_WS_EXTENSION_H

#include "base/buffer.h"
#include "http/head.h"

enum hf_extension_check {
    HF_EXTENSION_NONE,   /* nothing is left to offer / was agreed */
    HF_EXTENSION_OK,
    HF_EXTENSION_SYNTAX, /* the header cannot be parsed: 400 for a request, a failed handshake for a response */
    HF_EXTENSION_REFUSED /* response only: it does not fit any offer */
};

struct hf_deflate {
    bool agreed;
    bool server_no_context_takeover;
    bool client_no_context_takeover;
    uint8_t server_bits; /* window bits 8 to 15; 15 when not named */
    uint8_t client_bits;
};

/* Reads all Sec-WebSocket-Extensions headers of a request and writes to `offers` (one header value) those
 * permessage-deflate offers that are well formed by RFC 7692 7.1, byte for byte in their order, a comma between; unknown
 * extensions and malformed offers (unknown, repeated or bad parameters) are taken out. */
enum hf_extension_check hf_extension_offers(const struct hf_head *request, struct hf_buffer *offers);
/* Reads a response's header against the offers that were sent. *agreed is what both legs now speak. */
enum hf_extension_check hf_extension_answer(const struct hf_head *response, struct hf_slice offers,
                                            struct hf_deflate *agreed);

#endif
