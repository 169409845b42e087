/* SPDX-License-Identifier: Apache-2.0 */
/* Masking (RFC 6455 5.3), eight bytes at a time. The words are loaded with memcpy, so any alignment
 * will do, and the key is turned to the offset once, so any beginning will do. */
#include "ws/frame.h"

void hf_mask_apply(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset)
{
    uint8_t turned[8];
    uint64_t key;
    size_t i = 0;
    for (size_t k = 0; k < 8; k++) {
        turned[k] = mask[(offset + k) & 3];
    }
    memcpy(&key, turned, 8);
    for (; len - i >= 8; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        word ^= key;
        memcpy(data + i, &word, 8);
    }
    for (; i < len; i++) {
        data[i] ^= turned[i & 7];
    }
}
