/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue: every known cause of a WebSocket's end, each once, with what it takes to tell it
 * from the others and the line that mends it. `holdfast causes`, docs/causes.md and the manual page
 * are made from it. Pure. */
#ifndef HF_CAUSE_CATALOG_H
#define HF_CAUSE_CATALOG_H

#include "base/buffer.h"
#include "base/time.h"
#include "cause/trial.h"
#include "cause/verdict.h"

enum hf_layer {
    HF_LAYER_CDN,
    HF_LAYER_BALANCER,
    HF_LAYER_PROXY,
    HF_LAYER_SERVER,
    HF_LAYER_CLIENT,
    HF_LAYER_NETWORK,
    HF_LAYER_OPERATION, /* limits, tokens, protocol errors, deploys, resources */
    HF_LAYERS,
};

/* How well a row is known. */
enum hf_standing {
    HF_STANDING_MEASURED,   /* seen on real programs; a test of ours may repeat it */
    HF_STANDING_SOURCED,    /* the product's code, documentation, or a report of it */
    HF_STANDING_HYPOTHESIS, /* general knowledge without a source: never the first of a verdict */
};

/* What sets the timer back, as bits. */
enum {
    HF_RESETS_SENT = 1 << 0,    /* application messages from the client */
    HF_RESETS_GOT = 1 << 1,     /* application messages from the server */
    HF_RESETS_PING_C = 1 << 2,  /* WebSocket pings of the client (and unsolicited pongs) */
    HF_RESETS_PING_S = 1 << 3,  /* WebSocket pings of the server */
    HF_RESETS_PONG_C = 1 << 4,  /* the client's pongs */
    HF_RESETS_PONG_S = 1 << 5,  /* the server's pongs */
    HF_RESETS_PACKET = 1 << 6,  /* any TCP packet, also a keepalive probe */
    HF_RESETS_READING = 1 << 7, /* the other side reads (the window opens) */
    HF_RESETS_BOTH = 1 << 8,    /* each direction has its own timer, and each must be fed */
};
#define HF_RESETS_UP (HF_RESETS_SENT | HF_RESETS_PING_C | HF_RESETS_PONG_C)
#define HF_RESETS_DOWN (HF_RESETS_GOT | HF_RESETS_PING_S | HF_RESETS_PONG_S)
#define HF_RESETS_ANY_BYTE (HF_RESETS_UP | HF_RESETS_DOWN)

struct hf_catalog_row {
    const char *id;      /* "nginx-proxy-read-60s"; public, never changes its meaning */
    const char *product; /* "nginx" */
    const char *title;   /* a few words: "nginx gives up a silent upstream" */
    enum hf_layer layer;
    enum hf_standing standing;
    enum hf_verdict_class class; /* what a diagnosis would call it */
    /* the timer's default in seconds, or the count or size of a limit; 0 and 0: none or unknown */
    double value_min, value_max;
    const char *default_note; /* the default in words, with its number and its setting; "" */
    uint16_t resets;          /* 0: nothing does (a lifetime, a restart, a limit) */
    const char *resets_note;  /* in words; "" */
    const char *at_client;    /* what the client sees */
    const char *at_server;    /* what the server, proxy or its log shows */
    const char *experiment;   /* which one decides, by its name in docs/diagnosis.md */
    const char *fix;          /* in words */
    const char *fix_line;     /* the configuration line to write; "" where there is none */
    const char *source;       /* links, paths and "measured"; "" only for a hypothesis */
    /* facts for matching; 0 or NULL: any */
    uint16_t code;      /* close code that it is known by */
    const char *reason; /* part of a Close's reason, or of a log line */
    uint16_t http;      /* status of a refused handshake */
    uint16_t how;       /* set of 1 << enum hf_trial_how that it can end in; 0: any */
    uint16_t code_also; /* a second close code that it is known by; 0: none */
    uint16_t http_also; /* a second status; 0: none */
    bool fixed;         /* the value cannot be configured, or hardly ever is */
    double weight;      /* how common it is, against an ordinary row; 0: ordinary (1) */
};

size_t hf_catalog_count(void);
/* index below the count. Static. */
const struct hf_catalog_row *hf_catalog_at(size_t index);
/* NULL when there is no such row. */
const struct hf_catalog_row *hf_catalog_find(struct hf_slice id);
/* cdn balancer proxy server client network operation */
const char *hf_layer_text(enum hf_layer layer);
/* HF_LAYERS when it is none of them. */
enum hf_layer hf_layer_from(struct hf_slice text);
/* measured sourced hypothesis */
const char *hf_standing_text(enum hf_standing standing);
/* Words for a set of HF_RESETS_ bits: "any byte, either way", "the client's pongs alone", ... */
void hf_resets_text(uint16_t resets, char text[160]);
/* The row's value with its unit: "60 s", "49.5 to 52 s", "16 MiB", "120 messages"; "" without. */
void hf_catalog_value_text(const struct hf_catalog_row *row, char text[64]);
/* The whole of docs/causes.md. */
HF_MUST_USE enum hf_status hf_catalog_document(struct hf_buffer *out);

#endif
