/* SPDX-License-Identifier: Apache-2.0 */
/* The Prometheus text format: see exposition.h. */
#include "http/exposition.h"

void hf_exposition_family(struct hf_buffer *out, const char *name, const char *type,
                          const char *help)
{
    hf_buffer_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void hf_exposition_label(struct hf_buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            hf_buffer_add_text(out, "\\n");
            continue;
        }
        if (*text == '"' || *text == '\\') {
            hf_buffer_add_byte(out, '\\');
        }
        hf_buffer_add_byte(out, (uint8_t)*text);
    }
}
