/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast watch --once`: one look at each target, in the manner of a monitoring plugin: one line
 * with performance data, and 0 good, 1 a warning, 2 critical, 3 unknown. */
#ifndef HF_WATCH_ONCE_H
#define HF_WATCH_ONCE_H

#include "watch/settings.h"

struct hf_once_how {
    struct hf_loop *loop;
    const struct hf_watch_settings *settings;
    hf_time hold; /* of each connection */
    uint64_t seed;
    bool (*stopped)(void); /* true: no more; what is not known by then is unknown */
    bool json;             /* a line for each target and one for all, in place of the plugin's */
};

/* Turns the loop until all is known. The lines are appended to out; returns the exit code. */
int hf_watch_once(const struct hf_once_how *how, struct hf_buffer *out);

#endif
