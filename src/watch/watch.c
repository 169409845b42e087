/* SPDX-License-Identifier: Apache-2.0 */
/* The watch as a whole: its life, its seconds, and reloads. */
#include "watch/watch.h"

#include "config/build.h"
#include "watch/inside.h"

#include <stdlib.h>

#define RETIRE_WITHIN HF_SECONDS(30)
#define FREE_WITHIN HF_SECONDS(5)
#define STOOD_STILL HF_SECONDS(5) /* between two ticks, which are a second apart */
#define EXCUSED_FOR HF_SECONDS(30)

struct hf_watch_target *hf_watch_find(struct hf_watch *w, struct hf_slice name)
{
    for (size_t i = 0; i < w->target_count; i++) {
        if (hf_slice_eq(name, hf_slice_of(w->targets[i]->settings->name))) {
            return w->targets[i];
        }
    }
    return NULL;
}

/* ---- once a second --------------------------------------------------------------------------- */

/* Says when the history stops to be written, and when it goes on. */
static void look_at_store(struct hf_watch *w)
{
    struct hf_store_state before = w->store_state;
    if (w->store == NULL) {
        return;
    }
    hf_store_look(w->store, &w->store_state);
    if (w->store_state.works && !before.works) {
        hf_log_say(w->log, HF_LOG_INFO, hf_watch_wall(w), "history", "%s is written",
                   w->first->database);
    } else if (!w->store_state.works &&
               (before.works || strcmp(before.message, w->store_state.message) != 0)) {
        hf_log_say(w->log, HF_LOG_ERROR, hf_watch_wall(w), "history",
                   "%s; watching goes on without history until then", w->store_state.message);
    }
}

static void look_at_channels(struct hf_watch *w)
{
    for (size_t i = 0; w->courier != NULL && i < w->settings->channel_count; i++) {
        struct hf_courier_state *before = &w->courier_states[i];
        struct hf_courier_state now;
        const char *name = w->settings->channels[i].name;
        hf_courier_look(w->courier, i, &now);
        if (now.lost > before->lost) {
            hf_log_say(w->log, HF_LOG_ERROR, hf_watch_wall(w), "channel",
                       "%s: an alert was given up: %s", name, now.error);
        } else if (now.failed > before->failed && now.error[0] != '\0') {
            hf_log_say(w->log, HF_LOG_WARNING, hf_watch_wall(w), "channel",
                       "%s: an attempt failed, another follows: %s", name, now.error);
        }
        if (now.delivered > before->delivered) {
            hf_log_say(w->log, HF_LOG_INFO, hf_watch_wall(w), "channel", "%s: delivered", name);
        }
        *before = now;
    }
}

/* The first stay until the end: pages and history rest on them. */
static void free_settings(struct hf_watch *w, struct hf_watch_settings *s)
{
    if (s != w->first) {
        hf_watch_settings_free(s);
    }
}

static void free_retired(struct hf_watch *w)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->retired_count; i++) {
        struct hf_watch_retired *r = &w->retired[i];
        if (r->courier == NULL || hf_courier_is_done(r->courier)) {
            hf_courier_free(r->courier);
            free_settings(w, r->settings);
        } else {
            w->retired[kept++] = *r;
        }
    }
    w->retired_count = kept;
}

static void free_leaving(struct hf_watch *w)
{
    for (struct hf_list *n = w->leaving.next; n != &w->leaving;) {
        struct hf_watch_target *t = HF_CONTAINER(n, struct hf_watch_target, node);
        n = n->next;
        if (hf_watch_target_is_idle(t)) {
            hf_list_remove(&t->node);
            hf_watch_target_free(t);
        }
    }
}

/* This process was not run for a while (a frozen container, a laptop that slept): pings seem slow
 * and connections seem to end, all at once, and it is nobody's fault but ours. Timers fire before
 * what came is read, so this is known first. */
static void look_at_ourselves(struct hf_watch *w, hf_time now)
{
    hf_wall wall = hf_watch_wall(w);
    hf_time apart = now - w->ticked;
    hf_time slept = (wall - w->ticked_wall) * 1000 - apart; /* the monotonic clock stood still */
    hf_time still = apart > slept ? apart : slept;
    bool first = w->ticked == 0;
    w->ticked = now;
    w->ticked_wall = wall;
    if (first || still < STOOD_STILL) {
        return;
    }
    char text[24];
    hf_age_text(still, text);
    hf_log_say(w->log, HF_LOG_WARNING, wall, "stood still",
               "this process was not run for %s; what ends in the next seconds is excused", text);
    w->stale_until = now + HF_SECONDS(1);
    w->excused_until = now + EXCUSED_FOR;
}

static void on_tick(struct hf_timer *timer, hf_time now)
{
    struct hf_watch *w = HF_CONTAINER(timer, struct hf_watch, tick);
    look_at_ourselves(w, now);
    for (size_t i = 0; i < w->target_count && !w->stopping; i++) {
        hf_watch_target_tick(w->targets[i]);
    }
    look_at_store(w);
    look_at_channels(w);
    free_retired(w);
    free_leaving(w);
    hf_log_flush(w->log);
    hf_timer_set(w->loop, &w->tick, now + HF_SECONDS(1));
}

/* ---- life --------------------------------------------------------------------------------------
 */

static enum hf_status open_pages(struct hf_watch *w, struct hf_buffer *why)
{
    const struct hf_watch_settings *s = w->settings;
    bool local = hf_config_address_is_local(&s->listen);
    const struct hf_httpd_how how = {
        .address = s->listen,
        .handler = hf_watch_serve,
        .owner = w,
        .body_max = 4096,
        .check_host =
            (local && s->listen.u.any.sa_family != AF_UNIX) || (!local && s->hosts.count > 0),
        .hosts = (const char *const *)s->hosts.items,
        .token = s->token,
        .open = "/healthz",
    };
    return s->listen.len == 0 ? HF_OK : hf_httpd_new(w->loop, &how, &w->httpd, why);
}

static enum hf_status open_store(struct hf_watch *w)
{
    if (w->settings->database == NULL) {
        return HF_OK;
    }
    w->store = hf_store_open(w->settings->database, w->settings->retention);
    w->store_state.works = true; /* so that it is said when it does not */
    if (w->store != NULL) {
        look_at_store(w);
    }
    return w->store == NULL ? HF_NO_MEMORY : HF_OK;
}

/* Takes the settings of target i over. */
static struct hf_watch_target *take_target(struct hf_watch *w, struct hf_watch_settings *s,
                                           size_t i)
{
    struct hf_watch_target *t = hf_watch_target_new(w, s->targets[i]);
    if (t != NULL) {
        s->targets[i] = NULL;
        w->targets[w->target_count++] = t;
    }
    return t;
}

static enum hf_status open_all(struct hf_watch *w, struct hf_buffer *why)
{
    struct hf_watch_settings *s = w->settings;
    enum hf_status status = open_store(w);
    for (size_t i = 0; i < s->target_count && status == HF_OK; i++) {
        status = take_target(w, s, i) == NULL ? HF_NO_MEMORY : HF_OK;
    }
    if (status == HF_OK) {
        status = open_pages(w, why);
    }
    if (status == HF_OK && s->channel_count > 0) {
        w->courier = hf_courier_new(s->channels, s->channel_count);
        status = w->courier == NULL ? HF_NO_MEMORY : HF_OK;
    }
    if (status == HF_OK && w->store != NULL && !hf_store_start(w->store)) {
        status = HF_NO_MEMORY;
    }
    return status;
}

enum hf_status hf_watch_new(const struct hf_watch_how *how, struct hf_watch **watch,
                            struct hf_buffer *why)
{
    *watch = NULL;
    struct hf_watch *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        hf_watch_settings_free(how->settings);
        return HF_NO_MEMORY;
    }
    w->loop = how->loop;
    w->log = how->log;
    w->settings = w->first = how->settings;
    w->how = *how;
    w->started = hf_watch_wall(w);
    hf_random_init(&w->random, how->seed);
    hf_list_init(&w->leaving);
    hf_timer_init(&w->tick, on_tick);
    enum hf_status status = open_all(w, why);
    if (status != HF_OK) {
        hf_watch_free(w);
        return status;
    }
    for (size_t i = 0; i < w->target_count; i++) {
        hf_watch_target_start(w->targets[i]);
    }
    hf_timer_set(w->loop, &w->tick, hf_watch_now(w) + HF_MS(200));
    *watch = w;
    return HF_OK;
}

void hf_watch_address(const struct hf_watch *w, struct hf_address *address)
{
    *address = (struct hf_address){.len = 0};
    if (w->httpd != NULL) {
        hf_httpd_address(w->httpd, address);
    }
}

void hf_watch_stop(struct hf_watch *w)
{
    w->stopping = true;
    for (size_t i = 0; i < w->target_count; i++) {
        hf_watch_target_end(w->targets[i]);
    }
}

bool hf_watch_is_idle(const struct hf_watch *w)
{
    bool idle = hf_list_empty(&w->leaving);
    for (size_t i = 0; i < w->target_count; i++) {
        idle = idle && hf_watch_target_is_idle(w->targets[i]);
    }
    return idle;
}

void hf_watch_free(struct hf_watch *w)
{
    if (w == NULL) {
        return;
    }
    hf_timer_stop(w->loop, &w->tick);
    hf_httpd_free(w->httpd);
    for (size_t i = 0; i < w->target_count; i++) {
        hf_watch_target_free(w->targets[i]);
    }
    while (!hf_list_empty(&w->leaving)) {
        struct hf_watch_target *t = HF_CONTAINER(w->leaving.next, struct hf_watch_target, node);
        hf_list_remove(&t->node);
        hf_watch_target_free(t);
    }
    if (w->courier != NULL) {
        hf_courier_retire(w->courier, FREE_WITHIN);
    }
    hf_store_close(w->store);
    hf_courier_free(w->courier);
    for (size_t i = 0; i < w->retired_count; i++) {
        if (w->retired[i].courier != NULL) {
            hf_courier_retire(w->retired[i].courier, 0);
            hf_courier_free(w->retired[i].courier);
        }
        free_settings(w, w->retired[i].settings);
    }
    free_settings(w, w->settings);
    hf_watch_settings_free(w->first);
    free(w);
}

/* ---- reload ------------------------------------------------------------------------------------
 */

static bool text_differs(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a != b : strcmp(a, b) != 0;
}

static void say_restart_keys(struct hf_watch *w, const struct hf_watch_settings *now)
{
    const struct hf_watch_settings *before = w->first;
    const struct {
        const char *key;
        bool differs;
    } keys[] = {
        {"listen", before->listen.len != now->listen.len ||
                       memcmp(&before->listen.u, &now->listen.u, now->listen.len) != 0},
        {"token_env", text_differs(before->token, now->token)},
        {"hosts", before->hosts.count != now->hosts.count},
        {"database", text_differs(before->database, now->database)},
        {"retention", before->retention != now->retention},
        {"log_file", text_differs(before->log_file, now->log_file)},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (keys[i].differs) {
            hf_log_say(w->log, HF_LOG_WARNING, hf_watch_wall(w), "reload",
                       "%s changes with a restart only", keys[i].key);
        }
    }
}

static void leave(struct hf_watch *w, struct hf_watch_target *t, const char *why)
{
    hf_watch_close_incidents(t, why);
    hf_watch_target_end(t);
    hf_list_append(&w->leaving, &t->node);
    hf_log_say(w->log, HF_LOG_INFO, hf_watch_wall(w), "reload", "%s: %s", t->settings->name, why);
}

/* The target of that name in the new settings; its index, or the count. */
static size_t index_of(const struct hf_watch_settings *s, const char *name)
{
    size_t i = 0;
    while (i < s->target_count &&
           (s->targets[i] == NULL || strcmp(s->targets[i]->name, name) != 0)) {
        i++;
    }
    return i;
}

/* What was remembered of a target whose settings changed goes on with it. */
static void hand_over(struct hf_watch_target *from, struct hf_watch_target *to)
{
    struct hf_record record = to->record;
    to->record = from->record;
    from->record = record;
    memcpy(to->incidents, from->incidents, sizeof(to->incidents));
    memset(from->incidents, 0, sizeof(from->incidents));
    to->quiet_until = from->quiet_until;
    to->deploy_until = from->deploy_until;
    to->flushed = from->flushed;
}

static void change_targets(struct hf_watch *w, struct hf_watch_settings *s)
{
    struct hf_watch_target *before[HF_WATCH_TARGETS_MAX];
    size_t count = w->target_count;
    memcpy(before, w->targets, count * sizeof(before[0]));
    w->target_count = 0;
    for (size_t i = 0; i < count; i++) {
        size_t n = index_of(s, before[i]->settings->name);
        struct hf_watch_target *t = before[i];
        if (n == s->target_count) {
            leave(w, t, "it is watched no more");
        } else if (strcmp(s->targets[n]->print, t->settings->print) == 0) {
            hf_watch_target_settings_free(s->targets[n]);
            s->targets[n] = NULL;
            w->targets[w->target_count++] = t;
        } else {
            struct hf_watch_target *fresh = take_target(w, s, n);
            if (fresh != NULL) {
                hf_watch_target_account(t);
                hand_over(t, fresh);
                leave(w, t, "its settings changed");
                hf_watch_target_start(fresh);
            } else {
                w->targets[w->target_count++] = t; /* no memory: as it was */
            }
        }
    }
    for (size_t i = 0; i < s->target_count; i++) {
        struct hf_watch_target *fresh = s->targets[i] == NULL ? NULL : take_target(w, s, i);
        if (fresh != NULL) {
            hf_watch_target_start(fresh);
            hf_log_say(w->log, HF_LOG_INFO, hf_watch_wall(w), "reload", "%s: it is watched",
                       fresh->settings->name);
        }
    }
}

void hf_watch_reload(struct hf_watch *w, struct hf_watch_settings *s)
{
    if (w->retired_count == sizeof(w->retired) / sizeof(w->retired[0])) {
        hf_log_say(w->log, HF_LOG_WARNING, hf_watch_wall(w), "reload",
                   "too soon after others, whose alerts are still under way; try again");
        hf_watch_settings_free(s);
        return;
    }
    struct hf_courier *courier =
        s->channel_count == 0 ? NULL : hf_courier_new(s->channels, s->channel_count);
    if (courier == NULL && s->channel_count > 0) {
        hf_log_say(w->log, HF_LOG_ERROR, hf_watch_wall(w), "reload",
                   "no memory; everything stays as it was");
        hf_watch_settings_free(s);
        return;
    }
    say_restart_keys(w, s);
    if (w->courier != NULL) {
        hf_courier_retire(w->courier, RETIRE_WITHIN);
    }
    w->retired[w->retired_count++] = (struct hf_watch_retired){w->courier, w->settings};
    w->courier = courier;
    w->settings = s;
    memset(w->courier_states, 0, sizeof(w->courier_states));
    change_targets(w, s);
    hf_log_say(w->log, HF_LOG_INFO, hf_watch_wall(w), "reload", "done: %zu targets",
               w->target_count);
}
