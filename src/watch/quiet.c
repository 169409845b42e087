/* SPDX-License-Identifier: Apache-2.0 */
/* Quiet times of the week: see quiet.h. */
#include "watch/quiet.h"

#define EVERY_DAY 0x7f
#define DAY_MINUTES 1440

/* 0 to 6, or 7. */
static unsigned day_from(struct hf_slice text)
{
    static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    unsigned d = 0;
    while (d < 7 && !hf_slice_eq_nocase(text, hf_slice_of(days[d]))) {
        d++;
    }
    return d;
}

/* "mon", "mon-fri" (also over the week's end: "sat-mon"), or "daily". 0: not understood. */
static uint8_t days_from(struct hf_slice text)
{
    if (hf_slice_eq_nocase(text, HF_LITERAL("daily"))) {
        return EVERY_DAY;
    }
    size_t dash = hf_slice_find(text, '-');
    unsigned first = day_from(hf_slice_first(text, dash));
    unsigned last = dash == text.len ? first : day_from(hf_slice_from(text, dash + 1));
    uint8_t days = 0;
    if (first == 7 || last == 7) {
        return 0;
    }
    for (unsigned d = first;; d = (d + 1) % 7) {
        days |= (uint8_t)(1U << d);
        if (d == last) {
            return days;
        }
    }
}

/* "HH:MM", 00:00 to 24:00. */
static bool minute_from(struct hf_slice text, uint16_t *minute)
{
    uint64_t hours = 0;
    uint64_t minutes = 0;
    if (text.len != 5 || text.ptr[2] != ':' ||
        !hf_slice_number(hf_slice_first(text, 2), 24, &hours) ||
        !hf_slice_number(hf_slice_from(text, 3), 59, &minutes) ||
        hours * 60 + minutes > DAY_MINUTES) {
        return false;
    }
    *minute = (uint16_t)(hours * 60 + minutes);
    return true;
}

bool hf_quiet_parse(struct hf_slice text, struct hf_quiet_window *window, const char **why)
{
    struct hf_quiet_window w = {0};
    size_t space = hf_slice_find(text, ' ');
    struct hf_slice days = hf_slice_first(text, space);
    struct hf_slice times = hf_slice_trim(hf_slice_from(text, space));
    struct hf_slice piece;
    while (hf_slice_next(&days, ',', &piece)) {
        uint8_t some = days_from(piece);
        w.days |= some;
        if (some == 0) {
            w.days = 0;
            break;
        }
    }
    size_t dash = hf_slice_find(times, '-');
    if (w.days == 0) {
        *why = "does not begin with days: daily, mon-fri, or sat,sun";
        return false;
    }
    if (!minute_from(hf_slice_first(times, dash), &w.from) ||
        !minute_from(hf_slice_from(times, dash + 1), &w.to) || w.from == DAY_MINUTES || w.to == 0 ||
        w.from == w.to) {
        *why = "does not end with two times of the day, such as 02:00-04:30";
        return false;
    }
    *window = w;
    return true;
}

bool hf_quiet_covers(const struct hf_quiet_window *w, unsigned weekday, unsigned minute)
{
    bool today = (w->days >> weekday & 1) != 0;
    bool yesterday = (w->days >> (weekday + 6) % 7 & 1) != 0;
    if (w->from < w->to) {
        return today && minute >= w->from && minute < w->to;
    }
    return (today && minute >= w->from) || (yesterday && minute < w->to);
}
