/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing, searching and splitting borrowed bytes. Nothing here depends on the locale. */
#include "base/slice.h"

static uint8_t fold(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte | 0x20) : byte;
}

bool hf_slice_eq(struct hf_slice a, struct hf_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool hf_slice_eq_nocase(struct hf_slice a, struct hf_slice b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (fold(a.ptr[i]) != fold(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

bool hf_slice_starts(struct hf_slice s, struct hf_slice prefix)
{
    return prefix.len <= s.len && hf_slice_eq(hf_slice_first(s, prefix.len), prefix);
}

bool hf_slice_ends(struct hf_slice s, struct hf_slice suffix)
{
    return suffix.len <= s.len && hf_slice_eq(hf_slice_from(s, s.len - suffix.len), suffix);
}

size_t hf_slice_find(struct hf_slice s, uint8_t byte)
{
    if (s.len == 0) {
        return 0;
    }
    const uint8_t *at = memchr(s.ptr, byte, s.len);
    return at == NULL ? s.len : (size_t)(at - s.ptr);
}

size_t hf_slice_search(struct hf_slice s, struct hf_slice needle)
{
    if (needle.len == 0) {
        return 0;
    }
    size_t at = 0;
    while (s.len - at >= needle.len) {
        at += hf_slice_find(hf_slice_from(s, at), needle.ptr[0]);
        if (s.len - at < needle.len) {
            break;
        }
        if (memcmp(s.ptr + at, needle.ptr, needle.len) == 0) {
            return at;
        }
        at++;
    }
    return s.len;
}

bool hf_slice_contains_nocase(struct hf_slice s, struct hf_slice needle)
{
    for (size_t at = 0; at + needle.len <= s.len; at++) {
        if (hf_slice_eq_nocase(hf_slice_first(hf_slice_from(s, at), needle.len), needle)) {
            return true;
        }
    }
    return false;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

struct hf_slice hf_slice_trim(struct hf_slice s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1])) {
        s.len--;
    }
    return s;
}

/* A separator at the very end closes the last piece and opens no empty one: "a," gives only "a". */
bool hf_slice_next(struct hf_slice *rest, uint8_t separator, struct hf_slice *piece)
{
    if (rest->len == 0) {
        return false;
    }
    size_t at = hf_slice_find(*rest, separator);
    *piece = hf_slice_first(*rest, at);
    *rest = hf_slice_from(*rest, at == rest->len ? at : at + 1);
    return true;
}

bool hf_slice_number(struct hf_slice s, uint64_t max, uint64_t *value)
{
    if (s.len == 0) {
        return false;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(s.ptr[i] - '0');
        if (sum > max / 10 || digit > max - sum * 10) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}
