/* SPDX-License-Identifier: Apache-2.0 */
/* Who may knock: allowed hosts, allowed origins, trusted proxy addresses. Pure. */
#ifndef HF_POLICY_ACCESS_H
#define HF_POLICY_ACCESS_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* Matching is strict: what does not parse as a whole matches no pattern, not even "*", and a
 * pattern that does not parse matches nothing. Names are ASCII labels of letters, digits, '-' and
 * '_' (an international name is written in its xn-- form); no userinfo, path, percent sign, space,
 * empty port or IPv6 zone is taken. */

/* A host pattern: "app.example.com" exact, "*.example.com" any name below it (not example.com
 * itself), "*" anything. An optional ":port" in the pattern must match too, so a Host without port
 * does not match it; without one in the pattern every port matches. Case and a trailing dot do not
 * count. IPv6 literals are in brackets and compared as addresses. */
bool hf_host_pattern_is_valid(struct hf_slice pattern);
/* host is a Host header's value, with or without port. */
bool hf_host_matches(struct hf_slice pattern, struct hf_slice host);

/* An origin pattern: "https://app.example.com", the same with a host pattern as above behind the
 * "://" (a
 * "*." in front, or "*" alone), "null" (the opaque origin), or "*", which takes every origin.
 * ":port" is written when it is not the scheme's default: scheme and port are compared with
 * defaults filled in (RFC 6454 section 4). A pattern without scheme ("app.example.com") takes http
 * and https. Other schemes ("capacitor:" and two slashes and "localhost") have no default port and
 * may have an empty host, as the origin of "file:" has. */
bool hf_origin_pattern_is_valid(struct hf_slice pattern);
bool hf_origin_matches(struct hf_slice pattern, struct hf_slice origin);

/* An address block: "10.0.0.0/8", "2001:db8::/32", or a single address. Bits behind the prefix must
 * be zero: "10.0.0.1/8" does not say whether a host or a network is meant. "0.0.0.0/0" is all of
 * IPv4, "::/0" all of both. */
struct hf_block {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t bits;        /* of 128 */
};
bool hf_block_parse(struct hf_slice text, struct hf_block *block);
/* address is 16 bytes, IPv4 mapped. */
bool hf_block_contains(const struct hf_block *block, const uint8_t address[16]);
/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]:443", "192.0.2.1:1234" (as X-Forwarded-For and
 * Forwarded write them) to 16 bytes; the port must be a number and is ignored. No zones, no leading
 * zeros in IPv4. */
bool hf_ip_parse(struct hf_slice text, uint8_t address[16]);
/* The shortest text (RFC 5952; IPv4 and IPv4-mapped dotted). 46 bytes with the NUL. */
void hf_ip_text(const uint8_t address[16], char text[46]);

#endif
