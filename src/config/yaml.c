/* SPDX-License-Identifier: Apache-2.0 */
/* YAML to the tree of values, by libyaml's events, each of which says where it stands. What the
 * configuration has no use for (anchors, aliases, merge keys, tags, a second document) is refused
 * in words, not guessed at. */
#include "config/build.h"

#include <yaml.h>

struct reader {
    struct hf_config_build *b;
    yaml_parser_t parser;
    struct hf_slice text;
};

static struct hf_config_where where_at(const struct reader *r, yaml_mark_t mark)
{
    return (struct hf_config_where){.label = r->b->file,
                                    .line = (uint32_t)mark.line + 1,
                                    .column = (uint32_t)mark.column + 1,
                                    .rank = HF_RANK_FILE};
}

/* The place of a byte that the reader below the parser could not decode. */
static struct hf_config_where where_of_offset(const struct reader *r, size_t offset)
{
    struct hf_config_where where = {
        .label = r->b->file, .line = 1, .column = 1, .rank = HF_RANK_FILE};
    for (size_t i = 0; i < offset && i < r->text.len; i++) {
        if (r->text.ptr[i] == '\n') {
            where.line++;
            where.column = 1;
        } else if ((r->text.ptr[i] & 0xc0) != 0x80) {
            where.column++;
        }
    }
    return where;
}

/* What people trip over. line is where the parser stopped, from there on back to the line's start.
 */
static const char *advice_for(const struct reader *r)
{
    size_t at = r->parser.problem_mark.index;
    const char *context = r->parser.context == NULL ? "" : r->parser.context;
    if (at < r->text.len && r->text.ptr[at] == '\t') {
        return "; indent with spaces, not tabs";
    }
    if (strcmp(context, "while scanning an alias") == 0) {
        return "; a text that starts with * stands in quotes";
    }
    return hf_slice_starts(hf_slice_from(r->text, at), HF_LITERAL("::"))
               ? "; an address such as \"[::1]:8800\" stands in quotes"
               : "";
}

static void report_syntax(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem == NULL ? "cannot be read" : p->problem;
    if (p->error == YAML_MEMORY_ERROR) {
        r->b->no_memory = true;
        return;
    }
    if (p->error == YAML_READER_ERROR) {
        struct hf_config_where where = where_of_offset(r, p->problem_offset);
        hf_config_problem(r->b, &where, NULL, "not YAML: %s (the file must be printable UTF-8)",
                          problem);
        return;
    }
    struct hf_config_where where = where_at(r, p->problem_mark);
    const char *advice = advice_for(r);
    if (p->context == NULL) {
        hf_config_problem(r->b, &where, NULL, "not YAML: %s%s", problem, advice);
    } else {
        hf_config_problem(r->b, &where, NULL, "not YAML: %s, %s that starts at %zu:%zu%s", problem,
                          p->context, p->context_mark.line + 1, p->context_mark.column + 1, advice);
    }
}

/* The caller deletes the event. False on an error, which was reported. */
static bool next_event(struct reader *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->parser, event) == 0) {
        report_syntax(r);
        return false;
    }
    return true;
}

/* Anchors and tags of a node; reading goes on behind a refusal. */
static void refuse_marks(struct reader *r, const yaml_event_t *event, const yaml_char_t *anchor,
                         const yaml_char_t *tag)
{
    struct hf_config_where where = where_at(r, event->start_mark);
    if (anchor != NULL) {
        hf_config_problem(r->b, &where, NULL,
                          "the anchor &%.64s is not supported; what routes share goes to the top "
                          "level, routes inherit it",
                          (const char *)anchor);
    }
    if (tag != NULL) {
        hf_config_problem(r->b, &where, NULL, "the tag %s is not supported; leave it out",
                          hf_config_shown(r->b, hf_slice_of((const char *)tag)));
    }
}

static struct hf_config_value *read_scalar(struct reader *r, const yaml_event_t *event)
{
    struct hf_config_where where = where_at(r, event->start_mark);
    struct hf_slice text = hf_slice(event->data.scalar.value, event->data.scalar.length);
    refuse_marks(r, event, event->data.scalar.anchor, event->data.scalar.tag);
    if (hf_slice_find(text, '\0') < text.len) {
        hf_config_problem(r->b, &where, NULL, "%s holds a NUL byte; leave it out",
                          hf_config_shown(r->b, text));
        return hf_config_value_new(r->b, HF_VALUE_BROKEN, where);
    }
    struct hf_config_value *value = hf_config_scalar_new(r->b, text, where);
    if (value != NULL) {
        value->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    }
    return value;
}

static struct hf_config_value *read_alias(struct reader *r, const yaml_event_t *event)
{
    struct hf_config_where where = where_at(r, event->start_mark);
    hf_config_problem(r->b, &where, NULL,
                      "the alias *%.64s is not supported; what routes share goes to the top level, "
                      "routes inherit it",
                      (const char *)event->data.alias.anchor);
    return hf_config_value_new(r->b, HF_VALUE_BROKEN, where);
}

static struct hf_config_value *read_node(struct reader *r, yaml_event_t *event, unsigned depth);

/* Reads up to the list's end. */
static struct hf_config_value *read_list(struct reader *r, struct hf_config_where where,
                                         unsigned depth)
{
    struct hf_config_value *list = hf_config_value_new(r->b, HF_VALUE_LIST, where);
    while (list != NULL) {
        yaml_event_t event;
        if (!next_event(r, &event)) {
            return NULL;
        }
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return list;
        }
        struct hf_config_value *item = read_node(r, &event, depth + 1);
        if (item == NULL) {
            return NULL;
        }
        if (list->count == HF_CONFIG_LIST_MAX) {
            hf_config_problem(r->b, &item->where, NULL, "the list has more than %d entries",
                              HF_CONFIG_LIST_MAX);
            return NULL;
        }
        hf_config_value_append(list, item);
    }
    return NULL;
}

/* The key may be entered: a plain word that is new to the map. */
static bool check_map_key(struct reader *r, const struct hf_config_value *map,
                          const struct hf_config_value *key)
{
    if (key->kind != HF_VALUE_SCALAR) {
        (void)(key->kind != HF_VALUE_BROKEN &&
               hf_config_wrong_kind(r->b, NULL, key, "a word, where a key is meant"));
        return false;
    }
    if (hf_slice_eq(key->text, HF_LITERAL("<<")) && !key->quoted) {
        hf_config_problem(r->b, &key->where, NULL,
                          "the merge key << is not supported; what routes share goes to the top "
                          "level, routes inherit it");
        return false;
    }
    for (const struct hf_config_value *old = map->first; old != NULL; old = old->next) {
        if (hf_slice_eq(old->key, key->text)) {
            hf_config_problem(
                r->b, &key->where, NULL, "%s is written twice, first at %u:%u; keep one",
                hf_config_shown(r->b, key->text), old->key_where.line, old->key_where.column);
            return false;
        }
    }
    return true;
}

/* One key and its value; false when reading cannot go on. */
static bool read_entry(struct reader *r, struct hf_config_value *map, yaml_event_t *first,
                       unsigned depth)
{
    struct hf_config_value *key = read_node(r, first, depth + 1);
    yaml_event_t event;
    if (key == NULL || !next_event(r, &event)) {
        return false;
    }
    bool wanted = check_map_key(r, map, key);
    struct hf_config_value *value = read_node(r, &event, depth + 1);
    if (value == NULL) {
        return false;
    }
    if (map->count == HF_CONFIG_MAP_MAX) {
        hf_config_problem(r->b, &key->where, NULL, "the map has more than %d keys",
                          HF_CONFIG_MAP_MAX);
        return false;
    }
    if (wanted) {
        value->key = key->text;
        value->key_where = key->where;
        hf_config_value_append(map, value);
    }
    return true;
}

/* Reads up to the map's end. */
static struct hf_config_value *read_map(struct reader *r, struct hf_config_where where,
                                        unsigned depth)
{
    struct hf_config_value *map = hf_config_value_new(r->b, HF_VALUE_MAP, where);
    while (map != NULL) {
        yaml_event_t event;
        if (!next_event(r, &event)) {
            return NULL;
        }
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return map;
        }
        if (!read_entry(r, map, &event, depth)) {
            return NULL;
        }
    }
    return NULL;
}

/* Reads the node that starts with the event, and deletes the event. NULL when reading cannot go on.
 */
static struct hf_config_value *read_node(struct reader *r, yaml_event_t *event, unsigned depth)
{
    struct hf_config_where where = where_at(r, event->start_mark);
    struct hf_config_value *value = NULL;
    yaml_event_type_t type = event->type;

    if (type == YAML_SCALAR_EVENT) {
        value = read_scalar(r, event);
    } else if (type == YAML_ALIAS_EVENT) {
        value = read_alias(r, event);
    } else if (type == YAML_SEQUENCE_START_EVENT) {
        refuse_marks(r, event, event->data.sequence_start.anchor, event->data.sequence_start.tag);
    } else if (type == YAML_MAPPING_START_EVENT) {
        refuse_marks(r, event, event->data.mapping_start.anchor, event->data.mapping_start.tag);
    }
    yaml_event_delete(event);
    if (type != YAML_SEQUENCE_START_EVENT && type != YAML_MAPPING_START_EVENT) {
        return value;
    }
    if (depth >= HF_CONFIG_DEPTH_MAX) {
        hf_config_problem(r->b, &where, NULL, "lists and maps are nested more than %d deep",
                          HF_CONFIG_DEPTH_MAX);
        return NULL;
    }
    return type == YAML_SEQUENCE_START_EVENT ? read_list(r, where, depth)
                                             : read_map(r, where, depth);
}

/* Behind the first document only the end of the file may come. */
static bool read_end(struct reader *r)
{
    yaml_event_t event;
    bool more = true;
    while (more && next_event(r, &event)) {
        struct hf_config_where where = where_at(r, event.start_mark);
        yaml_event_type_t type = event.type;
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT) {
            return true;
        }
        more = type != YAML_DOCUMENT_START_EVENT;
        if (!more) {
            hf_config_problem(r->b, &where, NULL,
                              "a second YAML document starts here; a configuration is one");
        }
    }
    return false;
}

/* The events in front of the first node; an empty file has none. */
static struct hf_config_value *read_document(struct reader *r)
{
    yaml_event_t event;
    while (next_event(r, &event)) {
        yaml_event_type_t type = event.type;
        struct hf_config_where where = where_at(r, event.start_mark);
        if (type == YAML_STREAM_END_EVENT) {
            yaml_event_delete(&event);
            return hf_config_value_new(r->b, HF_VALUE_MAP, where);
        }
        if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT) {
            yaml_event_delete(&event);
            continue;
        }
        struct hf_config_value *root = read_node(r, &event, 0);
        if (root == NULL || !read_end(r)) {
            return NULL;
        }
        if (hf_config_value_is_null(root)) {
            return hf_config_value_new(r->b, HF_VALUE_MAP, where);
        }
        if (root->kind != HF_VALUE_MAP) {
            (void)hf_config_wrong_kind(r->b, "the file", root,
                                       "a map of keys, such as listen: 127.0.0.1:8800");
            return NULL;
        }
        return root;
    }
    return NULL;
}

struct hf_config_value *hf_config_yaml_read(struct hf_config_build *b, struct hf_slice text)
{
    struct reader r = {.b = b, .text = text};
    if (yaml_parser_initialize(&r.parser) == 0) {
        b->no_memory = true;
        return NULL;
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, text.ptr == NULL ? (const uint8_t *)"" : text.ptr,
                                 text.len);
    struct hf_config_value *root = read_document(&r);
    yaml_parser_delete(&r.parser);
    return root;
}
