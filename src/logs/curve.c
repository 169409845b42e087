/* SPDX-License-Identifier: Apache-2.0 */
/* The survival curve in a terminal: braille dots, two to a column and four to a row, or ASCII. */
#include "logs/tally.h"

#include <math.h>
#include <stdio.h>

#define POINTS 512
#define COLUMNS_MAX 240
#define ROWS_MAX 40
#define LABEL 6 /* "100 % " */

struct plane {
    unsigned columns, rows; /* of characters */
    unsigned wide, high;    /* dots in each */
    double from, to;        /* ages, seconds */
    bool is_log;
    uint8_t dots[ROWS_MAX][COLUMNS_MAX];
};

static double age_at(const struct plane *p, double x)
{
    return p->is_log ? p->from * pow(p->to / p->from, x) : p->from + (p->to - p->from) * x;
}

static double x_of(const struct plane *p, double age)
{
    double x =
        p->is_log ? log(age / p->from) / log(p->to / p->from) : (age - p->from) / (p->to - p->from);
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

static double alive_at(const struct hf_survival_point *points, size_t count, double age)
{
    size_t low = 0;
    size_t high = count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if ((double)points[middle].age / 1e6 <= age) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return points[low].alive;
}

/* Dot (x, y) from the upper left. Bits of a braille character: 1 4 / 2 5 / 3 6 / 7 8. */
static void set_dot(struct plane *p, unsigned x, unsigned y)
{
    static const uint8_t bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    p->dots[y / p->high][x / p->wide] |= bits[y % p->high][x % p->wide];
}

static void draw_steps(struct plane *p, const struct hf_survival_point *points, size_t count)
{
    unsigned width = p->columns * p->wide;
    unsigned height = p->rows * p->high;
    unsigned before = 0;
    for (unsigned x = 0; x < width; x++) {
        double alive = alive_at(points, count, age_at(p, ((double)x + 0.999) / (double)width));
        unsigned y = (unsigned)lround((1 - alive) * (double)(height - 1));
        for (unsigned from = x == 0 ? y : before; from < y; from++) {
            set_dot(p, x, from);
        }
        set_dot(p, x, y);
        before = y;
    }
}

static void add_glyph(struct hf_buffer *out, uint8_t dots, bool ascii)
{
    if (dots == 0) {
        (void)hf_buffer_add_byte(out, ' ');
    } else if (ascii) {
        (void)hf_buffer_add_byte(out, '*');
    } else {
        (void)hf_buffer_add_byte(out, 0xE2);
        (void)hf_buffer_add_byte(out, (uint8_t)(0xA0 | dots >> 6));
        (void)hf_buffer_add_byte(out, (uint8_t)(0x80 | (dots & 0x3F)));
    }
}

static void print_rows(const struct plane *p, bool ascii, struct hf_buffer *out)
{
    for (unsigned y = 0; y < p->rows; y++) {
        bool labelled = y == 0 || y == p->rows - 1 || y == p->rows / 2;
        double percent = 100.0 * (1 - (double)y / (double)(p->rows - 1));
        if (labelled) {
            (void)hf_buffer_addf(out, "%4.0f %%", percent);
        } else {
            (void)hf_buffer_add_text(out, "      ");
        }
        (void)hf_buffer_add_text(out, ascii ? "|" : "\xE2\x94\x82");
        unsigned last = p->columns;
        while (last > 0 && p->dots[y][last - 1] == 0) {
            last--;
        }
        for (unsigned x = 0; x < last; x++) {
            add_glyph(out, p->dots[y][x], ascii);
        }
        (void)hf_buffer_add_byte(out, '\n');
    }
}

/* Writes a text into a row of spaces, where it fits and nothing stands. */
static bool place(char *row, unsigned columns, unsigned at, const char *text)
{
    size_t len = strlen(text);
    size_t from = at + len > columns ? columns - len : at;
    if (len > columns) {
        return false;
    }
    for (size_t i = from > 0 ? from - 1 : 0; i < from + len + 1 && i < columns; i++) {
        if (row[i] != ' ') {
            return false;
        }
    }
    memcpy(row + from, text, len);
    return true;
}

static void print_row(struct hf_buffer *out, const char *row, unsigned columns)
{
    while (columns > 0 && row[columns - 1] == ' ') {
        columns--;
    }
    if (columns > 0) {
        (void)hf_buffer_addf(out, "%*s %.*s\n", LABEL, "", (int)columns, row);
    }
}

static void print_axis(const struct plane *p, const struct hf_logs_finding *findings, size_t count,
                       bool ascii, struct hf_buffer *out)
{
    char marks[COLUMNS_MAX];
    char names[COLUMNS_MAX];
    char text[24];
    char named[32];
    memset(marks, ' ', sizeof(marks));
    memset(names, ' ', sizeof(names));
    for (size_t i = 0; i < count; i++) {
        if (findings[i].peak.kind == HF_PEAK_AGE && !findings[i].is_silence) {
            unsigned x = (unsigned)(x_of(p, findings[i].peak.at) * (double)(p->columns - 1));
            hf_logs_age_text(findings[i].peak.at, text);
            (void)snprintf(named, sizeof(named), "^ %s", text);
            if (place(names, p->columns, x, named)) {
                marks[x] = '+';
            }
        }
    }
    (void)hf_buffer_addf(out, "%*s%s", LABEL, "", ascii ? "+" : "\xE2\x94\x94");
    for (unsigned x = 0; x < p->columns; x++) {
        (void)hf_buffer_add_text(out, marks[x] == '+' ? (ascii ? "+" : "\xE2\x94\xB4")
                                      : ascii         ? "-"
                                                      : "\xE2\x94\x80");
    }
    (void)hf_buffer_add_byte(out, '\n');
    print_row(out, names, p->columns);
    memset(names, ' ', sizeof(names));
    static const double at[] = {0, 1, 0.5, 0.25, 0.75};
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        hf_logs_age_text(age_at(p, at[i]), text);
        (void)place(names, p->columns, (unsigned)(at[i] * (double)(p->columns - 1)), text);
    }
    print_row(out, names, p->columns);
}

void hf_logs_curve_draw(struct hf_logs_tally *t, const struct hf_logs_finding *findings,
                        size_t count, unsigned columns, unsigned rows, bool ascii,
                        struct hf_buffer *out)
{
    struct hf_survival_point points[POINTS];
    struct plane p = {.wide = ascii ? 1 : 2, .high = ascii ? 1 : 4};
    size_t n = hf_survival_curve(t->ages, points, POINTS);
    if (n < 2 || points[n - 1].age <= 0 || t->aged == 0) {
        return;
    }
    columns = columns < 30 ? 30 : columns;
    p.columns = columns - LABEL - 2 > COLUMNS_MAX ? COLUMNS_MAX : columns - LABEL - 2;
    p.rows = rows < 4 ? 4 : rows > ROWS_MAX ? ROWS_MAX : rows;
    p.to = (double)points[n - 1].age / 1e6;
    double middle = (double)hf_survival_quantile(t->ages, 0.5) / 1e6;
    double first = n > 1 ? (double)points[1].age / 1e6 : 0;
    p.is_log = middle < p.to && middle > 0 && p.to / middle > 8;
    p.from = p.is_log ? (first > p.to / 1e5 ? first : p.to / 1e5) : 0;
    if (p.is_log && p.from >= p.to / 2) {
        p.from = p.to / 10;
    }
    draw_steps(&p, points, n);
    print_rows(&p, ascii, out);
    print_axis(&p, findings, count, ascii, out);
}
