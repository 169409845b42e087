/* SPDX-License-Identifier: Apache-2.0 */
/* Frame heads, masks, UTF-8 and Close payloads: RFC 6455 5.2, 5.3, 5.5.1, 7.4, 8.1. */
#include "ws/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define BYTES(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})

/* Reads a head that ends with its slice; every shorter slice must ask for more. The copy is exact
 * in size, so that a read beyond it is seen. */
static struct hf_frame_head read_whole_and_bytewise(const uint8_t *bytes, size_t len)
{
    struct hf_frame_head head;
    for (size_t n = 0; n <= len; n++) {
        uint8_t *copy = malloc(n + 1);
        memcpy(copy + 1, bytes, n);
        assert_int_equal(hf_frame_read_head(hf_slice(copy + 1, n), &head),
                         n < len ? HF_FRAME_MORE : HF_FRAME_READ);
        free(copy);
    }
    assert_int_equal(head.size, len);
    return head;
}

static void expect_head(const uint8_t *bytes, size_t len, bool fin, uint8_t opcode, uint64_t length,
                        bool masked)
{
    const struct hf_frame_head head = read_whole_and_bytewise(bytes, len);
    assert_int_equal(head.fin, fin);
    assert_int_equal(head.rsv, 0);
    assert_int_equal(head.opcode, opcode);
    assert_int_equal(head.length, length);
    assert_int_equal(head.masked, masked);
}

/* RFC 6455 5.7 */
static void the_heads_of_the_examples_in_the_rfc_are_read(void **unused)
{
    expect_head(BYTES(0x81, 0x05), true, HF_OP_TEXT, 5, false);
    expect_head(BYTES(0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d), true, HF_OP_TEXT, 5, true);
    expect_head(BYTES(0x01, 0x03), false, HF_OP_TEXT, 3, false);
    expect_head(BYTES(0x80, 0x02), true, HF_OP_CONTINUATION, 2, false);
    expect_head(BYTES(0x89, 0x05), true, HF_OP_PING, 5, false);
    expect_head(BYTES(0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d), true, HF_OP_PONG, 5, true);
    expect_head(BYTES(0x82, 0x7E, 0x01, 0x00), true, HF_OP_BINARY, 256, false);
    expect_head(BYTES(0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0), true, HF_OP_BINARY, 65536, false);
}

/* RFC 6455 5.3 and 5.7: the masked "Hello" */
static void the_masked_hello_of_the_rfc_unmasks(void **unused)
{
    uint8_t payload[] = {0x7f, 0x9f, 0x4d, 0x51, 0x58};
    const struct hf_frame_head head =
        read_whole_and_bytewise(BYTES(0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d));
    hf_mask_apply(payload, sizeof(payload), head.mask, 0);
    assert_memory_equal(payload, "Hello", 5);
}

/* RFC 6455 5.2 */
static void every_head_that_is_written_reads_back_in_its_shortest_form(void **unused)
{
    static const struct {
        uint64_t length;
        size_t size;
    } cases[] = {{0, 2},     {1, 2},      {125, 2},         {126, 4},       {127, 4},
                 {65535, 4}, {65536, 10}, {UINT32_MAX, 10}, {INT64_MAX, 10}};
    static const uint8_t mask[4] = {1, 2, 3, 4};
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        for (unsigned first = 0; first < 256; first++) {
            uint8_t out[HF_FRAME_HEAD_MAX];
            struct hf_frame_head head;
            const bool masked = first % 3 == 0;
            const size_t size = hf_frame_write_head(out, first >= 128, first >> 4 & 7, first & 15,
                                                    cases[c].length, masked ? mask : NULL);
            assert_int_equal(size, cases[c].size + (masked ? 4 : 0));
            assert_int_equal(hf_frame_read_head(hf_slice(out, size), &head), HF_FRAME_READ);
            assert_int_equal(head.fin << 7 | head.rsv << 4 | head.opcode, first);
            assert_int_equal(head.length, cases[c].length);
            assert_int_equal(head.masked, masked);
            assert_int_equal(head.size, size);
            assert_memory_equal(head.mask, masked ? mask : (const uint8_t[4]){0}, 4);
        }
    }
}

static void expect_bad_length(const uint8_t *bytes, size_t len)
{
    struct hf_frame_head head;
    for (size_t n = 0; n < len; n++) {
        assert_int_equal(hf_frame_read_head(hf_slice(bytes, n), &head), HF_FRAME_MORE);
    }
    assert_int_equal(hf_frame_read_head(hf_slice(bytes, len), &head), HF_FRAME_BAD_LENGTH);
}

/* RFC 6455 5.2: the minimal number of bytes MUST be used */
static void a_length_not_in_its_shortest_form_is_refused(void **unused)
{
    expect_bad_length(BYTES(0x82, 126, 0, 0));
    expect_bad_length(BYTES(0x82, 126, 0, 125));
    expect_bad_length(BYTES(0x82, 127, 0, 0, 0, 0, 0, 0, 0, 0));
    expect_bad_length(BYTES(0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff));
    /* Told before the mask key has come. */
    expect_bad_length(BYTES(0x82, 0xfe, 0, 125));
}

/* RFC 6455 5.2: the most significant bit MUST be 0 */
static void a_length_with_its_top_bit_set_is_refused(void **unused)
{
    expect_bad_length(BYTES(0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0));
    expect_bad_length(BYTES(0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff));
    expect_head(BYTES(0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), true,
                HF_OP_BINARY, INT64_MAX, false);
}

static void a_head_that_is_not_whole_is_not_written_to(void **unused)
{
    struct hf_frame_head head;
    memset(&head, 0x5a, sizeof(head));
    const struct hf_frame_head before = head;
    assert_int_equal(hf_frame_read_head(hf_slice("\x81\x85\x01\x02\x03", 5), &head), HF_FRAME_MORE);
    assert_memory_equal(&head, &before, sizeof(head));
}

/* RFC 6455 5.2, 11.8 */
static void the_opcodes_3_to_7_and_11_to_15_are_not_known(void **unused)
{
    for (uint8_t op = 0; op < 16; op++) {
        assert_int_equal(hf_opcode_is_known(op), op <= 2 || (op >= 8 && op <= 10));
        assert_int_equal(hf_opcode_is_control(op), op >= 8);
    }
}

/* RFC 6455 7.4.1, 7.4.2 */
static void only_codes_that_may_stand_in_a_close_are_valid(void **unused)
{
    static const struct {
        uint32_t first, last;
        bool valid;
    } ranges[] = {{0, 999, false},     {1000, 1003, true}, {1004, 1006, false}, {1007, 1014, true},
                  {1015, 2999, false}, {3000, 4999, true}, {5000, 70000, false}};
    for (size_t r = 0; r < sizeof(ranges) / sizeof(ranges[0]); r++) {
        for (uint32_t code = ranges[r].first; code <= ranges[r].last; code++) {
            assert_int_equal(hf_close_code_is_valid(code), ranges[r].valid);
        }
    }
}

/* RFC 6455 5.3: octet i is XORed with key octet i modulo 4 */
static void masking_is_right_for_any_alignment_length_and_offset(void **unused)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    for (size_t align = 0; align < 8; align++) {
        for (size_t len = 0; len < 40; len++) {
            for (uint64_t offset = 0; offset < 9; offset++) {
                uint8_t data[64];
                for (size_t i = 0; i < sizeof(data); i++) {
                    data[i] = (uint8_t)(i * 7);
                }
                hf_mask_apply(data + align, len, mask, offset);
                for (size_t i = 0; i < sizeof(data); i++) {
                    const bool inside = i >= align && i < align + len;
                    const uint8_t key = inside ? mask[(offset + i - align) % 4] : 0;
                    assert_int_equal(data[i], (uint8_t)(i * 7) ^ key);
                }
            }
        }
    }
}

static void masking_goes_on_at_an_offset_beyond_4_gib(void **unused)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    uint8_t data[3] = {0, 0, 0};
    hf_mask_apply(data, 3, mask, 0x100000002ULL);
    assert_memory_equal(data, ((uint8_t[]){3, 4, 1}), 3);
}

static void masking_in_pieces_is_masking_whole(void **unused)
{
    static const uint8_t mask[4] = {0xde, 0xad, 0xbe, 0xef};
    for (size_t cut = 0; cut <= 50; cut++) {
        uint8_t whole[50] = {0};
        uint8_t pieces[50] = {0};
        hf_mask_apply(whole, 50, mask, 0);
        hf_mask_apply(pieces, cut, mask, 0);
        hf_mask_apply(pieces + cut, 50 - cut, mask, cut);
        assert_memory_equal(whole, pieces, 50);
    }
}

/* --- UTF-8 --- */

/* Fed one byte at a time: the offset of the first byte at which no text can go on, else len; -1
 * when the text stops inside a character. */
static long first_bad(const uint8_t *bytes, size_t len)
{
    uint32_t state = 0;
    for (size_t i = 0; i < len; i++) {
        if (!hf_utf8_feed(&state, hf_slice(bytes + i, 1))) {
            return (long)i;
        }
    }
    return state == 0 ? (long)len : -1;
}

/* RFC 3629 4, written the slow way: the length of the character at the start, 0 when it is none. */
static size_t reference_character(const uint8_t *p, size_t len)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t size = p[0] < 0x80   ? 1
                        : p[0] < 0xC0 ? 0
                        : p[0] < 0xE0 ? 2
                        : p[0] < 0xF0 ? 3
                        : p[0] < 0xF8 ? 4
                                      : 0;
    if (size == 0 || size > len) {
        return 0;
    }
    uint32_t point = size == 1 ? p[0] : p[0] & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
        point = point << 6 | (p[i] & 0x3F);
    }
    const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
    return point < least[size] || surrogate || point > 0x10FFFF ? 0 : size;
}

static bool reference_text(const uint8_t *p, size_t len)
{
    while (len > 0) {
        const size_t size = reference_character(p, len);
        if (size == 0) {
            return false;
        }
        p += size;
        len -= size;
    }
    return true;
}

/* RFC 3629; RFC 6455 8.1 */
static void the_machine_agrees_with_a_slow_decoder_on_every_beginning(void **unused)
{
    static const uint8_t more[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC2, 0xFF};
    for (unsigned first = 0; first < 65536; first++) {
        for (size_t third = 0; third < sizeof(more); third++) {
            for (size_t fourth = 0; fourth < sizeof(more); fourth++) {
                const uint8_t text[4] = {(uint8_t)(first >> 8), (uint8_t)first, more[third],
                                         more[fourth]};
                uint32_t state = 0;
                const bool good = hf_utf8_feed(&state, hf_slice(text, 4)) && state == 0;
                if (good != reference_text(text, 4)) {
                    fail_msg("%02x %02x %02x %02x", text[0], text[1], text[2], text[3]);
                }
            }
        }
    }
}

static void a_bad_text_is_refused_at_the_first_byte_that_cannot_be(void **unused)
{
    assert_int_equal(first_bad(BYTES(0x80)), 0);
    assert_int_equal(first_bad(BYTES('a', 0xBF)), 1);
    assert_int_equal(first_bad(BYTES(0xC0, 0xAF)), 0); /* overlong, 2 bytes */
    assert_int_equal(first_bad(BYTES(0xC1, 0xBF)), 0);
    assert_int_equal(first_bad(BYTES(0xE0, 0x80, 0xAF)), 1); /* overlong, 3 bytes */
    assert_int_equal(first_bad(BYTES(0xE0, 0x9F, 0xBF)), 1);
    assert_int_equal(first_bad(BYTES(0xED, 0xA0, 0x80)), 1);       /* surrogate U+D800 */
    assert_int_equal(first_bad(BYTES(0xED, 0xBF, 0xBF)), 1);       /* surrogate U+DFFF */
    assert_int_equal(first_bad(BYTES(0xF0, 0x8F, 0xBF, 0xBF)), 1); /* overlong, 4 bytes */
    assert_int_equal(first_bad(BYTES(0xF4, 0x90, 0x80, 0x80)), 1); /* U+110000 */
    assert_int_equal(first_bad(BYTES(0xF5, 0x80)), 0);
    assert_int_equal(first_bad(BYTES(0xFE)), 0);
    assert_int_equal(first_bad(BYTES(0xFF)), 0);
    assert_int_equal(first_bad(BYTES(0xE2, 0x82, 'x')), 2);
    assert_int_equal(first_bad(BYTES(0xC3, 0xC3)), 1);
}

static void a_text_that_stops_inside_a_character_is_not_at_an_end(void **unused)
{
    assert_int_equal(first_bad(BYTES(0xC3)), -1);
    assert_int_equal(first_bad(BYTES(0xE2, 0x82)), -1);
    assert_int_equal(first_bad(BYTES(0xF0, 0x9F, 0x98)), -1);
}

static void the_edges_of_every_length_are_text(void **unused)
{
    assert_int_equal(first_bad(BYTES(0x00)), 1);
    assert_int_equal(first_bad(BYTES(0x7F)), 1);
    assert_int_equal(first_bad(BYTES(0xC2, 0x80)), 2);
    assert_int_equal(first_bad(BYTES(0xDF, 0xBF)), 2);
    assert_int_equal(first_bad(BYTES(0xE0, 0xA0, 0x80)), 3);
    assert_int_equal(first_bad(BYTES(0xED, 0x9F, 0xBF)), 3);
    assert_int_equal(first_bad(BYTES(0xEE, 0x80, 0x80)), 3);
    assert_int_equal(first_bad(BYTES(0xEF, 0xBF, 0xBF)), 3);
    assert_int_equal(first_bad(BYTES(0xF0, 0x90, 0x80, 0x80)), 4);
    assert_int_equal(first_bad(BYTES(0xF4, 0x8F, 0xBF, 0xBF)), 4);
}

static void a_text_found_bad_stays_bad(void **unused)
{
    uint32_t state = 0;
    assert_false(hf_utf8_feed(&state, hf_slice("\xFF", 1)));
    assert_int_not_equal(state, 0);
    assert_false(hf_utf8_feed(&state, HF_LITERAL("plain text that would be fine")));
    assert_false(hf_utf8_feed(&state, (struct hf_slice){NULL, 0}));
}

/* One text whose words are ASCII here and not there, with one bad byte put at every place. */
static void the_ascii_path_overlooks_nothing_at_any_place_and_offset(void **unused)
{
    static const uint8_t mask[4] = {0xA5, 0x80, 0x13, 0xFF};
    static const char text[] =
        "0123456789abcdef\xC3\xA9 then \xF0\x9F\x98\x80 and ASCII up to here";
    const size_t len = sizeof(text) - 1;
    for (size_t bad = 0; bad <= len; bad++) {
        for (uint64_t offset = 0; offset < 4; offset++) {
            uint8_t plain[sizeof(text)];
            uint8_t masked[sizeof(text)];
            memcpy(plain, text, len);
            if (bad < len) {
                plain[bad] = 0xFF;
            }
            memcpy(masked, plain, len);
            hf_mask_apply(masked, len, mask, offset);
            const uint8_t first = masked[0];
            uint32_t a = 0;
            uint32_t b = 0;
            assert_int_equal(hf_utf8_feed(&a, hf_slice(plain, len)), bad == len);
            assert_int_equal(hf_utf8_feed_masked(&b, hf_slice(masked, len), mask, offset),
                             bad == len);
            assert_int_equal(a, b);
            assert_int_equal(masked[0], first);
        }
    }
}

/* Behind characters of 2, 3 and 4 bytes words start at every place of the key; bad bytes in every
 * pattern of a word must not look like ASCII under a key that lies wrongly. */
static void masked_words_are_read_with_the_key_in_its_place(void **unused)
{
    static const uint8_t mask[4] = {0x80, 0x01, 0x02, 0x03};
    static const char *const before[] = {"", "\xC3\xA9", "\xE2\x82\xAC", "\xC3\xA9\xE2\x82\xAC"};
    for (size_t b = 0; b < 4; b++) {
        for (unsigned pattern = 0; pattern < 256; pattern++) {
            uint8_t text[16];
            uint32_t state = 0;
            const size_t lead = strlen(before[b]);
            memcpy(text, before[b], lead);
            for (size_t i = 0; i < 8; i++) {
                text[lead + i] = (pattern >> i & 1) != 0 ? 0xFF : 'a';
            }
            hf_mask_apply(text, lead + 8, mask, 0);
            assert_int_equal(hf_utf8_feed_masked(&state, hf_slice(text, lead + 8), mask, 0),
                             pattern == 0);
        }
    }
}

static void masked_text_is_checked_across_any_cut_and_left_as_it_was(void **unused)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    static const char text[] = "na\xC3\xAFve \xE2\x82\xAC \xF0\x9F\x98\x80 plain plain plain";
    const size_t len = sizeof(text) - 1;
    uint8_t masked[sizeof(text)];
    uint8_t before[sizeof(text)];
    memcpy(masked, text, len);
    hf_mask_apply(masked, len, mask, 5);
    memcpy(before, masked, len);
    for (size_t cut = 0; cut <= len; cut++) {
        uint32_t state = 0;
        assert_true(hf_utf8_feed_masked(&state, hf_slice(masked, cut), mask, 5));
        assert_true(hf_utf8_feed_masked(&state, hf_slice(masked + cut, len - cut), mask, 5 + cut));
        assert_int_equal(state, 0);
    }
    assert_memory_equal(masked, before, len);
}

/* --- Close payloads --- */

static void expect_close(struct hf_slice payload, uint16_t code, const char *reason)
{
    uint16_t got = 0;
    uint16_t fault = 0;
    struct hf_slice text;
    assert_true(hf_close_read(payload, &got, &text, &fault));
    assert_int_equal(got, code);
    assert_true(hf_slice_eq(text, hf_slice_of(reason)));
}

static uint16_t close_fault(struct hf_slice payload)
{
    uint16_t got = 0;
    uint16_t fault = 0;
    struct hf_slice text;
    assert_false(hf_close_read(payload, &got, &text, &fault));
    return fault;
}

/* RFC 6455 7.1.5 */
static void an_empty_close_means_1005(void **unused)
{
    expect_close((struct hf_slice){NULL, 0}, HF_CLOSE_NO_CODE, "");
}

/* RFC 6455 5.5.1 */
static void a_close_has_a_code_and_perhaps_a_reason(void **unused)
{
    expect_close(HF_LITERAL("\x03\xe8"), 1000, "");
    expect_close(HF_LITERAL("\x03\xe9"
                            "going away"),
                 1001, "going away");
    expect_close(HF_LITERAL("\x13\x87"
                            "\xC3\xA9"),
                 4999, "\xC3\xA9");
}

/* RFC 6455 5.5.1 */
static void a_close_of_one_byte_is_a_protocol_error(void **unused)
{
    assert_int_equal(close_fault(hf_slice("\x03\xe8", 1)), HF_CLOSE_PROTOCOL);
}

/* RFC 6455 7.4.1 */
static void a_close_with_a_code_that_must_not_be_sent_is_a_protocol_error(void **unused)
{
    assert_int_equal(close_fault(HF_LITERAL("\x00\x00")), HF_CLOSE_PROTOCOL);
    assert_int_equal(close_fault(HF_LITERAL("\x03\xec")), HF_CLOSE_PROTOCOL); /* 1004 */
    assert_int_equal(close_fault(HF_LITERAL("\x03\xed")), HF_CLOSE_PROTOCOL); /* 1005 */
    assert_int_equal(close_fault(HF_LITERAL("\x03\xee")), HF_CLOSE_PROTOCOL); /* 1006 */
    assert_int_equal(close_fault(HF_LITERAL("\x03\xf7")), HF_CLOSE_PROTOCOL); /* 1015 */
    assert_int_equal(close_fault(HF_LITERAL("\xff\xff")), HF_CLOSE_PROTOCOL);
}

/* RFC 6455 5.5.1, 8.1 */
static void a_close_whose_reason_is_not_utf8_is_bad_data(void **unused)
{
    assert_int_equal(close_fault(HF_LITERAL("\x03\xe8"
                                            "\xff")),
                     HF_CLOSE_BAD_DATA);
    assert_int_equal(close_fault(HF_LITERAL("\x03\xe8"
                                            "cut \xE2\x82")),
                     HF_CLOSE_BAD_DATA);
}

static void a_close_that_is_written_reads_back(void **unused)
{
    uint8_t out[HF_CONTROL_PAYLOAD_MAX];
    size_t len = hf_close_write(out, 4401, hf_slice_of("token expired"));
    expect_close(hf_slice(out, len), 4401, "token expired");
    assert_int_equal(hf_close_write(out, HF_CLOSE_NO_CODE, hf_slice_of("x")), 0);
    assert_int_equal(hf_close_write(out, HF_CLOSE_ABNORMAL, hf_slice_of("x")), 0);
}

/* RFC 6455 5.5: a control frame has at most 125 bytes */
static void a_long_reason_is_cut_at_a_character(void **unused)
{
    uint8_t out[HF_CONTROL_PAYLOAD_MAX];
    char reason[200];
    memset(reason, 'x', sizeof(reason));
    assert_int_equal(hf_close_write(out, 1000, hf_slice(reason, 123)), 125);
    assert_int_equal(hf_close_write(out, 1000, hf_slice(reason, 200)), 125);
    memcpy(reason + 121, "\xE2\x82\xAC", 3); /* would end at 124 */
    assert_int_equal(hf_close_write(out, 1000, hf_slice(reason, 200)), 123);
    memcpy(reason + 10, "\xff", 1);
    assert_int_equal(hf_close_write(out, 1000, hf_slice(reason, 200)), 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_heads_of_the_examples_in_the_rfc_are_read),
        cmocka_unit_test(the_masked_hello_of_the_rfc_unmasks),
        cmocka_unit_test(every_head_that_is_written_reads_back_in_its_shortest_form),
        cmocka_unit_test(a_length_not_in_its_shortest_form_is_refused),
        cmocka_unit_test(a_length_with_its_top_bit_set_is_refused),
        cmocka_unit_test(a_head_that_is_not_whole_is_not_written_to),
        cmocka_unit_test(the_opcodes_3_to_7_and_11_to_15_are_not_known),
        cmocka_unit_test(only_codes_that_may_stand_in_a_close_are_valid),
        cmocka_unit_test(masking_is_right_for_any_alignment_length_and_offset),
        cmocka_unit_test(masking_goes_on_at_an_offset_beyond_4_gib),
        cmocka_unit_test(masking_in_pieces_is_masking_whole),
        cmocka_unit_test(the_machine_agrees_with_a_slow_decoder_on_every_beginning),
        cmocka_unit_test(a_bad_text_is_refused_at_the_first_byte_that_cannot_be),
        cmocka_unit_test(a_text_that_stops_inside_a_character_is_not_at_an_end),
        cmocka_unit_test(the_edges_of_every_length_are_text),
        cmocka_unit_test(a_text_found_bad_stays_bad),
        cmocka_unit_test(the_ascii_path_overlooks_nothing_at_any_place_and_offset),
        cmocka_unit_test(masked_words_are_read_with_the_key_in_its_place),
        cmocka_unit_test(masked_text_is_checked_across_any_cut_and_left_as_it_was),
        cmocka_unit_test(an_empty_close_means_1005),
        cmocka_unit_test(a_close_has_a_code_and_perhaps_a_reason),
        cmocka_unit_test(a_close_of_one_byte_is_a_protocol_error),
        cmocka_unit_test(a_close_with_a_code_that_must_not_be_sent_is_a_protocol_error),
        cmocka_unit_test(a_close_whose_reason_is_not_utf8_is_bad_data),
        cmocka_unit_test(a_close_that_is_written_reads_back),
        cmocka_unit_test(a_long_reason_is_cut_at_a_character),
    };
    return cmocka_run_group_tests_name("ws frame", tests, NULL, NULL);
}
