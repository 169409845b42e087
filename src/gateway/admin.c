/* SPDX-License-Identifier: Apache-2.0 */
/* The admin listener: a small HTTP/1.1 server for GET and HEAD. It carries one request of a
 * connection at a time; what is pipelined behind it waits, unread. Connections stand in a table,
 * and an answer that is gathered elsewhere finds its way back by a ticket, never by a pointer. */
#include "gateway/admin.h"

#include "config/build.h"
#include "gateway/admin_gather.h"
#include "gateway/admin_pages.h"

#include <stdlib.h>

#define CONNECTIONS_MAX 64
#define GATHERS_MAX 8 /* lists of sessions under way at once */
#define HEAD_BYTES_MAX 16384

enum phase {
    PHASE_FREE,    /* no stream */
    PHASE_FRESH,   /* accepted, nothing heard */
    PHASE_IDLE,    /* between requests */
    PHASE_HEAD,    /* a part of a head has come */
    PHASE_ASKING,  /* paused; the workers are asked */
    PHASE_SENDING, /* paused; the answer goes out */
    PHASE_LINGER,  /* our direction has ended; what the client still sends is read away, so that TCP
                      does not reset the answer */
    PHASE_COUNT,
};

#define TO(phase) (1U << PHASE_##phase)
static const struct {
    unsigned may_become;
    hf_time time; /* until the timer ends the phase */
} phases[PHASE_COUNT] = {
    [PHASE_FREE] = {TO(FRESH), 0},
    [PHASE_FRESH] = {TO(HEAD) | TO(ASKING) | TO(SENDING) | TO(FREE), HF_SECONDS(10)},
    [PHASE_IDLE] = {TO(HEAD) | TO(ASKING) | TO(SENDING) | TO(FREE), HF_SECONDS(60)},
    [PHASE_HEAD] = {TO(ASKING) | TO(SENDING) | TO(FREE), HF_SECONDS(10)},
    [PHASE_ASKING] = {TO(SENDING) | TO(FREE), HF_SECONDS(5)},
    [PHASE_SENDING] = {TO(SENDING) | TO(IDLE) | TO(LINGER) | TO(FREE),
                       HF_SECONDS(30)}, /* begins again with all that is taken */
    [PHASE_LINGER] = {TO(FREE), HF_SECONDS(2)},
};

struct connection {
    struct hf_admin *admin;
    struct hf_stream *stream; /* NULL exactly when free */
    enum phase phase;
    struct hf_timer timer;
    uint64_t ticket;       /* of the answer that is gathered; 0: none */
    bool keep;             /* the connection goes on behind this answer */
    bool body_wanted;      /* not HEAD */
    struct hf_buffer head; /* of the answer; both own memory only while it is made and sent */
    struct hf_buffer body;
    size_t sent; /* of both together */
};

struct hf_admin {
    struct hf_gateway *gateway;
    struct hf_loop *loop;
    struct hf_listener *listener;
    struct hf_page_access access;
    char *token;            /* its own copy; NULL when none is demanded */
    struct hf_list gathers; /* under way */
    uint64_t next_ticket;
    struct connection connections[CONNECTIONS_MAX];
};

static void become(struct connection *c, enum phase next)
{
    HF_ASSERT((phases[c->phase].may_become & (1U << next)) != 0);
    c->phase = next;
    if (next == PHASE_FREE) {
        hf_timer_stop(c->admin->loop, &c->timer);
    } else {
        hf_timer_set(c->admin->loop, &c->timer, hf_loop_now(c->admin->loop) + phases[next].time);
    }
}

static void forget_answer(struct connection *c)
{
    hf_buffer_reset(&c->head);
    hf_buffer_reset(&c->body);
    c->sent = 0;
    c->ticket = 0;
}

static void let_go(struct connection *c, void (*end)(struct hf_stream *stream))
{
    end(c->stream);
    c->stream = NULL;
    forget_answer(c);
    become(c, PHASE_FREE);
}

/* ---- answering ------------------------------------------------------------------------ */

static void answered(struct connection *c)
{
    forget_answer(c);
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

/* The page's body is the connection's own. The stream is paused. */
static void start_answer(struct connection *c, const struct hf_page *page)
{
    struct hf_buffer *h = &c->head;
    c->keep = c->keep && !page->close;
    c->ticket = 0;
    hf_buffer_addf(
        h,
        "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sCache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\nConnection: %s\r\n\r\n",
        page->status, hf_http_reason(page->status), page->type, c->body.len, page->headers,
        c->keep ? "keep-alive" : "close");
    if (!c->body_wanted) { /* RFC 9110 9.3.2 */
        hf_buffer_reset(&c->body);
    }
    if (h->failed || c->body.failed) {
        let_go(c, hf_stream_abort);
        return;
    }
    become(c, PHASE_SENDING);
    push(c);
}

/* One sentence, and the connection ends behind it. */
static void refuse(struct connection *c, uint16_t status, const char *why)
{
    struct hf_page page = {.headers = "", .close = true, .body = &c->body};
    hf_page_say(&page, status, "%s", why);
    start_answer(c, &page);
}

/* ---- /api/sessions -------------------------------------------------------------------- */

static void gathered(void *owner, uint64_t ticket, enum hf_status status, struct hf_buffer *body)
{
    struct hf_admin *a = owner;
    struct connection *c = a->connections;
    while (c < a->connections + CONNECTIONS_MAX && c->ticket != ticket) {
        c++;
    }
    if (c == a->connections + CONNECTIONS_MAX) {
        return; /* it is gone, or waits no longer */
    }
    struct hf_page page = {
        .status = 200, .type = "application/json", .headers = "", .body = &c->body};
    if (status == HF_OK) {
        struct hf_buffer empty = c->body;
        c->body = *body;
        *body = empty;
    } else {
        hf_page_say(&page, 503, "there is no room for this answer; ask for less with ?limit=");
    }
    start_answer(c, &page);
}

static void ask_workers(struct connection *c, uint32_t limit)
{
    struct hf_admin *a = c->admin;
    size_t under_way = 0;
    for (struct hf_list *n = a->gathers.next; n != &a->gathers; n = n->next) {
        under_way++;
    }
    if (under_way >= GATHERS_MAX) {
        refuse(c, 503, "too many lists of sessions are under way; try again");
        return;
    }
    c->ticket = a->next_ticket++;
    become(c, PHASE_ASKING);
    if (hf_gather_start(a->gateway, a->loop, limit, gathered, a, c->ticket, &a->gathers) != HF_OK) {
        refuse(c, 503, "out of memory");
    }
}

/* ---- requests ------------------------------------------------------------------------- */

static void take_request(struct connection *c, const struct hf_head *head)
{
    struct hf_page page = {.body = &c->body};
    c->body_wanted = !hf_slice_eq(head->method, HF_LITERAL("HEAD"));
    c->keep = !hf_head_has_token(head, "Connection", "close") &&
              (head->minor > 0 || hf_head_has_token(head, "Connection", "keep-alive"));
    hf_page_make(c->admin->gateway, &c->admin->access, head, &page);
    if (page.sessions) {
        ask_workers(c, page.limit);
    } else {
        start_answer(c, &page);
    }
}

/* Returns the bytes taken. After a whole request, or a refusal, reading rests until it is answered.
 */
static size_t take_head(struct connection *c, struct hf_slice bytes)
{
    struct hf_head head;
    const char *why = "";
    enum hf_head_read read = hf_request_read(bytes, HEAD_BYTES_MAX, &head, &why);
    if (read == HF_HEAD_MORE) {
        if (c->phase != PHASE_HEAD) {
            become(c, PHASE_HEAD);
        }
        return 0;
    }
    hf_stream_pause(c->stream);
    c->keep = false;
    c->body_wanted = true;
    switch (read) {
    case HF_HEAD_READ:
        take_request(c, &head);
        return head.size;
    case HF_HEAD_TOO_BIG:
        refuse(c, 431, why);
        break;
    case HF_HEAD_NOT_HTTP:
        refuse(c, 400, "this is holdfast's admin port; it speaks plain HTTP/1.1");
        break;
    case HF_HEAD_BAD:
    case HF_HEAD_MORE:
        refuse(c, 400, why);
        break;
    }
    return bytes.len;
}

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct connection *c = owner;
    switch (c->phase) {
    case PHASE_FRESH:
    case PHASE_IDLE:
    case PHASE_HEAD:
        return take_head(c, bytes);
    case PHASE_LINGER:
        return bytes.len;
    case PHASE_FREE:
    case PHASE_ASKING:
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
    switch (c->phase) {
    case PHASE_HEAD:
        hf_stream_pause(c->stream);
        c->body_wanted = true;
        refuse(c, 408, "the request did not come whole in time");
        break;
    case PHASE_ASKING:
        refuse(c, 503, "a worker did not answer in time");
        break;
    case PHASE_SENDING:
        let_go(c, hf_stream_abort);
        break;
    case PHASE_FRESH:
    case PHASE_IDLE:
    case PHASE_LINGER:
        let_go(c, hf_stream_close);
        break;
    case PHASE_FREE:
    case PHASE_COUNT:
        break;
    }
}

/* ---- accepting ------------------------------------------------------------------------ */

/* Of the connections in these phases the one whose time is over first; NULL when there is none. */
static struct connection *oldest_of(struct hf_admin *a, unsigned wanted)
{
    struct connection *oldest = NULL;
    for (struct connection *c = a->connections; c < a->connections + CONNECTIONS_MAX; c++) {
        if ((wanted & (1U << c->phase)) != 0 &&
            (oldest == NULL || c->timer.when < oldest->timer.when)) {
            oldest = c;
        }
    }
    return oldest;
}

/* A free place; when there is none, that of the connection which rests longest, or has been silent
 * longest: silent strangers must not keep a health check out. NULL when all are owed an answer. */
static struct connection *find_place(struct hf_admin *a)
{
    struct connection *place = oldest_of(a, TO(FREE));
    if (place != NULL) {
        return place;
    }
    place = oldest_of(a, TO(IDLE));
    if (place == NULL) {
        place = oldest_of(a, TO(FRESH) | TO(HEAD));
    }
    if (place != NULL) {
        let_go(place, hf_stream_close);
    }
    return place;
}

static void on_accept(void *owner, struct hf_stream *stream, const struct hf_address *peer)
{
    struct hf_admin *a = owner;
    struct connection *c = find_place(a);
    if (c == NULL) {
        hf_stream_send(
            stream,
            HF_LITERAL("HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n"
                       "Content-Length: 21\r\nConnection: close\r\n\r\ntoo many connections\n"));
        hf_stream_close(stream);
        return;
    }
    c->stream = stream;
    hf_stream_handle(stream, &stream_handler, c);
    become(c, PHASE_FRESH);
    hf_stream_resume(stream);
}

static const struct hf_listener_handler listener_handler = {.on_accept = on_accept};

/* ---- life ----------------------------------------------------------------------------- */

static void init_connections(struct hf_admin *a)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *c = &a->connections[i];
        c->admin = a;
        hf_timer_init(&c->timer, on_time);
        hf_buffer_init(&c->head, &hf_heap, 4096);
        hf_buffer_init(&c->body, &hf_heap, HF_PAGE_BYTES_MAX);
    }
}

static enum hf_status set_access(struct hf_admin *a, const struct hf_config *config,
                                 const char *where, struct hf_buffer *why)
{
    if (hf_config_address_is_local(&config->admin)) {
        a->access.check_host = config->admin.u.any.sa_family != AF_UNIX;
        return HF_OK;
    }
    if (config->admin_token == NULL || config->admin_token[0] == '\0') {
        hf_buffer_addf(why, "admin: %s is not a loopback address and there is no admin_token\n",
                       where);
        return HF_INVALID;
    }
    a->token = strdup(config->admin_token);
    a->access.token = a->token;
    return a->token == NULL ? HF_NO_MEMORY : HF_OK;
}

enum hf_status hf_admin_new(struct hf_gateway *gateway, struct hf_loop *loop,
                            const struct hf_config *config, struct hf_admin **admin,
                            struct hf_buffer *why)
{
    struct hf_listen how = {
        .address = config->admin, .unix_mode = config->unix_mode, .options = config->sockets};
    char where[128];
    *admin = NULL;
    struct hf_admin *a = calloc(1, sizeof(*a));
    if (a == NULL) {
        return HF_NO_MEMORY;
    }
    a->gateway = gateway;
    a->loop = loop;
    a->next_ticket = 1;
    hf_list_init(&a->gathers);
    init_connections(a);
    hf_address_text(&config->admin, where);
    enum hf_status status = set_access(a, config, where, why);
    if (status == HF_OK) {
        status = hf_loop_listen(loop, &how, &listener_handler, a, &a->listener);
        if (status != HF_OK) {
            hf_buffer_addf(why, "admin: cannot listen on %s: %s\n", where, hf_status_text(status));
        }
    }
    if (status != HF_OK) {
        hf_admin_free(a);
        return status;
    }
    *admin = a;
    return HF_OK;
}

void hf_admin_address(const struct hf_admin *admin, struct hf_address *address)
{
    hf_listener_address(admin->loop, admin->listener, address);
}

void hf_admin_free(struct hf_admin *a)
{
    if (a == NULL) {
        return;
    }
    hf_gather_abandon_all(&a->gathers);
    hf_listener_close(a->loop, a->listener);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (a->connections[i].phase != PHASE_FREE) {
            let_go(&a->connections[i], hf_stream_close);
        }
    }
    free(a->token);
    free(a);
}
