/* SPDX-License-Identifier: Apache-2.0 */
/* toxiproxy's HTTP API: see api.h. */
#include "chaos/api.h"

#include "http/url.h"
#include "io/httpd.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define BODY_MAX ((size_t)1 << 20)
#define TOXIPROXY_VERSION "2.12.0" /* whose API this is */

struct hf_chaos_api {
    struct hf_chaos *chaos;
    struct hf_httpd *httpd;
};

/* One request and its answer. */
struct call {
    struct hf_chaos *chaos;
    struct hf_slice method;
    struct hf_slice body;
    struct hf_httpd_answer *answer;
};

/* ---- answers ----------------------------------------------------------------------------------
 */

static void fail(struct call *call, uint16_t status, const char *format, ...) HF_PRINTF(3, 4);
static void fail(struct call *call, uint16_t status, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct hf_buffer *out = call->answer->body;
    hf_buffer_clear(out);
    call->answer->status = status;
    (void)hf_buffer_add_text(out, "{\"error\":\"");
    (void)hf_buffer_add_json(out, hf_slice_of(text));
    (void)hf_buffer_addf(out, "\",\"status\":%u}\n", status);
}

static void add_member(struct hf_buffer *out, const char *key, const char *value)
{
    (void)hf_buffer_addf(out, "\"%s\":\"", key);
    (void)hf_buffer_add_json(out, hf_slice_of(value));
    (void)hf_buffer_add_text(out, "\",");
}

static void add_toxics(struct hf_buffer *out, struct hf_chaos_proxy *p)
{
    (void)hf_buffer_add_byte(out, '[');
    for (struct hf_toxic *t = hf_chaos_toxic_next(p, NULL); t != NULL;
         t = hf_chaos_toxic_next(p, t)) {
        if (t != hf_chaos_toxic_next(p, NULL)) {
            (void)hf_buffer_add_byte(out, ',');
        }
        hf_toxic_json(t, out);
    }
    (void)hf_buffer_add_byte(out, ']');
}

static void add_proxy(struct hf_buffer *out, struct hf_chaos_proxy *p)
{
    (void)hf_buffer_add_byte(out, '{');
    add_member(out, "name", hf_chaos_proxy_name(p));
    add_member(out, "listen", hf_chaos_proxy_listen(p));
    add_member(out, "upstream", hf_chaos_proxy_upstream(p));
    (void)hf_buffer_addf(
        out, "\"enabled\":%s,\"toxics\":", hf_chaos_proxy_enabled(p) ? "true" : "false");
    add_toxics(out, p);
    (void)hf_buffer_add_byte(out, '}');
}

/* ---- proxies in JSON --------------------------------------------------------------------------
 */

/* A proxy as a request describes it; texts belong to the JSON. */
struct wish {
    const char *name, *listen, *upstream;
    bool enabled;
};

/* Members that are there replace what the wish has. False: refused. */
static bool read_wish(struct call *call, const json_t *object, struct wish *wish)
{
    static const char *const keys[] = {"name", "listen", "upstream"};
    const char **fields[] = {&wish->name, &wish->listen, &wish->upstream};
    if (!json_is_object(object)) {
        fail(call, 400, "bad request body: a proxy must be an object");
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        const json_t *value = json_object_get(object, keys[i]);
        if (json_is_string(value)) {
            *fields[i] = json_string_value(value);
        } else if (value != NULL && !json_is_null(value)) {
            fail(call, 400, "bad request body: %s must be a string", keys[i]);
            return false;
        }
    }
    const json_t *enabled = json_object_get(object, "enabled");
    if (json_is_boolean(enabled)) {
        wish->enabled = json_is_true(enabled);
    } else if (enabled != NULL && !json_is_null(enabled)) {
        fail(call, 400, "bad request body: enabled must be true or false");
        return false;
    }
    return true;
}

/* NULL: refused. */
static json_t *parse(struct call *call)
{
    json_error_t error;
    json_t *root =
        json_loadb((const char *)call->body.ptr, call->body.len, JSON_DISABLE_EOF_CHECK, &error);
    if (root == NULL) {
        fail(call, 400, "bad request body: %s", call->body.len == 0 ? "EOF" : error.text);
    }
    return root;
}

static void fail_to_listen(struct call *call, const struct wish *wish, enum hf_status status)
{
    if (status == HF_INVALID) {
        fail(call, 500, "listen tcp: address %s: it must be HOST:PORT", wish->listen);
    } else if (status == HF_NO_MEMORY) {
        fail(call, 500, "out of memory, or more than %d proxies", HF_CHAOS_PROXIES_MAX);
    } else {
        fail(call, 500, "listen tcp %s: %s", wish->listen, hf_status_text(status));
    }
}

static void create_proxy(struct call *call)
{
    struct wish wish = {"", "", "", true};
    struct hf_chaos_proxy *p = NULL;
    json_t *root = parse(call);
    if (root == NULL || !read_wish(call, root, &wish)) {
        json_decref(root);
        return;
    }
    if (wish.name[0] == '\0' || wish.upstream[0] == '\0') {
        fail(call, 400, "missing required field: %s", wish.name[0] == '\0' ? "name" : "upstream");
    } else if (hf_chaos_proxy_find(call->chaos, hf_slice_of(wish.name)) != NULL) {
        fail(call, 409, "proxy already exists");
    } else {
        enum hf_status status =
            hf_chaos_proxy_add(call->chaos, hf_slice_of(wish.name), hf_slice_of(wish.listen),
                               hf_slice_of(wish.upstream), wish.enabled, &p);
        if (status != HF_OK) {
            fail_to_listen(call, &wish, status);
        } else {
            call->answer->status = 201;
            add_proxy(call->answer->body, p);
        }
    }
    json_decref(root);
}

static void update_proxy(struct call *call, struct hf_chaos_proxy *p)
{
    struct wish wish = {hf_chaos_proxy_name(p), hf_chaos_proxy_listen(p),
                        hf_chaos_proxy_upstream(p), hf_chaos_proxy_enabled(p)};
    json_t *root = parse(call);
    if (root != NULL && read_wish(call, root, &wish)) {
        /* Copies: the proxy's own texts go when they are replaced. */
        char *listen = hf_alloc_text(&hf_heap, hf_slice_of(wish.listen));
        char *upstream = hf_alloc_text(&hf_heap, hf_slice_of(wish.upstream));
        enum hf_status status = HF_NO_MEMORY;
        if (listen != NULL && upstream != NULL) {
            wish.listen = listen;
            status =
                hf_chaos_proxy_update(p, hf_slice_of(listen), hf_slice_of(upstream), wish.enabled);
        }
        if (status != HF_OK) {
            fail_to_listen(call, &wish, status);
        } else {
            add_proxy(call->answer->body, p);
        }
        hf_release(&hf_heap, listen);
        hf_release(&hf_heap, upstream);
    }
    json_decref(root);
}

/* ---- /populate --------------------------------------------------------------------------------
 */

/* Whole, before anything is changed. */
static bool check_population(struct call *call, const json_t *list)
{
    size_t i;
    json_t *object;
    if (!json_is_array(list)) {
        fail(call, 400, "bad request body: it must be a list of proxies");
        return false;
    }
    json_array_foreach(list, i, object)
    {
        struct wish wish = {"", "", "", true};
        if (!read_wish(call, object, &wish)) {
            return false;
        }
        if (wish.name[0] == '\0' || wish.upstream[0] == '\0') {
            fail(call, 400, "missing required field: %s at proxy %zu",
                 wish.name[0] == '\0' ? "name" : "upstream", i + 1);
            return false;
        }
    }
    return true;
}

/* As it is, or as it is made. NULL: refused. */
static struct hf_chaos_proxy *populate_one(struct call *call, const struct wish *wish)
{
    struct hf_chaos_proxy *p = hf_chaos_proxy_find(call->chaos, hf_slice_of(wish->name));
    enum hf_status status = HF_OK;
    if (p != NULL) {
        status = hf_chaos_proxy_update(p, hf_slice_of(wish->listen), hf_slice_of(wish->upstream),
                                       wish->enabled);
    } else {
        status = hf_chaos_proxy_add(call->chaos, hf_slice_of(wish->name), hf_slice_of(wish->listen),
                                    hf_slice_of(wish->upstream), wish->enabled, &p);
    }
    if (status != HF_OK) {
        fail_to_listen(call, wish, status);
        return NULL;
    }
    return p;
}

static void populate(struct call *call)
{
    size_t i;
    json_t *object;
    json_t *list = parse(call);
    struct hf_buffer *out = call->answer->body;
    if (list == NULL || !check_population(call, list)) {
        json_decref(list);
        return;
    }
    call->answer->status = 201;
    (void)hf_buffer_add_text(out, "{\"proxies\":[");
    json_array_foreach(list, i, object)
    {
        struct wish wish = {"", "", "", true};
        (void)read_wish(call, object, &wish);
        struct hf_chaos_proxy *p = populate_one(call, &wish);
        if (p == NULL) {
            json_decref(list);
            return;
        }
        (void)hf_buffer_add_text(out, i > 0 ? "," : "");
        add_proxy(out, p);
    }
    (void)hf_buffer_add_text(out, "]}");
    json_decref(list);
}

/* ---- toxics -----------------------------------------------------------------------------------
 */

static void create_toxic(struct call *call, struct hf_chaos_proxy *p)
{
    struct hf_chaos_refusal refusal = {0};
    struct hf_toxic *t = hf_toxic_from_json(call->body, &refusal);
    if (t == NULL) {
        fail(call, refusal.status, "%s", refusal.why);
        return;
    }
    if (hf_chaos_toxic_find(p, hf_slice_of(t->name)) != NULL) {
        fail(call, 409, "toxic already exists");
    } else if (hf_chaos_toxic_add(p, t) != HF_OK) {
        fail(call, 500, "a proxy has at most %d toxics", HF_CHAOS_TOXICS_MAX);
    } else {
        hf_toxic_json(t, call->answer->body);
        return;
    }
    hf_toxic_free(t);
}

static void update_toxic(struct call *call, struct hf_chaos_proxy *p, struct hf_toxic *t)
{
    struct hf_chaos_refusal refusal = {0};
    struct hf_toxic *changed = hf_toxic_changed(t, call->body, &refusal);
    if (changed == NULL) {
        fail(call, refusal.status, "%s", refusal.why);
        return;
    }
    hf_toxic_json(changed, call->answer->body);
    hf_chaos_toxic_replace(p, t, changed);
}

static void remove_toxics(struct hf_chaos_proxy *p)
{
    for (struct hf_toxic *t = hf_chaos_toxic_next(p, NULL); t != NULL;
         t = hf_chaos_toxic_next(p, NULL)) {
        hf_chaos_toxic_remove(p, t);
    }
}

static void reset_all(struct call *call)
{
    for (struct hf_chaos_proxy *p = hf_chaos_proxy_next(call->chaos, NULL); p != NULL;
         p = hf_chaos_proxy_next(call->chaos, p)) {
        struct wish wish = {.listen = hf_chaos_proxy_listen(p)};
        enum hf_status status =
            hf_chaos_proxy_update(p, hf_slice_of(hf_chaos_proxy_listen(p)),
                                  hf_slice_of(hf_chaos_proxy_upstream(p)), true);
        if (status != HF_OK) {
            fail_to_listen(call, &wish, status);
            return;
        }
        remove_toxics(p);
    }
    call->answer->status = 204;
}

/* ---- routes -----------------------------------------------------------------------------------
 */

static bool is(const struct call *call, const char *method)
{
    return hf_slice_eq(call->method, hf_slice_of(method));
}

static void wrong_method(struct call *call)
{
    call->answer->status = 405;
    call->answer->type = "text/plain; charset=utf-8";
}

static void not_found(struct call *call)
{
    call->answer->type = "text/plain; charset=utf-8";
    call->answer->status = 404;
    (void)hf_buffer_add_text(call->answer->body, "404 page not found\n");
}

static void list_proxies(struct call *call)
{
    struct hf_buffer *out = call->answer->body;
    (void)hf_buffer_add_byte(out, '{');
    for (struct hf_chaos_proxy *p = hf_chaos_proxy_next(call->chaos, NULL); p != NULL;
         p = hf_chaos_proxy_next(call->chaos, p)) {
        (void)hf_buffer_add_text(out, p == hf_chaos_proxy_next(call->chaos, NULL) ? "\"" : ",\"");
        (void)hf_buffer_add_json(out, hf_slice_of(hf_chaos_proxy_name(p)));
        (void)hf_buffer_add_text(out, "\":");
        add_proxy(out, p);
    }
    (void)hf_buffer_add_byte(out, '}');
}

static void metrics(struct call *call)
{
    struct hf_buffer *out = call->answer->body;
    call->answer->type = "text/plain; version=0.0.4; charset=utf-8";
    (void)hf_buffer_addf(
        out,
        "# HELP holdfast_chaos_accepted_total Connections that were accepted.\n"
        "# TYPE holdfast_chaos_accepted_total counter\nholdfast_chaos_accepted_total %llu\n"
        "# HELP holdfast_chaos_connections Connections that are open.\n"
        "# TYPE holdfast_chaos_connections gauge\n",
        (unsigned long long)hf_chaos_accepted(call->chaos));
    for (struct hf_chaos_proxy *p = hf_chaos_proxy_next(call->chaos, NULL); p != NULL;
         p = hf_chaos_proxy_next(call->chaos, p)) {
        (void)hf_buffer_add_text(out, "holdfast_chaos_connections{proxy=\"");
        (void)hf_buffer_add_json(out, hf_slice_of(hf_chaos_proxy_name(p)));
        (void)hf_buffer_addf(out, "\"} %zu\n", hf_chaos_proxy_links(p));
    }
}

static void answer_proxy(struct call *call, struct hf_chaos_proxy *p)
{
    if (is(call, "GET") || is(call, "HEAD")) {
        add_proxy(call->answer->body, p);
    } else if (is(call, "POST") || is(call, "PATCH")) {
        update_proxy(call, p);
    } else if (is(call, "DELETE")) {
        hf_chaos_proxy_remove(p);
        call->answer->status = 204;
    } else {
        wrong_method(call);
    }
}

static void answer_toxic(struct call *call, struct hf_chaos_proxy *p, struct hf_toxic *t)
{
    if (t == NULL) {
        fail(call, 404, "toxic not found");
    } else if (is(call, "GET") || is(call, "HEAD")) {
        hf_toxic_json(t, call->answer->body);
    } else if (is(call, "POST") || is(call, "PATCH")) {
        update_toxic(call, p, t);
    } else if (is(call, "DELETE")) {
        hf_chaos_toxic_remove(p, t);
        call->answer->status = 204;
    } else {
        wrong_method(call);
    }
}

/* The pieces of the path behind /proxies/: proxy, "toxics", toxic. */
static void answer_below(struct call *call, struct hf_slice pieces[3], size_t count)
{
    struct hf_chaos_proxy *p = hf_chaos_proxy_find(call->chaos, pieces[0]);
    if (count > 1 && !hf_slice_eq(pieces[1], HF_LITERAL("toxics"))) {
        not_found(call);
    } else if (p == NULL) {
        fail(call, 404, "proxy not found");
    } else if (count == 1) {
        answer_proxy(call, p);
    } else if (count == 3) {
        answer_toxic(call, p, hf_chaos_toxic_find(p, pieces[2]));
    } else if (is(call, "GET") || is(call, "HEAD")) {
        add_toxics(call->answer->body, p);
    } else if (is(call, "POST")) {
        create_toxic(call, p);
    } else {
        wrong_method(call);
    }
}

/* Paths of one word. */
static void answer_word(struct call *call, struct hf_slice word)
{
    bool reads = is(call, "GET") || is(call, "HEAD");
    if (hf_slice_eq(word, HF_LITERAL("proxies"))) {
        if (reads) {
            list_proxies(call);
        } else if (is(call, "POST")) {
            create_proxy(call);
        } else {
            wrong_method(call);
        }
    } else if (hf_slice_eq(word, HF_LITERAL("version")) && reads) {
        (void)hf_buffer_add_text(call->answer->body, "{\"version\": \"" TOXIPROXY_VERSION
                                                     "+holdfast-" HF_VERSION "\"}\n");
    } else if (hf_slice_eq(word, HF_LITERAL("metrics")) && reads) {
        metrics(call);
    } else if (hf_slice_eq(word, HF_LITERAL("reset")) && is(call, "POST")) {
        reset_all(call);
    } else if (hf_slice_eq(word, HF_LITERAL("populate")) && is(call, "POST")) {
        populate(call);
    } else {
        not_found(call);
    }
}

/* The decoded pieces of the path, which lie in text. Returns how many, at most 5; 0: a bad path. */
static size_t split_path(struct hf_slice path, struct hf_buffer *text, struct hf_slice pieces[5])
{
    struct hf_slice rest = hf_slice_from(path, 1);
    struct hf_slice piece;
    size_t ends[5];
    size_t count = 0;
    while (count < 5 && hf_slice_next(&rest, '/', &piece)) {
        if (piece.len == 0 || !hf_percent_decode(piece, text)) {
            return 0;
        }
        ends[count++] = text->len;
    }
    for (size_t i = 0; i < count; i++) {
        size_t from = i == 0 ? 0 : ends[i - 1];
        pieces[i] = hf_slice(text->data + from, ends[i] - from);
    }
    return text->failed ? 0 : count;
}

static void on_request(void *owner, const struct hf_httpd_request *request,
                       struct hf_httpd_answer *answer)
{
    struct hf_chaos_api *api = owner;
    struct call call = {.chaos = api->chaos,
                        .method = request->head->method,
                        .body = request->body,
                        .answer = answer};
    const struct hf_slice *agent = hf_head_find(request->head, "User-Agent");
    struct hf_slice pieces[5];
    struct hf_buffer text;
    answer->type = "application/json";
    if (agent != NULL && hf_slice_starts(*agent, HF_LITERAL("Mozilla/"))) {
        hf_httpd_say(answer, 403, "User agent not allowed");
        return;
    }
    hf_buffer_init(&text, &hf_heap, 65536);
    size_t count = split_path(request->path, &text, pieces);
    bool below = count > 1 && hf_slice_eq(pieces[0], HF_LITERAL("proxies"));
    if (count == 1) {
        answer_word(&call, pieces[0]);
    } else if (below && count <= 4) {
        answer_below(&call, pieces + 1, count - 1);
    } else {
        not_found(&call);
    }
    hf_buffer_reset(&text);
}

static bool is_loopback(const struct hf_address *address)
{
    char host[64];
    hf_address_host_text(address, host);
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

enum hf_status hf_chaos_api_open(struct hf_chaos *chaos, const struct hf_address *address,
                                 struct hf_chaos_api **api, struct hf_buffer *why)
{
    struct hf_chaos_api *a = hf_alloc_zero(&hf_heap, sizeof(*a));
    *api = NULL;
    if (a == NULL) {
        (void)hf_buffer_add_text(why, "out of memory");
        return HF_NO_MEMORY;
    }
    /* On loopback only local names lead here; elsewhere a container is asked by any name. */
    const struct hf_httpd_how how = {.address = *address,
                                     .handler = on_request,
                                     .owner = a,
                                     .body_max = BODY_MAX,
                                     .check_host = is_loopback(address)};
    a->chaos = chaos;
    enum hf_status status = hf_httpd_new(hf_chaos_loop(chaos), &how, &a->httpd, why);
    if (status != HF_OK) {
        hf_release(&hf_heap, a);
        return status;
    }
    *api = a;
    return HF_OK;
}

void hf_chaos_api_address(const struct hf_chaos_api *api, struct hf_address *address)
{
    hf_httpd_address(api->httpd, address);
}

void hf_chaos_api_close(struct hf_chaos_api *api)
{
    if (api != NULL) {
        hf_httpd_free(api->httpd);
        hf_release(&hf_heap, api);
    }
}
