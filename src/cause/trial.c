/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a trial. */
#include "cause/trial.h"

#include "base/status.h"

const char *hf_trial_phase_text(enum hf_trial_phase phase)
{
    static const char *const texts[] = {"dns", "tcp", "tls", "upgrade", "open"};
    HF_ASSERT((unsigned)phase < sizeof(texts) / sizeof(texts[0]));
    return texts[phase];
}

const char *hf_trial_how_text(enum hf_trial_how how)
{
    static const char *const texts[HF_HOW_KINDS] = {
        "alive", "ended_by_us", "close",   "fin",         "rst",     "silence", "timeout", "tls",
        "fault", "status",      "refused", "unreachable", "no_name", "slow",    "errno"};
    HF_ASSERT((unsigned)how < HF_HOW_KINDS);
    return texts[how];
}

const char *hf_pong_policy_text(enum hf_pong_policy policy)
{
    static const char *const texts[] = {"answer", "ignore", "empty", "late"};
    HF_ASSERT((unsigned)policy < sizeof(texts) / sizeof(texts[0]));
    return texts[policy];
}

bool hf_trial_is_dead(const struct hf_trial *t)
{
    return t->end.how != HF_HOW_ALIVE && t->end.how != HF_HOW_ENDED_BY_US;
}

bool hf_trial_was_open(const struct hf_trial *t)
{
    return t->end.phase == HF_PHASE_OPEN;
}
