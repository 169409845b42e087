/* SPDX-License-Identifier: Apache-2.0 */
/* How streams come to a loop and leave it other than by a listener: connecting, release, adopt. */
#include "io/loop.h"
#include "io/tls_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* The result of connect(2): errno, 0 for a connection that stands, EINPROGRESS. */
static int begin_connect(int fd, const struct hf_address *address)
{
    while (connect(fd, &address->u.any, address->len) != 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

enum hf_status hf_stream_connect(struct hf_loop *loop, const struct hf_connect *how,
                                 const struct hf_stream_handler *handler, void *owner,
                                 struct hf_stream **stream)
{
    int fd = -1;
    *stream = NULL;
    enum hf_status status = hf_socket_open(&how->address, &how->options, &fd);
    if (status != HF_OK) {
        return status;
    }
    struct stream *s = hf_stream_make(HF_CONTAINER(loop, struct loop, head), fd);
    if (s == NULL) {
        close(fd);
        return HF_NO_MEMORY;
    }
    s->local = how->address.u.any.sa_family == AF_UNIX;
    s->head.handler = handler;
    s->head.owner = owner;
    if (how->tls.tls != NULL) {
        status = hf_tls_attach(s, &how->tls);
    }
    int error = status == HF_OK ? begin_connect(fd, &how->address) : 0;
    if (error != 0 && error != EINPROGRESS) {
        hf_stream_fail(s, hf_end_of_errno(error, true), error);
        hf_stream_ready(s);
    } else if (status == HF_OK) {
        status = hf_stream_watch(s) ? HF_OK : HF_NO_MEMORY;
        if (error == 0) {
            hf_stream_become(s, STREAM_OPENING);
            hf_stream_ready(s);
        }
    }
    if (status != HF_OK) {
        hf_stream_kill(s);
        return status;
    }
    *stream = &s->head;
    return HF_OK;
}

struct hf_parcel *hf_socket_release(struct hf_stream *stream)
{
    struct stream *s = (struct stream *)stream;
    struct loop *loop = loop_of(s);
    struct hf_parcel *parcel = malloc(sizeof(*parcel));
    if (parcel == NULL) {
        return NULL;
    }
    if (loop->lender == s) {
        /* Inside on_bytes nothing is taken yet: all that was lent travels. */
        struct unread *all = NULL;
        if (!hf_unread_add(&all, loop->lent)) {
            free(parcel);
            return NULL;
        }
        free(s->unread);
        s->unread = all;
    }
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, s->fd, NULL);
    struct stream *p = &parcel->stream;
    *p = *s;
    p->head.loop = NULL;
    p->ready = false;
    p->paused = true;
    hf_list_init(&p->node);
    s->fd = -1;
    s->tls = NULL;
    s->unread = NULL;
    hf_stream_kill(s);
    return parcel;
}

void hf_parcel_drop(struct hf_parcel *parcel)
{
    if (parcel != NULL) {
        hf_stream_free(&parcel->stream);
    }
}

enum hf_status hf_stream_adopt(struct hf_loop *head, struct hf_parcel *parcel,
                               const struct hf_stream_handler *handler, void *owner,
                               struct hf_stream **stream)
{
    struct loop *loop = HF_CONTAINER(head, struct loop, head);
    struct stream *s = &parcel->stream;
    *stream = NULL;
    s->head.loop = head;
    s->short_turn = UINT64_MAX; /* of another loop's turns: no event is stale */
    enum hf_status status = s->tls == NULL ? HF_OK : hf_tls_move(s);
    if (status == HF_OK && !hf_stream_watch(s)) {
        status = HF_NO_MEMORY;
    }
    if (status != HF_OK) {
        s->head.loop = NULL;
        return status;
    }
    s->head.handler = handler;
    s->head.owner = owner;
    hf_list_append(&loop->idle, &s->node);
    if (s->state != STREAM_OPEN && s->state != STREAM_ENDED) {
        hf_stream_ready(s);
    }
    *stream = &s->head;
    return HF_OK;
}
