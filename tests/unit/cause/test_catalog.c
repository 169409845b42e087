/* SPDX-License-Identifier: Apache-2.0 */
/* The catalogue: every row is whole, unambiguous and agrees with itself.
 * `test_catalog --document` writes docs/causes.md to standard output. */
#include "cause/catalog.h"
#include "cause/hosting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
/* cmocka needs the four above. */
#include <cmocka.h>

#define ROWS_PROMISED 152

/* Fails with the row's id. */
#define assert_row(row, what)                                                                      \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fail_msg("%s: %s", (row)->id, #what);                                                  \
        }                                                                                          \
    } while (0)

static void the_catalogue_has_every_row_that_was_promised(void **state)
{
    /* Public ids: a row may be added, none may vanish or change its name. */
    static const char *const some[] = {
        "cf-idle-100s",
        "cf-edge-restart",
        "aws-alb-idle-60s",
        "gcp-lb-30s-lifetime",
        "nginx-proxy-read-60s",
        "haproxy-tunnel",
        "uvicorn-ping-20-20",
        "daphne-ping-20-30",
        "gunicorn-worker-timeout",
        "node-ws-heartbeat",
        "app-ratelimit-chunks",
        "deploy-restart",
        "nat-idle",
        "origin-host-check",
        "proto-1009",
        "page-navigation",
    };
    assert_true(hf_catalog_count() >= ROWS_PROMISED);
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
        const struct hf_catalog_row *row = hf_catalog_find(hf_slice_of(some[i]));
        assert_non_null(row);
        assert_string_equal(row->id, some[i]);
    }
    assert_null(hf_catalog_find(HF_LITERAL("nginx")));
    assert_null(hf_catalog_find(HF_LITERAL("")));
}

static void every_id_is_lower_case_and_stands_once(void **state)
{
    for (size_t i = 0; i < hf_catalog_count(); i++) {
        const struct hf_catalog_row *row = hf_catalog_at(i);
        assert_row(row,
                   strspn(row->id, "abcdefghijklmnopqrstuvwxyz0123456789-.") == strlen(row->id));
        assert_row(row, strlen(row->id) >= 4 && strlen(row->id) <= 32);
        for (size_t k = i + 1; k < hf_catalog_count(); k++) {
            assert_row(row, strcmp(row->id, hf_catalog_at(k)->id) != 0);
        }
        assert_row(row, hf_catalog_find(hf_slice_of(row->id)) == row);
    }
}

/* Printable, without spaces at the ends or two in a row. */
static bool is_tidy(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (strchr("|`*<", text[i]) != NULL || text[i] < ' ' || text[i] > '~' ||
            (text[i] == ' ' && text[i + 1] == ' ')) {
            return false;
        }
    }
    return len == 0 || (text[0] != ' ' && text[len - 1] != ' ');
}

static void every_text_of_every_row_is_there_and_tidy(void **state)
{
    for (size_t i = 0; i < hf_catalog_count(); i++) {
        const struct hf_catalog_row *row = hf_catalog_at(i);
        const char *const texts[] = {
            row->product,   row->title,      row->default_note, row->resets_note, row->at_client,
            row->at_server, row->experiment, row->fix,          row->fix_line,    row->source};
        for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
            assert_row(row, texts[k] != NULL);
            assert_row(row, is_tidy(texts[k]));
        }
        assert_row(row, row->product[0] != '\0' && row->title[0] != '\0');
        assert_row(row, row->at_client[0] != '\0' && row->experiment[0] != '\0');
        assert_row(row, row->fix[strlen(row->fix) - 1] == '.');
        assert_row(row, row->reason == NULL || row->reason[0] != '\0');
    }
}

static void every_row_has_a_source_or_says_that_it_is_a_hypothesis(void **state)
{
    for (size_t i = 0; i < hf_catalog_count(); i++) {
        const struct hf_catalog_row *row = hf_catalog_at(i);
        bool is_measured = strstr(row->source, "measured") != NULL;
        assert_row(row, (row->source[0] == '\0') == (row->standing == HF_STANDING_HYPOTHESIS));
        assert_row(row, is_measured == (row->standing == HF_STANDING_MEASURED));
    }
}

static void every_experiment_is_one_of_those_that_are_described(void **state)
{
    static const char *const names[] = {"silence", "ping", "beat",      "message",    "busy",
                                        "stagger", "pong", "stall",     "quiet-send", "rate",
                                        "size",    "path", "handshake", "by hand"};
    for (size_t i = 0; i < hf_catalog_count(); i++) {
        const struct hf_catalog_row *row = hf_catalog_at(i);
        bool found = false;
        for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
            size_t len = strlen(names[k]);
            found = found || (strncmp(row->experiment, names[k], len) == 0 &&
                              strchr(": ,", row->experiment[len]) != NULL);
        }
        assert_row(row, found);
    }
}

static void values_codes_and_statuses_make_sense_for_their_class(void **state)
{
    for (size_t i = 0; i < hf_catalog_count(); i++) {
        const struct hf_catalog_row *row = hf_catalog_at(i);
        const char *unit = hf_verdict_unit(row->class);
        assert_row(row, (unsigned)row->class < HF_CLASSES && row->class != HF_CLASS_INCONCLUSIVE);
        assert_row(row, (unsigned)row->layer < HF_LAYERS);
        assert_row(row, row->value_min >= 0 && row->value_min <= row->value_max);
        assert_row(row, (row->value_min > 0) == (row->value_max > 0));
        if (strcmp(unit, "s") == 0) { /* nobody times less than a second, or more than a week */
            assert_row(row,
                       row->value_max == 0 || (row->value_min >= 1 && row->value_max <= 604800));
        } else if (strcmp(unit, "bytes") == 0) {
            assert_row(row, row->value_max == 0 || row->value_min >= 500);
        }
        bool is_code = row->code >= 1000 && row->code < 5000 && row->code != 1006;
        assert_row(row, row->code == 0 || is_code);
        assert_row(row, row->code_also == 0 || (row->code != 0 && row->code_also != row->code));
        assert_row(row, row->http == 0 || (row->http >= 300 && row->http < 600));
        assert_row(row, row->weight >= 0 && row->weight <= 3);
        if (row->how != 0 && row->code != 0) { /* known by a code: it can end with a Close */
            assert_row(row, row->how & (1u << HF_HOW_CLOSE));
        }
        if (row->how != 0 && row->http != 0) {
            assert_row(row, row->how & (1u << HF_HOW_STATUS));
        }
        assert_row(row, row->how < 1u << HF_HOW_KINDS);
        assert_row(row, !(row->how & (1u << HF_HOW_ALIVE | 1u << HF_HOW_ENDED_BY_US)));
    }
}

static void a_timer_says_what_sets_it_back_and_nothing_else_does(void **state)
{
    for (size_t i = 0; i < hf_catalog_count(); i++) {
        const struct hf_catalog_row *row = hf_catalog_at(i);
        bool is_idle = row->class == HF_CLASS_IDLE_TIMER || row->class == HF_CLASS_PONG_TIMEOUT;
        bool is_never = row->class == HF_CLASS_LIFETIME || row->class == HF_CLASS_RESTART ||
                        row->class == HF_CLASS_MESSAGE_LIMIT || row->class == HF_CLASS_SIZE_LIMIT;
        assert_row(row, !is_idle || row->resets != 0);
        assert_row(row, !is_never || row->resets == 0);
        if (row->class == HF_CLASS_PONG_TIMEOUT) {
            assert_row(row, row->resets & HF_RESETS_PONG_C);
        }
        if (row->class == HF_CLASS_HANDSHAKE) { /* the connection is never open */
            assert_row(row, row->how != 0);
        }
    }
}

static void every_recognised_host_points_at_rows_that_exist(void **state)
{
    for (size_t i = 0; i < hf_hosting_count(); i++) {
        struct hf_slice rest = hf_slice_of(hf_hosting_at(i)->causes), prefix;
        while (hf_slice_next(&rest, ' ', &prefix)) {
            size_t found = 0;
            for (size_t k = 0; k < hf_catalog_count(); k++) {
                found += hf_slice_starts(hf_slice_of(hf_catalog_at(k)->id), prefix);
            }
            if (found == 0) {
                fail_msg("%s: no row begins with %.*s", hf_hosting_at(i)->id, HF_SLICE_ARG(prefix));
            }
        }
    }
}

static void what_resets_a_timer_is_said_in_words(void **state)
{
    static const struct {
        uint16_t resets;
        const char *text;
    } cases[] = {
        {0, "nothing"},
        {HF_RESETS_ANY_BYTE, "any byte, either way"},
        {HF_RESETS_UP, "any byte from the client"},
        {HF_RESETS_DOWN, "any byte from the server"},
        {HF_RESETS_PONG_C, "the client's pongs, nothing else"},
        {HF_RESETS_SENT | HF_RESETS_PONG_C, "the client's messages, the client's pongs"},
        {HF_RESETS_PACKET, "any packet, either way"},
        {HF_RESETS_READING, "the other side's reading"},
        {HF_RESETS_ANY_BYTE | HF_RESETS_BOTH, "bytes both ways, each with a timer of its own"},
    };
    char text[160];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        hf_resets_text(cases[i].resets, text);
        assert_string_equal(text, cases[i].text);
    }
    for (unsigned bits = 0; bits < 512; bits++) { /* every set fits, and says something */
        hf_resets_text((uint16_t)bits, text);
        assert_in_range(strlen(text), 1, 158);
    }
}

static void layers_are_read_back_from_their_words(void **state)
{
    for (unsigned i = 0; i < HF_LAYERS; i++) {
        assert_int_equal(hf_layer_from(hf_slice_of(hf_layer_text((enum hf_layer)i))), i);
    }
    assert_int_equal(hf_layer_from(HF_LITERAL("cloud")), HF_LAYERS);
    assert_string_equal(hf_standing_text(HF_STANDING_MEASURED), "measured");
    assert_string_equal(hf_standing_text(HF_STANDING_HYPOTHESIS), "hypothesis");
}

static struct hf_buffer document(void)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 1 << 20);
    assert_int_equal(hf_catalog_document(&out), HF_OK);
    return out;
}

static void the_document_is_the_one_that_is_made_from_the_table(void **state)
{
    struct hf_buffer made = document(), kept;
    hf_buffer_init(&kept, &hf_heap, 1 << 20);
    FILE *file = fopen(HF_SOURCE_ROOT "/docs/causes.md", "re");
    assert_non_null(file);
    uint8_t chunk[4096];
    for (size_t n = 1; n > 0;) {
        n = fread(chunk, 1, sizeof chunk, file);
        (void)hf_buffer_add(&kept, hf_slice(chunk, n));
    }
    (void)fclose(file);
    assert_true(hf_slice_eq(hf_buffer_slice(&made), hf_buffer_slice(&kept)));
    hf_buffer_reset(&made);
    hf_buffer_reset(&kept);
}

static void a_value_is_told_with_its_unit(void **state)
{
    static const struct {
        const char *id, *text;
    } cases[] = {
        {"nginx-proxy-read-60s", "60 s"},         {"daphne-ping-20-30", "49.5 to 52 s"},
        {"uvicorn-max-size", "16 MiB"},           {"aws-apigw-size", "32 KiB to 128 KiB"},
        {"engineio-size", "1000000 bytes"},       {"provider-ratelimit", "120 messages"},
        {"tcp-retries2-924s", "924.6 to 1100 s"}, {"deploy-restart", ""},
    };
    char text[64];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        hf_catalog_value_text(hf_catalog_find(hf_slice_of(cases[i].id)), text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--document") == 0) {
        struct hf_buffer out = document();
        bool fine = fwrite(out.data, 1, out.len, stdout) == out.len;
        hf_buffer_reset(&out);
        return fine ? 0 : 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_catalogue_has_every_row_that_was_promised),
        cmocka_unit_test(every_id_is_lower_case_and_stands_once),
        cmocka_unit_test(every_text_of_every_row_is_there_and_tidy),
        cmocka_unit_test(every_row_has_a_source_or_says_that_it_is_a_hypothesis),
        cmocka_unit_test(every_experiment_is_one_of_those_that_are_described),
        cmocka_unit_test(values_codes_and_statuses_make_sense_for_their_class),
        cmocka_unit_test(a_timer_says_what_sets_it_back_and_nothing_else_does),
        cmocka_unit_test(every_recognised_host_points_at_rows_that_exist),
        cmocka_unit_test(what_resets_a_timer_is_said_in_words),
        cmocka_unit_test(layers_are_read_back_from_their_words),
        cmocka_unit_test(a_value_is_told_with_its_unit),
        cmocka_unit_test(the_document_is_the_one_that_is_made_from_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
