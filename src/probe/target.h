/* SPDX-License-Identifier: Apache-2.0 */
/* A target: the URL that a tool connects to, and how. The options are the same for probe, diagnose,
 * watch and bench, in curl's and wscat's words; each command adds its own to this table. */
#ifndef HF_PROBE_TARGET_H
#define HF_PROBE_TARGET_H

#include "base/buffer.h"
#include "client/proxy.h"
#include "http/url.h"
#include "io/io.h"
#include "io/tls.h"

#include <getopt.h>

#define HF_TARGET_HEADERS 64
#define HF_TARGET_RESOLVES 8

struct hf_target {
    char *text;        /* the URL as given, "ws://" added where there was no scheme */
    struct hf_url url; /* lies in text */
    char *headers[HF_TARGET_HEADERS]; /* "Name: value"; `Host` replaces ours */
    size_t header_count;
    char *origin;      /* NULL: none is sent */
    char *protocols;   /* "a, b"; NULL: none */
    char *token;       /* Authorization: Bearer; NULL: none */
    char *token_query; /* name of a query parameter that carries the token instead */
    char *user;        /* -u name:password */
    char *cacert;
    char *proxy; /* NULL: the environment's; "": none */
    struct {
        char *host;
        uint16_t port;
        struct hf_address address;
    } resolves[HF_TARGET_RESOLVES]; /* --resolve */
    size_t resolve_count;
    struct hf_address connect_to; /* --connect-to ADDRESS: TCP goes there, names stay; len 0: no */
    int family;                   /* 0, AF_INET, AF_INET6 */
    bool insecure;
    bool deflate;            /* offer permessage-deflate; default false: fewer unknowns */
    hf_time connect_timeout; /* dns, tcp, tls and upgrade together; default 20 s */
    uint64_t message_max;    /* bytes of one received message; default 64 MiB */
    struct hf_tls *tls;      /* made by hf_target_ready for wss; else NULL */
    struct hf_proxy_environment proxies; /* read by hf_target_ready */
    struct hf_proxy way;                 /* the proxy that it goes through; lies in the above */
};

void hf_target_init(struct hf_target *t);
void hf_target_fini(struct hf_target *t);

/* getopt_long: the short letters, and the long options, which stand in front of a command's own.
 * Values of long options without a letter are from HF_TARGET_OPTION up; a command's own begin at
 * HF_TARGET_OPTION_END. */
#define HF_TARGET_LETTERS "H:s:o:u:k46"
enum { HF_TARGET_OPTION = 1000, HF_TARGET_OPTION_END = 1100 };
extern const struct option hf_target_options[];
size_t hf_target_option_count(void);
/* Writes these options and then `own` (up to its row of zeros, which is written too) to `all`,
 * which has room for max rows. */
void hf_target_options_join(const struct option *own, struct option *all, size_t max);
/* True when the option was one of the target's. A mistake in its value is said in *why, which is
 * static or lies in t; else *why is NULL. */
bool hf_target_take(struct hf_target *t, int option, const char *value, const char **why);
/* The lines of --help for these options. */
const char *hf_target_help(void);
/* Sets the URL, and checks it with all options (call it behind the last): makes the TLS context,
 * reads the environment's proxy. False: why says what is wrong and what to do. */
bool hf_target_ready(struct hf_target *t, const char *url, struct hf_buffer *why);
/* It is this machine, as far as the words tell: localhost, 127.0.0.0/8, ::1, a Unix socket. A name
 * that leads here counts as a stranger's, and so does what lies behind a proxy. When it is ready.
 */
bool hf_target_is_own(const struct hf_target *t);
/* The URL for people and logs, its secrets redacted. */
void hf_target_print(const struct hf_target *t, struct hf_buffer *out);

#endif
