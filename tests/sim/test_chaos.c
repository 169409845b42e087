/* SPDX-License-Identifier: Apache-2.0 */
/* The box of chaos on the simulated clock: seeded runs in which clients talk through it while
 * toxics of every kind, with random attributes, come, change and go. Whatever they do: what a
 * client gets is WebSocket, in order, and something that it asked for; nothing turns in circles;
 * and in the end every stream, timer and byte is given back. */
#include "sim_io.h"

#include "chaos/backend.h"
#include "chaos/box.h"
#include "test_unit.h"
#include "ws/endpoint.h"
#include "ws/handshake.h"

#include <stdlib.h>

#define CLIENTS 6
#define SEEDS 400
#define RUN HF_SECONDS(40)
#define STEPS_MAX 200000 /* of the simulator; a run has about 5000 */

struct party;

struct client {
    struct party *party;
    struct hf_stream *stream; /* NULL: not connected */
    struct hf_endpoint *endpoint;
    bool open;
    bool resting;  /* it does not read */
    uint64_t sent; /* the numbers 1 to sent */
    uint64_t got;  /* the newest one that came back */
    uint64_t pongs;
};

struct party {
    uint64_t seed;
    struct sim *sim;
    struct hf_random *random;
    struct hf_loop *loop;
    struct hf_loop *loop_of_clients;
    struct hf_chaos *chaos;
    struct hf_chaos_backend *backend;
    struct hf_chaos_proxy *proxy;
    struct client clients[CLIENTS];
    uint64_t opened, echoed, closed, ended; /* over all clients: that something happens at all */
};

/* Over all seeds: what was met. */
static struct party met;

static uint64_t below(struct party *p, uint64_t n)
{
    return hf_random_below(p->random, n);
}

/* ---- clients ----------------------------------------------------------------------------------
 */

static void client_end(struct client *c, void (*end)(struct hf_stream *stream))
{
    if (c->stream != NULL) {
        end(c->stream);
        c->stream = NULL;
    }
    hf_endpoint_free(c->endpoint);
    c->endpoint = NULL;
    c->open = false;
}

static void push_out(struct client *c)
{
    struct hf_buffer *out = hf_endpoint_out(c->endpoint);
    hf_buffer_drop(out, hf_stream_send(c->stream, hf_buffer_slice(out)));
}

static void take(struct client *c, const struct hf_endpoint_event *event)
{
    uint64_t number = 0;
    switch (event->kind) {
    case HF_ENDPOINT_MESSAGE:
        if (hf_slice_eq(event->data, HF_LITERAL("2"))) {
            break; /* the text ping of a watchdog */
        }
        struct hf_slice digits = hf_slice_first(event->data, hf_slice_find(event->data, ' '));
        assert_true(hf_slice_number(digits, UINT64_MAX, &number));
        assert_true(number > c->got && number <= c->sent);
        c->got = number;
        c->party->echoed++;
        break;
    case HF_ENDPOINT_CLOSE:
        c->party->closed++;
        break;
    case HF_ENDPOINT_FAULT:
        print_error("seed %llu: what came is no WebSocket: %s\n",
                    (unsigned long long)c->party->seed, event->why);
        fail();
        break;
    case HF_ENDPOINT_PONG:
    case HF_ENDPOINT_PING:
    case HF_ENDPOINT_NONE:
        c->pongs++;
        break;
    }
}

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct client *c = owner;
    struct hf_endpoint_event event;
    size_t taken = 0;
    if (!c->open) {
        struct hf_head head;
        const char *why;
        if (hf_response_read(bytes, 65536, &head, &why) != HF_HEAD_READ) {
            return 0;
        }
        if (head.status != 101) {
            client_end(c, hf_stream_close);
            return bytes.len;
        }
        c->open = true;
        c->party->opened++;
        taken = head.size;
    }
    assert_int_equal(hf_endpoint_feed(c->endpoint, hf_slice_from(bytes, taken)), HF_OK);
    while (hf_endpoint_next(c->endpoint, &event) != HF_ENDPOINT_NONE) {
        take(c, &event);
    }
    push_out(c);
    return bytes.len;
}

static void on_open(void *owner, struct hf_stream *stream)
{
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    (void)hf_stream_send(stream, hf_slice_of(request));
}

static void on_writable(void *owner, struct hf_stream *stream)
{
    struct client *c = owner;
    if (c->open) {
        push_out(c);
    }
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct client *c = owner;
    c->party->ended++;
    client_end(c, hf_stream_close);
}

static const struct hf_stream_handler client_handler = {
    .on_open = on_open, .on_bytes = on_bytes, .on_writable = on_writable, .on_end = on_end};

static void connect_client(struct client *c)
{
    const struct hf_endpoint_options options = {
        .client = true, .message_max = 1 << 20, .alloc = &hf_heap, .seed = below(c->party, 1000)};
    struct hf_connect how = {0};
    assert_true(
        hf_address_parse(hf_slice_of(hf_chaos_proxy_listen(c->party->proxy)), &how.address));
    c->endpoint = hf_endpoint_new(&options);
    c->sent = 0;
    c->got = 0;
    c->resting = false;
    assert_int_equal(
        hf_loop_connect(c->party->loop_of_clients, &how, &client_handler, c, &c->stream), HF_OK);
}

/* A Close may have gone by. */
static void ignore(enum hf_status status) {}

static void speak(struct client *c)
{
    char text[4000];
    size_t padding = below(c->party, 4) == 0 ? below(c->party, 3900) : 0;
    int len = snprintf(text, sizeof(text), "%llu ", (unsigned long long)++c->sent);
    memset(text + len, 'x', padding);
    size_t size = (size_t)len + padding;
    if (below(c->party, 4) == 0) {
        ignore(hf_endpoint_send_fragment(c->endpoint, HF_OP_TEXT, false, hf_slice(text, size / 2)));
        ignore(hf_endpoint_ping(c->endpoint, HF_LITERAL("between")));
        ignore(hf_endpoint_send_fragment(c->endpoint, 0, true,
                                         hf_slice(text + size / 2, size - size / 2)));
    } else {
        ignore(hf_endpoint_send(c->endpoint, HF_OP_TEXT, hf_slice(text, size)));
    }
}

static void act_client(struct client *c)
{
    uint64_t what = below(c->party, 20);
    if (c->stream == NULL) {
        connect_client(c);
    } else if (!c->open) {
        if (what == 0) {
            client_end(c, hf_stream_abort);
        }
    } else if (what < 12) {
        speak(c);
        push_out(c);
    } else if (what < 16) {
        ignore(hf_endpoint_ping(c->endpoint, HF_LITERAL("p")));
        push_out(c);
    } else if (what == 16) {
        ignore(hf_endpoint_close(c->endpoint, 1000, HF_LITERAL("enough")));
        push_out(c);
    } else if (what == 17) {
        client_end(c, below(c->party, 2) == 0 ? hf_stream_abort : hf_stream_close);
    } else if (what == 18) {
        c->resting = !c->resting;
        if (c->resting) {
            hf_stream_pause(c->stream);
        } else {
            hf_stream_resume(c->stream);
        }
    }
}

/* ---- toxics -----------------------------------------------------------------------------------
 */

static void draw_attribute(struct party *p, struct hf_toxic *t, const struct hf_attribute *a)
{
    char why[256];
    char text[64];
    enum hf_status status = HF_OK;
    switch (a->kind) {
    case HF_ATTRIBUTE_MS:
    case HF_ATTRIBUTE_US:
        status = hf_toxic_set_number(t, a, below(p, 4) == 0 ? 0 : (double)below(p, 6000), why);
        break;
    case HF_ATTRIBUTE_NUMBER: {
        double most = a->most < a->least + 3000 ? a->most : a->least + 3000;
        status = hf_toxic_set_number(
            t, a, a->least + (double)below(p, (uint64_t)(most - a->least) + 1), why);
        break;
    }
    case HF_ATTRIBUTE_REAL:
        status = hf_toxic_set_number(t, a, (double)below(p, 101) / 100, why);
        break;
    case HF_ATTRIBUTE_WORD:
    case HF_ATTRIBUTE_SET: {
        struct hf_slice rest = hf_slice_of(a->words);
        struct hf_slice word;
        uint64_t skip = below(p, 8);
        while (hf_slice_next(&rest, ' ', &word) && skip-- > 0) {
        }
        (void)snprintf(text, sizeof(text), "%.*s", HF_SLICE_ARG(word));
        status = hf_toxic_set_text(t, a, hf_slice_of(text), why);
        break;
    }
    case HF_ATTRIBUTE_TEXT:
        break;
    }
    assert_int_equal(status, HF_OK);
}

/* NULL: the attributes did not fit together. */
static struct hf_toxic *draw_toxic(struct party *p, const struct hf_toxic_type *type)
{
    struct hf_toxic *t = hf_toxic_new(type);
    char name[32];
    for (size_t i = 0; i < type->count; i++) {
        if (below(p, 3) > 0) {
            draw_attribute(p, t, &type->attributes[i]);
        }
    }
    t->way = (enum hf_way)below(p, HF_WAYS);
    t->toxicity = below(p, 3) == 0 ? 0.5 : 1;
    (void)snprintf(name, sizeof(name), "t%llu", (unsigned long long)below(p, 1000000));
    assert_int_equal(hf_toxic_rename(t, hf_slice_of(name)), HF_OK);
    if (hf_toxic_fault(t) != NULL || hf_chaos_toxic_find(p->proxy, hf_slice_of(name)) != NULL) {
        hf_toxic_free(t);
        return NULL;
    }
    return t;
}

static void change_toxics(struct party *p)
{
    struct hf_toxic *first = hf_chaos_toxic_next(p->proxy, NULL);
    uint64_t what = below(p, 8);
    if (what < 3 && first != NULL) {
        hf_chaos_toxic_remove(p->proxy, first);
    } else if (what < 4 && first != NULL) {
        struct hf_toxic *other = draw_toxic(p, hf_toxic_type(first));
        if (other != NULL) {
            hf_chaos_toxic_replace(p->proxy, first, other);
        }
    } else {
        struct hf_toxic *t = draw_toxic(p, &hf_toxic_types[below(p, HF_TOXIC_KINDS)]);
        if (t != NULL && hf_chaos_toxic_add(p->proxy, t) != HF_OK) {
            hf_toxic_free(t);
        }
    }
    if (below(p, 40) == 0) {
        struct hf_slice listen = hf_slice_of(hf_chaos_proxy_listen(p->proxy));
        char *copy = hf_alloc_text(&hf_heap, listen);
        char *upstream = hf_alloc_text(&hf_heap, hf_slice_of(hf_chaos_proxy_upstream(p->proxy)));
        assert_int_equal(hf_chaos_proxy_update(p->proxy, hf_slice_of(copy), hf_slice_of(upstream),
                                               !hf_chaos_proxy_enabled(p->proxy)),
                         HF_OK);
        hf_release(&hf_heap, copy);
        hf_release(&hf_heap, upstream);
    }
}

/* ---- runs -------------------------------------------------------------------------------------
 */

static enum sim_fate any_path(void *context, const struct hf_address *from,
                              const struct hf_address *to, struct sim_path *path)
{
    struct party *p = context;
    path->latency = (hf_time)below(p, 20000);
    path->jitter = (hf_time)below(p, 5000);
    path->send_buffer = 5000 + (uint32_t)below(p, 200000);
    path->receive_buffer = 5000 + (uint32_t)below(p, 60000);
    path->segment_min = 1 + (uint32_t)below(p, 100);
    path->segment_max = 200 + (uint32_t)below(p, 20000);
    path->dribble_percent = below(p, 3) == 0 ? 20 : 0;
    return SIM_FATE_LISTENERS;
}

static void begin(struct party *p, uint64_t seed)
{
    char upstream[128];
    struct hf_address address;
    const struct sim_shaper shaper = {.context = p, .connect = any_path};
    *p = (struct party){.seed = seed, .sim = sim_new(seed)};
    p->random = sim_random(p->sim);
    sim_shape(p->sim, &shaper);
    p->loop = sim_loop_new(p->sim);
    p->loop_of_clients = sim_loop_new(p->sim);
    const struct hf_chaos_options options = {.loop = p->loop, .seed = seed};
    p->chaos = hf_chaos_new(&options);
    enum hf_chaos_backend_kind kind = HF_BACKEND_ECHO;
    assert_int_equal(hf_chaos_backend_open(p->loop, kind, &p->backend), HF_OK);
    hf_chaos_backend_address(p->backend, &address);
    hf_address_text(&address, upstream);
    assert_int_equal(hf_chaos_proxy_add(p->chaos, HF_LITERAL("p"), HF_LITERAL("127.0.0.1:0"),
                                        hf_slice_of(upstream), true, &p->proxy),
                     HF_OK);
    for (size_t i = 0; i < CLIENTS; i++) {
        p->clients[i].party = p;
    }
}

static void finish(struct party *p)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        client_end(&p->clients[i], hf_stream_close);
    }
    hf_chaos_free(p->chaos);
    hf_chaos_backend_close(p->backend);
    while (sim_step(p->sim, sim_now(p->sim) + HF_SECONDS(300))) {
    }
    struct sim_counts left = sim_count(p->sim);
    assert_int_equal(left.streams, 0);
    assert_int_equal(left.listeners, 0);
    assert_int_equal(left.timers, 0);
    assert_int_equal(left.names, 0);
    hf_loop_free(p->loop);
    hf_loop_free(p->loop_of_clients);
    sim_free(p->sim);
}

/* What goes on, for a person. */
static void show(struct party *p, uint64_t seed)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 1 << 20);
    for (struct hf_toxic *t = hf_chaos_toxic_next(p->proxy, NULL); t != NULL;
         t = hf_chaos_toxic_next(p->proxy, t)) {
        hf_toxic_json(t, &out);
        (void)hf_buffer_add_byte(&out, '\n');
    }
    print_error("seed %llu turns in circles at %.6f s, with %zu links and these toxics:\n%.*s",
                (unsigned long long)seed, (double)sim_now(p->sim) / 1e6,
                hf_chaos_proxy_links(p->proxy), HF_SLICE_ARG(hf_buffer_slice(&out)));
    hf_buffer_reset(&out);
}

static void run_seed(uint64_t seed)
{
    struct party p;
    unsigned steps = 0;
    begin(&p, seed);
    hf_time end = sim_now(p.sim) + RUN;
    while (sim_now(p.sim) < end) {
        hf_time next = sim_now(p.sim) + (hf_time)below(&p, 400000) + 1;
        while (sim_step(p.sim, next)) {
            if (++steps > STEPS_MAX) {
                show(&p, seed);
                fail();
            }
        }
        act_client(&p.clients[below(&p, CLIENTS)]);
        if (below(&p, 6) == 0) {
            change_toxics(&p);
        }
    }
    met.opened += p.opened;
    met.echoed += p.echoed;
    met.closed += p.closed;
    met.ended += p.ended;
    finish(&p);
}

static void the_next_address_of_a_name_is_tried_when_one_refuses(void **state)
{
    struct party p;
    struct hf_address addresses[2];
    struct hf_address backend;
    char upstream[32];
    begin(&p, 1);
    hf_chaos_backend_address(p.backend, &backend);
    assert_true(hf_address_parse(HF_LITERAL("192.0.2.7:0"), &addresses[0])); /* nobody is there */
    assert_true(hf_address_parse(HF_LITERAL("127.0.0.1:0"), &addresses[1]));
    sim_name(p.sim, "two.test", HF_OK, addresses, 2, HF_MS(1));
    (void)snprintf(upstream, sizeof(upstream), "two.test:%u", ntohs(backend.u.v4.sin_port));
    char *listen = hf_alloc_text(&hf_heap, hf_slice_of(hf_chaos_proxy_listen(p.proxy)));
    assert_int_equal(
        hf_chaos_proxy_update(p.proxy, hf_slice_of(listen), hf_slice_of(upstream), true), HF_OK);
    hf_release(&hf_heap, listen);
    connect_client(&p.clients[0]);
    while (!p.clients[0].open && sim_step(p.sim, sim_now(p.sim) + HF_SECONDS(10))) {
    }
    assert_true(p.clients[0].open);
    finish(&p);
}

static uint64_t first_seed = 1;
static uint64_t last_seed = SEEDS;

static void what_passes_the_box_is_websocket_whatever_the_toxics(void **state)
{
    uint64_t count = last_seed - first_seed + 1;
    for (uint64_t seed = first_seed; seed <= last_seed; seed++) {
        run_seed(seed);
    }
    print_message("%llu opened, %llu echoes, %llu closes, %llu ends\n",
                  (unsigned long long)met.opened, (unsigned long long)met.echoed,
                  (unsigned long long)met.closed, (unsigned long long)met.ended);
    /* They did talk. */
    assert_true(count < SEEDS || (met.opened > 10 * count && met.echoed > 20 * count));
    assert_true(count < SEEDS || (met.closed > count && met.ended > count));
}

/* test_chaos_box [FIRST LAST]: these seeds. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_address_of_a_name_is_tried_when_one_refuses),
        cmocka_unit_test(what_passes_the_box_is_websocket_whatever_the_toxics),
    };
    if (argc == 3) {
        first_seed = strtoull(argv[1], NULL, 10);
        last_seed = strtoull(argv[2], NULL, 10);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
