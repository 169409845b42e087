/* SPDX-License-Identifier: Apache-2.0 */
/* The C library's heap as an allocator; the only file of the ground floor that touches it. */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

static void *heap_resize(void *context, void *ptr, size_t size)
{
    (void)context;
    if (size == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, size);
}

const struct hf_allocator hf_heap = {heap_resize, NULL};

void *hf_alloc_zero(const struct hf_allocator *a, size_t size)
{
    void *ptr = hf_alloc(a, size);
    if (ptr != NULL) {
        memset(ptr, 0, size);
    }
    return ptr;
}

char *hf_alloc_text(const struct hf_allocator *a, struct hf_slice s)
{
    char *text = hf_alloc(a, s.len + 1);
    if (text != NULL) {
        if (s.len > 0) {
            memcpy(text, s.ptr, s.len);
        }
        text[s.len] = '\0';
    }
    return text;
}
