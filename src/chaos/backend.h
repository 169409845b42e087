/* SPDX-License-Identifier: Apache-2.0 */
/* A small WebSocket server for the other end of the box, when there is none: it answers pings, and
 *   echo    sends every message back; to {"stream":N} it answers N chunks, 50 ms apart
 *   push    sends a message every second by itself, and nothing else
 *   silent  never sends a message
 *   stream  answers every message with 25 chunks, 50 ms apart
 */
#ifndef HF_CHAOS_BACKEND_H
#define HF_CHAOS_BACKEND_H

#include "io/io.h"

enum hf_chaos_backend_kind {
    HF_BACKEND_ECHO,
    HF_BACKEND_PUSH,
    HF_BACKEND_SILENT,
    HF_BACKEND_STREAM,
    HF_BACKEND_KINDS,
};
/* HF_BACKEND_KINDS: it is none of them. */
enum hf_chaos_backend_kind hf_chaos_backend_from(struct hf_slice text);

struct hf_chaos_backend;
/* Listens on a port of loopback that the system chooses. */
HF_MUST_USE enum hf_status hf_chaos_backend_open(struct hf_loop *loop,
                                                 enum hf_chaos_backend_kind kind,
                                                 struct hf_chaos_backend **backend);
void hf_chaos_backend_address(const struct hf_chaos_backend *b, struct hf_address *address);
void hf_chaos_backend_close(struct hf_chaos_backend *b); /* NULL is accepted */

#endif
