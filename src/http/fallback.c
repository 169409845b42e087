/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what a request without WebSockets asks for, and writes the handshake it stands for. */
#include "http/fallback.h"

#define COUNT_MAX (((uint64_t)1 << 53) - 1) /* what a JavaScript number holds */

/* A member or value up to its parameters. */
static struct hf_slice without_parameters(struct hf_slice value)
{
    return hf_slice_trim(hf_slice_first(value, hf_slice_find(value, ';')));
}

static bool accepts(const struct hf_head *head, struct hf_slice type)
{
    struct hf_slice member;
    uint32_t cursor = 0;
    while (hf_head_next_member(head, "Accept", &cursor, &member)) {
        if (hf_slice_eq_nocase(without_parameters(member), type)) {
            return true;
        }
    }
    return false;
}

static bool is_method(const struct hf_head *head, const char *method)
{
    return hf_slice_eq(head->method, hf_slice_of(method));
}

static enum hf_fallback_kind kind_of(const struct hf_head *head)
{
    bool has_key = hf_head_count(head, "HF-Key") > 0;
    if (hf_head_count(head, "Upgrade") > 0 || hf_head_count(head, "Sec-WebSocket-Key") > 0) {
        return HF_FALLBACK_NONE;
    }
    if (is_method(head, "GET")) {
        if (accepts(head, HF_LITERAL("application/x-hf1"))) {
            return has_key ? HF_FALLBACK_POLL : HF_FALLBACK_POLL_OPEN;
        }
        return accepts(head, HF_LITERAL("text/event-stream")) ? HF_FALLBACK_SSE : HF_FALLBACK_NONE;
    }
    if (is_method(head, "POST")) {
        return has_key ? HF_FALLBACK_POST : HF_FALLBACK_NONE;
    }
    if (is_method(head, "OPTIONS") && hf_head_count(head, "Origin") > 0 &&
        hf_head_count(head, "Access-Control-Request-Method") > 0) {
        return HF_FALLBACK_PREFLIGHT;
    }
    return HF_FALLBACK_NONE;
}

static void wrong(struct hf_fallback *f, uint16_t status, const char *why)
{
    if (f->status == 0) {
        f->status = status;
        f->why = why;
    }
}

/* The value of a header that may stand once; empty when it is not there. */
static struct hf_slice single(const struct hf_head *head, struct hf_fallback *f, const char *name,
                              const char *why)
{
    const struct hf_slice *value = hf_head_find(head, name);
    if (hf_head_count(head, name) > 1) {
        wrong(f, 400, why);
    }
    return value == NULL ? hf_slice(NULL, 0) : *value;
}

static uint64_t number(const struct hf_head *head, struct hf_fallback *f, const char *name,
                       const char *why)
{
    struct hf_slice text = single(head, f, name, why);
    uint64_t value = HF_FALLBACK_ABSENT;
    if (hf_head_count(head, name) > 0 && !hf_slice_number(text, COUNT_MAX, &value)) {
        wrong(f, 400, why);
        value = HF_FALLBACK_ABSENT;
    }
    return value;
}

static void read_content(const struct hf_head *head, struct hf_fallback *f)
{
    struct hf_slice type =
        without_parameters(single(head, f, "Content-Type", "There is more than one Content-Type."));
    if (hf_slice_eq_nocase(type, HF_LITERAL("application/x-hf1"))) {
        f->content = HF_CONTENT_LIST;
    } else if (hf_slice_eq_nocase(type, HF_LITERAL("text/plain"))) {
        f->content = HF_CONTENT_TEXT;
    } else if (hf_slice_eq_nocase(type, HF_LITERAL("application/octet-stream"))) {
        f->content = HF_CONTENT_BINARY;
    } else {
        wrong(f, 415,
              "Content-Type must be text/plain for one text message, application/octet-stream for "
              "one binary message, or application/x-hf1 for a list.");
    }
    if (hf_head_count(head, "Content-Encoding") > 0) {
        wrong(f, 415, "A body must not be compressed.");
    }
}

static void check_no_body(const struct hf_head *head, struct hf_fallback *f)
{
    size_t lengths = hf_head_count(head, "Content-Length");
    if (lengths > 1 || hf_head_count(head, "Transfer-Encoding") > 0 ||
        hf_head_count(head, "Trailer") > 0 ||
        (lengths == 1 && !hf_slice_eq(*hf_head_find(head, "Content-Length"), HF_LITERAL("0")))) {
        wrong(f, 400, "This request has no body.");
    }
}

static void read_expect(const struct hf_head *head, struct hf_fallback *f)
{
    if (hf_head_count(head, "Expect") == 0) {
        return;
    }
    if (f->kind != HF_FALLBACK_POST || head->minor == 0 || hf_head_count(head, "Expect") > 1 ||
        !hf_slice_eq_nocase(*hf_head_find(head, "Expect"), HF_LITERAL("100-continue"))) {
        wrong(f, 417, "Of Expect only 100-continue is known, for a POST."); /* RFC 9110 10.1.1 */
    } else {
        f->expects = true;
    }
}

static void check_single_headers(const struct hf_head *head, struct hf_fallback *f)
{
    const struct hf_slice *host = hf_head_find(head, "Host");
    if (hf_head_count(head, "Host") != 1 || host->len == 0) { /* RFC 9112 3.2 */
        wrong(f, 400, "The request needs exactly one Host that is not empty.");
    } else if (head->authority.len > 0 && !hf_slice_eq_nocase(head->authority, *host)) {
        wrong(f, 400, "The request's target names another host than Host does.");
    }
    if (hf_head_count(head, "Origin") > 1) {
        wrong(f, 400, "There is more than one Origin.");
    }
}

void hf_fallback_read(const struct hf_head *head, struct hf_fallback *f)
{
    *f = (struct hf_fallback){
        .kind = kind_of(head), .seq = HF_FALLBACK_ABSENT, .received = HF_FALLBACK_ABSENT};
    if (f->kind == HF_FALLBACK_NONE) {
        return;
    }
    f->keep_alive = head->minor == 1 && !hf_head_has_token(head, "Connection", "close");
    check_single_headers(head, f);
    read_expect(head, f);
    f->key = single(head, f, "HF-Key", "There is more than one HF-Key.");
    f->open = single(head, f, "HF-Open", "There is more than one HF-Open.");
    f->resume = single(head, f, "HF-Resume", "There is more than one HF-Resume.");
    f->last_event = single(head, f, "Last-Event-ID", "There is more than one Last-Event-ID.");
    f->seq = number(head, f, "HF-Seq", "HF-Seq is not one number.");
    f->received = number(head, f, "HF-Received", "HF-Received is not one number.");
    f->by_hand = f->open.len == 0 && f->resume.len == 0;
    if (f->seq == 0) {
        wrong(f, 400, "HF-Seq counts from 1.");
    }
    if (f->kind == HF_FALLBACK_POST) {
        read_content(head, f);
    } else {
        check_no_body(head, f);
    }
    if (f->kind == HF_FALLBACK_POLL && f->received == HF_FALLBACK_ABSENT) {
        wrong(f, 400, "A poll says in HF-Received how many messages it has received.");
    }
}

/* ---- the handshake it stands for --------------------------------------------------------------
 */

/* HF_Key is the same header as HF-Key to a WSGI or CGI application. */
static bool starts(struct hf_slice name, const char *prefix)
{
    size_t k = 0;
    while (
        k < name.len && prefix[k] != '\0' &&
        ((name.ptr[k] | 0x20) == (prefix[k] | 0x20) || (name.ptr[k] == '_' && prefix[k] == '-'))) {
        k++;
    }
    return prefix[k] == '\0';
}

/* What a browser's handshake would not have had, or has as written here. */
static bool is_left_out(struct hf_slice name)
{
    static const char *const prefixes[] = {"HF-",          "Sec-WebSocket-",  "Sec-Fetch-",
                                           "Content-",     "Access-Control-", "If-",
                                           "Last-Event-ID"};
    static const char *const names[] = {"Accept", "Connection", "Upgrade", "Keep-Alive", "TE",
                                        "Range",  "Priority",   "Expect",  "Trailer"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (starts(name, prefixes[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (hf_slice_eq_nocase(name, hf_slice_of(names[i]))) {
            return true;
        }
    }
    return hf_slice_eq_nocase(name, HF_LITERAL("Transfer-Encoding"));
}

static void add_members(const struct hf_head *head, const char *name, struct hf_buffer *out)
{
    struct hf_slice member;
    uint32_t cursor = 0;
    while (hf_head_next_member(head, name, &cursor, &member)) {
        hf_buffer_add_text(out, ", ");
        hf_buffer_add(out, member);
    }
}

static void add_offer(struct hf_slice offer, struct hf_buffer *out)
{
    if (offer.len > 0) {
        hf_buffer_add_text(out, ", ");
        hf_buffer_add(out, offer);
    }
}

static void add_line(const char *name, struct hf_slice value, struct hf_buffer *out)
{
    hf_buffer_add_text(out, name);
    hf_buffer_add_text(out, ": ");
    hf_buffer_add(out, value);
    hf_buffer_add_text(out, "\r\n");
}

void hf_fallback_handshake(const struct hf_head *head, const struct hf_fallback *f,
                           struct hf_slice key, struct hf_slice resume, struct hf_slice origin,
                           struct hf_buffer *out)
{
    hf_buffer_add_text(out, "GET ");
    hf_buffer_add(out, head->target);
    hf_buffer_add_text(out, " HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade");
    add_members(head, "Connection", out); /* what it names ends at the gateway all the same */
    hf_buffer_add_text(out, "\r\nSec-WebSocket-Version: 13\r\n");
    add_line("Sec-WebSocket-Key", key, out);
    hf_buffer_add_text(out, "Sec-WebSocket-Protocol: hf1");
    add_offer(f->open, out);
    add_offer(resume.len > 0 ? resume : f->resume, out);
    add_members(head, "HF-Protocol", out);
    hf_buffer_add_text(out, "\r\n");
    if (origin.len > 0 && hf_head_count(head, "Origin") == 0) {
        add_line("Origin", origin, out);
    }
    for (size_t i = 0; i < head->count; i++) {
        const struct hf_header *h = &head->headers[i];
        if (!is_left_out(h->name)) {
            hf_buffer_add(out, h->name);
            hf_buffer_add_text(out, ": ");
            hf_buffer_add(out, h->value);
            hf_buffer_add_text(out, "\r\n");
        }
    }
    hf_buffer_add_text(out, "\r\n");
}
