/* SPDX-License-Identifier: Apache-2.0 */
/* Names for the epoll loop; see hf_loop_resolve. */
#ifndef HF_IO_RESOLVE_H
#define HF_IO_RESOLVE_H

#include "io/io.h"

struct loop;
struct resolver;

enum hf_status hf_resolver_start(struct hf_loop *loop, const char *name, hf_resolved *done,
                                 void *owner, uint64_t *id);
void hf_resolver_cancel(struct hf_loop *loop, uint64_t id);
const char *hf_resolver_alias(struct hf_loop *loop, size_t index);
/* A socket of the resolver's has an event. */
void hf_resolver_event(struct loop *loop, int fd, uint32_t events);
/* Without callbacks. NULL is accepted. */
void hf_resolver_free(struct resolver *resolver);

#endif
