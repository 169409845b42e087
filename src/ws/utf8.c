/* SPDX-License-Identifier: Apache-2.0 */
/* Incremental UTF-8 (RFC 3629), plain or still masked, eight bytes at a time where the text is
 * ASCII. Refused at the first byte that cannot be: overlong forms, surrogates, more than U+10FFFF.
 */
#include "ws/frame.h"

/* The machine's states: what must come next. */
enum {
    START, /* a character begins, or the text ends */
    TAIL1, /* one more byte 80..BF */
    TAIL2,
    TAIL3,
    AFTER_E0, /* A0..BF, else it is overlong */
    AFTER_ED, /* 80..9F, else it is a surrogate */
    AFTER_F0, /* 90..BF, else it is overlong */
    AFTER_F4, /* 80..8F, else it is beyond U+10FFFF */
    BAD,      /* stays bad */
};

/* Classes of bytes that the machine treats alike. */
enum { ASCII, T8, T9, TA, NEVER, L2, LE0, L3, LED, LF0, L4, LF4, CLASSES };

static const uint8_t byte_class[256] = {
    [0x80 ... 0x8F] = T8,    [0x90 ... 0x9F] = T9, [0xA0 ... 0xBF] = TA, [0xC0 ... 0xC1] = NEVER,
    [0xC2 ... 0xDF] = L2,    [0xE0] = LE0,         [0xE1 ... 0xEC] = L3, [0xED] = LED,
    [0xEE ... 0xEF] = L3,    [0xF0] = LF0,         [0xF1 ... 0xF3] = L4, [0xF4] = LF4,
    [0xF5 ... 0xFF] = NEVER,
};

static const uint8_t step[BAD + 1][CLASSES] = {
    /*             ASCII  T8     T9     TA     NEVER L2     LE0       L3     LED       LF0       L4
       LF4 */
    [START] = {START, BAD, BAD, BAD, BAD, TAIL1, AFTER_E0, TAIL2, AFTER_ED, AFTER_F0, TAIL3,
               AFTER_F4},
    [TAIL1] = {BAD, START, START, START, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD},
    [TAIL2] = {BAD, TAIL1, TAIL1, TAIL1, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD},
    [TAIL3] = {BAD, TAIL2, TAIL2, TAIL2, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD},
    [AFTER_E0] = {BAD, BAD, BAD, TAIL1, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD},
    [AFTER_ED] = {BAD, TAIL1, TAIL1, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD},
    [AFTER_F0] = {BAD, BAD, TAIL2, TAIL2, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD},
    [AFTER_F4] = {BAD, TAIL2, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD},
    [BAD] = {BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD, BAD},
};

#define HIGH_BITS 0x8080808080808080ULL

/* The length of the run of ASCII at the start of bytes, in whole words; key lies over
 * bytes.ptr[0..7]. */
static size_t ascii_words(struct hf_slice bytes, const uint8_t key[8])
{
    uint64_t turned;
    size_t at = 0;
    memcpy(&turned, key, 8);
    for (; bytes.len - at >= 8; at += 8) {
        uint64_t word;
        memcpy(&word, bytes.ptr + at, 8);
        if (((word ^ turned) & HIGH_BITS) != 0) {
            break;
        }
    }
    return at;
}

/* mask lies over bytes.ptr[0..10], so that a word can start at any of the key's four places; zero
 * for plain text. */
static bool feed(uint32_t *state, struct hf_slice bytes, const uint8_t mask[11])
{
    uint32_t s = *state;
    size_t i = 0;
    while (i < bytes.len && s != BAD) {
        if (s == START && bytes.len - i >= 8) {
            const size_t run = ascii_words(hf_slice_from(bytes, i), mask + (i & 3));
            i += run;
            if (run > 0) {
                continue;
            }
        }
        s = step[s][byte_class[bytes.ptr[i] ^ mask[i & 3]]];
        i++;
    }
    *state = s;
    return s != BAD;
}

bool hf_utf8_feed(uint32_t *state, struct hf_slice bytes)
{
    static const uint8_t plain[11];
    return feed(state, bytes, plain);
}

bool hf_utf8_feed_masked(uint32_t *state, struct hf_slice bytes, const uint8_t mask[4],
                         uint64_t offset)
{
    uint8_t turned[11];
    for (size_t k = 0; k < sizeof(turned); k++) {
        turned[k] = mask[(offset + k) & 3];
    }
    return feed(state, bytes, turned);
}
