/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: what lets in, and all that must not. */
#include "jwt_tokens.h"

#include <jwt.h>
#include <openssl/err.h>
#include <pthread.h>

#define PAYLOAD "{\"sub\":\"mira\",\"exp\":1700000060}"

static const struct {
    const char *alg;
    enum key_name key;
} algorithms[] = {
    {"HS256", KEYS},     {"HS384", KEYS},     {"HS512", KEYS},
    {"RS256", RSA_KEY},  {"RS384", RSA_KEY},  {"RS512", RSA_KEY},
    {"ES256", P256_KEY}, {"ES384", P384_KEY}, {"ES512", P521_KEY},
};

/* The i-th algorithm's token, with its keys. */
static char *token_by(size_t i, const char *payload, struct hf_jwt_keys **keys)
{
    const char *alg = algorithms[i].alg;
    bool hs = algorithms[i].key == KEYS;
    char header[64];
    (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"typ\":\"JWT\"}", alg);
    *keys = load_key(alg, NULL, hs ? "secret" : public_files[algorithms[i].key]);
    return token_of(alg, hs ? NULL : pkeys[algorithms[i].key], SECRET, header, payload);
}

static void each_of_the_nine_algorithms_lets_its_token_in(void **state)
{
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        struct hf_jwt_keys *keys;
        struct hf_jwt_claims claims;
        char *token = token_by(i, PAYLOAD, &keys);
        assert_int_equal(judge(keys, NULL, token, &claims), HF_JWT_OK);
        assert_string_equal(claims.subject, "mira");
        assert_int_equal(claims.expires, 1700000060000);
        hf_jwt_keys_unref(keys);
    }
}

static void a_token_is_refused_by_every_key_but_its_own(void **state)
{
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        struct hf_jwt_keys *own;
        char *token = token_by(i, PAYLOAD, &own);
        for (size_t j = 0; j < COUNT(algorithms); j++) {
            struct hf_jwt_keys *keys;
            free(token_by(j, PAYLOAD, &keys));
            assert_int_equal(judge(keys, NULL, strdup(token), NULL),
                             i == j ? HF_JWT_OK : HF_JWT_ALGORITHM);
            hf_jwt_keys_unref(keys);
        }
        free(token);
        hf_jwt_keys_unref(own);
    }
}

static void no_token_with_a_changed_byte_is_let_in(void **state)
{
    static const size_t chosen[] = {0, 3, 6};
    static const uint8_t odd[] = {0, '.', '=', '+', '/', ' ', '\n', 'A', '_', 0xff};
    struct hf_jwt_config config = {0};
    struct hf_jwt_claims claims;
    for (size_t c = 0; c < COUNT(chosen); c++) {
        struct hf_jwt_keys *keys;
        char *token = token_by(chosen[c], PAYLOAD, &keys);
        struct hf_slice text = hf_slice_of(token);
        for (size_t i = 0; i < text.len; i++) {
            char right = token[i];
            for (size_t j = 0; j < 8 + COUNT(odd); j++) {
                token[i] = (char)(j < 8 ? right ^ (1 << j) : odd[j - 8]);
                enum hf_jwt_verdict verdict = hf_jwt_check(keys, &config, text, NOW, &claims);
                if (token[i] != right && verdict == HF_JWT_OK) {
                    fail_msg("%s: byte %zu of %zu: %02x taken for %02x", algorithms[chosen[c]].alg,
                             i, text.len, (uint8_t)token[i], (uint8_t)right);
                }
            }
            token[i] = right;
        }
        assert_int_equal(hf_jwt_check(keys, &config, text, NOW, &claims), HF_JWT_OK);
        free(token);
        hf_jwt_keys_unref(keys);
    }
}

static void no_token_that_is_cut_or_longer_is_let_in(void **state)
{
    static const size_t chosen[] = {0, 3, 6};
    static const char *const tails[] = {"A", "AA", "AAAA", "=", "==", ".", ".A", " ", "\n"};
    struct hf_jwt_config config = {0};
    struct hf_jwt_claims claims;
    for (size_t c = 0; c < COUNT(chosen); c++) {
        struct hf_jwt_keys *keys;
        char *token = token_by(chosen[c], PAYLOAD, &keys);
        struct hf_slice text = hf_slice_of(token);
        for (size_t len = 0; len < text.len; len++) {
            /* In memory of its own, so that reading behind it is found. */
            uint8_t *cut = malloc(len + (len == 0));
            memcpy(cut, token, len);
            assert_int_not_equal(hf_jwt_check(keys, &config, hf_slice(cut, len), NOW, &claims),
                                 HF_JWT_OK);
            free(cut);
        }
        for (size_t i = 0; i < COUNT(tails); i++) {
            char *longer = NULL;
            assert_true(asprintf(&longer, "%s%s", token, tails[i]) > 0);
            assert_int_not_equal(judge(keys, NULL, longer, NULL), HF_JWT_OK);
        }
        free(token);
        hf_jwt_keys_unref(keys);
    }
}

static void a_signature_of_a_stranger_is_refused(void **state)
{
    struct hf_jwt_keys *keys = load_key("HS256", NULL, "secret");
    char *token =
        token_of("HS256", NULL, "another secret that is long enough", HS256_HEADER, PAYLOAD);
    assert_int_equal(judge(keys, NULL, token, NULL), HF_JWT_SIGNATURE);
    hf_jwt_keys_unref(keys);

    keys = load_key("RS256", NULL, "rsa.pem");
    token = token_of("RS256", pkeys[OTHER_RSA_KEY], NULL, "{\"alg\":\"RS256\"}", PAYLOAD);
    assert_int_equal(judge(keys, NULL, token, NULL), HF_JWT_SIGNATURE);
    /* What failed does not stay behind for TLS on the same thread. */
    assert_int_equal(ERR_peek_error(), 0);
    hf_jwt_keys_unref(keys);

    keys = load_key("ES256", NULL, "p256.pem");
    token = token_of("ES256", pkeys[OTHER_P256_KEY], NULL, "{\"alg\":\"ES256\"}", PAYLOAD);
    assert_int_equal(judge(keys, NULL, token, NULL), HF_JWT_SIGNATURE);
    assert_int_equal(ERR_peek_error(), 0);
    hf_jwt_keys_unref(keys);
}

static void alg_none_is_refused_in_every_casing_signed_or_not(void **state)
{
    struct hf_jwt_keys *keys = load_key("HS256", NULL, "secret");
    for (unsigned casing = 0; casing < 16; casing++) {
        char none[] = "none", header[64];
        for (int i = 0; i < 4; i++) {
            none[i] = (char)(none[i] & ~(casing >> i & 1 ? 0x20 : 0));
        }
        (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", none);
        char *token = hs256(header, PAYLOAD);
        assert_int_equal(judge(keys, NULL, strdup(token), NULL), HF_JWT_ALGORITHM);
        strrchr(token, '.')[1] = '\0';
        assert_int_equal(judge(keys, NULL, token, NULL), HF_JWT_ALGORITHM);
    }
    hf_jwt_keys_unref(keys);
}

static void alg_must_be_the_very_text_of_one_of_the_nine(void **state)
{
    static const char *const headers[] = {
        "{}",
        "{\"alg\":null}",
        "{\"alg\":256}",
        "{\"alg\":[\"HS256\"]}",
        "{\"alg\":\"\"}",
        "{\"alg\":\"hs256\"}",
        "{\"alg\":\"Hs256\"}",
        "{\"alg\":\" HS256\"}",
        "{\"alg\":\"HS256 \"}",
        "{\"alg\":\"HS\"}",
        "{\"alg\":\"HS2560\"}",
        "{\"alg\":\"PS256\"}",
        "{\"alg\":\"PS384\"}",
        "{\"alg\":\"PS512\"}",
        "{\"alg\":\"EdDSA\"}",
        "{\"alg\":\"ES256K\"}",
        "{\"Alg\":\"HS256\"}",
    };
    struct hf_jwt_keys *keys = load_key("HS256", NULL, "secret");
    for (size_t i = 0; i < COUNT(headers); i++) {
        assert_int_equal(judge(keys, NULL, hs256(headers[i], PAYLOAD), NULL), HF_JWT_ALGORITHM);
    }
    hf_jwt_keys_unref(keys);
}

/* The attack: whoever knows the public key signs with it as if it were a secret. */
static void a_public_key_is_never_taken_for_a_secret(void **state)
{
    static const struct {
        const char *alg;
        enum key_name key;
    } victims[] = {{"RS256", RSA_KEY}, {"ES256", P256_KEY}};
    static const char *const attacks[] = {"HS256", "HS384", "HS512"};
    for (size_t i = 0; i < COUNT(victims); i++) {
        char pem[4096] = "", header[64];
        FILE *file = fopen(path_of(public_files[victims[i].key]), "r");
        assert_non_null(file);
        size_t len = fread(pem, 1, sizeof(pem) - 1, file);
        (void)fclose(file);
        struct hf_jwt_keys *keys = load_key(victims[i].alg, NULL, public_files[victims[i].key]);
        for (size_t j = 0; j < COUNT(attacks); j++) {
            (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", attacks[j]);
            char *token = token_of(attacks[j], NULL, pem, header, PAYLOAD);
            /* The library alone would fall for it. */
            jwt_t *jwt = NULL;
            assert_int_equal(jwt_decode(&jwt, token, (unsigned char *)pem, (int)len), 0);
            jwt_free(jwt);
            assert_int_equal(judge(keys, NULL, token, NULL), HF_JWT_ALGORITHM);
        }
        hf_jwt_keys_unref(keys);
    }
}

/* ---- kid ------------------------------------------------------------------------------------- */

static void a_single_key_without_kid_judges_tokens_with_any_kid(void **state)
{
    struct hf_jwt_keys *keys = load_key("HS256", NULL, "secret");
    char *token = hs256("{\"alg\":\"HS256\",\"kid\":\"whatever\"}", PAYLOAD);
    assert_int_equal(judge(keys, NULL, token, NULL), HF_JWT_OK);
    assert_int_equal(judge(keys, NULL, hs256(HS256_HEADER, PAYLOAD), NULL), HF_JWT_OK);
    hf_jwt_keys_unref(keys);
}

static void a_single_key_with_kid_judges_only_tokens_with_that_kid(void **state)
{
    struct hf_jwt_keys *keys = load_key("HS256", "a", "secret");
    char *token = hs256("{\"alg\":\"HS256\",\"kid\":\"a\"}", PAYLOAD);
    assert_int_equal(judge(keys, NULL, token, NULL), HF_JWT_OK);
    token = hs256("{\"alg\":\"HS256\",\"kid\":\"A\"}", PAYLOAD);
    assert_int_equal(judge(keys, NULL, token, NULL), HF_JWT_NO_KEY);
    assert_int_equal(judge(keys, NULL, hs256(HS256_HEADER, PAYLOAD), NULL), HF_JWT_NO_KEY);
    hf_jwt_keys_unref(keys);
}

static void among_several_keys_the_kid_decides_and_the_key_pins_the_algorithm(void **state)
{
    char secret[128], rsa[128], p256[128];
    (void)snprintf(secret, sizeof(secret), "%s", path_of("secret"));
    (void)snprintf(rsa, sizeof(rsa), "%s", path_of("rsa.pem"));
    (void)snprintf(p256, sizeof(p256), "%s", path_of("p256.pem"));
    struct hf_jwt_key_config list[] = {{.kid = "hs", .alg = "HS256", .file = secret},
                                       {.kid = "rs", .alg = "RS256", .file = rsa},
                                       {.alg = "ES256", .file = p256}};
    struct hf_jwt_config config = {.keys = list, .key_count = COUNT(list)};
    struct hf_jwt_keys *keys = load(&config);
    static const struct {
        const char *header;
        const char *how;
        enum key_name key;
        enum hf_jwt_verdict verdict;
    } cases[] = {
        {"{\"alg\":\"HS256\",\"kid\":\"hs\"}", "HS256", KEYS, HF_JWT_OK},
        {"{\"alg\":\"RS256\",\"kid\":\"rs\"}", "RS256", RSA_KEY, HF_JWT_OK},
        {"{\"alg\":\"ES256\"}", "ES256", P256_KEY, HF_JWT_OK},
        {"{\"alg\":\"HS256\",\"kid\":\"rs\"}", "HS256", KEYS, HF_JWT_ALGORITHM},
        {"{\"alg\":\"RS256\",\"kid\":\"hs\"}", "RS256", RSA_KEY, HF_JWT_ALGORITHM},
        {"{\"alg\":\"HS256\"}", "HS256", KEYS, HF_JWT_ALGORITHM},
        {"{\"alg\":\"RS384\",\"kid\":\"rs\"}", "RS384", RSA_KEY, HF_JWT_ALGORITHM},
        {"{\"alg\":\"RS256\",\"kid\":\"rs\"}", "RS256", OTHER_RSA_KEY, HF_JWT_SIGNATURE},
        {"{\"alg\":\"ES256\",\"kid\":\"es\"}", "ES256", P256_KEY, HF_JWT_NO_KEY},
        {"{\"alg\":\"HS256\",\"kid\":\"\"}", "HS256", KEYS, HF_JWT_NO_KEY},
        {"{\"alg\":\"HS256\",\"kid\":\"../../dev/null\"}", "HS256", KEYS, HF_JWT_NO_KEY},
        {"{\"alg\":\"HS256\",\"kid\":7}", "HS256", KEYS, HF_JWT_MALFORMED},
        {"{\"alg\":\"HS256\",\"kid\":null}", "HS256", KEYS, HF_JWT_MALFORMED},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *token = token_of(cases[i].how, cases[i].key == KEYS ? NULL : pkeys[cases[i].key],
                               SECRET, cases[i].header, PAYLOAD);
        enum hf_jwt_verdict verdict = judge(keys, NULL, token, NULL);
        if (verdict != cases[i].verdict) {
            fail_msg("%s: %s", cases[i].header, hf_jwt_verdict_text(verdict));
        }
    }
    hf_jwt_keys_unref(keys);
}

static void while_keys_change_the_old_and_the_new_one_both_let_in(void **state)
{
    char first[128], second[128];
    write_text("new-secret", "a new secret of at least thirty-two bytes");
    (void)snprintf(first, sizeof(first), "%s", path_of("secret"));
    (void)snprintf(second, sizeof(second), "%s", path_of("new-secret"));
    struct hf_jwt_key_config list[] = {{.alg = "HS256", .file = first},
                                       {.alg = "HS256", .file = second}};
    struct hf_jwt_config config = {.keys = list, .key_count = COUNT(list)};
    struct hf_jwt_keys *keys = load(&config);
    char *token =
        token_of("HS256", NULL, "a new secret of at least thirty-two bytes", HS256_HEADER, PAYLOAD);
    assert_int_equal(judge(keys, NULL, token, NULL), HF_JWT_OK);
    assert_int_equal(judge(keys, NULL, hs256(HS256_HEADER, PAYLOAD), NULL), HF_JWT_OK);
    token = token_of("HS256", NULL, "a third secret of at least thirty-two bytes", HS256_HEADER,
                     PAYLOAD);
    assert_int_equal(judge(keys, NULL, token, NULL), HF_JWT_SIGNATURE);
    hf_jwt_keys_unref(keys);
}

/* ---- signatures and structure ---------------------------------------------------------------- */

static void an_es_signature_of_another_length_is_refused(void **state)
{
    struct hf_jwt_keys *keys = load_key("ES256", NULL, "p256.pem");
    char *token = token_of("ES256", pkeys[P256_KEY], NULL, "{\"alg\":\"ES256\"}", PAYLOAD);
    size_t text_len = (size_t)(strrchr(token, '.') - token);
    uint8_t right[2048];
    size_t right_len = sign("ES256", pkeys[P256_KEY], NULL, hf_slice(token, text_len), right);
    assert_int_equal(right_len, 64);
    for (size_t len = 0; len <= 140; len++) {
        uint8_t signature[140] = {0};
        memcpy(signature, right, len < 64 ? len : 64);
        struct hf_buffer other;
        hf_buffer_init(&other, &hf_heap, 4096);
        hf_buffer_add(&other, hf_slice(token, text_len + 1));
        add_base64url(&other, signature, len);
        hf_buffer_add_byte(&other, 0);
        assert_int_equal(judge(keys, NULL, (char *)other.data, NULL),
                         len == 64 ? HF_JWT_OK : HF_JWT_SIGNATURE);
    }
    /* All zeros of the right length is no signature of anything. */
    memset(strrchr(token, '.') + 1, 'A', strlen(strrchr(token, '.') + 1));
    assert_int_equal(judge(keys, NULL, token, NULL), HF_JWT_SIGNATURE);
    hf_jwt_keys_unref(keys);
}

static void a_token_of_16_kib_is_read_and_one_byte_more_is_not(void **state)
{
    struct hf_jwt_keys *keys = load_key("HS256", NULL, "secret");
    static char payload[20000];
    bool seen[2] = {false, false};
    for (size_t spaces = 0; spaces < 3; spaces++) {
        char header[64];
        (void)snprintf(header, sizeof(header), "{%*s\"alg\":\"HS256\"}", (int)spaces, "");
        for (int pad = 12150; pad < 12300; pad++) {
            (void)snprintf(payload, sizeof(payload), "{\"pad\":\"%0*d\"}", pad, 0);
            char *token = hs256(header, payload);
            size_t len = strlen(token);
            enum hf_jwt_verdict verdict = judge(keys, NULL, token, NULL);
            assert_int_equal(verdict, len <= 16384 ? HF_JWT_OK : HF_JWT_MALFORMED);
            seen[0] = seen[0] || len == 16384;
            seen[1] = seen[1] || len == 16385;
        }
    }
    assert_true(seen[0] && seen[1]);
    hf_jwt_keys_unref(keys);
}

static void what_is_not_three_parts_of_base64url_is_malformed(void **state)
{
    static const char *const texts[] = {
        ".",
        "..",
        "...",
        "a",
        "a.b",
        "a.b.c",
        "a.b.c.d.e",
        "e30.e30",
        "e30.e30.", /* {} and {}: no alg, but well formed */
        ".e30.AAAA",
        "e30..AAAA",
        "e30=.e30.AAAA",
        "e30.e30=.AAAA",
        "e30.e30.AAA=",
        "e30.e30.A",
        "e31.e30.AAAA", /* bits that mean nothing */
        "e30.e30.AB",
        "W10.e30.AAAA", /* [] */
        "e30.W10.AAAA",
        "e30.e30 .AAAA",
        "e30.e30.AA AA",
        " e30.e30.AAAA",
    };
    struct hf_jwt_keys *keys = load_key("HS256", NULL, "secret");
    for (size_t i = 0; i < COUNT(texts); i++) {
        enum hf_jwt_verdict verdict = judge(keys, NULL, strdup(texts[i]), NULL);
        if (verdict != (strcmp(texts[i], "e30.e30.") == 0 ? HF_JWT_ALGORITHM : HF_JWT_MALFORMED)) {
            fail_msg("%s: %s", texts[i], hf_jwt_verdict_text(verdict));
        }
    }
    assert_int_equal(judge(keys, NULL, strdup(""), NULL), HF_JWT_MISSING);
    hf_jwt_keys_unref(keys);
}

static void json_that_two_readers_could_read_differently_is_malformed(void **state)
{
    static const char *const headers[] = {
        "{\"alg\":\"HS256\",\"alg\":\"HS256\"}",
        "{\"alg\":\"none\",\"alg\":\"HS256\"}",
        "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}",
        "{\"alg\":\"HS256\"}x",
        "{\"alg\":\"HS256\"}{}",
        "{\"alg\":\"HS256\\u0000\"}",
        "{alg:\"HS256\"}",
        "{'alg':'HS256'}",
        "\"HS256\"",
        "",
        "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"HS256\",\"crit\":[]}",
        "{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"HS256\",\"x\":\"\xff\"}",
    };
    static const char *const payloads[] = {
        "{\"exp\":1,\"exp\":1800000000}",
        "{\"exp\":1800000000,\"e\\u0078p\":1}",
        "{\"sub\":\"a\",\"sub\":\"b\"}",
        "{\"x\":{\"y\":1,\"y\":2}}",
        "{\"sub\":\"a\\u0000b\"}",
        "[]",
        "7",
        "",
        "{}{}",
        "{\"exp\":99999999999999999999}",
        "{\"exp\":1e999}",
        "{\"exp\":NaN}",
    };
    struct hf_jwt_keys *keys = load_key("HS256", NULL, "secret");
    for (size_t i = 0; i < COUNT(headers); i++) {
        assert_int_equal(judge(keys, NULL, hs256(headers[i], PAYLOAD), NULL), HF_JWT_MALFORMED);
    }
    for (size_t i = 0; i < COUNT(payloads); i++) {
        assert_int_equal(judge(keys, NULL, hs256(HS256_HEADER, payloads[i]), NULL),
                         HF_JWT_MALFORMED);
    }
    hf_jwt_keys_unref(keys);
}

/* ---- claims ---------------------------------------------------------------------------------- */

struct time_case {
    const char *payload;
    hf_wall now;
    enum hf_jwt_verdict verdict;
};

static void check_times(const struct time_case *cases, size_t count, hf_time leeway)
{
    struct hf_jwt_keys *keys = load_key("HS256", NULL, "secret");
    struct hf_jwt_config config = {.leeway = leeway};
    struct hf_jwt_claims claims;
    for (size_t i = 0; i < count; i++) {
        char *token = hs256(HS256_HEADER, cases[i].payload);
        enum hf_jwt_verdict verdict =
            hf_jwt_check(keys, &config, hf_slice_of(token), cases[i].now, &claims);
        if (verdict != cases[i].verdict) {
            fail_msg("%s at %lld: %s", cases[i].payload, (long long)cases[i].now,
                     hf_jwt_verdict_text(verdict));
        }
        free(token);
    }
    hf_jwt_keys_unref(keys);
}

static void exp_and_nbf_hold_to_the_millisecond(void **state)
{
    static const struct time_case cases[] = {
        {"{\"exp\":1700000000}", 1699999999999, HF_JWT_OK},
        {"{\"exp\":1700000000}", 1700000000000, HF_JWT_EXPIRED},
        {"{\"exp\":1700000000.5}", 1700000000499, HF_JWT_OK},
        {"{\"exp\":1700000000.5}", 1700000000500, HF_JWT_EXPIRED},
        {"{\"exp\":1700000000.001}", 1700000000000, HF_JWT_OK},
        {"{\"exp\":1700000000.001}", 1700000000001, HF_JWT_EXPIRED},
        {"{\"exp\":1.7e9}", 1699999999999, HF_JWT_OK},
        {"{\"exp\":1.7e9}", 1700000000000, HF_JWT_EXPIRED},
        {"{\"nbf\":1700000000}", 1699999999999, HF_JWT_NOT_YET},
        {"{\"nbf\":1700000000}", 1700000000000, HF_JWT_OK},
        {"{\"nbf\":1700000000.25}", 1700000000249, HF_JWT_NOT_YET},
        {"{\"nbf\":1700000000.25}", 1700000000250, HF_JWT_OK},
        {"{}", 0, HF_JWT_OK},
        {"{}", INT64_MAX, HF_JWT_OK},
    };
    check_times(cases, COUNT(cases), 0);
}

static void leeway_widens_both_ends_and_no_more(void **state)
{
    static const struct time_case cases[] = {
        {"{\"exp\":1700000000}", 1700000029999, HF_JWT_OK},
        {"{\"exp\":1700000000}", 1700000030000, HF_JWT_EXPIRED},
        {"{\"nbf\":1700000000}", 1699999970000, HF_JWT_OK},
        {"{\"nbf\":1700000000}", 1699999969999, HF_JWT_NOT_YET},
    };
    check_times(cases, COUNT(cases), HF_SECONDS(30));
}

static void huge_and_negative_times_are_safe(void **state)
{
    static const struct time_case cases[] = {
        {"{\"exp\":9223372036854775807}", NOW, HF_JWT_OK},
        {"{\"exp\":-9223372036854775808}", NOW, HF_JWT_EXPIRED},
        {"{\"exp\":1e300}", NOW, HF_JWT_OK},
        {"{\"exp\":-1e300}", NOW, HF_JWT_EXPIRED},
        {"{\"exp\":-1}", NOW, HF_JWT_EXPIRED},
        {"{\"exp\":0}", NOW, HF_JWT_EXPIRED},
        {"{\"exp\":-0.0}", NOW, HF_JWT_EXPIRED},
        {"{\"nbf\":9223372036854775807}", NOW, HF_JWT_NOT_YET},
        {"{\"nbf\":-9223372036854775808}", NOW, HF_JWT_OK},
        {"{\"nbf\":1e300}", NOW, HF_JWT_NOT_YET},
        {"{\"nbf\":-1e300}", NOW, HF_JWT_OK},
        {"{\"nbf\":-1}", NOW, HF_JWT_OK},
    };
    check_times(cases, COUNT(cases), HF_SECONDS(30));
}

static void times_that_are_no_numbers_are_malformed(void **state)
{
    static const struct time_case cases[] = {
        {"{\"exp\":\"1800000000\"}", NOW, HF_JWT_MALFORMED},
        {"{\"exp\":null}", NOW, HF_JWT_MALFORMED},
        {"{\"exp\":true}", NOW, HF_JWT_MALFORMED},
        {"{\"exp\":[1800000000]}", NOW, HF_JWT_MALFORMED},
        {"{\"nbf\":\"1\"}", NOW, HF_JWT_MALFORMED},
        {"{\"nbf\":null}", NOW, HF_JWT_MALFORMED},
        {"{\"nbf\":{}}", NOW, HF_JWT_MALFORMED},
    };
    check_times(cases, COUNT(cases), 0);
}

static void the_claims_tell_when_an_open_connection_ends(void **state)
{
    struct hf_jwt_keys *keys = load_key("HS256", NULL, "secret");
    struct hf_jwt_config config = {.leeway = HF_SECONDS(30)};
    struct hf_jwt_claims claims;
    assert_int_equal(judge(keys, &config, hs256(HS256_HEADER, "{\"exp\":1700000000.25}"), &claims),
                     HF_JWT_OK);
    assert_int_equal(claims.expires, 1700000030250);
    assert_int_equal(judge(keys, &config, hs256(HS256_HEADER, "{}"), &claims), HF_JWT_OK);
    assert_int_equal(claims.expires, INT64_MAX);
    assert_int_equal(judge(keys, &config, hs256(HS256_HEADER, "{\"exp\":1e300}"), &claims),
                     HF_JWT_OK);
    assert_int_equal(claims.expires, INT64_MAX);
    hf_jwt_keys_unref(keys);
}

static void iss_must_be_the_one_that_is_configured(void **state)
{
    struct hf_jwt_keys *keys = load_key("HS256", NULL, "secret");
    struct hf_jwt_config config = {.issuer = "https://id.example/"};
    static const char *const wrong[] = {"{}",
                                        "{\"iss\":\"https://id.example\"}",
                                        "{\"iss\":\"https://ID.example/\"}",
                                        "{\"iss\":null}",
                                        "{\"iss\":[\"https://id.example/\"]}",
                                        "{\"iss\":\"\"}"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_int_equal(judge(keys, &config, hs256(HS256_HEADER, wrong[i]), NULL), HF_JWT_ISSUER);
    }
    char *token = hs256(HS256_HEADER, "{\"iss\":\"https://id.example/\"}");
    assert_int_equal(judge(keys, &config, token, NULL), HF_JWT_OK);
    hf_jwt_keys_unref(keys);
}

static void aud_must_name_one_that_is_configured(void **state)
{
    struct hf_jwt_keys *keys = load_key("HS256", NULL, "secret");
    char *items[] = {"inbox", "coach"};
    struct hf_jwt_config config = {.audience = {items, 2}};
    static const char *const right[] = {"{\"aud\":\"inbox\"}", "{\"aud\":\"coach\"}",
                                        "{\"aud\":[\"x\",\"coach\"]}", "{\"aud\":[7,\"inbox\"]}"};
    static const char *const wrong[] = {"{}",
                                        "{\"aud\":\"Inbox\"}",
                                        "{\"aud\":\"inbox coach\"}",
                                        "{\"aud\":[]}",
                                        "{\"aud\":[[\"inbox\"]]}",
                                        "{\"aud\":{\"inbox\":\"inbox\"}}",
                                        "{\"aud\":null}",
                                        "{\"aud\":\"\"}"};
    for (size_t i = 0; i < COUNT(right); i++) {
        assert_int_equal(judge(keys, &config, hs256(HS256_HEADER, right[i]), NULL), HF_JWT_OK);
    }
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_int_equal(judge(keys, &config, hs256(HS256_HEADER, wrong[i]), NULL),
                         HF_JWT_AUDIENCE);
    }
    hf_jwt_keys_unref(keys);
}

static void the_first_fault_in_order_is_the_one_that_is_told(void **state)
{
    struct hf_jwt_keys *keys = load_key("HS256", NULL, "secret");
    char *items[] = {"inbox"};
    struct hf_jwt_config config = {.issuer = "us", .audience = {items, 1}};
    const char *stranger = "another secret that is long enough";
    struct hf_jwt_claims claims;
    char *token = token_of("HS256", NULL, stranger, HS256_HEADER, "{\"sub\":\"eve\",\"exp\":1}");
    assert_int_equal(judge(keys, &config, token, &claims), HF_JWT_SIGNATURE);
    assert_string_equal(claims.subject, "");
    token = token_of("HS256", NULL, stranger, "{\"alg\":\"RS256\"}", "{\"exp\":1}");
    assert_int_equal(judge(keys, &config, token, NULL), HF_JWT_ALGORITHM);
    token = hs256(HS256_HEADER, "{\"sub\":\"mira\",\"exp\":1,\"nbf\":1800000000}");
    assert_int_equal(judge(keys, &config, token, &claims), HF_JWT_EXPIRED);
    assert_string_equal(claims.subject, "mira");
    token = hs256(HS256_HEADER, "{\"nbf\":1800000000}");
    assert_int_equal(judge(keys, &config, token, NULL), HF_JWT_NOT_YET);
    token = hs256(HS256_HEADER, "{\"sub\":\"mira\"}");
    assert_int_equal(judge(keys, &config, token, &claims), HF_JWT_ISSUER);
    assert_string_equal(claims.subject, "mira");
    token = hs256(HS256_HEADER, "{\"iss\":\"us\"}");
    assert_int_equal(judge(keys, &config, token, NULL), HF_JWT_AUDIENCE);
    hf_jwt_keys_unref(keys);
}

static void the_subject_is_text_or_a_whole_number_and_a_long_one_stays_its_own(void **state)
{
    struct hf_jwt_keys *keys = load_key("HS256", NULL, "secret");
    struct hf_jwt_claims claims;
    char payload[2048], text[600], before[HF_SUBJECT_MAX] = "";
    assert_int_equal(judge(keys, NULL, hs256(HS256_HEADER, "{\"sub\":42}"), &claims), HF_JWT_OK);
    assert_string_equal(claims.subject, "42");
    assert_int_equal(judge(keys, NULL, hs256(HS256_HEADER, "{}"), &claims), HF_JWT_OK);
    assert_string_equal(claims.subject, "");
    for (size_t len = 252; len < 258; len++) {
        memset(text, 'a', len);
        (void)snprintf(text + len, sizeof(text) - len, "\xc3\xa9z");
        (void)snprintf(payload, sizeof(payload), "{\"sub\":\"%s\"}", text);
        assert_int_equal(judge(keys, NULL, hs256(HS256_HEADER, payload), &claims), HF_JWT_OK);
        if (len == 253 - 1) {
            assert_string_equal(claims.subject, text);
            continue;
        }
        assert_int_equal(strlen(claims.subject), 255);
        assert_memory_equal(claims.subject, text, 222);
        assert_int_equal(claims.subject[222], '~');
        assert_string_not_equal(claims.subject, before);
        memcpy(before, claims.subject, sizeof(before));
        hf_subject_write(hf_slice_of(before), claims.subject); /* the short form as a name */
        assert_string_not_equal(claims.subject, before);
    }
    memset(text, '\xbf', 300); /* no character begins anywhere */
    hf_subject_write(hf_slice(text, 300), claims.subject);
    assert_int_equal(strlen(claims.subject), 33);
    static const char *const wrong[] = {"{\"sub\":null}", "{\"sub\":{}}", "{\"sub\":[\"a\"]}",
                                        "{\"sub\":1.5}", "{\"sub\":true}"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_int_equal(judge(keys, NULL, hs256(HS256_HEADER, wrong[i]), &claims),
                         HF_JWT_MALFORMED);
    }
    hf_jwt_keys_unref(keys);
}

/* ---- threads --------------------------------------------------------------------------------- */

struct work {
    const struct hf_jwt_keys *keys;
    const char *token;
    const char *forged;
    int right;
};

static void *check_often(void *argument)
{
    struct work *work = argument;
    struct hf_jwt_config config = {0};
    struct hf_jwt_claims claims;
    for (int i = 0; i < 50; i++) {
        work->right +=
            hf_jwt_check(work->keys, &config, hf_slice_of(work->token), NOW, &claims) == HF_JWT_OK;
        work->right += hf_jwt_check(work->keys, &config, hf_slice_of(work->forged), NOW, &claims) ==
                       HF_JWT_SIGNATURE;
    }
    return NULL;
}

static void threads_share_one_set_of_keys(void **state)
{
    struct hf_jwt_keys *keys;
    char *token = token_by(6, PAYLOAD, &keys);
    char *forged = token_of("ES256", pkeys[OTHER_P256_KEY], NULL, "{\"alg\":\"ES256\"}", PAYLOAD);
    struct work works[4];
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT(works); i++) {
        works[i] = (struct work){.keys = keys, .token = token, .forged = forged};
        assert_int_equal(pthread_create(&threads[i], NULL, check_often, &works[i]), 0);
    }
    for (size_t i = 0; i < COUNT(works); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(works[i].right, 100);
    }
    free(token);
    free(forged);
    hf_jwt_keys_unref(keys);
}

static void keys_live_until_the_last_reference_goes(void **state)
{
    struct hf_jwt_keys *keys = load_key("HS256", NULL, "secret");
    assert_ptr_equal(hf_jwt_keys_ref(keys), keys);
    hf_jwt_keys_unref(keys);
    assert_int_equal(judge(keys, NULL, hs256(HS256_HEADER, PAYLOAD), NULL), HF_JWT_OK);
    hf_jwt_keys_unref(keys);
    hf_jwt_keys_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_of_the_nine_algorithms_lets_its_token_in),
        cmocka_unit_test(a_token_is_refused_by_every_key_but_its_own),
        cmocka_unit_test(no_token_with_a_changed_byte_is_let_in),
        cmocka_unit_test(no_token_that_is_cut_or_longer_is_let_in),
        cmocka_unit_test(a_signature_of_a_stranger_is_refused),
        cmocka_unit_test(alg_none_is_refused_in_every_casing_signed_or_not),
        cmocka_unit_test(alg_must_be_the_very_text_of_one_of_the_nine),
        cmocka_unit_test(a_public_key_is_never_taken_for_a_secret),
        cmocka_unit_test(a_single_key_without_kid_judges_tokens_with_any_kid),
        cmocka_unit_test(a_single_key_with_kid_judges_only_tokens_with_that_kid),
        cmocka_unit_test(among_several_keys_the_kid_decides_and_the_key_pins_the_algorithm),
        cmocka_unit_test(while_keys_change_the_old_and_the_new_one_both_let_in),
        cmocka_unit_test(an_es_signature_of_another_length_is_refused),
        cmocka_unit_test(a_token_of_16_kib_is_read_and_one_byte_more_is_not),
        cmocka_unit_test(what_is_not_three_parts_of_base64url_is_malformed),
        cmocka_unit_test(json_that_two_readers_could_read_differently_is_malformed),
        cmocka_unit_test(exp_and_nbf_hold_to_the_millisecond),
        cmocka_unit_test(leeway_widens_both_ends_and_no_more),
        cmocka_unit_test(huge_and_negative_times_are_safe),
        cmocka_unit_test(times_that_are_no_numbers_are_malformed),
        cmocka_unit_test(the_claims_tell_when_an_open_connection_ends),
        cmocka_unit_test(iss_must_be_the_one_that_is_configured),
        cmocka_unit_test(aud_must_name_one_that_is_configured),
        cmocka_unit_test(the_first_fault_in_order_is_the_one_that_is_told),
        cmocka_unit_test(the_subject_is_text_or_a_whole_number_and_a_long_one_stays_its_own),
        cmocka_unit_test(threads_share_one_set_of_keys),
        cmocka_unit_test(keys_live_until_the_last_reference_goes),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
