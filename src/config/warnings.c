/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration leaves open, said at start: nobody should have to find out. */
#include "config/build.h"

/* Adds one sentence with the names of the routes that are so; nothing when none is. */
static void warn_routes(const struct hf_config *c, struct hf_buffer *out, const char *sentence,
                        const char *advice, bool (*is_so)(const struct hf_route_config *route))
{
    size_t count = 0;
    for (size_t i = 0; i < c->route_count; i++) {
        if (is_so(&c->routes[i])) {
            (void)hf_buffer_addf(out, "%s%s", count++ == 0 ? sentence : ", ", c->routes[i].name);
        }
    }
    if (count > 0) {
        (void)hf_buffer_addf(out, ": %s\n", advice);
    }
}

static bool takes_all_paths(const struct hf_route_config *r)
{
    return strcmp(r->path, "/") == 0;
}
static bool takes_all_hosts(const struct hf_route_config *r)
{
    return r->hosts.count == 0;
}
static bool takes_all_origins(const struct hf_route_config *r)
{
    for (size_t i = 0; i < r->origins.count; i++) {
        if (strcmp(r->origins.items[i], "*") == 0) {
            return true;
        }
    }
    return r->origins.count == 0;
}
static bool has_no_auth(const struct hf_route_config *r)
{
    return r->auth.kind == HF_AUTH_NONE;
}
static bool trusts_any_upstream(const struct hf_route_config *r)
{
    bool tls = false;
    for (size_t i = 0; i < r->upstream_count; i++) {
        tls = tls || r->upstreams[i].tls;
    }
    return tls && !r->upstream_tls.verify;
}

enum hf_status hf_config_warnings(const struct hf_config *config, struct hf_buffer *out)
{
    warn_routes(config, out, "Every path goes to the upstream of route ",
                "write routes to let in only the paths of your WebSockets", takes_all_paths);
    warn_routes(config, out, "Every Host is taken on ", "set hosts to your own", takes_all_hosts);
    warn_routes(config, out, "Pages of every Origin may connect to ", "set origins to your own",
                takes_all_origins);
    warn_routes(config, out, "No authentication is asked here, only what the backend asks, on ",
                "set auth to jwt or callout", has_no_auth);
    warn_routes(config, out, "The certificate of the upstream is not verified on ",
                "set upstream_tls.verify to true", trusts_any_upstream);
    for (size_t i = 0; i < config->listen_count; i++) {
        char text[128];
        const struct hf_listen_config *listen = &config->listens[i];
        if (listen->certificate_count == 0 && !hf_config_address_is_local(&listen->address)) {
            hf_address_text(&listen->address, text);
            (void)hf_buffer_addf(out,
                                 "Clients speak plain text on %s: set tls.cert and tls.key, or "
                                 "put it behind something that does TLS\n",
                                 text);
        }
    }
    return out->failed ? HF_NO_MEMORY : HF_OK;
}
