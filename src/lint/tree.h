/* SPDX-License-Identifier: Apache-2.0 */
/* What the parsers make and the rules walk: directives with their words, in the blocks they stand
 * in; and the inside of a lint, which lint.c owns. */
#ifndef HF_LINT_TREE_H
#define HF_LINT_TREE_H

#include "base/buffer.h"
#include "lint/lint.h"

#define LINT_CHUNK 65536

struct lint_source {
    const char *path;
    struct hf_slice text;
};

/* A directive. The root has no words. */
struct lint_node {
    struct lint_node *parent, *first, *last, *next;
    const struct hf_slice *words; /* without quotes; words[0] is the directive's name */
    size_t count;
    const struct lint_source *source;
    uint32_t line, column;
    bool block;       /* it has braces, or is a section */
    bool websocket;   /* a rule found that WebSockets go through here */
    uint64_t ignored; /* 1 << rule that a comment takes away here and below */
};

/* Where a parser stands in a file. line is from 1. */
struct lint_cursor {
    const struct lint_source *source;
    size_t at;
    uint32_t line;
    size_t line_start; /* offset at which the line begins */
};

struct lint_chunk;

struct hf_lint {
    const struct hf_allocator *alloc;
    struct hf_lint_loader loader;
    struct hf_lint_options options;
    struct lint_chunk *chunks; /* all memory of the lint */
    size_t used;               /* of the newest chunk */
    struct hf_lint_finding *findings;
    size_t finding_count, finding_cap;
    size_t suppressed, files, places;
    size_t bytes; /* of all files read */
    bool failed;  /* no memory */
    size_t
        memory; /* of all chunks; at most HF_LINT_MEMORY: files that include each other multiply */
    /* Where line_of stands. */
    const uint8_t *line_text;
    uint32_t line;
    struct hf_slice line_rest, line_piece;
};

/* Memory that lives as long as the lint, zeroed; NULL and l->failed on no memory. */
void *lint_alloc(struct hf_lint *l, size_t size);
/* A text that lives as long as the lint; "" on no memory. */
const char *lint_text(struct hf_lint *l, const char *format, ...) HF_PRINTF(2, 3);
/* Reads a file, within the limits; false: *why. Counts it. */
bool lint_read(struct hf_lint *l, const char *path, struct hf_slice *text, const char **why);

/* The new last child of parent; NULL on no memory. The words are copied, not their bytes. */
struct lint_node *lint_node_add(struct hf_lint *l, struct lint_node *parent,
                                const struct lint_source *source, uint32_t line, uint32_t column,
                                const struct hf_slice *words, size_t count);
bool lint_node_is(const struct lint_node *n, const char *name);
/* The word, or an empty slice. */
struct hf_slice lint_node_word(const struct lint_node *n, size_t index);
/* The next node in the order of the text, below `top`; begin with n == top. NULL at the end. */
struct lint_node *lint_node_walk(struct lint_node *top, struct lint_node *n);
/* The first child with that name behind `after` (NULL: from the first). */
struct lint_node *lint_node_child(const struct lint_node *n, const char *name,
                                  const struct lint_node *after);

/* The rules that a comment (without its #) names behind "holdfast-lint: ignore"; an unknown name is
 * a finding. */
uint64_t lint_ignored_by(struct hf_lint *l, struct hf_slice comment,
                         const struct lint_source *source, uint32_t line);

/* The byte at the cursor; -1: the end. */
int lint_peek(const struct lint_cursor *c);
void lint_step(struct lint_cursor *c);
/* From 1. */
uint32_t lint_column(const struct lint_cursor *c);
/* Goes on to the end of the line, and says what the comment there takes away. */
uint64_t lint_take_comment(struct hf_lint *l, struct lint_cursor *c);

/* A finding at a node; once for each rule and place, and not where it is ignored. fix NULL: the
 * rule's. */
void lint_find(struct hf_lint *l, enum hf_lint_rule rule, const struct lint_node *at,
               const char *where, const char *fix, const char *format, ...) HF_PRINTF(6, 7);
/* A finding of UNREADABLE. */
void lint_unreadable(struct hf_lint *l, const struct lint_source *source, uint32_t line,
                     uint32_t column, const char *format, ...) HF_PRINTF(5, 6);

/* Whether a path is one that WebSockets are usually found at, or one of the options' paths. */
bool lint_is_websocket_path(const struct hf_lint *l, struct hf_slice path);
/* Whether it belongs to Socket.IO or SockJS, whose sessions need one server. */
bool lint_is_sticky_path(struct hf_slice path);
/* Alike in upper or lower case. */
bool lint_is_text(struct hf_slice s, const char *text);
bool lint_contains_nocase(struct hf_slice text, const char *part);
/* A whole number in front of *s, which is moved behind it; false when there is none. */
bool lint_take_number(struct hf_slice *s, uint64_t *value);

void lint_nginx(struct hf_lint *l, const char *path, struct hf_slice text);
void lint_nginx_rules(struct hf_lint *l, struct lint_node *root);
void lint_haproxy(struct hf_lint *l, const char *path, struct hf_slice text);
void lint_caddy(struct hf_lint *l, const char *path, struct hf_slice text);

#endif
