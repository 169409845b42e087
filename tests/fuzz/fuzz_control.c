/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages. The input is the payload of a text message on an hf1 connection. One that is
 * read is written, read and written again with the same outcome; one of an unknown verb has nothing
 * but that; what was read lies in the room and is UTF-8. */
#include "fuzz.h"
#include "session/control.h"
#include "ws/frame.h"

static void check_text(struct hf_slice text, const struct hf_buffer *room)
{
    uint32_t state = 0;

    if (text.ptr != NULL) {
        HF_ASSERT(lies_in(text, hf_buffer_slice(room)));
        HF_ASSERT(hf_utf8_feed(&state, text) && state == 0);
    }
}

static void check_texts(const struct hf_control *c, const struct hf_buffer *room)
{
    check_text(c->session, room);
    check_text(c->token, room);
    check_text(c->key, room);
    check_text(c->protocol, room);
    check_text(c->reason, room);
    check_text(c->who, room);
    check_text(c->url, room);
    check_text(c->value, room);
}

static void write_and_read_again(const struct hf_control *c)
{
    struct hf_buffer first;
    struct hf_buffer second;
    struct hf_buffer room;
    struct hf_control again;
    const char *fault;

    hf_buffer_init(&first, &hf_heap, 1 << 20);
    hf_buffer_init(&second, &hf_heap, 1 << 20);
    hf_buffer_init(&room, &hf_heap, HF_CONTROL_AUTH_MAX);
    hf_control_write(c, &first);
    fault = hf_control_read(hf_buffer_slice(&first), &room, &again);
    /* Escapes make it longer, perhaps too long. */
    HF_ASSERT(fault == NULL || first.len >= HF_CONTROL_MAX);
    if (fault == NULL) {
        HF_ASSERT(again.verb == c->verb && again.n == c->n && again.code == c->code);
        hf_control_write(&again, &second);
        HF_ASSERT(hf_slice_eq(hf_buffer_slice(&first), hf_buffer_slice(&second)));
    }
    hf_buffer_reset(&first);
    hf_buffer_reset(&second);
    hf_buffer_reset(&room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct hf_slice payload = hf_slice(data, size);
    const enum hf_text_kind kind = hf_text_kind(payload);
    struct hf_slice text;
    struct hf_buffer room;
    struct hf_control c;

    HF_ASSERT(hf_text_needs_escape(payload) == (kind != HF_TEXT_PLAIN));
    if (kind != HF_TEXT_CONTROL) {
        return 0;
    }
    text = exact(hf_slice_from(payload, 1));
    hf_buffer_init(&room, &hf_heap, HF_CONTROL_AUTH_MAX);
    if (hf_control_read(text, &room, &c) == NULL) {
        HF_ASSERT(size <= HF_CONTROL_MAX || c.verb == HF_VERB_AUTH);
        HF_ASSERT(hf_slice_starts(text, hf_slice_of(hf_verb_text(c.verb))) ||
                  c.verb == HF_VERB_UNKNOWN);
        check_texts(&c, &room);
        if (c.verb != HF_VERB_UNKNOWN) {
            write_and_read_again(&c);
        }
    } else {
        HF_ASSERT(!room.failed);
    }
    hf_buffer_reset(&room);
    exact_free(text);
    return 0;
}
