/* SPDX-License-Identifier: Apache-2.0 */
/* The courier with real receivers: a server in this thread, the courier in one that it
 * makes with pthread_create, commands in processes of their own. */
#include "watch/courier.h"

#include "io/epoll.h"
#include "io/httpd.h"
#include "test_unit.h"

#include <stdlib.h>
#include <unistd.h>

#define SEEN_MAX 64

struct seen {
    char path[64];
    char body[4096];
    char token[64];
};

struct scene {
    struct hf_loop *loop;
    struct hf_httpd *httpd;
    char url[128];
    uint16_t status[SEEN_MAX]; /* of the n-th answer; 0: 200 */
    struct seen seen[SEEN_MAX];
    size_t count;
    char folder[64];
};

static void receive(void *owner, const struct hf_httpd_request *request, struct hf_httpd_answer *a)
{
    struct scene *s = owner;
    assert_true(s->count < SEEN_MAX);
    struct seen *seen = &s->seen[s->count];
    const struct hf_slice *token = hf_head_find(request->head, "Authorization");
    (void)snprintf(seen->path, sizeof(seen->path), "%.*s", HF_SLICE_ARG(request->path));
    (void)snprintf(seen->body, sizeof(seen->body), "%.*s", HF_SLICE_ARG(request->body));
    if (token != NULL) {
        (void)snprintf(seen->token, sizeof(seen->token), "%.*s", HF_SLICE_ARG(*token));
    }
    uint16_t status = s->status[s->count++];
    hf_httpd_say(a, status == 0 ? 200 : status, "so it is");
}

static struct scene *open_scene(void)
{
    struct scene *s = calloc(1, sizeof(*s));
    struct hf_httpd_how how = {.handler = receive, .owner = s, .body_max = 65536};
    struct hf_buffer why;
    struct hf_address address;
    char where[128];
    assert_non_null(s);
    hf_buffer_init(&why, &hf_heap, 4096);
    s->loop = hf_epoll_new();
    assert_true(hf_address_parse(HF_LITERAL("127.0.0.1:0"), &how.address));
    assert_int_equal(hf_httpd_new(s->loop, &how, &s->httpd, &why), HF_OK);
    hf_httpd_address(s->httpd, &address);
    hf_address_text(&address, where);
    (void)snprintf(s->url, sizeof(s->url), "http://%.100s", where);
    (void)snprintf(s->folder, sizeof(s->folder), "/tmp/hf-test-courier-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    return s;
}

static void close_scene(struct scene *s)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -r %s", s->folder);
    assert_int_equal(system(command), 0);
    hf_httpd_free(s->httpd);
    hf_loop_free(s->loop);
    free(s);
}

static struct hf_watch_channel_settings channel(struct scene *s, enum hf_channel_type type)
{
    return (struct hf_watch_channel_settings){.name = "a",
                                              .type = type,
                                              .url = s->url,
                                              .timeout = HF_SECONDS(10),
                                              .tries = 5,
                                              .retry_max = HF_MS(20),
                                              .kinds = 0xf,
                                              .recovery = true,
                                              .reminders = true,
                                              .resend = HF_SECONDS(60)};
}

static struct hf_alert alert(enum hf_incident_notice notice, const char *summary)
{
    return (struct hf_alert){.notice = notice,
                             .kind = HF_INCIDENT_DROP,
                             .target = "chat",
                             .url = "ws://h/",
                             .time = 1700000000000,
                             .opened = 1700000000000,
                             .summary = summary,
                             .cause = "unknown",
                             .title = "",
                             .advice = "",
                             .evidence = "",
                             .page = ""};
}

static bool is_settled(struct hf_courier *c, size_t channels)
{
    for (size_t i = 0; i < channels; i++) {
        struct hf_courier_state state;
        hf_courier_look(c, i, &state);
        if (state.waiting > 0) {
            return false;
        }
    }
    return true;
}

static void turn_until_settled(struct scene *s, struct hf_courier *c, size_t channels)
{
    for (int n = 0; n < 5000 && !is_settled(c, channels); n++) {
        (void)hf_epoll_turn(s->loop, HF_MS(5));
    }
    assert_true(is_settled(c, channels));
}

static void finish(struct scene *s, struct hf_courier *c)
{
    hf_courier_retire(c, HF_SECONDS(10));
    for (int n = 0; n < 5000 && !hf_courier_is_done(c); n++) {
        (void)hf_epoll_turn(s->loop, HF_MS(5));
    }
    hf_courier_free(c);
    close_scene(s);
}

static void an_alert_is_tried_until_it_is_taken_and_the_next_waits_for_it(void **unused)
{
    struct scene *s = open_scene();
    struct hf_courier_state state;
    struct hf_watch_channel_settings channels[] = {channel(s, HF_CHANNEL_JSON)};
    s->status[0] = 500;
    s->status[1] = 503;
    channels[0].token = "t0ken";
    struct hf_courier *c = hf_courier_new(channels, 1);
    struct hf_alert first = alert(HF_NOTICE_ALERT, "first");
    struct hf_alert second = alert(HF_NOTICE_RECOVERY, "second");
    hf_courier_send(c, &first, NULL);
    hf_courier_send(c, &second, NULL);
    turn_until_settled(s, c, 1);
    assert_int_equal(s->count, 4);
    for (size_t n = 0; n < 3; n++) {
        assert_non_null(strstr(s->seen[n].body, "first"));
    }
    assert_non_null(strstr(s->seen[3].body, "second"));
    assert_string_equal(s->seen[0].token, "Bearer t0ken");
    hf_courier_look(c, 0, &state);
    assert_int_equal(state.delivered, 2);
    assert_int_equal(state.failed, 2);
    assert_int_equal(state.lost, 0);
    assert_string_equal(state.error, "");
    finish(s, c);
}

static void an_alert_is_given_up_behind_its_last_try_or_when_it_is_hopeless(void **unused)
{
    struct scene *s = open_scene();
    struct hf_courier_state state;
    struct hf_watch_channel_settings channels[] = {channel(s, HF_CHANNEL_JSON)};
    s->status[0] = 400; /* no other attempt would help */
    for (size_t n = 1; n < 6; n++) {
        s->status[n] = 500;
    }
    struct hf_courier *c = hf_courier_new(channels, 1);
    struct hf_alert a = alert(HF_NOTICE_ALERT, "x");
    hf_courier_send(c, &a, NULL);
    turn_until_settled(s, c, 1);
    assert_int_equal(s->count, 1);
    hf_courier_send(c, &a, NULL);
    turn_until_settled(s, c, 1);
    assert_int_equal(s->count, 6);
    hf_courier_look(c, 0, &state);
    assert_int_equal(state.lost, 2);
    assert_int_equal(state.delivered, 0);
    assert_non_null(strstr(state.error, "500"));
    finish(s, c);
}

static void a_channel_that_hangs_does_not_hold_up_another(void **unused)
{
    struct scene *s = open_scene();
    struct hf_courier_state state;
    struct hf_address address;
    struct hf_watch_channel_settings channels[] = {channel(s, HF_CHANNEL_JSON),
                                                   channel(s, HF_CHANNEL_JSON)};
    char url[128];
    char where[128];
    int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* it accepts and never answers */
    assert_true(hf_address_parse(HF_LITERAL("127.0.0.1:0"), &address));
    assert_int_equal(bind(silent, &address.u.any, address.len), 0);
    assert_int_equal(listen(silent, 5), 0);
    assert_int_equal(getsockname(silent, &address.u.any, &address.len), 0);
    hf_address_text(&address, where);
    (void)snprintf(url, sizeof(url), "http://%.100s/", where);
    channels[0].url = url;
    channels[0].timeout = HF_SECONDS(60);
    channels[1].name = "b";
    struct hf_courier *c = hf_courier_new(channels, 2);
    struct hf_alert a = alert(HF_NOTICE_ALERT, "x");
    hf_courier_send(c, &a, NULL);
    for (int n = 0; n < 5000 && s->count == 0; n++) {
        (void)hf_epoll_turn(s->loop, HF_MS(5));
    }
    assert_int_equal(s->count, 1);
    hf_courier_look(c, 0, &state);
    assert_int_equal(state.waiting, 1);
    hf_courier_retire(c, 0); /* and it ends at once when it must */
    hf_courier_free(c);
    close(silent);
    close_scene(s);
}

static void an_attempt_that_takes_too_long_is_ended(void **unused)
{
    struct scene *s = open_scene();
    struct hf_courier_state state;
    struct hf_watch_channel_settings channels[] = {channel(s, HF_CHANNEL_COMMAND)};
    char *words[] = {"sleep", "1000", NULL};
    channels[0].url = NULL;
    channels[0].command = (struct hf_watch_texts){words, 2};
    channels[0].timeout = HF_MS(100);
    channels[0].tries = 1;
    struct hf_courier *c = hf_courier_new(channels, 1);
    struct hf_alert a = alert(HF_NOTICE_ALERT, "x");
    hf_courier_send(c, &a, NULL);
    turn_until_settled(s, c, 1);
    hf_courier_look(c, 0, &state);
    assert_int_equal(state.lost, 1);
    assert_non_null(strstr(state.error, "did not end in time"));
    finish(s, c);
}

static void a_command_gets_the_alert_as_variables_and_no_shell_reads_them(void **unused)
{
    struct scene *s = open_scene();
    struct hf_courier_state state;
    char file[128];
    char got[256] = "";
    char script[256];
    struct hf_watch_channel_settings channels[] = {channel(s, HF_CHANNEL_COMMAND)};
    (void)snprintf(file, sizeof(file), "%s/out", s->folder);
    (void)snprintf(script, sizeof(script),
                   "printf '%%s' \"$HOLDFAST_KIND$HOLDFAST_OURS $HOLDFAST_SUMMARY\" >%s", file);
    char *words[] = {"sh", "-c", script, NULL};
    channels[0].url = NULL;
    channels[0].command = (struct hf_watch_texts){words, 3};
    (void)setenv("HOLDFAST_KIND", "ours", 1); /* none of ours goes along */
    (void)setenv("HOLDFAST_OURS", "ours", 1);
    struct hf_courier *c = hf_courier_new(channels, 1);
    struct hf_alert a = alert(HF_NOTICE_ALERT, "$(touch /tmp/x); `id` \"'");
    hf_courier_send(c, &a, NULL);
    turn_until_settled(s, c, 1);
    hf_courier_look(c, 0, &state);
    assert_int_equal(state.delivered, 1);
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    assert_true(fread(got, 1, sizeof(got) - 1, f) > 0);
    fclose(f);
    assert_string_equal(got, "drop $(touch /tmp/x); `id` \"'");
    finish(s, c);
}

static void a_command_that_is_not_there_or_fails_is_said(void **unused)
{
    struct scene *s = open_scene();
    struct hf_courier_state state;
    struct hf_watch_channel_settings channels[] = {channel(s, HF_CHANNEL_COMMAND),
                                                   channel(s, HF_CHANNEL_COMMAND)};
    char *missing[] = {"/nonexistent/program", NULL};
    char *failing[] = {"sh", "-c", "exit 7", NULL};
    channels[0].command = (struct hf_watch_texts){missing, 1};
    channels[1].command = (struct hf_watch_texts){failing, 3};
    channels[0].tries = channels[1].tries = 2;
    struct hf_courier *c = hf_courier_new(channels, 2);
    struct hf_alert a = alert(HF_NOTICE_ALERT, "x");
    hf_courier_send(c, &a, NULL);
    turn_until_settled(s, c, 2);
    hf_courier_look(c, 0, &state);
    assert_non_null(strstr(state.error, "cannot be started"));
    hf_courier_look(c, 1, &state);
    assert_non_null(strstr(state.error, "ended with 7"));
    assert_int_equal(state.failed, 2);
    finish(s, c);
}

static void a_channel_gets_what_it_asked_for(void **unused)
{
    struct scene *s = open_scene();
    char *named[] = {"b", NULL};
    struct hf_watch_channel_settings channels[] = {channel(s, HF_CHANNEL_JSON),
                                                   channel(s, HF_CHANNEL_JSON)};
    char other[160];
    (void)snprintf(other, sizeof(other), "%s/b", s->url);
    channels[0].kinds = 1U << HF_INCIDENT_SLOW;
    channels[1].name = "b";
    channels[1].url = other;
    channels[1].recovery = channels[1].reminders = false;
    struct hf_courier *c = hf_courier_new(channels, 2);
    struct hf_alert a = alert(HF_NOTICE_ALERT, "drop");
    hf_courier_send(c, &a, NULL); /* b */
    a.notice = HF_NOTICE_REMINDER;
    hf_courier_send(c, &a, NULL); /* nobody */
    a.notice = HF_NOTICE_RECOVERY;
    hf_courier_send(c, &a, NULL); /* nobody */
    a.notice = HF_NOTICE_ALERT;
    a.kind = HF_INCIDENT_SLOW;
    hf_courier_send(c, &a, named); /* b alone */
    turn_until_settled(s, c, 2);
    assert_int_equal(s->count, 2);
    assert_string_equal(s->seen[0].path, "/b");
    assert_string_equal(s->seen[1].path, "/b");
    finish(s, c);
}

static void alertmanager_is_told_again_of_what_is_open(void **unused)
{
    struct scene *s = open_scene();
    struct hf_courier_state state;
    char base[160];
    struct hf_watch_channel_settings channels[] = {channel(s, HF_CHANNEL_ALERTMANAGER),
                                                   channel(s, HF_CHANNEL_JSON)};
    (void)snprintf(base, sizeof(base), "%s/am/", s->url);
    channels[0].url = base;
    channels[1].name = "b";
    struct hf_courier *c = hf_courier_new(channels, 2);
    struct hf_alert a = alert(HF_NOTICE_ALERT, "x");
    hf_courier_refresh(c, &a, NULL);
    turn_until_settled(s, c, 2);
    assert_int_equal(s->count, 1); /* and the other channel nothing */
    assert_string_equal(s->seen[0].path, "/am/api/v2/alerts");
    assert_non_null(strstr(s->seen[0].body, "\"alertname\":\"HoldfastDrop\""));
    hf_courier_look(c, 0, &state);
    assert_int_equal(state.delivered, 0); /* it was no alert of its own */
    finish(s, c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alert_is_tried_until_it_is_taken_and_the_next_waits_for_it),
        cmocka_unit_test(an_alert_is_given_up_behind_its_last_try_or_when_it_is_hopeless),
        cmocka_unit_test(a_channel_that_hangs_does_not_hold_up_another),
        cmocka_unit_test(an_attempt_that_takes_too_long_is_ended),
        cmocka_unit_test(a_command_gets_the_alert_as_variables_and_no_shell_reads_them),
        cmocka_unit_test(a_command_that_is_not_there_or_fails_is_said),
        cmocka_unit_test(a_channel_gets_what_it_asked_for),
        cmocka_unit_test(alertmanager_is_told_again_of_what_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
