/* SPDX-License-Identifier: Apache-2.0 */
/* The demo on a terminal: see demo_draw.h. */
#include "tools/demo_draw.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LABEL_COLUMNS 11
#define STATE_COLUMNS 34
#define BAR_COLUMNS_MIN 8
#define LINES_ROUND_ROWS 10 /* of the picture, that are no client's row */
#define SHOW_CURSOR "\033[?25h"
#define HIDE_CURSOR "\033[?25l"

enum sign { SIGN_OPEN, SIGN_CUT, SIGN_AHEAD, SIGN_GONE, SIGNS };

static const char *const signs[2][SIGNS] = {
    {"=", "X", ".", " "},
    {"━", "✗", "·", " "},
};

const char *demo_style_text(bool colour, enum demo_style style)
{
    static const char *const texts[] = {
        [DEMO_PLAIN] = "\033[0m", [DEMO_BOLD] = "\033[1m",   [DEMO_DIM] = "\033[2m",
        [DEMO_GOOD] = "\033[32m", [DEMO_BAD] = "\033[1;31m", [DEMO_NOTE] = "\033[1;35m",
    };
    return colour ? texts[style] : "";
}

/* ---- lines of the picture: what does not fit is left out ----------------- */

static void put_text(struct demo_draw *d, enum demo_style style, const char *text)
{
    if (d->row >= d->height) {
        return;
    }
    hf_buffer_add_text(&d->out, demo_style_text(d->colour, style));
    for (const char *c = text; *c != '\0'; c++) {
        /* A continuation byte of UTF-8 takes no column of its own. */
        d->column += (*c & 0xc0) != 0x80;
        if (d->column > d->width) {
            break;
        }
        hf_buffer_add_byte(&d->out, (uint8_t)*c);
    }
    hf_buffer_add_text(&d->out, demo_style_text(d->colour, DEMO_PLAIN));
}

static void HF_PRINTF(3, 4)
    putf(struct demo_draw *d, enum demo_style style, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    put_text(d, style, text);
}

static void end_line(struct demo_draw *d)
{
    if (d->row < d->height) {
        hf_buffer_add_text(&d->out, "\033[K\r\n");
        d->row++;
    }
    d->column = 0;
}

static void put_line(struct demo_draw *d, enum demo_style style, const char *text)
{
    put_text(d, style, text);
    end_line(d);
}

/* ---- the head: what it is about, and the path ---------------------------- */

static void put_hop(struct demo_draw *d, unsigned columns)
{
    for (unsigned i = 0; i < columns; i++) {
        put_text(d, DEMO_DIM, d->utf8 ? "─" : "-");
    }
}

static void put_box(struct demo_draw *d)
{
    put_hop(d, 2);
    put_text(d, DEMO_BAD, " middlebox ");
    put_hop(d, 2);
}

static void put_paths(struct demo_draw *d)
{
    put_text(d, DEMO_BOLD, " plain    ");
    put_text(d, DEMO_PLAIN, "client ");
    put_box(d);
    put_hop(d, 14);
    put_text(d, DEMO_PLAIN, " backend");
    end_line(d);
    put_text(d, DEMO_BOLD, " held     ");
    put_text(d, DEMO_PLAIN, "client ");
    put_box(d);
    put_text(d, DEMO_GOOD, " holdfast ");
    put_hop(d, 4);
    put_text(d, DEMO_PLAIN, " backend");
    end_line(d);
}

static void put_head(struct demo_draw *d)
{
    put_line(d, DEMO_PLAIN,
             " A middlebox cuts every connection after 2 to 4 s, as bad networks and restarts do.");
    put_line(d, DEMO_PLAIN,
             " Plain clients connect again after 1 s; held ones are libholdfast behind holdfast.");
    end_line(d);
    put_paths(d);
    end_line(d);
}

/* ---- a client's row ------------------------------------------------------ */

static unsigned bar_columns(const struct demo_draw *d)
{
    unsigned others = LABEL_COLUMNS + STATE_COLUMNS + 2;
    return d->width < others + BAR_COLUMNS_MIN ? BAR_COLUMNS_MIN : d->width - others;
}

/* The time at which a column of the bar begins. */
static hf_time column_time(const struct demo_draw *d, unsigned column)
{
    return d->world->length * column / bar_columns(d);
}

/* The marks whose time begins there: each is drawn in one column. */
static unsigned marks_between(const struct demo_client *c, hf_time from, hf_time to)
{
    unsigned marks = 0;
    for (hf_time i = (from + HF_MS(DEMO_MARK_MS) - 1) / HF_MS(DEMO_MARK_MS);
         i * HF_MS(DEMO_MARK_MS) < to; i++) {
        marks |= i < DEMO_MARKS ? c->marks[i] : 0;
    }
    return marks;
}

static enum sign sign_at(const struct demo_draw *d, const struct demo_client *c, unsigned column,
                         hf_time now)
{
    hf_time from = column_time(d, column);
    unsigned marks = marks_between(c, from, column_time(d, column + 1));
    if (marks & DEMO_MARK_CUT) {
        return SIGN_CUT;
    }
    if (marks & DEMO_MARK_HERE) {
        return SIGN_OPEN;
    }
    return from > now || c->opened == 0 ? SIGN_AHEAD : SIGN_GONE;
}

static void put_bar(struct demo_draw *d, const struct demo_client *c)
{
    static const enum demo_style styles[SIGNS] = {[SIGN_OPEN] = DEMO_GOOD,
                                                  [SIGN_CUT] = DEMO_BAD,
                                                  [SIGN_AHEAD] = DEMO_DIM,
                                                  [SIGN_GONE] = DEMO_PLAIN};
    hf_time now = demo_world_now(d->world);
    for (unsigned i = 0; i < bar_columns(d); i++) {
        enum sign sign = sign_at(d, c, i, now);
        put_text(d, styles[sign], signs[d->utf8][sign]);
    }
}

static void put_state(struct demo_draw *d, const struct demo_client *c)
{
    unsigned lost = demo_client_lost(c);
    if (c->state == DEMO_FAILED) {
        putf(d, DEMO_BAD, "failed: %s", c->how);
        return;
    }
    if (c->opened == 0) {
        put_text(d, DEMO_DIM, "connecting");
        return;
    }
    putf(d, DEMO_PLAIN, "cut %u x  ", c->cuts);
    putf(d, c->closes == 0 ? DEMO_GOOD : DEMO_BAD, "closes %u  ", c->closes);
    putf(d, lost == 0 ? DEMO_GOOD : DEMO_BAD, "lost %u", lost);
}

static void put_row(struct demo_draw *d, const struct demo_client *c)
{
    putf(d, c->state == DEMO_CONNECTED ? DEMO_BOLD : DEMO_PLAIN, " %-6s %2u ",
         demo_side_text(c->side), c->number);
    put_bar(d, c);
    put_text(d, DEMO_PLAIN, "  ");
    put_state(d, c);
    end_line(d);
}

static void put_side(struct demo_draw *d, enum demo_side side, unsigned rows)
{
    unsigned count = d->world->options.clients;
    unsigned shown = count <= rows ? count : rows - 1;
    unsigned lost = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct demo_client *c = demo_world_client(d->world, side, i);
        if (i < shown) {
            put_row(d, c);
        } else {
            lost += demo_client_lost(c);
        }
    }
    if (shown < count) {
        putf(d, DEMO_PLAIN, " %-6s    and %u more, which lost %u", demo_side_text(side),
             count - shown, lost);
        end_line(d);
    }
}

/* ---- below the rows ------------------------------------------------------ */

static void put_axis(struct demo_draw *d)
{
    unsigned step = d->world->options.seconds > 30 ? 10 : 5;
    unsigned drawn = 0;
    putf(d, DEMO_PLAIN, "%*s", LABEL_COLUMNS, "");
    for (unsigned s = 0; s < d->world->options.seconds; s += step) {
        unsigned at = (unsigned)(bar_columns(d) * s / d->world->options.seconds);
        char text[16];
        int len = snprintf(text, sizeof(text), s == 0 ? "%u s" : "%u", s);
        if (at >= drawn) {
            putf(d, DEMO_DIM, "%*s%s", (int)(at - drawn), "", text);
            drawn = at + (unsigned)len;
        }
    }
    end_line(d);
}

static void put_legend(struct demo_draw *d)
{
    const char *const *s = signs[d->utf8];
    putf(d, DEMO_GOOD, " %s%s", s[SIGN_OPEN], s[SIGN_OPEN]);
    put_text(d, DEMO_PLAIN, " connected  ");
    put_text(d, DEMO_BAD, s[SIGN_CUT]);
    put_text(d, DEMO_PLAIN, " cut  closes: what the application sees   Ctrl-C ends");
    end_line(d);
}

/* ---- the terminal -------------------------------------------------------- */

static void write_all(struct hf_buffer *out)
{
    while (out->len > 0) {
        ssize_t n = write(STDOUT_FILENO, out->data, out->len);
        if (n > 0) {
            hf_buffer_drop(out, (size_t)n);
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = STDOUT_FILENO, .events = POLLOUT};
            (void)poll(&wait, 1, 1000);
        } else if (errno != EINTR) {
            hf_buffer_clear(out); /* nobody is there to look */
        }
    }
}

static void measure(struct demo_draw *d)
{
    struct winsize size = {0};
    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    d->width = size.ws_col > 0 ? size.ws_col : 80;
    /* The cursor stands below the last line, so one fewer than the terminal has. */
    d->height = (size.ws_row > 1 ? size.ws_row : 24u) - 1u;
}

static volatile sig_atomic_t stopped; /* since the last picture */

/* Ctrl-Z: the shell gets its cursor back; the next picture after `fg` hides it again. */
static void on_stop(int number)
{
    int error = errno;
    ssize_t ignored = write(STDOUT_FILENO, SHOW_CURSOR, sizeof(SHOW_CURSOR) - 1);
    (void)ignored;
    (void)raise(SIGSTOP);
    stopped = 1;
    errno = error;
}

/* What is typed would be written into the picture. */
static void set_quiet(struct demo_draw *d, bool quiet)
{
    struct termios now;
    if (quiet) {
        if (tcgetpgrp(STDIN_FILENO) != getpgrp() || tcgetattr(STDIN_FILENO, &now) != 0) {
            return;
        }
        if (!d->quiet) {
            d->before = now;
        }
        now.c_lflag &= ~(tcflag_t)ECHO;
        d->quiet = tcsetattr(STDIN_FILENO, TCSANOW, &now) == 0;
    } else if (d->quiet) {
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &d->before);
        d->quiet = false;
    }
}

void demo_draw_picture(struct demo_draw *d)
{
    if (stopped != 0) {
        stopped = 0;
        d->lines = 0; /* the shell wrote below it: a new one begins there */
        set_quiet(d, true);
    }
    measure(d);
    hf_buffer_clear(&d->out);
    hf_buffer_add_text(&d->out, HIDE_CURSOR);
    if (d->lines > 0) {
        hf_buffer_addf(&d->out, "\r\033[%uA", d->lines);
    }
    unsigned room = d->height > LINES_ROUND_ROWS ? (d->height - LINES_ROUND_ROWS) / 2 : 0;
    d->row = 0;
    d->column = 0;
    put_head(d);
    put_axis(d);
    put_side(d, DEMO_PLAIN_SIDE, room < 2 ? 2 : room);
    end_line(d);
    put_side(d, DEMO_HELD_SIDE, room < 2 ? 2 : room);
    end_line(d);
    put_legend(d);
    hf_buffer_add_text(&d->out, "\033[J");
    d->lines = d->row;
    write_all(&d->out);
}

void demo_draw_init(struct demo_draw *d, struct demo_world *world, bool colour)
{
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    *d = (struct demo_draw){.world = world, .colour = colour};
    hf_buffer_init(&d->out, &hf_heap, 1 << 20);
    (void)setlocale(LC_CTYPE, "");
    d->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    (void)sigaction(SIGTSTP, &stop, NULL);
    set_quiet(d, true);
}

void demo_draw_fini(struct demo_draw *d)
{
    hf_buffer_clear(&d->out);
    hf_buffer_add_text(&d->out, SHOW_CURSOR);
    write_all(&d->out);
    set_quiet(d, false);
    (void)signal(SIGTSTP, SIG_DFL);
    hf_buffer_reset(&d->out);
}
