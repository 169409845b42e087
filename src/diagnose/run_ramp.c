/* SPDX-License-Identifier: Apache-2.0 */
/* The sizes: one connection after another is sent larger and larger messages, first each as one
 * frame, then, when something killed those, in fragments. A ping behind each message tells whether
 * it passed. */
#include "diagnose/run_inside.h"

#include <stdio.h>

#define FRAGMENT 16384
#define SETTLE HF_MS(250)
#define PATIENCE HF_SECONDS(1)

struct hf_sizes {
    struct hf_diagnosis *d;
    struct hf_ramp ramp;
    struct hf_probe *probe;
    struct hf_timer timer;
    uint64_t framed; /* what the first search found */
    bool in_fragments, in_flight, pinged;
    bool ponged, answered; /* since it went out */
    hf_time sent;          /* when it did, and when the pong came: the loop's clock */
    hf_time pong;
    unsigned failures; /* connections that ended before anything was tried, in a row */
};

static const struct hf_arm arms[2] = {
    {.name = "size",
     .experiment = HF_EXPERIMENT_SIZE,
     .plan = {.load = true},
     .slots = 1,
     .hold = HF_NEVER},
    {.name = "size, fragments",
     .experiment = HF_EXPERIMENT_SIZE,
     .plan = {.load = true},
     .slots = 1,
     .hold = HF_NEVER},
};

static void later(struct hf_sizes *s, hf_time wait)
{
    hf_timer_set(s->d->loop, &s->timer, hf_loop_now(s->d->loop) + wait);
}

/* The user's text, and spaces behind it: what reads JSON does not mind. */
static bool send_size(struct hf_sizes *s)
{
    const struct hf_slice text =
        s->d->how.text.len > 0 ? s->d->how.text : HF_LITERAL("{\"type\":\"ping\"}");
    const size_t size = (size_t)s->ramp.size;
    uint8_t *data = hf_alloc(&hf_heap, size);
    bool sent;
    if (data == NULL) {
        return false;
    }
    memset(data, ' ', size);
    memcpy(data, text.ptr, text.len < size ? text.len : size);
    sent = s->in_fragments ? hf_probe_send_fragments(s->probe, 1, hf_slice(data, size), FRAGMENT)
                           : hf_probe_send(s->probe, 1, hf_slice(data, size));
    hf_release(&hf_heap, data);
    s->in_flight |= sent;
    s->pinged = s->ponged = s->answered = false;
    s->sent = hf_loop_now(s->d->loop);
    return sent;
}

static void finished(struct hf_sizes *s)
{
    struct hf_diagnosis *d = s->d;
    if (s->in_fragments) {
        if (s->ramp.low > 0) {
            hf_diagnosis_add_note(d,
                                  "In fragments of %d bytes, a message of %llu bytes passes: it is "
                                  "the single frame that is limited.",
                                  FRAGMENT, (unsigned long long)s->ramp.low);
        }
        return;
    }
    s->framed = s->ramp.low;
    if (s->ramp.high != 0 && s->ramp.low > FRAGMENT) {
        s->in_fragments = true;
        hf_ramp_init(&s->ramp, s->framed * 2, s->framed * 2); /* one size, clearly beyond it */
        later(s, HF_MS(250));
    }
}

/* Not yet when the pong alone is there: a library answers pings before the application has looked
 * at the message. It gets twice as long again to object. Of a server that answers no ping at all,
 * an answer, or a second of life, is all that can be had. */
static bool has_passed(const struct hf_sizes *s)
{
    const hf_time now = hf_loop_now(s->d->loop), more = (s->pong - s->sent) * 2;
    if (!s->in_flight) {
        return false;
    }
    if (!s->ponged) {
        return !s->d->was_ponged && (s->answered || now - s->sent >= PATIENCE);
    }
    return s->answered || now - s->pong >= (more > SETTLE ? more : SETTLE);
}

static void step(struct hf_sizes *s)
{
    if (has_passed(s)) {
        s->in_flight = false;
        s->failures = 0;
        hf_ramp_passed(&s->ramp);
    }
    if (s->ramp.size == 0) {
        hf_probe_stop(s->probe);
    } else if (!s->in_flight && !send_size(s)) {
        later(s, HF_MS(20));
    } else if (!s->pinged && !(s->pinged = hf_probe_ping(s->probe))) {
        later(s, HF_MS(20));
    } else if (s->ponged || !s->d->was_ponged) {
        later(s, HF_MS(50));
    }
}

static void ended(struct hf_sizes *s, struct hf_probe *probe)
{
    struct hf_diagnosis *d = s->d;
    const struct hf_trial *t = hf_probe_trial(probe);
    d->live--;
    s->probe = NULL;
    hf_diagnosis_keep(d, t, &arms[s->in_fragments], s->in_fragments);
    hf_diagnosis_tell(d, HF_DIAGNOSIS_ENDED, &arms[s->in_fragments], t, NULL);
    if (s->in_flight && hf_trial_is_dead(t)) {
        hf_ramp_died(&s->ramp);
        s->failures = 0;
    } else {
        s->failures++;
    }
    s->in_flight = false;
    hf_probe_free(probe);
    hf_timer_stop(d->loop, &s->timer);
    if (s->ramp.size == 0) {
        finished(s);
    } else if (s->failures < 5) {
        later(s, HF_MS(250) << s->failures);
    }
}

static void on_probe(void *owner, struct hf_probe *probe, const struct hf_probe_event *event)
{
    struct hf_sizes *s = owner;
    if (event->kind == HF_PROBE_OPEN) {
        hf_diagnosis_tell(s->d, HF_DIAGNOSIS_OPEN_UP, &arms[s->in_fragments], hf_probe_trial(probe),
                          NULL);
        later(s, 0);
    } else if (event->kind == HF_PROBE_PONG && s->in_flight && s->pinged) {
        s->d->was_ponged = true;
        s->ponged = true;
        s->pong = hf_loop_now(s->d->loop);
        later(s, 0);
    } else if (event->kind == HF_PROBE_MESSAGE) {
        s->answered = true;
        later(s, 0);
    } else if (event->kind == HF_PROBE_END) {
        ended(s, probe);
    }
}

static void on_timer(struct hf_timer *timer, hf_time now)
{
    struct hf_sizes *s = HF_CONTAINER(timer, struct hf_sizes, timer);
    struct hf_diagnosis *d = s->d;
    struct hf_probe_how how = hf_diagnosis_probe_how(d, d->how.target);
    if (s->probe != NULL) {
        step(s);
        return;
    }
    if (d->live >= d->open_max) {
        later(s, HF_MS(400));
        return;
    }
    how.plan = arms[s->in_fragments].plan;
    how.arm = arms[s->in_fragments].name;
    s->probe = hf_probe_start(d->loop, &how, on_probe, s);
    d->live += s->probe != NULL;
}

void hf_sizes_begin(struct hf_diagnosis *d)
{
    const uint32_t only = d->how.plan.only;
    if (!d->how.plan.load || d->sizes != NULL ||
        (only != 0 && (only >> HF_EXPERIMENT_SIZE & 1) == 0)) {
        return;
    }
    struct hf_sizes *s = d->sizes = hf_alloc_zero(&hf_heap, sizeof(*s));
    if (s == NULL) {
        return;
    }
    s->d = d;
    hf_timer_init(&s->timer, on_timer);
    hf_ramp_init(&s->ramp, d->how.text.len > 0 ? d->how.text.len : 15, HF_RAMP_LAST);
    later(s, d->how.plan.budget / 50);
}

bool hf_sizes_is_searching(const struct hf_diagnosis *d)
{
    return d->sizes != NULL && !d->sizes->in_fragments && d->sizes->ramp.size != 0;
}

/* What it found so far stays; its connection is kept as it is. */
void hf_sizes_free(struct hf_diagnosis *d)
{
    struct hf_sizes *s = d->sizes;
    if (s == NULL) {
        return;
    }
    hf_timer_stop(d->loop, &s->timer);
    if (s->probe != NULL) {
        if (hf_probe_trial(s->probe)->opened != 0) {
            hf_diagnosis_keep(d, hf_probe_trial(s->probe), &arms[s->in_fragments], s->in_fragments);
        }
        hf_probe_free(s->probe);
        d->live--;
    }
    d->sizes = NULL;
    hf_release(&hf_heap, s);
}
