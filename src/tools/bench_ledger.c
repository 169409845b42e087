/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast bench: the ledger of what ended. */
#include "tools/bench.h"

#include <stdlib.h>

bool bench_ledger_init(struct bench_ledger *l)
{
    pthread_mutex_init(&l->lock, NULL);
    l->survival = hf_survival_new(&hf_heap, 1);
    return l->survival != NULL;
}

void bench_ledger_fini(struct bench_ledger *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->drops[i].ages);
    }
    hf_survival_free(l->survival);
    pthread_mutex_destroy(&l->lock);
}

static struct bench_drop *find(struct bench_ledger *l, const struct hf_trial_end *e)
{
    for (size_t i = 0; i < l->count; i++) {
        struct bench_drop *d = &l->drops[i];
        if (d->how == e->how && d->phase == e->phase && d->code == e->code && d->http == e->http &&
            d->error == e->error && strncmp(d->reason, e->reason, sizeof(d->reason) - 1) == 0) {
            return d;
        }
    }
    return NULL;
}

static struct bench_drop *make(struct bench_ledger *l, const struct hf_trial *t,
                               const struct hf_infer_context *context)
{
    const struct hf_trial_end *e = &t->end;
    struct hf_histogram *ages = l->count < BENCH_DROPS ? calloc(1, sizeof(*ages)) : NULL;
    if (ages == NULL) {
        return NULL;
    }
    struct bench_drop *d = &l->drops[l->count++];
    *d = (struct bench_drop){.how = e->how,
                             .phase = e->phase,
                             .code = e->code,
                             .http = e->http,
                             .error = e->error,
                             .who = hf_trial_who(t, context),
                             .cause = hf_trial_cause(t, context),
                             .ages = ages};
    (void)snprintf(d->reason, sizeof(d->reason), "%.*s", (int)sizeof(d->reason) - 1, e->reason);
    return d;
}

void bench_ledger_add(struct bench_ledger *l, const struct hf_trial *t,
                      const struct hf_infer_context *context)
{
    const bool dead = hf_trial_is_dead(t), was_open = hf_trial_was_open(t);
    pthread_mutex_lock(&l->lock);
    if (was_open) {
        const struct hf_lifetime life = {
            .age = t->end.age,
            .ended = t->opened + t->end.age,
            .messages_up = (int64_t)t->count[HF_MOMENT_SENT],
            .messages_down = (int64_t)t->count[HF_MOMENT_GOT],
            .bytes_up = (int64_t)t->bytes_sent,
            .bytes_down = (int64_t)t->bytes_got,
            .censored = !dead,
        };
        l->untold += hf_survival_add(l->survival, &life) != HF_OK;
    }
    if (dead) {
        struct bench_drop *d = find(l, &t->end);
        d = d == NULL ? make(l, t, context) : d;
        if (d == NULL) {
            l->others++;
        } else {
            d->count++;
            hf_histogram_add_many(d->ages, t->end.age, was_open);
        }
    }
    pthread_mutex_unlock(&l->lock);
}
