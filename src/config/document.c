/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys for people: the options of `serve --help`, and docs/configuration.md. */
#include "config/build.h"

static void add_fallback(struct hf_buffer *out, const struct hf_config_key *key, const char *quote)
{
    if (key->follows != NULL) {
        (void)hf_buffer_addf(out, "as %s", key->follows);
    } else if (key->fallback == NULL || key->fallback[0] == '\0') {
        (void)hf_buffer_add_text(out, "none");
    } else {
        (void)hf_buffer_addf(out, "%s%s%s", quote, key->fallback, quote);
    }
}

#define HELP_WIDTH 80
#define HELP_INDENT "        "

void hf_config_add_wrapped(struct hf_buffer *out, struct hf_slice text)
{
    struct hf_slice word;
    size_t column = 0;
    while (hf_slice_next(&text, ' ', &word)) {
        if (column == 0 || column + 1 + word.len > HELP_WIDTH) {
            (void)hf_buffer_add_text(out, column == 0 ? HELP_INDENT : "\n" HELP_INDENT);
            column = sizeof(HELP_INDENT) - 1;
        } else {
            (void)hf_buffer_add_byte(out, ' ');
            column++;
        }
        (void)hf_buffer_add(out, word);
        column += word.len;
    }
    (void)hf_buffer_add_byte(out, '\n');
}

/* "--log-level debug|info|warning|error", "--utf8-check, --no-utf8-check", "--drain DURATION". */
static void add_flag(struct hf_buffer *out, const struct hf_config_key *key)
{
    char flag[HF_CONFIG_NAME_MAX];
    hf_config_key_form(key, HF_FORM_FLAG, flag);
    (void)hf_buffer_addf(out, "  %s", flag);
    if (key->type == HF_KEY_BOOL) {
        (void)hf_buffer_addf(out, ", --no-%s\n", flag + 2);
        return;
    }
    (void)hf_buffer_add_byte(out, ' ');
    if ((key->type != HF_KEY_WORD && key->type != HF_KEY_WORD16) || key->words == NULL) {
        (void)hf_buffer_addf(out, "%s\n", hf_config_type_name(key));
        return;
    }
    for (const struct hf_config_word *w = key->words; w->word != NULL; w++) {
        (void)hf_buffer_addf(out, "%s%s", w == key->words ? "" : "|", w->word);
    }
    (void)hf_buffer_add_byte(out, '\n');
}

enum hf_status hf_config_help(struct hf_buffer *out)
{
    struct hf_buffer text;
    hf_buffer_init(&text, out->alloc, 4096);
    for (size_t i = 0; i < hf_config_key_count; i++) {
        const struct hf_config_key *key = &hf_config_keys[i];
        if (hf_config_key_is_file_only(key)) {
            continue;
        }
        add_flag(out, key);
        hf_buffer_clear(&text);
        (void)hf_buffer_addf(&text, "%s (default: ", key->sentence);
        add_fallback(&text, key, "");
        (void)hf_buffer_add_byte(&text, ')');
        hf_config_add_wrapped(out, hf_buffer_slice(&text));
    }
    hf_buffer_reset(&text);
    return out->failed ? HF_NO_MEMORY : HF_OK;
}

static void add_rows(struct hf_buffer *out, enum hf_config_scope scope)
{
    (void)hf_buffer_add_text(out,
                             "| key | what it does | allowed | default |\n|---|---|---|---|\n");
    for (size_t i = 0; i < hf_config_key_count; i++) {
        const struct hf_config_key *key = &hf_config_keys[i];
        char allowed[256];
        if (key->scope != scope) {
            continue;
        }
        hf_config_key_allowed(key, allowed);
        (void)hf_buffer_addf(out, "| `%s` | %s%s%s | %s | ", key->name, key->sentence,
                             key->file_only ? "; only in the file" : "",
                             key->secret ? "; secret: shown as `***`" : "", allowed);
        add_fallback(out, key, "`");
        (void)hf_buffer_add_text(out, " |\n");
    }
}

static const char head[] =
    "<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
    "<!-- Made from the table in src/config/keys.c by `test_config --document`; a test "
    "compares. -->\n"
    "# Configuration of `holdfast serve`\n"
    "\n"
    "Everything can be said in a file (`holdfast serve -c holdfast.yaml`), and every key but those "
    "marked *only in the "
    "file* also by a\n"
    "flag or an environment variable. The names follow from the key:\n"
    "\n"
    "| in the file | flag | environment |\n"
    "|---|---|---|\n"
    "| `heartbeat: {interval: 1s}` | `--heartbeat-interval 1s` or `--heartbeat-interval=1s` | "
    "`HOLDFAST_HEARTBEAT_INTERVAL=1s` |\n"
    "| `utf8_check: true` | `--utf8-check` (and `--no-utf8-check`) | `HOLDFAST_UTF8_CHECK=true` |\n"
    "| `origins: [https://a.example, https://b.example]` | `--origins "
    "https://a.example,https://b.example`, or the flag "
    "twice | `HOLDFAST_ORIGINS=https://a.example,https://b.example` |\n"
    "\n"
    "- **What wins**: flag over environment over file over default. A flag or variable replaces a "
    "list as a whole.\n"
    "- **Routes** inherit what the top level says (from wherever it was said); a key that a route "
    "sets itself wins over all "
    "of it.\n"
    "- **Durations** are a number with a unit: `250ms 1s 5m 2h 1d`. **Sizes** too: `512B 64KiB "
    "1MiB 2GiB`. A number without a "
    "unit is refused; only `0` needs none.\n"
    "- **Lists** may be a single value in the file; flags and variables take commas between "
    "entries.\n"
    "- **Empty** (`\"\"`, `[]`) takes back what a text or list key was set to. An empty "
    "environment variable counts as not "
    "set.\n"
    "- **Dots** are only in names: the file nests (`heartbeat: {interval: 1s}`).\n"
    "- Anchors, aliases, merge keys and tags of YAML are refused: what routes share goes to the "
    "top level.\n"
    "- Unknown keys, flags and `HOLDFAST_` variables are errors that name the nearest known one. "
    "(`HOLDFAST_CONFIG` names the "
    "file; the\n"
    "  variables that Kubernetes makes for a Service called `holdfast` are left alone.)\n"
    "\n"
    "`holdfast serve -c holdfast.yaml --check` finds all errors in one run, each as "
    "`file:line:column`, or prints the whole "
    "effective\n"
    "configuration as a file that can be loaded again, with secrets as `***`.\n"
    "\n"
    "```yaml\n"
    "listen: 127.0.0.1:8800\n"
    "upstream: http://127.0.0.1:8000\n"
    "origins: [https://app.example.com]\n"
    "routes:\n"
    "  - path: /ws/inbox/\n"
    "    auth: jwt\n"
    "    jwt:\n"
    "      keys: [{alg: HS256, env: JWT_SECRET}]\n"
    "    app_heartbeat: {match: '{\"type\":\"ping\"}', answer: '{\"type\":\"pong\"}'}\n"
    "  - path: /ws/chat\n"
    "    upstream: [http://10.0.0.5:8000, http://10.0.0.6:8000]\n"
    "    limits: {messages_per_minute: 60}\n"
    "```\n"
    "\n";

static const char ws[] = "\n## The older variables of the message limit\n"
                         "\n"
                         "`WS_RATE_LIMIT_ENABLED` (true, false, 1, 0, yes, no, on, off) and "
                         "`WS_MAX_MESSAGES_PER_MINUTE` (1 to 2147483647) set\n"
                         "`limits.messages_per_minute` with the rank of the environment; "
                         "`HOLDFAST_LIMITS_MESSAGES_PER_MINUTE` wins over both. The "
                         "number alone turns the limit\n"
                         "on; `false` turns it off whatever the number; `true` without a number "
                         "here or in the file is 1000.\n";

enum hf_status hf_config_document(struct hf_buffer *out)
{
    (void)hf_buffer_add_text(out, head);
    (void)hf_buffer_add_text(out, "## Keys of the top level\n\n");
    add_rows(out, HF_SCOPE_GLOBAL);
    (void)hf_buffer_add_text(out, "\n## Keys of the top level that routes inherit\n\n");
    add_rows(out, HF_SCOPE_INHERITED);
    (void)hf_buffer_add_text(out, "\n## Keys of an entry of `routes` only\n\n");
    add_rows(out, HF_SCOPE_ROUTE);
    (void)hf_buffer_add_text(out, ws);
    return out->failed ? HF_NO_MEMORY : HF_OK;
}
