/* SPDX-License-Identifier: Apache-2.0 */
/* From what is seen to what is told: endings are written down with their causes, observations move
 * the incidents, and what an incident has to say goes to log, history and channels. */
#include "cause/infer.h"
#include "watch/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define AGES_COMPARED 10
#define REPEATED_MS 600000 /* the same failure is written down once in so long */

/* ---- quiet -------------------------------------------------------------------------------- */

/* Day (Monday is 0) and minute of local time. */
static bool local_minute(hf_wall wall, unsigned *weekday, unsigned *minute)
{
    struct tm local;
    time_t seconds = (time_t)(wall / 1000);
    if (localtime_r(&seconds, &local) == NULL) {
        return false;
    }
    *weekday = (unsigned)(local.tm_wday + 6) % 7;
    *minute = (unsigned)(local.tm_hour * 60 + local.tm_min);
    return true;
}

bool hf_watch_is_quiet(const struct hf_watch_target *t)
{
    hf_time now = hf_watch_now(t->watch);
    unsigned weekday = 0;
    unsigned minute = 0;
    if (now < t->watch->quiet_until || now < t->watch->excused_until || now < t->quiet_until ||
        now < t->deploy_until) {
        return true;
    }
    const struct hf_watch_windows *windows = &t->settings->quiet;
    if (windows->count == 0 || !local_minute(hf_watch_wall(t->watch), &weekday, &minute)) {
        return false;
    }
    for (size_t i = 0; i < windows->count; i++) {
        if (hf_quiet_covers(&windows->items[i], weekday, minute)) {
            return true;
        }
    }
    return false;
}

bool hf_watch_quiet(struct hf_watch *w, const char *target, hf_time time)
{
    hf_time until = time == 0 ? 0 : hf_watch_now(w) + time;
    char text[24];
    hf_duration_text(time, text);
    struct hf_watch_target *t = target == NULL ? NULL : hf_watch_find(w, hf_slice_of(target));
    if (target != NULL && t == NULL) {
        return false;
    }
    if (t == NULL) {
        w->quiet_until = until;
        for (size_t i = 0; i < w->target_count && time == 0; i++) {
            w->targets[i]->quiet_until = w->targets[i]->deploy_until = 0;
        }
    } else {
        t->quiet_until = until;
        t->deploy_until = time == 0 ? 0 : t->deploy_until;
    }
    hf_log_say(w->log, HF_LOG_INFO, hf_watch_wall(w), "quiet", "%s: %s%s",
               target == NULL ? "all targets" : target, time == 0 ? "ended" : "for ",
               time == 0 ? "" : text);
    return true;
}

void hf_watch_quiet_by_signal(struct hf_watch *w)
{
    (void)hf_watch_quiet(w, NULL, w->settings->quiet_signal);
}

/* ---- incidents ---------------------------------------------------------------------------- */

void hf_watch_rules_of(const struct hf_watch_target_settings *s, struct hf_watch_rules *rules)
{
    const struct hf_incident_rate once = {1, HF_SECONDS(1)};
    *rules = (struct hf_watch_rules){{
        [HF_INCIDENT_DROP] = {s->drop_for, s->recover, s->repeat, true},
        [HF_INCIDENT_CONNECT] = {s->connect_for, 0, s->repeat, false},
        [HF_INCIDENT_SLOW] = {s->slow_for, s->recover, s->repeat, false},
        [HF_INCIDENT_CERTIFICATE] = {once, 0, s->repeat, false},
    }};
}

/* The wall clock's time of a moment of the monotonic one. */
static hf_wall wall_of(const struct hf_watch *w, hf_time time)
{
    return hf_watch_wall(w) - (hf_watch_now(w) - time) / 1000;
}

static void set_text(char **text, const char *value)
{
    char *copy = strdup(value == NULL ? "" : value);
    if (copy != NULL) {
        free(*text);
        *text = copy;
    }
}

static void write_details(struct hf_record_incident *i, const struct hf_watch_details *d)
{
    set_text(&i->summary, d->summary);
    set_text(&i->advice, d->advice);
    set_text(&i->evidence, d->evidence);
    (void)snprintf(i->cause, sizeof(i->cause), "%s", d->cause == NULL ? "" : d->cause);
}

static struct hf_record_incident *add_incident(struct hf_watch_target *t,
                                               enum hf_incident_kind kind,
                                               const struct hf_watch_details *d)
{
    struct hf_watch *w = t->watch;
    struct hf_record_incident fresh = {.kind = kind, .id = hf_watch_wall(w)};
    fresh.id = fresh.id > w->last_incident_id ? fresh.id : w->last_incident_id + 1;
    w->last_incident_id = fresh.id;
    write_details(&fresh, d);
    if (fresh.summary == NULL || fresh.advice == NULL || fresh.evidence == NULL) {
        hf_record_incident_fini(&fresh);
        return NULL;
    }
    return hf_record_incident_add(&t->record, &fresh);
}

static void fill_alert(const struct hf_watch_target *t, const struct hf_record_incident *r,
                       enum hf_incident_notice notice, struct hf_alert *a)
{
    const struct hf_catalog_row *row = hf_catalog_find(hf_slice_of(r->cause));
    const char *page = t->watch->settings->public_url;
    *a = (struct hf_alert){
        .notice = notice,
        .kind = r->kind,
        .target = t->settings->name,
        .url = t->url,
        .time = hf_watch_wall(t->watch),
        .opened = r->opened,
        .closed = r->closed,
        .count = r->bad,
        .summary = r->summary,
        .cause = r->cause[0] == '\0' ? "unknown" : r->cause,
        .title = row == NULL ? "" : row->title,
        .advice = r->advice,
        .evidence = r->evidence,
        .page = page == NULL ? "" : page,
    };
}

static void tell(struct hf_watch_target *t, const struct hf_record_incident *r,
                 enum hf_incident_notice notice)
{
    struct hf_watch *w = t->watch;
    struct hf_alert alert;
    struct hf_buffer line;
    fill_alert(t, r, notice, &alert);
    hf_buffer_init(&line, &hf_heap, (size_t)1 << 20);
    hf_alert_line(&alert, &line);
    struct hf_log_line log;
    hf_log_begin(&log, w->log, notice == HF_NOTICE_RECOVERY ? HF_LOG_INFO : HF_LOG_WARNING,
                 hf_watch_wall(w), hf_incident_notice_text(notice));
    hf_log_cstr(&log, "target", t->settings->name);
    hf_log_cstr(&log, "kind", hf_incident_kind_text(r->kind));
    hf_log_text(&log, "message", hf_buffer_slice(&line));
    hf_log_cstr(&log, "cause", alert.cause);
    hf_log_end(&log);
    if (w->courier != NULL) {
        hf_courier_send(w->courier, &alert, t->settings->channels.items);
        t->refreshed = hf_watch_now(w);
    }
    if (w->how.line != NULL) {
        hf_buffer_clear(&line);
        hf_alert_json(&alert, &line);
        if (!line.failed) {
            w->how.line(w->how.owner, hf_buffer_slice(&line));
        }
    }
    hf_buffer_reset(&line);
}

/* The record as the machine has it now. */
static void copy_state(struct hf_watch_target *t, struct hf_record_incident *r,
                       const struct hf_incident *i)
{
    r->opened = wall_of(t->watch, i->opened);
    r->last_bad = wall_of(t->watch, i->last_bad);
    r->last_told = i->told ? wall_of(t->watch, i->last_told) : 0;
    r->told = i->told;
    r->bad = i->bad;
}

void hf_watch_observe(struct hf_watch_target *t, enum hf_incident_kind kind,
                      enum hf_watch_sight sight, const struct hf_watch_details *details)
{
    struct hf_incident *i = &t->incidents[kind];
    hf_time now = hf_watch_now(t->watch);
    bool quiet = hf_watch_is_quiet(t);
    bool was_open = i->open;
    struct hf_watch_rules rules;
    hf_watch_rules_of(t->settings, &rules);
    const struct hf_incident_rule *rule = &rules.rule[kind];
    enum hf_incident_notice notice = sight == HF_SIGHT_BAD ? hf_incident_bad(i, rule, now, quiet)
                                     : sight == HF_SIGHT_GOOD
                                         ? hf_incident_good(i, rule, now)
                                         : hf_incident_tick(i, rule, now, quiet);
    struct hf_record_incident *r = hf_record_incident_open(&t->record, kind);
    if (i->open && !was_open) {
        r = add_incident(t, kind, details);
    } else if (r != NULL && sight == HF_SIGHT_BAD && i->open) {
        write_details(r, details);
    }
    if (r == NULL || (!i->open && !was_open)) {
        return;
    }
    if (i->open) {
        copy_state(t, r, i);
    } else {
        r->closed = hf_watch_wall(t->watch);
    }
    if (notice != HF_NOTICE_NONE) {
        tell(t, r, notice);
    }
    if (sight == HF_SIGHT_BAD || notice != HF_NOTICE_NONE || !i->open) {
        hf_store_incident(t->watch->store, t->settings->name, r);
    }
}

void hf_watch_restore(struct hf_watch_target *t)
{
    hf_time now = hf_watch_now(t->watch);
    hf_wall wall = hf_watch_wall(t->watch);
    for (size_t k = 0; k < HF_INCIDENT_KINDS; k++) {
        struct hf_record_incident *r =
            hf_record_incident_open(&t->record, (enum hf_incident_kind)k);
        if (r != NULL) {
            hf_incident_restore(&t->incidents[k], now - (wall - r->opened) * 1000,
                                now - (wall - r->last_bad) * 1000,
                                now - (wall - r->last_told) * 1000, r->told, r->bad);
        }
    }
    for (size_t i = 0; i < t->record.incident_count; i++) {
        int64_t id = t->record.incidents[i].id;
        t->watch->last_incident_id =
            id > t->watch->last_incident_id ? id : t->watch->last_incident_id;
    }
}

void hf_watch_close_incidents(struct hf_watch_target *t, const char *why)
{
    for (size_t k = 0; k < HF_INCIDENT_KINDS; k++) {
        struct hf_record_incident *r =
            hf_record_incident_open(&t->record, (enum hf_incident_kind)k);
        if (r == NULL || !t->incidents[k].open) {
            continue;
        }
        r->closed = hf_watch_wall(t->watch);
        set_text(&r->evidence, why);
        if (t->incidents[k].told) {
            tell(t, r, HF_NOTICE_RECOVERY);
        }
        t->incidents[k] = (struct hf_incident){0};
        hf_store_incident(t->watch->store, t->settings->name, r);
    }
}

void hf_watch_refresh(struct hf_watch_target *t)
{
    struct hf_watch *w = t->watch;
    hf_time resend = HF_NEVER;
    for (size_t i = 0; i < w->settings->channel_count; i++) {
        const struct hf_watch_channel_settings *c = &w->settings->channels[i];
        if (c->type == HF_CHANNEL_ALERTMANAGER && c->resend < resend) {
            resend = c->resend;
        }
    }
    if (w->courier == NULL || resend == HF_NEVER || hf_watch_now(w) - t->refreshed < resend) {
        return;
    }
    t->refreshed = hf_watch_now(w);
    for (size_t k = 0; k < HF_INCIDENT_KINDS; k++) {
        const struct hf_record_incident *r =
            hf_record_incident_open(&t->record, (enum hf_incident_kind)k);
        if (r != NULL && t->incidents[k].open && t->incidents[k].told) {
            struct hf_alert alert;
            fill_alert(t, r, HF_NOTICE_REMINDER, &alert);
            hf_courier_refresh(w->courier, &alert, t->settings->channels.items);
        }
    }
}

/* ---- endings ------------------------------------------------------------------------------ */

/* Other targets of the same server restart with it, though their connections may be cut before they
 * are told. */
static void hold_neighbours(struct hf_watch_target *t)
{
    const struct hf_url *here = &t->settings->target.url;
    hf_time now = hf_watch_now(t->watch);
    for (size_t i = 0; i < t->watch->target_count; i++) {
        struct hf_watch_target *other = t->watch->targets[i];
        const struct hf_url *there = &other->settings->target.url;
        hf_time until = now + other->settings->deploy_hold;
        if (other != t && there->port == here->port &&
            hf_slice_eq_nocase(there->host, here->host) && other->deploy_until < until) {
            other->deploy_until = until;
        }
    }
}

/* True while restarts are as frequent as was said to be usual, this one included. */
static bool take_deploy(struct hf_watch_target *t)
{
    const struct hf_incident_rate *most = &t->settings->deploy_max;
    hf_time now = hf_watch_now(t->watch);
    size_t kept = 0;
    for (size_t i = 0; i < t->deploy_count; i++) {
        if (now - t->deploys[i] < most->window) {
            t->deploys[kept++] = t->deploys[i];
        }
    }
    t->deploy_count = kept;
    if (now < t->deploy_until) { /* another connection of the same one */
        return true;
    }
    if (kept >= most->count || kept == HF_WATCH_DEPLOYS_MAX) {
        return false;
    }
    t->deploys[t->deploy_count++] = now;
    t->deploy_until = now + t->settings->deploy_hold;
    hold_neighbours(t);
    return true;
}

/* The texts of an ending, each behind the other in `texts`, ended with NUL. Offsets. */
struct ending_texts {
    size_t sentence, advice, evidence, json;
};

/* What to do about an attempt that came to nothing, where no cause has an advice of its own. */
static const char *connect_advice(const struct hf_trial *trial)
{
    switch (trial->end.how) {
    case HF_HOW_REFUSED:
        return "See that the server runs, and listens at that address and port.";
    case HF_HOW_NO_NAME:
        return "Look at the DNS records of the name, and at the resolver of this machine.";
    case HF_HOW_UNREACHABLE:
        return "Look at routes and firewalls on the way; a packet filter that drops says nothing.";
    case HF_HOW_SLOW:
        return "The server took the connection and did not answer the handshake: look at its load, "
               "and at what the application does before it accepts.";
    case HF_HOW_STATUS:
        return "The answer came from a server or proxy that did not switch to WebSocket: look for "
               "that status in its log, and whether Upgrade and Connection pass.";
    case HF_HOW_TLS:
        return "Look at the certificate: its names, its end, its chain.";
    case HF_HOW_ALIVE:
    case HF_HOW_ENDED_BY_US:
    case HF_HOW_CLOSE:
    case HF_HOW_FIN:
    case HF_HOW_RST:
    case HF_HOW_SILENCE:
    case HF_HOW_TIMEOUT:
    case HF_HOW_FAULT:
    case HF_HOW_ERRNO:
    case HF_HOW_KINDS:
        break;
    }
    return "";
}

/* cause: the one that is named; NULL: the ending alone does not tell. */
static void add_advice(const struct hf_watch_target *t, const struct hf_trial *trial,
                       const struct hf_catalog_row *cause, struct hf_buffer *out)
{
    if (cause != NULL) {
        hf_buffer_add_text(out, cause->fix);
        if (cause->fix_line[0] != '\0') {
            hf_buffer_addf(out, " (%s)", cause->fix_line);
        }
    } else if (!hf_trial_was_open(trial)) {
        hf_buffer_add_text(out, connect_advice(trial));
    } else if (hf_trial_is_dead(trial)) {
        hf_buffer_addf(out,
                       "The ending alone does not tell its cause; `holdfast diagnose %s` tells "
                       "the candidates apart.",
                       t->url);
    }
}

static void add_evidence(struct hf_buffer *out, const struct hf_named_cause *causes, size_t count,
                         const struct hf_watch_target *t)
{
    for (size_t i = 0; i < count; i++) {
        hf_buffer_addf(out, "%s%.0f %%: %s (%s)", i == 0 ? "" : "; ", causes[i].likelihood * 100,
                       causes[i].row->title, causes[i].row->id);
    }
    if (t->host_note[0] != '\0') {
        hf_buffer_addf(out, "%sits answers come from %s", count == 0 ? "" : "; ", t->host_note);
    }
}

/* Whether the drops before came at the same age: then it is a timer that ends them. */
static void add_ages(const struct hf_watch_target *t, const struct hf_trial *trial,
                     struct hf_buffer *out, size_t from)
{
    size_t alike = 1;
    size_t drops = 1;
    for (size_t i = 0; i < t->record.ending_count && drops < AGES_COMPARED; i++) {
        const struct hf_record_ending *e = hf_record_ending_at(&t->record, i);
        hf_time apart =
            e->held > trial->end.age ? e->held - trial->end.age : trial->end.age - e->held;
        if (!e->is_check && e->judged == HF_JUDGED_PREMATURE) {
            drops++;
            alike += apart < trial->end.age / 20 + HF_MS(100);
        }
    }
    if (hf_trial_was_open(trial) && hf_trial_is_dead(trial) && alike >= 3 && alike * 2 > drops) {
        hf_buffer_addf(out, "%s%zu of the last %zu drops came at this age, as a timer's do",
                       out->len == from ? "" : "; ", alike, drops);
    }
}

static void write_texts(struct hf_watch_target *t, const struct hf_trial *trial,
                        const struct hf_infer_context *context, struct hf_buffer *out,
                        struct ending_texts *at)
{
    struct hf_named_cause causes[3];
    size_t count = hf_trial_is_dead(trial) ? hf_infer_one(trial, context, causes, 3) : 0;
    at->sentence = out->len;
    hf_trial_sentence(trial, out);
    hf_buffer_add_byte(out, '\0');
    at->advice = out->len;
    add_advice(t, trial, hf_catalog_find(hf_slice_of(hf_trial_cause(trial, context))), out);
    hf_buffer_add_byte(out, '\0');
    at->evidence = out->len;
    add_evidence(out, causes, count, t);
    add_ages(t, trial, out, at->evidence);
    hf_buffer_add_byte(out, '\0');
    at->json = out->len;
    hf_trial_json_with(trial, context, out);
    hf_buffer_add_byte(out, '\0');
}

/* An attempt that failed just as the one before: a night of refusals must not push everything else
 * out of the memory, nor fill the log. */
static bool is_repeated(struct hf_watch_target *t, const struct hf_record_ending *e, int error)
{
    const struct hf_record_ending *last = hf_record_ending_at(&t->record, 0);
    bool alike = e->judged == HF_JUDGED_FAILED && last != NULL &&
                 last->judged == HF_JUDGED_FAILED && last->how == e->how &&
                 last->phase == e->phase && last->http == e->http &&
                 t->last_failed_error == error && e->time - last->time < REPEATED_MS;
    t->last_failed_error = e->judged == HF_JUDGED_FAILED ? error : 0;
    return alike;
}

static void print_ending(struct hf_watch_target *t, const struct hf_record_ending *e, bool again)
{
    struct hf_watch *w = t->watch;
    struct hf_log_line log;
    bool bad = e->judged == HF_JUDGED_PREMATURE || e->judged == HF_JUDGED_FAILED;
    hf_log_begin(&log, w->log,
                 again ? HF_LOG_DEBUG
                 : bad ? HF_LOG_WARNING
                       : HF_LOG_INFO,
                 e->time, e->is_check ? "check ended" : "ended");
    hf_log_cstr(&log, "target", t->settings->name);
    hf_log_cstr(&log, "judged", hf_judgement_text(e->judged));
    hf_log_cstr(&log, "message", e->sentence);
    hf_log_cstr(&log, "cause", e->cause);
    hf_log_cstr(&log, "who", e->who);
    hf_log_ms(&log, "held_ms", e->held);
    hf_log_end(&log);
    if (w->how.line != NULL) {
        struct hf_buffer out;
        char time[25];
        hf_wall_text(e->time, time);
        hf_buffer_init(&out, &hf_heap, (size_t)1 << 20);
        hf_buffer_addf(&out, "{\"v\":1,\"type\":\"ending\",\"time\":\"%s\",\"target\":\"", time);
        hf_buffer_add_json(&out, hf_slice_of(t->settings->name));
        hf_buffer_addf(&out, "\",\"judged\":\"%s\",\"check\":%s,%s}", hf_judgement_text(e->judged),
                       e->is_check ? "true" : "false", e->json);
        if (!out.failed) {
            w->how.line(w->how.owner, hf_buffer_slice(&out));
        }
        hf_buffer_reset(&out);
    }
}

enum hf_judgement hf_watch_ended(struct hf_watch_target *t, struct hf_probe *probe, bool is_check,
                                 struct hf_watch_details *details, struct hf_buffer *texts)
{
    const struct hf_trial *trial = hf_probe_trial(probe);
    const char *ids[HF_PROBE_HOSTING];
    struct hf_infer_context context = hf_probe_context(probe, ids);
    struct ending_texts at;
    enum hf_judgement judged = hf_judge(t->settings, trial);
    if (judged == HF_JUDGED_RESTART && !take_deploy(t)) {
        judged = HF_JUDGED_PREMATURE;
    }
    context.rtt_s = t->last_rtt < 0 ? 0 : (double)t->last_rtt / 1e6;
    write_texts(t, trial, &context, texts, &at);
    if (texts->failed) {
        *details = (struct hf_watch_details){.summary = "it ended, and there was no memory"};
        return judged;
    }
    const char *text = (const char *)texts->data;
    *details = (struct hf_watch_details){text + at.sentence, text + at.evidence, text + at.advice,
                                         hf_trial_cause(trial, &context)};
    if (judged == HF_JUDGED_OURS && is_check) {
        return judged; /* a check that went well is no news */
    }
    struct hf_record_ending e = {
        .time = hf_watch_wall(t->watch),
        .judged = judged,
        .is_check = is_check,
        .how = (uint8_t)trial->end.how,
        .phase = (uint8_t)trial->end.phase,
        .code = trial->end.code,
        .http = trial->end.http,
        .held = hf_trial_was_open(trial) ? trial->end.age : 0,
        .sentence = strdup(details->summary),
        .advice = strdup(details->advice),
        .json = strdup(text + at.json),
    };
    (void)snprintf(e.cause, sizeof(e.cause), "%s", hf_trial_cause(trial, &context));
    (void)snprintf(e.who, sizeof(e.who), "%s", hf_trial_who(trial, &context));
    if (e.sentence == NULL || e.advice == NULL || e.json == NULL) {
        hf_record_ending_fini(&e);
        return judged;
    }
    bool again = is_repeated(t, &e, trial->end.error);
    print_ending(t, &e, again);
    if (again) {
        hf_record_failed_again(&t->record, e.time);
        hf_record_ending_fini(&e);
        return judged;
    }
    hf_store_ending(t->watch->store, t->settings->name, &e);
    hf_record_ending_add(&t->record, &e, true);
    return judged;
}
