/* SPDX-License-Identifier: Apache-2.0 */
/* Names asked of a server that the test itself plays: RFC 1035 over UDP on loopback. */
#include "io/epoll.h"
#include "test_unit.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

struct asked {
    struct hf_loop *loop;
    int server; /* UDP */
    int queries;
    int answers;
    enum hf_status status;
    size_t count;
    char all[512];
    char aliases[512];
};

static void answered(void *owner, enum hf_status status, const struct hf_address *addresses,
                     size_t count)
{
    struct asked *a = owner;
    a->answers++;
    a->status = status;
    a->count = count;
    for (size_t i = 0; i < count; i++) {
        char text[64];
        size_t len = strlen(a->all);
        hf_address_host_text(&addresses[i], text);
        snprintf(a->all + len, sizeof(a->all) - len, "%s ", text);
    }
    const char *alias;
    for (size_t i = 0; (alias = hf_loop_resolve_alias(a->loop, i)) != NULL; i++) {
        size_t len = strlen(a->aliases);
        snprintf(a->aliases + len, sizeof(a->aliases) - len, "%s ", alias);
    }
}

/* Appends an answer record that points back to the question's name. */
static size_t add_record(uint8_t *message, size_t len, int family, const char *text)
{
    static const uint8_t head[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
    memcpy(message + len, head, sizeof(head));
    message[len + 3] = family == AF_INET ? 1 : 28;
    message[len + 11] = family == AF_INET ? 4 : 16;
    len += sizeof(head);
    assert_int_equal(inet_pton(family, text, message + len), 1);
    message[7]++;
    return len + (family == AF_INET ? 4 : 16);
}

/* Appends the names that "alias…" leads to, and an address of the last. */
static size_t add_chain(uint8_t *message, size_t len)
{
    static const uint8_t records[] = {
        0xc0, 12,  0,   5,   0,   1,   0,   0,   0,   60,  0, 10, /* the question's name */
        3,    'c', 'd', 'n', 4,   't', 'e', 's', 't', 0,          /* is cdn.test, */
        3,    'c', 'd', 'n', 4,   't', 'e', 's', 't', 0,   0, 5,
        0,    1,   0,   0,   0,   60,  0,   11,               /* which */
        4,    'e', 'd', 'g', 'e', 4,   't', 'e', 's', 't', 0, /* is edge.test, */
        4,    'e', 'd', 'g', 'e', 4,   't', 'e', 's', 't', 0, 0,
        1,    0,   1,   0,   0,   0,   60,  0,   4, /* which */
        192,  0,   2,   7,                          /* is there */
    };
    memcpy(message + len, records, sizeof(records));
    message[7] = 3;
    return len + sizeof(records);
}

/* The server: "good…" has two addresses of four and one of six, "none…" does not exist, "mute…" is
 * not answered, all else fails. */
static void serve(struct asked *a)
{
    uint8_t message[1024];
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    ssize_t n =
        recvfrom(a->server, message, 512, MSG_DONTWAIT, (struct sockaddr *)&from, &from_len);
    if (n < 17) {
        return;
    }
    a->queries++;
    size_t end = 12;
    while (message[end] != 0) {
        end += (size_t)message[end] + 1;
    }
    bool six = message[end + 2] == 28;
    size_t len = end + 5;
    bool good = memcmp(message + 13, "good", 4) == 0;
    if (memcmp(message + 13, "mute", 4) == 0) {
        return;
    }
    message[2] = 0x81;
    const bool chain = memcmp(message + 13, "alias", 5) == 0;
    message[3] = (uint8_t)(0x80 | (good || chain                          ? 0
                                   : memcmp(message + 13, "none", 4) == 0 ? 3
                                                                          : 2));
    memset(message + 6, 0, 6);
    if (chain && !six) {
        len = add_chain(message, len);
    } else if (good && six) {
        len = add_record(message, len, AF_INET6, "2001:db8::9");
    } else if (good) {
        len = add_record(message, len, AF_INET, "192.0.2.1");
        len = add_record(message, len, AF_INET, "192.0.2.2");
    }
    assert_int_equal(sendto(a->server, message, len, 0, (struct sockaddr *)&from, from_len),
                     (ssize_t)len);
}

#define UNTIL(a, condition)                                                                        \
    do {                                                                                           \
        for (int left = 2000; !(condition); left--) {                                              \
            if (left == 0) {                                                                       \
                fail_msg("never: %s", #condition);                                                 \
            }                                                                                      \
            serve(a);                                                                              \
            (void)hf_epoll_turn((a)->loop, HF_MS(2));                                              \
        }                                                                                          \
    } while (0)

static int begin(void **state)
{
    struct asked *a = calloc(1, sizeof(*a));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(address);
    char text[64];
    assert_non_null(a);
    a->loop = hf_epoll_new();
    assert_non_null(a->loop);
    a->server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(a->server, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(a->server, (struct sockaddr *)&address, &len), 0);
    snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(address.sin_port));
    assert_int_equal(hf_epoll_name_servers(a->loop, text), HF_OK);
    *state = a;
    return 0;
}

static int end(void **state)
{
    struct asked *a = *state;
    hf_loop_free(a->loop);
    close(a->server);
    free(a);
    return 0;
}

static uint64_t ask(struct asked *a, const char *name)
{
    uint64_t id = 0;
    int before = a->answers;
    assert_int_equal(hf_loop_resolve(a->loop, name, answered, a, &id), HF_OK);
    assert_true(id != 0);
    assert_int_equal(a->answers, before);
    return id;
}

static void a_chain_of_names_is_told_while_the_answer_is_given_and_not_after(void **state)
{
    struct asked *a = *state;
    ask(a, "alias.test.");
    UNTIL(a, a->answers == 1);
    assert_int_equal(a->status, HF_OK);
    assert_string_equal(a->all, "192.0.2.7 ");
    assert_string_equal(a->aliases, "cdn.test edge.test ");
    assert_null(hf_loop_resolve_alias(a->loop, 0));
    ask(a, "good.test.");
    UNTIL(a, a->answers == 2);
    assert_string_equal(a->aliases, "cdn.test edge.test ");
}

static void a_name_gives_all_its_addresses(void **state)
{
    struct asked *a = *state;
    ask(a, "good.test.");
    UNTIL(a, a->answers == 1);
    assert_int_equal(a->status, HF_OK);
    assert_int_equal(a->count, 3);
    assert_non_null(strstr(a->all, "192.0.2.1 "));
    assert_non_null(strstr(a->all, "192.0.2.2 "));
    assert_non_null(strstr(a->all, "2001:db8::9 "));
}

static void a_name_that_does_not_exist_is_not_found(void **state)
{
    struct asked *a = *state;
    ask(a, "none.test.");
    UNTIL(a, a->answers == 1);
    assert_int_equal(a->status, HF_NOT_FOUND);
    assert_int_equal(a->count, 0);
    ask(a, "a..b");
    UNTIL(a, a->answers == 2);
    assert_int_equal(a->status, HF_NOT_FOUND);
}

static void servers_that_fail_are_io(void **state)
{
    struct asked *a = *state;
    ask(a, "fail.test.");
    UNTIL(a, a->answers == 1);
    assert_int_equal(a->status, HF_IO);
}

static void localhost_and_what_is_under_it_never_reach_a_server(void **state)
{
    struct asked *a = *state;
    ask(a, "localhost");
    ask(a, "LocalHost.");
    ask(a, "app.localhost");
    ask(a, "127.1.2.3");
    UNTIL(a, a->answers == 4);
    assert_int_equal(a->queries, 0);
    assert_string_equal(a->all, "127.0.0.1 ::1 127.0.0.1 ::1 127.0.0.1 ::1 127.1.2.3 ");
    ask(a, "good.notlocalhost.");
    UNTIL(a, a->answers == 5);
    assert_true(a->queries > 0);
}

static void a_cancelled_question_is_not_answered_and_others_are(void **state)
{
    struct asked *a = *state;
    uint64_t id = ask(a, "good.first.");
    hf_loop_resolve_cancel(a->loop, id);
    hf_loop_resolve_cancel(a->loop, id);
    ask(a, "none.second.");
    UNTIL(a, a->answers == 1 && a->queries >= 4);
    assert_int_equal(a->status, HF_NOT_FOUND);
    ask(a, "none.third.");
    UNTIL(a, a->answers == 2); /* behind whatever was under way */
    assert_int_equal(a->status, HF_NOT_FOUND);
    assert_string_equal(a->all, "");
}

static void a_loop_can_go_while_questions_are_open(void **state)
{
    struct asked *a = *state;
    ask(a, "mute.test.");
    ask(a, "localhost");
    uint64_t id = ask(a, "mute.too.");
    UNTIL(a, a->queries >= 2);
    hf_loop_resolve_cancel(a->loop, id);
}

static void servers_that_cannot_be_read_are_refused(void **state)
{
    struct asked *a = *state;
    assert_int_equal(hf_epoll_name_servers(a->loop, "not a server"), HF_INVALID);
    ask(a, "good.test.");
    UNTIL(a, a->answers == 1);
    assert_int_equal(a->status, HF_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_chain_of_names_is_told_while_the_answer_is_given_and_not_after, begin, end),
        cmocka_unit_test_setup_teardown(a_name_gives_all_its_addresses, begin, end),
        cmocka_unit_test_setup_teardown(a_name_that_does_not_exist_is_not_found, begin, end),
        cmocka_unit_test_setup_teardown(servers_that_fail_are_io, begin, end),
        cmocka_unit_test_setup_teardown(localhost_and_what_is_under_it_never_reach_a_server, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_cancelled_question_is_not_answered_and_others_are, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_loop_can_go_while_questions_are_open, begin, end),
        cmocka_unit_test_setup_teardown(servers_that_cannot_be_read_are_refused, begin, end),
    };
    return cmocka_run_group_tests_name("resolve", tests, NULL, NULL);
}
