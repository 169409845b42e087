/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's clock: time in which the demo itself ran. A step of the loop counts for at most 250
 * ms, so a machine that stands still for some seconds ages nobody: what the middlebox calls
 * silence, the age of a connection and the length of the run are all told by this one clock. */
#ifndef HF_TOOLS_DEMO_CLOCK_H
#define HF_TOOLS_DEMO_CLOCK_H

#include "io/io.h"

#define DEMO_STEP_MAX HF_MS(250)

struct demo_clock {
    struct hf_loop *loop;
    hf_time seen; /* of the loop's own time, at the last reading */
    hf_time now;  /* since the clock was started */
};

static inline void demo_clock_start(struct demo_clock *clock, struct hf_loop *loop)
{
    *clock = (struct demo_clock){.loop = loop, .seen = hf_loop_now(loop)};
}

static inline hf_time demo_clock_now(struct demo_clock *clock)
{
    hf_time step = hf_loop_now(clock->loop) - clock->seen;
    clock->seen += step;
    clock->now += step < DEMO_STEP_MAX ? step : DEMO_STEP_MAX;
    return clock->now;
}

#endif
