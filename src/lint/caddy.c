/* SPDX-License-Identifier: Apache-2.0 */
/* Caddyfiles: lines of words, blocks that open with { at the end of a line, imports of files; and
 * the rules. Caddy upgrades on every reverse_proxy, so each one is a place. */
#include "lint/tree.h"

#include <stdio.h>

#define WORDS_MAX 256

struct parser {
    struct hf_lint *l;
    struct lint_cursor cursor;
    uint64_t pending;
    unsigned depth;
    struct lint_node *root;
    struct hf_slice words[WORDS_MAX];
    size_t count;
    uint32_t column;
    uint64_t set; /* rules that a comment at the end of this line takes away */
};

/* A word in " or `, which may go over lines. */
static struct hf_slice take_quoted(struct parser *p)
{
    const int quote = lint_peek(&p->cursor);
    const uint32_t line = p->cursor.line, column = lint_column(&p->cursor);
    lint_step(&p->cursor);
    const size_t begin = p->cursor.at;
    while (lint_peek(&p->cursor) >= 0 && lint_peek(&p->cursor) != quote) {
        if (lint_peek(&p->cursor) == '\\' && quote == '"') {
            lint_step(&p->cursor);
        }
        if (lint_peek(&p->cursor) >= 0) {
            lint_step(&p->cursor);
        }
    }
    const struct hf_slice word = hf_slice(p->cursor.source->text.ptr + begin, p->cursor.at - begin);
    if (lint_peek(&p->cursor) < 0) {
        lint_unreadable(p->l, p->cursor.source, line, column, "a quote is not closed");
    } else {
        lint_step(&p->cursor);
    }
    return word;
}

static struct hf_slice take_word(struct parser *p)
{
    const int c = lint_peek(&p->cursor);
    if (c == '"' || c == '`') {
        return take_quoted(p);
    }
    const size_t begin = p->cursor.at;
    while (lint_peek(&p->cursor) >= 0 && strchr(" \t\r\n", lint_peek(&p->cursor)) == NULL) {
        lint_step(&p->cursor);
    }
    return hf_slice(p->cursor.source->text.ptr + begin, p->cursor.at - begin);
}

/* The words of the next line that has some; its newline is taken. False at the end of the file. */
static bool take_line(struct parser *p, uint32_t *line)
{
    p->count = 0;
    p->set = 0;
    for (int c = lint_peek(&p->cursor); c >= 0; c = lint_peek(&p->cursor)) {
        const bool continued = c == '\\' && p->cursor.at + 1 < p->cursor.source->text.len &&
                               p->cursor.source->text.ptr[p->cursor.at + 1] == '\n';
        if (c == '\n' && p->count > 0) {
            return true;
        }
        if (c == '\n') {
            p->pending |= p->set; /* of a comment on a line of its own */
            p->set = 0;
            lint_step(&p->cursor);
        } else if (c == ' ' || c == '\t' || c == '\r') {
            lint_step(&p->cursor);
        } else if (continued) {
            lint_step(&p->cursor);
            lint_step(&p->cursor);
        } else if (c == '#') {
            p->set |= lint_take_comment(p->l, &p->cursor);
        } else {
            if (p->count == 0) {
                *line = p->cursor.line;
                p->column = lint_column(&p->cursor);
            }
            const struct hf_slice word = take_word(p);
            if (p->count < WORDS_MAX) {
                p->words[p->count++] = word;
            }
        }
    }
    return p->count > 0;
}

static void parse(struct parser *p, struct lint_node *parent);

static bool is_snippet(const struct parser *p, struct hf_slice name)
{
    for (const struct lint_node *n = p->root->first; n != NULL; n = n->next) {
        const struct hf_slice word = lint_node_word(n, 0);
        if (word.len == name.len + 2 && word.ptr[0] == '(' &&
            hf_slice_eq(hf_slice(word.ptr + 1, name.len), name)) {
            return true;
        }
    }
    return false;
}

static void import_file(struct parser *p, struct lint_node *n, const char *path,
                        struct lint_node *parent)
{
    struct lint_source *source = lint_alloc(p->l, sizeof(*source));
    struct parser *inner = lint_alloc(p->l, sizeof(*inner));
    const char *why = "";
    if (source == NULL || inner == NULL) {
        return;
    }
    source->path = lint_text(p->l, "%s", path);
    if (!lint_read(p->l, source->path, &source->text, &why)) {
        lint_unreadable(p->l, p->cursor.source, n->line, n->column, "%s is imported here: %s", path,
                        why);
        return;
    }
    inner->l = p->l;
    inner->cursor.source = source;
    inner->cursor.line = 1;
    inner->depth = p->depth + 1;
    inner->root = p->root;
    parse(inner, parent);
}

static void import(struct parser *p, struct lint_node *n, struct lint_node *parent)
{
    const struct hf_slice word = lint_node_word(n, 1);
    const char *slash = strrchr(p->cursor.source->path, '/');
    const bool absolute = word.len > 0 && word.ptr[0] == '/';
    if (word.len == 0 || is_snippet(p, word)) {
        return; /* what stands in a snippet is looked at where it stands */
    }
    if (p->depth >= HF_LINT_DEPTH) {
        lint_unreadable(p->l, p->cursor.source, n->line, n->column,
                        "imports are nested more than %d deep", HF_LINT_DEPTH);
        return;
    }
    const char *pattern = lint_text(
        p->l, "%.*s%.*s", absolute || slash == NULL ? 0 : (int)(slash - p->cursor.source->path) + 1,
        p->cursor.source->path, HF_SLICE_ARG(word));
    if (strpbrk(pattern, "*?[") == NULL) {
        import_file(p, n, pattern, parent);
        return;
    }
    const char *const *paths = NULL;
    const size_t count = p->l->loader.glob(p->l->loader.context, pattern, &paths);
    for (size_t i = 0; i < count; i++) {
        import_file(p, n, paths[i], parent);
    }
}

static bool is_brace(struct hf_slice word, char brace)
{
    return word.len == 1 && word.ptr[0] == (uint8_t)brace;
}

static void parse(struct parser *p, struct lint_node *parent)
{
    struct lint_node *const top = parent;
    uint32_t line = 1;
    while (!p->l->failed && take_line(p, &line)) {
        if (is_brace(p->words[0], '}')) {
            if (parent == top) {
                lint_unreadable(p->l, p->cursor.source, line, p->column, "a } without its {");
            } else {
                parent = parent->parent;
                p->depth--;
            }
            p->pending = 0;
            continue;
        }
        const bool opens = is_brace(p->words[p->count - 1], '{');
        struct lint_node *n = lint_node_add(p->l, parent, p->cursor.source, line, p->column,
                                            p->words, p->count - (opens ? 1 : 0));
        if (n == NULL) {
            return;
        }
        n->ignored = p->pending | p->set;
        p->pending = 0;
        if (opens && p->depth >= HF_LINT_DEPTH) {
            lint_unreadable(p->l, p->cursor.source, line, p->column,
                            "blocks are nested more than %d deep", HF_LINT_DEPTH);
            return;
        }
        if (opens) {
            n->block = true;
            parent = n;
            p->depth++;
        } else if (lint_node_is(n, "import")) {
            import(p, n, parent);
        }
    }
    if (parent != top && !p->l->failed) {
        lint_unreadable(p->l, p->cursor.source, parent->line, parent->column,
                        "the block that begins here does not end");
    }
}

/* ---- rules ---- */

static bool is_upstream(struct hf_slice word)
{
    return word.len > 0 && strchr("/@*{", word.ptr[0]) == NULL;
}

/* Whether a word of this directive, of the blocks around it, or of the matchers they name, speaks
 * of a path for which `is` is true. *any says whether there was a matcher at all. */
static bool is_about(const struct hf_lint *l, const struct lint_node *n, bool sticky, bool *any)
{
    *any = false;
    for (; n != NULL; n = n->parent) {
        for (size_t i = 1; i < n->count; i++) {
            const struct hf_slice word = n->words[i];
            const bool path = word.len > 0 && word.ptr[0] == '/';
            const bool name = word.len > 1 && word.ptr[0] == '@';
            *any = *any || path || name;
            if ((path || name) &&
                (sticky ? lint_is_sticky_path(word) : lint_is_websocket_path(l, word))) {
                return true;
            }
            const struct lint_node *site = n->parent;
            for (const struct lint_node *m = name && site != NULL ? site->first : NULL; m != NULL;
                 m = m->next) {
                if (!hf_slice_eq(lint_node_word(m, 0), word)) {
                    continue;
                }
                for (struct lint_node *w = (struct lint_node *)m; w != NULL;
                     w = lint_node_walk((struct lint_node *)m, w)) {
                    for (size_t k = 0; k < w->count; k++) {
                        if (sticky ? lint_is_sticky_path(w->words[k])
                                   : lint_is_websocket_path(l, w->words[k])) {
                            return true;
                        }
                    }
                }
            }
        }
    }
    return false;
}

static void check_header(struct hf_lint *l, struct lint_node *n, const char *where)
{
    struct hf_slice name = lint_node_word(n, 1);
    const struct hf_slice value = lint_node_word(n, 2);
    const bool removed = name.len > 0 && name.ptr[0] == '-';
    const bool passed = hf_slice_search(value, HF_LITERAL("header.")) < value.len ||
                        hf_slice_search(value, HF_LITERAL("{>")) < value.len;
    if (name.len > 0 && (removed || name.ptr[0] == '+' || name.ptr[0] == '?')) {
        name = hf_slice_from(name, 1);
    }
    if (passed && !removed) {
        return;
    }
    if (lint_is_text(name, "Upgrade") || lint_is_text(name, "Connection") ||
        lint_contains_nocase(name, "sec-websocket-")) {
        lint_find(l, HF_LINT_CADDY_UPGRADE_REMOVED, n, where, NULL, "%.*s is %s.",
                  HF_SLICE_ARG(name), removed ? "removed" : "replaced");
    } else if (lint_is_text(name, "Host") && !hf_slice_eq(value, HF_LITERAL("{host}"))) {
        lint_find(l, HF_LINT_CADDY_HOST_REPLACED, n, where, NULL, "Host becomes \"%.*s\".",
                  HF_SLICE_ARG(value));
    } else if (lint_is_text(name, "Origin")) {
        lint_find(l, HF_LINT_CADDY_ORIGIN_CLEARED, n, where, NULL, "Origin is %s.",
                  removed ? "removed" : "replaced");
    }
}

static void check_transport(struct hf_lint *l, struct lint_node *transport, const char *where)
{
    for (struct lint_node *n = transport->first; n != NULL; n = n->next) {
        bool old = false;
        for (size_t i = 1; i < n->count; i++) {
            old = old || lint_is_text(n->words[i], "1.1");
        }
        if (lint_node_is(n, "versions") && !old) {
            lint_find(l, HF_LINT_CADDY_HTTP2_UPSTREAM, n, where, NULL,
                      "versions is without 1.1 here.");
        } else if (lint_node_is(n, "read_timeout") || lint_node_is(n, "write_timeout")) {
            lint_find(l, HF_LINT_CADDY_READ_TIMEOUT, n, where, NULL, "%.*s is %.*s here.",
                      HF_SLICE_ARG(n->words[0]), HF_SLICE_ARG(lint_node_word(n, 1)));
        }
    }
}

static size_t upstreams_of(const struct lint_node *proxy)
{
    size_t count = 0;
    for (size_t i = 1; i < proxy->count; i++) {
        count += is_upstream(proxy->words[i]) ? 1 : 0;
    }
    for (struct lint_node *n = lint_node_child(proxy, "to", NULL); n != NULL;
         n = lint_node_child(proxy, "to", n)) {
        count += n->count - 1;
    }
    return count;
}

static bool is_sticky_policy(const struct lint_node *policy)
{
    const struct hf_slice how = policy == NULL ? HF_LITERAL("") : lint_node_word(policy, 1);
    return lint_is_text(how, "cookie") || lint_is_text(how, "ip_hash") ||
           lint_is_text(how, "client_ip_hash") || lint_is_text(how, "uri_hash") ||
           lint_is_text(how, "header") || lint_is_text(how, "first") || lint_is_text(how, "query");
}

static void check_proxy(struct hf_lint *l, struct lint_node *proxy)
{
    bool matched;
    const bool about = is_about(l, proxy, false, &matched);
    const char *where = "reverse_proxy";
    l->places++;
    for (struct lint_node *n = proxy->first; n != NULL; n = n->next) {
        if (lint_node_is(n, "header_up")) {
            check_header(l, n, where);
        } else if (lint_node_is(n, "transport")) {
            check_transport(l, n, where);
        } else if (lint_node_is(n, "stream_timeout")) {
            lint_find(l, HF_LINT_CADDY_STREAM_TIMEOUT, n, where, NULL,
                      "Every WebSocket ends after %.*s.", HF_SLICE_ARG(lint_node_word(n, 1)));
        }
    }
    if ((about || !matched) && lint_node_child(proxy, "stream_close_delay", NULL) == NULL) {
        lint_find(l, HF_LINT_CADDY_STREAM_CLOSE, proxy, where, NULL,
                  "stream_close_delay is not set here.");
    }
    if (upstreams_of(proxy) > 1 && is_about(l, proxy, true, &matched) &&
        !is_sticky_policy(lint_node_child(proxy, "lb_policy", NULL))) {
        lint_find(l, HF_LINT_CADDY_NO_STICKINESS, proxy, where, NULL,
                  "%zu upstreams, and nothing keeps a client at one of them.", upstreams_of(proxy));
    }
}

/* `header Connection Upgrade` in a matcher, in a block or on its line. */
static void check_matcher(struct hf_lint *l, struct lint_node *n, size_t first)
{
    const struct hf_slice value = lint_node_word(n, first + 2);
    if (lint_is_text(lint_node_word(n, first), "header") &&
        lint_is_text(lint_node_word(n, first + 1), "Connection") &&
        lint_is_text(value, "Upgrade")) {
        lint_find(l, HF_LINT_CADDY_CONNECTION_MATCHER, n, "matcher", NULL,
                  "Only a Connection header that is \"%.*s\" and no more is taken.",
                  HF_SLICE_ARG(value));
    }
}

static void look_at(struct hf_lint *l, struct lint_node *n)
{
    const struct hf_slice name = lint_node_word(n, 0);
    bool matched;
    if (lint_node_is(n, "reverse_proxy")) {
        check_proxy(l, n);
    } else if (lint_node_is(n, "redir") && is_about(l, n, false, &matched)) {
        lint_find(l, HF_LINT_CADDY_REDIRECT, n, "redir", NULL,
                  "A handshake is answered with a redirect.");
    } else if (name.len > 1 && name.ptr[0] == '@') {
        check_matcher(l, n, 1);
        for (struct lint_node *c = n->first; c != NULL; c = c->next) {
            check_matcher(l, c, 0);
        }
    }
}

void lint_caddy(struct hf_lint *l, const char *path, struct hf_slice text)
{
    struct lint_source *source = lint_alloc(l, sizeof(*source));
    struct lint_node *root = lint_alloc(l, sizeof(*root));
    struct parser *p = lint_alloc(l, sizeof(*p));
    if (source == NULL || root == NULL || p == NULL) {
        return;
    }
    *source = (struct lint_source){.path = path, .text = text};
    root->source = source;
    p->l = l;
    p->cursor.source = source;
    p->cursor.line = 1;
    p->root = root;
    parse(p, root);
    for (struct lint_node *n = root; n != NULL && !l->failed && !hf_lint_is_full(l);
         n = lint_node_walk(root, n)) {
        look_at(l, n);
    }
}
