/* SPDX-License-Identifier: Apache-2.0 */
/* Target and Host of a request: see request.h. */
#include "client/request.h"

/* RFC 3986 2.3: what is not unreserved is percent-encoded. */
static void add_encoded(struct hf_buffer *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        const bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                           (*p >= '0' && *p <= '9') || strchr("-._~", *p) != NULL;
        if (plain) {
            hf_buffer_add_byte(out, (uint8_t)*p);
        } else {
            hf_buffer_addf(out, "%%%02X", (uint8_t)*p);
        }
    }
}

void hf_request_add_target(const struct hf_url *url, const char *name, const char *token,
                           struct hf_buffer *out)
{
    hf_buffer_add(out, url->path);
    if (url->query.ptr != NULL) {
        hf_buffer_add_text(out, "?");
        hf_buffer_add(out, url->query);
    }
    if (token != NULL && *token != '\0' && name != NULL) {
        const bool more = url->query.ptr != NULL && url->query.len > 0;
        hf_buffer_add_text(out, more ? "&" : url->query.ptr != NULL ? "" : "?");
        add_encoded(out, name);
        hf_buffer_add_text(out, "=");
        add_encoded(out, token);
    }
}

void hf_request_add_host(const struct hf_url *url, struct hf_buffer *out)
{
    if (url->port == 0) {
        hf_buffer_add_text(out, "localhost");
        return;
    }
    hf_buffer_addf(out, url->host_is_ipv6 ? "[%.*s]" : "%.*s", HF_SLICE_ARG(url->host));
    if (url->port != (url->tls ? 443 : 80)) {
        hf_buffer_addf(out, ":%u", url->port);
    }
}
