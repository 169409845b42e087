/* SPDX-License-Identifier: Apache-2.0 */
/* A petition: what the request to a backend is made from, that is, the client's head and what
 * admission found out about it. The opening's own borrows from the opening; whoever outlives the
 * opening (an hf1 session, a relay that is held) keeps a copy of his own. */
#ifndef HF_GATEWAY_PETITION_H
#define HF_GATEWAY_PETITION_H

#include "gateway/worker.h"

struct hf_petition {
    const struct hf_head *head;
    struct hf_slice path;      /* normalised */
    struct hf_slice protocols; /* that are offered; empty: none */
    struct hf_slice offers;    /* of extensions; empty: none */
    struct hf_slice extra;     /* header lines from the call-out */
    struct hf_slice token;     /* newer than the one in the head; ptr NULL: none */
    struct hf_slice answer;    /* header lines of the call-out about it, in place of extra */
    size_t bytes;              /* of a copy's block; 0: it borrows */
    uint8_t peer[16];          /* the client as believed */
    uint8_t front[16];         /* the trusted proxy that named it, when behind_proxy */
    bool tls;                  /* the client came over TLS */
    bool behind_proxy;
    bool front_trusted; /* its connection came from a trusted address */
};

/* A copy of its own, in one block. NULL on no memory. */
struct hf_petition *hf_petition_new(const struct hf_petition *from);
/* A copy and its newer token; NULL is accepted. */
void hf_petition_free(struct hf_petition *p);
/* Bytes of memory a copy takes, for the books of what keeping it costs. */
size_t hf_petition_bytes(const struct hf_petition *p);
/* Only for a copy. From now on the request carries this token wherever the client's one stands that
 * the route's jwt.from names: query, Authorization, cookie. (A token in a subprotocol never goes
 * on.) On a route with a call-out it goes as Authorization Bearer, and `answer`, the header lines
 * that the call-out gave for it, goes in place of those before. Both are copied. */
HF_MUST_USE enum hf_status hf_petition_set_token(struct hf_petition *p, struct hf_slice token,
                                                 struct hf_slice answer);
/* Writes the whole request for the backend that the identity has. key: the Sec-WebSocket-Key.
 * `out->failed` says whether it fitted. */
void hf_petition_write(const struct hf_petition *p, const struct hf_identity *identity,
                       struct hf_slice key, struct hf_buffer *out);

#endif
