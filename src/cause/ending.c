/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of the table of endings. */
#include "cause/ending.h"

#include "base/status.h"

struct facts {
    const char *id;
    const char *who;
    const char *phase;
    const char *sentence;
    const char *advice;
};

static const struct facts table[HF_CAUSE_COUNT] = {
    [HF_CAUSE_NONE] = {"none", "none", "none", "", ""},
#define FACTS(name, id, who, phase, sentence, advice)                                              \
    [HF_CAUSE_##name] = {#id, #who, #phase, sentence, advice},
    HF_CAUSE_TABLE(FACTS)
#undef FACTS
};

static const struct facts *facts_of(enum hf_cause cause)
{
    HF_ASSERT((unsigned)cause < HF_CAUSE_COUNT);
    return &table[cause];
}

unsigned hf_cause_count(void)
{
    return HF_CAUSE_COUNT;
}

const char *hf_cause_id(enum hf_cause cause)
{
    return facts_of(cause)->id;
}

const char *hf_cause_who(enum hf_cause cause)
{
    return facts_of(cause)->who;
}

const char *hf_cause_phase(enum hf_cause cause)
{
    return facts_of(cause)->phase;
}

const char *hf_cause_sentence(enum hf_cause cause)
{
    return facts_of(cause)->sentence;
}

const char *hf_cause_advice(enum hf_cause cause)
{
    return facts_of(cause)->advice;
}

enum hf_cause hf_cause_from_id(struct hf_slice id)
{
    for (unsigned i = HF_CAUSE_NONE + 1; i < HF_CAUSE_COUNT; i++) {
        if (hf_slice_eq(id, hf_slice_of(table[i].id))) {
            return (enum hf_cause)i;
        }
    }
    return HF_CAUSE_NONE;
}
