/* SPDX-License-Identifier: Apache-2.0 */
/* What single texts of a configuration may look like. */
#include "config/valid.h"

#include "base/buffer.h"
#include "http/url.h"
#include "policy/access.h"

bool hf_config_token_is_valid(struct hf_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f) {
            return false;
        }
    }
    return text.len > 0 && !hf_slice_eq(text, HF_LITERAL("***"));
}

bool hf_config_block_is_valid(struct hf_slice text)
{
    struct hf_block block;
    return hf_block_parse(text, &block);
}

bool hf_config_path_is_valid(struct hf_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c <= ' ' || c >= 0x7f || memchr("?#\"<>\\^`{|}", c, 11) != NULL) {
            return false;
        }
    }
    struct hf_buffer normal;
    hf_buffer_init(&normal, &hf_heap, 65536);
    bool same = text.len > 0 && text.ptr[0] == '/' && hf_path_normal(text, &normal) &&
                hf_slice_eq(hf_buffer_slice(&normal), text);
    hf_buffer_reset(&normal);
    return same;
}

bool hf_config_name_is_valid(struct hf_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] == 0x7f || text.ptr[i] == '"' ||
            text.ptr[i] == '\\') {
            return false;
        }
    }
    return text.len > 0;
}

bool hf_config_dns_name_is_valid(struct hf_slice text)
{
    size_t label = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool letter = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (c == '.' ? label == 0 : !letter && c != '-' && c != '_') {
            return false;
        }
        label = c == '.' ? 0 : label + 1;
        if (label > 63) {
            return false;
        }
    }
    return label > 0;
}

bool hf_config_http_token_is_valid(struct hf_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        bool letter = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!letter && (c == '\0' || memchr("!#$%&'*+-.^_`|~", c, 15) == NULL)) {
            return false;
        }
    }
    return text.len > 0;
}

bool hf_config_prologue_is_valid(struct hf_slice text)
{
    return text.len > 0 && text.len <= 1024;
}

bool hf_config_http_url_is_valid(struct hf_slice text)
{
    struct hf_url url;
    const char *why;
    return hf_url_parse(text, &url, &why) && hf_slice_starts(url.scheme, HF_LITERAL("http"));
}
