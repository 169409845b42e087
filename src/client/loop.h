/* SPDX-License-Identifier: Apache-2.0 */
/* A loop of the library: the loop of io that its clients live on, and what they share there. */
#ifndef HF_CLIENT_LOOP_H
#define HF_CLIENT_LOOP_H

#include "base/random.h"
#include "client/place.h"
#include "client/proxy.h"
#include "io/io.h"

#include <holdfast.h>

#include <pthread.h>
#include <stdatomic.h>

/* Fills bytes that nobody can guess. */
typedef void hf_entropy(void *context, void *bytes, size_t size);

struct holdfast_loop {
    struct hf_loop *io;
    hf_entropy *entropy;
    void *entropy_context;
    struct hf_random random; /* of waits */
    struct hf_proxy_environment proxies;
    struct hf_places places;
    struct hf_list tls;  /* contexts by what they trust */
    atomic_ulong thread; /* that turns it; 0: not known yet */
    bool borrowed;       /* io is somebody else's: the simulator's */
    bool threaded;
    bool free_itself; /* when its thread ends */
    pthread_t runner;
};

/* Over a loop that somebody else turns, on this thread, and frees afterwards. Randomness comes from
 * entropy alone, no proxy from the environment. NULL: no memory. */
struct holdfast_loop *hf_client_loop_over(struct hf_loop *io, hf_entropy *entropy, void *context);

/* True on the thread that turns the loop. */
bool hf_client_loop_here(const struct holdfast_loop *loop);
/* A TLS context; borrowed, it lives as long as the loop. NULL and *why on failure. */
struct hf_tls *hf_client_loop_tls(struct holdfast_loop *loop, const char *ca, bool insecure,
                                  struct hf_buffer *why);
/* Lets go of a loop from its own thread: it is freed when its thread ends. */
void hf_client_loop_leave(struct holdfast_loop *loop);

#endif
