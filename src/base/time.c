/* SPDX-License-Identifier: Apache-2.0 */
/* Durations, sizes and dates as text. No clock is read here. */
#include "base/time.h"

#include <stdio.h>

#define DURATION_MAX HF_SECONDS(INT64_C(3650) * 86400) /* ten years of 365 days */

struct unit {
    const char *name;
    uint64_t each;
};

/* Smallest first. */
static const struct unit time_units[] = {
    {"ms", 1000},
    {"s", 1000000},
    {"m", UINT64_C(60) * 1000000},
    {"h", UINT64_C(3600) * 1000000},
    {"d", UINT64_C(86400) * 1000000},
};
#define TIME_UNITS (sizeof(time_units) / sizeof(time_units[0]))

static const struct unit size_units[] = {
    {"B", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
};
#define SIZE_UNITS (sizeof(size_units) / sizeof(size_units[0]))

static size_t digits_at(struct hf_slice s)
{
    size_t n = 0;
    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9') {
        n++;
    }
    return n;
}

static const struct unit *find_unit(const struct unit *units, size_t count, struct hf_slice name)
{
    for (size_t i = 0; i < count; i++) {
        if (hf_slice_eq(name, hf_slice_of(units[i].name))) {
            return &units[i];
        }
    }
    return NULL;
}

/* Adds the digits behind the point. A digit too fine to be whole microseconds is refused, not
 * rounded. */
static bool add_fraction(struct hf_slice digits, uint64_t each, uint64_t *value)
{
    for (size_t i = 0; i < digits.len; i++) {
        uint64_t digit = (uint64_t)(digits.ptr[i] - '0');
        if (each % 10 != 0) {
            each = 0;
        }
        each /= 10;
        if (digit != 0 && each == 0) {
            return false;
        }
        *value += digit * each;
    }
    return true;
}

bool hf_duration_parse(struct hf_slice s, hf_time *value)
{
    if (hf_slice_eq(s, HF_LITERAL("0"))) {
        *value = 0;
        return true;
    }
    struct hf_slice whole = hf_slice_first(s, digits_at(s));
    struct hf_slice rest = hf_slice_from(s, whole.len);
    struct hf_slice fraction = {NULL, 0};
    if (rest.len > 0 && rest.ptr[0] == '.') {
        rest = hf_slice_from(rest, 1);
        fraction = hf_slice_first(rest, digits_at(rest));
        rest = hf_slice_from(rest, fraction.len);
        if (fraction.len == 0) {
            return false;
        }
    }
    const struct unit *unit = find_unit(time_units, TIME_UNITS, rest);
    uint64_t sum;
    if (unit == NULL || !hf_slice_number(whole, (uint64_t)DURATION_MAX / unit->each, &sum)) {
        return false;
    }
    sum *= unit->each;
    if (!add_fraction(fraction, unit->each, &sum) || sum > (uint64_t)DURATION_MAX) {
        return false;
    }
    *value = (hf_time)sum;
    return true;
}

/* Writes value in this unit when that is exact; 0 when it is not. */
static int write_exact(uint64_t value, const struct unit *unit, char text[24])
{
    char fraction[16] = "";
    size_t n = 0;
    uint64_t each = unit->each;
    uint64_t rest = value % unit->each;
    while (rest != 0) {
        if (each % 10 != 0) {
            return 0;
        }
        each /= 10;
        fraction[n++] = (char)('0' + rest / each);
        rest %= each;
    }
    fraction[n] = '\0';
    return snprintf(text, 24, "%llu%s%s%s", (unsigned long long)(value / unit->each),
                    n == 0 ? "" : ".", fraction, unit->name);
}

void hf_duration_text(hf_time value, char text[24])
{
    if (value == 0 || value == HF_NEVER) {
        (void)snprintf(text, 24, "%s", value == 0 ? "0" : "never");
        return;
    }
    char *out = text;
    uint64_t left = (uint64_t)value;
    if (value < 0) {
        *out++ = '-';
        left = 0 - left;
    }
    char best[24] = "";
    int best_len = 0;
    for (size_t i = 0; i < TIME_UNITS && (i == 0 || left >= time_units[i].each); i++) {
        char trial[24];
        int len = write_exact(left, &time_units[i], trial);
        if (len > 0 && (best_len == 0 || len < best_len)) {
            memcpy(best, trial, sizeof(best));
            best_len = len;
        }
    }
    memcpy(out, best, (size_t)best_len + 1);
}

bool hf_size_parse(struct hf_slice s, uint64_t *bytes)
{
    if (hf_slice_eq(s, HF_LITERAL("0"))) {
        *bytes = 0;
        return true;
    }
    struct hf_slice whole = hf_slice_first(s, digits_at(s));
    const struct unit *unit = find_unit(size_units, SIZE_UNITS, hf_slice_from(s, whole.len));
    uint64_t number;
    if (unit == NULL || !hf_slice_number(whole, UINT64_MAX / unit->each, &number)) {
        return false;
    }
    *bytes = number * unit->each;
    return true;
}

void hf_size_text(uint64_t bytes, char text[24])
{
    if (bytes == 0) {
        (void)snprintf(text, 24, "0");
        return;
    }
    size_t i = SIZE_UNITS - 1;
    while (bytes % size_units[i].each != 0) {
        i--;
    }
    (void)snprintf(text, 24, "%llu%s", (unsigned long long)(bytes / size_units[i].each),
                   size_units[i].name);
}

static void put_digits(char *text, int count, int64_t number)
{
    while (count-- > 0) {
        text[count] = (char)('0' + number % 10);
        number /= 10;
    }
}

/* The Gregorian date of a day counted from 1970-01-01, years beginning in March so that the leap
 * day is the last one (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
static void put_date(char *text, int64_t day)
{
    day += 719468; /* 0000-03-01 */
    int64_t era = day / 146097;
    int64_t day_of_era = day % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    put_digits(text, 4, year_of_era + era * 400 + (month <= 2));
    put_digits(text + 5, 2, month);
    put_digits(text + 8, 2, day_of_year - (153 * month_from_march + 2) / 5 + 1);
}

#define DAY_MS (INT64_C(86400) * 1000)
#define WALL_MIN (-INT64_C(719162) * DAY_MS)     /* 0001-01-01 */
#define WALL_MAX (INT64_C(2932897) * DAY_MS - 1) /* the last millisecond of 9999 */

void hf_wall_text(hf_wall wall, char text[25])
{
    wall = wall < WALL_MIN ? WALL_MIN : wall > WALL_MAX ? WALL_MAX : wall;
    int64_t day = wall / DAY_MS;
    int64_t ms = wall % DAY_MS;
    if (ms < 0) {
        ms += DAY_MS;
        day--;
    }
    memcpy(text, "0000-00-00T00:00:00.000Z", 25);
    put_date(text, day);
    put_digits(text + 11, 2, ms / 3600000);
    put_digits(text + 14, 2, ms / 60000 % 60);
    put_digits(text + 17, 2, ms / 1000 % 60);
    put_digits(text + 20, 3, ms % 1000);
}
