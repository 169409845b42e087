/* SPDX-License-Identifier: Apache-2.0 */
/* /api/sessions: each worker prints its own on its own thread, and the admin's loop joins them.
 * Inside src/gateway only. */
#ifndef HF_GATEWAY_ADMIN_GATHER_H
#define HF_GATEWAY_ADMIN_GATHER_H

#include "gateway/gateway.h"

struct hf_gather;

/* On the loop's thread, once: body is {"sessions":[...],"open":N}, newest first; it dies with the
 * call, but its bytes may be moved out. status HF_NO_MEMORY: there is no body. */
typedef void hf_gathered(void *owner, uint64_t ticket, enum hf_status status,
                         struct hf_buffer *body);

/* Asks all workers; `done` comes on a later turn, with the ticket. While it is under way the gather
 * is on `list`. */
HF_MUST_USE enum hf_status hf_gather_start(struct hf_gateway *gateway, struct hf_loop *loop,
                                           uint32_t limit, hf_gathered *done, void *owner,
                                           uint64_t ticket, struct hf_list *list);
/* For all on the list: `done` will not come, and no task is posted to the loop from now on. The
 * memory goes with the last worker that answers. */
void hf_gather_abandon_all(struct hf_list *list);

#endif
