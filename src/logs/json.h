/* SPDX-License-Identifier: Apache-2.0 */
/* The members of one JSON object, one after the other, without a tree and without a heap: strings
 * with escapes are written out into the scratch, values that are objects or arrays stay as they
 * stand. Lenient where it does no harm: what stands between the members is not judged. */
#ifndef HF_LOGS_JSON_H
#define HF_LOGS_JSON_H

#include "base/slice.h"

#include <stdbool.h>

/* Room that is handed out from front to back and forgotten as a whole. */
struct hf_logs_scratch {
    uint8_t *data;
    size_t len, cap;
};
/* NULL when there is no room for it. */
uint8_t *hf_logs_scratch_take(struct hf_logs_scratch *s, size_t size);

enum hf_logs_json_kind {
    HF_LOGS_JSON_STRING,
    HF_LOGS_JSON_NUMBER, /* also true, false and null: as they stand */
    HF_LOGS_JSON_NESTED, /* an object or an array, as it stands */
};

struct hf_logs_json {
    struct hf_slice rest;
    struct hf_logs_scratch *scratch;
    bool failed; /* it is not whole, or not JSON */
    bool ended;  /* the closing brace was seen */
};

struct hf_logs_member {
    struct hf_slice key, value;
    enum hf_logs_json_kind kind;
};

/* text begins with {. */
void hf_logs_json_begin(struct hf_logs_json *j, struct hf_slice text,
                        struct hf_logs_scratch *scratch);
/* False at the end, and when it failed. */
bool hf_logs_json_next(struct hf_logs_json *j, struct hf_logs_member *member);

#endif
