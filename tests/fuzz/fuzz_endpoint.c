/* SPDX-License-Identifier: Apache-2.0 */
/* An endpoint that hears strangers: all bytes at once and in pieces give the same events and the
 * same answers; without compression its verdicts are those of flow.h. With the top bit of the first
 * byte set the input is what one endpoint says to another, and must be heard as it was said. The
 * second byte is the window bits. */
#include "base/hash.h"
#include "fuzz.h"
#include "ws/endpoint.h"
#include "ws/flow.h"

#define MESSAGE_MAX 2048
#define EVENTS_MAX 4096

static struct hf_endpoint *new_endpoint(uint8_t bits, uint8_t windows, bool client)
{
    struct hf_endpoint_options options = {
        .client = client,
        .message_max = MESSAGE_MAX,
        .deflate = {.agreed = (bits & 2) != 0,
                    .server_no_context_takeover = (bits & 4) != 0,
                    .client_no_context_takeover = (bits & 8) != 0,
                    .server_bits = (uint8_t)(8 + (windows & 7)),
                    .client_bits = (uint8_t)(8 + (windows >> 3 & 7))},
        .alloc = &hf_heap,
        .seed = 1,
    };
    struct hf_endpoint *e = hf_endpoint_new(&options);

    HF_ASSERT(e != NULL);
    return e;
}

struct heard {
    struct event {
        enum hf_endpoint_event_kind kind;
        uint8_t opcode;
        uint16_t code;
        size_t len;
        uint64_t hash;
    } events[EVENTS_MAX];
    size_t count;
    struct hf_buffer out;
    bool closed;
};

static void note_events(struct hf_endpoint *e, struct heard *heard)
{
    static const uint8_t key[16] = {0};
    struct hf_endpoint_event event;

    while (hf_endpoint_next(e, &event) != HF_ENDPOINT_NONE) {
        bool has_data = event.kind != HF_ENDPOINT_FAULT;

        HF_ASSERT(heard->count < EVENTS_MAX);
        HF_ASSERT(event.kind != HF_ENDPOINT_MESSAGE || event.data.len <= MESSAGE_MAX);
        heard->events[heard->count++] = (struct event){
            .kind = event.kind,
            .opcode = event.kind == HF_ENDPOINT_MESSAGE ? event.opcode : 0,
            .code =
                event.kind == HF_ENDPOINT_CLOSE || event.kind == HF_ENDPOINT_FAULT ? event.code : 0,
            .len = has_data ? event.data.len : 0,
            .hash = has_data ? hf_siphash(key, event.data) : 0,
        };
    }
}

static void hear(struct hf_slice bytes, uint8_t bits, uint8_t windows, size_t step,
                 struct heard *heard)
{
    struct hf_endpoint *e = new_endpoint(bits, windows, (bits & 1) != 0);
    struct hf_buffer *out = hf_endpoint_out(e);

    heard->count = 0;
    hf_buffer_init(&heard->out, &hf_heap, 1 << 22);
    for (size_t at = 0; at < bytes.len;) {
        struct hf_slice piece = exact(hf_slice_first(hf_slice_from(bytes, at), step));

        HF_ASSERT(hf_endpoint_feed(e, piece) == HF_OK);
        at += piece.len;
        exact_free(piece);
        note_events(e, heard);
        (void)hf_buffer_add(&heard->out, hf_buffer_slice(out));
        hf_buffer_drop(out, out->len);
    }
    heard->closed = hf_endpoint_is_closed(e);
    HF_ASSERT(!heard->out.failed);
    hf_endpoint_free(e);
}

/* Of two faults in the same compressed bytes, too much and no UTF-8, the one that is met first
 * depends on the pieces; without compression it does not. */
static void check_same(const struct heard *a, const struct heard *b, bool compressed)
{
    bool failed = a->count > 0 && a->events[a->count - 1].kind == HF_ENDPOINT_FAULT;

    HF_ASSERT(a->count == b->count && a->closed == b->closed);
    for (size_t i = 0; i < a->count; i++) {
        HF_ASSERT(a->events[i].kind == b->events[i].kind);
        HF_ASSERT(a->events[i].opcode == b->events[i].opcode);
        HF_ASSERT(a->events[i].code == b->events[i].code ||
                  (compressed && failed && i + 1 == a->count));
        HF_ASSERT(a->events[i].len == b->events[i].len);
        HF_ASSERT(a->events[i].hash == b->events[i].hash);
    }
    HF_ASSERT((compressed && failed) ||
              hf_slice_eq(hf_buffer_slice(&a->out), hf_buffer_slice(&b->out)));
}

/* What was heard must be what flow.h finds in the same bytes, up to the first Close, whose payload
 * flow does not judge. */
static void check_flow(struct hf_slice bytes, bool client, const struct heard *heard)
{
    struct hf_flow_rules rules = {
        .masked = !client, .utf8 = true, .frame_max = UINT64_MAX, .message_max = MESSAGE_MAX};
    struct hf_flow flow = {0};
    struct hf_flow_step step;
    enum hf_flow_kind kind;
    size_t i = 0;

    while ((kind = hf_flow_next(&flow, &rules, bytes, &step)) != HF_FLOW_MORE) {
        if (kind == HF_FLOW_DATA && !step.ends) {
            bytes = hf_slice_from(bytes, step.size);
            continue;
        }
        if (kind == HF_FLOW_FAULT && i == heard->count) {
            /* flow judges the first two bytes of a head, the endpoint the whole head. */
            HF_ASSERT(hf_frame_read_head(bytes, &step.head) == HF_FRAME_MORE);
            return;
        }
        HF_ASSERT(i < heard->count);
        if (kind == HF_FLOW_FAULT) {
            HF_ASSERT(heard->events[i].kind == HF_ENDPOINT_FAULT);
            HF_ASSERT(heard->events[i].code == step.code);
            HF_ASSERT(i + 1 == heard->count);
            return;
        }
        if (kind == HF_FLOW_DATA) {
            HF_ASSERT(heard->events[i].kind == HF_ENDPOINT_MESSAGE);
        } else if (step.head.opcode == HF_OP_CLOSE) {
            HF_ASSERT(heard->events[i].kind == HF_ENDPOINT_CLOSE ||
                      heard->events[i].kind == HF_ENDPOINT_FAULT);
            HF_ASSERT(i + 1 == heard->count);
            return;
        } else {
            HF_ASSERT(heard->events[i].kind ==
                      (step.head.opcode == HF_OP_PING ? HF_ENDPOINT_PING : HF_ENDPOINT_PONG));
            HF_ASSERT(heard->events[i].len == step.head.length);
        }
        i++;
        bytes = hf_slice_from(bytes, step.size);
    }
    HF_ASSERT(i == heard->count);
}

static void listen(struct hf_slice bytes, uint8_t bits, uint8_t windows)
{
    static struct heard whole;
    static struct heard split;

    hear(bytes, bits, windows, SIZE_MAX, &whole);
    for (size_t step = 1; step <= 11; step += 5) {
        hear(bytes, bits, windows, step, &split);
        check_same(&whole, &split, (bits & 2) != 0);
        hf_buffer_reset(&split.out);
    }
    if ((bits & 2) == 0) {
        check_flow(bytes, (bits & 1) != 0, &whole);
    }
    hf_buffer_reset(&whole.out);
}

/* Moves what `from` has to say to `to`, and checks that the one message it ends is `said`. */
static void carry(struct hf_endpoint *from, struct hf_endpoint *to, const struct hf_buffer *said,
                  uint8_t opcode, bool fin)
{
    struct hf_buffer *out = hf_endpoint_out(from);
    struct hf_endpoint_event event;

    HF_ASSERT(hf_endpoint_feed(to, hf_buffer_slice(out)) == HF_OK);
    hf_buffer_drop(out, out->len);
    if (fin) {
        HF_ASSERT(hf_endpoint_next(to, &event) == HF_ENDPOINT_MESSAGE);
        HF_ASSERT(event.opcode == opcode);
        HF_ASSERT(hf_slice_eq(event.data, hf_buffer_slice(said)));
    }
    HF_ASSERT(hf_endpoint_next(to, &event) == HF_ENDPOINT_NONE);
}

/* The input is pieces: a byte (bit 7: the message's last; the rest: length), then as many bytes. */
static void talk(struct hf_slice bytes, uint8_t bits, uint8_t windows)
{
    struct hf_endpoint *from = new_endpoint(bits, windows, (bits & 1) != 0);
    struct hf_endpoint *to = new_endpoint(bits, windows, (bits & 1) == 0);
    struct hf_buffer said;
    bool begun = false;

    hf_buffer_init(&said, &hf_heap, MESSAGE_MAX);
    while (bytes.len > 0) {
        uint8_t head = take_byte(&bytes);
        struct hf_slice piece = hf_slice_first(bytes, head & 0x7f);
        bool fin = (head & 0x80) != 0;

        bytes = hf_slice_from(bytes, piece.len);
        if (hf_buffer_add(&said, piece) != HF_OK) {
            break;
        }
        HF_ASSERT(hf_endpoint_send_fragment(from, begun ? HF_OP_CONTINUATION : HF_OP_BINARY, fin,
                                            piece) == HF_OK);
        carry(from, to, &said, HF_OP_BINARY, fin);
        begun = !fin;
        if (fin) {
            hf_buffer_clear(&said);
        }
    }
    hf_buffer_reset(&said);
    hf_endpoint_free(from);
    hf_endpoint_free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_slice bytes = hf_slice(data, size);
    uint8_t bits = take_byte(&bytes);
    uint8_t windows = take_byte(&bytes);

    if (bytes.len > EVENTS_MAX) {
        return 0;
    }
    if ((bits & 0x80) != 0) {
        talk(bytes, bits, windows);
    } else {
        listen(bytes, bits, windows);
    }
    return 0;
}
