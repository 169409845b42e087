/* SPDX-License-Identifier: Apache-2.0 */
/* Toxics as objects: made, set, scaled and printed by the rows of the table. See toxic.h. */
#include "chaos/toxic.h"

#include "config/build.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char *hf_way_text(enum hf_way way)
{
    return way == HF_WAY_UP ? "upstream" : "downstream";
}

bool hf_way_from(struct hf_slice text, enum hf_way *way)
{
    for (enum hf_way w = HF_WAY_UP; w < HF_WAYS; w++) {
        if (hf_slice_eq_nocase(text, hf_slice_of(hf_way_text(w)))) {
            *way = w;
            return true;
        }
    }
    return false;
}

const char *hf_chaos_action_text(enum hf_chaos_action action)
{
    static const char *const texts[] = {
        [HF_ACTION_FIN] = "fin",       [HF_ACTION_RST] = "rst",     [HF_ACTION_SILENCE] = "silence",
        [HF_ACTION_FORGET] = "forget", [HF_ACTION_CLOSE] = "close", [HF_ACTION_NONE] = "none",
        [HF_ACTION_DELAY] = "delay",   [HF_ACTION_DROP] = "drop"};
    return texts[action];
}

const struct hf_toxic_type *hf_toxic_type_find(struct hf_slice name)
{
    for (size_t i = 0; i < HF_TOXIC_KINDS; i++) {
        if (hf_slice_eq(name, hf_slice_of(hf_toxic_types[i].name))) {
            return &hf_toxic_types[i];
        }
    }
    return NULL;
}

const struct hf_attribute *hf_attribute_find(const struct hf_toxic_type *type, struct hf_slice name)
{
    for (size_t i = 0; i < type->count; i++) {
        if (hf_slice_eq(name, hf_slice_of(type->attributes[i].name))) {
            return &type->attributes[i];
        }
    }
    return NULL;
}

int hf_word_index(const char *words, struct hf_slice word)
{
    struct hf_slice rest = hf_slice_of(words);
    struct hf_slice piece;
    for (int i = 0; hf_slice_next(&rest, ' ', &piece); i++) {
        if (hf_slice_eq(piece, word)) {
            return i;
        }
    }
    return -1;
}

/* The word with this index; empty when there is none. */
static struct hf_slice word_at(const char *words, int64_t index)
{
    struct hf_slice rest = hf_slice_of(words);
    struct hf_slice piece = {NULL, 0};
    while (hf_slice_next(&rest, ' ', &piece)) {
        if (index-- == 0) {
            return piece;
        }
    }
    return hf_slice(NULL, 0);
}

/* ---- fields ----------------------------------------------------------------------------------
 */

static void *field_of(const struct hf_toxic *t, const struct hf_attribute *a)
{
    return (uint8_t *)(uintptr_t)t + a->offset;
}
static int64_t *number_of(const struct hf_toxic *t, const struct hf_attribute *a)
{
    return field_of(t, a);
}
static double *real_of(const struct hf_toxic *t, const struct hf_attribute *a)
{
    return field_of(t, a);
}
static char **text_of(const struct hf_toxic *t, const struct hf_attribute *a)
{
    return field_of(t, a);
}

/* The value lies within the bounds, or has none. */
static void store_number(struct hf_toxic *t, const struct hf_attribute *a, double value)
{
    switch (a->kind) {
    case HF_ATTRIBUTE_MS:
        *number_of(t, a) = (int64_t)llround(value * 1000);
        break;
    case HF_ATTRIBUTE_REAL:
        *real_of(t, a) = value;
        break;
    case HF_ATTRIBUTE_US:
    case HF_ATTRIBUTE_NUMBER:
    case HF_ATTRIBUTE_WORD:
    case HF_ATTRIBUTE_SET:
        *number_of(t, a) = (int64_t)llround(value);
        break;
    case HF_ATTRIBUTE_TEXT:
        break;
    }
}

static bool store_text(struct hf_toxic *t, const struct hf_attribute *a, struct hf_slice text)
{
    char *copy = hf_alloc_text(&hf_heap, text);
    if (copy == NULL) {
        return false;
    }
    hf_release(&hf_heap, *text_of(t, a));
    *text_of(t, a) = copy;
    return true;
}

double hf_toxic_number(const struct hf_toxic *t, const struct hf_attribute *a)
{
    switch (a->kind) {
    case HF_ATTRIBUTE_MS:
        return (double)*number_of(t, a) / 1000;
    case HF_ATTRIBUTE_REAL:
        return *real_of(t, a);
    case HF_ATTRIBUTE_US:
    case HF_ATTRIBUTE_NUMBER:
    case HF_ATTRIBUTE_WORD:
    case HF_ATTRIBUTE_SET:
        return (double)*number_of(t, a);
    case HF_ATTRIBUTE_TEXT:
        break;
    }
    return 0;
}

/* ---- objects ---------------------------------------------------------------------------------
 */

enum hf_status hf_toxic_rename(struct hf_toxic *t, struct hf_slice name)
{
    char *copy = hf_alloc_text(&hf_heap, name);
    if (copy == NULL) {
        return HF_NO_MEMORY;
    }
    hf_release(&hf_heap, t->name);
    t->name = copy;
    return HF_OK;
}

struct hf_toxic *hf_toxic_new(const struct hf_toxic_type *type)
{
    char name[HF_TOXIC_NAME_MAX];
    struct hf_toxic *t = hf_alloc_zero(&hf_heap, sizeof(*t));
    if (t == NULL) {
        return NULL;
    }
    hf_list_init(&t->node);
    t->kind = (enum hf_toxic_kind)(type - hf_toxic_types);
    t->way = type->way;
    t->toxicity = 1;
    bool whole = true;
    for (size_t i = 0; i < type->count; i++) {
        const struct hf_attribute *a = &type->attributes[i];
        if (a->kind == HF_ATTRIBUTE_TEXT) {
            whole = store_text(t, a, hf_slice_of(a->words)) && whole;
        } else {
            store_number(t, a, a->fallback);
        }
    }
    if (t->kind == HF_TOXIC_CLOSE_FRAME) {
        t->ending.action = HF_ACTION_CLOSE;
    }
    (void)snprintf(name, sizeof(name), "%s_%s", type->name, hf_way_text(t->way));
    if (!whole || hf_toxic_rename(t, hf_slice_of(name)) != HF_OK) {
        hf_toxic_free(t);
        return NULL;
    }
    return t;
}

struct hf_toxic *hf_toxic_copy(const struct hf_toxic *from)
{
    const struct hf_toxic_type *type = hf_toxic_type(from);
    struct hf_toxic *t = hf_toxic_new(type);
    bool whole = t != NULL && hf_toxic_rename(t, hf_slice_of(from->name)) == HF_OK;
    for (size_t i = 0; i < type->count && whole; i++) {
        const struct hf_attribute *a = &type->attributes[i];
        if (a->kind == HF_ATTRIBUTE_TEXT) {
            whole = store_text(t, a, hf_slice_of(*text_of(from, a)));
        } else if (a->kind == HF_ATTRIBUTE_REAL) {
            *real_of(t, a) = *real_of(from, a);
        } else {
            *number_of(t, a) = *number_of(from, a);
        }
    }
    if (!whole) {
        hf_toxic_free(t);
        return NULL;
    }
    t->way = from->way;
    t->toxicity = from->toxicity;
    return t;
}

void hf_toxic_free(struct hf_toxic *t)
{
    if (t == NULL) {
        return;
    }
    const struct hf_toxic_type *type = hf_toxic_type(t);
    for (size_t i = 0; i < type->count; i++) {
        if (type->attributes[i].kind == HF_ATTRIBUTE_TEXT) {
            hf_release(&hf_heap, *text_of(t, &type->attributes[i]));
        }
    }
    hf_release(&hf_heap, t->name);
    hf_release(&hf_heap, t);
}

/* ---- setting ---------------------------------------------------------------------------------
 */

static enum hf_status refuse(const struct hf_attribute *a, char why[256])
{
    switch (a->kind) {
    case HF_ATTRIBUTE_MS:
    case HF_ATTRIBUTE_US:
        (void)snprintf(why, 256, "%s must be a number of %s, 0 or more", a->name,
                       a->kind == HF_ATTRIBUTE_MS ? "milliseconds" : "microseconds");
        break;
    case HF_ATTRIBUTE_NUMBER:
        (void)snprintf(why, 256, "%s must be a whole number from %.0f to %.0f", a->name, a->least,
                       a->most);
        break;
    case HF_ATTRIBUTE_REAL:
        (void)snprintf(why, 256, "%s must be a number from %g to %g", a->name, a->least, a->most);
        break;
    case HF_ATTRIBUTE_WORD:
        (void)snprintf(why, 256, "%s must be one of: %s", a->name, a->words);
        break;
    case HF_ATTRIBUTE_SET:
        (void)snprintf(why, 256, "%s must be one or several of: %s", a->name, a->words);
        break;
    case HF_ATTRIBUTE_TEXT:
        (void)snprintf(why, 256, "%s must be a text of at most %d bytes", a->name,
                       HF_ATTRIBUTE_TEXT_MAX);
        break;
    }
    return HF_INVALID;
}

enum hf_status hf_toxic_set_number(struct hf_toxic *t, const struct hf_attribute *a, double value,
                                   char why[256])
{
    bool whole = a->kind == HF_ATTRIBUTE_NUMBER;
    bool number = whole || a->kind == HF_ATTRIBUTE_MS || a->kind == HF_ATTRIBUTE_US ||
                  a->kind == HF_ATTRIBUTE_REAL;
    if (!number || !(value >= a->least && value <= a->most) || (whole && value != floor(value))) {
        return refuse(a, why);
    }
    store_number(t, a, value);
    return HF_OK;
}

/* "60000", "1.5"; also "60s" and "1.5m" for times. What is not finite lies beyond every bound. */
static bool read_number(const struct hf_attribute *a, struct hf_slice text, double *value)
{
    char copy[64];
    char *end = NULL;
    hf_time time = 0;
    if (text.len == 0 || text.len >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *value = strtod(copy, &end);
    if (*end == '\0' && strpbrk(copy, "xXpP") == NULL) {
        return true;
    }
    if (a->kind != HF_ATTRIBUTE_MS && a->kind != HF_ATTRIBUTE_US) {
        return false;
    }
    bool good = hf_duration_parse(text, &time);
    *value = (double)time / (a->kind == HF_ATTRIBUTE_MS ? 1000 : 1);
    return good;
}

static bool read_set(const struct hf_attribute *a, struct hf_slice text, double *value)
{
    struct hf_slice piece;
    unsigned bits = 0;
    while (hf_slice_next(&text, ',', &piece)) {
        int index = hf_word_index(a->words, hf_slice_trim(piece));
        if (index < 0) {
            return false;
        }
        bits |= 1U << index;
    }
    *value = bits;
    return bits != 0;
}

enum hf_status hf_toxic_set_text(struct hf_toxic *t, const struct hf_attribute *a,
                                 struct hf_slice text, char why[256])
{
    double value = 0;
    switch (a->kind) {
    case HF_ATTRIBUTE_TEXT:
        if (text.len > HF_ATTRIBUTE_TEXT_MAX || hf_slice_find(text, '\0') < text.len) {
            return refuse(a, why);
        }
        return store_text(t, a, text) ? HF_OK : HF_NO_MEMORY;
    case HF_ATTRIBUTE_WORD:
        value = hf_word_index(a->words, text);
        if (value < 0) {
            return refuse(a, why);
        }
        break;
    case HF_ATTRIBUTE_SET:
        if (!read_set(a, text, &value)) {
            return refuse(a, why);
        }
        break;
    case HF_ATTRIBUTE_MS:
    case HF_ATTRIBUTE_US:
    case HF_ATTRIBUTE_NUMBER:
    case HF_ATTRIBUTE_REAL:
        return read_number(a, text, &value) ? hf_toxic_set_number(t, a, value, why)
                                            : refuse(a, why);
    }
    store_number(t, a, value);
    return HF_OK;
}

const char *hf_toxic_fault(const struct hf_toxic *t)
{
    if (t->kind == HF_TOXIC_SLICER && t->u.slicer.average_size > 0 &&
        t->u.slicer.size_variation >= t->u.slicer.average_size) {
        return "size_variation must be smaller than average_size";
    }
    if (t->kind == HF_TOXIC_WATCHDOG &&
        (t->u.watchdog.interval == 0 || t->u.watchdog.timeout == 0)) {
        return "interval and timeout must not be 0";
    }
    if (t->kind == HF_TOXIC_RESTART && t->u.restart.period == 0) {
        return "period must not be 0";
    }
    if (t->kind == HF_TOXIC_BLOCKED && t->u.blocked.period > 0 &&
        (t->u.blocked.length == 0 || t->u.blocked.length >= t->u.blocked.period)) {
        return "for must be shorter than period, and not 0";
    }
    if (t->kind == HF_TOXIC_MAX_MESSAGE && t->ending.action == HF_ACTION_DELAY) {
        return "action delay is for rate_limit";
    }
    if (t->kind == HF_TOXIC_REFUSE && t->u.refuse.status > 0 && t->u.refuse.status < 200) {
        return "status must be 0, or from 200 to 599";
    }
    return NULL;
}

void hf_toxic_scale(struct hf_toxic *t, double factor)
{
    const struct hf_toxic_type *type = hf_toxic_type(t);
    for (size_t i = 0; i < type->count; i++) {
        const struct hf_attribute *a = &type->attributes[i];
        int64_t *value = number_of(t, a);
        if ((a->kind == HF_ATTRIBUTE_MS || a->kind == HF_ATTRIBUTE_US) && *value > 0) {
            double scaled = (double)*value * factor;
            /* What is not 0 does not become 0, which means "never" in many places. */
            *value = scaled < 1 ? 1 : scaled > 3e17 ? (int64_t)3e17 : (int64_t)llround(scaled);
        }
    }
}

/* ---- printing --------------------------------------------------------------------------------
 */

void hf_chaos_add_number(struct hf_buffer *out, double value)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value && strchr(text, 'e') == NULL) {
            (void)hf_buffer_add_text(out, text);
            return;
        }
    }
    (void)hf_buffer_addf(out, "%.0f", value);
}

static void add_set(struct hf_buffer *out, const struct hf_attribute *a, int64_t bits)
{
    bool first = true;
    for (int64_t i = 0; i < 16; i++) {
        if ((bits >> i & 1) != 0) {
            (void)hf_buffer_addf(out, "%s%.*s", first ? "" : ",",
                                 HF_SLICE_ARG(word_at(a->words, i)));
            first = false;
        }
    }
}

void hf_toxic_value(const struct hf_toxic *t, const struct hf_attribute *a, struct hf_buffer *out)
{
    if (a->kind == HF_ATTRIBUTE_TEXT) {
        (void)hf_buffer_add_text(out, *text_of(t, a));
    } else if (a->kind == HF_ATTRIBUTE_WORD) {
        (void)hf_buffer_add(out, word_at(a->words, *number_of(t, a)));
    } else if (a->kind == HF_ATTRIBUTE_SET) {
        add_set(out, a, *number_of(t, a));
    } else {
        hf_chaos_add_number(out, hf_toxic_number(t, a));
    }
}

static bool is_worded(const struct hf_attribute *a)
{
    return a->kind == HF_ATTRIBUTE_WORD || a->kind == HF_ATTRIBUTE_SET;
}

void hf_toxic_json(const struct hf_toxic *t, struct hf_buffer *out)
{
    const struct hf_toxic_type *type = hf_toxic_type(t);
    (void)hf_buffer_add_text(out, "{\"attributes\":{");
    for (size_t i = 0; i < type->count; i++) {
        const struct hf_attribute *a = &type->attributes[i];
        const char *quote = is_worded(a) || a->kind == HF_ATTRIBUTE_TEXT ? "\"" : "";
        (void)hf_buffer_addf(out, "%s\"%s\":%s", i > 0 ? "," : "", a->name, quote);
        if (a->kind == HF_ATTRIBUTE_TEXT) {
            (void)hf_buffer_add_json(out, hf_slice_of(*text_of(t, a)));
        } else {
            hf_toxic_value(t, a, out);
        }
        (void)hf_buffer_add_text(out, quote);
    }
    (void)hf_buffer_add_text(out, "},\"name\":\"");
    (void)hf_buffer_add_json(out, hf_slice_of(t->name));
    (void)hf_buffer_addf(out, "\",\"type\":\"%s\",\"stream\":\"%s\",\"toxicity\":", type->name,
                         hf_way_text(t->way));
    hf_chaos_add_number(out, t->toxicity);
    (void)hf_buffer_add_byte(out, '}');
}

static bool is_default(const struct hf_toxic *t, const struct hf_attribute *a)
{
    return a->kind == HF_ATTRIBUTE_TEXT ? strcmp(*text_of(t, a), a->words) == 0
                                        : hf_toxic_number(t, a) == a->fallback;
}

void hf_toxic_yaml(const struct hf_toxic *t, struct hf_buffer *out)
{
    const struct hf_toxic_type *type = hf_toxic_type(t);
    char usual[HF_TOXIC_NAME_MAX];
    (void)snprintf(usual, sizeof(usual), "%s_%s", type->name, hf_way_text(t->way));
    (void)hf_buffer_addf(out, "  - type: %s\n", type->name);
    if (strcmp(t->name, usual) != 0) {
        (void)hf_buffer_add_text(out, "    name: ");
        hf_config_add_quoted(out, hf_slice_of(t->name));
        (void)hf_buffer_add_byte(out, '\n');
    }
    if (t->way != type->way) {
        (void)hf_buffer_addf(out, "    stream: %s\n", hf_way_text(t->way));
    }
    if (t->toxicity != 1) {
        (void)hf_buffer_add_text(out, "    toxicity: ");
        hf_chaos_add_number(out, t->toxicity);
        (void)hf_buffer_add_byte(out, '\n');
    }
    for (size_t i = 0; i < type->count; i++) {
        const struct hf_attribute *a = &type->attributes[i];
        if (is_default(t, a)) {
            continue;
        }
        (void)hf_buffer_addf(out, "    %s: ", a->name);
        if (a->kind == HF_ATTRIBUTE_TEXT) {
            hf_config_add_quoted(out, hf_slice_of(*text_of(t, a)));
        } else {
            hf_toxic_value(t, a, out);
        }
        (void)hf_buffer_add_byte(out, '\n');
    }
}
