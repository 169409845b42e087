/* SPDX-License-Identifier: Apache-2.0 */
/* Checking of JSON Web Tokens for a route, over libjwt with the time passed in. The key is chosen
 * by kid and by the algorithm it was configured with, before anything is verified: a token never
 * chooses how it is judged. */
#ifndef HF_GATEWAY_JWT_H
#define HF_GATEWAY_JWT_H

#include "base/buffer.h"
#include "config/config.h"

struct hf_jwt_keys; /* immutable, shared by reference between threads */

/* Reads the key files, the environment and the JWKS. On failure *keys is NULL and why says which
 * key and what is wrong. Keys shorter than the hash (HS), RSA under 2048 bits, and curves that do
 * not fit the algorithm are refused; so is an HS secret that is a key in PEM or DER form, and a
 * private key where a public one will do. A PEM file holds a public key or a certificate. A secret
 * in a file of printable text ends before the file's last line end. A key of a JWKS without alg is
 * pinned to the algorithm of its curve, an RSA key to RS256, and an oct key needs one; keys for
 * encryption and of unknown kinds are skipped. */
HF_MUST_USE enum hf_status hf_jwt_keys_new(const struct hf_jwt_config *config,
                                           struct hf_jwt_keys **keys, struct hf_buffer *why);
struct hf_jwt_keys *hf_jwt_keys_ref(struct hf_jwt_keys *keys);
/* NULL is accepted. */
void hf_jwt_keys_unref(struct hf_jwt_keys *keys);

enum hf_jwt_verdict {
    HF_JWT_OK,
    HF_JWT_MISSING,   /* no token: 401 */
    HF_JWT_MALFORMED, /* 401 */
    HF_JWT_ALGORITHM, /* alg none, or not the key's: 401 */
    HF_JWT_NO_KEY,    /* no key for its kid: 401 */
    HF_JWT_SIGNATURE, /* 401 */
    HF_JWT_EXPIRED,   /* 401 */
    HF_JWT_NOT_YET,   /* nbf: 401 */
    HF_JWT_ISSUER,    /* valid but refused: 403 */
    HF_JWT_AUDIENCE,  /* valid but refused: 403 */
};
/* "expired", "wrong issuer": for the log. */
const char *hf_jwt_verdict_text(enum hf_jwt_verdict verdict);

/* A principal's name with its NUL. */
#define HF_SUBJECT_MAX 256
/* A longer one is cut between characters and ends in ~ and a hash of the whole, so that two with
 * the same beginning stay two. */
void hf_subject_write(struct hf_slice subject, char text[HF_SUBJECT_MAX]);

struct hf_jwt_claims {
    char subject[HF_SUBJECT_MAX]; /* sub, a text or a whole number; "" when it has none */
    hf_wall expires;              /* exp in ms, leeway included; INT64_MAX when it has none */
};
/* token is the compact form, at most 16 KiB. Checked in this order: structure, algorithm and key,
 * signature, exp and nbf, iss and aud. Malformed are also tokens whose JSON names a member twice or
 * holds a number beyond 64 bits, with a `crit` header, with a `typ` other than JWT (libjwt takes no
 * other), and with exp, nbf or sub of a wrong type. The claims are filled as far as the signature
 * allows to believe them: before it they are empty. Thread-safe. */
enum hf_jwt_verdict hf_jwt_check(const struct hf_jwt_keys *keys, const struct hf_jwt_config *config,
                                 struct hf_slice token, hf_wall now, struct hf_jwt_claims *claims);

#endif
