/* SPDX-License-Identifier: Apache-2.0 */
/* One end of a WebSocket: RFC 6455 sections 5 to 7 and RFC 7692 section 7.2, both roles.
 *
 * Bytes gather in `in` and are taken from there frame by frame. A control frame's payload (at most
 * 125 bytes) gathers in `control`; a data frame's payload goes piece by piece, unmasked and
 * inflated, to `message`, where text is UTF-8 checked as it comes, so that a bad byte is told
 * before its frame is whole. */
#include "ws/endpoint.h"

#include "ws/deflate.h"

#define KEEP_MAX 4096 /* bytes of a buffer that stay allocated while it is empty */
#define RSV1 4

enum state {
    OPEN,
    CLOSE_SENT, /* reading goes on until the peer's Close; only pongs are sent */
    CLOSED,     /* both Closes have gone by */
    FAILED,     /* a rule was broken or memory is gone: nothing more is read */
};

/* May a state follow another? Only this table and become() know. */
static const bool may_become[FAILED + 1][FAILED + 1] = {
    [OPEN] = {[CLOSE_SENT] = true, [CLOSED] = true, [FAILED] = true},
    [CLOSE_SENT] = {[CLOSED] = true, [FAILED] = true},
};

/* A message on its way in or out; opcode 0: there is none. */
struct message {
    uint8_t opcode;
    bool compressed;
    uint32_t utf8;
};

struct hf_endpoint {
    struct hf_endpoint_options options;
    enum state state;
    struct hf_random random;
    size_t message_max;
    struct hf_deflater *deflater; /* made when first needed */
    struct hf_inflater *inflater; /* made when first needed */

    struct hf_buffer in;
    size_t taken;  /* bytes of in that were understood */
    bool in_frame; /* frame is the one whose payload is being read */
    struct hf_frame_head frame;
    uint64_t frame_taken; /* bytes of its payload that were taken */
    uint8_t control[HF_CONTROL_PAYLOAD_MAX];
    struct message receiving;
    struct hf_buffer message; /* what came of it */
    bool message_out;         /* it was lent to the caller and dies at the next call */

    struct hf_buffer out;
    struct message sending;
    struct hf_buffer scratch; /* a compressed payload before its length is known */
};

static void become(struct hf_endpoint *e, enum state state)
{
    HF_ASSERT(may_become[e->state][state]);
    e->state = state;
}

static bool is_reading(const struct hf_endpoint *e)
{
    return e->state == OPEN || e->state == CLOSE_SENT;
}

struct hf_endpoint *hf_endpoint_new(const struct hf_endpoint_options *options)
{
    struct hf_endpoint *e = hf_alloc_zero(options->alloc, sizeof(*e));
    if (e == NULL) {
        return NULL;
    }
    e->options = *options;
    /* Half the address space is no limit, and leaves room to count one beyond it. */
    e->message_max =
        options->message_max < SIZE_MAX / 2 ? (size_t)options->message_max : SIZE_MAX / 2;
    hf_random_init(&e->random, options->seed);
    hf_buffer_init(&e->in, options->alloc, SIZE_MAX);
    hf_buffer_init(&e->message, options->alloc, e->message_max + 1);
    hf_buffer_init(&e->out, options->alloc, SIZE_MAX);
    hf_buffer_init(&e->scratch, options->alloc, SIZE_MAX);
    return e;
}

void hf_endpoint_free(struct hf_endpoint *e)
{
    if (e == NULL) {
        return;
    }
    hf_deflater_free(e->deflater);
    hf_inflater_free(e->inflater);
    hf_buffer_reset(&e->in);
    hf_buffer_reset(&e->message);
    hf_buffer_reset(&e->out);
    hf_buffer_reset(&e->scratch);
    hf_release(e->options.alloc, e);
}

/* Empties a buffer, and frees it when it has grown large. */
static void empty(struct hf_buffer *b)
{
    if (b->cap > KEEP_MAX) {
        hf_buffer_reset(b);
    } else {
        hf_buffer_clear(b);
    }
}

/* --- Sending --- */

/* Appends one frame to out, whole or not at all. */
static enum hf_status write_frame(struct hf_endpoint *e, bool fin, uint8_t rsv, uint8_t opcode,
                                  struct hf_slice payload)
{
    uint8_t head[HF_FRAME_HEAD_MAX];
    uint8_t mask[4];
    if (payload.len > SIZE_MAX - HF_FRAME_HEAD_MAX ||
        hf_buffer_reserve(&e->out, HF_FRAME_HEAD_MAX + payload.len) != HF_OK) {
        return HF_NO_MEMORY;
    }
    if (e->options.client) {
        /* RFC 6455 5.1 and 5.3: a client masks every frame, each with a fresh key. */
        const uint64_t key = hf_random_next(&e->random);
        memcpy(mask, &key, sizeof(mask));
    }
    const size_t size =
        hf_frame_write_head(head, fin, rsv, opcode, payload.len, e->options.client ? mask : NULL);
    (void)hf_buffer_add(&e->out, hf_slice(head, size));
    (void)hf_buffer_add(&e->out, payload);
    if (e->options.client && payload.len > 0) {
        hf_mask_apply(e->out.data + e->out.len - payload.len, payload.len, mask, 0);
    }
    return HF_OK;
}

/* The end without ceremony, RFC 6455 7.1.7: a Close with the code unless one was sent already (or
 * no memory is left for it); nothing is read any more. */
static void fail(struct hf_endpoint *e, uint16_t code, const char *why)
{
    uint8_t payload[HF_CONTROL_PAYLOAD_MAX];
    if (e->state == OPEN) {
        const size_t len = hf_close_write(payload, code, hf_slice_of(why));
        (void)write_frame(e, true, 0, HF_OP_CLOSE, hf_slice(payload, len));
    }
    become(e, FAILED);
}

static const char *const no_memory = "out of memory";

static enum hf_status fail_no_memory(struct hf_endpoint *e)
{
    if (is_reading(e)) {
        fail(e, HF_CLOSE_INTERNAL, no_memory);
    }
    return HF_NO_MEMORY;
}

/* Compresses a piece of a message to scratch. */
static enum hf_status deflate_piece(struct hf_endpoint *e, bool fin, struct hf_slice *payload)
{
    const struct hf_deflate *deflate = &e->options.deflate;
    empty(&e->scratch);
    if (e->deflater == NULL) {
        e->deflater = hf_deflater_new(
            e->options.alloc, e->options.client ? deflate->client_bits : deflate->server_bits,
            e->options.client ? deflate->client_no_context_takeover
                              : deflate->server_no_context_takeover);
    }
    if (e->deflater == NULL || hf_deflater_add(e->deflater, *payload, fin, &e->scratch) != HF_OK) {
        return HF_NO_MEMORY;
    }
    *payload = hf_buffer_slice(&e->scratch);
    return HF_OK;
}

/* RFC 6455 5.6: text is UTF-8. Counts the piece in when it fits. */
static bool check_text(struct message *sending, struct hf_slice data, bool fin)
{
    uint32_t state = sending->utf8;
    if (sending->opcode != HF_OP_TEXT) {
        return true;
    }
    if (!hf_utf8_feed(&state, data) || (fin && state != 0)) {
        return false;
    }
    sending->utf8 = state;
    return true;
}

enum hf_status hf_endpoint_send_fragment(struct hf_endpoint *e, uint8_t opcode, bool fin,
                                         struct hf_slice data)
{
    /* RFC 6455 5.4: a message begins with its opcode and goes on with 0; messages do not
     * interleave. */
    const bool begins = opcode == HF_OP_TEXT || opcode == HF_OP_BINARY;
    struct message sending = e->sending;
    if (e->state != OPEN || (begins ? sending.opcode != 0 : opcode != 0 || sending.opcode == 0)) {
        return HF_INVALID;
    }
    if (begins) {
        sending = (struct message){.opcode = opcode, .compressed = e->options.deflate.agreed};
        /* RFC 7692 6: compressing is a choice for each message; an empty one would only grow. */
        sending.compressed = sending.compressed && !(fin && data.len == 0);
    }
    if (!check_text(&sending, data, fin)) {
        return HF_INVALID;
    }
    if (sending.compressed && deflate_piece(e, fin, &data) != HF_OK) {
        return fail_no_memory(e);
    }
    /* RFC 7692 6.1: RSV1 stands only on a message's first frame. */
    const uint8_t rsv = sending.compressed && begins ? RSV1 : 0;
    if (write_frame(e, fin, rsv, opcode, data) != HF_OK) {
        return fail_no_memory(e);
    }
    e->sending = fin ? (struct message){.opcode = 0} : sending;
    return HF_OK;
}

enum hf_status hf_endpoint_send(struct hf_endpoint *e, uint8_t opcode, struct hf_slice data)
{
    return opcode == HF_OP_CONTINUATION ? HF_INVALID
                                        : hf_endpoint_send_fragment(e, opcode, true, data);
}

static enum hf_status send_control(struct hf_endpoint *e, uint8_t opcode, struct hf_slice payload)
{
    /* RFC 6455 5.5: at most 125 bytes. */
    if (e->state != OPEN || payload.len > HF_CONTROL_PAYLOAD_MAX) {
        return HF_INVALID;
    }
    return write_frame(e, true, 0, opcode, payload) == HF_OK ? HF_OK : fail_no_memory(e);
}

enum hf_status hf_endpoint_ping(struct hf_endpoint *e, struct hf_slice payload)
{
    return send_control(e, HF_OP_PING, payload);
}

enum hf_status hf_endpoint_pong(struct hf_endpoint *e, struct hf_slice payload)
{
    return send_control(e, HF_OP_PONG, payload);
}

enum hf_status hf_endpoint_close(struct hf_endpoint *e, uint16_t code, struct hf_slice reason)
{
    uint8_t payload[HF_CONTROL_PAYLOAD_MAX];
    if (e->state != OPEN || (code != HF_CLOSE_NO_CODE && !hf_close_code_is_valid(code))) {
        return HF_INVALID;
    }
    const size_t len = hf_close_write(payload, code, reason);
    if (write_frame(e, true, 0, HF_OP_CLOSE, hf_slice(payload, len)) != HF_OK) {
        return fail_no_memory(e);
    }
    become(e, CLOSE_SENT);
    return HF_OK;
}

struct hf_buffer *hf_endpoint_out(struct hf_endpoint *e)
{
    return &e->out;
}

bool hf_endpoint_is_closed(const struct hf_endpoint *e)
{
    return e->state == CLOSED;
}

/* --- Receiving --- */

static void forget_message(struct hf_endpoint *e)
{
    if (e->message_out) {
        e->message_out = false;
        empty(&e->message);
    }
}

static void drop_taken(struct hf_endpoint *e)
{
    if (e->taken == e->in.len) {
        empty(&e->in);
    } else {
        hf_buffer_drop(&e->in, e->taken);
    }
    e->taken = 0;
}

enum hf_status hf_endpoint_feed(struct hf_endpoint *e, struct hf_slice bytes)
{
    forget_message(e);
    if (!is_reading(e)) {
        return HF_OK; /* RFC 6455 5.5.1 and 7.1.7: what comes behind the end is dropped. */
    }
    drop_taken(e);
    return hf_buffer_add(&e->in, bytes) == HF_OK ? HF_OK : fail_no_memory(e);
}

/* What a step of reading came to: code 0, all is well; else the fault. */
struct fault {
    uint16_t code;
    const char *why;
};

static const struct fault fine = {0, NULL};

static struct fault protocol(const char *why)
{
    return (struct fault){HF_CLOSE_PROTOCOL, why};
}

static struct fault memory(void)
{
    return (struct fault){HF_CLOSE_INTERNAL, no_memory};
}

static struct fault too_big(void)
{
    return (struct fault){HF_CLOSE_TOO_BIG, "message too big"};
}

/* The rules for a control frame's head: RFC 6455 5.5, RFC 7692 6.1. */
static struct fault check_control(const struct hf_frame_head *frame)
{
    if (!frame->fin) {
        return protocol("fragmented control frame");
    }
    if (frame->length > HF_CONTROL_PAYLOAD_MAX) {
        return protocol("control frame longer than 125 bytes");
    }
    if (frame->rsv != 0) {
        return protocol("RSV1 on a control frame");
    }
    return fine;
}

/* The rules for a data frame's head: RFC 6455 5.4, RFC 7692 6.1. */
static struct fault check_data(const struct hf_endpoint *e, const struct hf_frame_head *frame)
{
    const bool continues = frame->opcode == HF_OP_CONTINUATION;
    if (continues && e->receiving.opcode == 0) {
        return protocol("continuation without a message");
    }
    if (!continues && e->receiving.opcode != 0) {
        return protocol("new message inside a fragmented one");
    }
    if (continues && frame->rsv != 0) {
        return protocol("RSV1 on a continuation");
    }
    const bool compressed = continues ? e->receiving.compressed : frame->rsv != 0;
    if (!compressed && frame->length > e->message_max - e->message.len) {
        return too_big();
    }
    return fine;
}

static struct fault check_frame(const struct hf_endpoint *e, const struct hf_frame_head *frame)
{
    /* RFC 6455 5.1: a server refuses unmasked frames, a client masked ones. */
    if (frame->masked == e->options.client) {
        return protocol(e->options.client ? "masked frame from a server"
                                          : "unmasked frame from a client");
    }
    /* RFC 6455 5.2: a reserved bit or opcode that no extension has given a meaning. */
    if ((frame->rsv & ~(e->options.deflate.agreed ? RSV1 : 0)) != 0) {
        return protocol("reserved bit set");
    }
    if (!hf_opcode_is_known(frame->opcode)) {
        return protocol("reserved opcode");
    }
    return hf_opcode_is_control(frame->opcode) ? check_control(frame) : check_data(e, frame);
}

/* A data frame's head was accepted. */
static void begin_message(struct hf_endpoint *e)
{
    if (e->frame.opcode != HF_OP_CONTINUATION) {
        e->receiving = (struct message){.opcode = e->frame.opcode, .compressed = e->frame.rsv != 0};
    }
}

/* Reads the next head; *more is set when its bytes have not all come. */
static struct fault begin_frame(struct hf_endpoint *e, bool *more)
{
    struct hf_frame_head head;
    switch (hf_frame_read_head(hf_slice_from(hf_buffer_slice(&e->in), e->taken), &head)) {
    case HF_FRAME_MORE:
        *more = true;
        return fine;
    case HF_FRAME_BAD_LENGTH:
        return protocol("payload length not in its shortest form");
    case HF_FRAME_READ:
        break;
    }
    const struct fault fault = check_frame(e, &head);
    if (fault.code != 0) {
        return fault;
    }
    e->taken += head.size;
    e->in_frame = true;
    e->frame = head;
    e->frame_taken = 0;
    if (!hf_opcode_is_control(head.opcode)) {
        begin_message(e);
    }
    return fine;
}

static struct fault from_inflate(enum hf_inflate result)
{
    switch (result) {
    case HF_INFLATE_OK:
        return fine;
    case HF_INFLATE_BAD:
        return (struct fault){HF_CLOSE_BAD_DATA, "compressed data cannot be inflated"};
    case HF_INFLATE_TOO_BIG:
        return too_big();
    case HF_INFLATE_NO_MEMORY:
        break;
    }
    return memory();
}

static struct fault inflate_piece(struct hf_endpoint *e, struct hf_slice piece)
{
    const struct hf_deflate *deflate = &e->options.deflate;
    if (e->inflater == NULL) {
        e->inflater = hf_inflater_new(
            e->options.alloc, e->options.client ? deflate->server_bits : deflate->client_bits,
            e->options.client ? deflate->server_no_context_takeover
                              : deflate->client_no_context_takeover);
    }
    if (e->inflater == NULL) {
        return memory();
    }
    return from_inflate(hf_inflater_add(e->inflater, piece, e->message_max, &e->message));
}

/* RFC 6455 8.1: checks what came to the message behind `start`; at the end the last character must
 * be whole. */
static struct fault check_utf8(struct hf_endpoint *e, size_t start, bool end)
{
    const struct hf_slice fresh = hf_slice_from(hf_buffer_slice(&e->message), start);
    if (e->receiving.opcode == HF_OP_TEXT &&
        (!hf_utf8_feed(&e->receiving.utf8, fresh) || (end && e->receiving.utf8 != 0))) {
        return (struct fault){HF_CLOSE_BAD_DATA, "text is not UTF-8"};
    }
    return fine;
}

/* An unmasked piece of a data frame's payload. */
static struct fault take_data(struct hf_endpoint *e, struct hf_slice piece)
{
    const size_t start = e->message.len;
    struct fault fault = fine;
    if (e->receiving.compressed) {
        fault = inflate_piece(e, piece);
    } else if (hf_buffer_add(&e->message, piece) != HF_OK) {
        fault = memory();
    }
    return fault.code != 0 ? fault : check_utf8(e, start, false);
}

/* Takes what has come of the frame's payload. */
static struct fault take_payload(struct hf_endpoint *e)
{
    const uint64_t left = e->frame.length - e->frame_taken;
    const size_t here = e->in.len - e->taken;
    const size_t len = left < here ? (size_t)left : here;
    if (len == 0) {
        return fine;
    }
    uint8_t *bytes = e->in.data + e->taken;
    struct fault fault = fine;
    if (e->frame.masked) {
        hf_mask_apply(bytes, len, e->frame.mask, e->frame_taken);
    }
    if (hf_opcode_is_control(e->frame.opcode)) {
        memcpy(e->control + e->frame_taken, bytes, len);
    } else {
        fault = take_data(e, hf_slice(bytes, len));
    }
    e->taken += len;
    e->frame_taken += len;
    return fault;
}

/* The last frame of a message is whole. */
static struct fault end_message(struct hf_endpoint *e, struct hf_endpoint_event *event)
{
    const size_t start = e->message.len;
    struct fault fault = fine;
    if (e->receiving.compressed) {
        fault = inflate_piece(e, (struct hf_slice){NULL, 0});
        if (fault.code == 0) {
            fault = from_inflate(hf_inflater_end(e->inflater, e->message_max, &e->message));
        }
    }
    if (fault.code == 0) {
        fault = check_utf8(e, start, true);
    }
    if (fault.code != 0) {
        return fault;
    }
    *event = (struct hf_endpoint_event){.kind = HF_ENDPOINT_MESSAGE,
                                        .opcode = e->receiving.opcode,
                                        .data = hf_buffer_slice(&e->message)};
    e->receiving = (struct message){.opcode = 0};
    e->message_out = true;
    return fine;
}

static struct fault end_close(struct hf_endpoint *e, struct hf_slice payload,
                              struct hf_endpoint_event *event)
{
    uint8_t answer[HF_CONTROL_PAYLOAD_MAX];
    uint16_t code = 0;
    uint16_t fault = 0;
    struct hf_slice reason;
    if (!hf_close_read(payload, &code, &reason, &fault)) {
        return (struct fault){fault, fault == HF_CLOSE_BAD_DATA ? "close reason is not UTF-8"
                                                                : "close payload not allowed"};
    }
    if (e->state == OPEN) {
        /* RFC 6455 5.5.1: the answer echoes the code. */
        const size_t len = hf_close_write(answer, code, (struct hf_slice){NULL, 0});
        if (write_frame(e, true, 0, HF_OP_CLOSE, hf_slice(answer, len)) != HF_OK) {
            return memory();
        }
    }
    become(e, CLOSED);
    *event = (struct hf_endpoint_event){.kind = HF_ENDPOINT_CLOSE, .code = code, .data = reason};
    return fine;
}

/* A control frame is whole. */
static struct fault end_control(struct hf_endpoint *e, struct hf_endpoint_event *event)
{
    const struct hf_slice payload = hf_slice(e->control, (size_t)e->frame.length);
    if (e->frame.opcode == HF_OP_CLOSE) {
        return end_close(e, payload, event);
    }
    if (e->frame.opcode == HF_OP_PING && !e->options.silent_pings) {
        /* RFC 6455 5.5.2 and 5.5.3: the pong carries the ping's payload; it is due until the peer's
         * Close comes, also after ours went. */
        if (write_frame(e, true, 0, HF_OP_PONG, payload) != HF_OK) {
            return memory();
        }
    }
    *event = (struct hf_endpoint_event){.kind = e->frame.opcode == HF_OP_PING ? HF_ENDPOINT_PING
                                                                              : HF_ENDPOINT_PONG,
                                        .data = payload};
    return fine;
}

/* Ends the frame when all of its payload was taken. */
static struct fault end_frame(struct hf_endpoint *e, struct hf_endpoint_event *event)
{
    e->in_frame = false;
    if (hf_opcode_is_control(e->frame.opcode)) {
        return end_control(e, event);
    }
    return e->frame.fin ? end_message(e, event) : fine;
}

/* One step of reading; *more is set when it cannot go on with the bytes that are there. */
static struct fault read_step(struct hf_endpoint *e, struct hf_endpoint_event *event, bool *more)
{
    struct fault fault = fine;
    if (!e->in_frame) {
        fault = begin_frame(e, more);
        if (*more) {
            return fault;
        }
    }
    if (fault.code == 0) {
        fault = take_payload(e);
    }
    if (fault.code == 0 && e->frame_taken == e->frame.length) {
        return end_frame(e, event);
    }
    *more = true;
    return fault;
}

enum hf_endpoint_event_kind hf_endpoint_next(struct hf_endpoint *e, struct hf_endpoint_event *event)
{
    bool more = false;
    *event = (struct hf_endpoint_event){.kind = HF_ENDPOINT_NONE};
    forget_message(e);
    while (is_reading(e) && !more && event->kind == HF_ENDPOINT_NONE) {
        const struct fault fault = read_step(e, event, &more);
        if (fault.code != 0) {
            fail(e, fault.code, fault.why);
            *event = (struct hf_endpoint_event){
                .kind = HF_ENDPOINT_FAULT, .code = fault.code, .why = fault.why};
        }
    }
    if (event->kind == HF_ENDPOINT_NONE) {
        drop_taken(e);
    }
    return event->kind;
}
