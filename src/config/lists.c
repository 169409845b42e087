/* SPDX-License-Identifier: Apache-2.0 */
/* The keys whose entries have parts of their own: listen, upstream, jwt.keys. */
#include "config/build.h"

#include "http/url.h"

#include <stdio.h>

/* The entries of a list; a single scalar or map counts as a list of one, an empty text as an empty
 * list. */
struct entries {
    const struct hf_config_value *first;
    size_t count;
    struct hf_config_value single;
};

static void entries_init(struct entries *e, const struct hf_config_value *value)
{
    *e = (struct entries){.first = value->first, .count = value->count, .single = *value};
    if (value->kind != HF_VALUE_LIST) {
        bool empty = value->kind == HF_VALUE_SCALAR && value->text.len == 0 && value->quoted;
        e->single.next = NULL;
        e->first = empty ? NULL : &e->single;
        e->count = empty ? 0 : 1;
    }
}

/* Reports an unknown part of an entry with the nearest of the known ones. Always false. */
static bool refuse_part(struct hf_config_build *b, const char *name,
                        const struct hf_config_value *part, const char *const *known)
{
    const char *nearest = known[0];
    for (size_t i = 1; known[i] != NULL; i++) {
        if (hf_config_distance(part->key, hf_slice_of(known[i])) <
            hf_config_distance(part->key, hf_slice_of(nearest))) {
            nearest = known[i];
        }
    }
    hf_config_problem(b, &part->key_where, NULL, "%s is not a key of %s; the nearest is %s",
                      hf_config_shown(b, part->key), name, nearest);
    return false;
}

/* A text that is not empty, kept. False when it is not one. */
static bool keep_part(struct hf_config_build *b, const char *name,
                      const struct hf_config_value *part, const char *allowed, char **text)
{
    char label[HF_CONFIG_NAME_MAX];
    (void)snprintf(label, sizeof label, "%s.%.*s", name, HF_SLICE_ARG(part->key));
    if (part->kind != HF_VALUE_SCALAR || hf_config_value_is_null(part)) {
        return hf_config_wrong_kind(b, label, part, allowed);
    }
    if (part->text.len == 0 || part->text.len > 1024) {
        hf_config_problem(b, &part->where, label, "%s is %s; allowed: %s",
                          hf_config_shown(b, part->text),
                          part->text.len == 0 ? "empty" : "too long", allowed);
        return false;
    }
    *text = hf_config_keep_text(b, part->text);
    return *text != NULL;
}

static bool key_is(const struct hf_config_value *part, const char *name)
{
    return hf_slice_eq(part->key, hf_slice_of(name));
}

/* ---- listen -----------------------------------------------------------------------------------
 */

static const char *const certificate_parts[] = {"cert", "key", NULL};
static const char *const listen_parts[] = {"address", "proxy_protocol", "tls", NULL};

static bool set_certificate(struct hf_config_build *b, const struct hf_config_value *value,
                            struct hf_certificate_config *certificate)
{
    bool fine = true;
    if (value->kind != HF_VALUE_MAP) {
        return hf_config_wrong_kind(b, "listen.tls", value, "a map of cert and key");
    }
    for (const struct hf_config_value *part = value->first; part != NULL; part = part->next) {
        if (key_is(part, "cert")) {
            fine = keep_part(b, "listen.tls", part, "a PEM file", &certificate->cert) && fine;
        } else if (key_is(part, "key")) {
            fine = keep_part(b, "listen.tls", part, "a PEM file", &certificate->key) && fine;
        } else {
            fine = refuse_part(b, "listen.tls", part, certificate_parts);
        }
    }
    if (fine && (certificate->cert == NULL || certificate->key == NULL)) {
        hf_config_problem(b, &value->where, "listen.tls",
                          "has no %s; a certificate needs cert and key",
                          certificate->cert == NULL ? "cert" : "key");
        fine = false;
    }
    return fine;
}

static bool set_certificates(struct hf_config_build *b, const struct hf_config_value *value,
                             struct hf_listen_config *listen)
{
    struct entries e;
    entries_init(&e, value);
    bool fine = true;
    if (e.count == 0) {
        return true;
    }
    listen->certificates = hf_config_keep(b, e.count * sizeof *listen->certificates);
    if (listen->certificates == NULL) {
        return false;
    }
    for (const struct hf_config_value *item = e.first; item != NULL; item = item->next) {
        fine = set_certificate(b, item, &listen->certificates[listen->certificate_count++]) && fine;
    }
    return fine;
}

static bool set_listen_address(struct hf_config_build *b, const struct hf_config_key *key,
                               const struct hf_config_value *value, struct hf_listen_config *listen)
{
    if (value->kind != HF_VALUE_SCALAR || hf_config_value_is_null(value)) {
        return hf_config_wrong_kind(b, "listen", value, key->allowed);
    }
    if (!hf_address_parse(value->text, &listen->address)) {
        hf_config_problem(b, &value->where, "listen",
                          "%s is not an address with a port; allowed: %s (0.0.0.0 or [::] for all "
                          "addresses, no names)",
                          hf_config_shown(b, value->text), key->allowed);
        return false;
    }
    return true;
}

static bool set_listen_flag(struct hf_config_build *b, const struct hf_config_value *part,
                            bool *flag)
{
    if (part->kind != HF_VALUE_SCALAR || hf_config_value_is_null(part)) {
        return hf_config_wrong_kind(b, "listen.proxy_protocol", part, "true or false");
    }
    if (!hf_config_bool_parse(part->text, flag)) {
        hf_config_problem(b, &part->where, "listen.proxy_protocol",
                          "%s is neither yes nor no; allowed: true or false",
                          hf_config_shown(b, part->text));
        return false;
    }
    return true;
}

static bool set_listen_map(struct hf_config_build *b, const struct hf_config_key *key,
                           const struct hf_config_value *value, struct hf_listen_config *listen,
                           bool *own_tls)
{
    bool fine = true;
    bool address = false;
    for (const struct hf_config_value *part = value->first; part != NULL; part = part->next) {
        if (key_is(part, "address")) {
            address = true;
            fine = set_listen_address(b, key, part, listen) && fine;
        } else if (key_is(part, "proxy_protocol")) {
            fine = set_listen_flag(b, part, &listen->proxy_protocol) && fine;
        } else if (key_is(part, "tls")) {
            *own_tls = true;
            fine = set_certificates(b, part, listen) && fine;
        } else {
            fine = refuse_part(b, "listen", part, listen_parts);
        }
    }
    if (fine && !address) {
        hf_config_problem(b, &value->where, "listen",
                          "the entry has no address; write address: 127.0.0.1:8800 in it");
    }
    return fine && address;
}

bool hf_config_set_listens(struct hf_config_build *b, const struct hf_config_key *key,
                           struct hf_config *config, const struct hf_config_value *value)
{
    struct entries e;
    entries_init(&e, value);
    if (e.count == 0) {
        hf_config_problem(b, &value->where, "listen", "is empty; allowed: %s", key->allowed);
        return false;
    }
    struct hf_listen_config *listens = hf_config_keep(b, e.count * sizeof *listens);
    struct hf_config_where *wheres = hf_config_scratch(b, e.count * sizeof *wheres);
    bool *own = hf_config_scratch(b, e.count * sizeof *own);
    if (listens == NULL || wheres == NULL || own == NULL) {
        return false;
    }
    bool fine = true;
    size_t n = 0;
    for (const struct hf_config_value *item = e.first; item != NULL; item = item->next, n++) {
        wheres[n] = item->where;
        fine = (item->kind == HF_VALUE_MAP ? set_listen_map(b, key, item, &listens[n], &own[n])
                                           : set_listen_address(b, key, item, &listens[n])) &&
               fine;
    }
    if (fine) {
        config->listens = listens;
        config->listen_count = e.count;
        b->listen_where = wheres;
        b->listen_own_tls = own;
    }
    return fine;
}

/* ---- upstream ---------------------------------------------------------------------------------
 */

static bool refuse_upstream(struct hf_config_build *b, const struct hf_config_key *key,
                            const struct hf_config_value *value, const char *why)
{
    hf_config_problem(b, &value->where, key->name, "%s: %s; allowed: %s",
                      hf_config_shown(b, value->text), why, key->allowed);
    return false;
}

/* The path of a URL as it is put in front: without the slashes at its end. */
static struct hf_slice without_last_slash(struct hf_slice path)
{
    while (path.len > 0 && path.ptr[path.len - 1] == '/') {
        path.len--;
    }
    return path;
}

static bool set_upstream(struct hf_config_build *b, const struct hf_config_key *key,
                         const struct hf_config_value *value, struct hf_upstream_config *upstream)
{
    struct hf_url url;
    const char *why;
    if (value->kind != HF_VALUE_SCALAR || hf_config_value_is_null(value)) {
        return hf_config_wrong_kind(b, key->name, value, key->allowed);
    }
    if (!hf_url_parse(value->text, &url, &why)) {
        return refuse_upstream(b, key, value, why);
    }
    if (url.query.ptr != NULL) {
        return refuse_upstream(b, key, value,
                               "the URL has a query, but each request brings its own");
    }
    upstream->is_unix = hf_slice_eq(url.scheme, HF_LITERAL("unix"));
    upstream->tls = url.tls;
    upstream->port = url.port;
    upstream->url = hf_config_keep_text(b, value->text);
    upstream->host = hf_config_keep_text(b, url.host);
    upstream->path = hf_config_keep_text(b, without_last_slash(url.path));
    return upstream->url != NULL && upstream->host != NULL && upstream->path != NULL;
}

bool hf_config_set_upstreams(struct hf_config_build *b, const struct hf_config_key *key,
                             struct hf_route_config *route, const struct hf_config_value *value)
{
    struct entries e;
    entries_init(&e, value);
    struct hf_upstream_config *upstreams = NULL;
    bool fine = true;
    size_t n = 0;
    if (e.count > 0) {
        upstreams = hf_config_keep(b, e.count * sizeof *upstreams);
        fine = upstreams != NULL;
    }
    for (const struct hf_config_value *item = e.first; item != NULL && upstreams != NULL;
         item = item->next) {
        fine = set_upstream(b, key, item, &upstreams[n++]) && fine;
    }
    if (fine) {
        route->upstreams = upstreams;
        route->upstream_count = e.count;
    }
    return fine;
}

/* ---- jwt.keys ---------------------------------------------------------------------------------
 */

static const char *const jwt_parts[] = {"kid", "alg", "file", "env", NULL};
#define JWT_ALGS "HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384 or ES512"

static bool alg_is_known(const char *alg)
{
    static const char *const families[] = {"HS", "RS", "ES"};
    static const char *const sizes[] = {"256", "384", "512"};
    for (size_t i = 0; i < 9; i++) {
        if (strlen(alg) == 5 && memcmp(alg, families[i / 3], 2) == 0 &&
            strcmp(alg + 2, sizes[i % 3]) == 0) {
            return true;
        }
    }
    return false;
}

/* The words under which people write a secret itself. Its value is not shown. */
static bool is_inline_secret(const struct hf_config_value *part)
{
    static const char *const words[] = {"secret", "key",        "value",       "pem",    "password",
                                        "k",      "public_key", "private_key", "public", "inline"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (hf_slice_eq_nocase(part->key, hf_slice_of(words[i]))) {
            return true;
        }
    }
    return false;
}

static bool set_jwt_part(struct hf_config_build *b, const struct hf_config_value *part,
                         struct hf_jwt_key_config *key)
{
    const char *name = "jwt.keys";
    if (key_is(part, "kid")) {
        return keep_part(b, name, part, "the kid of the tokens", &key->kid);
    }
    if (key_is(part, "file")) {
        return keep_part(b, name, part, "a file with the secret or PEM", &key->file);
    }
    if (key_is(part, "env")) {
        return keep_part(b, name, part, "an environment variable with the secret or PEM",
                         &key->env);
    }
    if (!key_is(part, "alg")) {
        if (!is_inline_secret(part)) {
            return refuse_part(b, name, part, jwt_parts);
        }
        hf_config_problem(b, &part->key_where, name,
                          "%s: a key does not stand in the configuration; put it in a file (file: "
                          "/etc/holdfast/jwt.key) or an environment variable (env: JWT_SECRET)",
                          hf_config_shown(b, part->key));
        return false;
    }
    if (!keep_part(b, name, part, JWT_ALGS, &key->alg)) {
        return false;
    }
    if (!alg_is_known(key->alg)) {
        hf_config_problem(b, &part->where, "jwt.keys.alg", "%s is not known; allowed: %s",
                          hf_config_shown(b, part->text), JWT_ALGS);
        return false;
    }
    return true;
}

static bool set_jwt_key(struct hf_config_build *b, const struct hf_config_value *value,
                        struct hf_jwt_key_config *key)
{
    bool fine = true;
    if (value->kind != HF_VALUE_MAP) {
        return hf_config_wrong_kind(b, "jwt.keys", value,
                                    "a map of kid (optional), alg and one of file and env");
    }
    for (const struct hf_config_value *part = value->first; part != NULL; part = part->next) {
        fine = set_jwt_part(b, part, key) && fine;
    }
    if (fine && key->alg == NULL) {
        hf_config_problem(b, &value->where, "jwt.keys", "the key has no alg; allowed: %s",
                          JWT_ALGS);
        fine = false;
    }
    if (fine && (key->file == NULL) == (key->env == NULL)) {
        hf_config_problem(
            b, &value->where, "jwt.keys", "the key has %s file %s env; write one of them",
            key->file == NULL ? "neither" : "both", key->file == NULL ? "nor" : "and");
        fine = false;
    }
    return fine;
}

/* Two keys for one kid, or two without kid, would leave open which one counts. */
static bool check_kids(struct hf_config_build *b, const struct entries *e,
                       const struct hf_jwt_key_config *keys)
{
    const struct hf_config_value *item = e->first;
    bool fine = true;
    for (size_t i = 0; i < e->count; i++, item = item->next) {
        for (size_t j = 0; j < i; j++) {
            if (keys[i].kid != NULL && keys[j].kid != NULL &&
                strcmp(keys[i].kid, keys[j].kid) == 0) {
                hf_config_problem(b, &item->where, "jwt.keys",
                                  "the kid %s is written twice; each key has its own",
                                  hf_config_shown(b, hf_slice_of(keys[i].kid)));
                fine = false;
            }
        }
    }
    return fine;
}

bool hf_config_set_jwt_keys(struct hf_config_build *b, const struct hf_config_key *key,
                            struct hf_route_config *route, const struct hf_config_value *value)
{
    struct entries e;
    if (value->kind != HF_VALUE_LIST) {
        return hf_config_wrong_kind(b, key->name, value, key->allowed);
    }
    entries_init(&e, value);
    struct hf_jwt_key_config *keys = NULL;
    bool fine = true;
    size_t n = 0;
    if (e.count > 0) {
        keys = hf_config_keep(b, e.count * sizeof *keys);
        fine = keys != NULL;
    }
    for (const struct hf_config_value *item = e.first; item != NULL && keys != NULL;
         item = item->next) {
        fine = set_jwt_key(b, item, &keys[n++]) && fine;
    }
    fine = fine && check_kids(b, &e, keys);
    if (fine) {
        route->jwt.keys = keys;
        route->jwt.key_count = e.count;
    }
    return fine;
}
