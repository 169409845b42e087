/* SPDX-License-Identifier: Apache-2.0 */
/* The small HTTP server: see httpd.h. It carries one request of a connection at a time; what is
 * pipelined behind it waits, unread. */
#include "io/httpd.h"

#include "http/request_body.h"
#include "http/url.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define CONNECTIONS_MAX 64
#define HEAD_BYTES_MAX 16384
#define TYPE_TEXT "text/plain; charset=utf-8"

enum phase {
    PHASE_FREE,    /* no stream */
    PHASE_IDLE,    /* nothing of a request has come */
    PHASE_HEAD,    /* a part of a head has come */
    PHASE_BODY,    /* the head is read, its body comes */
    PHASE_SENDING, /* paused; the answer goes out */
    PHASE_LINGER,  /* our direction has ended; what still comes is read away, so that TCP does not
                    * reset the answer */
    PHASE_COUNT,
};

static const hf_time phase_time[PHASE_COUNT] = {
    [PHASE_IDLE] = HF_SECONDS(60),    [PHASE_HEAD] = HF_SECONDS(10), [PHASE_BODY] = HF_SECONDS(20),
    [PHASE_SENDING] = HF_SECONDS(30), /* begins again with all that is taken */
    [PHASE_LINGER] = HF_SECONDS(2),
};

struct connection {
    struct hf_httpd *httpd;
    struct hf_stream *stream; /* NULL exactly when free */
    enum phase phase;
    struct hf_timer timer;
    bool keep;             /* the connection goes on behind this answer */
    bool body_wanted;      /* not HEAD */
    struct hf_buffer kept; /* the head of a request whose body comes */
    struct hf_buffer asked;
    struct hf_request_body reader;
    struct hf_buffer head; /* of the answer */
    struct hf_buffer body;
    size_t sent; /* of both together */
};

struct hf_httpd {
    struct hf_loop *loop;
    struct hf_listener *listener;
    struct hf_httpd_how how;
    char *token; /* its own copy */
    struct connection connections[CONNECTIONS_MAX];
};

void hf_httpd_say(struct hf_httpd_answer *answer, uint16_t status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    answer->status = status;
    answer->type = TYPE_TEXT;
    hf_buffer_clear(answer->body);
    hf_buffer_addv(answer->body, format, args);
    hf_buffer_add_byte(answer->body, '\n');
    va_end(args);
}

/* ---- a connection ---------------------------------------------------------------------- */

static void become(struct connection *c, enum phase next)
{
    c->phase = next;
    if (next == PHASE_FREE) {
        hf_timer_stop(c->httpd->loop, &c->timer);
    } else {
        hf_timer_set(c->httpd->loop, &c->timer, hf_loop_now(c->httpd->loop) + phase_time[next]);
    }
}

static void forget(struct connection *c)
{
    hf_buffer_reset(&c->kept);
    hf_buffer_reset(&c->asked);
    hf_buffer_reset(&c->head);
    hf_buffer_reset(&c->body);
    c->sent = 0;
}

static void let_go(struct connection *c, void (*end)(struct hf_stream *stream))
{
    end(c->stream);
    c->stream = NULL;
    forget(c);
    become(c, PHASE_FREE);
}

static void answered(struct connection *c)
{
    forget(c);
    if (c->keep) {
        become(c, PHASE_IDLE);
    } else {
        become(c, PHASE_LINGER);
        hf_stream_shut(c->stream);
    }
    hf_stream_resume(c->stream);
}

/* Sends what the stream takes; on_writable goes on. */
static void push(struct connection *c)
{
    struct hf_slice parts[2];
    size_t count = 0;
    size_t left = 0;
    const struct hf_slice whole[2] = {hf_buffer_slice(&c->head), hf_buffer_slice(&c->body)};
    size_t skip = c->sent;
    for (size_t i = 0; i < 2; i++) {
        struct hf_slice rest = hf_slice_from(whole[i], skip);
        skip -= skip < whole[i].len ? skip : whole[i].len;
        if (rest.len > 0) {
            parts[count++] = rest;
            left += rest.len;
        }
    }
    size_t taken = hf_stream_sendv(c->stream, parts, count);
    c->sent += taken;
    if (taken == left) {
        answered(c);
    } else if (taken > 0) {
        become(c, PHASE_SENDING);
    }
}

static void start_answer(struct connection *c, struct hf_httpd_answer *answer)
{
    if (c->body.failed) {
        hf_buffer_reset(&c->body);
        hf_httpd_say(answer, 503, "there is no room for this answer; ask for less");
    }
    hf_buffer_addf(&c->head,
                   "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
                   "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                   "Connection: %s\r\n\r\n",
                   answer->status, hf_http_reason(answer->status), answer->type, c->body.len,
                   answer->headers, c->keep ? "keep-alive" : "close");
    if (!c->body_wanted) { /* RFC 9110 9.3.2 */
        hf_buffer_reset(&c->body);
    }
    if (c->head.failed) {
        let_go(c, hf_stream_abort);
        return;
    }
    become(c, PHASE_SENDING);
    push(c);
}

/* One sentence, and the connection ends behind it. */
static void refuse(struct connection *c, uint16_t status, const char *why)
{
    struct hf_httpd_answer answer = {.headers = "", .body = &c->body};
    hf_stream_pause(c->stream);
    c->keep = false;
    hf_httpd_say(&answer, status, "%s", why);
    start_answer(c, &answer);
}

/* ---- who may ask ------------------------------------------------------------------------ */

static bool is_address(struct hf_slice name)
{
    char text[64];
    uint8_t bytes[16];
    if (name.len == 0 || name.len >= sizeof(text)) {
        return false;
    }
    bool bracketed = name.ptr[0] == '[';
    size_t len = bracketed ? name.len - 2 : name.len;
    if (bracketed && (name.len < 3 || name.ptr[name.len - 1] != ']')) {
        return false;
    }
    memcpy(text, name.ptr + (bracketed ? 1 : 0), len);
    text[len] = '\0';
    return inet_pton(bracketed ? AF_INET6 : AF_INET, text, bytes) == 1;
}

/* A browser names in Host what it looked up: a name of a stranger's that leads to this address is
 * neither an address nor localhost. */
static bool host_is_ours(const struct hf_httpd_how *how, struct hf_slice host)
{
    size_t from = host.len > 0 && host.ptr[0] == '[' ? hf_slice_find(host, ']') : 0;
    size_t colon = from + hf_slice_find(hf_slice_from(host, from), ':');
    struct hf_slice name = hf_slice_first(host, colon);
    if (hf_slice_eq_nocase(name, HF_LITERAL("localhost")) || is_address(name)) {
        return true;
    }
    for (const char *const *h = how->hosts; h != NULL && *h != NULL; h++) {
        if (hf_slice_eq_nocase(name, hf_slice_of(*h))) {
            return true;
        }
    }
    return false;
}

/* False: the answer says why not. */
static bool check_request(const struct hf_httpd *h, const struct hf_httpd_request *request,
                          struct hf_httpd_answer *answer, bool *fatal)
{
    const struct hf_head *head = request->head;
    size_t hosts = hf_head_count(head, "Host");
    *fatal = false;
    if (hosts > 1 || (hosts == 0 && head->minor > 0)) { /* RFC 9112 3.2 */
        hf_httpd_say(answer, 400, "a request has exactly one Host header");
        *fatal = true;
        return false;
    }
    if (h->how.check_host && (hosts == 0 || !host_is_ours(&h->how, *hf_head_find(head, "Host")))) {
        hf_httpd_say(answer, 403,
                     "the Host header must be an address, localhost or a configured name here");
        return false;
    }
    if (h->token != NULL && !hf_head_has_bearer(head, h->token) &&
        (h->how.open == NULL || !hf_slice_eq(request->path, hf_slice_of(h->how.open)))) {
        hf_httpd_say(answer, 401, "a bearer token is needed: Authorization: Bearer TOKEN");
        answer->headers = "WWW-Authenticate: Bearer\r\n";
        return false;
    }
    return true;
}

static void take_request(struct connection *c, const struct hf_head *head, struct hf_slice body)
{
    struct hf_httpd *h = c->httpd;
    struct hf_httpd_answer answer = {
        .status = 200, .type = TYPE_TEXT, .headers = "", .body = &c->body};
    struct hf_httpd_request request = {.head = head, .body = body};
    bool fatal = false;
    hf_target_split(head->target, &request.path, &request.query);
    c->keep = !hf_head_has_token(head, "Connection", "close") &&
              (head->minor > 0 || hf_head_has_token(head, "Connection", "keep-alive"));
    if (check_request(h, &request, &answer, &fatal)) {
        h->how.handler(h->how.owner, &request, &answer);
    }
    c->keep = c->keep && !fatal;
    start_answer(c, &answer);
}

/* ---- reading ---------------------------------------------------------------------------- */

static void take_whole_body(struct connection *c)
{
    struct hf_head head;
    const char *why = "";
    enum hf_head_read read =
        hf_request_read(hf_buffer_slice(&c->kept), HEAD_BYTES_MAX, &head, &why);
    HF_ASSERT(read == HF_HEAD_READ);
    hf_stream_pause(c->stream);
    take_request(c, &head, hf_buffer_slice(&c->asked));
}

static size_t take_body(struct connection *c, struct hf_slice bytes)
{
    size_t taken = 0;
    switch (hf_request_body_read(&c->reader, bytes, &taken, &c->asked)) {
    case HF_REQUEST_BODY_MORE:
        return taken;
    case HF_REQUEST_BODY_WHOLE:
        take_whole_body(c);
        return taken;
    case HF_REQUEST_BODY_TOO_BIG:
        refuse(c, 413, "the body is larger than is taken here");
        return bytes.len;
    case HF_REQUEST_BODY_BAD:
        break;
    }
    refuse(c, 400, "the body's chunks are malformed");
    return bytes.len;
}

/* A head was read. A body that fits is waited for. */
static size_t take_head(struct connection *c, struct hf_slice bytes, const struct hf_head *head)
{
    c->body_wanted = !hf_slice_eq(head->method, HF_LITERAL("HEAD"));
    const char *why = hf_request_body_start(&c->reader, head);
    if (why != NULL) {
        refuse(c, 400, why);
        return bytes.len;
    }
    if (c->reader.kind == HF_BODY_NONE ||
        (c->reader.kind == HF_BODY_LENGTH && c->reader.left == 0)) {
        hf_stream_pause(c->stream);
        take_request(c, head, (struct hf_slice){NULL, 0});
        return head->size;
    }
    if (c->httpd->how.body_max == 0 ||
        (c->reader.kind == HF_BODY_LENGTH && c->reader.left > c->httpd->how.body_max)) {
        refuse(c, 413, "the body is larger than is taken here");
        return bytes.len;
    }
    if (hf_buffer_add(&c->kept, hf_slice_first(bytes, head->size)) != HF_OK) {
        refuse(c, 503, "out of memory");
        return bytes.len;
    }
    become(c, PHASE_BODY);
    if (hf_head_has_token(head, "Expect", "100-continue")) { /* RFC 9110 10.1.1 */
        (void)hf_stream_send(c->stream, HF_LITERAL("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    struct hf_slice rest = hf_slice_from(bytes, head->size);
    return rest.len == 0 ? bytes.len : head->size + take_body(c, rest);
}

static size_t take_bytes(struct connection *c, struct hf_slice bytes)
{
    struct hf_head head;
    const char *why = "";
    c->body_wanted = true;
    switch (hf_request_read(bytes, HEAD_BYTES_MAX, &head, &why)) {
    case HF_HEAD_READ:
        return take_head(c, bytes, &head);
    case HF_HEAD_MORE:
        if (c->phase != PHASE_HEAD) {
            become(c, PHASE_HEAD);
        }
        return 0;
    case HF_HEAD_TOO_BIG:
        refuse(c, 431, why);
        break;
    case HF_HEAD_NOT_HTTP:
        refuse(c, 400, "this port speaks plain HTTP/1.1");
        break;
    case HF_HEAD_BAD:
        refuse(c, 400, why);
        break;
    }
    return bytes.len;
}

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct connection *c = owner;
    switch (c->phase) {
    case PHASE_IDLE:
    case PHASE_HEAD:
        return take_bytes(c, bytes);
    case PHASE_BODY:
        return take_body(c, bytes);
    case PHASE_LINGER:
        return bytes.len;
    case PHASE_FREE:
    case PHASE_SENDING:
    case PHASE_COUNT:
        break;
    }
    return 0;
}

static void on_writable(void *owner, struct hf_stream *stream)
{
    struct connection *c = owner;
    if (c->phase == PHASE_SENDING) {
        push(c);
    }
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    let_go(owner, hf_stream_close);
}

static const struct hf_stream_handler stream_handler = {
    .on_bytes = on_bytes, .on_writable = on_writable, .on_end = on_end};

static void on_time(struct hf_timer *timer, hf_time now)
{
    struct connection *c = HF_CONTAINER(timer, struct connection, timer);
    if (c->phase == PHASE_HEAD || c->phase == PHASE_BODY) {
        refuse(c, 408, "the request did not come whole in time");
    } else if (c->phase == PHASE_SENDING) {
        let_go(c, hf_stream_abort);
    } else if (c->phase != PHASE_FREE) {
        let_go(c, hf_stream_close);
    }
}

/* ---- accepting -------------------------------------------------------------------------- */

/* A free place; else that of the connection whose silence has lasted longest: silent strangers must
 * not keep others out. NULL when all are owed an answer. */
static struct connection *find_place(struct hf_httpd *h)
{
    struct connection *oldest = NULL;
    for (struct connection *c = h->connections; c < h->connections + CONNECTIONS_MAX; c++) {
        if (c->phase == PHASE_FREE) {
            return c;
        }
        if (c->phase != PHASE_SENDING && (oldest == NULL || c->timer.when < oldest->timer.when)) {
            oldest = c;
        }
    }
    if (oldest != NULL) {
        let_go(oldest, hf_stream_close);
    }
    return oldest;
}

static void on_accept(void *owner, struct hf_stream *stream, const struct hf_address *peer)
{
    struct connection *c = find_place(owner);
    if (c == NULL) {
        (void)hf_stream_send(
            stream, HF_LITERAL("HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n"
                               "Content-Length: 21\r\nConnection: close\r\n\r\n"
                               "too many connections\n"));
        hf_stream_close(stream);
        return;
    }
    c->stream = stream;
    hf_stream_handle(stream, &stream_handler, c);
    become(c, PHASE_IDLE);
    hf_stream_resume(stream);
}

static const struct hf_listener_handler listener_handler = {.on_accept = on_accept};

/* ---- life -------------------------------------------------------------------------------- */

enum hf_status hf_httpd_new(struct hf_loop *loop, const struct hf_httpd_how *how,
                            struct hf_httpd **httpd, struct hf_buffer *why)
{
    *httpd = NULL;
    struct hf_httpd *h = calloc(1, sizeof(*h));
    if (h == NULL) {
        return HF_NO_MEMORY;
    }
    h->loop = loop;
    h->how = *how;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *c = &h->connections[i];
        c->httpd = h;
        hf_timer_init(&c->timer, on_time);
        hf_buffer_init(&c->kept, &hf_heap, HEAD_BYTES_MAX);
        hf_buffer_init(&c->asked, &hf_heap, how->body_max);
        hf_buffer_init(&c->head, &hf_heap, 16384);
        hf_buffer_init(&c->body, &hf_heap, HF_HTTPD_ANSWER_MAX);
    }
    struct hf_listen listen = {.address = how->address};
    h->token = how->token == NULL ? NULL : strdup(how->token);
    enum hf_status status = how->token != NULL && h->token == NULL ? HF_NO_MEMORY : HF_OK;
    if (status == HF_OK) {
        status = hf_loop_listen(loop, &listen, &listener_handler, h, &h->listener);
    }
    if (status != HF_OK) {
        char where[128];
        hf_address_text(&how->address, where);
        hf_buffer_addf(why, "cannot listen on %s: %s\n", where, hf_status_text(status));
        hf_httpd_free(h);
        return status;
    }
    *httpd = h;
    return HF_OK;
}

void hf_httpd_address(const struct hf_httpd *httpd, struct hf_address *address)
{
    hf_listener_address(httpd->loop, httpd->listener, address);
}

void hf_httpd_free(struct hf_httpd *h)
{
    if (h == NULL) {
        return;
    }
    hf_listener_close(h->loop, h->listener);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (h->connections[i].phase != PHASE_FREE) {
            let_go(&h->connections[i], hf_stream_close);
        }
    }
    free(h->token);
    free(h);
}
