/* SPDX-License-Identifier: Apache-2.0 */
/* Toxics: the faults that the box can put into a connection. One table of types, each with its
 * attributes (name, kind, bounds, default, sentence); reading them from words, YAML and JSON,
 * printing them, the manual and `--help` are all made from it.
 *
 * The first seven are toxiproxy's, with its names and attributes; the others are holdfast's own.
 * Times stand in microseconds inside; outside they are milliseconds (slicer's `delay`:
 * microseconds, as toxiproxy has it). */
#ifndef HF_CHAOS_TOXIC_H
#define HF_CHAOS_TOXIC_H

#include "base/buffer.h"
#include "base/list.h"
#include "base/time.h"

#include <stdbool.h>

/* Which way bytes go. */
enum hf_way {
    HF_WAY_UP,   /* client to server: toxiproxy's "upstream" */
    HF_WAY_DOWN, /* server to client: "downstream" */
    HF_WAYS,
};

enum hf_toxic_kind {
    HF_TOXIC_LATENCY,
    HF_TOXIC_BANDWIDTH,
    HF_TOXIC_SLOW_CLOSE,
    HF_TOXIC_TIMEOUT,
    HF_TOXIC_RESET_PEER,
    HF_TOXIC_SLICER,
    HF_TOXIC_LIMIT_DATA,
    HF_TOXIC_IDLE_TIMEOUT,
    HF_TOXIC_MAX_LIFETIME,
    HF_TOXIC_RATE_LIMIT,
    HF_TOXIC_MAX_MESSAGE,
    HF_TOXIC_CLOSE_FRAME,
    HF_TOXIC_WATCHDOG,
    HF_TOXIC_KILL_ON_PING,
    HF_TOXIC_DROP_PONGS,
    HF_TOXIC_REWRITE_PINGS,
    HF_TOXIC_BLACKHOLE,
    HF_TOXIC_HANDOVER,
    HF_TOXIC_HALF_CLOSE,
    HF_TOXIC_BUFFER,
    HF_TOXIC_LOSS,
    HF_TOXIC_BLOCKED,
    HF_TOXIC_RESTART,
    HF_TOXIC_REFUSE,
    HF_TOXIC_STRIP_UPGRADE,
    HF_TOXIC_KINDS,
};

/* What is done to a connection. The order is that of the words of the attribute. */
enum hf_chaos_action {
    HF_ACTION_FIN,     /* TCP ends orderly, no Close frame */
    HF_ACTION_RST,     /* TCP is reset */
    HF_ACTION_SILENCE, /* it becomes a black hole: everything is taken and nothing passes */
    HF_ACTION_FORGET,  /* a black hole until somebody sends: that one gets a reset */
    HF_ACTION_CLOSE,   /* the client gets a Close frame with `code` and `reason`, then FIN */
    HF_ACTION_NONE,    /* nothing */
    HF_ACTION_DELAY,   /* rate_limit: the message waits */
    HF_ACTION_DROP,    /* rate_limit, max_message: the message does not pass */
};

/* What counts, as bits. The order is that of the words of idle_timeout's `counts`. */
enum hf_counts {
    HF_COUNTS_BYTES = 1,    /* any byte */
    HF_COUNTS_DATA = 2,     /* bytes of messages */
    HF_COUNTS_MESSAGES = 4, /* a whole message */
    HF_COUNTS_PINGS = 8,
    HF_COUNTS_PONGS = 16,
};

/* The words of idle_timeout's `direction`. */
enum hf_direction { HF_DIRECTION_BOTH, HF_DIRECTION_UP, HF_DIRECTION_DOWN, HF_DIRECTION_EACH };
/* The words of rate_limit's `kind`. */
enum hf_window { HF_WINDOW_FIXED, HF_WINDOW_SLIDING, HF_WINDOW_BUCKET };
/* The words of rate_limit's `counts`. */
enum hf_counted {
    HF_COUNTED_CLIENT,        /* whole messages of the client */
    HF_COUNTED_CLIENT_FRAMES, /* every frame of the client, pings and pongs too */
    HF_COUNTED_SERVER,        /* every data frame of the server: the chunks of a stream */
    HF_COUNTED_BOTH,          /* messages of both */
    HF_COUNTED_FRAMES,        /* every frame of both */
};
/* The words of watchdog's `ping`, `answer` and `suppress`. */
enum hf_watch_ping { HF_WATCH_WS, HF_WATCH_TEXT, HF_WATCH_NO_PING };
enum hf_watch_answer {
    HF_WATCH_MATCHING, /* a pong with the ping's payload */
    HF_WATCH_PONG,     /* any pong */
    HF_WATCH_MESSAGE,  /* a message of the client */
    HF_WATCH_ANY,      /* any byte of the client */
};
enum hf_watch_suppress { HF_SUPPRESS_NOTHING, HF_SUPPRESS_MESSAGES, HF_SUPPRESS_BYTES };
/* The words of rewrite_pings's `mode`. */
enum hf_rewrite { HF_REWRITE_EMPTY, HF_REWRITE_ANSWER };

#define HF_ATTRIBUTES_MAX 10
#define HF_ATTRIBUTE_TEXT_MAX 65536 /* bytes of a text, such as a body */
#define HF_TOXIC_NAME_MAX 128       /* bytes */

enum hf_attribute_kind {
    HF_ATTRIBUTE_MS,     /* hf_time; milliseconds outside */
    HF_ATTRIBUTE_US,     /* hf_time; microseconds outside */
    HF_ATTRIBUTE_NUMBER, /* int64_t */
    HF_ATTRIBUTE_REAL,   /* double */
    HF_ATTRIBUTE_WORD,   /* int64_t: the index in `words` */
    HF_ATTRIBUTE_SET,    /* int64_t: bits, in the order of `words` */
    HF_ATTRIBUTE_TEXT,   /* char *, owned by the toxic; never NULL */
};

struct hf_attribute {
    const char *name;
    enum hf_attribute_kind kind;
    size_t offset;     /* in struct hf_toxic */
    double least;      /* in the outside unit */
    double most;       /* in the outside unit */
    double fallback;   /* in the outside unit; the index or the bits of words */
    const char *words; /* of a WORD or SET, with spaces between; of a TEXT: the default */
    const char *what;
};

struct hf_toxic_type {
    const char *name;
    const char *what;
    enum hf_way way; /* default of `stream` */
    size_t count;
    struct hf_attribute attributes[HF_ATTRIBUTES_MAX];
};

extern const struct hf_toxic_type hf_toxic_types[HF_TOXIC_KINDS];

/* What ends a connection, as most of holdfast's own toxics have it. */
struct hf_chaos_ending {
    int64_t action; /* enum hf_chaos_action */
    int64_t code;
    char *reason;
};

struct hf_toxic {
    struct hf_list node; /* of its owner's list */
    enum hf_toxic_kind kind;
    enum hf_way way;
    double toxicity; /* 0 to 1: the part of the connections that it is applied to */
    char *name;
    struct hf_chaos_ending ending; /* of those types that have it */
    union {
        struct {
            hf_time latency, jitter;
        } latency;
        struct {
            int64_t rate; /* KB (1000 bytes) a second; 0: nothing passes */
        } bandwidth;
        struct {
            hf_time delay;
        } slow_close;
        struct {
            hf_time timeout; /* 0: data is dropped and nothing ends */
        } timeout;
        struct {
            hf_time timeout;
        } reset_peer;
        struct {
            int64_t average_size, size_variation;
            hf_time delay;
        } slicer;
        struct {
            int64_t bytes;
        } limit_data;
        struct {
            hf_time timeout, jitter;
            int64_t counts, direction;
        } idle;
        struct {
            hf_time lifetime, jitter;
        } lifetime;
        struct {
            int64_t messages, kind, counts;
            hf_time window; /* 0: over the whole life */
        } rate;
        struct {
            int64_t bytes;
        } size;
        struct {
            hf_time after; /* 0: not by time */
            int64_t messages;
        } close;
        struct {
            hf_time interval, timeout;
            int64_t ping, answer, suppress, random_phase;
            char *text;
        } watchdog;
        struct {
            hf_time delay;
        } kill;
        struct {
            int64_t mode;
        } rewrite;
        struct {
            hf_time after, length; /* length 0: for ever */
            int64_t direction;
        } blackhole;
        struct {
            hf_time after, period; /* 0: not by age, not by the clock */
        } handover;
        struct {
            hf_time after;
        } half_close;
        struct {
            int64_t bytes;
            hf_time time;
        } buffer;
        struct {
            double rate;
            hf_time delay;
        } loss;
        struct {
            hf_time after, period, length, give_up;
            int64_t ends; /* the connection ends when it is over */
        } blocked;
        struct {
            hf_time period, offset, jitter, down;
        } restart;
        struct {
            int64_t status;
            hf_time delay;
            double probability;
            char *body, *headers;
        } refuse;
    } u;
};

/* NULL: no such type. */
const struct hf_toxic_type *hf_toxic_type_find(struct hf_slice name);
static inline const struct hf_toxic_type *hf_toxic_type(const struct hf_toxic *t)
{
    return &hf_toxic_types[t->kind];
}
/* NULL: the type has none of this name. */
const struct hf_attribute *hf_attribute_find(const struct hf_toxic_type *type,
                                             struct hf_slice name);
/* The index of `word` in words with spaces between; -1: it is none of them. */
int hf_word_index(const char *words, struct hf_slice word);

/* With the defaults of its type and the name TYPE_STREAM; on no list. NULL: no memory. */
struct hf_toxic *hf_toxic_new(const struct hf_toxic_type *type);
/* A copy, on no list. NULL: no memory. */
struct hf_toxic *hf_toxic_copy(const struct hf_toxic *t);
/* NULL is accepted. The toxic must be on no list. */
void hf_toxic_free(struct hf_toxic *t);
HF_MUST_USE enum hf_status hf_toxic_rename(struct hf_toxic *t, struct hf_slice name);

/* Each sets an attribute from outside. HF_INVALID: it is refused, nothing changed, and *why (at
 * least 256 bytes) says what is allowed. A number for a WORD is refused, and so on. */
HF_MUST_USE enum hf_status hf_toxic_set_number(struct hf_toxic *t, const struct hf_attribute *a,
                                               double value, char why[256]);
/* Text as written in YAML or behind --set: also numbers and words with commas between. */
HF_MUST_USE enum hf_status hf_toxic_set_text(struct hf_toxic *t, const struct hf_attribute *a,
                                             struct hf_slice text, char why[256]);
/* What does not fit together in this toxic: a sentence, or NULL. */
const char *hf_toxic_fault(const struct hf_toxic *t);
/* The number of an attribute in its outside unit; 0 for texts. */
double hf_toxic_number(const struct hf_toxic *t, const struct hf_attribute *a);
/* The value as words, with no quotes and nothing escaped. */
void hf_toxic_value(const struct hf_toxic *t, const struct hf_attribute *a, struct hf_buffer *out);
/* Multiplies every time. */
void hf_toxic_scale(struct hf_toxic *t, double factor);

const char *hf_way_text(enum hf_way way); /* upstream, downstream */
bool hf_way_from(struct hf_slice text, enum hf_way *way);
const char *hf_chaos_action_text(enum hf_chaos_action action);

/* {"attributes":{…},"name":…,"type":…,"stream":…,"toxicity":…}, as toxiproxy writes it. */
void hf_toxic_json(const struct hf_toxic *t, struct hf_buffer *out);
/* An entry of `toxics` in YAML, its first line indented by two and a dash, that loads again. Only
 * what is not the default is written. */
void hf_toxic_yaml(const struct hf_toxic *t, struct hf_buffer *out);
/* A number as short as it can be written exactly. */
void hf_chaos_add_number(struct hf_buffer *out, double value);

#endif
