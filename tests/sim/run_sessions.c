/* SPDX-License-Identifier: Apache-2.0 */
/* The swarm of sessions: each seed is a scene with a configuration, networks, applications and some
 * minutes of misfortune of its own. A failing seed says its number and what did not hold; `--seed N
 * --trace` tells its story. */
#include "scene_core.h"
#include "seeds.h"

/* ---- what a seed decides --------------------------------------------------------------------- */

struct script {
    struct scene *s;
    struct hf_random random; /* apart from the scene's: what is done does not depend on what is */
    char yaml[2048];
    size_t workers;
    bool tokens, poor, impatient, warms_up;
    unsigned weights[12]; /* by enum doing */
    unsigned apps_max, deeds;
    hf_time gap; /* mean time between two deeds */
};

enum doing {
    SEND,
    ANSWER,
    CUT,
    ROAM,
    OFFLINE,
    SLEEP,
    BACKEND,
    UPSTREAM,
    GATE,
    STRANGER,
    CLOSE,
    OTHER,
    DOINGS,
};

static struct scene_counts all;

static uint64_t draw(struct script *x, uint64_t below)
{
    return hf_random_below(&x->random, below);
}
static bool one_in(struct script *x, uint64_t n)
{
    return draw(x, n) == 0;
}
static uint64_t between(struct script *x, uint64_t a, uint64_t b)
{
    return a + draw(x, b - a + 1);
}

static void add(struct script *x, const char *format, ...) HF_PRINTF(2, 3);
static void add(struct script *x, const char *format, ...)
{
    size_t len = strlen(x->yaml);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(x->yaml + len, sizeof(x->yaml) - len, format, args);
    va_end(args);
    HF_ASSERT(n >= 0 && (size_t)n < sizeof(x->yaml) - len);
}

/* Each seed likes other things: some are left out, some come often. */
static void draw_weights(struct script *x)
{
    static const unsigned usual[DOINGS] = {
        [SEND] = 40,   [ANSWER] = 40,  [CUT] = 12, [ROAM] = 3,     [OFFLINE] = 4, [SLEEP] = 2,
        [BACKEND] = 6, [UPSTREAM] = 3, [GATE] = 2, [STRANGER] = 3, [CLOSE] = 1,   [OTHER] = 6};
    static const unsigned factors[] = {0, 1, 1, 1, 4};
    for (size_t i = 0; i < DOINGS; i++) {
        x->weights[i] = usual[i] * factors[draw(x, 5)];
    }
    x->weights[SEND] += 10;
    x->weights[ANSWER] += 10;
    x->weights[CUT] += 3;
    x->weights[GATE] = x->weights[GATE] > 3 ? 3 : x->weights[GATE];
    x->poor = one_in(x, 4);
    x->impatient = one_in(x, 3);
}

static void write_config(struct script *x)
{
    static const unsigned buffers[] = {4, 16, 64, 64, 256};
    static const unsigned parks[] = {8, 64, 256, 1024};
    static const char *const losses[] = {"close", "close", "hold", "prologue"};
    const char *loss = losses[draw(x, 4)];
    add(x, "listen: 10.0.0.1:80\nupstream: http://10.1.0.1:9000\n"
           "message_max: 256KiB\nhandshake_timeout: 3s\nconnect_timeout: 2s\nupstream_timeout: "
           "4s\n");
    add(x, "send_timeout: %us\n", (unsigned)between(x, 4, 30));
    add(x, "heartbeat: {interval: %ums, timeout: %ums, jitter: %u}\n",
        one_in(x, 5) ? 0 : (unsigned)between(x, 1000, 25000), (unsigned)between(x, 2000, 10000),
        (unsigned)draw(x, 51));
    add(x, "tcp: {user_timeout: %us}\n", (unsigned)between(x, 5, 40));
    add(x, "session: {window: %ums, beat: %ums, buffer: %uKiB, park_bytes: %uKiB",
        (unsigned)between(x, 4000, one_in(x, 2) ? 8000 : 90000), (unsigned)between(x, 500, 15000),
        buffers[draw(x, 5)], parks[draw(x, 4)]);
    if (one_in(x, 5)) {
        add(x, ", memory: 1MiB");
    }
    if (one_in(x, 5)) {
        add(x, ", parked_per_%s: %u", one_in(x, 2) ? "principal" : "address",
            (unsigned)between(x, 1, 3));
    }
    add(x, "}\non_backend_loss: %s\n", loss);
    if (strcmp(loss, "close") != 0) {
        if (strcmp(loss, "prologue") == 0) {
            add(x, "prologue: {match: ['" SCENE_SUBSCRIBES "'], max: 1000, bytes: 1MiB, "
                   "drop_replies: 0, wait: 1s}\n");
        }
        add(x, "hold: {time: %us, backoff_max: %ums}\n", (unsigned)between(x, 2, 60),
            (unsigned)between(x, 100, 2000));
    }
    x->tokens = one_in(x, 4) || x->warms_up;
    if (x->tokens) {
        add(x, "auth: jwt\njwt: {keys: [{alg: HS256, env: " SCENE_SECRET "}], leeway: 0}\n");
    }
}

/* Most are fast; the others are what phones have. */
static struct sim_path draw_path(struct script *x, bool client)
{
    static const uint64_t widths[] = {0, 20000000, 4000000, 300000};
    bool poor = one_in(x, x->poor ? 2 : 6);
    uint32_t segment = (uint32_t)between(x, 200, 16384);
    return (struct sim_path){
        .latency = (hf_time)between(x, 50, poor ? 250000 : 20000),
        .jitter = (hf_time)draw(x, poor ? 20000 : 1000),
        .loss_percent = poor ? (uint32_t)draw(x, 5) : 0,
        .bandwidth = widths[draw(x, poor && client ? 4 : 3)],
        .send_buffer = (uint32_t)between(x, poor ? 8192 : 16384, one_in(x, 2) ? 300000 : 20000),
        .receive_buffer = (uint32_t)between(x, poor ? 4096 : 16384, one_in(x, 2) ? 200000 : 20000),
        .segment_min = segment / 4,
        .segment_max = segment,
        .dribble_percent = one_in(x, 3) ? (uint32_t)draw(x, 50) : 0,
    };
}

static uint32_t draw_size(struct script *x)
{
    if (x->s->holds) {
        return (uint32_t)between(x, 12, one_in(x, 8) ? 40000 : 300); /* each can be told */
    }
    switch (draw(x, 24)) {
    case 0:
        return (uint32_t)draw(x, 200 * 1024);
    case 1:
    case 2:
        return (uint32_t)draw(x, 32768);
    case 3:
    case 4:
        return (uint32_t)draw(x, 4);
    case 5:
    case 6:
        return (uint32_t)draw(x, 4096);
    case 7:
        return (uint32_t)between(x, 120, 130);
    default:
        return (uint32_t)draw(x, 200);
    }
}

static uint8_t draw_opcode(struct script *x)
{
    return one_in(x, 3) ? HF_OP_BINARY : HF_OP_TEXT;
}

static struct app *draw_app(struct script *x)
{
    struct scene *s = x->s;
    if (s->app_count == 0) {
        return NULL;
    }
    /* The ones that came last are wanted most. */
    uint64_t id = s->app_count - draw(x, s->app_count < 4 ? s->app_count : 4);
    return scene_app(s, id);
}

/* ---- deeds ----------------------------------------------------------------------------------- */

static void do_come(struct script *x)
{
    struct scene *s = x->s;
    struct app_options o = {.queue_messages = one_in(x, 6) ? between(x, 2, 20) : 0};
    char subject[16];
    char host[24];
    if (s->app_count >= x->apps_max) {
        return;
    }
    if (x->tokens) {
        (void)snprintf(subject, sizeof(subject), "user-%u", (unsigned)between(x, 1, 3));
        o.subject = subject;
        o.token_ms = one_in(x, 2) ? (int64_t)between(x, 3000, 60000) : 0;
    }
    (void)snprintf(host, sizeof(host), "10.9.%u.%u", (unsigned)draw(x, 3), s->app_count + 1);
    struct sim_path path = draw_path(x, true);
    o.path = &path;
    o.backoff_base_ms = (int64_t)between(x, 50, 1000);
    o.backoff_cap_ms = (int64_t)between(x, 1000, 8000);
    o.connect_timeout_ms = x->impatient ? (int64_t)between(x, 300, 1500) : 0;
    o.heartbeat_ms = (int64_t)between(x, 1000, 25000);
    o.answer_ms = (int64_t)between(x, 1500, 10000);
    o.host = host;
    struct app *a = app_new(s, &o);
    a->detour = x->impatient ? (hf_time)draw(x, 1500000) : 0;
    a->ghosts = one_in(x, 6);
}

static void do_send(struct script *x, struct app *a)
{
    unsigned count = one_in(x, 4) ? (unsigned)between(x, 2, 30) : 1;
    for (unsigned i = 0; i < count; i++) {
        (void)app_send(a, draw_opcode(x),
                       count > 4 && !x->s->holds ? (uint32_t)draw(x, 300) : draw_size(x));
    }
}

static void do_answer(struct script *x, struct app *a)
{
    struct served *b = app_served(a);
    unsigned count = one_in(x, 4) ? (unsigned)between(x, 2, 30) : 1;
    if (one_in(x, 20)) {
        count = 120; /* it talks and talks */
    }
    for (unsigned i = 0; b != NULL && i < count; i++) {
        uint32_t size = count > 4 && !x->s->holds ? (uint32_t)draw(x, 1500) : draw_size(x);
        served_send(b, draw_opcode(x), size, one_in(x, 4) ? (unsigned)between(x, 2, 6) : 1);
    }
}

static void do_offline(struct script *x, struct app *a)
{
    a->swallowed = one_in(x, 2);
    app_offline(a, !a->offline);
}

static void do_backend(struct script *x, struct app *a)
{
    static const uint16_t codes[] = {1000, 1001, 1008, 1011, 1012, 3000, 4400, 4401, 4409, 4999};
    struct served *b = app_served(a);
    if (b == NULL) {
        return;
    }
    switch (draw(x, 12)) {
    case 0:
        served_close(b, codes[draw(x, 10)], one_in(x, 2) ? "" : "ein Grund");
        break;
    case 1:
        if (x->s->holds || one_in(x, 3)) {
            served_abort(b);
        }
        break;
    case 2:
        if (b->dark) {
            served_lighten(b);
        } else if (one_in(x, 3)) {
            served_darken(b);
        }
        break;
    case 3:
    case 4:
    case 5:
        served_pause(b, (hf_time)between(x, 1000, one_in(x, 4) ? 20000000 : 2000000));
        break;
    case 6:
    case 7:
        served_resume(b);
        break;
    default:
        served_ping(b);
        break;
    }
}

/* It dies and comes back, and dies again, while a client is away. */
static void do_flap(struct script *x, struct app *a)
{
    struct scene *s = x->s;
    for (int i = 0; i < 8; i++) {
        (void)app_send(a, HF_OP_TEXT, 20);
        (void)scene_run(s, (hf_time)draw(x, 30000)); /* some are on their way to the backend */
    }
    app_cut(a);
    app_offline(a, true);
    for (int i = 0; i < 2; i++) {
        upstream_crash(s);
        (void)scene_run(s, (hf_time)between(x, 1000, 200000));
        upstream_start(s);
        (void)scene_run(s, (hf_time)between(x, 200000, 2000000));
    }
    app_offline(a, false);
}

static void do_upstream(struct script *x, struct app *a)
{
    struct scene *s = x->s;
    switch (draw(x, 11)) {
    case 10:
        if (s->holds) {
            do_flap(x, a);
        }
        break;
    case 0:
        upstream_crash(s);
        break;
    case 1:
        s->mode = (enum upstream_mode)draw(x, 5);
        scene_say(s, "the backend is in mode %u", (unsigned)s->mode);
        break;
    case 2:
        s->upstream_fate = (enum sim_fate)draw(x, 4);
        break;
    default:
        s->upstream_fate = SIM_FATE_LISTENERS;
        s->mode = UPSTREAM_ACCEPTS;
        s->upstream_delay = one_in(x, 2) ? 0 : (hf_time)draw(x, 1500000);
        upstream_start(s);
        break;
    }
}

static void do_gate(struct script *x)
{
    struct scene *s = x->s;
    switch (draw(x, 8)) {
    case 0:
        gate_crash(s);
        (void)scene_run(s, (hf_time)draw(x, 3000000));
        (void)gate_start(s);
        break;
    case 1:
        gate_drain(s, (hf_time)draw(x, 3000000));
        (void)scene_run(s, (hf_time)between(x, 3000000, 6000000));
        gate_crash(s);
        (void)gate_start(s);
        break;
    case 2:
    case 3:
        scene_say(s, "the wall clock jumps");
        sim_wall_jump(s->sim, (hf_wall)draw(x, 7200000) - 3600000);
        break;
    default:
        gate_freeze(s, draw(x, 4), (hf_time)draw(x, 1500000));
        break;
    }
}

/* Somebody takes the session over with its newest token, or says an old or forged one. */
static void do_stranger(struct script *x, struct app *a)
{
    char token[64];
    char offer[200];
    uint64_t epoch = 0;
    uint64_t received = 0;
    uint64_t attempt = 0;
    struct scene *s = x->s;
    if (a->client == NULL || a->closed || !gate_is_up(s) ||
        !app_token(a, token, &epoch, &received, &attempt)) {
        return;
    }
    uint64_t lot = draw(x, 12);
    if (lot == 0) {
        a->rivaled = true;
        attempt += 1 + draw(x, 3);
        s->counts.rivals++;
        scene_say(s, "a duplicate of app %u comes", a->id);
    } else if (lot < 6) {
        char *c = &token[between(x, 27, 47)]; /* of the secret */
        *c = *c == 'A' ? 'B' : 'A';
        attempt += 100;
        scene_say(s, "a forger comes for app %u", a->id);
    } else if (lot < 8 && a->connected && a->token_before[0] != '\0' && gate_has_heard(s, a)) {
        memcpy(token, a->token_before, sizeof(token));
        attempt += 10;
        scene_say(s, "a thief comes for app %u with its token of before", a->id);
    } else if (app_life(a)->attempt_seen == 0) {
        return;
    } else {
        attempt = app_life(a)->attempt_seen;
        scene_say(s, "an old offer of app %u comes", a->id);
    }
    struct sim_path path = draw_path(x, true);
    struct raw *r = raw_new(s, "10.9.9.8", &path);
    (void)snprintf(offer, sizeof(offer), "hf1, hf1.r.%s.%llu.%llu.%llu", token,
                   (unsigned long long)epoch, (unsigned long long)received,
                   (unsigned long long)attempt);
    r->received = received;
    r->acks = one_in(x, 2);
    raw_offer(r, a, offer);
}

static void do_close(struct script *x, struct app *a)
{
    static const char *const reasons[] = {"", "bye", "ein längerer Grund", "x"};
    if (one_in(x, 4)) {
        app_leave(a);
    } else {
        app_close(a, one_in(x, 4) ? 1000 : (int)between(x, 4000, 4999), reasons[draw(x, 4)]);
    }
}

static void do_other(struct script *x, struct app *a)
{
    switch (draw(x, 7)) {
    case 0:
        a->path = draw_path(x, true);
        break;
    case 6:
        a->cursed = one_in(x, 4) ? 40 : 2;
        a->curse_after = HF_MS(draw(x, 100));
        served_send(app_served(a), HF_OP_BINARY, 40000, 1);
        app_cut(a);
        break;
    case 1:
        app_authorize(a);
        break;
    case 2:
        app_hurry(a);
        break;
    case 3:
        x->s->backend_path = draw_path(x, false);
        break;
    default:
        (void)scene_run(x->s, (hf_time)between(x, 500000, one_in(x, 6) ? 40000000 : 5000000));
        break;
    }
}

static void do_one(struct script *x, struct app *a, enum doing doing)
{
    switch (doing) {
    case SEND:
        do_send(x, a);
        break;
    case ANSWER:
        do_answer(x, a);
        break;
    case CUT:
        app_cut(a);
        break;
    case ROAM:
        app_roam(a);
        break;
    case OFFLINE:
        do_offline(x, a);
        break;
    case SLEEP:
        app_sleep(a, (hf_time)between(x, 500000, one_in(x, 4) ? 60000000 : 6000000));
        break;
    case BACKEND:
        do_backend(x, a);
        break;
    case UPSTREAM:
        do_upstream(x, a);
        break;
    case GATE:
        do_gate(x);
        break;
    case STRANGER:
        do_stranger(x, a);
        break;
    case CLOSE:
        do_close(x, a);
        break;
    case OTHER:
    case DOINGS:
        do_other(x, a);
        break;
    }
}

static void deed(struct script *x)
{
    unsigned sum = 0;
    struct app *a = draw_app(x);
    if (a == NULL || one_in(x, 20)) {
        do_come(x);
        return;
    }
    for (size_t i = 0; i < DOINGS; i++) {
        sum += x->weights[i];
    }
    uint64_t lot = draw(x, sum);
    for (size_t i = 0; i < DOINGS; i++) {
        if (lot < x->weights[i]) {
            do_one(x, a, (enum doing)i);
            return;
        }
        lot -= x->weights[i];
    }
}

/* ---- one seed -------------------------------------------------------------------------------- */

static void take_counts(const struct scene *s)
{
#define ADD_COUNT(name) all.name += s->counts.name;
    SCENE_COUNTS(ADD_COUNT)
#undef ADD_COUNT
    all.parks += gate_parked(s);
    all.expiries += gate_ending(s, "token_expired");
    for (struct hf_list *n = s->raws.next; n != &s->raws; n = n->next) {
        all.ghosts_refused += raw_was_told(HF_CONTAINER(n, struct raw, node), "end who=gateway");
    }
}

static struct seed_result run_seed(uint64_t seed, bool trace)
{
    struct script x = {.warms_up = seed == 0};
    struct seed_result result = {.passed = false};
    hf_random_init(&x.random, seed ^ 0x5e5510);
    draw_weights(&x);
    write_config(&x);
    x.workers = one_in(&x, 3) ? 3 : 1;
    x.apps_max = (unsigned)between(&x, 1, 6);
    x.deeds = (unsigned)between(&x, 20, 400);
    x.gap = (hf_time)between(&x, 2000, 400000);
    struct scene_options options = {
        .seed = seed, .yaml = x.yaml, .workers = x.workers, .trace = trace, .print = trace};
    if (trace) {
        fprintf(stderr, "seed %llu\n%s\n", (unsigned long long)seed, x.yaml);
    }
    x.s = scene_new(&options);
    if (x.s == NULL) {
        (void)snprintf(result.broken, sizeof(result.broken), "the configuration is wrong");
        return result;
    }
    x.s->backend_path = draw_path(&x, false);
    for (unsigned i = 0; i < x.deeds && x.s->broken[0] == '\0'; i++) {
        deed(&x);
        (void)scene_run(x.s, (hf_time)draw(&x, (uint64_t)x.gap * 2));
    }
    result.passed = x.s->broken[0] == '\0' && scene_finish(x.s);
    result.digest = sim_digest(x.s->sim);
    take_counts(x.s);
    memcpy(result.broken, x.s->broken, sizeof(result.broken));
    scene_free(x.s);
    return result;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const uint64_t *count;
} met[] = {
#define NAME_COUNT(name) {#name, &all.name},
    SCENE_COUNTS(NAME_COUNT)
#undef NAME_COUNT
};

static void say_counts(void)
{
    for (size_t i = 0; i < sizeof(met) / sizeof(met[0]); i++) {
        printf("%s%s %llu", i == 0 ? "" : ", ", met[i].name, (unsigned long long)*met[i].count);
    }
    printf("\n");
}

static const char *missing(void)
{
    for (size_t i = 0; i < sizeof(met) / sizeof(met[0]); i++) {
        if (*met[i].count == 0) {
            return met[i].name;
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static const struct swarm swarm = {run_seed, say_counts, missing};
    setenv(SCENE_SECRET, "a secret of the simulated application", 1);
    return swarm_main(argc, argv, &swarm);
}
