/* SPDX-License-Identifier: Apache-2.0 */
/* Applications on the real client library: what they do, and whether what they are told is true. */
#include "scene_core.h"

#include "client/client.h"

#define BIG 60 /* characters of a session's name and the like */

static hf_time now_of(const struct app *a)
{
    return sim_now(a->scene->sim);
}

uint64_t app_key(const struct app *a)
{
    return (uint64_t)a->id * 2;
}

/* ---- lives ----------------------------------------------------------------------------------- */

struct life *app_life(const struct app *a)
{
    return HF_CONTAINER(a->lives.prev, struct life, node);
}

uint32_t life_count(const struct life *life)
{
    return (life->last == UINT32_MAX ? life->app->sent.count : life->last) - life->first;
}

static void life_begin(struct app *a)
{
    struct life *life = calloc(1, sizeof(*life));
    HF_ASSERT(life != NULL);
    life->app = a;
    life->number = hf_list_empty(&a->lives) ? 1 : app_life(a)->number + 1;
    life->first = a->sent.count;
    life->last = UINT32_MAX;
    life->old_received = -1;
    life->last_attached = now_of(a);
    hf_list_init(&life->node);
    hf_list_append(&a->lives, &life->node);
}

void life_free(struct life *life)
{
    hf_list_remove(&life->node);
    free(life);
}

/* The first connection that the backend had for the session of this name. */
static struct served *served_of_session(const struct app *a, uint32_t boot_id, uint64_t session)
{
    struct served *found = NULL;
    for (struct hf_list *n = a->scene->served.next; n != &a->scene->served; n = n->next) {
        struct served *b = HF_CONTAINER(n, struct served, node);
        if (b->app == a && b->before == NULL && b->was_open && b->session == session &&
            b->boot_id == boot_id) {
            found = b;
        }
    }
    return found;
}

/* The token of the hello before the newest one is kept, for a thief. */
static void note_token(struct app *a)
{
    const struct hf_client *c = &a->client->session;
    memcpy(a->token_before, a->token, sizeof(a->token_before));
    (void)snprintf(a->token, sizeof(a->token), "%.*s", HF_SLICE_ARG(hf_buffer_slice(&c->token)));
}

static void take_open(struct app *a, const struct holdfast_event *e)
{
    struct scene *s = a->scene;
    struct life *life = app_life(a);
    const char *dash = strchr(e->session, '-');
    uint64_t session = dash == NULL ? 0 : strtoull(dash + 1, NULL, 10);
    struct served *b = served_of_session(a, (uint32_t)strtoul(e->session, NULL, 16), session);
    a->connected = true;
    if (!e->gateway) {
        scene_break(s, "app %u takes the gateway for an ordinary server", a->id);
        return;
    }
    if (life->attempt != 0) {
        scene_break(s, "app %u is told of an open in the middle of a session", a->id);
        return;
    }
    if (b == NULL || b->life != NULL) {
        scene_break(s, "app %u has a session that %s", a->id,
                    b == NULL ? "no backend knows" : "it had before");
        return;
    }
    s->counts.opens++;
    s->counts.joins += b->attempt < a->attempts && app_life(a)->number == 1;
    life->attempt = a->attempts;
    life->served = b;
    life->boot = b->boot;
    life->session = session;
    life->last_attached = a->attempted;
    a->token[0] = '\0';
    note_token(a);
    scene_say(s, "app %u opens session %u", a->id, life->number);
    served_bind(b, life);
}

void app_opens_silently(struct app *a, struct served *b)
{
    struct life *life = app_life(a);
    if (life_count(life) == 0 && life->node.prev != &a->lives) {
        struct life *before = HF_CONTAINER(life->node.prev, struct life, node);
        life = before->attempt == 0 ? before : life; /* it was given up meanwhile */
    }
    if (life->attempt == 0) {
        life->attempt = b->attempt;
        life->served = b;
        life->boot = b->boot;
        life->session = b->session;
        served_bind(b, life);
    }
}

/* ---- messages -------------------------------------------------------------------------------- */

static bool is_next_of(const struct served *b, const struct holdfast_event *e)
{
    return b->delivered < b->sent.count &&
           scene_same(served_key(b), b->delivered, b->sent.at[b->delivered],
                      e->type == HOLDFAST_TEXT ? HF_OP_TEXT : HF_OP_BINARY,
                      hf_slice(e->data, e->size));
}

static void take_message(struct app *a, const struct holdfast_event *e)
{
    struct scene *s = a->scene;
    struct life *life = app_life(a);
    if (life->attempt == 0 || e->number != (uint64_t)life->got + 1) {
        scene_break(s, "app %u got message %llu, and had %u of its session", a->id,
                    (unsigned long long)e->number, life->got);
        return;
    }
    while (!is_next_of(life->served, e) && life->served->next != NULL) {
        life->served = life->served->next; /* the rest of the lost one never came to the gateway */
    }
    if (!is_next_of(life->served, e)) {
        scene_break(s, "app %u got as message %u of its session %zu bytes, which are not the next",
                    a->id, life->got + 1, e->size);
        return;
    }
    life->served->delivered++;
    life->got++;
    s->counts.messages_down++;
    scene_say(s, "app %u gets message %u of %zu bytes", a->id, life->got, e->size);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void take_resumed(struct app *a)
{
    struct scene *s = a->scene;
    struct life *life = app_life(a);
    struct gate_counts counts;
    const struct hf_client *c = &a->client->session;
    a->connected = true;
    a->resumed++;
    life->attempt_seen = c->attempt;
    note_token(a);
    s->counts.resumes++;
    s->counts.replays_up += c->sent > c->at.number;
    s->counts.replays_down += gate_counts(s, life, &counts) && counts.sent > life->got;
    s->counts.takeovers += gate_has_two(s);
    scene_say(s, "app %u resumes session %u", a->id, life->number);
    if (life->attempt == 0) {
        scene_break(s, "app %u is told of a resume without a session", a->id);
    }
    if (a->cursed > 0) {
        a->cursed--;
        hf_timer_set(s->outside, &a->curse, s->outside->now + a->curse_after);
    }
    if (a->ghost != NULL && a->ghost->connected) {
        struct hf_buffer offer;
        hf_buffer_init(&offer, &hf_heap, 65536);
        app_offer(a, &offer);
        hf_buffer_add_byte(&offer, 0);
        raw_offer(a->ghost, a, (const char *)offer.data);
        hf_buffer_reset(&offer);
        a->ghost = NULL;
    }
}

static void take_reconnecting(struct app *a, const struct holdfast_event *e)
{
    const char *cause = e->record->cause;
    a->connected = false;
    scene_say(a->scene, "app %u has no connection: %s", a->id, cause);
    if (strcmp(cause, "protocol") == 0 || strcmp(cause, "too_big") == 0 ||
        strcmp(cause, "no_gateway") == 0 || strcmp(cause, "handshake_bad") == 0) {
        scene_break(a->scene, "app %u ends its connection by %s: %s", a->id, cause,
                    e->record->reason);
    }
}

static const struct served *last_of(const struct life *life)
{
    const struct served *b = life->served;
    while (b != NULL && b->next != NULL) {
        b = b->next;
    }
    return b;
}

/* How far the backend had certainly come before its newest connection, or what is uncertain was
 * told. */
static uint64_t certain_of(const struct life *life)
{
    const struct served *last = last_of(life);
    const struct served *b = last;
    uint64_t certain = life->uncertain_to;
    while (b != NULL && b->before != NULL) {
        b = b->before;
    }
    for (; b != NULL && b != last; b = b->next) {
        if (b->first > certain + 1) {
            break; /* what lies between was never told */
        }
        certain = served_reached(b) > certain ? served_reached(b) : certain;
    }
    return certain;
}

static void take_rebound(struct app *a, const struct holdfast_event *e)
{
    struct scene *s = a->scene;
    struct life *life = app_life(a);
    s->counts.rebounds++;
    scene_say(s, "app %u is told of another backend connection: %llu to %llu", a->id,
              (unsigned long long)e->from, (unsigned long long)e->to);
    if (!s->holds) {
        scene_break(s, "app %u is told of a rebound, and nobody is to be held", a->id);
    } else if (e->from > e->to || e->to > life_count(life)) {
        scene_break(s, "app %u is told that %llu to %llu are uncertain, of %u", a->id,
                    (unsigned long long)e->from, (unsigned long long)e->to, life_count(life));
    } else if (certain_of(life) < e->from) {
        scene_break(s, "app %u is told that %llu were processed, and the backend had %llu", a->id,
                    (unsigned long long)e->from, (unsigned long long)certain_of(life));
    }
    life->uncertain_to = e->to;
}

/* ---- losses ---------------------------------------------------------------------------------- */

static bool backend_failed(const struct life *life)
{
    if (life->served == NULL) {
        return true; /* nobody was told of it */
    }
    for (const struct served *b = life->served; b != NULL; b = b->next) {
        if (b->cut || b->dark || b->close_sent != 0 || b->was_paused || b->ended) {
            return true;
        }
    }
    return false;
}

static uint64_t bytes_of(const struct life *life)
{
    uint64_t bytes = 0;
    const struct served *b = life->served;
    while (b != NULL && b->before != NULL) {
        b = b->before;
    }
    for (; b != NULL; b = b->next) {
        for (uint32_t i = 0; i < b->sent.count; i++) {
            bytes += b->sent.at[i].size + 16;
        }
    }
    return bytes;
}

/* Whether something that happened can have ended the session so. */
static bool is_explained(const struct app *a, const struct life *life, const char *reason)
{
    const struct scene *s = a->scene;
    hf_time away = now_of(a) - life->last_attached;
    if (a->rivaled && strcmp(reason, "epoch") != 0) {
        return true; /* whatever its rival had */
    }
    if (strcmp(reason, "expired") == 0) {
        return away + HF_MS(300) >= s->window || s->parked_max > 0 || s->memory > 0;
    }
    if (strcmp(reason, "overflow") == 0) {
        return s->memory > 0 || bytes_of(life) + 65536 >= s->park_bytes ||
               bytes_of(life) >= s->buffer;
    }
    if (strcmp(reason, "unknown") == 0) {
        return life->boot != s->boot || s->draining || away >= 10 * s->window;
    }
    if (strcmp(reason, "backend_gone") == 0 || strcmp(reason, "backend_lost") == 0) {
        return backend_failed(life);
    }
    if (strcmp(reason, "closed") == 0) {
        return a->asked != 0 || a->rivaled || backend_failed(life);
    }
    if (strcmp(reason, "stale") == 0) {
        return a->rivaled || a->ghosts;
    }
    if (strcmp(reason, "superseded") == 0) {
        return a->rivaled;
    }
    if (strcmp(reason, "auth") == 0) {
        return a->barred || a->subject[0] != '\0';
    }
    if (strcmp(reason, "drain") == 0) {
        return s->draining || life->boot != s->boot;
    }
    return strcmp(reason, "poison") == 0 || a->asked != 0;
}

static void check_handed_back(struct app *a, const struct life *life,
                              const struct holdfast_lost *lost)
{
    for (size_t i = 0; i < lost->message_count; i++) {
        const struct holdfast_message *m = &lost->messages[i];
        uint64_t number = lost->acked + i + 1;
        uint32_t index = life->first + (uint32_t)number - 1;
        if (m->number != number || m->sent != (number <= lost->sent) ||
            !scene_same(app_key(a), index, a->sent.at[index],
                        m->type == HOLDFAST_TEXT ? HF_OP_TEXT : HF_OP_BINARY,
                        hf_slice(m->data, m->size))) {
            scene_break(a->scene, "app %u is handed back message %llu, which is not message %llu",
                        a->id, (unsigned long long)m->number, (unsigned long long)number);
            return;
        }
    }
}

static void check_lost(struct app *a, const struct life *life, const struct holdfast_lost *lost)
{
    struct scene *s = a->scene;
    uint32_t count = life_count(life);
    const struct served *last = last_of(life);
    if (lost->received != life->got && a->asked == 0) {
        scene_break(s, "app %u is told that it received %llu messages, and it had %u", a->id,
                    (unsigned long long)lost->received, life->got);
    } else if (lost->acked > lost->sent || lost->sent > count ||
               lost->message_count != count - lost->acked) {
        scene_break(s,
                    "app %u is told: %llu acknowledged, %llu sent, %zu handed back, of %u messages",
                    a->id, (unsigned long long)lost->acked, (unsigned long long)lost->sent,
                    lost->message_count, count);
    } else if (lost->old_received >= 0 && ((uint64_t)lost->old_received < lost->acked ||
                                           (uint64_t)lost->old_received > lost->sent)) {
        scene_break(s, "app %u is told that the gateway counted %lld, of %llu to %llu", a->id,
                    (long long)lost->old_received, (unsigned long long)lost->acked,
                    (unsigned long long)lost->sent);
    } else if (last != NULL && served_reached(last) > lost->sent) {
        scene_break(s, "the backend got %u messages of app %u, which says it sent %llu",
                    served_reached(last), a->id, (unsigned long long)lost->sent);
    } else if (last != NULL && lost->old_received >= 0 &&
               served_reached(last) > (uint64_t)lost->old_received) {
        scene_break(s, "the backend got %u messages of app %u, and the gateway counted %lld",
                    served_reached(last), a->id, (long long)lost->old_received);
    } else if (!is_explained(a, life, lost->reason)) {
        scene_break(s, "app %u lost its session by %s, which nothing explains", a->id,
                    lost->reason);
    } else {
        check_handed_back(a, life, lost);
    }
}

static void count_reason(struct scene_counts *counts, const char *reason)
{
    counts->expired += strcmp(reason, "expired") == 0;
    counts->overflow += strcmp(reason, "overflow") == 0;
    counts->unknown += strcmp(reason, "unknown") == 0;
    counts->closed += strcmp(reason, "closed") == 0;
    counts->backend_gone += strcmp(reason, "backend_gone") == 0;
    counts->auth += strcmp(reason, "auth") == 0;
    counts->poison += strcmp(reason, "poison") == 0;
}

/* The backend closed, and its client came back behind the Close: it had everything before. */
static void check_closed(struct app *a, const struct life *life, const char *reason)
{
    const struct served *b = last_of(life);
    if (strcmp(reason, "closed") == 0 && a->asked == 0 && !a->rivaled && b != NULL &&
        b->close_sent != 0 && b->delivered != b->sent_at_close) {
        scene_break(a->scene, "app %u got %u of the %u messages before the backend's Close", a->id,
                    b->delivered, b->sent_at_close);
    }
}

static void take_lost(struct app *a, const struct holdfast_lost *lost)
{
    struct scene *s = a->scene;
    struct life *life = app_life(a);
    a->lost++;
    a->clean = false;
    s->counts.losses++;
    s->counts.handed_back += lost->message_count;
    s->counts.uncertain += lost->old_received < 0 && lost->sent > lost->acked;
    count_reason(&s->counts, lost->reason);
    scene_say(s,
              "app %u lost session %u: %s, received %llu, acked %llu, sent %llu, counted %lld, "
              "handed back %zu",
              a->id, life->number, lost->reason, (unsigned long long)lost->received,
              (unsigned long long)lost->acked, (unsigned long long)lost->sent,
              (long long)lost->old_received, lost->message_count);
    check_lost(a, life, lost);
    check_closed(a, life, lost->reason);
    life->last = a->sent.count;
    life->sent = lost->sent;
    life->acked = lost->acked;
    life->old_received = lost->old_received;
    life->told = true;
    (void)snprintf(life->reason, sizeof(life->reason), "%s", lost->reason);
    if (life->attempt != 0 || a->asked != 0) {
        life_begin(a);
    }
}

static bool close_is_explained(const struct app *a, const struct holdfast_record *record)
{
    const struct life *life = app_life(a);
    if (a->asked != 0) {
        return true;
    }
    if (strcmp(record->cause, "superseded") == 0) {
        return a->rivaled;
    }
    if (strcmp(record->cause, "auth") == 0) {
        return a->barred || a->subject[0] != '\0' || a->scene->mode == UPSTREAM_FORBIDS;
    }
    if (strcmp(record->cause, "closed") == 0) {
        return a->rivaled;
    }
    if (life->attempt == 0 && life->node.prev != &a->lives) {
        life = HF_CONTAINER(life->node.prev, struct life, node);
    }
    const struct served *b = last_of(life);
    return strcmp(record->cause, "backend_close") == 0 && b != NULL &&
           b->close_sent == record->code;
}

static void take_close(struct app *a, const struct holdfast_record *record)
{
    struct scene *s = a->scene;
    struct life *life = app_life(a);
    a->closed = true;
    a->connected = false;
    (void)snprintf(a->end_cause, sizeof(a->end_cause), "%s", record->cause);
    a->end_code = record->code;
    scene_say(s, "app %u is closed: %s %d", a->id, record->cause, record->code);
    if (!close_is_explained(a, record)) {
        scene_break(s, "app %u is closed by %s %d, which nothing explains", a->id, record->cause,
                    record->code);
        return;
    }
    if (a->asked != 0) {
        s->counts.goodbyes++;
        s->counts.goodbyes_lost += !a->clean;
        s->counts.late_goodbyes += record->code == HF_CLOSE_TRY_AGAIN;
        if (!a->clean && strcmp(record->cause, "closed") == 0 && record->code == a->asked &&
            life->attempt != 0) {
            scene_break(s, "app %u has its goodbye answered, and messages are lost", a->id);
        }
    } else if (strcmp(record->cause, "backend_close") == 0) {
        const struct served *b =
            last_of(life->attempt != 0 ? life : HF_CONTAINER(life->node.prev, struct life, node));
        s->counts.backend_closes++;
        if (b->delivered != b->sent_at_close) {
            scene_break(s, "app %u got %u of the %u messages before the backend's Close", a->id,
                        b->delivered, b->sent_at_close);
        }
    }
}

static void on_event(void *context, struct holdfast_client *client,
                     const struct holdfast_event *event)
{
    struct app *a = context;
    struct scene *s = a->scene;
    if (s->broken[0] != '\0') {
        return;
    }
    if (a->closed && event->kind != HOLDFAST_EVENT_STATE) {
        scene_break(s, "app %u is told %s behind the end", a->id, holdfast_event_text(event->kind));
        return;
    }
    switch (event->kind) {
    case HOLDFAST_EVENT_OPEN:
        take_open(a, event);
        break;
    case HOLDFAST_EVENT_MESSAGE:
        take_message(a, event);
        break;
    case HOLDFAST_EVENT_RECONNECTING:
        take_reconnecting(a, event);
        break;
    case HOLDFAST_EVENT_RESUMED:
        take_resumed(a);
        break;
    case HOLDFAST_EVENT_LOST:
        take_lost(a, event->lost);
        break;
    case HOLDFAST_EVENT_CLOSE:
        take_close(a, event->record);
        break;
    case HOLDFAST_EVENT_REBOUND:
        take_rebound(a, event);
        break;
    case HOLDFAST_EVENT_AUTHORIZED:
        s->counts.authorized++;
        scene_say(s, "app %u is authorized anew", a->id);
        break;
    case HOLDFAST_EVENT_STATE:
        break;
    }
}

/* ---- making ---------------------------------------------------------------------------------- */

static void entropy(void *context, void *bytes, size_t size)
{
    struct app *a = context;
    uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++) {
        at[i] = (uint8_t)hf_random_below(&a->random, 256);
    }
}

/* Somebody else is ready to say again what the application is about to offer. */
static void raise_ghost(struct app *a)
{
    struct sim_path path = a->path;
    path.latency = 20;
    path.jitter = 0;
    path.loss_percent = 0;
    if (a->ghosts && a->attempts > 1 && (a->ghost == NULL || !a->ghost->connected)) {
        a->ghost = raw_new(a->scene, "10.9.9.9", &path);
    }
}

static void on_ask_url(void *context, struct holdfast_answer *answer)
{
    struct app *a = context;
    char url[80];
    (void)snprintf(url, sizeof(url), "ws://10.0.0.1/ws/?c=%u&a=%u", a->id, ++a->attempts);
    a->attempted = now_of(a);
    scene_say(a->scene, "app %u makes attempt %u", a->id, a->attempts);
    holdfast_answer_set(answer, url);
    raise_ghost(a);
}

static void on_ask_token(void *context, struct holdfast_answer *answer)
{
    struct app *a = context;
    struct hf_buffer token;
    hf_buffer_init(&token, &hf_heap, 4096);
    scene_token(a->scene, a->subject, a->token_ms, &token);
    hf_buffer_add_byte(&token, 0);
    holdfast_answer_set(answer, (const char *)token.data);
    hf_buffer_reset(&token);
}

static int64_t or_usual(int64_t value, int64_t usual)
{
    return value == 0 ? usual : value;
}

static struct holdfast_options *options_of(struct app *a, const struct app_options *options)
{
    struct holdfast_options *o = holdfast_options_new();
    HF_ASSERT(o != NULL);
    HF_ASSERT(holdfast_options_ask_url(o, on_ask_url, a) == HOLDFAST_OK);
    if (a->subject[0] != '\0') {
        HF_ASSERT(holdfast_options_ask_token(o, on_ask_token, a) == HOLDFAST_OK);
        HF_ASSERT(holdfast_options_set_token_query(o, "token") == HOLDFAST_OK);
    }
    HF_ASSERT(holdfast_options_set_backoff(o, or_usual(options->backoff_base_ms, 1000),
                                           or_usual(options->backoff_cap_ms, 30000)) ==
              HOLDFAST_OK);
    HF_ASSERT(holdfast_options_set_connect_timeout(
                  o, or_usual(options->connect_timeout_ms, 20000)) == HOLDFAST_OK);
    HF_ASSERT(holdfast_options_set_heartbeat(o, or_usual(options->heartbeat_ms, 25000),
                                             or_usual(options->answer_ms, 10000)) == HOLDFAST_OK);
    HF_ASSERT(
        holdfast_options_set_queue(o, (uint64_t)or_usual((int64_t)options->queue_messages, 16384),
                                   8388608) == HOLDFAST_OK);
    holdfast_options_set_handler(o, on_event, a);
    return o;
}

static void fire_curse(struct hf_timer *timer, hf_time now)
{
    struct app *a = HF_CONTAINER(timer, struct app, curse);
    if (a->connected) {
        app_cut(a);
    }
}

struct app *app_new(struct scene *s, const struct app_options *options)
{
    struct app *a = calloc(1, sizeof(*a));
    char host[40];
    enum holdfast_status why;
    HF_ASSERT(a != NULL);
    a->scene = s;
    a->id = ++s->app_count;
    (void)snprintf(host, sizeof(host), "10.9.0.%u", a->id);
    a->host = scene_host(options->host != NULL ? options->host : host);
    a->path = options->path != NULL ? *options->path : sim_calm_path;
    (void)snprintf(a->subject, sizeof(a->subject), "%s",
                   options->subject != NULL ? options->subject : "");
    a->token_ms = options->token_ms;
    hf_random_init(&a->random, hf_random_next(&s->random));
    hf_list_init(&a->lives);
    hf_list_init(&a->node);
    hf_list_append(&s->apps, &a->node);
    hf_timer_init(&a->curse, fire_curse);
    life_begin(a);
    a->loop = sim_loop_new(s->sim);
    sim_loop_source(a->loop, &a->host);
    a->library = hf_client_loop_over(a->loop, entropy, a);
    HF_ASSERT(a->library != NULL);
    struct holdfast_options *o = options_of(a, options);
    a->client = holdfast_client_new(a->library, o, &why);
    HF_ASSERT(a->client != NULL);
    holdfast_options_free(o);
    return a;
}

void app_leave(struct app *a)
{
    if (a->client != NULL) {
        scene_say(a->scene, "app %u leaves without a word", a->id);
        holdfast_client_free(a->client);
        a->client = NULL;
        a->connected = false;
    }
}

void app_free(struct app *a)
{
    hf_timer_stop(a->scene->outside, &a->curse);
    holdfast_client_free(a->client);
    (void)sim_loop_turn(a->loop, 0); /* tasks that were posted hold memory */
    holdfast_loop_free(a->library);
    hf_loop_free(a->loop);
    while (!hf_list_empty(&a->lives)) {
        life_free(app_life(a));
    }
    hf_list_remove(&a->node);
    free(a->sent.at);
    free(a);
}

/* ---- deeds ----------------------------------------------------------------------------------- */

bool app_is_open(const struct app *a)
{
    return a->client != NULL && a->connected;
}

static bool is_awake(const struct app *a)
{
    return a->client != NULL && !a->closed && now_of(a) >= a->asleep;
}

bool app_send(struct app *a, uint8_t opcode, uint32_t size)
{
    if (!is_awake(a)) {
        return false;
    }
    struct note note = {size, opcode};
    uint8_t *bytes = scene_content(app_key(a), a->sent.count, note);
    notes_add(&a->sent, opcode, size);
    enum holdfast_send result = holdfast_client_send(
        a->client, opcode == HF_OP_TEXT ? HOLDFAST_TEXT : HOLDFAST_BINARY, bytes, size);
    free(bytes);
    if (result != HOLDFAST_SENT && result != HOLDFAST_QUEUED) {
        a->sent.count--;
        a->scene->counts.full += result == HOLDFAST_FULL;
        if (result == HOLDFAST_NOT_UTF8 || result == HOLDFAST_TOO_BIG) {
            scene_break(a->scene, "app %u: %s", a->id, holdfast_send_text(result));
        }
        return false;
    }
    scene_say(a->scene, "app %u sends message %u of %u bytes", a->id,
              a->sent.count - app_life(a)->first, size);
    return true;
}

void app_close(struct app *a, int code, const char *reason)
{
    if (is_awake(a) && a->asked == 0) {
        scene_say(a->scene, "app %u closes with %d", a->id, code);
        a->asked = code;
        a->clean = true;
        HF_ASSERT(holdfast_client_close(a->client, code, reason) == HOLDFAST_OK);
    }
}

void app_cut(struct app *a)
{
    scene_say(a->scene, "a box on the way resets app %u", a->id);
    sim_host_reset(a->scene->sim, &a->host);
}

void app_roam(struct app *a)
{
    scene_say(a->scene, "app %u is in another network", a->id);
    sim_host_darken(a->scene->sim, &a->host);
}

void app_offline(struct app *a, bool offline)
{
    if (a->offline != offline) {
        scene_say(a->scene, "the network of app %u is %s", a->id, offline ? "gone" : "back");
        a->offline = offline;
        if (offline) {
            sim_host_darken(a->scene->sim, &a->host);
        } else {
            sim_host_lighten(a->scene->sim, &a->host);
        }
    }
}

void app_sleep(struct app *a, hf_time duration)
{
    if (is_awake(a)) {
        scene_say(a->scene, "the machine of app %u sleeps", a->id);
        a->asleep = now_of(a) + duration;
        a->scene->counts.slept++;
        sim_loop_freeze(a->loop, a->asleep);
    }
}

void app_hurry(struct app *a)
{
    if (is_awake(a)) {
        holdfast_client_hurry(a->client);
    }
}

void app_authorize(struct app *a)
{
    struct hf_buffer token;
    if (!is_awake(a) || a->subject[0] == '\0') {
        return;
    }
    hf_buffer_init(&token, &hf_heap, 4096);
    scene_token(a->scene, a->subject, a->token_ms, &token);
    hf_buffer_add_byte(&token, 0);
    (void)holdfast_client_authorize(a->client, (const char *)token.data);
    hf_buffer_reset(&token);
}

void app_offer(const struct app *a, struct hf_buffer *out)
{
    if (a->client != NULL) {
        hf_buffer_add(out, hf_buffer_slice(&a->client->protocols));
    }
}

bool app_token(const struct app *a, char token[64], uint64_t *epoch, uint64_t *received,
               uint64_t *attempt)
{
    const struct hf_client *c = &a->client->session;
    if (a->client == NULL || !c->known || c->token.len >= 64) {
        return false;
    }
    (void)snprintf(token, 64, "%.*s", HF_SLICE_ARG(hf_buffer_slice(&c->token)));
    *epoch = c->epoch;
    *received = c->received;
    *attempt = c->attempt;
    return true;
}

/* ---- what must hold -------------------------------------------------------------------------- */

bool app_is_settled(const struct app *a)
{
    const struct life *life = app_life(a);
    if (a->client == NULL || a->closed) {
        return true;
    }
    if (!a->connected || life->attempt == 0) {
        return false;
    }
    const struct served *b = last_of(life);
    const struct hf_client *c = &a->client->session;
    return (served_reached(b) == life_count(life) || life->uncertain_to == life_count(life)) &&
           b->delivered == b->sent.count && c->journal.base == c->journal.end && served_is_open(b);
}

/* The credit of the library: docs/protocol.md section 5. */
void app_check(struct app *a)
{
    if (a->client == NULL || a->closed) {
        return;
    }
    const struct hf_client *c = &a->client->session;
    uint64_t count = c->at.number - c->journal.base;
    if (c->known && c->link == HF_CLIENT_ATTACHED && count > 1 && c->out_cost > c->buffer) {
        scene_break(a->scene, "app %u has %llu bytes beyond the last ack, and credit for %llu",
                    a->id, (unsigned long long)c->out_cost, (unsigned long long)c->buffer);
    }
    if (c->journal.end > a->sent.count - app_life(a)->first) {
        scene_break(a->scene, "the library of app %u has more messages than were sent", a->id);
    }
}
