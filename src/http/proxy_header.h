/* SPDX-License-Identifier: Apache-2.0 */
/* The PROXY protocol's header, version 1 (text) and 2 (binary), which a proxy in front may send
 * before anything else. Pure. */
#ifndef HF_HTTP_PROXY_HEADER_H
#define HF_HTTP_PROXY_HEADER_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define HF_PROXY_HEADER_MAX 536 /* bytes; a longer version 2 header is refused */

struct hf_proxy_header {
    bool local; /* LOCAL or UNKNOWN: the addresses are not given, use the connection's own */
    uint8_t source[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint16_t source_port;
    uint8_t destination[16];
    uint16_t destination_port;
    uint32_t size; /* bytes of the header */
};
enum hf_proxy_read { HF_PROXY_READ, HF_PROXY_MORE, HF_PROXY_BAD };
enum hf_proxy_read hf_proxy_header_read(struct hf_slice bytes, struct hf_proxy_header *header,
                                        const char **why);

#endif
