/* SPDX-License-Identifier: Apache-2.0 */
/* Who the client is: the peer of the connection, or the one whom a trusted proxy in front names in
 * X-Forwarded-For, Forwarded or CF-Connecting-IP. */
#include "gateway/opening.h"

#include "policy/access.h"

bool hf_opening_trusts(const struct hf_opening *o, const uint8_t address[16])
{
    const struct hf_config *config = o->runtime->config;
    for (size_t i = 0; i < config->trusted_proxy_count; i++) {
        if (hf_block_contains(&config->trusted_proxies[i], address)) {
            return true;
        }
    }
    return false;
}

/* Who may connect to a Unix socket is its file's permission. */
bool hf_opening_trusts_peer(const struct hf_opening *o)
{
    return o->unix_peer || hf_opening_trusts(o, o->peer);
}

/* The value behind `for=` in a member of Forwarded; false when the member is not pairs of
 * token=value (RFC 7239 section 4), so that a quote which one hop left open cannot swallow what the
 * next hop added. */
static bool for_of_member(struct hf_slice member, struct hf_slice *value)
{
    struct hf_slice pair;
    bool found = false;
    while (hf_slice_next(&member, ';', &pair)) {
        struct hf_slice name;
        struct hf_slice rest = hf_slice_trim(pair);
        if (!hf_slice_next(&rest, '=', &name) || name.len == 0) {
            return false;
        }
        bool quoted = rest.len >= 2 && rest.ptr[0] == '"' && rest.ptr[rest.len - 1] == '"';
        if (quoted) {
            rest = hf_slice(rest.ptr + 1, rest.len - 2);
        }
        if (rest.len == 0 || hf_slice_find(rest, '"') < rest.len ||
            hf_slice_find(rest, ',') < rest.len) {
            return false;
        }
        if (hf_slice_eq_nocase(name, HF_LITERAL("for"))) {
            *value = rest;
            found = true;
        }
    }
    return found;
}

/* The address that a member of Forwarded names, or that a member of X-Forwarded-For is. */
static bool member_address(struct hf_slice member, bool forwarded, uint8_t address[16])
{
    struct hf_slice value = hf_slice_trim(member);
    return (!forwarded || for_of_member(member, &value)) && hf_ip_parse(value, address);
}

/* The members of all header lines of that name, the nearest hop last; commas in quotes part those
 * of X-Forwarded-For too, which knows no quotes. */
#define HOPS_MAX 64
struct hops {
    struct hf_slice list[HOPS_MAX]; /* the newest HOPS_MAX, in a ring */
    size_t count;
};

static void add_hop(struct hops *hops, struct hf_slice member)
{
    hops->list[hops->count % HOPS_MAX] = hf_slice_trim(member);
    hops->count++;
}

static void collect_hops(const struct hf_opening *o, const char *name, bool forwarded,
                         struct hops *hops)
{
    struct hf_slice member;
    uint32_t cursor = 0;
    hops->count = 0;
    while (forwarded && hf_head_next_member(o->head, name, &cursor, &member)) {
        add_hop(hops, member);
    }
    for (size_t i = 0; !forwarded && i < o->head->count; i++) {
        struct hf_slice rest = o->head->headers[i].value;
        if (hf_slice_eq_nocase(o->head->headers[i].name, hf_slice_of(name))) {
            while (hf_slice_next(&rest, ',', &member)) {
                add_hop(hops, member);
            }
        }
    }
}

/* Walks the list of proxies from the nearest: the first address that is not trusted is the
 * client's. */
static bool client_of_list(const struct hf_opening *o, const char *name, bool forwarded,
                           uint8_t address[16])
{
    struct hops hops;
    bool found = false;
    collect_hops(o, name, forwarded, &hops);
    for (size_t i = 0; i < hops.count && i < HOPS_MAX; i++) {
        uint8_t hop[16];
        if (!member_address(hops.list[(hops.count - 1 - i) % HOPS_MAX], forwarded, hop)) {
            break;
        }
        memcpy(address, hop, sizeof(hop));
        found = true;
        if (!hf_opening_trusts(o, hop)) {
            break;
        }
    }
    return found;
}

const struct hf_slice *hf_opening_host(const struct hf_opening *o)
{
    const struct hf_slice *front =
        o->front_trusted ? hf_head_find(o->head, "X-Forwarded-Host") : NULL;
    return front != NULL ? front : hf_head_find(o->head, "Host");
}

/* Headers that name the client are believed from trusted addresses only, and only the first kind
 * that is there: a broken one must not open the way to one that the proxy in front let pass. */
void hf_opening_believe_proxies(struct hf_opening *o)
{
    uint8_t address[16];
    bool named = false;
    if (o->runtime->config->trusted_proxy_count == 0 || !hf_opening_trusts_peer(o)) {
        return;
    }
    o->front_trusted = true;
    if (hf_head_count(o->head, "X-Forwarded-For") > 0) {
        named = client_of_list(o, "X-Forwarded-For", false, address);
    } else if (hf_head_count(o->head, "Forwarded") > 0) {
        named = client_of_list(o, "Forwarded", true, address);
    } else if (hf_head_count(o->head, "CF-Connecting-IP") == 1) {
        named = hf_ip_parse(*hf_head_find(o->head, "CF-Connecting-IP"), address);
    }
    if (named) {
        memcpy(o->front, o->peer, sizeof(o->front));
        memcpy(o->peer, address, sizeof(address));
        o->peer_port = 0;
        o->behind_proxy = true;
    }
}
