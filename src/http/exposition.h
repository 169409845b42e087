/* SPDX-License-Identifier: Apache-2.0 */
/* The Prometheus text format 0.0.4: what each page of metrics writes by the same rules. Pure. */
#ifndef HF_HTTP_EXPOSITION_H
#define HF_HTTP_EXPOSITION_H

#include "base/buffer.h"

/* HELP and TYPE, once, in front of a family's samples. type: counter, gauge or histogram. */
void hf_exposition_family(struct hf_buffer *out, const char *name, const char *type,
                          const char *help);
/* A label's value, without its quotes: backslash, quote and newline escaped. */
void hf_exposition_label(struct hf_buffer *out, const char *text);

#endif
