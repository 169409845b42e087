/* SPDX-License-Identifier: Apache-2.0 */
/* What came of the demo: see demo_report.h. */
#include "tools/demo_report.h"

#include "tools/demo_draw.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- counting ------------------------------------------------------------ */

static int compare_times(const void *a, const void *b)
{
    hf_time x = *(const hf_time *)a;
    hf_time y = *(const hf_time *)b;
    return x < y ? -1 : x > y;
}

static void count_lives(struct demo_tally *t, struct demo_world *w, enum demo_side side)
{
    hf_time lives[DEMO_CLIENTS_MAX];
    unsigned count = w->options.clients;
    for (unsigned i = 0; i < count; i++) {
        lives[i] = demo_client_life(demo_world_client(w, side, i));
    }
    qsort(lives, count, sizeof(lives[0]), compare_times);
    t->life_min = lives[0];
    t->life_max = lives[count - 1];
    t->life_median = (lives[(count - 1) / 2] + lives[count / 2]) / 2;
}

static void count_side(struct demo_tally *t, struct demo_world *w, enum demo_side side)
{
    *t = (struct demo_tally){.connections = w->options.clients};
    for (unsigned i = 0; i < w->options.clients; i++) {
        const struct demo_client *c = demo_world_client(w, side, i);
        t->cut += c->state == DEMO_CUT;
        t->held += c->state == DEMO_LEFT;
        t->right += demo_client_is_right(c);
        t->sent += w->chunks + c->questions;
        t->lost += w->chunks - c->chunks + c->questions - c->answers;
        t->disorder += c->disorder;
        t->pings += c->pings;
        t->pings_back += c->pings_back;
    }
    count_lives(t, w, side);
}

void demo_report_make(struct demo_report *r, struct demo_world *w)
{
    *r = (struct demo_report){.seconds = w->options.seconds, .right = true};
    for (enum demo_side side = DEMO_DIRECT; side < DEMO_SIDES; side++) {
        count_side(&r->tallies[side], w, side);
        r->right = r->right && r->tallies[side].right == r->tallies[side].connections;
    }
    r->cuts_direct = w->direct_box.cuts;
    r->cuts_held = w->front_box.cuts + w->back_box.cuts;
    r->cause_count = demo_gateway_causes(&w->gateway, r->causes);
}

/* ---- for a person -------------------------------------------------------- */

static void print_count(const char *what, const struct demo_report *r, unsigned direct,
                        unsigned held)
{
    printf("  %-28s %8u %8u\n", what, direct, held);
}

static void print_table(const struct demo_report *r, bool colour)
{
    const struct demo_tally *d = &r->tallies[DEMO_DIRECT];
    const struct demo_tally *h = &r->tallies[DEMO_HELD];
    printf("\n%s  %-28s %8s %8s%s\n", demo_style_text(colour, DEMO_BOLD), "", "direct", "held",
           demo_style_text(colour, DEMO_PLAIN));
    print_count("connections", r, d->connections, h->connections);
    print_count("cut by a middlebox", r, d->cut, h->cut);
    print_count("held to the end", r, d->held, h->held);
    printf("  %-28s %6.1f s %6.1f s\n", "median life", (double)d->life_median / 1e6,
           (double)h->life_median / 1e6);
    print_count("messages sent to them", r, d->sent, h->sent);
    print_count("messages lost", r, d->lost, h->lost);
    print_count("twice, or out of order", r, d->disorder, h->disorder);
    print_count("pings, client leg", r, d->pings, h->pings);
    print_count("pings, backend leg", r, d->pings_back, h->pings_back);
}

static void print_causes(const struct demo_report *r)
{
    printf("\n  Why they ended:\n");
    printf("  %3u x direct  1006, and nobody who could say why\n", r->tallies[DEMO_DIRECT].cut);
    for (size_t i = 0; i < r->cause_count; i++) {
        const struct demo_cause *c = &r->causes[i];
        printf("  %3u x held    %s, %u, by the %s, held %.1f s", c->count, hf_cause_id(c->cause),
               c->code, hf_cause_who(c->cause), (double)c->held_ms_min / 1e3);
        if (c->rtt_ms_max >= 0) {
            printf(", rtt %.1f ms", c->rtt_ms_max);
        }
        printf("\n                (%s)\n", hf_cause_sentence(c->cause));
    }
}

void demo_report_print(const struct demo_report *r, bool colour)
{
    const struct demo_tally *h = &r->tallies[DEMO_HELD];
    const struct demo_tally *d = &r->tallies[DEMO_DIRECT];
    print_table(r, colour);
    print_causes(r);
    if (r->right) {
        printf("\n%sHeld.%s Every connection through holdfast lived for the whole run, and every\n"
               "message came once and in order. Every direct one was cut at about 3 s.\n",
               demo_style_text(colour, DEMO_GOOD), demo_style_text(colour, DEMO_PLAIN));
    } else {
        printf("\n%sNot as promised.%s Of %u held connections %u lived for the whole run\nand "
               "lost nothing; of %u direct ones %u were cut at about 3 s.\n",
               demo_style_text(colour, DEMO_BAD), demo_style_text(colour, DEMO_PLAIN),
               h->connections, h->right, d->connections, d->right);
    }
}

/* ---- for a machine ------------------------------------------------------- */

static json_t *side_json(const struct demo_tally *t)
{
    return json_pack("{si si si si sI sI sI si si si si si}", "connections", t->connections, "cut",
                     t->cut, "held", t->held, "as_promised", t->right, "life_min_ms",
                     (json_int_t)(t->life_min / 1000), "life_median_ms",
                     (json_int_t)(t->life_median / 1000), "life_max_ms",
                     (json_int_t)(t->life_max / 1000), "messages", t->sent, "messages_lost",
                     t->lost, "messages_disordered", t->disorder, "pings_client", t->pings,
                     "pings_backend", t->pings_back);
}

static json_t *causes_json(const struct demo_report *r)
{
    json_t *array = json_array();
    for (size_t i = 0; i < r->cause_count; i++) {
        const struct demo_cause *c = &r->causes[i];
        (void)json_array_append_new(
            array, json_pack("{ss ss si si sI so}", "cause", hf_cause_id(c->cause), "who",
                             hf_cause_who(c->cause), "code", c->code, "count", c->count, "held_ms",
                             (json_int_t)c->held_ms_min, "rtt_ms",
                             c->rtt_ms_max < 0 ? json_null() : json_real(c->rtt_ms_max)));
    }
    return array;
}

void demo_report_print_json(const struct demo_report *r)
{
    json_t *report = json_pack("{sb si so so so s{si si}}", "ok", r->right, "seconds", r->seconds,
                               "direct", side_json(&r->tallies[DEMO_DIRECT]), "held",
                               side_json(&r->tallies[DEMO_HELD]), "endings", causes_json(r),
                               "middlebox_cuts", "direct", r->cuts_direct, "held", r->cuts_held);
    (void)json_dumpf(report, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(report);
}
