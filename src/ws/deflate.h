/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of permessage-deflate (RFC 7692 7.2), over zlib's raw deflate with the allocator
 * handed in.
 *
 * What stands on the wire is DEFLATE blocks that end on an empty stored block, less that block's
 * last four bytes 00 00 FF FF. A message may be handed over in pieces; each side keeps its window
 * between messages unless it was agreed not to. After any result but OK the object is only good for
 * freeing. */
#ifndef HF_WS_DEFLATE_H
#define HF_WS_DEFLATE_H

#include "base/buffer.h"

#include <stdbool.h>

struct hf_deflater;
/* window_bits 8 to 15. zlib's raw deflate cannot do 8, so 9 is used in its place: it keeps its
 * distances at least 262 bytes below its window, so they never exceed 250 and fit the 256 bytes of
 * 8 bits. NULL: no memory. */
struct hf_deflater *hf_deflater_new(const struct hf_allocator *alloc, uint8_t window_bits,
                                    bool no_context_takeover);
void hf_deflater_free(struct hf_deflater *d);
/* Appends to out what goes on the wire for this piece of a message; fin: it is the last one. */
HF_MUST_USE enum hf_status hf_deflater_add(struct hf_deflater *d, struct hf_slice data, bool fin,
                                           struct hf_buffer *out);

enum hf_inflate {
    HF_INFLATE_OK,
    HF_INFLATE_BAD,     /* not DEFLATE, or the message ends inside of a block */
    HF_INFLATE_TOO_BIG, /* out would hold more than max */
    HF_INFLATE_NO_MEMORY,
};
struct hf_inflater;
/* NULL: no memory. */
struct hf_inflater *hf_inflater_new(const struct hf_allocator *alloc, uint8_t window_bits,
                                    bool no_context_takeover);
void hf_inflater_free(struct hf_inflater *i);
/* Appends what the bytes inflate to, until out holds more than max bytes; out->max must be larger
 * than max. */
HF_MUST_USE enum hf_inflate hf_inflater_add(struct hf_inflater *i, struct hf_slice bytes,
                                            size_t max, struct hf_buffer *out);
/* The message's bytes are all there. Appends what is still to come. */
HF_MUST_USE enum hf_inflate hf_inflater_end(struct hf_inflater *i, size_t max,
                                            struct hf_buffer *out);

#endif
