/* SPDX-License-Identifier: Apache-2.0 */
/* One target: its held connections, which are made again when they end, and the checks with a fresh
 * connection in between. */
#include "base/redact.h"
#include "watch/inside.h"

#include <stdio.h>
#include <stdlib.h>

#define BACKOFF_BASE HF_MS(500)

/* ---- accounting ---------------------------------------------------------------------------- */

static void account(struct hf_watch_session *s)
{
    struct hf_watch_target *t = s->target;
    hf_time now = hf_watch_now(t->watch);
    hf_wall wall = hf_watch_wall(t->watch);
    hf_time whole = (now - s->counted) / 1000; /* milliseconds; the rest counts the next time */
    if (!s->known) {                           /* nothing has come of the first attempt yet */
        s->counted = now;
    } else if (whole > 0) {
        hf_record_span(&t->record, wall - whole, wall, s->up, hf_watch_is_quiet(t));
        s->counted += whole * 1000;
    }
}

void hf_watch_target_account(struct hf_watch_target *t)
{
    for (size_t i = 0; i < t->settings->connections; i++) {
        account(&t->sessions[i]);
    }
}

size_t hf_watch_target_up(const struct hf_watch_target *t)
{
    size_t up = 0;
    for (size_t i = 0; i < t->settings->connections; i++) {
        up += t->sessions[i].up;
    }
    return up;
}

/* ---- what is seen on an open connection ------------------------------------------------------ */

static void observe_bad(struct hf_watch_target *t, enum hf_incident_kind kind, const char *summary,
                        const char *evidence, const char *advice)
{
    const struct hf_watch_details details = {summary, evidence, advice, ""};
    hf_watch_observe(t, kind, HF_SIGHT_BAD, &details);
}

static void observe_good(struct hf_watch_target *t, enum hf_incident_kind kind)
{
    hf_watch_observe(t, kind, HF_SIGHT_GOOD, NULL);
}

static void look_at_connect(struct hf_watch_target *t, struct hf_probe *p)
{
    hf_time most = t->settings->max_connect;
    t->connect_took = hf_probe_opening_took(p);
    if (most == 0 || t->connect_took <= most) {
        observe_good(t, HF_INCIDENT_CONNECT);
        return;
    }
    char took[24];
    char limit[24];
    char summary[128];
    char evidence[160] = "";
    size_t len = 0;
    hf_age_text(t->connect_took, took);
    hf_age_text(most, limit);
    (void)snprintf(summary, sizeof(summary), "connecting took %s, and at most %s are allowed", took,
                   limit);
    for (int phase = HF_PHASE_DNS; phase < HF_PHASE_OPEN; phase++) {
        hf_time part = hf_probe_phase(p, (enum hf_trial_phase)phase);
        if (part >= 0 && len < sizeof(evidence)) {
            hf_age_text(part, took);
            len += (size_t)snprintf(evidence + len, sizeof(evidence) - len, "%s%s %s",
                                    len == 0 ? "" : ", ",
                                    hf_trial_phase_text((enum hf_trial_phase)phase), took);
        }
    }
    observe_bad(t, HF_INCIDENT_CONNECT, summary, evidence,
                "Look at the phase that took longest: dns at the resolver, tcp at the network and "
                "the listener's queue, tls at the server's load, upgrade at the application.");
}

static void look_at_certificate(struct hf_watch_target *t, struct hf_probe *p)
{
    hf_wall expires = hf_probe_certificate_expires(p);
    if (expires == 0) {
        return;
    }
    t->certificate = expires;
    hf_wall left = expires - hf_watch_wall(t->watch);
    if (t->settings->certificate_days == 0 ||
        left > (hf_wall)t->settings->certificate_days * 86400000) {
        observe_good(t, HF_INCIDENT_CERTIFICATE);
        return;
    }
    if (t->incidents[HF_INCIDENT_CERTIFICATE].open) {
        hf_watch_observe(t, HF_INCIDENT_CERTIFICATE, HF_SIGHT_TIME, NULL);
        return;
    }
    char summary[128];
    char evidence[64];
    char time[25];
    hf_wall_text(expires, time);
    (void)snprintf(evidence, sizeof(evidence), "not after %s", time);
    if (left < 0) {
        (void)snprintf(summary, sizeof(summary), "the certificate ran out");
    } else {
        (void)snprintf(summary, sizeof(summary), "the certificate runs out in %.1f days",
                       (double)left / 86400000);
    }
    observe_bad(t, HF_INCIDENT_CERTIFICATE, summary, evidence,
                "Renew it, reload the server, and see why its renewal did not happen by itself.");
}

static void look_at_rtt(struct hf_watch_target *t, hf_time rtt)
{
    hf_time most = t->settings->max_rtt;
    if (hf_watch_now(t->watch) < t->watch->stale_until) {
        return;
    }
    t->last_rtt = rtt;
    hf_record_rtt(&t->record, hf_watch_wall(t->watch), rtt);
    if (most == 0 || rtt <= most) { /* without a limit what was open before a reload settles */
        observe_good(t, HF_INCIDENT_SLOW);
        return;
    }
    char took[24];
    char limit[24];
    char summary[128];
    hf_age_text(rtt, took);
    hf_age_text(most, limit);
    (void)snprintf(summary, sizeof(summary), "a ping took %s, and at most %s are allowed", took,
                   limit);
    observe_bad(t, HF_INCIDENT_SLOW, summary, "",
                "A server that answers late is busy or blocked; a path that is slow alone shows in "
                "the tcp phase of the checks too.");
}

/* Who stands in front, for people. */
static void note_hosting(struct hf_watch_target *t, struct hf_probe *p)
{
    const struct hf_hosting *hosting[HF_PROBE_HOSTING];
    struct hf_buffer text;
    size_t count = hf_probe_hosting(p, hosting);
    hf_buffer_init(&text, &hf_heap, 4096);
    for (size_t i = 0; i < count; i++) {
        hf_buffer_addf(&text, "%s%s", i == 0 ? "" : ", ", hosting[i]->name);
    }
    char *note = text.failed ? NULL : hf_alloc_text(&hf_heap, hf_buffer_slice(&text));
    if (note != NULL) {
        free(t->host_note);
        t->host_note = note;
    }
    hf_buffer_reset(&text);
}

static void opened(struct hf_watch_target *t, struct hf_probe *p)
{
    t->record.opened++;
    note_hosting(t, p);
    look_at_connect(t, p);
    look_at_certificate(t, p);
}

/* ---- held connections ------------------------------------------------------------------------ */

static void start_session(struct hf_watch_session *s);

static void again_later(struct hf_watch_session *s, bool at_once)
{
    struct hf_watch_target *t = s->target;
    const struct hf_backoff_rules rules = {
        .base = BACKOFF_BASE < t->settings->backoff_max ? BACKOFF_BASE : t->settings->backoff_max,
        .factor_percent = 200,
        .cap = t->settings->backoff_max};
    hf_time wait = at_once ? 0 : hf_backoff_next(&s->backoff, &rules, &t->watch->random);
    hf_timer_set(t->watch->loop, &s->timer, hf_watch_now(t->watch) + wait);
}

static void session_ended(struct hf_watch_session *s, struct hf_probe *p)
{
    struct hf_watch_target *t = s->target;
    struct hf_watch_details details;
    struct hf_buffer texts;
    account(s);
    s->up = false;
    s->known = true;
    hf_buffer_init(&texts, &hf_heap, (size_t)1 << 20);
    look_at_certificate(t, p);
    enum hf_judgement judged = hf_watch_ended(t, p, false, &details, &texts);
    if (judged == HF_JUDGED_PREMATURE) {
        hf_watch_observe(t, HF_INCIDENT_DROP, HF_SIGHT_BAD, &details);
    } else if (judged == HF_JUDGED_FAILED) {
        hf_watch_observe(t, HF_INCIDENT_CONNECT, HF_SIGHT_BAD, &details);
    }
    hf_buffer_reset(&texts);
    hf_probe_free(p);
    s->probe = NULL;
    if (!t->ending) {
        again_later(s, judged == HF_JUDGED_OURS);
    }
}

static void session_event(void *owner, struct hf_probe *p, const struct hf_probe_event *event)
{
    struct hf_watch_session *s = owner;
    struct hf_watch_target *t = s->target;
    switch (event->kind) {
    case HF_PROBE_OPEN:
        account(s);
        s->up = s->known = true;
        s->answered = false;
        s->opened = hf_watch_now(t->watch);
        opened(t, p);
        hf_log_say(t->watch->log, HF_LOG_INFO, hf_watch_wall(t->watch), "open", "%s",
                   t->settings->name);
        break;
    case HF_PROBE_PONG:
        if (!s->answered) { /* it is there: the next wait starts from the shortest again */
            hf_backoff_reset(&s->backoff);
            s->answered = true;
        }
        look_at_rtt(t, event->rtt);
        break;
    case HF_PROBE_END:
        session_ended(s, p);
        break;
    case HF_PROBE_PHASE:
    case HF_PROBE_MESSAGE:
    case HF_PROBE_PING:
    case HF_PROBE_STALLED:
        break;
    }
}

static void start_session(struct hf_watch_session *s)
{
    struct hf_watch_target *t = s->target;
    const struct hf_watch_target_settings *o = t->settings;
    const struct hf_probe_how how = {
        .target = &o->target,
        .plan = {.ping_every = o->ping_every, .message_every = o->message_every},
        .arm = "held",
        .text = hf_slice_of(o->message),
        .say = o->say.count == 0 ? NULL : (const char *const *)o->say.items,
        .hold = o->renew == 0 ? HF_NEVER : o->renew,
        .answer_timeout = o->answer_timeout,
        .seed = hf_random_next(&t->watch->random),
    };
    s->probe = hf_probe_start(t->watch->loop, &how, session_event, s);
    if (s->probe == NULL) {
        hf_log_say(t->watch->log, HF_LOG_ERROR, hf_watch_wall(t->watch), "memory",
                   "%s: no memory for a connection; it is tried again", o->name);
        again_later(s, false);
    }
}

static void session_time(struct hf_timer *timer, hf_time now)
{
    start_session(HF_CONTAINER(timer, struct hf_watch_session, timer));
}

/* ---- checks ---------------------------------------------------------------------------------- */

static void check_later(struct hf_watch_check *c)
{
    struct hf_watch_target *t = c->target;
    if (t->settings->check_every > 0 && !t->ending) {
        hf_timer_set(t->watch->loop, &c->timer, hf_watch_now(t->watch) + t->settings->check_every);
    }
}

static void print_check(struct hf_watch_target *t)
{
    struct hf_watch *w = t->watch;
    const struct hf_watch_check *c = &t->check;
    if (w->how.line == NULL) {
        return;
    }
    struct hf_buffer out;
    char time[25];
    hf_wall_text(c->time, time);
    hf_buffer_init(&out, &hf_heap, 65536);
    hf_buffer_addf(&out, "{\"v\":1,\"type\":\"check\",\"time\":\"%s\",\"target\":\"", time);
    hf_buffer_add_json(&out, hf_slice_of(t->settings->name));
    hf_buffer_addf(&out, "\",\"success\":%s,\"took_ms\":%.3f}", c->success ? "true" : "false",
                   (double)c->took / 1000);
    if (!out.failed) {
        w->how.line(w->how.owner, hf_buffer_slice(&out));
    }
    hf_buffer_reset(&out);
}

static void check_ended(struct hf_watch_check *c, struct hf_probe *p)
{
    struct hf_watch_target *t = c->target;
    struct hf_watch_details details;
    struct hf_buffer texts;
    hf_buffer_init(&texts, &hf_heap, (size_t)1 << 20);
    look_at_certificate(t, p);
    enum hf_judgement judged = hf_watch_ended(t, p, true, &details, &texts);
    if (judged == HF_JUDGED_OURS && !c->answered) {
        goto out; /* we ended it before it came to anything */
    }
    c->known = true;
    c->success = judged == HF_JUDGED_OURS;
    c->time = hf_watch_wall(t->watch);
    for (int phase = HF_PHASE_DNS; phase < HF_PHASE_OPEN; phase++) {
        c->phases[phase] = hf_probe_phase(p, (enum hf_trial_phase)phase);
    }
    c->took =
        hf_probe_opening_took(p) + (c->phases[HF_PHASE_OPEN] > 0 ? c->phases[HF_PHASE_OPEN] : 0);
    print_check(t);
    if (judged == HF_JUDGED_FAILED || judged == HF_JUDGED_PREMATURE) {
        hf_watch_observe(t, HF_INCIDENT_CONNECT, HF_SIGHT_BAD, &details);
    }
out:
    hf_buffer_reset(&texts);
    hf_probe_free(p);
    c->probe = NULL;
    check_later(c);
}

static void check_event(void *owner, struct hf_probe *p, const struct hf_probe_event *event)
{
    struct hf_watch_check *c = owner;
    switch (event->kind) {
    case HF_PROBE_OPEN:
        opened(c->target, p);
        (void)hf_probe_ping(p);
        break;
    case HF_PROBE_PONG:
        if (!c->answered) {
            c->answered = true;
            c->phases[HF_PHASE_OPEN] = event->rtt;
            look_at_rtt(c->target, event->rtt);
            hf_probe_stop(p);
        }
        break;
    case HF_PROBE_END:
        check_ended(c, p);
        break;
    case HF_PROBE_PHASE:
    case HF_PROBE_MESSAGE:
    case HF_PROBE_PING:
    case HF_PROBE_STALLED:
        break;
    }
}

static void start_check(struct hf_watch_check *c)
{
    struct hf_watch_target *t = c->target;
    const struct hf_watch_target_settings *o = t->settings;
    const struct hf_probe_how how = {
        .target = &o->target,
        .arm = "check",
        .hold = HF_NEVER, /* until one ping was answered */
        .answer_timeout = o->answer_timeout,
        .seed = hf_random_next(&t->watch->random),
    };
    c->answered = false;
    c->phases[HF_PHASE_OPEN] = -1;
    c->probe = hf_probe_start(t->watch->loop, &how, check_event, c);
    if (c->probe == NULL) {
        check_later(c);
    }
}

static void check_time(struct hf_timer *timer, hf_time now)
{
    start_check(HF_CONTAINER(timer, struct hf_watch_check, timer));
}

/* ---- time -------------------------------------------------------------------------------------
 */

/* Minutes that are over go to the store. */
static void flush_minutes(struct hf_watch_target *t, bool also_this)
{
    int64_t last = hf_watch_wall(t->watch) / 60000 - (also_this ? 0 : 1);
    if (t->flushed == 0 || last - t->flushed > HF_RECORD_MINUTES || last < t->flushed - 1) {
        t->flushed = last - 1; /* the first, or the clock was set */
    }
    for (int64_t minute = t->flushed + 1; minute <= last; minute++) {
        const struct hf_record_minute *m = hf_record_minute_find(&t->record, minute);
        if (m != NULL) {
            hf_store_minute(t->watch->store, t->settings->name, m);
        }
    }
    t->flushed = also_this ? last - 1 : last;
}

void hf_watch_target_tick(struct hf_watch_target *t)
{
    hf_watch_target_account(t);
    flush_minutes(t, false);
    if (t->incidents[HF_INCIDENT_DROP].open) { /* what is down has not settled */
        t->incidents[HF_INCIDENT_DROP].is_good = hf_watch_target_up(t) == t->settings->connections;
    }
    for (size_t k = 0; k < HF_INCIDENT_KINDS; k++) {
        hf_watch_observe(t, (enum hf_incident_kind)k, HF_SIGHT_TIME, NULL);
    }
    hf_watch_refresh(t);
}

/* ---- life --------------------------------------------------------------------------------------
 */

static char *print_url(const struct hf_watch_target_settings *s)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 65536);
    hf_target_print(&s->target, &out);
    char *text = out.failed ? NULL : hf_alloc_text(&hf_heap, hf_buffer_slice(&out));
    hf_buffer_reset(&out);
    return text;
}

struct hf_watch_target *hf_watch_target_new(struct hf_watch *w, struct hf_watch_target_settings *s)
{
    struct hf_watch_target *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return NULL;
    }
    t->watch = w;
    t->sessions = calloc(s->connections, sizeof(*t->sessions));
    t->url = print_url(s);
    t->host_note = strdup("");
    t->connect_took = t->last_rtt = -1;
    hf_list_init(&t->node);
    if (t->sessions == NULL || t->url == NULL || t->host_note == NULL ||
        hf_record_init(&t->record) != HF_OK) {
        hf_watch_target_free(t);
        return NULL;
    }
    t->settings = s;
    t->check.target = t;
    hf_timer_init(&t->check.timer, check_time);
    for (size_t i = 0; i < s->connections; i++) {
        struct hf_watch_session *session = &t->sessions[i];
        session->target = t;
        hf_timer_init(&session->timer, session_time);
        hf_backoff_init(&session->backoff);
    }
    if (w->store != NULL) {
        hf_store_load(w->store, s->name, hf_watch_wall(w), &t->record);
        hf_watch_restore(t);
    }
    return t;
}

void hf_watch_target_start(struct hf_watch_target *t)
{
    struct hf_watch *w = t->watch;
    hf_time now = hf_watch_now(w);
    hf_time spread = HF_MS(20) * (hf_time)w->target_count + HF_MS(1);
    for (size_t i = 0; i < t->settings->connections; i++) {
        struct hf_watch_session *s = &t->sessions[i];
        s->counted = now;
        hf_timer_set(w->loop, &s->timer,
                     now + (hf_time)hf_random_below(&w->random, (uint64_t)spread));
    }
    if (t->settings->check_every > 0) {
        hf_timer_set(w->loop, &t->check.timer,
                     now + (hf_time)hf_random_below(&w->random, (uint64_t)spread));
    }
}

void hf_watch_target_end(struct hf_watch_target *t)
{
    t->ending = true;
    hf_watch_target_account(t);
    flush_minutes(t, true);
    hf_timer_stop(t->watch->loop, &t->check.timer);
    if (t->check.probe != NULL) {
        hf_probe_stop(t->check.probe);
    }
    for (size_t i = 0; i < t->settings->connections; i++) {
        hf_timer_stop(t->watch->loop, &t->sessions[i].timer);
        if (t->sessions[i].probe != NULL) {
            hf_probe_stop(t->sessions[i].probe);
        }
    }
}

bool hf_watch_target_is_idle(const struct hf_watch_target *t)
{
    bool idle = t->check.probe == NULL;
    for (size_t i = 0; i < t->settings->connections; i++) {
        idle = idle && t->sessions[i].probe == NULL;
    }
    return idle;
}

void hf_watch_target_free(struct hf_watch_target *t)
{
    if (t == NULL) {
        return;
    }
    if (t->settings != NULL) {
        hf_timer_stop(t->watch->loop, &t->check.timer);
        hf_probe_free(t->check.probe);
        for (size_t i = 0; i < t->settings->connections; i++) {
            hf_timer_stop(t->watch->loop, &t->sessions[i].timer);
            hf_probe_free(t->sessions[i].probe);
        }
    }
    hf_record_fini(&t->record);
    hf_watch_target_settings_free(t->settings);
    free(t->sessions);
    free(t->url);
    free(t->host_note);
    free(t);
}
