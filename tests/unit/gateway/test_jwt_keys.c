/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: where they may come from, which are refused and in what words, and the JWKS. */
#include "jwt_tokens.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <sys/stat.h>

static char why_text[4096];

/* The refusal's words. */
static const char *refusal(const struct hf_jwt_config *config)
{
    struct hf_jwt_keys *keys = (struct hf_jwt_keys *)(uintptr_t)1;
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, sizeof(why_text) - 1);
    enum hf_status status = hf_jwt_keys_new(config, &keys, &why);
    (void)snprintf(why_text, sizeof(why_text), "%.*s", HF_SLICE_ARG(hf_buffer_slice(&why)));
    hf_buffer_reset(&why);
    assert_int_not_equal(status, HF_OK);
    assert_null(keys);
    assert_int_equal(ERR_peek_error(), 0);
    return why_text;
}

static const char *refusal_of_key(const char *alg, const char *name)
{
    struct hf_jwt_key_config key = {
        .kid = "main", .alg = (char *)(uintptr_t)alg, .file = (char *)(uintptr_t)path_of(name)};
    struct hf_jwt_config config = {.keys = &key, .key_count = 1};
    return refusal(&config);
}

/* The words stand behind the place and the file's name. */
static void assert_refused(const char *alg, const char *name, const char *words)
{
    const char *said = refusal_of_key(alg, name);
    char start[256];
    (void)snprintf(start, sizeof(start), "jwt.keys[0] (kid main): %s: ", path_of(name));
    if (strncmp(said, start, strlen(start)) != 0 || strstr(said, words) == NULL) {
        fail_msg("%s with %s: \"%s\" and not \"%s%s\"", name, alg, said, start, words);
    }
}

/* "RSA PUBLIC KEY", PKCS#1. */
static void write_pkcs1(const char *name, EVP_PKEY *pkey)
{
    unsigned char *der = NULL;
    int len = i2d_PublicKey(pkey, &der);
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_true(PEM_write(file, "RSA PUBLIC KEY", "", der, len) > 0);
    assert_int_equal(fclose(file), 0);
    OPENSSL_free(der);
}

static void a_secret_shorter_than_its_hash_is_refused(void **state)
{
    static const struct {
        const char *alg;
        size_t len;
    } cases[] = {{"HS256", 32}, {"HS384", 48}, {"HS512", 64}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        write_file("exact", SECRET, cases[i].len);
        hf_jwt_keys_unref(load_key(cases[i].alg, NULL, "exact"));
        write_file("short", SECRET, cases[i].len - 1);
        assert_refused(cases[i].alg, "short", "needs at least");
        assert_null(strstr(why_text, "0123456"));
    }
    write_text("empty", "");
    assert_refused("HS256", "empty", "the secret has 0 bytes");
}

static void a_secret_that_is_a_key_of_another_kind_is_refused(void **state)
{
    static const enum key_name kinds[] = {RSA_KEY, P256_KEY};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        assert_refused("HS256", public_files[kinds[i]], "not a secret");
        unsigned char *der = NULL;
        int len = i2d_PUBKEY(pkeys[kinds[i]], &der);
        write_file("der", der, (size_t)len);
        OPENSSL_free(der);
        assert_refused("HS256", "der", "not a secret");
    }
    write_pkcs1("rsa-pkcs1.pem", pkeys[RSA_KEY]);
    assert_refused("HS512", "rsa-pkcs1.pem", "not a secret");
    write_text("padded", "  \n# our key\n-----BEGIN PUBLIC KEY-----\nabcdefghijklmnopqrstuvwxyz\n");
    assert_refused("HS256", "padded", "not a secret");
}

static void rsa_keys_under_2048_bits_are_refused(void **state)
{
    EVP_PKEY *weak = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    write_public("weak.pem", weak);
    EVP_PKEY_free(weak);
    assert_refused("RS256", "weak.pem", "1024 bits; allowed: 2048 to 16384");
}

static void a_key_of_another_kind_or_curve_than_its_algorithm_is_refused(void **state)
{
    assert_refused("RS256", "p256.pem", "RS256 needs an RSA key");
    assert_refused("ES256", "rsa.pem", "ES256 needs an EC key on P-256");
    assert_refused("ES256", "p384.pem", "ES256 needs a key on P-256, and this one is on secp384r1");
    assert_refused("ES384", "p256.pem", "ES384 needs a key on P-384");
    assert_refused("ES512", "p384.pem", "ES512 needs a key on P-521");
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1");
    write_public("k1.pem", pkey);
    EVP_PKEY_free(pkey);
    assert_refused("ES256", "k1.pem", "on secp256k1");
    pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    write_public("ed.pem", pkey);
    EVP_PKEY_free(pkey);
    assert_refused("ES256", "ed.pem", "needs an EC key");
}

static void a_private_key_is_not_wanted(void **state)
{
    FILE *file = fopen(path_of("private.pem"), "w");
    assert_int_equal(PEM_write_PKCS8PrivateKey(file, pkeys[RSA_KEY], NULL, NULL, 0, NULL, NULL), 1);
    (void)fclose(file);
    assert_refused("RS256", "private.pem", "holds a private key");
}

static void files_that_cannot_be_read_are_named(void **state)
{
    static char large[65537];
    assert_refused("RS256", "nowhere.pem", "No such file or directory");
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    assert_refused("RS256", "pipe", "holds no public key");
    write_text("garbage.pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
    assert_refused("RS256", "garbage.pem", "holds no public key or certificate in PEM form");
    assert_refused("ES256", "secret", "holds no public key or certificate in PEM form");
    memset(large, 'a', sizeof(large));
    write_file("large", large, sizeof(large));
    assert_refused("HS256", "large", "larger than 64 KiB");
    write_file("large", large, sizeof(large) - 1);
    hf_jwt_keys_unref(load_key("HS256", NULL, "large"));
    struct hf_jwt_key_config key = {.alg = "HS256", .file = directory};
    struct hf_jwt_config config = {.keys = &key, .key_count = 1};
    assert_non_null(strstr(refusal(&config), "Is a directory"));
    key.file = "/dev/zero";
    assert_string_equal(refusal(&config), "jwt.keys[0]: /dev/zero: larger than 64 KiB");
}

static void the_second_key_is_named_when_it_is_the_bad_one(void **state)
{
    char good[128], bad[128], words[256];
    (void)snprintf(good, sizeof(good), "%s", path_of("secret"));
    (void)snprintf(bad, sizeof(bad), "%s", path_of("nowhere"));
    struct hf_jwt_key_config list[] = {{.alg = "HS256", .file = good},
                                       {.kid = "b", .alg = "HS256", .file = bad}};
    struct hf_jwt_config config = {.keys = list, .key_count = 2};
    (void)snprintf(words, sizeof(words), "jwt.keys[1] (kid b): %s: No such file or directory", bad);
    assert_string_equal(refusal(&config), words);
    struct hf_jwt_config none = {0};
    assert_string_equal(refusal(&none), "jwt: there is no key");
}

static void algorithms_that_are_not_ours_are_refused(void **state)
{
    static const char *const algs[] = {"none", "PS256", "EdDSA", "hs256", ""};
    for (size_t i = 0; i < COUNT(algs); i++) {
        assert_refused(algs[i], "secret", "is not one of HS, RS, ES with 256, 384, 512");
    }
}

/* ---- forms that are taken ----------------------------------------------------------------------
 */

static void assert_verifies(struct hf_jwt_keys *keys, const char *alg, EVP_PKEY *pkey,
                            const char *secret, const char *header)
{
    assert_int_equal(judge(keys, NULL, token_of(alg, pkey, secret, header, "{}"), NULL), HF_JWT_OK);
    hf_jwt_keys_unref(keys);
}

static void a_text_secret_ends_before_the_line_end_of_its_file(void **state)
{
    static const char *const ends[] = {"", "\n", "\r\n"};
    char content[128];
    for (size_t i = 0; i < COUNT(ends); i++) {
        (void)snprintf(content, sizeof(content), "%s%s", SECRET, ends[i]);
        write_text("line", content);
        assert_verifies(load_key("HS256", NULL, "line"), "HS256", NULL, SECRET, HS256_HEADER);
    }
    write_text("line", SECRET "\n\n"); /* two lines are no text of one line: as it stands */
    assert_verifies(load_key("HS256", NULL, "line"), "HS256", NULL, SECRET "\n\n", HS256_HEADER);
    write_text("bytes", "\x01" SECRET "\n");
    assert_verifies(load_key("HS256", NULL, "bytes"), "HS256", NULL, "\x01" SECRET "\n",
                    HS256_HEADER);
}

static void a_key_can_come_from_the_environment(void **state)
{
    struct hf_jwt_key_config key = {.alg = "HS256", .env = "HF_TEST_JWT_SECRET"};
    struct hf_jwt_config config = {.keys = &key, .key_count = 1};
    assert_int_equal(unsetenv("HF_TEST_JWT_SECRET"), 0);
    assert_string_equal(refusal(&config),
                        "jwt.keys[0]: HF_TEST_JWT_SECRET: the environment variable is not set");
    assert_int_equal(setenv("HF_TEST_JWT_SECRET", SECRET, 1), 0);
    assert_verifies(load(&config), "HS256", NULL, SECRET, HS256_HEADER);
    assert_int_equal(setenv("HF_TEST_JWT_SECRET", "-----BEGIN PUBLIC KEY----- and so on and on", 1),
                     0);
    assert_non_null(strstr(refusal(&config), "not a secret"));
}

static void a_certificate_and_an_rsa_public_key_are_read_too(void **state)
{
    X509 *certificate = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 60);
    assert_int_equal(X509_set_pubkey(certificate, pkeys[RSA_KEY]), 1);
    assert_true(X509_sign(certificate, pkeys[RSA_KEY], EVP_sha256()) > 0);
    FILE *file = fopen(path_of("cert.pem"), "w");
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    (void)fclose(file);
    X509_free(certificate);
    assert_verifies(load_key("RS256", NULL, "cert.pem"), "RS256", pkeys[RSA_KEY], NULL,
                    "{\"alg\":\"RS256\"}");
    write_pkcs1("pkcs1.pem", pkeys[RSA_KEY]);
    assert_verifies(load_key("RS512", NULL, "pkcs1.pem"), "RS512", pkeys[RSA_KEY], NULL,
                    "{\"alg\":\"RS512\"}");
}

/* ---- JWKS ------------------------------------------------------------------------------------ */

static char jwk_text[8][4096];
static unsigned jwk_turn;

static const char *base64url(const void *bytes, size_t len)
{
    static char texts[4][2048];
    static unsigned turn;
    char *text = texts[turn++ % 4];
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 2047);
    add_base64url(&out, bytes, len);
    (void)snprintf(text, 2048, "%.*s", HF_SLICE_ARG(hf_buffer_slice(&out)));
    hf_buffer_reset(&out);
    return text;
}

static const char *number_of(EVP_PKEY *pkey, const char *name, size_t size)
{
    uint8_t bytes[1024];
    BIGNUM *number = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, name, &number), 1);
    size = size == 0 ? (size_t)BN_num_bytes(number) : size;
    assert_int_equal(BN_bn2binpad(number, bytes, (int)size), size);
    BN_free(number);
    return base64url(bytes, size);
}

/* `more` are further members, with their leading comma. The text lives until eight calls later. */
static const char *rsa_jwk(EVP_PKEY *pkey, const char *more)
{
    char *text = jwk_text[jwk_turn++ % COUNT(jwk_text)];
    (void)snprintf(text, sizeof(jwk_text[0]), "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"%s}",
                   number_of(pkey, OSSL_PKEY_PARAM_RSA_N, 0),
                   number_of(pkey, OSSL_PKEY_PARAM_RSA_E, 0), more);
    return text;
}

static const char *ec_jwk(EVP_PKEY *pkey, const char *crv, const char *more)
{
    char *text = jwk_text[jwk_turn++ % COUNT(jwk_text)];
    size_t size = (size_t)(EVP_PKEY_get_bits(pkey) + 7) / 8;
    (void)snprintf(text, sizeof(jwk_text[0]),
                   "{\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"%s}", crv,
                   number_of(pkey, OSSL_PKEY_PARAM_EC_PUB_X, size),
                   number_of(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, size), more);
    return text;
}

static const char *oct_jwk(const void *secret, size_t len, const char *more)
{
    char *text = jwk_text[jwk_turn++ % COUNT(jwk_text)];
    (void)snprintf(text, sizeof(jwk_text[0]), "{\"kty\":\"oct\",\"k\":\"%s\"%s}",
                   base64url(secret, len), more);
    return text;
}

/* A JWKS of up to three keys. */
static const char *set_of(const char *a, const char *b, const char *c)
{
    static char text[3 * 4096 + 64];
    (void)snprintf(text, sizeof(text), "{\"keys\":[%s%s%s%s%s]}", a, b == NULL ? "" : ",",
                   b == NULL ? "" : b, c == NULL ? "" : ",", c == NULL ? "" : c);
    return text;
}

static void the_keys_of_a_jwks_verify_what_they_signed(void **state)
{
    const char *set =
        set_of(rsa_jwk(pkeys[RSA_KEY], ",\"kid\":\"r\",\"alg\":\"RS512\",\"use\":\"sig\""),
               ec_jwk(pkeys[P384_KEY], "P-384", ",\"kid\":\"e\",\"key_ops\":[\"verify\"]"),
               oct_jwk(SECRET, 64, ",\"kid\":\"o\",\"alg\":\"HS384\""));
    struct hf_jwt_keys *keys = load_jwks(set);
    (void)hf_jwt_keys_ref(keys);
    (void)hf_jwt_keys_ref(keys);
    assert_verifies(keys, "RS512", pkeys[RSA_KEY], NULL, "{\"alg\":\"RS512\",\"kid\":\"r\"}");
    assert_verifies(keys, "ES384", pkeys[P384_KEY], NULL, "{\"alg\":\"ES384\",\"kid\":\"e\"}");
    assert_verifies(keys, "HS384", NULL, SECRET, "{\"alg\":\"HS384\",\"kid\":\"o\"}");
}

static void an_ec_key_without_alg_is_pinned_by_its_curve(void **state)
{
    static const struct {
        enum key_name key;
        const char *crv, *alg, *header;
    } cases[] = {{P256_KEY, "P-256", "ES256", "{\"alg\":\"ES256\"}"},
                 {P384_KEY, "P-384", "ES384", "{\"alg\":\"ES384\"}"},
                 {P521_KEY, "P-521", "ES512", "{\"alg\":\"ES512\"}"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct hf_jwt_keys *keys =
            load_jwks(set_of(ec_jwk(pkeys[cases[i].key], cases[i].crv, ""), NULL, NULL));
        assert_verifies(keys, cases[i].alg, pkeys[cases[i].key], NULL, cases[i].header);
    }
}

static void an_rsa_key_without_alg_is_pinned_to_rs256(void **state)
{
    struct hf_jwt_keys *keys = load_jwks(set_of(rsa_jwk(pkeys[RSA_KEY], ""), NULL, NULL));
    char *token = token_of("RS512", pkeys[RSA_KEY], NULL, "{\"alg\":\"RS512\"}", "{}");
    assert_int_equal(judge(keys, NULL, token, NULL), HF_JWT_ALGORITHM);
    assert_verifies(keys, "RS256", pkeys[RSA_KEY], NULL, "{\"alg\":\"RS256\"}");
}

static void keys_for_other_purposes_and_unknown_ones_are_skipped(void **state)
{
    static const char *const skipped[] = {
        ",\"use\":\"enc\"",   ",\"use\":\"enc\",\"alg\":\"RSA-OAEP\"",
        ",\"alg\":\"PS256\"", ",\"alg\":\"none\"",
        ",\"alg\":7",         ",\"key_ops\":[\"encrypt\",\"wrapKey\"]",
        ",\"key_ops\":[]",
    };
    const char *okp = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}";
    const char *k1 = "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AAAA\",\"y\":\"AAAA\"}";
    assert_verifies(load_jwks(set_of(okp, k1, ec_jwk(pkeys[P256_KEY], "P-256", ""))), "ES256",
                    pkeys[P256_KEY], NULL,
                    "{\"alg\":\"ES256\",\"kid\":\"skipped ones do not count\"}");
    for (size_t i = 0; i < COUNT(skipped); i++) {
        write_text("jwks.json", set_of(rsa_jwk(pkeys[RSA_KEY], skipped[i]), okp, k1));
        struct hf_jwt_config config = {.jwks = (char *)(uintptr_t)path_of("jwks.json")};
        assert_non_null(strstr(refusal(&config), "holds no key for checking signatures"));
    }
}

static void assert_jwks_refused(const char *text, const char *words)
{
    char start[256];
    write_text("jwks.json", text);
    (void)snprintf(start, sizeof(start), "jwt.jwks: %s: ", path_of("jwks.json"));
    struct hf_jwt_config config = {.jwks = (char *)(uintptr_t)path_of("jwks.json")};
    const char *said = refusal(&config);
    if (strncmp(said, start, strlen(start)) != 0 || strstr(said, words) == NULL) {
        fail_msg("%s: \"%s\" and not \"%s\"", text, said, words);
    }
}

static void a_file_that_is_no_jwks_is_refused(void **state)
{
    assert_jwks_refused("", "not JSON at line 1");
    assert_jwks_refused("{\"keys\":\n  oops}", "not JSON at line 2");
    assert_null(strstr(why_text, "oops"));
    assert_jwks_refused("[]", "a JWKS is");
    assert_jwks_refused("{}", "a JWKS is");
    assert_jwks_refused("{\"keys\":{}}", "a JWKS is");
    assert_jwks_refused("{\"keys\":[]}", "holds no key");
    assert_jwks_refused("{\"keys\":[],\"keys\":[]}", "not JSON");
    assert_jwks_refused("{\"keys\":[]}x", "not JSON");
    struct hf_jwt_config config = {.jwks = "/nowhere/jwks.json"};
    assert_string_equal(refusal(&config),
                        "jwt.jwks: /nowhere/jwks.json: No such file or directory");
}

static void a_broken_weak_or_private_key_of_a_jwks_is_refused_with_its_place(void **state)
{
    EVP_PKEY *weak = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    const char *good = rsa_jwk(pkeys[RSA_KEY], "");
    assert_jwks_refused(set_of(good, rsa_jwk(weak, ""), NULL),
                        "keys[1]: the RSA key has 1024 bits");
    EVP_PKEY_free(weak);
    assert_jwks_refused(set_of("7", NULL, NULL), "keys[0]: \"kty\"");
    assert_jwks_refused(set_of("{}", NULL, NULL), "\"kty\"");
    assert_jwks_refused(set_of(rsa_jwk(pkeys[RSA_KEY], ",\"kid\":1"), NULL, NULL), "\"kid\"");
    assert_jwks_refused(set_of(rsa_jwk(pkeys[RSA_KEY], ",\"d\":\"AQAB\""), NULL, NULL),
                        "private key");
    assert_jwks_refused(set_of(rsa_jwk(pkeys[RSA_KEY], ",\"alg\":\"HS256\""), NULL, NULL),
                        "needs a secret");
    assert_jwks_refused(set_of(rsa_jwk(pkeys[RSA_KEY], ",\"alg\":\"ES256\""), NULL, NULL),
                        "needs an EC key");
    assert_jwks_refused(set_of("{\"kty\":\"RSA\",\"e\":\"AQAB\"}", NULL, NULL), "\"n\" is missing");
    assert_jwks_refused(set_of("{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}", NULL, NULL),
                        "\"n\" is missing");
    assert_jwks_refused(set_of("{\"kty\":\"RSA\",\"n\":\"A+/=\",\"e\":\"AQAB\"}", NULL, NULL),
                        "\"n\" is not base64url");
    assert_jwks_refused(set_of("{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":7}", NULL, NULL),
                        "\"e\" is missing");
    const char *p256 = ec_jwk(pkeys[P256_KEY], "P-256", ",\"alg\":\"ES384\"");
    assert_jwks_refused(set_of(p256, NULL, NULL), "ES384 needs a key on P-384");
    assert_jwks_refused(set_of(ec_jwk(pkeys[P256_KEY], "P-384", ""), NULL, NULL), "48 bytes each");
    assert_jwks_refused(
        set_of("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}", NULL, NULL),
        "32 bytes each");
    char off[512], a43[44] = {0};
    memset(a43, 'A', 43);
    (void)snprintf(off, sizeof(off), "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}",
                   a43, a43);
    assert_jwks_refused(set_of(off, NULL, NULL), "no point of P-256");
    assert_jwks_refused(set_of(oct_jwk(SECRET, 64, ""), NULL, NULL), "needs \"alg\"");
    assert_jwks_refused(set_of(oct_jwk(SECRET, 31, ",\"alg\":\"HS256\""), NULL, NULL),
                        "the secret has 31 bytes");
    assert_jwks_refused(set_of(oct_jwk(SECRET, 64, ",\"alg\":\"RS256\""), NULL, NULL),
                        "needs a public key");
    const char *pem = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n";
    assert_jwks_refused(set_of(oct_jwk(pem, strlen(pem), ",\"alg\":\"HS256\""), NULL, NULL),
                        "not a secret");
}

static void an_rsa_exponent_that_makes_forging_easy_is_refused(void **state)
{
    static const char *const exponents[] = {"AQ", "Ag", "AA"}; /* 1, 2, 0 */
    char jwk[2048];
    for (size_t i = 0; i < COUNT(exponents); i++) {
        (void)snprintf(jwk, sizeof(jwk), "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}",
                       number_of(pkeys[RSA_KEY], OSSL_PKEY_PARAM_RSA_N, 0), exponents[i]);
        assert_jwks_refused(set_of(jwk, NULL, NULL), "make no");
    }
}

static void keys_of_a_list_and_of_a_jwks_stand_side_by_side(void **state)
{
    char secret[128], jwks[128];
    write_text("jwks.json", set_of(ec_jwk(pkeys[P256_KEY], "P-256", ",\"kid\":\"e\""), NULL, NULL));
    (void)snprintf(secret, sizeof(secret), "%s", path_of("secret"));
    (void)snprintf(jwks, sizeof(jwks), "%s", path_of("jwks.json"));
    struct hf_jwt_key_config key = {.kid = "h", .alg = "HS256", .file = secret};
    struct hf_jwt_config config = {.keys = &key, .key_count = 1, .jwks = jwks};
    struct hf_jwt_keys *keys = load(&config);
    (void)hf_jwt_keys_ref(keys);
    assert_verifies(keys, "HS256", NULL, SECRET, "{\"alg\":\"HS256\",\"kid\":\"h\"}");
    assert_verifies(keys, "ES256", pkeys[P256_KEY], NULL, "{\"alg\":\"ES256\",\"kid\":\"e\"}");
}

static void more_keys_than_the_maximum_are_refused(void **state)
{
    struct hf_buffer text;
    hf_buffer_init(&text, &hf_heap, 1 << 20);
    const char *jwk = oct_jwk(SECRET, 64, ",\"alg\":\"HS256\"");
    hf_buffer_add_text(&text, "{\"keys\":[");
    for (int i = 0; i < 257; i++) {
        hf_buffer_addf(&text, "%s%s", i > 0 ? "," : "", jwk);
    }
    hf_buffer_add(&text, HF_LITERAL("]}\0"));
    assert_jwks_refused((const char *)text.data, "keys[256]: a route has at most 256 keys");
    hf_buffer_reset(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_shorter_than_its_hash_is_refused),
        cmocka_unit_test(a_secret_that_is_a_key_of_another_kind_is_refused),
        cmocka_unit_test(rsa_keys_under_2048_bits_are_refused),
        cmocka_unit_test(a_key_of_another_kind_or_curve_than_its_algorithm_is_refused),
        cmocka_unit_test(a_private_key_is_not_wanted),
        cmocka_unit_test(files_that_cannot_be_read_are_named),
        cmocka_unit_test(the_second_key_is_named_when_it_is_the_bad_one),
        cmocka_unit_test(algorithms_that_are_not_ours_are_refused),
        cmocka_unit_test(a_text_secret_ends_before_the_line_end_of_its_file),
        cmocka_unit_test(a_key_can_come_from_the_environment),
        cmocka_unit_test(a_certificate_and_an_rsa_public_key_are_read_too),
        cmocka_unit_test(the_keys_of_a_jwks_verify_what_they_signed),
        cmocka_unit_test(an_ec_key_without_alg_is_pinned_by_its_curve),
        cmocka_unit_test(an_rsa_key_without_alg_is_pinned_to_rs256),
        cmocka_unit_test(keys_for_other_purposes_and_unknown_ones_are_skipped),
        cmocka_unit_test(a_file_that_is_no_jwks_is_refused),
        cmocka_unit_test(a_broken_weak_or_private_key_of_a_jwks_is_refused_with_its_place),
        cmocka_unit_test(an_rsa_exponent_that_makes_forging_easy_is_refused),
        cmocka_unit_test(keys_of_a_list_and_of_a_jwks_stand_side_by_side),
        cmocka_unit_test(more_keys_than_the_maximum_are_refused),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
