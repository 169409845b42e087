/* SPDX-License-Identifier: Apache-2.0 */
/* What single texts of a configuration may look like; the table of keys points here. All are pure.
 */
#ifndef HF_CONFIG_VALID_H
#define HF_CONFIG_VALID_H

#include "base/slice.h"

#include <stdbool.h>

/* Visible ASCII, and not the "***" that stands for a secret. */
bool hf_config_token_is_valid(struct hf_slice text);
bool hf_config_block_is_valid(struct hf_slice text);
/* A path as hf_path_normal leaves it. */
bool hf_config_path_is_valid(struct hf_slice text);
bool hf_config_name_is_valid(struct hf_slice text);
bool hf_config_dns_name_is_valid(struct hf_slice text);
/* RFC 9110 5.6.2 token: names of headers, cookies and subprotocols. */
bool hf_config_http_token_is_valid(struct hf_slice text);
/* 1 to 1024 bytes. */
bool hf_config_prologue_is_valid(struct hf_slice text);
/* http or https. */
bool hf_config_http_url_is_valid(struct hf_slice text);

#endif
