/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made at test time, so that none in the repository ever expires. P-256. */
#ifndef HF_TESTS_TEST_CERT_H
#define HF_TESTS_TEST_CERT_H

#include <stdbool.h>

/* Where the files of one certificate are. */
struct test_cert {
    char cert[256];
    char key[256];
};

struct test_cert_how {
    const char *directory;
    const char *name;               /* the files' stem, and the common name */
    const char *alt_names;          /* "DNS:a.example,IP:127.0.0.1"; NULL: none */
    const struct test_cert *issuer; /* NULL: signs itself */
    bool authority;
    long days; /* of life from now on; negative: over since then */
};

/* False when a file cannot be written. */
bool test_cert_make(const struct test_cert_how *how, struct test_cert *cert);
void test_cert_remove(const struct test_cert *cert);

#endif
