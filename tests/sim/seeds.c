/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds, one after the other: see seeds.h. */
#include "seeds.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_BYTES false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTS_BYTES false
#endif
#endif
#ifndef COUNTS_BYTES
#define COUNTS_BYTES true
#endif

/* What a library keeps and replaces may change its place, and there be rounded up differently;
 * LeakSanitizer sees the rest. */
#define BYTES_NOISE 64

struct order {
    unsigned long long from, to;
    bool trace, first, all_met;
};

static size_t count_descriptors(void)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && readdir(dir) != NULL) {
        count++;
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return count;
}

/* What malloc keeps aside for threads counts as in use: it must keep nothing aside, which is said
 * before a program starts. */
static void make_bytes_countable(char **argv)
{
    if (COUNTS_BYTES && getenv("GLIBC_TUNABLES") == NULL) {
        setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0", 1);
        execv("/proc/self/exe", argv);
    }
}

static size_t bytes_in_use(void)
{
    return COUNTS_BYTES ? mallinfo2().uordblks + mallinfo2().hblkhd : 0;
}

static void fail(struct seed_result *result, const char *why)
{
    result->passed = false;
    (void)snprintf(result->broken, sizeof(result->broken), "%s", why);
}

static bool try_seed(const struct swarm *swarm, uint64_t seed, bool trace)
{
    size_t bytes = bytes_in_use();
    size_t descriptors = count_descriptors();
    struct seed_result result = swarm->run(seed, trace);
    if (result.passed && bytes_in_use() >= bytes + BYTES_NOISE) {
        char why[60];
        (void)snprintf(why, sizeof(why), "%zu bytes are left", bytes_in_use() - bytes);
        fail(&result, why);
    }
    if (result.passed && count_descriptors() != descriptors) {
        fail(&result, "descriptors are left");
    }
    if (result.passed && seed % 50 == 0 && !trace &&
        swarm->run(seed, false).digest != result.digest) {
        fail(&result, "the second run of the seed went another way");
    }
    if (!result.passed) {
        printf("seed %llu failed: %s\n", (unsigned long long)seed, result.broken);
        fflush(stdout);
    }
    return result.passed;
}

static bool read_order(struct order *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0) {
            o->trace = true;
        } else if (strcmp(argv[i], "--first") == 0) {
            o->first = true;
        } else if (strcmp(argv[i], "--all-met") == 0) {
            o->all_met = true;
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            o->from = o->to = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc &&
                   sscanf(argv[i + 1], "%llu:%llu", &o->from, &o->to) == 2) {
            i++;
        } else {
            fprintf(stderr,
                    "usage: %s [--seeds FROM:TO] [--seed N] [--trace] [--first] "
                    "[--all-met]\n",
                    argv[0]);
            return false;
        }
    }
    return true;
}

int swarm_main(int argc, char **argv, const struct swarm *swarm)
{
    struct order o = {.from = 1, .to = 100};
    unsigned long long passed = 0;
    unsigned long long failed = 0;
    make_bytes_countable(argv);
    if (!read_order(&o, argc, argv)) {
        return 2;
    }
    (void)swarm->run(0, false); /* what libraries allocate once is no leak */
    for (unsigned long long seed = o.from; seed <= o.to && (failed == 0 || !o.first); seed++) {
        if (try_seed(swarm, seed, o.trace)) {
            passed++;
        } else {
            failed++;
        }
    }
    swarm->say_counts();
    const char *missing = o.all_met ? swarm->missing() : NULL;
    if (missing != NULL) {
        printf("no seed met: %s\n", missing);
        failed++;
    }
    printf("%llu passed, %llu failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
