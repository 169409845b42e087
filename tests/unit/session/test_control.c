/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages and the escape (docs/protocol.md section 2), by tests/vectors/control.json and
 * escape.json, and what those cannot say. */
#include "session/control.h"

#include "test_alloc.h"
#include "test_unit.h"
#include "vectors.h"

/* The fields of a struct hf_control by the names of their keys, apart from the reader's table. */
struct text_field {
    const char *name;
    size_t offset;
};
#define FIELD(name)                                                                                \
    {                                                                                              \
#name, offsetof(struct hf_control, name)                                                   \
    }
static const struct text_field texts[] = {FIELD(session), FIELD(token), FIELD(key), FIELD(protocol),
                                          FIELD(reason),  FIELD(who),   FIELD(url), FIELD(value)};
static const struct text_field numbers[] = {
    FIELD(epoch),   FIELD(window), FIELD(beat),         FIELD(buffer), FIELD(message_max),
    FIELD(ack),     FIELD(sent),   FIELD(old_received), FIELD(n),      FIELD(received),
    FIELD(resumed), FIELD(bytes),  FIELD(from),         FIELD(to),     FIELD(attempt),
    FIELD(in),      FIELD(exp),    FIELD(code),         FIELD(http),   FIELD(retry)};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct hf_slice *text_at(struct hf_control *c, size_t i)
{
    return (struct hf_slice *)(void *)((char *)c + texts[i].offset);
}

static uint64_t *number_at(struct hf_control *c, size_t i)
{
    return (uint64_t *)(void *)((char *)c + numbers[i].offset);
}

/* *c has the keys of `read` and no other. */
static bool has_what_was_read(const json_t *read, struct hf_control *c)
{
    size_t keys = 1;
    bool same = strcmp(vector_text(read, "verb"), hf_verb_text(c->verb)) == 0;
    for (size_t i = 0; i < COUNT(texts); i++) {
        const json_t *value = json_object_get(read, texts[i].name);
        same = same && (value == NULL) == (text_at(c, i)->ptr == NULL);
        same = same && (value == NULL || vector_equals(value, *text_at(c, i)));
        keys += value != NULL;
    }
    for (size_t i = 0; i < COUNT(numbers); i++) {
        const bool there = json_object_get(read, numbers[i].name) != NULL;
        const uint64_t wanted = there ? vector_number(read, numbers[i].name) : HF_NO_COUNT;
        same = same && *number_at(c, i) == wanted;
        keys += there;
    }
    assert_int_equal(keys, json_object_size(read));
    return same;
}

static void check_written(const json_t *test, const struct hf_control *c)
{
    struct hf_buffer out;
    const json_t *wanted = json_object_get(test, "write");
    if (wanted == NULL) {
        return;
    }
    hf_buffer_init(&out, &hf_heap, 1 << 20);
    hf_control_write(c, &out);
    if (out.failed || !vector_equals(wanted, hf_buffer_slice(&out))) {
        fail_msg("not written as wanted: %s", vector_text(test, "name"));
    }
    hf_buffer_reset(&out);
}

static void check_control(const json_t *test)
{
    const char *name = vector_text(test, "name");
    const json_t *read = json_object_get(test, "read");
    struct hf_slice text = vector_bytes(vector_get(test, "text"));
    struct hf_buffer room;
    struct hf_control c;
    vector_knows(test, "name text read write ignored error");
    hf_buffer_init(&room, &hf_heap, HF_CONTROL_AUTH_MAX);
    const char *fault = hf_control_read(text, &room, &c);
    vector_free(text); /* nothing read lies in it */
    if (vector_true(test, "error") != (fault != NULL)) {
        fail_msg("%s: %s", name, fault == NULL ? "was read" : fault);
    }
    if (vector_true(test, "ignored") && c.verb != HF_VERB_UNKNOWN) {
        fail_msg("%s: is known as %s", name, hf_verb_text(c.verb));
    }
    if (read != NULL) {
        if (!has_what_was_read(read, &c)) {
            fail_msg("read otherwise: %s", name);
        }
        check_written(test, &c);
    }
    assert_int_equal(1, (read != NULL) + vector_true(test, "ignored") + vector_true(test, "error"));
    hf_buffer_reset(&room);
}

static void every_control_message_is_read_and_written_as_the_vectors_say(void **state)
{
    json_t *file = vectors_load("control.json");
    json_t *list = vectors_list(file, "cases");
    for (size_t i = 0; i < json_array_size(list); i++) {
        check_control(json_array_get(list, i));
    }
    json_decref(file);
}

/* What is cut short is at fault, is unknown, or is another right message; never more was read. */
static void every_beginning_of_a_message_is_read_without_going_beyond_it(void **state)
{
    json_t *file = vectors_load("control.json");
    json_t *list = vectors_list(file, "cases");
    struct hf_buffer room;
    hf_buffer_init(&room, &hf_heap, HF_CONTROL_AUTH_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct hf_slice text = vector_bytes(vector_get(json_array_get(list, i), "text"));
        for (size_t len = 0; len < text.len && len < HF_CONTROL_MAX; len++) {
            struct hf_control c;
            uint8_t *part = malloc(len == 0 ? 1 : len);
            memcpy(part, text.ptr, len);
            const char *fault = hf_control_read(hf_slice(part, len), &room, &c);
            assert_true(fault != NULL || hf_slice_starts(text, hf_slice_of(hf_verb_text(c.verb))) ||
                        c.verb == HF_VERB_UNKNOWN);
            free(part);
        }
        vector_free(text);
    }
    hf_buffer_reset(&room);
    json_decref(file);
}

static void texts_are_told_apart_as_the_vectors_say(void **state)
{
    static const char *const kinds[] = {
        [HF_TEXT_PLAIN] = "plain",
        [HF_TEXT_ESCAPED] = "escaped",
        [HF_TEXT_CONTROL] = "control",
        [HF_TEXT_BAD] = "bad",
    };
    json_t *file = vectors_load("escape.json");
    json_t *list = vectors_list(file, "cases");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *test = json_array_get(list, i);
        struct hf_slice wire = vector_bytes(vector_get(test, "wire"));
        const enum hf_text_kind kind = hf_text_kind(wire);
        vector_knows(test, "name wire kind app control");
        if (strcmp(kinds[kind], vector_text(test, "kind")) != 0) {
            fail_msg("%s: is %s", vector_text(test, "name"), kinds[kind]);
        }
        if (kind == HF_TEXT_PLAIN || kind == HF_TEXT_ESCAPED) {
            struct hf_slice app = hf_slice_from(wire, kind == HF_TEXT_ESCAPED);
            assert_true(vector_equals(vector_get(test, "app"), app));
            assert_int_equal(hf_text_needs_escape(app), kind == HF_TEXT_ESCAPED);
        } else if (kind == HF_TEXT_CONTROL) {
            assert_true(vector_equals(vector_get(test, "control"), hf_slice_from(wire, 1)));
        }
        vector_free(wire);
    }
    json_decref(file);
}

static void a_message_of_numbers_needs_no_memory(void **state)
{
    struct test_alloc ta;
    struct hf_buffer room;
    struct hf_control c;
    test_alloc_init(&ta);
    hf_buffer_init(&room, &ta.alloc, HF_CONTROL_AUTH_MAX);
    assert_null(hf_control_read(HF_LITERAL("ack n=12"), &room, &c));
    assert_int_equal(c.n, 12);
    assert_null(hf_control_read(HF_LITERAL("rebound from=1 to=2 attempt=3"), &room, &c));
    assert_int_equal(ta.calls, 0);
}

static void without_memory_a_message_is_not_read_and_room_says_why(void **state)
{
    struct test_alloc ta;
    struct hf_buffer room;
    struct hf_control c;
    test_alloc_init(&ta);
    hf_buffer_init(&room, &ta.alloc, HF_CONTROL_AUTH_MAX);
    test_alloc_fail_at(&ta, 1);
    assert_non_null(hf_control_read(HF_LITERAL("bye code=0 reason=x"), &room, &c));
    assert_true(room.failed);
    assert_null(hf_control_read(HF_LITERAL("bye code=0 reason=x"), &room, &c));
    assert_slice(c.reason, "x");
    assert_false(room.failed);
    assert_non_null(hf_control_read(HF_LITERAL("bye code=0 reason=%"), &room, &c));
    assert_false(room.failed);
    hf_buffer_reset(&room);
    assert_int_equal(ta.live_blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_control_message_is_read_and_written_as_the_vectors_say),
        cmocka_unit_test(every_beginning_of_a_message_is_read_without_going_beyond_it),
        cmocka_unit_test(texts_are_told_apart_as_the_vectors_say),
        cmocka_unit_test(a_message_of_numbers_needs_no_memory),
        cmocka_unit_test(without_memory_a_message_is_not_read_and_room_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
