/* SPDX-License-Identifier: Apache-2.0 */
/* The book of connections: see book.h. */
#include "logs/book.h"

#include "base/list.h"
#include "base/table.h"

#define LOOKED_AT_MAX 4096 /* reasons, or open connections, for one line */

/* An open connection: on its group's list, and in the table by its key when it has one (Daphne). */
struct open {
    struct hf_table_node node;
    struct hf_list in_group;
    struct hf_list in_order; /* of all, oldest first */
    bool is_keyed;
    bool refused; /* WSREJECT came: its WSDISCONNECT is no ending */
    int64_t at;
    uint32_t source;
    enum hf_logs_format format;
    struct group *group;
    char key[64]; /* the address as it stands there */
    char path[128];
};

/* The connections of one process in one file. */
struct group {
    struct hf_table_node node;
    uint32_t source, pid;
    struct hf_list opens;
    uint64_t alive;   /* as many are open; the list may hold more when it is mixed up */
    uint64_t refused; /* refused ones whose `connection closed` is still to come */
    bool mixed;       /* one of several ended, and nobody knows which */
    char leaving[40]; /* the cause, when the process is on its way out */
};

/* The reasons of one address and path, oldest first; never none. Behind a balancer all clients have
 * one address. */
struct reasons {
    struct hf_table_node node;
    struct hf_list hints;
};

/* A reason that waits for its access line. */
struct hint {
    struct reasons *reasons;
    struct hf_list in_reasons;
    struct hf_list in_order;
    uint64_t connection;
    struct hf_logs_ending ending;
};

struct hf_logs_book {
    const struct hf_allocator *alloc;
    struct hf_table opens, groups, hints;
    struct hf_list open_order, hint_order;
    size_t open_count, group_count, hint_count;
    bool saw_access, finished;
    int64_t now; /* newest time of an event */
    struct hf_logs_ending ready;
    bool has_ready;
    struct group *dying; /* whose connections are all to be told as ended */
    char dying_cause[40];
    int64_t dying_at;
    struct hf_logs_book_counts counts;
};

/* ---- texts */

/* Without its query: it may hold secrets, and one path is one path. */
static void put_path(char *out, size_t size, struct hf_slice s)
{
    s = hf_slice_first(s, hf_slice_find(s, '?'));
    hf_logs_copy_text(out, size, s);
}

/* Without its port: 127.0.0.1:80, [::1]:80; a bare IPv6 address stays. */
static void put_address(char *out, size_t size, struct hf_slice s)
{
    size_t colon = hf_slice_find(s, ':');
    size_t bracket = hf_slice_find(s, ']');
    if (s.len > 0 && s.ptr[0] == '[' && bracket < s.len) {
        s = hf_slice(s.ptr + 1, bracket - 1);
    } else if (colon < s.len &&
               hf_slice_find(hf_slice_from(s, colon + 1), ':') == s.len - colon - 1) {
        s = hf_slice_first(s, colon);
    }
    hf_logs_copy_text(out, size, s);
}

static void ending_of(const struct hf_logs_event *e, uint32_t source, struct hf_logs_ending *out)
{
    *out = (struct hf_logs_ending){
        .fate = HF_LOGS_ENDED,
        .format = e->format,
        .who = e->who,
        .how = e->how,
        .at = e->at,
        .age = e->age,
        .silent_rx = e->silent_rx,
        .silent_tx = e->silent_tx,
        .code = e->code,
        .http = e->http,
        .pid = e->pid,
        .source = source,
        .messages_up = e->messages_up,
        .messages_down = e->messages_down,
        .bytes_up = e->bytes_up,
        .bytes_down = e->bytes_down,
        .wished = e->wished,
    };
    put_path(out->path, sizeof(out->path), e->path);
    put_address(out->address, sizeof(out->address), e->address);
    put_path(out->upstream, sizeof(out->upstream), e->upstream); /* nginx writes its query too */
    hf_logs_copy_text(out->reason, sizeof(out->reason), e->reason);
    hf_logs_copy_text(out->cause, sizeof(out->cause), e->cause);
}

static void set_ready(struct hf_logs_book *b, const struct hf_logs_ending *ending)
{
    b->ready = *ending;
    b->has_ready = true;
}

/* ---- life */

struct hf_logs_book *hf_logs_book_new(const struct hf_allocator *alloc, const uint8_t key[16])
{
    struct hf_logs_book *b = hf_alloc_zero(alloc, sizeof(*b));
    if (b == NULL) {
        return NULL;
    }
    b->alloc = alloc;
    b->now = HF_LOGS_NO_TIME;
    hf_table_init(&b->opens, alloc, key);
    hf_table_init(&b->groups, alloc, key);
    hf_table_init(&b->hints, alloc, key);
    hf_list_init(&b->open_order);
    hf_list_init(&b->hint_order);
    return b;
}

static void drop_open(struct hf_logs_book *b, struct open *o)
{
    if (o->is_keyed) {
        hf_table_remove(&b->opens, &o->node);
    }
    hf_list_remove(&o->in_group);
    hf_list_remove(&o->in_order);
    hf_release(b->alloc, o);
    b->open_count--;
}

static void drop_hint(struct hf_logs_book *b, struct hint *h)
{
    struct reasons *r = h->reasons;
    hf_list_remove(&h->in_reasons);
    hf_list_remove(&h->in_order);
    hf_release(b->alloc, h);
    b->hint_count--;
    if (hf_list_empty(&r->hints)) {
        hf_table_remove(&b->hints, &r->node);
        hf_release(b->alloc, r);
    }
}

static struct open *first_open(const struct hf_list *list)
{
    return hf_list_empty(list) ? NULL : HF_CONTAINER(list->next, struct open, in_order);
}

static struct hint *first_hint(const struct hf_logs_book *b)
{
    return hf_list_empty(&b->hint_order) ? NULL
                                         : HF_CONTAINER(b->hint_order.next, struct hint, in_order);
}

void hf_logs_book_free(struct hf_logs_book *b)
{
    if (b == NULL) {
        return;
    }
    while (first_open(&b->open_order) != NULL) {
        drop_open(b, first_open(&b->open_order));
    }
    while (first_hint(b) != NULL) {
        drop_hint(b, first_hint(b));
    }
    struct hf_table_node *n = hf_table_next(&b->groups, NULL);
    while (n != NULL) {
        struct hf_table_node *next = hf_table_next(&b->groups, n);
        hf_release(b->alloc, HF_CONTAINER(n, struct group, node));
        n = next;
    }
    hf_table_fini(&b->opens);
    hf_table_fini(&b->groups);
    hf_table_fini(&b->hints);
    hf_release(b->alloc, b);
}

const struct hf_logs_book_counts *hf_logs_book_counts(const struct hf_logs_book *b)
{
    return &b->counts;
}

/* ---- groups */

/* make: when there is none yet. NULL: none, or no memory, or too many processes. */
static struct group *group_of(struct hf_logs_book *b, uint32_t source, uint32_t pid, bool make)
{
    uint32_t both[2] = {source, pid};
    uint64_t hash = hf_table_hash(&b->groups, hf_slice(both, sizeof(both)));
    struct hf_table_node *n = NULL;
    while ((n = hf_table_find(&b->groups, hash, n)) != NULL) {
        struct group *g = HF_CONTAINER(n, struct group, node);
        if (g->source == source && g->pid == pid) {
            return g;
        }
    }
    if (!make || b->group_count == HF_LOGS_GROUPS_MAX) {
        return NULL;
    }
    struct group *g = hf_alloc_zero(b->alloc, sizeof(*g));
    if (g == NULL) {
        return NULL;
    }
    g->source = source;
    g->pid = pid;
    hf_list_init(&g->opens);
    if (hf_table_insert(&b->groups, &g->node, hash) != HF_OK) {
        hf_release(b->alloc, g);
        return NULL;
    }
    b->group_count++;
    return g;
}

/* Nothing in it is open: it begins anew. */
static void empty_group(struct hf_logs_book *b, struct group *g)
{
    while (!hf_list_empty(&g->opens)) {
        drop_open(b, HF_CONTAINER(g->opens.next, struct open, in_group));
    }
    g->alive = 0;
    g->mixed = false;
}

static void drop_group(struct hf_logs_book *b, struct group *g)
{
    empty_group(b, g);
    hf_table_remove(&b->groups, &g->node);
    hf_release(b->alloc, g);
    b->group_count--;
}

/* ---- connections that are opened and closed in lines of their own */

static bool is_keyed(const struct hf_logs_event *e)
{
    return e->format == HF_LOGS_DAPHNE;
}

static uint64_t open_hash(const struct hf_logs_book *b, struct hf_slice key, uint32_t source)
{
    return hf_table_hash(&b->opens, key) ^ source;
}

static struct open *find_open(struct hf_logs_book *b, struct hf_slice key, uint32_t source)
{
    struct hf_table_node *n = NULL;
    key = hf_slice_first(key, sizeof(((struct open *)0)->key) - 1);
    while ((n = hf_table_find(&b->opens, open_hash(b, key, source), n)) != NULL) {
        struct open *o = HF_CONTAINER(n, struct open, node);
        if (o->source == source && hf_slice_eq(hf_slice_of(o->key), key)) {
            return o;
        }
    }
    return NULL;
}

static void give_up(struct hf_logs_book *b, struct open *o)
{
    if (o->group != NULL) {
        o->group->mixed = true; /* its number stays among the living, its age is lost */
    }
    b->counts.given_up++;
    drop_open(b, o);
}

static enum hf_status feed_open(struct hf_logs_book *b, const struct hf_logs_event *e,
                                uint32_t source, bool refused)
{
    struct group *g = is_keyed(e) ? NULL : group_of(b, source, e->pid, true);
    struct open *old = is_keyed(e) ? find_open(b, e->address, source) : NULL;
    if (g != NULL && refused) {
        g->refused++;
        return HF_OK;
    }
    if (old != NULL) {
        give_up(b, old);
    }
    if (b->open_count == HF_LOGS_OPEN_MAX) {
        give_up(b, first_open(&b->open_order));
    }
    struct open *o = hf_alloc_zero(b->alloc, sizeof(*o));
    if (o == NULL) {
        return HF_NO_MEMORY;
    }
    o->at = e->at;
    o->source = source;
    o->format = e->format;
    o->refused = refused;
    o->group = g;
    o->is_keyed = is_keyed(e);
    hf_logs_copy_text(o->key, sizeof(o->key), e->address);
    put_path(o->path, sizeof(o->path), e->path);
    if (o->is_keyed &&
        hf_table_insert(&b->opens, &o->node, open_hash(b, hf_slice_of(o->key), source)) != HF_OK) {
        hf_release(b->alloc, o);
        return HF_NO_MEMORY;
    }
    hf_list_init(&o->in_group);
    hf_list_append(&b->open_order, &o->in_order);
    b->open_count++;
    if (g != NULL) {
        hf_list_append(&g->opens, &o->in_group);
        g->alive++;
    }
    return HF_OK;
}

/* What is known of it from its beginning. */
static void fill_from(struct hf_logs_ending *ending, const struct open *o)
{
    memcpy(ending->path, o->path, sizeof(ending->path));
    put_address(ending->address, sizeof(ending->address), hf_slice_of(o->key));
    if (ending->at != HF_LOGS_NO_TIME && o->at != HF_LOGS_NO_TIME && ending->at >= o->at) {
        ending->age = ending->at - o->at;
    }
}

/* The path, when all that are open have the same one. */
static void fill_common_path(struct hf_logs_ending *ending, const struct group *g)
{
    const struct open *first = HF_CONTAINER(g->opens.next, struct open, in_group);
    unsigned looked = 0;
    for (const struct hf_list *n = g->opens.next; n != &g->opens; n = n->next) {
        if (looked++ == LOOKED_AT_MAX ||
            strcmp(HF_CONTAINER(n, struct open, in_group)->path, first->path) != 0) {
            return;
        }
    }
    memcpy(ending->path, first->path, sizeof(ending->path));
}

static void feed_closed_unnamed(struct hf_logs_book *b, struct group *g,
                                struct hf_logs_ending *ending)
{
    if (g->refused > 0) {
        g->refused--;
        return;
    }
    if (g->leaving[0] != '\0') {
        memcpy(ending->cause, g->leaving, sizeof(ending->cause));
        ending->how = HF_LOGS_HOW_KILLED;
        ending->who = HF_LOGS_WHO_SERVER;
    }
    if (g->alive == 0) {
        b->counts.began_before++;
    } else if (g->alive == 1 && !g->mixed && !hf_list_empty(&g->opens)) {
        fill_from(ending, HF_CONTAINER(g->opens.next, struct open, in_group));
        empty_group(b, g);
    } else {
        b->counts.ambiguous++;
        g->mixed = true;
        if (!hf_list_empty(&g->opens)) {
            fill_common_path(ending, g);
        }
        if (--g->alive == 0) {
            empty_group(b, g);
        }
    }
    set_ready(b, ending);
}

static void feed_closed(struct hf_logs_book *b, const struct hf_logs_event *e, uint32_t source)
{
    struct hf_logs_ending ending;
    ending_of(e, source, &ending);
    if (is_keyed(e)) {
        struct open *o = find_open(b, e->address, source);
        if (o == NULL) {
            b->counts.began_before++;
            set_ready(b, &ending);
            return;
        }
        fill_from(&ending, o);
        if (!o->refused) {
            set_ready(b, &ending);
        }
        drop_open(b, o);
        return;
    }
    struct group *g = group_of(b, source, e->pid, true);
    if (g == NULL) {
        b->counts.ambiguous++;
        set_ready(b, &ending);
        return;
    }
    feed_closed_unnamed(b, g, &ending);
}

/* A process is on its way out (RESTART), or gone (DEATH): what closes now, closes by that. */
static void feed_restart(struct hf_logs_book *b, const struct hf_logs_event *e, uint32_t source)
{
    struct group *g = group_of(b, source, e->pid, false);
    if (g == NULL && e->format == HF_LOGS_UVICORN) {
        g = group_of(b, source, 0, false); /* plain Uvicorn's lines have no pid */
    }
    if (g == NULL) {
        return;
    }
    if (e->cause.len > 0 && g->leaving[0] == '\0') {
        hf_logs_copy_text(g->leaving, sizeof(g->leaving), e->cause);
    }
    if (e->kind == HF_LOGS_DEATH) {
        b->dying = g;
        b->dying_at = e->at;
    }
}

/* One connection of a process that is gone. */
static bool next_dying(struct hf_logs_book *b, struct hf_logs_ending *ending)
{
    struct group *g = b->dying;
    if (g == NULL || g->alive == 0) {
        if (g != NULL) {
            drop_group(b, g);
            b->dying = NULL;
        }
        return false;
    }
    *ending = (struct hf_logs_ending){
        .fate = HF_LOGS_ENDED,
        .format = HF_LOGS_UVICORN,
        .who = HF_LOGS_WHO_SERVER,
        .how = HF_LOGS_HOW_KILLED,
        .at = b->dying_at,
        .age = -1,
        .silent_rx = -1,
        .silent_tx = -1,
        .pid = g->pid,
        .source = g->source,
        .messages_up = -1,
        .messages_down = -1,
        .bytes_up = -1,
        .bytes_down = -1,
    };
    memcpy(ending->cause, g->leaving, sizeof(ending->cause));
    if (!g->mixed && !hf_list_empty(&g->opens)) {
        struct open *o = HF_CONTAINER(g->opens.next, struct open, in_group);
        ending->format = o->format;
        fill_from(ending, o);
        drop_open(b, o);
    } else if (!hf_list_empty(&g->opens)) {
        fill_common_path(ending, g);
        b->counts.ambiguous++;
    }
    g->alive--;
    return true;
}

/* ---- nginx's reasons */

static uint64_t hint_hash(const struct hf_logs_book *b, const struct hf_logs_ending *ending)
{
    return hf_table_hash(&b->hints, hf_slice_of(ending->address)) ^
           hf_table_hash(&b->hints, hf_slice_of(ending->path));
}

/* Those of the same address and path; NULL: there are none. */
static struct reasons *reasons_of(const struct hf_logs_book *b, const struct hf_logs_ending *ending)
{
    struct hf_table_node *n = NULL;
    while ((n = hf_table_find(&b->hints, hint_hash(b, ending), n)) != NULL) {
        struct reasons *r = HF_CONTAINER(n, struct reasons, node);
        const struct hf_logs_ending *first =
            &HF_CONTAINER(r->hints.next, struct hint, in_reasons)->ending;
        if (strcmp(first->address, ending->address) == 0 &&
            strcmp(first->path, ending->path) == 0) {
            return r;
        }
    }
    return NULL;
}

static struct reasons *new_reasons(struct hf_logs_book *b, const struct hf_logs_ending *ending)
{
    struct reasons *r = hf_alloc_zero(b->alloc, sizeof(*r));
    if (r == NULL) {
        return NULL;
    }
    hf_list_init(&r->hints);
    if (hf_table_insert(&b->hints, &r->node, hint_hash(b, ending)) != HF_OK) {
        hf_release(b->alloc, r);
        return NULL;
    }
    return r;
}

static enum hf_status feed_hint(struct hf_logs_book *b, const struct hf_logs_event *e,
                                uint32_t source)
{
    if (b->hint_count == HF_LOGS_HINTS_MAX) {
        b->counts.hints_lost++;
        drop_hint(b, first_hint(b));
    }
    struct hint *h = hf_alloc_zero(b->alloc, sizeof(*h));
    if (h == NULL) {
        return HF_NO_MEMORY;
    }
    h->connection = e->connection;
    ending_of(e, source, &h->ending);
    h->reasons = reasons_of(b, &h->ending);
    h->reasons = h->reasons == NULL ? new_reasons(b, &h->ending) : h->reasons;
    if (h->reasons == NULL) {
        hf_release(b->alloc, h);
        return HF_NO_MEMORY;
    }
    hf_list_append(&h->reasons->hints, &h->in_reasons);
    hf_list_append(&b->hint_order, &h->in_order);
    b->hint_count++;
    return HF_OK;
}

/* The number decides where both have one. Else the reason stands at most two seconds behind its
 * access line, or before it, by as long as nginx takes to drain, but not before the connection
 * began. Of several, the oldest. */
static bool belongs(const struct hint *h, const struct hf_logs_ending *ending, uint64_t connection)
{
    if (h->connection != 0 && connection != 0) {
        return h->connection == connection;
    }
    if (ending->at == HF_LOGS_NO_TIME || h->ending.at == HF_LOGS_NO_TIME) {
        return false;
    }
    hf_time before = ending->at - h->ending.at;
    hf_time room = ending->age >= 0 && ending->age < HF_LOGS_HINT_WAIT ? ending->age + HF_SECONDS(2)
                                                                       : HF_LOGS_HINT_WAIT;
    return before >= -HF_SECONDS(2) && before <= room;
}

static void feed_end(struct hf_logs_book *b, const struct hf_logs_event *e, uint32_t source)
{
    struct hf_logs_ending ending;
    struct hint *found = NULL;
    ending_of(e, source, &ending);
    b->saw_access = b->saw_access || e->format == HF_LOGS_NGINX_ACCESS;
    if (b->hint_count > 0 && e->format == HF_LOGS_NGINX_ACCESS) {
        struct reasons *r = reasons_of(b, &ending);
        struct hf_list *n = r == NULL ? NULL : r->hints.next;
        for (unsigned looked = 0;
             n != NULL && n != &r->hints && found == NULL && looked < LOOKED_AT_MAX;
             looked++, n = n->next) {
            struct hint *h = HF_CONTAINER(n, struct hint, in_reasons);
            found = belongs(h, &ending, e->connection) ? h : NULL;
        }
    }
    if (found != NULL) {
        memcpy(ending.cause, found->ending.cause, sizeof(ending.cause));
        memcpy(ending.reason, found->ending.reason, sizeof(ending.reason));
        ending.how = found->ending.how;
        ending.who = found->ending.who;
        ending.pid = found->ending.pid;
        drop_hint(b, found);
    }
    /* proxy_read_timeout and proxy_send_timeout write the same line; a client that was served for
     * long after the upstream was given up tells the second one. */
    if (e->what.len > 0 && strcmp(ending.cause, "nginx-proxy-read-60s") == 0) {
        hf_logs_copy_text(ending.cause, sizeof(ending.cause), HF_LITERAL("nginx-proxy-send-60s"));
    }
    set_ready(b, &ending);
}

/* A reason whose time is over: told by itself when there are no access lines at all. */
static bool next_hint(struct hf_logs_book *b, struct hf_logs_ending *ending)
{
    struct hint *h;
    while ((h = first_hint(b)) != NULL &&
           (b->finished || (b->now != HF_LOGS_NO_TIME && h->ending.at != HF_LOGS_NO_TIME &&
                            b->now - h->ending.at > HF_LOGS_HINT_WAIT))) {
        bool alone = !b->saw_access;
        *ending = h->ending;
        b->counts.hints_left += alone ? 0 : 1;
        drop_hint(b, h);
        if (alone) {
            return true;
        }
    }
    return false;
}

/* ---- the door */

enum hf_status hf_logs_book_feed(struct hf_logs_book *b, const struct hf_logs_event *e,
                                 uint32_t source)
{
    if (e->at != HF_LOGS_NO_TIME && e->at > b->now) {
        b->now = e->at;
    }
    switch (e->kind) {
    case HF_LOGS_OPEN:
        return feed_open(b, e, source, false);
    case HF_LOGS_CLOSED:
        feed_closed(b, e, source);
        return HF_OK;
    case HF_LOGS_END:
    case HF_LOGS_ALIVE:
        feed_end(b, e, source);
        b->ready.fate = e->kind == HF_LOGS_ALIVE ? HF_LOGS_LIVED : HF_LOGS_ENDED;
        return HF_OK;
    case HF_LOGS_HINT:
        return feed_hint(b, e, source);
    case HF_LOGS_REFUSED: {
        struct hf_logs_ending ending;
        ending_of(e, source, &ending);
        ending.fate = HF_LOGS_TURNED_AWAY;
        set_ready(b, &ending);
        bool closes = e->format == HF_LOGS_DAPHNE || e->format == HF_LOGS_UVICORN;
        return closes ? feed_open(b, e, source, true) : HF_OK;
    }
    case HF_LOGS_RESTART:
    case HF_LOGS_DEATH:
        feed_restart(b, e, source);
        return HF_OK;
    case HF_LOGS_NOTHING:
    case HF_LOGS_HTTP:
    case HF_LOGS_LIMITER:
    case HF_LOGS_FAULT:
    default:
        return HF_OK;
    }
}

void hf_logs_book_finish(struct hf_logs_book *b)
{
    b->finished = true;
}

/* One that is still open at the end of the log. */
static bool next_living(struct hf_logs_book *b, struct hf_logs_ending *ending)
{
    struct open *o;
    while (b->finished && (o = first_open(&b->open_order)) != NULL) {
        struct hf_logs_event e;
        bool known = !o->refused && o->at != HF_LOGS_NO_TIME && b->now >= o->at &&
                     (o->group == NULL || !o->group->mixed);
        bool lives = !o->refused && (o->group == NULL || o->group->alive > 0);
        hf_logs_event_init(&e);
        e.format = o->format;
        e.at = b->now;
        ending_of(&e, o->source, ending);
        fill_from(ending, o);
        ending->fate = HF_LOGS_LIVED;
        ending->age = known ? b->now - o->at : -1;
        if (lives && o->group != NULL) {
            o->group->alive--;
        }
        drop_open(b, o);
        if (lives) {
            return true;
        }
    }
    return false;
}

bool hf_logs_book_next(struct hf_logs_book *b, struct hf_logs_ending *ending)
{
    if (b->has_ready) {
        *ending = b->ready;
        b->has_ready = false;
        return true;
    }
    return next_dying(b, ending) || next_hint(b, ending) || next_living(b, ending);
}
