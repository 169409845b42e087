/* SPDX-License-Identifier: Apache-2.0 */
/* What a diagnosis notices beside its verdict: pongs that do not come, or come wrong, and messages
 * that are held back and delivered in bursts. */
#include "diagnose/run_inside.h"

static void notice_pongs(struct hf_diagnosis *d, const struct hf_trial *trials, size_t count)
{
    uint64_t pings = 0, pongs = 0, got = 0, odd = 0;
    for (size_t i = 0; i < count; i++) {
        const struct hf_trial *t = &trials[i];
        odd += t->count[HF_MOMENT_PONG_ODD];
        if (t->count[HF_MOMENT_PING_SENT] > 2) {
            pings += t->count[HF_MOMENT_PING_SENT];
            pongs += t->count[HF_MOMENT_PONG_GOT];
        }
        got += t->count[HF_MOMENT_GOT];
    }
    if (pings > 5 && pongs == 0) {
        hf_diagnosis_add_note(d,
                              "None of %llu pings was answered%s: the server, or a hop in front "
                              "of it, does not pass control frames.",
                              (unsigned long long)pings,
                              got > 0 ? ", though messages came back" : "");
    }
    if (odd > 0) {
        hf_diagnosis_add_note(d,
                              "%llu pongs came that answer no ping of ours, or with another "
                              "payload: a hop answers or rewrites control frames.",
                              (unsigned long long)odd);
    }
}

/* Several messages within 3 ms behind a silence, again and again, on a connection whose pings are
 * answered at once. */
static void notice_bursts(struct hf_diagnosis *d, const struct hf_trial *t)
{
    unsigned bursts = 0, alone = 0, run = 0;
    hf_time last = -1;
    for (size_t i = 0; i < t->moment_count; i++) {
        if (t->moments[i].kind != HF_MOMENT_GOT) {
            continue;
        }
        if (last >= 0 && t->moments[i].at - last < HF_MS(3)) {
            run++;
        } else {
            bursts += run >= 2;
            alone += run == 0 && last >= 0;
            run = 0;
        }
        last = t->moments[i].at;
    }
    if (bursts >= 4 && bursts > alone && t->count[HF_MOMENT_GOT] > t->count[HF_MOMENT_SENT] * 2) {
        hf_diagnosis_add_note(d, "Messages of the server came in bursts: it streams so, or a hop "
                                 "holds them back (proxy_buffering off; flush after each write).");
    }
}

static void notice_server_pings(struct hf_diagnosis *d, const struct hf_trial *trials, size_t count)
{
    uint64_t pings = 0;
    hf_time every = 0;
    for (size_t i = 0; i < count; i++) {
        hf_time last = -1;
        for (size_t k = 0; k < trials[i].moment_count; k++) {
            if (trials[i].moments[k].kind == HF_MOMENT_PING_GOT) {
                pings++;
                every = last >= 0 ? trials[i].moments[k].at - last : every;
                last = trials[i].moments[k].at;
            }
        }
    }
    if (pings > 0 && every > 0) {
        hf_diagnosis_add_note(d, "The server pings by itself, about every %.1f s.",
                              (double)every / 1e6);
    } else if (pings > 0) {
        hf_diagnosis_add_note(d, "The server pings by itself.");
    }
}

void hf_diagnosis_notice(struct hf_diagnosis *d)
{
    size_t count;
    const struct hf_trial *trials = hf_diagnosis_trials(d, &count);
    notice_pongs(d, trials, count);
    notice_server_pings(d, trials, count);
    for (size_t i = 0; i < count; i++) {
        notice_bursts(d, &trials[i]);
    }
}
