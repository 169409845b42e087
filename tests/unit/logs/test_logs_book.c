/* SPDX-License-Identifier: Apache-2.0 */
/* The book of connections: what is paired, what is not, and what happens to the rest. */
#include "test_unit.h"

#include "logs/book.h"
#include "test_alloc.h"

#define T0 INT64_C(1795656000000000)
#define S INT64_C(1000000)

static const uint8_t key[16] = "a key for tests";

static struct hf_logs_book *new_book(void)
{
    struct hf_logs_book *b = hf_logs_book_new(&hf_heap, key);
    assert_non_null(b);
    return b;
}

static struct hf_logs_event event(enum hf_logs_kind kind, enum hf_logs_format format, int64_t at)
{
    struct hf_logs_event e;
    hf_logs_event_init(&e);
    e.kind = kind;
    e.format = format;
    e.at = at;
    return e;
}

static void feed(struct hf_logs_book *b, const struct hf_logs_event *e, uint32_t source)
{
    assert_int_equal(hf_logs_book_feed(b, e, source), HF_OK);
}

static struct hf_logs_ending next(struct hf_logs_book *b)
{
    struct hf_logs_ending ending;
    assert_true(hf_logs_book_next(b, &ending));
    return ending;
}

static void nothing(struct hf_logs_book *b)
{
    struct hf_logs_ending ending;
    assert_false(hf_logs_book_next(b, &ending));
}

static void daphne(struct hf_logs_book *b, enum hf_logs_kind kind, const char *address, int64_t at,
                   uint32_t source)
{
    struct hf_logs_event e = event(kind, HF_LOGS_DAPHNE, at);
    e.address = hf_slice_of(address);
    e.path = HF_LITERAL("/ws?token=secret");
    feed(b, &e, source);
}

static void uvicorn(struct hf_logs_book *b, enum hf_logs_kind kind, const char *path, uint32_t pid,
                    int64_t at)
{
    struct hf_logs_event e = event(kind, HF_LOGS_UVICORN, at);
    e.path = hf_slice_of(path);
    e.pid = pid;
    feed(b, &e, 0);
}

static void daphnes_connections_are_paired_by_address_and_port(void **state)
{
    struct hf_logs_book *b = new_book();
    (void)state;
    daphne(b, HF_LOGS_OPEN, "10.0.0.1:1001", T0, 0);
    daphne(b, HF_LOGS_OPEN, "10.0.0.1:1002", T0 + 3 * S, 0);
    nothing(b);
    daphne(b, HF_LOGS_CLOSED, "10.0.0.1:1002", T0 + 10 * S, 0);
    struct hf_logs_ending e = next(b);
    assert_int_equal(e.fate, HF_LOGS_ENDED);
    assert_int_equal(e.age, 7 * S);
    assert_string_equal(e.path, "/ws");
    assert_string_equal(e.address, "10.0.0.1");
    daphne(b, HF_LOGS_CLOSED, "10.0.0.1:1001", T0 + 11 * S, 0);
    assert_int_equal(next(b).age, 11 * S);
    nothing(b);
    hf_logs_book_free(b);
}

static void the_same_address_in_another_file_is_another_connection(void **state)
{
    struct hf_logs_book *b = new_book();
    (void)state;
    daphne(b, HF_LOGS_OPEN, "10.0.0.1:1001", T0, 0);
    daphne(b, HF_LOGS_CLOSED, "10.0.0.1:1001", T0 + 5 * S, 1);
    assert_int_equal(next(b).age, -1);
    assert_int_equal(hf_logs_book_counts(b)->began_before, 1);
    daphne(b, HF_LOGS_CLOSED, "10.0.0.1:1001", T0 + 9 * S, 0);
    assert_int_equal(next(b).age, 9 * S);
    hf_logs_book_free(b);
}

static void a_connection_that_daphne_refused_does_not_end_when_it_is_closed(void **state)
{
    struct hf_logs_book *b = new_book();
    (void)state;
    daphne(b, HF_LOGS_REFUSED, "10.0.0.1:1001", T0, 0);
    assert_int_equal(next(b).fate, HF_LOGS_TURNED_AWAY);
    daphne(b, HF_LOGS_CLOSED, "10.0.0.1:1001", T0, 0);
    nothing(b);
    hf_logs_book_finish(b);
    nothing(b);
    hf_logs_book_free(b);
}

static void a_lone_connection_of_uvicorn_is_paired(void **state)
{
    struct hf_logs_book *b = new_book();
    (void)state;
    uvicorn(b, HF_LOGS_OPEN, "/a", 7, T0);
    uvicorn(b, HF_LOGS_OPEN, "/b", 8, T0 + S);
    uvicorn(b, HF_LOGS_CLOSED, "", 7, T0 + 24 * S);
    struct hf_logs_ending e = next(b);
    assert_int_equal(e.age, 24 * S);
    assert_string_equal(e.path, "/a");
    hf_logs_book_free(b);
}

static void of_two_open_ones_uvicorn_does_not_say_which_and_neither_do_we(void **state)
{
    struct hf_logs_book *b = new_book();
    (void)state;
    uvicorn(b, HF_LOGS_OPEN, "/a", 7, T0);
    uvicorn(b, HF_LOGS_OPEN, "/b", 7, T0 + S);
    uvicorn(b, HF_LOGS_CLOSED, "", 7, T0 + 24 * S);
    struct hf_logs_ending e = next(b);
    assert_int_equal(e.age, -1);
    assert_string_equal(e.path, "");
    uvicorn(b, HF_LOGS_CLOSED, "", 7, T0 + 30 * S);
    assert_int_equal(next(b).age, -1); /* nobody knows which one was left */
    assert_int_equal(hf_logs_book_counts(b)->ambiguous, 2);
    uvicorn(b, HF_LOGS_OPEN, "/c", 7, T0 + 40 * S);
    uvicorn(b, HF_LOGS_CLOSED, "", 7, T0 + 45 * S);
    assert_int_equal(next(b).age, 5 * S); /* alone again */
    hf_logs_book_free(b);
}

static void the_close_of_a_refused_one_is_not_taken_for_another_ones_end(void **state)
{
    struct hf_logs_book *b = new_book();
    (void)state;
    uvicorn(b, HF_LOGS_OPEN, "/a", 7, T0);
    uvicorn(b, HF_LOGS_REFUSED, "/no", 7, T0 + S);
    assert_int_equal(next(b).fate, HF_LOGS_TURNED_AWAY);
    uvicorn(b, HF_LOGS_CLOSED, "", 7, T0 + S);
    nothing(b);
    uvicorn(b, HF_LOGS_CLOSED, "", 7, T0 + 9 * S);
    assert_int_equal(next(b).age, 9 * S);
    hf_logs_book_free(b);
}

static void a_killed_worker_takes_its_connections_along(void **state)
{
    struct hf_logs_book *b = new_book();
    struct hf_logs_event why = event(HF_LOGS_RESTART, HF_LOGS_GUNICORN, T0 + 30 * S);
    struct hf_logs_event death = event(HF_LOGS_DEATH, HF_LOGS_GUNICORN, T0 + 31 * S);
    (void)state;
    uvicorn(b, HF_LOGS_OPEN, "/a", 7, T0);
    uvicorn(b, HF_LOGS_OPEN, "/b", 7, T0 + S);
    uvicorn(b, HF_LOGS_OPEN, "/else", 8, T0);
    why.pid = death.pid = 7;
    why.cause = HF_LITERAL("gunicorn-worker-timeout");
    feed(b, &why, 0);
    nothing(b);
    feed(b, &death, 0);
    struct hf_logs_ending first = next(b);
    struct hf_logs_ending second = next(b);
    nothing(b);
    assert_string_equal(first.cause, "gunicorn-worker-timeout");
    assert_int_equal(first.how, HF_LOGS_HOW_KILLED);
    assert_int_equal(first.age, 31 * S);
    assert_int_equal(second.age, 30 * S);
    hf_logs_book_free(b);
}

static struct hf_logs_event access_line(const char *address, const char *path, int64_t at,
                                        hf_time age, uint64_t connection)
{
    struct hf_logs_event e = event(HF_LOGS_END, HF_LOGS_NGINX_ACCESS, at);
    e.address = hf_slice_of(address);
    e.path = hf_slice_of(path);
    e.age = age;
    e.http = 101;
    e.connection = connection;
    return e;
}

static struct hf_logs_event reason_line(const char *address, const char *path, int64_t at,
                                        uint64_t connection, const char *cause)
{
    struct hf_logs_event e = event(HF_LOGS_HINT, HF_LOGS_NGINX_ERROR, at);
    e.address = hf_slice_of(address);
    e.path = hf_slice_of(path);
    e.connection = connection;
    e.cause = hf_slice_of(cause);
    e.how = HF_LOGS_HOW_TIMER;
    e.who = HF_LOGS_WHO_PATH;
    return e;
}

static void nginxs_reason_meets_its_access_line_by_number(void **state)
{
    struct hf_logs_book *b = new_book();
    struct hf_logs_event one = reason_line("10.0.0.1", "/ws", T0, 5, "one");
    struct hf_logs_event two = reason_line("10.0.0.1", "/ws", T0, 6, "two");
    struct hf_logs_event end = access_line("10.0.0.1", "/ws", T0 + 30 * S, 60 * S, 6);
    (void)state;
    feed(b, &one, 0);
    feed(b, &two, 0);
    feed(b, &end, 1);
    assert_string_equal(next(b).cause, "two");
    end.connection = 5;
    feed(b, &end, 1);
    assert_string_equal(next(b).cause, "one");
    hf_logs_book_free(b);
}

static void without_numbers_the_oldest_reason_of_that_address_and_path_is_taken(void **state)
{
    struct hf_logs_book *b = new_book();
    struct hf_logs_event other = reason_line("10.0.0.2", "/ws", T0, 0, "other");
    struct hf_logs_event old = reason_line("10.0.0.1", "/ws", T0, 0, "old");
    struct hf_logs_event young = reason_line("10.0.0.1", "/ws", T0 + S, 0, "young");
    struct hf_logs_event end = access_line("10.0.0.1", "/ws", T0 + S, 60 * S, 0);
    (void)state;
    feed(b, &other, 0);
    feed(b, &old, 0);
    feed(b, &young, 0);
    feed(b, &end, 1);
    assert_string_equal(next(b).cause, "old");
    feed(b, &end, 1);
    assert_string_equal(next(b).cause, "young");
    feed(b, &end, 1);
    assert_string_equal(next(b).cause, "");
    hf_logs_book_free(b);
}

static void a_reason_from_before_the_connection_began_is_not_its_own(void **state)
{
    struct hf_logs_book *b = new_book();
    struct hf_logs_event reason = reason_line("10.0.0.1", "/ws", T0, 0, "other");
    struct hf_logs_event end = access_line("10.0.0.1", "/ws", T0 + 20 * S, 5 * S, 0);
    (void)state;
    feed(b, &reason, 0);
    feed(b, &end, 1);
    assert_string_equal(next(b).cause, "");
    hf_logs_book_free(b);
}

static void a_client_that_was_served_on_means_that_the_upstream_took_nothing(void **state)
{
    struct hf_logs_book *b = new_book();
    struct hf_logs_event reason = reason_line("10.0.0.1", "/ws", T0, 0, "nginx-proxy-read-60s");
    struct hf_logs_event end = access_line("10.0.0.1", "/ws", T0 + 5 * S, 65 * S, 0);
    (void)state;
    end.what = HF_LITERAL("the upstream was given up before");
    feed(b, &reason, 0);
    feed(b, &end, 1);
    assert_string_equal(next(b).cause, "nginx-proxy-send-60s");
    hf_logs_book_free(b);
}

static void reasons_without_any_access_line_are_told_by_themselves(void **state)
{
    struct hf_logs_book *b = new_book();
    struct hf_logs_event reason = reason_line("10.0.0.1", "/ws", T0, 1, "alone");
    struct hf_logs_event later = reason_line("10.0.0.1", "/ws", T0 + 90 * S, 2, "later");
    (void)state;
    feed(b, &reason, 0);
    nothing(b);
    feed(b, &later, 0);
    struct hf_logs_ending e = next(b);
    assert_string_equal(e.cause, "alone");
    assert_int_equal(e.age, -1);
    nothing(b);
    hf_logs_book_finish(b);
    assert_string_equal(next(b).cause, "later");
    hf_logs_book_free(b);
}

static void a_reason_that_is_left_over_beside_access_lines_is_counted_and_not_told(void **state)
{
    struct hf_logs_book *b = new_book();
    struct hf_logs_event reason = reason_line("10.0.0.1", "/ws", T0, 1, "x");
    struct hf_logs_event end = access_line("10.0.0.9", "/ws", T0, S, 3);
    (void)state;
    feed(b, &reason, 0);
    feed(b, &end, 1);
    (void)next(b);
    hf_logs_book_finish(b);
    nothing(b);
    assert_int_equal(hf_logs_book_counts(b)->hints_left, 1);
    hf_logs_book_free(b);
}

static void what_is_open_when_the_log_ends_lives(void **state)
{
    struct hf_logs_book *b = new_book();
    (void)state;
    daphne(b, HF_LOGS_OPEN, "10.0.0.1:1001", T0, 0);
    uvicorn(b, HF_LOGS_OPEN, "/a", 7, T0 + 10 * S);
    hf_logs_book_finish(b);
    struct hf_logs_ending e = next(b);
    assert_int_equal(e.fate, HF_LOGS_LIVED);
    assert_int_equal(e.age, 10 * S);
    assert_int_equal(next(b).fate, HF_LOGS_LIVED);
    nothing(b);
    hf_logs_book_free(b);
}

static void beyond_the_maximum_the_oldest_is_given_up_and_counted(void **state)
{
    struct hf_logs_book *b = new_book();
    char address[32];
    (void)state;
    for (unsigned i = 0; i < HF_LOGS_OPEN_MAX + 10; i++) {
        (void)snprintf(address, sizeof(address), "10.%u.%u.1:%u", i >> 16, i >> 8 & 255, i & 255);
        daphne(b, HF_LOGS_OPEN, address, T0 + i, 0);
    }
    assert_int_equal(hf_logs_book_counts(b)->given_up, 10);
    daphne(b, HF_LOGS_CLOSED, "10.0.0.1:3", T0 + S, 0); /* one of the ten */
    assert_int_equal(next(b).age, -1);
    daphne(b, HF_LOGS_CLOSED, "10.0.0.1:10", T0 + S, 0);
    assert_int_equal(next(b).age, S - 10);
    hf_logs_book_free(b);
}

static void without_memory_nothing_is_lost_but_the_connection(void **state)
{
    (void)state;
    struct test_alloc ta;
    test_alloc_init(&ta);
    for (size_t n = 1;; n++) {
        test_alloc_fail_at(&ta, n);
        struct hf_logs_book *b = hf_logs_book_new(&ta.alloc, key);
        if (b != NULL) {
            struct hf_logs_event open = event(HF_LOGS_OPEN, HF_LOGS_DAPHNE, T0);
            struct hf_logs_event hint = reason_line("10.0.0.1", "/ws", T0, 1, "x");
            struct hf_logs_event group = event(HF_LOGS_OPEN, HF_LOGS_UVICORN, T0);
            open.address = HF_LITERAL("10.0.0.1:1");
            for (int i = 0; i < 3; i++) {
                bool whole = hf_logs_book_feed(b, &open, 0) == HF_OK &&
                             hf_logs_book_feed(b, &hint, 0) == HF_OK &&
                             hf_logs_book_feed(b, &group, 0) == HF_OK;
                assert_true(whole || ta.fired);
            }
            struct hf_logs_ending ending;
            hf_logs_book_finish(b);
            while (hf_logs_book_next(b, &ending)) {
                assert_true(ending.fate == HF_LOGS_LIVED || ending.fate == HF_LOGS_ENDED);
            }
            hf_logs_book_free(b);
        }
        assert_int_equal(ta.live_blocks, 0);
        if (!ta.fired) {
            break; /* it needs fewer */
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(daphnes_connections_are_paired_by_address_and_port),
        cmocka_unit_test(the_same_address_in_another_file_is_another_connection),
        cmocka_unit_test(a_connection_that_daphne_refused_does_not_end_when_it_is_closed),
        cmocka_unit_test(a_lone_connection_of_uvicorn_is_paired),
        cmocka_unit_test(of_two_open_ones_uvicorn_does_not_say_which_and_neither_do_we),
        cmocka_unit_test(the_close_of_a_refused_one_is_not_taken_for_another_ones_end),
        cmocka_unit_test(a_killed_worker_takes_its_connections_along),
        cmocka_unit_test(nginxs_reason_meets_its_access_line_by_number),
        cmocka_unit_test(without_numbers_the_oldest_reason_of_that_address_and_path_is_taken),
        cmocka_unit_test(a_reason_from_before_the_connection_began_is_not_its_own),
        cmocka_unit_test(a_client_that_was_served_on_means_that_the_upstream_took_nothing),
        cmocka_unit_test(reasons_without_any_access_line_are_told_by_themselves),
        cmocka_unit_test(a_reason_that_is_left_over_beside_access_lines_is_counted_and_not_told),
        cmocka_unit_test(what_is_open_when_the_log_ends_lives),
        cmocka_unit_test(beyond_the_maximum_the_oldest_is_given_up_and_counted),
        cmocka_unit_test(without_memory_nothing_is_lost_but_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
