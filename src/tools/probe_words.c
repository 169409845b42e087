/* SPDX-License-Identifier: Apache-2.0 */
/* The options of holdfast probe. */
#include "tools/probe.h"
#include "tools/words.h"

#define CONNECTIONS_MAX 100000
/* What anybody's server may be asked without --allow-load. */
#define STRANGER_CONNECTIONS 100

enum {
    STAGGER = HF_TARGET_OPTION_END,
    HOLD,
    PING,
    BEAT,
    EVERY,
    KEEPALIVE,
    PONG,
    NO_PONG,
    SAY,
    SIZE,
    READ_FOR,
    ANSWER_TIMEOUT,
    NO_CHECK,
    UNTIL_DROP,
    FOREVER,
    PRINT,
    ALLOW_LOAD,
    JSON,
    NO_COLOR,
};

static const struct option own_options[] = {
    {"connections", required_argument, NULL, 'n'},
    {"stagger", required_argument, NULL, STAGGER},
    {"hold", required_argument, NULL, HOLD},
    {"until-drop", no_argument, NULL, UNTIL_DROP},
    {"forever", no_argument, NULL, FOREVER},
    {"ping", required_argument, NULL, PING},
    {"beat", required_argument, NULL, BEAT},
    {"message", required_argument, NULL, 'm'},
    {"send", required_argument, NULL, 'm'},
    {"every", required_argument, NULL, EVERY},
    {"size", required_argument, NULL, SIZE},
    {"say", required_argument, NULL, SAY},
    {"keepalive", required_argument, NULL, KEEPALIVE},
    {"pong", required_argument, NULL, PONG},
    {"no-pong", no_argument, NULL, NO_PONG},
    {"read-for", required_argument, NULL, READ_FOR},
    {"answer-timeout", required_argument, NULL, ANSWER_TIMEOUT},
    {"no-check", no_argument, NULL, NO_CHECK},
    {"print", no_argument, NULL, PRINT},
    {"allow-load", no_argument, NULL, ALLOW_LOAD},
    {"json", no_argument, NULL, JSON},
    {"quiet", no_argument, NULL, 'q'},
    {"no-color", no_argument, NULL, NO_COLOR},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void print_help(void)
{
    fputs(
        "usage: holdfast probe [OPTION]... URL\n\n"
        "Opens WebSockets, holds them for a time with the heartbeats that are named, and no "
        "others,\n"
        "and says how each opened, how long its ways were, and how it ended.\n\n"
        "  -n, --connections N       how many (1)\n"
        "      --stagger TIME        between their starts (0)\n"
        "      --hold TIME           how long they are held (30s)\n"
        "      --until-drop          until all have ended by themselves\n"
        "      --forever             the same, and each is opened again; until Ctrl-C\n"
        "      --ping TIME           WebSocket pings, this often\n"
        "  -m, --message TEXT        a text that is sent again and again; also --send\n"
        "      --every TIME          this often (10s)\n"
        "      --size SIZE           padded to this size\n"
        "      --beat TIME           unsolicited pongs: bytes that nobody answers\n"
        "      --keepalive TIME      TCP keepalive, below WebSocket\n"
        "      --say TEXT            sent once, behind the open; may be repeated\n"
        "      --pong HOW            the server's pings: answer, ignore, empty, late:TIME "
        "(answer)\n"
        "      --no-pong             the same as --pong ignore\n"
        "      --read-for TIME       stops reading at this age\n"
        "      --answer-timeout TIME a ping that nothing follows for so long: silence (20s)\n"
        "      --no-check            no ping at the end of a silent hold, to see whether it lives\n"
        "      --print               prints the messages that come\n"
        "      --allow-load          the server is mine to load: without it, a host that is not "
        "this\n"
        "                            machine gets at most 100 connections\n"
        "      --json                a line of JSON for each event\n"
        "  -q, --quiet               the end alone\n"
        "      --no-color            no colours (also: NO_COLOR in the environment)\n"
        "  -h, --help                this\n\n"
        "Connecting:\n",
        stdout);
    fputs(hf_target_help(), stdout);
    fputs(
        "\nURL is ws:, wss:, http:, https: or unix:/path:/target; without a scheme, ws: is meant.\n"
        "Times have a unit: 500ms, 10s, 5m, 2h.\n\n"
        "exit status: 0 all were held, 1 at least one ended early or did not open, 2 a mistake in\n"
        "the words, 3 none could be opened\n",
        stdout);
}

static const char *take_count(const char *value, unsigned *count)
{
    uint64_t number;
    if (!hf_slice_number(hf_slice_of(value), CONNECTIONS_MAX, &number) || number == 0) {
        return "it is a number from 1 to 100000";
    }
    *count = (unsigned)number;
    return NULL;
}

static const char *take_size(const char *value, uint32_t *size)
{
    uint64_t bytes;
    if (!hf_size_parse(hf_slice_of(value), &bytes) || bytes == 0 || bytes > UINT32_MAX / 4) {
        return "a size has a unit, as in 512B or 64KiB, and is at most 1 GiB";
    }
    *size = (uint32_t)bytes;
    return NULL;
}

static const char *take_pong(struct probe_run *run, const char *value)
{
    for (enum hf_pong_policy policy = HF_PONG_ANSWER; policy <= HF_PONG_EMPTY; policy++) {
        if (strcmp(value, hf_pong_policy_text(policy)) == 0) {
            run->how.plan.pong = policy;
            return NULL;
        }
    }
    if (strncmp(value, "late:", 5) == 0 && hf_words_time(value + 5, &run->how.pong_delay) == NULL) {
        run->how.plan.pong = HF_PONG_LATE;
        return NULL;
    }
    return "it is answer, ignore, empty or late:TIME, as in late:2s";
}

static const char *take_switch(struct probe_run *run, int option)
{
    switch (option) {
    case NO_PONG:
        run->how.plan.pong = HF_PONG_IGNORE;
        break;
    case NO_CHECK:
        run->how.check_at_end = false;
        break;
    case UNTIL_DROP:
        run->until_drop = true;
        break;
    case FOREVER:
        run->forever = true;
        break;
    case ALLOW_LOAD:
        run->allow_load = true;
        break;
    case PRINT:
        run->print = true;
        break;
    case JSON:
        run->say.json = true;
        break;
    case NO_COLOR:
        run->say.color = false;
        break;
    case 'q':
        run->quiet = true;
        break;
    default:
        return "";
    }
    return NULL;
}

/* NULL: fine; "": getopt has said it. */
static const char *take_option(void *owner, int option, const char *value)
{
    struct probe_run *run = owner;
    struct hf_trial_plan *plan = &run->how.plan;
    switch (option) {
    case 'n':
        return take_count(value, &run->connections);
    case STAGGER:
        return hf_words_time_or_zero(value, &run->stagger);
    case HOLD:
        return hf_words_time(value, &run->how.hold);
    case PING:
        return hf_words_time(value, &plan->ping_every);
    case BEAT:
        return hf_words_time(value, &plan->beat_every);
    case EVERY:
        return hf_words_time(value, &run->every);
    case KEEPALIVE:
        return hf_words_time(value, &plan->keepalive);
    case READ_FOR:
        plan->stops_reading = true;
        return hf_words_time_or_zero(value, &run->how.reading_until);
    case ANSWER_TIMEOUT:
        return hf_words_time(value, &run->how.answer_timeout);
    case SIZE:
        return take_size(value, &plan->message_size);
    case PONG:
        return take_pong(run, value);
    case SAY:
        return hf_words_add(run->texts, &run->text_count, PROBE_SAY_MAX, value);
    case 'm':
        run->message = value;
        return NULL;
    default:
        return take_switch(run, option);
    }
}

int probe_take_words(struct probe_run *run, int argc, char **argv)
{
    struct hf_trial_plan *plan = &run->how.plan;
    const struct hf_words words = {.command = "probe",
                                   .target = &run->target,
                                   .own = own_options,
                                   .letters = "n:m:qh",
                                   .help = print_help,
                                   .take = take_option,
                                   .owner = run};
    const char *url;
    const int status = hf_words_take(&words, argc, argv, &url);
    if (status >= 0) {
        return status;
    }
    if (run->message != NULL || run->every > 0 || plan->message_size > 0) {
        plan->message_every = run->every > 0 ? run->every : HF_SECONDS(10);
        run->how.text = hf_slice_of(run->message);
    }
    if (run->until_drop || run->forever) {
        run->how.hold = HF_NEVER;
    }
    run->how.say = run->texts;
    const int fault = hf_words_ready(&words, url);
    if (fault < 0 && run->connections > STRANGER_CONNECTIONS && !run->allow_load &&
        !hf_target_is_own(&run->target)) {
        return hf_words_mistake(&words, "",
                                "more than 100 connections to a host that is not this machine want "
                                "--allow-load: say it only of servers that are yours to load");
    }
    return fault;
}
