/* SPDX-License-Identifier: Apache-2.0 */
/* Another backend connection for a client that is held because its backend was lost: dials, paced
 * by policy/backoff with jitter, until one succeeds, one is refused for good, or the route's
 * hold.time is over. Used by held relays of plain clients and by hf1 sessions.
 *
 * The first dial starts within 100 ms; the waits grow to hold.backoff_max. What can pass goes on:
 * no connection, no answer, an answer that is no handshake, 408, 425, 429 and 5xx. Any other
 * refusal ends it, and so does a backend that chooses another subprotocol or other extensions. It
 * counts and logs the hold's beginning and end; the ending record is its owner's. */
#ifndef HF_GATEWAY_REDIAL_H
#define HF_GATEWAY_REDIAL_H

#include "gateway/dial.h"
#include "policy/backoff.h"

/* A connection that was lost within this time was no success: waits and hold.time go on as if it
 * had not been there. */
#define HF_REDIAL_STABLE HF_SECONDS(5)

/* A backend that closes with one of these comes back; any other code is its application's word. */
static inline bool hf_close_is_loss(uint16_t code)
{
    return code == HF_CLOSE_GOING_AWAY || code == HF_CLOSE_INTERNAL || code == HF_CLOSE_RESTART ||
           code == HF_CLOSE_TRY_AGAIN;
}

/* What the redials of one client share; zeroed to start. */
struct hf_redial_pace {
    struct hf_backoff backoff;
    hf_time began;    /* the loss from which hold.time runs */
    hf_time replaced; /* when the last redial succeeded; 0: never */
};

/* All of it is borrowed until the report or the cancel. */
struct hf_redial_how {
    struct hf_identity *identity;
    const struct hf_petition *petition; /* a newer token may be set meanwhile */
    struct hf_redial_pace *pace;
    struct hf_slice protocol; /* that the lost one had chosen; empty: none */
    bool deflate;             /* that it had agreed to */
    enum hf_cause lost;       /* how it was lost: for the log */
};

struct hf_redial_result {
    struct hf_stream *stream; /* the taker's; bytes behind the 101 stay with io. NULL: gone */
    uint32_t attempts;        /* that were made */
    /* gone: */
    enum hf_cause cause; /* HF_CAUSE_HOLD_EXPIRED or HF_CAUSE_BACKEND_GONE */
    uint16_t status;     /* of the refusal; 0: none */
    const char *why;     /* a sentence; dies with the report */
};
/* The redial is gone with this call: its owner forgets it first. */
typedef void hf_redialed(void *owner, const struct hf_redial_result *result);

struct hf_redial;
/* One report follows on a later turn, unless it is cancelled. */
HF_MUST_USE enum hf_status hf_redial_start(struct hf_worker *worker,
                                           const struct hf_redial_how *how, hf_redialed *done,
                                           void *owner, struct hf_redial **redial);
/* The client left, or the gateway ends it: no report comes any more. NULL is accepted. */
void hf_redial_cancel(struct hf_redial *redial);

#endif
