/* SPDX-License-Identifier: Apache-2.0 */
/* Event streams: read whole and byte by byte they give the same events, and an event that is
 * written again is read again. */
#include "fuzz.h"
#include "http/sse.h"

#define MAX 256

static void add_event(struct hf_buffer *story, const struct hf_sse_event *event)
{
    (void)hf_buffer_addf(story, "%zu %zu %zu ", event->name.len, event->data.len, event->id.len);
    (void)hf_buffer_add(story, event->name);
    (void)hf_buffer_add(story, event->data);
    (void)hf_buffer_add(story, event->id);
}

static void check_again(const struct hf_sse_event *event)
{
    struct hf_sse_reader reader;
    struct hf_sse_event again;
    struct hf_buffer out;
    size_t taken;
    if (!hf_sse_carries(event->data)) {
        return;
    }
    hf_buffer_init(&out, &hf_heap, 1 << 16);
    hf_sse_event(&out, NULL, event->id, event->data);
    hf_sse_reader_init(&reader, &hf_heap, 2 * MAX + 16);
    HF_ASSERT(hf_sse_read(&reader, hf_buffer_slice(&out), &taken, &again) == HF_SSE_EVENT);
    HF_ASSERT(taken == out.len && hf_slice_eq(again.data, event->data));
    HF_ASSERT(hf_slice_eq(again.id, event->id) && again.name.len == 0);
    hf_sse_reader_fini(&reader);
    hf_buffer_reset(&out);
}

static void read_all(struct hf_slice text, size_t step, struct hf_buffer *story)
{
    struct hf_sse_reader reader;
    enum hf_sse_read read = HF_SSE_MORE;
    hf_sse_reader_init(&reader, &hf_heap, MAX);
    for (size_t at = 0; at < text.len && read != HF_SSE_FULL;) {
        struct hf_slice piece = exact(hf_slice_first(hf_slice_from(text, at), step));
        struct hf_sse_event event;
        size_t taken;
        read = hf_sse_read(&reader, piece, &taken, &event);
        HF_ASSERT(taken <= piece.len && (read != HF_SSE_MORE || taken == piece.len));
        at += taken;
        if (read == HF_SSE_EVENT) {
            add_event(story, &event);
            check_again(&event);
        } else if (read == HF_SSE_FULL) {
            (void)hf_buffer_add_text(story, "FULL");
        }
        exact_free(piece);
    }
    hf_sse_reader_fini(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_buffer whole;
    hf_buffer_init(&whole, &hf_heap, 1 << 24);
    read_all(hf_slice(data, size), SIZE_MAX, &whole);
    for (size_t step = 1; step <= 7; step += 3) {
        struct hf_buffer parts;
        hf_buffer_init(&parts, &hf_heap, 1 << 24);
        read_all(hf_slice(data, size), step, &parts);
        HF_ASSERT(hf_slice_eq(hf_buffer_slice(&whole), hf_buffer_slice(&parts)));
        hf_buffer_reset(&parts);
    }
    hf_buffer_reset(&whole);
    return 0;
}
