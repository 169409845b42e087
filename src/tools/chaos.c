/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast chaos: the fault-injecting middlebox of src/chaos as a command. */
#include "tools/chaos.h"

#include "chaos/api.h"
#include "io/epoll.h"
#include "tools/tools.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define USAGE_ERROR 2
#define API_DEFAULT "127.0.0.1:8474"
#define PROFILE_FILE_MAX ((size_t)1 << 20)
#define SETS_MAX 64

enum {
    LISTEN = 256,
    UPSTREAM,
    BACKEND,
    API,
    SCALE,
    SET,
    SEED,
    FOR,
    LIST,
    TOXICS,
    PRINT,
    TRUTH,
    JSON,
    NO_COLOR,
};

static const struct option options[] = {
    {"profile", required_argument, NULL, 'p'},
    {"config", required_argument, NULL, 'c'},
    {"listen", required_argument, NULL, LISTEN},
    {"upstream", required_argument, NULL, UPSTREAM},
    {"backend", required_argument, NULL, BACKEND},
    {"api", optional_argument, NULL, API},
    {"scale", required_argument, NULL, SCALE},
    {"set", required_argument, NULL, SET},
    {"seed", required_argument, NULL, SEED},
    {"for", required_argument, NULL, FOR},
    {"list", no_argument, NULL, LIST},
    {"toxics", no_argument, NULL, TOXICS},
    {"print", no_argument, NULL, PRINT},
    {"ground-truth", no_argument, NULL, TRUTH},
    {"json", no_argument, NULL, JSON},
    {"quiet", no_argument, NULL, 'q'},
    {"no-color", no_argument, NULL, NO_COLOR},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct words {
    const char *profile, *file;
    const char *sets[SETS_MAX];
    size_t set_count;
    bool list, toxics, print, truth, help;
};

static int complain(const char *option, const char *value, const char *allowed)
{
    fprintf(stderr, "holdfast chaos: --%s: \"%s\"; allowed: %s\n", option, value, allowed);
    return USAGE_ERROR;
}

/* ---- words ------------------------------------------------------------------------------------
 */

static int take_scale(struct chaos_command *c, const char *text)
{
    char *end = NULL;
    c->scale = strtod(text, &end);
    if (end == text || *end != '\0' || !(c->scale >= 1e-6 && c->scale <= 1e6)) {
        return complain("scale", text, "a number from 0.000001 to 1000000, such as 0.1");
    }
    return -1;
}

static int take_time(struct chaos_command *c, const char *text)
{
    if (!hf_duration_parse(hf_slice_of(text), &c->run_for) || c->run_for == 0) {
        return complain("for", text, "a time with a unit, such as 90s or 5m");
    }
    return -1;
}

/* Returns an exit code, or -1 to go on. */
static int take_word(struct chaos_command *c, struct words *w, int option, const char *value)
{
    switch (option) {
    case 'p':
        w->profile = value;
        break;
    case 'c':
        w->file = value;
        break;
    case LISTEN:
        c->listen = value;
        break;
    case UPSTREAM:
        c->upstream = value;
        break;
    case BACKEND:
        c->backend = hf_chaos_backend_from(hf_slice_of(value));
        return c->backend == HF_BACKEND_KINDS
                   ? complain("backend", value, "echo, push, silent or stream")
                   : -1;
    case API:
        c->api = value == NULL ? API_DEFAULT : value;
        break;
    case SCALE:
        return take_scale(c, value);
    case SET:
        if (w->set_count == SETS_MAX) {
            fprintf(stderr, "holdfast chaos: --set: at most %d times\n", SETS_MAX);
            return USAGE_ERROR;
        }
        w->sets[w->set_count++] = value;
        break;
    case SEED:
        return hf_slice_number(hf_slice_of(value), UINT64_MAX, &c->seed)
                   ? -1
                   : complain("seed", value, "a whole number");
    case FOR:
        return take_time(c, value);
    case LIST:
        w->list = true;
        break;
    case TOXICS:
        w->toxics = true;
        break;
    case PRINT:
        w->print = true;
        break;
    case TRUTH:
        w->truth = true;
        break;
    case JSON:
        c->json = true;
        break;
    case 'q':
        c->quiet = true;
        break;
    case NO_COLOR:
        c->color = false;
        break;
    case 'h':
        w->help = true;
        break;
    default:
        fputs("`holdfast chaos --help` lists the options\n", stderr);
        return USAGE_ERROR;
    }
    return -1;
}

static int take_words(struct chaos_command *c, struct words *w, int argc, char **argv)
{
    int code = -1;
    optind = 0;
    for (int option = 0; code < 0;) {
        option = getopt_long(argc, argv, "p:c:qh", options, NULL);
        if (option < 0) {
            break;
        }
        /* `--api ADDRESS` beside `--api=ADDRESS` and `--api` alone. */
        if (option == API && optarg == NULL && optind < argc && argv[optind][0] != '-') {
            optarg = argv[optind++];
        }
        code = take_word(c, w, option, optarg);
    }
    if (code < 0 && optind < argc) {
        fprintf(stderr, "holdfast chaos: \"%s\" is no option; `holdfast chaos --help` lists them\n",
                argv[optind]);
        code = USAGE_ERROR;
    }
    if (code < 0 && w->profile != NULL && w->file != NULL) {
        fputs("holdfast chaos: either --profile or --config\n", stderr);
        code = USAGE_ERROR;
    }
    if (code < 0 && c->upstream != NULL && c->backend != HF_BACKEND_KINDS) {
        fputs("holdfast chaos: either --upstream or --backend\n", stderr);
        code = USAGE_ERROR;
    }
    return code;
}

/* ---- the profile ------------------------------------------------------------------------------
 */

static int read_file(struct chaos_command *c, const char *name)
{
    struct hf_buffer text;
    struct hf_buffer errors;
    uint8_t chunk[8192];
    int code = -1;
    hf_buffer_init(&text, &hf_heap, PROFILE_FILE_MAX);
    hf_buffer_init(&errors, &hf_heap, (size_t)1 << 20);
    FILE *file = fopen(name, "re");
    if (file == NULL) {
        fprintf(stderr, "%s: cannot be read: %s\n", name, strerror(errno));
        return USAGE_ERROR;
    }
    for (size_t n = fread(chunk, 1, sizeof(chunk), file); n > 0;
         n = fread(chunk, 1, sizeof(chunk), file)) {
        (void)hf_buffer_add(&text, hf_slice(chunk, n));
    }
    if (ferror(file) != 0 || text.failed) {
        fprintf(stderr, "%s: %s\n", name,
                text.failed ? "is larger than 1MiB" : "cannot be read to its end");
        code = USAGE_ERROR;
    }
    (void)fclose(file);
    if (code < 0 &&
        hf_chaos_profile_read(name, hf_buffer_slice(&text), &c->profile, &errors) != HF_OK) {
        fprintf(stderr, "%.*s", HF_SLICE_ARG(hf_buffer_slice(&errors)));
        code = USAGE_ERROR;
    }
    hf_buffer_reset(&text);
    hf_buffer_reset(&errors);
    return code;
}

static int load_profile(struct chaos_command *c, const struct words *w)
{
    char why[256];
    int code = -1;
    if (w->file != NULL) {
        code = read_file(c, w->file);
    } else {
        const char *name = w->profile == NULL ? "none" : w->profile;
        if (hf_chaos_profile_find(hf_slice_of(name), &c->profile) != HF_OK) {
            fprintf(stderr, "holdfast chaos: no profile \"%s\"; `holdfast chaos --list` has them\n",
                    name);
            code = USAGE_ERROR;
        }
    }
    for (size_t i = 0; i < w->set_count && code < 0; i++) {
        if (hf_chaos_profile_set(c->profile, hf_slice_of(w->sets[i]), why) != HF_OK) {
            fprintf(stderr, "holdfast chaos: --set %s: %s\n", w->sets[i], why);
            code = USAGE_ERROR;
        }
    }
    if (code < 0) {
        hf_chaos_profile_scale(c->profile, c->scale);
    }
    return code;
}

static void print_truth(struct chaos_command *c)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, (size_t)1 << 20);
    (void)hf_buffer_add_text(&out, "{\"v\":1,\"type\":\"ground_truth\",");
    hf_chaos_profile_truth(c->profile, &out);
    (void)hf_buffer_addf(&out, ",\"scale\":%g}\n", c->scale);
    (void)fwrite(out.data, 1, out.len, stdout);
    hf_buffer_reset(&out);
}

static void print_profile(struct chaos_command *c)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, (size_t)4 << 20);
    hf_chaos_profile_print(c->profile, &out);
    (void)fwrite(out.data, 1, out.len, stdout);
    hf_buffer_reset(&out);
}

/* ---- the run ----------------------------------------------------------------------------------
 */

static bool give_toxics(struct chaos_command *c, struct hf_chaos_proxy *proxy)
{
    struct hf_toxic *t = NULL;
    while ((t = hf_chaos_profile_toxic(c->profile, t)) != NULL) {
        struct hf_toxic *copy = hf_toxic_copy(t);
        if (copy == NULL || hf_chaos_toxic_find(proxy, hf_slice_of(t->name)) != NULL ||
            hf_chaos_toxic_add(proxy, copy) != HF_OK) {
            hf_say_complain(&c->say, "the toxic %s: its name is taken, or memory ran out", t->name);
            hf_toxic_free(copy);
            return false;
        }
    }
    return true;
}

/* Without "ws://" and what stands behind the authority. */
static struct hf_slice plain_upstream(const char *text)
{
    struct hf_slice s = hf_slice_of(text);
    static const char *const schemes[] = {"ws://", "http://"};
    for (size_t i = 0; i < 2; i++) {
        if (hf_slice_starts(s, hf_slice_of(schemes[i]))) {
            s = hf_slice_from(s, strlen(schemes[i]));
            return hf_slice_first(s, hf_slice_find(s, '/'));
        }
    }
    return s;
}

static int listen_failed(struct chaos_command *c, const char *what, const char *where,
                         enum hf_status status)
{
    if (status == HF_INVALID) {
        hf_say_complain(&c->say, "--%s: \"%s\"; allowed: HOST:PORT, such as 127.0.0.1:8080", what,
                        where);
        return USAGE_ERROR;
    }
    hf_say_complain(&c->say, "cannot listen on %s: %s", where, hf_status_text(status));
    return 1;
}

static int open_proxy(struct chaos_command *c, char url[160])
{
    struct hf_chaos_proxy *proxy = NULL;
    const char *listen = c->listen == NULL ? "127.0.0.1:0" : c->listen;
    enum hf_status status = hf_chaos_proxy_add(c->chaos, HF_LITERAL("chaos"), hf_slice_of(listen),
                                               plain_upstream(c->upstream), true, &proxy);
    if (status != HF_OK) {
        return listen_failed(c, "listen", listen, status);
    }
    const char *actual = hf_chaos_proxy_listen(proxy);
    (void)snprintf(url, 160, "%s%s%s", strncmp(actual, "unix:", 5) == 0 ? "" : "ws://", actual,
                   strncmp(actual, "unix:", 5) == 0 ? "" : "/");
    return give_toxics(c, proxy) ? -1 : 1;
}

static int open_api(struct chaos_command *c, struct hf_chaos_api **api, char where[128])
{
    struct hf_address address;
    struct hf_buffer why;
    if (!hf_address_parse(hf_slice_of(c->api), &address)) {
        return complain("api", c->api, "an address and a port, such as " API_DEFAULT);
    }
    hf_buffer_init(&why, &hf_heap, 4096);
    bool open = hf_chaos_api_open(c->chaos, &address, api, &why) == HF_OK;
    if (open) {
        hf_chaos_api_address(*api, &address);
        hf_address_text(&address, where);
    } else {
        hf_say_complain(&c->say, "--api: %.*s", HF_SLICE_ARG(hf_buffer_slice(&why)));
    }
    hf_buffer_reset(&why);
    return open ? -1 : 1;
}

static void turn_until_over(struct chaos_command *c)
{
    hf_time end = c->run_for > 0 ? hf_loop_now(c->loop) + c->run_for : HF_NEVER;
    while (hf_interrupts() == 0 && hf_loop_now(c->loop) < end) {
        hf_time left = end - hf_loop_now(c->loop);
        (void)hf_epoll_turn(c->loop, left < HF_MS(200) ? left : HF_MS(200));
    }
}

static int run_box(struct chaos_command *c)
{
    char url[160] = "";
    char upstream[128];
    char where[128] = "";
    struct hf_chaos_api *api = NULL;
    struct hf_chaos_backend *backend = NULL;
    const struct hf_chaos_options how = {
        .loop = c->loop, .seed = c->seed, .told = chaos_say_event, .owner = c};
    bool proxies = c->upstream != NULL || c->listen != NULL || c->backend != HF_BACKEND_KINDS ||
                   c->api == NULL || hf_chaos_profile_toxic(c->profile, NULL) != NULL;
    int code = -1;
    c->chaos = hf_chaos_new(&how);
    if (proxies && c->upstream == NULL && c->chaos != NULL) {
        struct hf_address address;
        enum hf_chaos_backend_kind kind =
            c->backend == HF_BACKEND_KINDS ? HF_BACKEND_ECHO : c->backend;
        enum hf_status status = hf_chaos_backend_open(c->loop, kind, &backend);
        if (status == HF_OK) {
            hf_chaos_backend_address(backend, &address);
            hf_address_text(&address, upstream);
            c->upstream = upstream;
        } else {
            code = listen_failed(c, "backend", "127.0.0.1:0", status);
        }
    }
    if (c->chaos == NULL) {
        code = 1;
    }
    if (code < 0 && proxies) {
        code = open_proxy(c, url);
    }
    if (code < 0 && c->api != NULL) {
        code = open_api(c, &api, where);
    }
    if (code < 0) {
        chaos_say_start(c, proxies ? url : NULL, c->api == NULL ? NULL : where);
        turn_until_over(c);
        chaos_say_sum(c);
        code = 0;
    }
    hf_chaos_api_close(api);
    hf_chaos_free(c->chaos);
    hf_chaos_backend_close(backend);
    return code;
}

static int run(struct chaos_command *c)
{
    hf_interrupt_watch();
    c->loop = hf_epoll_new();
    if (c->loop == NULL) {
        hf_say_complain(&c->say, "out of memory or descriptors");
        return 1;
    }
    (void)hf_descriptors_raise();
    c->begun = hf_loop_now(c->loop);
    int code = run_box(c);
    hf_loop_free(c->loop);
    return code;
}

int hf_tool_chaos(int argc, char **argv)
{
    struct chaos_command c = {.backend = HF_BACKEND_KINDS, .scale = 1, .color = true};
    struct words w = {0};
    (void)RAND_bytes((unsigned char *)&c.seed, 4);
    int code = take_words(&c, &w, argc, argv);
    if (code < 0 && w.help) {
        chaos_say_help();
        return 0;
    }
    if (code < 0 && w.toxics) {
        chaos_say_toxics();
        return 0;
    }
    if (code >= 0) {
        return code;
    }
    hf_say_init(&c.say, "chaos", c.json, c.color);
    if (w.list) {
        chaos_say_profiles(&c);
        code = 0;
    } else {
        code = load_profile(&c, &w);
    }
    if (code < 0 && w.print) {
        print_profile(&c);
        code = 0;
    } else if (code < 0 && w.truth) {
        print_truth(&c);
        code = 0;
    } else if (code < 0) {
        code = run(&c);
    }
    hf_chaos_profile_free(c.profile);
    hf_say_fini(&c.say);
    return code;
}
