/* SPDX-License-Identifier: Apache-2.0 */
/* A worker: one loop, its listeners, and the lists of what is open on it. */
#include "gateway/worker.h"

#include "base/hash.h"
#include "gateway/dial.h"
#include "gateway/fallback.h"
#include "gateway/keeper.h"
#include "gateway/opening.h"
#include "gateway/relay.h"

#include <stdlib.h>

#define FLUSH_EVERY HF_MS(100)

/* ---- listeners
 * -------------------------------------------------------------------------------------------------
 */

static void on_accept(void *owner, struct hf_stream *stream, const struct hf_address *peer)
{
    struct hf_worker_listener *l = owner;
    hf_opening_accept(l->worker, l, stream, peer);
}

static void on_exhausted(void *owner, enum hf_status why)
{
    struct hf_worker_listener *l = owner;
    hf_count(l->worker, HF_COUNT_accept_exhausted, 1);
    if (l->worker->loop->now < l->worker->quiet_until) {
        return; /* it was said a moment ago */
    }
    l->worker->quiet_until = l->worker->loop->now + HF_SECONDS(10);
    hf_log_say(l->worker->gateway->log, HF_LOG_WARNING, l->worker->loop->wall, "accept",
               "accepting rests: %s; raise the descriptor limit (ulimit -n, LimitNOFILE)",
               hf_status_text(why));
}

static const struct hf_listener_handler listener_handler = {.on_accept = on_accept,
                                                            .on_exhausted = on_exhausted};

static bool same_address(const struct hf_address *a, const struct hf_address *b)
{
    return a->len == b->len && memcmp(&a->u, &b->u, a->len) == 0;
}

static struct hf_worker_listener *find_listener(struct hf_worker *worker,
                                                const struct hf_address *address)
{
    for (struct hf_list *n = worker->listeners.next; n != &worker->listeners; n = n->next) {
        struct hf_worker_listener *l = HF_CONTAINER(n, struct hf_worker_listener, node);
        if (same_address(&l->address, address)) {
            return l;
        }
    }
    return NULL;
}

static void close_listener(struct hf_worker_listener *l)
{
    hf_listener_close(l->worker->loop, l->listener);
    hf_list_remove(&l->node);
    free(l);
}

static bool is_port_0(const struct hf_address *a)
{
    return (a->u.any.sa_family == AF_INET && a->u.v4.sin_port == 0) ||
           (a->u.any.sa_family == AF_INET6 && a->u.v6.sin6_port == 0);
}

/* Port 0 of the configuration is one port for all workers: the one the first was given. */
static enum hf_status listen_shared(struct hf_worker *worker, struct hf_worker_listener *l,
                                    struct hf_listen *how)
{
    struct hf_gateway *g = worker->gateway;
    size_t i = 0;
    pthread_mutex_lock(&g->lock);
    while (i < g->bound_count && !same_address(&g->bound[i].configured, &l->address)) {
        i++;
    }
    if (i < g->bound_count) {
        how->address = g->bound[i].bound;
    }
    enum hf_status status = hf_loop_listen(worker->loop, how, &listener_handler, l, &l->listener);
    if (status == HF_OK && i == g->bound_count && i < sizeof(g->bound) / sizeof(g->bound[0])) {
        g->bound[i].configured = l->address;
        hf_listener_address(worker->loop, l->listener, &g->bound[i].bound);
        g->bound_count++;
    }
    pthread_mutex_unlock(&g->lock);
    return status;
}

/* Workers share a port, and so would a second process of the same user without anybody being told:
 * at the start the port is tried alone. */
static enum hf_status check_port(struct hf_worker *worker, struct hf_listen how)
{
    struct hf_listener *alone = NULL;
    if (worker->gateway->running || worker->index != 0 || !how.reuse_port) {
        return HF_OK;
    }
    how.reuse_port = false;
    enum hf_status status = hf_loop_listen(worker->loop, &how, &listener_handler, NULL, &alone);
    hf_listener_close(worker->loop, alone);
    return status;
}

static enum hf_status open_listener(struct hf_worker *worker, const struct hf_config *config,
                                    size_t index, struct hf_worker_listener **out)
{
    const struct hf_listen_config *c = &config->listens[index];
    struct hf_listen how = {.address = c->address,
                            .reuse_port = c->address.u.any.sa_family != AF_UNIX,
                            .unix_mode = config->unix_mode,
                            .options = worker->runtime->sockets};
    struct hf_worker_listener *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return HF_NO_MEMORY;
    }
    l->worker = worker;
    l->address = c->address;
    hf_list_init(&l->node);
    enum hf_status status = check_port(worker, how);
    if (status == HF_OK) {
        status = is_port_0(&c->address)
                     ? listen_shared(worker, l, &how)
                     : hf_loop_listen(worker->loop, &how, &listener_handler, l, &l->listener);
    }
    if (status != HF_OK) {
        free(l);
        return status;
    }
    hf_listener_address(worker->loop, l->listener, &l->bound);
    hf_list_append(&worker->listeners, &l->node);
    *out = l;
    return HF_OK;
}

/* Closes those that the configuration no longer names. */
static void close_others(struct hf_worker *worker, const struct hf_config *config)
{
    struct hf_list *next;
    for (struct hf_list *n = worker->listeners.next; n != &worker->listeners; n = next) {
        struct hf_worker_listener *l = HF_CONTAINER(n, struct hf_worker_listener, node);
        bool wanted = false;
        next = n->next;
        for (size_t i = 0; i < config->listen_count; i++) {
            wanted = wanted || same_address(&l->address, &config->listens[i].address);
        }
        if (!wanted) {
            close_listener(l);
        }
    }
}

enum hf_status hf_worker_apply(struct hf_worker *worker, struct hf_runtime *runtime,
                               struct hf_buffer *why)
{
    enum hf_status result = HF_OK;
    struct hf_runtime *old = worker->runtime;
    worker->runtime = hf_runtime_ref(runtime);
    close_others(worker, runtime->config);
    for (size_t i = 0; i < runtime->config->listen_count; i++) {
        const struct hf_listen_config *c = &runtime->config->listens[i];
        struct hf_worker_listener *l = find_listener(worker, &c->address);
        /* A Unix socket is one file: the first worker has it. */
        if (l == NULL && (c->address.u.any.sa_family != AF_UNIX || worker->index == 0)) {
            enum hf_status status = open_listener(worker, runtime->config, i, &l);
            if (status != HF_OK) {
                char text[128];
                hf_address_text(&c->address, text);
                hf_buffer_addf(why, "cannot listen on %s: %s\n", text, hf_status_text(status));
                result = status;
            }
        }
        if (l != NULL) {
            l->proxy_protocol = c->proxy_protocol;
            l->tls = runtime->listener_tls[i];
        }
    }
    hf_runtime_unref(old);
    return result;
}

/* ---- life
 * ----------------------------------------------------------------------------------------------------------
 */

static void flush(struct hf_timer *timer, hf_time now)
{
    struct hf_worker *worker = HF_CONTAINER(timer, struct hf_worker, flush);
    hf_log_flush(worker->gateway->log);
    hf_timer_set(worker->loop, &worker->flush, now + FLUSH_EVERY);
}

struct hf_worker *hf_worker_new(struct hf_gateway *gateway, struct hf_loop *loop, unsigned index,
                                uint64_t seed)
{
    struct hf_worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        return NULL;
    }
    worker->gateway = gateway;
    worker->loop = loop;
    worker->index = index;
    loop->user = worker;
    hf_random_init(&worker->random, seed);
    memcpy(worker->mask_secret, gateway->secret, sizeof(worker->mask_secret));
    worker->mask_count = (uint64_t)index << 48;
    hf_list_init(&worker->listeners);
    hf_list_init(&worker->openings);
    hf_list_init(&worker->seats);
    hf_list_init(&worker->redials_waiting);
    hf_table_init(&worker->seats_by_key, &hf_heap, gateway->secret);
    hf_list_init(&worker->relays);
    hf_list_init(&worker->closing);
    hf_pool_init(&worker->relay_pool, &hf_heap, sizeof(struct hf_relay), 48);
    hf_pool_init(&worker->opening_pool, &hf_heap, sizeof(struct hf_opening), 16);
    hf_pool_init(&worker->head_pool, &hf_heap, sizeof(struct hf_head), 8);
    hf_pool_init(&worker->dial_pool, &hf_heap, hf_dial_size(), 8);
    hf_buffer_init(&worker->record, &hf_heap, 65536);
    hf_buffer_init(&worker->scratch, &hf_heap, 2 * HF_STREAM_UNREAD_MAX);
    worker->keeper = hf_keeper_new(worker);
    if (worker->keeper == NULL) {
        free(worker);
        return NULL;
    }
    hf_timer_init(&worker->flush, flush);
    hf_timer_set(loop, &worker->flush, loop->now + FLUSH_EVERY);
    return worker;
}

void hf_worker_next_mask(struct hf_worker *worker, uint8_t mask[4])
{
    uint64_t count = worker->mask_count++;
    uint64_t key = hf_siphash(worker->mask_secret, hf_slice(&count, sizeof(count)));
    memcpy(mask, &key, 4);
}

void hf_worker_say_dry_run(struct hf_worker *worker, uint64_t id, const char *limit)
{
    struct hf_log_line line;
    hf_log_begin(&line, worker->gateway->log, HF_LOG_WARNING, worker->loop->wall, "limit dry run");
    hf_log_number(&line, "id", (int64_t)id);
    hf_log_cstr(&line, "limit", limit);
    hf_log_end(&line);
}

static void stop_accepting(struct hf_worker *worker)
{
    while (!hf_list_empty(&worker->listeners)) {
        close_listener(HF_CONTAINER(worker->listeners.next, struct hf_worker_listener, node));
    }
}

static void kill_all(struct hf_worker *worker)
{
    struct hf_list *next;
    for (struct hf_list *n = worker->openings.next; n != &worker->openings; n = next) {
        next = n->next;
        hf_opening_kill(HF_CONTAINER(n, struct hf_opening, node), HF_CAUSE_STOP);
    }
    while (!hf_list_empty(&worker->relays)) {
        hf_relay_kill(HF_CONTAINER(worker->relays.next, struct hf_relay, node), HF_CAUSE_STOP);
    }
    hf_keeper_kill_all(worker->keeper);
    while (!hf_list_empty(&worker->closing)) {
        hf_relay_free(HF_CONTAINER(worker->closing.next, struct hf_relay, node));
    }
}

void hf_worker_free(struct hf_worker *worker)
{
    if (worker == NULL) {
        return;
    }
    stop_accepting(worker);
    kill_all(worker);
    while (!hf_list_empty(&worker->openings)) {
        hf_opening_free(HF_CONTAINER(worker->openings.next, struct hf_opening, node));
    }
    while (!hf_list_empty(&worker->seats)) {
        struct hf_seat *seat = HF_CONTAINER(worker->seats.next, struct hf_seat, node);
        seat->seat_ops->kill(seat);
    }
    hf_table_fini(&worker->seats_by_key);
    hf_timer_stop(worker->loop, &worker->flush);
    hf_keeper_free(worker->keeper);
    hf_buffer_reset(&worker->record);
    hf_buffer_reset(&worker->scratch);
    hf_pool_fini(&worker->relay_pool);
    hf_pool_fini(&worker->opening_pool);
    hf_pool_fini(&worker->head_pool);
    hf_pool_fini(&worker->dial_pool);
    hf_runtime_unref(worker->runtime);
    free(worker);
}

/* ---- goodbye
 * --------------------------------------------------------------------------------------------------------
 */

void hf_worker_drain(struct hf_worker *worker, hf_time spread)
{
    hf_time now = worker->loop->now;
    if (worker->draining) {
        kill_all(worker);
        return;
    }
    worker->draining = true;
    stop_accepting(worker);
    struct hf_list *next;
    for (struct hf_list *n = worker->openings.next; n != &worker->openings; n = next) {
        next = n->next;
        hf_opening_drain(HF_CONTAINER(n, struct hf_opening, node));
    }
    for (struct hf_list *n = worker->relays.next; n != &worker->relays; n = n->next) {
        uint64_t share = spread <= 0 ? 0 : hf_random_below(&worker->random, (uint64_t)spread + 1);
        hf_relay_drain(HF_CONTAINER(n, struct hf_relay, node), now + (hf_time)share);
    }
    hf_keeper_drain(worker->keeper, spread);
}

bool hf_worker_is_idle(const struct hf_worker *worker)
{
    return worker->opening_count == 0 && worker->relay_count == 0 &&
           hf_keeper_is_idle(worker->keeper);
}

/* ---- /api/sessions
 * ----------------------------------------------------------------------------------------------------
 */

static void print_leg(const struct hf_relay *r, const struct hf_leg *leg, const char *name,
                      struct hf_buffer *out)
{
    uint32_t now = hf_heartbeat_ms(hf_relay_now(r));
    hf_buffer_addf(out,
                   ",\"%s\":{\"silent_rx_ms\":%u,\"silent_tx_ms\":%u,\"messages\":%llu,\"bytes\":%"
                   "llu,\"blocked\":%s,\"held\":%s,\"rtt_ms\":",
                   name, now - leg->beat.heard_ms, now - leg->beat.sent_ms,
                   (unsigned long long)leg->messages, (unsigned long long)leg->bytes,
                   leg->blocked ? "true" : "false", leg->hold != 0 ? "true" : "false");
    if (leg->beat.rtt_us == UINT32_MAX) {
        hf_buffer_add_text(out, "null}");
    } else {
        hf_buffer_addf(out, "%u.%03u}", leg->beat.rtt_us / 1000, leg->beat.rtt_us % 1000);
    }
}

static void print_text(const char *key, const char *text, struct hf_buffer *out)
{
    hf_buffer_addf(out, ",\"%s\":\"", key);
    hf_buffer_add_json(out, hf_slice_of(text));
    hf_buffer_add_byte(out, '"');
}

void hf_worker_print_identity(const struct hf_worker *worker, const struct hf_identity *i,
                              hf_time opened, bool deflate, struct hf_buffer *out)
{
    char text[64];
    hf_time held = worker->loop->now - opened;
    hf_wall_text(worker->loop->wall - held / 1000, text);
    hf_buffer_addf(
        out,
        "{\"id\":%llu,\"opened\":\"%s\",\"held_ms\":%lld,\"worker\":%u,\"tls\":%s,\"deflate\":%s",
        (unsigned long long)i->id, text, (long long)(held / 1000), worker->index,
        i->tls ? "true" : "false", deflate ? "true" : "false");
    hf_peer_text(i->peer, text);
    print_text("address", text, out);
    print_text("subject", hf_identity_subject(i), out);
    print_text("route", i->route->config->name, out);
    print_text("path", hf_identity_target(i), out);
    print_text("upstream", i->backend != NULL ? i->backend->config->url : "", out);
}

static void print_session(const struct hf_relay *r, struct hf_buffer *out)
{
    hf_worker_print_identity(r->worker, r->identity, r->opened, r->deflate, out);
    hf_buffer_addf(out, ",\"away\":%s", r->backend.stream == NULL ? "true" : "false");
    print_leg(r, &r->client, "client", out);
    print_leg(r, &r->backend, "backend", out);
    hf_buffer_add_byte(out, '}');
}

void hf_worker_print_sessions(struct hf_worker *worker, uint32_t limit, struct hf_buffer *out)
{
    bool first = hf_keeper_print(worker->keeper, &limit, out) == 0;
    for (struct hf_list *n = worker->relays.prev; n != &worker->relays && limit > 0;
         n = n->prev, limit--) {
        hf_buffer_add_text(out, first ? "\n" : ",\n");
        print_session(HF_CONTAINER(n, struct hf_relay, node), out);
        first = false;
    }
}
