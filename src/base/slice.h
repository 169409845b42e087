/* SPDX-License-Identifier: Apache-2.0 */
/* A borrowed run of bytes. It dies at the next call on the object that lent it. Not terminated. */
#ifndef HF_BASE_SLICE_H
#define HF_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct hf_slice {
    const uint8_t *ptr; /* may be NULL when len is 0 */
    size_t len;
};

/* For printf("%.*s", HF_SLICE_ARG(s)). */
#define HF_SLICE_ARG(s) (int)(s).len, (const char *)(s).ptr
/* A slice of a string literal. */
#define HF_LITERAL(text) ((struct hf_slice){(const uint8_t *)("" text), sizeof(text) - 1})

static inline struct hf_slice hf_slice(const void *ptr, size_t len)
{
    return (struct hf_slice){(const uint8_t *)ptr, len};
}
/* text may be NULL: an empty slice. */
static inline struct hf_slice hf_slice_of(const char *text)
{
    return (struct hf_slice){(const uint8_t *)text, text == NULL ? 0 : strlen(text)};
}
static inline struct hf_slice hf_slice_from(struct hf_slice s, size_t offset)
{
    return offset >= s.len ? (struct hf_slice){NULL, 0}
                           : (struct hf_slice){s.ptr + offset, s.len - offset};
}
static inline struct hf_slice hf_slice_first(struct hf_slice s, size_t len)
{
    return (struct hf_slice){s.ptr, len < s.len ? len : s.len};
}
bool hf_slice_eq(struct hf_slice a, struct hf_slice b);
/* ASCII case folded; other bytes compare as they are. */
bool hf_slice_eq_nocase(struct hf_slice a, struct hf_slice b);
bool hf_slice_starts(struct hf_slice s, struct hf_slice prefix);
bool hf_slice_ends(struct hf_slice s, struct hf_slice suffix);
/* Offset of the first such byte, or s.len. */
size_t hf_slice_find(struct hf_slice s, uint8_t byte);
/* Offset of the first occurrence of needle, or s.len when there is none. */
size_t hf_slice_search(struct hf_slice s, struct hf_slice needle);
/* needle occurs, ASCII case folded. An empty one always does. */
bool hf_slice_contains_nocase(struct hf_slice s, struct hf_slice needle);
/* Without spaces and tabs at either end (RFC 9110 OWS). */
struct hf_slice hf_slice_trim(struct hf_slice s);
/* Takes the next piece up to separator off *rest. False when *rest is exhausted. An empty *rest
 * gives no piece; "a,,b" gives "a", "", "b"; "a," gives "a". */
bool hf_slice_next(struct hf_slice *rest, uint8_t separator, struct hf_slice *piece);
/* Whole s as a decimal number without sign or spaces, at most max. False otherwise. */
bool hf_slice_number(struct hf_slice s, uint64_t max, uint64_t *value);

#endif
