/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: the built-in ones, files of users, overriding, and what a diagnosis should say. */
#include "test_unit.h"

#include "cause/verdict.h"
#include "chaos/profile.h"

static struct hf_chaos_profile *builtin(const char *name)
{
    struct hf_chaos_profile *p = NULL;
    assert_int_equal(hf_chaos_profile_find(hf_slice_of(name), &p), HF_OK);
    return p;
}

static void assert_truth(const struct hf_chaos_profile *p, const char *text)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 65536);
    hf_chaos_profile_truth(p, &out);
    assert_slice(hf_buffer_slice(&out), text);
    hf_buffer_reset(&out);
}

static void assert_printed_loads_as_the_same(const struct hf_chaos_profile *p)
{
    struct hf_buffer once;
    struct hf_buffer twice;
    struct hf_buffer errors;
    struct hf_chaos_profile *again = NULL;
    hf_buffer_init(&once, &hf_heap, 65536);
    hf_buffer_init(&twice, &hf_heap, 65536);
    hf_buffer_init(&errors, &hf_heap, 65536);
    hf_chaos_profile_print(p, &once);
    assert_int_equal(hf_chaos_profile_read("f.yaml", hf_buffer_slice(&once), &again, &errors),
                     HF_OK);
    hf_chaos_profile_print(again, &twice);
    assert_true(once.len > 0 && hf_slice_eq(hf_buffer_slice(&once), hf_buffer_slice(&twice)));
    hf_chaos_profile_free(again);
    hf_buffer_reset(&once);
    hf_buffer_reset(&twice);
    hf_buffer_reset(&errors);
}

static void
every_builtin_profile_says_what_is_expected_and_prints_as_a_file_that_loads(void **state)
{
    struct hf_slice name;
    size_t count = 0;
    for (; hf_chaos_profile_at(count, &name); count++) {
        char *text = hf_alloc_text(&hf_heap, name);
        struct hf_chaos_profile *p = builtin(text);
        struct hf_buffer out;
        hf_buffer_init(&out, &hf_heap, 65536);
        assert_true(strlen(hf_chaos_profile_about(p)) > 10);
        hf_chaos_profile_truth(p, &out);
        assert_true(hf_slice_search(hf_buffer_slice(&out), HF_LITERAL("\"class\":")) < out.len);
        hf_buffer_reset(&out);
        assert_printed_loads_as_the_same(p);
        hf_chaos_profile_scale(p, 0.137);
        assert_printed_loads_as_the_same(p);
        hf_chaos_profile_free(p);
        hf_release(&hf_heap, text);
    }
    assert_true(count > 40);
    struct hf_chaos_profile *p = NULL;
    assert_int_equal(hf_chaos_profile_find(HF_LITERAL("nginx-61s"), &p), HF_NOT_FOUND);
    assert_null(p);
}

static void what_is_set_and_scaled_shows_in_the_truth(void **state)
{
    char why[256];
    struct hf_chaos_profile *p = builtin("nginx-60s");
    assert_int_equal(hf_chaos_profile_set(p, HF_LITERAL("idle_timeout.timeout=43000"), why), HF_OK);
    hf_chaos_profile_scale(p, 0.1);
    assert_truth(p,
                 "\"profile\":\"nginx-60s\",\"class\":\"idle_timer\",\"value\":4.3,\"unit\":\"s\""
                 ",\"imitates\":[\"nginx-proxy-read-60s\",\"ingress-nginx-60s\",\"kong-60s\"]");
    hf_chaos_profile_free(p);
    p = builtin("message-limiter-20"); /* it dies at the first message beyond */
    assert_truth(p, "\"profile\":\"message-limiter-20\",\"class\":\"message_limit\",\"value\":21,"
                    "\"unit\":\"messages\",\"counts\":\"client\",\"imitates\":[\"provider-ratelimit"
                    "\"]");
    hf_chaos_profile_free(p);
}

static void a_toxic_is_set_by_its_name_or_by_its_type(void **state)
{
    char why[256] = "";
    struct hf_chaos_profile *p = builtin("lossy-network");
    assert_int_equal(hf_chaos_profile_set(p, HF_LITERAL("loss_down.rate=0.5"), why), HF_OK);
    assert_int_equal(hf_chaos_profile_set(p, HF_LITERAL("latency.latency=7"), why), HF_OK);
    assert_int_equal(hf_chaos_profile_set(p, HF_LITERAL("loss_up.toxicity=0.5"), why), HF_OK);
    assert_int_equal(hf_chaos_profile_set(p, HF_LITERAL("loss_up.stream=downstream"), why), HF_OK);
    struct hf_toxic *t = hf_chaos_profile_toxic(p, NULL);
    assert_int_equal(t->u.latency.latency, HF_MS(7)); /* the first of the type */
    t = hf_chaos_profile_toxic(p, hf_chaos_profile_toxic(p, t));
    assert_true(t->toxicity == 0.5 && t->way == HF_WAY_DOWN);
    assert_true(hf_chaos_profile_toxic(p, t)->u.loss.rate == 0.5);
    static const char *const refused[] = {"loss",           "loss=1",          "nothing.rate=1",
                                          "loss.wet=1",     "loss.rate=often", "loss.stream=left",
                                          "loss.toxicity=7"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        why[0] = '\0';
        assert_int_equal(hf_chaos_profile_set(p, hf_slice_of(refused[i]), why), HF_INVALID);
        assert_true(why[0] != '\0');
    }
    hf_chaos_profile_free(p);
}

static void every_fault_of_a_file_is_told_with_its_place(void **state)
{
    static const char text[] = "about: [a]\n"
                               "expect: {class: doom, worth: 3}\n"
                               "toxics:\n"
                               "  - latency: 3\n"
                               "  - type: latency\n"
                               "    attributes: {latency: -1}\n"
                               "    toxicity: 2\n"
                               "    name: a/b\n"
                               "  - {type: slicer, average_size: 5, size_variation: 9}\n";
    static const char *const lines[] = {"f.yaml:1:8: about",
                                        "f.yaml:2:17: class",
                                        "f.yaml:2:23: expect has no key \"worth\"",
                                        "f.yaml:4:5: a toxic needs a type",
                                        "f.yaml:6:27: \"-1\" is refused",
                                        "f.yaml:7:15: toxicity",
                                        "f.yaml:8:11: name",
                                        "f.yaml:9:5: slicer: size_variation"};
    struct hf_buffer errors;
    struct hf_chaos_profile *p = NULL;
    hf_buffer_init(&errors, &hf_heap, 65536);
    assert_int_equal(hf_chaos_profile_read("f.yaml", hf_slice_of(text), &p, &errors), HF_INVALID);
    assert_null(p);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (hf_slice_search(hf_buffer_slice(&errors), hf_slice_of(lines[i])) == errors.len) {
            print_error("no \"%s\" in\n%.*s", lines[i], HF_SLICE_ARG(hf_buffer_slice(&errors)));
            fail();
        }
    }
    hf_buffer_reset(&errors);
}

static void a_value_that_is_none_is_refused(void **state)
{
    static const char *const values[] = {
        "\"\"", "\"-\"", "idle_timeout.reason", "idle_timeout.", ".timeout", "[1, x]", "nan"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char text[128];
        struct hf_buffer errors;
        struct hf_chaos_profile *p = NULL;
        hf_buffer_init(&errors, &hf_heap, 65536);
        (void)snprintf(text, sizeof(text),
                       "expect: {class: lifetime, value: %s}\ntoxics: [{type: idle_timeout}]\n",
                       values[i]);
        assert_int_equal(hf_chaos_profile_read("f.yaml", hf_slice_of(text), &p, &errors),
                         HF_INVALID);
        hf_buffer_reset(&errors);
    }
}

static void an_empty_file_is_a_profile_without_toxics(void **state)
{
    struct hf_buffer errors;
    struct hf_chaos_profile *p = NULL;
    hf_buffer_init(&errors, &hf_heap, 65536);
    assert_int_equal(hf_chaos_profile_read("f.yaml", hf_slice(NULL, 0), &p, &errors), HF_OK);
    assert_null(hf_chaos_profile_toxic(p, NULL));
    hf_chaos_profile_free(p);
    hf_buffer_reset(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            every_builtin_profile_says_what_is_expected_and_prints_as_a_file_that_loads),
        cmocka_unit_test(what_is_set_and_scaled_shows_in_the_truth),
        cmocka_unit_test(a_toxic_is_set_by_its_name_or_by_its_type),
        cmocka_unit_test(every_fault_of_a_file_is_told_with_its_place),
        cmocka_unit_test(a_value_that_is_none_is_refused),
        cmocka_unit_test(an_empty_file_is_a_profile_without_toxics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
