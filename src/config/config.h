/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of `holdfast serve`: what the file, the environment and the flags said, checked
 * and merged.
 *
 * Flag over environment over file over default; a route's own key wins over what it inherits. Every
 * scalar key that is global or that routes inherit is also a flag and an environment variable:
 * a.b_c is --a-b-c and HOLDFAST_A_B_C. One table in keys.c holds each key once: name, type,
 * range, default, a sentence; the parser, the flags, --check, and the manual page are made from it.
 * A configuration is immutable once loaded and shared by reference. */
#ifndef HF_CONFIG_CONFIG_H
#define HF_CONFIG_CONFIG_H

#include "base/buffer.h"
#include "base/log.h"
#include "base/time.h"
#include "io/io.h"
#include "policy/access.h"

#include <stdbool.h>
#include <stdint.h>

struct hf_string_list {
    char **items;
    size_t count;
};

struct hf_listen_config {
    struct hf_address address;
    bool proxy_protocol; /* PROXY header demanded; only believed from trusted_proxies, refused from
                            others */
    struct hf_certificate_config {
        char *cert;
        char *key;
    } * certificates; /* none: plain. Default: the global tls.cert and tls.key for every listener
                         but admin */
    size_t certificate_count;
};

enum hf_missing_origin { HF_ORIGIN_ALLOW, HF_ORIGIN_REFUSE };
enum hf_auth_kind { HF_AUTH_NONE, HF_AUTH_JWT, HF_AUTH_CALLOUT };
enum hf_balance { HF_BALANCE_LEAST, HF_BALANCE_ADDRESS, HF_BALANCE_QUERY, HF_BALANCE_COOKIE };
enum hf_excess { HF_EXCESS_DELAY, HF_EXCESS_CLOSE, HF_EXCESS_REFUSE };
/* What becomes of a client whose backend is lost. */
enum hf_loss { HF_LOSS_CLOSE, HF_LOSS_HOLD, HF_LOSS_PROLOGUE };
enum hf_beat_mode { HF_BEAT_EDGE, HF_BEAT_PASS };
enum hf_token_place {
    HF_TOKEN_QUERY = 1,
    HF_TOKEN_HEADER = 2,
    HF_TOKEN_COOKIE = 4,
    HF_TOKEN_SUBPROTOCOL = 8
};

struct hf_jwt_key_config {
    char *kid;  /* NULL: used for tokens without kid, and for any kid when it is the only key */
    char *alg;  /* HS256 ... ES512 */
    char *file; /* secret or PEM; exactly one of file and env */
    char *env;
};

struct hf_upstream_config {
    char *url; /* as written, for messages */
    bool tls;
    bool is_unix;
    char *host; /* name or address without brackets, or the socket's path */
    uint16_t port;
    char *path; /* a path in the URL is put in front of the request's path; "" when none or "/" */
};

/* Everything a route can say, and what it inherits from the top level. Keys in quotes. */
struct hf_route_config {
    char *path;    /* "path": prefix; "/" for all. "/ws" takes /ws and /ws/..., "/ws/" only what is
                      below */
    char *rewrite; /* "rewrite": put in place of the prefix; NULL: the path goes on as it is */
    char *name;    /* "name": label in logs and metrics; default: the path */
    struct hf_upstream_config *upstreams; /* "upstream": one URL or a list */
    size_t upstream_count;
    enum hf_balance balance; /* "balance": least | address | query:NAME | cookie:NAME */
    char *balance_key;
    struct {
        char *ca;    /* "upstream_tls.ca": file or directory */
        char *name;  /* "upstream_tls.name": SNI and verification; default the URL's host */
        bool verify; /* "upstream_tls.verify": true */
    } upstream_tls;
    hf_time connect_timeout; /* "connect_timeout": 5s, for each attempt */
    hf_time
        upstream_timeout;   /* "upstream_timeout": 30s, from the request sent to its whole answer */
    uint32_t connect_tries; /* "connect_tries": 3 */
    uint32_t health_fails;  /* "health.fails": 3 failures in a row take an upstream out ... */
    hf_time health_down;    /* "health.down": 10s ... for so long; 0 fails: off */
    bool
        preserve_host; /* "preserve_host": true: the client's Host goes on; false: the upstream's */

    struct hf_string_list hosts;           /* "hosts": allowed Host values; empty: all */
    struct hf_string_list origins;         /* "origins": allowed origins; empty: all */
    enum hf_missing_origin missing_origin; /* "missing_origin": allow | refuse; allow */

    uint64_t message_max; /* "message_max": 1MiB, wire bytes, client to backend, inclusive */
    uint64_t frame_max;   /* "frame_max": 0 is as message_max */
    bool utf8_check;      /* "utf8_check": false */
    hf_time send_timeout; /* "send_timeout": 30s */

    struct {
        hf_time interval; /* "heartbeat.interval": 25s; 0 is off */
        hf_time timeout;  /* "heartbeat.timeout": 10s */
        uint32_t jitter;  /* "heartbeat.jitter": 10, percent 0 to 50 */
        hf_time client_interval,
            client_timeout; /* "heartbeat.client_interval" ...: default as the two above */
        hf_time backend_interval, backend_timeout; /* "heartbeat.backend_interval" ... */
    } heartbeat;
    struct {
        char *match;            /* "app_heartbeat.match": text; NULL: none */
        char *answer;           /* "app_heartbeat.answer" */
        enum hf_beat_mode mode; /* "app_heartbeat.mode": edge | pass; edge */
    } app_heartbeat;

    struct {
        bool enabled;     /* "fallback.enabled": true */
        hf_time poll;     /* "fallback.poll": 25s */
        uint64_t padding; /* "fallback.padding": 2KiB */
        hf_time max_age;  /* "fallback.max_age": 10m */
    } fallback;
    enum hf_loss on_backend_loss; /* "on_backend_loss": close | hold | prologue */
    struct {
        hf_time time;        /* "hold.time": 60s */
        uint64_t bytes;      /* "hold.bytes": 1MiB of waiting messages for each client */
        hf_time backoff_max; /* "hold.backoff_max": 2s */
    } hold;
    struct {
        struct hf_string_list match; /* "prologue.match": beginnings of text messages */
        uint32_t max;                /* "prologue.max": 16 messages */
        uint64_t bytes;              /* "prologue.bytes": 16KiB */
        uint32_t drop_replies;       /* "prologue.drop_replies": 0 */
        hf_time wait;                /* "prologue.wait": 5s */
    } prologue;

    struct hf_route_auth {
        enum hf_auth_kind kind; /* "auth": none | jwt | callout */
    } auth;
    struct hf_jwt_config {
        struct hf_jwt_key_config *keys; /* "jwt.keys": list */
        size_t key_count;
        char *jwks;                     /* "jwt.jwks": file */
        char *issuer;                   /* "jwt.issuer": must equal iss */
        struct hf_string_list audience; /* "jwt.audience": one of these must be in aud */
        hf_time leeway;                 /* "jwt.leeway": 30s */
        uint32_t
            from; /* "jwt.from": list of query header cookie subprotocol; default [query, header] */
        char *query;       /* "jwt.query": token */
        char *cookie;      /* "jwt.cookie": token */
        char *subprotocol; /* "jwt.subprotocol": "bearer." prefix of the offered subprotocol that
                              carries it; not passed on */
        bool strip;        /* "jwt.strip": false; the token is taken out of what the backend sees */
        bool expiry; /* "jwt.expiry": true; Close 4401 when exp passes on an open connection */
    } jwt;
    struct {
        char *url;                  /* "callout.url": http URL of the application */
        hf_time timeout;            /* "callout.timeout": 5s */
        struct hf_string_list copy; /* "callout.copy": response headers that go to the backend */
        char *subject;              /* "callout.subject": response header that names the principal:
                                       X-Auth-Subject */
    } callout;

    struct hf_session_config {
        bool enabled;                        /* "session.enabled": true */
        hf_time window;                      /* "session.window": 2m */
        hf_time leave;                       /* "session.leave": 5s */
        hf_time beat;                        /* "session.beat": 15s */
        uint64_t buffer;                     /* "session.buffer": 64KiB, each way */
        uint64_t park_bytes;                 /* "session.park_bytes": 1MiB */
        uint64_t backend_message_max;        /* "session.backend_message_max": 16MiB */
        uint32_t parked_per_principal;       /* "session.parked_per_principal": 0 is off */
        uint32_t parked_per_address;         /* "session.parked_per_address" */
        uint64_t parked_bytes_per_principal; /* "session.parked_bytes_per_principal" */
        uint64_t parked_bytes_per_address;   /* "session.parked_bytes_per_address" */
        char *header; /* "session.header": "" none; tells the backend the session's id */
    } session;
    struct hf_limits_config {
        uint32_t messages_per_minute; /* all: 0 is off */
        uint32_t messages_burst;      /* 0: 100 or the limit, whichever is smaller */
        uint32_t principal_messages_per_minute;
        enum hf_excess excess_messages; /* delay | close */
        uint32_t address_handshakes_per_second;
        uint32_t principal_handshakes_per_second;
        uint32_t route_handshakes_per_second;
        uint32_t address_connections;
        uint32_t principal_connections;
        uint32_t route_connections;
        enum hf_excess excess_handshakes; /* refuse | delay */
        bool dry_run;
    } limits; /* "limits.messages_per_minute" ... */
};

struct hf_config {
    _Atomic uint32_t refs;
    struct hf_listen_config *listens; /* "listen": string, or list of strings or {address,
                                         proxy_protocol, tls: [{cert, key}]} */
    size_t listen_count;
    uint32_t unix_mode;                   /* "unix_mode": 0660 octal text; of Unix listeners */
    struct hf_address admin;              /* "admin": len 0 is none */
    char *admin_token;                    /* "admin_token": demanded off loopback; secret */
    uint32_t workers;                     /* "workers": 0 is one for each core */
    hf_time drain;                        /* "drain": 10s */
    hf_time handshake_timeout;            /* "handshake_timeout": 10s */
    uint64_t head_max;                    /* "head_max": 16KiB */
    uint32_t total_handshakes_per_second; /* "limits.total_handshakes_per_second" */
    uint32_t total_connections;           /* "limits.total_connections" */
    struct hf_block *trusted_proxies;     /* "trusted_proxies": list of addresses and blocks */
    size_t trusted_proxy_count;
    struct {
        char *cert, *key;     /* "tls.cert", "tls.key" */
        uint16_t version_min; /* "tls.version_min": 1.2 | 1.3 */
    } tls;
    struct {
        enum hf_log_level level; /* "log.level": debug info warning error */
        int format;              /* "log.format": auto text json; -1 is auto */
        char *file;              /* "log.file": NULL is standard error */
    } log;
    struct hf_socket_options
        sockets; /* "tcp.keepalive_idle" 60s, "tcp.keepalive_interval" 10s, "tcp.keepalive_count" 3,
                    "tcp.user_timeout" 2m, "tcp.notsent_lowat" 128KiB (0: off) */
    uint64_t session_memory; /* "session.memory": 256MiB, what all sessions may hold */
    uint32_t session_node;   /* "session.node": 0, in tokens */
    uint32_t endings_kept;   /* "endings_kept": 4096, 1000 to 1000000: for /api/endings */
    struct hf_route_config
        *routes;        /* with no "routes": one, "/", that is what the top level says */
    size_t route_count; /* sorted: longest path first */
};

struct hf_config_input {
    const char *file;               /* NULL: none */
    const char *const *flags;       /* words after `serve`, NULL at the end; -c and --check are the
                                       caller's to take out */
    const char *const *environment; /* "NAME=value", NULL at the end */
};

/* All errors are found in one run and written to `errors`, a line each: "file:line:column: what is
 * wrong: value; what is allowed" ("--flag: ...", "HOLDFAST_X: ..."). Unknown keys name the nearest
 * known one. */
HF_MUST_USE enum hf_status hf_config_load(const struct hf_config_input *input,
                                          struct hf_config **config, struct hf_buffer *errors);
struct hf_config *hf_config_ref(struct hf_config *config);
void hf_config_unref(struct hf_config *config);
/* The effective configuration as YAML that hf_config_load reads again, secrets hidden ("***"). */
enum hf_status hf_config_print(const struct hf_config *config, struct hf_buffer *out);
/* Sentences about what the configuration leaves open: every path, every Origin, no authentication,
 * plain text. */
enum hf_status hf_config_warnings(const struct hf_config *config, struct hf_buffer *out);
/* The option part of `serve --help`, one line a key. */
enum hf_status hf_config_help(struct hf_buffer *out);
/* docs/configuration.md, whole. */
enum hf_status hf_config_document(struct hf_buffer *out);
/* A file's content alone, as hf_config_load reads it: for tests and the fuzzer. */
HF_MUST_USE enum hf_status hf_config_parse_text(struct hf_slice yaml, struct hf_config **config,
                                                struct hf_buffer *errors);

#endif
