/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast serve: the gateway as a process: words and files to a configuration, signals to reload,
 * reopen and drain. */
#include "tools/tools.h"

#include "gateway/admin.h"
#include "gateway/gateway.h"
#include "io/epoll.h"

#include <errno.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

struct server {
    struct hf_config_input input;
    const char **words;       /* of input.flags */
    struct hf_config *config; /* that was loaded last */
    struct hf_log *log;
    struct hf_loop *loop; /* of the main thread: admin and signals */
    struct hf_gateway *gateway;
    struct hf_admin *admin;
    struct hf_timer drain_timer;
    hf_time drain_until;
    bool own_loop; /* the main thread's loop is not the only worker's */
    bool draining;
    bool check;
};

/* ---- words
 * -----------------------------------------------------------------------------------------------------------
 */

static void print_help(void)
{
    struct hf_buffer options;
    hf_buffer_init(&options, &hf_heap, 1 << 20);
    (void)hf_config_help(&options);
    printf(
        "usage: holdfast serve --upstream URL [OPTION]...\n"
        "       holdfast serve -c FILE [--check] [OPTION]...\n\n"
        "Holds WebSockets in front of an unmodified backend: heartbeats on both sides, limits that "
        "count\n"
        "messages, host, origin and token checks, and a recorded cause for every ending.\n\n"
        "  -c, --config FILE   read a configuration file (also HOLDFAST_CONFIG)\n"
        "      --check         check the configuration, print what is in force, and exit\n"
        "  -h, --help          print this\n\n"
        "Every option below is also a key of the file (a.b_c for --a-b-c) and an environment "
        "variable\n"
        "(HOLDFAST_A_B_C). An option wins over the environment, the environment over the "
        "file.\n\n%.*s\n"
        "Signals: HUP reloads configuration and certificates and drops nobody, USR1 reopens the "
        "log, TERM and INT\n"
        "drain (stop accepting, say goodbye within `drain`, exit 0); a second one ends at once.\n",
        HF_SLICE_ARG(hf_buffer_slice(&options)));
    hf_buffer_reset(&options);
}

/* Takes our own words out; the others are the configuration's. Returns an exit code, or -1 to go
 * on. */
static int read_words(struct server *s, int argc, char **argv)
{
    size_t count = 0;
    s->words = calloc((size_t)argc + 1, sizeof(char *));
    if (s->words == NULL) {
        fputs("holdfast serve: out of memory\n", stderr);
        return 1;
    }
    s->input.file = getenv("HOLDFAST_CONFIG");
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
            print_help();
            return 0;
        }
        if (strcmp(word, "--check") == 0) {
            s->check = true;
        } else if (strcmp(word, "-c") == 0 || strcmp(word, "--config") == 0) {
            if (i + 1 == argc) {
                fprintf(stderr, "holdfast serve: %s wants the name of a file\n", word);
                return 2;
            }
            s->input.file = argv[++i];
        } else if (strncmp(word, "--config=", 9) == 0) {
            s->input.file = word + 9;
        } else {
            s->words[count++] = word;
        }
    }
    s->input.flags = s->words;
    s->input.environment = (const char *const *)environ;
    return -1;
}

static bool load(struct server *s, struct hf_config **config, struct hf_buffer *errors)
{
    return hf_config_load(&s->input, config, errors) == HF_OK;
}

static int check_only(const struct server *s)
{
    struct hf_buffer text;
    struct hf_runtime *runtime = NULL;
    hf_buffer_init(&text, &hf_heap, 1 << 22);
    /* Certificates and keys are part of what must be right. */
    enum hf_status status = hf_runtime_new(s->config, NULL, &runtime, &text);
    hf_runtime_unref(runtime);
    if (status != HF_OK) {
        fprintf(stderr, "holdfast serve: %.*s\n",
                HF_SLICE_ARG(hf_slice_trim(hf_buffer_slice(&text))));
        hf_buffer_reset(&text);
        return 2;
    }
    hf_buffer_clear(&text);
    (void)hf_config_print(s->config, &text);
    printf("%.*s", HF_SLICE_ARG(hf_buffer_slice(&text)));
    hf_buffer_clear(&text);
    (void)hf_config_warnings(s->config, &text);
    fprintf(stderr, "%.*s%s: good\n", HF_SLICE_ARG(hf_buffer_slice(&text)),
            s->input.file != NULL ? s->input.file : "holdfast serve");
    hf_buffer_reset(&text);
    return 0;
}

/* ---- the log
 * ------------------------------------------------------------------------------------------------------------
 */

static enum hf_log_format log_format(const struct hf_config *config)
{
    if (config->log.format >= 0) {
        return (enum hf_log_format)config->log.format;
    }
    return config->log.file == NULL && isatty(STDERR_FILENO) ? HF_LOG_TEXT : HF_LOG_JSON;
}

static void say_lines(struct server *s, enum hf_log_level level, const char *event,
                      struct hf_slice lines)
{
    struct hf_slice line;
    while (hf_slice_next(&lines, '\n', &line)) {
        if (line.len > 0) {
            hf_log_say(s->log, level, hf_loop_wall(s->loop), event, "%.*s", HF_SLICE_ARG(line));
        }
    }
}

static void say_start(struct server *s)
{
    struct hf_buffer text;
    hf_buffer_init(&text, &hf_heap, 1 << 20);
    hf_log_say(s->log, HF_LOG_INFO, hf_loop_wall(s->loop), "start", "holdfast %s, %zu workers%s%s",
               HF_VERSION, s->gateway->worker_count, s->input.file != NULL ? ", " : "",
               s->input.file != NULL ? s->input.file : "");
    for (size_t i = 0; i < s->config->listen_count; i++) {
        struct hf_address address;
        char where[128];
        hf_gateway_address(s->gateway, i, &address);
        hf_address_text(&address, where);
        hf_log_say(s->log, HF_LOG_INFO, hf_loop_wall(s->loop), "listen", "%s%s", where,
                   s->config->listens[i].certificate_count > 0 ? " (TLS)" : "");
    }
    if (s->admin != NULL) {
        struct hf_address address;
        char where[128];
        hf_admin_address(s->admin, &address);
        hf_address_text(&address, where);
        hf_log_say(s->log, HF_LOG_INFO, hf_loop_wall(s->loop), "admin", "%s", where);
    }
    (void)hf_config_warnings(s->config, &text);
    say_lines(s, HF_LOG_WARNING, "open door", hf_buffer_slice(&text));
    hf_buffer_reset(&text);
    uint64_t descriptors = hf_descriptors_raise();
    if (descriptors < 16384) {
        hf_log_say(s->log, HF_LOG_WARNING, hf_loop_wall(s->loop), "descriptors",
                   "the limit is %llu: enough for %llu connections (two each); raise it with "
                   "ulimit -n or LimitNOFILE",
                   (unsigned long long)descriptors,
                   (unsigned long long)(descriptors > 64 ? (descriptors - 64) / 2 : 0));
    }
    hf_log_flush(s->log);
}

/* ---- signals: the handler only notes them and wakes the main loop
 * -------------------------------------------------------- */

static struct {
    struct hf_task task;
    struct hf_loop *loop;
    struct server *server;
    atomic_bool posted;
    atomic_bool reload;
    atomic_bool reopen;
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
    } else {
        atomic_fetch_add(&noted.stops, 1);
    }
    if (!atomic_exchange(&noted.posted, true)) {
        hf_loop_post(noted.loop, &noted.task);
    }
    errno = error;
}

static bool text_differs(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a != b : strcmp(a, b) != 0;
}

/* Keys that were changed and take a restart: said by name, so that nobody waits for them. */
static void say_restart_keys(struct server *s, const struct hf_config *now)
{
    const struct hf_config *before = s->config;
    const struct {
        const char *key;
        bool differs;
    } keys[] = {
        {"workers", before->workers != now->workers},
        {"admin", before->admin.len != now->admin.len ||
                      memcmp(&before->admin.u, &now->admin.u, now->admin.len) != 0},
        {"admin_token", text_differs(before->admin_token, now->admin_token)},
        {"endings_kept", before->endings_kept != now->endings_kept},
        {"log.file", text_differs(before->log.file, now->log.file)},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (keys[i].differs) {
            hf_log_say(s->log, HF_LOG_WARNING, hf_loop_wall(s->loop), "reload",
                       "%s changes with a restart only", keys[i].key);
        }
    }
}

static void reload(struct server *s)
{
    struct hf_buffer text;
    struct hf_config *config = NULL;
    hf_buffer_init(&text, &hf_heap, 1 << 20);
    if (load(s, &config, &text) && hf_gateway_reload(s->gateway, config, &text) == HF_OK) {
        say_restart_keys(s, config);
        struct hf_config *old = s->config;
        s->config = hf_config_ref(config);
        hf_config_unref(old);
        hf_log_configure(s->log, log_format(config), config->log.level);
    } else {
        say_lines(s, HF_LOG_ERROR, "reload", hf_buffer_slice(&text));
        hf_log_say(s->log, HF_LOG_ERROR, hf_loop_wall(s->loop), "reload",
                   "failed; the old configuration stays in force");
    }
    hf_config_unref(config);
    hf_buffer_reset(&text);
    hf_log_flush(s->log);
}

static void drain_tick(struct hf_timer *timer, hf_time now)
{
    struct server *s = HF_CONTAINER(timer, struct server, drain_timer);
    if (hf_gateway_is_idle(s->gateway) || now >= s->drain_until) {
        hf_loop_stop(s->loop);
        return;
    }
    hf_timer_set(s->loop, &s->drain_timer, now + HF_MS(20));
}

static void drain(struct server *s)
{
    if (s->draining) {
        hf_log_say(s->log, HF_LOG_WARNING, hf_loop_wall(s->loop), "stop",
                   "a second signal: ending at once");
        hf_loop_stop(s->loop);
        return;
    }
    s->draining = true;
    char spread[24];
    hf_duration_text(s->config->drain, spread);
    hf_log_say(s->log, HF_LOG_INFO, hf_loop_wall(s->loop), "drain",
               "no new connections; goodbyes go out within %s", spread);
    hf_log_flush(s->log);
    hf_gateway_drain(s->gateway, s->config->drain);
    /* Each goodbye may take 2 s, an opening its handshake time. */
    s->drain_until = hf_loop_now(s->loop) + s->config->drain + HF_SECONDS(4);
    hf_timer_set(s->loop, &s->drain_timer, hf_loop_now(s->loop) + HF_MS(20));
}

static void reopen(struct server *s)
{
    if (hf_log_reopen(s->log) != HF_OK) {
        hf_log_say(s->log, HF_LOG_ERROR, hf_loop_wall(s->loop), "log",
                   "cannot be opened again; the old file stays in use");
    }
}

static void take_signals(struct hf_task *task, struct hf_loop *loop)
{
    struct server *s = noted.server;
    atomic_store(&noted.posted, false);
    if (atomic_exchange(&noted.reopen, false)) {
        reopen(s);
    }
    if (atomic_exchange(&noted.reload, false)) {
        reload(s);
    }
    for (unsigned n = atomic_exchange(&noted.stops, 0); n > 0; n--) {
        drain(s);
    }
}

static void catch_signals(struct server *s)
{
    static const int numbers[] = {SIGHUP, SIGUSR1, SIGTERM, SIGINT};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    noted.server = s;
    noted.loop = s->loop;
    noted.task.run = take_signals;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        sigaction(numbers[i], &action, NULL);
    }
}

static void ignore_signals(void)
{
    static const int numbers[] = {SIGHUP, SIGUSR1, SIGTERM, SIGINT};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        signal(numbers[i], SIG_IGN);
    }
}

/* ---- running
 * -----------------------------------------------------------------------------------------------------------------
 */

static size_t worker_count(const struct hf_config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return config->workers > 0 ? config->workers : cores > 0 ? (size_t)cores : 1;
}

/* A single worker runs on the main thread's loop, so that the process has one thread: system calls
 * of a process with several cost a few per cent more. */
static enum hf_status make_gateway(struct server *s, struct hf_buffer *why)
{
    size_t count = worker_count(s->config);
    s->own_loop = count > 1;
    struct hf_loop **loops = calloc(count, sizeof(struct hf_loop *));
    uint64_t seed = 0;
    enum hf_status status = HF_NO_MEMORY;
    size_t made = 0;
    while (loops != NULL && made < count &&
           (loops[made] = s->own_loop ? hf_epoll_new() : s->loop) != NULL) {
        made++;
    }
    if (RAND_bytes((unsigned char *)&seed, sizeof(seed)) != 1) {
        hf_buffer_add_text(why, "no random numbers\n");
    } else if (loops != NULL && made == count) {
        status = hf_gateway_new(s->config, s->log, loops, count, seed, &s->gateway, why);
        made = 0; /* taken over, also on failure */
        if (s->gateway == NULL && !s->own_loop) {
            s->loop = NULL;
        }
    } else {
        hf_buffer_add_text(why, "no descriptors for the event loops; raise ulimit -n\n");
    }
    for (size_t i = 0; i < made && s->own_loop; i++) {
        hf_loop_free(loops[i]);
    }
    free(loops);
    return status;
}

static int fail(const char *what, const struct hf_buffer *why, enum hf_status status)
{
    if (why->len > 0) {
        fprintf(stderr, "holdfast serve: %.*s%s", HF_SLICE_ARG(hf_buffer_slice(why)),
                why->data[why->len - 1] == '\n' ? "" : "\n");
    } else {
        fprintf(stderr, "holdfast serve: %s: %s\n", what, hf_status_text(status));
    }
    return status == HF_INVALID || status == HF_NOT_FOUND ? 2 : 1;
}

static int start(struct server *s, struct hf_buffer *why)
{
    (void)hf_descriptors_raise();
    enum hf_status status =
        hf_log_open(s->config->log.file, log_format(s->config), s->config->log.level, &s->log);
    if (status != HF_OK) {
        fprintf(stderr, "holdfast serve: log.file %s: %s\n", s->config->log.file,
                hf_status_text(status));
        return 1;
    }
    s->loop = hf_epoll_new();
    if (s->loop == NULL) {
        return fail("event loop", why, HF_NO_DESCRIPTORS);
    }
    hf_timer_init(&s->drain_timer, drain_tick);
    status = make_gateway(s, why);
    if (status == HF_OK && s->config->admin.len > 0) {
        status = hf_admin_new(s->gateway, s->loop, s->config, &s->admin, why);
    }
    if (status == HF_OK && s->own_loop) {
        status = hf_gateway_start(s->gateway);
    }
    if (status != HF_OK) {
        return fail("start", why, status);
    }
    catch_signals(s);
    return 0;
}

static void finish(struct server *s)
{
    ignore_signals();        /* the loop that a handler would wake goes away */
    hf_admin_free(s->admin); /* first, so that nothing new is asked of the workers */
    if (s->gateway != NULL) {
        hf_gateway_stop(s->gateway);
        (void)hf_epoll_turn(s->loop, 0); /* what the workers posted last */
    }
    bool loop_is_gateways = s->gateway != NULL && !s->own_loop;
    hf_gateway_free(s->gateway);
    if (!loop_is_gateways) {
        hf_loop_free(s->loop);
    }
    hf_log_close(s->log);
    hf_config_unref(s->config);
    free(s->words);
}

int hf_tool_serve(int argc, char **argv)
{
    struct server s = {0};
    struct hf_buffer why;
    hf_buffer_init(&why, &hf_heap, 1 << 20);
    int code = read_words(&s, argc, argv);
    if (code < 0 && !load(&s, &s.config, &why)) {
        fprintf(stderr, "%.*s", HF_SLICE_ARG(hf_buffer_slice(&why)));
        code = 2;
    }
    if (code < 0 && s.check) {
        code = check_only(&s);
    }
    if (code < 0) {
        code = start(&s, &why);
        if (code == 0) {
            say_start(&s);
            hf_epoll_run(s.loop);
        }
    }
    finish(&s);
    hf_buffer_reset(&why);
    return code;
}
