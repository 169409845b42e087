/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a route's tokens: read from files, the environment and a JWKS, checked once, and kept
 * in the form that libjwt wants (the secret itself, or a public key as PEM). What a key may be used
 * for is fixed here: a key that could be taken for one of another family is refused. */
#include "gateway/jwt_keys.h"

#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE_MAX 65536
#define JWKS_FILE_MAX (1u << 20)
#define RSA_BITS_MIN 2048
/* OpenSSL verifies with no larger one (OPENSSL_RSA_MAX_MODULUS_BITS). */
#define RSA_BITS_MAX 16384

static const struct hf_jwt_algorithm algorithms[] = {
    {"HS256", HF_JWT_HS, 32, 32, NULL, NULL},
    {"HS384", HF_JWT_HS, 48, 48, NULL, NULL},
    {"HS512", HF_JWT_HS, 64, 64, NULL, NULL},
    {"RS256", HF_JWT_RS, 32, 0, NULL, NULL},
    {"RS384", HF_JWT_RS, 48, 0, NULL, NULL},
    {"RS512", HF_JWT_RS, 64, 0, NULL, NULL},
    {"ES256", HF_JWT_ES, 32, 64, "prime256v1", "P-256"},
    {"ES384", HF_JWT_ES, 48, 96, "secp384r1", "P-384"},
    {"ES512", HF_JWT_ES, 64, 132, "secp521r1", "P-521"},
};
#define ALGORITHMS (sizeof(algorithms) / sizeof(algorithms[0]))

const struct hf_jwt_algorithm *hf_jwt_algorithm_find(struct hf_slice name)
{
    for (size_t i = 0; i < ALGORITHMS; i++) {
        if (hf_slice_eq(name, hf_slice_of(algorithms[i].name))) {
            return &algorithms[i];
        }
    }
    return NULL;
}

const struct hf_jwt_algorithm *hf_jwt_algorithm_of_curve(const char *crv)
{
    for (size_t i = 0; i < ALGORITHMS; i++) {
        if (algorithms[i].crv != NULL && strcmp(algorithms[i].crv, crv) == 0) {
            return &algorithms[i];
        }
    }
    return NULL;
}

bool hf_jwt_base64url(struct hf_slice text, struct hf_buffer *out)
{
    size_t len = 0;
    if (text.len == 0) {
        return true;
    }
    if (hf_buffer_reserve(out, text.len) != HF_OK ||
        !hf_base64url_decode(text, out->data + out->len, &len)) {
        return false;
    }
    out->len += len;
    return true;
}

/* ---- one key -----------------------------------------------------------------------------------
 */

static enum hf_status add(struct hf_jwt_keys *keys, const struct hf_jwt_algorithm *algorithm,
                          const char *kid, struct hf_slice secret, struct hf_buffer *why)
{
    if (keys->count == HF_JWT_KEYS_MAX) {
        hf_buffer_addf(why, "a route has at most %d keys", HF_JWT_KEYS_MAX);
        return HF_INVALID;
    }
    struct hf_jwt_key *key = &keys->list[keys->count];
    *key = (struct hf_jwt_key){.algorithm = algorithm,
                               .kid = kid == NULL ? NULL : strdup(kid),
                               .secret = malloc(secret.len + 1),
                               .len = secret.len};
    if ((kid != NULL && key->kid == NULL) || key->secret == NULL) {
        free(key->kid);
        free(key->secret);
        return HF_NO_MEMORY;
    }
    memcpy(key->secret, secret.ptr, secret.len);
    key->secret[secret.len] = 0;
    keys->count++;
    return HF_OK;
}

/* Whoever knows a public key could sign with it if it were taken for a secret. */
static bool looks_like_a_public_key(struct hf_slice secret)
{
    if (hf_slice_search(secret, HF_LITERAL("-----BEGIN ")) < secret.len) {
        return true;
    }
    const unsigned char *der = secret.ptr;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &der, (long)secret.len);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return pkey != NULL;
}

enum hf_status hf_jwt_keys_add_secret(struct hf_jwt_keys *keys,
                                      const struct hf_jwt_algorithm *algorithm, const char *kid,
                                      struct hf_slice secret, struct hf_buffer *why)
{
    if (algorithm->family != HF_JWT_HS) {
        hf_buffer_addf(why, "%s needs a public key, not a secret", algorithm->name);
        return HF_INVALID;
    }
    if (secret.len < algorithm->hash_bytes) {
        hf_buffer_addf(why, "the secret has %zu bytes; %s needs at least %u", secret.len,
                       algorithm->name, algorithm->hash_bytes);
        return HF_INVALID;
    }
    if (looks_like_a_public_key(secret)) {
        hf_buffer_addf(why,
                       "this is a key in PEM or DER form, not a secret; with %s whoever knows the "
                       "public key could sign tokens; name its own algorithm (RS256, ES256 ...)",
                       algorithm->name);
        return HF_INVALID;
    }
    return add(keys, algorithm, kid, secret, why);
}

static bool rsa_fits(const struct hf_jwt_algorithm *algorithm, EVP_PKEY *pkey,
                     struct hf_buffer *why)
{
    int bits = EVP_PKEY_get_bits(pkey);
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA) {
        hf_buffer_addf(why, "%s needs an RSA key", algorithm->name);
    } else if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX) {
        hf_buffer_addf(why, "the RSA key has %d bits; allowed: %d to %d", bits, RSA_BITS_MIN,
                       RSA_BITS_MAX);
    } else {
        return true;
    }
    return false;
}

static bool ec_fits(const struct hf_jwt_algorithm *algorithm, EVP_PKEY *pkey, struct hf_buffer *why)
{
    char curve[64] = "";
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_EC) {
        hf_buffer_addf(why, "%s needs an EC key on %s", algorithm->name, algorithm->crv);
    } else if (EVP_PKEY_get_group_name(pkey, curve, sizeof(curve), NULL) != 1 ||
               OBJ_txt2nid(curve) != OBJ_txt2nid(algorithm->curve)) {
        hf_buffer_addf(why, "%s needs a key on %s, and this one is on %s", algorithm->name,
                       algorithm->crv, curve[0] == '\0' ? "a curve without a name" : curve);
    } else {
        return true;
    }
    return false;
}

static bool is_sound(EVP_PKEY *pkey)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    bool sound = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return sound;
}

enum hf_status hf_jwt_keys_add_public(struct hf_jwt_keys *keys,
                                      const struct hf_jwt_algorithm *algorithm, const char *kid,
                                      EVP_PKEY *pkey, struct hf_buffer *why)
{
    if (algorithm->family == HF_JWT_HS) {
        hf_buffer_addf(why, "%s needs a secret, not a public key", algorithm->name);
        return HF_INVALID;
    }
    if (algorithm->family == HF_JWT_RS ? !rsa_fits(algorithm, pkey, why)
                                       : !ec_fits(algorithm, pkey, why)) {
        return HF_INVALID;
    }
    if (!is_sound(pkey)) {
        hf_buffer_add_text(why, "the public key's numbers make no key");
        return HF_INVALID;
    }
    enum hf_status status = HF_NO_MEMORY;
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio != NULL && PEM_write_bio_PUBKEY(bio, pkey) == 1) {
        char *text = NULL;
        long len = BIO_get_mem_data(bio, &text);
        status = add(keys, algorithm, kid, hf_slice(text, (size_t)len), why);
    }
    BIO_free(bio);
    return status;
}

/* ---- files and the environment ------------------------------------------------------------------
 */

/* The whole content. `why` gets the reason without the file's name. */
static enum hf_status read_file(const char *file, size_t max, struct hf_buffer *out,
                                struct hf_buffer *why)
{
    enum hf_status status = HF_OK;
    struct stat info;
    ssize_t got = 0;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &info) != 0) {
        status = errno == ENOENT ? HF_NOT_FOUND : errno == EACCES ? HF_DENIED : HF_IO;
        hf_buffer_add_text(why, strerror(errno));
        goto out;
    }
    if (S_ISDIR(info.st_mode)) {
        status = HF_INVALID;
        hf_buffer_add_text(why, strerror(EISDIR));
        goto out;
    }
    do {
        if (hf_buffer_reserve(out, 4096) != HF_OK) {
            status = out->len + 4096 > max ? HF_INVALID : HF_NO_MEMORY;
            break;
        }
        got = read(fd, out->data + out->len, 4096);
        out->len += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    if (status == HF_INVALID || out->len > max) {
        status = HF_INVALID;
        hf_buffer_addf(why, "larger than %zu KiB", max / 1024);
    } else if (got < 0) {
        status = HF_IO;
        hf_buffer_add_text(why, strerror(errno));
    }
out:
    if (fd >= 0) {
        close(fd);
    }
    return status;
}

/* A secret in a text file ends before the file's last line end; one of random bytes has no line. */
static struct hf_slice without_line_end(struct hf_slice text)
{
    size_t len = text.len;
    if (len > 0 && text.ptr[len - 1] == '\n') {
        len -= len > 1 && text.ptr[len - 2] == '\r' ? 2 : 1;
    }
    for (size_t i = 0; i < len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] > '~') {
            return text;
        }
    }
    return hf_slice_first(text, len);
}

/* Encrypted PEM is not asked about on a terminal. */
static int no_passphrase(char *into, int size, int writing, void *owner)
{
    return -1;
}

/* The first public key or certificate of a PEM text; the caller frees it. NULL with `why`. */
static EVP_PKEY *read_pem(struct hf_slice text, struct hf_buffer *why)
{
    EVP_PKEY *pkey = NULL;
    X509 *certificate = NULL;
    BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);
    if (bio == NULL) {
        return NULL;
    }
    if (hf_slice_search(text, HF_LITERAL("PRIVATE KEY-----")) < text.len) {
        hf_buffer_add_text(why, "holds a private key; tokens are only checked here, so give the "
                                "public one");
    } else if (hf_slice_search(text, HF_LITERAL("-----BEGIN CERTIFICATE-----")) < text.len) {
        certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
        pkey = certificate == NULL ? NULL : X509_get_pubkey(certificate);
    } else {
        /* "PUBLIC KEY" and "RSA PUBLIC KEY" alike. */
        pkey = PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
    }
    if (pkey == NULL && why->len == 0) {
        hf_buffer_add_text(why, "holds no public key or certificate in PEM form");
    }
    X509_free(certificate);
    BIO_free(bio);
    return pkey;
}

static enum hf_status add_text(struct hf_jwt_keys *keys, const struct hf_jwt_algorithm *algorithm,
                               const char *kid, struct hf_slice text, struct hf_buffer *why)
{
    if (algorithm->family == HF_JWT_HS) {
        return hf_jwt_keys_add_secret(keys, algorithm, kid, text, why);
    }
    EVP_PKEY *pkey = read_pem(text, why);
    enum hf_status status =
        pkey == NULL ? HF_INVALID : hf_jwt_keys_add_public(keys, algorithm, kid, pkey, why);
    EVP_PKEY_free(pkey);
    return status;
}

/* A buffer that held a secret. */
static void wipe(struct hf_buffer *b)
{
    if (b->data != NULL) {
        OPENSSL_cleanse(b->data, b->cap);
    }
    hf_buffer_reset(b);
}

static enum hf_status add_configured(struct hf_jwt_keys *keys,
                                     const struct hf_jwt_key_config *config, struct hf_buffer *why)
{
    const struct hf_jwt_algorithm *algorithm = hf_jwt_algorithm_find(hf_slice_of(config->alg));
    if (algorithm == NULL) {
        hf_buffer_addf(why, "alg %s is not one of HS, RS, ES with 256, 384, 512",
                       config->alg == NULL ? "(none)" : config->alg);
        return HF_INVALID;
    }
    if (config->file == NULL) {
        const char *value = config->env == NULL ? NULL : getenv(config->env);
        if (value == NULL || value[0] == '\0') {
            hf_buffer_add_text(why, "the environment variable is not set");
            return HF_NOT_FOUND;
        }
        return add_text(keys, algorithm, config->kid, hf_slice_of(value), why);
    }
    struct hf_buffer content;
    hf_buffer_init(&content, &hf_heap, KEY_FILE_MAX + 8192);
    enum hf_status status = read_file(config->file, KEY_FILE_MAX, &content, why);
    if (status == HF_OK) {
        struct hf_slice text = hf_buffer_slice(&content);
        text = algorithm->family == HF_JWT_HS ? without_line_end(text) : text;
        status = add_text(keys, algorithm, config->kid, text, why);
    }
    wipe(&content);
    return status;
}

static enum hf_status add_jwks_file(struct hf_jwt_keys *keys, const char *file,
                                    struct hf_buffer *why)
{
    struct hf_buffer content;
    hf_buffer_init(&content, &hf_heap, JWKS_FILE_MAX + 8192);
    enum hf_status status = read_file(file, JWKS_FILE_MAX, &content, why);
    if (status == HF_OK) {
        status = hf_jwt_keys_add_jwks(keys, hf_buffer_slice(&content), why);
    }
    wipe(&content);
    return status;
}

/* "jwt.keys[0] (kid main): keys/main.pem: what is wrong". */
static void explain(const struct hf_jwt_config *config, size_t index, enum hf_status status,
                    const struct hf_buffer *what, struct hf_buffer *why)
{
    if (index < config->key_count) {
        const struct hf_jwt_key_config *key = &config->keys[index];
        hf_buffer_addf(why, "jwt.keys[%zu]", index);
        if (key->kid != NULL) {
            hf_buffer_addf(why, " (kid %s)", key->kid);
        }
        hf_buffer_addf(why, ": %s: ",
                       key->file != NULL  ? key->file
                       : key->env != NULL ? key->env
                                          : "");
    } else {
        hf_buffer_addf(why, "jwt.jwks: %s: ", config->jwks);
    }
    if (what->len > 0) {
        hf_buffer_add(why, hf_buffer_slice(what));
    } else {
        hf_buffer_add_text(why, hf_status_text(status));
    }
}

enum hf_status hf_jwt_keys_new(const struct hf_jwt_config *config, struct hf_jwt_keys **keys,
                               struct hf_buffer *why)
{
    *keys = NULL;
    struct hf_jwt_keys *k = calloc(1, sizeof(*k));
    if (k == NULL) {
        hf_buffer_add_text(why, hf_status_text(HF_NO_MEMORY));
        return HF_NO_MEMORY;
    }
    atomic_init(&k->refs, 1);
    enum hf_status status = HF_OK;
    struct hf_buffer what;
    hf_buffer_init(&what, &hf_heap, 4096);
    size_t i = 0;
    for (; i < config->key_count && status == HF_OK; i++) {
        status = add_configured(k, &config->keys[i], &what);
    }
    if (status != HF_OK) {
        explain(config, i - 1, status, &what, why);
    } else if (config->jwks != NULL && (status = add_jwks_file(k, config->jwks, &what)) != HF_OK) {
        explain(config, config->key_count, status, &what, why);
    } else if (k->count == 0) {
        status = HF_INVALID;
        hf_buffer_add_text(why, "jwt: there is no key");
    }
    if (status == HF_OK) {
        *keys = k;
    } else {
        hf_jwt_keys_unref(k);
    }
    hf_buffer_reset(&what);
    /* OpenSSL's queue belongs to the thread: what failed here must not be read as TLS's failure. */
    ERR_clear_error();
    return status;
}

struct hf_jwt_keys *hf_jwt_keys_ref(struct hf_jwt_keys *keys)
{
    atomic_fetch_add_explicit(&keys->refs, 1, memory_order_relaxed);
    return keys;
}

void hf_jwt_keys_unref(struct hf_jwt_keys *keys)
{
    if (keys == NULL || atomic_fetch_sub_explicit(&keys->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (size_t i = 0; i < keys->count; i++) {
        OPENSSL_cleanse(keys->list[i].secret, keys->list[i].len);
        free(keys->list[i].secret);
        free(keys->list[i].kid);
    }
    free(keys);
}
