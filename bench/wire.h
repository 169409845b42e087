/* SPDX-License-Identifier: Apache-2.0
 * The WebSocket wire format as the bench's backend and load generator need it: frame heads,
 * masking, the accept value, and a deterministic payload that both can make and check. It shares
 * nothing with src/ on purpose: a mistake in the gateway's own codec must not be invisible because
 * the bench makes the same one. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    WIRE_HEAD_MAX = 14,           /* bytes: the longest frame head, masked, with a 64-bit length */
    WIRE_PAYLOAD_MAX = 64 * 1024, /* bytes: the largest payload the bench sends */
    WIRE_RECV_SIZE = 64 * 1024,   /* bytes taken by one receive */
    WIRE_BUFFER_SIZE = WIRE_RECV_SIZE + WIRE_PAYLOAD_MAX + WIRE_HEAD_MAX,
    WIRE_ACCEPT_SIZE = 29, /* base64 of a SHA-1 and its NUL */
    WIRE_KEY_SIZE = 25,    /* base64 of 16 bytes and its NUL */
};

enum {
    WIRE_TEXT = 0x81,
    WIRE_BINARY = 0x82,
    WIRE_CLOSE = 0x88,
    WIRE_PING = 0x89,
    WIRE_PONG = 0x8a
};

struct wire_head {
    uint8_t first; /* FIN, reserved bits and opcode as they came */
    bool masked;
    uint8_t key[4];
    size_t head_size;
    uint64_t payload_size;
};

/* Bytes kept over between two turns of the loop; owns no memory while empty. */
struct wire_rest {
    uint8_t *data;
    size_t size;
};

__attribute__((noreturn, format(printf, 1, 2))) static inline void wire_die(const char *format, ...)
{
    __builtin_va_list args;
    __builtin_va_start(args, format);
    vfprintf(stderr, format, args);
    __builtin_va_end(args);
    fputc('\n', stderr);
    exit(2);
}

static inline int64_t wire_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline uint64_t wire_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

/* The pattern every payload is cut from: two payloads long, so any start within the first half
 * works. */
static inline const uint8_t *wire_pattern(void)
{
    static uint8_t pattern[2 * WIRE_PAYLOAD_MAX];
    static bool made;
    if (!made) {
        uint64_t seed = 0x9e3779b97f4a7c15u;
        for (size_t i = 0; i < sizeof pattern; i++) {
            pattern[i] = (uint8_t)(wire_random(&seed) >> 24);
        }
        made = true;
    }
    return pattern;
}

/* The payload of message `sequence` of connection `id`; what does not fit `size` is left out. */
static inline void wire_payload_put(uint8_t *out, size_t size, uint32_t id, uint64_t sequence)
{
    uint64_t mark[2] = {sequence, id};
    size_t marked = size < sizeof mark ? size : sizeof mark;
    memcpy(out, mark, marked);
    memcpy(out + marked, wire_pattern() + (sequence * 131 + id) % WIRE_PAYLOAD_MAX, size - marked);
}

static inline bool wire_payload_is(const uint8_t *in, size_t size, uint32_t id, uint64_t sequence)
{
    uint64_t mark[2] = {sequence, id};
    size_t marked = size < sizeof mark ? size : sizeof mark;
    return memcmp(in, mark, marked) == 0 &&
           memcmp(in + marked, wire_pattern() + (sequence * 131 + id) % WIRE_PAYLOAD_MAX,
                  size - marked) == 0;
}

/* Writes a frame head, masked when `key` is given, and returns its size. */
static inline size_t wire_head_put(uint8_t *out, unsigned first, uint64_t payload_size,
                                   const uint8_t *key)
{
    uint8_t mask_bit = key ? 0x80 : 0;
    size_t n = 2;
    out[0] = (uint8_t)first;
    if (payload_size < 126) {
        out[1] = (uint8_t)(mask_bit | payload_size);
    } else {
        size_t wide = payload_size < 65536 ? 2 : 8;
        out[1] = (uint8_t)(mask_bit | (wide == 2 ? 126 : 127));
        for (size_t i = 0; i < wide; i++) {
            out[n++] = (uint8_t)(payload_size >> (8 * (wide - 1 - i)));
        }
    }
    if (key) {
        memcpy(out + n, key, 4);
        n += 4;
    }
    return n;
}

/* Reads a frame head; false means that more bytes are needed. */
static inline bool wire_head_get(struct wire_head *head, const uint8_t *in, size_t size)
{
    if (size < 2) {
        return false;
    }
    size_t wide = (in[1] & 127) == 126 ? 2 : (in[1] & 127) == 127 ? 8 : 0;
    head->first = in[0];
    head->masked = (in[1] & 128) != 0;
    head->head_size = 2 + wide + (head->masked ? 4 : 0);
    if (size < head->head_size) {
        return false;
    }
    head->payload_size = wide ? 0 : (uint64_t)(in[1] & 127);
    for (size_t i = 0; i < wide; i++) {
        head->payload_size = head->payload_size << 8 | in[2 + i];
    }
    if (head->masked) {
        memcpy(head->key, in + 2 + wide, 4);
    }
    return true;
}

/* Masks or unmasks in place (RFC 6455 5.3). */
static inline void wire_mask(uint8_t *data, size_t size, const uint8_t *key)
{
    uint32_t narrow;
    memcpy(&narrow, key, 4);
    uint64_t wide = (uint64_t)narrow << 32 | narrow;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        word ^= wide;
        memcpy(data + i, &word, 8);
    }
    for (; i < size; i++) {
        data[i] ^= key[i & 3];
    }
}

/* The accept value for a key of 24 characters (RFC 6455 4.2.2). */
static inline void wire_accept(char out[WIRE_ACCEPT_SIZE], const char *key)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t joined[24 + sizeof guid - 1], hash[SHA_DIGEST_LENGTH];
    memcpy(joined, key, 24);
    memcpy(joined + 24, guid, sizeof guid - 1);
    SHA1(joined, sizeof joined, hash);
    EVP_EncodeBlock((uint8_t *)out, hash, sizeof hash);
}

/* Keeps a copy of `size` bytes in place of what was kept before; `data` may point into it. */
static inline void wire_rest_set(struct wire_rest *rest, const uint8_t *data, size_t size)
{
    uint8_t *kept = NULL;
    if (size > 0) {
        kept = malloc(size);
        if (!kept) {
            wire_die("out of memory");
        }
        memcpy(kept, data, size);
    }
    free(rest->data);
    rest->data = kept;
    rest->size = size;
}

static inline void wire_rest_append(struct wire_rest *rest, const uint8_t *data, size_t size)
{
    rest->data = realloc(rest->data, rest->size + size);
    if (!rest->data) {
        wire_die("out of memory");
    }
    memcpy(rest->data + rest->size, data, size);
    rest->size += size;
}

/* Moves what was kept to the start of `buffer` and returns its size. */
static inline size_t wire_rest_take(struct wire_rest *rest, uint8_t *buffer)
{
    size_t size = rest->size;
    if (size > 0) {
        memcpy(buffer, rest->data, size);
        free(rest->data);
        rest->data = NULL;
        rest->size = 0;
    }
    return size;
}

#endif
