/* SPDX-License-Identifier: Apache-2.0 */
/* TLS contexts: certificates and keys from files, chosen by name (SNI) for a server; verification
 * for a client. TLS 1.2 and 1.3, no renegotiation, no compression, tickets but no session cache in
 * memory. */
#include "io/tls.h"

#include "io/tls_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* RFC 7301 3.1: a list of names with their lengths. */
static const unsigned char alpn[] = "\x08http/1.1";
#define ALPN_LEN (sizeof(alpn) - 1)
/* Forward secret and authenticated; TLS 1.3 has its own list, all of them so. */
#define SERVER_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
#define NAME_MAX_LEN 253 /* RFC 1035 2.3.4, without the root's dot */

struct hf_tls {
    atomic_uint refs;
    bool server;
    int64_t expires;    /* ms since 1970; 0 for a client */
    size_t count;       /* of contexts, 1 or more when it is complete */
    SSL_CTX **contexts; /* a server's: one for each certificate, the default first */
};

struct hf_tls *hf_tls_ref(struct hf_tls *tls)
{
    atomic_fetch_add_explicit(&tls->refs, 1, memory_order_relaxed);
    return tls;
}

void hf_tls_unref(struct hf_tls *tls)
{
    if (tls == NULL || atomic_fetch_sub_explicit(&tls->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < tls->count; i++) {
        SSL_CTX_free(tls->contexts[i]);
    }
    free(tls->contexts);
    free(tls);
}

int64_t hf_tls_expires(const struct hf_tls *tls)
{
    return tls->expires;
}

static struct hf_tls *tls_make(bool server, size_t count)
{
    struct hf_tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL) {
        return NULL;
    }
    atomic_init(&tls->refs, 1);
    tls->server = server;
    tls->contexts = calloc(count, sizeof(*tls->contexts));
    if (tls->contexts == NULL) {
        free(tls);
        return NULL;
    }
    return tls;
}

/* What both sides have in common; owned by tls from then on. NULL on no memory. */
static SSL_CTX *context_make(struct hf_tls *tls, const SSL_METHOD *method, int version_min)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL) {
        return NULL;
    }
    tls->contexts[tls->count++] = ctx;
    SSL_CTX_set_min_proto_version(ctx, version_min);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* No partial writes: the stream's BIO takes every record, so a write is always whole. */
    SSL_CTX_set_mode(ctx, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(ctx, 0);
    return ctx;
}

/* ---- files --------------------------------------------------------------------------------------
 */

/* A status for why a file cannot be read, with the reason in `why`. */
static enum hf_status unreadable(const char *file, struct hf_buffer *why)
{
    int error = errno;
    hf_buffer_addf(why, "%s: %s", file, strerror(error));
    enum hf_status status = hf_status_of_errno(error);
    return status == HF_OK ? HF_IO : status;
}

/* The file opened for reading, or NULL with *status and the reason. */
static BIO *file_open(const char *file, enum hf_status *status, struct hf_buffer *why)
{
    FILE *stream = fopen(file, "re");
    struct stat info;
    if (stream != NULL && fstat(fileno(stream), &info) == 0 && S_ISDIR(info.st_mode)) {
        fclose(stream);
        stream = NULL;
        errno = EISDIR;
    }
    if (stream == NULL) {
        *status = unreadable(file, why);
        return NULL;
    }
    BIO *bio = BIO_new_fp(stream, BIO_CLOSE);
    if (bio == NULL) {
        fclose(stream);
        *status = HF_NO_MEMORY;
    }
    return bio;
}

static const char *first_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    return reason == NULL ? "unknown error" : reason;
}

static enum hf_status load_certificate(SSL_CTX *ctx, const char *file, struct hf_buffer *why)
{
    enum hf_status status = HF_OK;
    BIO *bio = file_open(file, &status, why);
    if (bio == NULL) {
        return status;
    }
    BIO_free(bio);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ctx, file) == 1) {
        return HF_OK;
    }
    if (ERR_GET_REASON(ERR_peek_error()) == PEM_R_NO_START_LINE) {
        hf_buffer_addf(why, "%s: holds no certificate in PEM form", file);
    } else {
        hf_buffer_addf(why, "%s: not a usable certificate: %s", file, first_reason());
    }
    return HF_INVALID;
}

/* A server has nobody to ask for a passphrase; it notes that one was wanted. */
static int no_passphrase(char *buffer, int size, int writing, void *wanted)
{
    *(bool *)wanted = true;
    return -1;
}

static enum hf_status use_key(SSL_CTX *ctx, EVP_PKEY *key,
                              const struct hf_tls_certificate *certificate, struct hf_buffer *why)
{
    if (X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) != 1) {
        hf_buffer_addf(why, "%s: the key does not match the certificate in %s", certificate->key,
                       certificate->cert);
        return HF_INVALID;
    }
    if (SSL_CTX_use_PrivateKey(ctx, key) != 1) {
        hf_buffer_addf(why, "%s: not a usable key: %s", certificate->key, first_reason());
        return HF_INVALID;
    }
    return HF_OK;
}

static enum hf_status load_key(SSL_CTX *ctx, const struct hf_tls_certificate *certificate,
                               struct hf_buffer *why)
{
    enum hf_status status = HF_OK;
    BIO *bio = file_open(certificate->key, &status, why);
    if (bio == NULL) {
        return status;
    }
    bool wanted = false;
    ERR_clear_error();
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &wanted);
    BIO_free(bio);
    if (key != NULL) {
        status = use_key(ctx, key, certificate, why);
        EVP_PKEY_free(key);
        return status;
    }
    if (wanted) {
        hf_buffer_addf(why, "%s: the key is encrypted; a key without a passphrase is needed",
                       certificate->key);
    } else {
        hf_buffer_addf(why, "%s: holds no private key in PEM form", certificate->key);
    }
    return HF_INVALID;
}

/* ---- server -------------------------------------------------------------------------------------
 */

/* RFC 6066 3: picks the certificate whose names match; wildcards stand for one label (RFC
 * 6125 6.4.3). */
static int choose_by_name(SSL *ssl, int *alert, void *arg)
{
    const struct hf_tls *tls = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    for (size_t i = 0; i < tls->count; i++) {
        X509 *certificate = SSL_CTX_get0_certificate(tls->contexts[i]);
        if (X509_check_host(certificate, name, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) ==
            1) {
            if (i > 0) {
                SSL_set_SSL_CTX(ssl, tls->contexts[i]);
            }
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* RFC 7301 3.2: no common protocol is a fatal alert. */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len,
                           const unsigned char *offered, unsigned int offered_len, void *arg)
{
    unsigned char *protocol = NULL;
    if (SSL_select_next_proto(&protocol, chosen_len, alpn, ALPN_LEN, offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *chosen = protocol;
    return SSL_TLSEXT_ERR_OK;
}

int64_t hf_tls_not_after(const X509 *certificate)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) != 1) {
        return 0;
    }
    return (int64_t)timegm(&tm) * 1000;
}

static enum hf_status add_certificate(struct hf_tls *tls,
                                      const struct hf_tls_certificate *certificate, int version_min,
                                      struct hf_buffer *why)
{
    static const unsigned char context_id[] = "holdfast";
    SSL_CTX *ctx = context_make(tls, TLS_server_method(), version_min);
    if (ctx == NULL || SSL_CTX_set_cipher_list(ctx, SERVER_CIPHERS) != 1 ||
        SSL_CTX_set_session_id_context(ctx, context_id, sizeof(context_id) - 1) != 1) {
        return HF_NO_MEMORY;
    }
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, choose_by_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, tls);
    enum hf_status status = load_certificate(ctx, certificate->cert, why);
    return status == HF_OK ? load_key(ctx, certificate, why) : status;
}

/* The context when it is whole, else why it is not; *tls was NULL. */
static enum hf_status hand_over(struct hf_tls *t, enum hf_status status, struct hf_tls **tls,
                                struct hf_buffer *why)
{
    ERR_clear_error();
    if (status == HF_OK) {
        *tls = t;
        return HF_OK;
    }
    if (status == HF_NO_MEMORY) {
        hf_buffer_add_text(why, hf_status_text(status));
    }
    hf_tls_unref(t);
    return status;
}

enum hf_status hf_tls_server_new(const struct hf_tls_server_options *options, struct hf_tls **tls,
                                 struct hf_buffer *why)
{
    *tls = NULL;
    HF_ASSERT(options->certificate_count > 0);
    struct hf_tls *t = tls_make(true, options->certificate_count);
    if (t == NULL) {
        hf_buffer_add_text(why, hf_status_text(HF_NO_MEMORY));
        return HF_NO_MEMORY;
    }
    int version_min = options->version_min == 0 ? TLS1_2_VERSION : options->version_min;
    enum hf_status status = HF_OK;
    for (size_t i = 0; i < options->certificate_count && status == HF_OK; i++) {
        status = add_certificate(t, &options->certificates[i], version_min, why);
    }
    if (status == HF_OK) {
        t->expires = hf_tls_not_after(SSL_CTX_get0_certificate(t->contexts[0]));
    }
    return hand_over(t, status, tls, why);
}

/* ---- client -------------------------------------------------------------------------------------
 */

static enum hf_status load_authorities(SSL_CTX *ctx, const char *ca, struct hf_buffer *why)
{
    struct stat info;
    if (ca == NULL) {
        return SSL_CTX_set_default_verify_paths(ctx) == 1 ? HF_OK : HF_NO_MEMORY;
    }
    if (stat(ca, &info) != 0) {
        return unreadable(ca, why);
    }
    if (S_ISDIR(info.st_mode)) {
        return SSL_CTX_load_verify_dir(ctx, ca) == 1 ? HF_OK : HF_NO_MEMORY;
    }
    enum hf_status status = HF_OK;
    BIO *bio = file_open(ca, &status, why);
    if (bio == NULL) {
        return status;
    }
    BIO_free(bio);
    if (SSL_CTX_load_verify_file(ctx, ca) != 1) {
        hf_buffer_addf(why, "%s: holds no certificate in PEM form", ca);
        return HF_INVALID;
    }
    return HF_OK;
}

enum hf_status hf_tls_client_new(const struct hf_tls_client_options *options, struct hf_tls **tls,
                                 struct hf_buffer *why)
{
    *tls = NULL;
    struct hf_tls *t = tls_make(false, 1);
    SSL_CTX *ctx = t == NULL ? NULL : context_make(t, TLS_client_method(), TLS1_2_VERSION);
    enum hf_status status = HF_NO_MEMORY;
    if (ctx != NULL && SSL_CTX_set_alpn_protos(ctx, alpn, ALPN_LEN) == 0) {
        SSL_CTX_set_verify(ctx, options->no_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
        status = options->no_verify ? HF_OK : load_authorities(ctx, options->ca, why);
    }
    return hand_over(t, status, tls, why);
}

/* ---- sessions -----------------------------------------------------------------------------------
 */

/* RFC 6066 3: SNI carries names only, never addresses. */
static bool set_peer_name(SSL *ssl, const char *name)
{
    char text[NAME_MAX_LEN + 1];
    unsigned char address[sizeof(struct in6_addr)];
    size_t len = strlen(name);
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    }
    if (len > 0 && name[len - 1] == '.') {
        len--; /* RFC 6066 3: without the root's dot */
    }
    if (len == 0 || len >= sizeof(text)) {
        return false;
    }
    memcpy(text, name, len);
    text[len] = '\0';
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, text) == 1 && SSL_set_tlsext_host_name(ssl, text) == 1;
}

enum hf_status hf_tls_session_new(const struct hf_tls_how *how, SSL **session)
{
    *session = NULL;
    HF_ASSERT(how->server == how->tls->server);
    SSL *ssl = SSL_new(how->tls->contexts[0]);
    if (ssl == NULL) {
        return HF_NO_MEMORY;
    }
    if (how->server) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
        if (how->name != NULL && !set_peer_name(ssl, how->name)) {
            SSL_free(ssl);
            return HF_INVALID;
        }
    }
    *session = ssl;
    return HF_OK;
}
