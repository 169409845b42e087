/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of the watch. They are taken or refused with at least one line that names the file;
 * what is taken has everything that the watch rests on. Rates and quiet windows are read on their
 * way. */
#include "fuzz.h"
#include "watch/settings.h"

#define BYTES_MAX (16 << 20)

static void check_errors(struct hf_slice errors)
{
    struct hf_slice line;
    HF_ASSERT(errors.len > 0 && errors.ptr[errors.len - 1] == '\n');
    while (hf_slice_next(&errors, '\n', &line)) {
        HF_ASSERT(hf_slice_starts(line, HF_LITERAL("watch.yaml")) ||
                  hf_slice_starts(line, HF_LITERAL("there are more errors")));
        HF_ASSERT(hf_slice_find(line, 0) == line.len && hf_slice_find(line, 0x1b) == line.len);
    }
}

static void check_settings(const struct hf_watch_settings *s)
{
    HF_ASSERT(s->target_count > 0);
    for (size_t i = 0; i < s->target_count; i++) {
        const struct hf_watch_target_settings *t = s->targets[i];
        HF_ASSERT(t->name != NULL && t->url != NULL && t->print != NULL && t->connections > 0);
        HF_ASSERT(t->drop_for.count > 0 && t->connect_for.count <= HF_INCIDENT_COUNT_MAX);
        for (size_t w = 0; w < t->quiet.count; w++) {
            HF_ASSERT(t->quiet.items[w].days != 0 && t->quiet.items[w].from < 1440);
            (void)hf_quiet_covers(&t->quiet.items[w], 6, 1439);
        }
    }
    for (size_t i = 0; i < s->channel_count; i++) {
        const struct hf_watch_channel_settings *c = &s->channels[i];
        HF_ASSERT((c->type == HF_CHANNEL_COMMAND) == (c->command.count > 0));
        HF_ASSERT((c->type == HF_CHANNEL_COMMAND) == (c->url == NULL));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct hf_watch_input input = {.file = "watch.yaml"};
    struct hf_watch_settings *settings = NULL;
    struct hf_buffer errors;
    hf_buffer_init(&errors, &hf_heap, BYTES_MAX);
    enum hf_status status =
        hf_watch_settings_read(&input, hf_slice(data, size), &settings, &errors);
    HF_ASSERT((status == HF_OK) == (settings != NULL));
    if (status == HF_OK) {
        HF_ASSERT(errors.len == 0);
        check_settings(settings);
    } else if (status == HF_INVALID) {
        check_errors(hf_buffer_slice(&errors));
    }
    hf_watch_settings_free(settings);
    hf_buffer_reset(&errors);
    return 0;
}
