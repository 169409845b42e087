/* SPDX-License-Identifier: Apache-2.0 */
/* nginx's configuration to a tree: directives, blocks, quotes, escapes, comments, includes where
 * they stand, and the output of `nginx -T`, in which every file stands behind a line that names it.
 */
#include "lint/tree.h"

#include <stdio.h>

#define WORDS_MAX 512

struct words {
    struct hf_slice word[WORDS_MAX];
    size_t count;
    uint32_t line, column; /* of the first */
};

struct dumped { /* a file of `nginx -T` */
    struct dumped *next;
    struct lint_source source;
};

struct parser {
    struct hf_lint *l;
    struct lint_cursor cursor;
    uint64_t pending;         /* rules that comments above the next directive take away */
    struct lint_node *newest; /* the directive that ended last, for a comment behind it */
    uint32_t newest_line;     /* where it ended */
    const struct dumped *dump;
    const char *prefix; /* where relative includes begin; with its slash; "" for none */
    unsigned depth;
    struct words *words; /* of the directive that is being read */
};

static void take_comment(struct parser *p)
{
    const uint32_t line = p->cursor.line;
    const uint64_t set = lint_take_comment(p->l, &p->cursor);
    if (p->newest != NULL && p->newest_line == line) {
        p->newest->ignored |= set;
    } else {
        p->pending |= set;
    }
}

static void skip_blanks(struct parser *p)
{
    for (int c = lint_peek(&p->cursor); c >= 0; c = lint_peek(&p->cursor)) {
        if (c == '#') {
            take_comment(p);
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            lint_step(&p->cursor);
        } else {
            return;
        }
    }
}

/* A quoted word; what is escaped stays as it is written, since no rule asks for it. */
static bool take_quoted(struct parser *p, struct hf_slice *word)
{
    const int quote = lint_peek(&p->cursor);
    lint_step(&p->cursor);
    const size_t begin = p->cursor.at;
    while (lint_peek(&p->cursor) >= 0 && lint_peek(&p->cursor) != quote) {
        if (lint_peek(&p->cursor) == '\\') {
            lint_step(&p->cursor);
        }
        if (lint_peek(&p->cursor) >= 0) {
            lint_step(&p->cursor);
        }
    }
    *word = hf_slice(p->cursor.source->text.ptr + begin, p->cursor.at - begin);
    if (lint_peek(&p->cursor) < 0) {
        return false;
    }
    lint_step(&p->cursor);
    return true;
}

static bool take_word(struct parser *p, struct hf_slice *word)
{
    if (lint_peek(&p->cursor) == '"' || lint_peek(&p->cursor) == '\'') {
        return take_quoted(p, word);
    }
    const size_t begin = p->cursor.at;
    for (int c = lint_peek(&p->cursor); c >= 0; c = lint_peek(&p->cursor)) {
        if (c == '$' && p->cursor.at + 1 < p->cursor.source->text.len &&
            p->cursor.source->text.ptr[p->cursor.at + 1] == '{') {
            while (lint_peek(&p->cursor) >= 0 && lint_peek(&p->cursor) != '}') { /* ${name} */
                lint_step(&p->cursor);
            }
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ';' || c == '{') {
            break;
        } else if (c == '\\') {
            lint_step(&p->cursor);
        } else if (c == '}' && p->cursor.at == begin) {
            break;
        }
        if (lint_peek(&p->cursor) >= 0) {
            lint_step(&p->cursor);
        }
    }
    *word = hf_slice(p->cursor.source->text.ptr + begin, p->cursor.at - begin);
    return true;
}

/* The block of a scripting module holds another language; braces in its strings are not looked for.
 */
static bool is_foreign(const struct words *w)
{
    return w->count > 0 && hf_slice_ends(w->word[0], HF_LITERAL("_by_lua_block"));
}

static void skip_foreign(struct parser *p)
{
    unsigned depth = 1;
    while (lint_peek(&p->cursor) >= 0 && depth > 0) {
        depth += lint_peek(&p->cursor) == '{' ? 1 : 0;
        depth -= lint_peek(&p->cursor) == '}' ? 1 : 0;
        lint_step(&p->cursor);
    }
}

static void parse_block(struct parser *p, struct lint_node *parent, bool inside);

static void parse_source(struct parser *outer, const struct lint_source *source,
                         struct lint_node *parent)
{
    struct parser p = {.l = outer->l,
                       .cursor = {.source = source, .line = 1},
                       .dump = outer->dump,
                       .prefix = outer->prefix,
                       .depth = outer->depth + 1,
                       .words = lint_alloc(outer->l, sizeof(*p.words))};
    if (p.words != NULL) {
        parse_block(&p, parent, false);
    }
}

/* With * and ?, neither of which stands for a slash. */
static bool matches(const char *pattern, const char *text)
{
    const char *star = NULL, *mark = NULL;
    while (*text != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            mark = text;
        } else if (*pattern == *text || (*pattern == '?' && *text != '/')) {
            pattern++;
            text++;
        } else if (star != NULL && *mark != '/') {
            pattern = star; /* the star takes one more */
            text = ++mark;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

static void include_dumped(struct parser *p, const struct lint_node *n, const char *pattern,
                           struct lint_node *parent)
{
    bool found = false;
    for (const struct dumped *d = p->dump; d != NULL; d = d->next) {
        if (matches(pattern, d->source.path)) {
            found = true;
            if (++p->l->files <= HF_LINT_FILES) {
                parse_source(p, &d->source, parent);
            }
        }
    }
    if (!found && strpbrk(pattern, "*?[") == NULL) {
        lint_unreadable(p->l, p->cursor.source, n->line, n->column,
                        "%s is included, and is not in this output of nginx -T", pattern);
    }
}

static void include_files(struct parser *p, const struct lint_node *n, const char *pattern,
                          struct lint_node *parent)
{
    const char *single = pattern;
    const char *const *paths = &single;
    size_t count = 1;
    if (strpbrk(pattern, "*?[") != NULL) {
        count = p->l->loader.glob(p->l->loader.context, pattern, &paths);
    }
    for (size_t i = 0; i < count; i++) {
        struct lint_source *source = lint_alloc(p->l, sizeof(*source));
        const char *why = "";
        if (source == NULL) {
            return;
        }
        source->path = lint_text(p->l, "%s", paths[i]);
        if (lint_read(p->l, source->path, &source->text, &why)) {
            parse_source(p, source, parent);
        } else {
            lint_unreadable(p->l, p->cursor.source, n->line, n->column, "%s is included here: %s",
                            source->path, why);
        }
    }
}

static void include(struct parser *p, const struct lint_node *n, struct lint_node *parent)
{
    const struct hf_slice word = lint_node_word(n, 1);
    if (p->depth >= HF_LINT_DEPTH) {
        lint_unreadable(p->l, p->cursor.source, n->line, n->column,
                        "includes are nested more than %d deep (a file that includes itself?)",
                        HF_LINT_DEPTH);
        return;
    }
    const bool absolute = word.len > 0 && word.ptr[0] == '/';
    const char *pattern = lint_text(p->l, "%s%.*s", absolute ? "" : p->prefix, HF_SLICE_ARG(word));
    if (p->dump != NULL) {
        include_dumped(p, n, pattern, parent);
    } else {
        include_files(p, n, pattern, parent);
    }
}

/* The words up to ; { or }. False at the end of the block or file. */
static bool take_words(struct parser *p, struct words *w)
{
    w->count = 0;
    skip_blanks(p);
    w->line = p->cursor.line;
    w->column = lint_column(&p->cursor);
    for (int c = lint_peek(&p->cursor); c >= 0 && c != ';' && c != '{' && c != '}';
         c = lint_peek(&p->cursor)) {
        struct hf_slice word;
        if (!take_word(p, &word)) {
            lint_unreadable(p->l, p->cursor.source, w->line, w->column, "a quote is not closed");
            return false;
        }
        if (w->count < WORDS_MAX) {
            w->word[w->count++] = word;
        }
        skip_blanks(p);
    }
    return w->count > 0 || lint_peek(&p->cursor) == '{' || lint_peek(&p->cursor) == ';';
}

static void end_directive(struct parser *p, struct lint_node *parent, struct lint_node *n)
{
    const int c = lint_peek(&p->cursor);
    if (c == ';') {
        p->newest = n;
        p->newest_line = p->cursor.line;
        lint_step(&p->cursor);
    }
    if (lint_node_is(n, "include") && n->count > 1) {
        include(p, n, parent);
    }
}

/* A block that begins at {. */
static void enter(struct parser *p, struct lint_node *n, const struct words *w)
{
    n->block = true;
    p->newest = n;
    p->newest_line = p->cursor.line;
    lint_step(&p->cursor);
    if (is_foreign(w)) {
        skip_foreign(p);
    } else if (p->depth >= HF_LINT_DEPTH) {
        lint_unreadable(p->l, p->cursor.source, n->line, n->column,
                        "blocks are nested more than %d deep", HF_LINT_DEPTH);
        p->cursor.at = p->cursor.source->text.len;
    } else {
        p->depth++;
        parse_block(p, n, true);
        p->depth--;
    }
}

static void take_directives(struct parser *p, struct lint_node *parent)
{
    struct words *w = p->words;
    while (!p->l->failed && take_words(p, w)) {
        struct lint_node *n =
            lint_node_add(p->l, parent, p->cursor.source, w->line, w->column, w->word, w->count);
        if (n == NULL) {
            return;
        }
        n->ignored = p->pending;
        p->pending = 0;
        if (lint_peek(&p->cursor) == '{') {
            enter(p, n, w);
            continue;
        }
        if (lint_peek(&p->cursor) != ';') {
            lint_unreadable(p->l, p->cursor.source, n->line, n->column,
                            "\"%.*s\" does not end with ;", HF_SLICE_ARG(lint_node_word(n, 0)));
        }
        end_directive(p, parent, n);
    }
}

/* inside: it ends at }, else at the end of the file. */
static void parse_block(struct parser *p, struct lint_node *parent, bool inside)
{
    for (;;) {
        take_directives(p, parent);
        if (lint_peek(&p->cursor) != '}') {
            break;
        }
        if (!inside) {
            lint_unreadable(p->l, p->cursor.source, p->cursor.line, lint_column(&p->cursor),
                            "a } without its {");
        }
        p->newest = NULL;
        lint_step(&p->cursor);
        if (inside) {
            return;
        }
    }
    if (inside && !p->l->failed) {
        lint_unreadable(p->l, p->cursor.source, parent->line, parent->column,
                        "the block that begins here does not end");
    }
}

/* The files of `nginx -T`, in their order; NULL when it is none. */
static const struct dumped *take_dump(struct hf_lint *l, struct hf_slice text)
{
    static const char mark[] = "# configuration file ";
    struct dumped *first = NULL, **last = &first;
    struct hf_slice rest = text, line;
    while (hf_slice_next(&rest, '\n', &line)) {
        line = hf_slice_trim(line);
        if (hf_slice_starts(line, HF_LITERAL("# configuration file ")) &&
            hf_slice_ends(line, HF_LITERAL(":"))) {
            struct dumped *d = lint_alloc(l, sizeof(*d));
            if (d == NULL) {
                return NULL;
            }
            const struct hf_slice path = hf_slice_from(line, sizeof(mark) - 1);
            d->source.path = lint_text(l, "%.*s", (int)path.len - 1, (const char *)path.ptr);
            d->source.text = hf_slice(rest.ptr, 0);
            *last = d;
            last = &d->next;
        } else if (first != NULL) {
            struct dumped *d = (struct dumped *)((char *)last - offsetof(struct dumped, next));
            d->source.text.len = (size_t)(line.ptr + line.len - d->source.text.ptr);
        }
    }
    return first;
}

static const char *folder_of(struct hf_lint *l, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? "" : lint_text(l, "%.*s/", (int)(slash - path), path);
}

void lint_nginx(struct hf_lint *l, const char *path, struct hf_slice text)
{
    struct lint_source *source = lint_alloc(l, sizeof(*source));
    struct lint_node *root = lint_alloc(l, sizeof(*root));
    if (source == NULL || root == NULL) {
        return;
    }
    *source = (struct lint_source){.path = path, .text = text};
    struct parser p = {.l = l, .cursor = {.line = 1}, .dump = take_dump(l, text)};
    if (p.dump != NULL) {
        source = (struct lint_source *)&p.dump->source;
        l->files += 1;
    }
    p.cursor.source = source;
    p.words = lint_alloc(l, sizeof(*p.words));
    if (p.words == NULL) {
        return;
    }
    p.prefix = l->options.prefix == NULL ? folder_of(l, source->path)
                                         : lint_text(l, "%s/", l->options.prefix);
    root->source = source;
    parse_block(&p, root, false);
    lint_nginx_rules(l, root);
}
