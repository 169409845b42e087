/* SPDX-License-Identifier: Apache-2.0 */
/* Names over c-ares, whose sockets are watched by the loop's own epoll and whose deadlines lie in
 * the loop's own wheel. An answer is never given inside a call: it waits on `answered` for a timer
 * that is due on the next turn. */
#include "io/resolve.h"

#include "io/epoll.h"
#include "io/loop.h"

#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>

#define LOOKUPS_MAX 4096
#define ADDRESSES_MAX 64
#define ALIASES_MAX 4096 /* bytes of a chain of CNAMEs */
#define TRY_MS 2000
#define TRIES 3

/* One name that is asked for. On `asked` or on `answered`; cancelled ones are off both until c-ares
 * lets go of them. */
struct lookup {
    struct resolver *resolver;
    struct hf_list node;
    uint64_t id;
    hf_resolved *done; /* NULL: cancelled */
    void *owner;
    bool asked; /* c-ares holds a pointer to it */
    enum hf_status status;
    size_t count;
    struct hf_address *addresses;
    char *aliases; /* texts with a NUL behind each; NULL: none */
    size_t aliases_len;
};

struct resolver {
    struct loop *loop;
    ares_channel channel;
    bool has_channel;
    bool own_servers;          /* named by the caller: the system's file does not matter */
    struct timespec file_time; /* of /etc/resolv.conf when the channel was made */
    uint64_t last_id;
    size_t lookups;
    struct hf_timer ares_timer;
    struct hf_timer answer_timer;
    struct hf_list asked;
    struct hf_list answered;
    struct hf_list giving; /* the answers of this turn */
    const char *aliases;   /* of the answer that is being given */
    size_t aliases_len;
};

/* ---- answers ------------------------------------------------------------------------------------
 */

static void lookup_free(struct lookup *l)
{
    hf_list_remove(&l->node);
    l->resolver->lookups--;
    free(l->addresses);
    free(l->aliases);
    free(l);
}

static void give_answers(struct hf_timer *timer, hf_time now)
{
    struct resolver *r = HF_CONTAINER(timer, struct resolver, answer_timer);
    hf_list_splice(&r->giving, &r->answered);
    while (!hf_list_empty(&r->giving)) {
        struct lookup *l = HF_CONTAINER(r->giving.next, struct lookup, node);
        struct hf_address *addresses = l->addresses;
        size_t count = l->count;
        enum hf_status status = l->status;
        hf_resolved *done = l->done;
        void *owner = l->owner;
        char *aliases = l->aliases;
        r->aliases = aliases;
        r->aliases_len = l->aliases_len;
        l->addresses = NULL;
        l->aliases = NULL;
        lookup_free(l);
        done(owner, status, addresses, count);
        r->aliases = NULL;
        free(aliases);
        free(addresses);
    }
}

static void answer(struct lookup *l, enum hf_status status)
{
    struct resolver *r = l->resolver;
    l->status = status;
    hf_list_remove(&l->node);
    hf_list_append(&r->answered, &l->node);
    hf_timer_set(&r->loop->head, &r->answer_timer, r->loop->head.now);
}

static bool add_address(struct lookup *l, const struct sockaddr *address, socklen_t len)
{
    struct hf_address *all = l->addresses;
    if (l->count == ADDRESSES_MAX || len > sizeof(all->u)) {
        return false;
    }
    all = realloc(all, (l->count + 1) * sizeof(*all));
    if (all == NULL) {
        return false;
    }
    l->addresses = all;
    struct hf_address *a = &all[l->count++];
    memset(a, 0, sizeof(*a));
    memcpy(&a->u, address, len);
    a->len = len;
    return true;
}

/* A name of the chain of CNAMEs, unless it is there already or there is no memory for it. */
static void add_alias(struct lookup *l, const char *name)
{
    const size_t len = name == NULL ? 0 : strlen(name) + 1;
    if (len <= 1 || l->aliases_len + len > ALIASES_MAX) {
        return;
    }
    for (size_t at = 0; at < l->aliases_len; at += strlen(l->aliases + at) + 1) {
        if (strcmp(l->aliases + at, name) == 0) {
            return;
        }
    }
    char *all = realloc(l->aliases, l->aliases_len + len);
    if (all != NULL) {
        memcpy(all + l->aliases_len, name, len);
        l->aliases = all;
        l->aliases_len += len;
    }
}

const char *hf_resolver_alias(struct hf_loop *head, size_t index)
{
    const struct resolver *r = HF_CONTAINER(head, struct loop, head)->resolver;
    if (r == NULL || r->aliases == NULL) {
        return NULL;
    }
    size_t at = 0;
    while (at < r->aliases_len && index-- > 0) {
        at += strlen(r->aliases + at) + 1;
    }
    return at < r->aliases_len ? r->aliases + at : NULL;
}

static bool add_text(struct lookup *l, int family, const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (family == AF_INET) {
        return inet_pton(AF_INET, text, &v4.sin_addr) == 1 &&
               add_address(l, (struct sockaddr *)&v4, sizeof(v4));
    }
    return inet_pton(AF_INET6, text, &v6.sin6_addr) == 1 &&
           add_address(l, (struct sockaddr *)&v6, sizeof(v6));
}

/* RFC 6761 6.3: localhost and what ends in .localhost is this machine, whatever a server says. */
static bool is_localhost(struct hf_slice name)
{
    if (hf_slice_ends(name, HF_LITERAL("."))) {
        name.len--;
    }
    struct hf_slice last = HF_LITERAL("localhost");
    return name.len >= last.len &&
           hf_slice_eq_nocase(hf_slice_from(name, name.len - last.len), last) &&
           (name.len == last.len || name.ptr[name.len - last.len - 1] == '.');
}

/* True when the name needs no server. */
static bool answer_alone(struct lookup *l, const char *name)
{
    if (add_text(l, AF_INET, name) || add_text(l, AF_INET6, name)) {
        answer(l, HF_OK);
        return true;
    }
    if (is_localhost(hf_slice_of(name))) {
        add_text(l, AF_INET, "127.0.0.1");
        add_text(l, AF_INET6, "::1");
        answer(l, l->count > 0 ? HF_OK : HF_NO_MEMORY);
        return true;
    }
    return false;
}

/* ---- c-ares -------------------------------------------------------------------------------------
 */

static void set_ares_timer(struct resolver *r)
{
    struct timeval tv;
    if (ares_timeout(r->channel, NULL, &tv) == NULL) {
        hf_timer_stop(&r->loop->head, &r->ares_timer);
        return;
    }
    hf_time wait = (hf_time)tv.tv_sec * 1000000 + tv.tv_usec;
    hf_timer_set(&r->loop->head, &r->ares_timer, r->loop->head.now + wait + HF_MS(1));
}

static void ares_timer_fired(struct hf_timer *timer, hf_time now)
{
    struct resolver *r = HF_CONTAINER(timer, struct resolver, ares_timer);
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_ares_timer(r);
}

void hf_resolver_event(struct loop *loop, int fd, uint32_t events)
{
    struct resolver *r = loop->resolver;
    if (r == NULL || !r->has_channel) {
        return;
    }
    bool in = (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
    bool out = (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0;
    ares_process_fd(r->channel, in ? fd : ARES_SOCKET_BAD, out ? fd : ARES_SOCKET_BAD);
    set_ares_timer(r);
}

/* c-ares says what it waits for; neither: it is about to close the socket. */
static void watch_socket(void *data, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = data;
    struct epoll_event event = {.data.u64 = ((uint64_t)fd << 3) | WATCH_NAMES};
    event.events = (readable ? EPOLLIN : 0U) | (writable ? EPOLLOUT : 0U);
    if (event.events == 0) {
        epoll_ctl(r->loop->epoll, EPOLL_CTL_DEL, fd, NULL);
    } else if (epoll_ctl(r->loop->epoll, EPOLL_CTL_MOD, fd, &event) != 0 && errno == ENOENT) {
        /* Without a watch its time runs out, and the name is HF_IO. */
        (void)epoll_ctl(r->loop->epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static enum hf_status status_of_ares(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return HF_OK;
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
    case ARES_ENONAME:
        return HF_NOT_FOUND;
    case ARES_ENOMEM:
        return HF_NO_MEMORY;
    default:
        return HF_IO;
    }
}

static void ares_answered(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
    struct lookup *l = arg;
    l->asked = false;
    if (l->done == NULL) {
        lookup_free(l);
    } else {
        for (struct ares_addrinfo_node *n = result == NULL ? NULL : result->nodes; n != NULL;
             n = n->ai_next) {
            add_address(l, n->ai_addr, n->ai_addrlen);
        }
        for (struct ares_addrinfo_cname *n = result == NULL ? NULL : result->cnames; n != NULL;
             n = n->next) {
            add_alias(l, n->name);
        }
        enum hf_status s = status_of_ares(status);
        bool none = result == NULL || result->nodes == NULL;
        answer(l, s != HF_OK || l->count > 0 ? s : none ? HF_NOT_FOUND : HF_NO_MEMORY);
    }
    ares_freeaddrinfo(result);
}

static void drop_channel(struct resolver *r)
{
    if (r->has_channel) {
        hf_timer_stop(&r->loop->head, &r->ares_timer);
        ares_destroy(r->channel);
        r->has_channel = false;
    }
}

static enum hf_status need_channel(struct resolver *r)
{
    struct stat file = {0};
    (void)stat("/etc/resolv.conf", &file);
    bool changed =
        file.st_mtim.tv_sec != r->file_time.tv_sec || file.st_mtim.tv_nsec != r->file_time.tv_nsec;
    if (r->has_channel && changed && !r->own_servers && hf_list_empty(&r->asked)) {
        drop_channel(r); /* the machine has other servers now */
    }
    if (r->has_channel) {
        return HF_OK;
    }
    struct ares_options options = {.timeout = TRY_MS, .tries = TRIES};
    options.sock_state_cb = watch_socket;
    options.sock_state_cb_data = r;
    int mask = ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
    if (ares_init_options(&r->channel, &options, mask) != ARES_SUCCESS) {
        return HF_NO_MEMORY;
    }
    r->has_channel = true;
    r->file_time = file.st_mtim;
    return HF_OK;
}

static enum hf_status need_resolver(struct loop *loop)
{
    if (loop->resolver != NULL) {
        return HF_OK;
    }
    struct resolver *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return HF_NO_MEMORY;
    }
    r->loop = loop;
    hf_list_init(&r->asked);
    hf_list_init(&r->answered);
    hf_list_init(&r->giving);
    hf_timer_init(&r->ares_timer, ares_timer_fired);
    hf_timer_init(&r->answer_timer, give_answers);
    loop->resolver = r;
    return HF_OK;
}

enum hf_status hf_epoll_name_servers(struct hf_loop *head, const char *servers)
{
    struct loop *loop = HF_CONTAINER(head, struct loop, head);
    enum hf_status status = need_resolver(loop);
    if (status == HF_OK) {
        status = need_channel(loop->resolver);
    }
    if (status == HF_OK) {
        int result = ares_set_servers_ports_csv(loop->resolver->channel, servers);
        status = result == ARES_SUCCESS ? HF_OK : result == ARES_ENOMEM ? HF_NO_MEMORY : HF_INVALID;
        loop->resolver->own_servers = loop->resolver->own_servers || status == HF_OK;
    }
    return status;
}

/* ---- the calls ----------------------------------------------------------------------------------
 */

static struct lookup *lookup_make(struct resolver *r, hf_resolved *done, void *owner)
{
    struct lookup *l = r->lookups < LOOKUPS_MAX ? calloc(1, sizeof(*l)) : NULL;
    if (l == NULL) {
        return NULL;
    }
    l->resolver = r;
    l->id = ++r->last_id;
    l->done = done;
    l->owner = owner;
    hf_list_init(&l->node);
    hf_list_append(&r->asked, &l->node);
    r->lookups++;
    return l;
}

enum hf_status hf_resolver_start(struct hf_loop *head, const char *name, hf_resolved *done,
                                 void *owner, uint64_t *id)
{
    struct loop *loop = HF_CONTAINER(head, struct loop, head);
    *id = 0;
    enum hf_status status = need_resolver(loop);
    if (status != HF_OK) {
        return status;
    }
    struct resolver *r = loop->resolver;
    struct lookup *l = lookup_make(r, done, owner);
    if (l == NULL) {
        return HF_NO_MEMORY;
    }
    *id = l->id;
    if (answer_alone(l, name)) {
        return HF_OK;
    }
    hf_list_remove(&l->node); /* so that the channel may be made anew */
    status = need_channel(r);
    if (status != HF_OK) {
        lookup_free(l);
        *id = 0;
        return status;
    }
    hf_list_append(&r->asked, &l->node);
    l->asked = true;
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    ares_getaddrinfo(r->channel, name, NULL, &hints, ares_answered, l);
    set_ares_timer(r);
    return HF_OK;
}

static struct lookup *find(struct hf_list *list, uint64_t id)
{
    for (struct hf_list *node = list->next; node != list; node = node->next) {
        struct lookup *l = HF_CONTAINER(node, struct lookup, node);
        if (l->id == id) {
            return l;
        }
    }
    return NULL;
}

void hf_resolver_cancel(struct hf_loop *head, uint64_t id)
{
    struct resolver *r = HF_CONTAINER(head, struct loop, head)->resolver;
    if (r == NULL || id == 0) {
        return;
    }
    struct lookup *l = find(&r->answered, id);
    l = l == NULL ? find(&r->giving, id) : l;
    l = l == NULL ? find(&r->asked, id) : l;
    if (l != NULL && l->asked) {
        l->done = NULL; /* c-ares still has it; it stays on the list until then */
    } else if (l != NULL) {
        lookup_free(l);
    }
}

void hf_resolver_free(struct resolver *r)
{
    if (r == NULL) {
        return;
    }
    struct hf_list *lists[] = {&r->asked, &r->answered};
    for (size_t i = 0; i < 2; i++) {
        for (struct hf_list *node = lists[i]->next; node != lists[i]; node = node->next) {
            HF_CONTAINER(node, struct lookup, node)->done = NULL;
        }
    }
    drop_channel(r); /* answers what was asked with ARES_EDESTRUCTION, which frees it */
    while (!hf_list_empty(&r->answered)) {
        lookup_free(HF_CONTAINER(r->answered.next, struct lookup, node));
    }
    hf_timer_stop(&r->loop->head, &r->answer_timer);
    r->loop->resolver = NULL;
    free(r);
}
