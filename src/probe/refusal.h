/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer to the handshake that is no 101 usually means: the status that a browser hides,
 * the headers that say more, the beginning of the body. Pure. */
#ifndef HF_PROBE_REFUSAL_H
#define HF_PROBE_REFUSAL_H

#include "cause/trial.h"
#include "http/head.h"
#include "probe/target.h"

/* One or two sentences for a person: what it usually means, and what to try. body: its beginning.
 * head may also be a 101 that was not accepted. */
void hf_refusal_explain(const struct hf_target *t, const struct hf_head *head, struct hf_slice body,
                        struct hf_buffer *out);
/* The same for a handshake that failed without an answer: name, TCP, TLS, silence. Nothing for one
 * that was open. */
void hf_failure_explain(const struct hf_target *t, const struct hf_trial *trial,
                        struct hf_buffer *out);
/* True for the headers of an answer that help to understand it. */
bool hf_refusal_header_matters(struct hf_slice name);
/* The body's text without tags, scripts and runs of blanks, at most max bytes: for one line. */
void hf_refusal_body_text(struct hf_slice body, size_t max, struct hf_buffer *out);

#endif
