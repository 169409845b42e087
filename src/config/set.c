/* SPDX-License-Identifier: Apache-2.0 */
/* A value becomes a field, as the key's row says. A refused value leaves the field as it was. */
#include "config/build.h"

/* What a setter is about; field points into the configuration. */
struct setting {
    struct hf_config_build *b;
    const struct hf_config_key *key;
    const struct hf_config_value *value;
    void *field;
};

/* Reports `"value" what; allowed: ...`. Always false. */
static bool refuse_text(const struct setting *s, const struct hf_config_value *at, const char *what)
{
    char allowed[256];
    hf_config_key_allowed(s->key, allowed);
    const char *shown = s->key->secret ? "***" : hf_config_shown(s->b, at->text);
    hf_config_problem(s->b, &at->where, s->key->name, "%s %s; allowed: %s", shown, what, allowed);
    return false;
}

static bool refuse(const struct setting *s, const char *what)
{
    return refuse_text(s, s->value, what);
}

static bool in_range(const struct hf_config_key *key, uint64_t n)
{
    return (n == 0 && key->zero) || (n >= key->min && n <= key->max);
}

/* Digits, perhaps with one point: a number to which someone forgot the unit. */
static bool is_bare_number(struct hf_slice text)
{
    size_t points = 0;
    for (size_t i = 0; i < text.len; i++) {
        points += text.ptr[i] == '.';
        if (text.ptr[i] != '.' && (text.ptr[i] < '0' || text.ptr[i] > '9')) {
            return false;
        }
    }
    return text.len > points && points <= 1;
}

bool hf_config_bool_parse(struct hf_slice text, bool *value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (hf_slice_eq_nocase(text, hf_slice_of(words[i]))) {
            *value = i % 2 == 1;
            return true;
        }
    }
    return false;
}

/* ---- scalars ----------------------------------------------------------------------------------
 */

static bool set_bool(const struct setting *s)
{
    return hf_config_bool_parse(s->value->text, s->field) || refuse(s, "is neither yes nor no");
}

static bool set_count(const struct setting *s)
{
    struct hf_slice text = s->value->text;
    uint64_t n;
    bool digits = is_bare_number(text) && hf_slice_find(text, '.') == text.len;
    if (!digits) {
        return refuse(s, "is not a whole number");
    }
    if (!hf_slice_number(text, UINT64_MAX, &n) || !in_range(s->key, n)) {
        return refuse(s, "is out of range");
    }
    if (s->key->type == HF_KEY_INT) {
        *(int *)s->field = (int)n;
    } else {
        *(uint32_t *)s->field = (uint32_t)n;
    }
    return true;
}

static bool set_duration(const struct setting *s)
{
    hf_time t;
    if (!hf_duration_parse(s->value->text, &t)) {
        return refuse(s, is_bare_number(s->value->text) ? "is a number without a unit"
                                                        : "is not a duration");
    }
    if (!in_range(s->key, (uint64_t)t)) {
        return refuse(s, "is out of range");
    }
    *(hf_time *)s->field = t;
    return true;
}

static bool set_size(const struct setting *s)
{
    uint64_t n;
    if (!hf_size_parse(s->value->text, &n)) {
        return refuse(s, is_bare_number(s->value->text) ? "is a number without a unit"
                                                        : "is not a size");
    }
    if (!in_range(s->key, n)) {
        return refuse(s, "is out of range");
    }
    if (s->key->type == HF_KEY_SIZE32) {
        *(uint32_t *)s->field = (uint32_t)n;
    } else {
        *(uint64_t *)s->field = n;
    }
    return true;
}

static const struct hf_config_word *find_word(const struct hf_config_word *words,
                                              struct hf_slice text)
{
    for (; words->word != NULL; words++) {
        if (hf_slice_eq(hf_slice_of(words->word), text)) {
            return words;
        }
    }
    return NULL;
}

_Static_assert(sizeof(enum hf_auth_kind) == sizeof(int), "words are stored as int");

static bool set_word(const struct setting *s)
{
    const struct hf_config_word *word = find_word(s->key->words, s->value->text);
    if (word == NULL) {
        return refuse(s, "is not known");
    }
    if (s->key->type == HF_KEY_WORD16) {
        *(uint16_t *)s->field = (uint16_t)word->value;
    } else {
        memcpy(s->field, &word->value, sizeof word->value);
    }
    return true;
}

static bool set_mode(const struct setting *s)
{
    struct hf_slice text = s->value->text;
    uint32_t mode = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '7') {
            return refuse(s, "is not octal");
        }
        mode = (mode * 8 + (uint32_t)(text.ptr[i] - '0')) & 07777777;
    }
    if (text.len > 8 || !in_range(s->key, mode)) {
        return refuse(s, "is out of range");
    }
    *(uint32_t *)s->field = mode;
    return true;
}

static bool set_text(const struct setting *s)
{
    struct hf_slice text = s->value->text;
    if (text.len < s->key->min) {
        return refuse(s, "is empty");
    }
    if (text.len > (s->key->max == 0 ? 1024 : s->key->max)) {
        return refuse(s, "is too long");
    }
    if (text.len > 0 && s->key->valid != NULL && !s->key->valid(text)) {
        return refuse(s, "is not valid");
    }
    char *copy = text.len == 0 ? NULL : hf_config_keep_text(s->b, text);
    *(char **)s->field = copy;
    return text.len == 0 || copy != NULL;
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

static bool set_balance(const struct setting *s, struct hf_route_config *route)
{
    static const struct {
        const char *text;
        enum hf_balance balance;
        bool named;
    } forms[] = {{"least", HF_BALANCE_LEAST, false},
                 {"address", HF_BALANCE_ADDRESS, false},
                 {"query:", HF_BALANCE_QUERY, true},
                 {"cookie:", HF_BALANCE_COOKIE, true}};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct hf_slice form = hf_slice_of(forms[i].text);
        struct hf_slice name = hf_slice_from(s->value->text, form.len);
        if (!hf_slice_starts(s->value->text, form) || (name.len > 0) != forms[i].named) {
            continue;
        }
        char *copy = forms[i].named ? hf_config_keep_text(s->b, name) : NULL;
        route->balance = forms[i].balance;
        route->balance_key = copy;
        return !forms[i].named || copy != NULL;
    }
    return refuse(s, "is not a way to balance");
}

/* ---- lists of scalars -------------------------------------------------------------------------
 */

/* An item is as good as a text: one that is refused is reported at its own place. */
static bool check_item(const struct setting *s, const struct hf_config_value *item)
{
    if (item->kind != HF_VALUE_SCALAR || hf_config_value_is_null(item)) {
        char allowed[256];
        hf_config_key_allowed(s->key, allowed);
        return hf_config_wrong_kind(s->b, s->key->name, item, allowed);
    }
    if (item->text.len == 0) {
        return refuse_text(s, item, "is empty");
    }
    if (item->text.len > 1024) {
        return refuse_text(s, item, "is too long");
    }
    if (s->key->words != NULL && find_word(s->key->words, item->text) == NULL) {
        return refuse_text(s, item, "is not known");
    }
    return s->key->valid == NULL || s->key->valid(item->text) ||
           refuse_text(s, item, "is not valid");
}

/* Runs over all items, so that all errors are seen. */
static bool check_items(const struct setting *s, const struct hf_config_value *first)
{
    bool fine = true;
    for (const struct hf_config_value *item = first; item != NULL; item = item->next) {
        fine = check_item(s, item) && fine;
    }
    return fine;
}

static bool set_texts(const struct setting *s, const struct hf_config_value *first, size_t count)
{
    struct hf_string_list list = {.items = NULL};
    if (count > 0) {
        list.items = hf_config_keep(s->b, count * sizeof *list.items);
    }
    for (const struct hf_config_value *item = first; item != NULL && list.items != NULL;
         item = item->next) {
        list.items[list.count] = hf_config_keep_text(s->b, item->text);
        if (list.items[list.count] == NULL) {
            return false;
        }
        list.count++;
    }
    *(struct hf_string_list *)s->field = list;
    return list.count == count;
}

static bool set_places(const struct setting *s, const struct hf_config_value *first, size_t count)
{
    uint32_t set = 0;
    if (count < s->key->min) {
        char allowed[256];
        hf_config_key_allowed(s->key, allowed);
        hf_config_problem(s->b, &s->value->where, s->key->name, "is empty; allowed: %s", allowed);
        return false;
    }
    for (const struct hf_config_value *item = first; item != NULL; item = item->next) {
        set |= (uint32_t)find_word(s->key->words, item->text)->value;
    }
    *(uint32_t *)s->field = set;
    return true;
}

static bool set_blocks(const struct setting *s, struct hf_config *config,
                       const struct hf_config_value *first, size_t count)
{
    struct hf_block *blocks = count == 0 ? NULL : hf_config_keep(s->b, count * sizeof *blocks);
    if (count > 0 && blocks == NULL) {
        return false;
    }
    size_t n = 0;
    for (const struct hf_config_value *item = first; item != NULL; item = item->next) {
        HF_ASSERT(hf_block_parse(item->text, &blocks[n++]));
    }
    config->trusted_proxies = blocks;
    config->trusted_proxy_count = count;
    return true;
}

/* One scalar is a list of one; an empty one is an empty list. */
static bool set_list(const struct setting *s, void *target)
{
    const struct hf_config_value *first = s->value->first;
    size_t count = s->value->count;
    struct hf_config_value single = *s->value;
    if (s->value->kind == HF_VALUE_SCALAR) {
        single.next = NULL;
        first = single.text.len == 0 && single.quoted ? NULL : &single;
        count = first == NULL ? 0 : 1;
    }
    if (s->value->kind == HF_VALUE_MAP) {
        char allowed[256];
        hf_config_key_allowed(s->key, allowed);
        return hf_config_wrong_kind(s->b, s->key->name, s->value, allowed);
    }
    if (!check_items(s, first)) {
        return false;
    }
    if (s->key->type == HF_KEY_TEXTS) {
        return set_texts(s, first, count);
    }
    return s->key->type == HF_KEY_PLACES ? set_places(s, first, count)
                                         : set_blocks(s, target, first, count);
}

/* ---- all --------------------------------------------------------------------------------------
 */

static bool set_scalar(const struct setting *s, void *target)
{
    if (s->value->kind != HF_VALUE_SCALAR || hf_config_value_is_null(s->value)) {
        char allowed[256];
        hf_config_key_allowed(s->key, allowed);
        return hf_config_wrong_kind(s->b, s->key->name, s->value, allowed);
    }
    switch (s->key->type) {
    case HF_KEY_BOOL:
        return set_bool(s);
    case HF_KEY_COUNT:
    case HF_KEY_INT:
        return set_count(s);
    case HF_KEY_DURATION:
        return set_duration(s);
    case HF_KEY_SIZE:
    case HF_KEY_SIZE32:
        return set_size(s);
    case HF_KEY_WORD:
    case HF_KEY_WORD16:
        return set_word(s);
    case HF_KEY_MODE:
        return set_mode(s);
    case HF_KEY_TEXT:
        return set_text(s);
    case HF_KEY_ADDRESS:
        return set_address(s);
    case HF_KEY_BALANCE:
        return set_balance(s, target);
    case HF_KEY_TEXTS:
    case HF_KEY_PLACES:
    case HF_KEY_BLOCKS:
    case HF_KEY_LISTENS:
    case HF_KEY_UPSTREAMS:
    case HF_KEY_JWT_KEYS:
    case HF_KEY_ROUTES:
        break;
    }
    hf_assert_failed("a list is not a scalar", __FILE__, __LINE__);
}

bool hf_config_set(struct hf_config_build *b, const struct hf_config_key *key, void *target,
                   const struct hf_config_value *value)
{
    struct setting s = {
        .b = b, .key = key, .value = value, .field = (uint8_t *)target + key->offset};
    if (value->kind == HF_VALUE_BROKEN) {
        return false;
    }
    switch (key->type) {
    case HF_KEY_LISTENS:
        return hf_config_set_listens(b, key, target, value);
    case HF_KEY_UPSTREAMS:
        return hf_config_set_upstreams(b, key, target, value);
    case HF_KEY_JWT_KEYS:
        return hf_config_set_jwt_keys(b, key, target, value);
    case HF_KEY_TEXTS:
    case HF_KEY_PLACES:
    case HF_KEY_BLOCKS:
        return set_list(&s, target);
    case HF_KEY_BOOL:
    case HF_KEY_COUNT:
    case HF_KEY_INT:
    case HF_KEY_DURATION:
    case HF_KEY_SIZE:
    case HF_KEY_SIZE32:
    case HF_KEY_WORD:
    case HF_KEY_WORD16:
    case HF_KEY_MODE:
    case HF_KEY_TEXT:
    case HF_KEY_ADDRESS:
    case HF_KEY_BALANCE:
    case HF_KEY_ROUTES:
        break;
    }
    return set_scalar(&s, target);
}
