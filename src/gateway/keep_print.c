/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions as /api/sessions shows them. */
#include "gateway/keeper.h"

static void print_backend(const struct hf_keep *k, struct hf_buffer *out)
{
    const struct hf_wire *w = &k->backend;
    uint32_t now = hf_heartbeat_ms(hf_keep_now(k));
    if (w->stream == NULL) {
        hf_buffer_add_text(out, ",\"backend\":null");
        return;
    }
    hf_buffer_addf(out,
                   ",\"backend\":{\"silent_rx_ms\":%u,\"silent_tx_ms\":%u,\"messages\":%llu,"
                   "\"bytes\":%llu,\"blocked\":%s,\"held\":%s,\"rtt_ms\":",
                   now - w->beat.heard_ms, now - w->beat.sent_ms,
                   (unsigned long long)k->session.journal.end, (unsigned long long)w->bytes_in,
                   w->out != NULL ? "true" : "false", w->hold != 0 ? "true" : "false");
    if (w->beat.rtt_us == UINT32_MAX) {
        hf_buffer_add_text(out, "null}");
    } else {
        hf_buffer_addf(out, "%u.%03u}", w->beat.rtt_us / 1000, w->beat.rtt_us % 1000);
    }
}

static void print_keep(const struct hf_keep *k, struct hf_buffer *out)
{
    const struct hf_session *s = &k->session;
    hf_worker_print_identity(k->backend.worker, k->identity, k->opened, false, out);
    hf_buffer_addf(out, ",\"state\":\"%s\",\"transport\":",
                   hf_session_state_text((enum hf_session_state)s->state));
    if (k->client == NULL) {
        hf_buffer_addf(
            out, "null,\"parked_ms\":%lld",
            (long long)(k->parking == NULL ? 0 : (hf_keep_now(k) - k->parking->since) / 1000));
    } else {
        hf_buffer_addf(out, "\"%s\",\"parked_ms\":0", k->client->ops->name);
    }
    hf_buffer_addf(out,
                   ",\"received\":%llu,\"taken\":%llu,\"sent\":%llu,\"acknowledged\":%llu,"
                   "\"journal_bytes\":%llu,\"queue_bytes\":%llu",
                   (unsigned long long)s->counted, (unsigned long long)s->taken,
                   (unsigned long long)s->journal.end, (unsigned long long)s->journal.base,
                   (unsigned long long)s->journal.bytes,
                   (unsigned long long)(hf_session_bytes(s) - s->journal.bytes));
    print_backend(k, out);
    hf_buffer_add_byte(out, '}');
}

size_t hf_keeper_print(struct hf_keeper *keeper, uint32_t *limit, struct hf_buffer *out)
{
    struct hf_list *lists[] = {&keeper->live, &keeper->parked};
    size_t count = 0;
    for (size_t i = 0; i < 2; i++) {
        for (struct hf_list *n = lists[i]->prev; n != lists[i] && *limit > 0; n = n->prev) {
            hf_buffer_add_text(out, count == 0 ? "\n" : ",\n");
            print_keep(HF_CONTAINER(n, struct hf_keep, node), out);
            (*limit)--;
            count++;
        }
    }
    return count;
}
