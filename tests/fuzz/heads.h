/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold for every head, request or response, whatever the bytes. */
#ifndef FUZZ_HEADS_H
#define FUZZ_HEADS_H

#include "fuzz.h"
#include "http/head.h"

typedef enum hf_head_read head_reader(struct hf_slice, size_t, struct hf_head *, const char **);

/* The verdict on a prefix is MORE, or that on the whole. */
static inline void check_prefixes(head_reader *read, struct hf_slice bytes, size_t max,
                                  enum hf_head_read whole, const struct hf_head *head)
{
    /* All short prefixes, and some of the longer ones. */
    for (size_t len = 0; len < bytes.len; len += len < 128 ? 1 : 37) {
        struct hf_slice prefix = exact(hf_slice_first(bytes, len));
        struct hf_head part;
        const char *why;
        enum hf_head_read verdict = read(prefix, max, &part, &why);

        HF_ASSERT(verdict == HF_HEAD_MORE || verdict == whole);
        HF_ASSERT(verdict != HF_HEAD_READ ||
                  (part.size == head->size && part.count == head->count));
        HF_ASSERT(whole != HF_HEAD_READ || (verdict == HF_HEAD_READ) == (len >= head->size));
        exact_free(prefix);
    }
}

static inline bool is_plain(struct hf_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((s.ptr[i] < ' ' && s.ptr[i] != '\t') || s.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static inline void check_headers(const struct hf_head *head, struct hf_slice bytes)
{
    HF_ASSERT(head->count <= HF_HEADERS_MAX);
    for (size_t i = 0; i < head->count; i++) {
        struct hf_slice name = head->headers[i].name;
        struct hf_slice value = head->headers[i].value;
        struct hf_slice member;
        char text[64];
        uint32_t cursor = 0;
        size_t members = 0;

        HF_ASSERT(name.len > 0 && lies_in(name, bytes) && lies_in(value, bytes));
        HF_ASSERT(is_plain(name) && hf_slice_find(name, ' ') == name.len);
        HF_ASSERT(hf_slice_find(name, ':') == name.len && hf_slice_find(name, '\t') == name.len);
        HF_ASSERT(is_plain(value) && hf_slice_trim(value).len == value.len);
        if (name.len >= sizeof(text)) {
            continue;
        }
        memcpy(text, name.ptr, name.len);
        text[name.len] = '\0';
        HF_ASSERT(hf_head_find(head, text) != NULL && hf_head_count(head, text) > 0);
        while (hf_head_next_member(head, text, &cursor, &member)) {
            HF_ASSERT(member.len > 0 && lies_in(member, bytes));
            HF_ASSERT(++members <= bytes.len);
        }
    }
}

/* Writes the headers and the empty line. */
static inline void write_headers(struct hf_buffer *out, const struct hf_head *head)
{
    for (size_t i = 0; i < head->count; i++) {
        (void)hf_buffer_add(out, head->headers[i].name);
        (void)hf_buffer_add_text(out, ": ");
        (void)hf_buffer_add(out, head->headers[i].value);
        (void)hf_buffer_add_text(out, "\r\n");
    }
    (void)hf_buffer_add_text(out, "\r\n");
}

static inline void check_same_headers(const struct hf_head *a, const struct hf_head *b)
{
    HF_ASSERT(a->minor == b->minor && a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        HF_ASSERT(hf_slice_eq(a->headers[i].name, b->headers[i].name));
        HF_ASSERT(hf_slice_eq(a->headers[i].value, b->headers[i].value));
    }
}

#endif
