/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a keep: arriving, beginning, ending. See keep.h and keeper.h. */
#include "gateway/keeper.h"

#include "base/hash.h"
#include "gateway/keep_hold.h"
#include "gateway/ledger.h"
#include "gateway/tomb.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the keeper --------------------------------------------------------------------------------
 */

struct hf_keeper *hf_keeper_new(struct hf_worker *worker)
{
    struct hf_keeper *keeper = calloc(1, sizeof(*keeper));
    if (keeper == NULL) {
        return NULL;
    }
    const uint8_t *key = worker->gateway->secret;
    keeper->worker = worker;
    hf_table_init(&keeper->by_id, &hf_heap, key);
    hf_table_init(&keeper->by_secret, &hf_heap, key);
    hf_table_init(&keeper->tombs, &hf_heap, key);
    hf_list_init(&keeper->tomb_order);
    hf_list_init(&keeper->live);
    hf_list_init(&keeper->parked);
    hf_list_init(&keeper->ended);
    hf_list_init(&keeper->sockets);
    hf_pool_init(&keeper->keep_pool, &hf_heap, sizeof(struct hf_keep), 32);
    hf_pool_init(&keeper->socket_pool, &hf_heap, hf_keep_websocket_size(), 32);
    hf_timer_init(&keeper->crowded, hf_keeper_make_room);
    hf_buffer_init(&keeper->room, &hf_heap, HF_CONTROL_AUTH_MAX);
    hf_buffer_init(&keeper->text, &hf_heap, HF_CONTROL_AUTH_MAX);
    return keeper;
}

void hf_keeper_kill_all(struct hf_keeper *keeper)
{
    struct hf_list *lists[] = {&keeper->live, &keeper->parked};
    for (size_t i = 0; i < 2; i++) {
        while (!hf_list_empty(lists[i])) {
            hf_keep_give_up(HF_CONTAINER(lists[i]->next, struct hf_keep, node), HF_CAUSE_STOP);
        }
    }
    while (!hf_list_empty(&keeper->ended)) {
        hf_keep_free(HF_CONTAINER(keeper->ended.next, struct hf_keep, node));
    }
    hf_keep_websocket_kill_all(keeper);
}

void hf_keeper_free(struct hf_keeper *keeper)
{
    if (keeper == NULL) {
        return;
    }
    hf_keeper_kill_all(keeper);
    hf_timer_stop(keeper->worker->loop, &keeper->crowded);
    hf_tombs_clear(keeper);
    hf_table_fini(&keeper->by_id);
    hf_table_fini(&keeper->by_secret);
    hf_table_fini(&keeper->tombs);
    hf_pool_fini(&keeper->keep_pool);
    hf_pool_fini(&keeper->socket_pool);
    hf_buffer_reset(&keeper->room);
    hf_buffer_reset(&keeper->text);
    free(keeper);
}

bool hf_keeper_is_idle(const struct hf_keeper *keeper)
{
    return keeper->keep_count == 0 && keeper->socket_count == 0;
}

void hf_keeper_drain(struct hf_keeper *keeper, hf_time spread)
{
    struct hf_list *lists[] = {&keeper->live, &keeper->parked};
    keeper->drain_from = keeper->worker->loop->now;
    keeper->drain_spread = spread < 0 ? 0 : spread;
    for (size_t i = 0; i < 2; i++) {
        for (struct hf_list *n = lists[i]->next; n != lists[i]; n = n->next) {
            hf_keep_drain(HF_CONTAINER(n, struct hf_keep, node));
        }
    }
}

/* ---- secrets and names -------------------------------------------------------------------------
 */

/* Nobody who has seen some can tell the next: a hash over the process's own secret and a count. */
static void make_secret(struct hf_keeper *keeper, uint8_t secret[HF_TOKEN_SECRET])
{
    uint8_t seed[48] = {0};
    uint8_t digest[HF_SHA256_BYTES];
    uint64_t count = ++keeper->secrets;
    memcpy(seed, keeper->worker->gateway->session_secret, 32);
    memcpy(seed + 32, &count, sizeof(count));
    memcpy(seed + 40, &keeper->worker->index, sizeof(keeper->worker->index));
    hf_sha256(hf_slice(seed, sizeof(seed)), digest);
    memcpy(secret, digest, HF_TOKEN_SECRET);
}

/* A session's key stays the same, so it is made from the session's number each time. */
void hf_keep_key(struct hf_keeper *keeper, uint64_t id, uint8_t secret[HF_TOKEN_SECRET])
{
    uint8_t seed[40];
    uint8_t digest[HF_SHA256_BYTES];
    memcpy(seed, keeper->worker->gateway->session_secret, 32);
    memcpy(seed + 32, &id, sizeof(id));
    hf_sha256(hf_slice(seed, sizeof(seed)), digest);
    memcpy(secret, digest, HF_TOKEN_SECRET);
}

bool hf_keep_is_key(struct hf_keeper *keeper, const struct hf_token *key)
{
    uint8_t secret[HF_TOKEN_SECRET];
    hf_keep_key(keeper, key->id, secret);
    return hf_equal_secret(hf_slice(secret, sizeof(secret)), hf_slice(key->secret, sizeof(secret)));
}

static struct hf_token token_of(const struct hf_keep *k)
{
    struct hf_token token = {.node = (uint16_t)k->backend.worker->runtime->config->session_node,
                             .boot = k->backend.worker->gateway->boot,
                             .worker = (uint8_t)k->backend.worker->index,
                             .id = k->session.id};
    return token;
}

/* What people call it: in hello, and for backends that ask for it. */
#define SESSION_NAME_MAX 40
static void name_session(const struct hf_worker *worker, uint64_t id, char name[SESSION_NAME_MAX])
{
    (void)snprintf(name, SESSION_NAME_MAX, "%08x-%llu", worker->gateway->boot,
                   (unsigned long long)id);
}

struct hf_petition *hf_keep_petition(const struct hf_keep *k, const struct hf_petition *from)
{
    const char *header = k->backend.route->config->session.header;
    struct hf_petition named = *from;
    struct hf_petition *copy = NULL;
    struct hf_buffer extra;
    char name[SESSION_NAME_MAX];
    if (header == NULL) {
        return hf_petition_new(from);
    }
    name_session(k->backend.worker, k->session.id, name);
    hf_buffer_init(&extra, &hf_heap, SIZE_MAX / 2);
    hf_buffer_add(&extra, from->extra);
    hf_buffer_addf(&extra, "%s: %s\r\n", header, name);
    named.extra = hf_buffer_slice(&extra);
    if (!extra.failed) {
        copy = hf_petition_new(&named);
    }
    hf_buffer_reset(&extra);
    return copy;
}

/* ---- finding -----------------------------------------------------------------------------------
 */

static struct hf_keep *find_id(struct hf_keeper *keeper, uint64_t id)
{
    uint64_t hash = hf_table_hash(&keeper->by_id, hf_slice(&id, sizeof(id)));
    for (struct hf_table_node *n = hf_table_find(&keeper->by_id, hash, NULL); n != NULL;
         n = hf_table_find(&keeper->by_id, hash, n)) {
        struct hf_keep *k = HF_CONTAINER(n, struct hf_keep, by_id);
        if (k->session.id == id) {
            return k;
        }
    }
    return NULL;
}

static struct hf_keep *find_secret(struct hf_keeper *keeper, const struct hf_offer *offer)
{
    uint8_t hash[HF_TOKEN_HASH];
    hf_token_hash(offer->open_secret, offer->open_secret_len, hash);
    uint64_t slot = hf_table_hash(&keeper->by_secret, hf_slice(hash, sizeof(hash)));
    for (struct hf_table_node *n = hf_table_find(&keeper->by_secret, slot, NULL); n != NULL;
         n = hf_table_find(&keeper->by_secret, slot, n)) {
        struct hf_keep_birth *birth = HF_CONTAINER(n, struct hf_keep_birth, by_secret);
        if (hf_equal_secret(hf_slice(birth->open_hash, HF_TOKEN_HASH),
                            hf_slice(hash, HF_TOKEN_HASH))) {
            return birth->keep;
        }
    }
    return NULL;
}

/* A token or key of this process, and of this worker. */
static bool is_ours(const struct hf_worker *worker, const struct hf_token *token)
{
    return token->boot == worker->gateway->boot && token->worker == worker->index;
}

struct hf_keep *hf_keep_find(struct hf_worker *worker, const struct hf_token *key,
                             const char **reason)
{
    struct hf_keep *k = is_ours(worker, key) ? find_id(worker->keeper, key->id) : NULL;
    const char *why = hf_resume_verdict_text(HF_RESUME_UNKNOWN);
    if (k != NULL &&
        (k->session.state == HF_SESSION_ENDED || !hf_keep_is_key(worker->keeper, key))) {
        k = NULL;
    } else if (k == NULL && is_ours(worker, key)) {
        const struct hf_tomb *tomb = hf_tomb_of_key(worker->keeper, key);
        why = tomb == NULL ? why : hf_resume_verdict_text((enum hf_resume_verdict)tomb->verdict);
    }
    if (reason != NULL) {
        *reason = why;
    }
    return k;
}

struct hf_worker *hf_keep_owner(struct hf_gateway *gateway, const struct hf_token *token)
{
    return token->boot == gateway->boot && token->worker < gateway->worker_count
               ? gateway->workers[token->worker]
               : NULL;
}

struct hf_worker *hf_keep_owner_of_secret(struct hf_gateway *gateway, struct hf_slice secret)
{
    size_t count =
        gateway->worker_count < HF_KEEP_WORKERS ? gateway->worker_count : HF_KEEP_WORKERS;
    return gateway->workers[hf_siphash(gateway->secret, secret) % count];
}

uint64_t hf_keep_received(const struct hf_keep *keep)
{
    return keep->session.counted;
}

/* The same principal on the same route. */
static bool belongs_to(const struct hf_keep *k, const struct hf_identity *identity)
{
    return strcmp(hf_identity_subject(k->identity), hf_identity_subject(identity)) == 0 &&
           strcmp(k->backend.route->config->path, identity->route->config->path) == 0;
}

bool hf_keep_replaces(struct hf_worker *worker, const struct hf_offer *offer)
{
    struct hf_token token;
    struct hf_keep *k = NULL;
    if (offer->kind == HF_OFFER_OPEN) {
        k = find_secret(worker->keeper, offer);
    } else if (offer->kind == HF_OFFER_RESUME && hf_token_read(offer->token, &token) &&
               is_ours(worker, &token)) {
        k = find_id(worker->keeper, token.id);
        k = k != NULL && hf_session_knows(&k->session, &token) ? k : NULL;
    }
    return k != NULL && k->session.state != HF_SESSION_ENDED;
}

/* ---- saying ------------------------------------------------------------------------------------
 */

void hf_attachment_say(struct hf_keeper *keeper, struct hf_attachment *a,
                       const struct hf_control *control)
{
    hf_buffer_clear(&keeper->text);
    hf_control_write(control, &keeper->text);
    if (!keeper->text.failed) {
        a->ops->control(a, hf_buffer_slice(&keeper->text));
    }
}

uint16_t hf_end_code(const char *reason)
{
    static const struct {
        const char *reason;
        uint16_t code;
    } codes[] = {{"superseded", HF_CLOSE_POLICY}, {"auth", HF_CLOSE_POLICY},
                 {"origin", HF_CLOSE_POLICY},     {"host", HF_CLOSE_POLICY},
                 {"not_found", HF_CLOSE_POLICY},  {"refused", HF_CLOSE_POLICY},
                 {"closed", HF_CLOSE_POLICY},     {"stale", HF_CLOSE_POLICY},
                 {"limit", HF_CLOSE_TRY_AGAIN},   {"unavailable", HF_CLOSE_TRY_AGAIN},
                 {"protocol", HF_CLOSE_PROTOCOL}, {"too_big", HF_CLOSE_TOO_BIG}};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (strcmp(codes[i].reason, reason) == 0) {
            return codes[i].code;
        }
    }
    return HF_CLOSE_RESTART;
}

void hf_attachment_say_end(struct hf_keeper *keeper, struct hf_attachment *a, const char *who,
                           const char *reason, uint16_t http, uint32_t retry_ms)
{
    struct hf_control end;
    hf_control_init(&end, HF_VERB_END);
    end.who = hf_slice_of(who);
    end.reason = hf_slice_of(reason);
    end.http = http > 0 ? http : HF_NO_COUNT;
    end.retry = retry_ms > 0 ? retry_ms : HF_NO_COUNT;
    hf_attachment_say(keeper, a, &end);
}

void hf_attachment_refuse(struct hf_keeper *keeper, struct hf_attachment *a, const char *who,
                          const char *reason, uint16_t http, uint32_t retry_ms)
{
    HF_ASSERT(a->keep == NULL);
    hf_attachment_say_end(keeper, a, who, reason, http, retry_ms);
    a->ops->end(a, hf_end_code(reason), hf_slice_of(reason), false);
}

static void tell_gap(struct hf_keep *k, uint64_t missing)
{
    struct hf_control gap;
    if (missing == 0) {
        return;
    }
    hf_control_init(&gap, HF_VERB_GAP);
    gap.from = k->session.sent.number - missing + 1;
    gap.to = k->session.sent.number;
    hf_attachment_say(hf_keep_keeper(k), k->client, &gap);
}

static void greet(struct hf_keep *k, bool resumed, uint64_t missing)
{
    struct hf_keeper *keeper = hf_keep_keeper(k);
    struct hf_control hello;
    struct hf_token token = token_of(k);
    char name[SESSION_NAME_MAX];
    char token_text[HF_TOKEN_CHARS];
    char key_text[HF_KEY_CHARS];
    hf_keep_key(keeper, token.id, token.secret);
    hf_key_write(&token, key_text);
    make_secret(keeper, token.secret);
    token.generation = hf_session_offer(&k->session, token.secret);
    hf_token_write(&token, token_text);
    name_session(k->backend.worker, k->session.id, name);
    hf_control_init(&hello, HF_VERB_HELLO);
    hf_session_hello(&k->session, hf_keep_rules(k), &hello);
    hello.session = hf_slice_of(name);
    hello.token = hf_slice(token_text, sizeof(token_text));
    hello.key = hf_slice(key_text, sizeof(key_text));
    hello.protocol = k->protocol == NULL ? hf_slice(NULL, 0) : hf_slice_of(k->protocol);
    hello.resumed = resumed ? 1 : 0;
    if (!resumed && k->birth != NULL && k->birth->refused.reason != NULL) {
        hello.reason = hf_slice_of(k->birth->refused.reason);
        hello.old_received = k->birth->refused.old_received;
    }
    hf_attachment_say(keeper, k->client, &hello);
    tell_gap(k, missing);
    hf_keep_hold_attached(k);
    k->replay_until = resumed ? k->session.journal.end : HF_NO_COUNT;
    hf_keep_pump_client(k);
    if (k->backend.worker->draining) {
        hf_keep_drain(k);
    }
}

/* ---- beginning ---------------------------------------------------------------------------------
 */

static void log_open(const struct hf_keep *k, const char *what)
{
    struct hf_log *log = k->backend.worker->gateway->log;
    struct hf_log_line line;
    if (!hf_log_wants(log, HF_LOG_DEBUG)) {
        return;
    }
    hf_log_begin(&line, log, HF_LOG_DEBUG, k->backend.worker->loop->wall, "session");
    hf_log_number(&line, "id", (int64_t)k->session.id);
    hf_log_cstr(&line, "what", what);
    hf_log_cstr(&line, "transport", k->client == NULL ? "none" : k->client->ops->name);
    hf_log_number(&line, "received", (int64_t)k->session.counted);
    hf_log_number(&line, "sent", (int64_t)k->session.journal.end);
    hf_log_end(&line);
}

/* What a backend's refusal, or the gateway's, is called in `end`. */
const char *hf_refusal_reason(uint16_t status)
{
    if (status == 401 || status == 403) {
        return "auth";
    }
    if (status == 404) {
        return "not_found";
    }
    if (status == 429) {
        return "limit";
    }
    return status >= 500 || status == 408 ? "unavailable" : "refused";
}

static void dial_failed(struct hf_keep *k, const struct hf_dial_result *result)
{
    bool theirs = result->outcome == HF_DIAL_REFUSED;
    const char *reason = hf_refusal_reason(result->status);
    struct hf_farewell f = {.cause = result->cause,
                            .verdict = HF_RESUME_BACKEND_GONE,
                            .who = theirs ? "backend" : "gateway",
                            .reason = reason,
                            .http = result->status,
                            .client_code = hf_end_code(reason),
                            .client_reason = hf_slice_of(result->why)};
    f.retry = strcmp(reason, "unavailable") == 0 ? 1000 : 0;
    hf_count(k->backend.worker, HF_COUNT_handshakes_refused, 1);
    hf_keep_end(k, &f);
}

/* The petition is kept where the backend or the application may be asked again. */
static void hand_on_petition(struct hf_keep *k)
{
    struct hf_petition *petition = k->birth->petition;
    const struct hf_route_config *config = k->backend.route->config;
    k->birth->petition = NULL;
    if (config->on_backend_loss != HF_LOSS_CLOSE ? !hf_keep_hold_new(k, petition)
        : config->auth.kind == HF_AUTH_CALLOUT   ? !hf_keep_auth_keep(k, petition)
                                                 : true) {
        hf_petition_free(petition);
    }
}

static void dialed(void *owner, const struct hf_dial_result *result)
{
    struct hf_keep *k = owner;
    k->birth->dial = NULL;
    if (result->outcome != HF_DIAL_OPEN) {
        dial_failed(k, result);
        return;
    }
    if (result->protocol.len > 0) {
        k->protocol = hf_alloc_text(&hf_heap, result->protocol);
        if (k->protocol == NULL) { /* the client would be told another one than the backend's */
            hf_stream_abort(result->stream);
            hf_keep_give_up(k, HF_CAUSE_OUT_OF_RESOURCES);
            return;
        }
    }
    hand_on_petition(k);
    hf_count(k->backend.worker, HF_COUNT_handshakes_ok, 1);
    hf_session_opened(&k->session);
    hf_keep_moved(k, HF_SESSION_OPENING);
    hf_keep_backend_open(k, result->stream);
    log_open(k, "open");
    if (k->client == NULL) {
        hf_keep_enter_parked(k);
    } else {
        greet(k, k->joined, 0); /* before anything else is said: an ack may be due already */
    }
    if (k->session.state != HF_SESSION_ENDED) {
        hf_keep_pump_backend(k);
        hf_keep_set_timer(k);
    }
}

static void make_joinable(struct hf_keep *k, const struct hf_offer *offer)
{
    struct hf_keeper *keeper = hf_keep_keeper(k);
    if (offer->kind != HF_OFFER_OPEN || find_secret(keeper, offer) != NULL) {
        return;
    }
    struct hf_keep_birth *birth = k->birth;
    hf_token_hash(offer->open_secret, offer->open_secret_len, birth->open_hash);
    uint64_t hash =
        hf_table_hash(&keeper->by_secret, hf_slice(birth->open_hash, sizeof(birth->open_hash)));
    birth->joinable = hf_table_insert(&keeper->by_secret, &birth->by_secret, hash) == HF_OK;
}

void hf_keep_met(struct hf_keep *k)
{
    struct hf_keep_birth *birth = k->birth;
    k->session.met = true;
    if (birth == NULL) {
        return;
    }
    if (birth->joinable) {
        hf_table_remove(&hf_keep_keeper(k)->by_secret, &birth->by_secret);
        birth->joinable = false;
    }
    if (birth->dial == NULL) {
        hf_petition_free(birth->petition);
        free(birth);
        k->birth = NULL;
    }
}

static struct hf_keep *keep_new(struct hf_worker *worker, struct hf_identity *identity)
{
    struct hf_keeper *keeper = worker->keeper;
    struct hf_keep *k = hf_pool_take(&keeper->keep_pool);
    if (k == NULL) {
        return NULL;
    }
    uint32_t epoch = (uint32_t)(hf_random_next(&worker->random) >> 33) | 1;
    hf_session_init(&k->session, identity->id, epoch);
    k->backend.worker = worker;
    k->backend.route = identity->route;
    k->identity = identity;
    k->opened = worker->loop->now;
    k->wake = HF_NEVER;
    k->replay_until = HF_NO_COUNT;
    hf_rate_init(&k->messages);
    hf_timer_init(&k->timer, hf_keep_fire);
    hf_list_init(&k->node);
    uint64_t hash = hf_table_hash(&keeper->by_id, hf_slice(&k->session.id, sizeof(k->session.id)));
    if (hf_table_insert(&keeper->by_id, &k->by_id, hash) != HF_OK) {
        hf_pool_put(&keeper->keep_pool, k);
        return NULL;
    }
    hf_list_append(&keeper->live, &k->node);
    keeper->keep_count++;
    keeper->worker->sessions.states[HF_SESSION_OPENING]++;
    atomic_fetch_add_explicit(&worker->open_now, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&k->backend.route->state->open, 1, memory_order_relaxed);
    return k;
}

/* Undoes keep_new; the identity stays the caller's. */
static void discard(struct hf_keep *k)
{
    struct hf_keeper *keeper = hf_keep_keeper(k);
    hf_keep_met(k);
    hf_table_remove(&keeper->by_id, &k->by_id);
    hf_list_remove(&k->node);
    keeper->keep_count--;
    keeper->worker->sessions.states[HF_SESSION_OPENING]--;
    atomic_fetch_sub_explicit(&k->backend.worker->open_now, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&k->backend.route->state->open, 1, memory_order_relaxed);
    hf_pool_put(&keeper->keep_pool, k);
}

static void record_refusal(struct hf_worker *worker, const struct hf_identity *identity,
                           enum hf_cause cause, const char *reason)
{
    struct hf_ending e = {.cause = cause, .rtt_us = UINT32_MAX};
    (void)snprintf(e.reason, sizeof(e.reason), "%s", reason);
    hf_ledger_record(worker, identity, &e);
}

/* It was let in beyond a limit because it would take another one's place, and that came to nothing.
 */
static void refuse_over_limit(struct hf_worker *worker, const struct hf_arrival *arrival)
{
    record_refusal(worker, arrival->identity, HF_CAUSE_CONNECTION_LIMIT, "too many connections");
    hf_identity_free(arrival->identity, worker);
    hf_attachment_refuse(worker->keeper, arrival->attachment, "gateway", "limit", 429, 5000);
}

static enum hf_status begin(struct hf_worker *worker, const struct hf_arrival *arrival,
                            const struct hf_refused *refused)
{
    if (arrival->over_limit) {
        refuse_over_limit(worker, arrival);
        return HF_OK;
    }
    struct hf_keep *k = keep_new(worker, arrival->identity);
    if (k == NULL) {
        return HF_NO_MEMORY;
    }
    struct hf_keep_birth *birth = k->birth = calloc(1, sizeof(*birth));
    if (birth != NULL) {
        birth->keep = k;
        birth->refused = *refused;
        birth->petition = hf_keep_petition(k, arrival->petition);
    }
    if (birth == NULL || birth->petition == NULL ||
        hf_dial_start(worker, k->identity, birth->petition, true, dialed, k, &birth->dial) !=
            HF_OK) {
        discard(k);
        return HF_NO_MEMORY;
    }
    make_joinable(k, arrival->offer);
    hf_count(worker, HF_COUNT_sessions_opened, 1);
    hf_session_attach(&k->session, &hf_heap, NULL, 0, 0, worker->loop->now);
    k->client = arrival->attachment;
    k->client->keep = k;
    if (worker->draining) {
        hf_keep_drain(k);
    }
    return HF_OK;
}

/* ---- joining and resuming ----------------------------------------------------------------------
 */

static void join(struct hf_keep *k, const struct hf_arrival *arrival)
{
    hf_count(k->backend.worker, HF_COUNT_sessions_joined, 1);
    hf_keep_attach(k, arrival->attachment, NULL, 0, 0, arrival->identity);
    k->joined = true;
    log_open(k, "join");
    if (k->session.state != HF_SESSION_OPENING) {
        greet(k, true, 0);
    }
}

static void refuse_stale(struct hf_worker *worker, const struct hf_arrival *arrival)
{
    record_refusal(worker, arrival->identity, HF_CAUSE_SESSION_STALE,
                   "the token or the attempt is older than one that was seen");
    hf_identity_free(arrival->identity, worker);
    hf_attachment_refuse(worker->keeper, arrival->attachment, "gateway", "stale", 0, 0);
}

/* The goodbye was answered, and the answer lost. The client learns what arrived; it wants no other
 * session, so none is made and the backend is not asked. Token and key of this hello are nobody's.
 */
static void answer_goodbye(struct hf_worker *worker, const struct hf_arrival *arrival,
                           const struct hf_token *token, uint64_t received)
{
    const struct hf_session_rules *rules = &arrival->identity->route->session_rules;
    struct hf_session none;
    struct hf_control hello;
    char name[SESSION_NAME_MAX];
    char key[HF_KEY_CHARS];
    hf_session_init(&none, token->id, 1);
    hf_key_write(token, key);
    name_session(worker, token->id, name);
    hf_control_init(&hello, HF_VERB_HELLO);
    hf_session_hello(&none, rules, &hello);
    hello.session = hf_slice_of(name);
    hello.token = arrival->offer->token;
    hello.key = hf_slice(key, sizeof(key));
    hello.resumed = 0;
    hello.reason = hf_slice_of(hf_resume_verdict_text(HF_RESUME_CLOSED));
    hello.old_received = received;
    record_refusal(worker, arrival->identity, HF_CAUSE_CLIENT_CLOSE, "the goodbye came again");
    hf_identity_free(arrival->identity, worker);
    hf_attachment_say(worker->keeper, arrival->attachment, &hello);
    hf_attachment_refuse(worker->keeper, arrival->attachment, "client", "closed", 0, 0);
}

/* What becomes of a resume, and the session when it is there. */
static enum hf_resume_verdict judge(struct hf_worker *worker, const struct hf_arrival *arrival,
                                    struct hf_keep **keep, struct hf_token *token,
                                    struct hf_refused *refused)
{
    const struct hf_offer *offer = arrival->offer;
    *keep = NULL;
    if (!hf_token_read(offer->token, token) || !is_ours(worker, token)) {
        return HF_RESUME_UNKNOWN;
    }
    struct hf_keep *k = find_id(worker->keeper, token->id);
    if (k == NULL || k->session.state == HF_SESSION_ENDED) {
        const struct hf_tomb *tomb = hf_tomb_of_token(worker->keeper, token);
        if (tomb == NULL) {
            return HF_RESUME_UNKNOWN;
        }
        refused->old_received = tomb->received;
        refused->goodbye = tomb->goodbye;
        return (enum hf_resume_verdict)tomb->verdict;
    }
    enum hf_resume_verdict verdict = hf_session_check(
        &k->session, token, offer->epoch, offer->received, offer->attempt, arrival->gaps);
    if (verdict != HF_RESUME_UNKNOWN && verdict != HF_RESUME_STALE &&
        !belongs_to(k, arrival->identity)) {
        verdict = HF_RESUME_AUTH;
    }
    if (verdict == HF_RESUME_OK || verdict == HF_RESUME_POISON) {
        *keep = k;
        refused->old_received = k->session.counted;
    }
    return verdict;
}

static enum hf_status resume(struct hf_worker *worker, const struct hf_arrival *arrival)
{
    struct hf_keeper *keeper = worker->keeper;
    struct hf_refused refused = {.old_received = HF_NO_COUNT};
    struct hf_token token;
    struct hf_keep *k;
    enum hf_resume_verdict verdict = judge(worker, arrival, &k, &token, &refused);
    keeper->worker->sessions.resumes[verdict]++;
    if (verdict == HF_RESUME_STALE) {
        refuse_stale(worker, arrival);
        return HF_OK;
    }
    if (verdict == HF_RESUME_OK) {
        uint64_t missing = hf_keep_attach(k, arrival->attachment, &token, arrival->offer->received,
                                          arrival->offer->attempt, arrival->identity);
        hf_keep_hold_renew(k, arrival->petition);
        log_open(k, "resume");
        if (k->session.state != HF_SESSION_OPENING) {
            greet(k, true, missing);
        }
        return HF_OK;
    }
    if (verdict == HF_RESUME_CLOSED && refused.goodbye) {
        answer_goodbye(worker, arrival, &token, refused.old_received);
        return HF_OK;
    }
    if (verdict == HF_RESUME_POISON && k != NULL) { /* else its tombstone says so */
        hf_keep_give_up(k, HF_CAUSE_SESSION_POISON);
    }
    refused.reason = hf_resume_verdict_text(verdict);
    return begin(worker, arrival, &refused);
}

enum hf_status hf_keep_arrive(struct hf_worker *worker, const struct hf_arrival *arrival)
{
    static const struct hf_refused none = {.old_received = HF_NO_COUNT};
    HF_ASSERT(arrival->offer->kind != HF_OFFER_NONE && arrival->offer->kind != HF_OFFER_BAD);
    if (arrival->offer->kind == HF_OFFER_RESUME) {
        return resume(worker, arrival);
    }
    struct hf_keep *k =
        arrival->offer->kind == HF_OFFER_OPEN ? find_secret(worker->keeper, arrival->offer) : NULL;
    if (k != NULL && belongs_to(k, arrival->identity)) {
        join(k, arrival);
        return HF_OK;
    }
    return begin(worker, arrival, &none);
}
