/* SPDX-License-Identifier: Apache-2.0 */
/* What sessions may hold. Each worker leases blocks of the gateway's session memory, one count that
 * all share; when nothing is left, waiting sessions end, the one with the most bytes of the
 * principal (or address) that holds most first. The caps on the waiting sessions of one principal
 * and one address stand in the entries of the limits, which all workers share. */
#include "gateway/keeper.h"

#define LEASE 262144 /* bytes */

/* ---- caps on those who wait --------------------------------------------------------------------
 */

struct cap {
    enum hf_limit_kind kind;
    uint32_t count;
    uint64_t bytes;
    struct hf_slice key;
};

static void caps_of(const struct hf_keep *k, struct cap caps[2])
{
    static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff};
    const struct hf_session_config *c = &k->backend.route->config->session;
    const char *subject = hf_identity_subject(k->identity);
    caps[0] = (struct cap){HF_LIMIT_PRINCIPAL, c->parked_per_principal,
                           c->parked_bytes_per_principal, hf_slice_of(subject)};
    if (subject[0] == '\0') {
        caps[0].count = 0; /* nobody in particular */
        caps[0].bytes = 0;
    }
    caps[1] = (struct cap){
        HF_LIMIT_ADDRESS, c->parked_per_address, c->parked_bytes_per_address,
        hf_slice(k->identity->peer, memcmp(k->identity->peer, v4, sizeof(v4)) == 0 ? 16 : 8)};
}

/* The entry that counts it among the parked; NULL: none. */
static struct hf_limit_entry *counted_with(const struct hf_keep *k, size_t which)
{
    return k->parking == NULL ? NULL : k->parking->with[which];
}

static void take_bytes(struct hf_keep *k, uint64_t before, uint64_t now)
{
    for (size_t i = 0; i < 2; i++) {
        if (counted_with(k, i) != NULL) {
            atomic_fetch_add_explicit(&counted_with(k, i)->parked_bytes, now - before,
                                      memory_order_relaxed);
        }
    }
}

static uint64_t bytes_of(const struct hf_limit_entry *e)
{
    return atomic_load_explicit(&e->parked_bytes, memory_order_relaxed);
}

/* Of the parked ones of this worker that the entry counts: the one that has waited longest, or the
 * one that holds most. NULL: none. */
static struct hf_keep *victim_of(struct hf_keeper *keeper, const struct hf_limit_entry *e,
                                 size_t which, bool by_bytes)
{
    struct hf_keep *found = NULL;
    for (struct hf_list *n = keeper->parked.next; n != &keeper->parked; n = n->next) {
        struct hf_keep *k = HF_CONTAINER(n, struct hf_keep, node);
        if (counted_with(k, which) == e &&
            (found == NULL || (by_bytes && k->charged > found->charged))) {
            found = k;
        }
    }
    return found;
}

/* What one of this principal or address holds too much goes; the one that has come last may be it.
 */
static void hold_bytes_cap(struct hf_keep *k, const struct cap *cap, size_t which)
{
    struct hf_keeper *keeper = hf_keep_keeper(k);
    struct hf_limit_entry *e = counted_with(k, which);
    struct hf_keep *victim;
    while (cap->bytes > 0 && k->session.state != HF_SESSION_ENDED && bytes_of(e) > cap->bytes &&
           (victim = victim_of(keeper, e, which, true)) != NULL) {
        hf_keep_give_up(victim, HF_CAUSE_SESSION_OVERFLOW);
    }
}

static void hold_caps(struct hf_keep *k)
{
    struct cap caps[2];
    caps_of(k, caps);
    for (size_t i = 0; i < 2 && k->session.state != HF_SESSION_ENDED; i++) {
        if (counted_with(k, i) != NULL) {
            hold_bytes_cap(k, &caps[i], i);
        }
    }
}

void hf_keep_enter_parked(struct hf_keep *k)
{
    struct hf_keeper *keeper = hf_keep_keeper(k);
    struct cap caps[2];
    caps_of(k, caps);
    for (size_t i = 0; i < 2; i++) {
        if (k->parking == NULL || k->parking->with[i] != NULL ||
            (caps[i].count == 0 && caps[i].bytes == 0)) {
            continue;
        }
        struct hf_limit_entry *e =
            hf_limits_get(k->backend.worker->gateway->limits, caps[i].kind,
                          hf_slice_of(k->backend.route->config->path), caps[i].key);
        k->parking->with[i] = e;
        if (e == NULL) {
            continue; /* no memory: not counted, and bounded by the session memory alone */
        }
        atomic_fetch_add_explicit(&e->parked_bytes, k->charged, memory_order_relaxed);
        uint32_t count = atomic_fetch_add_explicit(&e->parked, 1, memory_order_relaxed) + 1;
        struct hf_keep *victim =
            caps[i].count > 0 && count > caps[i].count ? victim_of(keeper, e, i, false) : NULL;
        if (victim != NULL) {
            hf_keep_give_up(victim, HF_CAUSE_SESSION_LIMIT);
        }
        if (victim == k) {
            return;
        }
    }
    hold_caps(k);
}

void hf_keep_leave_parked(struct hf_keep *k)
{
    for (size_t i = 0; i < 2; i++) {
        struct hf_limit_entry *e = k->parking->with[i];
        k->parking->with[i] = NULL;
        if (e != NULL) {
            atomic_fetch_sub_explicit(&e->parked, 1, memory_order_relaxed);
            atomic_fetch_sub_explicit(&e->parked_bytes, k->charged, memory_order_relaxed);
            hf_limits_put(k->backend.worker->gateway->limits, e, hf_keep_now(k));
        }
    }
}

/* ---- the memory of all -------------------------------------------------------------------------
 */

static bool lease(struct hf_keeper *keeper)
{
    struct hf_gateway *g = keeper->worker->gateway;
    uint64_t max = keeper->worker->runtime->config->session_memory;
    uint64_t before = atomic_fetch_add_explicit(&g->session_bytes, LEASE, memory_order_relaxed);
    if (before + LEASE > max) {
        atomic_fetch_sub_explicit(&g->session_bytes, LEASE, memory_order_relaxed);
        return false;
    }
    keeper->leased += LEASE;
    return true;
}

static uint64_t all_of(const struct hf_keeper *keeper)
{
    return keeper->worker->sessions.held + keeper->worker->sessions.passing;
}

static void give_back(struct hf_keeper *keeper)
{
    while (keeper->leased >= all_of(keeper) + 2 * LEASE) {
        keeper->leased -= LEASE;
        atomic_fetch_sub_explicit(&keeper->worker->gateway->session_bytes, LEASE,
                                  memory_order_relaxed);
    }
}

static uint64_t weight(const struct hf_keep *k)
{
    uint64_t most = 0;
    for (size_t i = 0; i < 2; i++) {
        uint64_t bytes = counted_with(k, i) == NULL ? 0 : bytes_of(counted_with(k, i));
        most = bytes > most ? bytes : most;
    }
    return most > k->charged ? most : k->charged;
}

/* The parked one with the most bytes of the heaviest. NULL: none holds anything. */
static struct hf_keep *heaviest(struct hf_keeper *keeper)
{
    struct hf_keep *found = NULL;
    for (struct hf_list *n = keeper->parked.next; n != &keeper->parked; n = n->next) {
        struct hf_keep *k = HF_CONTAINER(n, struct hf_keep, node);
        if (k->charged > 0 && (found == NULL || weight(k) > weight(found) ||
                               (weight(k) == weight(found) && k->charged > found->charged))) {
            found = k;
        }
    }
    return found;
}

/* The attached ones go on when nobody waits any more: their credit bounds them. passing: whether
 * what is on its way counts too. */
static void make_room(struct hf_keeper *keeper, bool passing)
{
    struct hf_session_gauges *sessions = &keeper->worker->sessions;
    while ((passing ? all_of(keeper) : sessions->held) > keeper->leased) {
        struct hf_keep *victim;
        if (lease(keeper)) {
            continue;
        }
        victim = heaviest(keeper);
        if (victim == NULL) {
            return;
        }
        hf_keep_give_up(victim, HF_CAUSE_SESSION_OVERFLOW);
    }
}

/* Leases for what is on its way too; where that fails, room is made when no session is in the
 * middle of something: a message that becomes a record counts twice for a moment. */
static void lease_all(struct hf_keeper *keeper)
{
    struct hf_loop *loop = keeper->worker->loop;
    while (all_of(keeper) > keeper->leased && lease(keeper)) {
    }
    if (all_of(keeper) > keeper->leased && !hf_timer_is_set(&keeper->crowded)) {
        hf_timer_set(loop, &keeper->crowded, loop->now);
    }
}

void hf_keeper_make_room(struct hf_timer *timer, hf_time now)
{
    make_room(HF_CONTAINER(timer, struct hf_keeper, crowded), true);
}

bool hf_keeper_hold(struct hf_keeper *keeper, uint64_t bytes)
{
    keeper->worker->sessions.passing += bytes;
    lease_all(keeper);
    uint64_t all = all_of(keeper);
    return all <= keeper->leased ||
           all - keeper->leased <= keeper->worker->runtime->config->session_memory / 4;
}

void hf_keeper_unhold(struct hf_keeper *keeper, uint64_t bytes)
{
    keeper->worker->sessions.passing -= bytes;
    give_back(keeper);
}

static void set(_Atomic uint64_t *gauge, uint64_t before, uint64_t now)
{
    uint64_t value = atomic_load_explicit(gauge, memory_order_relaxed);
    atomic_store_explicit(gauge, value + (now - before), memory_order_relaxed);
}

void hf_keep_charge(struct hf_keep *k)
{
    struct hf_keeper *keeper = hf_keep_keeper(k);
    const struct hf_session *s = &k->session;
    bool ended = s->state == HF_SESSION_ENDED;
    uint64_t bytes = hf_session_bytes(s);
    uint64_t risk = ended ? 0 : s->journal.end - s->journal.base + s->counted - s->taken;
    risk = risk < HF_KEEP_RISK_MAX ? risk : HF_KEEP_RISK_MAX;
    if (risk != k->risk) {
        set(&keeper->worker->sessions.at_risk, k->risk, risk);
        k->risk = (uint32_t)risk & HF_KEEP_RISK_MAX;
    }
    if (bytes == k->charged) {
        return;
    }
    uint64_t before = k->charged;
    set(&keeper->worker->sessions.held, before, bytes);
    take_bytes(k, before, bytes);
    k->charged = (uint32_t)bytes;
    if (bytes > before) {
        make_room(keeper, false);
        lease_all(keeper);
        hold_caps(k);
    } else {
        give_back(keeper);
    }
}
