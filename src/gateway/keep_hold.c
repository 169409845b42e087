/* SPDX-License-Identifier: Apache-2.0 */
/* Holding the client of a session while its backend is away: see keep_hold.h. */
#include "gateway/keep_hold.h"

#include "gateway/redial.h"

#include <stdlib.h>

/* A message that the backend was given is to be proven read so soon. */
#define PROBE_AFTER HF_SECONDS(1)
/* A probe without a pong is tried again: RFC 6455 5.5.3 lets a peer answer the newest ping alone.
 */
#define PROBE_AGAIN HF_SECONDS(10)
/* What a backend's WebSocket layer has read its application may not have come to yet: it counts as
 * processed when the backend has lived for so long since. */
#define READ_MARGIN HF_SECONDS(5)

struct hf_keep_hold {
    struct hf_petition *petition;
    struct hf_petition *newer; /* for the next redial; NULL: none */
    struct hf_redial *redial;  /* while the backend is away */
    struct hf_redial_pace pace;
    /* what the client may have lost */
    uint64_t pinged;  /* C when the ping that is out went */
    uint64_t proven;  /* C up to which the backend has come */
    uint64_t read;    /* C up to which it has read ... */
    hf_time read_at;  /* ... since then; HF_NEVER: nothing beyond `proven` */
    hf_time probe_at; /* HF_NEVER: nothing to prove */
    uint64_t at;      /* `rebound` comes behind this S ... */
    uint64_t from;
    uint64_t to;
    uint64_t attempt; /* 0: the backend was never replaced */
    bool untold;      /* ... and was not said on the present connection */
    /* the prologue */
    struct hf_journal records;
    uint64_t record_bytes;
    uint32_t to_drop; /* answers that are still to come */
    hf_time until;
};

static const struct hf_route_config *config_of(const struct hf_keep *k)
{
    return k->backend.route->config;
}

bool hf_keep_hold_new(struct hf_keep *k, struct hf_petition *petition)
{
    struct hf_keep_hold *h = calloc(1, sizeof(*h));
    if (h == NULL) {
        return false;
    }
    h->petition = petition;
    hf_journal_init(&h->records, 0);
    h->probe_at = HF_NEVER;
    h->read_at = HF_NEVER;
    k->hold = h;
    return true;
}

void hf_keep_hold_free(struct hf_keep *k)
{
    struct hf_keep_hold *h = k->hold;
    if (h == NULL) {
        return;
    }
    hf_redial_cancel(h->redial);
    hf_journal_fini(&h->records, &hf_heap);
    hf_petition_free(h->petition);
    hf_petition_free(h->newer);
    free(h);
    k->hold = NULL;
}

/* ---- the prologue ------------------------------------------------------------------------------
 */

bool hf_keep_hold_listens(const struct hf_keep *k)
{
    const struct hf_keep_hold *h = k->hold;
    return h != NULL && config_of(k)->on_backend_loss == HF_LOSS_PROLOGUE &&
           h->records.end < config_of(k)->prologue.max;
}

static bool matches(const struct hf_keep *k, struct hf_slice text)
{
    const struct hf_string_list *list = &config_of(k)->prologue.match;
    for (size_t i = 0; i < list->count; i++) {
        if (hf_slice_starts(text, hf_slice_of(list->items[i]))) {
            return true;
        }
    }
    return false;
}

void hf_keep_hold_record(struct hf_keep *k, uint8_t opcode, struct hf_slice payload)
{
    struct hf_keep_hold *h = k->hold;
    if (opcode == HF_OP_TEXT && hf_keep_hold_listens(k) && matches(k, payload) &&
        h->record_bytes + payload.len <= config_of(k)->prologue.bytes &&
        hf_journal_add(&h->records, &hf_heap, opcode, &payload, 1) == HF_OK) {
        h->record_bytes += payload.len;
    }
}

static void send_prologue(struct hf_keep *k)
{
    struct hf_keep_hold *h = k->hold;
    struct hf_journal_cursor at;
    struct hf_record record;
    hf_journal_seek(&h->records, &at, 0);
    while (hf_journal_next(&h->records, &at, &record)) {
        hf_wire_message(&k->backend, record.opcode, record.payload, false);
    }
    h->to_drop = h->records.end > 0 ? config_of(k)->prologue.drop_replies : 0;
    h->until = hf_keep_now(k) + config_of(k)->prologue.wait;
}

bool hf_keep_hold_drops(struct hf_keep *k)
{
    struct hf_keep_hold *h = k->hold;
    if (h == NULL || h->to_drop == 0) {
        return false;
    }
    if (--h->to_drop == 0) {
        hf_keep_pump_backend(k);
    }
    return true;
}

static hf_time drops_until(const struct hf_keep_hold *h)
{
    return h->to_drop > 0 ? h->until : HF_NEVER;
}

hf_time hf_keep_hold_deadline(const struct hf_keep *k)
{
    const struct hf_keep_hold *h = k->hold;
    if (h == NULL) {
        return HF_NEVER;
    }
    return drops_until(h) < h->probe_at ? drops_until(h) : h->probe_at;
}

static void probe(struct hf_keep *k)
{
    struct hf_keep_hold *h = k->hold;
    h->probe_at = HF_NEVER;
    if (h->redial == NULL && hf_wire_is_open(&k->backend) && k->session.written > h->proven) {
        h->probe_at = hf_keep_now(k) + PROBE_AGAIN;
        hf_wire_probe(&k->backend, k->session.written);
    }
}

void hf_keep_hold_tick(struct hf_keep *k)
{
    struct hf_keep_hold *h = k->hold;
    hf_time now = hf_keep_now(k);
    if (h == NULL) {
        return;
    }
    if (drops_until(h) <= now) {
        h->to_drop = 0;
    }
    if (h->probe_at <= now) {
        probe(k);
    }
}

/* ---- what was read -----------------------------------------------------------------------------
 */

void hf_keep_hold_pinged(struct hf_keep *k)
{
    if (k->hold != NULL) {
        k->hold->pinged = k->session.written;
    }
}

static void prove(struct hf_keep_hold *h, hf_time now)
{
    if (h->read_at != HF_NEVER && now - h->read_at >= READ_MARGIN) {
        h->proven = h->read;
        h->read_at = HF_NEVER;
    }
}

static void has_read(struct hf_keep *k, uint64_t mark)
{
    struct hf_keep_hold *h = k->hold;
    prove(h, hf_keep_now(k));
    if (h->read_at == HF_NEVER && mark > h->proven) {
        h->read = mark;
        h->read_at = hf_keep_now(k);
    }
}

void hf_keep_hold_ponged(struct hf_keep *k)
{
    if (k->hold != NULL) {
        has_read(k, k->hold->pinged);
    }
}

void hf_keep_hold_wrote(struct hf_keep *k)
{
    if (k->hold != NULL && k->hold->probe_at == HF_NEVER) {
        k->hold->probe_at = hf_keep_now(k) + PROBE_AFTER;
        hf_keep_set_timer(k);
    }
}

void hf_keep_hold_probed(struct hf_keep *k, uint64_t mark)
{
    struct hf_keep_hold *h = k->hold;
    if (h == NULL || mark <= h->proven || mark > k->session.written) {
        return;
    }
    has_read(k, mark);
    h->probe_at = HF_NEVER;
    if (k->session.written > mark) {
        hf_keep_hold_wrote(k);
    }
}

void hf_keep_hold_tell(struct hf_keep *k)
{
    struct hf_keep_hold *h = k->hold;
    struct hf_control rebound;
    if (h == NULL || !h->untold || k->client == NULL || k->session.sent.number < h->at) {
        return;
    }
    h->untold = false;
    hf_control_init(&rebound, HF_VERB_REBOUND);
    rebound.from = h->from;
    rebound.to = h->to;
    rebound.attempt = h->attempt;
    hf_attachment_say(hf_keep_keeper(k), k->client, &rebound);
}

void hf_keep_hold_attached(struct hf_keep *k)
{
    if (k->hold != NULL && k->hold->attempt > 0 && k->session.sent.number <= k->hold->at) {
        k->hold->untold = true;
    }
}

/* ---- credentials -------------------------------------------------------------------------------
 */

void hf_keep_hold_renew(struct hf_keep *k, const struct hf_petition *petition)
{
    struct hf_keep_hold *h = k->hold;
    struct hf_petition *copy = h == NULL ? NULL : hf_keep_petition(k, petition);
    if (copy != NULL) {
        hf_petition_free(h->newer);
        h->newer = copy;
    }
}

void hf_keep_hold_token(struct hf_keep *k, struct hf_slice token, struct hf_slice answer)
{
    struct hf_keep_hold *h = k->hold;
    if (h != NULL &&
        hf_petition_set_token(h->newer != NULL ? h->newer : h->petition, token, answer) != HF_OK) {
        hf_keep_give_up(k, HF_CAUSE_OUT_OF_RESOURCES);
    }
}

const struct hf_petition *hf_keep_hold_petition(const struct hf_keep *k)
{
    const struct hf_keep_hold *h = k->hold;
    return h == NULL ? NULL : h->newer != NULL ? h->newer : h->petition;
}

/* ---- away and back -----------------------------------------------------------------------------
 */

bool hf_keep_hold_is_away(const struct hf_keep *k)
{
    return k->hold != NULL && k->hold->redial != NULL;
}

bool hf_keep_hold_waits(const struct hf_keep *k)
{
    return k->hold != NULL && (k->hold->redial != NULL || k->hold->to_drop > 0);
}

static void come_back(struct hf_keep *k, struct hf_stream *stream)
{
    struct hf_keep_hold *h = k->hold;
    /* What the client may not have heard of the last time is told with it. */
    if (h->attempt == 0 || (!h->untold && k->session.journal.base > h->at)) {
        h->from = h->proven;
    }
    h->to = k->session.written;
    h->proven = h->to; /* of the new one nothing is missing yet */
    h->read_at = HF_NEVER;
    h->probe_at = HF_NEVER;
    h->at = k->session.journal.end;
    h->attempt++;
    h->untold = true;
    hf_keep_backend_open(k, stream);
    hf_keep_forget_full(k); /* the new connection is read: whether it may be is decided below */
    send_prologue(k);
    hf_keep_hold_tell(k);
    hf_keep_pump_backend(k);
    hf_keep_check_room(k);
}

static void redialed(void *owner, const struct hf_redial_result *result)
{
    struct hf_keep *k = owner;
    k->hold->redial = NULL;
    if (result->stream != NULL) {
        come_back(k, result->stream);
        return;
    }
    struct hf_farewell f = {.cause = result->cause,
                            .verdict = HF_RESUME_BACKEND_GONE,
                            .who = "backend",
                            .reason = result->cause == HF_CAUSE_HOLD_EXPIRED ? "backend_lost"
                                                                             : "backend_gone",
                            .http = result->status,
                            .client_code = HF_CLOSE_RESTART,
                            .client_reason = hf_slice_of(result->why)};
    hf_keep_end(k, &f);
}

static bool start_redial(struct hf_keep *k, enum hf_cause cause)
{
    struct hf_keep_hold *h = k->hold;
    if (h->newer != NULL) {
        hf_petition_free(h->petition);
        h->petition = h->newer;
        h->newer = NULL;
    }
    const struct hf_redial_how how = {.identity = k->identity,
                                      .petition = h->petition,
                                      .pace = &h->pace,
                                      .protocol = hf_slice_of(k->protocol),
                                      .lost = cause};
    return hf_redial_start(k->backend.worker, &how, redialed, k, &h->redial) == HF_OK;
}

bool hf_keep_hold_begin(struct hf_keep *k, enum hf_cause cause, uint16_t code)
{
    struct hf_keep_hold *h = k->hold;
    if (h == NULL || k->bye != NULL ||
        (k->session.state != HF_SESSION_ATTACHED && k->session.state != HF_SESSION_PARKED) ||
        h->redial != NULL || !start_redial(k, cause)) {
        return false;
    }
    if (code != 0) {
        hf_wire_close(&k->backend, code, hf_slice(NULL, 0)); /* RFC 6455 5.5.1 */
    }
    hf_wire_fini(&k->backend);
    hf_session_taken(&k->session); /* what was written is not written again: `rebound` tells it */
    h->to_drop = 0;
    hf_keep_forget_full(k);
    hf_keep_tell(k);
    return true;
}
