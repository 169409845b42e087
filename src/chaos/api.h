/* SPDX-License-Identifier: Apache-2.0 */
/* toxiproxy's HTTP API over a box: the same paths, JSON and status codes, so that its clients work.
 *
 *   GET  /proxies                      POST /proxies
 *   GET  /proxies/{proxy}              POST or PATCH, DELETE
 *   GET  /proxies/{proxy}/toxics       POST
 *   GET  /proxies/{proxy}/toxics/{toxic}   POST or PATCH, DELETE
 *   POST /reset    POST /populate    GET /version    GET /metrics
 *
 * An error is {"error":"…","status":N}. Times that come in by it are taken as they are: --scale is
 * for profiles. As toxiproxy does, it refuses browsers: any page could ask it. */
#ifndef HF_CHAOS_API_H
#define HF_CHAOS_API_H

#include "chaos/box.h"

struct hf_chaos_api;

/* Listens at address. On failure *api is NULL, and why says what could not be. */
HF_MUST_USE enum hf_status hf_chaos_api_open(struct hf_chaos *chaos,
                                             const struct hf_address *address,
                                             struct hf_chaos_api **api, struct hf_buffer *why);
void hf_chaos_api_address(const struct hf_chaos_api *api, struct hf_address *address);
void hf_chaos_api_close(struct hf_chaos_api *api); /* NULL is accepted */

/* ---- JSON of toxics ---------------------------------------------------------------------------
 */

/* Why a request was refused. */
struct hf_chaos_refusal {
    uint16_t status;
    char why[320];
};
/* {"name":…,"type":…,"stream":…,"toxicity":…,"attributes":{…}} as toxiproxy reads it: what is left
 * out has its default, what is unknown is ignored (unknown attributes of toxics that are not
 * toxiproxy's are refused). NULL: *refusal. */
struct hf_toxic *hf_toxic_from_json(struct hf_slice body, struct hf_chaos_refusal *refusal);
/* A copy of old with what the body changes: attributes and toxicity. NULL: *refusal. */
struct hf_toxic *hf_toxic_changed(const struct hf_toxic *old, struct hf_slice body,
                                  struct hf_chaos_refusal *refusal);

#endif
