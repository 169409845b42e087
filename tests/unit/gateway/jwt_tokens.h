/* SPDX-License-Identifier: Apache-2.0 */
/* Keys made on the spot, files in a directory of their own, and tokens signed by OpenSSL alone:
 * what test_jwt.c and test_jwt_keys.c tell their stories with. */
#ifndef JWT_TOKENS_H
#define JWT_TOKENS_H

#include "gateway/jwt.h"

#include "test_unit.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW ((hf_wall)1700000000000)

/* 64 bytes: long enough for every HS. */
#define SECRET "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

enum key_name { RSA_KEY, OTHER_RSA_KEY, P256_KEY, P384_KEY, P521_KEY, OTHER_P256_KEY, KEYS };

static char directory[64];
static EVP_PKEY *pkeys[KEYS];

/* ---- files ----------------------------------------------------------------------------------- */

/* The path lives until the next two calls. */
static const char *path_of(const char *name)
{
    static char paths[3][128];
    static unsigned turn;
    char *path = paths[turn++ % 3];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

static inline void write_file(const char *name, const void *bytes, size_t len)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static inline void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text));
}

static inline void write_public(const char *name, EVP_PKEY *pkey)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PUBKEY(file, pkey), 1);
    assert_int_equal(fclose(file), 0);
}

static const char *const public_files[KEYS] = {"rsa.pem",  "other-rsa.pem", "p256.pem",
                                               "p384.pem", "p521.pem",      "other-p256.pem"};

static int make_keys(void **state)
{
    (void)snprintf(directory, sizeof(directory), "/tmp/hf-jwt-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    static const char *const curves[] = {"P-256", "P-384", "P-521", "P-256"};
    for (int i = RSA_KEY; i < KEYS; i++) {
        pkeys[i] = i < P256_KEY ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
                                : EVP_PKEY_Q_keygen(NULL, NULL, "EC", curves[i - P256_KEY]);
        if (pkeys[i] == NULL) {
            return -1;
        }
        write_public(public_files[i], pkeys[i]);
    }
    write_text("secret", SECRET);
    return 0;
}

static int drop_keys(void **state)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -r '%s'", directory);
    for (int i = RSA_KEY; i < KEYS; i++) {
        EVP_PKEY_free(pkeys[i]);
    }
    return system(command);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static inline void add_base64url(struct hf_buffer *out, const void *bytes, size_t len)
{
    char *text = malloc(len / 3 * 4 + 8);
    assert_non_null(text);
    int size = EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
    for (int i = 0; i < size && text[i] != '='; i++) {
        hf_buffer_add_byte(out, (uint8_t)(text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]));
    }
    free(text);
}

static inline const EVP_MD *digest_of(const char *alg)
{
    return alg[2] == '2' ? EVP_sha256() : alg[2] == '3' ? EVP_sha384() : EVP_sha512();
}

/* r and s, each in full size, in place of OpenSSL's DER (RFC 7518 3.4). */
static inline size_t flatten(uint8_t *signature, size_t len, size_t half)
{
    const unsigned char *der = signature;
    ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &der, (long)len);
    assert_non_null(parts);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(parts), signature, (int)half), half);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(parts), signature + half, (int)half), half);
    ECDSA_SIG_free(parts);
    return 2 * half;
}

static inline size_t sign(const char *alg, EVP_PKEY *pkey, const char *secret, struct hf_slice text,
                          uint8_t signature[2048])
{
    size_t len = 2048;
    if (alg[0] == 'H') {
        unsigned size = 0;
        assert_non_null(HMAC(digest_of(alg), secret, (int)strlen(secret), text.ptr, text.len,
                             signature, &size));
        return size;
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, digest_of(alg), NULL, pkey), 1);
    assert_int_equal(EVP_DigestSign(ctx, signature, &len, text.ptr, text.len), 1);
    EVP_MD_CTX_free(ctx);
    return alg[0] == 'E' ? flatten(signature, len, (size_t)(EVP_PKEY_get_bits(pkey) + 7) / 8) : len;
}

/* A signed token with that header and payload as they stand; `how` says how it is signed, whatever
 * the header says. With pkey NULL the secret is used. The caller frees it. */
static inline char *token_of(const char *how, EVP_PKEY *pkey, const char *secret,
                             const char *header, const char *payload)
{
    uint8_t signature[2048];
    struct hf_buffer token;
    hf_buffer_init(&token, &hf_heap, 1 << 20);
    add_base64url(&token, header, strlen(header));
    hf_buffer_add_byte(&token, '.');
    add_base64url(&token, payload, strlen(payload));
    size_t len = sign(how, pkey, secret, hf_buffer_slice(&token), signature);
    hf_buffer_add_byte(&token, '.');
    add_base64url(&token, signature, len);
    hf_buffer_add_byte(&token, 0);
    assert_false(token.failed);
    return (char *)token.data;
}

static inline char *hs256(const char *header, const char *payload)
{
    return token_of("HS256", NULL, SECRET, header, payload);
}

#define HS256_HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

/* ---- keys and checks ------------------------------------------------------------------------- */

static inline struct hf_jwt_keys *load(const struct hf_jwt_config *config)
{
    struct hf_jwt_keys *keys = NULL;
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, 4096);
    enum hf_status status = hf_jwt_keys_new(config, &keys, &why);
    if (status != HF_OK) {
        print_error("%.*s\n", HF_SLICE_ARG(hf_buffer_slice(&why)));
    }
    assert_int_equal(status, HF_OK);
    assert_non_null(keys);
    assert_int_equal(why.len, 0);
    hf_buffer_reset(&why);
    return keys;
}

static inline struct hf_jwt_keys *load_key(const char *alg, const char *kid, const char *name)
{
    struct hf_jwt_key_config key = {.kid = (char *)(uintptr_t)kid,
                                    .alg = (char *)(uintptr_t)alg,
                                    .file = (char *)(uintptr_t)path_of(name)};
    struct hf_jwt_config config = {.keys = &key, .key_count = 1};
    return load(&config);
}

static inline struct hf_jwt_keys *load_jwks(const char *text)
{
    write_text("jwks.json", text);
    struct hf_jwt_config config = {.jwks = (char *)(uintptr_t)path_of("jwks.json")};
    return load(&config);
}

/* The verdict on a token that is freed. */
static inline enum hf_jwt_verdict judge(const struct hf_jwt_keys *keys,
                                        const struct hf_jwt_config *config, char *token,
                                        struct hf_jwt_claims *claims)
{
    static const struct hf_jwt_config open_config;
    struct hf_jwt_claims unused;
    enum hf_jwt_verdict verdict =
        hf_jwt_check(keys, config == NULL ? &open_config : config, hf_slice_of(token), NOW,
                     claims == NULL ? &unused : claims);
    free(token);
    return verdict;
}

#endif
