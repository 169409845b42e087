/* SPDX-License-Identifier: Apache-2.0 */
/* What world.c and peer.c share. */
#ifndef HF_TESTS_SIM_WORLD_CORE_H
#define HF_TESTS_SIM_WORLD_CORE_H

#include "world.h"

#include <stdio.h>

/* "client 3"; lives until four more were asked for. */
const char *peer_name(const struct peer *p);
struct peer *peer_new(struct world *w, bool is_client);
void peer_free(struct peer *p);

#endif
