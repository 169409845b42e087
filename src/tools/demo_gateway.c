/* SPDX-License-Identifier: Apache-2.0 */
/* The real gateway inside the demo: see demo_gateway.h. */
#include "tools/demo_gateway.h"

#include "gateway/ledger.h"
#include "io/epoll.h"

#include <jansson.h>
#include <stdio.h>

static enum hf_status load_config(struct demo_gateway *g, const struct hf_address *upstream,
                                  struct hf_buffer *why)
{
    char where[128];
    char url[160];
    hf_address_text(upstream, where);
    (void)snprintf(url, sizeof(url), "http://%s", where);
    /* What a person's shell says to holdfast is not for the demo. */
    const char *const nothing[] = {NULL};
    const char *const words[] = {"--listen=127.0.0.1:0", "--upstream",        url,
                                 "--workers=1",          "--log-level=error", NULL};
    struct hf_config_input input = {.flags = words, .environment = nothing};
    return hf_config_load(&input, &g->config, why);
}

enum hf_status demo_gateway_init(struct demo_gateway *g, const struct hf_address *upstream,
                                 uint64_t seed, struct hf_buffer *why)
{
    *g = (struct demo_gateway){0};
    enum hf_status status = load_config(g, upstream, why);
    if (status == HF_OK) {
        status = hf_log_open(NULL, HF_LOG_TEXT, HF_LOG_ERROR, &g->log);
    }
    if (status == HF_OK) {
        struct hf_loop *loop = hf_epoll_new();
        status = loop == NULL ? HF_NO_DESCRIPTORS
                              : hf_gateway_new(g->config, g->log, &loop, 1, seed, &g->gateway, why);
    }
    if (status == HF_OK) {
        hf_gateway_address(g->gateway, 0, &g->address);
        status = hf_gateway_start(g->gateway);
    }
    return status;
}

void demo_gateway_fini(struct demo_gateway *g)
{
    hf_gateway_free(g->gateway);
    hf_log_close(g->log);
    hf_config_unref(g->config);
    *g = (struct demo_gateway){0};
}

/* ---- its endings --------------------------------------------------------- */

static struct demo_cause *row_of(struct demo_cause *causes, size_t *count, enum hf_cause cause)
{
    for (size_t i = 0; i < *count; i++) {
        if (causes[i].cause == cause) {
            return &causes[i];
        }
    }
    if (*count == DEMO_CAUSES_MAX) {
        return NULL;
    }
    struct demo_cause *row = &causes[(*count)++];
    *row = (struct demo_cause){.cause = cause, .held_ms_min = INT64_MAX, .rtt_ms_max = -1};
    return row;
}

static void add_ending(struct demo_cause *row, const json_t *ending)
{
    int64_t held = json_integer_value(json_object_get(ending, "held_ms"));
    const json_t *rtt = json_object_get(ending, "rtt_ms");
    if (row->count++ == 0) {
        row->code = (unsigned)json_integer_value(json_object_get(ending, "code"));
    }
    row->held_ms_min = held < row->held_ms_min ? held : row->held_ms_min;
    if (json_is_number(rtt) && json_number_value(rtt) > row->rtt_ms_max) {
        row->rtt_ms_max = json_number_value(rtt);
    }
}

size_t demo_gateway_causes(struct demo_gateway *g, struct demo_cause causes[DEMO_CAUSES_MAX])
{
    struct hf_buffer text;
    size_t count = 0;
    size_t i;
    json_t *ending;
    hf_buffer_init(&text, &hf_heap, 1 << 20);
    (void)hf_ledger_print(g->gateway->ledger, 1000, NULL, &text);
    json_t *endings = json_loadb((const char *)text.data, text.len, 0, NULL);
    json_array_foreach(json_object_get(endings, "endings"), i, ending)
    {
        const char *id = json_string_value(json_object_get(ending, "cause"));
        struct demo_cause *row = row_of(causes, &count, hf_cause_from_id(hf_slice_of(id)));
        if (row != NULL) {
            add_ending(row, ending);
        }
    }
    json_decref(endings);
    hf_buffer_reset(&text);
    return count;
}
