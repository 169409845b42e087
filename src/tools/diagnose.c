/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast diagnose URL: holds connections in many ways at once, and says why they die. */
#include "tools/diagnose.h"

#include "base/redact.h"
#include "io/epoll.h"
#include "tools/tools.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define USAGE_ERROR 2
#define BUDGET HF_SECONDS(15 * 60)
#define BUDGET_LEAST HF_SECONDS(3)
#define MESSAGE_MAX ((uint64_t)16 << 20) /* received, on each of some twenty connections */

static void print_help(void)
{
    fputs(
        "usage: holdfast diagnose [OPTION]... URL\n\n"
        "Holds WebSocket connections to URL in many ways at once (silent, with pings, with\n"
        "messages, with late or missing pongs), watches how they end, chooses what to try next\n"
        "from what it saw, and says why they die and what to configure.\n\n"
        "      --budget TIME         the whole run takes no longer (15m)\n"
        "      --send TEXT           a message that the application understands\n"
        "      --every TIME          how often it is sent (10s, or less in a short run)\n"
        "      --compare URL         the same arms on a second path, for example past the CDN\n"
        "      --only LIST           these experiments alone, with commas between: silence, ping,\n"
        "                            beat, message, busy, stagger, pong, stall, quiet-send, rate,\n"
        "                            size, path, handshake\n"
        "      --allow-load          also ramps of rate and size: up to 50 messages a second,\n"
        "                            up to 17 MiB a message\n"
        "      --report FILE         writes an HTML report with pictures\n"
        "      --json                a line of JSON for each event; the last is the verdict\n"
        "  -q, --quiet               no progress\n"
        "      --scale NUMBER        timers there run at this part of their real length\n"
        "                            (holdfast chaos --scale); for naming products\n"
        "      --no-color            no colours (also: NO_COLOR in the environment)\n"
        "  -h, --help                this\n\n",
        stdout);
    fputs(hf_target_help(), stdout);
    fputs("\nexit status: 0 nothing ended early, 1 a finding, 2 a mistake in the words,\n"
          "3 it never opened, 4 inconclusive\n",
          stdout);
}

/* ---- words ------------------------------------------------------------------------------------
 */

enum {
    BUDGET_ = HF_TARGET_OPTION_END,
    SEND,
    EVERY,
    COMPARE,
    ONLY,
    LOAD,
    REPORT,
    JSON,
    SCALE,
    NO_COLOR
};

static const struct option own[] = {
    {"budget", required_argument, NULL, BUDGET_},
    {"send", required_argument, NULL, SEND},
    {"every", required_argument, NULL, EVERY},
    {"compare", required_argument, NULL, COMPARE},
    {"only", required_argument, NULL, ONLY},
    {"allow-load", no_argument, NULL, LOAD},
    {"report", required_argument, NULL, REPORT},
    {"json", no_argument, NULL, JSON},
    {"quiet", no_argument, NULL, 'q'},
    {"scale", required_argument, NULL, SCALE},
    {"no-color", no_argument, NULL, NO_COLOR},
    {"help", no_argument, NULL, 'h'},
};
#define OWN (sizeof(own) / sizeof(own[0]))

static bool complain(const char *option, const char *value, const char *what)
{
    fprintf(stderr, "holdfast diagnose: --%s %s: %s\n", option, value, what);
    return false;
}

/* A bare number is seconds. */
static bool take_duration(const char *option, const char *text, hf_time least, hf_time *value)
{
    char *end;
    const double bare = strtod(text, &end);
    if (*text != '\0' && *end == '\0' && bare > 0 && bare < 1e8) {
        *value = (hf_time)(bare * 1e6);
    } else if (!hf_duration_parse(hf_slice_of(text), value)) {
        return complain(option, text, "a time is a number with a unit: 90s, 15m, 1h");
    }
    if (*value < least) {
        char shortest[24];
        hf_duration_text(least, shortest);
        fprintf(stderr, "holdfast diagnose: --%s %s: too short; at least %s\n", option, text,
                shortest);
        return false;
    }
    return true;
}

static bool take_only(struct diagnose *d, const char *list)
{
    struct hf_slice rest = hf_slice_of(list), name;
    while (hf_slice_next(&rest, ',', &name)) {
        const enum hf_experiment e = hf_experiment_from(hf_slice_trim(name));
        if (e == HF_EXPERIMENTS) {
            return complain("only", list,
                            "no such experiment; `holdfast diagnose --help` lists them");
        }
        d->how.plan.only |= 1u << e;
    }
    return d->how.plan.only != 0 || complain("only", list, "names no experiment");
}

static bool take_scale(struct diagnose *d, const char *text)
{
    char *end;
    d->how.scale = strtod(text, &end);
    return (*text != '\0' && *end == '\0' && d->how.scale > 0 && d->how.scale <= 1) ||
           complain("scale", text, "a number above 0 and at most 1");
}

static bool take_option(struct diagnose *d, int option)
{
    switch (option) {
    case BUDGET_:
        return take_duration("budget", optarg, BUDGET_LEAST, &d->how.plan.budget);
    case SEND:
        d->how.text = hf_slice_of(optarg);
        return d->how.text.len > 0 || complain("send", "\"\"", "an empty text");
    case EVERY:
        return take_duration("every", optarg, HF_MS(20), &d->how.plan.every);
    case COMPARE:
        d->compare_url = optarg;
        return true;
    case ONLY:
        return take_only(d, optarg);
    case LOAD:
        d->how.plan.load = true;
        return true;
    case REPORT:
        d->report = optarg;
        return true;
    case JSON:
        d->json = true;
        return true;
    case 'q':
        d->quiet = true;
        return true;
    case NO_COLOR:
        d->no_color = true;
        return true;
    case SCALE:
        return take_scale(d, optarg);
    default:
        return false; /* getopt said it */
    }
}

static bool ready(struct hf_target *t, const char *url)
{
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, 4096);
    const bool fine = hf_target_ready(t, url, &why);
    if (!fine) {
        fprintf(stderr, "holdfast diagnose: %.*s\n", HF_SLICE_ARG(hf_buffer_slice(&why)));
    }
    hf_buffer_reset(&why);
    return fine;
}

/* An option of the target counts for both paths. */
static bool take_shared(struct diagnose *d, int option, bool *fine)
{
    const char *why = NULL;
    if (!hf_target_take(&d->target, option, optarg, &why)) {
        return false;
    }
    if (why == NULL) {
        (void)hf_target_take(&d->compare, option, optarg, &why);
    }
    if (why != NULL) {
        fprintf(stderr, "holdfast diagnose: %s\n", why);
    }
    *fine = why == NULL;
    return true;
}

/* What was asked for can be done with the other words. */
static bool agree(const struct diagnose *d)
{
    const uint32_t only = d->how.plan.only;
    const uint32_t load = 1u << HF_EXPERIMENT_RATE | 1u << HF_EXPERIMENT_SIZE;
    if (only != 0 && (only & ~load) == 0 && !d->how.plan.load) {
        fputs("holdfast diagnose: --only: rate and size are ramps; they need --allow-load\n",
              stderr);
        return false;
    }
    if (only == 1u << HF_EXPERIMENT_PATH && d->compare_url == NULL) {
        fputs("holdfast diagnose: --only path: which other path? --compare URL\n", stderr);
        return false;
    }
    return true;
}

/* -1: go on; else the exit code. */
static int take_words(struct diagnose *d, const struct option *options)
{
    int option;
    optind = 1;
    while ((option = getopt_long(d->argc, d->argv, HF_TARGET_LETTERS "qh", options, NULL)) != -1) {
        bool fine = true;
        if (option == 'h') {
            print_help();
            return 0;
        }
        if (!take_shared(d, option, &fine)) {
            fine = take_option(d, option);
        }
        if (!fine) {
            fputs("`holdfast diagnose --help` lists the options\n", stderr);
            return USAGE_ERROR;
        }
    }
    if (optind + 1 != d->argc) {
        fprintf(stderr, "holdfast diagnose: %s\n`holdfast diagnose --help` lists the options\n",
                optind == d->argc ? "which URL?" : "one URL; the second path is --compare URL");
        return USAGE_ERROR;
    }
    if (!agree(d) || !ready(&d->target, d->argv[optind]) ||
        (d->compare_url != NULL && !ready(&d->compare, d->compare_url))) {
        return USAGE_ERROR;
    }
    return -1;
}

/* The rows of all options; to be freed. */
static struct option *all_options(void)
{
    const size_t shared = hf_target_option_count();
    struct option *options = calloc(shared + OWN + 1, sizeof(*options));
    if (options != NULL) {
        memcpy(options, hf_target_options, shared * sizeof(*options));
        memcpy(options + shared, own, sizeof(own));
    }
    return options;
}

static int read_words(struct diagnose *d)
{
    struct option *options = all_options();
    if (options == NULL) {
        fputs("holdfast diagnose: out of memory\n", stderr);
        return 1;
    }
    const int status = take_words(d, options);
    free(options);
    return status;
}

/* ---- the words again --------------------------------------------------------------------------
 */

static void add_quoted(struct hf_buffer *out, struct hf_slice word)
{
    hf_buffer_add_text(out, " '");
    for (size_t i = 0; i < word.len; i++) {
        hf_buffer_add_text(out, word.ptr[i] == '\'' ? "'\\''" : "");
        hf_buffer_add(out, hf_slice(word.ptr + i, word.ptr[i] != '\''));
    }
    hf_buffer_add_text(out, "'");
}

/* The value of an option, or "..." where it is a secret. */
static void add_value(struct diagnose *d, const char *name, const char *value,
                      struct hf_buffer *out)
{
    struct hf_buffer shown;
    hf_buffer_init(&shown, &hf_heap, 65536);
    if (strcmp(name, "header") == 0) { /* whatever it is called: a cookie, a key */
        const size_t colon = strcspn(value, ":");
        hf_buffer_add(&shown, hf_slice(value, colon));
        hf_buffer_add_text(&shown, ": ...");
    } else if (strcmp(name, "token") == 0 || strcmp(name, "user") == 0) {
        hf_buffer_add_text(&shown, "...");
    } else if (strcmp(name, "compare") == 0) {
        hf_target_print(&d->compare, &shown);
    } else if (strcmp(name, "proxy") == 0) {
        hf_redact_url(hf_slice_of(value), NULL, &shown);
    } else {
        hf_buffer_add_text(&shown, value);
    }
    add_quoted(out, hf_buffer_slice(&shown));
    hf_buffer_reset(&shown);
}

void diagnose_add_command(struct diagnose *d, struct hf_buffer *out)
{
    struct option *options = all_options();
    struct hf_buffer url;
    int option;
    hf_buffer_add_text(out, "holdfast diagnose");
    optind = 1;
    while (options != NULL &&
           (option = getopt_long(d->argc, d->argv, HF_TARGET_LETTERS "qh", options, NULL)) != -1) {
        const struct option *row = options;
        while (row->name != NULL && row->val != option) {
            row++;
        }
        if (row->name != NULL) {
            hf_buffer_addf(out, " --%s", row->name);
        }
        if (row->name != NULL && optarg != NULL) {
            add_value(d, row->name, optarg, out);
        }
    }
    hf_buffer_init(&url, &hf_heap, 65536);
    hf_target_print(&d->target, &url);
    add_quoted(out, hf_buffer_slice(&url));
    hf_buffer_reset(&url);
    free(options);
}

/* ---- running ----------------------------------------------------------------------------------
 */

static void on_event(void *owner, struct hf_diagnosis *diagnosis,
                     const struct hf_diagnosis_event *event)
{
    struct diagnose *d = owner;
    d->diagnosis = diagnosis; /* the first events come before it is returned */
    diagnose_say(d, event);
    if (event->kind == HF_DIAGNOSIS_DONE) {
        hf_loop_stop(d->loop);
    }
}

static void on_redraw(struct hf_timer *timer, hf_time now)
{
    struct diagnose *d = HF_CONTAINER(timer, struct diagnose, redraw);
    if (hf_interrupts() > 0 && !d->interrupted) {
        d->interrupted = true;
        hf_diagnosis_stop(d->diagnosis);
    }
    diagnose_draw(d);
    hf_timer_set(d->loop, &d->redraw, hf_loop_now(d->loop) + HF_MS(100));
}

static int exit_code(const struct diagnose *d)
{
    const struct hf_verdict *v = hf_diagnosis_verdict(d->diagnosis);
    if (!hf_diagnosis_was_open(d->diagnosis)) {
        return 3;
    }
    return v->best.class == HF_CLASS_NONE ? 0 : v->best.class == HF_CLASS_INCONCLUSIVE ? 4 : 1;
}

/* Says before the run, not behind it, that the report could not be written. What stands there stays
 * until there is a new one. */
static bool report_is_writable(const struct diagnose *d)
{
    FILE *file = d->report == NULL ? NULL : fopen(d->report, "a");
    if (d->report != NULL && file == NULL) {
        fprintf(stderr, "holdfast diagnose: --report %s: cannot be written: %s\n", d->report,
                strerror(errno));
        return false;
    }
    if (file != NULL) {
        fclose(file);
    }
    return true;
}

static int run(struct diagnose *d)
{
    int status = 1;
    d->loop = hf_epoll_new();
    if (d->loop == NULL) {
        fputs("holdfast diagnose: the system has no descriptor or memory left\n", stderr);
        return 1;
    }
    hf_interrupt_watch();
    d->how.begun = hf_loop_now(d->loop);
    d->begun_wall = hf_loop_wall(d->loop);
    d->how.target = &d->target;
    d->how.compare = d->compare_url == NULL ? NULL : &d->compare;
    d->how.seed = (uint64_t)d->begun_wall;
    hf_timer_init(&d->redraw, on_redraw);
    d->diagnosis = hf_diagnosis_new(d->loop, &d->how, on_event, d);
    if (d->diagnosis == NULL) {
        fputs("holdfast diagnose: out of memory\n", stderr);
    } else {
        hf_timer_set(d->loop, &d->redraw, hf_loop_now(d->loop));
        hf_epoll_run(d->loop);
        hf_timer_stop(d->loop, &d->redraw);
        hf_say_undraw(&d->say);
        status = exit_code(d);
        if (d->report != NULL && !diagnose_write_report(d)) {
            status = USAGE_ERROR;
        }
        diagnose_conclude(d);
    }
    hf_diagnosis_free(d->diagnosis);
    hf_loop_free(d->loop);
    return status;
}

int hf_tool_diagnose(int argc, char **argv)
{
    struct diagnose d = {.argc = argc, .argv = argv};
    const char *lang = getenv("LC_ALL");
    lang = lang == NULL || *lang == '\0' ? getenv("LC_CTYPE") : lang;
    lang = lang == NULL || *lang == '\0' ? getenv("LANG") : lang;
    d.how.plan.budget = BUDGET;
    hf_target_init(&d.target);
    hf_target_init(&d.compare);
    const uint64_t usual = d.target.message_max;
    d.target.message_max = d.compare.message_max = MESSAGE_MAX;
    int status = read_words(&d);
    if (status < 0 && !report_is_writable(&d)) {
        status = USAGE_ERROR;
    }
    if (d.how.plan.load && d.target.message_max == MESSAGE_MAX) {
        d.target.message_max = d.compare.message_max = usual; /* the ramp may be echoed */
    }
    if (status < 0) {
        hf_say_init(&d.say, "diagnose", d.json, !d.no_color);
        d.is_utf8 = lang != NULL && (strstr(lang, "UTF-8") != NULL || strstr(lang, "utf8") != NULL);
        status = run(&d);
        hf_say_fini(&d.say);
    }
    hf_target_fini(&d.target);
    hf_target_fini(&d.compare);
    return status;
}
