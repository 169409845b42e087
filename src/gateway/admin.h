/* SPDX-License-Identifier: Apache-2.0 */
/* The admin listener: /healthz, /readyz, /metrics, /api/sessions, /api/endings over HTTP/1.1, on a
 * loop of its own (the main thread's). No token is asked on a loopback address (or a Unix socket);
 * elsewhere admin_token is demanded as a bearer token. */
#ifndef HF_GATEWAY_ADMIN_H
#define HF_GATEWAY_ADMIN_H

#include "gateway/gateway.h"

struct hf_admin;
/* The address and token are the configuration's; why says what failed. */
HF_MUST_USE enum hf_status hf_admin_new(struct hf_gateway *gateway, struct hf_loop *loop,
                                        const struct hf_config *config, struct hf_admin **admin,
                                        struct hf_buffer *why);
void hf_admin_address(const struct hf_admin *admin, struct hf_address *address);
/* Call it before hf_gateway_stop, and let the loop turn once behind that one: then the lists of
 * sessions that are under way give their memory back. NULL is accepted. */
void hf_admin_free(struct hf_admin *admin);

/* The whole of /metrics in the Prometheus text format, from any thread. */
enum hf_status hf_metrics_print(struct hf_gateway *gateway, struct hf_buffer *out);

#endif
