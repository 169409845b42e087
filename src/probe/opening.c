/* SPDX-License-Identifier: Apache-2.0 */
/* A probe's way to the 101: the request, the phases with their times, what stands in front of the
 * server, and what a refusal said. */
#include "base/hash.h"
#include "client/request.h"
#include "probe/inside.h"
#include "ws/extension.h"

#include <stdio.h>
#include <strings.h>

#define OFFER "permessage-deflate; client_max_window_bits"

/* ---- the request --------------------------------------------------------------------------------
 */

static bool names(const char *header, const char *name)
{
    const size_t len = strlen(name);
    return strncasecmp(header, name, len) == 0 && header[len] == ':';
}

/* The user's own header of that name, or NULL. */
static const char *own_header(const struct hf_target *t, const char *name)
{
    for (size_t i = 0; i < t->header_count; i++) {
        if (names(t->headers[i], name)) {
            return t->headers[i];
        }
    }
    return NULL;
}

/* RFC 7617. */
static void add_basic(const char *user, struct hf_buffer *out)
{
    char text[HF_BASE64_LEN(768) + 1];
    const struct hf_slice plain = hf_slice_first(hf_slice_of(user), 768);
    const size_t len = hf_base64_encode(plain, text);
    hf_buffer_addf(out, "Authorization: Basic %.*s\r\n", (int)len, text);
}

static void write_request(struct hf_probe *p)
{
    const struct hf_target *t = p->how.target;
    struct hf_buffer *out = &p->request;
    hf_buffer_clear(out);
    hf_buffer_add_text(out, "GET ");
    hf_request_add_target(&t->url, t->token_query, t->token, out);
    hf_buffer_add_text(out, " HTTP/1.1\r\n");
    if (own_header(t, "Host") == NULL) {
        hf_buffer_add_text(out, "Host: ");
        hf_request_add_host(&t->url, out);
        hf_buffer_add_text(out, "\r\n");
    }
    hf_buffer_addf(out,
                   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: %.*s\r\n",
                   HF_WS_KEY_CHARS, p->key);
    if (t->protocols != NULL) {
        hf_buffer_addf(out, "Sec-WebSocket-Protocol: %s\r\n", t->protocols);
    }
    if (t->deflate) {
        hf_buffer_add_text(out, "Sec-WebSocket-Extensions: " OFFER "\r\n");
    }
    if (t->origin != NULL) {
        hf_buffer_addf(out, "Origin: %s\r\n", t->origin);
    }
    if (t->token != NULL && t->token_query == NULL) {
        hf_buffer_addf(out, "Authorization: Bearer %s\r\n", t->token);
    } else if (t->user != NULL) {
        add_basic(t->user, out);
    }
    for (size_t i = 0; i < t->header_count; i++) {
        hf_buffer_addf(out, "%s\r\n", t->headers[i]);
    }
    hf_buffer_add_text(out, "\r\n");
}

/* ---- what stands in front of it -----------------------------------------------------------------
 */

static void add_hosting(struct hf_probe *p, const struct hf_hosting *hosting)
{
    for (size_t i = 0; i < p->hosting_count; i++) {
        if (p->hosting[i] == hosting) {
            return;
        }
    }
    if (hosting != NULL && p->hosting_count < HF_PROBE_HOSTING) {
        p->hosting[p->hosting_count++] = hosting;
    }
}

static void look_at_names(struct hf_probe *p)
{
    const char *name;
    for (size_t i = 0; (name = hf_loop_resolve_alias(p->loop, i)) != NULL; i++) {
        add_hosting(p, hf_hosting_by_cname(hf_slice_of(name)));
    }
}

static void look_at_address(struct hf_probe *p)
{
    const struct hf_address *a = &p->address;
    if (a->u.any.sa_family == AF_INET) {
        add_hosting(p, hf_hosting_by_address((const uint8_t *)&a->u.v4.sin_addr, 4));
    } else if (a->u.any.sa_family == AF_INET6) {
        add_hosting(p, hf_hosting_by_address((const uint8_t *)&a->u.v6.sin6_addr, 16));
    }
}

static void look_at_headers(struct hf_probe *p, const struct hf_head *head)
{
    for (size_t i = 0; i < head->count; i++) {
        add_hosting(p, hf_hosting_by_header(head->headers[i].name, head->headers[i].value));
    }
}

/* ---- the phases ---------------------------------------------------------------------------------
 */

static void phase_done(struct hf_probe *p, enum hf_trial_phase phase)
{
    const hf_time now = hf_probe_now(p);
    const bool tls = p->how.target->url.tls;
    p->took[phase] = now - p->step_begun;
    p->step_begun = now;
    p->trial.end.phase = phase == HF_PHASE_DNS          ? HF_PHASE_TCP
                         : phase == HF_PHASE_TCP && tls ? HF_PHASE_TLS
                         : phase < HF_PHASE_UPGRADE     ? HF_PHASE_UPGRADE
                                                        : HF_PHASE_OPEN;
    hf_probe_tell(p, &(struct hf_probe_event){
                         .kind = HF_PROBE_PHASE, .phase = phase, .took = p->took[phase]});
}

static void on_stepped(void *owner, enum hf_dialer_step step, struct hf_stream *stream,
                       const struct hf_address *address)
{
    struct hf_probe *p = owner;
    const bool by_proxy = p->how.target->way.used && p->how.target->connect_to.len == 0;
    if (p->finished) {
        return;
    }
    switch (step) {
    case HF_DIALER_NAME:
        look_at_names(p);
        phase_done(p, HF_PHASE_DNS);
        break;
    case HF_DIALER_CONNECT:
        p->address = *address;
        look_at_address(p);
        if (by_proxy) {
            break; /* the way through the proxy belongs to it */
        }
        phase_done(p, HF_PHASE_TCP);
        break;
    case HF_DIALER_PROXY:
        phase_done(p, HF_PHASE_TCP);
        break;
    case HF_DIALER_TLS:
        p->certificate_expires = hf_tls_peer_expires(stream);
        phase_done(p, HF_PHASE_TLS);
        break;
    case HF_DIALER_HEAD:
    case HF_DIALER_BODY:
        break;
    }
}

static enum hf_trial_phase phase_of(enum hf_dialer_step step)
{
    switch (step) {
    case HF_DIALER_NAME:
        return HF_PHASE_DNS;
    case HF_DIALER_CONNECT:
    case HF_DIALER_PROXY:
        return HF_PHASE_TCP;
    case HF_DIALER_TLS:
        return HF_PHASE_TLS;
    case HF_DIALER_HEAD:
    case HF_DIALER_BODY:
        break;
    }
    return HF_PHASE_UPGRADE;
}

static enum hf_trial_how how_of(const struct hf_dialer_result *result)
{
    if (result->truncated) {
        return HF_HOW_TLS;
    }
    if (result->loss == HF_LOSS_CONNECT_TIMEOUT) {
        return result->step == HF_DIALER_NAME      ? HF_HOW_NO_NAME
               : result->step == HF_DIALER_CONNECT ? HF_HOW_UNREACHABLE
                                                   : HF_HOW_SLOW;
    }
    static const struct {
        enum hf_loss loss;
        enum hf_trial_how how;
    } rows[] = {
        {HF_LOSS_NAME_UNKNOWN, HF_HOW_NO_NAME},
        {HF_LOSS_REFUSED, HF_HOW_REFUSED},
        {HF_LOSS_UNREACHABLE, HF_HOW_UNREACHABLE},
        {HF_LOSS_TLS_FAILED, HF_HOW_TLS},
        {HF_LOSS_RESET, HF_HOW_RST},
        {HF_LOSS_TIMEOUT, HF_HOW_TIMEOUT},
        {HF_LOSS_ENDED, HF_HOW_FIN},
        {HF_LOSS_HANDSHAKE_REFUSED, HF_HOW_STATUS},
        {HF_LOSS_HANDSHAKE_BAD, HF_HOW_STATUS},
        {HF_LOSS_PROXY_REFUSED, HF_HOW_STATUS},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].loss == result->loss) {
            return rows[i].how;
        }
    }
    return HF_HOW_ERRNO;
}

/* Keeps what END shows of a refusal: its head as it came is gone by then, so it is written anew. */
static void keep_answer(struct hf_probe *p, const struct hf_head *head, struct hf_slice body)
{
    hf_buffer_clear(&p->answer);
    hf_buffer_addf(&p->answer, "HTTP/1.1 %03u %.*s\r\n", head->status, HF_SLICE_ARG(head->reason));
    for (size_t i = 0; i < head->count; i++) {
        hf_buffer_addf(&p->answer, "%.*s: %.*s\r\n", HF_SLICE_ARG(head->headers[i].name),
                       HF_SLICE_ARG(head->headers[i].value));
    }
    hf_buffer_add_text(&p->answer, "\r\n");
    p->answer_head = p->answer.failed ? 0 : p->answer.len;
    if (!hf_head_has_token(head, "Transfer-Encoding", "chunked")) {
        hf_buffer_add(&p->answer, body);
        return;
    }
    struct hf_chunked chunked = {.left = 0};
    struct hf_slice data;
    size_t taken = 1;
    while (body.len > 0 && taken > 0 && hf_chunked_read(&chunked, body, &taken, &data)) {
        hf_buffer_add(&p->answer, data);
        body = hf_slice_from(body, taken);
    }
}

static void failed(struct hf_probe *p, const struct hf_dialer_result *result)
{
    p->trial.end.phase = phase_of(result->step);
    p->trial.end.error = result->error;
    p->trial.end.http = result->http;
    if (result->head != NULL) {
        look_at_headers(p, result->head);
        keep_answer(p, result->head, result->body);
    }
    hf_probe_finish(p, how_of(result), result->why);
}

static void on_dialed(void *owner, const struct hf_dialer_result *result)
{
    struct hf_probe *p = owner;
    struct hf_deflate deflate;
    p->dialer = NULL;
    if (p->finished) {
        hf_stream_abort(result->stream);
        return;
    }
    if (result->loss != HF_LOSS_NONE) {
        failed(p, result);
        hf_probe_reschedule(p);
        return;
    }
    const enum hf_extension_check check = hf_extension_answer(
        result->head, p->how.target->deflate ? HF_LITERAL(OFFER) : HF_LITERAL(""), &deflate);
    look_at_headers(p, result->head);
    if (check != HF_EXTENSION_OK && check != HF_EXTENSION_NONE) {
        p->trial.end.phase = HF_PHASE_UPGRADE;
        p->trial.end.http = 101;
        keep_answer(p, result->head, hf_slice(NULL, 0));
        hf_stream_abort(result->stream);
        hf_probe_finish(p, HF_HOW_STATUS, "an extension that was not offered");
    } else {
        phase_done(p, HF_PHASE_UPGRADE);
        hf_probe_adopt(p, result->stream, result->head, &deflate);
    }
    hf_probe_reschedule(p);
}

/* --resolve and --connect-to. */
static void choose_address(const struct hf_target *t, struct hf_dialer_how *how,
                           struct hf_address *address)
{
    uint16_t port = t->url.port;
    address->len = 0;
    for (size_t i = 0; i < t->resolve_count && !how->proxy.used; i++) {
        if (t->resolves[i].port == t->url.port &&
            hf_slice_eq_nocase(hf_slice_of(t->resolves[i].host), t->url.host)) {
            *address = t->resolves[i].address;
        }
    }
    if (t->connect_to.len > 0) {
        *address = t->connect_to;
        how->proxy.used = false;
    }
    if (address->u.any.sa_family == AF_INET && address->u.v4.sin_port == 0) {
        address->u.v4.sin_port = htons(port);
    } else if (address->u.any.sa_family == AF_INET6 && address->u.v6.sin6_port == 0) {
        address->u.v6.sin6_port = htons(port);
    }
    how->addresses = address;
    how->address_count = address->len > 0 ? 1 : 0;
}

bool hf_probe_dial(struct hf_probe *p)
{
    const struct hf_target *t = p->how.target;
    struct hf_address address = {.len = 0};
    struct hf_socket_options options = {.keepalive_idle = p->how.plan.keepalive,
                                        .keepalive_interval = p->how.plan.keepalive,
                                        .keepalive_count = p->how.plan.keepalive > 0 ? 9 : 0,
                                        /* so that a reader who stops is noticed soon */
                                        .receive_buffer = p->how.plan.stops_reading ? 4096 : 0};
    uint8_t nonce[16];
    for (size_t i = 0; i < sizeof(nonce); i += 8) {
        const uint64_t bits = hf_random_next(&p->random);
        memcpy(nonce + i, &bits, 8);
    }
    hf_ws_key(nonce, p->key);
    write_request(p);
    struct hf_dialer_how how = {
        .url = t->url,
        .proxy = t->way,
        .tls = t->tls,
        .request = hf_buffer_slice(&p->request),
        .key = hf_slice(p->key, sizeof(p->key)),
        .protocols = hf_slice_of(t->protocols),
        .timeout = t->connect_timeout,
        .family = t->family,
        .options = &options,
        .body_max = HF_PROBE_BODY,
        .stepped = on_stepped,
    };
    choose_address(t, &how, &address);
    p->step_begun = hf_probe_now(p);
    if (!p->request.failed) {
        p->dialer = hf_dialer_start(p->loop, &how, on_dialed, p);
    }
    hf_buffer_reset(&p->request);
    return p->dialer != NULL;
}
