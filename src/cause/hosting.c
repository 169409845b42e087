/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of hosts: their address ranges, names and headers. The ranges are those that the
 * hosts publish: https://www.cloudflare.com/ips-v4 and ips-v6,
 * https://api.fastly.com/public-ip-list, Google's for its front ends. CloudFront's are too many and
 * too often new: its names and headers tell it. A host that is not in a table is not known, which
 * is no proof that there is none. */
#include "cause/hosting.h"

#include "base/status.h"

enum host {
    CLOUDFLARE,
    CLOUDFRONT,
    FASTLY,
    AKAMAI,
    IMPERVA,
    AZURE_FRONTDOOR,
    GOOGLE,
    AWS_ELB,
    AWS_APIGW,
    AZURE_APPGW,
    AZURE,
    FLY,
    RENDER,
    VERCEL,
    NETLIFY,
    NGROK,
    HEROKU,
    RAILWAY,
    SUPABASE,
    NGINX,
    ENVOY,
    ISTIO,
    CADDY,
    KONG,
    APACHE,
    VARNISH,
    IIS,
    KESTREL,
    DAPHNE,
    UVICORN,
    WEBSOCKETS,
    GUNICORN,
    HYPERCORN,
    JETTY,
    COWBOY,
    HOSTS,
};

static const struct hf_hosting hosts[HOSTS] = {
    [CLOUDFLARE] = {"cloudflare", "Cloudflare", "cf- cfd-", true},
    [CLOUDFRONT] = {"cloudfront", "AWS CloudFront", "cloudfront-", true},
    [FASTLY] = {"fastly", "Fastly", "fastly-", true},
    [AKAMAI] = {"akamai", "Akamai", "akamai-", true},
    [IMPERVA] = {"imperva", "Imperva", "", true},
    [AZURE_FRONTDOOR] = {"azure-frontdoor", "Azure Front Door", "azure-frontdoor-", true},
    [GOOGLE] = {"google", "Google Cloud load balancer", "gcp-", true},
    [AWS_ELB] = {"aws-elb", "AWS load balancer", "aws-alb- aws-nlb- aws-nitro6-", true},
    [AWS_APIGW] = {"aws-apigw", "AWS API Gateway", "aws-apigw-", true},
    [AZURE_APPGW] = {"azure-appgw", "Azure Application Gateway", "azure-appgw-", true},
    [AZURE] = {"azure", "Azure", "azure-lb- azure-appgw-", true},
    [FLY] = {"fly", "Fly.io", "fly-", true},
    [RENDER] = {"render", "Render", "render-", true},
    [VERCEL] = {"vercel", "Vercel", "vercel-", true},
    [NETLIFY] = {"netlify", "Netlify", "ngrok-netlify", true},
    [NGROK] = {"ngrok", "ngrok", "ngrok-netlify", true},
    [HEROKU] = {"heroku", "Heroku", "heroku-", true},
    [RAILWAY] = {"railway", "Railway", "railway-", true},
    [SUPABASE] = {"supabase", "Supabase", "supabase-", true},
    [NGINX] = {"nginx", "nginx", "nginx- ingress-nginx-", false},
    [ENVOY] = {"envoy", "Envoy", "envoy- istio-", false},
    [ISTIO] = {"istio", "Istio", "istio- envoy-", false},
    [CADDY] = {"caddy", "Caddy", "caddy-", false},
    [KONG] = {"kong", "Kong", "kong- nginx-", false},
    [APACHE] = {"apache", "Apache", "apache-", false},
    [VARNISH] = {"varnish", "Varnish", "varnish-", false},
    [IIS] = {"iis", "IIS", "iis- signalr- aspnet-", false},
    [KESTREL] = {"kestrel", "Kestrel (ASP.NET Core)", "signalr-core aspnet-", false},
    [DAPHNE] = {"daphne", "daphne", "daphne- channels-", false},
    [UVICORN] = {"uvicorn", "uvicorn", "uvicorn- websockets- gunicorn-", false},
    [WEBSOCKETS] = {"websockets", "Python websockets", "websockets-", false},
    [GUNICORN] = {"gunicorn", "gunicorn", "gunicorn-", false},
    [HYPERCORN] = {"hypercorn", "Hypercorn", "hypercorn", false},
    [JETTY] = {"jetty", "Jetty", "jetty-", false},
    [COWBOY] = {"cowboy", "Cowboy (Erlang, Phoenix)", "phoenix-", false},
};

struct range {
    uint8_t bytes[4]; /* the rest of a longer address is zero */
    uint8_t bits;
    uint8_t host;
};

static const struct range ranges_v4[] = {
    {{173, 245, 48, 0}, 20, CLOUDFLARE},  {{103, 21, 244, 0}, 22, CLOUDFLARE},
    {{103, 22, 200, 0}, 22, CLOUDFLARE},  {{103, 31, 4, 0}, 22, CLOUDFLARE},
    {{141, 101, 64, 0}, 18, CLOUDFLARE},  {{108, 162, 192, 0}, 18, CLOUDFLARE},
    {{190, 93, 240, 0}, 20, CLOUDFLARE},  {{188, 114, 96, 0}, 20, CLOUDFLARE},
    {{197, 234, 240, 0}, 22, CLOUDFLARE}, {{198, 41, 128, 0}, 17, CLOUDFLARE},
    {{162, 158, 0, 0}, 15, CLOUDFLARE},   {{104, 16, 0, 0}, 13, CLOUDFLARE},
    {{104, 24, 0, 0}, 14, CLOUDFLARE},    {{172, 64, 0, 0}, 13, CLOUDFLARE},
    {{131, 0, 72, 0}, 22, CLOUDFLARE},    {{23, 235, 32, 0}, 20, FASTLY},
    {{43, 249, 72, 0}, 22, FASTLY},       {{103, 244, 50, 0}, 24, FASTLY},
    {{103, 245, 222, 0}, 23, FASTLY},     {{103, 245, 224, 0}, 24, FASTLY},
    {{104, 156, 80, 0}, 20, FASTLY},      {{140, 248, 64, 0}, 18, FASTLY},
    {{140, 248, 128, 0}, 17, FASTLY},     {{146, 75, 0, 0}, 17, FASTLY},
    {{151, 101, 0, 0}, 16, FASTLY},       {{157, 52, 64, 0}, 18, FASTLY},
    {{167, 82, 0, 0}, 17, FASTLY},        {{167, 82, 128, 0}, 20, FASTLY},
    {{167, 82, 160, 0}, 20, FASTLY},      {{167, 82, 224, 0}, 20, FASTLY},
    {{172, 111, 64, 0}, 18, FASTLY},      {{185, 31, 16, 0}, 22, FASTLY},
    {{199, 27, 72, 0}, 21, FASTLY},       {{199, 232, 0, 0}, 16, FASTLY},
    {{35, 191, 0, 0}, 16, GOOGLE},        {{130, 211, 0, 0}, 22, GOOGLE},
};

static const struct range ranges_v6[] = {
    {{0x24, 0x00, 0xcb, 0x00}, 32, CLOUDFLARE}, /* 2400:cb00::/32 */
    {{0x26, 0x06, 0x47, 0x00}, 32, CLOUDFLARE}, /* 2606:4700::/32 */
    {{0x28, 0x03, 0xf8, 0x00}, 32, CLOUDFLARE}, /* 2803:f800::/32 */
    {{0x24, 0x05, 0xb5, 0x00}, 32, CLOUDFLARE}, /* 2405:b500::/32 */
    {{0x24, 0x05, 0x81, 0x00}, 32, CLOUDFLARE}, /* 2405:8100::/32 */
    {{0x2a, 0x06, 0x98, 0xc0}, 29, CLOUDFLARE}, /* 2a06:98c0::/29 */
    {{0x2c, 0x0f, 0xf2, 0x48}, 32, CLOUDFLARE}, /* 2c0f:f248::/32 */
    {{0x2a, 0x04, 0x4e, 0x40}, 32, FASTLY},     /* 2a04:4e40::/32 */
    {{0x2a, 0x04, 0x4e, 0x42}, 32, FASTLY},     /* 2a04:4e42::/32 */
};

/* A name that is this or ends in "." and this. */
static const struct {
    const char *suffix;
    enum host host;
} names[] = {
    {"cdn.cloudflare.net", CLOUDFLARE},
    {"cfargotunnel.com", CLOUDFLARE},
    {"cloudfront.net", CLOUDFRONT},
    {"fastly.net", FASTLY},
    {"fastlylb.net", FASTLY},
    {"akamai.net", AKAMAI},
    {"akamaiedge.net", AKAMAI},
    {"edgekey.net", AKAMAI},
    {"edgesuite.net", AKAMAI},
    {"incapdns.net", IMPERVA},
    {"azurefd.net", AZURE_FRONTDOOR},
    {"azureedge.net", AZURE_FRONTDOOR},
    {"azurewebsites.net", AZURE},
    {"trafficmanager.net", AZURE},
    {"cloudapp.azure.com", AZURE},
    {"elb.amazonaws.com", AWS_ELB},
    {"awsglobalaccelerator.com", AWS_ELB},
    {"herokudns.com", HEROKU},
    {"herokuapp.com", HEROKU},
    {"onrender.com", RENDER},
    {"up.railway.app", RAILWAY},
    {"fly.dev", FLY},
    {"vercel-dns.com", VERCEL},
    {"netlify.app", NETLIFY},
    {"ngrok.app", NGROK},
    {"ngrok.io", NGROK},
    {"ngrok-free.app", NGROK},
    {"supabase.co", SUPABASE},
    {"run.app", GOOGLE},
};

/* A header of this name whose value has this part; NULL: any value. The first that fits counts. */
static const struct {
    const char *name;
    const char *part;
    enum host host;
} headers[] = {
    {"cf-ray", NULL, CLOUDFLARE},
    {"cf-cache-status", NULL, CLOUDFLARE},
    {"server", "cloudflare", CLOUDFLARE},
    {"x-amz-cf-id", NULL, CLOUDFRONT},
    {"x-amz-cf-pop", NULL, CLOUDFRONT},
    {"via", "cloudfront.net", CLOUDFRONT},
    {"x-cache", "cloudfront", CLOUDFRONT},
    {"x-fastly-request-id", NULL, FASTLY},
    {"x-served-by", "cache-", FASTLY},
    {"server", "akamaighost", AKAMAI},
    {"x-iinfo", NULL, IMPERVA},
    {"x-cdn", "imperva", IMPERVA},
    {"x-railway-request-id", NULL, RAILWAY},
    {"x-railway-edge", NULL, RAILWAY},
    {"rndr-id", NULL, RENDER},
    {"x-render-origin-server", NULL, RENDER},
    {"fly-request-id", NULL, FLY},
    {"via", "fly.io", FLY},
    {"x-azure-ref", NULL, AZURE_FRONTDOOR},
    {"server", "microsoft-azure-application-gateway", AZURE_APPGW},
    {"x-vercel-id", NULL, VERCEL},
    {"x-nf-request-id", NULL, NETLIFY},
    {"ngrok-trace-id", NULL, NGROK},
    {"via", "1.1 google", GOOGLE},
    {"via", "vegur", HEROKU},
    {"via", "heroku", HEROKU},
    {"nel", "heroku", HEROKU},
    {"x-amzn-trace-id", NULL, AWS_ELB},
    {"server", "awselb", AWS_ELB},
    {"x-amzn-requestid", NULL, AWS_APIGW},
    {"x-amz-apigw-id", NULL, AWS_APIGW},
    {"x-kong-upstream-latency", NULL, KONG},
    {"x-kong-proxy-latency", NULL, KONG},
    {"via", "kong", KONG},
    {"server", "kong", KONG},
    {"x-envoy-original-path", NULL, ENVOY},
    {"x-envoy-upstream-service-time", NULL, ENVOY},
    {"server", "istio-envoy", ISTIO},
    {"server", "envoy", ENVOY},
    {"via", "caddy", CADDY},
    {"server", "caddy", CADDY},
    {"via", "varnish", VARNISH},
    {"x-varnish", NULL, VARNISH},
    {"server", "nginx", NGINX},
    {"server", "openresty", NGINX},
    {"server", "apache", APACHE},
    {"server", "microsoft-iis", IIS},
    {"server", "kestrel", KESTREL},
    {"server", "daphne", DAPHNE},
    {"server", "uvicorn", UVICORN},
    {"server", "websockets/", WEBSOCKETS},
    {"server", "gunicorn", GUNICORN},
    {"server", "hypercorn", HYPERCORN},
    {"server", "jetty", JETTY},
    {"server", "cowboy", COWBOY},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

size_t hf_hosting_count(void)
{
    return HOSTS;
}

const struct hf_hosting *hf_hosting_at(size_t index)
{
    HF_ASSERT(index < HOSTS);
    return &hosts[index];
}

/* The first `bits` of both are the same. */
static bool begins_with(const uint8_t *bytes, const uint8_t *prefix, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(bytes, prefix, whole) != 0) {
        return false;
    }
    return rest == 0 || ((bytes[whole] ^ prefix[whole]) >> (8 - rest)) == 0;
}

static const struct hf_hosting *find_range(const struct range *ranges, size_t count,
                                           const uint8_t *bytes)
{
    for (size_t i = 0; i < count; i++) {
        if (begins_with(bytes, ranges[i].bytes, ranges[i].bits)) {
            return &hosts[ranges[i].host];
        }
    }
    return NULL;
}

const struct hf_hosting *hf_hosting_by_address(const uint8_t *bytes, size_t len)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (len == 16 && memcmp(bytes, mapped, sizeof(mapped)) == 0) { /* RFC 4291 2.5.5.2 */
        return find_range(ranges_v4, COUNT(ranges_v4), bytes + sizeof(mapped));
    }
    if (len == 16) {
        return find_range(ranges_v6, COUNT(ranges_v6), bytes);
    }
    return len == 4 ? find_range(ranges_v4, COUNT(ranges_v4), bytes) : NULL;
}

const struct hf_hosting *hf_hosting_by_cname(struct hf_slice name)
{
    if (name.len > 0 && name.ptr[name.len - 1] == '.') {
        name.len--;
    }
    for (size_t i = 0; i < COUNT(names); i++) {
        struct hf_slice suffix = hf_slice_of(names[i].suffix);
        if (name.len < suffix.len ||
            !hf_slice_eq_nocase(hf_slice_from(name, name.len - suffix.len), suffix)) {
            continue;
        }
        if (name.len == suffix.len || name.ptr[name.len - suffix.len - 1] == '.') {
            return &hosts[names[i].host];
        }
    }
    return NULL;
}

const struct hf_hosting *hf_hosting_by_header(struct hf_slice name, struct hf_slice value)
{
    for (size_t i = 0; i < COUNT(headers); i++) {
        if (hf_slice_eq_nocase(name, hf_slice_of(headers[i].name)) &&
            (headers[i].part == NULL ||
             hf_slice_contains_nocase(value, hf_slice_of(headers[i].part)))) {
            return &hosts[headers[i].host];
        }
    }
    return NULL;
}

const struct hf_hosting *hf_hosting_find(struct hf_slice id)
{
    for (size_t i = 0; i < COUNT(hosts); i++) {
        if (hf_slice_eq(id, hf_slice_of(hosts[i].id))) {
            return &hosts[i];
        }
    }
    return NULL;
}
