/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: see profile.h. */
#include "chaos/profile.h"

#include "cause/verdict.h"
#include "chaos/profiles.h"
#include "config/build.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LIST_MAX 8

/* Texts of a list. */
struct texts {
    char *at[LIST_MAX];
    size_t count;
};

/* The keys of `expect`, in the order in which they are printed. */
enum expected { CLASS, VALUE, LOW, HIGH, COUNTS, RESETS, ALSO, EXPECTED };
static const char *const expected_names[EXPECTED] = {"class",  "value",  "low", "high",
                                                     "counts", "resets", "also"};

struct hf_chaos_profile {
    char *name, *about;
    struct texts imitates;
    struct texts expect[EXPECTED];
    struct hf_list toxics;
};

static void texts_fini(struct texts *t)
{
    for (size_t i = 0; i < t->count; i++) {
        hf_release(&hf_heap, t->at[i]);
    }
    t->count = 0;
}

void hf_chaos_profile_free(struct hf_chaos_profile *p)
{
    if (p == NULL) {
        return;
    }
    while (!hf_list_empty(&p->toxics)) {
        struct hf_toxic *t = HF_CONTAINER(p->toxics.next, struct hf_toxic, node);
        hf_list_remove(&t->node);
        hf_toxic_free(t);
    }
    for (size_t i = 0; i < EXPECTED; i++) {
        texts_fini(&p->expect[i]);
    }
    texts_fini(&p->imitates);
    hf_release(&hf_heap, p->name);
    hf_release(&hf_heap, p->about);
    hf_release(&hf_heap, p);
}

static struct hf_chaos_profile *profile_new(struct hf_slice name)
{
    struct hf_chaos_profile *p = hf_alloc_zero(&hf_heap, sizeof(*p));
    if (p == NULL) {
        return NULL;
    }
    hf_list_init(&p->toxics);
    p->name = hf_alloc_text(&hf_heap, name);
    p->about = hf_alloc_text(&hf_heap, HF_LITERAL(""));
    if (p->name == NULL || p->about == NULL) {
        hf_chaos_profile_free(p);
        return NULL;
    }
    return p;
}

const char *hf_chaos_profile_name(const struct hf_chaos_profile *p)
{
    return p->name;
}
const char *hf_chaos_profile_about(const struct hf_chaos_profile *p)
{
    return p->about;
}
struct hf_toxic *hf_chaos_profile_toxic(const struct hf_chaos_profile *p, struct hf_toxic *after)
{
    struct hf_list *node = after == NULL ? p->toxics.next : after->node.next;
    return node == &p->toxics ? NULL : HF_CONTAINER(node, struct hf_toxic, node);
}

/* The toxic with this name, else the first one of this type; NULL: none. */
static struct hf_toxic *toxic_of(const struct hf_chaos_profile *p, struct hf_slice name)
{
    struct hf_toxic *typed = NULL;
    for (struct hf_toxic *t = hf_chaos_profile_toxic(p, NULL); t != NULL;
         t = hf_chaos_profile_toxic(p, t)) {
        if (hf_slice_eq(name, hf_slice_of(t->name))) {
            return t;
        }
        if (typed == NULL && hf_slice_eq(name, hf_slice_of(hf_toxic_type(t)->name))) {
            typed = t;
        }
    }
    return typed;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static bool keep_text(struct hf_config_build *b, char **to, const struct hf_config_value *value,
                      const char *key)
{
    if (value->kind != HF_VALUE_SCALAR) {
        return hf_config_wrong_kind(b, key, value, "a text");
    }
    char *copy = hf_alloc_text(&hf_heap, value->text);
    b->no_memory = b->no_memory || copy == NULL;
    if (copy != NULL) {
        hf_release(&hf_heap, *to);
        *to = copy;
    }
    return copy != NULL;
}

static void keep_texts(struct hf_config_build *b, struct texts *to,
                       const struct hf_config_value *value, const char *key)
{
    const struct hf_config_value *item = value->kind == HF_VALUE_LIST ? value->first : value;
    for (; item != NULL; item = value->kind == HF_VALUE_LIST ? item->next : NULL) {
        char *copy = NULL;
        if (to->count == LIST_MAX) {
            hf_config_problem(b, &item->where, key, "has more than %d entries", LIST_MAX);
            return;
        }
        if (keep_text(b, &copy, item, key)) {
            to->at[to->count++] = copy;
        }
    }
}

static void read_expect(struct hf_config_build *b, struct hf_chaos_profile *p,
                        const struct hf_config_value *map)
{
    if (map->kind != HF_VALUE_MAP) {
        (void)hf_config_wrong_kind(b, "expect", map, "a map with class and value");
        return;
    }
    for (const struct hf_config_value *v = map->first; v != NULL; v = v->next) {
        size_t i = 0;
        while (i < EXPECTED && !hf_slice_eq(v->key, hf_slice_of(expected_names[i]))) {
            i++;
        }
        if (i == EXPECTED) {
            hf_config_problem(b, &v->key_where, NULL,
                              "expect has no key %s; it has class, value, low, high, counts, "
                              "resets and also",
                              hf_config_shown(b, v->key));
            continue;
        }
        keep_texts(b, &p->expect[i], v, expected_names[i]);
        if (i == CLASS && v->kind == HF_VALUE_SCALAR &&
            hf_verdict_class_from(v->text) == HF_CLASSES) {
            hf_config_problem(b, &v->where, "class", "%s is no class of a verdict",
                              hf_config_shown(b, v->text));
        }
    }
}

/* One attribute, or stream, toxicity or name. */
static void read_attribute(struct hf_config_build *b, struct hf_toxic *t,
                           const struct hf_config_value *v)
{
    const struct hf_toxic_type *type = hf_toxic_type(t);
    const struct hf_attribute *a = hf_attribute_find(type, v->key);
    char why[256] = "";
    char *end = NULL;
    if (v->kind != HF_VALUE_SCALAR) {
        (void)hf_config_wrong_kind(b, NULL, v, "a single value");
    } else if (a != NULL) {
        enum hf_status status = hf_toxic_set_text(t, a, v->text, why);
        b->no_memory = b->no_memory || status == HF_NO_MEMORY;
        if (status == HF_INVALID) {
            hf_config_problem(b, &v->where, NULL, "%s is refused: %s", hf_config_shown(b, v->text),
                              why);
        }
    } else if (hf_slice_eq(v->key, HF_LITERAL("stream"))) {
        if (!hf_way_from(v->text, &t->way)) {
            hf_config_problem(b, &v->where, "stream", "must be upstream or downstream");
        }
    } else if (hf_slice_eq(v->key, HF_LITERAL("toxicity"))) {
        t->toxicity = strtod((const char *)v->text.ptr, &end);
        if (v->text.len == 0 || *end != '\0' || !(t->toxicity >= 0 && t->toxicity <= 1)) {
            t->toxicity = 1;
            hf_config_problem(b, &v->where, "toxicity", "must be a number from 0 to 1");
        }
    } else if (!hf_slice_eq(v->key, HF_LITERAL("name")) &&
               !hf_slice_eq(v->key, HF_LITERAL("type"))) {
        hf_config_problem(b, &v->key_where, NULL, "%s has no attribute %s", type->name,
                          hf_config_shown(b, v->key));
    }
}

static const struct hf_config_value *find_key(const struct hf_config_value *map, const char *key)
{
    const struct hf_config_value *v = map->first;
    while (v != NULL && !hf_slice_eq(v->key, hf_slice_of(key))) {
        v = v->next;
    }
    return v;
}

static void name_toxic(struct hf_config_build *b, struct hf_toxic *t,
                       const struct hf_config_value *map)
{
    const struct hf_config_value *name = find_key(map, "name");
    char usual[HF_TOXIC_NAME_MAX];
    (void)snprintf(usual, sizeof(usual), "%s_%s", hf_toxic_type(t)->name, hf_way_text(t->way));
    struct hf_slice text = hf_slice_of(usual);
    if (name != NULL && name->kind == HF_VALUE_SCALAR) {
        text = name->text;
        if (text.len == 0 || text.len >= HF_TOXIC_NAME_MAX || hf_slice_find(text, '/') < text.len) {
            hf_config_problem(b, &name->where, "name", "must have 1 to %d bytes and no slash",
                              HF_TOXIC_NAME_MAX - 1);
        }
    }
    b->no_memory = hf_toxic_rename(t, text) != HF_OK || b->no_memory;
}

static void read_toxic(struct hf_config_build *b, struct hf_chaos_profile *p,
                       const struct hf_config_value *map)
{
    if (map->kind != HF_VALUE_MAP) {
        (void)hf_config_wrong_kind(b, "toxics", map, "a map with a type");
        return;
    }
    const struct hf_config_value *named = find_key(map, "type");
    const struct hf_config_value *more = find_key(map, "attributes");
    if (named == NULL || named->kind != HF_VALUE_SCALAR) {
        hf_config_problem(b, &map->where, NULL,
                          "a toxic needs a type; `holdfast chaos --toxics` lists them");
        return;
    }
    const struct hf_toxic_type *type = hf_toxic_type_find(named->text);
    if (type == NULL) {
        hf_config_problem(b, &named->where, "type",
                          "%s is no toxic; `holdfast chaos --toxics` lists them",
                          hf_config_shown(b, named->text));
        return;
    }
    struct hf_toxic *t = hf_toxic_new(type);
    if (t == NULL) {
        b->no_memory = true;
        return;
    }
    hf_list_append(&p->toxics, &t->node);
    for (const struct hf_config_value *v = map->first; v != NULL; v = v->next) {
        if (v != more) {
            read_attribute(b, t, v);
        }
    }
    if (more != NULL && more->kind != HF_VALUE_MAP) {
        (void)hf_config_wrong_kind(b, "attributes", more, "a map");
    }
    for (const struct hf_config_value *v = more == NULL ? NULL : more->first; v != NULL;
         v = v->next) {
        read_attribute(b, t, v);
    }
    name_toxic(b, t, map);
    const char *fault = hf_toxic_fault(t);
    if (fault != NULL) {
        hf_config_problem(b, &map->where, NULL, "%s: %s", type->name, fault);
    }
}

static void read_toxics(struct hf_config_build *b, struct hf_chaos_profile *p,
                        const struct hf_config_value *list)
{
    if (list->kind != HF_VALUE_LIST) {
        (void)(!hf_config_value_is_null(list) &&
               hf_config_wrong_kind(b, "toxics", list, "a list of maps, each with a type"));
        return;
    }
    for (const struct hf_config_value *v = list->first; v != NULL; v = v->next) {
        read_toxic(b, p, v);
    }
}

static void read_body(struct hf_config_build *b, struct hf_chaos_profile *p,
                      const struct hf_config_value *map)
{
    if (map->kind != HF_VALUE_MAP) {
        (void)hf_config_wrong_kind(b, NULL, map, "a map with toxics");
        return;
    }
    for (const struct hf_config_value *v = map->first; v != NULL; v = v->next) {
        if (hf_slice_eq(v->key, HF_LITERAL("name"))) {
            (void)keep_text(b, &p->name, v, "name");
        } else if (hf_slice_eq(v->key, HF_LITERAL("about"))) {
            (void)keep_text(b, &p->about, v, "about");
        } else if (hf_slice_eq(v->key, HF_LITERAL("imitates"))) {
            keep_texts(b, &p->imitates, v, "imitates");
        } else if (hf_slice_eq(v->key, HF_LITERAL("expect"))) {
            read_expect(b, p, v);
        } else if (hf_slice_eq(v->key, HF_LITERAL("toxics"))) {
            read_toxics(b, p, v);
        } else {
            hf_config_problem(b, &v->key_where, NULL,
                              "%s is not a known key; a profile has name, about, imitates, expect "
                              "and toxics",
                              hf_config_shown(b, v->key));
        }
    }
}

static bool sum_of(const struct hf_chaos_profile *p, const struct texts *refs, enum expected which,
                   double *value);

/* What `expect` refers to is there. */
static void check_expect(struct hf_config_build *b, const struct hf_chaos_profile *p,
                         const struct hf_config_value *root)
{
    double value = 0;
    for (enum expected i = VALUE; i <= HIGH; i++) {
        if (p->expect[i].count > 0 && !sum_of(p, &p->expect[i], i, &value)) {
            const struct hf_config_value *v = find_key(root, "expect");
            hf_config_problem(b, &v->where, "expect",
                              "%s must be a number or TOXIC.ATTRIBUTE of a toxic below, or a list "
                              "of these",
                              expected_names[i]);
        }
    }
}

/* Reads text; with name, the part of it that is the value of this key. */
static enum hf_status read_text(const char *file, struct hf_slice text, struct hf_slice name,
                                bool part, struct hf_chaos_profile **profile,
                                struct hf_buffer *errors)
{
    struct hf_config_build *b = hf_alloc_zero(&hf_heap, sizeof(*b));
    enum hf_status status = HF_OK;
    *profile = NULL;
    if (b == NULL) {
        return HF_NO_MEMORY;
    }
    b->scratch.alloc = &hf_heap;
    b->errors = errors;
    b->file = file;
    const struct hf_config_value *root = hf_config_yaml_read(b, text);
    if (root != NULL && part) {
        char *key = hf_alloc_text(&hf_heap, name);
        root = key == NULL ? NULL : find_key(root, key);
        status = key == NULL ? HF_NO_MEMORY : root == NULL ? HF_NOT_FOUND : HF_OK;
        hf_release(&hf_heap, key);
    }
    if (root != NULL) {
        *profile = profile_new(name);
        b->no_memory = b->no_memory || *profile == NULL;
        if (*profile != NULL) {
            read_body(b, *profile, root);
            check_expect(b, *profile, root);
        }
    }
    if (status == HF_OK) {
        status = b->no_memory ? HF_NO_MEMORY : b->problems > 0 ? HF_INVALID : HF_OK;
    }
    if (status != HF_OK) {
        hf_chaos_profile_free(*profile);
        *profile = NULL;
    }
    hf_config_arena_fini(&b->scratch);
    hf_release(&hf_heap, b);
    return status;
}

enum hf_status hf_chaos_profile_read(const char *file, struct hf_slice text,
                                     struct hf_chaos_profile **profile, struct hf_buffer *errors)
{
    return read_text(file, text, hf_slice_of(file), false, profile, errors);
}

/* ---- the built-in ones ------------------------------------------------------------------------
 */

static struct hf_slice builtin(void)
{
    return hf_slice(hf_chaos_profiles, hf_chaos_profiles_size);
}

enum hf_status hf_chaos_profile_find(struct hf_slice name, struct hf_chaos_profile **profile)
{
    struct hf_buffer errors;
    hf_buffer_init(&errors, &hf_heap, 65536);
    enum hf_status status = read_text("profiles.yaml", builtin(), name, true, profile, &errors);
    if (status == HF_INVALID) {
        fprintf(stderr, "%.*s", HF_SLICE_ARG(hf_buffer_slice(&errors)));
    }
    HF_ASSERT(status != HF_INVALID);
    hf_buffer_reset(&errors);
    return status;
}

bool hf_chaos_profile_at(size_t index, struct hf_slice *name)
{
    struct hf_slice rest = builtin();
    struct hf_slice line;
    while (hf_slice_next(&rest, '\n', &line)) {
        size_t colon = hf_slice_find(line, ':');
        if (line.len == 0 || colon == line.len || line.ptr[0] == ' ' || line.ptr[0] == '#') {
            continue;
        }
        if (index-- == 0) {
            *name = hf_slice_first(line, colon);
            return true;
        }
    }
    return false;
}

/* ---- changing ---------------------------------------------------------------------------------
 */

enum hf_status hf_chaos_profile_set(struct hf_chaos_profile *p, struct hf_slice words,
                                    char why[256])
{
    size_t equal = hf_slice_find(words, '=');
    struct hf_slice place = hf_slice_first(words, equal);
    struct hf_slice value = hf_slice_from(words, equal + 1);
    size_t dot = hf_slice_find(place, '.');
    struct hf_slice key = hf_slice_from(place, dot + 1);
    if (equal == words.len || dot == place.len) {
        (void)snprintf(why, 256, "it has the form TOXIC.ATTRIBUTE=VALUE");
        return HF_INVALID;
    }
    struct hf_toxic *t = toxic_of(p, hf_slice_first(place, dot));
    if (t == NULL) {
        (void)snprintf(why, 256, "the profile %.60s has no toxic %.*s", p->name,
                       (int)(dot < 100 ? dot : 100), (const char *)place.ptr);
        return HF_INVALID;
    }
    const struct hf_attribute *a = hf_attribute_find(hf_toxic_type(t), key);
    if (a != NULL) {
        enum hf_status status = hf_toxic_set_text(t, a, value, why);
        const char *fault = status == HF_OK ? hf_toxic_fault(t) : NULL;
        if (fault != NULL) {
            (void)snprintf(why, 256, "%s", fault);
            return HF_INVALID;
        }
        return status;
    }
    if (hf_slice_eq(key, HF_LITERAL("stream"))) {
        (void)snprintf(why, 256, "stream must be upstream or downstream");
        return hf_way_from(value, &t->way) ? HF_OK : HF_INVALID;
    }
    if (hf_slice_eq(key, HF_LITERAL("toxicity"))) {
        char *end = NULL;
        double number = value.len == 0 ? -1 : strtod((const char *)value.ptr, &end);
        (void)snprintf(why, 256, "toxicity must be a number from 0 to 1");
        if (!(number >= 0 && number <= 1) || end != (const char *)value.ptr + value.len) {
            return HF_INVALID;
        }
        t->toxicity = number;
        return HF_OK;
    }
    (void)snprintf(why, 256, "%s has no attribute %.*s", hf_toxic_type(t)->name,
                   (int)(key.len < 100 ? key.len : 100), (const char *)key.ptr);
    return HF_INVALID;
}

void hf_chaos_profile_scale(struct hf_chaos_profile *p, double factor)
{
    for (struct hf_toxic *t = hf_chaos_profile_toxic(p, NULL); t != NULL;
         t = hf_chaos_profile_toxic(p, t)) {
        hf_toxic_scale(t, factor);
    }
}

/* ---- printing ---------------------------------------------------------------------------------
 */

static void print_texts(struct hf_buffer *out, const char *key, const struct texts *t)
{
    if (t->count == 0) {
        return;
    }
    (void)hf_buffer_addf(out, "%s: ", key);
    for (size_t i = 0; i < t->count; i++) {
        (void)hf_buffer_add_text(out, i == 0 ? (t->count > 1 ? "[" : "") : ", ");
        hf_config_add_quoted(out, hf_slice_of(t->at[i]));
    }
    (void)hf_buffer_add_text(out, t->count > 1 ? "]\n" : "\n");
}

void hf_chaos_profile_print(const struct hf_chaos_profile *p, struct hf_buffer *out)
{
    (void)hf_buffer_add_text(out, "name: ");
    hf_config_add_quoted(out, hf_slice_of(p->name));
    (void)hf_buffer_add_text(out, "\nabout: ");
    hf_config_add_quoted(out, hf_slice_of(p->about));
    (void)hf_buffer_add_byte(out, '\n');
    print_texts(out, "imitates", &p->imitates);
    bool any = false;
    for (size_t i = 0; i < EXPECTED; i++) {
        if (p->expect[i].count > 0) {
            (void)hf_buffer_add_text(out, any ? "  " : "expect:\n  ");
            print_texts(out, expected_names[i], &p->expect[i]);
            any = true;
        }
    }
    (void)hf_buffer_addf(out, "toxics:%s\n", hf_list_empty(&p->toxics) ? " []" : "");
    for (struct hf_toxic *t = hf_chaos_profile_toxic(p, NULL); t != NULL;
         t = hf_chaos_profile_toxic(p, t)) {
        hf_toxic_yaml(t, out);
    }
}

/* A number, or TOXIC.ATTRIBUTE in the class's unit. */
static bool value_of(const struct hf_chaos_profile *p, struct hf_slice text, double *value)
{
    char *end = NULL;
    size_t dot = hf_slice_find(text, '.');
    if (text.len == 0) { /* "-" alone */
        return false;
    }
    *value = strtod((const char *)text.ptr, &end);
    if (*end == '\0' && isfinite(*value)) {
        return true;
    }
    const struct hf_toxic *t = toxic_of(p, hf_slice_first(text, dot));
    const struct hf_attribute *a =
        t == NULL ? NULL : hf_attribute_find(hf_toxic_type(t), hf_slice_from(text, dot + 1));
    if (a == NULL || a->kind == HF_ATTRIBUTE_TEXT) {
        return false;
    }
    *value = hf_toxic_number(t, a);
    if (a->kind == HF_ATTRIBUTE_MS) {
        *value /= 1e3;
    } else if (a->kind == HF_ATTRIBUTE_US) {
        *value /= 1e6;
    }
    return true;
}

static bool sum_of(const struct hf_chaos_profile *p, const struct texts *refs, enum expected which,
                   double *value)
{
    *value = 0;
    for (size_t i = 0; i < refs->count; i++) {
        double part = 0;
        struct hf_slice text = hf_slice_of(refs->at[i]);
        bool minus = text.len > 0 && text.ptr[0] == '-';
        if (!value_of(p, minus ? hf_slice_from(text, 1) : text, &part)) {
            return false;
        }
        *value += minus ? -part : part;
    }
    return refs->count > 0;
}

static void add_list(struct hf_buffer *out, const char *key, const struct texts *t)
{
    if (t->count == 0) {
        return;
    }
    (void)hf_buffer_addf(out, ",\"%s\":[", key);
    for (size_t i = 0; i < t->count; i++) {
        (void)hf_buffer_add_text(out, i > 0 ? ",\"" : "\"");
        (void)hf_buffer_add_json(out, hf_slice_of(t->at[i]));
        (void)hf_buffer_add_byte(out, '"');
    }
    (void)hf_buffer_add_byte(out, ']');
}

void hf_chaos_profile_truth(const struct hf_chaos_profile *p, struct hf_buffer *out)
{
    const struct texts *class = &p->expect[CLASS];
    double value = 0;
    (void)hf_buffer_add_text(out, "\"profile\":\"");
    (void)hf_buffer_add_json(out, hf_slice_of(p->name));
    (void)hf_buffer_add_byte(out, '"');
    if (class->count > 0) {
        enum hf_verdict_class known = hf_verdict_class_from(hf_slice_of(class->at[0]));
        (void)hf_buffer_addf(out, ",\"class\":\"%s\"", hf_verdict_class_text(known));
        for (enum expected i = VALUE; i <= HIGH; i++) {
            if (sum_of(p, &p->expect[i], i, &value)) {
                (void)hf_buffer_addf(out, ",\"%s\":", expected_names[i]);
                hf_chaos_add_number(out, value);
            }
        }
        if (p->expect[VALUE].count > 0) {
            (void)hf_buffer_addf(out, ",\"unit\":\"%s\"", hf_verdict_unit(known));
        }
    }
    if (p->expect[COUNTS].count > 0) {
        (void)hf_buffer_add_text(out, ",\"counts\":\"");
        (void)hf_buffer_add_json(out, hf_slice_of(p->expect[COUNTS].at[0]));
        (void)hf_buffer_add_byte(out, '"');
    }
    add_list(out, "resets", &p->expect[RESETS]);
    add_list(out, "also", &p->expect[ALSO]);
    add_list(out, "imitates", &p->imitates);
}
