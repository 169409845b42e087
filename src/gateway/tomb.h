/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of a session that ended: why, and how many messages of the client were counted. For
 * ten windows, and capped; the oldest goes first. */
#ifndef HF_GATEWAY_TOMB_H
#define HF_GATEWAY_TOMB_H

#include "gateway/keeper.h"

#define HF_TOMBS_MAX 16384 /* of a worker */
#define HF_TOMB_WINDOWS 10

struct hf_tomb {
    struct hf_table_node node;
    struct hf_list order;
    uint64_t id;
    uint64_t received; /* C */
    uint64_t offered;  /* first bytes of the hashes of its tokens */
    uint64_t accepted;
    uint32_t expires_s; /* on the loop's clock */
    uint8_t verdict;    /* enum hf_resume_verdict */
    bool goodbye;       /* the client has ended it, and wants no other */
};
_Static_assert(sizeof(struct hf_tomb) <= 100, "there may be many");

/* Of a session that ends. Nothing is lost but the reason when there is no memory. */
void hf_tomb_raise(struct hf_keeper *keeper, const struct hf_session *s,
                   enum hf_resume_verdict verdict, bool goodbye, hf_time window);
/* NULL: none, or the secret is another. */
const struct hf_tomb *hf_tomb_of_token(struct hf_keeper *keeper, const struct hf_token *token);
const struct hf_tomb *hf_tomb_of_key(struct hf_keeper *keeper, const struct hf_token *key);
void hf_tombs_clear(struct hf_keeper *keeper);

#endif
