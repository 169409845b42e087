/* SPDX-License-Identifier: Apache-2.0 */
/* Whole lines of every format into events: tests/vectors/logs/lines.txt holds each line as it was
 * written, and behind it what is read of it. With --describe the lines of standard input are
 * answered so. */
#include "test_unit.h"

#include "logs/json.h"
#include "logs/reader.h"
#include "logs/when.h"

#include <stdlib.h>

#define NOW INT64_C(1795656000000000) /* 2026-11-26 */

static const char *const kinds[] = {"nothing", "open", "closed",  "end",   "alive",   "hint",
                                    "refused", "http", "restart", "death", "limiter", "fault"};

static void put_slice(char *out, size_t size, const char *name, struct hf_slice s)
{
    size_t n = strlen(out);
    if (s.len > 0) {
        (void)snprintf(out + n, size - n, " %s=[%.*s]", name, HF_SLICE_ARG(s));
    }
}

static void put_number(char *out, size_t size, const char *name, int64_t value, int64_t absent)
{
    size_t n = strlen(out);
    if (value != absent) {
        (void)snprintf(out + n, size - n, " %s=%lld", name, (long long)value);
    }
}

static void put_event(const struct hf_logs_event *e, char *out, size_t size)
{
    char at[25] = "-";
    if (e->at != HF_LOGS_NO_TIME) {
        hf_wall_text(e->at / 1000, at);
    }
    (void)snprintf(out, size, "%s %s %s", kinds[e->kind],
                   e->format < HF_LOGS_FORMATS ? hf_logs_format_text(e->format) : "-", at);
    put_number(out, size, "age_us", e->age, -1);
    put_slice(out, size, "address", e->address);
    put_slice(out, size, "path", e->path);
    put_slice(out, size, "upstream", e->upstream);
    put_number(out, size, "http", e->http, 0);
    put_number(out, size, "code", e->code, 0);
    if (e->how != HF_LOGS_HOW_UNKNOWN) {
        put_slice(out, size, "how", hf_slice_of(hf_logs_how_text(e->how)));
        put_slice(out, size, "who", hf_slice_of(hf_logs_who_text(e->who)));
    }
    put_slice(out, size, "cause", e->cause);
    put_slice(out, size, "reason", e->reason);
    put_slice(out, size, "what", e->what);
    put_number(out, size, "pid", e->pid, 0);
    put_number(out, size, "connection", (int64_t)e->connection, 0);
    put_number(out, size, "messages_up", e->messages_up, -1);
    put_number(out, size, "messages_down", e->messages_down, -1);
    put_number(out, size, "bytes_up", e->bytes_up, -1);
    put_number(out, size, "bytes_down", e->bytes_down, -1);
    if (e->wished) {
        (void)snprintf(out + strlen(out), size - strlen(out), " wished");
    }
}

static struct hf_logs_reader new_reader(const struct hf_logs_template *nginx)
{
    struct hf_logs_reader r;
    struct hf_logs_clock clock = {.zone = 0, .now = NOW};
    assert_int_equal(hf_logs_reader_init(&r, &hf_heap, HF_LOGS_FORMATS, nginx, clock), HF_OK);
    return r;
}

/* On an exact copy, so that the sanitizer sees a reader that goes too far. */
static void describe(struct hf_logs_reader *r, struct hf_slice line, char *out, size_t size)
{
    struct hf_logs_event e;
    const char *why = "";
    uint8_t *copy = malloc(line.len == 0 ? 1 : line.len);
    assert_non_null(copy);
    memcpy(copy, line.ptr, line.len);
    if (hf_logs_read(r, hf_slice(copy, line.len), &e, &why) == HF_LOGS_READ) {
        put_event(&e, out, size);
    } else {
        (void)snprintf(out, size, "unread: %s", why);
    }
    free(copy);
}

static size_t chomp(char *line)
{
    size_t n = strcspn(line, "\n");
    line[n] = '\0';
    return n;
}

/* Calls back for each pair of lines of the vectors: "< line", "> what is read". */
static void each_vector(void (*check)(struct hf_slice line, const char *wanted, int number))
{
    static char line[8192];
    static char answer[8192];
    int number = 0;
    int pairs = 0;
    FILE *file = fopen(HF_LOGS_VECTORS "/lines.txt", "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        number++;
        if (line[0] != '<') {
            continue;
        }
        size_t n = chomp(line);
        assert_non_null(fgets(answer, sizeof(answer), file));
        number++;
        assert_int_equal(answer[0], '>');
        (void)chomp(answer);
        check(hf_slice(line + 2, n - 2), answer + 2, number);
        pairs++;
    }
    (void)fclose(file);
    assert_true(pairs > 60);
}

static void check_whole(struct hf_slice line, const char *wanted, int number)
{
    char got[4096];
    struct hf_logs_reader r = new_reader(NULL);
    describe(&r, line, got, sizeof(got));
    if (strcmp(got, wanted) != 0) {
        fail_msg("lines.txt:%d\nline   %.*s\ngot    %s\nwanted %s", number, HF_SLICE_ARG(line), got,
                 wanted);
    }
    hf_logs_reader_fini(&r);
}

static void every_line_of_the_vectors_is_read_as_it_stands_there(void **state)
{
    (void)state;
    each_vector(check_whole);
}

/* A part of a line may be unread, or tell less; nothing in it may be made up. */
static void check_truncated(struct hf_slice line, const char *wanted, int number)
{
    char got[4096];
    struct hf_logs_reader r = new_reader(NULL);
    (void)wanted;
    (void)number;
    for (size_t len = 0; len < line.len; len++) {
        describe(&r, hf_slice_first(line, len), got, sizeof(got));
        assert_true(strlen(got) > 0);
    }
    hf_logs_reader_fini(&r);
}

static void every_line_can_be_cut_at_every_byte(void **state)
{
    (void)state;
    each_vector(check_truncated);
}

static void a_line_can_be_wrapped_by_every_wrapper_and_by_two_at_once(void **state)
{
    static const char *const wrapped[] = {
        "web-1  | %s",
        "2026-11-26T01:00:00.123456789Z stdout F %s",
        "2026-11-26T01:00:00.123456789Z %s",
        "Nov 26 01:00:00 host nginx[12]: %s",
        "<134>Nov 26 01:00:00 host nginx[12]: %s",
        "<134>Nov 26 01:00:00 nginx[12]: %s",
        "<134>1 2026-11-26T01:00:00.1Z host nginx 12 - [a b=\"\\]\"] %s",
        "<134>1 2026-11-26T01:00:00.1Z host nginx 12 ID - \xEF\xBB\xBF%s",
        "2026-11-26T01:00:00+0000 host nginx[12]: %s",
        "\x1B[33mweb-1  | \x1B[0m%s",
        "Nov 26 01:00:00 host docker[9]: web-1  | %s",
    };
    char line[2048];
    char got[4096];
    (void)state;
    for (size_t i = 0; i < sizeof(wrapped) / sizeof(wrapped[0]); i++) {
        struct hf_logs_reader r = new_reader(NULL);
        (void)snprintf(line, sizeof(line), wrapped[i],
                       "10.0.0.9 - - [26/Nov/2026:01:21:25 +0000] \"GET /idle HTTP/1.1\" 101 7 "
                       "\"-\" \"-\" rt=60.002");
        describe(&r, hf_slice_of(line), got, sizeof(got));
        if (strstr(got, "end nginx-access") == NULL || strstr(got, "age_us=60002000") == NULL ||
            strstr(got, "address=[10.0.0.9] path=[/idle]") == NULL) {
            fail_msg("%s\ngives %s", line, got);
        }
        hf_logs_reader_fini(&r);
    }
}

static void a_log_format_string_is_taken_apart_and_read(void **state)
{
    static const char *const formats[][2] = {
        {"$remote_addr|$time_iso8601|$status|$request_time|$request_uri|$http_user_agent",
         "10.1.1.1|2026-11-26T01:21:25+00:00|101|24.001|/ws?a|x|y"},
        {"log_format t '$remote_addr [$time_local] ' '\"$request\" ${status} $request_time '\n"
         " 'c=$connection b=$body_bytes_sent u=$upstream_addr';",
         "10.1.1.1 [26/Nov/2026:01:21:25 +0000] \"GET /ws?a HTTP/1.1\" 101 24.001 c=12 b=9 "
         "u=10.0.0.1:80, 10.0.0.2:80"},
        {"log_format j escape=json '{\"a\":\"$remote_addr\",\"s\":$status,\"t\":$request_time,"
         "\"u\":\"$request_uri\",\"m\":$msec}';",
         "{\"a\":\"10.1.1.1\",\"s\":101,\"t\":24.001,\"u\":\"/ws?a\",\"m\":1795656085.000}"},
    };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct hf_logs_template t;
        const char *why;
        char got[4096];
        assert_true(hf_logs_template_init(&t, hf_slice_of(formats[i][0]), &why));
        struct hf_logs_reader r = new_reader(&t);
        describe(&r, hf_slice_of(formats[i][1]), got, sizeof(got));
        if (strstr(got, "end nginx-access 2026-11-26T01:21:25.000Z age_us=24001000") == NULL ||
            strstr(got, "address=[10.1.1.1] path=[/ws?a") == NULL) {
            fail_msg("%s\ngives %s", formats[i][1], got);
        }
        hf_logs_reader_fini(&r);
    }
}

static void a_log_format_without_a_status_is_refused(void **state)
{
    struct hf_logs_template t;
    const char *why = "";
    (void)state;
    assert_false(hf_logs_template_init(&t, HF_LITERAL("$remote_addr $request"), &why));
    assert_non_null(strstr(why, "$status"));
}

static void a_forced_format_refuses_the_lines_of_others(void **state)
{
    struct hf_logs_reader r = new_reader(NULL);
    struct hf_logs_event e;
    const char *why = "";
    (void)state;
    r.forced = HF_LOGS_HAPROXY;
    assert_int_equal(hf_logs_read(&r, HF_LITERAL("INFO:     connection closed"), &e, &why),
                     HF_LOGS_READ);
    assert_int_equal(e.kind, HF_LOGS_NOTHING);
    assert_int_equal(hf_logs_read(&r,
                                  HF_LITERAL("1.1.1.1 - - [26/Nov/2026:01:21:25 +0000] \"GET / "
                                             "HTTP/1.1\" 101 7 \"-\" \"-\""),
                                  &e, &why),
                     HF_LOGS_UNREAD);
    hf_logs_reader_fini(&r);
}

static void a_line_longer_than_the_maximum_is_not_read(void **state)
{
    struct hf_logs_reader r = new_reader(NULL);
    struct hf_logs_event e;
    const char *why = "";
    char *line = malloc(HF_LOGS_LINE_MAX + 1);
    (void)state;
    assert_non_null(line);
    memset(line, 'x', HF_LOGS_LINE_MAX + 1);
    assert_int_equal(hf_logs_read(&r, hf_slice(line, HF_LOGS_LINE_MAX + 1), &e, &why),
                     HF_LOGS_UNREAD);
    assert_string_equal(why, "longer than 64 KiB");
    free(line);
    hf_logs_reader_fini(&r);
}

static void the_trace_behind_an_exception_belongs_to_it(void **state)
{
    static const char *const lines[] = {
        "ERROR:    Exception in ASGI application",
        "Traceback (most recent call last):",
        "  File \"a.py\", line 33, in application",
        "    raise ValueError(\"tripped\")",
        "ValueError: tripped",
    };
    struct hf_logs_reader r = new_reader(NULL);
    struct hf_logs_event e;
    const char *why;
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(hf_logs_read(&r, hf_slice_of(lines[i]), &e, &why), HF_LOGS_READ);
        assert_int_equal(e.kind, i == 0 ? HF_LOGS_FAULT : HF_LOGS_NOTHING);
    }
    assert_int_equal(hf_logs_read(&r, HF_LITERAL("what I wanted to say"), &e, &why),
                     HF_LOGS_UNREAD);
    hf_logs_reader_fini(&r);
}

static void a_time_without_a_zone_is_of_the_zone_that_is_told(void **state)
{
    int64_t at;
    int64_t with;
    size_t len;
    (void)state;
    assert_true(hf_logs_when_iso(HF_LITERAL("2026/11/26 03:21:24"), 7200, &at, &len));
    assert_true(hf_logs_when_iso(HF_LITERAL("2026-11-26T01:21:24Z"), 7200, &with, &len));
    assert_int_equal(at, with);
    assert_true(hf_logs_when_clf(HF_LITERAL("26/Nov/2026:03:21:24.5 +0200]"), 0, &at, &len));
    assert_int_equal(at, with + 500000);
    assert_int_equal(len, 28);
}

static void a_time_without_a_year_lies_in_the_past_year(void **state)
{
    int64_t at;
    int64_t wanted;
    size_t len;
    (void)state;
    assert_true(hf_logs_when_bsd(HF_LITERAL("Dec  3 01:02:03 host"), 0, NOW, &at, &len));
    assert_true(hf_logs_when_iso(HF_LITERAL("2025-12-03T01:02:03Z"), 0, &wanted, &len));
    assert_int_equal(at, wanted);
}

static void escapes_of_json_are_written_out(void **state)
{
    uint8_t room[256];
    struct hf_logs_scratch scratch = {.data = room, .cap = sizeof(room)};
    struct hf_logs_json j;
    struct hf_logs_member m;
    (void)state;
    hf_logs_json_begin(
        &j,
        HF_LITERAL("{\"a\":\"\\u00e9\\ud83d\\ude00\\n\\x41\",\"b\":{\"c\":[1,\"}\"]},\"d\":-1.5}"),
        &scratch);
    assert_true(hf_logs_json_next(&j, &m));
    assert_slice(m.value, "\xC3\xA9\xF0\x9F\x98\x80\nA");
    assert_true(hf_logs_json_next(&j, &m));
    assert_slice(m.value, "{\"c\":[1,\"}\"]}");
    assert_true(hf_logs_json_next(&j, &m));
    assert_slice(m.value, "-1.5");
    assert_false(hf_logs_json_next(&j, &m));
    assert_true(j.ended && !j.failed);
}

static int describe_input(void)
{
    static char line[8192];
    char got[4096];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        struct hf_logs_reader r = new_reader(NULL);
        size_t n = chomp(line);
        describe(&r, hf_slice(line, n), got, sizeof(got));
        printf("< %s\n> %s\n", line, got);
        hf_logs_reader_fini(&r);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_of_the_vectors_is_read_as_it_stands_there),
        cmocka_unit_test(every_line_can_be_cut_at_every_byte),
        cmocka_unit_test(a_line_can_be_wrapped_by_every_wrapper_and_by_two_at_once),
        cmocka_unit_test(a_log_format_string_is_taken_apart_and_read),
        cmocka_unit_test(a_log_format_without_a_status_is_refused),
        cmocka_unit_test(a_forced_format_refuses_the_lines_of_others),
        cmocka_unit_test(a_line_longer_than_the_maximum_is_not_read),
        cmocka_unit_test(the_trace_behind_an_exception_belongs_to_it),
        cmocka_unit_test(a_time_without_a_zone_is_of_the_zone_that_is_told),
        cmocka_unit_test(a_time_without_a_year_lies_in_the_past_year),
        cmocka_unit_test(escapes_of_json_are_written_out),
    };
    if (argc > 1 && strcmp(argv[1], "--describe") == 0) {
        return describe_input();
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
