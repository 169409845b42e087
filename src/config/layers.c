/* SPDX-License-Identifier: Apache-2.0 */
/* The environment and the flags, laid over the top level of the file. */
#include "config/build.h"

#define WS_ENABLED "WS_RATE_LIMIT_ENABLED"
#define WS_LIMIT "WS_MAX_MESSAGES_PER_MINUTE"
#define WS_LIMIT_DEFAULT 1000
#define LABEL_MAX 128 /* bytes */

/* A name for messages: cut, since a stranger's word may be long. */
static char *label_of(struct hf_config_build *b, struct hf_slice text)
{
    text = hf_slice_first(text, LABEL_MAX);
    char *copy = hf_config_scratch(b, text.len + 1);
    if (copy != NULL && text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    return copy;
}

/* A word of the shell as a value: of a list key the pieces between commas. NULL when it was
 * refused. */
static struct hf_config_value *value_of(struct hf_config_build *b, const struct hf_config_key *key,
                                        struct hf_config_where where, struct hf_slice text)
{
    if (!hf_config_is_utf8(text)) {
        hf_config_problem(b, &where, NULL, "%s is not UTF-8",
                          key->secret ? "***" : hf_config_shown(b, text));
        return NULL;
    }
    if (hf_config_key_is_list(key)) {
        struct hf_config_value *list = hf_config_value_new(b, HF_VALUE_LIST, where);
        if (list != NULL) {
            hf_config_value_split(b, list, text);
        }
        return list;
    }
    struct hf_config_value *value = hf_config_scalar_new(b, text, where);
    if (value != NULL) {
        value->quoted = true;
    }
    return value;
}

static void refuse_file_only(struct hf_config_build *b, const struct hf_config_where *where,
                             const struct hf_config_key *key)
{
    hf_config_problem(b, where, NULL, "can only be set in the file, as %s%s", key->name,
                      key->scope == HF_SCOPE_ROUTE ? " in an entry of routes" : "");
}

/* ---- environment ------------------------------------------------------------------------------
 */

/* The value of a variable; an empty one counts as none. */
static bool find_variable(const char *const *environment, const char *name, struct hf_slice *value)
{
    size_t len = strlen(name);
    for (; environment != NULL && *environment != NULL; environment++) {
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=') {
            *value = hf_slice_of(*environment + len + 1);
            return value->len > 0;
        }
    }
    return false;
}

/* A Service named "holdfast" makes Kubernetes set these in every container beside it. */
static bool is_of_kubernetes(struct hf_slice name, struct hf_slice value)
{
    return hf_slice_starts(name, HF_LITERAL("HOLDFAST_SERVICE_")) ||
           hf_slice_starts(name, HF_LITERAL("HOLDFAST_PORT_")) ||
           (hf_slice_eq(name, HF_LITERAL("HOLDFAST_PORT")) &&
            hf_slice_search(value, HF_LITERAL("://")) < value.len);
}

static void apply_variable(struct hf_config_build *b, const struct hf_config_key *key,
                           const char *name, struct hf_slice text)
{
    struct hf_config_where where = {.label = name, .rank = HF_RANK_ENVIRONMENT};
    if (hf_config_key_is_file_only(key)) {
        refuse_file_only(b, &where, key);
        return;
    }
    struct hf_config_value *value = value_of(b, key, where, text);
    if (value != NULL) {
        hf_config_apply(b, &b->base, key, value);
    }
}

static void refuse_variable(struct hf_config_build *b, const char *name)
{
    struct hf_config_where where = {.label = name, .rank = HF_RANK_ENVIRONMENT};
    char nearest[HF_CONFIG_NAME_MAX];
    hf_config_nearest(hf_slice_of(name), HF_FORM_VARIABLE, false, nearest);
    hf_config_problem(b, &where, NULL, "is not a known variable; the nearest is %s", nearest);
}

/* The older names of the message limit, as applications know them. */
static void apply_ws_variables(struct hf_config_build *b, const char *const *environment)
{
    const struct hf_config_key *key = hf_config_key_find(HF_LITERAL("limits.messages_per_minute"));
    struct hf_config_where enabled_where = {.label = WS_ENABLED, .rank = HF_RANK_ENVIRONMENT};
    struct hf_config_where limit_where = {.label = WS_LIMIT, .rank = HF_RANK_ENVIRONMENT};
    struct hf_slice text;
    bool enabled = true;
    uint64_t limit = 0;
    bool says_enabled = find_variable(environment, WS_ENABLED, &text);
    if (says_enabled && !hf_config_bool_parse(text, &enabled)) {
        hf_config_problem(
            b, &enabled_where, NULL,
            "%s is neither yes nor no; allowed: true, false, 1, 0, yes, no, on or off",
            hf_config_shown(b, text));
        says_enabled = false;
    }
    bool says_limit = find_variable(environment, WS_LIMIT, &text);
    if (says_limit && (!hf_slice_number(text, INT32_MAX, &limit) || limit == 0)) {
        hf_config_problem(b, &limit_where, NULL,
                          "%s is not such a number; allowed: a whole number, 1 to 2147483647",
                          hf_config_shown(b, text));
        return;
    }
    uint32_t *field = &b->base.route.limits.messages_per_minute;
    struct hf_config_where *where = &b->base.marks.of[hf_config_key_index(key)];
    if (!enabled) {
        *field = 0;
        *where = enabled_where;
    } else if (says_limit) {
        *field = (uint32_t)limit;
        *where = limit_where;
    } else if (says_enabled && *field == 0) { /* a number that the file gives stands */
        *field = WS_LIMIT_DEFAULT;
        *where = enabled_where;
    }
}

void hf_config_apply_environment(struct hf_config_build *b, const char *const *environment)
{
    apply_ws_variables(b, environment);
    for (; environment != NULL && *environment != NULL; environment++) {
        struct hf_slice text = hf_slice_of(*environment);
        struct hf_slice name = hf_slice_first(text, hf_slice_find(text, '='));
        struct hf_slice value = hf_slice_from(text, name.len + 1);
        if (!hf_slice_starts(name, HF_LITERAL("HOLDFAST_")) || is_of_kubernetes(name, value) ||
            hf_slice_eq(name, HF_LITERAL("HOLDFAST_CONFIG"))) {
            continue;
        }
        char *copy = label_of(b, name);
        const struct hf_config_key *key = hf_config_key_by_form(name, HF_FORM_VARIABLE);
        if (copy == NULL) {
            return;
        }
        if (key == NULL) {
            refuse_variable(b, copy);
        } else if (value.len > 0) { /* an empty variable counts as none */
            apply_variable(b, key, copy, value);
        }
    }
}

/* ---- flags ------------------------------------------------------------------------------------
 */

struct flags {
    struct hf_config_build *b;
    const char *const *words;                           /* what is left */
    struct hf_config_value *values[HF_CONFIG_KEYS_MAX]; /* by key; NULL: not given */
};

static void refuse_flag(struct hf_config_build *b, struct hf_slice flag)
{
    struct hf_config_where where = {.label = label_of(b, flag), .rank = HF_RANK_FLAG};
    char nearest[HF_CONFIG_NAME_MAX];
    if (where.label == NULL) {
        return;
    }
    hf_config_nearest(flag, HF_FORM_FLAG, false, nearest);
    hf_config_problem(b, &where, NULL, "is not a known flag; the nearest is %s", nearest);
}

/* A flag was read: lists gather, anything else may come once. */
static void enter(struct flags *f, const struct hf_config_key *key, const char *label,
                  struct hf_slice text)
{
    struct hf_config_where where = {.label = label, .rank = HF_RANK_FLAG};
    struct hf_config_value **slot = &f->values[hf_config_key_index(key)];
    struct hf_config_value *value = value_of(f->b, key, where, text);
    if (value == NULL) {
        return;
    }
    if (*slot == NULL) {
        *slot = value;
    } else if (value->kind == HF_VALUE_LIST) {
        for (struct hf_config_value *item = value->first; item != NULL;) {
            struct hf_config_value *next = item->next;
            item->next = NULL;
            hf_config_value_append(*slot, item);
            item = next;
        }
    } else {
        hf_config_problem(f->b, &where, NULL, "is given twice; keep one");
    }
}

/* The word behind a flag, when it can be its value. */
static const char *value_word(struct flags *f, const struct hf_config_key *key)
{
    bool flag;
    if (*f->words == NULL || strncmp(*f->words, "--", 2) == 0 ||
        (key->type == HF_KEY_BOOL && !hf_config_bool_parse(hf_slice_of(*f->words), &flag))) {
        return NULL;
    }
    return *f->words++;
}

static void read_known_flag(struct flags *f, const struct hf_config_key *key, struct hf_slice flag,
                            struct hf_slice word)
{
    const char *label = label_of(f->b, flag);
    struct hf_config_where where = {.label = label, .rank = HF_RANK_FLAG};
    if (label == NULL) {
        return;
    }
    if (hf_config_key_is_file_only(key)) {
        refuse_file_only(f->b, &where, key);
        (void)(flag.len == word.len && value_word(f, key) != NULL);
        return;
    }
    if (flag.len < word.len) {
        enter(f, key, label, hf_slice_from(word, flag.len + 1));
        return;
    }
    const char *text = value_word(f, key);
    if (text == NULL && key->type != HF_KEY_BOOL) {
        char allowed[256];
        hf_config_key_allowed(key, allowed);
        hf_config_problem(f->b, &where, NULL, "has no value; allowed: %s", allowed);
        return;
    }
    enter(f, key, label, text == NULL ? HF_LITERAL("true") : hf_slice_of(text));
}

/* --no-utf8-check; true when it was that. */
static bool read_negated_flag(struct flags *f, struct hf_slice word)
{
    char name[HF_CONFIG_NAME_MAX] = "--";
    if (!hf_slice_starts(word, HF_LITERAL("--no-")) || word.len >= sizeof name) {
        return false;
    }
    memcpy(name + 2, word.ptr + 5, word.len - 5);
    const struct hf_config_key *key = hf_config_key_by_form(hf_slice_of(name), HF_FORM_FLAG);
    char *label = label_of(f->b, word);
    if (key == NULL || key->type != HF_KEY_BOOL || label == NULL) {
        return false;
    }
    enter(f, key, label, HF_LITERAL("false"));
    return true;
}

static void read_word(struct flags *f)
{
    struct hf_slice word = hf_slice_of(*f->words++);
    struct hf_slice flag = hf_slice_first(word, hf_slice_find(word, '='));
    struct hf_config_where where = {.label = "holdfast serve", .rank = HF_RANK_FLAG};
    if (!hf_slice_starts(word, HF_LITERAL("--")) || word.len == 2) {
        hf_config_problem(f->b, &where, NULL, "%s is not a flag; flags look like --upstream URL",
                          hf_config_shown(f->b, word));
        return;
    }
    const struct hf_config_key *key = hf_config_key_by_form(flag, HF_FORM_FLAG);
    if (key != NULL) {
        read_known_flag(f, key, flag, word);
    } else if (!read_negated_flag(f, word)) {
        refuse_flag(f->b, flag);
        if (flag.len == word.len && *f->words != NULL && (*f->words)[0] != '-') {
            f->words++; /* most likely its value: one error is enough */
        }
    }
}

void hf_config_apply_flags(struct hf_config_build *b, const char *const *words)
{
    struct flags f = {.b = b, .words = words};
    while (f.words != NULL && *f.words != NULL) {
        read_word(&f);
    }
    for (size_t i = 0; i < hf_config_key_count; i++) {
        if (f.values[i] != NULL) {
            hf_config_apply(b, &b->base, &hf_config_keys[i], f.values[i]);
        }
    }
}
