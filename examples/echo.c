/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest program over libholdfast: sends what it is given and prints what comes, on a thread
 * of the library's own.
 *
 *     cc echo.c $(pkg-config --cflags --libs holdfast) -o echo
 *     ./echo ws://127.0.0.1:8800/ hello */
#include <holdfast.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void on_event(void *context, struct holdfast_client *client,
                     const struct holdfast_event *event)
{
    int *pipe_end = context;
    switch (event->kind) {
    case HOLDFAST_EVENT_MESSAGE:
        printf("%.*s\n", (int)event->size, (const char *)event->data);
        (void)holdfast_client_close(client, 1000, "got it");
        break;
    case HOLDFAST_EVENT_RECONNECTING:
        fprintf(stderr, "lost by %s (%s), back in %lld ms\n", event->record->cause,
                event->record->who, (long long)event->delay_ms);
        break;
    case HOLDFAST_EVENT_LOST:
        fprintf(stderr, "session lost (%s): %zu messages come back\n", event->lost->reason,
                event->lost->message_count);
        break;
    case HOLDFAST_EVENT_CLOSE:
        (void)!write(*pipe_end, "", 1); /* main waits for it */
        break;
    default:
        break;
    }
}

int main(int argc, char **argv)
{
    int ends[2];
    char byte;
    if (argc != 3 || pipe(ends) != 0) {
        fprintf(stderr, "usage: %s URL TEXT\n", argv[0]);
        return 2;
    }
    struct holdfast_options *options = holdfast_options_new();
    if (options == NULL || holdfast_options_add_url(options, argv[1]) != HOLDFAST_OK) {
        fprintf(stderr, "%s\n", options == NULL ? "no memory" : holdfast_options_error(options));
        return 2;
    }
    holdfast_options_set_handler(options, on_event, &ends[1]);
    enum holdfast_status why;
    struct holdfast_client *client = holdfast_client_new(NULL, options, &why);
    holdfast_options_free(options);
    if (client == NULL) {
        fprintf(stderr, "%s\n", holdfast_status_text(why));
        return 1;
    }
    (void)holdfast_client_send(client, HOLDFAST_TEXT, argv[2], strlen(argv[2]));
    (void)!read(ends[0], &byte, 1);
    holdfast_client_free(client);
    return 0;
}
