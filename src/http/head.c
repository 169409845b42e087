/* SPDX-License-Identifier: Apache-2.0 */
/* Reads request and response heads in one pass over the bytes. The verdict on a prefix never
 * changes when more bytes come: MORE may become anything, everything else stays. */
#include "http/head.h"
#include "http/bytes.h"

/* The bytes not yet read. Each read_* step moves `at` over what it understood and returns
 * HF_HEAD_READ, or says what stopped it; `at` is of no use then. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool full; /* the end is the limit: more bytes would not help */
    const char *why;
};

static enum hf_head_read starved(struct reader *r)
{
    if (r->full) {
        r->why = "the head is larger than allowed";
        return HF_HEAD_TOO_BIG;
    }
    return HF_HEAD_MORE;
}

static enum hf_head_read bad(struct reader *r, const char *why)
{
    r->why = why;
    return HF_HEAD_BAD;
}

static enum hf_head_read not_http(struct reader *r, const char *why)
{
    r->why = why;
    return HF_HEAD_NOT_HTTP;
}

/* The fault of a byte that no line may hold. */
static enum hf_head_read bad_byte(struct reader *r)
{
    switch (*r->at) {
    case '\n':
        return bad(r, "a line ends with LF alone");
    case '\r':
        return bad(r, "a CR stands where no line ends");
    case '\0':
        return bad(r, "the head holds a NUL");
    default:
        return bad(r, "the head holds a control character");
    }
}

static const uint8_t *skip(const struct reader *r, unsigned wanted)
{
    const uint8_t *at = r->at;

    while (at < r->end && (hf_byte_class[*at] & wanted) != 0) {
        at++;
    }
    return at;
}

/* A line ends with CR LF and nothing else: RFC 9112 2.2 lets a recipient take LF alone, and
 * smuggling lives on it. */
static enum hf_head_read read_line_end(struct reader *r)
{
    if (r->at == r->end) {
        return starved(r);
    }
    if (*r->at != '\r') {
        return bad_byte(r);
    }
    if (r->at + 1 == r->end) {
        return starved(r);
    }
    if (r->at[1] != '\n') {
        return bad(r, "a CR is not followed by LF");
    }
    r->at += 2;
    return HF_HEAD_READ;
}

static enum hf_head_read read_space(struct reader *r, const char *why)
{
    if (r->at == r->end) {
        return starved(r);
    }
    if (*r->at != ' ') {
        return bad(r, why);
    }
    r->at++;
    return HF_HEAD_READ;
}

/* Reads as much of text as matches; *matched is text's length when it was all there. */
static enum hf_head_read read_literal(struct reader *r, const char *text, size_t *matched)
{
    for (*matched = 0; text[*matched] != '\0'; (*matched)++) {
        if (r->at == r->end) {
            return starved(r);
        }
        if (*r->at != (uint8_t)text[*matched]) {
            return HF_HEAD_BAD;
        }
        r->at++;
    }
    return HF_HEAD_READ;
}

static enum hf_head_read read_minor(struct reader *r, uint8_t *minor)
{
    if (r->at == r->end) {
        return starved(r);
    }
    if (*r->at != '0' && *r->at != '1') {
        return bad(r, "the version is neither HTTP/1.0 nor HTTP/1.1");
    }
    *minor = (uint8_t)(*r->at - '0');
    r->at++;
    return HF_HEAD_READ;
}

static enum hf_head_read read_name(struct reader *r, struct hf_slice *name)
{
    const uint8_t *end = skip(r, HF_BYTE_TOKEN);

    *name = hf_slice(r->at, (size_t)(end - r->at));
    r->at = end;
    if (end == r->end) {
        return starved(r);
    }
    switch (*end) {
    case ':':
        if (name->len == 0) {
            return bad(r, "a header has no name");
        }
        r->at++;
        return HF_HEAD_READ;
    case ' ':
    case '\t':
        /* RFC 9112 5.1: no space before the colon; 5.2: a server refuses obs-fold. */
        return bad(r, name->len == 0 ? "a header line is folded"
                                     : "space stands between a header's name and its colon");
    case '\r':
        return bad(r, "a header line has no colon");
    default:
        return (hf_byte_class[*end] & HF_BYTE_TEXT) != 0
                   ? bad(r, "a header's name holds a character that is not allowed")
                   : bad_byte(r);
    }
}

static enum hf_head_read read_value(struct reader *r, struct hf_slice *value)
{
    const uint8_t *end = skip(r, HF_BYTE_TEXT);

    *value = hf_slice_trim(hf_slice(r->at, (size_t)(end - r->at)));
    r->at = end;
    return read_line_end(r);
}

/* Header lines up to and with the empty line. */
static enum hf_head_read read_headers(struct reader *r, struct hf_head *head)
{
    enum hf_head_read step;

    for (;;) {
        if (r->at < r->end && *r->at == '\r') {
            return read_line_end(r);
        }
        if (r->at < r->end && head->count == HF_HEADERS_MAX) {
            r->why = "the head has too many headers";
            return HF_HEAD_TOO_BIG;
        }
        if (r->at == r->end) {
            return starved(r);
        }
        step = read_name(r, &head->headers[head->count].name);
        if (step == HF_HEAD_READ) {
            step = read_value(r, &head->headers[head->count].value);
        }
        if (step != HF_HEAD_READ) {
            return step;
        }
        head->count++;
    }
}

static enum hf_head_read read_method(struct reader *r, struct hf_slice *method)
{
    const uint8_t *start = r->at;

    r->at = skip(r, HF_BYTE_TOKEN);
    *method = hf_slice(start, (size_t)(r->at - start));
    if (r->at == r->end) {
        return starved(r);
    }
    switch (*r->at) {
    case ' ':
        if (method->len == 0) {
            return bad(r, "the request line begins with a space");
        }
        /* RFC 9113 11.6 keeps the method PRI for the preface of HTTP/2. */
        if (hf_slice_eq(*method, HF_LITERAL("PRI"))) {
            return not_http(r, "the first bytes are HTTP/2's preface");
        }
        r->at++;
        return HF_HEAD_READ;
    case '\r':
    case '\n':
        return method->len == 0 ? bad(r, "an empty line stands before the request line")
                                : not_http(r, "the first line is one word");
    case '\t':
        return bad(r, "the request line holds a tab");
    default:
        return not_http(r, *start == 0x16 ? "the first bytes are a TLS hello"
                                          : "the first bytes are no HTTP request");
    }
}

/* Of "http://" or "https://" at the start of text, or of a part of it while more may come; 0:
 * neither. */
static size_t scheme_length(struct hf_slice text)
{
    static const struct hf_slice schemes[] = {HF_LITERAL("http://"), HF_LITERAL("https://")};
    for (size_t i = 0; i < 2; i++) {
        struct hf_slice part = hf_slice_first(schemes[i], text.len);
        if (hf_slice_eq_nocase(hf_slice_first(text, schemes[i].len), part)) {
            return schemes[i].len;
        }
    }
    return 0;
}

/* RFC 9112 3.2.2 absolute-form: the path behind the authority; NULL when it is not there (yet). */
static const uint8_t *cut_authority(struct reader *r, const uint8_t *start, size_t scheme,
                                    struct hf_head *head)
{
    struct hf_slice rest = hf_slice_from(hf_slice(start, (size_t)(r->at - start)), scheme);
    size_t len = hf_slice_find(rest, '/');
    if (len == 0 || len >= rest.len) {
        return NULL;
    }
    head->authority = hf_slice_first(rest, len);
    return rest.ptr + len;
}

/* RFC 9112 3.2.1 origin-form, 3.2.2 absolute-form (which becomes origin-form), and 3.2.4
 * asterisk-form, which is for OPTIONS only. */
static enum hf_head_read read_target(struct reader *r, struct hf_head *head)
{
    const uint8_t *start = r->at;

    if (r->at == r->end) {
        return starved(r);
    }
    if (*start == ' ') {
        return bad(r, "the request line holds more than one space in a row");
    }
    head->authority = hf_slice(NULL, 0);
    if (*start == '*' && hf_slice_eq(head->method, HF_LITERAL("OPTIONS"))) {
        r->at++;
    } else if (*start == '/') {
        r->at = skip(r, HF_BYTE_TARGET);
    } else {
        r->at = skip(r, HF_BYTE_TARGET);
        size_t scheme = scheme_length(hf_slice(start, (size_t)(r->at - start)));
        if (scheme == 0) {
            return bad(r, "the request's target is not a path");
        }
        start = cut_authority(r, start, scheme, head);
        if (start == NULL) {
            return r->at == r->end ? starved(r) : bad(r, "the request's target names no path");
        }
    }
    head->target = hf_slice(start, (size_t)(r->at - start));
    if (r->at < r->end && (*r->at == '\r' || *r->at == '\n')) {
        return bad(r, "the request line has no version (HTTP/0.9)");
    }
    return read_space(r, "the request's target holds a character that is not allowed");
}

static enum hf_head_read read_request_line(struct reader *r, struct hf_head *head)
{
    enum hf_head_read step = read_method(r, &head->method);
    size_t matched;

    if (step == HF_HEAD_READ) {
        step = read_target(r, head);
    }
    if (step == HF_HEAD_READ) {
        step = read_literal(r, "HTTP/1.", &matched);
        if (step == HF_HEAD_BAD) {
            if (matched == 0 && *r->at == ' ') {
                return bad(r, "the request line holds more than one space in a row");
            }
            return bad(r, "the version is neither HTTP/1.0 nor HTTP/1.1");
        }
    }
    if (step == HF_HEAD_READ) {
        step = read_minor(r, &head->minor);
    }
    if (step == HF_HEAD_READ) {
        if (r->at < r->end && *r->at != '\r' && *r->at != '\n') {
            return bad(r, "the request line goes on behind the version");
        }
        step = read_line_end(r);
    }
    return step;
}

static enum hf_head_read read_status(struct reader *r, uint16_t *status)
{
    *status = 0;
    for (int digit = 0; digit < 3; digit++) {
        if (r->at == r->end) {
            return starved(r);
        }
        if (*r->at < (digit == 0 ? '1' : '0') || *r->at > '9') {
            return bad(r, "the status is not a number from 100 to 999");
        }
        *status = (uint16_t)(*status * 10 + (*r->at - '0'));
        r->at++;
    }
    return HF_HEAD_READ;
}

/* The space behind the status may be missing together with the reason: servers do that, and nobody
 * can read it differently. */
static enum hf_head_read read_reason(struct reader *r, struct hf_slice *reason)
{
    const uint8_t *end;

    *reason = hf_slice(r->at, 0);
    if (r->at == r->end) {
        return starved(r);
    }
    if (*r->at == ' ') {
        r->at++;
        end = skip(r, HF_BYTE_TEXT);
        *reason = hf_slice(r->at, (size_t)(end - r->at));
        r->at = end;
    } else if ((hf_byte_class[*r->at] & HF_BYTE_TEXT) != 0) {
        return bad(r, "the status is not a number from 100 to 999");
    }
    return read_line_end(r);
}

static enum hf_head_read read_status_line(struct reader *r, struct hf_head *head)
{
    size_t matched;
    enum hf_head_read step = read_literal(r, "HTTP/1.", &matched);

    if (step == HF_HEAD_BAD) {
        return matched < 5 ? not_http(r, "the first bytes are no HTTP response")
                           : bad(r, "the version is neither HTTP/1.0 nor HTTP/1.1");
    }
    if (step == HF_HEAD_READ) {
        step = read_minor(r, &head->minor);
    }
    if (step == HF_HEAD_READ) {
        step = read_space(r, "the status line has no space behind the version");
    }
    if (step == HF_HEAD_READ) {
        step = read_status(r, &head->status);
    }
    if (step == HF_HEAD_READ) {
        step = read_reason(r, &head->reason);
    }
    return step;
}

static enum hf_head_read
read_head(struct hf_slice bytes, size_t max, struct hf_head *head, const char **why,
          enum hf_head_read (*read_first_line)(struct reader *, struct hf_head *))
{
    const struct hf_slice none = {NULL, 0};
    size_t limit = max < HF_HEAD_BYTES_MAX ? max : HF_HEAD_BYTES_MAX;
    struct hf_slice seen = hf_slice_first(bytes, limit);
    struct reader r = {seen.ptr, seen.len == 0 ? seen.ptr : seen.ptr + seen.len, seen.len == limit,
                       NULL};
    enum hf_head_read step;

    /* The array of headers is not cleared: only its first `count` members mean anything. */
    head->method = none;
    head->target = none;
    head->status = 0;
    head->reason = none;
    head->minor = 0;
    head->count = 0;
    head->size = 0;
    step = read_first_line(&r, head);
    if (step == HF_HEAD_READ) {
        step = read_headers(&r, head);
    }
    if (step == HF_HEAD_READ) {
        head->size = (uint32_t)(r.at - bytes.ptr);
    }
    *why = r.why;
    return step;
}

enum hf_head_read hf_request_read(struct hf_slice bytes, size_t max, struct hf_head *head,
                                  const char **why)
{
    return read_head(bytes, max, head, why, read_request_line);
}

enum hf_head_read hf_response_read(struct hf_slice bytes, size_t max, struct hf_head *head,
                                   const char **why)
{
    return read_head(bytes, max, head, why, read_status_line);
}
