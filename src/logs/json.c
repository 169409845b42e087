/* SPDX-License-Identifier: Apache-2.0 */
/* The members of one JSON object: see json.h. */
#include "logs/json.h"

#define DEPTH_MAX 64

uint8_t *hf_logs_scratch_take(struct hf_logs_scratch *s, size_t size)
{
    if (size > s->cap - s->len) {
        return NULL;
    }
    uint8_t *at = s->data + s->len;
    s->len += size;
    return at;
}

void hf_logs_json_begin(struct hf_logs_json *j, struct hf_slice text,
                        struct hf_logs_scratch *scratch)
{
    *j = (struct hf_logs_json){.rest = hf_slice_from(text, 1), .scratch = scratch};
}

static bool fail(struct hf_logs_json *j)
{
    j->failed = true;
    return false;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct hf_logs_json *j)
{
    while (j->rest.len > 0 && is_space(j->rest.ptr[0])) {
        j->rest = hf_slice_from(j->rest, 1);
    }
}

static bool take(struct hf_logs_json *j, char c)
{
    skip_space(j);
    if (j->rest.len == 0 || j->rest.ptr[0] != (uint8_t)c) {
        return false;
    }
    j->rest = hf_slice_from(j->rest, 1);
    return true;
}

static int hex_of(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Four hexadecimal digits; -1 when they are not there. */
static int32_t unit_of(struct hf_slice s, size_t at)
{
    int32_t value = 0;
    if (at + 4 > s.len) {
        return -1;
    }
    for (size_t i = at; i < at + 4; i++) {
        int digit = hex_of(s.ptr[i]);
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

static size_t put_utf8(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xC0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xE0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (c & 0x3F));
    return 4;
}

/* \uXXXX with a second half where it needs one; *at stands behind the u and moves behind it all.
 * U+FFFD for halves. */
static uint32_t escaped_of(struct hf_slice s, size_t *at)
{
    int32_t high = unit_of(s, *at);
    if (high < 0) {
        return '?'; /* no longer than the two bytes that it stands for */
    }
    *at += 4;
    if (high < 0xD800 || high > 0xDFFF) {
        return (uint32_t)high;
    }
    int32_t low =
        *at + 6 <= s.len && s.ptr[*at] == '\\' && s.ptr[*at + 1] == 'u' ? unit_of(s, *at + 2) : -1;
    if (high > 0xDBFF || low < 0xDC00 || low > 0xDFFF) {
        return 0xFFFD;
    }
    *at += 6;
    return 0x10000 + (((uint32_t)high & 0x3FF) << 10 | ((uint32_t)low & 0x3FF));
}

/* What is written out is never longer than what stands there: \u takes six bytes for at most
 * three. nginx's own \xHH (escape=default) is understood as well. */
static bool unescape(struct hf_logs_scratch *scratch, struct hf_slice s, struct hf_slice *out)
{
    static const char from[] = "bfnrt";
    static const char to[] = "\b\f\n\r\t";
    uint8_t *text = hf_logs_scratch_take(scratch, s.len);
    size_t n = 0;
    if (text == NULL) {
        return false;
    }
    for (size_t i = 0; i < s.len;) {
        uint8_t c = s.ptr[i++];
        if (c != '\\' || i == s.len) {
            text[n++] = c;
            continue;
        }
        c = s.ptr[i++];
        const char *found = c != 0 ? strchr(from, c) : NULL;
        if (c == 'u') {
            n += put_utf8(text + n, escaped_of(s, &i));
        } else if (c == 'x' && i + 2 <= s.len && hex_of(s.ptr[i]) >= 0 &&
                   hex_of(s.ptr[i + 1]) >= 0) {
            text[n++] = (uint8_t)(hex_of(s.ptr[i]) * 16 + hex_of(s.ptr[i + 1]));
            i += 2;
        } else {
            text[n++] = found != NULL ? (uint8_t)to[found - from] : c;
        }
    }
    *out = hf_slice(text, n);
    return true;
}

/* The text up to the closing quote, which is taken off as well. */
static bool take_string(struct hf_logs_json *j, struct hf_slice *out)
{
    bool escapes = false;
    size_t i = 0;
    while (i < j->rest.len && j->rest.ptr[i] != '"') {
        escapes = escapes || j->rest.ptr[i] == '\\';
        i += j->rest.ptr[i] == '\\' ? 2 : 1;
    }
    if (i >= j->rest.len) {
        return fail(j);
    }
    *out = hf_slice_first(j->rest, i);
    j->rest = hf_slice_from(j->rest, i + 1);
    return !escapes || unescape(j->scratch, *out, out) || fail(j);
}

/* Length of the object or array that s begins with; 0 when it is not whole. */
static size_t nested_len(struct hf_slice s)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > DEPTH_MAX) {
                return 0;
            }
        } else if ((c == '}' || c == ']') && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

static bool take_value(struct hf_logs_json *j, struct hf_logs_member *m)
{
    skip_space(j);
    uint8_t first = j->rest.len > 0 ? j->rest.ptr[0] : 0;
    size_t len = 0;
    if (first == '"') {
        j->rest = hf_slice_from(j->rest, 1);
        m->kind = HF_LOGS_JSON_STRING;
        return take_string(j, &m->value);
    }
    if (first == '{' || first == '[') {
        m->kind = HF_LOGS_JSON_NESTED;
        len = nested_len(j->rest);
    } else {
        m->kind = HF_LOGS_JSON_NUMBER;
        while (len < j->rest.len && j->rest.ptr[len] != ',' && j->rest.ptr[len] != '}' &&
               !is_space(j->rest.ptr[len])) {
            len++;
        }
    }
    m->value = hf_slice_first(j->rest, len);
    j->rest = hf_slice_from(j->rest, len);
    /* An empty value, as nginx writes for a variable that is not set, is no fault. */
    return m->kind != HF_LOGS_JSON_NESTED || len > 0 || fail(j);
}

bool hf_logs_json_next(struct hf_logs_json *j, struct hf_logs_member *member)
{
    if (j->failed || j->ended) {
        return false;
    }
    (void)take(j, ',');
    if (take(j, '}')) {
        j->ended = true;
        return false;
    }
    if (!take(j, '"') || !take_string(j, &member->key) || !take(j, ':')) {
        return fail(j);
    }
    return take_value(j, member);
}
