/* SPDX-License-Identifier: Apache-2.0 */
/* Which page is which, and the JSON of /api. */
#include "base/time.h"
#include "http/url.h"
#include "watch/inside.h"

#include <stdio.h>
#include <stdlib.h>

#define ENDINGS_DEFAULT 100

const char *hf_watch_state_text(const struct hf_watch_target *t)
{
    size_t up = hf_watch_target_up(t);
    return up == t->settings->connections ? "up" : up > 0 ? "partly" : "down";
}

/* ---- JSON --------------------------------------------------------------------------------- */

static void add_text(struct hf_buffer *out, const char *key, const char *value)
{
    hf_buffer_addf(out, ",\"%s\":\"", key);
    hf_buffer_add_json(out, hf_slice_of(value));
    hf_buffer_add_byte(out, '"');
}

static void add_time(struct hf_buffer *out, const char *key, hf_wall time)
{
    char text[25];
    if (time <= 0) {
        hf_buffer_addf(out, ",\"%s\":null", key);
        return;
    }
    hf_wall_text(time, text);
    hf_buffer_addf(out, ",\"%s\":\"%s\"", key, text);
}

/* Milliseconds; null for a negative time. */
static void add_ms(struct hf_buffer *out, const char *key, hf_time time)
{
    if (time < 0) {
        hf_buffer_addf(out, ",\"%s\":null", key);
    } else {
        hf_buffer_addf(out, ",\"%s\":%.3f", key, (double)time / 1000);
    }
}

static void add_share(struct hf_buffer *out, const char *key, double share)
{
    if (share < 0) {
        hf_buffer_addf(out, ",\"%s\":null", key);
    } else {
        hf_buffer_addf(out, ",\"%s\":%.6f", key, share);
    }
}

static void add_check(struct hf_buffer *out, const struct hf_watch_check *c)
{
    static const char *const keys[] = {"dns_ms", "tcp_ms", "tls_ms", "upgrade_ms", "ping_ms"};
    if (!c->known) {
        hf_buffer_add_text(out, ",\"check\":null");
        return;
    }
    hf_buffer_addf(out, ",\"check\":{\"success\":%s", c->success ? "true" : "false");
    add_time(out, "time", c->time);
    add_ms(out, "took_ms", c->took);
    for (size_t i = 0; i < 5; i++) {
        add_ms(out, keys[i], c->phases[i]);
    }
    hf_buffer_add_byte(out, '}');
}

static void add_target(struct hf_watch_target *t, struct hf_buffer *out)
{
    int64_t minute = hf_watch_wall(t->watch) / 60000 + 1;
    hf_buffer_add_text(out, "{\"name\":\"");
    hf_buffer_add_json(out, hf_slice_of(t->settings->name));
    hf_buffer_add_byte(out, '"');
    add_text(out, "url", t->url);
    add_text(out, "state", hf_watch_state_text(t));
    hf_buffer_addf(out, ",\"connections\":%u,\"up\":%zu,\"quiet\":%s", t->settings->connections,
                   hf_watch_target_up(t), hf_watch_is_quiet(t) ? "true" : "false");
    hf_buffer_add_text(out, ",\"held_ms\":[");
    for (size_t i = 0, n = 0; i < t->settings->connections; i++) {
        if (t->sessions[i].up) {
            hf_buffer_addf(out, "%s%lld", n++ == 0 ? "" : ",",
                           (long long)(hf_watch_now(t->watch) - t->sessions[i].opened) / 1000);
        }
    }
    hf_buffer_add_byte(out, ']');
    add_ms(out, "rtt_ms", t->last_rtt);
    add_ms(out, "connect_ms", t->connect_took);
    add_time(out, "certificate_expires", t->certificate);
    add_text(out, "served_by", t->host_note);
    add_check(out, &t->check);
    add_share(out, "up_1h", hf_record_share(&t->record, minute - 60, minute));
    add_share(out, "up_24h", hf_record_share(&t->record, minute - 1440, minute));
    add_share(out, "up_7d", hf_record_share(&t->record, minute - HF_RECORD_MINUTES, minute));
    hf_buffer_add_text(out, ",\"incidents\":[");
    for (size_t k = 0, n = 0; k < HF_INCIDENT_KINDS; k++) {
        if (t->incidents[k].open) {
            hf_buffer_addf(out, "%s\"%s\"", n++ == 0 ? "" : ",",
                           hf_incident_kind_text((enum hf_incident_kind)k));
        }
    }
    hf_buffer_add_text(out, "]}");
}

void hf_watch_api_targets(struct hf_watch *w, struct hf_buffer *out)
{
    hf_buffer_add_text(out, "{\"v\":1");
    add_time(out, "time", hf_watch_wall(w));
    add_time(out, "since", w->started);
    add_text(out, "history",
             w->store == NULL       ? "none"
             : w->store_state.works ? "written"
                                    : w->store_state.message);
    hf_buffer_add_text(out, ",\"targets\":[");
    for (size_t i = 0; i < w->target_count; i++) {
        hf_buffer_add_text(out, i == 0 ? "" : ",\n");
        add_target(w->targets[i], out);
    }
    hf_buffer_add_text(out, "]}\n");
}

static void add_ending(const struct hf_watch_target *t, const struct hf_record_ending *e,
                       struct hf_buffer *out)
{
    hf_buffer_add_text(out, "{\"target\":\"");
    hf_buffer_add_json(out, hf_slice_of(t->settings->name));
    hf_buffer_add_byte(out, '"');
    add_time(out, "time", e->time);
    add_text(out, "judged", hf_judgement_text(e->judged));
    hf_buffer_addf(out, ",\"check\":%s", e->is_check ? "true" : "false");
    add_text(out, "sentence", e->sentence);
    add_text(out, "advice", e->advice);
    hf_buffer_addf(out, ",%s}", e->json);
}

/* The newest of all targets that was not taken yet; back[i]: how many of target i were. */
static size_t newest(struct hf_watch *w, const struct hf_watch_target *only, const size_t *back)
{
    size_t best = w->target_count;
    hf_wall time = INT64_MIN;
    for (size_t i = 0; i < w->target_count; i++) {
        const struct hf_record_ending *e = hf_record_ending_at(&w->targets[i]->record, back[i]);
        if (e != NULL && (only == NULL || only == w->targets[i]) && e->time > time) {
            time = e->time;
            best = i;
        }
    }
    return best;
}

void hf_watch_api_endings(struct hf_watch *w, const char *target, size_t limit,
                          struct hf_buffer *out)
{
    size_t back[HF_WATCH_TARGETS_MAX] = {0};
    const struct hf_watch_target *only =
        target == NULL ? NULL : hf_watch_find(w, hf_slice_of(target));
    hf_buffer_add_text(out, "{\"v\":1,\"endings\":[");
    for (size_t n = 0; n < limit; n++) {
        size_t i = newest(w, only, back);
        if (i == w->target_count) {
            break;
        }
        hf_buffer_add_text(out, n == 0 ? "\n" : ",\n");
        add_ending(w->targets[i], hf_record_ending_at(&w->targets[i]->record, back[i]), out);
        back[i]++;
    }
    hf_buffer_add_text(out, "]}\n");
}

static void add_incident(const struct hf_watch_target *t, const struct hf_record_incident *i,
                         struct hf_buffer *out)
{
    hf_buffer_addf(out, "{\"id\":%lld", (long long)i->id);
    add_text(out, "target", t->settings->name);
    add_text(out, "kind", hf_incident_kind_text(i->kind));
    add_time(out, "opened", i->opened);
    add_time(out, "closed", i->closed);
    add_time(out, "last_bad", i->last_bad);
    add_time(out, "last_told", i->last_told);
    hf_buffer_addf(out, ",\"told\":%s,\"count\":%llu", i->told ? "true" : "false",
                   (unsigned long long)i->bad);
    add_text(out, "cause", i->cause[0] == '\0' ? "unknown" : i->cause);
    add_text(out, "summary", i->summary);
    add_text(out, "advice", i->advice);
    add_text(out, "evidence", i->evidence);
    hf_buffer_add_byte(out, '}');
}

void hf_watch_api_incidents(struct hf_watch *w, const char *target, struct hf_buffer *out)
{
    size_t n = 0;
    hf_buffer_add_text(out, "{\"v\":1,\"incidents\":[");
    for (size_t i = 0; i < w->target_count; i++) {
        const struct hf_watch_target *t = w->targets[i];
        if (target != NULL && strcmp(target, t->settings->name) != 0) {
            continue;
        }
        for (size_t k = t->record.incident_count; k > 0; k--) {
            hf_buffer_add_text(out, n++ == 0 ? "\n" : ",\n");
            add_incident(t, &t->record.incidents[k - 1], out);
        }
    }
    hf_buffer_add_text(out, "]}\n");
}

/* ---- which page ----------------------------------------------------------------------------- */

#define TYPE_JSON "application/json"

/* A parameter, decoded; NULL: it is not there. What is no text is "", which names nothing: were it
 * taken for absent, a target that is written wrongly would mean all. The caller frees it. */
static char *parameter(const struct hf_httpd_request *request, const char *name)
{
    struct hf_slice value;
    struct hf_buffer text;
    if (!hf_query_find(request->query, hf_slice_of(name), &value)) {
        return NULL;
    }
    hf_buffer_init(&text, &hf_heap, 4096);
    bool good = hf_percent_decode(value, &text) && !text.failed;
    char *copy = hf_alloc_text(&hf_heap, good ? hf_buffer_slice(&text) : HF_LITERAL(""));
    hf_buffer_reset(&text);
    return copy;
}

/* The target that ?target= names; false: there is none of the name, and the answer says so. */
static bool read_target(struct hf_watch *w, const struct hf_httpd_request *request,
                        struct hf_httpd_answer *answer, char **name)
{
    *name = parameter(request, "target");
    if (*name != NULL && hf_watch_find(w, hf_slice_of(*name)) == NULL) {
        hf_httpd_say(answer, 404, "no target of that name is watched; /api/targets lists them");
        free(*name);
        *name = NULL;
        return false;
    }
    return true;
}

static void serve_endings(struct hf_watch *w, const struct hf_httpd_request *request,
                          struct hf_httpd_answer *answer)
{
    char *name = NULL;
    char *limit = parameter(request, "limit");
    uint64_t most = ENDINGS_DEFAULT;
    if (limit != NULL && (!hf_slice_number(hf_slice_of(limit), 100000, &most) || most == 0)) {
        hf_httpd_say(answer, 400, "limit is a number from 1 to 100000");
    } else if (read_target(w, request, answer, &name)) {
        answer->type = TYPE_JSON;
        hf_watch_api_endings(w, name, most, answer->body);
    }
    free(limit);
    free(name);
}

static void serve_incidents(struct hf_watch *w, const struct hf_httpd_request *request,
                            struct hf_httpd_answer *answer)
{
    char *name = NULL;
    if (read_target(w, request, answer, &name)) {
        answer->type = TYPE_JSON;
        hf_watch_api_incidents(w, name, answer->body);
    }
    free(name);
}

static void serve_targets(struct hf_watch *w, const struct hf_httpd_request *request,
                          struct hf_httpd_answer *answer)
{
    answer->type = TYPE_JSON;
    hf_watch_api_targets(w, answer->body);
}

static void serve_metrics(struct hf_watch *w, const struct hf_httpd_request *request,
                          struct hf_httpd_answer *answer)
{
    answer->type = "text/plain; version=0.0.4; charset=utf-8";
    hf_watch_metrics(w, answer->body);
}

static void serve_page(struct hf_watch *w, const struct hf_httpd_request *request,
                       struct hf_httpd_answer *answer)
{
    answer->type = "text/html; charset=utf-8";
    answer->headers = "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; "
                      "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors "
                      "'none'\r\nReferrer-Policy: no-referrer\r\n";
    hf_watch_page(w, answer->body);
}

static void serve_health(struct hf_watch *w, const struct hf_httpd_request *request,
                         struct hf_httpd_answer *answer)
{
    hf_httpd_say(answer, 200, "ok");
}

/* POST /quiet?target=NAME&for=5m. A browser's page of a stranger's can send such a post without
 * being asked: then it has an Origin (or Sec-Fetch-Site), which curl and scripts have not. */
static void serve_quiet(struct hf_watch *w, const struct hf_httpd_request *request,
                        struct hf_httpd_answer *answer)
{
    char *name = NULL;
    char *text = parameter(request, "for");
    hf_time time = w->settings->quiet_signal;
    if (hf_head_find(request->head, "Origin") != NULL ||
        hf_head_find(request->head, "Sec-Fetch-Site") != NULL) {
        hf_httpd_say(answer, 403, "not from a browser's page; use curl -X POST");
    } else if (text != NULL &&
               (!hf_duration_parse(hf_slice_of(text), &time) || time > HF_SECONDS(7 * 86400))) {
        hf_httpd_say(answer, 400, "for is a duration such as 5m, at most 7d; 0 ends it");
    } else if (read_target(w, request, answer, &name)) {
        (void)hf_watch_quiet(w, name, time);
        hf_httpd_say(answer, 200, "%s: %s", name == NULL ? "all targets" : name,
                     time == 0 ? "alerts go out again" : "alerts are held back");
    }
    free(name);
    free(text);
}

static const struct {
    const char *path;
    bool is_post;
    void (*serve)(struct hf_watch *w, const struct hf_httpd_request *request,
                  struct hf_httpd_answer *answer);
} pages[] = {
    {"/", false, serve_page},
    {"/metrics", false, serve_metrics},
    {"/healthz", false, serve_health},
    {"/api/targets", false, serve_targets},
    {"/api/endings", false, serve_endings},
    {"/api/incidents", false, serve_incidents},
    {"/quiet", true, serve_quiet},
};

void hf_watch_serve(void *owner, const struct hf_httpd_request *request,
                    struct hf_httpd_answer *answer)
{
    struct hf_slice method = request->head->method;
    bool post = hf_slice_eq(method, HF_LITERAL("POST"));
    bool get = hf_slice_eq(method, HF_LITERAL("GET")) || hf_slice_eq(method, HF_LITERAL("HEAD"));
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (!hf_slice_eq(request->path, hf_slice_of(pages[i].path))) {
            continue;
        }
        if (pages[i].is_post ? !post : !get) {
            hf_httpd_say(answer, 405, "use %s here", pages[i].is_post ? "POST" : "GET");
            answer->headers = pages[i].is_post ? "Allow: POST\r\n" : "Allow: GET, HEAD\r\n";
            return;
        }
        pages[i].serve(owner, request, answer);
        return;
    }
    hf_httpd_say(answer, 404,
                 "there are /, /metrics, /healthz, /api/targets, /api/endings, /api/incidents, "
                 "and POST /quiet");
}
