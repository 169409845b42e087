/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast connect: what its files share. connect.c is the command, connect_say.c what it prints,
 * connect_line.c the line that is edited. */
#ifndef HF_TOOLS_CONNECT_H
#define HF_TOOLS_CONNECT_H

#include "base/buffer.h"

#include <holdfast.h>

struct connect_line;

struct connect {
    /* what is wanted */
    bool json;
    bool color;
    bool interactive; /* a person types */
    bool retry;       /* goes on when the first attempt fails */
    const char **execute;
    size_t execute_count;
    double wait; /* seconds behind the last input */
    /* what there is */
    struct holdfast_loop *loop;
    struct holdfast_client *client;
    struct connect_line *line; /* NULL: nobody types */
    bool was_open, closing, closed;
    int status; /* exit code */
};

/* One event, for people or as a line of JSON. */
void connect_say(struct connect *c, const struct holdfast_event *event);
/* A sentence of our own, on standard error. */
void connect_complain(struct connect *c, const char *format, ...) HF_PRINTF(2, 3);

/* The line is taken off the screen for something to be printed, and put back. line may be NULL. */
void connect_line_hide(struct connect_line *line);
void connect_line_show(struct connect_line *line);
/* NULL: the terminal cannot be used. */
struct connect_line *connect_line_open(struct connect *c);
void connect_line_close(struct connect_line *line);
/* Edits a line, while the loop turns. NULL: the end (of input, of the session, by a signal). The
 * text is without its newline and lives until the next call. */
const char *connect_line_read(struct connect_line *line, size_t *len);
/* Waits for descriptor `fd` (-1: none) and the loop, for at most ms (-1: for ever). True when fd
 * has something. */
bool connect_wait(struct connect *c, int fd, int ms);
/* A signal asked to end. */
bool connect_interrupted(void);

#endif
