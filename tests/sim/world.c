/* SPDX-License-Identifier: Apache-2.0 */
/* The world: the gateway in the middle, time, and what must hold always and at the end. */
#include "world_core.h"

#include "gateway/ledger.h"
#include "gateway/opening.h"
#include "gateway/relay.h"

#include <stdarg.h>
#include <stdlib.h>

#define CHECK_EVERY HF_MS(100)
#define BIT(cause) ((uint64_t)1 << (cause))
_Static_assert(HF_CAUSE_COUNT <= 64, "causes are bits of 64");

/* ---- the story ------------------------------------------------------------------------------- */

void world_say(struct world *w, const char *format, ...)
{
    char text[400];
    va_list args;
    if (!w->options.trace) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    hf_buffer_add_text(&w->trace, text);
    hf_buffer_add_byte(&w->trace, '\n');
    if (w->options.print) {
        hf_log_flush(w->log);
        fprintf(stderr, "%10.3f ms  %s\n", (double)(sim_now(w->sim) - w->began) / 1000, text);
    }
}

void world_break(struct world *w, const char *format, ...)
{
    va_list args;
    if (w->broken[0] != '\0') {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(w->broken, sizeof(w->broken), format, args);
    va_end(args);
    world_say(w, "BROKEN: %s", w->broken);
}

/* ---- making ---------------------------------------------------------------------------------- */

/* The gateway's connects go to backends, all others to the gateway. */
static enum sim_fate shape(void *context, const struct hf_address *from,
                           const struct hf_address *to, struct sim_path *path)
{
    struct world *w = context;
    bool to_door = to->u.v4.sin_addr.s_addr == w->door.u.v4.sin_addr.s_addr;
    *path = to_door ? w->client_path : w->backend_path;
    return to_door ? SIM_FATE_LISTENERS : w->backend_fate;
}

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

/* What the checks hold the gateway to. */
static void read_rules(struct world *w)
{
    const struct hf_route_config *r = &w->config->routes[0];
    uint32_t limit = r->limits.messages_per_minute;
    uint32_t burst = r->limits.messages_burst != 0 ? r->limits.messages_burst
                     : limit < 100                 ? limit
                                                   : 100;
    w->rules = (struct world_rules){
        .messages_per_minute = r->limits.dry_run ? 0 : limit,
        .messages_burst = burst,
        .address_connections = r->limits.dry_run ? 0 : r->limits.address_connections,
        .principal_per_minute = r->limits.dry_run ? 0 : r->limits.principal_messages_per_minute,
        .principal_connections = r->limits.dry_run ? 0 : r->limits.principal_connections,
        .beat = r->app_heartbeat.match,
        .beat_answer = r->app_heartbeat.answer,
        .holds = r->on_backend_loss != HF_LOSS_CLOSE,
        .drop_replies = r->on_backend_loss == HF_LOSS_PROLOGUE ? r->prologue.drop_replies : 0,
        .prologue = r->on_backend_loss == HF_LOSS_PROLOGUE,
        .client_interval = r->heartbeat.client_interval,
        .client_timeout = r->heartbeat.client_timeout,
        .backend_interval = r->heartbeat.backend_interval,
        .backend_timeout = r->heartbeat.backend_timeout,
        .send_timeout = r->send_timeout,
    };
}

static bool start_gateway(struct world *w)
{
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, 1 << 20);
    for (size_t i = 0; i < w->options.workers; i++) {
        w->loops[i] = sim_loop_new(w->sim);
    }
    enum hf_status status = hf_gateway_new(w->config, w->log, w->loops, w->options.workers,
                                           w->options.seed, &w->gateway, &why);
    if (status != HF_OK) {
        fprintf(stderr, "gateway: %s %.*s\n", hf_status_text(status),
                HF_SLICE_ARG(hf_buffer_slice(&why)));
    } else {
        hf_gateway_address(w->gateway, 0, &w->door);
    }
    hf_buffer_reset(&why);
    return status == HF_OK;
}

static void start_backends(struct world *w)
{
    for (size_t i = 0; i < w->options.backends; i++) {
        struct backend *b = &w->backends[i];
        char text[40];
        (void)snprintf(text, sizeof(text), "10.1.0.%zu:9000", i + 1);
        HF_ASSERT(hf_address_parse(hf_slice_of(text), &b->address));
        b->world = w;
        backend_start(b);
    }
}

struct world *world_new(const struct world_options *options)
{
    struct world *w = calloc(1, sizeof(*w));
    HF_ASSERT(w != NULL);
    w->options = *options;
    w->options.workers = options->workers == 0 ? 1 : options->workers;
    w->options.backends = options->backends == 0 ? 1 : options->backends;
    w->client_path = sim_calm_path;
    w->backend_path = sim_calm_path;
    hf_list_init(&w->sessions);
    hf_list_init(&w->peers);
    hf_buffer_init(&w->trace, &hf_heap, SIZE_MAX / 2);
    hf_random_init(&w->random, options->seed);
    w->sim = sim_new(options->seed ^ 0x5eed);
    w->outside = sim_loop_new(w->sim);
    w->began = sim_now(w->sim);
    struct sim_shaper shaper = {w, shape};
    sim_shape(w->sim, &shaper);
    w->config = parse(options->yaml);
    if (options->print) {
        (void)!hf_log_open(NULL, HF_LOG_TEXT, HF_LOG_DEBUG, &w->log);
    }
    if (w->config == NULL || !start_gateway(w)) {
        world_free(w);
        return NULL;
    }
    read_rules(w);
    start_backends(w);
    return w;
}

void world_free(struct world *w)
{
    hf_gateway_free(w->gateway);
    while (!hf_list_empty(&w->peers)) {
        peer_free(HF_CONTAINER(w->peers.next, struct peer, node));
    }
    while (!hf_list_empty(&w->sessions)) {
        struct session *s = HF_CONTAINER(w->sessions.next, struct session, node);
        hf_list_remove(&s->node);
        free(s);
    }
    hf_loop_free(w->outside);
    hf_log_close(w->log);
    hf_config_unref(w->config);
    sim_free(w->sim);
    hf_buffer_reset(&w->trace);
    free(w);
}

/* ---- looking into the gateway ---------------------------------------------------------------- */

/* The session that a redacted target names; 0: none. */
static unsigned id_of_target(const char *target)
{
    const char *at = strstr(target, "?c=");
    return at == NULL ? 0 : (unsigned)strtoul(at + 3, NULL, 10);
}

struct hf_relay *world_relay(struct world *w, const struct session *s)
{
    for (size_t i = 0; i < w->gateway->worker_count; i++) {
        struct hf_list *head = &w->gateway->workers[i]->relays;
        for (struct hf_list *n = head->next; n != head; n = n->next) {
            struct hf_relay *r = HF_CONTAINER(n, struct hf_relay, node);
            if (id_of_target(hf_identity_target(r->identity)) == s->id) {
                return r;
            }
        }
    }
    return NULL;
}

static uint64_t count_records(const struct world *w)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < HF_CAUSE_COUNT; i++) {
        count += atomic_load(&w->gateway->endings[i]);
    }
    return count;
}

static uint64_t sum_counter(const struct world *w, enum hf_counter counter)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < w->gateway->worker_count; i++) {
        sum += atomic_load(&w->gateway->workers[i]->counters[counter]);
    }
    return sum;
}

/* "key":value of a JSON line; "" when it is not there. */
static void json_text(const char *line, const char *key, char *value, size_t size)
{
    char needle[40];
    int len = snprintf(needle, sizeof(needle), "\"%s\":", key);
    const char *at = strstr(line, needle);
    size_t n = 0;
    if (at != NULL) {
        at += len;
        bool quoted = *at == '"';
        at += quoted ? 1 : 0;
        while (n + 1 < size && at[n] != '\0' && at[n] != '"' &&
               (quoted || (at[n] != ',' && at[n] != '}'))) {
            value[n] = at[n];
            n++;
        }
    }
    value[n] = '\0';
}

static int64_t json_number(const char *line, const char *key)
{
    char value[40];
    json_text(line, key, value, sizeof(value));
    return strtoll(value, NULL, 10);
}

static void say_records(struct world *w)
{
    uint64_t count = count_records(w);
    if (!w->options.trace || count == w->records_seen) {
        return;
    }
    struct hf_buffer json;
    hf_buffer_init(&json, &hf_heap, SIZE_MAX / 2);
    (void)hf_ledger_print(w->gateway->ledger, (uint32_t)(count - w->records_seen), NULL, &json);
    hf_buffer_add_byte(&json, 0);
    for (const char *line = strchr((char *)json.data, '\n'); line != NULL;
         line = strchr(line + 1, '\n')) {
        char cause[40];
        char path[64];
        json_text(line, "cause", cause, sizeof(cause));
        if (cause[0] != '\0') {
            const char *end = strchr(line + 1, '\n');
            char one[1024];
            (void)snprintf(one, sizeof(one), "%.*s", (int)(end == NULL ? 0 : end - line), line);
            json_text(one, "cause", cause, sizeof(cause));
            json_text(one, "path", path, sizeof(path));
            if (cause[0] != '\0') {
                world_say(w, "the ending of %u is %s, code %lld", id_of_target(path), cause,
                          (long long)json_number(one, "code"));
            }
        }
    }
    hf_buffer_reset(&json);
    w->records_seen = count;
}

/* ---- what must hold always ------------------------------------------------------------------- */

/* A leg that is dark is given up in time. One that the gateway does not read is not judged. */
static void check_dark(struct world *w, const struct session *s, struct peer *p)
{
    hf_time interval = p->is_client ? w->rules.client_interval : w->rules.backend_interval;
    hf_time timeout = p->is_client ? w->rules.client_timeout : w->rules.backend_timeout;
    if (p == NULL || !p->dark || interval == 0 || timeout == 0) {
        return;
    }
    struct hf_relay *r = world_relay(w, s);
    hf_time now = sim_now(w->sim);
    const struct hf_leg *leg = r == NULL ? NULL : p->is_client ? &r->client : &r->backend;
    if (leg == NULL || leg->stream == NULL || leg->hold != 0) {
        p->darkened = now;
        return;
    }
    /* What was under way when it went dark counts as life once; a late tick is forgiven once; the
     * machine may stand still. A leg that takes nothing cannot be pinged: it is judged by
     * send_timeout. */
    hf_time most =
        interval + 3 * timeout + HF_SECONDS(4) + (leg->blocked ? 2 * w->rules.send_timeout : 0);
    if (now - p->darkened > most) {
        world_break(w, "%s is dark and judged for %lld ms, and the gateway still holds it",
                    peer_name(p), (long long)((now - p->darkened) / 1000));
    }
}

static bool same_source(const struct session *a, const struct session *b)
{
    return a->source.u.v4.sin_addr.s_addr == b->source.u.v4.sin_addr.s_addr;
}

static bool same_principal(const struct session *a, const struct session *b)
{
    return a->subject[0] != '\0' && strcmp(a->subject, b->subject) == 0;
}

/* No address and no principal has more open than it may. */
static void check_connections(struct world *w, const struct session *s)
{
    uint32_t of_source = 0;
    uint32_t of_principal = 0;
    for (struct hf_list *n = w->sessions.next; n != &w->sessions; n = n->next) {
        const struct session *other = HF_CONTAINER(n, struct session, node);
        bool open = world_relay(w, other) != NULL;
        of_source += open && same_source(s, other);
        of_principal += open && same_principal(s, other);
    }
    if (w->rules.address_connections > 0 && of_source > w->rules.address_connections) {
        world_break(w, "%u connections are open from one address, and the limit is %u", of_source,
                    w->rules.address_connections);
    }
    if (w->rules.principal_connections > 0 && of_principal > w->rules.principal_connections) {
        world_break(w, "%u connections are open for one principal, and the limit is %u",
                    of_principal, w->rules.principal_connections);
    }
}

/* All its connections together bring no more messages to the backends than the principal may send.
 */
static void check_principal_rate(struct world *w, const struct session *s)
{
    uint64_t limit = w->rules.principal_per_minute;
    uint64_t got = 0;
    for (struct hf_list *n = w->peers.next; n != &w->peers; n = n->next) {
        const struct peer *p = HF_CONTAINER(n, struct peer, node);
        bool counts = p->session != NULL && p->session->backend == p; /* heirs count for the lost */
        got += counts && same_principal(s, p->session) ? p->got : 0;
    }
    uint64_t most = (limit < 100 ? limit : 100) +
                    (uint64_t)(sim_now(w->sim) - w->began) * limit / HF_SECONDS(60);
    if (limit > 0 && got > most) {
        world_break(w, "the connections of %s brought %llu messages, and the limit permits %llu",
                    s->subject, (unsigned long long)got, (unsigned long long)most);
    }
}

/* A client that is held: what its backend was given may be lost, and nothing else. */
static void watch_hold(struct world *w, struct session *s)
{
    const struct hf_relay *r = world_relay(w, s);
    bool away = r != NULL && r->backend.stream == NULL;
    if (away && !s->away) {
        s->losses++;
        w->holds++;
        s->may |= BIT(HF_CAUSE_HOLD_EXPIRED) | BIT(HF_CAUSE_BACKEND_GONE);
        s->given = (uint32_t)r->client.messages + (r->client.in.opcode != 0 ? 1 : 0);
        s->backend->disturbed = true;
        world_say(w, "client %u is held", s->id);
    } else if (!away && s->away && r != NULL) {
        w->replaced++;
        world_say(w, "client %u has a backend again", s->id);
    }
    s->away = away;
}

static void check(struct world *w)
{
    say_records(w);
    for (struct hf_list *n = w->sessions.next; w->rules.holds && n != &w->sessions; n = n->next) {
        watch_hold(w, HF_CONTAINER(n, struct session, node));
    }
    if (sim_now(w->sim) < w->next_check) {
        return;
    }
    w->next_check = sim_now(w->sim) + CHECK_EVERY;
    for (struct hf_list *n = w->sessions.next; n != &w->sessions; n = n->next) {
        struct session *s = HF_CONTAINER(n, struct session, node);
        check_dark(w, s, s->client);
        if (s->backend != NULL) {
            check_dark(w, s, s->backend);
        }
        check_connections(w, s);
        check_principal_rate(w, s);
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

bool world_until(struct world *w, bool (*holds)(void *context), void *context, hf_time patience)
{
    hf_time end = sim_now(w->sim) + patience;
    while (w->broken[0] == '\0') {
        if (holds != NULL && holds(context)) {
            return true;
        }
        if (sim_now(w->sim) >= end) {
            return holds == NULL;
        }
        (void)sim_step(w->sim, end);
        check(w);
    }
    return false;
}

bool world_run(struct world *w, hf_time duration)
{
    return world_until(w, NULL, NULL, duration);
}

/* ---- deeds ----------------------------------------------------------------------------------- */

void world_drain(struct world *w, hf_time spread)
{
    world_say(w, "the gateway is told to drain");
    w->draining = true;
    w->always |= BIT(HF_CAUSE_DRAIN) | BIT(HF_CAUSE_STOP);
    hf_gateway_drain(w->gateway, spread);
}

void world_reload(struct world *w, const char *yaml)
{
    struct hf_buffer why;
    struct hf_config *config = parse(yaml);
    HF_ASSERT(config != NULL);
    hf_buffer_init(&why, &hf_heap, 1 << 20);
    world_say(w, "the gateway reloads");
    if (hf_gateway_reload(w->gateway, config, &why) != HF_OK) {
        world_break(w, "reload failed: %.*s", HF_SLICE_ARG(hf_buffer_slice(&why)));
    }
    hf_buffer_reset(&why);
    hf_config_unref(config);
}

/* What a client that is or comes in its handshake may meet from now on. */
static void may_in_handshakes(struct world *w, uint64_t causes)
{
    for (struct hf_list *n = w->sessions.next; n != &w->sessions; n = n->next) {
        struct session *s = HF_CONTAINER(n, struct session, node);
        s->may |= s->status == 0 ? causes : 0;
    }
    w->newcomers |= causes;
}

void world_backend_fate(struct world *w, enum sim_fate fate)
{
    static const char *const texts[] = {"work", "are refused", "find no route", "are swallowed"};
    world_say(w, "connects to backends %s from now on", texts[fate]);
    w->backend_fate = fate;
    if (fate != SIM_FATE_LISTENERS) {
        may_in_handshakes(w, BIT(HF_CAUSE_BACKEND_UNREACHABLE));
    }
}

void world_descriptors(struct world *w, size_t more)
{
    struct sim_counts counts = sim_count(w->sim);
    world_say(w, "there are descriptors for %zu more", more);
    sim_descriptors(w->sim, counts.streams + counts.listeners + more);
    /* The models take theirs from the same store: a backend may be unable to accept. */
    may_in_handshakes(w, BIT(HF_CAUSE_OUT_OF_RESOURCES) | BIT(HF_CAUSE_BACKEND_SLOW) |
                             BIT(HF_CAUSE_BACKEND_UNREACHABLE));
}

/* ---- the books ------------------------------------------------------------------------------- */

static struct session *session_of_path(struct world *w, const char *path)
{
    unsigned id = id_of_target(path);
    for (struct hf_list *n = w->sessions.next; n != &w->sessions; n = n->next) {
        struct session *s = HF_CONTAINER(n, struct session, node);
        if (s->id == id) {
            return s;
        }
    }
    return NULL;
}

static void read_record(struct world *w, const char *line)
{
    char path[64];
    char cause[40];
    json_text(line, "path", path, sizeof(path));
    json_text(line, "cause", cause, sizeof(cause));
    struct session *s = session_of_path(w, path);
    enum hf_cause number = hf_cause_from_id(hf_slice_of(cause));
    if (s == NULL) {
        if (path[0] != '\0') {
            world_break(w, "a record of path %s, which no client asked for", path);
        }
        return;
    }
    if (++s->records > 1) {
        world_break(w, "session %u has more than one ending: %s, and before it %s", s->id, cause,
                    hf_cause_id(s->cause));
    }
    s->cause = number;
    s->code = json_number(line, "code");
    s->code_in = json_number(line, "code_in");
    s->code_out = json_number(line, "code_out");
    s->messages_client = json_number(line, "messages_client");
    s->messages_backend = json_number(line, "messages_backend");
}

static void read_records(struct world *w)
{
    struct hf_buffer json;
    hf_buffer_init(&json, &hf_heap, SIZE_MAX / 2);
    (void)hf_ledger_print(w->gateway->ledger, UINT32_MAX, NULL, &json);
    struct hf_slice rest = hf_buffer_slice(&json);
    struct hf_slice line;
    uint64_t count = 0;
    while (hf_slice_next(&rest, '\n', &line)) {
        char one[2048];
        (void)snprintf(one, sizeof(one), "%.*s", HF_SLICE_ARG(line));
        if (strstr(one, "\"cause\":") != NULL) {
            read_record(w, one);
            count++;
        }
    }
    uint64_t accepted = sum_counter(w, HF_COUNT_connections_accepted);
    if (count != accepted) {
        world_break(w, "%llu connections were accepted, and %llu endings are recorded",
                    (unsigned long long)accepted, (unsigned long long)count);
    }
    hf_buffer_reset(&json);
}

/* A frame of this side may be open at the other that will never be whole. */
static bool breaks_off(const struct peer *p)
{
    return p == NULL || p->disturbed || (p->cut && !p->fin);
}

/* Did the peer get this Close? `perhaps`: or nothing but the end of its stream. */
static void expect_close(struct session *s, struct peer *p, uint16_t code, bool perhaps)
{
    if (p == NULL || p->disturbed || s->slow || p->opened == 0 ||
        (p->is_client && s->status != 101)) {
        return;
    }
    perhaps = perhaps || breaks_off(p->is_client ? s->backend : s->client) ||
              (s->losses > 0 && !p->is_client); /* half a frame of a backlog may be there */
    if (p->close_got == 0 && perhaps && p->ended) {
        return;
    }
    s->world->farewells++;
    if (p->close_got != code) {
        world_break(s->world, "session %u ended by %s: %s should get Close %u and got %u", s->id,
                    hf_cause_id(s->cause), peer_name(p), code, p->close_got);
    }
}

/* Everything that `from` sent before its end came to `to`. */
static void expect_all(struct session *s, const struct peer *from, const struct peer *to,
                       uint32_t sent)
{
    if (to == NULL || to->disturbed || s->slow || to->opened == 0 || from == NULL) {
        return;
    }
    s->world->deliveries++;
    bool lost =
        to->got < to->lost_to && sent <= to->lost_to; /* the last ones went with a backend */
    if (to->got != sent && !lost) {
        world_break(s->world,
                    "session %u ended by %s: %s sent %u messages before its end, %s got %u", s->id,
                    hf_cause_id(s->cause), peer_name(from), sent, peer_name(to), to->got);
    }
}

/* `from` ended the session with a Close. */
static void check_closed_by(struct session *s, struct peer *from, struct peer *to)
{
    uint16_t code = from->close_sent;
    if (code != s->code || code != s->code_in) {
        world_break(s->world, "session %u: %s sent Close %u, recorded as %lld and %lld", s->id,
                    peer_name(from), code, (long long)s->code, (long long)s->code_in);
    }
    expect_close(s, to, code, false);
    expect_close(s, from, code, false);
    expect_all(s, from, to, from->sent_at_close);
    int64_t counted = from->is_client ? s->messages_client : s->messages_backend;
    bool all = from->is_client || s->losses == 0; /* a lost backend's last ones were not seen */
    if (all && counted != (int64_t)from->sent_at_close + from->beats_sent) {
        world_break(s->world, "session %u: %s sent %u messages and %u heartbeats, counted as %lld",
                    s->id, peer_name(from), from->sent_at_close, from->beats_sent,
                    (long long)counted);
    }
    if (!from->disturbed && from->close_got == code && from->pongs_got != from->pings_at_close) {
        world_break(s->world, "session %u: %s sent %u pings before its Close and got %u pongs",
                    s->id, peer_name(from), from->pings_at_close, from->pongs_got);
    }
}

/* What each side is told when the session ends by a cause; 0: whatever. `perhaps`: or nothing but
 * the end of its stream, because a frame that can never be whole may be open to it. */
static const struct farewell {
    enum hf_cause cause;
    uint16_t client, backend;
    bool client_perhaps, backend_perhaps;
} farewells[] = {
    {HF_CAUSE_CLIENT_FIN, 0, HF_CLOSE_GOING_AWAY, true, true},
    {HF_CAUSE_CLIENT_RESET, 0, HF_CLOSE_GOING_AWAY, true, true},
    {HF_CAUSE_CLIENT_TIMEOUT, 0, HF_CLOSE_GOING_AWAY, true, true},
    {HF_CAUSE_CLIENT_HEARTBEAT, 0, HF_CLOSE_GOING_AWAY, true, true},
    {HF_CAUSE_CLIENT_STUCK, 0, HF_CLOSE_GOING_AWAY, true, true},
    {HF_CAUSE_BACKEND_FIN, HF_CLOSE_RESTART, 0, true, true},
    {HF_CAUSE_BACKEND_RESET, HF_CLOSE_RESTART, 0, true, true},
    {HF_CAUSE_BACKEND_TIMEOUT, HF_CLOSE_RESTART, 0, true, true},
    {HF_CAUSE_BACKEND_HEARTBEAT, HF_CLOSE_RESTART, 0, true, true},
    {HF_CAUSE_BACKEND_STUCK, HF_CLOSE_RESTART, 0, true, true},
    {HF_CAUSE_CLIENT_PROTOCOL, HF_CLOSE_PROTOCOL, HF_CLOSE_GOING_AWAY, false, false},
    {HF_CAUSE_MESSAGE_TOO_BIG, HF_CLOSE_TOO_BIG, HF_CLOSE_GOING_AWAY, false, false},
    {HF_CAUSE_MESSAGE_RATE, HF_CLOSE_POLICY, HF_CLOSE_GOING_AWAY, false, false},
    {HF_CAUSE_TOKEN_EXPIRED, HF_CLOSE_TOKEN_EXPIRED, HF_CLOSE_GOING_AWAY, false, false},
    {HF_CAUSE_HOLD_EXPIRED, HF_CLOSE_RESTART, 0, false, false},
    {HF_CAUSE_BACKEND_GONE, HF_CLOSE_RESTART, 0, false, false},
    {HF_CAUSE_DRAIN, HF_CLOSE_RESTART, HF_CLOSE_GOING_AWAY, false, false},
};

/* A side that ended its direction with FIN, all of it sent, has had its say: the other gets
 * everything and a Close. */
static void check_ended_by_fin(struct session *s, struct peer *from, struct peer *to, uint16_t code)
{
    if (from->fin) {
        expect_close(s, to, code, false);
        expect_all(s, from, to, from->sent_count);
    }
}

static void check_ending(struct session *s)
{
    if (s->cause == HF_CAUSE_CLIENT_CLOSE) {
        check_closed_by(s, s->client, s->backend);
    } else if (s->cause == HF_CAUSE_BACKEND_CLOSE) {
        check_closed_by(s, s->backend, s->client);
    } else if (s->cause == HF_CAUSE_CLIENT_FIN) {
        check_ended_by_fin(s, s->client, s->backend, HF_CLOSE_GOING_AWAY);
    } else if (s->cause == HF_CAUSE_BACKEND_FIN) {
        check_ended_by_fin(s, s->backend, s->client, HF_CLOSE_RESTART);
    }
    for (size_t i = 0; i < sizeof(farewells) / sizeof(farewells[0]); i++) {
        const struct farewell *f = &farewells[i];
        if (f->cause == s->cause && f->client != 0) {
            expect_close(s, s->client, f->client, f->client_perhaps);
        }
        if (f->cause == s->cause && f->backend != 0) {
            expect_close(s, s->backend, f->backend, f->backend_perhaps);
        }
    }
}

static void check_session(struct session *s)
{
    if (s->records == 0) {
        if (s->status == 101) {
            world_break(s->world, "session %u was answered with %u and has no ending", s->id,
                        s->status);
        }
        return;
    }
    if (((s->may | s->world->always) & BIT(s->cause)) == 0) {
        world_break(s->world, "session %u ended by %s, which nothing explains", s->id,
                    hf_cause_id(s->cause));
    }
    if ((s->backend != NULL && s->client->got > s->backend->sent_count) ||
        (s->backend != NULL && s->backend->got > s->client->sent_count)) {
        world_break(s->world, "session %u: more was received than sent", s->id);
    }
    s->world->endings[s->cause]++;
    check_ending(s);
}

/* ---- rest ------------------------------------------------------------------------------------ */

static bool is_idle(void *context)
{
    return hf_gateway_is_idle(((struct world *)context)->gateway);
}

static void check_limit_empty(struct world *w, enum hf_limit_kind kind, struct hf_slice key)
{
    struct hf_limits *limits = w->gateway->limits;
    struct hf_limit_entry *e =
        hf_limits_get(limits, kind, hf_slice_of(w->config->routes[0].path), key);
    if (e->refs != 1 || e->connections != 0) {
        world_break(w, "a limit counts %u connections and %u holders, and nothing is open",
                    e->connections, e->refs - 1);
    }
    hf_limits_put(limits, e, w->loops[0]->now);
}

static void check_limits_empty(struct world *w)
{
    for (struct hf_list *n = w->sessions.next; n != &w->sessions; n = n->next) {
        const struct session *s = HF_CONTAINER(n, struct session, node);
        uint8_t key[16] = {[10] = 0xff, [11] = 0xff};
        memcpy(key + 12, &s->source.u.v4.sin_addr, 4);
        check_limit_empty(w, HF_LIMIT_ADDRESS, hf_slice(key, sizeof(key)));
        check_limit_empty(w, HF_LIMIT_PRINCIPAL, hf_slice_of(s->subject));
    }
    check_limit_empty(w, HF_LIMIT_ROUTE, hf_slice(NULL, 0));
}

static void check_nothing_left(struct world *w)
{
    struct hf_runtime *rt = w->gateway->runtime;
    for (size_t i = 0; i < rt->config->route_count; i++) {
        if (rt->routes[i].state->open != 0) {
            world_break(w, "a route counts %llu open relays, and none is",
                        (unsigned long long)rt->routes[i].state->open);
        }
        for (size_t k = 0; k < rt->routes[i].backend_count; k++) {
            if (rt->routes[i].backends[k].state->active != 0) {
                world_break(w, "a backend counts %u connections, and none is open",
                            rt->routes[i].backends[k].state->active);
            }
        }
    }
    for (size_t i = 0; i < w->gateway->worker_count; i++) {
        if (w->loops[i]->wheel.count != 1) { /* the log's flush */
            world_break(w, "%zu timers are left on a worker", w->loops[i]->wheel.count - 1);
        }
        if (w->gateway->workers[i]->open_now != 0) {
            world_break(w, "a worker counts %llu open relays",
                        (unsigned long long)w->gateway->workers[i]->open_now);
        }
    }
    if (w->rules.holds && w->gateway->session_bytes != 0) {
        world_break(w, "%llu bytes of the session memory are leased, and nobody holds any",
                    (unsigned long long)w->gateway->session_bytes);
    }
    struct sim_counts counts = sim_count(w->sim);
    if (counts.streams != 0) {
        world_break(w, "%zu streams are left", counts.streams);
    }
    check_limits_empty(w);
}

bool world_finish(struct world *w)
{
    w->always |= BIT(HF_CAUSE_STOP);
    sim_descriptors(w->sim, 0);
    for (struct hf_list *n = w->sessions.next; n != &w->sessions; n = n->next) {
        struct session *s = HF_CONTAINER(n, struct session, node);
        peer_resume(s->client);
        if (s->client->is_streaming) {
            peer_stream(s->client, 0, true);
        }
        peer_close(s->client, 4999, "the end");
    }
    (void)world_until(w, is_idle, w, HF_SECONDS(60));
    struct hf_list *next;
    for (struct hf_list *n = w->peers.next; n != &w->peers; n = next) {
        struct peer *p = HF_CONTAINER(n, struct peer, node);
        next = n->next;
        peer_vanish(p);
    }
    (void)world_run(w, HF_SECONDS(3)); /* a worker that stands still has not accepted all yet */
    if (!world_until(w, is_idle, w, HF_SECONDS(200))) {
        world_break(w, "the gateway does not come to rest");
    }
    (void)world_run(w, HF_SECONDS(1));
    if (w->broken[0] == '\0') {
        check_nothing_left(w);
        read_records(w);
    }
    for (struct hf_list *n = w->sessions.next; w->broken[0] == '\0' && n != &w->sessions;
         n = n->next) {
        check_session(HF_CONTAINER(n, struct session, node));
    }
    return w->broken[0] == '\0';
}
