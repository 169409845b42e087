/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast demo --web`: the example pages (examples/web) on a server of their own, with the
 * applications behind them, the gateway, and middleboxes that cut now and then and at a visitor's
 * wish. Runs until it is told to end. */
#ifndef HF_TOOLS_DEMO_WEB_H
#define HF_TOOLS_DEMO_WEB_H

#include "io/io.h"

#include <stdint.h>

/* where: the address of the pages' server. Returns when *stop is set (by a signal), with the exit
 * code. */
int demo_web_run(const struct hf_address *where, uint64_t seed, const volatile int *stop);

#endif
