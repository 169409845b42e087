/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway of a scene: its process comes and goes, and what must hold inside it. */
#include "scene_core.h"

#include "gateway/gateway.h"
#include "gateway/keep_hold.h"
#include "gateway/keeper.h"
#include "gateway/ledger.h"

#include <openssl/rand.h>

#define WORKERS_MAX 4

struct gate {
    struct hf_gateway *gateway; /* NULL: down */
    struct hf_loop *loops[WORKERS_MAX];
    struct hf_config *config;
    struct hf_address door;
    uint64_t endings[HF_CAUSE_COUNT]; /* of gateways that are gone */
    uint64_t parked;
};

/* Secrets of the gateway: random to everybody, but the same for each run of a seed. */
static struct hf_random secrets;

int RAND_bytes(unsigned char *bytes, int count)
{
    for (int i = 0; i < count; i++) {
        bytes[i] = (unsigned char)hf_random_below(&secrets, 256);
    }
    return 1;
}

/* ---- its life -------------------------------------------------------------------------------- */

static struct hf_config *parse(const char *yaml)
{
    struct hf_buffer errors;
    struct hf_config *config = NULL;
    hf_buffer_init(&errors, &hf_heap, 1 << 20);
    if (hf_config_parse_text(hf_slice_of(yaml), &config, &errors) != HF_OK) {
        fprintf(stderr, "%.*s\n", HF_SLICE_ARG(hf_buffer_slice(&errors)));
    }
    hf_buffer_reset(&errors);
    return config;
}

static void read_rules(struct scene *s)
{
    const struct hf_route_config *r = &s->gate->config->routes[0];
    s->holds = r->on_backend_loss != HF_LOSS_CLOSE;
    s->prologue = r->on_backend_loss == HF_LOSS_PROLOGUE;
    s->window = r->session.window;
    s->park_bytes = r->session.park_bytes;
    s->buffer = r->session.buffer;
    s->parked_max = r->session.parked_per_principal < 50 ? r->session.parked_per_principal
                                                         : r->session.parked_per_address;
    s->memory = s->gate->config->session_memory < (64U << 20) ? s->gate->config->session_memory : 0;
    s->tokens = r->auth.kind == HF_AUTH_JWT;
}

struct gate *gate_new(struct scene *s)
{
    struct gate *g = calloc(1, sizeof(*g));
    HF_ASSERT(g != NULL);
    s->gate = g;
    HF_ASSERT(hf_address_parse(HF_LITERAL(SCENE_DOOR), &g->door));
    g->config = parse(s->options.yaml);
    if (g->config != NULL) {
        read_rules(s);
    }
    return g;
}

bool gate_is_up(const struct scene *s)
{
    return s->gate->gateway != NULL;
}

struct hf_address gate_door(const struct scene *s)
{
    return s->gate->door;
}

bool gate_start(struct scene *s)
{
    struct gate *g = s->gate;
    struct hf_buffer why;
    if (g->gateway != NULL || g->config == NULL) {
        return g->gateway != NULL;
    }
    uint64_t seed = s->options.seed + ((uint64_t)++s->boot << 32) * 3;
    hf_random_init(&secrets, seed ^ 0x5ec7e75);
    hf_buffer_init(&why, &hf_heap, 1 << 20);
    struct hf_address host = scene_host("10.0.0.1:0");
    for (size_t i = 0; i < s->options.workers; i++) {
        g->loops[i] = sim_loop_new(s->sim);
        sim_loop_source(g->loops[i], &host);
    }
    enum hf_status status =
        hf_gateway_new(g->config, s->log, g->loops, s->options.workers, seed, &g->gateway, &why);
    if (status != HF_OK) {
        fprintf(stderr, "gateway: %s %.*s\n", hf_status_text(status),
                HF_SLICE_ARG(hf_buffer_slice(&why)));
    }
    hf_buffer_reset(&why);
    s->draining = false;
    if (s->boot > 1) {
        scene_say(s, "the gateway starts again");
    }
    return status == HF_OK;
}

static uint64_t count_parked(const struct gate *g)
{
    uint64_t sum = 0;
    for (size_t i = 0; g->gateway != NULL && i < g->gateway->worker_count; i++) {
        sum += atomic_load(&g->gateway->workers[i]->counters[HF_COUNT_sessions_parked]);
    }
    return sum;
}

static void remember_endings(struct gate *g)
{
    g->parked += count_parked(g);
    for (unsigned i = 0; i < HF_CAUSE_COUNT; i++) {
        g->endings[i] += atomic_load(&g->gateway->endings[i]);
    }
}

/* What is on its way between two workers arrives first. */
static void let_moves_arrive(struct scene *s)
{
    for (int i = 0; i < 100 && !hf_list_empty(&s->gate->gateway->moves); i++) {
        for (size_t k = 0; k < s->options.workers; k++) {
            (void)sim_loop_turn(s->gate->loops[k], 0);
        }
    }
}

static void down(struct scene *s, bool crash)
{
    struct gate *g = s->gate;
    if (g->gateway == NULL) {
        return;
    }
    let_moves_arrive(s);
    remember_endings(g);
    for (size_t i = 0; crash && i < s->options.workers; i++) {
        sim_loop_crash(g->loops[i]);
    }
    hf_gateway_free(g->gateway);
    g->gateway = NULL;
}

void gate_crash(struct scene *s)
{
    if (gate_is_up(s)) {
        scene_say(s, "the gateway crashes");
        s->counts.crashes++;
        down(s, true);
    }
}

void gate_free(struct scene *s)
{
    if (s->gate != NULL) {
        down(s, true);
        hf_config_unref(s->gate->config);
        free(s->gate);
    }
}

void gate_drain(struct scene *s, hf_time spread)
{
    if (gate_is_up(s) && !s->draining) {
        scene_say(s, "the gateway is told to drain");
        s->draining = true;
        s->counts.drains++;
        hf_gateway_drain(s->gate->gateway, spread);
    }
}

void gate_freeze(struct scene *s, size_t worker, hf_time duration)
{
    if (gate_is_up(s)) {
        scene_say(s, "a worker of the gateway stands still");
        s->frozen_until = sim_now(s->sim) + duration + HF_SECONDS(1);
        sim_loop_freeze(s->gate->loops[worker % s->options.workers], sim_now(s->sim) + duration);
    }
}

/* ---- looking into it ------------------------------------------------------------------------- */

typedef bool visit(void *context, struct hf_keep *k);

/* Sessions that have not ended, until one is the right one. */
static struct hf_keep *find(const struct scene *s, visit *is_it, void *context)
{
    for (size_t i = 0; s->gate->gateway != NULL && i < s->options.workers; i++) {
        struct hf_keeper *keeper = s->gate->gateway->workers[i]->keeper;
        struct hf_list *lists[] = {&keeper->live, &keeper->parked};
        for (size_t l = 0; l < 2; l++) {
            struct hf_list *next;
            for (struct hf_list *n = lists[l]->next; n != lists[l]; n = next) {
                struct hf_keep *k = HF_CONTAINER(n, struct hf_keep, node);
                next = n->next;
                if (is_it(context, k)) {
                    return k;
                }
            }
        }
    }
    return NULL;
}

static bool is_life(void *context, struct hf_keep *k)
{
    const struct life *life = context;
    return k->session.id == life->session;
}

static struct hf_keep *keep_of(const struct scene *s, const struct life *life)
{
    return life->boot == s->boot && life->attempt != 0 ? find(s, is_life, (void *)(uintptr_t)life)
                                                       : NULL;
}

bool gate_counts(const struct scene *s, const struct life *life, struct gate_counts *counts)
{
    const struct hf_keep *k = keep_of(s, life);
    if (k == NULL) {
        return false;
    }
    *counts = (struct gate_counts){.received = k->session.counted,
                                   .sent = k->session.journal.end,
                                   .written = k->session.written};
    return true;
}

struct asker {
    const struct scene *scene;
    unsigned app, attempt; /* attempt 0: any but a stranger's */
    unsigned from;         /* the attempt that asks */
};

static bool is_of(const char *target, const struct asker *asker)
{
    unsigned app = 0;
    unsigned attempt = 0;
    const char *at = strchr(target, '?');
    return at != NULL && sscanf(at, "?c=%u&a=%u", &app, &attempt) == 2 && app == asker->app &&
           (asker->attempt == 0 ? attempt < SCENE_STRANGERS : attempt == asker->attempt);
}

static bool is_asking(void *context, struct hf_keep *k)
{
    char target[300];
    bool dials = k->birth != NULL && k->birth->dial != NULL;
    if (!dials && !hf_keep_hold_is_away(k)) {
        return false;
    }
    const struct hf_petition *p = dials ? k->birth->petition : hf_keep_hold_petition(k);
    if (p == NULL) {
        return false;
    }
    (void)snprintf(target, sizeof(target), "%.*s", HF_SLICE_ARG(p->head->target));
    return is_of(target, context);
}

struct census {
    const char *state;
    size_t count, with_client, held, parked;
};

static bool take_census(void *context, struct hf_keep *k)
{
    struct census *c = context;
    c->count +=
        c->state == NULL ||
        strcmp(hf_session_state_text((enum hf_session_state)k->session.state), c->state) == 0;
    c->with_client += k->client != NULL;
    c->held += hf_session_bytes(&k->session);
    c->parked += k->session.state == HF_SESSION_PARKED;
    return false;
}

size_t gate_sessions(const struct scene *s, const char *state)
{
    struct census c = {.state = state};
    (void)find(s, take_census, &c);
    return c.count;
}

bool gate_has(const struct scene *s, const struct app *a, const char *state)
{
    const struct hf_keep *k = keep_of(s, app_life(a));
    return k != NULL &&
           strcmp(hf_session_state_text((enum hf_session_state)k->session.state), state) == 0;
}

uint64_t gate_parked(const struct scene *s)
{
    return s->gate->parked + count_parked(s->gate);
}

bool gate_has_heard(const struct scene *s, const struct app *a)
{
    const struct hf_keep *k = keep_of(s, app_life(a));
    return k != NULL && k->client != NULL && k->session.heard;
}

uint64_t gate_ending(const struct scene *s, const char *cause)
{
    enum hf_cause number = hf_cause_from_id(hf_slice_of(cause));
    return s->gate->endings[number] +
           (gate_is_up(s) ? atomic_load(&s->gate->gateway->endings[number]) : 0);
}

bool gate_key(const struct scene *s, const struct app *a, char key[64])
{
    const struct hf_keep *k = keep_of(s, app_life(a));
    if (k == NULL) {
        return false;
    }
    struct hf_token token = {.node = (uint16_t)s->gate->config->session_node,
                             .boot = s->gate->gateway->boot,
                             .worker = (uint8_t)k->backend.worker->index,
                             .id = k->session.id};
    hf_keep_key(hf_keep_keeper(k), token.id, token.secret);
    hf_key_write(&token, key);
    key[HF_KEY_CHARS] = '\0';
    return true;
}

static bool is_session(void *context, struct hf_keep *k)
{
    return k->session.id == *(uint64_t *)context;
}

uint32_t gate_written(const struct scene *s, uint64_t session)
{
    const struct hf_keep *k = find(s, is_session, &session);
    return k == NULL ? 0 : (uint32_t)k->session.written;
}

uint32_t gate_boot_id(const struct scene *s)
{
    return gate_is_up(s) ? s->gate->gateway->boot : 0;
}

bool gate_has_two(const struct scene *s)
{
    struct census c = {.state = NULL};
    size_t sockets = 0;
    (void)find(s, take_census, &c);
    for (size_t i = 0; gate_is_up(s) && i < s->options.workers; i++) {
        sockets += s->gate->gateway->workers[i]->keeper->socket_count;
    }
    return sockets > c.with_client;
}

/* ---- what must hold always ------------------------------------------------------------------- */

/* The application's history that the session is part of. */
static struct life *life_of(const struct scene *s, const struct hf_keep *k)
{
    for (struct hf_list *n = s->apps.next; n != &s->apps; n = n->next) {
        const struct app *a = HF_CONTAINER(n, struct app, node);
        for (struct hf_list *m = a->lives.next; m != &a->lives; m = m->next) {
            struct life *life = HF_CONTAINER(m, struct life, node);
            if (life->attempt != 0 && life->boot == s->boot && life->session == k->session.id) {
                return life;
            }
        }
    }
    return NULL;
}

/* A dial that runs may have been asked for by what came before the newest resume. */
static bool is_away(void *context, struct hf_keep *k)
{
    const struct asker *asker = context;
    if (!hf_keep_hold_is_away(k) || !is_of(hf_identity_target(k->identity), asker)) {
        return false;
    }
    struct life *life = life_of(asker->scene, k);
    if (asker->from == 0) {
        return true;
    }
    const struct app *a = life == NULL ? NULL : life->app;
    bool newest = a != NULL && life->node.next == &a->lives;
    unsigned end = a == NULL || newest ? UINT32_MAX
                                       : HF_CONTAINER(life->node.next, struct life, node)->attempt;
    return a != NULL && asker->from >= life->attempt && (end == 0 || asker->from < end);
}

uint64_t gate_asks(const struct scene *s, const struct app *a, unsigned attempt)
{
    struct asker asker = {s, a->id, attempt, attempt};
    const struct hf_keep *k = find(s, is_asking, &asker);
    asker.attempt = 0;
    if (k == NULL) {
        k = find(s, is_away, &asker);
    }
    if (k == NULL) {
        asker.from = 0;
        k = find(s, is_away, &asker);
    }
    return k == NULL ? 0 : k->session.id;
}

static bool check_keep(void *context, struct hf_keep *k)
{
    struct scene *s = context;
    const struct hf_session *x = &k->session;
    const struct hf_session_rules *rules = hf_keep_rules(k);
    unsigned long long id = (unsigned long long)x->id;
    struct life *life = life_of(s, k);
    uint64_t out = x->cost_in - x->cost_told;
    if (life != NULL && k->client != NULL) {
        life->last_attached = sim_now(s->sim);
    }
    if (life != NULL && x->journal.base > life->got && !life->app->rivaled &&
        life->app->asked == 0) {
        scene_break(s, "session %llu dropped message %llu, and its application got %u", id,
                    (unsigned long long)x->journal.base, life->got);
    }
    if (x->taken > x->written || x->told > x->taken || x->written > x->counted) {
        scene_break(s, "session %llu counts wrongly", id);
    }
    if (x->counted > x->told + 1 && out > rules->buffer + HF_RECORD_COST) {
        scene_break(s, "session %llu holds %llu bytes of its client, and gave credit for %u", id,
                    (unsigned long long)out, rules->buffer);
    }
    uint64_t most = (rules->park_bytes > rules->buffer ? rules->park_bytes : rules->buffer) +
                    HF_PARK_RESERVE + 65536 + 300 * 1024;
    if (x->journal.cost > most) {
        scene_break(s, "session %llu holds %llu bytes for its client, and may hold %llu", id,
                    (unsigned long long)x->journal.cost, (unsigned long long)most);
    }
    if (!x->connected && x->state != HF_SESSION_OPENING &&
        x->mark + HF_SECONDS(3) < sim_now(s->sim) && s->frozen_until < sim_now(s->sim)) {
        scene_break(s, "session %llu is parked beyond its window", id);
    }
    return false;
}

static void check_books(struct scene *s)
{
    struct census c = {.state = NULL};
    uint64_t used = 0;
    (void)find(s, take_census, &c);
    for (size_t i = 0; gate_is_up(s) && i < s->options.workers; i++) {
        used += atomic_load(&s->gate->gateway->workers[i]->sessions.held);
    }
    if (used != c.held) {
        scene_break(s, "the books say that sessions hold %llu bytes, and they hold %zu",
                    (unsigned long long)used, c.held);
    }
    if (s->memory > 0 && used > s->memory + 300 * 1024) {
        scene_break(s, "sessions hold %llu bytes, and may hold %llu", (unsigned long long)used,
                    (unsigned long long)s->memory);
    }
}

/* Nobody in this world breaks a rule. */
static void check_endings(struct scene *s)
{
    static const char *const never[] = {"client_protocol", "backend_protocol", "message_too_big",
                                        "handshake_bad"};
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        if (gate_ending(s, never[i]) > 0 && !s->strangers_break) {
            scene_break(s, "the gateway ended something by %s", never[i]);
        }
    }
}

void gate_check(struct scene *s)
{
    (void)find(s, check_keep, s);
    check_books(s);
    check_endings(s);
}

/* ---- the end --------------------------------------------------------------------------------- */

bool gate_is_idle(struct scene *s)
{
    return !gate_is_up(s) || hf_gateway_is_idle(s->gate->gateway);
}

void gate_check_empty(struct scene *s)
{
    for (size_t i = 0; gate_is_up(s) && i < s->options.workers; i++) {
        const struct hf_worker *w = s->gate->gateway->workers[i];
        const struct hf_keeper *keeper = w->keeper;
        if (atomic_load(&w->sessions.held) != 0 || keeper->by_id.count != 0 ||
            keeper->by_secret.count != 0 || w->open_now != 0) {
            scene_break(s, "a worker holds %llu bytes and counts %zu sessions, and has none",
                        (unsigned long long)atomic_load(&w->sessions.held),
                        (size_t)keeper->by_id.count);
        }
        if (w->loop->wheel.count > 1) { /* the log's flush */
            scene_break(s, "%zu timers are left on a worker", (size_t)w->loop->wheel.count);
        }
    }
    struct hf_runtime *rt = gate_is_up(s) ? s->gate->gateway->runtime : NULL;
    for (size_t i = 0; rt != NULL && i < rt->config->route_count; i++) {
        for (size_t k = 0; k < rt->routes[i].backend_count; k++) {
            if (rt->routes[i].state->open != 0 || rt->routes[i].backends[k].state->active != 0) {
                scene_break(s, "a route or a backend counts connections, and none is open");
            }
        }
    }
}
