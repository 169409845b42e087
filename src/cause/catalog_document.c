/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue as docs/causes.md, from which tools/make-man makes the manual page. */
#include "cause/catalog.h"

#include "base/status.h"

static void add_line(struct hf_buffer *out, const char *label, const char *text, const char *more)
{
    if (text[0] == '\0' && more[0] == '\0') {
        return;
    }
    hf_buffer_addf(out, "| %s | %s%s%s |\n", label, text,
                   text[0] != '\0' && more[0] != '\0' ? "; " : "", more);
}

static void add_row(struct hf_buffer *out, const struct hf_catalog_row *row)
{
    char value[64], resets[160];
    hf_catalog_value_text(row, value);
    hf_resets_text(row->resets, resets);
    hf_buffer_addf(out, "\n### `%s`\n\n", row->id);
    hf_buffer_addf(out, "| %s | %s |\n|---|---|\n", row->product, row->title);
    hf_buffer_addf(out, "| verdict | %s (%s) |\n", hf_verdict_class_text(row->class),
                   hf_standing_text(row->standing));
    add_line(out, "default", row->default_note[0] != '\0' ? row->default_note : value, "");
    add_line(out, row->resets != 0 ? "reset by" : "note", row->resets != 0 ? resets : "",
             row->resets_note);
    add_line(out, "client sees", row->at_client, "");
    add_line(out, "server sees", row->at_server, "");
    add_line(out, "decided by", row->experiment, "");
    add_line(out, "to do", row->fix, "");
    if (row->fix_line[0] != '\0') {
        hf_buffer_addf(out, "| write | `%s` |\n", row->fix_line);
    }
    add_line(out, "source", row->source, "");
}

enum hf_status hf_catalog_document(struct hf_buffer *out)
{
    static const char *const heads[HF_LAYERS] = {
        [HF_LAYER_CDN] = "Content delivery networks and hosting platforms",
        [HF_LAYER_BALANCER] = "Load balancers and gateways of clouds",
        [HF_LAYER_PROXY] = "Reverse proxies and meshes",
        [HF_LAYER_SERVER] = "Servers and frameworks",
        [HF_LAYER_CLIENT] = "Clients",
        [HF_LAYER_NETWORK] = "The network",
        [HF_LAYER_OPERATION] = "Limits, tokens, protocol, deploys, resources",
    };
    hf_buffer_addf(
        out,
        "<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
        "<!-- Made from the tables in src/cause/catalog_*.c by `test_catalog --document`; a test "
        "compares. -->\n"
        "# Causes\n\n"
        "Why WebSockets end: %zu causes, as `holdfast causes` prints them and as a diagnosis names "
        "them. **Verdict** is the class of\n"
        "[the diagnosis](diagnosis.md#the-verdict), with how well the row is known: *measured* on "
        "the real program, *sourced* from its code, its\n"
        "documentation or a report, or a *hypothesis*, which is never named first. **Default** is "
        "what holds when nothing is configured,\n"
        "**reset by** what sets a timer back, **decided by** the "
        "[experiment](diagnosis.md#experiments) "
        "that tells it from the others, **write**\n"
        "the line of configuration. What a source does not say stands as not found. Numbers are "
        "those of the source's time; your version may differ.\n",
        hf_catalog_count());
    for (unsigned layer = 0; layer < HF_LAYERS; layer++) {
        hf_buffer_addf(out, "\n## %s\n", heads[layer]);
        for (size_t i = 0; i < hf_catalog_count(); i++) {
            if (hf_catalog_at(i)->layer == layer) {
                add_row(out, hf_catalog_at(i));
            }
        }
    }
    return out->failed ? HF_NO_MEMORY : HF_OK;
}
