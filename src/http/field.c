/* SPDX-License-Identifier: Apache-2.0 */
/* Looks headers up in a head that was read, and walks over comma-separated lists (RFC 9110 5.6.1).
 */
#include "http/head.h"

#include "base/hash.h"

/* A cursor holds the number of a header above this many bits, and below them where to go on in its
 * value. */
#define OFFSET_BITS 25
_Static_assert(HF_HEAD_BYTES_MAX < (1u << OFFSET_BITS), "an offset fits a cursor");
_Static_assert(HF_HEADERS_MAX < (1u << (32 - OFFSET_BITS)), "a header's number fits a cursor");

const struct hf_slice *hf_head_find(const struct hf_head *head, const char *name)
{
    struct hf_slice wanted = hf_slice_of(name);

    for (size_t i = 0; i < head->count; i++) {
        if (hf_slice_eq_nocase(head->headers[i].name, wanted)) {
            return &head->headers[i].value;
        }
    }
    return NULL;
}

size_t hf_head_count(const struct hf_head *head, const char *name)
{
    struct hf_slice wanted = hf_slice_of(name);
    size_t count = 0;

    for (size_t i = 0; i < head->count; i++) {
        count += hf_slice_eq_nocase(head->headers[i].name, wanted) ? 1 : 0;
    }
    return count;
}

bool hf_head_has_member(const struct hf_head *head, const char *name, struct hf_slice wanted)
{
    struct hf_slice member;
    uint32_t cursor = 0;

    while (hf_head_next_member(head, name, &cursor, &member)) {
        if (hf_slice_eq_nocase(member, wanted)) {
            return true;
        }
    }
    return false;
}

bool hf_head_has_token(const struct hf_head *head, const char *name, const char *token)
{
    return hf_head_has_member(head, name, hf_slice_of(token));
}

bool hf_head_has_bearer(const struct hf_head *head, const char *token)
{
    const struct hf_slice *value = hf_head_find(head, "Authorization");
    if (value == NULL || hf_head_count(head, "Authorization") != 1) {
        return false;
    }
    size_t space = hf_slice_find(*value, ' ');
    /* RFC 9110 11.1: the scheme's case does not count. */
    return hf_slice_eq_nocase(hf_slice_first(*value, space), HF_LITERAL("Bearer")) &&
           hf_equal_secret(hf_slice_trim(hf_slice_from(*value, space)), hf_slice_of(token));
}

/* The offset of the comma that ends the member that begins at offset, or the value's length. A
 * quoted string that does not end reaches to the value's end. */
static size_t member_end(struct hf_slice value, size_t offset)
{
    bool quoted = false;

    for (size_t i = offset; i < value.len; i++) {
        if (value.ptr[i] == '"') {
            quoted = !quoted;
        } else if (quoted && value.ptr[i] == '\\') {
            i++;
        } else if (!quoted && value.ptr[i] == ',') {
            return i;
        }
    }
    return value.len;
}

bool hf_head_next_member(const struct hf_head *head, const char *name, uint32_t *cursor,
                         struct hf_slice *member)
{
    struct hf_slice wanted = hf_slice_of(name);
    size_t index = *cursor >> OFFSET_BITS;
    size_t offset = *cursor & ((1u << OFFSET_BITS) - 1);

    for (; index < head->count; index++, offset = 0) {
        struct hf_slice value = head->headers[index].value;

        if (!hf_slice_eq_nocase(head->headers[index].name, wanted)) {
            continue;
        }
        while (offset < value.len) {
            size_t end = member_end(value, offset);

            *member = hf_slice_trim(hf_slice(value.ptr + offset, end - offset));
            offset = end + 1;
            /* RFC 9110 5.6.1.2: empty members are skipped. */
            if (member->len > 0) {
                *cursor = (uint32_t)(index << OFFSET_BITS | offset);
                return true;
            }
        }
    }
    *cursor = (uint32_t)(index << OFFSET_BITS);
    return false;
}
