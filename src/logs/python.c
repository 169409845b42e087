/* SPDX-License-Identifier: Apache-2.0 */
/* Daphne, Uvicorn and gunicorn. Daphne names each connection by host:port when it opens and when it
 * closes. Uvicorn names it when it opens, and says `connection closed` without saying which; under
 * gunicorn each of its lines has a time and a pid, alone it has neither. */
#include "logs/lines.h"

#include "logs/when.h"

/* host:port - - [21/Nov/2026:19:44:10] "WSCONNECT /a" - - */
enum hf_logs_claim hf_logs_read_daphne(struct hf_logs_reader *r, const struct hf_logs_inner *in,
                                       struct hf_logs_event *e, const char **why)
{
    struct hf_slice rest = in->text;
    struct hf_slice word;
    size_t len;
    if (hf_slice_starts(rest, HF_LITERAL("Exception inside application"))) {
        e->kind = HF_LOGS_FAULT;
        e->what = HF_LITERAL("an exception in the application (Daphne)");
        e->reason = hf_slice_from(rest, sizeof("Exception inside application:"));
        e->code = 1011;
        return HF_LOGS_MINE;
    }
    if (hf_slice_starts(rest, HF_LITERAL("Killed ")) &&
        hf_logs_has(rest, "pending application instances")) {
        e->kind = HF_LOGS_RESTART;
        e->what = HF_LITERAL("Daphne was stopped");
        e->cause = HF_LITERAL("daphne-sigterm");
        return HF_LOGS_MINE;
    }
    if (hf_slice_starts(rest, HF_LITERAL("Starting server at "))) {
        e->kind = HF_LOGS_RESTART;
        e->what = HF_LITERAL("Daphne was started");
        return HF_LOGS_MINE;
    }
    if (hf_logs_has(rest, "took too long to shut down and was killed")) {
        e->kind = HF_LOGS_FAULT;
        e->what = HF_LITERAL("an application took too long to end and was killed (Daphne)");
        e->cause = HF_LITERAL("daphne-app-close-10s");
        return HF_LOGS_MINE;
    }
    if (!hf_logs_word(&rest, &word) || !hf_slice_starts(rest, HF_LITERAL(" - - [")) ||
        !hf_logs_when_clf(hf_slice_from(rest, 6), r->clock.zone, &e->at, &len)) {
        return HF_LOGS_NOT_MINE;
    }
    e->address = word;
    rest = hf_slice_from(rest, 6 + len);
    if (!hf_slice_starts(rest, HF_LITERAL("] \""))) {
        return HF_LOGS_NOT_MINE;
    }
    rest = hf_slice_from(rest, 2);
    bool whole = hf_slice_find(hf_slice_from(rest, 2), '"') + 2 < rest.len;
    (void)hf_logs_word(&rest, &word);
    struct hf_slice action = hf_slice_first(word, hf_slice_find(word, ' '));
    e->path = hf_slice_from(word, action.len + 1);
    if (hf_slice_starts(action, HF_LITERAL("WS")) && !whole) {
        *why = "a Daphne line that ends before its path does";
        return HF_LOGS_BROKEN;
    }
    if (hf_slice_eq(action, HF_LITERAL("WSCONNECT"))) {
        e->kind = HF_LOGS_OPEN;
    } else if (hf_slice_eq(action, HF_LITERAL("WSDISCONNECT"))) {
        e->kind = HF_LOGS_CLOSED;
    } else if (hf_slice_eq(action, HF_LITERAL("WSREJECT"))) {
        e->kind = HF_LOGS_REFUSED;
        e->http = 403;
    } else if (!hf_slice_starts(action, HF_LITERAL("WS"))) {
        return HF_LOGS_NOT_MINE;
    }
    return HF_LOGS_MINE;
}

/* ('127.0.0.1', 57632) or 127.0.0.1:57632; *rest moves behind it. The slice is the host alone in
 * the old form. */
static bool take_peer(struct hf_slice *rest, struct hf_slice *address)
{
    struct hf_slice s = *rest;
    if (hf_slice_starts(s, HF_LITERAL("('"))) {
        size_t end = hf_slice_find(s, ')');
        *address = hf_slice_from(s, 2);
        *address = hf_slice_first(*address, hf_slice_find(*address, '\''));
        *rest = hf_slice_from(s, end + 1);
        return end < s.len;
    }
    size_t end = hf_slice_find(s, ' ');
    *address = hf_slice_first(s, end);
    *rest = hf_slice_from(s, end);
    return hf_slice_find(*address, ':') < address->len || hf_slice_starts(s, HF_LITERAL("None "));
}

/* - "WebSocket /a" [accepted] */
static enum hf_logs_claim read_handshake(struct hf_slice rest, struct hf_logs_event *e)
{
    if (!take_peer(&rest, &e->address) || !hf_slice_starts(rest, HF_LITERAL(" - \"WebSocket "))) {
        return HF_LOGS_NOT_MINE;
    }
    rest = hf_slice_from(rest, sizeof(" - \"WebSocket ") - 1);
    size_t end = hf_slice_find(rest, '"');
    e->path = hf_slice_first(rest, end);
    rest = hf_slice_trim(hf_slice_from(rest, end + 1));
    if (rest.len < 3) {
        return HF_LOGS_BROKEN;
    }
    if (hf_slice_eq(rest, HF_LITERAL("[accepted]"))) {
        e->kind = HF_LOGS_OPEN;
        return HF_LOGS_MINE;
    }
    int64_t status = hf_logs_count(hf_slice_first(rest, 3));
    if (status < 100) {
        return HF_LOGS_BROKEN;
    }
    e->kind = HF_LOGS_REFUSED;
    e->http = (uint16_t)status;
    return HF_LOGS_MINE;
}

static bool is_life_of_uvicorn(struct hf_slice s)
{
    static const char *const starts[] = {"connection open",
                                         "connection failed",
                                         "connection rejected",
                                         "Waiting for application startup.",
                                         "Application startup",
                                         "Waiting for application shutdown.",
                                         "Application shutdown",
                                         "Waiting for connections to close.",
                                         "Waiting for background tasks",
                                         "Uvicorn running on",
                                         "Started reloader",
                                         "Will watch for changes",
                                         "ASGI 'lifespan' protocol",
                                         "Started parent process",
                                         "Started server process"};
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        if (hf_slice_starts(s, hf_slice_of(starts[i]))) {
            return true;
        }
    }
    return false;
}

/* Finished server process [16442] */
static void read_finished(struct hf_logs_event *e, struct hf_slice s)
{
    uint64_t pid;
    size_t open = hf_slice_find(s, '[');
    struct hf_slice inside = hf_slice_from(s, open + 1);
    inside = hf_slice_first(inside, hf_slice_find(inside, ']'));
    e->kind = HF_LOGS_DEATH;
    e->what = HF_LITERAL("a Uvicorn process ended");
    e->cause = HF_LITERAL("uvicorn-sigterm");
    e->pid = hf_slice_number(inside, UINT32_MAX, &pid) ? (uint32_t)pid : e->pid;
}

/* INFO:     message, and under gunicorn the message alone, behind its prefix. */
enum hf_logs_claim hf_logs_read_uvicorn(struct hf_logs_reader *r, const struct hf_logs_inner *in,
                                        struct hf_logs_event *e, const char **why)
{
    static const char *const levels[] = {"INFO:", "ERROR:", "WARNING:", "DEBUG:", "CRITICAL:"};
    struct hf_slice s = in->text;
    bool levelled = (in->wraps & (HF_LOGS_WRAP_GUNICORN | HF_LOGS_WRAP_PYTHON)) != 0;
    (void)r;
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (hf_slice_starts(s, hf_slice_of(levels[i]))) {
            s = hf_slice_trim(hf_slice_from(s, strlen(levels[i])));
            levelled = true;
            break;
        }
    }
    if (!levelled) {
        return HF_LOGS_NOT_MINE;
    }
    e->pid = in->pid;
    if (hf_slice_eq(s, HF_LITERAL("connection closed"))) {
        e->kind = HF_LOGS_CLOSED;
    } else if (hf_slice_starts(s, HF_LITERAL("Exception in ASGI application"))) {
        e->kind = HF_LOGS_FAULT;
        e->what = HF_LITERAL("an exception in the application (Uvicorn)");
        e->cause = HF_LITERAL("uvicorn-app-exception");
    } else if (hf_slice_eq(s, HF_LITERAL("Shutting down"))) {
        e->kind = HF_LOGS_RESTART;
        e->what = HF_LITERAL("Uvicorn shut down");
        e->cause = HF_LITERAL("uvicorn-sigterm");
    } else if (hf_slice_starts(s, HF_LITERAL("Finished server process"))) {
        read_finished(e, s);
    } else if (!is_life_of_uvicorn(s)) {
        *why = "a Uvicorn line that ends before its handshake's answer";
        return read_handshake(s, e);
    }
    return HF_LOGS_MINE;
}

static uint32_t pid_in(struct hf_slice s, const char *words)
{
    struct hf_slice key = hf_slice_of(words);
    size_t at = hf_slice_search(s, key) + key.len;
    uint64_t pid = 0;
    size_t to = at;
    while (to < s.len && s.ptr[to] >= '0' && s.ptr[to] <= '9') {
        to++;
    }
    return at < s.len && hf_slice_number(hf_slice(s.ptr + at, to - at), UINT32_MAX, &pid)
               ? (uint32_t)pid
               : 0;
}

static void restart(struct hf_logs_event *e, enum hf_logs_kind kind, struct hf_slice what,
                    struct hf_slice cause)
{
    e->kind = kind;
    e->what = what;
    e->cause = cause;
}

/* What gunicorn's arbiter and workers say. */
enum hf_logs_claim hf_logs_read_gunicorn(struct hf_logs_reader *r, const struct hf_logs_inner *in,
                                         struct hf_logs_event *e, const char **why)
{
    struct hf_slice s = in->text;
    (void)r;
    (void)why;
    if ((in->wraps & HF_LOGS_WRAP_GUNICORN) == 0) {
        return HF_LOGS_NOT_MINE;
    }
    e->pid = in->pid;
    if (hf_slice_starts(s, HF_LITERAL("WORKER TIMEOUT"))) {
        restart(e, HF_LOGS_RESTART, HF_LITERAL("gunicorn gave up a worker whose loop was blocked"),
                HF_LITERAL("gunicorn-worker-timeout"));
        e->pid = pid_in(s, "(pid:");
    } else if (hf_slice_starts(s, HF_LITERAL("Worker with pid")) ||
               (hf_slice_starts(s, HF_LITERAL("Worker (pid:")) && hf_logs_has(s, "was sent SIG"))) {
        bool out_of_memory = hf_logs_has(s, "Perhaps out of memory");
        restart(e, HF_LOGS_DEATH, HF_LITERAL("a gunicorn worker was killed"),
                out_of_memory ? HF_LITERAL("oom-kill") : (struct hf_slice){NULL, 0});
        e->pid = hf_slice_starts(s, HF_LITERAL("Worker with pid")) ? pid_in(s, "with pid ")
                                                                   : pid_in(s, "(pid:");
    } else if (hf_slice_starts(s, HF_LITERAL("Worker exiting"))) {
        restart(e, HF_LOGS_DEATH, HF_LITERAL("a gunicorn worker went"),
                HF_LITERAL("gunicorn-graceful-30s"));
    } else if (hf_slice_starts(s, HF_LITERAL("Autorestarting worker"))) {
        restart(e, HF_LOGS_RESTART, HF_LITERAL("a gunicorn worker had served its max_requests"),
                HF_LITERAL("gunicorn-max-requests"));
    } else if (hf_slice_starts(s, HF_LITERAL("Handling signal: hup"))) {
        restart(e, HF_LOGS_RESTART, HF_LITERAL("gunicorn was reloaded"),
                HF_LITERAL("gunicorn-graceful-30s"));
    } else if (hf_slice_starts(s, HF_LITERAL("Handling signal: term")) ||
               hf_slice_starts(s, HF_LITERAL("Handling signal: int")) ||
               hf_slice_starts(s, HF_LITERAL("Handling signal: quit"))) {
        restart(e, HF_LOGS_RESTART, HF_LITERAL("gunicorn was stopped"),
                HF_LITERAL("gunicorn-graceful-30s"));
    }
    return e->kind == HF_LOGS_NOTHING ? HF_LOGS_NOT_MINE : HF_LOGS_MINE;
}
