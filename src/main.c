/* SPDX-License-Identifier: Apache-2.0 */
/* holdfast: picks the command. */
#include "tools/tools.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    const char *what;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    {"serve", "the gateway: holds WebSockets in front of a backend", hf_tool_serve},
    {"connect", "a WebSocket client to type at, whose session survives drops", hf_tool_connect},
    {"probe", "holds connections for a time, and says how each opened and ended", hf_tool_probe},
    {"watch", "holds connections day and night, and tells when they end too early", hf_tool_watch},
    {"causes", "the known causes of a WebSocket's end, and the line that mends each", hf_tool_causes},
    {"chaos", "a middlebox that puts faults into connections, with toxiproxy's API", hf_tool_chaos},
    {"diagnose", "says why connections die, from experiments", hf_tool_diagnose},
    {"bench", "puts load on a server, and says how long answers took and what ended", hf_tool_bench},
    {"demo", "shows what it does, on an embedded backend behind a cutting middlebox", hf_tool_demo},
    {"logs", "reads logs of proxies and servers: how long WebSockets lived, what ended them",
     hf_tool_logs},
    {"lint", "checks nginx, HAProxy and Caddy configuration for what breaks WebSockets", hf_tool_lint},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *out)
{
    fputs("usage: holdfast COMMAND [OPTION]...\n\n"
          "Keeps WebSocket connections alive, and says why they end.\n\ncommands:\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++) {
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].what);
    }
    fputs("\nholdfast COMMAND --help tells more; holdfast --version prints the version.\n", out);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0 ||
        strcmp(argv[1], "-V") == 0) {
        puts("holdfast " HF_VERSION);
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_usage(stdout);
        return 0;
    }
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            char name[64]; /* what getopt puts in front of its complaints */
            (void)snprintf(name, sizeof(name), "holdfast %s", commands[i].name);
            argv[1] = name;
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "holdfast: no command \"%s\"; `holdfast --help` lists them\n", argv[1]);
    return 2;
}
