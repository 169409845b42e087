/* SPDX-License-Identifier: Apache-2.0 */
/* What holdfast diagnose prints: each opening, end and step of the inference as JSON or as a line
 * of progress, then the verdict. */
#include "report/report.h"
#include "tools/diagnose.h"

#include <errno.h>
#include <stdio.h>

/* ---- events -----------------------------------------------------------------------------------
 */

static void say_arm(struct diagnose *d, const struct hf_arm *arm)
{
    struct hf_buffer *out = hf_say_begin(&d->say, "arm");
    if (out == NULL) {
        return;
    }
    hf_json_string(out, "arm", arm->name);
    hf_json_string(out, "experiment", hf_experiment_text(arm->experiment));
    hf_json_number(out, "path", arm->path);
    hf_json_number(out, "connections", arm->slots);
    hf_json_bool(out, "adapted", arm->adapted);
    hf_say_end(&d->say);
}

static void say_open(struct diagnose *d, const struct hf_trial *t)
{
    struct hf_buffer *out = hf_say_begin(&d->say, "open");
    if (out != NULL) {
        hf_json_string(out, "arm", t->arm);
        hf_json_number(out, "path", t->path);
        hf_json_ms(out, "at_ms", hf_diagnosis_now(d->diagnosis));
        hf_json_ms(out, "took_ms", t->opened - t->begun);
        hf_say_end(&d->say);
    }
}

/* Progress where nothing is drawn: deaths and what never opened. */
static void progress(struct diagnose *d, const struct hf_trial *t)
{
    struct hf_buffer line, clean;
    if (d->quiet || d->say.live || !hf_trial_is_dead(t)) {
        return;
    }
    hf_buffer_init(&line, &hf_heap, 4096);
    hf_buffer_init(&clean, &hf_heap, 4096);
    hf_trial_sentence(t, &line);
    hf_say_clean(hf_buffer_slice(&line), 2000, &clean);
    fprintf(stderr, "%7.1f s  %-18s %.*s\n", (double)hf_diagnosis_now(d->diagnosis) / 1e6, t->arm,
            HF_SLICE_ARG(hf_buffer_slice(&clean)));
    hf_buffer_reset(&line);
    hf_buffer_reset(&clean);
}

static void say_end(struct diagnose *d, const struct hf_trial *t)
{
    struct hf_buffer *out = hf_say_begin(&d->say, "end");
    if (out != NULL) {
        hf_json_string(out, "arm", t->arm);
        hf_json_number(out, "path", t->path);
        hf_json_ms(out, "at_ms", hf_diagnosis_now(d->diagnosis));
        hf_buffer_add_text(out, ",");
        hf_trial_json(t, out);
        hf_say_end(&d->say);
    }
    progress(d, t);
}

static void say_infer(struct diagnose *d)
{
    const struct hf_verdict *v = hf_diagnosis_verdict(d->diagnosis);
    struct hf_buffer *out = hf_say_begin(&d->say, "infer");
    if (out == NULL) {
        return;
    }
    hf_json_ms(out, "at_ms", hf_diagnosis_now(d->diagnosis));
    hf_json_string(out, "class", hf_verdict_class_text(v->best.class));
    hf_buffer_addf(out, ",\"value\":%.6g,\"confidence\":%.4f", v->best.value, v->confidence);
    hf_json_bool(out, "firm", v->firm);
    hf_buffer_add_text(out, ",\"candidates\":[");
    for (size_t i = 0, n = 0; i < v->candidate_count; i++) {
        const struct hf_candidate *c = &v->candidates[i];
        if (c->posterior >= 0.005) {
            hf_buffer_addf(out, "%s{\"class\":\"%s\",\"value\":%.6g,\"posterior\":%.4f}",
                           n++ > 0 ? "," : "", hf_verdict_class_text(c->class), c->value,
                           c->posterior);
        }
    }
    hf_buffer_add_text(out, "]");
    hf_say_end(&d->say);
}

void diagnose_say(struct diagnose *d, const struct hf_diagnosis_event *event)
{
    struct hf_buffer *out;
    switch (event->kind) {
    case HF_DIAGNOSIS_ARM:
        say_arm(d, event->arm);
        break;
    case HF_DIAGNOSIS_OPEN_UP:
        say_open(d, event->trial);
        break;
    case HF_DIAGNOSIS_ENDED:
        say_end(d, event->trial);
        break;
    case HF_DIAGNOSIS_INFERRED:
        say_infer(d);
        break;
    case HF_DIAGNOSIS_NOTE:
        out = hf_say_begin(&d->say, "note");
        if (out != NULL) {
            hf_json_string(out, "text", event->text);
            hf_say_end(&d->say);
        }
        if (!d->quiet && !d->say.live) {
            struct hf_buffer clean;
            hf_buffer_init(&clean, &hf_heap, 65536);
            hf_say_clean(hf_slice_of(event->text), 2000, &clean);
            fprintf(stderr, "%.*s\n", HF_SLICE_ARG(hf_buffer_slice(&clean)));
            hf_buffer_reset(&clean);
        }
        break;
    case HF_DIAGNOSIS_DONE:
        break;
    }
}

/* ---- the verdict ------------------------------------------------------------------------------
 */

/* The record of the inference, with the time, and with what only this command knows. */
static void say_record(struct diagnose *d)
{
    const struct hf_hosting *hosting[HF_DIAGNOSIS_HOSTING];
    const size_t found = hf_diagnosis_hosting(d->diagnosis, hosting);
    struct hf_buffer *out = hf_say_begin(&d->say, "verdict");
    if (out == NULL) {
        return;
    }
    hf_buffer_add_text(out, ",");
    hf_verdict_json_members(hf_diagnosis_verdict(d->diagnosis), out);
    hf_json_ms(out, "watched_ms", hf_diagnosis_now(d->diagnosis));
    hf_json_bool(out, "interrupted", d->interrupted);
    hf_buffer_add_text(out, ",\"hosting\":[");
    for (size_t i = 0; i < found; i++) {
        hf_buffer_addf(out, "%s\"%s\"", i > 0 ? "," : "", hosting[i]->id);
    }
    hf_buffer_add_text(out, "],\"notes\":[");
    for (size_t i = 0; i < hf_diagnosis_note_count(d->diagnosis); i++) {
        hf_buffer_add_text(out, i > 0 ? ",\"" : "\"");
        hf_buffer_add_json(out, hf_slice_of(hf_diagnosis_note(d->diagnosis, i)));
        hf_buffer_add_text(out, "\"");
    }
    hf_buffer_add_text(out, "]");
    hf_say_end(&d->say);
}

static void say_lines(struct diagnose *d, int kind, const char *title)
{
    const struct hf_verdict *v = hf_diagnosis_verdict(d->diagnosis);
    bool any = false;
    for (size_t i = 0; i < v->line_count; i++) {
        if ((int)v->lines[i].kind == kind) {
            if (!any) {
                hf_say_line(&d->say, "\n%s%s%s", hf_say_paint(&d->say, HF_PAINT_BOLD), title,
                            hf_say_paint(&d->say, HF_PAINT_PLAIN));
            }
            any = true;
            hf_say_hanging(&d->say, 18, "  %-15s %s", hf_verdict_class_text(v->lines[i].about),
                           hf_verdict_text(v, v->lines[i].text));
        }
    }
}

static void say_causes(struct diagnose *d)
{
    const struct hf_verdict *v = hf_diagnosis_verdict(d->diagnosis);
    if (v->cause_count > 0) {
        hf_say_line(&d->say, "\n%sKnown causes that fit%s", hf_say_paint(&d->say, HF_PAINT_BOLD),
                    hf_say_paint(&d->say, HF_PAINT_PLAIN));
    }
    for (size_t i = 0; i < v->cause_count; i++) {
        hf_say_hanging(&d->say, 39, "  %3.0f %%  %-29s %s", v->causes[i].likelihood * 100,
                       v->causes[i].row->id, v->causes[i].row->title);
    }
}

/* What was held, in one table. */
static void say_arms(struct diagnose *d)
{
    if (!hf_diagnosis_was_open(d->diagnosis)) { /* no row would stand under the titles */
        return;
    }
    size_t count;
    if (!hf_diagnosis_was_open(d->diagnosis)) {
        return;
    }
    const struct hf_trial *trials = hf_diagnosis_trials(d->diagnosis, &count);
    const struct hf_plan *plan = hf_diagnosis_plan(d->diagnosis);
    struct hf_say_table table;
    hf_say_table_init(&table, 5, 0x1e);
    static const char *const titles[] = {"arm", "held", "died", "longest life", "median death"};
    for (size_t i = 0; i < 5; i++) {
        hf_say_table_add(&table, "%s", titles[i]);
    }
    for (size_t i = 0; i < plan->count; i++) {
        size_t held = 0, died = 0;
        hf_time longest = 0, ages[256];
        for (size_t k = 0; k < count; k++) {
            const struct hf_trial *t = &trials[k];
            if (hf_diagnosis_arm_of(d->diagnosis, t) != &plan->arms[i] || !hf_trial_was_open(t)) {
                continue;
            }
            held++;
            longest = t->end.age > longest ? t->end.age : longest;
            if (hf_trial_is_dead(t) && died < 256) {
                size_t at = died++;
                for (; at > 0 && ages[at - 1] > t->end.age; at--) {
                    ages[at] = ages[at - 1];
                }
                ages[at] = t->end.age;
            }
        }
        if (held > 0) {
            hf_say_table_add(&table, "  %s", plan->arms[i].name);
            hf_say_table_add(&table, "%zu", held);
            hf_say_table_add(&table, "%zu", died);
            hf_say_table_add(&table, "%.1f s", (double)longest / 1e6);
            hf_say_table_add(&table, died > 0 ? "%.2f s" : "-",
                             died > 0 ? (double)ages[died / 2] / 1e6 : 0);
        }
    }
    hf_say_line(&d->say, "%s", "");
    hf_say_table_print(&d->say, &table);
    if (d->compare_url != NULL) {
        struct hf_buffer url;
        hf_buffer_init(&url, &hf_heap, 4096);
        hf_target_print(&d->compare, &url);
        hf_say_line(&d->say, "  B is %.*s", HF_SLICE_ARG(hf_buffer_slice(&url)));
        hf_buffer_reset(&url);
    }
}

static void say_people(struct diagnose *d)
{
    const struct hf_verdict *v = hf_diagnosis_verdict(d->diagnosis);
    const enum hf_paint paint = v->best.class == HF_CLASS_NONE           ? HF_PAINT_GREEN
                                : v->best.class == HF_CLASS_INCONCLUSIVE ? HF_PAINT_YELLOW
                                                                         : HF_PAINT_RED;
    const struct hf_hosting *hosting[HF_DIAGNOSIS_HOSTING];
    const size_t found = hf_diagnosis_hosting(d->diagnosis, hosting);
    say_arms(d);
    hf_say_line(&d->say, "\n%s%s%s", hf_say_paint(&d->say, paint), hf_verdict_text(v, v->sentence),
                hf_say_paint(&d->say, HF_PAINT_PLAIN));
    hf_say_line(&d->say, "%s, confidence %.0f %%%s", hf_verdict_class_text(v->best.class),
                v->confidence * 100, d->interrupted ? "; interrupted" : "");
    say_lines(d, HF_LINE_FOR, "For it");
    say_lines(d, HF_LINE_AGAINST, "Against it");
    say_lines(d, HF_LINE_RULED_OUT, "Ruled out");
    say_causes(d);
    for (size_t i = 0; i < found; i++) {
        hf_say_line(&d->say, "%s  In front of it stands %s.", i == 0 ? "\n" : "", hosting[i]->name);
    }
    for (size_t i = 0; i < hf_diagnosis_note_count(d->diagnosis); i++) {
        hf_say_line(&d->say, "%s  %s", i == 0 ? "\n" : "", hf_diagnosis_note(d->diagnosis, i));
    }
    if (v->safe_ping_s > 0) {
        char by[160];
        hf_resets_text(v->safe_ping_by, by);
        hf_say_line(&d->say, "\nSafe interval: %.3g s (%s).", v->safe_ping_s, by);
    }
    if (hf_verdict_text(v, v->fix)[0] != '\0') {
        hf_say_line(&d->say, "\n%sWhat to do%s", hf_say_paint(&d->say, HF_PAINT_BOLD),
                    hf_say_paint(&d->say, HF_PAINT_PLAIN));
        hf_say_hanging(&d->say, 2, "  %s", hf_verdict_text(v, v->fix));
    }
    say_lines(d, HF_LINE_NEXT, "What would decide");
    if (d->report != NULL) {
        hf_say_line(&d->say, "\nThe report is in %s.", d->report);
    }
}

void diagnose_conclude(struct diagnose *d)
{
    if (d->json) {
        say_record(d);
    } else {
        say_people(d);
    }
}

/* ---- the report -------------------------------------------------------------------------------
 */

static bool write_file(struct diagnose *d, const struct hf_buffer *page)
{
    FILE *file = fopen(d->report, "w");
    bool fine = file != NULL && fwrite(page->data, 1, page->len, file) == page->len;
    if (file != NULL && fclose(file) != 0) {
        fine = false;
    }
    if (!fine) {
        hf_say_complain(&d->say, "%s: %s; the report is not written", d->report, strerror(errno));
    }
    return fine;
}

bool diagnose_write_report(struct diagnose *d)
{
    const struct hf_hosting *hosting[HF_DIAGNOSIS_HOSTING];
    const char *names[HF_DIAGNOSIS_HOSTING], *notes[64];
    struct hf_buffer page, texts;
    char begun[25];
    size_t count;
    struct hf_report r = {
        .begun = begun,
        .version = HF_VERSION,
        .lasted = hf_diagnosis_now(d->diagnosis),
        .budget = d->how.plan.budget,
        .interrupted = d->interrupted,
        .verdict = hf_diagnosis_verdict(d->diagnosis),
        .hosting = names,
        .hosting_count = hf_diagnosis_hosting(d->diagnosis, hosting),
        .notes = notes,
    };
    for (size_t i = 0; i < r.hosting_count; i++) {
        names[i] = hosting[i]->name;
    }
    for (; r.note_count < hf_diagnosis_note_count(d->diagnosis) && r.note_count < 64;
         r.note_count++) {
        notes[r.note_count] = hf_diagnosis_note(d->diagnosis, r.note_count);
    }
    hf_wall_text(d->begun_wall, begun);
    hf_buffer_init(&page, &hf_heap, (size_t)64 << 20);
    hf_buffer_init(&texts, &hf_heap, (size_t)1 << 20);
    hf_target_print(&d->target, &texts);
    hf_buffer_add_byte(&texts, 0);
    const size_t compare = texts.len;
    if (d->compare_url != NULL) {
        hf_target_print(&d->compare, &texts);
    }
    hf_buffer_add_byte(&texts, 0);
    const size_t command = texts.len;
    diagnose_add_command(d, &texts);
    hf_buffer_add_byte(&texts, 0);
    bool fine = !texts.failed;
    if (fine) {
        r.url = (const char *)texts.data;
        r.compare = d->compare_url == NULL ? NULL : (const char *)texts.data + compare;
        r.command = (const char *)texts.data + command;
        r.trials = hf_diagnosis_trials(d->diagnosis, &count);
        r.count = count;
        hf_report_html(&r, &hf_heap, &page);
        fine = !page.failed && write_file(d, &page);
    }
    hf_buffer_reset(&page);
    hf_buffer_reset(&texts);
    return fine;
}
