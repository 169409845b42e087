/* SPDX-License-Identifier: Apache-2.0 */
/* Lifetimes kept in a reservoir, and the curve, the quantiles and the hazard that follow from them.
 * The peaks are in peaks.c. */
#include "cause/survival.h"

#include "cause/survival_store.h"

#include <math.h>

struct hf_survival *hf_survival_new(const struct hf_allocator *alloc, uint64_t seed)
{
    struct hf_survival *s = hf_alloc_zero(alloc, sizeof(*s));

    if (s != NULL) {
        s->alloc = alloc;
        hf_random_init(&s->random, seed);
        s->sorted = true;
    }
    return s;
}

void hf_survival_free(struct hf_survival *s)
{
    if (s != NULL) {
        hf_release(s->alloc, s->kept);
        hf_release(s->alloc, s);
    }
}

static enum hf_status make_room(struct hf_survival *s)
{
    size_t cap = s->cap == 0 ? 64 : s->cap * 2;
    struct hf_lifetime *kept;

    if (s->count < s->cap) {
        return HF_OK;
    }
    kept = s->alloc->resize(s->alloc->context, s->kept, cap * sizeof(*kept));
    if (kept == NULL) {
        return HF_NO_MEMORY;
    }
    s->kept = kept;
    s->cap = cap;
    return HF_OK;
}

enum hf_status hf_survival_add(struct hf_survival *s, const struct hf_lifetime *l)
{
    size_t at = s->count;

    if (s->count < HF_SURVIVAL_MAX) {
        enum hf_status status = make_room(s);
        if (status != HF_OK) {
            return status;
        }
        s->count++;
    } else { /* each of all lifetimes so far stays with the same likelihood */
        at = (size_t)hf_random_below(&s->random, s->total + 1);
    }
    s->total++;
    s->ended += l->censored ? 0 : 1;
    if (at < s->count) {
        s->kept[at] = *l;
        if (s->kept[at].age < 0) {
            s->kept[at].age = 0;
        }
        s->sorted = false;
    }
    return HF_OK;
}

void hf_survival_seen_from(struct hf_survival *s, hf_time from)
{
    s->has_from = true;
    s->from = from;
}

uint64_t hf_survival_total(const struct hf_survival *s)
{
    return s->total;
}

uint64_t hf_survival_ended(const struct hf_survival *s)
{
    return s->ended;
}

/* Endings before censored ones of the same age: who was last seen at an age was at risk there. */
static bool is_later(const struct hf_lifetime *a, const struct hf_lifetime *b)
{
    return a->age != b->age ? a->age > b->age : a->censored && !b->censored;
}

static void sink(struct hf_lifetime *heap, size_t at, size_t count)
{
    struct hf_lifetime moved = heap[at];

    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && is_later(&heap[child + 1], &heap[child])) {
            child++;
        }
        if (!is_later(&heap[child], &moved)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

void hf_survival_sort(struct hf_survival *s)
{
    if (s->sorted) {
        return;
    }
    for (size_t i = s->count / 2; i-- > 0;) {
        sink(s->kept, i, s->count);
    }
    for (size_t end = s->count; end-- > 1;) {
        struct hf_lifetime first = s->kept[0];
        s->kept[0] = s->kept[end];
        s->kept[end] = first;
        sink(s->kept, 0, end);
    }
    s->sorted = true;
}

/* A walk over the distinct ages of endings, and the estimate of Kaplan and Meier on the way. */
struct walk {
    const struct hf_lifetime *kept;
    size_t count, at;
    hf_time age;      /* of the step just taken */
    size_t at_risk;   /* at that age */
    double alive;     /* behind the step */
    double greenwood; /* the sum of d / (n (n - d)) */
};

static struct walk walk_begin(struct hf_survival *s)
{
    hf_survival_sort(s);
    return (struct walk){.kept = s->kept, .count = s->count, .alive = 1};
}

static bool walk_next(struct walk *w)
{
    size_t dead = 0;

    while (w->at < w->count && w->kept[w->at].censored) {
        w->at++;
    }
    if (w->at == w->count) {
        return false;
    }
    w->age = w->kept[w->at].age;
    w->at_risk = w->count - w->at;
    while (w->at < w->count && !w->kept[w->at].censored && w->kept[w->at].age == w->age) {
        w->at++;
        dead++;
    }
    w->alive *= 1 - (double)dead / (double)w->at_risk;
    if (dead < w->at_risk) {
        w->greenwood += (double)dead / ((double)w->at_risk * (double)(w->at_risk - dead));
    } else {
        w->alive = 0;
    }
    return true;
}

static struct hf_survival_point point_of(const struct hf_survival *s, const struct walk *w)
{
    double scale = s->count == 0 ? 1 : (double)s->total / (double)s->count;
    struct hf_survival_point p = {
        .age = w->age, .alive = w->alive, .low = w->alive, .high = w->alive};

    p.at_risk = (uint64_t)((double)w->at_risk * scale + 0.5);
    if (w->alive > 0 && w->alive < 1) {
        double theta = 1.959964 * sqrt(w->greenwood) / log(w->alive);
        p.low = pow(w->alive, exp(-theta));
        p.high = pow(w->alive, exp(theta));
    } else if (w->alive <= 0) { /* the last one died: of n, at most 1 - 0.05^(1/n) would live */
        p.high = 1 - pow(0.05, 1 / (double)(w->at_risk == 0 ? 1 : w->at_risk));
    }
    return p;
}

size_t hf_survival_curve(struct hf_survival *s, struct hf_survival_point *points, size_t max)
{
    struct walk w = walk_begin(s);
    double last_alive = 1, step;
    size_t count = 0, steps = 0;

    if (max < 2 || s->count == 0) {
        return 0;
    }
    while (walk_next(&w)) {
        steps++;
    }
    step = steps + 2 <= max ? 0 : (1 - w.alive) / (double)(max - 2);
    w = walk_begin(s);
    points[count++] = (struct hf_survival_point){0, 1, 1, 1, s->total};
    while (walk_next(&w)) {
        if (w.age == 0 && count == 1) {
            points[0] = point_of(s, &w);
            last_alive = w.alive;
        } else if (last_alive - w.alive >= step * (1 - 1e-9) && count + 1 < max) {
            points[count++] = point_of(s, &w);
            last_alive = w.alive;
        }
    }
    if (points[count - 1].age < s->kept[s->count - 1].age) {
        points[count] = point_of(s, &w);
        points[count].age = s->kept[s->count - 1].age;
        points[count].at_risk = 1;
        count++;
    }
    return count;
}

hf_time hf_survival_quantile(struct hf_survival *s, double q)
{
    struct walk w = walk_begin(s);

    while (walk_next(&w)) {
        if (w.alive <= q + 1e-12) {
            return w.age;
        }
    }
    return HF_NEVER;
}

double hf_survival_hazard(struct hf_survival *s, hf_time from, hf_time to)
{
    double ended = 0, seconds = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct hf_lifetime *l = &s->kept[i];
        if (l->age < from) {
            continue;
        }
        seconds += (double)((l->age < to ? l->age : to) - from) / 1e6;
        ended += !l->censored && l->age < to ? 1 : 0;
    }
    return seconds > 0 ? ended / seconds : 0;
}
