/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a gateway: made from a configuration and one loop for each worker, run on threads of
 * its own (or by the caller, as the simulator does), reloaded, drained, stopped. Called on one
 * thread, the owner's; the workers are told by posted tasks. */
#ifndef HF_GATEWAY_GATEWAY_H
#define HF_GATEWAY_GATEWAY_H

#include "gateway/worker.h"

/* Opens every listener; on failure *gateway is NULL and why has a line for each thing that is
 * wrong. The loops are taken over, also on failure. seed feeds jitter and mask keys: from a good
 * source outside of tests. */
HF_MUST_USE enum hf_status hf_gateway_new(struct hf_config *config, struct hf_log *log,
                                          struct hf_loop **loops, size_t count, uint64_t seed,
                                          struct hf_gateway **gateway, struct hf_buffer *why);
/* A thread for each worker; needs epoll loops. */
HF_MUST_USE enum hf_status hf_gateway_start(struct hf_gateway *gateway);
/* New connections get the new configuration, open ones keep theirs, nobody is dropped. On failure
 * nothing has changed but that listeners which could not be opened are missing; why says what. The
 * number of workers, the admin address and the log's file stay as they were. */
enum hf_status hf_gateway_reload(struct hf_gateway *gateway, struct hf_config *config,
                                 struct hf_buffer *why);
/* Stops accepting; goodbyes are spread over `spread`. Twice: ends everything at once. */
void hf_gateway_drain(struct hf_gateway *gateway, hf_time spread);
/* Nothing is open on any worker. */
bool hf_gateway_is_idle(const struct hf_gateway *gateway);
/* Ends what is open, stops and joins the threads. */
void hf_gateway_stop(struct hf_gateway *gateway);
/* Stops first. NULL is accepted. */
void hf_gateway_free(struct hf_gateway *gateway);
/* Where the index-th listener of the configuration is bound. */
void hf_gateway_address(const struct hf_gateway *gateway, size_t index, struct hf_address *address);

/* Runs `run` on every worker's thread, in its turn. */
/* From the owner's thread or the admin's; false on no memory (then no worker was told). */
bool hf_gateway_broadcast(struct hf_gateway *gateway,
                          void (*run)(struct hf_worker *worker, void *context), void *context);

#endif
