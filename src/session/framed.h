/* SPDX-License-Identifier: Apache-2.0 */
/* The framed list of POSTs and polls (docs/protocol.md section 9):
 *
 *   type (1: 1 text, 2 binary, 3 control without its 0x01) | length (4, big-endian) | payload
 */
#ifndef HF_SESSION_FRAMED_H
#define HF_SESSION_FRAMED_H

#include "base/buffer.h"

enum hf_framed_type { HF_FRAMED_TEXT = 1, HF_FRAMED_BINARY = 2, HF_FRAMED_CONTROL = 3 };
#define HF_FRAMED_HEAD 5

enum hf_framed_read {
    HF_FRAMED_READ, /* *type and *payload; *size bytes of the list are done */
    HF_FRAMED_MORE, /* not whole yet; with HF_FRAMED_HEAD bytes, *type and *payload.len are known */
    HF_FRAMED_BAD,  /* no such type */
};
enum hf_framed_read hf_framed_read(struct hf_slice bytes, enum hf_framed_type *type,
                                   struct hf_slice *payload, size_t *size);
void hf_framed_write(struct hf_buffer *out, enum hf_framed_type type, struct hf_slice payload);

#endif
