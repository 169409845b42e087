/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast watch: holds connections day and night, and tells when they end too early. */
#include "watch/watch.h"

#include "base/log.h"
#include "io/epoll.h"
#include "tools/say.h"
#include "tools/tools.h"
#include "watch/keys.h"
#include "watch/notify.h"
#include "watch/once.h"

#include <errno.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define WORDS_MAX 256
#define UNKNOWN 3 /* of a monitoring plugin */
#define STOP_WITHIN HF_SECONDS(3)
#define OPTION_KEY (HF_TARGET_OPTION_END + 100) /* plus the key's index */

enum {
    OPTION_ONCE = HF_TARGET_OPTION_END,
    OPTION_HOLD,
    OPTION_JSON,
    OPTION_CHECK,
    OPTION_DB,
    OPTION_KEYS,
    OPTION_HELP,
};

struct tool {
    const char *file;
    bool once, json, check;
    hf_time hold;
    struct hf_watch_word words[WORDS_MAX];
    size_t word_count;
    char *names[HF_WATCH_KEYS_MAX]; /* of flags, with dashes */
    struct option options[HF_WATCH_KEYS_MAX + 64];
    struct hf_watch_input input;
    struct hf_loop *loop;
    struct hf_log *log;
    struct hf_watch *watch;
    struct hf_timer watchdog, stop;
    hf_time watchdog_every, stop_until;
    bool stopping;
};

/* ---- words -------------------------------------------------------------------------------------
 */

static void print_help(void)
{
    struct hf_buffer keys;
    hf_buffer_init(&keys, &hf_heap, 65536);
    hf_watch_keys_help(&keys);
    printf("usage: holdfast watch [-c FILE] [OPTION]... [URL]...\n\n"
           "Holds WebSockets to each target day and night, judges how they end, and tells when\n"
           "they end too early, cannot be made, answer late, or run out of their certificate.\n"
           "Shows it all on http://127.0.0.1:9900/ with /metrics for Prometheus.\n\n"
           "  -c, --config FILE         targets, channels and all else; see docs/watch.md\n"
           "      --check               says what is wrong with the file, and ends\n"
           "      --once                one look at each target, with the line and the exit codes\n"
           "                            of a monitoring plugin: 0 good, 1 warning, 2 critical,\n"
           "                            3 unknown\n"
           "      --hold DURATION       with --once: how long each connection is held (10s)\n"
           "      --json                a line of JSON for each ending, alert and check\n"
           "      --db FILE             as --database\n"
           "  -h, --help                prints this\n"
           "      --keys                prints the tables of keys of docs/watch.md\n\n"
           "Keys of the file that are options too (the option wins):\n%.*s\n"
           "Connecting, for all targets:\n%s\n"
           "SIGHUP reads the file again; SIGUSR1 opens the log's file again; SIGUSR2 holds alerts\n"
           "back for a while (quiet_signal); SIGTERM ends it orderly.\n",
           HF_SLICE_ARG(hf_buffer_slice(&keys)), hf_target_help());
    hf_buffer_reset(&keys);
}

static void print_keys(void)
{
    struct hf_buffer text;
    hf_buffer_init(&text, &hf_heap, (size_t)1 << 20);
    hf_watch_keys_document(&text);
    printf("%.*s", HF_SLICE_ARG(hf_buffer_slice(&text)));
    hf_buffer_reset(&text);
}

/* The options of the target, our own, and a flag for each key that is one. */
static bool make_options(struct tool *t)
{
    static const struct option own[] = {
        {"config", required_argument, NULL, 'c'},
        {"once", no_argument, NULL, OPTION_ONCE},
        {"hold", required_argument, NULL, OPTION_HOLD},
        {"json", no_argument, NULL, OPTION_JSON},
        {"check", no_argument, NULL, OPTION_CHECK},
        {"db", required_argument, NULL, OPTION_DB},
        {"keys", no_argument, NULL, OPTION_KEYS},
        {"help", no_argument, NULL, OPTION_HELP},
        {NULL, 0, NULL, 0},
    };
    hf_target_options_join(own, t->options, sizeof(t->options) / sizeof(t->options[0]));
    size_t count = hf_target_option_count() + sizeof(own) / sizeof(own[0]) - 1;
    for (size_t i = 0; i < hf_watch_key_count; i++) {
        if (!hf_watch_keys[i].is_flag) {
            continue;
        }
        char *name = t->names[i] = strdup(hf_watch_keys[i].name);
        if (name == NULL) {
            return false;
        }
        for (char *c = name; *c != '\0'; c++) {
            *c = *c == '_' ? '-' : *c;
        }
        HF_ASSERT(count + 1 < sizeof(t->options) / sizeof(t->options[0]));
        t->options[count++] = (struct option){name, required_argument, NULL, OPTION_KEY + (int)i};
    }
    t->options[count] = (struct option){NULL, 0, NULL, 0};
    return true;
}

static int mistake(const struct tool *t, const char *format, ...) HF_PRINTF(2, 3);
static int mistake(const struct tool *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (t->once && !t->json) {
        fputs("WEBSOCKET UNKNOWN - ", stdout);
        vfprintf(stdout, format, args);
        fputc('\n', stdout);
    } else {
        fputs("holdfast watch: ", stderr);
        vfprintf(stderr, format, args);
        fputc('\n', stderr);
    }
    va_end(args);
    return t->once ? UNKNOWN : 2;
}

static bool add_word(struct tool *t, const char *name, const char *value, bool is_target_option)
{
    if (t->word_count == WORDS_MAX) {
        return false;
    }
    t->words[t->word_count++] = (struct hf_watch_word){name, value, is_target_option};
    return true;
}

/* An option of the target, by its value; NULL: it is none. */
static const char *target_option(int value)
{
    for (size_t i = 0; i < hf_target_option_count(); i++) {
        if (hf_target_options[i].val == value) {
            return hf_target_options[i].name;
        }
    }
    return NULL;
}

/* -1 to go on, or the exit code. */
static int take_option(struct tool *t, int option)
{
    const char *name = target_option(option);
    if (name != NULL || option >= OPTION_KEY) {
        return add_word(t, name != NULL ? name : hf_watch_keys[option - OPTION_KEY].name, optarg,
                        name != NULL)
                   ? -1
                   : mistake(t, "too many options");
    }
    switch (option) {
    case 'c':
        t->file = optarg;
        return -1;
    case OPTION_ONCE:
        t->once = true;
        return -1;
    case OPTION_JSON:
        t->json = true;
        return -1;
    case OPTION_CHECK:
        t->check = true;
        return -1;
    case OPTION_DB:
        return add_word(t, "database", optarg, false) ? -1 : mistake(t, "too many options");
    case OPTION_HOLD:
        return hf_duration_parse(hf_slice_of(optarg), &t->hold) && t->hold > 0
                   ? -1
                   : mistake(t, "--hold %s is not a duration such as 10s or 1m", optarg);
    case OPTION_KEYS:
        print_keys();
        return 0;
    case OPTION_HELP:
    case 'h':
        print_help();
        return 0;
    default:
        return mistake(t, "holdfast watch --help tells the options");
    }
}

static int take_words(struct tool *t, int argc, char **argv)
{
    int option;
    int code = -1;
    for (int i = 1; i < argc; i++) { /* it decides how mistakes are told */
        t->once = t->once || strcmp(argv[i], "--once") == 0;
    }
    if (!make_options(t)) {
        return mistake(t, "out of memory");
    }
    while (code < 0 &&
           (option = getopt_long(argc, argv, HF_TARGET_LETTERS "c:h", t->options, NULL)) != -1) {
        code = take_option(t, option);
    }
    t->input = (struct hf_watch_input){
        .file = t->file,
        .urls = (const char *const *)argv + optind,
        .url_count = (size_t)(argc - optind),
        .words = t->words,
        .word_count = t->word_count,
    };
    return code;
}

/* ---- settings ----------------------------------------------------------------------------------
 */

static const char *get_environment(const char *name)
{
    return getenv(name);
}

static void say_lines(const struct hf_buffer *text)
{
    fprintf(stderr, "%.*s", HF_SLICE_ARG(hf_buffer_slice(text)));
}

/* -1 to go on, or the exit code. */
static int load(struct tool *t, struct hf_watch_settings **settings)
{
    struct hf_buffer errors;
    hf_buffer_init(&errors, &hf_heap, (size_t)1 << 20);
    t->input.environment = get_environment;
    enum hf_status status = hf_watch_settings_load(&t->input, settings, &errors);
    if (status != HF_OK && t->once && !t->json) {
        struct hf_slice line =
            hf_slice_first(hf_buffer_slice(&errors), hf_slice_find(hf_buffer_slice(&errors), '\n'));
        printf("WEBSOCKET UNKNOWN - %.*s\n", HF_SLICE_ARG(line));
    }
    say_lines(&errors);
    if (status == HF_NO_MEMORY) {
        (void)mistake(t, "out of memory");
    }
    hf_buffer_reset(&errors);
    return status == HF_OK ? -1 : t->once ? UNKNOWN : 2;
}

/* What --check says of a good file. */
static void print_settings(const struct tool *t, const struct hf_watch_settings *s)
{
    printf("%s is good: %zu target%s, %zu channel%s\n", t->file == NULL ? "it" : t->file,
           s->target_count, s->target_count == 1 ? "" : "s", s->channel_count,
           s->channel_count == 1 ? "" : "s");
    for (size_t i = 0; i < s->target_count; i++) {
        printf("  %s\n", s->targets[i]->name);
    }
}

/* ---- signals -----------------------------------------------------------------------------------
 */

static struct {
    struct hf_task task;
    struct tool *tool;
    struct hf_loop *loop;
    atomic_bool posted, reload, reopen, quiet;
    atomic_uint stops;
} noted;

/* Only lock-free atomics and write(2), inside hf_loop_post too. */
static void on_signal(int number)
{
    int error = errno;
    if (number == SIGHUP) {
        atomic_store(&noted.reload, true);
    } else if (number == SIGUSR1) {
        atomic_store(&noted.reopen, true);
    } else if (number == SIGUSR2) {
        atomic_store(&noted.quiet, true);
    } else {
        atomic_fetch_add(&noted.stops, 1);
    }
    if (!atomic_exchange(&noted.posted, true)) {
        hf_loop_post(noted.loop, &noted.task);
    }
    errno = error;
}

static enum hf_log_format log_format(const struct hf_watch_settings *s)
{
    return s->log_format >= 0           ? (enum hf_log_format)s->log_format
           : isatty(STDERR_FILENO) == 1 ? HF_LOG_TEXT
                                        : HF_LOG_JSON;
}

static void reload(struct tool *t)
{
    struct hf_watch_settings *settings = NULL;
    struct hf_buffer errors;
    hf_buffer_init(&errors, &hf_heap, (size_t)1 << 20);
    hf_notify("RELOADING=1");
    if (hf_watch_settings_load(&t->input, &settings, &errors) == HF_OK) {
        hf_log_configure(t->log, log_format(settings), settings->log_level);
        hf_watch_reload(t->watch, settings);
    } else {
        struct hf_slice rest = hf_buffer_slice(&errors);
        struct hf_slice line;
        while (hf_slice_next(&rest, '\n', &line)) {
            hf_log_say(t->log, HF_LOG_ERROR, hf_loop_wall(t->loop), "reload", "%.*s",
                       HF_SLICE_ARG(line));
        }
        hf_log_say(t->log, HF_LOG_ERROR, hf_loop_wall(t->loop), "reload",
                   "failed; everything stays as it was");
    }
    hf_notify("READY=1");
    hf_buffer_reset(&errors);
}

static void stop_time(struct hf_timer *timer, hf_time now)
{
    struct tool *t = HF_CONTAINER(timer, struct tool, stop);
    if (hf_watch_is_idle(t->watch) || now >= t->stop_until) {
        hf_loop_stop(t->loop);
        return;
    }
    hf_timer_set(t->loop, &t->stop, now + HF_MS(20));
}

static void stop(struct tool *t)
{
    if (t->stopping) {
        hf_loop_stop(t->loop);
        return;
    }
    t->stopping = true;
    hf_notify("STOPPING=1");
    hf_log_say(t->log, HF_LOG_INFO, hf_loop_wall(t->loop), "stop",
               "connections are closed and the history is written");
    hf_watch_stop(t->watch);
    t->stop_until = hf_loop_now(t->loop) + STOP_WITHIN;
    hf_timer_set(t->loop, &t->stop, hf_loop_now(t->loop));
}

static void take_signals(struct hf_task *task, struct hf_loop *loop)
{
    struct tool *t = noted.tool;
    atomic_store(&noted.posted, false);
    if (atomic_exchange(&noted.reopen, false) && hf_log_reopen(t->log) != HF_OK) {
        hf_log_say(t->log, HF_LOG_ERROR, hf_loop_wall(t->loop), "log",
                   "cannot be opened again; the old file stays in use");
    }
    if (atomic_exchange(&noted.reload, false) && !t->stopping) {
        reload(t);
    }
    if (atomic_exchange(&noted.quiet, false)) {
        hf_watch_quiet_by_signal(t->watch);
    }
    for (unsigned n = atomic_exchange(&noted.stops, 0); n > 0; n--) {
        stop(t);
    }
    hf_log_flush(t->log);
}

static const int signals[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGTERM, SIGINT};
#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

static void catch_signals(struct tool *t)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    noted.tool = t;
    noted.loop = t->loop;
    noted.task.run = take_signals;
    for (size_t i = 0; i < SIGNALS; i++) {
        sigaction(signals[i], &action, NULL);
    }
}

/* ---- running -----------------------------------------------------------------------------------
 */

static uint64_t random_seed(void)
{
    uint64_t seed = 0;
    (void)RAND_bytes((unsigned char *)&seed, sizeof(seed));
    return seed;
}

static void on_line(void *owner, struct hf_slice line)
{
    fwrite(line.ptr, 1, line.len, stdout);
    fputc('\n', stdout);
    fflush(stdout);
}

static void watchdog_time(struct hf_timer *timer, hf_time now)
{
    struct tool *t = HF_CONTAINER(timer, struct tool, watchdog);
    hf_notify("WATCHDOG=1");
    hf_timer_set(t->loop, timer, now + t->watchdog_every);
}

static bool is_stopped(void)
{
    return hf_interrupts() > 0;
}

static int run_once(struct tool *t, struct hf_watch_settings *settings)
{
    struct hf_buffer out;
    const struct hf_once_how how = {.loop = t->loop,
                                    .settings = settings,
                                    .hold = t->hold,
                                    .seed = random_seed(),
                                    .stopped = is_stopped,
                                    .json = t->json};
    hf_interrupt_watch();
    hf_buffer_init(&out, &hf_heap, (size_t)16 << 20);
    int code = hf_watch_once(&how, &out);
    fwrite(out.data, 1, out.len, stdout);
    hf_buffer_reset(&out);
    hf_watch_settings_free(settings);
    return code;
}

static void say_start(struct tool *t, size_t count)
{
    struct hf_address address;
    char where[128];
    hf_log_say(t->log, HF_LOG_INFO, hf_loop_wall(t->loop), "start",
               "holdfast %s watches %zu target%s", HF_VERSION, count, count == 1 ? "" : "s");
    hf_watch_address(t->watch, &address);
    if (address.len > 0) {
        hf_address_text(&address, where);
        hf_log_say(t->log, HF_LOG_INFO, hf_loop_wall(t->loop), "listen", "%s", where);
    }
    hf_log_flush(t->log);
}

static int start(struct tool *t, struct hf_watch_settings *settings)
{
    struct hf_buffer why;
    size_t count = settings->target_count;
    enum hf_status status =
        hf_log_open(settings->log_file, log_format(settings), settings->log_level, &t->log);
    if (status != HF_OK) {
        fprintf(stderr, "holdfast watch: log_file %s: %s\n", settings->log_file,
                hf_status_text(status));
        hf_watch_settings_free(settings);
        return 1;
    }
    hf_buffer_init(&why, &hf_heap, 65536);
    const struct hf_watch_how how = {.loop = t->loop,
                                     .log = t->log,
                                     .settings = settings,
                                     .seed = random_seed(),
                                     .line = t->json ? on_line : NULL};
    status = hf_watch_new(&how, &t->watch, &why);
    if (status != HF_OK) {
        fprintf(stderr, "holdfast watch: %.*s%s", HF_SLICE_ARG(hf_buffer_slice(&why)),
                why.len > 0 ? "" : hf_status_text(status));
        fputs(why.len > 0 ? "" : "\n", stderr);
    }
    hf_buffer_reset(&why);
    if (status == HF_OK) {
        say_start(t, count);
    }
    return status == HF_OK ? 0 : 1;
}

static int run(struct tool *t, struct hf_watch_settings *settings)
{
    (void)hf_descriptors_raise();
    hf_timer_init(&t->watchdog, watchdog_time);
    hf_timer_init(&t->stop, stop_time);
    int code = start(t, settings);
    if (code == 0) {
        catch_signals(t);
        t->watchdog_every = hf_notify_watchdog();
        if (t->watchdog_every > 0) {
            hf_timer_set(t->loop, &t->watchdog, hf_loop_now(t->loop) + t->watchdog_every);
        }
        hf_notify("READY=1");
        hf_epoll_run(t->loop);
        for (size_t i = 0; i < SIGNALS; i++) { /* the loop that a handler would wake goes away */
            signal(signals[i], SIG_IGN);
        }
    }
    hf_watch_free(t->watch);
    hf_log_close(t->log);
    return code;
}

int hf_tool_watch(int argc, char **argv)
{
    struct tool t = {.hold = HF_SECONDS(10)};
    struct hf_watch_settings *settings = NULL;
    int code = take_words(&t, argc, argv);
    if (code < 0) {
        code = load(&t, &settings);
    }
    if (code < 0 && t.check) {
        print_settings(&t, settings);
        hf_watch_settings_free(settings);
        code = 0;
    }
    if (code < 0 && (t.loop = hf_epoll_new()) == NULL) {
        hf_watch_settings_free(settings);
        code = mistake(&t, "no descriptor for the event loop; raise ulimit -n");
    }
    if (code < 0) {
        code = t.once ? run_once(&t, settings) : run(&t, settings);
    }
    hf_loop_free(t.loop);
    for (size_t i = 0; i < HF_WATCH_KEYS_MAX; i++) {
        free(t.names[i]);
    }
    return code;
}
