/* SPDX-License-Identifier: Apache-2.0 */
/* The status page: one HTML document with everything in it, readable without scripts and without a
 * network, in light and dark, on a phone too. What comes from strangers or from the configuration
 * is escaped. */
#include "cause/catalog.h"
#include "report/report.h"
#include "watch/charts.h"

#include <stdio.h>

#define ENDINGS_SHOWN 12
#define INCIDENTS_SHOWN 12

static const char style[] =
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1c2330;--soft:#596273;"
    "--line:#dde1e8;--up:#2e8b57;--shaky:#c98a00;--down:#c8342f;--quiet:#7a6fc0;--none:#dfe3ea;"
    "--curve:#2b62c4}"
    "@media(prefers-color-scheme:dark){:root{--bg:#12151b;--card:#1b2029;--ink:#e6e9ef;"
    "--soft:#9aa4b5;--line:#2e3542;--up:#3fae73;--shaky:#dba130;--down:#ee645e;--quiet:#9a90de;"
    "--none:#2a313d;--curve:#7aa5f5}}"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:1080px;padding:16px;background:var(--bg);"
    "color:var(--ink);font:15px/1.45 system-ui,sans-serif}"
    "h1{font-size:20px;margin:0}h2{font-size:17px;margin:0;overflow-wrap:anywhere}"
    "h3{font-size:14px;margin:18px 0 6px}p{margin:4px 0}"
    ".soft,.note,.none,figcaption span{color:var(--soft);font-size:13px}"
    "header{display:flex;flex-wrap:wrap;gap:4px 16px;align-items:baseline;margin-bottom:12px}"
    "section{background:var(--card);border:1px solid var(--line);border-radius:10px;"
    "padding:14px 16px;margin-bottom:14px}"
    ".head{display:flex;flex-wrap:wrap;gap:4px 10px;align-items:center}"
    ".badge{border-radius:999px;padding:1px 10px;color:#fff;font-size:13px;font-weight:600}"
    ".badge.up{background:#24774a}.badge.partly{background:#8f6200}.badge.down{background:#b52b26}"
    ".badge.quiet{background:#5b51a3}"
    ".url{color:var(--soft);font-size:13px;overflow-wrap:anywhere}"
    "dl{display:flex;flex-wrap:wrap;gap:4px 22px;margin:10px 0}dl div{min-width:90px}"
    "dt{color:var(--soft);font-size:12px}dd{margin:0;font-variant-numeric:tabular-nums}"
    "figure{margin:8px 0}figcaption{font-size:13px;margin-bottom:3px}svg{display:block;width:100%}"
    ".strip svg{height:26px;border-radius:4px}.ends{display:flex;justify-content:space-between;"
    "color:var(--soft);font-size:11px}"
    ".s-up{fill:var(--up)}.s-shaky{fill:var(--shaky)}.s-down{fill:var(--down)}"
    ".s-quiet{fill:var(--quiet)}.s-none{fill:var(--none)}"
    ".two{display:grid;grid-template-columns:repeat(auto-fit,minmax(260px,1fr));gap:4px 20px}"
    ".grid{stroke:var(--line);stroke-width:1}.tick{fill:var(--soft);font-size:11px}"
    ".curve{fill:none;stroke:var(--curve);stroke-width:1.6;stroke-linejoin:round}"
    ".legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:12px;color:var(--soft)}"
    ".legend i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px}"
    "ul.list{list-style:none;margin:0;padding:0}ul.list li{border-top:1px solid var(--line);"
    "padding:7px 0}ul.list li.open{border-left:4px solid var(--down);padding-left:8px}"
    "time{color:var(--soft);font-size:13px;font-variant-numeric:tabular-nums;margin-right:6px}"
    ".kind{font-weight:600}.what{overflow-wrap:anywhere}.bad{color:var(--down)}"
    "code{font-size:13px;overflow-wrap:anywhere}a{color:inherit}";

static void esc(struct hf_buffer *out, const char *text)
{
    hf_report_escape(out, hf_slice_of(text));
}

/* "01-31 12:00:05" of UTC, the whole in the attribute. */
static void add_moment(struct hf_buffer *out, hf_wall time)
{
    char text[25];
    hf_wall_text(time, text);
    hf_buffer_addf(out, "<time datetime=\"%s\">%.5s %.8s</time>", text, text + 5, text + 11);
}

static void add_fact(struct hf_buffer *out, const char *name, const char *value)
{
    hf_buffer_addf(out, "<div><dt>%s</dt><dd>", name);
    esc(out, value);
    hf_buffer_add_text(out, "</dd></div>");
}

static void add_age_fact(struct hf_buffer *out, const char *name, hf_time age)
{
    char text[24];
    hf_age_text(age < 0 ? 0 : age, text);
    add_fact(out, name, age < 0 ? "unknown" : text);
}

/* ---- a target ------------------------------------------------------------------------------ */

static void add_head(const struct hf_watch_target *t, struct hf_buffer *out)
{
    const char *state = hf_watch_state_text(t);
    hf_buffer_add_text(out, "<div class=\"head\"><h2>");
    esc(out, t->settings->name);
    hf_buffer_addf(out, "</h2><span class=\"badge %s\">%s", state, state);
    if (t->settings->connections > 1) {
        hf_buffer_addf(out, " %zu/%u", hf_watch_target_up(t), t->settings->connections);
    }
    hf_buffer_addf(out, "</span>%s</div><p class=\"url\">",
                   hf_watch_is_quiet(t) ? "<span class=\"badge quiet\">quiet</span>" : "");
    esc(out, t->url);
    hf_buffer_add_text(out, "</p>");
}

static void add_certificate(const struct hf_watch_target *t, struct hf_buffer *out)
{
    char text[64];
    hf_wall left = t->certificate - hf_watch_wall(t->watch);
    if (t->certificate == 0) {
        return;
    }
    if (left < 0) {
        (void)snprintf(text, sizeof(text), "ran out");
    } else {
        (void)snprintf(text, sizeof(text), "%.0f days left", (double)left / 86400000);
    }
    add_fact(out, "Certificate", text);
}

static void add_check(const struct hf_watch_target *t, struct hf_buffer *out)
{
    char text[64];
    char took[24];
    const struct hf_watch_check *c = &t->check;
    if (!c->known) {
        return;
    }
    hf_age_text(c->took, took);
    (void)snprintf(text, sizeof(text), "%s, %s", c->success ? "good" : "failed", took);
    add_fact(out, "Last check", text);
}

static void add_facts(const struct hf_watch_target *t, struct hf_buffer *out)
{
    hf_time longest = -1;
    for (size_t i = 0; i < t->settings->connections; i++) {
        hf_time age = hf_watch_now(t->watch) - t->sessions[i].opened;
        longest = t->sessions[i].up && age > longest ? age : longest;
    }
    hf_buffer_add_text(out, "<dl>");
    if (longest >= 0) {
        add_age_fact(out, "Held for", longest);
    }
    add_age_fact(out, "Round trip", t->last_rtt);
    add_age_fact(out, "Connecting", t->connect_took);
    add_check(t, out);
    add_certificate(t, out);
    if (t->host_note[0] != '\0') {
        add_fact(out, "Served by", t->host_note);
    }
    hf_buffer_add_text(out, "</dl>");
}

static void add_cause(const char *id, const char *advice, struct hf_buffer *out)
{
    const struct hf_catalog_row *row = hf_catalog_find(hf_slice_of(id));
    if (row != NULL) {
        hf_buffer_add_text(out, "<p class=\"soft\">Likeliest cause: ");
        esc(out, row->title);
        hf_buffer_add_text(out, " (<code>");
        esc(out, id);
        hf_buffer_add_text(out, "</code>)");
        hf_buffer_add_text(out, "</p>");
    }
    if (advice[0] != '\0') {
        hf_buffer_add_text(out, "<p class=\"soft\">");
        esc(out, advice);
        hf_buffer_add_text(out, "</p>");
    }
}

static void add_incidents(const struct hf_watch_target *t, struct hf_buffer *out)
{
    const struct hf_record *r = &t->record;
    if (r->incident_count == 0) {
        return;
    }
    hf_buffer_add_text(out, "<h3>Incidents</h3><ul class=\"list\">");
    for (size_t n = 0; n < r->incident_count && n < INCIDENTS_SHOWN; n++) {
        const struct hf_record_incident *i = &r->incidents[r->incident_count - 1 - n];
        hf_buffer_addf(out, "<li%s>", i->closed == 0 ? " class=\"open\"" : "");
        add_moment(out, i->opened);
        hf_buffer_addf(out, "<span class=\"kind\">%s</span> ", hf_incident_kind_text(i->kind));
        hf_buffer_add_text(out, "<span class=\"what\">");
        esc(out, i->summary);
        hf_buffer_add_text(out, "</span> ");
        if (i->bad > 1) {
            hf_buffer_addf(out, "<span class=\"soft\">%llu times</span> ",
                           (unsigned long long)i->bad);
        }
        if (i->closed == 0) {
            hf_buffer_addf(out, "<span class=\"bad\">open%s</span>", i->told ? "" : ", held back");
        } else {
            char text[24];
            hf_age_text((i->closed - i->opened) * 1000, text);
            hf_buffer_addf(out, "<span class=\"soft\">over after %s</span>", text);
        }
        add_cause(i->cause, i->advice, out);
        hf_buffer_add_text(out, "</li>\n");
    }
    hf_buffer_add_text(out, "</ul>");
}

static void add_endings(const struct hf_watch_target *t, struct hf_buffer *out)
{
    size_t shown = 0;
    const char *said = "";
    hf_buffer_add_text(out, "<h3>Last endings</h3>");
    for (size_t n = 0; n < t->record.ending_count && shown < ENDINGS_SHOWN; n++, shown++) {
        const struct hf_record_ending *e = hf_record_ending_at(&t->record, n);
        bool bad = e->judged == HF_JUDGED_PREMATURE || e->judged == HF_JUDGED_FAILED;
        hf_buffer_add_text(out, shown == 0 ? "<ul class=\"list\"><li>" : "<li>");
        add_moment(out, e->time);
        hf_buffer_addf(out, "<span class=\"kind%s\">%s%s</span> <span class=\"what\">",
                       bad ? " bad" : "", hf_judgement_text(e->judged),
                       e->is_check ? " (check)" : "");
        esc(out, e->sentence);
        hf_buffer_add_text(out, "</span>");
        bool again = strcmp(said, e->advice) == 0; /* what stands above already */
        add_cause(again ? "" : e->cause, bad && !again ? e->advice : "", out);
        said = bad ? e->advice : said;
        hf_buffer_add_text(out, "</li>\n");
    }
    hf_buffer_add_text(out, shown > 0 ? "</ul>" : "<p class=\"none\">None yet.</p>");
}

static void add_target(const struct hf_watch_target *t, struct hf_buffer *out)
{
    hf_buffer_add_text(out, "<section>");
    add_head(t, out);
    add_facts(t, out);
    hf_watch_chart_strip(t, 60, 60, "Last hour", "1 h ago", out);
    hf_watch_chart_strip(t, 1440, 288, "Last 24 hours", "24 h ago", out);
    hf_watch_chart_strip(t, HF_RECORD_MINUTES, 336, "Last 7 days", "7 days ago", out);
    hf_buffer_add_text(out, "<div class=\"two\">");
    hf_watch_chart_survival(t, out);
    hf_watch_chart_rtt(t, out);
    hf_buffer_add_text(out, "</div>");
    add_incidents(t, out);
    add_endings(t, out);
    hf_buffer_add_text(out, "</section>\n");
}

/* ---- the page -------------------------------------------------------------------------------- */

static void add_summary(struct hf_watch *w, struct hf_buffer *out)
{
    size_t up = 0;
    size_t open = 0;
    char time[25];
    char since[25];
    for (size_t i = 0; i < w->target_count; i++) {
        const struct hf_watch_target *t = w->targets[i];
        up += hf_watch_target_up(t) == t->settings->connections;
        for (size_t k = 0; k < HF_INCIDENT_KINDS; k++) {
            open += t->incidents[k].open;
        }
    }
    hf_wall_text(hf_watch_wall(w), time);
    hf_wall_text(w->started, since);
    hf_buffer_addf(out,
                   "<header><h1>holdfast watch</h1><span><b>%zu of %zu</b> up, <b>%zu</b> open "
                   "incident%s</span><span class=\"soft\">%.10s %.8s UTC, watching since %.10s "
                   "%.8s</span></header>",
                   up, w->target_count, open, open == 1 ? "" : "s", time, time + 11, since,
                   since + 11);
    if (w->store != NULL && !w->store_state.works) {
        hf_buffer_add_text(out, "<section class=\"bad\">The history is not written: ");
        esc(out, w->store_state.message);
        hf_buffer_add_text(out, "</section>");
    }
}

void hf_watch_page(struct hf_watch *w, struct hf_buffer *out)
{
    hf_buffer_addf(out,
                   "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                   "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
                   "<meta http-equiv=\"refresh\" content=\"30\"><title>holdfast watch</title>"
                   "<link rel=\"icon\" href=\"data:,\"><style>%s</style></head><body>\n",
                   style);
    for (size_t i = 0; i < w->target_count; i++) {
        hf_watch_target_account(w->targets[i]);
    }
    add_summary(w, out);
    hf_buffer_add_text(
        out, "<main><p class=\"legend\"><span><i "
             "style=\"background:var(--up)\"></i>up</span><span><i "
             "style=\"background:var(--shaky)\"></i>drops</span><span><i "
             "style=\"background:var(--down)\"></i>down</span><span><i "
             "style=\"background:var(--quiet)\"></i>not up in a quiet time</span><span><i "
             "style=\"background:var(--none)\"></i>unknown</span></p>\n");
    for (size_t i = 0; i < w->target_count; i++) {
        add_target(w->targets[i], out);
    }
    hf_buffer_addf(out,
                   "</main><footer class=\"soft\">Times are UTC. <a href=\"metrics\">metrics</a> "
                   "<a href=\"api/targets\">targets</a> <a href=\"api/endings\">endings</a> "
                   "<a href=\"api/incidents\">incidents</a> · holdfast %s</footer></body></html>\n",
                   HF_VERSION);
}
