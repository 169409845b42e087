/* SPDX-License-Identifier: Apache-2.0 */
/* Seats and the keys by which they are found. */
#include "gateway/fallback.h"

#include <stdlib.h>

void hf_seat_init(struct hf_seat *seat, struct hf_opening *o,
                  void (*fire)(struct hf_timer *timer, hf_time now))
{
    struct hf_worker *worker = o->worker;
    seat->worker = worker;
    seat->runtime = hf_runtime_ref(o->runtime);
    seat->route = o->identity->route;
    seat->serial = atomic_fetch_add_explicit(&worker->gateway->next_id, 1, memory_order_relaxed);
    hf_list_init(&seat->node);
    hf_list_append(&worker->seats, &seat->node);
    hf_timer_init(&seat->timer, fire);
    hf_seat_wait(seat, o);
}

static void forget_key(struct hf_seat *seat)
{
    if (seat->keyed) {
        hf_table_remove(&seat->worker->seats_by_key, &seat->by_key);
        seat->keyed = false;
    }
}

void hf_seat_fini(struct hf_seat *seat)
{
    HF_ASSERT(seat->waiting == NULL && seat->attachment.keep == NULL);
    forget_key(seat);
    hf_timer_stop(seat->worker->loop, &seat->timer);
    hf_list_remove(&seat->node);
    hf_runtime_unref(seat->runtime);
    if (seat->refusal != NULL) {
        hf_buffer_reset(&seat->refusal->room);
        free(seat->refusal);
    }
}

void hf_seat_close_text(uint16_t code, struct hf_slice reason, struct hf_buffer *text)
{
    struct hf_control close;
    hf_control_init(&close, HF_VERB_CLOSE);
    close.code = code;
    if (reason.len > 0) {
        close.reason = reason;
    }
    hf_buffer_init(text, &hf_heap, HF_CONTROL_MAX);
    hf_control_write(&close, text);
}

bool hf_seat_refused(struct hf_seat *seat, struct hf_slice text)
{
    if (seat->refusal != NULL || !hf_slice_starts(text, HF_LITERAL("end "))) {
        return false;
    }
    struct hf_seat_refusal *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return true; /* refused without a reason */
    }
    hf_buffer_init(&r->room, &hf_heap, HF_CONTROL_MAX);
    if (hf_control_read(text, &r->room, &r->end) != NULL) {
        hf_control_init(&r->end, HF_VERB_END);
        r->end.reason = HF_LITERAL("unavailable");
    }
    seat->refusal = r;
    return true;
}

void hf_seat_refuse(struct hf_seat *seat, const char *reason)
{
    struct hf_opening *o = hf_seat_take(seat);
    struct hf_control end;
    hf_control_init(&end, HF_VERB_END);
    end.reason = hf_slice_of(reason);
    hf_fallback_refuse(o, seat->refusal != NULL ? &seat->refusal->end : &end);
}

struct hf_seat *hf_seat_find(struct hf_worker *worker, struct hf_slice key)
{
    struct hf_table *table = &worker->seats_by_key;
    uint64_t hash = hf_table_hash(table, key);
    for (struct hf_table_node *n = hf_table_find(table, hash, NULL); n != NULL;
         n = hf_table_find(table, hash, n)) {
        struct hf_seat *seat = HF_CONTAINER(n, struct hf_seat, by_key);
        if (hf_equal_secret(key, hf_slice(seat->key, sizeof(seat->key)))) {
            return seat;
        }
    }
    return NULL;
}

enum hf_status hf_seat_name(struct hf_seat *seat, struct hf_slice key)
{
    struct hf_table *table = &seat->worker->seats_by_key;
    if (key.len != sizeof(seat->key)) {
        return HF_INVALID;
    }
    struct hf_seat *older = hf_seat_find(seat->worker, key);
    forget_key(seat);
    if (older != NULL && older != seat) {
        forget_key(older);
        older->seat_ops->displaced(older);
    }
    memcpy(seat->key, key.ptr, sizeof(seat->key));
    enum hf_status status = hf_table_insert(table, &seat->by_key, hf_table_hash(table, key));
    seat->keyed = status == HF_OK;
    return status;
}

void hf_seat_wait(struct hf_seat *seat, struct hf_opening *o)
{
    HF_ASSERT(seat->waiting == NULL && o->seat == NULL);
    seat->waiting = o;
    o->seat = seat;
    o->phase = HF_OPENING_POLL;
    hf_timer_stop(o->worker->loop, &o->timer);
}

struct hf_opening *hf_seat_take(struct hf_seat *seat)
{
    struct hf_opening *o = seat->waiting;
    if (o != NULL) {
        seat->waiting = NULL;
        o->seat = NULL;
    }
    return o;
}
