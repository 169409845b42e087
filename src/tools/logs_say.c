/* SPDX-License-Identifier: Apache-2.0 */
/* What holdfast logs says: for people here, and each ending; the lines of JSON are in logs_json.c.
 */
#include "tools/logs_say.h"

#include <langinfo.h>
#include <locale.h>
#include <math.h>

#define CURVE_ROWS 9

const char *hf_logs_clean(char out[160], const char *text, size_t max)
{
    struct hf_buffer b;
    hf_buffer_init(&b, &hf_heap, 1024);
    hf_say_clean(hf_slice_of(text), max < 150 ? max : 150, &b);
    (void)snprintf(out, 160, "%.*s", HF_SLICE_ARG(hf_buffer_slice(&b)));
    hf_buffer_reset(&b);
    return out;
}

void hf_logs_time_text(int64_t at, char text[25])
{
    if (at == HF_LOGS_NO_TIME) {
        (void)snprintf(text, 25, "%s", "(no time)");
        return;
    }
    hf_wall_text(at / 1000, text);
}

/* Seconds are enough for people: 2026-11-26 01:21:28Z */
static const char *when(int64_t at, char text[25])
{
    hf_logs_time_text(at, text);
    if (at != HF_LOGS_NO_TIME) {
        text[10] = ' ';
        text[19] = 'Z';
        text[20] = '\0';
    }
    return text;
}

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

/* ---- one ending --------------------------------------------------------------------------------
 */

void hf_logs_say_ending(struct logs_command *c, const struct hf_logs_ending *e)
{
    static const char *const fates[] = {"ended", "lives", "refused"};
    char time[25];
    char age[24] = "?";
    char path[160];
    char reason[160];
    char code[16] = "";
    if (c->say.json) {
        hf_logs_json_ending(c, e);
        return;
    }
    if (e->age >= 0) {
        hf_logs_age_text((double)e->age / 1e6, age);
    }
    if (e->fate == HF_LOGS_TURNED_AWAY || e->code != 0) {
        (void)snprintf(code, sizeof(code), " %u",
                       e->fate == HF_LOGS_TURNED_AWAY ? e->http : e->code);
    }
    hf_say_line(&c->say, "%s  %-7s after %8s%s  %s  %s%s%s", when(e->at, time), fates[e->fate], age,
                code, hf_logs_clean(path, e->path[0] != '\0' ? e->path : "-", 60),
                e->cause[0] != '\0' ? e->cause : hf_logs_how_text(e->how),
                e->reason[0] != '\0' ? ": " : "", hf_logs_clean(reason, e->reason, 100));
}

/* ---- files -------------------------------------------------------------------------------------
 */

static void formats_text(const struct logs_source *s, char *out, size_t size)
{
    out[0] = '\0';
    for (unsigned i = 0; i < HF_LOGS_FORMATS; i++) {
        size_t n = strlen(out);
        if (s->formats[i] > 0) {
            (void)snprintf(out + n, size - n, "%s%s", n > 0 ? ", " : "",
                           hf_logs_format_text((enum hf_logs_format)i));
        }
    }
    if (out[0] == '\0') {
        (void)snprintf(out, size, "no format that is known");
    }
}

static void say_files(struct logs_command *c)
{
    char name[160];
    char text[160];
    char formats[200];
    for (size_t i = 0; i < c->source_count; i++) {
        const struct logs_source *s = &c->sources[i];
        formats_text(s, formats, sizeof(formats));
        hf_say_line(&c->say, "%s%s%s: %s; %llu line%s, %llu read, %llu not",
                    hf_say_paint(&c->say, HF_PAINT_BOLD), hf_logs_clean(name, s->name, 100),
                    hf_say_paint(&c->say, HF_PAINT_PLAIN), formats, (unsigned long long)s->lines,
                    plural(s->lines), (unsigned long long)s->read, (unsigned long long)s->unread);
        for (size_t j = 0; j < s->shown_count; j++) {
            const struct logs_unread *u = &s->shown[j];
            hf_say_line(&c->say, "  %s%s:%llu: %s: %s%s", hf_say_paint(&c->say, HF_PAINT_GREY),
                        hf_logs_clean(name, s->name, 100), (unsigned long long)u->line, u->why,
                        hf_logs_clean(text, u->text, 60), hf_say_paint(&c->say, HF_PAINT_PLAIN));
        }
        if (s->unread > s->shown_count) {
            hf_say_line(&c->say, "  %s... and %llu more%s", hf_say_paint(&c->say, HF_PAINT_GREY),
                        (unsigned long long)(s->unread - s->shown_count),
                        hf_say_paint(&c->say, HF_PAINT_PLAIN));
        }
    }
}

/* ---- counts ------------------------------------------------------------------------------------
 */

static void say_heading(struct logs_command *c, const char *text)
{
    hf_say_line(&c->say, "\n%s%s%s", hf_say_paint(&c->say, HF_PAINT_BOLD), text,
                hf_say_paint(&c->say, HF_PAINT_PLAIN));
}

static void say_connections(struct logs_command *c)
{
    const struct hf_logs_tally *t = &c->tally;
    const struct hf_logs_book_counts *book = hf_logs_book_counts(c->book);
    char first[25];
    char last[25];
    hf_say_line(&c->say, "%s", "");
    if (t->ended == 0) {
        hf_say_line(&c->say, "No WebSocket ended in these lines%s.",
                    c->left_out > 0 ? " within what was asked for" : "");
    } else if (t->first == HF_LOGS_NO_TIME) {
        hf_say_line(&c->say, "%llu WebSocket%s ended; the lines have no times.",
                    (unsigned long long)t->ended, plural(t->ended));
    } else {
        hf_say_line(&c->say, "%llu WebSocket%s ended from %s to %s.", (unsigned long long)t->ended,
                    plural(t->ended), when(t->first, first), when(t->last, last));
    }
    if (t->lived > 0) {
        hf_say_line(&c->say, "%llu had not ended when the log did.", (unsigned long long)t->lived);
    }
    if (t->ended > 0 && t->aged < t->ended + t->lived) {
        hf_say_line(&c->say, "The age of %llu is not known%s.",
                    (unsigned long long)(t->ended + t->lived - t->aged),
                    t->formats[HF_LOGS_NGINX_ACCESS] > 0
                        ? ": let nginx log it, with $request_time in its log_format"
                        : "");
    }
    if (t->untold > t->ended / 2 && !t->saw_reasons) {
        hf_say_line(&c->say, "nginx writes why it ended a WebSocket to its error log, but only at "
                             "level info: error_log FILE info; then give that file as well.");
    }
    if (t->untold > 0 && t->saw_reasons) {
        hf_say_line(&c->say,
                    "Where nginx gives no reason, one of the two sides ended it in order, or "
                    "its worker went.");
    }
    if (book->ambiguous > 0) {
        hf_say_line(&c->say,
                    "%llu ended while others of the same process were open, and the lines do not "
                    "say which.",
                    (unsigned long long)book->ambiguous);
    }
    if (book->began_before > 0) {
        hf_say_line(&c->say, "%llu had begun before the log.",
                    (unsigned long long)book->began_before);
    }
    if (book->given_up + book->hints_lost > 0) {
        hf_say_line(&c->say, "%llu could not be paired: more at a time than are kept.",
                    (unsigned long long)(book->given_up + book->hints_lost));
    }
    if (c->left_out > 0) {
        hf_say_line(&c->say, "%llu were left out by --since, --until or --path%s.",
                    (unsigned long long)c->left_out,
                    c->untimed > 0 ? ", some of them because their lines have no time" : "");
    }
}

static void say_counts(struct logs_command *c, const char *title,
                       const struct hf_logs_counts *counts, uint64_t all)
{
    const struct hf_logs_count *top[HF_LOGS_NAMES_MAX];
    struct hf_say_table table;
    char name[160];
    size_t n = hf_logs_counts_top(counts, top, c->top);
    if (n == 0 || all == 0) {
        return;
    }
    hf_say_line(&c->say, "%s", "");
    hf_say_table_init(&table, 3, 6);
    hf_say_table_add(&table, "%s", title);
    hf_say_table_add(&table, "endings");
    hf_say_table_add(&table, "share");
    uint64_t shown = 0;
    for (size_t i = 0; i < n; i++) {
        shown += top[i]->count;
        hf_say_table_add(&table, "%s", hf_logs_clean(name, top[i]->name, 70));
        hf_say_table_add(&table, "%llu", (unsigned long long)top[i]->count);
        hf_say_table_add(&table, "%.1f %%", 100.0 * (double)top[i]->count / (double)all);
    }
    uint64_t total = counts->others;
    for (size_t i = 0; i < counts->count; i++) {
        total += counts->all[i]->count;
    }
    if (total > shown) {
        hf_say_table_add(&table, "(others)");
        hf_say_table_add(&table, "%llu", (unsigned long long)(total - shown));
        hf_say_table_add(&table, "%.1f %%", 100.0 * (double)(total - shown) / (double)all);
    }
    hf_say_table_print(&c->say, &table);
}

/* What a Close's code and reason point to, each asked once. */
static void say_signatures(struct logs_command *c)
{
    const struct hf_logs_count *top[16];
    size_t n = hf_logs_counts_top(&c->tally.signatures, top, c->top < 16 ? c->top : 16);
    char text[160];
    for (size_t i = 0; i < n; i++) {
        struct hf_named_cause named;
        hf_say_line(&c->say, "Close %s: %llu time%s%s%s", hf_logs_clean(text, top[i]->name, 90),
                    (unsigned long long)top[i]->count, plural(top[i]->count),
                    hf_logs_name_signature(top[i], &named) ? ", likeliest " : "",
                    hf_logs_name_signature(top[i], &named) ? named.row->id : "");
    }
}

bool hf_logs_name_signature(const struct hf_logs_count *signature, struct hf_named_cause *named)
{
    struct hf_trial t = {.end = {.how = HF_HOW_CLOSE, .phase = HF_PHASE_OPEN}};
    struct hf_slice s = hf_slice_of(signature->name);
    uint64_t code = 0;
    size_t space = hf_slice_find(s, ' ');
    if (!hf_slice_number(hf_slice_first(s, space), UINT16_MAX, &code)) {
        return false;
    }
    t.end.code = (uint16_t)code;
    (void)snprintf(t.end.reason, sizeof(t.end.reason), "%s", signature->name + space + 1);
    struct hf_rank_facts facts;
    hf_rank_facts_of(&t, &facts);
    /* Its age is not known here, so only what names itself by its reason is named. */
    for (size_t i = 0; i < hf_catalog_count(); i++) {
        const struct hf_catalog_row *row = hf_catalog_at(i);
        if (row->reason != NULL && row->code == facts.code && t.end.reason[0] != '\0' &&
            strstr(t.end.reason, row->reason) != NULL) {
            *named = (struct hf_named_cause){row, 0};
            return true;
        }
    }
    return false;
}

/* ---- what stands out ---------------------------------------------------------------------------
 */

static void peak_text(const struct hf_logs_finding *f, char *out, size_t size)
{
    const struct hf_peak *p = &f->peak;
    char at[25];
    char low[24];
    char high[24];
    switch (p->kind) {
    case HF_PEAK_AGE:
        hf_logs_age_text(p->at, at);
        hf_logs_age_text(p->low, low);
        hf_logs_age_text(p->high, high);
        (void)snprintf(out, size, "%s%s", f->is_silence ? "silent for " : "", at);
        if (strcmp(low, high) != 0) {
            size_t n = strlen(out);
            (void)snprintf(out + n, size - n, " (%s to %s)", low, high);
        }
        break;
    case HF_PEAK_CLOCK:
        (void)when((int64_t)(p->at * 1e6), at);
        (void)snprintf(out, size, "%s", at);
        break;
    case HF_PEAK_UP:
        (void)snprintf(out, size, "%.0f messages from the client", p->at);
        break;
    case HF_PEAK_DOWN:
        (void)snprintf(out, size, "%.0f messages to the client", p->at);
        break;
    case HF_PEAK_BYTES_UP:
        (void)snprintf(out, size, "%.0f bytes from the client", p->at);
        break;
    case HF_PEAK_BYTES_DOWN:
        (void)snprintf(out, size, "%.0f bytes to the client", p->at);
        break;
    }
}

/* What is said of it, in one part of a sentence. */
static const char *meaning(const struct hf_logs_finding *f)
{
    switch (f->peak.kind) {
    case HF_PEAK_AGE:
        if (f->is_silence) {
            return "an idle timer: their ages differ, the silence before the end does not";
        }
        if (hf_logs_is_soon(f) && f->class == HF_CLASS_INCONCLUSIVE) {
            return "right behind the open: an application that closes at once, or a client that "
                   "leaves";
        }
        switch (f->class) {
        case HF_CLASS_IDLE_TIMER:
            return "an idle timer, as the log itself says";
        case HF_CLASS_LIFETIME:
            return "a lifetime, as the log itself says";
        case HF_CLASS_PONG_TIMEOUT:
        case HF_CLASS_BLOCKED_SERVER:
        case HF_CLASS_RESTART:
        case HF_CLASS_MESSAGE_LIMIT:
        case HF_CLASS_SIZE_LIMIT:
        case HF_CLASS_NETWORK:
        case HF_CLASS_HANDSHAKE:
        case HF_CLASS_NONE:
            return "as the log itself says";
        case HF_CLASS_INCONCLUSIVE:
        case HF_CLASSES:
        default:
            break;
        }
        return f->busy >= 0.8 ? "a lifetime, or a timer that only some messages reset: bytes had "
                                "passed within half of it"
                              : "an idle timer, a lifetime or a missed pong: ages alone do not "
                                "tell them apart";
    case HF_PEAK_CLOCK:
        return "at one instant, at mixed ages: a restart, a reload, a deploy or a worker's death";
    case HF_PEAK_UP:
        return "a limiter that counts the client's messages";
    case HF_PEAK_DOWN:
        return "a limiter that counts the server's messages, chunks of a stream for example";
    case HF_PEAK_BYTES_UP:
    case HF_PEAK_BYTES_DOWN:
        return "a limit of bytes, or one message that kills";
    }
    return "";
}

const char *hf_logs_next_step(const struct hf_logs_finding *f)
{
    switch (f->peak.kind) {
    case HF_PEAK_AGE:
        return hf_logs_is_soon(f) ? "look at what the application and the client do at the first "
                                    "message"
               : f->is_silence    ? "send a ping within half of it, or raise the timer"
               : f->class == HF_CLASS_INCONCLUSIVE
                   ? "holdfast diagnose URL --only silence,ping,busy,pong: if a busy socket dies "
                     "at "
                     "the same age it is a lifetime"
                   : "holdfast causes ID tells which line to change";
    case HF_PEAK_CLOCK:
        return "compare the times with deploys, reloads and kills; drain before a stop, reconnect "
               "with jitter";
    case HF_PEAK_UP:
    case HF_PEAK_DOWN:
        return "holdfast diagnose URL --only rate --allow-load --send TEXT: whether the count "
               "decides, at any speed";
    case HF_PEAK_BYTES_UP:
    case HF_PEAK_BYTES_DOWN:
        return "holdfast diagnose URL --only size --allow-load: the largest message that passes";
    }
    return "";
}

static void say_candidates(struct logs_command *c, const struct hf_logs_finding *f)
{
    char line[400] = "";
    for (size_t i = 0; i < f->told_count; i++) {
        size_t n = strlen(line);
        (void)snprintf(line + n, sizeof(line) - n, "%s%s (%.0f %%)", i > 0 ? ", " : "",
                       f->told[i].cause, 100 * f->told[i].share);
    }
    if (f->told_count > 0) {
        hf_say_line(&c->say, "    the log tells: %s", line);
    }
    line[0] = '\0';
    for (size_t i = 0; i < f->named_count; i++) {
        size_t n = strlen(line);
        (void)snprintf(line + n, sizeof(line) - n, "%s%s", i > 0 ? ", " : "", f->named[i].row->id);
    }
    if (f->named_count > 0) {
        hf_say_line(&c->say, "    candidates: %s", line);
    }
}

static bool meets(const struct hf_logs_notice *n, const struct hf_peak *p)
{
    return n->kind == HF_LOGS_RESTART && n->first != HF_LOGS_NO_TIME &&
           (double)n->first / 1e6 <= p->high + 2 && (double)n->last / 1e6 >= p->low - 2;
}

void hf_logs_say_finding(struct logs_command *c, const struct hf_logs_finding *f)
{
    char at[100];
    if (c->say.json) {
        hf_logs_json_finding(c, f);
        return;
    }
    peak_text(f, at, sizeof(at));
    hf_say_line(&c->say, "  %s%s%s: %llu of %llu endings, where %.0f would be by chance: %s",
                hf_say_paint(&c->say, HF_PAINT_YELLOW), at, hf_say_paint(&c->say, HF_PAINT_PLAIN),
                (unsigned long long)f->peak.count, (unsigned long long)c->tally.ended,
                f->peak.expected, meaning(f));
    say_candidates(c, f);
    for (size_t i = 0; f->peak.kind == HF_PEAK_CLOCK && i < c->tally.notice_count; i++) {
        if (meets(&c->tally.notices[i], &f->peak)) {
            hf_say_line(&c->say, "    logged then: %s", c->tally.notices[i].what);
        }
    }
    hf_say_line(&c->say, "    next: %s", hf_logs_next_step(f));
}

static bool is_utf8(void)
{
    (void)setlocale(LC_CTYPE, "");
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static void say_curve(struct logs_command *c, const struct hf_logs_finding *findings, size_t count)
{
    struct hf_buffer text;
    char median[24];
    hf_buffer_init(&text, &hf_heap, 1 << 20);
    hf_logs_curve_draw(&c->tally, findings, count, c->columns, CURVE_ROWS, c->ascii || !is_utf8(),
                       &text);
    if (text.len > 0 && !text.failed) {
        hf_time half = hf_survival_quantile(c->tally.ages, 0.5);
        hf_logs_age_text((double)half / 1e6, median);
        say_heading(c, "How many still live at which age");
        (void)fwrite(text.data, 1, text.len, c->say.text);
        if (half != HF_NEVER) {
            hf_say_line(&c->say, "Half of them lived %s or longer.", median);
        }
    }
    hf_buffer_reset(&text);
}

static void say_notices(struct logs_command *c, enum hf_logs_kind kind, const char *title)
{
    char time[25];
    char reason[160];
    size_t shown = 0;
    size_t all = 0;
    for (size_t i = 0; i < c->tally.notice_count; i++) {
        const struct hf_logs_notice *n = &c->tally.notices[i];
        if (n->kind != kind || all++ >= c->top) {
            continue;
        }
        if (shown++ == 0) {
            say_heading(c, title);
        }
        char endings[64] = "";
        if (kind == HF_LOGS_RESTART && n->first != HF_LOGS_NO_TIME && !n->is_start) {
            (void)snprintf(endings, sizeof(endings), "; %llu connection%s ended around it",
                           (unsigned long long)n->endings, plural(n->endings));
        } else if (n->lines > 1) {
            (void)snprintf(endings, sizeof(endings), ", %llu times", (unsigned long long)n->lines);
        }
        hf_say_line(&c->say, "  %s  %s%s%s%s%s%s%s", when(n->first, time), n->what,
                    n->reason[0] != '\0' ? ": " : "", hf_logs_clean(reason, n->reason, 80), endings,
                    n->cause[0] != '\0' ? " (" : "", n->cause, n->cause[0] != '\0' ? ")" : "");
    }
    if (all > shown) {
        hf_say_line(&c->say, "  ... and %zu more", all - shown);
    }
}

static void say_refused(struct logs_command *c)
{
    const struct hf_logs_count *top[HF_LOGS_NAMES_MAX];
    char text[160];
    uint64_t total;
    size_t n = hf_logs_tally_refused(&c->tally, top, c->top, &total);
    if (total == 0) {
        return;
    }
    say_heading(c, "Handshakes that were refused");
    for (size_t i = 0; i < n; i++) {
        hf_say_line(&c->say, "  %s: %llu time%s", hf_logs_clean(text, top[i]->name, 100),
                    (unsigned long long)top[i]->count, plural(top[i]->count));
    }
}

static void say_period(struct logs_command *c, const struct hf_logs_finding *findings, size_t count)
{
    struct hf_peak peaks[HF_LOGS_FINDINGS_MAX];
    char text[24];
    for (size_t i = 0; i < count; i++) {
        peaks[i] = findings[i].peak;
    }
    double period =
        hf_survival_period(peaks, count < HF_SURVIVAL_PEAKS ? count : HF_SURVIVAL_PEAKS);
    if (period > 0) {
        hf_logs_age_text(period, text);
        hf_say_line(&c->say, "  The instants come every %s.", text);
    }
}

void hf_logs_say_summary(struct logs_command *c, const struct hf_logs_finding *findings,
                         size_t count, int exit)
{
    if (c->say.json) {
        hf_logs_json_summary(c, findings, count, exit);
        return;
    }
    say_files(c);
    say_connections(c);
    say_counts(c, "cause", &c->tally.causes, c->tally.ended);
    if (c->by != HF_LOGS_BY_CAUSE) {
        say_counts(c, hf_logs_by_text(c->by), &c->tally.dimension, c->tally.ended);
    }
    if (c->by != HF_LOGS_BY_CODE) {
        say_counts(c, "close code", &c->tally.codes, c->tally.ended);
    }
    say_signatures(c);
    say_curve(c, findings, count);
    if (count > 0) {
        say_heading(c, "What stands out");
        for (size_t i = 0; i < count; i++) {
            hf_logs_say_finding(c, &findings[i]);
        }
        say_period(c, findings, count);
    } else if (c->tally.aged > 0) {
        say_heading(c, "What stands out");
        hf_say_line(&c->say, "  Nothing: endings are spread over ages, times and counts.");
    }
    say_notices(c, HF_LOGS_RESTART, "Restarts");
    say_notices(c, HF_LOGS_LIMITER, "Limits that were hit");
    say_notices(c, HF_LOGS_FAULT, "Errors");
    say_refused(c);
}
