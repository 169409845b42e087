/* SPDX-License-Identifier: Apache-2.0 */
/* The real gateway inside the demo: configured by the words of `holdfast serve`, on a thread of its
 * own. */
#ifndef HF_TOOLS_DEMO_GATEWAY_H
#define HF_TOOLS_DEMO_GATEWAY_H

#include "gateway/gateway.h"

#define DEMO_CAUSES_MAX 8

struct demo_gateway {
    struct hf_config *config;
    struct hf_log *log; /* errors only, to standard error */
    struct hf_gateway *gateway;
    struct hf_address address;
};

/* What the gateway recorded, gathered by cause. */
struct demo_cause {
    enum hf_cause cause;
    unsigned count;
    unsigned code;       /* of the newest */
    int64_t held_ms_min; /* the shortest life of them */
    double rtt_ms_max;   /* the longest last round trip of a ping; < 0: none was measured */
};

/* Listens on loopback, a port of the system's choice. why has a line for what is wrong. */
HF_MUST_USE enum hf_status demo_gateway_init(struct demo_gateway *g,
                                             const struct hf_address *upstream, uint64_t seed,
                                             struct hf_buffer *why);
/* Reads the ending records; returns how many rows it filled. */
size_t demo_gateway_causes(struct demo_gateway *g, struct demo_cause causes[DEMO_CAUSES_MAX]);
/* Fit for a zeroed one. */
void demo_gateway_fini(struct demo_gateway *g);

#endif
