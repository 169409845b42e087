/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's pages: see demo_web.h. */
#include "tools/demo_web.h"

#include "http/head.h"
#include "http/url.h"
#include "io/epoll.h"
#include "tools/demo_apps.h"
#include "tools/demo_box.h"
#include "tools/demo_gateway.h"
#include "tools/demo_pages.h"

#include <stdio.h>
#include <stdlib.h>

#define HEAD_MAX 16384
#define TURN HF_MS(100)
/* Between cuts there is time to read. */
#define AGE_MIN HF_SECONDS(8)
#define AGE_MAX HF_SECONDS(20)
#define LINGER HF_SECONDS(10) /* for a request, and for its answer */

struct web {
    struct hf_loop *loop;
    struct demo_clock clock;
    struct hf_random random;
    struct demo_apps apps;
    struct demo_gateway gateway;
    struct demo_box plain_box; /* page -> application */
    struct demo_box held_box;  /* page -> gateway */
    struct hf_listener *listener;
    struct hf_address address;
    struct hf_list visits;
    struct hf_list done; /* visits that are over: freed between two turns */
};

/* One request and its answer. */
struct visit {
    struct hf_list node;
    struct web *web;
    struct hf_stream *stream;
    struct hf_buffer out;
    struct hf_slice page; /* behind out: it lives as long as the program */
    bool answered;
    hf_time until;
};

/* ---- answers ------------------------------------------------------------- */

static void end_visit(struct visit *v)
{
    if (v->stream == NULL) {
        return;
    }
    hf_stream_close(v->stream);
    v->stream = NULL;
    hf_list_remove(&v->node);
    hf_list_append(&v->web->done, &v->node);
}

static void send_answer(struct visit *v)
{
    hf_buffer_drop(&v->out, hf_stream_send(v->stream, hf_buffer_slice(&v->out)));
    if (v->out.len == 0 && v->page.len > 0) {
        v->page = hf_slice_from(v->page, hf_stream_send(v->stream, v->page));
    }
    if (v->out.len == 0 && v->page.len == 0) {
        hf_stream_shut(v->stream); /* and wait for the other end, so that nothing is reset */
    }
}

static void answer(struct visit *v, unsigned status, const char *type, struct hf_slice body)
{
    hf_buffer_addf(&v->out,
                   "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                   "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
                   "Connection: close\r\n\r\n",
                   status, hf_http_reason((uint16_t)status), type, body.len);
}

static void answer_text(struct visit *v, unsigned status, const char *text)
{
    answer(v, status, "text/plain; charset=utf-8", hf_slice_of(text));
    hf_buffer_add_text(&v->out, text);
}

static void answer_places(struct visit *v)
{
    char held[128];
    char plain[128];
    char text[512];
    hf_address_text(&v->web->held_box.address, held);
    hf_address_text(&v->web->plain_box.address, plain);
    int n = snprintf(text, sizeof(text),
                     "{\"inbox\":\"ws://%s/ws/inbox/\",\"chat\":\"ws://%s/ws/chat\","
                     "\"plain\":\"ws://%s/ws/inbox/\",\"cut\":true}\n",
                     held, held, plain);
    answer(v, 200, "application/json", hf_slice(text, (size_t)n));
    hf_buffer_add_text(&v->out, text);
}

static const struct demo_page *page_of(struct hf_slice path)
{
    for (size_t i = 0; i < demo_page_count; i++) {
        if (hf_slice_eq(path, hf_slice_of(demo_pages[i].path))) {
            return &demo_pages[i];
        }
    }
    return NULL;
}

/* A browser asks for a page of somebody else's. */
static bool is_foreign(const struct hf_head *head)
{
    const struct hf_slice *site = hf_head_find(head, "Sec-Fetch-Site");
    return site != NULL && hf_slice_eq(*site, HF_LITERAL("cross-site")) &&
           !hf_slice_eq(head->method, HF_LITERAL("GET"));
}

static void take_request(struct visit *v, const struct hf_head *head)
{
    struct web *w = v->web;
    struct hf_slice path;
    struct hf_slice query;
    hf_target_split(head->target, &path, &query);
    const struct demo_page *page = page_of(path);
    bool get = hf_slice_eq(head->method, HF_LITERAL("GET"));
    if (is_foreign(head)) {
        answer_text(v, 403, "the demo answers its own pages alone\n");
    } else if (hf_slice_eq(path, HF_LITERAL("/cut")) &&
               hf_slice_eq(head->method, HF_LITERAL("POST"))) {
        char text[64];
        unsigned cuts = demo_box_cut_all(&w->plain_box) + demo_box_cut_all(&w->held_box);
        (void)snprintf(text, sizeof(text), "cut %u connections\n", cuts);
        answer_text(v, 200, text);
    } else if (!get) {
        answer_text(v, 405, "GET the pages; POST is for /cut alone\n");
    } else if (hf_slice_eq(path, HF_LITERAL("/demo.json"))) {
        answer_places(v);
    } else if (page != NULL) {
        v->page = hf_slice(page->bytes, page->size);
        answer(v, 200, "text/html; charset=utf-8", v->page);
    } else {
        answer_text(v, 404, "no such page: there are /, /inbox.html and /chat.html\n");
    }
}

/* ---- visits -------------------------------------------------------------- */

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct visit *v = owner;
    struct hf_head head;
    const char *why = "";
    if (v->answered) {
        return bytes.len;
    }
    switch (hf_request_read(bytes, HEAD_MAX, &head, &why)) {
    case HF_HEAD_MORE:
        return 0;
    case HF_HEAD_READ:
        take_request(v, &head);
        break;
    case HF_HEAD_BAD:
    case HF_HEAD_TOO_BIG:
    case HF_HEAD_NOT_HTTP:
        answer_text(v, 400, "this is no HTTP request\n");
        break;
    }
    v->answered = true;
    if (v->out.failed) {
        end_visit(v);
    } else {
        send_answer(v);
    }
    return bytes.len;
}

static void on_writable(void *owner, struct hf_stream *stream)
{
    struct visit *v = owner;
    if (v->answered) {
        send_answer(v);
    }
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct visit *v = owner;
    if (end->kind != HF_END_FIN || !v->answered || (v->out.len == 0 && v->page.len == 0)) {
        end_visit(v);
    }
}

static const struct hf_stream_handler visit_handler = {
    .on_bytes = on_bytes, .on_writable = on_writable, .on_end = on_end};

static void on_accept(void *owner, struct hf_stream *stream, const struct hf_address *peer)
{
    struct web *w = owner;
    struct visit *v = calloc(1, sizeof(*v));
    if (v == NULL) {
        hf_stream_abort(stream);
        return;
    }
    *v = (struct visit){.web = w, .stream = stream, .until = hf_loop_now(w->loop) + LINGER};
    hf_buffer_init(&v->out, &hf_heap, 1 << 16);
    hf_list_append(&w->visits, &v->node);
    hf_stream_handle(stream, &visit_handler, v);
    hf_stream_resume(stream);
}

static const struct hf_listener_handler listener_handler = {.on_accept = on_accept};

static void end_late(struct web *w)
{
    struct hf_list *next;
    for (struct hf_list *node = w->visits.next; node != &w->visits; node = next) {
        struct visit *v = HF_CONTAINER(node, struct visit, node);
        next = node->next;
        if (hf_loop_now(w->loop) >= v->until) {
            end_visit(v);
        }
    }
}

static void free_done(struct web *w)
{
    while (!hf_list_empty(&w->done)) {
        struct visit *v = HF_CONTAINER(w->done.next, struct visit, node);
        hf_list_remove(&v->node);
        hf_buffer_reset(&v->out);
        free(v);
    }
}

/* ---- life ---------------------------------------------------------------- */

static enum hf_status init(struct web *w, const struct hf_address *where, uint64_t seed,
                           struct hf_buffer *why)
{
    struct hf_listen how = {.address = *where};
    *w = (struct web){0};
    hf_list_init(&w->visits);
    hf_list_init(&w->done);
    hf_random_init(&w->random, seed);
    w->loop = hf_epoll_new();
    if (w->loop == NULL) {
        return HF_NO_DESCRIPTORS;
    }
    demo_clock_start(&w->clock, w->loop);
    enum hf_status status = demo_apps_init(&w->apps, w->loop);
    if (status == HF_OK) {
        status = demo_box_init(&w->plain_box, &w->clock, &w->random, AGE_MIN, AGE_MAX);
    }
    if (status == HF_OK) {
        status = demo_box_init(&w->held_box, &w->clock, &w->random, AGE_MIN, AGE_MAX);
    }
    if (status == HF_OK) {
        w->plain_box.target = w->apps.address;
        status = demo_gateway_init(&w->gateway, &w->apps.address, hf_random_next(&w->random), why);
        w->held_box.target = w->gateway.address;
    }
    if (status == HF_OK) {
        status = hf_loop_listen(w->loop, &how, &listener_handler, w, &w->listener);
        if (status != HF_OK) {
            hf_buffer_addf(why, "--web: %s", hf_status_text(status));
        } else {
            hf_listener_address(w->loop, w->listener, &w->address);
        }
    }
    return status;
}

static void fini(struct web *w)
{
    while (!hf_list_empty(&w->visits)) {
        end_visit(HF_CONTAINER(w->visits.next, struct visit, node));
    }
    free_done(w);
    demo_gateway_fini(&w->gateway);
    demo_apps_fini(&w->apps);
    demo_box_fini(&w->plain_box);
    demo_box_fini(&w->held_box);
    if (w->loop != NULL) {
        hf_listener_close(w->loop, w->listener);
    }
    hf_loop_free(w->loop);
}

int demo_web_run(const struct hf_address *where, uint64_t seed, const volatile int *stop)
{
    struct web w;
    struct hf_buffer why;
    char text[128];
    hf_buffer_init(&why, &hf_heap, 1 << 16);
    enum hf_status status = init(&w, where, seed, &why);
    if (status == HF_OK) {
        hf_address_text(&w.address, text);
        printf("http://%s/            plain and held side by side\n"
               "http://%s/inbox.html  an inbox\n"
               "http://%s/chat.html   a chat that streams its answers\n"
               "Every connection is cut after 8 to 20 s, or at once by the button on the page. "
               "Ctrl-C ends.\n",
               text, text, text);
        (void)fflush(stdout);
        while (*stop == 0 && hf_epoll_turn(w.loop, TURN)) {
            demo_box_tick(&w.plain_box);
            demo_box_tick(&w.held_box);
            end_late(&w);
            free_done(&w);
        }
    } else {
        fprintf(stderr, "holdfast demo: %.*s\n",
                HF_SLICE_ARG(why.len > 0 ? hf_buffer_slice(&why)
                                         : hf_slice_of(hf_status_text(status))));
    }
    fini(&w);
    hf_buffer_reset(&why);
    return status == HF_OK ? 0 : 1;
}
