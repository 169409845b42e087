/* SPDX-License-Identifier: Apache-2.0 */
/* TLS over a stream: OpenSSL between the stream's socket and its handler.
 *
 * Reading. The socket is read into a buffer of the loop's, a full one at a time and, like a plain
 * stream, not again after a short receive; OpenSSL takes its records from there, and several of
 * them are gathered before one on_bytes. Outside hf_tls_work that buffer is empty: what could not
 * be read yet moves to `raw`.
 *
 * Writing. OpenSSL never meets a full socket: a record that was made but not sent whole waits in
 * `out`, and until it is gone sends take nothing. So at most two records' bytes were taken and not
 * sent. */
#include "io/tls_stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_MAX 16384 /* RFC 8446 5.1 */
#define LINGER HF_SECONDS(30)
#define DRAIN_MAX 131072

/* ---- failures -----------------------------------------------------------------------------------
 */

static void set_detail(struct stream_tls *tls, const char *before, const char *what)
{
    if (tls->detail == NULL && asprintf(&tls->detail, "%s%s", before, what) < 0) {
        tls->detail = NULL;
    }
}

const char *hf_tls_detail(const struct stream_tls *tls)
{
    return tls != NULL && tls->detail != NULL ? tls->detail : "TLS failed";
}

/* The words for what OpenSSL has on its list of errors. */
static void set_detail_from_ssl(struct stream_tls *tls)
{
    unsigned long error = ERR_peek_error();
    const char *reason = ERR_reason_error_string(error);
    long verified = SSL_get_verify_result(tls->ssl);
    if (ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK) {
        set_detail(tls, "certificate verify failed: ", X509_verify_cert_error_string(verified));
    } else if (ERR_GET_REASON(error) >= SSL_AD_REASON_OFFSET && reason != NULL) {
        set_detail(tls, "the peer refused: ", reason);
    } else {
        set_detail(tls, "", reason != NULL ? reason : "a record could not be made");
    }
}

/* Turns OpenSSL's refusal into the stream's end. False when it only wants more bytes. */
static bool fail_from_ssl(struct stream *s, int result)
{
    struct stream_tls *tls = s->tls;
    int why = SSL_get_error(tls->ssl, result);
    if (why == SSL_ERROR_WANT_READ) {
        return false;
    }
    if (why == SSL_ERROR_ZERO_RETURN && s->state == STREAM_OPEN) {
        hf_stream_fail(s, HF_END_TLS_NOTIFY, 0);
    } else if (s->end == HF_END_FIN || why == SSL_ERROR_ZERO_RETURN) {
        set_detail(tls, "", "the peer closed the connection during the TLS handshake");
        s->end = (uint8_t)(s->state == STREAM_OPEN ? HF_END_TLS_TRUNCATED : HF_END_TLS_FAILED);
        s->broken = true;
    } else if (s->end == HF_END_KINDS) {
        set_detail_from_ssl(tls);
        hf_stream_fail(s, HF_END_TLS_FAILED, 0);
    }
    ERR_clear_error();
    return true;
}

/* ---- life ---------------------------------------------------------------------------------------
 */

static void linger_over(struct hf_timer *timer, hf_time now)
{
    hf_stream_kill(HF_CONTAINER(timer, struct stream_tls, linger)->stream);
}

static enum hf_status room_make(struct loop *loop)
{
    if (loop->tls == NULL) {
        /* Not zeroed: pages that are not used stay with the kernel. */
        loop->tls = aligned_alloc(_Alignof(struct tls_room), sizeof(*loop->tls));
        if (loop->tls == NULL) {
            return HF_NO_MEMORY;
        }
        memset(loop->tls, 0, offsetof(struct tls_room, in));
    }
    return HF_OK;
}

enum hf_status hf_tls_attach(struct stream *s, const struct hf_tls_how *how)
{
    HF_ASSERT(s->tls == NULL);
    enum hf_status status = room_make(loop_of(s));
    if (status != HF_OK) {
        return status;
    }
    struct stream_tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL) {
        return HF_NO_MEMORY;
    }
    tls->stream = s;
    hf_timer_init(&tls->linger, linger_over);
    status = hf_tls_session_new(how, &tls->ssl);
    BIO *bio = status == HF_OK ? hf_tls_bio_new(tls) : NULL;
    if (bio == NULL) {
        hf_tls_free(tls);
        return status == HF_OK ? HF_NO_MEMORY : status;
    }
    SSL_set_bio(tls->ssl, bio, bio);
    tls->context = hf_tls_ref(how->tls);
    s->tls = tls;
    s->head.ops = &hf_tls_ops;
    return HF_OK;
}

int64_t hf_tls_peer_expires(const struct hf_stream *stream)
{
    const struct stream *s = (const struct stream *)stream;
    const X509 *certificate =
        stream->ops == &hf_tls_ops ? SSL_get0_peer_certificate(s->tls->ssl) : NULL;
    return certificate == NULL ? 0 : hf_tls_not_after(certificate);
}

enum hf_status hf_tls_start(struct hf_stream *stream, const struct hf_tls_how *how)
{
    struct stream *s = (struct stream *)stream;
    if (s->state != STREAM_OPEN || s->tls != NULL) {
        return HF_INVALID;
    }
    enum hf_status status = hf_tls_attach(s, how);
    if (status != HF_OK) {
        return status;
    }
    hf_stream_become(s, STREAM_HANDSHAKE);
    s->told_open = false;
    s->again = false;
    if (loop_of(s)->lender != s) {
        s->tls->raw = s->unread;
        s->unread = NULL;
    }
    hf_stream_ready(s);
    return HF_OK;
}

void hf_tls_free(struct stream_tls *tls)
{
    if (tls != NULL) {
        SSL_free(tls->ssl);
        hf_tls_unref(tls->context);
        free(tls->raw);
        free(tls->out);
        free(tls->detail);
        free(tls);
    }
}

enum hf_status hf_tls_move(struct stream *s)
{
    enum hf_status status = room_make(loop_of(s));
    if (status == HF_OK) {
        s->tls->stream = s;
    }
    return status;
}

/* ---- reading ------------------------------------------------------------------------------------
 */

bool hf_tls_has_more(const struct stream_tls *tls)
{
    return tls->raw != NULL || SSL_pending(tls->ssl) > 0;
}

static void begin_reading(struct stream *s, size_t budget)
{
    struct tls_room *room = room_of(s);
    room->reader = s;
    room->budget = budget;
    room->in_taken = 0;
    room->in_len = 0;
}

/* Before any callback: what is left of the loop's buffer goes with the stream. */
static void end_reading(struct stream *s)
{
    struct tls_room *room = room_of(s);
    room->reader = NULL;
    struct hf_slice left = hf_slice(room->in + room->in_taken, room->in_len - room->in_taken);
    if (left.len > 0 && !hf_unread_add(&s->tls->raw, left)) {
        hf_stream_fail(s, HF_END_ERRNO, ENOMEM);
    }
}

/* RFC 8446 6.1: close_notify comes before the end of our direction. */
static void notify_end(struct stream *s)
{
    struct stream_tls *tls = s->tls;
    if (!tls->notify_sent && !s->broken) {
        tls->notify_sent = true;
        ERR_clear_error();
        SSL_shutdown(tls->ssl);
        ERR_clear_error();
    }
}

/* FIN behind the records that wait. */
static void end_direction(struct stream *s)
{
    if (s->flush) {
        s->tls->shut_due = true;
    } else {
        shutdown(s->fd, SHUT_WR);
    }
}

/* True when the stream is open and may be read on. */
static bool work_handshake(struct stream *s)
{
    begin_reading(s, HF_STREAM_UNREAD_MAX);
    ERR_clear_error();
    int result = SSL_do_handshake(s->tls->ssl);
    bool failed = result != 1 && fail_from_ssl(s, result);
    end_reading(s);
    if (failed || s->end != HF_END_KINDS) {
        hf_stream_report_end(s);
        return false;
    }
    if (result != 1) {
        if (s->readable) {
            hf_stream_ready(s);
        }
        return false;
    }
    if (!hf_stream_report_open(s)) {
        return false;
    }
    if (s->shut && !s->tls->notify_sent) {
        notify_end(s);
        end_direction(s);
    }
    return true;
}

/* Fills the loop's buffer behind the unread bytes with what can be decrypted; returns its length.
 */
static size_t read_records(struct stream *s, size_t had)
{
    uint8_t *buffer = loop_of(s)->buffer;
    SSL *ssl = s->tls->ssl;
    size_t len = had;
    begin_reading(s, HF_STREAM_UNREAD_MAX - had);
    while (len < HF_STREAM_UNREAD_MAX && s->end == HF_END_KINDS) {
        size_t n = 0;
        ERR_clear_error();
        int result = SSL_read_ex(ssl, buffer + len, HF_STREAM_UNREAD_MAX - len, &n);
        if (result != 1) {
            fail_from_ssl(s, result);
            break;
        }
        len += n;
        const struct tls_room *room = room_of(s);
        if (!s->readable && room->in_taken == room->in_len && !hf_tls_has_more(s->tls)) {
            break;
        }
    }
    end_reading(s);
    return len;
}

void hf_tls_work(struct stream *s)
{
    if (s->state == STREAM_HANDSHAKE && !work_handshake(s)) {
        return;
    }
    if (s->state != STREAM_OPEN || s->paused) {
        return;
    }
    if (may_offer_again(s) && (!hf_stream_offer_again(s) || s->paused)) {
        return;
    }
    size_t had = hf_stream_gather(s);
    size_t len = read_records(s, had);
    bool ended = s->end != HF_END_KINDS;
    if (len > had || (had > 0 && (s->again || ended))) {
        if (!hf_stream_offer(s, had, len)) {
            return;
        }
    }
    if (s->end != HF_END_KINDS) {
        hf_stream_end_if_taken(s);
    } else if (!s->paused && (s->readable || hf_tls_has_more(s->tls))) {
        hf_stream_ready(s);
    }
}

/* ---- writing ------------------------------------------------------------------------------------
 */

struct cursor {
    const struct hf_slice *parts;
    size_t count;
    struct hf_slice part; /* what is left of the first */
};

static void skip_empty(struct cursor *c)
{
    while (c->part.len == 0 && c->count > 1) {
        c->parts++;
        c->count--;
        c->part = c->parts[0];
    }
}

/* The bytes of the next record. Small parts are joined, so that a frame's head and payload are one.
 */
static struct hf_slice next_record(struct cursor *c, uint8_t *joined)
{
    skip_empty(c);
    if (c->part.len >= RECORD_MAX || c->count == 1) {
        struct hf_slice whole = hf_slice_first(c->part, RECORD_MAX);
        c->part = hf_slice_from(c->part, whole.len);
        return whole;
    }
    size_t len = 0;
    while (len < RECORD_MAX && c->part.len > 0) {
        struct hf_slice piece = hf_slice_first(c->part, RECORD_MAX - len);
        memcpy(joined + len, piece.ptr, piece.len);
        len += piece.len;
        c->part = hf_slice_from(c->part, piece.len);
        skip_empty(c);
    }
    return hf_slice(joined, len);
}

static bool write_record(struct stream *s, struct hf_slice bytes)
{
    size_t n = 0;
    ERR_clear_error();
    int result = SSL_write_ex(s->tls->ssl, bytes.ptr, bytes.len, &n);
    if (result == 1 && n == bytes.len) {
        return true;
    }
    set_detail_from_ssl(s->tls);
    ERR_clear_error();
    hf_stream_fail(s, HF_END_TLS_FAILED, 0);
    hf_stream_ready(s);
    return false;
}

/* Makes up to two records and sends them with one call. Returns the bytes in them. */
static size_t send_records(struct stream *s, struct cursor *c, size_t left)
{
    struct tls_room *room = room_of(s);
    size_t taken = 0;
    room->out_len = 0;
    room->gatherer = left > RECORD_MAX ? s : NULL;
    for (int i = 0; i < 2 && taken < left && !s->broken; i++) {
        struct hf_slice bytes = next_record(c, room->joined);
        if (!write_record(s, bytes)) {
            break;
        }
        taken += bytes.len;
    }
    if (room->gatherer == s) {
        room->gatherer = NULL;
        if (!hf_tls_put_out(s, hf_slice(room->out, room->out_len))) {
            hf_stream_break(s, ENOMEM);
        }
    }
    return taken;
}

static size_t tls_send(struct hf_stream *stream, const struct hf_slice *parts, size_t count)
{
    struct stream *s = (struct stream *)stream;
    struct cursor c = {parts, count, parts[0]};
    size_t total = 0;
    size_t taken = 0;
    for (size_t i = 0; i < count; i++) {
        total += parts[i].len;
    }
    if (total == 0 || !hf_stream_can_send(s)) {
        return 0;
    }
    while (taken < total && !s->flush && !s->broken) {
        taken += send_records(s, &c, total - taken);
    }
    if (taken < total && !s->broken) {
        /* Not hf_stream_want_write: this send may not have met the socket, so an event of this turn
         * that says it is writable is to be believed. */
        s->want_write = true;
    }
    return taken;
}

static void tls_shut(struct hf_stream *stream)
{
    struct stream *s = (struct stream *)stream;
    if (s->shut) {
        return;
    }
    s->shut = true;
    s->want_write = false;
    if (s->state == STREAM_OPEN || s->state == STREAM_ENDED) {
        notify_end(s);
        end_direction(s);
    }
}

/* ---- closing ------------------------------------------------------------------------------------
 */

/* Throws away what came. A session ticket that its owner never hears of would otherwise wait
 * unread, and TCP answers a close with unread bytes by a reset, which destroys what was sent. */
static void drain(struct stream *s)
{
    ssize_t n;
    size_t some = 0;
    do {
        /* With MSG_TRUNC TCP copies nothing (tcp(7)). */
        n = recv(s->fd, room_of(s)->in, sizeof(room_of(s)->in), MSG_TRUNC);
        some += n > 0 ? (size_t)n : 0;
    } while (n > 0 && some < DRAIN_MAX);
}

bool hf_tls_lingers(struct stream *s)
{
    if (s->state >= STREAM_HANDSHAKE && !s->broken) {
        drain(s);
    }
    if (s->state == STREAM_OPEN || s->state == STREAM_ENDED) {
        notify_end(s);
    }
    if (!s->flush || s->broken || s->state < STREAM_HANDSHAKE) {
        return false;
    }
    hf_stream_become(s, STREAM_LINGERING);
    free(s->unread);
    s->unread = NULL;
    hf_timer_set(s->head.loop, &s->tls->linger, s->head.loop->now + LINGER);
    return true;
}

void hf_tls_linger_event(struct stream *s, uint32_t events)
{
    bool gone = (events & (EPOLLERR | EPOLLHUP)) != 0;
    if ((events & EPOLLIN) != 0) {
        drain(s);
    }
    if (gone || ((events & EPOLLOUT) != 0 && hf_tls_flush(s)) || s->broken) {
        hf_stream_kill(s);
    }
}

void hf_tls_progress(const struct stream *s, struct hf_progress *progress)
{
    const struct stream_tls *tls = s->tls;
    if (tls->out != NULL) {
        progress->unsent += unread_slice(tls->out).len;
        progress->unacked += unread_slice(tls->out).len;
    }
    if (tls->raw != NULL) {
        progress->unread += unread_slice(tls->raw).len;
    }
    progress->unread += (uint64_t)SSL_pending(tls->ssl);
}

const struct hf_stream_ops hf_tls_ops = {
    .send = tls_send,
    .pause = hf_socket_pause,
    .resume = hf_socket_resume,
    .shut = tls_shut,
    .close = hf_socket_close,
    .abort = hf_socket_abort,
    .progress = hf_socket_progress,
    .start_tls = hf_tls_start,
    .release = hf_socket_release,
};
