/* SPDX-License-Identifier: Apache-2.0 */
/* What an endpoint makes of its peer's bytes: RFC 6455 sections 5 to 8, both roles, whole and one
 * byte at a time. */
#include "story.h"

/* --- RFC 6455 5.7, the examples, byte for byte --- */

static void the_rfcs_unmasked_hello_is_read_by_a_client(void **unused)
{
    begin(true);
    raw("\x81\x05\x48\x65\x6c\x6c\x6f", 7);
    tells("text(Hello)");
}

static void the_rfcs_masked_hello_is_read_by_a_server(void **unused)
{
    begin(false);
    raw("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    tells("text(Hello)");
}

static void the_rfcs_fragmented_hello_is_one_message(void **unused)
{
    begin(true);
    raw("\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f", 9);
    tells("text(Hello)");
}

static void the_rfcs_ping_is_answered_with_its_payload(void **unused)
{
    begin(true);
    raw("\x89\x05\x48\x65\x6c\x6c\x6f", 7);
    tells("ping(Hello) | pong(Hello)");
}

static void the_rfcs_masked_pong_is_read_by_a_server(void **unused)
{
    begin(false);
    raw("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    tells("pong(Hello)");
}

static void binary_messages_of_256_bytes_and_64_kib_are_read(void **unused)
{
    static const uint8_t zeros[65536];
    BOTH_ROLES
    {
        frame_of(0x82, zeros, 256);
        frame_of(0x82, zeros, 65535);
        frame_of(0x82, zeros, 65536);
        tells("binary(256 bytes) binary(65535 bytes) binary(65536 bytes)");
    }
}

/* --- RFC 6455 5.1: masking --- */

static void a_server_refuses_an_unmasked_frame(void **unused)
{
    begin(false);
    raw("\x81\x05Hello", 7);
    tells("unmasked frame from a client:1002 | close 1002");
    raw("\x89\x00", 2);
    tells("unmasked frame from a client:1002 | close 1002");
}

static void a_client_refuses_a_masked_frame(void **unused)
{
    begin(true);
    raw("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11);
    tells("masked frame from a server:1002 | close 1002");
    raw("\x88\x80\x37\xfa\x21\x3d", 6);
    tells("masked frame from a server:1002 | close 1002");
}

/* --- RFC 6455 5.2: base framing --- */

static void every_reserved_bit_is_refused_without_an_extension(void **unused)
{
    BOTH_ROLES
    {
        for (uint8_t rsv = 1; rsv < 8; rsv++) {
            frame_of((uint8_t)(0x81 | rsv << 4), "x", 1);
            tells("reserved bit set:1002 | close 1002");
            frame_of((uint8_t)(0x89 | rsv << 4), "x", 1);
            tells("reserved bit set:1002 | close 1002");
        }
    }
}

static void every_reserved_opcode_is_refused(void **unused)
{
    static const uint8_t reserved[] = {3, 4, 5, 6, 7, 11, 12, 13, 14, 15};
    BOTH_ROLES
    {
        for (size_t i = 0; i < sizeof(reserved); i++) {
            frame_of(0x80 | reserved[i], "", 0);
            tells("reserved opcode:1002 | close 1002");
        }
    }
}

static void a_length_not_in_its_shortest_form_fails_the_connection(void **unused)
{
    BOTH_ROLES
    {
        const uint8_t mask = role == 1 ? 0 : 0x80;
        raw((uint8_t[]){0x82, 126 | mask, 0, 125}, 4);
        tells("payload length not in its shortest form:1002 | close 1002");
        raw((uint8_t[]){0x82, 127 | mask, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 10);
        tells("payload length not in its shortest form:1002 | close 1002");
        raw((uint8_t[]){0x82, 127 | mask, 0x80, 0, 0, 0, 0, 1, 0, 0}, 10);
        tells("payload length not in its shortest form:1002 | close 1002");
    }
}

/* --- RFC 6455 5.4: fragmentation --- */

static void fragments_make_one_message_of_the_first_ones_kind(void **unused)
{
    BOTH_ROLES
    {
        frame(0x01, "He");
        frame(0x00, "ll");
        frame(0x00, "");
        frame(0x80, "o");
        frame(0x02, "");
        frame(0x80, "\x00\xff");
        frame(0x81, "next");
        tells("text(Hello) binary(\\x00\\xff) text(next)");
    }
}

static void empty_messages_whole_and_in_fragments_are_messages(void **unused)
{
    BOTH_ROLES
    {
        frame(0x81, "");
        frame(0x02, "");
        frame(0x00, "");
        frame(0x80, "");
        tells("text() binary()");
    }
}

static void control_frames_between_fragments_are_handled_at_once(void **unused)
{
    BOTH_ROLES
    {
        frame(0x01, "He");
        frame(0x89, "a");
        frame(0x00, "ll");
        frame(0x8a, "b");
        frame(0x80, "o");
        tells("ping(a) pong(b) text(Hello) | pong(a)");
    }
}

static void a_close_between_fragments_ends_it_without_the_message(void **unused)
{
    BOTH_ROLES
    {
        frame(0x01, "He");
        frame(0x88, "\x03\xe8");
        frame(0x80, "llo");
        tells("close 1000() | close 1000");
    }
}

static void a_continuation_without_a_message_is_refused(void **unused)
{
    BOTH_ROLES
    {
        frame(0x80, "x");
        tells("continuation without a message:1002 | close 1002");
        frame(0x00, "x");
        tells("continuation without a message:1002 | close 1002");
        frame(0x81, "x");
        frame(0x80, "y");
        tells("text(x) continuation without a message:1002 | close 1002");
    }
}

static void a_new_message_inside_a_fragmented_one_is_refused(void **unused)
{
    BOTH_ROLES
    {
        frame(0x01, "x");
        frame(0x81, "y");
        tells("new message inside a fragmented one:1002 | close 1002");
        frame(0x02, "x");
        frame(0x01, "y");
        tells("new message inside a fragmented one:1002 | close 1002");
    }
}

/* --- RFC 6455 5.5: control frames --- */

static void a_fragmented_control_frame_is_refused(void **unused)
{
    BOTH_ROLES
    {
        frame(0x09, "x");
        tells("fragmented control frame:1002 | close 1002");
        frame(0x0a, "x");
        tells("fragmented control frame:1002 | close 1002");
        frame(0x08, "\x03\xe8");
        tells("fragmented control frame:1002 | close 1002");
    }
}

static void a_control_frame_has_at_most_125_bytes(void **unused)
{
    static const uint8_t zeros[126];
    BOTH_ROLES
    {
        frame_of(0x8a, zeros, 126);
        tells("control frame longer than 125 bytes:1002 | close 1002");
        /* Its payload is not waited for. */
        part_of_frame(0x89, 1ULL << 40, "", 0);
        tells("control frame longer than 125 bytes:1002 | close 1002");
        frame_of(0x81, zeros, 1);
        frame_of(0x88, zeros, 126);
        tells("text(\\x00) control frame longer than 125 bytes:1002 | close 1002");
    }
}

static void a_ping_of_125_bytes_is_answered_whole(void **unused)
{
    char payload[126];
    char story[400];
    memset(payload, 'p', 125);
    payload[125] = 0;
    (void)snprintf(story, sizeof(story), "ping(%s) | pong(%s)", payload, payload);
    BOTH_ROLES
    {
        frame_of(0x89, payload, 125);
        tells(story);
    }
}

/* RFC 6455 5.5.1 */
static void a_close_is_answered_with_its_code(void **unused)
{
    BOTH_ROLES
    {
        frame(0x88, "\x03\xe8");
        tells("close 1000() | close 1000");
        frame(0x88, "\x03\xe9"
                    "bye");
        tells("close 1001(bye) | close 1001");
        frame(0x88, "\x0b\xb8");
        tells("close 3000() | close 3000");
        frame(0x88, "\x13\x87");
        tells("close 4999() | close 4999");
    }
}

/* RFC 6455 7.1.5 */
static void an_empty_close_means_1005_and_is_answered_empty(void **unused)
{
    BOTH_ROLES
    {
        frame(0x88, "");
        tells("close 1005() | close 1005");
    }
}

/* RFC 6455 5.5.1 */
static void a_close_of_one_byte_is_refused(void **unused)
{
    BOTH_ROLES
    {
        frame(0x88, "\x03");
        tells("close payload not allowed:1002 | close 1002");
        frame(0x8a, "\x03\xe8"); /* what an earlier frame left behind does not make it whole */
        frame(0x88, "\x03");
        tells("pong(\\x03\\xe8) close payload not allowed:1002 | close 1002");
    }
}

/* RFC 6455 7.4.1, 7.4.2 */
static void a_close_with_a_code_nobody_may_send_is_refused(void **unused)
{
    static const uint16_t bad[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535};
    BOTH_ROLES
    {
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            frame_of(0x88, (uint8_t[]){(uint8_t)(bad[i] >> 8), (uint8_t)bad[i]}, 2);
            tells("close payload not allowed:1002 | close 1002");
        }
    }
}

/* RFC 6455 5.5.1, 8.1 */
static void a_close_whose_reason_is_not_utf8_is_refused(void **unused)
{
    BOTH_ROLES
    {
        frame(0x88, "\x03\xe8\xff");
        tells("close reason is not UTF-8:1007 | close 1007");
        frame(0x88, "\x03\xe8"
                    "cut \xe2\x82");
        tells("close reason is not UTF-8:1007 | close 1007");
    }
}

/* RFC 6455 5.5.1 */
static void after_a_close_nothing_is_read(void **unused)
{
    BOTH_ROLES
    {
        frame(0x88, "\x03\xe8");
        frame(0x81, "too late");
        frame(0x89, "too late");
        frame(0x88, "\x03\xe9");
        raw("\xff\xff\xff", 3);
        tells("close 1000() | close 1000");
    }
}

/* RFC 6455 5.5.2 */
static void a_caller_who_wants_silent_pings_answers_them_or_does_not(void **unused)
{
    const struct hf_endpoint_options options = {
        .client = true, .silent_pings = true, .message_max = 100, .alloc = &hf_heap};
    struct hf_endpoint *e = hf_endpoint_new(&options);
    struct hf_endpoint_event event;
    assert_int_equal(hf_endpoint_feed(e, HF_LITERAL("\x89\x01q")), HF_OK);
    assert_int_equal(hf_endpoint_next(e, &event), HF_ENDPOINT_PING);
    assert_true(hf_slice_eq(event.data, HF_LITERAL("q")));
    assert_int_equal(hf_endpoint_out(e)->len, 0);
    assert_int_equal(hf_endpoint_pong(e, HF_LITERAL("other")), HF_OK);
    assert_int_equal(hf_endpoint_out(e)->data[0], 0x8A);
    assert_int_equal(hf_endpoint_out(e)->data[1], 0x80 | 5);
    uint8_t long_one[126] = {0};
    assert_int_equal(hf_endpoint_pong(e, hf_slice(long_one, 126)), HF_INVALID);
    assert_int_equal(hf_endpoint_close(e, 1000, hf_slice(NULL, 0)), HF_OK);
    assert_int_equal(hf_endpoint_pong(e, hf_slice(NULL, 0)), HF_INVALID);
    hf_endpoint_free(e);
}

static void every_ping_is_answered_in_order(void **unused)
{
    BOTH_ROLES
    {
        frame(0x89, "");
        frame(0x89, "\x00\xff");
        tells("ping() ping(\\x00\\xff) | pong() pong(\\x00\\xff)");
    }
}

/* RFC 6455 5.5.3 */
static void a_pong_nobody_asked_for_is_told_and_not_answered(void **unused)
{
    BOTH_ROLES
    {
        frame(0x8a, "x");
        frame(0x8a, "");
        tells("pong(x) pong()");
    }
}

/* --- RFC 6455 5.6, 8.1: data --- */

static void binary_may_hold_any_bytes(void **unused)
{
    BOTH_ROLES
    {
        frame(0x82, "\xff\xc0\x80");
        tells("binary(\\xff\\xc0\\x80)");
    }
}

static void a_character_may_be_cut_by_fragments_and_control_frames(void **unused)
{
    BOTH_ROLES
    {
        frame(0x01, "\xe2");
        frame(0x00, "\x82");
        frame(0x89, "\xff");
        frame(0x80, "\xac");
        tells("ping(\\xff) text(\\xe2\\x82\\xac) | pong(\\xff)");
    }
}

static void text_that_is_not_utf8_is_refused(void **unused)
{
    BOTH_ROLES
    {
        frame(0x81, "Hello \xc0\xaf");
        tells("text is not UTF-8:1007 | close 1007");
        frame(0x81, "\xed\xa0\x80");
        tells("text is not UTF-8:1007 | close 1007");
        frame(0x81, "\xf4\x90\x80\x80");
        tells("text is not UTF-8:1007 | close 1007");
    }
}

static void text_that_ends_inside_a_character_is_refused(void **unused)
{
    BOTH_ROLES
    {
        frame(0x81, "\xe2\x82");
        tells("text is not UTF-8:1007 | close 1007");
        frame(0x01, "a\xe2\x82");
        frame(0x80, "");
        tells("text is not UTF-8:1007 | close 1007");
    }
}

static void a_bad_byte_is_told_before_its_frame_is_whole(void **unused)
{
    BOTH_ROLES
    {
        part_of_frame(0x81, 1000, "ab\xff", 3);
        tells("text is not UTF-8:1007 | close 1007");
    }
}

static void a_bad_byte_is_told_in_a_fragment_before_the_message_ends(void **unused)
{
    BOTH_ROLES
    {
        frame(0x01, "ab");
        part_of_frame(0x00, 1000, "\xf8", 1);
        tells("text is not UTF-8:1007 | close 1007");
    }
}

/* A fault in one message does not come from the state of the one before. */
static void each_text_is_checked_from_a_fresh_start(void **unused)
{
    BOTH_ROLES
    {
        frame(0x81, "\xe2\x82\xac");
        frame(0x82, "\xe2");
        frame(0x81, "\x82");
        tells("text(\\xe2\\x82\\xac) binary(\\xe2) text is not UTF-8:1007 | close 1007");
    }
}

/* --- RFC 6455 7.4.1, 10.4: limits --- */

static void a_message_of_exactly_the_limit_is_taken(void **unused)
{
    BOTH_ROLES
    {
        scene.message_max = 5;
        frame(0x81, "Hello");
        frame(0x01, "Hel");
        frame(0x80, "lo");
        tells("text(Hello) text(Hello)");
    }
}

static void a_message_beyond_the_limit_is_refused_at_its_head(void **unused)
{
    BOTH_ROLES
    {
        scene.message_max = 5;
        part_of_frame(0x81, 6, "", 0);
        tells("message too big:1009 | close 1009");
        part_of_frame(0x82, INT64_MAX, "", 0);
        tells("message too big:1009 | close 1009");
        frame(0x01, "Hel");
        part_of_frame(0x80, 3, "", 0);
        tells("message too big:1009 | close 1009");
    }
}

static void a_limit_of_nothing_still_takes_empty_messages_and_pings(void **unused)
{
    BOTH_ROLES
    {
        scene.message_max = 0;
        frame(0x81, "");
        frame(0x89, "x");
        frame(0x81, "x");
        tells("text() ping(x) message too big:1009 | pong(x) close 1009");
    }
}

static void no_limit_at_all_is_possible(void **unused)
{
    BOTH_ROLES
    {
        scene.message_max = UINT64_MAX;
        frame(0x81, "x");
        tells("text(x)");
    }
}

/* --- RFC 6455 7.1.7 --- */

static void after_a_fault_nothing_is_read_and_one_close_is_sent(void **unused)
{
    BOTH_ROLES
    {
        frame(0x83, "");
        frame(0x81, "too late");
        frame(0x89, "too late");
        frame(0x88, "\x03\xe8");
        tells("reserved opcode:1002 | close 1002");
    }
}

static void messages_before_a_fault_are_delivered(void **unused)
{
    BOTH_ROLES
    {
        frame(0x81, "one");
        frame(0x81, "two");
        frame(0x83, "");
        tells("text(one) text(two) reserved opcode:1002 | close 1002");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rfcs_unmasked_hello_is_read_by_a_client),
        cmocka_unit_test(the_rfcs_masked_hello_is_read_by_a_server),
        cmocka_unit_test(the_rfcs_fragmented_hello_is_one_message),
        cmocka_unit_test(the_rfcs_ping_is_answered_with_its_payload),
        cmocka_unit_test(the_rfcs_masked_pong_is_read_by_a_server),
        cmocka_unit_test(binary_messages_of_256_bytes_and_64_kib_are_read),
        cmocka_unit_test(a_server_refuses_an_unmasked_frame),
        cmocka_unit_test(a_client_refuses_a_masked_frame),
        cmocka_unit_test(every_reserved_bit_is_refused_without_an_extension),
        cmocka_unit_test(every_reserved_opcode_is_refused),
        cmocka_unit_test(a_length_not_in_its_shortest_form_fails_the_connection),
        cmocka_unit_test(fragments_make_one_message_of_the_first_ones_kind),
        cmocka_unit_test(empty_messages_whole_and_in_fragments_are_messages),
        cmocka_unit_test(control_frames_between_fragments_are_handled_at_once),
        cmocka_unit_test(a_close_between_fragments_ends_it_without_the_message),
        cmocka_unit_test(a_continuation_without_a_message_is_refused),
        cmocka_unit_test(a_new_message_inside_a_fragmented_one_is_refused),
        cmocka_unit_test(a_fragmented_control_frame_is_refused),
        cmocka_unit_test(a_control_frame_has_at_most_125_bytes),
        cmocka_unit_test(a_ping_of_125_bytes_is_answered_whole),
        cmocka_unit_test(a_close_is_answered_with_its_code),
        cmocka_unit_test(an_empty_close_means_1005_and_is_answered_empty),
        cmocka_unit_test(a_close_of_one_byte_is_refused),
        cmocka_unit_test(a_close_with_a_code_nobody_may_send_is_refused),
        cmocka_unit_test(a_close_whose_reason_is_not_utf8_is_refused),
        cmocka_unit_test(after_a_close_nothing_is_read),
        cmocka_unit_test(a_caller_who_wants_silent_pings_answers_them_or_does_not),
        cmocka_unit_test(every_ping_is_answered_in_order),
        cmocka_unit_test(a_pong_nobody_asked_for_is_told_and_not_answered),
        cmocka_unit_test(binary_may_hold_any_bytes),
        cmocka_unit_test(a_character_may_be_cut_by_fragments_and_control_frames),
        cmocka_unit_test(text_that_is_not_utf8_is_refused),
        cmocka_unit_test(text_that_ends_inside_a_character_is_refused),
        cmocka_unit_test(a_bad_byte_is_told_before_its_frame_is_whole),
        cmocka_unit_test(a_bad_byte_is_told_in_a_fragment_before_the_message_ends),
        cmocka_unit_test(each_text_is_checked_from_a_fresh_start),
        cmocka_unit_test(a_message_of_exactly_the_limit_is_taken),
        cmocka_unit_test(a_message_beyond_the_limit_is_refused_at_its_head),
        cmocka_unit_test(a_limit_of_nothing_still_takes_empty_messages_and_pings),
        cmocka_unit_test(no_limit_at_all_is_possible),
        cmocka_unit_test(after_a_fault_nothing_is_read_and_one_close_is_sent),
        cmocka_unit_test(messages_before_a_fault_are_delivered),
    };
    return cmocka_run_group_tests_name("ws endpoint", tests, NULL, NULL);
}
