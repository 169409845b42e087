/* SPDX-License-Identifier: Apache-2.0 */
/* The request to a backend. It is made anew from the client's: hop-by-hop headers end here, and
 * those that say who the client is are ours. */
#include "gateway/petition.h"

#include "http/url.h"

#include <stdlib.h>

/* ---- headers -----------------------------------------------------------------------------------
 */

/* X_Forwarded_For is the same header as X-Forwarded-For to a WSGI or CGI application. prefix: name
 * may go on behind text. */
static bool is_header(struct hf_slice name, const char *text, bool prefix)
{
    size_t k = 0;
    while (k < name.len && text[k] != '\0' &&
           ((name.ptr[k] | 0x20) == (text[k] | 0x20) || (name.ptr[k] == '_' && text[k] == '-'))) {
        k++;
    }
    return text[k] == '\0' && (prefix || k == name.len);
}

static bool is_one_of(struct hf_slice name, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (is_header(name, names[i], false)) {
            return true;
        }
    }
    return false;
}

/* Headers that end at the gateway, or that it writes itself. */
static bool is_ours(struct hf_slice name)
{
    static const char *const ours[] = {
        "Connection",
        "Upgrade",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authorization",
        "Proxy-Authenticate",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Content-Length",
        "Host",
        "Expect",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "X-Real-IP",
        "Forwarded",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Key",
        NULL,
    };
    return is_one_of(name, ours);
}

/* What only a proxy in front may say of a client, by whatever name. */
static bool is_proxys(struct hf_slice name)
{
    static const char *const names[] = {
        "CF-Connecting-IP",
        "CF-Connecting-IPv6",
        "CF-IPCountry",
        "True-Client-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "Fastly-Client-IP",
        "Client-IP",
        "Forwarded-For",
        "Front-End-Https",
        "X-Original-URL",
        "X-Rewrite-URL",
        NULL,
    };
    return is_header(name, "X-Forwarded", true) || is_header(name, "X-Original-Forwarded", true) ||
           is_one_of(name, names);
}

/* What the call-out says of the client is never the client's to say, whether the call-out said it
 * this time or not. */
static bool is_callouts(const struct hf_route_config *config, struct hf_slice name)
{
    if (config->auth.kind != HF_AUTH_CALLOUT) {
        return false;
    }
    for (size_t i = 0; i < config->callout.copy.count; i++) {
        if (is_header(name, config->callout.copy.items[i], false)) {
            return true;
        }
    }
    return config->callout.subject != NULL && is_header(name, config->callout.subject, false);
}

static void add_line(struct hf_buffer *b, const char *name, struct hf_slice value)
{
    hf_buffer_add_text(b, name);
    hf_buffer_add_text(b, ": ");
    hf_buffer_add(b, value);
    hf_buffer_add_text(b, "\r\n");
}

static void add_header(struct hf_buffer *b, const struct hf_header *h)
{
    hf_buffer_add(b, h->name);
    hf_buffer_add_text(b, ": ");
    hf_buffer_add(b, h->value);
    hf_buffer_add_text(b, "\r\n");
}

/* The target without the token, or with the newer one in its place. */
static struct hf_slice target_of(const struct hf_petition *p, const struct hf_route_config *config,
                                 struct hf_buffer *changed)
{
    struct hf_slice name;
    enum hf_status status;
    if (config->auth.kind != HF_AUTH_JWT || (config->jwt.from & HF_TOKEN_QUERY) == 0 ||
        (!config->jwt.strip && p->token.ptr == NULL)) {
        return p->head->target;
    }
    name = hf_slice_of(config->jwt.query);
    status = config->jwt.strip ? hf_query_remove(p->head->target, name, changed)
                               : hf_query_replace(p->head->target, name, p->token, changed);
    return status == HF_OK ? hf_buffer_slice(changed) : p->head->target;
}

static void add_target(const struct hf_petition *p, const struct hf_identity *identity,
                       struct hf_buffer *b)
{
    const struct hf_route_config *config = identity->route->config;
    struct hf_slice path;
    struct hf_slice query;
    struct hf_buffer changed;
    hf_buffer_init(&changed, &hf_heap,
                   identity->runtime->config->head_max + 3 * p->token.len * HF_HEADERS_MAX);
    hf_target_split(target_of(p, config, &changed), &path, &query);
    hf_buffer_add_text(b, identity->backend->config->path);
    if (config->rewrite != NULL) {
        hf_buffer_add_text(b, config->rewrite);
        hf_buffer_add(b, hf_slice_from(p->path, strlen(config->path)));
    } else {
        hf_buffer_add(b, path);
    }
    if (query.ptr != NULL) {
        hf_buffer_add_byte(b, '?');
        hf_buffer_add(b, query); /* byte for byte */
    }
    hf_buffer_reset(&changed);
}

static void add_host(const struct hf_petition *p, const struct hf_identity *identity,
                     struct hf_buffer *b)
{
    const struct hf_upstream_config *u = identity->backend->config;
    const struct hf_slice *host = hf_head_find(p->head, "Host");
    bool usual = u->port == (u->tls ? 443 : 80);
    if (identity->route->config->preserve_host && host != NULL) {
        add_line(b, "Host", *host);
    } else if (u->is_unix) {
        hf_buffer_add_text(b, "Host: localhost\r\n");
    } else {
        const char *format = strchr(u->host, ':') != NULL ? "Host: [%s]" : "Host: %s";
        hf_buffer_addf(b, format, u->host);
        if (!usual) {
            hf_buffer_addf(b, ":%u", (unsigned)u->port);
        }
        hf_buffer_add_text(b, "\r\n");
    }
}

/* The hops that X-Forwarded-For names already; when the client was named by another header, the
 * client. */
static void add_chain(const struct hf_petition *p, struct hf_buffer *b)
{
    bool any = false;
    for (size_t i = 0; i < p->head->count; i++) {
        const struct hf_header *h = &p->head->headers[i];
        if (h->value.len > 0 && is_header(h->name, "X-Forwarded-For", false)) {
            hf_buffer_add(b, h->value);
            hf_buffer_add_text(b, ", ");
            any = true;
        }
    }
    if (!any) {
        char client[46];
        hf_peer_text(p->peer, client);
        hf_buffer_add_text(b, client);
        hf_buffer_add_text(b, ", ");
    }
}

/* What a trusted proxy in front has said goes on; from anybody else it is replaced. */
static void add_forwarded(const struct hf_petition *p, struct hf_buffer *b)
{
    char peer[46];
    const struct hf_slice *host = hf_head_find(p->head, "Host");
    const struct hf_slice *proto = NULL;
    const struct hf_slice *front_host = NULL;
    const char *scheme = p->tls ? "https" : "http";
    hf_buffer_add_text(b, "X-Forwarded-For: ");
    if (p->front_trusted) {
        proto = hf_head_find(p->head, "X-Forwarded-Proto");
        front_host = hf_head_find(p->head, "X-Forwarded-Host");
    }
    if (p->behind_proxy) {
        add_chain(p, b);
    }
    const uint8_t *nearest = p->behind_proxy ? p->front : p->peer;
    hf_peer_text(nearest, peer);
    hf_buffer_add_text(b, hf_peer_is_unix(nearest) ? "unknown" : peer); /* RFC 7239 6.2 */
    hf_buffer_add_text(b, "\r\n");
    hf_peer_text(p->peer, peer);
    if (hf_peer_is_unix(p->peer)) {
        memcpy(peer, "unknown", sizeof("unknown"));
    } else {
        add_line(b, "X-Real-IP", hf_slice_of(peer));
    }
    add_line(b, "X-Forwarded-Proto", proto != NULL ? *proto : hf_slice_of(scheme));
    if (front_host != NULL || host != NULL) {
        add_line(b, "X-Forwarded-Host", front_host != NULL ? *front_host : *host);
    }
    bool v6 = strchr(peer, ':') != NULL; /* RFC 7239 6: quoted and in brackets */
    bool https = proto != NULL ? hf_slice_eq_nocase(*proto, HF_LITERAL("https")) ||
                                     hf_slice_eq_nocase(*proto, HF_LITERAL("wss"))
                               : p->tls;
    hf_buffer_add_text(b, v6 ? "Forwarded: for=\"[" : "Forwarded: for=");
    hf_buffer_add_text(b, peer);
    hf_buffer_add_text(b, v6 ? "]\"" : "");
    hf_buffer_add_text(b, https ? ";proto=https\r\n" : ";proto=http\r\n");
}

/* RFC 9110 7.6.1: what Connection names is for this hop; but a client cannot take away what it was
 * judged by. */
static bool ends_here(const struct hf_head *head, struct hf_slice name)
{
    static const char *const kept[] = {"Authorization", "Cookie", "Origin", NULL};
    return !is_one_of(name, kept) && hf_head_has_member(head, "Connection", name);
}

/* Only the gateway says which session a connection is of. */
static bool names_session(const struct hf_route_config *config, struct hf_slice name)
{
    return config->session.header != NULL && is_header(name, config->session.header, false);
}

static bool passes(const struct hf_petition *p, const struct hf_route_config *config,
                   const struct hf_header *h)
{
    if (is_ours(h->name) || is_callouts(config, h->name) || names_session(config, h->name) ||
        (is_proxys(h->name) && !p->front_trusted)) {
        return false;
    }
    if (config->auth.kind == HF_AUTH_JWT && config->jwt.strip &&
        (config->jwt.from & HF_TOKEN_HEADER) != 0 && is_header(h->name, "Authorization", false)) {
        return false;
    }
    if (config->auth.kind == HF_AUTH_CALLOUT && p->token.ptr != NULL &&
        is_header(h->name, "Authorization", false)) {
        return false; /* the newer one comes in its place */
    }
    return !ends_here(p->head, h->name);
}

/* ---- a newer token -----------------------------------------------------------------------------
 */

/* The cookies of one line, the token's with its new value. */
static void add_cookies(struct hf_slice cookies, const char *name, struct hf_slice token,
                        struct hf_buffer *b)
{
    struct hf_slice pair;
    struct hf_slice old;
    bool first = true;
    hf_buffer_add_text(b, "Cookie: ");
    while (hf_slice_next(&cookies, ';', &pair)) {
        hf_buffer_add_text(b, first ? "" : "; ");
        first = false;
        if (hf_cookie_find(pair, hf_slice_of(name), &old)) {
            hf_buffer_add_text(b, name);
            hf_buffer_add_byte(b, '=');
            hf_buffer_add(b, token);
        } else {
            hf_buffer_add(b, hf_slice_trim(pair));
        }
    }
    hf_buffer_add_text(b, "\r\n");
}

/* A header of the client, with the newer token when it carries the old one. */
static void add_passing(const struct hf_petition *p, const struct hf_route_config *config,
                        const struct hf_header *h, struct hf_buffer *b)
{
    bool newer = p->token.ptr != NULL && config->auth.kind == HF_AUTH_JWT;
    uint32_t from = newer ? config->jwt.from : 0;
    if ((from & HF_TOKEN_HEADER) != 0 && is_header(h->name, "Authorization", false) &&
        hf_slice_eq_nocase(hf_slice_first(h->value, 7), HF_LITERAL("Bearer "))) {
        hf_buffer_add_text(b, "Authorization: Bearer ");
        hf_buffer_add(b, p->token);
        hf_buffer_add_text(b, "\r\n");
    } else if ((from & HF_TOKEN_COOKIE) != 0 && is_header(h->name, "Cookie", false)) {
        add_cookies(h->value, config->jwt.cookie, p->token, b);
    } else {
        add_header(b, h);
    }
}

/* ---- the request -------------------------------------------------------------------------------
 */

void hf_petition_write(const struct hf_petition *p, const struct hf_identity *identity,
                       struct hf_slice key, struct hf_buffer *b)
{
    hf_buffer_add_text(b, "GET ");
    add_target(p, identity, b);
    hf_buffer_add_text(b, " HTTP/1.1\r\n");
    add_host(p, identity, b);
    hf_buffer_add_text(
        b, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n");
    add_line(b, "Sec-WebSocket-Key", key);
    if (p->protocols.len > 0) {
        add_line(b, "Sec-WebSocket-Protocol", p->protocols);
    }
    if (p->offers.len > 0) {
        add_line(b, "Sec-WebSocket-Extensions", p->offers);
    }
    for (size_t i = 0; i < p->head->count; i++) {
        const struct hf_header *h = &p->head->headers[i];
        if (passes(p, identity->route->config, h)) {
            add_passing(p, identity->route->config, h, b);
        }
    }
    add_forwarded(p, b);
    if (identity->route->config->auth.kind == HF_AUTH_CALLOUT && p->token.ptr != NULL) {
        hf_buffer_add_text(b, "Authorization: Bearer ");
        hf_buffer_add(b, p->token);
        hf_buffer_add_text(b, "\r\n");
        hf_buffer_add(b, p->answer);
    } else {
        hf_buffer_add(b, p->extra);
    }
    hf_buffer_add_text(b, "\r\n");
}

/* ---- a copy ------------------------------------------------------------------------------------
 */

/* Moves a slice into the block's bytes. */
static struct hf_slice keep(uint8_t **to, struct hf_slice s)
{
    struct hf_slice kept = {NULL, 0};
    if (s.ptr != NULL) {
        memcpy(*to, s.ptr, s.len);
        kept = hf_slice(*to, s.len);
        *to += s.len;
    }
    return kept;
}

struct hf_petition *hf_petition_new(const struct hf_petition *from)
{
    const struct hf_head *head = from->head;
    size_t head_size = offsetof(struct hf_head, headers) + head->count * sizeof(head->headers[0]);
    size_t size = sizeof(*from) + head_size + from->path.len + from->protocols.len +
                  from->offers.len + from->extra.len + head->method.len + head->target.len;
    for (size_t i = 0; i < head->count; i++) {
        size += head->headers[i].name.len + head->headers[i].value.len;
    }
    struct hf_petition *p = malloc(size);
    if (p == NULL) {
        return NULL;
    }
    struct hf_head *own = (struct hf_head *)(p + 1);
    uint8_t *to = (uint8_t *)own + head_size;
    *p = *from;
    p->bytes = size;
    p->token = hf_slice(NULL, 0);
    p->answer = hf_slice(NULL, 0);
    memcpy(own, head, head_size);
    p->head = own;
    p->path = keep(&to, from->path);
    p->protocols = keep(&to, from->protocols);
    p->offers = keep(&to, from->offers);
    p->extra = keep(&to, from->extra);
    own->method = keep(&to, head->method);
    own->target = keep(&to, head->target);
    own->authority = hf_slice(NULL, 0); /* no part of a request to a backend */
    for (size_t i = 0; i < head->count; i++) {
        own->headers[i].name = keep(&to, head->headers[i].name);
        own->headers[i].value = keep(&to, head->headers[i].value);
    }
    if (from->token.ptr != NULL && hf_petition_set_token(p, from->token, from->answer) != HF_OK) {
        free(p);
        return NULL;
    }
    return p;
}

void hf_petition_free(struct hf_petition *p)
{
    if (p != NULL) {
        HF_ASSERT(p->bytes > 0);
        free((void *)p->token.ptr);
        free(p);
    }
}

size_t hf_petition_bytes(const struct hf_petition *p)
{
    return p->bytes + p->token.len + p->answer.len;
}

enum hf_status hf_petition_set_token(struct hf_petition *p, struct hf_slice token,
                                     struct hf_slice answer)
{
    HF_ASSERT(p->bytes > 0 && token.len > 0);
    uint8_t *copy = malloc(token.len + answer.len); /* one block, which the token begins */
    if (copy == NULL) {
        return HF_NO_MEMORY;
    }
    memcpy(copy, token.ptr, token.len);
    if (answer.len > 0) {
        memcpy(copy + token.len, answer.ptr, answer.len);
    }
    free((void *)p->token.ptr);
    p->token = hf_slice(copy, token.len);
    p->answer = hf_slice(copy + token.len, answer.len);
    return HF_OK;
}
