/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated io: loops, streams, listeners, timers, names and posts of io/io.h on one virtual
 * clock, in one thread, from one seed, over a simulated network. The same seed and the same calls
 * give the same run, byte for byte.
 *
 * The network. A connection is a pair of directions. Each has a send buffer at its sender, a window
 * at its receiver, a bandwidth, a latency with jitter, and segments of random size; bytes arrive in
 * order. Sends are short when the send buffer is full, and acknowledgements and window updates take
 * the way back. A path can go dark (everything on it is lost, and sent again when the light comes
 * back), be cut by a box in the middle (RST to both), or a host can vanish (dark for good);
 * TCP_USER_TIMEOUT and keepalive then end the stream as the kernel would. A host that closed its
 * stream answers what still comes with RST.
 *
 * TLS is simulated as a pass-through: start_tls (or connecting with a TLS context) costs one round
 * trip more, and the end of a direction is a close_notify; nothing is encrypted, and the context is
 * never looked at. */
#ifndef HF_TESTS_SIM_IO_H
#define HF_TESTS_SIM_IO_H

#include "base/random.h"
#include "io/io.h"

/* How a path behaves; of both directions. */
struct sim_path {
    hf_time latency;       /* one way */
    hf_time jitter;        /* up to this is added to each segment's latency */
    uint32_t loss_percent; /* of segments, which come 200 ms later, and what is behind them too */
    uint64_t bandwidth;    /* bytes a second; 0: endless */
    uint32_t send_buffer;  /* bytes */
    uint32_t receive_buffer;
    uint32_t segment_min; /* bytes; a run shorter than this is one segment */
    uint32_t segment_max;
    uint32_t dribble_percent; /* of segments, which are 1 to 3 bytes */
};
extern const struct sim_path sim_calm_path;

enum sim_fate {
    SIM_FATE_LISTENERS, /* as listeners say: accepted or refused */
    SIM_FATE_REFUSED,
    SIM_FATE_UNREACHABLE, /* an error at once */
    SIM_FATE_SILENT,      /* nothing answers: HF_END_UNREACHABLE after 127 s */
};

struct sim;

/* What the world may decide about a connection when it is made. */
struct sim_shaper {
    void *context;
    /* path holds sim_calm_path; from is the source address. */
    enum sim_fate (*connect)(void *context, const struct hf_address *from,
                             const struct hf_address *to, struct sim_path *path);
};

struct sim_counts {
    size_t loops;
    size_t streams; /* open ones; those on their way between loops count */
    size_t listeners;
    size_t timers; /* set, on all loops */
    size_t names;  /* look-ups under way */
};

struct sim *sim_new(uint64_t seed);
/* Loops must be gone. NULL is accepted. */
void sim_free(struct sim *sim);
void sim_shape(struct sim *sim, const struct sim_shaper *shaper);
struct hf_loop *sim_loop_new(struct sim *sim);
struct sim_counts sim_count(const struct sim *sim);
struct hf_random *sim_random(struct sim *sim);

/* ---- time ------------------------------------------------------------------------------------ */

hf_time sim_now(const struct sim *sim);
hf_wall sim_wall(const struct sim *sim);
/* The wall clock jumps by so many milliseconds, for all loops. */
void sim_wall_jump(struct sim *sim, hf_wall by);
/* The loop does not turn before `until`: its machine is busy or asleep. The network goes on. */
void sim_loop_freeze(struct hf_loop *loop, hf_time until);
/* One turn of one loop, after waiting for its work at most max_wait. False once it was stopped. */
bool sim_loop_turn(struct hf_loop *loop, hf_time max_wait);
/* One thing happens: a loop that has work turns, or the clock goes to the next event, not beyond
 * `until`. False when nothing is left before `until`; then the clock stands there. */
bool sim_step(struct sim *sim, hf_time until);
/* A number that all that happened has gone into: two runs of one seed must agree. */
uint64_t sim_digest(const struct sim *sim);

/* ---- faults ---------------------------------------------------------------------------------- */

/* Descriptors for streams and listeners together; 0: endless. */
void sim_descriptors(struct sim *sim, size_t max);
/* The source of connects that are made next. len 0: 127.0.0.1. The port is chosen. */
void sim_source(struct sim *sim, const struct hf_address *address);
/* The source of all connects of this loop: its machine's address. */
void sim_loop_source(struct hf_loop *loop, const struct hf_address *address);
/* What a name is. count 0: it has no address (status HF_NOT_FOUND), or its servers do not answer
 * (HF_IO). */
void sim_name(struct sim *sim, const char *name, enum hf_status status,
              const struct hf_address *addresses, size_t count, hf_time delay);
/* Everything on the stream's connection is lost from now on, both ways. */
void sim_darken(struct hf_stream *stream);
/* The path works again; what was lost is sent again. */
void sim_lighten(struct hf_stream *stream);
/* A box in the middle resets both sides. */
void sim_reset(struct hf_stream *stream);
/* The same three for every connection that the host of this address (its port is not looked at) has
 * at the moment. */
void sim_host_darken(struct sim *sim, const struct hf_address *host);
void sim_host_lighten(struct sim *sim, const struct hf_address *host);
void sim_host_reset(struct sim *sim, const struct hf_address *host);
/* The process of the loop dies: the kernel closes its sockets, and nothing that the owner of a
 * stream still does reaches anybody. The owner frees what it has, and the loop, before time goes
 * on. */
void sim_loop_crash(struct hf_loop *loop);
/* A stream on its way between loops is given up. NULL is accepted. */
void sim_parcel_drop(struct hf_parcel *parcel);

#endif
