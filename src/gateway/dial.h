/* SPDX-License-Identifier: Apache-2.0 */
/* Getting a WebSocket to a backend: which one, the connection, the request, its answer. Used by the
 * opening of a plain client, by the opening of an hf1 session, and when a held client gets another
 * backend connection.
 *
 * A dial owns what it needs and reports exactly once, on a later turn than its start, unless it is
 * cancelled. It makes no ending record: its owner does. */
#ifndef HF_GATEWAY_DIAL_H
#define HF_GATEWAY_DIAL_H

#include "gateway/worker.h"
#include "ws/extension.h"

/* What the request to the backend is made from: the client's head and what admission found out. One
 * block; it outlives the opening when a session or a held relay keeps it. */
struct hf_petition;
/* Bytes of memory it takes, for the books of what `hold` costs. */
size_t hf_petition_bytes(const struct hf_petition *p);
void hf_petition_free(struct hf_petition *p);

struct hf_dial_result {
    enum hf_dial_outcome {
        HF_DIAL_OPEN,    /* `stream` is the taker's; bytes behind the 101 stay with io */
        HF_DIAL_REFUSED, /* the backend's own answer: status, head and body, for the client */
        HF_DIAL_FAILED,  /* cause, status and why say it */
    } outcome;
    struct hf_stream *stream;
    struct hf_deflate deflate;
    struct hf_slice protocol;    /* that the backend chose; empty: none. Borrowed */
    struct hf_slice answer_head; /* OPEN: 101 head for a plain client whose key was passed on;
                                    REFUSED: the head without Content-Length and the empty line */
    struct hf_slice body;        /* REFUSED */
    uint16_t status;
    enum hf_cause cause;
    const char *why;
};
typedef void hf_dialed(void *owner, const struct hf_dial_result *result);

struct hf_dial;
/* identity: its backend is set by the dial. The petition is borrowed until the report or the
 * cancel. own_key: a key of the gateway's own is sent in place of the client's (no 101 is to be
 * passed on). */
HF_MUST_USE enum hf_status hf_dial_start(struct hf_worker *worker, struct hf_identity *identity,
                                         const struct hf_petition *petition, bool own_key,
                                         hf_dialed *done, void *owner, struct hf_dial **dial);
/* No report comes any more. NULL is accepted. */
void hf_dial_cancel(struct hf_dial *dial);

#endif
