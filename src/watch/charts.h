/* SPDX-License-Identifier: Apache-2.0 */
/* The pictures of the status page, as SVG inside it; see charts.c. */
#ifndef HF_WATCH_CHARTS_H
#define HF_WATCH_CHARTS_H

#include "watch/inside.h"

/* Up and down from `minutes` ago until now, in `parts` parts of equal length. */
void hf_watch_chart_strip(const struct hf_watch_target *t, int64_t minutes, int64_t parts,
                          const char *label, const char *begins, struct hf_buffer *out);
/* How many held connections still lived at an age. */
void hf_watch_chart_survival(const struct hf_watch_target *t, struct hf_buffer *out);
/* The newest round trips. */
void hf_watch_chart_rtt(const struct hf_watch_target *t, struct hf_buffer *out);

#endif
