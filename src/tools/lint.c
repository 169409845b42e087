/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast lint: checks the configuration of nginx, HAProxy and Caddy for what breaks WebSockets.
 */
#include "lint/lint.h"
#include "base/time.h"
#include "tools/say.h"
#include "tools/tools.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { CLEAN, FOUND, USAGE };
enum { FORMAT = 256, JSON, SARIF, KIND, PREFIX, PATH, RULES, FAIL_ON, NO_COLOR };
enum form { TEXT, JSON_LINES, SARIF_LOG };

#define PATHS_MAX 64

/* What was read and found stays until the end, since findings point into it. */
struct kept {
    struct kept *next;
    char *text;
    glob_t paths;
    bool globbed;
};

struct lint_command {
    struct hf_lint_options options;
    const char *paths[PATHS_MAX + 1];
    size_t path_count;
    enum form form;
    enum hf_lint_severity fail_on; /* this severity and worse make exit code 1 */
    bool color;
    bool named; /* the next file to be read is one of the words */
    struct kept *kept;
};

static const struct option options_known[] = {
    {"format", required_argument, NULL, FORMAT},
    {"json", no_argument, NULL, JSON},
    {"sarif", no_argument, NULL, SARIF},
    {"kind", required_argument, NULL, KIND},
    {"prefix", required_argument, NULL, PREFIX},
    {"websocket-path", required_argument, NULL, PATH},
    {"rules", no_argument, NULL, RULES},
    {"fail-on", required_argument, NULL, FAIL_ON},
    {"no-color", no_argument, NULL, NO_COLOR},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void print_help(void)
{
    fputs(
        "usage: holdfast lint [OPTION]... FILE...\n\n"
        "Checks the configuration of nginx (with its includes, or the output of `nginx -T`), "
        "HAProxy\n"
        "and Caddy for what breaks WebSockets. FILE - is standard input.\n\n"
        "  --kind KIND             nginx, haproxy or caddy; default: by name and content\n"
        "  --prefix DIR            where relative includes of nginx begin; default: the file's "
        "folder\n"
        "  --websocket-path TEXT   a path with TEXT in it carries WebSockets too; may be repeated\n"
        "  --format FORM           text, json (a line for each finding) or sarif (2.1.0)\n"
        "  --json, --sarif         the same\n"
        "  --fail-on SEVERITY      exit code 1 from error, warning (default) or note on\n"
        "  --rules                 list the rules, and end\n"
        "  --no-color\n\n"
        "A comment `# holdfast-lint: ignore RULE...` in the configuration takes findings away: at "
        "the\n"
        "end of a line or above it, for what stands there and in its block.\n\n"
        "exit code: 0 nothing found, 1 findings, 2 a mistake in the words or an unreadable file\n",
        stdout);
}

/* ---- files ---- */

static struct kept *keep_more(struct lint_command *c)
{
    struct kept *k = calloc(1, sizeof(*k));
    if (k != NULL) {
        k->next = c->kept;
        c->kept = k;
    }
    return k;
}

static void forget_all(struct lint_command *c)
{
    while (c->kept != NULL) {
        struct kept *next = c->kept->next;
        if (c->kept->globbed) {
            globfree(&c->kept->paths);
        }
        free(c->kept->text);
        free(c->kept);
        c->kept = next;
    }
}

static bool read_whole(int fd, struct kept *k, size_t *len, const char **why)
{
    size_t cap = 0;
    *len = 0;
    for (;;) {
        if (*len + 1 >= cap) {
            cap = cap == 0 ? 65536 : 2 * cap;
            char *more = cap > HF_LINT_BYTES + 65536 ? NULL : realloc(k->text, cap);
            if (more == NULL) {
                *why = "it is larger than 64 MiB";
                return false;
            }
            k->text = more;
        }
        const ssize_t n = read(fd, k->text + *len, cap - *len - 1);
        if (n < 0 && errno != EINTR) {
            *why = strerror(errno);
            return false;
        }
        if (n == 0) {
            return true;
        }
        *len += n > 0 ? (size_t)n : 0;
    }
}

/* What is named may be a pipe, and is waited for. An include of a pipe or a device would wait for
 * ever, or have no end. */
static bool read_file(void *context, const char *path, struct hf_slice *text, const char **why)
{
    struct lint_command *c = context;
    struct kept *k = keep_more(c);
    const bool named = c->named, input = named && strcmp(path, "-") == 0;
    const int fd =
        input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | (named ? 0 : O_NONBLOCK));
    struct stat st;
    size_t len = 0;
    bool ok = false;
    c->named = false;
    if (k == NULL || fd < 0) {
        *why = fd < 0 ? strerror(errno) : "out of memory";
    } else if (!named && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
        *why = "it is not a file";
    } else {
        ok = read_whole(fd, k, &len, why);
        *text = hf_slice(k->text, len);
    }
    if (fd >= 0 && !input) {
        close(fd);
    }
    return ok;
}

static size_t find_files(void *context, const char *pattern, const char *const **paths)
{
    struct kept *k = keep_more(context);
    if (k == NULL || glob(pattern, 0, NULL, &k->paths) != 0) {
        return 0;
    }
    k->globbed = true;
    *paths = (const char *const *)k->paths.gl_pathv;
    return k->paths.gl_pathc;
}

/* ---- what is printed ---- */

static const char *tint(const struct lint_command *c, enum hf_lint_severity severity)
{
    static const char *const tints[] = {"\033[31m", "\033[33m", "\033[34m"};
    return c->color ? tints[severity] : "";
}

/* One line of a finding. Names and words are a stranger's: they neither steer the terminal nor make
 * lines of their own. */
static void print_line(const struct lint_command *c, const char *format, ...) HF_PRINTF(2, 3);
static void print_line(const struct lint_command *c, const char *format, ...)
{
    struct hf_buffer text, tame;
    va_list args;
    hf_buffer_init(&text, &hf_heap, HF_LINT_BYTES);
    hf_buffer_init(&tame, &hf_heap, (size_t)3 * HF_LINT_BYTES);
    va_start(args, format);
    hf_buffer_addv(&text, format, args);
    va_end(args);
    for (size_t i = 0; i < text.len; i++) {
        text.data[i] = text.data[i] == '\n' ? ' ' : text.data[i];
    }
    hf_say_add_tame(hf_buffer_slice(&text), c->color, &tame);
    hf_buffer_add_byte(&tame, '\n');
    (void)fwrite(tame.data, 1, tame.len, stdout);
    hf_buffer_reset(&text);
    hf_buffer_reset(&tame);
}

static void print_finding(const struct lint_command *c, const struct hf_lint_finding *f)
{
    const struct hf_lint_rule_facts *rule = hf_lint_rule_facts(f->rule);
    const char *bold = c->color ? "\033[1m" : "", *plain = c->color ? "\033[0m" : "";
    print_line(c, "%s%s:%u:%u:%s %s%s:%s %s%s%s%s [%s]", bold, f->file, f->line, f->column, plain,
               tint(c, rule->severity), hf_lint_severity_text(rule->severity), plain, f->where,
               *f->where == '\0' ? "" : ": ", f->what, plain, rule->id);
    const struct hf_slice line = hf_slice_first(hf_slice_trim(f->text), 160);
    if (line.len > 0) {
        print_line(c, "    | %.*s", HF_SLICE_ARG(line));
    }
    print_line(c, "    why: %s", rule->why);
    print_line(c, "    fix: %s", f->fix);
    putchar('\n');
}

static json_t *text_json(const char *text)
{
    json_t *value = json_string(text);
    return value != NULL ? value : json_string("(not UTF-8)");
}

static void dump(json_t *value, size_t flags)
{
    if (value == NULL || json_dumpf(value, stdout, flags) != 0) {
        fputs("holdfast lint: out of memory\n", stderr);
    }
    putchar('\n');
    json_decref(value);
}

static json_t *record(const char *type)
{
    struct timespec now;
    char time[25];
    clock_gettime(CLOCK_REALTIME, &now);
    hf_wall_text((hf_wall)now.tv_sec * 1000 + now.tv_nsec / 1000000, time);
    return json_pack("{s:i,s:s,s:s}", "v", 1, "type", type, "time", time);
}

static void print_finding_json(const struct hf_lint_finding *f)
{
    const struct hf_lint_rule_facts *rule = hf_lint_rule_facts(f->rule);
    json_t *j = record("finding");
    json_object_set_new(j, "rule", json_string(rule->id));
    json_object_set_new(j, "severity", json_string(hf_lint_severity_text(rule->severity)));
    json_object_set_new(j, "file", text_json(f->file));
    json_object_set_new(j, "line", json_integer(f->line));
    json_object_set_new(j, "column", json_integer(f->column));
    json_object_set_new(j, "where", text_json(f->where));
    json_object_set_new(j, "what", text_json(f->what));
    json_object_set_new(j, "why", json_string(rule->why));
    json_object_set_new(j, "fix", text_json(f->fix));
    dump(j, JSON_COMPACT);
}

struct counts {
    size_t of[3];
};

static struct counts count(const struct hf_lint *l)
{
    struct counts n = {{0}};
    for (size_t i = 0; i < hf_lint_count(l); i++) {
        n.of[hf_lint_rule_facts(hf_lint_at(l, i)->rule)->severity]++;
    }
    return n;
}

static void print_json(const struct hf_lint *l)
{
    const struct counts n = count(l);
    for (size_t i = 0; i < hf_lint_count(l); i++) {
        print_finding_json(hf_lint_at(l, i));
    }
    json_t *j = record("summary");
    json_object_set_new(j, "files", json_integer((json_int_t)hf_lint_files(l)));
    json_object_set_new(j, "places", json_integer((json_int_t)hf_lint_websocket_places(l)));
    json_object_set_new(j, "errors", json_integer((json_int_t)n.of[HF_LINT_ERROR]));
    json_object_set_new(j, "warnings", json_integer((json_int_t)n.of[HF_LINT_WARNING]));
    json_object_set_new(j, "notes", json_integer((json_int_t)n.of[HF_LINT_NOTE]));
    json_object_set_new(j, "suppressed", json_integer((json_int_t)hf_lint_suppressed(l)));
    dump(j, JSON_COMPACT);
}

/* SARIF 2.1.0, sections 3.19, 3.27, 3.49. */
static void print_sarif(const struct hf_lint *l)
{
    json_t *rules = json_array(), *results = json_array();
    for (unsigned i = 0; i < HF_LINT_RULE_COUNT; i++) {
        const struct hf_lint_rule_facts *rule = hf_lint_rule_facts((enum hf_lint_rule)i);
        json_array_append_new(rules, json_pack("{s:s,s:{s:s},s:{s:s},s:{s:s},s:{s:s}}", "id",
                                               rule->id, "shortDescription", "text", rule->title,
                                               "fullDescription", "text", rule->why, "help", "text",
                                               rule->fix, "defaultConfiguration", "level",
                                               hf_lint_severity_text(rule->severity)));
    }
    for (size_t i = 0; i < hf_lint_count(l); i++) {
        const struct hf_lint_finding *f = hf_lint_at(l, i);
        const struct hf_lint_rule_facts *rule = hf_lint_rule_facts(f->rule);
        char message[1024];
        (void)snprintf(message, sizeof(message), "%s%s%s %s Fix: %s", f->where,
                       *f->where == '\0' ? "" : ": ", f->what, rule->why, f->fix);
        json_t *place = json_pack("{s:{s:{s:o},s:{s:i,s:i}}}", "physicalLocation",
                                  "artifactLocation", "uri", text_json(f->file), "region",
                                  "startLine", (int)f->line, "startColumn", (int)f->column);
        json_t *result = json_pack("{s:s,s:i,s:s,s:{s:o}}", "ruleId", rule->id, "ruleIndex",
                                   (int)f->rule, "level", hf_lint_severity_text(rule->severity),
                                   "message", "text", text_json(message));
        json_object_set_new(result, "locations", json_pack("[o]", place));
        json_array_append_new(results, result);
    }
    json_t *driver =
        json_pack("{s:s,s:s,s:o}", "name", "holdfast lint", "version", HF_VERSION, "rules", rules);
    dump(json_pack("{s:s,s:s,s:[{s:{s:o},s:o}]}", "$schema",
                   "https://json.schemastore.org/sarif-2.1.0.json", "version", "2.1.0", "runs",
                   "tool", "driver", driver, "results", results),
         JSON_INDENT(1));
}

static void print_count(const char *before, size_t count, const char *what, const char *behind)
{
    printf("%s%zu %s%s%s", before, count, what, count == 1 ? "" : "s", behind);
}

static void print_text(const struct lint_command *c, const struct hf_lint *l)
{
    const struct counts n = count(l);
    for (size_t i = 0; i < hf_lint_count(l); i++) {
        print_finding(c, hf_lint_at(l, i));
    }
    print_count("", hf_lint_files(l), "file", "");
    print_count(", ", hf_lint_websocket_places(l), "place", " for WebSockets");
    print_count(": ", n.of[HF_LINT_ERROR], "error", "");
    print_count(", ", n.of[HF_LINT_WARNING], "warning", "");
    print_count(", ", n.of[HF_LINT_NOTE], "note", "");
    if (hf_lint_suppressed(l) > 0) {
        printf(", %zu suppressed", hf_lint_suppressed(l));
    }
    putchar('\n');
    if (hf_lint_websocket_places(l) == 0) {
        puts("No place was seen that proxies WebSockets. If there is one, name a part of its path "
             "with "
             "--websocket-path.");
    }
}

static void print_rules(const struct lint_command *c)
{
    for (unsigned i = 0; i < HF_LINT_RULE_COUNT; i++) {
        const struct hf_lint_rule_facts *rule = hf_lint_rule_facts((enum hf_lint_rule)i);
        if (c->form == JSON_LINES) {
            json_t *j = record("rule");
            json_object_set_new(j, "rule", json_string(rule->id));
            json_object_set_new(j, "server", json_string(rule->server));
            json_object_set_new(j, "severity", json_string(hf_lint_severity_text(rule->severity)));
            json_object_set_new(j, "title", json_string(rule->title));
            json_object_set_new(j, "why", json_string(rule->why));
            json_object_set_new(j, "fix", json_string(rule->fix));
            dump(j, JSON_COMPACT);
        } else {
            printf("%-27s %-8s %s\n", rule->id, hf_lint_severity_text(rule->severity), rule->title);
        }
    }
}

/* ---- the words ---- */

static bool take_form(struct lint_command *c, const char *text)
{
    static const char *const forms[] = {"text", "json", "sarif"};
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(text, forms[i]) == 0) {
            c->form = (enum form)i;
            return true;
        }
    }
    fprintf(stderr, "holdfast lint: --format %s: it is text, json or sarif\n", text);
    return false;
}

static bool take_severity(struct lint_command *c, const char *text)
{
    for (unsigned i = HF_LINT_ERROR; i <= HF_LINT_NOTE; i++) {
        if (strcmp(text, hf_lint_severity_text((enum hf_lint_severity)i)) == 0) {
            c->fail_on = (enum hf_lint_severity)i;
            return true;
        }
    }
    fprintf(stderr, "holdfast lint: --fail-on %s: it is error, warning or note\n", text);
    return false;
}

static bool take_kind(struct lint_command *c, const char *text)
{
    c->options.kind = hf_lint_kind_from(hf_slice_of(text));
    if (c->options.kind == HF_LINT_KINDS) {
        fprintf(stderr, "holdfast lint: --kind %s: it is nginx, haproxy or caddy\n", text);
        return false;
    }
    return true;
}

static bool take_path(struct lint_command *c, const char *text)
{
    if (c->path_count == PATHS_MAX || *text == '\0') {
        fputs("holdfast lint: --websocket-path: at most 64 of them, none empty\n", stderr);
        return false;
    }
    c->paths[c->path_count++] = text;
    return true;
}

static bool take_option(struct lint_command *c, int option)
{
    switch (option) {
    case FORMAT:
        return take_form(c, optarg);
    case JSON:
        return take_form(c, "json");
    case SARIF:
        return take_form(c, "sarif");
    case KIND:
        return take_kind(c, optarg);
    case PREFIX:
        c->options.prefix = optarg;
        return true;
    case PATH:
        return take_path(c, optarg);
    case FAIL_ON:
        return take_severity(c, optarg);
    case NO_COLOR:
        c->color = false;
        return true;
    default:
        return false;
    }
}

static int run(struct lint_command *c, char **files, int file_count)
{
    const struct hf_lint_loader loader = {c, read_file, find_files};
    int status = CLEAN;
    c->options.paths = c->paths;
    struct hf_lint *l = hf_lint_new(&hf_heap, &loader, &c->options);
    for (int i = 0; l != NULL && i < file_count; i++) {
        c->named = true;
        if (hf_lint_file(l, files[i]) != HF_OK) {
            fputs("holdfast lint: out of memory, or more configuration than can be checked "
                  "(files that include each other?)\n",
                  stderr);
            status = USAGE;
        }
    }
    for (size_t i = 0; l != NULL && i < hf_lint_count(l); i++) {
        const struct hf_lint_finding *f = hf_lint_at(l, i);
        const bool unreadable = f->rule == HF_LINT_UNREADABLE;
        if (unreadable) {
            status = USAGE;
        } else if (status == CLEAN && hf_lint_rule_facts(f->rule)->severity <= c->fail_on) {
            status = FOUND;
        }
    }
    if (l != NULL && hf_lint_is_full(l)) {
        fprintf(stderr, "holdfast lint: more than %d findings; the rest was not looked at\n",
                HF_LINT_FINDINGS);
    }
    if (l == NULL) {
        status = USAGE;
    } else if (c->form == TEXT) {
        print_text(c, l);
    } else if (c->form == JSON_LINES) {
        print_json(l);
    } else {
        print_sarif(l);
    }
    hf_lint_free(l);
    forget_all(c);
    return status;
}

int hf_tool_lint(int argc, char **argv)
{
    struct lint_command c = {.fail_on = HF_LINT_WARNING,
                             .color = getenv("NO_COLOR") == NULL && isatty(STDOUT_FILENO)};
    bool rules = false;
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "h", options_known, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return CLEAN;
        }
        rules = rules || option == RULES;
        if (option != RULES && !take_option(&c, option)) {
            fputs("`holdfast lint --help` lists the options\n", stderr);
            return USAGE;
        }
    }
    if (rules) {
        print_rules(&c);
        return CLEAN;
    }
    if (optind == argc) {
        fputs("holdfast lint: which file? `holdfast lint --help` tells more\n", stderr);
        return USAGE;
    }
    return run(&c, argv + optind, argc - optind);
}
