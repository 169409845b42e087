/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's side of one hf1 session: see session.h. Save and load stand in session_save.c. */
#include "session/session.h"

#include "base/hash.h"

const char *hf_session_state_text(enum hf_session_state state)
{
    static const char *const texts[] = {"opening", "attached", "parked", "closing", "ended"};
    HF_ASSERT(state < HF_SESSION_STATES);
    return texts[state];
}

const char *hf_resume_verdict_text(enum hf_resume_verdict verdict)
{
    static const char *const texts[] = {"ok",   "expired", "overflow",     "unknown", "epoch",
                                        "auth", "stale",   "backend_gone", "poison",  "closed"};
    HF_ASSERT(verdict < HF_RESUME_VERDICTS);
    return texts[verdict];
}

bool hf_session_may_become(enum hf_session_state from, enum hf_session_state to)
{
    static const uint8_t table[HF_SESSION_STATES] = {
        [HF_SESSION_OPENING] =
            1U << HF_SESSION_ATTACHED | 1U << HF_SESSION_PARKED | 1U << HF_SESSION_ENDED,
        [HF_SESSION_ATTACHED] =
            1U << HF_SESSION_PARKED | 1U << HF_SESSION_CLOSING | 1U << HF_SESSION_ENDED,
        [HF_SESSION_PARKED] =
            1U << HF_SESSION_ATTACHED | 1U << HF_SESSION_CLOSING | 1U << HF_SESSION_ENDED,
        [HF_SESSION_CLOSING] = 1U << HF_SESSION_ENDED,
    };
    HF_ASSERT(from < HF_SESSION_STATES && to < HF_SESSION_STATES);
    return (table[from] & (1U << to)) != 0;
}

static void become(struct hf_session *s, enum hf_session_state state)
{
    HF_ASSERT(hf_session_may_become((enum hf_session_state)s->state, state));
    s->state = (uint8_t)state;
}

void hf_token_hash(const uint8_t *secret, size_t len, uint8_t hash[HF_TOKEN_HASH])
{
    uint8_t digest[HF_SHA256_BYTES];
    hf_sha256(hf_slice(secret, len), digest);
    memcpy(hash, digest, HF_TOKEN_HASH);
}

void hf_session_init(struct hf_session *s, uint64_t id, uint32_t epoch)
{
    memset(s, 0, sizeof(*s));
    s->id = id;
    s->epoch = epoch;
    hf_journal_init(&s->journal, 0);
    hf_journal_seek(&s->journal, &s->sent, 0);
    s->untold_since = HF_NEVER;
    s->mark = HF_NEVER;
    s->stalled = HF_NEVER;
    s->state = HF_SESSION_OPENING;
}

static void free_queue(struct hf_session *s, const struct hf_allocator *alloc)
{
    if (s->queue != NULL) {
        hf_journal_fini(s->queue, alloc);
        hf_release(alloc, s->queue);
        s->queue = NULL;
    }
}

void hf_session_fini(struct hf_session *s, const struct hf_allocator *alloc)
{
    hf_journal_drop(&s->journal, alloc, s->journal.end);
    free_queue(s, alloc);
    hf_release(alloc, s->close);
    s->close = NULL;
}

/* ---- tokens ------------------------------------------------------------------------------------
 */

static bool same_hash(const uint8_t a[HF_TOKEN_HASH], const uint8_t b[HF_TOKEN_HASH])
{
    return hf_equal_secret(hf_slice(a, HF_TOKEN_HASH), hf_slice(b, HF_TOKEN_HASH));
}

enum known { KNOWN_NOT, KNOWN_ACCEPTED, KNOWN_OFFERED };

static enum known find_token(const struct hf_session *s, const struct hf_token *token)
{
    uint8_t hash[HF_TOKEN_HASH];
    hf_token_hash(token->secret, sizeof(token->secret), hash);
    if (token->id != s->id || token->generation == 0) {
        return KNOWN_NOT;
    }
    if (token->generation == s->offered_generation && same_hash(hash, s->offered)) {
        return KNOWN_OFFERED;
    }
    if (token->generation == s->accepted_generation && same_hash(hash, s->accepted)) {
        return KNOWN_ACCEPTED;
    }
    return KNOWN_NOT;
}

bool hf_session_knows(const struct hf_session *s, const struct hf_token *token)
{
    return find_token(s, token) != KNOWN_NOT;
}

/* The oldest generation that is still good. */
static uint32_t oldest(const struct hf_session *s)
{
    return s->accepted_generation != 0 ? s->accepted_generation : s->offered_generation;
}

/* The connection before was lost while the message behind `received` was under way. */
static bool lost_it(const struct hf_session *s, uint64_t received)
{
    return s->sent.number > received;
}

enum hf_resume_verdict hf_session_check(const struct hf_session *s, const struct hf_token *token,
                                        uint64_t epoch, uint64_t received, uint64_t attempt,
                                        bool gaps)
{
    if (s->state == HF_SESSION_ENDED) {
        return HF_RESUME_UNKNOWN;
    }
    if (find_token(s, token) == KNOWN_NOT) {
        /* The secrets of older generations are forgotten: one of those cannot be told from a forged
         * one, and is harmless either way. */
        return token->id == s->id && token->generation > 0 && token->generation < oldest(s)
                   ? HF_RESUME_STALE
                   : HF_RESUME_UNKNOWN;
    }
    if (epoch != s->epoch) {
        return HF_RESUME_EPOCH;
    }
    if (attempt <= s->attempt) {
        return HF_RESUME_STALE;
    }
    if (received > s->journal.end || (received < s->journal.base && !gaps)) {
        return HF_RESUME_UNKNOWN; /* numbers that this session never gave */
    }
    if (s->heard && lost_it(s, received) && s->suspect == received + 1 &&
        s->strikes + 1 >= HF_POISON_STRIKES) {
        return HF_RESUME_POISON;
    }
    return HF_RESUME_OK;
}

static void judge_loss(struct hf_session *s, uint64_t received)
{
    if (!s->heard) {
        return; /* the path was bad, not the message: nobody there answered the hello */
    }
    if (!lost_it(s, received)) {
        s->suspect = 0;
        s->strikes = 0;
    } else if (s->suspect == received + 1) {
        s->strikes++;
    } else {
        s->suspect = received + 1;
        s->strikes = 1;
    }
}

static void promote(struct hf_session *s)
{
    memcpy(s->accepted, s->offered, sizeof(s->accepted));
    s->accepted_generation = s->offered_generation;
}

uint64_t hf_session_attach(struct hf_session *s, const struct hf_allocator *alloc,
                           const struct hf_token *token, uint64_t received, uint64_t attempt,
                           hf_time now)
{
    uint64_t missing = received < s->journal.base ? s->journal.base - received : 0;
    HF_ASSERT(s->state != HF_SESSION_ENDED && received <= s->journal.end);
    if (token != NULL) {
        HF_ASSERT(attempt > s->attempt);
        s->attempt = attempt;
        judge_loss(s, received);
        if (find_token(s, token) == KNOWN_OFFERED) {
            promote(s);
        }
    } else if (s->offered_generation != 0) {
        promote(s); /* the one that joins may be the older: who has the first hello comes back */
    }
    uint64_t from = missing > 0 ? s->journal.base : received;
    hf_journal_drop(&s->journal, alloc, from);
    hf_journal_seek(&s->journal, &s->sent, from);
    s->cost_out = 0;
    s->acking = false;
    s->mark = now;
    s->stalled = HF_NEVER;
    s->connected = true;
    s->heard = false;
    if (s->state == HF_SESSION_PARKED) {
        become(s, HF_SESSION_ATTACHED);
    }
    return missing;
}

uint32_t hf_session_offer(struct hf_session *s, const uint8_t secret[HF_TOKEN_SECRET])
{
    HF_ASSERT(s->offered_generation < UINT32_MAX);
    hf_token_hash(secret, HF_TOKEN_SECRET, s->offered);
    return ++s->offered_generation;
}

void hf_session_heard(struct hf_session *s)
{
    if (!s->heard) {
        s->heard = true;
        s->met = true;
        promote(s);
    }
}

void hf_session_detach(struct hf_session *s, hf_time wait, hf_time now)
{
    HF_ASSERT(s->connected);
    s->connected = false;
    s->mark = now + wait;
    s->stalled = HF_NEVER;
    if (s->state == HF_SESSION_ATTACHED) {
        become(s, HF_SESSION_PARKED);
    }
}

void hf_session_opened(struct hf_session *s)
{
    become(s, s->connected ? HF_SESSION_ATTACHED : HF_SESSION_PARKED);
}

enum hf_status hf_session_closed(struct hf_session *s, const struct hf_allocator *alloc,
                                 uint16_t code, struct hf_slice reason)
{
    struct hf_session_close *close = hf_alloc_zero(alloc, sizeof(*close));
    if (close == NULL) {
        return HF_NO_MEMORY;
    }
    HF_ASSERT(reason.len <= sizeof(close->reason));
    close->code = code;
    close->reason_len = (uint8_t)reason.len;
    if (reason.len > 0) {
        memcpy(close->reason, reason.ptr, reason.len);
    }
    s->close = close;
    become(s, HF_SESSION_CLOSING);
    return HF_OK;
}

void hf_session_end(struct hf_session *s)
{
    become(s, HF_SESSION_ENDED);
}

/* ---- from backend to client --------------------------------------------------------------------
 */

enum hf_status hf_session_add(struct hf_session *s, const struct hf_allocator *alloc,
                              uint8_t opcode, struct hf_slice payload)
{
    return hf_journal_add(&s->journal, alloc, opcode, &payload, 1);
}

bool hf_session_next(const struct hf_session *s, const struct hf_session_rules *rules,
                     struct hf_record *record)
{
    struct hf_journal_cursor at = s->sent;
    return s->connected && hf_journal_next(&s->journal, &at, record) &&
           (s->cost_out == 0 || s->cost_out + hf_record_cost(record->payload.len) <= rules->buffer);
}

void hf_session_sent(struct hf_session *s)
{
    struct hf_record record;
    bool there = hf_journal_next(&s->journal, &s->sent, &record);
    HF_ASSERT(there && s->connected);
    s->cost_out += hf_record_cost(record.payload.len);
}

const char *hf_session_acked(struct hf_session *s, const struct hf_allocator *alloc, uint64_t n)
{
    if (n > s->sent.number) {
        return "an ack beyond what was sent";
    }
    if (n < s->journal.base) { /* a resume said more than this ack, or another ack did */
        return s->acking ? "an ack that goes back" : NULL;
    }
    s->acking = true;
    if (n > s->journal.base) {
        uint64_t before = s->journal.cost;
        hf_journal_drop(&s->journal, alloc, n);
        HF_ASSERT(s->cost_out >= before - s->journal.cost);
        s->cost_out -= before - s->journal.cost;
        s->stalled = HF_NEVER;
    }
    return NULL;
}

bool hf_session_has_room(struct hf_session *s, const struct hf_session_rules *rules, hf_time now)
{
    if (s->journal.cost < (s->connected ? rules->buffer : rules->park_bytes)) {
        s->stalled = HF_NEVER;
        return true;
    }
    if (s->stalled == HF_NEVER) {
        s->stalled = now;
    }
    return false;
}

/* ---- from client to backend --------------------------------------------------------------------
 */

bool hf_session_may_receive(const struct hf_session *s, const struct hf_session_rules *rules,
                            uint64_t payload)
{
    uint64_t out = s->cost_in - s->cost_told;
    return out == 0 || out + hf_record_cost(payload) <= rules->buffer;
}

static void counted(struct hf_session *s, uint64_t payload, hf_time now)
{
    s->cost_in += hf_record_cost(payload);
    if (s->untold_since == HF_NEVER) {
        s->untold_since = now;
    }
}

void hf_session_passed(struct hf_session *s, uint64_t payload, hf_time now)
{
    HF_ASSERT(s->written == s->counted);
    s->counted++;
    s->written++;
    counted(s, payload, now);
}

enum hf_status hf_session_queue(struct hf_session *s, const struct hf_allocator *alloc,
                                uint8_t opcode, struct hf_slice payload, hf_time now)
{
    if (s->queue == NULL) {
        s->queue = hf_alloc(alloc, sizeof(*s->queue));
        if (s->queue == NULL) {
            return HF_NO_MEMORY;
        }
        hf_journal_init(s->queue, s->written);
    }
    enum hf_status status = hf_journal_add(s->queue, alloc, opcode, &payload, 1);
    if (status == HF_OK) {
        s->counted++;
        counted(s, payload.len, now);
    } else if (s->written == s->counted) {
        free_queue(s, alloc);
    }
    return status;
}

bool hf_session_waiting(const struct hf_session *s, struct hf_record *record)
{
    struct hf_journal_cursor at;
    if (s->queue == NULL) {
        return false;
    }
    hf_journal_seek(s->queue, &at, s->written);
    return hf_journal_next(s->queue, &at, record);
}

void hf_session_written(struct hf_session *s, const struct hf_allocator *alloc)
{
    hf_journal_drop(s->queue, alloc, ++s->written);
    if (s->written == s->counted) {
        free_queue(s, alloc);
    }
}

bool hf_session_owes_ack(const struct hf_session *s, const struct hf_session_rules *rules,
                         hf_time now)
{
    if (!s->connected || s->state == HF_SESSION_OPENING) {
        return false;
    }
    if (now - s->mark >= rules->beat) {
        return true;
    }
    return s->taken > s->told &&
           (s->cost_in - hf_session_queue_cost(s) - s->cost_told >= hf_session_ack_cost(rules) ||
            (s->untold_since != HF_NEVER && now - s->untold_since >= HF_ACK_DELAY));
}

void hf_session_told(struct hf_session *s, hf_time now)
{
    s->told = s->taken;
    s->mark = now;
    s->cost_told = s->cost_in - hf_session_queue_cost(s);
    s->untold_since = s->told == s->counted ? HF_NEVER : now;
}

/* ---- time --------------------------------------------------------------------------------------
 */

static hf_time earlier(hf_time a, hf_time b)
{
    return a < b ? a : b;
}

hf_time hf_session_deadline(const struct hf_session *s, const struct hf_session_rules *rules)
{
    hf_time when = HF_NEVER;
    if (s->state == HF_SESSION_ENDED || s->state == HF_SESSION_OPENING) {
        return when;
    }
    if (!s->connected) {
        return s->mark;
    }
    when = s->mark + rules->beat;
    if (s->taken > s->told && s->untold_since != HF_NEVER) {
        when = earlier(when, s->untold_since + HF_ACK_DELAY);
    }
    if (s->stalled != HF_NEVER) {
        when = earlier(when, s->stalled + rules->window);
    }
    return when;
}

enum hf_resume_verdict hf_session_verdict(const struct hf_session *s,
                                          const struct hf_session_rules *rules, hf_time now)
{
    if (s->state == HF_SESSION_ENDED || s->state == HF_SESSION_OPENING) {
        return HF_RESUME_OK;
    }
    if (!s->connected && now >= s->mark) {
        return HF_RESUME_EXPIRED;
    }
    if (s->connected && s->stalled != HF_NEVER && now - s->stalled >= rules->window) {
        return HF_RESUME_OVERFLOW;
    }
    return HF_RESUME_OK;
}

void hf_session_hello(const struct hf_session *s, const struct hf_session_rules *rules,
                      struct hf_control *hello)
{
    hello->epoch = s->epoch;
    hello->window = (uint64_t)(rules->window / 1000);
    hello->buffer = rules->buffer;
    hello->message_max = rules->message_max;
    hello->beat = (uint64_t)(rules->beat / 1000);
    hello->ack = hf_session_ack_cost(rules);
    hello->received = s->counted;
    hello->sent = s->journal.end;
}
