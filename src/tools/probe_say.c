/* SPDX-License-Identifier: Apache-2.0 */
/* What holdfast probe prints. */
#include "cause/infer.h"
#include "probe/refusal.h"
#include "tools/probe.h"

#include <inttypes.h>

#define BODY_TEXT 300
#define CAUSE_LEAST 0.3 /* less is not worth a line */

static const char *paint(const struct probe_connection *c, enum hf_paint paint)
{
    return hf_say_paint(&c->run->say, paint);
}

/* "3" or, with --forever, "3.2"; nothing where there is one connection. */
static void label(const struct probe_connection *c, char text[24])
{
    const struct probe_run *run = c->run;
    if (run->forever) {
        (void)snprintf(text, 24, "%u.%u  ", c->number, c->life);
    } else if (run->connections > 1) {
        (void)snprintf(text, 24, "%u  ", c->number);
    } else {
        text[0] = '\0';
    }
}

static struct hf_buffer *begin(const struct probe_connection *c, const char *type)
{
    struct hf_buffer *out = hf_say_begin(&c->run->say, type);
    if (out != NULL) {
        hf_json_number(out, "connection", c->number);
        hf_json_number(out, "life", c->life);
    }
    return out;
}

/* ---- the start ----------------------------------------------------------------------------------
 */

static void add_plan(const struct probe_run *run, struct hf_buffer *out)
{
    const struct hf_trial_plan *plan = &run->how.plan;
    char text[24];
    const struct {
        const char *what;
        hf_time every;
    } rows[] = {{"ping", plan->ping_every},
                {"message", plan->message_every},
                {"beat", plan->beat_every},
                {"TCP keepalive", plan->keepalive}};
    const size_t before = out->len;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].every > 0) {
            hf_duration_text(rows[i].every, text);
            hf_buffer_addf(out, "%s%s every %s", out->len > before ? ", " : "", rows[i].what, text);
        }
    }
    hf_buffer_add_text(out, out->len == before ? "no heartbeat" : "");
    if (plan->pong != HF_PONG_ANSWER) {
        hf_buffer_addf(out, ", server's pings: %s", hf_pong_policy_text(plan->pong));
    }
    hf_buffer_add_text(out, plan->stops_reading ? ", stops reading" : "");
}

void probe_say_start(struct probe_run *run)
{
    struct hf_buffer url, plan;
    char hold[24];
    hf_buffer_init(&url, &hf_heap, 65536);
    hf_buffer_init(&plan, &hf_heap, 4096);
    hf_target_print(&run->target, &url);
    add_plan(run, &plan);
    hf_duration_text(run->how.hold, hold);
    struct hf_buffer *out = hf_say_begin(&run->say, "start");
    if (out != NULL) {
        hf_json_text(out, "url", hf_buffer_slice(&url));
        hf_json_number(out, "connections", run->connections);
        hf_json_ms(out, "hold_ms", run->how.hold == HF_NEVER ? -1 : run->how.hold);
        hf_json_text(out, "plan", hf_buffer_slice(&plan));
        hf_say_end(&run->say);
    } else if (!run->quiet) {
        hf_say_line(&run->say, "%s%.*s%s  %u connection%s, %s%s, %.*s",
                    hf_say_paint(&run->say, HF_PAINT_BOLD), HF_SLICE_ARG(hf_buffer_slice(&url)),
                    hf_say_paint(&run->say, HF_PAINT_PLAIN), run->connections,
                    run->connections > 1 ? "s" : "",
                    run->how.hold == HF_NEVER ? "until they drop" : "for ",
                    run->how.hold == HF_NEVER ? "" : hold, HF_SLICE_ARG(hf_buffer_slice(&plan)));
    }
    hf_buffer_reset(&url);
    hf_buffer_reset(&plan);
}

/* ---- the open -----------------------------------------------------------------------------------
 */

static void add_phases(const struct probe_connection *c, struct hf_buffer *out, bool json)
{
    for (enum hf_trial_phase phase = HF_PHASE_DNS; phase < HF_PHASE_OPEN; phase++) {
        const hf_time took = hf_probe_phase(c->probe, phase);
        char key[16], text[24];
        if (json) {
            (void)snprintf(key, sizeof(key), "%s_ms", hf_trial_phase_text(phase));
            hf_json_ms(out, key, took);
        } else if (took >= 0) {
            hf_age_text(took, text);
            hf_buffer_addf(out, "%s%s %s", out->len > 0 ? ", " : "", hf_trial_phase_text(phase),
                           text);
        }
    }
}

static void add_hosting(const struct probe_connection *c, struct hf_buffer *out, bool json)
{
    const struct hf_hosting *hosting[HF_PROBE_HOSTING];
    const size_t count = hf_probe_hosting(c->probe, hosting);
    hf_buffer_add_text(out, json ? ",\"hosting\":[" : "");
    for (size_t i = 0; i < count; i++) {
        hf_buffer_addf(out, json ? "%s\"%s\"" : "%s%s", i > 0 ? json ? "," : ", " : "",
                       json ? hosting[i]->id : hosting[i]->name);
    }
    hf_buffer_add_text(out, json ? "]" : "");
}

static void add_certificate(const struct probe_connection *c, struct hf_buffer *out)
{
    const hf_wall expires = hf_probe_certificate_expires(c->probe);
    char text[25];
    if (expires != 0) {
        hf_wall_text(expires, text);
        hf_json_string(out, "certificate_expires", text);
    }
}

static struct hf_slice header_of(const struct hf_head *head, const char *name)
{
    const struct hf_slice *value = hf_head_find(head, name);
    return value == NULL ? hf_slice("", 0) : *value;
}

static void json_open(struct probe_connection *c, const struct hf_head *head, const char *address)
{
    struct hf_buffer *out = begin(c, "open");
    hf_json_string(out, "address", address);
    add_phases(c, out, true);
    hf_json_text(out, "protocol", header_of(head, "Sec-WebSocket-Protocol"));
    hf_json_text(out, "extensions", header_of(head, "Sec-WebSocket-Extensions"));
    hf_json_text(out, "server", header_of(head, "Server"));
    add_hosting(c, out, true);
    add_certificate(c, out);
    hf_say_end(&c->run->say);
}

void probe_say_open(struct probe_connection *c, const struct hf_head *head)
{
    char address[128], number[24];
    struct hf_buffer text, server;
    hf_address_text(hf_probe_address(c->probe), address);
    if (c->run->say.json) {
        json_open(c, head, address);
    }
    if (c->run->say.json || c->run->quiet) {
        return;
    }
    label(c, number);
    hf_buffer_init(&text, &hf_heap, 4096);
    hf_buffer_init(&server, &hf_heap, 4096);
    add_phases(c, &text, false);
    hf_say_clean(header_of(head, "Server"), 60, &server);
    if (server.len > 0) {
        hf_buffer_add_text(&server, "; ");
    }
    const size_t before = server.len;
    add_hosting(c, &server, false);
    server.len -= server.len == before && before > 0 ? 2 : 0;
    hf_say_line(&c->run->say, "%s%sopen%s  %.*s  %s%s%s%.*s%s", number, paint(c, HF_PAINT_GREEN),
                paint(c, HF_PAINT_PLAIN), HF_SLICE_ARG(hf_buffer_slice(&text)),
                paint(c, HF_PAINT_GREY), address, server.len > 0 ? ", " : "",
                HF_SLICE_ARG(hf_buffer_slice(&server)), paint(c, HF_PAINT_PLAIN));
    hf_buffer_reset(&text);
    hf_buffer_reset(&server);
}

/* ---- while it is open ---------------------------------------------------------------------------
 */

void probe_say_message(struct probe_connection *c, const struct hf_probe_event *event)
{
    char number[24];
    struct hf_buffer text;
    if (!c->run->print) {
        return;
    }
    if (c->run->say.json) {
        struct hf_buffer *out = begin(c, "message");
        hf_json_string(out, "opcode", event->opcode == 1 ? "text" : "binary");
        hf_json_number(out, "size", (int64_t)event->data.len);
        if (event->opcode == 1) {
            hf_json_text(out, "data", event->data);
        }
        hf_say_end(&c->run->say);
        return;
    }
    label(c, number);
    hf_buffer_init(&text, &hf_heap, 4096);
    if (event->opcode == 1) {
        hf_say_clean(event->data, 1000, &text);
    } else {
        hf_buffer_addf(&text, "%zu bytes of binary", event->data.len);
    }
    hf_say_line(&c->run->say, "%s< %.*s", number, HF_SLICE_ARG(hf_buffer_slice(&text)));
    hf_buffer_reset(&text);
}

void probe_say_stalled(struct probe_connection *c, hf_time since)
{
    char number[24], age[24];
    struct hf_buffer *out = begin(c, "stalled");
    if (out != NULL) {
        hf_json_ms(out, "since_ms", since);
        hf_say_end(&c->run->say);
    } else if (!c->run->quiet) {
        label(c, number);
        hf_age_text(since, age);
        hf_say_line(&c->run->say, "%s%sno answer to a ping for %s%s", number,
                    paint(c, HF_PAINT_YELLOW), age, paint(c, HF_PAINT_PLAIN));
    }
}

/* ---- the end ------------------------------------------------------------------------------------
 */

static void add_headers(const struct hf_head *head, struct hf_buffer *out)
{
    const char *comma = "";
    hf_buffer_add_text(out, ",\"headers\":{");
    for (size_t i = 0; i < head->count; i++) {
        if (hf_refusal_header_matters(head->headers[i].name)) {
            hf_buffer_addf(out, "%s\"%.*s\":\"", comma, HF_SLICE_ARG(head->headers[i].name));
            hf_buffer_add_json(out, head->headers[i].value);
            hf_buffer_add_text(out, "\"");
            comma = ",";
        }
    }
    hf_buffer_add_text(out, "}");
}

static void json_end(struct probe_connection *c, const struct hf_probe_event *event,
                     struct hf_slice sentence, struct hf_slice meaning)
{
    struct hf_buffer *out = begin(c, "end");
    const struct hf_trial *t = hf_probe_trial(c->probe);
    const char *ids[HF_PROBE_HOSTING];
    const struct hf_infer_context context = hf_probe_context(c->probe, ids);
    hf_buffer_add_text(out, ",");
    hf_trial_json_with(t, &context, out);
    hf_json_text(out, "text", sentence);
    add_phases(c, out, true);
    hf_json_ms(out, "first_message_ms", hf_probe_phase(c->probe, HF_PHASE_OPEN));
    add_hosting(c, out, true);
    if (event->head != NULL) {
        add_headers(event->head, out);
        hf_json_text(out, "body", hf_slice_first(event->data, 1024));
    }
    if (meaning.len > 0) {
        hf_json_text(out, "meaning", meaning);
    }
    hf_say_end(&c->run->say);
}

static void text_refusal(struct probe_connection *c, const struct hf_probe_event *event,
                         struct hf_slice meaning)
{
    struct hf_say *s = &c->run->say;
    struct hf_buffer body, clean;
    hf_buffer_init(&body, &hf_heap, 65536);
    hf_buffer_init(&clean, &hf_heap, 65536);
    for (size_t i = 0; i < event->head->count; i++) {
        const struct hf_header *h = &event->head->headers[i];
        if (hf_refusal_header_matters(h->name)) {
            hf_buffer_clear(&clean);
            hf_say_clean(h->value, 200, &clean);
            hf_say_line(s, "    %s%.*s: %.*s%s", paint(c, HF_PAINT_GREY), HF_SLICE_ARG(h->name),
                        HF_SLICE_ARG(hf_buffer_slice(&clean)), paint(c, HF_PAINT_PLAIN));
        }
    }
    hf_refusal_body_text(event->data, BODY_TEXT, &body);
    hf_buffer_clear(&clean);
    hf_say_clean(hf_buffer_slice(&body), BODY_TEXT, &clean);
    if (clean.len > 0) {
        hf_say_line(s, "    %s%.*s%s", paint(c, HF_PAINT_GREY),
                    HF_SLICE_ARG(hf_buffer_slice(&clean)), paint(c, HF_PAINT_PLAIN));
    }
    hf_say_line(s, "    %.*s", HF_SLICE_ARG(meaning));
    hf_buffer_reset(&body);
    hf_buffer_reset(&clean);
}

/* What the ending alone suggests. */
static void text_causes(struct probe_connection *c, const struct hf_trial *t)
{
    struct hf_named_cause causes[3];
    const char *ids[HF_PROBE_HOSTING];
    const struct hf_infer_context context = hf_probe_context(c->probe, ids);
    const size_t count = hf_trial_is_dead(t) ? hf_infer_one(t, &context, causes, 3) : 0;
    if (count == 0 || causes[0].likelihood < CAUSE_LEAST) {
        hf_say_line(&c->run->say,
                    "    %sthis ending has many causes; `holdfast diagnose` tells "
                    "them apart%s",
                    paint(c, HF_PAINT_GREY), paint(c, HF_PAINT_PLAIN));
        return;
    }
    for (size_t i = 0; i < count && causes[i].likelihood >= CAUSE_LEAST / 2; i++) {
        hf_say_line(&c->run->say, "    %s%s %s%s (%s, %.0f %%)", paint(c, HF_PAINT_GREY),
                    i == 0 ? "perhaps" : "or", paint(c, HF_PAINT_PLAIN), causes[i].row->title,
                    causes[i].row->id, 100 * causes[i].likelihood);
    }
}

static void text_end(struct probe_connection *c, const struct hf_probe_event *event,
                     struct hf_slice sentence, struct hf_slice meaning)
{
    const struct hf_trial *t = hf_probe_trial(c->probe);
    const bool dead = hf_trial_is_dead(t);
    char number[24];
    struct hf_buffer clean;
    label(c, number);
    hf_buffer_init(&clean, &hf_heap, 4096);
    const char *what = !hf_trial_was_open(t) ? "not open" : dead ? "ended" : "held";
    const size_t len = strlen(what);
    /* "ended by the other side": the word is not said twice. */
    const bool twice = hf_slice_starts(sentence, hf_slice(what, len));
    hf_say_clean(twice ? hf_slice_from(sentence, len) : sentence, 2000, &clean);
    hf_say_line(&c->run->say, "%s%s%s%s  %.*s", number,
                paint(c, dead ? HF_PAINT_RED : HF_PAINT_GREEN), what, paint(c, HF_PAINT_PLAIN),
                HF_SLICE_ARG(hf_buffer_slice(&clean)));
    if (event->head != NULL) {
        text_refusal(c, event, meaning);
    } else if (meaning.len > 0) {
        hf_say_line(&c->run->say, "    %.*s", HF_SLICE_ARG(meaning));
    } else if (c->run->connections <= 3 && dead && hf_trial_was_open(t)) {
        text_causes(c, t);
    }
    hf_buffer_reset(&clean);
}

void probe_say_end(struct probe_connection *c, const struct hf_probe_event *event)
{
    struct hf_buffer sentence, meaning;
    const struct hf_trial *t = hf_probe_trial(c->probe);
    hf_buffer_init(&sentence, &hf_heap, 4096);
    hf_buffer_init(&meaning, &hf_heap, 4096);
    hf_trial_sentence(t, &sentence);
    if (event->head != NULL) {
        hf_refusal_explain(&c->run->target, event->head, event->data, &meaning);
    } else {
        hf_failure_explain(&c->run->target, t, &meaning);
    }
    if (c->run->say.json) {
        json_end(c, event, hf_buffer_slice(&sentence), hf_buffer_slice(&meaning));
    } else if (!c->run->quiet || hf_trial_is_dead(t)) {
        text_end(c, event, hf_buffer_slice(&sentence), hf_buffer_slice(&meaning));
    }
    hf_buffer_reset(&sentence);
    hf_buffer_reset(&meaning);
}

/* ---- progress -----------------------------------------------------------------------------------
 */

static void draw_one(struct probe_connection *c, struct hf_buffer *out)
{
    struct hf_say *s = &c->run->say;
    const struct hf_trial *t = hf_probe_trial(c->probe);
    char age[24], rtt[24], rx[24];
    hf_age_text(t->end.age, age);
    hf_age_text(c->rtt_last, rtt);
    hf_age_text(t->end.silent_rx, rx);
    hf_buffer_addf(out, "%s%4u  %s%s  %s", hf_say_live_paint(s, HF_PAINT_GREY), c->number,
                   hf_say_live_paint(s, c->stalled != 0 ? HF_PAINT_YELLOW : HF_PAINT_PLAIN),
                   c->open ? "open" : hf_trial_phase_text(t->end.phase), age);
    if (c->rtt_last > 0) {
        hf_buffer_addf(out, "  rtt %s", rtt);
    }
    if (c->open) {
        hf_buffer_addf(out, "  sent %" PRIu64 " got %" PRIu64 "  quiet %s",
                       t->count[HF_MOMENT_SENT], t->count[HF_MOMENT_GOT], rx);
    }
    hf_buffer_add_text(out, c->stalled != 0 ? "  no answer\n" : "\n");
}

static void draw_all(struct probe_run *run, unsigned open, unsigned opening, struct hf_buffer *out)
{
    char age[24], rtt[24];
    hf_age_text(hf_loop_now(run->loop) - run->begun, age);
    hf_age_text(hf_histogram_quantile(&run->rtt, 0.5), rtt);
    hf_buffer_addf(out, "%s  %u open, %u opening, %u ended early, %u not opened%s%s", age, open,
                   opening, run->died, run->failed, run->rtt.count > 0 ? ", rtt " : "",
                   run->rtt.count > 0 ? rtt : "");
    hf_buffer_add_text(out, "\n");
}

void probe_say_progress(struct probe_run *run)
{
    unsigned columns, rows, open = 0, opening = 0;
    struct hf_buffer out;
    const hf_time now = hf_loop_now(run->loop);
    if (!run->say.live || run->quiet || now - run->drawn_at < HF_MS(200)) {
        return;
    }
    run->drawn_at = now;
    for (unsigned i = 0; i < run->connections; i++) {
        open += run->all[i].open;
        opening += run->all[i].probe != NULL && !run->all[i].open;
    }
    hf_say_size(&columns, &rows);
    hf_buffer_init(&out, &hf_heap, 1 << 20);
    if (open + opening + 2 < rows) {
        for (unsigned i = 0; i < run->connections; i++) {
            if (run->all[i].probe != NULL) {
                draw_one(&run->all[i], &out);
            }
        }
    }
    if (run->connections > 1) {
        draw_all(run, open, opening, &out);
    }
    hf_say_draw(&run->say, hf_buffer_slice(&out));
    hf_buffer_reset(&out);
}

/* ---- the summary --------------------------------------------------------------------------------
 */

static void text_summary(struct probe_run *run)
{
    char a[24], b[24], m[24];
    struct hf_say *s = &run->say;
    const unsigned total = run->opened + run->failed;
    if (total > 1) {
        hf_say_line(s, "%u opened, %u not; %u held, %u ended early", run->opened, run->failed,
                    run->held, run->died);
    }
    if (run->died > 1) {
        hf_age_text(run->shortest, a);
        hf_age_text(run->longest, b);
        hf_say_line(s, "those that ended early lived from %s to %s", a, b);
    }
    if (run->rtt.count > 0) {
        hf_age_text(run->rtt.min, a);
        hf_age_text(hf_histogram_quantile(&run->rtt, 0.5), m);
        hf_age_text(run->rtt.max, b);
        hf_say_line(s, "round trips: %" PRIu64 ", least %s, median %s, most %s", run->rtt.count, a,
                    m, b);
    }
}

void probe_say_summary(struct probe_run *run)
{
    struct hf_buffer *out = hf_say_begin(&run->say, "summary");
    if (out == NULL) {
        text_summary(run);
        return;
    }
    hf_json_number(out, "opened", run->opened);
    hf_json_number(out, "not_opened", run->failed);
    hf_json_number(out, "held", run->held);
    hf_json_number(out, "ended_early", run->died);
    hf_json_ms(out, "shortest_ms", run->died > 0 ? run->shortest : -1);
    hf_json_ms(out, "longest_ms", run->died > 0 ? run->longest : -1);
    hf_json_number(out, "rtt_count", (int64_t)run->rtt.count);
    hf_json_ms(out, "rtt_min_ms", run->rtt.count > 0 ? run->rtt.min : -1);
    hf_json_ms(out, "rtt_median_ms",
               run->rtt.count > 0 ? hf_histogram_quantile(&run->rtt, 0.5) : -1);
    hf_json_ms(out, "rtt_max_ms", run->rtt.count > 0 ? run->rtt.max : -1);
    hf_say_end(&run->say);
}
