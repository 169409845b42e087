/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes and codings that pure folders need. SHA-1 is here only for Sec-WebSocket-Accept. */
#ifndef HF_BASE_HASH_H
#define HF_BASE_HASH_H

#include "base/slice.h"

#define HF_SHA1_BYTES 20
void hf_sha1(struct hf_slice s, uint8_t digest[HF_SHA1_BYTES]);
#define HF_SHA256_BYTES 32
void hf_sha256(struct hf_slice s, uint8_t digest[HF_SHA256_BYTES]);
/* SipHash-2-4, for tables whose keys come from strangers. */
uint64_t hf_siphash(const uint8_t key[16], struct hf_slice s);

/* Length of the padded coding of n bytes, without a NUL. */
#define HF_BASE64_LEN(n) (((n) + 2) / 3 * 4)
/* Writes HF_BASE64_LEN(s.len) characters, standard alphabet with padding; no NUL. Returns that
 * count. */
size_t hf_base64_encode(struct hf_slice s, char *text);
/* Length of the base64url coding of n bytes, which has no padding; without a NUL. */
#define HF_BASE64URL_LEN(n) ((n) / 3 * 4 + ((n) % 3 * 4 + 2) / 3)
/* RFC 4648 base64url without padding: writes HF_BASE64URL_LEN(s.len) characters and no NUL. Returns
 * that count. */
size_t hf_base64url_encode(struct hf_slice s, char *text);
/* Strict: standard alphabet, full padding, no spaces, unused bits zero. out holds text.len / 4 * 3.
 */
bool hf_base64_decode(struct hf_slice text, uint8_t *out, size_t *len);
/* RFC 4648 base64url without padding. out holds text.len. */
bool hf_base64url_decode(struct hf_slice text, uint8_t *out, size_t *len);
/* True when equal; takes the same time whatever differs. */
bool hf_equal_secret(struct hf_slice a, struct hf_slice b);

#endif
