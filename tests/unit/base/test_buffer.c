/* SPDX-License-Identifier: Apache-2.0 */
/* Owned bytes: growth, the named maximum, failure, and the escaping of JSON. */
#include "test_alloc.h"
#include "test_unit.h"

#include "base/buffer.h"

struct fixture {
    struct test_alloc ta;
    struct hf_buffer b;
};

static int setup(void **state)
{
    static struct fixture f;
    test_alloc_init(&f.ta);
    hf_buffer_init(&f.b, &f.ta.alloc, 1000);
    *state = &f;
    return 0;
}

/* A buffer that leaks fails its test. */
static int teardown(void **state)
{
    struct fixture *f = *state;
    hf_buffer_reset(&f->b);
    return f->ta.live_blocks == 0 && f->b.data == NULL && f->b.cap == 0 ? 0 : -1;
}

static void an_idle_buffer_owns_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->ta.calls, 0);
    assert_null(f->b.data);
    assert_int_equal(hf_buffer_add(&f->b, hf_slice(NULL, 0)), HF_OK);
    assert_int_equal(f->ta.calls, 0);
    assert_int_equal(hf_buffer_add_byte(&f->b, 'x'), HF_OK);
    hf_buffer_reset(&f->b);
    assert_int_equal(f->ta.live_bytes, 0);
    assert_int_equal(hf_buffer_add_text(&f->b, "again"), HF_OK);
    assert_slice(hf_buffer_slice(&f->b), "again");
}

static void growth_doubles_so_a_thousand_bytes_need_few_allocations(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(hf_buffer_add_byte(&f->b, (uint8_t)i), HF_OK);
        assert_true(f->b.len <= f->b.cap && f->b.cap <= f->b.max);
    }
    assert_true(f->ta.calls <= 6);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(f->b.data[i], i & 255);
    }
}

static void an_append_beyond_the_maximum_changes_nothing_and_fails_until_cleared(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[1001] = {0};
    assert_int_equal(hf_buffer_add_text(&f->b, "abc"), HF_OK);
    assert_int_equal(hf_buffer_add(&f->b, hf_slice(bytes, 998)), HF_NO_MEMORY);
    assert_true(f->b.failed);
    assert_slice(hf_buffer_slice(&f->b), "abc");
    assert_int_equal(hf_buffer_add_byte(&f->b, 'd'), HF_NO_MEMORY);
    assert_int_equal(hf_buffer_addf(&f->b, "d"), HF_NO_MEMORY);
    assert_int_equal(hf_buffer_add_json(&f->b, HF_LITERAL("d")), HF_NO_MEMORY);
    assert_slice(hf_buffer_slice(&f->b), "abc");
    hf_buffer_clear(&f->b);
    assert_int_equal(hf_buffer_add(&f->b, hf_slice(bytes, 1000)), HF_OK);
    assert_int_equal(f->b.len, 1000);
    assert_int_equal(hf_buffer_reserve(&f->b, 1), HF_NO_MEMORY);
    assert_int_equal(hf_buffer_reserve(&f->b, SIZE_MAX), HF_NO_MEMORY);
}

static void a_failed_allocation_keeps_the_old_bytes(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(hf_buffer_add_text(&f->b, "abc"), HF_OK);
    test_alloc_fail_at(&f->ta, 1);
    uint8_t bytes[100] = {0};
    assert_int_equal(hf_buffer_add(&f->b, hf_slice(bytes, 100)), HF_NO_MEMORY);
    assert_slice(hf_buffer_slice(&f->b), "abc");
}

static void clear_keeps_the_memory_and_reserve_makes_appends_free(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(hf_buffer_reserve(&f->b, 500), HF_OK);
    size_t calls = f->ta.calls;
    for (int i = 0; i < 500; i++) {
        (void)hf_buffer_add_byte(&f->b, 'x');
    }
    hf_buffer_clear(&f->b);
    for (int i = 0; i < 500; i++) {
        (void)hf_buffer_add_byte(&f->b, 'y');
    }
    assert_int_equal(f->ta.calls, calls);
}

static void dropping_takes_the_first_bytes_off(void **state)
{
    struct fixture *f = *state;
    (void)hf_buffer_add_text(&f->b, "abcdef");
    hf_buffer_drop(&f->b, 2);
    assert_slice(hf_buffer_slice(&f->b), "cdef");
    hf_buffer_drop(&f->b, 0);
    hf_buffer_drop(&f->b, 4);
    assert_int_equal(f->b.len, 0);
}

static void a_formatted_text_of_any_length_is_whole_even_where_its_nul_finds_no_room(void **state)
{
    struct fixture *f = *state;
    for (int len = 0; len <= 64; len++) {
        hf_buffer_reset(&f->b);
        f->b.max = (size_t)len + 1;
        if (len % 2 == 0) {
            assert_int_equal(hf_buffer_reserve(&f->b, f->b.max), HF_OK);
        }
        assert_int_equal(hf_buffer_addf(&f->b, "%c%*s", 'a', len, ""), HF_OK);
        assert_int_equal(f->b.len, len + 1);
        assert_int_equal(f->b.data[len], len == 0 ? 'a' : ' ');
        assert_int_equal(hf_buffer_addf(&f->b, "%s", ""), HF_OK);
        assert_int_equal(hf_buffer_addf(&f->b, "x"), HF_NO_MEMORY);
        assert_int_equal(f->b.len, len + 1);
    }
    hf_buffer_reset(&f->b);
    f->b.max = 1000;
    assert_int_equal(hf_buffer_addf(&f->b, "%d %s", -7, "seven"), HF_OK);
    assert_slice(hf_buffer_slice(&f->b), "-7 seven");
}

static void formatting_survives_the_failure_of_each_of_its_allocations(void **state)
{
    struct fixture *f = *state;
    f->b.max = 100;
    for (size_t n = 1;; n++) {
        hf_buffer_reset(&f->b);
        (void)hf_buffer_add_text(&f->b, "abc");
        test_alloc_fail_at(&f->ta, n);
        enum hf_status status = hf_buffer_addf(&f->b, "%97s", "z");
        assert_int_equal(status == HF_OK, !f->b.failed);
        assert_int_equal(f->b.len, status == HF_OK ? 100 : 3);
        if (!f->ta.fired) {
            assert_int_equal(status, HF_OK);
            break;
        }
    }
}

static void assert_json(struct fixture *f, struct hf_slice in, const char *wanted)
{
    hf_buffer_clear(&f->b);
    assert_int_equal(hf_buffer_add_json(&f->b, in), HF_OK);
    assert_slice(hf_buffer_slice(&f->b), wanted);
}

#define JSON(in, wanted) assert_json(*state, HF_LITERAL(in), wanted)

static void json_escapes_quotes_backslashes_and_controls(void **state)
{
    JSON("", "");
    JSON("plain text of more than eight bytes", "plain text of more than eight bytes");
    JSON("say \"hi\"", "say \\\"hi\\\"");
    JSON("C:\\dir", "C:\\\\dir");
    JSON("\b\f\n\r\t", "\\b\\f\\n\\r\\t");
    JSON("\x01\x1f\x7f", "\\u0001\\u001f\\u007f");
    assert_json(*state, hf_slice("a\0b", 3), "a\\u0000b");
    JSON("\x1b[31m", "\\u001b[31m");
}

static void json_keeps_utf8_and_escapes_the_controls_of_terminals(void **state)
{
    JSON("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8e\x89",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x8e\x89");
    JSON("\xc2\x9b"
         "31m\xc2\xa0",
         "\\u009b31m\xc2\xa0");
    JSON("\xf4\x8f\xbf\xbf\xee\x80\x80\xed\x9f\xbf", "\xf4\x8f\xbf\xbf\xee\x80\x80\xed\x9f\xbf");
}

#define FFFD "\xef\xbf\xbd"

static void json_replaces_bytes_that_are_not_utf8(void **state)
{
    JSON("\xff", FFFD);
    JSON("a\x80z", "a" FFFD "z");
    JSON("\xc0\xaf", FFFD FFFD);                   /* overlong */
    JSON("\xe0\x80\xaf", FFFD FFFD FFFD);          /* overlong */
    JSON("\xf0\x80\x80\xaf", FFFD FFFD FFFD FFFD); /* overlong */
    JSON("\xed\xa0\x80", FFFD FFFD FFFD);          /* a surrogate */
    JSON("\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD); /* beyond U+10FFFF */
    JSON("\xe2\x82", FFFD FFFD);                   /* cut off */
    JSON("\xc3\"", FFFD "\\\"");                   /* a lead byte does not swallow the quote */
}

/* Whatever byte stands at whatever place among clean ones, the words of eight miss none. */
static void json_finds_each_dirty_byte_at_each_place(void **state)
{
    struct fixture *f = *state;
    for (int c = 0; c < 256; c++) {
        for (size_t at = 0; at < 24; at++) {
            char in[24];
            memset(in, at % 2 == 0 ? 'a' : '~', sizeof(in));
            in[at] = (char)c;
            hf_buffer_clear(&f->b);
            (void)hf_buffer_add_json(&f->b, hf_slice(in, sizeof(in)));
            bool clean = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
            struct hf_slice out = hf_buffer_slice(&f->b);
            assert_int_equal(hf_slice_eq(out, hf_slice(in, sizeof(in))), clean);
            assert_memory_equal(out.ptr, in, at);
            assert_memory_equal(out.ptr + out.len - (23 - at), in + at + 1, 23 - at);
        }
    }
}

static void json_is_all_or_nothing(void **state)
{
    struct fixture *f = *state;
    f->b.max = 12;
    (void)hf_buffer_add_text(&f->b, "abc");
    assert_int_equal(hf_buffer_add_json(&f->b, HF_LITERAL("1234567\"\"")), HF_NO_MEMORY);
    assert_slice(hf_buffer_slice(&f->b), "abc");
    assert_true(f->b.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(an_idle_buffer_owns_nothing),
        T(growth_doubles_so_a_thousand_bytes_need_few_allocations),
        T(an_append_beyond_the_maximum_changes_nothing_and_fails_until_cleared),
        T(a_failed_allocation_keeps_the_old_bytes),
        T(clear_keeps_the_memory_and_reserve_makes_appends_free),
        T(dropping_takes_the_first_bytes_off),
        T(a_formatted_text_of_any_length_is_whole_even_where_its_nul_finds_no_room),
        T(formatting_survives_the_failure_of_each_of_its_allocations),
        T(json_escapes_quotes_backslashes_and_controls),
        T(json_keeps_utf8_and_escapes_the_controls_of_terminals),
        T(json_replaces_bytes_that_are_not_utf8),
        T(json_finds_each_dirty_byte_at_each_place),
        T(json_is_all_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
