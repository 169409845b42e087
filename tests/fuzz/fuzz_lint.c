/* SPDX-License-Identifier: Apache-2.0 */
/* lint: any bytes as a configuration of each server, which may include itself: it ends, every
 * finding has a place in the text, and reading twice finds the same. The first byte chooses the
 * server. */
#include "fuzz.h"
#include "lint/lint.h"

#define BYTES_MAX (1 << 16)

#define READS_MAX 6 /* more of the same say nothing new */

static struct hf_slice whole;
static unsigned reads;
static const char *const self = "self";

static bool read_self(void *context, const char *path, struct hf_slice *text, const char **why)
{
    *text = whole;
    *why = "there is no such file";
    return strncmp(path, self, 4) == 0 && reads++ < READS_MAX;
}

static size_t find_self(void *context, const char *pattern, const char *const **paths)
{
    *paths = &self;
    return 1;
}

static size_t lines_of(struct hf_slice text)
{
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++) {
        lines += text.ptr[i] == '\n';
    }
    return lines;
}

static size_t lint_once(enum hf_lint_kind kind)
{
    const struct hf_lint_loader loader = {NULL, read_self, find_self};
    const struct hf_lint_options options = {.kind = kind};
    reads = 0;
    struct hf_lint *l = hf_lint_new(&hf_heap, &loader, &options);
    HF_ASSERT(l != NULL && hf_lint_file(l, self) == HF_OK);
    const size_t count = hf_lint_count(l);
    for (size_t i = 0; i < count; i++) {
        const struct hf_lint_finding *f = hf_lint_at(l, i);
        HF_ASSERT(f->line >= 1 && f->line <= lines_of(whole) && f->column >= 1);
        HF_ASSERT(f->text.len <= whole.len && *f->what != '\0' && *f->fix != '\0');
    }
    hf_lint_free(l);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > BYTES_MAX) {
        return 0;
    }
    whole = hf_slice(data + 1, size - 1);
    const enum hf_lint_kind kind = (enum hf_lint_kind)(data[0] % HF_LINT_KINDS);
    HF_ASSERT(lint_once(kind) == lint_once(kind));
    return 0;
}
