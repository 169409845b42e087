/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: what a file, the environment and the flags make of each key, and what is said
 * when they are wrong. `test_config --document` writes docs/configuration.md to standard output. */
#include "cases.h"
#include "test_alloc.h"
#include "test_unit.h"

#include "config/build.h"

#include <stdlib.h>
#include <unistd.h>

#define UPSTREAM "http://127.0.0.1:8000"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NONE ((const char *const[]){NULL})

/* ---- loading ----------------------------------------------------------------------------------
 */

/* Errors and the printed form of one load; both end with a NUL. */
struct result {
    enum hf_status status;
    struct hf_config *config;
    struct hf_buffer errors;
    struct hf_buffer print;
};

static void result_fini(struct result *r)
{
    hf_config_unref(r->config);
    hf_buffer_reset(&r->errors);
    hf_buffer_reset(&r->print);
}

static const char *text_of(struct hf_buffer *b)
{
    assert_int_equal(hf_buffer_add_byte(b, '\0'), HF_OK);
    b->len--;
    return (const char *)b->data;
}

static const char *errors_of(struct result *r)
{
    return text_of(&r->errors);
}
static const char *print_of(struct result *r)
{
    return text_of(&r->print);
}

static void load_from(const struct hf_allocator *alloc, struct result *r, const char *text,
                      const char *const *flags, const char *const *environment)
{
    struct hf_config_input input = {
        .file = "holdfast.yaml", .flags = flags, .environment = environment};
    *r = (struct result){.status = HF_OK};
    hf_buffer_init(&r->errors, &hf_heap, 1 << 20);
    hf_buffer_init(&r->print, &hf_heap, 1 << 22);
    r->status = hf_config_load_from(alloc, &input, hf_slice_of(text), &r->config, &r->errors);
    assert_true((r->status == HF_OK) == (r->config != NULL));
    if (r->config != NULL) {
        assert_int_equal(hf_config_print(r->config, &r->print), HF_OK);
    }
}

static void load(struct result *r, const char *text, const char *const *flags,
                 const char *const *environment)
{
    load_from(&hf_heap, r, text, flags, environment);
}

/* Fails with the errors when it does not load. */
static void load_good(struct result *r, const char *text, const char *const *flags,
                      const char *const *environment)
{
    load(r, text, flags, environment);
    assert_string_equal(errors_of(r), "");
    assert_int_equal(r->status, HF_OK);
}

/* The printed lines must hold this one, indentation apart. */
static void assert_line(struct result *r, const char *line)
{
    struct hf_slice rest = hf_slice_of(print_of(r));
    struct hf_slice piece;
    while (hf_slice_next(&rest, '\n', &piece)) {
        piece = hf_slice_trim(piece);
        if (hf_slice_starts(piece, HF_LITERAL("- "))) {
            piece = hf_slice_from(piece, 2);
        }
        if (hf_slice_eq(piece, hf_slice_of(line))) {
            return;
        }
    }
    print_error("no line \"%s\" in\n%s\n", line, print_of(r));
    fail();
}

/* ---- errors -----------------------------------------------------------------------------------
 */

static void check_files(const struct file_case *cases, size_t count, const char *const *flags)
{
    for (size_t i = 0; i < count; i++) {
        struct result r;
        load(&r, cases[i].text, flags, NONE);
        if (strcmp(errors_of(&r), cases[i].errors) != 0) {
            print_error("of:\n%s", cases[i].text);
        }
        assert_string_equal(errors_of(&r), cases[i].errors);
        assert_int_equal(r.status, HF_INVALID);
        result_fini(&r);
    }
}

static const char *const with_upstream[] = {"--upstream", UPSTREAM, NULL};

static void a_wrong_value_is_named_with_its_place_and_what_is_allowed(void **state)
{
    check_files(file_errors, COUNT(file_errors), with_upstream);
}

static void a_list_where_a_value_is_meant_and_the_other_way_round_are_refused(void **state)
{
    check_files(wrong_kinds, COUNT(wrong_kinds), with_upstream);
}

static void an_unknown_key_is_told_the_nearest_known_one(void **state)
{
    check_files(unknown_keys, COUNT(unknown_keys), with_upstream);
}

static void what_is_not_yaml_or_more_yaml_than_needed_is_refused_in_words(void **state)
{
    check_files(yaml_errors, COUNT(yaml_errors), with_upstream);
}

static void keys_that_do_not_fit_together_are_refused(void **state)
{
    check_files(checks, COUNT(checks), with_upstream);
}

static void a_route_without_an_upstream_is_told_what_to_write(void **state)
{
    check_files(upstream_errors, COUNT(upstream_errors), NONE);
}

static void a_wrong_flag_or_variable_is_called_by_its_name(void **state)
{
    for (size_t i = 0; i < COUNT(word_errors); i++) {
        const char *flags[10] = {"--upstream", UPSTREAM};
        for (size_t j = 0; word_errors[i].flags[j] != NULL; j++) {
            flags[j + 2] = word_errors[i].flags[j];
        }
        struct result r;
        load(&r, "", flags, word_errors[i].environment);
        assert_string_equal(errors_of(&r), word_errors[i].errors);
        assert_int_equal(r.status, HF_INVALID);
        result_fini(&r);
    }
}

static void all_errors_of_file_environment_and_flags_come_in_one_run(void **state)
{
    struct result r;
    load(&r, "workers: x\ndrain: 5\nroutes: [{path: /a, drain: 1s}]\n",
         WORDS("--upstream", "http://a?b", "--frob"), WORDS("HOLDFAST_AUTH=x"));
    assert_string_equal(
        errors_of(&r),
        "holdfast.yaml:1:10: workers: \"x\" is not a whole number; allowed: a whole number, 0 to "
        "1024\n"
        "holdfast.yaml:2:8: drain: \"5\" is a number without a unit; allowed: a duration such as "
        "250ms, 1s, 5m or 2h, 0 to 1d\n"
        "HOLDFAST_AUTH: \"x\" is not known; allowed: none, jwt or callout\n"
        "--frob: is not a known flag; the nearest is --drain\n"
        "--upstream: \"http://a?b\": the URL has a query, but each request brings its own; "
        "allowed: "
        "http://127.0.0.1:8000, https://app:8443/base, ws://, wss:// or unix:/run/app.sock\n"
        "holdfast.yaml:3:21: drain is a key of the top level, not of a route; move it there\n");
    result_fini(&r);
}

static void a_flood_of_errors_is_cut_after_a_hundred(void **state)
{
    struct hf_buffer text;
    struct result r;
    hf_buffer_init(&text, &hf_heap, 1 << 16);
    (void)hf_buffer_add_text(&text, "origins: [");
    for (size_t i = 0; i < 500; i++) {
        (void)hf_buffer_add_text(&text, "a b, ");
    }
    (void)hf_buffer_add_text(&text, "]\n");
    load(&r, text_of(&text), with_upstream, NONE);
    size_t lines = 0;
    for (size_t i = 0; i < r.errors.len; i++) {
        lines += r.errors.data[i] == '\n';
    }
    assert_int_equal(lines, 101);
    assert_non_null(strstr(errors_of(&r), "there are more errors; these come first\n"));
    hf_buffer_reset(&text);
    result_fini(&r);
}

static void more_keys_entries_and_bytes_than_the_named_maximum_are_refused(void **state)
{
    struct hf_buffer text;
    struct result r;
    hf_buffer_init(&text, &hf_heap, 1 << 20);
    (void)hf_buffer_add_text(&text, "origins: [");
    for (size_t i = 0; i <= HF_CONFIG_LIST_MAX; i++) {
        (void)hf_buffer_add_text(&text, "a,");
    }
    (void)hf_buffer_add_text(&text, "]\n");
    load(&r, text_of(&text), with_upstream, NONE);
    assert_string_equal(errors_of(&r),
                        "holdfast.yaml:1:2011: the list has more than 1000 entries\n");
    result_fini(&r);
    hf_buffer_clear(&text);
    for (size_t i = 0; i <= HF_CONFIG_MAP_MAX; i++) {
        (void)hf_buffer_addf(&text, "k%zu: 1\n", i);
    }
    load(&r, text_of(&text), with_upstream, NONE);
    assert_string_equal(errors_of(&r), "holdfast.yaml:257:1: the map has more than 256 keys\n");
    result_fini(&r);
    hf_buffer_clear(&text);
    (void)hf_buffer_addf(&text, "jwt: {issuer: %01025d}\n", 7);
    load(&r, text_of(&text), with_upstream, NONE);
    assert_non_null(strstr(errors_of(&r), "0000...\" is too long; allowed: a text\n"));
    result_fini(&r);
    hf_buffer_reset(&text);
}

static void words_of_the_shell_that_are_not_utf8_are_refused(void **state)
{
    struct result r;
    load(&r, "", WORDS("--upstream", UPSTREAM, "--jwt-issuer", "a\xff\xc0\x80"),
         WORDS("HOLDFAST_ADMIN_TOKEN=\xed\xa0\x80"));
    assert_string_equal(errors_of(&r), "HOLDFAST_ADMIN_TOKEN: *** is not UTF-8\n"
                                       "--jwt-issuer: \"a\\xFF\\xC0\\x80\" is not UTF-8\n");
    result_fini(&r);
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
    struct hf_config *config;
    struct hf_buffer errors;
    struct hf_config_input input = {.file = "/nowhere/holdfast.yaml"};
    hf_buffer_init(&errors, &hf_heap, 4096);
    assert_int_equal(hf_config_load(&input, &config, &errors), HF_NOT_FOUND);
    assert_null(config);
    assert_string_equal(text_of(&errors),
                        "/nowhere/holdfast.yaml: cannot be read: No such file or directory\n");
    hf_buffer_clear(&errors);
    input.file = "/";
    assert_int_equal(hf_config_load(&input, &config, &errors), HF_IO);
    assert_string_equal(text_of(&errors), "/: cannot be read: Is a directory\n");
    hf_buffer_clear(&errors);
    input.file = "/dev/zero";
    assert_int_equal(hf_config_load(&input, &config, &errors), HF_INVALID);
    assert_string_equal(text_of(&errors), "/dev/zero: is larger than 1MiB\n");
    hf_buffer_reset(&errors);
}

/* ---- precedence -------------------------------------------------------------------------------
 */

/* Every set of places a key may be written in; the strongest wins. */
static void a_flag_beats_the_environment_beats_the_file_beats_the_default(void **state)
{
    static const char *const winners[] = {"25s", "1s", "2s", "2s", "3s", "3s", "3s", "3s"};
    for (unsigned set = 0; set < 8; set++) {
        struct result r;
        char line[32];
        load_good(&r,
                  (set & 1) != 0 ? "upstream: " UPSTREAM "\nheartbeat: {interval: 1s}\n"
                                 : "upstream: " UPSTREAM "\n",
                  (set & 4) != 0 ? WORDS("--heartbeat-interval", "3s") : NONE,
                  (set & 2) != 0 ? WORDS("HOLDFAST_HEARTBEAT_INTERVAL=2s") : NONE);
        (void)snprintf(line, sizeof line, "interval: %s", winners[set]);
        assert_line(&r, line);
        result_fini(&r);
    }
}

static void a_routes_own_key_beats_every_inherited_one(void **state)
{
    struct result r;
    load_good(&r,
              "upstream: " UPSTREAM "\nmessage_max: 2KiB\n"
              "routes:\n  - {path: /own, message_max: 1KiB}\n  - path: /heir\n",
              WORDS("--message-max=4KiB"), WORDS("HOLDFAST_MESSAGE_MAX=3KiB"));
    assert_string_equal(r.config->routes[0].path, "/heir");
    assert_int_equal(r.config->routes[0].message_max, 4096);
    assert_string_equal(r.config->routes[1].path, "/own");
    assert_int_equal(r.config->routes[1].message_max, 1024);
    result_fini(&r);
}

static void lists_of_a_flag_gather_and_replace_the_files(void **state)
{
    struct result r;
    load_good(&r, "origins: [https://file.example]\nhosts: file.example\n",
              WORDS("--origins", "https://a.example, https://b.example", "--origins=null",
                    "--upstream", "http://a,http://b", "--upstream", "unix:/c", "--listen",
                    "127.0.0.1:1", "--listen=[::1]:2,unix:/d"),
              WORDS("HOLDFAST_HOSTS=x.example,y.example"));
    assert_line(&r, "origins: [\"https://a.example\", \"https://b.example\", \"null\"]");
    assert_line(&r, "hosts: [\"x.example\", \"y.example\"]");
    assert_line(&r, "upstream: [\"http://a\", \"http://b\", \"unix:/c\"]");
    assert_line(&r, "{address: \"127.0.0.1:1\", proxy_protocol: false, tls: []}");
    assert_line(&r, "{address: \"[::1]:2\", proxy_protocol: false, tls: []}");
    assert_line(&r, "{address: \"unix:/d\", proxy_protocol: false, tls: []}");
    result_fini(&r);
}

static void a_switch_may_stand_alone_be_negated_or_take_a_word(void **state)
{
    static const struct {
        const char *const words[4];
        bool value;
    } cases[] = {
        {{"--utf8-check"}, true},
        {{"--no-utf8-check"}, false},
        {{"--utf8-check=yes"}, true},
        {{"--utf8-check=Off"}, false},
        {{"--utf8-check", "0"}, false},
        {{"--utf8-check", "TRUE"}, true},
        {{"--utf8-check", "--no-jwt-strip"}, true},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct result r;
        load_good(&r, "utf8_check: true\nupstream: " UPSTREAM "\n", cases[i].words,
                  WORDS("HOLDFAST_UTF8_CHECK=off"));
        assert_int_equal(r.config->routes[0].utf8_check, cases[i].value);
        result_fini(&r);
    }
}

static void the_older_variables_of_the_message_limit_are_honoured(void **state)
{
    static const struct {
        const char *file, *enabled, *number, *own, *flag;
        uint32_t limit;
    } cases[] = {
        {"", NULL, NULL, NULL, NULL, 0},
        {"", "WS_RATE_LIMIT_ENABLED=true", NULL, NULL, NULL, 1000},
        {"", "WS_RATE_LIMIT_ENABLED=Yes", "WS_MAX_MESSAGES_PER_MINUTE=20", NULL, NULL, 20},
        {"", "WS_RATE_LIMIT_ENABLED=ON", "WS_MAX_MESSAGES_PER_MINUTE=2147483647", NULL, NULL,
         2147483647},
        {"", NULL, "WS_MAX_MESSAGES_PER_MINUTE=1", NULL, NULL, 1},
        {"", "WS_RATE_LIMIT_ENABLED=0", "WS_MAX_MESSAGES_PER_MINUTE=20", NULL, NULL, 0},
        {"", "WS_RATE_LIMIT_ENABLED=", "WS_MAX_MESSAGES_PER_MINUTE=", NULL, NULL, 0},
        {"7", "WS_RATE_LIMIT_ENABLED=no", NULL, NULL, NULL, 0},
        {"7", "WS_RATE_LIMIT_ENABLED=1", NULL, NULL, NULL, 7},
        {"7", NULL, "WS_MAX_MESSAGES_PER_MINUTE=20", NULL, NULL, 20},
        {"7", "WS_RATE_LIMIT_ENABLED=off", "WS_MAX_MESSAGES_PER_MINUTE=20",
         "HOLDFAST_LIMITS_MESSAGES_PER_MINUTE=30", NULL, 30},
        {"7", "WS_RATE_LIMIT_ENABLED=off", "WS_MAX_MESSAGES_PER_MINUTE=20",
         "HOLDFAST_LIMITS_MESSAGES_PER_MINUTE=30", "--limits-messages-per-minute=40", 40},
        {"7", NULL, "WS_MAX_MESSAGES_PER_MINUTE=20", NULL, "--limits-messages-per-minute=0", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct result r;
        char text[128];
        const char *environment[4];
        size_t n = 0;
        const char *const given[] = {cases[i].own, cases[i].number, cases[i].enabled};
        for (size_t j = 0; j < COUNT(given); j++) {
            environment[n] = given[j];
            n += given[j] != NULL;
        }
        environment[n] = NULL;
        (void)snprintf(text, sizeof text, "upstream: " UPSTREAM "\n%s%s%s",
                       cases[i].file[0] == '\0' ? "" : "limits: {messages_per_minute: ",
                       cases[i].file, cases[i].file[0] == '\0' ? "" : "}\n");
        load_good(&r, text, WORDS(cases[i].flag), environment);
        assert_int_equal(r.config->routes[0].limits.messages_per_minute, cases[i].limit);
        result_fini(&r);
    }
}

static void variables_that_are_empty_or_of_others_change_nothing(void **state)
{
    struct result plain, r;
    load_good(&plain, "", with_upstream, NONE);
    load_good(&r, "", with_upstream,
              WORDS("HOLDFAST_WORKERS=", "HOLDFAST_ORIGINS=", "HOLDFAST_CONFIG=/etc/x.yaml",
                    "HOLDFAST=1", "PATH=/bin", "HOLDFAST_PORT=tcp://10.0.0.1:80",
                    "HOLDFAST_SERVICE_HOST=10.0.0.1", "HOLDFAST_SERVICE_PORT_HTTP=80",
                    "HOLDFAST_PORT_80_TCP_ADDR=10.0.0.1", "nonsense"));
    assert_string_equal(print_of(&plain), print_of(&r));
    result_fini(&plain);
    result_fini(&r);
}

/* ---- every key --------------------------------------------------------------------------------
 */

struct setting {
    const char *name;
    const char *text;
};

/* Companions: without them some keys would be refused. */
static const struct setting base[] = {
    {"tls.cert", "c.pem"},
    {"tls.key", "k.pem"},
    {"upstream", UPSTREAM},
    {"jwt.jwks", "j.json"},
    {"app_heartbeat.answer", "pong"},
    {"prologue.match", "subscribe"},
    {"callout.url", "http://127.0.0.1:1/auth"},
};

/* What generic texts cannot be. */
static const struct setting samples[] = {
    {"listen", "127.0.0.1:8801,[::1]:8802"},
    {"unix_mode", "0600"},
    {"admin", "127.0.0.1:9191"},
    {"trusted_proxies", "10.0.0.0/8,2001:db8::/32,192.0.2.1"},
    {"upstream", "https://b:1/x,unix:/run/a.sock"},
    {"balance", "cookie:user"},
    {"hosts", "a.example,*.b.example"},
    {"origins", "https://a.example,null"},
    {"jwt.from", "cookie,subprotocol"},
    {"jwt.audience", "a,b"},
    {"callout.url", "https://auth.example/x"},
    {"callout.copy", "X-A,X-B"},
    {"path", "/sample"},
    {"rewrite", "/sample"},
};

static const char *find_setting(const struct setting *settings, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(settings[i].name, name) == 0) {
            return settings[i].text;
        }
    }
    return NULL;
}

/* A value that is fine and not the default. */
static void sample_of(const struct hf_config_key *key, char text[128])
{
    const char *known = find_setting(samples, COUNT(samples), key->name);
    (void)snprintf(text, 128, "%s", known != NULL ? known : "sample-text");
    if (known != NULL) {
        return;
    }
    if (key->type == HF_KEY_BOOL) {
        (void)snprintf(text, 128, "%s", strcmp(key->fallback, "true") == 0 ? "false" : "true");
    } else if (key->words != NULL) {
        bool first = strcmp(key->fallback, key->words[0].word) == 0;
        (void)snprintf(text, 128, "%s", key->words[first ? 1 : 0].word);
    } else if (key->type == HF_KEY_DURATION) {
        hf_duration_text((hf_time)key->max, text);
    } else if (key->type == HF_KEY_SIZE || key->type == HF_KEY_SIZE32) {
        hf_size_text(key->max, text);
    } else if (key->type == HF_KEY_COUNT || key->type == HF_KEY_INT) {
        (void)snprintf(text, 128, "%llu", (unsigned long long)key->max);
    }
}

static void add_yaml_value(struct hf_buffer *out, const struct hf_config_key *key, const char *text)
{
    struct hf_slice rest = hf_slice_of(text);
    struct hf_slice piece;
    const char *comma = "[";
    if (!hf_config_key_is_list(key)) {
        hf_config_add_quoted(out, rest);
        return;
    }
    while (hf_slice_next(&rest, ',', &piece)) {
        (void)hf_buffer_add_text(out, comma);
        hf_config_add_quoted(out, piece);
        comma = ", ";
    }
    (void)hf_buffer_add_byte(out, ']');
}

/* The key with its value, nested as the file wants it. */
static void add_yaml(struct hf_buffer *out, const char *indent, const struct hf_config_key *only,
                     const char *sample, bool with_base)
{
    struct hf_slice group = {NULL, 0};
    for (size_t i = 0; i < hf_config_key_count; i++) {
        const struct hf_config_key *key = &hf_config_keys[i];
        const char *text = key == only ? sample
                           : with_base ? find_setting(base, COUNT(base), key->name)
                                       : NULL;
        struct hf_slice name = hf_slice_of(key->name);
        size_t dot = hf_slice_find(name, '.');
        struct hf_slice own = hf_slice_first(name, dot < name.len ? dot : 0);
        if (text == NULL) {
            continue;
        }
        if (own.len > 0 && !hf_slice_eq(own, group)) {
            (void)hf_buffer_addf(out, "%s%.*s:\n", indent, HF_SLICE_ARG(own));
        }
        group = own;
        name = hf_slice_from(name, own.len > 0 ? own.len + 1 : 0);
        (void)hf_buffer_addf(out, "%s%s%.*s: ", indent, own.len > 0 ? "  " : "",
                             HF_SLICE_ARG(name));
        add_yaml_value(out, key, text);
        (void)hf_buffer_add_byte(out, '\n');
    }
}

/* The printed forms of the key said in the file, by a flag, by a variable and in a route. */
static void check_key(const struct hf_config_key *key, const char *plain)
{
    char sample[128], flag[HF_CONFIG_NAME_MAX], variable[HF_CONFIG_NAME_MAX], words[256];
    struct hf_buffer text, bare;
    struct result r, other;
    hf_buffer_init(&text, &hf_heap, 1 << 16);
    hf_buffer_init(&bare, &hf_heap, 1 << 16);
    sample_of(key, sample);
    add_yaml(&text, "", key, sample, true);
    add_yaml(&bare, "", key, NULL, true);
    load_good(&r, text_of(&text), NONE, NONE);
    if (strcmp(print_of(&r), plain) == 0) {
        fail_msg("%s: %s has no effect", key->name, sample);
    }

    hf_config_key_form(key, HF_FORM_FLAG, flag);
    load_good(&other, text_of(&bare), WORDS(flag, sample), NONE);
    assert_string_equal(print_of(&other), print_of(&r));
    result_fini(&other);
    (void)snprintf(words, sizeof words, "%s=%s", flag, sample);
    load_good(&other, text_of(&bare), WORDS(words), NONE);
    assert_string_equal(print_of(&other), print_of(&r));
    result_fini(&other);

    hf_config_key_form(key, HF_FORM_VARIABLE, variable);
    (void)snprintf(words, sizeof words, "%s=%s", variable, sample);
    load_good(&other, text_of(&bare), NONE, WORDS(words));
    assert_string_equal(print_of(&other), print_of(&r));
    result_fini(&other);

    if (key->scope == HF_SCOPE_INHERITED) {
        (void)hf_buffer_add_text(&bare, "routes:\n  - path: /\n");
        add_yaml(&bare, "    ", key, sample, false);
        load_good(&other, text_of(&bare), NONE, NONE);
        assert_string_equal(print_of(&other), print_of(&r));
        result_fini(&other);
    }
    result_fini(&r);
    hf_buffer_reset(&text);
    hf_buffer_reset(&bare);
}

static void every_key_can_be_set_by_file_flag_variable_and_route_alike(void **state)
{
    struct hf_buffer text;
    struct result r;
    size_t count = 0;
    hf_buffer_init(&text, &hf_heap, 1 << 16);
    add_yaml(&text, "", NULL, NULL, true);
    load_good(&r, text_of(&text), NONE, NONE);
    for (size_t i = 0; i < hf_config_key_count; i++) {
        if (!hf_config_key_is_file_only(&hf_config_keys[i])) {
            check_key(&hf_config_keys[i], print_of(&r));
            count++;
        }
    }
    assert_int_equal(count, hf_config_key_count - 5); /* path, rewrite, name, jwt.keys, routes */
    result_fini(&r);
    hf_buffer_reset(&text);
}

static void the_defaults_are_what_the_table_says(void **state)
{
    struct result r;
    load_good(&r, NULL, with_upstream, NULL);
    for (size_t i = 0; i < hf_config_key_count; i++) {
        const struct hf_config_key *key = &hf_config_keys[i];
        char flag[HF_CONFIG_NAME_MAX], word[128];
        struct result same;
        if (key->fallback == NULL || key->scope == HF_SCOPE_ROUTE ||
            key->type == HF_KEY_UPSTREAMS) {
            continue;
        }
        hf_config_key_form(key, HF_FORM_FLAG, flag);
        (void)snprintf(word, sizeof word, "%s=%s", flag, key->fallback);
        load_good(&same, NULL, WORDS("--upstream", UPSTREAM, word), NULL);
        assert_string_equal(print_of(&same), print_of(&r));
        result_fini(&same);
    }
    const struct hf_route_config *route = &r.config->routes[0];
    assert_int_equal(r.config->route_count, 1);
    assert_string_equal(route->path, "/");
    assert_int_equal(route->heartbeat.interval, HF_SECONDS(25));
    assert_int_equal(route->message_max, 1 << 20);
    assert_int_equal(route->limits.messages_per_minute, 0);
    assert_int_equal(r.config->head_max, 16384);
    assert_int_equal(r.config->log.format, -1);
    assert_int_equal(r.config->tls.version_min, 0x0303);
    assert_int_equal(route->jwt.from, HF_TOKEN_QUERY | HF_TOKEN_HEADER);
    assert_null(r.config->admin_token);
    assert_int_equal(r.config->admin.len, 0);
    result_fini(&r);
}

static void the_table_keeps_the_rules_that_its_readers_rely_on(void **state)
{
    struct hf_slice group = {NULL, 0};
    for (size_t i = 0; i < hf_config_key_count; i++) {
        const struct hf_config_key *key = &hf_config_keys[i];
        char flag[HF_CONFIG_NAME_MAX], variable[HF_CONFIG_NAME_MAX], allowed[256];
        struct hf_slice name = hf_slice_of(key->name);
        size_t dot = hf_slice_find(name, '.');
        struct hf_slice own = hf_slice_first(name, dot < name.len ? dot : 0);
        for (size_t j = 0; j + 1 < i && own.len > 0 && !hf_slice_eq(own, group); j++) {
            struct hf_slice other = hf_slice_of(hf_config_keys[j].name);
            bool same =
                hf_slice_starts(other, own) && other.len > own.len && other.ptr[own.len] == '.';
            assert_false(same && hf_config_keys[j].scope == key->scope);
        }
        group = own;
        assert_int_equal(hf_slice_find(hf_slice_from(name, dot + 1), '.'),
                         name.len - (dot < name.len ? dot + 1 : name.len));
        assert_ptr_equal(hf_config_key_find(name), key);
        hf_config_key_form(key, HF_FORM_FLAG, flag);
        hf_config_key_form(key, HF_FORM_VARIABLE, variable);
        assert_ptr_equal(hf_config_key_by_form(hf_slice_of(flag), HF_FORM_FLAG), key);
        assert_ptr_equal(hf_config_key_by_form(hf_slice_of(variable), HF_FORM_VARIABLE), key);
        assert_null(strstr(variable, "HOLDFAST_SERVICE_"));
        assert_null(strstr(variable, "HOLDFAST_PORT"));
        assert_null(strstr(flag, "--no-"));
        hf_config_key_allowed(key, allowed);
        assert_true(strlen(allowed) > 3 && strlen(allowed) < 200);
        assert_true(strlen(key->sentence) > 10);
        assert_int_not_equal(key->sentence[strlen(key->sentence) - 1], '.');
        assert_null(strchr(key->sentence, '|'));
        assert_null(strchr(allowed, '|'));
    }
}

/* A key's field has the key's name, but for a few; two keys that were crossed would look fine
 * everywhere else. */
#define GLOBAL(field)                                                                              \
    {                                                                                              \
#field, HF_SCOPE_GLOBAL, offsetof(struct hf_config, field)                                 \
    }
#define ROUTE(field)                                                                               \
    {                                                                                              \
#field, HF_SCOPE_INHERITED, offsetof(struct hf_route_config, field)                        \
    }
#define NAMED(name, place, field)                                                                  \
    {                                                                                              \
        name, HF_SCOPE_##place, offsetof(PLACE_##place, field)                                     \
    }
#define PLACE_GLOBAL struct hf_config
#define PLACE_INHERITED struct hf_route_config
#define PLACE_ROUTE struct hf_route_config
static const struct {
    const char *name;
    enum hf_config_scope scope;
    size_t offset;
} fields[] = {
    NAMED("listen", GLOBAL, listens),
    GLOBAL(unix_mode),
    GLOBAL(admin),
    GLOBAL(admin_token),
    GLOBAL(workers),
    GLOBAL(drain),
    GLOBAL(handshake_timeout),
    GLOBAL(head_max),
    GLOBAL(trusted_proxies),
    GLOBAL(endings_kept),
    GLOBAL(tls.cert),
    GLOBAL(tls.key),
    GLOBAL(tls.version_min),
    GLOBAL(log.level),
    GLOBAL(log.format),
    GLOBAL(log.file),
    NAMED("tcp.keepalive_idle", GLOBAL, sockets.keepalive_idle),
    NAMED("tcp.keepalive_interval", GLOBAL, sockets.keepalive_interval),
    NAMED("tcp.keepalive_count", GLOBAL, sockets.keepalive_count),
    NAMED("tcp.user_timeout", GLOBAL, sockets.user_timeout),
    NAMED("tcp.notsent_lowat", GLOBAL, sockets.notsent_lowat),
    NAMED("limits.total_handshakes_per_second", GLOBAL, total_handshakes_per_second),
    NAMED("limits.total_connections", GLOBAL, total_connections),
    GLOBAL(routes),
    NAMED("path", ROUTE, path),
    NAMED("rewrite", ROUTE, rewrite),
    NAMED("name", ROUTE, name),
    NAMED("upstream", INHERITED, upstreams),
    ROUTE(balance),
    ROUTE(upstream_tls.ca),
    ROUTE(upstream_tls.name),
    ROUTE(upstream_tls.verify),
    ROUTE(connect_timeout),
    ROUTE(upstream_timeout),
    ROUTE(connect_tries),
    ROUTE(preserve_host),
    NAMED("health.fails", INHERITED, health_fails),
    NAMED("health.down", INHERITED, health_down),
    ROUTE(hosts),
    ROUTE(origins),
    ROUTE(missing_origin),
    ROUTE(message_max),
    ROUTE(frame_max),
    ROUTE(utf8_check),
    ROUTE(send_timeout),
    ROUTE(heartbeat.interval),
    ROUTE(heartbeat.timeout),
    ROUTE(heartbeat.jitter),
    ROUTE(heartbeat.client_interval),
    ROUTE(heartbeat.client_timeout),
    ROUTE(heartbeat.backend_interval),
    ROUTE(heartbeat.backend_timeout),
    ROUTE(app_heartbeat.match),
    ROUTE(app_heartbeat.answer),
    ROUTE(app_heartbeat.mode),
    ROUTE(fallback.enabled),
    ROUTE(fallback.max_age),
    ROUTE(fallback.padding),
    ROUTE(fallback.poll),
    ROUTE(on_backend_loss),
    ROUTE(hold.time),
    ROUTE(hold.bytes),
    ROUTE(hold.backoff_max),
    ROUTE(prologue.match),
    ROUTE(prologue.max),
    ROUTE(prologue.bytes),
    ROUTE(prologue.drop_replies),
    ROUTE(prologue.wait),
    NAMED("auth", INHERITED, auth.kind),
    ROUTE(jwt.keys),
    ROUTE(jwt.jwks),
    ROUTE(jwt.issuer),
    ROUTE(jwt.audience),
    ROUTE(jwt.leeway),
    ROUTE(jwt.from),
    ROUTE(jwt.query),
    ROUTE(jwt.cookie),
    ROUTE(jwt.subprotocol),
    ROUTE(jwt.strip),
    ROUTE(jwt.expiry),
    ROUTE(callout.url),
    ROUTE(callout.timeout),
    ROUTE(callout.copy),
    ROUTE(callout.subject),
    ROUTE(session.enabled),
    ROUTE(session.window),
    ROUTE(session.leave),
    ROUTE(session.beat),
    ROUTE(session.buffer),
    ROUTE(session.park_bytes),
    ROUTE(session.backend_message_max),
    ROUTE(session.parked_per_principal),
    ROUTE(session.parked_per_address),
    ROUTE(session.parked_bytes_per_principal),
    ROUTE(session.parked_bytes_per_address),
    ROUTE(session.header),
    NAMED("session.memory", GLOBAL, session_memory),
    NAMED("session.node", GLOBAL, session_node),
    ROUTE(limits.messages_per_minute),
    ROUTE(limits.messages_burst),
    ROUTE(limits.principal_messages_per_minute),
    ROUTE(limits.excess_messages),
    ROUTE(limits.address_handshakes_per_second),
    ROUTE(limits.principal_handshakes_per_second),
    ROUTE(limits.route_handshakes_per_second),
    ROUTE(limits.address_connections),
    ROUTE(limits.principal_connections),
    ROUTE(limits.route_connections),
    ROUTE(limits.excess_handshakes),
    ROUTE(limits.dry_run),
};

static void each_key_reaches_the_field_of_its_name(void **state)
{
    assert_int_equal(COUNT(fields), hf_config_key_count);
    for (size_t i = 0; i < COUNT(fields); i++) {
        const struct hf_config_key *key = hf_config_key_find(hf_slice_of(fields[i].name));
        assert_non_null(key);
        assert_int_equal(key->scope, fields[i].scope);
        assert_int_equal(key->offset, fields[i].offset);
    }
}

/* ---- routes -----------------------------------------------------------------------------------
 */

static void the_longest_path_comes_first(void **state)
{
    struct result r;
    load_good(&r,
              "upstream: " UPSTREAM "\nroutes: [{path: /}, {path: /ws}, {path: /ws/inbox/}, {path: "
              "/ws/, name: all}]\n",
              NONE, NONE);
    static const char *const paths[] = {"/ws/inbox/", "/ws/", "/ws", "/"};
    assert_int_equal(r.config->route_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(r.config->routes[i].path, paths[i]);
    }
    assert_string_equal(r.config->routes[1].name, "all");
    assert_string_equal(r.config->routes[2].name, "/ws");
    result_fini(&r);
}

static void a_route_inherits_key_by_key(void **state)
{
    struct result r;
    load_good(&r,
              "upstream: [http://a:1/base/, https://b, 'wss://[::1]:2']\n"
              "origins: [https://a.example]\n"
              "jwt: {jwks: top.json, issuer: top, audience: [x, y]}\n"
              "heartbeat: {interval: 1s, client_timeout: 3s}\n"
              "routes:\n"
              "  - path: /a\n"
              "    auth: jwt\n"
              "    origins: []\n"
              "    jwt: {issuer: '', keys: [{kid: k, alg: ES256, file: f}, {alg: HS512, env: E}]}\n"
              "    heartbeat: {interval: 2s, timeout: 4s, backend_interval: 0}\n"
              "  - path: /bb\n"
              "    upstream: unix:/run/app.sock:/base\n"
              "    balance: query:user\n"
              "    rewrite: /x\n",
              NONE, NONE);
    const struct hf_route_config *b = &r.config->routes[0];
    const struct hf_route_config *a = &r.config->routes[1];
    assert_int_equal(a->upstream_count, 3);
    assert_string_equal(a->upstreams[0].url, "http://a:1/base/");
    assert_string_equal(a->upstreams[0].path, "/base");
    assert_string_equal(a->upstreams[1].path, "");
    assert_int_equal(a->upstreams[1].port, 443);
    assert_true(a->upstreams[1].tls && a->upstreams[2].tls && !a->upstreams[0].tls);
    assert_string_equal(a->upstreams[2].host, "::1");
    assert_int_equal(a->origins.count, 0);
    assert_int_equal(b->origins.count, 1);
    assert_null(a->jwt.issuer);
    assert_string_equal(a->jwt.jwks, "top.json");
    assert_int_equal(a->jwt.audience.count, 2);
    assert_int_equal(a->jwt.key_count, 2);
    assert_string_equal(a->jwt.keys[0].file, "f");
    assert_null(a->jwt.keys[1].kid);
    assert_string_equal(a->jwt.keys[1].env, "E");
    assert_int_equal(b->jwt.key_count, 0);
    assert_int_equal(a->heartbeat.client_interval, HF_SECONDS(2));
    assert_int_equal(a->heartbeat.backend_interval, 0);
    assert_int_equal(a->heartbeat.client_timeout, HF_SECONDS(3));
    assert_int_equal(a->heartbeat.backend_timeout, HF_SECONDS(4));
    assert_int_equal(b->heartbeat.client_interval, HF_SECONDS(1));
    assert_int_equal(b->heartbeat.backend_timeout, HF_SECONDS(10));
    assert_int_equal(b->upstream_count, 1);
    assert_true(b->upstreams[0].is_unix);
    assert_string_equal(b->upstreams[0].host, "/run/app.sock");
    assert_string_equal(b->upstreams[0].path, "/base");
    assert_int_equal(b->balance, HF_BALANCE_QUERY);
    assert_string_equal(b->balance_key, "user");
    assert_null(a->balance_key);
    assert_string_equal(b->rewrite, "/x");
    assert_null(a->rewrite);
    result_fini(&r);
}

static void a_listener_takes_the_global_certificate_unless_it_has_a_word_of_its_own(void **state)
{
    struct result r;
    load_good(
        &r,
        "upstream: " UPSTREAM "\ntls: {cert: c, key: k}\ntrusted_proxies: 10.0.0.0/8\n"
        "listen:\n  - 127.0.0.1:1\n  - {address: 127.0.0.1:2, tls: []}\n"
        "  - {address: 127.0.0.1:3, proxy_protocol: on, tls: [{cert: a, key: b}, {cert: d, key: "
        "e}]}\n  - {address: '[::1]:4', tls: {cert: f, key: g}}\n  - address: unix:/x\n",
        NONE, NONE);
    static const size_t counts[] = {1, 0, 2, 1, 1};
    assert_int_equal(r.config->listen_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(r.config->listens[i].certificate_count, counts[i]);
        assert_int_equal(r.config->listens[i].proxy_protocol, i == 2);
    }
    assert_string_equal(r.config->listens[0].certificates[0].cert, "c");
    assert_string_equal(r.config->listens[2].certificates[1].key, "e");
    assert_string_equal(r.config->listens[3].certificates[0].cert, "f");
    result_fini(&r);
}

static void an_empty_file_and_a_group_without_keys_say_nothing(void **state)
{
    static const char *const texts[] = {
        "",     "# nothing\n", "---\n",           "--- \n...\n", "heartbeat:\n", "heartbeat: ~\n",
        "{}\n", "tls: {}\n",   "\xef\xbb\xbf{}\n"};
    struct result plain;
    load_good(&plain, NULL, with_upstream, NULL);
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct result r;
        load_good(&r, texts[i], with_upstream, NONE);
        assert_string_equal(print_of(&r), print_of(&plain));
        result_fini(&r);
    }
    result_fini(&plain);
}

/* ---- the printed form -------------------------------------------------------------------------
 */

static const char rich[] =
    "listen: [127.0.0.1:8800, {address: '[::1]:8443', tls: [{cert: a, key: b}]}]\n"
    "admin: 0.0.0.0:9090\n"
    "admin_token: hunter2-hunter2\n"
    "trusted_proxies: [10.0.0.0/8, '2001:db8::/32', '::/0', 0.0.0.0/0]\n"
    "upstream: http://127.0.0.1:8000\n"
    "tcp: {user_timeout: 1500ms, notsent_lowat: 0}\n"
    "routes:\n"
    "  - path: /ws/inbox/\n"
    "    auth: jwt\n"
    "    jwt: {keys: [{kid: \"a \\\"b\\\"\", alg: HS256, env: SECRET}], from: [cookie, header]}\n"
    "    app_heartbeat: {match: '{\"type\":\"ping\"}', answer: "
    "\"\\u2028\\x85\\t\\e\\\\\\U0001f600\\n\"}\n"
    "  - path: /ws/chat\n"
    "    upstream: [http://10.0.0.5:8000/x, 'unix:/run/app.sock']\n"
    "    balance: cookie:sid\n"
    "    limits: {messages_per_minute: 60, excess_messages: close}\n";

static void what_is_printed_loads_again_as_the_same(void **state)
{
    struct result first, second;
    load_good(&first, rich, NONE, NONE);
    load(&second, print_of(&first), NONE, NONE);
    assert_string_equal(errors_of(&second),
                        "holdfast.yaml:6:14: admin_token: *** is not valid; allowed: visible ASCII "
                        "characters, and not the *** that --check prints\n");
    result_fini(&second);
    char *stars = strstr((char *)first.print.data, "***");
    assert_non_null(stars);
    memcpy(stars, "put", 3);
    load_good(&second, print_of(&first), NONE, NONE);
    memcpy(stars, "***", 3);
    assert_string_equal(print_of(&second), print_of(&first));
    assert_string_equal(second.config->routes[0].app_heartbeat.answer,
                        first.config->routes[0].app_heartbeat.answer);
    assert_string_equal(first.config->routes[0].app_heartbeat.answer,
                        "\xe2\x80\xa8\xc2\x85\t\x1b\\\xf0\x9f\x98\x80\n");
    result_fini(&first);
    result_fini(&second);
}

static void a_secret_is_never_printed(void **state)
{
    struct result r;
    load_good(&r, rich, NONE, NONE);
    assert_string_equal(r.config->admin_token, "hunter2-hunter2");
    assert_null(strstr(print_of(&r), "hunter2"));
    assert_line(&r, "admin_token: \"***\"");
    result_fini(&r);
}

static void what_is_open_is_said(void **state)
{
    struct result r;
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 65536);
    load_good(&r, "", WORDS("--upstream", UPSTREAM, "--listen", "0.0.0.0:80"), NONE);
    assert_int_equal(hf_config_warnings(r.config, &out), HF_OK);
    assert_string_equal(
        text_of(&out),
        "Every path goes to the upstream of route /: write routes to let in only the paths of your "
        "WebSockets\n"
        "Every Host is taken on /: set hosts to your own\n"
        "Pages of every Origin may connect to /: set origins to your own\n"
        "No authentication is asked here, only what the backend asks, on /: set auth to jwt or "
        "callout\n"
        "Clients speak plain text on 0.0.0.0:80: set tls.cert and tls.key, or put it behind "
        "something "
        "that does TLS\n");
    result_fini(&r);
    hf_buffer_clear(&out);
    load_good(&r,
              "upstream: https://a\nupstream_tls: {verify: false}\norigins: a.example\nhosts: "
              "a.example\nauth: jwt\njwt: {jwks: x}\nroutes: [{path: /a, auth: none}, {path: /b, "
              "origins: '*'}, {path: /c, upstream: http://x, auth: none}]\n",
              NONE, NONE);
    assert_int_equal(hf_config_warnings(r.config, &out), HF_OK);
    assert_string_equal(
        text_of(&out),
        "Pages of every Origin may connect to /b: set origins to your own\n"
        "No authentication is asked here, only what the backend asks, on /a, /c: set auth to jwt "
        "or "
        "callout\n"
        "The certificate of the upstream is not verified on /a, /b: set upstream_tls.verify to "
        "true\n");
    result_fini(&r);
    hf_buffer_reset(&out);
}

static void help_names_each_flag_on_a_line_of_its_own_and_fits_a_terminal(void **state)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 1 << 20);
    assert_int_equal(hf_config_help(&out), HF_OK);
    size_t flags = 0;
    struct hf_slice rest = hf_buffer_slice(&out);
    struct hf_slice line;
    while (hf_slice_next(&rest, '\n', &line)) {
        assert_true(line.len <= 80);
        flags += hf_slice_starts(line, HF_LITERAL("  --"));
    }
    assert_int_equal(flags, hf_config_key_count - 5);
    assert_non_null(
        strstr(text_of(&out),
               "\n  --heartbeat-interval TIME\n"
               "        a ping goes to a side when nothing was heard from it or sent to it for\n"
               "        so long; 0: no pings (default: 25s)\n"));
    assert_non_null(strstr(text_of(&out), "\n  --log-level debug|info|warning|error\n"));
    assert_non_null(strstr(text_of(&out), "\n  --utf8-check, --no-utf8-check\n"));
    hf_buffer_reset(&out);
}

static void the_manual_is_what_the_table_says(void **state)
{
    struct hf_buffer made, kept;
    hf_buffer_init(&made, &hf_heap, 1 << 20);
    hf_buffer_init(&kept, &hf_heap, 1 << 20);
    assert_int_equal(hf_config_document(&made), HF_OK);
    FILE *file = fopen(HF_SOURCE_ROOT "/docs/configuration.md", "re");
    assert_non_null(file);
    uint8_t chunk[4096];
    for (size_t n = 1; n > 0;) {
        n = fread(chunk, 1, sizeof chunk, file);
        (void)hf_buffer_add(&kept, hf_slice(chunk, n));
    }
    (void)fclose(file);
    assert_string_equal(text_of(&kept), text_of(&made));
    hf_buffer_reset(&made);
    hf_buffer_reset(&kept);
}

/* ---- robustness -------------------------------------------------------------------------------
 */

static void the_nth_allocation_may_fail_and_nothing_leaks(void **state)
{
    struct test_alloc ta;
    test_alloc_init(&ta);
    bool fired = true;
    for (size_t n = 1; fired; n++) {
        struct result r;
        test_alloc_fail_at(&ta, n);
        load_from(&ta.alloc, &r, rich, WORDS("--workers", "2", "--hosts", "a.example,b.example"),
                  WORDS("HOLDFAST_DRAIN=1s"));
        fired = ta.fired;
        assert_int_equal(r.status, fired ? HF_NO_MEMORY : HF_OK);
        assert_string_equal(errors_of(&r), fired ? "out of memory\n" : "");
        result_fini(&r);
        assert_int_equal(ta.live_blocks, 0);
    }
    assert_true(ta.calls > 1000);
}

static void errors_also_survive_a_failing_allocation(void **state)
{
    struct test_alloc ta;
    test_alloc_init(&ta);
    bool fired = true;
    for (size_t n = 1; fired; n++) {
        struct result r;
        test_alloc_fail_at(&ta, n);
        load_from(&ta.alloc, &r,
                  "workers: x\nroutes: [{path: /a}, {path: /a, jwt: {keys: [{alg: x}]}}]\nfoo: 1\n",
                  WORDS("--frob", "--upstream=ftp://x"), WORDS("HOLDFAST_X=1"));
        fired = ta.fired;
        assert_int_equal(r.status, fired ? HF_NO_MEMORY : HF_INVALID);
        result_fini(&r);
        assert_int_equal(ta.live_blocks, 0);
    }
}

static void a_file_cut_anywhere_loads_or_says_why(void **state)
{
    for (size_t len = 0; len < sizeof rich; len++) {
        struct hf_config *config;
        struct hf_buffer errors;
        hf_buffer_init(&errors, &hf_heap, 1 << 20);
        enum hf_status status = hf_config_parse_text(hf_slice(rich, len), &config, &errors);
        assert_true((status == HF_OK) == (config != NULL));
        assert_true((status == HF_OK) == (errors.len == 0));
        assert_true(status == HF_OK || status == HF_INVALID);
        hf_config_unref(config);
        hf_buffer_reset(&errors);
    }
}

static void a_configuration_lives_until_its_last_reference_goes(void **state)
{
    struct test_alloc ta;
    struct result r;
    test_alloc_init(&ta);
    load_from(&ta.alloc, &r, rich, NONE, NONE);
    assert_ptr_equal(hf_config_ref(r.config), r.config);
    hf_config_unref(r.config);
    assert_string_equal(r.config->routes[0].path, "/ws/inbox/");
    result_fini(&r);
    assert_int_equal(ta.live_blocks, 0);
    hf_config_unref(NULL);
}

static void distances_count_edits_without_case(void **state)
{
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {{"", "", 0},
                 {"a", "", 1},
                 {"", "abc", 3},
                 {"listen", "LISTEN", 0},
                 {"kitten", "sitting", 3},
                 {"ab", "ba", 2},
                 {"interval", "intervall", 1}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(hf_config_distance(hf_slice_of(cases[i].a), hf_slice_of(cases[i].b)),
                         cases[i].distance);
    }
}

static int write_document(void)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 1 << 20);
    bool fine =
        hf_config_document(&out) == HF_OK && fwrite(out.data, 1, out.len, stdout) == out.len;
    hf_buffer_reset(&out);
    return fine ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--document") == 0) {
        return write_document();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_value_is_named_with_its_place_and_what_is_allowed),
        cmocka_unit_test(a_list_where_a_value_is_meant_and_the_other_way_round_are_refused),
        cmocka_unit_test(an_unknown_key_is_told_the_nearest_known_one),
        cmocka_unit_test(what_is_not_yaml_or_more_yaml_than_needed_is_refused_in_words),
        cmocka_unit_test(keys_that_do_not_fit_together_are_refused),
        cmocka_unit_test(a_route_without_an_upstream_is_told_what_to_write),
        cmocka_unit_test(a_wrong_flag_or_variable_is_called_by_its_name),
        cmocka_unit_test(all_errors_of_file_environment_and_flags_come_in_one_run),
        cmocka_unit_test(a_flood_of_errors_is_cut_after_a_hundred),
        cmocka_unit_test(more_keys_entries_and_bytes_than_the_named_maximum_are_refused),
        cmocka_unit_test(words_of_the_shell_that_are_not_utf8_are_refused),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(a_flag_beats_the_environment_beats_the_file_beats_the_default),
        cmocka_unit_test(a_routes_own_key_beats_every_inherited_one),
        cmocka_unit_test(lists_of_a_flag_gather_and_replace_the_files),
        cmocka_unit_test(a_switch_may_stand_alone_be_negated_or_take_a_word),
        cmocka_unit_test(the_older_variables_of_the_message_limit_are_honoured),
        cmocka_unit_test(variables_that_are_empty_or_of_others_change_nothing),
        cmocka_unit_test(every_key_can_be_set_by_file_flag_variable_and_route_alike),
        cmocka_unit_test(the_defaults_are_what_the_table_says),
        cmocka_unit_test(the_table_keeps_the_rules_that_its_readers_rely_on),
        cmocka_unit_test(each_key_reaches_the_field_of_its_name),
        cmocka_unit_test(the_longest_path_comes_first),
        cmocka_unit_test(a_route_inherits_key_by_key),
        cmocka_unit_test(a_listener_takes_the_global_certificate_unless_it_has_a_word_of_its_own),
        cmocka_unit_test(an_empty_file_and_a_group_without_keys_say_nothing),
        cmocka_unit_test(what_is_printed_loads_again_as_the_same),
        cmocka_unit_test(a_secret_is_never_printed),
        cmocka_unit_test(what_is_open_is_said),
        cmocka_unit_test(help_names_each_flag_on_a_line_of_its_own_and_fits_a_terminal),
        cmocka_unit_test(the_manual_is_what_the_table_says),
        cmocka_unit_test(the_nth_allocation_may_fail_and_nothing_leaks),
        cmocka_unit_test(errors_also_survive_a_failing_allocation),
        cmocka_unit_test(a_file_cut_anywhere_loads_or_says_why),
        cmocka_unit_test(a_configuration_lives_until_its_last_reference_goes),
        cmocka_unit_test(distances_count_edits_without_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
