/* SPDX-License-Identifier: Apache-2.0 */
/* Model clients and model backends: what they do by themselves, and what they are told to do. */
#include "world_core.h"

#include "http/head.h"
#include "http/url.h"
#include "ws/handshake.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define GIVE_UP HF_SECONDS(5) /* a Close that nobody answers */

static hf_time now_of(const struct peer *p)
{
    return sim_now(p->world->sim);
}

const char *peer_name(const struct peer *p)
{
    static char names[4][32];
    static unsigned next;
    char *name = names[next++ & 3];
    (void)snprintf(name, sizeof(names[0]), "%s %u", p->is_client ? "client" : "backend",
                   p->session == NULL ? 0 : p->session->id);
    return name;
}

static void may(struct peer *p, enum hf_cause as_client, enum hf_cause as_backend)
{
    if (p->session != NULL) {
        p->session->may |= (uint64_t)1 << (p->is_client ? as_client : as_backend);
    }
}

/* What a side that ends, in whatever way, makes of a handshake that is still under way. */
static void may_in_handshake(struct peer *p)
{
    if (p->session != NULL && (p->session->status != 101 || p->state != PEER_OPEN)) {
        may(p, HF_CAUSE_CLIENT_GONE, HF_CAUSE_BACKEND_HANDSHAKE);
        may(p, HF_CAUSE_HANDSHAKE_TIMEOUT, HF_CAUSE_BACKEND_SLOW);
        may(p, HF_CAUSE_CLIENT_GONE, HF_CAUSE_BACKEND_UNREACHABLE);
    }
}

/* ---- messages -------------------------------------------------------------------------------- */

/* The content of a message from its start; no byte depends on the size. */
static uint8_t *content(const struct peer *sender, uint32_t index, uint8_t opcode, uint32_t size)
{
    uint8_t *bytes = malloc(size + 8);
    HF_ASSERT(bytes != NULL);
    uint64_t x = (((uint64_t)sender->session->id * 2 + sender->is_client) << 32 | index) *
                     0x9e3779b97f4a7c15ULL +
                 1;
    for (uint32_t i = 0; i < size; i += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint64_t word =
            opcode == HF_OP_TEXT ? (x & 0x1f1f1f1f1f1f1f1fULL) + 0x4040404040404040ULL : x;
        memcpy(bytes + i, &word, 8);
    }
    return bytes;
}

static void add_sent(struct peer *p, uint8_t opcode, uint32_t size)
{
    if (p->sent_count == p->sent_cap) {
        p->sent_cap = p->sent_cap * 2 + 16;
        p->sent = realloc(p->sent, p->sent_cap * sizeof(*p->sent));
        HF_ASSERT(p->sent != NULL);
    }
    p->sent[p->sent_count++] = (struct message){size, opcode};
}

static bool is_text(const struct hf_endpoint_event *e, const char *text)
{
    return text != NULL && e->opcode == HF_OP_TEXT && hf_slice_eq(e->data, hf_slice_of(text));
}

/* The application's heartbeats are told from numbered messages by their text. */
static bool take_beat(struct peer *p, const struct hf_endpoint_event *e)
{
    const struct world_rules *rules = &p->world->rules;
    if (p->is_client && is_text(e, rules->beat_answer)) {
        world_say(p->world, "%s gets the heartbeat's answer", peer_name(p));
        if (++p->beat_answers > p->beats_sent) {
            world_break(p->world, "%s got more answers than it sent heartbeats", peer_name(p));
        }
        return true;
    }
    if (!p->is_client && is_text(e, rules->beat)) {
        world_break(p->world, "%s got a heartbeat that the gateway answers", peer_name(p));
        return true;
    }
    return false;
}

static void check_rate(struct peer *p)
{
    const struct world_rules *rules = &p->world->rules;
    if (p->is_client || rules->messages_per_minute == 0) {
        return;
    }
    hf_time open = now_of(p) - p->session->client->opened; /* backends may follow each other */
    uint64_t most =
        rules->messages_burst + (uint64_t)open * rules->messages_per_minute / HF_SECONDS(60);
    if (p->got > most) {
        world_break(p->world, "%s got %u messages in %lld ms, and the limit permits %llu",
                    peer_name(p), p->got, (long long)(open / 1000), (unsigned long long)most);
    }
}

static bool is_message(const struct peer *sender, uint32_t index, const struct hf_endpoint_event *e)
{
    const struct message *m = &sender->sent[index];
    if (e->opcode != m->opcode || e->data.len != m->size) {
        return false;
    }
    uint8_t *right = content(sender, index, m->opcode, m->size);
    bool same = m->size == 0 || memcmp(e->data.ptr, right, m->size) == 0;
    free(right);
    return same;
}

/* A message of the prologue, which an earlier backend was given. They come in their order, before
 * any other. */
static bool take_again(struct peer *p, const struct peer *sender, const struct hf_endpoint_event *e)
{
    if (p->is_client || !p->world->rules.prologue || !p->is_heir || p->fresh) {
        return false;
    }
    for (uint32_t i = p->replayed; i < p->session->given && i < sender->sent_count; i++) {
        if (sender->sent[i].opcode == HF_OP_TEXT && is_message(sender, i, e)) {
            p->replayed = i + 1;
            world_say(p->world, "%s gets message %u again", peer_name(p), i + 1);
            return true;
        }
    }
    p->fresh = true;
    return false;
}

static void take_message(struct peer *p, const struct hf_endpoint_event *e)
{
    const struct peer *sender = p->is_client ? p->session->backend : p->session->client;
    if (take_beat(p, e) || take_again(p, sender, e)) {
        return;
    }
    if (p->got >= sender->sent_count) {
        world_break(p->world, "%s got message %u, which was never sent", peer_name(p), p->got + 1);
        return;
    }
    for (uint32_t i = p->got + 1; i <= p->lost_to && i < sender->sent_count; i++) {
        if (is_message(sender, i, e) && !is_message(sender, p->got, e)) {
            world_say(p->world, "%s misses messages %u to %u", peer_name(p), p->got + 1, i);
            p->got = i;
        }
    }
    const struct message *m = &sender->sent[p->got];
    if (!is_message(sender, p->got, e)) {
        world_break(p->world,
                    "%s got message %u as %zu bytes, it was sent as %u, or its bytes differ",
                    peer_name(p), p->got + 1, e->data.len, m->size);
    }
    p->got++;
    world_say(p->world, "%s gets message %u of %u bytes", peer_name(p), p->got, m->size);
    check_rate(p);
}

/* ---- sending --------------------------------------------------------------------------------- */

static void set_gone(struct peer *p)
{
    p->state = PEER_GONE;
    p->stream = NULL;
    hf_timer_stop(p->world->outside, &p->timer);
    hf_timer_stop(p->world->outside, &p->resume);
}

static void close_stream(struct peer *p)
{
    if (p->stream != NULL) {
        hf_stream_close(p->stream);
        set_gone(p);
    }
}

/* True when nothing waits any more. */
static bool send_from(struct peer *p, struct hf_buffer *b)
{
    if (b->len > 0) {
        hf_buffer_drop(b, hf_stream_send(p->stream, hf_buffer_slice(b)));
    }
    return b->len == 0;
}

static void flush(struct peer *p)
{
    if (p->stream == NULL || !send_from(p, &p->answer) ||
        (p->endpoint != NULL && !send_from(p, hf_endpoint_out(p->endpoint)))) {
        return;
    }
    if (p->close_when_flushed) {
        close_stream(p);
    } else if (p->shut_when_flushed) {
        p->shut_when_flushed = false;
        hf_stream_shut(p->stream);
    }
}

/* ---- receiving frames ------------------------------------------------------------------------ */

static void take_close(struct peer *p, const struct hf_endpoint_event *e)
{
    p->close_got = e->code;
    (void)snprintf(p->close_reason, sizeof(p->close_reason), "%.*s", HF_SLICE_ARG(e->data));
    world_say(p->world, "%s gets Close %u \"%s\"", peer_name(p), e->code, p->close_reason);
    /* RFC 6455 7.1.1: the server ends TCP, the client waits for it. */
    p->close_when_flushed = !p->is_client;
    hf_timer_set(p->world->outside, &p->timer, now_of(p) + GIVE_UP);
}

static void take_pong(struct peer *p, const struct hf_endpoint_event *e)
{
    uint32_t number = 0;
    if (e->data.len >= sizeof(number)) {
        memcpy(&number, e->data.ptr, sizeof(number));
    }
    if (e->data.len < sizeof(number) || number != p->pongs_got || p->pongs_got >= p->pings_sent) {
        world_break(p->world, "%s got a pong that answers no ping, or not the next one",
                    peer_name(p));
    }
    p->pongs_got++;
    world_say(p->world, "%s gets pong %u", peer_name(p), p->pongs_got);
}

static void take_events(struct peer *p)
{
    struct hf_endpoint_event e;
    while (p->world->broken[0] == '\0' && hf_endpoint_next(p->endpoint, &e) != HF_ENDPOINT_NONE) {
        switch (e.kind) {
        case HF_ENDPOINT_MESSAGE:
            take_message(p, &e);
            break;
        case HF_ENDPOINT_PING:
            p->pings_got++;
            world_say(p->world, "%s gets a ping", peer_name(p));
            break;
        case HF_ENDPOINT_PONG:
            take_pong(p, &e);
            break;
        case HF_ENDPOINT_CLOSE:
            take_close(p, &e);
            break;
        case HF_ENDPOINT_FAULT:
            world_break(p->world, "the gateway sent %s what breaks the protocol: %s", peer_name(p),
                        e.why);
            break;
        case HF_ENDPOINT_NONE:
            break;
        }
    }
}

static void feed(struct peer *p, struct hf_slice bytes)
{
    HF_ASSERT(hf_endpoint_feed(p->endpoint, bytes) == HF_OK);
    take_events(p);
    flush(p);
}

/* ---- handshakes ------------------------------------------------------------------------------ */

static void become_open(struct peer *p)
{
    struct hf_endpoint_options options = {.client = p->is_client,
                                          .message_max = UINT64_MAX,
                                          .alloc = &hf_heap,
                                          .seed = hf_random_next(&p->world->random)};
    p->endpoint = hf_endpoint_new(&options);
    HF_ASSERT(p->endpoint != NULL);
    p->state = PEER_OPEN;
    p->opened = now_of(p);
    world_say(p->world, "%s is open", peer_name(p));
}

static size_t take_response(struct peer *p, struct hf_slice bytes)
{
    struct hf_head head;
    const char *why = "";
    switch (hf_response_read(bytes, 65536, &head, &why)) {
    case HF_HEAD_MORE:
        return 0;
    case HF_HEAD_READ:
        break;
    case HF_HEAD_BAD:
    case HF_HEAD_TOO_BIG:
    case HF_HEAD_NOT_HTTP:
        world_break(p->world, "%s got an answer that is no HTTP: %s", peer_name(p), why);
        return bytes.len;
    }
    p->session->status = head.status;
    if (head.status != 101) {
        world_say(p->world, "%s is refused with %u", peer_name(p), head.status);
        close_stream(p);
        return bytes.len;
    }
    why = hf_ws_check_response(&head, HF_LITERAL(KEY), hf_slice(NULL, 0));
    if (why != NULL) {
        world_break(p->world, "%s got a 101 that is not right: %s", peer_name(p), why);
        return bytes.len;
    }
    become_open(p);
    return head.size;
}

static void answer_request(struct peer *p)
{
    char accept[HF_WS_ACCEPT_CHARS];
    switch (p->backend->mode) {
    case BACKEND_ACCEPTS:
        hf_ws_accept(hf_slice_of(p->key), accept);
        hf_buffer_addf(
            &p->answer,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: %.*s\r\n\r\n",
            HF_WS_ACCEPT_CHARS, accept);
        become_open(p);
        break;
    case BACKEND_REFUSES:
        p->session->may |= (uint64_t)1 << HF_CAUSE_BACKEND_REFUSED;
        world_say(p->world, "%s refuses with 403", peer_name(p));
        hf_buffer_add_text(&p->answer, "HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nnope\n");
        p->close_when_flushed = true;
        break;
    case BACKEND_BABBLES:
        p->session->may |= (uint64_t)1 << HF_CAUSE_BACKEND_HANDSHAKE;
        hf_buffer_add_text(&p->answer, "220 mail.test ESMTP\r\n\r\n");
        break;
    case BACKEND_SILENT:
        p->session->may |= (uint64_t)1 << HF_CAUSE_BACKEND_SLOW;
        return;
    case BACKEND_HANGS_UP:
        p->session->may |= (uint64_t)1 << HF_CAUSE_BACKEND_HANDSHAKE;
        close_stream(p);
        return;
    }
    flush(p);
}

static struct session *session_of_target(struct world *w, struct hf_slice target)
{
    struct hf_slice path;
    struct hf_slice query;
    struct hf_slice value;
    uint64_t id = 0;
    hf_target_split(target, &path, &query);
    if (!hf_query_find(query, HF_LITERAL("c"), &value) ||
        !hf_slice_number(value, UINT32_MAX, &id)) {
        return NULL;
    }
    for (struct hf_list *n = w->sessions.next; n != &w->sessions; n = n->next) {
        struct session *s = HF_CONTAINER(n, struct session, node);
        if (s->id == id) {
            return s;
        }
    }
    return NULL;
}

/* It goes on counting where the lost one stopped. */
static void succeed(struct peer *p, const struct peer *lost)
{
    for (uint32_t i = 0; i < lost->sent_count; i++) {
        add_sent(p, lost->sent[i].opcode, lost->sent[i].size);
    }
    p->is_heir = true;
    p->got = lost->got;
    p->lost_to = p->session->given;
    p->session->client->lost_to = lost->sent_count + p->world->rules.drop_replies;
}

static size_t take_request(struct peer *p, struct hf_slice bytes)
{
    struct hf_head head;
    const char *why = "";
    enum hf_head_read read = hf_request_read(bytes, 65536, &head, &why);
    if (read == HF_HEAD_MORE) {
        return 0;
    }
    struct session *s = read == HF_HEAD_READ ? session_of_target(p->world, head.target) : NULL;
    if (s == NULL || hf_ws_check_request(&head).status != 0) {
        world_break(p->world, "the gateway sent a backend a request that is not right: %s", why);
        return bytes.len;
    }
    if (s->backend != NULL && s->backend->state == PEER_OPEN && !s->away &&
        (s->losses == 0 || world_relay(p->world, s) != NULL)) {
        world_break(p->world, "the gateway asked a backend twice for session %u", s->id);
        return bytes.len;
    }
    (void)snprintf(p->key, sizeof(p->key), "%.*s",
                   HF_SLICE_ARG(*hf_head_find(&head, "Sec-WebSocket-Key")));
    p->session = s;
    if (s->losses > 0) {
        succeed(p, s->backend);
    }
    s->backend = p;
    world_say(p->world, "%s has the request", peer_name(p));
    if (p->backend->delay > 0) {
        hf_timer_set(p->world->outside, &p->timer, now_of(p) + p->backend->delay);
    } else {
        answer_request(p);
    }
    return head.size;
}

/* ---- stream callbacks ------------------------------------------------------------------------ */

static void on_open(void *owner, struct hf_stream *stream)
{
    flush(owner);
}

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct peer *p = owner;
    if (p->state == PEER_OPEN) {
        feed(p, bytes);
        return bytes.len;
    }
    if (!p->is_client && p->session != NULL) {
        world_break(p->world, "%s got bytes before it answered", peer_name(p));
        return bytes.len;
    }
    hf_buffer_add(&p->head, bytes);
    size_t taken = p->is_client ? take_response(p, hf_buffer_slice(&p->head))
                                : take_request(p, hf_buffer_slice(&p->head));
    hf_buffer_drop(&p->head, taken);
    if (p->state == PEER_OPEN && p->head.len > 0) {
        feed(p, hf_buffer_slice(&p->head));
        hf_buffer_clear(&p->head);
    }
    return bytes.len;
}

static void on_writable(void *owner, struct hf_stream *stream)
{
    flush(owner);
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct peer *p = owner;
    p->ended = true;
    p->end = end->kind;
    world_say(p->world, "%s's stream ends: %s", peer_name(p), end->detail);
    close_stream(p);
}

const struct hf_stream_handler peer_handler = {on_open, on_bytes, on_writable, on_end};

/* ---- time ------------------------------------------------------------------------------------ */

static void fire(struct hf_timer *timer, hf_time now)
{
    struct peer *p = HF_CONTAINER(timer, struct peer, timer);
    if (p->state == PEER_HANDSHAKE && !p->is_client) {
        answer_request(p);
    } else {
        close_stream(p); /* a Close that nobody answered */
    }
}

static void fire_resume(struct hf_timer *timer, hf_time now)
{
    peer_resume(HF_CONTAINER(timer, struct peer, resume));
}

struct peer *peer_new(struct world *w, bool is_client)
{
    struct peer *p = calloc(1, sizeof(*p));
    HF_ASSERT(p != NULL);
    p->world = w;
    p->is_client = is_client;
    p->state = PEER_HANDSHAKE;
    hf_buffer_init(&p->head, &hf_heap, 1 << 20);
    hf_buffer_init(&p->answer, &hf_heap, 1 << 20);
    hf_timer_init(&p->timer, fire);
    hf_timer_init(&p->resume, fire_resume);
    hf_list_init(&p->node);
    hf_list_append(&w->peers, &p->node);
    return p;
}

void peer_free(struct peer *p)
{
    close_stream(p);
    hf_timer_stop(p->world->outside, &p->timer);
    hf_timer_stop(p->world->outside, &p->resume);
    hf_endpoint_free(p->endpoint);
    hf_buffer_reset(&p->head);
    hf_buffer_reset(&p->answer);
    hf_list_remove(&p->node);
    free(p->sent);
    free(p);
}

/* ---- deeds ----------------------------------------------------------------------------------- */

bool peer_is_open(const struct peer *p)
{
    return p != NULL && p->state == PEER_OPEN && p->close_sent == 0 && p->close_got == 0;
}

static bool can_speak(const struct peer *p)
{
    return peer_is_open(p) && !p->cut;
}

static void put(struct peer *p, uint8_t opcode, bool fin, struct hf_slice bytes)
{
    HF_ASSERT(hf_endpoint_send_fragment(p->endpoint, opcode, fin, bytes) == HF_OK);
}

static void put_ping(struct peer *p)
{
    uint8_t payload[HF_CONTROL_PAYLOAD_MAX] = {0};
    size_t len = 4 + (size_t)hf_random_below(&p->world->random, HF_CONTROL_PAYLOAD_MAX - 3);
    memcpy(payload, &p->pings_sent, 4);
    HF_ASSERT(hf_endpoint_ping(p->endpoint, hf_slice(payload, len)) == HF_OK);
    p->pings_sent++;
}

void peer_send(struct peer *p, uint8_t opcode, uint32_t size, unsigned fragments)
{
    if (!can_speak(p) || p->is_streaming) {
        return;
    }
    struct hf_random *random = &p->world->random;
    uint8_t *bytes = content(p, p->sent_count, opcode, size);
    uint32_t done = 0;
    for (unsigned i = 0; i < fragments; i++) {
        bool fin = i + 1 == fragments;
        uint32_t n = fin ? size - done
                         : (uint32_t)hf_random_below(
                               random, (uint64_t)(size - done) * 2 / (fragments - i) + 1);
        n = n > size - done ? size - done : n;
        put(p, i == 0 ? opcode : 0, fin, hf_slice(bytes + done, n));
        done += n;
        if (!fin && hf_random_below(random, 8) == 0) {
            put_ping(p);
        }
    }
    free(bytes);
    add_sent(p, opcode, size);
    world_say(p->world, "%s sends message %u of %u bytes", peer_name(p), p->sent_count, size);
    flush(p);
}

void peer_stream(struct peer *p, uint32_t size, bool end)
{
    if (!can_speak(p)) {
        return;
    }
    uint8_t *bytes = content(p, p->sent_count, HF_OP_BINARY, p->streaming + size);
    put(p, p->is_streaming ? 0 : HF_OP_BINARY, end, hf_slice(bytes + p->streaming, size));
    free(bytes);
    p->streaming += size;
    p->is_streaming = !end;
    if (end) {
        add_sent(p, HF_OP_BINARY, p->streaming);
        world_say(p->world, "%s has streamed message %u of %u bytes", peer_name(p), p->sent_count,
                  p->streaming);
        p->streaming = 0;
    }
    flush(p);
}

void peer_ping(struct peer *p)
{
    if (can_speak(p)) {
        put_ping(p);
        world_say(p->world, "%s sends ping %u", peer_name(p), p->pings_sent);
        flush(p);
    }
}

void peer_beat(struct peer *p)
{
    const char *beat = p->world->rules.beat;
    if (can_speak(p) && !p->is_streaming && beat != NULL) {
        HF_ASSERT(hf_endpoint_send(p->endpoint, HF_OP_TEXT, hf_slice_of(beat)) == HF_OK);
        p->beats_sent++;
        world_say(p->world, "%s sends a heartbeat", peer_name(p));
        flush(p);
    }
}

void peer_close(struct peer *p, uint16_t code, const char *reason)
{
    if (!can_speak(p)) {
        return;
    }
    HF_ASSERT(hf_endpoint_close(p->endpoint, code, hf_slice_of(reason)) == HF_OK);
    p->close_sent = code;
    if (p->world->rules.holds && !p->is_client &&
        (code == 1001 || (code >= 1011 && code <= 1013))) {
        p->disturbed = true; /* it is left alone, and the client held */
    }
    p->sent_at_close = p->sent_count;
    p->pings_at_close = p->pings_sent;
    may(p, HF_CAUSE_CLIENT_CLOSE, HF_CAUSE_BACKEND_CLOSE);
    world_say(p->world, "%s sends Close %u \"%s\"", peer_name(p), code, reason);
    flush(p);
}

void peer_pause(struct peer *p, hf_time duration)
{
    const struct world_rules *rules = &p->world->rules;
    if (p->stream == NULL || p->paused != 0) {
        return;
    }
    hf_time timeout = p->is_client ? rules->client_timeout : rules->backend_timeout;
    if (timeout > 0 && duration > timeout - HF_MS(500)) {
        may(p, HF_CAUSE_CLIENT_HEARTBEAT, HF_CAUSE_BACKEND_HEARTBEAT);
    }
    if (duration > rules->send_timeout / 2 - HF_MS(500)) {
        may(p, HF_CAUSE_CLIENT_STUCK, HF_CAUSE_BACKEND_STUCK);
    }
    p->disturbed = p->disturbed || duration > HF_MS(1000);
    may_in_handshake(p);
    p->paused = now_of(p);
    hf_stream_pause(p->stream);
    world_say(p->world, "%s stops reading", peer_name(p));
    if (duration != HF_NEVER) {
        hf_timer_set(p->world->outside, &p->resume, now_of(p) + duration);
    }
}

void peer_resume(struct peer *p)
{
    hf_timer_stop(p->world->outside, &p->resume);
    if (p->stream != NULL && p->paused != 0) {
        p->paused = 0;
        world_say(p->world, "%s reads again", peer_name(p));
        hf_stream_resume(p->stream);
    }
}

/* It ends without a Close. */
static void mark_cut(struct peer *p)
{
    p->cut = true;
    p->disturbed = true;
    may(p, HF_CAUSE_CLIENT_FIN, HF_CAUSE_BACKEND_FIN);
    /* While the gateway holds the leg it cannot see that it ended, only that it takes nothing. */
    may(p, HF_CAUSE_CLIENT_STUCK, HF_CAUSE_BACKEND_STUCK);
    may_in_handshake(p);
}

static bool is_mid_message(const struct peer *p)
{
    return p->is_streaming || p->answer.len > 0 ||
           (p->endpoint != NULL && hf_endpoint_out(p->endpoint)->len > 0);
}

void peer_fin(struct peer *p)
{
    if (p->stream != NULL && !p->cut && p->close_sent == 0) {
        world_say(p->world, "%s ends its direction without a Close", peer_name(p));
        mark_cut(p);
        p->fin = p->state == PEER_OPEN;
        p->shut_when_flushed = true;
        flush(p);
    }
}

void peer_vanish(struct peer *p)
{
    if (p->stream != NULL) {
        world_say(p->world, "%s closes its stream%s", peer_name(p),
                  is_mid_message(p) ? " in the middle of a frame" : "");
        mark_cut(p);
        p->fin = false;
        may(p, HF_CAUSE_CLIENT_RESET, HF_CAUSE_BACKEND_RESET);
        close_stream(p);
    }
}

void peer_abort(struct peer *p)
{
    if (p->stream != NULL) {
        world_say(p->world, "%s resets its stream", peer_name(p));
        mark_cut(p);
        p->fin = false;
        may(p, HF_CAUSE_CLIENT_RESET, HF_CAUSE_BACKEND_RESET);
        hf_stream_abort(p->stream);
        set_gone(p);
    }
}

void peer_reset(struct peer *p)
{
    if (p->stream != NULL) {
        world_say(p->world, "a box on the way resets %s", peer_name(p));
        mark_cut(p);
        p->fin = false;
        may(p, HF_CAUSE_CLIENT_RESET, HF_CAUSE_BACKEND_RESET);
        sim_reset(p->stream);
    }
}

void peer_darken(struct peer *p)
{
    if (p->stream == NULL || p->dark) {
        return;
    }
    world_say(p->world, "the path of %s goes dark", peer_name(p));
    p->dark = true;
    p->disturbed = true;
    p->darkened = now_of(p);
    may(p, HF_CAUSE_CLIENT_HEARTBEAT, HF_CAUSE_BACKEND_HEARTBEAT);
    may(p, HF_CAUSE_CLIENT_TIMEOUT, HF_CAUSE_BACKEND_TIMEOUT);
    may(p, HF_CAUSE_CLIENT_STUCK, HF_CAUSE_BACKEND_STUCK);
    may_in_handshake(p);
    sim_darken(p->stream);
}

void peer_lighten(struct peer *p)
{
    if (p->stream != NULL && p->dark) {
        world_say(p->world, "the path of %s works again", peer_name(p));
        p->dark = false;
        may(p, HF_CAUSE_CLIENT_RESET, HF_CAUSE_BACKEND_RESET);
        sim_lighten(p->stream);
    }
}

void peer_violate(struct peer *p, uint64_t size)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    uint8_t frame[HF_FRAME_HEAD_MAX];
    if (!can_speak(p) || is_mid_message(p)) {
        return;
    }
    size_t len = hf_frame_write_head(frame, true, 0, size == 0 ? 5 : HF_OP_BINARY, size,
                                     p->is_client ? mask : NULL);
    world_say(p->world, "%s breaks the protocol", peer_name(p));
    may(p, HF_CAUSE_CLIENT_PROTOCOL, HF_CAUSE_BACKEND_PROTOCOL);
    if (size > 0) {
        may(p, HF_CAUSE_MESSAGE_TOO_BIG, HF_CAUSE_BACKEND_PROTOCOL);
    }
    p->cut = true; /* it says nothing more */
    hf_buffer_add(&p->answer, hf_slice(frame, len));
    flush(p);
}

void peer_half_frame(struct peer *p)
{
    static const uint8_t byte = 0x82;
    if (can_speak(p) && !is_mid_message(p)) {
        world_say(p->world, "%s sends one byte of a frame", peer_name(p));
        p->cut = true; /* it says nothing more */
        hf_buffer_add(&p->answer, hf_slice(&byte, 1));
        flush(p);
    }
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void add_base64url(struct hf_buffer *out, const void *bytes, size_t len)
{
    unsigned char text[512];
    HF_ASSERT(len <= 300);
    int n = EVP_EncodeBlock(text, bytes, (int)len);
    for (int i = 0; i < n && text[i] != '='; i++) {
        hf_buffer_add_byte(out, text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
    }
}

/* A token as the application would give it out, HS256. */
static void add_token(struct hf_buffer *out, const struct peer *p,
                      const struct session_options *options)
{
    struct hf_buffer token;
    char claims[128];
    uint8_t mac[32];
    unsigned mac_len = 0;
    hf_wall now = p->world->outside->wall;
    hf_buffer_init(&token, &hf_heap, 1024);
    int n = options->token_ms == 0
                ? snprintf(claims, sizeof(claims), "{\"sub\":\"%s\"}", options->subject)
                : snprintf(claims, sizeof(claims), "{\"sub\":\"%s\",\"exp\":%lld}",
                           options->subject, (long long)((now + options->token_ms) / 1000));
    add_base64url(&token, "{\"alg\":\"HS256\"}", 15);
    hf_buffer_add_byte(&token, '.');
    add_base64url(&token, claims, (size_t)n);
    const char *secret = getenv(WORLD_SECRET);
    HF_ASSERT(HMAC(EVP_sha256(), secret, (int)strlen(secret), token.data, token.len, mac,
                   &mac_len) != NULL);
    hf_buffer_add_byte(&token, '.');
    add_base64url(&token, mac, mac_len);
    hf_buffer_add_text(out, "&token=");
    hf_buffer_add(out, hf_buffer_slice(&token));
    hf_buffer_reset(&token);
}

static void add_request(struct peer *p, const struct session_options *options)
{
    struct hf_buffer *b = &p->answer;
    if (options->silent) {
        p->session->may |= (uint64_t)1 << HF_CAUSE_HANDSHAKE_TIMEOUT;
        return;
    }
    if (options->garbage) {
        p->session->may |= (uint64_t)1 << HF_CAUSE_HANDSHAKE_BAD;
        hf_buffer_add_text(b, "\x16\x03\x01 hello\r\n\r\n");
        return;
    }
    hf_buffer_addf(b, "GET /ws/?c=%u", p->session->id);
    if (options->subject != NULL) {
        (void)snprintf(p->session->subject, sizeof(p->session->subject), "%s", options->subject);
        p->session->may |= options->token_ms == 0 ? 0
                                                  : (uint64_t)1 << HF_CAUSE_TOKEN_EXPIRED |
                                                        (uint64_t)1 << HF_CAUSE_AUTH_INVALID;
        add_token(b, p, options);
    }
    hf_buffer_add_text(b, " HTTP/1.1\r\nHost: app.test\r\n");
    if (options->half) {
        p->session->may |= (uint64_t)1 << HF_CAUSE_HANDSHAKE_TIMEOUT;
        return;
    }
    hf_buffer_add_text(b,
                       "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: " KEY "\r\n\r\n");
}

struct session *session_open(struct world *w, const struct session_options *options)
{
    struct session *s = calloc(1, sizeof(*s));
    HF_ASSERT(s != NULL);
    char text[80];
    (void)snprintf(text, sizeof(text), "%s:0",
                   options->source != NULL ? options->source : "10.9.0.1");
    HF_ASSERT(hf_address_parse(hf_slice_of(text), &s->source));
    s->id = ++w->session_count;
    s->world = w;
    hf_list_init(&s->node);
    hf_list_append(&w->sessions, &s->node);
    struct peer *p = s->client = peer_new(w, true);
    p->session = s;
    add_request(p, options);
    struct hf_connect how = {.address = w->door};
    sim_source(w->sim, &s->source);
    world_say(w, "client %u connects", s->id);
    s->may |= w->newcomers;
    if (hf_loop_connect(w->outside, &how, &peer_handler, p, &p->stream) != HF_OK) {
        p->state = PEER_GONE; /* the machine has no descriptor left */
    }
    return s;
}

/* ---- backends -------------------------------------------------------------------------------- */

static void on_accept(void *owner, struct hf_stream *stream, const struct hf_address *address)
{
    struct backend *b = owner;
    struct peer *p = peer_new(b->world, false);
    p->backend = b;
    p->stream = stream;
    hf_stream_handle(stream, &peer_handler, p);
    hf_stream_resume(stream);
}

static const struct hf_listener_handler listener_handler = {on_accept, NULL};

void backend_start(struct backend *b)
{
    if (b->listener == NULL) {
        struct hf_listen how = {.address = b->address};
        (void)!hf_loop_listen(b->world->outside, &how, &listener_handler, b, &b->listener);
    }
}

void backend_crash(struct backend *b)
{
    struct world *w = b->world;
    if (b->listener == NULL) {
        return;
    }
    world_say(w, "a backend crashes");
    hf_listener_close(w->outside, b->listener);
    b->listener = NULL;
    for (struct hf_list *n = w->sessions.next; n != &w->sessions; n = n->next) {
        struct session *s = HF_CONTAINER(n, struct session, node);
        if (s->status == 0) { /* it may meet nobody */
            s->may |= (uint64_t)1 << HF_CAUSE_BACKEND_UNREACHABLE |
                      (uint64_t)1 << HF_CAUSE_BACKEND_HANDSHAKE;
        }
    }
    struct hf_list *next;
    for (struct hf_list *n = w->peers.next; n != &w->peers; n = next) {
        struct peer *p = HF_CONTAINER(n, struct peer, node);
        next = n->next;
        if (p->backend == b) {
            peer_vanish(p); /* the kernel ends its sockets: FIN, or RST over unread bytes */
        }
    }
}
