/* SPDX-License-Identifier: Apache-2.0 */
/* Checks a token. The three parts and the header are read here first, strictly; the keys that may
 * judge it are chosen by its kid and must have been configured with the algorithm it names; only
 * then libjwt verifies the signature, with exactly such a key. (libjwt alone would verify an HS256
 * token with an RSA public key as the secret, and reads "none" as no check.) */
#include "gateway/jwt.h"

#include "base/hash.h"
#include "gateway/jwt_keys.h"

#include <jansson.h>
#include <jwt.h>
#include <openssl/err.h>
#include <stdio.h>
#include <strings.h>

/* Bytes of a whole compact token. */
#define TOKEN_MAX 16384

const char *hf_jwt_verdict_text(enum hf_jwt_verdict verdict)
{
    static const char *const texts[] = {
        [HF_JWT_OK] = "ok",
        [HF_JWT_MISSING] = "no token",
        [HF_JWT_MALFORMED] = "malformed",
        [HF_JWT_ALGORITHM] = "algorithm not allowed",
        [HF_JWT_NO_KEY] = "unknown key",
        [HF_JWT_SIGNATURE] = "bad signature",
        [HF_JWT_EXPIRED] = "expired",
        [HF_JWT_NOT_YET] = "not valid yet",
        [HF_JWT_ISSUER] = "wrong issuer",
        [HF_JWT_AUDIENCE] = "wrong audience",
    };
    return texts[verdict];
}

/* ---- structure ----------------------------------------------------------------------------------
 */

/* The token taken apart; what JSON it holds is owned. */
struct parts {
    json_t *header;
    json_t *payload;
    const char *kid; /* NULL: none */
    size_t signature_bytes;
};

static void parts_fini(struct parts *p)
{
    json_decref(p->header);
    json_decref(p->payload);
}

/* A JSON object without duplicate names. NULL when it is none. */
static json_t *decode_object(struct hf_slice text)
{
    json_t *object = NULL;
    struct hf_buffer bytes;
    hf_buffer_init(&bytes, &hf_heap, TOKEN_MAX);
    if (text.len > 0 && hf_jwt_base64url(text, &bytes)) {
        object = json_loadb((const char *)bytes.data, bytes.len, JSON_REJECT_DUPLICATES, NULL);
    }
    hf_buffer_reset(&bytes);
    if (!json_is_object(object)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static bool decode_signature(struct hf_slice text, size_t *size)
{
    struct hf_buffer bytes;
    hf_buffer_init(&bytes, &hf_heap, TOKEN_MAX);
    bool fine = hf_jwt_base64url(text, &bytes);
    *size = bytes.len;
    hf_buffer_reset(&bytes);
    return fine;
}

static bool check_header(struct parts *p)
{
    const json_t *kid = json_object_get(p->header, "kid");
    const char *type = json_string_value(json_object_get(p->header, "typ"));
    p->kid = json_string_value(kid);
    /* RFC 7515 4.1.11: no extension is understood here, so none may be critical. libjwt takes no
     * other type than JWT. */
    return (kid == NULL || p->kid != NULL) && json_object_get(p->header, "crit") == NULL &&
           (type == NULL || strcasecmp(type, "JWT") == 0);
}

/* RFC 7519 7.2, for a JWS only. */
static bool read_parts(struct hf_slice token, struct parts *p)
{
    if (token.len > TOKEN_MAX) {
        return false;
    }
    struct hf_slice header = hf_slice_first(token, hf_slice_find(token, '.'));
    struct hf_slice rest = hf_slice_from(token, header.len + 1);
    struct hf_slice payload = hf_slice_first(rest, hf_slice_find(rest, '.'));
    if (payload.len == rest.len) {
        return false;
    }
    struct hf_slice signature = hf_slice_from(rest, payload.len + 1);
    p->header = decode_object(header);
    p->payload = p->header == NULL ? NULL : decode_object(payload);
    return p->payload != NULL && decode_signature(signature, &p->signature_bytes) &&
           check_header(p);
}

/* ---- key and signature --------------------------------------------------------------------------
 */

static bool key_is_for(const struct hf_jwt_keys *keys, const struct hf_jwt_key *key,
                       const char *kid)
{
    if (key->kid == NULL) {
        return kid == NULL || keys->count == 1;
    }
    return kid != NULL && strcmp(kid, key->kid) == 0;
}

static bool verify(const struct hf_jwt_key *key, const char *token, size_t signature_bytes)
{
    if (signature_bytes == 0 || (key->algorithm->signature_bytes != 0 &&
                                 key->algorithm->signature_bytes != signature_bytes)) {
        return false;
    }
    jwt_t *jwt = NULL;
    bool fine = jwt_decode(&jwt, token, key->secret, (int)key->len) == 0 && jwt != NULL &&
                jwt_get_alg(jwt) == jwt_str_alg(key->algorithm->name);
    jwt_free(jwt);
    /* The queue belongs to the thread: a bad signature must not be read as TLS's failure. */
    ERR_clear_error();
    return fine;
}

/* Several keys may fit, while one follows another: each was configured with the token's algorithm.
 */
static enum hf_jwt_verdict check_signature(const struct hf_jwt_keys *keys, const struct parts *p,
                                           const char *token)
{
    struct hf_slice alg = hf_slice_of(json_string_value(json_object_get(p->header, "alg")));
    const struct hf_jwt_algorithm *algorithm = hf_jwt_algorithm_find(alg);
    if (algorithm == NULL) {
        return HF_JWT_ALGORITHM;
    }
    enum hf_jwt_verdict verdict = HF_JWT_NO_KEY;
    for (size_t i = 0; i < keys->count; i++) {
        const struct hf_jwt_key *key = &keys->list[i];
        if (!key_is_for(keys, key, p->kid)) {
            continue;
        }
        if (key->algorithm != algorithm) {
            verdict = verdict == HF_JWT_NO_KEY ? HF_JWT_ALGORITHM : verdict;
        } else if (verify(key, token, p->signature_bytes)) {
            return HF_JWT_OK;
        } else {
            verdict = HF_JWT_SIGNATURE;
        }
    }
    return verdict;
}

/* ---- claims -------------------------------------------------------------------------------------
 */

/* A sum that stops at the ends of its type. */
static hf_wall add_wall(hf_wall a, hf_wall b)
{
    hf_wall sum;
    if (__builtin_add_overflow(a, b, &sum)) {
        return b < 0 ? INT64_MIN : INT64_MAX;
    }
    return sum;
}

/* RFC 7519 2, NumericDate, in ms, rounded to the nearest one; what is beyond hf_wall is its end. */
static hf_wall numeric_date(const json_t *number)
{
    if (json_is_integer(number)) {
        hf_wall ms;
        json_int_t seconds = json_integer_value(number);
        if (__builtin_mul_overflow(seconds, 1000, &ms)) {
            return seconds < 0 ? INT64_MIN : INT64_MAX;
        }
        return ms;
    }
    double ms = json_real_value(number) * 1000;
    if (ms >= 9.2e18) {
        return INT64_MAX;
    }
    if (ms <= -9.2e18) {
        return INT64_MIN;
    }
    return (hf_wall)(ms < 0 ? ms - 0.5 : ms + 0.5);
}

static enum hf_jwt_verdict check_times(const json_t *payload, hf_wall leeway, hf_wall now,
                                       hf_wall *expires)
{
    const json_t *exp = json_object_get(payload, "exp");
    const json_t *nbf = json_object_get(payload, "nbf");
    if ((exp != NULL && !json_is_number(exp)) || (nbf != NULL && !json_is_number(nbf))) {
        return HF_JWT_MALFORMED;
    }
    *expires = exp == NULL ? INT64_MAX : add_wall(numeric_date(exp), leeway);
    if (exp != NULL && now >= *expires) { /* RFC 7519 4.1.4: not on it nor after it */
        return HF_JWT_EXPIRED;
    }
    if (nbf != NULL && now < add_wall(numeric_date(nbf), -leeway)) {
        return HF_JWT_NOT_YET;
    }
    return HF_JWT_OK;
}

/* json_string_value may hold no NUL: jansson refuses them. */
static bool is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static bool is_one_of(const json_t *value, const struct hf_string_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (is_text(value, list->items[i])) {
            return true;
        }
    }
    return false;
}

static bool audience_fits(const json_t *aud, const struct hf_string_list *wanted)
{
    for (size_t i = 0; i < json_array_size(aud); i++) {
        if (is_one_of(json_array_get(aud, i), wanted)) {
            return true;
        }
    }
    return is_one_of(aud, wanted);
}

#define SUBJECT_TAIL 33 /* ~ and 16 bytes of the hash */
void hf_subject_write(struct hf_slice subject, char text[HF_SUBJECT_MAX])
{
    uint8_t digest[HF_SHA256_BYTES];
    size_t len = subject.len;
    /* Nobody takes the short form of another's name for his own. */
    if (len >= HF_SUBJECT_MAX ||
        (len >= HF_SUBJECT_MAX - SUBJECT_TAIL - 4 && subject.ptr[len - SUBJECT_TAIL] == '~')) {
        len = HF_SUBJECT_MAX - 1 - SUBJECT_TAIL;
        len = len < subject.len ? len : subject.len - 1;
        while (len > 0 && (subject.ptr[len] & 0xc0) == 0x80) {
            len--;
        }
    }
    if (len > 0) {
        memcpy(text, subject.ptr, len);
    }
    text[len] = '\0';
    if (len < subject.len) {
        hf_sha256(subject, digest);
        text[len] = '~';
        for (size_t i = 0; i < 16; i++) {
            (void)snprintf(text + len + 1 + 2 * i, 3, "%02x", digest[i]);
        }
    }
}

/* A text, or a whole number, as many applications write it. */
static bool read_subject(const json_t *sub, char subject[HF_SUBJECT_MAX])
{
    if (sub == NULL) {
        return true;
    }
    if (json_is_integer(sub)) {
        (void)snprintf(subject, HF_SUBJECT_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(sub));
        return true;
    }
    if (!json_is_string(sub)) {
        return false;
    }
    hf_subject_write(hf_slice(json_string_value(sub), json_string_length(sub)), subject);
    return true;
}

static enum hf_jwt_verdict check_claims(const struct hf_jwt_config *config, const json_t *payload,
                                        hf_wall now, struct hf_jwt_claims *claims)
{
    if (!read_subject(json_object_get(payload, "sub"), claims->subject)) {
        return HF_JWT_MALFORMED;
    }
    enum hf_jwt_verdict verdict =
        check_times(payload, config->leeway / 1000, now, &claims->expires);
    if (verdict != HF_JWT_OK) {
        return verdict;
    }
    if (config->issuer != NULL && !is_text(json_object_get(payload, "iss"), config->issuer)) {
        return HF_JWT_ISSUER;
    }
    if (config->audience.count > 0 &&
        !audience_fits(json_object_get(payload, "aud"), &config->audience)) {
        return HF_JWT_AUDIENCE;
    }
    return HF_JWT_OK;
}

/* ---- all of it ----------------------------------------------------------------------------------
 */

enum hf_jwt_verdict hf_jwt_check(const struct hf_jwt_keys *keys, const struct hf_jwt_config *config,
                                 struct hf_slice token, hf_wall now, struct hf_jwt_claims *claims)
{
    *claims = (struct hf_jwt_claims){.expires = INT64_MAX};
    if (token.len == 0) {
        return HF_JWT_MISSING;
    }
    enum hf_jwt_verdict verdict = HF_JWT_MALFORMED;
    struct parts p = {0};
    struct hf_buffer text; /* the token with a NUL, as libjwt wants it */
    hf_buffer_init(&text, &hf_heap, TOKEN_MAX + 1);
    if (read_parts(token, &p) && hf_buffer_add(&text, token) == HF_OK &&
        hf_buffer_add_byte(&text, 0) == HF_OK) {
        verdict = check_signature(keys, &p, (const char *)text.data);
        if (verdict == HF_JWT_OK) {
            verdict = check_claims(config, p.payload, now, claims);
        }
    }
    hf_buffer_reset(&text);
    parts_fini(&p);
    return verdict;
}
