/* SPDX-License-Identifier: Apache-2.0 */
/* The library's side of hf1 (docs/protocol.md) as a pure machine: what a session is while
 * connections come and go. It knows messages, not frames: a transport feeds it whole messages and
 * takes from it what to send. It makes no attempts and draws no waits; it says what an end means.
 *
 *     hf_client_offer        what the next connection offers
 *     hf_client_connected    it stands; with or without hf1
 *     hf_client_feed         a message came
 *     hf_client_tick         time passed (hf_client_deadline says when)
 *     hf_client_next         until NONE: what happened, in order, after each of the others
 *     hf_client_take         until NONE: what goes out, as long as there is room for it
 *     hf_client_disconnected it is gone; hf_client_next tells what follows
 *
 * Messages towards the gateway lie in `journal` from when the application sends them until they are
 * acknowledged: record n of it is message n of C. In plain mode (no gateway) they leave it with
 * hf_client_take. */
#ifndef HF_SESSION_CLIENT_H
#define HF_SESSION_CLIENT_H

#include "base/time.h"
#include "session/control.h"
#include "session/journal.h"
#include "session/offer.h"
#include "ws/frame.h"

#define HF_CLIENT_SECRET 16
#define HF_CLIENT_HELLO_WAIT HF_SECONDS(5)
#define HF_CLIENT_CLOSE_WAIT HF_SECONDS(10)
#define HF_CLIENT_ACK_WAIT HF_SECONDS(1)

struct hf_client_rules {
    uint64_t queue_messages; /* records of the journal */
    uint64_t queue_cost;     /* of them; one record is taken whatever it costs */
    bool once;               /* the first end is the end */
};

enum hf_client_link {
    HF_CLIENT_APART,    /* no connection */
    HF_CLIENT_WAITING,  /* one stands and offered hf1: the hello is due */
    HF_CLIENT_ATTACHED, /* hello came */
    HF_CLIENT_PLAIN,    /* no gateway on this connection */
    HF_CLIENT_SHUT, /* our Close was taken out, or the gateway said end: only its Close is due */
};

enum hf_client_aim {
    HF_CLIENT_GO,      /* as long as it goes */
    HF_CLIENT_GOODBYE, /* the application closed */
    HF_CLIENT_OVER,    /* nothing comes any more */
};

enum hf_client_event_kind {
    HF_CLIENT_EVENT_NONE,
    HF_CLIENT_EVENT_OPEN,    /* the application's open */
    HF_CLIENT_EVENT_RESUMED, /* the session goes on */
    HF_CLIENT_EVENT_MESSAGE, /* opcode, data, number */
    HF_CLIENT_EVENT_LOST,    /* counts, reason; hf_client_lost_next gives the records */
    HF_CLIENT_EVENT_REBOUND, /* from, to, attempt */
    HF_CLIENT_EVENT_GOAWAY,  /* in_ms, url (empty: the same) */
    HF_CLIENT_EVENT_AUTH_OK, /* number: exp */
    HF_CLIENT_EVENT_ABANDON, /* give the connection up with Close 4499; why says it, `data` its word
                              */
    /* Of hf_client_disconnected, the last one: */
    HF_CLIENT_EVENT_RETRY, /* come back, not before retry_ms; soon: within 0 to 250 ms */
    HF_CLIENT_EVENT_DONE,  /* it is over */
};

struct hf_client_event {
    enum hf_client_event_kind kind;
    uint8_t opcode;
    struct hf_slice data; /* lives until the next feed, or for LOST, RETRY and DONE the next next */
    uint64_t number;
    const char *why;
    struct hf_slice reason;
    uint64_t received, acked, sent, old_received; /* LOST; old_received HF_NO_COUNT: not known */
    uint64_t from, to, attempt;
    uint64_t in_ms;
    struct hf_slice url;
    uint64_t retry_ms;
    bool soon;
};

/* What the gateway said before its Close, or its Close itself. */
struct hf_client_end {
    bool told; /* an `end` came */
    char who[16];
    char reason[64];
    uint64_t code; /* HF_NO_COUNT: none */
    uint64_t http; /* HF_NO_COUNT: none */
    uint64_t retry;
};

struct hf_client {
    const struct hf_allocator *alloc;
    struct hf_client_rules rules;
    enum hf_client_link link;
    enum hf_client_aim aim;

    /* The session. `known`: a hello came. */
    bool known;
    bool has_secret;
    uint8_t secret[HF_CLIENT_SECRET];
    struct hf_buffer name, token, protocol;
    uint64_t epoch, attempt;
    uint64_t rebound;      /* the attempt of the newest `rebound` */
    uint64_t window, beat; /* ms */
    uint64_t buffer, message_max, ack;
    hf_time parted; /* when the connection of the session was lost; HF_NEVER: it is there */

    /* From the gateway. */
    uint64_t received;
    uint64_t acked;   /* that we said */
    uint64_t unacked; /* cost since */
    hf_time ack_due;  /* HF_NEVER: nothing to acknowledge */
    bool ack_now;

    /* To the gateway. */
    struct hf_journal journal;
    struct hf_journal_cursor at; /* the last record that went out on this connection, or counts */
    uint64_t out_cost;           /* of the records base + 1 to at.number */
    uint64_t sent;               /* the highest number that ever went out */
    struct hf_buffer auth;       /* a value that waits */
    bool has_auth;
    hf_time auth_next; /* at most one a second */
    bool bye_out, close_out;
    uint16_t close_code;
    uint8_t close_reason_len;
    char close_reason[123];
    hf_time close_by; /* HF_NEVER: not closing */

    /* Time. */
    hf_time heard;
    hf_time patient; /* silence is judged only behind it: `coming`, or a late timer's grace */
    bool graced;     /* a late timer was forgiven since the last message */
    bool plain;      /* the connection that stands, or is going, has no gateway */
    hf_time hello_by;
    bool hello_came;  /* on the connection that stands or was the last */
    bool expected;    /* a gateway has answered there before; set by the caller */
    uint8_t silences; /* connections in a row that agreed to hf1 and then said nothing */

    struct hf_client_end end;
    struct hf_buffer room; /* decoded texts of the newest control message, and what goes out */

    /* What hf_client_next tells, in this order. */
    struct hf_journal lost; /* of the session that is gone */
    char lost_reason[64];
    struct hf_journal_cursor lost_at;
    struct hf_client_event pending[4];
    uint8_t pending_count;
};

void hf_client_init(struct hf_client *c, const struct hf_allocator *alloc,
                    const struct hf_client_rules *rules);
void hf_client_fini(struct hf_client *c);

/* Writes the subprotocols of the next attempt: "hf1.o.…, hf1" or "hf1.r.…, hf1", and counts the
 * attempt. fresh: 16 random bytes, used when the session is a new one. Check out->failed. */
void hf_client_offer(struct hf_client *c, const uint8_t fresh[HF_CLIENT_SECRET],
                     struct hf_buffer *out);
/* The next attempt resumes a session: a handshake without hf1 would not do. */
static inline bool hf_client_resumes(const struct hf_client *c)
{
    return c->known;
}
/* A WebSocket stands. hf1: the subprotocol selected is hf1, else protocol is what was selected. */
void hf_client_connected(struct hf_client *c, bool hf1, struct hf_slice protocol, hf_time now);
/* A whole message (text checked to be UTF-8). HF_NO_MEMORY: give the connection up. */
HF_MUST_USE enum hf_status hf_client_feed(struct hf_client *c, uint8_t opcode,
                                          struct hf_slice payload, hf_time now);
/* Bytes came, whatever they are. */
static inline void hf_client_heard(struct hf_client *c, hf_time now)
{
    c->heard = now;
}
hf_time hf_client_deadline(const struct hf_client *c);
void hf_client_tick(struct hf_client *c, hf_time now);
/* The connection, or an attempt, is gone. code: of the Close that came (1005: an empty one), 0:
 * none came. */
void hf_client_disconnected(struct hf_client *c, uint16_t code, hf_time now);

enum hf_client_event_kind hf_client_next(struct hf_client *c, struct hf_client_event *event);
/* The records of the LOST that hf_client_next told last. */
bool hf_client_lost_next(struct hf_client *c, struct hf_record *record);

enum hf_client_take {
    HF_CLIENT_TAKE_NONE,
    HF_CLIENT_TAKE_CONTROL, /* a text as it stands in `payload`, 0x01 in front */
    HF_CLIENT_TAKE_MESSAGE, /* opcode, payload; escape: 0x01 goes in front of it */
    HF_CLIENT_TAKE_CLOSE,   /* code, payload: the reason */
};
struct hf_client_out {
    uint8_t opcode;
    bool escape;
    uint16_t code;
    uint64_t number;
    struct hf_slice payload; /* lives until the next call */
};
/* The next thing that goes out. What was taken counts as gone out. */
enum hf_client_take hf_client_take(struct hf_client *c, struct hf_client_out *out, hf_time now);

enum hf_client_send {
    HF_CLIENT_SENT, /* hf_client_take gives it, within the credit that there is */
    HF_CLIENT_QUEUED,
    HF_CLIENT_FULL,
    HF_CLIENT_TOO_BIG,
    HF_CLIENT_NOT_OPEN,
    HF_CLIENT_NO_MEMORY,
};
enum hf_client_send hf_client_send(struct hf_client *c, uint8_t opcode, struct hf_slice payload);
/* The application closes with a code (0: none); a second call does nothing. reason is cut to 123
 * bytes by the caller. True when the machine is over at once: there is nothing to deliver and no
 * connection. */
bool hf_client_close(struct hf_client *c, uint16_t code, struct hf_slice reason, hf_time now);
/* False: no memory, or longer than 8000 bytes, or there is no gateway. */
bool hf_client_auth(struct hf_client *c, struct hf_slice value);

/* Messages that went out and are not acknowledged. */
static inline uint64_t hf_client_unacked(const struct hf_client *c)
{
    return c->sent > c->journal.base ? c->sent - c->journal.base : 0;
}

#endif
