/* SPDX-License-Identifier: Apache-2.0 */
/* The times of logs: see when.h. */
#include "logs/when.h"

#define DAY INT64_C(86400)
#define SECOND INT64_C(1000000)

/* Days from 1970-01-01 in the Gregorian calendar. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = y / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static int64_t year_of(int64_t days)
{
    int64_t z = days + 719468;
    int64_t era = z / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    return yoe + era * 400 + (mp >= 10);
}

/* n digits at the offset; -1 when they are not all digits. */
static int64_t digits(struct hf_slice s, size_t at, size_t n)
{
    int64_t value = 0;
    if (at + n > s.len) {
        return -1;
    }
    for (size_t i = at; i < at + n; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return -1;
        }
        value = value * 10 + (s.ptr[i] - '0');
    }
    return value;
}

static bool has(struct hf_slice s, size_t at, char c)
{
    return at < s.len && s.ptr[at] == (uint8_t)c;
}

static int64_t month_of(struct hf_slice s, size_t at)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (at + 3 > s.len) {
        return -1;
    }
    for (int64_t m = 0; m < 12; m++) {
        if (memcmp(s.ptr + at, names + m * 3, 3) == 0) {
            return m + 1;
        }
    }
    return -1;
}

/* 01:21:24 at the offset, in seconds of the day; -1 when it is none. */
static int64_t clock_of(struct hf_slice s, size_t at)
{
    int64_t h = digits(s, at, 2);
    int64_t m = digits(s, at + 3, 2);
    int64_t second = digits(s, at + 6, 2);
    bool fits = h >= 0 && h < 24 && m >= 0 && m < 60 && second >= 0 && second <= 60;
    return fits && has(s, at + 2, ':') && has(s, at + 5, ':') ? h * 3600 + m * 60 + second : -1;
}

/* A fraction of any length behind . or , at *at; digits beyond the sixth are dropped. */
static int64_t fraction_of(struct hf_slice s, size_t *at)
{
    int64_t us = 0;
    int64_t each = SECOND;
    if ((!has(s, *at, '.') && !has(s, *at, ',')) || digits(s, *at + 1, 1) < 0) {
        return 0;
    }
    for ((*at)++; *at < s.len && s.ptr[*at] >= '0' && s.ptr[*at] <= '9'; (*at)++) {
        each /= 10;
        us += each * (s.ptr[*at] - '0');
    }
    return us;
}

/* Z, +00:00, +0000 at *at, a space before allowed when may_space; else zone stays. */
static int64_t zone_of(struct hf_slice s, size_t *at, bool may_space, int64_t zone)
{
    size_t i = *at;
    if (has(s, i, 'Z')) {
        *at = i + 1;
        return 0;
    }
    i += may_space && has(s, i, ' ');
    if (!has(s, i, '+') && !has(s, i, '-')) {
        return zone;
    }
    int64_t sign = has(s, i, '-') ? -1 : 1;
    int64_t h = digits(s, i + 1, 2);
    size_t rest = i + 3 + has(s, i + 3, ':');
    int64_t m = digits(s, rest, 2);
    if (h < 0 || h > 15 || m < 0 || m > 59) {
        return zone;
    }
    *at = rest + 2;
    return sign * (h * 3600 + m * 60);
}

static bool is_date(int64_t y, int64_t m, int64_t d)
{
    return y >= 1970 && m >= 1 && m <= 12 && d >= 1 && d <= 31;
}

bool hf_logs_when_clf(struct hf_slice s, int64_t zone, int64_t *at, size_t *len)
{
    int64_t d = digits(s, 0, 2);
    int64_t m = month_of(s, 3);
    int64_t y = digits(s, 7, 4);
    int64_t clock = clock_of(s, 12);
    if (!is_date(y, m, d) || clock < 0 || !has(s, 2, '/') || !has(s, 6, '/') || !has(s, 11, ':')) {
        return false;
    }
    size_t i = 20;
    int64_t us = fraction_of(s, &i);
    zone = zone_of(s, &i, true, zone);
    *at = (days_of(y, m, d) * DAY + clock - zone) * SECOND + us;
    *len = i;
    return true;
}

bool hf_logs_when_iso(struct hf_slice s, int64_t zone, int64_t *at, size_t *len)
{
    int64_t y = digits(s, 0, 4);
    int64_t m = digits(s, 5, 2);
    int64_t d = digits(s, 8, 2);
    bool dashes = has(s, 4, '-') && has(s, 7, '-');
    bool slashes = has(s, 4, '/') && has(s, 7, '/');
    int64_t clock = clock_of(s, 11);
    bool parted = has(s, 10, 'T') || has(s, 10, ' ');
    if (!is_date(y, m, d) || clock < 0 || !parted || (!dashes && !slashes)) {
        return false;
    }
    size_t i = 19;
    int64_t us = fraction_of(s, &i);
    zone = zone_of(s, &i, true, zone);
    *at = (days_of(y, m, d) * DAY + clock - zone) * SECOND + us;
    *len = i;
    return true;
}

bool hf_logs_when_bsd(struct hf_slice s, int64_t zone, int64_t now, int64_t *at, size_t *len)
{
    int64_t m = month_of(s, 0);
    int64_t d = has(s, 4, ' ') ? digits(s, 5, 1) : digits(s, 4, 2);
    int64_t clock = clock_of(s, 7);
    int64_t year = year_of(now / SECOND / DAY) + 1;
    if (m < 0 || !is_date(year, m, d) || clock < 0 || !has(s, 3, ' ') || !has(s, 6, ' ')) {
        return false;
    }
    size_t i = 15;
    int64_t us = fraction_of(s, &i);
    do {
        *at = (days_of(year, m, d) * DAY + clock - zone) * SECOND + us;
    } while (*at > now + DAY * SECOND && --year >= 1970);
    *len = i;
    return true;
}

bool hf_logs_seconds(struct hf_slice s, int64_t *us)
{
    int64_t whole = 0;
    size_t i = 0;
    while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9' && i < 12) {
        whole = whole * 10 + (s.ptr[i++] - '0');
    }
    if (i == 0) {
        return false;
    }
    int64_t fraction = fraction_of(s, &i);
    *us = whole * SECOND + fraction;
    return i == s.len;
}

bool hf_logs_when_unix(struct hf_slice s, int64_t *at)
{
    return hf_logs_seconds(s, at);
}
