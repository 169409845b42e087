/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts, origins and addresses. The input's first line is a pattern, the second what knocks. Case
 * never matters but in "null"; a pattern that is not valid matches nothing; a pattern without a
 * star matches itself; what matches a pattern below a domain ends in that domain; an address that
 * is written reads the same, and as the C library reads it; a block holds what its bits say. */
#include "fuzz.h"
#include "policy/access.h"

#include <arpa/inet.h>

typedef bool matcher(struct hf_slice pattern, struct hf_slice text);
typedef bool validator(struct hf_slice pattern);

/* A copy with the case of every letter turned round. */
static struct hf_slice other_case(struct hf_slice s)
{
    struct hf_slice copy = exact(s);
    uint8_t *bytes = (uint8_t *)(uintptr_t)copy.ptr;

    for (size_t i = 0; i < s.len; i++) {
        uint8_t low = bytes[i] | 0x20;

        bytes[i] ^= low >= 'a' && low <= 'z' ? 0x20 : 0;
    }
    return copy;
}

static void check_pattern(matcher *matches, validator *is_valid, struct hf_slice pattern,
                          struct hf_slice text)
{
    struct hf_slice other_pattern = other_case(pattern);
    struct hf_slice other_text = other_case(text);
    bool valid = is_valid(pattern);
    bool match = matches(pattern, text);

    if (!hf_slice_eq_nocase(pattern, HF_LITERAL("null")) &&
        !hf_slice_eq_nocase(text, HF_LITERAL("null"))) {
        HF_ASSERT(is_valid(other_pattern) == valid);
        HF_ASSERT(matches(other_pattern, text) == match);
        HF_ASSERT(matches(pattern, other_text) == match);
    }
    HF_ASSERT(valid || !match);
    /* What matches something matches everything's pattern. */
    HF_ASSERT(!match || matches(HF_LITERAL("*"), text));
    exact_free(other_pattern);
    exact_free(other_text);
}

static void check_host(struct hf_slice pattern, struct hf_slice host)
{
    check_pattern(hf_host_matches, hf_host_pattern_is_valid, pattern, host);
    if (hf_host_pattern_is_valid(pattern) && hf_slice_find(pattern, '*') == pattern.len) {
        HF_ASSERT(hf_host_matches(pattern, pattern));
    }
    if (hf_host_matches(HF_LITERAL("*.example.com"), host)) {
        struct hf_slice name = hf_slice_first(host, hf_slice_find(host, ':'));
        struct hf_slice tail;

        name.len -= name.ptr[name.len - 1] == '.' ? 1 : 0;
        HF_ASSERT(name.len > 12);
        tail = hf_slice_from(name, name.len - 12);
        HF_ASSERT(hf_slice_eq_nocase(tail, HF_LITERAL(".example.com")));
    }
}

static void check_origin(struct hf_slice pattern, struct hf_slice origin)
{
    /* The opaque origin is one word, and no name. */
    HF_ASSERT(hf_origin_matches(HF_LITERAL("null"), origin) ==
              hf_slice_eq(origin, HF_LITERAL("null")));
    check_pattern(hf_origin_matches, hf_origin_pattern_is_valid, pattern, origin);
    if (hf_origin_pattern_is_valid(pattern) && hf_slice_find(pattern, '*') == pattern.len &&
        hf_slice_search(pattern, HF_LITERAL("://")) < pattern.len) {
        HF_ASSERT(hf_origin_matches(pattern, pattern));
    }
    if (hf_origin_matches(HF_LITERAL("https://app.example.com"), origin)) {
        HF_ASSERT(
            hf_slice_eq_nocase(hf_slice_first(origin, 23), HF_LITERAL("https://app.example.com")));
    }
}

/* As the C library reads it; false when it is no plain address. */
static bool parse_reference(struct hf_slice text, uint8_t address[16])
{
    char copy[64] = "";
    uint8_t mapped[16] = {[10] = 0xff, 0xff};

    if (text.len >= sizeof(copy) || hf_slice_find(text, 0) < text.len) {
        return false;
    }
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    if (inet_pton(AF_INET, copy, mapped + 12) == 1) {
        memcpy(address, mapped, 16);
        return true;
    }
    return inet_pton(AF_INET6, copy, address) == 1;
}

static void check_ip(struct hf_slice text)
{
    uint8_t address[16];
    uint8_t again[16];
    uint8_t reference[16];
    char written[46];
    bool parsed = hf_ip_parse(text, address);

    if (parse_reference(text, reference)) {
        HF_ASSERT(parsed && memcmp(address, reference, 16) == 0);
    }
    if (parsed) {
        hf_ip_text(address, written);
        HF_ASSERT(strlen(written) < sizeof(written));
        HF_ASSERT(hf_ip_parse(hf_slice_of(written), again) && memcmp(address, again, 16) == 0);
        HF_ASSERT(parse_reference(hf_slice_of(written), reference));
        HF_ASSERT(memcmp(address, reference, 16) == 0);
    }
}

static void check_block(struct hf_slice text, struct hf_slice other)
{
    struct hf_block block;
    uint8_t address[16];
    bool inside = true;

    if (!hf_block_parse(text, &block)) {
        return;
    }
    HF_ASSERT(block.bits <= 128 && hf_block_contains(&block, block.address));
    if (!hf_ip_parse(other, address)) {
        memcpy(address, block.address, 16);
        address[text.len % 16] ^= (uint8_t)(1 << (other.len % 8));
    }
    for (size_t bit = 0; bit < block.bits; bit++) {
        inside = inside && ((block.address[bit / 8] ^ address[bit / 8]) & (0x80 >> bit % 8)) == 0;
    }
    HF_ASSERT(hf_block_contains(&block, address) == inside);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_slice text = hf_slice(data, size);
    size_t end = hf_slice_find(text, '\n');
    struct hf_slice pattern = exact(hf_slice_first(text, end));
    struct hf_slice knock = exact(hf_slice_from(text, end + 1));

    check_host(pattern, knock);
    check_origin(pattern, knock);
    check_ip(pattern);
    check_ip(knock);
    check_block(pattern, knock);
    exact_free(pattern);
    exact_free(knock);
    return 0;
}
