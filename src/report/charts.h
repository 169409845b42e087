/* SPDX-License-Identifier: Apache-2.0 */
/* The pictures of a report, as SVG inside the page. Each draws nothing, and says so in a sentence,
 * when there is nothing to draw. Pure. */
#ifndef HF_REPORT_CHARTS_H
#define HF_REPORT_CHARTS_H

#include "report/report.h"

/* A row for each connection of an arm at a time: when it lived, how it ended. */
void hf_chart_timeline(const struct hf_report *r, const struct hf_allocator *alloc,
                       struct hf_buffer *out);
/* How many still live at an age, with the 95 % band. */
void hf_chart_survival(const struct hf_report *r, const struct hf_allocator *alloc,
                       struct hf_buffer *out);
/* The ages at which the connections of each arm ended, or how old they have grown. */
void hf_chart_ages(const struct hf_report *r, const struct hf_allocator *alloc,
                   struct hf_buffer *out);
/* How long no byte had gone by before each end, received and sent. */
void hf_chart_gaps(const struct hf_report *r, const struct hf_allocator *alloc,
                   struct hf_buffer *out);
/* Round trips of pings over the time of the watch. */
void hf_chart_round_trips(const struct hf_report *r, struct hf_buffer *out);

#endif
