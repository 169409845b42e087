/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger of endings: see ledger.h. */
#include "gateway/ledger.h"

#include "gateway/worker.h"

#include <stdio.h>
#include <stdlib.h>

struct hf_ledger {
    pthread_mutex_t lock;
    char **ring; /* JSON objects; NULL where none is yet */
    uint32_t size;
    uint64_t count; /* records ever made; the next goes to count % size */
};

struct hf_ledger *hf_ledger_new(uint32_t kept)
{
    struct hf_ledger *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        return NULL;
    }
    l->ring = calloc(kept, sizeof(*l->ring));
    l->size = kept;
    if (l->ring == NULL) {
        free(l);
        return NULL;
    }
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void hf_ledger_free(struct hf_ledger *l)
{
    if (l == NULL) {
        return;
    }
    for (uint32_t i = 0; i < l->size; i++) {
        free(l->ring[i]);
    }
    free(l->ring);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* ---- one record, in the log and as JSON: the same words in both
 * ------------------------------------------------ */

/* Where a record goes: members of a JSON object, and the fields of a text line when the log is
 * text. */
struct sink {
    struct hf_log_line *line; /* NULL when the log takes the members as they are */
    struct hf_buffer *json;
};

static void put_key(struct sink *s, const char *key)
{
    hf_buffer_add_text(s->json, s->json->len > 0 ? ",\"" : "\"");
    hf_buffer_add_text(s->json, key);
    hf_buffer_add_text(s->json, "\":");
}

static void put_text(struct sink *s, const char *key, const char *text)
{
    if (s->line != NULL) {
        hf_log_cstr(s->line, key, text);
    }
    put_key(s, key);
    hf_buffer_add_byte(s->json, '"');
    hf_buffer_add_json(s->json, hf_slice_of(text));
    hf_buffer_add_byte(s->json, '"');
}

static void put_number(struct sink *s, const char *key, int64_t n)
{
    if (s->line != NULL) {
        hf_log_number(s->line, key, n);
    }
    put_key(s, key);
    hf_buffer_add_number(s->json, n);
}

static void put_bool(struct sink *s, const char *key, bool b)
{
    if (s->line != NULL) {
        hf_log_bool(s->line, key, b);
    }
    put_key(s, key);
    hf_buffer_add_text(s->json, b ? "true" : "false");
}

static void put_round_trip(struct sink *s, uint32_t rtt_us)
{
    bool known = rtt_us != UINT32_MAX;
    if (s->line != NULL && known) {
        hf_log_ms(s->line, "rtt_ms", rtt_us);
    } else if (s->line != NULL) {
        hf_log_null(s->line, "rtt_ms");
    }
    put_key(s, "rtt_ms");
    if (known) {
        hf_buffer_addf(s->json, "%u.%03u", rtt_us / 1000, rtt_us % 1000);
    } else {
        hf_buffer_add_text(s->json, "null");
    }
}

static void put_identity(struct sink *s, const struct hf_identity *i)
{
    char peer[46];
    hf_peer_text(i->peer, peer);
    put_text(s, "route", i->route != NULL ? i->route->config->name : "");
    put_text(s, "path", hf_identity_target(i));
    put_text(s, "address", peer);
    put_text(s, "subject", hf_identity_subject(i));
    put_text(s, "upstream", i->backend != NULL ? i->backend->config->url : "");
    put_bool(s, "tls", i->tls);
}

static void put_ending(struct sink *s, const struct hf_ending *e)
{
    put_text(s, "cause", hf_cause_id(e->cause));
    put_text(s, "who", hf_cause_who(e->cause));
    const char *phase = hf_cause_phase(e->cause);
    put_text(s, "phase", strcmp(phase, "any") != 0 ? phase : e->open ? "open" : "handshake");
    put_number(s, "code", e->code);
    put_number(s, "code_in", e->code_in);
    put_number(s, "code_out", e->code_out);
    put_number(s, "http", e->http);
    put_text(s, "reason", e->reason);
    put_number(s, "held_ms", e->held / 1000);
    put_number(s, "silent_rx_ms", e->silent_rx / 1000);
    put_number(s, "silent_tx_ms", e->silent_tx / 1000);
    put_round_trip(s, e->rtt_us);
    put_number(s, "unacked", (int64_t)e->unacked);
    put_number(s, "errno", e->error);
    put_number(s, "messages_client", (int64_t)e->messages_client);
    put_number(s, "messages_backend", (int64_t)e->messages_backend);
    put_number(s, "bytes_client", (int64_t)e->bytes_client);
    put_number(s, "bytes_backend", (int64_t)e->bytes_backend);
}

/* The ring's copy is the whole object. */
static void keep(struct hf_ledger *l, const struct hf_buffer *members, hf_wall wall)
{
    static const char head[] = "{\"time\":\"";
    size_t size = sizeof(head) - 1 + 24 + 2 + members->len + 2;
    char *copy = members->failed ? NULL : malloc(size);
    if (copy == NULL) {
        return;
    }
    char *at = copy;
    memcpy(at, head, sizeof(head) - 1);
    at += sizeof(head) - 1;
    hf_wall_text(wall, at);
    at += 24;
    *at++ = '"';
    *at++ = ',';
    memcpy(at, members->data, members->len);
    at += members->len;
    *at++ = '}';
    *at = '\0';
    pthread_mutex_lock(&l->lock);
    char **slot = &l->ring[l->count % l->size];
    char *old = *slot;
    *slot = copy;
    l->count++;
    pthread_mutex_unlock(&l->lock);
    free(old);
}

void hf_ledger_record(struct hf_worker *worker, const struct hf_identity *identity,
                      const struct hf_ending *ending)
{
    struct hf_log_line line;
    struct hf_buffer *members = &worker->record;
    hf_wall wall = worker->loop->wall;
    hf_buffer_clear(members);
    hf_log_begin(&line, worker->gateway->log, HF_LOG_INFO, wall, "ws end");
    struct sink s = {.line = line.log == NULL || line.json ? NULL : &line, .json = members};
    put_number(&s, "id", (int64_t)identity->id);
    put_ending(&s, ending);
    put_identity(&s, identity);
    if (line.json) {
        hf_log_members(&line, hf_buffer_slice(members));
    }
    hf_log_end(&line);
    if (identity->route != NULL) {
        atomic_fetch_add_explicit(&identity->route->state->endings[ending->cause], 1,
                                  memory_order_relaxed);
    }
    hf_count_ending(worker->gateway, ending->cause);
    keep(worker->gateway->ledger, members, wall);
}

/* ---- /api/endings
 * ---------------------------------------------------------------------------------------------------
 */

static bool has_cause(const char *json, const char *cause)
{
    char needle[80];
    (void)snprintf(needle, sizeof(needle), "\"cause\":\"%s\"", cause);
    return strstr(json, needle) != NULL;
}

enum hf_status hf_ledger_print(struct hf_ledger *l, uint32_t limit, const char *cause,
                               struct hf_buffer *out)
{
    bool first = true;
    hf_buffer_add_text(out, "{\"endings\":[");
    pthread_mutex_lock(&l->lock);
    uint64_t have = l->count < l->size ? l->count : l->size;
    for (uint64_t i = 0; i < have && limit > 0; i++) {
        const char *json = l->ring[(l->count - 1 - i) % l->size];
        if (cause != NULL && !has_cause(json, cause)) {
            continue;
        }
        hf_buffer_add_text(out, first ? "\n" : ",\n");
        hf_buffer_add_text(out, json);
        first = false;
        limit--;
    }
    pthread_mutex_unlock(&l->lock);
    hf_buffer_add_text(out, "\n]}\n");
    return out->failed ? HF_NO_MEMORY : HF_OK;
}

enum hf_cause hf_ledger_cause(const struct hf_end *end, bool is_client)
{
    switch (end->kind) {
    case HF_END_FIN:
    case HF_END_TLS_NOTIFY:
    case HF_END_TLS_TRUNCATED:
        return is_client ? HF_CAUSE_CLIENT_FIN : HF_CAUSE_BACKEND_FIN;
    case HF_END_TIMEOUT:
    case HF_END_UNREACHABLE:
        return is_client ? HF_CAUSE_CLIENT_TIMEOUT : HF_CAUSE_BACKEND_TIMEOUT;
    case HF_END_RST:
    case HF_END_REFUSED:
    case HF_END_TLS_FAILED:
    case HF_END_ERRNO:
    case HF_END_KINDS:
    default:
        return is_client ? HF_CAUSE_CLIENT_RESET : HF_CAUSE_BACKEND_RESET;
    }
}
