/* SPDX-License-Identifier: Apache-2.0 */
/* What was received and not taken: lending bytes to a handler, and keeping what it leaves. */
#include "io/loop.h"
#include "io/tls_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool hf_unread_add(struct unread **unread, struct hf_slice bytes)
{
    struct unread *u = *unread;
    size_t had = unread_slice(u).len;
    size_t len = had + bytes.len;
    if (u != NULL && u->start > 0) {
        memmove(u->bytes, u->bytes + u->start, had);
        u->start = 0;
        u->end = (uint32_t)had;
    }
    if (u == NULL || len > u->cap) {
        /* Exact while it is small; larger ones grow in steps, for bytes that trickle. */
        size_t cap = len <= 256 ? len : (len + 1023) & ~(size_t)1023;
        u = realloc(u, sizeof(*u) + cap);
        if (u == NULL) {
            return false;
        }
        u->cap = (uint32_t)cap;
        *unread = u;
    }
    memcpy(u->bytes + had, bytes.ptr, bytes.len);
    u->start = 0;
    u->end = (uint32_t)len;
    return true;
}

void hf_unread_take(struct unread **unread, size_t n)
{
    struct unread *u = *unread;
    u->start += (uint32_t)n;
    if (u->start == u->end) {
        free(u);
        *unread = NULL;
    }
}

/* Keeps what a handler left of the loop's buffer. */
static bool keep(struct stream *s, size_t had, size_t len, size_t taken)
{
    const uint8_t *buffer = loop_of(s)->buffer;
    if (taken == 0 && s->unread != NULL) {
        return len == had || hf_unread_add(&s->unread, hf_slice(buffer + had, len - had));
    }
    if (s->unread != NULL) {
        free(s->unread);
        s->unread = NULL;
    }
    return taken == len || hf_unread_add(&s->unread, hf_slice(buffer + taken, len - taken));
}

size_t hf_stream_gather(struct stream *s)
{
    struct hf_slice unread = unread_slice(s->unread);
    if (unread.len > 0) {
        memcpy(loop_of(s)->buffer, unread.ptr, unread.len);
    }
    return unread.len;
}

/* Calls on_bytes. False when the stream is gone. */
static bool lend(struct stream *s, struct hf_slice bytes, size_t *taken)
{
    struct loop *loop = loop_of(s);
    s->again = false;
    loop->lender = s;
    loop->lent = bytes;
    *taken = s->head.handler->on_bytes(s->head.owner, &s->head, bytes);
    loop->lender = NULL;
    if (s->state >= STREAM_LINGERING) {
        return false;
    }
    HF_ASSERT(*taken <= bytes.len);
    HF_ASSERT(s->paused || *taken > 0 || bytes.len < HF_STREAM_UNREAD_MAX);
    return true;
}

/* If TLS was started inside on_bytes, what was left are its first records. False then. */
static bool is_same_kind(struct stream *s, const struct stream_tls *before)
{
    if (s->tls == before) {
        return true;
    }
    s->tls->raw = s->unread;
    s->unread = NULL;
    return false;
}

bool hf_stream_offer(struct stream *s, size_t had, size_t len)
{
    const struct stream_tls *before = s->tls;
    size_t taken = 0;
    if (!lend(s, hf_slice(loop_of(s)->buffer, len), &taken)) {
        return false;
    }
    if (!keep(s, had, len, taken)) {
        free(s->unread);
        s->unread = NULL;
        s->end = HF_END_KINDS;
        hf_stream_fail(s, HF_END_ERRNO, ENOMEM);
        hf_stream_ready(s);
    }
    return is_same_kind(s, before);
}

bool hf_stream_offer_again(struct stream *s)
{
    const struct stream_tls *before = s->tls;
    size_t taken = 0;
    /* It is nobody's while it is lent: a handler may close its stream and still read what it was
     * lent. */
    struct unread *lent = s->unread;
    s->unread = NULL;
    if (!lend(s, unread_slice(lent), &taken)) {
        free(lent);
        return false;
    }
    s->unread = lent;
    hf_unread_take(&s->unread, taken);
    return is_same_kind(s, before);
}
