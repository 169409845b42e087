/* SPDX-License-Identifier: Apache-2.0 */
/* Who may come in: the rules a request passes between its head and the backend, in this order:
 * well-formed upgrade, total rate, route, host, origin, extensions, rates and connections by route
 * and address, authentication, rates and connections by principal. The first that says no makes the
 * refusal. */
#include "gateway/opening.h"

#include "base/redact.h"
#include "gateway/fallback.h"
#include "gateway/keep.h"
#include "gateway/keep_websocket.h"
#include "http/url.h"
#include "policy/access.h"
#include "ws/extension.h"
#include "ws/handshake.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- logging
 * -------------------------------------------------------------------------------------------------
 */

static void log_auth(struct hf_opening *o, const char *result, const char *subject,
                     const char *reason)
{
    struct hf_log_line line;
    char peer[46];
    hf_peer_text(o->peer, peer);
    hf_log_begin(&line, o->worker->gateway->log, HF_LOG_INFO, o->worker->loop->wall, "ws auth");
    hf_log_number(&line, "id", (int64_t)o->id);
    hf_log_cstr(&line, "result", result);
    hf_log_cstr(&line, "subject", subject);
    hf_log_cstr(&line, "reason", reason);
    hf_log_cstr(&line, "address", peer);
    hf_log_cstr(&line, "route", o->identity->route->config->name);
    hf_log_end(&line);
}

void hf_opening_auth_abandoned(struct hf_opening *o)
{
    if (o->callout != NULL) {
        log_auth(o, "abandoned", "", "the connection ended before the call-out answered");
        hf_callout_cancel(o->callout);
        o->callout = NULL;
    }
}

/* ---- the steps: each says true when the request may go on
 * ---------------------------------------------------- */

static bool no(struct hf_opening *o, enum hf_cause cause, uint16_t status, const char *why)
{
    hf_opening_refuse(o, cause, status, why, 0);
    return false;
}

/* An attempt that the route's hosts or origins refuse. */
static bool not_let_in(struct hf_opening *o, enum hf_cause cause, const char *what,
                       const struct hf_slice *value)
{
    char why[124];
    struct hf_slice shown = value != NULL ? hf_slice_first(*value, 80) : hf_slice(NULL, 0);
    (void)snprintf(why, sizeof(why), "the %s%s%.*s is not one of the route's", what,
                   shown.len > 0 ? " " : "", (int)shown.len,
                   shown.len > 0 ? (const char *)shown.ptr : "");
    log_auth(o, "refused", "", why);
    return no(o, cause, 403, why);
}

/* What the client says of a session; the backend is not told. */
static bool read_offer(struct hf_opening *o)
{
    struct hf_slice member;
    uint32_t cursor = 0;
    memset(&o->offer, 0, sizeof(o->offer));
    while (hf_head_next_member(o->head, "Sec-WebSocket-Protocol", &cursor, &member)) {
        (void)hf_offer_member(&o->offer, member);
    }
    hf_offer_finish(&o->offer);
    return o->offer.kind != HF_OFFER_BAD || no(o, HF_CAUSE_HANDSHAKE_BAD, 400, o->offer.why);
}

#define CONNECTION_MEMBERS_MAX 32 /* each header is compared with each of them */
static bool check_upgrade(struct hf_opening *o)
{
    struct hf_ws_refusal refusal = hf_ws_check_request(o->head);
    if (refusal.not_websocket) {
        return no(
            o, HF_CAUSE_NOT_WEBSOCKET, 426,
            "this port is a WebSocket gateway: it answers WebSocket upgrades, and for sessions "
            "without WebSockets GET with Accept: text/event-stream or application/x-hf1 and "
            "POST with HF-Key; send ordinary HTTP requests to the application itself");
    }
    if (refusal.status != 0) {
        o->tell_version = refusal.version;
        return no(o, HF_CAUSE_HANDSHAKE_BAD, refusal.status, refusal.why);
    }
    struct hf_slice member;
    uint32_t cursor = 0;
    for (unsigned members = 0; hf_head_next_member(o->head, "Connection", &cursor, &member);
         members++) {
        if (members == CONNECTION_MEMBERS_MAX) {
            return no(o, HF_CAUSE_HANDSHAKE_BAD, 400, "Connection names too many headers");
        }
    }
    if (o->early_bytes && o->fallback.kind == HF_FALLBACK_NONE) {
        return no(o, HF_CAUSE_HANDSHAKE_BAD, 400,
                  "bytes came behind the request, before its answer");
    }
    return read_offer(o);
}

static bool same_list(const struct hf_string_list *a, const struct hf_string_list *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        same = strcmp(a->items[i], b->items[i]) == 0;
    }
    return same;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_keys(const struct hf_jwt_config *a, const struct hf_jwt_config *b)
{
    bool same = a->key_count == b->key_count && same_text(a->jwks, b->jwks);
    for (size_t i = 0; same && i < a->key_count; i++) {
        const struct hf_jwt_key_config *x = &a->keys[i];
        const struct hf_jwt_key_config *y = &b->keys[i];
        same = same_text(x->kid, y->kid) && same_text(x->alg, y->alg) &&
               same_text(x->file, y->file) && same_text(x->env, y->env);
    }
    return same && same_text(a->issuer, b->issuer) && same_list(&a->audience, &b->audience) &&
           a->from == b->from;
}

/* Both routes let in the same people. */
static bool same_access(const struct hf_route_config *a, const struct hf_route_config *b)
{
    return a->auth.kind == b->auth.kind && same_list(&a->hosts, &b->hosts) &&
           same_list(&a->origins, &b->origins) && a->missing_origin == b->missing_origin &&
           (a->auth.kind != HF_AUTH_JWT || same_keys(&a->jwt, &b->jwt)) &&
           (a->auth.kind != HF_AUTH_CALLOUT || same_text(a->callout.url, b->callout.url));
}

/* The spellings that careless servers fold: capitals, empty segments, what is behind a ';', dots
 * and spaces at a segment's end. */
static bool is_odd(struct hf_slice path)
{
    uint8_t before = 0;
    for (size_t i = 0; i < path.len; i++) {
        uint8_t c = path.ptr[i];
        bool ends = i + 1 == path.len || path.ptr[i + 1] == '/';
        if ((c >= 'A' && c <= 'Z') || c == ';' || c == '%' || (c == '/' && before == '/') ||
            (ends && c == '.')) {
            return true;
        }
        before = c;
    }
    return false;
}

/* A segment without what is behind a ';' or %3B, and without dots and %20 at its end. */
static struct hf_slice fold_segment(struct hf_slice segment)
{
    segment = hf_slice_first(segment, hf_slice_find(segment, ';'));
    segment = hf_slice_first(segment, hf_slice_search(segment, HF_LITERAL("%3B")));
    segment = hf_slice_first(segment, hf_slice_search(segment, HF_LITERAL("%3b")));
    for (;;) {
        if (segment.len > 0 && segment.ptr[segment.len - 1] == '.') {
            segment.len--;
        } else if (hf_slice_ends(segment, HF_LITERAL("%20"))) {
            segment.len -= 3;
        } else {
            return segment;
        }
    }
}

static void fold_path(struct hf_slice path, struct hf_buffer *out)
{
    struct hf_slice segment;
    bool slash = path.len > 0 && path.ptr[path.len - 1] == '/';
    while (hf_slice_next(&path, '/', &segment)) {
        segment = fold_segment(segment);
        if (segment.len > 0) {
            hf_buffer_add_byte(out, '/');
        }
        for (size_t i = 0; i < segment.len; i++) {
            uint8_t c = segment.ptr[i];
            hf_buffer_add_byte(out, c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c);
        }
    }
    if (slash || out->len == 0) {
        hf_buffer_add_byte(out, '/');
    }
}

/* A backend that reads paths carelessly would serve what a more particular route guards: such a
 * spelling is refused. */
static bool is_ambiguous(struct hf_opening *o, const struct hf_route *route)
{
    struct hf_buffer folded;
    struct hf_route *other;
    if (o->runtime->config->route_count < 2 || !is_odd(hf_buffer_slice(&o->path))) {
        return false;
    }
    hf_buffer_init(&folded, &hf_heap, o->path.max * 2);
    fold_path(hf_buffer_slice(&o->path), &folded);
    other = folded.failed ? NULL : hf_runtime_route(o->runtime, hf_buffer_slice(&folded));
    hf_buffer_reset(&folded);
    return other != NULL && strlen(other->config->path) > strlen(route->config->path) &&
           !same_access(other->config, route->config);
}

static struct hf_route *find_route(struct hf_opening *o)
{
    struct hf_slice path;
    struct hf_slice query;
    hf_target_split(o->head->target, &path, &query);
    hf_buffer_clear(&o->path);
    if (!hf_path_normal(path, &o->path)) {
        (void)no(o, HF_CAUSE_HANDSHAKE_BAD, 400,
                 "the path has dot segments, an encoded slash or a bad escape");
        return NULL;
    }
    struct hf_route *route = hf_runtime_route(o->runtime, hf_buffer_slice(&o->path));
    if (route == NULL) {
        (void)no(o, HF_CAUSE_NO_ROUTE, 404, "no route of the gateway takes this path");
    } else if (is_ambiguous(o, route)) {
        (void)no(o, HF_CAUSE_HANDSHAKE_BAD, 400,
                 "the path can be read in two ways, for which different rules hold");
        route = NULL;
    }
    return route;
}

static bool make_identity(struct hf_opening *o, struct hf_route *route)
{
    struct hf_buffer target;
    hf_buffer_init(&target, &hf_heap, o->runtime->config->head_max * 2);
    const char *further[3] = {0};
    size_t names = 0;
    if (route->config->auth.kind == HF_AUTH_JWT) {
        further[names++] = route->config->jwt.query;
    }
    if (route->config->balance == HF_BALANCE_QUERY) {
        further[names] = route->config->balance_key;
    }
    hf_redact_target_and(o->head->target, further, &target);
    o->identity = hf_identity_new(o->runtime, hf_slice(NULL, 0),
                                  hf_slice_first(hf_buffer_slice(&target), 512));
    hf_buffer_reset(&target);
    if (o->identity == NULL) {
        hf_opening_refuse(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "out of memory", 1);
        return false;
    }
    (void)hf_runtime_ref(o->runtime); /* the identity's own */
    o->identity->route = route;
    o->identity->id = o->id;
    o->identity->tls = o->listener_tls != NULL;
    memcpy(o->identity->peer, o->peer, sizeof(o->peer));
    o->identity->peer_port = o->peer_port;
    return true;
}

static bool check_host(struct hf_opening *o, const struct hf_route_config *config)
{
    const struct hf_slice *host = hf_head_find(o->head, "Host");
    for (size_t i = 0; i < config->hosts.count; i++) {
        if (host != NULL && hf_host_matches(hf_slice_of(config->hosts.items[i]), *host)) {
            return true;
        }
    }
    return config->hosts.count == 0 || not_let_in(o, HF_CAUSE_HOST_REFUSED, "Host", host);
}

/* A browser sends no Origin when a page asks its own server, nor with a GET whose answer the page
 * is not to see; it says which in a header that script cannot set. */
static bool check_no_origin(struct hf_opening *o, const struct hf_route_config *config)
{
    const struct hf_slice *site = hf_head_find(o->head, "Sec-Fetch-Site");
    const struct hf_slice *host = hf_opening_host(o);
    bool told = o->fallback.kind != HF_FALLBACK_NONE && site != NULL && host != NULL &&
                !hf_slice_eq(*site, HF_LITERAL("none")); /* the address bar */
    bool own = told && hf_slice_eq(*site, HF_LITERAL("same-origin")) &&
               hf_cors_same_origin((const char *const *)config->origins.items,
                                   config->origins.count, *host);
    return own || (!told && config->missing_origin == HF_ORIGIN_ALLOW) ||
           not_let_in(o, HF_CAUSE_ORIGIN_REFUSED, "missing Origin", NULL);
}

static bool check_origin(struct hf_opening *o, const struct hf_route_config *config)
{
    const struct hf_slice *origin = hf_head_find(o->head, "Origin");
    if (config->origins.count == 0) {
        return true;
    }
    if (origin == NULL) {
        return check_no_origin(o, config);
    }
    for (size_t i = 0; i < config->origins.count; i++) {
        if (hf_origin_matches(hf_slice_of(config->origins.items[i]), *origin)) {
            return true;
        }
    }
    return not_let_in(o, HF_CAUSE_ORIGIN_REFUSED, "Origin", origin);
}

static bool check_extensions(struct hf_opening *o)
{
    hf_buffer_clear(&o->offers);
    enum hf_extension_check check = hf_extension_offers(o->head, &o->offers);
    if (check == HF_EXTENSION_SYNTAX) {
        return no(o, HF_CAUSE_HANDSHAKE_BAD, 400, "Sec-WebSocket-Extensions cannot be parsed");
    }
    /* Another backend could not inflate what a lost one began; and a session keeps its messages as
     * the application made them. */
    if (o->identity->route->config->on_backend_loss != HF_LOSS_CLOSE || hf_opening_keeps(o)) {
        hf_buffer_clear(&o->offers);
    }
    return true;
}

/* ---- limits
 * -----------------------------------------------------------------------------------------------------
 */

static struct hf_limit_entry *entry_of(struct hf_opening *o, enum hf_limit_kind kind,
                                       struct hf_slice scope, struct hf_slice key)
{
    struct hf_membership *m = o->identity->membership;
    if (m == NULL) {
        m = o->identity->membership = calloc(1, sizeof(*m));
    }
    if (m == NULL) {
        return NULL;
    }
    struct hf_limit_entry **slot = &m->entries[kind];
    if (*slot == NULL) {
        *slot = hf_limits_get(o->worker->gateway->limits, kind, scope, key);
    }
    return *slot;
}

static void count_dry_run(struct hf_opening *o, const char *limit)
{
    hf_count(o->worker, HF_COUNT_limit_dry_run, 1);
    hf_worker_say_dry_run(o->worker, o->id, limit);
}

/* Charges a handshake; when there is no room: dry run, delay or refusal. */
static bool charge_handshake(struct hf_opening *o, enum hf_limit_kind kind, uint32_t per_second,
                             const char *limit)
{
    struct hf_limit_entry *entry = o->identity->membership->entries[kind];
    uint8_t bit = (uint8_t)(1U << kind);
    const struct hf_limits_config *limits = &o->identity->route->config->limits;
    struct hf_rate_rules rules = {
        .count = per_second, .period = HF_SECONDS(1), .burst = per_second};
    hf_time now = o->worker->loop->now;
    if (per_second == 0 || (o->charged & bit) != 0) {
        return true;
    }
    hf_time wait = hf_rate_charge(&entry->handshakes, &rules, 1, now);
    if (wait == 0) {
        o->charged |= bit;
        return true;
    }
    if (limits->dry_run) {
        o->charged |= bit;
        hf_rate_force(&entry->handshakes, &rules, 1, now);
        count_dry_run(o, limit);
        return true;
    }
    if (limits->excess_handshakes == HF_EXCESS_DELAY && now + wait - o->accepted <= HF_DELAY_MAX) {
        hf_opening_phase(o, HF_OPENING_DELAY, wait);
        return false;
    }
    hf_opening_refuse(o, HF_CAUSE_HANDSHAKE_RATE, 429, limit,
                      (uint32_t)((wait + 999999) / 1000000));
    return false;
}

static bool enter(struct hf_opening *o, enum hf_limit_kind kind, uint32_t max, const char *limit)
{
    struct hf_limit_entry *entry = o->identity->membership->entries[kind];
    uint8_t bit = (uint8_t)(1U << kind);
    if (entry == NULL || (o->identity->membership->entered & bit) != 0) {
        return true;
    }
    if (!hf_limit_enter(entry, max)) {
        if (o->identity->route->config->limits.dry_run) {
            count_dry_run(o, limit);
        } else if (hf_keep_replaces(o->worker, &o->offer)) {
            o->over_limit = true; /* the one that it takes the place of is counted too */
        } else {
            hf_opening_refuse(o, HF_CAUSE_CONNECTION_LIMIT, 429, limit, 5);
            return false;
        }
        hf_limit_force(entry);
    }
    o->identity->membership->entered |= bit;
    return true;
}

static bool out_of_entries(struct hf_opening *o)
{
    hf_opening_refuse(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "the gateway is out of resources", 5);
    return false;
}

/* One kind of limit, both its halves. False when the request was refused or is delayed. */
struct demand {
    enum hf_limit_kind kind;
    uint32_t handshakes;
    uint32_t connections;
    bool messages; /* the entry is needed for the principal's messages */
    struct hf_slice scope;
    struct hf_slice key;
    const char *rate_text;
    const char *count_text;
};

static bool check_limit(struct hf_opening *o, const struct demand *d)
{
    if (d->handshakes == 0 && d->connections == 0 && !d->messages) {
        return true;
    }
    struct hf_limit_entry *entry = entry_of(o, d->kind, d->scope, d->key);
    if (entry == NULL) {
        return out_of_entries(o);
    }
    return charge_handshake(o, d->kind, d->handshakes, d->rate_text) &&
           (d->connections == 0 || enter(o, d->kind, d->connections, d->count_text));
}

/* What counts as one address: an IPv4 address, or an IPv6 network of 64 bits, of which every host
 * has a whole one. */
static struct hf_slice network_of(const uint8_t peer[16])
{
    static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};
    return hf_slice(peer, memcmp(peer, v4, sizeof(v4)) == 0 ? 16 : 8);
}

static bool check_limits(struct hf_opening *o, const struct hf_route_config *config)
{
    const struct hf_config *all = o->runtime->config;
    struct hf_slice none = {NULL, 0};
    struct hf_slice scope = hf_slice_of(config->path);
    const struct demand total = {HF_LIMIT_TOTAL,
                                 all->total_handshakes_per_second,
                                 all->total_connections,
                                 false,
                                 none,
                                 none,
                                 "too many handshakes a second in all",
                                 "too many connections in all"};
    const struct demand route = {HF_LIMIT_ROUTE,
                                 config->limits.route_handshakes_per_second,
                                 config->limits.route_connections,
                                 false,
                                 scope,
                                 none,
                                 "too many handshakes a second on this route",
                                 "too many connections on this route"};
    const struct demand address = {HF_LIMIT_ADDRESS,
                                   config->limits.address_handshakes_per_second,
                                   config->limits.address_connections,
                                   false,
                                   scope,
                                   network_of(o->peer),
                                   "too many handshakes a second from this address",
                                   "too many connections from this address"};
    /* The narrowest first: one address that knocks too often must not eat what all share. */
    return check_limit(o, &address) && check_limit(o, &route) && check_limit(o, &total);
}

static bool check_principal(struct hf_opening *o)
{
    const struct hf_route_config *config = o->identity->route->config;
    if (hf_identity_subject(o->identity)[0] == '\0') {
        return true;
    }
    const struct demand d = {HF_LIMIT_PRINCIPAL,
                             config->limits.principal_handshakes_per_second,
                             config->limits.principal_connections,
                             config->limits.principal_messages_per_minute > 0,
                             hf_slice_of(config->path),
                             hf_slice_of(hf_identity_subject(o->identity)),
                             "too many handshakes a second for this principal",
                             "too many connections for this principal"};
    return check_limit(o, &d);
}

/* ---- subprotocols and the token
 * --------------------------------------------------------------------------------- */

/* Offers what the client offers, without the member that carries the token. */
static bool copy_protocols(struct hf_opening *o, const char *token_prefix)
{
    struct hf_slice member;
    struct hf_offer offer = {0};
    uint32_t cursor = 0;
    hf_buffer_clear(&o->protocols);
    while (hf_head_next_member(o->head, "Sec-WebSocket-Protocol", &cursor, &member)) {
        if ((token_prefix != NULL && hf_slice_starts(member, hf_slice_of(token_prefix))) ||
            hf_offer_member(&offer, member)) {
            continue;
        }
        if (o->protocols.len > 0) {
            hf_buffer_add_text(&o->protocols, ", ");
        }
        hf_buffer_add(&o->protocols, member);
    }
    return !o->protocols.failed;
}

/* What a place held: no token, one, or more than one, of which the backend might read another than
 * the gateway. */
enum found { FOUND_NONE, FOUND_ONE, FOUND_MANY };

/* How often the parameter is there, for servers that part at & and for those that part at ; as
 * well. */
static unsigned count_in_query(struct hf_slice query, struct hf_slice name)
{
    struct hf_slice pair;
    struct hf_slice part;
    struct hf_slice value;
    unsigned count = 0;
    while (hf_slice_next(&query, '&', &pair)) {
        while (hf_slice_next(&pair, ';', &part)) {
            count += hf_query_find(part, name, &value) ? 1 : 0;
        }
    }
    return count;
}

static enum found token_of_query(struct hf_opening *o, const char *name)
{
    struct hf_slice path;
    struct hf_slice query;
    struct hf_slice value;
    hf_target_split(o->head->target, &path, &query);
    if (!hf_query_find(query, hf_slice_of(name), &value)) {
        return FOUND_NONE;
    }
    if (count_in_query(query, hf_slice_of(name)) > 1) {
        return FOUND_MANY;
    }
    hf_buffer_clear(&o->token_bytes);
    if (!hf_percent_decode(value, &o->token_bytes)) {
        return FOUND_MANY; /* nobody knows what the backend makes of it */
    }
    o->token = hf_buffer_slice(&o->token_bytes);
    return o->token.len > 0 ? FOUND_ONE : FOUND_NONE;
}

static enum found token_of_header(struct hf_opening *o)
{
    const struct hf_slice *value = hf_head_find(o->head, "Authorization");
    if (value == NULL) {
        return FOUND_NONE;
    }
    if (hf_head_count(o->head, "Authorization") > 1) {
        return FOUND_MANY;
    }
    if (value->len < 7 || !hf_slice_eq_nocase(hf_slice_first(*value, 7), HF_LITERAL("Bearer "))) {
        return FOUND_NONE;
    }
    o->token = hf_slice_trim(hf_slice_from(*value, 7));
    return o->token.len > 0 ? FOUND_ONE : FOUND_NONE;
}

/* Over all Cookie lines; a name that is there twice is more than one. */
static enum found token_of_cookie(struct hf_opening *o, const char *name)
{
    enum found found = FOUND_NONE;
    for (size_t i = 0; i < o->head->count; i++) {
        struct hf_slice rest = o->head->headers[i].value;
        struct hf_slice pair;
        struct hf_slice value;
        if (!hf_slice_eq_nocase(o->head->headers[i].name, HF_LITERAL("Cookie"))) {
            continue;
        }
        while (hf_slice_next(&rest, ';', &pair)) {
            if (hf_cookie_find(hf_slice_trim(pair), hf_slice_of(name), &value) && value.len > 0) {
                found = found == FOUND_NONE ? FOUND_ONE : FOUND_MANY;
                o->token = value;
            }
        }
    }
    return found;
}

static enum found token_of_protocol(struct hf_opening *o, const char *prefix)
{
    struct hf_slice member;
    uint32_t cursor = 0;
    enum found found = FOUND_NONE;
    while (hf_head_next_member(o->head, "Sec-WebSocket-Protocol", &cursor, &member)) {
        if (hf_slice_starts(member, hf_slice_of(prefix))) {
            found = found == FOUND_NONE ? FOUND_ONE : FOUND_MANY;
            o->token = hf_slice_from(member, strlen(prefix));
        }
    }
    return found;
}

static enum found token_of_place(struct hf_opening *o, const struct hf_jwt_config *jwt,
                                 enum hf_token_place place)
{
    switch (place) {
    case HF_TOKEN_QUERY:
        return token_of_query(o, jwt->query);
    case HF_TOKEN_HEADER:
        return token_of_header(o);
    case HF_TOKEN_COOKIE:
        return token_of_cookie(o, jwt->cookie);
    case HF_TOKEN_SUBPROTOCOL:
    default:
        return token_of_protocol(o, jwt->subprotocol);
    }
}

/* Looks in every place the route names. Tokens that differ are FOUND_MANY: the one that is checked
 * must be the one that counts. */
static enum found find_token(struct hf_opening *o, const struct hf_jwt_config *jwt)
{
    static const enum hf_token_place places[] = {HF_TOKEN_QUERY, HF_TOKEN_HEADER, HF_TOKEN_COOKIE,
                                                 HF_TOKEN_SUBPROTOCOL};
    struct hf_slice first = {NULL, 0};
    enum found found = FOUND_NONE;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        enum found here =
            (jwt->from & places[i]) != 0 ? token_of_place(o, jwt, places[i]) : FOUND_NONE;
        if (here == FOUND_MANY ||
            (here == FOUND_ONE && found == FOUND_ONE && !hf_slice_eq(first, o->token))) {
            return FOUND_MANY;
        }
        if (here == FOUND_ONE && found == FOUND_NONE) {
            first = o->token;
            found = FOUND_ONE;
        }
    }
    o->token = first;
    return found;
}

/* ---- authentication
 * ---------------------------------------------------------------------------------------------- */

/* Gives the identity its subject: it is made anew, because its strings are part of its block. */
static bool name_identity(struct hf_opening *o, struct hf_slice subject)
{
    struct hf_identity *old = o->identity;
    if (subject.len == 0) {
        return true;
    }
    struct hf_identity *named =
        hf_identity_new(old->runtime, subject, hf_slice_of(hf_identity_target(old)));
    if (named == NULL) {
        hf_opening_refuse(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "out of memory", 1);
        return false;
    }
    uint16_t subject_len = named->subject_len;
    memcpy(named, old, offsetof(struct hf_identity, text));
    named->subject_len = subject_len;
    free(old); /* everything it held went over */
    o->identity = named;
    return true;
}

static bool check_jwt(struct hf_opening *o)
{
    const struct hf_route *route = o->identity->route;
    const struct hf_jwt_config *jwt = &route->config->jwt;
    struct hf_jwt_claims claims = {.expires = INT64_MAX};
    enum hf_jwt_verdict verdict = HF_JWT_MISSING;
    if (!copy_protocols(o, (jwt->from & HF_TOKEN_SUBPROTOCOL) != 0 ? jwt->subprotocol : NULL)) {
        hf_opening_refuse(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "out of memory", 1);
        return false;
    }
    enum found found = find_token(o, jwt);
    if (found == FOUND_ONE) {
        verdict = hf_jwt_check(route->jwt, jwt, o->token, o->worker->loop->wall, &claims);
    } else if (found == FOUND_MANY) {
        verdict = HF_JWT_MALFORMED;
    }
    log_auth(o, verdict == HF_JWT_OK ? "ok" : "refused", claims.subject,
             hf_jwt_verdict_text(verdict));
    switch (verdict) {
    case HF_JWT_OK:
        o->identity->expires = jwt->expiry ? claims.expires : INT64_MAX;
        return name_identity(o, hf_slice_of(claims.subject));
    case HF_JWT_ISSUER:
    case HF_JWT_AUDIENCE:
        return no(o, HF_CAUSE_AUTH_REFUSED, 403, hf_jwt_verdict_text(verdict));
    case HF_JWT_MISSING:
        return no(o, HF_CAUSE_AUTH_MISSING, 401, "a token is needed");
    case HF_JWT_MALFORMED:
    case HF_JWT_ALGORITHM:
    case HF_JWT_NO_KEY:
    case HF_JWT_SIGNATURE:
    case HF_JWT_EXPIRED:
    case HF_JWT_NOT_YET:
    default:
        return no(o, HF_CAUSE_AUTH_INVALID, 401, hf_jwt_verdict_text(verdict));
    }
}

static void go_on(struct hf_opening *o)
{
    if (!check_principal(o)) {
        return;
    }
    if (o->fallback.kind != HF_FALLBACK_NONE) {
        hf_fallback_attach(o);
    } else if (hf_opening_keeps(o)) {
        hf_opening_arrive(o);
    } else {
        hf_opening_connect(o);
    }
}

static void deny(struct hf_opening *o, const struct hf_callout_answer *answer)
{
    bool inside = hf_opening_keeps(o);
    hf_opening_record(o, answer->status == 401 ? HF_CAUSE_AUTH_INVALID : HF_CAUSE_AUTH_REFUSED,
                      answer->status, answer->why, 0);
    if (inside) {
        hf_opening_refuse_inside(o, "gateway", "auth", answer->status, 0);
        return;
    }
    hf_buffer_clear(&o->reply);
    hf_buffer_addf(&o->reply, "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Length: %zu\r\n",
                   answer->status, hf_http_reason(answer->status), answer->body.len);
    if (answer->content_type.len > 0) {
        hf_buffer_addf(&o->reply, "Content-Type: %.*s\r\n", HF_SLICE_ARG(answer->content_type));
    }
    if (answer->challenge.len > 0) {
        hf_buffer_addf(&o->reply, "WWW-Authenticate: %.*s\r\n", HF_SLICE_ARG(answer->challenge));
    }
    hf_cors_write(o->cors, hf_head_find(o->head, "Origin"), &o->reply);
    hf_buffer_add_text(&o->reply, "\r\n");
    hf_buffer_add(&o->reply, answer->body);
    hf_opening_reply(o);
}

static void callout_done(void *owner, const struct hf_callout_answer *answer)
{
    struct hf_opening *o = owner;
    char subject[HF_SUBJECT_MAX];
    o->callout = NULL;
    hf_subject_write(answer->subject, subject);
    log_auth(o,
             answer->kind == HF_CALLOUT_ALLOW  ? "ok"
             : answer->kind == HF_CALLOUT_DENY ? "refused"
                                               : "failed",
             subject, answer->why);
    switch (answer->kind) {
    case HF_CALLOUT_ALLOW:
        if (hf_buffer_add(&o->extra, answer->headers) != HF_OK) {
            hf_opening_refuse(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "out of memory", 1);
        } else if (name_identity(o, hf_slice_of(subject))) {
            go_on(o);
        }
        break;
    case HF_CALLOUT_DENY:
        deny(o, answer);
        break;
    case HF_CALLOUT_TIMEOUT:
        hf_opening_refuse(o, HF_CAUSE_AUTH_UNAVAILABLE, 504,
                          "the application did not answer the question whether you may come in", 1);
        break;
    case HF_CALLOUT_FAILED:
    default:
        hf_opening_refuse(o, HF_CAUSE_AUTH_UNAVAILABLE, 502,
                          "the application could not be asked whether you may come in", 1);
        break;
    }
}

static void start_callout(struct hf_opening *o)
{
    const struct hf_route *route = o->identity->route;
    char peer[46];
    hf_peer_text(o->peer, peer);
    /* The call-out keeps its own time; this phase's timer is only a net under it. */
    hf_opening_phase(o, HF_OPENING_CALLOUT, route->config->callout.timeout + HF_SECONDS(5));
    if (hf_callout_start(o->worker->loop, route->callout, route->config, o->head, peer,
                         o->listener_tls != NULL, callout_done, o, &o->callout) != HF_OK) {
        hf_opening_refuse(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "out of memory", 1);
    }
}

/* ---- all of it
 * ------------------------------------------------------------------------------------------------------
 */

/* A request without WebSockets is judged by its route first; one that attaches is a handshake from
 * then on. */
static bool admit_fallback(struct hf_opening *o)
{
    struct hf_route *route = find_route(o);
    if (route == NULL) {
        return false;
    }
    if (!route->config->session.enabled || !route->config->fallback.enabled) {
        o->fallback.kind = HF_FALLBACK_NONE;
        return check_upgrade(o);
    }
    const struct hf_string_list *origins = &route->config->origins;
    o->cors = hf_cors_judge((const char *const *)origins->items, origins->count,
                            hf_head_find(o->head, "Origin"));
    return make_identity(o, route) && check_host(o, route->config) &&
           check_origin(o, route->config) && hf_fallback_begin(o) && check_upgrade(o) &&
           check_extensions(o);
}

static bool admit_first(struct hf_opening *o)
{
    struct hf_route *route;
    memcpy(o->nearest, o->peer, sizeof(o->nearest));
    o->nearest_port = o->peer_port;
    hf_opening_believe_proxies(o);
    hf_fallback_read(o->head, &o->fallback);
    if (o->fallback.kind != HF_FALLBACK_NONE) {
        return admit_fallback(o);
    }
    return check_upgrade(o) && (route = find_route(o)) != NULL && make_identity(o, route) &&
           check_host(o, route->config) && check_origin(o, route->config) && check_extensions(o);
}

void hf_opening_admit(struct hf_opening *o)
{
    if (o->identity == NULL) {
        if (!admit_first(o)) {
            return;
        }
    }
    const struct hf_route_config *config = o->identity->route->config;
    if (o->admitted) { /* a delay by principal is over */
        go_on(o);
        return;
    }
    if (!check_limits(o, config)) {
        return;
    }
    o->admitted = true;
    if (config->auth.kind == HF_AUTH_CALLOUT) {
        (void)copy_protocols(o, NULL);
        start_callout(o);
    } else if (config->auth.kind == HF_AUTH_JWT) {
        if (check_jwt(o)) {
            go_on(o);
        }
    } else if (copy_protocols(o, NULL)) {
        go_on(o);
    } else {
        hf_opening_refuse(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "out of memory", 1);
    }
}
