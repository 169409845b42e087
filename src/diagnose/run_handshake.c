/* SPDX-License-Identifier: Apache-2.0 */
/* When it does not open: the same handshake again, and with one thing left out or changed at a
 * time, so that the status that a browser hides, and what would change it, are known. */
#include "diagnose/run_inside.h"
#include "probe/refusal.h"

#include <stdio.h>

#define ATTEMPTS 9

struct attempt {
    const char *name;
    const char *if_opens; /* what it means when this one opens; "" */
    struct hf_target
        target;   /* borrows the strings of the diagnosis's target, unless it owns them */
    hf_time wait; /* before it */
    bool owns, as_given;
};

struct hf_attempts {
    struct hf_diagnosis *d;
    struct attempt all[ATTEMPTS];
    size_t count, at;
    struct hf_probe *probe;
    struct hf_timer timer;
    bool only;        /* they are all that was asked for */
    bool opened;      /* the present one */
    bool given_opens; /* one that changed nothing opened */
    char origin[300];
};

static void next(struct hf_attempts *a);

static struct attempt *add(struct hf_attempts *a, const char *name, const char *if_opens)
{
    HF_ASSERT(a->count < ATTEMPTS);
    struct attempt *it = &a->all[a->count++];
    it->name = name;
    it->if_opens = if_opens;
    it->target = *a->d->how.target;
    it->wait = HF_MS(250);
    const hf_time most = a->d->how.plan.budget / 6;
    it->target.connect_timeout =
        it->target.connect_timeout < most ? it->target.connect_timeout : most;
    return it;
}

static void add_other_scheme(struct hf_attempts *a)
{
    const struct hf_target *given = a->d->how.target;
    const struct hf_url *u = &given->url;
    struct hf_buffer why;
    char text[1024];
    const bool default_port = u->port == (u->tls ? 443 : 80);
    const uint16_t port = default_port ? (u->tls ? 80 : 443) : u->port;
    const int n = snprintf(text, sizeof(text), "%s://%s%.*s%s:%u%.*s%s%.*s", u->tls ? "ws" : "wss",
                           u->host_is_ipv6 ? "[" : "", HF_SLICE_ARG(u->host),
                           u->host_is_ipv6 ? "]" : "", port, HF_SLICE_ARG(u->path),
                           u->query.ptr != NULL ? "?" : "", HF_SLICE_ARG(u->query));
    if (n < 0 || (size_t)n >= sizeof(text) || u->port == 0) {
        return;
    }
    hf_buffer_init(&why, &hf_heap, 1024);
    struct attempt *it = add(a, u->tls ? "ws instead of wss" : "wss instead of ws",
                             u->tls ? "The port speaks no TLS: the URL begins with ws:."
                                    : "The port speaks TLS: the URL begins with wss:.");
    hf_target_init(&it->target);
    it->target.insecure = true; /* it is asked only whether TLS is spoken there */
    it->owns = true;
    if (!hf_target_ready(&it->target, text, &why)) {
        hf_target_fini(&it->target);
        a->count--;
    } else {
        it->target.connect_timeout = a->all[0].target.connect_timeout;
    }
    hf_buffer_reset(&why);
}

static void add_variants(struct hf_attempts *a)
{
    const struct hf_target *given = a->d->how.target;
    const struct hf_url *u = &given->url;
    const bool default_port = u->port == (u->tls ? 443 : 80);
    const int n = default_port
                      ? snprintf(a->origin, sizeof(a->origin), "%s://%.*s",
                                 u->tls ? "https" : "http", HF_SLICE_ARG(u->host))
                      : snprintf(a->origin, sizeof(a->origin), "%s://%.*s:%u",
                                 u->tls ? "https" : "http", HF_SLICE_ARG(u->host), u->port);
    if (given->origin != NULL) {
        add(a, "without Origin", "The server refuses this Origin: add it to those that it allows.")
            ->target.origin = NULL;
    }
    if (n > 0 && (size_t)n < sizeof(a->origin) && u->port != 0) {
        add(a, "the site's own Origin",
            "The server wants an Origin that it allows: pages of other hosts, and clients without "
            "one, are refused.")
            ->target.origin = a->origin;
    }
    static char foreign[] = "https://origin.invalid";
    add(a, "a foreign Origin", "The server wants an Origin, whichever it is.")->target.origin =
        foreign;
    if (given->token != NULL || given->user != NULL) {
        struct attempt *it = add(a, "without credentials",
                                 "The server refuses these credentials, and lets in who has none.");
        it->target.token = NULL;
        it->target.user = NULL;
    }
    if (given->header_count > 0) {
        add(a, "without the headers of -H", "One of the headers of -H is what is refused.")
            ->target.header_count = 0;
    }
    if (given->protocols != NULL) {
        add(a, "without a subprotocol",
            "The server does not speak the subprotocol that is offered.")
            ->target.protocols = NULL;
    }
    struct attempt *it = add(a, given->deflate ? "without compression" : "offering compression",
                             "It is the offer of compression that decides.");
    it->target.deflate = !given->deflate;
    add_other_scheme(a);
}

static void say_result(struct hf_attempts *a, const struct hf_trial *t, const struct hf_head *head)
{
    const char *name = a->all[a->at].name;
    const struct hf_slice *location = head == NULL ? NULL : hf_head_find(head, "location");
    if (a->opened) {
        hf_diagnosis_add_note(a->d, "Handshake, %s: it opens.%s%s", name,
                              a->given_opens || a->only ? "" : " ",
                              a->given_opens || a->only ? "" : a->all[a->at].if_opens);
    } else if (location != NULL) {
        hf_diagnosis_add_note(a->d, "Handshake, %s: HTTP %u, sent on to %.*s.", name, t->end.http,
                              (int)(location->len < 200 ? location->len : 200),
                              (const char *)location->ptr);
    } else if (t->end.http != 0) {
        hf_diagnosis_add_note(a->d, "Handshake, %s: HTTP %u.", name, t->end.http);
    } else {
        hf_diagnosis_add_note(a->d, "Handshake, %s: %s%s%s.", name, hf_trial_how_text(t->end.how),
                              t->end.reason[0] == '\0' ? "" : ", ", t->end.reason);
    }
}

/* What the refusal means, for the verdict; and which change makes it open. */
static void remember(struct hf_attempts *a, const struct hf_trial *t,
                     const struct hf_probe_event *event)
{
    struct hf_diagnosis *d = a->d;
    struct hf_buffer *means = &d->refused_means;
    const struct attempt *it = &a->all[a->at];
    if (means->len > 0) {
        means->len--; /* the NUL: the text goes on */
    }
    if (it->as_given && !a->opened) {
        means->len = 0;
        if (event->head != NULL && t->end.http != 0) {
            snprintf(d->refused_with, sizeof(d->refused_with), "HTTP %u", t->end.http);
            hf_refusal_explain(&it->target, event->head, event->data, means);
        } else {
            snprintf(d->refused_with, sizeof(d->refused_with), "%s",
                     t->end.reason[0] != '\0' ? t->end.reason : hf_trial_how_text(t->end.how));
            hf_failure_explain(&it->target, t, means);
        }
    } else if (a->opened && !it->as_given) {
        hf_buffer_addf(means, "%sIt opens so: %s.", means->len > 0 ? " " : "", it->name);
    }
    if (means->len > 0) {
        hf_buffer_add_byte(means, 0);
    }
}

static void on_probe(void *owner, struct hf_probe *probe, const struct hf_probe_event *event)
{
    struct hf_attempts *a = owner;
    struct hf_diagnosis *d = a->d;
    if (event->kind == HF_PROBE_OPEN) {
        a->opened = true;
        hf_diagnosis_learn(d, probe);
    } else if (event->kind == HF_PROBE_END) {
        const struct hf_trial *t = hf_probe_trial(probe);
        say_result(a, t, event->head);
        remember(a, t, event);
        hf_diagnosis_learn(d, probe);
        if (a->all[a->at].as_given) {
            a->given_opens |= a->opened;
            d->was_open |= a->opened;
        }
        hf_diagnosis_keep(d, t, NULL, !a->all[a->at].as_given || (a->opened && !a->only));
        hf_diagnosis_tell(d, HF_DIAGNOSIS_ENDED, NULL, t, NULL);
        a->probe = NULL;
        hf_probe_free(probe);
        a->at++;
        next(a);
    }
}

static void on_timer(struct hf_timer *timer, hf_time now)
{
    struct hf_attempts *a = HF_CONTAINER(timer, struct hf_attempts, timer);
    struct hf_probe_how how = hf_diagnosis_probe_how(a->d, &a->all[a->at].target);
    how.arm = a->all[a->at].name;
    how.hold = HF_MS(150);
    a->opened = false;
    a->probe = hf_probe_start(a->d->loop, &how, on_probe, a);
    if (a->probe == NULL) {
        a->at = a->count;
        next(a);
    }
}

/* The next attempt, or what follows from them. */
static void next(struct hf_attempts *a)
{
    struct hf_diagnosis *d = a->d;
    if (a->given_opens && !a->only) {
        hf_diagnosis_drop_notes(d); /* it was an accident, or a restart */
        hf_diagnosis_add_note(d, "The first attempt to connect failed; then it opened.");
        hf_diagnosis_begin_arms(d);
    } else if (a->at < a->count) {
        hf_timer_set(d->loop, &a->timer, hf_loop_now(d->loop) + a->all[a->at].wait);
    } else {
        hf_diagnosis_stop(d);
    }
}

/* An answer to the handshake came, or TLS failed: what it said may change with the head. */
static bool answers(const struct hf_diagnosis *d)
{
    const struct hf_trial *last = d->kept_count == 0 ? NULL : &d->kept[d->kept_count - 1].trial;
    return last == NULL || last->end.how == HF_HOW_STATUS || last->end.how == HF_HOW_TLS ||
           last->end.how == HF_HOW_FAULT;
}

void hf_attempts_begin(struct hf_diagnosis *d)
{
    struct hf_attempts *a = d->attempts = hf_alloc_zero(&hf_heap, sizeof(*a));
    const hf_time wait = d->how.plan.budget / 40;
    if (a == NULL) {
        hf_diagnosis_stop(d);
        return;
    }
    d->stage = HF_STAGE_HANDSHAKE;
    a->d = d;
    a->only = d->kept_count == 0;
    hf_timer_init(&a->timer, on_timer);
    struct attempt *first = add(a, "as given", "");
    first->as_given = true;
    first->wait = wait < HF_MS(500) ? wait : HF_MS(500);
    if (answers(d)) {
        add_variants(a);
    } else {
        for (int i = 0; i < 2; i++) {
            struct attempt *again =
                add(a, i == 0 ? "as given, once more" : "as given, a last time", "");
            again->as_given = true;
            again->wait = HF_SECONDS(1 + i);
        }
        if (d->kept[d->kept_count - 1].trial.end.phase >= HF_PHASE_TLS) {
            add_other_scheme(a);
        }
    }
    next(a);
}

void hf_attempts_free(struct hf_diagnosis *d)
{
    struct hf_attempts *a = d->attempts;
    if (a == NULL) {
        return;
    }
    hf_timer_stop(d->loop, &a->timer);
    hf_probe_free(a->probe);
    for (size_t i = 0; i < a->count; i++) {
        if (a->all[i].owns) {
            hf_target_fini(&a->all[i].target);
        }
    }
    d->attempts = NULL;
    hf_release(&hf_heap, a);
}
