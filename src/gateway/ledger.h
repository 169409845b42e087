/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger: exactly one ending record for each connection, in the log and in a ring that
 * /api/endings shows. Thread-safe. */
#ifndef HF_GATEWAY_LEDGER_H
#define HF_GATEWAY_LEDGER_H

#include "base/buffer.h"
#include "cause/ending.h"

struct hf_end;
struct hf_identity;
struct hf_worker;
struct hf_ledger;

/* Keeps the newest `kept` records. NULL on no memory. */
struct hf_ledger *hf_ledger_new(uint32_t kept);
void hf_ledger_free(struct hf_ledger *ledger);
/* Logs the ending, counts it for its route, and keeps it. Losing it from the ring for want of
 * memory loses nothing else. */
void hf_ledger_record(struct hf_worker *worker, const struct hf_identity *identity,
                      const struct hf_ending *ending);
/* What the end of a stream without a Close is called, on the client's side or the backend's. */
enum hf_cause hf_ledger_cause(const struct hf_end *end, bool is_client);
/* {"endings":[...]}, newest first, at most `limit`; those of one cause when cause is not NULL. */
enum hf_status hf_ledger_print(struct hf_ledger *ledger, uint32_t limit, const char *cause,
                               struct hf_buffer *out);

#endif
