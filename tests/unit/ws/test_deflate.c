/* SPDX-License-Identifier: Apache-2.0 */
/* permessage-deflate, the coding itself and through both roles of an endpoint: RFC 7692 sections 6
 * and 7.2. */
#include "ws/deflate.h"

#include "story.h"

static void begin_deflate(bool client)
{
    begin(client);
    scene.deflate.agreed = true;
}

#define BOTH_DEFLATE for (int role = 0; role < 2 && (begin_deflate(role == 1), true); role++)

/* --- RFC 7692 7.2.3, the examples --- */

/* 7.2.3.1 */
static void one_compressed_block_is_inflated(void **unused)
{
    BOTH_DEFLATE
    {
        frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00");
        tells("text(Hello)");
    }
}

/* 7.2.3.1, in two fragments: only the first has RSV1 */
static void a_compressed_message_may_be_fragmented(void **unused)
{
    BOTH_DEFLATE
    {
        frame(0x41, "\xf2\x48\xcd");
        frame(0x80, "\xc9\xc9\x07\x00");
        tells("text(Hello)");
    }
}

/* 7.2.3.2 */
static void the_window_is_kept_between_messages(void **unused)
{
    BOTH_DEFLATE
    {
        frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00");
        frame(0xc1, "\xf2\x00\x11\x00\x00");
        tells("text(Hello) text(Hello)");
    }
}

/* 7.2.3.3 */
static void a_block_with_no_compression_is_read(void **unused)
{
    BOTH_DEFLATE
    {
        frame(0xc1, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00");
        tells("text(Hello)");
    }
}

/* 7.2.3.4 */
static void a_block_with_bfinal_is_read_and_the_window_lives_on(void **unused)
{
    BOTH_DEFLATE
    {
        frame(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00");
        frame(0xc1, "\xf2\x00\x11\x00\x00");
        frame(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00");
        tells("text(Hello) text(Hello) text(Hello)");
    }
}

/* A sender that leaves 7.2.3.4's last byte out is understood too. */
static void a_block_with_bfinal_may_end_the_message(void **unused)
{
    BOTH_DEFLATE
    {
        frame(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00");
        frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00");
        tells("text(Hello) text(Hello)");
    }
}

/* 7.2.3.5 */
static void two_blocks_in_one_message_are_read(void **unused)
{
    BOTH_DEFLATE
    {
        frame(0xc1, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00");
        tells("text(Hello)");
    }
}

/* 7.2.3.6 */
static void an_empty_block_is_an_empty_message(void **unused)
{
    BOTH_DEFLATE
    {
        frame(0xc1, "\x00");
        frame(0x41, "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff");
        frame(0x80, "\x00");
        tells("text() text(Hello)");
    }
}

/* --- RFC 7692 6, 6.1, 6.2: what may be compressed --- */

static void an_uncompressed_message_on_a_compressed_connection_is_taken(void **unused)
{
    BOTH_DEFLATE
    {
        frame(0x81, "plain");
        frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00");
        frame(0x01, "pl");
        frame(0x80, "ain");
        tells("text(plain) text(Hello) text(plain)");
    }
}

static void rsv1_without_an_agreement_is_refused(void **unused)
{
    BOTH_ROLES
    {
        frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00");
        tells("reserved bit set:1002 | close 1002");
    }
}

static void rsv2_and_rsv3_stay_reserved(void **unused)
{
    BOTH_DEFLATE
    {
        frame(0xa1, "x");
        tells("reserved bit set:1002 | close 1002");
        frame(0x91, "x");
        tells("reserved bit set:1002 | close 1002");
        frame(0xe1, "x");
        tells("reserved bit set:1002 | close 1002");
    }
}

static void rsv1_on_a_continuation_is_refused(void **unused)
{
    BOTH_DEFLATE
    {
        frame(0x41, "\xf2\x48\xcd");
        frame(0xc0, "\xc9\xc9\x07\x00");
        tells("RSV1 on a continuation:1002 | close 1002");
        frame(0x01, "x");
        frame(0xc0, "\xf2\x48\xcd\xc9\xc9\x07\x00");
        tells("RSV1 on a continuation:1002 | close 1002");
    }
}

static void rsv1_on_a_control_frame_is_refused(void **unused)
{
    BOTH_DEFLATE
    {
        frame(0xc9, "");
        tells("RSV1 on a control frame:1002 | close 1002");
        frame(0xca, "");
        tells("RSV1 on a control frame:1002 | close 1002");
        frame(0xc8, "");
        tells("RSV1 on a control frame:1002 | close 1002");
    }
}

static void control_frames_between_compressed_fragments_are_plain(void **unused)
{
    BOTH_DEFLATE
    {
        frame(0x41, "\xf2\x48\xcd");
        frame(0x89, "ping");
        frame(0x80, "\xc9\xc9\x07\x00");
        tells("ping(ping) text(Hello) | pong(ping)");
    }
}

/* --- Bad data --- */

static void what_is_not_deflate_is_refused_at_once(void **unused)
{
    BOTH_DEFLATE
    {
        part_of_frame(0xc1, 1000, "\xff\xff\xff\xff", 4);
        tells("compressed data cannot be inflated:1007 | close 1007");
    }
}

static void a_message_that_ends_inside_a_block_is_refused(void **unused)
{
    BOTH_DEFLATE
    {
        frame(0xc1, "\xf2\x48\xcd");
        tells("compressed data cannot be inflated:1007 | close 1007");
        frame(0xc1, "\x00\x05\x00\xfa\xff\x48\x65");
        tells("compressed data cannot be inflated:1007 | close 1007");
        frame(0xc1, "");
        tells("compressed data cannot be inflated:1007 | close 1007");
    }
}

/* RFC 7692 7.1.1.1, 7.1.1.2 */
static void without_context_takeover_the_window_is_forgotten(void **unused)
{
    BOTH_DEFLATE
    {
        scene.deflate.server_no_context_takeover = scene.client;
        scene.deflate.client_no_context_takeover = !scene.client;
        frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00");
        frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00");
        frame(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00");
        frame(0xc1, "\xf2\x00\x11\x00\x00");
        tells("text(Hello) text(Hello) text(Hello) "
              "compressed data cannot be inflated:1007 | close 1007");
        /* The other direction's parameter does not concern this one. */
        scene.deflate.server_no_context_takeover = !scene.client;
        scene.deflate.client_no_context_takeover = scene.client;
        frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00");
        frame(0xc1, "\xf2\x00\x11\x00\x00");
        tells("text(Hello) text(Hello)");
    }
}

/* RFC 6455 8.1 holds for what was inflated */
static void inflated_text_is_checked_and_inflated_binary_is_not(void **unused)
{
    BOTH_DEFLATE
    {
        frame(0xc2, "\x00\x02\x00\xfd\xff\xc3\xff\x00");
        tells("binary(\\xc3\\xff)");
        frame(0xc1, "\x00\x02\x00\xfd\xff\xc3\xff\x00");
        tells("text is not UTF-8:1007 | close 1007");
        frame(0xc1, "\x00\x01\x00\xfe\xff\xc3\x00");
        tells("text is not UTF-8:1007 | close 1007");
        /* Before the message is whole. */
        part_of_frame(0x41, 1000, "\x00\x02\x00\xfd\xff\xc3\xff", 7);
        tells("text is not UTF-8:1007 | close 1007");
    }
}

/* --- The limit counts what was inflated --- */

static void an_inflated_message_of_exactly_the_limit_is_taken_and_one_more_is_not(void **unused)
{
    BOTH_DEFLATE
    {
        scene.message_max = 5;
        frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00");
        tells("text(Hello)");
        scene.message_max = 4;
        frame(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00");
        tells("message too big:1009 | close 1009");
    }
}

static void a_bomb_is_stopped_at_the_limit_with_bounded_memory(void **unused)
{
    static uint8_t zeros[1 << 20];
    struct hf_buffer bomb;
    struct hf_deflater *d = hf_deflater_new(&hf_heap, 15, false);
    hf_buffer_init(&bomb, &hf_heap, SIZE_MAX);
    for (int i = 0; i < 16; i++) {
        assert_int_equal(hf_deflater_add(d, hf_slice(zeros, sizeof(zeros)), i == 15, &bomb), HF_OK);
    }
    hf_deflater_free(d);
    assert_in_range(bomb.len, 1, 32768); /* for 16 MiB */
    BOTH_DEFLATE
    {
        struct test_alloc ta;
        scene.message_max = 100000;
        frame_of(0xc2, bomb.data, bomb.len);
        test_alloc_init(&ta);
        struct hf_endpoint *e = new_endpoint(&ta.alloc);
        story_len = 0;
        feed_wire(e, SIZE_MAX);
        tell_sent(e, scene.client);
        hf_endpoint_free(e);
        expect_story("message too big:1009 | close 1009", "whole");
        assert_in_range(ta.peak_bytes, 100000, 400000);
        assert_int_equal(ta.live_blocks, 0);
        tells("message too big:1009 | close 1009");
    }
    hf_buffer_reset(&bomb);
}

/* --- Sending --- */

/* Sends and tells what is on the wire. */
static void sends(struct hf_endpoint *e, uint8_t opcode, bool fin, const char *text,
                  const char *expected)
{
    assert_int_equal(hf_endpoint_send_fragment(e, opcode, fin, hf_slice_of(text)), HF_OK);
    story_len = 0;
    tell_sent(e, scene.client);
    expect_story(expected, "sending");
}

/* RFC 7692 7.2.1, 7.2.3.1, 7.2.3.2 */
static void what_is_sent_is_the_rfcs_example(void **unused)
{
    BOTH_DEFLATE
    {
        struct hf_endpoint *e = new_endpoint(&hf_heap);
        sends(e, HF_OP_TEXT, true, "Hello", " | ztext(\\xf2H\\xcd\\xc9\\xc9\\x07\\x00)");
        sends(e, HF_OP_TEXT, true, "Hello", " | ztext(\\xf2\\x00\\x11\\x00\\x00)");
        hf_endpoint_free(e);
    }
}

/* RFC 7692 7.1.1.1, 7.1.1.2 */
static void without_context_takeover_each_message_is_sent_from_scratch(void **unused)
{
    BOTH_DEFLATE
    {
        scene.deflate.server_no_context_takeover = !scene.client;
        scene.deflate.client_no_context_takeover = scene.client;
        struct hf_endpoint *e = new_endpoint(&hf_heap);
        sends(e, HF_OP_TEXT, true, "Hello", " | ztext(\\xf2H\\xcd\\xc9\\xc9\\x07\\x00)");
        sends(e, HF_OP_TEXT, true, "Hello", " | ztext(\\xf2H\\xcd\\xc9\\xc9\\x07\\x00)");
        hf_endpoint_free(e);
    }
}

/* RFC 7692 6.1, 7.2.3.6 */
static void fragments_are_compressed_as_one_message_with_rsv1_on_the_first(void **unused)
{
    BOTH_DEFLATE
    {
        struct hf_endpoint *e = new_endpoint(&hf_heap);
        sends(e, HF_OP_TEXT, false, "Hello",
              " | begin-ztext(\\xf2H\\xcd\\xc9\\xc9\\x07\\x00"
              "\\x00\\x00\\xff\\xff)");
        sends(e, HF_OP_CONTINUATION, true, "", " | more(\\x00)");
        hf_endpoint_free(e);
    }
}

/* RFC 7692 6: compressing is a choice */
static void an_empty_message_is_sent_uncompressed(void **unused)
{
    BOTH_DEFLATE
    {
        struct hf_endpoint *e = new_endpoint(&hf_heap);
        sends(e, HF_OP_TEXT, true, "", " | text()");
        hf_endpoint_free(e);
    }
}

/* --- Round trips, and windows --- */

/* Words from a small stock, so that matches of many distances are found; ASCII, len bytes. */
static void fill(uint8_t *data, size_t len, uint64_t seed)
{
    struct hf_random random;
    hf_random_init(&random, seed);
    for (size_t i = 0; i < len;) {
        uint64_t word = hf_random_below(&random, 200) * 0x9E3779B97F4A7C15ULL;
        for (int k = 0; k < 6 && i < len; k++, word >>= 6) {
            data[i++] = (uint8_t)(' ' + (word & 63));
        }
    }
}

/* Deflates data with one window and inflates it with another, a byte at a time, so that no distance
 * can reach beyond the inflater's own window unseen. */
static enum hf_inflate through_windows(uint8_t out_bits, uint8_t in_bits, const uint8_t *data,
                                       size_t len)
{
    struct hf_buffer wire;
    struct hf_buffer back;
    enum hf_inflate result = HF_INFLATE_OK;
    hf_buffer_init(&wire, &hf_heap, SIZE_MAX);
    hf_buffer_init(&back, &hf_heap, SIZE_MAX);
    struct hf_deflater *d = hf_deflater_new(&hf_heap, out_bits, false);
    struct hf_inflater *i = hf_inflater_new(&hf_heap, in_bits, false);
    assert_int_equal(hf_deflater_add(d, hf_slice(data, len), true, &wire), HF_OK);
    for (size_t at = 0; at < wire.len && result == HF_INFLATE_OK; at++) {
        result = hf_inflater_add(i, hf_slice(wire.data + at, 1), len, &back);
    }
    if (result == HF_INFLATE_OK) {
        result = hf_inflater_end(i, len, &back);
    }
    if (result == HF_INFLATE_OK) {
        assert_true(hf_slice_eq(hf_buffer_slice(&back), hf_slice(data, len)));
        assert_true(wire.len < len); /* else it proves nothing */
    }
    hf_deflater_free(d);
    hf_inflater_free(i);
    hf_buffer_reset(&wire);
    hf_buffer_reset(&back);
    return result;
}

/* RFC 7692 7.1.2: no distance reaches beyond the agreed window, 8 bits included, which zlib cannot
 * do */
static void every_window_size_is_kept_to(void **unused)
{
    static uint8_t data[60000];
    fill(data, sizeof(data), 1);
    for (uint8_t bits = 8; bits <= 15; bits++) {
        assert_int_equal(through_windows(bits, bits, data, sizeof(data)), HF_INFLATE_OK);
    }
    /* The check has teeth. */
    assert_int_equal(through_windows(10, 8, data, sizeof(data)), HF_INFLATE_BAD);
    assert_int_equal(through_windows(15, 14, data, sizeof(data)), HF_INFLATE_BAD);
}

/* Moves what one endpoint has to send to the other, `step` bytes at a time, and expects one
 * message. */
static void carry(struct hf_endpoint *from, struct hf_endpoint *to, size_t step,
                  struct hf_slice expected)
{
    struct hf_endpoint_event event = {.kind = HF_ENDPOINT_NONE};
    struct hf_buffer *out = hf_endpoint_out(from);
    while (out->len > 0) {
        const size_t len = out->len < step ? out->len : step;
        assert_int_equal(event.kind, HF_ENDPOINT_NONE); /* the message is the last thing */
        assert_int_equal(hf_endpoint_feed(to, hf_slice(out->data, len)), HF_OK);
        hf_buffer_drop(out, len);
        (void)hf_endpoint_next(to, &event);
    }
    assert_int_equal(event.kind, HF_ENDPOINT_MESSAGE);
    assert_true(hf_slice_eq(event.data, expected));
}

/* One message of the round trip, in one to three fragments. */
static void send_in_pieces(struct hf_endpoint *e, struct hf_slice data, struct hf_random *random)
{
    uint8_t opcode = HF_OP_TEXT;
    for (uint64_t pieces = hf_random_below(random, 3); pieces > 0; pieces--) {
        const size_t len = (size_t)hf_random_below(random, data.len + 1);
        assert_int_equal(hf_endpoint_send_fragment(e, opcode, false, hf_slice_first(data, len)),
                         HF_OK);
        data = hf_slice_from(data, len);
        opcode = HF_OP_CONTINUATION;
    }
    assert_int_equal(hf_endpoint_send_fragment(e, opcode, true, data), HF_OK);
}

static void round_trip(bool from_client, struct hf_random *random)
{
    static uint8_t data[3000];
    scene.client = from_client;
    struct hf_endpoint *from = new_endpoint(&hf_heap);
    scene.client = !from_client;
    struct hf_endpoint *to = new_endpoint(&hf_heap);
    for (int n = 0; n < 6; n++) {
        const size_t len = (size_t)hf_random_below(random, sizeof(data));
        fill(data, len, hf_random_next(random));
        send_in_pieces(from, hf_slice(data, len), random);
        carry(from, to, n % 2 == 0 ? 1 : 700, hf_slice(data, len));
    }
    hf_endpoint_free(from);
    hf_endpoint_free(to);
}

static void what_one_end_sends_the_other_reads_under_every_agreement(void **unused)
{
    struct hf_random random;
    hf_random_init(&random, 2);
    begin(false);
    for (uint8_t bits = 7; bits <= 15; bits++) {
        for (int flags = 0; flags < 4; flags++) {
            const uint8_t window = bits == 7 ? 15 : bits;
            scene.deflate = (struct hf_deflate){
                .agreed = bits != 7, /* 7 stands for no agreement */
                .server_no_context_takeover = (flags & 1) != 0,
                .client_no_context_takeover = (flags & 2) != 0,
                .server_bits = window,
                .client_bits = (uint8_t)(23 - window),
            };
            round_trip(true, &random);
            round_trip(false, &random);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_compressed_block_is_inflated),
        cmocka_unit_test(a_compressed_message_may_be_fragmented),
        cmocka_unit_test(the_window_is_kept_between_messages),
        cmocka_unit_test(a_block_with_no_compression_is_read),
        cmocka_unit_test(a_block_with_bfinal_is_read_and_the_window_lives_on),
        cmocka_unit_test(a_block_with_bfinal_may_end_the_message),
        cmocka_unit_test(two_blocks_in_one_message_are_read),
        cmocka_unit_test(an_empty_block_is_an_empty_message),
        cmocka_unit_test(an_uncompressed_message_on_a_compressed_connection_is_taken),
        cmocka_unit_test(rsv1_without_an_agreement_is_refused),
        cmocka_unit_test(rsv2_and_rsv3_stay_reserved),
        cmocka_unit_test(rsv1_on_a_continuation_is_refused),
        cmocka_unit_test(rsv1_on_a_control_frame_is_refused),
        cmocka_unit_test(control_frames_between_compressed_fragments_are_plain),
        cmocka_unit_test(what_is_not_deflate_is_refused_at_once),
        cmocka_unit_test(a_message_that_ends_inside_a_block_is_refused),
        cmocka_unit_test(without_context_takeover_the_window_is_forgotten),
        cmocka_unit_test(inflated_text_is_checked_and_inflated_binary_is_not),
        cmocka_unit_test(an_inflated_message_of_exactly_the_limit_is_taken_and_one_more_is_not),
        cmocka_unit_test(a_bomb_is_stopped_at_the_limit_with_bounded_memory),
        cmocka_unit_test(what_is_sent_is_the_rfcs_example),
        cmocka_unit_test(without_context_takeover_each_message_is_sent_from_scratch),
        cmocka_unit_test(fragments_are_compressed_as_one_message_with_rsv1_on_the_first),
        cmocka_unit_test(an_empty_message_is_sent_uncompressed),
        cmocka_unit_test(every_window_size_is_kept_to),
        cmocka_unit_test(what_one_end_sends_the_other_reads_under_every_agreement),
    };
    return cmocka_run_group_tests_name("ws deflate", tests, NULL, NULL);
}
