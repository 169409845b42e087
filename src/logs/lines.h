/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of single formats, for reader.c alone. Each looks at what is left of a line when its
 * wrapping is off. */
#ifndef HF_LOGS_LINES_H
#define HF_LOGS_LINES_H

#include "logs/event.h"
#include "logs/json.h"
#include "logs/reader.h"
#include "logs/template.h"
#include "logs/wrap.h"

enum hf_logs_claim {
    HF_LOGS_NOT_MINE,
    HF_LOGS_MINE,   /* the event is filled in; its `at` may still come from the wrapping */
    HF_LOGS_BROKEN, /* it begins as this format does, and *why says what is missing */
};

typedef enum hf_logs_claim hf_logs_line_reader(struct hf_logs_reader *r,
                                               const struct hf_logs_inner *in,
                                               struct hf_logs_event *e, const char **why);

hf_logs_line_reader hf_logs_read_nginx_access, hf_logs_read_nginx_error, hf_logs_read_haproxy,
    hf_logs_read_envoy, hf_logs_read_alb, hf_logs_read_daphne, hf_logs_read_uvicorn,
    hf_logs_read_gunicorn, hf_logs_read_heroku, hf_logs_read_cloudflared, hf_logs_read_holdfast,
    hf_logs_read_json, hf_logs_read_node, hf_logs_read_phrases;

/* The fields of a record with names: JSON, or key=value. */
#define HF_LOGS_MEMBERS 96
struct hf_logs_members {
    struct hf_logs_member m[HF_LOGS_MEMBERS];
    size_t count; /* further ones are left out */
};
/* An empty slice when it is not there; null and - count as not there. */
struct hf_slice hf_logs_member(const struct hf_logs_members *members, const char *name);
/* key=value key="value with \" and \\" ... */
void hf_logs_members_of_pairs(struct hf_logs_members *members, struct hf_slice text,
                              struct hf_logs_scratch *scratch);

/* What a proxy's mark for an ending means. */
struct hf_logs_meaning {
    const char *mark;
    enum hf_logs_how how;
    enum hf_logs_who who;
    const char *cause;
    const char *reason;
};
void hf_logs_put_meaning(struct hf_logs_event *e, const struct hf_logs_meaning *meaning);

/* Helpers. */
/* The next word of *rest, separated by single spaces; quoted ones ("...") without their quotes.
 * False at the end. */
bool hf_logs_word(struct hf_slice *rest, struct hf_slice *word);
/* "GET /path HTTP/1.1": the target; false when it is none. */
bool hf_logs_request(struct hf_slice request, struct hf_slice *target);
/* Milliseconds with or without decimals to microseconds; -1 when it is none. */
hf_time hf_logs_ms(struct hf_slice text);
/* -1 when it is no number. */
int64_t hf_logs_count(struct hf_slice text);
bool hf_logs_has(struct hf_slice text, const char *needle);
/* Puts one field of an access log. took_upstream: -1 or what was read of it. */
void hf_logs_put_field(struct hf_logs_event *e, enum hf_logs_field field, struct hf_slice value,
                       int64_t zone, hf_time *took_upstream);
/* An access record whose fields are put: END for 101, HTTP for the rest. */
void hf_logs_finish_access(struct hf_logs_event *e, hf_time took_upstream);

#endif
