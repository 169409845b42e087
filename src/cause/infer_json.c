/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict as JSON: docs/diagnosis.md. */
#include "cause/infer.h"

#include <math.h>

static void add_string(struct hf_buffer *out, const char *text)
{
    (void)hf_buffer_add_byte(out, '"');
    (void)hf_buffer_add_json(out, hf_slice_of(text));
    (void)hf_buffer_add_byte(out, '"');
}

/* JSON has no infinity. */
static double plain(double value)
{
    return isfinite(value) ? value : 0;
}

static void add_causes(const struct hf_verdict *v, struct hf_buffer *out)
{
    (void)hf_buffer_add_text(out, ",\"causes\":[");
    for (size_t i = 0; i < v->cause_count; i++) {
        (void)hf_buffer_add_text(out, i == 0 ? "{\"id\":" : ",{\"id\":");
        add_string(out, v->causes[i].row->id);
        (void)hf_buffer_addf(out, ",\"likelihood\":%.3f}", plain(v->causes[i].likelihood));
    }
    (void)hf_buffer_add_byte(out, ']');
}

static void add_candidates(const struct hf_verdict *v, struct hf_buffer *out)
{
    bool first = true;

    (void)hf_buffer_add_text(out, ",\"candidates\":[");
    for (size_t i = 0; i < v->candidate_count && v->candidates[i].posterior >= 0.005; i++) {
        const struct hf_candidate *c = &v->candidates[i];
        (void)hf_buffer_addf(out, "%s{\"class\":\"%s\",\"likelihood\":%.3f", first ? "" : ",",
                             hf_verdict_class_text(c->class), plain(c->posterior));
        if (c->value > 0 && hf_verdict_unit(c->class)[0] != '\0') {
            (void)hf_buffer_addf(out, ",\"value\":%.6g,\"unit\":\"%s\"", plain(c->value),
                                 hf_verdict_unit(c->class));
        }
        (void)hf_buffer_add_byte(out, '}');
        first = false;
    }
    (void)hf_buffer_add_byte(out, ']');
}

static void add_lines(const struct hf_verdict *v, struct hf_buffer *out)
{
    static const struct {
        int kind;
        const char *key;
    } keys[] = {{HF_LINE_FOR, "for"}, {HF_LINE_AGAINST, "against"}};
    bool first = true;

    (void)hf_buffer_add_text(out, ",\"ruled_out\":[");
    for (size_t i = 0; i < v->line_count; i++) {
        if (v->lines[i].kind == HF_LINE_RULED_OUT) {
            (void)hf_buffer_addf(out, "%s{\"id\":\"%s\",\"why\":", first ? "" : ",",
                                 hf_verdict_class_text(v->lines[i].about));
            add_string(out, hf_verdict_text(v, v->lines[i].text));
            (void)hf_buffer_add_byte(out, '}');
            first = false;
        }
    }
    (void)hf_buffer_add_byte(out, ']');
    for (size_t k = 0; k < 2; k++) {
        (void)hf_buffer_addf(out, ",\"%s\":[", keys[k].key);
        first = true;
        for (size_t i = 0; i < v->line_count; i++) {
            if ((int)v->lines[i].kind == keys[k].kind) {
                (void)hf_buffer_add_text(out, first ? "" : ",");
                add_string(out, hf_verdict_text(v, v->lines[i].text));
                first = false;
            }
        }
        (void)hf_buffer_add_byte(out, ']');
    }
}

static void add_resets(uint16_t resets, struct hf_buffer *out)
{
    static const struct {
        uint16_t bit;
        const char *word;
    } words[] = {
        {HF_RESETS_SENT, "sent"},        {HF_RESETS_GOT, "got"},
        {HF_RESETS_PING_C, "ping_sent"}, {HF_RESETS_PING_S, "ping_got"},
        {HF_RESETS_PONG_C, "pong_sent"}, {HF_RESETS_PONG_S, "pong_got"},
        {HF_RESETS_PACKET, "packet"},    {HF_RESETS_READING, "reading"},
        {HF_RESETS_BOTH, "both"},
    };
    bool first = true;

    (void)hf_buffer_add_text(out, ",\"resets\":[");
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (resets & words[i].bit) {
            (void)hf_buffer_addf(out, "%s\"%s\"", first ? "" : ",", words[i].word);
            first = false;
        }
    }
    (void)hf_buffer_add_byte(out, ']');
}

static void add_value(const struct hf_verdict *v, struct hf_buffer *out)
{
    const struct hf_candidate *c = &v->best;

    if (hf_verdict_unit(c->class)[0] == '\0' ||
        (c->value <= 0 && !(c->class == HF_CLASS_MESSAGE_LIMIT && c->counts_down))) {
        return;
    }
    (void)hf_buffer_addf(out,
                         c->class == HF_CLASS_SIZE_LIMIT || c->class == HF_CLASS_MESSAGE_LIMIT
                             ? ",\"value\":%.0f"
                             : ",\"value\":%.3f",
                         plain(c->value));
    (void)hf_buffer_addf(out, ",\"unit\":\"%s\"", hf_verdict_unit(c->class));
}

void hf_verdict_json_members(const struct hf_verdict *v, struct hf_buffer *out)
{
    const struct hf_candidate *c = &v->best;

    (void)hf_buffer_addf(out, "\"class\":\"%s\"", hf_verdict_class_text(c->class));
    add_value(v, out);
    (void)hf_buffer_addf(out, ",\"confidence\":%.3f", plain(v->confidence));
    add_causes(v, out);
    add_candidates(v, out);
    if (c->class == HF_CLASS_IDLE_TIMER || c->class == HF_CLASS_PONG_TIMEOUT) {
        add_resets(c->resets, out);
    }
    if (c->class == HF_CLASS_MESSAGE_LIMIT) {
        (void)hf_buffer_addf(out, ",\"counts\":\"%s\",\"server_messages\":%.0f",
                             c->counts_down ? "server" : "client", plain(c->server_messages));
        if (c->window > 0) {
            (void)hf_buffer_addf(out, ",\"window_s\":%.3f", plain(c->window));
        }
    }
    if (c->high > 0 && c->class != HF_CLASS_INCONCLUSIVE && hf_verdict_unit(c->class)[0] != '\0') {
        (void)hf_buffer_addf(out, ",\"between\":[%.6g,%.6g]", plain(c->low), plain(c->high));
    }
    if (v->safe_ping_s > 0) {
        (void)hf_buffer_addf(out, ",\"safe_ping_s\":%.3g", plain(v->safe_ping_s));
    }
    add_lines(v, out);
    for (size_t i = 0; i < v->line_count; i++) {
        if (v->lines[i].kind == HF_LINE_NEXT) {
            (void)hf_buffer_add_text(out, ",\"next\":");
            add_string(out, hf_verdict_text(v, v->lines[i].text));
            break;
        }
    }
    (void)hf_buffer_add_text(out, ",\"fix\":");
    add_string(out, hf_verdict_text(v, v->fix));
    (void)hf_buffer_add_text(out, ",\"sentence\":");
    add_string(out, hf_verdict_text(v, v->sentence));
}

void hf_verdict_json(const struct hf_verdict *v, struct hf_buffer *out)
{
    (void)hf_buffer_add_text(out, "{\"v\":1,\"type\":\"verdict\",");
    hf_verdict_json_members(v, out);
    (void)hf_buffer_add_byte(out, '}');
}
