/* SPDX-License-Identifier: Apache-2.0 */
/* The report of a diagnosis: one HTML file with everything in it, readable without a network and
 * without scripts, in light and dark. Pure: text out of trials and a verdict. Whatever comes from
 * strangers (reasons, names, headers) is escaped. */
#ifndef HF_REPORT_REPORT_H
#define HF_REPORT_REPORT_H

#include "base/buffer.h"
#include "cause/infer.h"
#include "cause/trial.h"

#define HF_REPORT_ROWS 400 /* trials in the table; more are counted */

struct hf_report {
    const char *url;     /* secrets redacted */
    const char *compare; /* the second URL; NULL: none */
    const char *command; /* how to run it again, secrets redacted */
    const char *begun;   /* RFC 3339 */
    const char *version; /* of holdfast */
    hf_time lasted;      /* of the whole watch */
    hf_time budget;
    bool interrupted;
    const struct hf_trial *trials;
    size_t count;
    const struct hf_verdict *verdict;
    const char *const *hosting; /* names of products that were recognised */
    size_t hosting_count;
    const char *const *notes; /* sentences */
    size_t note_count;
};

/* Appends the whole file; out->failed tells when memory ran out. */
void hf_report_html(const struct hf_report *r, const struct hf_allocator *alloc,
                    struct hf_buffer *out);

/* s with & < > " and ' escaped, for text and attributes; controls become spaces. */
void hf_report_escape(struct hf_buffer *out, struct hf_slice s);
/* "24.0 s", "350 ms", "4 min 10 s": for people, three digits. */
void hf_report_duration(struct hf_buffer *out, hf_time value);

#endif
