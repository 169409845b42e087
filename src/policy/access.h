/* SPDX-License-Identifier: Apache-2.0 */
/* Who may knock: allowed hosts, allowed origins, trusted proxy addresses. Pure. */
#ifndef HF_POLICY_ACCESS_H
#define HF_POLICY_ACCESS_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* A host pattern: "app.example.com" exact, "*.example.com" any name below it (not example.com itself), "*"
 * anything. An optional ":port" in the pattern must match too; without one every port matches. Case and a
 * trailing dot do not count. IPv6 literals are in brackets. */
bool hf_host_pattern_is_valid(struct hf_slice pattern);
/* host is a Host header's value, with or without port. */
bool hf_host_matches(struct hf_slice pattern, struct hf_slice host);

/* An origin pattern: "https://app.example.com", "https://*.example.com", with ":port" when it is not the
 * scheme's default, "null" (the opaque origin), or "*". Scheme and port are compared with defaults filled in
 * (RFC 6454 section 4). A pattern without scheme ("app.example.com") takes http and https. */
bool hf_origin_pattern_is_valid(struct hf_slice pattern);
bool hf_origin_matches(struct hf_slice pattern, struct hf_slice origin);

/* An address block: "10.0.0.0/8", "2001:db8::/32", or a single address. */
struct hf_block {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t bits;        /* of 128 */
};
bool hf_block_parse(struct hf_slice text, struct hf_block *block);
/* address is 16 bytes, IPv4 mapped. */
bool hf_block_contains(const struct hf_block *block, const uint8_t address[16]);
/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]:443", "192.0.2.1:1234" (as X-Forwarded-For and Forwarded write
 * them) to 16 bytes; the port is ignored. */
bool hf_ip_parse(struct hf_slice text, uint8_t address[16]);
/* The shortest text (RFC 5952; IPv4 dotted). 46 bytes with the NUL. */
void hf_ip_text(const uint8_t address[16], char text[46]);

#endif
