/* SPDX-License-Identifier: Apache-2.0 */
/* The history in SQLite: see store.h. Rows wait in a list; the thread takes some of them, writes
 * them in one transaction, and puts them back when that fails. */
#include "watch/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define VERSION 1
#define BATCH 500
#define BUSY_MS 2000
#define RETRY_MIN_S 1
#define RETRY_MAX_S 60
#define CLEAN_S 3600
#define CLOSE_S 3

enum kind { ROW_MINUTE, ROW_ENDING, ROW_INCIDENT, ROW_KINDS };

struct row {
    struct row *next;
    enum kind kind;
    char *target;
    struct hf_record_minute minute;
    struct hf_record_ending ending;
    struct hf_record_incident incident;
};

struct hf_store {
    char *path;
    hf_time retention;
    sqlite3 *db; /* the thread's, once it was started; NULL: not open */
    sqlite3_stmt *insert[ROW_KINDS];
    pthread_t thread;
    bool started;
    /* under the lock */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct row *first;
    struct row *last;
    bool stop;
    struct hf_store_state state;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS minutes(target TEXT NOT NULL, minute INTEGER NOT NULL,"
    " up_ms INTEGER, down_ms INTEGER, rtt_us INTEGER, rtt_count INTEGER, rtt_max_us INTEGER,"
    " drops INTEGER, endings INTEGER, fails INTEGER, quiet INTEGER,"
    " PRIMARY KEY(target, minute)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS endings(id INTEGER PRIMARY KEY, target TEXT NOT NULL,"
    " time INTEGER NOT NULL, judged TEXT, is_check INTEGER, how TEXT, how_number INTEGER,"
    " phase INTEGER, code INTEGER, http INTEGER, held_ms REAL, cause TEXT, who TEXT,"
    " sentence TEXT, advice TEXT, record TEXT);"
    "CREATE INDEX IF NOT EXISTS endings_of ON endings(target, time);"
    "CREATE TABLE IF NOT EXISTS incidents(target TEXT NOT NULL, kind TEXT NOT NULL,"
    " id INTEGER NOT NULL, opened INTEGER, last_bad INTEGER, last_told INTEGER, closed INTEGER,"
    " told INTEGER, bad INTEGER, cause TEXT, summary TEXT, advice TEXT, evidence TEXT,"
    " PRIMARY KEY(target, kind, id)) WITHOUT ROWID;";

#define INSERT_ENDING                                                                              \
    "INSERT INTO "                                                                                 \
    "endings(target,time,judged,is_check,how,how_number,phase,code,http,held_ms,cause,"            \
    "who,sentence,advice,record) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
static const char *const inserts[ROW_KINDS] = {
    [ROW_MINUTE] = "INSERT OR REPLACE INTO minutes VALUES(?,?,?,?,?,?,?,?,?,?,?)",
    [ROW_ENDING] = INSERT_ENDING,
    [ROW_INCIDENT] = "INSERT OR REPLACE INTO incidents VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
};

/* ---- the file ---------------------------------------------------------------------------- */

static void close_file(struct hf_store *s)
{
    for (size_t k = 0; k < ROW_KINDS; k++) {
        sqlite3_finalize(s->insert[k]);
        s->insert[k] = NULL;
    }
    sqlite3_close(s->db);
    s->db = NULL;
}

static int run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int64_t number_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *q = NULL;
    int64_t value = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW) {
        value = sqlite3_column_int64(q, 0);
    }
    sqlite3_finalize(q);
    return value;
}

/* What a person can do about it. */
static void explain(struct hf_store *s, int code, char message[256])
{
    const char *path = s->path;
    const char *detail = s->db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(s->db);
    switch (code & 0xff) {
    case SQLITE_FULL:
        (void)snprintf(message, 256, "the disk is full: %.120s cannot grow; make room", path);
        break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        (void)snprintf(message, 256, "%.120s is locked by another process; end that one", path);
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        (void)snprintf(message, 256,
                       "%.120s is damaged, or no SQLite database (%.60s); move it "
                       "away, and a new one is made",
                       path, detail);
        break;
    case SQLITE_SCHEMA:
        (void)snprintf(message, 256, "%.120s was written by a newer holdfast; name another file",
                       path);
        break;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
        (void)snprintf(message, 256,
                       "%.120s cannot be opened or written (%.60s); see to its "
                       "folder and permissions",
                       path, detail);
        break;
    default:
        (void)snprintf(message, 256, "%.120s: %.100s", path, detail);
        break;
    }
}

/* SQLITE_OK, and the file is open with all statements. */
static int open_file(struct hf_store *s)
{
    int code = sqlite3_open_v2(
        s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_busy_timeout(s->db, BUSY_MS);
        code = run(s->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;");
    }
    if (code == SQLITE_OK && number_of(s->db, "PRAGMA user_version") > VERSION) {
        code = SQLITE_SCHEMA;
    }
    if (code == SQLITE_OK) {
        code = run(s->db, schema);
    }
    if (code == SQLITE_OK) {
        code = run(s->db, "PRAGMA user_version=1");
    }
    for (size_t k = 0; k < ROW_KINDS && code == SQLITE_OK; k++) {
        code = sqlite3_prepare_v2(s->db, inserts[k], -1, &s->insert[k], NULL);
    }
    return code;
}

/* ---- reading it, at the start -------------------------------------------------------------- */

static void load_minutes(struct hf_store *s, sqlite3_stmt *q, struct hf_record *r)
{
    while (sqlite3_step(q) == SQLITE_ROW) {
        int64_t minute = sqlite3_column_int64(q, 0);
        struct hf_record_minute *m = hf_record_minute_at(r, minute * 60000);
        *m = (struct hf_record_minute){
            .minute = minute,
            .up_ms = (uint32_t)sqlite3_column_int64(q, 1),
            .down_ms = (uint32_t)sqlite3_column_int64(q, 2),
            .rtt_us = (uint64_t)sqlite3_column_int64(q, 3),
            .rtt_count = (uint32_t)sqlite3_column_int64(q, 4),
            .rtt_max_us = (uint32_t)sqlite3_column_int64(q, 5),
            .drops = (uint16_t)sqlite3_column_int(q, 6),
            .endings = (uint16_t)sqlite3_column_int(q, 7),
            .fails = (uint16_t)sqlite3_column_int(q, 8),
            .quiet = sqlite3_column_int(q, 9) != 0,
        };
    }
}

static char *column(sqlite3_stmt *q, int i)
{
    const char *text = (const char *)sqlite3_column_text(q, i);
    return strdup(text == NULL ? "" : text);
}

/* Damage that SQLite does not see must not become a time that nothing can be reckoned with. */
static bool is_time(hf_wall time)
{
    return time >= 0 && time < 253402300800000; /* the year 10000 */
}

static hf_time held_of(double ms)
{
    return ms >= 0 && ms < 253402300800000.0 ? (hf_time)(ms * 1000) : -HF_SECONDS(1);
}

static void load_endings(struct hf_store *s, sqlite3_stmt *q, struct hf_record *r)
{
    while (sqlite3_step(q) == SQLITE_ROW) {
        struct hf_record_ending e = {
            .time = sqlite3_column_int64(q, 0),
            .judged = hf_judgement_from(hf_slice_of((const char *)sqlite3_column_text(q, 1))),
            .is_check = sqlite3_column_int(q, 2) != 0,
            .how = (uint8_t)sqlite3_column_int(q, 3),
            .phase = (uint8_t)sqlite3_column_int(q, 4),
            .code = (uint16_t)sqlite3_column_int(q, 5),
            .http = (uint16_t)sqlite3_column_int(q, 6),
            .held = held_of(sqlite3_column_double(q, 7)),
            .sentence = column(q, 10),
            .advice = column(q, 11),
            .json = column(q, 12),
        };
        const char *cause = (const char *)sqlite3_column_text(q, 8);
        const char *who = (const char *)sqlite3_column_text(q, 9);
        (void)snprintf(e.cause, sizeof(e.cause), "%s", cause == NULL ? "" : cause);
        (void)snprintf(e.who, sizeof(e.who), "%s", who == NULL ? "" : who);
        if (!is_time(e.time) || !is_time(e.held / 1000) || e.judged == HF_JUDGEMENTS ||
            e.how >= HF_HOW_KINDS || e.phase > HF_PHASE_OPEN || e.sentence == NULL ||
            e.advice == NULL || e.json == NULL) {
            hf_record_ending_fini(&e); /* a row that was not written by this program */
        } else {
            hf_record_ending_add(r, &e, false);
        }
    }
}

static void load_incidents(struct hf_store *s, sqlite3_stmt *q, struct hf_record *r)
{
    while (sqlite3_step(q) == SQLITE_ROW) {
        struct hf_record_incident i = {
            .kind = hf_incident_kind_from(hf_slice_of((const char *)sqlite3_column_text(q, 0))),
            .id = sqlite3_column_int64(q, 1),
            .opened = sqlite3_column_int64(q, 2),
            .last_bad = sqlite3_column_int64(q, 3),
            .last_told = sqlite3_column_int64(q, 4),
            .closed = sqlite3_column_int64(q, 5),
            .told = sqlite3_column_int(q, 6) != 0,
            .bad = (uint64_t)sqlite3_column_int64(q, 7),
            .summary = column(q, 9),
            .advice = column(q, 10),
            .evidence = column(q, 11),
        };
        const char *cause = (const char *)sqlite3_column_text(q, 8);
        (void)snprintf(i.cause, sizeof(i.cause), "%s", cause == NULL ? "" : cause);
        const bool timely = is_time(i.id) && is_time(i.opened) && is_time(i.last_bad) &&
                            is_time(i.last_told) && is_time(i.closed);
        if (!timely || i.kind == HF_INCIDENT_KINDS || i.summary == NULL || i.advice == NULL ||
            i.evidence == NULL) {
            hf_record_incident_fini(&i);
        } else {
            (void)hf_record_incident_add(r, &i);
        }
    }
}

static void load(struct hf_store *s, const char *sql, const char *target, int64_t from,
                 int64_t most, struct hf_record *r,
                 void (*take)(struct hf_store *, sqlite3_stmt *, struct hf_record *))
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) == SQLITE_OK) {
        (void)sqlite3_bind_text(q, 1, target, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int64(q, 2, from);
        (void)sqlite3_bind_int64(q, 3, most);
        take(s, q, r);
    }
    sqlite3_finalize(q);
}

void hf_store_load(struct hf_store *s, const char *target, hf_wall now, struct hf_record *r)
{
    if (s->db == NULL || s->started) {
        return;
    }
    load(s,
         "SELECT minute,up_ms,down_ms,rtt_us,rtt_count,rtt_max_us,drops,endings,fails,quiet FROM "
         "minutes WHERE target=? AND minute>? AND minute<=? ORDER BY minute",
         target, now / 60000 - HF_RECORD_MINUTES, now / 60000, r, load_minutes);
    load(s,
         "SELECT * FROM (SELECT time,judged,is_check,how_number,phase,code,http,held_ms,cause,who,"
         "sentence,advice,record,id FROM endings WHERE target=? AND time>=? AND "
         "json_valid('{' || record || '}') ORDER BY id DESC LIMIT ?) ORDER BY id",
         target, 0, HF_RECORD_ENDINGS, r, load_endings);
    load(s,
         "SELECT * FROM (SELECT kind,id,opened,last_bad,last_told,closed,told,bad,cause,summary,"
         "advice,evidence FROM incidents WHERE target=? AND opened>=? ORDER BY opened DESC LIMIT ?)"
         " ORDER BY opened",
         target, 0, HF_RECORD_INCIDENTS, r, load_incidents);
}

/* ---- writing it ----------------------------------------------------------------------------- */

static void bind_minute(sqlite3_stmt *q, const struct hf_record_minute *m)
{
    const int64_t values[] = {m->minute,     m->up_ms, m->down_ms, (int64_t)m->rtt_us, m->rtt_count,
                              m->rtt_max_us, m->drops, m->endings, m->fails,           m->quiet};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        (void)sqlite3_bind_int64(q, (int)i + 2, values[i]);
    }
}

static void bind_text(sqlite3_stmt *q, int i, const char *text)
{
    (void)sqlite3_bind_text(q, i, text, -1, SQLITE_STATIC);
}

static void bind_ending(sqlite3_stmt *q, const struct hf_record_ending *e)
{
    (void)sqlite3_bind_int64(q, 2, e->time);
    bind_text(q, 3, hf_judgement_text(e->judged));
    (void)sqlite3_bind_int(q, 4, e->is_check);
    bind_text(q, 5, hf_trial_how_text((enum hf_trial_how)e->how));
    (void)sqlite3_bind_int(q, 6, e->how);
    (void)sqlite3_bind_int(q, 7, e->phase);
    (void)sqlite3_bind_int(q, 8, e->code);
    (void)sqlite3_bind_int(q, 9, e->http);
    (void)sqlite3_bind_double(q, 10, (double)e->held / 1000);
    bind_text(q, 11, e->cause);
    bind_text(q, 12, e->who);
    bind_text(q, 13, e->sentence);
    bind_text(q, 14, e->advice);
    bind_text(q, 15, e->json);
}

static void bind_incident(sqlite3_stmt *q, const struct hf_record_incident *i)
{
    bind_text(q, 2, hf_incident_kind_text(i->kind));
    (void)sqlite3_bind_int64(q, 3, i->id);
    (void)sqlite3_bind_int64(q, 4, i->opened);
    (void)sqlite3_bind_int64(q, 5, i->last_bad);
    (void)sqlite3_bind_int64(q, 6, i->last_told);
    (void)sqlite3_bind_int64(q, 7, i->closed);
    (void)sqlite3_bind_int(q, 8, i->told);
    (void)sqlite3_bind_int64(q, 9, (int64_t)i->bad);
    bind_text(q, 10, i->cause);
    bind_text(q, 11, i->summary);
    bind_text(q, 12, i->advice);
    bind_text(q, 13, i->evidence);
}

static int write_row(struct hf_store *s, const struct row *row)
{
    sqlite3_stmt *q = s->insert[row->kind];
    bind_text(q, 1, row->target);
    switch (row->kind) {
    case ROW_MINUTE:
        bind_minute(q, &row->minute);
        break;
    case ROW_ENDING:
        bind_ending(q, &row->ending);
        break;
    case ROW_INCIDENT:
        bind_incident(q, &row->incident);
        break;
    case ROW_KINDS:
        break;
    }
    int code = sqlite3_step(q);
    (void)sqlite3_reset(q);
    (void)sqlite3_clear_bindings(q);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* All rows or none. */
static int write_rows(struct hf_store *s, const struct row *rows)
{
    int code = s->db == NULL ? open_file(s) : SQLITE_OK;
    if (code == SQLITE_OK) {
        code = run(s->db, "BEGIN IMMEDIATE");
    }
    for (const struct row *row = rows; row != NULL && code == SQLITE_OK; row = row->next) {
        code = write_row(s, row);
    }
    if (code == SQLITE_OK) {
        code = run(s->db, "COMMIT");
    }
    return code;
}

static void clean(struct hf_store *s)
{
    struct timespec now;
    char sql[256];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t before = (int64_t)now.tv_sec * 1000 - s->retention / 1000;
    (void)snprintf(sql, sizeof(sql),
                   "DELETE FROM minutes WHERE minute<%lld; DELETE FROM endings WHERE time<%lld;"
                   "DELETE FROM incidents WHERE closed>0 AND closed<%lld;",
                   (long long)(before / 60000), (long long)before, (long long)before);
    (void)run(s->db, sql); /* what fails is tried again in an hour */
}

/* ---- the list of rows ------------------------------------------------------------------------ */

static void free_row(struct row *row)
{
    if (row == NULL) {
        return;
    }
    hf_record_ending_fini(&row->ending);
    hf_record_incident_fini(&row->incident);
    free(row->target);
    free(row);
}

static void free_rows(struct row *row)
{
    while (row != NULL) {
        struct row *next = row->next;
        free_row(row);
        row = next;
    }
}

static struct row *new_row(enum kind kind, const char *target)
{
    struct row *row = calloc(1, sizeof(*row));
    if (row != NULL) {
        row->kind = kind;
        row->target = strdup(target);
    }
    return row;
}

/* whole: all its texts are there. */
static void add_row(struct hf_store *s, struct row *row, bool whole)
{
    if (row == NULL || row->target == NULL || !whole) {
        free_row(row);
        (void)pthread_mutex_lock(&s->lock);
        s->state.lost++;
        (void)pthread_mutex_unlock(&s->lock);
        return;
    }
    struct row *oldest = NULL;
    (void)pthread_mutex_lock(&s->lock);
    if (s->state.waiting == HF_STORE_WAITING_MAX) {
        oldest = s->first;
        s->first = oldest->next;
        s->state.waiting--;
        s->state.lost++;
    }
    if (s->first == NULL) {
        s->first = row;
    } else {
        s->last->next = row;
    }
    s->last = row;
    s->state.waiting++;
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
    free_row(oldest);
}

/* Under the lock: at most BATCH of them. */
static struct row *take_rows(struct hf_store *s, size_t *count)
{
    struct row *rows = s->first;
    struct row *end = rows;
    *count = rows != NULL;
    while (end != NULL && end->next != NULL && *count < BATCH) {
        end = end->next;
        (*count)++;
    }
    if (end != NULL) {
        s->first = end->next;
        end->next = NULL;
        s->state.waiting -= *count;
    }
    return rows;
}

/* Under the lock: in front of all others. */
static void put_back(struct hf_store *s, struct row *rows, size_t count)
{
    struct row *end = rows;
    while (end->next != NULL) {
        end = end->next;
    }
    end->next = s->first;
    s->last = s->first == NULL ? end : s->last;
    s->first = rows;
    s->state.waiting += count;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static struct timespec in_seconds(long seconds)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += seconds;
    return t;
}

static bool is_past(const struct timespec *t)
{
    struct timespec now = in_seconds(0);
    return now.tv_sec > t->tv_sec || (now.tv_sec == t->tv_sec && now.tv_nsec >= t->tv_nsec);
}

/* Under the lock. */
static void note(struct hf_store *s, int code, size_t count)
{
    s->state.works = code == SQLITE_OK;
    s->state.message[0] = '\0';
    if (code == SQLITE_OK) {
        s->state.written += count;
    } else {
        explain(s, code, s->state.message);
    }
}

/* Writes some rows; the lock is held on entry and exit. True when it went well. */
static bool work(struct hf_store *s)
{
    size_t count = 0;
    struct row *rows = take_rows(s, &count);
    (void)pthread_mutex_unlock(&s->lock);
    int code = write_rows(s, rows);
    (void)pthread_mutex_lock(&s->lock);
    note(s, code, count);
    if (code == SQLITE_OK) {
        free_rows(rows);
        return true;
    }
    put_back(s, rows, count);
    if (s->db != NULL) {
        (void)run(s->db, "ROLLBACK");
    }
    close_file(s); /* and from the beginning: what is wrong may be the file itself */
    return false;
}

static void *thread_main(void *owner)
{
    struct hf_store *s = owner;
    long retry = RETRY_MIN_S;
    struct timespec clean_at = in_seconds(0);
    struct timespec retry_at = in_seconds(0);
    struct timespec end_at = in_seconds(0);
    bool ending = false;
    (void)pthread_mutex_lock(&s->lock);
    for (;;) {
        if (s->stop && !ending) {
            ending = true;
            end_at = in_seconds(CLOSE_S);
        }
        if (s->stop && (s->first == NULL || is_past(&end_at))) {
            break;
        }
        if (s->first != NULL && is_past(&retry_at)) {
            bool good = work(s);
            retry = good ? RETRY_MIN_S : retry * 2 < RETRY_MAX_S ? retry * 2 : RETRY_MAX_S;
            retry_at = in_seconds(good ? 0 : retry / 2);
            continue;
        }
        if (s->db != NULL && is_past(&clean_at)) {
            (void)pthread_mutex_unlock(&s->lock);
            clean(s);
            (void)pthread_mutex_lock(&s->lock);
            clean_at = in_seconds(CLEAN_S);
            continue;
        }
        struct timespec until = s->first != NULL ? s->stop ? end_at : retry_at : clean_at;
        if (is_past(&until)) { /* no file is open, so there is nothing to clean */
            until = in_seconds(CLEAN_S);
        }
        (void)pthread_cond_timedwait(&s->wake, &s->lock, &until);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- life -------------------------------------------------------------------------------------
 */

struct hf_store *hf_store_open(const char *path, hf_time retention)
{
    struct hf_store *s = calloc(1, sizeof(*s));
    pthread_condattr_t monotonic;
    if (s == NULL || (s->path = strdup(path)) == NULL || pthread_condattr_init(&monotonic) != 0) {
        free(s == NULL ? NULL : s->path);
        free(s);
        return NULL;
    }
    s->retention = retention;
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    int code = open_file(s);
    note(s, code, 0);
    if (code != SQLITE_OK) {
        close_file(s);
    }
    return s;
}

bool hf_store_start(struct hf_store *s)
{
    s->started = pthread_create(&s->thread, NULL, thread_main, s) == 0;
    return s->started;
}

void hf_store_minute(struct hf_store *s, const char *target, const struct hf_record_minute *m)
{
    if (s == NULL) {
        return;
    }
    struct row *row = new_row(ROW_MINUTE, target);
    if (row != NULL) {
        row->minute = *m;
    }
    add_row(s, row, true);
}

void hf_store_ending(struct hf_store *s, const char *target, const struct hf_record_ending *e)
{
    if (s == NULL) {
        return;
    }
    struct row *row = new_row(ROW_ENDING, target);
    bool whole = false;
    if (row != NULL) {
        row->ending = *e;
        row->ending.sentence = strdup(e->sentence);
        row->ending.advice = strdup(e->advice);
        row->ending.json = strdup(e->json);
        whole =
            row->ending.sentence != NULL && row->ending.advice != NULL && row->ending.json != NULL;
    }
    add_row(s, row, whole);
}

void hf_store_incident(struct hf_store *s, const char *target, const struct hf_record_incident *i)
{
    if (s == NULL) {
        return;
    }
    struct row *row = new_row(ROW_INCIDENT, target);
    bool whole = false;
    if (row != NULL) {
        row->incident = *i;
        row->incident.summary = strdup(i->summary);
        row->incident.advice = strdup(i->advice);
        row->incident.evidence = strdup(i->evidence);
        whole = row->incident.summary != NULL && row->incident.advice != NULL &&
                row->incident.evidence != NULL;
    }
    add_row(s, row, whole);
}

void hf_store_look(struct hf_store *s, struct hf_store_state *state)
{
    (void)pthread_mutex_lock(&s->lock);
    *state = s->state;
    (void)pthread_mutex_unlock(&s->lock);
}

void hf_store_close(struct hf_store *s)
{
    if (s == NULL) {
        return;
    }
    if (s->started) {
        (void)pthread_mutex_lock(&s->lock);
        s->stop = true;
        (void)pthread_cond_signal(&s->wake);
        (void)pthread_mutex_unlock(&s->lock);
        (void)pthread_join(s->thread, NULL);
    }
    free_rows(s->first);
    close_file(s);
    (void)pthread_cond_destroy(&s->wake);
    (void)pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s);
}
