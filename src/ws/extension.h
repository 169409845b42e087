/* SPDX-License-Identifier: Apache-2.0 */
/* Sec-WebSocket-Extensions: parsing (RFC 6455 9.1) and the rules of permessage-deflate (RFC
 * 7692 7.1). Pure. */
#ifndef HF_WS_EXTENSION_H
#define HF_WS_EXTENSION_H

#include "base/buffer.h"
#include "http/head.h"

enum hf_extension_check {
    HF_EXTENSION_NONE, /* nothing is left to offer / was agreed */
    HF_EXTENSION_OK,
    HF_EXTENSION_SYNTAX, /* the header cannot be parsed: 400 for a request, a failed handshake for a
                            response */
    HF_EXTENSION_REFUSED /* response only: it does not fit any offer */
};

/* What permessage-deflate was agreed to be. Compressing with 8 bits is done in a window of 9
 * (deflate.h says why). */
struct hf_deflate {
    bool agreed;
    bool server_no_context_takeover;
    bool client_no_context_takeover;
    uint8_t server_bits; /* window bits 8 to 15; 15 when not named */
    uint8_t client_bits;
};

/* Reads all Sec-WebSocket-Extensions headers of a request and writes to `offers` (one header value)
 * those permessage-deflate offers that are well formed by RFC 7692 7.1, byte for byte in their
 * order, ", " between; unknown extensions and malformed offers (unknown, repeated or bad
 * parameters) are taken out. With HF_EXTENSION_OK check offers->failed; NONE and SYNTAX leave in
 * offers what it held before, or a part of the offers to be thrown away. */
enum hf_extension_check hf_extension_offers(const struct hf_head *request,
                                            struct hf_buffer *offers);
/* Reads a response's header against the offers that were sent. *agreed is what both legs now speak;
 * what a client only hinted at in the offer that was accepted (its own window, no context takeover)
 * holds too, because RFC 7692 7.1.1.2 and 7.1.2.2 bind it. Without OK, *agreed says that nothing
 * was agreed. */
enum hf_extension_check hf_extension_answer(const struct hf_head *response, struct hf_slice offers,
                                            struct hf_deflate *agreed);
/* Accepts the first of a request's well-formed offers, for a server that compresses itself: writes
 * the answer's header value and fills *agreed. NONE when there is none, and then nothing is
 * written. */
enum hf_extension_check hf_extension_accept(struct hf_slice offers, struct hf_buffer *answer,
                                            struct hf_deflate *agreed);

#endif
