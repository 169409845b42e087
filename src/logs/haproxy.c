/* SPDX-License-Identifier: Apache-2.0 */
/* HAProxy: httplog and tcplog lines, and what it says when it stops. The total time is the age, the
 * termination state says who ended it and when. configuration.txt 8.2.3, 8.5. */
#include "logs/lines.h"

#include "logs/when.h"

/* The last of timers such as 0/0/0/1/1002, milliseconds; how many there were. */
static size_t read_timers(struct hf_slice word, hf_time *total)
{
    struct hf_slice piece;
    size_t count = 0;
    while (hf_slice_next(&word, '/', &piece)) {
        if (piece.len > 0 && piece.ptr[0] == '+') { /* option logasap: the real one was not known */
            piece = hf_slice_from(piece, 1);
        }
        *total = hf_logs_ms(piece);
        count++;
    }
    return count;
}

/* The first letter says who: C and c the client's side, S and s the server's, K an administrator or
 * a hard stop, D and U the server's state, P and L the proxy itself, R and I its resources. */
static void read_termination(struct hf_logs_event *e, char who)
{
    static const struct hf_logs_meaning states[] = {
        {"-", HF_LOGS_HOW_FIN, HF_LOGS_WHO_UNKNOWN, "", "ended in order by one of the two sides"},
        {"C", HF_LOGS_HOW_RST, HF_LOGS_WHO_CLIENT, "", "the client aborted"},
        {"S", HF_LOGS_HOW_RST, HF_LOGS_WHO_SERVER, "", "the server aborted"},
        {"c", HF_LOGS_HOW_TIMER, HF_LOGS_WHO_PATH, "haproxy-tunnel",
         "HAProxy's timer, towards the client"},
        {"s", HF_LOGS_HOW_TIMER, HF_LOGS_WHO_PATH, "haproxy-tunnel",
         "HAProxy's timer, towards the server"},
        {"K", HF_LOGS_HOW_KILLED, HF_LOGS_WHO_PATH, "haproxy-admin-kill",
         "killed by an administrator or a hard stop"},
        {"D", HF_LOGS_HOW_KILLED, HF_LOGS_WHO_PATH, "haproxy-admin-kill",
         "killed because the server was seen down"},
        {"U", HF_LOGS_HOW_KILLED, HF_LOGS_WHO_PATH, "haproxy-admin-kill",
         "killed on a backup server when the active one came back"},
        {"P", HF_LOGS_HOW_OTHER, HF_LOGS_WHO_PATH, "", "ended by the proxy"},
        {"L", HF_LOGS_HOW_OTHER, HF_LOGS_WHO_PATH, "", "answered by the proxy"},
        {"R", HF_LOGS_HOW_OTHER, HF_LOGS_WHO_PATH, "", "the proxy ran out of a resource"},
        {"I", HF_LOGS_HOW_OTHER, HF_LOGS_WHO_PATH, "", "an internal error of the proxy"},
    };
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (states[i].mark[0] == who) {
            hf_logs_put_meaning(e, &states[i]);
        }
    }
}

static enum hf_logs_claim read_stop(struct hf_slice s, struct hf_logs_event *e)
{
    if (hf_slice_starts(s, HF_LITERAL("soft-stop running for too long"))) {
        e->what = HF_LITERAL("HAProxy's hard-stop-after was over");
    } else if (hf_slice_starts(s, HF_LITERAL("Proxy ")) && hf_logs_has(s, " hard-stopped (")) {
        e->what = HF_LITERAL("HAProxy hard-stopped");
    } else if (hf_slice_starts(s, HF_LITERAL("Proxy ")) && hf_logs_has(s, " stopped (cumulated")) {
        e->what = HF_LITERAL("HAProxy stopped or was reloaded");
    } else if (hf_slice_starts(s, HF_LITERAL("Server ")) && hf_logs_has(s, " is DOWN")) {
        e->what = HF_LITERAL("HAProxy saw a server down");
    } else {
        return HF_LOGS_NOT_MINE;
    }
    e->kind = HF_LOGS_RESTART;
    e->cause = HF_LITERAL("haproxy-reload");
    return HF_LOGS_MINE;
}

/* Behind the bytes: two cookies (httplog alone), state, five counts, two queues, the captured
 * headers in braces, the request. */
static enum hf_logs_claim read_rest(struct hf_slice rest, bool http, struct hf_logs_event *e)
{
    struct hf_slice word;
    struct hf_slice state;
    for (int cookies = 0; http && cookies < 2; cookies++) {
        if (!hf_logs_word(&rest, &word)) {
            return HF_LOGS_BROKEN;
        }
    }
    if (!hf_logs_word(&rest, &state) || state.len < 2) {
        return HF_LOGS_BROKEN;
    }
    read_termination(e, (char)state.ptr[0]);
    if (!http) {
        e->kind = HF_LOGS_END; /* tcplog: whether it was a WebSocket it does not know */
        return HF_LOGS_MINE;
    }
    size_t at = hf_slice_find(rest, '"');
    if (at == rest.len) {
        return HF_LOGS_BROKEN;
    }
    rest = hf_slice_from(rest, at + 1);
    (void)hf_logs_request(hf_slice_first(rest, hf_slice_find(rest, '"')), &e->path);
    if (e->http == 101) {
        e->kind = HF_LOGS_END;
        return HF_LOGS_MINE;
    }
    e->kind = e->http >= 400 ? HF_LOGS_HTTP : HF_LOGS_NOTHING;
    return HF_LOGS_MINE;
}

enum hf_logs_claim hf_logs_read_haproxy(struct hf_logs_reader *r, const struct hf_logs_inner *in,
                                        struct hf_logs_event *e, const char **why)
{
    struct hf_slice rest = in->text;
    struct hf_slice word;
    size_t len;
    int64_t began;
    if (rest.len > 10 && rest.ptr[0] == '[' && hf_slice_starts(rest, HF_LITERAL("[WARNING]"))) {
        size_t at = hf_slice_search(rest, HF_LITERAL(") : ")); /* on standard error */
        return read_stop(hf_slice_from(rest, at + 4), e);
    }
    if (rest.len > 6 && (rest.ptr[0] == 'P' || rest.ptr[0] == 's' || rest.ptr[0] == 'S')) {
        return read_stop(rest, e);
    }
    if (!hf_logs_word(&rest, &word) || hf_slice_find(word, ':') == word.len ||
        !hf_slice_starts(rest, HF_LITERAL(" [")) ||
        !hf_logs_when_clf(hf_slice_from(rest, 2), r->clock.zone, &began, &len)) {
        return HF_LOGS_NOT_MINE;
    }
    e->address = word;
    rest = hf_slice_from(rest, 2 + len);
    if (!hf_slice_starts(rest, HF_LITERAL("] "))) {
        return HF_LOGS_NOT_MINE;
    }
    rest = hf_slice_from(rest, 2);
    *why = "a HAProxy line that ends before its termination state";
    struct hf_slice frontend;
    struct hf_slice timers;
    if (!hf_logs_word(&rest, &frontend) || !hf_logs_word(&rest, &e->upstream) ||
        !hf_logs_word(&rest, &timers)) {
        return HF_LOGS_BROKEN;
    }
    if (hf_slice_find(e->upstream, '/') == e->upstream.len) {
        return HF_LOGS_NOT_MINE;
    }
    size_t count = read_timers(timers, &e->age);
    bool http = count == 5;
    if (count != 5 && count != 3) {
        *why = "HAProxy's timers are neither the five of httplog nor the three of tcplog";
        return HF_LOGS_BROKEN;
    }
    if (http) {
        if (!hf_logs_word(&rest, &word)) {
            return HF_LOGS_BROKEN;
        }
        int64_t status = hf_logs_count(word);
        e->http = status > 0 && status < 1000 ? (uint16_t)status : 0;
    }
    if (!hf_logs_word(&rest, &word)) {
        return HF_LOGS_BROKEN;
    }
    e->bytes_down = hf_logs_count(word);
    e->resolution = 1000;
    e->at = began + (e->age > 0 ? e->age : 0);
    return read_rest(rest, http, e);
}
