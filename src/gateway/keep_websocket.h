/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket handshakes of hf1 clients: where an opening becomes an attachment of a session. */
#ifndef HF_GATEWAY_KEEP_WEBSOCKET_H
#define HF_GATEWAY_KEEP_WEBSOCKET_H

#include "gateway/opening.h"

/* The opening speaks hf1 and its route has sessions: the session decides from here on, and what it
 * refuses is told inside the WebSocket. */
bool hf_opening_keeps(const struct hf_opening *o);
/* Admitted: a new session, a join or a resume. The opening is gone afterwards. */
void hf_opening_arrive(struct hf_opening *o);
/* Refused: 101, `end`, Close. The opening is gone afterwards. who: "gateway" or "backend". */
void hf_opening_refuse_inside(struct hf_opening *o, const char *who, const char *reason,
                              uint16_t http, uint32_t retry_ms);

#endif
