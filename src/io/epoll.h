/* SPDX-License-Identifier: Apache-2.0 */
/* The loop over Linux epoll. */
#ifndef HF_IO_EPOLL_H
#define HF_IO_EPOLL_H

#include "io/io.h"

/* NULL when the system has no descriptor or memory. */
struct hf_loop *hf_epoll_new(void);
/* Turns until hf_loop_stop. */
void hf_epoll_run(struct hf_loop *loop);
/* One turn: waits at most max_wait (0: not at all) for the first event. False once it was stopped.
 */
bool hf_epoll_turn(struct hf_loop *loop, hf_time max_wait);
/* Readable when a turn has work (for a caller's own loop). */
int hf_epoll_descriptor(struct hf_loop *loop);
/* When the next turn has work that the descriptor does not show: a timer, or what is ready now
 * (then it is not after hf_loop_now). HF_NEVER for none. */
hf_time hf_epoll_deadline(struct hf_loop *loop);
/* Throws a released stream away. NULL is accepted. */
void hf_parcel_drop(struct hf_parcel *parcel);
/* Asks these servers instead of the system's: "192.0.2.1:53,[2001:db8::1]:53". HF_INVALID when it
 * cannot be read. */
enum hf_status hf_epoll_name_servers(struct hf_loop *loop, const char *servers);
/* Raises the soft descriptor limit to the hard one; returns the limit in force. */
uint64_t hf_descriptors_raise(void);

#endif
