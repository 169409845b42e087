/* SPDX-License-Identifier: Apache-2.0 */
/* The demo on a terminal: one picture, drawn again in its place ten times a second, a row for each
 * client. Colours are those that can be read on a light and on a dark ground. */
#ifndef HF_TOOLS_DEMO_DRAW_H
#define HF_TOOLS_DEMO_DRAW_H

#include "tools/demo_world.h"

#include <termios.h>

enum demo_style { DEMO_PLAIN, DEMO_BOLD, DEMO_DIM, DEMO_GOOD, DEMO_BAD, DEMO_NOTE };

struct demo_draw {
    struct demo_world *world;
    bool colour;
    bool utf8;      /* else the picture is made of ASCII */
    unsigned width; /* of the terminal, in columns */
    unsigned height;
    unsigned lines; /* of the picture that stands there; 0: none */
    unsigned row;   /* of the picture under construction */
    unsigned column;
    struct hf_buffer out;
    struct termios before; /* of standard input */
    bool quiet;            /* its echo is off: the terminal shows the picture alone */
};

/* The escape sequence, "" without colour. */
const char *demo_style_text(bool colour, enum demo_style style);

/* Hides the cursor. A stop from the keyboard (Ctrl-Z) shows it, and hides it again later. */
void demo_draw_init(struct demo_draw *d, struct demo_world *world, bool colour);
void demo_draw_picture(struct demo_draw *d);
/* The last picture stays, the cursor stands below it and is seen again. */
void demo_draw_fini(struct demo_draw *d);

#endif
