/* SPDX-License-Identifier: Apache-2.0 */
/* Records on their way between OpenSSL and the socket: the BIO of a TLS stream. */
#include "io/tls_stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Only answers to a peer that asks again and again and does not read can come to so much. */
#define OUT_MAX 131072

/* Sends what the socket takes now. */
static size_t send_now(struct stream *s, struct hf_slice bytes)
{
    ssize_t n;
    do {
        n = send(s->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) {
        hf_stream_break(s, errno);
    }
    return n < 0 ? 0 : (size_t)n;
}

bool hf_tls_put_out(struct stream *s, struct hf_slice bytes)
{
    struct stream_tls *tls = s->tls;
    if (!s->flush) {
        bytes = hf_slice_from(bytes, send_now(s, bytes));
    }
    if (bytes.len == 0 || s->broken) {
        return true;
    }
    if ((s->flush && unread_slice(tls->out).len + bytes.len > OUT_MAX) ||
        !hf_unread_add(&tls->out, bytes)) {
        return false;
    }
    if (!s->flush) {
        s->flush = true;
        s->short_turn = loop_of(s)->turn;
    }
    return true;
}

bool hf_tls_flush(struct stream *s)
{
    struct stream_tls *tls = s->tls;
    hf_unread_take(&tls->out, send_now(s, unread_slice(tls->out)));
    if (!s->broken && tls->out != NULL) {
        s->short_turn = loop_of(s)->turn;
        return false;
    }
    free(tls->out);
    tls->out = NULL;
    s->flush = false;
    if (tls->shut_due && !s->broken) {
        shutdown(s->fd, SHUT_WR);
    }
    return true;
}

static int bio_write(BIO *bio, const char *data, int len)
{
    struct stream *s = ((struct stream_tls *)BIO_get_data(bio))->stream;
    struct tls_room *room = room_of(s);
    BIO_clear_retry_flags(bio);
    if (s->broken || len <= 0) {
        /* The end is told where reading meets it; OpenSSL must stay able to read until then. */
        return len;
    }
    if (room->gatherer == s) {
        if ((size_t)len <= sizeof(room->out) - room->out_len) {
            memcpy(room->out + room->out_len, data, (size_t)len);
            room->out_len += (uint32_t)len;
            return len;
        }
        room->gatherer = NULL;
        if (!hf_tls_put_out(s, hf_slice(room->out, room->out_len))) {
            return -1;
        }
    }
    return hf_tls_put_out(s, hf_slice(data, (size_t)len)) ? len : -1;
}

static size_t take_in(struct hf_slice from, char *out, int len)
{
    struct hf_slice part = hf_slice_first(from, (size_t)len);
    memcpy(out, part.ptr, part.len);
    return part.len;
}

static int bio_read(BIO *bio, char *out, int len)
{
    struct stream_tls *tls = BIO_get_data(bio);
    struct stream *s = tls->stream;
    struct tls_room *room = room_of(s);
    BIO_clear_retry_flags(bio);
    if (tls->raw != NULL) {
        size_t n = take_in(unread_slice(tls->raw), out, len);
        hf_unread_take(&tls->raw, n);
        return (int)n;
    }
    if (room->reader == s && room->in_taken == room->in_len && s->readable && room->budget > 0) {
        room->in_taken = 0;
        room->in_len = (uint32_t)hf_stream_receive(s, room->in, room->budget);
        room->budget -= room->in_len;
    }
    if (room->reader == s && room->in_taken < room->in_len) {
        size_t n =
            take_in(hf_slice(room->in + room->in_taken, room->in_len - room->in_taken), out, len);
        room->in_taken += (uint32_t)n;
        return (int)n;
    }
    if (s->end == HF_END_KINDS) {
        BIO_set_retry_read(bio);
    }
    return s->end == HF_END_FIN ? 0 : -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    const struct stream_tls *tls = BIO_get_data(bio);
    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_EOF:
        return tls != NULL && tls->stream->end == HF_END_FIN;
    default:
        return 0;
    }
}

static BIO_METHOD *bio_method;

/* Lives as long as the process. */
static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "holdfast stream");
    if (bio_method != NULL) {
        BIO_meth_set_read(bio_method, bio_read);
        BIO_meth_set_write(bio_method, bio_write);
        BIO_meth_set_ctrl(bio_method, bio_ctrl);
    }
}

BIO *hf_tls_bio_new(struct stream_tls *tls)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_bio_method);
    BIO *bio = bio_method == NULL ? NULL : BIO_new(bio_method);
    if (bio != NULL) {
        BIO_set_data(bio, tls);
        BIO_set_init(bio, 1);
    }
    return bio;
}
