/* SPDX-License-Identifier: Apache-2.0 */
/* Framed lists (docs/protocol.md section 9), by tests/vectors/framed.json. */
#include "session/framed.h"

#include "test_unit.h"
#include "vectors.h"

static const char *const types[] = {
    [HF_FRAMED_TEXT] = "text", [HF_FRAMED_BINARY] = "binary", [HF_FRAMED_CONTROL] = "control"};

/* The bytes have come up to `known`, copied so that nobody reads beyond. Takes the records that are
 * whole behind *at and compares them with those wanted from *seen on. */
static enum hf_framed_read take(struct hf_slice bytes, size_t known, const json_t *records,
                                size_t *at, size_t *seen)
{
    const size_t len = known - *at;
    uint8_t *copy = malloc(len == 0 ? 1 : len);
    size_t done = 0;
    enum hf_framed_read outcome;
    memcpy(copy, bytes.ptr + *at, len);
    do {
        enum hf_framed_type type;
        struct hf_slice payload;
        size_t size;
        outcome = hf_framed_read(hf_slice(copy + done, len - done), &type, &payload, &size);
        if (outcome == HF_FRAMED_READ) {
            const json_t *wanted = json_array_get(records, *seen);
            vector_knows(wanted, "type payload");
            assert_string_equal(types[type], vector_text(wanted, "type"));
            assert_true(vector_equals(vector_get(wanted, "payload"), payload));
            assert_int_equal(size, HF_FRAMED_HEAD + payload.len);
            done += size;
            (*seen)++;
        } else {
            assert_int_equal(size, 0);
            assert_null(payload.ptr);
        }
        if (outcome == HF_FRAMED_MORE && len - done >= HF_FRAMED_HEAD) {
            assert_int_equal(type, copy[done]);
            assert_true(payload.len > len - done - HF_FRAMED_HEAD);
        }
    } while (outcome == HF_FRAMED_READ);
    *at += done;
    free(copy);
    return outcome;
}

static void check_list(const json_t *test, struct hf_slice bytes, size_t step)
{
    const json_t *records = vector_get(test, "records");
    const bool error = vector_true(test, "error");
    size_t at = 0;
    size_t seen = 0;
    enum hf_framed_read outcome = HF_FRAMED_MORE;
    for (size_t known = 0; outcome == HF_FRAMED_MORE && known <= bytes.len; known += step) {
        outcome = take(bytes, known, records, &at, &seen);
    }
    if (outcome == HF_FRAMED_MORE) {
        outcome = take(bytes, bytes.len, records, &at, &seen);
    }
    if (seen != json_array_size(records) || outcome != (error ? HF_FRAMED_BAD : HF_FRAMED_MORE) ||
        (!error && bytes.len - at != vector_number(test, "rest"))) {
        fail_msg("read otherwise in steps of %zu: %s", step, vector_text(test, "name"));
    }
}

static void check_written(const json_t *records, struct hf_slice bytes)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 1 << 20);
    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *record = json_array_get(records, i);
        struct hf_slice payload = vector_bytes(vector_get(record, "payload"));
        enum hf_framed_type type = HF_FRAMED_TEXT;
        while (strcmp(types[type], vector_text(record, "type")) != 0) {
            type++;
        }
        hf_framed_write(&out, type, payload);
        vector_free(payload);
    }
    assert_false(out.failed);
    assert_true(hf_slice_starts(bytes, hf_buffer_slice(&out)));
    hf_buffer_reset(&out);
}

static void lists_are_read_whole_and_in_pieces_and_written_as_the_vectors_say(void **state)
{
    json_t *file = vectors_load("framed.json");
    json_t *list = vectors_list(file, "cases");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *test = json_array_get(list, i);
        struct hf_slice bytes = vector_bytes(vector_get(test, "bytes"));
        vector_knows(test, "name bytes records rest error");
        check_list(test, bytes, bytes.len + 1);
        check_list(test, bytes, bytes.len < 4096 ? 1 : 8191);
        check_list(test, bytes, 3 + bytes.len / 4096);
        check_written(vector_get(test, "records"), bytes);
        vector_free(bytes);
    }
    json_decref(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read_whole_and_in_pieces_and_written_as_the_vectors_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
