/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made at test time. */
#include "test_cert.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <unistd.h>

static bool add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool good = extension != NULL && X509_add_ext(x, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

static bool set_names(X509 *x, const char *name, X509 *issuer)
{
    X509_NAME *subject = X509_get_subject_name(x);
    return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
                                      -1, 0) == 1 &&
           X509_set_issuer_name(x, issuer == NULL ? subject : X509_get_subject_name(issuer)) == 1;
}

static bool fill_in(X509 *x, const struct test_cert_how *how, EVP_PKEY *key, X509 *issuer)
{
    long long serial = 0;
    RAND_bytes((unsigned char *)&serial, 7);
    long day = 24L * 3600;
    long begin = how->days < 0 ? 2 * how->days * day : -day;
    return X509_set_version(x, 2) == 1 &&
           ASN1_INTEGER_set_int64(X509_get_serialNumber(x), serial) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(x), begin) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(x), how->days * day) != NULL &&
           X509_set_pubkey(x, key) == 1 && set_names(x, how->name, issuer) &&
           add_extension(x, NID_basic_constraints,
                         how->authority ? "critical,CA:TRUE" : "CA:FALSE") &&
           (how->alt_names == NULL || add_extension(x, NID_subject_alt_name, how->alt_names));
}

static bool write_files(const struct test_cert *cert, X509 *x, EVP_PKEY *key)
{
    FILE *file = fopen(cert->cert, "we");
    bool good = file != NULL && PEM_write_X509(file, x) == 1;
    if (file != NULL) {
        fclose(file);
    }
    file = fopen(cert->key, "we");
    good = good && file != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
    if (file != NULL) {
        fclose(file);
    }
    return good;
}

static void read_issuer(const struct test_cert *issuer, X509 **x, EVP_PKEY **key)
{
    FILE *file = fopen(issuer->cert, "re");
    if (file != NULL) {
        *x = PEM_read_X509(file, NULL, NULL, NULL);
        fclose(file);
    }
    file = fopen(issuer->key, "re");
    if (file != NULL) {
        *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
        fclose(file);
    }
}

bool test_cert_make(const struct test_cert_how *how, struct test_cert *cert)
{
    snprintf(cert->cert, sizeof(cert->cert), "%s/%s.crt", how->directory, how->name);
    snprintf(cert->key, sizeof(cert->key), "%s/%s.key", how->directory, how->name);
    X509 *issuer = NULL;
    EVP_PKEY *issuer_key = NULL;
    if (how->issuer != NULL) {
        read_issuer(how->issuer, &issuer, &issuer_key);
    }
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    bool good = key != NULL && x != NULL && fill_in(x, how, key, issuer) &&
                X509_sign(x, issuer_key == NULL ? key : issuer_key, EVP_sha256()) > 0 &&
                write_files(cert, x, key);
    X509_free(x);
    X509_free(issuer);
    EVP_PKEY_free(key);
    EVP_PKEY_free(issuer_key);
    return good;
}

void test_cert_remove(const struct test_cert *cert)
{
    unlink(cert->cert);
    unlink(cert->key);
}
