/* SPDX-License-Identifier: Apache-2.0 */
/* The line that is edited in holdfast connect: libedit, with its wait for a key taken over, so that
 * the client's loop turns meanwhile and what comes is printed above the line. The history lives as
 * long as the program: what is sent may be secret. */
#include "tools/connect.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define HISTORY_LINES 1000
#define PROMPT "> "

static volatile sig_atomic_t resized;

static void on_resize(int number)
{
    (void)number;
    resized = 1;
}

struct connect_line {
    struct connect *connect;
    EditLine *edit;
    History *history;
    mbstate_t decoding;
    bool reading; /* the prompt stands */
};

static char *prompt(EditLine *edit)
{
    static char text[] = PROMPT;
    (void)edit;
    return text;
}

/* One character: 1, or 0 for the end, as libedit wants. */
static int read_key(EditLine *edit, wchar_t *key)
{
    struct connect_line *line;
    el_get(edit, EL_CLIENTDATA, &line);
    while (!line->connect->closed && !connect_interrupted()) {
        char byte;
        if (resized) {
            resized = 0;
            el_resize(edit);
        }
        if (!connect_wait(line->connect, STDIN_FILENO, -1)) {
            continue;
        }
        const ssize_t n = read(STDIN_FILENO, &byte, 1);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
            return 0;
        }
        if (n < 0) {
            continue;
        }
        const size_t whole = mbrtowc(key, &byte, 1, &line->decoding);
        if (whole == (size_t)-1) {
            memset(&line->decoding, 0, sizeof(line->decoding));
        } else if (whole != (size_t)-2) {
            return 1;
        }
    }
    return 0;
}

struct connect_line *connect_line_open(struct connect *c)
{
    struct connect_line *line = calloc(1, sizeof(*line));
    HistEvent event;
    if (line == NULL) {
        return NULL;
    }
    if (setlocale(LC_CTYPE, "") == NULL || MB_CUR_MAX == 1) {
        (void)setlocale(LC_CTYPE, "C.UTF-8");
    }
    line->connect = c;
    line->edit = el_init("holdfast", stdin, stdout, stderr);
    line->history = history_init();
    if (line->edit == NULL || line->history == NULL) {
        connect_line_close(line);
        return NULL;
    }
    history(line->history, &event, H_SETSIZE, HISTORY_LINES);
    history(line->history, &event, H_SETUNIQUE, 1);
    el_set(line->edit, EL_CLIENTDATA, line);
    el_set(line->edit, EL_PROMPT, prompt);
    el_set(line->edit, EL_EDITOR, "emacs");
    el_set(line->edit, EL_HIST, history, line->history);
    el_set(line->edit, EL_GETCFN, read_key);
    el_source(line->edit, NULL); /* ~/.editrc */
    const struct sigaction action = {.sa_handler = on_resize};
    sigaction(SIGWINCH, &action, NULL);
    return line;
}

void connect_line_close(struct connect_line *line)
{
    if (line == NULL) {
        return;
    }
    if (line->history != NULL) {
        history_end(line->history);
    }
    if (line->edit != NULL) {
        el_end(line->edit);
    }
    free(line);
}

const char *connect_line_read(struct connect_line *line, size_t *len)
{
    HistEvent event;
    int count = 0;
    line->reading = true;
    const char *text = el_gets(line->edit, &count);
    line->reading = false;
    if (text == NULL || count <= 0) {
        fputs("\r\033[K", stdout);
        fflush(stdout);
        return NULL;
    }
    *len = (size_t)count;
    if (text[*len - 1] == '\n') {
        --*len;
    }
    if (*len > 0) {
        history(line->history, &event, H_ENTER, text);
    }
    return text;
}

/* Columns that a text takes. */
static size_t width_of(const char *text, size_t len)
{
    mbstate_t state = {0};
    size_t width = 0;
    while (len > 0) {
        wchar_t c;
        const size_t n = mbrtowc(&c, text, len, &state);
        if (n == 0 || n > len) {
            break;
        }
        const int columns = wcwidth(c);
        width += columns > 0 ? (size_t)columns : 0;
        text += n;
        len -= n;
    }
    return width;
}

/* The rows of the screen between the prompt and the cursor. */
static size_t rows_above(struct connect_line *line)
{
    const LineInfo *info = el_line(line->edit);
    const size_t width =
        strlen(PROMPT) + width_of(info->buffer, (size_t)(info->cursor - info->buffer));
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        return 0;
    }
    return width / size.ws_col;
}

void connect_line_hide(struct connect_line *line)
{
    if (line != NULL && line->reading) {
        const size_t rows = rows_above(line);
        if (rows > 0) {
            printf("\033[%zuA", rows);
        }
        fputs("\r\033[J", stdout);
        fflush(stdout);
    }
}

void connect_line_show(struct connect_line *line)
{
    if (line != NULL && line->reading && !line->connect->closed) {
        el_set(line->edit, EL_REFRESH);
    }
}
