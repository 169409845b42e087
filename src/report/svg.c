/* SPDX-License-Identifier: Apache-2.0 */
/* What the charts of a report share. */
#include "report/svg.h"

#include "report/report.h"

#include <math.h>
#include <stdio.h>

double hf_svg_x(const struct hf_svg_frame *f, double value)
{
    const double range = f->x_max > f->x_min ? f->x_max - f->x_min : 1;
    return f->left + (value - f->x_min) / range * (f->right - f->left);
}

double hf_svg_y(const struct hf_svg_frame *f, double value)
{
    double part;
    if (f->y_log) {
        const double low = log10(f->y_min), high = log10(f->y_max);
        part = (log10(value > f->y_min ? value : f->y_min) - low) / (high > low ? high - low : 1);
    } else {
        part = (value - f->y_min) / (f->y_max > f->y_min ? f->y_max - f->y_min : 1);
    }
    return f->bottom - part * (f->bottom - f->top);
}

double hf_svg_step(double range, int most)
{
    static const double factors[] = {1, 2, 5, 10};
    double unit;
    if (!(range > 0) || most < 1) {
        return 1;
    }
    unit = pow(10, floor(log10(range / most)));
    for (int i = 0; i < 4; i++) {
        if (range / (unit * factors[i]) <= most) {
            return unit * factors[i];
        }
    }
    return unit * 10;
}

void hf_svg_text(struct hf_buffer *out, double x, double y, const char *anchor, const char *class,
                 struct hf_slice text)
{
    hf_buffer_addf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y,
                   anchor, class);
    hf_report_escape(out, text);
    hf_buffer_add_text(out, "</text>\n");
}

void hf_svg_open(struct hf_buffer *out, const struct hf_svg_frame *f, const char *id,
                 const char *title, const char *description)
{
    hf_buffer_addf(
        out,
        "<div class=\"chart\" tabindex=\"0\"><svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
        "aria-labelledby=\"%s-t %s-d\">\n<title id=\"%s-t\">",
        f->width, f->height, id, id, id);
    hf_report_escape(out, hf_slice_of(title));
    hf_buffer_addf(out, "</title><desc id=\"%s-d\">", id);
    hf_report_escape(out, hf_slice_of(description));
    hf_buffer_add_text(out, "</desc>\n");
}

void hf_svg_close(struct hf_buffer *out)
{
    hf_buffer_add_text(out, "</svg></div>\n");
}

void hf_svg_seconds(struct hf_buffer *out, const struct hf_svg_frame *f, const char *label)
{
    const double step = hf_svg_step(f->x_max - f->x_min, 10);
    char text[32];
    for (double at = ceil(f->x_min / step) * step; at <= f->x_max + step / 1000; at += step) {
        const double x = hf_svg_x(f, at);
        hf_buffer_addf(out,
                       "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", x,
                       f->top, x, f->bottom);
        (void)snprintf(text, sizeof(text), "%.4g s", at);
        hf_svg_text(out, x, f->bottom + 18, "middle", "tick", hf_slice_of(text));
    }
    hf_svg_text(out, (f->left + f->right) / 2, f->bottom + 36, "middle", "label",
                hf_slice_of(label));
}
