/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP/1.1 server for what a tool shows of itself: pages, metrics, a JSON API. One handler
 * answers each request at once; what it cannot know at once it does not offer. Everything is
 * bounded: connections, heads, bodies, answers and the time for each of them. Over io.h alone. */
#ifndef HF_IO_HTTPD_H
#define HF_IO_HTTPD_H

#include "base/buffer.h"
#include "http/head.h"
#include "io/io.h"

#define HF_HTTPD_ANSWER_MAX ((size_t)64 << 20) /* bytes of one answer's body */

struct hf_httpd;

struct hf_httpd_request { /* all of it dies with the call */
    const struct hf_head *head;
    struct hf_slice path;  /* as it came, without the query */
    struct hf_slice query; /* ptr NULL when there is no question mark */
    struct hf_slice body;
};

struct hf_httpd_answer {
    uint16_t status;        /* 200 */
    const char *type;       /* Content-Type; static; "text/plain; charset=utf-8" */
    const char *headers;    /* further lines, each with CRLF; lives until the handler's next call */
    struct hf_buffer *body; /* empty; one that failed becomes a 503 */
};
/* HEAD is asked as GET, and the body stays here. */
typedef void hf_httpd_handler(void *owner, const struct hf_httpd_request *request,
                              struct hf_httpd_answer *answer);

struct hf_httpd_how {
    struct hf_address address;
    hf_httpd_handler *handler;
    void *owner;
    size_t body_max; /* bytes of a request's body; 0: none is taken */
    bool check_host; /* the Host header must be an address, localhost, or one of hosts: a page of a
                      * stranger that has its own name lead here is refused (DNS rebinding) */
    const char *const *hosts; /* NULL at its end; NULL: none more. Outlives the server */
    const char *token; /* Authorization: Bearer is demanded everywhere but at `open`; NULL: no */
    const char *open;  /* one path that is open without a token: "/healthz"; may be NULL */
};

/* On failure *httpd is NULL and why says, for a person, what could not be. */
HF_MUST_USE enum hf_status hf_httpd_new(struct hf_loop *loop, const struct hf_httpd_how *how,
                                        struct hf_httpd **httpd, struct hf_buffer *why);
/* Where it listens, with the port that the system chose. */
void hf_httpd_address(const struct hf_httpd *httpd, struct hf_address *address);
/* NULL is accepted. Not inside its own handler. */
void hf_httpd_free(struct hf_httpd *httpd);

/* Sets status and type, and one sentence with a newline as the body. */
void hf_httpd_say(struct hf_httpd_answer *answer, uint16_t status, const char *format, ...)
    HF_PRINTF(3, 4);

#endif
