/* SPDX-License-Identifier: Apache-2.0 */
/* lint: what is wrong for WebSockets in a proxy's configuration. Reads nginx (with its includes,
 * and the output of `nginx -T`), HAProxy and Caddyfiles, and finds what the rules of lint/rules.h
 * say, with the place, the reason and the line to write. Pure: files come through a loader that is
 * handed in. A configuration is believed to be one that its own server accepts; what cannot be read
 * is a finding too (rule `unreadable`), and what could be read is checked all the same.
 *
 * A comment `holdfast-lint: ignore RULE...` takes findings of those rules away: at the end of a
 * line, or on lines of its own above, from the directive there, and from what stands in its block.
 */
#ifndef HF_LINT_LINT_H
#define HF_LINT_LINT_H

#include "base/alloc.h"
#include "base/slice.h"
#include "base/status.h"
#include "lint/rules.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hf_lint_kind { HF_LINT_AUTO, HF_LINT_NGINX, HF_LINT_HAPROXY, HF_LINT_CADDY, HF_LINT_KINDS };
/* auto nginx haproxy caddy */
const char *hf_lint_kind_text(enum hf_lint_kind kind);
/* HF_LINT_KINDS when it is none. */
enum hf_lint_kind hf_lint_kind_from(struct hf_slice text);
/* By the file's name, then by what stands in it; never AUTO. */
enum hf_lint_kind hf_lint_guess(struct hf_slice path, struct hf_slice text);

/* How files are reached. Both answers stay valid until the lint is freed. */
struct hf_lint_loader {
    void *context;
    /* The file's whole text; false: *why says what the matter is. */
    bool (*read)(void *context, const char *path, struct hf_slice *text, const char **why);
    /* The paths that a pattern with *, ? and [] names, sorted; count 0 when there is none. */
    size_t (*glob)(void *context, const char *pattern, const char *const **paths);
};

#define HF_LINT_FILES 1024
#define HF_LINT_BYTES (64u << 20) /* of all files together */
#define HF_LINT_FINDINGS 10000
#define HF_LINT_MEMORY ((size_t)512 << 20) /* of all that is understood of the files */
#define HF_LINT_DEPTH 64                   /* of blocks, and of includes */

struct hf_lint_finding {
    enum hf_lint_rule rule;
    const char *file;
    uint32_t line, column; /* from 1 */
    const char *where;     /* the block it is about: "location /ws/"; "" */
    const char *what;      /* a sentence with the names and numbers of this place */
    const char *fix;       /* the line to write here */
    struct hf_slice text;  /* the line of the file, without its newline */
};

struct hf_lint_options {
    enum hf_lint_kind kind; /* AUTO: guessed for each file */
    const char *prefix; /* relative includes of nginx begin here; NULL: the main file's folder */
    const char *const *paths; /* what else is a WebSocket path; NULL-terminated; may be NULL */
};

struct hf_lint;
/* The loader is copied; its context outlives the lint. NULL: no memory. */
struct hf_lint *hf_lint_new(const struct hf_allocator *alloc, const struct hf_lint_loader *loader,
                            const struct hf_lint_options *options);
void hf_lint_free(struct hf_lint *l);
/* One file with all that it includes. May be called for several. */
HF_MUST_USE enum hf_status hf_lint_file(struct hf_lint *l, const char *path);
/* There are HF_LINT_FINDINGS: the rest is not looked at. */
bool hf_lint_is_full(const struct hf_lint *l);
/* Findings in the order of files and lines, without those that were suppressed. */
size_t hf_lint_count(const struct hf_lint *l);
const struct hf_lint_finding *hf_lint_at(const struct hf_lint *l, size_t index);
size_t hf_lint_suppressed(const struct hf_lint *l);
size_t hf_lint_files(const struct hf_lint *l); /* that were read, includes too */
/* Places that proxy WebSockets, as far as it was seen; 0 says that there was nothing to check. */
size_t hf_lint_websocket_places(const struct hf_lint *l);

#endif
