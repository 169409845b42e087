/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of strangers and lengths of time, as pages show them. */
#include "report/report.h"

void hf_report_escape(struct hf_buffer *out, struct hf_slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        switch (s.ptr[i]) {
        case '&':
            hf_buffer_add_text(out, "&amp;");
            break;
        case '<':
            hf_buffer_add_text(out, "&lt;");
            break;
        case '>':
            hf_buffer_add_text(out, "&gt;");
            break;
        case '"':
            hf_buffer_add_text(out, "&quot;");
            break;
        case '\'':
            hf_buffer_add_text(out, "&#39;");
            break;
        default:
            hf_buffer_add_byte(
                out, (s.ptr[i] < 0x20 && s.ptr[i] != '\n') || s.ptr[i] == 0x7f ? ' ' : s.ptr[i]);
        }
    }
}

void hf_report_duration(struct hf_buffer *out, hf_time value)
{
    const double s = (double)value / 1e6;
    if (s < 1) {
        hf_buffer_addf(out, "%.0f ms", s * 1000);
    } else if (s < 100) {
        hf_buffer_addf(out, s < 10 ? "%.2f s" : "%.1f s", s);
    } else if (s < 600) {
        hf_buffer_addf(out, "%.0f s", s);
    } else if (s < 7200) {
        hf_buffer_addf(out, "%.0f min", s / 60);
    } else {
        hf_buffer_addf(out, "%.1f h", s / 3600);
    }
}
