/* SPDX-License-Identifier: Apache-2.0 */
/* The pictures of a report. Colours are classes of the page's style sheet; every mark has a shape
 * of its own too, for those who do not see colours. */
#include "report/charts.h"

#include "cause/survival.h"
#include "report/svg.h"

#include <stdio.h>

#define WIDTH 960.0
#define LEFT 170.0
#define RIGHT 940.0
#define ROW 16.0
#define ARMS_MAX 80
#define LANES_MAX 24 /* rows of one arm */
#define POINTS_MAX 160
#define DOTS_MAX 4000

/* ---- arms -------------------------------------------------------------------------------------
 */

struct arm_rows {
    const char *name;
    uint8_t path;
    hf_time begun; /* of its first */
};

static bool same_arm(const struct hf_trial *t, const struct arm_rows *arm)
{
    return t->path == arm->path && (t->arm == arm->name || strcmp(t->arm, arm->name) == 0);
}

/* In the order in which they begin. */
static size_t arms_of(const struct hf_report *r, struct arm_rows arms[ARMS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct hf_trial *t = &r->trials[i];
        size_t k = 0;
        while (k < n && !same_arm(t, &arms[k])) {
            k++;
        }
        if (k == n && n < ARMS_MAX) {
            arms[n++] = (struct arm_rows){.name = t->arm, .path = t->path, .begun = t->begun};
        }
        if (k < n && t->begun < arms[k].begun) {
            arms[k].begun = t->begun;
        }
    }
    for (size_t i = 1; i < n; i++) {
        const struct arm_rows arm = arms[i];
        size_t at = i;
        for (; at > 0 && arms[at - 1].begun > arm.begun; at--) {
            arms[at] = arms[at - 1];
        }
        arms[at] = arm;
    }
    return n;
}

static double seconds(hf_time t)
{
    return (double)t / 1e6;
}

static hf_time begins(const struct hf_trial *t)
{
    return t->opened != 0 ? t->opened : t->begun;
}

static hf_time ends(const struct hf_trial *t)
{
    return begins(t) + t->end.age;
}

static void say_trial(struct hf_buffer *out, const struct hf_trial *t)
{
    hf_buffer_add_text(out, "<title>");
    hf_report_escape(out, hf_slice_of(t->arm));
    hf_buffer_add_text(out, ": ");
    hf_report_duration(out, t->end.age);
    hf_buffer_addf(out, ", %s", hf_trial_how_text(t->end.how));
    if (t->end.code != 0) {
        hf_buffer_addf(out, ", code %u", t->end.code);
    }
    if (t->end.http != 0) {
        hf_buffer_addf(out, ", HTTP %u", t->end.http);
    }
    if (t->end.reason[0] != '\0') {
        hf_buffer_add_text(out, ", ");
        hf_report_escape(out, hf_slice_of(t->end.reason));
    }
    hf_buffer_add_text(out, "</title>");
}

/* A cross for a death, an arrow for what lives, a stop for what we ended. */
static void mark(struct hf_buffer *out, const struct hf_trial *t, double x, double y)
{
    if (hf_trial_is_dead(t)) {
        hf_buffer_addf(out, "<path class=\"death\" d=\"M%.1f %.1fl8 8m0 -8l-8 8\">", x - 4, y - 4);
    } else if (t->end.how == HF_HOW_ALIVE) {
        hf_buffer_addf(out, "<path class=\"lives\" d=\"M%.1f %.1fl6 4l-6 4\">", x - 5, y - 4);
    } else {
        hf_buffer_addf(out, "<path class=\"ours\" d=\"M%.1f %.1fv8\">", x, y - 4);
    }
    say_trial(out, t);
    hf_buffer_add_text(out, "</path>\n");
}

static void arm_label(struct hf_buffer *out, const struct arm_rows *arm, double y)
{
    char text[80];
    const int n =
        snprintf(text, sizeof(text), "%.22s%s", arm->name, strlen(arm->name) > 22 ? "..." : "");
    hf_svg_text(out, LEFT - 10, y + 4, "end", "row", hf_slice(text, n > 0 ? (size_t)n : 0));
}

/* ---- timeline ---------------------------------------------------------------------------------
 */

struct lanes {
    hf_time free_at[LANES_MAX];
    size_t count;
};

static size_t lane_for(struct lanes *l, const struct hf_trial *t)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->free_at[i] <= begins(t)) {
            l->free_at[i] = ends(t);
            return i;
        }
    }
    if (l->count < LANES_MAX) {
        l->free_at[l->count] = ends(t);
        return l->count++;
    }
    return LANES_MAX - 1;
}

/* The arm's trials in the order of their beginnings; order has room for all of them. */
static size_t in_order(const struct hf_report *r, const struct arm_rows *arm, size_t *order)
{
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct hf_trial *t = &r->trials[i];
        if (same_arm(t, arm)) {
            size_t at = n++;
            for (; at > 0 && begins(&r->trials[order[at - 1]]) > begins(t); at--) {
                order[at] = order[at - 1];
            }
            order[at] = i;
        }
    }
    return n;
}

static void bar(struct hf_buffer *out, const struct hf_svg_frame *f, const struct hf_trial *t,
                double y)
{
    const double from = hf_svg_x(f, seconds(begins(t))), to = hf_svg_x(f, seconds(ends(t)));
    if (hf_trial_was_open(t)) {
        hf_buffer_addf(out,
                       "<rect class=\"life\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"6\">",
                       from, y - 3, to - from > 1 ? to - from : 1);
        say_trial(out, t);
        hf_buffer_add_text(out, "</rect>\n");
    }
    mark(out, t, to, y);
}

void hf_chart_timeline(const struct hf_report *r, const struct hf_allocator *alloc,
                       struct hf_buffer *out)
{
    struct arm_rows arms[ARMS_MAX];
    const size_t n = arms_of(r, arms);
    size_t *order = hf_alloc(alloc, (r->count + 1) * sizeof(*order));
    struct hf_buffer rows;
    double y = 14;
    struct hf_svg_frame f = {
        .width = WIDTH, .left = LEFT, .right = RIGHT, .top = 4, .x_max = seconds(r->lasted)};
    hf_buffer_init(&rows, alloc, (size_t)16 << 20);
    for (size_t i = 0; i < n && order != NULL; i++) {
        struct lanes lanes = {.count = 0};
        const size_t count = in_order(r, &arms[i], order);
        arm_label(&rows, &arms[i], y);
        for (size_t k = 0; k < count; k++) {
            const struct hf_trial *t = &r->trials[order[k]];
            bar(&rows, &f, t, y + ROW * (double)lane_for(&lanes, t));
        }
        y += ROW * (double)(lanes.count > 0 ? lanes.count : 1) + 4;
    }
    f.bottom = y - 4;
    f.height = f.bottom + 44;
    hf_svg_open(
        out, &f, "timeline", "Timeline of all connections",
        "A row for each connection at a time; a cross is an end by the other side, an arrow "
        "a connection that lived, a stroke one that was ended by the watch.");
    hf_svg_seconds(out, &f, "seconds since the watch began");
    hf_buffer_add(out, hf_buffer_slice(&rows));
    out->failed |= rows.failed || order == NULL;
    hf_svg_close(out);
    hf_buffer_reset(&rows);
    hf_release(alloc, order);
}

/* ---- ages and gaps ----------------------------------------------------------------------------
 */

/* The verdict's value as a line, where it is a time. */
static void value_line(const struct hf_report *r, const struct hf_svg_frame *f,
                       struct hf_buffer *out)
{
    const struct hf_candidate *best = &r->verdict->best;
    if (hf_verdict_unit(best->class)[0] == 's' && best->value > 0 && best->value <= f->x_max) {
        const double x = hf_svg_x(f, best->value);
        hf_buffer_addf(out,
                       "<line class=\"value\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\">"
                       "<title>%.3g s, the value of the verdict</title></line>\n",
                       x, f->top, x, f->bottom, best->value);
    }
}

static double longest(const struct hf_report *r)
{
    hf_time most = HF_SECONDS(1);
    for (size_t i = 0; i < r->count; i++) {
        most = r->trials[i].end.age > most ? r->trials[i].end.age : most;
    }
    return seconds(most) * 1.02;
}

static struct hf_svg_frame strips(const struct hf_report *r, size_t rows)
{
    struct hf_svg_frame f = {
        .width = WIDTH, .left = LEFT, .right = RIGHT, .top = 4, .x_max = longest(r)};
    f.bottom = f.top + (ROW + 6) * (double)(rows > 0 ? rows : 1) + 4;
    f.height = f.bottom + 44;
    return f;
}

void hf_chart_ages(const struct hf_report *r, const struct hf_allocator *alloc,
                   struct hf_buffer *out)
{
    struct arm_rows arms[ARMS_MAX];
    const size_t n = arms_of(r, arms);
    const struct hf_svg_frame f = strips(r, n);
    hf_svg_open(
        out, &f, "ages", "Age at the end, by arm",
        "A cross at the age at which the other side ended a connection; an arrow at the age "
        "that a connection reached alive.");
    hf_svg_seconds(out, &f, "age in seconds");
    value_line(r, &f, out);
    for (size_t i = 0; i < n; i++) {
        const double y = f.top + 14 + (ROW + 6) * (double)i;
        arm_label(out, &arms[i], y);
        for (size_t k = 0; k < r->count; k++) {
            if (same_arm(&r->trials[k], &arms[i]) && hf_trial_was_open(&r->trials[k])) {
                mark(out, &r->trials[k], hf_svg_x(&f, seconds(r->trials[k].end.age)), y);
            }
        }
    }
    hf_svg_close(out);
}

static void gap_marks(struct hf_buffer *out, const struct hf_svg_frame *f, const struct hf_trial *t,
                      double y)
{
    const double in = hf_svg_x(f, seconds(t->end.silent_rx));
    const double away = hf_svg_x(f, seconds(t->end.silent_tx));
    hf_buffer_addf(out, "<path class=\"got\" d=\"M%.1f %.1fl4 -7h-8z\">", in, y - 1);
    say_trial(out, t);
    hf_buffer_addf(out, "</path><path class=\"sent\" d=\"M%.1f %.1fl4 7h-8z\">", away, y + 1);
    say_trial(out, t);
    hf_buffer_add_text(out, "</path>\n");
}

void hf_chart_gaps(const struct hf_report *r, const struct hf_allocator *alloc,
                   struct hf_buffer *out)
{
    struct arm_rows arms[ARMS_MAX];
    const size_t n = arms_of(r, arms);
    const struct hf_svg_frame f = strips(r, n);
    size_t deaths = 0;
    for (size_t k = 0; k < r->count; k++) {
        deaths += hf_trial_was_open(&r->trials[k]) && hf_trial_is_dead(&r->trials[k]);
    }
    if (deaths == 0) {
        hf_buffer_add_text(out,
                           "<p class=\"empty\">No connection was ended by the other side.</p>\n");
        return;
    }
    hf_svg_open(out, &f, "gaps", "Silence before each end, by arm",
                "A triangle above the row: how long nothing had been received; below the row: how "
                "long nothing had been sent. An idle timer shows as one place for all.");
    hf_svg_seconds(out, &f, "seconds without a byte before the end: received above, sent below");
    value_line(r, &f, out);
    for (size_t i = 0; i < n; i++) {
        const double y = f.top + 14 + (ROW + 6) * (double)i;
        arm_label(out, &arms[i], y);
        for (size_t k = 0; k < r->count; k++) {
            const struct hf_trial *t = &r->trials[k];
            if (same_arm(t, &arms[i]) && hf_trial_was_open(t) && hf_trial_is_dead(t)) {
                gap_marks(out, &f, t, y);
            }
        }
    }
    hf_svg_close(out);
}

/* ---- survival ---------------------------------------------------------------------------------
 */

static size_t curve_of(const struct hf_report *r, const struct hf_allocator *alloc,
                       struct hf_survival_point *points, struct hf_buffer *out)
{
    struct hf_survival *s = hf_survival_new(alloc, 1);
    size_t n = 0;
    enum hf_status status = s == NULL ? HF_NO_MEMORY : HF_OK;
    for (size_t i = 0; i < r->count && status == HF_OK; i++) {
        const struct hf_trial *t = &r->trials[i];
        if (hf_trial_was_open(t) && t->path == 0) {
            status = hf_survival_add(s, &(struct hf_lifetime){.age = t->end.age,
                                                              .ended = ends(t),
                                                              .messages_up = -1,
                                                              .messages_down = -1,
                                                              .bytes_up = -1,
                                                              .bytes_down = -1,
                                                              .censored = !hf_trial_is_dead(t)});
        }
    }
    if (s != NULL && status == HF_OK && hf_survival_total(s) > 0) {
        n = hf_survival_curve(s, points, POINTS_MAX);
        out->failed |= n == 0; /* it had no memory */
    }
    out->failed |= status != HF_OK;
    hf_survival_free(s);
    return n;
}

static void steps(struct hf_buffer *out, const struct hf_svg_frame *f,
                  const struct hf_survival_point *p, size_t n)
{
    hf_buffer_add_text(out, "<path class=\"band\" d=\"");
    for (size_t i = 0; i < n; i++) {
        const double x = hf_svg_x(f, seconds(p[i].age)), y = hf_svg_y(f, p[i].high);
        hf_buffer_addf(out, i == 0 ? "M%.1f %.1f" : "H%.1fV%.1f", x, y);
    }
    hf_buffer_addf(out, "H%.1fV%.1f", f->right, hf_svg_y(f, p[n - 1].low));
    for (size_t i = n; i-- > 0;) { /* back: each step falls at its own age */
        hf_buffer_addf(out, "H%.1f", hf_svg_x(f, seconds(p[i].age)));
        if (i > 0) {
            hf_buffer_addf(out, "V%.1f", hf_svg_y(f, p[i - 1].low));
        }
    }
    hf_buffer_add_text(out, "Z\"/>\n<path class=\"curve\" d=\"");
    for (size_t i = 0; i < n; i++) {
        const double x = hf_svg_x(f, seconds(p[i].age)), y = hf_svg_y(f, p[i].alive);
        hf_buffer_addf(out, i == 0 ? "M%.1f %.1f" : "H%.1fV%.1f", x, y);
    }
    hf_buffer_addf(out, "H%.1f\"/>\n", f->right);
}

void hf_chart_survival(const struct hf_report *r, const struct hf_allocator *alloc,
                       struct hf_buffer *out)
{
    struct hf_survival_point points[POINTS_MAX];
    const size_t n = curve_of(r, alloc, points, out);
    const struct hf_svg_frame f = {.width = WIDTH,
                                   .height = 300,
                                   .left = 66,
                                   .right = RIGHT,
                                   .top = 10,
                                   .bottom = 256,
                                   .x_max = longest(r),
                                   .y_max = 1};
    if (n == 0) {
        hf_buffer_add_text(out, "<p class=\"empty\">No connection opened.</p>\n");
        return;
    }
    hf_svg_open(
        out, &f, "survival", "How many connections still live at an age",
        "The Kaplan-Meier curve of all connections that opened, with its 95 % band. A timer "
        "is a cliff, loss is a slope.");
    hf_svg_seconds(out, &f, "age in seconds");
    for (int percent = 0; percent <= 100; percent += 25) {
        char text[16];
        const double y = hf_svg_y(&f, percent / 100.0);
        (void)snprintf(text, sizeof(text), "%d %%", percent);
        hf_buffer_addf(out,
                       "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>",
                       f.left, y, f.right, y);
        hf_svg_text(out, f.left - 14, y + 4, "end", "tick", hf_slice_of(text));
    }
    steps(out, &f, points, n);
    value_line(r, &f, out);
    hf_svg_close(out);
}

/* ---- round trips ------------------------------------------------------------------------------
 */

static size_t pongs_of(const struct hf_trial *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->moment_count; i++) {
        n += t->moments[i].kind == HF_MOMENT_PONG_GOT;
    }
    return n;
}

static void powers(struct hf_buffer *out, const struct hf_svg_frame *f)
{
    for (double ms = f->y_min; ms <= f->y_max * 1.001; ms *= 10) {
        char text[24];
        const double y = hf_svg_y(f, ms);
        if (ms >= 1000) {
            (void)snprintf(text, sizeof(text), "%g s", ms / 1000);
        } else {
            (void)snprintf(text, sizeof(text), "%g ms", ms);
        }
        hf_buffer_addf(out,
                       "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>",
                       f->left, y, f->right, y);
        hf_svg_text(out, f->left - 14, y + 4, "end", "tick", hf_slice_of(text));
    }
}

void hf_chart_round_trips(const struct hf_report *r, struct hf_buffer *out)
{
    struct hf_svg_frame f = {.width = WIDTH,
                             .height = 260,
                             .left = 76,
                             .right = RIGHT,
                             .top = 10,
                             .bottom = 216,
                             .x_max = seconds(r->lasted),
                             .y_min = 0.1,
                             .y_max = 1,
                             .y_log = true};
    size_t dots = 0, skip, seen = 0;
    for (size_t i = 0; i < r->count; i++) {
        dots += pongs_of(&r->trials[i]);
        for (size_t k = 0; k < r->trials[i].moment_count; k++) {
            const struct hf_moment *m = &r->trials[i].moments[k];
            while (m->kind == HF_MOMENT_PONG_GOT && m->size / 1000.0 > f.y_max) {
                f.y_max *= 10;
            }
        }
    }
    if (dots == 0) {
        hf_buffer_add_text(out, "<p class=\"empty\">No ping was answered.</p>\n");
        return;
    }
    skip = dots / DOTS_MAX + 1;
    hf_svg_open(
        out, &f, "round-trips", "Round trips of pings",
        "A point for each answered ping, at the time of its answer; the scale is "
        "logarithmic. A server that is blocked shows as a rise on all connections at once.");
    hf_svg_seconds(out, &f, "seconds since the watch began");
    powers(out, &f);
    hf_buffer_add_text(out, "<path class=\"dots\" d=\"");
    for (size_t i = 0; i < r->count; i++) {
        const struct hf_trial *t = &r->trials[i];
        for (size_t k = 0; k < t->moment_count; k++) {
            const struct hf_moment *m = &t->moments[k];
            if (m->kind == HF_MOMENT_PONG_GOT && seen++ % skip == 0) {
                hf_buffer_addf(out, "M%.1f %.1fh0", hf_svg_x(&f, seconds(t->opened + m->at)),
                               hf_svg_y(&f, m->size / 1000.0));
            }
        }
    }
    hf_buffer_add_text(out, "\"/>\n");
    hf_svg_close(out);
}
