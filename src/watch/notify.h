/* SPDX-License-Identifier: Apache-2.0 */
/* What systemd is told (sd_notify's protocol, without its library): a datagram to the socket that
 * NOTIFY_SOCKET names. */
#ifndef HF_WATCH_NOTIFY_H
#define HF_WATCH_NOTIFY_H

#include "base/slice.h"
#include "base/time.h"

/* "READY=1", "STOPPING=1", "WATCHDOG=1\nSTATUS=3 of 4 targets are up". Nothing without the
 * variable. Never blocks. */
void hf_notify(const char *state);
/* How often WATCHDOG=1 is to be sent: half of WATCHDOG_USEC; 0: not at all. */
hf_time hf_notify_watchdog(void);

#endif
