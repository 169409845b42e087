/* SPDX-License-Identifier: Apache-2.0 */
/* HAProxy's configuration: sections of lines, what a proxy inherits from the defaults above it, and
 * the rules. Every proxy in mode http may carry WebSockets, and is a place. */
#include "lint/tree.h"

#include <stdio.h>

#define WORDS_MAX 256
#define MINUTE_MS 60000.0

struct proxy {
    struct lint_node *section;
    struct lint_node *defaults; /* that it inherits from; NULL: none */
    struct lint_node *global;
    const char *where;
};

static bool is_section(struct hf_slice word)
{
    static const char *const names[] = {"global", "defaults",    "frontend",  "backend",
                                        "listen", "peers",       "resolvers", "userlist",
                                        "cache",  "mailers",     "program",   "http-errors",
                                        "ring",   "log-forward", "fcgi-app"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (hf_slice_eq(word, hf_slice_of(names[i]))) {
            return true;
        }
    }
    return false;
}

/* The next word of a line: quotes are taken off, a backslash takes its meaning from what follows.
 */
static bool next_word(struct hf_slice line, size_t *at, struct hf_slice *word)
{
    while (*at < line.len && strchr(" \t\r", line.ptr[*at]) != NULL) {
        ++*at;
    }
    if (*at >= line.len || line.ptr[*at] == '#') {
        return false;
    }
    const uint8_t first = line.ptr[*at];
    uint8_t quote = 0;
    const size_t begin = *at;
    for (; *at < line.len; ++*at) {
        const uint8_t c = line.ptr[*at];
        if (c == '\\' && quote != '\'') {
            *at += *at + 1 < line.len ? 1 : 0;
        } else if (quote != 0) {
            quote = c == quote ? 0 : quote;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (strchr(" \t\r#", c) != NULL) {
            break;
        }
    }
    *word = hf_slice(line.ptr + begin, *at - begin);
    if ((first == '"' || first == '\'') && word->len >= 2 && word->ptr[word->len - 1] == first) {
        *word = hf_slice(word->ptr + 1, word->len - 2);
    }
    return true;
}

static struct lint_node *take_line(struct hf_lint *l, struct lint_node *root,
                                   struct lint_node *section, struct hf_slice line, uint32_t number,
                                   uint64_t *pending)
{
    struct hf_slice words[WORDS_MAX];
    size_t count = 0, at = 0;
    while (count < WORDS_MAX && next_word(line, &at, &words[count])) {
        count++;
    }
    const struct hf_slice comment = hf_slice_from(line, at);
    const uint64_t set = at < line.len && line.ptr[at] == '#'
                             ? lint_ignored_by(l, comment, root->source, number)
                             : 0;
    if (count == 0) {
        *pending |= set;
        return section;
    }
    const bool opens = is_section(words[0]);
    struct lint_node *n =
        lint_node_add(l, opens || section == NULL ? root : section, root->source, number,
                      (uint32_t)(words[0].ptr - line.ptr) + 1, words, count);
    if (n == NULL) {
        return section;
    }
    n->ignored = set | *pending;
    *pending = 0;
    n->block = opens;
    if (!opens && section == NULL) {
        lint_unreadable(l, root->source, number, 1, "\"%.*s\" stands before the first section",
                        HF_SLICE_ARG(words[0]));
    }
    return opens ? n : section;
}

/* ---- looking things up ---- */

/* A line of a proxy or of its defaults whose first words are these. */
static struct lint_node *line_in(const struct lint_node *section, const char *a, const char *b)
{
    struct lint_node *n = NULL;
    while (section != NULL && (n = lint_node_child(section, a, n)) != NULL) {
        if (b == NULL || hf_slice_eq(lint_node_word(n, 1), hf_slice_of(b))) {
            return n;
        }
    }
    return NULL;
}

static struct lint_node *in_force(const struct proxy *p, const char *a, const char *b)
{
    struct lint_node *n = line_in(p->section, a, b);
    return n != NULL ? n : line_in(p->defaults, a, b);
}

/* Milliseconds; -1: not a time, or an environment variable. */
static double milliseconds_of(struct hf_slice text, bool *bare)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"us", 0.001}, {"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 3.6e6}, {"d", 8.64e7}};
    uint64_t number;
    *bare = false;
    if (!lint_take_number(&text, &number)) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (hf_slice_eq(text, hf_slice_of(units[i].unit))) {
            return (double)number * units[i].ms;
        }
    }
    *bare = text.len == 0;
    return *bare ? (double)number : -1;
}

static double timeout_of(const struct proxy *p, const char *name, struct lint_node **at)
{
    bool bare;
    *at = in_force(p, "timeout", name);
    return *at == NULL ? -1 : milliseconds_of(lint_node_word(*at, 2), &bare);
}

static bool carries_http(const struct proxy *p)
{
    struct lint_node *mode = in_force(p, "mode", NULL);
    return mode != NULL && hf_slice_eq(lint_node_word(mode, 1), HF_LITERAL("http"));
}

/* ---- rules ---- */

static void check_tunnel(struct hf_lint *l, const struct proxy *p)
{
    struct lint_node *at, *client, *server;
    const double tunnel = timeout_of(p, "tunnel", &at);
    const double c = timeout_of(p, "client", &client), s = timeout_of(p, "server", &server);
    if (at == NULL) {
        const double least = c < 0 ? s : s < 0 || c < s ? c : s;
        lint_find(l, HF_LINT_HAPROXY_TUNNEL_MISSING, p->section, p->where, NULL,
                  least < 0
                      ? "There is no timeout tunnel here."
                      : "There is no timeout tunnel: a WebSocket that is quiet for %g s is cut.",
                  least / 1000);
        return;
    }
    if (tunnel >= 0 && tunnel <= MINUTE_MS) {
        lint_find(l, HF_LINT_HAPROXY_TUNNEL_SHORT, at, p->where, NULL,
                  "A WebSocket that is quiet for %g s is cut.", tunnel / 1000);
    }
    if (tunnel > MINUTE_MS && in_force(p, "timeout", "client-fin") == NULL) {
        lint_find(l, HF_LINT_HAPROXY_CLIENT_FIN, at, p->where, NULL,
                  "A half-closed tunnel stays for %g s.", tunnel / 1000);
    }
    if (tunnel > 30 * MINUTE_MS && in_force(p, "option", "srvtcpka") == NULL &&
        in_force(p, "option", "tcpka") == NULL) {
        lint_find(l, HF_LINT_HAPROXY_TCP_KEEPALIVE, at, p->where, NULL,
                  "A peer that vanished is noticed after %g minutes.", tunnel / MINUTE_MS);
    }
}

static void check_units(struct hf_lint *l, struct lint_node *section)
{
    struct lint_node *n = NULL;
    while ((n = lint_node_child(section, "timeout", n)) != NULL) {
        bool bare;
        const double ms = milliseconds_of(lint_node_word(n, 2), &bare);
        if (bare && ms > 0 && ms < 10000) {
            lint_find(l, HF_LINT_HAPROXY_UNIT, n, "", NULL,
                      "timeout %.*s is %g ms: a bare number is milliseconds.",
                      HF_SLICE_ARG(lint_node_word(n, 1)), ms);
        }
    }
}

static bool names_upgrade(struct hf_slice word)
{
    return hf_slice_eq_nocase(word, HF_LITERAL("upgrade")) ||
           hf_slice_eq_nocase(word, HF_LITERAL("connection")) ||
           lint_contains_nocase(word, "sec-websocket-");
}

static void check_requests(struct hf_lint *l, const struct proxy *p)
{
    struct lint_node *n = NULL;
    while ((n = lint_node_child(p->section, "http-request", n)) != NULL) {
        const struct hf_slice what = lint_node_word(n, 1);
        const bool touches = hf_slice_eq(what, HF_LITERAL("del-header")) ||
                             hf_slice_eq(what, HF_LITERAL("set-header")) ||
                             hf_slice_eq(what, HF_LITERAL("replace-header"));
        const bool conditional = n->count > 4; /* an if or unless may spare the handshake */
        if (touches && names_upgrade(lint_node_word(n, 2)) && !conditional) {
            lint_find(l, HF_LINT_HAPROXY_UPGRADE_REMOVED, n, p->where, NULL,
                      "%.*s touches %.*s on every request.", HF_SLICE_ARG(what),
                      HF_SLICE_ARG(lint_node_word(n, 2)));
        }
    }
}

static void check_servers(struct hf_lint *l, const struct proxy *p)
{
    static const char *const lines[] = {"server", "default-server"};
    for (size_t i = 0; i < 2; i++) {
        struct lint_node *n = NULL;
        while ((n = lint_node_child(p->section, lines[i], n)) != NULL) {
            for (size_t w = 1; w + 1 < n->count; w++) {
                if (hf_slice_eq(n->words[w], HF_LITERAL("on-marked-down")) &&
                    hf_slice_eq(n->words[w + 1], HF_LITERAL("shutdown-sessions"))) {
                    lint_find(l, HF_LINT_HAPROXY_MARKED_DOWN, n, p->where, NULL,
                              "When its check fails, all WebSockets of this server are cut.");
                }
            }
        }
    }
}

static bool is_sticky(const struct proxy *p)
{
    struct lint_node *balance = in_force(p, "balance", NULL);
    const struct hf_slice how = balance == NULL ? HF_LITERAL("") : lint_node_word(balance, 1);
    return in_force(p, "cookie", NULL) != NULL || line_in(p->section, "stick", NULL) != NULL ||
           hf_slice_eq(how, HF_LITERAL("source")) || hf_slice_eq(how, HF_LITERAL("hash")) ||
           hf_slice_starts(how, HF_LITERAL("url_param")) ||
           hf_slice_starts(how, HF_LITERAL("hdr")) ||
           hf_slice_starts(how, HF_LITERAL("rdp-cookie"));
}

/* Whether some line of the configuration speaks of Socket.IO or SockJS. */
static bool speaks_of_sticky(struct lint_node *root)
{
    for (struct lint_node *n = root; n != NULL; n = lint_node_walk(root, n)) {
        for (size_t i = 1; i < n->count; i++) {
            if (lint_is_sticky_path(n->words[i])) {
                return true;
            }
        }
    }
    return false;
}

static void check_stickiness(struct hf_lint *l, struct lint_node *root, const struct proxy *p)
{
    size_t servers = 0;
    struct lint_node *n = NULL, *first = lint_node_child(p->section, "server", NULL);
    while ((n = lint_node_child(p->section, "server", n)) != NULL) {
        servers++;
    }
    if (servers > 1 && speaks_of_sticky(root) && !is_sticky(p)) {
        lint_find(l, HF_LINT_HAPROXY_NO_STICKINESS, first, p->where, NULL,
                  "%zu servers, and nothing keeps a client at one of them.", servers);
    }
}

static void check_maxconn(struct hf_lint *l, struct lint_node *section, const char *where)
{
    struct lint_node *n = section == NULL ? NULL : lint_node_child(section, "maxconn", NULL);
    uint64_t number;
    struct hf_slice word = n == NULL ? HF_LITERAL("") : lint_node_word(n, 1);
    if (n != NULL && lint_take_number(&word, &number) && number < 2000) {
        lint_find(l, HF_LINT_HAPROXY_MAXCONN, n, where, NULL, "%llu connections at most.",
                  (unsigned long long)number);
    }
}

static void check_proxy(struct hf_lint *l, struct lint_node *root, const struct proxy *p)
{
    const bool front = lint_node_is(p->section, "frontend") || lint_node_is(p->section, "listen");
    const bool back = lint_node_is(p->section, "backend") || lint_node_is(p->section, "listen");
    check_units(l, p->section);
    check_maxconn(l, p->section, p->where);
    check_requests(l, p);
    struct lint_node *tunnel = line_in(p->section, "timeout", "tunnel");
    if (tunnel != NULL && !back) {
        lint_find(l, HF_LINT_HAPROXY_TUNNEL_IN_FRONTEND, tunnel, p->where, NULL,
                  "timeout tunnel is ignored in a frontend.");
    }
    if (!carries_http(p)) {
        return;
    }
    if (back) {
        l->places++;
        check_tunnel(l, p);
        check_servers(l, p);
        check_stickiness(l, root, p);
    }
    struct lint_node *log = in_force(p, "option", "httplog");
    if (front && log == NULL && in_force(p, "log-format", NULL) == NULL) {
        lint_find(l, HF_LINT_HAPROXY_LOG, p->section, p->where, NULL,
                  "There is no option httplog here.");
    }
    struct lint_node *close = in_force(p, "option", "httpclose");
    if (close != NULL) {
        lint_find(l, HF_LINT_HAPROXY_HTTP_CLOSE, close, p->where, NULL,
                  "option httpclose is in force here.");
    }
}

static void check_global(struct hf_lint *l, struct lint_node *global)
{
    struct lint_node *stop = lint_node_child(global, "hard-stop-after", NULL);
    bool bare;
    check_maxconn(l, global, "global");
    if (stop == NULL) {
        lint_find(l, HF_LINT_HAPROXY_HARD_STOP_UNSET, global, "global", NULL,
                  "hard-stop-after is not set.");
        return;
    }
    const double ms = milliseconds_of(lint_node_word(stop, 1), &bare);
    if (ms >= 0 && ms < 30 * MINUTE_MS) {
        lint_find(l, HF_LINT_HAPROXY_HARD_STOP, stop, "global", NULL,
                  "%g s after a reload all WebSockets of the old process are killed.", ms / 1000);
    }
}

/* The defaults with the name behind `from`; without one, the last ones above. */
static struct lint_node *defaults_of(struct lint_node *root, struct lint_node *section,
                                     struct lint_node *above)
{
    struct hf_slice name = {NULL, 0};
    for (size_t i = 1; i + 1 < section->count; i++) {
        if (hf_slice_eq(section->words[i], HF_LITERAL("from"))) {
            name = section->words[i + 1];
        }
    }
    if (name.len == 0) {
        return above;
    }
    struct lint_node *found = NULL;
    for (struct lint_node *n = root->first; n != NULL && n != section; n = n->next) {
        if (lint_node_is(n, "defaults") && hf_slice_eq(lint_node_word(n, 1), name)) {
            found = n;
        }
    }
    return found;
}

static void check_sections(struct hf_lint *l, struct lint_node *root)
{
    const size_t before = l->places;
    struct lint_node *global = lint_node_child(root, "global", NULL), *above = NULL;
    for (struct lint_node *n = root->first; n != NULL && !hf_lint_is_full(l); n = n->next) {
        if (lint_node_is(n, "defaults")) {
            check_units(l, n);
            above = n;
        } else if (lint_node_is(n, "frontend") || lint_node_is(n, "backend") ||
                   lint_node_is(n, "listen")) {
            const struct proxy p = {.section = n,
                                    .defaults = defaults_of(root, n, above),
                                    .global = global,
                                    .where = lint_text(l, "%.*s %.*s", HF_SLICE_ARG(n->words[0]),
                                                       HF_SLICE_ARG(lint_node_word(n, 1)))};
            check_proxy(l, root, &p);
        }
    }
    if (global != NULL && l->places > before) {
        check_global(l, global);
    }
}

void lint_haproxy(struct hf_lint *l, const char *path, struct hf_slice text)
{
    struct lint_source *source = lint_alloc(l, sizeof(*source));
    struct lint_node *root = lint_alloc(l, sizeof(*root)), *section = NULL;
    struct hf_slice rest = text, line;
    uint64_t pending = 0;
    uint32_t number = 0;
    if (source == NULL || root == NULL) {
        return;
    }
    *source = (struct lint_source){.path = path, .text = text};
    root->source = source;
    while (!l->failed && hf_slice_next(&rest, '\n', &line)) {
        section = take_line(l, root, section, line, ++number, &pending);
    }
    check_sections(l, root);
}
