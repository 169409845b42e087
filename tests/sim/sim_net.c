/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated network: connections as two directions of bytes, and the events that move them. */
#include "sim_core.h"

#include <errno.h>
#include <stdlib.h>

#define CONNECT_TIMEOUT HF_SECONDS(127)
#define SYSTEM_TIMEOUT HF_SECONDS(924) /* tcp_retries2 */
#define RESEND HF_MS(200)

const struct sim_path sim_calm_path = {
    .latency = 200,
    .send_buffer = 512 * 1024,
    .receive_buffer = 128 * 1024,
    .segment_min = 64 * 1024,
    .segment_max = 64 * 1024,
};

/* ---- bytes ----------------------------------------------------------------------------------- */

void sim_bytes_add(struct bytes *b, const uint8_t *ptr, size_t len)
{
    if (len == 0) {
        return;
    }
    if (b->off + b->len + len > b->cap) {
        if (b->len > 0) {
            memmove(b->data, b->data + b->off, b->len);
        }
        b->off = 0;
        if (b->len + len > b->cap) {
            b->cap = (b->len + len) * 2;
            b->data = realloc(b->data, b->cap);
            HF_ASSERT(b->data != NULL);
        }
    }
    memcpy(b->data + b->off + b->len, ptr, len);
    b->len += len;
}

void sim_bytes_drop(struct bytes *b, size_t len)
{
    HF_ASSERT(len <= b->len);
    b->off += len;
    b->len -= len;
    if (b->len == 0) {
        b->off = 0;
    }
}

void sim_bytes_free(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){0};
}

/* ---- events: a heap by time ------------------------------------------------------------------ */

static bool before(const struct event *a, const struct event *b)
{
    return a->when < b->when || (a->when == b->when && a->order < b->order);
}

static void swap(struct event *a, struct event *b)
{
    struct event c = *a;
    *a = *b;
    *b = c;
}

struct event *sim_event(struct sim *sim, hf_time when, enum event_kind kind, struct link *link,
                        unsigned side)
{
    if (sim->heap_len == sim->heap_cap) {
        sim->heap_cap = sim->heap_cap * 2 + 64;
        sim->heap = realloc(sim->heap, sim->heap_cap * sizeof(*sim->heap));
        HF_ASSERT(sim->heap != NULL);
    }
    size_t i = sim->heap_len++;
    sim->heap[i] = (struct event){.when = when > sim->now ? when : sim->now,
                                  .order = sim->next_order++,
                                  .link = link,
                                  .epoch = link == NULL ? 0 : link->epoch,
                                  .kind = (uint8_t)kind,
                                  .side = (uint8_t)side};
    if (link != NULL) {
        link->events++;
    }
    while (i > 0 && before(&sim->heap[i], &sim->heap[(i - 1) / 2])) {
        swap(&sim->heap[i], &sim->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    return &sim->heap[i];
}

hf_time sim_event_next(const struct sim *sim)
{
    return sim->heap_len == 0 ? HF_NEVER : sim->heap[0].when;
}

static struct event pop(struct sim *sim)
{
    struct event top = sim->heap[0];
    sim->heap[0] = sim->heap[--sim->heap_len];
    size_t i = 0;
    for (;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < sim->heap_len; child++) {
            if (before(&sim->heap[child], &sim->heap[least])) {
                least = child;
            }
        }
        if (least == i) {
            return top;
        }
        swap(&sim->heap[i], &sim->heap[least]);
        i = least;
    }
}

void sim_digest_add(struct sim *sim, uint64_t n)
{
    sim->digest = (sim->digest ^ n) * 0x100000001b3ULL;
}

/* ---- links ----------------------------------------------------------------------------------- */

struct link *sim_link_new(struct sim *sim, const struct sim_path *path)
{
    struct link *link = calloc(1, sizeof(*link));
    HF_ASSERT(link != NULL);
    link->sim = sim;
    link->path = *path;
    for (unsigned i = 0; i < 2; i++) {
        link->side[i].fault = HF_END_KINDS;
        link->side[i].edge = path->receive_buffer;
        link->side[i].told_edge = path->receive_buffer;
        link->side[i].heard = sim->now;
    }
    hf_list_init(&link->waiting);
    hf_list_init(&link->node);
    hf_list_append(&sim->links, &link->node);
    return link;
}

/* Frees it when nobody needs it. */
void sim_link_release(struct link *link)
{
    if (link->events > 0 || !link->side[0].closed || !link->side[1].closed || link->queue != NULL) {
        return;
    }
    for (unsigned i = 0; i < 2; i++) {
        sim_bytes_free(&link->side[i].out);
        sim_bytes_free(&link->side[i].in);
    }
    hf_list_remove(&link->node);
    free(link);
}

/* When something that leaves now is there. Nothing overtakes on the way of one direction. */
static hf_time arrival(struct link *link, unsigned from, size_t len)
{
    struct sim *sim = link->sim;
    struct side *s = &link->side[from];
    hf_time leave = s->busy_until > sim->now ? s->busy_until : sim->now;
    if (link->path.bandwidth > 0) {
        leave += (hf_time)((uint64_t)len * 1000000 / link->path.bandwidth);
    }
    s->busy_until = leave;
    hf_time there = leave + link->path.latency;
    if (link->path.jitter > 0) {
        there += (hf_time)hf_random_below(&sim->random, (uint64_t)link->path.jitter + 1);
    }
    if (link->path.loss_percent > 0 &&
        hf_random_below(&sim->random, 100) < link->path.loss_percent) {
        there += RESEND;
    }
    there = there > s->last_arrival ? there : s->last_arrival;
    s->last_arrival = there;
    return there;
}

static hf_time ack_arrival(struct link *link)
{
    return link->sim->now + link->path.latency;
}

/* ---- giving up ------------------------------------------------------------------------------- */

static hf_time give_up_at(const struct side *s)
{
    const struct hf_socket_options *o = &s->options;
    if (s->acked < s->sent) {
        return s->unacked_since + (o->user_timeout > 0 ? o->user_timeout : SYSTEM_TIMEOUT);
    }
    if (o->keepalive_idle > 0) {
        hf_time probes = o->keepalive_interval * o->keepalive_count;
        return s->heard + o->keepalive_idle +
               (o->user_timeout > 0 && o->user_timeout < probes ? o->user_timeout : probes);
    }
    return HF_NEVER;
}

/* On a path that is dark nothing is acknowledged: TCP's own patience runs. */
static void watch(struct link *link, unsigned side)
{
    struct side *s = &link->side[side];
    if (!link->dark || s->closed || s->watched || s->fault != HF_END_KINDS) {
        return;
    }
    hf_time when = give_up_at(s);
    if (when != HF_NEVER) {
        s->watched = true;
        sim_event(link->sim, when, EVENT_GIVE_UP, link, side);
    }
}

static void fail_side(struct link *link, unsigned side, enum hf_end_kind kind)
{
    struct side *s = &link->side[side];
    if (s->fault == HF_END_KINDS) {
        s->fault = kind;
        sim_bytes_free(&s->out);
        s->sent = s->acked;
        sim_stream_wake(link, side);
    }
}

static void on_give_up(struct link *link, unsigned side)
{
    struct side *s = &link->side[side];
    s->watched = false;
    if (!link->dark || s->closed || s->fault != HF_END_KINDS) {
        return;
    }
    if (link->sim->now >= give_up_at(s)) {
        fail_side(link, side, HF_END_TIMEOUT);
    } else {
        watch(link, side);
    }
}

/* ---- sending --------------------------------------------------------------------------------- */

static size_t segment_size(struct link *link, size_t have)
{
    struct sim *sim = link->sim;
    const struct sim_path *p = &link->path;
    size_t size = p->segment_max;
    if (p->dribble_percent > 0 && hf_random_below(&sim->random, 100) < p->dribble_percent) {
        size = 1 + (size_t)hf_random_below(&sim->random, 3);
    } else if (p->segment_max > p->segment_min) {
        size = p->segment_min +
               (size_t)hf_random_below(&sim->random, p->segment_max - p->segment_min + 1);
    }
    return size < have ? size : have;
}

void sim_side_pump(struct link *link, unsigned side)
{
    struct side *s = &link->side[side];
    if (link->state != LINK_OPEN || s->fault != HF_END_KINDS || s->rst) {
        return;
    }
    while (sim_side_unsent(s) > 0 && s->sent < s->edge) {
        size_t have = sim_side_unsent(s);
        size_t room = (size_t)(s->edge - s->sent);
        size_t n = segment_size(link, have < room ? have : room);
        if (s->sent == s->acked) {
            s->unacked_since = link->sim->now;
        }
        s->sent += n;
        sim_event(link->sim, arrival(link, side, n), EVENT_SEGMENT, link, 1 - side)->n = n;
    }
    if (s->fin && !s->fin_sent && sim_side_unsent(s) == 0) {
        s->fin_sent = true;
        sim_event(link->sim, arrival(link, side, 1), EVENT_FIN, link, 1 - side);
    }
    watch(link, side);
}

static void send_reset(struct link *link, unsigned from)
{
    struct side *s = &link->side[from];
    if (!s->rst && link->state != LINK_FAILED) {
        s->rst = true;
        sim_event(link->sim, arrival(link, from, 1), EVENT_RST, link, 1 - from);
    }
    s->out.len =
        (size_t)(s->sent - s->acked); /* what is under way arrives, the rest is thrown away */
}

void sim_side_close(struct link *link, unsigned side, bool abort)
{
    struct side *s = &link->side[side];
    if (s->closed) {
        return;
    }
    s->closed = true;
    s->stream = NULL;
    bool unread = s->in.len > 0;
    sim_bytes_free(&s->in);
    if (link->state != LINK_OPEN) {
        link->state = LINK_FAILED;
        link->side[1].closed = true;
    } else if (s->fault == HF_END_KINDS && (abort || unread)) {
        send_reset(link, side);
    } else if (s->fault == HF_END_KINDS && !s->fin) {
        s->fin = true;
        s->notify = s->tls_open;
        sim_side_pump(link, side);
    }
    sim_link_release(link);
}

/* What leaves now in the other direction: that so many bytes are here and the window reaches so
 * far. */
static void send_ack(struct link *link, unsigned side)
{
    struct side *from = &link->side[1 - side];
    struct side *s = &link->side[side];
    size_t room = link->path.receive_buffer > s->in.len ? link->path.receive_buffer - s->in.len : 0;
    s->told_edge = from->arrived + room > s->told_edge ? from->arrived + room : s->told_edge;
    struct event *e = sim_event(link->sim, ack_arrival(link), EVENT_ACK, link, 1 - side);
    e->n = from->arrived;
    e->edge = s->told_edge;
}

void sim_side_read(struct link *link, unsigned side)
{
    struct side *s = &link->side[side];
    struct side *from = &link->side[1 - side];
    uint64_t known = s->told_edge - from->arrived;
    size_t room = link->path.receive_buffer > s->in.len ? link->path.receive_buffer - s->in.len : 0;
    if (room > known && known < link->path.receive_buffer / 2) {
        send_ack(link, side);
    }
}

/* ---- TLS, which is only its time ------------------------------------------------------------- */

static void send_tls_open(struct link *link)
{
    /* The server has the client's finish last. */
    sim_event(link->sim, link->sim->now + 2 * link->path.latency, EVENT_TLS_OPEN, link, 0);
    sim_event(link->sim, link->sim->now + 3 * link->path.latency, EVENT_TLS_OPEN, link, 1);
}

void sim_side_start_tls(struct link *link, unsigned side)
{
    link->side[side].tls = true;
    if (link->side[1 - side].tls && link->state == LINK_OPEN) {
        send_tls_open(link);
    }
}

/* ---- connecting ------------------------------------------------------------------------------ */

void sim_link_connect(struct link *link, enum sim_fate fate)
{
    struct sim *sim = link->sim;
    link->silent = fate == SIM_FATE_SILENT;
    if (fate == SIM_FATE_UNREACHABLE) {
        sim_event(sim, sim->now, EVENT_CONNECT_FAILED, link, 0)->n = HF_END_UNREACHABLE;
    } else if (fate == SIM_FATE_REFUSED) {
        sim_event(sim, sim->now + 2 * link->path.latency, EVENT_CONNECT_FAILED, link, 0)->n =
            HF_END_REFUSED;
    } else {
        sim_event(sim, sim->now + CONNECT_TIMEOUT, EVENT_CONNECT_FAILED, link, 0)->n =
            HF_END_UNREACHABLE;
        sim_event(sim, arrival(link, 0, 1), EVENT_SYN, link, 1);
    }
}

static void on_syn(struct link *link)
{
    struct sim *sim = link->sim;
    struct hf_listener *l = link->silent ? NULL : sim_listener_find(sim, &link->side[1].address);
    if (link->state != LINK_SYN || link->silent) {
        return;
    }
    if (l == NULL) {
        sim_event(sim, ack_arrival(link), EVENT_CONNECT_FAILED, link, 0)->n = HF_END_REFUSED;
        return;
    }
    link->state = LINK_SYN_ACK;
    sim_event(sim, arrival(link, 1, 1), EVENT_SYN_ACK, link, 0);
}

static void on_syn_ack(struct link *link)
{
    if (link->state != LINK_SYN_ACK) {
        return;
    }
    link->state = LINK_OPEN;
    sim_event(link->sim, arrival(link, 0, 1), EVENT_ESTABLISHED, link, 1);
    sim_stream_wake(link, 0);
}

static void on_established(struct link *link)
{
    struct hf_listener *l = sim_listener_find(link->sim, &link->side[1].address);
    link->established = true;
    if (l == NULL) {
        sim_side_close(link, 1, true);
        return;
    }
    link->queue = l;
    link->side[1].options = l->options;
    hf_list_append(&l->waiting, &link->waiting);
}

static void on_connect_failed(struct link *link, enum hf_end_kind kind)
{
    if (link->state == LINK_SYN || link->state == LINK_SYN_ACK) {
        link->state = LINK_FAILED;
        link->side[1].closed = true;
        fail_side(link, 0, kind);
    }
}

void sim_link_accepted(struct link *link)
{
    hf_list_remove(&link->waiting);
    link->queue = NULL;
}

void sim_link_refuse_waiting(struct link *link)
{
    sim_link_accepted(link);
    sim_side_close(link, 1, true);
}

/* ---- what arrives ---------------------------------------------------------------------------- */

static void on_segment(struct link *link, unsigned side, size_t len)
{
    struct side *s = &link->side[side];
    struct side *from = &link->side[1 - side];
    if (from->fault != HF_END_KINDS) {
        return;
    }
    if (s->closed || s->fault != HF_END_KINDS) {
        /* Nobody reads here any more: TCP says so, and what was still to be sent is lost. */
        if (s->fault == HF_END_KINDS) {
            send_reset(link, side);
        }
        return;
    }
    s->heard = link->sim->now;
    sim_bytes_add(&s->in, sim_bytes_at(&from->out, (size_t)(from->arrived - from->acked)), len);
    from->arrived += len;
    send_ack(link, side);
    sim_stream_wake(link, side);
}

static void on_ack(struct link *link, unsigned side, uint64_t arrived, uint64_t edge)
{
    struct side *s = &link->side[side];
    if (s->rst || s->fault != HF_END_KINDS) {
        return;
    }
    s->heard = link->sim->now;
    if (arrived > s->acked) {
        sim_bytes_drop(&s->out, (size_t)(arrived - s->acked));
        s->acked = arrived;
        s->unacked_since = link->sim->now;
    }
    s->edge = edge > s->edge ? edge : s->edge;
    sim_side_pump(link, side);
    sim_stream_wake(link, side);
}

static void on_fin(struct link *link, unsigned side)
{
    struct side *s = &link->side[side];
    s->got_fin = true;
    s->got_notify = link->side[1 - side].notify;
    s->heard = link->sim->now;
    sim_stream_wake(link, side);
}

static void on_tls_open(struct link *link, unsigned side)
{
    link->side[side].tls_open = true;
    sim_stream_wake(link, side);
}

static void deliver(struct link *link, const struct event *e)
{
    bool local = e->kind == EVENT_CONNECT_FAILED || e->kind == EVENT_GIVE_UP;
    if (!local && (link->dark || e->epoch != link->epoch)) {
        return; /* lost */
    }
    switch ((enum event_kind)e->kind) {
    case EVENT_SYN:
        on_syn(link);
        break;
    case EVENT_SYN_ACK:
        on_syn_ack(link);
        break;
    case EVENT_ESTABLISHED:
        on_established(link);
        break;
    case EVENT_CONNECT_FAILED:
        on_connect_failed(link, (enum hf_end_kind)e->n);
        break;
    case EVENT_SEGMENT:
        on_segment(link, e->side, (size_t)e->n);
        break;
    case EVENT_ACK:
        on_ack(link, e->side, e->n, e->edge);
        break;
    case EVENT_FIN:
        on_fin(link, e->side);
        break;
    case EVENT_RST:
        fail_side(link, e->side, HF_END_RST);
        break;
    case EVENT_TLS_OPEN:
        on_tls_open(link, e->side);
        break;
    case EVENT_GIVE_UP:
        on_give_up(link, e->side);
        break;
    case EVENT_NAME:
    case EVENT_REST:
        break;
    }
}

void sim_events_deliver(struct sim *sim)
{
    while (sim->heap_len > 0 && sim->heap[0].when <= sim->now) {
        struct event e = pop(sim);
        sim_digest_add(sim, (uint64_t)e.when * 16 + e.kind);
        sim_digest_add(sim, e.n);
        if (e.kind == EVENT_NAME) {
            sim_lookup_answer(sim, e.n);
        } else if (e.kind == EVENT_REST) {
            sim_listener_rested(sim, e.n);
        } else {
            e.link->events--;
            deliver(e.link, &e);
            sim_link_release(e.link);
        }
    }
}

/* ---- faults ---------------------------------------------------------------------------------- */

static struct link *link_of(struct hf_stream *stream)
{
    return ((struct stream *)stream)->link;
}

static void darken(struct link *link)
{
    link->dark = true;
    watch(link, 0);
    watch(link, 1);
}

static void lighten(struct link *link)
{
    if (!link->dark) {
        return;
    }
    link->dark = false;
    link->epoch++;
    if (link->state == LINK_SYN) {
        sim_event(link->sim, arrival(link, 0, 1), EVENT_SYN, link, 1);
    } else if (link->state == LINK_SYN_ACK) {
        sim_event(link->sim, arrival(link, 1, 1), EVENT_SYN_ACK, link, 0);
    }
    if (link->state == LINK_OPEN && !link->established) {
        sim_event(link->sim, arrival(link, 0, 1), EVENT_ESTABLISHED, link, 1);
    }
    for (unsigned i = 0; i < 2 && link->state == LINK_OPEN; i++) {
        struct side *s = &link->side[i];
        s->busy_until = 0;
        s->last_arrival = 0;
        if (s->rst) {
            sim_event(link->sim, arrival(link, i, 1), EVENT_RST, link, 1 - i);
            continue;
        }
        if (s->fault !=
            HF_END_KINDS) { /* it gave up meanwhile: the other side's next segment meets nobody */
            s->rst = true;
            sim_event(link->sim, arrival(link, i, 1), EVENT_RST, link, 1 - i);
            continue;
        }
        if (s->arrived > s->acked) {
            sim_bytes_drop(&s->out, (size_t)(s->arrived - s->acked));
            s->acked = s->arrived;
        }
        s->sent = s->arrived;
        s->fin_sent = link->side[1 - i].got_fin;
        s->unacked_since = link->sim->now;
        if (link->side[1 - i].told_edge > s->edge) {
            s->edge = link->side[1 - i].told_edge;
        }
        sim_side_pump(link, i);
        sim_stream_wake(link, i);
    }
    if (link->state == LINK_OPEN && link->side[0].tls && link->side[1].tls &&
        (!link->side[0].tls_open || !link->side[1].tls_open)) {
        send_tls_open(link);
    }
}

static void reset(struct link *link)
{
    if (link->state == LINK_OPEN) {
        fail_side(link, 0, HF_END_RST);
        fail_side(link, 1, HF_END_RST);
    }
}

void sim_darken(struct hf_stream *stream)
{
    darken(link_of(stream));
}
void sim_lighten(struct hf_stream *stream)
{
    lighten(link_of(stream));
}
void sim_reset(struct hf_stream *stream)
{
    reset(link_of(stream));
}

static void for_host(struct sim *sim, const struct hf_address *host, void (*f)(struct link *))
{
    for (struct hf_list *n = sim->links.next; n != &sim->links; n = n->next) {
        struct link *link = HF_CONTAINER(n, struct link, node);
        in_addr_t address = host->u.v4.sin_addr.s_addr;
        if (link->side[0].address.u.any.sa_family == AF_INET &&
            (link->side[0].address.u.v4.sin_addr.s_addr == address ||
             link->side[1].address.u.v4.sin_addr.s_addr == address)) {
            f(link);
        }
    }
}

void sim_host_darken(struct sim *sim, const struct hf_address *host)
{
    for_host(sim, host, darken);
}
void sim_host_lighten(struct sim *sim, const struct hf_address *host)
{
    for_host(sim, host, lighten);
}
void sim_host_reset(struct sim *sim, const struct hf_address *host)
{
    for_host(sim, host, reset);
}
