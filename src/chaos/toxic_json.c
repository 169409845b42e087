/* SPDX-License-Identifier: Apache-2.0 */
/* Toxics from JSON, as toxiproxy's API takes them: see api.h. */
#include "chaos/api.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static void refuse(struct hf_chaos_refusal *r, uint16_t status, const char *why)
{
    r->status = status;
    (void)snprintf(r->why, sizeof(r->why), "%s", why);
}

static void refuse_body(struct hf_chaos_refusal *r, const char *why)
{
    r->status = 400;
    (void)snprintf(r->why, sizeof(r->why), "bad request body: %.250s", why);
}

/* NULL: refused. As Go's decoder does, what stands behind the value is left alone. */
static json_t *parse(struct hf_slice body, struct hf_chaos_refusal *refusal)
{
    json_error_t error;
    json_t *root = json_loadb((const char *)body.ptr, body.len, JSON_DISABLE_EOF_CHECK, &error);
    if (root == NULL) {
        refuse_body(refusal, body.len == 0 ? "it is empty" : error.text);
    } else if (!json_is_object(root)) {
        json_decref(root);
        root = NULL;
        refuse_body(refusal, "it must be an object");
    }
    return root;
}

/* True: *text is the member's, or NULL when it is not there. */
static bool text_member(const json_t *root, const char *key, const char **text,
                        struct hf_chaos_refusal *refusal)
{
    const json_t *value = json_object_get(root, key);
    char why[64];
    *text = json_string_value(value);
    if (value != NULL && *text == NULL && !json_is_null(value)) {
        (void)snprintf(why, sizeof(why), "%s must be a string", key);
        refuse_body(refusal, why);
        return false;
    }
    return true;
}

static bool take_toxicity(struct hf_toxic *t, const json_t *root, struct hf_chaos_refusal *refusal)
{
    const json_t *value = json_object_get(root, "toxicity");
    if (value == NULL || json_is_null(value)) {
        return true;
    }
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number >= 0 && number <= 1)) {
        refuse_body(refusal, "toxicity must be a number from 0 to 1");
        return false;
    }
    t->toxicity = number;
    return true;
}

static bool take_attribute(struct hf_toxic *t, const char *key, const json_t *value,
                           struct hf_chaos_refusal *refusal)
{
    const struct hf_attribute *a = hf_attribute_find(hf_toxic_type(t), hf_slice_of(key));
    enum hf_status status = HF_INVALID;
    char why[256] = "";
    if (a == NULL) {
        if (t->kind <= HF_TOXIC_LIMIT_DATA) {
            return true;
        }
        (void)snprintf(why, sizeof(why), "%s has no attribute %.100s", hf_toxic_type(t)->name, key);
    } else if (json_is_null(value)) {
        return true;
    } else if (json_is_string(value) &&
               (a->kind == HF_ATTRIBUTE_WORD || a->kind == HF_ATTRIBUTE_SET ||
                a->kind == HF_ATTRIBUTE_TEXT)) {
        struct hf_slice text = hf_slice(json_string_value(value), json_string_length(value));
        status = hf_toxic_set_text(t, a, text, why);
    } else {
        /* What is no number is refused with the sentence of the attribute. */
        status =
            hf_toxic_set_number(t, a, json_is_number(value) ? json_number_value(value) : -1, why);
    }
    if (status == HF_OK) {
        return true;
    }
    if (status == HF_NO_MEMORY) {
        refuse(refusal, 500, "out of memory");
    } else {
        refuse_body(refusal, why);
    }
    return false;
}

static bool take_attributes(struct hf_toxic *t, const json_t *root,
                            struct hf_chaos_refusal *refusal)
{
    json_t *attributes = json_object_get(root, "attributes");
    const char *key;
    json_t *value;
    if (attributes != NULL && !json_is_object(attributes) && !json_is_null(attributes)) {
        refuse_body(refusal, "attributes must be an object");
        return false;
    }
    json_object_foreach(attributes, key, value)
    {
        if (!take_attribute(t, key, value, refusal)) {
            return false;
        }
    }
    const char *fault = hf_toxic_fault(t);
    if (fault != NULL) {
        refuse_body(refusal, fault);
    }
    return fault == NULL;
}

static struct hf_toxic *toxic_of(const json_t *root, struct hf_chaos_refusal *refusal)
{
    const char *name;
    const char *type_name;
    const char *stream;
    char usual[HF_TOXIC_NAME_MAX];
    if (!text_member(root, "name", &name, refusal) ||
        !text_member(root, "type", &type_name, refusal) ||
        !text_member(root, "stream", &stream, refusal)) {
        return NULL;
    }
    const struct hf_toxic_type *type = hf_toxic_type_find(hf_slice_of(type_name));
    enum hf_way way = type == NULL ? HF_WAY_DOWN : type->way;
    if (stream != NULL && stream[0] != '\0' && !hf_way_from(hf_slice_of(stream), &way)) {
        refuse(refusal, 400, "stream was invalid, can be either upstream or downstream");
        return NULL;
    }
    if (type == NULL) {
        refuse(refusal, 400, "invalid toxic type");
        return NULL;
    }
    if (name != NULL && strlen(name) >= HF_TOXIC_NAME_MAX) {
        refuse_body(refusal, "the name is too long");
        return NULL;
    }
    struct hf_toxic *t = hf_toxic_new(type);
    if (t == NULL) {
        refuse(refusal, 500, "out of memory");
        return NULL;
    }
    t->way = way;
    if (name == NULL || name[0] == '\0') {
        (void)snprintf(usual, sizeof(usual), "%s_%s", type->name, hf_way_text(way));
        name = usual;
    }
    bool named = hf_toxic_rename(t, hf_slice_of(name)) == HF_OK;
    if (!named) {
        refuse(refusal, 500, "out of memory");
    }
    if (!named || !take_toxicity(t, root, refusal) || !take_attributes(t, root, refusal)) {
        hf_toxic_free(t);
        return NULL;
    }
    return t;
}

struct hf_toxic *hf_toxic_from_json(struct hf_slice body, struct hf_chaos_refusal *refusal)
{
    json_t *root = parse(body, refusal);
    struct hf_toxic *t = root == NULL ? NULL : toxic_of(root, refusal);
    json_decref(root);
    return t;
}

struct hf_toxic *hf_toxic_changed(const struct hf_toxic *old, struct hf_slice body,
                                  struct hf_chaos_refusal *refusal)
{
    json_t *root = parse(body, refusal);
    struct hf_toxic *t = root == NULL ? NULL : hf_toxic_copy(old);
    if (root != NULL && t == NULL) {
        refuse(refusal, 500, "out of memory");
    }
    if (t != NULL && (!take_toxicity(t, root, refusal) || !take_attributes(t, root, refusal))) {
        hf_toxic_free(t);
        t = NULL;
    }
    json_decref(root);
    return t;
}
