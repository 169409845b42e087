/* SPDX-License-Identifier: Apache-2.0 */
/* How the settings are built, for settings.c and settings_set.c only. */
#ifndef HF_WATCH_SETTINGS_BUILD_H
#define HF_WATCH_SETTINGS_BUILD_H

#include "config/build.h"
#include "watch/keys.h"

struct hf_watch_build {
    struct hf_config_build b; /* errors, scratch, and `keep`: of whatever is built now */
    const struct hf_watch_input *input;
    struct hf_watch_settings *settings;
    /* by the index of the key; NULL: not said there */
    const struct hf_config_value *fallback[HF_WATCH_KEYS_MAX];
    const struct hf_config_value *top[HF_WATCH_KEYS_MAX];
    const struct hf_config_value *words[HF_WATCH_KEYS_MAX];
};

/* Sets one field. False: the value was refused, and reported. Options go to target (may be NULL for
 * keys that are none). */
bool hf_watch_set(struct hf_watch_build *w, const struct hf_watch_key *key, void *field,
                  struct hf_target *target, const struct hf_config_value *value);
/* A text that is not ours on one line of the errors: controls become spaces. Lives as long as the
 * build; never NULL. */
const char *hf_watch_one_line(struct hf_watch_build *w, struct hf_slice text);
/* Gives the target one option, by its long name. */
bool hf_watch_set_option(struct hf_watch_build *w, const char *key, struct hf_target *target,
                         const char *option, const struct hf_config_value *at, const char *value);

#endif
