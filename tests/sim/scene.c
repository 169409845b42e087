/* SPDX-License-Identifier: Apache-2.0 */
/* The scene: its story, its time, and how it ends. */
#include "scene_core.h"

#include "base/log.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#define CHECK_EVERY HF_MS(100)

/* ---- the story ------------------------------------------------------------------------------- */

void scene_say(struct scene *s, const char *format, ...)
{
    char text[400];
    va_list args;
    if (!s->options.trace) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    hf_buffer_add_text(&s->trace, text);
    hf_buffer_add_byte(&s->trace, '\n');
    if (s->options.print) {
        hf_log_flush(s->log);
        fprintf(stderr, "%10.3f ms  %s\n", (double)(sim_now(s->sim) - s->began) / 1000, text);
    }
}

void scene_break(struct scene *s, const char *format, ...)
{
    va_list args;
    if (s->broken[0] != '\0') {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(s->broken, sizeof(s->broken), format, args);
    va_end(args);
    scene_say(s, "BROKEN: %s", s->broken);
}

/* ---- messages -------------------------------------------------------------------------------- */

void notes_add(struct notes *n, uint8_t opcode, uint32_t size)
{
    if (n->count == n->cap) {
        n->cap = n->cap * 2 + 16;
        n->at = realloc(n->at, n->cap * sizeof(*n->at));
        HF_ASSERT(n->at != NULL);
    }
    n->at[n->count++] = (struct note){size, opcode};
}

/* Some texts begin as control messages do, or as escaped ones. */
static void disguise(uint8_t *bytes, uint64_t lot, uint32_t size)
{
    static const char ack[] = "\x01"
                              "ack n=99";
    if (lot % 4 == 0 && size >= 1) {
        bytes[0] = 0x01;
    }
    if (lot % 8 == 0 && size >= 2) {
        bytes[1] = 0x01;
    }
    if (lot % 16 == 4 && size >= sizeof(ack)) {
        memcpy(bytes, ack, sizeof(ack) - 1);
    }
    if (lot % 8 == 5 && size >= 12) {
        memcpy(bytes, SCENE_SUBSCRIBES, sizeof(SCENE_SUBSCRIBES) - 1);
    }
}

uint8_t *scene_content(uint64_t sender, uint32_t index, struct note note)
{
    uint8_t *bytes = malloc(note.size + 8);
    HF_ASSERT(bytes != NULL);
    uint64_t x = (sender << 32 | index) * 0x9e3779b97f4a7c15ULL + 1;
    uint64_t lot = x >> 40;
    for (uint32_t i = 0; i < note.size; i += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint64_t word =
            note.opcode == HF_OP_TEXT ? (x & 0x1f1f1f1f1f1f1f1fULL) + 0x4040404040404040ULL : x;
        memcpy(bytes + i, &word, 8);
    }
    if (note.opcode == HF_OP_TEXT) {
        disguise(bytes, lot, note.size);
    }
    return bytes;
}

bool scene_subscribes(uint64_t sender, uint32_t index, struct note note)
{
    struct note beginning = {note.size < 12 ? note.size : 12, note.opcode};
    uint8_t *bytes = scene_content(sender, index, beginning);
    bool does = note.opcode == HF_OP_TEXT && beginning.size == 12 &&
                memcmp(bytes, SCENE_SUBSCRIBES, sizeof(SCENE_SUBSCRIBES) - 1) == 0;
    free(bytes);
    return does;
}

bool scene_same(uint64_t sender, uint32_t index, struct note note, uint8_t opcode,
                struct hf_slice data)
{
    if (note.opcode != opcode || note.size != data.len) {
        return false;
    }
    uint8_t *right = scene_content(sender, index, note);
    bool same = note.size == 0 || memcmp(right, data.ptr, note.size) == 0;
    free(right);
    return same;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static void add_base64url(struct hf_buffer *out, const void *bytes, size_t len)
{
    unsigned char text[512];
    HF_ASSERT(len <= 300);
    int n = EVP_EncodeBlock(text, bytes, (int)len);
    for (int i = 0; i < n && text[i] != '='; i++) {
        hf_buffer_add_byte(out, text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
    }
}

void scene_token(struct scene *s, const char *subject, int64_t good_ms, struct hf_buffer *out)
{
    char claims[128];
    uint8_t mac[32];
    unsigned mac_len = 0;
    size_t start = out->len;
    int64_t exp = (sim_wall(s->sim) + good_ms) / 1000;
    int n = good_ms == 0 ? snprintf(claims, sizeof(claims), "{\"sub\":\"%s\"}", subject)
                         : snprintf(claims, sizeof(claims), "{\"sub\":\"%s\",\"exp\":%lld}",
                                    subject, (long long)exp);
    add_base64url(out, "{\"alg\":\"HS256\"}", 15);
    hf_buffer_add_byte(out, '.');
    add_base64url(out, claims, (size_t)n);
    const char *secret = getenv(SCENE_SECRET);
    HF_ASSERT(secret != NULL && HMAC(EVP_sha256(), secret, (int)strlen(secret), out->data + start,
                                     out->len - start, mac, &mac_len) != NULL);
    hf_buffer_add_byte(out, '.');
    add_base64url(out, mac, mac_len);
}

int64_t scene_token_exp(struct hf_slice token)
{
    unsigned char claims[400];
    char body[400];
    struct hf_slice part;
    (void)hf_slice_next(&token, '.', &part);
    if (!hf_slice_next(&token, '.', &part) || part.len == 0 || part.len > 300) {
        return 0;
    }
    int len = snprintf(body, sizeof(body), "%.*s", HF_SLICE_ARG(part));
    while (len % 4 != 0) {
        body[len++] = '=';
    }
    int n = EVP_DecodeBlock(claims, (unsigned char *)body, len);
    claims[n < 0 ? 0 : n] = '\0';
    const char *exp = strstr((char *)claims, "\"exp\":");
    return exp == NULL ? 0 : strtoll(exp + 6, NULL, 10);
}

/* ---- making ---------------------------------------------------------------------------------- */

struct hf_address scene_host(const char *text)
{
    struct hf_address a;
    char whole[80];
    (void)snprintf(whole, sizeof(whole), "%s%s", text, strchr(text, ':') == NULL ? ":0" : "");
    HF_ASSERT(hf_address_parse(hf_slice_of(whole), &a));
    return a;
}

struct app *scene_app(struct scene *s, uint64_t id)
{
    for (struct hf_list *n = s->apps.next; n != &s->apps; n = n->next) {
        struct app *a = HF_CONTAINER(n, struct app, node);
        if (a->id == id) {
            return a;
        }
    }
    return NULL;
}

static bool is_at(const struct hf_address *a, const struct hf_address *b)
{
    return a->u.v4.sin_addr.s_addr == b->u.v4.sin_addr.s_addr;
}

/* The gateway's connects go to the backend, all others to the gateway. */
static enum sim_fate shape(void *context, const struct hf_address *from,
                           const struct hf_address *to, struct sim_path *path)
{
    struct scene *s = context;
    struct hf_address door = gate_door(s);
    if (!is_at(to, &door)) {
        *path = s->backend_path;
        return s->upstream_fate;
    }
    if (s->raw_path != NULL) {
        *path = *s->raw_path;
        return SIM_FATE_LISTENERS;
    }
    for (struct hf_list *n = s->apps.next; n != &s->apps; n = n->next) {
        struct app *a = HF_CONTAINER(n, struct app, node);
        if (is_at(&a->host, from)) {
            *path = a->path;
            if (a->detour > 0 && hf_random_below(&s->random, 3) == 0) {
                path->latency += (hf_time)hf_random_below(&s->random, (uint64_t)a->detour);
            }
            return !a->offline    ? SIM_FATE_LISTENERS
                   : a->swallowed ? SIM_FATE_SILENT
                                  : SIM_FATE_UNREACHABLE;
        }
    }
    return SIM_FATE_LISTENERS;
}

struct scene *scene_new(const struct scene_options *options)
{
    struct scene *s = calloc(1, sizeof(*s));
    HF_ASSERT(s != NULL);
    s->options = *options;
    s->options.workers = options->workers == 0 ? 1 : options->workers;
    s->backend_path = sim_calm_path;
    struct hf_list *lists[] = {&s->apps, &s->served, &s->raws};
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        hf_list_init(lists[i]);
    }
    hf_buffer_init(&s->trace, &hf_heap, SIZE_MAX / 2);
    hf_random_init(&s->random, options->seed);
    s->sim = sim_new(options->seed ^ 0x5e55);
    s->outside = sim_loop_new(s->sim);
    s->began = sim_now(s->sim);
    struct sim_shaper shaper = {s, shape};
    sim_shape(s->sim, &shaper);
    if (options->print) {
        (void)!hf_log_open(NULL, HF_LOG_TEXT, HF_LOG_DEBUG, &s->log);
    }
    (void)gate_new(s);
    upstream_start(s);
    if (!gate_start(s)) {
        scene_free(s);
        return NULL;
    }
    return s;
}

void scene_free(struct scene *s)
{
    gate_free(s);
    while (!hf_list_empty(&s->apps)) {
        app_free(HF_CONTAINER(s->apps.next, struct app, node));
    }
    while (!hf_list_empty(&s->served)) {
        served_free(HF_CONTAINER(s->served.next, struct served, node));
    }
    while (!hf_list_empty(&s->raws)) {
        raw_free(HF_CONTAINER(s->raws.next, struct raw, node));
    }
    hf_loop_free(s->outside);
    hf_log_close(s->log);
    sim_free(s->sim);
    hf_buffer_reset(&s->trace);
    free(s);
}

/* ---- time ------------------------------------------------------------------------------------ */

static void check(struct scene *s)
{
    if (sim_now(s->sim) < s->next_check) {
        return;
    }
    s->next_check = sim_now(s->sim) + CHECK_EVERY;
    gate_check(s);
    for (struct hf_list *n = s->apps.next; n != &s->apps; n = n->next) {
        app_check(HF_CONTAINER(n, struct app, node));
    }
}

bool scene_until(struct scene *s, bool (*holds)(void *context), void *context, hf_time patience)
{
    hf_time end = sim_now(s->sim) + patience;
    while (s->broken[0] == '\0') {
        if (holds != NULL && holds(context)) {
            return true;
        }
        if (sim_now(s->sim) >= end) {
            return holds == NULL;
        }
        (void)sim_step(s->sim, end);
        check(s);
    }
    return false;
}

bool scene_run(struct scene *s, hf_time duration)
{
    return scene_until(s, NULL, NULL, duration);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void heal(struct scene *s)
{
    scene_say(s, "everything is healed");
    s->mode = UPSTREAM_ACCEPTS;
    s->upstream_delay = 0;
    s->upstream_fate = SIM_FATE_LISTENERS;
    s->backend_path = sim_calm_path;
    upstream_start(s);
    for (struct hf_list *n = s->served.next; n != &s->served; n = n->next) {
        struct served *b = HF_CONTAINER(n, struct served, node);
        served_resume(b);
        served_lighten(b);
    }
    for (struct hf_list *n = s->apps.next; n != &s->apps; n = n->next) {
        struct app *a = HF_CONTAINER(n, struct app, node);
        app_offline(a, false);
        sim_host_lighten(s->sim, &a->host);
        a->path = sim_calm_path;
        a->detour = 0;
        a->ghosts = false;
    }
}

static bool is_settled(void *context)
{
    struct scene *s = context;
    if (s->draining) {
        if (!gate_is_idle(s)) {
            return false;
        }
        gate_crash(s);
    }
    if (!gate_start(s)) {
        return false;
    }
    for (struct hf_list *n = s->apps.next; n != &s->apps; n = n->next) {
        if (!app_is_settled(HF_CONTAINER(n, struct app, node))) {
            return false;
        }
    }
    return true;
}

static void say_unsettled(struct scene *s)
{
    for (struct hf_list *n = s->apps.next; n != &s->apps; n = n->next) {
        const struct app *a = HF_CONTAINER(n, struct app, node);
        const struct life *life = app_life(a);
        if (!app_is_settled(a)) {
            const struct served *b = life->served;
            scene_break(s,
                        "app %u does not come to rest: %s, session %u, the backend has %u of %u "
                        "messages and is %s, the application has %u of %u",
                        a->id, a->connected ? "connected" : "not connected", life->number,
                        b == NULL ? 0 : served_reached(b), life_count(life),
                        b == NULL           ? "not there"
                        : served_is_open(b) ? "open"
                                            : "closed",
                        b == NULL ? 0 : b->delivered, b == NULL ? 0 : b->sent.count);
        }
    }
}

/* What was acknowledged has arrived, unless the backend's own connection broke. */
static void check_life(struct scene *s, const struct app *a, const struct life *life)
{
    const struct served *b = life->served;
    while (b != NULL && b->next != NULL) {
        b = b->next;
    }
    if (b == NULL || b->cut || b->before != NULL || s->counts.crashes > 0) {
        return;
    }
    uint64_t due = life->last != UINT32_MAX ? life->acked : 0;
    if (a->clean && a->closed && life == app_life(a) && b->close_sent != a->asked) {
        due = life_count(life);
    }
    if (b->got < due) {
        scene_break(s,
                    "the backend has %u messages of session %u of app %u; %llu were acknowledged",
                    b->got, life->number, a->id, (unsigned long long)due);
    }
    if (a->clean && a->closed && life == app_life(a) && strcmp(a->end_cause, "closed") == 0 &&
        a->end_code == a->asked && b->close_sent == 0 && b->close_got != a->asked) {
        scene_break(s, "app %u closed with %d, and the backend got %u", a->id, a->asked,
                    b->close_got);
    }
}

static void check_lives(struct scene *s)
{
    for (struct hf_list *n = s->apps.next; n != &s->apps; n = n->next) {
        const struct app *a = HF_CONTAINER(n, struct app, node);
        for (struct hf_list *m = a->lives.next; m != &a->lives; m = m->next) {
            check_life(s, a, HF_CONTAINER(m, struct life, node));
        }
    }
}

/* Half of the applications say goodbye; the others leave without a word, and their sessions wait
 * out their windows. */
static void say_goodbyes(struct scene *s)
{
    for (struct hf_list *n = s->apps.next; n != &s->apps; n = n->next) {
        struct app *a = HF_CONTAINER(n, struct app, node);
        if (a->id % 2 == 0) {
            app_leave(a);
        } else {
            app_close(a, 4000 + (int)a->id, "the end");
        }
    }
    for (struct hf_list *n = s->raws.next; n != &s->raws; n = n->next) {
        raw_cut(HF_CONTAINER(n, struct raw, node));
    }
}

static bool is_over(void *context)
{
    struct scene *s = context;
    bool over = true;
    for (struct hf_list *n = s->apps.next; n != &s->apps; n = n->next) {
        struct app *a = HF_CONTAINER(n, struct app, node);
        if (a->client != NULL && !a->closed) {
            over = false;
            app_close(a, 4000 + (int)a->id, "the end"); /* it may have slept until now */
        }
    }
    return over && gate_is_idle(s);
}

bool scene_finish(struct scene *s)
{
    heal(s);
    for (struct hf_list *n = s->apps.next; n != &s->apps; n = n->next) {
        app_hurry(HF_CONTAINER(n, struct app, node));
    }
    if (!scene_until(s, is_settled, s, HF_SECONDS(600)) && s->broken[0] == '\0') {
        say_unsettled(s);
    }
    if (s->broken[0] == '\0') {
        say_goodbyes(s);
    }
    (void)scene_run(s, HF_SECONDS(3)); /* what is under way arrives */
    if (!scene_until(s, is_over, s, 2 * s->window + HF_SECONDS(200))) {
        scene_break(s, "the gateway does not come to rest: %zu sessions", gate_sessions(s, NULL));
    }
    (void)scene_run(s, HF_SECONDS(15));
    if (s->broken[0] == '\0') {
        gate_check_empty(s);
        check_lives(s);
    }
    for (struct hf_list *n = s->served.next; s->broken[0] == '\0' && n != &s->served; n = n->next) {
        const struct served *b = HF_CONTAINER(n, struct served, node);
        if (b->stream != NULL) {
            scene_break(s, "a connection of the backend is left: %u", b->id);
        }
    }
    return s->broken[0] == '\0';
}
