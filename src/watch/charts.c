/* SPDX-License-Identifier: Apache-2.0 */
/* The pictures of the status page: the strip of up and down, the survival curve, the round trips.
 * Each says in words what it shows, and a sentence stands in its place when there is nothing to
 * draw. */
#include "watch/charts.h"

#include "cause/survival.h"
#include "report/report.h"
#include "report/svg.h"

#include <stdio.h>

#define STRIP_WIDTH 720
#define STRIP_HEIGHT 26

/* ---- the strip ----------------------------------------------------------------------------- */

enum strip_state { STRIP_UNKNOWN, STRIP_UP, STRIP_SHAKY, STRIP_DOWN, STRIP_QUIET };

static enum strip_state state_of(const struct hf_record *r, int64_t from, int64_t to)
{
    double share = hf_record_share(r, from, to);
    bool quiet = false;
    uint32_t drops = 0;
    for (int64_t minute = from; minute < to; minute++) {
        const struct hf_record_minute *m = hf_record_minute_find(r, minute);
        quiet = quiet || (m != NULL && m->quiet);
        drops += m == NULL ? 0U : m->drops;
    }
    if (share < 0) {
        return STRIP_UNKNOWN;
    }
    if (share >= 0.995 && drops == 0) {
        return STRIP_UP;
    }
    if (quiet) {
        return STRIP_QUIET;
    }
    return share < 0.5 ? STRIP_DOWN : STRIP_SHAKY;
}

static void add_part(struct hf_buffer *out, enum strip_state state, double x, double width)
{
    static const char *const classes[] = {"s-none", "s-up", "s-shaky", "s-down", "s-quiet"};
    hf_buffer_addf(out, "<rect class=\"%s\" x=\"%.2f\" y=\"0\" width=\"%.2f\" height=\"%d\"/>",
                   classes[state], x, width, STRIP_HEIGHT);
}

/* Neighbours that are alike are one part, so that a week of peace is one rectangle. */
void hf_watch_chart_strip(const struct hf_watch_target *t, int64_t minutes, int64_t parts,
                          const char *label, const char *begins, struct hf_buffer *out)
{
    int64_t end = hf_watch_wall(t->watch) / 60000 + 1;
    int64_t each = minutes / parts;
    double width = (double)STRIP_WIDTH / (double)parts;
    double share = hf_record_share(&t->record, end - minutes, end);
    char words[64];
    if (share < 0) {
        (void)snprintf(words, sizeof(words), "nothing is known yet");
    } else {
        (void)snprintf(words, sizeof(words), "up %.3f %% of the time", share * 100);
    }
    hf_buffer_addf(out,
                   "<figure class=\"strip\"><figcaption>%s <span>%s</span></figcaption>"
                   "<svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" role=\"img\" "
                   "aria-label=\"%s: %s\">",
                   label, words, STRIP_WIDTH, STRIP_HEIGHT, label, words);
    int64_t from = 0;
    enum strip_state before = STRIP_UNKNOWN;
    for (int64_t i = 0; i <= parts; i++) {
        int64_t at = end - minutes + i * each;
        enum strip_state now = i < parts ? state_of(&t->record, at, at + each) : STRIP_UNKNOWN;
        if (i > from && (now != before || i == parts)) {
            add_part(out, before, (double)from * width, (double)(i - from) * width);
            from = i;
        }
        before = now;
    }
    hf_buffer_addf(
        out, "</svg><div class=\"ends\"><span>%s</span><span>now</span></div></figure>\n", begins);
}

/* ---- survival ------------------------------------------------------------------------------- */

static struct hf_survival *lifetimes(const struct hf_watch_target *t)
{
    struct hf_survival *s = hf_survival_new(&hf_heap, 1);
    struct hf_lifetime l = {
        .messages_up = -1, .messages_down = -1, .bytes_up = -1, .bytes_down = -1};
    enum hf_status status = s == NULL ? HF_NO_MEMORY : HF_OK;
    for (size_t i = 0; status == HF_OK && i < t->record.ending_count; i++) {
        const struct hf_record_ending *e = hf_record_ending_at(&t->record, i);
        if (!e->is_check && e->judged != HF_JUDGED_FAILED) {
            l.age = e->held;
            l.ended = e->time * 1000;
            l.censored = e->judged == HF_JUDGED_OURS;
            status = hf_survival_add(s, &l);
        }
    }
    for (size_t i = 0; status == HF_OK && i < t->settings->connections; i++) {
        if (t->sessions[i].up) {
            l.age = hf_watch_now(t->watch) - t->sessions[i].opened;
            l.ended = hf_watch_wall(t->watch) * 1000;
            l.censored = true;
            status = hf_survival_add(s, &l);
        }
    }
    if (status != HF_OK) {
        hf_survival_free(s);
        return NULL;
    }
    return s;
}

/* A step that people count time in, which parts the range in at most `most`; seconds. */
static double time_step(double range, int most)
{
    static const double steps[] = {1,     2,     5,     10,    15,     30,    60,
                                   120,   300,   600,   900,   1800,   3600,  7200,
                                   14400, 21600, 43200, 86400, 172800, 432000};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (range / steps[i] <= most) {
            return steps[i];
        }
    }
    return hf_svg_step(range, most);
}

static void add_age_axis(struct hf_buffer *out, const struct hf_svg_frame *f)
{
    double step = f->x_max < 5 ? hf_svg_step(f->x_max, 5) : time_step(f->x_max, 5);
    for (double at = 0; at <= f->x_max * 1.0001; at += step) {
        char text[24];
        double x = hf_svg_x(f, at);
        hf_buffer_addf(out,
                       "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", x,
                       f->top, x, f->bottom);
        hf_duration_text((hf_time)(at * 1000 + 0.5) * 1000, text);
        hf_svg_text(out, x, f->bottom + 15, "middle", "tick", hf_slice_of(text));
    }
}

static void add_share_axis(struct hf_buffer *out, const struct hf_svg_frame *f)
{
    static const char *const words[] = {"0", "50 %", "100 %"};
    for (int i = 0; i <= 2; i++) {
        double y = hf_svg_y(f, i * 0.5);
        hf_buffer_addf(out,
                       "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>",
                       f->left, y, f->right, y);
        hf_svg_text(out, f->left - 5, y + 4, "end", "tick", hf_slice_of(words[i]));
    }
}

static void add_curve(struct hf_buffer *out, const struct hf_svg_frame *f,
                      const struct hf_survival_point *points, size_t count)
{
    double y = hf_svg_y(f, 1);
    hf_buffer_addf(out, "<path class=\"curve\" d=\"M%.1f %.1f", f->left, y);
    for (size_t i = 0; i < count; i++) {
        double x = hf_svg_x(f, (double)points[i].age / 1e6);
        hf_buffer_addf(out, "H%.1f", x);
        y = hf_svg_y(f, points[i].alive);
        hf_buffer_addf(out, "V%.1f", y);
    }
    hf_buffer_addf(out, "H%.1f\"/>", f->right);
}

/* Where they gather: a timer at one age, restarts at one time. */
static void add_peak(struct hf_buffer *out, struct hf_survival *s)
{
    struct hf_peak peaks[HF_SURVIVAL_PEAKS];
    size_t count = hf_survival_peaks(s, peaks, HF_SURVIVAL_PEAKS);
    for (size_t i = 0; i < count; i++) {
        char age[24];
        if (peaks[i].kind == HF_PEAK_AGE) {
            hf_age_text((hf_time)(peaks[i].at * 1e6), age);
            hf_buffer_addf(out,
                           "<p class=\"note\">%llu ended at an age of about %s: a timer, not "
                           "chance.</p>",
                           (unsigned long long)peaks[i].count, age);
            return;
        }
        if (peaks[i].kind == HF_PEAK_CLOCK) {
            hf_buffer_addf(out, "<p class=\"note\">%llu ended at one instant: a restart.</p>",
                           (unsigned long long)peaks[i].count);
            return;
        }
    }
}

void hf_watch_chart_survival(const struct hf_watch_target *t, struct hf_buffer *out)
{
    struct hf_survival_point points[200];
    struct hf_survival *s = lifetimes(t);
    size_t count = s == NULL ? 0 : hf_survival_curve(s, points, 200);
    hf_buffer_add_text(out, "<figure><figcaption>How long connections live</figcaption>");
    if (count == 0 || hf_survival_ended(s) == 0) {
        hf_buffer_add_text(out, "<p class=\"none\">No held connection has ended yet.</p>");
    } else {
        char description[160];
        char median[24];
        hf_time half = hf_survival_quantile(s, 0.5);
        struct hf_svg_frame f = {.width = 360,
                                 .height = 130,
                                 .left = 44,
                                 .right = 348,
                                 .top = 8,
                                 .bottom = 106,
                                 .y_max = 1};
        f.x_max = (double)points[count - 1].age / 1e6;
        f.x_max = f.x_max > 0.001 ? f.x_max : 0.001;
        hf_age_text(half == HF_NEVER ? 0 : half, median);
        (void)snprintf(description, sizeof(description), "%llu of %llu ended; %s%s",
                       (unsigned long long)hf_survival_ended(s),
                       (unsigned long long)hf_survival_total(s),
                       half == HF_NEVER ? "more than half live on" : "half of them within ",
                       half == HF_NEVER ? "" : median);
        hf_buffer_addf(out,
                       "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"Share of "
                       "connections that still live at an age: %s\">",
                       f.width, f.height, description);
        add_age_axis(out, &f);
        add_share_axis(out, &f);
        add_curve(out, &f, points, count);
        hf_buffer_addf(out, "</svg><p class=\"note\">%s</p>", description);
        add_peak(out, s);
    }
    hf_buffer_add_text(out, "</figure>\n");
    hf_survival_free(s);
}

/* ---- round trips ---------------------------------------------------------------------------- */

void hf_watch_chart_rtt(const struct hf_watch_target *t, struct hf_buffer *out)
{
    const struct hf_record *r = &t->record;
    size_t first = (r->sample_next + HF_RECORD_SAMPLES - r->sample_count) % HF_RECORD_SAMPLES;
    uint32_t most = 1;
    uint64_t sum = 0;
    hf_buffer_add_text(out, "<figure><figcaption>Round trips</figcaption>");
    for (size_t i = 0; i < r->sample_count; i++) {
        uint32_t us = r->samples[(first + i) % HF_RECORD_SAMPLES];
        most = us > most ? us : most;
        sum += us;
    }
    if (r->sample_count < 2) {
        hf_buffer_add_text(out, "<p class=\"none\">Fewer than two pings were answered yet.</p></figure>\n");
        return;
    }
    char last[24];
    char mean[24];
    char high[24];
    struct hf_svg_frame f = {.width = 360,
                             .height = 130,
                             .left = 58,
                             .right = 348,
                             .top = 8,
                             .bottom = 106,
                             .x_max = (double)(r->sample_count - 1)};
    f.y_max = (double)most * 1.05;
    hf_age_text(t->last_rtt < 0 ? 0 : t->last_rtt, last);
    hf_age_text((hf_time)(sum / r->sample_count), mean);
    hf_age_text(most, high);
    hf_buffer_addf(out,
                   "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"The last %zu round "
                   "trips: mean %s, longest %s\">",
                   f.width, f.height, r->sample_count, mean, high);
    for (int i = 0; i <= 2; i++) {
        char text[24];
        double y = hf_svg_y(&f, f.y_max * i / 2);
        hf_age_text((hf_time)(f.y_max * i / 2), text);
        hf_buffer_addf(out,
                       "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>",
                       f.left, y, f.right, y);
        hf_svg_text(out, f.left - 5, y + 4, "end", "tick", hf_slice_of(i == 0 ? "0" : text));
    }
    hf_buffer_add_text(out, "<polyline class=\"curve\" points=\"");
    for (size_t i = 0; i < r->sample_count; i++) {
        hf_buffer_addf(out, "%.1f,%.1f ", hf_svg_x(&f, (double)i),
                       hf_svg_y(&f, r->samples[(first + i) % HF_RECORD_SAMPLES]));
    }
    hf_buffer_addf(out,
                   "\"/></svg><p class=\"note\">last %s, mean of %zu %s, longest %s</p></figure>\n",
                   last, r->sample_count, mean, high);
}
