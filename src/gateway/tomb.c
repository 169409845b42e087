/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions that ended: see tomb.h. */
#include "gateway/tomb.h"

#include <stdlib.h>

static uint32_t now_s(const struct hf_keeper *keeper)
{
    return (uint32_t)(keeper->worker->loop->now / 1000000);
}

static uint64_t first_bytes(const uint8_t hash[HF_TOKEN_HASH])
{
    uint64_t value;
    memcpy(&value, hash, sizeof(value));
    return value;
}

static uint64_t hash_of(const uint8_t secret[HF_TOKEN_SECRET])
{
    uint8_t hash[HF_TOKEN_HASH];
    hf_token_hash(secret, HF_TOKEN_SECRET, hash);
    return first_bytes(hash);
}

static void bury(struct hf_keeper *keeper, struct hf_tomb *t)
{
    hf_table_remove(&keeper->tombs, &t->node);
    hf_list_remove(&t->order);
    free(t);
}

static struct hf_tomb *oldest(struct hf_keeper *keeper)
{
    return hf_list_empty(&keeper->tomb_order)
               ? NULL
               : HF_CONTAINER(keeper->tomb_order.next, struct hf_tomb, order);
}

static void sweep(struct hf_keeper *keeper)
{
    struct hf_tomb *t;
    while ((t = oldest(keeper)) != NULL &&
           (keeper->tombs.count >= HF_TOMBS_MAX || (int32_t)(t->expires_s - now_s(keeper)) < 0)) {
        bury(keeper, t);
    }
}

void hf_tomb_raise(struct hf_keeper *keeper, const struct hf_session *s,
                   enum hf_resume_verdict verdict, bool goodbye, hf_time window)
{
    sweep(keeper);
    struct hf_tomb *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return;
    }
    t->id = s->id;
    t->received = s->counted;
    t->offered = first_bytes(s->offered);
    t->accepted = first_bytes(s->accepted);
    t->expires_s = now_s(keeper) + (uint32_t)(window * HF_TOMB_WINDOWS / 1000000) + 1;
    t->verdict = (uint8_t)verdict;
    t->goodbye = goodbye;
    hf_list_init(&t->order);
    uint64_t hash = hf_table_hash(&keeper->tombs, hf_slice(&t->id, sizeof(t->id)));
    if (hf_table_insert(&keeper->tombs, &t->node, hash) != HF_OK) {
        free(t);
        return;
    }
    hf_list_append(&keeper->tomb_order, &t->order);
}

static struct hf_tomb *find(struct hf_keeper *keeper, uint64_t id)
{
    sweep(keeper);
    uint64_t hash = hf_table_hash(&keeper->tombs, hf_slice(&id, sizeof(id)));
    for (struct hf_table_node *n = hf_table_find(&keeper->tombs, hash, NULL); n != NULL;
         n = hf_table_find(&keeper->tombs, hash, n)) {
        struct hf_tomb *t = HF_CONTAINER(n, struct hf_tomb, node);
        if (t->id == id) {
            return t;
        }
    }
    return NULL;
}

const struct hf_tomb *hf_tomb_of_token(struct hf_keeper *keeper, const struct hf_token *token)
{
    const struct hf_tomb *t = find(keeper, token->id);
    uint64_t hash = hash_of(token->secret);
    return t != NULL && (hash == t->offered || hash == t->accepted) ? t : NULL;
}

const struct hf_tomb *hf_tomb_of_key(struct hf_keeper *keeper, const struct hf_token *key)
{
    const struct hf_tomb *t = find(keeper, key->id);
    return t != NULL && hf_keep_is_key(keeper, key) ? t : NULL;
}

void hf_tombs_clear(struct hf_keeper *keeper)
{
    struct hf_tomb *t;
    while ((t = oldest(keeper)) != NULL) {
        bury(keeper, t);
    }
}
