/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the library: what is refused and said, and that a client's settings do not change
 * behind its back. */
#include "client/options.h"

#include "test_unit.h"

static void a_url_that_is_none_is_refused_with_a_reason(void **state)
{
    struct holdfast_options *o = holdfast_options_new();
    static const char *const bad[] = {"",          "app.example",      "ftp://x/",
                                      "ws://",     "ws://u@h/",        "ws://h/#part",
                                      "ws://h:0/", "ws://h/with space"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(holdfast_options_add_url(o, bad[i]), HOLDFAST_INVALID);
        assert_true(strlen(holdfast_options_error(o)) > 5);
    }
    assert_int_equal(holdfast_options_add_url(o, NULL), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_add_url(o, "wss://[::1]:1/p?q"), HOLDFAST_OK);
    assert_string_equal(holdfast_options_error(o), "");
    holdfast_options_free(o);
}

static void there_are_at_most_sixteen_endpoints(void **state)
{
    struct holdfast_options *o = holdfast_options_new();
    for (int i = 0; i < 16; i++) {
        assert_int_equal(holdfast_options_add_url(o, "ws://h/"), HOLDFAST_OK);
    }
    assert_int_equal(holdfast_options_add_url(o, "ws://h/"), HOLDFAST_INVALID);
    holdfast_options_free(o);
}

static void headers_that_would_break_the_handshake_are_refused(void **state)
{
    struct holdfast_options *o = holdfast_options_new();
    assert_int_equal(holdfast_options_add_header(o, "X-Fine", "yes, it is"), HOLDFAST_OK);
    assert_int_equal(holdfast_options_add_header(o, "X-Empty", ""), HOLDFAST_OK);
    assert_int_equal(holdfast_options_add_header(o, "Cookie", "a=b"), HOLDFAST_OK);
    assert_int_equal(holdfast_options_add_header(o, "X-Bad", "a\r\nHost: b"), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_add_header(o, "X Bad", "a"), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_add_header(o, "", "a"), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_add_header(o, NULL, "a"), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_add_header(o, "X-None", NULL), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_add_header(o, "host", "a"), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_add_header(o, "SEC-WEBSOCKET-KEY", "a"), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_add_header(o, "Origin", "a"), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_set_origin(o, "https://a\n"), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_set_token(o, "a\r\nb"), HOLDFAST_INVALID);
    holdfast_options_free(o);
}

static void a_subprotocol_is_a_token_offered_once_and_never_one_of_the_library(void **state)
{
    struct holdfast_options *o = holdfast_options_new();
    assert_int_equal(holdfast_options_add_protocol(o, "chat.v2"), HOLDFAST_OK);
    assert_int_equal(holdfast_options_add_protocol(o, "chat.v2"), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_add_protocol(o, "a,b"), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_add_protocol(o, ""), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_add_protocol(o, "hf1"), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_add_protocol(o, "hf1.r.x"), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_add_protocol(o, "hf12"), HOLDFAST_OK);
    holdfast_options_free(o);
}

static void numbers_out_of_range_are_refused_and_change_nothing(void **state)
{
    struct holdfast_options *o = holdfast_options_new();
    enum holdfast_status why;
    assert_int_equal(holdfast_options_add_url(o, "ws://h/"), HOLDFAST_OK);
    assert_int_equal(holdfast_options_set_queue(o, 0, 1), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_set_queue(o, 1, 0), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_set_heartbeat(o, -1, 1), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_set_heartbeat(o, 0, 0), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_set_backoff(o, 0, 10), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_set_backoff(o, 11, 10), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_set_backoff(o, 1, 86400001), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_set_connect_timeout(o, 99), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_set_message_max(o, 0), HOLDFAST_INVALID);
    assert_int_equal(holdfast_options_set_proxy(o, "socks://h"), HOLDFAST_INVALID);
    struct hf_settings *s = hf_settings_of(o, &why);
    assert_int_equal(s->queue_messages, 16384);
    assert_int_equal(s->heartbeat_interval, HF_SECONDS(25));
    assert_int_equal(s->backoff_base, HF_SECONDS(1));
    assert_int_equal(s->backoff_cap, HF_SECONDS(30));
    assert_null(s->proxy);
    hf_settings_unref(s);
    holdfast_options_free(o);
}

static void settings_that_a_client_holds_do_not_change_with_the_options(void **state)
{
    struct holdfast_options *o = holdfast_options_new();
    enum holdfast_status why;
    assert_int_equal(holdfast_options_add_url(o, "ws://one/"), HOLDFAST_OK);
    assert_int_equal(holdfast_options_set_token(o, "first"), HOLDFAST_OK);
    struct hf_settings *held = hf_settings_of(o, &why);
    assert_int_equal(holdfast_options_set_token(o, "second"), HOLDFAST_OK);
    assert_int_equal(holdfast_options_add_url(o, "ws://two/"), HOLDFAST_OK);
    assert_int_equal(holdfast_options_add_header(o, "A", "b"), HOLDFAST_OK);
    struct hf_settings *fresh = hf_settings_of(o, &why);
    assert_string_equal(held->token, "first");
    assert_int_equal(held->url_count, 1);
    assert_int_equal(held->header_count, 0);
    assert_string_equal(fresh->token, "second");
    assert_string_equal(fresh->urls[1], "ws://two/");
    holdfast_options_free(o);
    hf_settings_unref(held);
    hf_settings_unref(fresh);
}

static void without_an_endpoint_there_is_no_client(void **state)
{
    struct holdfast_options *o = holdfast_options_new();
    enum holdfast_status why = HOLDFAST_OK;
    assert_null(holdfast_client_new(NULL, o, &why));
    assert_int_equal(why, HOLDFAST_INVALID);
    assert_null(holdfast_client_new(NULL, o, NULL));
    holdfast_options_free(o);
}

static void words_that_are_not_known_do_no_harm(void **state)
{
    assert_string_equal(holdfast_state_text((enum holdfast_state)99), "unknown");
    assert_string_equal(holdfast_event_text((enum holdfast_event_kind)0), "unknown");
    assert_string_equal(holdfast_event_text(HOLDFAST_EVENT_AUTHORIZED), "authorized");
    assert_string_equal(holdfast_send_text(HOLDFAST_OUT_OF_MEMORY), "out_of_memory");
    assert_string_equal(holdfast_status_text(HOLDFAST_SYSTEM), "the system refused");
    assert_string_equal(holdfast_version(), HF_VERSION);
    holdfast_options_free(NULL);
    holdfast_client_free(NULL);
    holdfast_loop_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_that_is_none_is_refused_with_a_reason),
        cmocka_unit_test(there_are_at_most_sixteen_endpoints),
        cmocka_unit_test(headers_that_would_break_the_handshake_are_refused),
        cmocka_unit_test(a_subprotocol_is_a_token_offered_once_and_never_one_of_the_library),
        cmocka_unit_test(numbers_out_of_range_are_refused_and_change_nothing),
        cmocka_unit_test(settings_that_a_client_holds_do_not_change_with_the_options),
        cmocka_unit_test(without_an_endpoint_there_is_no_client),
        cmocka_unit_test(words_that_are_not_known_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
