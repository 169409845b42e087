/* SPDX-License-Identifier: Apache-2.0 */
/* What a relay keeps on a route whose on_backend_loss is hold or prologue, so that its client
 * outlives the backend connection.
 *
 *   LIVE      bytes flow; the place behind the last byte that the backend was given is noted
 *   AWAY      the backend is lost and redialled: the client's messages wait in the queue
 *   PROLOGUE  a new one is there: the recorded messages go first, and answers to them are dropped
 *   BACKLOG   the queue goes out; the client is not read until it has gone
 *
 * Nothing that was written to the lost backend is written again, but for the prologue. Of a message
 * that was written in part the rest is swallowed. */
#ifndef HF_GATEWAY_HELD_H
#define HF_GATEWAY_HELD_H

#include "gateway/dial.h"
#include "ws/flow.h"

struct hf_held;
struct hf_leg;
struct hf_relay;

/* protocol: that the backend chose; both are copied. NULL on no memory. */
struct hf_held *hf_held_new(const struct hf_petition *petition, struct hf_slice protocol);
/* NULL is accepted. */
void hf_held_free(struct hf_held *held);

/* The backend is lost: holds the client, if it can be held. False: the relay ends. code: of the
 * Close that came from the backend, 0: none came. */
bool hf_held_begin(struct hf_relay *r, enum hf_cause cause, uint16_t code);
/* The relay ends. True when the backend was given a part of a frame whose rest will not come. */
bool hf_held_stop(struct hf_relay *r);
/* Checked bytes of the client's: to the backend, or into the queue. Returns the bytes taken. They
 * begin where the last ones ended, and hold no part of a frame's head without its rest. */
size_t hf_held_forward(struct hf_relay *r, struct hf_slice bytes);
/* A step over a data frame of the client's; starts: with the frame's head. */
void hf_held_collect(struct hf_relay *r, const struct hf_flow_step *step, struct hf_slice bytes,
                     bool starts);
/* The backend's message of this step is an answer to the prologue, and is dropped. */
bool hf_held_drops(const struct hf_relay *r, const struct hf_flow_step *step);
/* Such a step was dropped. */
void hf_held_dropped(struct hf_relay *r, const struct hf_flow_step *step);
/* The client's Close is next: false while something waits that goes before it; then the client is
 * not read. */
bool hf_held_may_close(struct hf_relay *r);
/* The backend takes bytes: sends what waits. */
void hf_held_flush(struct hf_relay *r);
/* The client's bytes do not go to the backend as they come. */
bool hf_held_is_active(const struct hf_relay *r);
/* When hf_held_tick has something to do; HF_NEVER. */
hf_time hf_held_deadline(const struct hf_relay *r);
void hf_held_tick(struct hf_relay *r);

#endif
