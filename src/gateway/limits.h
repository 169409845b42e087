/* SPDX-License-Identifier: Apache-2.0 */
/* Counts that limits need across workers: open connections and rates by address, by principal, by
 * route and in all. An entry exists while something holds it or its rates are not yet refilled.
 * Thread-safe: the tables are in shards with a lock each, touched only at a handshake and an
 * ending; a message charges its entry without a lock. */
#ifndef HF_GATEWAY_LIMITS_H
#define HF_GATEWAY_LIMITS_H

#include "base/list.h"
#include "base/slice.h"
#include "base/status.h"
#include "base/table.h"
#include "policy/rate_limit.h"

#include <pthread.h>
#include <stdatomic.h>

enum hf_limit_kind { HF_LIMIT_ADDRESS, HF_LIMIT_PRINCIPAL, HF_LIMIT_ROUTE, HF_LIMIT_TOTAL };

struct hf_limit_entry {
    struct hf_table_node node;
    uint32_t refs; /* under the shard's lock */
    _Atomic uint32_t connections;
    struct hf_rate handshakes;
    struct hf_rate messages;
    _Atomic uint32_t parked;       /* sessions that wait for their clients */
    _Atomic uint64_t parked_bytes; /* ... and what they hold */
    uint16_t key_len;
    char key[];
};

struct hf_limits;
/* key: 16 random bytes for the tables' hash. NULL on no memory. */
struct hf_limits *hf_limits_new(const uint8_t key[16]);
void hf_limits_free(struct hf_limits *limits);
/* The entry of a key within a scope (the route's path), made when it is not there; a reference the
 * caller gives back. NULL on no memory, or when HF_LIMIT_ENTRIES_MAX entries exist. */
#define HF_LIMIT_ENTRIES_MAX 1000000
struct hf_limit_entry *hf_limits_get(struct hf_limits *limits, enum hf_limit_kind kind,
                                     struct hf_slice scope, struct hf_slice key);
/* NULL is accepted. */
void hf_limits_put(struct hf_limits *limits, struct hf_limit_entry *entry, hf_time now);
/* Counts a connection in if fewer than max are open (max 0: always). */
bool hf_limit_enter(struct hf_limit_entry *entry, uint32_t max);
/* Counts it in whatever the number is: dry run. */
void hf_limit_force(struct hf_limit_entry *entry);
void hf_limit_leave(struct hf_limit_entry *entry);

#endif
