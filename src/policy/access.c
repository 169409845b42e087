/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts, origins and addresses: strict readers, and the comparison of what they read. */
#include "policy/access.h"

/* RFC 1035 2.3.4: octets of a label, and of a name as text. */
#define LABEL_MAX 63
#define NAME_MAX_BYTES 253

enum host_kind {
    HOST_NONE, /* empty: only origins of schemes without hosts */
    HOST_NAME, /* also an IPv4 address: it is compared as text */
    HOST_IPV6,
    HOST_BELOW, /* pattern "*.name": name is what stands behind the "*." */
    HOST_ANY,   /* pattern "*" */
};

struct host {
    enum host_kind kind;
    struct hf_slice name; /* without a trailing dot; lies in the text that was parsed */
    uint8_t address[16];  /* of HOST_IPV6 */
    uint32_t port;        /* 0: none was written */
};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static bool is_letter(uint8_t c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool is_char(struct hf_slice s, uint8_t c)
{
    return s.len == 1 && s.ptr[0] == c;
}

/* Decimal without leading zeros, 0 to max (below 100000). */
static bool parse_number(struct hf_slice s, uint32_t max, uint32_t *value)
{
    if (s.len == 0 || s.len > 5 || (s.ptr[0] == '0' && s.len > 1)) {
        return false;
    }
    uint32_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (!is_digit(s.ptr[i])) {
            return false;
        }
        n = n * 10 + (s.ptr[i] - (uint32_t)'0');
    }
    *value = n;
    return n <= max;
}

/* ":port" with 1 to 65535, or nothing. */
static bool parse_port(struct hf_slice s, uint32_t *port)
{
    *port = 0;
    if (s.len == 0) {
        return true;
    }
    return s.ptr[0] == ':' && parse_number(hf_slice_from(s, 1), 65535, port) && *port != 0;
}

/* ---- addresses ---- */

/* RFC 3986 3.2.2 IPv4address: four numbers, no leading zeros. */
static bool parse_ipv4(struct hf_slice s, uint8_t address[4])
{
    for (int i = 0; i < 4; i++) {
        size_t end = i < 3 ? hf_slice_find(s, '.') : s.len;
        uint32_t value;
        if ((i < 3 && end == s.len) || !parse_number(hf_slice_first(s, end), 255, &value)) {
            return false;
        }
        address[i] = (uint8_t)value;
        s = hf_slice_from(s, end + 1);
    }
    return true;
}

static bool parse_hex_group(struct hf_slice s, uint8_t group[2])
{
    if (s.len == 0 || s.len > 4) {
        return false;
    }
    unsigned n = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = lower(s.ptr[i]);
        if (!is_digit(c) && !(c >= 'a' && c <= 'f')) {
            return false;
        }
        n = n << 4 | (unsigned)(is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    group[0] = (uint8_t)(n >> 8);
    group[1] = (uint8_t)n;
    return true;
}

/* Groups between colons, the last one perhaps an IPv4 address where may_end_in_ipv4. Writes at most
 * room bytes; *len is how many. Nothing at all is zero groups. */
static bool parse_groups(struct hf_slice s, bool may_end_in_ipv4, uint8_t *out, size_t room,
                         size_t *len)
{
    *len = 0;
    while (s.len > 0) {
        size_t end = hf_slice_find(s, ':');
        struct hf_slice piece = hf_slice_first(s, end);
        bool is_last = end == s.len;
        if (is_last && may_end_in_ipv4 && hf_slice_find(piece, '.') < piece.len) {
            if (room - *len < 4 || !parse_ipv4(piece, out + *len)) {
                return false;
            }
            *len += 4;
            return true;
        }
        if (room - *len < 2 || !parse_hex_group(piece, out + *len)) {
            return false;
        }
        *len += 2;
        if (is_last) {
            return true;
        }
        s = hf_slice_from(s, end + 1);
        if (s.len == 0) {
            return false; /* a colon at the end */
        }
    }
    return true;
}

/* RFC 4291 2.2. */
static bool parse_ipv6(struct hf_slice s, uint8_t address[16])
{
    size_t gap = hf_slice_search(s, HF_LITERAL("::"));
    size_t head_len;
    size_t tail_len;
    uint8_t tail[16];
    memset(address, 0, 16);
    if (s.len == 0) {
        return false;
    }
    if (gap == s.len) {
        return parse_groups(s, true, address, 16, &head_len) && head_len == 16;
    }
    /* "::" stands for one group of zeros or more. */
    if (!parse_groups(hf_slice_first(s, gap), false, address, 14, &head_len) ||
        !parse_groups(hf_slice_from(s, gap + 2), true, tail, 14 - head_len, &tail_len)) {
        return false;
    }
    memcpy(address + 16 - tail_len, tail, tail_len);
    return true;
}

static const uint8_t ipv4_prefix[12] = {[10] = 0xff, [11] = 0xff};

/* An address alone, without brackets or port. is_ipv4 tells how it was written. */
static bool parse_address(struct hf_slice s, uint8_t address[16], bool *is_ipv4)
{
    *is_ipv4 = hf_slice_find(s, ':') == s.len;
    if (!*is_ipv4) {
        return parse_ipv6(s, address);
    }
    memcpy(address, ipv4_prefix, sizeof(ipv4_prefix));
    return parse_ipv4(s, address + 12);
}

bool hf_ip_parse(struct hf_slice text, uint8_t address[16])
{
    uint32_t port;
    bool is_ipv4;
    if (text.len > 0 && text.ptr[0] == '[') {
        size_t end = hf_slice_find(text, ']');
        return end < text.len && parse_ipv6(hf_slice_from(hf_slice_first(text, end), 1), address) &&
               parse_port(hf_slice_from(text, end + 1), &port);
    }
    size_t colon = hf_slice_find(text, ':');
    if (colon < text.len && hf_slice_find(text, '.') < colon) {
        return parse_port(hf_slice_from(text, colon), &port) &&
               parse_address(hf_slice_first(text, colon), address, &is_ipv4);
    }
    return parse_address(text, address, &is_ipv4);
}

static char *put_decimal(char *p, unsigned value)
{
    if (value >= 100) {
        *p++ = (char)('0' + value / 100);
    }
    if (value >= 10) {
        *p++ = (char)('0' + value / 10 % 10);
    }
    *p++ = (char)('0' + value % 10);
    return p;
}

static char *put_hex(char *p, unsigned value)
{
    bool started = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
        unsigned digit = value >> shift & 15;
        started = started || digit != 0 || shift == 0;
        if (started) {
            *p++ = "0123456789abcdef"[digit];
        }
    }
    return p;
}

static unsigned group_at(const uint8_t address[16], int i)
{
    return (unsigned)address[2 * i] << 8 | address[2 * i + 1];
}

/* RFC 5952 4.2.2 and 4.2.3: the first of the longest runs of zero groups, if it has two or more. */
static void find_zero_run(const uint8_t address[16], int *start, int *len)
{
    *start = -1;
    *len = 1;
    for (int i = 0, run = 0; i < 8; i++) {
        run = group_at(address, i) == 0 ? run + 1 : 0;
        if (run > *len) {
            *len = run;
            *start = i - run + 1;
        }
    }
}

void hf_ip_text(const uint8_t address[16], char text[46])
{
    char *p = text;
    if (memcmp(address, ipv4_prefix, sizeof(ipv4_prefix)) == 0) {
        for (int i = 12; i < 16; i++) {
            p = put_decimal(p, address[i]);
            *p++ = '.';
        }
        p[-1] = '\0';
        return;
    }
    int start;
    int len;
    find_zero_run(address, &start, &len);
    for (int i = 0; i < 8; i++) {
        if (i == start) {
            *p++ = ':';
            *p++ = ':';
            i += len - 1;
            continue;
        }
        if (i > 0 && p[-1] != ':') {
            *p++ = ':';
        }
        p = put_hex(p, group_at(address, i));
    }
    *p = '\0';
}

/* The bits of address[index] that belong to a prefix of so many bits. */
static uint8_t prefix_mask(unsigned index, unsigned bits)
{
    unsigned before = index * 8;
    if (bits >= before + 8) {
        return 0xff;
    }
    return (uint8_t)(bits <= before ? 0 : 0xff << (8 - (bits - before)));
}

bool hf_block_parse(struct hf_slice text, struct hf_block *block)
{
    size_t slash = hf_slice_find(text, '/');
    bool is_ipv4;
    if (!parse_address(hf_slice_first(text, slash), block->address, &is_ipv4)) {
        return false;
    }
    uint32_t bits = is_ipv4 ? 32 : 128;
    if (slash < text.len && !parse_number(hf_slice_from(text, slash + 1), bits, &bits)) {
        return false;
    }
    block->bits = (uint8_t)(is_ipv4 ? bits + 96 : bits);
    for (unsigned i = 0; i < 16; i++) {
        if ((block->address[i] & (uint8_t)~prefix_mask(i, block->bits)) != 0) {
            return false;
        }
    }
    return true;
}

bool hf_block_contains(const struct hf_block *block, const uint8_t address[16])
{
    for (unsigned i = 0; i < 16; i++) {
        if (((block->address[i] ^ address[i]) & prefix_mask(i, block->bits)) != 0) {
            return false;
        }
    }
    return true;
}

/* ---- hosts ---- */

/* Labels of letters, digits, '-' (not at an end) and '_', with single dots between. */
static bool is_name(struct hf_slice name)
{
    if (name.len == 0 || name.len > NAME_MAX_BYTES) {
        return false;
    }
    size_t label_len = 0;
    for (size_t i = 0; i <= name.len; i++) {
        uint8_t c = i < name.len ? name.ptr[i] : '.';
        if (c == '.') {
            if (label_len == 0 || label_len > LABEL_MAX || name.ptr[i - 1] == '-') {
                return false;
            }
            label_len = 0;
            continue;
        }
        if (!is_letter(c) && !is_digit(c) && c != '_' && !(c == '-' && label_len > 0)) {
            return false;
        }
        label_len++;
    }
    return true;
}

static struct hf_slice without_trailing_dot(struct hf_slice name)
{
    return name.len > 0 && name.ptr[name.len - 1] == '.' ? hf_slice_first(name, name.len - 1)
                                                         : name;
}

/* host [":" port]; wildcards only in patterns. */
static bool parse_host(struct hf_slice text, bool is_pattern, struct host *host)
{
    *host = (struct host){.kind = HOST_NONE};
    if (text.len > 0 && text.ptr[0] == '[') {
        size_t end = hf_slice_find(text, ']');
        host->kind = HOST_IPV6;
        return end < text.len &&
               parse_ipv6(hf_slice_from(hf_slice_first(text, end), 1), host->address) &&
               parse_port(hf_slice_from(text, end + 1), &host->port);
    }
    size_t end = hf_slice_find(text, ':');
    if (!parse_port(hf_slice_from(text, end), &host->port)) {
        return false;
    }
    host->name = hf_slice_first(text, end);
    if (is_pattern && is_char(host->name, '*')) {
        host->kind = HOST_ANY;
        return true;
    }
    host->kind = HOST_NAME;
    if (is_pattern && hf_slice_starts(host->name, HF_LITERAL("*."))) {
        host->kind = HOST_BELOW;
        host->name = hf_slice_from(host->name, 2);
    }
    host->name = without_trailing_dot(host->name);
    return is_name(host->name);
}

/* name ends in ".base", with at least one label before it. */
static bool is_below(struct hf_slice base, struct hf_slice name)
{
    if (name.len < base.len + 2) {
        return false;
    }
    size_t dot = name.len - base.len - 1;
    return name.ptr[dot] == '.' && hf_slice_eq_nocase(hf_slice_from(name, dot + 1), base);
}

/* Without ports. */
static bool names_match(const struct host *pattern, const struct host *host)
{
    switch (pattern->kind) {
    case HOST_ANY:
        return host->kind != HOST_NONE;
    case HOST_BELOW:
        return host->kind == HOST_NAME && is_below(pattern->name, host->name);
    case HOST_NAME:
        return host->kind == HOST_NAME && hf_slice_eq_nocase(pattern->name, host->name);
    case HOST_IPV6:
        return host->kind == HOST_IPV6 && memcmp(pattern->address, host->address, 16) == 0;
    case HOST_NONE:
        return host->kind == HOST_NONE;
    }
    return false;
}

bool hf_host_pattern_is_valid(struct hf_slice pattern)
{
    struct host parsed;
    return parse_host(pattern, true, &parsed);
}

bool hf_host_matches(struct hf_slice pattern, struct hf_slice host)
{
    struct host p;
    struct host h;
    return parse_host(pattern, true, &p) && parse_host(host, false, &h) && names_match(&p, &h) &&
           (p.port == 0 || p.port == h.port);
}

/* ---- origins ---- */

struct origin {
    bool is_null;           /* the opaque origin: nothing else is set */
    struct hf_slice scheme; /* empty: a pattern that takes http and https */
    struct host host;
};

/* RFC 3986 3.1. */
static bool is_scheme(struct hf_slice s)
{
    if (s.len == 0 || !is_letter(s.ptr[0])) {
        return false;
    }
    for (size_t i = 1; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (!is_letter(c) && !is_digit(c) && c != '+' && c != '-' && c != '.') {
            return false;
        }
    }
    return true;
}

/* 0: the scheme has none that we know. */
static uint32_t default_port(struct hf_slice scheme)
{
    if (hf_slice_eq_nocase(scheme, HF_LITERAL("https")) ||
        hf_slice_eq_nocase(scheme, HF_LITERAL("wss"))) {
        return 443;
    }
    if (hf_slice_eq_nocase(scheme, HF_LITERAL("http")) ||
        hf_slice_eq_nocase(scheme, HF_LITERAL("ws"))) {
        return 80;
    }
    return 0;
}

static bool parse_origin(struct hf_slice text, bool is_pattern, struct origin *origin)
{
    *origin = (struct origin){.is_null = hf_slice_eq(text, HF_LITERAL("null"))};
    if (origin->is_null) {
        return true;
    }
    size_t mark = hf_slice_search(text, HF_LITERAL("://"));
    if (mark == text.len) {
        return is_pattern && parse_host(text, true, &origin->host);
    }
    origin->scheme = hf_slice_first(text, mark);
    struct hf_slice authority = hf_slice_from(text, mark + 3);
    if (!is_scheme(origin->scheme)) {
        return false;
    }
    if (authority.len == 0) {
        return default_port(origin->scheme) == 0;
    }
    return parse_host(authority, is_pattern, &origin->host);
}

static bool schemes_match(struct hf_slice pattern, struct hf_slice scheme)
{
    if (pattern.len == 0) {
        return hf_slice_eq_nocase(scheme, HF_LITERAL("http")) ||
               hf_slice_eq_nocase(scheme, HF_LITERAL("https"));
    }
    return hf_slice_eq_nocase(pattern, scheme);
}

bool hf_origin_pattern_is_valid(struct hf_slice pattern)
{
    struct origin parsed;
    return parse_origin(pattern, true, &parsed);
}

bool hf_origin_matches(struct hf_slice pattern, struct hf_slice origin)
{
    struct origin p;
    struct origin o;
    if (!parse_origin(pattern, true, &p) || !parse_origin(origin, false, &o)) {
        return false;
    }
    if (is_char(pattern, '*')) {
        return true;
    }
    if (p.is_null || o.is_null) {
        return p.is_null && o.is_null;
    }
    uint32_t fallback = default_port(o.scheme); /* RFC 6454 4: the same as the pattern's */
    return schemes_match(p.scheme, o.scheme) && names_match(&p.host, &o.host) &&
           (p.host.port != 0 ? p.host.port : fallback) ==
               (o.host.port != 0 ? o.host.port : fallback);
}
