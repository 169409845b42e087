/* SPDX-License-Identifier: Apache-2.0 */
/* What jwt.c (checking), jwt_keys.c (loading) and jwt_jwks.c (loading from a JWKS) share; nothing
 * else includes it. */
#ifndef HF_GATEWAY_JWT_KEYS_H
#define HF_GATEWAY_JWT_KEYS_H

#include "gateway/jwt.h"

#include <openssl/types.h>
#include <stdatomic.h>

/* Of one route, from its files and its JWKS together. */
#define HF_JWT_KEYS_MAX 256

enum hf_jwt_family { HF_JWT_HS, HF_JWT_RS, HF_JWT_ES };

/* RFC 7518 3.1. */
struct hf_jwt_algorithm {
    const char *name;
    enum hf_jwt_family family;
    uint16_t hash_bytes;      /* an HS key is at least as long: RFC 7518 3.2 */
    uint16_t signature_bytes; /* 0: as long as the key's modulus */
    const char *curve;        /* ES: OpenSSL's name */
    const char *crv;          /* ES: the JWK's name */
};

/* NULL when it is none of ours: the name is compared byte for byte. */
const struct hf_jwt_algorithm *hf_jwt_algorithm_find(struct hf_slice name);
/* Of an EC key of that JWK curve; NULL when there is none. */
const struct hf_jwt_algorithm *hf_jwt_algorithm_of_curve(const char *crv);

struct hf_jwt_key {
    const struct hf_jwt_algorithm *algorithm;
    char *kid; /* NULL: for tokens without kid, and for any kid when it is the only key */
    uint8_t
        *secret; /* HS: the secret; else a public key in PEM form, with its NUL. Wiped at the end */
    size_t len;
};

struct hf_jwt_keys {
    _Atomic uint32_t refs;
    size_t count;
    struct hf_jwt_key list[HF_JWT_KEYS_MAX];
};

/* Adds a copy of a secret (HS) or of a public key (RS, ES) after checking that it fits the
 * algorithm. On failure `why` says what is wrong, without the place and without the secret. */
enum hf_status hf_jwt_keys_add_secret(struct hf_jwt_keys *keys,
                                      const struct hf_jwt_algorithm *algorithm, const char *kid,
                                      struct hf_slice secret, struct hf_buffer *why);
enum hf_status hf_jwt_keys_add_public(struct hf_jwt_keys *keys,
                                      const struct hf_jwt_algorithm *algorithm, const char *kid,
                                      EVP_PKEY *pkey, struct hf_buffer *why);
/* Adds the usable keys of a JWKS. On failure `why` says what is wrong, without the file's name. */
enum hf_status hf_jwt_keys_add_jwks(struct hf_jwt_keys *keys, struct hf_slice text,
                                    struct hf_buffer *why);

/* Appends what the text means (RFC 4648 5, without padding, RFC 7515 2). False when a byte is not
 * of the alphabet, when the length is impossible, or when bits that mean nothing are not zero:
 * bytes have only one text, so no second text of a token is ever accepted. */
bool hf_jwt_base64url(struct hf_slice text, struct hf_buffer *out);

#endif
