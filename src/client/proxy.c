/* SPDX-License-Identifier: Apache-2.0 */
/* Proxies: http_proxy, https_proxy, all_proxy and no_proxy. */
#include "client/proxy.h"

#include "policy/access.h"

#include <stdlib.h>

static char *variable(const char *name, const char *other)
{
    const char *value = getenv(name);
    if ((value == NULL || *value == '\0') && other != NULL) {
        value = getenv(other);
    }
    return value == NULL || *value == '\0' ? NULL : strdup(value);
}

void hf_proxy_environment_read(struct hf_proxy_environment *e)
{
    /* Not HTTP_PROXY: in a CGI program it is a header of the request. */
    e->http = variable("http_proxy", NULL);
    e->https = variable("https_proxy", "HTTPS_PROXY");
    e->all = variable("all_proxy", "ALL_PROXY");
    e->no = variable("no_proxy", "NO_PROXY");
}

void hf_proxy_environment_fini(struct hf_proxy_environment *e)
{
    free(e->http);
    free(e->https);
    free(e->all);
    free(e->no);
    *e = (struct hf_proxy_environment){NULL, NULL, NULL, NULL};
}

/* ---- no_proxy -----------------------------------------------------------------------------------
 */

/* "10.0.0.0/8", "192.0.2.1", "::1": an address of the block. */
static bool is_in_block(struct hf_slice entry, struct hf_slice host)
{
    struct hf_block block;
    uint8_t address[16];
    return hf_ip_parse(host, address) && hf_block_parse(entry, &block) &&
           hf_block_contains(&block, address);
}

/* Takes ":port" off an entry; 0: it has none. An IPv6 address has more than one colon. */
static uint64_t take_port(struct hf_slice *entry)
{
    const size_t colon = hf_slice_find(*entry, ':');
    const struct hf_slice digits = hf_slice_from(*entry, colon + 1);
    uint64_t port = 0;
    if (colon < entry->len && hf_slice_find(digits, ':') == digits.len &&
        hf_slice_number(digits, UINT16_MAX, &port)) {
        *entry = hf_slice_first(*entry, colon);
    }
    return port;
}

static bool entry_names(struct hf_slice entry, struct hf_slice host, uint16_t port)
{
    if (hf_slice_eq(entry, HF_LITERAL("*")) || is_in_block(entry, host)) {
        return true;
    }
    const uint64_t wanted = take_port(&entry);
    if (wanted != 0 && wanted != port) {
        return false;
    }
    if (hf_slice_starts(entry, HF_LITERAL("*."))) {
        entry = hf_slice_from(entry, 1);
    }
    if (entry.len > 0 && entry.ptr[0] == '.') {
        entry = hf_slice_from(entry, 1);
    }
    if (entry.len == 0 || entry.len > host.len) {
        return false;
    }
    const size_t before = host.len - entry.len;
    return hf_slice_eq_nocase(hf_slice_from(host, before), entry) &&
           (before == 0 || host.ptr[before - 1] == '.');
}

bool hf_proxy_is_excepted(struct hf_slice no_proxy, struct hf_slice host, uint16_t port)
{
    struct hf_slice part;
    while (hf_slice_next(&no_proxy, ',', &part)) {
        struct hf_slice entry;
        part = hf_slice_trim(part);
        while (hf_slice_next(&part, ' ', &entry)) {
            if (entry.len > 0 && entry_names(entry, host, port)) {
                return true;
            }
        }
    }
    return false;
}

/* A proxy of the environment is not asked for the machine itself, unless no_proxy says what is. */
static bool is_loopback(struct hf_slice host)
{
    struct hf_block v4, v6;
    uint8_t address[16];
    if (hf_slice_eq_nocase(host, HF_LITERAL("localhost"))) {
        return true;
    }
    return hf_ip_parse(host, address) && hf_block_parse(HF_LITERAL("127.0.0.0/8"), &v4) &&
           hf_block_parse(HF_LITERAL("::1"), &v6) &&
           (hf_block_contains(&v4, address) || hf_block_contains(&v6, address));
}

/* ---- the choice ---------------------------------------------------------------------------------
 */

static const char *from_environment(const struct hf_proxy_environment *e, const struct hf_url *url)
{
    const char *text = url->tls ? e->https : e->http;
    text = text != NULL ? text : e->all;
    if (text == NULL) {
        return NULL;
    }
    if (e->no != NULL) {
        return hf_proxy_is_excepted(hf_slice_of(e->no), url->host, url->port) ? NULL : text;
    }
    return is_loopback(url->host) ? NULL : text;
}

static bool read_proxy(struct hf_slice text, struct hf_proxy *proxy, const char **why)
{
    struct hf_slice rest = text;
    if (hf_slice_starts(text, HF_LITERAL("http://"))) {
        rest = hf_slice_from(text, 7);
    } else if (hf_slice_search(text, HF_LITERAL("://")) < text.len) {
        *why = "the proxy is not an http:// one";
        return false;
    }
    rest = hf_slice_first(rest, hf_slice_find(rest, '/'));
    const size_t at = hf_slice_find(rest, '@');
    if (at < rest.len) {
        proxy->credentials = hf_slice_first(rest, at);
        rest = hf_slice_from(rest, at + 1);
    }
    size_t end = hf_slice_find(rest, ':');
    if (rest.len > 0 && rest.ptr[0] == '[') {
        end = hf_slice_find(rest, ']');
        proxy->host = hf_slice_from(hf_slice_first(rest, end), 1);
        end = end < rest.len ? end + 1 : end;
    } else {
        proxy->host = hf_slice_first(rest, end);
    }
    uint64_t port = 80;
    if (end < rest.len &&
        (rest.ptr[end] != ':' ||
         !hf_slice_number(hf_slice_from(rest, end + 1), UINT16_MAX, &port) || port == 0)) {
        *why = "the port of the proxy is not a number from 1 to 65535";
        return false;
    }
    proxy->port = (uint16_t)port;
    proxy->used = true;
    *why = "the proxy has no host";
    return proxy->host.len > 0;
}

bool hf_proxy_choose(const struct hf_proxy_environment *e, const char *named,
                     const struct hf_url *url, struct hf_proxy *proxy, const char **why)
{
    *proxy = (struct hf_proxy){.used = false};
    const char *text = named != NULL ? named : from_environment(e, url);
    if (text == NULL || *text == '\0' || url->port == 0) {
        return true;
    }
    return read_proxy(hf_slice_of(text), proxy, why);
}
