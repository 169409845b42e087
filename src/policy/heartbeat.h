/* SPDX-License-Identifier: Apache-2.0 */
/* Heartbeat policy of one leg: when to ping a quiet peer, and when to give it up for lost.
 * Pure: the caller passes the time in and acts on the verdict.
 *
 * A ping is due when for `interval` nothing was heard or nothing was sent. Any byte from the peer
 * is a sign of life, not only a pong. One ping is out at a time: while it waits for its answer no
 * second is due, even when the timeout is longer than the interval.
 *
 * While the caller does not read the leg, the leg is not judged: nothing can be heard, so only
 * silence towards the peer makes a ping due, and an older ping that is still out does not hold it
 * back.
 *
 * From PING to hf_heartbeat_pinged() the ping is owed: ticks go on saying PING, the deadline is
 * HF_HEARTBEAT_RETRY_MS away instead of now (a long frame may be open), and nothing is LOST.
 *
 * A tick more than HF_HEARTBEAT_LATE_MS behind the deadline of a ping means that this machine slept
 * or was busy, so its silence proves nothing: the peer is pinged once more and has its full time
 * again. This happens once for each wait, so that a loop which is always late still gives up in the
 * end.
 *
 * Times inside are milliseconds in 32 bits, because a million of these stand in memory; they are
 * compared by difference, so the wrap after 49 days does not matter. A mark that lies ahead of now
 * (the clock was set back, or nobody looked for 25 days) is moved to now. Rules longer than
 * HF_HEARTBEAT_MAX count as that. */
#ifndef HF_POLICY_HEARTBEAT_H
#define HF_POLICY_HEARTBEAT_H

#include "base/random.h"
#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

#define HF_HEARTBEAT_MAX                                                                           \
    HF_SECONDS(12 * 24 * 60 * 60) /* half of the 25 days that a difference can tell */
#define HF_HEARTBEAT_RETRY_MS 100
#define HF_HEARTBEAT_LATE_MS 1000

enum hf_heartbeat_verdict {
    HF_HEARTBEAT_WAIT, /* nothing to do before hf_heartbeat_deadline() */
    HF_HEARTBEAT_PING, /* send one ping now, then call hf_heartbeat_pinged() when it left */
    HF_HEARTBEAT_LOST, /* the ping went unanswered for `timeout`: drop the connection */
};

struct hf_heartbeat_rules {
    hf_time interval; /* 0: no heartbeat: always WAIT */
    hf_time timeout;  /* may be longer than the interval; 0: pings keep the path open, nobody is
                         judged */
    uint32_t jitter_percent; /* 0 to 50: each round's interval is shortened by a random share up to
                                this */
};

struct hf_heartbeat {
    uint32_t heard_ms;        /* last byte from the peer */
    uint32_t sent_ms;         /* last byte to the peer */
    uint32_t pinged_ms;       /* when the peer's time began, rounded up; meaningful while waiting */
    uint32_t rtt_us;          /* last ping to its pong; UINT32_MAX: none yet */
    uint16_t spread_permille; /* this round's share of the interval, 500 to 1000 */
    bool waiting : 1;         /* a ping is out and nothing was heard since */
    bool unread : 1;          /* the caller does not read this leg */
    bool owed : 1;            /* PING was said and the ping has not left yet */
    bool judged : 1; /* a late tick of this wait was forgiven, or LOST was said: the next one is not
                      */
};

_Static_assert(sizeof(struct hf_heartbeat) <= 20, "a million of these stand in memory");

static inline uint32_t hf_heartbeat_ms(hf_time now)
{
    return (uint32_t)(now / 1000);
}

/* random may be NULL here and in tick when the rules have no jitter. */
void hf_heartbeat_init(struct hf_heartbeat *hb, const struct hf_heartbeat_rules *rules,
                       struct hf_random *random, hf_time now);
/* Both are called for each chunk of bytes and cost a store. */
static inline void hf_heartbeat_heard(struct hf_heartbeat *hb, hf_time now)
{
    hb->heard_ms = hf_heartbeat_ms(now);
    hb->waiting = false;
}
static inline void hf_heartbeat_sent(struct hf_heartbeat *hb, hf_time now)
{
    hb->sent_ms = hf_heartbeat_ms(now);
}
/* The ping left (it went into the socket). The peer's time begins. */
void hf_heartbeat_pinged(struct hf_heartbeat *hb, hf_time now);
/* The pong that answers the ping came, rtt after the ping left. */
void hf_heartbeat_ponged(struct hf_heartbeat *hb, hf_time rtt);
/* The caller stopped reading the leg, or reads it again; reading again gives the peer its full
 * timeout. */
void hf_heartbeat_reading(struct hf_heartbeat *hb, bool reading, hf_time now);
/* A peer whose unread bytes wait in the receive queue, or whose TCP still acknowledges a ping in
 * the queue, lives: the caller says so before it accepts LOST, and the timeout starts again. */
void hf_heartbeat_alive(struct hf_heartbeat *hb, hf_time now);
/* When to call tick again; it may move with every call above. Never earlier than now. HF_NEVER
 * without heartbeat. */
hf_time hf_heartbeat_deadline(const struct hf_heartbeat *hb, const struct hf_heartbeat_rules *rules,
                              hf_time now);
/* What to do now. An early tick says WAIT. A tick that comes late pings once and leaves the peer
 * its full time. LOST is said again until the caller drops the leg or says alive. */
enum hf_heartbeat_verdict hf_heartbeat_tick(struct hf_heartbeat *hb,
                                            const struct hf_heartbeat_rules *rules,
                                            struct hf_random *random, hf_time now);

#endif
