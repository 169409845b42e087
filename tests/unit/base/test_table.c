/* SPDX-License-Identifier: Apache-2.0 */
/* The hash table. */
#include "test_alloc.h"
#include "test_unit.h"

#include "base/hash.h"
#include "base/table.h"

#define ITEMS 1000

struct item {
    struct hf_table_node node; /* first, so that a node is its item */
    size_t number;
    bool seen;
};

struct fixture {
    struct test_alloc ta;
    struct hf_table t;
    struct item items[ITEMS];
};

static int setup(void **state)
{
    static struct fixture f;
    test_alloc_init(&f.ta);
    hf_table_init(&f.t, &f.ta.alloc, (const uint8_t *)"0123456789abcdef");
    for (size_t i = 0; i < ITEMS; i++) {
        f.items[i] = (struct item){.number = i};
    }
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hf_table_fini(&f->t);
    return f->ta.live_blocks == 0 ? 0 : -1;
}

static uint64_t hash_of(const struct fixture *f, size_t number)
{
    return hf_table_hash(&f->t, hf_slice(&number, sizeof(number)));
}

static struct item *find(const struct fixture *f, size_t number)
{
    uint64_t hash = hash_of(f, number);
    struct hf_table_node *n = hf_table_find(&f->t, hash, NULL);
    while (n != NULL && ((struct item *)n)->number != number) {
        n = hf_table_find(&f->t, hash, n);
    }
    return (struct item *)n;
}

static void insert_all(struct fixture *f)
{
    for (size_t i = 0; i < ITEMS; i++) {
        assert_int_equal(hf_table_insert(&f->t, &f->items[i].node, hash_of(f, i)), HF_OK);
    }
}

static void an_empty_table_owns_nothing_and_finds_nothing(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->ta.calls, 0);
    assert_null(find(f, 1));
    assert_null(hf_table_next(&f->t, NULL));
}

static void each_item_is_found_until_it_is_removed_while_the_table_grows(void **state)
{
    struct fixture *f = *state;
    insert_all(f);
    assert_int_equal(f->t.count, ITEMS);
    assert_true(f->t.slot_count >= ITEMS / 2);
    for (size_t i = 0; i < ITEMS; i += 2) {
        hf_table_remove(&f->t, &f->items[i].node);
    }
    assert_int_equal(f->t.count, ITEMS / 2);
    for (size_t i = 0; i < ITEMS; i++) {
        assert_ptr_equal(find(f, i), i % 2 == 0 ? NULL : &f->items[i]);
    }
    assert_null(find(f, ITEMS));
}

static void the_walk_visits_each_item_once_and_each_may_be_removed_on_the_way(void **state)
{
    struct fixture *f = *state;
    insert_all(f);
    size_t visits = 0;
    struct hf_table_node *next;
    for (struct hf_table_node *n = hf_table_next(&f->t, NULL); n != NULL; n = next) {
        next = hf_table_next(&f->t, n);
        struct item *item = (struct item *)n;
        assert_false(item->seen);
        item->seen = true;
        visits++;
        hf_table_remove(&f->t, n);
    }
    assert_int_equal(visits, ITEMS);
    assert_int_equal(f->t.count, 0);
    assert_null(hf_table_next(&f->t, NULL));
}

static void items_with_one_hash_are_told_apart_by_the_caller(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(hf_table_insert(&f->t, &f->items[i].node, 77), HF_OK);
    }
    assert_int_equal(hf_table_insert(&f->t, &f->items[3].node, 77 + 16), HF_OK);
    size_t found = 0;
    struct hf_table_node *n = NULL;
    while ((n = hf_table_find(&f->t, 77, n)) != NULL) {
        assert_true(((struct item *)n)->number < 3);
        found++;
    }
    assert_int_equal(found, 3);
    hf_table_remove(&f->t, &f->items[1].node);
    n = hf_table_find(&f->t, 77, NULL);
    assert_non_null(n);
    n = hf_table_find(&f->t, 77, n);
    assert_non_null(n);
    assert_null(hf_table_find(&f->t, 77, n));
}

static void the_first_insert_may_fail_and_a_failure_to_grow_does_no_harm(void **state)
{
    struct fixture *f = *state;
    test_alloc_fail_at(&f->ta, 1);
    assert_int_equal(hf_table_insert(&f->t, &f->items[0].node, hash_of(f, 0)), HF_NO_MEMORY);
    assert_int_equal(f->t.count, 0);
    assert_null(find(f, 0));
    for (size_t i = 0; i < ITEMS; i++) {
        test_alloc_fail_at(&f->ta, i == 0 ? 0 : 1);
        assert_int_equal(hf_table_insert(&f->t, &f->items[i].node, hash_of(f, i)), HF_OK);
    }
    assert_true(f->ta.fired);
    for (size_t i = 0; i < ITEMS; i++) {
        assert_ptr_equal(find(f, i), &f->items[i]);
    }
}

static void the_hash_is_siphash_under_the_tables_key(void **state)
{
    struct fixture *f = *state;
    assert_true(hf_table_hash(&f->t, HF_LITERAL("key")) ==
                hf_siphash((const uint8_t *)"0123456789abcdef", HF_LITERAL("key")));
    struct hf_table other;
    hf_table_init(&other, &f->ta.alloc, (const uint8_t *)"another key here");
    assert_true(hf_table_hash(&f->t, HF_LITERAL("key")) !=
                hf_table_hash(&other, HF_LITERAL("key")));
    hf_table_fini(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(an_empty_table_owns_nothing_and_finds_nothing),
        T(each_item_is_found_until_it_is_removed_while_the_table_grows),
        T(the_walk_visits_each_item_once_and_each_may_be_removed_on_the_way),
        T(items_with_one_hash_are_told_apart_by_the_caller),
        T(the_first_insert_may_fail_and_a_failure_to_grow_does_no_harm),
        T(the_hash_is_siphash_under_the_tables_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
