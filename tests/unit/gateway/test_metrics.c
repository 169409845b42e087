/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics: the format of Prometheus by its own rules, and the numbers behind it. */
#include "admin_stage.h"

#include "gateway/admin.h"
#include "io/tls.h"

#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char *const one_route = "listen: 127.0.0.1:8800\nupstream: http://127.0.0.1:8000\n";

/* A certificate is nothing but its expiry here. */
int64_t hf_tls_expires(const struct hf_tls *tls)
{
    return *(const int64_t *)(const void *)tls;
}

static void print(struct stage *s, struct hf_buffer *out)
{
    hf_buffer_init(out, &hf_heap, 1 << 20);
    assert_int_equal(hf_metrics_print(&s->gateway, out), HF_OK);
}

/* The line "series value" is there, whole. */
static bool has_line(const struct hf_buffer *out, const char *line)
{
    struct hf_slice rest = hf_buffer_slice(out);
    struct hf_slice piece;
    while (hf_slice_next(&rest, '\n', &piece)) {
        if (hf_slice_eq(piece, hf_slice_of(line))) {
            return true;
        }
    }
    return false;
}

#define assert_line(out, line)                                                                     \
    do {                                                                                           \
        if (!has_line(out, line)) {                                                                \
            print_error("no line %s in\n%.*s", line, HF_SLICE_ARG(hf_buffer_slice(out)));          \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

static bool has_text(const struct hf_buffer *out, const char *text)
{
    struct hf_slice all = hf_buffer_slice(out);
    return hf_slice_search(all, hf_slice_of(text)) < all.len;
}

/* ---- a checker of the text format 0.0.4 ----------------------------------------------- */

#define FAMILIES 200
#define SERIES 2000

struct check {
    struct hf_slice families[FAMILIES]; /* in their order */
    size_t family_count;
    bool typed; /* TYPE of the last one came */
    bool counter;
    struct hf_slice series[SERIES];
    size_t series_count;
};

static bool is_name_byte(uint8_t b, bool first)
{
    return (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || b == '_' ||
           (!first && b >= '0' && b <= '9');
}

/* Takes a name off the line; empty when there is none. */
static struct hf_slice take_name(struct hf_slice *line)
{
    size_t len = 0;
    while (len < line->len && is_name_byte(line->ptr[len], len == 0)) {
        len++;
    }
    struct hf_slice name = hf_slice_first(*line, len);
    *line = hf_slice_from(*line, len);
    return name;
}

static bool take(struct hf_slice *line, const char *text)
{
    struct hf_slice s = hf_slice_of(text);
    if (!hf_slice_starts(*line, s)) {
        return false;
    }
    *line = hf_slice_from(*line, s.len);
    return true;
}

/* A quoted value in which only \\, \" and \n are escapes. */
static bool take_value(struct hf_slice *line)
{
    if (!take(line, "\"")) {
        return false;
    }
    for (size_t i = 0; i < line->len; i++) {
        if (line->ptr[i] == '"') {
            *line = hf_slice_from(*line, i + 1);
            return true;
        }
        if (line->ptr[i] == '\\') {
            i++;
            if (i >= line->len || strchr("\\\"n", line->ptr[i]) == NULL) {
                return false;
            }
        }
    }
    return false;
}

static bool check_help(struct check *c, struct hf_slice line)
{
    struct hf_slice name = take_name(&line);
    for (size_t i = 0; i < c->family_count; i++) {
        if (hf_slice_eq(c->families[i], name)) {
            return false; /* a family stands in one place */
        }
    }
    assert_true(c->family_count < FAMILIES);
    c->families[c->family_count++] = name;
    c->typed = false;
    return name.len > 0 && take(&line, " ") && line.len > 0;
}

static bool check_type(struct check *c, struct hf_slice line)
{
    struct hf_slice name = take_name(&line);
    if (c->family_count == 0 || c->typed || !hf_slice_eq(c->families[c->family_count - 1], name)) {
        return false;
    }
    c->typed = true;
    c->counter = hf_slice_eq(line, HF_LITERAL(" counter"));
    /* By convention counters, and only they, end in _total. */
    return (c->counter || hf_slice_eq(line, HF_LITERAL(" gauge"))) &&
           c->counter == hf_slice_ends(name, HF_LITERAL("_total"));
}

static bool check_number(struct hf_slice text)
{
    char copy[64];
    char *end;
    if (text.len == 0 || text.len >= sizeof(copy) || text.ptr[0] == ' ') {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    (void)strtod(copy, &end);
    return *end == '\0';
}

static bool check_sample(struct check *c, struct hf_slice line)
{
    struct hf_slice whole = line;
    struct hf_slice name = take_name(&line);
    if (!c->typed || !hf_slice_eq(name, c->families[c->family_count - 1])) {
        return false;
    }
    if (take(&line, "{")) {
        do {
            if (take_name(&line).len == 0 || !take(&line, "=") || !take_value(&line)) {
                return false;
            }
        } while (take(&line, ","));
        if (!take(&line, "}")) {
            return false;
        }
    }
    struct hf_slice series = hf_slice_first(whole, whole.len - line.len);
    for (size_t i = 0; i < c->series_count; i++) {
        if (hf_slice_eq(c->series[i], series)) {
            return false; /* a series is told once */
        }
    }
    assert_true(c->series_count < SERIES);
    c->series[c->series_count++] = series;
    return take(&line, " ") && check_number(line);
}

static bool check_text(struct hf_slice text)
{
    static struct check c;
    struct hf_slice line;
    memset(&c, 0, sizeof(c));
    if (!hf_slice_ends(text, HF_LITERAL("\n"))) {
        return false;
    }
    while (hf_slice_next(&text, '\n', &line)) {
        bool good = take(&line, "# HELP ")   ? check_help(&c, line)
                    : take(&line, "# TYPE ") ? check_type(&c, line)
                                             : check_sample(&c, line);
        if (!good) {
            print_error("bad line: %.*s\n", HF_SLICE_ARG(line));
            return false;
        }
    }
    return c.series_count > 0;
}

static void the_checker_itself_refuses_what_prometheus_would(void **state)
{
    static const char *const bad[] = {
        "# HELP a_total x\n# TYPE a_total counter\na_total 1",
        "# HELP a x\na 1\n",
        "# HELP a x\n# TYPE b gauge\nb 1\n",
        "# HELP a x\n# TYPE a counter\na 1\n",
        "# HELP a x\n# TYPE a gauge\na{b=\"c} 1\n",
        "# HELP a x\n# TYPE a gauge\na{b=\"\\x\"} 1\n",
        "# HELP a x\n# TYPE a gauge\na 1\na 2\n",
        "# HELP a x\n# TYPE a gauge\na one\n",
        "# HELP a x\n# TYPE a gauge\na 1\n\n",
        "# HELP a x\n# TYPE a gauge\na 1\n# HELP b x\n# TYPE b gauge\nb 1\na{c=\"d\"} 1\n",
    };
    assert_true(
        check_text(hf_slice_of("# HELP a x\n# TYPE a gauge\na{b=\"\\\\\\\"\\n\",c=\"\"} -1.5\n")));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(check_text(hf_slice_of(bad[i])));
    }
}

/* ---- tests ---------------------------------------------------------------------------- */

static void a_gateway_that_did_nothing_prints_valid_text_with_every_cause_at_zero(void **state)
{
    struct stage s;
    struct hf_buffer out;
    char line[200];
    stage_open(&s, one_route);
    print(&s, &out);
    assert_true(check_text(hf_buffer_slice(&out)));
    for (unsigned c = 1; c < hf_cause_count(); c++) {
        (void)snprintf(line, sizeof(line), "holdfast_endings_total{cause=\"%s\",who=\"%s\"} 0",
                       hf_cause_id((enum hf_cause)c), hf_cause_who((enum hf_cause)c));
        assert_line(&out, line);
    }
    assert_line(&out, "holdfast_build_info{version=\"" HF_VERSION "\"} 1");
    assert_line(&out, "holdfast_workers 2");
    assert_line(&out, "holdfast_draining 0");
    assert_line(&out, "holdfast_connections_open{route=\"/\"} 0");
    assert_line(&out, "holdfast_upstream_active{route=\"/\",upstream=\"http://127.0.0.1:8000\"} 0");
    assert_line(&out, "holdfast_upstream_up{route=\"/\",upstream=\"http://127.0.0.1:8000\"} 1");
    assert_false(has_text(&out, "holdfast_route_endings_total{"));
    assert_false(has_text(&out, "holdfast_certificate_expiry_seconds"));
    hf_buffer_reset(&out);
    stage_close(&s);
}

static void the_counters_of_all_workers_are_summed(void **state)
{
    struct stage s;
    struct hf_buffer out;
    stage_open(&s, one_route);
    hf_count(&s.workers[0], HF_COUNT_connections_accepted, 3);
    hf_count(&s.workers[1], HF_COUNT_connections_accepted, 4);
    hf_count(&s.workers[1], HF_COUNT_bytes_client, 5000000000U);
    s.workers[0].opening_count = 2;
    s.workers[1].opening_count = 1;
    s.workers[1].open_now = 9;
    print(&s, &out);
    assert_true(check_text(hf_buffer_slice(&out)));
    assert_line(&out, "holdfast_connections_accepted_total 7");
    assert_line(&out, "holdfast_client_bytes_total 5000000000");
    assert_line(&out, "holdfast_handshakes_in_progress 3");
    assert_line(&out, "holdfast_worker_connections_open{worker=\"0\"} 0");
    assert_line(&out, "holdfast_worker_connections_open{worker=\"1\"} 9");
    hf_buffer_reset(&out);
    stage_close(&s);
}

static void each_row_of_the_table_of_counters_is_a_family(void **state)
{
    struct stage s;
    struct hf_buffer out;
    static const char *const helps[] = {
#define HELP(name, help) help,
        HF_COUNTERS(HELP)
#undef HELP
    };
    stage_open(&s, one_route);
    print(&s, &out);
    for (size_t i = 0; i < HF_COUNTER_COUNT; i++) {
        char line[200];
        (void)snprintf(line, sizeof(line), "_total %s\n# TYPE", helps[i]);
        if (!has_text(&out, line)) {
            print_error("%s\n", helps[i]);
            fail();
        }
    }
    hf_buffer_reset(&out);
    stage_close(&s);
}

static void the_state_of_the_gateway_is_told(void **state)
{
    struct stage s;
    struct hf_buffer out;
    stage_open(&s, one_route);
    s.gateway.draining = true;
    s.gateway.reloads = 3;
    s.gateway.reload_failures = 2;
    s.gateway.started = 1700000000042;
    hf_count_ending(&s.gateway, HF_CAUSE_CLIENT_FIN);
    hf_count_ending(&s.gateway, HF_CAUSE_CLIENT_FIN);
    print(&s, &out);
    assert_true(check_text(hf_buffer_slice(&out)));
    assert_line(&out, "holdfast_draining 1");
    assert_line(&out, "holdfast_config_reloads_total 3");
    assert_line(&out, "holdfast_config_reload_failures_total 2");
    assert_line(&out, "holdfast_start_time_seconds 1700000000.042");
    assert_line(&out, "holdfast_endings_total{cause=\"client_fin\",who=\"client\"} 2");
    hf_buffer_reset(&out);
    stage_close(&s);
}

static void what_is_open_and_ended_is_told_by_route_and_an_upstream_named_twice_is_one(void **state)
{
    struct stage s;
    struct hf_buffer out;
    stage_open(&s,
               "listen: 127.0.0.1:8800\nroutes:\n"
               "- {path: /a/b, name: chat, upstream: ['http://127.0.0.1:1', 'http://127.0.0.1:2', "
               "'http://127.0.0.1:1']}\n"
               "- {path: /c, name: other, upstream: 'http://127.0.0.1:1'}\n");
    s.routes[0].state->open = 21;
    s.routes[1].state->open = 12;
    s.routes[0].state->endings[HF_CAUSE_DRAIN] = 2;
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < s.routes[i].backend_count; j++) {
            s.backends[i][j].state->active = 1 + (uint32_t)j;
        }
    }
    s.backends[0][0].state->down_until = HF_NEVER;
    print(&s, &out);
    assert_true(check_text(hf_buffer_slice(&out)));
    assert_line(&out, "holdfast_connections_open{route=\"chat\"} 21");
    assert_line(&out, "holdfast_connections_open{route=\"other\"} 12");
    assert_line(&out, "holdfast_route_endings_total{route=\"chat\",cause=\"drain\"} 2");
    assert_false(has_text(&out, "holdfast_route_endings_total{route=\"other\""));
    assert_line(&out, "holdfast_upstream_active{route=\"chat\",upstream=\"http://127.0.0.1:1\"} 4");
    assert_line(&out, "holdfast_upstream_active{route=\"chat\",upstream=\"http://127.0.0.1:2\"} 2");
    assert_line(&out,
                "holdfast_upstream_active{route=\"other\",upstream=\"http://127.0.0.1:1\"} 1");
    assert_line(&out, "holdfast_upstream_up{route=\"chat\",upstream=\"http://127.0.0.1:1\"} 1");
    hf_buffer_reset(&out);
    stage_close(&s);
}

static void an_upstream_is_down_only_while_its_time_out_lasts(void **state)
{
    struct stage s;
    struct hf_buffer out;
    struct timespec t;
    stage_open(&s,
               "listen: 127.0.0.1:8800\nupstream: ['http://127.0.0.1:1', 'http://127.0.0.1:2']\n");
    clock_gettime(CLOCK_MONOTONIC, &t);
    s.backends[0][0].state->down_until = HF_SECONDS(t.tv_sec + 1000);
    s.backends[0][1].state->down_until = HF_SECONDS(t.tv_sec) - 1;
    print(&s, &out);
    assert_line(&out, "holdfast_upstream_up{route=\"/\",upstream=\"http://127.0.0.1:1\"} 0");
    assert_line(&out, "holdfast_upstream_up{route=\"/\",upstream=\"http://127.0.0.1:2\"} 1");
    hf_buffer_reset(&out);
    stage_close(&s);
}

static void label_values_are_escaped(void **state)
{
    struct stage s;
    struct hf_buffer out;
    char odd[] = "a\"b\\c\nd";
    stage_open(&s, one_route);
    s.runtime.config->routes[0].name = odd;
    print(&s, &out);
    assert_true(check_text(hf_buffer_slice(&out)));
    assert_line(&out, "holdfast_connections_open{route=\"a\\\"b\\\\c\\nd\"} 0");
    hf_buffer_reset(&out);
    stage_close(&s);
}

static void each_tls_listener_tells_when_its_certificate_expires(void **state)
{
    struct stage s;
    struct hf_buffer out;
    int64_t expires[] = {1800000000000, 1700000000500, 1600000000000};
    stage_open(&s, "listen: ['127.0.0.1:8800', '127.0.0.1:8801', '127.0.0.1:0', '127.0.0.1:0']\n"
                   "upstream: http://127.0.0.1:8000\n");
    for (size_t i = 0; i < 3; i++) {
        s.listener_tls[i + 1] = (struct hf_tls *)(void *)&expires[i];
    }
    print(&s, &out);
    assert_true(check_text(hf_buffer_slice(&out)));
    assert_false(has_text(&out, "127.0.0.1:8800\"}"));
    assert_line(&out,
                "holdfast_certificate_expiry_seconds{listener=\"127.0.0.1:8801\"} 1800000000.000");
    assert_line(&out,
                "holdfast_certificate_expiry_seconds{listener=\"127.0.0.1:0\"} 1600000000.000");
    hf_buffer_reset(&out);
    stage_close(&s);
}

static double value_of(const struct hf_buffer *out, const char *name)
{
    char head[80];
    int len = snprintf(head, sizeof(head), "\n%s ", name);
    struct hf_slice all = hf_buffer_slice(out);
    size_t at = hf_slice_search(all, hf_slice(head, (size_t)len));
    assert_true(at < all.len);
    return strtod((const char *)all.ptr + at + len, NULL);
}

static void the_process_tells_its_descriptors_memory_and_time(void **state)
{
    struct stage s;
    struct hf_buffer out;
    struct rlimit limit;
    int pair[2];
    stage_open(&s, one_route);
    print(&s, &out);
    double before = value_of(&out, "process_open_fds");
    assert_true(value_of(&out, "process_resident_memory_bytes") > 100000);
    assert_true(value_of(&out, "process_cpu_seconds_total") >= 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(value_of(&out, "process_max_fds") == (double)limit.rlim_cur);
    hf_buffer_reset(&out);
    assert_int_equal(pipe(pair), 0);
    print(&s, &out);
    assert_true(value_of(&out, "process_open_fds") == before + 2);
    close(pair[0]);
    close(pair[1]);
    hf_buffer_reset(&out);
    stage_close(&s);
}

static void text_that_does_not_fit_is_said_to_be_missing(void **state)
{
    struct stage s;
    struct hf_buffer out;
    stage_open(&s, one_route);
    hf_buffer_init(&out, &hf_heap, 1000);
    assert_int_equal(hf_metrics_print(&s.gateway, &out), HF_NO_MEMORY);
    hf_buffer_reset(&out);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checker_itself_refuses_what_prometheus_would),
        cmocka_unit_test(a_gateway_that_did_nothing_prints_valid_text_with_every_cause_at_zero),
        cmocka_unit_test(the_counters_of_all_workers_are_summed),
        cmocka_unit_test(each_row_of_the_table_of_counters_is_a_family),
        cmocka_unit_test(the_state_of_the_gateway_is_told),
        cmocka_unit_test(
            what_is_open_and_ended_is_told_by_route_and_an_upstream_named_twice_is_one),
        cmocka_unit_test(an_upstream_is_down_only_while_its_time_out_lasts),
        cmocka_unit_test(label_values_are_escaped),
        cmocka_unit_test(each_tls_listener_tells_when_its_certificate_expires),
        cmocka_unit_test(the_process_tells_its_descriptors_memory_and_time),
        cmocka_unit_test(text_that_does_not_fit_is_said_to_be_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
