/* SPDX-License-Identifier: Apache-2.0 */
/* Toxics by the rows of their table: defaults, setting, scaling, printing, JSON. */
#include "test_unit.h"

#include "chaos/api.h"

static struct hf_toxic *toxic(const char *type)
{
    struct hf_toxic *t = hf_toxic_new(hf_toxic_type_find(hf_slice_of(type)));
    assert_non_null(t);
    return t;
}

static const struct hf_attribute *attribute(const struct hf_toxic *t, const char *name)
{
    const struct hf_attribute *a = hf_attribute_find(hf_toxic_type(t), hf_slice_of(name));
    assert_non_null(a);
    return a;
}

static void assert_json(const struct hf_toxic *t, const char *text)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 65536);
    hf_toxic_json(t, &out);
    assert_slice(hf_buffer_slice(&out), text);
    hf_buffer_reset(&out);
}

static void the_rows_of_the_table_are_whole(void **state)
{
    for (size_t i = 0; i < HF_TOXIC_KINDS; i++) {
        const struct hf_toxic_type *type = &hf_toxic_types[i];
        assert_non_null(type->name);
        assert_non_null(type->what);
        assert_true(type->count <= HF_ATTRIBUTES_MAX);
        struct hf_toxic *t = toxic(type->name);
        assert_int_equal(t->kind, i);
        assert_null(hf_toxic_fault(t)); /* the defaults fit together */
        for (size_t j = 0; j < type->count; j++) {
            const struct hf_attribute *a = &type->attributes[j];
            assert_non_null(a->name);
            assert_non_null(a->what);
            assert_true(a->kind == HF_ATTRIBUTE_TEXT || hf_toxic_number(t, a) == a->fallback);
        }
        struct hf_toxic *copy = hf_toxic_copy(t);
        assert_non_null(copy);
        hf_toxic_free(copy);
        hf_toxic_free(t);
    }
    assert_null(hf_toxic_type_find(HF_LITERAL("latency ")));
}

static void the_words_of_actions_are_those_of_the_enum(void **state)
{
    struct hf_toxic *t = toxic("rate_limit");
    struct hf_slice rest = hf_slice_of(attribute(t, "action")->words);
    struct hf_slice word;
    for (unsigned i = 0; hf_slice_next(&rest, ' ', &word); i++) {
        assert_slice(word, hf_chaos_action_text((enum hf_chaos_action)i));
    }
    hf_toxic_free(t);
}

static void times_are_milliseconds_outside_and_may_have_units(void **state)
{
    char why[256];
    struct hf_toxic *t = toxic("latency");
    const struct hf_attribute *a = attribute(t, "latency");
    assert_int_equal(hf_toxic_set_text(t, a, HF_LITERAL("1500"), why), HF_OK);
    assert_int_equal(t->u.latency.latency, 1500000);
    assert_int_equal(hf_toxic_set_text(t, a, HF_LITERAL("2.5s"), why), HF_OK);
    assert_int_equal(t->u.latency.latency, 2500000);
    assert_int_equal(hf_toxic_set_number(t, a, 0.25, why), HF_OK);
    assert_int_equal(t->u.latency.latency, 250);
    hf_toxic_free(t);
    t = toxic("slicer"); /* toxiproxy has this one in microseconds */
    assert_int_equal(hf_toxic_set_number(t, attribute(t, "delay"), 250, why), HF_OK);
    assert_int_equal(t->u.slicer.delay, 250);
    hf_toxic_free(t);
}

static void what_is_not_allowed_is_refused_and_changes_nothing(void **state)
{
    static const char *const rows[][3] = {
        {"latency", "latency", "-1"},       {"latency", "latency", "soon"},
        {"latency", "latency", ""},         {"latency", "latency", "nan"},
        {"latency", "latency", "inf"},      {"latency", "latency", "0x10"},
        {"rate_limit", "messages", "1.5"},  {"rate_limit", "messages", "3s"},
        {"rate_limit", "kind", "round"},    {"rate_limit", "code", "999"},
        {"idle_timeout", "counts", ""},     {"idle_timeout", "counts", "bytes,words"},
        {"idle_timeout", "action", "drop"}, {"loss", "rate", "1.01"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char why[256] = "";
        struct hf_toxic *t = toxic(rows[i][0]);
        const struct hf_attribute *a = attribute(t, rows[i][1]);
        assert_int_equal(hf_toxic_set_text(t, a, hf_slice_of(rows[i][2]), why), HF_INVALID);
        assert_non_null(strstr(why, rows[i][1]));
        assert_true(hf_toxic_number(t, a) == a->fallback);
        hf_toxic_free(t);
    }
}

static void a_set_of_words_is_read_and_written(void **state)
{
    char why[256];
    struct hf_toxic *t = toxic("idle_timeout");
    assert_int_equal(
        hf_toxic_set_text(t, attribute(t, "counts"), HF_LITERAL("pongs, messages"), why), HF_OK);
    assert_int_equal(t->u.idle.counts, HF_COUNTS_MESSAGES | HF_COUNTS_PONGS);
    assert_json(t, "{\"attributes\":{\"timeout\":60000,\"jitter\":0,\"counts\":\"messages,pongs\","
                   "\"direction\":\"both\",\"action\":\"fin\",\"code\":1001,\"reason\":\"idle "
                   "timeout\"},\"name\":\"idle_timeout_downstream\",\"type\":\"idle_timeout\","
                   "\"stream\":\"downstream\",\"toxicity\":1}");
    hf_toxic_free(t);
}

static void scaling_multiplies_times_alone_and_makes_nothing_of_nothing(void **state)
{
    struct hf_toxic *t = toxic("rate_limit");
    hf_toxic_scale(t, 0.1);
    assert_int_equal(t->u.rate.window, HF_SECONDS(6));
    assert_int_equal(t->u.rate.messages, 20);
    hf_toxic_scale(t, 1e-12);
    assert_int_equal(t->u.rate.window, 1); /* 0 would mean the whole life */
    hf_toxic_free(t);
    t = toxic("timeout");
    hf_toxic_scale(t, 100);
    assert_int_equal(t->u.timeout.timeout, 0);
    hf_toxic_free(t);
}

static void json_makes_a_toxic_as_toxiproxy_would(void **state)
{
    struct hf_chaos_refusal refusal = {0};
    struct hf_toxic *t =
        hf_toxic_from_json(HF_LITERAL("{\"type\":\"latency\",\"attributes\":{\"latency\":1000,"
                                      "\"unknown\":true}} and what follows"),
                           &refusal);
    assert_non_null(t);
    assert_json(t, "{\"attributes\":{\"latency\":1000,\"jitter\":0},\"name\":\"latency_downstream\""
                   ",\"type\":\"latency\",\"stream\":\"downstream\",\"toxicity\":1}");
    struct hf_toxic *changed = hf_toxic_changed(
        t, HF_LITERAL("{\"attributes\":{\"jitter\":5},\"toxicity\":0.25,\"name\":\"x\"}"),
        &refusal);
    assert_non_null(changed);
    assert_json(changed,
                "{\"attributes\":{\"latency\":1000,\"jitter\":5},\"name\":\"latency_downstream\""
                ",\"type\":\"latency\",\"stream\":\"downstream\",\"toxicity\":0.25}");
    assert_null(hf_toxic_changed(t, HF_LITERAL("[]"), &refusal));
    assert_int_equal(refusal.status, 400);
    hf_toxic_free(changed);
    hf_toxic_free(t);
}

static void numbers_are_written_as_short_as_they_are_exact(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {{0, "0"},           {60000, "60000"},     {0.1, "0.1"},
                {2400.5, "2400.5"}, {1048576, "1048576"}, {16777216, "16777216"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_buffer out;
        hf_buffer_init(&out, &hf_heap, 256);
        hf_chaos_add_number(&out, rows[i].value);
        assert_slice(hf_buffer_slice(&out), rows[i].text);
        hf_buffer_reset(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rows_of_the_table_are_whole),
        cmocka_unit_test(the_words_of_actions_are_those_of_the_enum),
        cmocka_unit_test(times_are_milliseconds_outside_and_may_have_units),
        cmocka_unit_test(what_is_not_allowed_is_refused_and_changes_nothing),
        cmocka_unit_test(a_set_of_words_is_read_and_written),
        cmocka_unit_test(scaling_multiplies_times_alone_and_makes_nothing_of_nothing),
        cmocka_unit_test(json_makes_a_toxic_as_toxiproxy_would),
        cmocka_unit_test(numbers_are_written_as_short_as_they_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
