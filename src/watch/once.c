/* SPDX-License-Identifier: Apache-2.0 */
/* One look at each target: see once.h. All targets are looked at side by side. */
#include "watch/once.h"

#include "cause/infer.h"
#include "io/epoll.h"
#include "probe/probe.h"
#include "watch/judge.h"

#include <stdio.h>
#include <stdlib.h>

enum level { LEVEL_OK, LEVEL_WARNING, LEVEL_CRITICAL, LEVEL_UNKNOWN };

struct look {
    const struct hf_watch_target_settings *settings;
    struct hf_loop *loop;
    struct hf_probe *probe;
    bool done;
    bool opened;
    enum level level;
    hf_time connect; /* -1: it did not open */
    hf_time rtt;     /* the longest; -1: no pong came */
    hf_time held;
    hf_wall expires; /* 0: no TLS */
    char cause[48];
    struct hf_buffer said; /* what there is to say, without newline */
};

static const char *const level_texts[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};

static void complain(struct look *l, enum level level, const char *format, ...) HF_PRINTF(3, 4);
static void complain(struct look *l, enum level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    hf_buffer_add_text(&l->said, l->said.len == 0 ? "" : "; ");
    hf_buffer_addv(&l->said, format, args);
    va_end(args);
    l->level = level > l->level ? level : l->level;
}

static void judge_end(struct look *l, const struct hf_trial *t)
{
    struct hf_named_cause cause;
    struct hf_buffer sentence;
    enum hf_judgement judged = hf_judge(l->settings, t);
    if (judged == HF_JUDGED_OURS || judged == HF_JUDGED_EXPECTED) {
        return;
    }
    hf_buffer_init(&sentence, &hf_heap, 4096);
    hf_trial_sentence(t, &sentence);
    complain(l, judged == HF_JUDGED_RESTART ? LEVEL_WARNING : LEVEL_CRITICAL, "%.*s",
             HF_SLICE_ARG(hf_buffer_slice(&sentence)));
    hf_buffer_reset(&sentence);
    if (hf_infer_one(t, NULL, &cause, 1) > 0) {
        (void)snprintf(l->cause, sizeof(l->cause), "%s", cause.row->id);
        hf_buffer_addf(&l->said, " (%s)", cause.row->id);
    }
}

static void judge_limits(struct look *l)
{
    const struct hf_watch_target_settings *s = l->settings;
    char is[24];
    char most[24];
    hf_wall left = l->expires - hf_loop_wall(l->loop);
    if (s->max_connect > 0 && l->connect > s->max_connect) {
        hf_age_text(l->connect, is);
        hf_age_text(s->max_connect, most);
        complain(l, LEVEL_WARNING, "connecting took %s, and at most %s are allowed", is, most);
    }
    if (s->max_rtt > 0 && l->rtt > s->max_rtt) {
        hf_age_text(l->rtt, is);
        hf_age_text(s->max_rtt, most);
        complain(l, LEVEL_WARNING, "a ping took %s, and at most %s are allowed", is, most);
    }
    if (l->expires != 0 && left <= 0) {
        complain(l, LEVEL_CRITICAL, "the certificate ran out");
    } else if (l->expires != 0 && left < (hf_wall)s->certificate_days * 86400000) {
        complain(l, LEVEL_WARNING, "the certificate runs out in %.1f days",
                 (double)left / 86400000);
    }
}

static void ended(struct look *l)
{
    const struct hf_trial *t = hf_probe_trial(l->probe);
    hf_wall expires = hf_probe_certificate_expires(l->probe);
    l->expires = expires != 0 ? expires : l->expires;
    l->held = hf_trial_was_open(t) ? t->end.age : 0;
    judge_end(l, t);
    judge_limits(l);
    if (l->said.len == 0) {
        char held[24];
        hf_age_text(l->held, held);
        complain(l, LEVEL_OK, "held %s", held);
    }
    hf_probe_free(l->probe);
    l->probe = NULL;
    l->done = true;
}

static void on_event(void *owner, struct hf_probe *p, const struct hf_probe_event *event)
{
    struct look *l = owner;
    if (event->kind == HF_PROBE_OPEN) {
        l->opened = true;
        l->connect = hf_probe_opening_took(p);
        l->expires = hf_probe_certificate_expires(p);
        (void)hf_probe_ping(p);
    } else if (event->kind == HF_PROBE_PONG) {
        l->rtt = event->rtt > l->rtt ? event->rtt : l->rtt;
    } else if (event->kind == HF_PROBE_END) {
        ended(l);
    }
}

static void start(struct look *l, const struct hf_once_how *how, uint64_t seed)
{
    const struct hf_watch_target_settings *s = l->settings;
    const struct hf_probe_how probe = {
        .target = &s->target,
        .plan = {.ping_every = s->ping_every, .message_every = s->message_every},
        .arm = "once",
        .text = hf_slice_of(s->message),
        .say = s->say.count == 0 ? NULL : (const char *const *)s->say.items,
        .hold = how->hold,
        .answer_timeout = s->answer_timeout,
        .check_at_end = true,
        .seed = seed,
    };
    hf_buffer_init(&l->said, &hf_heap, 65536);
    l->loop = how->loop;
    l->connect = l->rtt = -1;
    l->probe = hf_probe_start(how->loop, &probe, on_event, l);
    if (l->probe == NULL) {
        complain(l, LEVEL_UNKNOWN, "there is no memory for a connection");
        l->done = true;
    }
}

/* ---- what is printed ------------------------------------------------------------------------- */

/* Performance data: 'label'=value[unit];warning;critical;minimum. A quote is doubled. */
static void add_label(struct hf_buffer *out, const struct look *l, const char *what, bool named)
{
    hf_buffer_add_text(out, " '");
    for (const char *c = l->settings->name; named && *c != '\0'; c++) {
        hf_buffer_add_byte(out, *c == '=' || *c == '|' ? '_' : (uint8_t)*c);
        if (*c == '\'') {
            hf_buffer_add_byte(out, '\'');
        }
    }
    hf_buffer_addf(out, "%s%s'=", named ? " " : "", what);
}

static void add_seconds(struct hf_buffer *out, hf_time value, hf_time warning)
{
    hf_buffer_addf(out, "%.6fs;", (double)value / 1e6);
    if (warning > 0) {
        hf_buffer_addf(out, "%.6f", (double)warning / 1e6);
    }
    hf_buffer_add_text(out, ";;0");
}

static void add_data(struct hf_buffer *out, const struct look *l, bool named)
{
    if (l->connect >= 0) {
        add_label(out, l, "connect", named);
        add_seconds(out, l->connect, l->settings->max_connect);
        add_label(out, l, "held", named);
        add_seconds(out, l->held, 0);
    }
    if (l->rtt >= 0) {
        add_label(out, l, "rtt", named);
        add_seconds(out, l->rtt, l->settings->max_rtt);
    }
    if (l->expires != 0) {
        add_label(out, l, "certificate_days", named);
        hf_buffer_addf(out, "%.2f;%u:;0:", (double)(l->expires - hf_loop_wall(l->loop)) / 86400000,
                       l->settings->certificate_days);
    }
}

/* A text in a plugin's line has no bar and no newline. */
static void add_clean(struct hf_buffer *out, struct hf_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        hf_buffer_add_byte(out, c == '|' || c < ' ' || c == 0x7f ? '_' : c);
    }
}

static enum level worst_of(const struct look *looks, size_t count)
{
    enum level worst = LEVEL_OK;
    bool unknown = false;
    for (size_t i = 0; i < count; i++) {
        unknown = unknown || looks[i].level == LEVEL_UNKNOWN;
        worst = looks[i].level != LEVEL_UNKNOWN && looks[i].level > worst ? looks[i].level : worst;
    }
    return worst == LEVEL_OK && unknown ? LEVEL_UNKNOWN : worst;
}

static void print_plugin(const struct look *looks, size_t count, struct hf_buffer *out)
{
    size_t good = 0;
    enum level worst = worst_of(looks, count);
    for (size_t i = 0; i < count; i++) {
        good += looks[i].level == LEVEL_OK;
    }
    hf_buffer_addf(out, "WEBSOCKET %s - ", level_texts[worst]);
    if (count == 1) {
        add_clean(out, hf_slice_of(looks[0].settings->name));
        hf_buffer_add_text(out, ": ");
        add_clean(out, hf_buffer_slice(&looks[0].said));
    } else {
        hf_buffer_addf(out, "%zu of %zu targets are good", good, count);
    }
    hf_buffer_add_text(out, " |");
    const size_t bar = out->len;
    for (size_t i = 0; i < count; i++) {
        add_data(out, &looks[i], count > 1);
    }
    if (out->len == bar && !out->failed) {
        out->len -= 2; /* nothing was measured: no bar */
    }
    hf_buffer_add_byte(out, '\n');
    for (size_t i = 0; count > 1 && i < count; i++) {
        hf_buffer_addf(out, "%s - ", level_texts[looks[i].level]);
        add_clean(out, hf_slice_of(looks[i].settings->name));
        hf_buffer_add_text(out, ": ");
        add_clean(out, hf_buffer_slice(&looks[i].said));
        hf_buffer_add_byte(out, '\n');
    }
}

static void add_ms(struct hf_buffer *out, const char *key, hf_time value)
{
    if (value < 0) {
        hf_buffer_addf(out, ",\"%s\":null", key);
    } else {
        hf_buffer_addf(out, ",\"%s\":%.3f", key, (double)value / 1000);
    }
}

static void print_json(const struct look *looks, size_t count, hf_wall wall, struct hf_buffer *out)
{
    char time[25];
    hf_wall_text(wall, time);
    for (size_t i = 0; i < count; i++) {
        const struct look *l = &looks[i];
        hf_buffer_addf(out, "{\"v\":1,\"type\":\"check\",\"time\":\"%s\",\"target\":\"", time);
        hf_buffer_add_json(out, hf_slice_of(l->settings->name));
        hf_buffer_addf(out, "\",\"level\":\"%s\",\"message\":\"", level_texts[l->level]);
        hf_buffer_add_json(out, hf_buffer_slice(&l->said));
        hf_buffer_addf(out, "\",\"cause\":%s%s%s", l->cause[0] == '\0' ? "null" : "\"", l->cause,
                       l->cause[0] == '\0' ? "" : "\"");
        add_ms(out, "connect_ms", l->connect);
        add_ms(out, "rtt_ms", l->rtt);
        add_ms(out, "held_ms", l->opened ? l->held : -1);
        if (l->expires != 0) {
            hf_wall_text(l->expires, time);
            hf_buffer_addf(out, ",\"certificate_expires\":\"%s\"}\n", time);
        } else {
            hf_buffer_add_text(out, ",\"certificate_expires\":null}\n");
        }
        hf_wall_text(wall, time);
    }
    hf_buffer_addf(out, "{\"v\":1,\"type\":\"once\",\"time\":\"%s\",\"level\":\"%s\"}\n", time,
                   level_texts[worst_of(looks, count)]);
}

/* ---- the run -----------------------------------------------------------------------------------
 */

static bool is_over(const struct look *looks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!looks[i].done) {
            return false;
        }
    }
    return true;
}

int hf_watch_once(const struct hf_once_how *how, struct hf_buffer *out)
{
    size_t count = how->settings->target_count;
    struct look *looks = calloc(count, sizeof(*looks));
    if (looks == NULL) {
        hf_buffer_add_text(out, "WEBSOCKET UNKNOWN - out of memory\n");
        return LEVEL_UNKNOWN;
    }
    for (size_t i = 0; i < count; i++) {
        looks[i].settings = how->settings->targets[i];
        start(&looks[i], how, how->seed + i);
    }
    while (!is_over(looks, count) && !how->stopped()) {
        (void)hf_epoll_turn(how->loop, HF_MS(200));
    }
    for (size_t i = 0; i < count; i++) {
        if (!looks[i].done) {
            complain(&looks[i], LEVEL_UNKNOWN, "it was interrupted");
        }
    }
    if (how->json) {
        print_json(looks, count, hf_loop_wall(how->loop), out);
    } else {
        print_plugin(looks, count, out);
    }
    int code = (int)worst_of(looks, count);
    for (size_t i = 0; i < count; i++) {
        hf_probe_free(looks[i].probe);
        hf_buffer_reset(&looks[i].said);
    }
    free(looks);
    return code;
}
