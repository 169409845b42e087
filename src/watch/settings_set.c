/* SPDX-License-Identifier: Apache-2.0 */
/* A value becomes a field, as the key's row says. A refused value leaves the field as it was. */
#include "watch/settings_build.h"

struct setting {
    struct hf_watch_build *w;
    const struct hf_watch_key *key;
    const struct hf_config_value *value;
    void *field;
    struct hf_target *target;
};

static bool refuse_at(const struct setting *s, const struct hf_config_value *at, const char *what)
{
    char allowed[256];
    hf_watch_key_allowed(s->key, allowed);
    const char *shown = s->key->secret ? "its value" : hf_config_shown(&s->w->b, at->text);
    hf_config_problem(&s->w->b, &at->where, s->key->name, "%s %s; allowed: %s", shown, what,
                      allowed);
    return false;
}

static bool refuse(const struct setting *s, const char *what)
{
    return refuse_at(s, s->value, what);
}

static bool in_range(const struct setting *s, uint64_t n)
{
    const struct hf_watch_key *key = s->key;
    return (n == 0 && key->zero) || (n >= key->min && (key->max == 0 || n <= key->max)) ||
           refuse(s, "is out of range");
}

/* ---- scalars ---------------------------------------------------------------------------- */

static bool set_count(const struct setting *s)
{
    uint64_t n = 0;
    if (!hf_slice_number(s->value->text, UINT32_MAX, &n)) {
        return refuse(s, "is not a whole number");
    }
    if (!in_range(s, n)) {
        return false;
    }
    *(uint32_t *)s->field = (uint32_t)n;
    return true;
}

static bool set_duration(const struct setting *s)
{
    hf_time t = 0;
    uint64_t bare = 0;
    if (s->key->never && hf_slice_eq(s->value->text, HF_LITERAL("never"))) {
        *(hf_time *)s->field = HF_NEVER;
        return true;
    }
    if (!hf_duration_parse(s->value->text, &t)) {
        return refuse(s, hf_slice_number(s->value->text, UINT64_MAX, &bare)
                             ? "is a number without a unit"
                             : "is not a duration");
    }
    if (!in_range(s, (uint64_t)t)) {
        return false;
    }
    *(hf_time *)s->field = t;
    return true;
}

static bool set_text(const struct setting *s)
{
    struct hf_slice text = s->value->text;
    if (text.len > 4096) {
        return refuse(s, "is longer than 4096 bytes");
    }
    char *copy = text.len == 0 ? NULL : hf_config_keep_text(&s->w->b, text);
    *(char **)s->field = copy;
    return text.len == 0 || copy != NULL;
}

static bool set_variable(const struct setting *s)
{
    struct hf_slice name = s->value->text;
    if (name.len == 0) {
        return true; /* the default: the field may have been set by another key */
    }
    const char *value =
        s->w->input->environment == NULL ? NULL : s->w->input->environment((const char *)name.ptr);
    if (value == NULL || value[0] == '\0') {
        hf_config_problem(&s->w->b, &s->value->where, s->key->name,
                          "the variable %s is not set, or empty; set it in the environment "
                          "(systemd: EnvironmentFile=)",
                          hf_config_shown(&s->w->b, name));
        return false;
    }
    *(char **)s->field = hf_config_keep_text(&s->w->b, hf_slice_of(value));
    return true;
}

static bool set_rate(const struct setting *s)
{
    return hf_incident_rate_parse(s->value->text, s->field) || refuse(s, "is not understood");
}

static bool set_address(const struct setting *s)
{
    struct hf_address address = {.len = 0};
    if (s->value->text.len > 0 && !hf_address_parse(s->value->text, &address)) {
        return refuse(s, "is not an address with a port");
    }
    *(struct hf_address *)s->field = address;
    return true;
}

static const struct hf_watch_choice *choice_of(const struct hf_watch_key *key, struct hf_slice text)
{
    const struct hf_watch_choice *c = key->words;
    while (c->word != NULL && !hf_slice_eq(text, hf_slice_of(c->word))) {
        c++;
    }
    return c->word == NULL ? NULL : c;
}

_Static_assert(sizeof(enum hf_channel_type) == sizeof(int), "words are stored as int");
_Static_assert(sizeof(enum hf_log_level) == sizeof(int), "words are stored as int");

static bool set_word(const struct setting *s)
{
    const struct hf_watch_choice *c = choice_of(s->key, s->value->text);
    if (c == NULL) {
        return refuse(s, "is not known");
    }
    memcpy(s->field, &c->value, sizeof(c->value));
    return true;
}

/* ---- lists: a single value is a list of one ----------------------------------------------- */

static const struct hf_config_value *entries(const struct hf_config_value *value)
{
    return value->kind == HF_VALUE_LIST ? value->first : value;
}

static size_t entry_count(const struct hf_config_value *value)
{
    return value->kind == HF_VALUE_LIST ? value->count : value->text.len > 0 ? 1 : 0;
}

static bool check_entry(const struct setting *s, const struct hf_config_value *entry)
{
    return entry->kind == HF_VALUE_SCALAR ||
           hf_config_wrong_kind(&s->w->b, s->key->name, entry, "a single value");
}

static bool set_texts(const struct setting *s)
{
    size_t count = entry_count(s->value);
    char **items = hf_config_keep(&s->w->b, (count + 1) * sizeof(char *));
    const struct hf_config_value *entry = entries(s->value);
    for (size_t i = 0; i < count && items != NULL; i++, entry = entry->next) {
        if (!check_entry(s, entry)) {
            return false;
        }
        items[i] = hf_config_keep_text(&s->w->b, entry->text);
    }
    *(struct hf_watch_texts *)s->field = (struct hf_watch_texts){items, items == NULL ? 0 : count};
    return items != NULL;
}

static bool set_codes(const struct setting *s)
{
    struct hf_watch_codes codes = {.count = 0};
    size_t count = entry_count(s->value);
    const struct hf_config_value *entry = entries(s->value);
    if (count > HF_WATCH_CODES_MAX) {
        hf_config_problem(&s->w->b, &s->value->where, s->key->name, "has more than %d codes",
                          HF_WATCH_CODES_MAX);
        return false;
    }
    for (size_t i = 0; i < count; i++, entry = entry->next) {
        uint64_t code = 0;
        if (!check_entry(s, entry)) {
            return false;
        }
        if (!hf_slice_number(entry->text, 4999, &code) || code < 1000) {
            return refuse_at(s, entry, "is not a close code");
        }
        codes.codes[codes.count++] = (uint16_t)code;
    }
    *(struct hf_watch_codes *)s->field = codes;
    return true;
}

static bool set_windows(const struct setting *s)
{
    size_t count = entry_count(s->value);
    struct hf_quiet_window *items = hf_config_keep(&s->w->b, (count + 1) * sizeof(*items));
    const struct hf_config_value *entry = entries(s->value);
    for (size_t i = 0; i < count && items != NULL; i++, entry = entry->next) {
        const char *why = "";
        if (!check_entry(s, entry)) {
            return false;
        }
        if (!hf_quiet_parse(entry->text, &items[i], &why)) {
            return refuse_at(s, entry, why);
        }
    }
    *(struct hf_watch_windows *)s->field = (struct hf_watch_windows){items, count};
    return items != NULL;
}

static bool set_kinds(const struct setting *s)
{
    size_t count = entry_count(s->value);
    const struct hf_config_value *entry = entries(s->value);
    uint32_t set = 0;
    for (size_t i = 0; i < count; i++, entry = entry->next) {
        if (!check_entry(s, entry)) {
            return false;
        }
        const struct hf_watch_choice *c = choice_of(s->key, entry->text);
        if (c == NULL) {
            return refuse_at(s, entry, "is not known");
        }
        set |= 1U << c->value;
    }
    *(uint32_t *)s->field = set;
    return true;
}

/* ---- the target's own options --------------------------------------------------------------- */

const char *hf_watch_one_line(struct hf_watch_build *w, struct hf_slice text)
{
    char *copy = hf_config_scratch(&w->b, text.len + 1);
    for (size_t i = 0; copy != NULL && i < text.len; i++) {
        copy[i] = text.ptr[i] < 0x20 || text.ptr[i] == 0x7f ? ' ' : (char)text.ptr[i];
    }
    return copy == NULL ? "out of memory" : copy;
}

bool hf_watch_set_option(struct hf_watch_build *w, const char *key, struct hf_target *target,
                         const char *option, const struct hf_config_value *at, const char *value)
{
    const struct option *o = hf_target_options;
    const char *why = NULL;
    size_t count = hf_target_option_count();
    size_t i = 0;
    while (i < count && strcmp(o[i].name, option) != 0) {
        i++;
    }
    HF_ASSERT(i < count); /* a test goes through the table */
    (void)hf_target_take(target, o[i].val, value, &why);
    if (why != NULL) {
        hf_config_problem(&w->b, &at->where, key, "%s", hf_watch_one_line(w, hf_slice_of(why)));
    }
    return why == NULL;
}

static bool set_switch(const struct setting *s)
{
    bool on = false;
    if (!hf_config_bool_parse(s->value->text, &on)) {
        return refuse(s, "is neither yes nor no");
    }
    return !on ||
           hf_watch_set_option(s->w, s->key->name, s->target, s->key->option, s->value, NULL);
}

static bool set_option(const struct setting *s)
{
    size_t count = entry_count(s->value);
    const struct hf_config_value *entry = entries(s->value);
    bool good = true;
    for (size_t i = 0; i < count; i++, entry = entry->next) {
        good = check_entry(s, entry) &&
               hf_watch_set_option(s->w, s->key->name, s->target, s->key->option, entry,
                                   (const char *)entry->text.ptr) &&
               good;
    }
    return good;
}

/* ---- all ------------------------------------------------------------------------------------ */

static bool takes_list(const struct hf_watch_key *key)
{
    return key->type == HF_WATCH_TEXTS || key->type == HF_WATCH_CODES ||
           key->type == HF_WATCH_WINDOWS || key->type == HF_WATCH_KINDS ||
           (key->type == HF_WATCH_OPTION && !key->is_switch);
}

bool hf_watch_set(struct hf_watch_build *w, const struct hf_watch_key *key, void *field,
                  struct hf_target *target, const struct hf_config_value *value)
{
    const struct setting s = {w, key, value, field, target};
    if (value->kind == HF_VALUE_BROKEN) {
        return false;
    }
    if (value->kind != HF_VALUE_SCALAR && !(value->kind == HF_VALUE_LIST && takes_list(key))) {
        char allowed[256];
        hf_watch_key_allowed(key, allowed);
        return hf_config_wrong_kind(&w->b, key->name, value, allowed);
    }
    switch (key->type) {
    case HF_WATCH_BOOL:
        return hf_config_bool_parse(value->text, field) || refuse(&s, "is neither yes nor no");
    case HF_WATCH_COUNT:
        return set_count(&s);
    case HF_WATCH_DURATION:
        return set_duration(&s);
    case HF_WATCH_TEXT:
        return set_text(&s);
    case HF_WATCH_VARIABLE:
        return set_variable(&s);
    case HF_WATCH_TEXTS:
        return set_texts(&s);
    case HF_WATCH_CODES:
        return set_codes(&s);
    case HF_WATCH_RATE:
        return set_rate(&s);
    case HF_WATCH_WINDOWS:
        return set_windows(&s);
    case HF_WATCH_ADDRESS:
        return set_address(&s);
    case HF_WATCH_WORD:
        return set_word(&s);
    case HF_WATCH_KINDS:
        return set_kinds(&s);
    case HF_WATCH_OPTION:
        return key->is_switch ? set_switch(&s) : set_option(&s);
    case HF_WATCH_LIST:
        break;
    }
    return false;
}
