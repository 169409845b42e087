/* SPDX-License-Identifier: Apache-2.0 */
/* What one line of a log says about WebSockets. Slices lie in the line or in the reader's scratch
 * and die at the next line of the same reader. */
#ifndef HF_LOGS_EVENT_H
#define HF_LOGS_EVENT_H

#include "base/slice.h"
#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

#define HF_LOGS_NO_TIME INT64_MIN
#define HF_LOGS_LINE_MAX 65536 /* bytes of a line; a longer one is not read */

enum hf_logs_format {
    HF_LOGS_NGINX_ACCESS,
    HF_LOGS_NGINX_ERROR,
    HF_LOGS_HAPROXY,
    HF_LOGS_ENVOY,
    HF_LOGS_ALB,
    HF_LOGS_DAPHNE,
    HF_LOGS_UVICORN,
    HF_LOGS_GUNICORN,
    HF_LOGS_NODE,
    HF_LOGS_HEROKU,
    HF_LOGS_CLOUDFLARED,
    HF_LOGS_HOLDFAST, /* `holdfast serve`, text and JSON, and the --json lines of the other commands
                       */
    HF_LOGS_APP,      /* phrases that are known wherever they stand: kernel, libraries */
    HF_LOGS_FORMATS,
};

enum hf_logs_kind {
    HF_LOGS_NOTHING, /* understood, and not about a WebSocket's life */
    HF_LOGS_OPEN,    /* a connection began: address is its key */
    HF_LOGS_CLOSED, /* a connection whose OPEN stands in another line ended; address may be empty */
    HF_LOGS_END,    /* an ended connection, whole in this line */
    HF_LOGS_ALIVE,  /* a connection that was looked at for `age` and had not ended: censored */
    HF_LOGS_HINT,   /* why a connection ended whose END stands in an access log */
    HF_LOGS_REFUSED, /* a handshake that was not answered with 101: http */
    HF_LOGS_HTTP,    /* another request, with its status: a refused handshake if the path is one of
                      * WebSockets */
    HF_LOGS_RESTART, /* a process ended, was killed, restarted or reloaded: what, pid */
    HF_LOGS_DEATH,   /* a RESTART after which no connection of `pid` lives */
    HF_LOGS_LIMITER, /* a limit was hit: what */
    HF_LOGS_FAULT,   /* an error of an application or a library: what, cause, code */
};

/* On whose side the reason lies, as far as the line tells. */
enum hf_logs_who {
    HF_LOGS_WHO_UNKNOWN,
    HF_LOGS_WHO_CLIENT,
    HF_LOGS_WHO_SERVER, /* the application or its process */
    HF_LOGS_WHO_PATH,   /* a proxy, a balancer, the network */
};

/* How an ending came about. `unknown`: the log has the age and no more. */
enum hf_logs_how {
    HF_LOGS_HOW_UNKNOWN,
    HF_LOGS_HOW_CLOSE, /* a Close frame: code */
    HF_LOGS_HOW_FIN,   /* TCP ended in order; a Close may have gone before, the log does not tell */
    HF_LOGS_HOW_RST,
    HF_LOGS_HOW_TIMER,   /* a timer of the program that wrote the line */
    HF_LOGS_HOW_SILENCE, /* the peer did not answer */
    HF_LOGS_HOW_KILLED,  /* ended with the process, or by an administrator */
    HF_LOGS_HOW_FAULT,   /* a broken rule of RFC 6455, a size, an exception */
    HF_LOGS_HOW_OTHER,
    HF_LOGS_HOWS,
};

struct hf_logs_event {
    enum hf_logs_kind kind;
    enum hf_logs_format format;
    enum hf_logs_who who;
    enum hf_logs_how how;
    int64_t at;         /* microseconds since 1970, the end; HF_LOGS_NO_TIME */
    hf_time resolution; /* of `at` */
    hf_time age;        /* -1: the line does not tell */
    hf_time silent_rx;  /* -1: not told */
    hf_time silent_tx;
    struct hf_slice path; /* request target */
    struct hf_slice address;
    struct hf_slice upstream;
    struct hf_slice reason;
    struct hf_slice cause; /* a row of the catalogue, or the gateway's own word; empty: not told */
    struct hf_slice what;  /* of RESTART, LIMITER and FAULT: for people */
    uint64_t connection;   /* nginx's number; 0: not told */
    uint32_t pid;          /* 0: not told */
    uint16_t code;         /* close code; 0: not told */
    uint16_t http;
    int64_t messages_up, messages_down; /* from the client, to it; -1: not told */
    int64_t bytes_up, bytes_down;
    bool wished; /* the line says that one side ended it as it should: a Close 1000 or 1001 */
};

/* A letter, a digit or _. */
static inline bool hf_logs_is_name(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* "nginx-access", "nginx-error", "haproxy", ... */
const char *hf_logs_format_text(enum hf_logs_format format);
/* HF_LOGS_FORMATS when it is none. */
enum hf_logs_format hf_logs_format_from(struct hf_slice text);
/* client server path unknown */
const char *hf_logs_who_text(enum hf_logs_who who);
/* unknown close fin rst timer silence killed fault other */
const char *hf_logs_how_text(enum hf_logs_how how);
void hf_logs_event_init(struct hf_logs_event *e);
/* As much of it as fits, and a NUL. */
void hf_logs_copy_text(char *out, size_t size, struct hf_slice s);

#endif
