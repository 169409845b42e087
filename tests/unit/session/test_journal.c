/* SPDX-License-Identifier: Apache-2.0 */
/* Journals: what is held, what it costs, where cursors stand, and what happens without memory. */
#include "session/journal.h"

#include "test_alloc.h"
#include "test_unit.h"

static struct test_alloc ta;
static struct hf_journal j;

static int begin(void **state)
{
    test_alloc_init(&ta);
    hf_journal_init(&j, 0);
    return 0;
}

static int end(void **state)
{
    hf_journal_fini(&j, &ta.alloc);
    return ta.live_blocks == 0 ? 0 : -1;
}

static uint8_t big[100000];

/* A record whose bytes tell its number. */
static enum hf_status add(uint64_t number, size_t len)
{
    const struct hf_slice part = hf_slice(big, len);
    memset(big, (int)(number * 7 + 1), len);
    return hf_journal_add(&j, &ta.alloc, (uint8_t)(1 + number % 2), &part, 1);
}

static void add_ok(uint64_t number, size_t len)
{
    assert_int_equal(add(number, len), HF_OK);
    assert_int_equal(j.end, number);
    assert_int_equal(ta.live_bytes, j.bytes);
}

static void expect_next(struct hf_journal_cursor *at, uint64_t number, size_t len)
{
    struct hf_record record;
    assert_true(hf_journal_next(&j, at, &record));
    assert_int_equal(record.number, number);
    assert_int_equal(record.opcode, 1 + number % 2);
    assert_int_equal(record.payload.len, len);
    assert_int_equal(at->number, number);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(record.payload.ptr[i], (uint8_t)(number * 7 + 1));
    }
}

static void expect_end(struct hf_journal_cursor *at)
{
    struct hf_record record;
    assert_false(hf_journal_next(&j, at, &record));
    assert_int_equal(at->number, j.end);
}

static void drop(uint64_t n)
{
    hf_journal_drop(&j, &ta.alloc, n);
    assert_int_equal(j.base, n);
    assert_int_equal(ta.live_bytes, j.bytes);
}

static void an_empty_journal_owns_no_memory(void **state)
{
    struct hf_journal_cursor at;
    hf_journal_seek(&j, &at, 0);
    expect_end(&at);
    assert_int_equal(ta.calls, 0);
    for (uint64_t n = 1; n <= 300; n++) {
        add_ok(n, n);
    }
    drop(300);
    assert_int_equal(ta.live_blocks, 0);
    assert_int_equal(j.bytes, 0);
    assert_int_equal(j.cost, 0);
    expect_end(&at);
    add_ok(301, 5);
    expect_next(&at, 301, 5);
}

static void records_come_out_as_they_went_in_however_large(void **state)
{
    static const size_t sizes[] = {0,     1,   100,  216,  217, 218,  222,  223,  224,   400,
                                   794,   795, 796,  1,    2,   800,  801,  0,    65536, 3,
                                   99999, 4,   4091, 4096, 5,   2000, 2000, 2000, 6};
    struct hf_journal_cursor at;
    uint64_t cost = 0;
    const size_t count = sizeof(sizes) / sizeof(sizes[0]);
    for (uint64_t n = 1; n <= count; n++) {
        add_ok(n, sizes[n - 1]);
        cost += sizes[n - 1] + 16;
        assert_int_equal(j.cost, cost);
    }
    hf_journal_seek(&j, &at, 0);
    for (uint64_t n = 1; n <= count; n++) {
        expect_next(&at, n, sizes[n - 1]);
    }
    expect_end(&at);
    for (uint64_t n = 1; n <= count; n++) {
        drop(n);
        cost -= sizes[n - 1] + 16;
        assert_int_equal(j.cost, cost);
    }
}

/* Two records that leave a few bytes of the first block, none, or too few: the sanitizer looks on.
 */
static void a_block_is_filled_to_its_last_byte_and_no_further(void **state)
{
    for (size_t len = 0; len < 240; len++) {
        for (size_t both = 215; both < 240; both++) {
            struct hf_journal_cursor at;
            if (len > both) {
                continue;
            }
            hf_journal_init(&j, 0);
            add_ok(1, len);
            add_ok(2, both - len);
            hf_journal_seek(&j, &at, 0);
            expect_next(&at, 1, len);
            expect_next(&at, 2, both - len);
            hf_journal_fini(&j, &ta.alloc);
        }
    }
}

static void a_record_is_made_of_its_parts(void **state)
{
    const struct hf_slice parts[] = {
        HF_LITERAL("one "), {NULL, 0}, HF_LITERAL("two "), HF_LITERAL("three")};
    struct hf_journal_cursor at;
    struct hf_record record;
    assert_int_equal(hf_journal_add(&j, &ta.alloc, 2, parts, 4), HF_OK);
    assert_int_equal(hf_journal_add(&j, &ta.alloc, 1, parts + 1, 1), HF_OK);
    hf_journal_seek(&j, &at, 0);
    assert_true(hf_journal_next(&j, &at, &record));
    assert_slice(record.payload, "one two three");
    assert_int_equal(record.opcode, 2);
    assert_true(hf_journal_next(&j, &at, &record));
    assert_int_equal(record.payload.len, 0);
    assert_int_equal(record.number, 2);
}

static void counting_goes_on_from_where_it_was_told_to_start(void **state)
{
    struct hf_journal_cursor at;
    hf_journal_init(&j, 41);
    add_ok(42, 3);
    add_ok(43, 3);
    hf_journal_seek(&j, &at, 42);
    expect_next(&at, 43, 3);
    drop(43);
    hf_journal_fini(&j, &ta.alloc);
    assert_int_equal(j.base, 43);
    assert_int_equal(j.end, 43);
}

static void many_small_records_cost_little_memory(void **state)
{
    for (uint64_t n = 1; n <= 4000; n++) {
        add_ok(n, 20);
    }
    assert_in_range(j.bytes, 4000 * 25, 4000 * 25 * 102 / 100 + 4096);
    drop(4000);
    add_ok(4001, 20);
    assert_in_range(j.bytes, 25, 256);
}

static void small_records_between_large_ones_cost_little_memory(void **state)
{
    size_t payload = 0;
    for (uint64_t n = 1; n <= 1000; n++) {
        add_ok(n, n % 2 == 0 ? 3000 : 10);
        payload += n % 2 == 0 ? 3000 : 10;
    }
    assert_in_range(j.bytes, payload, payload + 1000 * 160);
}

static void a_large_record_goes_back_as_soon_as_it_is_dropped(void **state)
{
    add_ok(1, 50000);
    add_ok(2, 10);
    assert_in_range(j.bytes, 50000, 50000 + 600);
    drop(1);
    assert_in_range(j.bytes, 10, 300);
}

static void a_cursor_lives_through_drops_before_and_beyond_it(void **state)
{
    struct hf_journal_cursor reading;
    struct hf_journal_cursor behind;
    for (uint64_t n = 1; n <= 200; n++) {
        add_ok(n, 90);
    }
    hf_journal_seek(&j, &behind, 0);
    hf_journal_seek(&j, &reading, 100);
    for (uint64_t n = 1; n <= 200; n++) {
        /* Dropping up to the very record that was read last, at each place in a block. */
        drop(n);
        if (n >= 100 && n < 200) {
            expect_next(&reading, n + 1, 90);
            expect_next(&behind, n + 1, 90);
        }
    }
    expect_end(&behind);
    expect_end(&reading);
    add_ok(201, 1);
    expect_next(&reading, 201, 1);
    add_ok(202, 5000);
    expect_next(&reading, 202, 5000);
    drop(202);
    expect_end(&behind);
}

static void a_cursor_at_the_end_sees_what_is_added(void **state)
{
    struct hf_journal_cursor at;
    hf_journal_seek(&j, &at, 0);
    for (uint64_t n = 1; n <= 500; n++) {
        expect_end(&at);
        add_ok(n, n % 97);
        expect_next(&at, n, n % 97);
        if (n % 3 == 0) {
            drop(n - 2);
        }
    }
}

static void a_cursor_can_be_set_to_every_place(void **state)
{
    struct hf_journal_cursor at;
    for (uint64_t n = 1; n <= 100; n++) {
        add_ok(n, n * 13 % 1000);
    }
    drop(20);
    for (uint64_t n = 20; n <= 100; n++) {
        hf_journal_seek(&j, &at, n);
        if (n < 100) {
            expect_next(&at, n + 1, (n + 1) * 13 % 1000);
        } else {
            expect_end(&at);
        }
    }
}

static void without_memory_nothing_changes_and_the_journal_goes_on(void **state)
{
    static const size_t sizes[] = {10, 240, 400, 10, 5000, 10, 700, 700, 700, 700, 700, 700};
    const size_t count = sizeof(sizes) / sizeof(sizes[0]);
    for (size_t fail = 1;; fail++) {
        struct hf_journal_cursor at;
        hf_journal_init(&j, 0);
        test_alloc_fail_at(&ta, fail);
        for (uint64_t n = 1; n <= count; n++) {
            const struct hf_journal before = j;
            if (add(n, sizes[n - 1]) != HF_OK) {
                assert_memory_equal(&before, &j, sizeof(j));
                assert_int_equal(add(n, sizes[n - 1]), HF_OK);
            }
        }
        hf_journal_seek(&j, &at, 0);
        for (uint64_t n = 1; n <= count; n++) {
            expect_next(&at, n, sizes[n - 1]);
        }
        hf_journal_fini(&j, &ta.alloc);
        assert_int_equal(ta.live_blocks, 0);
        if (!ta.fired) {
            assert_in_range(fail, 5, 50);
            break;
        }
    }
}

static void a_record_that_no_block_can_hold_is_refused(void **state)
{
    const struct hf_slice parts[] = {HF_LITERAL("x"), {big, UINT32_MAX}};
    assert_int_equal(hf_journal_add(&j, &ta.alloc, 1, parts, 2), HF_NO_MEMORY);
    assert_int_equal(j.end, 0);
    assert_int_equal(ta.calls, 0);
}

/* One message at a time that is acknowledged some messages later, as an echo does it. */
static void a_steady_flow_seldom_asks_for_memory(void **state)
{
    for (uint64_t n = 1; n <= 10000; n++) {
        add_ok(n, 64);
        if (n > 4) {
            drop(n - 4);
        }
    }
    assert_in_range(ta.calls, 1, 10000 / 40);
    assert_in_range(ta.peak_bytes, 1, 2 * 4096);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(an_empty_journal_owns_no_memory),
        STORY(records_come_out_as_they_went_in_however_large),
        STORY(a_block_is_filled_to_its_last_byte_and_no_further),
        STORY(a_record_is_made_of_its_parts),
        STORY(counting_goes_on_from_where_it_was_told_to_start),
        STORY(many_small_records_cost_little_memory),
        STORY(small_records_between_large_ones_cost_little_memory),
        STORY(a_large_record_goes_back_as_soon_as_it_is_dropped),
        STORY(a_cursor_lives_through_drops_before_and_beyond_it),
        STORY(a_cursor_at_the_end_sees_what_is_added),
        STORY(a_cursor_can_be_set_to_every_place),
        STORY(without_memory_nothing_changes_and_the_journal_goes_on),
        STORY(a_record_that_no_block_can_hold_is_refused),
        STORY(a_steady_flow_seldom_asks_for_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
