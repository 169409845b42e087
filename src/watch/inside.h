/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the watch share. Nothing outside src/watch includes it. */
#ifndef HF_WATCH_INSIDE_H
#define HF_WATCH_INSIDE_H

#include "io/httpd.h"
#include "policy/backoff.h"
#include "probe/probe.h"
#include "watch/courier.h"
#include "watch/record.h"
#include "watch/store.h"
#include "watch/watch.h"

#define HF_WATCH_DEPLOYS_MAX HF_INCIDENT_COUNT_MAX

/* One held connection, or one that is on its way or waits for its next attempt. */
struct hf_watch_session {
    struct hf_watch_target *target;
    struct hf_probe *probe; /* NULL: it waits */
    bool known;             /* the first attempt opened or failed */
    bool up;
    bool answered;   /* a pong came since the open */
    hf_time counted; /* up or down is accounted for until then */
    hf_time opened;
    struct hf_timer timer; /* the next attempt */
    struct hf_backoff backoff;
};

/* The newest check with a fresh connection. */
struct hf_watch_check {
    struct hf_watch_target *target;
    struct hf_probe *probe;
    struct hf_timer timer;
    bool known; /* one was done */
    bool success;
    bool answered;
    hf_wall time;
    hf_time took;      /* from the look-up to the pong */
    hf_time phases[5]; /* dns tcp tls upgrade, and of the pong in the last; -1: not reached */
};

struct hf_watch_target {
    struct hf_watch *watch;
    struct hf_watch_target_settings *settings;
    struct hf_record record;
    struct hf_incident incidents[HF_INCIDENT_KINDS];
    struct hf_watch_session *sessions; /* settings->connections of them */
    struct hf_watch_check check;
    hf_time quiet_until, deploy_until;
    hf_time deploys[HF_WATCH_DEPLOYS_MAX];
    size_t deploy_count;
    hf_time refreshed;     /* Alertmanager was told last */
    int64_t flushed;       /* the minute that was given to the store last */
    hf_wall certificate;   /* not after, ms since 1970; 0: unknown or no TLS */
    hf_time connect_took;  /* of the newest open; -1: none */
    hf_time last_rtt;      /* -1: none */
    char *url;             /* for people: redacted */
    char *host_note;       /* who answers, by headers and addresses: "Cloudflare, nginx"; "" */
    int last_failed_error; /* errno of the newest attempt, when it failed */
    bool ending;           /* sessions are ended by us and start no more */
    struct hf_list node;   /* on the list of the retired, else on none */
};

struct hf_watch_retired { /* a courier whose letters are still on their way, with its channels */
    struct hf_courier *courier;
    struct hf_watch_settings *settings;
};

struct hf_watch {
    struct hf_loop *loop;
    struct hf_log *log;
    struct hf_watch_settings *settings;
    struct hf_watch_settings *first; /* those of the start: listen, hosts, database are theirs */
    struct hf_watch_how how;
    struct hf_random random;
    struct hf_courier *courier; /* NULL: there are no channels */
    struct hf_watch_retired retired[8];
    size_t retired_count;
    struct hf_store *store; /* NULL: no history is kept */
    struct hf_store_state store_state;
    struct hf_courier_state courier_states[HF_WATCH_CHANNELS_MAX];
    struct hf_httpd *httpd;
    struct hf_watch_target *targets[HF_WATCH_TARGETS_MAX];
    size_t target_count;
    struct hf_list leaving; /* targets that were taken out and end their connections */
    struct hf_timer tick;
    hf_time ticked; /* when the last tick was ... */
    hf_wall ticked_wall;
    hf_time stale_until;   /* we stood still: round trips that end before it are not true */
    hf_time excused_until; /* and what ends before it may have ended for that */
    hf_time quiet_until;
    hf_wall started;
    int64_t last_incident_id;
    bool stopping;
};

/* ---- target.c ---- */
/* On failure NULL, and the settings are still the caller's. */
struct hf_watch_target *hf_watch_target_new(struct hf_watch *w, struct hf_watch_target_settings *s);
/* Starts its connections and checks, spread over a little time. */
void hf_watch_target_start(struct hf_watch_target *t);
/* Ends its connections politely. */
void hf_watch_target_end(struct hf_watch_target *t);
bool hf_watch_target_is_idle(const struct hf_watch_target *t);
/* Once a second: accounts, reminders, settling. */
void hf_watch_target_tick(struct hf_watch_target *t);
/* Accounts for up and down until now. */
void hf_watch_target_account(struct hf_watch_target *t);
/* Its connections that are open now. */
size_t hf_watch_target_up(const struct hf_watch_target *t);
void hf_watch_target_free(struct hf_watch_target *t);

/* ---- tell.c ---- */
enum hf_watch_sight { HF_SIGHT_BAD, HF_SIGHT_GOOD, HF_SIGHT_TIME };
struct hf_watch_details { /* of a bad observation; texts may be NULL */
    const char *summary;
    const char *evidence;
    const char *advice;
    const char *cause;
};
/* An observation of a kind: moves the incident, writes it down, sends what is to be told. */
void hf_watch_observe(struct hf_watch_target *t, enum hf_incident_kind kind,
                      enum hf_watch_sight sight, const struct hf_watch_details *details);
/* True while alerts of the target are held back. */
bool hf_watch_is_quiet(const struct hf_watch_target *t);
/* Open incidents of the record go on where they were before a restart. */
void hf_watch_restore(struct hf_watch_target *t);
/* The target is watched no more: what is open is over. */
void hf_watch_close_incidents(struct hf_watch_target *t, const char *why);
/* Alertmanagers are told again of what is open. */
void hf_watch_refresh(struct hf_watch_target *t);
/* Writes an ending down and counts it; takes the trial as it ended. Returns what was made of it. */
enum hf_judgement hf_watch_ended(struct hf_watch_target *t, struct hf_probe *probe, bool is_check,
                                 struct hf_watch_details *details, struct hf_buffer *texts);
struct hf_watch_rules {
    struct hf_incident_rule rule[HF_INCIDENT_KINDS];
};
void hf_watch_rules_of(const struct hf_watch_target_settings *s, struct hf_watch_rules *rules);

/* ---- the pages ---- */
void hf_watch_serve(void *owner, const struct hf_httpd_request *request,
                    struct hf_httpd_answer *answer);
void hf_watch_page(struct hf_watch *w, struct hf_buffer *out);
void hf_watch_metrics(struct hf_watch *w, struct hf_buffer *out);
void hf_watch_api_targets(struct hf_watch *w, struct hf_buffer *out);
/* target NULL: of all. */
void hf_watch_api_endings(struct hf_watch *w, const char *target, size_t limit,
                          struct hf_buffer *out);
void hf_watch_api_incidents(struct hf_watch *w, const char *target, struct hf_buffer *out);
/* up, partly, down or wait: of the connections now. */
const char *hf_watch_state_text(const struct hf_watch_target *t);
/* NULL: there is no such target. */
struct hf_watch_target *hf_watch_find(struct hf_watch *w, struct hf_slice name);

static inline hf_time hf_watch_now(const struct hf_watch *w)
{
    return hf_loop_now(w->loop);
}
static inline hf_wall hf_watch_wall(const struct hf_watch *w)
{
    return hf_loop_wall(w->loop);
}

#endif
