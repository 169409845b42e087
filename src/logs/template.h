/* SPDX-License-Identifier: Apache-2.0 */
/* An nginx log_format: the string of the configuration, taken apart once, read off each line. */
#ifndef HF_LOGS_TEMPLATE_H
#define HF_LOGS_TEMPLATE_H

#include "base/slice.h"
#include "logs/event.h"

#define HF_LOGS_TEMPLATE_PARTS 64
#define HF_LOGS_TEMPLATE_TEXT 2048

enum hf_logs_field {
    HF_LOGS_FIELD_OTHER,
    HF_LOGS_FIELD_ADDRESS,
    HF_LOGS_FIELD_TIME_LOCAL,
    HF_LOGS_FIELD_TIME_ISO,
    HF_LOGS_FIELD_MSEC,
    HF_LOGS_FIELD_REQUEST,
    HF_LOGS_FIELD_URI,
    HF_LOGS_FIELD_STATUS,
    HF_LOGS_FIELD_BYTES,
    HF_LOGS_FIELD_LENGTH, /* request_length: what came from the client */
    HF_LOGS_FIELD_TOOK,   /* request_time */
    HF_LOGS_FIELD_TOOK_UPSTREAM,
    HF_LOGS_FIELD_UPSTREAM,
    HF_LOGS_FIELD_CONNECTION,
};

struct hf_logs_part { /* a literal, then a variable (none behind the last literal) */
    uint16_t from, len;
    uint8_t field;
    bool has_field;
};

struct hf_logs_template {
    struct hf_logs_part parts[HF_LOGS_TEMPLATE_PARTS];
    size_t count;
    uint8_t text[HF_LOGS_TEMPLATE_TEXT]; /* the literals, one after the other */
    size_t text_len;
};

/* format: the string itself, or the whole directive `log_format name 'a' 'b';`, or "combined".
 * False: *why says what is wrong with it; static. */
bool hf_logs_template_init(struct hf_logs_template *t, struct hf_slice format, const char **why);
/* The field that a variable without its $, or a key of a JSON log, stands for. */
enum hf_logs_field hf_logs_field_from(struct hf_slice name);

#endif
