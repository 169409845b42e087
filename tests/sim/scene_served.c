/* SPDX-License-Identifier: Apache-2.0 */
/* The model backend of a scene: what its connections do by themselves, what they are told to do,
 * and whether what they get is the next message of their session. */
#include "scene_core.h"

#include "http/head.h"
#include "http/url.h"
#include "ws/handshake.h"

#define GIVE_UP HF_SECONDS(5) /* a Close that nobody answers */

static hf_time now_of(const struct served *b)
{
    return sim_now(b->scene->sim);
}

uint64_t served_key(const struct served *b)
{
    return (uint64_t)b->id * 2 + 1;
}

uint32_t served_reached(const struct served *b)
{
    return b->first - 1 + b->got;
}

bool served_is_open(const struct served *b)
{
    return b != NULL && b->open && b->close_sent == 0 && b->close_got == 0;
}

bool served_is_disturbed(const struct served *b)
{
    return b->cut || b->dark || b->paused != 0;
}

void served_bind(struct served *b, struct life *life)
{
    for (; b != NULL; b = b->next) {
        b->life = life;
    }
}

/* ---- messages -------------------------------------------------------------------------------- */

/* Messages of the session that can have come here. */
static uint32_t limit_of(const struct life *life)
{
    uint32_t count = life_count(life);
    if (life->last == UINT32_MAX) {
        return count;
    }
    if (life->old_received >= 0 && (uint64_t)life->old_received < count) {
        return (uint32_t)life->old_received;
    }
    return life->sent < count ? (uint32_t)life->sent : count;
}

static bool is_number(const struct served *b, uint32_t number, const struct hf_endpoint_event *e)
{
    const struct app *a = b->app;
    uint32_t index = b->life->first + number - 1;
    return scene_same(app_key(a), index, a->sent.at[index], e->opcode, e->data);
}

static bool subscribes(const struct served *b, uint32_t number)
{
    uint32_t index = b->life->first + number - 1;
    return scene_subscribes(app_key(b->app), index, b->app->sent.at[index]);
}

/* In front of anything else come the messages again that subscribe, of those that were written to
 * the lost one. True: this should be the next of them. */
static bool is_prologue(struct served *b, const struct hf_endpoint_event *e)
{
    struct scene *s = b->scene;
    for (uint32_t n = b->repeated + 1; n < b->first; n++) {
        if (!subscribes(b, n)) {
            continue;
        }
        if (!is_number(b, n, e)) {
            scene_break(s, "backend %u did not get message %u again, which subscribes", b->id, n);
        }
        b->repeated = n;
        s->counts.prologues++;
        scene_say(s, "backend %u gets message %u again", b->id, n);
        return true;
    }
    return false;
}

static void take_message(struct served *b, const struct hf_endpoint_event *e)
{
    struct scene *s = b->scene;
    if (b->attempt >= SCENE_STRANGERS) {
        b->got++;
        scene_say(s, "backend %u gets a message of a stranger", b->id);
        return;
    }
    if (b->life == NULL && b->app->asked != 0) {
        app_opens_silently(b->app, b);
    }
    if (b->life == NULL) {
        scene_break(s, "backend %u got a message of app %u, which has not opened", b->id,
                    b->app->id);
        return;
    }
    if (b->got == 0 && b->before != NULL && s->prologue && is_prologue(b, e)) {
        return;
    }
    uint32_t number = b->first + b->got;
    if (number > limit_of(b->life) || !is_number(b, number, e)) {
        scene_break(s,
                    "backend %u got %zu bytes that are not message %u of session %u of app %u, "
                    "which has %u",
                    b->id, e->data.len, number, b->life->number, b->app->id, limit_of(b->life));
        return;
    }
    b->got++;
    s->counts.messages_up++;
    scene_say(s, "backend %u gets message %u of %zu bytes", b->id, number, e->data.len);
}

/* ---- streams --------------------------------------------------------------------------------- */

static void set_gone(struct served *b)
{
    b->stream = NULL;
    b->open = false;
    hf_timer_stop(b->scene->outside, &b->timer);
    hf_timer_stop(b->scene->outside, &b->resume);
}

static void close_stream(struct served *b)
{
    if (b->stream != NULL) {
        hf_stream_close(b->stream);
        set_gone(b);
    }
}

static bool send_from(struct served *b, struct hf_buffer *out)
{
    if (out->len > 0) {
        hf_buffer_drop(out, hf_stream_send(b->stream, hf_buffer_slice(out)));
    }
    return out->len == 0;
}

static void flush(struct served *b)
{
    if (b->stream != NULL && send_from(b, &b->answer) &&
        (b->endpoint == NULL || send_from(b, hf_endpoint_out(b->endpoint))) &&
        b->close_when_flushed) {
        close_stream(b);
    }
}

static void take_events(struct served *b)
{
    struct hf_endpoint_event e;
    while (b->scene->broken[0] == '\0' && hf_endpoint_next(b->endpoint, &e) != HF_ENDPOINT_NONE) {
        switch (e.kind) {
        case HF_ENDPOINT_MESSAGE:
            take_message(b, &e);
            break;
        case HF_ENDPOINT_PONG:
            b->pings--;
            break;
        case HF_ENDPOINT_CLOSE:
            b->close_got = e.code;
            b->close_when_flushed = true;
            scene_say(b->scene, "backend %u gets Close %u \"%.*s\"", b->id, e.code,
                      HF_SLICE_ARG(e.data));
            break;
        case HF_ENDPOINT_FAULT:
            scene_break(b->scene, "the gateway breaks the protocol towards backend %u: %s", b->id,
                        e.why);
            break;
        case HF_ENDPOINT_PING:
        case HF_ENDPOINT_NONE:
            break;
        }
    }
}

static void feed(struct served *b, struct hf_slice bytes)
{
    HF_ASSERT(hf_endpoint_feed(b->endpoint, bytes) == HF_OK);
    take_events(b);
    flush(b);
}

/* ---- handshakes ------------------------------------------------------------------------------ */

static void accept_it(struct served *b)
{
    char accept[HF_WS_ACCEPT_CHARS];
    struct hf_head head;
    const char *why = "";
    HF_ASSERT(hf_request_read(hf_buffer_slice(&b->head), 65536, &head, &why) == HF_HEAD_READ);
    const struct hf_slice *key = hf_head_find(&head, "Sec-WebSocket-Key");
    HF_ASSERT(key != NULL);
    hf_ws_accept(*key, accept);
    hf_buffer_addf(
        &b->answer,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %.*s\r\n\r\n",
        HF_WS_ACCEPT_CHARS, accept);
    struct hf_endpoint_options options = {
        .message_max = UINT64_MAX, .alloc = &hf_heap, .seed = b->id};
    b->endpoint = hf_endpoint_new(&options);
    HF_ASSERT(b->endpoint != NULL);
    b->open = b->was_open = true;
    scene_say(b->scene, "backend %u is open for app %u", b->id, b->app->id);
}

static void answer(struct served *b)
{
    struct scene *s = b->scene;
    s->counts.refusals += s->mode == UPSTREAM_FORBIDS || s->mode == UPSTREAM_UNAVAILABLE;
    switch (s->mode) {
    case UPSTREAM_ACCEPTS:
        accept_it(b);
        break;
    case UPSTREAM_FORBIDS:
        b->app->barred = true;
        hf_buffer_add_text(&b->answer, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        b->close_when_flushed = true;
        break;
    case UPSTREAM_UNAVAILABLE:
        hf_buffer_add_text(&b->answer,
                           "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
        b->close_when_flushed = true;
        break;
    case UPSTREAM_SILENT:
        return;
    case UPSTREAM_HANGS_UP:
        close_stream(b);
        return;
    }
    flush(b);
}

/* The session that the attempt opened or resumed: it is known when the backend was asked for it
 * before. */
static uint64_t session_of_attempt(const struct served *b)
{
    struct scene *s = b->scene;
    for (struct hf_list *n = s->served.next; n != &s->served; n = n->next) {
        const struct served *other = HF_CONTAINER(n, struct served, node);
        if (other != b && other->app == b->app && other->attempt == b->attempt &&
            other->boot == s->boot && other->session != 0) {
            return other->session;
        }
    }
    return gate_asks(s, b->app, b->attempt);
}

/* The connection that this one replaces: of the same session, and lost. */
static void join_chain(struct served *b)
{
    struct scene *s = b->scene;
    b->boot = s->boot;
    b->boot_id = gate_boot_id(s);
    b->session = session_of_attempt(b);
    for (struct hf_list *n = s->served.next; n != &s->served; n = n->next) {
        struct served *other = HF_CONTAINER(n, struct served, node);
        if (other == b || b->session == 0 || other->session != b->session ||
            other->boot != b->boot || !other->was_open || other->next != NULL) {
            continue;
        }
        if (!s->holds) {
            scene_break(s, "the gateway asks the backend twice for session %llu of app %u",
                        (unsigned long long)b->session, b->app->id);
            return;
        }
        b->before = other;
        b->attempt = other->attempt; /* a stranger's credentials may be the newest */
    }
    b->first = b->before == NULL ? 1 : gate_written(s, b->session) + 1;
}

/* A dial that was given up may be followed by another one: the chain is of those that opened. */
static void become_next(struct served *b)
{
    if (b->was_open && b->before != NULL && b->before->next == NULL) {
        b->before->next = b;
        b->life = b->before->life;
        scene_say(b->scene, "backend %u takes the place of backend %u", b->id, b->before->id);
    }
}

static size_t take_request(struct served *b, struct hf_slice bytes)
{
    struct scene *s = b->scene;
    struct hf_head head;
    struct hf_slice path;
    struct hf_slice query;
    struct hf_slice value;
    uint64_t id = 0;
    uint64_t attempt = 0;
    const char *why = "";
    enum hf_head_read read = hf_request_read(bytes, 65536, &head, &why);
    if (read == HF_HEAD_MORE) {
        return 0;
    }
    if (read == HF_HEAD_READ) {
        hf_target_split(head.target, &path, &query);
    }
    if (read != HF_HEAD_READ || hf_ws_check_request(&head).status != 0 ||
        !hf_query_find(query, HF_LITERAL("c"), &value) ||
        !hf_slice_number(value, UINT32_MAX, &id) || scene_app(s, id) == NULL ||
        !hf_query_find(query, HF_LITERAL("a"), &value) ||
        !hf_slice_number(value, UINT32_MAX, &attempt)) {
        scene_break(s, "the gateway sent a backend a request that is not right: %s", why);
        return bytes.len;
    }
    const struct hf_slice *offered = hf_head_find(&head, "Sec-WebSocket-Protocol");
    if (offered != NULL) {
        scene_break(s, "the backend is offered \"%.*s\"", HF_SLICE_ARG(*offered));
    }
    b->app = scene_app(s, id);
    b->attempt = (unsigned)attempt;
    b->token_exp = hf_query_find(query, HF_LITERAL("token"), &value) ? scene_token_exp(value) : 0;
    scene_say(s, "backend %u has the request of attempt %u of app %u", b->id, b->attempt,
              b->app->id);
    join_chain(b);
    if (s->upstream_delay > 0) {
        hf_timer_set(s->outside, &b->timer, now_of(b) + s->upstream_delay);
    } else {
        answer(b);
        become_next(b);
    }
    return head.size;
}

/* ---- callbacks ------------------------------------------------------------------------------- */

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct served *b = owner;
    if (b->open) {
        feed(b, bytes);
    } else if (b->app != NULL) {
        scene_break(b->scene, "backend %u got bytes before it answered", b->id);
    } else {
        hf_buffer_add(&b->head, bytes);
        (void)take_request(b, hf_buffer_slice(&b->head));
    }
    return bytes.len;
}

static void on_writable(void *owner, struct hf_stream *stream)
{
    flush(owner);
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct served *b = owner;
    b->ended = true;
    b->cut = b->cut || end->kind != HF_END_FIN;
    scene_say(b->scene, "backend %u's stream ends: %s", b->id, end->detail);
    close_stream(b);
}

static const struct hf_stream_handler handler = {
    .on_bytes = on_bytes, .on_writable = on_writable, .on_end = on_end};

static void fire(struct hf_timer *timer, hf_time now)
{
    struct served *b = HF_CONTAINER(timer, struct served, timer);
    if (b->endpoint != NULL) {
        b->cut = true;   /* what it had not read it never will */
        close_stream(b); /* a Close that nobody answered */
    } else {
        answer(b);
        become_next(b);
    }
}

static void fire_resume(struct hf_timer *timer, hf_time now)
{
    served_resume(HF_CONTAINER(timer, struct served, resume));
}

static void on_accept(void *owner, struct hf_stream *stream, const struct hf_address *address)
{
    struct scene *s = owner;
    struct served *b = calloc(1, sizeof(*b));
    HF_ASSERT(b != NULL);
    b->scene = s;
    b->id = ++s->served_count;
    b->stream = stream;
    hf_buffer_init(&b->head, &hf_heap, 1 << 20);
    hf_buffer_init(&b->answer, &hf_heap, 1 << 20);
    hf_timer_init(&b->timer, fire);
    hf_timer_init(&b->resume, fire_resume);
    hf_list_init(&b->node);
    hf_list_append(&s->served, &b->node);
    hf_stream_handle(stream, &handler, b);
    hf_stream_resume(stream);
}

void served_free(struct served *b)
{
    close_stream(b);
    hf_endpoint_free(b->endpoint);
    hf_buffer_reset(&b->head);
    hf_buffer_reset(&b->answer);
    hf_list_remove(&b->node);
    free(b->sent.at);
    free(b);
}

/* ---- deeds ----------------------------------------------------------------------------------- */

struct served *app_served(const struct app *a)
{
    struct served *found = NULL;
    for (struct hf_list *n = a->scene->served.next; n != &a->scene->served; n = n->next) {
        struct served *b = HF_CONTAINER(n, struct served, node);
        found = b->app == a && b->was_open && b->attempt < SCENE_STRANGERS ? b : found;
    }
    return found;
}

void served_send(struct served *b, uint8_t opcode, uint32_t size, unsigned fragments)
{
    if (!served_is_open(b)) {
        return;
    }
    struct note note = {size, opcode};
    uint8_t *bytes = scene_content(served_key(b), b->sent.count, note);
    uint32_t done = 0;
    for (unsigned i = 0; i < fragments; i++) {
        bool fin = i + 1 == fragments;
        uint32_t n = fin ? size - done : (size - done) / (fragments - i);
        HF_ASSERT(hf_endpoint_send_fragment(b->endpoint, i == 0 ? opcode : 0, fin,
                                            hf_slice(bytes + done, n)) == HF_OK);
        done += n;
    }
    free(bytes);
    notes_add(&b->sent, opcode, size);
    scene_say(b->scene, "backend %u sends message %u of %u bytes", b->id, b->sent.count, size);
    flush(b);
}

void served_ping(struct served *b)
{
    if (served_is_open(b)) {
        HF_ASSERT(hf_endpoint_ping(b->endpoint, HF_LITERAL("there?")) == HF_OK);
        b->pings++;
        flush(b);
    }
}

void served_close(struct served *b, uint16_t code, const char *reason)
{
    if (served_is_open(b)) {
        HF_ASSERT(hf_endpoint_close(b->endpoint, code, hf_slice_of(reason)) == HF_OK);
        b->close_sent = code;
        b->sent_at_close = b->sent.count;
        scene_say(b->scene, "backend %u sends Close %u", b->id, code);
        hf_timer_set(b->scene->outside, &b->timer, now_of(b) + GIVE_UP);
        flush(b);
    }
}

void served_pause(struct served *b, hf_time duration)
{
    if (b->stream != NULL && b->paused == 0) {
        scene_say(b->scene, "backend %u stops reading", b->id);
        b->paused = now_of(b);
        b->was_paused = true;
        hf_stream_pause(b->stream);
        if (duration != HF_NEVER) {
            hf_timer_set(b->scene->outside, &b->resume, now_of(b) + duration);
        }
    }
}

void served_resume(struct served *b)
{
    hf_timer_stop(b->scene->outside, &b->resume);
    if (b->stream != NULL && b->paused != 0) {
        scene_say(b->scene, "backend %u reads again", b->id);
        b->paused = 0;
        hf_stream_resume(b->stream);
    }
}

void served_abort(struct served *b)
{
    if (b->stream != NULL) {
        scene_say(b->scene, "backend %u resets its stream", b->id);
        b->cut = true;
        hf_stream_abort(b->stream);
        set_gone(b);
    }
}

void served_darken(struct served *b)
{
    if (b->stream != NULL && !b->dark) {
        scene_say(b->scene, "the path of backend %u goes dark", b->id);
        b->dark = true;
        b->cut = true;
        sim_darken(b->stream);
    }
}

void served_lighten(struct served *b)
{
    if (b->stream != NULL && b->dark) {
        scene_say(b->scene, "the path of backend %u works again", b->id);
        b->dark = false;
        sim_lighten(b->stream);
    }
}

static const struct hf_listener_handler listener_handler = {on_accept, NULL};

void upstream_start(struct scene *s)
{
    struct hf_listen how = {.address = scene_host("10.1.0.1:9000")};
    if (s->upstream == NULL) {
        scene_say(s, "the backend starts");
        HF_ASSERT(hf_loop_listen(s->outside, &how, &listener_handler, s, &s->upstream) == HF_OK);
    }
}

void upstream_crash(struct scene *s)
{
    if (s->upstream == NULL) {
        return;
    }
    scene_say(s, "the backend crashes");
    hf_listener_close(s->outside, s->upstream);
    s->upstream = NULL;
    for (struct hf_list *n = s->served.next; n != &s->served; n = n->next) {
        struct served *b = HF_CONTAINER(n, struct served, node);
        if (b->stream != NULL) {
            b->cut = true;
            close_stream(b); /* the kernel ends its sockets: FIN, or RST over unread bytes */
        }
    }
}
