/* SPDX-License-Identifier: Apache-2.0 */
/* The box: proxies and their toxics. See box.h; links are link.c's. */
#include "chaos/box.h"

#include "chaos/link.h"

#include <stdio.h>
#include <stdlib.h>

const char *hf_chaos_news_text(enum hf_chaos_news news)
{
    static const char *const texts[] = {
        [HF_CHAOS_LISTENING] = "listening", [HF_CHAOS_STOPPED] = "stopped",
        [HF_CHAOS_ACCEPTED] = "accepted",   [HF_CHAOS_OPENED] = "opened",
        [HF_CHAOS_ACTED] = "acted",         [HF_CHAOS_ENDED] = "ended"};
    return texts[news];
}

static void reap(struct hf_timer *timer, hf_time now)
{
    struct hf_chaos *c = HF_CONTAINER(timer, struct hf_chaos, reap);
    while (!hf_list_empty(&c->ended)) {
        struct hf_link *l = HF_CONTAINER(c->ended.next, struct hf_link, node);
        hf_list_remove(&l->node);
        hf_link_free(l);
    }
}

struct hf_chaos *hf_chaos_new(const struct hf_chaos_options *options)
{
    struct hf_chaos *c = hf_alloc_zero(&hf_heap, sizeof(*c));
    if (c != NULL) {
        c->options = *options;
        hf_list_init(&c->proxies);
        hf_list_init(&c->ended);
        hf_timer_init(&c->reap, reap);
        hf_random_init(&c->random, options->seed);
    }
    return c;
}

void hf_chaos_free(struct hf_chaos *c)
{
    if (c == NULL) {
        return;
    }
    c->options.told = NULL;
    while (!hf_list_empty(&c->proxies)) {
        hf_chaos_proxy_remove(HF_CONTAINER(c->proxies.next, struct hf_chaos_proxy, node));
    }
    reap(&c->reap, 0);
    hf_timer_stop(c->options.loop, &c->reap);
    hf_release(&hf_heap, c);
}

struct hf_loop *hf_chaos_loop(struct hf_chaos *c)
{
    return c->options.loop;
}
size_t hf_chaos_link_count(const struct hf_chaos *c)
{
    return c->link_count;
}
uint64_t hf_chaos_accepted(const struct hf_chaos *c)
{
    return c->link_next;
}

/* ---- listening --------------------------------------------------------------------------------
 */

static void tell(struct hf_chaos_proxy *p, enum hf_chaos_news news, const char *what)
{
    const struct hf_chaos_options *o = &p->chaos->options;
    struct hf_chaos_event event = {.news = news, .proxy = p->name, .what = what};
    if (o->told != NULL) {
        o->told(o->owner, &event);
    }
}

static void on_accept(void *owner, struct hf_stream *stream, const struct hf_address *peer)
{
    hf_link_accept(owner, stream, peer);
}

static void on_exhausted(void *owner, enum hf_status why)
{
    tell(owner, HF_CHAOS_ACTED, "a client waits: there are no descriptors or no memory left");
}

static const struct hf_listener_handler listener_handler = {.on_accept = on_accept,
                                                            .on_exhausted = on_exhausted};

/* "localhost:1" and ":1" too. */
static bool parse_listen(struct hf_slice text, struct hf_address *address)
{
    char usual[160];
    size_t colon = hf_slice_find(text, ':');
    const char *host = colon == 0 ? "0.0.0.0" : "127.0.0.1";
    if (colon == 0 || hf_slice_eq_nocase(hf_slice_first(text, colon), HF_LITERAL("localhost"))) {
        (void)snprintf(usual, sizeof(usual), "%s%.*s", host,
                       HF_SLICE_ARG(hf_slice_first(hf_slice_from(text, colon), 100)));
        text = hf_slice_of(usual);
    }
    return hf_address_parse(text, address);
}

static enum hf_status open_listener(struct hf_chaos_proxy *p)
{
    struct hf_loop *loop = p->chaos->options.loop;
    struct hf_listen how = {.address = p->address};
    char text[128];
    enum hf_status status = hf_loop_listen(loop, &how, &listener_handler, p, &p->listener);
    if (status != HF_OK) {
        p->listener = NULL;
        return status;
    }
    hf_listener_address(loop, p->listener, &p->address);
    hf_address_text(&p->address, text);
    char *copy = hf_alloc_text(&hf_heap, hf_slice_of(text));
    if (copy != NULL) {
        hf_release(&hf_heap, p->listen);
        p->listen = copy;
    }
    tell(p, HF_CHAOS_LISTENING, p->listen);
    return HF_OK;
}

static void close_listener(struct hf_chaos_proxy *p, const char *why)
{
    if (p->listener != NULL) {
        hf_listener_close(p->chaos->options.loop, p->listener);
        p->listener = NULL;
        tell(p, HF_CHAOS_STOPPED, why);
    }
}

/* ---- restarts: links end by their own effects, the listener is down for a while ----------------
 */

static void arm(struct hf_chaos_proxy *p)
{
    hf_time next = p->down_until > 0 ? p->down_until : HF_NEVER;
    for (struct hf_toxic *t = hf_chaos_toxic_next(p, NULL); t != NULL && p->enabled;
         t = hf_chaos_toxic_next(p, t)) {
        if (t->kind == HF_TOXIC_RESTART && t->u.restart.down > 0) {
            struct hf_beat beat = hf_effect_beat(p, t);
            hf_time due = hf_beat_next(&beat, p->restarted);
            next = due < next ? due : next;
        }
    }
    if (next == HF_NEVER) {
        hf_timer_stop(p->chaos->options.loop, &p->timer);
    } else {
        hf_timer_set(p->chaos->options.loop, &p->timer, next);
    }
}

static void on_time(struct hf_timer *timer, hf_time now)
{
    struct hf_chaos_proxy *p = HF_CONTAINER(timer, struct hf_chaos_proxy, timer);
    for (struct hf_toxic *t = hf_chaos_toxic_next(p, NULL); t != NULL;
         t = hf_chaos_toxic_next(p, t)) {
        if (t->kind != HF_TOXIC_RESTART || t->u.restart.down == 0) {
            continue;
        }
        struct hf_beat beat = hf_effect_beat(p, t);
        if (hf_beat_next(&beat, p->restarted) <= now && p->down_until == 0) {
            close_listener(p, "restart");
            p->down_until = now + t->u.restart.down;
        }
    }
    p->restarted = now;
    if (p->down_until > 0 && now >= p->down_until) {
        p->down_until = 0;
        if (open_listener(p) != HF_OK) {
            p->down_until = now + HF_MS(100); /* somebody took the port: try again */
        }
    }
    arm(p);
}

/* ---- proxies ----------------------------------------------------------------------------------
 */

static enum hf_status enable(struct hf_chaos_proxy *p)
{
    if (!parse_listen(hf_slice_of(p->listen[0] == '\0' ? "localhost:0" : p->listen), &p->address)) {
        return HF_INVALID;
    }
    p->epoch = hf_loop_now(p->chaos->options.loop);
    p->restarted = p->epoch;
    enum hf_status status = open_listener(p);
    p->enabled = status == HF_OK;
    arm(p);
    return status;
}

static void disable(struct hf_chaos_proxy *p)
{
    p->enabled = false;
    p->down_until = 0;
    close_listener(p, "off");
    arm(p);
    while (!hf_list_empty(&p->links)) {
        struct hf_link *l = HF_CONTAINER(p->links.next, struct hf_link, node);
        l->ended_by = "the proxy is off";
        hf_link_drop(l, false);
    }
}

static void proxy_free(struct hf_chaos_proxy *p)
{
    while (!hf_list_empty(&p->toxics)) {
        struct hf_toxic *t = HF_CONTAINER(p->toxics.next, struct hf_toxic, node);
        hf_list_remove(&t->node);
        hf_toxic_free(t);
    }
    hf_release(&hf_heap, p->name);
    hf_release(&hf_heap, p->listen);
    hf_release(&hf_heap, p->upstream);
    hf_release(&hf_heap, p);
}

enum hf_status hf_chaos_proxy_add(struct hf_chaos *c, struct hf_slice name, struct hf_slice listen,
                                  struct hf_slice upstream, bool enabled,
                                  struct hf_chaos_proxy **proxy)
{
    struct hf_chaos_proxy *p =
        c->proxy_count < HF_CHAOS_PROXIES_MAX ? hf_alloc_zero(&hf_heap, sizeof(*p)) : NULL;
    *proxy = NULL;
    if (p == NULL) {
        return HF_NO_MEMORY;
    }
    p->chaos = c;
    hf_list_init(&p->links);
    hf_list_init(&p->toxics);
    hf_list_init(&p->node);
    hf_timer_init(&p->timer, on_time);
    p->name = hf_alloc_text(&hf_heap, name);
    p->listen = hf_alloc_text(&hf_heap, listen);
    p->upstream = hf_alloc_text(&hf_heap, upstream);
    enum hf_status status =
        p->name == NULL || p->listen == NULL || p->upstream == NULL ? HF_NO_MEMORY : HF_OK;
    if (status == HF_OK && enabled) {
        status = enable(p);
    }
    if (status != HF_OK) {
        proxy_free(p);
        return status;
    }
    hf_list_append(&c->proxies, &p->node);
    c->proxy_count++;
    *proxy = p;
    return HF_OK;
}

struct hf_chaos_proxy *hf_chaos_proxy_next(struct hf_chaos *c, struct hf_chaos_proxy *after)
{
    struct hf_list *node = after == NULL ? c->proxies.next : after->node.next;
    return node == &c->proxies ? NULL : HF_CONTAINER(node, struct hf_chaos_proxy, node);
}

struct hf_chaos_proxy *hf_chaos_proxy_find(struct hf_chaos *c, struct hf_slice name)
{
    struct hf_chaos_proxy *p = hf_chaos_proxy_next(c, NULL);
    while (p != NULL && !hf_slice_eq(hf_slice_of(p->name), name)) {
        p = hf_chaos_proxy_next(c, p);
    }
    return p;
}

void hf_chaos_proxy_remove(struct hf_chaos_proxy *p)
{
    disable(p);
    hf_timer_stop(p->chaos->options.loop, &p->timer);
    hf_list_remove(&p->node);
    p->chaos->proxy_count--;
    /* Dead links look at toxics no more, and have forgotten the proxy. */
    proxy_free(p);
}

/* The same address, however it is written. */
static bool is_same_listen(struct hf_slice a, struct hf_slice b)
{
    struct hf_address one = {0};
    struct hf_address other = {0};
    char texts[2][128];
    if (!parse_listen(a, &one) || !parse_listen(b, &other)) {
        return hf_slice_eq(a, b);
    }
    hf_address_text(&one, texts[0]);
    hf_address_text(&other, texts[1]);
    return strcmp(texts[0], texts[1]) == 0;
}

enum hf_status hf_chaos_proxy_update(struct hf_chaos_proxy *p, struct hf_slice listen,
                                     struct hf_slice upstream, bool enabled)
{
    if (!is_same_listen(listen, hf_slice_of(p->listen)) ||
        !hf_slice_eq(upstream, hf_slice_of(p->upstream))) {
        char *new_listen = hf_alloc_text(&hf_heap, listen);
        char *new_upstream = hf_alloc_text(&hf_heap, upstream);
        if (new_listen == NULL || new_upstream == NULL) {
            hf_release(&hf_heap, new_listen);
            hf_release(&hf_heap, new_upstream);
            return HF_NO_MEMORY;
        }
        disable(p);
        hf_release(&hf_heap, p->listen);
        hf_release(&hf_heap, p->upstream);
        p->listen = new_listen;
        p->upstream = new_upstream;
    }
    if (enabled && !p->enabled) {
        return enable(p);
    }
    if (!enabled && p->enabled) {
        disable(p);
    }
    return HF_OK;
}

const char *hf_chaos_proxy_name(const struct hf_chaos_proxy *p)
{
    return p->name;
}
const char *hf_chaos_proxy_listen(const struct hf_chaos_proxy *p)
{
    return p->listen;
}
const char *hf_chaos_proxy_upstream(const struct hf_chaos_proxy *p)
{
    return p->upstream;
}
bool hf_chaos_proxy_enabled(const struct hf_chaos_proxy *p)
{
    return p->enabled;
}
size_t hf_chaos_proxy_links(const struct hf_chaos_proxy *p)
{
    return p->link_count;
}

/* ---- toxics -----------------------------------------------------------------------------------
 */

/* Every link looks at the proxy's toxics anew; one for which there is no memory is shed. */
static void refit(struct hf_chaos_proxy *p)
{
    struct hf_list *next;
    for (struct hf_list *node = p->links.next; node != &p->links; node = next) {
        struct hf_link *l = HF_CONTAINER(node, struct hf_link, node);
        next = node->next;
        if (!hf_link_refit(l)) {
            l->ended_by = "the box: out of memory";
            hf_link_drop(l, true);
        } else {
            hf_link_settle(l);
        }
    }
    arm(p);
}

enum hf_status hf_chaos_toxic_add(struct hf_chaos_proxy *p, struct hf_toxic *t)
{
    if (p->toxic_count >= HF_CHAOS_TOXICS_MAX) {
        return HF_NO_MEMORY;
    }
    hf_list_append(&p->toxics, &t->node);
    p->toxic_count++;
    refit(p);
    return HF_OK;
}

struct hf_toxic *hf_chaos_toxic_next(struct hf_chaos_proxy *p, struct hf_toxic *after)
{
    struct hf_list *node = after == NULL ? p->toxics.next : after->node.next;
    return node == &p->toxics ? NULL : HF_CONTAINER(node, struct hf_toxic, node);
}

struct hf_toxic *hf_chaos_toxic_find(struct hf_chaos_proxy *p, struct hf_slice name)
{
    struct hf_toxic *t = hf_chaos_toxic_next(p, NULL);
    while (t != NULL && !hf_slice_eq(hf_slice_of(t->name), name)) {
        t = hf_chaos_toxic_next(p, t);
    }
    return t;
}

/* The toxic may have thrown bytes of this link away, and what came behind them would be garbage. */
static bool has_torn(const struct hf_effect *e, const struct hf_link *l)
{
    enum hf_toxic_kind kind = e->toxic->kind;
    bool torn = l->lanes[HF_WAY_UP].torn || l->lanes[HF_WAY_DOWN].torn;
    bool tears =
        kind == HF_TOXIC_RESET_PEER || kind == HF_TOXIC_LIMIT_DATA || kind == HF_TOXIC_BLACKHOLE;
    return e->on && (kind == HF_TOXIC_TIMEOUT || (torn && tears));
}

static struct hf_effect *effect_of(const struct hf_link *l, const struct hf_toxic *t)
{
    for (size_t i = 0; i < l->effect_count; i++) {
        if (l->effects[i].toxic == t) {
            return &l->effects[i];
        }
    }
    return NULL;
}

/* Links that lost bytes to a toxic end with it, as toxiproxy's do. With `to` the toxic is not gone
 * but replaced by that one: effects go on with it, and only a new toxicity is drawn again. */
static void change_effects(struct hf_chaos_proxy *p, const struct hf_toxic *t, struct hf_toxic *to)
{
    struct hf_list *next;
    for (struct hf_list *node = p->links.next; node != &p->links; node = next) {
        struct hf_link *l = HF_CONTAINER(node, struct hf_link, node);
        struct hf_effect *e = effect_of(l, t);
        next = node->next;
        if (e == NULL) {
            continue;
        }
        bool torn = has_torn(e, l);
        if (to != NULL) {
            e->toxic = to;
            hf_effect_redraw(e, l, t->toxicity);
            torn = torn && !(e->on && to->kind == HF_TOXIC_TIMEOUT); /* that goes on swallowing */
        }
        if (torn && hf_link_is_live(l)) {
            l->ended_by = "the box: a toxic that lost bytes was changed";
            hf_link_fin(l);
            hf_link_settle(l);
        }
    }
}

void hf_chaos_toxic_replace(struct hf_chaos_proxy *p, struct hf_toxic *t, struct hf_toxic *from)
{
    HF_ASSERT(t->kind == from->kind);
    from->way = t->way;
    from->node.prev = t->node.prev;
    from->node.next = t->node.next;
    t->node.prev->next = &from->node;
    t->node.next->prev = &from->node;
    hf_list_init(&t->node);
    change_effects(p, t, from);
    refit(p);
    hf_toxic_free(t);
}

void hf_chaos_toxic_remove(struct hf_chaos_proxy *p, struct hf_toxic *t)
{
    change_effects(p, t, NULL);
    hf_list_remove(&t->node);
    p->toxic_count--;
    refit(p);
    hf_toxic_free(t);
}
