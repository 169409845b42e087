/* SPDX-License-Identifier: Apache-2.0 */
/* Percent coding, paths for comparing, query strings, cookies. */
#include "http/bytes.h"
#include "http/url.h"

/* The byte that %XX at offset stands for, or -1. */
static int escape_at(struct hf_slice text, size_t offset)
{
    int high;
    int low;

    if (text.len - offset < 3) {
        return -1;
    }
    high = hf_hex_digit(text.ptr[offset + 1]);
    low = hf_hex_digit(text.ptr[offset + 2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* The next decoded byte of form coding, or -1 at a bad escape. Moves *offset over it. */
static int next_decoded(struct hf_slice text, size_t *offset)
{
    int byte = text.ptr[*offset];

    if (byte == '%') {
        byte = escape_at(text, *offset);
        *offset += 3;
        return byte;
    }
    (*offset)++;
    return byte == '+' ? ' ' : byte;
}

bool hf_percent_decode(struct hf_slice text, struct hf_buffer *out)
{
    size_t at = 0;

    while (at < text.len) {
        int byte = next_decoded(text, &at);

        if (byte <= 0 || hf_buffer_add_byte(out, (uint8_t)byte) != HF_OK) {
            return false;
        }
    }
    return true;
}

/* RFC 3986 2.3. */
static bool is_unreserved(int byte)
{
    return (byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') ||
           byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

/* One byte or escape of a path in its normal form (RFC 3986 6.2.2). */
static bool add_normal(struct hf_slice path, size_t *at, struct hf_buffer *out)
{
    static const char digits[] = "0123456789ABCDEF";
    int byte = path.ptr[*at];
    uint8_t escape[3] = {'%', 0, 0};

    if (byte != '%') {
        if (byte <= ' ' || byte >= 0x7f || byte == '\\' || byte == '?' || byte == '#') {
            return false;
        }
        (*at)++;
        return hf_buffer_add_byte(out, (uint8_t)byte) == HF_OK;
    }
    byte = escape_at(path, *at);
    if (byte <= 0 || byte == '/' || byte == '\\') {
        return false;
    }
    *at += 3;
    if (is_unreserved(byte)) {
        return hf_buffer_add_byte(out, (uint8_t)byte) == HF_OK;
    }
    escape[1] = (uint8_t)digits[byte >> 4];
    escape[2] = (uint8_t)digits[byte & 15];
    return hf_buffer_add(out, hf_slice(escape, sizeof(escape))) == HF_OK;
}

/* "." or "..", also with the parameters that some servers cut off ("..;x") before they walk up. */
static bool is_dot_segment(struct hf_slice segment)
{
    struct hf_slice name = hf_slice_first(segment, hf_slice_find(segment, ';'));

    return hf_slice_eq(name, HF_LITERAL(".")) || hf_slice_eq(name, HF_LITERAL(".."));
}

bool hf_path_normal(struct hf_slice path, struct hf_buffer *out)
{
    size_t segment = out->len;
    size_t at = 0;

    if (path.len == 0 || path.ptr[0] != '/') {
        return false;
    }
    while (at < path.len) {
        bool slash = path.ptr[at] == '/';

        if (slash && is_dot_segment(hf_slice_from(hf_buffer_slice(out), segment))) {
            return false;
        }
        if (!add_normal(path, &at, out)) {
            return false;
        }
        segment = slash ? out->len : segment;
    }
    return !is_dot_segment(hf_slice_from(hf_buffer_slice(out), segment));
}

/* One "name=value" of a query. */
struct parameter {
    struct hf_slice whole;
    struct hf_slice name;  /* still coded */
    struct hf_slice value; /* still coded; empty without '=' */
};

/* Takes the parameter at *offset, and moves *offset behind its '&'. False behind the last one. A
 * query of n '&' has n + 1 parameters, some perhaps empty, so that nothing is lost when they are
 * put together again. */
static bool next_parameter(struct hf_slice query, size_t *offset, struct parameter *p)
{
    size_t equals;

    if (query.ptr == NULL || *offset > query.len) {
        return false;
    }
    p->whole = hf_slice(query.ptr + *offset, query.len - *offset);
    p->whole.len = hf_slice_find(p->whole, '&');
    *offset += p->whole.len + 1;
    equals = hf_slice_find(p->whole, '=');
    p->name = hf_slice_first(p->whole, equals);
    p->value = equals == p->whole.len
                   ? hf_slice(p->whole.ptr + equals, 0)
                   : hf_slice(p->whole.ptr + equals + 1, p->whole.len - equals - 1);
    return true;
}

/* A name with a bad escape is no name at all, and equals none. */
static bool is_named(const struct parameter *p, struct hf_slice name)
{
    size_t at = 0;
    size_t i = 0;

    while (at < p->name.len) {
        int byte = next_decoded(p->name, &at);

        if (byte < 0 || i == name.len || name.ptr[i] != byte) {
            return false;
        }
        i++;
    }
    return i == name.len && p->whole.len > 0;
}

bool hf_query_find(struct hf_slice query, struct hf_slice name, struct hf_slice *value)
{
    struct parameter p;
    size_t offset = 0;

    while (next_parameter(query, &offset, &p)) {
        if (is_named(&p, name)) {
            *value = p.value;
            return true;
        }
    }
    return false;
}

enum hf_status hf_query_remove(struct hf_slice target, struct hf_slice name, struct hf_buffer *out)
{
    struct hf_slice path;
    struct hf_slice query;
    struct parameter p;
    size_t offset = 0;
    uint8_t between = '?';

    hf_target_split(target, &path, &query);
    (void)hf_buffer_add(out, path);
    while (next_parameter(query, &offset, &p)) {
        if (!is_named(&p, name)) {
            (void)hf_buffer_add_byte(out, between);
            (void)hf_buffer_add(out, p.whole);
            between = '&';
        }
    }
    return out->failed ? HF_NO_MEMORY : HF_OK;
}

static void add_encoded(struct hf_slice value, struct hf_buffer *out)
{
    for (size_t i = 0; i < value.len; i++) {
        if (is_unreserved(value.ptr[i])) {
            (void)hf_buffer_add_byte(out, value.ptr[i]);
        } else {
            (void)hf_buffer_addf(out, "%%%02X", value.ptr[i]);
        }
    }
}

enum hf_status hf_query_replace(struct hf_slice target, struct hf_slice name, struct hf_slice value,
                                struct hf_buffer *out)
{
    struct hf_slice path;
    struct hf_slice query;
    struct parameter p;
    size_t offset = 0;
    uint8_t between = '?';

    hf_target_split(target, &path, &query);
    (void)hf_buffer_add(out, path);
    while (next_parameter(query, &offset, &p)) {
        (void)hf_buffer_add_byte(out, between);
        if (is_named(&p, name)) {
            (void)hf_buffer_add(out, p.name);
            (void)hf_buffer_add_byte(out, '=');
            add_encoded(value, out);
        } else {
            (void)hf_buffer_add(out, p.whole);
        }
        between = '&';
    }
    return out->failed ? HF_NO_MEMORY : HF_OK;
}

bool hf_cookie_find(struct hf_slice cookies, struct hf_slice name, struct hf_slice *value)
{
    struct hf_slice pair;

    while (hf_slice_next(&cookies, ';', &pair)) {
        size_t equals = hf_slice_find(pair, '=');
        struct hf_slice found;

        if (equals == pair.len || !hf_slice_eq(hf_slice_trim(hf_slice_first(pair, equals)), name)) {
            continue;
        }
        found = hf_slice_trim(hf_slice_from(pair, equals + 1));
        if (found.len >= 2 && found.ptr[0] == '"' && found.ptr[found.len - 1] == '"') {
            found = hf_slice(found.ptr + 1, found.len - 2);
        }
        *value = found;
        return true;
    }
    return false;
}
