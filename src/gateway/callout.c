/* SPDX-License-Identifier: Apache-2.0 */
/* The call-out: one question to the application about one handshake. A name is looked up, its
 * addresses are tried in their order, one GET goes out, and the head of the answer decides; only a
 * refusal's body is read. One timer bounds all of it. */
#include "gateway/callout.h"

#include "http/url.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define ANSWER_HEAD_MAX 32768
#define ANSWER_BODY_MAX 65536
/* 1xx answers in front of the real one. */
#define INTERIM_MAX 8
/* Addresses of one name that are tried. */
#define ADDRESSES_MAX 8
#define WHY_MAX 192

/* ---- the target ---------------------------------------------------------------------------------
 */

/* Everything that an open call-out needs of the configuration, so that a reload takes nothing away.
 */
struct hf_callout_target {
    _Atomic uint32_t refs; /* the route's, and one for each open call-out, on whatever loop */
    char *host;            /* to look up and, with TLS, to verify */
    uint16_t port;
    struct hf_address
        address;        /* of a numeric host or a Unix socket; len 0: the host is looked up */
    char *path;         /* request target, with its query */
    char *authority;    /* Host, for a client that named none */
    struct hf_tls *tls; /* NULL: plain */
    hf_time timeout;
    char *subject;
    char **copy;
    size_t copy_count;
};

static char *copy_text(struct hf_slice text)
{
    return hf_alloc_text(&hf_heap, text);
}

static void target_unref(struct hf_callout_target *t)
{
    if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (size_t i = 0; t->copy != NULL && i < t->copy_count; i++) {
        free(t->copy[i]);
    }
    free(t->copy);
    free(t->subject);
    free(t->authority);
    free(t->path);
    free(t->host);
    hf_tls_unref(t->tls);
    free(t);
}

/* Headers that are about this one connection, or that bound a message: copied into the backend's
 * request they would make another request of it. */
static bool may_be_copied(const char *name)
{
    static const char *const connection[] = {"Connection",
                                             "Content-Length",
                                             "Host",
                                             "Keep-Alive",
                                             "Proxy-Connection",
                                             "Proxy-Authenticate",
                                             "TE",
                                             "Trailer",
                                             "Transfer-Encoding",
                                             "Upgrade",
                                             NULL};
    struct hf_slice text = hf_slice_of(name);
    for (size_t i = 0; connection[i] != NULL; i++) {
        if (hf_slice_eq_nocase(text, hf_slice_of(connection[i]))) {
            return false;
        }
    }
    return !hf_slice_eq_nocase(hf_slice_first(text, 14), HF_LITERAL("Sec-WebSocket-"));
}

static enum hf_status copy_names(struct hf_callout_target *t, const struct hf_route_config *config,
                                 struct hf_buffer *why)
{
    const struct hf_string_list *names = &config->callout.copy;
    t->copy = calloc(names->count + 1, sizeof(*t->copy));
    if (t->copy == NULL) {
        return HF_NO_MEMORY;
    }
    for (; t->copy_count < names->count; t->copy_count++) {
        const char *name = names->items[t->copy_count];
        if (!may_be_copied(name)) {
            hf_buffer_addf(why, "callout.copy: %s belongs to one connection and cannot be copied",
                           name);
            return HF_INVALID;
        }
        t->copy[t->copy_count] = strdup(name);
        if (t->copy[t->copy_count] == NULL) {
            return HF_NO_MEMORY;
        }
    }
    return HF_OK;
}

/* "[::1]:80" for the parser of addresses, which a name is not. */
static bool parse_numeric(const struct hf_url *url, struct hf_address *address)
{
    char text[160];
    bool is_unix = hf_slice_eq(url->scheme, HF_LITERAL("unix"));
    int len = is_unix ? snprintf(text, sizeof(text), "unix:%.*s", HF_SLICE_ARG(url->host))
                      : snprintf(text, sizeof(text), url->host_is_ipv6 ? "[%.*s]:%u" : "%.*s:%u",
                                 HF_SLICE_ARG(url->host), url->port);
    return len > 0 && (size_t)len < sizeof(text) &&
           hf_address_parse(hf_slice(text, (size_t)len), address);
}

static enum hf_status copy_url(struct hf_callout_target *t, const struct hf_url *url)
{
    struct hf_buffer text;
    hf_buffer_init(&text, &hf_heap, 65536);
    hf_buffer_addf(&text, url->host_is_ipv6 ? "[%.*s]" : "%.*s", HF_SLICE_ARG(url->host));
    if (url->port != (url->tls ? 443 : 80)) {
        hf_buffer_addf(&text, ":%u", url->port);
    }
    if (hf_slice_eq(url->scheme, HF_LITERAL("unix"))) {
        hf_buffer_clear(&text);
        hf_buffer_add_text(&text, "localhost");
    }
    t->authority = text.failed ? NULL : copy_text(hf_buffer_slice(&text));
    hf_buffer_clear(&text);
    hf_buffer_add(&text, url->path);
    if (url->query.ptr != NULL) {
        hf_buffer_add_text(&text, "?");
        hf_buffer_add(&text, url->query);
    }
    t->path = text.failed ? NULL : copy_text(hf_buffer_slice(&text));
    hf_buffer_reset(&text);
    t->host = copy_text(url->host);
    t->port = url->port;
    if (!parse_numeric(url, &t->address)) {
        t->address = (struct hf_address){.len = 0};
    }
    return t->authority == NULL || t->path == NULL || t->host == NULL ? HF_NO_MEMORY : HF_OK;
}

enum hf_status hf_callout_target_new(const struct hf_route_config *config,
                                     struct hf_callout_target **target, struct hf_buffer *why)
{
    *target = NULL;
    struct hf_url url;
    const char *wrong = "there is none";
    if (config->callout.url == NULL ||
        !hf_url_parse(hf_slice_of(config->callout.url), &url, &wrong)) {
        hf_buffer_addf(why, "callout.url: %s: %s",
                       config->callout.url == NULL ? "" : config->callout.url, wrong);
        return HF_INVALID;
    }
    struct hf_callout_target *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return HF_NO_MEMORY;
    }
    atomic_init(&t->refs, 1);
    t->timeout = config->callout.timeout;
    enum hf_status status = copy_url(t, &url);
    if (status == HF_OK) {
        t->subject = strdup(config->callout.subject == NULL ? "" : config->callout.subject);
        status = t->subject == NULL ? HF_NO_MEMORY : copy_names(t, config, why);
    }
    if (status == HF_OK && url.tls) {
        /* Always verified: whoever answers here decides who comes in. */
        struct hf_tls_client_options options = {.ca = config->upstream_tls.ca};
        status = hf_tls_client_new(&options, &t->tls, why);
    }
    if (status == HF_OK) {
        *target = t;
    } else {
        target_unref(t);
    }
    return status;
}

void hf_callout_target_free(struct hf_callout_target *target)
{
    if (target != NULL) {
        target_unref(target);
    }
}

/* ---- one call-out -------------------------------------------------------------------------------
 */

enum callout_state {
    CALLOUT_RESOLVING,
    CALLOUT_CONNECTING,
    CALLOUT_ASKING,   /* the request goes out, the head of the answer comes in */
    CALLOUT_READING,  /* the body of a refusal comes in */
    CALLOUT_HOPELESS, /* failed inside hf_callout_start: told on the next turn */
    CALLOUT_DONE,     /* inside `done`: nothing is open any more */
};

/* A stream is open exactly in CONNECTING, ASKING and READING; the timer is set in all states but
 * DONE. */
struct hf_callout {
    enum callout_state state;
    struct hf_loop *loop;
    struct hf_callout_target *target;
    hf_callout_done *done;
    void *owner;
    struct hf_timer timer;
    uint64_t lookup;
    struct hf_stream *stream;
    struct hf_address addresses[ADDRESSES_MAX];
    size_t address_count;
    size_t address_next;
    struct hf_buffer request; /* what was sent is dropped */
    struct hf_buffer head;    /* of the answer, and what came with it */
    unsigned interim;
    uint16_t status;
    enum hf_body_kind body_kind;
    uint64_t body_left;
    struct hf_chunked chunked;
    struct hf_buffer body;
    char why[WHY_MAX];
};

static void become(struct hf_callout *c, enum callout_state state)
{
    static const uint8_t may_become[] = {
        [CALLOUT_RESOLVING] = 1 << CALLOUT_CONNECTING | 1 << CALLOUT_HOPELESS | 1 << CALLOUT_DONE,
        [CALLOUT_CONNECTING] = 1 << CALLOUT_CONNECTING | 1 << CALLOUT_ASKING |
                               1 << CALLOUT_HOPELESS | 1 << CALLOUT_DONE,
        [CALLOUT_ASKING] = 1 << CALLOUT_READING | 1 << CALLOUT_DONE,
        [CALLOUT_READING] = 1 << CALLOUT_DONE,
        [CALLOUT_HOPELESS] = 1 << CALLOUT_DONE,
        [CALLOUT_DONE] = 0,
    };
    HF_ASSERT((may_become[c->state] >> state & 1) != 0);
    c->state = state;
}

static void close_all(struct hf_callout *c)
{
    hf_timer_stop(c->loop, &c->timer);
    if (c->lookup != 0) {
        hf_loop_resolve_cancel(c->loop, c->lookup);
        c->lookup = 0;
    }
    hf_stream_close(c->stream);
    c->stream = NULL;
}

static void callout_free(struct hf_callout *c)
{
    hf_buffer_reset(&c->request);
    hf_buffer_reset(&c->head);
    hf_buffer_reset(&c->body);
    target_unref(c->target);
    free(c);
}

/* The one way out but cancelling: c is gone behind it. */
static void finish(struct hf_callout *c, const struct hf_callout_answer *answer)
{
    become(c, CALLOUT_DONE);
    close_all(c);
    c->done(c->owner, answer);
    callout_free(c);
}

static void finish_without(struct hf_callout *c, enum hf_callout_kind kind)
{
    struct hf_callout_answer answer = {.kind = kind, .status = c->status, .why = c->why};
    finish(c, &answer);
}

HF_PRINTF(2, 3) static void fail(struct hf_callout *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(c->why, sizeof(c->why), format, args);
    va_end(args);
    finish_without(c, HF_CALLOUT_FAILED);
}

static void fail_malformed(struct hf_callout *c, const char *why)
{
    fail(c, "malformed answer: %s", why);
}

/* ---- what the answer says -----------------------------------------------------------------------
 */

/* All lines of that name, joined as a list (RFC 9110 5.3). */
static void join_values(const struct hf_head *head, const char *name, struct hf_buffer *out)
{
    for (size_t i = 0; i < head->count; i++) {
        if (hf_slice_eq_nocase(head->headers[i].name, hf_slice_of(name))) {
            hf_buffer_add_text(out, out->len > 0 ? ", " : "");
            hf_buffer_add(out, head->headers[i].value);
        }
    }
}

/* The values hold no CR, LF or NUL: a head with one of them is not read at all. */
static void copy_headers(const struct hf_callout_target *t, const struct hf_head *head,
                         struct hf_buffer *out)
{
    for (size_t i = 0; i < t->copy_count; i++) {
        for (size_t j = 0; j < head->count; j++) {
            if (hf_slice_eq_nocase(head->headers[j].name, hf_slice_of(t->copy[i]))) {
                hf_buffer_add_text(out, t->copy[i]);
                hf_buffer_add_text(out, ": ");
                hf_buffer_add(out, head->headers[j].value);
                hf_buffer_add_text(out, "\r\n");
            }
        }
    }
}

static void allow(struct hf_callout *c, const struct hf_head *head)
{
    const struct hf_slice *subject = hf_head_find(head, c->target->subject);
    if (hf_head_count(head, c->target->subject) > 1) {
        fail_malformed(c, "it names more than one subject");
        return;
    }
    struct hf_buffer headers;
    hf_buffer_init(&headers, &hf_heap, 2 * ANSWER_HEAD_MAX);
    copy_headers(c->target, head, &headers);
    if (headers.failed) {
        fail(c, "%s", hf_status_text(HF_NO_MEMORY));
    } else {
        (void)snprintf(c->why, sizeof(c->why), "status %u", c->status);
        struct hf_callout_answer answer = {.kind = HF_CALLOUT_ALLOW,
                                           .status = c->status,
                                           .why = c->why,
                                           .headers = hf_buffer_slice(&headers)};
        if (subject != NULL) {
            answer.subject = *subject;
        }
        finish(c, &answer);
    }
    hf_buffer_reset(&headers);
}

/* The refusal is whole, or as much of it as is passed on. */
static void deny(struct hf_callout *c)
{
    struct hf_head head;
    const char *wrong;
    enum hf_head_read read =
        hf_response_read(hf_buffer_slice(&c->head), ANSWER_HEAD_MAX, &head, &wrong);
    HF_ASSERT(read == HF_HEAD_READ);
    const struct hf_slice *type = hf_head_find(&head, "content-type");
    struct hf_buffer challenge;
    hf_buffer_init(&challenge, &hf_heap, 2 * ANSWER_HEAD_MAX);
    join_values(&head, "www-authenticate", &challenge);
    (void)snprintf(c->why, sizeof(c->why), "status %u", c->status);
    struct hf_callout_answer answer = {.kind = HF_CALLOUT_DENY,
                                       .status = c->status,
                                       .why = c->why,
                                       .challenge = challenge.failed ? hf_slice(NULL, 0)
                                                                     : hf_buffer_slice(&challenge),
                                       .body = hf_buffer_slice(&c->body)};
    if (type != NULL) {
        answer.content_type = *type;
    }
    finish(c, &answer);
    hf_buffer_reset(&challenge);
}

/* ---- reading ------------------------------------------------------------------------------------
 */

/* What does not fit is not passed on. */
static bool keep_body(struct hf_callout *c, struct hf_slice bytes)
{
    struct hf_slice fits = hf_slice_first(bytes, ANSWER_BODY_MAX - c->body.len);
    if (hf_buffer_add(&c->body, fits) != HF_OK) {
        fail(c, "%s", hf_status_text(HF_NO_MEMORY));
        return false;
    }
    return true;
}

/* False when c is gone. */
static bool read_chunks(struct hf_callout *c, struct hf_slice bytes)
{
    while (bytes.len > 0 && !c->chunked.done && c->body.len < ANSWER_BODY_MAX) {
        size_t taken = 0;
        struct hf_slice data;
        if (!hf_chunked_read(&c->chunked, bytes, &taken, &data)) {
            fail_malformed(c, "its chunked coding is broken");
            return false;
        }
        if (!keep_body(c, data)) {
            return false;
        }
        if (taken == 0) {
            break;
        }
        bytes = hf_slice_from(bytes, taken);
    }
    return true;
}

/* Ends the call-out when the body is whole. c may be gone behind it. */
static void read_body(struct hf_callout *c, struct hf_slice bytes)
{
    if (c->body_kind == HF_BODY_CHUNKED) {
        if (!read_chunks(c, bytes)) {
            return;
        }
    } else {
        struct hf_slice part =
            hf_slice_first(bytes, c->body_left < SIZE_MAX ? (size_t)c->body_left : SIZE_MAX);
        if (!keep_body(c, part)) {
            return;
        }
        c->body_left -= c->body_kind == HF_BODY_LENGTH ? part.len : 0;
    }
    if (c->body_left == 0 || c->chunked.done || c->body.len == ANSWER_BODY_MAX) {
        deny(c);
    }
}

/* The head is whole: decides. c may be gone behind it. */
static void judge(struct hf_callout *c, const struct hf_head *head)
{
    c->status = head->status;
    if (head->status >= 200 && head->status < 300) {
        allow(c, head);
        return;
    }
    if (head->status != 401 && head->status != 403) {
        fail(c, "status %u", head->status);
        return;
    }
    c->body_kind = hf_response_body(head, &c->body_left);
    if (c->body_kind == HF_BODY_BAD) {
        fail_malformed(c, "its Content-Length or Transfer-Encoding");
        return;
    }
    if (c->body_kind == HF_BODY_CHUNKED || c->body_kind == HF_BODY_UNTIL_CLOSE) {
        c->body_left = UINT64_MAX;
    }
    become(c, CALLOUT_READING);
    struct hf_slice rest = hf_slice_from(hf_buffer_slice(&c->head), head->size);
    c->head.len = head->size; /* the rest stays readable behind it until the next append */
    read_body(c, rest);
}

/* Reads the head as far as it came. c may be gone behind it. */
static void read_head(struct hf_callout *c)
{
    for (;;) {
        struct hf_head head;
        const char *wrong = NULL;
        switch (hf_response_read(hf_buffer_slice(&c->head), ANSWER_HEAD_MAX, &head, &wrong)) {
        case HF_HEAD_MORE:
            return;
        case HF_HEAD_BAD:
        case HF_HEAD_TOO_BIG:
        case HF_HEAD_NOT_HTTP:
            fail_malformed(c, wrong);
            return;
        case HF_HEAD_READ:
            break;
        }
        if (head.status >= 200 || head.status == 101) {
            judge(c, &head);
            return;
        }
        if (++c->interim > INTERIM_MAX) {
            fail_malformed(c, "too many interim answers");
            return;
        }
        hf_buffer_drop(&c->head, head.size);
    }
}

/* ---- what the stream says -----------------------------------------------------------------------
 */

static enum hf_status start_attempt(struct hf_callout *c);

static void send_request(struct hf_callout *c)
{
    if (c->request.len > 0) {
        hf_buffer_drop(&c->request, hf_stream_send(c->stream, hf_buffer_slice(&c->request)));
    }
}

static void on_open(void *owner, struct hf_stream *stream)
{
    struct hf_callout *c = owner;
    become(c, CALLOUT_ASKING);
    send_request(c);
}

static void on_writable(void *owner, struct hf_stream *stream)
{
    send_request(owner);
}

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct hf_callout *c = owner;
    size_t len = bytes.len;
    if (c->state == CALLOUT_READING) {
        read_body(c, bytes);
    } else if (hf_buffer_add(&c->head, bytes) != HF_OK) {
        fail(c, "%s", hf_status_text(HF_NO_MEMORY));
    } else {
        read_head(c);
    }
    return len;
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct hf_callout *c = owner;
    bool orderly = end->kind == HF_END_FIN || end->kind == HF_END_TLS_NOTIFY;
    if (c->state == CALLOUT_CONNECTING) {
        (void)snprintf(c->why, sizeof(c->why), "connect: %s", end->detail);
        hf_stream_close(c->stream);
        c->stream = NULL;
        (void)start_attempt(c);
    } else if (c->state == CALLOUT_READING && c->body_kind == HF_BODY_UNTIL_CLOSE && orderly) {
        deny(c);
    } else if (c->state == CALLOUT_ASKING && orderly && c->head.len == 0) {
        fail(c, "closed without an answer");
    } else {
        fail(c, "the answer ended early: %s", end->detail);
    }
}

/* The next address; hopeless when there is none left, with the status of the last attempt. That is
 * told on a later turn, for this may run inside hf_callout_start. */
static enum hf_status start_attempt(struct hf_callout *c)
{
    static const struct hf_stream_handler handler = {on_open, on_bytes, on_writable, on_end};
    enum hf_status status = HF_IO;
    while (c->address_next < c->address_count) {
        struct hf_connect how = {.address = c->addresses[c->address_next++],
                                 .tls = {.tls = c->target->tls, .name = c->target->host}};
        if (c->state != CALLOUT_CONNECTING) {
            become(c, CALLOUT_CONNECTING);
        }
        status = hf_loop_connect(c->loop, &how, &handler, c, &c->stream);
        if (status == HF_OK) {
            return status;
        }
        c->stream = NULL;
        (void)snprintf(c->why, sizeof(c->why), "connect: %s", hf_status_text(status));
    }
    become(c, CALLOUT_HOPELESS);
    hf_timer_set(c->loop, &c->timer, hf_loop_now(c->loop));
    return status;
}

static void on_resolved(void *owner, enum hf_status status, const struct hf_address *addresses,
                        size_t count)
{
    struct hf_callout *c = owner;
    c->lookup = 0;
    if (status != HF_OK) {
        fail(c, "%s: %s", c->target->host,
             status == HF_NOT_FOUND ? "no such name" : "the name servers do not answer");
        return;
    }
    for (size_t i = 0; i < count && c->address_count < ADDRESSES_MAX; i++) {
        struct hf_address *a = &c->addresses[c->address_count++];
        *a = addresses[i];
        if (a->u.any.sa_family == AF_INET6) {
            a->u.v6.sin6_port = htons(c->target->port);
        } else {
            a->u.v4.sin_port = htons(c->target->port);
        }
    }
    (void)start_attempt(c);
}

static void on_time(struct hf_timer *timer, hf_time now)
{
    struct hf_callout *c = HF_CONTAINER(timer, struct hf_callout, timer);
    static const char *const missing[] = {
        [CALLOUT_RESOLVING] = "no address",
        [CALLOUT_CONNECTING] = "no connection",
        [CALLOUT_ASKING] = "no answer",
        [CALLOUT_READING] = "no whole answer",
        [CALLOUT_HOPELESS] = "",
        [CALLOUT_DONE] = "",
    };
    if (c->state == CALLOUT_HOPELESS) {
        finish_without(c, HF_CALLOUT_FAILED);
        return;
    }
    char text[24];
    hf_duration_text(c->target->timeout, text);
    (void)snprintf(c->why, sizeof(c->why), "%s in %s", missing[c->state], text);
    finish_without(c, HF_CALLOUT_TIMEOUT);
}

/* ---- asking -------------------------------------------------------------------------------------
 */

/* The client's values as they came: its head was read strictly, so none can end its line. */
static void build_request(const struct hf_callout_target *t, const struct hf_head *request,
                          const char *peer, bool tls, struct hf_buffer *out)
{
    static const char *const passed[] = {"Origin", "Cookie", "Authorization", "User-Agent",
                                         "Sec-WebSocket-Protocol"};
    const struct hf_slice *host = hf_head_find(request, "host");
    hf_buffer_addf(out, "GET %s HTTP/1.1\r\nHost: ", t->path);
    if (host != NULL && host->len > 0) {
        hf_buffer_add(out, *host);
    } else {
        hf_buffer_add_text(out, t->authority);
    }
    hf_buffer_add_text(out, "\r\n");
    for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++) {
        for (size_t j = 0; j < request->count; j++) {
            if (hf_slice_eq_nocase(request->headers[j].name, hf_slice_of(passed[i]))) {
                hf_buffer_add_text(out, passed[i]);
                hf_buffer_add_text(out, ": ");
                hf_buffer_add(out, request->headers[j].value);
                hf_buffer_add_text(out, "\r\n");
            }
        }
    }
    hf_buffer_add_text(out, "X-Original-URI: ");
    hf_buffer_add(out, request->target);
    hf_buffer_add_text(out, "\r\nX-Original-Method: ");
    hf_buffer_add(out, request->method);
    hf_buffer_addf(out,
                   "\r\nX-Forwarded-For: %s\r\nX-Forwarded-Proto: %s\r\nConnection: close\r\n\r\n",
                   peer, tls ? "https" : "http");
}

/* Begins with the lookup or, for a numeric host, with connecting. Only what this machine lacks is a
 * status; everything else is told as the call-out's failure. */
static enum hf_status begin(struct hf_callout *c)
{
    enum hf_status status;
    if (c->target->address.len > 0) {
        c->addresses[c->address_count++] = c->target->address;
        status = start_attempt(c);
    } else if ((status = hf_loop_resolve(c->loop, c->target->host, on_resolved, c, &c->lookup)) !=
               HF_OK) {
        (void)snprintf(c->why, sizeof(c->why), "%s: %s", c->target->host, hf_status_text(status));
        become(c, CALLOUT_HOPELESS);
        hf_timer_set(c->loop, &c->timer, hf_loop_now(c->loop));
    }
    return status == HF_NO_MEMORY || status == HF_NO_DESCRIPTORS ? status : HF_OK;
}

enum hf_status hf_callout_start(struct hf_loop *loop, const struct hf_callout_target *target,
                                const struct hf_route_config *config, const struct hf_head *request,
                                const char *peer, bool tls, hf_callout_done *done, void *owner,
                                struct hf_callout **callout)
{
    *callout = NULL;
    struct hf_callout *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return HF_NO_MEMORY;
    }
    /* Only the count of the target changes. */
    c->target = (struct hf_callout_target *)(uintptr_t)target;
    atomic_fetch_add_explicit(&c->target->refs, 1, memory_order_relaxed);
    c->loop = loop;
    c->done = done;
    c->owner = owner;
    hf_timer_init(&c->timer, on_time);
    hf_buffer_init(&c->request, &hf_heap, 2 * (size_t)HF_HEAD_BYTES_MAX);
    hf_buffer_init(&c->head, &hf_heap, ANSWER_HEAD_MAX + HF_STREAM_UNREAD_MAX);
    hf_buffer_init(&c->body, &hf_heap, ANSWER_BODY_MAX);
    hf_timer_set(loop, &c->timer, hf_loop_now(loop) + target->timeout);
    build_request(target, request, peer, tls, &c->request);
    enum hf_status status = c->request.failed ? HF_NO_MEMORY : begin(c);
    if (status == HF_OK) {
        *callout = c;
    } else {
        close_all(c);
        callout_free(c);
    }
    return status;
}

void hf_callout_cancel(struct hf_callout *callout)
{
    /* Inside `done` it is gone already but for its memory. */
    if (callout != NULL && callout->state != CALLOUT_DONE) {
        close_all(callout);
        callout_free(callout);
    }
}
