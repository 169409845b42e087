/* SPDX-License-Identifier: Apache-2.0 */
/* The settings of the watch from a file and from words; and its keys as a document. */
#include "watch/settings.h"

#include "config/build.h"
#include "test_unit.h"
#include "watch/keys.h"

#include <stdlib.h>

static const char *environment(const char *name)
{
    return strcmp(name, "SECRET") == 0 ? "s3cret" : strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static struct hf_watch_settings *read_with(const char *text, struct hf_watch_input input,
                                           struct hf_buffer *errors)
{
    struct hf_watch_settings *s = NULL;
    input.file = "watch.yaml";
    input.environment = environment;
    hf_buffer_init(errors, &hf_heap, 65536);
    enum hf_status status = hf_watch_settings_read(&input, hf_slice_of(text), &s, errors);
    assert_true((status == HF_OK) == (s != NULL));
    assert_true((status == HF_OK) == (errors->len == 0));
    return s;
}

static struct hf_watch_settings *good(const char *text)
{
    struct hf_buffer errors;
    struct hf_watch_settings *s = read_with(text, (struct hf_watch_input){0}, &errors);
    if (s == NULL) {
        fail_msg("%.*s", HF_SLICE_ARG(hf_buffer_slice(&errors)));
    }
    hf_buffer_reset(&errors);
    return s;
}

/* The one line of its mistake. */
static void bad(const char *text, const char *wanted)
{
    struct hf_buffer errors;
    struct hf_watch_settings *s = read_with(text, (struct hf_watch_input){0}, &errors);
    assert_null(s);
    (void)hf_buffer_add_byte(&errors, '\0');
    if (strstr((char *)errors.data, wanted) == NULL) {
        fail_msg("wanted \"%s\", got \"%s\"", wanted, (char *)errors.data);
    }
    hf_buffer_reset(&errors);
}

static void defaults_are_what_the_table_says(void **state)
{
    struct hf_watch_settings *s = good("targets: [ws://127.0.0.1:1/ws?token=x]");
    const struct hf_watch_target_settings *t = s->targets[0];
    assert_int_equal(s->target_count, 1);
    assert_string_equal(t->name, "ws://127.0.0.1:1/ws");
    assert_int_equal(t->connections, 1);
    assert_int_equal(t->ping_every, HF_SECONDS(20));
    assert_int_equal(t->min_hold, HF_SECONDS(3600));
    assert_int_equal(t->certificate_days, 14);
    assert_int_equal(t->deploy_codes.count, 2);
    assert_int_equal(t->deploy_codes.codes[1], 1012);
    assert_int_equal(t->connect_for.count, 2);
    assert_int_equal(t->quiet.count, 0);
    assert_null(s->database);
    assert_true(hf_config_address_is_local(&s->listen));
    hf_watch_settings_free(s);
}

static void a_target_inherits_and_overrides(void **state)
{
    struct hf_watch_settings *s = good("ping_every: 5s\n"
                                       "min_hold: never\n"
                                       "quiet: sun 02:00-04:00\n"
                                       "headers: ['X-A: 1', 'X-B: 2']\n"
                                       "targets:\n"
                                       "  - url: ws://127.0.0.1:1/a\n"
                                       "  - {url: ws://127.0.0.1:1/b, name: b, ping_every: 1s,\n"
                                       "     min_hold: 90s, quiet: [], headers: 'X-C: 3'}\n");
    assert_int_equal(s->targets[0]->ping_every, HF_SECONDS(5));
    assert_int_equal(s->targets[0]->min_hold, HF_NEVER);
    assert_int_equal(s->targets[0]->quiet.count, 1);
    assert_int_equal(s->targets[0]->target.header_count, 2);
    assert_int_equal(s->targets[1]->ping_every, HF_SECONDS(1));
    assert_int_equal(s->targets[1]->min_hold, HF_SECONDS(90));
    assert_int_equal(s->targets[1]->quiet.count, 0);
    assert_int_equal(s->targets[1]->target.header_count, 1);
    assert_string_equal(s->targets[1]->target.headers[0], "X-C: 3");
    hf_watch_settings_free(s);
}

static void the_command_line_wins_over_the_file(void **state)
{
    static const struct hf_watch_word words[] = {{"ping_every", "7s", false},
                                                 {"listen", "127.0.0.1:0", false},
                                                 {"origin", "https://o.example", true},
                                                 {"insecure", NULL, true}};
    static const char *const urls[] = {"127.0.0.1:2/x"};
    const struct hf_watch_input input = {
        .urls = urls, .url_count = 1, .words = words, .word_count = 4};
    struct hf_buffer errors;
    struct hf_watch_settings *s =
        read_with("listen: 127.0.0.1:99\ntargets: [{url: 'ws://127.0.0.1:1/', ping_every: 1s}]",
                  input, &errors);
    assert_non_null(s);
    assert_int_equal(s->target_count, 2);
    assert_int_equal(s->targets[0]->ping_every, HF_SECONDS(7));
    assert_string_equal(s->targets[1]->target.origin, "https://o.example");
    assert_true(s->targets[0]->target.insecure);
    assert_string_equal(s->targets[1]->target.text, "ws://127.0.0.1:2/x");
    assert_int_equal(ntohs(s->listen.u.v4.sin_port), 0);
    hf_watch_settings_free(s);
    hf_buffer_reset(&errors);
}

static void a_mistake_is_told_with_its_place(void **state)
{
    bad("targets:\n  - url: ws://127.0.0.1:1/\n    ping_evry: 5s\n",
        "watch.yaml:3:5: \"ping_evry\" is not a known key; the nearest is ping_every");
    bad("targets: [{url: 'ws://h:1/', ping_every: 5}]", "is a number without a unit");
    bad("targets: [{url: 'ws://h:1/', ping_every: 1ms}]", "is out of range");
    bad("targets: [{url: 'ws://h:1/', listen: 127.0.0.1:1}]", "key of the top level");
    bad("url: ws://h:1/\n", "an entry of targets");
    bad("targets: [{name: x}]", "an entry has no url");
    bad("targets: [{url: 'ftp://h/'}]", "watch.yaml:1:11: url:");
    bad("targets: ws://h:1/", "a list of maps");
    bad("targets: [{url: 'ws://h:1/', deploy_codes: [999]}]", "is not a close code");
    bad("targets: [{url: 'ws://h:1/', quiet: 'sun 2-4'}]", "two times of the day");
    bad("targets: [{url: 'ws://h:1/', drop_for: often}]", "is not understood");
    bad("targets: [{url: 'ws://h:1/', resolve: nonsense}]", "watch.yaml:1:39: resolve:");
    bad("targets: [{url: 'ws://h:1/', max_rtt: 1s, ping_every: 0}]", "needs pings");
    bad("targets: ['ws://h:1/', 'ws://h:1/?b']", "two targets are called ws://h:1/");
    bad("targets: ['ws://h:1/'\n", "not YAML");
    bad("", "there is nothing to watch");
    bad("targets: ['ws://h:1/']\nlisten: 0.0.0.0:9900\n", "open to everybody");
    bad("targets: ['ws://h:1/']\ntoken_env: NOT_THERE\n", "is not set, or empty");
    bad("targets: ['ws://h:1/']\ntoken_env: EMPTY\n", "is not set, or empty");
}

static void channels_are_checked(void **state)
{
    static const char target[] = "targets: ['ws://h:1/']\n";
    static const struct {
        const char *channel, *wanted;
    } cases[] = {
        {"{type: slack, url: 'https://h/'}", "an entry has no name"},
        {"{name: a, type: slack}", "any other one a url"},
        {"{name: a, type: command}", "has a command"},
        {"{name: a, url: 'ftp://h/'}", "does not begin with http:// or https://"},
        {"{name: a, type: pager, url: 'https://h/'}", "is not known"},
        {"{name: a, url: 'https://h/', kinds: [drop, flood]}", "\"flood\" is not known"},
        {"{name: a, url: 'https://h/', ping_every: 1s}", "not a known key of a channel"},
        {"{name: a, url: 'https://h/'}, {name: a, url: 'https://h/'}", "two channels are called a"},
    };
    for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
        char text[512];
        (void)snprintf(text, sizeof(text), "%schannels: [%s]\n", target, cases[n].channel);
        bad(text, cases[n].wanted);
    }
    bad("targets: [{url: 'ws://h:1/', notify: nobody}]", "no channel is called nobody");
    struct hf_watch_settings *s =
        good("targets: [{url: 'ws://127.0.0.1:1/', notify: [b]}]\n"
             "channels:\n"
             "  - {name: a, type: slack, url: 'https://h/', token_env: SECRET, kinds: drop}\n"
             "  - {name: b, type: command, command: [sh, -c, 'echo $HOLDFAST_TARGET']}\n");
    assert_int_equal(s->channel_count, 2);
    assert_int_equal(s->channels[0].kinds, 1U << HF_INCIDENT_DROP);
    assert_string_equal(s->channels[0].token, "s3cret");
    assert_int_equal(s->channels[1].command.count, 3);
    assert_null(s->channels[1].command.items[3]);
    assert_string_equal(s->targets[0]->channels.items[0], "b");
    hf_watch_settings_free(s);
}

static void a_secret_is_not_shown_in_a_mistake(void **state)
{
    struct hf_buffer errors;
    struct hf_watch_settings *s =
        read_with("targets: ['ws://h:1/']\nchannels: [{name: a, url: [hush, hush]}]",
                  (struct hf_watch_input){0}, &errors);
    assert_null(s);
    assert_int_equal(hf_slice_search(hf_buffer_slice(&errors), HF_LITERAL("hush")), errors.len);
    hf_buffer_reset(&errors);
}

static void equal_targets_print_alike_and_others_do_not(void **state)
{
    struct hf_watch_settings *a = good("targets: ['ws://127.0.0.1:1/']");
    struct hf_watch_settings *b = good("ping_every: 20s\ntargets: ['ws://127.0.0.1:1/']");
    struct hf_watch_settings *c = good("headers: 'X-A: 1'\ntargets: ['ws://127.0.0.1:1/']");
    assert_string_equal(a->targets[0]->print, b->targets[0]->print);
    assert_string_not_equal(a->targets[0]->print, c->targets[0]->print);
    hf_watch_settings_free(a);
    hf_watch_settings_free(b);
    hf_watch_settings_free(c);
}

static void every_option_of_a_key_is_an_option_of_the_target(void **state)
{
    for (size_t i = 0; i < hf_watch_key_count; i++) {
        bool found = hf_watch_keys[i].option == NULL;
        for (size_t o = 0; o < hf_target_option_count() && !found; o++) {
            found = strcmp(hf_target_options[o].name, hf_watch_keys[i].option) == 0 &&
                    (hf_target_options[o].has_arg == no_argument) == hf_watch_keys[i].is_switch;
        }
        if (!found) {
            fail_msg("%s: the target has no such option", hf_watch_keys[i].name);
        }
    }
}

static void the_document_is_what_the_table_says(void **state)
{
    struct hf_buffer wanted;
    struct hf_buffer got;
    hf_buffer_init(&wanted, &hf_heap, (size_t)1 << 20);
    hf_buffer_init(&got, &hf_heap, (size_t)1 << 20);
    hf_watch_keys_document(&wanted);
    assert_int_equal(hf_config_read_file(HF_SOURCE_ROOT "/docs/watch.md", &got, &wanted), HF_OK);
    if (hf_slice_search(hf_buffer_slice(&got), hf_buffer_slice(&wanted)) == got.len) {
        fail_msg("docs/watch.md is not what `holdfast watch --keys` prints; write it there");
    }
    hf_buffer_reset(&wanted);
    hf_buffer_reset(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_what_the_table_says),
        cmocka_unit_test(a_target_inherits_and_overrides),
        cmocka_unit_test(the_command_line_wins_over_the_file),
        cmocka_unit_test(a_mistake_is_told_with_its_place),
        cmocka_unit_test(channels_are_checked),
        cmocka_unit_test(a_secret_is_not_shown_in_a_mistake),
        cmocka_unit_test(equal_targets_print_alike_and_others_do_not),
        cmocka_unit_test(every_option_of_a_key_is_an_option_of_the_target),
        cmocka_unit_test(the_document_is_what_the_table_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
