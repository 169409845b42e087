/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that are owned. Grows by doubling up to a maximum; never shrinks until it is reset.
 * Invariant: data == NULL exactly when cap == 0; len <= cap <= max. */
#ifndef HF_BASE_BUFFER_H
#define HF_BASE_BUFFER_H

#include "base/alloc.h"
#include "base/slice.h"
#include "base/status.h"

#include <stdarg.h>

struct hf_buffer {
    const struct hf_allocator *alloc;
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max;  /* bytes; an append beyond it fails with HF_NO_MEMORY */
    bool failed; /* an append failed since the last reset: what is in data is not whole */
};

void hf_buffer_init(struct hf_buffer *b, const struct hf_allocator *alloc, size_t max);
/* Frees the bytes; the buffer can be used again. */
void hf_buffer_reset(struct hf_buffer *b);
/* Forgets the bytes and the failure, keeps the memory. */
void hf_buffer_clear(struct hf_buffer *b);
/* Room for `more` bytes behind len. */
HF_MUST_USE enum hf_status hf_buffer_reserve(struct hf_buffer *b, size_t more);
/* All or nothing; on failure `failed` is set, later appends fail too, and the status may be
 * ignored: a caller that builds a text checks `failed` once at the end. */
enum hf_status hf_buffer_add(struct hf_buffer *b, struct hf_slice s);
enum hf_status hf_buffer_add_text(struct hf_buffer *b, const char *text);
enum hf_status hf_buffer_add_byte(struct hf_buffer *b, uint8_t byte);
/* Decimal. */
enum hf_status hf_buffer_add_number(struct hf_buffer *b, int64_t value);
enum hf_status hf_buffer_addf(struct hf_buffer *b, const char *format, ...) HF_PRINTF(2, 3);
enum hf_status hf_buffer_addv(struct hf_buffer *b, const char *format, va_list args);
/* s as the inside of a JSON string, without the quotes: escapes ", \, controls, and replaces bytes
 * that are not UTF-8 by U+FFFD. */
enum hf_status hf_buffer_add_json(struct hf_buffer *b, struct hf_slice s);
/* Takes the first n bytes off (n <= len). */
void hf_buffer_drop(struct hf_buffer *b, size_t n);
static inline struct hf_slice hf_buffer_slice(const struct hf_buffer *b)
{
    return (struct hf_slice){b->data, b->len};
}

#endif
