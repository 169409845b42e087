/* SPDX-License-Identifier: Apache-2.0 */
/* The reader of tests/vectors. */
#include "vectors.h"

#include "test_unit.h"

#include "base/hash.h"

#include <stdlib.h>

json_t *vectors_load(const char *file)
{
    char path[4096];
    json_error_t error;
    (void)snprintf(path, sizeof(path), "%s/%s", VECTORS_DIRECTORY, file);
    json_t *root = json_load_file(path, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        fail_msg("%s:%d:%d: %s", path, error.line, error.column, error.text);
    }
    return root;
}

json_t *vectors_list(json_t *file, const char *name)
{
    json_t *list = vector_get(file, name);
    if (!json_is_array(list) || json_array_size(list) == 0) {
        fail_msg("%s is no list, or an empty one", name);
    }
    return list;
}

void vector_knows(const json_t *object, const char *keys)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        struct hf_slice rest = hf_slice_of(keys);
        struct hf_slice word;
        bool known = false;
        while (hf_slice_next(&rest, ' ', &word)) {
            known = known || hf_slice_eq(word, hf_slice_of(key));
        }
        if (!known) {
            fail_msg("the key %s is not known", key);
        }
    }
}

json_t *vector_get(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    if (value == NULL) {
        fail_msg("the key %s is missing", key);
    }
    return value;
}

const char *vector_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(vector_get(object, key));
    if (text == NULL) {
        fail_msg("%s is no string", key);
    }
    return text;
}

uint64_t vector_number(const json_t *object, const char *key)
{
    const json_t *value = vector_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        fail_msg("%s is no number", key);
    }
    return (uint64_t)json_integer_value(value);
}

bool vector_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

/* Adds what a value stands for behind the len bytes of *bytes. */
static void add(const json_t *value, uint8_t **bytes, size_t *len)
{
    const json_t *coded = json_object_get(value, "base64");
    const json_t *repeated = json_object_get(value, "repeat");
    const size_t room = json_string_length(value) + json_string_length(coded);
    uint8_t *grown = realloc(*bytes, *len + room + 1);
    assert_non_null(grown);
    *bytes = grown;
    if (json_is_string(value)) {
        memcpy(grown + *len, json_string_value(value), room);
        *len += room;
    } else if (json_is_string(coded)) {
        size_t decoded;
        vector_knows(value, "base64");
        assert_true(
            hf_base64_decode(hf_slice_of(json_string_value(coded)), grown + *len, &decoded));
        *len += decoded;
    } else if (repeated != NULL) {
        vector_knows(value, "repeat times");
        for (uint64_t i = vector_number(value, "times"); i > 0; i--) {
            add(repeated, bytes, len);
        }
    } else if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            add(json_array_get(value, i), bytes, len);
        }
    } else {
        fail_msg("bytes are written in no known way");
    }
}

struct hf_slice vector_bytes(const json_t *value)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    add(value, &bytes, &len);
    uint8_t *exact = realloc(bytes, len == 0 ? 1 : len);
    assert_non_null(exact);
    return hf_slice(exact, len);
}

void vector_free(struct hf_slice bytes)
{
    free((void *)(uintptr_t)bytes.ptr);
}

bool vector_equals(const json_t *bytes, struct hf_slice got)
{
    struct hf_slice wanted = vector_bytes(bytes);
    const bool equal = hf_slice_eq(wanted, got);
    if (!equal) {
        print_error("got    \"%.*s\"\nwanted \"%.*s\"\n", HF_SLICE_ARG(got), HF_SLICE_ARG(wanted));
    }
    vector_free(wanted);
    return equal;
}
