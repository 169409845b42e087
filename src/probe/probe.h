/* SPDX-License-Identifier: Apache-2.0 */
/* A probe: one WebSocket that is watched from its name's look-up to its end, does to the server
 * what its plan says and nothing else, and leaves a trial (cause/trial.h). Over io.h alone; every
 * call on the loop's thread. It never reconnects: the next connection is the next probe. */
#ifndef HF_PROBE_PROBE_H
#define HF_PROBE_PROBE_H

#include "cause/hosting.h"
#include "cause/infer.h"
#include "cause/trial.h"
#include "http/head.h"
#include "probe/target.h"

#define HF_PROBE_MOMENTS                                                                           \
    4096 /* the first half and the newest quarter are kept, counts are exact                       \
          */
#define HF_PROBE_HOSTING 4

struct hf_probe;

enum hf_probe_event_kind {
    HF_PROBE_PHASE,   /* a phase was finished: `phase`, `took` */
    HF_PROBE_OPEN,    /* the 101; head is the answer */
    HF_PROBE_MESSAGE, /* a whole message: opcode, data */
    HF_PROBE_PING,    /* of the server; data: its payload */
    HF_PROBE_PONG,    /* the matching one to a ping of ours, also a late one: rtt */
    HF_PROBE_STALLED, /* no answer to a ping or expected message since `took`; it may come back */
    HF_PROBE_END,     /* the trial's end is filled in; after the callback the probe may be freed */
};

struct hf_probe_event {
    enum hf_probe_event_kind kind;
    enum hf_trial_phase phase;
    hf_time took;
    const struct hf_head *head; /* OPEN, and END of a refused handshake; dies with the call */
    struct hf_slice data; /* dies with the call; END of a refused handshake: the body's beginning */
    uint8_t opcode;
    hf_time rtt;
};
typedef void hf_probe_handler(void *owner, struct hf_probe *probe,
                              const struct hf_probe_event *event);

struct hf_probe_how {
    const struct hf_target *target; /* outlives the probe */
    struct hf_trial_plan plan;
    const char *arm; /* outlives the probe */
    uint8_t path;
    struct hf_slice text; /* of the messages; copied; empty with message_every: {"type":"ping"} */
    const char *const
        *say; /* sent once each, in order, right behind the open; NULL-terminated; may be NULL */
    hf_time hold;           /* from the open; then a Close 1000: HF_HOW_ENDED_BY_US; HF_NEVER: until
                               hf_probe_stop */
    hf_time answer_timeout; /* to a ping, and to the check at the end of a silent hold: longer is
                               HF_HOW_SILENCE; default 20 s */
    bool check_at_end;  /* before it closes a connection that was silent it pings once, and takes no
                           pong for silence (X14) */
    hf_time pong_delay; /* HF_PONG_LATE */
    hf_time reading_until; /* with plan.stops_reading: reads until this age; 0: none at all */
    bool light; /* for crowds: no list of moments, and TCP is not asked about each send, so that
                   silence is told by pings alone */
    uint64_t seed;
    hf_time epoch; /* the watch's clock begins here: subtracted from the loop's time */
};

/* NULL: no memory. Events follow on later turns, END comes exactly once unless it is freed before.
 */
struct hf_probe *hf_probe_start(struct hf_loop *loop, const struct hf_probe_how *how,
                                hf_probe_handler *handler, void *owner);
/* NULL is accepted. Without END if it has not come: the connection is reset. Not inside its own
 * callback, except that of END. */
void hf_probe_free(struct hf_probe *p);
/* Ends it politely now (Close 1000, then TCP); END follows within 2 s. */
void hf_probe_stop(struct hf_probe *p);
/* Ends it with HF_HOW_ALIVE on a later turn, without a Close: TCP is reset. */
void hf_probe_abandon(struct hf_probe *p);
/* While it is open; false when it is not, or what was sent before waits still (try at the next
 * event). */
bool hf_probe_send(struct hf_probe *p, uint8_t opcode, struct hf_slice data);
/* The same, as frames of `frame` bytes. */
bool hf_probe_send_fragments(struct hf_probe *p, uint8_t opcode, struct hf_slice data,
                             size_t frame);
bool hf_probe_ping(struct hf_probe *p);
void hf_probe_set_plan(struct hf_probe *p, const struct hf_trial_plan *plan); /* from now on */

/* As it stands now; while it lives, end.how is HF_HOW_ALIVE and end.age its age. Lives until the
 * probe is freed; the moments move when it grows. */
const struct hf_trial *hf_probe_trial(struct hf_probe *p);
/* What was recognised in front of it: address, CNAMEs, headers. Count at most HF_PROBE_HOSTING. */
size_t hf_probe_hosting(const struct hf_probe *p, const struct hf_hosting **hosting);
/* What infer's context can know of a probe: hosting and TLS. ids has HF_PROBE_HOSTING places, which
 * the context borrows. */
struct hf_infer_context hf_probe_context(const struct hf_probe *p, const char **ids);
/* How long each phase took; -1: not reached. HF_PHASE_OPEN: to the first message. */
hf_time hf_probe_phase(const struct hf_probe *p, enum hf_trial_phase phase);
/* All phases up to the open together, those that there were. */
hf_time hf_probe_opening_took(const struct hf_probe *p);
/* The address it connects to; len 0: none yet. */
const struct hf_address *hf_probe_address(const struct hf_probe *p);
/* Not-after of the server's certificate, ms since 1970; 0: no TLS. */
hf_wall hf_probe_certificate_expires(const struct hf_probe *p);

/* A length of time for people, at most 24 bytes: "85 µs", "340 ms", "24.0 s", "5 min 12 s", "3 h 20
 * min". */
void hf_age_text(hf_time age, char text[24]);
/* The words `cause` and `who` of an ending, static. The cause is the likeliest row of the catalogue
 * when it is likelier than all others together, else "unknown"; "none" while it lives. context:
 * what was recognised in front of it; may be NULL. */
const char *hf_trial_cause(const struct hf_trial *t, const struct hf_infer_context *context);
/* server path us nobody unknown */
const char *hf_trial_who(const struct hf_trial *t, const struct hf_infer_context *context);
/* The ending record: the inside of one JSON object, without braces, in the one vocabulary (cause,
 * who, code, reason, how, phase, http, held_ms, silent_rx_ms, silent_tx_ms, rtt_ms, unacked, errno,
 * messages_sent, messages_got, ...). docs/diagnosis.md. */
void hf_trial_json_with(const struct hf_trial *t, const struct hf_infer_context *context,
                        struct hf_buffer *out);
/* The same without a context. */
void hf_trial_json(const struct hf_trial *t, struct hf_buffer *out);
/* The same in one sentence for a person, without a stop: "ended by the other side after 24.0 s,
 * without a Close frame (1006, FIN); nothing had come for 10.0 s". */
void hf_trial_sentence(const struct hf_trial *t, struct hf_buffer *out);

#endif
