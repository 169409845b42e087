/* SPDX-License-Identifier: Apache-2.0 */
/* What the charts of a report share: a frame with axes, and scales. Pure. */
#ifndef HF_REPORT_SVG_H
#define HF_REPORT_SVG_H

#include "base/buffer.h"
#include "base/time.h"

#include <stdbool.h>

struct hf_svg_frame {
    double width, height;            /* of the picture */
    double left, right, top, bottom; /* of the plot inside it */
    double x_max, y_max; /* values at the right and at the top; both begin at x_min... */
    double x_min, y_min;
    bool y_log;
};

double hf_svg_x(const struct hf_svg_frame *f, double value);
double hf_svg_y(const struct hf_svg_frame *f, double value);
/* A step of 1, 2 or 5 times a power of ten that parts `range` in at most `most`. */
double hf_svg_step(double range, int most);
/* <svg ...> with title and description for those who do not see it. id: unique on the page. */
void hf_svg_open(struct hf_buffer *out, const struct hf_svg_frame *f, const char *id,
                 const char *title, const char *description);
void hf_svg_close(struct hf_buffer *out);
/* Grid lines and seconds along the bottom. */
void hf_svg_seconds(struct hf_buffer *out, const struct hf_svg_frame *f, const char *label);
/* Escaped text; anchor: start, middle or end; class: of the style sheet. */
void hf_svg_text(struct hf_buffer *out, double x, double y, const char *anchor, const char *class,
                 struct hf_slice text);

#endif
