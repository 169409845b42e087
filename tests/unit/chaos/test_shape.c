/* SPDX-License-Identifier: Apache-2.0 */
/* The time of bytes: the queue, and what latency, bandwidth, slicer and loss make of it. */
#include "test_unit.h"

#include "chaos/shape.h"

static struct hf_toxic *toxic(const char *type)
{
    struct hf_toxic *t = hf_toxic_new(hf_toxic_type_find(hf_slice_of(type)));
    assert_non_null(t);
    return t;
}

static void pieces_leave_in_order_and_not_before_their_time(void **state)
{
    struct hf_pieces q;
    hf_pieces_init(&q, &hf_heap);
    assert_int_equal(hf_pieces_due(&q), HF_NEVER);
    assert_int_equal(hf_pieces_add(&q, HF_LITERAL("first"), 10), HF_OK);
    assert_int_equal(hf_pieces_add(&q, HF_LITERAL("second"), 5), HF_OK);
    assert_int_equal(hf_pieces_add(&q, hf_slice(NULL, 0), 0), HF_OK);
    assert_int_equal(q.bytes, 11);
    assert_int_equal(hf_pieces_ready(&q, 9).len, 0);
    assert_slice(hf_pieces_ready(&q, 10), "first");
    hf_pieces_left(&q, 2);
    assert_slice(hf_pieces_ready(&q, 10), "rst");
    hf_pieces_left(&q, 3);
    assert_slice(hf_pieces_ready(&q, 10), "second");
    assert_int_equal(q.bytes, 6);
    hf_pieces_fini(&q);
    assert_int_equal(q.bytes, 0);
}

static void what_waits_leaves_at_once_when_the_toxics_change(void **state)
{
    struct hf_pieces q;
    hf_pieces_init(&q, &hf_heap);
    assert_int_equal(hf_pieces_add(&q, HF_LITERAL("a"), 3), HF_OK);
    assert_int_equal(hf_pieces_add(&q, HF_LITERAL("b"), HF_NEVER), HF_OK);
    hf_pieces_hurry(&q, 7);
    assert_int_equal(hf_pieces_due(&q), 3);
    hf_pieces_left(&q, 1);
    assert_int_equal(hf_pieces_due(&q), 7);
    hf_pieces_fini(&q);
}

static void latency_keeps_the_order_whatever_the_jitter(void **state)
{
    struct hf_random random;
    struct hf_shaper s = {0};
    struct hf_toxic *t = toxic("latency");
    t->u.latency.latency = HF_MS(100);
    t->u.latency.jitter = HF_MS(90);
    hf_random_init(&random, 1);
    hf_time last = 0;
    bool differs = false;
    for (hf_time at = 0; at < HF_SECONDS(1); at += HF_MS(1)) {
        hf_time due = hf_shape_pass(&s, t, &random, 100, at);
        assert_true(due >= last && due >= at && due <= at + HF_MS(300));
        differs = differs || due != at + HF_MS(100);
        last = due;
    }
    assert_true(differs);
    hf_toxic_free(t);
}

static void bandwidth_is_kilobytes_a_second_over_any_time(void **state)
{
    struct hf_random random;
    struct hf_shaper s = {0};
    struct hf_toxic *t = toxic("bandwidth");
    t->u.bandwidth.rate = 10;
    hf_random_init(&random, 1);
    hf_time due = 0;
    for (int i = 0; i < 100; i++) { /* 100 kB that come at once */
        assert_true(hf_shape_size(t, &random) == 1000);
        due = hf_shape_pass(&s, t, &random, 1000, 0);
    }
    assert_int_equal(due, HF_SECONDS(10));
    due = hf_shape_pass(&s, t, &random, 1000, HF_SECONDS(60)); /* what rested is not saved up */
    assert_int_equal(due, HF_SECONDS(60) + HF_MS(100));
    t->u.bandwidth.rate = 0;
    assert_int_equal(hf_shape_pass(&s, t, &random, 1, HF_SECONDS(61)), HF_NEVER);
    assert_int_equal(hf_shape_pass(&s, t, &random, 1, HF_SECONDS(99)), HF_NEVER);
    hf_toxic_free(t);
}

static void a_slicer_cuts_within_its_bounds_and_spaces_the_pieces(void **state)
{
    struct hf_random random;
    struct hf_shaper s = {0};
    struct hf_toxic *t = toxic("slicer");
    assert_int_equal(hf_shape_size(t, &random), HF_SHAPE_PIECE_MAX); /* 0: it does not cut */
    t->u.slicer.average_size = 64;
    t->u.slicer.size_variation = 32;
    t->u.slicer.delay = 10;
    hf_random_init(&random, 1);
    for (int i = 0; i < 1000; i++) {
        size_t size = hf_shape_size(t, &random);
        assert_true(size >= 32 && size <= 96);
    }
    assert_int_equal(hf_shape_pass(&s, t, &random, 64, 1000), 1000);
    assert_int_equal(hf_shape_pass(&s, t, &random, 64, 1000), 1010);
    assert_int_equal(hf_shape_pass(&s, t, &random, 64, 5000), 5000);
    hf_toxic_free(t);
}

static void a_loss_delays_what_follows_too(void **state)
{
    struct hf_random random;
    struct hf_shaper s = {0};
    struct hf_toxic *t = toxic("loss");
    t->u.loss.rate = 0.1;
    t->u.loss.delay = HF_MS(200);
    hf_random_init(&random, 1);
    int late = 0;
    hf_time last = 0;
    for (int i = 0; i < 1000; i++) {
        hf_time at = (hf_time)i * HF_SECONDS(100);
        hf_time due = hf_shape_pass(&s, t, &random, 10, at);
        assert_true(due == at || due >= at + HF_MS(200));
        assert_true(due >= last);
        late += due > at;
        last = due;
    }
    assert_true(late > 60 && late < 140);
    t->u.loss.rate = 0;
    s.last = 500;
    assert_int_equal(hf_shape_pass(&s, t, &random, 10, 100), 500);
    hf_toxic_free(t);
}

static void toxics_that_shape_nothing_leave_the_time_alone(void **state)
{
    struct hf_random random;
    struct hf_shaper s = {0};
    struct hf_toxic *t = toxic("idle_timeout");
    hf_random_init(&random, 1);
    assert_false(hf_shape_is_one(t));
    assert_int_equal(hf_shape_pass(&s, t, &random, 10, 77), 77);
    assert_int_equal(hf_shape_size(t, &random), HF_SHAPE_PIECE_MAX);
    hf_toxic_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_leave_in_order_and_not_before_their_time),
        cmocka_unit_test(what_waits_leaves_at_once_when_the_toxics_change),
        cmocka_unit_test(latency_keeps_the_order_whatever_the_jitter),
        cmocka_unit_test(bandwidth_is_kilobytes_a_second_over_any_time),
        cmocka_unit_test(a_slicer_cuts_within_its_bounds_and_spaces_the_pieces),
        cmocka_unit_test(a_loss_delays_what_follows_too),
        cmocka_unit_test(toxics_that_shape_nothing_leave_the_time_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
