/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of logs: the first byte picks a format that is forced, or none; the rest is a file. What is
 * read of a line lies in the line, in the reader's scratch, or is a text of the reader's own. */
#include "fuzz.h"
#include "logs/reader.h"

static volatile uint8_t looked_at; /* so that the reading is not optimised away */

static void check_slice(struct hf_slice s)
{
    for (size_t i = 0; i < s.len; i++) { /* the sanitizer looks at each byte */
        looked_at ^= s.ptr[i];
    }
    HF_ASSERT(s.len <= HF_LOGS_LINE_MAX);
}

static void check_event(const struct hf_logs_event *e)
{
    HF_ASSERT(e->format <= HF_LOGS_FORMATS && e->age >= -1);
    HF_ASSERT(e->bytes_up >= -1 && e->bytes_down >= -1 && e->messages_up >= -1);
    HF_ASSERT(e->kind != HF_LOGS_REFUSED || e->http < 1000 || e->http == 0);
    check_slice(e->path);
    check_slice(e->address);
    check_slice(e->upstream);
    check_slice(e->reason);
    check_slice(e->cause);
    check_slice(e->what);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hf_logs_clock clock = {.zone = 3600, .now = INT64_C(1795656000000000)};
    struct hf_slice rest = hf_slice(data, size);
    struct hf_logs_template template;
    struct hf_logs_reader r;
    const char *why;
    uint8_t first = take_byte(&rest);
    struct hf_slice line;
    bool has_template = false;
    if ((first & 0x80) != 0 && hf_slice_next(&rest, '\n', &line)) {
        has_template = hf_logs_template_init(&template, line, &why);
    }
    unsigned forced = first & 0x0F;
    forced = forced < HF_LOGS_FORMATS ? forced : HF_LOGS_FORMATS;
    HF_ASSERT(hf_logs_reader_init(&r, &hf_heap, (enum hf_logs_format)forced,
                                  has_template ? &template : NULL, clock) == HF_OK);
    while (hf_slice_next(&rest, '\n', &line)) {
        struct hf_logs_event e;
        struct hf_slice copy = exact(line);
        why = NULL;
        if (hf_logs_read(&r, copy, &e, &why) == HF_LOGS_READ) {
            check_event(&e);
        } else {
            HF_ASSERT(why != NULL);
        }
        exact_free(copy);
    }
    hf_logs_reader_fini(&r);
    return 0;
}
