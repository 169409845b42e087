/* SPDX-License-Identifier: Apache-2.0 */
/* The log: its two forms, its batches, its losses, and its threads. */
#include "test_unit.h"

#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOON INT64_C(1769860800000) /* 2026-01-31T12:00:00.000Z */

struct fixture {
    char dir[32];
    char path[64];
    struct hf_log *log;
    struct hf_buffer read; /* what the last read_all found */
};

static int setup(void **state)
{
    static struct fixture f;
    strcpy(f.dir, "/tmp/hf-test-log-XXXXXX");
    if (mkdtemp(f.dir) == NULL) {
        return -1;
    }
    (void)snprintf(f.path, sizeof(f.path), "%s/log", f.dir);
    f.log = NULL;
    hf_buffer_init(&f.read, &hf_heap, SIZE_MAX);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    hf_log_close(f->log);
    hf_buffer_reset(&f->read);
    (void)unlink(f->path);
    return rmdir(f->dir);
}

static void open_log(struct fixture *f, enum hf_log_format format)
{
    assert_int_equal(hf_log_open(f->path, format, HF_LOG_INFO, &f->log), HF_OK);
}

static struct hf_slice read_fd(struct fixture *f, int fd)
{
    hf_buffer_clear(&f->read);
    ssize_t n;
    do {
        assert_int_equal(hf_buffer_reserve(&f->read, 65536), HF_OK);
        n = read(fd, f->read.data + f->read.len, 65536);
        f->read.len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    return hf_buffer_slice(&f->read);
}

static struct hf_slice read_all(struct fixture *f)
{
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    struct hf_slice s = read_fd(f, fd);
    (void)close(fd);
    return s;
}

static void add_every_kind(struct hf_log *log)
{
    struct hf_log_line line;
    hf_log_begin(&line, log, HF_LOG_INFO, NOON + 7, "ws open");
    hf_log_cstr(&line, "route", "/ws/");
    hf_log_text(&line, "agent", HF_LITERAL("a \"b\"\n"));
    hf_log_number(&line, "least", INT64_MIN);
    hf_log_number(&line, "zero", 0);
    hf_log_ms(&line, "rtt_ms", 1500);
    hf_log_ms(&line, "whole_ms", 24000000);
    hf_log_ms(&line, "fine_ms", -1001);
    hf_log_ms(&line, "tiny_ms", 50);
    hf_log_bool(&line, "resumed", true);
    hf_log_bool(&line, "tls", false);
    hf_log_null(&line, "unknown_ms");
    hf_log_end(&line);
}

static void a_text_line_reads_as_documented(void **state)
{
    struct fixture *f = *state;
    open_log(f, HF_LOG_TEXT);
    add_every_kind(f->log);
    hf_log_flush(f->log);
    assert_slice(read_all(f),
                 "2026-01-31T12:00:00.007Z info ws open route=/ws/ agent=\"a \\\"b\\\"\\n\" "
                 "least=-9223372036854775808 zero=0 rtt_ms=1.5 whole_ms=24000 fine_ms=-1.001 "
                 "tiny_ms=0.05 resumed=true tls=false unknown_ms=-\n");
}

static void a_json_line_is_one_object(void **state)
{
    struct fixture *f = *state;
    open_log(f, HF_LOG_JSON);
    add_every_kind(f->log);
    hf_log_flush(f->log);
    assert_slice(read_all(f),
                 "{\"time\":\"2026-01-31T12:00:00.007Z\",\"level\":\"info\",\"event\":\"ws open\","
                 "\"route\":\"/ws/\",\"agent\":\"a \\\"b\\\"\\n\",\"least\":-9223372036854775808,"
                 "\"zero\":0,\"rtt_ms\":1.5,\"whole_ms\":24000,\"fine_ms\":-1.001,\"tiny_ms\":0.05,"
                 "\"resumed\":true,\"tls\":false,\"unknown_ms\":null}\n");
}

static void a_text_value_is_quoted_only_where_a_reader_could_be_misled(void **state)
{
    struct fixture *f = *state;
    open_log(f, HF_LOG_TEXT);
    static const char *const values[] = {"plain",       "",        "two words", "a=b",
                                         "back\\slash", "\x1b[2J", "\xff"};
    struct hf_log_line line;
    hf_log_begin(&line, f->log, HF_LOG_INFO, NOON, "x");
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        hf_log_cstr(&line, "v", values[i]);
    }
    hf_log_end(&line);
    hf_log_flush(f->log);
    assert_slice(read_all(f),
                 "2026-01-31T12:00:00.000Z info x v=plain v=\"\" v=\"two words\" v=\"a=b\" "
                 "v=\"back\\\\slash\" v=\"\\u001b[2J\" v=\"\xef\xbf\xbd\"\n");
}

static void the_time_of_each_line_is_its_own(void **state)
{
    struct fixture *f = *state;
    open_log(f, HF_LOG_TEXT);
    static const hf_wall walls[] = {NOON, NOON + 999, NOON + 1000, NOON + 999, NOON + 42, -1, NOON};
    for (size_t i = 0; i < sizeof(walls) / sizeof(walls[0]); i++) {
        hf_log_say(f->log, HF_LOG_ERROR, walls[i], "x", "%d", 5);
    }
    hf_log_flush(f->log);
    assert_slice(read_all(f), "2026-01-31T12:00:00.000Z error x message=5\n"
                              "2026-01-31T12:00:00.999Z error x message=5\n"
                              "2026-01-31T12:00:01.000Z error x message=5\n"
                              "2026-01-31T12:00:00.999Z error x message=5\n"
                              "2026-01-31T12:00:00.042Z error x message=5\n"
                              "1969-12-31T23:59:59.999Z error x message=5\n"
                              "2026-01-31T12:00:00.000Z error x message=5\n");
}

static void a_level_that_is_not_wanted_and_a_log_that_is_not_there_do_nothing(void **state)
{
    struct fixture *f = *state;
    open_log(f, HF_LOG_TEXT);
    assert_false(hf_log_wants(f->log, HF_LOG_DEBUG));
    assert_true(hf_log_wants(f->log, HF_LOG_INFO));
    assert_false(hf_log_wants(NULL, HF_LOG_ERROR));
    hf_log_say(f->log, HF_LOG_DEBUG, NOON, "x", "no");
    add_every_kind(NULL);
    hf_log_say(NULL, HF_LOG_ERROR, NOON, "x", "no");
    hf_log_flush(NULL);
    hf_log_configure(f->log, HF_LOG_JSON, HF_LOG_DEBUG);
    hf_log_say(f->log, HF_LOG_DEBUG, NOON, "x", "yes");
    hf_log_configure(f->log, HF_LOG_TEXT, HF_LOG_ERROR);
    hf_log_say(f->log, HF_LOG_WARNING, NOON, "x", "no");
    hf_log_flush(f->log);
    assert_slice(read_all(f),
                 "{\"time\":\"2026-01-31T12:00:00.000Z\",\"level\":\"debug\",\"event\":\"x\","
                 "\"message\":\"yes\"}\n");
}

static void lines_wait_for_a_batch_a_flush_or_the_close(void **state)
{
    struct fixture *f = *state;
    open_log(f, HF_LOG_TEXT);
    hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "1");
    assert_int_equal(read_all(f).len, 0);
    hf_log_flush(f->log);
    size_t one = read_all(f).len;
    assert_true(one > 0);
    size_t lines = 32 * 1024 / one + 1;
    for (size_t i = 0; i < lines - 1; i++) {
        hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "1");
        assert_int_equal(read_all(f).len, one);
    }
    hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "1");
    assert_int_equal(read_all(f).len, one * (lines + 1));
    hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "1");
    hf_log_close(f->log);
    f->log = NULL;
    assert_int_equal(read_all(f).len, one * (lines + 2));
}

static void a_line_longer_than_its_room_moves_to_the_heap_and_stays_whole(void **state)
{
    struct fixture *f = *state;
    open_log(f, HF_LOG_TEXT);
    char *value = malloc(100000);
    assert_non_null(value);
    memset(value, 'v', 100000);
    struct hf_log_line line;
    hf_log_begin(&line, f->log, HF_LOG_INFO, NOON, "long");
    hf_log_text(&line, "a", hf_slice(value, 2000));
    hf_log_text(&line, "b", hf_slice(value, 100000));
    hf_log_end(&line);
    hf_log_flush(f->log);
    struct hf_slice s = read_all(f);
    struct hf_slice head = HF_LITERAL("2026-01-31T12:00:00.000Z info long a=");
    assert_true(hf_slice_starts(s, head));
    assert_int_equal(s.len, head.len + 2000 + 3 + 100000 + 1);
    assert_memory_equal(s.ptr + head.len, value, 2000);
    assert_memory_equal(s.ptr + head.len + 2000, " b=", 3);
    assert_memory_equal(s.ptr + head.len + 2003, value, 100000);
    free(value);
}

static void a_line_beyond_the_maximum_is_lost_and_the_next_line_says_so(void **state)
{
    struct fixture *f = *state;
    open_log(f, HF_LOG_TEXT);
    char *value = calloc(1, 300000);
    assert_non_null(value);
    struct hf_log_line line;
    hf_log_begin(&line, f->log, HF_LOG_INFO, NOON, "long");
    hf_log_text(&line, "a", hf_slice(value, 300000));
    hf_log_end(&line);
    free(value);
    assert_true(hf_log_lost(f->log) == 1);
    hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "1");
    hf_log_flush(f->log);
    assert_slice(read_all(f), "2026-01-31T12:00:00.000Z warning log dropped lines=1\n"
                              "2026-01-31T12:00:00.000Z info x message=1\n");
}

static void a_reopened_log_writes_to_the_new_file_and_the_old_lines_stay_in_the_old(void **state)
{
    struct fixture *f = *state;
    char rotated[80];
    (void)snprintf(rotated, sizeof(rotated), "%s.1", f->path);
    open_log(f, HF_LOG_TEXT);
    hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "old");
    assert_int_equal(rename(f->path, rotated), 0);
    assert_int_equal(hf_log_reopen(f->log), HF_OK);
    hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "new");
    hf_log_flush(f->log);
    assert_slice(read_all(f), "2026-01-31T12:00:00.000Z info x message=new\n");
    assert_int_equal(rename(rotated, f->path), 0);
    assert_slice(read_all(f), "2026-01-31T12:00:00.000Z info x message=old\n");
}

static int next_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    (void)close(fd);
    return fd;
}

static void a_reopen_that_fails_keeps_the_old_file(void **state)
{
    struct fixture *f = *state;
    open_log(f, HF_LOG_TEXT);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkdir(f->path, 0700), 0);
    int before = next_descriptor();
    assert_int_equal(hf_log_reopen(f->log), HF_INVALID);
    assert_int_equal(next_descriptor(), before);
    hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "1");
    hf_log_flush(f->log);
    assert_true(hf_log_lost(f->log) == 0);
    assert_int_equal(rmdir(f->path), 0);
    assert_int_equal(hf_log_reopen(f->log), HF_OK);
    assert_int_equal(next_descriptor(), before);
}

static void a_path_that_cannot_be_opened_has_a_status(void **state)
{
    struct hf_log *log = (struct hf_log *)state;
    assert_int_equal(hf_log_open("/nonexistent/log", HF_LOG_TEXT, HF_LOG_INFO, &log), HF_NOT_FOUND);
    assert_null(log);
    assert_int_equal(hf_log_open("/", HF_LOG_TEXT, HF_LOG_INFO, &log), HF_INVALID);
    assert_null(log);
}

static void a_full_disk_loses_lines_counts_them_and_stops_nobody(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(symlink("/dev/full", f->path), 0);
    open_log(f, HF_LOG_TEXT);
    for (int i = 0; i < 3; i++) {
        hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "1");
    }
    hf_log_flush(f->log);
    assert_true(hf_log_lost(f->log) == 3);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(hf_log_reopen(f->log), HF_OK);
    hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "2");
    hf_log_flush(f->log);
    assert_slice(read_all(f), "2026-01-31T12:00:00.000Z warning log dropped lines=3\n"
                              "2026-01-31T12:00:00.000Z info x message=2\n");
}

/* The log on a pipe; fd is its reading end. */
static void open_pipe(struct fixture *f, int *fd)
{
    assert_int_equal(mkfifo(f->path, 0600), 0);
    *fd = open(f->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(*fd >= 0);
    open_log(f, HF_LOG_TEXT);
}

static void a_pipe_that_nobody_reads_blocks_nobody_and_loses_only_what_is_too_much(void **state)
{
    struct fixture *f = *state;
    int fd;
    open_pipe(f, &fd);
    char word[1001];
    memset(word, 'w', 1000);
    word[1000] = '\0';
    uint64_t lines = 0;
    while (hf_log_lost(f->log) == 0) {
        hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "%s", word);
        lines++;
        assert_true(lines < 10000);
    }
    assert_true(lines > 4 * 1024 * 1024 / 1100);
    struct hf_buffer got;
    hf_buffer_init(&got, &hf_heap, SIZE_MAX);
    size_t before;
    do {
        before = got.len;
        (void)hf_buffer_add(&got, read_fd(f, fd));
        hf_log_flush(f->log);
    } while (got.len > before);
    hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "end");
    hf_log_flush(f->log);
    (void)hf_buffer_add(&got, read_fd(f, fd));
    uint64_t newlines = 0;
    for (size_t i = 0; i < got.len; i++) {
        newlines += got.data[i] == '\n';
    }
    assert_true(newlines == lines - 1 + 2); /* one was lost; its report and the end came */
    assert_true(hf_slice_ends(hf_buffer_slice(&got),
                              HF_LITERAL("2026-01-31T12:00:00.000Z warning log dropped lines=1\n"
                                         "2026-01-31T12:00:00.000Z info x message=end\n")));
    hf_buffer_reset(&got);
    (void)close(fd);
}

/* Standard error is shared with other processes and stays blocking. */
static void a_standard_error_that_nobody_reads_blocks_nobody(void **state)
{
    struct fixture *f = *state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int saved = dup(STDERR_FILENO);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    enum hf_status status = hf_log_open(NULL, HF_LOG_TEXT, HF_LOG_INFO, &f->log);
    uint64_t lines = 0;
    for (; status == HF_OK && lines < 5000; lines++) { /* more than the 64 KiB of a pipe */
        hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "1");
    }
    hf_log_flush(f->log);
    uint8_t bytes[43];
    ssize_t n = read(ends[0], bytes, sizeof(bytes));
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_int_equal(status, HF_OK);
    assert_int_equal(lines, 5000);
    assert_true(hf_log_lost(f->log) == 0);
    assert_slice(hf_slice(bytes, (size_t)n), "2026-01-31T12:00:00.000Z info x message=1\n2");
    assert_int_equal(hf_log_reopen(f->log), HF_OK);
    /* What is left goes nowhere, not into the output of the tests. */
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    saved = dup(STDERR_FILENO);
    (void)dup2(null, STDERR_FILENO);
    hf_log_close(f->log);
    f->log = NULL;
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    (void)close(null);
}

/* A limit on the size of files stands for a disk that fills up in the middle of a line. */
static void a_line_cut_by_a_full_disk_does_not_spoil_the_next_one(void **state)
{
    struct fixture *f = *state;
    open_log(f, HF_LOG_TEXT);
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "1");
    hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "2");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){60, old.rlim_max}), 0);
    hf_log_flush(f->log);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_true(hf_log_lost(f->log) == 1);
    hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "3");
    hf_log_flush(f->log);
    assert_slice(read_all(f), "2026-01-31T12:00:00.000Z info x message=1\n"
                              "2026-01-31T12:00:0\n"
                              "2026-01-31T12:00:00.000Z warning log dropped lines=1\n"
                              "2026-01-31T12:00:00.000Z info x message=3\n");
}

static void a_broken_pipe_loses_lines_and_stops_nobody(void **state)
{
    struct fixture *f = *state;
    int fd;
    open_pipe(f, &fd);
    (void)close(fd);
    hf_log_say(f->log, HF_LOG_INFO, NOON, "x", "1");
    hf_log_flush(f->log);
    assert_true(hf_log_lost(f->log) == 1);
}

#define THREADS 4
#define LINES 3000

static void *write_lines(void *argument)
{
    struct hf_log *log = argument;
    for (int i = 0; i < LINES; i++) {
        struct hf_log_line line;
        hf_log_begin(&line, log, HF_LOG_INFO, NOON + i, "thread");
        hf_log_number(&line, "line", i);
        hf_log_cstr(&line, "rest", "abcdefghijklmnopqrstuvwxyz");
        hf_log_end(&line);
        if (i % 100 == 0) {
            hf_log_flush(log);
        }
        if (i % 500 == 0) {
            (void)hf_log_reopen(log);
        }
    }
    return NULL;
}

static void lines_of_many_threads_never_mix_and_none_is_lost(void **state)
{
    struct fixture *f = *state;
    open_log(f, HF_LOG_TEXT);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, f->log), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    hf_log_close(f->log);
    f->log = NULL;
    struct hf_slice rest = read_all(f);
    struct hf_slice line;
    static int seen[LINES];
    memset(seen, 0, sizeof(seen));
    while (hf_slice_next(&rest, '\n', &line)) {
        struct hf_slice key = HF_LITERAL("info thread line=");
        assert_true(hf_slice_starts(hf_slice_from(line, 25), key));
        struct hf_slice number = hf_slice_from(line, 25 + key.len);
        assert_slice(hf_slice_from(number, hf_slice_find(number, ' ')),
                     " rest=abcdefghijklmnopqrstuvwxyz");
        uint64_t i;
        assert_true(
            hf_slice_number(hf_slice_first(number, hf_slice_find(number, ' ')), LINES - 1, &i));
        seen[i]++;
    }
    for (int i = 0; i < LINES; i++) {
        assert_int_equal(seen[i], THREADS);
    }
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_text_line_reads_as_documented),
        T(a_json_line_is_one_object),
        T(a_text_value_is_quoted_only_where_a_reader_could_be_misled),
        T(the_time_of_each_line_is_its_own),
        T(a_level_that_is_not_wanted_and_a_log_that_is_not_there_do_nothing),
        T(lines_wait_for_a_batch_a_flush_or_the_close),
        T(a_line_longer_than_its_room_moves_to_the_heap_and_stays_whole),
        T(a_line_beyond_the_maximum_is_lost_and_the_next_line_says_so),
        T(a_reopened_log_writes_to_the_new_file_and_the_old_lines_stay_in_the_old),
        T(a_reopen_that_fails_keeps_the_old_file),
        T(a_path_that_cannot_be_opened_has_a_status),
        T(a_full_disk_loses_lines_counts_them_and_stops_nobody),
        T(a_pipe_that_nobody_reads_blocks_nobody_and_loses_only_what_is_too_much),
        T(a_standard_error_that_nobody_reads_blocks_nobody),
        T(a_line_cut_by_a_full_disk_does_not_spoil_the_next_one),
        T(a_broken_pipe_loses_lines_and_stops_nobody),
        T(lines_of_many_threads_never_mix_and_none_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
