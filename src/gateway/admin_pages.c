/* SPDX-License-Identifier: Apache-2.0 */
/* The pages of the admin listener: see admin_pages.h. */
#include "gateway/admin_pages.h"

#include "gateway/admin.h"
#include "gateway/ledger.h"
#include "http/url.h"

#define SESSIONS_DEFAULT 1000
#define SESSIONS_MAX 100000
#define ENDINGS_MAX 1000000

#define TYPE_TEXT "text/plain; charset=utf-8"
#define TYPE_JSON "application/json"
#define TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"

void hf_page_say(struct hf_page *page, uint16_t status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    page->status = status;
    page->type = TYPE_TEXT;
    hf_buffer_clear(page->body);
    hf_buffer_addv(page->body, format, args);
    hf_buffer_add_byte(page->body, '\n');
    va_end(args);
}

/* ---- the pages ------------------------------------------------------------------------ */

/* A page that could not be made for want of memory says so in place of half its text. */
static void finish(struct hf_page *page, enum hf_status status, const char *type)
{
    if (status != HF_OK || page->body->failed) {
        hf_page_say(page, 503, "there is no room for this answer; ask for less with ?limit=");
        return;
    }
    page->status = 200;
    page->type = type;
}

/* The number in ?limit=; false when it is none from 1 to max, and the page says so. */
static bool read_limit(struct hf_slice query, uint32_t max, uint32_t *limit, struct hf_page *page)
{
    struct hf_slice text;
    uint64_t value = 0;
    if (!hf_query_find(query, HF_LITERAL("limit"), &text)) {
        return true;
    }
    if (!hf_slice_number(text, max, &value) || value == 0) {
        hf_page_say(page, 400, "limit is a number from 1 to %u", max);
        return false;
    }
    *limit = (uint32_t)value;
    return true;
}

static void make_health(struct hf_gateway *g, struct hf_slice query, struct hf_page *page)
{
    hf_page_say(page, 200, "ok");
}

static void make_ready(struct hf_gateway *g, struct hf_slice query, struct hf_page *page)
{
    bool draining = atomic_load_explicit(&g->draining, memory_order_relaxed);
    hf_page_say(page, draining ? 503 : 200, "%s", draining ? "draining" : "ready");
}

static void make_metrics(struct hf_gateway *g, struct hf_slice query, struct hf_page *page)
{
    finish(page, hf_metrics_print(g, page->body), TYPE_METRICS);
}

static void make_sessions(struct hf_gateway *g, struct hf_slice query, struct hf_page *page)
{
    page->limit = SESSIONS_DEFAULT;
    if (read_limit(query, SESSIONS_MAX, &page->limit, page)) {
        page->sessions = true;
        page->status = 200;
        page->type = TYPE_JSON;
    }
}

static void make_endings(struct hf_gateway *g, struct hf_slice query, struct hf_page *page)
{
    struct hf_slice text;
    const char *id = NULL;
    page->limit = ENDINGS_MAX;
    if (hf_query_find(query, HF_LITERAL("cause"), &text)) {
        enum hf_cause cause = hf_cause_from_id(text);
        if (cause == HF_CAUSE_NONE) {
            hf_page_say(
                page, 400,
                "there is no such cause; /metrics lists them all, as holdfast_endings_total");
            return;
        }
        id = hf_cause_id(cause);
    }
    if (read_limit(query, ENDINGS_MAX, &page->limit, page)) {
        finish(page, hf_ledger_print(g->ledger, page->limit, id, page->body), TYPE_JSON);
    }
}

static void make_index(struct hf_gateway *g, struct hf_slice query, struct hf_page *page);

static const struct {
    const char *path;
    bool open; /* asks for no token: load balancers have none */
    void (*make)(struct hf_gateway *g, struct hf_slice query, struct hf_page *page);
    const char *sentence;
} pages[] = {
    {"/healthz", true, make_health, "200 while the process lives"},
    {"/readyz", true, make_ready,
     "200 while new connections are taken, 503 while the gateway drains"},
    {"/metrics", false, make_metrics, "counters and gauges for Prometheus"},
    {"/api/sessions", false, make_sessions,
     "the WebSockets that are open, newest first; ?limit=1000"},
    {"/api/endings", false, make_endings,
     "how connections ended, newest first; ?limit=100&cause=client_fin"},
    {"/", false, make_index, "this list"},
};
#define PAGES (sizeof(pages) / sizeof(pages[0]))

static void make_index(struct hf_gateway *g, struct hf_slice query, struct hf_page *page)
{
    hf_page_say(page, 200, "holdfast %s, admin\n", HF_VERSION);
    for (size_t i = 0; i < PAGES; i++) {
        hf_buffer_addf(page->body, "%-14s %s\n", pages[i].path, pages[i].sentence);
    }
}

/* ---- who may ask ---------------------------------------------------------------------- */

/* A browser names in Host what it looked up: a name of the attacker's that leads to this address is
 * neither an address nor "localhost". */
static bool host_is_ours(struct hf_slice host)
{
    uint8_t address[16];
    struct hf_slice name = hf_slice_first(host, hf_slice_find(host, ':'));
    return hf_slice_eq_nocase(name, HF_LITERAL("localhost")) || hf_ip_parse(host, address);
}

/* True when the head announces a body, or may mean one. */
static bool has_body(const struct hf_head *head)
{
    size_t lengths = hf_head_count(head, "Content-Length");
    return hf_head_count(head, "Transfer-Encoding") > 0 || lengths > 1 ||
           (lengths == 1 && !hf_slice_eq(*hf_head_find(head, "Content-Length"), HF_LITERAL("0")));
}

static bool is_read(const struct hf_head *head)
{
    return hf_slice_eq(head->method, HF_LITERAL("GET")) ||
           hf_slice_eq(head->method, HF_LITERAL("HEAD"));
}

/* False when the request is refused for what it is, whatever it asks for. */
static bool check_request(const struct hf_page_access *access, const struct hf_head *head,
                          struct hf_page *page)
{
    size_t hosts = hf_head_count(head, "Host");
    bool twice = head->authority.len > 0 &&
                 (hosts != 1 || !hf_slice_eq_nocase(head->authority, *hf_head_find(head, "Host")));
    if (twice || hosts > 1 || (hosts == 0 && head->minor > 0)) { /* RFC 9112 3.2 */
        hf_page_say(page, 400, "a request has exactly one Host header");
        page->close = true;
        return false;
    }
    if (access->check_host && hosts == 1 && !host_is_ours(*hf_head_find(head, "Host"))) {
        hf_page_say(page, 403, "the Host header must be an address or localhost here");
        return false;
    }
    if (page->close && is_read(head)) {
        hf_page_say(page, 400, "a request has no body here");
        return false;
    }
    return true;
}

void hf_page_make(struct hf_gateway *gateway, const struct hf_page_access *access,
                  const struct hf_head *head, struct hf_page *page)
{
    struct hf_slice path;
    struct hf_slice query;
    size_t i = 0;
    page->headers = "";
    page->sessions = false;
    page->close = has_body(head);
    if (!check_request(access, head, page)) {
        return;
    }
    hf_target_split(head->target, &path, &query);
    while (i < PAGES && !hf_slice_eq(path, hf_slice_of(pages[i].path))) {
        i++;
    }
    if (access->token != NULL && (i == PAGES || !pages[i].open) &&
        !hf_head_has_bearer(head, access->token)) {
        hf_page_say(page, 401, "the admin token is demanded here: Authorization: Bearer TOKEN");
        page->headers = "WWW-Authenticate: Bearer\r\n"; /* RFC 9110 15.5.2 */
    } else if (i == PAGES) {
        hf_page_say(page, 404, "there is no such page; / lists them all");
    } else if (!is_read(head)) {
        hf_page_say(page, 405, "only GET and HEAD are answered here");
        page->headers = "Allow: GET, HEAD\r\n"; /* RFC 9110 15.5.6 */
    } else {
        pages[i].make(gateway, query, page);
    }
}
