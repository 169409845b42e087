/* SPDX-License-Identifier: Apache-2.0 */
/* What a loop remembers of places: which of two endpoints is preferred. */
#include "client/place.h"

#include "test_unit.h"

#define A HF_LITERAL("wss://a.example:443")
#define B HF_LITERAL("wss://b.example:443")

static void the_place_whose_connections_live_longest_is_better(void **state)
{
    struct hf_places places;
    hf_places_init(&places);
    struct hf_place *a = hf_places_find(&places, A);
    struct hf_place *b = hf_places_find(&places, B);
    for (int i = 0; i < 5; i++) {
        hf_place_lived(a, HF_SECONDS(24)); /* a proxy cuts it */
    }
    assert_true(
        hf_place_is_better(b, a)); /* the one that was never tried is expected to do better */
    assert_false(hf_place_is_better(a, b));
    hf_place_lived(b, HF_SECONDS(7200));
    assert_true(hf_place_is_better(b, a));
    assert_ptr_equal(hf_places_find(&places, A), a); /* remembered */
    hf_places_fini(&places);
}

static void a_single_short_life_does_not_turn_a_long_one(void **state)
{
    struct hf_places places;
    hf_places_init(&places);
    struct hf_place *a = hf_places_find(&places, A);
    struct hf_place *b = hf_places_find(&places, B);
    for (int i = 0; i < 5; i++) {
        hf_place_lived(a, HF_SECONDS(7200));
    }
    hf_place_lived(a, HF_SECONDS(1));
    assert_true(hf_place_is_better(a, b));
    hf_places_fini(&places);
}

static void attempts_that_fail_count_before_lives_do(void **state)
{
    struct hf_places places;
    hf_places_init(&places);
    struct hf_place *a = hf_places_find(&places, A);
    struct hf_place *b = hf_places_find(&places, B);
    hf_place_lived(a, HF_SECONDS(7200));
    a->failures = 1;
    assert_true(hf_place_is_better(b, a));
    b->failures = 50; /* three failures are as bad as fifty */
    a->failures = 3;
    assert_true(hf_place_is_better(a, b));
    hf_places_fini(&places);
}

static void even_places_are_none_better(void **state)
{
    struct hf_places places;
    hf_places_init(&places);
    struct hf_place *a = hf_places_find(&places, A);
    struct hf_place *b = hf_places_find(&places, B);
    assert_false(hf_place_is_better(a, b));
    assert_false(hf_place_is_better(b, a));
    hf_places_fini(&places);
}

static void the_place_that_was_asked_for_the_longest_ago_is_forgotten(void **state)
{
    struct hf_places places;
    char text[32];
    hf_places_init(&places);
    hf_places_find(&places, A)->hello = true;
    for (int i = 0; i < HF_PLACES_MAX - 1; i++) {
        (void)snprintf(text, sizeof(text), "ws://h%d:80", i);
        assert_non_null(hf_places_find(&places, hf_slice_of(text)));
    }
    assert_int_equal(places.count, HF_PLACES_MAX);
    assert_true(hf_places_find(&places, A)->hello); /* asked for: the newest now */
    assert_non_null(hf_places_find(&places, B));
    assert_int_equal(places.count, HF_PLACES_MAX);
    assert_true(hf_places_find(&places, A)->hello);
    hf_places_fini(&places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_place_whose_connections_live_longest_is_better),
        cmocka_unit_test(a_single_short_life_does_not_turn_a_long_one),
        cmocka_unit_test(attempts_that_fail_count_before_lives_do),
        cmocka_unit_test(even_places_are_none_better),
        cmocka_unit_test(the_place_that_was_asked_for_the_longest_ago_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
