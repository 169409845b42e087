/* SPDX-License-Identifier: Apache-2.0 */
/* What a link understands of what goes by: the opening handshake, then frames. What is no WebSocket
 * passes as raw bytes. See link.h. */
#include "chaos/link.h"

#include "http/head.h"

#define HEAD_MAX 65536 /* bytes */

#define EVERYTHING                                                                                 \
    (HF_COUNTS_BYTES | HF_COUNTS_DATA | HF_COUNTS_MESSAGES | HF_COUNTS_PINGS | HF_COUNTS_PONGS)

void hf_link_opened(struct hf_link *l, bool websocket)
{
    HF_ASSERT(l->state == HF_LINK_OPENING);
    l->state = HF_LINK_OPEN;
    l->websocket = websocket;
    l->opened = hf_link_now(l);
    for (enum hf_way w = HF_WAY_UP; w < HF_WAYS; w++) {
        l->lanes[w].reads = websocket ? HF_LANE_FRAMES : HF_LANE_RAW;
    }
    for (size_t i = 0; i < l->effect_count; i++) {
        hf_effect_begin(&l->effects[i], l);
    }
    if (websocket) {
        hf_link_tell(l, HF_CHAOS_OPENED, NULL, NULL);
    }
}

/* ---- raw bytes --------------------------------------------------------------------------------
 */

static size_t read_raw(struct hf_link *l, enum hf_way way, struct hf_slice bytes)
{
    struct hf_sight sight = {.way = way, .kinds = EVERYTHING, .len = bytes.len};
    if (hf_effects_see(l, &sight) == HF_PASS && hf_link_is_live(l)) {
        hf_link_emit(l, way, bytes);
    }
    return bytes.len;
}

/* ---- the handshake ----------------------------------------------------------------------------
 */

static void refuse(struct hf_link *l, struct hf_effect *e)
{
    /* The answer comes by the timer, at once when there is no delay. */
    e->armed = hf_link_now(l) + e->toxic->u.refuse.delay;
}

/* The head without what asks for the upgrade. */
static void emit_stripped(struct hf_link *l, const struct hf_head *head)
{
    struct hf_buffer text;
    hf_buffer_init(&text, &hf_heap, HEAD_MAX + 1024);
    (void)hf_buffer_addf(&text, "%.*s %.*s HTTP/1.%u\r\n", HF_SLICE_ARG(head->method),
                         HF_SLICE_ARG(head->target), head->minor);
    for (uint16_t i = 0; i < head->count; i++) {
        const struct hf_header *h = &head->headers[i];
        if (!hf_slice_eq_nocase(h->name, HF_LITERAL("upgrade")) &&
            !hf_slice_eq_nocase(h->name, HF_LITERAL("connection"))) {
            (void)hf_buffer_addf(&text, "%.*s: %.*s\r\n", HF_SLICE_ARG(h->name),
                                 HF_SLICE_ARG(h->value));
        }
    }
    (void)hf_buffer_add_text(&text, "Connection: close\r\n\r\n");
    if (!text.failed) {
        hf_link_emit(l, HF_WAY_UP, hf_buffer_slice(&text));
    }
    hf_buffer_reset(&text);
}

/* A whole request head has come. */
static void take_request(struct hf_link *l, const struct hf_head *head, struct hf_slice bytes)
{
    struct hf_sight sight = {.way = HF_WAY_UP, .kinds = EVERYTHING, .len = bytes.len};
    struct hf_effect *refuses = hf_effect_of(l, HF_TOXIC_REFUSE, HF_WAY_UP);
    struct hf_effect *strips = hf_effect_of(l, HF_TOXIC_STRIP_UPGRADE, HF_WAY_UP);
    l->upgrading = hf_head_has_token(head, "Upgrade", "websocket");
    (void)hf_effects_see(l, &sight);
    if (refuses != NULL) {
        refuse(l, refuses);
        return;
    }
    hf_link_dial(l);
    if (!hf_link_is_live(l)) {
        return;
    }
    if (strips != NULL && l->upgrading) {
        hf_link_tell(l, HF_CHAOS_ACTED, strips->toxic, "the upgrade was taken out");
        l->upgrading = false;
        emit_stripped(l, head);
    } else {
        hf_link_emit(l, HF_WAY_UP, bytes);
    }
    if (l->state == HF_LINK_OPENING && !l->upgrading) {
        hf_link_opened(l, false);
    } else {
        l->lanes[HF_WAY_UP].reads = HF_LANE_FRAMES; /* they are read when the 101 has gone by */
    }
}

/* No WebSocket will come of it. */
static size_t go_raw(struct hf_link *l, enum hf_way way, struct hf_slice bytes)
{
    hf_link_dial(l); /* a toxic refuses HTTP only */
    if (!hf_link_is_live(l)) {
        return bytes.len;
    }
    hf_link_opened(l, false);
    return read_raw(l, way, bytes);
}

static size_t read_request(struct hf_link *l, struct hf_slice bytes)
{
    static const char get[] = "GET ";
    struct hf_head head;
    const char *why = "";
    size_t same = bytes.len < 4 ? bytes.len : 4;
    if (memcmp(bytes.ptr, get, same) != 0) {
        return go_raw(l, HF_WAY_UP, bytes);
    }
    switch (hf_request_read(bytes, HEAD_MAX, &head, &why)) {
    case HF_HEAD_READ:
        take_request(l, &head, hf_slice_first(bytes, head.size));
        return head.size;
    case HF_HEAD_MORE:
        return 0;
    case HF_HEAD_BAD:
    case HF_HEAD_TOO_BIG:
    case HF_HEAD_NOT_HTTP:
        break;
    }
    return go_raw(l, HF_WAY_UP, bytes);
}

static size_t read_response(struct hf_link *l, struct hf_slice bytes)
{
    struct hf_head head;
    const char *why = "";
    if (!l->upgrading) { /* the server speaks first */
        return go_raw(l, HF_WAY_DOWN, bytes);
    }
    switch (hf_response_read(bytes, HEAD_MAX, &head, &why)) {
    case HF_HEAD_READ:
        break;
    case HF_HEAD_MORE:
        return 0;
    case HF_HEAD_BAD:
    case HF_HEAD_TOO_BIG:
    case HF_HEAD_NOT_HTTP:
        return go_raw(l, HF_WAY_DOWN, bytes);
    }
    struct hf_slice whole = hf_slice_first(bytes, head.size);
    struct hf_sight sight = {.way = HF_WAY_DOWN, .kinds = EVERYTHING, .len = head.size};
    (void)hf_effects_see(l, &sight);
    hf_link_emit(l, HF_WAY_DOWN, whole); /* before the open: a buffering proxy passes heads */
    if (l->state == HF_LINK_OPENING && (head.status == 101 || head.status >= 200)) {
        hf_link_opened(l, head.status == 101);
    }
    return head.size;
}

/* ---- frames -----------------------------------------------------------------------------------
 */

static struct hf_slice unmasked(const struct hf_flow_step *step, struct hf_slice bytes,
                                uint8_t payload[HF_CONTROL_PAYLOAD_MAX])
{
    size_t len = (size_t)step->head.length;
    memcpy(payload, bytes.ptr + step->head.size, len);
    if (step->head.masked) {
        hf_mask_apply(payload, len, step->head.mask, 0);
    }
    return hf_slice(payload, len);
}

static void look(struct hf_sight *sight, enum hf_flow_kind kind, const struct hf_flow_step *step,
                 const struct hf_flow *before)
{
    bool starts = kind == HF_FLOW_CONTROL || before->left == 0;
    sight->kinds = HF_COUNTS_BYTES;
    sight->frame = starts;
    sight->begins = kind == HF_FLOW_DATA && step->begins;
    sight->ends = kind == HF_FLOW_DATA && step->ends;
    sight->opcode = starts ? step->head.opcode : 0;
    sight->len = step->size;
    sight->head = starts ? &step->head : NULL;
    if (kind == HF_FLOW_DATA) {
        sight->kinds |= HF_COUNTS_DATA;
        sight->kinds |= step->ends ? HF_COUNTS_MESSAGES : 0;
        sight->size = before->message + (starts ? step->head.length : 0);
    } else if (step->head.opcode == HF_OP_PING) {
        sight->kinds |= HF_COUNTS_PINGS;
    } else if (step->head.opcode == HF_OP_PONG) {
        sight->kinds |= HF_COUNTS_PONGS;
    }
}

static void flush_injected(struct hf_link *l, enum hf_way way)
{
    struct hf_lane *lane = &l->lanes[way];
    if (lane->injected.len > 0 && hf_flow_between_messages(&lane->flow)) {
        hf_link_emit(l, way, hf_buffer_slice(&lane->injected));
        hf_buffer_reset(&lane->injected);
    }
}

/* One step of the flow. Returns the bytes that are done with; 0: not yet. */
static size_t take_step(struct hf_link *l, enum hf_way way, enum hf_flow_kind kind,
                        const struct hf_flow_step *step, struct hf_slice bytes,
                        const struct hf_flow *before)
{
    struct hf_lane *lane = &l->lanes[way];
    uint8_t payload[HF_CONTROL_PAYLOAD_MAX];
    struct hf_sight sight = {.way = way};
    look(&sight, kind, step, before);
    if (kind == HF_FLOW_CONTROL) {
        sight.payload = unmasked(step, bytes, payload);
    }
    if (lane->dropping) {
        lane->dropping = kind == HF_FLOW_CONTROL || !step->ends;
        if (kind == HF_FLOW_DATA) {
            return step->size;
        }
    }
    lane->messages += sight.ends;
    if (sight.frame && sight.opcode == HF_OP_CLOSE && l->ended_by == NULL) {
        l->ended_by = way == HF_WAY_UP ? "the client's Close" : "the upstream's Close";
    }
    switch (hf_effects_see(l, &sight)) {
    case HF_PASS:
        hf_link_emit(l, way, hf_slice_first(bytes, step->size));
        break;
    case HF_PASS_DROP:
        if (kind == HF_FLOW_DATA) {
            lane->dropping = !step->ends;
        }
        break;
    case HF_PASS_HOLD:
        lane->messages -= sight.ends;
        lane->flow = *before;
        return 0;
    case HF_PASS_ENDED:
        break;
    }
    if (l->state == HF_LINK_OPEN) {
        flush_injected(l, way);
    }
    return step->size;
}

static size_t read_frames(struct hf_link *l, enum hf_way way, struct hf_slice bytes)
{
    struct hf_lane *lane = &l->lanes[way];
    const struct hf_flow_rules rules = {.masked = way == HF_WAY_UP,
                                        .deflate = true,
                                        .frame_max = UINT64_MAX,
                                        .message_max = UINT64_MAX};
    size_t at = 0;
    while (at < bytes.len && l->state == HF_LINK_OPEN) {
        struct hf_flow_step step;
        struct hf_flow before = lane->flow;
        struct hf_slice rest = hf_slice_from(bytes, at);
        enum hf_flow_kind kind = hf_flow_next(&lane->flow, &rules, rest, &step);
        if (kind == HF_FLOW_MORE) {
            return at;
        }
        if (kind == HF_FLOW_FAULT) {
            hf_link_tell(l, HF_CHAOS_ACTED, NULL,
                         "what follows is no WebSocket; it passes as it is");
            lane->reads = HF_LANE_RAW;
            return at + read_raw(l, way, rest);
        }
        size_t taken = take_step(l, way, kind, &step, rest, &before);
        if (taken == 0) {
            return at;
        }
        at += taken;
    }
    return l->state == HF_LINK_OPEN ? at : bytes.len;
}

/* Our Close is out: the client's own is waited for. */
static size_t read_closing(struct hf_link *l, enum hf_way way, struct hf_slice bytes)
{
    struct hf_lane *lane = &l->lanes[way];
    const struct hf_flow_rules rules = {
        .masked = true, .deflate = true, .frame_max = UINT64_MAX, .message_max = UINT64_MAX};
    size_t at = 0;
    while (way == HF_WAY_UP && at < bytes.len) {
        struct hf_flow_step step;
        enum hf_flow_kind kind = hf_flow_next(&lane->flow, &rules, hf_slice_from(bytes, at), &step);
        if (kind == HF_FLOW_MORE) {
            return at;
        }
        if (kind == HF_FLOW_FAULT || (kind == HF_FLOW_CONTROL && step.head.opcode == HF_OP_CLOSE)) {
            hf_link_fin(l);
            break;
        }
        at += step.size;
    }
    return bytes.len;
}

size_t hf_link_read(struct hf_link *l, enum hf_way way, struct hf_slice bytes)
{
    struct hf_lane *lane = &l->lanes[way];
    if (l->state == HF_LINK_CLOSING) {
        return read_closing(l, way, bytes);
    }
    if (l->state == HF_LINK_OPENING) {
        const struct hf_effect *refuses = hf_effect_of(l, HF_TOXIC_REFUSE, HF_WAY_UP);
        if (way == HF_WAY_DOWN) {
            return read_response(l, bytes);
        }
        if (l->upgrading || (refuses != NULL && refuses->armed > 0)) {
            /* Frames before the 101, or more behind a request that is refused. */
            lane->early = true; /* the link rests until the answer has come */
            return 0;
        }
        return read_request(l, bytes);
    }
    return lane->reads == HF_LANE_RAW ? read_raw(l, way, bytes) : read_frames(l, way, bytes);
}
