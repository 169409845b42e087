/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast demo: what the gateway does, to look at: see demo_world.h for what happens, demo_draw.h
 * for how it looks on a terminal. Elsewhere it tells a line for each event. */
#include "tools/tools.h"

#include "io/epoll.h"
#include "tools/demo_draw.h"
#include "tools/demo_report.h"
#include "tools/demo_web.h"

#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FRAME HF_MS(100)
#define PROGRESS HF_SECONDS(5)

#define WEB_DEFAULT "127.0.0.1:8808"

enum show { SHOW_PICTURE, SHOW_LINES, SHOW_JSON };

struct demo {
    struct demo_options options;
    enum show show;
    bool colour;
    struct demo_world world;
    struct demo_draw draw;
    bool web;
    struct hf_address where; /* of the pages */
    hf_time progress;        /* when a line will say how it goes */
};

static volatile int interrupted; /* by this signal; 0: not */

static void on_signal(int number)
{
    interrupted = number;
}

/* ---- words --------------------------------------------------------------- */

static void print_help(void)
{
    printf(
        "usage: holdfast demo [--seconds N] [--clients N] [--plain] [--no-color] [--json]\n"
        "       holdfast demo --web[=ADDRESS:PORT]\n\n"
        "Shows what holdfast does, in one process on loopback, and ends by itself: a middlebox\n"
        "cuts every connection after 2 to 4 s. Plain clients connect again as hand-written loops\n"
        "do, and lose what came meanwhile; held clients (libholdfast behind the gateway) resume\n"
        "their session: neither their application nor the backend sees a cut.\n\n"
        "  --seconds N   how long it runs, %d to %d; default 20\n"
        "  --clients N   clients on each side, 1 to %d; default 4\n"
        "  --plain       a line for each event, as when standard output is no terminal\n"
        "  --no-color    no colours (also: NO_COLOR in the environment)\n"
        "  --json        nothing but the summary, as JSON\n"
        "  --web         serves example pages instead, until Ctrl-C: an inbox and a chat in the\n"
        "                browser, whose connections you can cut; default " WEB_DEFAULT "\n"
        "  -h, --help    print this\n\n"
        "Exit code: 0 when every held client was cut and nothing was lost, doubled or noticed;\n"
        "else 1; 2 for a mistake in the words; 130 after Ctrl-C.\n",
        DEMO_SECONDS_MIN, DEMO_SECONDS_MAX, DEMO_CLIENTS_MAX);
}

/* `--name N` or `--name=N`. False when the word is another one; *code is set to 2 when N is wrong.
 */
static bool read_number(char **argv, int *i, const char *name, unsigned min, unsigned max,
                        unsigned *value, int *code)
{
    size_t len = strlen(name);
    const char *text = NULL;
    uint64_t number = 0;
    if (strcmp(argv[*i], name) == 0) {
        text = argv[*i + 1];
        *i += text != NULL;
    } else if (strncmp(argv[*i], name, len) == 0 && argv[*i][len] == '=') {
        text = argv[*i] + len + 1;
    } else {
        return false;
    }
    if (text == NULL || !hf_slice_number(hf_slice_of(text), max, &number) || number < min) {
        fprintf(stderr, "holdfast demo: %s: \"%s\"; allowed: a number from %u to %u\n", name,
                text == NULL ? "" : text, min, max);
        *code = 2;
    }
    *value = (unsigned)number;
    return true;
}

/* `--web` or `--web=ADDRESS:PORT`. False when the word is another one. */
static bool read_web(struct demo *d, const char *word, int *code)
{
    const char *where = strncmp(word, "--web=", 6) == 0 ? word + 6 : WEB_DEFAULT;
    if (strcmp(word, "--web") != 0 && strncmp(word, "--web=", 6) != 0) {
        return false;
    }
    d->web = true;
    if (!hf_address_parse(hf_slice_of(where), &d->where)) {
        fprintf(stderr, "holdfast demo: --web: \"%s\"; allowed: an address and a port, as in %s\n",
                where, WEB_DEFAULT);
        *code = 2;
    }
    return true;
}

/* One word, or two. Returns an exit code, or -1 to go on. */
static int read_word(struct demo *d, char **argv, int *i)
{
    const char *word = argv[*i];
    int code = -1;
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
        print_help();
        code = 0;
    } else if (strcmp(word, "--plain") == 0) {
        d->show = d->show == SHOW_JSON ? SHOW_JSON : SHOW_LINES;
    } else if (strcmp(word, "--json") == 0) {
        d->show = SHOW_JSON;
    } else if (strcmp(word, "--no-color") == 0 || strcmp(word, "--no-colour") == 0) {
        d->colour = false;
    } else if (!read_web(d, word, &code) &&
               !read_number(argv, i, "--seconds", DEMO_SECONDS_MIN, DEMO_SECONDS_MAX,
                            &d->options.seconds, &code) &&
               !read_number(argv, i, "--clients", 1, DEMO_CLIENTS_MAX, &d->options.clients,
                            &code)) {
        fprintf(stderr, "holdfast demo: no option \"%s\"; `holdfast demo --help` lists them\n",
                word);
        code = 2;
    }
    return code;
}

static int read_words(struct demo *d, int argc, char **argv)
{
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    bool terminal = isatty(STDOUT_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
    int code = -1;
    d->show = terminal ? SHOW_PICTURE : SHOW_LINES;
    d->colour = no_color == NULL || no_color[0] == '\0';
    for (int i = 1; i < argc && code < 0; i++) {
        code = read_word(d, argv, &i);
    }
    /* Lines and JSON hold no escape sequences at all. */
    d->colour = d->colour && d->show == SHOW_PICTURE;
    return code;
}

/* ---- lines --------------------------------------------------------------- */

static void say_time(struct demo *d)
{
    printf("%5.1f s  ", (double)demo_world_now(&d->world) / 1e6);
}

static void say_sums(struct demo *d)
{
    for (enum demo_side side = DEMO_PLAIN_SIDE; side < DEMO_SIDES; side++) {
        unsigned cuts = 0;
        unsigned closes = 0;
        unsigned lost = 0;
        for (unsigned i = 0; i < d->options.clients; i++) {
            const struct demo_client *c = demo_world_client(&d->world, side, i);
            cuts += c->cuts;
            closes += c->closes;
            lost += demo_client_lost(c);
        }
        printf("%s%s: cut %u x, closes %u, lost %u", side == DEMO_PLAIN_SIDE ? "" : "; ",
               demo_side_text(side), cuts, closes, lost);
    }
    printf("\n");
}

static void on_news(void *owner, enum demo_news news, const struct demo_client *c)
{
    struct demo *d = owner;
    double away = (double)(demo_world_now(&d->world) - c->lost_at) / 1e6;
    if (d->show != SHOW_LINES) {
        return;
    }
    say_time(d);
    printf("%-5s %2u  ", demo_side_text(c->side), c->number);
    switch (news) {
    case DEMO_NEWS_OPENED:
        printf("open\n");
        break;
    case DEMO_NEWS_CUT:
        printf("cut: %s\n", c->how);
        break;
    case DEMO_NEWS_RESUMED:
        printf("resumed after %.2f s\n", away);
        break;
    case DEMO_NEWS_AGAIN:
        printf("connected again after %.2f s\n", away);
        break;
    case DEMO_NEWS_FAILED:
        printf("failed: %s\n", c->how);
        break;
    }
    (void)fflush(stdout);
}

static void say_start(struct demo *d)
{
    printf("A middlebox cuts every connection after 2 to 4 s, as bad networks and restarts do.\n"
           "Plain clients connect again after 1 s; held ones are libholdfast behind holdfast.\n\n"
           "  plain  client -- middlebox -------------- backend\n"
           "  held   client -- middlebox -- holdfast -- backend\n\n");
    (void)fflush(stdout);
}

static void say_progress(struct demo *d)
{
    if (demo_world_now(&d->world) >= d->progress) {
        d->progress += PROGRESS;
        say_time(d);
        say_sums(d);
        (void)fflush(stdout);
    }
}

/* ---- the run ------------------------------------------------------------- */

static void run_picture(struct demo *d)
{
    hf_time next = 0;
    demo_draw_init(&d->draw, &d->world, d->colour);
    while (interrupted == 0 && demo_world_turn(&d->world, FRAME)) {
        if (hf_loop_now(d->world.loop) >= next) {
            demo_draw_picture(&d->draw);
            next = hf_loop_now(d->world.loop) + FRAME;
        }
    }
    demo_draw_picture(&d->draw);
    demo_draw_fini(&d->draw);
}

static void run_lines(struct demo *d)
{
    if (d->show == SHOW_LINES) {
        say_start(d);
    }
    d->progress = PROGRESS;
    while (interrupted == 0 && demo_world_turn(&d->world, FRAME)) {
        if (d->show == SHOW_LINES) {
            say_progress(d);
        }
    }
}

static int run(struct demo *d)
{
    struct demo_report report;
    if (d->show == SHOW_PICTURE) {
        run_picture(d);
    } else {
        run_lines(d);
    }
    if (interrupted != 0) {
        fputs("holdfast demo: interrupted\n", stderr);
        return 128 + (int)interrupted;
    }
    demo_report_make(&report, &d->world);
    if (d->show == SHOW_JSON) {
        demo_report_print_json(&report);
    } else {
        demo_report_print(&report, d->colour);
    }
    return report.right ? 0 : 1;
}

static int make_and_run(struct demo *d)
{
    struct hf_buffer why;
    int code = 1;
    hf_buffer_init(&why, &hf_heap, 1 << 16);
    enum hf_status status = demo_world_init(&d->world, &d->options, &why);
    if (status == HF_OK) {
        code = run(d);
    } else if (why.len > 0) {
        fprintf(stderr, "holdfast demo: %.*s\n", HF_SLICE_ARG(hf_buffer_slice(&why)));
    } else {
        fprintf(stderr, "holdfast demo: %s\n", hf_status_text(status));
    }
    demo_world_fini(&d->world);
    hf_buffer_reset(&why);
    return code;
}

int hf_tool_demo(int argc, char **argv)
{
    struct demo d = {.options = {.seconds = 20, .clients = 4, .news = on_news}};
    struct sigaction action = {.sa_handler = on_signal};
    int code = read_words(&d, argc, argv);
    if (code >= 0) {
        return code;
    }
    d.options.owner = &d;
    if (RAND_bytes((unsigned char *)&d.options.seed, sizeof(d.options.seed)) != 1) {
        fputs("holdfast demo: no random numbers\n", stderr);
        return 1;
    }
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)hf_descriptors_raise();
    return d.web ? demo_web_run(&d.where, d.options.seed, &interrupted) : make_and_run(&d);
}
