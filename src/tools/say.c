/* SPDX-License-Identifier: Apache-2.0 */
/* How the commands speak: see say.h. */
#include "tools/say.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define HANGING_LEAST 20 /* columns that words need to be broken into lines */
#define LINE_MAX_BYTES ((size_t)64 << 20)

static const char *const escapes[] = {
    [HF_PAINT_PLAIN] = "\033[0m", [HF_PAINT_BOLD] = "\033[1m",   [HF_PAINT_GREY] = "\033[90m",
    [HF_PAINT_RED] = "\033[31m",  [HF_PAINT_GREEN] = "\033[32m", [HF_PAINT_YELLOW] = "\033[33m",
    [HF_PAINT_BLUE] = "\033[34m",
};

static bool is_terminal(FILE *file)
{
    const char *term = getenv("TERM");
    return isatty(fileno(file)) && (term == NULL || strcmp(term, "dumb") != 0);
}

void hf_say_init(struct hf_say *s, const char *command, bool json, bool color)
{
    const char *no_color = getenv("NO_COLOR");
    *s = (struct hf_say){.command = command, .json = json};
    s->text = json ? stderr : stdout;
    color = color && (no_color == NULL || *no_color == '\0');
    s->color = color && is_terminal(s->text);
    s->live = is_terminal(stderr);
    s->live_color = color && s->live;
    hf_buffer_init(&s->out, &hf_heap, LINE_MAX_BYTES);
    setvbuf(stdout, NULL, _IOLBF, 0);
}

void hf_say_fini(struct hf_say *s)
{
    hf_say_undraw(s);
    (void)fflush(s->text);
    hf_buffer_reset(&s->out);
}

const char *hf_say_paint(const struct hf_say *s, enum hf_paint paint)
{
    return s->color ? escapes[paint] : "";
}

const char *hf_say_live_paint(const struct hf_say *s, enum hf_paint paint)
{
    return s->live_color ? escapes[paint] : "";
}

/* ---- lines --------------------------------------------------------------------------------------
 */

/* The length of the character of UTF-8 at the start; 0: it is none, or a control. */
static size_t character(struct hf_slice text)
{
    const uint8_t c = text.ptr[0];
    const size_t len = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC2 ? 2 : 0;
    if (len == 0 || len > text.len || c < ' ' || c == 0x7F || c > 0xF4) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((text.ptr[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return len == 2 && c == 0xC2 && text.ptr[1] < 0xA0 ? 0 : len; /* C1 controls */
}

/* The length of one of our own escapes at the start; 0: it is none. */
static size_t own_escape(struct hf_slice text)
{
    for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
        if (hf_slice_starts(text, hf_slice_of(escapes[i]))) {
            return strlen(escapes[i]);
        }
    }
    return 0;
}

void hf_say_add_tame(struct hf_slice text, bool paint, struct hf_buffer *out)
{
    while (text.len > 0) {
        const uint8_t c = text.ptr[0];
        size_t len = c == '\n' || c == '\t' ? 1 : character(text);
        len = c == '\033' && paint ? own_escape(text) : len;
        if (len > 0) {
            hf_buffer_add(out, hf_slice_first(text, len));
        } else {
            hf_buffer_add_text(out, "\xEF\xBF\xBD");
        }
        text = hf_slice_from(text, len > 0 ? len : 1);
    }
}

static void print_tame(FILE *file, bool paint, const char *format, va_list args)
{
    struct hf_buffer text, tame;
    hf_buffer_init(&text, &hf_heap, LINE_MAX_BYTES);
    hf_buffer_init(&tame, &hf_heap, 3 * LINE_MAX_BYTES);
    hf_buffer_addv(&text, format, args);
    hf_say_add_tame(hf_buffer_slice(&text), paint, &tame);
    hf_buffer_add_byte(&tame, '\n');
    (void)fwrite(tame.data, 1, tame.len, file);
    (void)fflush(file);
    hf_buffer_reset(&text);
    hf_buffer_reset(&tame);
}

void hf_say_line(struct hf_say *s, const char *format, ...)
{
    va_list args;
    hf_say_undraw(s);
    va_start(args, format);
    print_tame(s->text, s->color, format, args);
    va_end(args);
}

/* The bytes of the text's beginning that stand in so many columns and end before a space; all of
 * them when no space is far enough behind `left` columns. */
static size_t words_in(struct hf_slice text, size_t left, size_t columns)
{
    size_t cut = text.len, width = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == ' ' && width > left && width <= columns) {
            cut = i;
        }
        width += (text.ptr[i] & 0xC0) != 0x80;
    }
    return width <= columns ? text.len : cut;
}

void hf_say_hanging(struct hf_say *s, size_t left, const char *format, ...)
{
    struct hf_buffer text, tame;
    struct winsize size = {0};
    va_list args;
    hf_say_undraw(s);
    hf_buffer_init(&text, &hf_heap, LINE_MAX_BYTES);
    hf_buffer_init(&tame, &hf_heap, 3 * LINE_MAX_BYTES);
    va_start(args, format);
    hf_buffer_addv(&text, format, args);
    va_end(args);
    hf_say_add_tame(hf_buffer_slice(&text), false, &tame);
    const bool breaks =
        ioctl(fileno(s->text), TIOCGWINSZ, &size) == 0 && size.ws_col >= left + HANGING_LEAST;
    struct hf_slice rest = hf_buffer_slice(&tame);
    size_t behind = left, columns = size.ws_col; /* the first line has its head in it */
    for (size_t n; breaks && (n = words_in(rest, behind, columns)) < rest.len;) {
        (void)fprintf(s->text, "%.*s\n%*s", HF_SLICE_ARG(hf_slice_first(rest, n)), (int)left, "");
        rest = hf_slice_from(rest, n + 1);
        behind = 0;
        columns = size.ws_col - left;
    }
    (void)fprintf(s->text, "%.*s\n", HF_SLICE_ARG(rest));
    (void)fflush(s->text);
    hf_buffer_reset(&text);
    hf_buffer_reset(&tame);
}

void hf_say_complain(struct hf_say *s, const char *format, ...)
{
    va_list args;
    hf_say_undraw(s);
    (void)fprintf(stderr, "holdfast %s: ", s->command);
    va_start(args, format);
    print_tame(stderr, false, format, args);
    va_end(args);
}

void hf_say_size(unsigned *columns, unsigned *rows)
{
    struct winsize size = {0};
    *columns = 80;
    *rows = 24;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        *columns = size.ws_col;
        *rows = size.ws_row;
    }
}

/* The bytes of a line's beginning that fill so many columns; escapes fill none. */
static size_t fitting(struct hf_slice line, unsigned columns)
{
    size_t i = 0;
    unsigned used = 0;
    while (i < line.len) {
        if (line.ptr[i] == '\033') {
            while (i < line.len && line.ptr[i] != 'm') {
                i++;
            }
            i += i < line.len;
            continue;
        }
        const bool starts = (line.ptr[i] & 0xC0) != 0x80; /* a character of UTF-8 */
        if (starts && used == columns) {
            break;
        }
        used += starts;
        i++;
    }
    return i;
}

void hf_say_draw(struct hf_say *s, struct hf_slice lines)
{
    unsigned columns, rows;
    struct hf_slice line;
    struct hf_buffer all;
    if (!s->live) {
        return;
    }
    hf_say_size(&columns, &rows);
    hf_buffer_init(&all, &hf_heap, LINE_MAX_BYTES);
    if (s->drawn > 0) {
        hf_buffer_addf(&all, "\033[%zuA", s->drawn);
    }
    size_t count = 0;
    while (count + 1 < rows && hf_slice_next(&lines, '\n', &line)) {
        hf_say_add_tame(hf_slice_first(line, fitting(line, columns - 1)), s->live_color, &all);
        hf_buffer_add_text(&all, s->live_color ? "\033[0m\033[K\n" : "\033[K\n");
        count++;
    }
    hf_buffer_add_text(&all, "\033[J");
    s->drawn = count;
    (void)fwrite(all.data, 1, all.len, stderr);
    (void)fflush(stderr);
    hf_buffer_reset(&all);
}

void hf_say_undraw(struct hf_say *s)
{
    if (s->drawn > 0) {
        (void)fprintf(stderr, "\033[%zuA\033[J", s->drawn);
        (void)fflush(stderr);
        s->drawn = 0;
    }
}

/* ---- JSON ---------------------------------------------------------------------------------------
 */

struct hf_buffer *hf_say_begin(struct hf_say *s, const char *type)
{
    struct timespec now;
    char time[25];
    if (!s->json) {
        return NULL;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    hf_wall_text((hf_wall)now.tv_sec * 1000 + now.tv_nsec / 1000000, time);
    hf_buffer_clear(&s->out);
    hf_buffer_addf(&s->out, "{\"v\":1,\"type\":\"%s\",\"time\":\"%s\"", type, time);
    return &s->out;
}

void hf_say_end(struct hf_say *s)
{
    if (s->json && !s->out.failed) {
        hf_buffer_add_text(&s->out, "}\n");
        hf_say_undraw(s);
        (void)fwrite(s->out.data, 1, s->out.len, stdout);
        (void)fflush(stdout);
    }
}

void hf_json_text(struct hf_buffer *out, const char *key, struct hf_slice value)
{
    hf_buffer_addf(out, ",\"%s\":\"", key);
    hf_buffer_add_json(out, value);
    hf_buffer_add_text(out, "\"");
}

void hf_json_string(struct hf_buffer *out, const char *key, const char *value)
{
    hf_json_text(out, key, hf_slice_of(value));
}

void hf_json_number(struct hf_buffer *out, const char *key, int64_t value)
{
    hf_buffer_addf(out, ",\"%s\":%lld", key, (long long)value);
}

void hf_json_ms(struct hf_buffer *out, const char *key, hf_time value)
{
    if (value < 0) {
        hf_buffer_addf(out, ",\"%s\":null", key);
    } else {
        hf_buffer_addf(out, ",\"%s\":%.3f", key, (double)value / 1e3);
    }
}

void hf_json_bool(struct hf_buffer *out, const char *key, bool value)
{
    hf_buffer_addf(out, ",\"%s\":%s", key, value ? "true" : "false");
}

/* ---- tables and texts ---------------------------------------------------------------------------
 */

void hf_say_table_init(struct hf_say_table *t, size_t columns, uint32_t right)
{
    HF_ASSERT(columns > 0 && columns <= HF_TABLE_COLUMNS);
    *t = (struct hf_say_table){.columns = columns, .right = right};
    hf_buffer_init(&t->cells, &hf_heap, LINE_MAX_BYTES);
}

void hf_say_table_add(struct hf_say_table *t, const char *format, ...)
{
    va_list args;
    struct hf_buffer cell;
    hf_buffer_init(&cell, &hf_heap, LINE_MAX_BYTES);
    va_start(args, format);
    hf_buffer_addv(&cell, format, args);
    va_end(args);
    hf_say_add_tame(hf_buffer_slice(&cell), false, &t->cells);
    hf_buffer_add_byte(&t->cells, 0);
    hf_buffer_reset(&cell);
}

static size_t width_of(const char *text)
{
    size_t width = 0;
    for (const char *p = text; *p != '\0'; p++) {
        width += ((uint8_t)*p & 0xC0) != 0x80;
    }
    return width;
}

void hf_say_table_print(struct hf_say *s, struct hf_say_table *t)
{
    size_t widths[HF_TABLE_COLUMNS] = {0};
    const char *cell = (const char *)t->cells.data;
    const char *const end = cell + t->cells.len;
    size_t column = 0;
    if (t->cells.failed) {
        hf_buffer_reset(&t->cells);
        return;
    }
    for (const char *p = cell; p < end; p += strlen(p) + 1) {
        const size_t width = width_of(p);
        widths[column] = width > widths[column] ? width : widths[column];
        column = (column + 1) % t->columns;
    }
    hf_say_undraw(s);
    for (size_t row = 0; cell < end; row++) {
        (void)fputs(row == 0 ? hf_say_paint(s, HF_PAINT_GREY) : "", s->text);
        for (column = 0; column < t->columns && cell < end; column++) {
            const int pad = (int)(widths[column] - width_of(cell));
            const bool right = (t->right >> column & 1) != 0, last = column + 1 == t->columns;
            (void)fprintf(s->text, "%s%*s%s%*s", column > 0 ? "  " : "", right ? pad : 0, "", cell,
                          right || last ? 0 : pad, "");
            cell += strlen(cell) + 1;
        }
        (void)fprintf(s->text, "%s\n", row == 0 ? hf_say_paint(s, HF_PAINT_PLAIN) : "");
    }
    (void)fflush(s->text);
    hf_buffer_reset(&t->cells);
}

void hf_bytes_text(uint64_t bytes, char text[24])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit < 4) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(text, 24, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

void hf_say_clean(struct hf_slice text, size_t max, struct hf_buffer *out)
{
    const size_t start = out->len;
    bool blank = false;
    while (text.len > 0 && out->len - start < max) {
        const size_t len = character(text);
        const uint8_t c = text.ptr[0];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            blank = out->len > start;
        } else {
            hf_buffer_add_text(out, blank ? " " : "");
            blank = false;
            if (len > 0) {
                hf_buffer_add(out, hf_slice_first(text, len));
            } else {
                hf_buffer_add_text(out, "\xEF\xBF\xBD");
            }
        }
        text = hf_slice_from(text, len > 0 ? len : 1);
    }
    hf_buffer_add_text(out, text.len > 0 ? "…" : "");
}

/* ---- signals ------------------------------------------------------------------------------------
 */

static volatile sig_atomic_t interrupts;

static void on_signal(int number)
{
    if (++interrupts > 2) {
        _exit(128 + number);
    }
}

void hf_interrupt_watch(void)
{
    const struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: waits return */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

unsigned hf_interrupts(void)
{
    return (unsigned)interrupts;
}
