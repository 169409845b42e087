/* SPDX-License-Identifier: Apache-2.0 */
/* What logs_say.c and logs_json.c share. */
#ifndef HF_TOOLS_LOGS_SAY_H
#define HF_TOOLS_LOGS_SAY_H

#include "tools/logs.h"

/* A stranger's text for a terminal. */
const char *hf_logs_clean(char out[160], const char *text, size_t max);
/* RFC 3339 with milliseconds. */
void hf_logs_time_text(int64_t at, char text[25]);
/* The cause that a Close's code and reason give away by themselves. */
bool hf_logs_name_signature(const struct hf_logs_count *signature, struct hf_named_cause *named);
const char *hf_logs_next_step(const struct hf_logs_finding *f);

void hf_logs_json_ending(struct logs_command *c, const struct hf_logs_ending *e);
void hf_logs_json_finding(struct logs_command *c, const struct hf_logs_finding *f);
void hf_logs_json_summary(struct logs_command *c, const struct hf_logs_finding *findings,
                          size_t count, int exit);

#endif
