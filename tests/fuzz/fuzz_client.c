/* SPDX-License-Identifier: Apache-2.0 */
/* The library's side of a session against a gateway that says anything. The input is a list of
 * lines: a letter for what happens, and what comes with it.
 *
 *   c, p     a connection stands, with hf1 or without       k, t, b  a control, text, binary
 * message d CODE   it is gone, with a Close of this code, or 0    s TEXT   the application sends w
 * BYTE   time passes: so many fifths of a second        x CODE   the application closes a TEXT the
 * application has fresh credentials
 *
 * After each: the counts agree with the records that are held, what went out is inside the credit
 * and numbered without a hole, a message that was taken from the application is acknowledged,
 * handed back or held, and when it is over nothing is held. */
#include "fuzz.h"
#include "session/client.h"

struct run {
    struct hf_client c;
    hf_time now;
    uint64_t taken;       /* from the application */
    uint64_t handed_back; /* LOST */
    uint64_t acked;       /* of sessions that are gone, and sent without a gateway */
    uint64_t next; /* the number of the next message on this connection; 0: the first gives it */
    bool done;
};

static void check(const struct run *r)
{
    const struct hf_client *c = &r->c;
    struct hf_journal_cursor at;
    struct hf_record record;
    uint64_t cost = 0;
    HF_ASSERT(c->at.number >= c->journal.base || c->plain);
    HF_ASSERT(c->at.number <= c->journal.end && c->sent <= c->journal.end);
    if (c->link == HF_CLIENT_ATTACHED) {
        hf_journal_seek(&c->journal, &at, c->journal.base);
        while (at.number < c->at.number && hf_journal_next(&c->journal, &at, &record)) {
            cost += hf_record_cost(record.payload.len);
        }
        HF_ASSERT(cost == c->out_cost);
        HF_ASSERT(c->known && c->acked <= c->received);
    }
    const uint64_t held = c->journal.end - c->journal.base;
    HF_ASSERT(r->taken == r->handed_back + r->acked + c->journal.base + held);
    HF_ASSERT(!r->done || held == 0);
}

static void take_lost(struct run *r, const struct hf_client_event *event)
{
    struct hf_record record;
    uint64_t count = 0;
    while (hf_client_lost_next(&r->c, &record)) {
        count++;
    }
    r->handed_back += count;
    (void)event;
}

static void drain(struct run *r)
{
    struct hf_client_event event;
    while (hf_client_next(&r->c, &event) != HF_CLIENT_EVENT_NONE) {
        if (event.kind == HF_CLIENT_EVENT_LOST) {
            take_lost(r, &event);
        } else if (event.kind == HF_CLIENT_EVENT_MESSAGE) {
            HF_ASSERT(event.number == r->c.received);
        } else if (event.kind == HF_CLIENT_EVENT_ABANDON) {
            hf_client_disconnected(&r->c, 0, r->now);
        } else if (event.kind == HF_CLIENT_EVENT_DONE) {
            r->done = true;
        }
    }
}

/* The base goes back to 0 when a session is forgotten; what it had counted is kept here. */
static void keep_count(struct run *r, uint64_t base_before)
{
    if (r->c.journal.base < base_before) {
        r->acked += base_before;
    }
}

static void take_all(struct run *r)
{
    struct hf_client_out out;
    enum hf_client_take take;
    while ((take = hf_client_take(&r->c, &out, r->now)) != HF_CLIENT_TAKE_NONE) {
        if (take == HF_CLIENT_TAKE_MESSAGE) {
            HF_ASSERT(r->next == 0 || out.number == r->next);
            HF_ASSERT(r->c.plain || r->c.out_cost <= r->c.buffer ||
                      r->c.at.number - r->c.journal.base >= 1);
            r->next = out.number + 1;
        } else if (take == HF_CLIENT_TAKE_CONTROL) {
            HF_ASSERT(out.payload.len > 1 && out.payload.ptr[0] == HF_CONTROL_MARK);
        }
    }
}

static void connect(struct run *r, bool hf1)
{
    static const uint8_t fresh[HF_CLIENT_SECRET];
    struct hf_buffer offer;
    if (r->c.link != HF_CLIENT_APART || r->done) {
        return;
    }
    hf_buffer_init(&offer, &hf_heap, SIZE_MAX);
    hf_client_offer(&r->c, fresh, &offer);
    hf_buffer_reset(&offer);
    r->next = 0;
    hf_client_connected(&r->c, hf1, HF_LITERAL("chat"), r->now);
}

static void feed(struct run *r, uint8_t opcode, bool control, struct hf_slice payload)
{
    uint8_t *bytes = malloc(payload.len + 1);
    HF_ASSERT(bytes != NULL);
    bytes[0] = HF_CONTROL_MARK;
    if (payload.len > 0) {
        memcpy(bytes + 1, payload.ptr, payload.len);
    }
    struct hf_slice wire =
        exact(control ? hf_slice(bytes, payload.len + 1) : hf_slice(bytes + 1, payload.len));
    if (r->c.link != HF_CLIENT_APART) {
        HF_ASSERT(hf_client_feed(&r->c, opcode, wire, r->now) == HF_OK);
        drain(r); /* a message lies in what came */
    }
    exact_free(wire);
    free(bytes);
}

static uint16_t code_of(struct hf_slice text)
{
    uint64_t code = 0;
    return hf_slice_number(text, 4999, &code) ? (uint16_t)code : 0;
}

static void step(struct run *r, uint8_t what, struct hf_slice with)
{
    enum hf_client_send result;
    switch (what) {
    case 'c':
    case 'p':
        connect(r, what == 'c');
        break;
    case 'k':
        feed(r, 1, true, with);
        break;
    case 't':
        feed(r, 1, false, with);
        break;
    case 'b':
        feed(r, 2, false, with);
        break;
    case 'd':
        if (!r->done) {
            hf_client_disconnected(&r->c, code_of(with), r->now);
        }
        break;
    case 's':
        result = hf_client_send(&r->c, 1, with);
        r->taken += result == HF_CLIENT_SENT || result == HF_CLIENT_QUEUED;
        break;
    case 'w':
        r->now += HF_MS(200) * take_byte(&with);
        if (!r->done) {
            hf_client_tick(&r->c, r->now);
        }
        break;
    case 'x':
        if (hf_client_close(&r->c, code_of(with), hf_slice_first(with, 100), r->now)) {
            hf_client_disconnected(&r->c, 0, r->now);
        }
        break;
    case 'a':
        (void)hf_client_auth(&r->c, with);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hf_client_rules rules = {.queue_messages = 50, .queue_cost = 5000};
    struct run r = {.now = HF_SECONDS(10)};
    struct hf_slice rest = hf_slice(data, size);
    struct hf_slice line;
    hf_client_init(&r.c, &hf_heap, &rules);
    while (hf_slice_next(&rest, '\n', &line)) {
        const uint64_t base = r.c.journal.base;
        const uint8_t what = take_byte(&line);
        step(&r, what, line);
        drain(&r);
        keep_count(&r, base);
        check(&r);
        const uint64_t base_between = r.c.journal.base;
        take_all(&r);
        drain(&r);
        keep_count(&r, base_between);
        check(&r);
        HF_ASSERT(hf_client_deadline(&r.c) > 0);
    }
    hf_client_fini(&r.c);
    return 0;
}
