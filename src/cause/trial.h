/* SPDX-License-Identifier: Apache-2.0 */
/* A trial: one connection that was watched from its first byte to its end, by a tool of ours or by
 * what a log tells of it. What the cause engine knows of the world it knows from these. Pure data.
 *
 * Two clocks: `begun` is on the clock of the whole watch, so that trials can be compared with each
 * other (a restart ends all at one instant); everything in a trial is an age, counted from the open
 * (the 101), or from `begun` while it never opened. */
#ifndef HF_CAUSE_TRIAL_H
#define HF_CAUSE_TRIAL_H

#include "base/time.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What went by on the connection, seen from the client. */
enum hf_moment_kind {
    HF_MOMENT_SENT,      /* a whole message of ours was handed to TCP; size: payload bytes */
    HF_MOMENT_GOT,       /* a whole message of the server came; size: payload bytes */
    HF_MOMENT_PING_SENT, /* our ping */
    HF_MOMENT_PONG_GOT,  /* the matching pong to a ping of ours; size: round trip, microseconds */
    HF_MOMENT_PING_GOT,  /* a ping of the server; size: payload bytes */
    HF_MOMENT_PONG_SENT, /* our answer to it (also a delayed or an emptied one) */
    HF_MOMENT_BEAT_SENT, /* an unsolicited pong of ours: bytes one way only (RFC 6455 5.5.3) */
    HF_MOMENT_PONG_ODD,  /* a pong that answers nothing of ours, or with another payload */
    HF_MOMENT_KINDS,
};

struct hf_moment {
    hf_time at; /* age */
    uint32_t size;
    uint8_t kind; /* enum hf_moment_kind */
};

/* How far it came. */
enum hf_trial_phase {
    HF_PHASE_DNS,
    HF_PHASE_TCP,
    HF_PHASE_TLS,
    HF_PHASE_UPGRADE,
    HF_PHASE_OPEN,
};
/* dns tcp tls upgrade open */
const char *hf_trial_phase_text(enum hf_trial_phase phase);

/* How it ended, as the client's kernel and engine saw it. */
enum hf_trial_how {
    HF_HOW_ALIVE,       /* it had not ended when it was looked at last: a censored age */
    HF_HOW_ENDED_BY_US, /* the watcher had seen enough and closed it: censored too */
    HF_HOW_CLOSE,       /* a Close frame of the peer: code, reason */
    HF_HOW_FIN,         /* the peer's FIN (or close_notify) without a Close frame */
    HF_HOW_RST,         /* a reset */
    HF_HOW_SILENCE,     /* nothing came to a ping or message of ours within the time for it, and
                         * TCP did not end: a black hole, or a frozen peer */
    HF_HOW_TIMEOUT,     /* the kernel gave the peer up (ETIMEDOUT) */
    HF_HOW_TLS,         /* a TLS alert, a truncated TLS stream, or a failed handshake of TLS */
    HF_HOW_FAULT,   /* the peer broke RFC 6455 (`code` is what we answered, `reason` the rule) */
    HF_HOW_STATUS,  /* the handshake was answered with `http` instead of 101, or with a bad 101 */
    HF_HOW_REFUSED, /* connection refused */
    HF_HOW_UNREACHABLE, /* no route, or connecting took too long */
    HF_HOW_NO_NAME,     /* the name has no address, or nobody answers for it */
    HF_HOW_SLOW,        /* the answer to the handshake did not come in time */
    HF_HOW_ERRNO,       /* anything else: error */
    HF_HOW_KINDS,
};
/* alive ended_by_us close fin rst silence timeout tls fault status refused unreachable no_name slow
 * errno */
const char *hf_trial_how_text(enum hf_trial_how how);

/* What the watcher does about the server's pings. */
enum hf_pong_policy { HF_PONG_ANSWER, HF_PONG_IGNORE, HF_PONG_EMPTY, HF_PONG_LATE };
/* answer ignore empty late */
const char *hf_pong_policy_text(enum hf_pong_policy policy);

/* What the watcher meant to do on this connection. Zero is a silent one that answers pings. */
struct hf_trial_plan {
    hf_time ping_every;    /* WebSocket pings; 0: none */
    hf_time message_every; /* application text; 0: none */
    hf_time beat_every;    /* unsolicited pongs; 0: none */
    hf_time keepalive;     /* TCP keepalive alone; 0: none */
    uint32_t message_size; /* payload bytes of a message; 0: the text as given */
    enum hf_pong_policy pong;
    bool stops_reading; /* from the open on, or from reading_until on */
    bool load;          /* a ramp of rate or size, which was allowed */
};

struct hf_trial_end {
    enum hf_trial_how how;
    enum hf_trial_phase phase;
    uint16_t code;    /* close code that the client's application would see: 1006 without a Close */
    uint16_t http;    /* status of the answer to the handshake; 0: none */
    int error;        /* errno; 0: none */
    char reason[124]; /* the Close's reason, the TLS alert, or what was wrong; ends with NUL */
    hf_time age;      /* from the open, or from `begun` when it never opened, to the end */
    hf_time silent_rx;    /* from the last byte received to the end */
    hf_time silent_tx;    /* from the last byte sent to the end */
    hf_time unsure;       /* the true end lies in (age - unsure, age]: silence is noticed late */
    uint64_t unacked;     /* bytes of ours that TCP had not acknowledged */
    uint32_t retransmits; /* TCP segments sent again, over the whole life */
    uint32_t tcp_rtt_us;  /* TCP's smoothed round trip at the end; 0: unknown */
};

struct hf_trial {
    const char *arm; /* a short name for people: "silent", "ping 2s"; lives as long as the trial */
    uint8_t path;    /* 0: the URL that is asked about; 1: the one it is compared with */
    hf_time begun;   /* on the watch's clock: the first attempt to connect */
    hf_time opened;  /* on the watch's clock: the 101; 0: never */
    struct hf_trial_plan plan;
    struct hf_trial_end end;
    const struct hf_moment *moments; /* in order of age; borrowed */
    size_t moment_count;
    uint64_t count[HF_MOMENT_KINDS]; /* of all moments, also those beyond a bounded list */
    uint64_t bytes_sent, bytes_got;  /* payload of messages */
};

/* It ended, by somebody else: its age is a lifetime and not a lower bound of one. */
bool hf_trial_is_dead(const struct hf_trial *t);
/* It was open at some time. */
bool hf_trial_was_open(const struct hf_trial *t);

#endif
