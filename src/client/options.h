/* SPDX-License-Identifier: Apache-2.0 */
/* What an application asks of its client. Clients share the settings of the options that they were
 * made from: setters make a copy when somebody else holds them. */
#ifndef HF_CLIENT_OPTIONS_H
#define HF_CLIENT_OPTIONS_H

#include "base/time.h"

#include <holdfast.h>

#include <stdatomic.h>

#define HF_SETTINGS_URLS 16
#define HF_SETTINGS_PROTOCOLS 32
#define HF_SETTINGS_HEADERS 32

struct hf_settings {
    atomic_uint references;
    char *urls[HF_SETTINGS_URLS];
    size_t url_count;
    char *protocols[HF_SETTINGS_PROTOCOLS];
    size_t protocol_count;
    char *header_names[HF_SETTINGS_HEADERS];
    char *header_values[HF_SETTINGS_HEADERS];
    size_t header_count;
    char *token, *token_query, *origin, *ca;
    char *proxy; /* NULL: the environment's; "": none */
    holdfast_ask *ask_url, *ask_token;
    void *ask_url_context, *ask_token_context;
    bool insecure, hf1, reconnect, deflate;
    uint64_t queue_messages, queue_bytes, message_max;
    hf_time heartbeat_interval, heartbeat_timeout;
    hf_time backoff_base, backoff_cap;
    hf_time connect_timeout;
    holdfast_handler *handler;
    void *handler_context;
};

/* NULL: no memory, or no endpoint. To be given back. */
struct hf_settings *hf_settings_of(const struct holdfast_options *options,
                                   enum holdfast_status *why);
/* NULL is accepted. */
void hf_settings_unref(struct hf_settings *s);

/* What an application answered. */
struct holdfast_answer {
    char *text; /* NULL: nothing, or no memory for it */
};

#endif
