/* SPDX-License-Identifier: Apache-2.0 */
/* Naming causes: of one ending alone, and within a class. */
#include "cause/rank.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
/* cmocka needs the four above. */
#include <cmocka.h>

#define MAX 6
#define AT(s) ((hf_time)((s)*1e6))

static struct hf_named_cause causes[MAX];
static size_t count;

/* A trial that was open for so many seconds and ended so. */
static struct hf_trial ended(enum hf_trial_how how, double age)
{
    struct hf_trial t = {.arm = "test", .opened = 1};
    t.end.how = how;
    t.end.phase = HF_PHASE_OPEN;
    t.end.code = how == HF_HOW_CLOSE ? 1000 : 1006;
    t.end.age = t.end.silent_rx = t.end.silent_tx = AT(age);
    return t;
}

static struct hf_trial closed(uint16_t code, const char *reason, double age)
{
    struct hf_trial t = ended(HF_HOW_CLOSE, age);
    t.end.code = code;
    snprintf(t.end.reason, sizeof(t.end.reason), "%s", reason);
    return t;
}

static struct hf_trial refused(uint16_t http)
{
    struct hf_trial t = ended(HF_HOW_STATUS, 0.05);
    t.end.phase = HF_PHASE_UPGRADE;
    t.end.code = 0;
    t.end.http = http;
    t.opened = 0;
    return t;
}

static void add(struct hf_trial *t, const struct hf_moment *moments, size_t n)
{
    t->moments = moments;
    t->moment_count = n;
    for (size_t i = 0; i < n; i++) {
        t->count[moments[i].kind]++;
    }
}

static const struct hf_infer_context *hosted_by(const char *id)
{
    static const char *ids[1];
    static struct hf_infer_context context;
    ids[0] = id;
    context = (struct hf_infer_context){.hosting = ids, .hosting_count = id != NULL};
    return &context;
}

static void infer(const struct hf_trial *t, const struct hf_infer_context *context)
{
    count = hf_infer_one(t, context, causes, MAX);
}

static double likelihood_of(const char *id)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(causes[i].row->id, id) == 0) {
            return causes[i].likelihood;
        }
    }
    return 0;
}

static void print_causes(void)
{
    for (size_t i = 0; i < count; i++) {
        print_message("  %.3f %s\n", causes[i].likelihood, causes[i].row->id);
    }
}

static void assert_top_of(const char *id, int line)
{
    if (count == 0 || strcmp(causes[0].row->id, id) != 0) {
        print_causes();
        fail_msg("line %d: %s is not the first", line, id);
    }
}
#define assert_top(wanted) assert_top_of(wanted, __LINE__)
static void a_keepalive_ping_timeout_at_40_s_is_that_of_websockets(void **state)
{
    struct hf_trial t = closed(1011, "keepalive ping timeout", 40.0);
    const struct hf_moment pings[] = {{.at = AT(20), .kind = HF_MOMENT_PING_GOT}};
    add(&t, pings, 1);
    t.plan.pong = HF_PONG_IGNORE;
    infer(&t, NULL);
    assert_true(count >= 2);
    assert_true(likelihood_of("uvicorn-ping-20-20") + likelihood_of("websockets-defaults") > 0.8);
    assert_top("uvicorn-ping-20-20");
    infer(&t, hosted_by("websockets"));
    assert_top("websockets-defaults");
}

static void the_same_although_every_ping_was_answered_is_a_hop_that_eats_pongs(void **state)
{
    struct hf_trial t = closed(1011, "keepalive ping timeout", 40.0);
    const struct hf_moment pings[] = {{.at = AT(20), .kind = HF_MOMENT_PING_GOT},
                                      {.at = AT(20.01), .kind = HF_MOMENT_PONG_SENT}};
    add(&t, pings, 2);
    infer(&t, hosted_by(NULL));
    assert_top("proxy-not-forwarding-pong");
}

static void a_reset_at_50_s_with_unanswered_pings_is_daphne(void **state)
{
    struct hf_trial t = ended(HF_HOW_RST, 50.1);
    const struct hf_moment pings[] = {{.at = AT(20.3), .kind = HF_MOMENT_PING_GOT},
                                      {.at = AT(40.3), .kind = HF_MOMENT_PING_GOT}};
    add(&t, pings, 2);
    t.plan.pong = HF_PONG_IGNORE;
    infer(&t, hosted_by(NULL));
    assert_top("daphne-ping-20-30");
    assert_true(causes[0].likelihood > 0.6);
}

static void silence_that_ends_at_60_s_by_fin_is_a_proxy_and_no_cdn(void **state)
{
    struct hf_trial t = ended(HF_HOW_FIN, 60.02);
    infer(&t, hosted_by(NULL));
    assert_top("nginx-proxy-read-60s");
    assert_true(causes[0].likelihood < 0.7); /* others have the same default */
    for (size_t i = 0; i < count; i++) {
        assert_true(causes[i].row->layer != HF_LAYER_CDN);
    }
    infer(&t, hosted_by("aws-elb"));
    assert_top("aws-alb-idle-60s");
    infer(&t, NULL); /* nobody looked who is in front */
    assert_true(causes[0].row->layer != HF_LAYER_CDN);
}

static void a_hundred_silent_seconds_are_cloudflare_only_when_it_is_there(void **state)
{
    struct hf_trial t = ended(HF_HOW_FIN, 100.05);
    infer(&t, hosted_by("cloudflare"));
    assert_top("cf-idle-100s");
    assert_true(causes[0].likelihood > 0.7);
    infer(&t, hosted_by(NULL));
    assert_true(likelihood_of("cf-idle-100s") < 0.2);
}

static void traffic_to_the_end_makes_a_lifetime_of_it(void **state)
{
    struct hf_trial t = ended(HF_HOW_FIN, 30.0);
    struct hf_moment beats[14];
    for (size_t i = 0; i < 14; i++) {
        beats[i] = (struct hf_moment){.at = AT(2.1 * (double)(i + 1)),
                                      .kind = i % 2 ? HF_MOMENT_PONG_GOT : HF_MOMENT_PING_SENT};
    }
    add(&t, beats, 14);
    infer(&t, hosted_by("google"));
    assert_top("gcp-lb-30s-lifetime");
    infer(&t, hosted_by("cloudflare")); /* not its idle timer: bytes went by */
    assert_true(likelihood_of("cf-idle-100s") < 0.01);
}

static void a_close_of_cloudflares_edge_names_itself(void **state)
{
    struct hf_trial t = closed(1001, "CloudFlare WebSocket proxy restarting", 1234.5);
    t.end.silent_rx = AT(3);
    infer(&t, hosted_by("cloudflare"));
    assert_top("cf-edge-restart");
    assert_true(causes[0].likelihood > 0.9);
}

static void a_status_of_the_handshake_names_what_refused(void **state)
{
    struct hf_trial t = refused(426);
    infer(&t, hosted_by(NULL));
    assert_top("nginx-missing-upgrade");
    t = refused(403);
    infer(&t, hosted_by(NULL));
    assert_top("origin-host-check");
    assert_true(likelihood_of("close-code-before-accept") > 0.1);
    infer(&t, hosted_by("cloudflare"));
    assert_true(likelihood_of("cf-waf-bot-challenge") > 0.3);
    t = refused(522);
    infer(&t, hosted_by("cloudflare"));
    assert_top("cf-origin-connect-19s");
    t = refused(429);
    infer(&t, hosted_by(NULL));
    assert_top("connection-cap");
    for (size_t i = 0; i < count; i++) {
        assert_true(causes[i].row->class == HF_CLASS_HANDSHAKE ||
                    causes[i].row->class == HF_CLASS_NETWORK);
    }
}

static void what_has_a_hundred_reasons_stays_unknown(void **state)
{
    static const enum hf_trial_how hows[] = {HF_HOW_REFUSED, HF_HOW_UNREACHABLE, HF_HOW_NO_NAME,
                                             HF_HOW_SLOW, HF_HOW_TLS};
    static const uint16_t statuses[] = {200, 302, 401, 404, 502, 503, 504};
    for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++) {
        struct hf_trial t = refused(0);
        t.end.how = hows[i];
        t.end.phase = i < 3 ? HF_PHASE_TCP : HF_PHASE_UPGRADE;
        infer(&t, hosted_by(NULL));
        assert_int_equal(count, 0);
    }
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        struct hf_trial t = refused(statuses[i]);
        infer(&t, hosted_by(NULL));
        assert_int_equal(count, 0);
    }
}

static void a_row_that_ends_nothing_is_never_named(void **state)
{
    for (double age = 1; age < 100000; age *= 1.3) {
        for (unsigned how = HF_HOW_CLOSE; how < HF_HOW_KINDS; how++) {
            struct hf_trial t = ended((enum hf_trial_how)how, age);
            t.end.code = 1001;
            infer(&t, NULL);
            for (size_t i = 0; i < count; i++) {
                assert_true(causes[i].row->class != HF_CLASS_NONE);
            }
        }
    }
}

static void the_kernel_that_gives_up_after_a_quarter_of_an_hour_is_retransmission(void **state)
{
    struct hf_trial t = ended(HF_HOW_TIMEOUT, 1930);
    const struct hf_moment moments[] = {{.at = AT(1000), .kind = HF_MOMENT_GOT},
                                        {.at = AT(1001), .kind = HF_MOMENT_SENT}};
    add(&t, moments, 2);
    t.end.silent_rx = AT(930);
    t.end.silent_tx = AT(929);
    infer(&t, hosted_by(NULL));
    assert_top("tcp-retries2-924s");
}

static void close_codes_lead_to_their_rows(void **state)
{
    static const struct {
        uint16_t code;
        const char *reason, *id;
    } cases[] = {
        {1012, "", "deploy-restart"},
        {1011, "", "uvicorn-app-exception"},
        {1001, "", "deploy-restart"},
        {1009, "", "proto-1009"},
        {1007, "", "proto-1007"},
        {1002, "", "proto-1002"},
        {4008, "rate limited", "provider-ratelimit"},
        {4408, "Connection initialisation timeout", "graphql-ws-init"},
        {4401, "", "token-expiry"},
        {1008, "rate limit exceeded", "app-ratelimit-chunks"},
        {1009, "Max payload size exceeded", "ws-max-payload"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct hf_trial t = closed(cases[i].code, cases[i].reason, 3.1);
        const struct hf_moment moments[] = {{.at = AT(2.9), .size = 200, .kind = HF_MOMENT_SENT},
                                            {.at = AT(3.0), .size = 200, .kind = HF_MOMENT_GOT}};
        add(&t, moments, 2);
        infer(&t, hosted_by(NULL));
        assert_top(cases[i].id);
    }
}

static void a_silent_path_behind_a_long_silence_is_a_box_that_forgot(void **state)
{
    struct hf_trial t = ended(HF_HOW_SILENCE, 420);
    const struct hf_moment ping[] = {{.at = AT(400), .kind = HF_MOMENT_PING_SENT}};
    add(&t, ping, 1);
    t.end.silent_tx = AT(20);
    t.end.unsure = AT(400);
    infer(&t, hosted_by(NULL));
    assert_true(count > 0);
    assert_true(causes[0].row->how & (1u << HF_HOW_SILENCE));
    assert_true(likelihood_of("nginx-proxy-read-60s") < 0.02);
    assert_true(likelihood_of("nat-idle") > 0.2);
    struct hf_moment busy[40]; /* the same with a ping each second to the end: it forgot nothing */
    for (size_t i = 0; i < 40; i++) {
        busy[i] = (struct hf_moment){.at = AT(400 + (double)(i / 2)),
                                     .kind = i % 2 ? HF_MOMENT_PONG_GOT : HF_MOMENT_PING_SENT};
    }
    struct hf_trial dead = ended(HF_HOW_SILENCE, 440);
    add(&dead, busy, 40);
    infer(&dead, hosted_by(NULL));
    assert_true(likelihood_of("nat-idle") < 0.1);
}

static void a_scaled_world_is_named_by_its_unscaled_defaults(void **state)
{
    struct hf_trial t = ended(HF_HOW_RST, 5.02);
    const struct hf_moment pings[] = {{.at = AT(2.03), .kind = HF_MOMENT_PING_GOT},
                                      {.at = AT(4.03), .kind = HF_MOMENT_PING_GOT}};
    add(&t, pings, 2);
    t.plan.pong = HF_PONG_IGNORE;
    struct hf_infer_context context = {.scale = 0.1};
    infer(&t, &context);
    assert_top("daphne-ping-20-30");
}

static void a_line_of_a_log_that_tells_the_age_alone_is_enough_for_a_timer(void **state)
{
    struct hf_trial t = ended(HF_HOW_FIN, 60.01);
    t.end.silent_rx = t.end.silent_tx = 0;
    infer(&t, hosted_by("nginx"));
    assert_top("nginx-proxy-read-60s");
    t = ended(HF_HOW_FIN, 431.7);
    t.end.silent_rx = t.end.silent_tx = 0;
    infer(&t, hosted_by(NULL));
    assert_int_equal(count, 0);
}

static void what_lives_or_was_ended_by_us_has_no_cause(void **state)
{
    struct hf_trial t = ended(HF_HOW_ALIVE, 60);
    assert_int_equal(hf_infer_one(&t, NULL, causes, MAX), 0);
    t = ended(HF_HOW_ENDED_BY_US, 60);
    assert_int_equal(hf_infer_one(&t, NULL, causes, MAX), 0);
    t = ended(HF_HOW_FIN, 60);
    assert_int_equal(hf_infer_one(&t, NULL, causes, 0), 0);
}

static void an_ordinary_close_at_no_special_age_is_nobodys(void **state)
{
    struct hf_trial t = closed(3999, "bye", 777.7);
    const struct hf_moment moments[] = {{.at = AT(770), .size = 9, .kind = HF_MOMENT_GOT}};
    add(&t, moments, 1);
    t.end.silent_rx = AT(7.7);
    infer(&t, hosted_by(NULL));
    print_causes();
    assert_int_equal(count, 0);
}

static void likelihoods_are_sorted_and_add_up_to_at_most_one(void **state)
{
    static const enum hf_trial_how hows[] = {HF_HOW_CLOSE,   HF_HOW_FIN,     HF_HOW_RST,
                                             HF_HOW_SILENCE, HF_HOW_TIMEOUT, HF_HOW_TLS,
                                             HF_HOW_FAULT,   HF_HOW_ERRNO};
    struct hf_named_cause all[200];
    for (size_t h = 0; h < sizeof(hows) / sizeof(hows[0]); h++) {
        for (double age = 0.01; age < 100000; age *= 1.7) {
            struct hf_trial t = ended(hows[h], age);
            size_t n = hf_infer_one(&t, h % 2 ? NULL : hosted_by("cloudflare"), all, 200);
            double sum = 0;
            for (size_t i = 0; i < n; i++) {
                assert_true(isfinite(all[i].likelihood) && all[i].likelihood >= 0);
                assert_true(i == 0 || all[i].likelihood <= all[i - 1].likelihood);
                sum += all[i].likelihood;
            }
            assert_true(sum <= 1 + 1e-9);
        }
    }
}

/* ---- within a class */

static void rank(enum hf_verdict_class class, double value, uint16_t resets,
                 const struct hf_rank_facts *facts, const struct hf_infer_context *context)
{
    count = hf_rank_causes(class, value, resets, facts, context, causes, MAX);
    for (size_t i = 0; i < count; i++) {
        assert_true(causes[i].likelihood > 0 && causes[i].likelihood <= 1);
    }
}

static void an_idle_timer_is_named_by_its_value_and_what_resets_it(void **state)
{
    struct hf_rank_facts fin = {.hows = 1u << HF_HOW_FIN};
    rank(HF_CLASS_IDLE_TIMER, 60.0, HF_RESETS_PING_C | HF_RESETS_SENT, &fin, hosted_by(NULL));
    assert_top("nginx-proxy-read-60s");
    rank(HF_CLASS_IDLE_TIMER, 100.0, HF_RESETS_PING_C, &fin, hosted_by("cloudflare"));
    assert_top("cf-idle-100s");
    rank(HF_CLASS_IDLE_TIMER, 600.0, HF_RESETS_GOT, &fin, hosted_by("cloudfront"));
    assert_top("cloudfront-idle-10m");
    /* pings do not help, messages do: an application that wants its own beat */
    fin.resets_not = HF_RESETS_PING_C;
    rank(HF_CLASS_IDLE_TIMER, 45.0, HF_RESETS_SENT, &fin, hosted_by(NULL));
    assert_top("engineio-v4");
    assert_true(likelihood_of("nginx-proxy-read-60s") < 0.05);
    /* each direction has its own timer */
    fin.resets_not = 0;
    rank(HF_CLASS_IDLE_TIMER, 60.0, HF_RESETS_PING_C | HF_RESETS_BOTH, &fin, NULL);
    assert_top("oci-lb-60s-perdir");
}

static void
a_value_that_is_nobodys_default_leaves_it_open_between_those_that_can_be_set(void **state)
{
    struct hf_rank_facts fin = {.hows = 1u << HF_HOW_FIN};
    rank(HF_CLASS_IDLE_TIMER, 24.0, HF_RESETS_PING_C, &fin, hosted_by("cloudflare"));
    assert_true(count >= 2);
    assert_true(causes[0].likelihood < 0.6);
    assert_true(likelihood_of("cf-idle-100s") < 0.1); /* its value is fixed */
}

static void classes_name_only_rows_of_their_own(void **state)
{
    rank(HF_CLASS_LIFETIME, 30.0, 0, NULL, hosted_by("google"));
    assert_top("gcp-lb-30s-lifetime");
    rank(HF_CLASS_PONG_TIMEOUT, 40.0, 0, NULL, NULL);
    assert_true(strcmp(causes[0].row->id, "uvicorn-ping-20-20") == 0 ||
                strcmp(causes[0].row->id, "websockets-defaults") == 0);
    rank(HF_CLASS_PONG_TIMEOUT, 50.3, 0, &(struct hf_rank_facts){.hows = 1u << HF_HOW_RST}, NULL);
    assert_top("daphne-ping-20-30");
    rank(HF_CLASS_MESSAGE_LIMIT, 20, 0, NULL, NULL);
    assert_top("app-ratelimit-chunks");
    rank(HF_CLASS_MESSAGE_LIMIT, 16385, 0,
         &(struct hf_rank_facts){.hows = 1u << HF_HOW_CLOSE, .code = 1008}, NULL);
    assert_top("ws-numfragments-bug");
    rank(HF_CLASS_MESSAGE_LIMIT, 120, 0, NULL, NULL);
    assert_top("provider-ratelimit");
    rank(HF_CLASS_MESSAGE_LIMIT, 120, 0, &(struct hf_rank_facts){.counts_down = true}, NULL);
    assert_top("app-ratelimit-chunks");
    rank(HF_CLASS_SIZE_LIMIT, 16777216, 0,
         &(struct hf_rank_facts){.hows = 1u << HF_HOW_CLOSE, .code = 1009}, NULL);
    assert_top("uvicorn-max-size");
    rank(HF_CLASS_SIZE_LIMIT, 1048576, 0,
         &(struct hf_rank_facts){.hows = 1u << HF_HOW_CLOSE, .code = 1009}, NULL);
    assert_top("daphne-size");
    rank(HF_CLASS_BLOCKED_SERVER, 28.0, 0, &(struct hf_rank_facts){.hows = 1u << HF_HOW_FIN}, NULL);
    assert_top("gunicorn-worker-timeout");
    rank(HF_CLASS_RESTART, 0, 0, &(struct hf_rank_facts){.hows = 1u << HF_HOW_CLOSE, .code = 1012},
         NULL);
    assert_top("deploy-restart");
    rank(HF_CLASS_HANDSHAKE, 0, 0,
         &(struct hf_rank_facts){.hows = 1u << HF_HOW_STATUS, .http = 426}, NULL);
    assert_top("nginx-missing-upgrade");
    rank(HF_CLASS_NETWORK, 0, 0, &(struct hf_rank_facts){.hows = 1u << HF_HOW_SILENCE}, NULL);
    assert_true(count > 0);
    rank(HF_CLASS_NONE, 0, 0, NULL, NULL);
    assert_int_equal(count, 0);
    rank(HF_CLASS_INCONCLUSIVE, 0, 0, NULL, NULL);
    assert_int_equal(count, 0);
}

static void a_hypothesis_is_never_the_first(void **state)
{
    static const struct hf_catalog_row guess = {.id = "guess", .standing = HF_STANDING_HYPOTHESIS};
    static const struct hf_catalog_row known = {.id = "known", .standing = HF_STANDING_SOURCED};
    struct hf_named_cause out[MAX];
    size_t n = 0;
    hf_rank_insert(out, &n, MAX, (struct hf_named_cause){&known, 1});
    hf_rank_insert(out, &n, MAX, (struct hf_named_cause){&guess, 3});
    assert_ptr_equal(out[0].row, &guess);
    n = hf_rank_finish(out, n, 5);
    assert_int_equal(n, 2);
    assert_ptr_equal(out[0].row, &known);
    assert_true(out[1].likelihood <= out[0].likelihood);
    n = 0;
    hf_rank_insert(out, &n, MAX, (struct hf_named_cause){&guess, 3});
    assert_int_equal(hf_rank_finish(out, n, 5), 0); /* alone it is not said at all */
}

static void the_list_keeps_the_best_when_it_is_full(void **state)
{
    static const struct hf_catalog_row row = {.id = "x", .standing = HF_STANDING_SOURCED};
    struct hf_named_cause out[3];
    size_t n = 0;
    for (int i = 0; i < 7; i++) {
        hf_rank_insert(out, &n, 3, (struct hf_named_cause){&row, (double)(i * 5 % 7)});
    }
    assert_int_equal(n, 3);
    assert_true(out[0].likelihood == 6 && out[1].likelihood == 5 && out[2].likelihood == 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_keepalive_ping_timeout_at_40_s_is_that_of_websockets),
        cmocka_unit_test(the_same_although_every_ping_was_answered_is_a_hop_that_eats_pongs),
        cmocka_unit_test(a_reset_at_50_s_with_unanswered_pings_is_daphne),
        cmocka_unit_test(silence_that_ends_at_60_s_by_fin_is_a_proxy_and_no_cdn),
        cmocka_unit_test(a_hundred_silent_seconds_are_cloudflare_only_when_it_is_there),
        cmocka_unit_test(traffic_to_the_end_makes_a_lifetime_of_it),
        cmocka_unit_test(a_close_of_cloudflares_edge_names_itself),
        cmocka_unit_test(a_status_of_the_handshake_names_what_refused),
        cmocka_unit_test(what_has_a_hundred_reasons_stays_unknown),
        cmocka_unit_test(a_row_that_ends_nothing_is_never_named),
        cmocka_unit_test(the_kernel_that_gives_up_after_a_quarter_of_an_hour_is_retransmission),
        cmocka_unit_test(close_codes_lead_to_their_rows),
        cmocka_unit_test(a_silent_path_behind_a_long_silence_is_a_box_that_forgot),
        cmocka_unit_test(a_scaled_world_is_named_by_its_unscaled_defaults),
        cmocka_unit_test(a_line_of_a_log_that_tells_the_age_alone_is_enough_for_a_timer),
        cmocka_unit_test(what_lives_or_was_ended_by_us_has_no_cause),
        cmocka_unit_test(an_ordinary_close_at_no_special_age_is_nobodys),
        cmocka_unit_test(likelihoods_are_sorted_and_add_up_to_at_most_one),
        cmocka_unit_test(an_idle_timer_is_named_by_its_value_and_what_resets_it),
        cmocka_unit_test(
            a_value_that_is_nobodys_default_leaves_it_open_between_those_that_can_be_set),
        cmocka_unit_test(classes_name_only_rows_of_their_own),
        cmocka_unit_test(a_hypothesis_is_never_the_first),
        cmocka_unit_test(the_list_keeps_the_best_when_it_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
