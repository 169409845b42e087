/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of named fields: holdfast's own log, as text and as JSON, the --json lines of its other
 * commands, and access logs that nginx or Envoy write as JSON. */
#include "logs/lines.h"

#include "logs/when.h"

#include <stdio.h>

struct hf_slice hf_logs_member(const struct hf_logs_members *members, const char *name)
{
    struct hf_slice key = hf_slice_of(name);
    for (size_t i = 0; i < members->count; i++) {
        const struct hf_logs_member *m = &members->m[i];
        if (hf_slice_eq(m->key, key)) {
            bool absent =
                hf_slice_eq(m->value, HF_LITERAL("-")) ||
                (m->kind == HF_LOGS_JSON_NUMBER && hf_slice_eq(m->value, HF_LITERAL("null")));
            return absent ? (struct hf_slice){NULL, 0} : m->value;
        }
    }
    return (struct hf_slice){NULL, 0};
}

static bool has_member(const struct hf_logs_members *members, const char *name)
{
    struct hf_slice key = hf_slice_of(name);
    for (size_t i = 0; i < members->count; i++) {
        if (hf_slice_eq(members->m[i].key, key)) {
            return true;
        }
    }
    return false;
}

/* A quoted value behind its quote; *rest moves behind the closing one. */
static struct hf_slice take_quoted(struct hf_slice *rest, struct hf_logs_scratch *scratch)
{
    struct hf_slice s = *rest;
    uint8_t *out = hf_logs_scratch_take(scratch, s.len);
    size_t n = 0;
    size_t i = 0;
    for (; i < s.len && s.ptr[i] != '"'; i++) {
        i += s.ptr[i] == '\\' && i + 1 < s.len;
        if (out != NULL) {
            out[n++] = s.ptr[i];
        }
    }
    *rest = hf_slice_from(s, i + 1);
    if (out != NULL) {
        scratch->len -= s.len - n; /* what was not needed is given back */
    }
    return hf_slice(out, n);
}

void hf_logs_members_of_pairs(struct hf_logs_members *members, struct hf_slice text,
                              struct hf_logs_scratch *scratch)
{
    struct hf_slice rest = text;
    members->count = 0;
    while (rest.len > 0 && members->count < HF_LOGS_MEMBERS) {
        struct hf_logs_member *m = &members->m[members->count];
        size_t at = 0;
        while (at < rest.len && rest.ptr[at] != '=' && rest.ptr[at] != ' ') {
            at++;
        }
        if (at == rest.len || rest.ptr[at] == ' ') { /* a word without a value */
            rest = hf_slice_from(rest, at + 1);
            continue;
        }
        m->key = hf_slice_first(rest, at);
        m->kind = HF_LOGS_JSON_STRING;
        rest = hf_slice_from(rest, at + 1);
        if (rest.len > 0 && rest.ptr[0] == '"') {
            rest = hf_slice_from(rest, 1);
            m->value = take_quoted(&rest, scratch);
        } else {
            m->value = hf_slice_first(rest, hf_slice_find(rest, ' '));
            rest = hf_slice_from(rest, m->value.len);
        }
        members->count++;
    }
}

/* ---- holdfast */

static enum hf_logs_who who_from(struct hf_slice word)
{
    static const struct {
        const char *word;
        enum hf_logs_who who;
    } words[] = {
        {"client", HF_LOGS_WHO_CLIENT},  {"us", HF_LOGS_WHO_CLIENT},
        {"backend", HF_LOGS_WHO_SERVER}, {"server", HF_LOGS_WHO_SERVER},
        {"gateway", HF_LOGS_WHO_PATH},   {"network", HF_LOGS_WHO_PATH},
        {"path", HF_LOGS_WHO_PATH},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (hf_slice_eq(word, hf_slice_of(words[i].word))) {
            return words[i].who;
        }
    }
    return HF_LOGS_WHO_UNKNOWN;
}

/* The gateway's causes (src/cause/ending.h) end in what happened; `how` of the other commands says
 * it outright. */
static enum hf_logs_how how_from(struct hf_slice cause, struct hf_slice how)
{
    static const struct {
        const char *end;
        enum hf_logs_how how;
    } ends[] = {
        {"_close", HF_LOGS_HOW_CLOSE},    {"_fin", HF_LOGS_HOW_FIN},
        {"_reset", HF_LOGS_HOW_RST},      {"_heartbeat", HF_LOGS_HOW_SILENCE},
        {"_silent", HF_LOGS_HOW_SILENCE}, {"_timeout", HF_LOGS_HOW_SILENCE},
        {"_stuck", HF_LOGS_HOW_TIMER},    {"_protocol", HF_LOGS_HOW_FAULT},
        {"_too_big", HF_LOGS_HOW_FAULT},  {"bad_utf8", HF_LOGS_HOW_FAULT},
        {"_rate", HF_LOGS_HOW_FAULT},     {"_expired", HF_LOGS_HOW_TIMER},
        {"drain", HF_LOGS_HOW_KILLED},    {"stop", HF_LOGS_HOW_KILLED},
        {"_gone", HF_LOGS_HOW_KILLED},
    };
    static const struct {
        const char *word;
        enum hf_logs_how how;
    } words[] = {
        {"close", HF_LOGS_HOW_CLOSE},     {"fin", HF_LOGS_HOW_FIN},
        {"rst", HF_LOGS_HOW_RST},         {"silence", HF_LOGS_HOW_SILENCE},
        {"timeout", HF_LOGS_HOW_SILENCE}, {"fault", HF_LOGS_HOW_FAULT},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (hf_slice_eq(how, hf_slice_of(words[i].word))) {
            return words[i].how;
        }
    }
    for (size_t i = 0; how.len == 0 && i < sizeof(ends) / sizeof(ends[0]); i++) {
        if (hf_slice_ends(cause, hf_slice_of(ends[i].end))) {
            return ends[i].how;
        }
    }
    return HF_LOGS_HOW_OTHER;
}

static uint16_t number16(const struct hf_logs_members *members, const char *name)
{
    int64_t n = hf_logs_count(hf_logs_member(members, name));
    return n > 0 && n < 65536 ? (uint16_t)n : 0;
}

static int64_t count_of(const struct hf_logs_members *members, const char *one, const char *other)
{
    int64_t n = hf_logs_count(hf_logs_member(members, one));
    return n >= 0 ? n : hf_logs_count(hf_logs_member(members, other));
}

/* `ws end` of the gateway (cause, who, phase, held_ms, messages_client, ...), or the ending of
 * probe, watch or bench (how, messages_sent, ...). */
static enum hf_logs_claim read_ending(const struct hf_logs_members *members,
                                      struct hf_logs_event *e, const char **why)
{
    struct hf_slice how = hf_logs_member(members, "how");
    struct hf_slice phase = hf_logs_member(members, "phase");
    struct hf_slice held = hf_logs_member(members, "held_ms");
    e->cause = hf_logs_member(members, "cause");
    if (phase.len == 0 || held.len == 0) {
        *why = "an ending without its phase or held_ms";
        return HF_LOGS_BROKEN;
    }
    if (hf_slice_eq(e->cause, HF_LITERAL("unknown"))) {
        e->cause.len = 0;
    }
    e->code = number16(members, "code");
    e->http = number16(members, "http");
    e->reason = hf_logs_member(members, "reason");
    e->path = hf_logs_member(members, "path");
    struct hf_slice url = hf_logs_member(members, "url");
    size_t scheme = hf_slice_search(url, HF_LITERAL("://"));
    if (e->path.len == 0 && scheme < url.len) {
        url = hf_slice_from(url, scheme + 3);
        e->path = hf_slice_from(url, hf_slice_find(url, '/'));
    }
    e->address = hf_logs_member(members, "address");
    e->upstream = hf_logs_member(members, "upstream");
    if (!hf_slice_eq(phase, HF_LITERAL("open"))) {
        e->kind = HF_LOGS_REFUSED;
        return HF_LOGS_MINE;
    }
    e->age = hf_logs_ms(held);
    e->silent_rx = hf_logs_ms(hf_logs_member(members, "silent_rx_ms"));
    e->silent_tx = hf_logs_ms(hf_logs_member(members, "silent_tx_ms"));
    e->who = who_from(hf_logs_member(members, "who"));
    e->how = how_from(e->cause, how);
    e->messages_up = count_of(members, "messages_client", "messages_sent");
    e->messages_down = count_of(members, "messages_backend", "messages_got");
    e->bytes_up = count_of(members, "bytes_client", "bytes_sent");
    e->bytes_down = count_of(members, "bytes_backend", "bytes_got");
    bool lived =
        hf_slice_eq(how, HF_LITERAL("alive")) || hf_slice_eq(how, HF_LITERAL("ended_by_us"));
    e->kind = lived ? HF_LOGS_ALIVE : HF_LOGS_END;
    e->wished = e->how == HF_LOGS_HOW_CLOSE &&
                (e->code == 1000 || e->code == 1001 || e->code == 1005) &&
                e->who != HF_LOGS_WHO_PATH;
    return HF_LOGS_MINE;
}

/* The events of the gateway's log: two or three words. */
static enum hf_logs_claim read_gateway(struct hf_slice event, const struct hf_logs_members *members,
                                       struct hf_logs_event *e, const char **why)
{
    if (hf_slice_eq(event, HF_LITERAL("ws end"))) {
        return read_ending(members, e, why);
    }
    if (hf_slice_eq(event, HF_LITERAL("drain"))) {
        e->kind = HF_LOGS_RESTART;
        e->what = HF_LITERAL("holdfast was asked to drain");
    } else if (hf_slice_eq(event, HF_LITERAL("start"))) {
        e->kind = HF_LOGS_RESTART;
        e->what = HF_LITERAL("holdfast was started");
    }
    return HF_LOGS_MINE;
}

/* info ws end id=1 ...; the stamp is off already. */
enum hf_logs_claim hf_logs_read_holdfast(struct hf_logs_reader *r, const struct hf_logs_inner *in,
                                         struct hf_logs_event *e, const char **why)
{
    static const char *const levels[] = {"info ", "warning ", "error ", "debug "};
    struct hf_logs_members members;
    struct hf_slice s = in->text;
    size_t level = 0;
    if ((in->wraps & HF_LOGS_WRAP_STAMP) == 0) {
        return HF_LOGS_NOT_MINE;
    }
    while (level < 4 && !hf_slice_starts(s, hf_slice_of(levels[level]))) {
        level++;
    }
    if (level == 4) {
        return HF_LOGS_NOT_MINE;
    }
    s = hf_slice_from(s, strlen(levels[level]));
    size_t equals = hf_slice_find(s, '=');
    if (equals == s.len) {
        return HF_LOGS_NOT_MINE;
    }
    while (equals > 0 && s.ptr[equals] != ' ') {
        equals--;
    }
    hf_logs_members_of_pairs(&members, hf_slice_from(s, equals + 1), &r->scratch);
    return read_gateway(hf_slice_first(s, equals), &members, e, why);
}

/* ---- JSON */

static enum hf_logs_claim read_access_json(const struct hf_logs_members *members, int64_t zone,
                                           struct hf_logs_event *e)
{
    hf_time took_upstream = -1;
    for (size_t i = 0; i < members->count; i++) {
        struct hf_slice value = members->m[i].value;
        enum hf_logs_field field = hf_logs_field_from(members->m[i].key);
        if (field != HF_LOGS_FIELD_OTHER && !hf_slice_eq(value, HF_LITERAL("-"))) {
            hf_logs_put_field(e, field, value, zone, &took_upstream);
        }
    }
    if (e->http == 0) {
        return HF_LOGS_NOT_MINE;
    }
    hf_logs_finish_access(e, took_upstream);
    return HF_LOGS_MINE;
}

/* Envoy's format dictionary has the names of its documentation; it is brought into the words of the
 * default line and read by the same reader. */
static enum hf_logs_claim read_envoy_json(struct hf_logs_reader *r,
                                          const struct hf_logs_members *members,
                                          struct hf_logs_event *e, const char **why)
{
    static const char *const names[] = {"start_time",      "method",        "path",
                                        "protocol",        "response_code", "response_flags",
                                        "bytes_received",  "bytes_sent",    "duration",
                                        "x_forwarded_for", "upstream_host"};
    struct hf_slice v[11];
    char *line = (char *)hf_logs_scratch_take(&r->scratch, 4096);
    if (line == NULL) {
        *why = "its fields are too long";
        return HF_LOGS_BROKEN;
    }
    for (size_t i = 0; i < 11; i++) {
        v[i] = hf_logs_member(members, names[i]);
        v[i] = v[i].len == 0 ? HF_LITERAL("-") : hf_slice_first(v[i], 1024);
    }
    int n = snprintf(line, 4096,
                     "[%.*s] \"%.*s %.*s %.*s\" %.*s %.*s %.*s %.*s %.*s - \"%.*s\" \"-\" "
                     "\"-\" \"-\" \"%.*s\"",
                     HF_SLICE_ARG(v[0]), HF_SLICE_ARG(v[1]), HF_SLICE_ARG(v[2]), HF_SLICE_ARG(v[3]),
                     HF_SLICE_ARG(v[4]), HF_SLICE_ARG(v[5]), HF_SLICE_ARG(v[6]), HF_SLICE_ARG(v[7]),
                     HF_SLICE_ARG(v[8]), HF_SLICE_ARG(v[9]), HF_SLICE_ARG(v[10]));
    struct hf_logs_inner in = {.text = hf_slice(line, n < 4096 ? (size_t)n : 4095)};
    enum hf_logs_claim claim = hf_logs_read_envoy(r, &in, e, why);
    e->format = HF_LOGS_ENVOY;
    return claim;
}

static void collect(struct hf_logs_members *members, struct hf_logs_json *j)
{
    struct hf_logs_member m;
    members->count = 0;
    while (hf_logs_json_next(j, &m)) {
        if (members->count < HF_LOGS_MEMBERS) {
            members->m[members->count++] = m;
        }
    }
}

enum hf_logs_claim hf_logs_read_json(struct hf_logs_reader *r, const struct hf_logs_inner *in,
                                     struct hf_logs_event *e, const char **why)
{
    struct hf_logs_members members;
    struct hf_logs_json j;
    size_t len;
    if (in->text.len == 0 || in->text.ptr[0] != '{') {
        return HF_LOGS_NOT_MINE;
    }
    hf_logs_json_begin(&j, in->text, &r->scratch);
    collect(&members, &j);
    if (j.failed) {
        *why = "it begins as JSON and is not whole";
        return HF_LOGS_BROKEN;
    }
    struct hf_slice time = hf_logs_member(&members, "time");
    struct hf_slice event = hf_logs_member(&members, "event");
    if (event.len > 0 && has_member(&members, "level") &&
        hf_logs_when_iso(time, r->clock.zone, &e->at, &len)) {
        e->resolution = 1000;
        e->format = HF_LOGS_HOLDFAST;
        return read_gateway(event, &members, e, why);
    }
    if (hf_slice_eq(hf_logs_member(&members, "v"), HF_LITERAL("1")) &&
        has_member(&members, "type")) {
        e->format = HF_LOGS_HOLDFAST;
        e->resolution = 1000;
        (void)hf_logs_when_iso(time, r->clock.zone, &e->at, &len);
        return has_member(&members, "held_ms") && has_member(&members, "phase")
                   ? read_ending(&members, e, why)
                   : HF_LOGS_MINE;
    }
    if (has_member(&members, "response_code") && has_member(&members, "response_flags")) {
        return read_envoy_json(r, &members, e, why);
    }
    if (has_member(&members, "status")) {
        e->format = HF_LOGS_NGINX_ACCESS;
        return read_access_json(&members, r->clock.zone, e);
    }
    *why = "JSON, but not of a kind that is known";
    return HF_LOGS_NOT_MINE;
}
