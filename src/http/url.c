/* SPDX-License-Identifier: Apache-2.0 */
/* Takes URLs apart. Stricter than RFC 3986 where leniency lets two readers see two hosts. */
#include "http/url.h"

#include <arpa/inet.h>

#define HOST_CHARS_MAX 253
#define LABEL_CHARS_MAX 63
#define UNIX_PATH_MAX 107 /* sun_path without its NUL */

static const struct {
    struct hf_slice prefix;
    size_t scheme_len;
    uint16_t port; /* 0: a socket in the file system */
    bool tls;
} schemes[] = {
    {{(const uint8_t *)"http://", 7}, 4, 80, false},
    {{(const uint8_t *)"https://", 8}, 5, 443, true},
    {{(const uint8_t *)"ws://", 5}, 2, 80, false},
    {{(const uint8_t *)"wss://", 6}, 3, 443, true},
    {{(const uint8_t *)"unix:", 5}, 4, 0, false},
};

static const char *check_bytes(struct hf_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f) {
            return "the URL holds a space, a control or a character that is not ASCII";
        }
        if (text.ptr[i] == '\\') {
            return "the URL holds a backslash";
        }
        if (text.ptr[i] == '#') {
            return "the URL has a fragment";
        }
    }
    return NULL;
}

static bool is_host_char(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') ||
           byte == '-' || byte == '_';
}

/* Labels of letters, digits, '-' and '_' with dots between, and perhaps one dot behind. */
static bool host_is_valid(struct hf_slice host)
{
    size_t label = 0;

    if (host.len == 0 || host.len > HOST_CHARS_MAX) {
        return false;
    }
    for (size_t i = 0; i < host.len; i++) {
        if (is_host_char(host.ptr[i])) {
            label++;
        } else if (host.ptr[i] == '.' && label > 0) {
            label = 0;
        } else {
            return false;
        }
        if (label > LABEL_CHARS_MAX) {
            return false;
        }
    }
    return true;
}

static bool ipv6_is_valid(struct hf_slice text)
{
    char copy[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (text.len == 0 || text.len >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return inet_pton(AF_INET6, copy, &address) == 1;
}

static const char *parse_port(struct hf_slice text, uint16_t *port)
{
    uint64_t value;

    if (text.len > 5 || !hf_slice_number(text, UINT16_MAX, &value) || value == 0) {
        return "the port is not a number from 1 to 65535";
    }
    *port = (uint16_t)value;
    return NULL;
}

static const char *parse_authority(struct hf_slice authority, struct hf_url *url)
{
    size_t host_end;
    size_t rest;

    if (hf_slice_find(authority, '@') < authority.len) {
        return "the URL has user info";
    }
    if (authority.len > 0 && authority.ptr[0] == '[') {
        host_end = hf_slice_find(authority, ']');
        if (host_end == authority.len) {
            return "the bracket around the IPv6 address is not closed";
        }
        url->host = hf_slice(authority.ptr + 1, host_end - 1);
        url->host_is_ipv6 = true;
        if (!ipv6_is_valid(url->host)) {
            return "the host in brackets is not an IPv6 address";
        }
        rest = host_end + 1;
    } else {
        rest = hf_slice_find(authority, ':');
        url->host = hf_slice_first(authority, rest);
        if (!host_is_valid(url->host)) {
            return "the host is not a name or an address";
        }
    }
    if (rest == authority.len) {
        return NULL;
    }
    if (authority.ptr[rest] != ':') {
        return "something stands between the host and the path";
    }
    return parse_port(hf_slice_from(authority, rest + 1), &url->port);
}

/* rest is "", "/path", "?query" or "/path?query". */
static void set_target(struct hf_slice rest, struct hf_url *url)
{
    hf_target_split(rest, &url->path, &url->query);
    if (url->path.len == 0) {
        url->path = HF_LITERAL("/");
    }
}

/* "/run/app.sock" or "/run/app.sock:/path?query". */
static const char *parse_unix(struct hf_slice rest, struct hf_url *url)
{
    size_t colon = hf_slice_find(rest, ':');
    struct hf_slice target = hf_slice_from(rest, colon + 1);

    url->host = hf_slice_first(rest, colon);
    if (url->host.len < 2 || url->host.ptr[0] != '/' || url->host.ptr[1] == '/') {
        return "the socket's path does not begin with one slash, as in unix:/run/app.sock";
    }
    if (url->host.len > UNIX_PATH_MAX) {
        return "the socket's path is longer than 107 bytes";
    }
    if (colon < rest.len && (target.len == 0 || target.ptr[0] != '/')) {
        return "the path behind the socket does not begin with a slash";
    }
    set_target(target, url);
    return NULL;
}

static const char *parse_network(struct hf_slice rest, struct hf_url *url)
{
    size_t end = 0;

    while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?') {
        end++;
    }
    set_target(hf_slice_from(rest, end), url);
    return parse_authority(hf_slice_first(rest, end), url);
}

static const char *parse(struct hf_slice text, struct hf_url *url)
{
    const char *why = check_bytes(text);

    if (why != NULL) {
        return why;
    }
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (hf_slice_starts(text, schemes[i].prefix)) {
            struct hf_slice rest = hf_slice_from(text, schemes[i].prefix.len);

            url->scheme = hf_slice_first(text, schemes[i].scheme_len);
            url->tls = schemes[i].tls;
            url->port = schemes[i].port;
            return schemes[i].port == 0 ? parse_unix(rest, url) : parse_network(rest, url);
        }
    }
    return "the URL does not begin with http://, https://, ws://, wss:// or unix:";
}

bool hf_url_parse(struct hf_slice text, struct hf_url *url, const char **why)
{
    memset(url, 0, sizeof(*url));
    *why = parse(text, url);
    return *why == NULL;
}

void hf_target_split(struct hf_slice target, struct hf_slice *path, struct hf_slice *query)
{
    size_t mark = hf_slice_find(target, '?');

    *path = hf_slice_first(target, mark);
    *query = mark == target.len ? hf_slice(NULL, 0)
                                : hf_slice(target.ptr + mark + 1, target.len - mark - 1);
}
