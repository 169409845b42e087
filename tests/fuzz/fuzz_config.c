/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration file. It is taken or refused with at least one line that names the file; what is
 * taken is printed as a file that is taken too and is printed the same. */
#include "fuzz.h"
#include "config/config.h"

#define BYTES_MAX (16 << 20)

/* Every error is a line that says where. */
static void check_errors(struct hf_slice errors)
{
    struct hf_slice line;

    HF_ASSERT(errors.len > 0 && errors.ptr[errors.len - 1] == '\n');
    while (hf_slice_next(&errors, '\n', &line)) {
        HF_ASSERT(hf_slice_starts(line, HF_LITERAL("holdfast.yaml")));
        HF_ASSERT(hf_slice_find(line, 0) == line.len && hf_slice_find(line, 0x1b) == line.len);
    }
}

static void check_printed(const struct hf_config *config)
{
    struct hf_buffer once;
    struct hf_buffer twice;
    struct hf_buffer errors;
    struct hf_buffer warnings;
    struct hf_config *again;

    hf_buffer_init(&once, &hf_heap, BYTES_MAX);
    hf_buffer_init(&twice, &hf_heap, BYTES_MAX);
    hf_buffer_init(&errors, &hf_heap, BYTES_MAX);
    hf_buffer_init(&warnings, &hf_heap, BYTES_MAX);
    HF_ASSERT(hf_config_warnings(config, &warnings) == HF_OK);
    HF_ASSERT(hf_config_print(config, &once) == HF_OK);
    HF_ASSERT(hf_config_parse_text(hf_buffer_slice(&once), &again, &errors) == HF_OK);
    HF_ASSERT(hf_config_print(again, &twice) == HF_OK);
    HF_ASSERT(hf_slice_eq(hf_buffer_slice(&once), hf_buffer_slice(&twice)));
    hf_config_unref(again);
    hf_buffer_reset(&once);
    hf_buffer_reset(&twice);
    hf_buffer_reset(&errors);
    hf_buffer_reset(&warnings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_config *config = NULL;
    struct hf_buffer errors;
    enum hf_status status;

    hf_buffer_init(&errors, &hf_heap, BYTES_MAX);
    status = hf_config_parse_text(hf_slice(data, size), &config, &errors);
    HF_ASSERT((status == HF_OK) == (config != NULL));
    if (status == HF_OK) {
        HF_ASSERT(errors.len == 0 && config->route_count > 0);
        check_printed(config);
    } else {
        check_errors(hf_buffer_slice(&errors));
    }
    hf_config_unref(config);
    hf_buffer_reset(&errors);
    return 0;
}
