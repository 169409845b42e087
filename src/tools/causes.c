/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast causes: the catalogue of why WebSockets end, as a list, one row in full, or as JSON. */
#include "cause/catalog.h"
#include "config/keys.h"
#include "tools/say.h"
#include "tools/tools.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SHOWN = 0, NOTHING_FOUND = 1, USAGE = 2 };
enum { JSON = 256, NO_COLOR };
#define NEAR_MAX 5   /* names that are offered for one that is not known */
#define TEXT_MAX 100 /* columns of running text */
#define LABEL_WIDTH 14

struct causes_command {
    struct hf_say say;
    enum hf_layer layer;         /* HF_LAYERS: any */
    enum hf_verdict_class class; /* HF_CLASSES: any */
    const char *search;          /* NULL: anything */
    unsigned columns;
};

static void print_help(void)
{
    fputs(
        "usage: holdfast causes [OPTION]... [ID]...\n\n"
        "Lists the known causes of a WebSocket's end, or tells all about those that are named.\n\n"
        "  -l, --layer LAYER   only of: cdn balancer proxy server client network operation\n"
        "  -c, --class CLASS   only what a diagnosis calls so: idle_timer lifetime message_limit\n"
        "                      size_limit restart pong_timeout blocked_server network handshake, "
        "or\n"
        "                      none for what ends nothing by itself\n"
        "  -s, --search TEXT   only where TEXT stands in the row, upper or lower case\n"
        "      --json          one JSON object a line\n"
        "      --no-color      no colours (also: NO_COLOR in the environment)\n"
        "  -h, --help          print this\n\n"
        "Exit code: 0, 1 when no row fits, 2 for a mistake in the words.\n",
        stdout);
}

/* ---- what is asked for -------------------------------------------------------------------------
 */

static bool has_text(const struct hf_catalog_row *row, struct hf_slice part)
{
    const char *const texts[] = {row->id,           row->product,     row->title,
                                 row->default_note, row->resets_note, row->at_client,
                                 row->at_server,    row->experiment,  row->fix,
                                 row->fix_line,     row->source,      row->reason};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i] != NULL && hf_slice_contains_nocase(hf_slice_of(texts[i]), part)) {
            return true;
        }
    }
    return false;
}

static bool is_wanted(const struct causes_command *c, const struct hf_catalog_row *row)
{
    return (c->layer == HF_LAYERS || row->layer == c->layer) &&
           (c->class == HF_CLASSES || row->class == c->class) &&
           (c->search == NULL || has_text(row, hf_slice_of(c->search)));
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static void add_hows(struct hf_buffer *out, const struct hf_catalog_row *row)
{
    const char *comma = "";
    hf_buffer_add_text(out, ",\"how\":[");
    for (unsigned how = 0; how < HF_HOW_KINDS; how++) {
        if (row->how & 1u << how) {
            hf_buffer_addf(out, "%s\"%s\"", comma, hf_trial_how_text((enum hf_trial_how)how));
            comma = ",";
        }
    }
    hf_buffer_add_text(out, "]");
}

static void add_codes(struct hf_buffer *out, const struct hf_catalog_row *row)
{
    hf_buffer_add_text(out, ",\"codes\":[");
    if (row->code != 0) {
        hf_buffer_addf(out, row->code_also != 0 ? "%u,%u" : "%u", row->code, row->code_also);
    }
    hf_buffer_add_text(out, "]");
}

static void print_json(struct causes_command *c, const struct hf_catalog_row *row)
{
    char resets[160];
    struct hf_buffer *out = hf_say_begin(&c->say, "cause");
    hf_resets_text(row->resets, resets);
    hf_json_string(out, "id", row->id);
    hf_json_string(out, "product", row->product);
    hf_json_string(out, "title", row->title);
    hf_json_string(out, "layer", hf_layer_text(row->layer));
    hf_json_string(out, "standing", hf_standing_text(row->standing));
    hf_json_string(out, "class", hf_verdict_class_text(row->class));
    if (row->value_max > 0) {
        const char *unit = hf_verdict_unit(row->class);
        hf_buffer_addf(out, ",\"default_min\":%.10g,\"default_max\":%.10g", row->value_min,
                       row->value_max);
        hf_json_string(out, "unit", unit[0] == '\0' ? "s" : unit);
    }
    hf_json_string(out, "default", row->default_note);
    hf_json_bool(out, "fixed", row->fixed);
    hf_json_string(out, "resets", resets);
    hf_json_string(out, "resets_note", row->resets_note);
    hf_json_string(out, "at_client", row->at_client);
    hf_json_string(out, "at_server", row->at_server);
    add_hows(out, row);
    add_codes(out, row);
    if (row->reason != NULL) {
        hf_json_string(out, "reason", row->reason);
    }
    if (row->http != 0) {
        hf_json_number(out, "http", row->http);
    }
    hf_json_string(out, "experiment", row->experiment);
    hf_json_string(out, "fix", row->fix);
    hf_json_string(out, "fix_line", row->fix_line);
    hf_json_string(out, "source", row->source);
    hf_say_end(&c->say);
}

/* ---- for people --------------------------------------------------------------------------------
 */

/* A label, and the text beside it, folded between words. */
static void print_field(struct causes_command *c, const char *label, const char *text)
{
    unsigned width = (c->columns < TEXT_MAX ? c->columns : TEXT_MAX) - LABEL_WIDTH;
    struct hf_slice rest = hf_slice_of(text);
    while (rest.len > 0) {
        size_t take = rest.len;
        if (take > width) { /* the last space that fits; a longer word stays whole */
            take = width;
            while (take > 0 && rest.ptr[take] != ' ') {
                take--;
            }
            if (take == 0) {
                take = hf_slice_find(rest, ' ');
            }
        }
        hf_say_line(&c->say, "%s%-*s%s%.*s", hf_say_paint(&c->say, HF_PAINT_GREY), LABEL_WIDTH,
                    label, hf_say_paint(&c->say, HF_PAINT_PLAIN),
                    HF_SLICE_ARG(hf_slice_first(rest, take)));
        rest = hf_slice_trim(hf_slice_from(rest, take));
        label = "";
    }
}

static void join(char *out, size_t size, const char *first, const char *second)
{
    snprintf(out, size, "%s%s%s", first, first[0] != '\0' && second[0] != '\0' ? "; " : "", second);
}

static void print_whole(struct causes_command *c, const struct hf_catalog_row *row)
{
    char value[64], resets[160], text[512];
    hf_catalog_value_text(row, value);
    hf_resets_text(row->resets, resets);
    hf_say_line(&c->say, "%s%s%s: %s", hf_say_paint(&c->say, HF_PAINT_BOLD), row->id,
                hf_say_paint(&c->say, HF_PAINT_PLAIN), row->title);
    print_field(c, "  product", row->product);
    snprintf(text, sizeof(text), "%s (%s)", hf_layer_text(row->layer),
             hf_standing_text(row->standing));
    print_field(c, "  layer", text);
    print_field(c, "  verdict",
                row->class == HF_CLASS_NONE ? "none: it ends nothing by itself"
                                            : hf_verdict_class_text(row->class));
    print_field(c, "  default", row->default_note[0] != '\0' ? row->default_note : value);
    if (row->resets != 0) {
        join(text, sizeof(text), resets, row->resets_note);
        print_field(c, "  reset by", text);
    } else {
        print_field(c, "  note", row->resets_note);
    }
    print_field(c, "  client sees", row->at_client);
    print_field(c, "  server sees", row->at_server);
    print_field(c, "  decided by", row->experiment);
    print_field(c, "  to do", row->fix);
    print_field(c, "  write", row->fix_line);
    print_field(c, "  source", row->source);
}

static void list_head(struct causes_command *c, enum hf_layer layer)
{
    hf_say_line(&c->say, "%s%s%s", hf_say_paint(&c->say, HF_PAINT_BOLD), hf_layer_text(layer),
                hf_say_paint(&c->say, HF_PAINT_PLAIN));
}

static void print_in_list(struct causes_command *c, const struct hf_catalog_row *row, int width)
{
    char line[256];
    snprintf(line, sizeof(line), "  %-*s  %-14s  %s", width, row->id,
             hf_verdict_class_text(row->class), row->title);
    if (strlen(line) > c->columns) { /* the ellipsis is three bytes and one column */
        memcpy(line + c->columns - 1, "\xE2\x80\xA6", 4);
    }
    hf_say_line(&c->say, "%s", line);
}

static size_t print_list(struct causes_command *c)
{
    size_t shown = 0;
    int width = 0;
    for (size_t i = 0; i < hf_catalog_count(); i++) {
        const struct hf_catalog_row *row = hf_catalog_at(i);
        int length = (int)strlen(row->id);
        width = is_wanted(c, row) && length > width ? length : width;
    }
    for (unsigned layer = 0; layer < HF_LAYERS; layer++) {
        bool first = true;
        for (size_t i = 0; i < hf_catalog_count(); i++) {
            const struct hf_catalog_row *row = hf_catalog_at(i);
            if (row->layer != layer || !is_wanted(c, row)) {
                continue;
            }
            if (first) {
                list_head(c, row->layer);
                first = false;
            }
            print_in_list(c, row, width);
            shown++;
        }
    }
    return shown;
}

static size_t print_all_json(struct causes_command *c)
{
    size_t shown = 0;
    for (size_t i = 0; i < hf_catalog_count(); i++) {
        if (is_wanted(c, hf_catalog_at(i))) {
            print_json(c, hf_catalog_at(i));
            shown++;
        }
    }
    return shown;
}

/* ---- words -------------------------------------------------------------------------------------
 */

/* How far a name is from what was asked; rows that have the word in them are nearest. */
static size_t distance_of(const struct hf_catalog_row *row, struct hf_slice asked)
{
    size_t apart = hf_config_distance(asked, hf_slice_of(row->id));
    return hf_slice_contains_nocase(hf_slice_of(row->id), asked)        ? 0
           : hf_slice_contains_nocase(hf_slice_of(row->product), asked) ? 1
           : apart <= 1 + asked.len / 3                                 ? apart + 1
                                                                        : SIZE_MAX;
}

static void complain_of_id(struct causes_command *c, const char *id)
{
    const struct hf_catalog_row *near[NEAR_MAX];
    size_t count = 0;
    struct hf_slice asked = hf_slice_of(id);
    struct hf_buffer names;
    for (size_t i = 0; asked.len > 0 && i < hf_catalog_count(); i++) {
        const struct hf_catalog_row *row = hf_catalog_at(i);
        size_t at = count;
        while (at > 0 && distance_of(row, asked) < distance_of(near[at - 1], asked)) {
            at--;
        }
        if (at == NEAR_MAX || distance_of(row, asked) == SIZE_MAX) {
            continue;
        }
        count += count < NEAR_MAX;
        memmove(&near[at + 1], &near[at], (count - 1 - at) * sizeof(near[0]));
        near[at] = row;
    }
    hf_buffer_init(&names, &hf_heap, 4096);
    for (size_t i = 0; i < count; i++) {
        hf_buffer_addf(&names, "%s%s", i == 0 ? "; the nearest: " : ", ", near[i]->id);
    }
    hf_say_complain(&c->say, "no cause \"%s\"%.*s; `holdfast causes` lists all", id,
                    HF_SLICE_ARG(hf_buffer_slice(&names)));
    hf_buffer_reset(&names);
}

static int run(struct causes_command *c, char **ids)
{
    for (char **id = ids; *id != NULL; id++) { /* all are known, or nothing is printed */
        if (hf_catalog_find(hf_slice_of(*id)) == NULL) {
            complain_of_id(c, *id);
            return USAGE;
        }
    }
    if (*ids == NULL) {
        size_t shown = c->say.json ? print_all_json(c) : print_list(c);
        if (shown == 0) {
            hf_say_complain(&c->say, "no row of the catalogue fits");
        }
        return shown > 0 ? SHOWN : NOTHING_FOUND;
    }
    for (char **id = ids; *id != NULL; id++) {
        const struct hf_catalog_row *row = hf_catalog_find(hf_slice_of(*id));
        if (c->say.json) {
            print_json(c, row);
            continue;
        }
        if (id != ids) {
            hf_say_line(&c->say, "%s", "");
        }
        print_whole(c, row);
    }
    return SHOWN;
}

/* An exit code, or -1 to go on. */
static int read_words(struct causes_command *c, int argc, char **argv, bool *json, bool *color)
{
    static const struct option options[] = {
        {"layer", required_argument, NULL, 'l'},
        {"class", required_argument, NULL, 'c'},
        {"search", required_argument, NULL, 's'},
        {"json", no_argument, NULL, JSON},
        {"no-color", no_argument, NULL, NO_COLOR},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "l:c:s:h", options, NULL)) != -1) {
        switch (option) {
        case 'l':
            c->layer = hf_layer_from(hf_slice_of(optarg));
            if (c->layer == HF_LAYERS) {
                fprintf(stderr,
                        "holdfast causes: --layer: \"%s\" is none of cdn balancer proxy server "
                        "client network operation\n",
                        optarg);
                return USAGE;
            }
            break;
        case 'c':
            c->class = hf_verdict_class_from(hf_slice_of(optarg));
            if (c->class == HF_CLASSES) {
                fprintf(stderr,
                        "holdfast causes: --class: \"%s\" is no class of a verdict; --help lists "
                        "them\n",
                        optarg);
                return USAGE;
            }
            break;
        case 's':
            c->search = optarg;
            break;
        case JSON:
            *json = true;
            break;
        case NO_COLOR:
            *color = false;
            break;
        case 'h':
            print_help();
            return SHOWN;
        default:
            fputs("holdfast causes: `holdfast causes --help` lists the options\n", stderr);
            return USAGE;
        }
    }
    return -1;
}

int hf_tool_causes(int argc, char **argv)
{
    struct causes_command c = {.layer = HF_LAYERS, .class = HF_CLASSES};
    bool json = false, color = true;
    unsigned rows;
    int code = read_words(&c, argc, argv, &json, &color);
    if (code >= 0) {
        return code;
    }
    hf_say_init(&c.say, "causes", json, color);
    hf_say_size(&c.columns, &rows);
    if (!isatty(STDOUT_FILENO)) { /* for a file or a filter nothing is cut */
        c.columns = 120;
    }
    c.columns = c.columns < 60 ? 60 : c.columns;
    code = run(&c, argv + optind);
    hf_say_fini(&c.say);
    return code;
}
