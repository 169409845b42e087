/* SPDX-License-Identifier: Apache-2.0 */
/* The report of a diagnosis: the page around the charts. */
#include "report/report.h"

#include "report/charts.h"

#include <stdio.h>

/* Colours are set once for light and once for dark; every chart uses them by class. */
static const char style[] =
    ":root{color-scheme:light dark;--back:#fff;--text:#1b1f24;--soft:#57606a;--line:#d0d7de;"
    "--panel:#f6f8fa;--life:#8fb4d9;--death:#b3261e;--ours:#6e7781;--accent:#0b5cad;--got:#0b5cad;"
    "--sent:#8a5a00;--bad:#b3261e;--good:#1a6b34;--unsure:#7a5200}\n"
    "@media (prefers-color-scheme:dark){:root{--back:#14171b;--text:#e6e9ed;--soft:#a4adb8;"
    "--line:#363d46;--panel:#1d2228;--life:#42688f;--death:#ff8a80;--ours:#9aa4af;--accent:#7cb8f5;"
    "--got:#7cb8f5;--sent:#f0b95a;--bad:#ff8a80;--good:#6fcf8e;--unsure:#f0c26a}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--text);"
    "font:16px/1.5 system-ui,sans-serif}main{max-width:66rem;margin:0 auto;padding:1.25rem}"
    "h1{font-size:1.5rem;line-height:1.25;margin:.2rem 0 .6rem}h2{font-size:1.15rem;"
    "margin:2.2rem 0 .6rem}a{color:var(--accent)}p{margin:.4rem 0 .8rem}"
    ".kicker{color:var(--soft);margin:0;overflow-wrap:anywhere}"
    ".verdict{border-left:.4rem solid var(--unsure);background:var(--panel);padding:1rem 1.2rem;"
    "border-radius:.3rem}.verdict.finding{border-color:var(--bad)}"
    ".verdict.fine{border-color:var(--good)}.verdict p{margin:.3rem 0}"
    "dl.facts{display:flex;flex-wrap:wrap;gap:.4rem 2rem;margin:.8rem 0 0}dl.facts "
    "div{min-width:6rem}"
    "dt{color:var(--soft);font-size:.85rem}dd{margin:0;overflow-wrap:anywhere}"
    ".chart{overflow-x:auto;border:1px solid var(--line);border-radius:.3rem;padding:.5rem}"
    ".chart svg{display:block;min-width:46rem;width:100%;height:auto;font:12px "
    "system-ui,sans-serif}"
    ".grid{stroke:var(--line);stroke-width:1}.tick,.label{fill:var(--soft)}.row{fill:var(--text)}"
    ".life{fill:var(--life)}.death{stroke:var(--death);stroke-width:2.2;fill:none}"
    ".lives{stroke:var(--good);stroke-width:2;fill:none}.ours{stroke:var(--ours);stroke-width:2}"
    ".got{fill:var(--got)}.sent{fill:var(--sent)}.value{stroke:var(--accent);stroke-width:1.5;"
    "stroke-dasharray:5 4}.band{fill:var(--life);opacity:.4}.curve{fill:none;stroke:var(--accent);"
    "stroke-width:2}.dots{fill:none;stroke:var(--accent);stroke-width:3.5;stroke-linecap:round;"
    "opacity:.75}.empty{color:var(--soft)}"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.88rem;width:100%}"
    "th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line);"
    "vertical-align:top}th{color:var(--soft);font-weight:600;white-space:nowrap}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    "td.wide{min-width:14rem;overflow-wrap:anywhere}"
    "pre{background:var(--panel);border:1px solid var(--line);border-radius:.3rem;padding:.7rem;"
    "white-space:pre-wrap;overflow-wrap:anywhere;margin:.4rem 0}"
    ".key{color:var(--soft);font-size:.88rem}footer{margin:2.5rem 0 1rem;color:var(--soft);"
    "font-size:.88rem}@media print{.chart svg{min-width:0}}";

static void text(struct hf_buffer *out, const char *s)
{
    hf_report_escape(out, hf_slice_of(s));
}

/* <tag class="...">text</tag> */
static void element(struct hf_buffer *out, const char *tag, const char *class, const char *s)
{
    hf_buffer_addf(out, class[0] == '\0' ? "<%s>" : "<%s class=\"%s\">", tag, class);
    text(out, s);
    hf_buffer_addf(out, "</%s>", tag);
}

static void fact(struct hf_buffer *out, const char *name, const char *value)
{
    hf_buffer_add_text(out, "<div>");
    element(out, "dt", "", name);
    element(out, "dd", "", value);
    hf_buffer_add_text(out, "</div>\n");
}

static void fact_time(struct hf_buffer *out, const char *name, hf_time value)
{
    hf_buffer_add_text(out, "<div>");
    element(out, "dt", "", name);
    hf_buffer_add_text(out, "<dd>");
    hf_report_duration(out, value);
    hf_buffer_add_text(out, "</dd></div>\n");
}

static void verdict_facts(const struct hf_report *r, struct hf_buffer *out)
{
    const struct hf_verdict *v = r->verdict;
    char line[200];
    hf_buffer_add_text(out, "<dl class=\"facts\">\n");
    fact(out, "class", hf_verdict_class_text(v->best.class));
    if (hf_verdict_unit(v->best.class)[0] != '\0' && v->best.value > 0) {
        (void)snprintf(line, sizeof(line), "%.4g %s", v->best.value,
                       hf_verdict_unit(v->best.class));
        fact(out, "value", line);
    }
    (void)snprintf(line, sizeof(line), "%.0f %%", v->confidence * 100);
    fact(out, "confidence", line);
    if (v->best.class == HF_CLASS_IDLE_TIMER) {
        hf_resets_text(v->best.resets, line);
        fact(out, "what resets it", line);
    }
    if (v->safe_ping_s > 0) {
        char by[160];
        hf_resets_text(v->safe_ping_by, by);
        hf_buffer_add_text(out, "<div><dt>safe interval</dt><dd>");
        hf_report_duration(out, (hf_time)(v->safe_ping_s * 1e6));
        hf_buffer_add_text(out, ", ");
        text(out, by);
        hf_buffer_add_text(out, "</dd></div>\n");
    }
    fact_time(out, "watched for", r->lasted);
    hf_buffer_add_text(out, "</dl>\n");
}

static void verdict(const struct hf_report *r, struct hf_buffer *out)
{
    const struct hf_verdict *v = r->verdict;
    const char *look = v->best.class == HF_CLASS_NONE           ? "fine"
                       : v->best.class == HF_CLASS_INCONCLUSIVE ? "unsure"
                                                                : "finding";
    hf_buffer_addf(out, "<section class=\"verdict %s\" aria-label=\"Verdict\">\n", look);
    element(out, "h1", "", hf_verdict_text(v, v->sentence));
    if (r->interrupted) {
        element(out, "p", "", "The watch was interrupted before its time was over.");
    }
    verdict_facts(r, out);
    hf_buffer_add_text(out, "</section>\n");
    if (hf_verdict_text(v, v->fix)[0] != '\0') {
        element(out, "h2", "", "What to do");
        element(out, "pre", "", hf_verdict_text(v, v->fix));
    }
}

static void lines_of(const struct hf_report *r, struct hf_buffer *out, int kind, const char *title)
{
    const struct hf_verdict *v = r->verdict;
    bool any = false;
    for (size_t i = 0; i < v->line_count; i++) {
        if ((int)v->lines[i].kind != kind) {
            continue;
        }
        if (!any) {
            element(out, "h2", "", title);
            hf_buffer_add_text(out, "<div class=\"scroll\"><table>\n<tr><th>class</th>"
                                    "<th>because</th></tr>\n");
        }
        any = true;
        hf_buffer_add_text(out, "<tr>");
        element(out, "td", "", hf_verdict_class_text(v->lines[i].about));
        element(out, "td", "wide", hf_verdict_text(v, v->lines[i].text));
        hf_buffer_add_text(out, "</tr>\n");
    }
    hf_buffer_add_text(out, any ? "</table></div>\n" : "");
}

static void causes(const struct hf_report *r, struct hf_buffer *out)
{
    const struct hf_verdict *v = r->verdict;
    if (v->cause_count == 0) {
        return;
    }
    element(out, "h2", "", "Known causes that fit");
    hf_buffer_add_text(out, "<div class=\"scroll\"><table>\n<tr><th>cause</th><th>product</th>"
                            "<th>what</th><th class=\"n\">likelihood</th><th>the line to write</th>"
                            "</tr>\n");
    for (size_t i = 0; i < v->cause_count; i++) {
        const struct hf_catalog_row *row = v->causes[i].row;
        hf_buffer_add_text(out, "<tr>");
        element(out, "td", "", row->id);
        element(out, "td", "", row->product);
        element(out, "td", "wide", row->title);
        hf_buffer_addf(out, "<td class=\"n\">%.0f %%</td>", v->causes[i].likelihood * 100);
        element(out, "td", "wide", row->fix_line[0] != '\0' ? row->fix_line : row->fix);
        hf_buffer_add_text(out, "</tr>\n");
    }
    hf_buffer_add_text(out, "</table></div>\n");
}

static void list(struct hf_buffer *out, const char *title, const char *const *items, size_t count)
{
    if (count == 0) {
        return;
    }
    element(out, "h2", "", title);
    hf_buffer_add_text(out, "<ul>\n");
    for (size_t i = 0; i < count; i++) {
        element(out, "li", "", items[i]);
        hf_buffer_add_text(out, "\n");
    }
    hf_buffer_add_text(out, "</ul>\n");
}

static void cell_time(struct hf_buffer *out, hf_time value)
{
    hf_buffer_add_text(out, "<td class=\"n\">");
    hf_report_duration(out, value);
    hf_buffer_add_text(out, "</td>");
}

static void row(struct hf_buffer *out, const struct hf_trial *t)
{
    hf_buffer_add_text(out, "<tr>");
    element(out, "td", "", t->arm);
    cell_time(out, t->begun);
    cell_time(out, t->end.age);
    element(out, "td", "", hf_trial_how_text(t->end.how));
    if (t->end.http != 0) {
        hf_buffer_addf(out, "<td class=\"n\">HTTP %u</td>", t->end.http);
    } else if (t->end.code != 0) {
        hf_buffer_addf(out, "<td class=\"n\">%u</td>", t->end.code);
    } else {
        hf_buffer_add_text(out, "<td></td>");
    }
    element(out, "td", t->end.reason[0] != '\0' ? "wide" : "", t->end.reason);
    cell_time(out, t->end.silent_rx);
    cell_time(out, t->end.silent_tx);
    hf_buffer_addf(out,
                   "<td class=\"n\">%llu / %llu</td><td class=\"n\">%llu / %llu</td>"
                   "<td class=\"n\">%llu</td></tr>\n",
                   (unsigned long long)t->count[HF_MOMENT_SENT],
                   (unsigned long long)t->count[HF_MOMENT_GOT],
                   (unsigned long long)t->count[HF_MOMENT_PING_SENT],
                   (unsigned long long)t->count[HF_MOMENT_PONG_GOT],
                   (unsigned long long)t->count[HF_MOMENT_PING_GOT]);
}

static void trials(const struct hf_report *r, struct hf_buffer *out)
{
    element(out, "h2", "", "All connections");
    hf_buffer_add_text(
        out, "<div class=\"scroll\"><table>\n<tr><th>arm</th><th class=\"n\">begun</th>"
             "<th class=\"n\">age</th><th>end</th><th class=\"n\">code</th>"
             "<th>reason</th><th class=\"n\">nothing received</th>"
             "<th class=\"n\">nothing sent</th><th class=\"n\">messages sent / got</th>"
             "<th class=\"n\">pings / pongs</th><th class=\"n\">server pings</th></tr>\n");
    for (size_t i = 0; i < r->count && i < HF_REPORT_ROWS; i++) {
        row(out, &r->trials[i]);
    }
    hf_buffer_add_text(out, "</table></div>\n");
    if (r->count > HF_REPORT_ROWS) {
        hf_buffer_addf(out, "<p class=\"key\">%zu more are left out of this table.</p>\n",
                       r->count - HF_REPORT_ROWS);
    }
}

static void charts(const struct hf_report *r, const struct hf_allocator *alloc,
                   struct hf_buffer *out)
{
    element(out, "h2", "", "Timeline");
    hf_chart_timeline(r, alloc, out);
    hf_buffer_add_text(out, "<p class=\"key\">&#10005; ended by the other side &#183; &gt; lived "
                            "&#183; | ended by this watch. Point at a mark to read it.</p>\n");
    element(out, "h2", "", "Ages");
    hf_chart_ages(r, alloc, out);
    element(out, "h2", "", "Silence before the end");
    hf_chart_gaps(r, alloc, out);
    element(out, "h2", "", "Survival");
    hf_chart_survival(r, alloc, out);
    element(out, "h2", "", "Round trips");
    hf_chart_round_trips(r, out);
}

void hf_report_html(const struct hf_report *r, const struct hf_allocator *alloc,
                    struct hf_buffer *out)
{
    hf_buffer_add_text(out,
                       "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width,"
                       "initial-scale=1\">\n<title>Diagnosis of ");
    text(out, r->url);
    hf_buffer_add_text(out, "</title>\n<style>\n");
    hf_buffer_add_text(out, style);
    hf_buffer_add_text(out, "\n</style>\n</head>\n<body>\n<main>\n<p class=\"kicker\">");
    text(out, r->url);
    if (r->compare != NULL) {
        hf_buffer_add_text(out, " (A), compared with ");
        text(out, r->compare);
        hf_buffer_add_text(out, " (B)");
    }
    hf_buffer_add_text(out, " &#183; ");
    text(out, r->begun);
    hf_buffer_add_text(out, "</p>\n");
    verdict(r, out);
    lines_of(r, out, HF_LINE_NEXT, "The experiment that would decide");
    causes(r, out);
    lines_of(r, out, HF_LINE_FOR, "Evidence for it");
    lines_of(r, out, HF_LINE_AGAINST, "Evidence against it");
    lines_of(r, out, HF_LINE_RULED_OUT, "Ruled out");
    list(out, "What stands in front", r->hosting, r->hosting_count);
    list(out, "Noticed", r->notes, r->note_count);
    charts(r, alloc, out);
    trials(r, out);
    element(out, "h2", "", "Run it again");
    element(out, "pre", "", r->command);
    hf_buffer_add_text(out, "<footer>holdfast ");
    text(out, r->version);
    hf_buffer_add_text(out, "</footer>\n</main>\n</body>\n</html>\n");
}
