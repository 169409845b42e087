/* SPDX-License-Identifier: Apache-2.0 */
/* Fresh credentials of a session, in-band (docs/protocol.md section 2, `auth`). See keeper.h. */
#include "gateway/keeper.h"

void hf_keep_auth(struct hf_keep *k, struct hf_slice value) {}
