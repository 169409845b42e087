/* SPDX-License-Identifier: Apache-2.0 */
/* Options: setters that check, and settings that are shared. */
#include "client/options.h"

#include "http/bytes.h"
#include "http/url.h"

#include <stdio.h>
#include <stdlib.h>

#define DAY_MS ((int64_t)24 * 60 * 60 * 1000)

struct holdfast_options {
    struct hf_settings *settings;
    char error[200];
};

/* ---- settings -----------------------------------------------------------------------------------
 */

static char *copy_text(const char *text, bool *failed)
{
    char *copy = text == NULL ? NULL : strdup(text);
    *failed = *failed || (text != NULL && copy == NULL);
    return copy;
}

static void copy_list(char **to, char *const *from, size_t count, bool *failed)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = copy_text(from[i], failed);
    }
}

static struct hf_settings *settings_copy(const struct hf_settings *from)
{
    struct hf_settings *s = malloc(sizeof(*s));
    bool failed = false;
    if (s == NULL) {
        return NULL;
    }
    memcpy(s, from, sizeof(*s));
    atomic_init(&s->references, 1);
    copy_list(s->urls, from->urls, s->url_count, &failed);
    copy_list(s->protocols, from->protocols, s->protocol_count, &failed);
    copy_list(s->header_names, from->header_names, s->header_count, &failed);
    copy_list(s->header_values, from->header_values, s->header_count, &failed);
    s->token = copy_text(from->token, &failed);
    s->token_query = copy_text(from->token_query, &failed);
    s->origin = copy_text(from->origin, &failed);
    s->ca = copy_text(from->ca, &failed);
    s->proxy = copy_text(from->proxy, &failed);
    if (failed) {
        hf_settings_unref(s);
        return NULL;
    }
    return s;
}

static void free_list(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(list[i]);
    }
}

void hf_settings_unref(struct hf_settings *s)
{
    if (s == NULL || atomic_fetch_sub(&s->references, 1) != 1) {
        return;
    }
    free_list(s->urls, s->url_count);
    free_list(s->protocols, s->protocol_count);
    free_list(s->header_names, s->header_count);
    free_list(s->header_values, s->header_count);
    free(s->token);
    free(s->token_query);
    free(s->origin);
    free(s->ca);
    free(s->proxy);
    free(s);
}

struct hf_settings *hf_settings_of(const struct holdfast_options *options,
                                   enum holdfast_status *why)
{
    struct hf_settings *s = options->settings;
    if (s->url_count == 0 && s->ask_url == NULL) {
        *why = HOLDFAST_INVALID;
        return NULL;
    }
    atomic_fetch_add(&s->references, 1);
    return s;
}

/* ---- options ------------------------------------------------------------------------------------
 */

struct holdfast_options *holdfast_options_new(void)
{
    struct holdfast_options *options = calloc(1, sizeof(*options));
    struct hf_settings *s = calloc(1, sizeof(*s));
    if (options == NULL || s == NULL) {
        free(options);
        free(s);
        return NULL;
    }
    atomic_init(&s->references, 1);
    s->hf1 = true;
    s->reconnect = true;
    s->deflate = true;
    s->queue_messages = 16384;
    s->queue_bytes = (uint64_t)8 << 20;
    s->message_max = (uint64_t)64 << 20;
    s->heartbeat_interval = HF_SECONDS(25);
    s->heartbeat_timeout = HF_SECONDS(10);
    s->backoff_base = HF_SECONDS(1);
    s->backoff_cap = HF_SECONDS(30);
    s->connect_timeout = HF_SECONDS(20);
    options->settings = s;
    return options;
}

void holdfast_options_free(struct holdfast_options *options)
{
    if (options != NULL) {
        hf_settings_unref(options->settings);
        free(options);
    }
}

const char *holdfast_options_error(const struct holdfast_options *options)
{
    return options->error;
}

static enum holdfast_status refuse(struct holdfast_options *options, const char *what,
                                   const char *why)
{
    (void)snprintf(options->error, sizeof(options->error), "%s: %s", what, why);
    return HOLDFAST_INVALID;
}

/* The settings, held by these options alone. NULL: no memory. */
static struct hf_settings *own(struct holdfast_options *options)
{
    options->error[0] = '\0';
    if (atomic_load(&options->settings->references) > 1) {
        struct hf_settings *copy = settings_copy(options->settings);
        if (copy == NULL) {
            return NULL;
        }
        hf_settings_unref(options->settings);
        options->settings = copy;
    }
    return options->settings;
}

static enum holdfast_status set_text(char **field, const char *text)
{
    char *copy = text == NULL ? NULL : strdup(text);
    if (text != NULL && copy == NULL) {
        return HOLDFAST_NO_MEMORY;
    }
    free(*field);
    *field = copy;
    return HOLDFAST_OK;
}

static bool is_token(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if ((hf_byte_class[(uint8_t)*p] & HF_BYTE_TOKEN) == 0) {
            return false;
        }
    }
    return *text != '\0';
}

static bool is_value(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if ((hf_byte_class[(uint8_t)*p] & HF_BYTE_TEXT) == 0) {
            return false;
        }
    }
    return true;
}

enum holdfast_status holdfast_options_add_url(struct holdfast_options *options, const char *text)
{
    struct hf_url url;
    const char *why;
    if (text == NULL || !hf_url_parse(hf_slice_of(text), &url, &why)) {
        return refuse(options, "url", text == NULL ? "none is given" : why);
    }
    struct hf_settings *s = own(options);
    if (s == NULL) {
        return HOLDFAST_NO_MEMORY;
    }
    if (s->url_count == HF_SETTINGS_URLS) {
        return refuse(options, "url", "more than 16");
    }
    if (set_text(&s->urls[s->url_count], text) != HOLDFAST_OK) {
        return HOLDFAST_NO_MEMORY;
    }
    s->url_count++;
    return HOLDFAST_OK;
}

enum holdfast_status holdfast_options_ask_url(struct holdfast_options *options, holdfast_ask *ask,
                                              void *context)
{
    struct hf_settings *s = own(options);
    if (s == NULL) {
        return HOLDFAST_NO_MEMORY;
    }
    s->ask_url = ask;
    s->ask_url_context = context;
    return HOLDFAST_OK;
}

enum holdfast_status holdfast_options_set_token(struct holdfast_options *options, const char *token)
{
    if (token != NULL && !is_value(token)) {
        return refuse(options, "token", "it holds a control character");
    }
    struct hf_settings *s = own(options);
    return s == NULL ? HOLDFAST_NO_MEMORY : set_text(&s->token, token);
}

enum holdfast_status holdfast_options_ask_token(struct holdfast_options *options, holdfast_ask *ask,
                                                void *context)
{
    struct hf_settings *s = own(options);
    if (s == NULL) {
        return HOLDFAST_NO_MEMORY;
    }
    s->ask_token = ask;
    s->ask_token_context = context;
    return HOLDFAST_OK;
}

enum holdfast_status holdfast_options_set_token_query(struct holdfast_options *options,
                                                      const char *name)
{
    if (name != NULL && !is_token(name)) {
        return refuse(options, "token_query", "not a plain name");
    }
    struct hf_settings *s = own(options);
    return s == NULL ? HOLDFAST_NO_MEMORY : set_text(&s->token_query, name);
}

enum holdfast_status holdfast_options_add_protocol(struct holdfast_options *options,
                                                   const char *protocol)
{
    if (protocol == NULL || !is_token(protocol)) {
        return refuse(options, "protocol", "not a token (RFC 6455 4.1)");
    }
    if (strcmp(protocol, "hf1") == 0 || strncmp(protocol, "hf1.", 4) == 0) {
        return refuse(options, "protocol", "names that begin with hf1 are the library's");
    }
    struct hf_settings *s = own(options);
    if (s == NULL) {
        return HOLDFAST_NO_MEMORY;
    }
    for (size_t i = 0; i < s->protocol_count; i++) {
        if (strcmp(s->protocols[i], protocol) == 0) {
            return refuse(options, "protocol", "it is offered twice");
        }
    }
    if (s->protocol_count == HF_SETTINGS_PROTOCOLS) {
        return refuse(options, "protocol", "more than 32");
    }
    if (set_text(&s->protocols[s->protocol_count], protocol) != HOLDFAST_OK) {
        return HOLDFAST_NO_MEMORY;
    }
    s->protocol_count++;
    return HOLDFAST_OK;
}

static bool is_of_the_handshake(const char *name)
{
    static const char *const names[] = {"Host",
                                        "Upgrade",
                                        "Connection",
                                        "Content-Length",
                                        "Transfer-Encoding",
                                        "Expect",
                                        "Trailer",
                                        "Origin",
                                        "Sec-WebSocket-Key",
                                        "Sec-WebSocket-Version",
                                        "Sec-WebSocket-Protocol",
                                        "Sec-WebSocket-Extensions"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (hf_slice_eq_nocase(hf_slice_of(name), hf_slice_of(names[i]))) {
            return true;
        }
    }
    return false;
}

enum holdfast_status holdfast_options_add_header(struct holdfast_options *options, const char *name,
                                                 const char *value)
{
    if (name == NULL || !is_token(name)) {
        return refuse(options, "header", "its name is not a token (RFC 9110 5.1)");
    }
    if (value == NULL || !is_value(value)) {
        return refuse(options, "header", "its value holds a control character (RFC 9110 5.5)");
    }
    if (is_of_the_handshake(name)) {
        return refuse(options, "header", "the handshake makes this one itself");
    }
    struct hf_settings *s = own(options);
    if (s == NULL) {
        return HOLDFAST_NO_MEMORY;
    }
    if (s->header_count == HF_SETTINGS_HEADERS) {
        return refuse(options, "header", "more than 32");
    }
    if (set_text(&s->header_names[s->header_count], name) != HOLDFAST_OK ||
        set_text(&s->header_values[s->header_count], value) != HOLDFAST_OK) {
        (void)set_text(&s->header_names[s->header_count], NULL);
        return HOLDFAST_NO_MEMORY;
    }
    s->header_count++;
    return HOLDFAST_OK;
}

enum holdfast_status holdfast_options_set_origin(struct holdfast_options *options,
                                                 const char *origin)
{
    if (origin != NULL && !is_value(origin)) {
        return refuse(options, "origin", "it holds a control character");
    }
    struct hf_settings *s = own(options);
    return s == NULL ? HOLDFAST_NO_MEMORY : set_text(&s->origin, origin);
}

enum holdfast_status holdfast_options_set_ca(struct holdfast_options *options, const char *path)
{
    struct hf_settings *s = own(options);
    return s == NULL ? HOLDFAST_NO_MEMORY : set_text(&s->ca, path);
}

enum holdfast_status holdfast_options_set_proxy(struct holdfast_options *options, const char *proxy)
{
    if (proxy != NULL && *proxy != '\0' && strncmp(proxy, "http://", 7) != 0) {
        return refuse(options, "proxy", "it does not begin with http://");
    }
    struct hf_settings *s = own(options);
    return s == NULL ? HOLDFAST_NO_MEMORY : set_text(&s->proxy, proxy);
}

void holdfast_options_set_insecure(struct holdfast_options *options, bool insecure)
{
    struct hf_settings *s = own(options);
    if (s != NULL) {
        s->insecure = insecure;
    }
}

void holdfast_options_set_hf1(struct holdfast_options *options, bool hf1)
{
    struct hf_settings *s = own(options);
    if (s != NULL) {
        s->hf1 = hf1;
    }
}

void holdfast_options_set_reconnect(struct holdfast_options *options, bool reconnect)
{
    struct hf_settings *s = own(options);
    if (s != NULL) {
        s->reconnect = reconnect;
    }
}

void holdfast_options_set_deflate(struct holdfast_options *options, bool deflate)
{
    struct hf_settings *s = own(options);
    if (s != NULL) {
        s->deflate = deflate;
    }
}

void holdfast_options_set_handler(struct holdfast_options *options, holdfast_handler *handler,
                                  void *context)
{
    struct hf_settings *s = own(options);
    if (s != NULL) {
        s->handler = handler;
        s->handler_context = context;
    }
}

enum holdfast_status holdfast_options_set_queue(struct holdfast_options *options, uint64_t messages,
                                                uint64_t bytes)
{
    if (messages == 0 || messages > (uint64_t)1 << 31 || bytes == 0) {
        return refuse(options, "queue", "1 to 2^31 messages, and 1 byte or more");
    }
    struct hf_settings *s = own(options);
    if (s == NULL) {
        return HOLDFAST_NO_MEMORY;
    }
    s->queue_messages = messages;
    s->queue_bytes = bytes;
    return HOLDFAST_OK;
}

enum holdfast_status holdfast_options_set_message_max(struct holdfast_options *options,
                                                      uint64_t bytes)
{
    if (bytes == 0 || bytes > (uint64_t)1 << 30) {
        return refuse(options, "message_max", "1 byte to 1 GiB");
    }
    struct hf_settings *s = own(options);
    if (s == NULL) {
        return HOLDFAST_NO_MEMORY;
    }
    s->message_max = bytes;
    return HOLDFAST_OK;
}

enum holdfast_status holdfast_options_set_heartbeat(struct holdfast_options *options,
                                                    int64_t interval_ms, int64_t timeout_ms)
{
    if (interval_ms < 0 || interval_ms > DAY_MS || timeout_ms < 1 || timeout_ms > DAY_MS) {
        return refuse(options, "heartbeat",
                      "an interval of 0 to a day, a timeout of 1 ms to a day");
    }
    struct hf_settings *s = own(options);
    if (s == NULL) {
        return HOLDFAST_NO_MEMORY;
    }
    s->heartbeat_interval = HF_MS(interval_ms);
    s->heartbeat_timeout = HF_MS(timeout_ms);
    return HOLDFAST_OK;
}

enum holdfast_status holdfast_options_set_backoff(struct holdfast_options *options, int64_t base_ms,
                                                  int64_t cap_ms)
{
    if (base_ms < 1 || cap_ms < base_ms || cap_ms > DAY_MS) {
        return refuse(options, "backoff", "a base of 1 ms to the cap, a cap of up to a day");
    }
    struct hf_settings *s = own(options);
    if (s == NULL) {
        return HOLDFAST_NO_MEMORY;
    }
    s->backoff_base = HF_MS(base_ms);
    s->backoff_cap = HF_MS(cap_ms);
    return HOLDFAST_OK;
}

enum holdfast_status holdfast_options_set_connect_timeout(struct holdfast_options *options,
                                                          int64_t timeout_ms)
{
    if (timeout_ms < 100 || timeout_ms > DAY_MS) {
        return refuse(options, "connect_timeout", "100 ms to a day");
    }
    struct hf_settings *s = own(options);
    if (s == NULL) {
        return HOLDFAST_NO_MEMORY;
    }
    s->connect_timeout = HF_MS(timeout_ms);
    return HOLDFAST_OK;
}

void holdfast_answer_set(struct holdfast_answer *answer, const char *text)
{
    free(answer->text);
    answer->text = text == NULL ? NULL : strdup(text);
}
