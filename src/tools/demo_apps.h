/* SPDX-License-Identifier: Apache-2.0 */
/* The two applications behind the demo's pages: an inbox, and a chat that streams its answers. They
 * speak as examples/web/README.md says. Each knows its visitors by ?user=NAME, so that their
 * messages are numbered on however often they connect. */
#ifndef HF_TOOLS_DEMO_APPS_H
#define HF_TOOLS_DEMO_APPS_H

#include "base/list.h"
#include "io/io.h"

#define DEMO_VISITORS_MAX 64
#define DEMO_VISITOR_NAME 24

struct demo_visitor {
    char name[DEMO_VISITOR_NAME + 1]; /* "": none */
    unsigned messages;                /* of the inbox, so far */
};

struct demo_apps {
    struct hf_loop *loop;
    struct hf_listener *listener;
    struct hf_address address; /* loopback, a port of the system's choice */
    struct hf_list talks;
    struct demo_visitor visitors[DEMO_VISITORS_MAX];
    struct hf_timer timer;
    hf_time letter; /* when the next message comes to everybody's inbox */
    uint64_t seeds; /* of mask keys: servers send none, but the endpoint wants one */
};

HF_MUST_USE enum hf_status demo_apps_init(struct demo_apps *a, struct hf_loop *loop);
/* Fit for a zeroed one. */
void demo_apps_fini(struct demo_apps *a);

#endif
