/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt to get a WebSocket: the name, the addresses, the proxy, TLS, the handshake. Over io.h
 * alone. */
#ifndef HF_CLIENT_DIALER_H
#define HF_CLIENT_DIALER_H

#include "base/buffer.h"
#include "client/cause.h"
#include "client/proxy.h"
#include "http/head.h"
#include "io/io.h"

#define HF_DIALER_ADDRESSES 8
/* A next address is tried beside one that does not answer for this long (RFC 8305 5). */
#define HF_DIALER_STAGGER HF_MS(250)
/* A look-up that the loop did not take is asked for again after this. */
#define HF_DIALER_AGAIN HF_MS(20)

struct hf_dialer;

struct hf_dialer_how {
    struct hf_url url;
    struct hf_proxy proxy;
    struct hf_tls *tls;        /* of a wss url */
    struct hf_slice request;   /* the handshake's head */
    struct hf_slice key;       /* Sec-WebSocket-Key in it */
    struct hf_slice protocols; /* Sec-WebSocket-Protocol in it; empty: none */
    hf_time timeout;
};

struct hf_dialer_result {
    enum hf_loss loss;          /* HF_LOSS_NONE: it stands */
    struct hf_stream *stream;   /* paused, the taker's; what came behind the head stays with io */
    const struct hf_head *head; /* of the 101; dies with the report */
    uint16_t http;              /* status of a refusal, 0: none */
    int64_t retry_ms;           /* Retry-After; 0: none */
    const char *why;            /* for people; dies with the report */
};
/* Once, on a later turn than the start. The dialer is gone. */
typedef void hf_dialer_done(void *owner, const struct hf_dialer_result *result);

/* Copies what it needs. NULL: no memory. */
struct hf_dialer *hf_dialer_start(struct hf_loop *loop, const struct hf_dialer_how *how,
                                  hf_dialer_done *done, void *owner);
/* No report comes. NULL is accepted. */
void hf_dialer_cancel(struct hf_dialer *d);

#endif
