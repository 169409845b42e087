/* SPDX-License-Identifier: Apache-2.0 */
/* Peaks of endings over age, clock, counts and bytes: a scan statistic against a smooth background.
 *
 * Along each axis windows of several widths are laid at every ending. What is expected in one comes
 * from its flanks, by exposure: over age (and counts) the time that connections spent there, the
 * living ones too, so that the hazard is compared and not the number; over the clock its length.
 * The window that the background explains worst is a peak; its endings are taken away, and the
 * search goes on with the rest, so that an ending belongs to the peak that explains it best.
 *
 * A peak of one axis is often the shadow of another: connections that began together and meet a
 * timer also end at one instant; a beat of every 10 s and a timer of 60 s also end at six messages.
 * A clock peak or a count peak is therefore only believed when the ages in it are mixed. */
#include "cause/survival.h"

#include "cause/survival_store.h"

#include <math.h>
#include <string.h>

#define AXES 6
#define PEAK_STRENGTH 3.0 /* one in a thousand, over all windows of an axis */
#define PEAK_ENDINGS 3    /* fewer are no peak */
#define PEAK_SHARE 0.003  /* nor is a smaller part of all endings */

struct spot {
    double value;   /* on the axis: seconds, counts, bytes */
    uint32_t index; /* of the lifetime */
};

struct axis {
    enum hf_peak_kind kind;
    struct spot *ended; /* those not yet explained, in order */
    size_t ended_count;
    double *reach;  /* how far each lifetime came, in order: exposure; NULL: the clock */
    double *before; /* sums of reach in front of each */
    size_t reach_count;
    double begin, end; /* endings can lie between */
    double grain;      /* values are multiples of this */
};

struct scan {
    const struct hf_survival *s;
    struct axis axes[AXES];
    bool *explained; /* by index of the lifetime */
    bool restarts;   /* a clock peak with mixed ages was found: more of them are believed */
};

struct window {
    double strength;
    double expected;
    size_t first, count; /* in ended */
};

static bool value_of(const struct hf_lifetime *l, enum hf_peak_kind kind, hf_time epoch,
                     double *value)
{
    int64_t count = 0;

    switch (kind) {
    case HF_PEAK_AGE:
        *value = (double)l->age / 1e6;
        return true;
    case HF_PEAK_CLOCK:
        *value = (double)(l->ended - epoch) / 1e6;
        return true;
    case HF_PEAK_UP:
        count = l->messages_up;
        break;
    case HF_PEAK_DOWN:
        count = l->messages_down;
        break;
    case HF_PEAK_BYTES_UP:
        count = l->bytes_up;
        break;
    case HF_PEAK_BYTES_DOWN:
        count = l->bytes_down;
        break;
    }
    *value = (double)count;
    return count >= 0;
}

static void sink_spot(struct spot *heap, size_t at, size_t count)
{
    struct spot moved = heap[at];

    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1].value > heap[child].value) {
            child++;
        }
        if (!(heap[child].value > moved.value)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

static void sort_spots(struct spot *spots, size_t count)
{
    for (size_t i = count / 2; i-- > 0;) {
        sink_spot(spots, i, count);
    }
    for (size_t end = count; end-- > 1;) {
        struct spot first = spots[0];
        spots[0] = spots[end];
        spots[end] = first;
        sink_spot(spots, 0, end);
    }
}

/* The coarsest grain that nearly all values are multiples of: logs often know whole seconds. */
static double grain_of(const struct spot *spots, size_t count)
{
    static const double grains[] = {1, 0.1, 0.01, 0.001};

    for (size_t g = 0; g < sizeof(grains) / sizeof(grains[0]); g++) {
        size_t fits = 0;
        for (size_t i = 0; i < count; i++) {
            double parts = spots[i].value / grains[g];
            fits += fabs(parts - floor(parts + 0.5)) * grains[g] < 1.5e-6 ? 1 : 0;
        }
        if (count >= 8 && (double)fits >= 0.95 * (double)count) {
            return grains[g];
        }
    }
    return 0;
}

static bool is_counted(enum hf_peak_kind kind)
{
    return kind >= HF_PEAK_UP;
}

/* Sums of reach, from its sorted values that lie in `spots`. */
static void lay_exposure(struct axis *a, const struct spot *spots, size_t count)
{
    double sum = 0;

    a->reach_count = count;
    for (size_t i = 0; i < count; i++) {
        a->reach[i] = spots[i].value + (is_counted(a->kind) ? 1 : 0);
        a->before[i] = sum;
        sum += a->reach[i];
    }
    a->before[count] = sum;
}

/* How much was spent by all below x: the sum of min(reach, x). */
static double spent_below(const struct axis *a, double x)
{
    size_t low = 0, high = a->reach_count;

    if (x <= 0) {
        return 0;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (a->reach[middle] <= x) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return a->before[low] + x * (double)(a->reach_count - low);
}

static double exposure(const struct axis *a, double from, double to)
{
    if (a->reach == NULL) {
        from = from < a->begin ? a->begin : from;
        to = to > a->end ? a->end : to;
        return to > from ? to - from : 0;
    }
    return to > from ? spent_below(a, to) - spent_below(a, from) : 0;
}

static bool axis_fill(struct axis *a, struct scan *scan, enum hf_peak_kind kind)
{
    const struct hf_survival *s = scan->s;
    hf_time epoch = s->kept[0].ended;
    size_t all = 0;

    a->kind = kind;
    a->ended = hf_alloc_zero(s->alloc, s->count * sizeof(*a->ended));
    if (kind != HF_PEAK_CLOCK) {
        a->reach = hf_alloc_zero(s->alloc, s->count * sizeof(*a->reach));
        a->before = hf_alloc_zero(s->alloc, (s->count + 1) * sizeof(*a->before));
    }
    if (a->ended == NULL || (kind != HF_PEAK_CLOCK && (a->reach == NULL || a->before == NULL))) {
        return false;
    }
    for (size_t i = 0; i < s->count; i++) {
        double value = 0;
        if (value_of(&s->kept[i], kind, epoch, &value)) {
            a->ended[all++] = (struct spot){value, (uint32_t)i};
            double born = value - (double)s->kept[i].age / 1e6;
            a->begin = all == 1 || born < a->begin ? born : a->begin;
            a->end = all == 1 || value > a->end ? value : a->end;
        }
    }
    if (kind == HF_PEAK_CLOCK && s->has_from && a->begin < (double)(s->from - epoch) / 1e6) {
        a->begin = (double)(s->from - epoch) / 1e6;
    }
    sort_spots(a->ended, all);
    if (a->reach != NULL) {
        lay_exposure(a, a->ended, all);
    }
    for (size_t i = 0; i < all; i++) {
        const struct hf_lifetime *l = &s->kept[a->ended[i].index];
        if (!l->censored && !(is_counted(kind) && a->ended[i].value < 3)) {
            a->ended[a->ended_count++] = a->ended[i];
        }
    }
    if (kind != HF_PEAK_CLOCK) { /* where endings are looked at, and how far anybody came */
        a->begin = is_counted(kind) ? 2.5 : 0;
        a->end = all == 0 ? 0 : a->reach[all - 1];
    }
    a->grain = is_counted(kind) ? 1 : grain_of(a->ended, a->ended_count);
    return true;
}

static void axis_drop(struct axis *a, const struct hf_allocator *alloc)
{
    hf_release(alloc, a->ended);
    hf_release(alloc, a->reach);
    hf_release(alloc, a->before);
}

/* Takes what is explained out of the axis. */
static void axis_thin(struct axis *a, const bool *explained)
{
    size_t left = 0;

    for (size_t i = 0; i < a->ended_count; i++) {
        if (!explained[a->ended[i].index]) {
            a->ended[left++] = a->ended[i];
        }
    }
    a->ended_count = left;
}

#define WIDTHS 8
static double width_at(const struct axis *a, double value, size_t which)
{
    static const double parts[WIDTHS] = {0.001, 0.003, 0.01, 0.02, 0.04, 0.08, 0.16, 0.25};
    static const double seconds[WIDTHS] = {0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8};
    static const double counts[WIDTHS] = {0, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.05};
    double width;

    if (is_counted(a->kind)) {
        return floor(counts[which] * value) + 1;
    }
    width = a->kind == HF_PEAK_CLOCK ? seconds[which] : parts[which] * value;
    width = width < 0.02 ? 0.02 : width;
    if (a->grain > 0) { /* whole grains, so that window and flank hold as many as their length */
        width = (floor(width / a->grain) + 1) * a->grain;
    }
    return width;
}

/* How unlikely the background alone is to put `count` where it puts `expected` (Chernoff), as a
 * power of ten. */
static double unlikely(double count, double expected)
{
    return count <= expected ? 0 : (count * log(count / expected) - (count - expected)) / log(10);
}

/* A window with its flanks: [edge 1, edge 2) between edge 0 and edge 3, and what ended in each. */
struct view {
    double edge[4];
    size_t left, count, right;
};

/* What the denser flank lets one expect: a crowd's last ones are no peak. */
static double expected_by_number(const struct axis *a, const struct view *v)
{
    double first = v->edge[0] < a->begin ? a->begin : v->edge[0];
    double last = v->edge[3] > a->end ? a->end : v->edge[3];
    double width = v->edge[2] - v->edge[1], dense = 1e-6;

    if (v->edge[1] - first >= width) {
        dense = ((double)v->left + 0.5) * width / (v->edge[1] - first);
    }
    if (last - v->edge[2] >= width &&
        dense < ((double)v->right + 0.5) * width / (last - v->edge[2])) {
        dense = ((double)v->right + 0.5) * width / (last - v->edge[2]);
    }
    return dense;
}

/* What both flanks let one expect by exposure: the same hazard all along is no peak. */
static double expected_by_hazard(const struct axis *a, const struct view *v)
{
    double first = v->edge[0] < a->begin ? a->begin : v->edge[0];
    double outside = exposure(a, first, v->edge[1]) + exposure(a, v->edge[2], v->edge[3]);

    return outside <= 0
               ? INFINITY
               : ((double)(v->left + v->right) + 1) * exposure(a, v->edge[1], v->edge[2]) / outside;
}

static void judge_window(const struct axis *a, const struct view *v, size_t first, double tried,
                         struct window *best)
{
    double expected = expected_by_number(a, v), hazard;

    if (unlikely((double)v->count, expected) - log10(tried) <= best->strength) {
        return;
    }
    hazard = expected_by_hazard(a, v);
    expected = hazard > expected ? hazard : expected;
    hazard = unlikely((double)v->count, expected) - log10(tried);
    if (hazard > best->strength) {
        *best = (struct window){hazard, expected, first, v->count};
    }
}

/* The strongest window of one width. Windows and flanks move to the right together. */
static void scan_width(const struct axis *a, size_t which, double tried, struct window *best)
{
    size_t after = 0, left = 0, right = 0;
    double half = a->grain / 2;

    for (size_t i = 0; i < a->ended_count; i++) {
        double from = a->ended[i].value - half;
        double width, flank;
        if (i > 0 && a->ended[i].value <= a->ended[i - 1].value) {
            continue;
        }
        width = width_at(a, a->ended[i].value, which);
        flank = a->kind == HF_PEAK_CLOCK ? 20 * width : 0.25 * from;
        flank = flank < 4 * width ? 4 * width : flank;
        after = after < i ? i : after;
        while (after < a->ended_count && a->ended[after].value < from + width) {
            after++;
        }
        right = right < after ? after : right;
        while (right < a->ended_count && a->ended[right].value < from + width + flank) {
            right++;
        }
        while (left < i && a->ended[left].value < from - flank) {
            left++;
        }
        if (after - i >= PEAK_ENDINGS) {
            struct view v = {{from - flank, from, from + width, from + width + flank},
                             i - left,
                             after - i,
                             right - after};
            judge_window(a, &v, i, tried, best);
        }
    }
}

static struct window axis_best(const struct axis *a)
{
    struct window best = {0};
    double tried = (double)(a->ended_count == 0 ? 1 : a->ended_count) * WIDTHS;

    for (size_t which = 0; which < WIDTHS; which++) {
        scan_width(a, which, tried, &best);
    }
    return best;
}

/* At least two of five in the window are of another age than its median's. */
static bool ages_are_mixed(const struct scan *scan, const struct axis *a, const struct window *w,
                           struct spot *scratch)
{
    size_t other = 0;
    double median;

    for (size_t i = 0; i < w->count; i++) {
        uint32_t index = a->ended[w->first + i].index;
        scratch[i] = (struct spot){(double)scan->s->kept[index].age / 1e6, index};
    }
    sort_spots(scratch, w->count);
    median = scratch[w->count / 2].value;
    for (size_t i = 0; i < w->count; i++) {
        other += fabs(scratch[i].value - median) > 0.05 * median + 0.05 ? 1 : 0;
    }
    return (double)other >= 0.4 * (double)w->count;
}

/* Most endings of this window over age came in bunches of the clock. */
static bool comes_in_bunches(const struct scan *scan, const struct axis *a, const struct window *w,
                             struct spot *scratch)
{
    size_t bunched = 0;

    for (size_t i = 0; i < w->count; i++) {
        uint32_t index = a->ended[w->first + i].index;
        scratch[i] = (struct spot){
            (double)(scan->s->kept[index].ended - scan->s->kept[0].ended) / 1e6, index};
    }
    sort_spots(scratch, w->count);
    for (size_t i = 0; i < w->count;) {
        size_t next = i + 1;
        while (next < w->count && scratch[next].value - scratch[next - 1].value < 0.5) {
            next++;
        }
        bunched += next - i >= PEAK_ENDINGS ? next - i : 0;
        i = next;
    }
    return (double)bunched >= 0.8 * (double)w->count;
}

static bool is_believed(struct scan *scan, const struct axis *a, const struct window *w,
                        struct spot *scratch)
{
    if (a->kind == HF_PEAK_AGE) {
        return !scan->restarts || !comes_in_bunches(scan, a, w, scratch);
    }
    if (ages_are_mixed(scan, a, w, scratch)) {
        return true;
    }
    return a->kind == HF_PEAK_CLOCK && scan->restarts;
}

static void peak_of(const struct scan *scan, const struct axis *a, const struct window *w,
                    struct hf_peak *peak)
{
    double scale = (double)scan->s->total / (double)scan->s->count;
    double epoch = a->kind == HF_PEAK_CLOCK ? (double)scan->s->kept[0].ended / 1e6 : 0;

    peak->kind = a->kind;
    peak->at = a->ended[w->first + w->count / 2].value + epoch;
    peak->low = a->ended[w->first].value + epoch;
    peak->high = a->ended[w->first + w->count - 1].value + epoch;
    peak->count = (uint64_t)((double)w->count * scale + 0.5);
    peak->expected = w->expected * scale;
    peak->share = scan->s->ended == 0 ? 0 : (double)w->count * scale / (double)scan->s->ended;
    peak->share = peak->share > 1 ? 1 : peak->share;
    peak->strength = w->strength;
}

/* A rest of a peak beside it is the same peak: true when it was added to it. */
static bool joins(struct hf_peak *peaks, size_t count, const struct hf_peak *rest)
{
    for (size_t i = 0; i < count; i++) {
        struct hf_peak *p = &peaks[i];
        double room = p->kind == HF_PEAK_CLOCK ? 3 : 0.04 * p->at;
        if (p->kind != rest->kind || rest->low > p->high + room || rest->high < p->low - room) {
            continue;
        }
        p->low = rest->low < p->low ? rest->low : p->low;
        p->high = rest->high > p->high ? rest->high : p->high;
        p->count += rest->count;
        p->expected += rest->expected;
        p->share = p->share + rest->share > 1 ? 1 : p->share + rest->share;
        return true;
    }
    return false;
}

/* Whether mixed ages end at one instant anywhere. Both scratches have room for all. */
static bool finds_restart(struct scan *scan, struct spot *scratch, struct spot *saved)
{
    struct axis *a = &scan->axes[HF_PEAK_CLOCK];
    size_t count = a->ended_count;
    bool found = false;

    memcpy(saved, a->ended, count * sizeof(*saved));
    for (unsigned round = 0; round < HF_SURVIVAL_PEAKS && !found; round++) {
        struct window w = axis_best(a);
        if (w.strength < PEAK_STRENGTH) {
            break;
        }
        found = ages_are_mixed(scan, a, &w, scratch);
        memmove(&a->ended[w.first], &a->ended[w.first + w.count],
                (a->ended_count - w.first - w.count) * sizeof(*a->ended));
        a->ended_count -= w.count;
    }
    memcpy(a->ended, saved, count * sizeof(*saved));
    a->ended_count = count;
    return found;
}

/* The strongest window that is believed, over all axes. NULL when none is left. */
static const struct axis *strongest(struct scan *scan, struct spot *scratch, struct window *w)
{
    /* What an age explains nearly as well, the age explains. */
    static const double trust[AXES] = {1, 0.95, 0.9, 0.85, 0.7, 0.7};
    const struct axis *best = NULL;
    double least =
        PEAK_SHARE * (double)scan->s->count * (double)scan->s->ended / (double)scan->s->total;

    for (size_t i = 0; i < AXES; i++) {
        struct axis *a = &scan->axes[i];
        struct window here = axis_best(a);
        if (here.strength < PEAK_STRENGTH || (double)here.count < least ||
            (best != NULL && here.strength * trust[i] <= w->strength) ||
            !is_believed(scan, a, &here, scratch)) {
            continue;
        }
        best = a;
        *w = here;
    }
    return best;
}

static size_t find_peaks(struct scan *scan, struct spot *scratch, struct hf_peak *peaks, size_t max)
{
    size_t count = 0;

    for (unsigned round = 0; round < 3 * HF_SURVIVAL_PEAKS && count < max; round++) {
        struct window w = {0};
        struct hf_peak peak;
        const struct axis *a = strongest(scan, scratch, &w);
        if (a == NULL) {
            break;
        }
        peak_of(scan, a, &w, &peak);
        if (!joins(peaks, count, &peak)) {
            peaks[count++] = peak;
        }
        for (size_t i = 0; i < w.count; i++) {
            scan->explained[a->ended[w.first + i].index] = true;
        }
        for (size_t i = 0; i < AXES; i++) {
            axis_thin(&scan->axes[i], scan->explained);
        }
    }
    return count;
}

static void sort_peaks(struct hf_peak *peaks, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct hf_peak moved = peaks[i];
        size_t at = i;
        for (; at > 0 && peaks[at - 1].strength < moved.strength; at--) {
            peaks[at] = peaks[at - 1];
        }
        peaks[at] = moved;
    }
}

size_t hf_survival_peaks(struct hf_survival *s, struct hf_peak *peaks, size_t max)
{
    struct scan scan = {.s = s};
    struct spot *scratch;
    size_t count = 0;
    bool ready;

    if (s->count == 0 || s->ended == 0) {
        return 0;
    }
    hf_survival_sort(s);
    scratch = hf_alloc_zero(s->alloc, 2 * s->count * sizeof(*scratch));
    scan.explained = hf_alloc_zero(s->alloc, s->count * sizeof(*scan.explained));
    ready = scratch != NULL && scan.explained != NULL;
    for (unsigned kind = 0; kind < AXES && ready; kind++) {
        ready = axis_fill(&scan.axes[kind], &scan, (enum hf_peak_kind)kind);
    }
    if (ready) {
        scan.restarts = finds_restart(&scan, scratch, scratch + s->count);
        count =
            find_peaks(&scan, scratch, peaks, max < HF_SURVIVAL_PEAKS ? max : HF_SURVIVAL_PEAKS);
        sort_peaks(peaks, count);
    }
    for (unsigned kind = 0; kind < AXES; kind++) {
        axis_drop(&scan.axes[kind], s->alloc);
    }
    hf_release(s->alloc, scan.explained);
    hf_release(s->alloc, scratch);
    return count;
}

double hf_survival_period(const struct hf_peak *peaks, size_t count)
{
    double at[HF_SURVIVAL_PEAKS], sum = 0;
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        size_t place = found;
        if (peaks[i].kind != HF_PEAK_CLOCK || found == HF_SURVIVAL_PEAKS) {
            continue;
        }
        for (; place > 0 && at[place - 1] > peaks[i].at; place--) {
            at[place] = at[place - 1];
        }
        at[place] = peaks[i].at;
        found++;
    }
    if (found < 3) {
        return 0;
    }
    sum = (at[found - 1] - at[0]) / (double)(found - 1);
    for (size_t i = 1; i < found; i++) {
        if (fabs(at[i] - at[i - 1] - sum) > 0.05 * sum + 0.5) {
            return 0;
        }
    }
    return sum;
}
