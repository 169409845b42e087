/* SPDX-License-Identifier: Apache-2.0 */
/* Names. */
#include "io/resolve.h"
enum hf_status hf_resolver_start(struct hf_loop *loop, const char *name, hf_resolved *done,
                                 void *owner, uint64_t *id)
{
    return HF_IO;
}
void hf_resolver_cancel(struct hf_loop *loop, uint64_t id) {}
void hf_resolver_event(struct loop *loop, int fd, uint32_t events) {}
void hf_resolver_free(struct resolver *resolver) {}
