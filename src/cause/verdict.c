/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a verdict. */
#include "cause/verdict.h"

#include "base/status.h"

static const struct {
    const char *text, *unit;
} classes[HF_CLASSES] = {
    [HF_CLASS_NONE] = {"none", ""},
    [HF_CLASS_IDLE_TIMER] = {"idle_timer", "s"},
    [HF_CLASS_LIFETIME] = {"lifetime", "s"},
    [HF_CLASS_MESSAGE_LIMIT] = {"message_limit", "messages"},
    [HF_CLASS_SIZE_LIMIT] = {"size_limit", "bytes"},
    [HF_CLASS_RESTART] = {"restart", "s"},
    [HF_CLASS_PONG_TIMEOUT] = {"pong_timeout", "s"},
    [HF_CLASS_BLOCKED_SERVER] = {"blocked_server", "s"},
    [HF_CLASS_NETWORK] = {"network", ""},
    [HF_CLASS_HANDSHAKE] = {"handshake", ""},
    [HF_CLASS_INCONCLUSIVE] = {"inconclusive", ""},
};

const char *hf_verdict_class_text(enum hf_verdict_class class)
{
    HF_ASSERT((unsigned)class < HF_CLASSES);
    return classes[class].text;
}

enum hf_verdict_class hf_verdict_class_from(struct hf_slice text)
{
    for (unsigned i = 0; i < HF_CLASSES; i++) {
        if (hf_slice_eq(text, hf_slice_of(classes[i].text))) {
            return (enum hf_verdict_class)i;
        }
    }
    return HF_CLASSES;
}

const char *hf_verdict_unit(enum hf_verdict_class class)
{
    HF_ASSERT((unsigned)class < HF_CLASSES);
    return classes[class].unit;
}
