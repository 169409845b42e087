/* SPDX-License-Identifier: Apache-2.0 */
/* What goes in and out of a probe's open connection. */
#include "probe/inside.h"

#include <stdio.h>
#include <stdlib.h>

#define OUT_MAX ((size_t)1 << 20) /* bytes that wait for a peer who does not read */

/* ---- out ----------------------------------------------------------------------------------------
 */

void hf_probe_flush(struct hf_probe *p)
{
    if (p->endpoint == NULL || p->stream == NULL) {
        return;
    }
    struct hf_buffer *out = hf_endpoint_out(p->endpoint);
    const hf_time now = hf_probe_now(p);
    if (out->len > 0) {
        /* What was sent before was acknowledged: somebody was there then. */
        const bool settled = !p->how.light && hf_stream_unacked(p->stream) == 0;
        if (settled && p->last_tx > p->proof) {
            p->proof = p->last_tx;
        }
        const size_t n = hf_stream_send(p->stream, hf_buffer_slice(out));
        hf_buffer_drop(out, n);
        if (n > 0) {
            p->last_tx = now;
            p->owed = p->how.light ? HF_NEVER : settled || p->owed == HF_NEVER ? now : p->owed;
        }
    }
    if (out->len == 0 && p->sending) {
        p->sending = false;
        hf_probe_note(p, HF_MOMENT_SENT, p->sending_size);
        p->trial.bytes_sent += p->sending_size;
    }
}

static bool may_send(struct hf_probe *p)
{
    return p->open && !p->finished && !p->closing && !p->sending &&
           hf_endpoint_out(p->endpoint)->len == 0;
}

/* A message is in out. */
static bool sent(struct hf_probe *p, enum hf_status status, size_t size)
{
    p->sending = status == HF_OK;
    p->sending_size = size;
    hf_probe_flush(p);
    hf_probe_reschedule(p);
    return status == HF_OK;
}

bool hf_probe_send(struct hf_probe *p, uint8_t opcode, struct hf_slice data)
{
    return may_send(p) && sent(p, hf_endpoint_send(p->endpoint, opcode, data), data.len);
}

bool hf_probe_send_fragments(struct hf_probe *p, uint8_t opcode, struct hf_slice data, size_t frame)
{
    enum hf_status status = HF_OK;
    const size_t size = data.len;
    if (!may_send(p) || frame == 0) {
        return false;
    }
    do {
        const struct hf_slice piece = hf_slice_first(data, frame);
        data = hf_slice_from(data, frame);
        status = hf_endpoint_send_fragment(p->endpoint, opcode, data.len == 0, piece);
        opcode = HF_OP_CONTINUATION;
    } while (status == HF_OK && data.len > 0);
    return sent(p, status, size);
}

void hf_probe_say_message(struct hf_probe *p)
{
    const size_t size = p->how.plan.message_size;
    if (size == 0) {
        (void)hf_probe_send(p, HF_OP_TEXT, hf_slice(p->text, p->text_len));
        return;
    }
    char *padded = malloc(size);
    if (padded == NULL) {
        return;
    }
    /* Blanks behind a text leave JSON what it was. */
    const bool fits = p->text_len <= size;
    memset(padded, fits ? ' ' : 'x', size);
    if (fits && p->text_len > 0) {
        memcpy(padded, p->text, p->text_len);
    }
    (void)hf_probe_send(p, HF_OP_TEXT, hf_slice(padded, size));
    free(padded);
}

/* Who does not read gets no more of what nobody has to send (RFC 6455 5.5.3: not every ping must be
 * answered): a flood of pings would fill the memory. */
static bool has_room(struct hf_probe *p)
{
    return hf_endpoint_out(p->endpoint)->len < OUT_MAX + (p->sending ? p->sending_size : 0);
}

bool hf_probe_ping(struct hf_probe *p)
{
    char payload[64];
    if (!p->open || p->finished || p->closing || (!p->sending && !has_room(p))) {
        return false;
    }
    const hf_time now = hf_probe_now(p);
    const int len = snprintf(payload, sizeof(payload), "holdfast %llu %lld",
                             (unsigned long long)++p->ping_number, (long long)(now - p->opened));
    if (hf_endpoint_ping(p->endpoint, hf_slice(payload, (size_t)len)) != HF_OK) {
        return false;
    }
    p->asked = p->asked == HF_NEVER && !p->paused ? now : p->asked;
    hf_probe_note(p, HF_MOMENT_PING_SENT, (size_t)len);
    hf_probe_flush(p);
    hf_probe_reschedule(p);
    return true;
}

void hf_probe_say_beat(struct hf_probe *p)
{
    if (has_room(p) && hf_endpoint_pong(p->endpoint, HF_LITERAL("beat")) == HF_OK) {
        hf_probe_note(p, HF_MOMENT_BEAT_SENT, 4);
        hf_probe_flush(p);
    }
}

static void say_pong(struct hf_probe *p, struct hf_slice payload)
{
    if (has_room(p) && hf_endpoint_pong(p->endpoint, payload) == HF_OK) {
        hf_probe_note(p, HF_MOMENT_PONG_SENT, payload.len);
    }
}

void hf_probe_say_late(struct hf_probe *p, hf_time now)
{
    size_t done = 0;
    while (done < p->late_count && p->late[done].due <= now) {
        say_pong(p, hf_slice(p->late[done].payload, p->late[done].len));
        done++;
    }
    if (done > 0) {
        p->late_count -= done;
        memmove(p->late, p->late + done, p->late_count * sizeof(p->late[0]));
        hf_probe_flush(p);
    }
}

/* ---- in -----------------------------------------------------------------------------------------
 */

static void got_ping(struct hf_probe *p, struct hf_slice payload)
{
    hf_probe_note(p, HF_MOMENT_PING_GOT, payload.len);
    switch (p->how.plan.pong) {
    case HF_PONG_ANSWER:
        say_pong(p, payload);
        break;
    case HF_PONG_IGNORE:
        break;
    case HF_PONG_EMPTY:
        say_pong(p, hf_slice(NULL, 0));
        break;
    case HF_PONG_LATE:
        if (p->late_count < HF_PROBE_LATE) {
            const size_t i = p->late_count++;
            p->late[i].due = hf_probe_now(p) + p->how.pong_delay;
            p->late[i].len = (uint8_t)payload.len;
            memcpy(p->late[i].payload, payload.ptr, payload.len);
        }
        break;
    }
    hf_probe_tell(p, &(struct hf_probe_event){.kind = HF_PROBE_PING, .data = payload});
}

/* The round trip of the ping that it answers; -1: none of ours. Pongs come in the order of the
 * pings (RFC 6455 5.5.3 lets older ones go unanswered), so one that is older than the last is odd.
 */
static hf_time round_trip(struct hf_probe *p, struct hf_slice payload)
{
    static const struct hf_slice prefix = {(const uint8_t *)"holdfast ", 9};
    const struct hf_slice rest = hf_slice_from(payload, prefix.len);
    const size_t blank = hf_slice_find(rest, ' ');
    const hf_time age = hf_probe_now(p) - p->opened;
    uint64_t number, sent;
    if (!hf_slice_starts(payload, prefix) ||
        !hf_slice_number(hf_slice_first(rest, blank), p->ping_number, &number) ||
        !hf_slice_number(hf_slice_from(rest, blank + 1), (uint64_t)age, &sent) ||
        number <= p->ping_answered) {
        return -1;
    }
    p->ping_answered = number;
    return age - (hf_time)sent;
}

static void got_pong(struct hf_probe *p, struct hf_slice payload)
{
    const hf_time rtt = round_trip(p, payload);
    if (rtt < 0) {
        hf_probe_note(p, HF_MOMENT_PONG_ODD, payload.len);
        return;
    }
    hf_probe_note(p, HF_MOMENT_PONG_GOT, rtt < UINT32_MAX ? (size_t)rtt : UINT32_MAX);
    hf_probe_tell(p, &(struct hf_probe_event){.kind = HF_PROBE_PONG, .rtt = rtt, .data = payload});
}

static void got_message(struct hf_probe *p, const struct hf_endpoint_event *e)
{
    hf_probe_note(p, HF_MOMENT_GOT, e->data.len);
    p->trial.bytes_got += e->data.len;
    if (p->took[HF_PHASE_OPEN] < 0) {
        p->took[HF_PHASE_OPEN] = hf_probe_now(p) - p->opened;
        hf_probe_tell(p, &(struct hf_probe_event){.kind = HF_PROBE_PHASE,
                                                  .phase = HF_PHASE_OPEN,
                                                  .took = p->took[HF_PHASE_OPEN]});
    }
    hf_probe_tell(p, &(struct hf_probe_event){
                         .kind = HF_PROBE_MESSAGE, .opcode = e->opcode, .data = e->data});
}

static void got_close(struct hf_probe *p, const struct hf_endpoint_event *e)
{
    char reason[sizeof(p->trial.end.reason)];
    const size_t len = e->data.len < sizeof(reason) ? e->data.len : sizeof(reason) - 1;
    if (len > 0) {
        memcpy(reason, e->data.ptr, len);
    }
    reason[len] = '\0';
    p->trial.end.code = e->code;
    hf_probe_finish(p, p->closing ? HF_HOW_ENDED_BY_US : HF_HOW_CLOSE, reason);
}

static void take_event(struct hf_probe *p, const struct hf_endpoint_event *e)
{
    switch (e->kind) {
    case HF_ENDPOINT_MESSAGE:
        got_message(p, e);
        break;
    case HF_ENDPOINT_PING:
        got_ping(p, e->data);
        break;
    case HF_ENDPOINT_PONG:
        got_pong(p, e->data);
        break;
    case HF_ENDPOINT_CLOSE:
        got_close(p, e);
        break;
    case HF_ENDPOINT_FAULT:
        p->trial.end.code = e->code;
        hf_probe_finish(p, HF_HOW_FAULT, e->why);
        break;
    case HF_ENDPOINT_NONE:
        break;
    }
}

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct hf_probe *p = owner;
    struct hf_endpoint_event event;
    if (p->finished) {
        return bytes.len;
    }
    p->last_rx = hf_probe_now(p);
    p->proof = p->last_rx;
    p->asked = HF_NEVER;
    p->owed = HF_NEVER;
    p->stalled = false;
    if (hf_endpoint_feed(p->endpoint, bytes) != HF_OK) {
        hf_probe_finish(p, HF_HOW_ERRNO, "no memory for what came");
        return bytes.len;
    }
    while (!p->finished && hf_endpoint_next(p->endpoint, &event) != HF_ENDPOINT_NONE) {
        take_event(p, &event);
    }
    if (!p->finished) {
        hf_probe_flush(p);
        if (p->checking) { /* it answered, so it was there */
            hf_probe_stop(p);
        }
    }
    hf_probe_reschedule(p);
    return bytes.len;
}

static void on_writable(void *owner, struct hf_stream *stream)
{
    struct hf_probe *p = owner;
    hf_probe_flush(p);
    hf_probe_reschedule(p);
}

static enum hf_trial_how how_of(const struct hf_end *end)
{
    switch (end->kind) {
    case HF_END_FIN:
    case HF_END_TLS_NOTIFY:
        return HF_HOW_FIN;
    case HF_END_TLS_TRUNCATED:
    case HF_END_TLS_FAILED:
        return HF_HOW_TLS;
    case HF_END_RST:
        return HF_HOW_RST;
    case HF_END_TIMEOUT:
        return HF_HOW_TIMEOUT;
    case HF_END_REFUSED:
    case HF_END_UNREACHABLE:
    case HF_END_ERRNO:
    case HF_END_KINDS:
        break;
    }
    return HF_HOW_ERRNO;
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct hf_probe *p = owner;
    const enum hf_trial_how how = how_of(end);
    const hf_time now = hf_probe_now(p);
    p->trial.end.error = end->error;
    if (how == HF_HOW_TIMEOUT ||
        (how == HF_HOW_RST && p->last_tx > p->proof && now - p->last_tx < HF_SECONDS(2))) {
        p->trial.end.unsure = now - p->proof; /* our own bytes brought it to light */
    }
    hf_probe_finish(p, p->closing ? HF_HOW_ENDED_BY_US : how, p->closing ? "" : end->detail);
    hf_probe_reschedule(p);
}

static const struct hf_stream_handler stream_handler = {
    .on_bytes = on_bytes, .on_writable = on_writable, .on_end = on_end};

void hf_probe_read_or_not(struct hf_probe *p, hf_time now)
{
    const bool stops = p->how.plan.stops_reading && !p->closing && !p->checking && !p->drains &&
                       now - p->opened >= p->how.reading_until;
    if (p->stream == NULL || stops == p->paused) {
        return;
    }
    p->paused = stops;
    if (stops) {
        p->asked = HF_NEVER;
        hf_stream_pause(p->stream);
    } else {
        hf_stream_resume(p->stream);
    }
}

/* ---- the open -----------------------------------------------------------------------------------
 */

static void say_first(struct hf_probe *p)
{
    for (const char *const *text = p->how.say; text != NULL && *text != NULL; text++) {
        const size_t len = strlen(*text);
        if (hf_endpoint_send(p->endpoint, HF_OP_TEXT, hf_slice(*text, len)) == HF_OK) {
            hf_probe_note(p, HF_MOMENT_SENT, len);
            p->trial.bytes_sent += len;
        }
    }
    hf_probe_flush(p);
}

void hf_probe_adopt(struct hf_probe *p, struct hf_stream *stream, const struct hf_head *head,
                    const struct hf_deflate *deflate)
{
    const struct hf_endpoint_options options = {.client = true,
                                                .silent_pings = true,
                                                .message_max = p->how.target->message_max,
                                                .deflate = *deflate,
                                                .alloc = &hf_heap,
                                                .seed = hf_random_next(&p->random)};
    const hf_time now = hf_probe_now(p);
    p->stream = stream;
    hf_stream_handle(stream, &stream_handler, p);
    p->opened = now;
    p->open = true;
    p->last_rx = now;
    p->last_tx = now;
    p->proof = now;
    p->trial.opened = now - p->how.epoch > 0 ? now - p->how.epoch : 1;
    p->trial.end.phase = HF_PHASE_OPEN;
    p->endpoint = hf_endpoint_new(&options);
    if (p->endpoint == NULL) {
        hf_probe_finish(p, HF_HOW_ERRNO, "no memory for a connection");
        return;
    }
    p->hold_end = p->how.hold == HF_NEVER ? HF_NEVER : now + p->how.hold;
    p->paused = true; /* as it was handed over */
    hf_probe_set_plan(p, &p->how.plan);
    hf_probe_tell(p, &(struct hf_probe_event){.kind = HF_PROBE_OPEN, .head = head});
    if (!p->finished) {
        say_first(p);
    }
}
