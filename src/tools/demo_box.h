/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's middlebox: a TCP proxy that passes bytes on as they come and resets each connection at
 * a random age, as bad networks, restarts and impatient proxies do. It knows nothing of WebSocket,
 * so nobody gets a Close. */
#ifndef HF_TOOLS_DEMO_BOX_H
#define HF_TOOLS_DEMO_BOX_H

#include "base/random.h"
#include "tools/demo_clock.h"

struct demo_box {
    struct demo_clock *clock;
    struct hf_random *random;
    struct hf_listener *listener;
    struct hf_address address; /* where it listens: loopback, a port of the system's choice */
    struct hf_address target;  /* where it connects to */
    hf_time age_min, age_max;  /* at which a connection is cut; age_max 0: never */
    unsigned cuts;             /* connections it has cut */
    struct hf_list links;      /* both their sides are open, or one still sends */
    struct hf_list ended;      /* freed at fini: nobody frees inside a callback */
};

/* The target may be set later, before the first connection. */
HF_MUST_USE enum hf_status demo_box_init(struct demo_box *box, struct demo_clock *clock,
                                         struct hf_random *random, hf_time age_min,
                                         hf_time age_max);
/* Cuts what is old enough; called every few milliseconds. */
void demo_box_tick(struct demo_box *box);
/* Cuts everything now; returns how many connections that were. */
unsigned demo_box_cut_all(struct demo_box *box);
/* Closes what is open. Fit for a zeroed box. */
void demo_box_fini(struct demo_box *box);

#endif
