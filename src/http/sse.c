/* SPDX-License-Identifier: Apache-2.0 */
/* Server-Sent Events, both ways. The reader is the one of HTML 9.2.6, byte by byte. */
#include "http/sse.h"

#include "base/hash.h"

/* ---- writing ----------------------------------------------------------------------------------
 */

bool hf_sse_carries(struct hf_slice text)
{
    return hf_slice_find(text, '\r') == text.len && hf_slice_find(text, '\0') == text.len;
}

static void add_head(struct hf_buffer *out, const char *name, struct hf_slice id)
{
    if (id.len > 0) {
        hf_buffer_add_text(out, "id: ");
        hf_buffer_add(out, id);
        hf_buffer_add_byte(out, '\n');
    }
    if (name != NULL) {
        hf_buffer_addf(out, "event: %s\n", name);
    }
}

void hf_sse_event(struct hf_buffer *out, const char *name, struct hf_slice id, struct hf_slice data)
{
    add_head(out, name, id);
    for (;;) {
        size_t end = hf_slice_find(data, '\n');
        hf_buffer_add_text(out, "data: ");
        hf_buffer_add(out, hf_slice_first(data, end));
        hf_buffer_add_byte(out, '\n');
        if (end == data.len) {
            break;
        }
        data = hf_slice_from(data, end + 1); /* empty behind a last LF: one more line */
    }
    hf_buffer_add_byte(out, '\n');
}

#define CODED_AT_ONCE 3072 /* bytes, a multiple of 3 */
void hf_sse_event_base64(struct hf_buffer *out, const char *name, struct hf_slice id,
                         struct hf_slice data)
{
    char text[HF_BASE64_LEN(CODED_AT_ONCE)];
    add_head(out, name, id);
    hf_buffer_add_text(out, "data: ");
    while (data.len > 0) {
        struct hf_slice part = hf_slice_first(data, CODED_AT_ONCE);
        hf_buffer_add(out, hf_slice(text, hf_base64_encode(part, text)));
        data = hf_slice_from(data, part.len);
    }
    hf_buffer_add_text(out, "\n\n");
}

void hf_sse_padding(struct hf_buffer *out, size_t bytes)
{
    static const char spaces[] = "                                                                ";
    size_t left = bytes < 4 ? 1 : bytes - 3;
    hf_buffer_add_byte(out, ':');
    while (left > 0) {
        size_t run = left < sizeof(spaces) - 1 ? left : sizeof(spaces) - 1;
        hf_buffer_add(out, hf_slice(spaces, run));
        left -= run;
    }
    hf_buffer_add_text(out, "\n\n");
}

/* ---- reading ----------------------------------------------------------------------------------
 */

void hf_sse_reader_init(struct hf_sse_reader *r, const struct hf_allocator *alloc, size_t max)
{
    *r = (struct hf_sse_reader){.retry = UINT64_MAX};
    hf_buffer_init(&r->line, alloc, max);
    hf_buffer_init(&r->name, alloc, max);
    hf_buffer_init(&r->data, alloc, max + 1); /* the LF behind the last line */
    hf_buffer_init(&r->id, alloc, max);
}

void hf_sse_reader_fini(struct hf_sse_reader *r)
{
    hf_buffer_reset(&r->line);
    hf_buffer_reset(&r->name);
    hf_buffer_reset(&r->data);
    hf_buffer_reset(&r->id);
}

static void take_field(struct hf_sse_reader *r, struct hf_slice field, struct hf_slice value)
{
    if (hf_slice_eq(field, HF_LITERAL("data"))) {
        hf_buffer_add(&r->data, value);
        hf_buffer_add_byte(&r->data, '\n');
    } else if (hf_slice_eq(field, HF_LITERAL("event"))) {
        hf_buffer_clear(&r->name);
        hf_buffer_add(&r->name, value);
    } else if (hf_slice_eq(field, HF_LITERAL("id"))) {
        if (hf_slice_find(value, '\0') == value.len) {
            hf_buffer_clear(&r->id);
            hf_buffer_add(&r->id, value);
        }
    } else if (hf_slice_eq(field, HF_LITERAL("retry"))) {
        uint64_t retry;
        if (hf_slice_number(value, INT64_MAX, &retry)) {
            r->retry = retry;
        }
    }
}

/* A line is whole. True when it sends an event off. */
static bool take_line(struct hf_sse_reader *r)
{
    struct hf_slice line = hf_buffer_slice(&r->line);
    if (!r->begun && hf_slice_starts(line, HF_LITERAL("\xef\xbb\xbf"))) {
        line = hf_slice_from(line, 3);
    }
    r->begun = true;
    if (line.len == 0) {
        bool event = r->data.len > 0;
        if (!event) {
            hf_buffer_clear(&r->name);
        }
        return event;
    }
    size_t colon = hf_slice_find(line, ':');
    struct hf_slice value = hf_slice_from(line, colon + 1);
    if (value.len > 0 && value.ptr[0] == ' ') {
        value = hf_slice_from(value, 1);
    }
    if (colon > 0) { /* else a comment */
        take_field(r, hf_slice_first(line, colon), value);
    }
    return false;
}

static void forget_given(struct hf_sse_reader *r)
{
    if (r->given) {
        hf_buffer_clear(&r->name);
        hf_buffer_clear(&r->data);
        r->given = false;
    }
}

enum hf_sse_read hf_sse_read(struct hf_sse_reader *r, struct hf_slice bytes, size_t *taken,
                             struct hf_sse_event *event)
{
    forget_given(r);
    for (*taken = 0; *taken < bytes.len;) {
        uint8_t byte = bytes.ptr[(*taken)++];
        bool second = byte == '\n' && r->after_cr;
        r->after_cr = byte == '\r';
        if (second) {
            continue;
        }
        if (byte != '\n' && byte != '\r') {
            hf_buffer_add_byte(&r->line, byte);
            if (r->line.failed) {
                return HF_SSE_FULL;
            }
            continue;
        }
        bool whole = take_line(r);
        hf_buffer_clear(&r->line);
        if (r->data.failed || r->name.failed || r->id.failed) {
            return HF_SSE_FULL;
        }
        if (whole) {
            r->given = true;
            event->name = hf_buffer_slice(&r->name);
            event->data = hf_slice_first(hf_buffer_slice(&r->data), r->data.len - 1);
            event->id = hf_buffer_slice(&r->id);
            return HF_SSE_EVENT;
        }
    }
    return HF_SSE_MORE;
}
