/* SPDX-License-Identifier: Apache-2.0 */
/* The contract over TCP and Unix sockets, and what only the epoll loop has: descriptors that run
 * out, socket files, options, other threads, a caller's own loop. */
#include "io_contract.h"
#include "test_unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/hf-test-epoll-XXXXXX";

static struct hf_loop *loop_new(void *context)
{
    return hf_epoll_new();
}

static bool turn(void *context, struct hf_loop *loop, hf_time max_wait)
{
    return hf_epoll_turn(loop, max_wait);
}

static void tcp_address(void *context, struct hf_address *address)
{
    assert_true(hf_address_parse(HF_LITERAL("127.0.0.1:0"), address));
}

/* A port that was bound and is not any more. */
static void tcp_nobody(void *context, struct hf_address *address)
{
    tcp_address(context, address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &address->u.any, address->len), 0);
    assert_int_equal(getsockname(fd, &address->u.any, &address->len), 0);
    close(fd);
}

static void unix_address(void *context, struct hf_address *address)
{
    static int number;
    char text[128];
    snprintf(text, sizeof(text), "unix:%s/%d.sock", directory, number++);
    assert_true(hf_address_parse(hf_slice_of(text), address));
}

static size_t open_descriptors(void *context)
{
    size_t count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

static const struct io_fixture tcp = {
    .name = "contract: tcp",
    .loop_new = loop_new,
    .turn = turn,
    .address = tcp_address,
    .nobody = tcp_nobody,
    .parcel_drop = hf_parcel_drop,
    .resets = true,
    .counts = true,
    .open_things = open_descriptors,
};

static const struct io_fixture local = {
    .name = "contract: unix",
    .loop_new = loop_new,
    .turn = turn,
    .address = unix_address,
    .nobody = unix_address,
    .parcel_drop = hf_parcel_drop,
    .open_things = open_descriptors,
};

#define UNTIL(loop, condition)                                                                     \
    do {                                                                                           \
        for (int left = 2000; !(condition); left--) {                                              \
            if (left == 0) {                                                                       \
                fail_msg("never: %s", #condition);                                                 \
            }                                                                                      \
            (void)hf_epoll_turn(loop, HF_MS(10));                                                  \
        }                                                                                          \
    } while (0)

/* ---- listeners ----------------------------------------------------------------------------------
 */

struct door {
    int accepted;
    int exhausted;
    enum hf_status why;
    struct hf_stream *last;
    char peer[128];
};

static void on_accept(void *owner, struct hf_stream *stream, const struct hf_address *peer)
{
    struct door *d = owner;
    d->accepted++;
    hf_address_text(peer, d->peer);
    hf_stream_close(d->last);
    d->last = stream;
}

static void on_exhausted(void *owner, enum hf_status why)
{
    struct door *d = owner;
    d->exhausted++;
    d->why = why;
}

static const struct hf_listener_handler door_handler = {on_accept, on_exhausted};

static int plain_connect(const struct hf_address *address)
{
    int fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &address->u.any, address->len), 0);
    return fd;
}

static struct hf_listener *listen_or_fail(struct hf_loop *loop, struct hf_listen *how,
                                          struct door *door)
{
    struct hf_listener *listener = NULL;
    assert_int_equal(hf_loop_listen(loop, how, &door_handler, door, &listener), HF_OK);
    hf_listener_address(loop, listener, &how->address);
    return listener;
}

static void a_listener_without_descriptors_rests_and_goes_on_by_itself(void **state)
{
    struct hf_loop *loop = hf_epoll_new();
    struct door door = {0};
    struct hf_listen how = {0};
    tcp_address(NULL, &how.address);
    struct hf_listener *listener = listen_or_fail(loop, &how, &door);
    int client = plain_connect(&how.address);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {(rlim_t)client + 1, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    hf_time begin = hf_loop_now(loop);
    UNTIL(loop, door.exhausted == 2);
    hf_time waited = hf_loop_now(loop) - begin;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(door.why, HF_NO_DESCRIPTORS);
    assert_true(waited >= HF_MS(100));
    assert_int_equal(door.accepted, 0);
    UNTIL(loop, door.accepted == 1);
    hf_listener_close(loop, listener);
    close(client);
    hf_loop_free(loop);
}

static void options_of_the_listener_reach_the_accepted_socket(void **state)
{
    struct hf_loop *loop = hf_epoll_new();
    struct door door = {0};
    struct hf_listen how = {.options = {HF_SECONDS(61), HF_SECONDS(7), 3, HF_SECONDS(9), 16384, 0}};
    tcp_address(NULL, &how.address);
    listen_or_fail(loop, &how, &door);
    int highest = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int client = plain_connect(&how.address);
    UNTIL(loop, door.accepted == 1);
    /* The accepted socket took the lowest number that was free. */
    int fd = client + 1;
    const int levels[] = {SOL_SOCKET,  IPPROTO_TCP, IPPROTO_TCP, IPPROTO_TCP,
                          IPPROTO_TCP, IPPROTO_TCP, IPPROTO_TCP};
    const int names[] = {SO_KEEPALIVE, TCP_KEEPIDLE,     TCP_KEEPINTVL,    TCP_KEEPCNT,
                         TCP_NODELAY,  TCP_USER_TIMEOUT, TCP_NOTSENT_LOWAT};
    const int values[] = {1, 61, 7, 3, 1, 9000, 16384};
    for (size_t i = 0; i < 7; i++) {
        int value = 0;
        socklen_t len = sizeof(value);
        assert_int_equal(getsockopt(fd, levels[i], names[i], &value, &len), 0);
        assert_int_equal(value, values[i]);
    }
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(client);
    close(highest);
    hf_loop_free(loop);
}

static void both_families_can_listen_at_one_port(void **state)
{
    struct hf_loop *loop = hf_epoll_new();
    struct door door = {0};
    struct hf_listen six = {0};
    assert_true(hf_address_parse(HF_LITERAL("[::]:0"), &six.address));
    listen_or_fail(loop, &six, &door);
    struct hf_listen four = {0};
    assert_true(hf_address_parse(HF_LITERAL("0.0.0.0:0"), &four.address));
    four.address.u.v4.sin_port = six.address.u.v6.sin6_port;
    listen_or_fail(loop, &four, &door);
    four.address.u.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    six.address.u.v6.sin6_addr = in6addr_loopback;
    int a = plain_connect(&four.address);
    UNTIL(loop, door.accepted == 1);
    assert_memory_equal(door.peer, "127.0.0.1:", 10);
    int b = plain_connect(&six.address);
    UNTIL(loop, door.accepted == 2);
    assert_memory_equal(door.peer, "[::1]:", 6);
    close(a);
    close(b);
    hf_loop_free(loop);
}

static void workers_share_a_port_when_asked(void **state)
{
    struct hf_loop *loop = hf_epoll_new();
    struct door door = {0};
    struct hf_listen how = {.reuse_port = true};
    tcp_address(NULL, &how.address);
    listen_or_fail(loop, &how, &door);
    listen_or_fail(loop, &how, &door);
    hf_loop_free(loop);
}

static void what_cannot_be_listened_at_says_why(void **state)
{
    struct hf_loop *loop = hf_epoll_new();
    struct door door = {0};
    struct hf_listener *listener = NULL;
    struct hf_listen how = {0};
    assert_true(hf_address_parse(HF_LITERAL("192.0.2.1:0"), &how.address));
    assert_int_equal(hf_loop_listen(loop, &how, &door_handler, &door, &listener), HF_NO_ADDRESS);
    assert_true(hf_address_parse(HF_LITERAL("unix:/no/such/dir/x"), &how.address));
    assert_int_equal(hf_loop_listen(loop, &how, &door_handler, &door, &listener), HF_NOT_FOUND);
    hf_loop_free(loop);
}

/* ---- socket files -------------------------------------------------------------------------------
 */

static bool exists(const struct hf_address *address)
{
    return access(address->u.un.sun_path, F_OK) == 0;
}

static void a_socket_file_has_its_permissions_and_goes_with_its_listener(void **state)
{
    struct hf_loop *loop = hf_epoll_new();
    struct door door = {0};
    struct hf_listen how = {.unix_mode = 0660};
    struct stat file;
    unix_address(NULL, &how.address);
    struct hf_listener *listener = listen_or_fail(loop, &how, &door);
    assert_int_equal(stat(how.address.u.un.sun_path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0660);
    int client = plain_connect(&how.address);
    UNTIL(loop, door.accepted == 1);
    assert_string_equal(door.peer, "unix:");
    hf_listener_close(loop, listener);
    assert_false(exists(&how.address));
    how.unix_mode = 0;
    listener = listen_or_fail(loop, &how, &door);
    assert_int_equal(stat(how.address.u.un.sun_path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    close(client);
    hf_loop_free(loop);
    assert_false(exists(&how.address));
}

static void a_stale_socket_file_is_replaced(void **state)
{
    struct hf_loop *loop = hf_epoll_new();
    struct door door = {0};
    struct hf_listen how = {0};
    unix_address(NULL, &how.address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &how.address.u.any, how.address.len), 0);
    close(fd); /* the file stays */
    listen_or_fail(loop, &how, &door);
    int client = plain_connect(&how.address);
    UNTIL(loop, door.accepted == 1);
    close(client);
    hf_loop_free(loop);
}

static void a_file_that_is_no_socket_is_never_replaced(void **state)
{
    struct hf_loop *loop = hf_epoll_new();
    struct door door = {0};
    struct hf_listener *listener = NULL;
    struct hf_listen how = {0};
    unix_address(NULL, &how.address);
    int fd = open(how.address.u.un.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(hf_loop_listen(loop, &how, &door_handler, &door, &listener), HF_IN_USE);
    hf_loop_free(loop);
    assert_true(exists(&how.address));
    unlink(how.address.u.un.sun_path);
}

static void a_file_that_another_put_there_stays_when_the_listener_goes(void **state)
{
    struct hf_loop *loop = hf_epoll_new();
    struct door door = {0};
    struct hf_listen how = {0};
    unix_address(NULL, &how.address);
    struct hf_listener *listener = listen_or_fail(loop, &how, &door);
    struct hf_address other;
    unix_address(NULL, &other);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &other.u.any, other.len), 0);
    assert_int_equal(rename(other.u.un.sun_path, how.address.u.un.sun_path), 0);
    hf_listener_close(loop, listener);
    assert_true(exists(&how.address));
    unlink(how.address.u.un.sun_path);
    close(fd);
    hf_loop_free(loop);
}

/* ---- other threads and loops --------------------------------------------------------------------
 */

#define POSTERS 4
#define POSTS 5000

struct post {
    struct hf_task task;
    struct poster *poster;
    int number;
};

struct poster {
    pthread_t thread;
    struct hf_loop *loop;
    struct post posts[POSTS];
    int ran;
    int *finished;
};

static void run_post(struct hf_task *task, struct hf_loop *loop)
{
    struct post *p = HF_CONTAINER(task, struct post, task);
    assert_int_equal(p->number, p->poster->ran);
    p->poster->ran++;
    if (p->poster->ran == POSTS && ++*p->poster->finished == POSTERS) {
        hf_loop_stop(loop);
    }
}

static void *post_all(void *arg)
{
    struct poster *poster = arg;
    for (int i = 0; i < POSTS; i++) {
        poster->posts[i] = (struct post){{NULL, run_post}, poster, i};
        hf_loop_post(poster->loop, &poster->posts[i].task);
    }
    return NULL;
}

static void tasks_of_many_threads_all_run_each_threads_in_its_order(void **state)
{
    struct hf_loop *loop = hf_epoll_new();
    struct poster *posters = calloc(POSTERS, sizeof(*posters));
    assert_non_null(posters);
    int finished = 0;
    for (int i = 0; i < POSTERS; i++) {
        posters[i].loop = loop;
        posters[i].finished = &finished;
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    hf_epoll_run(loop);
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        assert_int_equal(posters[i].ran, POSTS);
    }
    free(posters);
    hf_loop_free(loop);
}

/* A stream that answers each byte with its successor, handed from one thread's loop to the other's
 * after every answer. */
struct traveller {
    struct hf_task task; /* the handing over */
    struct hf_loop *loops[2];
    int at;
    int hops;
    int wanted;
    struct hf_stream *stream;
    struct hf_parcel *parcel;
};

static size_t answer_and_travel(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct traveller *t = owner;
    uint8_t next = (uint8_t)(bytes.ptr[0] + 1);
    assert_int_equal(hf_stream_send(stream, hf_slice(&next, 1)), 1);
    hf_stream_pause(stream);
    /* What is left of the slice travels: the release is the next task. */
    hf_loop_post(t->loops[t->at], &t->task);
    return 1;
}

static void travel(struct hf_task *task, struct hf_loop *loop);

static const struct hf_stream_handler travelling = {NULL, answer_and_travel, NULL, NULL};

static void arrive(struct hf_task *task, struct hf_loop *loop)
{
    struct traveller *t = HF_CONTAINER(task, struct traveller, task);
    assert_int_equal(hf_loop_adopt(loop, t->parcel, &travelling, t, &t->stream), HF_OK);
    t->task.run = travel;
    hf_stream_resume(t->stream);
}

static void travel(struct hf_task *task, struct hf_loop *loop)
{
    struct traveller *t = HF_CONTAINER(task, struct traveller, task);
    if (++t->hops == t->wanted) {
        hf_stream_close(t->stream);
        hf_loop_stop(t->loops[0]);
        hf_loop_stop(t->loops[1]);
        return;
    }
    t->parcel = hf_stream_release(t->stream);
    assert_non_null(t->parcel);
    t->task.run = arrive;
    t->at = 1 - t->at;
    hf_loop_post(t->loops[t->at], &t->task);
}

static void *run_loop(void *loop)
{
    hf_epoll_run(loop);
    return NULL;
}

static void ask_bytes(int fd, int count)
{
    for (int i = 0; i < count; i++) {
        uint8_t byte = (uint8_t)i;
        if (i % 3 == 2) {
            continue; /* sent together with the one before */
        }
        uint8_t two[2] = {byte, (uint8_t)(byte + 1)};
        size_t len = i % 3 == 1 && i + 1 < count ? 2 : 1;
        assert_int_equal(write(fd, two, len), (ssize_t)len);
        for (size_t k = 0; k < len; k++) {
            uint8_t got = 0;
            assert_int_equal(read(fd, &got, 1), 1);
            assert_int_equal(got, (uint8_t)(two[k] + 1));
        }
    }
}

static void a_stream_travels_between_the_loops_of_two_threads(void **state)
{
    struct hf_loop *loops[2] = {hf_epoll_new(), hf_epoll_new()};
    struct door door = {0};
    struct hf_listen how = {0};
    tcp_address(NULL, &how.address);
    listen_or_fail(loops[0], &how, &door);
    int client = plain_connect(&how.address);
    UNTIL(loops[0], door.accepted == 1);
    struct traveller t = {.task = {NULL, travel}, .loops = {loops[0], loops[1]}, .wanted = 600};
    t.stream = door.last;
    hf_stream_handle(t.stream, &travelling, &t);
    hf_stream_resume(t.stream);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_loop, loops[i]), 0);
    }
    ask_bytes(client, t.wanted);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    close(client);
    hf_loop_free(loops[0]);
    hf_loop_free(loops[1]);
}

static void rung(struct hf_timer *timer, hf_time now)
{
    timer->fire = NULL;
}

static void run_nothing(struct hf_task *task, struct hf_loop *loop)
{
    task->run = NULL;
}

static void a_callers_own_loop_learns_when_to_turn(void **state)
{
    struct hf_loop *loop = hf_epoll_new();
    struct pollfd watch = {hf_epoll_descriptor(loop), POLLIN, 0};
    assert_int_equal(hf_epoll_deadline(loop), HF_NEVER);
    assert_int_equal(poll(&watch, 1, 0), 0);
    struct hf_task task = {NULL, run_nothing};
    hf_loop_post(loop, &task);
    assert_int_equal(poll(&watch, 1, 1000), 1);
    (void)hf_epoll_turn(loop, 0);
    assert_null(task.run);
    assert_int_equal(poll(&watch, 1, 0), 0);
    struct hf_timer timer;
    hf_timer_init(&timer, rung);
    hf_timer_set(loop, &timer, hf_loop_now(loop) + HF_MS(50));
    assert_true(hf_epoll_deadline(loop) <= hf_loop_now(loop) + HF_MS(51));
    UNTIL(loop, timer.fire == NULL);
    /* A refused Unix connect is told on the next turn, without any event. */
    struct hf_connect how = {0};
    static const struct hf_stream_handler none = {0};
    struct hf_stream *stream = NULL;
    unix_address(NULL, &how.address);
    assert_int_equal(hf_loop_connect(loop, &how, &none, NULL, &stream), HF_OK);
    assert_true(hf_epoll_deadline(loop) <= hf_loop_now(loop));
    hf_loop_free(loop);
}

static void a_turn_waits_no_longer_than_it_may_nor_than_a_timer(void **state)
{
    struct hf_loop *loop = hf_epoll_new();
    struct hf_timer timer;
    hf_timer_init(&timer, rung);
    (void)hf_epoll_turn(loop, 0);
    hf_time begin = hf_loop_now(loop);
    (void)hf_epoll_turn(loop, HF_MS(5));
    assert_true(hf_loop_now(loop) - begin >= HF_MS(5));
    hf_timer_set(loop, &timer, hf_loop_now(loop) + HF_MS(20));
    UNTIL(loop, timer.fire == NULL);
    assert_true(hf_loop_now(loop) >= timer.when);
    assert_true(hf_loop_wall(loop) > 1600000000000);
    hf_loop_free(loop);
}

static void the_soft_limit_of_descriptors_is_raised_to_the_hard_one(void **state)
{
    struct rlimit before, after;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit low = {64, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    assert_int_equal(hf_descriptors_raise(), before.rlim_max);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_int_equal(after.rlim_cur, before.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listener_without_descriptors_rests_and_goes_on_by_itself),
        cmocka_unit_test(options_of_the_listener_reach_the_accepted_socket),
        cmocka_unit_test(both_families_can_listen_at_one_port),
        cmocka_unit_test(workers_share_a_port_when_asked),
        cmocka_unit_test(what_cannot_be_listened_at_says_why),
        cmocka_unit_test(a_socket_file_has_its_permissions_and_goes_with_its_listener),
        cmocka_unit_test(a_stale_socket_file_is_replaced),
        cmocka_unit_test(a_file_that_is_no_socket_is_never_replaced),
        cmocka_unit_test(a_file_that_another_put_there_stays_when_the_listener_goes),
        cmocka_unit_test(tasks_of_many_threads_all_run_each_threads_in_its_order),
        cmocka_unit_test(a_stream_travels_between_the_loops_of_two_threads),
        cmocka_unit_test(a_callers_own_loop_learns_when_to_turn),
        cmocka_unit_test(a_turn_waits_no_longer_than_it_may_nor_than_a_timer),
        cmocka_unit_test(the_soft_limit_of_descriptors_is_raised_to_the_hard_one),
    };
    if (mkdtemp(directory) == NULL) {
        return 1;
    }
    int failed = io_contract_run(&tcp) + io_contract_run(&local);
    failed += cmocka_run_group_tests_name("epoll", tests, NULL, NULL);
    rmdir(directory);
    return failed;
}
