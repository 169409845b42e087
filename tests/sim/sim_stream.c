/* SPDX-License-Identifier: Apache-2.0 */
/* Streams, listeners and names of the simulated io: the contract of io/io.h over the network of
 * sim_net.c. */
#include "sim_core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define REST HF_MS(100)

static struct side *side_of(const struct stream *s)
{
    return &s->link->side[s->side];
}

/* ---- lists and life -------------------------------------------------------------------------- */

static void move_to(struct stream *s, struct hf_list *list)
{
    hf_list_remove(&s->node);
    hf_list_append(list, &s->node);
}

void sim_stream_ready(struct stream *s)
{
    if (!s->ready && s->state != STREAM_DEAD && s->head.loop != NULL) {
        s->ready = true;
        move_to(s, &loop_of(s->head.loop)->ready);
    }
}

void sim_stream_wake(struct link *link, unsigned side)
{
    if (link->side[side].stream != NULL) {
        sim_stream_ready(link->side[side].stream);
    }
}

static struct stream *make(struct loop *loop, struct link *link, unsigned side)
{
    struct stream *s = calloc(1, sizeof(*s));
    HF_ASSERT(s != NULL);
    s->head.ops = &sim_stream_ops;
    s->head.loop = &loop->head;
    s->link = link;
    s->side = side;
    link->side[side].stream = s;
    hf_list_init(&s->node);
    hf_list_append(&loop->idle, &s->node);
    loop->sim->descriptors++;
    loop->sim->streams++;
    return s;
}

void sim_stream_free(struct stream *s)
{
    sim_bytes_free(&s->unread);
    free(s);
}

void sim_stream_kill(struct stream *s, bool abort)
{
    struct link *link = s->link;
    struct loop *loop = loop_of(s->head.loop);
    HF_ASSERT(s->state != STREAM_DEAD);
    loop->sim->descriptors--;
    loop->sim->streams--;
    s->state = STREAM_DEAD;
    s->link = NULL;
    move_to(s, &loop->dead);
    sim_bytes_free(&s->unread);
    sim_side_close(link, s->side, abort);
}

void sim_stream_orphan(struct stream *s)
{
    struct link *link = s->link;
    unsigned side = s->side;
    s->link = sim_link_new(link->sim, &link->path);
    s->link->state = LINK_OPEN;
    s->link->side[side].stream = s;
    s->link->side[side].fault = HF_END_RST;
    s->link->side[1 - side].closed = true;
    sim_side_close(link, side, false);
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* HF_END_KINDS: none is due. */
static enum hf_end_kind end_due(const struct stream *s)
{
    const struct side *side = side_of(s);
    if (side->fault != HF_END_KINDS) {
        return side->fault;
    }
    if (!side->got_fin) {
        return HF_END_KINDS;
    }
    if (s->state == STREAM_HANDSHAKE) {
        return HF_END_TLS_FAILED;
    }
    return !side->tls_open    ? HF_END_FIN
           : side->got_notify ? HF_END_TLS_NOTIFY
                              : HF_END_TLS_TRUNCATED;
}

static struct hf_end describe(enum hf_end_kind kind)
{
    static const struct {
        int error;
        const char *detail;
    } table[HF_END_KINDS] = {
        [HF_END_FIN] = {0, "the peer ended its direction"},
        [HF_END_TLS_NOTIFY] = {0, "the peer sent close_notify"},
        [HF_END_TLS_TRUNCATED] = {0, "the peer ended TCP without close_notify"},
        [HF_END_RST] = {ECONNRESET, "Connection reset by peer"},
        [HF_END_TIMEOUT] = {ETIMEDOUT, "Connection timed out"},
        [HF_END_REFUSED] = {ECONNREFUSED, "Connection refused"},
        [HF_END_UNREACHABLE] = {EHOSTUNREACH, "No route to host"},
        [HF_END_TLS_FAILED] = {0, "simulated TLS failed"},
        [HF_END_ERRNO] = {EIO, "Input/output error"},
    };
    return (struct hf_end){kind, table[kind].error, table[kind].detail};
}

static void report_end(struct stream *s)
{
    struct hf_end end = describe(end_due(s));
    s->state = STREAM_ENDED;
    s->want_write = s->want_write && side_of(s)->fault == HF_END_KINDS;
    sim_bytes_free(&s->unread);
    if (s->head.handler != NULL && s->head.handler->on_end != NULL) {
        s->head.handler->on_end(s->head.owner, &s->head, &end);
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Takes up to room bytes from the kernel's side behind what is unread. */
static size_t receive(struct stream *s)
{
    struct side *side = side_of(s);
    size_t room = HF_STREAM_UNREAD_MAX - s->unread.len;
    size_t n = side->in.len < room ? side->in.len : room;
    if (n > 0) {
        sim_bytes_add(&s->unread, sim_bytes_at(&side->in, 0), n);
        sim_bytes_drop(&side->in, n);
        sim_side_read(s->link, s->side);
    }
    return n;
}

/* Lends a copy of exactly these bytes, so that a reader beyond them is found. False: the stream is
 * gone. */
static bool offer(struct stream *s)
{
    struct loop *loop = loop_of(s->head.loop);
    size_t len = s->unread.len;
    uint8_t *copy = malloc(len);
    HF_ASSERT(copy != NULL);
    memcpy(copy, sim_bytes_at(&s->unread, 0), len);
    s->again = false;
    loop->lender = s;
    loop->lent = hf_slice(copy, len);
    size_t taken = s->head.handler->on_bytes(s->head.owner, &s->head, loop->lent);
    loop->lender = NULL;
    free(copy);
    if (s->state == STREAM_DEAD) {
        return false;
    }
    HF_ASSERT(taken <= len);
    HF_ASSERT(s->paused || taken > 0 || len < HF_STREAM_UNREAD_MAX);
    sim_bytes_drop(&s->unread, taken);
    if (s->unread.len == 0) {
        s->again = false;
        sim_bytes_free(&s->unread);
    }
    return true;
}

static void read_on(struct stream *s)
{
    if (s->paused || s->state != STREAM_OPEN) {
        return;
    }
    size_t had = s->unread.len;
    size_t n = receive(s);
    bool last = n == 0 && side_of(s)->in.len == 0 && end_due(s) != HF_END_KINDS;
    if (n > 0 || (had > 0 && (s->again || last))) {
        if (!offer(s)) {
            return;
        }
    }
    if (s->state != STREAM_OPEN || s->paused) {
        return;
    }
    if (last && !s->again) {
        report_end(s);
    } else if (s->again || side_of(s)->in.len > 0 || end_due(s) != HF_END_KINDS) {
        sim_stream_ready(s);
    }
}

/* ---- opening --------------------------------------------------------------------------------- */

static void report_open(struct stream *s)
{
    s->state = STREAM_OPEN;
    if (!s->told_open) {
        s->told_open = true;
        if (s->head.handler != NULL && s->head.handler->on_open != NULL) {
            s->head.handler->on_open(s->head.owner, &s->head);
        }
    }
    if (s->state == STREAM_OPEN && s->shut) {
        side_of(s)->fin = true;
        side_of(s)->notify = side_of(s)->tls_open;
        sim_side_pump(s->link, s->side);
    }
}

/* False when there is nothing more to do on this turn. */
static bool open_on(struct stream *s)
{
    struct side *side = side_of(s);
    const struct side *peer = &s->link->side[1 - s->side];
    if (s->state == STREAM_CONNECTING) {
        if (side->fault != HF_END_KINDS) {
            report_end(s);
        } else if (s->link->state == LINK_OPEN) {
            s->state = side->tls ? STREAM_HANDSHAKE : STREAM_OPENING;
        }
    }
    if (s->state == STREAM_HANDSHAKE) {
        if (side->tls_open) {
            s->state = STREAM_OPENING;
        } else if (!peer->tls && side->in.len > 0 && !peer->closed && side->fault == HF_END_KINDS) {
            side->fault = HF_END_TLS_FAILED; /* what came is no record */
            report_end(s);
        } else if (end_due(s) != HF_END_KINDS) {
            report_end(s);
        }
    }
    if (s->state == STREAM_OPENING) {
        report_open(s);
    }
    return s->state == STREAM_OPEN || s->state == STREAM_ENDED;
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool can_send(const struct stream *s)
{
    return (s->state == STREAM_OPEN || s->state == STREAM_ENDED) && !s->shut &&
           side_of(s)->fault == HF_END_KINDS;
}

static size_t send_room(const struct stream *s)
{
    const struct side *side = side_of(s);
    size_t max = s->link->path.send_buffer;
    size_t room = side->out.len < max ? max - side->out.len : 0;
    size_t low = side->options.notsent_lowat;
    size_t unsent = sim_side_unsent(side);
    if (low > 0) {
        size_t more = unsent < low ? low - unsent : 0;
        room = more < room ? more : room;
    }
    return room;
}

static void write_on(struct stream *s)
{
    if (!s->want_write || s->short_turn == loop_of(s->head.loop)->turn) {
        return;
    }
    if (!can_send(s)) {
        s->want_write = false;
        return;
    }
    size_t wanted = s->link->path.send_buffer / 3;
    size_t low = side_of(s)->options.notsent_lowat;
    wanted = low > 0 && low / 2 < wanted ? low / 2 : wanted;
    if (send_room(s) >= wanted) {
        s->want_write = false;
        if (s->head.handler->on_writable != NULL) {
            s->head.handler->on_writable(s->head.owner, &s->head);
        }
    }
}

void sim_stream_serve(struct stream *s)
{
    struct loop *loop = loop_of(s->head.loop);
    /* Both kinds of news come in either order. */
    bool write_first = hf_random_below(&loop->sim->random, 2) == 0;
    if (!open_on(s)) {
        return;
    }
    if (write_first) {
        write_on(s);
    }
    if (s->state != STREAM_DEAD) {
        read_on(s);
    }
    if (!write_first && s->state != STREAM_DEAD) {
        write_on(s);
    }
}

/* ---- operations ------------------------------------------------------------------------------ */

static struct stream *from(struct hf_stream *stream)
{
    struct stream *s = (struct stream *)stream;
    HF_ASSERT(s->state != STREAM_DEAD);
    return s;
}

static size_t op_send(struct hf_stream *stream, const struct hf_slice *parts, size_t count)
{
    struct stream *s = from(stream);
    size_t total = 0;
    size_t sent = 0;
    HF_ASSERT(count >= 1 && count <= 8);
    if (!can_send(s)) {
        return 0;
    }
    size_t room = send_room(s);
    for (size_t i = 0; i < count; i++) {
        size_t n = parts[i].len < room - sent ? parts[i].len : room - sent;
        sim_bytes_add(&side_of(s)->out, parts[i].ptr, n);
        total += parts[i].len;
        sent += n;
    }
    if (sent < total) {
        s->want_write = true;
        s->short_turn = loop_of(stream->loop)->turn;
    }
    sim_side_pump(s->link, s->side);
    return sent;
}

static void op_pause(struct hf_stream *stream)
{
    from(stream)->paused = true;
}

static void op_resume(struct hf_stream *stream)
{
    struct stream *s = from(stream);
    if (!s->paused) {
        return;
    }
    s->paused = false;
    s->again = s->unread.len > 0 || loop_of(stream->loop)->lender == s;
    if (s->again || side_of(s)->in.len > 0 || end_due(s) != HF_END_KINDS) {
        sim_stream_ready(s);
    }
}

static void op_shut(struct hf_stream *stream)
{
    struct stream *s = from(stream);
    if (s->shut) {
        return;
    }
    s->shut = true;
    s->want_write = false;
    if ((s->state == STREAM_OPEN || s->state == STREAM_ENDED) &&
        side_of(s)->fault == HF_END_KINDS) {
        side_of(s)->fin = true;
        side_of(s)->notify = side_of(s)->tls_open;
        sim_side_pump(s->link, s->side);
    }
}

static void op_close(struct hf_stream *stream)
{
    sim_stream_kill(from(stream), false);
}

static void op_abort(struct hf_stream *stream)
{
    sim_stream_kill(from(stream), true);
}

static void op_progress(struct hf_stream *stream, struct hf_progress *progress)
{
    struct stream *s = from(stream);
    const struct side *side = side_of(s);
    *progress = (struct hf_progress){
        .unsent = sim_side_unsent(side),
        .unacked = side->out.len,
        .rtt_us = (uint32_t)(2 * s->link->path.latency),
        .unread = side->in.len + s->unread.len, /* what is lent is still unread */
    };
}

static enum hf_status op_start_tls(struct hf_stream *stream, const struct hf_tls_how *how)
{
    struct stream *s = from(stream);
    HF_ASSERT(s->state == STREAM_OPEN && how->tls != NULL);
    s->state = STREAM_HANDSHAKE;
    s->told_open = false;
    sim_side_start_tls(s->link, s->side);
    return HF_OK;
}

static struct hf_parcel *op_release(struct hf_stream *stream)
{
    struct stream *s = from(stream);
    struct loop *loop = loop_of(stream->loop);
    struct hf_parcel *parcel = calloc(1, sizeof(*parcel));
    HF_ASSERT(parcel != NULL);
    struct stream *p = &parcel->stream;
    *p = *s; /* inside on_bytes all that was lent is still unread, and travels */
    p->head.loop = NULL;
    p->ready = false;
    p->paused = true;
    hf_list_init(&p->node);
    side_of(s)->stream = p;
    s->state = STREAM_DEAD;
    s->link = NULL;
    s->unread = (struct bytes){0};
    move_to(s, &loop->dead);
    return parcel;
}

void sim_parcel_drop(struct hf_parcel *parcel)
{
    if (parcel == NULL) {
        return;
    }
    struct stream *s = &parcel->stream;
    struct sim *sim = s->link->sim;
    sim->descriptors--;
    sim->streams--;
    sim_side_close(s->link, s->side, false);
    sim_stream_free(s);
}

const struct hf_stream_ops sim_stream_ops = {
    .send = op_send,
    .pause = op_pause,
    .resume = op_resume,
    .shut = op_shut,
    .close = op_close,
    .abort = op_abort,
    .progress = op_progress,
    .start_tls = op_start_tls,
    .release = op_release,
};

enum hf_status sim_adopt(struct hf_loop *head, struct hf_parcel *parcel,
                         const struct hf_stream_handler *handler, void *owner,
                         struct hf_stream **stream)
{
    struct stream *s = &parcel->stream;
    s->head.loop = head;
    s->head.handler = handler;
    s->head.owner = owner;
    s->short_turn = UINT64_MAX;
    hf_list_append(&loop_of(head)->idle, &s->node);
    if (s->state != STREAM_OPEN || s->want_write) {
        sim_stream_ready(s);
    }
    *stream = &s->head;
    return HF_OK;
}

/* ---- connecting ------------------------------------------------------------------------------ */

static bool no_descriptor(const struct sim *sim)
{
    return sim->descriptors_max > 0 && sim->descriptors >= sim->descriptors_max;
}

static struct hf_address source_for(struct loop *loop, const struct hf_address *to)
{
    struct sim *sim = loop->sim;
    struct hf_address a = loop->source.len > 0 ? loop->source : sim->source;
    if (to->u.any.sa_family == AF_UNIX) {
        a = (struct hf_address){.len = sizeof(sa_family_t), .u.un = {.sun_family = AF_UNIX}};
        return a;
    }
    if (a.len == 0 || a.u.any.sa_family != to->u.any.sa_family) {
        struct hf_slice text =
            to->u.any.sa_family == AF_INET6 ? HF_LITERAL("[::1]:0") : HF_LITERAL("127.0.0.1:0");
        HF_ASSERT(hf_address_parse(text, &a));
    }
    a.u.v4.sin_port = htons(sim->next_port++); /* at the same place in both families */
    if (sim->next_port < 32768) {
        sim->next_port = 32768;
    }
    return a;
}

enum hf_status sim_connect(struct hf_loop *head, const struct hf_connect *how,
                           const struct hf_stream_handler *handler, void *owner,
                           struct hf_stream **stream)
{
    struct loop *loop = loop_of(head);
    struct sim *sim = loop->sim;
    *stream = NULL;
    if (no_descriptor(sim)) {
        return HF_NO_DESCRIPTORS;
    }
    struct hf_address source = source_for(loop, &how->address);
    struct sim_path path = sim_calm_path;
    enum sim_fate fate = SIM_FATE_LISTENERS;
    if (sim->shaper.connect != NULL) {
        fate = sim->shaper.connect(sim->shaper.context, &source, &how->address, &path);
    }
    struct link *link = sim_link_new(sim, &path);
    struct stream *s = make(loop, link, 0);
    link->side[0].address = source;
    link->side[0].options = how->options;
    link->side[0].tls = how->tls.tls != NULL;
    link->side[1].address = how->address;
    s->head.handler = handler;
    s->head.owner = owner;
    sim_link_connect(link, fate);
    *stream = &s->head;
    return HF_OK;
}

/* ---- listeners ------------------------------------------------------------------------------- */

static bool listens_at(const struct hf_address *l, const struct hf_address *to)
{
    if (l->u.any.sa_family != to->u.any.sa_family) {
        return false;
    }
    if (l->u.any.sa_family == AF_UNIX) {
        return strcmp(l->u.un.sun_path, to->u.un.sun_path) == 0;
    }
    if (l->u.v4.sin_port != to->u.v4.sin_port) {
        return false;
    }
    if (l->u.any.sa_family == AF_INET) {
        return l->u.v4.sin_addr.s_addr == 0 || l->u.v4.sin_addr.s_addr == to->u.v4.sin_addr.s_addr;
    }
    return memcmp(&l->u.v6.sin6_addr, &in6addr_any, 16) == 0 ||
           memcmp(&l->u.v6.sin6_addr, &to->u.v6.sin6_addr, 16) == 0;
}

/* One of those at the address, by lot, as SO_REUSEPORT does. */
struct hf_listener *sim_listener_find(struct sim *sim, const struct hf_address *address)
{
    struct hf_listener *found = NULL;
    uint64_t count = 0;
    for (struct hf_list *n = sim->listeners.next; n != &sim->listeners; n = n->next) {
        struct hf_listener *l = HF_CONTAINER(n, struct hf_listener, all);
        if (listens_at(&l->address, address) && hf_random_below(&sim->random, ++count) == 0) {
            found = l;
        }
    }
    return found;
}

enum hf_status sim_listen(struct hf_loop *head, const struct hf_listen *how,
                          const struct hf_listener_handler *handler, void *owner,
                          struct hf_listener **listener)
{
    struct loop *loop = loop_of(head);
    struct sim *sim = loop->sim;
    struct hf_address address = how->address;
    *listener = NULL;
    if (no_descriptor(sim)) {
        return HF_NO_DESCRIPTORS;
    }
    if (address.u.any.sa_family != AF_UNIX && address.u.v4.sin_port == 0) {
        address.u.v4.sin_port = htons(sim->next_port++);
    }
    struct hf_listener *other = sim_listener_find(sim, &address);
    if (other != NULL && (!how->reuse_port || !other->reuse_port)) {
        return HF_IN_USE;
    }
    struct hf_listener *l = calloc(1, sizeof(*l));
    HF_ASSERT(l != NULL);
    l->loop = loop;
    l->handler = handler;
    l->owner = owner;
    l->address = address;
    l->options = how->options;
    l->reuse_port = how->reuse_port;
    l->id = ++sim->next_id;
    hf_list_init(&l->waiting);
    hf_list_init(&l->node);
    hf_list_init(&l->all);
    hf_list_append(&loop->listeners, &l->node);
    hf_list_append(&sim->listeners, &l->all);
    sim->descriptors++;
    *listener = l;
    return HF_OK;
}

void sim_listener_address(struct hf_listener *l, struct hf_address *address)
{
    *address = l->address;
}

void sim_listener_pause(struct hf_listener *l, bool paused)
{
    l->paused = paused;
}

void sim_listener_kill(struct hf_listener *l)
{
    HF_ASSERT(!l->dead);
    l->dead = true;
    l->loop->sim->descriptors--;
    while (!hf_list_empty(&l->waiting)) {
        sim_link_refuse_waiting(HF_CONTAINER(l->waiting.next, struct link, waiting));
    }
    hf_list_remove(&l->all);
    hf_list_remove(&l->node);
    hf_list_append(&l->loop->dead_listeners, &l->node);
}

bool sim_listener_has_work(const struct hf_listener *l)
{
    return !l->dead && !l->paused && !l->resting && !hf_list_empty(&l->waiting);
}

void sim_listener_rested(struct sim *sim, uint64_t id)
{
    for (struct hf_list *n = sim->listeners.next; n != &sim->listeners; n = n->next) {
        struct hf_listener *l = HF_CONTAINER(n, struct hf_listener, all);
        if (l->id == id) {
            l->resting = false;
        }
    }
}

void sim_listener_serve(struct hf_listener *l)
{
    struct loop *loop = l->loop;
    struct sim *sim = loop->sim;
    for (int i = 0; i < 64 && sim_listener_has_work(l); i++) {
        if (no_descriptor(sim)) {
            l->resting = true;
            sim_event(sim, sim->now + REST, EVENT_REST, NULL, 0)->n = l->id;
            if (l->handler->on_exhausted != NULL) {
                l->handler->on_exhausted(l->owner, HF_NO_DESCRIPTORS);
            }
            return;
        }
        struct link *link = HF_CONTAINER(l->waiting.next, struct link, waiting);
        struct hf_address peer = link->side[0].address;
        sim_link_accepted(link);
        struct stream *s = make(loop, link, 1);
        s->state = STREAM_OPEN;
        s->told_open = true;
        s->paused = true;
        l->handler->on_accept(l->owner, &s->head, &peer);
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

#define NAME_ADDRESSES_MAX 4

struct name {
    struct hf_list node;
    char text[64];
    enum hf_status status;
    struct hf_address addresses[NAME_ADDRESSES_MAX];
    size_t count;
    hf_time delay;
};

/* On the simulator's list while it is under way, then on its loop's. */
struct lookup {
    struct hf_list node;
    struct loop *loop;
    uint64_t id;
    struct name answer;
    hf_resolved *done;
    void *owner;
};

static struct name *find_name(struct sim *sim, const char *text)
{
    for (struct hf_list *n = sim->names.next; n != &sim->names; n = n->next) {
        struct name *name = HF_CONTAINER(n, struct name, node);
        if (strcmp(name->text, text) == 0) {
            return name;
        }
    }
    return NULL;
}

void sim_name(struct sim *sim, const char *text, enum hf_status status,
              const struct hf_address *addresses, size_t count, hf_time delay)
{
    struct name *name = find_name(sim, text);
    HF_ASSERT(count <= NAME_ADDRESSES_MAX && strlen(text) < sizeof(name->text));
    if (name == NULL) {
        name = calloc(1, sizeof(*name));
        HF_ASSERT(name != NULL);
        memcpy(name->text, text, strlen(text) + 1);
        hf_list_init(&name->node);
        hf_list_append(&sim->names, &name->node);
    }
    name->status = status;
    name->count = count;
    name->delay = delay;
    for (size_t i = 0; i < count; i++) {
        name->addresses[i] = addresses[i];
    }
}

void sim_names_free(struct sim *sim)
{
    while (!hf_list_empty(&sim->names)) {
        struct name *name = HF_CONTAINER(sim->names.next, struct name, node);
        hf_list_remove(&name->node);
        free(name);
    }
}

/* A number, or localhost: known without a server. */
static bool parse_host(const char *host, struct hf_address *address)
{
    char text[128];
    const char *number = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    (void)snprintf(text, sizeof(text), strchr(number, ':') != NULL ? "[%s]:0" : "%s:0", number);
    return strncmp(host, "unix:", 5) != 0 && hf_address_parse(hf_slice_of(text), address);
}

enum hf_status sim_resolve(struct hf_loop *head, const char *text, hf_resolved *done, void *owner,
                           uint64_t *id)
{
    struct loop *loop = loop_of(head);
    struct sim *sim = loop->sim;
    struct lookup *l = calloc(1, sizeof(*l));
    HF_ASSERT(l != NULL);
    struct name *name = find_name(sim, text);
    l->loop = loop;
    l->done = done;
    l->owner = owner;
    l->id = ++sim->next_id;
    l->answer.status = HF_NOT_FOUND;
    l->answer.delay = HF_MS(1);
    if (parse_host(text, &l->answer.addresses[0])) {
        l->answer.status = HF_OK;
        l->answer.count = 1;
        l->answer.delay = 0;
    } else if (name != NULL) {
        l->answer = *name;
    }
    hf_list_init(&l->node);
    hf_list_append(&sim->lookups, &l->node);
    sim_event(sim, sim->now + l->answer.delay, EVENT_NAME, NULL, 0)->n = l->id;
    *id = l->id;
    return HF_OK;
}

static struct lookup *find_lookup(const struct hf_list *list, uint64_t id)
{
    for (struct hf_list *n = list->next; n != list; n = n->next) {
        struct lookup *l = HF_CONTAINER(n, struct lookup, node);
        if (l->id == id) {
            return l;
        }
    }
    return NULL;
}

static void forget(struct lookup *l)
{
    if (l != NULL) {
        hf_list_remove(&l->node);
        free(l);
    }
}

void sim_resolve_cancel(struct hf_loop *head, uint64_t id)
{
    struct loop *loop = loop_of(head);
    forget(find_lookup(&loop->sim->lookups, id));
    forget(find_lookup(&loop->answers, id));
}

void sim_lookup_answer(struct sim *sim, uint64_t id)
{
    struct lookup *l = find_lookup(&sim->lookups, id);
    if (l != NULL) {
        hf_list_remove(&l->node);
        hf_list_append(&l->loop->answers, &l->node);
    }
}

void sim_lookups_serve(struct loop *loop)
{
    while (!hf_list_empty(&loop->answers)) {
        struct lookup l = *HF_CONTAINER(loop->answers.next, struct lookup, node);
        forget(HF_CONTAINER(loop->answers.next, struct lookup, node));
        l.done(l.owner, l.answer.status, l.answer.addresses, l.answer.count);
    }
}

void sim_lookups_forget(struct loop *loop)
{
    struct hf_list *next;
    for (struct hf_list *n = loop->sim->lookups.next; n != &loop->sim->lookups; n = next) {
        struct lookup *l = HF_CONTAINER(n, struct lookup, node);
        next = n->next;
        if (l->loop == loop) {
            forget(l);
        }
    }
    while (!hf_list_empty(&loop->answers)) {
        forget(HF_CONTAINER(loop->answers.next, struct lookup, node));
    }
}
