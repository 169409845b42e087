/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong between keys, although each alone is fine. A key whose value was refused is left
 * alone here. */
#include "config/build.h"

bool hf_config_address_is_local(const struct hf_address *address)
{
    static const uint8_t mapped[13] = {[10] = 0xff, [11] = 0xff, [12] = 127};
    switch (address->u.any.sa_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return ntohl(address->u.v4.sin_addr.s_addr) >> 24 == 127;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(&address->u.v6.sin6_addr) ||
               memcmp(&address->u.v6.sin6_addr, mapped, sizeof mapped) == 0;
    default:
        return false;
    }
}

static size_t index_of(const char *name)
{
    const struct hf_config_key *key = hf_config_key_find(hf_slice_of(name));
    HF_ASSERT(key != NULL);
    return hf_config_key_index(key);
}

static bool is_broken(const struct hf_config_route_build *r, const char *name)
{
    return r->marks.broken[index_of(name)];
}

/* Where a key was set, or else where its route stands. */
static const struct hf_config_where *where_of(const struct hf_config_route_build *r,
                                              const char *name)
{
    const struct hf_config_where *where = &r->marks.of[index_of(name)];
    return where->rank == HF_RANK_DEFAULT ? &r->where : where;
}

/* ---- listeners --------------------------------------------------------------------------------
 */

/* Two listeners cannot have one address; port 0 is a new one each time. */
static bool same_address(const struct hf_address *a, const struct hf_address *b)
{
    char left[128], right[128];
    if (a->len == 0 || b->len == 0 || a->u.any.sa_family != b->u.any.sa_family ||
        (a->u.any.sa_family == AF_INET && a->u.v4.sin_port == 0) ||
        (a->u.any.sa_family == AF_INET6 && a->u.v6.sin6_port == 0)) {
        return false;
    }
    hf_address_text(a, left);
    hf_address_text(b, right);
    return strcmp(left, right) == 0;
}

static void check_listen(struct hf_config_build *b, size_t i)
{
    const struct hf_listen_config *listen = &b->config->listens[i];
    char text[128];
    hf_address_text(&listen->address, text);
    for (size_t j = 0; j < i; j++) {
        if (same_address(&listen->address, &b->config->listens[j].address)) {
            hf_config_problem(b, &b->listen_where[i], "listen", "%s is listened on twice; keep one",
                              hf_config_shown(b, hf_slice_of(text)));
            return;
        }
    }
    if (same_address(&listen->address, &b->config->admin)) {
        hf_config_problem(b, where_of(&b->base, "admin"), "admin",
                          "%s is listened on for clients already; give admin its own",
                          hf_config_shown(b, hf_slice_of(text)));
    }
    if (listen->proxy_protocol && listen->address.u.any.sa_family != AF_UNIX &&
        b->config->trusted_proxy_count == 0 && !is_broken(&b->base, "trusted_proxies")) {
        hf_config_problem(b, &b->listen_where[i], "listen",
                          "proxy_protocol is on, but no proxy is trusted, so nobody could connect; "
                          "write trusted_proxies: [10.0.0.0/8] or the like");
    }
}

static void check_listens(struct hf_config_build *b)
{
    for (size_t i = 0; i < b->config->listen_count && !is_broken(&b->base, "listen"); i++) {
        check_listen(b, i);
    }
}

static void check_admin(struct hf_config_build *b)
{
    const struct hf_config *c = b->config;
    char text[128];
    if (c->admin.len == 0 || hf_config_address_is_local(&c->admin) || c->admin_token != NULL ||
        is_broken(&b->base, "admin") || is_broken(&b->base, "admin_token")) {
        return;
    }
    hf_address_text(&c->admin, text);
    hf_config_problem(
        b, where_of(&b->base, "admin"), "admin",
        "%s is not a loopback address and there is no admin_token; set one, or listen "
        "on 127.0.0.1",
        hf_config_shown(b, hf_slice_of(text)));
}

static void check_tls(struct hf_config_build *b)
{
    const struct hf_config *c = b->config;
    if (is_broken(&b->base, "tls.cert") || is_broken(&b->base, "tls.key")) {
        return;
    }
    if (c->tls.cert != NULL && c->tls.key == NULL) {
        hf_config_problem(b, where_of(&b->base, "tls.cert"), "tls.cert",
                          "there is no tls.key for it; set both");
    }
    if (c->tls.key != NULL && c->tls.cert == NULL) {
        hf_config_problem(b, where_of(&b->base, "tls.key"), "tls.key",
                          "there is no tls.cert for it; set both");
    }
}

/* ---- routes -----------------------------------------------------------------------------------
 */

static void check_auth(struct hf_config_build *b, const struct hf_config_route_build *r)
{
    const struct hf_route_config *route = &r->route;
    if (is_broken(r, "auth")) {
        return;
    }
    if (route->auth.kind == HF_AUTH_JWT && route->jwt.key_count == 0 && route->jwt.jwks == NULL &&
        !is_broken(r, "jwt.keys") && !is_broken(r, "jwt.jwks")) {
        hf_config_problem(
            b, where_of(r, "auth"), "auth",
            "jwt needs a key; write jwt: {keys: [{alg: HS256, env: JWT_SECRET}]} or jwt: "
            "{jwks: FILE}");
    }
    if (route->auth.kind == HF_AUTH_CALLOUT && route->callout.url == NULL &&
        !is_broken(r, "callout.url")) {
        hf_config_problem(b, where_of(r, "auth"), "auth",
                          "callout needs a URL; write callout: {url: http://127.0.0.1:8000/auth}");
    }
}

static void check_upstream(struct hf_config_build *b, const struct hf_config_route_build *r)
{
    const char *file = b->routes_value == NULL ? ", or --upstream http://127.0.0.1:8000" : "";
    if (r->route.upstream_count == 0 && !is_broken(r, "upstream")) {
        hf_config_problem(b, where_of(r, "upstream"), "upstream",
                          "there is none; write upstream: http://127.0.0.1:8000%s",
                          b->routes_value == NULL ? file : " in the route or at the top level");
    }
}

static void check_limits(struct hf_config_build *b, const struct hf_config_route_build *r)
{
    const struct hf_limits_config *limits = &r->route.limits;
    if (limits->messages_per_minute > 0 && limits->messages_burst > limits->messages_per_minute) {
        hf_config_problem(
            b, where_of(r, "limits.messages_burst"), "limits.messages_burst",
            "\"%u\" is more than limits.messages_per_minute, which is %u; allowed: 0 to "
            "%u",
            limits->messages_burst, limits->messages_per_minute, limits->messages_per_minute);
    }
}

static void check_app_heartbeat(struct hf_config_build *b, const struct hf_config_route_build *r)
{
    const struct hf_route_config *route = &r->route;
    if (route->app_heartbeat.match != NULL && route->app_heartbeat.answer == NULL &&
        route->app_heartbeat.mode == HF_BEAT_EDGE && !is_broken(r, "app_heartbeat.answer") &&
        !is_broken(r, "app_heartbeat.mode")) {
        hf_config_problem(b, where_of(r, "app_heartbeat.match"), "app_heartbeat.match",
                          "there is no answer; write app_heartbeat.answer, or mode: pass when the "
                          "backend answers");
    }
}

static void check_prologue(struct hf_config_build *b, const struct hf_config_route_build *r)
{
    const struct hf_route_config *route = &r->route;
    if (route->on_backend_loss == HF_LOSS_PROLOGUE && route->prologue.match.count == 0 &&
        !is_broken(r, "prologue.match")) {
        hf_config_problem(
            b, where_of(r, "on_backend_loss"), "on_backend_loss",
            "prologue needs to know which messages that are; write prologue.match, or "
            "hold");
    }
}

/* Against the routes in front of it in the file. */
static void check_route_is_new(struct hf_config_build *b, const struct hf_config_route_build *r)
{
    for (const struct hf_config_route_build *old = b->routes; old < r; old++) {
        if (old->route.path == NULL || old->route.name == NULL) {
            continue;
        }
        if (strcmp(old->route.path, r->route.path) == 0) {
            hf_config_problem(b, where_of(r, "path"), "path",
                              "%s is the path of the route at %u:%u too; keep one",
                              hf_config_shown(b, hf_slice_of(r->route.path)), old->where.line,
                              old->where.column);
            return;
        }
        if (r->route.name != NULL && strcmp(old->route.name, r->route.name) == 0) {
            hf_config_problem(b, where_of(r, "name"), "name",
                              "%s is the name of the route at %u:%u too; each has its own",
                              hf_config_shown(b, hf_slice_of(r->route.name)), old->where.line,
                              old->where.column);
            return;
        }
    }
}

static void check_route(struct hf_config_build *b, const struct hf_config_route_build *r)
{
    if (r->route.path != NULL) {
        check_route_is_new(b, r);
    } else if (!is_broken(r, "path")) {
        hf_config_problem(b, where_of(r, "path"), "path",
                          "there is none; write path: /ws/ or the like");
    }
    check_upstream(b, r);
    check_auth(b, r);
    check_limits(b, r);
    check_app_heartbeat(b, r);
    check_prologue(b, r);
}

void hf_config_check(struct hf_config_build *b)
{
    check_listens(b);
    check_admin(b);
    check_tls(b);
    for (size_t i = 0; i < b->route_count && !b->no_memory; i++) {
        check_route(b, &b->routes[i]);
    }
}
