/* SPDX-License-Identifier: Apache-2.0 */
/* What a keep has on a route whose on_backend_loss is hold or prologue: its client is kept while
 * another backend connection is made; what was written to the lost one is never written again, but
 * for the prologue, and the client is told by `rebound`. */
#ifndef HF_GATEWAY_KEEP_HOLD_H
#define HF_GATEWAY_KEEP_HOLD_H

#include "gateway/keeper.h"

/* The backend is there for the first time: takes the petition over. False on no memory. */
bool hf_keep_hold_new(struct hf_keep *k, struct hf_petition *petition);
/* NULL is accepted. */
void hf_keep_hold_free(struct hf_keep *k);
/* The backend is lost: holds the client if the route says so. False: the session ends. code: of its
 * Close; 0: none came. */
bool hf_keep_hold_begin(struct hf_keep *k, enum hf_cause cause, uint16_t code);
/* Messages for the backend wait: it is away, or answers to the prologue are awaited. */
bool hf_keep_hold_waits(const struct hf_keep *k);
bool hf_keep_hold_is_away(const struct hf_keep *k);
/* The client's message must be seen unmasked, because it may belong to the prologue. */
bool hf_keep_hold_listens(const struct hf_keep *k);
/* A message is written to the backend. */
void hf_keep_hold_record(struct hf_keep *k, uint8_t opcode, struct hf_slice payload);
/* A message of the backend is an answer to the prologue: dropped, not counted. */
bool hf_keep_hold_drops(struct hf_keep *k);
/* A ping has gone to the backend; its pong came, so its WebSocket layer has read what was before.
 */
void hf_keep_hold_pinged(struct hf_keep *k);
void hf_keep_hold_ponged(struct hf_keep *k);
/* A message was written to the backend: a probe goes a second behind the first that is not proven
 * to be read, since pings go only where it is quiet. Its pong came. */
void hf_keep_hold_wrote(struct hf_keep *k);
void hf_keep_hold_probed(struct hf_keep *k, uint64_t mark);
/* `rebound`, when the client has everything from before it. */
void hf_keep_hold_tell(struct hf_keep *k);
/* A connection is attached: it hears of the last one again if it may have missed it. */
void hf_keep_hold_attached(struct hf_keep *k);
/* Newer credentials, for the next dial: of a resume, or in-band. */
void hf_keep_hold_renew(struct hf_keep *k, const struct hf_petition *petition);
void hf_keep_hold_token(struct hf_keep *k, struct hf_slice token, struct hf_slice answer);
/* When answers to the prologue are awaited no longer; HF_NEVER. */
hf_time hf_keep_hold_deadline(const struct hf_keep *k);
void hf_keep_hold_tick(struct hf_keep *k);
/* What the backend was asked with; NULL: it is not kept. */
const struct hf_petition *hf_keep_hold_petition(const struct hf_keep *k);

#endif
