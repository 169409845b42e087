/* SPDX-License-Identifier: Apache-2.0 */
/* Links: the two streams of a client, the queues between them, and how they end. See link.h. */
#include "chaos/link.h"

#include <stdio.h>
#include <stdlib.h>

/* What a state may become. */
#define TO(state) (1U << HF_LINK_##state)
static const unsigned may_become[HF_LINK_STATES] = {
    [HF_LINK_OPENING] = TO(OPEN) | TO(LINGERING) | TO(SILENT) | TO(FORGOTTEN) | TO(GONE),
    [HF_LINK_OPEN] = TO(CLOSING) | TO(LINGERING) | TO(SILENT) | TO(FORGOTTEN) | TO(GONE),
    [HF_LINK_CLOSING] = TO(LINGERING) | TO(GONE),
    [HF_LINK_LINGERING] = TO(GONE),
    [HF_LINK_SILENT] = TO(GONE) | TO(LINGERING),
    [HF_LINK_FORGOTTEN] = TO(GONE) | TO(LINGERING),
    [HF_LINK_GONE] = 0,
};

static void become(struct hf_link *l, enum hf_link_state next)
{
    HF_ASSERT((may_become[l->state] & (1U << next)) != 0);
    l->state = next;
}

hf_time hf_link_now(const struct hf_link *l)
{
    return hf_loop_now(l->chaos->options.loop);
}

bool hf_link_is_live(const struct hf_link *l)
{
    return l->state == HF_LINK_OPENING || l->state == HF_LINK_OPEN;
}

void hf_link_tell(struct hf_link *l, enum hf_chaos_news news, const struct hf_toxic *t,
                  const char *what)
{
    struct hf_chaos_event event = {
        .news = news,
        .proxy = l->proxy == NULL ? "" : l->proxy->name,
        .link = l->id,
        .peer = l->peer,
        .toxic = t,
        .what = what,
        .age = hf_link_now(l) - (l->opened > 0 ? l->opened : l->accepted),
    };
    for (enum hf_way w = HF_WAY_UP; w < HF_WAYS; w++) {
        event.messages[w] = l->lanes[w].messages;
        event.bytes[w] = l->lanes[w].bytes;
    }
    if (l->chaos->options.told != NULL) {
        l->chaos->options.told(l->chaos->options.owner, &event);
    }
}

/* ---- ends -------------------------------------------------------------------------------------
 */

static void close_side(struct hf_link_side *side, bool reset)
{
    struct hf_stream *stream = side->stream;
    side->stream = NULL;
    side->open = false;
    if (reset) {
        hf_stream_abort(stream);
    } else {
        hf_stream_close(stream);
    }
}

void hf_link_drop(struct hf_link *l, bool reset)
{
    if (l->state == HF_LINK_GONE) {
        return;
    }
    become(l, HF_LINK_GONE);
    hf_link_tell(l, HF_CHAOS_ENDED, NULL, l->ended_by);
    close_side(&l->sides[HF_WAY_UP], reset);
    close_side(&l->sides[HF_WAY_DOWN], reset);
    hf_timer_stop(l->chaos->options.loop, &l->timer);
    if (l->resolving != 0) {
        hf_loop_resolve_cancel(l->chaos->options.loop, l->resolving);
        l->resolving = 0;
    }
    for (enum hf_way w = HF_WAY_UP; w < HF_WAYS; w++) {
        hf_pieces_fini(&l->lanes[w].queue);
        hf_buffer_reset(&l->lanes[w].injected);
    }
    l->proxy->link_count--;
    l->chaos->link_count--;
    l->proxy = NULL;
    hf_list_remove(&l->node);
    hf_list_append(&l->chaos->ended, &l->node);
    hf_timer_set(l->chaos->options.loop, &l->chaos->reap, hf_link_now(l));
}

void hf_link_free(struct hf_link *l)
{
    for (size_t i = 0; i < l->effect_count; i++) {
        hf_effect_fini(&l->effects[i]);
    }
    hf_release(&hf_heap, l->effects);
    hf_release(&hf_heap, l);
}

static void shut_side(struct hf_link_side *side)
{
    if (side->stream != NULL && side->open && !side->shut) {
        side->shut = true;
        hf_stream_shut(side->stream);
    } else if (side->stream != NULL && !side->open) {
        close_side(side, false); /* it was never connected */
    }
}

/* Ends both directions and reads away what still comes, so that TCP does not reset what went out.
 */
void hf_link_fin(struct hf_link *l)
{
    bool closing = l->state == HF_LINK_CLOSING;
    become(l, HF_LINK_LINGERING);
    hf_pieces_fini(&l->lanes[HF_WAY_UP].queue);
    shut_side(&l->sides[HF_WAY_DOWN]);
    if (closing && l->lanes[HF_WAY_DOWN].queue.bytes > 0) {
        l->lanes[HF_WAY_DOWN].fin = true; /* behind the Close */
        l->lanes[HF_WAY_DOWN].fin_due = 0;
    } else {
        hf_pieces_fini(&l->lanes[HF_WAY_DOWN].queue);
        shut_side(&l->sides[HF_WAY_UP]);
    }
    l->linger_until = hf_link_now(l) + HF_LINK_LINGER;
}

static void begin_close(struct hf_link *l, const struct hf_chaos_ending *ending)
{
    uint8_t payload[HF_CONTROL_PAYLOAD_MAX];
    size_t len = hf_close_write(payload, (uint16_t)ending->code, hf_slice_of(ending->reason));
    become(l, HF_LINK_CLOSING);
    hf_link_inject(l, HF_WAY_DOWN, HF_OP_CLOSE, hf_slice(payload, len));
    hf_pieces_hurry(&l->lanes[HF_WAY_DOWN].queue, hf_link_now(l));
    hf_pieces_fini(&l->lanes[HF_WAY_UP].queue);
    shut_side(&l->sides[HF_WAY_DOWN]);
    l->linger_until = hf_link_now(l) + HF_LINK_LINGER;
}

void hf_link_end(struct hf_link *l, const struct hf_toxic *t, const struct hf_chaos_ending *ending,
                 const char *why)
{
    enum hf_chaos_action action = (enum hf_chaos_action)ending->action;
    char what[160];
    if (!hf_link_is_live(l) || action == HF_ACTION_NONE) {
        return;
    }
    if (action == HF_ACTION_CLOSE &&
        (!l->websocket || l->state != HF_LINK_OPEN || l->lanes[HF_WAY_DOWN].torn)) {
        action = HF_ACTION_FIN; /* there is no WebSocket to close, or a Close would be garbage */
    }
    if (action == HF_ACTION_CLOSE) {
        (void)snprintf(what, sizeof(what), "%s: close %d", why, (int)ending->code);
    } else {
        (void)snprintf(what, sizeof(what), "%s: %s", why, hf_chaos_action_text(action));
    }
    hf_link_tell(l, HF_CHAOS_ACTED, t, what);
    l->ended_by = "the box";
    switch (action) {
    case HF_ACTION_RST:
        hf_link_drop(l, true);
        break;
    case HF_ACTION_SILENCE:
        become(l, HF_LINK_SILENT);
        break;
    case HF_ACTION_FORGET:
        become(l, HF_LINK_FORGOTTEN);
        break;
    case HF_ACTION_CLOSE:
        begin_close(l, ending);
        break;
    case HF_ACTION_FIN:
    case HF_ACTION_NONE:
    case HF_ACTION_DELAY:
    case HF_ACTION_DROP:
        hf_link_fin(l);
        break;
    }
}

/* ---- out --------------------------------------------------------------------------------------
 */

static struct hf_link_side *target_of(struct hf_link *l, enum hf_way way)
{
    return &l->sides[way == HF_WAY_UP ? HF_WAY_DOWN : HF_WAY_UP];
}

/* A buffering proxy, or a blocked server, keeps what there is. */
static bool is_gated(struct hf_link *l, enum hf_way way)
{
    struct hf_lane *lane = &l->lanes[way];
    if (hf_link_is_live(l) && hf_effects_held(l, way)) {
        return true;
    }
    const struct hf_effect *e = hf_effect_of(l, HF_TOXIC_BUFFER, way);
    if (e == NULL || l->state != HF_LINK_OPEN || lane->fin || lane->released ||
        lane->queue.bytes == 0) {
        return false;
    }
    const struct hf_toxic *t = e->toxic;
    lane->released = (t->u.buffer.bytes > 0 && lane->queue.bytes >= (uint64_t)t->u.buffer.bytes) ||
                     (t->u.buffer.time > 0 && hf_link_now(l) >= lane->held + t->u.buffer.time);
    return !lane->released;
}

static void flush(struct hf_link *l, enum hf_way way)
{
    struct hf_lane *lane = &l->lanes[way];
    struct hf_link_side *to = target_of(l, way);
    if (to->stream == NULL || !to->open || l->state == HF_LINK_SILENT ||
        l->state == HF_LINK_FORGOTTEN || is_gated(l, way)) {
        return;
    }
    if (to->shut) {
        hf_pieces_fini(&lane->queue); /* half closed: nobody is there to be told */
    }
    for (struct hf_slice bytes = hf_pieces_ready(&lane->queue, hf_link_now(l)); bytes.len > 0;
         bytes = hf_pieces_ready(&lane->queue, hf_link_now(l))) {
        size_t taken = hf_stream_send(to->stream, bytes);
        if (taken > 0) {
            hf_pieces_left(&lane->queue, taken);
        }
        if (taken < bytes.len) {
            return; /* on_writable comes */
        }
    }
    if (lane->queue.bytes == 0) {
        lane->released = false;
        lane->held = 0;
        if (lane->fin && hf_link_now(l) >= lane->fin_due) {
            shut_side(to);
        }
    }
}

static bool is_shaped(const struct hf_link *l, enum hf_way way)
{
    for (size_t i = 0; i < l->effect_count; i++) {
        const struct hf_effect *e = &l->effects[i];
        if (e->on && e->toxic->way == way && hf_shape_is_one(e->toxic)) {
            return true;
        }
    }
    return false;
}

/* No memory for what waits: this link is shed. */
static void enqueue(struct hf_link *l, enum hf_way way, struct hf_slice bytes, hf_time due)
{
    struct hf_lane *lane = &l->lanes[way];
    if (lane->queue.bytes == 0 && bytes.len > 0) {
        lane->held = hf_link_now(l);
    }
    if (hf_pieces_add(&lane->queue, bytes, due) != HF_OK) {
        l->ended_by = "the box: out of memory";
        hf_link_drop(l, true);
    }
}

/* Cuts and times the bytes by every toxic of this direction, in their order. */
static void shape(struct hf_link *l, enum hf_way way, struct hf_slice bytes)
{
    while (bytes.len > 0 && l->state != HF_LINK_GONE) {
        size_t size = bytes.len < HF_SHAPE_PIECE_MAX ? bytes.len : HF_SHAPE_PIECE_MAX;
        hf_time due = hf_link_now(l);
        for (size_t i = 0; i < l->effect_count; i++) {
            struct hf_effect *e = &l->effects[i];
            if (e->on && e->toxic->way == way) {
                size_t most = hf_shape_size(e->toxic, &l->random);
                size = size < most ? size : most;
            }
        }
        for (size_t i = 0; i < l->effect_count; i++) {
            struct hf_effect *e = &l->effects[i];
            if (e->on && e->toxic->way == way) {
                due = hf_shape_pass(&e->shaper, e->toxic, &l->random, size, due);
            }
        }
        enqueue(l, way, hf_slice_first(bytes, size), due);
        bytes = hf_slice_from(bytes, size);
    }
}

static void pass(struct hf_link *l, enum hf_way way, struct hf_slice bytes)
{
    struct hf_lane *lane = &l->lanes[way];
    struct hf_link_side *to = target_of(l, way);
    if (l->state == HF_LINK_GONE || bytes.len == 0) {
        return;
    }
    if (is_shaped(l, way)) {
        shape(l, way, bytes);
        return;
    }
    bool buffers = l->state == HF_LINK_OPEN && hf_effect_of(l, HF_TOXIC_BUFFER, way) != NULL;
    if (lane->queue.bytes == 0 && to->open && !to->shut && !buffers && !hf_effects_held(l, way)) {
        bytes = hf_slice_from(bytes, hf_stream_send(to->stream, bytes));
    }
    enqueue(l, way, bytes, hf_link_now(l));
}

void hf_link_emit(struct hf_link *l, enum hf_way way, struct hf_slice bytes)
{
    size_t passes = hf_effects_swallow(l, way) ? 0 : hf_effects_allow(l, way, bytes.len);
    l->lanes[way].torn = l->lanes[way].torn || passes < bytes.len;
    pass(l, way, hf_slice_first(bytes, passes));
}

void hf_link_inject(struct hf_link *l, enum hf_way way, uint8_t opcode, struct hf_slice payload)
{
    struct hf_lane *lane = &l->lanes[way];
    uint8_t frame[HF_FRAME_HEAD_MAX + HF_CONTROL_PAYLOAD_MAX];
    uint8_t mask[4];
    uint64_t chance = hf_random_next(&l->random);
    /* Who does not read gets no more of ours, but the Close. */
    bool full = lane->queue.weight >= HF_LINK_QUEUE_MAX && opcode != HF_OP_CLOSE;
    if (lane->reads != HF_LANE_FRAMES || lane->torn || full ||
        payload.len > HF_CONTROL_PAYLOAD_MAX) {
        return;
    }
    memcpy(mask, &chance, sizeof(mask));
    size_t size =
        hf_frame_write_head(frame, true, 0, opcode, payload.len, way == HF_WAY_UP ? mask : NULL);
    if (payload.len > 0) {
        memcpy(frame + size, payload.ptr, payload.len);
    }
    if (way == HF_WAY_UP) {
        hf_mask_apply(frame + size, payload.len, mask, 0);
    }
    size += payload.len;
    bool control = hf_opcode_is_control(opcode);
    if (control ? lane->flow.left == 0 : hf_flow_between_messages(&lane->flow)) {
        pass(l, way, hf_slice(frame, size));
    } else {
        (void)hf_buffer_add(&lane->injected, hf_slice(frame, size));
    }
}

/* ---- reading on, and the timer ----------------------------------------------------------------
 */

static void read_or_rest(struct hf_link *l, enum hf_way way)
{
    struct hf_lane *lane = &l->lanes[way];
    struct hf_stream *stream = l->sides[way].stream;
    bool rests = false;
    if (lane->hold_until > 0 && hf_link_now(l) >= lane->hold_until) {
        lane->hold_until = 0;
    }
    if (hf_link_is_live(l)) {
        if (lane->waiting > 0 && !hf_effects_blocked(l)) {
            lane->waiting = 0;
        }
        rests = lane->waiting > 0 || lane->hold_until > 0 ||
                lane->queue.weight >= HF_LINK_QUEUE_MAX ||
                (lane->early && l->state == HF_LINK_OPENING);
    }
    if (stream != NULL && rests != lane->paused) {
        lane->paused = rests;
        if (rests) {
            hf_stream_pause(stream);
        } else {
            hf_stream_resume(stream);
        }
    }
}

static hf_time earlier(hf_time a, hf_time b)
{
    return a < b ? a : b;
}

static hf_time lane_deadline(struct hf_link *l, enum hf_way way)
{
    const struct hf_lane *lane = &l->lanes[way];
    hf_time now = hf_link_now(l);
    hf_time next = hf_pieces_due(&lane->queue);
    const struct hf_effect *buffer = hf_effect_of(l, HF_TOXIC_BUFFER, way);
    next = next > now ? next : HF_NEVER; /* else the receiver is waited for */
    if (lane->hold_until > 0) {
        next = earlier(next, lane->hold_until);
    }
    if (buffer != NULL && lane->queue.bytes > 0 && buffer->toxic->u.buffer.time > 0 &&
        lane->held + buffer->toxic->u.buffer.time > now) {
        next = earlier(next, lane->held + buffer->toxic->u.buffer.time);
    }
    if (lane->fin && !target_of(l, way)->shut && lane->fin_due > now) {
        next = earlier(next, lane->fin_due);
    }
    return next;
}

static hf_time deadline(struct hf_link *l)
{
    hf_time next = l->linger_until > 0 ? l->linger_until : HF_NEVER;
    if (l->state == HF_LINK_SILENT || l->state == HF_LINK_FORGOTTEN) {
        return next;
    }
    for (size_t i = 0; i < l->effect_count && hf_link_is_live(l); i++) {
        next = earlier(next, hf_effect_deadline(&l->effects[i], l));
    }
    return earlier(next, earlier(lane_deadline(l, HF_WAY_UP), lane_deadline(l, HF_WAY_DOWN)));
}

void hf_link_settle(struct hf_link *l)
{
    if (l->state == HF_LINK_GONE) {
        return;
    }
    flush(l, HF_WAY_UP);
    flush(l, HF_WAY_DOWN);
    const struct hf_link_side *client = &l->sides[HF_WAY_UP];
    const struct hf_link_side *server = &l->sides[HF_WAY_DOWN];
    if (hf_link_is_live(l) && client->ended && client->shut && server->ended && server->shut) {
        hf_link_drop(l, false);
        return;
    }
    read_or_rest(l, HF_WAY_UP);
    read_or_rest(l, HF_WAY_DOWN);
    hf_time next = deadline(l);
    if (next == HF_NEVER) {
        hf_timer_stop(l->chaos->options.loop, &l->timer);
    } else {
        hf_timer_set(l->chaos->options.loop, &l->timer, next);
    }
}

static void on_time(struct hf_timer *timer, hf_time now)
{
    struct hf_link *l = HF_CONTAINER(timer, struct hf_link, timer);
    if (l->linger_until > 0 && now >= l->linger_until) {
        if (l->state == HF_LINK_CLOSING) {
            hf_link_fin(l);
        } else {
            hf_link_drop(l, false);
        }
    }
    for (size_t i = 0; i < l->effect_count && hf_link_is_live(l); i++) {
        if (hf_effect_deadline(&l->effects[i], l) <= now) {
            hf_effect_tick(&l->effects[i], l);
        }
    }
    hf_link_settle(l);
}

/* ---- connecting -------------------------------------------------------------------------------
 */

static const struct hf_stream_handler side_handler;

static void no_upstream(struct hf_link *l, const char *why)
{
    hf_link_tell(l, HF_CHAOS_ACTED, NULL, why);
    l->ended_by = "no upstream";
    hf_link_fin(l);
}

/* The next address, or the end. */
static void connect_next(struct hf_link *l)
{
    struct hf_link_side *side = &l->sides[HF_WAY_DOWN];
    while (l->address_next < l->address_count) {
        struct hf_connect how = {.address = l->addresses[l->address_next++]};
        if (hf_loop_connect(l->chaos->options.loop, &how, &side_handler, side, &side->stream) ==
            HF_OK) {
            return;
        }
        side->stream = NULL;
    }
    no_upstream(l, "the upstream cannot be reached");
}

/* ---- callbacks of the streams -----------------------------------------------------------------
 */

static void on_open(void *owner, struct hf_stream *stream)
{
    struct hf_link_side *side = owner;
    side->open = true;
    hf_link_settle(side->link);
}

/* A flow that nobody knows any more: who sends is told so. */
static void forget_side(struct hf_link_side *side)
{
    struct hf_link *l = side->link;
    close_side(side, true);
    if (l->sides[0].stream == NULL && l->sides[1].stream == NULL) {
        hf_link_drop(l, true);
    } else { /* the other one may never send */
        l->linger_until = hf_link_now(l) + HF_LINK_FORGOTTEN_MAX;
        hf_link_settle(l);
    }
}

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct hf_link_side *side = owner;
    struct hf_link *l = side->link;
    enum hf_way way = side == &l->sides[HF_WAY_UP] ? HF_WAY_UP : HF_WAY_DOWN;
    struct hf_lane *lane = &l->lanes[way];
    if (l->state == HF_LINK_FORGOTTEN) {
        forget_side(side);
        return bytes.len;
    }
    if (l->state == HF_LINK_LINGERING || l->state == HF_LINK_SILENT) {
        return bytes.len;
    }
    if (hf_link_is_live(l) && hf_effects_blocked(l)) {
        lane->waiting = lane->waiting > 0 ? lane->waiting : hf_link_now(l);
        lane->paused = true;
        hf_stream_pause(stream);
        hf_link_settle(l);
        return 0;
    }
    size_t taken = 0;
    size_t step = 1;
    while (taken < bytes.len && step > 0 && l->state != HF_LINK_GONE) {
        bool reads = hf_link_is_live(l) || l->state == HF_LINK_CLOSING;
        struct hf_slice rest = hf_slice_from(bytes, taken);
        step = reads ? hf_link_read(l, way, rest) : rest.len;
        taken += step;
    }
    lane->bytes += taken;
    hf_link_settle(l);
    return taken;
}

static void on_writable(void *owner, struct hf_stream *stream)
{
    struct hf_link_side *side = owner;
    hf_link_settle(side->link);
}

static void side_ended(struct hf_link_side *side, const struct hf_end *end)
{
    struct hf_link *l = side->link;
    enum hf_way way = side == &l->sides[HF_WAY_UP] ? HF_WAY_UP : HF_WAY_DOWN;
    struct hf_lane *lane = &l->lanes[way];
    const struct hf_effect *slow = hf_effect_of(l, HF_TOXIC_SLOW_CLOSE, way);
    if (l->ended_by == NULL) {
        l->ended_by = way == HF_WAY_UP
                          ? (end->kind == HF_END_FIN ? "the client" : "the client: rst")
                      : end->kind == HF_END_FIN ? "the upstream"
                                                : "the upstream: rst";
    }
    if (end->kind != HF_END_FIN) {
        hf_link_drop(l, true);
        return;
    }
    if (way == HF_WAY_UP && l->sides[HF_WAY_DOWN].stream == NULL && l->resolving == 0) {
        hf_link_drop(l, false); /* nobody is there to be told */
        return;
    }
    lane->fin = true;
    lane->fin_due = slow == NULL ? 0 : hf_link_now(l) + slow->toxic->u.slow_close.delay;
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct hf_link_side *side = owner;
    struct hf_link *l = side->link;
    side->ended = true;
    if (side == &l->sides[HF_WAY_DOWN] && !side->open) { /* it could not be connected */
        close_side(side, false);
        if (hf_link_is_live(l)) {
            side->ended = false;
            connect_next(l);
        }
    } else if (hf_link_is_live(l)) {
        side_ended(side, end);
    } else if (side == &l->sides[HF_WAY_UP] || l->state == HF_LINK_LINGERING) {
        if (l->state == HF_LINK_CLOSING && end->kind == HF_END_FIN) {
            hf_link_fin(l);
        }
        close_side(side, false);
        if (l->state != HF_LINK_LINGERING || l->sides[HF_WAY_UP].stream == NULL) {
            hf_link_drop(l, false);
        }
    } else {
        close_side(side, false); /* the client does not come to know */
    }
    hf_link_settle(l);
}

static const struct hf_stream_handler side_handler = {
    .on_open = on_open, .on_bytes = on_bytes, .on_writable = on_writable, .on_end = on_end};

/* ---- the upstream's name
 * --------------------------------------------------------------------------------
 */

static void on_resolved(void *owner, enum hf_status status, const struct hf_address *addresses,
                        size_t count)
{
    struct hf_link *l = owner;
    l->resolving = 0;
    if (!hf_link_is_live(l)) {
        return;
    }
    for (size_t i = 0; status == HF_OK && i < count && i < HF_LINK_ADDRESSES_MAX; i++) {
        struct hf_address *address = &l->addresses[l->address_count++];
        *address = addresses[i];
        if (address->u.any.sa_family == AF_INET6) {
            address->u.v6.sin6_port = htons(l->port);
        } else {
            address->u.v4.sin_port = htons(l->port);
        }
    }
    if (status != HF_OK) {
        no_upstream(l, "the upstream's name has no address");
    } else {
        connect_next(l);
    }
    hf_link_settle(l);
}

void hf_link_dial(struct hf_link *l)
{
    struct hf_slice upstream = hf_slice_of(l->proxy->upstream);
    uint64_t port = 0;
    if (l->sides[HF_WAY_DOWN].stream != NULL || l->resolving != 0) {
        return;
    }
    if (hf_address_parse(upstream, &l->addresses[0])) {
        l->address_count = 1;
        connect_next(l);
        return;
    }
    size_t colon = hf_slice_find(upstream, ':');
    char *name = hf_alloc_text(&hf_heap, hf_slice_first(upstream, colon));
    bool good = name != NULL && colon > 0 &&
                hf_slice_number(hf_slice_from(upstream, colon + 1), 65535, &port);
    l->port = (uint16_t)port;
    if (!good ||
        hf_loop_resolve(l->chaos->options.loop, name, on_resolved, l, &l->resolving) != HF_OK) {
        no_upstream(l, "the upstream is no HOST:PORT");
    }
    hf_release(&hf_heap, name);
}

/* ---- effects of the proxy's toxics ------------------------------------------------------------
 */

static struct hf_effect *effect_for(struct hf_link *l, const struct hf_toxic *t)
{
    for (size_t i = 0; i < l->effect_count; i++) {
        if (l->effects[i].toxic == t) {
            return &l->effects[i];
        }
    }
    return NULL;
}

bool hf_link_refit(struct hf_link *l)
{
    struct hf_chaos_proxy *p = l->proxy;
    struct hf_effect *effects = NULL;
    size_t count = 0;
    if (p->toxic_count > 0) {
        effects = hf_alloc_zero(&hf_heap, p->toxic_count * sizeof(*effects));
        if (effects == NULL) {
            return false;
        }
    }
    for (struct hf_list *node = p->toxics.next; node != &p->toxics && effects != NULL;
         node = node->next) {
        struct hf_toxic *t = HF_CONTAINER(node, struct hf_toxic, node);
        struct hf_effect *old = effect_for(l, t);
        if (old != NULL) {
            effects[count] = *old;
            effects[count].shaper.last = 0; /* the bytes stay counted, for limit_data */
            old->toxic = NULL;              /* it has moved */
        } else {
            hf_effect_init(&effects[count], l, t);
        }
        count++;
    }
    for (size_t i = 0; i < l->effect_count; i++) {
        if (l->effects[i].toxic != NULL) {
            hf_effect_fini(&l->effects[i]);
        }
    }
    hf_release(&hf_heap, l->effects);
    l->effects = effects;
    l->effect_count = count;
    hf_pieces_hurry(&l->lanes[HF_WAY_UP].queue, hf_link_now(l));
    hf_pieces_hurry(&l->lanes[HF_WAY_DOWN].queue, hf_link_now(l));
    return true;
}

void hf_link_accept(struct hf_chaos_proxy *p, struct hf_stream *stream,
                    const struct hf_address *peer)
{
    struct hf_chaos *c = p->chaos;
    struct hf_link *l = hf_alloc_zero(&hf_heap, sizeof(*l));
    if (l == NULL) {
        hf_stream_abort(stream);
        return;
    }
    l->proxy = p;
    l->chaos = c;
    l->id = ++c->link_next;
    l->accepted = hf_loop_now(c->options.loop);
    char text[128];
    hf_address_text(peer, text);
    (void)snprintf(l->peer, sizeof(l->peer), "%.63s", text);
    hf_random_init(&l->random, hf_random_next(&c->random));
    hf_timer_init(&l->timer, on_time);
    for (enum hf_way w = HF_WAY_UP; w < HF_WAYS; w++) {
        l->sides[w].link = l;
        hf_pieces_init(&l->lanes[w].queue, &hf_heap);
        hf_buffer_init(&l->lanes[w].injected, &hf_heap, 65536);
    }
    l->sides[HF_WAY_UP].stream = stream;
    l->sides[HF_WAY_UP].open = true;
    hf_list_init(&l->node);
    hf_list_append(&p->links, &l->node);
    p->link_count++;
    c->link_count++;
    hf_stream_handle(stream, &side_handler, &l->sides[HF_WAY_UP]);
    hf_link_tell(l, HF_CHAOS_ACCEPTED, NULL, NULL);
    if (!hf_link_refit(l)) {
        l->ended_by = "the box: out of memory";
        hf_link_drop(l, true);
        return;
    }
    if (hf_effect_of(l, HF_TOXIC_REFUSE, HF_WAY_UP) == NULL) {
        hf_link_dial(l);
    }
    if (l->state != HF_LINK_GONE) {
        hf_stream_resume(stream);
        hf_link_settle(l);
    }
}
