/* SPDX-License-Identifier: Apache-2.0 */
/* An attempt of a client: which endpoint, with which credentials, and the request. */
#include "client/client.h"

#include "client/request.h"

#include <stdio.h>
#include <stdlib.h>

#define REQUEST_MAX 65536

/* ---- where to -----------------------------------------------------------------------------------
 */

/* "wss://host:443" */
static void write_origin(const struct hf_url *url, struct hf_buffer *out)
{
    hf_buffer_addf(out, "%s://%.*s:%u", url->tls ? "wss" : "ws", HF_SLICE_ARG(url->host),
                   url->port);
}

static struct hf_place *place_of(struct holdfast_client *c, const char *text)
{
    struct hf_url url;
    struct hf_buffer origin;
    const char *why;
    struct hf_place *place = NULL;
    hf_buffer_init(&origin, &hf_heap, 4096);
    if (hf_url_parse(hf_slice_of(text), &url, &why)) {
        write_origin(&url, &origin);
        place = origin.failed ? NULL : hf_places_find(&c->loop->places, hf_buffer_slice(&origin));
    }
    hf_buffer_reset(&origin);
    return place;
}

struct hf_place *hf_client_place(struct holdfast_client *c)
{
    return c->url == NULL ? NULL : place_of(c, c->url);
}

/* The best of the endpoints; the first when it is even. */
static const char *best_url(struct holdfast_client *c)
{
    const struct hf_settings *s = c->settings;
    const struct hf_place *best_place = NULL;
    const char *best = s->url_count == 0 ? NULL : s->urls[0];
    for (size_t i = 0; i < s->url_count && s->url_count > 1; i++) {
        const struct hf_place *place = place_of(c, s->urls[i]);
        if (place != NULL && (best_place == NULL || hf_place_is_better(place, best_place))) {
            best_place = place;
            best = s->urls[i];
        }
    }
    return best;
}

/* Owned by the caller; NULL: none. */
static char *choose_url(struct holdfast_client *c)
{
    struct holdfast_answer answer = {NULL};
    if (c->next_url != NULL) {
        char *url = c->next_url;
        c->next_url = NULL;
        return url;
    }
    if (c->settings->ask_url != NULL) {
        c->settings->ask_url(c->settings->ask_url_context, &answer);
        return answer.text;
    }
    const char *best = best_url(c);
    return best == NULL ? NULL : strdup(best);
}

/* What stands in front of the query, for records. */
static char *without_query(const char *url)
{
    return strndup(url, strcspn(url, "?"));
}

/* Owned by the caller; NULL: none. */
static char *ask_token(struct holdfast_client *c)
{
    struct holdfast_answer answer = {NULL};
    if (c->settings->ask_token != NULL) {
        c->settings->ask_token(c->settings->ask_token_context, &answer);
        return answer.text;
    }
    return c->settings->token == NULL ? NULL : strdup(c->settings->token);
}

/* ---- the request --------------------------------------------------------------------------------
 */

/* What is offered as subprotocols, to c->protocols: those of hf1 first. */
static void offer_protocols(struct holdfast_client *c)
{
    uint8_t fresh[HF_CLIENT_SECRET];
    hf_buffer_clear(&c->protocols);
    if (c->offered_hf1) {
        c->loop->entropy(c->loop->entropy_context, fresh, sizeof(fresh));
        pthread_mutex_lock(&c->lock);
        hf_client_offer(&c->session, fresh, &c->protocols);
        pthread_mutex_unlock(&c->lock);
    }
    for (size_t i = 0; i < c->settings->protocol_count; i++) {
        hf_buffer_addf(&c->protocols, "%s%s", c->protocols.len > 0 ? ", " : "",
                       c->settings->protocols[i]);
    }
}

static void write_request(struct holdfast_client *c, const struct hf_url *url, const char *token,
                          struct hf_buffer *out)
{
    const struct hf_settings *s = c->settings;
    hf_buffer_add_text(out, "GET ");
    hf_request_add_target(url, s->token_query, token, out);
    hf_buffer_add_text(out, " HTTP/1.1\r\nHost: ");
    hf_request_add_host(url, out);
    hf_buffer_addf(out,
                   "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: %.*s\r\n",
                   HF_WS_KEY_CHARS, c->key);
    if (c->protocols.len > 0) {
        hf_buffer_addf(out, "Sec-WebSocket-Protocol: %.*s\r\n",
                       HF_SLICE_ARG(hf_buffer_slice(&c->protocols)));
    }
    if (c->extensions.len > 0) {
        hf_buffer_addf(out, "Sec-WebSocket-Extensions: %.*s\r\n",
                       HF_SLICE_ARG(hf_buffer_slice(&c->extensions)));
    }
    if (s->origin != NULL) {
        hf_buffer_addf(out, "Origin: %s\r\n", s->origin);
    }
    if (token != NULL && *token != '\0' && s->token_query == NULL) {
        hf_buffer_addf(out, "Authorization: Bearer %s\r\n", token);
    }
    for (size_t i = 0; i < s->header_count; i++) {
        hf_buffer_addf(out, "%s: %s\r\n", s->header_names[i], s->header_values[i]);
    }
    hf_buffer_add_text(out, "\r\n");
}

/* ---- how it went --------------------------------------------------------------------------------
 */

/* A refusal that may be meant for the offers of hf1: docs/protocol.md section 3, No gateway. */
static bool wants_downgrade(struct holdfast_client *c, const struct hf_dialer_result *result)
{
    const struct hf_place *place = hf_client_place(c);
    const uint16_t http = result->http;
    const bool refused = result->loss == HF_LOSS_HANDSHAKE_REFUSED && http >= 400 && http < 500 &&
                         http != 401 && http != 407 && http != 408 && http != 429;
    return (refused || result->loss == HF_LOSS_HANDSHAKE_BAD) && c->offered_hf1 &&
           !hf_client_resumes(&c->session) && (place == NULL || !place->hello);
}

static void on_dialed(void *owner, const struct hf_dialer_result *result)
{
    struct holdfast_client *c = owner;
    c->dialer = NULL;
    hf_client_enter(c);
    if (result->loss == HF_LOSS_NONE) {
        hf_client_adopt(c, result->stream, result->head);
    } else if (wants_downgrade(c, result)) {
        c->downgraded = true;
        c->retry_at = hf_loop_now(c->loop->io);
    } else {
        c->downgraded = false;
        hf_client_say_loss(c, result->loss, result->why);
        c->http = result->http;
        c->retry_ms = result->retry_ms;
        hf_client_gone(c, 0);
    }
    if (!c->dead) {
        hf_client_reschedule(c);
    }
    (void)hf_client_leave(c);
}

static void fail(struct holdfast_client *c, enum hf_loss loss, const char *why)
{
    hf_client_say_loss(c, loss, why);
    hf_client_gone(c, 0);
}

/* Fills in where the connection goes. False: the attempt has failed. */
static bool find_way(struct holdfast_client *c, struct hf_dialer_how *how)
{
    const char *why;
    if (!hf_url_parse(hf_slice_of(c->url), &how->url, &why) ||
        !hf_proxy_choose(&c->loop->proxies, c->settings->proxy, &how->url, &how->proxy, &why)) {
        fail(c, HF_LOSS_URL_BAD, why);
        return false;
    }
    if (how->url.tls) {
        struct hf_buffer text;
        hf_buffer_init(&text, &hf_heap, 512);
        how->tls = hf_client_loop_tls(c->loop, c->settings->ca, c->settings->insecure, &text);
        if (how->tls == NULL) {
            hf_buffer_add_byte(&text, 0);
            fail(c, HF_LOSS_TLS_FAILED, text.failed ? "" : (const char *)text.data);
        }
        hf_buffer_reset(&text);
        return how->tls != NULL;
    }
    return true;
}

static void dial(struct holdfast_client *c, struct hf_dialer_how *how)
{
    struct hf_buffer request;
    uint8_t nonce[16];
    char *token = ask_token(c);
    hf_buffer_init(&request, &hf_heap, REQUEST_MAX);
    c->loop->entropy(c->loop->entropy_context, nonce, sizeof(nonce));
    hf_ws_key(nonce, c->key);
    hf_buffer_clear(&c->extensions);
    if (c->settings->deflate) {
        hf_buffer_add_text(&c->extensions, "permessage-deflate; client_max_window_bits");
    }
    offer_protocols(c);
    write_request(c, &how->url, token, &request);
    free(token);
    how->request = hf_buffer_slice(&request);
    how->key = hf_slice(c->key, sizeof(c->key));
    how->protocols = hf_buffer_slice(&c->protocols);
    how->timeout = c->settings->connect_timeout;
    if (!request.failed && !c->protocols.failed && !c->extensions.failed) {
        c->dialer = hf_dialer_start(c->loop->io, how, on_dialed, c);
    }
    hf_buffer_reset(&request);
    if (c->dialer == NULL) {
        fail(c, HF_LOSS_OUT_OF_MEMORY, "no memory for an attempt");
    }
}

void hf_client_attempt(struct holdfast_client *c)
{
    struct hf_dialer_how how = {.timeout = 0};
    const hf_time now = hf_loop_now(c->loop->io);
    c->began = now;
    c->heard = 0;
    c->said = 0;
    c->http = 0;
    c->retry_ms = 0;
    c->close_code = 0;
    c->end = (struct hf_client_end){.told = false};
    c->why[0] = '\0';
    free(c->url);
    free(c->display);
    c->url = choose_url(c);
    c->display = c->url == NULL ? NULL : without_query(c->url);
    if (c->url == NULL) {
        fail(c, HF_LOSS_NO_URL, "no endpoint was given");
        return;
    }
    const struct hf_place *place = hf_client_place(c);
    const bool plain = c->downgraded || (place != NULL && now < place->plain_till);
    c->offered_hf1 = hf_client_resumes(&c->session) || (c->settings->hf1 && !plain);
    if (find_way(c, &how)) {
        dial(c, &how);
    }
}
