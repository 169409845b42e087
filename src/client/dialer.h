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

/* The steps in their order. */
enum hf_dialer_step {
    HF_DIALER_NAME,    /* the look-up; of the proxy where there is one */
    HF_DIALER_CONNECT, /* TCP */
    HF_DIALER_PROXY,   /* the proxy's CONNECT */
    HF_DIALER_TLS,
    HF_DIALER_HEAD, /* the handshake of HTTP */
    HF_DIALER_BODY, /* the answer was none of 101, and its body is read */
};
/* A step was done, and the next begins: NAME (the loop knows the aliases then), CONNECT (address:
 * the one that answered), PROXY, TLS (stream: its certificate can be asked for). The dialer must
 * not be cancelled in it. */
typedef void hf_dialer_stepped(void *owner, enum hf_dialer_step step, struct hf_stream *stream,
                               const struct hf_address *address);

struct hf_dialer_how {
    struct hf_url url;
    struct hf_proxy proxy;
    struct hf_tls *tls;        /* of a wss url */
    struct hf_slice request;   /* the handshake's head */
    struct hf_slice key;       /* Sec-WebSocket-Key in it */
    struct hf_slice protocols; /* Sec-WebSocket-Protocol in it; empty: none */
    hf_time timeout;
    /* What the library leaves out. */
    const struct hf_address *addresses; /* with their ports: no name is looked up; copied */
    size_t address_count;               /* 0: the name is looked up */
    int family;                         /* AF_INET, AF_INET6: of the addresses of a name; 0: all */
    const struct hf_socket_options *options; /* NULL: keepalive and user timeout of the library */
    size_t body_max;            /* this much of a refusal's body is waited for, for a second */
    hf_dialer_stepped *stepped; /* may be NULL */
};

struct hf_dialer_result {
    enum hf_loss loss;          /* HF_LOSS_NONE: it stands */
    struct hf_stream *stream;   /* paused, the taker's; what came behind the head stays with io */
    enum hf_dialer_step step;   /* the one that it came to */
    int error;                  /* errno of a stream that failed; 0: none */
    bool truncated;             /* TLS ended without close_notify */
    const struct hf_head *head; /* of the 101, or of a refusal; dies with the report */
    struct hf_slice body;       /* of a refusal, when body_max is set; dies with the report */
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
