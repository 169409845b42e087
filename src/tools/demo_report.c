/* SPDX-License-Identifier: Apache-2.0 */
/* What came of the demo: see demo_report.h. */
#include "tools/demo_report.h"

#include "tools/demo_draw.h"

#include <jansson.h>
#include <stdio.h>

/* ---- counting ------------------------------------------------------------ */

static void count_side(struct demo_tally *t, struct demo_world *w, enum demo_side side)
{
    *t = (struct demo_tally){.clients = w->options.clients};
    for (unsigned i = 0; i < w->options.clients; i++) {
        const struct demo_client *c = demo_world_client(w, side, i);
        t->right += demo_client_is_right(c);
        t->cuts += c->cuts;
        t->closes += c->closes;
        t->backend_opens += c->backend_opens;
        t->backend_closes += c->backend_closes;
        t->sent += w->chunks - c->since + c->sent;
        t->lost += demo_client_lost(c);
        t->disorder += c->chunks.disorder + c->notes.disorder;
        t->away_max = c->away_max > t->away_max ? c->away_max : t->away_max;
    }
}

void demo_report_make(struct demo_report *r, struct demo_world *w)
{
    const struct demo_tally *held = &r->tallies[DEMO_HELD_SIDE];
    *r = (struct demo_report){.seconds = w->options.seconds};
    for (enum demo_side side = DEMO_PLAIN_SIDE; side < DEMO_SIDES; side++) {
        count_side(&r->tallies[side], w, side);
    }
    r->right = held->right == held->clients;
    r->cause_count = demo_gateway_causes(&w->gateway, r->causes);
}

/* ---- for a person -------------------------------------------------------- */

static void print_count(const char *what, unsigned plain, unsigned held)
{
    printf("  %-34s %8u %8u\n", what, plain, held);
}

static void print_table(const struct demo_report *r, bool colour)
{
    const struct demo_tally *p = &r->tallies[DEMO_PLAIN_SIDE];
    const struct demo_tally *h = &r->tallies[DEMO_HELD_SIDE];
    printf("\n%s  %-34s %8s %8s%s\n", demo_style_text(colour, DEMO_BOLD), "", "plain", "held",
           demo_style_text(colour, DEMO_PLAIN));
    print_count("clients", p->clients, h->clients);
    print_count("connections cut", p->cuts, h->cuts);
    print_count("closes seen by the application", p->closes, h->closes);
    print_count("connections seen by the backend", p->backend_opens, h->backend_opens);
    print_count("closes seen by the backend", p->backend_closes, h->backend_closes);
    print_count("messages, both ways", p->sent, h->sent);
    print_count("messages lost", p->lost, h->lost);
    print_count("twice, or out of order", p->disorder, h->disorder);
    printf("  %-34s %6.2f s %6.2f s\n", "longest without a connection", (double)p->away_max / 1e6,
           (double)h->away_max / 1e6);
}

static void print_causes(const struct demo_report *r)
{
    printf("\n  How it ended, in the gateway's own records:\n");
    for (size_t i = 0; i < r->cause_count; i++) {
        const struct demo_cause *c = &r->causes[i];
        printf("  %3u x  %s, %u, by the %s, held %.1f s\n         (%s)\n", c->count,
               hf_cause_id(c->cause), c->code, hf_cause_who(c->cause), (double)c->held_ms_min / 1e3,
               hf_cause_sentence(c->cause));
    }
}

void demo_report_print(const struct demo_report *r, bool colour)
{
    const struct demo_tally *h = &r->tallies[DEMO_HELD_SIDE];
    print_table(r, colour);
    print_causes(r);
    if (r->right) {
        printf("\n%sHeld.%s The held connections were cut %u times. No application and no backend\n"
               "noticed: every message came once and in order, over one connection each.\n",
               demo_style_text(colour, DEMO_GOOD), demo_style_text(colour, DEMO_PLAIN), h->cuts);
    } else {
        printf("\n%sNot as promised.%s Of %u held clients %u were cut and lost nothing.\n",
               demo_style_text(colour, DEMO_BAD), demo_style_text(colour, DEMO_PLAIN), h->clients,
               h->right);
    }
}

/* ---- for a machine ------------------------------------------------------- */

static json_t *side_json(const struct demo_tally *t)
{
    return json_pack("{si si si si si si si si si sI}", "clients", t->clients, "as_promised",
                     t->right, "cuts", t->cuts, "closes_application", t->closes,
                     "connections_backend", t->backend_opens, "closes_backend", t->backend_closes,
                     "messages", t->sent, "messages_lost", t->lost, "messages_disordered",
                     t->disorder, "away_max_ms", (json_int_t)(t->away_max / 1000));
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
    json_t *report = json_pack("{sb si so so so}", "ok", r->right, "seconds", r->seconds, "plain",
                               side_json(&r->tallies[DEMO_PLAIN_SIDE]), "held",
                               side_json(&r->tallies[DEMO_HELD_SIDE]), "endings", causes_json(r));
    (void)json_dumpf(report, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(report);
}
