/* SPDX-License-Identifier: Apache-2.0 */
/* One attempt: see dialer.h.
 *
 *   NAME → CONNECT → (PROXY) → (TLS) → HEAD → (BODY) → report
 *
 * A dialer has one stream from when the first address answered; before, it has one for each address
 * that it tries. */
#include "client/dialer.h"

#include "base/hash.h"
#include "ws/handshake.h"

#include <stdio.h>
#include <stdlib.h>

#define HEAD_MAX 65536
#define WHY_MAX 240

#define BODY_WAIT HF_SECONDS(1)

#define NAME HF_DIALER_NAME
#define CONNECT HF_DIALER_CONNECT
#define PROXY HF_DIALER_PROXY
#define TLS HF_DIALER_TLS
#define HEAD HF_DIALER_HEAD
#define BODY HF_DIALER_BODY

struct hf_dialer {
    struct hf_loop *loop;
    hf_dialer_done *done;
    void *owner;
    hf_dialer_stepped *stepped;
    enum hf_dialer_step phase;
    struct hf_timer begin; /* the first step, the next address, or the end of the wait for a body */
    struct hf_timer limit; /* of the whole attempt */
    uint64_t name;         /* look-up under way; 0: none */
    struct hf_address addresses[HF_DIALER_ADDRESSES];
    struct hf_stream *tries[HF_DIALER_ADDRESSES]; /* NULL: not begun, or failed */
    size_t count, next;
    struct hf_stream *stream; /* the one that stands */
    struct hf_tls *tls;
    bool wants_tls, by_proxy;
    char *connect_host; /* to look up: the proxy's, or the endpoint's */
    uint16_t connect_port;
    char *host;                                 /* of the endpoint */
    struct hf_buffer hello, request, protocols; /* hello: CONNECT's head */
    size_t sent;                                /* of the head that goes out */
    char key[HF_WS_KEY_CHARS];
    int family;
    struct hf_socket_options options;
    size_t body_max;
    struct hf_buffer answer; /* a refusal: its head, and what came of its body */
    bool proxy_refused;      /* it is the proxy's */
    enum hf_loss loss;       /* of the last address that failed */
    int error;
    char why[WHY_MAX];
};

static void try_next(struct hf_dialer *d);

/* ---- the end ------------------------------------------------------------------------------------
 */

static void close_tries(struct hf_dialer *d)
{
    for (size_t i = 0; i < d->count; i++) {
        hf_stream_close(d->tries[i]);
        d->tries[i] = NULL;
    }
}

static void dialer_free(struct hf_dialer *d)
{
    hf_timer_stop(d->loop, &d->begin);
    hf_timer_stop(d->loop, &d->limit);
    if (d->name != 0) {
        hf_loop_resolve_cancel(d->loop, d->name);
    }
    close_tries(d);
    hf_stream_close(d->stream);
    free(d->connect_host);
    free(d->host);
    hf_buffer_reset(&d->hello);
    hf_buffer_reset(&d->request);
    hf_buffer_reset(&d->protocols);
    hf_buffer_reset(&d->answer);
    free(d);
}

void hf_dialer_cancel(struct hf_dialer *d)
{
    if (d != NULL) {
        dialer_free(d);
    }
}

static void report(struct hf_dialer *d, struct hf_dialer_result *result)
{
    char why[WHY_MAX];
    hf_dialer_done *done = d->done;
    void *owner = d->owner;
    struct hf_buffer answer = d->answer;
    memcpy(why, d->why, sizeof(why));
    result->why = why;
    result->step = d->phase;
    result->error = d->error;
    hf_buffer_init(&d->answer, &hf_heap, 0);
    dialer_free(d);
    done(owner, result);
    hf_buffer_reset(&answer);
}

static void step_done(struct hf_dialer *d, enum hf_dialer_step step,
                      const struct hf_address *address)
{
    if (d->stepped != NULL) {
        d->stepped(d->owner, step, d->stream, address);
    }
}

static void set_why(struct hf_dialer *d, const char *why)
{
    (void)snprintf(d->why, sizeof(d->why), "%s", why);
}

static void fail(struct hf_dialer *d, enum hf_loss loss, const char *why)
{
    struct hf_dialer_result result = {.loss = loss};
    set_why(d, why);
    report(d, &result);
}

/* ---- heads that go out --------------------------------------------------------------------------
 */

static void flush(struct hf_dialer *d)
{
    struct hf_buffer *out = d->phase == PROXY ? &d->hello : &d->request;
    if (d->sent < out->len) {
        d->sent += hf_stream_send(d->stream, hf_slice_from(hf_buffer_slice(out), d->sent));
    }
}

static void send_request(struct hf_dialer *d)
{
    d->phase = HEAD;
    d->sent = 0;
    flush(d);
}

static void begin_tls(struct hf_dialer *d)
{
    const struct hf_tls_how how = {.tls = d->tls, .name = d->host};
    d->phase = TLS;
    if (hf_stream_start_tls(d->stream, &how) != HF_OK) {
        fail(d, HF_LOSS_TLS_FAILED, "the host's name cannot be verified, or there was no memory");
    }
}

/* The way to the endpoint stands. */
static void reached(struct hf_dialer *d)
{
    if (d->by_proxy) {
        step_done(d, HF_DIALER_PROXY, NULL);
    }
    if (d->wants_tls) {
        begin_tls(d);
    } else {
        send_request(d);
    }
}

/* ---- heads that come ----------------------------------------------------------------------------
 */

/* "403 Forbidden: no such path" */
static void say_status(struct hf_dialer *d, const struct hf_head *head, struct hf_slice body)
{
    size_t len = 0;
    while (len < body.len && len < 120 && body.ptr[len] >= ' ' && body.ptr[len] != 0x7f) {
        len++;
    }
    const bool text = len > 0 && body.ptr[0] != '<' && body.ptr[0] != '{';
    (void)snprintf(d->why, sizeof(d->why), "%u %.*s%s%.*s", head->status,
                   (int)(head->reason.len < 60 ? head->reason.len : 60),
                   (const char *)head->reason.ptr, text ? ": " : "", text ? (int)len : 0,
                   (const char *)body.ptr);
}

static int64_t retry_after(const struct hf_head *head)
{
    const struct hf_slice *value = hf_head_find(head, "Retry-After");
    uint64_t seconds;
    return value != NULL && hf_slice_number(*value, 86400, &seconds) ? (int64_t)seconds * 1000 : 0;
}

static void refused(struct hf_dialer *d, const struct hf_head *head, struct hf_slice body)
{
    struct hf_dialer_result result = {
        .loss = d->phase == PROXY || d->proxy_refused ? HF_LOSS_PROXY_REFUSED
                                                      : HF_LOSS_HANDSHAKE_REFUSED,
        .http = head->status,
        .retry_ms = retry_after(head),
        .head = head,
        .body = body,
    };
    say_status(d, head, body);
    report(d, &result);
}

/* ---- the body of a refusal ----------------------------------------------------------------------
 */

/* Whole, or as much as is wanted. */
static bool body_is_enough(const struct hf_dialer *d, const struct hf_head *head)
{
    const size_t here = d->answer.len - head->size;
    uint64_t length = 0;
    const enum hf_body_kind kind = hf_response_body(head, &length);
    return here >= d->body_max || kind == HF_BODY_NONE || kind == HF_BODY_BAD ||
           (kind == HF_BODY_LENGTH && here >= length);
}

/* Reports what there is of the refusal. */
static void body_done(struct hf_dialer *d)
{
    struct hf_head head;
    const char *why;
    const struct hf_slice all = hf_buffer_slice(&d->answer);
    if (hf_response_read(all, HEAD_MAX, &head, &why) != HF_HEAD_READ) {
        fail(d, HF_LOSS_OUT_OF_MEMORY, "no memory for the refusal's head");
        return;
    }
    refused(d, &head, hf_slice_first(hf_slice_from(all, head.size), d->body_max));
}

static void body_more(struct hf_dialer *d, struct hf_slice bytes)
{
    struct hf_head head;
    const char *why;
    hf_buffer_add(&d->answer, hf_slice_first(bytes, HEAD_MAX + d->body_max - d->answer.len));
    const struct hf_slice all = hf_buffer_slice(&d->answer);
    if (hf_response_read(all, HEAD_MAX, &head, &why) != HF_HEAD_READ || body_is_enough(d, &head)) {
        body_done(d);
    }
}

static void body_begin(struct hf_dialer *d, struct hf_slice bytes)
{
    d->proxy_refused = d->phase == PROXY;
    d->phase = BODY;
    hf_timer_set(d->loop, &d->begin, hf_loop_now(d->loop) + BODY_WAIT);
    body_more(d, bytes);
}

/* The head is whole; returns the bytes that are done with. */
static size_t take_head(struct hf_dialer *d, const struct hf_head *head, struct hf_slice bytes)
{
    if (head->status < 200 && head->status != 101) {
        return head->size; /* RFC 9110 15.2: an interim response */
    }
    if (d->phase == PROXY && head->status < 300 && head->status != 101) {
        const size_t size = head->size;
        reached(d);
        return size;
    }
    if ((d->phase == PROXY || head->status != 101) && d->body_max > 0) {
        body_begin(d, bytes);
        return bytes.len;
    }
    if (d->phase == PROXY || head->status != 101) {
        refused(d, head, hf_slice_from(bytes, head->size));
        return bytes.len;
    }
    const char *why = hf_ws_check_response(head, hf_slice(d->key, sizeof(d->key)),
                                           hf_buffer_slice(&d->protocols));
    if (why != NULL) {
        struct hf_dialer_result bad = {.loss = HF_LOSS_HANDSHAKE_BAD, .http = 101, .head = head};
        set_why(d, why);
        report(d, &bad);
        return bytes.len;
    }
    struct hf_dialer_result result = {.loss = HF_LOSS_NONE, .stream = d->stream, .head = head};
    const size_t size = head->size;
    hf_stream_pause(d->stream);
    d->stream = NULL;
    report(d, &result);
    return size;
}

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct hf_dialer *d = owner;
    struct hf_head head;
    const char *why;
    size_t done = 0;
    if (d->phase == BODY) {
        body_more(d, bytes);
        return bytes.len;
    }
    while (done < bytes.len) {
        const struct hf_slice rest = hf_slice_from(bytes, done);
        const enum hf_dialer_step before = d->phase;
        if (before != PROXY && before != HEAD) {
            break;
        }
        switch (hf_response_read(rest, HEAD_MAX, &head, &why)) {
        case HF_HEAD_MORE:
            return done;
        case HF_HEAD_READ:
            break;
        case HF_HEAD_BAD:
        case HF_HEAD_TOO_BIG:
        case HF_HEAD_NOT_HTTP:
            fail(d, before == PROXY ? HF_LOSS_PROXY_REFUSED : HF_LOSS_HANDSHAKE_BAD, why);
            return bytes.len;
        }
        const bool interim = head.status < 200 && head.status != 101;
        done += take_head(d, &head, rest);
        if (!interim) {
            return done; /* d may be gone */
        }
    }
    return done;
}

/* ---- streams ------------------------------------------------------------------------------------
 */

static enum hf_loss loss_of(const struct hf_end *end)
{
    switch (end->kind) {
    case HF_END_REFUSED:
        return HF_LOSS_REFUSED;
    case HF_END_UNREACHABLE:
        return HF_LOSS_UNREACHABLE;
    case HF_END_TLS_FAILED:
        return HF_LOSS_TLS_FAILED;
    case HF_END_RST:
        return HF_LOSS_RESET;
    case HF_END_TIMEOUT:
        return HF_LOSS_TIMEOUT;
    case HF_END_FIN:
    case HF_END_TLS_NOTIFY:
    case HF_END_TLS_TRUNCATED:
        return HF_LOSS_ENDED;
    case HF_END_ERRNO:
    case HF_END_KINDS:
        break;
    }
    return HF_LOSS_BROKEN;
}

static void on_open(void *owner, struct hf_stream *stream)
{
    struct hf_dialer *d = owner;
    size_t which = 0;
    if (d->phase == TLS) {
        step_done(d, HF_DIALER_TLS, NULL);
        send_request(d);
        return;
    }
    for (size_t i = 0; i < d->count; i++) {
        if (d->tries[i] == stream) {
            d->tries[i] = NULL;
            which = i;
        }
    }
    close_tries(d);
    hf_timer_stop(d->loop, &d->begin);
    d->stream = stream;
    step_done(d, HF_DIALER_CONNECT, &d->addresses[which]);
    if (d->by_proxy) {
        d->phase = PROXY;
        d->sent = 0;
        flush(d);
    } else {
        reached(d);
    }
}

static void on_writable(void *owner, struct hf_stream *stream)
{
    struct hf_dialer *d = owner;
    if (d->phase == PROXY || d->phase == HEAD) {
        flush(d);
    }
}

static bool is_trying(const struct hf_dialer *d)
{
    for (size_t i = 0; i < d->count; i++) {
        if (d->tries[i] != NULL) {
            return true;
        }
    }
    return false;
}

static void address_failed(struct hf_dialer *d, enum hf_loss loss, const char *why)
{
    d->loss = loss;
    set_why(d, why);
    if (d->next < d->count) {
        hf_timer_set(d->loop, &d->begin, hf_loop_now(d->loop));
    } else if (!is_trying(d)) {
        fail(d, d->loss, why);
    }
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct hf_dialer *d = owner;
    d->error = end->error;
    if (d->phase == BODY) {
        body_done(d);
        return;
    }
    if (d->phase != CONNECT) {
        struct hf_dialer_result result = {.loss = loss_of(end),
                                          .truncated = end->kind == HF_END_TLS_TRUNCATED};
        char why[WHY_MAX];
        (void)snprintf(why, sizeof(why), "%s%s",
                       d->phase == HEAD ? "before the handshake's answer: " : "", end->detail);
        set_why(d, why);
        report(d, &result);
        return;
    }
    for (size_t i = 0; i < d->count; i++) {
        if (d->tries[i] == stream) {
            d->tries[i] = NULL;
            hf_stream_close(stream);
        }
    }
    address_failed(d, loss_of(end), end->detail);
}

static const struct hf_stream_handler stream_handler = {
    .on_open = on_open, .on_bytes = on_bytes, .on_writable = on_writable, .on_end = on_end};

/* ---- addresses ----------------------------------------------------------------------------------
 */

static void set_port(struct hf_address *address, uint16_t port)
{
    if (address->u.any.sa_family == AF_INET) {
        address->u.v4.sin_port = htons(port);
    } else if (address->u.any.sa_family == AF_INET6) {
        address->u.v6.sin6_port = htons(port);
    }
}

static void try_next(struct hf_dialer *d)
{
    const size_t i = d->next++;
    const struct hf_connect how = {
        .address = d->addresses[i],
        .options = d->options,
    };
    const enum hf_status status = hf_loop_connect(d->loop, &how, &stream_handler, d, &d->tries[i]);
    if (status != HF_OK) {
        d->tries[i] = NULL;
        address_failed(d,
                       status == HF_NO_MEMORY        ? HF_LOSS_OUT_OF_MEMORY
                       : status == HF_NO_DESCRIPTORS ? HF_LOSS_OUT_OF_DESCRIPTORS
                                                     : HF_LOSS_UNREACHABLE,
                       hf_status_text(status));
        return;
    }
    if (d->next < d->count) {
        hf_timer_set(d->loop, &d->begin, hf_loop_now(d->loop) + HF_DIALER_STAGGER);
    }
}

static void on_resolved(void *owner, enum hf_status status, const struct hf_address *addresses,
                        size_t count)
{
    struct hf_dialer *d = owner;
    d->name = 0;
    if (status != HF_OK) {
        char why[WHY_MAX];
        (void)snprintf(why, sizeof(why), "%s: %s", d->connect_host,
                       status == HF_NOT_FOUND ? "no such name" : "no name server answered");
        fail(d, HF_LOSS_NAME_UNKNOWN, why);
        return;
    }
    step_done(d, HF_DIALER_NAME, NULL);
    d->phase = CONNECT;
    d->count = 0;
    for (size_t i = 0; i < count && d->count < HF_DIALER_ADDRESSES; i++) {
        if (d->family == 0 || d->family == addresses[i].u.any.sa_family) {
            d->addresses[d->count] = addresses[i];
            set_port(&d->addresses[d->count++], d->connect_port);
        }
    }
    if (d->count == 0) {
        char why[WHY_MAX];
        (void)snprintf(why, sizeof(why), "%s: the name has no address of this family",
                       d->connect_host);
        fail(d, HF_LOSS_NAME_UNKNOWN, why);
        return;
    }
    try_next(d);
}

static void on_begin(struct hf_timer *timer, hf_time now)
{
    struct hf_dialer *d = HF_CONTAINER(timer, struct hf_dialer, begin);
    if (d->phase == BODY) {
        body_done(d);
        return;
    }
    if (d->phase == CONNECT) {
        try_next(d);
        return;
    }
    if (d->count > 0) {
        step_done(d, HF_DIALER_NAME, NULL);
        d->phase = CONNECT;
        try_next(d);
        return;
    }
    if (d->connect_port == 0) {
        char text[160];
        (void)snprintf(text, sizeof(text), "unix:%s", d->connect_host);
        step_done(d, HF_DIALER_NAME, NULL);
        d->phase = CONNECT;
        d->count = hf_address_parse(hf_slice_of(text), &d->addresses[0]) ? 1 : 0;
        if (d->count == 0) {
            fail(d, HF_LOSS_URL_BAD, "the socket's path is too long");
            return;
        }
        try_next(d);
        return;
    }
    const enum hf_status status =
        hf_loop_resolve(d->loop, d->connect_host, on_resolved, d, &d->name);
    if (status == HF_OK) {
        return;
    }
    d->name = 0;
    if (status == HF_NO_MEMORY) {
        /* Or the loop looks too many names up at once: within the limit, again. */
        hf_timer_set(d->loop, &d->begin, now + HF_DIALER_AGAIN);
    } else {
        fail(d, HF_LOSS_NAME_UNKNOWN, "the name cannot be looked up");
    }
}

static void on_limit(struct hf_timer *timer, hf_time now)
{
    struct hf_dialer *d = HF_CONTAINER(timer, struct hf_dialer, limit);
    if (d->phase == BODY) {
        body_done(d);
        return;
    }
    static const char *const what[] = {
        [NAME] = "no name server answered in time",
        [CONNECT] = "no address answered in time",
        [PROXY] = "the proxy did not answer in time",
        [TLS] = "TLS was not done in time",
        [HEAD] = "the handshake was not answered in time",
        [BODY] = "the answer's body did not come in time",
    };
    fail(d, HF_LOSS_CONNECT_TIMEOUT, what[d->phase]);
}

/* ---- the start ----------------------------------------------------------------------------------
 */

/* %XX alone, as it stands in a URL's user info. */
static size_t decode(struct hf_slice text, uint8_t *out)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned byte;
        char hex[3] = {0};
        if (text.ptr[i] == '%' && i + 2 < text.len) {
            memcpy(hex, text.ptr + i + 1, 2);
        }
        if (hex[0] != '\0' && sscanf(hex, "%2x", &byte) == 1) {
            out[len++] = (uint8_t)byte;
            i += 2;
        } else {
            out[len++] = text.ptr[i];
        }
    }
    return len;
}

/* RFC 9110 9.3.6 and RFC 7617. */
static void write_connect(struct hf_dialer *d, const struct hf_dialer_how *how)
{
    const char *open = how->url.host_is_ipv6 ? "[" : "";
    const char *close = how->url.host_is_ipv6 ? "]" : "";
    hf_buffer_addf(&d->hello, "CONNECT %s%s%s:%u HTTP/1.1\r\nHost: %s%s%s:%u\r\n", open, d->host,
                   close, how->url.port, open, d->host, close, how->url.port);
    if (how->proxy.credentials.len > 0 && how->proxy.credentials.len <= 512) {
        uint8_t plain[512];
        char text[HF_BASE64_LEN(512)];
        const size_t len = decode(how->proxy.credentials, plain);
        const size_t chars = hf_base64_encode(hf_slice(plain, len), text);
        hf_buffer_addf(&d->hello, "Proxy-Authorization: Basic %.*s\r\n", (int)chars, text);
    }
    hf_buffer_add_text(&d->hello, "\r\n");
}

static void take_addresses(struct hf_dialer *d, const struct hf_dialer_how *how)
{
    static const struct hf_socket_options usual = {.keepalive_idle = HF_SECONDS(60),
                                                   .keepalive_interval = HF_SECONDS(15),
                                                   .keepalive_count = 4,
                                                   .user_timeout = HF_SECONDS(60)};
    d->options = how->options == NULL ? usual : *how->options;
    d->count = how->address_count < HF_DIALER_ADDRESSES ? how->address_count : HF_DIALER_ADDRESSES;
    if (d->count > 0) {
        memcpy(d->addresses, how->addresses, d->count * sizeof(d->addresses[0]));
    }
}

struct hf_dialer *hf_dialer_start(struct hf_loop *loop, const struct hf_dialer_how *how,
                                  hf_dialer_done *done, void *owner)
{
    struct hf_dialer *d = calloc(1, sizeof(*d));
    const struct hf_slice to = how->proxy.used ? how->proxy.host : how->url.host;
    if (d == NULL) {
        return NULL;
    }
    d->loop = loop;
    d->done = done;
    d->owner = owner;
    d->tls = how->tls;
    d->wants_tls = how->url.tls;
    d->by_proxy = how->proxy.used;
    d->connect_port = how->proxy.used ? how->proxy.port : how->url.port;
    d->stepped = how->stepped;
    d->family = how->family;
    d->body_max = how->body_max;
    take_addresses(d, how);
    hf_timer_init(&d->begin, on_begin);
    hf_timer_init(&d->limit, on_limit);
    hf_buffer_init(&d->hello, &hf_heap, HEAD_MAX);
    hf_buffer_init(&d->request, &hf_heap, 4 * HEAD_MAX);
    hf_buffer_init(&d->protocols, &hf_heap, HEAD_MAX);
    hf_buffer_init(&d->answer, &hf_heap, 2 * HEAD_MAX);
    d->connect_host = hf_alloc_text(&hf_heap, to);
    d->host = hf_alloc_text(&hf_heap, how->url.host);
    HF_ASSERT(how->key.len == sizeof(d->key));
    memcpy(d->key, how->key.ptr, sizeof(d->key));
    hf_buffer_add(&d->request, how->request);
    hf_buffer_add(&d->protocols, how->protocols);
    if (d->by_proxy && d->host != NULL) {
        write_connect(d, how);
    }
    if (d->connect_host == NULL || d->host == NULL || d->hello.failed || d->request.failed ||
        d->protocols.failed) {
        dialer_free(d);
        return NULL;
    }
    hf_timer_set(loop, &d->begin, hf_loop_now(loop));
    hf_timer_set(loop, &d->limit, hf_loop_now(loop) + how->timeout);
    return d;
}
