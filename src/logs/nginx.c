/* SPDX-License-Identifier: Apache-2.0 */
/* nginx: access logs, whatever their format, and the error log. An access line of a WebSocket is
 * written when it ends, with status 101 whatever ended it: request_time is its age, and why it
 * ended stands in the error log, most of it at level info. */
#include "logs/lines.h"

#include "logs/when.h"

#define SECOND INT64_C(1000000)
/* A tunnel whose upstream was given up so much sooner than the client had waited for what was sent
 * to it. */
#define DRAINED HF_SECONDS(1)

/* ---- formats */

enum hf_logs_field hf_logs_field_from(struct hf_slice name)
{
    static const struct {
        const char *name;
        uint8_t field;
    } names[] = {
        {"remote_addr", HF_LOGS_FIELD_ADDRESS},
        {"client", HF_LOGS_FIELD_ADDRESS},
        {"client_ip", HF_LOGS_FIELD_ADDRESS},
        {"remote_ip", HF_LOGS_FIELD_ADDRESS},
        {"time_local", HF_LOGS_FIELD_TIME_LOCAL},
        {"time_iso8601", HF_LOGS_FIELD_TIME_ISO},
        {"time", HF_LOGS_FIELD_TIME_ISO},
        {"@timestamp", HF_LOGS_FIELD_TIME_ISO},
        {"timestamp", HF_LOGS_FIELD_TIME_ISO},
        {"msec", HF_LOGS_FIELD_MSEC},
        {"request", HF_LOGS_FIELD_REQUEST},
        {"request_uri", HF_LOGS_FIELD_URI},
        {"uri", HF_LOGS_FIELD_URI},
        {"path", HF_LOGS_FIELD_URI},
        {"status", HF_LOGS_FIELD_STATUS},
        {"body_bytes_sent", HF_LOGS_FIELD_BYTES},
        {"bytes_sent", HF_LOGS_FIELD_BYTES},
        {"request_length", HF_LOGS_FIELD_LENGTH},
        {"request_time", HF_LOGS_FIELD_TOOK},
        {"rt", HF_LOGS_FIELD_TOOK},
        {"duration", HF_LOGS_FIELD_TOOK},
        {"upstream_response_time", HF_LOGS_FIELD_TOOK_UPSTREAM},
        {"urt", HF_LOGS_FIELD_TOOK_UPSTREAM},
        {"upstream_addr", HF_LOGS_FIELD_UPSTREAM},
        {"ua", HF_LOGS_FIELD_UPSTREAM},
        {"upstream", HF_LOGS_FIELD_UPSTREAM},
        {"connection", HF_LOGS_FIELD_CONNECTION},
        {"cn", HF_LOGS_FIELD_CONNECTION},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (hf_slice_eq(name, hf_slice_of(names[i].name))) {
            return (enum hf_logs_field)names[i].field;
        }
    }
    return HF_LOGS_FIELD_OTHER;
}

/* Takes quotes off the strings of a whole directive and joins them: log_format name 'a' "b"; */
static size_t join_directive(struct hf_slice s, uint8_t *out, size_t max)
{
    size_t n = 0;
    uint8_t quote = 0;
    for (size_t i = 0; i < s.len && n < max; i++) {
        uint8_t c = s.ptr[i];
        if (quote == 0) {
            quote = c == '\'' || c == '"' ? c : 0;
        } else if (c == quote) {
            quote = 0;
        } else if (c == '\\' && i + 1 < s.len) {
            out[n++] = s.ptr[++i];
        } else {
            out[n++] = c;
        }
    }
    return n;
}

/* A variable that begins behind the $ at i; *i moves behind it. */
static struct hf_slice take_variable(struct hf_slice s, size_t *i)
{
    bool braced = *i < s.len && s.ptr[*i] == '{';
    size_t from = *i + braced;
    size_t to = from;
    while (to < s.len && hf_logs_is_name(s.ptr[to])) {
        to++;
    }
    *i = to + (braced && to < s.len && s.ptr[to] == '}');
    return hf_slice(s.ptr + from, to - from);
}

bool hf_logs_template_init(struct hf_logs_template *t, struct hf_slice format, const char **why)
{
    uint8_t joined[HF_LOGS_TEMPLATE_TEXT];
    bool known = false;
    *t = (struct hf_logs_template){0};
    if (hf_slice_eq(format, HF_LITERAL("combined"))) {
        format = HF_LITERAL("$remote_addr - $remote_user [$time_local] \"$request\" $status "
                            "$body_bytes_sent \"$http_referer\" \"$http_user_agent\"");
    } else if (hf_slice_starts(hf_slice_trim(format), HF_LITERAL("log_format"))) {
        format = hf_slice(joined, join_directive(format, joined, sizeof(joined)));
    }
    for (size_t i = 0; i < format.len;) {
        struct hf_logs_part *part = &t->parts[t->count];
        if (t->count == HF_LOGS_TEMPLATE_PARTS || t->text_len + format.len > sizeof(t->text)) {
            *why = "it is longer than holdfast reads: 2 KiB, 64 variables";
            return false;
        }
        *part = (struct hf_logs_part){.from = (uint16_t)t->text_len};
        while (i < format.len && format.ptr[i] != '$') {
            t->text[t->text_len++] = format.ptr[i++];
        }
        part->len = (uint16_t)(t->text_len - part->from);
        if (i < format.len) {
            i++;
            enum hf_logs_field field = hf_logs_field_from(take_variable(format, &i));
            part->field = (uint8_t)field;
            part->has_field = true;
            known = known || field == HF_LOGS_FIELD_STATUS;
        }
        t->count++;
    }
    *why = "it has no $status, by which a WebSocket (101) is known";
    return known;
}

static bool match_template(const struct hf_logs_template *t, struct hf_slice line,
                           struct hf_logs_event *e, int64_t zone, hf_time *took_upstream)
{
    struct hf_slice rest = line;
    for (size_t i = 0; i < t->count; i++) {
        const struct hf_logs_part *part = &t->parts[i];
        struct hf_slice literal = hf_slice(t->text + part->from, part->len);
        if (!hf_slice_starts(rest, literal)) {
            return false;
        }
        rest = hf_slice_from(rest, literal.len);
        if (!part->has_field) {
            break;
        }
        size_t end = rest.len;
        if (i + 1 < t->count) {
            struct hf_slice next = hf_slice(t->text + t->parts[i + 1].from, t->parts[i + 1].len);
            end = next.len > 0 ? hf_slice_search(rest, next) : rest.len;
            if (end == rest.len && next.len > 0) {
                return false;
            }
        }
        hf_logs_put_field(e, (enum hf_logs_field)part->field, hf_slice_first(rest, end), zone,
                          took_upstream);
        rest = hf_slice_from(rest, end);
    }
    return true;
}

/* ---- the access log */

void hf_logs_put_field(struct hf_logs_event *e, enum hf_logs_field field, struct hf_slice value,
                       int64_t zone, hf_time *took_upstream)
{
    int64_t n;
    size_t len;
    /* Of several upstreams ("a, b" and "1.0, 2.0") the last one served. */
    while (field == HF_LOGS_FIELD_TOOK_UPSTREAM || field == HF_LOGS_FIELD_UPSTREAM) {
        size_t comma = hf_slice_search(value, HF_LITERAL(", "));
        if (comma == value.len) {
            break;
        }
        value = hf_slice_from(value, comma + 2);
    }
    switch (field) {
    case HF_LOGS_FIELD_ADDRESS:
        e->address = value;
        break;
    case HF_LOGS_FIELD_TIME_LOCAL:
    case HF_LOGS_FIELD_TIME_ISO:
        if (hf_logs_when_iso(value, zone, &n, &len) || hf_logs_when_clf(value, zone, &n, &len)) {
            e->at = n;
            e->resolution = SECOND;
        }
        break;
    case HF_LOGS_FIELD_MSEC:
        if (hf_logs_when_unix(value, &n)) {
            e->at = n;
            e->resolution = 1000;
        }
        break;
    case HF_LOGS_FIELD_REQUEST:
        (void)hf_logs_request(value, &e->path);
        break;
    case HF_LOGS_FIELD_URI:
        e->path = value;
        break;
    case HF_LOGS_FIELD_STATUS:
        n = hf_logs_count(value);
        e->http = n >= 100 && n <= 999 ? (uint16_t)n : 0;
        break;
    case HF_LOGS_FIELD_BYTES:
        e->bytes_down = hf_logs_count(value);
        break;
    case HF_LOGS_FIELD_LENGTH:
        e->bytes_up = hf_logs_count(value);
        break;
    case HF_LOGS_FIELD_TOOK:
        e->age = hf_logs_seconds(value, &n) ? n : e->age;
        break;
    case HF_LOGS_FIELD_TOOK_UPSTREAM:
        *took_upstream = hf_logs_seconds(value, &n) ? n : *took_upstream;
        break;
    case HF_LOGS_FIELD_UPSTREAM:
        e->upstream = value;
        break;
    case HF_LOGS_FIELD_CONNECTION:
        n = hf_logs_count(value);
        e->connection = n > 0 ? (uint64_t)n : 0;
        break;
    case HF_LOGS_FIELD_OTHER:
    default:
        break;
    }
}

void hf_logs_finish_access(struct hf_logs_event *e, hf_time took_upstream)
{
    if (e->http != 101) {
        e->kind = e->http >= 400 ? HF_LOGS_HTTP : HF_LOGS_NOTHING;
        return;
    }
    e->kind = HF_LOGS_END;
    if (e->age >= 0 && took_upstream >= 0 && e->age - took_upstream > DRAINED) {
        e->what = HF_LITERAL("the upstream was given up before the client had been served");
    }
}

/* A number with exactly three decimals, as nginx writes its times. */
static bool is_took(struct hf_slice word)
{
    int64_t us;
    return word.len >= 5 && word.ptr[word.len - 4] == '.' && hf_logs_seconds(word, &us);
}

/* What a format of one's own has behind the combined one: rt=1.002, request_time: 1.002, "1.002",
 * or the bare number; of two bare ones the first is the request's. */
static void read_tail(struct hf_logs_event *e, struct hf_slice rest, hf_time *took_upstream)
{
    struct hf_slice word;
    bool bare = false;
    while (hf_logs_word(&rest, &word)) {
        size_t sign = hf_slice_find(word, '=');
        sign = sign < word.len ? sign : hf_slice_find(word, ':');
        if (is_took(word)) {
            if (!bare && e->age < 0) {
                hf_logs_put_field(e, HF_LOGS_FIELD_TOOK, word, 0, took_upstream);
            } else if (*took_upstream < 0) {
                hf_logs_put_field(e, HF_LOGS_FIELD_TOOK_UPSTREAM, word, 0, took_upstream);
            }
            bare = true;
        } else if (sign < word.len && sign > 0 && sign < 32) {
            enum hf_logs_field field = hf_logs_field_from(hf_slice_first(word, sign));
            struct hf_slice value = hf_slice_from(word, sign + 1);
            if (value.len > 1 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"') {
                value = hf_slice(value.ptr + 1, value.len - 2);
            }
            if (value.len == 0 && field != HF_LOGS_FIELD_OTHER && hf_logs_word(&rest, &word)) {
                value = word;
            }
            hf_logs_put_field(e, field, value, 0, took_upstream);
        }
    }
}

enum hf_logs_claim hf_logs_read_nginx_access(struct hf_logs_reader *r,
                                             const struct hf_logs_inner *in,
                                             struct hf_logs_event *e, const char **why)
{
    hf_time took_upstream = -1;
    struct hf_slice s = in->text;
    size_t len;
    if (r->nginx != NULL && match_template(r->nginx, s, e, r->clock.zone, &took_upstream)) {
        hf_logs_finish_access(e, took_upstream);
        return HF_LOGS_MINE;
    }
    *e = (struct hf_logs_event){0};
    hf_logs_event_init(e);
    /* address - user [time] "request" status bytes ... */
    e->address = hf_slice_first(s, hf_slice_find(s, ' '));
    struct hf_slice rest = hf_slice_from(s, e->address.len);
    size_t open = hf_slice_find(rest, '[');
    if (open == rest.len || open > 256 || e->address.len > 64 ||
        !hf_logs_when_clf(hf_slice_from(rest, open + 1), r->clock.zone, &e->at, &len)) {
        return HF_LOGS_NOT_MINE;
    }
    rest = hf_slice_from(rest, open + 1 + len);
    if (!hf_slice_starts(rest, HF_LITERAL("] \""))) {
        return HF_LOGS_NOT_MINE;
    }
    rest = hf_slice_from(rest, 2);
    struct hf_slice word;
    struct hf_slice target = {NULL, 0};
    *why = "an access line that ends before its status";
    if (!hf_logs_word(&rest, &word)) {
        return HF_LOGS_BROKEN;
    }
    (void)hf_logs_request(word, &target);
    e->path = target;
    e->resolution = SECOND;
    if (!hf_logs_word(&rest, &word) || word.len != 3 || hf_logs_count(word) < 100) {
        /* Daphne's lines look like this as well: "WSCONNECT /" - - */
        return hf_slice_eq(word, HF_LITERAL("-")) ? HF_LOGS_NOT_MINE : HF_LOGS_BROKEN;
    }
    e->http = (uint16_t)hf_logs_count(word);
    if (hf_logs_word(&rest, &word)) {
        e->bytes_down = hf_logs_count(word);
    }
    if (e->http == 101) {
        read_tail(e, rest, &took_upstream);
    }
    hf_logs_finish_access(e, took_upstream);
    return HF_LOGS_MINE;
}

/* ---- the error log */

/* The text behind `name: ` up to the comma or the end; quotes are taken off. */
static struct hf_slice detail(struct hf_slice s, const char *name)
{
    struct hf_slice key = hf_slice_of(name);
    size_t at = hf_slice_search(s, key);
    if (at == s.len) {
        return (struct hf_slice){NULL, 0};
    }
    struct hf_slice value = hf_slice_from(s, at + key.len);
    if (value.len > 0 && value.ptr[0] == '"') {
        value = hf_slice_from(value, 1);
        return hf_slice_first(value, hf_slice_find(value, '"'));
    }
    return hf_slice_first(value, hf_slice_find(value, ','));
}

static const struct {
    const char *needle;
    const char *level; /* NULL: any */
    const char *cause;
    enum hf_logs_how how;
    enum hf_logs_who who;
} tunnel_ends[] = {
    /* What times out upstream is proxy_read_timeout, or proxy_send_timeout while it takes nothing:
     * both are said so. */
    {"upstream timed out", NULL, "nginx-proxy-read-60s", HF_LOGS_HOW_TIMER, HF_LOGS_WHO_PATH},
    {"client timed out", NULL, "nginx-send-timeout-60s", HF_LOGS_HOW_TIMER, HF_LOGS_WHO_PATH},
    {"(104: Connection reset by peer)", "error", "nginx-upstream-rst", HF_LOGS_HOW_RST,
     HF_LOGS_WHO_SERVER},
    {"(104: Connection reset by peer)", "info", "", HF_LOGS_HOW_RST, HF_LOGS_WHO_CLIENT},
    {"(32: Broken pipe)", "error", "nginx-upstream-rst", HF_LOGS_HOW_RST, HF_LOGS_WHO_SERVER},
    {"(32: Broken pipe)", "info", "", HF_LOGS_HOW_RST, HF_LOGS_WHO_CLIENT},
    {"(110: Connection timed out)", "error", "", HF_LOGS_HOW_SILENCE, HF_LOGS_WHO_SERVER},
    {"(110: Connection timed out)", "info", "", HF_LOGS_HOW_SILENCE, HF_LOGS_WHO_CLIENT},
    {"(113: No route to host)", NULL, "", HF_LOGS_HOW_SILENCE, HF_LOGS_WHO_PATH},
};

static void read_tunnel_end(struct hf_logs_event *e, struct hf_slice text, struct hf_slice level)
{
    e->kind = HF_LOGS_HINT;
    (void)hf_logs_request(detail(text, "request: "), &e->path);
    e->address = detail(text, "client: ");
    e->upstream = detail(text, "upstream: ");
    e->how = HF_LOGS_HOW_OTHER;
    e->reason = hf_slice_first(text, hf_slice_search(text, HF_LITERAL(" while proxying")));
    for (size_t i = 0; i < sizeof(tunnel_ends) / sizeof(tunnel_ends[0]); i++) {
        if (hf_logs_has(text, tunnel_ends[i].needle) &&
            (tunnel_ends[i].level == NULL ||
             hf_slice_eq(level, hf_slice_of(tunnel_ends[i].level)))) {
            e->cause = hf_slice_of(tunnel_ends[i].cause);
            e->how = tunnel_ends[i].how;
            e->who = tunnel_ends[i].who;
            return;
        }
    }
}

static uint32_t pid_behind(struct hf_slice text, const char *words)
{
    uint64_t pid = 0;
    struct hf_slice key = hf_slice_of(words);
    size_t at = hf_slice_search(text, key);
    struct hf_slice rest = hf_slice_from(text, at + key.len);
    return at < text.len &&
                   hf_slice_number(hf_slice_first(rest, hf_slice_find(rest, ' ')), UINT32_MAX, &pid)
               ? (uint32_t)pid
               : 0;
}

/* What the master and the workers say of themselves. */
static void read_process(struct hf_logs_event *e, struct hf_slice text)
{
    if (hf_logs_has(text, "exited on signal")) {
        e->kind = HF_LOGS_DEATH;
        e->what = HF_LITERAL("an nginx worker was killed; nginx writes no access line for its "
                             "connections");
        e->cause = HF_LITERAL("nginx-stop-or-crash");
        e->pid = pid_behind(text, "worker process ");
    } else if (hf_slice_eq(text, HF_LITERAL("reconfiguring"))) {
        e->kind = HF_LOGS_RESTART;
        e->what = HF_LITERAL("nginx was reloaded");
        e->cause = HF_LITERAL("nginx-reload-shutdown-timeout");
    } else if (hf_logs_has(text, "(SIGTERM) received") || hf_logs_has(text, "(SIGINT) received")) {
        e->kind = HF_LOGS_RESTART;
        e->what = HF_LITERAL("nginx was stopped; it writes no access line for its connections");
        e->cause = HF_LITERAL("nginx-stop-or-crash");
    } else if (hf_slice_eq(text, HF_LITERAL("exiting"))) {
        e->kind = HF_LOGS_RESTART;
        e->what = HF_LITERAL("an nginx worker went");
        e->cause = HF_LITERAL("nginx-reload-shutdown-timeout");
    } else if (hf_logs_has(text, "worker_connections are not enough")) {
        e->kind = HF_LOGS_LIMITER;
        e->what = HF_LITERAL("nginx: worker_connections are not enough");
        e->cause = HF_LITERAL("nginx-worker-connections");
    } else if (hf_logs_has(text, "(24: Too many open files)")) {
        e->kind = HF_LOGS_LIMITER;
        e->what = HF_LITERAL("nginx: too many open files");
        e->cause = HF_LITERAL("fd-limit");
    } else if (hf_logs_has(text, "(99: Cannot assign requested address)")) {
        e->kind = HF_LOGS_LIMITER;
        e->what = HF_LITERAL("nginx: no local port left towards the upstream");
        e->cause = HF_LITERAL("nginx-ephemeral-ports");
    } else if (hf_logs_has(text, "limiting connections") ||
               hf_logs_has(text, "limiting requests")) {
        e->kind = HF_LOGS_LIMITER;
        e->what = HF_LITERAL("nginx: limit_conn or limit_req refused a request");
        e->cause = HF_LITERAL("connection-cap");
    }
}

enum hf_logs_claim hf_logs_read_nginx_error(struct hf_logs_reader *r,
                                            const struct hf_logs_inner *in, struct hf_logs_event *e,
                                            const char **why)
{
    struct hf_slice s = in->text;
    size_t len;
    uint64_t n;
    if (s.len < 20 || s.ptr[4] != '/' || !hf_logs_when_iso(s, r->clock.zone, &e->at, &len) ||
        !hf_slice_starts(hf_slice_from(s, len), HF_LITERAL(" ["))) {
        return HF_LOGS_NOT_MINE;
    }
    e->resolution = SECOND;
    struct hf_slice rest = hf_slice_from(s, len + 2);
    struct hf_slice level = hf_slice_first(rest, hf_slice_find(rest, ']'));
    *why = "a line of nginx's error log that ends before its message";
    rest = hf_slice_from(rest, level.len + 2);
    size_t colon = hf_slice_search(rest, HF_LITERAL(": "));
    size_t hash = hf_slice_find(rest, '#');
    if (colon >= rest.len || hash > colon ||
        !hf_slice_number(hf_slice_first(rest, hash), UINT32_MAX, &n)) {
        return HF_LOGS_BROKEN;
    }
    e->pid = (uint32_t)n;
    rest = hf_slice_from(rest, colon + 2);
    if (rest.len > 0 && rest.ptr[0] == '*') {
        size_t end = hf_slice_find(rest, ' ');
        if (hf_slice_number(hf_slice_from(hf_slice_first(rest, end), 1), UINT64_MAX, &n)) {
            e->connection = n;
        }
        rest = hf_slice_from(rest, end + 1);
    }
    if (hf_logs_has(rest, "while proxying upgraded connection")) {
        read_tunnel_end(e, rest, level);
    } else {
        read_process(e, rest);
    }
    return HF_LOGS_MINE;
}
