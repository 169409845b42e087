/* SPDX-License-Identifier: Apache-2.0 */
/* A client of hf1 by hand, for what a library does not do: other people's tokens, old offers,
 * silence. What it gets is kept as lines, and it does nothing by itself but answer hello with an
 * ack where it is asked to. */
#include "scene_core.h"

#include "http/head.h"
#include "session/control.h"

static void say(struct raw *r, const char *format, ...) HF_PRINTF(2, 3);
static void say(struct raw *r, const char *format, ...)
{
    char line[300];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    hf_buffer_add_text(&r->told, line);
    hf_buffer_add_byte(&r->told, '\n');
    scene_say(r->scene, "%s is told: %.40s", r->name, line);
}

static void flush(struct raw *r)
{
    if (r->stream == NULL || !r->connected) {
        return;
    }
    if (r->out.len > 0) {
        hf_buffer_drop(&r->out, hf_stream_send(r->stream, hf_buffer_slice(&r->out)));
    }
    if (r->out.len == 0 && r->endpoint != NULL) {
        struct hf_buffer *out = hf_endpoint_out(r->endpoint);
        if (out->len > 0) {
            hf_buffer_drop(out, hf_stream_send(r->stream, hf_buffer_slice(out)));
        }
    }
}

static void take_control(struct raw *r, struct hf_slice text)
{
    struct hf_buffer room;
    struct hf_control c;
    hf_buffer_init(&room, &hf_heap, 65536);
    const char *why = hf_control_read(text, &room, &c);
    if (why != NULL) {
        scene_break(r->scene, "%s got a control message that is not right: %s", r->name, why);
    } else if (c.verb == HF_VERB_HELLO) {
        (void)snprintf(r->token, sizeof(r->token), "%.*s", HF_SLICE_ARG(c.token));
        r->epoch = c.epoch;
        r->old_received = c.old_received;
        r->received = c.resumed == 1 ? r->received : 0;
        say(r, "hello resumed=%llu%s%.*s received=%llu sent=%llu", (unsigned long long)c.resumed,
            c.reason.ptr == NULL ? "" : " reason=", HF_SLICE_ARG(c.reason),
            (unsigned long long)c.received, (unsigned long long)c.sent);
        if (r->acks) {
            char ack[40];
            (void)snprintf(ack, sizeof(ack), "ack n=%llu", (unsigned long long)r->received);
            raw_control(r, ack);
        }
    } else if (c.verb == HF_VERB_END) {
        say(r, "end who=%.*s reason=%.*s", HF_SLICE_ARG(c.who), HF_SLICE_ARG(c.reason));
    } else {
        say(r, "%.*s", HF_SLICE_ARG(text));
    }
    hf_buffer_reset(&room);
}

static void take_event(struct raw *r, const struct hf_endpoint_event *e)
{
    if (e->kind == HF_ENDPOINT_CLOSE) {
        say(r, "Close %u %.*s", e->code, HF_SLICE_ARG(e->data));
    } else if (e->kind == HF_ENDPOINT_FAULT) {
        scene_break(r->scene, "the gateway breaks the protocol towards %s: %s", r->name, e->why);
    } else if (e->kind == HF_ENDPOINT_MESSAGE && e->opcode == HF_OP_TEXT &&
               hf_text_kind(e->data) == HF_TEXT_CONTROL) {
        take_control(r, hf_slice_from(e->data, 1));
    } else if (e->kind == HF_ENDPOINT_MESSAGE) {
        r->received++;
        say(r, "message %llu of %zu bytes", (unsigned long long)r->received, e->data.len);
    }
}

static void feed(struct raw *r, struct hf_slice bytes)
{
    struct hf_endpoint_event e;
    HF_ASSERT(hf_endpoint_feed(r->endpoint, bytes) == HF_OK);
    while (hf_endpoint_next(r->endpoint, &e) != HF_ENDPOINT_NONE) {
        take_event(r, &e);
    }
    flush(r);
}

static void take_response(struct raw *r)
{
    struct hf_head head;
    const char *why = "";
    if (hf_response_read(hf_buffer_slice(&r->head), 65536, &head, &why) != HF_HEAD_READ) {
        return;
    }
    r->status = head.status;
    const struct hf_slice *received = hf_head_find(&head, "HF-Received");
    say(r, "status %u%s%.*s", r->status,
        received == NULL ? "" : " received=", received == NULL ? 0 : (int)received->len,
        received == NULL ? "" : (const char *)received->ptr);
    if (head.status == 101) {
        struct hf_endpoint_options options = {
            .client = true, .message_max = UINT64_MAX, .alloc = &hf_heap, .seed = 7};
        r->endpoint = hf_endpoint_new(&options);
        HF_ASSERT(r->endpoint != NULL);
        r->open = true;
        feed(r, hf_slice_from(hf_buffer_slice(&r->head), head.size));
        hf_buffer_clear(&r->head);
    }
}

static void on_open(void *owner, struct hf_stream *stream)
{
    struct raw *r = owner;
    r->connected = true;
    flush(r);
}

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct raw *r = owner;
    if (r->open) {
        feed(r, bytes);
    } else {
        hf_buffer_add(&r->head, bytes);
        take_response(r);
    }
    return bytes.len;
}

static void on_writable(void *owner, struct hf_stream *stream)
{
    flush(owner);
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct raw *r = owner;
    say(r, "the end");
    raw_cut(r);
}

static const struct hf_stream_handler handler = {on_open, on_bytes, on_writable, on_end};

struct raw *raw_new(struct scene *s, const char *host, const struct sim_path *path)
{
    struct raw *r = calloc(1, sizeof(*r));
    HF_ASSERT(r != NULL);
    r->number = ++s->raw_count;
    (void)snprintf(r->name, sizeof(r->name), "stranger %u", r->number);
    r->scene = s;
    r->loop = s->outside;
    hf_buffer_init(&r->head, &hf_heap, 1 << 20);
    hf_buffer_init(&r->out, &hf_heap, 1 << 20);
    hf_buffer_init(&r->told, &hf_heap, 1 << 24);
    hf_list_init(&r->node);
    hf_list_append(&s->raws, &r->node);
    struct hf_address source = scene_host(host);
    struct hf_connect how = {.address = gate_door(s)};
    sim_source(s->sim, &source);
    s->raw_path = path;
    if (hf_loop_connect(s->outside, &how, &handler, r, &r->stream) != HF_OK) {
        r->stream = NULL;
    }
    s->raw_path = NULL;
    return r;
}

void raw_free(struct raw *r)
{
    raw_cut(r);
    hf_endpoint_free(r->endpoint);
    hf_buffer_reset(&r->head);
    hf_buffer_reset(&r->out);
    hf_buffer_reset(&r->told);
    hf_list_remove(&r->node);
    free(r);
}

void raw_offer(struct raw *r, struct app *a, const char *protocols)
{
    hf_buffer_addf(&r->out, "GET /ws/?c=%u&a=%u", a->id, SCENE_STRANGERS + r->number);
    if (a->subject[0] != '\0') {
        hf_buffer_add_text(&r->out, "&token=");
        scene_token(r->scene, a->subject, a->token_ms, &r->out);
    }
    hf_buffer_addf(&r->out,
                   " HTTP/1.1\r\nHost: app.test\r\n"
                   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: " SCENE_KEY "\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
                   protocols);
    flush(r);
}

void raw_post(struct raw *r, struct app *a, unsigned seq, struct hf_slice text)
{
    char key[64];
    uint8_t head[5] = {1, 0, 0, (uint8_t)(text.len >> 8), (uint8_t)text.len};
    HF_ASSERT(text.len > 0 && text.len < 65536 && gate_key(r->scene, a, key));
    hf_buffer_addf(&r->out,
                   "POST /ws/?c=%u&a=%u HTTP/1.1\r\nHost: app.test\r\nHF-Key: %s\r\nHF-Seq: %u\r\n"
                   "Content-Type: application/x-hf1\r\nContent-Length: %zu\r\n\r\n",
                   a->id, SCENE_STRANGERS + r->number, key, seq, text.len + sizeof(head));
    hf_buffer_add(&r->out, hf_slice(head, sizeof(head)));
    hf_buffer_add(&r->out, hf_slice(text.ptr, text.len - 1));
    r->kept = text.ptr[text.len - 1];
    scene_say(r->scene, "%s begins a POST of message %u", r->name, seq);
    flush(r);
}

void raw_post_end(struct raw *r)
{
    hf_buffer_add_byte(&r->out, r->kept);
    flush(r);
}

static void put_text(struct raw *r, const char *mark, const char *text)
{
    struct hf_buffer whole;
    if (!r->open || r->stream == NULL) {
        return;
    }
    hf_buffer_init(&whole, &hf_heap, 1 << 20);
    hf_buffer_add_text(&whole, mark);
    hf_buffer_add_text(&whole, text);
    (void)!hf_endpoint_send(r->endpoint, HF_OP_TEXT, hf_buffer_slice(&whole));
    hf_buffer_reset(&whole);
    flush(r);
}

void raw_text(struct raw *r, const char *text)
{
    put_text(r, "", text);
}
void raw_control(struct raw *r, const char *text)
{
    put_text(r, "\x01", text);
}

void raw_close(struct raw *r, uint16_t code)
{
    if (r->open && r->stream != NULL) {
        (void)!hf_endpoint_close(r->endpoint, code, hf_slice(NULL, 0));
        flush(r);
    }
}

void raw_cut(struct raw *r)
{
    if (r->stream != NULL) {
        hf_stream_close(r->stream);
        r->stream = NULL;
        r->connected = false;
        r->ended = true;
    }
}

static bool next_line(struct hf_slice *rest, const char *start, struct hf_slice *line)
{
    while (hf_slice_next(rest, '\n', line)) {
        if (hf_slice_eq(hf_slice_first(*line, strlen(start)), hf_slice_of(start))) {
            return true;
        }
    }
    return false;
}

bool raw_was_told(const struct raw *r, const char *start)
{
    struct hf_slice rest = hf_buffer_slice(&r->told);
    struct hf_slice line;
    return next_line(&rest, start, &line);
}
