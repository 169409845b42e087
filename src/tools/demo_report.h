/* SPDX-License-Identifier: Apache-2.0 */
/* What came of the demo: counted, judged, and told to a person or as JSON. */
#ifndef HF_TOOLS_DEMO_REPORT_H
#define HF_TOOLS_DEMO_REPORT_H

#include "tools/demo_world.h"

struct demo_tally {
    unsigned clients;
    unsigned right;          /* the demo's promise has come true for so many */
    unsigned cuts;           /* connections that ended under them */
    unsigned closes;         /* that their applications saw */
    unsigned backend_opens;  /* connections that the backend saw */
    unsigned backend_closes; /* of those, that ended before the goodbyes */
    unsigned sent;           /* messages in both directions that were due to arrive */
    unsigned lost;           /* ... and did not */
    unsigned disorder;       /* ... or came twice, or not in their order */
    hf_time away_max;        /* the longest time without a connection */
};

struct demo_report {
    unsigned seconds;
    struct demo_tally tallies[DEMO_SIDES];
    struct demo_cause causes[DEMO_CAUSES_MAX];
    size_t cause_count;
    bool right; /* the held side was cut and lost nothing */
};

/* After the run. */
void demo_report_make(struct demo_report *r, struct demo_world *w);
void demo_report_print(const struct demo_report *r, bool colour);
void demo_report_print_json(const struct demo_report *r);

#endif
