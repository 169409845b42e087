/* SPDX-License-Identifier: Apache-2.0 */
/* Which proxy a connection goes through: the variables of the environment that everybody reads, or
 * a proxy that was named. */
#ifndef HF_CLIENT_PROXY_H
#define HF_CLIENT_PROXY_H

#include "base/buffer.h"
#include "http/url.h"

/* Texts that are owned; NULL: not set. */
struct hf_proxy_environment {
    char *http, *https, *all, *no;
};
/* As the environment stands; what there is no memory for is not set. */
void hf_proxy_environment_read(struct hf_proxy_environment *e);
void hf_proxy_environment_fini(struct hf_proxy_environment *e);

struct hf_proxy {
    bool used;
    struct hf_slice host; /* without brackets; lies in the text of the proxy */
    uint16_t port;
    struct hf_slice credentials; /* "user:password" percent-encoded; empty: none */
};
/* named: NULL: ask the environment; "": none. False when the proxy cannot be read; *why says it. */
bool hf_proxy_choose(const struct hf_proxy_environment *e, const char *named,
                     const struct hf_url *url, struct hf_proxy *proxy, const char **why);
/* Whether no_proxy names the host: "*", names with or without a dot in front that match it and all
 * below it, addresses and blocks, each perhaps with a port. */
bool hf_proxy_is_excepted(struct hf_slice no_proxy, struct hf_slice host, uint16_t port);

#endif
