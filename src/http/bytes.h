/* SPDX-License-Identifier: Apache-2.0 */
/* What a byte may be part of, for the readers in this folder. */
#ifndef HF_HTTP_BYTES_H
#define HF_HTTP_BYTES_H

#include <stdint.h>

enum {
    HF_BYTE_TOKEN = 1,  /* RFC 9110 5.6.2: methods and names */
    HF_BYTE_TEXT = 2,   /* RFC 9110 5.5: values and reasons, with space, tab and obs-text */
    HF_BYTE_TARGET = 4, /* visible ASCII but '#', which only a fragment begins with */
};
extern const uint8_t hf_byte_class[256];

/* 0 to 15, or -1. */
static inline int hf_hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f') {
        return (byte | 0x20) - 'a' + 10;
    }
    return -1;
}

#endif
