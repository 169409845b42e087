/* SPDX-License-Identifier: Apache-2.0 */
/* A gateway without connections, for the tests of admin and metrics: configuration, routes,
 * counters and a ledger are real; what workers would tell is what the test says. Defines the few
 * functions of the gateway that admin and metrics call. */
#ifndef ADMIN_STAGE_H
#define ADMIN_STAGE_H

#include "test_unit.h"

#include "gateway/gateway.h"
#include "gateway/ledger.h"

#include <stdlib.h>

#define STAGE_WORKERS 2

struct stage {
    struct hf_gateway gateway;
    struct hf_worker workers[STAGE_WORKERS];
    struct hf_worker *worker_list[STAGE_WORKERS];
    struct hf_loop
        loops[STAGE_WORKERS]; /* only their clocks, unless the test puts others in their place */
    struct hf_runtime runtime;
    struct hf_tls *listener_tls[4];
    struct hf_route routes[4];
    struct hf_backend backends[4][4];
    struct hf_backend_state backend_states[4][4];
    struct hf_route_state route_states[4];
};

struct hf_runtime *hf_gateway_runtime(struct hf_gateway *gateway)
{
    gateway->runtime->refs++;
    return gateway->runtime;
}

void hf_runtime_unref(struct hf_runtime *runtime)
{
    assert_true(runtime->refs > 1);
    runtime->refs--;
}

/* ---- the workers ---------------------------------------------------------------------- */

struct stage_order {
    struct hf_task task;
    struct hf_worker *worker;
    void (*run)(struct hf_worker *worker, void *context);
    void *context;
};

static void stage_run_order(struct hf_task *task, struct hf_loop *loop)
{
    struct stage_order *order = HF_CONTAINER(task, struct stage_order, task);
    order->run(order->worker, order->context);
    free(order);
}

static bool stage_broadcast_fails;

bool hf_gateway_broadcast(struct hf_gateway *gateway,
                          void (*run)(struct hf_worker *worker, void *context), void *context)
{
    for (size_t i = 0; i < gateway->worker_count && !stage_broadcast_fails; i++) {
        struct stage_order *order = calloc(1, sizeof(*order));
        assert_non_null(order);
        *order = (struct stage_order){.task = {.run = stage_run_order},
                                      .worker = gateway->workers[i],
                                      .run = run,
                                      .context = context};
        hf_loop_post(gateway->workers[i]->loop, &order->task);
    }
    return !stage_broadcast_fails;
}

/* Each worker has so many sessions; worker w's are numbered w + 1, w + 1 + STAGE_WORKERS, ... */
static unsigned stage_sessions[STAGE_WORKERS];

void hf_worker_print_sessions(struct hf_worker *worker, uint32_t limit, struct hf_buffer *out)
{
    unsigned count = stage_sessions[worker->index];
    for (unsigned i = 0; i < count && i < limit; i++) {
        unsigned id = worker->index + 1 + (count - 1 - i) * STAGE_WORKERS;
        hf_buffer_addf(out, "%s{\"id\":%u,\"subject\":\"}\\\"{\\\\\",\"client\":{\"rtt_ms\":null}}",
                       i == 0 ? "\n" : ",\n", id);
    }
}

static void stage_open(struct stage *s, const char *yaml)
{
    struct hf_buffer errors;
    memset(s, 0, sizeof(*s));
    hf_buffer_init(&errors, &hf_heap, 65536);
    if (hf_config_parse_text(hf_slice_of(yaml), &s->runtime.config, &errors) != HF_OK) {
        print_error("%.*s\n", HF_SLICE_ARG(hf_buffer_slice(&errors)));
        fail();
    }
    hf_buffer_reset(&errors);
    s->runtime.refs = 1;
    s->runtime.routes = s->routes;
    s->runtime.listener_tls = s->listener_tls;
    const struct hf_config *config = s->runtime.config;
    assert_true(config->route_count <= 4 && config->listen_count <= 4);
    for (size_t i = 0; i < config->route_count; i++) {
        s->routes[i].config = &config->routes[i];
        s->routes[i].backends = s->backends[i];
        s->routes[i].state = &s->route_states[i];
        s->routes[i].backend_count = config->routes[i].upstream_count;
        assert_true(s->routes[i].backend_count <= 4);
        for (size_t j = 0; j < s->routes[i].backend_count; j++) {
            s->backends[i][j].config = &config->routes[i].upstreams[j];
            s->backends[i][j].state = &s->backend_states[i][j];
        }
    }
    pthread_mutex_init(&s->gateway.lock, NULL);
    s->gateway.runtime = &s->runtime;
    s->gateway.ledger = hf_ledger_new(100);
    s->gateway.workers = s->worker_list;
    s->gateway.worker_count = STAGE_WORKERS;
    for (unsigned i = 0; i < STAGE_WORKERS; i++) {
        s->worker_list[i] = &s->workers[i];
        s->workers[i].gateway = &s->gateway;
        s->workers[i].index = i;
        s->workers[i].loop = &s->loops[i];
        hf_buffer_init(&s->workers[i].record, &hf_heap, 65536);
    }
}

static void stage_close(struct stage *s)
{
    assert_int_equal(s->runtime.refs, 1);
    for (unsigned i = 0; i < STAGE_WORKERS; i++) {
        hf_buffer_reset(&s->workers[i].record);
    }
    hf_ledger_free(s->gateway.ledger);
    hf_config_unref(s->runtime.config);
    pthread_mutex_destroy(&s->gateway.lock);
}

#endif
