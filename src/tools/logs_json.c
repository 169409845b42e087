/* SPDX-License-Identifier: Apache-2.0 */
/* What holdfast logs says with --json: ending, finding, summary. docs/diagnosis.md. */
#include "tools/logs_say.h"

#define CURVE_POINTS 200

static void put_time(struct hf_buffer *out, const char *key, int64_t at)
{
    char text[25];
    if (at == HF_LOGS_NO_TIME) {
        hf_buffer_addf(out, ",\"%s\":null", key);
        return;
    }
    hf_logs_time_text(at, text);
    hf_json_string(out, key, text);
}

static void put_known(struct hf_buffer *out, const char *key, int64_t n)
{
    if (n < 0) {
        hf_buffer_addf(out, ",\"%s\":null", key);
    } else {
        hf_json_number(out, key, n);
    }
}

/* What a catalogue of causes makes of one ending alone, where the log tells how it ended: rarely
 * more than candidates. */
static void put_candidates(struct hf_buffer *out, const struct hf_logs_ending *e)
{
    static const enum hf_trial_how hows[HF_LOGS_HOWS] = {
        [HF_LOGS_HOW_CLOSE] = HF_HOW_CLOSE,
        [HF_LOGS_HOW_FIN] = HF_HOW_FIN,
        [HF_LOGS_HOW_RST] = HF_HOW_RST,
        [HF_LOGS_HOW_SILENCE] = HF_HOW_SILENCE,
    };
    struct hf_named_cause named[HF_LOGS_NAMED_MAX];
    struct hf_trial t = {.end = {.how = hows[e->how],
                                 .phase = HF_PHASE_OPEN,
                                 .code = e->code != 0 ? e->code : 1006,
                                 .age = e->age,
                                 .silent_rx = e->silent_rx,
                                 .silent_tx = e->silent_tx}};
    size_t n = 0;
    if (e->fate == HF_LOGS_ENDED && !e->wished && e->age >= 0 && e->silent_rx >= 0 &&
        t.end.how != HF_HOW_ALIVE && hf_catalog_find(hf_slice_of(e->cause)) == NULL) {
        (void)snprintf(t.end.reason, sizeof(t.end.reason), "%s", e->reason);
        n = hf_infer_one(&t, NULL, named, HF_LOGS_NAMED_MAX);
    }
    hf_buffer_add_text(out, ",\"causes\":[");
    for (size_t i = 0; i < n; i++) {
        hf_buffer_addf(out, "%s{\"id\":\"%s\",\"likelihood\":%.3f}", i > 0 ? "," : "",
                       named[i].row->id, named[i].likelihood);
    }
    hf_buffer_add_byte(out, ']');
}

void hf_logs_json_ending(struct logs_command *c, const struct hf_logs_ending *e)
{
    struct hf_buffer *out = hf_say_begin(&c->say, "ending");
    bool refused = e->fate == HF_LOGS_TURNED_AWAY;
    put_time(out, "ended", e->at);
    hf_json_string(out, "cause", e->cause[0] != '\0' ? e->cause : "unknown");
    hf_json_string(out, "who", hf_logs_who_text(e->who));
    hf_json_string(out, "how",
                   refused                    ? (e->http != 0 ? "status" : "errno")
                   : e->fate == HF_LOGS_LIVED ? "alive"
                                              : hf_logs_how_text(e->how));
    hf_json_string(out, "phase", refused ? "upgrade" : "open");
    hf_json_number(out, "code", e->code);
    hf_json_string(out, "reason", e->reason);
    hf_json_number(out, "http", e->http);
    hf_json_ms(out, "held_ms", e->age);
    hf_json_ms(out, "silent_rx_ms", e->silent_rx);
    hf_json_ms(out, "silent_tx_ms", e->silent_tx);
    put_known(out, "messages_sent", e->messages_up);
    put_known(out, "messages_got", e->messages_down);
    put_known(out, "bytes_sent", e->bytes_up);
    put_known(out, "bytes_got", e->bytes_down);
    hf_json_string(out, "path", e->path);
    hf_json_string(out, "address", e->address);
    hf_json_string(out, "upstream", e->upstream);
    hf_json_number(out, "pid", e->pid);
    hf_json_string(out, "format",
                   e->format < HF_LOGS_FORMATS ? hf_logs_format_text(e->format) : "unknown");
    put_candidates(out, e);
    hf_say_end(&c->say);
}

static void put_finding(struct logs_command *c, struct hf_buffer *out,
                        const struct hf_logs_finding *f)
{
    static const char *const kinds[] = {"age",           "clock",    "messages_up",
                                        "messages_down", "bytes_up", "bytes_down"};
    const struct hf_peak *p = &f->peak;
    hf_buffer_addf(out, "\"kind\":\"%s\"", f->is_silence ? "silence" : kinds[p->kind]);
    if (p->kind == HF_PEAK_CLOCK) {
        put_time(out, "at", (int64_t)(p->at * 1e6));
        put_time(out, "low", (int64_t)(p->low * 1e6));
        put_time(out, "high", (int64_t)(p->high * 1e6));
    } else {
        hf_buffer_addf(out, ",\"at\":%.6g,\"low\":%.6g,\"high\":%.6g", p->at, p->low, p->high);
    }
    hf_json_number(out, "count", (int64_t)p->count);
    hf_buffer_addf(out, ",\"expected\":%.2f,\"share\":%.4f,\"strength\":%.1f", p->expected,
                   p->share, p->strength);
    hf_json_string(out, "class", hf_verdict_class_text(f->class));
    hf_buffer_add_text(out, ",\"told\":[");
    for (size_t i = 0; i < f->told_count; i++) {
        hf_buffer_addf(out, "%s{\"id\":\"", i > 0 ? "," : "");
        hf_buffer_add_json(out, hf_slice_of(f->told[i].cause));
        hf_buffer_addf(out, "\",\"share\":%.4f}", f->told[i].share);
    }
    hf_buffer_add_text(out, "],\"causes\":[");
    for (size_t i = 0; i < f->named_count; i++) {
        hf_buffer_addf(out, "%s{\"id\":\"%s\",\"likelihood\":%.3f}", i > 0 ? "," : "",
                       f->named[i].row->id, f->named[i].likelihood);
    }
    hf_buffer_add_byte(out, ']');
    hf_json_string(out, "next", hf_logs_next_step(f));
    (void)c;
}

void hf_logs_json_finding(struct logs_command *c, const struct hf_logs_finding *f)
{
    struct hf_buffer *out = hf_say_begin(&c->say, "finding");
    hf_buffer_add_byte(out, ',');
    put_finding(c, out, f);
    hf_say_end(&c->say);
}

static void put_counts(struct hf_buffer *out, const char *key, const char *name,
                       const struct hf_logs_count *const *top, size_t n)
{
    hf_buffer_addf(out, ",\"%s\":[", key);
    for (size_t i = 0; i < n; i++) {
        hf_buffer_addf(out, "%s{\"%s\":\"", i > 0 ? "," : "", name);
        hf_buffer_add_json(out, hf_slice_of(top[i]->name));
        hf_buffer_addf(out, "\",\"count\":%llu}", (unsigned long long)top[i]->count);
    }
    hf_buffer_add_byte(out, ']');
}

static void put_files(struct logs_command *c, struct hf_buffer *out)
{
    hf_buffer_add_text(out, ",\"files\":[");
    for (size_t i = 0; i < c->source_count; i++) {
        const struct logs_source *s = &c->sources[i];
        hf_buffer_addf(out, "%s{\"name\":\"", i > 0 ? "," : "");
        hf_buffer_add_json(out, hf_slice_of(s->name));
        hf_buffer_addf(out, "\",\"lines\":%llu,\"read\":%llu,\"unread\":%llu,\"formats\":{",
                       (unsigned long long)s->lines, (unsigned long long)s->read,
                       (unsigned long long)s->unread);
        bool any = false;
        for (unsigned f = 0; f < HF_LOGS_FORMATS; f++) {
            if (s->formats[f] > 0) {
                hf_buffer_addf(out, "%s\"%s\":%llu", any ? "," : "",
                               hf_logs_format_text((enum hf_logs_format)f),
                               (unsigned long long)s->formats[f]);
                any = true;
            }
        }
        hf_buffer_add_text(out, "},\"not_read\":[");
        for (size_t j = 0; j < s->shown_count; j++) {
            const struct logs_unread *u = &s->shown[j];
            hf_buffer_addf(out, "%s{\"line\":%llu,\"why\":\"%s\",\"text\":\"", j > 0 ? "," : "",
                           (unsigned long long)u->line, u->why);
            hf_buffer_add_json(out, hf_slice_of(u->text));
            hf_buffer_add_text(out, "\"}");
        }
        hf_buffer_add_text(out, "]}");
    }
    hf_buffer_add_byte(out, ']');
}

static void put_notices(struct logs_command *c, struct hf_buffer *out, enum hf_logs_kind kind,
                        const char *key)
{
    bool any = false;
    hf_buffer_addf(out, ",\"%s\":[", key);
    for (size_t i = 0; i < c->tally.notice_count; i++) {
        const struct hf_logs_notice *n = &c->tally.notices[i];
        if (n->kind != kind) {
            continue;
        }
        hf_buffer_addf(out, "%s{\"lines\":%llu", any ? "," : "", (unsigned long long)n->lines);
        put_time(out, "at", n->first);
        put_time(out, "last", n->last);
        hf_json_string(out, "what", n->what);
        hf_json_string(out, "reason", n->reason);
        hf_json_string(out, "cause", n->cause[0] != '\0' ? n->cause : "unknown");
        hf_json_number(out, "endings", (int64_t)n->endings);
        hf_buffer_add_byte(out, '}');
        any = true;
    }
    hf_buffer_add_byte(out, ']');
}

static void put_curve(struct logs_command *c, struct hf_buffer *out)
{
    struct hf_survival_point points[CURVE_POINTS];
    size_t n = c->tally.aged == 0 ? 0 : hf_survival_curve(c->tally.ages, points, CURVE_POINTS);
    hf_time median = c->tally.aged == 0 ? HF_NEVER : hf_survival_quantile(c->tally.ages, 0.5);
    hf_json_ms(out, "median_ms", median == HF_NEVER ? -1 : median);
    hf_buffer_add_text(out, ",\"curve\":[");
    for (size_t i = 0; i < n; i++) {
        hf_buffer_addf(out,
                       "%s{\"age_ms\":%.3f,\"alive\":%.5f,\"low\":%.5f,\"high\":%.5f,"
                       "\"at_risk\":%llu}",
                       i > 0 ? "," : "", (double)points[i].age / 1e3, points[i].alive,
                       points[i].low, points[i].high, (unsigned long long)points[i].at_risk);
    }
    hf_buffer_add_byte(out, ']');
}

static void put_lists(struct logs_command *c, struct hf_buffer *out)
{
    const struct hf_logs_count *top[HF_LOGS_NAMES_MAX];
    uint64_t refused;
    put_counts(out, "causes", "id", top, hf_logs_counts_top(&c->tally.causes, top, c->top));
    put_counts(out, "codes", "code", top, hf_logs_counts_top(&c->tally.codes, top, c->top));
    put_counts(out, "closes", "close", top, hf_logs_counts_top(&c->tally.signatures, top, c->top));
    if (c->by != HF_LOGS_BY_CAUSE) {
        put_counts(out, "by", hf_logs_by_text(c->by), top,
                   hf_logs_counts_top(&c->tally.dimension, top, c->top));
    }
    size_t n = hf_logs_tally_refused(&c->tally, top, c->top, &refused);
    put_counts(out, "refusals", "status", top, n);
    hf_json_number(out, "refused", (int64_t)refused);
    hf_buffer_add_text(out, ",\"hows\":{");
    bool any = false;
    for (unsigned how = 0; how < HF_LOGS_HOWS; how++) {
        if (c->tally.hows[how] > 0) {
            hf_buffer_addf(out, "%s\"%s\":%llu", any ? "," : "",
                           hf_logs_how_text((enum hf_logs_how)how),
                           (unsigned long long)c->tally.hows[how]);
            any = true;
        }
    }
    hf_buffer_add_byte(out, '}');
}

void hf_logs_json_summary(struct logs_command *c, const struct hf_logs_finding *findings,
                          size_t count, int exit)
{
    const struct hf_logs_tally *t = &c->tally;
    const struct hf_logs_book_counts *book = hf_logs_book_counts(c->book);
    struct hf_peak peaks[HF_LOGS_FINDINGS_MAX];
    struct hf_buffer *out = hf_say_begin(&c->say, "summary");
    put_files(c, out);
    hf_json_number(out, "ended", (int64_t)t->ended);
    hf_json_number(out, "alive", (int64_t)t->lived);
    hf_json_number(out, "wished", (int64_t)t->wished);
    hf_json_number(out, "aged", (int64_t)t->aged);
    hf_json_number(out, "ambiguous", (int64_t)book->ambiguous);
    hf_json_number(out, "began_before", (int64_t)book->began_before);
    hf_json_number(out, "given_up", (int64_t)(book->given_up + book->hints_lost));
    hf_json_number(out, "unpaired_reasons", (int64_t)book->hints_left);
    hf_json_number(out, "left_out", (int64_t)c->left_out);
    put_time(out, "first", t->first);
    put_time(out, "last", t->last);
    put_lists(c, out);
    put_curve(c, out);
    hf_buffer_add_text(out, ",\"findings\":[");
    for (size_t i = 0; i < count; i++) {
        hf_buffer_add_text(out, i > 0 ? ",{" : "{");
        put_finding(c, out, &findings[i]);
        hf_buffer_add_byte(out, '}');
        peaks[i] = findings[i].peak;
    }
    hf_buffer_add_byte(out, ']');
    double period =
        hf_survival_period(peaks, count < HF_SURVIVAL_PEAKS ? count : HF_SURVIVAL_PEAKS);
    hf_json_ms(out, "period_ms", period > 0 ? (hf_time)(period * 1e6) : -1);
    put_notices(c, out, HF_LOGS_RESTART, "restarts");
    put_notices(c, out, HF_LOGS_LIMITER, "limits");
    put_notices(c, out, HF_LOGS_FAULT, "errors");
    hf_json_number(out, "exit", exit);
    hf_say_end(&c->say);
}
