/* SPDX-License-Identifier: Apache-2.0 */
/* How the commands speak: lines for people with or without colours, lines that are drawn over while
 * something goes on, tables, lines of JSON; and the signals that end a command orderly.
 *
 * With JSON, its lines are all that goes to standard output, and everything else goes to standard
 * error. Without, what a command has to say goes to standard output, and what it draws over while
 * it works goes to standard error, when that is a terminal. */
#ifndef HF_TOOLS_SAY_H
#define HF_TOOLS_SAY_H

#include "base/buffer.h"
#include "base/time.h"

#include <stdio.h>

enum hf_paint {
    HF_PAINT_PLAIN,
    HF_PAINT_BOLD,
    HF_PAINT_GREY,
    HF_PAINT_RED,
    HF_PAINT_GREEN,
    HF_PAINT_YELLOW,
    HF_PAINT_BLUE,
};

struct hf_say {
    const char *command; /* "probe": stands in front of complaints */
    bool json;
    bool color; /* of the lines for people */
    bool live;  /* lines can be drawn over */
    bool live_color;
    FILE *text;           /* where lines for people go */
    struct hf_buffer out; /* the line that is being made */
    size_t drawn;         /* lines that stand on the screen to be drawn over */
};

/* color: false for --no-color; NO_COLOR, TERM=dumb and what is no terminal have none either way. */
void hf_say_init(struct hf_say *s, const char *command, bool json, bool color);
/* Takes what is drawn off the screen. */
void hf_say_fini(struct hf_say *s);

/* The escape for it, or "" where there are no colours. */
const char *hf_say_paint(const struct hf_say *s, enum hf_paint paint);
/* The same for drawn lines. */
const char *hf_say_live_paint(const struct hf_say *s, enum hf_paint paint);

/* A line for people, its newline included. What is printed here, complained, drawn and set in
 * tables steers no terminal: all escapes but our own paint, and all controls, are replaced. */
void hf_say_line(struct hf_say *s, const char *format, ...) HF_PRINTF(2, 3);
/* The same, unpainted; on a terminal it is broken between words where the screen ends, and goes on
 * below column `left`, where its words begin. */
void hf_say_hanging(struct hf_say *s, size_t left, const char *format, ...) HF_PRINTF(3, 4);
/* The same on standard error, behind "holdfast COMMAND: ". */
void hf_say_complain(struct hf_say *s, const char *format, ...) HF_PRINTF(2, 3);
/* Draws these lines (each ends with \n) where the last ones stood. Lines longer than the terminal
 * is wide are cut; more lines than it is high are left out. Nothing without a terminal. */
void hf_say_draw(struct hf_say *s, struct hf_slice lines);
/* Takes them off. */
void hf_say_undraw(struct hf_say *s);
/* Of the terminal that is drawn on; 80 and 24 where there is none. */
void hf_say_size(unsigned *columns, unsigned *rows);

/* ---- JSON ---------------------------------------------------------------------------------------
 */

/* Begins an object with v, type and time. NULL when no JSON is wanted. */
struct hf_buffer *hf_say_begin(struct hf_say *s, const char *type);
/* Ends it and writes the line. */
void hf_say_end(struct hf_say *s);
/* Members: a comma, the key, the value. */
void hf_json_text(struct hf_buffer *out, const char *key, struct hf_slice value);
void hf_json_string(struct hf_buffer *out, const char *key, const char *value);
void hf_json_number(struct hf_buffer *out, const char *key, int64_t value);
/* Milliseconds with three decimals; null for a negative time. */
void hf_json_ms(struct hf_buffer *out, const char *key, hf_time value);
void hf_json_bool(struct hf_buffer *out, const char *key, bool value);

/* ---- tables and texts ---------------------------------------------------------------------------
 */

#define HF_TABLE_COLUMNS 12
struct hf_say_table {
    struct hf_buffer cells; /* texts, each with a NUL behind */
    size_t columns;
    uint32_t right; /* bit for each column that is set to the right */
};
void hf_say_table_init(struct hf_say_table *t, size_t columns, uint32_t right);
void hf_say_table_add(struct hf_say_table *t, const char *format, ...) HF_PRINTF(2, 3);
/* Prints it, its first row grey, and frees it. */
void hf_say_table_print(struct hf_say *s, struct hf_say_table *t);

/* "512 B", "1.5 MiB"; at most 24 bytes. */
void hf_bytes_text(uint64_t bytes, char text[24]);
/* A text of a stranger's for a terminal: controls and what is no UTF-8 replaced, cut behind max
 * bytes with an ellipsis. */
void hf_say_clean(struct hf_slice text, size_t max, struct hf_buffer *out);
/* The whole text, its blanks, tabs and newlines as they are, other controls and what is no UTF-8
 * replaced. paint: our own colours pass. */
void hf_say_add_tame(struct hf_slice text, bool paint, struct hf_buffer *out);

/* ---- signals ------------------------------------------------------------------------------------
 */

/* From now on SIGINT and SIGTERM are counted instead of ending the process; a third one ends it. */
void hf_interrupt_watch(void);
unsigned hf_interrupts(void);

#endif
