/* SPDX-License-Identifier: Apache-2.0 */
/* Which query parameters and header fields are secret, and where a secret ends. */
#include "base/redact.h"

#define NAME_MAX_BYTES 16 /* longer than every name in the list below */

/* Lower case, without - and _. */
static const char *const secret_names[] = {
    "token",  "accesstoken", "idtoken",  "jwt",    "auth", "key",
    "apikey", "secret",      "password", "ticket", "sig",
};

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes one byte off *s, percent-decoded (RFC 3986 2.1); a broken escape stands for itself. */
static uint8_t next_decoded(struct hf_slice *s)
{
    uint8_t c = s->ptr[0];
    size_t took = 1;
    if (c == '%' && s->len >= 3) {
        int high = hex_digit(s->ptr[1]);
        int low = hex_digit(s->ptr[2]);
        if (high >= 0 && low >= 0) {
            c = (uint8_t)(high << 4 | low);
            took = 3;
        }
    }
    *s = hf_slice_from(*s, took);
    return c;
}

static bool is_secret_name(struct hf_slice name)
{
    uint8_t plain[NAME_MAX_BYTES];
    size_t len = 0;
    while (name.len > 0) {
        uint8_t c = next_decoded(&name);
        if (c == '[') {
            break;
        }
        if (c == '-' || c == '_') {
            continue;
        }
        if (len == sizeof(plain)) {
            return false;
        }
        plain[len++] = c;
    }
    for (size_t i = 0; i < sizeof(secret_names) / sizeof(secret_names[0]); i++) {
        if (hf_slice_eq_nocase(hf_slice(plain, len), hf_slice_of(secret_names[i]))) {
            return true;
        }
    }
    return false;
}

static bool is_name_byte(uint8_t c)
{
    uint8_t lower = c | 0x20;
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-_.%[]", c) != NULL);
}

/* True when what stands behind a ; is surely a pair of its own: a name, =, and a value that is more
 * than the = padding of base64. */
static bool is_pair(struct hf_slice s)
{
    size_t name = 0;
    while (name < s.len && is_name_byte(s.ptr[name])) {
        name++;
    }
    struct hf_slice value = hf_slice_from(s, name + 1);
    return name > 0 && name < s.len && s.ptr[name] == '=' && value.len > 0 &&
           strchr("=&;", value.ptr[0]) == NULL;
}

/* Bytes of the secret at the start of s. */
static size_t secret_len(struct hf_slice s)
{
    size_t end = 0;
    while (end < s.len && s.ptr[end] != '&' &&
           !(s.ptr[end] == ';' && is_pair(hf_slice_from(s, end + 1)))) {
        end++;
    }
    return end;
}

/* Bytes of the name at the start of s: up to = or the end of the pair. */
static size_t name_len(struct hf_slice s)
{
    size_t end = 0;
    while (end < s.len && s.ptr[end] != '=' && s.ptr[end] != '&' && s.ptr[end] != ';') {
        end++;
    }
    return end;
}

/* Bytes up to and with the separator. */
static size_t pair_len(struct hf_slice s)
{
    size_t end = 0;
    while (end < s.len && s.ptr[end] != '&' && s.ptr[end] != ';') {
        end++;
    }
    return end < s.len ? end + 1 : end;
}

static bool is_named(struct hf_slice name, const char *wanted)
{
    struct hf_slice left = hf_slice_of(wanted);
    while (name.len > 0 && left.len > 0) {
        uint8_t c = next_decoded(&name);
        if (!hf_slice_eq_nocase(hf_slice(&c, 1), hf_slice_first(left, 1))) {
            return false;
        }
        left = hf_slice_from(left, 1);
    }
    return name.len == 0 && left.len == 0;
}

static bool is_secret(struct hf_slice name, const char *const *further)
{
    for (size_t i = 0; further != NULL && further[i] != NULL; i++) {
        if (is_named(name, further[i])) {
            return true;
        }
    }
    return is_secret_name(name);
}

void hf_redact_target(struct hf_slice target, struct hf_buffer *out)
{
    hf_redact_target_and(target, NULL, out);
}

void hf_redact_target_and(struct hf_slice target, const char *const *further, struct hf_buffer *out)
{
    size_t copied = 0;
    size_t at = hf_slice_find(target, '?') + 1;
    while (at < target.len) {
        struct hf_slice rest = hf_slice_from(target, at);
        size_t name = name_len(rest);
        if (name < rest.len && rest.ptr[name] == '=' &&
            is_secret(hf_slice_first(rest, name), further)) {
            at += name + 1;
            size_t secret = secret_len(hf_slice_from(target, at));
            if (secret > 0) {
                (void)hf_buffer_add(out, hf_slice(target.ptr + copied, at - copied));
                (void)hf_buffer_add_text(out, "***");
                at += secret;
                copied = at;
            }
        }
        at += pair_len(hf_slice_from(target, at));
    }
    (void)hf_buffer_add(out, hf_slice_from(target, copied));
}

void hf_redact_url(struct hf_slice url, const char *const *further, struct hf_buffer *out)
{
    const size_t scheme = hf_slice_search(url, HF_LITERAL("://"));
    const size_t start = scheme < url.len ? scheme + 3 : 0;
    size_t end = start, at = start;
    for (; end < url.len && memchr("/?#", url.ptr[end], 3) == NULL; end++) {
        at = url.ptr[end] == '@' ? end : at;
    }
    if (at > start) {
        (void)hf_buffer_add(out, hf_slice_first(url, start));
        (void)hf_buffer_add_text(out, "***");
        url = hf_slice_from(url, at);
    }
    hf_redact_target_and(url, further, out);
}

bool hf_redact_header(struct hf_slice name)
{
    return hf_slice_eq_nocase(name, HF_LITERAL("authorization")) ||
           hf_slice_eq_nocase(name, HF_LITERAL("cookie")) ||
           hf_slice_eq_nocase(name, HF_LITERAL("set-cookie")) ||
           hf_slice_eq_nocase(name, HF_LITERAL("proxy-authorization"));
}
