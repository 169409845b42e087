/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a target, and its URL: see target.h. */
#include "probe/target.h"

#include "base/redact.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    OPTION_TOKEN = HF_TARGET_OPTION,
    OPTION_TOKEN_QUERY,
    OPTION_CACERT,
    OPTION_PROXY,
    OPTION_RESOLVE,
    OPTION_CONNECT_TO,
    OPTION_CONNECT_TIMEOUT,
    OPTION_MESSAGE_MAX,
    OPTION_DEFLATE,
};

const struct option hf_target_options[] = {
    {"header", required_argument, NULL, 'H'},
    {"subprotocol", required_argument, NULL, 's'},
    {"origin", required_argument, NULL, 'o'},
    {"user", required_argument, NULL, 'u'},
    {"insecure", no_argument, NULL, 'k'},
    {"ipv4", no_argument, NULL, '4'},
    {"ipv6", no_argument, NULL, '6'},
    {"token", required_argument, NULL, OPTION_TOKEN},
    {"token-query", required_argument, NULL, OPTION_TOKEN_QUERY},
    {"cacert", required_argument, NULL, OPTION_CACERT},
    {"proxy", required_argument, NULL, OPTION_PROXY},
    {"resolve", required_argument, NULL, OPTION_RESOLVE},
    {"connect-to", required_argument, NULL, OPTION_CONNECT_TO},
    {"connect-timeout", required_argument, NULL, OPTION_CONNECT_TIMEOUT},
    {"message-max", required_argument, NULL, OPTION_MESSAGE_MAX},
    {"deflate", no_argument, NULL, OPTION_DEFLATE},
};
#define OPTIONS (sizeof(hf_target_options) / sizeof(hf_target_options[0]))

size_t hf_target_option_count(void)
{
    return OPTIONS;
}

void hf_target_options_join(const struct option *own, struct option *all, size_t max)
{
    size_t count = OPTIONS;
    HF_ASSERT(max > OPTIONS);
    memcpy(all, hf_target_options, sizeof(hf_target_options));
    do {
        HF_ASSERT(count < max);
        all[count++] = *own;
    } while (own++->name != NULL);
}

const char *hf_target_help(void)
{
    return "  -H, --header NAME:VALUE   a header of the handshake; Host replaces ours; may be "
           "repeated\n"
           "  -s, --subprotocol NAME    a subprotocol to offer; may be repeated\n"
           "  -o, --origin ORIGIN       the Origin header\n"
           "  -u, --user NAME:PASSWORD  credentials, as Authorization: Basic\n"
           "      --token TOKEN         credentials, as Authorization: Bearer\n"
           "      --token-query NAME    sends the token as ?NAME=TOKEN instead\n"
           "  -k, --insecure            accepts any certificate\n"
           "      --cacert FILE         certificates to trust, PEM\n"
           "      --proxy URL           an HTTP proxy; \"\": none (default: the environment's)\n"
           "      --resolve HOST:PORT:ADDRESS  the address of a name; may be repeated\n"
           "      --connect-to ADDRESS[:PORT]  TCP goes there; names in TLS and HTTP stay\n"
           "  -4, --ipv4; -6, --ipv6    addresses of this family alone\n"
           "      --connect-timeout TIME  name, TCP, TLS and handshake together (20s)\n"
           "      --message-max SIZE    the largest message that is received (64MiB)\n"
           "      --deflate             offers permessage-deflate\n";
}

void hf_target_init(struct hf_target *t)
{
    *t = (struct hf_target){.connect_timeout = HF_SECONDS(20), .message_max = (uint64_t)64 << 20};
}

void hf_target_fini(struct hf_target *t)
{
    for (size_t i = 0; i < t->header_count; i++) {
        free(t->headers[i]);
    }
    for (size_t i = 0; i < t->resolve_count; i++) {
        free(t->resolves[i].host);
    }
    free(t->text);
    free(t->origin);
    free(t->protocols);
    free(t->token);
    free(t->token_query);
    free(t->user);
    free(t->cacert);
    free(t->proxy);
    hf_tls_unref(t->tls);
    hf_proxy_environment_fini(&t->proxies);
    hf_target_init(t);
}

/* ---- single options -----------------------------------------------------------------------------
 */

/* Replaces a text. NULL, or why not. */
static const char *set_text(char **text, const char *value)
{
    char *copy = strdup(value);
    if (copy == NULL) {
        return "no memory";
    }
    free(*text);
    *text = copy;
    return NULL;
}

/* May stand in a header's value: no control but a tab. */
static bool is_field_text(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if ((uint8_t)*p == 0x7f || ((uint8_t)*p < ' ' && *p != '\t')) {
            return false;
        }
    }
    return true;
}

static bool is_token(struct hf_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        const uint8_t c = s.ptr[i];
        const bool alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!alnum && (c == 0 || memchr("!#$%&'*+-.^_`|~", c, 15) == NULL)) {
            return false;
        }
    }
    return s.len > 0;
}

static const char *set_field(char **text, const char *value)
{
    return is_field_text(value) ? set_text(text, value)
                                : "a header's value cannot hold control characters";
}

static const char *add_header(struct hf_target *t, const char *value)
{
    const char *colon = strchr(value, ':');
    if (colon == NULL || !is_token(hf_slice(value, (size_t)(colon - value)))) {
        return "a header is NAME:VALUE";
    }
    if (t->header_count == HF_TARGET_HEADERS) {
        return "at most 64 headers can be given";
    }
    const char *why = set_field(&t->headers[t->header_count], value);
    t->header_count += why == NULL;
    return why;
}

static const char *add_protocol(struct hf_target *t, const char *value)
{
    char *all = NULL;
    struct hf_slice rest = hf_slice_of(value), piece;
    while (hf_slice_next(&rest, ',', &piece)) {
        if (!is_token(hf_slice_trim(piece))) {
            return "a subprotocol is a name without spaces, or several with commas between";
        }
    }
    if (*value == '\0') {
        return "a subprotocol cannot be empty";
    }
    if (asprintf(&all, "%s%s%s", t->protocols == NULL ? "" : t->protocols,
                 t->protocols == NULL ? "" : ", ", value) < 0) {
        return "no memory";
    }
    free(t->protocols);
    t->protocols = all;
    return NULL;
}

/* "192.0.2.1", "[2001:db8::1]:443", "unix:/path"; a port that is not named is 0. */
static bool read_address(const char *text, struct hf_address *address)
{
    char full[160];
    if (hf_address_parse(hf_slice_of(text), address)) {
        return true;
    }
    const bool bare6 = *text != '[' && strchr(text, ':') != NULL;
    (void)snprintf(full, sizeof(full), bare6 ? "[%s]:1" : "%s:1", text);
    if (!hf_address_parse(hf_slice_of(full), address)) {
        return false;
    }
    if (address->u.any.sa_family == AF_INET) {
        address->u.v4.sin_port = 0;
    } else if (address->u.any.sa_family == AF_INET6) {
        address->u.v6.sin6_port = 0;
    }
    return true;
}

static const char *add_resolve(struct hf_target *t, const char *value)
{
    static const char *const form = "it is HOST:PORT:ADDRESS, as in example.org:443:192.0.2.1";
    const char *first = strchr(value, ':');
    const char *second = first == NULL ? NULL : strchr(first + 1, ':');
    uint64_t port;
    if (t->resolve_count == HF_TARGET_RESOLVES) {
        return "at most 8 addresses can be given";
    }
    struct hf_address address = {.len = 0};
    if (second == NULL || first == value ||
        !hf_slice_number(hf_slice(first + 1, (size_t)(second - first - 1)), UINT16_MAX, &port) ||
        port == 0 || !read_address(second + 1, &address) || address.u.any.sa_family == AF_UNIX) {
        return form;
    }
    char *host = hf_alloc_text(&hf_heap, hf_slice(value, (size_t)(first - value)));
    if (host == NULL) {
        return "no memory";
    }
    t->resolves[t->resolve_count].host = host;
    t->resolves[t->resolve_count].port = (uint16_t)port;
    t->resolves[t->resolve_count++].address = address;
    return NULL;
}

static const char *set_timeout(struct hf_target *t, const char *value)
{
    hf_time time;
    if (!hf_duration_parse(hf_slice_of(value), &time) || time == 0) {
        return "a time has a unit, as in 20s or 500ms, and is not zero";
    }
    t->connect_timeout = time;
    return NULL;
}

static const char *set_message_max(struct hf_target *t, const char *value)
{
    return hf_size_parse(hf_slice_of(value), &t->message_max) && t->message_max > 0
               ? NULL
               : "a size has a unit, as in 64MiB, and is not zero";
}

bool hf_target_take(struct hf_target *t, int option, const char *value, const char **why)
{
    *why = NULL;
    switch (option) {
    case 'H':
        *why = add_header(t, value);
        return true;
    case 's':
        *why = add_protocol(t, value);
        return true;
    case 'o':
        *why = set_field(&t->origin, value);
        return true;
    case 'u':
        *why = strchr(value, ':') == NULL ? "it is NAME:PASSWORD" : set_field(&t->user, value);
        return true;
    case 'k':
        t->insecure = true;
        return true;
    case '4':
    case '6':
        t->family = option == '4' ? AF_INET : AF_INET6;
        return true;
    case OPTION_TOKEN:
        *why = set_field(&t->token, value);
        return true;
    case OPTION_TOKEN_QUERY:
        *why = set_text(&t->token_query, value);
        return true;
    case OPTION_CACERT:
        *why = set_text(&t->cacert, value);
        return true;
    case OPTION_PROXY:
        *why = set_text(&t->proxy, value);
        return true;
    case OPTION_RESOLVE:
        *why = add_resolve(t, value);
        return true;
    case OPTION_CONNECT_TO:
        *why = read_address(value, &t->connect_to)
                   ? NULL
                   : "it is an address with or without a port, as in 192.0.2.1:443";
        return true;
    case OPTION_CONNECT_TIMEOUT:
        *why = set_timeout(t, value);
        return true;
    case OPTION_MESSAGE_MAX:
        *why = set_message_max(t, value);
        return true;
    case OPTION_DEFLATE:
        t->deflate = true;
        return true;
    default:
        return false;
    }
}

/* ---- the URL ------------------------------------------------------------------------------------
 */

static bool set_url(struct hf_target *t, const char *url, struct hf_buffer *why)
{
    const char *fault = NULL;
    url = url == NULL ? "" : url; /* a target of a file whose value was refused */
    const bool scheme = strstr(url, "://") != NULL || strncmp(url, "unix:", 5) == 0;
    free(t->text);
    t->text = NULL;
    if (asprintf(&t->text, "%s%s", scheme ? "" : "ws://", url) < 0) {
        t->text = NULL;
        hf_buffer_add_text(why, "no memory");
        return false;
    }
    if (!hf_url_parse(hf_slice_of(t->text), &t->url, &fault)) {
        hf_target_print(t, why);
        hf_buffer_addf(why, ": %s", fault);
        return false;
    }
    return true;
}

static bool make_tls(struct hf_target *t, struct hf_buffer *why)
{
    const struct hf_tls_client_options options = {.ca = t->cacert, .no_verify = t->insecure};
    hf_tls_unref(t->tls);
    t->tls = NULL;
    return !t->url.tls || hf_tls_client_new(&options, &t->tls, why) == HF_OK;
}

bool hf_target_ready(struct hf_target *t, const char *url, struct hf_buffer *why)
{
    const char *fault = NULL;
    if (!set_url(t, url, why) || !make_tls(t, why)) {
        return false;
    }
    if (t->token_query != NULL && t->token == NULL) {
        hf_buffer_add_text(why, "--token-query names a parameter, but there is no --token");
        return false;
    }
    if (t->user != NULL && t->token != NULL && t->token_query == NULL) {
        hf_buffer_add_text(why, "--user and --token both want to be the Authorization header");
        return false;
    }
    hf_proxy_environment_fini(&t->proxies);
    hf_proxy_environment_read(&t->proxies);
    if (!hf_proxy_choose(&t->proxies, t->proxy, &t->url, &t->way, &fault)) {
        hf_buffer_add_text(why, fault);
        return false;
    }
    return true;
}

void hf_target_print(const struct hf_target *t, struct hf_buffer *out)
{
    const char *const further[] = {t->token_query, NULL};
    hf_redact_url(hf_slice_of(t->text), further, out);
}

static bool is_own_address(const struct hf_address *a)
{
    if (a->u.any.sa_family == AF_INET) {
        return (ntohl(a->u.v4.sin_addr.s_addr) >> 24) == 127;
    }
    return a->u.any.sa_family == AF_UNIX || IN6_IS_ADDR_LOOPBACK(&a->u.v6.sin6_addr);
}

bool hf_target_is_own(const struct hf_target *t)
{
    char text[300];
    struct hf_address address;
    if (t->connect_to.len > 0) {
        return is_own_address(&t->connect_to);
    }
    if (t->way.used) {
        return false;
    }
    if (t->url.port == 0 || hf_slice_eq_nocase(t->url.host, HF_LITERAL("localhost"))) {
        return true;
    }
    (void)snprintf(text, sizeof(text), t->url.host_is_ipv6 ? "[%.*s]:1" : "%.*s:1",
                   HF_SLICE_ARG(t->url.host));
    return hf_address_parse(hf_slice_of(text), &address) && is_own_address(&address);
}
