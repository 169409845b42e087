/* SPDX-License-Identifier: Apache-2.0 */
/* What came of the demo: counted, judged, and told to a person or as JSON. */
#ifndef HF_TOOLS_DEMO_REPORT_H
#define HF_TOOLS_DEMO_REPORT_H

#include "tools/demo_world.h"

struct demo_tally {
    unsigned connections;
    unsigned cut;
    unsigned held;  /* to the end of the run */
    unsigned right; /* the demo's promise has come true for so many */
    hf_time life_min;
    hf_time life_median;
    hf_time life_max;
    unsigned sent;       /* messages that were for them: chunks and answers */
    unsigned lost;       /* ... and did not come */
    unsigned disorder;   /* ... or came twice, or not in their order */
    unsigned pings;      /* answered by the clients */
    unsigned pings_back; /* ... and by the backend */
};

struct demo_report {
    unsigned seconds;
    struct demo_tally tallies[DEMO_SIDES];
    struct demo_cause causes[DEMO_CAUSES_MAX];
    size_t cause_count;
    unsigned cuts_direct; /* by the middlebox on the way of the direct ones */
    unsigned cuts_held;   /* by the two on the way of the held ones */
    bool right;           /* everything was as promised */
};

/* After the run. */
void demo_report_make(struct demo_report *r, struct demo_world *w);
void demo_report_print(const struct demo_report *r, bool colour);
void demo_report_print_json(const struct demo_report *r);

#endif
