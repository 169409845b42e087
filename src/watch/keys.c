/* SPDX-License-Identifier: Apache-2.0 */
/* The table of keys of the watch's configuration, and what is made of it for people. */
#include "watch/keys.h"

#include "config/build.h"

#include <stdio.h>

#define TOP(field) .scope = HF_WATCH_TOP, .offset = offsetof(struct hf_watch_settings, field)
#define INHERITED(field)                                                                           \
    .scope = HF_WATCH_INHERITED, .offset = offsetof(struct hf_watch_target_settings, field)
#define OWN(field)                                                                                 \
    .scope = HF_WATCH_TARGET, .offset = offsetof(struct hf_watch_target_settings, field)
#define CHANNEL(field)                                                                             \
    .scope = HF_WATCH_CHANNEL, .offset = offsetof(struct hf_watch_channel_settings, field)
#define KEY(name_, type_, place, fallback_, sentence_, ...)                                        \
    {                                                                                              \
        .name = (name_), .type = HF_WATCH_##type_, place, .fallback = (fallback_),                 \
        .sentence = (sentence_), __VA_ARGS__                                                       \
    }
#define OPTION(name_, option_, sentence_, ...)                                                     \
    {                                                                                              \
        .name = (name_), .type = HF_WATCH_OPTION, .scope = HF_WATCH_INHERITED,                     \
        .option = (option_), .sentence = (sentence_), __VA_ARGS__                                  \
    }
#define RANGE(min_, max_) .min = (uint64_t)(min_), .max = (uint64_t)(max_)
#define MINUTES(n) HF_SECONDS((n)*60)
#define HOURS(n) MINUTES((n)*60)
#define DAYS(n) HOURS((n)*24)

static const struct hf_watch_choice levels[] = {{"debug", HF_LOG_DEBUG},
                                                {"info", HF_LOG_INFO},
                                                {"warning", HF_LOG_WARNING},
                                                {"error", HF_LOG_ERROR},
                                                {NULL, 0}};
static const struct hf_watch_choice formats[] = {
    {"auto", -1}, {"text", HF_LOG_TEXT}, {"json", HF_LOG_JSON}, {NULL, 0}};
static const struct hf_watch_choice types[] = {{"json", HF_CHANNEL_JSON},
                                               {"slack", HF_CHANNEL_SLACK},
                                               {"alertmanager", HF_CHANNEL_ALERTMANAGER},
                                               {"command", HF_CHANNEL_COMMAND},
                                               {NULL, 0}};
static const struct hf_watch_choice kinds[] = {{"drop", HF_INCIDENT_DROP},
                                               {"connect", HF_INCIDENT_CONNECT},
                                               {"slow", HF_INCIDENT_SLOW},
                                               {"certificate", HF_INCIDENT_CERTIFICATE},
                                               {NULL, 0}};

const struct hf_watch_key hf_watch_keys[] = {
    KEY("listen", ADDRESS, TOP(listen), "127.0.0.1:9900",
        "where the status page, /metrics, /api and /healthz are served; empty: nowhere",
        .is_flag = true),
    KEY("hosts", TEXTS, TOP(hosts), "",
        "names that a request's Host header may have beside addresses and localhost; asked for "
        "when listen is a loopback address or hosts is not empty"),
    KEY("token_env", VARIABLE, TOP(token), "",
        "environment variable with the bearer token that the pages demand; needed when listen is "
        "not a loopback address",
        .secret = true),
    KEY("database", TEXT, TOP(database), "",
        "SQLite file of the history; empty: none, and everything is forgotten at the end",
        .is_flag = true),
    KEY("retention", DURATION, TOP(retention), "90d", "how long the history goes back",
        RANGE(HOURS(1), DAYS(3650)), .is_flag = true),
    KEY("quiet_signal", DURATION, TOP(quiet_signal), "5m",
        "how long SIGUSR2 makes everything quiet", RANGE(HF_SECONDS(1), DAYS(1))),
    KEY("public_url", TEXT, TOP(public_url), "",
        "address of the status page as others reach it; it goes into the alerts"),
    KEY("log_level", WORD, TOP(log_level), "info", "the least important lines that are written",
        .words = levels, .is_flag = true),
    KEY("log_format", WORD, TOP(log_format), "auto",
        "text for people or JSON lines; auto is text on a terminal, JSON otherwise",
        .words = formats, .is_flag = true),
    KEY("log_file", TEXT, TOP(log_file), "",
        "file to append to, opened again on SIGUSR1; empty: standard error"),
    KEY("targets", LIST, TOP(targets), NULL, "the list of targets, each a map of their keys"),
    KEY("channels", LIST, TOP(channels), NULL,
        "where alerts go: a list, each a map of the keys of a channel"),

    KEY("url", TEXT, OWN(url), NULL, "the WebSocket: ws:, wss:, http: or https:; must be given"),
    KEY("name", TEXT, OWN(name), "",
        "how it is called in alerts, metrics and pages; empty: the URL without its query"),
    KEY("notify", TEXTS, OWN(channels), "", "names of the channels of its alerts; empty: all"),

    OPTION("headers", "header", "lines \"Name: value\" of the handshake", .is_flag = false),
    OPTION("protocols", "subprotocol", "subprotocols to offer"),
    OPTION("origin", "origin", "the Origin header"),
    OPTION("token", "token", "credentials, sent as Authorization: Bearer", .secret = true),
    OPTION("token_query", "token-query",
           "name of a query parameter that carries the token in place of the header"),
    OPTION("user", "user", "name:password for HTTP's Basic scheme", .secret = true),
    OPTION("insecure", "insecure", "accepts any certificate (its expiry is watched all the same)",
           .is_switch = true),
    OPTION("cacert", "cacert", "PEM file of the authorities to trust, in place of the system's"),
    OPTION("proxy", "proxy", "HTTP proxy, asked with CONNECT; default: what the environment says"),
    OPTION("resolve", "resolve", "entries HOST:PORT:ADDRESS, which are used instead of a look-up"),
    OPTION("connect_to", "connect-to", "address that TCP goes to, while names stay as they are"),
    OPTION("connect_timeout", "connect-timeout",
           "for look-up, TCP, TLS and the upgrade together; default 20s"),

    KEY("connections", COUNT, INHERITED(connections), "1", "connections that are held at once",
        RANGE(1, 100), .is_flag = true),
    KEY("ping_every", DURATION, INHERITED(ping_every), "20s",
        "time between WebSocket pings, which measure the round trip; 0: none",
        RANGE(HF_MS(10), DAYS(1)), .zero = true, .is_flag = true),
    KEY("message_every", DURATION, INHERITED(message_every), "0",
        "time between messages to the application; 0: none", RANGE(HF_MS(10), DAYS(1)),
        .zero = true, .is_flag = true),
    KEY("message", TEXT, INHERITED(message), "{\"type\":\"ping\"}", "the text of these messages",
        .is_flag = true),
    KEY("say", TEXTS, INHERITED(say), "", "texts that are sent once, in order, behind the open"),
    KEY("answer_timeout", DURATION, INHERITED(answer_timeout), "20s",
        "a ping that is not answered within it ends the connection as silent",
        RANGE(HF_MS(10), HOURS(1)), .is_flag = true),
    KEY("renew", DURATION, INHERITED(renew), "0",
        "a held connection is ended and made anew after so long; 0: never",
        RANGE(HF_SECONDS(1), DAYS(30)), .zero = true),
    KEY("check_every", DURATION, INHERITED(check_every), "1m",
        "time between checks with a fresh connection: connect, one ping, close; 0: none",
        RANGE(HF_MS(100), DAYS(1)), .zero = true, .is_flag = true),
    KEY("backoff_max", DURATION, INHERITED(backoff_max), "30s",
        "the longest wait between attempts to connect", RANGE(HF_MS(10), HOURS(1))),

    KEY("min_hold", DURATION, INHERITED(min_hold), "1h",
        "a drop of a connection that is younger is premature; never: every drop is",
        RANGE(0, DAYS(3650)), .never = true, .is_flag = true),
    KEY("expected_codes", CODES, INHERITED(expected_codes), "",
        "close codes with which a connection may end at any age"),
    KEY("deploy_codes", CODES, INHERITED(deploy_codes), "1001,1012",
        "close codes by which a server says that it restarts: no premature drop, and deploy_hold "
        "begins"),
    KEY("deploy_hold", DURATION, INHERITED(deploy_hold), "2m",
        "after a restart alerts of the target, and of others at the same host and port, are held "
        "back "
        "for so long",
        RANGE(HF_MS(100), HOURS(12)), .zero = true),
    KEY("deploy_max", RATE, INHERITED(deploy_max), "6 in 1h",
        "restarts beyond these are premature drops"),
    KEY("max_rtt", DURATION, INHERITED(max_rtt), "0",
        "a longer round trip of a ping is slow; 0: none is", RANGE(1, HOURS(1)), .zero = true,
        .is_flag = true),
    KEY("max_connect", DURATION, INHERITED(max_connect), "0",
        "a connection that takes longer to open is counted as a failed one; 0: none is",
        RANGE(HF_MS(1), HOURS(1)), .zero = true, .is_flag = true),
    KEY("certificate_days", COUNT, INHERITED(certificate_days), "14",
        "a certificate that runs out in fewer days is an incident; 0: none is", RANGE(0, 3650),
        .is_flag = true),
    KEY("drop_for", RATE, INHERITED(drop_for), "1", "premature drops that make an incident"),
    KEY("connect_for", RATE, INHERITED(connect_for), "2 in 5m",
        "failed attempts to connect that make an incident"),
    KEY("slow_for", RATE, INHERITED(slow_for), "3 in 5m", "slow round trips that make an incident"),
    KEY("recover", DURATION, INHERITED(recover), "10m",
        "an incident of drops or of slow round trips is over when none came for so long",
        RANGE(HF_MS(100), DAYS(7))),
    KEY("repeat", DURATION, INHERITED(repeat), "4h",
        "time between reminders of what is still wrong; 0: none", RANGE(HF_SECONDS(1), DAYS(30)),
        .zero = true),
    KEY("quiet", WINDOWS, INHERITED(quiet), "",
        "times of the week, local, in which alerts are held back"),

    KEY("name", TEXT, CHANNEL(name), NULL, "its name; must be given"),
    KEY("type", WORD, CHANNEL(type), "json",
        "json: the alert as one object; slack: a message for an incoming webhook; alertmanager: "
        "the API v2 of Prometheus' Alertmanager; command: a program",
        .words = types),
    KEY("url", TEXT, CHANNEL(url), "",
        "where it is posted to; of alertmanager the base, to which /api/v2/alerts is added",
        .secret = true),
    KEY("url_env", VARIABLE, CHANNEL(url), "", "environment variable with the URL", .secret = true),
    KEY("command", TEXTS, CHANNEL(command), "",
        "the program and its words; the alert is in the environment, HOLDFAST_ALERT and others"),
    KEY("headers", TEXTS, CHANNEL(headers), "", "lines \"Name: value\" of the request"),
    KEY("token_env", VARIABLE, CHANNEL(token), "",
        "environment variable with a token that is sent as Authorization: Bearer", .secret = true),
    KEY("cacert", TEXT, CHANNEL(cacert), "",
        "PEM file of the authorities to trust, in place of the system's"),
    KEY("timeout", DURATION, CHANNEL(timeout), "10s", "for one attempt",
        RANGE(HF_MS(100), MINUTES(10))),
    KEY("tries", COUNT, CHANNEL(tries), "8", "attempts before an alert is given up",
        RANGE(1, 1000)),
    KEY("retry_max", DURATION, CHANNEL(retry_max), "1m", "the longest wait between two attempts",
        RANGE(HF_MS(10), HOURS(1))),
    KEY("kinds", KINDS, CHANNEL(kinds), "drop,connect,slow,certificate",
        "the incidents that go there", .words = kinds),
    KEY("recovery", BOOL, CHANNEL(recovery), "true", "whether it is told what is over"),
    KEY("reminders", BOOL, CHANNEL(reminders), "true", "whether it is reminded"),
    KEY("resend", DURATION, CHANNEL(resend), "1m",
        "Alertmanager forgets what is not sent again: what is open is sent so often",
        RANGE(HF_SECONDS(1), HOURS(1))),
};
const size_t hf_watch_key_count = sizeof(hf_watch_keys) / sizeof(hf_watch_keys[0]);
_Static_assert(sizeof(hf_watch_keys) / sizeof(hf_watch_keys[0]) <= HF_WATCH_KEYS_MAX,
               "HF_WATCH_KEYS_MAX");

const struct hf_watch_key *hf_watch_key_find(struct hf_slice name, bool channel)
{
    for (size_t i = 0; i < hf_watch_key_count; i++) {
        const struct hf_watch_key *key = &hf_watch_keys[i];
        if ((key->scope == HF_WATCH_CHANNEL) == channel &&
            hf_slice_eq(name, hf_slice_of(key->name))) {
            return key;
        }
    }
    return NULL;
}

/* ---- for people ------------------------------------------------------------------------- */

static const char *type_text(const struct hf_watch_key *key)
{
    switch (key->type) {
    case HF_WATCH_BOOL:
        return "true or false";
    case HF_WATCH_COUNT:
        return "a whole number";
    case HF_WATCH_DURATION:
        return key->never ? "a duration (250ms, 90s, 5m, 2h, 1d) or never"
                          : "a duration (250ms, 90s, 5m, 2h, 1d)";
    case HF_WATCH_TEXT:
        return "a text";
    case HF_WATCH_VARIABLE:
        return "the name of a variable that is set";
    case HF_WATCH_TEXTS:
        return "a text or a list of texts";
    case HF_WATCH_CODES:
        return "a list of close codes, 1000 to 4999";
    case HF_WATCH_RATE:
        return "1, or a number and a time such as 3 in 10m (at most 32)";
    case HF_WATCH_WINDOWS:
        return "a list of times such as \"sun 02:00-04:00\", \"daily 23:30-00:30\" or \"mon-fri "
               "12:00-12:15\"";
    case HF_WATCH_ADDRESS:
        return "127.0.0.1:9900, [::1]:9900 or unix:/run/watch.sock";
    case HF_WATCH_WORD:
        return "";
    case HF_WATCH_KINDS:
        return "a list of ";
    case HF_WATCH_OPTION:
        return key->is_switch ? "true or false" : "a text or a list of texts";
    case HF_WATCH_LIST:
        return "a list of maps";
    }
    return "";
}

void hf_watch_key_allowed(const struct hf_watch_key *key, char text[256])
{
    size_t len = (size_t)snprintf(text, 256, "%s", type_text(key));
    for (const struct hf_watch_choice *w = key->words; w != NULL && w->word != NULL && len < 200;
         w++) {
        len +=
            (size_t)snprintf(text + len, 256 - len, "%s%s", w == key->words ? "" : ", ", w->word);
    }
    if (key->max == 0 || (key->type != HF_WATCH_COUNT && key->type != HF_WATCH_DURATION)) {
        return;
    }
    if (key->type == HF_WATCH_COUNT) {
        (void)snprintf(text + len, 256 - len, ", %llu to %llu", (unsigned long long)key->min,
                       (unsigned long long)key->max);
    } else {
        char min[24];
        char max[24];
        hf_duration_text((hf_time)key->min, min);
        hf_duration_text((hf_time)key->max, max);
        (void)snprintf(text + len, 256 - len, ", %s%s to %s", key->zero ? "0 or " : "", min, max);
    }
}

static void add_rows(struct hf_buffer *out, const char *title, const char *what, unsigned scopes)
{
    hf_buffer_addf(out,
                   "### %s\n\n%s\n\n| key | what it does | allowed | default |\n"
                   "|---|---|---|---|\n",
                   title, what);
    for (size_t i = 0; i < hf_watch_key_count; i++) {
        const struct hf_watch_key *key = &hf_watch_keys[i];
        char allowed[256];
        if ((scopes >> key->scope & 1) == 0) {
            continue;
        }
        hf_watch_key_allowed(key, allowed);
        bool none = key->fallback == NULL || key->fallback[0] == '\0';
        hf_buffer_addf(out, "| `%s` | %s%s%s | %s | %s%s%s |\n", key->name, key->sentence,
                       key->secret ? "; secret: never shown" : "",
                       key->is_flag ? "; also a flag" : "", allowed, none ? "" : "`",
                       none ? "none" : key->fallback, none ? "" : "`");
    }
    hf_buffer_add_byte(out, '\n');
}

void hf_watch_keys_document(struct hf_buffer *out)
{
    add_rows(out, "Keys of the top level", "They stand at the top of the file and nowhere else.",
             1U << HF_WATCH_TOP);
    add_rows(out, "Keys of a target", "They stand in an entry of `targets`.",
             1U << HF_WATCH_TARGET);
    add_rows(out, "Keys that targets inherit",
             "They stand at the top for all targets, or in a target for it alone.",
             1U << HF_WATCH_INHERITED);
    add_rows(out, "Keys of a channel", "They stand in an entry of `channels`.",
             1U << HF_WATCH_CHANNEL);
}

static const char *value_name(const struct hf_watch_key *key)
{
    switch (key->type) {
    case HF_WATCH_DURATION:
        return "DURATION";
    case HF_WATCH_COUNT:
        return "NUMBER";
    case HF_WATCH_ADDRESS:
        return "ADDRESS";
    case HF_WATCH_WORD:
        return "WORD";
    case HF_WATCH_BOOL:
    case HF_WATCH_TEXT:
    case HF_WATCH_VARIABLE:
    case HF_WATCH_TEXTS:
    case HF_WATCH_CODES:
    case HF_WATCH_RATE:
    case HF_WATCH_WINDOWS:
    case HF_WATCH_KINDS:
    case HF_WATCH_OPTION:
    case HF_WATCH_LIST:
        break;
    }
    return "TEXT";
}

void hf_watch_keys_help(struct hf_buffer *out)
{
    struct hf_buffer text;
    hf_buffer_init(&text, out->alloc, 4096);
    for (size_t i = 0; i < hf_watch_key_count; i++) {
        const struct hf_watch_key *key = &hf_watch_keys[i];
        if (!key->is_flag) {
            continue;
        }
        hf_buffer_add_text(out, "  --");
        for (const char *c = key->name; *c != '\0'; c++) {
            hf_buffer_add_byte(out, *c == '_' ? '-' : (uint8_t)*c);
        }
        hf_buffer_addf(out, " %s\n", value_name(key));
        bool none = key->fallback == NULL || key->fallback[0] == '\0';
        hf_buffer_clear(&text);
        hf_buffer_addf(&text, "%s (default: %s)", key->sentence, none ? "none" : key->fallback);
        hf_config_add_wrapped(out, hf_buffer_slice(&text));
    }
    hf_buffer_reset(&text);
}
