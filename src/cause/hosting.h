/* SPDX-License-Identifier: Apache-2.0 */
/* Which CDN, load balancer or host stands in front of a name: by address, by CNAME and by the
 * headers of its answers, also on a 101. Pure tables. */
#ifndef HF_CAUSE_HOSTING_H
#define HF_CAUSE_HOSTING_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hf_hosting {
    const char *id;     /* "cloudflare" */
    const char *name;   /* "Cloudflare" */
    const char *causes; /* prefixes of ids of the catalogue, with spaces between: "cf-" */
    bool is_cdn;        /* terminates and forwards, with timers of its own */
};

size_t hf_hosting_count(void);
/* index below the count. Static. */
const struct hf_hosting *hf_hosting_at(size_t index);
/* NULL: not known. bytes: 4 or 16, in network order. */
const struct hf_hosting *hf_hosting_by_address(const uint8_t *bytes, size_t len);
/* One name of a CNAME chain, a dot at its end allowed. */
const struct hf_hosting *hf_hosting_by_cname(struct hf_slice name);
const struct hf_hosting *hf_hosting_by_header(struct hf_slice name, struct hf_slice value);
const struct hf_hosting *hf_hosting_find(struct hf_slice id);

#endif
