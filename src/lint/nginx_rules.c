/* SPDX-License-Identifier: Apache-2.0 */
/* The rules for nginx. A place is a block with a proxy_pass through which WebSockets go: it passes
 * Upgrade on, or its path looks like one for WebSockets. What is in force there is looked up from
 * the inside out, as nginx inherits it. */
#include "lint/tree.h"

#include <stdio.h>

#define MINUTE 60.0
#define DAY 86400.0

struct place {
    struct lint_node *block;
    struct lint_node *headers; /* the block whose proxy_set_header lines are in force; NULL: none */
    const char *where;
    bool by_path;
};

/* The nearest block, from n outwards, that has the directive. */
static struct lint_node *level_of(struct lint_node *n, const char *name)
{
    for (; n != NULL; n = n->parent) {
        if (lint_node_child(n, name, NULL) != NULL) {
            return n;
        }
    }
    return NULL;
}

static struct lint_node *in_force(struct lint_node *n, const char *name)
{
    struct lint_node *level = level_of(n, name);
    return level == NULL ? NULL : lint_node_child(level, name, NULL);
}

static struct lint_node *header_in(const struct lint_node *level, const char *name)
{
    struct lint_node *h = NULL;
    while (level != NULL && (h = lint_node_child(level, "proxy_set_header", h)) != NULL) {
        if (hf_slice_eq_nocase(lint_node_word(h, 1), hf_slice_of(name))) {
            return h;
        }
    }
    return NULL;
}

/* "1h30m", "3600", "500ms" in seconds; -1: not a time. */
static double seconds_of(struct hf_slice text)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"ms", 0.001}, {"s", 1},       {"m", 60},       {"h", 3600},
                 {"d", DAY},    {"w", 7 * DAY}, {"M", 30 * DAY}, {"y", 365 * DAY}};
    double sum = text.len == 0 ? -1 : 0;
    while (text.len > 0) {
        uint64_t number;
        double factor = 1;
        if (!lint_take_number(&text, &number)) {
            return -1;
        }
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
            const struct hf_slice unit = hf_slice_of(units[i].unit);
            if (hf_slice_starts(text, unit)) {
                factor = units[i].seconds;
                text = hf_slice_from(text, unit.len);
                break;
            }
        }
        sum += (double)number * factor;
    }
    return sum;
}

/* Seconds of a timeout that is in force; *at is its line, or the block when it is the default. */
static double timeout_of(const struct place *p, const char *name, double standard,
                         struct lint_node **at)
{
    struct lint_node *n = in_force(p->block, name);
    *at = n == NULL ? p->block : n;
    return n == NULL ? standard : seconds_of(lint_node_word(n, 1));
}

static struct hf_slice path_of(const struct lint_node *location)
{
    return lint_node_word(location, location->count - 1);
}

/* The location around a block; NULL for none. */
static const struct lint_node *location_of(const struct lint_node *n)
{
    while (n != NULL && !lint_node_is(n, "location")) {
        n = n->parent;
    }
    return n;
}

static const char *name_of(struct hf_lint *l, const struct lint_node *n)
{
    const struct lint_node *location = location_of(n);
    if (location == NULL) {
        return lint_node_is(n, "server") ? "server" : "";
    }
    const struct hf_slice *w = location->words;
    return location->count > 2
               ? lint_text(l, "location %.*s %.*s", HF_SLICE_ARG(w[1]), HF_SLICE_ARG(w[2]))
               : lint_text(l, "location %.*s", HF_SLICE_ARG(path_of(location)));
}

/* ---- what must be there for the upgrade ---- */

static void check_lost(struct hf_lint *l, const struct place *p)
{
    for (struct lint_node *outer = p->headers->parent; outer != NULL; outer = outer->parent) {
        struct lint_node *h = header_in(outer, "Upgrade");
        if (h != NULL) {
            lint_find(l, HF_LINT_NGINX_HEADERS_LOST,
                      lint_node_child(p->headers, "proxy_set_header", NULL), p->where, NULL,
                      "The proxy_set_header lines here take away those of the outer block, Upgrade "
                      "(line %u) among them.",
                      h->line);
            return;
        }
    }
    lint_find(l, HF_LINT_NGINX_UPGRADE_MISSING, p->block, p->where, NULL,
              "%s looks like a path for WebSockets, and no Upgrade header is passed on.", p->where);
}

static void check_connection(struct hf_lint *l, const struct place *p, struct lint_node *upgrade)
{
    struct lint_node *connection = header_in(p->headers, "Connection");
    const struct lint_node *location = location_of(p->block);
    if (connection == NULL) {
        lint_find(l, HF_LINT_NGINX_CONNECTION_MISSING, upgrade, p->where, NULL,
                  "Upgrade is passed on, but Connection is not set.");
        return;
    }
    const struct hf_slice value = lint_node_word(connection, 2);
    if (value.len == 0 || lint_is_text(value, "close") || lint_is_text(value, "keep-alive")) {
        lint_find(l, HF_LINT_NGINX_CONNECTION_MISSING, connection, p->where, NULL,
                  "Connection is set to \"%.*s\", which cancels the Upgrade header.",
                  HF_SLICE_ARG(value));
    } else if (lint_is_text(value, "upgrade") &&
               (location == NULL || !lint_is_websocket_path(l, path_of(location)))) {
        lint_find(l, HF_LINT_NGINX_CONNECTION_CONSTANT, connection, p->where, NULL,
                  "Connection is always \"upgrade\" here, also for requests that ask for none.");
    }
}

static void check_upgrade(struct hf_lint *l, const struct place *p)
{
    struct lint_node *upgrade = header_in(p->headers, "Upgrade");
    if (upgrade == NULL) {
        if (p->headers == NULL) {
            lint_find(l, HF_LINT_NGINX_UPGRADE_MISSING, p->block, p->where, NULL,
                      "%s looks like a path for WebSockets, and no Upgrade header is passed on.",
                      p->where);
        } else {
            check_lost(l, p);
        }
        return;
    }
    if (lint_node_word(upgrade, 2).len > 0 && lint_node_word(upgrade, 2).ptr[0] != '$') {
        lint_find(l, HF_LINT_NGINX_UPGRADE_CONSTANT, upgrade, p->where, NULL,
                  "Upgrade is always \"%.*s\" here.", HF_SLICE_ARG(lint_node_word(upgrade, 2)));
    }
    check_connection(l, p, upgrade);
    struct lint_node *version = in_force(p->block, "proxy_http_version");
    if (version == NULL || lint_is_text(lint_node_word(version, 1), "1.0")) {
        lint_find(l, HF_LINT_NGINX_HTTP_VERSION, version == NULL ? upgrade : version, p->where,
                  NULL, "%s",
                  version == NULL ? "Upgrade is passed on without proxy_http_version 1.1."
                                  : "proxy_http_version is 1.0 here.");
    }
}

/* ---- what ends it ---- */

static void check_times(struct hf_lint *l, const struct place *p)
{
    struct lint_node *at;
    const double reading = timeout_of(p, "proxy_read_timeout", MINUTE, &at);
    if (reading >= 0 && reading <= MINUTE) {
        lint_find(l, HF_LINT_NGINX_READ_TIMEOUT, at, p->where, NULL,
                  at == p->block ? "proxy_read_timeout is not set: a WebSocket that is quiet for "
                                   "%g s is cut."
                                 : "A WebSocket that is quiet for %g s is cut.",
                  reading);
    }
    if (reading > DAY) {
        lint_find(l, HF_LINT_NGINX_TIMEOUT_UNIT, at, p->where, NULL,
                  "proxy_read_timeout is %.0f days here.", reading / DAY);
    }
    if (reading > 30 * MINUTE) {
        struct lint_node *keepalive = in_force(p->block, "proxy_socket_keepalive");
        if (keepalive == NULL || !lint_is_text(lint_node_word(keepalive, 1), "on")) {
            lint_find(l, HF_LINT_NGINX_KEEPALIVE_DEAD, at, p->where, NULL,
                      "A backend that vanished is noticed after %g minutes.", reading / MINUTE);
        }
    }
    const double sending = timeout_of(p, "proxy_send_timeout", MINUTE, &at);
    if (sending >= 0 && sending < 30) {
        lint_find(l, HF_LINT_NGINX_SEND_TIMEOUT, at, p->where, NULL,
                  "A backend that takes nothing for %g s is given up.", sending);
    }
}

static void check_headers(struct hf_lint *l, const struct place *p)
{
    struct lint_node *host = header_in(p->headers, "Host");
    struct lint_node *origin = header_in(p->headers, "Origin");
    if (host == NULL || lint_is_text(lint_node_word(host, 2), "$proxy_host")) {
        lint_find(l, HF_LINT_NGINX_HOST_MISSING, host == NULL ? p->block : host, p->where, NULL,
                  "The backend gets the Host of proxy_pass.");
    }
    if (origin != NULL && !lint_is_text(lint_node_word(origin, 2), "$http_origin")) {
        lint_find(l, HF_LINT_NGINX_ORIGIN_CLEARED, origin, p->where, NULL,
                  "Origin becomes \"%.*s\".", HF_SLICE_ARG(lint_node_word(origin, 2)));
    }
}

static void check_limits(struct hf_lint *l, const struct place *p)
{
    static const char *const names[] = {"limit_req", "limit_conn"};
    for (size_t i = 0; i < 2; i++) {
        struct lint_node *limit = in_force(p->block, names[i]);
        uint64_t number = UINT64_MAX;
        if (limit == NULL) {
            continue;
        }
        for (size_t w = 1; w < limit->count; w++) {
            struct hf_slice word = limit->words[w];
            if (hf_slice_starts(word, HF_LITERAL("burst="))) {
                word = hf_slice_from(word, 6);
                (void)lint_take_number(&word, &number);
            } else if (i == 1 && w == 2) {
                (void)lint_take_number(&word, &number);
            }
        }
        number = number == UINT64_MAX ? 0 : number;
        if (number < (i == 0 ? 50 : 10)) {
            lint_find(l, HF_LINT_NGINX_LIMIT_HANDSHAKES, limit, p->where, NULL,
                      i == 0 ? "No more than %llu handshakes may wait here when clients reconnect."
                             : "No more than %llu connections are let in for one key here.",
                      (unsigned long long)number);
        }
    }
}

/* ---- what tells of it ---- */

static bool format_has_time(struct lint_node *root, struct hf_slice name)
{
    for (struct lint_node *n = root; n != NULL; n = lint_node_walk(root, n)) {
        if (!lint_node_is(n, "log_format") || !hf_slice_eq(lint_node_word(n, 1), name)) {
            continue;
        }
        for (size_t i = 2; i < n->count; i++) {
            if (lint_contains_nocase(n->words[i], "request_time")) {
                return true;
            }
        }
    }
    return false;
}

static void check_logs(struct hf_lint *l, struct lint_node *root, const struct place *p)
{
    struct lint_node *access = in_force(p->block, "access_log");
    struct lint_node *error = in_force(p->block, "error_log");
    const struct hf_slice level = error == NULL ? HF_LITERAL("") : lint_node_word(error, 2);
    if (!lint_is_text(level, "info") && !lint_is_text(level, "debug")) {
        lint_find(l, HF_LINT_NGINX_LOG_LEVEL, error == NULL ? p->block : error, p->where, NULL,
                  "The error log's level is %.*s here.",
                  HF_SLICE_ARG(level.len == 0 ? HF_LITERAL("error") : level));
    }
    if (access == NULL || !format_has_time(root, lint_node_word(access, 2))) {
        lint_find(l, HF_LINT_NGINX_LOG_TIME, access == NULL ? p->block : access, p->where, NULL,
                  "%s",
                  access != NULL && lint_is_text(lint_node_word(access, 1), "off")
                      ? "There is no access log here."
                      : "The access log's format is without $request_time here.");
    }
}

static void check_map(struct hf_lint *l, struct lint_node *map)
{
    bool empty = false;
    if (!hf_slice_eq(lint_node_word(map, 1), HF_LITERAL("$http_upgrade"))) {
        return;
    }
    for (struct lint_node *c = map->first; c != NULL; c = c->next) {
        empty = empty || lint_node_word(c, 0).len == 0;
    }
    struct lint_node *standard = lint_node_child(map, "default", NULL);
    if (standard != NULL && !empty && lint_is_text(lint_node_word(standard, 1), "upgrade")) {
        lint_find(l, HF_LINT_NGINX_MAP_WITHOUT_EMPTY, map, "map $http_upgrade", NULL,
                  "There is no line for the empty value, so plain requests get \"upgrade\".");
    }
}

/* ---- the whole ---- */

static void check_process(struct hf_lint *l, struct lint_node *root)
{
    struct lint_node *timeout = in_force(root, "worker_shutdown_timeout");
    struct lint_node *nofile = in_force(root, "worker_rlimit_nofile");
    struct lint_node *events = lint_node_child(root, "events", NULL);
    struct lint_node *connections =
        events == NULL ? NULL : lint_node_child(events, "worker_connections", NULL);
    uint64_t number = 512, descriptors = 0;
    if (timeout != NULL) {
        const double seconds = seconds_of(lint_node_word(timeout, 1));
        if (seconds > 0 && seconds < 30 * MINUTE) {
            lint_find(l, HF_LINT_NGINX_SHUTDOWN_TIMEOUT, timeout, "", NULL,
                      "%g s after a reload all WebSockets of the old workers end at once.",
                      seconds);
        }
    }
    if (connections != NULL) {
        struct hf_slice word = lint_node_word(connections, 1);
        (void)lint_take_number(&word, &number);
    }
    if (events != NULL && number < 1024) {
        lint_find(l, HF_LINT_NGINX_CONNECTIONS_FEW, connections == NULL ? events : connections, "",
                  NULL, "A worker has %llu connections: %llu WebSockets at most.",
                  (unsigned long long)number, (unsigned long long)number / 2);
    }
    if (nofile != NULL) {
        struct hf_slice word = lint_node_word(nofile, 1);
        if (lint_take_number(&word, &descriptors) && descriptors < number) {
            lint_find(l, HF_LINT_NGINX_NOFILE, nofile, "", NULL,
                      "%llu descriptors for %llu connections.", (unsigned long long)descriptors,
                      (unsigned long long)number);
        }
    }
}

static void check_place(struct hf_lint *l, struct lint_node *root, const struct place *p)
{
    check_upgrade(l, p);
    check_times(l, p);
    check_headers(l, p);
    check_limits(l, p);
    check_logs(l, root, p);
}

static bool is_redirect(const struct lint_node *n)
{
    const struct hf_slice code = lint_node_word(n, 1);
    return lint_node_is(n, "return") && code.len == 3 && code.ptr[0] == '3' &&
           !lint_is_text(code, "304");
}

static void look_at(struct hf_lint *l, struct lint_node *root, struct lint_node *n)
{
    const struct lint_node *location = location_of(n);
    const bool by_path = location != NULL && lint_is_websocket_path(l, path_of(location));
    if (n->block && lint_node_child(n, "proxy_pass", NULL) != NULL) {
        struct place p = {.block = n,
                          .headers = level_of(n, "proxy_set_header"),
                          .where = name_of(l, n),
                          .by_path = by_path};
        if (by_path || header_in(p.headers, "Upgrade") != NULL) {
            l->places++;
            check_place(l, root, &p);
        }
    } else if (is_redirect(n) && by_path) {
        lint_find(l, HF_LINT_NGINX_REDIRECT, n, name_of(l, n), NULL,
                  "A handshake is answered with %.*s.", HF_SLICE_ARG(lint_node_word(n, 1)));
    } else if (lint_node_is(n, "map")) {
        check_map(l, n);
    }
}

void lint_nginx_rules(struct hf_lint *l, struct lint_node *root)
{
    const size_t before = l->places;
    for (struct lint_node *n = root; n != NULL && !l->failed && !hf_lint_is_full(l);
         n = lint_node_walk(root, n)) {
        look_at(l, root, n);
    }
    if (l->places > before) {
        check_process(l, root);
    }
}
