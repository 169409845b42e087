/* SPDX-License-Identifier: Apache-2.0 */
/* The table of configuration keys, and their names as flags and variables. */
#include "config/keys.h"

#include "base/status.h"
#include "config/valid.h"

#include <stdio.h>

#define GLOBAL(field) .scope = HF_SCOPE_GLOBAL, .offset = offsetof(struct hf_config, field)
#define INHERITED(field)                                                                           \
    .scope = HF_SCOPE_INHERITED, .offset = offsetof(struct hf_route_config, field)
#define OWN(field) .scope = HF_SCOPE_ROUTE, .offset = offsetof(struct hf_route_config, field)
#define KEY(name_, type_, place, fallback_, sentence_, ...)                                        \
    {                                                                                              \
        .name = (name_), .type = HF_KEY_##type_, place, .fallback = (fallback_),                   \
        .sentence = (sentence_), __VA_ARGS__                                                       \
    }
#define RANGE(min_, max_) .min = (min_), .max = (max_)
#define MS(n) ((uint64_t)(n)*1000)
#define SECONDS(n) MS((n)*1000)
#define HOURS(n) SECONDS((n)*3600)
#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

static const struct hf_config_word levels[] = {{"debug", HF_LOG_DEBUG},
                                               {"info", HF_LOG_INFO},
                                               {"warning", HF_LOG_WARNING},
                                               {"error", HF_LOG_ERROR},
                                               {NULL, 0}};
static const struct hf_config_word formats[] = {
    {"auto", -1}, {"text", HF_LOG_TEXT}, {"json", HF_LOG_JSON}, {NULL, 0}};
static const struct hf_config_word versions[] = {{"1.2", 0x0303}, {"1.3", 0x0304}, {NULL, 0}};
static const struct hf_config_word missing_origins[] = {
    {"allow", HF_ORIGIN_ALLOW}, {"refuse", HF_ORIGIN_REFUSE}, {NULL, 0}};
static const struct hf_config_word beat_modes[] = {
    {"edge", HF_BEAT_EDGE}, {"pass", HF_BEAT_PASS}, {NULL, 0}};
static const struct hf_config_word losses[] = {
    {"close", HF_LOSS_CLOSE}, {"hold", HF_LOSS_HOLD}, {"prologue", HF_LOSS_PROLOGUE}, {NULL, 0}};
static const struct hf_config_word auths[] = {
    {"none", HF_AUTH_NONE}, {"jwt", HF_AUTH_JWT}, {"callout", HF_AUTH_CALLOUT}, {NULL, 0}};
static const struct hf_config_word places[] = {{"query", HF_TOKEN_QUERY},
                                               {"header", HF_TOKEN_HEADER},
                                               {"cookie", HF_TOKEN_COOKIE},
                                               {"subprotocol", HF_TOKEN_SUBPROTOCOL},
                                               {NULL, 0}};
static const struct hf_config_word message_excess[] = {
    {"delay", HF_EXCESS_DELAY}, {"close", HF_EXCESS_CLOSE}, {NULL, 0}};
static const struct hf_config_word handshake_excess[] = {
    {"refuse", HF_EXCESS_REFUSE}, {"delay", HF_EXCESS_DELAY}, {NULL, 0}};

/* Keys of one group stand together: the printed form nests them. */
const struct hf_config_key hf_config_keys[] = {
    KEY("listen", LISTENS, GLOBAL(listens), "127.0.0.1:8800",
        "where clients connect: one address or a list; in the file an entry may be a map of "
        "address, "
        "proxy_protocol (true: every connection starts with a PROXY header from one of "
        "trusted_proxies) and tls "
        "(a list of maps of cert and key, chosen by SNI; [] is plain)",
        .allowed = "127.0.0.1:8800, [::1]:8800 or unix:/run/holdfast.sock"),
    KEY("unix_mode", MODE, GLOBAL(unix_mode), "0660",
        "permissions of the files of Unix listeners, in octal", RANGE(1, 0777)),
    KEY("admin", ADDRESS, GLOBAL(admin), "",
        "where /healthz, /readyz, /metrics and /api are served; empty: nowhere",
        .allowed = "127.0.0.1:9090, [::1]:9090 or unix:/run/holdfast-admin.sock"),
    KEY("admin_token", TEXT, GLOBAL(admin_token), "",
        "the bearer token the admin listener demands; needed when it is not on a loopback address",
        .secret = true, .max = 512, .valid = hf_config_token_is_valid,
        .allowed = "visible ASCII characters, and not the *** that --check prints"),
    KEY("workers", COUNT, GLOBAL(workers), "0", "threads; 0 is one for each core", RANGE(0, 1024)),
    KEY("drain", DURATION, GLOBAL(drain), "10s",
        "after SIGTERM the goodbyes are spread over this long", RANGE(0, HOURS(24))),
    KEY("handshake_timeout", DURATION, GLOBAL(handshake_timeout), "10s",
        "a client that has not sent its whole request (and TLS handshake) by then is closed",
        RANGE(MS(10), HOURS(1))),
    KEY("head_max", SIZE, GLOBAL(head_max), "16KiB", "largest request or response head",
        RANGE(KIB(1), KIB(64))),
    KEY("trusted_proxies", BLOCKS, GLOBAL(trusted_proxies), "",
        "addresses and blocks whose PROXY header, X-Forwarded-*, Forwarded and CF-Connecting-IP "
        "are believed",
        .valid = hf_config_block_is_valid,
        .allowed = "10.0.0.0/8, 2001:db8::/32 (no bits set behind the prefix) or 192.0.2.1"),
    KEY("endings_kept", COUNT, GLOBAL(endings_kept), "4096", "endings that /api/endings remembers",
        RANGE(1000, 1000000)),
    KEY("tls.cert", TEXT, GLOBAL(tls.cert), "",
        "PEM file with certificate and chain, for every listener without its own; read again on "
        "SIGHUP"),
    KEY("tls.key", TEXT, GLOBAL(tls.key), "", "PEM file with the private key of tls.cert"),
    KEY("tls.version_min", WORD16, GLOBAL(tls.version_min), "1.2",
        "oldest TLS version of the listeners", .words = versions),
    KEY("log.level", WORD, GLOBAL(log.level), "info", "the least important lines that are written",
        .words = levels),
    KEY("log.format", WORD, GLOBAL(log.format), "auto",
        "text for people or JSON lines for machines; auto is text on a terminal, JSON otherwise",
        .words = formats),
    KEY("log.file", TEXT, GLOBAL(log.file), "",
        "file to append to, opened again on SIGUSR1; empty: standard error"),
    KEY("tcp.keepalive_idle", DURATION, GLOBAL(sockets.keepalive_idle), "60s",
        "TCP keepalive after this much silence; 0: off", RANGE(SECONDS(1), SECONDS(32767)),
        .zero = true),
    KEY("tcp.keepalive_interval", DURATION, GLOBAL(sockets.keepalive_interval), "10s",
        "time between TCP keepalive probes", RANGE(SECONDS(1), SECONDS(32767))),
    KEY("tcp.keepalive_count", INT, GLOBAL(sockets.keepalive_count), "3",
        "unanswered TCP keepalive probes that end a connection", RANGE(1, 127)),
    KEY("tcp.user_timeout", DURATION, GLOBAL(sockets.user_timeout), "2m",
        "TCP_USER_TIMEOUT: sent bytes that stay unacknowledged for so long end the connection; 0: "
        "the system's",
        RANGE(MS(100), HOURS(24)), .zero = true),
    KEY("tcp.notsent_lowat", SIZE32, GLOBAL(sockets.notsent_lowat), "128KiB",
        "TCP_NOTSENT_LOWAT: bytes the kernel queues beyond what it has sent; 0: the system's",
        RANGE(KIB(4), GIB(1)), .zero = true),

    KEY("path", TEXT, OWN(path), NULL,
        "prefix of the request paths the route takes; /ws takes /ws and /ws/..., /ws/ only what is "
        "below, / all; the "
        "longest that fits wins; must be given",
        .valid = hf_config_path_is_valid,
        .allowed = "a path that starts with /, without query, escapes or dot segments"),
    KEY("rewrite", TEXT, OWN(rewrite), "",
        "put in place of the route's path in what goes to the upstream; empty: the path goes on as "
        "it is",
        .valid = hf_config_path_is_valid,
        .allowed = "a path that starts with /, without query, escapes or dot segments"),
    KEY("name", TEXT, OWN(name), "", "label in logs and metrics; empty: the path", .max = 128,
        .valid = hf_config_name_is_valid,
        .allowed = "printable characters without spaces, quotes or backslashes"),
    KEY("upstream", UPSTREAMS, INHERITED(upstreams), "",
        "URL of the backend, or a list; a path in it is put in front of the request's path",
        .allowed =
            "http://127.0.0.1:8000, https://app:8443/base, ws://, wss:// or unix:/run/app.sock"),
    KEY("balance", BALANCE, INHERITED(balance), "least",
        "which of several upstreams: the one with the least connections, or always the same for a "
        "client address, a "
        "query parameter or a cookie",
        .allowed = "least, address, query:NAME or cookie:NAME"),
    KEY("upstream_tls.ca", TEXT, INHERITED(upstream_tls.ca), "",
        "PEM file or directory of the authorities that upstreams are verified with; empty: the "
        "system's"),
    KEY("upstream_tls.name", TEXT, INHERITED(upstream_tls.name), "",
        "name for SNI and verification; empty: the URL's host", .max = 253,
        .valid = hf_config_dns_name_is_valid, .allowed = "a host name such as app.example.com"),
    KEY("upstream_tls.verify", BOOL, INHERITED(upstream_tls.verify), "true",
        "whether the upstream's certificate is verified"),
    KEY("connect_timeout", DURATION, INHERITED(connect_timeout), "5s",
        "for each attempt to connect to an upstream", RANGE(MS(1), HOURS(1))),
    KEY("upstream_timeout", DURATION, INHERITED(upstream_timeout), "30s",
        "from the request sent to the upstream's whole answer", RANGE(MS(1), HOURS(1))),
    KEY("connect_tries", COUNT, INHERITED(connect_tries), "3",
        "attempts to connect, over all upstreams of the route", RANGE(1, 100)),
    KEY("preserve_host", BOOL, INHERITED(preserve_host), "true",
        "true: the client's Host goes to the upstream; false: the upstream's own"),
    KEY("health.fails", COUNT, INHERITED(health_fails), "3",
        "failures in a row that take an upstream out; 0: never", RANGE(0, 1000)),
    KEY("health.down", DURATION, INHERITED(health_down), "10s",
        "how long a failed upstream stays out", RANGE(MS(1), HOURS(24))),
    KEY("hosts", TEXTS, INHERITED(hosts), "", "allowed values of Host; empty: all",
        .valid = hf_host_pattern_is_valid,
        .allowed = "app.example.com, *.example.com, app.example.com:8443 or *"),
    KEY("origins", TEXTS, INHERITED(origins), "", "allowed values of Origin; empty: all",
        .valid = hf_origin_pattern_is_valid,
        .allowed = "https://app.example.com, https://*.example.com, app.example.com, null or *"),
    KEY("missing_origin", WORD, INHERITED(missing_origin), "allow",
        "what happens to a client that sends no Origin (browsers always send one)",
        .words = missing_origins),
    KEY("message_max", SIZE, INHERITED(message_max), "1MiB",
        "largest message of a client, in bytes on the wire; a larger one ends the connection with "
        "1009",
        RANGE(1, GIB(1024))),
    KEY("frame_max", SIZE, INHERITED(frame_max), "0",
        "largest frame of a client, in bytes on the wire; 0: as message_max", RANGE(0, GIB(1024))),
    KEY("utf8_check", BOOL, INHERITED(utf8_check), "false",
        "whether the gateway checks that clients' text is UTF-8 (text that is not compressed); "
        "off: the backend does"),
    KEY("send_timeout", DURATION, INHERITED(send_timeout), "30s",
        "a side that takes nothing for so long while bytes wait for it is ended",
        RANGE(MS(10), HOURS(24))),
    KEY("heartbeat.interval", DURATION, INHERITED(heartbeat.interval), "25s",
        "a ping goes to a side when nothing was heard from it or sent to it for so long; 0: no "
        "pings",
        RANGE(MS(10), HOURS(24)), .zero = true),
    KEY("heartbeat.timeout", DURATION, INHERITED(heartbeat.timeout), "10s",
        "a side that stays silent for so long after a ping is lost; may be longer than the "
        "interval",
        RANGE(MS(10), HOURS(24))),
    KEY("heartbeat.jitter", COUNT, INHERITED(heartbeat.jitter), "10",
        "percent by which each interval is varied at random", RANGE(0, 50)),
    KEY("heartbeat.client_interval", DURATION, INHERITED(heartbeat.client_interval), NULL,
        "heartbeat.interval for the client's side", RANGE(MS(10), HOURS(24)), .zero = true,
        .follows = "heartbeat.interval"),
    KEY("heartbeat.client_timeout", DURATION, INHERITED(heartbeat.client_timeout), NULL,
        "heartbeat.timeout for the client's side", RANGE(MS(10), HOURS(24)),
        .follows = "heartbeat.timeout"),
    KEY("heartbeat.backend_interval", DURATION, INHERITED(heartbeat.backend_interval), NULL,
        "heartbeat.interval for the backend's side", RANGE(MS(10), HOURS(24)), .zero = true,
        .follows = "heartbeat.interval"),
    KEY("heartbeat.backend_timeout", DURATION, INHERITED(heartbeat.backend_timeout), NULL,
        "heartbeat.timeout for the backend's side", RANGE(MS(10), HOURS(24)),
        .follows = "heartbeat.timeout"),
    KEY("app_heartbeat.match", TEXT, INHERITED(app_heartbeat.match), "",
        "a text message of a client that is exactly this is an application heartbeat; empty: none",
        .max = 4096, .allowed = "a text; JSON stands in single quotes"),
    KEY("app_heartbeat.answer", TEXT, INHERITED(app_heartbeat.answer), "",
        "the text message that answers an application heartbeat at the edge", .max = 4096,
        .allowed = "a text; JSON stands in single quotes"),
    KEY("app_heartbeat.mode", WORD, INHERITED(app_heartbeat.mode), "edge",
        "edge: the gateway answers and the backend sees nothing; pass: the backend answers",
        .words = beat_modes),
    KEY("fallback.enabled", BOOL, INHERITED(fallback.enabled), "true",
        "whether sessions are also served without WebSockets: as event streams, by POST and by "
        "long polls"),
    KEY("fallback.poll", DURATION, INHERITED(fallback.poll), "25s",
        "a poll is answered with an empty list after so long; a session without a poll for twice "
        "as long is parked",
        RANGE(MS(100), HOURS(1))),
    KEY("fallback.padding", SIZE, INHERITED(fallback.padding), "2KiB",
        "bytes of comment at the start of an event stream, for paths that keep the beginning of "
        "an answer back",
        RANGE(0, KIB(64))),
    KEY("fallback.max_age", DURATION, INHERITED(fallback.max_age), "10m",
        "how long a browser may remember that an origin is allowed", RANGE(0, HOURS(24))),
    KEY("on_backend_loss", WORD, INHERITED(on_backend_loss), "close",
        "close: a client whose backend is lost is closed with 1012; hold: it is kept while another "
        "backend connection is made, and its messages wait; prologue: hold, and its first messages "
        "that match are sent again first. With hold and prologue permessage-deflate is not offered "
        "to the backend",
        .words = losses),
    KEY("hold.time", DURATION, INHERITED(hold.time), "60s",
        "how long a client is held without a backend; then it is closed with 1012",
        RANGE(MS(10), HOURS(24))),
    KEY("hold.bytes", SIZE, INHERITED(hold.bytes), "1MiB",
        "what a held client's waiting messages may take; then it is no longer read",
        RANGE(KIB(1), GIB(1))),
    KEY("hold.backoff_max", DURATION, INHERITED(hold.backoff_max), "2s",
        "the longest wait between two attempts to connect while clients are held; the first comes "
        "within 100ms, each wait is drawn at random",
        RANGE(MS(10), HOURS(1))),
    KEY("prologue.match", TEXTS, INHERITED(prologue.match), "",
        "beginnings of the text messages of a client that belong to its prologue: those that "
        "subscribe or authenticate",
        .max = 64, .valid = hf_config_prologue_is_valid,
        .allowed = "1 to 1024 bytes of text each; JSON stands in single quotes"),
    KEY("prologue.max", COUNT, INHERITED(prologue.max), "16",
        "the first so many messages that match are the prologue", RANGE(1, 1000)),
    KEY("prologue.bytes", SIZE, INHERITED(prologue.bytes), "16KiB",
        "a message with which the prologue would be larger is not part of it", RANGE(1, MIB(16))),
    KEY("prologue.drop_replies", COUNT, INHERITED(prologue.drop_replies), "0",
        "so many messages with which the backend answers a prologue are not passed on",
        RANGE(0, 1000)),
    KEY("prologue.wait", DURATION, INHERITED(prologue.wait), "5s",
        "how long those answers are waited for before the client's messages go on",
        RANGE(MS(1), HOURS(1))),
    KEY("auth", WORD, INHERITED(auth.kind), "none",
        "who is let in: anyone, who holds a JSON Web Token, or who the application says",
        .words = auths),
    KEY("jwt.keys", JWT_KEYS, INHERITED(jwt.keys), NULL,
        "keys of tokens: a list of maps of kid (optional), alg (HS, RS or ES with 256, 384 or 512) "
        "and file or env "
        "(where the secret or PEM is: the name of a file or of an environment variable)",
        .file_only = true, .allowed = "a list of maps of kid, alg and one of file and env"),
    KEY("jwt.jwks", TEXT, INHERITED(jwt.jwks), "", "JWKS file with keys of tokens"),
    KEY("jwt.issuer", TEXT, INHERITED(jwt.issuer), "",
        "what a token's iss must be; empty: anything"),
    KEY("jwt.audience", TEXTS, INHERITED(jwt.audience), "",
        "one of these must be in a token's aud; empty: anything", .allowed = "texts"),
    KEY("jwt.leeway", DURATION, INHERITED(jwt.leeway), "30s",
        "clocks may differ by so much for exp and nbf", RANGE(0, HOURS(24))),
    KEY("jwt.from", PLACES, INHERITED(jwt.from), "query,header",
        "where the token is looked for: in the query, a bearer Authorization header, a cookie, an "
        "offered subprotocol",
        .words = places, .min = 1),
    KEY("jwt.query", TEXT, INHERITED(jwt.query), "token",
        "name of the query parameter with the token", .max = 128, .min = 1,
        .valid = hf_config_http_token_is_valid, .allowed = "letters, digits and -_.~ and the like"),
    KEY("jwt.cookie", TEXT, INHERITED(jwt.cookie), "token", "name of the cookie with the token",
        .max = 128, .min = 1, .valid = hf_config_http_token_is_valid,
        .allowed = "letters, digits and -_.~ and the like"),
    KEY("jwt.subprotocol", TEXT, INHERITED(jwt.subprotocol), "bearer.",
        "the offered subprotocol that starts with this carries the token behind it and does not go "
        "to the backend",
        .max = 128, .min = 1, .valid = hf_config_http_token_is_valid,
        .allowed = "letters, digits and -_.~ and the like"),
    KEY("jwt.strip", BOOL, INHERITED(jwt.strip), "false",
        "whether the token is taken out of what the backend sees"),
    KEY("jwt.expiry", BOOL, INHERITED(jwt.expiry), "true",
        "whether an open connection is closed with 4401 when its token expires"),
    KEY("callout.url", TEXT, INHERITED(callout.url), "",
        "URL of the application that is asked about each handshake: 2xx lets in, 401 and 403 go to "
        "the client",
        .valid = hf_config_http_url_is_valid,
        .allowed = "http://127.0.0.1:8000/auth or https://app/auth"),
    KEY("callout.timeout", DURATION, INHERITED(callout.timeout), "5s", "for the whole call-out",
        RANGE(MS(1), HOURS(1))),
    KEY("callout.copy", TEXTS, INHERITED(callout.copy), "",
        "headers of the call-out's answer that go to the backend",
        .valid = hf_config_http_token_is_valid, .allowed = "names of headers"),
    KEY("callout.subject", TEXT, INHERITED(callout.subject), "X-Auth-Subject",
        "header of the call-out's answer that names the principal", .max = 128, .min = 1,
        .valid = hf_config_http_token_is_valid, .allowed = "the name of a header"),
    KEY("limits.total_handshakes_per_second", COUNT, GLOBAL(total_handshakes_per_second), "0",
        "handshakes a second in all, over all workers; 0: off", RANGE(0, INT32_MAX)),
    KEY("limits.total_connections", COUNT, GLOBAL(total_connections), "0",
        "open connections in all, over all workers; 0: off", RANGE(0, INT32_MAX)),
    KEY("session.enabled", BOOL, INHERITED(session.enabled), "true",
        "whether clients that speak hf1 get sessions that outlive their connections"),
    KEY("session.window", DURATION, INHERITED(session.window), "2m",
        "how long a session whose connection was lost waits for the next one",
        RANGE(MS(100), HOURS(24))),
    KEY("session.leave", DURATION, INHERITED(session.leave), "5s",
        "how long it waits after a Close with 1001, which a page sends when it is left",
        RANGE(0, HOURS(24))),
    KEY("session.beat", DURATION, INHERITED(session.beat), "15s",
        "an acknowledgement goes to the client at least so often: the heartbeat that script can "
        "see",
        RANGE(MS(100), HOURS(1))),
    KEY("session.buffer", SIZE, INHERITED(session.buffer), "64KiB",
        "bytes of messages that may be unacknowledged, in each direction", RANGE(KIB(1), MIB(64))),
    KEY("session.park_bytes", SIZE, INHERITED(session.park_bytes), "1MiB",
        "bytes of the backend's messages that wait for a client that is away; beyond it the "
        "backend "
        "is not read",
        RANGE(KIB(1), GIB(1))),
    KEY("session.backend_message_max", SIZE, INHERITED(session.backend_message_max), "16MiB",
        "largest message of a backend to an hf1 client; a larger one ends the session",
        RANGE(KIB(1), GIB(1))),
    KEY("session.parked_per_principal", COUNT, INHERITED(session.parked_per_principal), "100",
        "sessions of one principal that may wait for their clients; the one that has waited "
        "longest "
        "makes room; 0: off",
        RANGE(0, INT32_MAX)),
    KEY("session.parked_per_address", COUNT, INHERITED(session.parked_per_address), "0",
        "the same for one client address (an IPv6 network of 64 bits is one); 0: off",
        RANGE(0, INT32_MAX)),
    KEY("session.parked_bytes_per_principal", SIZE, INHERITED(session.parked_bytes_per_principal),
        "16MiB", "bytes that the waiting sessions of one principal may hold together; 0: off",
        RANGE(0, GIB(1024))),
    KEY("session.parked_bytes_per_address", SIZE, INHERITED(session.parked_bytes_per_address), "0",
        "the same for one client address; 0: off", RANGE(0, GIB(1024))),
    KEY("session.header", TEXT, INHERITED(session.header), "",
        "a header of the request to the backend that tells it the session's name, for backends "
        "that "
        "want to know who is the same client; empty: none",
        .max = 64, .valid = hf_config_http_token_is_valid,
        .allowed = "a header name such as X-Holdfast-Session"),
    KEY("session.memory", SIZE, GLOBAL(session_memory), "256MiB",
        "bytes that all sessions may hold for their clients and backends, and plain clients that "
        "are "
        "held for theirs; at the limit waiting sessions end, those of who holds most first, and "
        "held plain clients are no longer read",
        RANGE(MIB(1), GIB(1024))),
    KEY("session.node", COUNT, GLOBAL(session_node), "0",
        "number of this gateway among several, told in the tokens of sessions", RANGE(0, 65535)),

    KEY("limits.messages_per_minute", COUNT, INHERITED(limits.messages_per_minute), "0",
        "whole messages a minute of one client connection; 0: off", RANGE(0, INT32_MAX)),
    KEY("limits.messages_burst", COUNT, INHERITED(limits.messages_burst), "0",
        "messages that may come at once; 0: 100 or the limit, whichever is smaller",
        RANGE(0, INT32_MAX)),
    KEY("limits.principal_messages_per_minute", COUNT,
        INHERITED(limits.principal_messages_per_minute), "0",
        "whole messages a minute of all connections of one principal; 0: off", RANGE(0, INT32_MAX)),
    KEY("limits.excess_messages", WORD, INHERITED(limits.excess_messages), "delay",
        "delay: stop reading, so that TCP holds the client back and nothing is lost; close: end "
        "with 1008",
        .words = message_excess),
    KEY("limits.address_handshakes_per_second", COUNT,
        INHERITED(limits.address_handshakes_per_second), "0",
        "handshakes a second of one client address; 0: off", RANGE(0, INT32_MAX)),
    KEY("limits.principal_handshakes_per_second", COUNT,
        INHERITED(limits.principal_handshakes_per_second), "0",
        "handshakes a second of one principal; 0: off", RANGE(0, INT32_MAX)),
    KEY("limits.route_handshakes_per_second", COUNT, INHERITED(limits.route_handshakes_per_second),
        "0", "handshakes a second on the route; 0: off", RANGE(0, INT32_MAX)),
    KEY("limits.address_connections", COUNT, INHERITED(limits.address_connections), "0",
        "open connections of one client address; 0: off", RANGE(0, INT32_MAX)),
    KEY("limits.principal_connections", COUNT, INHERITED(limits.principal_connections), "0",
        "open connections of one principal; 0: off", RANGE(0, INT32_MAX)),
    KEY("limits.route_connections", COUNT, INHERITED(limits.route_connections), "0",
        "open connections of the route; 0: off", RANGE(0, INT32_MAX)),
    KEY("limits.excess_handshakes", WORD, INHERITED(limits.excess_handshakes), "refuse",
        "refuse: 429 with Retry-After; delay: wait, at most 10 s (connections beyond a limit are "
        "always refused)",
        .words = handshake_excess),
    KEY("limits.dry_run", BOOL, INHERITED(limits.dry_run), "false",
        "limits are counted and logged, not enforced"),

    KEY("routes", ROUTES, GLOBAL(routes), NULL,
        "what happens by path: a list of maps, each with its path and any key that routes inherit; "
        "without it there is "
        "one route, /, that is what the top level says",
        .file_only = true, .allowed = "a list of maps, each with a path"),
};
const size_t hf_config_key_count = sizeof hf_config_keys / sizeof hf_config_keys[0];
_Static_assert(sizeof hf_config_keys / sizeof hf_config_keys[0] <= HF_CONFIG_KEYS_MAX,
               "HF_CONFIG_KEYS_MAX is too small");

const struct hf_config_key *hf_config_key_find(struct hf_slice name)
{
    for (size_t i = 0; i < hf_config_key_count; i++) {
        if (hf_slice_eq(hf_slice_of(hf_config_keys[i].name), name)) {
            return &hf_config_keys[i];
        }
    }
    return NULL;
}

bool hf_config_key_is_list(const struct hf_config_key *key)
{
    return key->type == HF_KEY_TEXTS || key->type == HF_KEY_PLACES || key->type == HF_KEY_BLOCKS ||
           key->type == HF_KEY_LISTENS || key->type == HF_KEY_UPSTREAMS;
}

/* What stands before the dot; empty for a key without one. */
static struct hf_slice group_of(const struct hf_config_key *key)
{
    struct hf_slice name = hf_slice_of(key->name);
    size_t dot = hf_slice_find(name, '.');
    return hf_slice_first(name, dot < name.len ? dot : 0);
}

bool hf_config_group_is_known(struct hf_slice name)
{
    for (size_t i = 0; name.len > 0 && i < hf_config_key_count; i++) {
        if (hf_slice_eq(group_of(&hf_config_keys[i]), name)) {
            return true;
        }
    }
    return false;
}

void hf_config_key_form(const struct hf_config_key *key, enum hf_config_form form,
                        char text[HF_CONFIG_NAME_MAX])
{
    static const char *const prefixes[] = {
        [HF_FORM_KEY] = "", [HF_FORM_FLAG] = "--", [HF_FORM_VARIABLE] = "HOLDFAST_"};
    int len = snprintf(text, HF_CONFIG_NAME_MAX, "%s%s", prefixes[form], key->name);
    HF_ASSERT(len > 0 && len < HF_CONFIG_NAME_MAX);
    for (char *c = text + strlen(prefixes[form]); form != HF_FORM_KEY && *c != '\0'; c++) {
        if (*c == '.' || *c == '_') {
            *c = form == HF_FORM_FLAG ? '-' : '_';
        } else if (form == HF_FORM_VARIABLE && *c >= 'a' && *c <= 'z') {
            *c = (char)(*c - 'a' + 'A');
        }
    }
}

const struct hf_config_key *hf_config_key_by_form(struct hf_slice text, enum hf_config_form form)
{
    for (size_t i = 0; i < hf_config_key_count; i++) {
        char name[HF_CONFIG_NAME_MAX];
        hf_config_key_form(&hf_config_keys[i], form, name);
        if (hf_slice_eq(hf_slice_of(name), text)) {
            return &hf_config_keys[i];
        }
    }
    return NULL;
}

static uint8_t fold(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

size_t hf_config_distance(struct hf_slice a, struct hf_slice b)
{
    size_t row[HF_CONFIG_NAME_MAX + 1];
    a = hf_slice_first(a, HF_CONFIG_NAME_MAX);
    b = hf_slice_first(b, HF_CONFIG_NAME_MAX);
    for (size_t j = 0; j <= b.len; j++) {
        row[j] = j;
    }
    for (size_t i = 0; i < a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b.len; j++) {
            size_t best = diagonal + (fold(a.ptr[i]) != fold(b.ptr[j]));
            diagonal = row[j + 1];
            best = best < row[j] + 1 ? best : row[j] + 1;
            row[j + 1] = best < diagonal + 1 ? best : diagonal + 1;
        }
    }
    return row[b.len];
}

static struct hf_slice behind_dot(struct hf_slice name)
{
    size_t dot = hf_slice_find(name, '.');
    return dot < name.len ? hf_slice_from(name, dot + 1) : name;
}

/* The start of a name, up to a word's end, counts as one edit: --hartbeat means
 * --heartbeat-interval. */
static size_t start_distance(struct hf_slice text, struct hf_slice name)
{
    size_t best = SIZE_MAX - 1;
    for (size_t i = 2; i < name.len; i++) {
        if (name.ptr[i] == '-' || name.ptr[i] == '_') {
            size_t distance = hf_config_distance(text, hf_slice_first(name, i));
            best = distance < best ? distance : best;
        }
    }
    return best + 1;
}

/* The right word in the wrong group counts as one edit: `interval` at the top level means
 * heartbeat.interval. */
static size_t name_distance(struct hf_slice text, struct hf_slice name, enum hf_config_form form)
{
    size_t whole = hf_config_distance(text, name);
    size_t part = form == HF_FORM_KEY ? hf_config_distance(behind_dot(text), behind_dot(name)) + 1
                                      : start_distance(text, name);
    return whole < part ? whole : part;
}

void hf_config_nearest(struct hf_slice text, enum hf_config_form form, bool in_route,
                       char nearest[HF_CONFIG_NAME_MAX])
{
    size_t best = SIZE_MAX;
    nearest[0] = '\0';
    for (size_t i = 0; i < hf_config_key_count; i++) {
        const struct hf_config_key *key = &hf_config_keys[i];
        bool elsewhere = key->scope == (in_route ? HF_SCOPE_GLOBAL : HF_SCOPE_ROUTE);
        if (form != HF_FORM_KEY && hf_config_key_is_file_only(key)) {
            continue;
        }
        char name[HF_CONFIG_NAME_MAX];
        hf_config_key_form(key, form, name);
        struct hf_slice group = group_of(key);
        size_t distance = name_distance(text, hf_slice_of(name), form);
        if (form == HF_FORM_KEY && group.len > 0 && hf_config_distance(text, group) < distance) {
            distance = hf_config_distance(text, group);
            name[group.len] = '\0';
        }
        if (2 * distance + elsewhere < best) {
            best = 2 * distance + elsewhere;
            memcpy(nearest, name, sizeof name);
        }
    }
}

static size_t range_text(const struct hf_config_key *key, char text[64])
{
    char min[24], max[24];
    if (key->type == HF_KEY_DURATION) {
        hf_duration_text((hf_time)key->min, min);
        hf_duration_text((hf_time)key->max, max);
    } else if (key->type == HF_KEY_SIZE || key->type == HF_KEY_SIZE32) {
        hf_size_text(key->min, min);
        hf_size_text(key->max, max);
    } else {
        (void)snprintf(min, sizeof min, "%llu", (unsigned long long)key->min);
        (void)snprintf(max, sizeof max, "%llu", (unsigned long long)key->max);
    }
    return (size_t)snprintf(text, 64, "%s to %s", min, max);
}

static void words_text(const struct hf_config_key *key, const char *start, char text[256])
{
    size_t len = (size_t)snprintf(text, 256, "%s", start);
    for (const struct hf_config_word *w = key->words; w->word != NULL && len < 256; w++) {
        const char *comma = w == key->words ? "" : w[1].word == NULL ? " or " : ", ";
        len += (size_t)snprintf(text + len, 256 - len, "%s%s", comma, w->word);
    }
}

void hf_config_key_allowed(const struct hf_config_key *key, char text[256])
{
    char range[64];
    (void)range_text(key, range);
    const char *zero = key->zero ? "0 or " : "";
    switch (key->type) {
    case HF_KEY_BOOL:
        (void)snprintf(text, 256, "true or false");
        return;
    case HF_KEY_COUNT:
    case HF_KEY_INT:
        (void)snprintf(text, 256, "a whole number, %s", range);
        return;
    case HF_KEY_DURATION:
        (void)snprintf(text, 256, "%sa duration such as 250ms, 1s, 5m or 2h, %s", zero, range);
        return;
    case HF_KEY_SIZE:
    case HF_KEY_SIZE32:
        (void)snprintf(text, 256, "%sa size such as 512B, 64KiB or 1MiB, %s", zero, range);
        return;
    case HF_KEY_WORD:
    case HF_KEY_WORD16:
        words_text(key, "", text);
        return;
    case HF_KEY_PLACES:
        words_text(key, "a list of ", text);
        return;
    case HF_KEY_MODE:
        (void)snprintf(text, 256, "octal permissions such as 0660, 0001 to 0777");
        return;
    case HF_KEY_TEXT:
    case HF_KEY_TEXTS:
    case HF_KEY_ADDRESS:
    case HF_KEY_BLOCKS:
    case HF_KEY_BALANCE:
    case HF_KEY_LISTENS:
    case HF_KEY_UPSTREAMS:
    case HF_KEY_JWT_KEYS:
    case HF_KEY_ROUTES:
        break;
    }
    (void)snprintf(text, 256, "%s", key->allowed == NULL ? "a text" : key->allowed);
}

const char *hf_config_type_name(const struct hf_config_key *key)
{
    static const char *const names[] = {
        [HF_KEY_BOOL] = "BOOL",       [HF_KEY_COUNT] = "N",       [HF_KEY_INT] = "N",
        [HF_KEY_DURATION] = "TIME",   [HF_KEY_SIZE] = "SIZE",     [HF_KEY_SIZE32] = "SIZE",
        [HF_KEY_WORD] = "WORD",       [HF_KEY_WORD16] = "WORD",   [HF_KEY_MODE] = "MODE",
        [HF_KEY_TEXT] = "TEXT",       [HF_KEY_TEXTS] = "LIST",    [HF_KEY_PLACES] = "LIST",
        [HF_KEY_ADDRESS] = "ADDRESS", [HF_KEY_BLOCKS] = "LIST",   [HF_KEY_BALANCE] = "WORD",
        [HF_KEY_LISTENS] = "ADDRESS", [HF_KEY_UPSTREAMS] = "URL", [HF_KEY_JWT_KEYS] = "LIST",
        [HF_KEY_ROUTES] = "LIST",
    };
    return names[key->type];
}
