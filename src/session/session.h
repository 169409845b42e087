/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's side of one hf1 session (docs/protocol.md): counts, the journal towards the client,
 * the queue towards the backend, acknowledging and credit both ways, tokens, resuming, and times.
 * Pure: bytes, counts and time are arguments, and what is to be done is asked for.
 *
 * S is the journal's end, C the queue's. A record of the journal goes when the client has
 * acknowledged it; a record of the queue goes when it was written to the backend, and its message
 * is `taken` when the backend's socket has accepted all that was written.
 *
 * Invariants: journal.base <= sent.number <= journal.end while connected; told <= taken <=
 * written <= counted. */
#ifndef HF_SESSION_SESSION_H
#define HF_SESSION_SESSION_H

#include "base/time.h"
#include "session/control.h"
#include "session/journal.h"
#include "session/offer.h"

enum hf_session_state {
    HF_SESSION_OPENING,  /* the backend's handshake runs */
    HF_SESSION_ATTACHED, /* it has a connection */
    HF_SESSION_PARKED,   /* it has none and waits */
    HF_SESSION_CLOSING,  /* the backend has closed; its last messages and its Close are not taken */
    HF_SESSION_ENDED,
    HF_SESSION_STATES,
};
const char *hf_session_state_text(enum hf_session_state state);
bool hf_session_may_become(enum hf_session_state from, enum hf_session_state to);

/* Why a resume brings a new session, or none. The texts are those of `hello reason=`. */
enum hf_resume_verdict {
    HF_RESUME_OK,
    HF_RESUME_EXPIRED,
    HF_RESUME_OVERFLOW,
    HF_RESUME_UNKNOWN,
    HF_RESUME_EPOCH,
    HF_RESUME_AUTH,
    HF_RESUME_STALE,
    HF_RESUME_BACKEND_GONE,
    HF_RESUME_POISON,
    HF_RESUME_CLOSED,
    HF_RESUME_VERDICTS,
};
const char *hf_resume_verdict_text(enum hf_resume_verdict verdict);

struct hf_session_rules {
    uint32_t buffer;      /* bytes of credit, each way */
    uint32_t park_bytes;  /* of the backend's messages, while parked */
    uint32_t message_max; /* for hello */
    hf_time window;
    hf_time leave; /* the window after a Close with 1001 */
    hf_time beat;
};
/* Unacknowledged cost at which an ack is due. */
static inline uint32_t hf_session_ack_cost(const struct hf_session_rules *rules)
{
    return rules->buffer / 4;
}
#define HF_ACK_DELAY HF_SECONDS(1)
/* What a parked session takes beyond park_bytes, only to find the backend's pings and its Close. */
#define HF_PARK_RESERVE 32768
/* Attachments, whose hello was answered, lost in a row while the same message was being sent.
 * Networks lose a few by chance: each of those that a poor path cuts within its first packets
 * counts. */
#define HF_POISON_STRIKES 10

#define HF_TOKEN_HASH 16 /* of SHA-256 of a secret */
void hf_token_hash(const uint8_t *secret, size_t len, uint8_t hash[HF_TOKEN_HASH]);

/* The backend's Close, kept until the client has it. */
struct hf_session_close {
    uint16_t code; /* 1005: an empty one */
    uint8_t reason_len;
    uint8_t reason[123];
};

struct hf_session {
    uint64_t id;
    uint64_t attempt; /* the highest that was seen */
    struct hf_journal journal;
    struct hf_journal *queue; /* of those between written and counted; owned; NULL: none waits */
    uint64_t counted;         /* C */
    uint64_t written;         /* to the backend, or answered at the edge */
    struct hf_journal_cursor sent; /* on the present connection; seeked by attach */
    uint64_t cost_out;             /* of the records that were sent on it and not acknowledged */
    uint64_t taken;
    uint64_t told;        /* by the last ack on the present connection */
    uint64_t cost_in;     /* of all messages that came */
    uint64_t cost_told;   /* of those up to told */
    hf_time untold_since; /* the first message that is not acknowledged came; HF_NEVER: none */
    hf_time mark;         /* connected: when the last ack was sent; else: when the window ends */
    hf_time stalled;      /* since when the journal is full without an ack; HF_NEVER: it is not */
    uint64_t suspect;     /* the message during which attachments were lost; 0: none */
    struct hf_session_close *close; /* owned; NULL: the backend has not closed */
    uint8_t accepted[HF_TOKEN_HASH];
    uint8_t offered[HF_TOKEN_HASH];
    uint32_t epoch;
    uint32_t accepted_generation; /* 0: none */
    uint32_t offered_generation;  /* 0: none */
    uint8_t state;                /* enum hf_session_state; changed by one function alone */
    uint8_t strikes;
    bool connected : 1; /* a connection is attached */
    bool heard : 1;     /* a control message of the client came on the present connection */
    bool acking : 1; /* an ack that counts came on it: from now on none may be below the journal's
                      * base
                      */
    bool met : 1;    /* ... on any: nobody can join any more */
};

void hf_session_init(struct hf_session *s, uint64_t id, uint32_t epoch);
void hf_session_fini(struct hf_session *s, const struct hf_allocator *alloc);

/* ---- connections ------------------------------------------------------------------------------
 */

/* Whether a resume with this token and these numbers may attach. Whose it is, the caller has
 * checked. Changes nothing. `gaps`: the messages that are gone may be left out (an EventSource by
 * hand). */
enum hf_resume_verdict hf_session_check(const struct hf_session *s, const struct hf_token *token,
                                        uint64_t epoch, uint64_t received, uint64_t attempt,
                                        bool gaps);
/* The token is one of the two that are known: nothing else is said of it. */
bool hf_session_knows(const struct hf_session *s, const struct hf_token *token);
/* A connection is there from now on; the old one, if any, is not the session's any more. The first
 * of a session, or one that joined it: token NULL, received 0. Returns the number of messages that
 * are gone and that it will not get (0 unless `gaps` was given to check). */
uint64_t hf_session_attach(struct hf_session *s, const struct hf_allocator *alloc,
                           const struct hf_token *token, uint64_t received, uint64_t attempt,
                           hf_time now);
/* Offers a token with this secret for hello; returns its generation. */
uint32_t hf_session_offer(struct hf_session *s, const uint8_t secret[HF_TOKEN_SECRET]);
/* A control message came on the present connection. */
void hf_session_heard(struct hf_session *s);
/* The connection was lost: `wait` is the window or the shorter time of who leaves. */
void hf_session_detach(struct hf_session *s, hf_time wait, hf_time now);
/* The backend's handshake is done. */
void hf_session_opened(struct hf_session *s);
/* The backend has closed. HF_NO_MEMORY: nothing changed. */
HF_MUST_USE enum hf_status hf_session_closed(struct hf_session *s, const struct hf_allocator *alloc,
                                             uint16_t code, struct hf_slice reason);
void hf_session_end(struct hf_session *s);

/* ---- from backend to client -------------------------------------------------------------------
 */

HF_MUST_USE enum hf_status hf_session_add(struct hf_session *s, const struct hf_allocator *alloc,
                                          uint8_t opcode, struct hf_slice payload);
/* The next message for the present connection, if its credit permits one. hf_session_sent says that
 * it went. */
bool hf_session_next(const struct hf_session *s, const struct hf_session_rules *rules,
                     struct hf_record *record);
void hf_session_sent(struct hf_session *s);
/* A message of so many bytes that is added now can be sent at once. */
static inline bool hf_session_is_live(const struct hf_session *s,
                                      const struct hf_session_rules *rules, uint64_t payload)
{
    return s->connected && s->sent.number == s->journal.end &&
           (s->cost_out == 0 || s->cost_out + hf_record_cost(payload) <= rules->buffer);
}
/* The client acknowledges up to n. NULL, or a sentence: a protocol error. */
const char *hf_session_acked(struct hf_session *s, const struct hf_allocator *alloc, uint64_t n);
/* The backend may be read: there is room in the journal. Looks at the time the journal is full
 * since. */
bool hf_session_has_room(struct hf_session *s, const struct hf_session_rules *rules, hf_time now);

/* ---- from client to backend -------------------------------------------------------------------
 */

/* A message of so many bytes keeps to the credit. */
bool hf_session_may_receive(const struct hf_session *s, const struct hf_session_rules *rules,
                            uint64_t payload);
/* It was counted, and was written to the backend already (the queue is empty). */
void hf_session_passed(struct hf_session *s, uint64_t payload, hf_time now);
/* It was counted, and waits. opcode 0: it was answered at the edge and keeps its place alone. */
HF_MUST_USE enum hf_status hf_session_queue(struct hf_session *s, const struct hf_allocator *alloc,
                                            uint8_t opcode, struct hf_slice payload, hf_time now);
/* The next that waits; hf_session_written says that it was written. */
bool hf_session_waiting(const struct hf_session *s, struct hf_record *record);
void hf_session_written(struct hf_session *s, const struct hf_allocator *alloc);
/* The backend's socket has accepted all that was written. */
static inline void hf_session_taken(struct hf_session *s)
{
    s->taken = s->written;
}
static inline uint64_t hf_session_queue_cost(const struct hf_session *s)
{
    return s->queue == NULL ? 0 : s->queue->cost;
}
/* Of memory that journal and queue own. */
static inline uint64_t hf_session_bytes(const struct hf_session *s)
{
    return s->journal.bytes + (s->queue == NULL ? 0 : s->queue->bytes + sizeof(*s->queue));
}
/* An ack is due now; hf_session_told says that it was sent with n = taken. */
bool hf_session_owes_ack(const struct hf_session *s, const struct hf_session_rules *rules,
                         hf_time now);
void hf_session_told(struct hf_session *s, hf_time now);

/* ---- time -------------------------------------------------------------------------------------
 */

/* When the session must be looked at: an ack, a beat, the end of its window, a journal that stays
 * full. HF_NEVER: never. */
hf_time hf_session_deadline(const struct hf_session *s, const struct hf_session_rules *rules);
/* Its window is over; or its journal was full for a window (`overflow`). OK: neither. */
enum hf_resume_verdict hf_session_verdict(const struct hf_session *s,
                                          const struct hf_session_rules *rules, hf_time now);

/* ---- hello ------------------------------------------------------------------------------------
 */

/* Fills the counts and the rules; names, token and key are the caller's. */
void hf_session_hello(const struct hf_session *s, const struct hf_session_rules *rules,
                      struct hf_control *hello);

/* ---- save and load ----------------------------------------------------------------------------
 */

/* Appends the whole state, journal and queue included; check out->failed. Not while opening, nor
 * when ended. */
void hf_session_save(const struct hf_session *s, hf_time now, struct hf_buffer *out);
/* A saved state, as a session that is parked (or closing); its window goes on, or begins when it
 * was connected. HF_INVALID: it is not one; s is finished then. */
HF_MUST_USE enum hf_status hf_session_load(struct hf_session *s, const struct hf_allocator *alloc,
                                           const struct hf_session_rules *rules,
                                           struct hf_slice saved, hf_time now);

#endif
