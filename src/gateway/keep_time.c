/* SPDX-License-Identifier: Apache-2.0 */
/* What time brings to a keep: acknowledgements and beats, the end of its window, delayed messages,
 * looks at a backend that is not read, expired credentials, goodbyes. One timer, set for the
 * earliest; one that fires too early is set again. */
#include "gateway/keep_hold.h"

#include "base/hash.h"

static hf_time earlier(hf_time a, hf_time b)
{
    return a < b ? a : b;
}

/* Each at its own time, spread by a hash of its number. */
hf_time hf_keep_drain_at(const struct hf_keep *k)
{
    const struct hf_keeper *keeper = hf_keep_keeper(k);
    if (!k->backend.worker->draining) {
        return HF_NEVER;
    }
    uint64_t share = hf_siphash(k->backend.worker->gateway->secret,
                                hf_slice(&k->session.id, sizeof(k->session.id)));
    return keeper->drain_from + (hf_time)(share % ((uint64_t)keeper->drain_spread + 1));
}

static hf_time next_time(const struct hf_keep *k)
{
    hf_time now = hf_keep_now(k);
    /* Behind the backend's Close nothing is acknowledged any more, and the transport keeps the time
     * in which the client takes it. */
    hf_time when = k->close_sent ? HF_NEVER : hf_session_deadline(&k->session, hf_keep_rules(k));
    when = earlier(when, hf_keep_drain_at(k));
    when = earlier(when, k->look != NULL ? k->look->at : HF_NEVER);
    if (k->session.written != k->session.counted) {
        when = earlier(when, k->wake);
    }
    when = earlier(when, hf_keep_hold_deadline(k));
    if (k->bye != NULL) {
        when = earlier(when, k->bye->deadline);
    }
    if (k->identity->expires != INT64_MAX) {
        /* The wall clock may jump: looked at again at least once a minute. */
        hf_wall left = k->identity->expires - k->backend.worker->loop->wall;
        when = earlier(when, now + HF_MS(left < 1 ? 1 : left > 60000 ? 60000 : left));
    }
    return when;
}

void hf_keep_set_timer(struct hf_keep *k)
{
    hf_time when;
    if (k->session.state == HF_SESSION_ENDED) {
        return;
    }
    when = next_time(k);
    if (when == HF_NEVER || (hf_timer_is_set(&k->timer) && k->timer.when <= when)) {
        return;
    }
    hf_timer_set(k->backend.worker->loop, &k->timer, when);
}

static void say_goaway(struct hf_keep *k)
{
    struct hf_control goaway;
    hf_time left = hf_keep_drain_at(k) - hf_keep_now(k);
    if (k->client == NULL || k->goaway_said || k->close_sent ||
        k->session.state == HF_SESSION_OPENING) {
        return;
    }
    k->goaway_said = true;
    hf_control_init(&goaway, HF_VERB_GOAWAY);
    goaway.in = left > 0 ? (uint64_t)(left / 1000) : 0;
    hf_attachment_say(hf_keep_keeper(k), k->client, &goaway);
}

void hf_keep_drain(struct hf_keep *k)
{
    say_goaway(k);
    hf_keep_set_timer(k);
}

static enum hf_cause ending_of(enum hf_resume_verdict verdict)
{
    return verdict == HF_RESUME_EXPIRED ? HF_CAUSE_SESSION_EXPIRED : HF_CAUSE_SESSION_OVERFLOW;
}

static void tick(struct hf_keep *k)
{
    hf_time now = hf_keep_now(k);
    enum hf_resume_verdict verdict = hf_session_verdict(&k->session, hf_keep_rules(k), now);
    if (verdict != HF_RESUME_OK) {
        hf_keep_give_up(k, ending_of(verdict));
    } else if (now >= hf_keep_drain_at(k)) {
        hf_keep_give_up(k, HF_CAUSE_DRAIN);
    } else if (k->backend.worker->loop->wall >= k->identity->expires) {
        hf_keep_give_up(k, HF_CAUSE_TOKEN_EXPIRED);
    } else {
        hf_keep_finish_bye(k, k->bye != NULL && now >= k->bye->deadline);
    }
    if (k->session.state == HF_SESSION_ENDED) {
        return;
    }
    if (k->look != NULL && now >= k->look->at) {
        hf_keep_look(k);
    }
    if (now >= k->wake) {
        k->wake = HF_NEVER;
    }
    hf_keep_hold_tick(k);
    hf_keep_pump_backend(k); /* tells the client too, when that is due */
    hf_keep_set_timer(k);
}

void hf_keep_fire(struct hf_timer *timer, hf_time now)
{
    struct hf_keep *k = HF_CONTAINER(timer, struct hf_keep, timer);
    if (k->session.state != HF_SESSION_ENDED) {
        tick(k);
    } else if (k->backend.stream == NULL) {
        hf_keep_free(k);
    }
}
