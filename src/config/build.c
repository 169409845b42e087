/* SPDX-License-Identifier: Apache-2.0 */
/* The ground of the config_*.c files: memory, values, error lines, quoting. */
#include "config/build.h"

#include <stdio.h>

struct hf_config_block {
    struct hf_config_block *next;
    _Alignas(max_align_t) uint8_t bytes[];
};

void hf_config_arena_fini(struct hf_config_arena *arena)
{
    while (arena->blocks != NULL) {
        struct hf_config_block *block = arena->blocks;
        arena->blocks = block->next;
        hf_release(arena->alloc, block);
    }
}

void *hf_config_arena_take(struct hf_config_arena *arena, size_t size)
{
    struct hf_config_block *block = hf_alloc_zero(arena->alloc, sizeof *block + size);
    if (block == NULL) {
        return NULL;
    }
    block->next = arena->blocks;
    arena->blocks = block;
    return block->bytes;
}

static void *take(struct hf_config_build *b, struct hf_config_arena *arena, size_t size)
{
    void *memory = hf_config_arena_take(arena, size);
    b->no_memory = b->no_memory || memory == NULL;
    return memory;
}

void *hf_config_keep(struct hf_config_build *b, size_t size)
{
    return take(b, b->keep, size);
}
void *hf_config_scratch(struct hf_config_build *b, size_t size)
{
    return take(b, &b->scratch, size);
}

static char *copy_text(char *to, struct hf_slice text)
{
    if (to != NULL && text.len > 0) {
        memcpy(to, text.ptr, text.len);
    }
    return to;
}

char *hf_config_keep_text(struct hf_config_build *b, struct hf_slice text)
{
    return copy_text(hf_config_keep(b, text.len + 1), text);
}

struct hf_config_value *hf_config_value_new(struct hf_config_build *b, enum hf_config_kind kind,
                                            struct hf_config_where where)
{
    struct hf_config_value *value = hf_config_scratch(b, sizeof *value);
    if (value != NULL) {
        value->kind = kind;
        value->where = where;
    }
    return value;
}

struct hf_config_value *hf_config_scalar_new(struct hf_config_build *b, struct hf_slice text,
                                             struct hf_config_where where)
{
    struct hf_config_value *value = hf_config_value_new(b, HF_VALUE_SCALAR, where);
    char *copy = copy_text(hf_config_scratch(b, text.len + 1), text);
    if (value == NULL || copy == NULL) {
        return NULL;
    }
    value->text = hf_slice(copy, text.len);
    return value;
}

void hf_config_value_append(struct hf_config_value *parent, struct hf_config_value *child)
{
    if (parent->last == NULL) {
        parent->first = child;
    } else {
        parent->last->next = child;
    }
    parent->last = child;
    parent->count++;
}

void hf_config_value_split(struct hf_config_build *b, struct hf_config_value *list,
                           struct hf_slice text)
{
    struct hf_slice piece;
    while (hf_slice_next(&text, ',', &piece)) {
        struct hf_config_value *item = hf_config_scalar_new(b, hf_slice_trim(piece), list->where);
        if (item == NULL) {
            return;
        }
        item->quoted = true; /* a word of the shell: never null */
        hf_config_value_append(list, item);
    }
}

bool hf_config_value_is_null(const struct hf_config_value *value)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < sizeof nulls / sizeof nulls[0]; i++) {
        if (value->kind == HF_VALUE_SCALAR && !value->quoted &&
            hf_slice_eq(value->text, hf_slice_of(nulls[i]))) {
            return true;
        }
    }
    return false;
}

/* ---- UTF-8 and quoting ------------------------------------------------------------------------
 */

size_t hf_config_code_point(struct hf_slice text, uint32_t *point)
{
    static const struct {
        uint8_t mask, lead;
        uint32_t min;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

    for (size_t len = 1; len <= 4 && len <= text.len; len++) {
        if ((text.ptr[0] & forms[len - 1].mask) != forms[len - 1].lead) {
            continue;
        }
        *point = text.ptr[0] & (uint8_t)~forms[len - 1].mask;
        for (size_t i = 1; i < len; i++) {
            if ((text.ptr[i] & 0xc0) != 0x80) {
                return 0;
            }
            *point = *point << 6 | (text.ptr[i] & 0x3f);
        }
        bool surrogate = *point >= 0xd800 && *point <= 0xdfff;
        return *point >= forms[len - 1].min && *point <= 0x10ffff && !surrogate ? len : 0;
    }
    return 0;
}

bool hf_config_is_utf8(struct hf_slice text)
{
    uint32_t point;
    while (text.len > 0) {
        size_t len = hf_config_code_point(text, &point);
        if (len == 0) {
            return false;
        }
        text = hf_slice_from(text, len);
    }
    return true;
}

/* YAML 1.1 5.1: what is not printable, or is a line break, is escaped. */
static void add_point(struct hf_buffer *out, uint32_t point, struct hf_slice raw)
{
    if (point == '"' || point == '\\') {
        (void)hf_buffer_addf(out, "\\%c", (char)point);
    } else if (point == '\n') {
        (void)hf_buffer_add_text(out, "\\n");
    } else if (point < 0x20 || (point >= 0x7f && point <= 0xa0)) {
        (void)hf_buffer_addf(out, "\\x%02X", point);
    } else if (point == 0x2028 || point == 0x2029 || point == 0xfeff || point == 0xfffe ||
               point == 0xffff) {
        (void)hf_buffer_addf(out, "\\u%04X", point);
    } else {
        (void)hf_buffer_add(out, raw);
    }
}

static void add_escaped(struct hf_buffer *out, struct hf_slice text)
{
    while (text.len > 0) {
        uint32_t point = 0;
        size_t len = hf_config_code_point(text, &point);
        if (len == 0) { /* not UTF-8: only in what an error shows */
            (void)hf_buffer_addf(out, "\\x%02X", text.ptr[0]);
            len = 1;
        } else {
            add_point(out, point, hf_slice_first(text, len));
        }
        text = hf_slice_from(text, len);
    }
}

void hf_config_add_quoted(struct hf_buffer *out, struct hf_slice text)
{
    (void)hf_buffer_add_byte(out, '"');
    add_escaped(out, text);
    (void)hf_buffer_add_byte(out, '"');
}

/* Adds three stars in place of the user and password of a URL, and takes that part off text. */
static struct hf_slice add_user_info_hidden(struct hf_buffer *out, struct hf_slice text)
{
    size_t start = hf_slice_search(text, HF_LITERAL("://"));
    size_t at = hf_slice_find(text, '@');
    if (start + 3 > at || at >= text.len) {
        return text;
    }
    add_escaped(out, hf_slice_first(text, start + 3));
    (void)hf_buffer_add_text(out, "***");
    return hf_slice_from(text, at);
}

const char *hf_config_shown(struct hf_config_build *b, struct hf_slice text)
{
    const char *shown = "a value";
    struct hf_buffer out;
    hf_buffer_init(&out, b->scratch.alloc, 4096);
    (void)hf_buffer_add_byte(&out, '"');
    text = add_user_info_hidden(&out, text);
    add_escaped(&out, hf_slice_first(text, 64));
    (void)hf_buffer_add_text(&out, text.len > 64 ? "...\"" : "\"");
    if (!out.failed) {
        char *copy = hf_config_scratch(b, out.len + 1);
        shown = copy == NULL ? shown : copy_text(copy, hf_buffer_slice(&out));
    } else {
        b->no_memory = true;
    }
    hf_buffer_reset(&out);
    return shown;
}

/* ---- errors -----------------------------------------------------------------------------------
 */

static void add_where(struct hf_buffer *line, const struct hf_config_where *where, const char *key)
{
    (void)hf_buffer_add_text(line, where->label);
    if (where->line > 0) {
        (void)hf_buffer_addf(line, ":%u:%u", where->line, where->column);
    }
    (void)hf_buffer_add_text(line, ": ");
    if (key != NULL && where->rank == HF_RANK_FILE) {
        (void)hf_buffer_addf(line, "%s: ", key);
    }
}

/* Whole lines are compared. */
static bool is_known(const struct hf_buffer *errors, struct hf_slice line)
{
    struct hf_slice rest = hf_buffer_slice(errors);
    struct hf_slice old;
    struct hf_slice wanted = hf_slice_first(line, line.len - 1);
    while (hf_slice_next(&rest, '\n', &old)) {
        if (hf_slice_eq(old, wanted)) {
            return true;
        }
    }
    return false;
}

static void add_line(struct hf_config_build *b, struct hf_slice line)
{
    if (is_known(b->errors, line)) {
        return;
    }
    b->problems++;
    if (b->problems <= HF_CONFIG_PROBLEMS_MAX) {
        (void)hf_buffer_add(b->errors, line);
    } else if (b->problems == HF_CONFIG_PROBLEMS_MAX + 1) {
        (void)hf_buffer_add_text(b->errors, "there are more errors; these come first\n");
    }
}

void hf_config_problem(struct hf_config_build *b, const struct hf_config_where *where,
                       const char *key, const char *format, ...)
{
    struct hf_buffer line;
    if (b->no_memory) {
        return; /* what is missing now may be missing for want of memory */
    }
    hf_buffer_init(&line, b->scratch.alloc, 16384);
    add_where(&line, where, key);
    va_list args;
    va_start(args, format);
    (void)hf_buffer_addv(&line, format, args);
    va_end(args);
    (void)hf_buffer_add_byte(&line, '\n');
    if (line.failed) {
        b->no_memory = true;
        b->problems++;
    } else {
        add_line(b, hf_buffer_slice(&line));
    }
    hf_buffer_reset(&line);
}

bool hf_config_wrong_kind(struct hf_config_build *b, const char *key,
                          const struct hf_config_value *value, const char *wanted)
{
    static const char *const kinds[] = {
        [HF_VALUE_SCALAR] = "a single value", [HF_VALUE_LIST] = "a list", [HF_VALUE_MAP] = "a map"};
    if (value->kind == HF_VALUE_BROKEN) {
        return false;
    }
    if (hf_config_value_is_null(value)) {
        hf_config_problem(b, &value->where, key, "has no value; allowed: %s", wanted);
    } else {
        hf_config_problem(b, &value->where, key, "is %s; allowed: %s", kinds[value->kind], wanted);
    }
    return false;
}
