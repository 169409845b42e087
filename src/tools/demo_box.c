/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's middlebox: see demo_box.h. */
#include "tools/demo_box.h"

#include <stdlib.h>

struct link;

/* One of the two TCP connections of a link. */
struct side {
    struct link *link;
    struct hf_stream *stream; /* NULL once it is closed */
    bool open;                /* the connect has succeeded */
    bool ended;               /* its peer has sent FIN */
};

struct link {
    struct hf_list node;
    struct demo_box *box;
    struct side sides[2]; /* towards the client, towards the target */
    hf_time cut_at;       /* HF_NEVER: it is left alone */
};

static struct side *other_side(struct side *side)
{
    struct side *sides = side->link->sides;
    return side == &sides[0] ? &sides[1] : &sides[0];
}

static void end_link(struct link *link, bool reset)
{
    for (int i = 0; i < 2; i++) {
        struct hf_stream *stream = link->sides[i].stream;
        link->sides[i].stream = NULL;
        if (reset) {
            hf_stream_abort(stream);
        } else {
            hf_stream_close(stream);
        }
    }
    hf_list_remove(&link->node);
    hf_list_append(&link->box->ended, &link->node);
}

/* ---- bytes --------------------------------------------------------------- */

static void on_open(void *owner, struct hf_stream *stream)
{
    struct side *side = owner;
    side->open = true;
    hf_stream_resume(other_side(side)->stream);
}

static size_t on_bytes(void *owner, struct hf_stream *stream, struct hf_slice bytes)
{
    struct side *side = owner;
    size_t taken = hf_stream_send(other_side(side)->stream, bytes);
    if (taken < bytes.len) {
        hf_stream_pause(stream);
    }
    return taken;
}

static void on_writable(void *owner, struct hf_stream *stream)
{
    struct side *side = owner;
    hf_stream_resume(other_side(side)->stream);
}

static void on_end(void *owner, struct hf_stream *stream, const struct hf_end *end)
{
    struct side *side = owner;
    struct side *other = other_side(side);
    side->ended = true;
    if (end->kind != HF_END_FIN || !other->open) {
        end_link(side->link, true);
    } else if (other->ended) {
        end_link(side->link, false);
    } else {
        hf_stream_shut(other->stream);
    }
}

static const struct hf_stream_handler side_handler = {
    .on_open = on_open, .on_bytes = on_bytes, .on_writable = on_writable, .on_end = on_end};

/* ---- connections --------------------------------------------------------- */

static void on_accept(void *owner, struct hf_stream *stream, const struct hf_address *peer)
{
    struct demo_box *box = owner;
    struct hf_connect how = {.address = box->target};
    struct link *link = calloc(1, sizeof(*link));
    if (link == NULL) {
        hf_stream_abort(stream);
        return;
    }
    link->box = box;
    link->cut_at = box->age_max == 0
                       ? HF_NEVER
                       : demo_clock_now(box->clock) + box->age_min +
                             (hf_time)hf_random_below(box->random,
                                                      (uint64_t)(box->age_max - box->age_min + 1));
    hf_list_init(&link->node);
    hf_list_append(&box->links, &link->node);
    link->sides[0] = (struct side){.link = link, .stream = stream, .open = true};
    link->sides[1] = (struct side){.link = link};
    hf_stream_handle(stream, &side_handler, &link->sides[0]);
    if (hf_loop_connect(box->clock->loop, &how, &side_handler, &link->sides[1],
                        &link->sides[1].stream) != HF_OK) {
        end_link(link, true);
    }
}

static const struct hf_listener_handler box_handler = {.on_accept = on_accept};

static unsigned cut_due(struct demo_box *box, hf_time now)
{
    unsigned cuts = 0;
    struct hf_list *next;
    for (struct hf_list *node = box->links.next; node != &box->links; node = next) {
        struct link *link = HF_CONTAINER(node, struct link, node);
        next = node->next;
        if (link->cut_at <= now) {
            cuts++;
            end_link(link, true);
        }
    }
    box->cuts += cuts;
    return cuts;
}

void demo_box_tick(struct demo_box *box)
{
    if (box->age_max > 0) {
        (void)cut_due(box, demo_clock_now(box->clock));
    }
}

unsigned demo_box_cut_all(struct demo_box *box)
{
    return cut_due(box, HF_NEVER);
}

enum hf_status demo_box_init(struct demo_box *box, struct demo_clock *clock,
                             struct hf_random *random, hf_time age_min, hf_time age_max)
{
    struct hf_listen how = {0};
    *box =
        (struct demo_box){.clock = clock, .random = random, .age_min = age_min, .age_max = age_max};
    hf_list_init(&box->links);
    hf_list_init(&box->ended);
    HF_ASSERT(hf_address_parse(HF_LITERAL("127.0.0.1:0"), &how.address));
    enum hf_status status = hf_loop_listen(clock->loop, &how, &box_handler, box, &box->listener);
    if (status == HF_OK) {
        hf_listener_address(clock->loop, box->listener, &box->address);
    }
    return status;
}

void demo_box_fini(struct demo_box *box)
{
    if (box->clock == NULL) {
        return;
    }
    while (!hf_list_empty(&box->links)) {
        end_link(HF_CONTAINER(box->links.next, struct link, node), true);
    }
    while (!hf_list_empty(&box->ended)) {
        struct link *link = HF_CONTAINER(box->ended.next, struct link, node);
        hf_list_remove(&link->node);
        free(link);
    }
    hf_listener_close(box->clock->loop, box->listener);
    *box = (struct demo_box){0};
}
