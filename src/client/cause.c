/* SPDX-License-Identifier: Apache-2.0 */
/* The table of cause.h as texts. */
#include "client/cause.h"

#include "base/status.h"

#include <string.h>

static const struct {
    const char *id, *who, *what;
} rows[HF_LOSS_COUNT] = {[HF_LOSS_NONE] = {"none", "none", ""},
#define HF_LOSS_ROW(name, id, who, what) [HF_LOSS_##name] = {#id, #who, what},
                         HF_LOSS_TABLE(HF_LOSS_ROW)
#undef HF_LOSS_ROW
};

const char *hf_loss_id(enum hf_loss loss)
{
    HF_ASSERT(loss < HF_LOSS_COUNT);
    return rows[loss].id;
}

const char *hf_loss_who(enum hf_loss loss)
{
    HF_ASSERT(loss < HF_LOSS_COUNT);
    return rows[loss].who;
}

const char *hf_loss_what(enum hf_loss loss)
{
    HF_ASSERT(loss < HF_LOSS_COUNT);
    return rows[loss].what;
}

enum hf_loss hf_loss_from_id(const char *id)
{
    for (int i = 1; i < HF_LOSS_COUNT; i++) {
        if (strcmp(rows[i].id, id) == 0) {
            return (enum hf_loss)i;
        }
    }
    return HF_LOSS_PROTOCOL;
}
