/* SPDX-License-Identifier: Apache-2.0 */
/* Sec-WebSocket-Extensions (RFC 6455 9.1) and the negotiation of permessage-deflate (RFC 7692 7.1).
 */
#include "ws/extension.h"

#include "test_alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NAME "Sec-WebSocket-Extensions"
#define PMD "permessage-deflate"

static struct hf_head head;

/* A head with these header lines (values), NULL: the line is not there. */
static void make_head(const char *first, const char *second)
{
    head = (struct hf_head){.count = 0};
    const char *const values[] = {first, second};
    for (size_t i = 0; i < 2; i++) {
        if (values[i] != NULL) {
            head.headers[head.count++] =
                (struct hf_header){hf_slice_of(NAME), hf_slice_of(values[i])};
        }
    }
}

static void expect_offers2(const char *first, const char *second, enum hf_extension_check check,
                           const char *kept)
{
    struct hf_buffer offers;
    hf_buffer_init(&offers, &hf_heap, 4096);
    make_head(first, second);
    const enum hf_extension_check got = hf_extension_offers(&head, &offers);
    if (got != check) {
        fail_msg("%d instead of %d for: %s", (int)got, (int)check, first);
    }
    if (check == HF_EXTENSION_OK) {
        const struct hf_slice text = hf_buffer_slice(&offers);
        if (!hf_slice_eq(text, hf_slice_of(kept))) {
            fail_msg("kept \"%.*s\" of: %s", HF_SLICE_ARG(text), first);
        }
    }
    hf_buffer_reset(&offers);
}

static void expect_kept(const char *value, const char *kept)
{
    expect_offers2(value, NULL, HF_EXTENSION_OK, kept);
}
/* Well-formed as a header, but nothing in it is an offer to keep. */
static void expect_declined(const char *value)
{
    expect_offers2(value, NULL, HF_EXTENSION_NONE, NULL);
}
static void expect_syntax(const char *value)
{
    expect_offers2(value, NULL, HF_EXTENSION_SYNTAX, NULL);
}

static void a_request_without_the_header_offers_nothing(void **unused)
{
    expect_declined(NULL);
}

/* RFC 7692 7.1.3, the examples */
static void the_offers_of_the_rfcs_examples_are_kept_byte_for_byte(void **unused)
{
    expect_kept(PMD, PMD);
    expect_kept(PMD "; client_max_window_bits; server_max_window_bits=10",
                PMD "; client_max_window_bits; server_max_window_bits=10");
    expect_kept(
        PMD "; client_max_window_bits; server_max_window_bits=10, " PMD "; client_max_window_bits",
        PMD "; client_max_window_bits; server_max_window_bits=10, " PMD "; client_max_window_bits");
    expect_kept(PMD ";server_no_context_takeover ;\tclient_no_context_takeover",
                PMD ";server_no_context_takeover ;\tclient_no_context_takeover");
}

/* RFC 6455 9.1: several lines are one list */
static void offers_on_several_lines_keep_their_order(void **unused)
{
    expect_offers2(PMD "; server_max_window_bits=9", PMD, HF_EXTENSION_OK,
                   PMD "; server_max_window_bits=9, " PMD);
}

static void other_extensions_are_taken_out(void **unused)
{
    expect_kept("x-webkit-deflate-frame, " PMD ", foo; a=1; b=\"c\"", PMD);
    expect_declined("x-webkit-deflate-frame; no_context_takeover");
    expect_declined("permessage-bzip2");
    expect_declined("Permessage-Deflate");
    /* Another extension's name or parameters are no concern of ours, a repeated one included. */
    expect_kept("foo; a; a, " PMD, PMD);
}

/* RFC 7692 7.1: decline an offer with a parameter not defined for use in an offer */
static void an_offer_with_an_unknown_parameter_is_taken_out(void **unused)
{
    expect_declined(PMD "; foo");
    expect_declined(PMD "; Server_no_context_takeover");
    expect_kept(PMD "; foo=1, " PMD, PMD);
}

/* RFC 7692 7.1: decline an offer with a parameter repeated */
static void an_offer_with_a_repeated_parameter_is_taken_out(void **unused)
{
    expect_declined(PMD "; server_no_context_takeover; server_no_context_takeover");
    expect_declined(PMD "; client_no_context_takeover; client_no_context_takeover");
    expect_declined(PMD "; server_max_window_bits=10; server_max_window_bits=10");
    expect_declined(PMD "; client_max_window_bits; client_max_window_bits=9");
    expect_declined(PMD "; client_max_window_bits=9; client_max_window_bits");
}

/* RFC 7692 7.1.1.1, 7.1.1.2: these have no value */
static void a_value_for_no_context_takeover_is_bad(void **unused)
{
    expect_declined(PMD "; server_no_context_takeover=1");
    expect_declined(PMD "; client_no_context_takeover=true");
}

/* RFC 7692 7.1.2.1, 7.1.2.2: 8 to 15, decimal, no leading zeros */
static void window_bits_are_8_to_15_without_leading_zeros(void **unused)
{
    static const char *const bad[] = {"7",   "16",  "0",   "08",         "010",
                                      "1",   "99",  "1a",  "-9",         "+9",
                                      "9.0", "0x9", "100", "9999999999", "8888888888888888"};
    char text[128];
    for (int bits = 8; bits <= 15; bits++) {
        (void)snprintf(text, sizeof(text), PMD "; server_max_window_bits=%d", bits);
        expect_kept(text, text);
        (void)snprintf(text, sizeof(text), PMD "; client_max_window_bits=%d", bits);
        expect_kept(text, text);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(text, sizeof(text), PMD "; server_max_window_bits=%s", bad[i]);
        expect_declined(text);
        (void)snprintf(text, sizeof(text), PMD "; client_max_window_bits=%s", bad[i]);
        expect_declined(text);
    }
}

/* RFC 7692 7.1.2.1 */
static void server_max_window_bits_needs_a_value(void **unused)
{
    expect_declined(PMD "; server_max_window_bits");
}

/* RFC 7692 7.1.2.2 */
static void client_max_window_bits_needs_no_value_in_an_offer(void **unused)
{
    expect_kept(PMD "; client_max_window_bits", PMD "; client_max_window_bits");
}

/* RFC 6455 9.1: quoted values are unescaped and must be tokens then */
static void a_quoted_value_counts_when_it_is_a_token_inside(void **unused)
{
    expect_kept(PMD "; server_max_window_bits=\"10\"", PMD "; server_max_window_bits=\"10\"");
    expect_kept(PMD "; server_max_window_bits=\"1\\0\"", PMD "; server_max_window_bits=\"1\\0\"");
    expect_syntax(PMD "; server_max_window_bits=\"1 0\"");
    expect_syntax("foo; a=\"b,c\"");
    expect_syntax("foo; a=\"\"");
    expect_syntax("foo; a=\"b");
    expect_syntax("foo; a=\"b\\");
    expect_syntax("foo; a=\"b\"c");
    expect_syntax("foo; a=\"b\\\"\"");
}

/* RFC 6455 9.1 */
static void what_the_grammar_does_not_allow_is_a_syntax_error(void **unused)
{
    expect_syntax("");
    expect_syntax(",");
    expect_syntax(" ; a");
    expect_syntax("foo;");
    expect_syntax("foo; ");
    expect_syntax("foo;;a");
    expect_syntax("foo a");
    expect_syntax("foo; a=");
    expect_syntax("foo; =1");
    expect_syntax("foo; a b");
    expect_syntax("foo; a=b c");
    expect_syntax("foo=1");
    expect_syntax("f\xC3\xA9");
    expect_syntax("foo/1");
    expect_syntax(PMD ", foo;");
    expect_syntax(PMD "; server_max_window_bits=");
}

/* RFC 9110 5.6.1.2 */
static void empty_members_of_the_list_are_passed_over(void **unused)
{
    expect_kept(", " PMD " ,,", PMD);
    expect_offers2(",", PMD, HF_EXTENSION_OK, PMD);
}

/* RFC 6455 4.3: the implied *LWS of RFC 2616 */
static void space_around_the_equals_sign_is_allowed(void **unused)
{
    expect_kept(PMD " ; server_max_window_bits = 10", PMD " ; server_max_window_bits = 10");
}

/* --- Answers --- */

static struct hf_deflate agreed;

static enum hf_extension_check answer2(const char *offers, const char *first, const char *second)
{
    make_head(first, second);
    return hf_extension_answer(&head, hf_slice_of(offers), &agreed);
}

static void expect_agreed(const char *offers, const char *answer, bool server_reset,
                          bool client_reset, uint8_t server_bits, uint8_t client_bits)
{
    if (answer2(offers, answer, NULL) != HF_EXTENSION_OK) {
        fail_msg("refused: %s\nfor: %s", answer, offers);
    }
    assert_true(agreed.agreed);
    assert_int_equal(agreed.server_no_context_takeover, server_reset);
    assert_int_equal(agreed.client_no_context_takeover, client_reset);
    assert_int_equal(agreed.server_bits, server_bits);
    assert_int_equal(agreed.client_bits, client_bits);
}

static void expect_refused(const char *offers, const char *answer)
{
    if (answer2(offers, answer, NULL) != HF_EXTENSION_REFUSED) {
        fail_msg("not refused: %s\nfor: %s", answer, offers);
    }
    assert_false(agreed.agreed);
}

static void no_answer_agrees_to_nothing(void **unused)
{
    assert_int_equal(answer2(PMD, NULL, NULL), HF_EXTENSION_NONE);
    assert_false(agreed.agreed);
    assert_int_equal(agreed.server_bits, 15);
    assert_int_equal(agreed.client_bits, 15);
}

/* RFC 7692 7.1.3 */
static void a_plain_answer_agrees_to_full_windows(void **unused)
{
    expect_agreed(PMD, PMD, false, false, 15, 15);
    expect_agreed(PMD "; client_max_window_bits", PMD, false, false, 15, 15);
}

/* RFC 6455 4.1 point 5 of the answer */
static void an_answer_nobody_asked_for_is_refused(void **unused)
{
    expect_refused("", PMD);
    expect_refused(PMD, "foo");
    expect_refused(PMD, PMD ", foo");
    expect_refused(PMD, "permessage-Deflate");
}

/* RFC 7692 5: one extension cannot be agreed twice */
static void two_answers_are_refused(void **unused)
{
    expect_refused(PMD ", " PMD, PMD ", " PMD);
    assert_int_equal(answer2(PMD, PMD, PMD), HF_EXTENSION_REFUSED);
}

static void an_answer_that_cannot_be_parsed_is_a_syntax_error(void **unused)
{
    assert_int_equal(answer2(PMD, PMD ";", NULL), HF_EXTENSION_SYNTAX);
    assert_int_equal(answer2(PMD, "", NULL), HF_EXTENSION_SYNTAX);
    assert_false(agreed.agreed);
}

/* RFC 7692 7.1 */
static void an_answer_with_an_unknown_repeated_or_bad_parameter_is_refused(void **unused)
{
    expect_refused(PMD, PMD "; foo");
    expect_refused(PMD, PMD "; server_no_context_takeover; server_no_context_takeover");
    expect_refused(PMD, PMD "; server_no_context_takeover=1");
    expect_refused(PMD, PMD "; client_no_context_takeover=1");
    expect_refused(PMD, PMD "; server_max_window_bits");
    expect_refused(PMD, PMD "; server_max_window_bits=16");
    expect_refused(PMD "; client_max_window_bits", PMD "; client_max_window_bits=07");
}

/* RFC 7692 7.1.1.1 */
static void server_no_context_takeover_may_be_answered_unasked(void **unused)
{
    expect_agreed(PMD, PMD "; server_no_context_takeover", true, false, 15, 15);
}

/* RFC 7692 7.1.1.1: accepting the offer means naming it */
static void server_no_context_takeover_once_offered_must_be_answered(void **unused)
{
    expect_agreed(PMD "; server_no_context_takeover", PMD "; server_no_context_takeover", true,
                  false, 15, 15);
    expect_refused(PMD "; server_no_context_takeover", PMD);
}

/* RFC 7692 7.1.1.2 */
static void client_no_context_takeover_may_be_answered_unasked(void **unused)
{
    expect_agreed(PMD, PMD "; client_no_context_takeover", false, true, 15, 15);
}

/* RFC 7692 7.1.1.2: the client keeps to its hint, whatever the answer says */
static void client_no_context_takeover_in_an_offer_holds_without_an_answer(void **unused)
{
    expect_agreed(PMD "; client_no_context_takeover", PMD, false, true, 15, 15);
}

/* RFC 7692 7.1.2.1: "with the same or smaller value as the offer" */
static void server_max_window_bits_once_offered_must_be_answered_and_not_exceeded(void **unused)
{
    expect_agreed(PMD "; server_max_window_bits=10", PMD "; server_max_window_bits=10", false,
                  false, 10, 15);
    expect_agreed(PMD "; server_max_window_bits=10", PMD "; server_max_window_bits=8", false, false,
                  8, 15);
    expect_refused(PMD "; server_max_window_bits=10", PMD "; server_max_window_bits=11");
    expect_refused(PMD "; server_max_window_bits=10", PMD);
}

/* RFC 7692 7.1.2.1: the answer may include it though the offer did not */
static void server_max_window_bits_may_be_answered_unasked(void **unused)
{
    expect_agreed(PMD, PMD "; server_max_window_bits=9", false, false, 9, 15);
}

/* RFC 7692 7.1.2.2 */
static void client_max_window_bits_may_be_answered_only_when_offered(void **unused)
{
    expect_refused(PMD, PMD "; client_max_window_bits=10");
    expect_agreed(PMD "; client_max_window_bits", PMD "; client_max_window_bits=10", false, false,
                  15, 10);
}

/* RFC 7692 7.1.2.2 */
static void client_max_window_bits_needs_a_value_in_an_answer(void **unused)
{
    expect_refused(PMD "; client_max_window_bits", PMD "; client_max_window_bits");
}

/* RFC 7692 7.1.2.2 */
static void client_max_window_bits_does_not_exceed_the_offered_value(void **unused)
{
    expect_agreed(PMD "; client_max_window_bits=12", PMD "; client_max_window_bits=12", false,
                  false, 15, 12);
    expect_agreed(PMD "; client_max_window_bits=12", PMD "; client_max_window_bits=9", false, false,
                  15, 9);
    expect_refused(PMD "; client_max_window_bits=12", PMD "; client_max_window_bits=13");
    /* The hint holds when the answer is silent. */
    expect_agreed(PMD "; client_max_window_bits=12", PMD, false, false, 15, 12);
}

/* RFC 7692 5.2, 7.1.3: the answer fits one of the offers, in the order of preference */
static void an_answer_may_fit_a_later_offer(void **unused)
{
    const char *offers =
        PMD "; server_max_window_bits=10; client_max_window_bits, " PMD "; client_max_window_bits";
    expect_agreed(offers, PMD "; server_max_window_bits=10; client_max_window_bits=11", false,
                  false, 10, 11);
    expect_agreed(offers, PMD "; client_max_window_bits=11", false, false, 15, 11);
    expect_agreed(offers, PMD, false, false, 15, 15);
}

/* --- A server that answers --- */

static void expect_accepted(const char *offers, const char *answer, uint8_t server_bits,
                            uint8_t client_bits)
{
    struct hf_buffer text;
    hf_buffer_init(&text, &hf_heap, 256);
    assert_int_equal(hf_extension_accept(hf_slice_of(offers), &text, &agreed), HF_EXTENSION_OK);
    assert_false(text.failed);
    if (!hf_slice_eq(hf_buffer_slice(&text), hf_slice_of(answer))) {
        fail_msg("answered %.*s",
                 HF_SLICE_ARG(text.len > 0 ? hf_buffer_slice(&text) : HF_LITERAL("nothing")));
    }
    hf_buffer_reset(&text);
    assert_int_equal(agreed.server_bits, server_bits);
    assert_int_equal(agreed.client_bits, client_bits);
    /* What our server says, our client takes. */
    const struct hf_deflate ours = agreed;
    assert_int_equal(answer2(offers, answer, NULL), HF_EXTENSION_OK);
    assert_memory_equal(&ours, &agreed, sizeof(agreed));
}

/* RFC 7692 7.1 */
static void the_first_offer_is_accepted_with_an_answer_that_fits(void **unused)
{
    expect_accepted(PMD, PMD, 15, 15);
    expect_accepted(PMD "; client_max_window_bits", PMD, 15, 15);
    expect_accepted(PMD "; client_max_window_bits=9", PMD, 15, 9);
    expect_accepted(PMD "; server_max_window_bits=8, " PMD, PMD "; server_max_window_bits=8", 8,
                    15);
    expect_accepted(PMD "; client_no_context_takeover; server_no_context_takeover",
                    PMD "; server_no_context_takeover; client_no_context_takeover", 15, 15);
}

static void no_offer_gets_no_answer(void **unused)
{
    struct hf_buffer text;
    hf_buffer_init(&text, &hf_heap, 256);
    assert_int_equal(hf_extension_accept(hf_slice_of(""), &text, &agreed), HF_EXTENSION_NONE);
    assert_int_equal(text.len, 0);
    assert_false(agreed.agreed);
}

static void an_allocation_that_fails_is_seen_in_the_buffer(void **unused)
{
    struct test_alloc ta;
    struct hf_buffer offers;
    test_alloc_init(&ta);
    hf_buffer_init(&offers, &ta.alloc, 4096);
    test_alloc_fail_at(&ta, 1);
    make_head(PMD, NULL);
    assert_int_equal(hf_extension_offers(&head, &offers), HF_EXTENSION_OK);
    assert_true(offers.failed);
    hf_buffer_reset(&offers);
    assert_int_equal(ta.live_blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_without_the_header_offers_nothing),
        cmocka_unit_test(the_offers_of_the_rfcs_examples_are_kept_byte_for_byte),
        cmocka_unit_test(offers_on_several_lines_keep_their_order),
        cmocka_unit_test(other_extensions_are_taken_out),
        cmocka_unit_test(an_offer_with_an_unknown_parameter_is_taken_out),
        cmocka_unit_test(an_offer_with_a_repeated_parameter_is_taken_out),
        cmocka_unit_test(a_value_for_no_context_takeover_is_bad),
        cmocka_unit_test(window_bits_are_8_to_15_without_leading_zeros),
        cmocka_unit_test(server_max_window_bits_needs_a_value),
        cmocka_unit_test(client_max_window_bits_needs_no_value_in_an_offer),
        cmocka_unit_test(a_quoted_value_counts_when_it_is_a_token_inside),
        cmocka_unit_test(what_the_grammar_does_not_allow_is_a_syntax_error),
        cmocka_unit_test(empty_members_of_the_list_are_passed_over),
        cmocka_unit_test(space_around_the_equals_sign_is_allowed),
        cmocka_unit_test(no_answer_agrees_to_nothing),
        cmocka_unit_test(a_plain_answer_agrees_to_full_windows),
        cmocka_unit_test(an_answer_nobody_asked_for_is_refused),
        cmocka_unit_test(two_answers_are_refused),
        cmocka_unit_test(an_answer_that_cannot_be_parsed_is_a_syntax_error),
        cmocka_unit_test(an_answer_with_an_unknown_repeated_or_bad_parameter_is_refused),
        cmocka_unit_test(server_no_context_takeover_may_be_answered_unasked),
        cmocka_unit_test(server_no_context_takeover_once_offered_must_be_answered),
        cmocka_unit_test(client_no_context_takeover_may_be_answered_unasked),
        cmocka_unit_test(client_no_context_takeover_in_an_offer_holds_without_an_answer),
        cmocka_unit_test(server_max_window_bits_once_offered_must_be_answered_and_not_exceeded),
        cmocka_unit_test(server_max_window_bits_may_be_answered_unasked),
        cmocka_unit_test(client_max_window_bits_may_be_answered_only_when_offered),
        cmocka_unit_test(client_max_window_bits_needs_a_value_in_an_answer),
        cmocka_unit_test(client_max_window_bits_does_not_exceed_the_offered_value),
        cmocka_unit_test(an_answer_may_fit_a_later_offer),
        cmocka_unit_test(the_first_offer_is_accepted_with_an_answer_that_fits),
        cmocka_unit_test(no_offer_gets_no_answer),
        cmocka_unit_test(an_allocation_that_fails_is_seen_in_the_buffer),
    };
    return cmocka_run_group_tests_name("ws extension", tests, NULL, NULL);
}
