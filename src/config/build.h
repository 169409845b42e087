/* SPDX-License-Identifier: Apache-2.0 */
/* How a configuration is built, for the config_*.c files only.
 *
 * File, environment and flags all become the same small tree of values, each of which knows where
 * it was written. One setter turns a value into a field by the key's row. The layers are laid over
 * each other from the weakest to the strongest: default, file, environment, flags; then each route
 * is a copy of the result with its own keys laid over it. */
#ifndef HF_CONFIG_BUILD_H
#define HF_CONFIG_BUILD_H

#include "config/config.h"
#include "config/keys.h"

#define HF_CONFIG_FILE_MAX ((size_t)1 << 20) /* bytes */
#define HF_CONFIG_DEPTH_MAX 16               /* of nested lists and maps */
#define HF_CONFIG_MAP_MAX 256                /* keys of one map */
#define HF_CONFIG_LIST_MAX 1000              /* entries of one list */
#define HF_CONFIG_PROBLEMS_MAX 100           /* errors that are shown */

/* ---- memory: all of it goes at once, so nothing in a configuration is freed by itself ---------
 */

struct hf_config_arena {
    const struct hf_allocator *alloc;
    struct hf_config_block *blocks;
};
void hf_config_arena_fini(struct hf_config_arena *arena);
/* Zeroed, aligned for any type; NULL on no memory. */
void *hf_config_arena_take(struct hf_config_arena *arena, size_t size);

/* ---- values -----------------------------------------------------------------------------------
 */

enum hf_config_rank { HF_RANK_DEFAULT, HF_RANK_FILE, HF_RANK_ENVIRONMENT, HF_RANK_FLAG };

struct hf_config_where {
    const char *label; /* the file's name, "--flag" or "VARIABLE"; lives as long as the build */
    uint32_t line;     /* from 1; 0: no position */
    uint32_t column;   /* from 1, in characters */
    enum hf_config_rank rank;
};

enum hf_config_kind {
    HF_VALUE_SCALAR,
    HF_VALUE_LIST,
    HF_VALUE_MAP,
    HF_VALUE_BROKEN, /* an error about it was reported already */
};

struct hf_config_value {
    enum hf_config_kind kind;
    struct hf_config_where where;
    bool quoted;                   /* a scalar in quotes: never taken for null */
    struct hf_slice text;          /* scalar; NUL-terminated, holds no NUL */
    struct hf_config_value *first; /* list and map: the entries in order */
    struct hf_config_value *last;
    size_t count;
    struct hf_config_value *next; /* in the list or map this one is in */
    struct hf_slice key;          /* in a map */
    struct hf_config_where key_where;
};

/* Where each key was last set; rank HF_RANK_DEFAULT: it was not. */
struct hf_config_marks {
    struct hf_config_where of[HF_CONFIG_KEYS_MAX];
    bool broken[HF_CONFIG_KEYS_MAX]; /* its value was refused: say nothing that follows from it */
};

struct hf_config_route_build {
    struct hf_route_config route;
    struct hf_config_marks marks;
    struct hf_config_where where; /* of the entry */
};

struct hf_config_build {
    struct hf_config *config;
    struct hf_config_arena *keep;   /* goes with the configuration */
    struct hf_config_arena scratch; /* goes with the build */
    struct hf_buffer *errors;
    size_t problems;
    bool no_memory;
    const char *file; /* for messages: the file's name, or "holdfast serve" when there is none */
    struct hf_config_route_build base;          /* the top level; marks global keys too */
    struct hf_config_where *listen_where;       /* one for each of config->listens */
    bool *listen_own_tls;                       /* the entry says `tls`, even if as an empty list */
    const struct hf_config_value *routes_value; /* NULL: no `routes` in the file */
    struct hf_config_route_build *routes;
    size_t route_count;
};

/* Both set no_memory when they return NULL. */
void *hf_config_keep(struct hf_config_build *b, size_t size);
void *hf_config_scratch(struct hf_config_build *b, size_t size);
/* A copy with a NUL behind it that lives as long as the configuration. */
char *hf_config_keep_text(struct hf_config_build *b, struct hf_slice text);
struct hf_config_value *hf_config_value_new(struct hf_config_build *b, enum hf_config_kind kind,
                                            struct hf_config_where where);
/* A scalar that owns a copy of text. */
struct hf_config_value *hf_config_scalar_new(struct hf_config_build *b, struct hf_slice text,
                                             struct hf_config_where where);
void hf_config_value_append(struct hf_config_value *parent, struct hf_config_value *child);
/* The pieces between commas, without spaces around them, appended to the list. */
void hf_config_value_split(struct hf_config_build *b, struct hf_config_value *list,
                           struct hf_slice text);

/* One line of the errors: where, the key when the place is in the file and key is not NULL, the
 * sentence. A line that is there already is not written again (a fault at the top level shows in
 * every route). */
void hf_config_problem(struct hf_config_build *b, const struct hf_config_where *where,
                       const char *key, const char *format, ...) HF_PRINTF(4, 5);
/* text in quotes, escaped, cut at 64 bytes, passwords of URLs hidden; lives as long as the build.
 * Never NULL. */
const char *hf_config_shown(struct hf_config_build *b, struct hf_slice text);
/* A YAML double-quoted scalar: printable, loads again byte for byte. text must be UTF-8. */
void hf_config_add_quoted(struct hf_buffer *out, struct hf_slice text);
/* For --help: the words on lines of at most 80 characters, indented by 8, and a newline. */
void hf_config_add_wrapped(struct hf_buffer *out, struct hf_slice text);
/* False when text is not UTF-8 (RFC 3629: shortest form, no surrogates). */
bool hf_config_is_utf8(struct hf_slice text);
/* The code point at the start of text and its length in bytes, 1 to 4; 0 when it is not UTF-8. text
 * is not empty. */
size_t hf_config_code_point(struct hf_slice text, uint32_t *point);

/* ---- the steps --------------------------------------------------------------------------------
 */

/* Appends the whole file to text, whose max should be HF_CONFIG_FILE_MAX; or one line about why not
 * to errors. */
HF_MUST_USE enum hf_status hf_config_read_file(const char *name, struct hf_buffer *text,
                                               struct hf_buffer *errors);
/* The text as a tree; an empty text is an empty map. NULL when it is not YAML: the error was
 * reported. */
struct hf_config_value *hf_config_yaml_read(struct hf_config_build *b, struct hf_slice text);

/* Sets one field. target is the hf_config or the hf_route_config that the key's offset is into.
 * False when the value was refused (and reported): the field is then unchanged. */
bool hf_config_set(struct hf_config_build *b, const struct hf_config_key *key, void *target,
                   const struct hf_config_value *value);
bool hf_config_set_listens(struct hf_config_build *b, const struct hf_config_key *key,
                           struct hf_config *config, const struct hf_config_value *value);
bool hf_config_set_upstreams(struct hf_config_build *b, const struct hf_config_key *key,
                             struct hf_route_config *route, const struct hf_config_value *value);
bool hf_config_set_jwt_keys(struct hf_config_build *b, const struct hf_config_key *key,
                            struct hf_route_config *route, const struct hf_config_value *value);
/* "true", "No", "on", "0": what a yes or no may look like. */
bool hf_config_bool_parse(struct hf_slice text, bool *value);
/* Reports that a list or map stands where `wanted` is meant, or the other way round. Always false.
 */
bool hf_config_wrong_kind(struct hf_config_build *b, const char *key,
                          const struct hf_config_value *value, const char *wanted);
/* An unquoted nothing: "", "~", "null". */
bool hf_config_value_is_null(const struct hf_config_value *value);

/* Environment (the WS_ variables first) and flags, laid over the top level. */
void hf_config_apply_environment(struct hf_config_build *b, const char *const *environment);
void hf_config_apply_flags(struct hf_config_build *b, const char *const *words);
/* Sets the key at the top level and marks where. */
void hf_config_apply(struct hf_config_build *b, struct hf_config_route_build *to,
                     const struct hf_config_key *key, const struct hf_config_value *value);

/* What is wrong between keys. Runs over b->routes before they are sorted. */
void hf_config_check(struct hf_config_build *b);
bool hf_config_address_is_local(const struct hf_address *address);

/* ---- for tests and the fuzzer -----------------------------------------------------------------
 */

/* hf_config_load with its memory from alloc (libyaml's own apart). */
enum hf_status hf_config_load_from(const struct hf_allocator *alloc,
                                   const struct hf_config_input *input, struct hf_slice text,
                                   struct hf_config **config, struct hf_buffer *errors);

#endif
