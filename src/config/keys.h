/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of configuration keys. The parser, the flags, the environment, --check, --help and
 * docs/configuration.md are made from it; a key that is not in it does not exist. */
#ifndef HF_CONFIG_KEYS_H
#define HF_CONFIG_KEYS_H

#include "config/config.h"

/* More rows than this do not compile. */
#define HF_CONFIG_KEYS_MAX 128
/* Longest name, flag or variable with its NUL. */
#define HF_CONFIG_NAME_MAX 64

/* What a value looks like and which C type its field has. */
enum hf_config_type {
    HF_KEY_BOOL,      /* bool */
    HF_KEY_COUNT,     /* uint32_t */
    HF_KEY_INT,       /* int, never negative */
    HF_KEY_DURATION,  /* hf_time */
    HF_KEY_SIZE,      /* uint64_t */
    HF_KEY_SIZE32,    /* uint32_t */
    HF_KEY_WORD,      /* an enum or int: one of `words` */
    HF_KEY_WORD16,    /* uint16_t: one of `words` */
    HF_KEY_MODE,      /* uint32_t: octal permissions */
    HF_KEY_TEXT,      /* char *: NULL when empty */
    HF_KEY_TEXTS,     /* struct hf_string_list */
    HF_KEY_PLACES,    /* uint32_t: a set of `words` */
    HF_KEY_ADDRESS,   /* struct hf_address: len 0 when empty */
    HF_KEY_BLOCKS,    /* struct hf_block *, then size_t: `trusted_proxies` */
    HF_KEY_BALANCE,   /* `balance` and `balance_key` */
    HF_KEY_LISTENS,   /* `listens` */
    HF_KEY_UPSTREAMS, /* `upstreams` */
    HF_KEY_JWT_KEYS,  /* `jwt.keys` */
    HF_KEY_ROUTES,    /* `routes` */
};

enum hf_config_scope {
    HF_SCOPE_GLOBAL,    /* top level only; the offset is into struct hf_config */
    HF_SCOPE_INHERITED, /* top level and routes; the offset is into struct hf_route_config */
    HF_SCOPE_ROUTE,     /* an entry of `routes` only; the offset is into struct hf_route_config */
};

struct hf_config_word {
    const char *word; /* NULL ends a list of words */
    int value;
};

struct hf_config_key {
    const char *name; /* "heartbeat.interval"; at most one dot */
    enum hf_config_type type;
    enum hf_config_scope scope;
    size_t offset;
    const char *fallback; /* the default as text; NULL: none */
    const char *sentence; /* what it does, for people; no full stop at its end */
    uint64_t min;         /* numbers, microseconds, bytes */
    uint64_t max;         /* and for texts bytes, for lists entries */
    bool zero;            /* 0 is allowed too when min is more */
    bool secret;          /* never shown */
    bool file_only;       /* neither flag nor variable */
    const char *follows;  /* a duration that is as this key while it is not set itself */
    const struct hf_config_word *words;
    bool (*valid)(struct hf_slice text); /* of a text, or of each entry of a list */
    const char *allowed;                 /* what valid wants, in words */
};

extern const struct hf_config_key hf_config_keys[];
extern const size_t hf_config_key_count;

/* The row of a dotted name, or NULL. */
const struct hf_config_key *hf_config_key_find(struct hf_slice name);
static inline size_t hf_config_key_index(const struct hf_config_key *key)
{
    return (size_t)(key - hf_config_keys);
}
/* True for a value made of several: its flag may repeat and takes commas. */
bool hf_config_key_is_list(const struct hf_config_key *key);
/* True when name is what stands before the dot of some key. */
bool hf_config_group_is_known(struct hf_slice name);

/* The three ways to write a name: heartbeat.interval, --heartbeat-interval,
 * HOLDFAST_HEARTBEAT_INTERVAL. */
enum hf_config_form { HF_FORM_KEY, HF_FORM_FLAG, HF_FORM_VARIABLE };
void hf_config_key_form(const struct hf_config_key *key, enum hf_config_form form,
                        char text[HF_CONFIG_NAME_MAX]);
/* True for what has no flag and no variable. */
static inline bool hf_config_key_is_file_only(const struct hf_config_key *key)
{
    return key->file_only || key->scope == HF_SCOPE_ROUTE;
}
/* The row whose flag or variable this would be, file-only ones included; NULL when there is none.
 */
const struct hf_config_key *hf_config_key_by_form(struct hf_slice text, enum hf_config_form form);
/* The name nearest to text by edit distance: a key or group, a flag, or a variable. Of two that are
 * equally near, the one that may stand where text stands (in_route: in an entry of `routes`). */
void hf_config_nearest(struct hf_slice text, enum hf_config_form form, bool in_route,
                       char nearest[HF_CONFIG_NAME_MAX]);
/* Edits (insert, remove, replace a byte, ASCII case folded) from a to b; both are cut at 64 bytes.
 */
size_t hf_config_distance(struct hf_slice a, struct hf_slice b);

/* What may be written: "a duration (250ms, 1s, 5m, 2h), 10ms to 1d". */
void hf_config_key_allowed(const struct hf_config_key *key, char text[256]);
/* For --help: "DURATION". */
const char *hf_config_type_name(const struct hf_config_key *key);

#endif
