/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast chaos from the inside: its words (chaos.c) and what it says (chaos_say.c). */
#ifndef HF_TOOLS_CHAOS_H
#define HF_TOOLS_CHAOS_H

#include "chaos/backend.h"
#include "chaos/box.h"
#include "chaos/profile.h"
#include "tools/say.h"

struct chaos_command {
    struct hf_say say;
    struct hf_chaos_profile *profile; /* NULL: no toxics to begin with */
    const char *listen, *upstream, *api;
    enum hf_chaos_backend_kind backend; /* HF_BACKEND_KINDS: none */
    double scale;
    uint64_t seed;
    hf_time run_for; /* 0: until it is interrupted */
    bool json, color, quiet;
    struct hf_loop *loop;
    struct hf_chaos *chaos;
    hf_time begun;
};

void chaos_say_help(void);
/* --list: a line for each profile. */
void chaos_say_profiles(struct chaos_command *c);
/* --toxics: every type with its attributes. */
void chaos_say_toxics(void);
void chaos_say_start(struct chaos_command *c, const char *url, const char *api);
/* A hf_chaos_told. */
void chaos_say_event(void *owner, const struct hf_chaos_event *event);
void chaos_say_sum(struct chaos_command *c);

#endif
