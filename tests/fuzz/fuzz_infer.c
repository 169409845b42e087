/* SPDX-License-Identifier: Apache-2.0 */
/* Inference from any trials at all, also from those that no watcher could have seen: it ends, its
 * numbers are finite and within their ranges, its texts are texts, and its record is one line. */
#include "cause/infer.h"
#include "fuzz.h"

#include <math.h>

#define TRIALS_MAX 60
#define MOMENTS_MAX 200

static hf_time take_time(struct hf_slice *rest)
{
    unsigned shift = take_byte(rest) % 26;
    return ((hf_time)take_byte(rest) << 8 | take_byte(rest)) << (shift / 2);
}

static void take_moments(struct hf_slice *rest, struct hf_trial *t)
{
    size_t count = take_byte(rest) % MOMENTS_MAX;
    struct hf_moment *moments = calloc(count + 1, sizeof(*moments));
    hf_time at = 0, step = take_time(rest);
    HF_ASSERT(moments != NULL);
    for (size_t i = 0; i < count; i++) {
        uint8_t byte = take_byte(rest);
        at += byte & 0x80 ? take_time(rest) : step;
        moments[i] = (struct hf_moment){at, (uint32_t)byte << (byte % 16), byte % HF_MOMENT_KINDS};
        t->count[moments[i].kind]++;
    }
    t->moments = moments;
    t->moment_count = count;
}

static void take_trial(struct hf_slice *rest, struct hf_trial *t)
{
    uint8_t flags = take_byte(rest);
    *t = (struct hf_trial){.arm = "any"};
    t->path = (flags & 7) == 7;
    t->begun = take_time(rest);
    t->opened = t->begun + (flags & 8 ? take_time(rest) : 1000);
    t->plan.ping_every = flags & 16 ? take_time(rest) : 0;
    t->plan.message_every = flags & 32 ? take_time(rest) : 0;
    t->plan.pong = (enum hf_pong_policy)(take_byte(rest) % 4);
    t->plan.stops_reading = (flags & 0xc0) == 0xc0;
    t->plan.load = (flags & 0xc0) == 0x80;
    t->plan.message_size = t->plan.load ? (uint32_t)take_time(rest) : 0;
    t->plan.keepalive = (flags & 0xc0) == 0x40 ? take_time(rest) : 0;
    t->end.how = (enum hf_trial_how)(take_byte(rest) % HF_HOW_KINDS);
    t->end.phase = take_byte(rest) % 8 == 0 ? HF_PHASE_UPGRADE : HF_PHASE_OPEN;
    t->end.age = take_time(rest);
    t->end.unsure = flags & 64 ? take_time(rest) : 0;
    t->end.code = (uint16_t)(1000 + take_byte(rest) % 16);
    t->end.retransmits = take_byte(rest) % 5;
    t->end.unacked = flags & 1;
    if (flags & 2) {
        memcpy(t->end.reason, "ping timeout", 13);
    }
    take_moments(rest, t);
}

static void check_candidate(const struct hf_verdict *v, const struct hf_candidate *c,
                            const struct hf_trial *trials, size_t count)
{
    HF_ASSERT(isfinite(c->value) && c->value >= 0);
    HF_ASSERT(isfinite(c->low) && isfinite(c->high));
    HF_ASSERT(c->posterior >= 0 && c->posterior <= 1.000001);
    for (size_t i = 0; i < count; i++) {
        (void)hf_candidate_predicts(c, &trials[i]);
    }
    (void)v;
}

static void check_verdict(const struct hf_verdict *v, const struct hf_trial *trials, size_t count)
{
    struct hf_buffer json;
    double sum = 0;
    HF_ASSERT(v->confidence >= 0 && v->confidence <= 1);
    HF_ASSERT(v->candidate_count <= HF_CLASSES && v->cause_count <= HF_INFER_CAUSES);
    check_candidate(v, &v->best, trials, count);
    for (size_t i = 0; i < v->candidate_count; i++) {
        check_candidate(v, &v->candidates[i], trials, count);
        sum += v->candidates[i].posterior;
    }
    HF_ASSERT(fabs(sum - 1) < 1e-6);
    for (size_t i = 0; i < v->line_count; i++) {
        HF_ASSERT(hf_verdict_text(v, v->lines[i].text)[0] != '\0');
    }
    HF_ASSERT(hf_verdict_text(v, v->sentence)[0] != '\0');
    hf_buffer_init(&json, &hf_heap, 1 << 20);
    hf_verdict_json(v, &json);
    HF_ASSERT(!json.failed && json.data[json.len - 1] == '}');
    HF_ASSERT(memchr(json.data, '\n', json.len) == NULL);
    HF_ASSERT(hf_slice_search(hf_buffer_slice(&json), HF_LITERAL("nan")) == json.len);
    hf_buffer_reset(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_slice rest = hf_slice(data, size);
    struct hf_infer_context context = {.load_allowed = true};
    struct hf_trial trials[TRIALS_MAX];
    struct hf_verdict v;
    size_t count = 0;

    context.scale = take_byte(&rest) & 1 ? 0.1 : 0;
    while (rest.len > 0 && count < TRIALS_MAX) {
        take_trial(&rest, &trials[count++]);
    }
    hf_verdict_init(&v, &hf_heap);
    HF_ASSERT(hf_infer(&v, trials, count, &context) == HF_OK);
    check_verdict(&v, trials, count);
    hf_verdict_fini(&v);
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)trials[i].moments);
    }
    return 0;
}
