/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast logs: reads the logs of proxies and servers, and says how long WebSockets lived and what
 * ended them. Files are read together, in the order of their times, so that what one tells of a
 * connection meets what another tells of it. */
#include "tools/logs.h"

#include "logs/when.h"
#include "tools/tools.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { NOTHING_EARLY = 0, EARLY = 1, USAGE = 2, UNDECIDED = 4 };
enum {
    FORMAT = 256,
    NGINX_FORMAT,
    SINCE,
    UNTIL,
    PATH,
    BY,
    ENDINGS,
    JSON,
    ASCII,
    NO_COLOR,
    ZONE,
    TOP,
};
#define LOOK_EVERY_MS 200 /* at files that are followed */
#define JUDGE_EVERY HF_SECONDS(5)
#define PROGRESS_EVERY HF_MS(200)

static void print_help(void)
{
    fputs(
        "usage: holdfast logs [OPTION]... FILE...\n\n"
        "Reads logs of nginx (access and error), HAProxy, Envoy, AWS ALB, Daphne, Uvicorn, "
        "gunicorn,\n"
        "Node's ws, Heroku, cloudflared and holdfast, plain or gzip, as they are or wrapped by "
        "Docker,\n"
        "journald, syslog or Kubernetes, and says how long WebSockets lived and what ended "
        "them.\n"
        "FILE - is standard input.\n\n"
        "  -f, --follow            go on with what is written to the files; Ctrl-C sums up\n"
        "      --format NAME       all lines are of this format:\n"
        "                          nginx-access nginx-error haproxy envoy alb daphne uvicorn\n"
        "                          gunicorn node heroku cloudflared holdfast app\n"
        "      --nginx-format TEXT nginx's log_format, as it stands in the configuration\n"
        "      --since TIME        only what ended from then on: 2026-11-26T01:00:00Z, or 2h ago\n"
        "      --until TIME        only what ended before\n"
        "      --path PREFIX       only connections whose path begins so\n"
        "      --by WHAT           count by: cause path address code upstream\n"
        "      --top N             at most so many rows of a list (default 10)\n"
        "      --endings           each ending as a line\n"
        "      --zone +HH:MM       of times that have none (default: this machine's)\n"
        "      --ascii             the curve without braille\n"
        "      --json              one JSON object a line; the last is the summary\n"
        "      --no-color          no colours (also: NO_COLOR in the environment)\n"
        "  -h, --help              print this\n\n"
        "Exit code: 0 nothing ended early, 1 something did, 2 a mistake in the words or a file "
        "that\n"
        "cannot be read, 4 no connection's end was found in what could be read.\n",
        stdout);
}

/* ---- words -------------------------------------------------------------------------------------
 */

static int64_t wall_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static hf_time clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (hf_time)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t zone_here(void)
{
    time_t now = time(NULL);
    struct tm local;
    return localtime_r(&now, &local) != NULL ? local.tm_gmtoff : 0;
}

static int refuse(struct logs_command *c, const char *option, const char *value, const char *what)
{
    hf_say_complain(&c->say, "%s %s: %s", option, value, what);
    return USAGE;
}

/* A time, a date, or a duration ago. */
static bool read_time(const struct logs_command *c, const char *text, int64_t *at)
{
    struct hf_slice s = hf_slice_of(text);
    hf_time ago;
    size_t len;
    char midnight[32];
    if (hf_duration_parse(s, &ago)) {
        *at = c->clock.now - ago;
        return true;
    }
    if (s.len == 10) {
        (void)snprintf(midnight, sizeof(midnight), "%s 00:00:00", text);
        return hf_logs_when_iso(hf_slice_of(midnight), c->clock.zone, at, &len) && len == 19;
    }
    return (hf_logs_when_iso(s, c->clock.zone, at, &len) ||
            hf_logs_when_clf(s, c->clock.zone, at, &len)) &&
           len == s.len;
}

static bool read_zone(const char *text, int64_t *zone)
{
    char time[48];
    int64_t with;
    int64_t without;
    size_t len;
    (void)snprintf(time, sizeof(time), "2000-01-01T00:00:00%.20s", text);
    if (!hf_logs_when_iso(hf_slice_of(time), -99, &with, &len) || len != strlen(time) ||
        !hf_logs_when_iso(HF_LITERAL("2000-01-01T00:00:00Z"), 0, &without, &len)) {
        return false;
    }
    *zone = (without - with) / 1000000;
    return true;
}

static int take_value(struct logs_command *c, int option, const char *value)
{
    const char *why = "";
    char *end;
    unsigned long n;
    unsigned by = 0;
    switch (option) {
    case FORMAT:
        c->forced = hf_logs_format_from(hf_slice_of(value));
        return c->forced < HF_LOGS_FORMATS
                   ? 0
                   : refuse(c, "--format", value, "no such format; --help lists them");
    case NGINX_FORMAT:
        c->has_nginx = hf_logs_template_init(&c->nginx, hf_slice_of(value), &why);
        return c->has_nginx ? 0 : refuse(c, "--nginx-format", value, why);
    case SINCE:
    case UNTIL:
        return read_time(c, value, option == SINCE ? &c->since : &c->until)
                   ? 0
                   : refuse(c, option == SINCE ? "--since" : "--until", value,
                            "neither a time (2026-11-26T01:00:00Z), a date, nor a duration (2h)");
    case PATH:
        c->path = hf_slice_of(value);
        return 0;
    case BY:
        while (by < HF_LOGS_BYS && strcmp(value, hf_logs_by_text((enum hf_logs_by)by)) != 0) {
            by++;
        }
        c->by = (enum hf_logs_by)by;
        return by < HF_LOGS_BYS
                   ? 0
                   : refuse(c, "--by", value, "one of cause, path, address, code, upstream");
    case TOP:
        n = strtoul(value, &end, 10);
        c->top = (unsigned)n;
        return *value >= '0' && *value <= '9' && *end == '\0' && n >= 1 && n <= HF_LOGS_NAMES_MAX
                   ? 0
                   : refuse(c, "--top", value, "a number from 1 to 4096");
    case ZONE:
        return read_zone(value, &c->clock.zone)
                   ? 0
                   : refuse(c, "--zone", value, "a zone is like +02:00 or Z");
    default:
        return USAGE;
    }
}

/* -1: go on; else the exit code. */
static int read_words(struct logs_command *c, int argc, char **argv)
{
    static const struct option options[] = {
        {"follow", no_argument, NULL, 'f'},
        {"format", required_argument, NULL, FORMAT},
        {"nginx-format", required_argument, NULL, NGINX_FORMAT},
        {"since", required_argument, NULL, SINCE},
        {"until", required_argument, NULL, UNTIL},
        {"path", required_argument, NULL, PATH},
        {"by", required_argument, NULL, BY},
        {"top", required_argument, NULL, TOP},
        {"endings", no_argument, NULL, ENDINGS},
        {"zone", required_argument, NULL, ZONE},
        {"ascii", no_argument, NULL, ASCII},
        {"json", no_argument, NULL, JSON},
        {"no-color", no_argument, NULL, NO_COLOR},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    bool json = false;
    bool color = true;
    int option;
    for (int pass = 0; pass < 2; pass++) { /* first what the complaints depend on */
        optind = 0;
        opterr = pass;
        while ((option = getopt_long(argc, argv, "fh", options, NULL)) != -1) {
            json = json || option == JSON;
            color = color && option != NO_COLOR;
            if (option == 'h') {
                print_help();
                return 0;
            }
            if (pass == 0) {
                continue;
            }
            if (option == '?') {
                fputs("holdfast logs --help lists the options\n", stderr);
                return USAGE;
            }
            c->follows = c->follows || option == 'f';
            c->endings = c->endings || option == ENDINGS;
            c->ascii = c->ascii || option == ASCII;
            int wrong = optarg != NULL ? take_value(c, option, optarg) : 0;
            if (wrong != 0) {
                return wrong;
            }
        }
        if (pass == 0) {
            hf_say_init(&c->say, "logs", json, color);
        }
    }
    return -1;
}

/* ---- files -------------------------------------------------------------------------------------
 */

/* Rotations of one log are one stream: access.log, access.log.1, access.log.2.gz,
 * access.log-20261126.
 */
static struct hf_slice stem_of(const char *name)
{
    struct hf_slice s = hf_slice_of(name);
    if (hf_slice_ends(s, HF_LITERAL(".gz"))) {
        s = hf_slice_first(s, s.len - 3);
    }
    size_t n = s.len;
    while (n > 0 && s.ptr[n - 1] >= '0' && s.ptr[n - 1] <= '9') {
        n--;
    }
    bool numbered = n > 1 && n < s.len && (s.ptr[n - 1] == '.' || s.ptr[n - 1] == '-');
    return numbered ? hf_slice_first(s, n - 1) : s;
}

static bool open_files(struct logs_command *c, char **names, size_t count)
{
    c->sources = calloc(count, sizeof(*c->sources));
    if (c->sources == NULL) {
        hf_say_complain(&c->say, "out of memory");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct logs_source *s = &c->sources[i];
        bool opened = hf_logs_source_open(s, names[i], c->follows, c->forced,
                                          c->has_nginx ? &c->nginx : NULL, c->clock);
        c->source_count = i + 1;
        if (!opened) {
            hf_say_complain(&c->say, "%s: %s", names[i], strerror(errno));
            return false;
        }
        s->stream = (uint32_t)i;
        for (size_t j = 0; j < i; j++) {
            if (hf_slice_eq(stem_of(names[i]), stem_of(names[j]))) {
                s->stream = c->sources[j].stream;
                break;
            }
        }
    }
    return true;
}

/* ---- events ------------------------------------------------------------------------------------
 */

static bool is_within(const struct logs_command *c, int64_t at)
{
    return (c->since == HF_LOGS_NO_TIME || (at != HF_LOGS_NO_TIME && at >= c->since)) &&
           (c->until == HF_LOGS_NO_TIME || (at != HF_LOGS_NO_TIME && at < c->until));
}

static bool take_ending(struct logs_command *c, const struct hf_logs_ending *ending)
{
    bool wanted = is_within(c, ending->at) &&
                  (c->path.len == 0 || hf_slice_starts(hf_slice_of(ending->path), c->path));
    if (!wanted) {
        c->left_out++;
        c->untimed += ending->at == HF_LOGS_NO_TIME && !is_within(c, ending->at) ? 1 : 0;
        return true;
    }
    if (c->endings || (c->follows && c->caught_up && !c->say.json)) {
        hf_logs_say_ending(c, ending);
    }
    return hf_logs_tally_ending(&c->tally, ending) == HF_OK;
}

static bool drain_book(struct logs_command *c)
{
    struct hf_logs_ending ending;
    while (hf_logs_book_next(c->book, &ending)) {
        if (!take_ending(c, &ending)) {
            return false;
        }
    }
    return true;
}

static bool take_event(struct logs_command *c, const struct hf_logs_event *e, uint32_t stream)
{
    bool of_path = e->kind != HF_LOGS_HTTP || c->path.len == 0 || hf_slice_starts(e->path, c->path);
    if (is_within(c, e->at) && of_path) {
        hf_logs_tally_event(&c->tally, e);
    }
    return hf_logs_book_feed(c->book, e, stream) == HF_OK && drain_book(c);
}

/* The source whose event comes next: the earliest; at one instant what gives a reason before what
 * ends. Events without a time come at once. */
static struct logs_source *earliest(struct logs_command *c)
{
    struct logs_source *best = NULL;
    int64_t best_at = 0;
    for (size_t i = 0; i < c->source_count; i++) {
        struct logs_source *s = &c->sources[i];
        if (!hf_logs_source_next(s)) {
            continue;
        }
        int64_t at = s->event.at != HF_LOGS_NO_TIME ? s->event.at : s->last;
        bool coarse = s->event.resolution > HF_MS(1) && s->event.kind == HF_LOGS_HINT;
        at -= coarse && at != HF_LOGS_NO_TIME ? HF_SECONDS(1) : 0;
        if (best == NULL || at < best_at) {
            best = s;
            best_at = at;
        }
    }
    return best;
}

static void show_progress(struct logs_command *c, hf_time *shown)
{
    char text[160];
    uint64_t taken = 0;
    uint64_t size = 0;
    uint64_t lines = 0;
    hf_time now = clock_now();
    if (!c->say.live || c->caught_up || now - *shown < PROGRESS_EVERY) {
        return;
    }
    *shown = now;
    for (size_t i = 0; i < c->source_count; i++) {
        taken += c->sources[i].taken;
        size += c->sources[i].size;
        lines += c->sources[i].lines;
    }
    int n = snprintf(text, sizeof(text), "%llu lines, %llu connections ended%s",
                     (unsigned long long)lines, (unsigned long long)c->tally.ended,
                     size > 0 ? "" : "\n");
    if (size > 0 && n > 0 && (size_t)n < sizeof(text)) {
        (void)snprintf(text + n, sizeof(text) - (size_t)n, ", %.0f %%\n",
                       100.0 * (double)taken / (double)size);
    }
    hf_say_draw(&c->say, hf_slice_of(text));
}

/* What stands out and was not said yet. */
static void say_new_findings(struct logs_command *c)
{
    struct hf_logs_finding findings[HF_LOGS_FINDINGS_MAX];
    size_t n = hf_logs_tally_findings(&c->tally, findings, HF_LOGS_FINDINGS_MAX);
    c->judged = c->tally.ended;
    c->judged_at = clock_now();
    for (size_t i = 0; i < n; i++) {
        const struct hf_peak *p = &findings[i].peak;
        double room = p->kind == HF_PEAK_CLOCK ? 10 : 0.05 * p->at;
        size_t j = 0;
        while (j < c->known_count &&
               (c->known[j].kind != p->kind || c->known[j].is_silence != findings[i].is_silence ||
                c->known[j].at < p->at - room || c->known[j].at > p->at + room)) {
            j++;
        }
        if (j == c->known_count && c->known_count < HF_LOGS_KNOWN_MAX) {
            c->known[c->known_count++] =
                (struct logs_known){p->kind, findings[i].is_silence, p->at};
            hf_logs_say_finding(c, &findings[i]);
        }
    }
}

static void judge_now_and_then(struct logs_command *c)
{
    if (c->caught_up && c->tally.ended != c->judged && clock_now() - c->judged_at > JUDGE_EVERY) {
        say_new_findings(c);
    }
}

/* All that can be read now. False: out of memory. */
static bool read_on(struct logs_command *c)
{
    struct logs_source *s;
    hf_time shown = clock_now();
    uint64_t turns = 0;
    while (hf_interrupts() == 0 && (s = earliest(c)) != NULL) {
        s->has_event = false;
        if (!take_event(c, &s->event, s->stream)) {
            return false;
        }
        if ((++turns & 4095) == 0) {
            show_progress(c, &shown);
        }
        judge_now_and_then(c);
    }
    return true;
}

/* ---- following ---------------------------------------------------------------------------------
 */

static bool follow(struct logs_command *c)
{
    c->caught_up = true;
    hf_say_undraw(&c->say);
    say_new_findings(c);
    while (hf_interrupts() == 0) {
        bool more = false;
        bool alive = false;
        for (size_t i = 0; i < c->source_count; i++) {
            alive = alive || c->sources[i].follows;
            more = hf_logs_source_look(&c->sources[i]) || more;
        }
        if (!alive) {
            return true; /* what was followed were pipes, and they have ended */
        }
        if (more && !read_on(c)) {
            return false;
        }
        judge_now_and_then(c);
        if (!more) {
            (void)poll(NULL, 0, LOOK_EVERY_MS);
        }
    }
    return true;
}

/* ---- the command -------------------------------------------------------------------------------
 */

static int sum_up(struct logs_command *c)
{
    struct hf_logs_finding findings[HF_LOGS_FINDINGS_MAX];
    hf_say_undraw(&c->say);
    hf_logs_book_finish(c->book);
    if (!drain_book(c)) {
        return USAGE;
    }
    size_t n = hf_logs_tally_findings(&c->tally, findings, HF_LOGS_FINDINGS_MAX);
    bool early = hf_logs_tally_is_early(&c->tally, n);
    bool any = c->tally.ended + c->tally.lived > 0;
    int exit = early ? EARLY : any ? NOTHING_EARLY : UNDECIDED;
    hf_logs_say_summary(c, findings, n, exit);
    return exit;
}

static int run(struct logs_command *c, char **names, size_t count)
{
    uint8_t key[16];
    if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key)) {
        memset(key, 0x5A, sizeof(key));
    }
    if (count > HF_LOGS_FILES_MAX) {
        hf_say_complain(&c->say, "more than %d files at once; join them with cat, and give -",
                        HF_LOGS_FILES_MAX);
        return USAGE;
    }
    if (!open_files(c, names, count)) {
        return USAGE;
    }
    c->book = hf_logs_book_new(&hf_heap, key);
    enum hf_status status = hf_logs_tally_init(&c->tally, &hf_heap, c->by, key, 1);
    hf_interrupt_watch();
    for (size_t i = 0; c->follows && i < count; i++) {
        c->caught_up = c->caught_up || !c->sources[i].follows; /* a pipe: what comes is new */
    }
    int exit = USAGE;
    if (c->book != NULL && status == HF_OK && read_on(c) && (!c->follows || follow(c))) {
        exit = sum_up(c);
    } else {
        hf_say_complain(&c->say, "out of memory");
    }
    hf_logs_tally_fini(&c->tally);
    hf_logs_book_free(c->book);
    return exit;
}

int hf_tool_logs(int argc, char **argv)
{
    struct logs_command c = {
        .forced = HF_LOGS_FORMATS,
        .since = HF_LOGS_NO_TIME,
        .until = HF_LOGS_NO_TIME,
        .top = 10,
        .clock = {.zone = zone_here(), .now = wall_now()},
    };
    unsigned rows;
    hf_say_init(&c.say, "logs", false, true);
    int exit = read_words(&c, argc, argv);
    if (exit < 0) {
        hf_say_size(&c.columns, &rows);
        c.columns = c.columns > 120 ? 120 : c.columns;
        if (optind == argc) {
            hf_say_complain(&c.say, "no file is named; - is standard input (--help tells more)");
            exit = USAGE;
        } else {
            exit = run(&c, argv + optind, (size_t)(argc - optind));
        }
    }
    for (size_t i = 0; i < c.source_count; i++) {
        hf_logs_source_close(&c.sources[i]);
    }
    free(c.sources);
    hf_say_fini(&c.say);
    return exit;
}
