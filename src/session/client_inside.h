/* SPDX-License-Identifier: Apache-2.0 */
/* What client.c and client_control.c share. */
#ifndef HF_SESSION_CLIENT_INSIDE_H
#define HF_SESSION_CLIENT_INSIDE_H

#include "session/client.h"

/* One more event, zeroed. */
struct hf_client_event *hf_client_tell(struct hf_client *c, enum hf_client_event_kind kind);
/* The connection is of no use any more. word and why are static. */
void hf_client_abandon(struct hf_client *c, const char *word, const char *why);
/* The session is gone: LOST, and all records are handed back. When the application has closed, only
 * if there are any. */
void hf_client_lose(struct hf_client *c, struct hf_slice reason, uint64_t old_received);
void hf_client_go_plain(struct hf_client *c);
/* All or nothing. */
bool hf_client_replace(struct hf_buffer *b, struct hf_slice text);
/* The text behind the 0x01. */
HF_MUST_USE enum hf_status hf_client_control(struct hf_client *c, struct hf_slice text,
                                             hf_time now);

#endif
