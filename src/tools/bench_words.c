/* SPDX-License-Identifier: Apache-2.0 */
/* The options of holdfast bench, and what it does not do to strangers. */
#include "tools/bench.h"
#include "tools/words.h"

#include <stdlib.h>
#include <unistd.h>

#define CONNECTIONS_MAX 200000
#define SIZE_MAX_BYTES (256U << 20)
/* What anybody's server may be asked without --allow-load. */
#define STRANGER_CONNECTIONS 10
#define STRANGER_RATE 10.0

enum {
    RATE = HF_TARGET_OPTION_END,
    SIZE,
    THREADS,
    OPEN_RATE,
    PING,
    PIPELINE,
    SAY,
    ANSWER_TIMEOUT,
    NO_RECONNECT,
    ALLOW_LOAD,
    JSON,
    NO_COLOR,
};

const char *const bench_mode_names[BENCH_MODES] = {"echo", "rate", "storm", "stream", "hold"};

static const struct option own_options[] = {
    {"mode", required_argument, NULL, 'M'},
    {"connections", required_argument, NULL, 'c'},
    {"duration", required_argument, NULL, 'd'},
    {"rate", required_argument, NULL, RATE},
    {"size", required_argument, NULL, SIZE},
    {"message", required_argument, NULL, 'm'},
    {"send", required_argument, NULL, 'm'},
    {"say", required_argument, NULL, SAY},
    {"pipeline", required_argument, NULL, PIPELINE},
    {"ping", required_argument, NULL, PING},
    {"open-rate", required_argument, NULL, OPEN_RATE},
    {"threads", required_argument, NULL, THREADS},
    {"answer-timeout", required_argument, NULL, ANSWER_TIMEOUT},
    {"no-reconnect", no_argument, NULL, NO_RECONNECT},
    {"allow-load", no_argument, NULL, ALLOW_LOAD},
    {"json", no_argument, NULL, JSON},
    {"no-color", no_argument, NULL, NO_COLOR},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void print_help(void)
{
    fputs(
        "usage: holdfast bench [OPTION]... URL\n\n"
        "Puts load on a WebSocket server that answers each message with one, and says how long "
        "the\n"
        "answers took, and which connections ended, at which age, how and by whom.\n\n"
        "  -M, --mode MODE           echo (default): each connection sends again when its answer "
        "came;\n"
        "                            rate: messages at --rate whatever happens, their latency "
        "from\n"
        "                            when they were due; storm: handshakes, as many as go or at\n"
        "                            --rate; stream: takes what the server sends; hold: "
        "connections\n"
        "                            that are kept open with --ping\n"
        "  -c, --connections N       how many (10); storm: at a time\n"
        "  -d, --duration TIME       of the measured time, behind the opening (10s)\n"
        "      --rate N              messages or handshakes a second, over all connections\n"
        "      --size SIZE           of a message (64B)\n"
        "  -m, --message TEXT        this one instead; also --send\n"
        "      --say TEXT            sent once behind the open (stream: what starts it); repeated\n"
        "      --pipeline N          echo: messages under way on each connection (1)\n"
        "      --ping TIME           WebSocket pings (hold: 15s)\n"
        "      --open-rate N         connections that are opened a second (as they come)\n"
        "      --threads N           (the number of processors, at most 4)\n"
        "      --answer-timeout TIME an answer that takes longer is none (10s)\n"
        "      --no-reconnect        what ended stays away\n"
        "      --allow-load          the server is mine to load: without it, hosts that are not "
        "this\n"
        "                            machine get at most 10 connections and 10 messages a second\n"
        "      --json                lines of JSON: start, progress, summary\n"
        "      --no-color            no colours (also: NO_COLOR in the environment)\n"
        "  -h, --help                this\n\n"
        "Connecting:\n",
        stdout);
    fputs(hf_target_help(), stdout);
    fputs("\nexit status: 0 all went well, 1 something ended, failed or was not answered, or the "
          "rate\n"
          "was not reached, 2 a mistake in the words, 3 nothing could be opened\n",
          stdout);
}

static const char *take_count(const char *value, uint64_t max, unsigned *count)
{
    uint64_t number;
    if (!hf_slice_number(hf_slice_of(value), max, &number) || number == 0) {
        return max == BENCH_THREADS ? "it is a number from 1 to 64"
               : max == 10000       ? "it is a number from 1 to 10000"
                                    : "it is a number from 1 to 200000";
    }
    *count = (unsigned)number;
    return NULL;
}

static const char *take_rate(const char *value, double *rate)
{
    char *end;
    *rate = strtod(value, &end);
    return *value != '\0' && *end == '\0' && *rate > 0 && *rate <= 1e7
               ? NULL
               : "it is a number above 0: how many a second";
}

static const char *take_size(struct bench_run *run, const char *value)
{
    uint64_t bytes;
    if (!hf_size_parse(hf_slice_of(value), &bytes) || bytes > SIZE_MAX_BYTES) {
        return "a size has a unit, as in 64B or 16KiB, and is at most 256 MiB";
    }
    run->size = (uint32_t)bytes;
    run->sized = true;
    return NULL;
}

static const char *take_mode(struct bench_run *run, const char *value)
{
    for (unsigned i = 0; i < BENCH_MODES; i++) {
        if (strcmp(value, bench_mode_names[i]) == 0) {
            run->mode = (enum bench_mode)i;
            return NULL;
        }
    }
    return "it is echo, rate, storm, stream or hold";
}

static const char *take_switch(struct bench_run *run, int option)
{
    switch (option) {
    case NO_RECONNECT:
        run->reconnect = false;
        break;
    case ALLOW_LOAD:
        run->allow_load = true;
        break;
    case JSON:
        run->say.json = true;
        break;
    case NO_COLOR:
        run->say.color = false;
        break;
    default:
        return "";
    }
    return NULL;
}

/* NULL: fine; "": getopt has said it. */
static const char *take_option(void *owner, int option, const char *value)
{
    struct bench_run *run = owner;
    switch (option) {
    case 'M':
        return take_mode(run, value);
    case 'c':
        return take_count(value, CONNECTIONS_MAX, &run->connections);
    case 'd':
        return hf_words_time(value, &run->duration);
    case RATE:
        return take_rate(value, &run->rate);
    case OPEN_RATE:
        return take_rate(value, &run->open_rate);
    case SIZE:
        return take_size(run, value);
    case 'm':
        run->message = value;
        return NULL;
    case SAY:
        return hf_words_add(run->texts, &run->text_count, BENCH_SAY_MAX, value);
    case PIPELINE:
        return take_count(value, 10000, &run->pipeline);
    case PING:
        return hf_words_time(value, &run->ping);
    case THREADS:
        return take_count(value, BENCH_THREADS, &run->threads);
    case ANSWER_TIMEOUT:
        return hf_words_time(value, &run->answer_timeout);
    default:
        return take_switch(run, option);
    }
}

/* ---- whose server it is -------------------------------------------------------------------------
 */

static const char *why_too_much(const struct bench_run *run)
{
    if (run->allow_load || hf_target_is_own(&run->target)) {
        return NULL;
    }
    if (run->connections > STRANGER_CONNECTIONS) {
        return "more than 10 connections to a host that is not this machine want --allow-load: say "
               "it only of servers that are yours to load";
    }
    if (run->mode == BENCH_ECHO) {
        return "echo sends as fast as the answers come, and a host that is not this machine wants "
               "--allow-load for that: say it only of servers that are yours to load, or use "
               "--mode "
               "rate";
    }
    if ((run->mode == BENCH_RATE || run->mode == BENCH_STORM) &&
        (run->rate == 0 || run->rate > STRANGER_RATE)) {
        return "more than 10 a second to a host that is not this machine want --allow-load: say it "
               "only of servers that are yours to load";
    }
    return NULL;
}

/* ---- all of them --------------------------------------------------------------------------------
 */

static const char *contradiction(const struct bench_run *run)
{
    if (run->mode == BENCH_RATE && run->rate == 0) {
        return "--mode rate wants --rate: how many messages a second, over all connections";
    }
    if (run->rate > 0 && run->mode != BENCH_RATE && run->mode != BENCH_STORM) {
        return "--rate is for --mode rate and --mode storm";
    }
    if (run->message != NULL && run->sized) {
        return "--message and --size: one of them";
    }
    if (run->pipeline > 1 && run->mode != BENCH_ECHO) {
        return "--pipeline is for --mode echo";
    }
    return NULL;
}

static void fill_in(struct bench_run *run)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (run->threads == 0) {
        run->threads = processors < 1 ? 1 : processors > 4 ? 4 : (unsigned)processors;
    }
    if (run->threads > run->connections) {
        run->threads = run->connections;
    }
    if (run->mode == BENCH_HOLD && run->ping == 0) {
        run->ping = HF_SECONDS(15);
    }
}

int bench_take_words(struct bench_run *run, int argc, char **argv)
{
    const struct hf_words words = {.command = "bench",
                                   .target = &run->target,
                                   .own = own_options,
                                   .letters = "M:c:d:m:h",
                                   .help = print_help,
                                   .take = take_option,
                                   .owner = run};
    const char *url;
    int status = hf_words_take(&words, argc, argv, &url);
    if (status >= 0) {
        return status;
    }
    const char *fault = contradiction(run);
    if (fault != NULL) {
        return hf_words_mistake(&words, "", fault);
    }
    status = hf_words_ready(&words, url);
    if (status >= 0) {
        return status;
    }
    fault = why_too_much(run);
    if (fault != NULL) {
        return hf_words_mistake(&words, "", fault);
    }
    fill_in(run);
    return -1;
}
