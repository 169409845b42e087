/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a lint: memory, files, findings, suppression, and what a path looks like. */
#include "lint/tree.h"

#include <stdarg.h>
#include <stdio.h>

struct lint_chunk {
    struct lint_chunk *next;
    size_t size;
    _Alignas(16) uint8_t bytes[];
};

static const struct hf_lint_rule_facts rules[HF_LINT_RULE_COUNT] = {
#define FACTS(name, id, server, severity, title, why, fix)                                         \
    [HF_LINT_##name] = {id, server, HF_LINT_##severity, title, why, fix},
    HF_LINT_RULES_TABLE(FACTS)
#undef FACTS
};
_Static_assert(HF_LINT_RULE_COUNT <= 64, "a node's set of ignored rules is 64 bits");

const struct hf_lint_rule_facts *hf_lint_rule_facts(enum hf_lint_rule rule)
{
    HF_ASSERT((unsigned)rule < HF_LINT_RULE_COUNT);
    return &rules[rule];
}

enum hf_lint_rule hf_lint_rule_find(struct hf_slice id)
{
    for (unsigned i = 0; i < HF_LINT_RULE_COUNT; i++) {
        if (hf_slice_eq(id, hf_slice_of(rules[i].id))) {
            return (enum hf_lint_rule)i;
        }
    }
    return HF_LINT_RULE_COUNT;
}

const char *hf_lint_severity_text(enum hf_lint_severity severity)
{
    static const char *const texts[] = {"error", "warning", "note"};
    HF_ASSERT((unsigned)severity < 3);
    return texts[severity];
}

static const char *const kinds[HF_LINT_KINDS] = {"auto", "nginx", "haproxy", "caddy"};

const char *hf_lint_kind_text(enum hf_lint_kind kind)
{
    HF_ASSERT((unsigned)kind < HF_LINT_KINDS);
    return kinds[kind];
}

enum hf_lint_kind hf_lint_kind_from(struct hf_slice text)
{
    for (unsigned i = 0; i < HF_LINT_KINDS; i++) {
        if (hf_slice_eq(text, hf_slice_of(kinds[i]))) {
            return (enum hf_lint_kind)i;
        }
    }
    return HF_LINT_KINDS;
}

/* ---- memory ---- */

void *lint_alloc(struct hf_lint *l, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (l->chunks == NULL || l->chunks->size - l->used < size) {
        const size_t room = size > LINT_CHUNK ? size : LINT_CHUNK;
        struct lint_chunk *chunk =
            room > HF_LINT_MEMORY - l->memory ? NULL : hf_alloc(l->alloc, sizeof(*chunk) + room);
        if (chunk == NULL) {
            l->failed = true;
            return NULL;
        }
        chunk->next = l->chunks;
        chunk->size = room;
        l->chunks = chunk;
        l->used = 0;
        l->memory += room;
    }
    void *memory = l->chunks->bytes + l->used;
    l->used += size;
    memset(memory, 0, size);
    return memory;
}

static const char *text_of(struct hf_lint *l, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    const int len = vsnprintf(NULL, 0, format, args);
    char *text = len < 0 ? NULL : lint_alloc(l, (size_t)len + 1);
    if (text != NULL) {
        (void)vsnprintf(text, (size_t)len + 1, format, again);
    }
    va_end(again);
    return text == NULL ? "" : text;
}

const char *lint_text(struct hf_lint *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const char *text = text_of(l, format, args);
    va_end(args);
    return text;
}

struct hf_lint *hf_lint_new(const struct hf_allocator *alloc, const struct hf_lint_loader *loader,
                            const struct hf_lint_options *options)
{
    struct hf_lint *l = hf_alloc_zero(alloc, sizeof(*l));
    if (l != NULL) {
        l->alloc = alloc;
        l->loader = *loader;
        l->options = *options;
    }
    return l;
}

void hf_lint_free(struct hf_lint *l)
{
    if (l == NULL) {
        return;
    }
    const struct hf_allocator *alloc = l->alloc;
    while (l->chunks != NULL) {
        struct lint_chunk *next = l->chunks->next;
        hf_release(alloc, l->chunks);
        l->chunks = next;
    }
    hf_release(alloc, l->findings);
    hf_release(alloc, l);
}

/* ---- files ---- */

bool lint_read(struct hf_lint *l, const char *path, struct hf_slice *text, const char **why)
{
    if (l->files >= HF_LINT_FILES) {
        *why = "too many files are included (a file that includes itself?)";
        return false;
    }
    if (!l->loader.read(l->loader.context, path, text, why)) {
        return false;
    }
    l->files++;
    l->bytes += text->len;
    if (l->bytes > HF_LINT_BYTES) {
        *why = "the files are larger than 64 MiB together";
        return false;
    }
    if (memchr(text->ptr == NULL ? (const uint8_t *)"" : text->ptr, 0, text->len) != NULL) {
        *why = "it holds a NUL byte, so it is not a configuration";
        return false;
    }
    return true;
}

static bool has_line_that_starts(struct hf_slice text, const char *word)
{
    struct hf_slice rest = text, line;
    while (hf_slice_next(&rest, '\n', &line)) {
        const struct hf_slice w = hf_slice_of(word);
        if (hf_slice_starts(line, w) && (line.len == w.len || line.ptr[w.len] == ' ' ||
                                         line.ptr[w.len] == '\t' || line.ptr[w.len] == '\r')) {
            return true;
        }
    }
    return false;
}

enum hf_lint_kind hf_lint_guess(struct hf_slice path, struct hf_slice text)
{
    if (lint_contains_nocase(path, "caddyfile")) {
        return HF_LINT_CADDY;
    }
    if (lint_contains_nocase(path, "haproxy")) {
        return HF_LINT_HAPROXY;
    }
    if (lint_contains_nocase(path, "nginx")) {
        return HF_LINT_NGINX;
    }
    static const char *const sections[] = {"global", "defaults", "frontend", "backend", "listen"};
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        if (has_line_that_starts(text, sections[i])) {
            return HF_LINT_HAPROXY;
        }
    }
    const struct hf_slice proxy = HF_LITERAL("reverse_proxy");
    return hf_slice_search(text, proxy) < text.len ? HF_LINT_CADDY : HF_LINT_NGINX;
}

enum hf_status hf_lint_file(struct hf_lint *l, const char *path)
{
    struct hf_slice text = {NULL, 0};
    const char *why = "";
    const struct lint_source source = {.path = lint_text(l, "%s", path)};
    if (!lint_read(l, source.path, &text, &why)) {
        lint_unreadable(l, &source, 1, 1, "%s cannot be read: %s", path, why);
        return l->failed ? HF_NO_MEMORY : HF_OK;
    }
    enum hf_lint_kind kind = l->options.kind;
    if (kind == HF_LINT_AUTO) {
        kind = hf_lint_guess(hf_slice_of(path), text);
    }
    if (kind == HF_LINT_HAPROXY) {
        lint_haproxy(l, source.path, text);
    } else if (kind == HF_LINT_CADDY) {
        lint_caddy(l, source.path, text);
    } else {
        lint_nginx(l, source.path, text);
    }
    return l->failed ? HF_NO_MEMORY : HF_OK;
}

/* ---- the tree ---- */

struct lint_node *lint_node_add(struct hf_lint *l, struct lint_node *parent,
                                const struct lint_source *source, uint32_t line, uint32_t column,
                                const struct hf_slice *words, size_t count)
{
    struct lint_node *n = lint_alloc(l, sizeof(*n));
    struct hf_slice *copy = lint_alloc(l, count * sizeof(*copy) + 1);
    if (n == NULL || copy == NULL) {
        return NULL;
    }
    if (count > 0) {
        memcpy(copy, words, count * sizeof(*copy));
    }
    *n = (struct lint_node){.parent = parent, .source = source, .line = line, .column = column};
    n->words = copy;
    n->count = count;
    if (parent != NULL) {
        if (parent->last == NULL) {
            parent->first = n;
        } else {
            parent->last->next = n;
        }
        parent->last = n;
    }
    return n;
}

bool lint_node_is(const struct lint_node *n, const char *name)
{
    return n->count > 0 && hf_slice_eq(n->words[0], hf_slice_of(name));
}

struct hf_slice lint_node_word(const struct lint_node *n, size_t index)
{
    return index < n->count ? n->words[index] : (struct hf_slice){NULL, 0};
}

struct lint_node *lint_node_walk(struct lint_node *top, struct lint_node *n)
{
    if (n->first != NULL) {
        return n->first;
    }
    while (n != top) {
        if (n->next != NULL) {
            return n->next;
        }
        n = n->parent;
    }
    return NULL;
}

struct lint_node *lint_node_child(const struct lint_node *n, const char *name,
                                  const struct lint_node *after)
{
    for (struct lint_node *c = after == NULL ? n->first : after->next; c != NULL; c = c->next) {
        if (lint_node_is(c, name)) {
            return c;
        }
    }
    return NULL;
}

/* ---- findings ---- */

size_t hf_lint_count(const struct hf_lint *l)
{
    return l->finding_count;
}

bool hf_lint_is_full(const struct hf_lint *l)
{
    return l->finding_count == HF_LINT_FINDINGS;
}

const struct hf_lint_finding *hf_lint_at(const struct hf_lint *l, size_t index)
{
    HF_ASSERT(index < l->finding_count);
    return &l->findings[index];
}

size_t hf_lint_suppressed(const struct hf_lint *l)
{
    return l->suppressed;
}

size_t hf_lint_files(const struct hf_lint *l)
{
    return l->files;
}

size_t hf_lint_websocket_places(const struct hf_lint *l)
{
    return l->places;
}

/* From the line that was asked for before, when it stands above: findings come in order. */
static struct hf_slice line_of(struct hf_lint *l, struct hf_slice text, uint32_t line)
{
    if (l->line_text != text.ptr || l->line > line) {
        l->line_text = text.ptr;
        l->line = 0;
        l->line_rest = text;
        l->line_piece = (struct hf_slice){NULL, 0};
    }
    while (l->line < line) {
        if (!hf_slice_next(&l->line_rest, '\n', &l->line_piece)) {
            l->line_text = NULL;
            return (struct hf_slice){NULL, 0};
        }
        l->line++;
    }
    const struct hf_slice piece = l->line_piece;
    return piece.len > 0 && piece.ptr[piece.len - 1] == '\r' ? hf_slice_first(piece, piece.len - 1)
                                                             : piece;
}

static bool is_before(const struct hf_lint_finding *a, const struct hf_lint_finding *b)
{
    if (a->file != b->file) {
        return false; /* files stay in the order in which they were found */
    }
    return a->line < b->line || (a->line == b->line && a->column < b->column);
}

static bool is_same(const struct hf_lint_finding *a, const struct hf_lint_finding *b)
{
    return a->rule == b->rule && a->line == b->line && a->column == b->column &&
           strcmp(a->file, b->file) == 0;
}

static void keep(struct hf_lint *l, const struct hf_lint_finding *f)
{
    for (size_t i = 0; i < l->finding_count; i++) {
        if (is_same(&l->findings[i], f)) {
            return;
        }
    }
    if (hf_lint_is_full(l)) {
        return;
    }
    if (l->finding_count == l->finding_cap) {
        const size_t cap = l->finding_cap == 0 ? 32 : 2 * l->finding_cap;
        void *more = l->alloc->resize(l->alloc->context, l->findings, cap * sizeof(*l->findings));
        if (more == NULL) {
            l->failed = true;
            return;
        }
        l->findings = more;
        l->finding_cap = cap;
    }
    size_t at = l->finding_count++;
    while (at > 0 && is_before(f, &l->findings[at - 1])) {
        l->findings[at] = l->findings[at - 1];
        at--;
    }
    l->findings[at] = *f;
}

void lint_find(struct hf_lint *l, enum hf_lint_rule rule, const struct lint_node *at,
               const char *where, const char *fix, const char *format, ...)
{
    for (const struct lint_node *n = at; n != NULL; n = n->parent) {
        if ((n->ignored >> rule & 1) != 0) {
            l->suppressed++;
            return;
        }
    }
    if (hf_lint_is_full(l)) {
        return;
    }
    va_list args;
    va_start(args, format);
    const struct hf_lint_finding f = {
        .rule = rule,
        .file = at->source->path,
        .line = at->line,
        .column = at->column,
        .where = where,
        .what = text_of(l, format, args),
        .fix = fix == NULL ? rules[rule].fix : fix,
        .text = line_of(l, at->source->text, at->line),
    };
    va_end(args);
    keep(l, &f);
}

void lint_unreadable(struct hf_lint *l, const struct lint_source *source, uint32_t line,
                     uint32_t column, const char *format, ...)
{
    if (hf_lint_is_full(l)) {
        return;
    }
    va_list args;
    va_start(args, format);
    const struct hf_lint_finding f = {
        .rule = HF_LINT_UNREADABLE,
        .file = source->path,
        .line = line,
        .column = column,
        .where = "",
        .what = text_of(l, format, args),
        .fix = rules[HF_LINT_UNREADABLE].fix,
        .text = line_of(l, source->text, line),
    };
    va_end(args);
    keep(l, &f);
}

uint64_t lint_ignored_by(struct hf_lint *l, struct hf_slice comment,
                         const struct lint_source *source, uint32_t line)
{
    const struct hf_slice mark = HF_LITERAL("holdfast-lint:");
    const size_t at = hf_slice_search(comment, mark);
    uint64_t set = 0;
    if (at == comment.len) {
        return 0;
    }
    struct hf_slice rest = hf_slice_trim(hf_slice_from(comment, at + mark.len));
    if (!hf_slice_starts(rest, HF_LITERAL("ignore"))) {
        lint_unreadable(l, source, line, 1, "a holdfast-lint comment says `ignore RULE...`");
        return 0;
    }
    rest = hf_slice_from(rest, 6);
    for (size_t i = 0; i < rest.len;) {
        size_t end = i;
        while (end < rest.len && strchr(" \t,\r", rest.ptr[end]) == NULL) {
            end++;
        }
        const struct hf_slice name = hf_slice(rest.ptr + i, end - i);
        if (name.len > 0) {
            const enum hf_lint_rule rule = hf_lint_rule_find(name);
            if (rule == HF_LINT_RULE_COUNT) {
                lint_unreadable(l, source, line, 1, "there is no rule %.*s to ignore",
                                HF_SLICE_ARG(name));
            } else {
                set |= (uint64_t)1 << rule;
            }
        }
        i = end + 1;
    }
    return set;
}

int lint_peek(const struct lint_cursor *c)
{
    return c->at < c->source->text.len ? c->source->text.ptr[c->at] : -1;
}

void lint_step(struct lint_cursor *c)
{
    if (lint_peek(c) == '\n') {
        c->line++;
        c->line_start = c->at + 1;
    }
    c->at++;
}

uint32_t lint_column(const struct lint_cursor *c)
{
    return (uint32_t)(c->at - c->line_start) + 1;
}

uint64_t lint_take_comment(struct hf_lint *l, struct lint_cursor *c)
{
    const size_t begin = c->at;
    while (lint_peek(c) >= 0 && lint_peek(c) != '\n') {
        lint_step(c);
    }
    return lint_ignored_by(l, hf_slice(c->source->text.ptr + begin, c->at - begin), c->source,
                           c->line);
}

/* ---- words ---- */

bool lint_contains_nocase(struct hf_slice text, const char *part)
{
    return hf_slice_contains_nocase(text, hf_slice_of(part));
}

bool lint_is_text(struct hf_slice s, const char *text)
{
    return hf_slice_eq_nocase(s, hf_slice_of(text));
}

bool lint_take_number(struct hf_slice *s, uint64_t *value)
{
    size_t n = 0;
    while (n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9') {
        n++;
    }
    if (n == 0 || !hf_slice_number(hf_slice_first(*s, n), UINT64_MAX / 4096, value)) {
        return false;
    }
    *s = hf_slice_from(*s, n);
    return true;
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Whether the word stands in the text with no letter or digit on either side. */
static bool has_word(struct hf_slice text, const char *word)
{
    const struct hf_slice w = hf_slice_of(word);
    for (size_t i = 0; i + w.len <= text.len; i++) {
        if (hf_slice_eq_nocase(hf_slice(text.ptr + i, w.len), w) &&
            (i == 0 || !is_letter(text.ptr[i - 1])) &&
            (i + w.len == text.len || !is_letter(text.ptr[i + w.len]))) {
            return true;
        }
    }
    return false;
}

bool lint_is_sticky_path(struct hf_slice path)
{
    return lint_contains_nocase(path, "socket.io") || lint_contains_nocase(path, "socket\\.io") ||
           lint_contains_nocase(path, "engine.io") || lint_contains_nocase(path, "sockjs");
}

bool lint_is_websocket_path(const struct hf_lint *l, struct hf_slice path)
{
    static const char *const words[] = {"ws",          "wss",        "wsapp",        "cable",
                                        "actioncable", "signalr",    "hubs",         "mqtt",
                                        "stomp",       "graphql-ws", "subscriptions"};
    for (const char *const *p = l->options.paths; p != NULL && *p != NULL; p++) {
        if (hf_slice_search(path, hf_slice_of(*p)) < path.len) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (has_word(path, words[i])) {
            return true;
        }
    }
    return lint_is_sticky_path(path) || lint_contains_nocase(path, "websocket");
}
