/* SPDX-License-Identifier: Apache-2.0 */
/* Which endings are to be told: see judge.h. */
#include "watch/judge.h"

static const char *const texts[HF_JUDGEMENTS] = {
    [HF_JUDGED_OURS] = "ours", [HF_JUDGED_EXPECTED] = "expected",   [HF_JUDGED_RESTART] = "restart",
    [HF_JUDGED_OLD] = "old",   [HF_JUDGED_PREMATURE] = "premature", [HF_JUDGED_FAILED] = "failed",
};

const char *hf_judgement_text(enum hf_judgement judgement)
{
    HF_ASSERT(judgement < HF_JUDGEMENTS);
    return texts[judgement];
}

enum hf_judgement hf_judgement_from(struct hf_slice text)
{
    size_t j = 0;
    while (j < HF_JUDGEMENTS && !hf_slice_eq(text, hf_slice_of(texts[j]))) {
        j++;
    }
    return (enum hf_judgement)j;
}

static bool has_code(const struct hf_watch_codes *codes, uint16_t code)
{
    for (size_t i = 0; i < codes->count; i++) {
        if (codes->codes[i] == code) {
            return true;
        }
    }
    return false;
}

enum hf_judgement hf_judge(const struct hf_watch_target_settings *s, const struct hf_trial *t)
{
    if (!hf_trial_is_dead(t)) {
        return HF_JUDGED_OURS;
    }
    if (!hf_trial_was_open(t)) {
        return HF_JUDGED_FAILED;
    }
    if (t->end.how == HF_HOW_CLOSE && has_code(&s->expected_codes, t->end.code)) {
        return HF_JUDGED_EXPECTED;
    }
    if (t->end.how == HF_HOW_CLOSE && has_code(&s->deploy_codes, t->end.code)) {
        return HF_JUDGED_RESTART;
    }
    return s->min_hold != HF_NEVER && t->end.age >= s->min_hold ? HF_JUDGED_OLD
                                                                : HF_JUDGED_PREMATURE;
}
