/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of a JWKS (RFC 7517, RFC 7518 6). What is for another purpose or of a kind that is not known
 * here is skipped, as RFC 7517 5 wants; what claims to be of a known kind and is broken, weak or
 * private is an error, so that a key is never missed in silence. Without `alg`, a key is pinned to
 * the algorithm of its curve, and an RSA key to RS256. */
#include "gateway/jwt_keys.h"

#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

/* A number or coordinate of a key, in bytes: RSA of 16,384 bits. */
#define NUMBER_MAX 2048
/* A secret of an oct key, in bytes. */
#define SECRET_MAX 65536

/* A string member, or NULL. */
static const char *text_of(const json_t *jwk, const char *name)
{
    return json_string_value(json_object_get(jwk, name));
}

/* A base64url member, appended to out. False with `why` when it is missing or malformed. */
static bool read_member(const json_t *jwk, const char *name, struct hf_buffer *out,
                        struct hf_buffer *why)
{
    const char *text = text_of(jwk, name);
    if (text == NULL || text[0] == '\0') {
        hf_buffer_addf(why, "\"%s\" is missing", name);
        return false;
    }
    if (!hf_jwt_base64url(hf_slice_of(text), out)) {
        hf_buffer_addf(why, "\"%s\" is not base64url without padding, or too long", name);
        return false;
    }
    return true;
}

/* Consumes the builder's content; NULL when the parts make no key. */
static EVP_PKEY *build_key(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        pkey = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

/* RFC 7518 6.3.1. The caller frees it. NULL with `why`. */
static EVP_PKEY *read_rsa(const json_t *jwk, struct hf_buffer *why)
{
    EVP_PKEY *pkey = NULL;
    struct hf_buffer n, e;
    hf_buffer_init(&n, &hf_heap, NUMBER_MAX);
    hf_buffer_init(&e, &hf_heap, NUMBER_MAX);
    if (read_member(jwk, "n", &n, why) && read_member(jwk, "e", &e, why)) {
        OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
        BIGNUM *modulus = BN_bin2bn(n.data, (int)n.len, NULL);
        BIGNUM *exponent = BN_bin2bn(e.data, (int)e.len, NULL);
        if (builder != NULL && modulus != NULL && exponent != NULL &&
            OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
            OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent) == 1) {
            pkey = build_key("RSA", builder);
        }
        OSSL_PARAM_BLD_free(builder);
        BN_free(modulus);
        BN_free(exponent);
        if (pkey == NULL) {
            hf_buffer_add_text(why, "\"n\" and \"e\" make no RSA key");
        }
    }
    hf_buffer_reset(&n);
    hf_buffer_reset(&e);
    return pkey;
}

/* RFC 7518 6.2.1. The caller frees it. NULL with `why`. */
static EVP_PKEY *read_ec(const json_t *jwk, const struct hf_jwt_algorithm *curve,
                         struct hf_buffer *why)
{
    EVP_PKEY *pkey = NULL;
    size_t size = curve->signature_bytes / 2u;
    struct hf_buffer point;
    hf_buffer_init(&point, &hf_heap, NUMBER_MAX);
    hf_buffer_add_byte(&point, POINT_CONVERSION_UNCOMPRESSED);
    if (!read_member(jwk, "x", &point, why)) {
        goto out;
    }
    size_t x_size = point.len - 1;
    if (!read_member(jwk, "y", &point, why)) {
        goto out;
    }
    if (x_size != size || point.len != 1 + 2 * size) { /* RFC 7518 6.2.1.2: full size */
        hf_buffer_addf(why, "\"x\" and \"y\" must have %zu bytes each on %s", size, curve->crv);
        goto out;
    }
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (builder != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve->curve, 0) ==
            1 &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point.data, point.len) ==
            1) {
        pkey = build_key("EC", builder);
    }
    OSSL_PARAM_BLD_free(builder);
    if (pkey == NULL) {
        hf_buffer_addf(why, "\"x\" and \"y\" are no point of %s", curve->crv);
    }
out:
    hf_buffer_reset(&point);
    return pkey;
}

/* Whether it is a key for checking signatures (RFC 7517 4.2, 4.3). */
static bool is_for_signatures(const json_t *jwk)
{
    const json_t *operations = json_object_get(jwk, "key_ops");
    const char *use = text_of(jwk, "use");
    if (use != NULL && strcmp(use, "sig") != 0) {
        return false;
    }
    bool verifies = operations == NULL;
    for (size_t i = 0; i < json_array_size(operations); i++) {
        const char *operation = json_string_value(json_array_get(operations, i));
        verifies = verifies || (operation != NULL && strcmp(operation, "verify") == 0);
    }
    return verifies;
}

static enum hf_status add_oct(struct hf_jwt_keys *keys, const struct hf_jwt_algorithm *algorithm,
                              const json_t *jwk, struct hf_buffer *why)
{
    enum hf_status status = HF_INVALID;
    struct hf_buffer secret;
    hf_buffer_init(&secret, &hf_heap, SECRET_MAX);
    if (algorithm == NULL) {
        hf_buffer_add_text(why, "a key of kty oct needs \"alg\": HS256, HS384 or HS512");
    } else if (read_member(jwk, "k", &secret, why)) {
        status = hf_jwt_keys_add_secret(keys, algorithm, text_of(jwk, "kid"),
                                        hf_buffer_slice(&secret), why);
    }
    if (secret.data != NULL) {
        OPENSSL_cleanse(secret.data, secret.cap);
    }
    hf_buffer_reset(&secret);
    return status;
}

static enum hf_status add_public(struct hf_jwt_keys *keys, const struct hf_jwt_algorithm *algorithm,
                                 const json_t *jwk, EVP_PKEY *pkey, struct hf_buffer *why)
{
    enum hf_status status = HF_INVALID;
    if (pkey != NULL) {
        status = hf_jwt_keys_add_public(keys, algorithm, text_of(jwk, "kid"), pkey, why);
    }
    EVP_PKEY_free(pkey);
    return status;
}

/* HF_OK also for a key that is skipped. */
static enum hf_status add_jwk(struct hf_jwt_keys *keys, const json_t *jwk, struct hf_buffer *why)
{
    const json_t *kid = json_object_get(jwk, "kid");
    const char *kty = text_of(jwk, "kty");
    const char *alg = text_of(jwk, "alg");
    const struct hf_jwt_algorithm *algorithm = hf_jwt_algorithm_find(hf_slice_of(alg));
    if (kty == NULL || (kid != NULL && !json_is_string(kid))) {
        hf_buffer_add_text(why, "\"kty\" and, if there is one, \"kid\" must be texts");
        return HF_INVALID;
    }
    if (!is_for_signatures(jwk) || (json_object_get(jwk, "alg") != NULL && algorithm == NULL)) {
        return HF_OK;
    }
    if (strcmp(kty, "oct") == 0) {
        return add_oct(keys, algorithm, jwk, why);
    }
    bool is_rsa = strcmp(kty, "RSA") == 0;
    if (!is_rsa && strcmp(kty, "EC") != 0) {
        return HF_OK;
    }
    if (json_object_get(jwk, "d") != NULL) {
        hf_buffer_add_text(why, "holds a private key; tokens are only checked here, so give the "
                                "public one");
        return HF_INVALID;
    }
    if (is_rsa) {
        algorithm = algorithm == NULL ? hf_jwt_algorithm_find(HF_LITERAL("RS256")) : algorithm;
        return add_public(keys, algorithm, jwk, read_rsa(jwk, why), why);
    }
    const char *crv = text_of(jwk, "crv");
    const struct hf_jwt_algorithm *curve = crv == NULL ? NULL : hf_jwt_algorithm_of_curve(crv);
    if (curve == NULL) {
        return HF_OK;
    }
    algorithm = algorithm == NULL ? curve : algorithm;
    return add_public(keys, algorithm, jwk, read_ec(jwk, curve, why), why);
}

enum hf_status hf_jwt_keys_add_jwks(struct hf_jwt_keys *keys, struct hf_slice text,
                                    struct hf_buffer *why)
{
    enum hf_status status = HF_INVALID;
    size_t before = keys->count;
    json_error_t error;
    json_t *root = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
    const json_t *list = json_object_get(root, "keys");
    if (root == NULL) {
        /* Only the place: jansson's text quotes what stands there. */
        hf_buffer_addf(why, "not JSON at line %d, column %d", error.line, error.column);
    } else if (!json_is_array(list)) {
        hf_buffer_add_text(why, "a JWKS is {\"keys\": [...]}");
    } else {
        status = HF_OK;
        for (size_t i = 0; i < json_array_size(list) && status == HF_OK; i++) {
            struct hf_buffer what;
            hf_buffer_init(&what, &hf_heap, 1024);
            status = add_jwk(keys, json_array_get(list, i), &what);
            if (status != HF_OK) {
                hf_buffer_addf(why, "keys[%zu]: ", i);
                hf_buffer_add(why, hf_buffer_slice(&what));
            }
            hf_buffer_reset(&what);
        }
        if (status == HF_OK && keys->count == before) {
            status = HF_INVALID;
            hf_buffer_add_text(why, "holds no key for checking signatures with HS, RS or ES");
        }
    }
    json_decref(root);
    return status;
}
