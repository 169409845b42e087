/* SPDX-License-Identifier: Apache-2.0 */
/* A client inside a program that has a loop of its own: here poll(2) over standard input and the
 * library's descriptor, one thread for both. Lines go out, messages are printed.
 *
 *     cc poll.c $(pkg-config --cflags --libs holdfast) -o poll
 *     ./poll ws://127.0.0.1:8800/ */
#include <holdfast.h>

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool closed;

static void on_event(void *context, struct holdfast_client *client,
                     const struct holdfast_event *event)
{
    (void)context;
    (void)client;
    if (event->kind == HOLDFAST_EVENT_MESSAGE) {
        printf("%.*s\n", (int)event->size, (const char *)event->data);
        fflush(stdout);
    }
    closed = closed || event->kind == HOLDFAST_EVENT_CLOSE;
}

/* Sends each line that came; at the end of input, closes. False then. */
static bool take_input(struct holdfast_client *client)
{
    static char line[4096];
    static size_t used;
    const ssize_t n = read(STDIN_FILENO, line + used, sizeof(line) - used);
    if (n <= 0) {
        (void)holdfast_client_close(client, 1000, "");
        return false;
    }
    used += (size_t)n;
    char *end;
    while ((end = memchr(line, '\n', used)) != NULL || used == sizeof(line)) {
        const size_t size = end != NULL ? (size_t)(end - line) : used;
        const size_t taken = end != NULL ? size + 1 : size;
        if (holdfast_client_send(client, HOLDFAST_TEXT, line, size) == HOLDFAST_FULL) {
            fputs("the queue is full: a line was not sent\n", stderr);
        }
        used -= taken;
        memmove(line, line + taken, used);
    }
    return true;
}

int main(int argc, char **argv)
{
    struct holdfast_options *options = holdfast_options_new();
    struct holdfast_loop *loop = holdfast_loop_new();
    if (argc != 2 || options == NULL || loop == NULL ||
        holdfast_options_add_url(options, argv[1]) != HOLDFAST_OK) {
        fprintf(stderr, "usage: %s URL\n", argv[0]);
        return 2;
    }
    holdfast_options_set_handler(options, on_event, NULL);
    struct holdfast_client *client = holdfast_client_new(loop, options, NULL);
    holdfast_options_free(options);
    bool input = true;
    while (client != NULL && !closed) {
        struct pollfd fds[2] = {
            {.fd = holdfast_loop_fd(loop), .events = holdfast_loop_events(loop)},
            {.fd = input ? STDIN_FILENO : -1, .events = POLLIN},
        };
        (void)poll(fds, 2, holdfast_loop_timeout(loop));
        holdfast_loop_process(loop);
        if (fds[1].revents != 0 && !closed) {
            input = take_input(client);
        }
    }
    holdfast_client_free(client);
    holdfast_loop_free(loop);
    return client == NULL;
}
