/* SPDX-License-Identifier: Apache-2.0 */
/* What a TLS stream has beyond a plain one, for the files of src/io. */
#ifndef HF_IO_TLS_STREAM_H
#define HF_IO_TLS_STREAM_H

#include "io/loop.h"
#include "io/tls.h"

#include <openssl/ssl.h>

struct stream_tls {
    struct stream *stream;
    SSL *ssl;
    struct hf_tls *context; /* a reference */
    struct unread *raw;     /* records that came and were not read yet */
    struct unread
        *out; /* records that the socket did not take; sends take nothing while there are any */
    bool notify_sent;
    bool shut_due; /* FIN is due behind out */
    char *detail;  /* of a failure; NULL when there was no memory for it */
    struct hf_timer linger;
};

/* Buffers for all TLS streams of a loop. */
struct tls_room {
    struct stream *reader; /* the stream whose records are in `in`; only it may receive */
    size_t budget;         /* bytes it may still receive in this go */
    uint32_t in_taken;
    uint32_t in_len;
    struct stream *gatherer; /* its records are put to `out` instead of being sent one by one */
    uint32_t out_len;
    /* On a page of its own, like the loop's buffer. */
    _Alignas(4096) uint8_t in[HF_STREAM_UNREAD_MAX];
    uint8_t out[2 * (16384 + 512)];
    uint8_t joined[16384]; /* small parts of one send become one record */
};

/* tls.c: not-after in ms since 1970; 0 when it cannot be read. */
int64_t hf_tls_not_after(const X509 *certificate);
/* tls.c: a new SSL for this side. HF_INVALID when the name cannot be a host's. */
enum hf_status hf_tls_session_new(const struct hf_tls_how *how, SSL **session);

/* ---- tls_record.c ---- */
BIO *hf_tls_bio_new(struct stream_tls *tls);
/* Sends records, in their order; what the socket does not take waits. False when too much waits. */
bool hf_tls_put_out(struct stream *s, struct hf_slice bytes);
/* The socket has room. True when all that waited is sent. */
bool hf_tls_flush(struct stream *s);

/* ---- tls_stream.c ---- */
/* Attaches TLS to a stream that has none: no byte moves. */
enum hf_status hf_tls_attach(struct stream *s, const struct hf_tls_how *how);
enum hf_status hf_tls_start(struct hf_stream *stream, const struct hf_tls_how *how);
void hf_tls_work(struct stream *s);
/* Its owner closed the stream; true when it lingers to send what was taken. */
bool hf_tls_lingers(struct stream *s);
void hf_tls_linger_event(struct stream *s, uint32_t events);
void hf_tls_free(struct stream_tls *tls);
/* Whether bytes may come without an event. */
bool hf_tls_has_more(const struct stream_tls *tls);
const char *hf_tls_detail(const struct stream_tls *tls);
/* The stream has moved to another loop. */
enum hf_status hf_tls_move(struct stream *s);
void hf_tls_progress(const struct stream *s, struct hf_progress *progress);

static inline struct tls_room *room_of(struct stream *s)
{
    return loop_of(s)->tls;
}

extern const struct hf_stream_ops hf_tls_ops;

#endif
