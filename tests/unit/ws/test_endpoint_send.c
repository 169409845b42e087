/* SPDX-License-Identifier: Apache-2.0 */
/* What an endpoint sends, how it closes, and what it does when memory runs out: RFC 6455 5 to 7. */
#include "story.h"

static struct hf_endpoint *e;

static void start(void)
{
    e = new_endpoint(&hf_heap);
    story_len = 0;
    story_text[0] = 0;
}

static void sent(const char *expected)
{
    tell_sent(e, scene.client);
    expect_story(expected, "sending");
    story_len = 0;
    story_text[0] = 0;
}

/* Feeds what was put on the wire, and tells. */
static void hears(const char *expected)
{
    feed_wire(e, SIZE_MAX);
    hf_buffer_clear(&scene.wire);
    sent(expected);
}

static enum hf_status say(uint8_t opcode, bool fin, const char *text)
{
    return hf_endpoint_send_fragment(e, opcode, fin, hf_slice_of(text));
}

/* RFC 6455 5.6 */
static void text_and_binary_go_out_as_one_frame(void **unused)
{
    BOTH_ROLES
    {
        start();
        assert_int_equal(hf_endpoint_send(e, HF_OP_TEXT, HF_LITERAL("Hello")), HF_OK);
        assert_int_equal(hf_endpoint_send(e, HF_OP_BINARY, HF_LITERAL("\x00\xff")), HF_OK);
        assert_int_equal(hf_endpoint_send(e, HF_OP_TEXT, HF_LITERAL("")), HF_OK);
        sent(" | text(Hello) binary(\\x00\\xff) text()");
        hf_endpoint_free(e);
    }
}

/* RFC 6455 5.7 */
static void a_server_sends_the_rfcs_unmasked_hello(void **unused)
{
    begin(false);
    start();
    assert_int_equal(hf_endpoint_send(e, HF_OP_TEXT, HF_LITERAL("Hello")), HF_OK);
    assert_true(hf_slice_eq(hf_buffer_slice(hf_endpoint_out(e)),
                            HF_LITERAL("\x81\x05\x48\x65\x6c\x6c\x6f")));
    hf_endpoint_free(e);
}

/* RFC 6455 5.3: a fresh key for each frame */
static void a_client_masks_every_frame_with_a_fresh_key(void **unused)
{
    uint8_t keys[5][4];
    begin(true);
    start();
    assert_int_equal(hf_endpoint_send(e, HF_OP_TEXT, HF_LITERAL("same")), HF_OK);
    assert_int_equal(hf_endpoint_send(e, HF_OP_TEXT, HF_LITERAL("same")), HF_OK);
    assert_int_equal(hf_endpoint_ping(e, HF_LITERAL("same")), HF_OK);
    assert_int_equal(say(HF_OP_TEXT, false, "same"), HF_OK);
    assert_int_equal(say(HF_OP_CONTINUATION, true, "same"), HF_OK);
    struct hf_buffer *out = hf_endpoint_out(e);
    assert_int_equal(out->len, 5 * 10);
    for (size_t i = 0; i < 5; i++) {
        struct hf_frame_head head;
        assert_int_equal(hf_frame_read_head(hf_slice(out->data + 10 * i, 10), &head),
                         HF_FRAME_READ);
        assert_true(head.masked);
        memcpy(keys[i], head.mask, 4);
        for (size_t k = 0; k < i; k++) {
            assert_memory_not_equal(keys[i], keys[k], 4);
        }
        hf_mask_apply(out->data + 10 * i + 6, 4, head.mask, 0);
        assert_memory_equal(out->data + 10 * i + 6, "same", 4);
    }
    hf_endpoint_free(e);
}

static void the_keys_come_from_the_seed(void **unused)
{
    uint8_t first[2][9];
    for (uint64_t seed = 0; seed < 2; seed++) {
        for (int again = 0; again < 2; again++) {
            struct hf_endpoint *c = hf_endpoint_new(&(struct hf_endpoint_options){
                .client = true, .message_max = 9, .alloc = &hf_heap, .seed = seed});
            assert_int_equal(hf_endpoint_send(c, HF_OP_TEXT, HF_LITERAL("abc")), HF_OK);
            assert_int_equal(hf_endpoint_out(c)->len, 9);
            if (again) {
                assert_memory_equal(first[seed], hf_endpoint_out(c)->data, 9);
            }
            memcpy(first[seed], hf_endpoint_out(c)->data, 9);
            hf_endpoint_free(c);
        }
    }
    assert_memory_not_equal(first[0], first[1], 9);
}

/* RFC 6455 5.4 */
static void a_message_goes_out_in_fragments_with_pings_between_them(void **unused)
{
    BOTH_ROLES
    {
        start();
        assert_int_equal(say(HF_OP_TEXT, false, "He"), HF_OK);
        assert_int_equal(hf_endpoint_ping(e, HF_LITERAL("p")), HF_OK);
        assert_int_equal(say(HF_OP_CONTINUATION, false, ""), HF_OK);
        assert_int_equal(say(HF_OP_CONTINUATION, true, "llo"), HF_OK);
        sent(" | begin-text(He) ping(p) begin-more() more(llo)");
        hf_endpoint_free(e);
    }
}

/* RFC 6455 5.4 */
static void fragments_of_two_messages_do_not_mix(void **unused)
{
    BOTH_ROLES
    {
        start();
        assert_int_equal(say(HF_OP_CONTINUATION, true, "x"), HF_INVALID);
        assert_int_equal(say(HF_OP_TEXT, false, "a"), HF_OK);
        assert_int_equal(say(HF_OP_TEXT, false, "b"), HF_INVALID);
        assert_int_equal(hf_endpoint_send(e, HF_OP_BINARY, HF_LITERAL("b")), HF_INVALID);
        assert_int_equal(hf_endpoint_send(e, HF_OP_CONTINUATION, HF_LITERAL("b")), HF_INVALID);
        assert_int_equal(say(HF_OP_CONTINUATION, true, "c"), HF_OK);
        assert_int_equal(say(HF_OP_CONTINUATION, true, "d"), HF_INVALID);
        sent(" | begin-text(a) more(c)");
        hf_endpoint_free(e);
    }
}

/* RFC 6455 5.2: control and reserved opcodes are no messages */
static void only_text_and_binary_can_be_sent_as_messages(void **unused)
{
    BOTH_ROLES
    {
        start();
        for (unsigned opcode = 0; opcode < 256; opcode++) {
            if (opcode != HF_OP_TEXT && opcode != HF_OP_BINARY) {
                assert_int_equal(hf_endpoint_send(e, (uint8_t)opcode, HF_LITERAL("x")), HF_INVALID);
                assert_int_equal(say((uint8_t)opcode, true, "x"), HF_INVALID);
            }
        }
        sent("");
        hf_endpoint_free(e);
    }
}

/* RFC 6455 5.6 */
static void text_that_is_not_utf8_is_not_sent(void **unused)
{
    BOTH_ROLES
    {
        start();
        assert_int_equal(hf_endpoint_send(e, HF_OP_TEXT, HF_LITERAL("\xff")), HF_INVALID);
        assert_int_equal(hf_endpoint_send(e, HF_OP_TEXT, HF_LITERAL("\xe2\x82")), HF_INVALID);
        assert_int_equal(say(HF_OP_TEXT, false, "\xe2\x82"), HF_OK);
        assert_int_equal(say(HF_OP_CONTINUATION, false, "x"), HF_INVALID);
        assert_int_equal(say(HF_OP_CONTINUATION, true, ""), HF_INVALID);
        assert_int_equal(say(HF_OP_CONTINUATION, true, "\xac"), HF_OK);
        sent(" | begin-text(\\xe2\\x82) more(\\xac)");
        hf_endpoint_free(e);
    }
}

/* RFC 6455 5.5 */
static void a_ping_of_more_than_125_bytes_is_not_sent(void **unused)
{
    static const uint8_t zeros[126];
    BOTH_ROLES
    {
        start();
        assert_int_equal(hf_endpoint_ping(e, hf_slice(zeros, 126)), HF_INVALID);
        assert_int_equal(hf_endpoint_ping(e, hf_slice(zeros, 125)), HF_OK);
        assert_int_equal(hf_endpoint_out(e)->len, 125 + (scene.client ? 6 : 2));
        hf_endpoint_free(e);
    }
}

/* RFC 6455 5.5.1, 7.1.4 */
static void a_close_of_ours_is_over_when_the_peers_comes(void **unused)
{
    BOTH_ROLES
    {
        start();
        assert_int_equal(hf_endpoint_close(e, 1000, HF_LITERAL("done")), HF_OK);
        assert_false(hf_endpoint_is_closed(e));
        sent(" | close 1000");
        frame(0x88, "\x03\xe8");
        frame(0x81, "too late");
        hears("close 1000()");
        assert_true(hf_endpoint_is_closed(e));
        hf_endpoint_free(e);
    }
}

static void a_close_of_the_peer_is_over_at_once(void **unused)
{
    BOTH_ROLES
    {
        start();
        frame(0x88, "\x0f\xa0"
                    "app");
        hears("close 4000(app) | close 4000");
        assert_true(hf_endpoint_is_closed(e));
        hf_endpoint_free(e);
    }
}

/* RFC 6455 5.5.1: no data after a Close */
static void after_a_close_nothing_more_can_be_sent(void **unused)
{
    BOTH_ROLES
    {
        for (int ours = 0; ours < 2; ours++) {
            start();
            if (ours) {
                assert_int_equal(hf_endpoint_close(e, 1001, HF_LITERAL("")), HF_OK);
                sent(" | close 1001");
            } else {
                frame(0x88, "");
                hears("close 1005() | close 1005");
            }
            assert_int_equal(hf_endpoint_send(e, HF_OP_TEXT, HF_LITERAL("x")), HF_INVALID);
            assert_int_equal(say(HF_OP_TEXT, false, "x"), HF_INVALID);
            assert_int_equal(hf_endpoint_ping(e, HF_LITERAL("")), HF_INVALID);
            assert_int_equal(hf_endpoint_close(e, 1000, HF_LITERAL("")), HF_INVALID);
            sent("");
            hf_endpoint_free(e);
        }
    }
}

/* RFC 6455 1.4, 5.5.1: until the peer's Close, its messages still come; 5.5.2: pings are answered
 * until then */
static void between_the_two_closes_messages_come_and_pings_are_answered(void **unused)
{
    BOTH_ROLES
    {
        start();
        assert_int_equal(hf_endpoint_close(e, 1000, HF_LITERAL("")), HF_OK);
        frame(0x81, "still");
        frame(0x89, "there");
        frame(0x88, "\x03\xe8");
        hears("text(still) ping(there) close 1000() | close 1000 pong(there)");
        hf_endpoint_free(e);
    }
}

/* RFC 6455 7.1.7: one Close at most */
static void a_fault_after_our_close_sends_no_second_one(void **unused)
{
    BOTH_ROLES
    {
        start();
        assert_int_equal(hf_endpoint_close(e, 1000, HF_LITERAL("")), HF_OK);
        frame(0x83, "");
        hears("reserved opcode:1002 | close 1000");
        assert_false(hf_endpoint_is_closed(e));
        hf_endpoint_free(e);
    }
}

static void after_a_fault_nothing_can_be_sent(void **unused)
{
    BOTH_ROLES
    {
        start();
        frame(0x83, "");
        hears("reserved opcode:1002 | close 1002");
        assert_int_equal(hf_endpoint_send(e, HF_OP_TEXT, HF_LITERAL("x")), HF_INVALID);
        assert_int_equal(hf_endpoint_ping(e, HF_LITERAL("x")), HF_INVALID);
        assert_int_equal(hf_endpoint_close(e, 1000, HF_LITERAL("")), HF_INVALID);
        assert_false(hf_endpoint_is_closed(e));
        sent("");
        hf_endpoint_free(e);
    }
}

/* RFC 6455 7.4.1 */
static void a_code_that_must_not_be_sent_is_not_sent(void **unused)
{
    static const uint16_t bad[] = {0, 999, 1004, 1006, 1015, 2999, 5000};
    BOTH_ROLES
    {
        start();
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            assert_int_equal(hf_endpoint_close(e, bad[i], HF_LITERAL("")), HF_INVALID);
        }
        sent("");
        assert_int_equal(hf_endpoint_close(e, HF_CLOSE_NO_CODE, HF_LITERAL("unsaid")), HF_OK);
        assert_int_equal(hf_endpoint_out(e)->len, scene.client ? 6 : 2);
        hf_endpoint_free(e);
    }
}

/* RFC 6455 5.4: a Close may stand inside a fragmented message */
static void a_close_may_be_sent_between_fragments(void **unused)
{
    BOTH_ROLES
    {
        start();
        assert_int_equal(say(HF_OP_TEXT, false, "a"), HF_OK);
        assert_int_equal(hf_endpoint_close(e, 1001, HF_LITERAL("")), HF_OK);
        assert_int_equal(say(HF_OP_CONTINUATION, true, "b"), HF_INVALID);
        sent(" | begin-text(a) close 1001");
        hf_endpoint_free(e);
    }
}

static void nothing_happens_without_bytes(void **unused)
{
    BOTH_ROLES
    {
        struct hf_endpoint_event event;
        start();
        assert_int_equal(hf_endpoint_next(e, &event), HF_ENDPOINT_NONE);
        assert_int_equal(hf_endpoint_feed(e, (struct hf_slice){NULL, 0}), HF_OK);
        assert_int_equal(hf_endpoint_next(e, &event), HF_ENDPOINT_NONE);
        assert_int_equal(hf_endpoint_out(e)->len, 0);
        hf_endpoint_free(e);
        hf_endpoint_free(NULL);
    }
}

/* --- Memory --- */

/* What the endpoint holds when it has nothing to do. */
static void a_large_message_leaves_no_large_buffer_behind(void **unused)
{
    static uint8_t zeros[500000];
    BOTH_ROLES
    {
        struct test_alloc ta;
        struct hf_endpoint_event event;
        test_alloc_init(&ta);
        struct hf_endpoint *idle = new_endpoint(&ta.alloc);
        frame_of(0x82, zeros, sizeof(zeros));
        assert_int_equal(hf_endpoint_feed(idle, hf_buffer_slice(&scene.wire)), HF_OK);
        assert_int_equal(hf_endpoint_next(idle, &event), HF_ENDPOINT_MESSAGE);
        assert_true(ta.live_bytes > sizeof(zeros));
        assert_int_equal(hf_endpoint_next(idle, &event), HF_ENDPOINT_NONE);
        assert_in_range(ta.live_bytes, 1, 4096);
        hf_endpoint_free(idle);
    }
}

/* A conversation that allocates everything an endpoint can. Returns false as soon as memory was
 * missing. */
static bool converse(struct hf_endpoint *c, size_t step)
{
    static const uint8_t data[9000] = {1, 2, 3};
    struct hf_endpoint_event event;
    if (hf_endpoint_send(c, HF_OP_BINARY, hf_slice(data, sizeof(data))) != HF_OK ||
        hf_endpoint_send_fragment(c, HF_OP_TEXT, false, HF_LITERAL("a")) != HF_OK ||
        hf_endpoint_send_fragment(c, HF_OP_CONTINUATION, true, HF_LITERAL("")) != HF_OK ||
        hf_endpoint_ping(c, HF_LITERAL("x")) != HF_OK) {
        return false;
    }
    for (size_t at = 0; at < scene.wire.len;) {
        const size_t len = scene.wire.len - at < step ? scene.wire.len - at : step;
        if (hf_endpoint_feed(c, hf_slice(scene.wire.data + at, len)) != HF_OK) {
            return false;
        }
        while (hf_endpoint_next(c, &event) != HF_ENDPOINT_NONE) {
            tell_event(&event);
            if (event.kind == HF_ENDPOINT_FAULT) {
                assert_int_equal(event.code, HF_CLOSE_INTERNAL);
                return false;
            }
        }
        at += len;
    }
    return true;
}

/* The n-th allocation fails, for every n: what came before reads as it should, the endpoint is over
 * and says so, and nothing leaks. */
static void every_allocation_that_fails_ends_the_endpoint_cleanly(size_t step)
{
    static const char whole[] = "text(Hello) text(Hello) binary(9000 bytes) ping(p) close 1000()";
    bool fired = true;
    for (size_t n = 1; fired; n++) {
        struct test_alloc ta;
        test_alloc_init(&ta);
        test_alloc_fail_at(&ta, n);
        story_len = 0;
        story_text[0] = 0;
        struct hf_endpoint *c = new_endpoint(&ta.alloc);
        const bool went = c != NULL && converse(c, step);
        fired = ta.fired;
        assert_int_equal(went, !fired);
        if (went) {
            assert_string_equal(story_text, whole);
        } else if (c != NULL) {
            struct hf_endpoint_event event;
            assert_int_equal(hf_endpoint_send(c, HF_OP_TEXT, HF_LITERAL("x")), HF_INVALID);
            assert_int_equal(hf_endpoint_feed(c, HF_LITERAL("more")), HF_OK);
            assert_int_equal(hf_endpoint_next(c, &event), HF_ENDPOINT_NONE);
            assert_false(hf_endpoint_is_closed(c));
        }
        hf_endpoint_free(c);
        assert_int_equal(ta.live_blocks, 0);
        assert_true(n < 1000);
    }
}

static void whatever_allocation_fails_the_endpoint_ends_and_leaks_nothing(void **unused)
{
    static const uint8_t zeros[9000];
    BOTH_ROLES
    {
        scene.deflate.agreed = true;
        frame(0x81, "Hello");
        frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00");
        frame_of(0x82, zeros, sizeof(zeros));
        frame(0x89, "p");
        frame(0x88, "\x03\xe8");
        every_allocation_that_fails_ends_the_endpoint_cleanly(SIZE_MAX);
        every_allocation_that_fails_ends_the_endpoint_cleanly(100);
    }
}

/* A fault of ours is told to the peer when there is memory for that. */
static void a_message_without_memory_is_told_as_1011(void **unused)
{
    static uint8_t zeros[300000];
    BOTH_ROLES
    {
        struct test_alloc ta;
        struct hf_endpoint_event event;
        test_alloc_init(&ta);
        struct hf_endpoint *c = new_endpoint(&ta.alloc);
        frame_of(0x82, zeros, sizeof(zeros));
        assert_int_equal(hf_endpoint_feed(c, hf_buffer_slice(&scene.wire)), HF_OK);
        test_alloc_fail_at(&ta, 1);
        assert_int_equal(hf_endpoint_next(c, &event), HF_ENDPOINT_FAULT);
        assert_true(ta.fired);
        assert_int_equal(event.code, HF_CLOSE_INTERNAL);
        story_len = 0;
        tell_sent(c, scene.client);
        expect_story(" | close 1011", "sending");
        hf_endpoint_free(c);
        assert_int_equal(ta.live_blocks, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_binary_go_out_as_one_frame),
        cmocka_unit_test(a_server_sends_the_rfcs_unmasked_hello),
        cmocka_unit_test(a_client_masks_every_frame_with_a_fresh_key),
        cmocka_unit_test(the_keys_come_from_the_seed),
        cmocka_unit_test(a_message_goes_out_in_fragments_with_pings_between_them),
        cmocka_unit_test(fragments_of_two_messages_do_not_mix),
        cmocka_unit_test(only_text_and_binary_can_be_sent_as_messages),
        cmocka_unit_test(text_that_is_not_utf8_is_not_sent),
        cmocka_unit_test(a_ping_of_more_than_125_bytes_is_not_sent),
        cmocka_unit_test(a_close_of_ours_is_over_when_the_peers_comes),
        cmocka_unit_test(a_close_of_the_peer_is_over_at_once),
        cmocka_unit_test(after_a_close_nothing_more_can_be_sent),
        cmocka_unit_test(between_the_two_closes_messages_come_and_pings_are_answered),
        cmocka_unit_test(a_fault_after_our_close_sends_no_second_one),
        cmocka_unit_test(after_a_fault_nothing_can_be_sent),
        cmocka_unit_test(a_code_that_must_not_be_sent_is_not_sent),
        cmocka_unit_test(a_close_may_be_sent_between_fragments),
        cmocka_unit_test(nothing_happens_without_bytes),
        cmocka_unit_test(a_large_message_leaves_no_large_buffer_behind),
        cmocka_unit_test(whatever_allocation_fails_the_endpoint_ends_and_leaks_nothing),
        cmocka_unit_test(a_message_without_memory_is_told_as_1011),
    };
    return cmocka_run_group_tests_name("ws endpoint send", tests, NULL, NULL);
}
