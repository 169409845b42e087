/* SPDX-License-Identifier: Apache-2.0 */
/* profiles.yaml as it is embedded in the program. */
#ifndef HF_CHAOS_PROFILES_H
#define HF_CHAOS_PROFILES_H

#include <stddef.h>

extern const unsigned char hf_chaos_profiles[];
extern const size_t hf_chaos_profiles_size;

#endif
