/* SPDX-License-Identifier: Apache-2.0 */
/* A diagnosis that runs: slots begin probes when the plan says so, ended trials are kept, and on a
 * tick the verdict is asked again and the plan adapts. */
#include "diagnose/run_inside.h"

#include <stdarg.h>
#include <stdio.h>

#define CLOSING_TIME HF_MS(250)
#define CONTROLS_MAX 12
#define ASK_BEFORE HF_MS(2200) /* the end of the watch */
#define ASK_PATIENCE HF_MS(1500)
#define LAST_PATIENCE HF_SECONDS(4)
#define BEAT HF_MS(50)
#define PAUSE HF_MS(150) /* later than this, and it was we who stood still */

static void on_probe(void *owner, struct hf_probe *probe, const struct hf_probe_event *event);

/* ---- small things -----------------------------------------------------------------------------
 */

hf_time hf_diagnosis_now(const struct hf_diagnosis *d)
{
    return hf_loop_now(d->loop) - d->how.begun;
}

void hf_diagnosis_tell(struct hf_diagnosis *d, enum hf_diagnosis_event_kind kind,
                       const struct hf_arm *arm, const struct hf_trial *trial, const char *text)
{
    const struct hf_diagnosis_event event = {
        .kind = kind, .arm = arm, .trial = trial, .text = text};
    d->handler(d->owner, d, &event);
}

void hf_diagnosis_add_note(struct hf_diagnosis *d, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (size_t i = 0; i < d->note_count; i++) {
        if (strcmp(d->notes[i], text) == 0) {
            return;
        }
    }
    if (d->note_count < HF_DIAGNOSIS_NOTES &&
        (d->notes[d->note_count] = hf_alloc_text(&hf_heap, hf_slice_of(text))) != NULL) {
        d->note_count++;
        hf_diagnosis_tell(d, HF_DIAGNOSIS_NOTE, NULL, NULL, text);
    }
}

void hf_diagnosis_drop_notes(struct hf_diagnosis *d)
{
    while (d->note_count > 0) {
        hf_release(&hf_heap, d->notes[--d->note_count]);
    }
}

void hf_diagnosis_learn(struct hf_diagnosis *d, const struct hf_probe *p)
{
    const struct hf_hosting *found[HF_PROBE_HOSTING];
    const size_t count = hf_probe_hosting(p, found);
    for (size_t i = 0; i < count; i++) {
        size_t k = 0;
        while (k < d->hosting_count && d->hosting[k] != found[i]) {
            k++;
        }
        if (k == d->hosting_count && k < HF_DIAGNOSIS_HOSTING) {
            d->hosting[d->hosting_count++] = found[i];
        }
    }
}

struct hf_probe_how hf_diagnosis_probe_how(struct hf_diagnosis *d, const struct hf_target *target)
{
    return (struct hf_probe_how){
        .target = target,
        .text = d->how.text,
        .hold = HF_NEVER,
        .answer_timeout = hf_plan_answer_timeout(&d->plan),
        .seed = d->how.seed + d->kept_count * 131 + d->live,
        .epoch = d->how.begun,
    };
}

/* ---- what is kept -----------------------------------------------------------------------------
 */

void hf_diagnosis_keep(struct hf_diagnosis *d, const struct hf_trial *trial,
                       const struct hf_arm *arm, bool aside)
{
    const size_t bytes = trial->moment_count * sizeof(*trial->moments);
    struct hf_moment *moments = bytes == 0 ? NULL : hf_alloc(&hf_heap, bytes);
    if (d->kept_count == d->kept_room) {
        const size_t room = d->kept_room == 0 ? 64 : d->kept_room * 2;
        void *grown = hf_heap.resize(hf_heap.context, d->kept, room * sizeof(*d->kept));
        if (grown == NULL) {
            hf_release(&hf_heap, moments);
            return;
        }
        d->kept = grown;
        d->kept_room = room;
    }
    struct hf_kept *k = &d->kept[d->kept_count++];
    *k = (struct hf_kept){.trial = *trial, .arm = arm, .aside = aside};
    if (moments != NULL) {
        memcpy(moments, trial->moments, bytes);
    } else {
        k->trial.moment_count = 0;
    }
    k->trial.moments = moments;
    d->is_dirty = true;
}

static bool make_room(struct hf_diagnosis *d, size_t count)
{
    if (count <= d->view_room) {
        return true;
    }
    const size_t room = count + 128;
    void *view = hf_heap.resize(hf_heap.context, d->view, room * sizeof(*d->view));
    if (view == NULL) {
        return false;
    }
    d->view = view;
    void *arms = hf_heap.resize(hf_heap.context, d->view_arms, room * sizeof(*d->view_arms));
    if (arms == NULL) {
        return false;
    }
    d->view_arms = arms;
    d->view_room = room;
    return true;
}

static void view_add(struct hf_diagnosis *d, const struct hf_trial *t, const struct hf_arm *arm)
{
    d->view_arms[d->view_count] = arm;
    d->view[d->view_count++] = *t;
}

static hf_time last_sign(const struct hf_trial *t)
{
    for (size_t i = t->moment_count; i-- > 0;) {
        const uint8_t kind = t->moments[i].kind;
        if (kind == HF_MOMENT_GOT || kind == HF_MOMENT_PONG_GOT || kind == HF_MOMENT_PING_GOT) {
            return t->moments[i].at;
        }
    }
    return 0;
}

/* Since when a ping of one that had answered before is open: an age; 0: none is. */
static hf_time open_since(const struct hf_trial *t)
{
    hf_time since = 0;
    for (size_t i = t->moment_count; i-- > 0 && t->count[HF_MOMENT_PONG_GOT] > 0;) {
        const uint8_t kind = t->moments[i].kind;
        if (kind == HF_MOMENT_GOT || kind == HF_MOMENT_PONG_GOT || kind == HF_MOMENT_PING_GOT) {
            break;
        }
        since = kind == HF_MOMENT_PING_SENT ? t->moments[i].at : since;
    }
    return since;
}

/* Who was asked at the end of the watch and did not answer, while others did, is dead by silence,
 * though nobody had told it; so is, when the watch ends, who has owed an answer for long. */
static struct hf_trial judged(const struct hf_slot *s)
{
    struct hf_trial t = *hf_probe_trial(s->probe);
    const hf_time since = s->d->is_concluding ? open_since(&t) : 0;
    const bool owes = since > 0 && t.end.age - since >= LAST_PATIENCE;
    const bool deaf = s->asked > 0 && s->d->others_answered && last_sign(&t) < s->asked &&
                      t.end.age - s->asked >= ASK_PATIENCE;
    if (t.end.how == HF_HOW_ALIVE && (owes || deaf)) {
        t.end.how = HF_HOW_SILENCE;
        t.end.code = 1006;
        t.end.silent_rx = t.end.age - last_sign(&t);
        t.end.unsure = t.end.silent_rx;
    }
    return t;
}

/* all: also what is no evidence. */
static void look(struct hf_diagnosis *d, bool all)
{
    d->view_count = 0;
    if (!make_room(d, d->kept_count + d->slot_count)) {
        return;
    }
    for (size_t i = 0; i < d->kept_count; i++) {
        if (all || !d->kept[i].aside) {
            view_add(d, &d->kept[i].trial, d->kept[i].arm);
        }
    }
    for (size_t i = 0; i < d->slot_count; i++) {
        const struct hf_slot *s = &d->slots[i];
        if (s->probe != NULL && hf_probe_trial(s->probe)->opened != 0) {
            const struct hf_trial t = judged(s);
            view_add(d, &t, s->arm);
        }
    }
}

const struct hf_trial *hf_diagnosis_trials(struct hf_diagnosis *d, size_t *count)
{
    look(d, true);
    *count = d->view_count;
    return d->view;
}

const struct hf_arm *hf_diagnosis_arm_of(const struct hf_diagnosis *d, const struct hf_trial *t)
{
    return d->view_arms[t - d->view];
}

/* ---- slots ------------------------------------------------------------------------------------
 */

static void slot_start(struct hf_slot *s)
{
    struct hf_diagnosis *d = s->d;
    struct hf_arm *arm = s->arm;
    struct hf_probe_how how = hf_diagnosis_probe_how(
        d, arm->path == 0 || d->how.compare == NULL ? &d->targets[0] : &d->targets[1]);
    if (s->probe != NULL || arm->retired || d->kept_count >= HF_DIAGNOSIS_TRIALS) {
        return;
    }
    if (d->live >= d->open_max) {
        hf_timer_set(d->loop, &s->timer, hf_loop_now(d->loop) + HF_MS(400));
        return;
    }
    if (arm->on_stall) {
        how.target = &d->control;
    }
    how.plan = arm->plan;
    how.arm = arm->name;
    how.path = arm->path;
    how.hold = arm->hold;
    how.check_at_end = arm->check;
    if (arm->answer_timeout > 0) {
        how.answer_timeout = arm->answer_timeout;
    }
    how.pong_delay = arm->pong_delay;
    how.reading_until = arm->reading_until;
    s->asked = 0;
    s->probe = hf_probe_start(d->loop, &how, on_probe, s);
    d->live += s->probe != NULL;
}

static void on_slot_timer(struct hf_timer *timer, hf_time now)
{
    struct hf_slot *s = HF_CONTAINER(timer, struct hf_slot, timer);
    if (s->d->stage == HF_STAGE_ARMS || s->d->stage == HF_STAGE_FIRST) {
        slot_start(s);
    }
}

/* The arms from `first` on get their slots. */
static void add_slots(struct hf_diagnosis *d, size_t first)
{
    for (size_t i = first; i < d->plan.count; i++) {
        struct hf_arm *arm = &d->plan.arms[i];
        for (unsigned k = 0; k < arm->slots; k++) {
            struct hf_slot *s = &d->slots[d->slot_count];
            const hf_time when = d->how.begun + arm->start + arm->stagger * k;
            *s = (struct hf_slot){.d = d, .arm = arm, .serial = (unsigned)d->slot_count++};
            hf_timer_init(&s->timer, on_slot_timer);
            if (d->stage == HF_STAGE_ARMS && !arm->on_stall) {
                hf_timer_set(d->loop, &s->timer,
                             when > hf_loop_now(d->loop) ? when : hf_loop_now(d->loop));
            }
        }
        hf_diagnosis_tell(d, HF_DIAGNOSIS_ARM, arm, NULL, NULL);
    }
}

void hf_diagnosis_begin_arms(struct hf_diagnosis *d)
{
    const hf_time now = hf_loop_now(d->loop);
    d->stage = HF_STAGE_ARMS;
    for (size_t i = 0; i < d->slot_count; i++) {
        struct hf_slot *s = &d->slots[i];
        const unsigned k = (unsigned)(s - d->slots);
        const struct hf_slot *first = s;
        while (first > d->slots && first[-1].arm == s->arm) {
            first--;
        }
        if (s->probe == NULL && !s->arm->on_stall) {
            hf_timer_set(d->loop, &s->timer,
                         now + s->arm->start + s->arm->stagger * (hf_time)(s - first) + 1000 * k);
        }
    }
    hf_sizes_begin(d);
}

/* Refused because so many are open: fewer then, and no evidence. */
static bool is_crowded_out(struct hf_diagnosis *d, const struct hf_trial *t)
{
    if (t->end.how != HF_HOW_STATUS || (t->end.http != 429 && t->end.http != 503) || d->live < 3) {
        return false;
    }
    if (++d->crowded >= 2 && d->open_max > d->live) {
        d->open_max = d->live;
        hf_diagnosis_add_note(d,
                              "The server refused another connection with HTTP %u while %zu were "
                              "open; no more than that are held now.",
                              t->end.http, d->live);
    }
    return true;
}

/* It died right behind the first text that we made up. */
static bool dies_of_our_text(const struct hf_diagnosis *d, const struct hf_trial *t)
{
    hf_time sent = -1;
    if (d->how.text.len > 0 || t->plan.load || t->count[HF_MOMENT_SENT] != 1 ||
        !hf_trial_is_dead(t)) {
        return false;
    }
    for (size_t i = 0; i < t->moment_count; i++) {
        sent = t->moments[i].kind == HF_MOMENT_SENT ? t->moments[i].at : sent;
    }
    return sent >= 0 && t->end.age - sent < HF_MS(300);
}

/* An application that closes when it reads a text that we made up says nothing of a limit. Two arms
 * with different intervals must agree, and none may have sent a second one: else a timer met the
 * first by chance. */
static void judge_our_text(struct hf_diagnosis *d)
{
    hf_time first = 0;
    bool agree = false;
    for (size_t i = 0; i < d->kept_count; i++) {
        const struct hf_trial *t = &d->kept[i].trial;
        if (!t->plan.load && t->count[HF_MOMENT_SENT] > 1) {
            return;
        }
        if (dies_of_our_text(d, t)) {
            agree |= first != 0 && first != t->plan.message_every;
            first = t->plan.message_every;
        }
    }
    if (!agree) {
        return;
    }
    d->text_refused = true;
    hf_diagnosis_add_note(d, "The application closes right after the text {\"type\":\"ping\"}, "
                             "which it does not know; give it one that it answers with --send.");
    for (size_t i = 0; i < d->kept_count; i++) {
        d->kept[i].aside |= dies_of_our_text(d, &d->kept[i].trial);
    }
    for (size_t i = 0; i < d->plan.count; i++) {
        d->plan.arms[i].retired |= d->plan.arms[i].plan.message_every > 0;
    }
}

static void slot_ended(struct hf_slot *s, struct hf_probe *probe)
{
    struct hf_diagnosis *d = s->d;
    const struct hf_trial *t = hf_probe_trial(probe);
    const bool dead = hf_trial_is_dead(t), opened = hf_trial_was_open(t);
    d->live--;
    s->probe = NULL;
    s->past.trials++;
    s->past.deaths += dead;
    s->past.age = opened ? t->end.age : 0;
    s->past.early =
        dead && (!opened || t->end.age < hf_plan_young(&d->plan)) ? s->past.early + 1 : 0;
    const bool aside = is_crowded_out(d, t) || (d->text_refused && dies_of_our_text(d, t));
    struct hf_trial kept = *t;
    if (t->end.how == HF_HOW_SILENCE && !d->was_ponged) {
        kept.end.how = HF_HOW_ENDED_BY_US; /* a server that never answers pings is not dead */
    }
    hf_diagnosis_keep(d, &kept, s->arm, aside);
    if (!d->text_refused && dies_of_our_text(d, t)) {
        judge_our_text(d);
    }
    hf_diagnosis_tell(d, HF_DIAGNOSIS_ENDED, s->arm, t, NULL);
    if (d->stage == HF_STAGE_FIRST && !opened) {
        hf_attempts_begin(d);
    } else if (d->stage == HF_STAGE_ARMS) {
        const hf_time rest = hf_plan_rest(&d->plan, s->arm, &s->past, s->serial);
        if (rest != HF_NEVER) {
            hf_timer_set(d->loop, &s->timer, hf_loop_now(d->loop) + rest);
        }
    }
    hf_probe_free(probe);
}

/* Somewhere answers stay out: a new connection shows whose fault it is. */
static void look_for_others(struct hf_diagnosis *d)
{
    for (size_t i = 0; i < d->slot_count && d->controls < CONTROLS_MAX; i++) {
        struct hf_slot *s = &d->slots[i];
        if (s->arm->on_stall && s->probe == NULL && !hf_timer_is_set(&s->timer)) {
            d->controls++;
            hf_timer_set(d->loop, &s->timer, hf_loop_now(d->loop) + HF_MS(250));
        }
    }
}

static void on_probe(void *owner, struct hf_probe *probe, const struct hf_probe_event *event)
{
    struct hf_slot *s = owner;
    struct hf_diagnosis *d = s->d;
    if (event->kind == HF_PROBE_OPEN) {
        d->was_open = true;
        hf_diagnosis_learn(d, probe);
        hf_diagnosis_tell(d, HF_DIAGNOSIS_OPEN_UP, s->arm, hf_probe_trial(probe), NULL);
        if (d->stage == HF_STAGE_FIRST) {
            hf_diagnosis_begin_arms(d);
        }
    } else if (event->kind == HF_PROBE_PONG) {
        d->was_ponged = true;
        d->others_answered |= s->asked == 0 && hf_timer_is_set(&d->check) == false;
    } else if (event->kind == HF_PROBE_STALLED && d->stage == HF_STAGE_ARMS) {
        look_for_others(d);
    } else if (event->kind == HF_PROBE_END) {
        slot_ended(s, probe);
    }
}

/* ---- the verdict ------------------------------------------------------------------------------
 */

static double round_trip(const struct hf_diagnosis *d)
{
    double best = 0;
    for (size_t i = 0; i < d->view_count; i++) {
        for (size_t k = 0; k < d->view[i].moment_count; k++) {
            const struct hf_moment *m = &d->view[i].moments[k];
            if (m->kind == HF_MOMENT_PONG_GOT && (best == 0 || m->size < best)) {
                best = m->size;
            }
        }
    }
    return best / 1e6;
}

static void infer(struct hf_diagnosis *d)
{
    const char *ids[HF_DIAGNOSIS_HOSTING];
    struct hf_infer_context context = {
        .hosting = ids,
        .hosting_count = d->hosting_count,
        .text_is_default = d->how.text.len == 0,
        .load_allowed = d->how.plan.load,
        .is_secure = d->how.target->url.tls,
        .now = hf_diagnosis_now(d),
        .scale = d->how.scale,
        .cut_short = d->cut_short,
        .own_pauses = d->pauses,
        .own_pause_count = d->pause_count,
        .refused_with = d->refused_with[0] != '\0' ? d->refused_with : NULL,
        .refused_means =
            d->refused_means.len > 0 ? (const char *)hf_buffer_slice(&d->refused_means).ptr : NULL,
    };
    for (size_t i = 0; i < d->hosting_count; i++) {
        ids[i] = d->hosting[i]->id;
    }
    look(d, false);
    context.rtt_s = round_trip(d);
    if (hf_infer(&d->verdict, d->view, d->view_count, &context) != HF_OK) {
        hf_diagnosis_add_note(d, "Memory ran out while the evidence was weighed.");
    }
}

/* Firm for a second, and not because nothing has happened yet. */
static bool is_settled(struct hf_diagnosis *d)
{
    const struct hf_verdict *v = &d->verdict;
    if (!v->firm || v->best.class == HF_CLASS_NONE || v->best.class == HF_CLASS_INCONCLUSIVE) {
        d->firm_since = HF_NEVER;
        return false;
    }
    if (d->firm_since == HF_NEVER || d->firm_class != v->best.class) {
        d->firm_since = hf_loop_now(d->loop);
        d->firm_class = v->best.class;
    }
    if (hf_loop_now(d->loop) - d->firm_since < HF_SECONDS(1) ||
        (v->best.class == HF_CLASS_SIZE_LIMIT && hf_sizes_is_searching(d)) ||
        (v->best.high > v->best.low * 1.04 && d->plan.narrowing)) {
        return false;
    }
    if (d->how.compare == NULL) {
        return true;
    }
    for (size_t i = 0; i < d->view_count; i++) { /* the other path was watched as long */
        const struct hf_trial *t = &d->view[i];
        if (t->path == 1 &&
            (hf_trial_is_dead(t) || (double)t->end.age > v->best.value * 1.5e6 + 1e6)) {
            return true;
        }
    }
    return false;
}

/* Connections of arms that can tell nothing new make room for others; but while a path is found to
 * forget, each silence that comes to its end counts. */
static void stop_retired(struct hf_diagnosis *d)
{
    if (d->plan.quiet_rounds > 0) {
        return;
    }
    for (size_t i = 0; i < d->slot_count; i++) {
        if (d->slots[i].arm->retired && d->slots[i].probe != NULL) {
            hf_probe_stop(d->slots[i].probe);
        }
    }
}

static void on_tick(struct hf_timer *timer, hf_time now)
{
    struct hf_diagnosis *d = HF_CONTAINER(timer, struct hf_diagnosis, tick);
    if (d->stage != HF_STAGE_ARMS) {
        hf_timer_set(d->loop, &d->tick, hf_loop_now(d->loop) + HF_MS(200));
        return;
    }
    infer(d);
    d->is_dirty = false;
    hf_diagnosis_tell(d, HF_DIAGNOSIS_INFERRED, NULL, NULL, NULL);
    if (is_settled(d)) {
        d->is_settled = true;
        hf_diagnosis_conclude(d);
        return;
    }
    const size_t first = d->plan.count;
    if (hf_plan_adapt(&d->plan, hf_diagnosis_now(d), d->view, d->view_count, &d->verdict) > 0) {
        add_slots(d, first);
    }
    stop_retired(d);
    hf_timer_set(d->loop, &d->tick,
                 hf_loop_now(d->loop) + HF_MS(400) + HF_MS(1) * (hf_time)d->kept_count);
}

/* Shortly before the end all that were silent are asked whether they live. */
static void on_check(struct hf_timer *timer, hf_time now)
{
    struct hf_diagnosis *d = HF_CONTAINER(timer, struct hf_diagnosis, check);
    for (size_t i = 0; i < d->slot_count && d->stage == HF_STAGE_ARMS; i++) {
        struct hf_slot *s = &d->slots[i];
        const struct hf_trial *t = s->probe == NULL ? NULL : hf_probe_trial(s->probe);
        if (t != NULL && t->opened != 0 && !t->plan.stops_reading &&
            t->end.age - last_sign(t) > HF_SECONDS(2)) {
            const hf_time age = t->end.age;
            s->asked = hf_probe_ping(s->probe) ? age : 0;
        }
    }
}

/* A beat that comes late by much: the process did not run. */
static void on_beat(struct hf_timer *timer, hf_time now)
{
    struct hf_diagnosis *d = HF_CONTAINER(timer, struct hf_diagnosis, beat);
    if (now - d->beat_due > PAUSE) {
        if (d->pause_count == HF_DIAGNOSIS_PAUSES) {
            memmove(d->pauses, d->pauses + 1, sizeof(d->pauses) - sizeof(d->pauses[0]));
            d->pause_count--;
        }
        d->pauses[d->pause_count++] = (struct hf_infer_pause){
            .from = d->beat_due - BEAT - d->how.begun, .to = now - d->how.begun};
    }
    d->beat_due = now + BEAT;
    hf_timer_set(d->loop, &d->beat, d->beat_due);
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static void finish(struct hf_diagnosis *d)
{
    for (size_t i = 0; i < d->slot_count; i++) {
        struct hf_slot *s = &d->slots[i];
        if (s->probe != NULL) {
            if (hf_probe_trial(s->probe)->opened != 0) {
                const struct hf_trial t = judged(s);
                hf_diagnosis_keep(d, &t, s->arm, false);
                hf_diagnosis_tell(d, HF_DIAGNOSIS_ENDED, s->arm, &t, NULL);
            }
            hf_probe_free(s->probe);
            s->probe = NULL;
        }
        hf_timer_stop(d->loop, &s->timer);
    }
    d->live = 0;
    d->stage = HF_STAGE_DONE;
    hf_timer_stop(d->loop, &d->tick);
    hf_timer_stop(d->loop, &d->deadline);
    hf_timer_stop(d->loop, &d->beat);
    hf_timer_stop(d->loop, &d->check);
    hf_diagnosis_tell(d, HF_DIAGNOSIS_DONE, NULL, NULL, NULL);
}

void hf_diagnosis_conclude(struct hf_diagnosis *d)
{
    if (d->stage >= HF_STAGE_CLOSING) {
        return;
    }
    hf_attempts_free(d);
    hf_sizes_free(d);
    d->is_concluding = true;
    if (!d->is_settled) {
        infer(d);
    }
    d->stage = HF_STAGE_CLOSING;
    hf_diagnosis_notice(d);
    for (size_t i = 0; i < d->slot_count; i++) {
        hf_timer_stop(d->loop, &d->slots[i].timer);
        if (d->slots[i].probe != NULL) {
            hf_probe_stop(d->slots[i].probe);
        }
    }
    hf_timer_stop(d->loop, &d->tick);
    hf_timer_set(d->loop, &d->deadline, hf_loop_now(d->loop) + (d->live == 0 ? 0 : CLOSING_TIME));
}

static void on_deadline(struct hf_timer *timer, hf_time now)
{
    struct hf_diagnosis *d = HF_CONTAINER(timer, struct hf_diagnosis, deadline);
    if (d->stage == HF_STAGE_CLOSING) {
        finish(d);
    } else if (d->stage < HF_STAGE_CLOSING) {
        hf_diagnosis_conclude(d);
    }
}

void hf_diagnosis_stop(struct hf_diagnosis *d)
{
    if (d->stage < HF_STAGE_CLOSING) {
        d->cut_short = true;
        hf_timer_set(d->loop, &d->deadline, hf_loop_now(d->loop));
    }
}

/* ---- life -------------------------------------------------------------------------------------
 */

/* The budget is a bound on the whole command, its closing and its writing too. */
static hf_time margin_of(hf_time budget)
{
    const hf_time margin = budget / 5;
    return margin < HF_MS(1300) ? margin : HF_MS(1300);
}

static void impatient(struct hf_target *t, hf_time most)
{
    t->connect_timeout = t->connect_timeout < most ? t->connect_timeout : most;
}

struct hf_diagnosis *hf_diagnosis_new(struct hf_loop *loop, const struct hf_diagnosis_how *how,
                                      hf_diagnosis_handler *handler, void *owner)
{
    struct hf_diagnosis *d = hf_alloc_zero(&hf_heap, sizeof(*d));
    if (d == NULL) {
        return NULL;
    }
    d->loop = loop;
    d->how = *how;
    d->how.plan.compare = how->compare != NULL;
    d->how.plan.has_text = how->text.len > 0;
    hf_plan_begin(&d->plan, &d->how.plan);
    d->handler = handler;
    d->owner = owner;
    d->targets[0] = *how->target;
    d->targets[1] = how->compare != NULL ? *how->compare : *how->target;
    d->control = *how->target;
    impatient(&d->targets[0], how->plan.budget / 4);
    impatient(&d->targets[1], how->plan.budget / 4);
    impatient(&d->control, hf_plan_answer_timeout(&d->plan) / 4);
    d->open_max = HF_DIAGNOSIS_OPEN;
    d->firm_since = HF_NEVER;
    hf_verdict_init(&d->verdict, &hf_heap);
    hf_buffer_init(&d->refused_means, &hf_heap, 8192);
    hf_timer_init(&d->tick, on_tick);
    hf_timer_init(&d->deadline, on_deadline);
    hf_timer_init(&d->beat, on_beat);
    hf_timer_init(&d->check, on_check);
    if (how->plan.budget >= ASK_BEFORE * 6) {
        hf_timer_set(loop, &d->check, d->deadline.when - ASK_BEFORE);
    }
    d->beat_due = hf_loop_now(loop) + BEAT;
    hf_timer_set(loop, &d->beat, d->beat_due);
    hf_timer_set(loop, &d->deadline, how->begun + how->plan.budget - margin_of(how->plan.budget));
    hf_timer_set(loop, &d->tick, hf_loop_now(loop) + HF_MS(400));
    add_slots(d, 0);
    if (d->slot_count == 0 || d->how.plan.only == 1u << HF_EXPERIMENT_HANDSHAKE) {
        hf_attempts_begin(d);
    } else {
        hf_timer_set(loop, &d->slots[0].timer, hf_loop_now(loop));
    }
    return d;
}

void hf_diagnosis_free(struct hf_diagnosis *d)
{
    if (d == NULL) {
        return;
    }
    hf_attempts_free(d);
    hf_sizes_free(d);
    for (size_t i = 0; i < d->slot_count; i++) {
        hf_timer_stop(d->loop, &d->slots[i].timer);
        hf_probe_free(d->slots[i].probe);
    }
    for (size_t i = 0; i < d->kept_count; i++) {
        hf_release(&hf_heap, (void *)(uintptr_t)d->kept[i].trial.moments);
    }
    hf_diagnosis_drop_notes(d);
    hf_timer_stop(d->loop, &d->tick);
    hf_timer_stop(d->loop, &d->deadline);
    hf_timer_stop(d->loop, &d->beat);
    hf_timer_stop(d->loop, &d->check);
    hf_verdict_fini(&d->verdict);
    hf_buffer_reset(&d->refused_means);
    hf_release(&hf_heap, d->kept);
    hf_release(&hf_heap, d->view);
    hf_release(&hf_heap, d->view_arms);
    hf_release(&hf_heap, d);
}

const struct hf_verdict *hf_diagnosis_verdict(const struct hf_diagnosis *d)
{
    return &d->verdict;
}

const struct hf_plan *hf_diagnosis_plan(const struct hf_diagnosis *d)
{
    return &d->plan;
}

bool hf_diagnosis_was_open(const struct hf_diagnosis *d)
{
    return d->was_open;
}

bool hf_diagnosis_is_done(const struct hf_diagnosis *d)
{
    return d->stage == HF_STAGE_DONE;
}

size_t hf_diagnosis_hosting(const struct hf_diagnosis *d, const struct hf_hosting **hosting)
{
    memcpy(hosting, d->hosting, d->hosting_count * sizeof(hosting[0]));
    return d->hosting_count;
}

size_t hf_diagnosis_note_count(const struct hf_diagnosis *d)
{
    return d->note_count;
}

const char *hf_diagnosis_note(const struct hf_diagnosis *d, size_t index)
{
    return d->notes[index];
}
