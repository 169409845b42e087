/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway's control messages do to the library's side of a session: docs/protocol.md
 * sections 2 to 7. */
#include "session/client.h"
#include "session/client_inside.h"

/* ms; what a gateway says beyond is taken as the nearer of them */
#define BEAT_MIN 100
#define BEAT_MAX ((uint64_t)24 * 60 * 60 * 1000)
#define PATIENCE_BYTES 2048 /* a second, docs/protocol.md 2: coming */
#define END_WAIT HF_SECONDS(2)

/* Our side of the records 1 to n, n being between the base and the end. */
static uint64_t cost_up_to(const struct hf_client *c, uint64_t n)
{
    struct hf_journal_cursor at;
    struct hf_record record;
    uint64_t cost = 0;
    hf_journal_seek(&c->journal, &at, c->journal.base);
    while (at.number < n && hf_journal_next(&c->journal, &at, &record)) {
        cost += hf_record_cost(record.payload.len);
    }
    return cost;
}

/* NULL when the positions that a hello states can be. */
static const char *check_hello(const struct hf_client *c, const struct hf_control *hello)
{
    if (hello->resumed > 1) {
        return "hello says neither resumed nor not";
    }
    if (hello->resumed == 0 || !c->known) {
        return hello->received == 0 ? NULL : "a new session has messages of ours";
    }
    if (hello->epoch != c->epoch) {
        return "the session that was resumed is of another epoch";
    }
    if (hello->received < c->journal.base || hello->received > c->sent) {
        return "hello counts messages that we did not send, or forgets acknowledged ones";
    }
    return hello->sent < c->received ? "hello forgets messages that came" : NULL;
}

/* Records that were queued before the gateway said how large a message may be, and that it does not
 * take, are handed back. */
static enum hf_status weed(struct hf_client *c)
{
    struct hf_journal fit;
    struct hf_journal_cursor at;
    struct hf_record record;
    bool any = false;
    hf_journal_seek(&c->journal, &at, c->journal.base);
    while (!any && hf_journal_next(&c->journal, &at, &record)) {
        any = record.payload.len > c->message_max;
    }
    if (!any) {
        return HF_OK;
    }
    enum hf_status status = HF_OK;
    hf_journal_fini(&c->lost, c->alloc);
    hf_journal_init(&fit, 0);
    hf_journal_seek(&c->journal, &at, c->journal.base);
    while (status == HF_OK && hf_journal_next(&c->journal, &at, &record)) {
        struct hf_journal *to = record.payload.len > c->message_max ? &c->lost : &fit;
        status = hf_journal_add(to, c->alloc, record.opcode, &record.payload, 1);
    }
    if (status != HF_OK) {
        hf_journal_fini(&fit, c->alloc);
        hf_journal_fini(&c->lost, c->alloc);
        return status;
    }
    hf_journal_fini(&c->journal, c->alloc);
    c->journal = fit;
    struct hf_client_event *event = hf_client_tell(c, HF_CLIENT_EVENT_LOST);
    event->reason = HF_LITERAL("too_big");
    event->old_received = HF_NO_COUNT;
    return HF_OK;
}

/* The positions are stated: both directions start from them. */
static void take_positions(struct hf_client *c, const struct hf_control *hello)
{
    c->out_cost = cost_up_to(c, hello->received);
    hf_journal_seek(&c->journal, &c->at, hello->received);
    c->parted = HF_NEVER;
    c->unacked = 0;
    c->ack_due = HF_NEVER;
    /* docs/protocol.md 3: every hello is answered with an ack at once, but by bye (8). */
    c->ack_now = c->aim == HF_CLIENT_GO || hello->resumed == 1;
}

static enum hf_status take_texts(struct hf_client *c, const struct hf_control *hello)
{
    const bool taken = hf_client_replace(&c->name, hello->session) &&
                       hf_client_replace(&c->protocol, hello->protocol) &&
                       hf_client_replace(&c->token, hello->token);
    return taken ? HF_OK : HF_NO_MEMORY;
}

static uint64_t within(uint64_t n, uint64_t least, uint64_t most)
{
    return n < least ? least : n > most ? most : n;
}

static enum hf_status apply_hello(struct hf_client *c, const struct hf_control *hello, hf_time now)
{
    const char *why = check_hello(c, hello);
    const bool same = c->known && hello->resumed == 1;
    if (why != NULL) {
        hf_client_abandon(c, "protocol", why);
        return HF_OK;
    }
    if (c->known && !same) {
        hf_client_lose(c, hello->reason, hello->old_received);
    }
    c->window = hello->window;
    c->beat = within(hello->beat, BEAT_MIN, BEAT_MAX);
    c->buffer = hello->buffer;
    c->message_max = hello->message_max;
    c->ack = hello->ack;
    if (take_texts(c, hello) != HF_OK || (!same && weed(c) != HF_OK)) {
        return HF_NO_MEMORY;
    }
    c->known = true;
    c->epoch = hello->epoch;
    c->link = HF_CLIENT_ATTACHED;
    c->hello_by = HF_NEVER;
    c->hello_came = true;
    c->silences = 0;
    c->patient = now;
    take_positions(c, hello);
    if (c->aim == HF_CLIENT_GO) {
        (void)hf_client_tell(c, same ? HF_CLIENT_EVENT_RESUMED : HF_CLIENT_EVENT_OPEN);
    }
    return HF_OK;
}

static void apply_ack(struct hf_client *c, uint64_t n)
{
    if (n < c->journal.base || n > c->at.number) {
        hf_client_abandon(c, "protocol",
                          n < c->journal.base ? "an ack went back"
                                              : "an ack of messages that were not sent");
        return;
    }
    const uint64_t cost = c->journal.cost;
    hf_journal_drop(&c->journal, c->alloc, n);
    c->out_cost -= cost - c->journal.cost;
}

static void copy_text(char *to, size_t room, struct hf_slice text)
{
    const size_t len = text.len < room - 1 ? text.len : room - 1;
    memcpy(to, len > 0 ? text.ptr : (const uint8_t *)"", len);
    to[len] = '\0';
}

static void apply_end(struct hf_client *c, const struct hf_control *end, hf_time now)
{
    c->end = (struct hf_client_end){
        .told = true,
        .code = end->code,
        .http = end->http,
        .retry = end->retry == HF_NO_COUNT ? 0 : end->retry,
    };
    copy_text(c->end.who, sizeof(c->end.who), end->who);
    copy_text(c->end.reason, sizeof(c->end.reason), end->reason);
    c->link = HF_CLIENT_SHUT; /* a Close follows */
    c->hello_by = now + END_WAIT;
    c->ack_due = HF_NEVER;
}

static void apply_coming(struct hf_client *c, uint64_t bytes, hf_time now)
{
    const uint64_t seconds = bytes / PATIENCE_BYTES;
    const uint64_t most = 60 * 60;
    c->patient =
        now + 2 * HF_MS((hf_time)c->beat) + HF_SECONDS((hf_time)(seconds < most ? seconds : most));
}

static void tell_rebound(struct hf_client *c, const struct hf_control *control)
{
    if (control->attempt <= c->rebound) {
        return; /* it came on the connection before too */
    }
    c->rebound = control->attempt;
    struct hf_client_event *event = hf_client_tell(c, HF_CLIENT_EVENT_REBOUND);
    event->from = control->from;
    event->to = control->to;
    event->attempt = control->attempt;
}

static void tell_goaway(struct hf_client *c, const struct hf_control *control)
{
    struct hf_client_event *event = hf_client_tell(c, HF_CLIENT_EVENT_GOAWAY);
    event->in_ms = control->in;
    event->url = control->url;
}

static enum hf_status apply(struct hf_client *c, const struct hf_control *control, hf_time now)
{
    switch (control->verb) {
    case HF_VERB_HELLO:
        hf_client_abandon(c, "protocol", "a second hello");
        return HF_OK;
    case HF_VERB_ACK:
        apply_ack(c, control->n);
        return HF_OK;
    case HF_VERB_COMING:
        apply_coming(c, control->bytes, now);
        return HF_OK;
    case HF_VERB_REBOUND:
        tell_rebound(c, control);
        return HF_OK;
    case HF_VERB_GOAWAY:
        tell_goaway(c, control);
        return HF_OK;
    case HF_VERB_AUTH_OK:
        hf_client_tell(c, HF_CLIENT_EVENT_AUTH_OK)->number = control->exp;
        return HF_OK;
    case HF_VERB_END:
        apply_end(c, control, now);
        return HF_OK;
    case HF_VERB_LIVE:
    case HF_VERB_UNKNOWN:
    case HF_VERB_AUTH:
    case HF_VERB_BYE:
    case HF_VERB_CLOSE:
    case HF_VERB_GAP:
    case HF_VERB_COUNT:
        break; /* nothing to do, or nothing that a gateway says: docs/protocol.md 2 ignores it */
    }
    return HF_OK;
}

/* Behind our own Close only what the gateway still acknowledges matters, and why it ends. */
static bool matters(const struct hf_client *c, enum hf_verb verb)
{
    return c->link != HF_CLIENT_SHUT ||
           (c->close_out && !c->end.told && (verb == HF_VERB_ACK || verb == HF_VERB_END));
}

enum hf_status hf_client_control(struct hf_client *c, struct hf_slice text, hf_time now)
{
    struct hf_control control;
    const char *why = hf_control_read(text, &c->room, &control);
    if (c->link == HF_CLIENT_WAITING) {
        if (why == NULL && control.verb == HF_VERB_HELLO) {
            return apply_hello(c, &control, now);
        }
        if (why == NULL && control.verb == HF_VERB_END) {
            apply_end(c, &control, now);
            return HF_OK;
        }
        why = why != NULL ? why : "the first message is no hello";
    }
    if (c->link == HF_CLIENT_SHUT && (why != NULL || !matters(c, control.verb))) {
        return HF_OK;
    }
    if (why != NULL) {
        hf_client_abandon(c, "protocol", why);
        return HF_OK;
    }
    return apply(c, &control, now);
}
