/* SPDX-License-Identifier: Apache-2.0 */
/* What toxics do to a link: by time, and when something goes by. See link.h. */
#include "chaos/link.h"

#include "http/head.h"

#include <stdio.h>
#include <stdlib.h>

static const struct hf_chaos_ending plain_fin = {.action = HF_ACTION_FIN};
static const struct hf_chaos_ending plain_rst = {.action = HF_ACTION_RST};
static const struct hf_chaos_ending plain_silence = {.action = HF_ACTION_SILENCE};

static double draw_of(struct hf_random *random)
{
    return (double)(hf_random_next(random) >> 11) / (double)(UINT64_C(1) << 53);
}

/* Ages count from here. */
static hf_time base_of(const struct hf_link *l)
{
    return l->opened > 0 ? l->opened : l->accepted;
}

/* True: the dice say that this link suffers. */
static bool is_drawn(struct hf_link *l, const struct hf_toxic *t)
{
    bool refuses = t->kind != HF_TOXIC_REFUSE || draw_of(&l->random) < t->u.refuse.probability;
    return draw_of(&l->random) < t->toxicity && refuses;
}

void hf_effect_init(struct hf_effect *e, struct hf_link *l, struct hf_toxic *t)
{
    *e = (struct hf_effect){.toxic = t};
    e->draw = draw_of(&l->random) * 2 - 1;
    e->on = is_drawn(l, t);
    hf_quota_init(&e->quota, &hf_heap);
    hf_effect_begin(e, l);
}

void hf_effect_redraw(struct hf_effect *e, struct hf_link *l, double toxicity)
{
    if (e->toxic->toxicity != toxicity) {
        e->on = is_drawn(l, e->toxic);
    }
}

void hf_effect_fini(struct hf_effect *e)
{
    hf_quota_fini(&e->quota);
}

void hf_effect_begin(struct hf_effect *e, struct hf_link *l)
{
    const struct hf_toxic *t = e->toxic;
    hf_time now = hf_link_now(l);
    e->begun = now;
    hf_idle_start(&e->idle, now);
    if (t->kind == HF_TOXIC_WATCHDOG) {
        hf_time first = t->u.watchdog.interval;
        if (t->u.watchdog.random_phase != 0) {
            first = (hf_time)((double)first * (e->draw + 1) / 2);
        }
        hf_watch_start(&e->watch, now + first);
    }
}

struct hf_effect *hf_effect_of(const struct hf_link *l, enum hf_toxic_kind kind, enum hf_way way)
{
    for (size_t i = 0; i < l->effect_count; i++) {
        struct hf_effect *e = &l->effects[i];
        if (e->on && e->toxic->kind == kind && e->toxic->way == way) {
            return e;
        }
    }
    return NULL;
}

struct hf_beat hf_effect_beat(const struct hf_chaos_proxy *p, const struct hf_toxic *t)
{
    struct hf_beat beat = {.epoch = p->epoch, .seed = p->chaos->options.seed};
    if (t->kind == HF_TOXIC_RESTART) {
        beat.period = t->u.restart.period;
        beat.offset = t->u.restart.offset;
        beat.jitter = t->u.restart.jitter;
    } else if (t->kind == HF_TOXIC_HANDOVER) {
        beat.period = t->u.handover.period;
    } else {
        beat.period = t->u.blocked.period;
        beat.offset = t->u.blocked.after;
    }
    return beat;
}

/* ---- a blocked server -------------------------------------------------------------------------
 */

/* The window that is now, or comes next: from *from to *to. False: there is none any more. */
static bool blocked_window(const struct hf_effect *e, const struct hf_link *l, hf_time *from,
                           hf_time *to)
{
    const struct hf_toxic *t = e->toxic;
    hf_time length = t->u.blocked.length;
    hf_time now = hf_link_now(l);
    if (t->u.blocked.period > 0) {
        struct hf_beat beat = hf_effect_beat(l->proxy, t);
        hf_time last = hf_beat_last(&beat, now);
        *from = last != HF_NEVER && now < last + length ? last : hf_beat_next(&beat, now);
        *to = *from + length;
        return true;
    }
    *from = base_of(l) + t->u.blocked.after;
    *to = length == 0 ? HF_NEVER : *from + length;
    return l->state == HF_LINK_OPEN && now < *to;
}

static bool is_blocked(const struct hf_effect *e, const struct hf_link *l)
{
    hf_time from;
    hf_time to;
    return e->on && e->toxic->kind == HF_TOXIC_BLOCKED && blocked_window(e, l, &from, &to) &&
           hf_link_now(l) >= from;
}

bool hf_effects_blocked(const struct hf_link *l)
{
    for (size_t i = 0; i < l->effect_count; i++) {
        if (is_blocked(&l->effects[i], l)) {
            return true;
        }
    }
    return false;
}

/* Since when bytes wait at the blocked server; HF_NEVER: none do. */
static hf_time waiting_since(const struct hf_link *l)
{
    hf_time up = l->lanes[HF_WAY_UP].waiting;
    hf_time down = l->lanes[HF_WAY_DOWN].waiting;
    hf_time first = up == 0 || (down > 0 && down < up) ? down : up;
    return first == 0 ? HF_NEVER : first;
}

/* When the hop in front gives the blocked server up; HF_NEVER: it does not. */
static hf_time give_up_at(const struct hf_effect *e, const struct hf_link *l)
{
    const struct hf_toxic *t = e->toxic;
    hf_time since = waiting_since(l);
    bool does = t->u.blocked.give_up > 0 && t->ending.action != HF_ACTION_NONE;
    return does && since != HF_NEVER && is_blocked(e, l) ? since + t->u.blocked.give_up : HF_NEVER;
}

static hf_time blocked_deadline(const struct hf_effect *e, const struct hf_link *l)
{
    hf_time from = HF_NEVER;
    hf_time to = HF_NEVER;
    hf_time next = HF_NEVER;
    bool window = blocked_window(e, l, &from, &to);
    if (e->fired && !(window && hf_link_now(l) >= from)) {
        return hf_link_now(l); /* it is over */
    }
    if (window) {
        next = e->fired ? to : from;
    }
    hf_time give_up = give_up_at(e, l);
    return give_up < next ? give_up : next;
}

static void blocked_tick(struct hf_effect *e, struct hf_link *l)
{
    const struct hf_toxic *t = e->toxic;
    bool now_blocked = is_blocked(e, l);
    if (hf_link_now(l) >= give_up_at(e, l)) {
        hf_link_end(l, t, &t->ending, "nobody read for so long");
    } else if (now_blocked && !e->fired) {
        e->fired = true;
        hf_link_tell(l, HF_CHAOS_ACTED, t, "blocked");
    } else if (!now_blocked && e->fired) {
        e->fired = false;
        if (t->u.blocked.ends == 0) {
            hf_link_tell(l, HF_CHAOS_ACTED, t, "no longer blocked");
            return;
        }
        /* As the kernel ends a killed process: unread bytes make it a reset. */
        bool unread = t->ending.action == HF_ACTION_FIN && l->lanes[HF_WAY_UP].waiting > 0;
        hf_link_end(l, t, unread ? &plain_rst : &t->ending, "the blocked server was killed");
    }
}

/* ---- by time ----------------------------------------------------------------------------------
 */

static struct hf_watch_rules watch_rules(const struct hf_toxic *t)
{
    return (struct hf_watch_rules){.interval = t->u.watchdog.interval,
                                   .timeout = t->u.watchdog.timeout,
                                   .answer = (enum hf_watch_answer)t->u.watchdog.answer,
                                   .suppress = (enum hf_watch_suppress)t->u.watchdog.suppress};
}

/* Of those toxics that wait for an age of an open link; HF_NEVER: it is none of them. */
static hf_time age_deadline(const struct hf_effect *e, const struct hf_link *l)
{
    const struct hf_toxic *t = e->toxic;
    hf_time base = base_of(l);
    if (l->state != HF_LINK_OPEN) {
        return HF_NEVER;
    }
    switch ((unsigned)t->kind) {
    case HF_TOXIC_MAX_LIFETIME:
        return t->u.lifetime.lifetime == 0
                   ? HF_NEVER
                   : base + hf_chaos_jitter(t->u.lifetime.lifetime, t->u.lifetime.jitter, e->draw);
    case HF_TOXIC_CLOSE_FRAME:
        return t->u.close.after == 0 ? HF_NEVER : base + t->u.close.after;
    case HF_TOXIC_WATCHDOG:
        return l->websocket ? hf_watch_deadline(&e->watch) : HF_NEVER;
    case HF_TOXIC_BLACKHOLE:
        if (e->fired && t->u.blackhole.length == 0) {
            return HF_NEVER;
        }
        return base + t->u.blackhole.after + (e->fired ? t->u.blackhole.length : 0);
    case HF_TOXIC_HALF_CLOSE:
        return e->fired ? HF_NEVER : base + t->u.half_close.after;
    case HF_TOXIC_HANDOVER:
        return t->u.handover.after == 0 ? HF_NEVER : base + t->u.handover.after;
    default:
        return HF_NEVER;
    }
}

static hf_time clock_deadline(const struct hf_effect *e, const struct hf_link *l)
{
    const struct hf_toxic *t = e->toxic;
    bool has =
        t->kind == HF_TOXIC_RESTART || (t->kind == HF_TOXIC_HANDOVER && t->u.handover.period > 0);
    if (!has) {
        return HF_NEVER;
    }
    struct hf_beat beat = hf_effect_beat(l->proxy, t);
    return hf_beat_next(&beat, e->begun);
}

hf_time hf_effect_deadline(const struct hf_effect *e, const struct hf_link *l)
{
    const struct hf_toxic *t = e->toxic;
    if (!e->on) {
        return HF_NEVER;
    }
    hf_time armed = e->armed > 0 ? e->armed : HF_NEVER;
    hf_time clock = clock_deadline(e, l);
    hf_time next = age_deadline(e, l);
    if (t->kind == HF_TOXIC_TIMEOUT && t->u.timeout.timeout > 0) {
        next = e->begun + t->u.timeout.timeout;
    } else if (t->kind == HF_TOXIC_IDLE_TIMEOUT) {
        next = hf_idle_deadline(&e->idle, t->u.idle.direction,
                                hf_chaos_jitter(t->u.idle.timeout, t->u.idle.jitter, e->draw));
    } else if (t->kind == HF_TOXIC_BLOCKED) {
        next = blocked_deadline(e, l);
    }
    next = next < armed ? next : armed;
    return next < clock ? next : clock;
}

/* A ping goes to the client: kill_on_ping sees it. */
static void see_ping_down(struct hf_link *l)
{
    struct hf_effect *kill = hf_effect_of(l, HF_TOXIC_KILL_ON_PING, HF_WAY_DOWN);
    if (kill != NULL && kill->armed == 0) {
        kill->armed = hf_link_now(l) + kill->toxic->u.kill.delay;
    }
}

static void send_ping(struct hf_effect *e, struct hf_link *l)
{
    const struct hf_toxic *t = e->toxic;
    struct hf_watch_rules rules = watch_rules(t);
    const struct hf_effect *hop = hf_effect_of(l, HF_TOXIC_REWRITE_PINGS, HF_WAY_DOWN);
    char text[32];
    e->pings++;
    (void)snprintf(text, sizeof(text), "chaos-%llu", (unsigned long long)e->pings);
    if (t->u.watchdog.ping == HF_WATCH_NO_PING) {
        return;
    }
    if (t->u.watchdog.ping == HF_WATCH_TEXT) {
        hf_link_inject(l, HF_WAY_DOWN, HF_OP_TEXT, hf_slice_of(t->u.watchdog.text));
    } else if (hop != NULL && hop->toxic->u.rewrite.mode == HF_REWRITE_ANSWER) {
        hf_watch_hear(&e->watch, &rules, HF_HEARD_MATCHING_PONG, hf_link_now(l));
    } else {
        hf_link_inject(l, HF_WAY_DOWN, HF_OP_PING, hf_slice_of(hop != NULL ? "" : text));
        see_ping_down(l);
    }
    hf_link_tell(l, HF_CHAOS_ACTED, t, "ping");
}

static void watch_tick(struct hf_effect *e, struct hf_link *l)
{
    struct hf_watch_rules rules = watch_rules(e->toxic);
    enum hf_watch_verdict verdict;
    do {
        verdict = hf_watch_tick(&e->watch, &rules, hf_link_now(l));
        if (verdict == HF_WATCH_SEND) {
            send_ping(e, l);
        } else if (verdict == HF_WATCH_LOST) {
            hf_link_end(l, e->toxic, &e->toxic->ending, "no answer to a ping");
            hf_watch_start(&e->watch, HF_NEVER); /* action none: it has given up */
        }
    } while (verdict == HF_WATCH_SEND && hf_link_is_live(l));
}

static void half_close(struct hf_effect *e, struct hf_link *l)
{
    e->fired = true;
    struct hf_link_side *to = &l->sides[e->toxic->way == HF_WAY_UP ? HF_WAY_DOWN : HF_WAY_UP];
    if (to->stream != NULL && to->open && !to->shut) {
        to->shut = true;
        hf_stream_shut(to->stream);
        hf_link_tell(l, HF_CHAOS_ACTED, e->toxic, "fin, one direction alone");
    }
}

/* The rest of what limit_data let pass goes out first. */
static void limit_tick(struct hf_effect *e, struct hf_link *l)
{
    if (l->lanes[e->toxic->way].queue.bytes > 0) {
        e->armed = hf_link_now(l) + HF_MS(5);
    } else {
        hf_link_end(l, e->toxic, &plain_fin, "the limit of bytes was reached");
    }
}

static void refuse_tick(struct hf_effect *e, struct hf_link *l)
{
    const struct hf_toxic *t = e->toxic;
    struct hf_buffer answer;
    struct hf_slice lines = hf_slice_of(t->u.refuse.headers);
    struct hf_slice line;
    char what[64];
    struct hf_stream *client = l->sides[HF_WAY_UP].stream;
    e->armed = 0;
    if (t->u.refuse.status == 0) {
        hf_link_end(l, t, &plain_fin, "the handshake was not answered");
        return;
    }
    hf_buffer_init(&answer, &hf_heap, (size_t)1 << 20);
    (void)hf_buffer_addf(&answer, "HTTP/1.1 %d %s\r\nContent-Length: %zu\r\nConnection: close\r\n",
                         (int)t->u.refuse.status, hf_http_reason((uint16_t)t->u.refuse.status),
                         strlen(t->u.refuse.body));
    while (hf_slice_next(&lines, '\n', &line)) {
        line = hf_slice_trim(line);
        if (line.len > 0 && hf_slice_find(line, '\r') == line.len) {
            (void)hf_buffer_addf(&answer, "%.*s\r\n", HF_SLICE_ARG(line));
        }
    }
    (void)hf_buffer_addf(&answer, "\r\n%s", t->u.refuse.body);
    if (!answer.failed) {
        /* It is a new connection's first answer: what the socket does not take at once is lost. */
        (void)hf_stream_send(client, hf_buffer_slice(&answer));
    }
    hf_buffer_reset(&answer);
    (void)snprintf(what, sizeof(what), "answered with %d", (int)t->u.refuse.status);
    hf_link_tell(l, HF_CHAOS_ACTED, t, what);
    l->ended_by = "the box";
    hf_link_fin(l);
}

void hf_effect_tick(struct hf_effect *e, struct hf_link *l)
{
    const struct hf_toxic *t = e->toxic;
    switch ((unsigned)t->kind) {
    case HF_TOXIC_TIMEOUT:
        hf_link_end(l, t, &plain_fin, "timeout");
        break;
    case HF_TOXIC_RESET_PEER:
        hf_link_end(l, t, &plain_rst, "data came");
        break;
    case HF_TOXIC_LIMIT_DATA:
        limit_tick(e, l);
        break;
    case HF_TOXIC_IDLE_TIMEOUT:
        hf_link_end(l, t, &t->ending, "idle");
        hf_idle_start(&e->idle, hf_link_now(l)); /* action none */
        break;
    case HF_TOXIC_MAX_LIFETIME:
        hf_link_end(l, t, &t->ending, "lifetime is over");
        e->on = false;
        break;
    case HF_TOXIC_CLOSE_FRAME:
        hf_link_end(l, t, &t->ending, "its time has come");
        e->on = false;
        break;
    case HF_TOXIC_WATCHDOG:
        watch_tick(e, l);
        break;
    case HF_TOXIC_KILL_ON_PING:
        hf_link_end(l, t, &t->ending, "a ping went by");
        e->on = false;
        break;
    case HF_TOXIC_BLACKHOLE:
        e->on = !e->fired;
        hf_link_tell(l, HF_CHAOS_ACTED, t, e->fired ? "it passes again" : "nothing passes");
        e->fired = true;
        break;
    case HF_TOXIC_HANDOVER:
        hf_link_end(l, t, &plain_silence, "the network changed");
        break;
    case HF_TOXIC_HALF_CLOSE:
        half_close(e, l);
        break;
    case HF_TOXIC_BLOCKED:
        blocked_tick(e, l);
        break;
    case HF_TOXIC_RESTART:
        hf_link_end(l, t, &t->ending, "restart");
        e->begun = hf_link_now(l); /* action none */
        break;
    case HF_TOXIC_REFUSE:
        refuse_tick(e, l);
        break;
    default:
        break;
    }
}

/* ---- when something goes by -------------------------------------------------------------------
 */

static bool is_counted(const struct hf_toxic *t, const struct hf_sight *s)
{
    switch ((enum hf_counted)t->u.rate.counts) {
    case HF_COUNTED_CLIENT:
        return s->way == HF_WAY_UP && s->begins;
    case HF_COUNTED_CLIENT_FRAMES:
        return s->way == HF_WAY_UP && s->frame;
    case HF_COUNTED_SERVER:
        return s->way == HF_WAY_DOWN && s->frame && !hf_opcode_is_control(s->opcode);
    case HF_COUNTED_BOTH:
        return s->begins;
    case HF_COUNTED_FRAMES:
        break;
    }
    return s->frame;
}

static enum hf_pass limit_rate(struct hf_effect *e, struct hf_link *l, const struct hf_sight *s)
{
    const struct hf_toxic *t = e->toxic;
    const struct hf_quota_rules rules = {.messages = (uint32_t)t->u.rate.messages,
                                         .window = t->u.rate.window,
                                         .kind = (enum hf_window)t->u.rate.kind};
    char why[96];
    if (!is_counted(t, s)) {
        return HF_PASS;
    }
    hf_time now = hf_link_now(l);
    hf_time wait = hf_quota_take(&e->quota, &rules, now);
    if (wait == 0 || t->ending.action == HF_ACTION_NONE) {
        return HF_PASS;
    }
    if (t->ending.action == HF_ACTION_DELAY) {
        e->quota.total--;
        l->lanes[s->way].hold_until = wait == HF_NEVER ? HF_NEVER : now + wait;
        hf_link_tell(l, HF_CHAOS_ACTED, t, "a message waits");
        return HF_PASS_HOLD;
    }
    if (t->ending.action == HF_ACTION_DROP) {
        hf_link_tell(l, HF_CHAOS_ACTED, t, "a message was dropped");
        return HF_PASS_DROP;
    }
    (void)snprintf(why, sizeof(why), "message %llu is beyond the limit",
                   (unsigned long long)e->quota.total);
    hf_link_end(l, t, &t->ending, why);
    return HF_PASS_ENDED;
}

static enum hf_pass limit_size(const struct hf_effect *e, struct hf_link *l,
                               const struct hf_sight *s)
{
    const struct hf_toxic *t = e->toxic;
    struct hf_chaos_ending ending = t->ending;
    char why[96];
    if (s->way != t->way || !s->frame || hf_opcode_is_control(s->opcode) ||
        s->size <= (uint64_t)t->u.size.bytes || ending.action == HF_ACTION_NONE) {
        return HF_PASS;
    }
    if (ending.action == HF_ACTION_DROP && s->begins) {
        hf_link_tell(l, HF_CHAOS_ACTED, t, "a message was dropped");
        return HF_PASS_DROP;
    }
    (void)snprintf(why, sizeof(why), "a message of %llu bytes or more",
                   (unsigned long long)s->size);
    hf_link_end(l, t, &ending, why);
    return HF_PASS_ENDED;
}

static enum hf_pass rewrite_ping(const struct hf_effect *e, struct hf_link *l,
                                 const struct hf_sight *s)
{
    const struct hf_toxic *t = e->toxic;
    bool answers = t->u.rewrite.mode == HF_REWRITE_ANSWER;
    if (s->opcode != HF_OP_PING || s->way != t->way || !s->frame) {
        return HF_PASS;
    }
    if (answers) {
        enum hf_way back = s->way == HF_WAY_UP ? HF_WAY_DOWN : HF_WAY_UP;
        hf_link_inject(l, back, HF_OP_PONG, s->payload);
    } else {
        hf_link_inject(l, s->way, HF_OP_PING, hf_slice(NULL, 0));
    }
    hf_link_tell(l, HF_CHAOS_ACTED, t, answers ? "a ping was answered here" : "a ping was emptied");
    return HF_PASS_DROP;
}

/* The number of our ping that this pong answers; 0: none. */
static uint64_t pong_number(const struct hf_effect *e, struct hf_slice payload)
{
    uint64_t number = 0;
    bool ours = hf_slice_starts(payload, HF_LITERAL("chaos-")) &&
                hf_slice_number(hf_slice_from(payload, 6), UINT64_MAX, &number);
    return ours && number <= e->pings ? number : 0;
}

static enum hf_pass watch_see(struct hf_effect *e, struct hf_link *l, const struct hf_sight *s)
{
    const struct hf_toxic *t = e->toxic;
    struct hf_watch_rules rules = watch_rules(t);
    hf_time now = hf_link_now(l);
    bool ours = false;
    if (s->way != HF_WAY_UP || !l->websocket) {
        return HF_PASS;
    }
    if (s->frame && s->opcode == HF_OP_PONG) {
        ours = pong_number(e, s->payload) > 0;
        hf_watch_hear(&e->watch, &rules, ours ? HF_HEARD_MATCHING_PONG : HF_HEARD_PONG, now);
    } else if (s->ends && (s->kinds & HF_COUNTS_MESSAGES) != 0) {
        hf_watch_hear(&e->watch, &rules, HF_HEARD_MESSAGE, now);
    } else {
        hf_watch_hear(&e->watch, &rules, HF_HEARD_BYTES, now);
    }
    return ours ? HF_PASS_DROP : HF_PASS; /* the upstream asked nothing */
}

static enum hf_pass effect_see(struct hf_effect *e, struct hf_link *l, const struct hf_sight *s)
{
    const struct hf_toxic *t = e->toxic;
    switch ((unsigned)t->kind) {
    case HF_TOXIC_IDLE_TIMEOUT:
        hf_idle_note(&e->idle, t->u.idle.counts, s->way, s->kinds, hf_link_now(l));
        return HF_PASS;
    case HF_TOXIC_RATE_LIMIT:
        return t->ending.action == HF_ACTION_DELAY ? HF_PASS : limit_rate(e, l, s);
    case HF_TOXIC_MAX_MESSAGE:
        return limit_size(e, l, s);
    case HF_TOXIC_CLOSE_FRAME:
        if (t->u.close.messages > 0 && s->way == HF_WAY_UP && s->ends &&
            l->lanes[HF_WAY_UP].messages >= (uint64_t)t->u.close.messages) {
            hf_link_end(l, t, &t->ending, "so many messages have come");
            return HF_PASS_ENDED;
        }
        return HF_PASS;
    case HF_TOXIC_WATCHDOG:
        return watch_see(e, l, s);
    case HF_TOXIC_KILL_ON_PING:
        if (s->frame && s->opcode == HF_OP_PING && s->way == t->way && e->armed == 0) {
            e->armed = hf_link_now(l) + t->u.kill.delay;
        }
        return HF_PASS;
    case HF_TOXIC_DROP_PONGS:
        if (s->frame && s->opcode == HF_OP_PONG && s->way == t->way) {
            hf_link_tell(l, HF_CHAOS_ACTED, t, "a pong was dropped");
            return HF_PASS_DROP;
        }
        return HF_PASS;
    case HF_TOXIC_REWRITE_PINGS:
        return rewrite_ping(e, l, s);
    default:
        return HF_PASS;
    }
}

enum hf_pass hf_effects_see(struct hf_link *l, const struct hf_sight *s)
{
    enum hf_pass pass = HF_PASS;
    /* What makes it wait comes first: nobody else has counted it then. */
    for (size_t i = 0; i < l->effect_count && pass == HF_PASS; i++) {
        struct hf_effect *e = &l->effects[i];
        if (e->on && e->toxic->kind == HF_TOXIC_RATE_LIMIT &&
            e->toxic->ending.action == HF_ACTION_DELAY) {
            pass = limit_rate(e, l, s);
        }
    }
    for (size_t i = 0; i < l->effect_count && pass == HF_PASS; i++) {
        if (l->effects[i].on) {
            pass = effect_see(&l->effects[i], l, s);
        }
    }
    return pass;
}

/* ---- plain bytes ------------------------------------------------------------------------------
 */

/* Nothing passes this way at the moment, because of this toxic. */
static bool is_hole(const struct hf_effect *e, const struct hf_link *l, enum hf_way way)
{
    const struct hf_toxic *t = e->toxic;
    enum hf_direction one = way == HF_WAY_UP ? HF_DIRECTION_UP : HF_DIRECTION_DOWN;
    return e->on && t->kind == HF_TOXIC_BLACKHOLE && l->state == HF_LINK_OPEN &&
           hf_link_now(l) - base_of(l) >= t->u.blackhole.after &&
           (t->u.blackhole.direction == HF_DIRECTION_BOTH || t->u.blackhole.direction == one);
}

/* A hole that ends holds what comes meanwhile, as TCP sends again what was lost. */
bool hf_effects_held(const struct hf_link *l, enum hf_way way)
{
    for (size_t i = 0; i < l->effect_count; i++) {
        const struct hf_effect *e = &l->effects[i];
        if (is_hole(e, l, way) && e->toxic->u.blackhole.length > 0) {
            return true;
        }
    }
    return hf_effects_blocked(l);
}

bool hf_effects_swallow(const struct hf_link *l, enum hf_way way)
{
    for (size_t i = 0; i < l->effect_count; i++) {
        const struct hf_effect *e = &l->effects[i];
        if ((is_hole(e, l, way) && e->toxic->u.blackhole.length == 0) ||
            (e->on && e->toxic->kind == HF_TOXIC_TIMEOUT && e->toxic->way == way)) {
            return true;
        }
    }
    return false;
}

size_t hf_effects_allow(struct hf_link *l, enum hf_way way, size_t len)
{
    hf_time now = hf_link_now(l);
    for (size_t i = 0; i < l->effect_count; i++) {
        struct hf_effect *e = &l->effects[i];
        const struct hf_toxic *t = e->toxic;
        if (!e->on || t->way != way) {
            continue;
        }
        if (t->kind == HF_TOXIC_RESET_PEER) {
            e->armed = e->armed > 0 ? e->armed : now + t->u.reset_peer.timeout;
            len = 0;
        } else if (t->kind == HF_TOXIC_LIMIT_DATA) {
            uint64_t most = (uint64_t)t->u.limit_data.bytes;
            uint64_t left = e->shaper.bytes < most ? most - e->shaper.bytes : 0;
            if (len >= left) {
                len = (size_t)left;
                e->armed = e->armed > 0 ? e->armed : now;
            }
            e->shaper.bytes += len;
        }
    }
    return len;
}
