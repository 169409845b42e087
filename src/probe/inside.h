/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a probe share. probe.c is its life and its time, opening.c the way to the 101,
 * speak.c what goes in and out of an open connection. */
#ifndef HF_PROBE_INSIDE_H
#define HF_PROBE_INSIDE_H

#include "base/random.h"
#include "client/dialer.h"
#include "probe/probe.h"
#include "ws/endpoint.h"
#include "ws/handshake.h"

#define HF_PROBE_LATE 16   /* pongs that wait for their time */
#define HF_PROBE_BODY 2048 /* bytes of a refusal's body that are kept */

struct hf_probe {
    struct hf_loop *loop;
    hf_probe_handler *handler;
    void *owner;
    struct hf_probe_how how;
    char *text; /* of the messages */
    size_t text_len;
    struct hf_random random;
    struct hf_timer timer; /* the earliest of all that waits */

    /* the opening */
    struct hf_dialer *dialer;
    struct hf_buffer request;
    char key[HF_WS_KEY_CHARS];
    bool started, open;
    hf_time begun, opened, step_begun; /* the loop's clock */
    hf_time took[HF_PHASE_OPEN + 1];
    struct hf_address address;
    hf_wall certificate_expires;
    const struct hf_hosting *hosting[HF_PROBE_HOSTING];
    size_t hosting_count;

    /* the connection */
    struct hf_stream *stream;
    struct hf_endpoint *endpoint;
    bool paused, stalled, checking, closing;
    bool drains;              /* its end is known to the kernel: it is read to it */
    hf_time ended;            /* when we had seen enough; 0: not */
    hf_time last_rx, last_tx; /* the loop's clock; at first the open */
    hf_time proof;            /* when the peer was last known to be there */
    hf_time asked;            /* the oldest ping that nothing came after; HF_NEVER: none */
    hf_time owed;             /* since when TCP owes us acknowledgements, at most; HF_NEVER */
    hf_time next_ping, next_message, next_beat, hold_end, look_at, close_by; /* HF_NEVER: not */
    uint64_t ping_number;   /* of the newest of our pings */
    uint64_t ping_answered; /* of the newest that was answered */
    struct {
        hf_time due;
        uint8_t len;
        uint8_t payload[HF_CONTROL_PAYLOAD_MAX];
    } late[HF_PROBE_LATE];
    size_t late_count;
    bool sending; /* a message is not yet handed to TCP whole */
    size_t sending_size;

    /* the trial */
    struct hf_trial trial;
    struct hf_moment *moments;
    size_t moment_room;
    struct hf_buffer answer; /* a refusal's head and body, kept for END */
    size_t answer_head;      /* bytes of the head in it */
    bool finished;           /* the end is known; END follows */
    bool told;               /* END was told */
};

/* ---- probe.c ---- */
void hf_probe_reschedule(struct hf_probe *p);
/* The connection came to its end in this way. Once; later ones are ignored. The stream is given up,
 * politely or not. END follows on a later turn. */
void hf_probe_finish(struct hf_probe *p, enum hf_trial_how how, const char *reason);
void hf_probe_tell(struct hf_probe *p, const struct hf_probe_event *event);
/* Puts a moment on the list. */
void hf_probe_note(struct hf_probe *p, enum hf_moment_kind kind, size_t size);
hf_time hf_probe_now(const struct hf_probe *p);

/* ---- opening.c ---- */
/* Begins. False: no memory. */
bool hf_probe_dial(struct hf_probe *p);

/* ---- speak.c ---- */
/* The stream is open: takes it over. `head` is the 101. */
void hf_probe_adopt(struct hf_probe *p, struct hf_stream *stream, const struct hf_head *head,
                    const struct hf_deflate *deflate);
void hf_probe_flush(struct hf_probe *p);
/* Sends the message, a ping, a beat, the late pongs that are due. */
void hf_probe_say_message(struct hf_probe *p);
void hf_probe_say_beat(struct hf_probe *p);
void hf_probe_say_late(struct hf_probe *p, hf_time now);
/* Reads, or does not, as the plan says. */
void hf_probe_read_or_not(struct hf_probe *p, hf_time now);

#endif
