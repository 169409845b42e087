/* SPDX-License-Identifier: Apache-2.0 */
/* The effective configuration as YAML. All of it stands in the routes: what they inherit is written
 * out. */
#include "base/redact.h"

#include "config/build.h"

static void add_text(struct hf_buffer *out, const char *text)
{
    hf_config_add_quoted(out, hf_slice_of(text));
}

static void add_word(struct hf_buffer *out, const struct hf_config_key *key, int value)
{
    for (const struct hf_config_word *w = key->words; w->word != NULL; w++) {
        if (w->value == value) {
            (void)hf_buffer_addf(out, "\"%s\"", w->word);
        }
    }
}

static void add_places(struct hf_buffer *out, const struct hf_config_key *key, uint32_t set)
{
    const char *comma = "";
    (void)hf_buffer_add_byte(out, '[');
    for (const struct hf_config_word *w = key->words; w->word != NULL; w++) {
        if ((set & (uint32_t)w->value) != 0) {
            (void)hf_buffer_addf(out, "%s%s", comma, w->word);
            comma = ", ";
        }
    }
    (void)hf_buffer_add_byte(out, ']');
}

static void add_texts(struct hf_buffer *out, const struct hf_string_list *list)
{
    (void)hf_buffer_add_byte(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        (void)hf_buffer_add_text(out, i == 0 ? "" : ", ");
        add_text(out, list->items[i]);
    }
    (void)hf_buffer_add_byte(out, ']');
}

static void add_blocks(struct hf_buffer *out, const struct hf_config *config)
{
    (void)hf_buffer_add_byte(out, '[');
    for (size_t i = 0; i < config->trusted_proxy_count; i++) {
        const struct hf_block *block = &config->trusted_proxies[i];
        char text[46];
        hf_ip_text(block->address, text);
        bool dotted = strchr(text, '.') != NULL && block->bits >= 96;
        (void)hf_buffer_addf(out, "%s\"%s/%d\"", i == 0 ? "" : ", ", text,
                             dotted ? block->bits - 96 : block->bits);
    }
    (void)hf_buffer_add_byte(out, ']');
}

static void add_balance(struct hf_buffer *out, const struct hf_route_config *route)
{
    static const char *const forms[] = {[HF_BALANCE_LEAST] = "least",
                                        [HF_BALANCE_ADDRESS] = "address",
                                        [HF_BALANCE_QUERY] = "query:",
                                        [HF_BALANCE_COOKIE] = "cookie:"};
    struct hf_buffer text;
    hf_buffer_init(&text, out->alloc, out->max);
    (void)hf_buffer_addf(&text, "%s%s", forms[route->balance],
                         route->balance_key == NULL ? "" : route->balance_key);
    hf_config_add_quoted(out, hf_buffer_slice(&text));
    out->failed = out->failed || text.failed;
    hf_buffer_reset(&text);
}

static void add_listens(struct hf_buffer *out, const struct hf_config *config)
{
    for (size_t i = 0; i < config->listen_count; i++) {
        const struct hf_listen_config *listen = &config->listens[i];
        char text[128];
        hf_address_text(&listen->address, text);
        (void)hf_buffer_add_text(out, "\n  - {address: ");
        add_text(out, text);
        (void)hf_buffer_addf(out, ", proxy_protocol: %s, tls: [",
                             listen->proxy_protocol ? "true" : "false");
        for (size_t j = 0; j < listen->certificate_count; j++) {
            (void)hf_buffer_add_text(out, j == 0 ? "{cert: " : ", {cert: ");
            add_text(out, listen->certificates[j].cert);
            (void)hf_buffer_add_text(out, ", key: ");
            add_text(out, listen->certificates[j].key);
            (void)hf_buffer_add_byte(out, '}');
        }
        (void)hf_buffer_add_text(out, "]}");
    }
}

static void add_upstreams(struct hf_buffer *out, const struct hf_route_config *route)
{
    (void)hf_buffer_add_byte(out, '[');
    for (size_t i = 0; i < route->upstream_count; i++) {
        (void)hf_buffer_add_text(out, i == 0 ? "" : ", ");
        add_text(out, route->upstreams[i].url);
    }
    (void)hf_buffer_add_byte(out, ']');
}

static void add_jwt_keys(struct hf_buffer *out, const struct hf_jwt_config *jwt)
{
    (void)hf_buffer_add_byte(out, '[');
    for (size_t i = 0; i < jwt->key_count; i++) {
        const struct hf_jwt_key_config *key = &jwt->keys[i];
        (void)hf_buffer_addf(out, "%s{alg: %s", i == 0 ? "" : ", ", key->alg);
        if (key->kid != NULL) {
            (void)hf_buffer_add_text(out, ", kid: ");
            add_text(out, key->kid);
        }
        (void)hf_buffer_add_text(out, key->file != NULL ? ", file: " : ", env: ");
        add_text(out, key->file != NULL ? key->file : key->env);
        (void)hf_buffer_add_byte(out, '}');
    }
    (void)hf_buffer_add_byte(out, ']');
}

/* Numbers and times; false when the key is none. */
static bool add_number(struct hf_buffer *out, const struct hf_config_key *key, const void *field)
{
    char text[24];
    if (key->type == HF_KEY_COUNT) {
        (void)hf_buffer_addf(out, "%u", *(const uint32_t *)field);
    } else if (key->type == HF_KEY_INT) {
        (void)hf_buffer_addf(out, "%d", *(const int *)field);
    } else if (key->type == HF_KEY_MODE) {
        (void)hf_buffer_addf(out, "\"%04o\"", *(const uint32_t *)field);
    } else if (key->type == HF_KEY_DURATION) {
        hf_duration_text(*(const hf_time *)field, text);
        (void)hf_buffer_add_text(out, text);
    } else if (key->type == HF_KEY_SIZE || key->type == HF_KEY_SIZE32) {
        hf_size_text(key->type == HF_KEY_SIZE ? *(const uint64_t *)field : *(const uint32_t *)field,
                     text);
        (void)hf_buffer_add_text(out, text);
    } else {
        return false;
    }
    return true;
}

/* A URL's query may carry a secret too. */
static void add_redacted(struct hf_buffer *out, const char *text)
{
    struct hf_buffer clean;
    if (text == NULL || strstr(text, "://") == NULL) {
        add_text(out, text);
        return;
    }
    hf_buffer_init(&clean, &hf_heap, 8 * strlen(text) + 16);
    hf_redact_target(hf_slice_of(text), &clean);
    (void)hf_buffer_add_byte(&clean, '\0');
    add_text(out, clean.failed ? "***" : (const char *)clean.data);
    hf_buffer_reset(&clean);
}

static void add_value(struct hf_buffer *out, const struct hf_config_key *key, const void *target)
{
    const void *field = (const uint8_t *)target + key->offset;
    char address[128] = "";
    if (add_number(out, key, field)) {
        return;
    }
    switch (key->type) {
    case HF_KEY_BOOL:
        (void)hf_buffer_add_text(out, *(const bool *)field ? "true" : "false");
        break;
    case HF_KEY_WORD:
        add_word(out, key, *(const int *)field);
        break;
    case HF_KEY_WORD16:
        add_word(out, key, *(const uint16_t *)field);
        break;
    case HF_KEY_TEXT:
        if (key->secret && *(char *const *)field != NULL) {
            add_text(out, "***");
        } else {
            add_redacted(out, *(char *const *)field);
        }
        break;
    case HF_KEY_TEXTS:
        add_texts(out, field);
        break;
    case HF_KEY_PLACES:
        add_places(out, key, *(const uint32_t *)field);
        break;
    case HF_KEY_ADDRESS:
        if (((const struct hf_address *)field)->len > 0) {
            hf_address_text(field, address);
        }
        add_text(out, address);
        break;
    case HF_KEY_BLOCKS:
        add_blocks(out, target);
        break;
    case HF_KEY_BALANCE:
        add_balance(out, target);
        break;
    case HF_KEY_LISTENS:
        add_listens(out, target);
        break;
    case HF_KEY_UPSTREAMS:
        add_upstreams(out, target);
        break;
    case HF_KEY_JWT_KEYS:
        add_jwt_keys(out, &((const struct hf_route_config *)target)->jwt);
        break;
    case HF_KEY_COUNT:
    case HF_KEY_INT:
    case HF_KEY_MODE:
    case HF_KEY_DURATION:
    case HF_KEY_SIZE:
    case HF_KEY_SIZE32:
    case HF_KEY_ROUTES:
        break;
    }
}

/* All keys of the top level, or all of a route, nested by group. */
static void add_keys(struct hf_buffer *out, bool global, const void *target)
{
    struct hf_slice group = {NULL, 0};
    const char *indent = global ? "" : "    ";
    const char *first = global ? "" : "  - ";
    for (size_t i = 0; i < hf_config_key_count; i++) {
        const struct hf_config_key *key = &hf_config_keys[i];
        if ((key->scope == HF_SCOPE_GLOBAL) != global || key->type == HF_KEY_ROUTES) {
            continue;
        }
        struct hf_slice word = hf_slice_of(key->name);
        size_t dot = hf_slice_find(word, '.');
        struct hf_slice own = hf_slice_first(word, dot < word.len ? dot : 0);
        if (own.len > 0 && !hf_slice_eq(own, group)) {
            (void)hf_buffer_addf(out, "%s%.*s:\n", indent, HF_SLICE_ARG(own));
        }
        group = own;
        word = hf_slice_from(word, own.len > 0 ? own.len + 1 : 0);
        (void)hf_buffer_addf(out, "%s%s%.*s:%s", first, own.len > 0 ? "  " : "", HF_SLICE_ARG(word),
                             key->type == HF_KEY_LISTENS ? "" : " ");
        add_value(out, key, target);
        (void)hf_buffer_add_byte(out, '\n');
        first = indent;
    }
}

enum hf_status hf_config_print(const struct hf_config *config, struct hf_buffer *out)
{
    add_keys(out, true, config);
    (void)hf_buffer_add_text(out, "routes:\n");
    for (size_t i = 0; i < config->route_count; i++) {
        add_keys(out, false, &config->routes[i]);
    }
    return out->failed ? HF_NO_MEMORY : HF_OK;
}
