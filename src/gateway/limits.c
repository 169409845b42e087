/* SPDX-License-Identifier: Apache-2.0 */
/* Shared counts of the limits: see limits.h. */
#include "gateway/limits.h"

#include <stdlib.h>

#define SHARDS 64
#define SWEEP_EVERY 1024 /* lookups of a shard between two sweeps of entries that nobody needs */

struct shard {
    pthread_mutex_t lock;
    struct hf_table table;
    uint32_t lookups;
};

struct hf_limits {
    struct shard shards[SHARDS];
    _Atomic size_t count;
};

struct hf_limits *hf_limits_new(const uint8_t key[16])
{
    struct hf_limits *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&l->shards[i].lock, NULL);
        hf_table_init(&l->shards[i].table, &hf_heap, key);
    }
    return l;
}

static void forget(struct hf_limits *l, struct shard *shard, struct hf_limit_entry *entry)
{
    hf_table_remove(&shard->table, &entry->node);
    atomic_fetch_sub(&l->count, 1);
    free(entry);
}

void hf_limits_free(struct hf_limits *l)
{
    if (l == NULL) {
        return;
    }
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &l->shards[i];
        struct hf_table_node *n;
        while ((n = hf_table_next(&shard->table, NULL)) != NULL) {
            forget(l, shard, HF_CONTAINER(n, struct hf_limit_entry, node));
        }
        hf_table_fini(&shard->table);
        pthread_mutex_destroy(&shard->lock);
    }
    free(l);
}

/* "kind scope NUL key": one string, so that a principal never meets an address of the same text. */
#define KEY_MAX 600
static size_t make_key(char text[KEY_MAX], enum hf_limit_kind kind, struct hf_slice scope,
                       struct hf_slice key)
{
    scope = hf_slice_first(scope, 256);
    key = hf_slice_first(key, 256);
    size_t len = 0;
    text[len++] = (char)('0' + (int)kind);
    if (scope.len > 0) {
        memcpy(text + len, scope.ptr, scope.len);
    }
    len += scope.len;
    text[len++] = '\0';
    if (key.len > 0) {
        memcpy(text + len, key.ptr, key.len);
    }
    return len + key.len;
}

static void sweep(struct hf_limits *l, struct shard *shard, hf_time now)
{
    struct hf_table_node *next;
    for (struct hf_table_node *n = hf_table_next(&shard->table, NULL); n != NULL; n = next) {
        struct hf_limit_entry *e = HF_CONTAINER(n, struct hf_limit_entry, node);
        next = hf_table_next(&shard->table, n);
        if (e->refs == 0 && hf_rate_is_full(&e->handshakes, now) &&
            hf_rate_is_full(&e->messages, now)) {
            forget(l, shard, e);
        }
    }
}

static struct hf_limit_entry *add(struct hf_limits *l, struct shard *shard, uint64_t hash,
                                  struct hf_slice key)
{
    if (atomic_load(&l->count) >= HF_LIMIT_ENTRIES_MAX) {
        return NULL;
    }
    struct hf_limit_entry *e = calloc(1, sizeof(*e) + key.len);
    if (e == NULL) {
        return NULL;
    }
    e->key_len = (uint16_t)key.len;
    memcpy(e->key, key.ptr, key.len);
    hf_rate_init(&e->handshakes);
    hf_rate_init(&e->messages);
    if (hf_table_insert(&shard->table, &e->node, hash) != HF_OK) {
        free(e);
        return NULL;
    }
    atomic_fetch_add(&l->count, 1);
    return e;
}

struct hf_limit_entry *hf_limits_get(struct hf_limits *l, enum hf_limit_kind kind,
                                     struct hf_slice scope, struct hf_slice key)
{
    char text[KEY_MAX];
    struct hf_slice whole = hf_slice(text, make_key(text, kind, scope, key));
    uint64_t hash = hf_table_hash(&l->shards[0].table, whole);
    struct shard *shard = &l->shards[hash >> 58];
    struct hf_limit_entry *found = NULL;
    pthread_mutex_lock(&shard->lock);
    for (struct hf_table_node *n = hf_table_find(&shard->table, hash, NULL);
         n != NULL && found == NULL; n = hf_table_find(&shard->table, hash, n)) {
        struct hf_limit_entry *e = HF_CONTAINER(n, struct hf_limit_entry, node);
        if (hf_slice_eq(hf_slice(e->key, e->key_len), whole)) {
            found = e;
        }
    }
    if (found == NULL) {
        found = add(l, shard, hash, whole);
    }
    if (found != NULL) {
        found->refs++;
    }
    pthread_mutex_unlock(&shard->lock);
    return found;
}

void hf_limits_put(struct hf_limits *l, struct hf_limit_entry *entry, hf_time now)
{
    if (entry == NULL) {
        return;
    }
    uint64_t hash = entry->node.hash;
    struct shard *shard = &l->shards[hash >> 58];
    pthread_mutex_lock(&shard->lock);
    HF_ASSERT(entry->refs > 0);
    entry->refs--;
    if (entry->refs == 0 && hf_rate_is_full(&entry->handshakes, now) &&
        hf_rate_is_full(&entry->messages, now)) {
        forget(l, shard, entry);
    }
    if (++shard->lookups % SWEEP_EVERY == 0) {
        sweep(l, shard, now);
    }
    pthread_mutex_unlock(&shard->lock);
}

bool hf_limit_enter(struct hf_limit_entry *entry, uint32_t max)
{
    uint32_t open = atomic_load_explicit(&entry->connections, memory_order_relaxed);
    do {
        if (max > 0 && open >= max) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&entry->connections, &open, open + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void hf_limit_force(struct hf_limit_entry *entry)
{
    atomic_fetch_add_explicit(&entry->connections, 1, memory_order_relaxed);
}

void hf_limit_leave(struct hf_limit_entry *entry)
{
    uint32_t before = atomic_fetch_sub_explicit(&entry->connections, 1, memory_order_relaxed);
    HF_ASSERT(before > 0);
}
