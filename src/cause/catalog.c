/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue as one list, and its words. */
#include "cause/catalog_rows.h"

#include "base/status.h"

#include <stdio.h>

static const struct hf_catalog_part *const parts[] = {
    &hf_catalog_cdn,    &hf_catalog_balancer,  &hf_catalog_proxy,  &hf_catalog_mesh,
    &hf_catalog_server, &hf_catalog_framework, &hf_catalog_client, &hf_catalog_operation,
};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

size_t hf_catalog_count(void)
{
    size_t count = 0;
    for (size_t i = 0; i < PARTS; i++) {
        count += parts[i]->count;
    }
    return count;
}

const struct hf_catalog_row *hf_catalog_at(size_t index)
{
    size_t part = 0;
    while (index >= parts[part]->count) {
        index -= parts[part++]->count;
        HF_ASSERT(part < PARTS);
    }
    return &parts[part]->rows[index];
}

const struct hf_catalog_row *hf_catalog_find(struct hf_slice id)
{
    for (size_t i = 0; i < PARTS; i++) {
        for (size_t k = 0; k < parts[i]->count; k++) {
            if (hf_slice_eq(id, hf_slice_of(parts[i]->rows[k].id))) {
                return &parts[i]->rows[k];
            }
        }
    }
    return NULL;
}

const char *hf_layer_text(enum hf_layer layer)
{
    static const char *const texts[HF_LAYERS] = {"cdn",    "balancer", "proxy",    "server",
                                                 "client", "network",  "operation"};
    HF_ASSERT((unsigned)layer < HF_LAYERS);
    return texts[layer];
}

enum hf_layer hf_layer_from(struct hf_slice text)
{
    unsigned layer = 0;
    while (layer < HF_LAYERS && !hf_slice_eq(text, hf_slice_of(hf_layer_text(layer)))) {
        layer++;
    }
    return (enum hf_layer)layer;
}

const char *hf_standing_text(enum hf_standing standing)
{
    static const char *const texts[] = {"measured", "sourced", "hypothesis"};
    HF_ASSERT((unsigned)standing < sizeof(texts) / sizeof(texts[0]));
    return texts[standing];
}

/* Appends a word, with what goes between two of them; what does not fit is left out. */
static void add_word(char text[160], const char *word)
{
    size_t used = strlen(text);
    snprintf(text + used, 160 - used, "%s%s", used == 0 ? "" : ", ", word);
}

static void add_bytes(char text[160], uint16_t bits)
{
    static const struct {
        uint16_t bit;
        const char *word;
    } words[] = {
        {HF_RESETS_SENT, "the client's messages"}, {HF_RESETS_GOT, "the server's messages"},
        {HF_RESETS_PING_C, "the client's pings"},  {HF_RESETS_PING_S, "the server's pings"},
        {HF_RESETS_PONG_C, "the client's pongs"},  {HF_RESETS_PONG_S, "the server's pongs"},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (bits & words[i].bit) {
            add_word(text, words[i].word);
        }
    }
}

void hf_resets_text(uint16_t resets, char text[160])
{
    uint16_t bytes = resets & HF_RESETS_ANY_BYTE;
    text[0] = '\0';
    if (resets & HF_RESETS_PACKET) {
        add_word(text, "any packet, either way");
    } else if (resets & HF_RESETS_BOTH) {
        add_word(text, "bytes both ways, each with a timer of its own");
    } else if (bytes == HF_RESETS_ANY_BYTE) {
        add_word(text, "any byte, either way");
    } else if (bytes == HF_RESETS_UP) {
        add_word(text, "any byte from the client");
    } else if (bytes == HF_RESETS_DOWN) {
        add_word(text, "any byte from the server");
    } else {
        add_bytes(text, bytes);
        if (bytes != 0 && (bytes & (bytes - 1)) == 0) {
            add_word(text, "nothing else");
        }
    }
    if (resets & HF_RESETS_READING) {
        add_word(text, "the other side's reading");
    }
    if (resets == 0) {
        add_word(text, "nothing");
    }
}

/* In the largest unit that leaves it whole. */
static const char *size_text(double bytes, char text[32])
{
    uint64_t size = (uint64_t)bytes;
    if (size % (1 << 20) == 0) {
        snprintf(text, 32, "%llu MiB", (unsigned long long)(size >> 20));
    } else if (size % (1 << 10) == 0) {
        snprintf(text, 32, "%llu KiB", (unsigned long long)(size >> 10));
    } else {
        snprintf(text, 32, "%llu bytes", (unsigned long long)size);
    }
    return text;
}

void hf_catalog_value_text(const struct hf_catalog_row *row, char text[64])
{
    const char *unit = hf_verdict_unit(row->class);
    char low[32], high[32];
    text[0] = '\0';
    if (row->value_max <= 0) {
        return;
    }
    if (strcmp(unit, "bytes") == 0) {
        size_text(row->value_min, low);
        size_text(row->value_max, high);
        unit = "";
    } else { /* a row of a class without a unit tells of a time */
        snprintf(low, sizeof(low), "%.10g", row->value_min);
        snprintf(high, sizeof(high), "%.10g", row->value_max);
        unit = unit[0] == '\0' ? " s" : strcmp(unit, "s") == 0 ? " s" : " messages";
    }
    if (row->value_min < row->value_max) {
        snprintf(text, 64, "%.24s to %.24s%s", low, high, unit);
    } else {
        snprintf(text, 64, "%s%s", low, unit);
    }
}
