/* SPDX-License-Identifier: Apache-2.0 */
/* A copy of bytes on the heap with nothing behind it, so that the sanitizer finds a reader that
 * goes one too far. */
#ifndef EXACT_H
#define EXACT_H

#include "base/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
/* cmocka needs the four above. */
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Free .ptr with exact_free. */
static inline struct hf_slice exact(struct hf_slice s)
{
    uint8_t *copy = malloc(s.len == 0 ? 1 : s.len);

    assert_non_null(copy);
    if (s.len > 0) {
        memcpy(copy, s.ptr, s.len);
    }
    return hf_slice(copy, s.len);
}

static inline void exact_free(struct hf_slice s)
{
    free((void *)(uintptr_t)s.ptr);
}

static inline void assert_slice(struct hf_slice s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    if (s.len > 0) {
        assert_memory_equal(s.ptr, text, s.len);
    }
}

#endif
