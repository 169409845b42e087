/* SPDX-License-Identifier: Apache-2.0 */
/* Reads lines of logs into events. One reader for each file: it remembers which format the file has
 * and what the last lines began. The format is found line by line unless one is forced. Pure. */
#ifndef HF_LOGS_READER_H
#define HF_LOGS_READER_H

#include "base/alloc.h"
#include "base/status.h"
#include "logs/event.h"
#include "logs/template.h"
#include "logs/wrap.h"

#define HF_LOGS_SCRATCH (4 * HF_LOGS_LINE_MAX)
#define HF_LOGS_CONTINUED 400 /* lines that may follow an error as its trace */

struct hf_logs_reader {
    const struct hf_allocator *alloc;
    struct hf_logs_scratch scratch;
    struct hf_logs_clock clock;
    enum hf_logs_format forced;           /* HF_LOGS_FORMATS: any */
    enum hf_logs_format last;             /* that was seen last, HF_LOGS_FORMATS: none yet */
    const struct hf_logs_template *nginx; /* NULL: recognised by shape */
    unsigned continued;                   /* lines of a trace that may still follow */
};

enum hf_logs_read {
    HF_LOGS_READ,   /* *e says what */
    HF_LOGS_UNREAD, /* *why says why not; static */
};

/* nginx: the access log's format if it is known, outlives the reader; or NULL. */
HF_MUST_USE enum hf_status hf_logs_reader_init(struct hf_logs_reader *r,
                                               const struct hf_allocator *alloc,
                                               enum hf_logs_format forced,
                                               const struct hf_logs_template *nginx,
                                               struct hf_logs_clock clock);
void hf_logs_reader_fini(struct hf_logs_reader *r);
/* line without its newline; an empty line is READ as NOTHING. */
enum hf_logs_read hf_logs_read(struct hf_logs_reader *r, struct hf_slice line,
                               struct hf_logs_event *e, const char **why);

#endif
