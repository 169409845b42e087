/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime: what a configuration becomes when its files have been read. */
#include "base/hash.h"
#include "gateway/callout.h"
#include "gateway/worker.h"
#include "io/tls.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- a route
 * ------------------------------------------------------------------------------------- */

/* The route of the same name before the reload, or NULL. */
static const struct hf_route *route_before(const struct hf_runtime *before, const char *name)
{
    for (size_t i = 0; before != NULL && i < before->config->route_count; i++) {
        if (strcmp(before->routes[i].config->name, name) == 0) {
            return &before->routes[i];
        }
    }
    return NULL;
}

static struct hf_backend_state *backend_state(const struct hf_route *before, size_t index,
                                              const char *url)
{
    size_t same = 0; /* a URL that stands there twice is two backends */
    for (size_t i = 0; before != NULL && i < before->backend_count; i++) {
        if (strcmp(before->backends[i].config->url, url) == 0 && (same++ == 0 || i == index)) {
            atomic_fetch_add(&before->backends[i].state->refs, 1);
            return before->backends[i].state;
        }
    }
    struct hf_backend_state *state = calloc(1, sizeof(*state));
    if (state != NULL) {
        state->refs = 1;
    }
    return state;
}

static struct hf_route_state *route_state(const struct hf_route *before)
{
    if (before != NULL) {
        atomic_fetch_add(&before->state->refs, 1);
        return before->state;
    }
    struct hf_route_state *state = calloc(1, sizeof(*state));
    if (state != NULL) {
        state->refs = 1;
    }
    return state;
}

static enum hf_status init_backends(struct hf_route *route, const struct hf_route *before)
{
    const struct hf_route_config *config = route->config;
    static const uint8_t key[16] = "upstream choice";
    route->backends = calloc(config->upstream_count, sizeof(*route->backends));
    if (route->backends == NULL) {
        return HF_NO_MEMORY;
    }
    route->backend_count = config->upstream_count;
    for (size_t i = 0; i < config->upstream_count; i++) {
        const struct hf_upstream_config *u = &config->upstreams[i];
        char text[300];
        route->backends[i].config = u;
        route->backends[i].state = backend_state(before, i, u->url);
        if (route->backends[i].state == NULL) {
            return HF_NO_MEMORY;
        }
        route->backends[i].hash = hf_siphash(key, hf_slice_of(u->url));
        if (u->is_unix) {
            (void)snprintf(text, sizeof(text), "unix:%s", u->host);
        } else if (strchr(u->host, ':') != NULL) {
            (void)snprintf(text, sizeof(text), "[%s]:%u", u->host, (unsigned)u->port);
        } else {
            (void)snprintf(text, sizeof(text), "%s:%u", u->host, (unsigned)u->port);
        }
        if (!hf_address_parse(hf_slice_of(text), &route->backends[i].address)) {
            route->backends[i].address.len = 0; /* a name */
        }
    }
    return HF_OK;
}

static struct hf_rate_rules per_minute(uint32_t count, uint32_t burst)
{
    uint32_t usual = count < 100 ? count : 100;
    return (struct hf_rate_rules){.count = count,
                                  .period = HF_SECONDS(60),
                                  .burst = burst > 0   ? burst
                                           : usual > 0 ? usual
                                                       : 1};
}

static void init_session_rules(struct hf_route *route)
{
    const struct hf_route_config *c = route->config;
    /* Escapes and control messages are longer than what the application sends. */
    uint64_t least = c->message_max < HF_CONTROL_AUTH_MAX ? HF_CONTROL_AUTH_MAX : c->message_max;
    route->session_client_rules = (struct hf_flow_rules){
        .masked = true, .utf8 = true, .frame_max = UINT64_MAX, .message_max = least + 1};
    route->session_backend_rules = (struct hf_flow_rules){
        .utf8 = true, .frame_max = UINT64_MAX, .message_max = c->session.backend_message_max};
    route->session_rules = (struct hf_session_rules){
        .buffer = (uint32_t)c->session.buffer,
        .park_bytes = (uint32_t)c->session.park_bytes,
        .message_max = c->message_max < UINT32_MAX / 2 ? (uint32_t)c->message_max : UINT32_MAX / 2,
        .window = c->session.window,
        .leave = c->session.leave,
        .beat = c->session.beat};
}

static void init_rules(struct hf_route *route)
{
    const struct hf_route_config *c = route->config;
    for (int deflate = 0; deflate < 2; deflate++) {
        route->client_rules[deflate] = (struct hf_flow_rules){
            .masked = true,
            .deflate = deflate == 1,
            .utf8 = c->utf8_check,
            .frame_max = c->frame_max > 0 ? c->frame_max : UINT64_MAX,
            .message_max = c->message_max,
        };
        route->backend_rules[deflate] = (struct hf_flow_rules){
            .deflate = deflate == 1, .frame_max = UINT64_MAX, .message_max = UINT64_MAX};
    }
    init_session_rules(route);
    route->client_beat = (struct hf_heartbeat_rules){.interval = c->heartbeat.client_interval,
                                                     .timeout = c->heartbeat.client_timeout,
                                                     .jitter_percent = c->heartbeat.jitter};
    route->backend_beat = (struct hf_heartbeat_rules){.interval = c->heartbeat.backend_interval,
                                                      .timeout = c->heartbeat.backend_timeout,
                                                      .jitter_percent = c->heartbeat.jitter};
    route->message_rate = per_minute(c->limits.messages_per_minute, c->limits.messages_burst);
    route->principal_rate = per_minute(c->limits.principal_messages_per_minute, 0);
}

static enum hf_status init_route(struct hf_route *route, const struct hf_route_config *config,
                                 const struct hf_route *before, struct hf_buffer *why)
{
    route->config = config;
    init_rules(route);
    route->state = route_state(before);
    enum hf_status status = route->state == NULL ? HF_NO_MEMORY : init_backends(route, before);
    bool tls = false;
    for (size_t i = 0; i < config->upstream_count; i++) {
        tls = tls || config->upstreams[i].tls;
    }
    if (status == HF_OK && tls) {
        struct hf_tls_client_options options = {.ca = config->upstream_tls.ca,
                                                .no_verify = !config->upstream_tls.verify};
        status = hf_tls_client_new(&options, &route->tls, why);
    }
    if (status == HF_OK && config->auth.kind == HF_AUTH_JWT) {
        status = hf_jwt_keys_new(&config->jwt, &route->jwt, why);
    }
    if (status == HF_OK && config->auth.kind == HF_AUTH_CALLOUT) {
        status = hf_callout_target_new(config, &route->callout, why);
    }
    return status;
}

static void fini_route(struct hf_route *route)
{
    hf_callout_target_free(route->callout);
    if (route->jwt != NULL) {
        hf_jwt_keys_unref(route->jwt);
    }
    hf_tls_unref(route->tls);
    for (size_t i = 0; i < route->backend_count; i++) {
        struct hf_backend_state *state = route->backends[i].state;
        if (state != NULL && atomic_fetch_sub(&state->refs, 1) == 1) {
            free(state);
        }
    }
    if (route->state != NULL && atomic_fetch_sub(&route->state->refs, 1) == 1) {
        free(route->state);
    }
    free(route->backends);
}

/* ---- listeners' certificates
 * ----------------------------------------------------------------------- */

static enum hf_status load_certificates(const struct hf_listen_config *listen, uint16_t version_min,
                                        struct hf_tls **tls, struct hf_buffer *why)
{
    enum hf_status status = HF_NO_MEMORY;
    struct hf_tls_certificate *list = calloc(listen->certificate_count, sizeof(*list));
    if (list != NULL) {
        for (size_t i = 0; i < listen->certificate_count; i++) {
            list[i] = (struct hf_tls_certificate){.cert = listen->certificates[i].cert,
                                                  .key = listen->certificates[i].key};
        }
        struct hf_tls_server_options options = {.certificates = list,
                                                .certificate_count = listen->certificate_count,
                                                .version_min = version_min};
        status = hf_tls_server_new(&options, tls, why);
    }
    free(list);
    return status;
}

/* ---- the whole
 * -------------------------------------------------------------------------------------- */

static void runtime_free(struct hf_runtime *rt)
{
    struct hf_config *config = rt->config;
    for (size_t i = 0; rt->listener_tls != NULL && i < config->listen_count; i++) {
        hf_tls_unref(rt->listener_tls[i]);
    }
    for (size_t i = 0; rt->routes != NULL && i < config->route_count; i++) {
        fini_route(&rt->routes[i]);
    }
    free(rt->listener_tls);
    free(rt->routes);
    hf_config_unref(config);
    free(rt);
}

static void init_sockets(struct hf_runtime *rt)
{
    hf_time longest = 0;
    for (size_t i = 0; i < rt->config->route_count; i++) {
        hf_time send_timeout = rt->config->routes[i].send_timeout;
        longest = send_timeout > longest ? send_timeout : longest;
    }
    rt->sockets = rt->config->sockets;
    if (rt->sockets.user_timeout > 0 && rt->sockets.user_timeout < 2 * longest) {
        rt->sockets.user_timeout = 2 * longest;
    }
}

static enum hf_status runtime_fill(struct hf_runtime *rt, const struct hf_runtime *before,
                                   struct hf_buffer *why)
{
    struct hf_config *config = rt->config;
    rt->listener_tls = calloc(config->listen_count + 1, sizeof(struct hf_tls *));
    rt->routes = calloc(config->route_count + 1, sizeof(*rt->routes));
    if (rt->listener_tls == NULL || rt->routes == NULL) {
        return HF_NO_MEMORY;
    }
    for (size_t i = 0; i < config->listen_count; i++) {
        if (config->listens[i].certificate_count > 0) {
            enum hf_status status = load_certificates(&config->listens[i], config->tls.version_min,
                                                      &rt->listener_tls[i], why);
            if (status != HF_OK) {
                return status;
            }
        }
    }
    for (size_t i = 0; i < config->route_count; i++) {
        enum hf_status status = init_route(&rt->routes[i], &config->routes[i],
                                           route_before(before, config->routes[i].name), why);
        if (status != HF_OK) {
            return status;
        }
    }
    return HF_OK;
}

enum hf_status hf_runtime_new(struct hf_config *config, const struct hf_runtime *before,
                              struct hf_runtime **runtime, struct hf_buffer *why)
{
    *runtime = NULL;
    struct hf_runtime *rt = calloc(1, sizeof(*rt));
    if (rt == NULL) {
        return HF_NO_MEMORY;
    }
    rt->refs = 1;
    rt->config = hf_config_ref(config);
    init_sockets(rt);
    enum hf_status status = runtime_fill(rt, before, why);
    if (status != HF_OK) {
        runtime_free(rt);
        return status;
    }
    *runtime = rt;
    return HF_OK;
}

struct hf_runtime *hf_runtime_ref(struct hf_runtime *rt)
{
    atomic_fetch_add_explicit(&rt->refs, 1, memory_order_relaxed);
    return rt;
}

void hf_runtime_unref(struct hf_runtime *rt)
{
    if (rt != NULL && atomic_fetch_sub_explicit(&rt->refs, 1, memory_order_acq_rel) == 1) {
        runtime_free(rt);
    }
}

struct hf_runtime *hf_gateway_runtime(struct hf_gateway *gateway)
{
    pthread_mutex_lock(&gateway->lock);
    struct hf_runtime *rt = hf_runtime_ref(gateway->runtime);
    pthread_mutex_unlock(&gateway->lock);
    return rt;
}

/* "/ws/" takes what is below it, "/ws" takes itself and what is below, "/" takes all. */
static bool path_matches(struct hf_slice prefix, struct hf_slice path)
{
    if (!hf_slice_starts(path, prefix)) {
        return false;
    }
    return prefix.ptr[prefix.len - 1] == '/' || path.len == prefix.len ||
           path.ptr[prefix.len] == '/';
}

struct hf_route *hf_runtime_route(struct hf_runtime *rt, struct hf_slice path)
{
    for (size_t i = 0; i < rt->config->route_count; i++) { /* longest first */
        if (path_matches(hf_slice_of(rt->routes[i].config->path), path)) {
            return &rt->routes[i];
        }
    }
    return NULL;
}

/* ---- identity
 * ---------------------------------------------------------------------------------------- */

struct hf_identity *hf_identity_new(struct hf_runtime *rt, struct hf_slice subject,
                                    struct hf_slice target)
{
    struct hf_identity *i = calloc(1, sizeof(*i) + subject.len + target.len + 2);
    if (i == NULL) {
        return NULL;
    }
    i->runtime = rt;
    i->expires = INT64_MAX;
    i->subject_len = (uint16_t)subject.len;
    if (subject.len > 0) {
        memcpy(i->text, subject.ptr, subject.len);
    }
    if (target.len > 0) {
        memcpy(i->text + subject.len + 1, target.ptr, target.len);
    }
    return i;
}

static void leave_limits(struct hf_membership *m, struct hf_worker *worker)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        struct hf_limit_entry *entry = m->entries[kind];
        if (entry != NULL && (m->entered & (1U << kind)) != 0) {
            hf_limit_leave(entry);
        }
        hf_limits_put(worker->gateway->limits, entry, worker->loop->now);
    }
    free(m);
}

void hf_identity_leave(struct hf_identity *i, struct hf_worker *worker)
{
    if (i->membership != NULL) {
        leave_limits(i->membership, worker);
        i->membership = NULL;
    }
    if (i->backend != NULL) {
        atomic_fetch_sub_explicit(&i->backend->state->active, 1, memory_order_relaxed);
        i->backend = NULL;
    }
}

void hf_identity_free(struct hf_identity *i, struct hf_worker *worker)
{
    if (i != NULL) {
        hf_identity_leave(i, worker);
        hf_runtime_unref(i->runtime);
        free(i);
    }
}
