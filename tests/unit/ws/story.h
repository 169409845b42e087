/* SPDX-License-Identifier: Apache-2.0 */
/* Scenes for an endpoint: frames are put on the wire as its peer would send them, the endpoint
 * reads them whole and one byte at a time, and what happened must read as the story that is
 * expected:
 *
 *     text(Hello) ping(x) | pong(x)
 *
 * events before the bar, in their order; frames it sent behind it. */
#ifndef TEST_WS_STORY_H
#define TEST_WS_STORY_H

#include "ws/endpoint.h"

#include "test_alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t story_mask[4] = {0x37, 0xfa, 0x21, 0x3d}; /* RFC 6455 5.7 */

/* The scene that is being set. */
static struct {
    bool client; /* the endpoint's role */
    uint64_t message_max;
    struct hf_deflate deflate;
    struct hf_buffer wire;
} scene;

static inline void begin(bool client)
{
    hf_buffer_reset(&scene.wire);
    hf_buffer_init(&scene.wire, &hf_heap, SIZE_MAX);
    scene.client = client;
    scene.message_max = 1 << 20;
    scene.deflate = (struct hf_deflate){.server_bits = 15, .client_bits = 15};
}

/* The body runs for a server and for a client, with a fresh scene each. */
#define BOTH_ROLES for (int role = 0; role < 2 && (begin(role == 1), true); role++)

static inline void raw(const void *bytes, size_t len)
{
    assert_int_equal(hf_buffer_add(&scene.wire, hf_slice(bytes, len)), HF_OK);
}

/* A frame whose head says `length`, with only `len` bytes of its payload behind it. */
static inline void part_of_frame(uint8_t first, uint64_t length, const void *payload, size_t len)
{
    uint8_t head[HF_FRAME_HEAD_MAX];
    const size_t size = hf_frame_write_head(head, first >> 7, first >> 4 & 7, first & 15, length,
                                            scene.client ? NULL : story_mask);
    raw(head, size);
    raw(payload, len);
    if (!scene.client && len > 0) {
        hf_mask_apply(scene.wire.data + scene.wire.len - len, len, story_mask, 0);
    }
}

static inline void frame_of(uint8_t first, const void *payload, size_t len)
{
    part_of_frame(first, len, payload, len);
}

#define frame(first, literal) frame_of(first, "" literal, sizeof(literal) - 1)

/* The story as it grows. */
static char story_text[8192];
static size_t story_len;

static inline void tell(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(story_text + story_len, sizeof(story_text) - story_len, format, args);
    va_end(args);
    assert_true(len >= 0 && story_len + (size_t)len < sizeof(story_text));
    story_len += (size_t)len;
}

static inline void tell_bytes(const char *name, struct hf_slice data)
{
    tell("%s%s(", story_len == 0 || story_text[story_len - 1] == ' ' ? "" : " ", name);
    if (data.len > 200) {
        tell("%zu bytes", data.len);
    } else {
        for (size_t i = 0; i < data.len; i++) {
            tell(data.ptr[i] >= ' ' && data.ptr[i] <= '~' ? "%c" : "\\x%02x", data.ptr[i]);
        }
    }
    tell(")");
}

static inline void tell_code(const char *name, unsigned code, struct hf_slice reason)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%s %u", name, code);
    tell_bytes(text, reason);
}

static inline void tell_event(const struct hf_endpoint_event *event)
{
    switch (event->kind) {
    case HF_ENDPOINT_NONE:
        break;
    case HF_ENDPOINT_MESSAGE:
        assert_true(event->opcode == HF_OP_TEXT || event->opcode == HF_OP_BINARY);
        tell_bytes(event->opcode == HF_OP_TEXT ? "text" : "binary", event->data);
        break;
    case HF_ENDPOINT_PING:
        tell_bytes("ping", event->data);
        break;
    case HF_ENDPOINT_PONG:
        tell_bytes("pong", event->data);
        break;
    case HF_ENDPOINT_CLOSE:
        tell_code("close", event->code, event->data);
        break;
    case HF_ENDPOINT_FAULT:
        assert_non_null(event->why);
        tell_bytes(event->why, (struct hf_slice){NULL, 0});
        story_len -= 2; /* without the brackets */
        tell(":%u", event->code);
        break;
    }
}

static inline void tell_events(struct hf_endpoint *e)
{
    struct hf_endpoint_event event;
    while (hf_endpoint_next(e, &event) != HF_ENDPOINT_NONE) {
        tell_event(&event);
    }
}

static inline const char *frame_name(const struct hf_frame_head *head, char text[16])
{
    static const char *const names[16] = {"more", "text", "binary", "3",  "4",  "5",  "6",  "7",
                                          "?",    "ping", "pong",   "11", "12", "13", "14", "15"};
    (void)snprintf(text, 16, "%s%s%s", head->fin ? "" : "begin-", head->rsv == 4 ? "z" : "",
                   names[head->opcode]);
    assert_true(head->rsv == 0 || head->rsv == 4);
    return text;
}

/* Tells the frames the endpoint has sent, and drops them. */
static inline void tell_sent(struct hf_endpoint *e, bool client)
{
    struct hf_buffer *out = hf_endpoint_out(e);
    tell(out->len > 0 ? " |" : "");
    while (out->len > 0) {
        struct hf_frame_head head;
        char name[16];
        assert_int_equal(hf_frame_read_head(hf_buffer_slice(out), &head), HF_FRAME_READ);
        assert_true(head.masked == client); /* RFC 6455 5.1 */
        assert_true(out->len - head.size >= head.length);
        uint8_t *payload = out->data + head.size;
        hf_mask_apply(payload, (size_t)head.length, head.mask, 0);
        const struct hf_slice bytes = hf_slice(payload, (size_t)head.length);
        if (head.opcode == HF_OP_CLOSE) {
            uint16_t code = 0;
            uint16_t fault = 0;
            struct hf_slice reason;
            assert_true(hf_close_read(bytes, &code, &reason, &fault));
            tell(" close %u", code);
        } else {
            tell_bytes(frame_name(&head, name), bytes);
        }
        hf_buffer_drop(out, head.size + (size_t)head.length);
    }
}

static inline struct hf_endpoint *new_endpoint(const struct hf_allocator *alloc)
{
    return hf_endpoint_new(&(struct hf_endpoint_options){
        .client = scene.client,
        .message_max = scene.message_max,
        .deflate = scene.deflate,
        .alloc = alloc,
        .seed = 7,
    });
}

/* Feeds the wire in steps of so many bytes; each step is a block of its own, exact in size, so that
 * a read beyond is seen. */
static inline void feed_wire(struct hf_endpoint *e, size_t step)
{
    for (size_t at = 0; at < scene.wire.len;) {
        const size_t len = scene.wire.len - at < step ? scene.wire.len - at : step;
        uint8_t *block = malloc(len);
        memcpy(block, scene.wire.data + at, len);
        assert_int_equal(hf_endpoint_feed(e, hf_slice(block, len)), HF_OK);
        free(block);
        tell_events(e);
        at += len;
    }
}

static inline void expect_story(const char *expected, const char *how)
{
    if (strcmp(story_text, expected) != 0) {
        fail_msg("%s, %s:\n  it went \"%s\"\n  not     \"%s\"", scene.client ? "client" : "server",
                 how, story_text, expected);
    }
}

/* Plays the scene whole and one byte at a time, and clears the wire for the next one. */
static inline void tells(const char *expected)
{
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        struct test_alloc ta;
        test_alloc_init(&ta);
        struct hf_endpoint *e = new_endpoint(&ta.alloc);
        story_len = 0;
        story_text[0] = 0;
        feed_wire(e, bytewise ? 1 : SIZE_MAX);
        tell_sent(e, scene.client);
        hf_endpoint_free(e);
        expect_story(expected, bytewise ? "one byte at a time" : "whole");
        assert_int_equal(ta.live_blocks, 0);
    }
    hf_buffer_clear(&scene.wire);
}

#endif
