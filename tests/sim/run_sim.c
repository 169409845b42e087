/* SPDX-License-Identifier: Apache-2.0 */
/* The swarm: each seed is a world with a configuration, networks, and some minutes of misfortune of
 * its own. A failing seed says its number and what did not hold; `--seed N --trace` tells its
 * story. */
#include "seeds.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what a seed decides --------------------------------------------------------------------- */

struct script {
    struct world *w;
    struct hf_random
        random; /* apart from the world's, so that the script does not depend on what happens */
    char yaml[2048];
    bool limits_rate;
    bool tokens;         /* clients come with tokens */
    bool holds;          /* clients outlive their backends */
    bool poor;           /* its networks are mostly bad */
    unsigned weights[8]; /* of what a peer does, by enum doing */
    unsigned sessions_max;
    hf_time gap; /* mean time between two deeds */
    unsigned deeds;
};

enum doing { SEND, STREAM, PING, BEAT, PAUSE, CLOSE, MISFORTUNE, RESUME };

static uint64_t draw(struct script *s, uint64_t below)
{
    return hf_random_below(&s->random, below);
}
static bool one_in(struct script *s, uint64_t n)
{
    return draw(s, n) == 0;
}
static uint64_t between(struct script *s, uint64_t a, uint64_t b)
{
    return a + draw(s, b - a + 1);
}

static void add(struct script *s, const char *format, ...) HF_PRINTF(2, 3);
static void add(struct script *s, const char *format, ...)
{
    size_t len = strlen(s->yaml);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(s->yaml + len, sizeof(s->yaml) - len, format, args);
    va_end(args);
    HF_ASSERT(n >= 0 && (size_t)n < sizeof(s->yaml) - len);
}

/* Each seed likes other things: some are left out, some come often. */
static void draw_weights(struct script *s)
{
    static const unsigned usual[] = {[SEND] = 55, [STREAM] = 10, [PING] = 10,      [BEAT] = 5,
                                     [PAUSE] = 8, [CLOSE] = 4,   [MISFORTUNE] = 3, [RESUME] = 4};
    static const unsigned factors[] = {0, 1, 1, 1, 4};
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        s->weights[i] = usual[i] * factors[draw(s, 5)];
    }
    s->weights[SEND] += 10;
    s->poor = one_in(s, 4);
}

static bool met_tokens; /* in this process */

static void write_token_config(struct script *s)
{
    s->tokens = one_in(s, 4);
    met_tokens = met_tokens || s->tokens;
    if (s->tokens) {
        add(s, "auth: jwt\njwt: {keys: [{alg: HS256, env: " WORLD_SECRET "}], leeway: 0}\n");
    }
}

static void write_principal_limits(struct script *s)
{
    if (s->tokens && one_in(s, 2)) {
        add(s, ", principal_messages_per_minute: %u", (unsigned)between(s, 30, 2000));
    }
    if (s->tokens && one_in(s, 3)) {
        add(s, ", principal_connections: %u, principal_handshakes_per_second: %u",
            (unsigned)between(s, 1, 4), (unsigned)between(s, 1, 5));
    }
}

static void write_config(struct script *s, size_t backends)
{
    static const int lowats[] = {0, 4, 16, 128};
    s->yaml[0] = '\0';
    add(s, "listen: 10.0.0.1:80\nupstream: [http://10.1.0.1:9000%s]\n",
        backends > 1 ? ", \"http://10.1.0.2:9000\"" : "");
    add(s,
        "message_max: 256KiB\nhandshake_timeout: 3s\nconnect_timeout: 2s\nupstream_timeout: 4s\n");
    add(s, "send_timeout: %us\n", (unsigned)between(s, 2, 30));
    add(s, "heartbeat: {interval: %ums, timeout: %ums, jitter: %u}\n",
        one_in(s, 5) ? 0 : (unsigned)between(s, 500, 8000), (unsigned)between(s, 1000, 10000),
        (unsigned)draw(s, 51));
    add(s, "tcp: {user_timeout: %us, notsent_lowat: %uKiB}\n", (unsigned)between(s, 5, 40),
        lowats[draw(s, 4)]);
    if (one_in(s, 3)) {
        add(s, "app_heartbeat: {match: '{\"type\":\"ping\"}', answer: '{\"type\":\"pong\"}'}\n");
    }
    s->holds = one_in(s, 3);
    if (s->holds) {
        bool prologue = one_in(s, 2);
        add(s, "on_backend_loss: %s\n", prologue ? "prologue" : "hold");
        add(s, "hold: {time: %us, bytes: %uKiB}\n", (unsigned)between(s, 1, 30),
            (unsigned)between(s, 1, 300));
        add(s,
            "prologue: {match: [A, B, C, D, E, F, G, H], max: %u, drop_replies: %u, wait: %ums}\n",
            (unsigned)between(s, 1, 8), (unsigned)draw(s, 3), (unsigned)between(s, 1, 2000));
    }
    write_token_config(s);
    s->limits_rate = one_in(s, 3);
    add(s, "limits: {excess_handshakes: %s", one_in(s, 2) ? "delay" : "refuse");
    if (s->limits_rate) {
        add(s, ", messages_per_minute: %u, messages_burst: %u, excess_messages: %s",
            (unsigned)between(s, 30, 2000), (unsigned)between(s, 1, 30),
            one_in(s, 4) ? "close" : "delay");
    }
    if (one_in(s, 4)) {
        add(s, ", address_connections: %u", (unsigned)between(s, 1, 4));
    }
    if (one_in(s, 4)) {
        add(s, ", address_handshakes_per_second: %u", (unsigned)between(s, 1, 5));
    }
    if (one_in(s, 8)) {
        add(s, ", total_connections: %u", (unsigned)between(s, 2, 6));
    }
    write_principal_limits(s);
    add(s, "}\n");
}

/* Most are fast, so that much can be demanded of them; the others are what phones have. */
static struct sim_path draw_path(struct script *s, bool client)
{
    static const uint64_t widths[] = {0, 20000000, 4000000, 300000};
    bool poor = one_in(s, s->poor ? 2 : 6);
    uint32_t segment = (uint32_t)between(s, 200, 16384);
    return (struct sim_path){
        .latency = (hf_time)between(s, 50, poor ? 150000 : 3000),
        .jitter = (hf_time)draw(s, poor ? 20000 : 1000),
        .loss_percent = poor ? (uint32_t)draw(s, 5) : 0,
        .bandwidth = widths[draw(s, poor && client ? 4 : 3)],
        .send_buffer = (uint32_t)between(s, poor ? 8192 : 16384, one_in(s, 2) ? 300000 : 20000),
        .receive_buffer = (uint32_t)between(s, poor ? 4096 : 16384, one_in(s, 2) ? 200000 : 20000),
        .segment_min = segment / 4,
        .segment_max = segment,
        .dribble_percent = one_in(s, 3) ? (uint32_t)draw(s, 50) : 0,
    };
}

/* What is under way may take longer than an ending waits. */
static bool is_slow(const struct sim_path *p)
{
    uint64_t window = p->send_buffer < p->receive_buffer ? p->send_buffer : p->receive_buffer;
    uint64_t rate = window * 1000000 / (uint64_t)(2 * p->latency + p->jitter);
    return rate < 1000000 || (p->bandwidth > 0 && p->bandwidth < 1000000) || p->loss_percent > 1;
}

static uint32_t draw_size(struct script *s)
{
    switch (draw(s, 20)) {
    case 0:
        return (uint32_t)draw(s, 200 * 1024);
    case 1:
    case 2:
        return (uint32_t)draw(s, 65536);
    case 3:
        return 0;
    case 4:
    case 5:
    case 6:
        return (uint32_t)draw(s, 4096);
    case 7:
        return (uint32_t)between(s, 120, 130);
    default:
        return (uint32_t)draw(s, 200);
    }
}

static struct session *draw_session(struct script *s)
{
    struct world *w = s->w;
    if (w->session_count == 0) {
        return NULL;
    }
    uint64_t skip = draw(s, w->session_count);
    struct hf_list *n = w->sessions.next;
    while (skip-- > 0) {
        n = n->next;
    }
    return HF_CONTAINER(n, struct session, node);
}

/* NULL when there is none on that side yet. */
static struct peer *draw_peer(struct script *s)
{
    bool client = one_in(s, 2);
    struct session *session = draw_session(s);
    return session == NULL ? NULL : client ? session->client : session->backend;
}

static void deed_connect(struct script *s)
{
    struct world *w = s->w;
    char source[40];
    if (w->session_count >= s->sessions_max) {
        return;
    }
    struct session_options options = {.source = source};
    (void)snprintf(source, sizeof(source), "10.9.0.%u", (unsigned)between(s, 1, 3));
    char subject[16];
    if (s->tokens) {
        (void)snprintf(subject, sizeof(subject), "user-%u", (unsigned)between(s, 1, 3));
        options.subject = subject;
        options.token_ms = one_in(s, 3) ? (int64_t)between(s, 2000, 60000) : 0;
    }
    uint64_t lot = draw(s, 30);
    options.silent = lot == 0;
    options.half = lot == 1;
    options.garbage = lot == 2;
    w->client_path = draw_path(s, true);
    struct session *session = session_open(w, &options);
    session->slow = is_slow(&w->client_path) || is_slow(&w->backend_path);
    session->may |= (uint64_t)1 << HF_CAUSE_CONNECTION_LIMIT | (uint64_t)1
                                                                   << HF_CAUSE_HANDSHAKE_RATE;
    session->may |= s->limits_rate ? (uint64_t)1 << HF_CAUSE_MESSAGE_RATE : 0;
    for (size_t i = 0; i < w->options.backends; i++) {
        if (w->backends[i].listener == NULL) {
            session->may |= (uint64_t)1 << HF_CAUSE_BACKEND_UNREACHABLE;
        }
    }
}

static void deed_send(struct script *s, struct peer *p)
{
    unsigned count = one_in(s, 4) ? (unsigned)between(s, 2, 20) : 1;
    for (unsigned i = 0; i < count; i++) {
        unsigned fragments = one_in(s, 3) ? (unsigned)between(s, 2, 8) : 1;
        uint8_t opcode = one_in(s, 2) ? HF_OP_TEXT : HF_OP_BINARY;
        uint32_t size = count > 4 ? (uint32_t)draw(s, 300) : draw_size(s);
        if (!p->is_streaming) {
            peer_send(p, opcode, size, fragments);
        }
    }
}

static void deed_stream(struct script *s, struct peer *p)
{
    uint32_t size = (uint32_t)draw(s, 3000);
    peer_stream(p, size, p->streaming > 100000 || one_in(s, 3));
}

static void deed_close(struct script *s, struct peer *p)
{
    static const char *const reasons[] = {"", "bye", "ein längerer Grund", "x"};
    uint16_t code =
        (uint16_t)(one_in(s, 6) ? HF_CLOSE_NO_CODE : (p->is_client ? 4000 : 3000) + draw(s, 500));
    if (s->holds && !p->is_client && one_in(s, 2)) {
        code = one_in(s, 2) ? HF_CLOSE_RESTART : HF_CLOSE_INTERNAL;
    }
    peer_close(p, code, code == HF_CLOSE_NO_CODE ? "" : reasons[draw(s, 4)]);
}

static hf_time draw_pause(struct script *s)
{
    return one_in(s, 6) ? (hf_time)between(s, 1000000, 40000000)
                        : (hf_time)between(s, 1000, 900000);
}

static void deed_misfortune(struct script *s, struct peer *p)
{
    switch (draw(s, 7)) {
    case 0:
        peer_fin(p);
        break;
    case 1:
        peer_vanish(p);
        break;
    case 2:
        peer_abort(p);
        break;
    case 3:
        peer_reset(p);
        break;
    case 4:
    case 5:
        if (p->dark) {
            peer_lighten(p);
        } else {
            peer_darken(p);
        }
        break;
    case 6:
        if (p->is_client) {
            peer_violate(p, one_in(s, 2) ? 0 : 300 * 1024);
        }
        break;
    }
}

static void deed_backend(struct script *s)
{
    struct world *w = s->w;
    struct backend *b = &w->backends[draw(s, w->options.backends)];
    switch (draw(s, 10)) {
    case 8:
        world_backend_fate(w, (enum sim_fate)draw(s, 4));
        break;
    case 9:
        world_descriptors(w, draw(s, 6));
        break;
    case 0:
        if (b->listener != NULL) {
            backend_crash(b);
        } else {
            backend_start(b);
        }
        break;
    case 1:
        b->mode = one_in(s, 2) ? BACKEND_ACCEPTS : (enum backend_mode)draw(s, 5);
        break;
    default:
        world_backend_fate(w, SIM_FATE_LISTENERS);
        sim_descriptors(w->sim, 0);
        b->mode = BACKEND_ACCEPTS;
        b->delay = one_in(s, 2) ? 0 : (hf_time)draw(s, 1000000);
        backend_start(b);
        break;
    }
}

static void deed_gateway(struct script *s)
{
    struct world *w = s->w;
    switch (draw(s, 8)) {
    case 0:
        if (!w->draining) {
            world_drain(w, (hf_time)draw(s, 3000000));
        }
        break;
    case 1:
    case 2:
        if (!w->draining) {
            world_reload(w, s->yaml);
        }
        break;
    case 3:
    case 4:
        sim_wall_jump(w->sim, (hf_wall)draw(s, 7200000) - 3600000);
        break;
    default:
        world_say(w, "the gateway's machine stands still");
        sim_loop_freeze(w->loops[draw(s, w->options.workers)],
                        sim_now(w->sim) + (hf_time)draw(s, 1500000));
        break;
    }
}

static void deed_pings(struct script *s, struct peer *p)
{
    uint64_t count = one_in(s, 10) ? 100 : one_in(s, 3) ? 8 : 1;
    for (uint64_t i = 0; i < count; i++) {
        peer_ping(p);
    }
}

static void do_one(struct script *s, struct peer *p, enum doing doing)
{
    switch (doing) {
    case SEND:
        deed_send(s, p);
        break;
    case STREAM:
        deed_stream(s, p);
        break;
    case PING:
        deed_pings(s, p);
        break;
    case BEAT:
        peer_beat(p->session->client);
        break;
    case PAUSE:
        peer_pause(p, draw_pause(s));
        break;
    case CLOSE:
        deed_close(s, p);
        break;
    case MISFORTUNE:
        deed_misfortune(s, p);
        break;
    case RESUME:
        peer_resume(p);
        break;
    }
}

static void deed_peer(struct script *s, struct peer *p)
{
    unsigned sum = 0;
    for (size_t i = 0; i < 8; i++) {
        sum += s->weights[i];
    }
    uint64_t lot = draw(s, sum);
    for (size_t i = 0; i < 8; i++) {
        if (lot < s->weights[i]) {
            do_one(s, p, (enum doing)i);
            return;
        }
        lot -= s->weights[i];
    }
}

static void deed(struct script *s)
{
    uint64_t lot = draw(s, 100);
    struct peer *p = draw_peer(s);
    if (lot < 12 || p == NULL) {
        deed_connect(s);
    } else if (lot < 15) {
        deed_backend(s);
    } else if (lot < 17) {
        deed_gateway(s);
    } else {
        deed_peer(s, p);
    }
}

/* ---- one seed -------------------------------------------------------------------------------- */

static struct counts {
    uint64_t endings[HF_CAUSE_COUNT];
    uint64_t farewells, deliveries, messages;
    uint64_t holds, replaced;
} all;

static void take_counts(const struct world *w)
{
    for (unsigned i = 0; i < HF_CAUSE_COUNT; i++) {
        all.endings[i] += w->endings[i];
    }
    all.farewells += w->farewells;
    all.holds += w->holds;
    all.replaced += w->replaced;
    all.deliveries += w->deliveries;
    for (struct hf_list *n = w->peers.next; n != &w->peers; n = n->next) {
        all.messages += HF_CONTAINER(n, struct peer, node)->got;
    }
}

static struct seed_result run_seed(uint64_t seed, bool trace)
{
    struct script s = {.sessions_max = 0};
    struct seed_result result = {.passed = false};
    hf_random_init(&s.random, seed);
    size_t backends = one_in(&s, 3) ? 2 : 1;
    draw_weights(&s);
    write_config(&s, backends);
    s.sessions_max = (unsigned)between(&s, 1, 16);
    s.deeds = (unsigned)between(&s, 20, 600);
    s.gap = (hf_time)between(&s, 2000, 400000);
    struct world_options options = {.seed = seed,
                                    .yaml = s.yaml,
                                    .workers = one_in(&s, 3) ? 2 : 1,
                                    .backends = backends,
                                    .trace = trace,
                                    .print = trace};
    if (trace) {
        fprintf(stderr, "seed %llu\n%s\n", (unsigned long long)seed, s.yaml);
    }
    s.w = world_new(&options);
    if (s.w == NULL) {
        (void)snprintf(result.broken, sizeof(result.broken), "the configuration is wrong");
        return result;
    }
    s.w->backend_path = draw_path(&s, false);
    for (unsigned i = 0; i < s.deeds && s.w->broken[0] == '\0'; i++) {
        deed(&s);
        (void)world_run(s.w, (hf_time)draw(&s, (uint64_t)s.gap * 2));
    }
    result.passed = s.w->broken[0] == '\0' && world_finish(s.w);
    result.digest = sim_digest(s.w->sim);
    take_counts(s.w);
    memcpy(result.broken, s.w->broken, sizeof(result.broken));
    world_free(s.w);
    return result;
}

static void say_counts(void)
{
    printf(
        "messages %llu, complete deliveries %llu, Closes demanded %llu, holds %llu, of which %llu "
        "ended well; endings:",
        (unsigned long long)all.messages, (unsigned long long)all.deliveries,
        (unsigned long long)all.farewells, (unsigned long long)all.holds,
        (unsigned long long)all.replaced);
    for (unsigned i = 1; i < HF_CAUSE_COUNT; i++) {
        if (all.endings[i] > 0) {
            printf(" %s %llu", hf_cause_id((enum hf_cause)i), (unsigned long long)all.endings[i]);
        }
    }
    printf("\n");
}

static const char *missing(void)
{
    return all.messages == 0     ? "a message"
           : all.deliveries == 0 ? "a complete delivery"
           : all.farewells == 0  ? "a Close that could be demanded"
           : all.replaced == 0   ? "a lost backend that another followed"
                                 : NULL;
}

int main(int argc, char **argv)
{
    static const struct swarm swarm = {run_seed, say_counts, missing};
    setenv(WORLD_SECRET, "a secret of the simulated application", 1);
    for (uint64_t seed = 0; !met_tokens; seed++) {
        (void)run_seed(seed, false); /* what libraries allocate at the first token is no leak */
    }
    return swarm_main(argc, argv, &swarm);
}
