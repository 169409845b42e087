/* SPDX-License-Identifier: Apache-2.0 */
/* Server-Sent Events (HTML, section 9.2): writing a stream of them, and reading one. Pure.
 *
 *   id: <text>
 *   event: <name>            absent for "message"
 *   data: <line>             one for each line of the data
 *                            an empty line sends the event off
 *
 * A line ends with LF, CR or both, and there is no escape: data that holds CR cannot be carried as
 * text. */
#ifndef HF_HTTP_SSE_H
#define HF_HTTP_SSE_H

#include "base/buffer.h"

/* ---- writing ----------------------------------------------------------------------------------
 */

/* A reader gets the same text back: no CR and no NUL in it. */
bool hf_sse_carries(struct hf_slice text);
/* One event. name NULL: "message". id empty: none. Neither may hold CR, LF or NUL; data must be one
 * that hf_sse_carries. */
void hf_sse_event(struct hf_buffer *out, const char *name, struct hf_slice id,
                  struct hf_slice data);
/* The same with data in base64. */
void hf_sse_event_base64(struct hf_buffer *out, const char *name, struct hf_slice id,
                         struct hf_slice data);
/* A comment of so many bytes in all (at least 4), for paths that keep the beginning of an answer
 * back until there is enough of it; also a sign of life that no reader sees. */
void hf_sse_padding(struct hf_buffer *out, size_t bytes);

/* ---- reading ----------------------------------------------------------------------------------
 */

struct hf_sse_reader {
    struct hf_buffer line; /* what has come of it */
    struct hf_buffer name;
    struct hf_buffer data;
    struct hf_buffer id; /* the last that was seen; stays over events */
    uint64_t retry;      /* ms: the last that was said; UINT64_MAX: none */
    bool after_cr;       /* an LF belongs to the line before */
    bool begun;          /* the first line is over: no byte order mark any more */
    bool given;          /* name and data were given out and are cleared at the next call */
};

struct hf_sse_event {
    struct hf_slice name; /* empty: "message" */
    struct hf_slice data;
    struct hf_slice id; /* the last id, which may be that of an earlier event */
};

enum hf_sse_read {
    HF_SSE_MORE,  /* all was taken, no event is whole */
    HF_SSE_EVENT, /* *event, which lives until the next call; *taken bytes were read */
    HF_SSE_FULL,  /* a line or an event is beyond max: the reader is of no use any more */
};
/* max: bytes of a line, and of the data of an event. */
void hf_sse_reader_init(struct hf_sse_reader *r, const struct hf_allocator *alloc, size_t max);
void hf_sse_reader_fini(struct hf_sse_reader *r);
enum hf_sse_read hf_sse_read(struct hf_sse_reader *r, struct hf_slice bytes, size_t *taken,
                             struct hf_sse_event *event);

#endif
