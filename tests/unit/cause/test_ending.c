/* SPDX-License-Identifier: Apache-2.0 */
/* The table of endings: whole, unambiguous and readable. */
#include "cause/ending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the four above. */
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool is_one_of(const char *text, const char *const *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, all[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void every_promised_cause_has_a_row(void **state)
{
    /* The public ids: logs, metrics and dashboards of users hang on them. None may vanish. */
    static const char *const promised[] = {
        "client_close",
        "backend_close",
        "client_fin",
        "backend_fin",
        "client_reset",
        "backend_reset",
        "client_heartbeat",
        "backend_heartbeat",
        "client_timeout",
        "backend_timeout",
        "client_stuck",
        "backend_stuck",
        "client_protocol",
        "backend_protocol",
        "hold_expired",
        "backend_gone",
        "message_too_big",
        "frame_too_big",
        "bad_utf8",
        "message_rate",
        "token_expired",
        "client_silent",
        "session_expired",
        "session_overflow",
        "session_limit",
        "session_poison",
        "session_stale",
        "drain",
        "stop",
        "handshake_timeout",
        "handshake_bad",
        "not_websocket",
        "no_route",
        "host_refused",
        "origin_refused",
        "auth_missing",
        "auth_invalid",
        "auth_refused",
        "auth_unavailable",
        "connection_limit",
        "handshake_rate",
        "client_gone",
        "backend_refused",
        "backend_unreachable",
        "backend_handshake",
        "backend_slow",
        "out_of_resources",
        "tls_failed",
        "proxy_header_bad",
        "internal",
    };
    for (size_t i = 0; i < COUNT(promised); i++) {
        enum hf_cause cause = hf_cause_from_id(hf_slice_of(promised[i]));
        assert_int_not_equal(cause, HF_CAUSE_NONE);
        assert_string_equal(hf_cause_id(cause), promised[i]);
    }
    assert_int_equal(hf_cause_count(), COUNT(promised) + 1);
}

static void each_id_is_its_enum_name_in_snake_case_and_leads_back_to_it(void **state)
{
    static const char *const names[] = {"NONE",
#define NAME(name, id, who, phase, sentence, advice) #name,
                                        HF_CAUSE_TABLE(NAME)
#undef NAME
    };
    for (unsigned i = 1; i < hf_cause_count(); i++) {
        const char *id = hf_cause_id((enum hf_cause)i);
        assert_true(hf_slice_eq_nocase(hf_slice_of(id), hf_slice_of(names[i])));
        for (const char *p = id; *p != '\0'; p++) {
            assert_true((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_');
        }
        assert_int_equal(hf_cause_from_id(hf_slice_of(id)), i); /* so no id stands twice */
    }
}

static void every_row_says_who_and_when(void **state)
{
    static const char *const who[] = {"client", "backend", "gateway", "network"};
    static const char *const phases[] = {"accept", "handshake", "upstream", "open", "any"};
    for (unsigned i = 1; i < hf_cause_count(); i++) {
        assert_true(is_one_of(hf_cause_who((enum hf_cause)i), who, COUNT(who)));
        assert_true(is_one_of(hf_cause_phase((enum hf_cause)i), phases, COUNT(phases)));
    }
}

static void assert_is_prose(const char *text)
{
    size_t len = strlen(text);
    assert_in_range(len, 20, 200);
    assert_true(text[0] >= 'A' && text[0] <= 'Z');
    assert_int_equal(text[len - 1], '.');
    assert_null(strstr(text, "  "));
    for (size_t i = 0; i < len; i++) {
        assert_in_range(text[i], ' ', '~');
    }
}

static void every_row_tells_people_what_happened_and_what_to_do(void **state)
{
    for (unsigned i = 1; i < hf_cause_count(); i++) {
        assert_is_prose(hf_cause_sentence((enum hf_cause)i));
        assert_is_prose(hf_cause_advice((enum hf_cause)i));
        for (unsigned k = 1; k < i; k++) {
            assert_string_not_equal(hf_cause_sentence((enum hf_cause)i),
                                    hf_cause_sentence((enum hf_cause)k));
        }
    }
}

static void the_side_in_an_id_is_the_side_that_the_row_accuses_or_the_network(void **state)
{
    for (unsigned i = 1; i < hf_cause_count(); i++) {
        struct hf_slice id = hf_slice_of(hf_cause_id((enum hf_cause)i));
        const char *who = hf_cause_who((enum hf_cause)i);
        if (strcmp(who, "network") != 0 && hf_slice_starts(id, HF_LITERAL("client_"))) {
            assert_string_equal(who, "client");
        }
        if (strcmp(who, "network") != 0 && hf_slice_starts(id, HF_LITERAL("backend_"))) {
            assert_string_equal(who, "backend");
        }
    }
}

static void an_unknown_id_is_no_cause(void **state)
{
    static const char *const unknown[] = {"", "none", "client", "client_close ", "CLIENT_CLOSE"};
    for (size_t i = 0; i < COUNT(unknown); i++) {
        assert_int_equal(hf_cause_from_id(hf_slice_of(unknown[i])), HF_CAUSE_NONE);
    }
    assert_int_equal(hf_cause_from_id(HF_LITERAL("drain\0")), HF_CAUSE_NONE);
}

static void a_zeroed_record_has_no_cause_and_printable_words(void **state)
{
    struct hf_ending ending = {0};
    assert_int_equal(ending.cause, HF_CAUSE_NONE);
    assert_string_equal(hf_cause_id(ending.cause), "none");
    assert_string_equal(hf_cause_who(ending.cause), "none");
    assert_string_equal(hf_cause_phase(ending.cause), "none");
    assert_string_equal(hf_cause_sentence(ending.cause), "");
    assert_string_equal(hf_cause_advice(ending.cause), "");
}

static void a_reason_of_a_close_frame_fits_with_its_end(void **state)
{
    /* RFC 6455 5.5: a control frame carries 125 bytes, of which the code takes 2. */
    assert_int_equal(sizeof(((struct hf_ending *)NULL)->reason), 125 - 2 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_promised_cause_has_a_row),
        cmocka_unit_test(each_id_is_its_enum_name_in_snake_case_and_leads_back_to_it),
        cmocka_unit_test(every_row_says_who_and_when),
        cmocka_unit_test(every_row_tells_people_what_happened_and_what_to_do),
        cmocka_unit_test(the_side_in_an_id_is_the_side_that_the_row_accuses_or_the_network),
        cmocka_unit_test(an_unknown_id_is_no_cause),
        cmocka_unit_test(a_zeroed_record_has_no_cause_and_printable_words),
        cmocka_unit_test(a_reason_of_a_close_frame_fits_with_its_end),
    };
    return cmocka_run_group_tests_name("ending", tests, NULL, NULL);
}
