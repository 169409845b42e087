/* SPDX-License-Identifier: Apache-2.0 */
/* What holdfast bench prints. */
#include "tools/bench.h"

#include <inttypes.h>

#define QUANTILES 5
static const struct {
    double share;
    const char *name, *key;
} quantiles[QUANTILES] = {
    {0.5, "p50", "p50"},       {0.9, "p90", "p90"},          {0.99, "p99", "p99"},
    {0.999, "p99.9", "p99_9"}, {0.9999, "p99.99", "p99_99"},
};
#define PEAKS 4
#define PEAK_STRENGTH 3.0
/* A generator that sends this late is itself what is measured. */
#define LATE HF_MS(20)

static void add_counts(struct bench_counts *a, const struct bench_counts *b)
{
    a->opened += b->opened;
    a->failed += b->failed;
    a->dropped += b->dropped;
    a->open_now += b->open_now;
    a->sent += b->sent;
    a->answered += b->answered;
    a->unanswered += b->unanswered;
    a->unsent += b->unsent;
    a->got += b->got;
    a->extra += b->extra;
    a->bytes_sent += b->bytes_sent;
    a->bytes_got += b->bytes_got;
}

void bench_gather(struct bench_run *run, struct bench_totals *all)
{
    memset(all, 0, sizeof(*all));
    for (unsigned i = 0; i < run->threads; i++) {
        struct bench_thread *t = &run->all[i];
        pthread_mutex_lock(&t->lock);
        add_counts(&all->counts, &t->shown.counts);
        hf_histogram_merge(&all->handshake, &t->shown.handshake);
        hf_histogram_merge(&all->direct, &t->shown.direct);
        hf_histogram_merge(&all->corrected, &t->shown.corrected);
        hf_histogram_merge(&all->late, &t->shown.late);
        hf_histogram_merge(&all->gap, &t->shown.gap);
        pthread_mutex_unlock(&t->lock);
    }
}

/* ---- the start ----------------------------------------------------------------------------------
 */

void bench_say_start(struct bench_run *run)
{
    struct hf_buffer url;
    char duration[24];
    hf_buffer_init(&url, &hf_heap, 65536);
    hf_target_print(&run->target, &url);
    hf_duration_text(run->duration, duration);
    struct hf_buffer *out = hf_say_begin(&run->say, "start");
    if (out != NULL) {
        hf_json_text(out, "url", hf_buffer_slice(&url));
        hf_json_string(out, "mode", bench_mode_names[run->mode]);
        hf_json_number(out, "connections", run->connections);
        hf_json_number(out, "threads", run->threads);
        hf_json_ms(out, "duration_ms", run->duration);
        hf_buffer_addf(out, ",\"rate\":%.3f", run->rate);
        hf_say_end(&run->say);
    } else {
        char rate[64] = "";
        if (run->rate > 0) {
            (void)snprintf(rate, sizeof(rate), ", %g %s/s", run->rate,
                           run->mode == BENCH_STORM ? "handshakes" : "messages");
        }
        hf_say_line(&run->say, "%s%s%s  %.*s  %u connection%s%s, %s, %u thread%s",
                    hf_say_paint(&run->say, HF_PAINT_BOLD), bench_mode_names[run->mode],
                    hf_say_paint(&run->say, HF_PAINT_PLAIN), HF_SLICE_ARG(hf_buffer_slice(&url)),
                    run->connections, run->connections > 1 ? "s" : "", rate, duration, run->threads,
                    run->threads > 1 ? "s" : "");
    }
    hf_buffer_reset(&url);
}

/* ---- progress -----------------------------------------------------------------------------------
 */

/* The histogram that a mode is about. */
static const struct hf_histogram *main_histogram(const struct bench_run *run,
                                                 const struct bench_totals *t)
{
    switch (run->mode) {
    case BENCH_RATE:
        return &t->corrected;
    case BENCH_STORM:
        return run->rate > 0 ? &t->corrected : &t->handshake;
    case BENCH_STREAM:
        return &t->gap;
    case BENCH_ECHO:
    case BENCH_HOLD:
    case BENCH_MODES:
        break;
    }
    return &t->direct;
}

/* What a mode counts. */
static uint64_t main_count(const struct bench_run *run, const struct bench_counts *c)
{
    return run->mode == BENCH_STORM    ? c->opened
           : run->mode == BENCH_STREAM ? c->got
           : run->mode == BENCH_HOLD   ? c->open_now
                                       : c->answered;
}

void bench_say_progress(struct bench_run *run, const struct bench_totals *before,
                        const struct bench_totals *now, double seconds)
{
    const struct bench_counts *c = &now->counts, *b = &before->counts;
    const uint64_t count = main_count(run, c), old = main_count(run, b);
    const double rate =
        run->mode == BENCH_HOLD || count < old ? 0 : (double)(count - old) / seconds;
    const hf_time age = bench_now() - run->begun;
    struct hf_buffer *out = hf_say_begin(&run->say, "progress");
    if (out != NULL) {
        hf_json_ms(out, "age_ms", age);
        hf_json_number(out, "open", (int64_t)c->open_now);
        hf_json_number(out, "failed", (int64_t)c->failed);
        hf_json_number(out, "dropped", (int64_t)c->dropped);
        hf_json_number(out, "sent", (int64_t)c->sent);
        hf_json_number(out, "answered", (int64_t)c->answered);
        hf_json_number(out, "got", (int64_t)c->got);
        hf_buffer_addf(out, ",\"rate\":%.1f", rate);
        hf_say_end(&run->say);
        return;
    }
    if (!run->say.live) {
        return;
    }
    struct hf_buffer line;
    char text[24], p50[24], p99[24];
    const struct hf_histogram *h = main_histogram(run, now);
    hf_buffer_init(&line, &hf_heap, 4096);
    hf_age_text(age, text);
    hf_buffer_addf(&line, "%s%s%s  %" PRIu64 " open", hf_say_live_paint(&run->say, HF_PAINT_GREY),
                   text, hf_say_live_paint(&run->say, HF_PAINT_PLAIN), c->open_now);
    if (rate > 0) {
        hf_buffer_addf(&line, "  %.0f/s", rate);
    }
    if (h->count > 0) {
        hf_age_text(hf_histogram_quantile(h, 0.5), p50);
        hf_age_text(hf_histogram_quantile(h, 0.99), p99);
        hf_buffer_addf(&line, "  p50 %s  p99 %s", p50, p99);
    }
    if (c->failed + c->dropped > 0) {
        hf_buffer_addf(&line, "  %s%" PRIu64 " ended, %" PRIu64 " not opened",
                       hf_say_live_paint(&run->say, HF_PAINT_RED), c->dropped, c->failed);
    }
    hf_buffer_add_text(&line, "\n");
    hf_say_draw(&run->say, hf_buffer_slice(&line));
    hf_buffer_reset(&line);
}

/* ---- the result: text ---------------------------------------------------------------------------
 */

static void add_row(struct hf_say_table *t, const char *name, const struct hf_histogram *h)
{
    char text[24];
    if (h->count == 0) {
        return;
    }
    hf_say_table_add(t, "%s", name);
    for (size_t i = 0; i < QUANTILES; i++) {
        hf_age_text(hf_histogram_quantile(h, quantiles[i].share), text);
        hf_say_table_add(t, "%s", text);
    }
    hf_age_text(h->max, text);
    hf_say_table_add(t, "%s", text);
    hf_age_text((hf_time)hf_histogram_mean(h), text);
    hf_say_table_add(t, "%s", text);
    hf_say_table_add(t, "%" PRIu64, h->count);
}

static void text_latencies(struct bench_run *run, const struct bench_totals *all)
{
    struct hf_say_table t;
    hf_say_table_init(&t, 4 + QUANTILES, ~1U);
    hf_say_table_add(&t, "%s", "");
    for (size_t i = 0; i < QUANTILES; i++) {
        hf_say_table_add(&t, "%s", quantiles[i].name);
    }
    hf_say_table_add(&t, "most");
    hf_say_table_add(&t, "mean");
    hf_say_table_add(&t, "count");
    add_row(&t, "handshake", &all->handshake);
    add_row(&t,
            run->mode == BENCH_STORM ? "  from when it was due" : "answer, from when it was due",
            &all->corrected);
    add_row(&t,
            run->mode == BENCH_RATE   ? "answer, from when it was sent"
            : run->mode == BENCH_HOLD ? "ping"
                                      : "answer",
            &all->direct);
    add_row(&t, "between two messages", &all->gap);
    hf_say_table_print(&run->say, &t);
}

static void text_counts(struct bench_run *run, const struct bench_totals *all)
{
    const struct bench_counts *c = &all->counts;
    const double s = run->measured_s > 0 ? run->measured_s : 1;
    char up[24], down[24];
    struct hf_say *say = &run->say;
    hf_bytes_text((uint64_t)((double)c->bytes_sent / s), up);
    hf_bytes_text((uint64_t)((double)c->bytes_got / s), down);
    if (run->mode == BENCH_STORM) {
        hf_say_line(say, "%" PRIu64 " handshakes in %.1f s, %.1f/s; %" PRIu64 " failed", c->opened,
                    run->measured_s, (double)c->opened / s, c->failed);
        return;
    }
    hf_say_line(say,
                "%" PRIu64 " connections opened in %.2f s, %" PRIu64 " failed, %" PRIu64
                " ended early, %" PRIu64 " open at the end",
                c->opened, run->opening_s, c->failed, c->dropped, c->opened - c->dropped);
    if (run->mode == BENCH_STREAM) {
        hf_say_line(say, "%" PRIu64 " messages came in %.1f s, %.1f/s, %s/s", c->got,
                    run->measured_s, (double)c->got / s, down);
    } else if (run->mode != BENCH_HOLD) {
        hf_say_line(say,
                    "%" PRIu64 " messages sent in %.1f s, %.1f/s, %s/s up, %s/s down; %" PRIu64
                    " answered, %" PRIu64 " not",
                    c->sent, run->measured_s, (double)c->sent / s, up, down, c->answered,
                    c->unanswered);
    }
    if (c->unsent > 0) {
        hf_say_line(say, "%" PRIu64 " messages were due on connections that were not open",
                    c->unsent);
    }
    if (c->extra > 0) {
        hf_say_line(say, "%" PRIu64 " messages came that answer nothing", c->extra);
    }
}

static void text_drops(struct bench_run *run)
{
    struct bench_ledger *l = &run->ledger;
    struct hf_say_table t;
    if (l->count == 0) {
        return;
    }
    hf_say_table_init(&t, 7, 0x1D);
    static const char *const heads[] = {
        "endings", "how", "code", "age: least", "median", "most", "who, what was said"};
    for (size_t i = 0; i < 7; i++) {
        hf_say_table_add(&t, "%s", heads[i]);
    }
    for (size_t i = 0; i < l->count; i++) {
        const struct bench_drop *d = &l->drops[i];
        struct hf_buffer reason;
        char text[24];
        hf_buffer_init(&reason, &hf_heap, 4096);
        hf_say_clean(hf_slice_of(d->reason), 60, &reason);
        hf_say_table_add(&t, "%" PRIu64, d->count);
        hf_say_table_add(&t, "%s", hf_trial_how_text(d->how));
        hf_say_table_add(&t, "%u", d->http != 0 ? d->http : d->code);
        for (size_t q = 0; q < 3; q++) {
            hf_age_text(hf_histogram_quantile(d->ages, (double)q / 2), text);
            hf_say_table_add(&t, "%s", d->ages->count == 0 ? "not open" : text);
        }
        hf_say_table_add(&t, "%s%s%.*s%s%s", d->who, reason.len > 0 ? ": " : "",
                         HF_SLICE_ARG(hf_buffer_slice(&reason)),
                         strcmp(d->cause, "unknown") == 0 ? "" : "; ",
                         strcmp(d->cause, "unknown") == 0 ? "" : d->cause);
        hf_buffer_reset(&reason);
    }
    hf_say_table_print(&run->say, &t);
    if (l->others > 0) {
        hf_say_line(&run->say, "and %" PRIu64 " of other kinds", l->others);
    }
}

static const char *peak_what(enum hf_peak_kind kind)
{
    switch (kind) {
    case HF_PEAK_AGE:
        return "s of age";
    case HF_PEAK_CLOCK:
        return "s of the run (one instant)";
    case HF_PEAK_UP:
        return "messages of ours";
    case HF_PEAK_DOWN:
        return "messages of the server's";
    case HF_PEAK_BYTES_UP:
        return "bytes of ours";
    case HF_PEAK_BYTES_DOWN:
        break;
    }
    return "bytes of the server's";
}

static void text_peaks(struct bench_run *run)
{
    struct hf_peak peaks[PEAKS];
    const size_t count = hf_survival_peaks(run->ledger.survival, peaks, PEAKS);
    for (size_t i = 0; i < count; i++) {
        if (peaks[i].strength >= PEAK_STRENGTH) {
            hf_say_line(&run->say, "%s%" PRIu64 " of them gather at %.4g %s (%.4g to %.4g)%s",
                        hf_say_paint(&run->say, HF_PAINT_YELLOW), peaks[i].count, peaks[i].at,
                        peak_what(peaks[i].kind), peaks[i].low, peaks[i].high,
                        hf_say_paint(&run->say, HF_PAINT_PLAIN));
        }
    }
}

static void text_warnings(struct bench_run *run, const struct bench_totals *all)
{
    const hf_time late = hf_histogram_quantile(&all->late, 0.99);
    const struct bench_counts *c = &all->counts;
    const uint64_t done = run->mode == BENCH_STORM ? c->opened : c->sent;
    char text[24];
    if (run->mode == BENCH_RATE && late > LATE) {
        hf_age_text(late, text);
        hf_say_line(&run->say,
                    "%sone message in a hundred went out more than %s late: this machine, or a "
                    "server that does not read, could not keep up%s",
                    hf_say_paint(&run->say, HF_PAINT_YELLOW), text,
                    hf_say_paint(&run->say, HF_PAINT_PLAIN));
    }
    if (run->rate > 0 && (double)done < 0.95 * run->rate * run->measured_s) {
        hf_say_line(&run->say, "%sthe rate was not reached: %.1f/s of %g%s",
                    hf_say_paint(&run->say, HF_PAINT_RED),
                    (double)done / (run->measured_s > 0 ? run->measured_s : 1), run->rate,
                    hf_say_paint(&run->say, HF_PAINT_PLAIN));
    }
    if (run->mode == BENCH_STREAM && c->got == 0 && c->opened > 0) {
        hf_say_line(&run->say, "nothing came: --say names the message that starts the stream");
    }
    if (run->mode != BENCH_STREAM && c->sent > 0 && c->answered == 0) {
        hf_say_line(&run->say,
                    "nothing was answered: the server must answer each message with one; "
                    "--message names one that it does");
    }
}

/* ---- the result: JSON ---------------------------------------------------------------------------
 */

static void json_histogram(struct hf_buffer *out, const char *key, const struct hf_histogram *h)
{
    hf_buffer_addf(out, ",\"%s\":", key);
    if (h->count == 0) {
        hf_buffer_add_text(out, "null");
        return;
    }
    hf_buffer_addf(out, "{\"count\":%" PRIu64 ",\"min\":%.3f", h->count, (double)h->min / 1e3);
    for (size_t i = 0; i < QUANTILES; i++) {
        hf_json_ms(out, quantiles[i].key, hf_histogram_quantile(h, quantiles[i].share));
    }
    hf_json_ms(out, "max", h->max);
    hf_buffer_addf(out, ",\"mean\":%.3f}", hf_histogram_mean(h) / 1e3);
}

static void json_drops(struct bench_run *run, struct hf_buffer *out)
{
    const struct bench_ledger *l = &run->ledger;
    hf_buffer_add_text(out, ",\"drops\":[");
    for (size_t i = 0; i < l->count; i++) {
        const struct bench_drop *d = &l->drops[i];
        const bool open = d->ages->count > 0;
        hf_buffer_addf(out, "%s{\"count\":%" PRIu64, i > 0 ? "," : "", d->count);
        hf_json_string(out, "how", hf_trial_how_text(d->how));
        hf_json_string(out, "phase", hf_trial_phase_text(d->phase));
        hf_json_string(out, "who", d->who);
        hf_json_string(out, "cause", d->cause);
        hf_json_number(out, "code", d->code);
        hf_json_number(out, "http", d->http);
        hf_json_number(out, "errno", d->error);
        hf_json_string(out, "reason", d->reason);
        hf_json_ms(out, "age_min_ms", open ? d->ages->min : -1);
        hf_json_ms(out, "age_median_ms", open ? hf_histogram_quantile(d->ages, 0.5) : -1);
        hf_json_ms(out, "age_max_ms", open ? d->ages->max : -1);
        hf_buffer_add_text(out, "}");
    }
    hf_buffer_add_text(out, "]");
    hf_json_number(out, "other_drops", (int64_t)l->others);
}

static void json_peaks(struct bench_run *run, struct hf_buffer *out)
{
    static const char *const kinds[] = {
        [HF_PEAK_AGE] = "age_s",           [HF_PEAK_CLOCK] = "clock_s",
        [HF_PEAK_UP] = "messages_sent",    [HF_PEAK_DOWN] = "messages_got",
        [HF_PEAK_BYTES_UP] = "bytes_sent", [HF_PEAK_BYTES_DOWN] = "bytes_got",
    };
    struct hf_peak peaks[PEAKS];
    const size_t count = hf_survival_peaks(run->ledger.survival, peaks, PEAKS);
    const char *comma = "";
    hf_buffer_add_text(out, ",\"peaks\":[");
    for (size_t i = 0; i < count; i++) {
        if (peaks[i].strength >= PEAK_STRENGTH) {
            hf_buffer_addf(out,
                           "%s{\"kind\":\"%s\",\"at\":%.6g,\"low\":%.6g,\"high\":%.6g,\"count\":"
                           "%" PRIu64 "}",
                           comma, kinds[peaks[i].kind], peaks[i].at, peaks[i].low, peaks[i].high,
                           peaks[i].count);
            comma = ",";
        }
    }
    hf_buffer_add_text(out, "]");
}

static void json_result(struct bench_run *run, const struct bench_totals *all,
                        struct hf_buffer *out)
{
    const struct bench_counts *c = &all->counts;
    const double s = run->measured_s > 0 ? run->measured_s : 1;
    hf_json_string(out, "mode", bench_mode_names[run->mode]);
    hf_buffer_addf(out, ",\"opening_s\":%.3f,\"measured_s\":%.3f", run->opening_s, run->measured_s);
    hf_json_number(out, "opened", (int64_t)c->opened);
    hf_json_number(out, "failed", (int64_t)c->failed);
    hf_json_number(out, "dropped", (int64_t)c->dropped);
    hf_json_number(out, "sent", (int64_t)c->sent);
    hf_json_number(out, "answered", (int64_t)c->answered);
    hf_json_number(out, "unanswered", (int64_t)c->unanswered);
    hf_json_number(out, "unsent", (int64_t)c->unsent);
    hf_json_number(out, "got", (int64_t)c->got);
    hf_json_number(out, "extra", (int64_t)c->extra);
    hf_json_number(out, "bytes_sent", (int64_t)c->bytes_sent);
    hf_json_number(out, "bytes_got", (int64_t)c->bytes_got);
    hf_buffer_addf(out, ",\"rate\":%.3f",
                   (double)(run->mode == BENCH_HOLD ? 0 : main_count(run, c)) / s);
    json_histogram(out, "handshake_ms", &all->handshake);
    json_histogram(out, "latency_ms", all->corrected.count > 0 ? &all->corrected : &all->direct);
    json_histogram(out, "uncorrected_ms", &all->direct);
    json_histogram(out, "late_ms", &all->late);
    json_histogram(out, "gap_ms", &all->gap);
    json_drops(run, out);
    json_peaks(run, out);
}

void bench_say_result(struct bench_run *run, const struct bench_totals *all)
{
    struct hf_buffer *out = hf_say_begin(&run->say, "summary");
    if (out != NULL) {
        json_result(run, all, out);
        hf_say_end(&run->say);
        return;
    }
    text_counts(run, all);
    if (all->handshake.count > 0) {
        text_latencies(run, all);
    }
    text_drops(run);
    text_peaks(run);
    text_warnings(run, all);
}
