/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-1 and SHA-256 (FIPS 180-4), SipHash-2-4 (Aumasson and Bernstein), base64 (RFC 4648). */
#include "base/hash.h"

static uint32_t rotate_left(uint32_t x, int bits)
{
    return (x << bits) | (x >> (32 - bits));
}

static uint32_t rotate_right(uint32_t x, int bits)
{
    return (x >> bits) | (x << (32 - bits));
}

static uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void store_be32(uint8_t *p, uint32_t x)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(x >> (24 - 8 * i));
    }
}

#define BLOCK 64 /* bytes of a block, in both hashes */

static void sha1_block(uint32_t *state, const uint8_t *block)
{
    uint32_t w[80];
    for (int i = 0; i < 16; i++) {
        w[i] = load_be32(block + i * 4);
    }
    for (int i = 16; i < 80; i++) {
        w[i] = rotate_left(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20) {
            f = (b & c) | (~b & d);
            k = 0x5a827999;
        } else if (i < 40) {
            f = b ^ c ^ d;
            k = 0x6ed9eba1;
        } else if (i < 60) {
            f = (b & c) | (b & d) | (c & d);
            k = 0x8f1bbcdc;
        } else {
            f = b ^ c ^ d;
            k = 0xca62c1d6;
        }
        uint32_t t = rotate_left(a, 5) + f + e + k + w[i];
        e = d;
        d = c;
        c = rotate_left(b, 30);
        b = a;
        a = t;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

static const uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static void sha256_block(uint32_t *state, const uint8_t *block)
{
    uint32_t w[64];
    for (int i = 0; i < 16; i++) {
        w[i] = load_be32(block + i * 4);
    }
    for (int i = 16; i < 64; i++) {
        uint32_t x = w[i - 15], y = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (rotate_right(x, 7) ^ rotate_right(x, 18) ^ (x >> 3)) +
               (rotate_right(y, 17) ^ rotate_right(y, 19) ^ (y >> 10));
    }
    uint32_t v[8];
    memcpy(v, state, sizeof(v));
    for (int i = 0; i < 64; i++) {
        uint32_t a = v[0], e = v[4];
        uint32_t t1 = v[7] + (rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25)) +
                      ((e & v[5]) ^ (~e & v[6])) + sha256_k[i] + w[i];
        uint32_t t2 = (rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22)) +
                      ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof(v[0]));
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) {
        state[i] += v[i];
    }
}

/* Runs whole blocks, then the rest with its padding: a one bit, zeros, the length in bits. */
static void digest_all(struct hf_slice s, uint32_t *state,
                       void (*block)(uint32_t *, const uint8_t *))
{
    size_t at = 0;
    for (; s.len - at >= BLOCK; at += BLOCK) {
        block(state, s.ptr + at);
    }
    uint8_t last[2 * BLOCK] = {0};
    size_t rest = s.len - at;
    if (rest > 0) {
        memcpy(last, s.ptr + at, rest);
    }
    last[rest] = 0x80;
    size_t end = rest + 9 <= BLOCK ? BLOCK : 2 * BLOCK;
    uint64_t bits = (uint64_t)s.len * 8;
    store_be32(last + end - 8, (uint32_t)(bits >> 32));
    store_be32(last + end - 4, (uint32_t)bits);
    for (at = 0; at < end; at += BLOCK) {
        block(state, last + at);
    }
}

void hf_sha1(struct hf_slice s, uint8_t digest[HF_SHA1_BYTES])
{
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    digest_all(s, state, sha1_block);
    for (int i = 0; i < 5; i++) {
        store_be32(digest + i * 4, state[i]);
    }
}

void hf_sha256(struct hf_slice s, uint8_t digest[HF_SHA256_BYTES])
{
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    digest_all(s, state, sha256_block);
    for (int i = 0; i < 8; i++) {
        store_be32(digest + i * 4, state[i]);
    }
}

static uint64_t load_le64(const uint8_t *p, size_t len)
{
    uint64_t x = 0;
    for (size_t i = 0; i < len; i++) {
        x |= (uint64_t)p[i] << (8 * i);
    }
    return x;
}

static uint64_t rotate_left64(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static void sip_rounds(uint64_t v[4], int rounds)
{
    for (int i = 0; i < rounds; i++) {
        v[0] += v[1];
        v[1] = rotate_left64(v[1], 13) ^ v[0];
        v[0] = rotate_left64(v[0], 32);
        v[2] += v[3];
        v[3] = rotate_left64(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate_left64(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate_left64(v[1], 17) ^ v[2];
        v[2] = rotate_left64(v[2], 32);
    }
}

uint64_t hf_siphash(const uint8_t key[16], struct hf_slice s)
{
    uint64_t k0 = load_le64(key, 8);
    uint64_t k1 = load_le64(key + 8, 8);
    uint64_t v[4] = {
        k0 ^ UINT64_C(0x736f6d6570736575),
        k1 ^ UINT64_C(0x646f72616e646f6d),
        k0 ^ UINT64_C(0x6c7967656e657261),
        k1 ^ UINT64_C(0x7465646279746573),
    };
    size_t at = 0;
    for (; s.len - at >= 8; at += 8) {
        uint64_t m = load_le64(s.ptr + at, 8);
        v[3] ^= m;
        sip_rounds(v, 2);
        v[0] ^= m;
    }
    uint64_t last = (uint64_t)s.len << 56;
    if (at < s.len) {
        last |= load_le64(s.ptr + at, s.len - at);
    }
    v[3] ^= last;
    sip_rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Without padding. c62 and c63 are the two characters in which the alphabets differ. */
static size_t encode(struct hf_slice s, char c62, char c63, char *text)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    char *out = text;
    for (size_t at = 0; at < s.len; at += 3) {
        size_t n = s.len - at < 3 ? s.len - at : 3;
        uint32_t x = (uint32_t)s.ptr[at] << 16;
        x |= n > 1 ? (uint32_t)s.ptr[at + 1] << 8 : 0;
        x |= n > 2 ? s.ptr[at + 2] : 0;
        for (size_t i = 0; i <= n; i++) {
            uint32_t digit = x >> (18 - 6 * i) & 63;
            *out++ = digit < 62 ? alphabet[digit] : digit == 62 ? c62 : c63;
        }
    }
    return (size_t)(out - text);
}

size_t hf_base64_encode(struct hf_slice s, char *text)
{
    size_t len = encode(s, '+', '/', text);
    while (len % 4 != 0) {
        text[len++] = '=';
    }
    return len;
}

size_t hf_base64url_encode(struct hf_slice s, char *text)
{
    return encode(s, '-', '_', text);
}

/* The six bits of a character, or -1. */
static int digit_of(uint8_t c, uint8_t c62, uint8_t c63)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == c62 ? 62 : c == c63 ? 63 : -1;
}

/* Text without padding. The bits of the last character that belong to no byte must be zero, so that
 * one value has one coding (RFC 4648 3.5). */
static bool decode(struct hf_slice text, uint8_t c62, uint8_t c63, uint8_t *out, size_t *len)
{
    if (text.len % 4 == 1) {
        return false;
    }
    uint32_t bits = 0;
    int held = 0;
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.ptr[i], c62, c63);
        if (digit < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)digit;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[n++] = (uint8_t)(bits >> held);
            bits &= (UINT32_C(1) << held) - 1;
        }
    }
    if (bits != 0) {
        return false;
    }
    *len = n;
    return true;
}

bool hf_base64_decode(struct hf_slice text, uint8_t *out, size_t *len)
{
    if (text.len % 4 != 0) {
        return false;
    }
    for (int i = 0; i < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; i++) {
        text.len--;
    }
    return decode(text, '+', '/', out, len);
}

bool hf_base64url_decode(struct hf_slice text, uint8_t *out, size_t *len)
{
    return decode(text, '-', '_', out, len);
}

/* The time depends on a.len alone: give it what the stranger sent. */
bool hf_equal_secret(struct hf_slice a, struct hf_slice b)
{
    volatile uint8_t differs = a.len != b.len;
    const uint8_t *other = a.len == b.len ? b.ptr : a.ptr;
    for (size_t i = 0; i < a.len; i++) {
        differs = (uint8_t)(differs | (a.ptr[i] ^ other[i]));
    }
    return differs == 0;
}
