/* SPDX-License-Identifier: Apache-2.0 */
/* Quiet times: windows of the week in which alerts are held back, as they are written in the
 * configuration: "daily 03:00-03:15", "mon-fri 12:00-12:30", "sat,sun 22:00-06:00" (which ends the
 * next morning). Pure: day and minute are arguments. */
#ifndef HF_WATCH_QUIET_H
#define HF_WATCH_QUIET_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct hf_quiet_window {
    uint8_t days;  /* bit 0: Monday, ... bit 6: Sunday; the days on which it begins */
    uint16_t from; /* minute of the day */
    uint16_t to;   /* 1 to 1440; not more than from: it ends on the next day */
};

/* Whole text; what is wrong in *why (static). */
bool hf_quiet_parse(struct hf_slice text, struct hf_quiet_window *window, const char **why);
/* weekday 0 is Monday; minute 0 to 1439, both of local time. */
bool hf_quiet_covers(const struct hf_quiet_window *window, unsigned weekday, unsigned minute);

#endif
