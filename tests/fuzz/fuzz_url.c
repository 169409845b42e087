/* SPDX-License-Identifier: Apache-2.0 */
/* URLs, targets, paths, queries and cookies: a URL that is written again reads the same; a normal
 * path is its own normal form and leads nowhere else; a parameter that was removed is gone and
 * nothing else is. */
#include "base/buffer.h"
#include "fuzz.h"
#include "http/url.h"

#define BYTES_MAX (1 << 20)

static void check_same(const struct hf_url *a, const struct hf_url *b)
{
    HF_ASSERT(hf_slice_eq(a->scheme, b->scheme) && hf_slice_eq(a->host, b->host));
    HF_ASSERT(hf_slice_eq(a->path, b->path) && hf_slice_eq(a->query, b->query));
    HF_ASSERT(a->tls == b->tls && a->host_is_ipv6 == b->host_is_ipv6 && a->port == b->port);
    HF_ASSERT((a->query.ptr == NULL) == (b->query.ptr == NULL));
}

static void write_url(struct hf_buffer *out, const struct hf_url *url)
{
    (void)hf_buffer_add(out, url->scheme);
    (void)hf_buffer_add_text(out, url->port == 0 ? ":" : url->host_is_ipv6 ? "://[" : "://");
    (void)hf_buffer_add(out, url->host);
    (void)hf_buffer_add_text(out, url->host_is_ipv6 ? "]:" : ":");
    if (url->port != 0) {
        (void)hf_buffer_addf(out, "%u", url->port);
    }
    (void)hf_buffer_add(out, url->path);
    if (url->query.ptr != NULL) {
        (void)hf_buffer_add_text(out, "?");
        (void)hf_buffer_add(out, url->query);
    }
}

static void check_url(struct hf_slice text)
{
    struct hf_buffer out;
    struct hf_url url;
    struct hf_url again;
    const char *why;

    if (!hf_url_parse(text, &url, &why)) {
        HF_ASSERT(why != NULL);
        return;
    }
    HF_ASSERT(why == NULL && url.host.len > 0 && url.path.len > 0 && url.path.ptr[0] == '/');
    HF_ASSERT((url.port == 0) == hf_slice_eq(url.scheme, HF_LITERAL("unix")));
    HF_ASSERT(url.port == 0 || hf_slice_find(url.host, '/') == url.host.len);
    HF_ASSERT(url.port == 0 || hf_slice_find(url.host, '@') == url.host.len);
    hf_buffer_init(&out, &hf_heap, BYTES_MAX);
    write_url(&out, &url);
    HF_ASSERT(hf_url_parse(hf_buffer_slice(&out), &again, &why));
    check_same(&url, &again);
    hf_buffer_reset(&out);
}

/* None of a normal path's segments may lead up, and no escape may hide one that does. */
static void check_segments(struct hf_slice path)
{
    struct hf_slice segment;

    while (hf_slice_next(&path, '/', &segment)) {
        HF_ASSERT(!hf_slice_eq(segment, HF_LITERAL(".")));
        HF_ASSERT(!hf_slice_eq(segment, HF_LITERAL("..")));
        HF_ASSERT(hf_slice_search(segment, HF_LITERAL("%2F")) == segment.len);
        HF_ASSERT(hf_slice_search(segment, HF_LITERAL("%5C")) == segment.len);
        HF_ASSERT(hf_slice_search(segment, HF_LITERAL("%2E")) == segment.len);
        HF_ASSERT(hf_slice_search(segment, HF_LITERAL("%00")) == segment.len);
    }
}

static void check_path(struct hf_slice path)
{
    struct hf_buffer once;
    struct hf_buffer twice;

    hf_buffer_init(&once, &hf_heap, BYTES_MAX);
    hf_buffer_init(&twice, &hf_heap, BYTES_MAX);
    if (hf_path_normal(path, &once)) {
        HF_ASSERT(once.len > 0 && once.len <= path.len && once.data[0] == '/');
        HF_ASSERT(hf_path_normal(hf_buffer_slice(&once), &twice));
        HF_ASSERT(hf_slice_eq(hf_buffer_slice(&once), hf_buffer_slice(&twice)));
        check_segments(hf_buffer_slice(&once));
    }
    hf_buffer_reset(&once);
    hf_buffer_reset(&twice);
}

static void check_query(struct hf_slice target, struct hf_slice name)
{
    struct hf_buffer out;
    struct hf_buffer again;
    struct hf_slice path;
    struct hf_slice query;
    struct hf_slice rest_path;
    struct hf_slice rest_query;
    struct hf_slice value;
    bool found;

    hf_target_split(target, &path, &query);
    HF_ASSERT(path.len + (query.ptr == NULL ? 0 : 1) + query.len == target.len);
    found = hf_query_find(query, name, &value);
    HF_ASSERT(!found || lies_in(value, query));
    hf_buffer_init(&out, &hf_heap, BYTES_MAX);
    hf_buffer_init(&again, &hf_heap, BYTES_MAX);
    HF_ASSERT(hf_query_remove(target, name, &out) == HF_OK);
    /* Without such a parameter not a byte changes; with one, bytes are gone and so is it. */
    HF_ASSERT(found ? out.len < target.len : hf_slice_eq(hf_buffer_slice(&out), target));
    hf_target_split(hf_buffer_slice(&out), &rest_path, &rest_query);
    HF_ASSERT(hf_slice_eq(path, rest_path));
    HF_ASSERT(!hf_query_find(rest_query, name, &value));
    HF_ASSERT(hf_query_remove(hf_buffer_slice(&out), name, &again) == HF_OK);
    HF_ASSERT(hf_slice_eq(hf_buffer_slice(&out), hf_buffer_slice(&again)));
    hf_buffer_reset(&out);
    hf_buffer_reset(&again);
}

static void check_decode(struct hf_slice text)
{
    struct hf_buffer out;
    struct hf_buffer coded;
    struct hf_buffer again;

    hf_buffer_init(&out, &hf_heap, BYTES_MAX);
    hf_buffer_init(&coded, &hf_heap, BYTES_MAX);
    hf_buffer_init(&again, &hf_heap, BYTES_MAX);
    if (hf_percent_decode(text, &out)) {
        HF_ASSERT(out.len <= text.len && hf_slice_find(hf_buffer_slice(&out), 0) == out.len);
        for (size_t i = 0; i < out.len; i++) {
            (void)hf_buffer_addf(&coded, i % 2 == 0 ? "%%%02x" : "%%%02X", out.data[i]);
        }
        HF_ASSERT(hf_percent_decode(hf_buffer_slice(&coded), &again));
        HF_ASSERT(hf_slice_eq(hf_buffer_slice(&out), hf_buffer_slice(&again)));
    }
    hf_buffer_reset(&out);
    hf_buffer_reset(&coded);
    hf_buffer_reset(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_slice text = hf_slice(data, size);
    struct hf_slice path;
    struct hf_slice query;
    struct hf_slice value;

    check_url(text);
    hf_target_split(text, &path, &query);
    check_path(path);
    check_query(text, HF_LITERAL("token"));
    check_query(text, HF_LITERAL("a b"));
    check_decode(text);
    check_decode(query);
    if (hf_cookie_find(text, HF_LITERAL("sid"), &value)) {
        HF_ASSERT(lies_in(value, text) && hf_slice_find(value, ';') == value.len);
    }
    return 0;
}
