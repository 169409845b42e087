/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets share. A target is one function that libFuzzer calls with strangers' bytes,
 * and that asserts what must hold for all of them; replay.c calls it with the files of its corpus.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "base/slice.h"
#include "base/status.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy with nothing behind it, so that the sanitizer finds a reader that goes one byte too far.
 * Free .ptr with exact_free. */
static inline struct hf_slice exact(struct hf_slice s)
{
    uint8_t *copy = malloc(s.len == 0 ? 1 : s.len);

    HF_ASSERT(copy != NULL);
    if (s.len > 0) {
        memcpy(copy, s.ptr, s.len);
    }
    return hf_slice(copy, s.len);
}
static inline void exact_free(struct hf_slice s)
{
    free((void *)(uintptr_t)s.ptr);
}

/* The first byte of *rest, taken off; 0 when there is none. */
static inline uint8_t take_byte(struct hf_slice *rest)
{
    uint8_t byte = rest->len == 0 ? 0 : rest->ptr[0];

    *rest = hf_slice_from(*rest, 1);
    return byte;
}

/* True when inner lies in outer, or is empty. */
static inline bool lies_in(struct hf_slice inner, struct hf_slice outer)
{
    return inner.len == 0 ||
           (inner.ptr >= outer.ptr && inner.ptr + inner.len <= outer.ptr + outer.len);
}

#endif
