/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of src/io/io.h as tests, for every loop that claims to keep it. A fixture makes
 * loops and turns them; all else goes through io.h, so the world behind it may be the kernel's or a
 * simulated one. */
#ifndef HF_TESTS_IO_CONTRACT_H
#define HF_TESTS_IO_CONTRACT_H

#include "io/epoll.h"
#include "io/io.h"

struct io_fixture {
    const char *name;
    void *context;
    struct hf_loop *(*loop_new)(void *context);
    /* One turn, waiting at most so long; false once the loop was stopped. */
    bool (*turn)(void *context, struct hf_loop *loop, hf_time max_wait);
    /* An address to listen at that nobody uses; the listener may choose its port. */
    void (*address)(void *context, struct hf_address *address);
    /* An address nobody listens at. */
    void (*nobody)(void *context, struct hf_address *address);
    void (*parcel_drop)(struct hf_parcel *parcel);
    /* Both sides of every connection; server.tls NULL: plain. */
    struct hf_tls_how server;
    struct hf_tls_how client;
    bool resets; /* an abort arrives as HF_END_RST; else as an orderly end */
    bool counts; /* progress knows what the peer has not acknowledged */
    size_t (*open_things)(void *context); /* descriptors in use, for leaks; NULL: not counted */
};

/* Runs all of it under cmocka; the number of failed tests. */
int io_contract_run(const struct io_fixture *fixture);

#endif
