/* SPDX-License-Identifier: Apache-2.0 */
/* What a refused handshake usually means: see refusal.h. */
#include "probe/refusal.h"

#include <strings.h>

static bool has(struct hf_slice text, const char *word)
{
    const size_t len = strlen(word);
    for (size_t i = 0; i + len <= text.len; i++) {
        if (strncasecmp((const char *)text.ptr + i, word, len) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_html(const struct hf_head *head, struct hf_slice body)
{
    const struct hf_slice *type = hf_head_find(head, "Content-Type");
    return (type != NULL && has(*type, "html")) || has(hf_slice_first(body, 256), "<html") ||
           has(hf_slice_first(body, 256), "<!doctype");
}

static bool is_login(struct hf_slice text)
{
    return has(text, "login") || has(text, "log in") || has(text, "sign in") ||
           has(text, "signin") || has(text, "type=\"password\"") || has(text, "captive");
}

static void explain_redirect(const struct hf_target *t, const struct hf_head *head,
                             struct hf_buffer *out)
{
    const struct hf_slice *to = hf_head_find(head, "Location");
    if (to == NULL) {
        hf_buffer_add_text(out, "A redirect without a Location. WebSocket clients do not follow "
                                "redirects.");
        return;
    }
    hf_buffer_add_text(out, "WebSocket clients do not follow redirects. ");
    if (is_login(*to)) {
        hf_buffer_add_text(out, "It leads to a login page: the request carried no session that the "
                                "server accepts (a cookie or a token is missing), or a captive "
                                "portal of the network stands in between.");
    } else if (!t->url.tls && has(hf_slice_first(*to, 8), "https://")) {
        hf_buffer_add_text(out, "The server wants TLS: use wss: instead of ws:.");
    } else if (hf_slice_ends(*to, HF_LITERAL("/")) &&
               !hf_slice_ends(t->url.path, HF_LITERAL("/"))) {
        hf_buffer_add_text(out, "It adds a slash at the end of the path: connect to that path.");
    } else {
        hf_buffer_add_text(out, "Connect to the address in Location, with ws: or wss:.");
    }
}

static void explain_ok(const struct hf_head *head, struct hf_slice body, struct hf_buffer *out)
{
    if (is_html(head, body) && is_login(body)) {
        hf_buffer_add_text(out, "A login page came instead: credentials are missing, or a captive "
                                "portal of the network answers for the server.");
    } else if (is_html(head, body)) {
        hf_buffer_add_text(out,
                           "An ordinary page came: the request was taken for plain HTTP. A proxy "
                           "on the way drops the Upgrade header (nginx: proxy_http_version 1.1, "
                           "proxy_set_header Upgrade $http_upgrade, proxy_set_header Connection "
                           "\"upgrade\"), or the path belongs to the web page.");
    } else {
        hf_buffer_add_text(out,
                           "An ordinary HTTP answer came: a proxy on the way drops the Upgrade "
                           "header, or the path is not the WebSocket's.");
    }
}

static void explain_forbidden(const struct hf_target *t, const struct hf_head *head,
                              struct hf_slice body, struct hf_buffer *out)
{
    if (hf_head_find(head, "cf-mitigated") != NULL) {
        hf_buffer_add_text(out,
                           "The CDN asks for a challenge that only a browser can pass; let this "
                           "path through in its firewall rules.");
    } else if (has(body, "origin")) {
        hf_buffer_add_text(out,
                           "The body speaks of the origin: the server does not allow this one. ");
    } else if (has(body, "csrf") || has(body, "host")) {
        hf_buffer_add_text(out, "The body speaks of a check of host or CSRF token. ");
    } else {
        hf_buffer_add_text(out, "Usually the server's check of Origin or Host, a missing cookie or "
                                "token, or a firewall; Daphne and Uvicorn answer 403 whenever the "
                                "application closes before it accepts. ");
    }
    if (t->origin == NULL) {
        hf_buffer_add_text(out, "No Origin was sent: try --origin with the page's origin, for "
                                "example ");
        hf_buffer_addf(out, "--origin %s://%.*s.", t->url.tls ? "https" : "http",
                       HF_SLICE_ARG(t->url.host));
    } else {
        hf_buffer_addf(out, "The Origin sent was %s.", t->origin);
    }
}

static void explain_bad_request(const struct hf_target *t, struct hf_slice body,
                                struct hf_buffer *out)
{
    if (has(body, "https port") || has(body, "ssl")) {
        hf_buffer_add_text(out, "The port speaks TLS: use wss: instead of ws:.");
    } else if (has(body, "upgrade") || has(body, "websocket")) {
        hf_buffer_add_text(out, "The server saw no WebSocket handshake: a proxy on the way drops "
                                "Upgrade, Connection or the Sec-WebSocket headers.");
    } else if (t->url.tls) {
        hf_buffer_add_text(out,
                           "The request was not understood, or its Host or a cookie is refused.");
    } else {
        hf_buffer_add_text(out, "The request was not understood: the Host may not be allowed "
                                "(Django's ALLOWED_HOSTS answers so), or a proxy changes the "
                                "handshake.");
    }
}

static const struct {
    uint16_t status;
    const char *text;
} meanings[] = {
    {401, "Credentials are missing or not accepted: --token, --user, or -H 'Cookie: …'. A browser "
          "cannot send Authorization on a WebSocket: pages use a cookie, a query parameter or a "
          "subprotocol."},
    {404, "No WebSocket at this path: compare it with the server's routes, its slash at the end "
          "and the prefix that a proxy adds or takes off. Frameworks also answer 404 when the "
          "Upgrade header did not reach them."},
    {405, "The path knows other methods than GET, as plain HTTP endpoints do: it is not the "
          "WebSocket's, or the Upgrade header was lost on the way."},
    {407, "The proxy wants credentials: --proxy http://name:password@host:port."},
    {408, "The server waited for the request too long."},
    {410, "What was there is gone for good."},
    {413, "The request's head is too large for the server: too many or too large cookies."},
    {421, "The server that answered is not the one for this Host: the name in TLS and the Host "
          "header differ, or the address is wrong."},
    {426, "The server saw a plain HTTP request: a proxy on the way drops Upgrade or Connection, or "
          "speaks HTTP/1.0 to it."},
    {429, "Too many connections or attempts from here; Retry-After says when to come again."},
    {431, "The request's head is too large for the server: too many or too large cookies."},
    {500, "The application failed while it answered the handshake; its log has the error."},
    {501, "Something on the way does not know WebSocket."},
    {502, "The proxy could not reach the application or did not understand its answer: it is "
          "down, restarts, listens elsewhere, or speaks TLS where plain is expected."},
    {503, "No server is ready behind the balancer, it is overloaded, or it is being deployed."},
    {504, "The application behind the proxy did not answer the handshake in time."},
    {520, "The CDN got an answer from the origin that it could not use."},
    {521, "The CDN could not connect to the origin: it refuses."},
    {522, "The CDN's connect to the origin timed out."},
    {523, "The CDN has no way to the origin."},
    {524, "The origin did not answer the CDN in time."},
    {525, "The CDN's TLS handshake with the origin failed."},
    {526, "The origin's certificate is not valid for the CDN."},
};

void hf_refusal_explain(const struct hf_target *t, const struct hf_head *head, struct hf_slice body,
                        struct hf_buffer *out)
{
    const uint16_t status = head->status;
    if (status == 101) {
        hf_buffer_add_text(out, "The 101 does not belong to this handshake: something on the way "
                                "answers or changes it.");
        return;
    }
    if (status >= 300 && status < 400) {
        explain_redirect(t, head, out);
        return;
    }
    if (status >= 200 && status < 300) {
        explain_ok(head, body, out);
        return;
    }
    if (status == 403) {
        explain_forbidden(t, head, body, out);
        return;
    }
    if (status == 400) {
        explain_bad_request(t, body, out);
        return;
    }
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if (meanings[i].status == status) {
            hf_buffer_add_text(out, meanings[i].text);
            return;
        }
    }
    hf_buffer_add_text(out, status >= 500
                                ? "The server or a proxy in front of it failed; its log has "
                                  "the reason."
                                : "The server does not accept this handshake.");
}

/* What OpenSSL's words for a failure mean. */
static const struct {
    const char *word, *text;
} tls_meanings[] = {
    {"wrong version number",
     "The port does not speak TLS: use ws: instead of wss:, or another port."},
    {"packet length too long", "The port does not speak TLS: use ws: instead of wss:."},
    {"certificate has expired", "The certificate has expired: renew it, and reload the server that "
                                "holds it."},
    {"not yet valid", "The certificate's time has not begun: look at the clocks."},
    {"self-signed certificate in certificate chain", "The chain ends in an authority that is not "
                                                     "trusted here: name it with --cacert, or a "
                                                     "proxy of the network opens TLS on the way."},
    {"self-signed",
     "The certificate is signed by itself: name it with --cacert, or -k accepts any."},
    {"unable to get local issuer", "The server does not send its whole chain (the intermediate "
                                   "certificate is missing), or its authority is not trusted here: "
                                   "--cacert."},
    {"mismatch", "The certificate is for other names than the one in the URL: another server "
                 "answers at this address, or the name is missing in the certificate."},
    {"handshake failure", "No version or cipher in common, or the server wants a name (SNI) or a "
                          "client's certificate that it did not get."},
    {"unrecognized name", "The server has no certificate for this name."},
    {"closed the connection",
     "The server hung up in the TLS handshake: it may not speak TLS at this "
     "port, not know the name, or something on the way forbids it."},
};

static void explain_tls(const char *reason, struct hf_buffer *out)
{
    for (size_t i = 0; i < sizeof(tls_meanings) / sizeof(tls_meanings[0]); i++) {
        if (has(hf_slice_of(reason), tls_meanings[i].word)) {
            hf_buffer_add_text(out, tls_meanings[i].text);
            return;
        }
    }
}

static void explain_hang_up(const struct hf_target *t, enum hf_trial_phase phase,
                            struct hf_buffer *out)
{
    if (phase == HF_PHASE_UPGRADE && !t->url.tls) {
        hf_buffer_add_text(out, "The port may want TLS (use wss:), or not be an HTTP server; some "
                                "firewalls hang up like this too.");
    } else if (phase == HF_PHASE_UPGRADE) {
        hf_buffer_add_text(out,
                           "The server took the request and hung up: it does not know WebSocket "
                           "at this address, or it crashed; its log may say.");
    }
}

void hf_failure_explain(const struct hf_target *t, const struct hf_trial *trial,
                        struct hf_buffer *out)
{
    const struct hf_trial_end *e = &trial->end;
    if (hf_trial_was_open(trial)) {
        return;
    }
    switch (e->how) {
    case HF_HOW_TLS:
        explain_tls(e->reason, out);
        break;
    case HF_HOW_FIN:
    case HF_HOW_RST:
        explain_hang_up(t, e->phase, out);
        break;
    case HF_HOW_STATUS:
        if (e->http == 0) {
            hf_buffer_add_text(out, t->url.tls ? "What listens at this port is no HTTP server."
                                               : "What listens at this port is no HTTP server; if "
                                                 "it speaks TLS, use wss: instead of ws:.");
        }
        break;
    case HF_HOW_REFUSED:
        hf_buffer_add_text(out, "The server is down, listens at another port or address, or a "
                                "firewall rejects.");
        break;
    case HF_HOW_NO_NAME:
        hf_buffer_add_text(out,
                           "The name is mistyped, not published, or known inside another network "
                           "alone (--resolve gives it an address).");
        break;
    case HF_HOW_UNREACHABLE:
        hf_buffer_add_text(out,
                           "The address does not answer: a firewall drops, the host is down, or "
                           "there is no route (try -4 and -6).");
        break;
    case HF_HOW_SLOW:
        hf_buffer_add_text(out,
                           "The connection stands, but the answer does not come: the application "
                           "is overloaded or blocked, or waits for something before it accepts.");
        break;
    case HF_HOW_ALIVE:
    case HF_HOW_ENDED_BY_US:
    case HF_HOW_CLOSE:
    case HF_HOW_SILENCE:
    case HF_HOW_TIMEOUT:
    case HF_HOW_FAULT:
    case HF_HOW_ERRNO:
    case HF_HOW_KINDS:
        break;
    }
}

bool hf_refusal_header_matters(struct hf_slice name)
{
    static const char *const known[] = {
        "Server",
        "Via",
        "Location",
        "WWW-Authenticate",
        "Retry-After",
        "Content-Type",
        "Upgrade",
        "X-Cache",
        "CF-Ray",
        "CF-Mitigated",
        "X-Amz-Cf-Id",
        "X-Served-By",
        "X-Request-Id",
        "X-Powered-By",
        "Proxy-Authenticate",
        "X-Azure-Ref",
        "Alt-Svc",
        "X-Frame-Options",
        "Sec-WebSocket-Version",
        "Connection",
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (hf_slice_eq_nocase(name, hf_slice_of(known[i]))) {
            return true;
        }
    }
    return false;
}

/* Behind <script> and <style> the text is skipped to their end. */
static size_t skip_tag(struct hf_slice s)
{
    static const char *const hidden[] = {"script", "style"};
    for (size_t i = 0; i < 2; i++) {
        const size_t len = strlen(hidden[i]);
        if (s.len <= len + 1 || strncasecmp((const char *)s.ptr + 1, hidden[i], len) != 0) {
            continue;
        }
        for (size_t at = len; at + len + 2 <= s.len; at++) {
            if (s.ptr[at] == '<' && s.ptr[at + 1] == '/' &&
                strncasecmp((const char *)s.ptr + at + 2, hidden[i], len) == 0) {
                s = hf_slice_from(s, at);
                return at + hf_slice_find(s, '>') + 1;
            }
        }
        return s.len;
    }
    return hf_slice_find(s, '>') + 1;
}

void hf_refusal_body_text(struct hf_slice body, size_t max, struct hf_buffer *out)
{
    const size_t start = out->len;
    bool blank = false;
    while (body.len > 0 && out->len - start < max) {
        const uint8_t c = body.ptr[0];
        const bool letter = body.len > 1 && ((body.ptr[1] | 0x20) >= 'a' || body.ptr[1] == '/' ||
                                             body.ptr[1] == '!');
        if (c == '<' && letter) {
            body = hf_slice_from(body, skip_tag(body));
            blank = true;
            continue;
        }
        if (c <= ' ' || c == 0x7f) {
            blank = true;
        } else {
            if (blank && out->len > start) {
                hf_buffer_add_byte(out, ' ');
            }
            blank = false;
            hf_buffer_add_byte(out, c);
        }
        body = hf_slice_from(body, 1);
    }
}
