/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a configuration: defaults, file, environment, flags, then the routes, then what is wrong
 * between keys. */
#include "config/build.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define NO_FILE "holdfast serve"

/* A configuration and the memory it owns. */
struct whole {
    struct hf_config config;
    struct hf_config_arena arena;
};

struct hf_config *hf_config_ref(struct hf_config *config)
{
    (void)atomic_fetch_add_explicit(&config->refs, 1, memory_order_relaxed);
    return config;
}

void hf_config_unref(struct hf_config *config)
{
    if (config == NULL || atomic_fetch_sub_explicit(&config->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    struct whole *whole = HF_CONTAINER(config, struct whole, config);
    const struct hf_allocator *alloc = whole->arena.alloc;
    hf_config_arena_fini(&whole->arena);
    hf_release(alloc, whole);
}

static struct hf_config *config_new(const struct hf_allocator *alloc)
{
    struct whole *whole = hf_alloc_zero(alloc, sizeof *whole);
    if (whole == NULL) {
        return NULL;
    }
    whole->arena.alloc = alloc;
    whole->config.refs = 1;
    return &whole->config;
}

/* ---- the file ---------------------------------------------------------------------------------
 */

void hf_config_apply(struct hf_config_build *b, struct hf_config_route_build *to,
                     const struct hf_config_key *key, const struct hf_config_value *value)
{
    size_t i = hf_config_key_index(key);
    void *target = key->scope == HF_SCOPE_GLOBAL ? (void *)b->config : (void *)&to->route;
    to->marks.broken[i] = !hf_config_set(b, key, target, value);
    to->marks.of[i] = value->where;
}

/* "heartbeat.interval" as a key: says how it is nested. */
static void refuse_dotted(struct hf_config_build *b, const struct hf_config_value *value)
{
    struct hf_slice group = hf_slice_first(value->key, hf_slice_find(value->key, '.'));
    struct hf_slice word = hf_slice_from(value->key, group.len + 1);
    bool shows = value->kind == HF_VALUE_SCALAR && value->text.len <= 64 && !value->quoted &&
                 hf_slice_find(value->text, '\n') == value->text.len;
    hf_config_problem(
        b, &value->key_where, NULL, "%s is not written with a dot; write %.*s: {%.*s: %.*s}",
        hf_config_shown(b, value->key), HF_SLICE_ARG(group), HF_SLICE_ARG(word),
        shows ? (int)value->text.len : 3, shows ? (const char *)value->text.ptr : "...");
}

static void refuse_unknown(struct hf_config_build *b, const struct hf_config_value *value,
                           const char *name, bool in_route)
{
    char nearest[HF_CONFIG_NAME_MAX];
    if (hf_slice_find(value->key, '.') < value->key.len && hf_config_key_find(value->key) != NULL) {
        refuse_dotted(b, value);
        return;
    }
    hf_config_nearest(hf_slice_of(name), HF_FORM_KEY, in_route, nearest);
    hf_config_problem(b, &value->key_where, NULL, "%s is not a known key; the nearest is %s",
                      hf_config_shown(b, hf_slice_of(name)), nearest);
}

/* False when the key does not belong here, which is reported. */
static bool check_scope(struct hf_config_build *b, const struct hf_config_key *key,
                        const struct hf_config_value *value, bool in_route)
{
    if (in_route && key->scope == HF_SCOPE_GLOBAL) {
        hf_config_problem(b, &value->key_where, NULL,
                          "%s is a key of the top level, not of a route; move it there", key->name);
        return false;
    }
    if (!in_route && key->scope == HF_SCOPE_ROUTE) {
        hf_config_problem(b, &value->key_where, NULL,
                          "%s is a key of an entry of routes; write routes: [{%s: ...}]", key->name,
                          key->name);
        return false;
    }
    return true;
}

static void apply_map(struct hf_config_build *b, struct hf_config_route_build *to, bool in_route,
                      struct hf_slice group, const struct hf_config_value *map);

static void apply_group(struct hf_config_build *b, struct hf_config_route_build *to, bool in_route,
                        const struct hf_config_value *value)
{
    if (value->kind == HF_VALUE_MAP) {
        apply_map(b, to, in_route, value->key, value);
    } else if (!hf_config_value_is_null(value)) { /* a group with all its keys commented out */
        char wanted[128], name[HF_CONFIG_NAME_MAX];
        (void)snprintf(name, sizeof name, "%.*s", HF_SLICE_ARG(value->key));
        (void)snprintf(wanted, sizeof wanted, "a map of the keys of %s", name);
        (void)hf_config_wrong_kind(b, name, value, wanted);
    }
}

/* Applies each key of the map; group is what stands before the dot, empty outside of groups. */
static void apply_map(struct hf_config_build *b, struct hf_config_route_build *to, bool in_route,
                      struct hf_slice group, const struct hf_config_value *map)
{
    for (const struct hf_config_value *value = map->first; value != NULL; value = value->next) {
        char name[2 * HF_CONFIG_NAME_MAX];
        (void)snprintf(name, sizeof name, "%.*s%s%.*s", HF_SLICE_ARG(group),
                       group.len > 0 ? "." : "", HF_SLICE_ARG(hf_slice_first(value->key, 64)));
        const struct hf_config_key *key = hf_config_key_find(hf_slice_of(name));
        bool dotted = hf_slice_find(value->key, '.') < value->key.len;
        if (key != NULL && !dotted) {
            if (!check_scope(b, key, value, in_route)) {
                continue;
            }
            if (key->type == HF_KEY_ROUTES) {
                b->routes_value = value;
            } else {
                hf_config_apply(b, to, key, value);
            }
        } else if (group.len == 0 && hf_config_group_is_known(value->key)) {
            apply_group(b, to, in_route, value);
        } else {
            refuse_unknown(b, value, name, in_route);
        }
    }
}

/* ---- defaults ---------------------------------------------------------------------------------
 */

static void apply_defaults(struct hf_config_build *b)
{
    struct hf_config_where where = {.label = "default", .rank = HF_RANK_DEFAULT};
    size_t problems = b->problems;
    for (size_t i = 0; i < hf_config_key_count && !b->no_memory; i++) {
        const struct hf_config_key *key = &hf_config_keys[i];
        if (key->fallback == NULL || key->scope == HF_SCOPE_ROUTE) {
            continue;
        }
        bool list = hf_config_key_is_list(key);
        struct hf_config_value *value =
            list ? hf_config_value_new(b, HF_VALUE_LIST, where)
                 : hf_config_scalar_new(b, hf_slice_of(key->fallback), where);
        if (value != NULL && list) {
            hf_config_value_split(b, value, hf_slice_of(key->fallback));
        }
        if (value != NULL) {
            value->quoted = true;
            hf_config_apply(b, &b->base, key, value);
        }
    }
    HF_ASSERT(b->problems == problems || b->no_memory);
}

/* ---- routes -----------------------------------------------------------------------------------
 */

/* What follows from other keys of the same route. */
static void complete_route(struct hf_config_build *b, struct hf_config_route_build *to)
{
    for (size_t i = 0; i < hf_config_key_count; i++) {
        const struct hf_config_key *key = &hf_config_keys[i];
        if (key->follows != NULL && to->marks.of[i].rank == HF_RANK_DEFAULT) {
            const struct hf_config_key *leader = hf_config_key_find(hf_slice_of(key->follows));
            memcpy((uint8_t *)&to->route + key->offset, (uint8_t *)&to->route + leader->offset,
                   sizeof(hf_time));
        }
    }
    if (to->route.name == NULL && to->route.path != NULL) {
        to->route.name = hf_config_keep_text(b, hf_slice_of(to->route.path));
    }
}

static void apply_routes(struct hf_config_build *b)
{
    const struct hf_config_value *list = b->routes_value;
    const char *allowed = "a list of maps, each with a path";
    if (list->kind != HF_VALUE_LIST) {
        (void)hf_config_wrong_kind(b, "routes", list, allowed);
        return;
    }
    if (list->count == 0) {
        hf_config_problem(b, &list->where, "routes",
                          "is empty; allowed: %s (leave routes out for one route, /)", allowed);
        return;
    }
    b->routes = hf_config_scratch(b, list->count * sizeof *b->routes);
    for (const struct hf_config_value *value = list->first; value != NULL && b->routes != NULL;
         value = value->next) {
        if (value->kind != HF_VALUE_MAP) {
            (void)hf_config_wrong_kind(b, "routes", value, "a map with a path");
            continue;
        }
        struct hf_config_route_build *to = &b->routes[b->route_count++];
        *to = b->base;
        to->where = value->where;
        apply_map(b, to, true, hf_slice(NULL, 0), value);
        complete_route(b, to);
    }
}

/* Without `routes`: one, "/". */
static void apply_only_route(struct hf_config_build *b)
{
    b->routes = hf_config_scratch(b, sizeof *b->routes);
    if (b->routes != NULL) {
        b->routes[0] = b->base;
        b->routes[0].route.path = hf_config_keep_text(b, HF_LITERAL("/"));
        b->route_count = 1;
        complete_route(b, &b->routes[0]);
    }
}

/* Longest path first; ties by the bytes, so that the order never depends on the file's. */
static int compare_routes(const void *a, const void *b)
{
    const struct hf_route_config *left = a;
    const struct hf_route_config *right = b;
    size_t left_len = strlen(left->path);
    size_t right_len = strlen(right->path);
    if (left_len != right_len) {
        return left_len > right_len ? -1 : 1;
    }
    return strcmp(left->path, right->path);
}

static void keep_routes(struct hf_config_build *b)
{
    struct hf_route_config *routes = hf_config_keep(b, b->route_count * sizeof *routes);
    if (routes == NULL) {
        return;
    }
    for (size_t i = 0; i < b->route_count; i++) {
        routes[i] = b->routes[i].route;
    }
    qsort(routes, b->route_count, sizeof *routes, compare_routes);
    b->config->routes = routes;
    b->config->route_count = b->route_count;
}

/* Listeners that say nothing of TLS take the certificate of the top level. */
static void complete_listens(struct hf_config_build *b)
{
    struct hf_config *c = b->config;
    if (c->tls.cert == NULL || c->tls.key == NULL) {
        return;
    }
    for (size_t i = 0; i < c->listen_count; i++) {
        struct hf_listen_config *listen = &c->listens[i];
        if (b->listen_own_tls[i]) {
            continue;
        }
        listen->certificates = hf_config_keep(b, sizeof *listen->certificates);
        if (listen->certificates == NULL) {
            return;
        }
        listen->certificates[0] = (struct hf_certificate_config){c->tls.cert, c->tls.key};
        listen->certificate_count = 1;
    }
}

/* ---- all --------------------------------------------------------------------------------------
 */

static void build(struct hf_config_build *b, const struct hf_config_input *input,
                  struct hf_slice text)
{
    apply_defaults(b);
    struct hf_config_value *root = hf_config_yaml_read(b, text);
    if (root != NULL) {
        apply_map(b, &b->base, false, hf_slice(NULL, 0), root);
    }
    hf_config_apply_environment(b, input->environment);
    hf_config_apply_flags(b, input->flags);
    if (b->routes_value != NULL) {
        apply_routes(b);
    } else if (root != NULL) {
        apply_only_route(b);
    }
    if (root != NULL && !b->no_memory) {
        hf_config_check(b);
    }
    if (b->problems == 0 && !b->no_memory) {
        complete_listens(b);
        keep_routes(b);
    }
}

enum hf_status hf_config_load_from(const struct hf_allocator *alloc,
                                   const struct hf_config_input *input, struct hf_slice text,
                                   struct hf_config **config, struct hf_buffer *errors)
{
    enum hf_status status = HF_NO_MEMORY;
    *config = config_new(alloc);
    struct hf_config_build *b = *config == NULL ? NULL : hf_alloc_zero(alloc, sizeof *b);
    if (b != NULL) {
        b->config = *config;
        b->keep = &HF_CONTAINER(*config, struct whole, config)->arena;
        b->scratch.alloc = alloc;
        b->errors = errors;
        b->file = input->file == NULL ? NO_FILE : input->file;
        b->base.where = (struct hf_config_where){.label = b->file, .rank = HF_RANK_FILE};
        build(b, input, text);
        status = b->no_memory ? HF_NO_MEMORY : b->problems > 0 ? HF_INVALID : HF_OK;
        hf_config_arena_fini(&b->scratch);
        hf_release(alloc, b);
    }
    if (status == HF_NO_MEMORY) {
        (void)hf_buffer_add_text(errors, "out of memory\n");
    }
    if (status != HF_OK) {
        hf_config_unref(*config);
        *config = NULL;
    }
    return status;
}

enum hf_status hf_config_parse_text(struct hf_slice yaml, struct hf_config **config,
                                    struct hf_buffer *errors)
{
    struct hf_config_input input = {.file = "holdfast.yaml"};
    return hf_config_load_from(&hf_heap, &input, yaml, config, errors);
}

static enum hf_status status_of_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return HF_NOT_FOUND;
    case EACCES:
    case EPERM:
        return HF_DENIED;
    case ENOMEM:
        return HF_NO_MEMORY;
    case EMFILE:
    case ENFILE:
        return HF_NO_DESCRIPTORS;
    default:
        return HF_IO;
    }
}

enum hf_status hf_config_read_file(const char *name, struct hf_buffer *text,
                                   struct hf_buffer *errors)
{
    uint8_t chunk[8192];
    errno = 0;
    FILE *file = fopen(name, "re");
    int error = file == NULL ? errno : 0;
    for (size_t n = 1; error == 0 && n > 0 && !text->failed;) {
        n = fread(chunk, 1, sizeof chunk, file);
        error = ferror(file) != 0 ? errno : 0;
        (void)hf_buffer_add(text, hf_slice(chunk, n));
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (error != 0) {
        (void)hf_buffer_addf(errors, "%s: cannot be read: %s\n", name, strerror(error));
        return status_of_errno(error);
    }
    if (text->failed) {
        (void)hf_buffer_addf(errors, "%s: is larger than 1MiB\n", name);
        return HF_INVALID;
    }
    return HF_OK;
}

enum hf_status hf_config_load(const struct hf_config_input *input, struct hf_config **config,
                              struct hf_buffer *errors)
{
    enum hf_status status = HF_OK;
    struct hf_buffer text;
    *config = NULL;
    hf_buffer_init(&text, &hf_heap, HF_CONFIG_FILE_MAX);
    if (input->file != NULL) {
        status = hf_config_read_file(input->file, &text, errors);
    }
    if (status == HF_OK) {
        status = hf_config_load_from(&hf_heap, input, hf_buffer_slice(&text), config, errors);
    }
    hf_buffer_reset(&text);
    return status;
}
