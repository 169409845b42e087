/* SPDX-License-Identifier: Apache-2.0 */
/* What others put around a line of a log: see wrap.h. */
#include "logs/wrap.h"

#include "logs/when.h"

#define MS INT64_C(1000)
#define SECOND INT64_C(1000000)

/* Takes off what CSI sequences there are: ESC [ ... letter. */
static bool unwrap_colours(struct hf_logs_inner *in, struct hf_logs_scratch *scratch)
{
    struct hf_slice s = in->text;
    if (s.len == 0 || memchr(s.ptr, 0x1B, s.len) == NULL) {
        return false;
    }
    uint8_t *out = hf_logs_scratch_take(scratch, s.len);
    size_t n = 0;
    if (out == NULL) {
        in->why = "too many layers of escapes";
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != 0x1B) {
            out[n++] = s.ptr[i];
        } else if (i + 1 < s.len && s.ptr[i + 1] == '[') {
            for (i += 2; i < s.len && (s.ptr[i] < 0x40 || s.ptr[i] > 0x7E); i++) {
            }
        }
    }
    in->text = hf_slice(out, n);
    in->wraps |= HF_LOGS_WRAP_COLOURS;
    return true;
}

static struct hf_slice without_end(struct hf_slice s)
{
    while (s.len > 0 && (s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == '\r')) {
        s.len--;
    }
    return s;
}

/* The finest of the layers' times counts. */
static void stamp(struct hf_logs_inner *in, int64_t at, hf_time resolution)
{
    if (in->at == HF_LOGS_NO_TIME || resolution <= in->resolution) {
        in->at = at;
        in->resolution = resolution;
    }
}

/* {"log":"line\n","stream":"stdout","time":"..."} and journalctl -o json. */
static bool unwrap_json(struct hf_logs_inner *in, const struct hf_logs_clock *clock,
                        struct hf_logs_scratch *scratch)
{
    struct hf_logs_json j;
    struct hf_logs_member m;
    struct hf_slice log = {NULL, 0};
    struct hf_slice message = {NULL, 0};
    struct hf_slice time = {NULL, 0};
    struct hf_slice stamped = {NULL, 0};
    bool has_log = false;
    bool has_stream = false;
    bool has_message = false;
    bool binary = false;
    size_t keep = scratch->len;
    size_t len;
    if (in->text.len == 0 || in->text.ptr[0] != '{') {
        return false;
    }
    hf_logs_json_begin(&j, in->text, scratch);
    while (hf_logs_json_next(&j, &m)) {
        if (hf_slice_eq(m.key, HF_LITERAL("log")) && m.kind == HF_LOGS_JSON_STRING) {
            log = m.value;
            has_log = true;
        } else if (hf_slice_eq(m.key, HF_LITERAL("stream"))) {
            has_stream = true;
        } else if (hf_slice_eq(m.key, HF_LITERAL("time"))) {
            time = m.value;
        } else if (hf_slice_eq(m.key, HF_LITERAL("MESSAGE"))) {
            message = m.value;
            has_message = true;
            binary = m.kind == HF_LOGS_JSON_NESTED;
        } else if (hf_slice_eq(m.key, HF_LITERAL("__REALTIME_TIMESTAMP"))) {
            stamped = m.value;
        } else if (hf_slice_eq(m.key, HF_LITERAL("SYSLOG_IDENTIFIER"))) {
            in->source = m.value;
        } else if (hf_slice_eq(m.key, HF_LITERAL("_PID"))) {
            uint64_t pid = 0;
            in->pid = hf_slice_number(m.value, UINT32_MAX, &pid) ? (uint32_t)pid : 0;
        }
    }
    int64_t at;
    uint64_t us;
    if (has_log && has_stream) {
        in->text = without_end(log);
        in->wraps |= HF_LOGS_WRAP_DOCKER;
        if (hf_logs_when_iso(time, clock->zone, &at, &len)) {
            stamp(in, at, 1);
        }
    } else if (has_message && binary) {
        in->why = "journald's MESSAGE is binary, an array of numbers";
        return false;
    } else if (has_message) {
        in->text = without_end(message);
        in->wraps |= HF_LOGS_WRAP_JOURNAL;
        if (hf_slice_number(stamped, INT64_MAX, &us)) {
            stamp(in, (int64_t)us, 1);
        }
    } else {
        scratch->len = keep;
        return false;
    }
    if (j.failed) {
        in->why = "the JSON around the line is not whole";
    }
    return !j.failed;
}

/* Offset behind the next word and the spaces after it; s.len when there is none. */
static size_t next_word(struct hf_slice s, size_t at)
{
    while (at < s.len && s.ptr[at] != ' ') {
        at++;
    }
    while (at < s.len && s.ptr[at] == ' ') {
        at++;
    }
    return at;
}

static struct hf_slice word_at(struct hf_slice s, size_t at)
{
    struct hf_slice rest = hf_slice_from(s, at);
    return hf_slice_first(rest, hf_slice_find(rest, ' '));
}

/* haproxy[15819]: or kernel: or heroku[router]: ; false when the word is no such tag. */
static bool read_tag(struct hf_logs_inner *in, struct hf_slice word)
{
    if (word.len < 2 || word.ptr[word.len - 1] != ':') {
        return false;
    }
    word = hf_slice_first(word, word.len - 1);
    size_t open = hf_slice_find(word, '[');
    if (open < word.len && word.ptr[word.len - 1] == ']') {
        uint64_t pid = 0;
        struct hf_slice inside = hf_slice_from(hf_slice_first(word, word.len - 1), open + 1);
        if (hf_slice_number(inside, UINT32_MAX, &pid)) {
            in->pid = (uint32_t)pid;
        } else {
            open = word.len; /* heroku[router] is a name as a whole */
        }
        in->source = hf_slice_first(word, open);
        return true;
    }
    in->source = word;
    return hf_slice_find(word, ':') == word.len && hf_slice_find(word, '"') == word.len;
}

/* host tag: message, at the offset; or tag: message. */
static bool unwrap_host_tag(struct hf_logs_inner *in, size_t at)
{
    struct hf_slice first = word_at(in->text, at);
    size_t second = next_word(in->text, at);
    if (!hf_slice_ends(first, HF_LITERAL(":")) && read_tag(in, word_at(in->text, second))) {
        in->text = hf_slice_from(in->text, next_word(in->text, second));
        return true;
    }
    if (read_tag(in, first)) {
        in->text = hf_slice_from(in->text, second);
        return true;
    }
    return false;
}

/* 1 2026-11-26T01:21:40.489534+00:00 host app pid msgid [data] message; at is behind <134>. */
static bool unwrap_5424(struct hf_logs_inner *in, size_t at, const struct hf_logs_clock *clock)
{
    struct hf_slice s = in->text;
    int64_t us;
    size_t len;
    size_t i = next_word(s, at);
    bool timed = hf_logs_when_iso(hf_slice_from(s, i), clock->zone, &us, &len);
    if (!timed && !hf_slice_eq(word_at(s, i), HF_LITERAL("-"))) {
        return false;
    }
    i = next_word(s, next_word(s, i)); /* behind the time and the host */
    in->source = word_at(s, i);
    i = next_word(s, i);
    uint64_t pid;
    if (hf_slice_number(word_at(s, i), UINT32_MAX, &pid)) {
        in->pid = (uint32_t)pid;
    }
    i = next_word(s, next_word(s, i));     /* behind the pid and the message's id */
    while (i < s.len && s.ptr[i] == '[') { /* structured data; ] inside a value is escaped */
        while (i < s.len && s.ptr[i] != ']') {
            i += s.ptr[i] == '\\' ? 2 : 1;
        }
        i += i < s.len;
    }
    if (i < s.len && s.ptr[i] == '-') {
        i++;
    }
    while (i < s.len && s.ptr[i] == ' ') {
        i++;
    }
    struct hf_slice message = hf_slice_from(s, i);
    in->text =
        hf_slice_starts(message, HF_LITERAL("\xEF\xBB\xBF")) ? hf_slice_from(message, 3) : message;
    if (timed) {
        stamp(in, us, 1);
    }
    return true;
}

/* <134>Nov 26 01:21:34 host tag[pid]: message, or without the host, as a program sends it. */
static bool unwrap_syslog(struct hf_logs_inner *in, const struct hf_logs_clock *clock)
{
    struct hf_slice s = in->text;
    size_t close = hf_slice_find(hf_slice_first(s, 5), '>');
    size_t at = 0;
    size_t len;
    int64_t us;
    if (s.len > 2 && s.ptr[0] == '<' && close >= 2 && close < 5) {
        at = close + 1;
        if (hf_slice_starts(hf_slice_from(s, at), HF_LITERAL("1 "))) {
            bool took = unwrap_5424(in, at, clock);
            in->wraps |= took ? HF_LOGS_WRAP_SYSLOG : 0;
            return took;
        }
    }
    if (!hf_logs_when_bsd(hf_slice_from(s, at), clock->zone, clock->now, &us, &len)) {
        return false;
    }
    stamp(in, us, SECOND);
    in->wraps |= at > 0 ? HF_LOGS_WRAP_SYSLOG : HF_LOGS_WRAP_JOURNAL;
    at += len;
    while (at < s.len && s.ptr[at] == ' ') {
        at++;
    }
    if (!unwrap_host_tag(in, at)) {
        in->text = hf_slice_from(s, at);
    }
    return true;
}

/* web-1  | message */
static bool unwrap_compose(struct hf_logs_inner *in)
{
    struct hf_slice s = in->text;
    size_t i = 0;
    while (i < s.len && i < 128 &&
           (hf_logs_is_name(s.ptr[i]) || s.ptr[i] == '-' || s.ptr[i] == '.' || s.ptr[i] == '@')) {
        i++;
    }
    size_t name = i;
    while (i < s.len && s.ptr[i] == ' ') {
        i++;
    }
    if (name == 0 || i == name || i >= s.len || s.ptr[i] != '|') {
        return false;
    }
    in->source = hf_slice_first(s, name);
    i++;
    in->text = hf_slice_from(s, i + (i < s.len && s.ptr[i] == ' '));
    in->wraps |= HF_LOGS_WRAP_COMPOSE;
    return true;
}

static bool is_level(struct hf_slice word)
{
    static const char *const levels[] = {"DEBUG", "INFO",     "WARNING", "WARN", "ERROR",
                                         "FATAL", "CRITICAL", "NOTICE",  "TRACE"};
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (hf_slice_eq(word, hf_slice_of(levels[i]))) {
            return true;
        }
    }
    return false;
}

/* [2026-11-26 01:22:01 +0000] [16574] [INFO] message */
static bool unwrap_gunicorn(struct hf_logs_inner *in, const struct hf_logs_clock *clock)
{
    struct hf_slice s = in->text;
    int64_t at;
    size_t len;
    uint64_t pid;
    if (s.len < 2 || s.ptr[0] != '[' ||
        !hf_logs_when_iso(hf_slice_from(s, 1), clock->zone, &at, &len)) {
        return false;
    }
    struct hf_slice rest = hf_slice_from(s, 1 + len);
    if (!hf_slice_starts(rest, HF_LITERAL("] ["))) {
        return false;
    }
    rest = hf_slice_from(rest, 3);
    size_t end = hf_slice_find(rest, ']');
    if (!hf_slice_number(hf_slice_first(rest, end), UINT32_MAX, &pid)) {
        return false;
    }
    rest = hf_slice_from(rest, end);
    if (!hf_slice_starts(rest, HF_LITERAL("] ["))) {
        return false;
    }
    rest = hf_slice_from(rest, 3);
    end = hf_slice_find(rest, ']');
    in->level = hf_slice_first(rest, end);
    if (!is_level(in->level)) {
        return false;
    }
    in->pid = (uint32_t)pid;
    in->text = hf_slice_trim(hf_slice_from(rest, end + 1));
    stamp(in, at, SECOND);
    in->wraps |= HF_LOGS_WRAP_GUNICORN;
    return true;
}

/* A line that begins with a date: CRI, Python's logging, short-iso, or a bare time stamp. What
 * other programs of ours and of others write behind their own stamp (holdfast, cloudflared, nginx's
 * error log) is left to their readers, which find the time in `at`. */
static bool unwrap_dated(struct hf_logs_inner *in, const struct hf_logs_clock *clock)
{
    struct hf_slice s = in->text;
    int64_t at;
    size_t len;
    if (s.len < 20 || s.ptr[0] < '0' || s.ptr[0] > '9' || s.ptr[4] != '-' ||
        !hf_logs_when_iso(s, clock->zone, &at, &len) || len >= s.len || s.ptr[len] != ' ') {
        return false;
    }
    hf_time resolution = len > 19 && (s.ptr[19] == '.' || s.ptr[19] == ',') ? MS : SECOND;
    size_t i = next_word(s, len);
    struct hf_slice word = word_at(s, i);
    struct hf_slice rest = hf_slice_from(s, next_word(s, i));
    stamp(in, at, resolution);
    if (hf_slice_eq(word, HF_LITERAL("stdout")) || hf_slice_eq(word, HF_LITERAL("stderr"))) {
        if (hf_slice_starts(rest, HF_LITERAL("P "))) {
            in->why = "a part of a line that Kubernetes has cut (CRI tag P)";
            return false;
        }
        if (hf_slice_starts(rest, HF_LITERAL("F "))) {
            in->text = hf_slice_from(rest, 2);
            in->wraps |= HF_LOGS_WRAP_CRI;
            return true;
        }
    }
    if (is_level(word)) {
        in->level = word;
        in->text = rest;
        in->wraps |= HF_LOGS_WRAP_PYTHON;
        return true;
    }
    if (unwrap_host_tag(in, i)) {
        in->wraps |= HF_LOGS_WRAP_JOURNAL;
        return true;
    }
    in->text = hf_slice_from(s, i);
    in->wraps |= HF_LOGS_WRAP_STAMP;
    return true;
}

void hf_logs_unwrap(struct hf_logs_inner *inner, struct hf_slice line,
                    const struct hf_logs_clock *clock, struct hf_logs_scratch *scratch)
{
    *inner = (struct hf_logs_inner){.text = without_end(line), .at = HF_LOGS_NO_TIME};
    for (int layer = 0; layer < HF_LOGS_LAYERS && inner->why == NULL; layer++) {
        if (inner->text.len == 0) {
            return;
        }
        bool took = unwrap_colours(inner, scratch);
        if (!took && inner->why == NULL) {
            uint8_t first = inner->text.ptr[0];
            took = first == '{'   ? unwrap_json(inner, clock, scratch)
                   : first == '[' ? unwrap_gunicorn(inner, clock)
                                  : unwrap_dated(inner, clock) || unwrap_syslog(inner, clock) ||
                                        (inner->why == NULL && unwrap_compose(inner));
        }
        if (!took) {
            return;
        }
    }
}
