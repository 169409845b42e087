/* SPDX-License-Identifier: Apache-2.0 */
/* What the admin listener answers to one request: who may ask, which page it is, and its text.
 * Inside src/gateway only. */
#ifndef HF_GATEWAY_ADMIN_PAGES_H
#define HF_GATEWAY_ADMIN_PAGES_H

#include "gateway/gateway.h"

/* Bytes of one page; more is answered with 503. */
#define HF_PAGE_BYTES_MAX ((size_t)512 << 20)

struct hf_page_access {
    bool check_host;   /* a web page must not reach this address under a name of its own (DNS
                          rebinding) */
    const char *token; /* demanded as a bearer token; NULL: none */
};

/* The answer's parts; body is the caller's, cleared before. */
struct hf_page {
    uint16_t status;
    const char *type;    /* Content-Type */
    const char *headers; /* further header lines, each with its CRLF; "" for none */
    bool close;          /* the connection cannot go on: what follows the head is not known */
    bool sessions; /* the answer is /api/sessions: to be gathered from the workers, at most `limit`
                    */
    uint32_t limit;
    struct hf_buffer *body;
};

/* Fills the page in, but for /api/sessions, where status is 200 and the body is the caller's to
 * gather. */
void hf_page_make(struct hf_gateway *gateway, const struct hf_page_access *access,
                  const struct hf_head *head, struct hf_page *page);
/* One plain sentence. */
void hf_page_say(struct hf_page *page, uint16_t status, const char *format, ...) HF_PRINTF(3, 4);

#endif
