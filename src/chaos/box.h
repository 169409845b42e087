/* SPDX-License-Identifier: Apache-2.0 */
/* The fault-injecting middlebox: proxies that listen and connect on, toxics on each, and the links
 * (a client's connection with its connection to the upstream) that suffer them. One loop, one
 * thread. Link times are ages from the 101, or from the accept when the bytes are no WebSocket. */
#ifndef HF_CHAOS_BOX_H
#define HF_CHAOS_BOX_H

#include "chaos/toxic.h"
#include "io/io.h"

struct hf_chaos;
struct hf_chaos_proxy;

#define HF_CHAOS_PROXIES_MAX 256
#define HF_CHAOS_TOXICS_MAX 64 /* of one proxy */

enum hf_chaos_news {
    HF_CHAOS_LISTENING, /* what: the address */
    HF_CHAOS_STOPPED,   /* it does not listen any more; what: why */
    HF_CHAOS_ACCEPTED,
    HF_CHAOS_OPENED, /* the 101 went by */
    HF_CHAOS_ACTED,  /* a toxic did something; what: what */
    HF_CHAOS_ENDED,  /* what: who ended it and how */
};
/* listening stopped accepted opened acted ended */
const char *hf_chaos_news_text(enum hf_chaos_news news);

struct hf_chaos_event {
    enum hf_chaos_news news;
    const char *proxy;
    uint64_t link;                /* a number for each connection; 0: it is about the proxy */
    const char *peer;             /* the client's address, NULL with link 0 */
    const struct hf_toxic *toxic; /* of ACTED; may be NULL */
    const char *what;             /* may be NULL */
    hf_time age;                  /* of the link */
    uint64_t messages[2];         /* whole messages each way: up, down */
    uint64_t bytes[2];            /* received from the client, from the server */
};
/* Everything in the event dies with the call. The box must not be touched in it. */
typedef void hf_chaos_told(void *owner, const struct hf_chaos_event *event);

struct hf_chaos_options {
    struct hf_loop *loop;
    uint64_t seed; /* of every random choice */
    hf_chaos_told *told;
    void *owner;
};

/* NULL: no memory. */
struct hf_chaos *hf_chaos_new(const struct hf_chaos_options *options);
/* Closes everything, without news. NULL is accepted. */
void hf_chaos_free(struct hf_chaos *c);
struct hf_loop *hf_chaos_loop(struct hf_chaos *c);
/* Open links of all proxies, and accepted ones since the beginning. */
size_t hf_chaos_link_count(const struct hf_chaos *c);
uint64_t hf_chaos_accepted(const struct hf_chaos *c);

/* listen and upstream: "127.0.0.1:80", "localhost:80", ":80" (all addresses), "[::1]:80",
 * "unix:/path"; a listen port of 0 is the system's choice. HF_INVALID, HF_IN_USE and so on when it
 * is enabled and cannot listen; HF_NO_MEMORY also when there are HF_CHAOS_PROXIES_MAX. On failure
 * there is no proxy. */
HF_MUST_USE enum hf_status hf_chaos_proxy_add(struct hf_chaos *c, struct hf_slice name,
                                              struct hf_slice listen, struct hf_slice upstream,
                                              bool enabled, struct hf_chaos_proxy **proxy);
struct hf_chaos_proxy *hf_chaos_proxy_find(struct hf_chaos *c, struct hf_slice name);
/* In the order in which they were made; NULL: the first one, or no further one. */
struct hf_chaos_proxy *hf_chaos_proxy_next(struct hf_chaos *c, struct hf_chaos_proxy *after);
/* Drops its links. */
void hf_chaos_proxy_remove(struct hf_chaos_proxy *p);
/* Other addresses, or off: its links are dropped. On failure it is off, with the new addresses. */
HF_MUST_USE enum hf_status hf_chaos_proxy_update(struct hf_chaos_proxy *p, struct hf_slice listen,
                                                 struct hf_slice upstream, bool enabled);
const char *hf_chaos_proxy_name(const struct hf_chaos_proxy *p);
/* As it listens, or as it was asked for. */
const char *hf_chaos_proxy_listen(const struct hf_chaos_proxy *p);
const char *hf_chaos_proxy_upstream(const struct hf_chaos_proxy *p);
bool hf_chaos_proxy_enabled(const struct hf_chaos_proxy *p);
size_t hf_chaos_proxy_links(const struct hf_chaos_proxy *p);

/* The toxic becomes the proxy's, and takes hold of open links too. HF_NO_MEMORY: it stays the
 * caller's. */
HF_MUST_USE enum hf_status hf_chaos_toxic_add(struct hf_chaos_proxy *p, struct hf_toxic *t);
struct hf_toxic *hf_chaos_toxic_find(struct hf_chaos_proxy *p, struct hf_slice name);
struct hf_toxic *hf_chaos_toxic_next(struct hf_chaos_proxy *p, struct hf_toxic *after);
/* The attributes and toxicity of `from`, which has the type of t; `from` is freed. */
void hf_chaos_toxic_replace(struct hf_chaos_proxy *p, struct hf_toxic *t, struct hf_toxic *from);
void hf_chaos_toxic_remove(struct hf_chaos_proxy *p, struct hf_toxic *t);

#endif
