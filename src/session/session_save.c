/* SPDX-License-Identifier: Apache-2.0 */
/* The whole state of a session as bytes, and back: for a gateway that hands its sessions to the
 * next.
 *
 *   "HFS" version(1) | fields, big-endian, as they stand in save_fields | close | journal | queue
 *
 * A journal is base(8) count(4), then opcode(1) length(4) payload for each record. Times are told
 * as what is left of them. */
#include "session/session.h"

#include "ws/frame.h"

#define VERSION 1

/* ---- writing -----------------------------------------------------------------------------------
 */

static void put(struct hf_buffer *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = bytes; i > 0; i--) {
        hf_buffer_add_byte(out, (uint8_t)(value >> 8 * (i - 1)));
    }
}

static void save_journal(const struct hf_journal *j, struct hf_buffer *out)
{
    struct hf_journal_cursor at;
    struct hf_record record;
    put(out, j->base, 8);
    put(out, j->end - j->base, 4);
    hf_journal_seek(j, &at, j->base);
    while (hf_journal_next(j, &at, &record)) {
        put(out, record.opcode, 1);
        put(out, record.payload.len, 4);
        hf_buffer_add(out, record.payload);
    }
}

void hf_session_save(const struct hf_session *s, hf_time now, struct hf_buffer *out)
{
    HF_ASSERT(s->state != HF_SESSION_OPENING && s->state != HF_SESSION_ENDED);
    hf_time left = s->connected ? -1 : s->mark > now ? s->mark - now : 0;
    hf_buffer_add_text(out, "HFS");
    put(out, VERSION, 1);
    put(out, s->id, 8);
    put(out, s->epoch, 4);
    put(out, s->attempt, 8);
    put(out, s->sent.number, 8);
    put(out, s->taken, 8);
    put(out, s->suspect, 8);
    put(out, s->strikes, 1);
    put(out, s->met, 1);
    put(out, (uint64_t)left, 8);
    put(out, s->accepted_generation, 4);
    put(out, s->offered_generation, 4);
    hf_buffer_add(out, hf_slice(s->accepted, sizeof(s->accepted)));
    hf_buffer_add(out, hf_slice(s->offered, sizeof(s->offered)));
    put(out, s->close != NULL, 1);
    if (s->close != NULL) {
        put(out, s->close->code, 2);
        put(out, s->close->reason_len, 1);
        hf_buffer_add(out, hf_slice(s->close->reason, s->close->reason_len));
    }
    save_journal(&s->journal, out);
    if (s->queue != NULL) {
        save_journal(s->queue, out);
    } else {
        put(out, s->counted, 8);
        put(out, 0, 4);
    }
}

/* ---- reading -----------------------------------------------------------------------------------
 */

struct reader {
    struct hf_slice rest;
    bool bad;
};

static struct hf_slice take(struct reader *r, size_t len)
{
    struct hf_slice piece = hf_slice_first(r->rest, len);
    if (piece.len < len) {
        r->bad = true;
    }
    r->rest = hf_slice_from(r->rest, piece.len);
    return piece;
}

static uint64_t get(struct reader *r, unsigned bytes)
{
    struct hf_slice piece = take(r, bytes);
    uint64_t value = 0;
    for (size_t i = 0; i < piece.len; i++) {
        value = value << 8 | piece.ptr[i];
    }
    return r->bad ? 0 : value;
}

static void get_bytes(struct reader *r, uint8_t *to, size_t len)
{
    struct hf_slice piece = take(r, len);
    if (!r->bad) {
        memcpy(to, piece.ptr, len);
    }
}

static bool good_opcode(uint64_t opcode, bool queue)
{
    return opcode == HF_OP_TEXT || opcode == HF_OP_BINARY || (queue && opcode == 0);
}

static enum hf_status load_journal(struct reader *r, struct hf_journal *j,
                                   const struct hf_allocator *alloc, bool queue)
{
    uint64_t base = get(r, 8);
    uint64_t count = get(r, 4);
    if (base >= HF_COUNT_MAX || count >= HF_COUNT_MAX - base) {
        r->bad = true;
    }
    hf_journal_init(j, r->bad ? 0 : base);
    for (uint64_t i = 0; i < count && !r->bad; i++) {
        uint64_t opcode = get(r, 1);
        struct hf_slice payload = take(r, (size_t)get(r, 4));
        if (!good_opcode(opcode, queue)) {
            r->bad = true;
        }
        if (!r->bad && hf_journal_add(j, alloc, (uint8_t)opcode, &payload, 1) != HF_OK) {
            return HF_NO_MEMORY;
        }
    }
    return HF_OK;
}

static enum hf_status load_queue(struct reader *r, struct hf_session *s,
                                 const struct hf_allocator *alloc)
{
    struct hf_journal queue;
    enum hf_status status = load_journal(r, &queue, alloc, true);
    s->written = queue.base;
    s->counted = queue.end;
    if (status == HF_OK && queue.end > queue.base) {
        s->queue = hf_alloc(alloc, sizeof(*s->queue));
        status = s->queue == NULL ? HF_NO_MEMORY : HF_OK;
    }
    if (s->queue != NULL) {
        *s->queue = queue;
    } else {
        hf_journal_fini(&queue, alloc);
    }
    return status;
}

static enum hf_status load_close(struct reader *r, struct hf_session *s,
                                 const struct hf_allocator *alloc)
{
    uint64_t there = get(r, 1);
    if (there > 1) {
        r->bad = true;
    }
    if (there != 1 || r->bad) {
        return HF_OK;
    }
    s->close = hf_alloc_zero(alloc, sizeof(*s->close));
    if (s->close == NULL) {
        return HF_NO_MEMORY;
    }
    s->close->code = (uint16_t)get(r, 2);
    uint64_t len = get(r, 1);
    if (len > sizeof(s->close->reason) ||
        (s->close->code != HF_CLOSE_NO_CODE && !hf_close_code_is_valid(s->close->code))) {
        r->bad = true;
        return HF_OK;
    }
    s->close->reason_len = (uint8_t)len;
    get_bytes(r, s->close->reason, (size_t)len);
    return HF_OK;
}

static void load_fields(struct reader *r, struct hf_session *s,
                        const struct hf_session_rules *rules, hf_time now, uint64_t *sent)
{
    s->id = get(r, 8);
    s->epoch = (uint32_t)get(r, 4);
    s->attempt = get(r, 8);
    *sent = get(r, 8);
    s->taken = get(r, 8);
    s->suspect = get(r, 8);
    s->strikes = (uint8_t)get(r, 1);
    uint64_t met = get(r, 1);
    int64_t left = (int64_t)get(r, 8);
    s->accepted_generation = (uint32_t)get(r, 4);
    s->offered_generation = (uint32_t)get(r, 4);
    get_bytes(r, s->accepted, sizeof(s->accepted));
    get_bytes(r, s->offered, sizeof(s->offered));
    if (met > 1 || s->strikes >= HF_POISON_STRIKES || left < -1 || left > HF_SECONDS(86400 * 366) ||
        s->accepted_generation > s->offered_generation || s->offered_generation == UINT32_MAX) {
        r->bad = true;
        left = 0;
    }
    s->met = met != 0;
    s->mark = now + (left < 0 ? rules->window : left);
}

/* What the fields say of each other. */
static bool fits(const struct hf_session *s, uint64_t sent)
{
    return sent >= s->journal.base && sent <= s->journal.end && s->taken <= s->written;
}

enum hf_status hf_session_load(struct hf_session *s, const struct hf_allocator *alloc,
                               const struct hf_session_rules *rules, struct hf_slice saved,
                               hf_time now)
{
    struct reader r = {saved, false};
    uint64_t sent = 0;
    hf_session_init(s, 0, 0);
    if (!hf_slice_eq(take(&r, 3), HF_LITERAL("HFS")) || get(&r, 1) != VERSION) {
        return HF_INVALID;
    }
    load_fields(&r, s, rules, now, &sent);
    enum hf_status status = load_close(&r, s, alloc);
    if (status == HF_OK) {
        status = load_journal(&r, &s->journal, alloc, false);
    }
    if (status == HF_OK) {
        status = load_queue(&r, s, alloc);
    }
    if (status == HF_OK && (r.bad || r.rest.len > 0 || !fits(s, sent))) {
        status = HF_INVALID;
    }
    if (status != HF_OK) {
        hf_session_fini(s, alloc);
        return status;
    }
    hf_journal_seek(&s->journal, &s->sent, sent);
    s->cost_in = hf_session_queue_cost(s);
    s->state = s->close != NULL ? HF_SESSION_CLOSING : HF_SESSION_PARKED;
    return HF_OK;
}
