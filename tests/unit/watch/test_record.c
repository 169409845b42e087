/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of a target, the shapes of an alert, and the history in a file, which a thread
 * (pthread_create) writes. */
#include "watch/record.h"

#include "test_unit.h"
#include "watch/alert.h"
#include "watch/store.h"

#include <jansson.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MINUTE 60000
#define NOW ((hf_wall)30000000 * MINUTE) /* the beginning of a minute */

static struct hf_record_ending ending(hf_wall time, enum hf_judgement judged, uint16_t code)
{
    struct hf_record_ending e = {.time = time,
                                 .judged = judged,
                                 .how = HF_HOW_CLOSE,
                                 .phase = HF_PHASE_OPEN,
                                 .code = code,
                                 .held = HF_SECONDS(24),
                                 .cause = "nginx-proxy-read-60s",
                                 .who = "path",
                                 .sentence = strdup("it ended"),
                                 .advice = strdup("mend it"),
                                 .json = strdup("\"how\":\"close\"")};
    return e;
}

static struct hf_record_incident incident(int64_t id, enum hf_incident_kind kind)
{
    struct hf_record_incident i = {.id = id,
                                   .kind = kind,
                                   .opened = id,
                                   .last_bad = id + 5,
                                   .last_told = id,
                                   .told = true,
                                   .bad = 3,
                                   .cause = "x",
                                   .summary = strdup("wrong"),
                                   .advice = strdup(""),
                                   .evidence = strdup("seen")};
    return i;
}

static void a_stretch_is_split_over_its_minutes(void **state)
{
    struct hf_record r;
    assert_int_equal(hf_record_init(&r), HF_OK);
    hf_record_span(&r, NOW + 50000, NOW + MINUTE * 2 + 10000, true, false);
    hf_record_span(&r, NOW, NOW + 50000, false, false);
    assert_int_equal(hf_record_minute_find(&r, NOW / MINUTE)->up_ms, 10000);
    assert_int_equal(hf_record_minute_find(&r, NOW / MINUTE)->down_ms, 50000);
    assert_int_equal(hf_record_minute_find(&r, NOW / MINUTE + 1)->up_ms, 60000);
    assert_int_equal(hf_record_minute_find(&r, NOW / MINUTE + 2)->up_ms, 10000);
    assert_null(hf_record_minute_find(&r, NOW / MINUTE + 3));
    assert_true(hf_record_share(&r, NOW / MINUTE, NOW / MINUTE + 3) > 0.61);
    assert_true(hf_record_share(&r, NOW / MINUTE + 5, NOW / MINUTE + 9) < 0);
    hf_record_fini(&r);
}

static void a_minute_of_last_week_is_forgotten_when_its_place_is_needed(void **state)
{
    struct hf_record r;
    assert_int_equal(hf_record_init(&r), HF_OK);
    hf_record_span(&r, NOW, NOW + 1000, true, false);
    hf_wall later = NOW + (hf_wall)HF_RECORD_MINUTES * MINUTE;
    assert_non_null(hf_record_minute_find(&r, NOW / MINUTE));
    hf_record_span(&r, later, later + 2000, true, false);
    assert_null(hf_record_minute_find(&r, NOW / MINUTE));
    assert_int_equal(hf_record_minute_find(&r, later / MINUTE)->up_ms, 2000);
    hf_record_span(&r, 0, later + 4000, true, false); /* the clock was set: nothing is made up */
    assert_int_equal(hf_record_minute_find(&r, later / MINUTE)->up_ms, 2000);
    hf_record_fini(&r);
}

static void the_newest_endings_are_kept_and_counted_by_cause_and_code(void **state)
{
    struct hf_record r;
    assert_int_equal(hf_record_init(&r), HF_OK);
    for (int n = 0; n < HF_RECORD_ENDINGS + 5; n++) {
        struct hf_record_ending e = ending(NOW + n, HF_JUDGED_PREMATURE, 1006);
        hf_record_ending_add(&r, &e, true);
        assert_null(e.sentence);
    }
    assert_int_equal(r.ending_count, HF_RECORD_ENDINGS);
    assert_int_equal(hf_record_ending_at(&r, 0)->time, NOW + HF_RECORD_ENDINGS + 4);
    assert_int_equal(hf_record_ending_at(&r, HF_RECORD_ENDINGS - 1)->time, NOW + 5);
    assert_null(hf_record_ending_at(&r, HF_RECORD_ENDINGS));
    assert_int_equal(r.drop_kinds, 1);
    assert_int_equal(r.drops[0].count, HF_RECORD_ENDINGS + 5);
    hf_record_fini(&r);
}

static void a_stranger_that_invents_close_codes_cannot_make_series_without_end(void **state)
{
    struct hf_record r;
    uint64_t sum = 0;
    assert_int_equal(hf_record_init(&r), HF_OK);
    for (uint16_t code = 3000; code < 3500; code++) {
        struct hf_record_ending e = ending(NOW, HF_JUDGED_PREMATURE, code);
        hf_record_ending_add(&r, &e, true);
    }
    assert_int_equal(r.drop_kinds, HF_RECORD_DROP_KINDS);
    for (size_t i = 0; i < r.drop_kinds; i++) {
        sum += r.drops[i].count;
    }
    assert_int_equal(sum, 500);
    assert_string_equal(r.drops[HF_RECORD_DROP_KINDS - 1].cause, "other");
    hf_record_fini(&r);
}

static void an_open_incident_is_not_pushed_out_by_those_that_are_over(void **state)
{
    struct hf_record r;
    assert_int_equal(hf_record_init(&r), HF_OK);
    struct hf_record_incident open = incident(1, HF_INCIDENT_SLOW);
    (void)hf_record_incident_add(&r, &open);
    for (int n = 2; n < HF_RECORD_INCIDENTS + 50; n++) {
        struct hf_record_incident over = incident(n, HF_INCIDENT_DROP);
        hf_record_incident_add(&r, &over)->closed = n + 10;
    }
    assert_int_equal(r.incident_count, HF_RECORD_INCIDENTS);
    assert_int_equal(hf_record_incident_open(&r, HF_INCIDENT_SLOW)->id, 1);
    assert_null(hf_record_incident_open(&r, HF_INCIDENT_DROP));
    hf_record_fini(&r);
}

/* ---- alerts ------------------------------------------------------------------------------ */

static struct hf_alert nasty(enum hf_incident_notice notice)
{
    return (struct hf_alert){.notice = notice,
                             .kind = HF_INCIDENT_DROP,
                             .target = "chat \"<1>\" & co",
                             .url = "wss://chat.example/ws",
                             .time = NOW,
                             .opened = NOW - 5000,
                             .closed = notice == HF_NOTICE_RECOVERY ? NOW : 0,
                             .count = 4,
                             .summary = "closed by <!channel> \\ \x01 after 24 s",
                             .cause = "nginx-proxy-read-60s",
                             .title = "nginx gives up",
                             .advice = "raise it",
                             .evidence = "60 %",
                             .page = ""};
}

static json_t *parsed(void (*shape)(const struct hf_alert *, struct hf_buffer *),
                      const struct hf_alert *a)
{
    struct hf_buffer out;
    json_error_t error;
    hf_buffer_init(&out, &hf_heap, 65536);
    shape(a, &out);
    json_t *json = json_loadb((const char *)out.data, out.len, 0, &error);
    if (json == NULL) {
        fail_msg("%s: %.*s", error.text, HF_SLICE_ARG(hf_buffer_slice(&out)));
    }
    hf_buffer_reset(&out);
    return json;
}

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    assert_non_null(text);
    return text;
}

static void an_alert_is_json_whatever_strangers_wrote(void **state)
{
    struct hf_alert a = nasty(HF_NOTICE_ALERT);
    json_t *json = parsed(hf_alert_json, &a);
    assert_string_equal(text_of(json, "type"), "alert");
    assert_string_equal(text_of(json, "notice"), "alert");
    assert_string_equal(text_of(json, "target"), a.target);
    assert_string_equal(text_of(json, "summary"), a.summary);
    assert_true(json_is_null(json_object_get(json, "closed")));
    json_decref(json);
}

static void slack_gets_no_mention_and_no_link_from_a_stranger(void **state)
{
    struct hf_alert a = nasty(HF_NOTICE_ALERT);
    json_t *json = parsed(hf_alert_slack, &a);
    const char *text = text_of(json, "text");
    assert_null(strchr(text, '<'));
    assert_non_null(strstr(text, "&lt;!channel&gt;"));
    assert_non_null(strstr(text, "&amp; co"));
    assert_int_equal(json_array_size(json_object_get(json, "attachments")), 1);
    json_decref(json);
}

static json_t *managed(const struct hf_alert *a)
{
    struct hf_buffer out;
    hf_buffer_init(&out, &hf_heap, 65536);
    hf_alert_alertmanager(a, NOW + 60000, &out);
    json_t *json = json_loadb((const char *)out.data, out.len, 0, NULL);
    hf_buffer_reset(&out);
    assert_non_null(json);
    return json;
}

static void alertmanager_knows_an_alert_and_its_recovery_by_the_same_labels(void **state)
{
    struct hf_alert first = nasty(HF_NOTICE_ALERT);
    struct hf_alert last = nasty(HF_NOTICE_RECOVERY);
    last.cause = "another";
    last.count = 99;
    json_t *one = managed(&first);
    json_t *two = managed(&last);
    assert_true(json_equal(json_object_get(json_array_get(one, 0), "labels"),
                           json_object_get(json_array_get(two, 0), "labels")));
    assert_string_equal(text_of(json_array_get(one, 0), "startsAt"),
                        text_of(json_array_get(two, 0), "startsAt"));
    assert_true(strcmp(text_of(json_array_get(one, 0), "endsAt"),
                       text_of(json_array_get(two, 0), "endsAt")) > 0);
    json_decref(one);
    json_decref(two);
}

static void the_variables_of_a_command_are_parted_by_nul(void **state)
{
    struct hf_alert a = nasty(HF_NOTICE_ALERT);
    struct hf_buffer out;
    size_t count = 0;
    bool summary = false;
    hf_buffer_init(&out, &hf_heap, 65536);
    hf_alert_environment(&a, &out);
    assert_int_equal(out.data[out.len - 1], 0);
    for (size_t at = 0; at < out.len; at += strlen((char *)out.data + at) + 1, count++) {
        assert_memory_equal(out.data + at, "HOLDFAST_", 9);
        summary =
            summary || strcmp((char *)out.data + at,
                              "HOLDFAST_SUMMARY=closed by <!channel> \\ \x01 after 24 s") == 0;
    }
    assert_true(summary);
    assert_true(count > 10);
    hf_buffer_reset(&out);
}

/* ---- the file ----------------------------------------------------------------------------- */

static char folder[] = "/tmp/hf-test-record-XXXXXX";

static void path_of(char path[128], const char *name)
{
    (void)snprintf(path, 128, "%s/%s", folder, name);
}

static void fill(struct hf_store *s, size_t endings)
{
    struct hf_record_minute m = {.minute = NOW / MINUTE,
                                 .up_ms = 59000,
                                 .down_ms = 1000,
                                 .rtt_us = 5000,
                                 .rtt_count = 2,
                                 .rtt_max_us = 4000,
                                 .drops = 1};
    struct hf_record_incident i = incident(NOW, HF_INCIDENT_DROP);
    hf_store_minute(s, "a", &m);
    hf_store_incident(s, "a", &i);
    hf_record_incident_fini(&i);
    for (size_t n = 0; n < endings; n++) {
        struct hf_record_ending e = ending(NOW + (hf_wall)n, HF_JUDGED_PREMATURE, 1006);
        hf_store_ending(s, "a", &e);
        hf_record_ending_fini(&e);
    }
}

static void what_was_written_is_there_after_a_restart(void **state)
{
    char path[128];
    struct hf_record r;
    path_of(path, "restart.db");
    struct hf_store *s = hf_store_open(path, HF_SECONDS(10LL * 365 * 86400));
    assert_true(hf_store_start(s));
    fill(s, 3);
    hf_store_close(s);

    s = hf_store_open(path, HF_SECONDS(10LL * 365 * 86400));
    assert_int_equal(hf_record_init(&r), HF_OK);
    hf_store_load(s, "b", NOW + 1000, &r);
    assert_int_equal(r.ending_count, 0);
    hf_store_load(s, "a", NOW + 1000, &r);
    assert_int_equal(r.ending_count, 3);
    const struct hf_record_ending *e = hf_record_ending_at(&r, 0);
    assert_int_equal(e->time, NOW + 2);
    assert_int_equal(e->judged, HF_JUDGED_PREMATURE);
    assert_int_equal(e->held, HF_SECONDS(24));
    assert_string_equal(e->cause, "nginx-proxy-read-60s");
    assert_string_equal(e->json, "\"how\":\"close\"");
    assert_int_equal(hf_record_minute_find(&r, NOW / MINUTE)->up_ms, 59000);
    assert_int_equal(hf_record_minute_find(&r, NOW / MINUTE)->rtt_max_us, 4000);
    assert_int_equal(r.drop_kinds, 0); /* counters begin again with the process */
    const struct hf_record_incident *i = hf_record_incident_open(&r, HF_INCIDENT_DROP);
    assert_non_null(i);
    assert_int_equal(i->last_bad, NOW + 5);
    assert_true(i->told);
    hf_record_fini(&r);
    hf_store_close(s);
}

/* Turns until the store says so; the thread works meanwhile. */
static bool comes_to(struct hf_store *s, bool works, struct hf_store_state *state)
{
    for (int n = 0; n < 3000; n++) {
        hf_store_look(s, state);
        if (state->works == works && (!works || state->waiting == 0)) {
            return true;
        }
        (void)usleep(5000);
    }
    return false;
}

static void a_locked_file_is_said_and_what_waits_is_written_when_it_is_free(void **unused)
{
    char path[128];
    struct hf_store_state state;
    sqlite3 *other = NULL;
    path_of(path, "locked.db");
    struct hf_store *s = hf_store_open(path, HF_SECONDS(86400));
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_true(hf_store_start(s));
    fill(s, 1);
    assert_true(comes_to(s, false, &state));
    assert_non_null(strstr(state.message, "locked by another process"));
    assert_int_equal(state.waiting, 3);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_true(comes_to(s, true, &state));
    assert_int_equal(state.written, 3);
    assert_int_equal(state.lost, 0);
    sqlite3_close(other);
    hf_store_close(s);
}

static void a_file_that_is_no_database_is_said_and_left_alone(void **unused)
{
    char path[128];
    char first[8] = "";
    struct hf_store_state state;
    path_of(path, "text.db");
    FILE *file = fopen(path, "w");
    for (int n = 0; n < 100; n++) {
        fputs("this is a text of somebody's, and no database\n", file);
    }
    fclose(file);
    struct hf_store *s = hf_store_open(path, HF_SECONDS(86400));
    hf_store_look(s, &state);
    assert_false(state.works);
    assert_non_null(strstr(state.message, "no SQLite database"));
    assert_true(hf_store_start(s));
    fill(s, 1);
    hf_store_close(s);
    file = fopen(path, "r");
    assert_int_equal(fread(first, 1, 7, file), 7);
    fclose(file);
    assert_string_equal(first, "this is");
}

static void a_folder_that_is_not_there_is_said(void **unused)
{
    struct hf_store_state state;
    struct hf_store *s = hf_store_open("/nonexistent/watch.db", HF_SECONDS(86400));
    hf_store_look(s, &state);
    assert_false(state.works);
    assert_non_null(strstr(state.message, "cannot be opened or written"));
    hf_store_close(s);
}

static int64_t count_of(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *q = NULL;
    int64_t count = -1;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW) {
        count = sqlite3_column_int64(q, 0);
    }
    sqlite3_finalize(q);
    sqlite3_close(db);
    return count;
}

static void what_is_older_than_the_retention_goes_but_not_an_open_incident(void **unused)
{
    char path[128];
    hf_wall now = (hf_wall)time(NULL) * 1000;
    path_of(path, "old.db");
    struct hf_store *s = hf_store_open(path, HF_SECONDS(30LL * 86400));
    assert_true(hf_store_start(s));
    for (int days = 0; days < 4; days++) {
        hf_wall then = now - (hf_wall)days * 86400000;
        struct hf_record_ending e = ending(then, HF_JUDGED_OLD, 1000);
        struct hf_record_incident open = incident(then, HF_INCIDENT_SLOW);
        struct hf_record_incident over = incident(then, HF_INCIDENT_DROP);
        const struct hf_record_minute m = {.minute = then / MINUTE, .up_ms = 1};
        over.closed = then;
        hf_store_ending(s, "a", &e);
        hf_store_incident(s, "a", &open);
        hf_store_incident(s, "a", &over);
        hf_store_minute(s, "a", &m);
        hf_record_ending_fini(&e);
        hf_record_incident_fini(&open);
        hf_record_incident_fini(&over);
    }
    hf_store_close(s);
    assert_int_equal(count_of(path, "SELECT count(*) FROM endings"), 4);
    s = hf_store_open(path, HF_SECONDS(36 * 3600)); /* a day and a half */
    assert_true(hf_store_start(s));
    for (int n = 0; n < 3000 && count_of(path, "SELECT count(*) FROM incidents") != 6; n++) {
        (void)usleep(5000);
    }
    hf_store_close(s);
    assert_int_equal(count_of(path, "SELECT count(*) FROM endings"), 2);
    assert_int_equal(count_of(path, "SELECT count(*) FROM minutes"), 2);
    assert_int_equal(count_of(path, "SELECT count(*) FROM incidents WHERE closed=0"), 4);
    assert_int_equal(count_of(path, "SELECT count(*) FROM incidents WHERE closed>0"), 2);
}

static void a_row_whose_record_is_damaged_is_left_out(void **unused)
{
    char path[128];
    struct hf_record r;
    sqlite3 *db = NULL;
    path_of(path, "damaged.db");
    struct hf_store *s = hf_store_open(path, HF_SECONDS(10LL * 365 * 86400));
    assert_true(hf_store_start(s));
    fill(s, 3);
    hf_store_close(s);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "UPDATE endings SET record='\"how\":' WHERE id=2", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    s = hf_store_open(path, HF_SECONDS(10LL * 365 * 86400));
    assert_int_equal(hf_record_init(&r), HF_OK);
    hf_store_load(s, "a", NOW + 1000, &r);
    assert_int_equal(r.ending_count, 2);
    assert_int_equal(hf_record_ending_at(&r, 1)->time, NOW);
    hf_record_fini(&r);
    hf_store_close(s);
}

static void a_file_of_a_newer_holdfast_is_left_alone(void **unused)
{
    char path[128];
    sqlite3 *db = NULL;
    struct hf_store_state state;
    path_of(path, "newer.db");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "PRAGMA user_version=99; CREATE TABLE other(x)", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    struct hf_store *s = hf_store_open(path, HF_SECONDS(86400));
    hf_store_look(s, &state);
    assert_false(state.works);
    assert_non_null(strstr(state.message, "newer holdfast"));
    hf_store_close(s);
    assert_int_equal(count_of(path, "SELECT count(*) FROM sqlite_master"), 1);
    assert_int_equal(count_of(path, "PRAGMA user_version"), 99);
}

static void rows_that_cannot_be_written_are_bounded(void **unused)
{
    struct hf_store_state state;
    struct hf_store *s = hf_store_open("/nonexistent/watch.db", HF_SECONDS(86400));
    fill(s, HF_STORE_WAITING_MAX + 100);
    hf_store_look(s, &state);
    assert_int_equal(state.waiting, HF_STORE_WAITING_MAX);
    assert_int_equal(state.lost, 102);
    hf_store_close(s);
}

static int make_folder(void **state)
{
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    char command[160];
    (void)snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stretch_is_split_over_its_minutes),
        cmocka_unit_test(a_minute_of_last_week_is_forgotten_when_its_place_is_needed),
        cmocka_unit_test(the_newest_endings_are_kept_and_counted_by_cause_and_code),
        cmocka_unit_test(a_stranger_that_invents_close_codes_cannot_make_series_without_end),
        cmocka_unit_test(an_open_incident_is_not_pushed_out_by_those_that_are_over),
        cmocka_unit_test(an_alert_is_json_whatever_strangers_wrote),
        cmocka_unit_test(slack_gets_no_mention_and_no_link_from_a_stranger),
        cmocka_unit_test(alertmanager_knows_an_alert_and_its_recovery_by_the_same_labels),
        cmocka_unit_test(the_variables_of_a_command_are_parted_by_nul),
        cmocka_unit_test(what_was_written_is_there_after_a_restart),
        cmocka_unit_test(a_locked_file_is_said_and_what_waits_is_written_when_it_is_free),
        cmocka_unit_test(a_file_that_is_no_database_is_said_and_left_alone),
        cmocka_unit_test(a_folder_that_is_not_there_is_said),
        cmocka_unit_test(what_is_older_than_the_retention_goes_but_not_an_open_incident),
        cmocka_unit_test(a_row_whose_record_is_damaged_is_left_out),
        cmocka_unit_test(a_file_of_a_newer_holdfast_is_left_alone),
        cmocka_unit_test(rows_that_cannot_be_written_are_bounded),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
