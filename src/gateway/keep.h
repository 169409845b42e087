/* SPDX-License-Identifier: Apache-2.0 */
/* A keep: one hf1 session of a worker, with its backend connection, its journal and queue, and the
 * client's connection it has at the moment, or none (docs/protocol.md).
 *
 * It is opened by an admitted opening, attached to by later ones, parked when its connection is
 * lost, and ended by a goodbye, by its backend, by a limit or by its window. */
#ifndef HF_GATEWAY_KEEP_H
#define HF_GATEWAY_KEEP_H

#include "gateway/attachment.h"
#include "gateway/dial.h"
#include "session/offer.h"

struct hf_keep;

/* ---- for openings and transports --------------------------------------------------------------
 */

/* What an admitted client brings. */
struct hf_arrival {
    const struct hf_offer *offer;
    struct hf_identity *identity;       /* taken over on success */
    const struct hf_petition *petition; /* borrowed for the call */
    struct hf_attachment *attachment;
    bool over_limit; /* a limit on connections lets it in only in place of another: it gets no new
                        session */
    bool gaps;       /* an EventSource by hand: messages that are gone are told by the control `gap`
                        instead of refusing the resume */
};
/* Decides: a new session, a join or a resume. Whatever it decides the client hears from the keep
 * (hello, replay, or end), at once or when the backend has answered; the attachment's `keep` is
 * set. On HF_NO_MEMORY nothing was taken over. */
HF_MUST_USE enum hf_status hf_keep_arrive(struct hf_worker *worker,
                                          const struct hf_arrival *arrival);

/* By HF-Key: the session of this worker, or NULL. *reason (when not NULL) says why: "unknown" or
 * what its tombstone says. */
struct hf_keep *hf_keep_find(struct hf_worker *worker, const struct hf_token *key,
                             const char **reason);
/* The body of a POST for the session begins to come. False: too many come already. */
bool hf_keep_begin_body(struct hf_keep *k);
void hf_keep_end_body(struct hf_keep *k);
/* The offer names a session of this worker, with its secret: the connection will take the place of
 * another, so a limit on connections does not count it. */
bool hf_keep_replaces(struct hf_worker *worker, const struct hf_offer *offer);
/* Tokens name a worker in one byte: those beyond have no sessions. */
#define HF_KEEP_WORKERS 256
/* The worker that owns a session, from its token or key; and the one that an opening secret falls
 * to. NULL: no worker of this process. */
struct hf_worker *hf_keep_owner(struct hf_gateway *gateway, const struct hf_token *token);
struct hf_worker *hf_keep_owner_of_secret(struct hf_gateway *gateway, struct hf_slice secret);

/* ---- from a transport, about its own keep (a->keep is not NULL) ---------------------------------
 */

/* A whole application message (escape taken off) came. False: the keep has given the attachment up
 * (its `end` was called); stop. */
bool hf_keep_message(struct hf_attachment *a, uint8_t opcode, struct hf_slice payload);
/* A control message, the text behind the 0x01. False as above. */
bool hf_keep_control(struct hf_attachment *a, struct hf_slice text);
/* The same two for what comes beside the attachment, in a POST with the session's key. False: the
 * session has ended. */
bool hf_keep_post_message(struct hf_keep *keep, uint8_t opcode, struct hf_slice payload);
bool hf_keep_post_control(struct hf_keep *keep, struct hf_slice text);
/* A message of so many bytes from the client keeps to message_max and to the credit. */
bool hf_keep_may_post(const struct hf_keep *keep, size_t payload);
/* The client broke a rule: `end reason`, Close with the code. */
void hf_keep_fault(struct hf_attachment *a, enum hf_cause cause, uint16_t code, const char *why);
/* The transport takes messages again. */
void hf_keep_writable(struct hf_attachment *a);
/* The connection was lost, with the cause: parks. a->keep is NULL afterwards. */
void hf_keep_lost(struct hf_attachment *a, enum hf_cause cause, int error);
/* The client's Close came (code 1005: an empty one). True: the session is parked or ended, a->keep
 * is NULL, and the transport answers the Close. False: the session ends when all that came before
 * is with the backend, and `end` is called then. */
bool hf_keep_closed(struct hf_attachment *a, uint16_t code, struct hf_slice reason);
/* Messages from the client up to this number were counted: for POST. */
uint64_t hf_keep_received(const struct hf_keep *keep);

#endif
