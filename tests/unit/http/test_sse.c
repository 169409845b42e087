/* SPDX-License-Identifier: Apache-2.0 */
/* Server-Sent Events: what is written, and what a reader makes of it, whole and byte by byte. */
#include "http/sse.h"

#include "exact.h"

#include <stdio.h>

#define NONE hf_slice(NULL, 0)

static struct hf_buffer out;

static int set_up(void **state)
{
    hf_buffer_init(&out, &hf_heap, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    hf_buffer_reset(&out);
    return 0;
}

/* Reads text in pieces of `step` bytes and writes down what came: name|data|id; for each event. */
static void narrate(struct hf_slice text, size_t step, size_t max, struct hf_buffer *story)
{
    struct hf_sse_reader reader;
    struct hf_sse_event event;
    size_t at = 0;
    hf_sse_reader_init(&reader, &hf_heap, max);
    while (at < text.len) {
        struct hf_slice piece = exact(hf_slice_first(hf_slice_from(text, at), step));
        size_t taken;
        enum hf_sse_read read = hf_sse_read(&reader, piece, &taken, &event);
        at += taken;
        if (read == HF_SSE_EVENT) {
            hf_buffer_add(story, event.name);
            hf_buffer_add_byte(story, '|');
            hf_buffer_add(story, event.data);
            hf_buffer_add_byte(story, '|');
            hf_buffer_add(story, event.id);
            hf_buffer_add_byte(story, ';');
        } else if (read == HF_SSE_FULL) {
            hf_buffer_add_text(story, "FULL");
            at = text.len;
        } else {
            assert_int_equal(taken, piece.len);
        }
        exact_free(piece);
    }
    hf_sse_reader_fini(&reader);
}

static void assert_story(struct hf_slice text, size_t max, const char *wanted)
{
    for (size_t step = 1; step <= text.len; step = step < 4 ? step + 1 : text.len + 1) {
        struct hf_buffer story;
        hf_buffer_init(&story, &hf_heap, 1 << 20);
        narrate(text, step, max, &story);
        assert_slice(hf_buffer_slice(&story), wanted);
        hf_buffer_reset(&story);
    }
    struct hf_buffer story;
    hf_buffer_init(&story, &hf_heap, 1 << 20);
    narrate(text, text.len, max, &story);
    assert_slice(hf_buffer_slice(&story), wanted);
    hf_buffer_reset(&story);
}

static void an_event_is_written_as_lines_and_ends_with_an_empty_one(void **state)
{
    hf_sse_event(&out, "hello", NONE, HF_LITERAL("a=1 b=2"));
    hf_sse_event(&out, NULL, HF_LITERAL("t.1.7"), HF_LITERAL("x\n\ny"));
    assert_slice(hf_buffer_slice(&out), "event: hello\ndata: a=1 b=2\n\n"
                                        "id: t.1.7\ndata: x\ndata: \ndata: y\n\n");
}

static void data_comes_back_as_it_was_written(void **state)
{
    static const char *const texts[] = {"",   "a",    "a\n", "\n",     "\n\n",    " a",
                                        ":a", "a: b", "  ",  "a\nb\n", "data: x", "\xef\xbb\xbfz"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        char wanted[64];
        hf_buffer_clear(&out);
        hf_sse_event(&out, NULL, HF_LITERAL("7"), hf_slice_of(texts[i]));
        (void)snprintf(wanted, sizeof(wanted), "|%s|7;", texts[i]);
        assert_story(hf_buffer_slice(&out), 100, wanted);
    }
}

static void what_lines_cannot_carry_is_known_and_goes_in_base64(void **state)
{
    assert_true(hf_sse_carries(HF_LITERAL("a\nb")));
    assert_true(hf_sse_carries(HF_LITERAL("")));
    assert_false(hf_sse_carries(HF_LITERAL("a\rb")));
    assert_false(hf_sse_carries(HF_LITERAL("a\0b")));
    hf_sse_event_base64(&out, "text64", HF_LITERAL("3"), HF_LITERAL("a\rb\0"));
    assert_slice(hf_buffer_slice(&out), "id: 3\nevent: text64\ndata: YQ1iAA==\n\n");
}

static void long_payloads_in_base64_are_one_line(void **state)
{
    static uint8_t payload[10000];
    memset(payload, 'x', sizeof(payload));
    hf_sse_event_base64(&out, "binary", NONE, hf_slice(payload, sizeof(payload)));
    /* 10000 bytes are 13336 characters. */
    assert_int_equal(out.len, strlen("event: binary\ndata: ") + 13336 + 2);
    assert_memory_equal(out.data + out.len - 6, "eA==\n\n", 6);
    assert_int_equal(hf_slice_find(hf_slice_from(hf_buffer_slice(&out), 20), '='), 13334);
}

static void padding_is_as_long_as_asked_and_no_event(void **state)
{
    hf_sse_padding(&out, 2048);
    assert_int_equal(out.len, 2048);
    assert_story(hf_buffer_slice(&out), 4000, "");
    hf_buffer_clear(&out);
    hf_sse_padding(&out, 0);
    assert_slice(hf_buffer_slice(&out), ": \n\n");
}

static void a_reader_takes_every_ending_of_a_line_and_all_spellings_of_fields(void **state)
{
    assert_story(HF_LITERAL("data: a\r\n\r\ndata:b\r\rdata\n\n"), 100, "|a|;|b|;||;");
    assert_story(HF_LITERAL("\xef\xbb\xbf"
                            "data: a\n\n"),
                 100, "|a|;");
    assert_story(HF_LITERAL(": comment\nevent: e\nunknown: u\nretry: 5\ndata: a\ndata: b\n\n"), 100,
                 "e|a\nb|;");
}

static void an_id_stays_and_a_name_does_not(void **state)
{
    assert_story(HF_LITERAL("id: 1\nevent: e\ndata: a\n\ndata: b\n\nid\ndata: c\n\n"), 100,
                 "e|a|1;|b|1;|c|;");
    assert_story(HF_LITERAL("id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n"), 100, "|a|1;|b|1;");
    assert_story(HF_LITERAL("event: e\n\ndata: b\n\n"), 100, "|b|;");
}

static void a_line_or_an_event_beyond_the_limit_is_told(void **state)
{
    assert_story(HF_LITERAL("data: 34\n\n"), 8, "|34|;");
    assert_story(HF_LITERAL("data: 345\n\n"), 8, "FULL");
    assert_story(HF_LITERAL("data:1234\ndata:1234\ndata\n\n"), 9, "FULL");
    assert_story(HF_LITERAL("data:1234\ndata:1234\n\n"), 9, "|1234\n1234|;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_event_is_written_as_lines_and_ends_with_an_empty_one,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(data_comes_back_as_it_was_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_lines_cannot_carry_is_known_and_goes_in_base64, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(long_payloads_in_base64_are_one_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(padding_is_as_long_as_asked_and_no_event, set_up,
                                        tear_down),
        cmocka_unit_test(a_reader_takes_every_ending_of_a_line_and_all_spellings_of_fields),
        cmocka_unit_test(an_id_stays_and_a_name_does_not),
        cmocka_unit_test(a_line_or_an_event_beyond_the_limit_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
