/* SPDX-License-Identifier: Apache-2.0 */
/* What others put around a line of a log: Docker's json-file, docker compose's prefix, journald
 * (short, short-iso, json), syslog (RFC 3164, RFC 5424), Kubernetes CRI, a bare time stamp,
 * colours, the prefixes of Python's logging and of gunicorn. One layer is taken off after the
 * other. Pure. */
#ifndef HF_LOGS_WRAP_H
#define HF_LOGS_WRAP_H

#include "logs/event.h"
#include "logs/json.h"

#define HF_LOGS_LAYERS 6 /* more are not taken off */

enum hf_logs_wrap {
    HF_LOGS_WRAP_DOCKER = 1 << 0,
    HF_LOGS_WRAP_JOURNAL = 1 << 1,
    HF_LOGS_WRAP_SYSLOG = 1 << 2,
    HF_LOGS_WRAP_CRI = 1 << 3,
    HF_LOGS_WRAP_COMPOSE = 1 << 4,
    HF_LOGS_WRAP_COLOURS = 1 << 5,
    HF_LOGS_WRAP_STAMP = 1 << 6,    /* a time stamp alone */
    HF_LOGS_WRAP_PYTHON = 1 << 7,   /* 2026-11-21 19:44:11,764 ERROR    message */
    HF_LOGS_WRAP_GUNICORN = 1 << 8, /* [2026-11-26 01:22:01 +0000] [16574] [INFO] message */
};

struct hf_logs_inner {
    struct hf_slice text;   /* what is left */
    struct hf_slice source; /* a container's, unit's or program's name; empty: none */
    struct hf_slice level;
    int64_t at;         /* of the layer whose time is the finest; HF_LOGS_NO_TIME */
    hf_time resolution; /* of at */
    uint32_t pid;
    uint32_t wraps;  /* HF_LOGS_WRAP_ bits */
    const char *why; /* NULL, or what is wrong with a layer: the line cannot be read */
};

/* Where times have no zone or no year. */
struct hf_logs_clock {
    int64_t zone; /* seconds east of UTC */
    int64_t now;  /* microseconds since 1970 */
};

/* line without its newline. The result lies in line and scratch. */
void hf_logs_unwrap(struct hf_logs_inner *inner, struct hf_slice line,
                    const struct hf_logs_clock *clock, struct hf_logs_scratch *scratch);

#endif
