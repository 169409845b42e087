/* SPDX-License-Identifier: Apache-2.0 */
/* The timeline of holdfast diagnose in a terminal: a row for each arm, drawn again in its place;
 * its connections as lines, their deaths as crosses. */
#include "tools/diagnose.h"

#define NAME_COLUMNS 18
#define COLUMNS_MAX 400

enum cell { CELL_NOTHING, CELL_LIFE, CELL_OURS, CELL_DEATH };

static const char *const shapes[2][4] = {{" ", "-", "|", "x"}, {" ", "─", "╴", "✕"}};

/* How many seconds the width stands for: the next of budget/16, /8 ... that holds what has passed.
 */
static hf_time horizon(const struct diagnose *d, hf_time now)
{
    hf_time span = d->how.plan.budget;
    while (span / 2 > now && span > HF_SECONDS(10)) {
        span /= 2;
    }
    return span;
}

static size_t column(hf_time at, hf_time span, size_t columns)
{
    const size_t c = (size_t)((double)(at > 0 ? at : 0) / (double)span * (double)columns);
    return c < columns ? c : columns - 1;
}

static void put(uint8_t *cells, const struct hf_trial *t, hf_time span, size_t columns)
{
    const size_t from = column(t->opened, span, columns);
    const size_t to = column(t->opened + t->end.age, span, columns);
    for (size_t c = from; c <= to; c++) {
        cells[c] = cells[c] < CELL_LIFE ? CELL_LIFE : cells[c];
    }
    if (hf_trial_is_dead(t)) {
        cells[to] = CELL_DEATH;
    } else if (t->end.how == HF_HOW_ENDED_BY_US && cells[to] < CELL_OURS) {
        cells[to] = CELL_OURS;
    }
}

static void row(struct diagnose *d, const struct hf_arm *arm, const struct hf_trial *trials,
                size_t count, hf_time span, size_t columns, struct hf_buffer *out)
{
    uint8_t cells[COLUMNS_MAX] = {0}, last = CELL_NOTHING;
    size_t died = 0;
    hf_time oldest = 0;
    for (size_t i = 0; i < count; i++) {
        if (hf_diagnosis_arm_of(d->diagnosis, &trials[i]) == arm && hf_trial_was_open(&trials[i])) {
            put(cells, &trials[i], span, columns);
            died += hf_trial_is_dead(&trials[i]);
            if (trials[i].end.how == HF_HOW_ALIVE && trials[i].end.age > oldest) {
                oldest = trials[i].end.age;
            }
        }
    }
    hf_buffer_addf(out, "%-*.*s ", NAME_COLUMNS, NAME_COLUMNS, arm->name);
    for (size_t c = 0; c < columns; c++) {
        if (cells[c] != last) {
            hf_buffer_add_text(out,
                               hf_say_live_paint(&d->say, cells[c] == CELL_DEATH  ? HF_PAINT_RED
                                                          : cells[c] == CELL_LIFE ? HF_PAINT_GREEN
                                                                                  : HF_PAINT_GREY));
            last = cells[c];
        }
        hf_buffer_add_text(out, shapes[d->is_utf8][cells[c]]);
    }
    hf_buffer_addf(out, "%s ", hf_say_live_paint(&d->say, HF_PAINT_PLAIN));
    if (oldest > 0) {
        hf_buffer_addf(out, "%6.1f s", (double)oldest / 1e6);
    } else {
        hf_buffer_add_text(out, "       -");
    }
    if (died > 0) {
        hf_buffer_addf(out, " %zu died", died);
    }
    hf_buffer_add_text(out, "\n");
}

static void head(struct diagnose *d, hf_time now, hf_time span, struct hf_buffer *out)
{
    const struct hf_verdict *v = hf_diagnosis_verdict(d->diagnosis);
    hf_buffer_addf(out, "%s%.0f s of at most %.0f s%s; the rows show %.0f s. ",
                   hf_say_live_paint(&d->say, HF_PAINT_BOLD), (double)now / 1e6,
                   (double)d->how.plan.budget / 1e6, hf_say_live_paint(&d->say, HF_PAINT_PLAIN),
                   (double)span / 1e6);
    if (v->candidate_count > 0) {
        const struct hf_candidate *c = &v->candidates[0];
        hf_buffer_addf(out, "So far: %s", hf_verdict_class_text(c->class));
        if (c->value > 0 && hf_verdict_unit(c->class)[0] != '\0') {
            hf_buffer_addf(out, " %.4g %s", c->value, hf_verdict_unit(c->class));
        }
        hf_buffer_addf(out, " (%.0f %%)", c->posterior * 100);
    }
    hf_buffer_add_text(out, "\n");
}

void diagnose_draw(struct diagnose *d)
{
    const struct hf_plan *plan = hf_diagnosis_plan(d->diagnosis);
    const hf_time now = hf_diagnosis_now(d->diagnosis), span = horizon(d, now);
    unsigned columns, rows;
    size_t count, width, shown = 0;
    struct hf_buffer out;
    if (!d->say.live || d->quiet || hf_diagnosis_is_done(d->diagnosis)) {
        return;
    }
    const struct hf_trial *trials = hf_diagnosis_trials(d->diagnosis, &count);
    hf_say_size(&columns, &rows);
    width = columns > NAME_COLUMNS + 40 ? columns - NAME_COLUMNS - 20 : 20;
    width = width < COLUMNS_MAX ? width : COLUMNS_MAX;
    hf_buffer_init(&out, &hf_heap, (size_t)1 << 20);
    head(d, now, span, &out);
    for (size_t i = 0; i < plan->count && shown + 4 < rows; i++) {
        if (plan->arms[i].start <= now && !plan->arms[i].on_stall) {
            row(d, &plan->arms[i], trials, count, span, width, &out);
            shown++;
        }
    }
    if (plan->count > shown && shown + 4 >= rows) {
        hf_buffer_addf(&out, "and %zu arms that have no room here\n", plan->count - shown);
    }
    hf_say_draw(&d->say, hf_buffer_slice(&out));
    hf_buffer_reset(&out);
}
