/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as text and back: IPv4, IPv6 in brackets, and Unix paths. No names. */
#include "io/io.h"

#include <arpa/inet.h>
#include <stdio.h>

#define PREFIX_UNIX HF_LITERAL("unix:")

static bool parse_unix(struct hf_slice path, struct hf_address *address)
{
    struct sockaddr_un *un = &address->u.un;
    if (path.len == 0 || path.len >= sizeof(un->sun_path) ||
        hf_slice_find(path, '\0') != path.len) {
        return false;
    }
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path.ptr, path.len);
    address->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return true;
}

/* A host of either family without brackets; port is in host order. */
static bool parse_host(struct hf_slice host, bool six, uint16_t port, struct hf_address *address)
{
    char text[INET6_ADDRSTRLEN];
    if (host.len == 0 || host.len >= sizeof(text)) {
        return false;
    }
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (six) {
        address->u.v6.sin6_family = AF_INET6;
        address->u.v6.sin6_port = htons(port);
        address->len = sizeof(address->u.v6);
        return inet_pton(AF_INET6, text, &address->u.v6.sin6_addr) == 1;
    }
    address->u.v4.sin_family = AF_INET;
    address->u.v4.sin_port = htons(port);
    address->len = sizeof(address->u.v4);
    return inet_pton(AF_INET, text, &address->u.v4.sin_addr) == 1;
}

static bool parse(struct hf_slice text, struct hf_address *address)
{
    if (hf_slice_starts(text, PREFIX_UNIX)) {
        return parse_unix(hf_slice_from(text, PREFIX_UNIX.len), address);
    }
    bool six = text.len > 0 && text.ptr[0] == '[';
    size_t host_end = hf_slice_find(text, six ? ']' : ':');
    size_t colon = six ? host_end + 1 : host_end;
    if (colon >= text.len || text.ptr[colon] != ':') {
        return false;
    }
    uint64_t port = 0;
    if (!hf_slice_number(hf_slice_from(text, colon + 1), UINT16_MAX, &port)) {
        return false;
    }
    struct hf_slice host = hf_slice_first(text, host_end);
    return parse_host(six ? hf_slice_from(host, 1) : host, six, (uint16_t)port, address);
}

bool hf_address_parse(struct hf_slice text, struct hf_address *address)
{
    memset(address, 0, sizeof(*address));
    if (parse(text, address)) {
        return true;
    }
    memset(address, 0, sizeof(*address));
    return false;
}

void hf_address_host_text(const struct hf_address *address, char text[64])
{
    text[0] = '\0';
    if (address->len == 0) {
        return;
    }
    switch (address->u.any.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &address->u.v4.sin_addr, text, 64);
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &address->u.v6.sin6_addr, text, 64);
        break;
    case AF_UNIX:
        snprintf(text, 64, "unix");
        break;
    default:
        break;
    }
}

void hf_address_text(const struct hf_address *address, char text[128])
{
    char host[64];
    hf_address_host_text(address, host);
    text[0] = '\0';
    if (address->len == 0) {
        return;
    }
    switch (address->u.any.sa_family) {
    case AF_INET:
        snprintf(text, 128, "%s:%u", host, ntohs(address->u.v4.sin_port));
        break;
    case AF_INET6:
        snprintf(text, 128, "[%s]:%u", host, ntohs(address->u.v6.sin6_port));
        break;
    case AF_UNIX: {
        /* A peer that did not bind has no path at all (unix(7)). */
        size_t offset = offsetof(struct sockaddr_un, sun_path);
        size_t room = address->len > offset ? address->len - offset : 0;
        int len = (int)strnlen(address->u.un.sun_path, room);
        snprintf(text, 128, "unix:%.*s", len, address->u.un.sun_path);
        break;
    }
    default:
        break;
    }
}
