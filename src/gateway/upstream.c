/* SPDX-License-Identifier: Apache-2.0 */
/* An admitted opening and its backend: it dials, and becomes a relay or passes the refusal on. */
#include "gateway/opening.h"
#include "gateway/relay.h"

const struct hf_petition *hf_opening_petition(struct hf_opening *o)
{
    struct hf_petition *p = &o->petition;
    p->head = o->head;
    p->path = hf_buffer_slice(&o->path);
    p->protocols = hf_buffer_slice(&o->protocols);
    p->offers = hf_buffer_slice(&o->offers);
    p->extra = hf_buffer_slice(&o->extra);
    memcpy(p->peer, o->peer, sizeof(p->peer));
    memcpy(p->front, o->front, sizeof(p->front));
    p->tls = o->listener_tls != NULL;
    p->behind_proxy = o->behind_proxy;
    p->front_trusted = o->front_trusted;
    return p;
}

static void log_open(struct hf_opening *o)
{
    struct hf_log *log = o->worker->gateway->log;
    if (!hf_log_wants(log, HF_LOG_DEBUG)) {
        return;
    }
    struct hf_log_line line;
    char peer[46];
    hf_peer_text(o->peer, peer);
    hf_log_begin(&line, log, HF_LOG_DEBUG, o->worker->loop->wall, "ws open");
    hf_log_number(&line, "id", (int64_t)o->id);
    hf_log_cstr(&line, "address", peer);
    hf_log_cstr(&line, "route", o->identity->route->config->name);
    hf_log_cstr(&line, "path", hf_identity_target(o->identity));
    hf_log_cstr(&line, "upstream", o->identity->backend->config->url);
    hf_log_end(&line);
}

/* NULL where the route does not hold, and on no memory. */
static struct hf_held *make_held(struct hf_opening *o, const struct hf_dial_result *result)
{
    return o->identity->route->config->on_backend_loss == HF_LOSS_CLOSE
               ? NULL
               : hf_held_new(&o->petition, result->protocol);
}

static void open_relay(struct hf_opening *o, const struct hf_dial_result *result)
{
    bool holds = o->identity->route->config->on_backend_loss != HF_LOSS_CLOSE;
    struct hf_held *held = make_held(o, result);
    if (holds && held == NULL) {
        hf_stream_abort(result->stream);
        hf_opening_refuse(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "out of memory", 1);
        return;
    }
    size_t sent = hf_stream_send(o->client, result->answer_head);
    if (sent < result->answer_head.len) {
        /* A new socket takes a head; one that does not is a dead one. */
        hf_stream_abort(result->stream);
        hf_held_free(held);
        hf_opening_abandon(o, HF_CAUSE_CLIENT_GONE, "the client takes no bytes", 0);
        return;
    }
    if (hf_relay_open(o->worker, o->client, result->stream, o->identity, &result->deflate, held) !=
        HF_OK) {
        hf_stream_abort(result->stream);
        hf_held_free(held);
        hf_opening_abandon(o, HF_CAUSE_OUT_OF_RESOURCES, "out of memory", 0);
        return;
    }
    hf_count(o->worker, HF_COUNT_handshakes_ok, 1);
    log_open(o);
    o->client = NULL;
    o->identity = NULL;
    hf_opening_free(o);
}

static void pass_refusal(struct hf_opening *o, const struct hf_dial_result *result)
{
    hf_opening_record(o, result->cause, result->status, result->why, 0);
    hf_buffer_add(&o->reply, result->answer_head);
    hf_buffer_addf(&o->reply, "Content-Length: %zu\r\n\r\n", result->body.len);
    hf_buffer_add(&o->reply, result->body);
    hf_opening_reply(o);
}

static void dialed(void *owner, const struct hf_dial_result *result)
{
    struct hf_opening *o = owner;
    o->dial = NULL;
    switch (result->outcome) {
    case HF_DIAL_OPEN:
        open_relay(o, result);
        break;
    case HF_DIAL_REFUSED:
        pass_refusal(o, result);
        break;
    case HF_DIAL_FAILED:
    default:
        hf_opening_refuse(o, result->cause, result->status, result->why,
                          result->cause == HF_CAUSE_BACKEND_UNREACHABLE ||
                                  result->cause == HF_CAUSE_OUT_OF_RESOURCES
                              ? 1
                              : 0);
        break;
    }
}

void hf_opening_connect(struct hf_opening *o)
{
    o->phase = HF_OPENING_DIAL; /* the dial keeps the time */
    hf_timer_stop(o->worker->loop, &o->timer);
    if (hf_dial_start(o->worker, o->identity, hf_opening_petition(o), false, dialed, o, &o->dial) !=
        HF_OK) {
        hf_opening_refuse(o, HF_CAUSE_OUT_OF_RESOURCES, 503, "out of memory", 1);
    }
}
