/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the settings: defaults, file, command line; then the channels, the targets, and what is
 * wrong between keys. */
#include "watch/settings.h"

#include "base/redact.h"
#include "watch/settings_build.h"

#include <stdio.h>
#include <stdlib.h>

#define COMMAND_LINE "holdfast watch"

/* A target's settings and the memory they own. */
struct whole_target {
    struct hf_watch_target_settings settings;
    struct hf_config_arena arena;
};

/* The same of all the rest. */
struct whole {
    struct hf_watch_settings settings;
    struct hf_config_arena arena;
};

void hf_watch_target_settings_free(struct hf_watch_target_settings *t)
{
    if (t == NULL) {
        return;
    }
    struct whole_target *whole = HF_CONTAINER(t, struct whole_target, settings);
    hf_target_fini(&t->target);
    hf_config_arena_fini(&whole->arena);
    free(whole);
}

void hf_watch_settings_free(struct hf_watch_settings *s)
{
    if (s == NULL) {
        return;
    }
    struct whole *whole = HF_CONTAINER(s, struct whole, settings);
    for (size_t i = 0; i < s->target_count; i++) {
        hf_watch_target_settings_free(s->targets[i]);
    }
    hf_config_arena_fini(&whole->arena);
    free(whole);
}

static size_t index_of(const struct hf_watch_key *key)
{
    return (size_t)(key - hf_watch_keys);
}

/* ---- which key a value belongs to ----------------------------------------------------------- */

static void refuse_unknown(struct hf_watch_build *w, const struct hf_config_value *value,
                           bool channel)
{
    size_t best = SIZE_MAX;
    const char *nearest = "";
    for (size_t i = 0; i < hf_watch_key_count; i++) {
        const struct hf_watch_key *key = &hf_watch_keys[i];
        size_t distance = hf_config_distance(value->key, hf_slice_of(key->name));
        if ((key->scope == HF_WATCH_CHANNEL) == channel && distance < best) {
            best = distance;
            nearest = key->name;
        }
    }
    hf_config_problem(&w->b, &value->key_where, NULL, "%s is not a known key%s; the nearest is %s",
                      hf_config_shown(&w->b, value->key), channel ? " of a channel" : "", nearest);
}

/* The values of a map by their keys; `scopes` are the bits of those that may stand here. */
static void sort_map(struct hf_watch_build *w, const struct hf_config_value *map, unsigned scopes,
                     const struct hf_config_value **values)
{
    bool channel = scopes == 1U << HF_WATCH_CHANNEL;
    for (const struct hf_config_value *v = map->first; v != NULL; v = v->next) {
        const struct hf_watch_key *key = hf_watch_key_find(v->key, channel);
        if (key == NULL) {
            refuse_unknown(w, v, channel);
        } else if ((scopes >> key->scope & 1) == 0) {
            hf_config_problem(&w->b, &v->key_where, NULL, "%s is a key of %s; move it there",
                              key->name,
                              key->scope == HF_WATCH_TOP ? "the top level, not of a target"
                                                         : "an entry of targets");
        } else if (!hf_config_value_is_null(v)) {
            values[index_of(key)] = v;
        }
    }
}

/* A default, or a word of the command line, as a value. */
static const struct hf_config_value *value_of(struct hf_watch_build *w,
                                              const struct hf_watch_key *key, const char *text,
                                              struct hf_config_where where)
{
    bool list = key->type == HF_WATCH_TEXTS || key->type == HF_WATCH_CODES ||
                key->type == HF_WATCH_WINDOWS || key->type == HF_WATCH_KINDS;
    struct hf_config_value *value = list ? hf_config_value_new(&w->b, HF_VALUE_LIST, where)
                                         : hf_config_scalar_new(&w->b, hf_slice_of(text), where);
    if (value != NULL && list) {
        hf_config_value_split(&w->b, value, hf_slice_of(text));
    }
    if (value != NULL) {
        value->quoted = true;
    }
    return value;
}

static void take_defaults(struct hf_watch_build *w)
{
    for (size_t i = 0; i < hf_watch_key_count; i++) {
        if (hf_watch_keys[i].fallback != NULL) {
            w->fallback[i] = value_of(w, &hf_watch_keys[i], hf_watch_keys[i].fallback,
                                      (struct hf_config_where){.label = "default"});
        }
    }
}

static struct hf_config_where where_of_word(struct hf_watch_build *w,
                                            const struct hf_watch_word *word)
{
    size_t size = strlen(word->name) + 3;
    char *label = hf_config_scratch(&w->b, size);
    if (label == NULL) {
        return (struct hf_config_where){.label = COMMAND_LINE, .rank = HF_RANK_FLAG};
    }
    (void)snprintf(label, size, "--%s", word->name);
    for (char *c = label; *c != '\0'; c++) {
        *c = *c == '_' ? '-' : *c;
    }
    return (struct hf_config_where){.label = label, .rank = HF_RANK_FLAG};
}

static void take_words(struct hf_watch_build *w)
{
    for (size_t i = 0; i < w->input->word_count; i++) {
        const struct hf_watch_word *word = &w->input->words[i];
        const struct hf_watch_key *key =
            word->is_target_option ? NULL : hf_watch_key_find(hf_slice_of(word->name), false);
        if (key != NULL) {
            w->words[index_of(key)] = value_of(w, key, word->value, where_of_word(w, word));
        }
    }
}

/* The first of command line, the target's own (NULL: none), top level and default that says it. */
static const struct hf_config_value *effective(const struct hf_watch_build *w, size_t i,
                                               const struct hf_config_value *const *own)
{
    return w->words[i] != NULL             ? w->words[i]
           : own != NULL && own[i] != NULL ? own[i]
           : w->top[i] != NULL             ? w->top[i]
                                           : w->fallback[i];
}

/* ---- channels ------------------------------------------------------------------------------- */

static void check_channel(struct hf_watch_build *w, const struct hf_config_value *at,
                          const struct hf_watch_channel_settings *c)
{
    bool command = c->type == HF_CHANNEL_COMMAND;
    const char *url = c->url;
    if (c->name == NULL) {
        hf_config_problem(&w->b, &at->where, "channels", "an entry has no name; give it one");
        return;
    }
    for (size_t i = 0; i < w->settings->channel_count; i++) {
        if (&w->settings->channels[i] != c && strcmp(c->name, w->settings->channels[i].name) == 0) {
            hf_config_problem(&w->b, &at->where, "channels", "two channels are called %s",
                              hf_watch_one_line(w, hf_slice_of(c->name)));
        }
    }
    if (command != (c->command.count > 0) || command == (url != NULL)) {
        hf_config_problem(&w->b, &at->where, "channels",
                          "%s: a channel of type command has a "
                          "command, any other one a url (or url_env)",
                          hf_watch_one_line(w, hf_slice_of(c->name)));
    } else if (url != NULL && strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        hf_config_problem(&w->b, &at->where, "channels",
                          "%s: its url does not begin with http:// or https://",
                          hf_watch_one_line(w, hf_slice_of(c->name)));
    }
}

static void build_channel(struct hf_watch_build *w, const struct hf_config_value *map)
{
    const struct hf_config_value *own[HF_WATCH_KEYS_MAX] = {NULL};
    struct hf_watch_channel_settings *c = &w->settings->channels[w->settings->channel_count];
    sort_map(w, map, 1U << HF_WATCH_CHANNEL, own);
    bool good = true;
    for (size_t i = 0; i < hf_watch_key_count; i++) {
        const struct hf_watch_key *key = &hf_watch_keys[i];
        const struct hf_config_value *value = own[i] != NULL ? own[i] : w->fallback[i];
        if (key->scope == HF_WATCH_CHANNEL && value != NULL) {
            good = hf_watch_set(w, key, (uint8_t *)c + key->offset, NULL, value) && good;
        }
    }
    if (good) {
        check_channel(w, map, c);
        w->settings->channel_count += c->name != NULL;
    }
}

static const struct hf_config_value *list_of(struct hf_watch_build *w, const char *name, size_t max)
{
    const struct hf_config_value *list =
        w->top[index_of(hf_watch_key_find(hf_slice_of(name), false))];
    if (list == NULL || list->kind == HF_VALUE_BROKEN) {
        return NULL;
    }
    if (list->kind != HF_VALUE_LIST) {
        (void)hf_config_wrong_kind(&w->b, name, list, "a list of maps");
        return NULL;
    }
    if (list->count > max) {
        hf_config_problem(&w->b, &list->where, name, "has more than %zu entries", max);
        return NULL;
    }
    return list->first;
}

static void build_channels(struct hf_watch_build *w)
{
    for (const struct hf_config_value *v = list_of(w, "channels", HF_WATCH_CHANNELS_MAX); v != NULL;
         v = v->next) {
        if (v->kind == HF_VALUE_MAP) {
            build_channel(w, v);
        } else if (v->kind != HF_VALUE_BROKEN) {
            (void)hf_config_wrong_kind(&w->b, "channels", v, "a map with name and type");
        }
    }
}

/* ---- targets -------------------------------------------------------------------------------- */

static void print_value(struct hf_buffer *out, const struct hf_config_value *value)
{
    hf_buffer_add(out, value->text);
    for (const struct hf_config_value *v = value->first; v != NULL; v = v->next) {
        hf_buffer_add_byte(out, '\x1f');
        hf_buffer_add(out, v->text);
    }
}

/* All keys and options, so that a reload can tell whether the target is still the same. */
static char *print_target(struct hf_watch_build *w, const struct hf_config_value **own)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, (size_t)1 << 20);
    for (size_t i = 0; i < hf_watch_key_count; i++) {
        const struct hf_watch_key *key = &hf_watch_keys[i];
        const struct hf_config_value *value = effective(w, i, own);
        if ((key->scope == HF_WATCH_TARGET || key->scope == HF_WATCH_INHERITED) && value != NULL) {
            hf_buffer_addf(&out, "%s=", key->name);
            print_value(&out, value);
            hf_buffer_add_byte(&out, '\n');
        }
    }
    char *text = hf_config_keep_text(&w->b, hf_buffer_slice(&out));
    hf_buffer_reset(&out);
    return text;
}

/* The URL as people see it: without its query, secrets redacted. */
static char *default_name(struct hf_watch_build *w, const char *url)
{
    struct hf_slice text = hf_slice_of(url);
    size_t query = hf_slice_find(text, '?');
    return hf_config_keep_text(&w->b, hf_slice_first(text, query < 200 ? query : 200));
}

static bool name_is_valid(struct hf_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < 0x20 || name.ptr[i] == 0x7f) {
            return false;
        }
    }
    return name.len <= 200 && hf_config_is_utf8(name);
}

static void check_target(struct hf_watch_build *w, const struct hf_config_value *at,
                         const struct hf_watch_target_settings *t)
{
    struct hf_watch_settings *s = w->settings;
    if (!name_is_valid(hf_slice_of(t->name))) {
        hf_config_problem(&w->b, &at->where, "name",
                          "is longer than 200 bytes, or holds what cannot be printed");
    }
    for (size_t i = 0; i < s->target_count; i++) {
        if (strcmp(s->targets[i]->name, t->name) == 0) {
            hf_config_problem(&w->b, &at->where, "targets",
                              "two targets are called %s; give one another name",
                              hf_watch_one_line(w, hf_slice_of(t->name)));
        }
    }
    for (size_t i = 0; i < t->channels.count; i++) {
        bool found = false;
        for (size_t k = 0; k < s->channel_count; k++) {
            found = found || strcmp(s->channels[k].name, t->channels.items[i]) == 0;
        }
        if (!found) {
            hf_config_problem(&w->b, &at->where, "notify", "no channel is called %s",
                              hf_watch_one_line(w, hf_slice_of(t->channels.items[i])));
        }
    }
    if (t->max_rtt > 0 && t->ping_every == 0) {
        hf_config_problem(&w->b, &at->where, "max_rtt",
                          "needs pings; set ping_every, or max_rtt to 0");
    }
}

/* Fields and options; false when one was refused. */
static bool fill_target(struct hf_watch_build *w, struct hf_watch_target_settings *t,
                        const struct hf_config_value **own)
{
    bool good = true;
    for (size_t i = 0; i < hf_watch_key_count; i++) {
        const struct hf_watch_key *key = &hf_watch_keys[i];
        const struct hf_config_value *value = effective(w, i, own);
        if ((key->scope == HF_WATCH_TARGET || key->scope == HF_WATCH_INHERITED) && value != NULL) {
            good = hf_watch_set(w, key, (uint8_t *)t + key->offset, &t->target, value) && good;
        }
    }
    for (size_t i = 0; i < w->input->word_count; i++) {
        const struct hf_watch_word *word = &w->input->words[i];
        if (word->is_target_option) {
            struct hf_config_value at = {.where = where_of_word(w, word)};
            good = hf_watch_set_option(w, NULL, &t->target, word->name, &at, word->value) && good;
        }
    }
    return good;
}

static bool ready_target(struct hf_watch_build *w, struct hf_watch_target_settings *t,
                         const struct hf_config_value *at)
{
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, 4096);
    bool good = hf_target_ready(&t->target, t->url, &why);
    if (!good) {
        struct hf_slice text = hf_buffer_slice(&why);
        while (text.len > 0 && text.ptr[text.len - 1] == '\n') {
            text.len--;
        }
        hf_config_problem(&w->b, &at->where, "url", "%s", hf_watch_one_line(w, text));
    }
    hf_buffer_reset(&why);
    return good;
}

static void build_target(struct hf_watch_build *w, const struct hf_config_value **own,
                         const struct hf_config_value *at)
{
    struct whole_target *whole = calloc(1, sizeof(*whole));
    if (whole == NULL || w->settings->target_count == HF_WATCH_TARGETS_MAX) {
        w->b.no_memory = whole == NULL;
        hf_config_problem(&w->b, &at->where, NULL, "there are more than %d targets",
                          HF_WATCH_TARGETS_MAX);
        free(whole);
        return;
    }
    struct hf_watch_target_settings *t = &whole->settings;
    struct hf_config_arena *before = w->b.keep;
    whole->arena.alloc = &hf_heap;
    w->b.keep = &whole->arena;
    hf_target_init(&t->target);
    bool good = fill_target(w, t, own);
    if (t->url == NULL && own[index_of(hf_watch_key_find(HF_LITERAL("url"), false))] == NULL) {
        hf_config_problem(&w->b, &at->where, "targets", "an entry has no url; give it one");
        good = false;
    }
    if (good && ready_target(w, t, at)) {
        t->name = t->name == NULL ? default_name(w, t->url) : t->name;
        t->print = print_target(w, own);
    }
    if (t->print != NULL) {
        check_target(w, at, t);
        w->settings->targets[w->settings->target_count++] = t;
    } else {
        hf_watch_target_settings_free(t);
    }
    w->b.keep = before;
}

static void build_targets(struct hf_watch_build *w)
{
    size_t url = index_of(hf_watch_key_find(HF_LITERAL("url"), false));
    for (const struct hf_config_value *v = list_of(w, "targets", HF_WATCH_TARGETS_MAX); v != NULL;
         v = v->next) {
        const struct hf_config_value *own[HF_WATCH_KEYS_MAX] = {NULL};
        if (v->kind == HF_VALUE_SCALAR) { /* a bare URL */
            own[url] = v;
            build_target(w, own, v);
        } else if (v->kind == HF_VALUE_MAP) {
            sort_map(w, v, 1U << HF_WATCH_TARGET | 1U << HF_WATCH_INHERITED, own);
            build_target(w, own, v);
        } else if (v->kind != HF_VALUE_BROKEN) {
            (void)hf_config_wrong_kind(&w->b, "targets", v, "a URL, or a map with a url");
        }
    }
    for (size_t i = 0; i < w->input->url_count; i++) {
        const struct hf_config_value *own[HF_WATCH_KEYS_MAX] = {NULL};
        struct hf_config_where where = {.label = COMMAND_LINE, .rank = HF_RANK_FLAG};
        own[url] = hf_config_scalar_new(&w->b, hf_slice_of(w->input->urls[i]), where);
        if (own[url] != NULL) {
            build_target(w, own, own[url]);
        }
    }
}

/* ---- the top level, and all ----------------------------------------------------------------- */

static bool is_loopback(const struct hf_address *a)
{
    return hf_config_address_is_local(a);
}

static void build_top(struct hf_watch_build *w)
{
    struct hf_watch_settings *s = w->settings;
    struct hf_config_where top = {.label = w->b.file};
    for (size_t i = 0; i < hf_watch_key_count; i++) {
        const struct hf_watch_key *key = &hf_watch_keys[i];
        const struct hf_config_value *value = effective(w, i, NULL);
        if (key->scope == HF_WATCH_TOP && key->type != HF_WATCH_LIST && value != NULL) {
            (void)hf_watch_set(w, key, (uint8_t *)s + key->offset, NULL, value);
        }
    }
    if (s->listen.len > 0 && !is_loopback(&s->listen) && s->token == NULL) {
        hf_config_problem(&w->b, &top, NULL,
                          "listen is not a loopback address, and the pages would be open to "
                          "everybody; set token_env, or listen on 127.0.0.1");
    }
}

/* What is said at the top and refused is told once, there, also when every target overrides it. */
static void build(struct hf_watch_build *w, struct hf_slice text)
{
    take_defaults(w);
    take_words(w);
    const struct hf_config_value *root = hf_config_yaml_read(&w->b, text);
    if (root != NULL) {
        sort_map(w, root, 1U << HF_WATCH_TOP | 1U << HF_WATCH_INHERITED, w->top);
        build_top(w);
        build_channels(w);
        build_targets(w);
    }
    if (w->settings->target_count == 0 && w->b.problems == 0 && !w->b.no_memory) {
        struct hf_config_where top = {.label = w->b.file};
        hf_config_problem(&w->b, &top, NULL,
                          "there is nothing to watch; name a URL, or write targets: in a file");
    }
}

enum hf_status hf_watch_settings_read(const struct hf_watch_input *input, struct hf_slice text,
                                      struct hf_watch_settings **settings, struct hf_buffer *errors)
{
    *settings = NULL;
    struct whole *whole = calloc(1, sizeof(*whole));
    struct hf_watch_build *w = calloc(1, sizeof(*w));
    if (whole == NULL || w == NULL) {
        free(whole);
        free(w);
        return HF_NO_MEMORY;
    }
    whole->arena.alloc = &hf_heap;
    *w = (struct hf_watch_build){
        .b = {.keep = &whole->arena,
              .scratch = {.alloc = &hf_heap},
              .errors = errors,
              .file = input->file == NULL ? COMMAND_LINE : input->file},
        .input = input,
        .settings = &whole->settings,
    };
    build(w, text);
    enum hf_status status = w->b.no_memory || errors->failed ? HF_NO_MEMORY
                            : w->b.problems > 0              ? HF_INVALID
                                                             : HF_OK;
    hf_config_arena_fini(&w->b.scratch);
    free(w);
    if (status == HF_OK) {
        *settings = &whole->settings;
    } else {
        hf_watch_settings_free(&whole->settings);
    }
    return status;
}

enum hf_status hf_watch_settings_load(const struct hf_watch_input *input,
                                      struct hf_watch_settings **settings, struct hf_buffer *errors)
{
    enum hf_status status = HF_OK;
    struct hf_buffer text;
    *settings = NULL;
    hf_buffer_init(&text, &hf_heap, HF_CONFIG_FILE_MAX);
    if (input->file != NULL) {
        status = hf_config_read_file(input->file, &text, errors);
    }
    if (status == HF_OK) {
        status = hf_watch_settings_read(input, hf_buffer_slice(&text), settings, errors);
    }
    hf_buffer_reset(&text);
    return status;
}
