/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: a list of toxics that imitates something, with what a diagnosis of it should say. They
 * are YAML, embedded in the program or in a file of the user's:
 *
 *   about: one line
 *   imitates: [id of the catalogue, ...]
 *   expect: {class: idle_timer, value: idle_timeout.timeout}
 *   toxics:
 *     - type: idle_timeout
 *       timeout: 60000
 *
 * Attributes stand beside `type`, `name`, `stream` and `toxicity`, or below `attributes`. A value
 * of `expect` is a number, TOXIC.ATTRIBUTE, or a list of these, whose sum it is. */
#ifndef HF_CHAOS_PROFILE_H
#define HF_CHAOS_PROFILE_H

#include "chaos/toxic.h"

struct hf_chaos_profile;

/* A built-in one. HF_NOT_FOUND; HF_INVALID cannot be. */
HF_MUST_USE enum hf_status hf_chaos_profile_find(struct hf_slice name,
                                                 struct hf_chaos_profile **profile);
/* Whole text of a user's file; `file` is its name for messages and the profile's name unless it has
 * one. HF_INVALID: errors has a line for each fault, file:line:column in front. */
HF_MUST_USE enum hf_status hf_chaos_profile_read(const char *file, struct hf_slice text,
                                                 struct hf_chaos_profile **profile,
                                                 struct hf_buffer *errors);
void hf_chaos_profile_free(struct hf_chaos_profile *p); /* NULL is accepted */

const char *hf_chaos_profile_name(const struct hf_chaos_profile *p);
const char *hf_chaos_profile_about(const struct hf_chaos_profile *p);
struct hf_toxic *hf_chaos_profile_toxic(const struct hf_chaos_profile *p, struct hf_toxic *after);

/* TOXIC.ATTRIBUTE=VALUE, where TOXIC is a name or a type; also TOXIC.stream and TOXIC.toxicity.
 * HF_INVALID: *why says what is wrong. */
HF_MUST_USE enum hf_status hf_chaos_profile_set(struct hf_chaos_profile *p, struct hf_slice words,
                                                char why[256]);
void hf_chaos_profile_scale(struct hf_chaos_profile *p, double factor);
/* As YAML that hf_chaos_profile_read reads. */
void hf_chaos_profile_print(const struct hf_chaos_profile *p, struct hf_buffer *out);
/* What a diagnosis should say, without braces: "profile":…,"class":…,"value":…,"unit":…,"low":…,
 * "high":…,"counts":…,"resets":[…],"also":[…],"imitates":[…]. What is not known is left out. */
void hf_chaos_profile_truth(const struct hf_chaos_profile *p, struct hf_buffer *out);

/* The names of the built-in ones, in the order of their file; false behind the last one. */
bool hf_chaos_profile_at(size_t index, struct hf_slice *name);

#endif
