/* SPDX-License-Identifier: Apache-2.0 */
/* What the swarms share: seeds from the command line, each run with its leaks looked for, and now
 * and then twice, because one seed must be one story. */
#ifndef HF_TESTS_SIM_SEEDS_H
#define HF_TESTS_SIM_SEEDS_H

#include <stdbool.h>
#include <stdint.h>

struct seed_result {
    bool passed;
    uint64_t digest; /* equal for two runs of one seed */
    char broken[400];
};

struct swarm {
    struct seed_result (*run)(uint64_t seed, bool trace);
    /* What the seeds have been through: a swarm that sees nothing proves nothing. */
    void (*say_counts)(void);
    /* After all seeds: NULL, or what they should have met and did not. */
    const char *(*missing)(void);
};

/* --seeds FROM:TO, --seed N, --trace; --first ends at the first that fails; --all-met asks for
 * `missing`. The exit code. */
int swarm_main(int argc, char **argv, const struct swarm *swarm);

#endif
