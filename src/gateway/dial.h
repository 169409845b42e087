/* SPDX-License-Identifier: Apache-2.0 */
/* Getting a WebSocket to a backend: which one, the connection, the request, its answer. Used by the
 * opening of a plain client, by the opening of an hf1 session, and when a held client gets another
 * backend connection.
 *
 * A dial owns what it needs and reports exactly once, on a later turn than its start, unless it is
 * cancelled. It makes no ending record: its owner does. */
#ifndef HF_GATEWAY_DIAL_H
#define HF_GATEWAY_DIAL_H

#include "gateway/petition.h"
#include "gateway/worker.h"
#include "ws/extension.h"

#define HF_REFUSAL_BODY_MAX 65536 /* of a backend's refusal; what is beyond it is left out */

/* All slices and `why` die with the report. */
struct hf_dial_result {
    enum hf_dial_outcome {
        HF_DIAL_OPEN,    /* `stream` is the taker's; bytes behind the 101 stay with io */
        HF_DIAL_REFUSED, /* the backend's own answer: status, head and body, for the client */
        HF_DIAL_FAILED,  /* cause, status and why say it */
    } outcome;
    struct hf_stream *stream;
    struct hf_deflate deflate;
    struct hf_slice protocol;    /* that the backend chose; empty: none */
    struct hf_slice answer_head; /* OPEN: the 101 for a client whose key was passed on (none with
                                    own_key); REFUSED: the head without Content-Length and the
                                    empty line */
    struct hf_slice body;        /* REFUSED */
    uint16_t status;
    enum hf_cause cause;
    const char *why;
};
/* The dial is gone with this call: its owner forgets it first. */
typedef void hf_dialed(void *owner, const struct hf_dial_result *result);

struct hf_dial;
/* The size of one, for the worker's pool. */
size_t hf_dial_size(void);
/* identity: its backend is set by the dial. Identity and petition are borrowed until the report or
 * the cancel. own_key: a key of the gateway's own is sent in place of the client's, and no head of
 * a 101 is made. */
HF_MUST_USE enum hf_status hf_dial_start(struct hf_worker *worker, struct hf_identity *identity,
                                         const struct hf_petition *petition, bool own_key,
                                         hf_dialed *done, void *owner, struct hf_dial **dial);
/* No backend is tried twice: for who comes back by himself. */
void hf_dial_each_once(struct hf_dial *dial);
/* No report comes any more. NULL is accepted. */
void hf_dial_cancel(struct hf_dial *dial);

#endif
