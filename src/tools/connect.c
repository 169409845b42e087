/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast connect URL: an interactive WebSocket client that survives drops and says how each
 * connection ended. */
#include "tools/connect.h"

#include "tools/tools.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define NOT_CONNECTED 3
#define USAGE_ERROR 2

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

bool connect_interrupted(void)
{
    return interrupted != 0;
}

static void print_help(void)
{
    fputs("usage: holdfast connect [OPTION]... URL\n\n"
          "An interactive WebSocket client. Behind a holdfast gateway its session survives drops;\n"
          "without one it reconnects. It says how each connection ended.\n\n"
          "  -H, --header NAME:VALUE   a header of the handshake; may be repeated\n"
          "  -s, --subprotocol NAME    a subprotocol to offer; may be repeated\n"
          "  -o, --origin ORIGIN       the Origin header\n"
          "      --token TOKEN         credentials, as Authorization: Bearer\n"
          "      --token-query NAME    sends the token as ?NAME=TOKEN instead\n"
          "  -x, --execute TEXT        sends this once it is open, and ends; may be repeated\n"
          "  -w, --wait SECONDS        how long it stays behind the last input (2)\n"
          "      --json                a line of JSON for each event\n"
          "      --retry               goes on when the first attempt fails\n"
          "      --no-reconnect        one connection, and the end\n"
          "      --no-hf1              an ordinary WebSocket: no session is asked for\n"
          "      --no-deflate          offers no compression\n"
          "  -k, --insecure            accepts any certificate\n"
          "      --cacert FILE         certificates to trust, PEM\n"
          "      --proxy URL           an HTTP proxy; \"\": none (default: the environment's)\n"
          "      --no-color            no colours (also: NO_COLOR in the environment)\n"
          "  -h, --help                this\n\n"
          "URL is ws:, wss:, http:, https: or unix:/path:/target; several are alternatives, of "
          "which\n"
          "the one whose connections live longest is preferred. Without a scheme, ws: is meant.\n\n"
          "exit status: 0 closed in order, 1 it ended otherwise, 2 a mistake in the words,\n"
          "3 could not connect\n",
          stdout);
}

/* ---- waiting ------------------------------------------------------------------------------------
 */

bool connect_wait(struct connect *c, int fd, int ms)
{
    struct pollfd fds[2] = {
        {.fd = holdfast_loop_fd(c->loop), .events = holdfast_loop_events(c->loop)},
        {.fd = fd, .events = POLLIN},
    };
    const int due = holdfast_loop_timeout(c->loop);
    const int timeout = due < 0 ? ms : ms < 0 || due < ms ? due : ms;
    const int count = poll(fds, 2, timeout);
    holdfast_loop_process(c->loop);
    return count > 0 && fds[1].revents != 0;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool is_over(const struct connect *c)
{
    return c->closed || interrupted;
}

static void wait_seconds(struct connect *c, double seconds)
{
    const double end = now_s() + seconds;
    for (double left = seconds; left > 0 && !is_over(c); left = end - now_s()) {
        (void)connect_wait(c, -1, (int)(left * 1000) + 1);
    }
}

/* ---- events -------------------------------------------------------------------------------------
 */

static void on_event(void *context, struct holdfast_client *client,
                     const struct holdfast_event *event)
{
    struct connect *c = context;
    (void)client;
    connect_line_hide(c->line);
    connect_say(c, event);
    if (event->kind == HOLDFAST_EVENT_OPEN) {
        c->was_open = true;
    } else if (event->kind == HOLDFAST_EVENT_CLOSE) {
        const bool fine = c->closing || event->record->code == 1000;
        c->closed = true;
        c->status = !c->was_open && !c->closing ? NOT_CONNECTED : fine ? 0 : 1;
    } else if (event->kind == HOLDFAST_EVENT_RECONNECTING && !c->was_open && !c->retry) {
        c->closed = true;
        c->status = NOT_CONNECTED;
    }
    connect_line_show(c->line);
}

/* Sends a text. When the queue is full it waits until there is room. */
static void send_text(struct connect *c, const char *text, size_t len)
{
    enum holdfast_send result = holdfast_client_send(c->client, HOLDFAST_TEXT, text, len);
    while (result == HOLDFAST_FULL && !c->interactive && !is_over(c)) {
        (void)connect_wait(c, -1, 50);
        result = holdfast_client_send(c->client, HOLDFAST_TEXT, text, len);
    }
    if (result != HOLDFAST_SENT && result != HOLDFAST_QUEUED) {
        connect_line_hide(c->line);
        connect_complain(c, "not sent: %s", holdfast_send_text(result));
        connect_line_show(c->line);
        c->status = c->status == 0 ? 1 : c->status;
    }
}

/* ---- where the texts come from
 * --------------------------------------------------------------------
 */

static void run_execute(struct connect *c)
{
    for (size_t i = 0; i < c->execute_count; i++) {
        send_text(c, c->execute[i], strlen(c->execute[i]));
    }
    while (!c->was_open && !is_over(c)) {
        (void)connect_wait(c, -1, -1);
    }
    wait_seconds(c, c->wait);
}

static void run_lines(struct connect *c)
{
    const char *text;
    size_t len;
    while (!c->was_open && !is_over(c)) {
        (void)connect_wait(c, -1, -1);
    }
    if (is_over(c)) {
        return;
    }
    c->line = connect_line_open(c);
    while (c->line != NULL && !is_over(c) && (text = connect_line_read(c->line, &len)) != NULL) {
        if (len > 0) {
            send_text(c, text, len);
        }
    }
    connect_line_close(c->line);
    c->line = NULL;
}

/* Standard input that nobody types: each line is a text. */
static void run_piped(struct connect *c)
{
    struct hf_buffer in;
    char room[16384];
    ssize_t n = 1;
    hf_buffer_init(&in, &hf_heap, (size_t)64 << 20);
    while (n > 0 && !is_over(c)) {
        if (!connect_wait(c, STDIN_FILENO, -1)) {
            continue;
        }
        n = read(STDIN_FILENO, room, sizeof(room));
        if (n > 0) {
            hf_buffer_add(&in, hf_slice(room, (size_t)n));
        }
        const struct hf_slice all = hf_buffer_slice(&in);
        size_t at = 0;
        for (size_t end; (end = hf_slice_find(hf_slice_from(all, at), '\n')) < all.len - at;
             at += end + 1) {
            send_text(c, (const char *)all.ptr + at, end);
        }
        hf_buffer_drop(&in, at);
        if (in.failed) {
            connect_complain(c, "a line is longer than 64 MiB");
            c->status = 1;
            break;
        }
    }
    if (in.len > 0 && !is_over(c)) {
        send_text(c, (const char *)in.data, in.len);
    }
    hf_buffer_reset(&in);
    while (!c->was_open && !is_over(c)) {
        (void)connect_wait(c, -1, -1);
    }
    wait_seconds(c, c->wait);
}

static void run(struct connect *c)
{
    if (c->execute_count > 0) {
        run_execute(c);
    } else if (c->interactive) {
        run_lines(c);
    } else {
        run_piped(c);
    }
    if (!c->closed) {
        c->closing = true;
        interrupted = 0; /* a second one does not wait */
        (void)holdfast_client_close(c->client, 1000, "");
        const double end = now_s() + 11;
        while (!c->closed && !interrupted && now_s() < end) {
            (void)connect_wait(c, -1, 100);
        }
    }
}

/* ---- words --------------------------------------------------------------------------------------
 */

enum {
    TOKEN = 256,
    TOKEN_QUERY,
    JSON,
    RETRY,
    NO_RECONNECT,
    NO_HF1,
    NO_DEFLATE,
    CACERT,
    PROXY,
    NO_COLOR
};

static const struct option options_known[] = {
    {"header", required_argument, NULL, 'H'},
    {"subprotocol", required_argument, NULL, 's'},
    {"origin", required_argument, NULL, 'o'},
    {"token", required_argument, NULL, TOKEN},
    {"execute", required_argument, NULL, 'x'},
    {"wait", required_argument, NULL, 'w'},
    {"json", no_argument, NULL, JSON},
    {"retry", no_argument, NULL, RETRY},
    {"insecure", no_argument, NULL, 'k'},
    {"no-reconnect", no_argument, NULL, NO_RECONNECT},
    {"no-hf1", no_argument, NULL, NO_HF1},
    {"no-deflate", no_argument, NULL, NO_DEFLATE},
    {"cacert", required_argument, NULL, CACERT},
    {"proxy", required_argument, NULL, PROXY},
    {"token-query", required_argument, NULL, TOKEN_QUERY},
    {"no-color", no_argument, NULL, NO_COLOR},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static enum holdfast_status add_header(struct holdfast_options *options, char *text)
{
    char *colon = strchr(text, ':');
    if (colon == NULL) {
        fprintf(stderr, "holdfast connect: -H %s: a header is NAME:VALUE\n", text);
        return HOLDFAST_INVALID;
    }
    *colon = '\0';
    return holdfast_options_add_header(options, text, colon + 1 + strspn(colon + 1, " \t"));
}

static enum holdfast_status add_url(struct holdfast_options *options, const char *text)
{
    char url[4096];
    const bool scheme = strstr(text, "://") != NULL || strncmp(text, "unix:", 5) == 0;
    (void)snprintf(url, sizeof(url), "%s%s", scheme ? "" : "ws://", text);
    return holdfast_options_add_url(options, url);
}

static enum holdfast_status take_wait(struct connect *c, const char *text)
{
    char *end;
    c->wait = strtod(text, &end);
    return *text != '\0' && *end == '\0' && c->wait >= 0 && c->wait <= 1e6 ? HOLDFAST_OK
                                                                           : HOLDFAST_INVALID;
}

/* HOLDFAST_INVALID: a mistake. */
static enum holdfast_status take_option(struct connect *c, struct holdfast_options *options,
                                        int option)
{
    switch (option) {
    case 'H':
        return add_header(options, optarg);
    case 's':
        return holdfast_options_add_protocol(options, optarg);
    case 'o':
        return holdfast_options_set_origin(options, optarg);
    case TOKEN:
        return holdfast_options_set_token(options, optarg);
    case TOKEN_QUERY:
        return holdfast_options_set_token_query(options, optarg);
    case 'x':
        c->execute[c->execute_count++] = optarg;
        break;
    case 'w':
        return take_wait(c, optarg);
    case JSON:
        c->json = true;
        break;
    case RETRY:
        c->retry = true;
        break;
    case NO_RECONNECT:
        holdfast_options_set_reconnect(options, false);
        break;
    case NO_HF1:
        holdfast_options_set_hf1(options, false);
        break;
    case NO_DEFLATE:
        holdfast_options_set_deflate(options, false);
        break;
    case 'k':
        holdfast_options_set_insecure(options, true);
        break;
    case CACERT:
        return holdfast_options_set_ca(options, optarg);
    case PROXY:
        return holdfast_options_set_proxy(options, optarg);
    case NO_COLOR:
        c->color = false;
        break;
    default:
        return HOLDFAST_INVALID;
    }
    return HOLDFAST_OK;
}

static int mistake(const struct holdfast_options *options)
{
    const char *error = holdfast_options_error(options);
    if (*error != '\0') {
        fprintf(stderr, "holdfast connect: %s\n", error);
    }
    fputs("`holdfast connect --help` lists the options\n", stderr);
    return USAGE_ERROR;
}

/* -1: go on; else the exit code. */
static int take_words(struct connect *c, struct holdfast_options *options, int argc, char **argv)
{
    int option;
    optind = 1;
    while ((option = getopt_long(argc, argv, "H:s:o:x:w:kh", options_known, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return 0;
        }
        if (take_option(c, options, option) != HOLDFAST_OK) {
            return mistake(options);
        }
    }
    if (optind == argc) {
        fputs("holdfast connect: which URL?\n", stderr);
        return mistake(options);
    }
    for (int i = optind; i < argc; i++) {
        if (add_url(options, argv[i]) != HOLDFAST_OK) {
            return mistake(options);
        }
    }
    return -1;
}

static int start(struct connect *c, struct holdfast_options *options)
{
    const struct sigaction action = {.sa_handler =
                                         on_signal}; /* without SA_RESTART: poll returns */
    enum holdfast_status why = HOLDFAST_NO_MEMORY;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    c->interactive =
        c->execute_count == 0 && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !c->json;
    holdfast_options_set_handler(options, on_event, c);
    c->loop = holdfast_loop_new();
    c->client = c->loop == NULL ? NULL : holdfast_client_new(c->loop, options, &why);
    if (c->client == NULL) {
        fprintf(stderr, "holdfast connect: %s\n", holdfast_status_text(why));
        holdfast_loop_free(c->loop);
        return 1;
    }
    run(c);
    holdfast_client_free(c->client);
    holdfast_loop_free(c->loop);
    return c->status;
}

int hf_tool_connect(int argc, char **argv)
{
    struct connect c = {.wait = 2, .color = getenv("NO_COLOR") == NULL && isatty(STDOUT_FILENO)};
    struct holdfast_options *options = holdfast_options_new();
    c.execute = calloc((size_t)argc, sizeof(*c.execute));
    if (options == NULL || c.execute == NULL) {
        fputs("holdfast connect: out of memory\n", stderr);
        return 1;
    }
    int status = take_words(&c, options, argc, argv);
    if (status < 0) {
        status = start(&c, options);
    }
    holdfast_options_free(options);
    free(c.execute);
    return status;
}
